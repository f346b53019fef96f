"""Groups of labelled sources that must stay in one fold: one physical object, one cell of the sky."""

from __future__ import annotations

import numpy as np

from xcat.arrays import FloatArray, IntArray, components
from xcat.sky import geometry

SAME_ARCSEC = 1.0
"""Rows of a table closer than this are one physical object."""
CELL_DEG = 1.4


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


def sky_cells(ra: FloatArray, dec: FloatArray, size_deg: float = CELL_DEG) -> IntArray:
    """Cell number of each position (degrees): bands of declination cut to squares; one per source without position."""
    has_position = np.isfinite(ra) & np.isfinite(dec)
    band = np.floor((np.where(has_position, dec, 0.0) + 90.0) / size_deg)
    middle = np.radians(np.clip((band + 0.5) * size_deg - 90.0, -90.0, 90.0))
    n_cells = np.maximum(np.round(360.0 * np.cos(middle) / size_deg), 1)
    cell = band * 1000 + np.floor(np.where(has_position, ra, 0.0) % 360.0 / 360.0 * n_cells)
    return np.where(has_position, cell, -1.0 - np.arange(ra.size)).astype(np.int64)
