"""Is a property a copy of the label? This is checked before an evaluation.

A property is cut into bins, with separate ones for missing and unobserved values. The measure is the share of the
label's entropy that the bin removes, out of fold: 1 for a copy of the label, however it is coded, and about 0 for
noise. No property of an X-ray source comes near 1; a copy that was shifted, scaled or renumbered, or the row number of
a sorted table, does. The same measure for one class against the rest finds a property that determines this class alone
(an extent that makes the class "extended").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xcat.arrays import BoolArray, FloatArray, IntArray
from xcat.classifier.held_out import folds
from xcat.classifier.sample import Sample
from xcat.errors import ConfigError
from xcat.evaluate.protocol import Labelled

REFUSED, FLAGGED = 0.95, 0.90
"""Share of the label's entropy above which a property is refused; share of one class's above which it is flagged."""
N_BINS = 40
LEAST_MEMBERS = 20
"""A class with fewer members is not checked separately."""
LEAST_CONTRAST = 10
"""Labels on each side, from which an origin is told."""
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


class Area(NamedTuple):
    """Area under the curve of a guess from one property (0.5: chance), its standard error, and the same by class."""

    auc: float
    error: float
    classes: dict[str, float]


def origin_leaks(
    first: Labelled, second: Labelled | None = None, n_folds: int = _N_FOLDS, seed: int = 0
) -> list[dict[str, Any]]:
    """How well each property alone tells the origin of a label within a class, beside what it tells of the class.

    A property that differs between origins of one class tells the survey, and what is learned from it may not carry
    over; one that also separates the classes may be worth it.

    Parameters
    ----------
    first : Labelled
        Its literature sources of `LEAST_CONTRAST` labels of a class are each told from the other labels of the class.
    second : Labelled, optional
        A second origin with properties of the first, told from the first in each class.

    Returns
    -------
    list of dict
        One per property, the worst leak first: "property", "category"; "origin_auc" and its standard error (second or
        first table), "literature_auc" (between the literature sources), "class_auc" (a class or not), each a mean over
        the classes (see `area`), None where no class has enough labels; "class_share" (see `information`).
    """
    of_class = {i.name: i for i in information(first.sample, first.label, first.classes, first.groups["source"])}
    rows: list[dict[str, Any]] = []
    for j, prop in enumerate(first.sample.properties):
        column = np.asarray(first.sample.values[:, j], dtype=np.float64)
        measured: dict[str, Area | None] = {"origin": None, "literature": None}
        if second is not None and prop.name in (there := [p.name for p in second.sample.properties]):
            both = np.concatenate([column, second.sample.values[:, there.index(prop.name)]])
            label = np.concatenate([first.label, second.label])
            is_second = np.arange(label.size) >= len(first)
            contrasts = [(c, label == k, is_second) for k, c in enumerate(first.classes)]
            measured["origin"] = area(both, contrasts, n_folds, seed)
        if first.origin is not None:
            measured["literature"] = area(column, _literature(first), n_folds, seed)
        everywhere = np.ones(len(first), dtype=bool)
        contrasts = [(c, everywhere, first.label == k) for k, c in enumerate(first.classes)]
        measured["class"] = area(column, contrasts, n_folds, seed)
        row: dict[str, Any] = {"property": prop.name, "category": prop.category}
        for name, of_property in measured.items():
            row[f"{name}_auc"] = None if of_property is None else of_property.auc
            row[f"{name}_auc_err"] = None if of_property is None else of_property.error
        row["classes"] = {} if measured["origin"] is None else measured["origin"].classes
        rows.append(row | {"class_share": of_class[prop.name].share})
    return sorted(rows, key=lambda r: -(r["origin_auc"] or r["literature_auc"] or 0.0))


def area(
    column: FloatArray, contrasts: Sequence[tuple[str, BoolArray, BoolArray]], n_folds: int = _N_FOLDS, seed: int = 0
) -> Area | None:
    """Area under the curve of guesses from the binned column, out of fold, mean over contrasts.

    Parameters
    ----------
    contrasts : sequence of (str, (N,) bool, (N,) bool)
        Name, the values that take part, and which of them are to be told. Each weighs as much as the harmonic mean of
        the two numbers: the inverse variance of an area by chance. Those of fewer than `LEAST_CONTRAST` are left out.

    Returns
    -------
    Area or None
        Its standard error is that of DeLong, DeLong & Clarke-Pearson 1988. None without any contrast.
    """
    auc, error, weight, names = [], [], [], []
    for name, part, told in contrasts:
        target = told[part].astype(np.int64)
        n_told = int(target.sum())
        if min(n_told, target.size - n_told) < LEAST_CONTRAST:
            continue
        score = _guess(column[part], target, folds(target, None, n_folds, seed))
        above = _placement(score[target == 1], score[target == 0])
        below = _placement(score[target == 0], score[target == 1])
        auc.append(float(above.mean()))
        error.append(np.sqrt(above.var() / above.size + below.var() / below.size))
        weight.append(n_told * (target.size - n_told) / target.size)
        names.append(name)
    if not auc:
        return None
    share = np.array(weight) / np.sum(weight)
    by_class = {}
    for c in dict.fromkeys(names):
        of_class = [i for i, n in enumerate(names) if n == c]
        by_class[c] = float(np.average(np.array(auc)[of_class], weights=np.array(weight)[of_class]))
    return Area(float(share @ np.array(auc)), float(np.sqrt(share**2 @ np.array(error) ** 2)), by_class)


def _literature(data: Labelled) -> list[tuple[str, BoolArray, BoolArray]]:
    """Each literature source of enough labels in a class, against the other labels of the class of known origin."""
    if data.origin is None:
        return []
    contrasts = []
    for k, name in enumerate(data.classes):
        known = (data.label == k) & (data.origin != "")
        sources, n = np.unique(data.origin[known], return_counts=True)
        contrasts += [(name, known, data.origin == s) for s in sources[n >= LEAST_CONTRAST]]
    return contrasts


def _guess(column: FloatArray, target: IntArray, fold: IntArray) -> FloatArray:
    """Share of the told ones in the bin of each value, out of fold; about the root of the number of values are bins."""
    n_bins = int(np.clip(np.sqrt(min(target.sum(), target.size - target.sum())), 3, N_BINS))
    mean, score = target.mean(), np.empty(target.size)
    for f in range(int(fold.max()) + 1):
        test, train = fold == f, fold != f
        edges = _edges(column[train], n_bins)
        bins, size = _bins(column, edges), edges.size + 3
        n = np.bincount(bins[train], minlength=size)
        n_told = np.bincount(bins[train], target[train], minlength=size)
        score[test] = ((n_told + mean) / (n + 1.0))[bins[test]]
    return score


def _placement(of: FloatArray, among: FloatArray) -> FloatArray:
    """Share of the others that each score is above (ties count half)."""
    ordered = np.sort(among)
    return np.asarray((np.searchsorted(ordered, of) + np.searchsorted(ordered, of, side="right")) / (2 * among.size))


def _edges(column: FloatArray, n_bins: int = N_BINS) -> FloatArray:
    """Edges of bins: midway between distinct values if they are few, else at quantiles."""
    finite = column[np.isfinite(column)]
    values = np.unique(finite)
    if values.size <= 2 * n_bins:
        return np.asarray((values[1:] + values[:-1]) / 2.0)
    return np.unique(np.quantile(finite, np.linspace(0.0, 1.0, n_bins + 1)[1:-1]))


def _bins(column: FloatArray, edges: FloatArray) -> NDArray[np.int64]:
    """Bin of every value; the last two are for missing and unobserved ones."""
    bins = np.searchsorted(edges, column)
    return np.select([np.isnan(column), np.isinf(column)], [edges.size + 1, edges.size + 2], bins)
