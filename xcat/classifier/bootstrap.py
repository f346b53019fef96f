"""How sure a probability is: its spread over refits of the model.

Every replicate is a refit of tables, weights and offsets to the same labelled sources, each group of which counts with
a random weight, exponentially distributed: the Bayesian bootstrap [1]_. Four sets of inner folds take turns. What is
kept of it is small: by how much it changes the contribution of a term to the score of a class, at every second node of
the table and at every third level of the errors. An answer is looked up there with the nearest node: a change is
smoother than a density, and this is an error of an error.

References
----------
.. [1] Rubin 1981, "The Bayesian bootstrap", Ann. Statist. 9, 130.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import compress
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from xcat.arrays import FloatArray, IntArray
from xcat.classifier.density import FIRST_NODE, N_LEVELS, Table
from xcat.classifier.pairs import PairTable

if TYPE_CHECKING:
    from xcat.classifier.model import Model

NODES_APART = 2
LEVELS_APART = 3
N_RUNGS = N_LEVELS // LEVELS_APART
KEPT_RUNGS = np.arange(LEVELS_APART, N_LEVELS, LEVELS_APART)
"""Levels of errors that are kept, beside that of exact values."""
_SOURCES_AT_ONCE = 500  # few enough for the cache of a core
LEAST_ERROR = 1e-3
"""Least sum of the errors of two probabilities in `confidence`: what a bootstrap of twenty can tell from zero."""

_Changes: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Replicates:
    """What B replicates of a fit change in the scores of K classes.

    Attributes
    ----------
    offsets : (K, B) float32
        Changes of the offsets.
    terms : tuple of (K, places, B) float32
        Changes of the contributions of the first terms of the model, at each of their `places` (of a pair: in no bin,
        and in each of its bins); terms beyond these do not change.
    """

    offsets: _Changes
    terms: tuple[_Changes, ...]

    @property
    def size(self) -> int:
        """Number of replicates, B."""
        return int(self.offsets.shape[1])

    def select(self, kept: Sequence[bool]) -> Replicates:
        """The replicates with some of the model's terms."""
        return Replicates(self.offsets, tuple(compress(self.terms, kept)))


def places(table: Table, row: IntArray) -> IntArray:
    """Place in the replicates of every row of a table, (N,): the nearest of those that are kept."""
    n_nodes, n_rungs = _shape(table)
    kept = (n_nodes - 1) // NODES_APART + 1
    rung, node = np.divmod(np.arange(n_nodes * n_rungs), n_nodes)
    is_limit = rung * n_nodes >= table.first_limit - FIRST_NODE
    of_value = ((rung + 1) // LEVELS_APART).clip(0, N_RUNGS - 1)
    rung = np.where(is_limit, 1 if table.log_smeared is None else N_RUNGS, of_value)
    # a value between an uneven node and the next one is nearer to the latter
    place = FIRST_NODE + rung * kept + np.minimum((node + 1) // NODES_APART, kept - 1)
    return np.asarray(np.concatenate([np.arange(FIRST_NODE), place])[row])


def at_places(table: Table) -> FloatArray:
    """Term of a property at every place, (places, K)."""
    n_nodes, n_rungs = _shape(table)
    rows = table.rows
    by_rung = rows[:, FIRST_NODE:].reshape(len(rows), n_rungs, n_nodes)
    kept = [0] if table.log_smeared is None else [0, *KEPT_RUNGS]
    if table.log_above is not None:
        kept.append(n_rungs - 1)
    nodes = by_rung[:, kept, ::NODES_APART].reshape(len(rows), -1)
    return np.concatenate([rows[:, :FIRST_NODE], nodes], axis=1).T


def _shape(table: Table) -> tuple[int, int]:
    """Number of nodes, and how often the rows of a table repeat them."""
    n_nodes = len(table.log_density)
    return n_nodes, (table.rows.shape[1] - FIRST_NODE) // n_nodes


def pair_places(pair: PairTable, x: FloatArray, y: FloatArray) -> IntArray:
    """Place of every value of a pair, (N,): 0 where one of the two is missing, and one for every bin."""
    both = np.isfinite(x) & np.isfinite(y)
    size = pair.log_ratio.shape
    at = []
    for axis, value in enumerate((x, y)):
        position = (np.where(both, value, pair.low[axis]) - pair.low[axis]) / pair.step[axis]
        at.append(np.rint(np.clip(position, 0, size[axis] - 1)).astype(np.int64))
    return np.where(both, 1 + at[0] * size[1] + at[1], 0)


def contributions_at_places(model: Model) -> list[FloatArray]:
    """What every term adds to the scores at each of its places, (places, K)."""
    k = len(model.classes)
    terms = [at_places(table) for table in model.tables]
    terms += [np.concatenate([np.zeros((1, k)), pair.log_ratio.reshape(-1, k)]) for pair in model.pairs]
    return [
        (term - term.mean(axis=1, keepdims=True)) @ mixing.T for term, mixing in zip(terms, model.mixing, strict=True)
    ]


def gathered(model: Model, refits: Sequence[Model]) -> Replicates:
    """What refits of a model change."""
    whole = contributions_at_places(model)
    of_refits = zip(*(contributions_at_places(refit) for refit in refits), strict=True)
    terms = tuple(
        np.stack([(other - own).T for other in others], axis=2).astype(np.float32)
        for own, others in zip(whole, of_refits, strict=True)
    )
    offsets = np.stack([refit.offsets - model.offsets for refit in refits], axis=1)
    return Replicates(offsets.astype(np.float32), terms)


def spread(
    replicates: Replicates,
    score: FloatArray,
    of_source: Mapping[int, IntArray],
    class_index: IntArray,
    of_row: Mapping[int, IntArray],
    hypotheses: tuple[FloatArray, IntArray] | None = None,
    prior_ratio: FloatArray | None = None,
    answer_index: IntArray | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Errors of probabilities, (N, A), and how often each source has its class, (N,).

    Parameters
    ----------
    score : (R, K) float64
        Log scores of the rows by the model itself.
    of_source : mapping of int to (N,) int64
        For the number of every term that is the same for all rows of a source, the place of each source.
    class_index : (N,) int64
        Most probable class of every source.
    of_row : mapping of int to (R,) int64
        For the number of every other term with replicates, the place of each row.
    hypotheses : ((R,) float64, (N,) int64), optional
        Weight of every row, and the first row of every source; without, every source is a row.
    prior_ratio : (N, K) array, optional
        As in `classify`.
    answer_index : (K,) int64, optional
        As in `Model`, if the K are kinds of classes.
    """
    n, k = class_index.size, score.shape[1] if answer_index is None else int(answer_index.max()) + 1
    p_err, stability = np.empty((n, k)), np.empty(n)
    start = np.append(np.arange(n) if hypotheses is None else hypotheses[1], len(score))
    for first in range(0, n, _SOURCES_AT_ONCE):
        some = slice(first, min(first + _SOURCES_AT_ONCE, n))
        rows = slice(int(start[some.start]), int(start[some.stop]))
        p = np.repeat(replicates.offsets[:, None, :], some.stop - some.start, axis=1)
        _add(p, replicates, {t: place[some] for t, place in of_source.items()})
        if hypotheses is not None:
            p = np.repeat(p, np.diff(start[some.start : some.stop + 1]), axis=1)
        p += (score[rows] - score[rows].max(axis=1, keepdims=True)).T.astype(np.float32)[:, :, None]
        _add(p, replicates, {t: place[rows] for t, place in of_row.items()})
        p -= reduce(np.maximum, p)
        np.exp(p, out=p)
        total = reduce(np.add, p)
        if hypotheses is not None:
            total /= hypotheses[0][rows].astype(np.float32)[:, None]
        p /= total
        if hypotheses is not None:
            p = _summed(p, start[some.start : some.stop + 1] - rows.start)
        if prior_ratio is not None:
            p *= prior_ratio[some].T.astype(np.float32)[:, :, None]
            p /= reduce(np.add, p)
        if answer_index is not None:
            p = np.stack([reduce(np.add, p[answer_index == a]) for a in range(k)])
        p_err[some] = p.std(axis=2, ddof=1).T
        best, winner = p[0].copy(), np.zeros(p.shape[1:], dtype=np.int8)
        for c in range(1, k):
            winner[p[c] > best] = c
            np.maximum(best, p[c], out=best)
        stability[some] = (winner == class_index[some][:, None]).mean(axis=1)
    return p_err, stability


def _summed(p: _Changes, start: IntArray) -> _Changes:
    """Sums over the rows of each source, (K, N, B), of (K, R, B); rank by rank: reduceat is slow."""
    size = np.diff(start)
    total = np.take(p, start[:-1], axis=1)
    for rank in range(1, int(size.max())):
        longer = np.flatnonzero(size > rank)
        total[:, longer] += np.take(p, start[longer] + rank, axis=1)
    return total


def _add(scores: _Changes, replicates: Replicates, place: Mapping[int, IntArray]) -> None:
    """Add the changes of some terms to scores (K, rows, B)."""
    change = np.empty(scores.shape[1:], dtype=np.float32)
    for t, at in place.items():
        for c in range(len(scores)):
            np.take(replicates.terms[t][c], at, axis=0, out=change, mode="clip")
            scores[c] += change


def confidence(p: FloatArray, p_err: FloatArray) -> FloatArray:
    """Difference of the two largest probabilities over the sum of their errors, (N,).

    The classification threshold CT of Yang et al. 2022, ApJ 941, 104; the sum of the errors is at least `LEAST_ERROR`.
    """
    if p.shape[1] == 1:
        return np.full(len(p), np.nan)
    order = np.argsort(-p, axis=1, kind="stable")[:, :2]
    lead = np.take_along_axis(p, order, axis=1)
    error = np.take_along_axis(p_err, order, axis=1).sum(axis=1)
    return np.asarray((lead[:, 0] - lead[:, 1]) / np.maximum(error, LEAST_ERROR))
