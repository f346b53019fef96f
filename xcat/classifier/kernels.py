"""Kernel densities of cell counts through their cosine transform, and counts completed by lower limits.

A Gaussian kernel on a segment with reflecting ends is exactly a damping of the cosine coefficients [1]_; an error of
the values is a further damping. What the segment is, `xcat.classifier.density` says, which makes tables of these.

References
----------
.. [1] Botev, Grotowski & Kroese 2010, "Kernel density estimation via diffusion", Ann. Statist. 38, 2916.
"""

from copy import copy
from functools import cache
from typing import Any

import numpy as np

from xcat.arrays import FloatArray, IntArray
from xcat.classifier.bandwidth import improved_sheather_jones, silverman
from xcat.columns.properties import Property

CELLS_PER_STEP = 4
"""Cells of counts between two nodes of a table."""
FEW = 100
"""With fewer values ISJ fits the noise, and Silverman's rule is used instead."""

_CENSORED_ROUNDS, _CENSORED_CHANGE = 20, 1e-3


@cache
def _dct() -> Any:
    """The cosine transform of SciPy, which takes long to load: only a fit needs it."""
    from scipy.fft import dct

    return dct


@cache
def _segment(prop: Property, m: int) -> tuple[int, int, float, FloatArray]:
    """Cells before those of the property, all cells, their length, and the squared frequencies of the cosines."""
    half = m // 2
    before, after = half * (not prop.bounded_low), half * (not prop.bounded_high)
    size = before + m + after
    length = prop.width * size / m
    return before, size, length, np.asarray((np.pi * np.arange(size) / length) ** 2, dtype=np.float64)


class Kernels:
    """Kernel densities of classes, also of several samples, through the cosine transforms of cell counts (K, M)."""

    def __init__(
        self, counts: FloatArray, prop: Property, smoothing: float | FloatArray, bandwidth: FloatArray | None
    ) -> None:
        m = counts.shape[1]
        self.prop, self.m = prop, m
        self.step = prop.width * CELLS_PER_STEP / m
        self.before, self.size, self.length, self.squared_frequency = _segment(prop, m)
        # a kernel of one step, the narrowest, damps all others by more than exp(-44)
        self._active = 3 * self.size // CELLS_PER_STEP
        self._transform(counts)
        self.given = np.full(len(counts), np.nan) if bandwidth is None else bandwidth.copy()
        factor = np.broadcast_to(smoothing, len(counts))
        for k in np.flatnonzero(np.isnan(self.given)):
            self.given[k] = self._bandwidth(counts[k], self.coefficients[k], float(self.n[k])) * factor[k]
        self._limit()

    def refilled(self, counts: FloatArray, rows: IntArray | slice = slice(None)) -> "Kernels":
        """Kernels of other counts, with the bandwidths of these, or of some of their rows."""
        other = copy(self)
        other._transform(counts)
        other.given = self.bandwidth[rows]
        other._limit()
        return other

    def _transform(self, counts: FloatArray) -> None:
        """Set the sums of the counts and the means of cos(pi k x / length) over the values."""
        self.n = counts.sum(axis=1)
        segment = np.zeros((len(counts), self.size))
        np.divide(
            counts, np.where(self.n > 0.0, self.n, 1.0)[:, None], out=segment[:, self.before : self.before + self.m]
        )
        self.coefficients = _dct()(segment, overwrite_x=True)
        self.coefficients /= 2.0

    def _limit(self) -> None:
        self.bandwidth = np.where(self.n > 0.0, np.clip(self.given, self.step, self.prop.width / 2.0), self.prop.width)

    def _bandwidth(self, counts: FloatArray, coefficients: FloatArray, n: float) -> float:
        """Bandwidth of a class: ISJ where there are enough values, else Silverman; at least one step."""
        if n <= 0.0:
            return float("inf")
        most = self.prop.width / 4.0
        isj = None
        if n >= FEW:
            isj = improved_sheather_jones(coefficients, n, self.step / self.length, most / self.length)
        bandwidth = silverman(counts, self.prop.width) if isj is None else isj * self.length
        return float(np.clip(bandwidth, self.step, most))

    def damping(self, errors: FloatArray) -> FloatArray:
        """Damping of the first coefficients, (L, K, 3/4 size), by the kernels and L errors, (L,) or (L, K), 1 sigma."""
        variance = self.bandwidth**2 + errors.reshape(len(errors), -1) ** 2
        # samples often have the same bandwidths
        _, first, column = np.unique(variance[0], return_index=True, return_inverse=True)
        damping = (-0.5 * variance[:, first])[:, :, None] * self.squared_frequency[: self._active]
        return np.exp(damping, out=damping)[:, column]

    def density(self, damping: FloatArray) -> FloatArray:
        """Densities at the nodes, (L, G, K), of damped coefficients; integrals 1."""
        # the cosine series is evaluated at the nodes alone, where the frequencies k, 2 n - k and 2 n + k are the same
        n = self.size // CELLS_PER_STEP
        series = self.coefficients[:, : n + 1] * damping[:, :, : n + 1]
        folded = self.coefficients[:, n + 1 : 3 * n] * damping[:, :, n + 1 : 3 * n]
        series[:, :, 1:n] += folded[:, :, n - 2 :: -1] + folded[:, :, n:]
        series[:, :, 0] += 2.0 * folded[:, :, n - 1]
        series[:, :, n] *= 2.0
        first = self.before // CELLS_PER_STEP
        at_nodes = _dct()(series, type=1, overwrite_x=True)[:, :, first : first + self.m // CELLS_PER_STEP + 1]
        kernel = np.maximum(at_nodes, 0.0)  # the series may undershoot zero by rounding
        kernel[:, self.n <= 0.0] = 1.0
        between = kernel[:, :, 1:] + kernel[:, :, :-1]
        between *= self.step
        between /= 2.0
        kernel /= between.sum(axis=2)[:, :, None]
        return np.moveaxis(kernel, 1, 2)


def completed(kernels: Kernels, counted: FloatArray, above: FloatArray, n_parts: int) -> Kernels:
    """Kernels of cell counts with the limits spread over the cells beyond them, and the same bandwidths.

    Parameters
    ----------
    counted, above : (R, M) float64
        Values and lower limits in each cell, of `n_parts` samples with the same classes one after the other.
    """
    m, prop, exact = counted.shape[1], kernels.prop, np.zeros(1)
    part = np.repeat(np.arange(n_parts), len(counted) // n_parts)
    filled, rows = counted.copy(), np.arange(len(counted))
    current, damping = kernels, kernels.damping(exact)
    for round_ in range(_CENSORED_ROUNDS):
        in_cell = _in_cells(current.density(damping)[0].T, m) + 1e-6 / prop.width
        beyond = np.cumsum(in_cell[:, ::-1], axis=1)[:, ::-1]
        share = above[rows] / beyond
        np.cumsum(share, axis=1, out=share)
        before, now = filled[rows], counted[rows] + in_cell * share
        filled[rows] = now
        change = np.bincount(part[rows], np.abs(now - before).sum(axis=1), n_parts)
        goes_on = change >= _CENSORED_CHANGE * np.bincount(part[rows], now.sum(axis=1), n_parts)
        kept = goes_on[part[rows]]
        if not kept.any():
            break
        rows = rows[kept]
        current = kernels.refilled(filled[rows], rows)
        # a class may have limits only: its bandwidth is another than without any value
        damping = current.damping(exact) if round_ == 0 else damping[:, kept]
    return kernels.refilled(filled)


def _in_cells(dense: FloatArray, m: int) -> FloatArray:
    """Densities in the middles of the cells, (R, M), of those at the nodes, (R, G)."""
    rise = np.diff(dense)
    in_cell = np.empty((len(dense), rise.shape[1], CELLS_PER_STEP))
    for i in range(CELLS_PER_STEP):
        in_cell[:, :, i] = dense[:, :-1] + (i + 0.5) / CELLS_PER_STEP * rise
    return in_cell.reshape(-1, m)
