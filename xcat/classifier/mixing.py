"""Weights of properties and classes: a ridge regression on log-likelihood terms, pulled to the category weights.

They are fitted on terms from tables that leave out the source (`xcat.classifier.crossval`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from xcat.arrays import FloatArray, IntArray
from xcat.classifier.weights import Terms, category_exponents

INVERSE_RIDGES = (0.001, 0.02, 0.08)
"""Inverse strengths C, as in logistic regressions, of the ridge on the weights of properties; the strongest first. With
the first the weights are next to those of the categories."""
CATEGORY_SHARES = (0.25, 0.5)
"""Shares of the weights of the categories in those of the properties that are tried. Without any the posterior of
sources in fields that the fit has not seen is over-confident, which folds of the labelled sources do not show."""
SHARED = 4.0
"""How much weaker the ridge is on what many terms of a score share: on the weight of a property in all classes, and on
that of one class's own density in its score."""
_MOST_ABOVE = 80.0
"""Most by which a score may exceed that of the true class in a fit, in single precision: a source that a fit gets all
wrong must still pull at it."""

Mixings: TypeAlias = list[tuple[FloatArray, FloatArray]]
"""Fitted mixing (T, K, K) and offsets (K,), one for every ridge."""


def fit_mixing(
    terms: Terms,
    priors: FloatArray,
    category_index: IntArray,
    start: FloatArray,
    inverse_ridges: Sequence[float],
) -> Mixings:
    """Fit the weights of all properties and classes, and one offset per class, with the least weighted log-loss.

    Parameters
    ----------
    category_index : (T,) int64
        Category of every term.
    start : (T, K, K) float64
        Mixing towards which the ridge shrinks: that of the categories' weights.
    inverse_ridges : sequence of float
        Each fit starts from the result of the previous one: the strongest ridge first is fastest.

    Returns
    -------
    list of (mixing, offsets)
        One per ridge. mixing[t, c, k], (T, K, K) float64, is the weight of the advantage of class k in term t in the
        score of class c; the offsets, (K,) float64, are added to the log of the priors and have the mean zero.

    Notes
    -----
    A multinomial logistic regression on the advantages, with a ridge: nearly redundant properties share one weight
    instead of being counted repeatedly. The score of a class may use the tables of the others: what separates a CV from
    an XRB need not separate it from a star. The sum over k is still a table of one property, so the score remains a sum
    of look-ups.

    The loss is the mean of that of the sources as they are and of those without each of the categories in turn. Weights
    that are right without any one of them do not lean on how the categories of the labelled sources go together, which
    sources of another origin need not share; this is the dropout of Srivastava et al. 2014 (J. Mach. Learn. Res. 15,
    1929) for whole categories, summed over what can be left out in place of draws.

    The ridge is that of a normal prior in three levels: the mixing of a term is that of its category, plus a number for
    the term, one for every class's own density, and one for every pair of classes. The variances of the first two are
    `SHARED` times that of the last, so that a few sources change what all classes share before they change the rest.
    """
    n_terms, k = terms.advantage.shape[1:]
    order = np.argsort(category_index, kind="stable")
    rows = _Rows.of(terms, np.log(priors), category_index, order)
    centre = _as_columns(start[order], np.zeros(k))
    x = centre
    curvature = rows.curvature(x)
    penalty = _penalty(k)
    # second derivatives of the penalty with respect to every column by itself
    own = np.zeros_like(curvature)
    own[:, :-1, :-1] = [np.kron(np.eye(n_terms), penalty[c, :, c, :]) for c in range(k)]
    own[:, -1, -1] = 1.0

    from scipy.linalg.lapack import dtrtri
    from scipy.optimize import minimize

    pulling = penalty.transpose(3, 2, 1, 0).reshape(k * (k - 1), k * (k - 1))

    def pull(shift: FloatArray) -> FloatArray:
        """Half the derivative of the penalty, by columns."""
        pulled = shift[:-1].reshape(n_terms, -1) @ pulling
        return np.concatenate([pulled.reshape(-1, k), shift[-1:]])

    fits = []
    for inverse in inverse_ridges:
        # as strong as that of a logistic regression on n equally weighted sources
        ridge = 1.0 / (2.0 * inverse * terms.label.size)
        # steps in units of the curvature: the terms differ much in what they say, and a tenth of the steps is enough
        lower = np.linalg.cholesky(curvature + 2.0 * ridge * own)
        unit = np.stack([dtrtri(of_class, lower=1)[0].T for of_class in lower])
        begin = x

        def steps(z: FloatArray, unit: FloatArray = unit) -> FloatArray:
            return np.asarray((unit @ z.reshape(k, -1, 1))[..., 0].T)

        def loss(
            z: FloatArray, ridge: float = ridge, unit: FloatArray = unit, begin: FloatArray = begin
        ) -> tuple[float, FloatArray]:
            columns = begin + steps(z)
            shift = columns - centre
            pulled = pull(shift)
            value, slope = rows.loss_and_slope(columns)
            slope = slope + 2.0 * ridge * pulled
            return value + ridge * float(np.sum(shift * pulled)), (unit.transpose(0, 2, 1) @ slope.T[..., None]).ravel()

        z = minimize(loss, np.zeros(x.size), jac=True, method="L-BFGS-B", options={"maxiter": 300, "ftol": 1e-6}).x
        x = begin + steps(z)
        columns = x[:-1].reshape(n_terms, k - 1, k).transpose(0, 2, 1)[np.argsort(order)]
        fits.append((columns @ _basis(k).T + start.mean(axis=2, keepdims=True), x[-1] - x[-1].mean()))
    return fits


@cache
def _penalty(k: int) -> FloatArray:
    """Inverse of the prior covariance of a term's columns, (K, K - 1, K, K - 1), where that of its pairs is 1."""
    one = _basis(k)  # row c: the unit vector of class c
    size = k * (k - 1)
    covariance = np.eye(size).reshape(k, k - 1, k, k - 1)
    # all classes together, 1 / K each, as much as one class alone
    for c in range(k):
        covariance[c, :, c, :] += SHARED * np.outer(one[c], one[c])
        for e in range(k):
            covariance[c, :, e, :] += SHARED / k * np.outer(one[c], one[e])
    return np.asarray(np.linalg.inv(covariance.reshape(size, size)).reshape(covariance.shape))


@cache
def _basis(k: int) -> FloatArray:
    """Orthonormal basis (K, K - 1) of what has the sum 0 over the classes, as advantages do."""
    return np.asarray(np.linalg.svd(np.eye(k) - 1.0 / k)[0][:, : k - 1])


def _as_columns(mixing: FloatArray, offsets: FloatArray) -> FloatArray:
    """Weights as a matrix (T (K - 1) + 1, K): a column for the score of every class, its offset last.

    What is constant along the last axis of the mixing counts for nothing, and is left out.
    """
    n_terms, k, _ = mixing.shape
    columns = (mixing @ _basis(k)).transpose(0, 2, 1).reshape(n_terms * (k - 1), k)
    return np.concatenate([columns, offsets[None]])


@dataclass(frozen=True, eq=False)
class _Rows:
    """Terms laid out for the fit: sources of one class, and columns of one category, follow each other.

    In single precision, which is enough for a loss and a slope, and halves the memory traffic.
    """

    x: NDArray[np.float32]  # (T (K - 1) + 1, R): advantages, and 1 for the offset
    categories: list[slice]  # columns of each
    log_prior: NDArray[np.float32]  # (K, 1)
    members: list[slice]  # rows of each class
    row_weight: FloatArray  # (R,)
    source_weight: FloatArray  # (N,)
    source: IntArray | None  # (R,) source of the row, sorted; None: every source has one row
    first: IntArray  # (N,) first row of every source

    @classmethod
    def of(cls, terms: Terms, log_prior: FloatArray, category_index: IntArray, order: IntArray) -> _Rows:
        """Lay out terms, in an order in which those of a category follow each other."""
        n_rows, n_terms, k = terms.advantage.shape
        rows = np.argsort(terms.row_label, kind="stable")
        x = np.ones((n_terms * (k - 1) + 1, n_rows), dtype=np.float32)
        basis = _basis(k).astype(np.float32)
        x[:-1] = (terms.advantage[rows][:, order].astype(np.float32) @ basis).reshape(n_rows, -1).T
        ends = (k - 1) * np.flatnonzero(np.diff(category_index[order], prepend=-1, append=-1))
        limits = np.searchsorted(terms.row_label[rows], np.arange(k + 1))
        by_class = np.argsort(terms.label, kind="stable")
        number = np.argsort(by_class)[terms.source[rows]]
        return cls(
            x,
            [slice(*each) for each in pairwise(ends.tolist())],
            log_prior.astype(np.float32)[:, None],
            [slice(*each) for each in pairwise(limits.tolist())],
            terms.row_weight[rows],
            terms.source_weight[by_class],
            None if terms.is_plain else number,
            np.searchsorted(number, np.arange(terms.label.size)),
        )

    def _above_truth(self, score: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores minus that of the true class, (K, R)."""
        for c, rows in enumerate(self.members):
            score[:, rows] -= score[c, rows].copy()
        return score

    def _odds(self, above: NDArray[np.float32]) -> tuple[NDArray[np.float32], FloatArray, FloatArray, FloatArray]:
        """Odds against the truth by scores `above` that of the truth, whose place they take, (V, K, R); what follows.

        The sum of the odds of every row, (V, R), the probability of the truth of every source, (V, N), and the share of
        every row in the loss, (V, R). V counts what is left out.
        """
        odds = np.exp(np.minimum(above, _MOST_ABOVE, out=above), out=above)
        total = odds.sum(axis=1)
        joint = self.row_weight / total
        if self.source is None:
            return odds, total, joint, np.broadcast_to(self.source_weight, joint.shape)
        of_truth = np.add.reduceat(joint, self.first, axis=1)
        return odds, total, of_truth, np.take(self.source_weight / of_truth, self.source, axis=1) * joint

    def loss_and_slope(self, columns: FloatArray) -> tuple[float, FloatArray]:
        """Weighted log-loss with all categories and without each of them, their mean; and its derivative."""
        narrow = columns.astype(np.float32).T
        of_category = [self._above_truth(narrow[:, part] @ self.x[part]) for part in self.categories]
        constant = np.broadcast_to(self.log_prior + narrow[:, -1:], of_category[0].shape)
        whole = sum(of_category, self._above_truth(constant.copy()))
        odds, total, of_truth, share = self._odds(np.stack([whole, *(whole - each for each in of_category)]))
        odds *= (share / total).astype(np.float32)[:, None]
        for c, rows in enumerate(self.members):
            odds[:, c, rows] -= share[:, rows]
        together = odds.sum(axis=0)
        slope = np.empty(columns.shape)
        for part, without in zip(self.categories, odds[1:], strict=True):
            slope[part] = self.x[part] @ (together - without).T
        slope[-1] = together.sum(axis=1, dtype=np.float64)
        return -float(np.mean(np.log(of_truth) @ self.source_weight)), slope / len(odds)

    def curvature(self, columns: FloatArray) -> FloatArray:
        """Second derivatives of the loss with all categories, with respect to every column by itself, (K, ., .)."""
        above = self._above_truth(columns.astype(np.float32).T @ self.x + self.log_prior)
        odds, total, _, share = (each[0] for each in self._odds(above[None]))
        p = odds / total
        weight = np.sqrt(share * p * (1.0 - p)).astype(np.float32)
        scaled = [self.x * w for w in weight]
        return np.stack([(of @ of.T).astype(np.float64) for of in scaled])


def start_of_properties(terms: Terms, priors: FloatArray, category_index: IntArray, active: FloatArray) -> FloatArray:
    """Mixing towards which weights of properties shrink, (T, K, K): that of the best weights of the categories."""
    exponents = category_exponents(terms, priors, category_index, int(category_index.max()) + 1)
    return exponents[category_index][:, None, None] * np.eye(terms.advantage.shape[2]) * active


@dataclass(frozen=True)
class Shrinkage:
    """How strongly weights of properties are pulled to those of the categories.

    Attributes
    ----------
    inverse_ridge : float
        Strength C of the ridge, as in logistic regressions.
    category_share : float
        Share of the weights of the categories in the weights as they are used.
    """

    inverse_ridge: float
    category_share: float

    def shrunk(self, start: FloatArray, mixing: FloatArray, offsets: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Fitted weights and offsets, with the share of those of the categories, `start`, which have no offsets."""
        fitted = 1.0 - self.category_share
        return fitted * mixing + self.category_share * start, fitted * offsets


def fit_of_properties(
    terms: Terms, priors: FloatArray, category_index: IntArray, start: FloatArray, shrinkage: Shrinkage
) -> tuple[FloatArray, FloatArray]:
    """Weights of properties and offsets, pulled to those of the categories."""
    ((mixing, offsets),) = fit_mixing(terms, priors, category_index, start, [shrinkage.inverse_ridge])
    return shrinkage.shrunk(start, mixing, offsets)


def best_shrinkage(
    terms: Terms, fold: IntArray, priors: FloatArray, category_index: IntArray, active: FloatArray
) -> tuple[float, Shrinkage]:
    """Out-of-fold log-loss of the weights as they are used, and the shrinkage to take.

    The ridge is the strongest one that has a loss within one standard error of the least (the rule of Breiman et al.
    1984, Classification and Regression Trees, section 3.4.3): sources of another origin are more unlike the labelled
    ones than one fold is unlike another, and what is shared by the classes carries over best. The share is that of the
    least loss with this ridge.
    """
    tried = [[Shrinkage(inverse, share) for share in CATEGORY_SHARES] for inverse in INVERSE_RIDGES]
    losses = np.empty((len(INVERSE_RIDGES), len(CATEGORY_SHARES), terms.label.size))
    for f in np.unique(fold).tolist():
        held = fold == f
        sources, others = terms.take(held), terms.take(~held)
        number, start = np.arange(sources.label.size), start_of_properties(others, priors, category_index, active)
        for i, fitted in enumerate(fit_mixing(others, priors, category_index, start, INVERSE_RIDGES)):
            for j, shrinkage in enumerate(tried[i]):
                p = sources.posterior(sources.score(priors, *shrinkage.shrunk(start, *fitted)))
                losses[i, j, held] = -np.log(np.maximum(p[number, sources.label], 1e-300))
    mean = losses @ terms.source_weight
    best = np.unravel_index(np.argmin(mean), mean.shape)
    excess = mean - mean[best]
    spread = np.sqrt((losses - losses[best] - excess[..., None]) ** 2 @ terms.source_weight**2)
    ridge = int(np.argmax((excess <= spread).any(axis=1)))
    share = int(np.argmin(mean[ridge]))
    return float(mean[ridge, share]), tried[ridge][share]
