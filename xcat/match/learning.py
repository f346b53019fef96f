"""What is estimated from sums over a match: magnitudes of counterparts and field; the share that has a counterpart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from xcat.match.targets import Parts

STEP_MAG = 0.2
_ROUNDS = 25
_FEWEST = 20.0  # counterparts, and field objects, below which nothing is learned
_LENT = 100.0  # counts that a small set takes from the larger one that it is part of
_PER_BIN = 40.0  # counterparts that a bin of the curve should have
_MOST_BINS = 15
_FAR_MAG = 1e4


@dataclass(frozen=True)
class PriorTable:
    """Histograms of a magnitude or colour, as densities.

    Attributes
    ----------
    low, high : ndarray, shape (n_bins,)
        Edges, each bin beginning where the one before ends.
    counterparts, field : ndarray, shape (n_bins,)
        Densities of counterparts and of field objects.
    """

    low: np.ndarray
    high: np.ndarray
    counterparts: np.ndarray
    field: np.ndarray

    def curve(self, mask: int, term: int, kin: int) -> Curve:
        """The log of the ratio; a bin without field objects or counterparts gets no more than a factor 1e4."""
        tiny = 1e-4 * max(self.counterparts.max(), self.field.max())
        ratio = np.maximum(self.counterparts, tiny) / np.maximum(self.field, tiny)
        edges = np.append(self.low, self.high[-1])
        return Curve(mask, term, kin, edges, np.log(ratio), self.counterparts, self.field)


@dataclass
class Curve:
    """Log of counterparts over field against a magnitude or colour, in steps.

    Attributes
    ----------
    mask, term, kin : int
        Pattern of catalogues (bit k - 1 for catalogue k), number of the term, kind of source from 1.
    edges : ndarray, shape (n_bins + 1,)
    log_ratio, counterparts, field : ndarray, shape (n_bins,)
    name : str
        Of the term.
    catalogue : int
        Number k of the catalogue that has it.
    part, n_sources : int
        Part of the kind of source, and how many sources it has.
    """

    mask: int
    term: int
    kin: int
    edges: np.ndarray
    log_ratio: np.ndarray
    counterparts: np.ndarray
    field: np.ndarray
    name: str = ""
    catalogue: int = 0
    part: int = 0
    n_sources: int = 0


def learn(candidates: np.ndarray, field: np.ndarray, owners: Mapping[int, Sequence[int]], parts: Parts) -> list[Curve]:
    """Learn the curves of magnitudes and colours, one for each pattern of catalogues, term and kind of source.

    The field is what is found at shifted positions. The counterparts are learned by expectation-maximisation: each
    candidate counts with the probability that it is the counterpart, by its position and by the curves so far, of which
    "none of the candidates" has its share. No threshold is needed, field objects do not leak in, and faint objects that
    a bright counterpart hides are not missed, since its neighbours count for nothing. An object that several catalogues
    have is told by the one whose magnitudes say most (the largest Kullback-Leibler divergence of counterparts from
    field): magnitudes of one object are not independent, and multiplied would count the same evidence twice.

    Parameters
    ----------
    candidates : ndarray of records
        no, mask, log_weight (by position alone) and v1, v2 ... (NaN if missing) of the candidates of the sources.
    field : ndarray of records
        mask, part, term, bin and n_objects at the shifted positions.
    owners : mapping
        Patterns to learn, with the catalogue of each of their terms.
    parts : Parts

    Returns
    -------
    list of Curve
        Without the patterns and terms of which there is too little to learn from.
    """
    masks, n_terms = list(owners), max(map(len, owners.values()))
    bins = [np.floor(candidates[f"v{i + 1}"] / STEP_MAG) for i in range(n_terms)]
    known = [np.abs(b) < _FAR_MAG / STEP_MAG for b in bins]
    if not len(field) or not any(mask.any() for mask in known):
        return []
    seen = [field["bin"], *(b[m] for b, m in zip(bins, known, strict=True) if m.any())]
    low = int(min(b.min() for b in seen))
    n_bins = int(max(b.max() for b in seen)) - low + 1
    number = np.full(max(masks) + 1, -1)
    number[list(masks)] = np.arange(len(masks))
    pattern, kin = number[candidates["mask"]], parts.kin[candidates["no"] - 1]
    n_field = np.zeros((n_terms, len(masks), parts.n_parts + 1, n_bins))
    np.add.at(
        n_field, (field["term"] - 1, number[field["mask"]], field["part"], field["bin"] - low), field["n_objects"]
    )
    counted = np.zeros((n_terms, len(masks), parts.n_kin, n_bins))
    curves = np.zeros_like(counted)
    told, used = curves, np.zeros((n_terms, len(masks)), bool)
    place = [np.where(m, b - low, 0).astype(np.int64) for b, m in zip(bins, known, strict=True)]
    cell = [np.ravel_multi_index((pattern, kin, x), counted.shape[1:]) for x in place]
    source = np.unique(candidates["no"], return_inverse=True)[1]
    n_all = max(int(parts.is_source.sum()), 1)
    prior = np.full(len(masks), 0.5 / len(masks))
    for _ in range(_ROUNDS):
        log_weight = candidates["log_weight"].astype(float)
        for i in range(n_terms):
            log_weight = log_weight + np.where(known[i], told[i, pattern, kin, place[i]], 0.0)
        weight = np.exp(np.clip(log_weight, -50, 50)) * prior[pattern]
        p = weight / (np.bincount(source, weight)[source] + 1 - prior.sum())
        before, prior = prior, np.maximum(np.bincount(pattern, p, len(masks)) / n_all, 1e-3 / len(masks))
        prior *= min(1.0, 0.99 / prior.sum())
        for i in range(n_terms):
            counted[i] = np.bincount(cell[i], np.where(known[i], p, 0.0), counted[i].size).reshape(counted[i].shape)
        _update(curves, counted, n_field, parts)
        used = _most_telling(curves, counted, owners)
        told = curves * used[:, :, None, None]
        if np.abs(prior - before).max() < 1e-4:
            break
    edges = (low + np.arange(n_bins + 1)) * STEP_MAG
    edges[0], edges[-1] = -_FAR_MAG, _FAR_MAG  # beyond its ends the curve goes on level

    def density(counts: np.ndarray) -> np.ndarray:
        return np.asarray(counts / (max(counts.sum(), 1e-300) * STEP_MAG))

    return [
        Curve(
            mask,
            i + 1,
            j + 1,
            edges,
            curves[i, g, j],
            density(counted[i, g, j]),
            density(n_field[i, g, parts.part_of[j]]),
        )
        for g, mask in enumerate(masks)
        for i in range(n_terms)
        if used[i, g]
        for j in range(parts.n_kin)
    ]


def _most_telling(curves: np.ndarray, counted: np.ndarray, owners: Mapping[int, Sequence[int]]) -> np.ndarray:
    """Which terms of each pattern count: those of the catalogue that says most; shape (terms, patterns)."""
    said = (counted * curves).sum(axis=(2, 3)) / np.maximum(counted.sum(axis=(2, 3)), 1e-300)
    used = np.zeros(said.shape, bool)
    for g, owner in enumerate(owners.values()):
        total = {k: sum(said[i, g] for i, other in enumerate(owner) if other == k) for k in owner}
        best = max(total, key=lambda k: total[k])
        for i, k in enumerate(owner):
            used[i, g] = k == best and bool(curves[i, g].any())
    return used


def _update(curves: np.ndarray, counted: np.ndarray, n_field: np.ndarray, parts: Parts) -> None:
    """New curves from the counts of counterparts by kind and of the field by part.

    What a kind of source has too few of, it takes from its part of the sky, and this from all: a hundred counts are
    added as the larger set has them.
    """
    # so that all parts together are mixed as the sources are
    scale = parts.n_sources / np.maximum(parts.n_shifted, 1)
    for i, g in np.ndindex(curves.shape[:2]):
        all_field = (n_field[i, g] * scale[:, None]).sum(axis=0)
        all_counted = counted[i, g].sum(axis=0)
        if min(all_counted.sum(), all_field.sum()) < _FEWEST:
            continue
        for part in range(1, parts.n_parts + 1):
            kinds = np.flatnonzero(parts.part_of == part)
            field = _lent(n_field[i, g, part], all_field)
            of_part = _lent(counted[i, g, kinds].sum(axis=0), all_counted)
            for j in kinds:
                curves[i, g, j] = _log_ratio(_lent(counted[i, g, j], of_part), field)


def _lent(counts: np.ndarray, larger: np.ndarray) -> np.ndarray:
    return np.asarray(counts + larger * (_LENT / larger.sum()))


def _log_ratio(counterparts: np.ndarray, field: np.ndarray) -> np.ndarray:
    """Smooth log ratio of two histograms of equal bins: in wide bins that have enough of both, then interpolated."""
    both = counterparts / counterparts.sum() + field / field.sum()
    n_bins = int(np.clip(counterparts.sum() / _PER_BIN, 3, _MOST_BINS))
    wide = np.minimum((np.cumsum(both) - both / 2) / both.sum() * n_bins, n_bins - 1e-9).astype(np.int64)
    wide = np.unique(wide, return_inverse=True)[1]
    n_bins = int(wide.max()) + 1
    c, f = (np.bincount(wide, h, n_bins) for h in (counterparts, field))
    # half a count in each, so that an empty bin is rare and not impossible
    ratio = np.log((c + 0.5) / (c.sum() + 0.5 * n_bins)) - np.log((f + 0.5) / (f.sum() + 0.5 * n_bins))
    weight = np.bincount(wide, both, n_bins)
    centre = np.bincount(wide, both * np.arange(len(both)), n_bins) / np.maximum(weight, 1e-300)
    return np.interp(np.arange(len(both)), centre, ratio)


def pattern_priors(
    sums: np.ndarray, kin: np.ndarray, n_kin: int, given: Sequence[float | None], tolerance: float = 1e-4
) -> np.ndarray:
    """Prior probability of every pattern of catalogues that have the counterpart, for each kind of source.

    Maximises the likelihood of the priors pi over the sources of a kind, prod (pi_0 + sum_S pi_S W_S), by
    expectation-maximisation; at the solution the mean of the posterior of each pattern is its prior, so that p_any is
    calibrated over the kind. A completeness that is given holds whatever the data say.

    Parameters
    ----------
    sums : ndarray, shape (n_sources, 2^n_catalogues - 1)
        Sum of the weights of each source's associations by pattern, pattern S in column S - 1.
    kin : ndarray of int, shape (n_sources,)
        Kind of each source, from 0.
    n_kin : int
    given : sequence of float or None
        Completeness of each catalogue where it is given.
    tolerance : float
        Stop when no prior changes by more.

    Returns
    -------
    ndarray, shape (n_kin, 2^n_catalogues)
        Entry 0 is "none"; rows add up to 1, and nothing is below 1e-4.
    """
    n = len(given)
    member = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    c = np.array([0.5 if g is None else g for g in given])
    start = np.prod(np.where(member, c, 1 - c), axis=1)
    out = np.tile(start, (n_kin, 1))
    if all(g is not None for g in given):
        return out
    for i in range(n_kin):
        weights = sums[kin == i]
        if not len(weights):
            continue
        weights = np.concatenate([np.ones((len(weights), 1)), weights], axis=1)
        p = start
        for _ in range(1000):
            share = weights * p
            new = (share / share.sum(axis=1, keepdims=True)).mean(axis=0)
            new = np.maximum(_held(new, member, given), 1e-4 / len(new))
            new /= new.sum()
            done = np.abs(new - p).max() < tolerance
            p = new
            if done:
                break
        out[i] = p
    return out


def _held(p: np.ndarray, member: np.ndarray, given: Sequence[float | None]) -> np.ndarray:
    """Scale probabilities of patterns so that a completeness that is given holds."""
    for k, c in enumerate(given):
        if c is not None:
            has = member[:, k] == 1
            total = p[has].sum()
            p = np.where(has, p * c / max(total, 1e-12), p * (1 - c) / max(1 - total, 1e-12))
    return p
