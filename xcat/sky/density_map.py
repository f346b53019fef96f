"""Sky density of a catalogue around any position, and its footprint.

A catalogue is counted in HEALPix cells of order 10 (3.4 arcmin, nested, ICRS) when it is loaded, with one bit for each
of their parts of order 13 (26 arcsec) that has any object. Its area is measured with the occupied cells of the *fine*
order, the finest at which an occupied cell holds four objects on average. The density of a cell two orders coarser is
that of its objects over the part of it that is footprint, shrunk towards the next coarser cell by a Gamma prior
(Poisson counts; the posterior mean of their rate).

An empty fine cell may be off the footprint, or empty by chance; the mean count of the occupied cells decides. For a
Poisson number of expectation x, the mean of the values above zero is x / (1 - exp(-x)), and the occupied cells are the
fraction 1 - exp(-x) of the footprint. So the density may fall from 50 objects per cell to 0.1. Where cells are well
filled, those with an empty neighbour are left out: they are at the edge, and only partly on the footprint.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

import astropy.units as u
import numpy as np
import numpy.typing as npt
from astropy_healpix import bilinear_interpolation_weights, lonlat_to_healpix, neighbours
from psycopg import sql

from xcat.arrays import FloatArray, IntArray
from xcat.database import copy
from xcat.database.connection import Connection
from xcat.database.sqlfiles import job
from xcat.sky import geometry, joins

ORDER = 10
PARTS_ORDER = 13
_SKY_DEG2 = 360.0**2 / np.pi
_COARSEST_FINE = 3
_OBJECTS_IN_CELL = 4.0  # exp(-4): 2 % of such cells are empty by chance
_OBJECTS_EXPECTED = 10.0  # in a cell of which "empty" means "off the footprint": exp(-10) are empty by chance
_PRIOR_OBJECTS = 20.0
_POOL_ORDER = 6  # 55 arcmin: cut-outs of one such cell have much in common
_ROWS_PER_NEEDLE = 50  # of a table that is read as fast as one position is searched around
_ROWS_AT_A_TIME = 1_000_000  # 100 MB with all that is made of them
_CELL_SIDE_DEG = 30.0  # of a cell of order 0: as far as its neighbours reach at least, from any place in it
_POSITION = [("ra", "double precision"), ("dec", "double precision")]


def _positions(ra_deg: npt.ArrayLike, dec_deg: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    ra, dec = np.atleast_1d(np.asarray(ra_deg, dtype=float)), np.atleast_1d(np.asarray(dec_deg, dtype=float))
    if not (np.isfinite(ra).all() and (np.abs(dec) <= 90).all()):
        raise ValueError("invalid position: right ascensions must be finite, declinations within -90 and 90 degrees")
    return ra, dec


def cells(ra_deg: npt.ArrayLike, dec_deg: npt.ArrayLike, order: int = ORDER) -> IntArray:
    """HEALPix cells (nested, int64) of positions.

    Parameters
    ----------
    ra_deg, dec_deg : array_like, shape (n,)
        ICRS, degrees.
    order : int
        0 to 29; there are 12 * 4**order cells.

    Raises
    ------
    ValueError
        A right ascension is not finite, or a declination not within -90 and 90 degrees.
    """
    ra, dec = _positions(ra_deg, dec_deg)
    return np.asarray(lonlat_to_healpix(ra * u.deg, dec * u.deg, 2**order, order="nested"), dtype=np.int64)


def counted(ra_deg: npt.ArrayLike, dec_deg: npt.ArrayLike) -> tuple[IntArray, IntArray, IntArray]:
    """Cells that have any of some positions, ascending; how many; and which of their 64 parts have any, as bits."""
    part, n_objects = np.unique(cells(ra_deg, dec_deg, PARTS_ORDER), return_counts=True)
    if not len(part):
        return (np.zeros(0, np.int64),) * 3
    healpix, starts = np.unique(part >> 6, return_index=True)
    return healpix, np.add.reduceat(n_objects, starts), np.bitwise_or.reduceat(np.int64(1) << (part & 63), starts)


class Counter:
    """Counts objects by cell while blocks of positions pass; 150 MB at most, whatever their number."""

    def __init__(self) -> None:
        self._n_objects = np.zeros(12 * 4**ORDER, np.int32)
        self._parts = np.zeros(12 * 4**ORDER, np.int64)

    def add(self, ra_deg: npt.ArrayLike, dec_deg: npt.ArrayLike) -> None:
        """Count positions, degrees, shape (n,)."""
        self.merge(*counted(ra_deg, dec_deg))

    def merge(self, healpix: IntArray, n_objects: IntArray, parts: IntArray) -> None:
        """Add what `counted` gives of other positions."""
        self._n_objects[healpix] += n_objects.astype(np.int32)
        self._parts[healpix] |= parts

    def occupied(self) -> tuple[IntArray, IntArray]:
        """Cells that have any object, ascending, and how many."""
        healpix = np.flatnonzero(self._n_objects)
        return healpix, self._n_objects[healpix].astype(np.int64)

    def parts(self) -> IntArray:
        """Which of the 64 parts of each occupied cell have any object: bit i for part i."""
        return self._parts[self._n_objects > 0]


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
    copy.copy_in(conn, "counted", [{"healpix": healpix, "n_objects": n_objects, "occupied_parts": counter.parts()}])
    conn.execute(job("density.add").compose(), {"catalogue_id": catalogue_id})


def load(conn: Connection, catalogue_id: int) -> DensityMap:
    """Density map of a counterpart catalogue; without a stored map (early versions) its rows are counted."""
    types = [("healpix", "integer"), ("n_objects", "integer"), ("occupied_parts", "bigint")]
    params = {"catalogue_id": catalogue_id}
    stored = copy.fetch_columns(conn, job("density.cells").compose(), types, params)
    if len(stored):
        return DensityMap(stored["healpix"], stored["n_objects"], stored["occupied_parts"])
    return map_of(count(conn, job("density.catalogue_positions").compose(), params))


def map_of(counter: Counter) -> DensityMap:
    """The map of what has been counted."""
    return DensityMap(*counter.occupied(), counter.parts())


@dataclass(frozen=True)
class Pools:
    """What cut-outs around many sources tell of the density near others: counts in rings, pooled within half a degree.

    Attributes
    ----------
    healpix : ndarray of int64, shape (n_pools,)
        Cells of order 6, ascending.
    mean : ndarray, shape (n_pools,)
        Mean count of a ring in each cell.
    mean_of_all : float
        Mean count of all rings.
    shape : float
        Of the Gamma prior: the strength with which a count is shrunk towards the mean of its cell.
    """

    healpix: IntArray
    mean: FloatArray
    mean_of_all: float
    shape: float

    @classmethod
    def of(cls, counts: FloatArray, cell: IntArray) -> Pools:
        """Pool the counts of rings by their cell; the strength follows from their scatter beyond the Poisson noise."""
        n = len(counts)
        healpix, field = np.unique(cell, return_inverse=True) if n else (np.zeros(0, np.int64), np.zeros(0, np.int64))
        size, total = np.bincount(field), np.bincount(field, counts)
        whole = max(counts.mean(), 1e-3) if n else 1.0
        mean = (total + whole) / (size + 1)  # fields with one source shrink to the global mean
        scatter = float(np.sum((counts - mean[field]) ** 2 - counts)) if n else 0.0
        shape = float(np.sum(mean[field] ** 2)) / max(scatter, 0.01 * float(np.sum(mean[field]))) if n else 1.0
        return cls(healpix, mean, float(whole), shape)

    def density_per_deg2(self, counts: FloatArray, cell: IntArray, area_deg2: float) -> FloatArray:
        """Density around positions with these counts in rings of this area, shape (n,)."""
        mean = np.full(len(counts), self.mean_of_all)
        if len(self.healpix):
            place, is_there = _find(self.healpix, cell)
            mean = np.where(is_there, self.mean[place], mean)
        return np.asarray((counts + self.shape) / (area_deg2 * (1 + self.shape / mean)))


def cut_outs(
    conn: Connection,
    table: str,
    ra_deg: FloatArray,
    dec_deg: FloatArray,
    inner_arcsec: float,
    outer_arcsec: float,
    pools: Pools | None = None,
) -> tuple[FloatArray, Pools]:
    """Density around sources in a catalogue of which only cut-outs around them are loaded.

    Parameters
    ----------
    conn : Connection
        In a transaction, with the tables of :mod:`xcat.sky.joins`.
    table : str
        Qualified name, with a q3c index.
    inner_arcsec, outer_arcsec : float
        Ring in which the objects of each cut-out are counted.
    pools : Pools, optional
        What other cut-outs of the same ring have told; by default these sources tell it themselves.

    Returns
    -------
    density : ndarray, shape (n,)
        Per square degree. Small counts are shrunk towards the mean of the cut-outs within half a degree by a Gamma
        prior.
    pools : Pools
    """
    n = len(ra_deg)
    count_ring = _in_rings_of_all if 0 < _size(conn, table)[0] < _ROWS_PER_NEEDLE * n else _in_rings
    counts = count_ring(conn, table, ra_deg, dec_deg, inner_arcsec, outer_arcsec)
    area_deg2 = np.pi * (outer_arcsec**2 - inner_arcsec**2) / 3600.0**2
    cell = cells(ra_deg, dec_deg, _POOL_ORDER) if n else np.zeros(0, np.int64)
    pools = pools or Pools.of(counts, cell)
    return pools.density_per_deg2(counts, cell, area_deg2), pools


def _in_rings(
    conn: Connection, table: str, ra_deg: FloatArray, dec_deg: FloatArray, inner_arcsec: float, outer_arcsec: float
) -> FloatArray:
    """Number of objects in a ring around each position, shape (n,), by a positional join."""
    n = len(ra_deg)
    needles = {"id": np.arange(n), "ra": ra_deg, "dec": dec_deg, "radius_arcsec": np.full(n, outer_arcsec)}
    joins.copy_needles(conn, needles)
    joins.count_ring(conn, table, inner_arcsec, "density around the sources")
    rows = copy.fetch_columns(conn, job("joins.rings").compose(), [("id", "bigint"), ("n_objects", "bigint")])
    counts = np.zeros(n)
    counts[rows["id"]] = rows["n_objects"]
    return counts


def _in_rings_of_all(
    conn: Connection, table: str, ra_deg: FloatArray, dec_deg: FloatArray, inner_arcsec: float, outer_arcsec: float
) -> FloatArray:
    """The same by reading the whole table, which is faster if most of it is in some ring."""
    from scipy.spatial import cKDTree  # here: it takes long to load

    around = cKDTree(geometry.to_vector(ra_deg, dec_deg))
    outer, inner = (2 * np.sin(radius * geometry.ARCSEC_RAD / 2) for radius in (outer_arcsec, inner_arcsec))
    in_ring = np.zeros(len(ra_deg))
    with copy.ahead(_blocks(conn, table), conn) as blocks:
        for objects in blocks:
            # a tree for one use: to balance it would take longer than that saves
            block = cKDTree(geometry.to_vector(objects["ra"], objects["dec"]), balanced_tree=False, compact_nodes=False)
            pairs = around.sparse_distance_matrix(block, outer, output_type="ndarray")
            in_ring += np.bincount(pairs["i"][pairs["v"] > inner], minlength=len(in_ring))
    return in_ring


def _blocks(conn: Connection, table: str) -> Generator[np.ndarray, None, None]:
    """All positions of a table, a million at a time."""
    n_rows, n_pages = _size(conn, table)
    pages = max(int(n_pages * _ROWS_AT_A_TIME / n_rows), 1)
    for first in range(0, n_pages + 1, pages):
        # the last block is open: the table may have grown since it was measured
        last = first + pages if first + pages <= n_pages else 2**32 - 1
        values = {"first": f"({first},0)", "last": f"({last},0)"}
        yield copy.fetch_columns(conn, job("density.positions_of_pages").compose(counted=table), _POSITION, values)


def _size(conn: Connection, table: str) -> tuple[float, int]:
    """About how many rows and pages a table has; -1 rows if nobody has counted them."""
    row = conn.execute(job("density.size").compose(), {"counted": table}).fetchone()
    return (float(row[0]), int(row[1])) if row else (-1.0, 0)


class DensityMap:
    """Density and footprint of a catalogue.

    Parameters
    ----------
    healpix : array_like of int, shape (n,)
        Cells of order 10 that have any object, each once.
    n_objects : array_like of int, shape (n,)
        One or more.
    parts : array_like of int64, shape (n,), optional
        Which of the 64 parts of each cell have any object, as `Counter.parts` gives them; by default all.

    Raises
    ------
    ValueError
        A cell is given twice, or without an object.
    """

    def __init__(self, healpix: npt.ArrayLike, n_objects: npt.ArrayLike, parts: npt.ArrayLike | None = None) -> None:
        cell, n = np.asarray(healpix, dtype=np.int64), np.asarray(n_objects, dtype=np.int64)
        sort = np.argsort(cell, kind="stable")
        self._cells, n = cell[sort], n[sort]
        every = np.full(len(cell), -1, np.int64)
        self._parts = every if parts is None else np.asarray(parts, dtype=np.int64)[sort]
        if (np.diff(self._cells) == 0).any() or (n < 1).any():
            raise ValueError("a density map needs every occupied cell once, with one object or more")
        self._occupied = {ORDER: self._cells}
        self.n_objects = int(n.sum())
        #: Of the footprint, in whole cells, so too large by half of those along the edge; the whole sky if empty.
        self.area_deg2 = _SKY_DEG2
        self.fine_order = _COARSEST_FINE  #: order of the cells that the footprint is made of
        self._whole_per_deg2 = 1 / _SKY_DEG2
        # cells that have any object, ascending, and the density in them, by order, the coarsest first
        self._levels: dict[int, tuple[IntArray, FloatArray]] = {}
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
            parent, sums = _merged(cell, order - level, n, np.ones_like(n), n * inner, inner)
            total, n_fine, inner_total, n_inner = sums
            coarse = self._at_level(level, parent)
            coarse_mean = coarse * fine_deg2 / -np.expm1(-coarse * fine_deg2)
            mean = (total + 1) / (n_fine + 1 / coarse_mean)  # cells with few objects borrow one from the coarser cell
            is_filled = mean >= _OBJECTS_IN_CELL
            total, n_fine = np.where(is_filled, inner_total, total), np.where(is_filled, n_inner, n_fine)
            covered = _covered(n_fine, mean, fine_deg2, _cell_deg2(level))
            self._levels[level] = parent, (total + _PRIOR_OBJECTS) / (covered + _PRIOR_OBJECTS / coarse)

    def _at_level(self, order: int, healpix: IntArray) -> FloatArray:
        """Density of the finest occupied cell around cells of an order, else that of the whole footprint."""
        density = np.full(healpix.shape, self._whole_per_deg2)
        for level, (occupied, of_cell) in self._levels.items():
            where, is_occupied = _find(occupied, healpix >> 2 * (order - level))
            density = np.where(is_occupied, of_cell[where], density)
        return density

    def density_per_deg2(self, ra_deg: npt.ArrayLike, dec_deg: npt.ArrayLike) -> FloatArray:
        """Density around positions, interpolated between the cells that have objects.

        Parameters and errors as of `cells`; an ndarray of float, shape (n,). Objects per square degree, always finite
        and above zero: off the footprint that of the next larger occupied cell, for an empty catalogue one object on
        the whole sky.
        """
        ra, dec = _positions(ra_deg, dec_deg)
        if not self._levels or not len(ra):
            return np.full(ra.shape, self._whole_per_deg2)
        order = self.fine_order - 2
        ra = ra % 360 % 360  # beyond 360 deg the weights become infinite; the first % makes 360.0 of -1e-20
        around, weight = bilinear_interpolation_weights(ra * u.deg, dec * u.deg, 2**order, order="nested")
        occupied, of_cell = self._levels[order]
        where, is_occupied = _find(occupied, around)
        weight = np.where(is_occupied, weight, 0.0)
        total = weight.sum(axis=0)
        density = (weight * of_cell[where]).sum(axis=0) / np.where(total > 0, total, 1.0)
        alone = total <= 0
        if alone.any():
            density[alone] = self._at_level(order, cells(ra[alone], dec[alone], order))
        return np.asarray(density)

    def covers(self, ra_deg: npt.ArrayLike, dec_deg: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Whether positions are on the footprint.

        A position is if its cell has an object. The cell is the smallest (26 arcsec at least) in which the local
        density lets expect ten, so that the footprint is as sharp as the catalogue allows, and hardly any of it is
        missed by chance. Parameters and errors as of `cells`; an ndarray of bool, shape (n,).
        """
        return self._footprint(ra_deg, dec_deg)[0]

    def covers_and_uniform(
        self, ra_deg: npt.ArrayLike, dec_deg: npt.ArrayLike
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """As `covers`; and whether the neighbours of the cell are all on the footprint if it is, and off it if not."""
        is_covered, n_around, n_covered = self._footprint(ra_deg, dec_deg, with_neighbours=True)
        return is_covered, np.asarray(n_covered == np.where(is_covered, n_around, 0))

    def _footprint(
        self, ra_deg: npt.ArrayLike, dec_deg: npt.ArrayLike, with_neighbours: bool = False
    ) -> tuple[npt.NDArray[np.bool_], IntArray, IntArray]:
        """Whether positions are on the footprint, and how many neighbours their cells have, and have on it."""
        finest = cells(ra_deg, dec_deg, PARTS_ORDER)
        is_covered = np.zeros(finest.shape, bool)
        n_around, n_covered = np.zeros((2, *finest.shape), np.int64)
        if not self.n_objects:
            return is_covered, n_around, n_covered
        cells_of_sky = self.density_per_deg2(ra_deg, dec_deg) * _SKY_DEG2 / _OBJECTS_EXPECTED
        orders = np.clip(np.floor(np.log2(cells_of_sky / 12) / 2), 0, PARTS_ORDER).astype(int)
        for order in np.unique(orders).tolist():
            at_order = orders == order
            healpix = finest[at_order] >> 2 * (PARTS_ORDER - order)
            is_covered[at_order] = self._is_occupied(healpix, order)
            if with_neighbours:
                with np.errstate(invalid="ignore"):  # raised inside for a missing neighbour, which is -1
                    around = neighbours(healpix, 2**order, order="nested")
                n_around[at_order] = (around >= 0).sum(axis=0)
                n_covered[at_order] = (self._is_occupied(around, order) & (around >= 0)).sum(axis=0)
        return is_covered, n_around, n_covered

    def _is_occupied(self, healpix: IntArray, order: int) -> npt.NDArray[np.bool_]:
        """Whether cells of an order have any object."""
        if order <= ORDER:
            if order not in self._occupied:
                self._occupied[order] = _merged(self._cells, ORDER - order)[0]
            return _find(self._occupied[order], healpix)[1]
        where, is_occupied = _find(self._cells, healpix >> 2 * (order - ORDER))
        n_parts = 4 ** (PARTS_ORDER - order)  # of one cell: 16, 4 or 1 bits
        first = n_parts * (healpix & (4 ** (order - ORDER) - 1))
        return np.asarray(is_occupied & ((self._parts[where] >> first) & ((1 << n_parts) - 1) != 0))


def _cell_deg2(order: int) -> float:
    return float(_SKY_DEG2 / (12 * 4**order))


def _covered(n_cells: IntArray, mean: FloatArray, cell_deg2: float, largest_deg2: float) -> FloatArray:
    """Area of footprint with so many occupied cells that hold so many objects on average."""
    from scipy.special import lambertw  # here: it takes long to load, and only learning needs it

    # solve mean = x / (1 - exp(-x)); if every occupied cell holds one object (x = 0) the footprint is undetermined:
    # the largest area is taken
    mean = np.maximum(mean, 1 + 1e-9)  # at 1 is the branch point of the function, where scipy's gives NaN
    branch = lambertw(-mean * np.exp(-mean))  # type: ignore[call-overload]  # the stubs know no array of float64
    expected = np.maximum(mean + branch.real, 1e-9)
    return np.asarray(np.minimum(n_cells * cell_deg2 / -np.expm1(-expected), largest_deg2))


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
    """Index of each wanted cell in a list that is not empty, and whether the list has it."""
    where = np.minimum(np.searchsorted(ascending, wanted), len(ascending) - 1)
    return where, ascending[where] == wanted
