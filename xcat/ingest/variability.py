"""Variability in a light curve: stretches of constant rate, and the variance beyond that of the errors."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.stats import FitnessFunc, bayesian_blocks
from scipy.special import xlogy

from xcat.ingest.product_files import Curve

#: Probability of a change that is none, for each point of the curve (Scargle et al. 2013, eq. 21).
FALSE_ALARM = 0.01
_DAY_S = 86_400.0
#: Bins of fewer counts are joined before a variance is taken: Poisson is close to Gauss then (Vaughan et al. 2003).
_LEAST_COUNTS, _LEAST_BINS = 20.0, 5
#: More bins of counted photons than these are joined: the time that blocks take grows with their square.
_MOST_CELLS = 400

Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Block:
    """A stretch of constant rate, from one date to another."""

    mjd_low: float
    mjd_high: float
    rate_cps: float
    rate_err_cps: float | None


@dataclass(frozen=True)
class Variance:
    """Normalised excess variance, its error, and the mean length of the bins, in seconds, that it was taken from."""

    value: float
    error: float
    bin_s: float


class _CountsInCells(FitnessFunc):  # type: ignore[misc]
    """Counts in cells one after the other that may be empty: `Events` of astropy takes cells with counts only."""

    def __init__(self, live_s: Floats, p0: float) -> None:
        super().__init__(p0)
        self._until = np.concatenate([[0.0], np.cumsum(live_s)])

    def fitness(self, N_k: Floats) -> Floats:
        """Logarithm of the largest likelihood of every last block (Scargle et al. 2013, eq. 19)."""
        live = self._until[len(N_k)] - self._until[: len(N_k)]
        return np.asarray(xlogy(N_k, N_k) - N_k * np.log(live))


def counts(curve: Curve) -> tuple[Floats, Floats] | None:
    """Counts and live seconds of the bins of a curve of counted photons, or None.

    The rates are corrected for what the source lost in gaps of the detector; the live time is such that the counts are
    those of the whole curve.
    """
    if curve.n_counts is None:
        return None
    made = curve.rate_cps * curve.width_s
    total = float(made.sum())
    if total <= 0:
        return None
    share = min(curve.n_counts / total, 1.0)
    return made * share, curve.width_s * share


def blocks(curve: Curve, p0: float = FALSE_ALARM) -> list[Block]:
    """Bayesian blocks of a curve (Scargle et al. 2013, ApJ 764, 167); none if it has fewer than two usable points.

    Counted photons are compared by the Poisson likelihood of the counts, rates with errors by that of Gauss; limits are
    left out. Doubtful points are not: Swift-XRT's are those where the source is too faint to be centred.
    """
    counted = counts(curve)
    if counted is not None:
        n, live = counted
        if len(n) < 2:
            return []
        first = np.linspace(0, len(n), min(len(n), _MOST_CELLS) + 1).astype(int)
        cells = np.add.reduceat(n, first[:-1]), np.add.reduceat(live, first[:-1])
        found = bayesian_blocks(np.arange(len(first) - 1), cells[0], fitness=_CountsInCells(cells[1], p0))
        edges = first[_whole(found, len(first) - 1)]
        halves = curve.width_s / 2 / _DAY_S
        out = []
        for a, b in itertools.pairwise(edges):
            made, seconds = float(n[a:b].sum()), float(live[a:b].sum())
            ends = float(curve.time_mjd[a] - halves[a]), float(curve.time_mjd[b - 1] + halves[b - 1])
            out.append(Block(*ends, made / seconds, math.sqrt(max(made, 1.0)) / seconds))
        return out
    usable, error = _usable(curve)
    if usable.size < 2:
        return []
    rate, time, half = curve.rate_cps[usable], curve.time_mjd[usable], curve.width_s[usable] / 2 / _DAY_S
    edges = _whole(bayesian_blocks(np.arange(len(rate)), rate, error, fitness="measures", p0=p0), len(rate))
    starts = np.concatenate([[time[0] - half[0]], (time[1:] + time[:-1]) / 2, [time[-1] + half[-1]]])
    out = []
    for a, b in itertools.pairwise(edges):
        weights = error[a:b] ** -2.0
        mean, spread = float(np.average(rate[a:b], weights=weights)), float(weights.sum() ** -0.5)
        out.append(Block(float(starts[a]), float(starts[b]), mean, spread))
    return out


def _whole(cells: Floats, n: int) -> Any:
    """Edges between cells that are numbered from 0: where each block begins, and the end."""
    inner = np.ceil(np.asarray(cells)[1:-1]).astype(int)
    return np.concatenate([[0], inner, [n]])


def _usable(curve: Curve) -> tuple[Any, Floats]:
    """Points with a rate and an error, and the errors: the mean of both sides."""
    error = (curve.rate_err_low_cps + curve.rate_err_high_cps) / 2
    usable = np.flatnonzero(~curve.is_limit & np.isfinite(error) & (error > 0))
    return usable, error[usable]


def variance(curve: Curve) -> Variance | None:
    """Normalised excess variance of a curve; None with fewer than five bins, or a mean rate that is not positive.

    Counted photons are first joined to bins of at least 20 counts, whose errors are those of Poisson.
    """
    counted = counts(curve)
    if counted is None:
        usable, error = _usable(curve)
        return excess(curve.rate_cps[usable], error, float(curve.width_s[usable].mean()) if usable.size else 0.0)
    n, live = counted
    whole = int(min(n.sum() // _LEAST_COUNTS, len(n)))
    if whole < _LEAST_BINS:
        return None
    # bins of one length: those of one number of counts would all have one rate
    first = np.linspace(0, len(n), whole + 1).astype(int)[:-1]
    made, seconds = np.add.reduceat(n, first), np.add.reduceat(live, first)
    return excess(made / seconds, np.sqrt(np.maximum(made, 1.0)) / seconds, float(curve.width_s.sum() / whole))


def excess(rate: Floats, error: Floats, bin_s: float) -> Variance | None:
    """Normalised excess variance and its error (Vaughan et al. 2003, MNRAS 345, 1271, eqs. 6 to 8 and 11).

    Parameters
    ----------
    rate, error : ndarray, shape (n,)
        Independent rates and their 1 sigma errors, in one unit.
    bin_s : float
        Length of their bins, which is told with the result.
    """
    n = len(rate)
    if n < _LEAST_BINS or not rate.mean() > 0:
        return None
    mean, noise = float(rate.mean()), float((error**2).mean())
    value = (float(rate.var(ddof=1)) - noise) / mean**2
    of_noise = math.sqrt(2.0 / n) * noise / mean**2
    of_signal = math.sqrt(noise / n) * 2.0 * math.sqrt(max(value, 0.0)) / mean
    return Variance(value, math.hypot(of_noise, of_signal), bin_s)
