"""Cross-validation: folds, the sharpness that suits the out-of-fold likelihoods, and the final model.

Nothing that is reported of a source has seen its label. The tables of an outer fold leave that fold out; its
sharpness is fitted on likelihoods from tables that leave out two folds, the outer one and the source's own.
Those tables serve both ways round, so ten folds need 45 of them, each made from sums of counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq

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
from xcat.classifier.posterior import classify, mean_log_likelihood, softmax
from xcat.classifier.properties import FloatArray, IntArray, Property, as_table

LEAST_SHARPNESS = 0.05
MOST_SHARPNESS = 3.0
"""Largest sharpness considered, in units of the number of categories: three times plain naive Bayes."""


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
    log_likelihood : (N, K) float64
        Weighted mean log-likelihood, what the sharpness multiplies.
    """

    fold: IntArray
    p: FloatArray
    class_index: IntArray
    outlier: FloatArray
    sharpness: FloatArray
    log_likelihood: FloatArray


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


def cross_validate(
    values: ArrayLike,
    class_index: ArrayLike,
    groups: ArrayLike | None,
    properties: Sequence[Property],
    classes: Sequence[str],
    priors: ArrayLike,
    weights: ArrayLike,
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
    values, class_index, properties, classes, priors, weights, categories, n_nodes
        As in `fit_tables`.
    groups, n_folds, seed
        As in `folds`. Three folds at least when the sharpness is to be fitted.
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
    prior, weight = np.asarray(priors, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    check_priors(prior, len(classes))
    check_weights(weight, categories)
    fold = folds(label, groups, n_folds, seed)
    members = [np.flatnonzero(fold == f) for f in range(n_folds)]
    counts = [count(table[m], label[m], properties, len(classes), n_nodes) for m in members]

    def without(left_out: tuple[int, ...], exponent: float = 1.0) -> Model:
        kept = [c for f, c in enumerate(counts) if f not in left_out]
        total = Counts(np.sum([c.cells for c in kept], axis=0), np.sum([c.n_class for c in kept], axis=0))
        return model_of_counts(total, properties, classes, prior, weight, categories=categories, sharpness=exponent)

    if sharpness is None:
        if n_folds < 3:
            raise ValueError("fitting the sharpness inside the folds needs 3 folds or more")
        # [n, f]: likelihoods of source n from tables without its own fold and without fold f
        inner = np.empty((table.shape[0], n_folds, len(classes)))
        for a, b in combinations(range(n_folds), 2):
            model = without((a, b))
            inner[members[a], b] = mean_log_likelihood(model, table[members[a]])
            inner[members[b], a] = mean_log_likelihood(model, table[members[b]])
        most = MOST_SHARPNESS * len(categories)
        used = [fit_sharpness(inner[fold != f, f], label[fold != f], prior, most) for f in range(n_folds)]
    else:
        used = [sharpness] * n_folds

    p = np.empty((table.shape[0], len(classes)))
    log_likelihood = np.empty_like(p)
    predicted = np.empty(table.shape[0], dtype=np.int64)
    outlier = np.empty(table.shape[0])
    for f, m in enumerate(members):
        model = without((f,), used[f])
        result = classify(model, table[m])
        p[m], predicted[m], outlier[m] = result.p, result.class_index, result.outlier
        log_likelihood[m] = mean_log_likelihood(model, table[m])
    return CrossValidation(fold, p, predicted, outlier, np.array(used), log_likelihood)


def fit(
    values: ArrayLike,
    class_index: ArrayLike,
    groups: ArrayLike | None,
    properties: Sequence[Property],
    classes: Sequence[str],
    priors: ArrayLike,
    weights: ArrayLike,
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
        Its tables come from all sources, its sharpness (unless given) and its outlier limit from the
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
    model = model_of_counts(counts, properties, classes, priors, weights, categories=categories)
    if sharpness is None:
        most = MOST_SHARPNESS * len(categories)
        sharpness = fit_sharpness(validation.log_likelihood, class_index, model.priors, most)
    limit = float(np.quantile(validation.outlier, outlier_quantile))
    return replace(model, sharpness=sharpness, outlier_limit=limit), validation
