"""Groups of labelled sources that must stay in one fold: a physical object, a cell of the sky, a literature source."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xcat.arrays import BoolArray, FloatArray, IntArray, components
from xcat.sky import geometry

SAME_ARCSEC = 1.0
"""Rows of a table closer than this are one physical object."""
CELL_DEG = 1.4
LEAST_ORIGINS = 3
"""A class with labels of fewer literature sources is divided by cells of the sky."""


def joined(*keys: np.ndarray) -> IntArray:
    """Group sources that share any of the keys, each (N,) or (N, C), (N,) int64."""
    n = keys[0].shape[0]
    rows, columns, offset = [], [], n
    for key in keys:
        _, same = np.unique(key, axis=0, return_inverse=True)
        rows.append(np.arange(n))
        columns.append(offset + same.ravel())
        offset += int(same.max(initial=-1)) + 1
    row, column = np.concatenate(rows), np.concatenate(columns)
    return components(offset, row, column)[:n]


def neighbours(ra: FloatArray, dec: FloatArray, radius_arcsec: float = SAME_ARCSEC) -> IntArray:
    """Group positions (degrees) that are closer than the radius; a source without a position is a group."""
    usable = np.flatnonzero(np.isfinite(ra) & np.isfinite(dec))
    first, second = geometry.close_pairs(ra[usable], dec[usable], radius_arcsec).T
    return components(ra.size, usable[first], usable[second])


def near(position: FloatArray, others: FloatArray, radius_arcsec: float) -> BoolArray:
    """Which positions, (N, 2) degrees, have one of the others, (M, 2), within the radius, (N,)."""
    n = len(position)
    together = np.concatenate([position, others])
    usable = np.flatnonzero(np.isfinite(together).all(axis=1))
    pairs = usable[geometry.close_pairs(together[usable, 0], together[usable, 1], radius_arcsec)]
    found = np.zeros(n, dtype=bool)
    found[pairs[(pairs[:, 0] < n) & (pairs[:, 1] >= n), 0]] = True  # the first of a pair has the smaller number
    return found


def sky_cells(ra: FloatArray, dec: FloatArray, size_deg: float = CELL_DEG) -> IntArray:
    """Cell number of each position (degrees): bands of declination cut to squares; one per source without position."""
    has_position = np.isfinite(ra) & np.isfinite(dec)
    band = np.floor((np.where(has_position, dec, 0.0) + 90.0) / size_deg)
    middle = np.radians(np.clip((band + 0.5) * size_deg - 90.0, -90.0, 90.0))
    n_cells = np.maximum(np.round(360.0 * np.cos(middle) / size_deg), 1)
    cell = band * 1000 + np.floor(np.where(has_position, ra, 0.0) % 360.0 / 360.0 * n_cells)
    return np.where(has_position, cell, -1.0 - np.arange(ra.size)).astype(np.int64)


def by_origin(
    origin: np.ndarray, label: IntArray, classes: Sequence[str], source: IntArray, cell: IntArray
) -> tuple[IntArray | None, list[str]]:
    """Group labelled sources by the literature source of their label, within each class.

    Parameters
    ----------
    origin : (N,) str
        Literature source of each label; empty: not known.
    label : (N,) int64
    source, cell : (N,) int64
        Groups of physical objects, which stay together, and cells of the sky, which divide the classes of fewer than
        `LEAST_ORIGINS` literature sources and labels of unknown origin.

    Returns
    -------
    (N,) int64 or None
        None if no class has labels of that many literature sources.
    list of str
        One line per class: how it is divided.
    """
    key, lines = np.stack([np.full(label.size, -1), cell], axis=1), []
    for k, name in enumerate(classes):
        members = np.flatnonzero((label == k) & (origin != ""))
        names, number, n = np.unique(origin[members], return_inverse=True, return_counts=True)
        whole = np.stack([np.full(members.size, k), number], axis=1)
        # objects with labels of two origins join these
        n_apart = np.unique(joined(source[members], whole)).size
        sources = f"{names.size:,} literature source{'s' if names.size != 1 else ''}"
        if n_apart < LEAST_ORIGINS:
            shared = f", {n_apart} of them without common objects" if n_apart < names.size else ""
            lines.append(f"by origin: {name} has labels of {sources}{shared}, and is divided by cells of the sky")
            continue
        key[members] = whole
        n_class = int((label == k).sum())
        uneven = ": the folds are uneven" if 2 * n.max() > n_class else ""
        rest = f"; {n_class - members.size:,} of unknown origin are divided by cells of the sky"
        lines.append(
            f"by origin: {name} has labels of {sources}; the largest, {names[n.argmax()]}, has {n.max():,} of "
            f"{n_class:,} labels{uneven}{rest if n_class > members.size else ''}"
        )
    return (joined(source, key) if np.any(key[:, 0] >= 0) else None), lines
