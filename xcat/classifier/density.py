"""Densities of one property in every class, tabulated as natural-log density on a uniform grid of nodes.

The values are counted in cells, four per distance between two nodes, and the counts are smoothed through their
cosine transform: a Gaussian kernel on a segment with reflecting ends is exactly a damping of the cosine coefficients
[1]_. Walls of the property are ends of that segment; at an end that is not a wall the segment is extended by half the
range, so that the kernel can extend beyond it, and cut off afterwards. Counts are additive, so the tables that leave
out a fold cost a sum and a transform, not another pass over the sources.

The bandwidth is that of Improved Sheather-Jones [1]_, from the same coefficients, times a factor that
cross-validation chooses (`xcat.classifier.crossval`).

A value with an error is looked up in the density smoothed once more by that error, which is again a damping: tables
are kept for a ladder of errors. A lower limit is looked up in the integral of the density beyond it.

References
----------
.. [1] Botev, Grotowski & Kroese 2010, "Kernel density estimation via diffusion", Ann. Statist. 38, 2916.
.. [2] Turnbull 1976, "The empirical distribution function with arbitrarily grouped, censored and truncated data",
   J. R. Statist. Soc. B 38, 290: self-consistency.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property, reduce
from operator import add

import numpy as np
from numpy.typing import NDArray

from xcat.arrays import FloatArray, IntArray
from xcat.classifier.kernels import CELLS_PER_STEP, Kernels, completed
from xcat.columns.properties import Property, of_light_curves, shift_of

N_NODES = 257
N_CELLS = CELLS_PER_STEP * (N_NODES - 1)
N_SLOTS = 2 * N_CELLS + 4
"""Cells of values, lower and upper wall, cells of limits, missing, not observed."""

LEAST_FLOOR = 0.001
"""Least share of the pooled density in a table: no single value may rule a class out."""
FLAT_SHARE = 0.1
"""Share of the flat density in the pooled one."""

TAIL_DECADES = 10.0
"""Decrease of every density beyond the ends of its table, in decades per length of the table. It is the same for all
classes: no data show which has the longer tail, so a value beyond leaves their ratios as they are at the end."""

BANDWIDTH_FACTORS = (1.0, 1.6)
"""Factors on a bandwidth to try; the smallest first, which is taken where none is better."""
LEAST_GAIN = 4.0
"""Gain of the log-likelihood, in nats, from which on another factor than 1 is believed: less is noise."""

NOT_OBSERVED, MISSING, LOW_WALL, HIGH_WALL, FIRST_NODE = range(5)
"""The first rows of a table; see `Table.rows`."""
LEAST_ATOM = -1e3
"""Stands for the log of the probability 0 of a wall that is none: nothing is looked up there."""

N_LEVELS = 18
"""Tables in the ladder of errors: the first for exact values, the others for sigmas of 1, sqrt(2), 2, ... steps, up to
the length of the table, where a value carries next to no information."""
ALL_RUNGS = np.arange(1, N_LEVELS)
"""The levels of values with an error."""


@dataclass(frozen=True, eq=False)
class Counts:
    """Values of one property, counted by class: all that its tables are made of. Counts may be added.

    Attributes
    ----------
    cells : (K, M) float64
        Values in each cell of the range; those outside it are in the first or the last cell. Sums of probabilities
        where a source has several counterpart hypotheses.
    atoms : (K, 2) float64
        Values that lie on the lower and on the upper wall; not in `cells`.
    above : (K, M) float64
        Lower limits in each cell, of missing values.
    missing : (K,) float64
        Sources that were observed and have neither value nor limit.
    """

    cells: FloatArray
    atoms: FloatArray
    above: FloatArray
    missing: FloatArray

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    @property
    def n_present(self) -> FloatArray:
        """Sources of each class with a value, (K,)."""
        return np.asarray(self.cells.sum(axis=1) + self.atoms.sum(axis=1))


@dataclass(frozen=True, eq=False)
class Table:
    """One property in K classes.

    Attributes
    ----------
    low, step : float
        First node and distance of the nodes, on the property's scale.
    log_density : (G, K) float64
        Natural log of the density at the nodes, per unit of the property's scale. Interpolated linearly, it integrates
        to 1 over the range, or to what the atoms leave.
    log_smeared : (N_LEVELS - 1, G, K) float64 or None
        The same for values with an error of step * sqrt(2)^(level - 1), if the property has errors.
    log_atoms : (2, K) float64 or None
        Log of the probability of a value on the lower and the upper wall, per step of the table; minus infinity at an
        end that is not a wall, None if neither is.
    log_above : (G, K) float64 or None
        Log of the probability of a value beyond the node, if the property has limits or is a hardness ratio.
    tail_slope : float
        Decrease of log_density per unit of scale beyond the ends.
    log_present, log_missing : (K,) float64
        Log of the probability that an observed source has a value (or limit), and that it has neither; 0 for properties
        of light curves, of which people choose the sources.
    bandwidth : (K,) float64
        Standard deviation of the kernel, on the property's scale.
    typical_error : float
        Median error of the values in the tables, which are blurred by it already.
    n_present : (K,) float64
        Labelled sources of the class that have a value.
    """

    low: float
    step: float
    log_density: FloatArray
    log_smeared: FloatArray | None
    log_atoms: FloatArray | None
    log_above: FloatArray | None
    tail_slope: float
    log_present: FloatArray
    log_missing: FloatArray
    bandwidth: FloatArray
    typical_error: float
    n_present: FloatArray

    @property
    def high(self) -> float:
        """Last node."""
        return self.low + (len(self.log_density) - 1) * self.step

    @cached_property
    def rows(self) -> FloatArray:
        """What the term of a property can be, (K, rows): every value looked up is in one row, or between two.

        The rows are those of values that are not observed and of missing ones, of values on the lower and the upper
        wall, then the nodes of `log_density`, those of every level of `log_smeared`, and those of `log_above`.
        """
        k = self.log_density.shape[1]
        walls = np.zeros((2, k)) if self.log_atoms is None else np.maximum(self.log_atoms, LEAST_ATOM)
        nodes = [self.log_density, *(() if self.log_smeared is None else self.log_smeared)]
        if self.log_above is not None:
            nodes.append(self.log_above)
        present = np.concatenate([walls, *nodes]) + self.log_present
        return np.ascontiguousarray(np.concatenate([np.zeros((1, k)), self.log_missing[None], present]).T)

    @property
    def first_limit(self) -> int:
        """Row from which on the `rows` are those of limits."""
        return FIRST_NODE + len(self.log_density) * (1 if self.log_smeared is None else N_LEVELS)

    @cached_property
    def log_peak(self) -> FloatArray:
        """Largest log density or atom of each class, for values of every level of errors, (levels, K)."""
        peak = self.log_density.max(axis=0)[None]
        if self.log_smeared is not None:
            peak = np.concatenate([peak, self.log_smeared.max(axis=1)])
        return np.asarray(peak if self.log_atoms is None else np.maximum(peak, self.log_atoms.max(axis=0)))


def cells(x_scaled: FloatArray, prop: Property, n_cells: int = N_CELLS) -> IntArray:
    """Cell of every value, none of them NaN; values outside the range are in the first or the last cell."""
    inside = np.clip(x_scaled, prop.low, prop.high)
    return np.minimum((inside - prop.low) * (n_cells / prop.width), n_cells - 1).astype(np.int64)


def levels(error: NDArray[np.floating], step: float, typical_error: float) -> IntArray:
    """Level of the ladder for every error: 0 without an error, or for one below the typical error of the tables."""
    sigma = np.minimum(np.nan_to_num(np.asarray(error, dtype=np.float64)), 1e100)  # so that squaring does not overflow
    excess = np.sqrt(np.maximum(sigma**2 - typical_error**2, 0.0))
    steps = np.maximum(excess / step, 1e-9)
    return np.clip(np.rint(1.0 + 2.0 * np.log2(steps)), 0, N_LEVELS - 1).astype(np.int64)


def count_values(
    x_scaled: FloatArray,
    label: IntArray,
    n_classes: int,
    prop: Property,
    weight: FloatArray | None = None,
    limit: NDArray[np.floating] | None = None,
) -> Counts:
    """Count the values of one property; each row counts with its weight, and as `slots` says."""
    w = np.ones(x_scaled.size) if weight is None else weight
    flat = np.bincount(label * N_SLOTS + slots(x_scaled, prop, limit), w, n_classes * N_SLOTS)
    return counts_of_slots(flat.astype(np.float64).reshape(n_classes, N_SLOTS))


def slots(x_scaled: FloatArray, prop: Property, limit: NDArray[np.floating] | None = None) -> IntArray:
    """Where each value of a property is counted, (n,): a number below `N_SLOTS`.

    Parameters
    ----------
    x_scaled : (n,) float64
        On the property's scale; NaN: missing, +inf: not observed.
    limit : (n,) array, optional
        Lower limits of missing values; NaN: no limit.
    """
    slot = np.full(x_scaled.size, N_SLOTS - 1)  # not observed
    absent = np.isnan(x_scaled)
    slot[absent] = N_SLOTS - 2
    present = ~absent & (x_scaled != np.inf)
    slot[present] = cells(x_scaled[present], prop)
    for end, (wall, bounded) in enumerate(((prop.low, prop.bounded_low), (prop.high, prop.bounded_high))):
        if bounded:
            slot[present & (x_scaled == wall)] = N_CELLS + end
    if limit is not None:
        limited = absent & ~np.isnan(limit)
        slot[limited] = N_CELLS + 2 + cells(np.asarray(limit[limited], dtype=np.float64), prop)
    return slot


def counts_of_slots(counted: FloatArray) -> Counts:
    """Counts of a property from those in its slots, (K, N_SLOTS)."""
    limits = N_CELLS + 2
    return Counts(counted[:, :N_CELLS], counted[:, N_CELLS:limits], counted[:, limits:-2], counted[:, -2])


def table_of_counts(
    counts: Counts,
    prop: Property,
    smoothing: float | FloatArray = 1.0,
    typical_error: float | None = None,
    bandwidth: FloatArray | None = None,
) -> Table:
    """Make the table of a property; see `tables_of_counts`."""
    return tables_of_counts([counts], prop, smoothing, typical_error, None if bandwidth is None else [bandwidth])[0]


def tables_of_counts(
    parts: Sequence[Counts],
    prop: Property,
    smoothing: float | FloatArray = 1.0,
    typical_error: float | None = None,
    bandwidths: Sequence[FloatArray] | None = None,
    rungs: IntArray = ALL_RUNGS,
) -> list[Table]:
    """Make the tables of a property for several samples, which is faster than one by one.

    Parameters
    ----------
    parts : sequence of Counts
        Of each sample, all with K classes.
    smoothing : float or (K,) float64
        Factor on the bandwidths.
    typical_error : float, optional
        Median error of the values, on the scale; if given, the ladder for values with errors is made.
    bandwidths : sequence of (K,) float64, optional
        Of each sample: bandwidths to be multiplied by `smoothing`, instead of estimated ones; NaN: to be estimated.
    rungs : (R,) int64
        Levels of the ladder that are made, from 1; those that nobody will look up may be left out, and are NaN.

    Notes
    -----
    The density is (1 - e) kernel density + e pooled density, with e = max(0.001, 1 / (n + 2)): Laplace's probability
    that the next member is unlike the n seen so far. The table of a class of three members is one fifth pooled density,
    that of a class of a hundred one hundredth. The pooled density is the mean of the classes' kernel densities, with a
    flat share of one tenth.

    Lower limits are spread over the cells beyond them in proportion to the density there, iterated until that is
    self-consistent [2]_: otherwise the density would be that of the bright sources.
    """
    k, m = parts[0].cells.shape
    n_nodes = m // CELLS_PER_STEP + 1
    step = prop.width / (n_nodes - 1)
    factor = np.tile(np.broadcast_to(smoothing, k), len(parts))
    given = None if bandwidths is None else np.concatenate(bandwidths) * factor
    kernels = Kernels(np.concatenate([counts.cells for counts in parts]), prop, factor, given)
    has_limits = any(counts.above.any() for counts in parts)
    if has_limits:
        above = np.concatenate([counts.above for counts in parts])
        kernels = completed(kernels, np.concatenate([counts.cells for counts in parts]), above, len(parts))
    # a hardness ratio that gas has changed a lot is looked up in the integral
    is_integrated = has_limits or (prop.bounded_low and prop.bounded_high and shift_of(prop.name) is not None)
    made = [0, *rungs] if typical_error is not None else [0]
    errors = np.concatenate([[0.0], step * 2.0 ** (np.arange(N_LEVELS - 1) / 2)])[made]
    dense = kernels.density(kernels.damping(errors)).reshape(len(errors), n_nodes, len(parts), k)
    pooled = dense.mean(axis=3, keepdims=True) * (1.0 - FLAT_SHARE) + FLAT_SHARE / prop.width
    is_wall = np.array([prop.bounded_low, prop.bounded_high])
    n_kernels, bandwidth = kernels.n.reshape(len(parts), k), kernels.bandwidth.reshape(len(parts), k)
    floor = np.maximum(LEAST_FLOOR, 1.0 / (n_kernels + 2.0))
    atoms, missing, n_present, n_above = (
        np.stack(of_parts)
        for of_parts in zip(*((c.atoms, c.missing, c.n_present, c.above.sum(axis=1)) for c in parts), strict=True)
    )
    # one more source in every class, distributed as all classes together: an unseen value must not rule a class out
    pooled_atoms = is_wall * (atoms.sum(axis=1) + 0.25) / (n_present.sum(axis=1) + 1.0)[:, None]
    share = (atoms + pooled_atoms[:, None]) / (n_kernels + atoms.sum(axis=2) + 1.0)[:, :, None]
    log_density = np.log((1.0 - floor) * dense + floor * pooled)
    log_density += np.log((1.0 - share.sum(axis=2)) / integral(log_density, prop))[:, None]
    n_seen = n_present + n_above
    # half a source more with a value and half without: a property that all members have may be missing in the next
    present = (n_seen + 0.5) / (n_seen + missing + 1.0)
    log_present, log_missing = np.log(present), np.log1p(-present)
    if of_light_curves([prop.name]):  # people choose of which sources they load curves: a value or none says nothing
        log_present, log_missing = np.zeros_like(present), np.zeros_like(present)
    walls = np.full((len(parts), 2, k), -np.inf)
    log_atoms = np.log(share.transpose(0, 2, 1) / step, where=is_wall[:, None], out=walls)
    log_above = _log_above(log_density[0], step) if is_integrated else None
    return [
        Table(
            low=prop.low,
            step=step,
            log_density=np.ascontiguousarray(log_density[0, :, i]),
            log_smeared=None if typical_error is None else _on_ladder(log_density[1:, :, i], rungs),
            log_atoms=log_atoms[i] if is_wall.any() else None,
            log_above=None if log_above is None else np.ascontiguousarray(log_above[:, i]),
            tail_slope=TAIL_DECADES * float(np.log(10.0)) / prop.width,
            log_present=log_present[i],
            log_missing=log_missing[i],
            bandwidth=bandwidth[i],
            typical_error=typical_error or 0.0,
            n_present=n_present[i],
        )
        for i in range(len(parts))
    ]


def _on_ladder(log_density: FloatArray, rungs: IntArray) -> FloatArray:
    """Densities of some rungs (R, G, K) in their places among all, (N_LEVELS - 1, G, K)."""
    if len(rungs) == N_LEVELS - 1:
        return log_density
    ladder = np.full((N_LEVELS - 1, *log_density.shape[1:]), np.nan)
    ladder[rungs - 1] = log_density
    return ladder


def estimated_bandwidths(counts: Counts, prop: Property) -> FloatArray:
    """Bandwidths of the kernels that a table of counts has, without smoothing, (K,)."""
    return Kernels(counts.cells, prop, 1.0, None).bandwidth


def bandwidth_factors(parts: Sequence[Counts], prop: Property, bandwidth: FloatArray) -> FloatArray:
    """Factors on the bandwidths of a property with which parts of the sample are most likely by the rest, (K,).

    Parameters
    ----------
    parts : sequence of Counts
        Of disjoint sources, such as folds by cells of the sky.
    bandwidth : (K,) float64
        Bandwidths to be multiplied.

    Notes
    -----
    A bandwidth that is estimated from the values takes them for independent. Members of one star cluster, or sources of
    one pointing, are not: their density would follow the clusters and the pointings. Sources of other cells of the sky
    tell how wide it has to be: their mean log density under the rest is largest (likelihood cross-validation: Habbema,
    Hermans & van den Broek 1974; Duin 1976, IEEE Trans. Comput. 25, 1175).
    """
    between = (np.arange(CELLS_PER_STEP) + 0.5) / CELLS_PER_STEP
    held_out = np.concatenate([part.cells for part in parts])
    rest = np.tile(reduce(add, parts).cells, (len(parts), 1)) - held_out
    kernels = Kernels(rest, prop, 1.0, np.tile(bandwidth, len(parts)))
    floor = np.maximum(LEAST_FLOOR, 1.0 / (kernels.n + 2.0))
    added = np.sqrt(np.square(BANDWIDTH_FACTORS) - 1.0)[:, None] * kernels.bandwidth
    dense = kernels.density(kernels.damping(added))
    log_density = np.log((1.0 - floor) * dense + floor * (FLAT_SHARE / prop.width))
    at_cells = log_density[:, :-1, None] + between[:, None] * np.diff(log_density, axis=1)[:, :, None]
    gain = np.einsum("fxk,kx->fk", at_cells.reshape(len(added), -1, len(held_out)), held_out)
    gain = gain.reshape(len(added), len(parts), -1).sum(axis=1)
    best = np.argmax(gain, axis=0)
    best[gain.max(axis=0) - gain[0] < LEAST_GAIN] = 0
    return np.asarray(np.take(BANDWIDTH_FACTORS, best), dtype=np.float64)


def _log_above(log_density: FloatArray, step: float) -> FloatArray:
    """Log of the integral of the densities (G, ...) beyond each node; half a step of the last density is the least."""
    piece = _between_nodes(log_density) * step
    above = np.concatenate([np.cumsum(piece[::-1], axis=0)[::-1], np.zeros((1, *log_density.shape[1:]))])
    return np.asarray(np.log(np.maximum(above, 0.5 * np.exp(log_density[-1]) * step)))


def integral(log_density: FloatArray, prop: Property) -> FloatArray:
    """Integral over the range of densities (L, G, K) whose logarithms are interpolated linearly between the nodes."""
    mean = np.moveaxis(_between_nodes(np.moveaxis(log_density, 1, 0)), 0, 1)
    return np.asarray(np.sum(mean, axis=1) * prop.width / mean.shape[1])


def _between_nodes(log_density: FloatArray) -> FloatArray:
    """Mean density between neighbouring nodes, (G - 1, ...), of linearly interpolated logarithms (G, ...)."""
    rise = np.diff(log_density, axis=0)
    # (e^d - 1) / d is the mean of the exponential over one step; its limit is 1 for d = 0
    mean = np.divide(np.expm1(rise), rise, out=np.ones_like(rise), where=np.abs(rise) > 1e-12)
    return np.asarray(np.exp(log_density[:-1]) * mean)
