"""The term of a property, looked up in its table for many sources at once."""

import numpy as np

from xcat.arrays import FloatArray, IntArray
from xcat.classifier.density import Table, levels
from xcat.classifier.sample import Column


def looked_up(table: Table, column: Column) -> FloatArray:
    """Term of a property in the classes of a table, (N, K)."""
    scaled, error, limit = column.x, column.error, column.limit
    missing, unobserved = np.isnan(scaled), scaled == np.inf
    node, fraction = node_of(table, np.where(missing | unobserved, table.low, scaled))
    inside = interpolated(table.log_density, node, fraction)
    if table.log_smeared is not None and error is not None:
        level = levels(error, table.step, table.typical_error)
        noisy = np.flatnonzero((level > 0) & ~missing & ~unobserved)
        at, rest, rung = node[noisy], fraction[noisy], level[noisy] - 1
        lower = table.log_smeared[rung, at]
        inside[noisy] = lower + rest[:, None] * (table.log_smeared[rung, at + 1] - lower)
    if column.log_jacobian is not None:
        inside += column.log_jacobian[:, None]
    if table.log_atoms is not None:
        for end, wall in enumerate((table.low, table.high)):
            if table.log_atoms[end, 0] > -np.inf:
                inside[scaled == wall] = table.log_atoms[end]
    inside += table.log_present
    inside[missing] = table.log_missing
    if table.log_above is not None and limit is not None:
        limited = np.flatnonzero(missing & ~np.isnan(limit))
        at, rest = node_of(table, np.clip(np.asarray(limit[limited], dtype=np.float64), table.low, table.high))
        inside[limited] = interpolated(table.log_above, at, rest) + table.log_present
    inside[unobserved] = 0.0
    return inside


def highest(table: Table, column: Column) -> FloatArray:
    """Largest value of `looked_up`, given the errors and which values are missing, (N, K)."""
    x, error, limit = column.x, column.error, column.limit
    peak = table.log_peak
    if table.log_smeared is not None and error is not None:
        ladder = np.concatenate([table.log_density[None], table.log_smeared]).max(axis=1)
        if table.log_atoms is not None:
            ladder = np.maximum(ladder, table.log_atoms.max(axis=0))
        peak = ladder[levels(error, table.step, table.typical_error)]
    if column.log_jacobian is not None:
        peak = peak + column.log_jacobian[:, None]
    common = np.maximum(table.log_present, table.log_missing)
    best = np.where((x < np.inf)[:, None], common + peak, common)
    if limit is not None:
        best[np.isnan(x) & ~np.isnan(limit)] = table.log_present
    best[x == np.inf] = 0.0
    return best


def node_of(table: Table, x: FloatArray) -> tuple[IntArray, FloatArray]:
    """Node below every value, and the fraction of the step beyond it; kept inside the table."""
    last = len(table.log_density) - 1
    position = np.minimum((np.clip(x, table.low, table.high) - table.low) / table.step, last)
    node = np.minimum(position.astype(np.int64), last - 1)
    return node, position - node


def interpolated(at_nodes: FloatArray, node: IntArray, fraction: FloatArray) -> FloatArray:
    """Linear interpolation between the nodes, (N, K)."""
    below = np.take(at_nodes, node, axis=0)
    # for one source the differences of the whole table would take most of the time
    few = len(node) < len(at_nodes)
    value = at_nodes[node + 1] - below if few else np.take(np.diff(at_nodes, axis=0), node, axis=0)
    value *= fraction[:, None]
    value += below
    return np.asarray(value)
