"""How much of the sky with objects has objects in another table, too."""

from __future__ import annotations

import numpy as np

from xcat.arrays import IntArray

_OBJECTS_IN_CELL = 8  # on average, lest a cell be empty by chance
FINEST, _COARSEST = 8, 5  # orders of the cells


def occupied_deg2(old: IntArray, n_objects: IntArray, new: IntArray, base_cells: int) -> tuple[float, float]:
    """Square degrees with objects in one table, and the part of them that has objects in another one, too.

    Parameters
    ----------
    old, n_objects : (n,) arrays
        Cells of order `FINEST` with objects of the one table, and their numbers. Four cells that belong
        together have numbers that differ in the last two bits.
    new : (m,) array
        Cells with objects of the other table.
    base_cells : int
        Cells of order 0: 6 of q3c, 12 of HEALPix.

    Notes
    -----
    In cells of several objects on average, or of 2 degrees: fewer may be gone by chance.
    """
    cells, order = old, FINEST
    while order > _COARSEST and n_objects.sum() < _OBJECTS_IN_CELL * len(cells):
        cells, order = np.unique(cells >> 2), order - 1
    others = new >> 2 * (FINEST - order)
    cell_deg2 = 129600 / np.pi / (base_cells * 4**order)
    return len(cells) * cell_deg2, int(np.isin(cells, others).sum()) * cell_deg2
