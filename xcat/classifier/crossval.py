"""Cross-validation: folds, the sharpness that suits the out-of-fold likelihoods, and the final model.

Nothing that is reported of a source has seen its label. The tables of an outer fold leave that fold out; its
sharpness is fitted on likelihoods from tables that leave out two folds, the outer one and the source's own.
Those tables serve both ways round, so ten folds need 45 of them, each made from sums of counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq, minimize

from xcat.classifier.density import N_NODES
from xcat.classifier.model import (
    CATEGORIES,
    Counts,
    Model,
    check_labels,
    check_priors,
    check_weights,
    count,
    model_of_counts,
)
from xcat.classifier.posterior import classify, evidence, mean_log_likelihood, softmax
from xcat.classifier.properties import FloatArray, IntArray, Property, as_table

LEAST_SHARPNESS = 0.05
MOST_SHARPNESS = 3.0
"""Largest sharpness considered, in units of the number of categories: three times plain naive Bayes."""
INVERSE_RIDGE = 0.05
"""Strength of the ridge on fitted exponents, as logistic regressions count it (C): smaller is stronger."""


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """Out-of-fold results of N labelled sources.

    Attributes
    ----------
    fold : (N,) int64
        Fold in which the source was held out.
    p : (N, K) float64
        Posterior probabilities from tables and sharpness that never saw the source.
    class_index : (N,) int64
        Most probable class.
    outlier : (N,) float64
        Outlier measure, in decades.
    sharpness : (n_folds,) float64
        Sharpness used for each fold.
    terms : (N, P, K) float32
        Log-likelihood terms, from the tables without the source.
    """

    fold: IntArray
    p: FloatArray
    class_index: IntArray
    outlier: FloatArray
    sharpness: FloatArray
    terms: NDArray[np.float32]


def folds(class_index: ArrayLike, groups: ArrayLike | None = None, n_folds: int = 10, seed: int = 0) -> IntArray:
    """Deal sources to folds: stratified by class, groups kept together, the same for the same seed.

    Parameters
    ----------
    class_index : (N,) integer array
        Class of every source, from 0.
    groups : (N,) array or None
        Sources of one group (the same object, or neighbours that share a counterpart) go to the same fold;
        None when every source stands alone.
    n_folds : int
    seed : int

    Returns
    -------
    (N,) int64
        Fold of every source, from 0.

    Raises
    ------
    ValueError
        When there are fewer than 2 folds, fewer groups than folds, or the shapes differ.
    """
    label = np.asarray(class_index)
    group = np.arange(label.size) if groups is None else np.asarray(groups)
    if group.shape != label.shape:
        raise ValueError(f"groups have shape {group.shape}, class_index {label.shape}")
    _, member, size = np.unique(group, return_inverse=True, return_counts=True)
    if not 2 <= n_folds <= size.size:
        raise ValueError(f"{n_folds} folds asked for of {size.size} groups: 2 folds at least, and a group for each")

    # Large groups first, equal ones at random. Each goes where it adds least to the sum over folds and
    # classes of (share of the class)^2, which is least when all classes are spread evenly; then to the emptiest.
    abundance = np.bincount(label)
    flat = np.bincount(member * abundance.size + label, minlength=size.size * abundance.size)
    members = flat.reshape(size.size, abundance.size)
    cost_weight = members / np.maximum(abundance, 1) ** 2
    filled = np.zeros((abundance.size, n_folds))
    fold_of_group = np.empty(size.size, dtype=np.int64)
    for g in np.lexsort((np.random.default_rng(seed).random(size.size), -size)):
        chosen = np.lexsort((filled.sum(axis=0), cost_weight[g] @ filled))[0]
        filled[:, chosen] += members[g]
        fold_of_group[g] = chosen
    return fold_of_group[member]


def fit_sharpness(
    log_likelihood: FloatArray,
    class_index: ArrayLike,
    priors: ArrayLike,
    most: float = MOST_SHARPNESS * len(CATEGORIES),
) -> float:
    """Find the sharpness with the least prior-weighted log-loss.

    Parameters
    ----------
    log_likelihood : (N, K) float64
        Weighted mean log-likelihoods of sources that the tables never saw (`posterior.mean_log_likelihood`).
    class_index : (N,) integer array
        True classes.
    priors : (K,) array
        A source of class c weighs priors_c / N_c: the loss is that of a sample with the priors' mix.
    most : float
        Upper end of the search; the lower one is 0.05.

    Returns
    -------
    float
        An end of the search when the loss still falls there.

    Raises
    ------
    ValueError
        When there are no sources, or a class number or a shape is wrong.

    Notes
    -----
    The loss is convex in this one number, so the root of its derivative is the minimum. It is the inverse of
    the temperature of Guo et al. 2017.
    """
    n, k = log_likelihood.shape
    label = check_labels(class_index, n, k)
    prior = np.asarray(priors, dtype=np.float64)
    check_priors(prior, k)
    if n == 0:
        raise ValueError("no labelled sources to fit the sharpness on")
    weight = (prior / np.maximum(np.bincount(label, minlength=k), 1))[label]
    of_truth = log_likelihood[np.arange(n), label]

    def derivative(sharpness: float) -> float:
        p = softmax(np.log(prior) + sharpness * log_likelihood)
        return float(weight @ (np.einsum("nk,nk->n", p, log_likelihood) - of_truth))

    if derivative(LEAST_SHARPNESS) >= 0.0:
        return LEAST_SHARPNESS
    if derivative(most) <= 0.0:
        return most
    return float(brentq(derivative, LEAST_SHARPNESS, most, xtol=1e-4))


def fit_exponents(
    terms: NDArray[np.floating], class_index: ArrayLike, priors: ArrayLike, sharpness: float, n_categories: int
) -> tuple[FloatArray, FloatArray]:
    """Fit one exponent per property and class, and an offset per class, with the least prior-weighted log-loss.

    Parameters
    ----------
    terms : (N, P, K) array
        Log-likelihood terms of sources that the tables never saw (`posterior.evidence`).
    class_index : (N,) integer array
        True classes.
    priors : (K,) array
        As in `fit_sharpness`.
    sharpness : float
        The exponents are drawn towards those of this sharpness and equal weights.
    n_categories : int

    Returns
    -------
    exponents : (P, K) float64
        Zero or more: a property may say less than its table, never the contrary.
    offsets : (K,) float64
        Added to the log of the priors; their mean is zero.

    Raises
    ------
    ValueError
        As `fit_sharpness` does.

    Notes
    -----
    A multinomial logistic regression on the terms less their mean over the classes, with a ridge penalty: properties
    that are nearly copies of each other share one exponent's worth instead of being counted repeatedly.
    """
    n, n_properties, k = terms.shape
    label = check_labels(class_index, n, k)
    prior = np.asarray(priors, dtype=np.float64)
    check_priors(prior, k)
    if n == 0:
        raise ValueError("no labelled sources to fit exponents on")
    centred = terms - terms.mean(axis=2, keepdims=True, dtype=np.float64)
    weight = (prior / np.maximum(np.bincount(label, minlength=k), 1))[label]
    weight /= weight.sum()
    start = np.full(n_properties * k, sharpness / n_categories)
    truth = np.zeros((n, k))
    truth[np.arange(n), label] = weight
    ridge = 1.0 / (2.0 * INVERSE_RIDGE * n)

    def loss(x: FloatArray) -> tuple[float, FloatArray]:
        exponent, offset = x[: start.size].reshape(n_properties, k), x[start.size :]
        score = np.log(prior) + offset + np.einsum("npk,pk->nk", centred, exponent)
        top = score.max(axis=1, keepdims=True)
        p = np.exp(score - top)
        total = p.sum(axis=1, keepdims=True)
        away = x[: start.size] - start
        value = float((truth * (top + np.log(total) - score)).sum())
        value += ridge * float(away @ away + offset @ offset)
        wrong = weight[:, None] * p / total - truth
        slope = np.einsum("npk,nk->pk", centred, wrong).ravel() + 2.0 * ridge * away
        return value, np.concatenate([slope, wrong.sum(axis=0) + 2.0 * ridge * offset])

    found = minimize(
        loss, np.concatenate([start, np.zeros(k)]), jac=True, method="L-BFGS-B",
        bounds=[(0.0, None)] * start.size + [(None, None)] * k, options={"maxiter": 500},
    )  # fmt: skip
    offset = found.x[start.size :]
    return found.x[: start.size].reshape(n_properties, k), offset - offset.mean()


def cross_validate(
    values: ArrayLike,
    class_index: ArrayLike,
    groups: ArrayLike | None,
    properties: Sequence[Property],
    classes: Sequence[str],
    priors: ArrayLike,
    weights: ArrayLike | None,
    sharpness: float | None = None,
    n_folds: int = 10,
    seed: int = 0,
    *,
    categories: Sequence[str] = CATEGORIES,
    n_nodes: int = N_NODES,
) -> CrossValidation:
    """Classify every labelled source by a model that was fitted without it.

    Parameters
    ----------
    values, class_index, properties, classes, priors, categories, n_nodes
        As in `fit_tables`.
    groups, n_folds, seed
        As in `folds`. Three folds at least when the sharpness is to be fitted.
    weights : (T,) array or None
        Weights of the categories. None: an exponent for every property and class is fitted (`fit_exponents`), for
        each fold on the others.
    sharpness : float or None
        None: fitted for each fold on the others, by inner cross-validation.

    Returns
    -------
    CrossValidation

    Raises
    ------
    ValueError
        As `fit_tables` and `folds` do.
    """
    table = as_table(values, len(properties))
    label = check_labels(class_index, table.shape[0], len(classes))
    prior = np.asarray(priors, dtype=np.float64)
    weight = np.ones(len(categories)) if weights is None else np.asarray(weights, dtype=np.float64)
    check_priors(prior, len(classes))
    check_weights(weight, categories)
    if n_folds < 3 and (sharpness is None or weights is None):
        raise ValueError("fitting weights or sharpness inside the folds needs 3 folds or more")
    fold = folds(label, groups, n_folds, seed)
    members = [np.flatnonzero(fold == f) for f in range(n_folds)]
    counts = [count(table[m], label[m], properties, len(classes), n_nodes) for m in members]

    def without(*left_out: int) -> Model:
        kept = [c for f, c in enumerate(counts) if f not in left_out]
        total = Counts(
            sum(c.cells for c in kept[1:]) + kept[0].cells, sum(c.n_class for c in kept[1:]) + kept[0].n_class
        )
        return model_of_counts(total, properties, classes, prior, weight, categories=categories)

    outer = [without(f) for f in range(n_folds)]
    if sharpness is not None:
        outer = [replace(model, sharpness=sharpness) for model in outer]
    if sharpness is None or weights is None:
        # [n, f]: terms of source n from tables without its own fold and without fold f
        inner = np.empty((table.shape[0], n_folds, len(properties), len(classes)), dtype=np.float32)
        for a, b in combinations(range(n_folds), 2):
            model = without(a, b)
            inner[members[a], b] = evidence(model, table[members[a]])
            inner[members[b], a] = evidence(model, table[members[b]])
        outer = [
            _tuned(model, inner[fold != f, f], label[fold != f], sharpness, weights is None)
            for f, model in enumerate(outer)
        ]

    p = np.empty((table.shape[0], len(classes)))
    terms = np.empty((table.shape[0], len(properties), len(classes)), dtype=np.float32)
    predicted = np.empty(table.shape[0], dtype=np.int64)
    outlier = np.empty(table.shape[0])
    for m, model in zip(members, outer, strict=True):
        result = classify(model, table[m])
        p[m], predicted[m], outlier[m], terms[m] = result.p, result.class_index, result.outlier, result.evidence
    return CrossValidation(fold, p, predicted, outlier, np.array([model.sharpness for model in outer]), terms)


def _tuned(
    model: Model, terms: NDArray[np.float32], label: IntArray, sharpness: float | None, exponents: bool
) -> Model:
    """Give a model the sharpness, and the exponents if wanted, that suit terms from tables without the sources."""
    if sharpness is None:
        most = MOST_SHARPNESS * len(model.categories)
        sharpness = fit_sharpness(mean_log_likelihood(model, terms), label, model.priors, most)
    model = replace(model, sharpness=sharpness)
    if exponents:
        fitted, offsets = fit_exponents(terms, label, model.priors, sharpness, len(model.categories))
        model = replace(model, fitted_exponents=fitted, fitted_offsets=offsets)
    return model


def fit(
    values: ArrayLike,
    class_index: ArrayLike,
    groups: ArrayLike | None,
    properties: Sequence[Property],
    classes: Sequence[str],
    priors: ArrayLike,
    weights: ArrayLike | None,
    sharpness: float | None = None,
    n_folds: int = 10,
    seed: int = 0,
    *,
    categories: Sequence[str] = CATEGORIES,
    n_nodes: int = N_NODES,
    outlier_quantile: float = 0.99,
) -> tuple[Model, CrossValidation]:
    """Fit the final model on all labelled sources, and cross-validate the way it was made.

    Parameters
    ----------
    values, class_index, groups, properties, classes, priors, weights, sharpness
        As in `cross_validate`.
    n_folds, seed, categories, n_nodes
        As in `cross_validate`.
    outlier_quantile : float
        The model's outlier_limit is this quantile of the out-of-fold outlier measure.

    Returns
    -------
    Model
        Its tables come from all sources; its sharpness and exponents (unless given) and its outlier limit from the
        out-of-fold likelihoods of all sources.
    CrossValidation
        What to expect of it. The sharpness of each fold was fitted without that fold.

    Raises
    ------
    ValueError
        As `fit_tables` and `folds` do, and when the quantile is not between 0 and 1.
    """
    if not 0.0 < outlier_quantile <= 1.0:
        raise ValueError(f"outlier_quantile must be above 0 and at most 1, not {outlier_quantile}")
    validation = cross_validate(
        values, class_index, groups, properties, classes, priors, weights, sharpness, n_folds, seed,
        categories=categories, n_nodes=n_nodes,
    )  # fmt: skip
    counts = count(values, class_index, properties, len(classes), n_nodes)
    base = np.ones(len(categories)) if weights is None else weights
    model = model_of_counts(counts, properties, classes, priors, base, categories=categories)
    label = np.asarray(class_index, dtype=np.int64)
    model = _tuned(model, validation.terms, label, sharpness, weights is None)
    return replace(model, outlier_limit=float(np.quantile(validation.outlier, outlier_quantile))), validation
