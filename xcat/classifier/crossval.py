"""Fitting inside folds: tables, smoothing, weights and outlier levels, and out-of-fold results.

No reported result of a source depends on its label. `tune` makes a model: its smoothing and weights are fitted on
terms from tables that leave out the source's own fold. `cross_validate` calls it once for every outer fold, with the
sources of the other folds only.
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
    is_behind_galaxy,
    model_of_counts,
    typical_errors,
)
from xcat.classifier.posterior import Classification, classify, evidence
from xcat.classifier.sample import Sample
from xcat.classifier.weights import INVERSE_RIDGES, Terms, fit_category_weights, fit_mixing, fit_sharpness

INNER_FOLDS = 5
SMOOTHINGS = (1.0, 1.6)
"""Factors on the bandwidths to try: those that suit a single density are too narrow for a sum of many terms."""
LEAST_HYPOTHESIS = 0.05
"""Less probable hypotheses are not used to fit the weights."""
FEW_MEMBERS = 20
"""A class with fewer members gets the outlier levels of all classes together."""


@dataclass(frozen=True)
class FitOptions:
    """How a model is fitted.

    Attributes
    ----------
    weights : {"property", "category", "equal"} or tuple of T float
        Fitted weights for every property and pair of classes, or for every category; or equal, or given ones.
    objective : str
        Objective of category weights: "log_loss", "macro_f1" or "f1:CLASS".
    sharpness : float or "fit"
        For equal and given weights.
    pairs : tuple of (str, str)
        Properties with a two-dimensional table.
    smoothing : float or "fit"
        Factor on the bandwidths.
    excluded_properties : tuple of str
        Properties without a contribution: the prior will be a function of them (`xcat.classifier.priors`).
    seed : int
        For inner folds and searches.
    behind : tuple of str or None
        Classes whose members lie behind the whole Galaxy; None: those that are called so (`is_behind_galaxy`).

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
    excluded_properties: tuple[str, ...] = ()
    seed: int = 0
    behind: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.weights, str) and self.weights not in ("property", "category", "equal"):
            raise ValueError(f"weights are property, category, equal or numbers, not {self.weights!r}")
        if self.objective not in ("log_loss", "macro_f1") and not self.objective.startswith("f1:"):
            raise ValueError(f"the objective is log_loss, macro_f1 or f1:CLASS, not {self.objective!r}")


@dataclass(frozen=True, eq=False)
class CrossValidation(Classification):
    """Out-of-fold results for N labelled sources: each is classified by a model fitted without it.

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
    """Fold of every source, (N,) from 0: stratified by class, groups kept together, reproducible for a seed.

    Parameters
    ----------
    class_index : (N,) integer array
        Class of every source, from 0.
    groups : (N,) array or None
        Sources of one group (the same object, or neighbours that share a counterpart) go to the same fold;
        None: every source is a group.

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
        raise ValueError(f"cannot make {n_folds} folds of {size.size} groups: at least 2 folds, and one group per fold")

    # Large groups first, equal ones in random order. Each goes where it adds least to the sum over folds and classes of
    # (share of the class)^2, which is least when all classes are spread evenly; ties go to the emptiest fold.
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


def tune(
    sample: Sample,
    class_index: ArrayLike,
    groups: ArrayLike | None,
    classes: Sequence[str],
    priors: ArrayLike,
    options: FitOptions | None = None,
) -> Model:
    """Fit a model to labelled sources.

    Parameters
    ----------
    sample : Sample
        N labelled sources; every hypothesis counts with its probability.
    class_index : (N,) integer array
        Class of every source, from 0.
    groups : (N,) array or None
        As in `folds`: sources that the inner folds must keep together.
    priors : (K,) array
        Prior probability of each of the K classes, sum 1. A source of class c has the weight priors_c / N_c in all that
        is fitted: the loss is that of a sample with the priors' mix.

    Raises
    ------
    ValueError
        When shapes, labels, priors, weights or classes are inconsistent, or there are too few groups for inner folds.
    """
    # the matrices are narrow: threads of the linear algebra would wait for each other more than they compute
    with threadpool_limits(limits=1, user_api="blas"):
        fitting = _Fit(sample, class_index, classes, priors, options or FitOptions())
        model = fitting.model(groups)
        outlier = classify(model, sample).outlier
        return replace(model, outlier_levels=outlier_levels(outlier, fitting.label, len(classes)))


class _Fit:
    """The steps of `tune`."""

    def __init__(
        self, sample: Sample, class_index: ArrayLike, classes: Sequence[str], priors: ArrayLike, options: FitOptions
    ) -> None:
        self.sample, self.classes, self.options, k = sample, classes, options, len(classes)
        self.label = check_labels(class_index, len(sample), k)
        self.priors = np.asarray(priors, dtype=np.float64)
        check_priors(self.priors, k)
        weights = options.weights
        self.weighting = weights if isinstance(weights, str) else "given"
        self.alpha = np.ones(len(CATEGORIES)) if isinstance(weights, str) else np.array(weights, dtype=np.float64)
        check_weights(self.alpha, CATEGORIES)
        self.objective, _, of_class = options.objective.partition(":")
        if self.weighting == "category" and of_class and of_class not in classes:
            raise ValueError(f"the objective names the class {of_class}, which is not one of {', '.join(classes)}")
        self.objective_class = list(classes).index(of_class) if of_class in classes else None
        self.errors = typical_errors(sample)
        names = [c for c in classes if is_behind_galaxy(c)] if options.behind is None else options.behind
        self.behind = np.array([c in names for c in classes])
        self.counts = self._count(sample, self.label)

    def model(self, groups: ArrayLike | None) -> Model:
        """The model; its outlier levels are missing."""
        options, k = self.options, len(self.classes)
        if options.sharpness != "fit" and options.smoothing != "fit" and self.weighting in ("equal", "given"):
            return self._tables(self.counts, float(options.smoothing), float(options.sharpness))
        fold = folds(self.label, groups, INNER_FOLDS, options.seed)
        members = [np.flatnonzero(fold == f) for f in range(INNER_FOLDS)]
        samples = [self.sample.take(each) for each in members]
        counts = [self._count(s, self.label[each]) for s, each in zip(samples, members, strict=True)]
        without = [reduce(add, counts[:f] + counts[f + 1 :]) for f in range(INNER_FOLDS)]
        rows = [_likely(s) for s in samples]
        order = np.concatenate(members)
        first = np.cumsum([0, *(each.size for each in members)])
        source = np.concatenate([r[2] + first[f] for f, r in enumerate(rows)])
        row_weight = np.concatenate([r[1] for r in rows])
        weight = prior_weights(self.label[order], self.priors)
        smoothings = SMOOTHINGS if options.smoothing == "fit" else (float(options.smoothing),)
        at_first = [self._tables(c, smoothings[0]) for c in without]
        category_index, active_terms = at_first[0].category_index, self._active(at_first[0])
        shares = (self.alpha / self.alpha.sum())[category_index]

        candidates: list[tuple[float, float, Terms, FloatArray, float, float | None]] = []
        for smoothing in smoothings:
            models = at_first
            if smoothing != smoothings[0]:  # the bandwidths of the first smoothing, 1, serve all others
                models = [self._tables(c, smoothing, 1.0, m) for c, m in zip(without, at_first, strict=True)]
            advantage = np.concatenate([evidence(m, r[0]) for m, r in zip(models, rows, strict=True)])
            wide = advantage * active_terms[:, :, 0]
            terms = Terms(wide - wide.mean(axis=2, keepdims=True), row_weight, source, self.label[order], weight)
            fit = options.sharpness == "fit"
            sharpness = fit_sharpness(terms, self.priors, shares) if fit else float(options.sharpness)
            mixing = category_mixing(self.alpha, sharpness, category_index, k) * active_terms
            if self.weighting == "property":
                loss, inverse_ridge = _best_ridge(terms, fold[order], self.priors, mixing)
            else:
                loss, inverse_ridge = terms.log_loss(terms.score(self.priors, mixing, np.zeros(k))), None
            candidates.append((loss, smoothing, terms, mixing, sharpness, inverse_ridge))
        _, smoothing, terms, mixing, sharpness, inverse_ridge = min(candidates, key=lambda each: each[0])
        alpha, offsets = self.alpha, np.zeros(k)
        if inverse_ridge is not None:
            ((mixing, offsets),) = fit_mixing(terms, self.priors, mixing, [inverse_ridge])
        model = self._tables(self.counts, smoothing, sharpness)
        if self.weighting == "category":
            objective = (self.objective, self.objective_class)
            alpha, sharpness = fit_category_weights(
                terms, self.priors, category_index, len(CATEGORIES), *objective, options.seed
            )
            mixing = category_mixing(alpha, sharpness, category_index, k) * active_terms
        return replace(
            model, weights=alpha, sharpness=sharpness, mixing=mixing, offsets=offsets, inverse_ridge=inverse_ridge
        )

    def _count(self, sample: Sample, label: IntArray) -> SampleCounts:
        return count(sample, label, len(self.classes), self.options.pairs, self.behind)

    def _tables(
        self, counts: SampleCounts, smoothing: float = 1.0, sharpness: float = 1.0, unsmoothed: Model | None = None
    ) -> Model:
        """Model of counts, weighted by category; with the bandwidths of its `unsmoothed` version, if given."""
        model = model_of_counts(
            counts,
            self.sample.properties,
            self.classes,
            self.priors,
            pairs=self.options.pairs,
            errors=self.errors,
            smoothing=smoothing,
            bandwidths=None if unsmoothed is None else [t.bandwidth for t in unsmoothed.tables],
            weights=self.alpha,
            sharpness=sharpness,
            behind=self.behind,
        )
        return replace(model, weighting=self.weighting, mixing=model.mixing * self._active(model))

    def _active(self, model: Model) -> FloatArray:
        """1 for terms that contribute to the scores, 0 for excluded ones, (terms, 1, 1)."""
        active = [name not in self.options.excluded_properties for name in model.term_names]
        return np.array(active, dtype=np.float64)[:, None, None]


def _likely(sample: Sample) -> tuple[Sample, FloatArray, IntArray]:
    """Rows of the likely hypotheses, their weights and sources: unlikely ones take time and hardly change the fit."""
    rows, weight, source = sample.rows()
    kept = weight >= LEAST_HYPOTHESIS
    total = np.bincount(source[kept], weight[kept], len(sample))
    kept |= (total == 0.0)[source]
    total = np.bincount(source[kept], weight[kept], len(sample))
    return rows.take(kept), weight[kept] / total[source[kept]], source[kept]


def _best_ridge(terms: Terms, fold: IntArray, priors: FloatArray, start: FloatArray) -> tuple[float, float]:
    """Out-of-fold log-loss and inverse strength C of the best ridge."""
    n_rows, _, k = terms.advantage.shape
    score = np.empty((len(INVERSE_RIDGES), n_rows, k))
    for f in range(INNER_FOLDS):
        held = fold == f
        rows, sources = held[terms.source], terms.take(held)
        for i, (mixing, offsets) in enumerate(fit_mixing(terms.take(~held), priors, start, INVERSE_RIDGES)):
            score[i, rows] = sources.score(priors, mixing, offsets)
    return min(zip([terms.log_loss(each) for each in score], INVERSE_RIDGES, strict=True), key=lambda each: each[0])


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
    options: FitOptions | None = None,
    n_folds: int = 10,
) -> CrossValidation:
    """Classify every labelled source with a model fitted without it; parameters and errors as in `tune` and `folds`."""
    chosen = options or FitOptions()
    label = check_labels(class_index, len(sample), len(classes))
    group = None if groups is None else np.asarray(groups)
    fold = folds(label, group, n_folds, chosen.seed)
    models = []
    for f in range(n_folds):
        kept = np.flatnonzero(fold != f)
        kept_groups = None if group is None else group[kept]
        models.append(tune(sample.take(kept), label[kept], kept_groups, classes, priors, chosen))
    return _held_out(tuple(models), fold, sample)


def with_priors(
    validation: CrossValidation, sample: Sample, prior_ratio: FloatArray, prior_category: int | None = None
) -> CrossValidation:
    """Apply priors, estimated after the folds were fitted, to the out-of-fold results of the sample; see `classify`."""
    return _held_out(validation.models, validation.fold, sample, prior_ratio, prior_category)


def _held_out(
    models: tuple[Model, ...],
    fold: IntArray,
    sample: Sample,
    prior_ratio: FloatArray | None = None,
    prior_category: int | None = None,
) -> CrossValidation:
    """Classify the sources of every fold with the model of that fold."""
    members = [np.flatnonzero(fold == f) for f in range(len(models))]
    results = [
        classify(model, sample.take(each), None if prior_ratio is None else prior_ratio[each], prior_category)
        for model, each in zip(models, members, strict=True)
    ]
    place = np.argsort(np.concatenate(members))
    whole = {
        field.name: np.concatenate([getattr(result, field.name) for result in results])[place]
        for field in fields(Classification)
    }
    return CrossValidation(**whole, fold=fold, models=models)


def fit(
    sample: Sample,
    class_index: ArrayLike,
    groups: ArrayLike | None,
    classes: Sequence[str],
    priors: ArrayLike,
    options: FitOptions | None = None,
    n_folds: int = 10,
) -> tuple[Model, CrossValidation]:
    """Fit the final model to all labelled sources, with their outlier levels when held out; see `cross_validate`."""
    validation = cross_validate(sample, class_index, groups, classes, priors, options, n_folds)
    model = tune(sample, class_index, groups, classes, priors, options)
    label = np.asarray(class_index, dtype=np.int64)
    return replace(model, outlier_levels=outlier_levels(validation.outlier, label, len(classes))), validation
