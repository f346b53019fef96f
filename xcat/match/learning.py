"""Estimates from a match: the magnitudes of counterparts and field, and the share of sources with a counterpart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from xcat.match.targets import Parts

STEP_MAG = 0.2
_ROUNDS = 25
_FEWEST = 20.0  # counterparts, and field objects, below which nothing is learned
_PSEUDO_COUNTS = 100.0  # borrowed by a small sample from its parent sample
_PER_BIN = 40.0  # counterparts that a bin of the curve should have
_MOST_BINS = 15
_FAR_MAG = 1e4


@dataclass(frozen=True)
class PriorTable:
    """Histograms of a magnitude or colour, as densities; arrays of shape (n_bins,)."""

    low: np.ndarray
    high: np.ndarray  #: each bin begins at the end of the previous one
    counterparts: np.ndarray
    field: np.ndarray

    def curve(self, mask: int, term: int, stratum: int) -> Curve:
        """The log of the ratio; a bin without field objects or counterparts gets at most a factor 1e4."""
        tiny = 1e-4 * max(self.counterparts.max(), self.field.max())
        ratio = np.maximum(self.counterparts, tiny) / np.maximum(self.field, tiny)
        edges = np.append(self.low, self.high[-1])
        return Curve(mask, term, stratum, edges, np.log(ratio), self.counterparts, self.field)


@dataclass
class Curve:
    """Log of counterparts over field against a magnitude or colour, in steps; arrays of shape (n_bins,)."""

    mask: int  #: pattern of catalogues, bit k - 1 for catalogue k
    term: int  #: its number, from 1
    stratum: int  #: its number, from 1
    edges: np.ndarray  #: shape (n_bins + 1,)
    log_ratio: np.ndarray
    counterparts: np.ndarray
    field: np.ndarray
    name: str = ""  #: of the term
    catalogue: int = 0  #: number k of the catalogue that the term belongs to
    part: int = 0  #: part of the sky of the stratum
    n_sources: int = 0  #: of the stratum


@dataclass(frozen=True)
class _Binned:
    """Candidates of the sources and field objects in bins of magnitude."""

    has_value: np.ndarray  # (n_terms, n_candidates)
    cell: np.ndarray  # (n_terms, n_candidates): flat index into (patterns, strata, bins)
    pattern: np.ndarray  # (n_candidates,)
    n_field: np.ndarray  # (n_terms, n_patterns, n_parts + 1, n_bins)
    edges: np.ndarray  # (n_bins + 1,)


def _binned(
    candidates: np.ndarray, field: np.ndarray, masks: Sequence[int], n_terms: int, parts: Parts
) -> _Binned | None:
    """Put magnitudes into bins; None if there are no field objects, or no candidate has a magnitude."""
    bins = np.stack([np.floor(candidates[f"v{i + 1}"] / STEP_MAG) for i in range(n_terms)])
    has_value = np.abs(bins) < _FAR_MAG / STEP_MAG
    if not len(field) or not has_value.any():
        return None
    low = int(min(field["bin"].min(), bins[has_value].min()))
    n_bins = int(max(field["bin"].max(), bins[has_value].max())) - low + 1
    number = np.full(max(masks) + 1, -1)
    number[list(masks)] = np.arange(len(masks))
    pattern, stratum = number[candidates["mask"]], parts.stratum[candidates["no"] - 1]
    n_field = np.zeros((n_terms, len(masks), parts.n_parts + 1, n_bins))
    place = (field["term"] - 1, number[field["mask"]], field["part"], field["bin"] - low)
    np.add.at(n_field, place, field["n_objects"])
    bin_ = np.where(has_value, bins - low, 0).astype(np.int64)
    cell = (pattern * parts.n_strata + stratum) * n_bins + bin_
    edges = (low + np.arange(n_bins + 1)) * STEP_MAG
    edges[0], edges[-1] = -_FAR_MAG, _FAR_MAG  # beyond its ends the curve is constant
    return _Binned(has_value, cell, pattern, n_field, edges)


def learn(candidates: np.ndarray, field: np.ndarray, owners: Mapping[int, Sequence[int]], parts: Parts) -> list[Curve]:
    """Learn the curves of magnitudes and colours, one for each pattern of catalogues, term and stratum.

    Patterns and terms that have too few counterparts or field objects are left out.

    The field is the objects at shifted positions. The counterparts are learned by expectation-maximisation: each
    candidate counts with the probability that it is the counterpart, by its position and the current curves, with a
    share for "none of the candidates". So no threshold is needed, field objects do not contaminate the counterparts,
    and faint objects hidden by a bright counterpart are not missed. For an object in several catalogues only the most
    informative catalogue counts (largest Kullback-Leibler divergence of counterparts from field): magnitudes of one
    object are not independent, and their product would count the same evidence twice.

    Parameters
    ----------
    candidates : ndarray of records
        no, mask, log_weight (by position alone) and v1, v2 ... (NaN if missing) of the candidates of the sources.
    field : ndarray of records
        mask, part, term, bin and n_objects at the shifted positions.
    owners : mapping
        Patterns to learn, with the catalogue of each of their terms.
    """
    masks, n_terms = list(owners), max(map(len, owners.values()))
    binned = _binned(candidates, field, masks, n_terms, parts)
    if binned is None:
        return []
    pattern, n_bins = binned.pattern, len(binned.edges) - 1
    counted = np.zeros((n_terms, len(masks), parts.n_strata, n_bins))
    curves = np.zeros_like(counted)
    contributions, used = curves, np.zeros((n_terms, len(masks)), bool)
    source = np.unique(candidates["no"], return_inverse=True)[1]
    n_all = max(int(parts.is_source.sum()), 1)
    prior = np.full(len(masks), 0.5 / len(masks))
    for _ in range(_ROUNDS):
        log_weight = candidates["log_weight"].astype(float)
        for i in range(n_terms):
            log_weight = log_weight + np.where(binned.has_value[i], contributions[i].ravel()[binned.cell[i]], 0.0)
        weight = np.exp(np.clip(log_weight, -50, 50)) * prior[pattern]
        p = weight / (np.bincount(source, weight)[source] + 1 - prior.sum())
        before, prior = prior, np.maximum(np.bincount(pattern, p, len(masks)) / n_all, 1e-3 / len(masks))
        prior *= min(1.0, 0.99 / prior.sum())
        for i in range(n_terms):
            of_cell = np.bincount(binned.cell[i], np.where(binned.has_value[i], p, 0.0), counted[i].size)
            counted[i] = of_cell.reshape(counted[i].shape)
        _update(curves, counted, binned.n_field, parts)
        used = _most_informative(curves, counted, owners)
        contributions = curves * used[:, :, None, None]
        if np.abs(prior - before).max() < 1e-4:
            break

    def density(counts: np.ndarray) -> np.ndarray:
        return np.asarray(counts / (max(counts.sum(), 1e-300) * STEP_MAG))

    return [
        Curve(
            masks[g],
            i + 1,
            j + 1,
            binned.edges,
            curves[i, g, j],
            density(counted[i, g, j]),
            density(binned.n_field[i, g, parts.part_of[j]]),
        )
        for g, i, j in np.ndindex(len(masks), n_terms, parts.n_strata)
        if used[i, g]
    ]


def _most_informative(curves: np.ndarray, counted: np.ndarray, owners: Mapping[int, Sequence[int]]) -> np.ndarray:
    """Which terms of each pattern count: those of its most informative catalogue; shape (terms, patterns)."""
    divergence = (counted * curves).sum(axis=(2, 3)) / np.maximum(counted.sum(axis=(2, 3)), 1e-300)
    used = np.zeros(divergence.shape, bool)
    for g, owner in enumerate(owners.values()):
        total = {k: sum(divergence[i, g] for i, other in enumerate(owner) if other == k) for k in owner}
        best = max(total, key=lambda k: total[k])
        for i, k in enumerate(owner):
            used[i, g] = k == best and bool(curves[i, g].any())
    return used


def _update(curves: np.ndarray, counted: np.ndarray, n_field: np.ndarray, parts: Parts) -> None:
    """Compute new curves from the counts of counterparts by stratum and of the field by part.

    A stratum is shrunk towards its part of the sky, and a part towards all: a hundred pseudo-counts are borrowed from
    the parent sample.
    """
    # shifted positions of a part count as often as its sources
    scale = parts.n_sources / np.maximum(parts.n_shifted, 1)
    for i, g in np.ndindex(curves.shape[:2]):
        all_field = (n_field[i, g] * scale[:, None]).sum(axis=0)
        all_counted = counted[i, g].sum(axis=0)
        if min(all_counted.sum(), all_field.sum()) < _FEWEST:
            continue
        for part in range(1, parts.n_parts + 1):
            strata = np.flatnonzero(parts.part_of == part)
            field = _shrunk(n_field[i, g, part], all_field)
            of_part = _shrunk(counted[i, g, strata].sum(axis=0), all_counted)
            for j in strata:
                curves[i, g, j] = _log_ratio(_shrunk(counted[i, g, j], of_part), field)


def _shrunk(counts: np.ndarray, parent: np.ndarray) -> np.ndarray:
    """Counts with pseudo-counts borrowed from the parent sample."""
    return np.asarray(counts + parent * (_PSEUDO_COUNTS / parent.sum()))


def _log_ratio(counterparts: np.ndarray, field: np.ndarray) -> np.ndarray:
    """Smooth log ratio of two histograms of equal bins: in wide bins that have enough of both, then interpolated."""
    both = counterparts / counterparts.sum() + field / field.sum()
    n_bins = int(np.clip(counterparts.sum() / _PER_BIN, 3, _MOST_BINS))
    wide = np.minimum((np.cumsum(both) - both / 2) / both.sum() * n_bins, n_bins - 1e-9).astype(np.int64)
    wide = np.unique(wide, return_inverse=True)[1]
    n_bins = int(wide.max()) + 1
    c, f = (np.bincount(wide, h, n_bins) for h in (counterparts, field))
    # half a count in each bin, so that an empty one is rare and not impossible
    ratio = np.log((c + 0.5) / (c.sum() + 0.5 * n_bins)) - np.log((f + 0.5) / (f.sum() + 0.5 * n_bins))
    weight = np.bincount(wide, both, n_bins)
    centre = np.bincount(wide, both * np.arange(len(both)), n_bins) / np.maximum(weight, 1e-300)
    return np.asarray(np.interp(np.arange(len(both)), centre, ratio))


def pattern_priors(
    sums: np.ndarray, stratum: np.ndarray, n_strata: int, given: Sequence[float | None], tolerance: float = 1e-4
) -> np.ndarray:
    """Prior probability of every pattern of catalogues that have the counterpart, for each stratum.

    Maximises the likelihood of the priors pi over the sources of a stratum, prod (pi_0 + sum_S pi_S W_S), by
    expectation-maximisation; at the solution the mean of the posterior of each pattern is its prior, so that p_any is
    calibrated over the stratum. A given completeness is kept whatever the data.

    Parameters
    ----------
    sums : ndarray, shape (n_sources, 2^n_catalogues - 1)
        Sum of the weights of each source's associations by pattern, pattern S in column S - 1.
    stratum : ndarray of int, shape (n_sources,)
        Of each source, from 0.
    given : sequence of float or None
        Completeness of each catalogue; None to estimate it.
    tolerance : float
        Stop when no prior changes by more.

    Returns
    -------
    ndarray, shape (n_strata, 2^n_catalogues)
        Column 0 is "no counterpart"; rows add up to 1, and nothing is below 1e-4.
    """
    n = len(given)
    member = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    c = np.array([0.5 if g is None else g for g in given])
    start = np.prod(np.where(member, c, 1 - c), axis=1)
    out = np.tile(start, (n_strata, 1))
    if all(g is not None for g in given):
        return out
    for i in range(n_strata):
        weights = sums[stratum == i]
        if not len(weights):
            continue
        weights = np.concatenate([np.ones((len(weights), 1)), weights], axis=1)
        p = start
        for _ in range(1000):
            share = weights * p
            new = (share / share.sum(axis=1, keepdims=True)).mean(axis=0)
            new = np.maximum(_with_given(new, member, given), 1e-4 / len(new))
            new /= new.sum()
            done = np.abs(new - p).max() < tolerance
            p = new
            if done:
                break
        out[i] = p
    return out


def _with_given(p: np.ndarray, member: np.ndarray, given: Sequence[float | None]) -> np.ndarray:
    """Scale probabilities of patterns to the given completenesses."""
    for k, c in enumerate(given):
        if c is not None:
            has = member[:, k] == 1
            total = p[has].sum()
            p = np.where(has, p * c / max(total, 1e-12), p * (1 - c) / max(1 - total, 1e-12))
    return p
