"""Quality of a classification, on labelled sources that were held out of the fit.

Confusion matrices have the predicted class in rows and the true class in columns, as on the poster. A literature sample
has another mix of classes than the sky, so there are two precisions: raw, as counted, and corrected to the priors, as
Tranin et al. 2022 print it. The two differ much for rare classes (the poster's XRB: 55 % and 79 %). An undefined figure
(precision of a class that is never predicted) is NaN, and None in `summarise`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from xcat.arrays import FloatArray, IntArray, jsonable
from xcat.classifier.model import check_labels, check_priors

CONFIDENCE = 0.95
LEAST_PROBABILITY = 1e-300  # keeps the logarithm of a probability that underflowed finite


def confusion_matrix(predicted: ArrayLike, truth: ArrayLike, n_classes: int) -> IntArray:
    """Count sources by predicted (rows) and true class (columns), (K, K) int64."""
    row = np.asarray(predicted)
    column = check_labels(truth, row.size, n_classes)
    flat = check_labels(row, column.size, n_classes) * n_classes + column
    return np.bincount(flat, minlength=n_classes**2).reshape(n_classes, n_classes)


def recall(matrix: ArrayLike, n_true: ArrayLike | None = None) -> FloatArray:
    """Fraction of the members of each class that are given that class, (..., K); all are in the matrix by default."""
    m = np.asarray(matrix, dtype=np.float64)
    return _ratio(np.diagonal(m, axis1=-2, axis2=-1), m.sum(axis=-2) if n_true is None else n_true)


def precision(matrix: ArrayLike) -> FloatArray:
    """Fraction of the sources given each class that belong to it, in the mix of the sample, (..., K)."""
    m = np.asarray(matrix, dtype=np.float64)
    return _ratio(np.diagonal(m, axis1=-2, axis2=-1), m.sum(axis=-1))


def prior_precision(matrix: ArrayLike, priors: ArrayLike, n_true: ArrayLike | None = None) -> FloatArray:
    """Precision of each class in a sample with the mix of the priors, (..., K).

    It is pi_j R_jj / N_j over sum_i pi_i R_ji / N_i, with R_ji the number of members of class i classified as j and N_i
    that of all its members (`n_true`, or those in the matrix): the "precision" of Tranin et al. 2022. A class without
    members adds nothing to the sums.
    """
    m = np.asarray(matrix, dtype=np.float64)
    rates = _ratio(m, m.sum(axis=-2, keepdims=True) if n_true is None else n_true, 0.0)
    return precision(rates * np.asarray(priors, dtype=np.float64))


def f1(precision_: ArrayLike, recall_: ArrayLike) -> FloatArray:
    """Harmonic mean of precision and recall; 0 for a class without hits, NaN for one without members."""
    p, r = np.asarray(precision_, dtype=np.float64), np.asarray(recall_, dtype=np.float64)
    p = np.where(np.isnan(p) & ~np.isnan(r), 0.0, p)
    return np.where((p + r) == 0.0, 0.0, _ratio(2.0 * p * r, p + r))


def expected_f1(n: ArrayLike, members: ArrayLike) -> FloatArray:
    """F1 that a list of the members of a class may expect, by how far down the list goes, (M,).

    The best list ends where the probability is half of that F1 (Lipton, Elkan & Naryanaswamy 2014, ECML PKDD 8725,
    225), which is below 1/2: the most probable class misses members of rare classes.

    Parameters
    ----------
    n, members : (M,) array
        Sources with each probability, the largest first, and the sum of it over them.
    """
    hits, listed = np.cumsum(members, dtype=np.float64), np.cumsum(n, dtype=np.float64)
    return _ratio(2.0 * hits, listed + hits[-1:], 0.0)


def wilson(successes: ArrayLike, trials: ArrayLike, confidence: float = CONFIDENCE) -> tuple[FloatArray, FloatArray]:
    """Interval of a binomial fraction (Wilson 1927, JASA 22, 209); 0 to 1 without trials."""
    k, n = np.asarray(successes, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    z2 = NormalDist().inv_cdf(0.5 + confidence / 2.0) ** 2
    centre = _ratio(k + z2 / 2.0, n + z2)
    half = np.sqrt(z2 * (_ratio(k * (n - k), n, 0.0) + z2 / 4.0)) / (n + z2)
    return np.clip(centre - half, 0.0, 1.0), np.clip(centre + half, 0.0, 1.0)


def prior_precision_interval(
    matrix: ArrayLike, priors: ArrayLike, confidence: float = CONFIDENCE, n_draws: int = 4000, seed: int = 0
) -> tuple[FloatArray, FloatArray]:
    """Interval of the prior-corrected precision, from random draws of the columns of the matrix.

    The column of each true class is multinomial. Its rates are drawn from their Dirichlet posterior; the prior is one
    source spread over the rows, so that an empty cell has an uncertainty. The interval holds the central share of the
    precisions, extended to the measured one where that is outside. The same seed gives the same interval.
    """
    m = np.asarray(matrix, dtype=np.float64)
    rng = np.random.default_rng(seed)
    drawn = np.stack([rng.dirichlet(column + 1.0 / m.shape[0], n_draws) for column in m.T], axis=2)
    drawn *= m.sum(axis=0) > 0
    tail = 0.5 - confidence / 2.0
    low, high = np.quantile(prior_precision(drawn, priors), [tail, 1.0 - tail], axis=0)
    measured = prior_precision(m, priors)
    return np.fmin(low, measured), np.fmax(high, measured)


def prior_weights(truth: ArrayLike, priors: ArrayLike, weight: FloatArray | None = None) -> FloatArray:
    """Weights that give a sample the priors' mix: priors_c / N_c for a source of class c, with the sum 1.

    With a `weight` of each source, (N,), N_c is the sum over the class, and the result is multiplied by it.
    """
    prior = np.asarray(priors, dtype=np.float64)
    check_priors(prior, prior.size)
    label = check_labels(truth, np.asarray(truth).size, prior.size)
    own = np.ones(label.size) if weight is None else weight
    total = np.bincount(label, own, prior.size)
    made: FloatArray = own * (prior / np.where(total > 0, total, 1.0))[label]
    return np.asarray(made / made.sum())


def log_loss(p: FloatArray, truth: ArrayLike, weight: FloatArray | None = None) -> float:
    """Mean of -ln p(true class), in nats."""
    of_truth = p[np.arange(p.shape[0]), check_labels(truth, *p.shape)]
    return float(np.average(-np.log(np.maximum(of_truth, LEAST_PROBABILITY)), weights=weight))


def brier(p: FloatArray, truth: ArrayLike, weight: FloatArray | None = None) -> float:
    """Mean squared distance of the probabilities from the truth, summed over classes: 0 to 2 (Brier 1950)."""
    error = p.copy()
    error[np.arange(p.shape[0]), check_labels(truth, *p.shape)] -= 1.0
    return float(np.average((error**2).sum(axis=1), weights=weight))


@dataclass(frozen=True, eq=False)
class Reliability:
    """Reliability curve: predicted probability and measured accuracy, in bins of the largest probability.

    Attributes
    ----------
    edges : (B + 1,) float64
    n : (B,) int64
        Sources in each bin.
    weight : (B,) float64
        Share of the weight in each bin; the sum is 1.
    confidence, accuracy : (B,) float64
        Mean largest probability, and fraction of correct classes; NaN in an empty bin.
    """

    edges: FloatArray
    n: IntArray
    weight: FloatArray
    confidence: FloatArray
    accuracy: FloatArray

    @property
    def ece(self) -> float:
        """Expected calibration error: weighted mean of |accuracy - confidence| (Guo et al. 2017)."""
        filled = self.weight > 0
        return float(self.weight[filled] @ np.abs(self.accuracy - self.confidence)[filled])


def reliability(p: FloatArray, truth: ArrayLike, weight: FloatArray | None = None, n_bins: int = 15) -> Reliability:
    """Reliability curve of the most probable class, in bins of equal width."""
    label = check_labels(truth, *p.shape)
    top = p.max(axis=1)
    correct = np.argmax(p, axis=1) == label
    w = np.ones(top.size) if weight is None else np.asarray(weight, dtype=np.float64)
    edges = np.linspace(0.0, 1.0, n_bins + 1)
    bins = np.clip(np.searchsorted(edges, top, side="left") - 1, 0, n_bins - 1)
    total = np.bincount(bins, w, n_bins)
    return Reliability(
        edges,
        np.bincount(bins, minlength=n_bins),
        _ratio(total, total.sum()),
        _ratio(np.bincount(bins, w * top, n_bins), total),
        _ratio(np.bincount(bins, w * correct, n_bins), total),
    )


def summarise(p: FloatArray, truth: ArrayLike, classes: Sequence[str], priors: ArrayLike) -> dict[str, Any]:
    """All figures of out-of-fold posteriors, (N, K), with the true classes, (N,), for a report, ready for JSON.

    Returns
    -------
    dict
        "sample" has the figures for the mix of the sample, "at_priors" those for the mix of the priors; "classes" has
        recall, precisions with intervals (of probability "confidence") and F1 of each class. Fractions go from 0 to 1;
        None: undefined. Macro-F1 is the mean over the classes with members.

    Raises
    ------
    ValueError
        When shapes, labels or priors do not fit together.
    """
    prior = np.asarray(priors, dtype=np.float64)
    label = check_labels(truth, p.shape[0], len(classes))
    matrix = confusion_matrix(np.argmax(p, axis=1), label, len(classes))
    hit, n_true, n_predicted = np.diag(matrix), matrix.sum(axis=0), matrix.sum(axis=1)
    complete, raw, corrected = recall(matrix), precision(matrix), prior_precision(matrix, prior)
    figures = {
        "n": n_true,
        "n_predicted": n_predicted,
        "recall": complete,
        "recall_interval": np.stack(wilson(hit, n_true), axis=1),
        "precision": raw,
        "precision_interval": np.stack(wilson(hit, n_predicted), axis=1),
        "prior_precision": corrected,
        "prior_precision_interval": np.stack(prior_precision_interval(matrix, prior), axis=1),
        "f1": f1(raw, complete),
        "prior_f1": f1(corrected, complete),
    }

    def overall(weight: FloatArray, f1_name: str) -> dict[str, Any]:
        curve = reliability(p, label, weight)
        return {
            "accuracy": float(np.average(np.argmax(p, axis=1) == label, weights=weight)),
            "macro_f1": float(np.mean(figures[f1_name][n_true > 0])),
            "log_loss": log_loss(p, label, weight),
            "brier": brier(p, label, weight),
            "ece": curve.ece,
            "reliability": {field.name: jsonable(getattr(curve, field.name)) for field in fields(curve)},
        }

    return {
        "n": int(label.size),
        "classes": {c: {name: jsonable(v[k]) for name, v in figures.items()} for k, c in enumerate(classes)},
        "matrix": matrix.tolist(),
        "confidence": CONFIDENCE,
        "sample": overall(np.full(label.size, 1.0 / max(label.size, 1)), "f1"),
        "at_priors": overall(prior_weights(label, prior), "prior_f1"),
    }


def _ratio(numerator: ArrayLike, denominator: ArrayLike, otherwise: float = float("nan")) -> FloatArray:
    """Divide; `otherwise` where the denominator is zero."""
    a, b = np.broadcast_arrays(np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64))
    return np.asarray(np.divide(a, b, out=np.full(a.shape, otherwise), where=b != 0))
