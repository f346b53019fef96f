"""Posterior probabilities, and the evidence behind them.

The posterior is that of the poster, with one more number:

    ln P(c) = ln prior_c + sharpness * sum_t alpha_t l_t(c) / sum_t alpha_t + const

where l_t(c) is the sum of the log-likelihood terms of the properties in category t. With sharpness 1 it is
the formula of Tranin et al. 2022 (A&A 657, A138) as the poster prints it; with sharpness T and equal weights
it is plain naive Bayes, whose terms count as independent. The sharpness between them is fitted, as the
temperature of Guo et al. 2017 (ICML, PMLR 70, 1321) is for networks: it mends over- and under-confidence.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xcat.classifier.model import Model
from xcat.classifier.properties import FloatArray, IntArray, as_table, column_to_scale

FARTHEST = 100.0
"""A value this many lengths of its table beyond the end, or farther, or infinite, counts as that far."""


@dataclass(frozen=True, eq=False)
class Classification:
    """What the model says of N sources.

    Attributes
    ----------
    p : (N, K) float64
        Posterior probabilities.
    class_index : (N,) int64
        Most probable class, from 0.
    margin : (N,) float64
        Its probability minus that of the second.
    outlier : (N,) float64
        Decades by which the source is less likely than the most typical member of its most probable class.
    n_missing : (N,) int64
        Properties without a value.
    class_without : (N, T) int64
        Most probable class when the category is left out.
    evidence : (N, P, K) float32
        Natural-log likelihood terms; see `evidence`.
    """

    p: FloatArray
    class_index: IntArray
    margin: FloatArray
    outlier: FloatArray
    n_missing: IntArray
    class_without: IntArray
    evidence: NDArray[np.float32]


def evidence(model: Model, values: ArrayLike) -> NDArray[np.float32]:
    """Log-likelihood term of every property and class.

    Parameters
    ----------
    model : Model
    values : (N, P) array
        On the physical scales; NaN is missing.

    Returns
    -------
    (N, P, K) float32
        log_present + log density where the property has a value, log_missing where it has none; natural logs.
        The density is interpolated in the table, and beyond its ends it falls by the property's tail_slope.

    Raises
    ------
    ValueError
        When `values` is not (N, P).
    """
    table = as_table(values, len(model.properties))
    terms = np.empty((*table.shape, len(model.classes)), dtype=np.float32)
    for j, (inside, tail, _) in enumerate(_terms(model, table)):
        terms[:, j] = inside - tail[:, None]
    return terms


def mean_log_likelihood(model: Model, terms: NDArray[np.floating]) -> FloatArray:
    """Weighted mean log-likelihood sum_t alpha_t l_t(c) / sum_t alpha_t, (N, K), less its mean over the classes.

    Parameters
    ----------
    model : Model
        Its weights are used.
    terms : (N, P, K) array
        Log-likelihood terms; see `evidence`.
    """
    share = (model.weights / model.weights.sum())[model.property_category]
    return np.einsum("npk,p->nk", terms - terms.mean(axis=2, keepdims=True, dtype=np.float64), share)


def classify(model: Model, values: ArrayLike) -> Classification:
    """Classify sources. Memory is some 600 bytes a source; give it pieces of about 50,000.

    Parameters
    ----------
    model : Model
    values : (N, P) array
        On the physical scales; NaN is missing.

    Returns
    -------
    Classification

    Raises
    ------
    ValueError
        When `values` is not (N, P).

    Notes
    -----
    `class_without` leaves a category's weight out of both sums of the formula and multiplies the sharpness by
    what the sum of weights lost: the other categories keep their exponents, so a change of class says that
    this category decided, not that the others were turned up.

    The outlier measure of a source with most probable class c is sum_p w_p (best_p(c) - term_p(c)) / ln 10.
    The best term of a property with a value is the peak of its density; its being there, or missing, counts
    against the more common case. w_p = alpha_t / mean(alpha). It is zero for a source at the mode of its
    class in everything, and positive for all others. Beyond the ends of a table all classes fall alike, so a
    value that moves outwards leaves the class as it is and can only make the source more outlying. (The least
    over all classes would be no measure: a class of few members has flat tables, in which nothing is an
    outlier.)
    """
    table = as_table(values, len(model.properties))
    n, n_classes, n_categories = table.shape[0], len(model.classes), len(model.categories)
    category = model.property_category
    typical = (model.weights / model.weights.mean())[category]
    more_common = np.maximum(model.log_present, model.log_missing)

    terms = np.empty((*table.shape, n_classes), dtype=np.float32)
    exponents = model.term_exponents
    said = np.zeros((n_categories, n, n_classes))
    typical_sum = np.zeros((n, n_classes))
    best = np.zeros((n, n_classes))
    beyond = np.zeros(n)
    n_missing = np.zeros(n, dtype=np.int64)
    for j, (inside, tail, missing) in enumerate(_terms(model, table)):
        terms[:, j] = inside - tail[:, None]
        said[category[j]] += contribution(inside, exponents[j])
        typical_sum += typical[j] * inside
        best += typical[j] * np.where(missing[:, None], more_common[j], more_common[j] + model.log_peak[j])
        beyond += typical[j] * tail
        n_missing += missing

    score = model.log_prior + said.sum(axis=0)
    class_index = np.argmax(score, axis=1)
    without = np.stack([np.argmax(score - said[t], axis=1) for t in range(n_categories)], axis=1)

    reached = best - typical_sum
    shortfall = np.take_along_axis(reached, class_index[:, None], axis=1)[:, 0]
    outlier = np.maximum(shortfall, 0.0) + beyond  # below zero only by rounding
    p = softmax(score)
    return Classification(p, class_index, _margin(p), outlier / np.log(10.0), n_missing, without, terms)


def contribution(terms: FloatArray, exponents: FloatArray) -> FloatArray:
    """What terms add to the score of every class: the exponent times the term's advantage over the mean of the classes.

    Parameters
    ----------
    terms : (..., K) float64
        Log-likelihood terms of a property.
    exponents : (K,) or (..., K) float64
        Where they are equal for all classes, taking the mean away changes no probability. Where they were fitted class
        by class it is what makes them comparable: only ratios of densities count, not the unit of the property.
    """
    return exponents * (terms - terms.mean(axis=-1, keepdims=True))


def softmax(score: FloatArray) -> FloatArray:
    """Probabilities from log scores, (N, K), safe against overflow."""
    p = np.exp(score - score.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    return p


def _margin(p: FloatArray) -> FloatArray:
    """Largest minus second largest probability; 1 when there is one class only."""
    if p.shape[1] == 1:
        return np.ones(p.shape[0])
    largest = np.partition(p, -2, axis=1)[:, -2:]
    return largest[:, 1] - largest[:, 0]


def _terms(model: Model, table: NDArray[np.floating]) -> Iterator[tuple[FloatArray, FloatArray, NDArray[np.bool_]]]:
    """Look the sources up, property by property.

    Yields
    ------
    inside : (N, K) float64
        The term, with the value brought back to the end of the table when it is beyond.
    tail : (N,) float64
        What the term loses beyond the end, in every class: kept apart so that it cannot touch the ratios.
    missing : (N,) bool
    """
    last = model.log_density.shape[1] - 1
    for j, prop in enumerate(model.properties):
        x = column_to_scale(table[:, j], prop)
        missing = np.isnan(x)
        low, high = model.low[j], model.low[j] + last * model.step[j]
        reach = FARTHEST * (high - low)
        x = np.clip(np.where(missing, low, x), low - reach, high + reach)
        tail = model.tail_slope[j] * np.maximum(np.maximum(low - x, x - high), 0.0)

        position = np.clip((x - low) / model.step[j], 0.0, last)
        node = np.minimum(position.astype(np.int64), last - 1)
        values = model.log_density[j]
        inside = np.take(np.diff(values, axis=0), node, axis=0)
        inside *= (position - node)[:, None]
        inside += np.take(values + model.log_present[j], node, axis=0)
        inside[missing] = model.log_missing[j]
        yield inside, tail, missing
