"""Nested HEALPix cells: their multi-order numbers, equal cells joined, ranges joined."""

from __future__ import annotations

import numpy as np

from xcat.arrays import FloatArray, IntArray

FINEST = 29

Cells = tuple[IntArray, IntArray, FloatArray]
"""Orders, numbers, and values of cells: shape (n,), (n,), (n_columns, n)."""


def of_uniq(uniq: IntArray) -> tuple[IntArray, IntArray]:
    """Order and number of multi-order numbers (UNIQ), 4^(order + 1) + number; exact, as whole numbers are."""
    order = np.searchsorted(np.int64(4) ** np.arange(1, FINEST + 2), uniq, side="right") - 1
    return order, uniq - (np.int64(4) << 2 * order)


def join_cells(order: int, cell: IntArray, values: FloatArray) -> list[Cells]:
    """Make four equal cells one, as often as that goes.

    Parameters
    ----------
    order : int
        Order of all cells.
    cell : ndarray of int, shape (n,)
        Their numbers, sorted.
    values : ndarray, shape (n_columns, n)
        Cells are equal if all their values are. A joined cell has the values of each of its parts, not their sum.

    Returns
    -------
    list of (orders, cells, values)
        The cells that stay, order by order.
    """
    found: list[Cells] = []
    if order >= 3 and len(cell) % 64 == 0 and len(cell) and cell[0] % 64 == 0 and cell[-1] - cell[0] == len(cell) - 1:
        # three times at once, since a map of an event is one value nearly everywhere
        blocks = values.reshape(len(values), -1, 64)
        equal = (blocks == blocks[..., :1]).all(axis=(0, 2))
        if equal.any():
            found = join_cells(order - 3, cell[::64][equal] >> 6, blocks[:, equal, 0])
            if equal.all():
                return found
            cell = cell.reshape(-1, 64)[~equal].ravel()
            values = blocks[:, ~equal].reshape(len(values), -1)
    while order and len(cell) >= 4:
        is_whole = len(cell) % 4 == 0 and cell[0] % 4 == 0 and cell[-1] - cell[0] == len(cell) - 1
        if is_whole:
            first, quads = np.arange(0, len(cell), 4), values.reshape(len(values), -1, 4)
        else:
            first = np.flatnonzero((cell[:-3] % 4 == 0) & (cell[3:] == cell[:-3] + 3))
            quads = values[:, first[:, None] + np.arange(4)]
        equal = np.logical_and.reduce([(quads[..., i] == quads[..., 0]).all(axis=0) for i in (1, 2, 3)])
        if not equal.any():
            break
        if not (is_whole and equal.all()):
            alone = np.ones(len(cell), bool)
            alone[(first[equal][:, None] + np.arange(4)).ravel()] = False
            found.append((np.full(alone.sum(), order), cell[alone], values[:, alone]))
        cell, values, order = cell[first[equal]] >> 2, quads[:, equal, 0], order - 1
    found.append((np.full(len(cell), order), cell, values))
    return found


def join_ranges(first: IntArray, last: IntArray) -> tuple[IntArray, IntArray]:
    """Join sorted ranges where they touch or overlap; both ends belong to a range."""
    if not len(first):
        return first, last
    is_apart = first[1:] > last[:-1] + 1
    return first[np.append(True, is_apart)], last[np.append(is_apart, True)]
