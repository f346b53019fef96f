"""Is a property the label by another name? Asked before anything is evaluated.

A property is cut into bins, among them one for "not there"; how much of the label do the bins tell, out of fold? The
measure is the share of the label's entropy that knowing the bin takes away: 1 for a copy of the label, however it is
coded, and about 0 for noise. No property of an X-ray source comes near 1; a copy that was shifted, scaled or
renumbered, or the row number of a sorted table, does. A class that a property tells alone (an extent that makes the
class "extended") is seen by the same measure for that class against the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
"""A class with fewer members is not judged by itself."""
_SMOOTHING = 0.05
_N_FOLDS = 5


@dataclass(frozen=True)
class Told:
    """How much of the label a property tells.

    Attributes
    ----------
    name : str
    share : float
        Of the entropy of the label, out of fold.
    classes : dict of str to float
        The same for each class against all others.
    """

    name: str
    share: float
    classes: dict[str, float]

    @property
    def is_label(self) -> bool:
        """Whether the property is refused."""
        return self.share > REFUSED

    @property
    def gives_away(self) -> list[str]:
        """Classes that the property tells nearly by itself."""
        return [c for c, share in self.classes.items() if share > FLAGGED]


def told(sample: Sample, label: IntArray, classes: Sequence[str], groups: IntArray | None = None) -> list[Told]:
    """Ask every property.

    Parameters
    ----------
    sample : Sample
    label : (N,) int64
    classes : sequence of K str
    groups : (N,) int64, optional
        Sources that stay together.

    Returns
    -------
    list of Told
        In the order of the properties.
    """
    fold = folds(label, groups, _N_FOLDS, 0)
    n = np.bincount(label, minlength=len(classes))
    judged = [k for k in range(len(classes)) if LEAST_MEMBERS <= n[k] <= label.size - LEAST_MEMBERS]
    found = []
    for j, prop in enumerate(sample.properties):
        column = np.asarray(sample.values[:, j], dtype=np.float64)
        share = share_told(column, label, fold)
        each = {classes[k]: share_told(column, (label == k).astype(np.int64), fold) for k in judged}
        found.append(Told(prop.name, share, each))
    return found


def refuse(
    sample: Sample,
    label: IntArray,
    classes: Sequence[str],
    groups: IntArray | None = None,
    allowed: Sequence[str] = (),
) -> list[str]:
    """Refuse properties that are the label, and say which nearly are that of a class.

    Parameters
    ----------
    sample, label, classes, groups
        As in `told`.
    allowed : sequence of str
        Properties that are flagged only.

    Returns
    -------
    list of str
        A line for each property that is flagged.

    Raises
    ------
    ConfigError
        A property tells nearly all of the label.
    """
    flags = []
    for found in told(sample, label, classes, groups):
        if found.is_label and found.name not in allowed:
            raise ConfigError(
                f"the property '{found.name}' tells {100 * found.share:.0f} % of the label by itself: it is the label, "
                f"or was made of it. Leave it out, or if it may know that much: --allow {found.name}"
            )
        if found.is_label:
            flags.append(f"{found.name} tells {100 * found.share:.0f} % of the label by itself")
        flags += [
            f"{found.name} nearly tells {c} from all others ({100 * found.classes[c]:.0f} %): was the label made of it?"
            for c in found.gives_away
        ]
    return flags


def share_told(column: FloatArray, label: IntArray, fold: IntArray) -> float:
    """Share of the entropy of the label that the binned column tells, out of fold; below 0 where it misleads."""
    k = int(label.max()) + 1
    mix = np.bincount(label, minlength=k) / label.size
    entropy = float(-(mix[mix > 0] * np.log(mix[mix > 0])).sum())
    if entropy == 0.0:
        return 0.0
    lost = np.empty(label.size)
    for f in range(int(fold.max()) + 1):
        test, train = fold == f, fold != f
        edges = _edges(column[train])
        bins, size = _bins(column, edges), edges.size + 3
        count = np.bincount(bins[train] * k + label[train], minlength=size * k).reshape(size, k)
        p = (count + _SMOOTHING * mix) / (count.sum(axis=1, keepdims=True) + _SMOOTHING)
        lost[test] = -np.log(np.maximum(p[bins[test], label[test]], 1e-12))
    return float(1.0 - lost.mean() / entropy)


def _edges(column: FloatArray) -> FloatArray:
    """Ends of bins: midway between values if there are few of them, else at quantiles."""
    values = np.unique(column[np.isfinite(column)])
    if values.size <= 2 * N_BINS:
        return np.asarray((values[1:] + values[:-1]) / 2.0)
    finite = column[np.isfinite(column)]
    return np.unique(np.quantile(finite, np.linspace(0.0, 1.0, N_BINS + 1)[1:-1]))


def _bins(column: FloatArray, edges: FloatArray) -> NDArray[np.int64]:
    """Bin of every value; the last two are for "not there" and "not looked for"."""
    bins = np.searchsorted(edges, column)
    return np.select([np.isnan(column), np.isinf(column)], [edges.size + 1, edges.size + 2], bins)
