"""Fitting inside folds: tables, smoothing, weights and outlier levels, and what to expect of them.

Nothing that is reported of a source has seen its label. `tune` makes a model: its smoothing and weights are fitted on
terms from tables that leave the source's own fold out. `cross_validate` calls it once for every outer fold, on the
others only, so everything that is fitted is fitted inside the fold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import reduce
from operator import add

import numpy as np
from numpy.typing import ArrayLike
from threadpoolctl import threadpool_limits

from xcat.arrays import FloatArray, IntArray
from xcat.classifier.density import N_NODES
from xcat.classifier.metrics import prior_weights
from xcat.classifier.model import (
    CATEGORIES,
    OUTLIER_P,
    Model,
    SampleCounts,
    category_mixing,
    check_labels,
    check_priors,
    check_weights,
    count,
    model_of_counts,
    typical_errors,
)
from xcat.classifier.posterior import Classification, classify, evidence
from xcat.classifier.sample import Sample
from xcat.classifier.weights import (
    INVERSE_RIDGES,
    Terms,
    fit_category_weights,
    fit_mixing,
    fit_sharpness,
)

INNER_FOLDS = 5
SMOOTHINGS = (1.0, 1.6)
"""Factors on the bandwidths that are tried. Those of the densities alone are too narrow where many terms are added."""
LEAST_HYPOTHESIS = 0.05
"""Hypotheses that are less probable have no part in fitting the weights."""
FEW_MEMBERS = 20
"""A class with fewer members has no outlier levels of its own, but those of all classes together."""


@dataclass(frozen=True)
class Options:
    """How a model is fitted.

    Attributes
    ----------
    weights : {"property", "category", "equal"} or tuple of T float
        One weight for every property and pair of classes, or one for every category, fitted; or equal, or given ones.
    objective : str
        What category weights are made best in: "log_loss", "macro_f1" or "f1:CLASS".
    sharpness : float or "fit"
        Of equal and given weights.
    pairs : tuple of (str, str)
        Properties that have a table together.
    smoothing : float or "fit"
        Factor on the bandwidths.
    silent : tuple of str
        Properties that say nothing themselves: the prior will be a function of them (`xcat.classifier.priors`).
    seed : int
        Of inner folds and searches.

    Raises
    ------
    ValueError
        When weights or objective are unknown.
    """

    weights: str | tuple[float, ...] = "property"
    objective: str = "log_loss"
    sharpness: float | str = "fit"
    pairs: tuple[tuple[str, str], ...] = ()
    smoothing: float | str = "fit"
    silent: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.weights, str) and self.weights not in ("property", "category", "equal"):
            raise ValueError(f"weights are property, category, equal or numbers, not {self.weights!r}")
        if self.objective not in ("log_loss", "macro_f1") and not self.objective.startswith("f1:"):
            raise ValueError(f"the objective is log_loss, macro_f1 or f1:CLASS, not {self.objective!r}")


@dataclass(frozen=True, eq=False)
class CrossValidation(Classification):
    """Out-of-fold results of N labelled sources: what the model says that never saw the source.

    Attributes
    ----------
    fold : (N,) int64
        Fold in which the source was held out, from 0.
    models : tuple of Model
        The model of each fold.
    """

    fold: IntArray
    models: tuple[Model, ...]


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


# The matrices are narrow: threads of the linear algebra would wait for each other more than they compute.
@threadpool_limits.wrap(limits=1, user_api="blas")
def tune(
    sample: Sample,
    class_index: ArrayLike,
    groups: ArrayLike | None,
    classes: Sequence[str],
    priors: ArrayLike,
    options: Options | None = None,
    *,
    categories: Sequence[str] = CATEGORIES,
    n_nodes: int = N_NODES,
) -> Model:
    """Fit a model to labelled sources.

    Parameters
    ----------
    sample : Sample
        N labelled sources; with hypotheses, each counts with its probability.
    class_index : (N,) integer array
        Class of every source, from 0.
    groups : (N,) array or None
        As in `folds`: what must not be split by the inner folds.
    classes : sequence of K str
    priors : (K,) array
        Prior probability of each class, sum 1. A source of class c weighs priors_c / N_c in all that is fitted: the
        loss is that of a sample with the priors' mix.
    options : Options, optional
    categories : sequence of T str
    n_nodes : int
        Nodes of every table.

    Returns
    -------
    Model

    Raises
    ------
    ValueError
        When shapes, labels, priors, weights or categories do not fit together, or groups are too few for inner folds.
    """
    chosen = options or Options()
    k = len(classes)
    label = check_labels(class_index, len(sample), k)
    prior = np.asarray(priors, dtype=np.float64)
    check_priors(prior, k)
    pairs, errors = chosen.pairs, typical_errors(sample)
    total = count(sample, label, k, pairs, n_nodes)
    given = np.ones(len(categories)) if isinstance(chosen.weights, str) else np.array(chosen.weights, dtype=np.float64)
    check_weights(given, categories)

    def model(
        counts: SampleCounts, smoothing: float, sharpness: float = 1.0, bandwidths: Sequence[FloatArray] | None = None
    ) -> Model:
        made = model_of_counts(
            counts, sample.properties, classes, prior, pairs=pairs, errors=errors, smoothing=smoothing,
            bandwidths=bandwidths, weights=given, sharpness=sharpness, categories=categories,
        )  # fmt: skip
        weighting = chosen.weights if isinstance(chosen.weights, str) else "given"
        return replace(made, weighting=weighting, mixing=made.mixing * speaks(made))

    def speaks(made: Model) -> FloatArray:
        return np.array([name not in chosen.silent for name in made.term_names], dtype=np.float64)[:, None, None]

    if chosen.sharpness != "fit" and chosen.smoothing != "fit" and chosen.weights not in ("property", "category"):
        return _with_levels(model(total, float(chosen.smoothing), float(chosen.sharpness)), sample, label)

    inner = folds(label, groups, INNER_FOLDS, chosen.seed)
    parts = [np.flatnonzero(inner == f) for f in range(INNER_FOLDS)]
    samples = [sample.take(part) for part in parts]
    counts = [count(s, label[part], k, pairs, n_nodes) for s, part in zip(samples, parts, strict=True)]
    without = [reduce(add, counts[:f] + counts[f + 1 :]) for f in range(INNER_FOLDS)]
    rows = [_likely(s) for s in samples]
    plain = model(total, 1.0)
    category_index, heard = plain.category_index, speaks(plain)
    shares = (given / given.sum())[category_index]
    base = np.concatenate(parts)
    first = np.cumsum([0, *(part.size for part in parts)])
    source = np.concatenate([r[2] + first[f] for f, r in enumerate(rows)])
    row_weight = np.concatenate([r[1] for r in rows])
    weight = prior_weights(label[base], prior)
    unsmoothed = [model(c, 1.0) for c in without]

    best: tuple[float, float, Terms, FloatArray, float, float | None] | None = None
    for smoothing in SMOOTHINGS if chosen.smoothing == "fit" else (float(chosen.smoothing),):
        inner_models = unsmoothed
        if smoothing != 1.0:
            widths = [[t.bandwidth for t in made.tables] for made in unsmoothed]
            inner_models = [model(c, smoothing, 1.0, h) for c, h in zip(without, widths, strict=True)]
        advantage = np.concatenate([evidence(made, r[0]) for made, r in zip(inner_models, rows, strict=True)])
        wide = advantage * heard[:, :, 0]
        terms = Terms(wide - wide.mean(axis=2, keepdims=True), row_weight, source, label[base], weight)
        sharpness = fit_sharpness(terms, prior, shares) if chosen.sharpness == "fit" else float(chosen.sharpness)
        mixing = category_mixing(given, sharpness, category_index, k) * heard
        if chosen.weights == "property":
            loss, inverse_ridge = _best_ridge(terms, inner[base], prior, mixing)
        else:
            loss, inverse_ridge = terms.log_loss(terms.score(prior, mixing, np.zeros(k))), None
        if best is None or loss < best[0]:
            best = (loss, smoothing, terms, mixing, sharpness, inverse_ridge)
    assert best is not None
    _, smoothing, terms, mixing, sharpness, inverse_ridge = best
    offsets = np.zeros(k)
    if inverse_ridge is not None:
        ((mixing, offsets),) = fit_mixing(terms, prior, mixing, [inverse_ridge])
    found = model(total, smoothing, sharpness, [t.bandwidth for t in plain.tables])
    if chosen.weights == "category":
        name, _, of_class = chosen.objective.partition(":")
        if of_class and of_class not in classes:
            raise ValueError(f"the objective names the class {of_class}; there are {', '.join(classes)}")
        number = list(classes).index(of_class) if of_class else None
        alpha, sharpness = fit_category_weights(
            terms, prior, category_index, len(categories), name, number, chosen.seed
        )
        mixing = category_mixing(alpha, sharpness, category_index, k) * heard
        found = replace(found, weights=alpha, sharpness=sharpness)
    return _with_levels(replace(found, mixing=mixing, offsets=offsets, inverse_ridge=inverse_ridge), sample, label)


def _likely(sample: Sample) -> tuple[Sample, FloatArray, IntArray]:
    """Rows of the hypotheses that can say something of the weights: the improbable ones only cost time."""
    rows, weight, source = sample.rows()
    kept = weight >= LEAST_HYPOTHESIS
    total = np.bincount(source[kept], weight[kept], len(sample))
    kept |= (total == 0.0)[source]
    total = np.bincount(source[kept], weight[kept], len(sample))
    return rows.take(kept), weight[kept] / total[source[kept]], source[kept]


def _best_ridge(terms: Terms, fold: IntArray, priors: FloatArray, start: FloatArray) -> tuple[float, float]:
    """Find the ridge with the least log-loss of sources whose fold had no part in the weights; return loss and C."""
    n_rows, _, k = terms.advantage.shape
    score = np.empty((len(INVERSE_RIDGES), n_rows, k))
    for f in range(INNER_FOLDS):
        held = fold == f
        rows, sources = held[terms.source], terms.take(held)
        for i, (mixing, offsets) in enumerate(fit_mixing(terms.take(~held), priors, start, INVERSE_RIDGES)):
            score[i, rows] = sources.score(priors, mixing, offsets)
    loss = [terms.log_loss(each) for each in score]
    best = int(np.argmin(loss))
    return loss[best], INVERSE_RIDGES[best]


def _with_levels(model: Model, sample: Sample, label: IntArray) -> Model:
    """Give the model outlier levels from its own sample; `fit` replaces them by out-of-fold ones."""
    return replace(model, outlier_levels=outlier_levels(classify(model, sample).outlier, label, len(model.classes)))


def outlier_levels(outlier: FloatArray, label: IntArray, n_classes: int) -> FloatArray:
    """Quantiles of the outlier measure of each class's members, (K, L); see `Model.outlier_levels`."""
    quantile = 1.0 - OUTLIER_P
    together = np.quantile(outlier, quantile)
    members = [outlier[label == c] for c in range(n_classes)]
    return np.stack([np.quantile(m, quantile) if m.size >= FEW_MEMBERS else together for m in members])


def cross_validate(
    sample: Sample,
    class_index: ArrayLike,
    groups: ArrayLike | None,
    classes: Sequence[str],
    priors: ArrayLike,
    options: Options | None = None,
    n_folds: int = 10,
    *,
    categories: Sequence[str] = CATEGORIES,
    n_nodes: int = N_NODES,
) -> CrossValidation:
    """Classify every labelled source by a model that was fitted without it.

    Parameters
    ----------
    sample, class_index, groups, classes, priors, options, categories, n_nodes
        As in `tune`.
    n_folds : int

    Returns
    -------
    CrossValidation

    Raises
    ------
    ValueError
        As `tune` and `folds` do.
    """
    chosen = options or Options()
    label = check_labels(class_index, len(sample), len(classes))
    group = None if groups is None else np.asarray(groups)
    fold = folds(label, group, n_folds, chosen.seed)
    models = []
    for f in range(n_folds):
        kept = np.flatnonzero(fold != f)
        model = tune(
            sample.take(kept), label[kept], None if group is None else group[kept], classes, priors, chosen,
            categories=categories, n_nodes=n_nodes,
        )  # fmt: skip
        models.append(model)
    return _held_out(tuple(models), fold, sample)


def with_priors(
    validation: CrossValidation, sample: Sample, prior_ratio: FloatArray, prior_category: int | None = None
) -> CrossValidation:
    """Give the out-of-fold results other priors, which were not known when the folds were fitted.

    Parameters
    ----------
    validation : CrossValidation
    sample : Sample
        As it was cross-validated.
    prior_ratio, prior_category
        As in `classify`.
    """
    return _held_out(validation.models, validation.fold, sample, prior_ratio, prior_category)


def _held_out(
    models: tuple[Model, ...],
    fold: IntArray,
    sample: Sample,
    prior_ratio: FloatArray | None = None,
    prior_category: int | None = None,
) -> CrossValidation:
    """Classify the sources of every fold by the model of that fold."""
    parts = [np.flatnonzero(fold == f) for f in range(len(models))]
    results = [
        classify(model, sample.take(part), None if prior_ratio is None else prior_ratio[part], prior_category)
        for model, part in zip(models, parts, strict=True)
    ]
    place = np.argsort(np.concatenate(parts))
    whole = {
        each.name: np.concatenate([getattr(result, each.name) for result in results])[place]
        for each in fields(Classification)
    }
    return CrossValidation(**whole, fold=fold, models=models)


def fit(
    sample: Sample,
    class_index: ArrayLike,
    groups: ArrayLike | None,
    classes: Sequence[str],
    priors: ArrayLike,
    options: Options | None = None,
    n_folds: int = 10,
    *,
    categories: Sequence[str] = CATEGORIES,
    n_nodes: int = N_NODES,
) -> tuple[Model, CrossValidation]:
    """Fit the final model on all labelled sources, and cross-validate the way it was made.

    Parameters
    ----------
    sample, class_index, groups, classes, priors, options, n_folds, categories, n_nodes
        As in `cross_validate`.

    Returns
    -------
    Model
        Its outlier levels are those of the sources when they were held out.
    CrossValidation
        What to expect of it.

    Raises
    ------
    ValueError
        As `tune` and `folds` do.
    """
    validation = cross_validate(
        sample, class_index, groups, classes, priors, options, n_folds, categories=categories, n_nodes=n_nodes
    )
    model = tune(sample, class_index, groups, classes, priors, options, categories=categories, n_nodes=n_nodes)
    label = np.asarray(class_index, dtype=np.int64)
    return replace(model, outlier_levels=outlier_levels(validation.outlier, label, len(classes))), validation
