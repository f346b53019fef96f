"""The figures of one classification, and their mean over repetitions.

A method answers with probabilities, or with decisions: rows of one 1 and zeros, and of zeros only where it has no
answer. No answer is a wrong answer for the recall and the accuracy, and none for the precision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from xcat.arrays import FloatArray, IntArray, jsonable
from xcat.classifier import metrics

OVERALL = ("accuracy", "macro_f1", "log_loss", "brier", "ece")
NO_ANSWER = -1
LEAST_PROBABILITY = float(np.finfo(np.float64).eps)
"""What counts for less in a log-loss, as in scikit-learn: a forest without a vote for the truth says 0."""


def decided(p: FloatArray) -> IntArray:
    """Most probable class of every row, (N,); -1 where the row is zero."""
    return np.where(p.sum(axis=1) > 0, p.argmax(axis=1), NO_ANSWER)


def decisions(class_index: ArrayLike, n_classes: int) -> FloatArray:
    """Class numbers as rows of one 1, (N, K); -1 becomes a row of zeros."""
    index = np.asarray(class_index)
    return (index[:, None] == np.arange(n_classes)).astype(np.float64)


def at_priors(p: FloatArray, priors: ArrayLike, mix: ArrayLike) -> FloatArray:
    """Probabilities for a sky mixed as `priors`, of a method that was trained on the mix `mix`, (N, K)."""
    scaled = p * (np.asarray(priors) / np.asarray(mix))
    total = scaled.sum(axis=1, keepdims=True)
    return np.divide(scaled, total, out=np.zeros_like(scaled), where=total > 0)


def score(
    p: FloatArray, label: IntArray, classes: Sequence[str], priors: ArrayLike, probabilities: bool = True
) -> dict[str, Any]:
    """All figures of one classification, ready for JSON.

    Parameters
    ----------
    p : (N, K) float64
        Out of fold, for the mix of the sample.
    label : (N,) int64
    classes : sequence of K str
    priors : (K,) array
        Of the survey. A class without members weighs nothing.
    probabilities : bool
        False: `p` are decisions, and log-loss, Brier score and calibration do not exist.

    Returns
    -------
    dict
        accuracy, macro_f1, log_loss, brier, ece; "classes" with recall, precision, precision_prior_corrected, f1, n and
        95 % intervals for each; "confusion" (rows: given; columns: true); "n_no_answer"; "reliability"; and
        "at_priors": accuracy, macro_f1, log_loss, brier, ece and confusion of the probabilities re-weighted by prior
        over frequency, on the sample re-weighted alike. None: does not exist.
    """
    k = len(classes)
    prior = np.asarray(priors, dtype=np.float64)
    n_true = np.bincount(label, minlength=k)
    weight = metrics.prior_weights(label, prior)
    overall = _overall(p, label, None, probabilities)
    matrix, none = _matrix(p, label, k)
    hit, called = np.diag(matrix), matrix.sum(axis=1)
    rates = matrix / np.maximum(n_true, 1)
    recall = np.where(n_true > 0, hit / np.maximum(n_true, 1), np.nan)
    raw, corrected = metrics.precision(matrix), metrics.precision(rates * prior)
    f1 = metrics.f1(raw, recall)
    there = n_true > 0
    by_class = {
        "recall": recall,
        "precision": raw,
        "precision_prior_corrected": corrected,
        "f1": f1,
        "n": n_true,
        "recall_interval": np.stack(metrics.wilson(hit, n_true), axis=1),
        "precision_interval": np.stack(metrics.wilson(hit, called), axis=1),
        # a source without an answer has no row that could be drawn anew
        "precision_prior_corrected_interval": np.full((k, 2), np.nan)
        if none
        else np.stack(metrics.prior_precision_interval(matrix, prior), axis=1),
    }
    mix = np.maximum(n_true, 1) / max(label.size, 1)
    shifted = at_priors(p, prior, mix)
    f1_at_priors = metrics.f1(*_rates_at_priors(shifted, label, prior, n_true))
    return {
        **overall,
        "macro_f1": jsonable(np.mean(f1[there])),
        "classes": {c: {name: jsonable(v[i]) for name, v in by_class.items()} for i, c in enumerate(classes)},
        "confusion": matrix.tolist(),
        "n_no_answer": jsonable(none),
        "reliability": _curve(p, label) if probabilities else None,
        "at_priors": {
            **_overall(shifted, label, weight, probabilities),
            "macro_f1": jsonable(np.mean(f1_at_priors[there])),
            "confusion": _matrix(shifted, label, k)[0].tolist(),
        },
    }


def mean_and_spread(repeats: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Mean and standard deviation (over repeats - 1) of every figure; curves are left out.

    The spread is None where there is one repeat only. Intervals have no spread, and their ends are averaged: repeats
    are of the same sources, and tell nothing of others.
    """
    mean: dict[str, Any] = {}
    spread: dict[str, Any] = {}
    for name, first in repeats[0].items():
        values = [r[name] for r in repeats]
        if isinstance(first, Mapping):
            if name != "reliability":
                mean[name], spread[name] = mean_and_spread(values)
        elif name == "confusion" or name.endswith("_interval"):
            mean[name] = jsonable(np.mean(np.array(values, dtype=np.float64), axis=0))
        elif isinstance(first, list):
            continue
        elif any(v is None for v in values):
            mean[name] = spread[name] = None
        else:
            mean[name] = float(np.mean(values))
            spread[name] = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return mean, spread


def _overall(p: FloatArray, label: IntArray, weight: FloatArray | None, probabilities: bool) -> dict[str, Any]:
    return {
        "accuracy": float(np.average(decided(p) == label, weights=weight)),
        "macro_f1": None,
        "log_loss": metrics.log_loss(np.maximum(p, LEAST_PROBABILITY), label, weight) if probabilities else None,
        "brier": metrics.brier(p, label, weight) if probabilities else None,
        "ece": metrics.reliability(p, label, weight).ece if probabilities else None,
    }


def _matrix(p: FloatArray, label: IntArray, k: int) -> tuple[IntArray, np.integer]:
    """Confusion matrix of the sources with an answer, and how many have none."""
    given = decided(p)
    there = given != NO_ANSWER
    return metrics.confusion_matrix(given[there], label[there], k), np.sum(~there)


def _rates_at_priors(
    p: FloatArray, label: IntArray, prior: FloatArray, n_true: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Precision and recall on a sample with the priors' mix."""
    matrix, _ = _matrix(p, label, prior.size)
    rates = matrix / np.maximum(n_true, 1)
    return metrics.precision(rates * prior), np.where(n_true > 0, np.diag(rates), np.nan)


def _curve(p: FloatArray, label: IntArray) -> dict[str, Any]:
    curve = metrics.reliability(p, label)
    return {name: jsonable(getattr(curve, name)) for name in ("n", "confidence", "accuracy")}
