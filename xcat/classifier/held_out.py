"""Folds of labelled sources, and the terms of sources by tables that leave out their own fold."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import add

import numpy as np
from numpy.typing import ArrayLike

from xcat.arrays import BoolArray, FloatArray, IntArray
from xcat.classifier.density import N_NODES, levels
from xcat.classifier.metrics import prior_weights
from xcat.classifier.model import Cells, Model, SampleCounts
from xcat.classifier.posterior import evidence
from xcat.classifier.sample import Sample
from xcat.classifier.weights import Terms

THROUGH_OTHERS = 0.5
"""Share of the sources behind the Galaxy that are seen through the column of another source when weights are fitted."""
LEAST_HYPOTHESIS = 0.05
"""Less probable hypotheses are not used to fit the weights."""
MOST_OF_CLASS = 5000
"""Sources of a class on which weights are fitted, drawn at random; tables count all. Some hundred weights need no more,
and the fit then takes as long for a million labelled sources as for some thousand."""


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


def chosen_sources(label: IntArray, n_classes: int, seed: int) -> IntArray:
    """Sources on whose terms weights are fitted, in order: all of a class, or `MOST_OF_CLASS` of them."""
    rng = np.random.default_rng(seed)
    drawn = [rng.permutation(np.flatnonzero(label == c))[:MOST_OF_CLASS] for c in range(n_classes)]
    return np.sort(np.concatenate(drawn))


class HeldOut:
    """Labelled sources in folds, and terms of the chosen ones by tables that leave out the source's own fold."""

    def __init__(self, sample: Sample, cells: Cells, fold: IntArray, n_folds: int, chosen: IntArray, seed: int) -> None:
        self.cells, self.fold, self.n_folds, self.chosen = cells, fold, n_folds, chosen
        rows, self.row_weight, self.source = _likely(sample.take(chosen))
        is_behind = np.zeros(chosen.size, dtype=bool) if cells.behind is None else cells.behind[cells.label[chosen]]
        self.rows = _through_others(rows, self.source, is_behind, np.random.default_rng(seed))
        self.members = [np.flatnonzero(fold[chosen][self.source] == f) for f in range(n_folds)]
        self.parts = [self.rows.take(each) for each in self.members]

    def counts_without(self) -> list[SampleCounts]:
        """Counts without each fold in turn."""
        counts = self.cells.count(self.fold, self.n_folds)
        return [reduce(add, counts[:f] + counts[f + 1 :]) for f in range(self.n_folds)]

    def rungs(self, typical_errors: Sequence[float | None]) -> list[IntArray]:
        """Levels of errors of the chosen sources, from 1, of every property: those that `terms` looks up."""
        found = []
        for j, (prop, typical) in enumerate(zip(self.rows.properties, typical_errors, strict=True)):
            columns = [self.rows.column(j), self.rows.column_before(j)]
            errors = [column.error for column in columns if column.error is not None]
            step = prop.width / (N_NODES - 1)
            level = np.unique(levels(np.array(errors), step, typical or 0.0))
            found.append(level[level > 0])
        return found

    def terms(self, models: Sequence[Model], active: FloatArray, priors: FloatArray) -> Terms:
        """Terms of the chosen sources, by the models without each fold; those not `active`, (terms, 1, 1), are 0."""
        advantage = np.empty((len(self.rows), *models[0].mixing.shape[:2]))
        for model, rows, part in zip(models, self.members, self.parts, strict=True):
            advantage[rows] = evidence(model, part)
        advantage -= advantage.mean(axis=2, keepdims=True)
        advantage *= active[:, :, 0]
        label = self.cells.label[self.chosen]
        return Terms(advantage, self.row_weight, self.source, label, prior_weights(label, priors))


def _likely(sample: Sample) -> tuple[Sample, FloatArray, IntArray]:
    """Rows of the likely hypotheses, their weights and sources: unlikely ones take time and hardly change the fit."""
    rows, weight, source = sample.rows()
    kept = weight >= LEAST_HYPOTHESIS
    total = np.bincount(source[kept], weight[kept], len(sample))
    kept |= (total == 0.0)[source]
    total = np.bincount(source[kept], weight[kept], len(sample))
    return rows.take(kept), weight[kept] / total[source[kept]], source[kept]


def _through_others(rows: Sample, source: IntArray, is_behind: BoolArray, rng: np.random.Generator) -> Sample:
    """Rows of sources, of which half of those behind the Galaxy are seen through the column of one that is inside it.

    Known AGN are where there is little gas, known X-ray binaries where there is much. Weights that are fitted to them
    as they are take the gas for a property of the class.
    """
    inside = np.flatnonzero(~is_behind)
    through = np.flatnonzero(is_behind & (rng.random(is_behind.size) < THROUGH_OTHERS))
    if rows.shift is None or not inside.size or not through.size:
        return rows
    of_source = rows.shift[np.searchsorted(source, np.arange(is_behind.size))]
    of_source[through] = of_source[rng.choice(inside, through.size)]
    return rows.seen_through(of_source[source], rng)
