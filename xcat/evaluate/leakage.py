"""Is a property a copy of the label? This is checked before an evaluation.

A property is cut into bins, with separate ones for missing and unobserved values. The measure is the share of the
label's entropy that the bin removes, out of fold: 1 for a copy of the label, however it is coded, and about 0 for
noise. No property of an X-ray source comes near 1; a copy that was shifted, scaled or renumbered, or the row number of
a sorted table, does. The same measure for one class against the rest finds a property that determines this class alone
(an extent that makes the class "extended").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xcat.arrays import FloatArray, IntArray
from xcat.classifier.crossval import folds
from xcat.classifier.sample import Sample
from xcat.errors import ConfigError

REFUSED, FLAGGED = 0.95, 0.90
"""Share of the label's entropy above which a property is refused; share of one class's above which it is flagged."""
N_BINS = 40
LEAST_MEMBERS = 20
"""A class with fewer members is not checked separately."""
_SMOOTHING = 0.05
_N_FOLDS = 5


class Information(NamedTuple):
    """Share of the label's entropy that a property removes out of fold, and the same for each class against others."""

    name: str
    share: float
    classes: dict[str, float]


def information(
    sample: Sample, label: IntArray, classes: Sequence[str], groups: IntArray | None = None
) -> list[Information]:
    """Measure every property, in their order; sources of one of the `groups`, (N,), stay together."""
    fold = folds(label, groups, _N_FOLDS, 0)
    n = np.bincount(label, minlength=len(classes))
    checked = [k for k in range(len(classes)) if LEAST_MEMBERS <= n[k] <= label.size - LEAST_MEMBERS]
    measured = []
    for j, prop in enumerate(sample.properties):
        column = np.asarray(sample.values[:, j], dtype=np.float64)
        share = information_share(column, label, fold)
        each = {classes[k]: information_share(column, (label == k).astype(np.int64), fold) for k in checked}
        measured.append(Information(prop.name, share, each))
    return measured


def refuse(
    sample: Sample,
    label: IntArray,
    classes: Sequence[str],
    groups: IntArray | None = None,
    allowed: Sequence[str] = (),
) -> list[str]:
    """Refuse properties that determine the label, and flag those that nearly determine a class.

    Parameters
    ----------
    allowed : sequence of str
        Properties that are flagged but not refused.

    Returns
    -------
    list of str
        One line per flag.

    Raises
    ------
    ConfigError
        A property has nearly all information about the label.
    """
    flags = []
    for name, share, of_classes in information(sample, label, classes, groups):
        line = f"'{name}' alone has {100 * share:.0f} % of the information in the label"
        if share > REFUSED and name not in allowed:
            raise ConfigError(
                f"the property {line}: it is the label or was derived from it. Leave it out, or, if it is a legitimate"
                f" property: --allow {name}"
            )
        flags += [line] if share > REFUSED else []
        flags += [
            f"'{name}' nearly separates {c} from all others ({100 * of_class:.0f} %): was the label derived from it?"
            for c, of_class in of_classes.items()
            if of_class > FLAGGED
        ]
    return flags


def information_share(column: FloatArray, label: IntArray, fold: IntArray) -> float:
    """Share of the entropy of the label that the binned column removes, out of fold; below 0 if it misleads."""
    k = int(label.max()) + 1
    mix = np.bincount(label, minlength=k) / label.size
    entropy = float(-(mix[mix > 0] * np.log(mix[mix > 0])).sum())
    if entropy == 0.0:
        return 0.0
    loss = np.empty(label.size)
    for f in range(int(fold.max()) + 1):
        test, train = fold == f, fold != f
        edges = _edges(column[train])
        bins, size = _bins(column, edges), edges.size + 3
        count = np.bincount(bins[train] * k + label[train], minlength=size * k).reshape(size, k)
        p = (count + _SMOOTHING * mix) / (count.sum(axis=1, keepdims=True) + _SMOOTHING)
        loss[test] = -np.log(np.maximum(p[bins[test], label[test]], 1e-12))
    return float(1.0 - loss.mean() / entropy)


def _edges(column: FloatArray) -> FloatArray:
    """Edges of bins: midway between distinct values if they are few, else at quantiles."""
    finite = column[np.isfinite(column)]
    values = np.unique(finite)
    if values.size <= 2 * N_BINS:
        return np.asarray((values[1:] + values[:-1]) / 2.0)
    return np.unique(np.quantile(finite, np.linspace(0.0, 1.0, N_BINS + 1)[1:-1]))


def _bins(column: FloatArray, edges: FloatArray) -> NDArray[np.int64]:
    """Bin of every value; the last two are for missing and unobserved ones."""
    bins = np.searchsorted(edges, column)
    return np.select([np.isnan(column), np.isinf(column)], [edges.size + 1, edges.size + 2], bins)
