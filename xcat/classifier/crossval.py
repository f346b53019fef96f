"""Fitting inside folds: tables, smoothing, weights and outlier levels, and out-of-fold results.

No reported result of a source depends on its label. `tune` makes a model: its smoothing and weights are fitted on
terms from tables that leave out the source's own fold. `cross_validate` calls it once for every outer fold, with the
sources of the other folds only.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property, partial
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike
from threadpoolctl import threadpool_limits

from xcat.arrays import FloatArray, IntArray
from xcat.classifier.bootstrap import KEPT_RUNGS, gathered
from xcat.classifier.density import bandwidth_factors, estimated_bandwidths
from xcat.classifier.held_out import HeldOut, chosen_sources, folds
from xcat.classifier.metrics import prior_weights
from xcat.classifier.mixing import Shrinkage, best_shrinkage, fit_of_properties, start_of_properties
from xcat.classifier.model import (
    CATEGORIES,
    OUTLIER_P,
    Cells,
    Model,
    SampleCounts,
    category_mixing,
    check_labels,
    check_priors,
    check_weights,
    is_behind_galaxy,
    models_of_counts,
    typical_errors,
)
from xcat.classifier.posterior import Classification, best_levels, classify
from xcat.classifier.sample import Sample
from xcat.classifier.weights import Terms, fit_category_weights, fit_sharpness

INNER_FOLDS = 5
SMOOTHINGS = (1.0, 1.6)
"""Factors on the bandwidths to try: those that suit a single density are too narrow for a sum of many terms."""
N_REPLICATES = 20
"""Replicates of the final model: the relative error of a standard deviation from so many is a sixth."""
REPLICATED_FOLDS = 4
"""Sets of inner folds that they share."""
UNSURE_SMOOTHING = 1.6
"""Factor by which the smoothing of a replicate is at most off: as far as those to try are apart."""
MANY = 100
"""Values of a class from which on its bandwidth is estimated once for all inner folds."""
LEAST_IN_THREADS = 12_000
"""Labelled sources times classes from which on fits share the cores: with fewer, threads take longer to wait for
Python's lock than they gain, and half as much processor time again."""
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
    replicates : int
        Refits of the final model, for the errors of the probabilities; none with fewer than 2.
    behind : tuple of str or None
        Classes whose members lie behind the whole Galaxy; None: those that are called so (`is_behind_galaxy`).
    part_of : tuple of K str or None
        Class that each of the classes is a kind of; see `Model`. The loss is that of the kinds.

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
    replicates: int = N_REPLICATES
    behind: tuple[str, ...] | None = None
    part_of: tuple[str, ...] | None = None

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
    with _one_blas_thread():
        return _tuned(sample, class_index, groups, classes, priors, options)


def _tuned(
    sample: Sample,
    class_index: ArrayLike,
    groups: ArrayLike | None,
    classes: Sequence[str],
    priors: ArrayLike,
    options: FitOptions | None,
) -> Model:
    fitting = _Fit(sample, class_index, classes, priors, options or FitOptions())
    model = replace(fitting.model(groups), part_of=fitting.options.part_of)
    outlier = classify(model, sample).outlier
    return replace(model, outlier_levels=outlier_levels(outlier, fitting.label, len(classes)))


_Made = TypeVar("_Made")


def _one_blas_thread() -> threadpool_limits:
    """Let the linear algebra have one thread: the matrices are narrow, and more would wait for each other."""
    import scipy.optimize  # noqa: F401  here: it takes long to load; and its linear algebra, too, is to be limited

    return threadpool_limits(limits=1, user_api="blas")


def in_threads(tasks: Sequence[Callable[[], _Made]], n_sources: int, n_classes: int) -> list[_Made]:
    """Results of independent fits, which all cores share; each is the same whatever their number."""
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    with _one_blas_thread():
        if n_cores == 1 or n_sources * n_classes < LEAST_IN_THREADS:
            return [task() for task in tasks]
        with ThreadPoolExecutor(min(len(tasks), n_cores)) as pool:
            return list(pool.map(lambda task: task(), tasks))


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
        self.factors = [np.ones(k) for _ in sample.properties]
        answers = options.part_of or classes
        names = [c for c in answers if is_behind_galaxy(c)] if options.behind is None else options.behind
        self.behind = np.array([bool({c, answer} & set(names)) for c, answer in zip(classes, answers, strict=True)])
        self.cells = Cells(sample, self.label, k, options.pairs, self.behind)
        (self.counts,) = self.cells.count()
        self.chosen = chosen_sources(self.label, k, options.seed)

    def model(self, groups: ArrayLike | None) -> Model:
        """The model; its outlier levels are missing."""
        options, k = self.options, len(self.classes)
        if options.sharpness != "fit" and options.smoothing != "fit" and self.weighting in ("equal", "given"):
            return self._tables([self.counts], float(options.smoothing), float(options.sharpness))[0]
        fold = folds(self.label, groups, INNER_FOLDS, options.seed)
        smoothings = SMOOTHINGS if options.smoothing == "fit" else (float(options.smoothing),)
        # the bandwidth of many values changes little by a fold; that of few is estimated without it
        own = self.bandwidths
        widths = [np.where(c.n_present >= MANY, h, np.nan) for c, h in zip(self.counts.singles, own, strict=True)]
        held_out = HeldOut(self.sample, self.cells, fold, INNER_FOLDS, self.chosen, options.seed)
        self.factors = self._bandwidth_factors(fold)
        without = held_out.counts_without()
        rungs = held_out.rungs(self.errors)
        at_first = self._tables(without, smoothings[0], bandwidths=[widths] * len(without), rungs=rungs)
        category_index, active_terms = at_first[0].category_index, self._active(at_first[0])
        shares = (self.alpha / self.alpha.sum())[category_index]

        candidates: list[tuple[float, float, Terms, FloatArray, float, Shrinkage | None]] = []
        for smoothing in smoothings:
            models = at_first
            if smoothing != smoothings[0]:  # the bandwidths of the first smoothing, 1, serve all others
                known = [
                    [t.bandwidth / factor for t, factor in zip(m.tables, self.factors, strict=True)] for m in at_first
                ]
                models = self._tables(without, smoothing, 1.0, known, rungs)
            terms = held_out.terms(models, active_terms, self.priors)
            fit = options.sharpness == "fit"
            sharpness = fit_sharpness(terms, self.priors, shares) if fit else float(options.sharpness)
            mixing = category_mixing(self.alpha, sharpness, category_index, k) * active_terms
            if self.weighting == "property":
                mixing = start_of_properties(terms, self.priors, category_index, active_terms)
                inner = fold[self.chosen]
                loss, shrinkage = best_shrinkage(terms, inner, self.priors, category_index, active_terms)
            else:
                loss, shrinkage = terms.log_loss(terms.score(self.priors, mixing, np.zeros(k))), None
            candidates.append((loss, smoothing, terms, mixing, sharpness, shrinkage))
        _, smoothing, terms, mixing, sharpness, shrinkage = min(candidates, key=lambda each: each[0])
        alpha, offsets = self.alpha, np.zeros(k)
        if shrinkage is not None:
            mixing, offsets = fit_of_properties(terms, self.priors, category_index, mixing, shrinkage)
        (model,) = self._tables([self.counts], smoothing, sharpness, [own])
        if self.weighting == "category":
            objective = (self.objective, self.objective_class)
            alpha, sharpness = fit_category_weights(
                terms, self.priors, category_index, len(CATEGORIES), *objective, options.seed
            )
            mixing = category_mixing(alpha, sharpness, category_index, k) * active_terms
        chosen = {} if shrinkage is None else asdict(shrinkage)
        return replace(model, weights=alpha, sharpness=sharpness, mixing=mixing, offsets=offsets, **chosen)

    @cached_property
    def bandwidths(self) -> list[FloatArray]:
        """Bandwidths of all labelled sources, without smoothing and without factors."""
        return [estimated_bandwidths(c, p) for c, p in zip(self.counts.singles, self.sample.properties, strict=True)]

    def _bandwidth_factors(self, fold: IntArray) -> list[FloatArray]:
        """Factors on the bandwidths of every property and class, (K,) each: those that suit sources of other folds."""
        parts = self.cells.count(fold, INNER_FOLDS)
        return [
            bandwidth_factors([part.singles[j] for part in parts], prop, width)
            for j, (prop, width) in enumerate(zip(self.sample.properties, self.bandwidths, strict=True))
        ]

    def held_out_terms(self, model: Model, groups: ArrayLike | None, number: int) -> Terms:
        """Terms of the labelled sources in other inner folds, by tables like the model's without the source's fold."""
        fold = folds(self.label, groups, INNER_FOLDS, self.options.seed + number)
        held_out = HeldOut(self.sample, self.cells, fold, INNER_FOLDS, self.chosen, self.options.seed + number)
        counted, widths = held_out.counts_without(), _bandwidths_without_smoothing(model)
        rungs = held_out.rungs(self.errors)
        without = self._tables(counted, model.smoothing, bandwidths=[widths] * len(counted), rungs=rungs)
        return held_out.terms(without, self._active(model), self.priors)

    def replicate(self, model: Model, terms: Terms, groups: ArrayLike | None, number: int) -> Model:
        """Refit tables and weights to the sources with random weights, the same in a group.

        The weights are fitted on `terms` (`held_out_terms`). The smoothing is drawn around the chosen one. Bandwidths
        and shrinkage, and the ratios of the weights of categories, stay as they are.
        """
        member = np.unique(np.arange(self.label.size) if groups is None else groups, return_inverse=True)[1]
        rng = np.random.default_rng([self.options.seed + number, number])
        weight = rng.exponential(size=member.max() + 1)[member]
        smoothing = model.smoothing * UNSURE_SMOOTHING ** rng.uniform(-1.0, 1.0)
        counted = self.cells.count(source_weight=weight)
        widths = _bandwidths_without_smoothing(model)
        (refit,) = self._tables(counted, smoothing, model.sharpness, [widths], [KEPT_RUNGS] * len(widths))
        if self.weighting != "property" and self.options.sharpness != "fit":
            return replace(refit, mixing=model.mixing)
        index, active, k = model.category_index, self._active(model), len(self.classes)
        terms = replace(terms, source_weight=prior_weights(terms.label, self.priors, weight[self.chosen]))
        if model.inverse_ridge is None or model.category_share is None:
            sharpness = fit_sharpness(terms, self.priors, (model.weights / model.weights.sum())[index])
            return replace(refit, mixing=category_mixing(model.weights, sharpness, index, k) * active)
        start = start_of_properties(terms, self.priors, index, active)
        shrinkage = Shrinkage(model.inverse_ridge, model.category_share)
        mixing, offsets = fit_of_properties(terms, self.priors, index, start, shrinkage)
        return replace(refit, mixing=mixing, offsets=offsets)

    def _tables(
        self,
        parts: Sequence[SampleCounts],
        smoothing: float = 1.0,
        sharpness: float = 1.0,
        bandwidths: Sequence[Sequence[FloatArray]] | None = None,
        rungs: Sequence[IntArray] | None = None,
    ) -> list[Model]:
        """Models of counts, weighted by category; with these bandwidths of each without smoothing, if given.

        The `rungs` are the levels of errors that will be looked up, of every property.
        """
        models = models_of_counts(
            parts,
            self.sample.properties,
            self.classes,
            self.priors,
            pairs=self.options.pairs,
            errors=self.errors,
            smoothing=smoothing,
            bandwidths=bandwidths,
            factors=self.factors,
            rungs=rungs,
            weights=self.alpha,
            sharpness=sharpness,
            behind=self.behind,
        )
        return [replace(m, weighting=self.weighting, mixing=m.mixing * self._active(m)) for m in models]

    def _active(self, model: Model) -> FloatArray:
        """1 for terms that contribute to the scores, 0 for excluded ones, (terms, 1, 1)."""
        active = [name not in self.options.excluded_properties for name in model.term_names]
        return np.array(active, dtype=np.float64)[:, None, None]


def _bandwidths_without_smoothing(model: Model) -> list[FloatArray]:
    return [table.bandwidth / model.smoothing for table in model.tables]


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
    models, fold = _models(sample, class_index, groups, classes, priors, options or FitOptions(), n_folds)
    return _held_out(models, fold, sample)


def _models(
    sample: Sample,
    class_index: ArrayLike,
    groups: ArrayLike | None,
    classes: Sequence[str],
    priors: ArrayLike,
    options: FitOptions,
    n_folds: int,
    and_whole: bool = False,
) -> tuple[tuple[Model, ...], IntArray]:
    """The models without each fold, if wanted after that of all sources; and the fold of every source."""
    label = check_labels(class_index, len(sample), len(classes))
    group = None if groups is None else np.asarray(groups)
    fold = folds(label, group, n_folds, options.seed)

    def without(f: int) -> Model:
        kept = np.flatnonzero(fold != f)
        kept_groups = None if group is None else group[kept]
        return _tuned(sample.take(kept), label[kept], kept_groups, classes, priors, options)

    tasks = [partial(without, f) for f in range(n_folds)]
    whole = partial(_tuned, sample, label, group, classes, priors, options)
    return tuple(in_threads([whole, *tasks] if and_whole else tasks, len(sample), len(classes))), fold


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
    """Fit the final model to all labelled sources, with their outlier levels when held out; see `cross_validate`.

    It has replicates. The out-of-fold answers have theirs, too: what they change in the scores by the fold's model.
    """
    chosen = options or FitOptions()
    (model, *models), fold = _models(sample, class_index, groups, classes, priors, chosen, n_folds, and_whole=True)
    if chosen.replicates > 1:
        fitting = _Fit(sample, class_index, classes, priors, chosen)
        n_terms = min(REPLICATED_FOLDS, chosen.replicates)
        size = (len(sample), len(classes))
        terms = in_threads([partial(fitting.held_out_terms, model, groups, i + 1) for i in range(n_terms)], *size)
        numbers = range(1, chosen.replicates + 1)
        refits = in_threads([partial(fitting.replicate, model, terms[b % n_terms], groups, b) for b in numbers], *size)
        model = replace(model, replicates=gathered(model, refits))
        models = [replace(of_fold, replicates=model.replicates) for of_fold in models]
    validation = _held_out(tuple(models), fold, sample)
    label = np.asarray(class_index, dtype=np.int64)
    levels = outlier_levels(validation.outlier, label, len(classes))
    return replace(model, outlier_levels=levels, best_levels=best_levels(validation.p)), validation
