"""How densely a catalogue fills the sky around a position, and where it has been at all.

A catalogue is counted in HEALPix cells of order 10 (3.4 arcmin, nested, ICRS) when it is loaded. Its footprint is made
of the occupied cells of the *fine* order, the finest at which an occupied cell holds four objects on average. The
density of a cell two orders coarser is that of its objects over the part of it that is footprint, drawn towards the
next coarser cell by a Gamma prior (Poisson counts; the posterior mean of their rate).

Which part is footprint? An empty fine cell may be off it, or empty by chance. The mean over the occupied ones decides:
of a Poisson number with expectation x that is seen only above zero, it is x / (1 - exp(-x)), and the occupied cells
are the fraction 1 - exp(-x) of the footprint. So a catalogue may thin out from 50 objects a cell to 0.1. Where cells
are well filled, those at the edge, with an empty neighbour, do not count: they are footprint in part only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import astropy.units as u
import numpy as np
import numpy.typing as npt
from astropy_healpix import bilinear_interpolation_weights, lonlat_to_healpix, neighbours
from psycopg import sql
from scipy.special import lambertw

from xcat.arrays import FloatArray, IntArray
from xcat.database import copy
from xcat.database.connection import Connection
from xcat.database.sqlfiles import job
from xcat.sky import joins

ORDER = 10
_SKY_DEG2 = 360.0**2 / np.pi
_COARSEST_FINE = 3
_OBJECTS_IN_CELL = 4.0  # exp(-4): 2 % of such cells are empty by chance
_PRIOR_OBJECTS = 20.0
_POOL_ORDER = 6  # 55 arcmin: cut-outs of one such cell have much in common
_POSITION = [("ra", "double precision"), ("dec", "double precision")]


def cells(ra_deg: npt.ArrayLike, dec_deg: npt.ArrayLike, order: int = ORDER) -> IntArray:
    """HEALPix cells of positions.

    Parameters
    ----------
    ra_deg, dec_deg : array_like, shape (n,)
        ICRS, degrees, finite, declination from -90 to 90.
    order : int
        0 to 29; there are 12 * 4**order cells.

    Returns
    -------
    ndarray of int64, shape (n,)
        Nested numbering.

    Raises
    ------
    ValueError
        A right ascension is not finite, or a declination not within -90 and 90 degrees.
    """
    ra, dec = np.atleast_1d(np.asarray(ra_deg, dtype=float)), np.atleast_1d(np.asarray(dec_deg, dtype=float))
    if not (np.isfinite(ra).all() and (np.abs(dec) <= 90).all()):
        raise ValueError(
            "no position: a right ascension is not finite or a declination is not within -90 and 90 degrees"
        )
    found = lonlat_to_healpix(ra * u.deg, dec * u.deg, 2**order, order="nested")
    return np.asarray(found, dtype=np.int64)


class Counter:
    """Counts objects by cell while blocks of positions pass; 50 MB at most, whatever their number."""

    def __init__(self) -> None:
        self._n_objects = np.zeros(12 * 4**ORDER, np.int32)

    def add(self, ra_deg: npt.ArrayLike, dec_deg: npt.ArrayLike) -> None:
        """Count positions, degrees, shape (n,)."""
        healpix, n_objects = np.unique(cells(ra_deg, dec_deg), return_counts=True)
        self._n_objects[healpix] += n_objects.astype(np.int32)

    def occupied(self) -> tuple[IntArray, IntArray]:
        """Cells that have any object, ascending, and how many."""
        healpix = np.flatnonzero(self._n_objects)
        return healpix, self._n_objects[healpix].astype(np.int64)


def count(conn: Connection, query: sql.Composed, params: Mapping[str, Any] | None = None) -> Counter:
    """Count the positions (ra, dec) that a query gives."""
    counter = Counter()
    for block in copy.copy_out(conn, query, _POSITION, params):
        counter.add(block["ra"], block["dec"])
    return counter


def store(conn: Connection, catalogue_id: int, counter: Counter) -> None:
    """Add counts to the map of a catalogue, in the transaction of its rows."""
    healpix, n_objects = counter.occupied()
    conn.execute(job("density.make_counted").compose())
    copy.copy_in(conn, "counted", [{"healpix": healpix, "n_objects": n_objects}])
    conn.execute(job("density.add").compose(), {"catalogue_id": catalogue_id})
    conn.execute(job("density.drop_counted").compose())


def load(conn: Connection, catalogue_id: int) -> DensityMap:
    """Density map of a catalogue of table ``counterpart``.

    Parameters
    ----------
    conn : Connection
    catalogue_id : int
        One that was loaded before there were maps has none: its rows are counted.

    Returns
    -------
    DensityMap
        Of a catalogue without rows, an empty one.
    """
    params = {"catalogue_id": catalogue_id}
    types = [("healpix", "integer"), ("n_objects", "integer")]
    stored = copy.fetch_columns(conn, job("density.cells").compose(), types, params)
    if len(stored):
        return DensityMap(stored["healpix"], stored["n_objects"])
    return DensityMap(*count(conn, job("density.catalogue_positions").compose(), params).occupied())


def from_positions(ra_deg: npt.ArrayLike, dec_deg: npt.ArrayLike) -> DensityMap:
    """Density map of a table of one's own; positions in degrees, shape (n,)."""
    return DensityMap(*np.unique(cells(ra_deg, dec_deg), return_counts=True))


def cut_outs(
    conn: Connection, table: str, ra_deg: FloatArray, dec_deg: FloatArray, inner_arcsec: float, outer_arcsec: float
) -> FloatArray:
    """Density around sources in a catalogue of which only cut-outs around them are there.

    Parameters
    ----------
    conn : Connection
        In a transaction, with the tables of :mod:`xcat.sky.joins`.
    table : str
        Qualified name, with a q3c index.
    ra_deg, dec_deg : ndarray, shape (n,)
    inner_arcsec, outer_arcsec : float
        Ring in which the objects of each cut-out are counted.

    Returns
    -------
    ndarray, shape (n,)
        Per square degree. A few counts say little: they are drawn towards the mean of the cut-outs within half a
        degree by a Gamma prior, whose strength is what the scatter of the counts leaves when the Poisson noise is
        taken away.
    """
    n = len(ra_deg)
    conn.execute(job("density.make_centre").compose())
    copy.copy_in(conn, "centre", [{"id": np.arange(n), "ra": ra_deg, "dec": dec_deg}])
    joins.needles(conn, job("density.centres").compose(), {"radius_arcsec": outer_arcsec})
    joins.count_ring(conn, table, inner_arcsec, "density around the sources")
    rows = copy.fetch_columns(conn, job("density.rings").compose(), [("id", "bigint"), ("n_objects", "bigint")])
    conn.execute(job("density.drop_centre").compose())
    counts = np.zeros(n)
    counts[rows["id"]] = rows["n_objects"]
    area_deg2 = np.pi * (outer_arcsec**2 - inner_arcsec**2) / 3600.0**2
    place = np.unique(cells(ra_deg, dec_deg, _POOL_ORDER), return_inverse=True)[1] if n else np.zeros(0, np.int64)
    size, total = np.bincount(place), np.bincount(place, counts)
    whole = max(counts.mean(), 1e-3) if n else 1.0
    mean = (total + whole) / (size + 1)  # a place with one source leans on all of them
    scatter = float(np.sum((counts - mean[place]) ** 2 - counts)) if n else 0.0
    shape = float(np.sum(mean[place] ** 2)) / max(scatter, 0.01 * float(np.sum(mean[place]))) if n else 1.0
    return np.asarray((counts + shape) / (area_deg2 * (1 + shape / mean[place])))


@dataclass(frozen=True)
class _Level:
    """Density in the cells of one order that have any object."""

    order: int
    healpix: IntArray  # ascending
    density_per_deg2: FloatArray


class DensityMap:
    """Density and footprint of a catalogue.

    Parameters
    ----------
    healpix : array_like of int, shape (n,)
        Cells of order 10 that have any object, each once.
    n_objects : array_like of int, shape (n,)
        One or more.

    Attributes
    ----------
    n_objects : int
        All objects.
    area_deg2 : float
        Of the footprint, in whole cells, so too large by half of those along the edge; the whole sky if there is no
        object.
    fine_order : int
        Order of the cells that the footprint is made of.

    Raises
    ------
    ValueError
        A cell is given twice, or without an object.
    """

    def __init__(self, healpix: npt.ArrayLike, n_objects: npt.ArrayLike) -> None:
        cell, n = np.asarray(healpix, dtype=np.int64), np.asarray(n_objects, dtype=np.int64)
        sort = np.argsort(cell, kind="stable")
        self._cells, n = cell[sort], n[sort]
        if (np.diff(self._cells) == 0).any() or (n < 1).any():
            raise ValueError("a density map needs every occupied cell once, with one object or more")
        self._occupied = {ORDER: self._cells}
        self.n_objects = int(n.sum())
        self.area_deg2 = _SKY_DEG2
        self.fine_order = _COARSEST_FINE
        self._whole_per_deg2 = 1 / _SKY_DEG2
        self._levels: list[_Level] = []
        if self.n_objects:
            self._measure(n)

    def _measure(self, n_objects: IntArray) -> None:
        """Find the fine order, the area of the footprint and the density of the cells, the coarsest first."""
        order, cell, n = ORDER, self._cells, n_objects
        while order > _COARSEST_FINE and n.mean() < _OBJECTS_IN_CELL:
            order -= 1
            cell, (n,) = _merged(cell, 1, n)
        self.fine_order = order
        fine_deg2 = _cell_deg2(order)
        inner = _inner(cell, order).astype(np.int64)
        self.area_deg2 = float(_covered(np.array([n.size]), np.array([n.mean()]), fine_deg2, _SKY_DEG2)[0])
        filled = inner if n.mean() >= _OBJECTS_IN_CELL and inner.any() else np.ones_like(inner)
        counted = np.array([filled.sum()])
        whole_deg2 = _covered(counted, (n * filled).sum() / counted, fine_deg2, _SKY_DEG2)
        self._whole_per_deg2 = float((n * filled).sum() / whole_deg2[0])
        for level in range((order - 2) % 2, order - 1, 2):
            parent, (total, n_fine, inner_total, n_inner) = _merged(
                cell, order - level, n, np.ones_like(n), n * inner, inner
            )
            coarse = self._at_level(len(self._levels), level, parent)
            coarse_mean = coarse * fine_deg2 / -np.expm1(-coarse * fine_deg2)
            mean = (total + 1) / (n_fine + 1 / coarse_mean)  # one object as from the coarser cell, for cells with few
            is_filled = mean >= _OBJECTS_IN_CELL
            total, n_fine = np.where(is_filled, inner_total, total), np.where(is_filled, n_inner, n_fine)
            covered = _covered(n_fine, mean, fine_deg2, _cell_deg2(level))
            density = (total + _PRIOR_OBJECTS) / (covered + _PRIOR_OBJECTS / coarse)
            self._levels.append(_Level(level, parent, density))

    def _at_level(self, n_levels: int, order: int, healpix: IntArray) -> FloatArray:
        """Density by the finest of the first levels that knows a cell of an order, else that of the whole."""
        density = np.full(healpix.shape, self._whole_per_deg2)
        for level in self._levels[:n_levels]:
            where, there = _find(level.healpix, healpix >> 2 * (order - level.order))
            density = np.where(there, level.density_per_deg2[where], density)
        return density

    def density_per_deg2(self, ra_deg: npt.ArrayLike, dec_deg: npt.ArrayLike) -> FloatArray:
        """Density around positions, interpolated between the cells that have objects.

        Parameters
        ----------
        ra_deg, dec_deg : array_like, shape (n,)
            ICRS, degrees.

        Returns
        -------
        ndarray of float, shape (n,)
            Objects per square degree, above zero and finite also off the footprint, where it is that of the larger
            cell around, and for an empty catalogue, where it is one object on the whole sky.

        Raises
        ------
        ValueError
            A right ascension is not finite, or a declination not within -90 and 90 degrees.
        """
        order = self.fine_order - 2
        own = cells(ra_deg, dec_deg, order)
        if not self._levels or not len(own):
            return self._at_level(len(self._levels), order, own)
        ra, dec = np.atleast_1d(np.asarray(ra_deg, dtype=float)), np.atleast_1d(np.asarray(dec_deg, dtype=float))
        ra = ra % 360 % 360  # beyond a turn the weights become infinite; the first % makes 360.0 of -1e-20
        around, weight = bilinear_interpolation_weights(ra * u.deg, dec * u.deg, 2**order, order="nested")
        where, there = _find(self._levels[-1].healpix, around)
        weight = np.where(there, weight, 0.0)
        total = weight.sum(axis=0)
        density = (weight * self._levels[-1].density_per_deg2[where]).sum(axis=0) / np.where(total > 0, total, 1.0)
        alone = total <= 0
        density[alone] = self._at_level(len(self._levels), order, own[alone])
        return np.asarray(density)

    def covers(self, ra_deg: npt.ArrayLike, dec_deg: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Whether positions are on the footprint.

        A position is, if the cell around it has an object. The cell is the smallest in which four are expected by the
        local density (3.4 arcmin at least), so that the answer is as sharp as the catalogue allows and 2 % at most of
        the footprint are missed by chance.

        Parameters
        ----------
        ra_deg, dec_deg : array_like, shape (n,)
            ICRS, degrees.

        Returns
        -------
        ndarray of bool, shape (n,)

        Raises
        ------
        ValueError
            A right ascension is not finite, or a declination not within -90 and 90 degrees.
        """
        finest = cells(ra_deg, dec_deg)
        on_it = np.zeros(finest.shape, bool)
        if not self.n_objects:
            return on_it
        cells_of_sky = self.density_per_deg2(ra_deg, dec_deg) * _SKY_DEG2 / _OBJECTS_IN_CELL
        orders = np.clip(np.floor(np.log2(cells_of_sky / 12) / 2), 0, ORDER).astype(int)
        for order in np.unique(orders).tolist():
            if order not in self._occupied:
                self._occupied[order] = _merged(self._cells, ORDER - order)[0]
            here = orders == order
            on_it[here] = _find(self._occupied[order], finest[here] >> 2 * (ORDER - order))[1]
        return on_it


def _cell_deg2(order: int) -> float:
    return float(_SKY_DEG2 / (12 * 4**order))


def _covered(n_cells: IntArray, mean: FloatArray, cell_deg2: float, largest_deg2: float) -> FloatArray:
    """Area of footprint with so many occupied cells that hold so many objects on average."""
    # x of mean = x / (1 - exp(-x)); single objects, of mean 1, have x = 0 and say nothing: then it is all there is
    mean = np.maximum(mean, 1 + 1e-9)  # at 1 is the branch point of the function, where scipy's gives NaN
    branch = lambertw(-mean * np.exp(-mean))  # type: ignore[call-overload]  # the stubs know no array of float64
    expected = np.maximum(mean + branch.real, 1e-9)
    return np.minimum(n_cells * cell_deg2 / -np.expm1(-expected), largest_deg2)


def _inner(healpix: IntArray, order: int) -> npt.NDArray[np.bool_]:
    """Which of the occupied cells have no empty neighbour."""
    empty = np.ones(12 * 4**order + 1, bool)
    empty[healpix] = False
    empty[-1] = False  # at the corners of the eight polar base cells there are seven neighbours, the other one is -1
    inner = np.empty(healpix.shape, bool)
    with np.errstate(invalid="ignore"):  # raised inside for the missing neighbour
        for start in range(0, len(healpix), 500_000):
            part = slice(start, start + 500_000)
            inner[part] = ~empty[neighbours(healpix[part], 2**order, order="nested")].any(axis=0)
    return inner


def _merged(healpix: IntArray, orders: int, *values: IntArray) -> tuple[IntArray, list[IntArray]]:
    """Cells so many orders coarser, and the sums of values over each; cells ascend before and after."""
    parent = healpix >> 2 * orders
    starts = np.flatnonzero(np.diff(parent, prepend=-1))
    return parent[starts], [np.add.reduceat(v, starts) for v in values]


def _find(ascending: IntArray, wanted: IntArray) -> tuple[IntArray, npt.NDArray[np.bool_]]:
    """Where each wanted cell is in a list that is not empty, and whether it is there at all."""
    where = np.minimum(np.searchsorted(ascending, wanted), len(ascending) - 1)
    return where, ascending[where] == wanted
