"""The term of a property, looked up in its table for many sources at once.

Every value is located once: its row in the table serves the term in all classes, the outlier measure, and the place in
the replicates.
"""

from dataclasses import dataclass

import numpy as np

from xcat.arrays import BoolArray, FloatArray, IntArray
from xcat.classifier.density import FIRST_NODE, HIGH_WALL, LOW_WALL, MISSING, NOT_OBSERVED, Table, levels
from xcat.classifier.sample import Column


@dataclass(frozen=True, eq=False)
class Located:
    """Where the values of a property are in its table.

    Attributes
    ----------
    row : (N,) int64
        Row of `Table.rows`.
    fraction : (N,) float64
        How far on the way to the next row.
    level : (N,) int64 or None
        Level of the errors; None: no table for values with errors is needed.
    log_jacobian : (N,) float64 or None
        What is added to the term of a value between two nodes.
    """

    row: IntArray
    fraction: FloatArray
    level: IntArray | None
    log_jacobian: FloatArray | None


def located(table: Table, column: Column) -> Located:
    """Find the values of a column, and what stands for them, in the table of the property."""
    x, limit = column.x, column.limit
    row, fraction = node_of(table, x)
    row += FIRST_NODE
    level = None
    if table.log_smeared is not None and column.error is not None:
        level = levels(column.error, table.step, table.typical_error)
        row += len(table.log_density) * level
    if table.log_atoms is not None:
        for at, wall, log_atom in zip((LOW_WALL, HIGH_WALL), (table.low, table.high), table.log_atoms, strict=True):
            if log_atom[0] > -np.inf:
                _put(row, fraction, x == wall, at)
    missing = np.isnan(x)
    _put(row, fraction, missing, MISSING)
    if table.log_above is not None and limit is not None:
        limited = np.flatnonzero(missing & ~np.isnan(limit))
        node, fraction[limited] = node_of(table, np.asarray(limit[limited], dtype=np.float64))
        row[limited] = table.first_limit + node
    _put(row, fraction, x == np.inf, NOT_OBSERVED)
    return Located(row, fraction, level, column.log_jacobian)


def _put(row: IntArray, fraction: FloatArray, chosen: BoolArray, at: int) -> None:
    row[chosen], fraction[chosen] = at, 0.0


def looked_up(table: Table, at: Located, classes: BoolArray | None = None) -> FloatArray:
    """Term of a property in all classes, or in some, (N, K); the values of a class follow each other in memory."""
    inside = interpolated(table.rows if classes is None else table.rows[classes], at.row, at.fraction)
    if at.log_jacobian is not None:
        inside += np.where((at.row >= FIRST_NODE) & (at.row < table.first_limit), at.log_jacobian, 0.0)[:, None]
    return inside


def shortfall(table: Table, at: Located, class_index: IntArray) -> FloatArray:
    """By how much the term of each source in its class is below the largest that it could be there, (N,).

    The largest given the source's error, and whether it has a value; what a shift does to both is left out.
    """
    common = np.maximum(table.log_present, table.log_missing)
    # of a value by its level, then of a missing one, of one not observed, and of a limit
    best = np.concatenate([table.log_peak + common, [common, np.zeros_like(common), table.log_present]])
    kind = np.zeros_like(at.row) if at.level is None else at.level.copy()
    for number, rows in enumerate((at.row == MISSING, at.row == NOT_OBSERVED, at.row >= table.first_limit), -3):
        kind[rows] = len(best) + number
    every = table.rows.ravel()
    row = class_index * table.rows.shape[1] + at.row
    inside = every[row]
    inside += at.fraction * (every[row + 1] - inside)
    return np.asarray(best.ravel()[kind * best.shape[1] + class_index] - inside)


def node_of(table: Table, x: FloatArray) -> tuple[IntArray, FloatArray]:
    """Node below every value, and the fraction of the step beyond it; kept inside the table, also what is no number."""
    last = len(table.log_density) - 1
    position = np.minimum((np.fmax(np.fmin(x, table.high), table.low) - table.low) / table.step, last)
    node = np.minimum(position.astype(np.int64), last - 1)
    return node, position - node


def interpolated(rows: FloatArray, row: IntArray, fraction: FloatArray) -> FloatArray:
    """Linear interpolation between rows, (K, rows), and those after them: (N, K)."""
    value = np.empty((len(rows), len(row)))
    # class by class: NumPy is slow along a short last axis
    for of_class, out in zip(rows, value, strict=True):
        below = np.take(of_class, row)
        np.take(of_class[1:], row, out=out, mode="clip")
        out -= below
        out *= fraction
        out += below
    return value.T
