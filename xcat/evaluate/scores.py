"""The figures of one classification, and their mean over repetitions.

A method answers with probabilities, or with decisions: rows with a single 1, and rows of zeros where it has no answer.
Unanswered sources count as errors in recall and accuracy and are ignored in precision.
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
N_BOOTSTRAP = 1000
LEAST_PROBABILITY = float(np.finfo(np.float64).eps)
"""Least probability in a log-loss, as in scikit-learn: a forest without a vote for the truth gives 0."""


def decided(p: FloatArray) -> IntArray:
    """Most probable class of every row, (N,); -1 where the row is zero."""
    return np.asarray(np.where(p.sum(axis=1) > 0, p.argmax(axis=1), NO_ANSWER), dtype=np.int64)


def decisions(class_index: ArrayLike, n_classes: int) -> FloatArray:
    """Class numbers as rows with a single 1, (N, K); a row of zeros for -1."""
    index = np.asarray(class_index)
    return np.asarray(index[:, None] == np.arange(n_classes), dtype=np.float64)


def at_priors(p: FloatArray, priors: ArrayLike, mix: ArrayLike) -> FloatArray:
    """Probabilities for a sky with the mix `priors`, of a method trained on the mix `mix`, (N, K)."""
    scaled = p * (np.asarray(priors) / np.asarray(mix))
    total = scaled.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(scaled, total, out=np.zeros_like(scaled), where=total > 0))


def score(
    p: FloatArray,
    label: IntArray,
    classes: Sequence[str],
    priors: ArrayLike,
    probabilities: bool = True,
    mix: ArrayLike | None = None,
) -> dict[str, Any]:
    """All figures of one classification, ready for JSON.

    Parameters
    ----------
    p : (N, K) float64
        Out of fold, for the mix of the sample, or for another one (`mix`).
    label : (N,) int64
    classes : sequence of K str
    priors : (K,) array
        Of the survey. A class without members has no weight.
    probabilities : bool
        False: `p` are decisions; log-loss, Brier score and calibration are undefined.
    mix : (K,) array, optional
        Mix of classes that `p` is for; that of the sample if not given.

    Returns
    -------
    dict
        accuracy, macro_f1, log_loss, brier, ece; "classes" with recall, precision, precision_prior_corrected, f1, n and
        95 % intervals for each, and f1_list: F1 of the list of the class's members with at least the probability
        list_from, from which on F1 should be best by these probabilities; "confusion" (rows: given;
        columns: true); "n_no_answer"; "reliability"; and "at_priors": accuracy, macro_f1, log_loss, brier, ece and
        confusion of the probabilities re-weighted by prior over frequency, on the sample re-weighted in the same way.
        None: undefined.
    """
    k = len(classes)
    prior = np.asarray(priors, dtype=np.float64)
    n_true = np.bincount(label, minlength=k)
    matrix, unanswered = _matrix(p, label, k)
    hit, predicted = np.diag(matrix), matrix.sum(axis=1)
    raw, recall = metrics.precision(matrix), metrics.recall(matrix, n_true)
    f1 = metrics.f1(raw, recall)
    # a source without an answer is in no row of the matrix that is drawn at random
    interval = np.full((2, k), np.nan) if unanswered else np.array(metrics.prior_precision_interval(matrix, prior))
    list_from, f1_of_lists = _lists(p, label) if probabilities else np.full((2, k), np.nan)
    by_class = {
        "recall": recall,
        "precision": raw,
        "precision_prior_corrected": metrics.prior_precision(matrix, prior, n_true),
        "f1": f1,
        "f1_list": f1_of_lists,
        "list_from": list_from,
        "n": n_true,
        "recall_interval": np.stack(metrics.wilson(hit, n_true), axis=1),
        "precision_interval": np.stack(metrics.wilson(hit, predicted), axis=1),
        "precision_prior_corrected_interval": interval.T,
    }
    shifted = at_priors(p, prior, np.maximum(n_true, 1) / max(label.size, 1) if mix is None else mix)
    matrix_there, _ = _matrix(shifted, label, k)
    f1_there = metrics.f1(metrics.prior_precision(matrix_there, prior, n_true), metrics.recall(matrix_there, n_true))
    curve = metrics.reliability(p, label) if probabilities else None
    return {
        **_overall(p, label, None, probabilities),
        "macro_f1": jsonable(np.mean(f1[n_true > 0])),
        "classes": {c: {name: jsonable(v[i]) for name, v in by_class.items()} for i, c in enumerate(classes)},
        "confusion": matrix.tolist(),
        "n_no_answer": jsonable(unanswered),
        "reliability": curve and {n: jsonable(getattr(curve, n)) for n in ("n", "confidence", "accuracy")},
        "at_priors": {
            **_overall(shifted, label, metrics.prior_weights(label, prior), probabilities),
            "macro_f1": jsonable(np.mean(f1_there[n_true > 0])),
            "confusion": matrix_there.tolist(),
        },
    }


def _lists(p: FloatArray, label: IntArray) -> tuple[FloatArray, FloatArray]:
    """Where the list of each class ends that is best by its own probabilities, and its F1, (K,) each."""
    ends, found = np.empty(p.shape[1]), np.empty(p.shape[1])
    for c, of_class in enumerate(p.T):
        falling = np.sort(of_class)[::-1]
        ends[c] = falling[np.argmax(metrics.expected_f1(np.ones(falling.size), falling))]
        listed, is_member = of_class >= ends[c], label == c
        either = listed.sum() + is_member.sum()
        found[c] = 2.0 * (listed & is_member).sum() / either if is_member.any() else np.nan
    return ends, found


def losses(p: FloatArray, label: IntArray) -> FloatArray:
    """-ln p of the true class of every source, (N,)."""
    return np.asarray(-np.log(np.maximum(p[np.arange(label.size), label], LEAST_PROBABILITY)))


def paired(
    loss: FloatArray, reference: FloatArray, groups: IntArray, weight: FloatArray | None = None, seed: int = 0
) -> dict[str, Any]:
    """Difference of two methods' log-losses on the same sources, with an interval of 95 % from a bootstrap.

    Parameters
    ----------
    loss, reference : (N,) float64
        -ln p of the true class.
    groups : (N,) int64
        Sources of one object are drawn together.
    weight : (N,) float64, optional
        Of each source in the mean.

    Returns
    -------
    dict
        "difference": above 0 where the reference is better; "interval".
    """
    w = np.ones(loss.size) if weight is None else weight
    _, group = np.unique(groups, return_inverse=True)
    total, mass = np.bincount(group, w * (loss - reference)), np.bincount(group, w)
    n = total.size
    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1.0 / n), size=N_BOOTSTRAP).astype(np.float64)
    means = (drawn @ total) / np.maximum(drawn @ mass, 1e-300)
    return {
        "difference": jsonable(total.sum() / mass.sum()),
        "interval": jsonable(np.quantile(means, [0.025, 0.975])),
    }


def mean_and_spread(repeats: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Mean and standard deviation (over repeats - 1) of every figure, without curves.

    The spread is None for a single repeat. Intervals have no spread, and their ends are averaged: repeats use the same
    sources, and do not measure the scatter of other samples.
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
    """Confusion matrix of the sources with an answer, and the number of those without."""
    given = decided(p)
    answered = given != NO_ANSWER
    return metrics.confusion_matrix(given[answered], label[answered], k), np.sum(~answered)
