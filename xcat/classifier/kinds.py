"""Kinds of classes: what is one class for people may be several for the tables.

A table is the distribution of one property, whatever the others are. That of X-ray binaries has the colours of massive
stars and of light ones, and any flux with either; with a table for each kind, what belongs together stays together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from xcat.arrays import FloatArray, IntArray
from xcat.classifier.density import Table
from xcat.classifier.model import Model
from xcat.classifier.pairs import PairTable
from xcat.classifier.posterior import posterior
from xcat.classifier.sample import Sample

LEAST_MEMBERS = 15
"""A kind with fewer labelled sources has no tables of its own: its members count to the largest kind of their class."""


@dataclass(frozen=True, eq=False)
class Kinds:
    """Kinds of the classes of N labelled sources.

    Attributes
    ----------
    names : tuple of K str
        In the order of the classes; a class without kinds has its own name.
    part_of : tuple of K str
        Class of each kind.
    label : (N,) int64
        Kind of every source, from 0.
    """

    names: tuple[str, ...]
    part_of: tuple[str, ...]
    label: IntArray

    @classmethod
    def of(
        cls, label: IntArray, kind: np.ndarray | None, classes: Sequence[str], allowed: Mapping[str, str] | None = None
    ) -> Kinds:
        """Find the kinds that are large enough.

        Parameters
        ----------
        label : (N,) int64
            Class of every source, from 0.
        kind : (N,) str or None
            Kind of every source, empty for none of those that have a name: such members of a class are a kind that is
            called like it. The same name must not be in two classes. None: no class has kinds.
        allowed : mapping, optional
            The kinds that there are, each with its class, whatever their numbers: those of a model.
        """
        of_source = np.full(len(label), "") if kind is None else kind
        names: list[str] = []
        part_of: list[str] = []
        number = np.zeros(len(label), dtype=np.int64)
        for c, name in enumerate(classes):
            members = np.flatnonzero(label == c)
            of_member = np.where(of_source[members] == "", name, of_source[members])
            count = dict(zip(*np.unique(of_member, return_counts=True), strict=True))
            found = [str(each) for each, n in count.items() if n >= LEAST_MEMBERS]
            if allowed is not None:
                found = [each for each, of_class in allowed.items() if of_class == name]
            elif len(found) < 2:
                found = [name]
            number[members] = len(names) + int(np.argmax([count.get(each, 0) for each in found]))
            for i, each in enumerate(found):
                number[members[of_member == each]] = len(names) + i
            names += found
            part_of += [name] * len(found)
        return cls(tuple(names), tuple(part_of), number)

    @property
    def are_classes(self) -> bool:
        """Whether no class has kinds."""
        return self.names == self.part_of

    def priors(self, classes: Sequence[str], of_classes: FloatArray) -> FloatArray:
        """Priors of the kinds, (K,): that of the class, shared as the labelled sources are."""
        count = np.bincount(self.label, minlength=len(self.names)).astype(np.float64)
        index = np.array([list(classes).index(name) for name in self.part_of])
        # a class without members has one kind
        total = np.bincount(index, count, len(classes))[index]
        return np.asarray(of_classes[index] * np.divide(count, total, out=np.ones_like(count), where=total > 0))


def of_answers(model: Model, log_likelihood: FloatArray) -> FloatArray:
    """Log-likelihoods of the answers, (..., A), from those of the classes, (..., K): kinds mix by their priors."""
    return log_likelihood if model.part_of is None else _mixture(model, log_likelihood, _shares(model))


def kinds_of_source(model: Model, sample: Sample) -> dict[str, dict[str, float]]:
    """Probability of every kind of the classes that have kinds, of the one source of a sample."""
    p = posterior(replace(model, part_of=None), sample)[0][0].tolist()
    named = list(zip(model.classes, model.part_of or model.classes, p, strict=True))
    of_class = {name: {kind: each for kind, of, each in named if of == name} for name in model.answers}
    return {name: each for name, each in of_class.items() if len(each) > 1}


def with_tables_of_answers(model: Model) -> Model:
    """A model for drawings, whose tables are those of the answers: of a class with kinds the mixture of these.

    Its mixing is that of equal weights: it does not classify as the model does.
    """
    if model.part_of is None:
        return model
    n_answers, index = len(model.answers), model.answer_index
    first = np.array([int(np.argmax(index == a)) for a in range(n_answers)])
    share = _shares(model)
    tables = tuple(_merged(model, table, share) for table in model.tables)
    columns = model.pair_columns
    pairs = tuple(
        _merged_pair(model, pair, [model.tables[i] for i in columns[q]], [tables[i] for i in columns[q]], share)
        for q, pair in enumerate(model.pairs)
    )
    n_terms = len(model.mixing)
    used = np.abs(model.mixing).max(axis=(1, 2), keepdims=True) > 0.0
    return replace(
        model,
        classes=model.answers,
        part_of=None,
        priors=model.answer_priors,
        offsets=np.zeros(n_answers),
        mixing=np.broadcast_to(np.eye(n_answers), (n_terms, n_answers, n_answers)) * used,
        tables=tables,
        pairs=pairs,
        n_reference=model.by_answer(model.n_reference),
        outlier_levels=model.outlier_levels[first],
        replicates=None,
        behind=None if model.behind is None else model.behind[first],
    )


def _shares(model: Model) -> FloatArray:
    """Share of each kind in its class, (K,)."""
    return np.asarray(model.priors / model.answer_priors[model.answer_index])


def _mixture(model: Model, log_of_kinds: FloatArray, share: FloatArray) -> FloatArray:
    """Log of the mixture, (..., A), of what the kinds have, (..., K), each with a share."""
    top = np.maximum(log_of_kinds.max(axis=-1, keepdims=True), -1e300)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(model.by_answer(np.exp(log_of_kinds - top) * share)) + top)


def _merged(model: Model, table: Table, share: FloatArray) -> Table:
    log_present = _mixture(model, table.log_present, share)
    # what has a value is of the kinds as their members have values
    present = share * np.exp(table.log_present)
    of_present = present / model.by_answer(present)[model.answer_index]

    def merged(of: FloatArray | None) -> FloatArray | None:
        return None if of is None else _mixture(model, of, of_present)

    return replace(
        table,
        log_density=_mixture(model, table.log_density, of_present),
        log_smeared=merged(table.log_smeared),
        log_atoms=merged(table.log_atoms),
        log_above=merged(table.log_above),
        log_present=log_present,
        log_missing=_mixture(model, table.log_missing, share),
        bandwidth=model.by_answer(table.bandwidth * share),
        n_present=model.by_answer(table.n_present),
    )


def _merged_pair(
    model: Model, pair: PairTable, of_kinds: Sequence[Table], of_answers: Sequence[Table], share: FloatArray
) -> PairTable:
    """Log ratio of the mixture of the joint densities to the product of the mixtures."""

    def at_bins(tables: Sequence[Table]) -> FloatArray:
        product = np.zeros((*pair.log_ratio.shape[:2], tables[0].log_density.shape[1]))
        for axis, table in enumerate(tables):
            x = pair.low[axis] + pair.step[axis] * np.arange(pair.log_ratio.shape[axis])
            nodes = np.linspace(table.low, table.high, len(table.log_density))
            lines = np.stack([np.interp(x, nodes, of_class) for of_class in table.log_density.T], axis=1)
            product += lines[:, None] if axis == 0 else lines[None]
        return product

    if model.has_sky_prior and pair is model.pairs[-1]:  # a prior is of no densities
        log_ratio = _mixture(model, pair.log_ratio, share)
    else:
        log_ratio = _mixture(model, pair.log_ratio + at_bins(of_kinds), share) - at_bins(of_answers)
    return replace(pair, log_ratio=log_ratio, n_present=model.by_answer(pair.n_present))
