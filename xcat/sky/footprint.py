"""Where a catalogue has looked: its area, and the share of a source's positional error that is on it.

The area is a MOC (IVOA Multi-Order Coverage map) of the definition, or it is made from the rows: the occupied cells of
the density map. A cell holds ten objects, which is coarse at an edge: near one, the objects themselves decide. A place
is off the area if an empty disc contains it that is so large that ten objects are expected in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import astropy.units as u
import numpy as np

from xcat.arrays import FloatArray, IntArray
from xcat.database.connection import Connection
from xcat.sky import geometry, joins
from xcat.sky.density_map import DensityMap

if TYPE_CHECKING:
    from mocpy import MOC

BoolArray = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]

N_POINTS = 64
_GOLDEN = np.pi * (3 - np.sqrt(5))
_FEWEST_OBJECTS = 500  # that make an area: fifty discs, most of them not at its edge
_OBJECTS_IN_DISC = 10.0
_EDGE = 0.35  # empty discs reach so much of their radius in between the objects at an edge: it is where it should be
_LARGEST_DISC_ARCSEC = 3600.0
_N_DISCS = 150
_N_SIGMA = 3.5  # the farthest of the points is at 3.1
_SLICE = 500


def _spread(n: int) -> tuple[FloatArray, FloatArray]:
    """Radii between 0 and 1 and angles of points that fill a disc evenly."""
    i = np.arange(n) + 0.5
    return np.sqrt(i / n), i * _GOLDEN


@dataclass(frozen=True)
class Footprint:
    """Where a catalogue has looked; with neither a MOC nor a map everywhere."""

    area: str | None = None  #: MOC as text; it counts alone
    density_map: DensityMap | None = None

    @cached_property
    def moc(self) -> MOC | None:
        """The area of the definition."""
        if self.area is None:
            return None
        from mocpy import MOC

        return MOC.from_string(self.area, format="ascii")

    @property
    def is_known(self) -> bool:
        """Whether there is anything that says where the catalogue has looked."""
        return self.area is not None or self.density_map is not None

    @property
    def is_drawn(self) -> bool:
        """Whether it has an edge: a MOC, or enough objects to draw one; else sources count as searched everywhere."""
        return self.area is not None or (self.density_map is not None and self.density_map.n_objects >= _FEWEST_OBJECTS)

    def contains(self, ra_deg: FloatArray, dec_deg: FloatArray) -> BoolArray:
        """Whether positions are on the area, to a cell of the map if it is made from the rows; shape (n,)."""
        if self.moc is not None:
            return np.asarray(self.moc.contains_lonlat(ra_deg * u.deg, dec_deg * u.deg))
        if self.density_map is not None:
            return self.density_map.covers(ra_deg, dec_deg)
        return np.ones(np.shape(ra_deg), bool)

    def _on_and_uniform(
        self, ra_deg: FloatArray, dec_deg: FloatArray, reach_arcsec: FloatArray
    ) -> tuple[BoolArray, BoolArray]:
        """Whether positions are on the area, and whether all that is within reach of them is, or nothing of it."""
        if self.moc is not None:
            centre = self.contains(ra_deg, dec_deg)
            is_uniform = np.ones(centre.shape, bool)
            for angle in np.arange(8) * np.pi / 4:
                east, north = reach_arcsec * np.sin(angle), reach_arcsec * np.cos(angle)
                is_uniform &= self.contains(*geometry.offset(ra_deg, dec_deg, east, north)) == centre
            return centre, is_uniform
        assert self.density_map is not None
        return self.density_map.covers_and_uniform(ra_deg, dec_deg)


@dataclass(frozen=True)
class Coverage:
    """What of the positional errors of n sources is on the area of a catalogue.

    Attributes
    ----------
    fraction : ndarray, shape (n,)
        0 where the catalogue did not look.
    partial : ndarray of int, shape (m,)
        Sources with a fraction between 0 and 1, ascending.
    points : ndarray of bool, shape (m, 64)
        Which of the points that stand for the error region of each of these are on the area; those of one source are
        the same for all catalogues.
    """

    fraction: FloatArray
    partial: IntArray
    points: BoolArray

    @classmethod
    def of(cls, is_covered: BoolArray) -> Coverage:
        """Sources that are wholly on the area or off it."""
        return cls(is_covered.astype(float), np.zeros(0, np.int64), np.zeros((0, N_POINTS), bool))


def coverage(
    conn: Connection,
    footprint: Footprint,
    table: str,
    ra_deg: FloatArray,
    dec_deg: FloatArray,
    covariance: tuple[FloatArray, FloatArray, FloatArray],
) -> Coverage:
    """What of the positional errors of sources is on the area of a catalogue.

    Parameters
    ----------
    conn : Connection
        In a transaction, with the tables of :mod:`xcat.sky.joins`.
    table : str
        Qualified name of the catalogue's table, with a q3c index.
    covariance : tuple of ndarray, shape (n,)
        xx, xy, yy of the positions, arcsec^2, along east and north.
    """
    if not footprint.is_drawn:
        return Coverage.of(np.ones(len(ra_deg), bool))
    xx, xy, yy = covariance
    major = np.sqrt((xx + yy) / 2 + np.hypot((xx - yy) / 2, xy))
    is_on, is_uniform = footprint._on_and_uniform(ra_deg, dec_deg, _N_SIGMA * major)
    fraction = is_on.astype(float)
    unsure = np.flatnonzero(~is_uniform)
    points = np.zeros((len(unsure), N_POINTS), bool)
    radius, angle = _spread(N_POINTS)
    # the points of a Gaussian are as dense as it: that many sigmas from the centre along and across
    away = np.sqrt(-2 * np.log1p(-(radius**2)))
    along, across = away * np.cos(angle), away * np.sin(angle)
    for start in range(0, len(unsure), _SLICE):
        part = unsure[start : start + _SLICE]
        root = np.sqrt(xx[part])[:, None]  # of the covariance: a lower triangle
        east = root * along
        north = xy[part][:, None] / root * along
        north = north + np.sqrt(np.maximum(yy[part] - xy[part] ** 2 / xx[part], 0))[:, None] * across
        here = ra_deg[part], dec_deg[part], east, north
        if footprint.moc is not None:
            places = geometry.offset(ra_deg[part][:, None], dec_deg[part][:, None], east, north)
            on = footprint.contains(*(x.ravel() for x in places)).reshape(east.shape)
        else:
            assert footprint.density_map is not None
            on = _among_objects(conn, footprint.density_map, table, _N_SIGMA * major[part], *here)
        points[start : start + len(part)] = on
    fraction[unsure] = points.mean(axis=1)
    partial = (fraction[unsure] > 0) & (fraction[unsure] < 1)
    return Coverage(fraction, unsure[partial], points[partial])


def _among_objects(
    conn: Connection,
    density_map: DensityMap,
    table: str,
    reach_arcsec: FloatArray,
    ra_deg: FloatArray,
    dec_deg: FloatArray,
    east: FloatArray,
    north: FloatArray,
) -> BoolArray:
    """Whether points around positions, at these offsets in arcsec, lie among the objects of a catalogue."""
    from scipy.spatial import cKDTree

    n = len(ra_deg)
    disc = 3600 * np.sqrt(_OBJECTS_IN_DISC / (np.pi * density_map.density_per_deg2(ra_deg, dec_deg)))
    disc = np.minimum(disc, _LARGEST_DISC_ARCSEC)
    needles = {"id": np.arange(n), "ra": ra_deg, "dec": dec_deg, "radius_arcsec": 2 * disc + reach_arcsec}
    joins.copy_needles(conn, needles)
    objects = joins.positions_near(conn, table)
    if not len(objects[0]):
        return np.zeros(east.shape, bool)
    tree = cKDTree(geometry.to_vector(*objects))
    radius, angle = _spread(_N_DISCS)
    reach = (disc + reach_arcsec)[:, None]
    disc_east, disc_north = reach * radius * np.sin(angle), reach * radius * np.cos(angle)
    centre = geometry.offset(ra_deg[:, None], dec_deg[:, None], disc_east, disc_north)
    # radius of the empty disc around each centre, as far as the objects have been looked up
    empty = tree.query(geometry.to_vector(*centre))[0] / geometry.ARCSEC_RAD
    empty = np.minimum(empty, 2 * disc[:, None] + reach_arcsec[:, None] - reach * radius)
    has_empty = np.flatnonzero((empty > disc[:, None]).any(axis=1))
    # none of the others is large enough to say anything
    empty = np.where(empty > disc[:, None], empty - _EDGE * disc[:, None], 0.0)[has_empty, None, :]
    away_east = east[has_empty, :, None] - disc_east[has_empty, None, :]
    away_north = north[has_empty, :, None] - disc_north[has_empty, None, :]
    on = np.ones(east.shape, bool)
    on[has_empty] = (away_east**2 + away_north**2 >= empty**2).all(axis=2)
    return on
