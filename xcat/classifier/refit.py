"""A model for some of its properties: weights fitted again on what is there, the tables as they were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import compress

import numpy as np
from numpy.typing import ArrayLike

from xcat.classifier.crossval import CrossValidation, FitOptions, fit, with_priors
from xcat.classifier.model import CATEGORIES, HOW_FITTED, Model
from xcat.classifier.posterior import evidence
from xcat.classifier.sample import Sample


def refit(
    model: Model,
    sample: Sample,
    class_index: ArrayLike,
    groups: ArrayLike | None,
    priors: ArrayLike,
    *,
    objective: str = "log_loss",
    sharpness: float | str = "fit",
    seed: int = 0,
    n_folds: int = 10,
) -> tuple[Model, CrossValidation]:
    """Fit weights, offsets, ridge and outlier levels of a model again, for fewer properties.

    Parameters
    ----------
    model : Model
        With all its properties.
    sample : Sample
        The N labelled sources that it was fitted on, with the properties to keep, in the order of the model.
    class_index : (N,) integer array
        Class of every source, from 0.
    groups : (N,) array or None
        Sources that the folds keep together.
    priors : (K,) array
        Priors that the model was fitted with; its own may have been estimated since.
    objective, sharpness, seed
        As in `FitOptions`; how the weights are determined is the model's `weighting`.

    Returns
    -------
    Model
        Tables, pairs, smoothing and priors are the model's. A prior that depends on two properties stays if both do;
        else the priors are those of the whole catalogue, and these properties still have no term of their own.
    CrossValidation
        Out-of-fold results at the priors of the model: tables, weights and ridge are fitted inside each fold. Only the
        smoothing is not, one number that was chosen on all labelled sources.

    Raises
    ------
    ValueError
        The model lacks a property of the sample, or there are too few groups for the folds.
    """
    names = [p.name for p in sample.properties]
    kept = model.select(names)
    if [p.name for p in kept.properties] != names:
        raise ValueError(f"the sample has the properties {', '.join(names)}, the model {', '.join(model.term_names)}")
    sky_axes = model.pairs[-1].axes if model.has_sky_prior else ()
    has_sky = bool(sky_axes) and set(sky_axes) <= set(names)
    given = np.asarray(priors, dtype=np.float64)
    options = FitOptions(
        weights=tuple(model.weights.tolist()) if model.weighting == "given" else model.weighting,
        objective=objective,
        sharpness=sharpness if _any_weight(model, kept.term_categories) else 1.0,
        pairs=tuple(pair.axes for pair in kept.pairs[: len(kept.pairs) - has_sky]),
        smoothing=model.smoothing,
        excluded_properties=tuple(name for name in sky_axes if name in names),
        seed=seed,
        replicates=0 if model.replicates is None else model.replicates.size,
        behind=() if model.behind is None else tuple(compress(model.classes, model.behind)),
        part_of=model.part_of,
    )
    fitted, validation = fit(sample, class_index, groups, model.classes, given, options, n_folds)
    fresh = (*HOW_FITTED, "offsets", "weights", "limits_before_galaxy", "outlier_levels", "replicates", "best_levels")
    of_sky = np.eye(len(model.classes))[None][:has_sky]
    mixing = np.concatenate([fitted.mixing, of_sky])
    made = replace(kept, mixing=mixing, **{name: getattr(fitted, name) for name in fresh})
    ratio = np.broadcast_to(model.priors / given, (len(sample), len(given)))
    category = None
    if has_sky:
        ratio = ratio * np.exp(evidence(made, sample)[:, -1].astype(np.float64))
        category = made.categories.index(made.pairs[-1].category)
    return made, with_priors(validation, sample, ratio, category)


def _any_weight(model: Model, categories: Sequence[str]) -> bool:
    """Whether given weights leave one of these categories in the sum; without, there is no sharpness to fit."""
    if model.weighting != "given":
        return True
    return any(w > 0 for c, w in zip(CATEGORIES, model.weights.tolist(), strict=True) if c in categories)
