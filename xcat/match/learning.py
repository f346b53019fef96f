"""Estimates from a match: the magnitudes of counterparts and field, and the share of sources with a counterpart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from xcat.match.targets import Parts, Strata

STEP_MAG = 0.2
_ROUNDS = 25
_FEWEST = 20.0  # counterparts, and field objects, below which nothing is learned
_PSEUDO_COUNTS = 100.0  # borrowed by a small sample from its parent sample
_PER_BIN = 40.0  # counterparts that a bin of the curve should have
_MOST_BINS = 15
_FAR_MAG = 1e4
_BORROWED = 20.0  # sources that a stratum borrows from all of its mission


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
    # sources that the same catalogues have searched around have the same priors
    states, of_target = np.unique(parts.searched, return_inverse=True)
    state = of_target[candidates["no"] - 1]
    n_all = np.maximum(np.bincount(of_target[parts.is_source], minlength=len(states)), 1)[:, None]
    exists = (states[:, None] & np.array(masks)) == np.array(masks)
    n_patterns = np.maximum(exists.sum(axis=1, keepdims=True), 1)
    prior = np.where(exists, 0.5 / n_patterns, 0.0)
    for _ in range(_ROUNDS):
        log_weight = candidates["log_weight"].astype(float)
        for i in range(n_terms):
            log_weight = log_weight + np.where(binned.has_value[i], contributions[i].ravel()[binned.cell[i]], 0.0)
        weight = np.exp(np.clip(log_weight, -50, 50)) * prior[state, pattern]
        p = weight / (np.bincount(source, weight)[source] + 1 - prior.sum(axis=1)[state])
        counted_p = np.bincount(state * len(masks) + pattern, p, prior.size).reshape(prior.shape)
        before, prior = prior, np.where(exists, np.maximum(counted_p / n_all, 1e-3 / n_patterns), 0.0)
        prior *= np.minimum(1.0, 0.99 / np.maximum(prior.sum(axis=1, keepdims=True), 1e-300))
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
    sums: np.ndarray,
    stratum: np.ndarray,
    n_strata: int,
    given: Sequence[float | None],
    none: np.ndarray | None = None,
    strata: Strata | None = None,
    tolerance: float = 1e-4,
) -> np.ndarray:
    """Prior probability of every pattern of catalogues that have the counterpart, for each stratum.

    Maximises the likelihood of the priors pi over the sources of a stratum, prod (pi_0 + sum_S pi_S W_S), by
    expectation-maximisation; at the solution the mean of the posterior of each pattern is its prior, so that p_any is
    calibrated over the stratum. A given completeness is kept whatever the data. Patterns with catalogues that have not
    searched around the sources of a stratum do not exist there. If not all sources of a mission were searched around by
    the same catalogues, a stratum borrows twenty sources from all of the mission, of which those that a catalogue has
    not searched around say nothing about its completeness.

    Parameters
    ----------
    sums : ndarray, shape (n_sources, 2^n_catalogues - 1)
        Sum of the weights of each source's associations by pattern, pattern S in column S - 1.
    stratum : ndarray of int, shape (n_sources,)
        Of each source, from 0.
    given : sequence of float or None
        Completeness of each catalogue; None to estimate it.
    none : ndarray, shape (n_sources,), optional
        Weight of "no counterpart"; 1 by default.
    strata : Strata, optional
        Mission of each stratum, and the catalogues that have searched around its sources; by default one mission, all.
    tolerance : float
        Stop when no prior changes by more.

    Returns
    -------
    ndarray, shape (n_strata, 2^n_catalogues)
        Column 0 is "no counterpart"; rows add up to 1, and nothing that exists is below 1e-4 / 2^n_catalogues.
    """
    n = len(given)
    patterns = np.arange(2**n)
    member = (patterns[:, None] >> np.arange(n)) & 1
    c = np.array([0.5 if g is None else g for g in given])
    weights = np.concatenate([(np.ones(len(sums)) if none is None else none)[:, None], sums], axis=1)
    every = 2**n - 1
    group = np.zeros(n_strata, np.int64) if strata is None else strata.group
    searched_of = np.full(n_strata, every) if strata is None else strata.searched
    is_given = all(g is not None for g in given)

    def fitted(weights: np.ndarray, searched: int, borrowed: np.ndarray) -> np.ndarray:
        exists = (patterns & ~searched) == 0
        chances = np.where((searched >> np.arange(n)) & 1, c, 0.0)
        start = np.prod(np.where(member, chances, 1 - chances), axis=1)
        if is_given or not len(weights):
            return np.asarray(start)
        floor = np.where(exists, 1e-4 / len(start), 0.0)
        p = start
        for _ in range(1000):
            share = weights * p
            total = (share / share.sum(axis=1, keepdims=True)).sum(axis=0) + borrowed
            new = _with_given(total / (len(weights) + borrowed.sum()), member, given, searched)
            new = np.maximum(new, floor)
            new /= new.sum()
            done = np.abs(new - p).max() < tolerance
            p = new
            if done:
                break
        return np.asarray(p)

    of_mission: dict[int, np.ndarray] = {}
    for mission in np.unique(group).tolist():
        if len(np.unique(searched_of[group == mission])) > 1:
            inside, searched = group[stratum] == mission, searched_of[stratum]
            full = weights.copy()
            for each in np.unique(searched[inside]).tolist():  # what the others would list is not known
                full[searched == each] = weights[searched == each][:, patterns & each]
            of_mission[mission] = fitted(full[inside], every, np.zeros(2**n))
    out = np.empty((n_strata, 2**n))
    for i, (mission, each) in enumerate(zip(group.tolist(), searched_of.tolist(), strict=True)):
        borrowed = np.zeros(2**n)
        if mission in of_mission:
            borrowed = _BORROWED * np.bincount(patterns & each, of_mission[mission], 2**n)
        out[i] = np.maximum(fitted(weights[stratum == i], each, borrowed), 1e-30)
    return out


def _with_given(p: np.ndarray, member: np.ndarray, given: Sequence[float | None], searched: int) -> np.ndarray:
    """Scale probabilities of patterns to the given completenesses."""
    for k, c in enumerate(given):
        if c is not None and searched >> k & 1:
            has = member[:, k] == 1
            total = p[has].sum()
            p = np.where(has, p * c / max(total, 1e-12), p * (1 - c) / max(1 - total, 1e-12))
    return p
