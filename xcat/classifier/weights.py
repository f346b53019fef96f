"""Fits of what turns log-likelihood terms into scores: sharpness and weights of categories; see also `mixing`.

All are fitted on terms from tables that leave out the source (`xcat.classifier.crossval`). A source with several
counterpart hypotheses has a row of terms for each; its probability is their mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from xcat.arrays import FloatArray, IntArray
from xcat.classifier.posterior import softmax

LEAST_SHARPNESS = 0.05
MOST_SHARPNESS = 3.0
"""Largest sharpness considered, in units of the number of categories: three times plain naive Bayes."""
MOST_ALPHA = 3.0
"""Largest exponent of a category that is tried: three times that of plain naive Bayes."""


@dataclass(frozen=True, eq=False)
class Terms:
    """Terms of labelled sources, minus their mean over the classes.

    Attributes
    ----------
    advantage : (R, T, K) float64
        One row per hypothesis of every source; T terms.
    row_weight : (R,) float64
        Probability of the hypothesis.
    source : (R,) int64
        Source of the row, sorted.
    label : (N,) int64
    source_weight : (N,) float64
        Weight of each source in the loss; the sum is 1.
    """

    advantage: FloatArray
    row_weight: FloatArray
    source: IntArray
    label: IntArray
    source_weight: FloatArray

    @property
    def is_plain(self) -> bool:
        """Whether every source has one row."""
        return self.source.size == self.label.size

    @cached_property
    def first(self) -> IntArray:
        """First row of every source, (N,)."""
        return np.searchsorted(self.source, np.arange(self.label.size))

    @cached_property
    def row_label(self) -> IntArray:
        """Class of the source of every row, (R,)."""
        return self.label[self.source]

    def take(self, sources: NDArray[np.bool_]) -> Terms:
        """The chosen sources, with all their rows."""
        rows = sources[self.source]
        number = np.cumsum(sources) - 1
        weight = self.source_weight[sources]
        source, label = number[self.source[rows]], self.label[sources]
        return Terms(self.advantage[rows], self.row_weight[rows], source, label, weight / weight.sum())

    def score(self, priors: FloatArray, mixing: FloatArray, offsets: FloatArray) -> FloatArray:
        """Log scores of the rows, (R, K)."""
        n_rows, n_terms, k = self.advantage.shape
        weight = mixing.transpose(0, 2, 1).reshape(n_terms * k, k)
        return np.asarray(np.log(priors) + offsets + self.advantage.reshape(n_rows, n_terms * k) @ weight)

    def posterior(self, score: FloatArray) -> FloatArray:
        """Probabilities (N, K) from the scores of the rows (R, K): the mean over the hypotheses."""
        p = softmax(score)
        if self.is_plain:
            return p
        return np.asarray(np.add.reduceat(self.row_weight[:, None] * p, self.first, axis=0))

    def log_loss(self, score: FloatArray) -> float:
        """Weighted mean of -ln p(true class)."""
        p = self.posterior(score)[np.arange(self.label.size), self.label]
        return float(-(self.source_weight @ np.log(np.maximum(p, 1e-300))))


def fit_sharpness(terms: Terms, priors: FloatArray, shares: FloatArray) -> float:
    """Find the sharpness with the least weighted log-loss; an end of the search range if it has no minimum inside.

    The `shares`, (T,), are those of each term in the weighted mean log-likelihood: alpha of its category over the sum
    of alphas. With one row per source the loss is convex in this number, so the root of its derivative is the minimum.
    It is the inverse of the temperature of Guo et al. 2017.
    """
    mean = np.einsum("rtk,t->rk", terms.advantage, shares)
    log_prior = np.log(priors)
    most = MOST_SHARPNESS * max(1.0, 1.0 / float(shares.max()))

    def slope(sharpness: float) -> float:
        _, gradient = _loss_and_slope(terms, log_prior + sharpness * mean)
        return float(np.sum(gradient * mean))

    if slope(LEAST_SHARPNESS) >= 0.0:
        return LEAST_SHARPNESS
    if slope(most) <= 0.0:
        return most
    from scipy.optimize import brentq  # here: it takes long to load, and only a fit needs it

    return float(brentq(slope, LEAST_SHARPNESS, most, xtol=1e-4))


def _loss_and_slope(terms: Terms, score: FloatArray) -> tuple[float, FloatArray]:
    """Weighted log-loss, and its derivative with respect to the scores of the rows (R, K)."""
    if score.shape[1] < 8:
        p = softmax(score)
    else:  # its order of summation would change the last digit
        p = np.exp(score - score.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
    rows, label = np.arange(score.shape[0]), terms.row_label
    of_truth = p[rows, label] * terms.row_weight
    total = np.bincount(terms.source, of_truth, terms.label.size)
    total = np.maximum(total, 1e-300)
    value = -float(terms.source_weight @ np.log(total))
    # share of the hypothesis in its source's probability of the true class
    share = of_truth / total[terms.source] * terms.source_weight[terms.source]
    gradient = share[:, None] * p
    gradient[rows, label] -= share
    return value, gradient


def category_exponents(terms: Terms, priors: FloatArray, category_index: IntArray, n_categories: int) -> FloatArray:
    """Exponents of the categories with the least weighted log-loss, from 0 to `MOST_ALPHA`, (n_categories,).

    With one row per source the loss is convex in them. A category without terms has 0.
    """
    used = np.unique(category_index)
    by_category = np.stack([terms.advantage[:, category_index == t].sum(axis=1) for t in used])
    log_prior = np.log(priors)

    def loss(x: FloatArray) -> tuple[float, FloatArray]:
        value, gradient = _loss_and_slope(terms, log_prior + np.tensordot(x, by_category, axes=1))
        return value, np.tensordot(by_category, gradient, axes=2)

    from scipy.optimize import minimize

    bounds = [(0.0, MOST_ALPHA)] * used.size
    exponents = np.zeros(n_categories)
    start = np.full(used.size, 0.5)
    exponents[used] = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-10}).x
    return exponents


def fit_category_weights(
    terms: Terms,
    priors: FloatArray,
    category_index: IntArray,
    n_categories: int,
    objective: str,
    class_index: int | None,
    seed: int,
) -> tuple[FloatArray, float]:
    """Find the weights alpha of the categories.

    The log-loss has one minimum (`category_exponents`). F1 has many: differential evolution (Storn & Price 1997, J.
    Global Optim. 11, 341), a whole generation evaluated at once.

    Parameters
    ----------
    category_index : (T,) int64
        Category of every term.
    objective : {"log_loss", "macro_f1", "f1"}
        Figure to optimise, on the sample weighted by the source weights; `class_index` is the class of "f1".

    Returns
    -------
    weights : (n_categories,) float64
        With the mean 1.
    sharpness : float
    """
    if objective == "log_loss":
        exponents = category_exponents(terms, priors, category_index, n_categories)
        total = max(float(exponents.sum()), 1e-6)
        return exponents / total * n_categories if exponents.any() else np.ones(n_categories), total
    log_prior = np.log(priors)
    cost = _cost(terms, objective, class_index)
    used = np.unique(category_index)
    by_category = np.stack([terms.advantage[:, category_index == t].sum(axis=1) for t in used])

    def costs(generation: FloatArray) -> FloatArray:
        return np.array([cost(log_prior + np.tensordot(member, by_category, axes=1)) for member in generation.T])

    from scipy.optimize import Bounds, differential_evolution

    best = differential_evolution(
        costs,  # type: ignore[arg-type]
        Bounds(np.zeros(used.size), np.full(used.size, MOST_ALPHA)),
        rng=seed,
        popsize=12,
        maxiter=60,
        tol=1e-3,
        vectorized=True,
        updating="deferred",
        polish=False,
        init="sobol",
    )
    exponents = np.zeros(n_categories)
    exponents[used] = best.x
    total = max(float(exponents.sum()), 1e-6)
    weights = exponents / total * n_categories if exponents.any() else np.ones(n_categories)
    return weights, total


def _cost(terms: Terms, objective: str, class_index: int | None) -> Callable[[FloatArray], float]:
    """Function of the scores of the rows that is to be minimised."""
    k = terms.advantage.shape[2]

    def cost_f1(score: FloatArray) -> float:
        predicted = np.argmax(score if terms.is_plain else terms.posterior(score), axis=1)
        correct = predicted == terms.label
        hit = np.bincount(terms.label[correct], terms.source_weight[correct], k)
        n_true = np.bincount(terms.label, terms.source_weight, k)
        n_predicted = np.bincount(predicted, terms.source_weight, k)
        f1 = 2.0 * hit / np.maximum(n_true + n_predicted, 1e-12)
        return float(1.0 - (f1.mean() if class_index is None else f1[class_index]))

    return cost_f1
