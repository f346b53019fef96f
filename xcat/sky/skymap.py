"""Probability maps of the sky in HEALPix cells of any size, and their credible regions.

A cell is a range of the nested HEALPix cells of order 29, whose number ``hpx29`` every published source has: so a
source is in exactly one cell, on a border too. The credible level of a place is the probability of all that is at least
as dense as it. Cells of equal density have one level together, so the level does not depend on how the map is cut into
cells: a multi-order map and the flat map made from it give the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from xcat.arrays import BoolArray, FloatArray, IntArray
from xcat.errors import InputError
from xcat.sky import geometry
from xcat.sky.density_map import cells
from xcat.sky.distance import conditional_moments
from xcat.sky.nested import FINEST, join_ranges

if TYPE_CHECKING:
    from mocpy import MOC

SPHERE_DEG2 = 4 * np.pi * np.degrees(1) ** 2
_UNSEEN = -1.6e30  # healpy writes -1.6375e30 where a map has no value
_TOLD = 1e-6  # a sum of the probabilities that differs from 1 by more is told
_ROUNDING = 1e-12  # of sums of probabilities: a region of 0.5 ends where 0.5 is reached in one of two orders
_MOST_CONES = 10_000
_COARSEST, _FINEST_COVER = 3, 8


@dataclass(frozen=True, eq=False)
class Region:
    """The smallest part of a map that holds a probability.

    Attributes
    ----------
    level : float
        The probability that was asked for.
    probability : float
        The probability that it holds: `level` or a little more, since it consists of whole cells.
    first, last : ndarray of int, shape (n_ranges,)
        Ranges of nested HEALPix cells of order 29, both ends included, sorted; they do not touch each other.
    area_deg2 : float
    """

    level: float
    probability: float
    first: IntArray
    last: IntArray
    area_deg2: float

    def moc(self) -> MOC:
        """The region as a MOC, in the frame of the map."""
        from mocpy import MOC

        ranges = np.stack([self.first, self.last + 1], axis=-1).astype(np.uint64)
        return MOC.from_depth29_ranges(FINEST, ranges)


@dataclass(frozen=True, eq=False)
class SkyMap:
    """A map, its probabilities normalised; make it with `of_cells`.

    Attributes
    ----------
    order, first : ndarray of int, shape (n,)
        Order of every cell, and its first nested cell of order 29; sorted by `first`.
    probability : ndarray, shape (n,)
    level, denser : ndarray, shape (n,)
        Probability of all cells that are at least as dense as the cell, and of all that are denser.
    distance : ndarray, shape (2, n), optional
        DISTMU and DISTSIGMA, in Mpc; what is not finite is unknown.
    is_galactic : bool
        The cells are numbered in galactic coordinates.
    facts : dict
        What the map says of itself: file, event, date.
    notes : list of str
        What the user should know: cells that are missing, probabilities that did not add up to 1.
    """

    order: IntArray
    first: IntArray
    probability: FloatArray
    level: FloatArray
    denser: FloatArray
    distance: FloatArray | None = None
    is_galactic: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of_cells(
        cls,
        order: npt.ArrayLike,
        cell: npt.ArrayLike,
        value: npt.ArrayLike,
        *,
        is_density: bool = False,
        distance: FloatArray | None = None,
        row: IntArray | None = None,
        where: str = "the sky map",
        names: tuple[str, str] = ("UNIQ", "PROB"),
        **more: Any,
    ) -> SkyMap:
        """Make a map of HEALPix cells in any order.

        Parameters
        ----------
        order, cell : array_like of int, shape (n,)
            Order and number, nested, of every cell.
        value : array_like, shape (n,)
            Probability of the cell, or probability per steradian with `is_density`.
        distance : ndarray, shape (2, n), optional
            DISTMU and DISTSIGMA, in Mpc.
        row : ndarray of int, optional
            Number of the row that each cell has in messages; from 1 in their order if not given.
        where : str
            What to call the map in messages.
        names : tuple of str
            What to call the columns of cells and values in messages.
        **more
            Other attributes of the map.

        Raises
        ------
        InputError
            A value is negative or not finite, all are 0, or cells overlap.
        """
        order, cell = np.asarray(order, np.int64), np.asarray(cell, np.int64)
        value = np.asarray(value, np.float64)
        row = np.arange(1, len(cell) + 1) if row is None else row
        if not len(cell):
            raise InputError(f"{where}: the map has no cell with a value")
        check_values(value, where, names[1], row)
        first = cell << 2 * (FINEST - order)
        at = np.argsort(first, kind="stable")
        order, first, value, row = order[at], first[at], value[at], row[at]
        _check_overlaps(order, first, row, where, names[0])
        # exact, since powers of four are: cells of equal density stay equal, whatever their order
        share = np.ldexp(1.0, -2 * order)
        density = value if is_density else value / share
        value = value * share * (4 * np.pi / 12) if is_density else value
        total = float(value.sum())
        if not 0 < total < np.inf:
            problem = "all are 0" if total == 0 else "their sum is too large for a number"
            raise InputError(f"{where}: column '{names[1]}' has no probabilities: {problem}")
        level, denser = _levels(density, value / total)
        notes = list(more.pop("notes", ()))
        if abs(total - 1) > _TOLD:
            notes.append(f"{where}: the probabilities add up to {total:.7g}; they were divided by it")
        covered = float(share.sum()) / 12
        if covered < 1 - 1e-12:
            notes.append(f"{where}: the cells cover {covered:.4%} of the sky; elsewhere the probability is taken as 0")
        distance = None if distance is None else distance[:, at]
        return cls(order, first, value / total, level, denser, distance, notes=notes, **more)

    @cached_property
    def density_per_deg2(self) -> FloatArray:
        """Probability per square degree of every cell."""
        return np.asarray(self.probability / self._area_deg2)

    @cached_property
    def _area_deg2(self) -> FloatArray:
        return np.asarray(SPHERE_DEG2 / 12 * np.ldexp(1.0, -2 * self.order))

    @cached_property
    def _last(self) -> IntArray:
        return self.first + (np.int64(1) << 2 * (FINEST - self.order)) - 1

    def cell_of(self, ra_deg: FloatArray, dec_deg: FloatArray) -> IntArray:
        """Index of the cell that each position is in, -1 for none; shape (n,)."""
        at = geometry.to_galactic(ra_deg, dec_deg) if self.is_galactic else (ra_deg, dec_deg)
        return self.cell_at(cells(*at, FINEST))

    def cell_at(self, hpx29: IntArray) -> IntArray:
        """Index of the cell that each nested cell of order 29, of the map's frame, is in, -1 for none."""
        i = np.searchsorted(self.first, hpx29, side="right") - 1
        return np.where((i >= 0) & (hpx29 <= self._last[i]), i, -1)

    def is_in(self, level: float) -> BoolArray:
        """Which cells are in the credible region of a level: the densest, until they hold the probability."""
        inside = self.probability > 0
        return inside if level >= 1 else np.asarray(inside & (self.denser < level - _ROUNDING))

    def region(self, level: float) -> Region:
        """The credible region of a level above 0 and up to 1."""
        inside = self.is_in(level)
        first, last = join_ranges(self.first[inside], self._last[inside])
        area, probability = float(self._area_deg2[inside].sum()), float(self.probability[inside].sum())
        return Region(level, probability, first, last, area)

    def equatorial_ranges(self, region: Region) -> tuple[IntArray, IntArray]:
        """Ranges of ``hpx29`` that hold the region; of a galactic map a little more, so `cell_of` decides."""
        if not self.is_galactic:
            return region.first, region.last
        import astropy.units as u
        from astropy_healpix import healpix_to_lonlat, level_to_nside, nside_to_pixel_resolution
        from mocpy import MOC

        for order in range(_FINEST_COVER, _COARSEST - 1, -1):
            shift = 2 * (FINEST - order)
            first, last = join_ranges(region.first >> shift, region.last >> shift)
            if (last - first + 1).sum() <= _MOST_CONES:
                break
        nside = level_to_nside(order)
        coarse = np.concatenate([np.arange(a, b + 1) for a, b in zip(first, last, strict=True)])
        lon, lat = healpix_to_lonlat(coarse, nside, order="nested")
        ra, dec = geometry.from_galactic(lon.to_value(u.deg), lat.to_value(u.deg))
        # no corner of a cell is farther from its middle than twice the root of its area
        radius = 2 * nside_to_pixel_resolution(nside).to(u.deg)
        cones = MOC.from_cones(
            ra * u.deg, dec * u.deg, radius=radius, max_depth=order + 2, union_strategy="large_cones"
        )
        ranges = cones.to_depth29_ranges.astype(np.int64)
        return ranges[:, 0], ranges[:, 1] - 1

    def distance_mpc(self, i: IntArray) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation of the distance, if the event is in each of some cells; NaN for unknown."""
        if self.distance is None:
            return np.full(len(i), np.nan), np.full(len(i), np.nan)
        return conditional_moments(*self.distance[:, i])


def check_values(value: FloatArray, where: str, name: str, row: IntArray) -> None:
    """Refuse what is no probability.

    Raises
    ------
    InputError
        A value is negative or not finite; the message names its row.
    """
    if not len(value) or (value.min() >= 0 and value.max() < np.inf):
        return
    wrong = np.flatnonzero(~((value >= 0) & (value < np.inf)))
    more = f" and {len(wrong) - 1:,} more rows" if len(wrong) > 1 else ""
    raise InputError(
        f"{where}: column '{name}', row {row[wrong[0]]:,}{more}: {value[wrong[0]]:g} is no probability, which is a "
        "finite number from 0. If this column holds something else, name the right one with --column"
    )


def is_unseen(value: FloatArray) -> BoolArray:
    """Which values of a flat map mean that the pixel has none."""
    return np.asarray(value < _UNSEEN)


def _check_overlaps(order: IntArray, first: IntArray, row: IntArray, where: str, name: str) -> None:
    end = first + (np.int64(1) << 2 * (FINEST - order))
    # cells are nested or apart: if any two overlap, two that are beside each other in this order do
    overlaps = np.flatnonzero(end[:-1] > first[1:])
    if len(overlaps):
        i = overlaps[0]
        what = "the same cell twice" if order[i] == order[i + 1] else "cells that overlap"
        one, other = sorted((int(row[i]), int(row[i + 1])))
        raise InputError(
            f"{where}: column '{name}', rows {one:,} and {other:,}: {what}; {len(overlaps):,} such pairs. "
            "Every place must be in one cell at most: make the map again"
        )


def _levels(density: FloatArray, probability: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Probability of what is at least as dense as each cell, and of what is denser."""
    at = np.argsort(-density, kind="stable")
    total = np.cumsum(probability[at])
    is_new = np.diff(density[at], prepend=np.inf) != 0
    group, starts = np.cumsum(is_new) - 1, np.flatnonzero(is_new)
    up_to = np.append(total[starts[1:] - 1], 1.0)  # the whole is 1, whatever the rounding
    up_to = np.minimum(up_to, 1.0)
    level, denser = np.empty(len(at)), np.empty(len(at))
    level[at], denser[at] = up_to[group], np.append(0.0, up_to[:-1])[group]
    return level, denser
