"""The fitted model: all that the posterior needs, as plain arrays that fit in database rows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from xcat.arrays import BoolArray, FloatArray, IntArray
from xcat.classifier.bootstrap import Replicates
from xcat.classifier.density import ALL_RUNGS, N_SLOTS, Counts, Table, counts_of_slots, slots, tables_of_counts
from xcat.classifier.pairs import N_BINS, PairTable, pair_bins, pair_table
from xcat.classifier.sample import Sample
from xcat.columns.properties import Property

CATEGORIES = ("location", "spectrum", "multiwavelength", "variability")
OUTLIER_P = np.concatenate([np.linspace(1.0, 0.02, 99), [0.01, 0.005, 0.002, 0.001]])
"""Tail probabilities at which the outlier levels of a model are given."""
HOW_FITTED = ("sharpness", "smoothing", "inverse_ridge", "category_share")
"""Attributes of a model: the numbers that say how its tables and weights were fitted."""
LEAST_WITH_ERROR = 0.01
"""A property gets the ladder of blurred tables when more than this share of its values has an error."""


@dataclass(frozen=True, eq=False)
class Model:
    """Tables, priors and weights.

    A class may have several kinds, each with tables and weights of its own: X-ray binaries with a massive companion and
    with a light one have little in common. What is called a class below is then a kind; the probability of a class is
    the sum of those of its kinds (mixture discriminant analysis, Hastie & Tibshirani 1996, J. R. Statist. Soc. B 58,
    155, with kinds that are known).

    The log score of class c is log_prior[c] + offsets[c] + the sum over terms t and classes k of mixing[t, c, k] times
    the advantage of class k in term t: its log-likelihood minus the mean over the classes. Terms are the properties,
    followed by the pairs.

    Attributes
    ----------
    classes : tuple of K str
    properties : tuple of P Property
    categories : tuple of T str
    priors : (K,) float64
        Prior probabilities; they sum to 1.
    offsets : (K,) float64
        Added to the log of the priors.
    weighting : str
        How the mixing was determined: "equal", "given", "category" or "property".
    weights : (T,) float64
        Weight alpha of each category, zero or more; all 1 for weights fitted property by property.
    sharpness : float
        Exponent of the weighted mean log-likelihood: 1 is the poster's formula, T plain naive Bayes.
    mixing : (P + Q, K, K) float64
    tables : tuple of P Table
    pairs : tuple of Q PairTable
    smoothing : float
        Factor on the bandwidths.
    n_reference : (K,) float64
        Labelled sources of each class.
    outlier_p : (L,) float64
        Tail probabilities, decreasing.
    outlier_levels : (K, L) float64
        Outlier measure, in decades, that the members of the class exceed with these probabilities; NaN before it is
        measured.
    inverse_ridge, category_share : float or None
        Strength C of the ridge that the mixing was fitted with, and share of the weights of the categories in it; None
        without.
    replicates : Replicates or None
        What refits to the reweighted sample change; None if the errors of the probabilities are not wanted.
    behind : (K,) bool or None
        Classes whose members lie behind the whole Galaxy: their tables are of values before its gas and dust. None: a
        model of before, all of whose tables are of values as they are observed, and which counts every missing value.
    best_levels : (L,) float64 or None
        Largest probability that these shares of the reference sample, out of fold, do not exceed.
    part_of : tuple of K str or None
        Class that each of the `classes` is a kind of; None: each is a class.
    limits_before_galaxy : bool
        Whether limits of flux ratios are looked up before the gas and dust of the Galaxy in all classes: an object that
        is not seen may be behind any part of it. False: a model of before, in which this holds of classes `behind` it.

    Raises
    ------
    ValueError
        When shapes, priors, weights, sharpness or categories do not fit together.
    """

    classes: tuple[str, ...]
    properties: tuple[Property, ...]
    categories: tuple[str, ...]
    priors: FloatArray
    offsets: FloatArray
    weighting: str
    weights: FloatArray
    sharpness: float
    mixing: FloatArray
    tables: tuple[Table, ...]
    pairs: tuple[PairTable, ...]
    smoothing: float
    n_reference: FloatArray
    outlier_p: FloatArray
    outlier_levels: FloatArray
    inverse_ridge: float | None = None
    category_share: float | None = None
    replicates: Replicates | None = None
    behind: BoolArray | None = None
    best_levels: FloatArray | None = None
    part_of: tuple[str, ...] | None = None
    limits_before_galaxy: bool = False

    def __post_init__(self) -> None:
        p, k = len(self.properties), len(self.classes)
        if self.part_of is not None and len(self.part_of) != k:
            raise ValueError(f"part_of must name the class of each of {k} kinds: {', '.join(self.part_of)}")
        check_priors(self.priors, k)
        check_weights(self.weights, self.categories)
        if not (np.isfinite(self.sharpness) and self.sharpness > 0):
            raise ValueError(f"sharpness must be a positive number, not {self.sharpness}")
        n_terms, n_levels = p + len(self.pairs), self.outlier_p.size
        shapes = {"offsets": (k,), "mixing": (n_terms, k, k), "n_reference": (k,), "outlier_levels": (k, n_levels)}
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} has shape {getattr(self, name).shape}, not {shape}")
        if not (np.all(np.isfinite(self.mixing)) and np.all(np.isfinite(self.offsets))):
            raise ValueError("mixing and offsets must be finite numbers")
        if len(self.tables) != p or any(t.log_density.shape[1:] != (k,) for t in self.tables):
            raise ValueError(f"tables must be {p}, of {k} classes each")
        for name, category in zip(self.term_names, self.term_categories, strict=True):
            if category not in self.categories:
                raise ValueError(f"{name}: no category {category!r} in the model")

    @property
    def answers(self) -> tuple[str, ...]:
        """The A classes that have probabilities: the classes, or those that they are kinds of."""
        return tuple(dict.fromkeys(self.part_of or self.classes))

    @property
    def answer_index(self) -> IntArray:
        """Number of the answer that each of the classes belongs to, (K,)."""
        answers = self.answers
        return np.array([answers.index(name) for name in self.part_of or self.classes], dtype=np.int64)

    @property
    def answer_priors(self) -> FloatArray:
        """Prior probabilities of the answers, (A,)."""
        return self.by_answer(self.priors)

    def by_answer(self, of_classes: FloatArray) -> FloatArray:
        """Sums over the kinds of every answer, (..., A), of what the classes have, (..., K)."""
        if self.part_of is None:
            return of_classes
        index = self.answer_index
        columns = [of_classes[..., index == a].sum(axis=-1) for a in range(len(self.answers))]
        # those of an answer follow each other in memory, as those of a class do
        return np.moveaxis(np.stack(columns), 0, -1)

    def with_answer_priors(self, priors: FloatArray) -> Model:
        """The model with other priors of the answers, (A,); the kinds of each keep their shares."""
        return replace(self, priors=self.priors * (priors / self.answer_priors)[self.answer_index])

    @property
    def term_names(self) -> tuple[str, ...]:
        """Names of the properties, followed by those of the pairs."""
        return (*(p.name for p in self.properties), *(p.name for p in self.pairs))

    @property
    def term_categories(self) -> tuple[str, ...]:
        """Category of every term."""
        return (*(p.category for p in self.properties), *(p.category for p in self.pairs))

    @property
    def category_index(self) -> IntArray:
        """Number of the category of every term, (P + Q,)."""
        return np.array([self.categories.index(c) for c in self.term_categories], dtype=np.int64)

    @property
    def pair_columns(self) -> IntArray:
        """Numbers of the two properties of every pair, (Q, 2)."""
        names = self.term_names
        columns = [[names.index(axis) for axis in pair.axes] for pair in self.pairs]
        return np.array(columns, dtype=np.int64).reshape(len(self.pairs), 2)

    @property
    def log_prior(self) -> FloatArray:
        """Score of every class without any term, (K,)."""
        return np.log(self.priors) + self.offsets

    @property
    def excluded_properties(self) -> tuple[str, ...]:
        """Properties whose own term has no weight at all."""
        return tuple(p.name for p, weights in zip(self.properties, self.mixing, strict=False) if not weights.any())

    @property
    def has_sky_prior(self) -> bool:
        """Whether the last pair is a prior that depends on two properties; see `xcat.classifier.priors.sky_prior`."""
        if not self.pairs or not np.array_equal(self.mixing[-1], np.eye(len(self.classes))):
            return False
        return set(self.pairs[-1].axes) <= set(self.excluded_properties)

    def select(self, names: Collection[str]) -> Model:
        """Keep the terms of some properties, with their tables and weights.

        The weights were fitted with all terms present, so they do not suit the fewer ones: they are to be fitted again.
        """
        kept = [p.name in names for p in self.properties]
        kept += [set(pair.axes) <= set(names) for pair in self.pairs]
        n = len(self.properties)
        return replace(
            self,
            properties=tuple(compress(self.properties, kept)),
            tables=tuple(compress(self.tables, kept)),
            pairs=tuple(compress(self.pairs, kept[n:])),
            mixing=self.mixing[np.array(kept, dtype=bool)],
            replicates=None if self.replicates is None else self.replicates.select(kept),
        )


_BEHIND = ("agn", "qso", "quasar", "blazar", "bllac", "seyfert", "galaxy", "cluster", "tde", "ulx")


def is_behind_galaxy(name: str) -> bool:
    """Whether a class is called like one whose members lie behind the whole Galaxy: AGN, QSO, TDE, AGN_nearby ..."""
    plain = name.lower().replace(" ", "").replace("-", "_")
    return plain.endswith("_nearby") or plain in _BEHIND


def category_mixing(weights: FloatArray, sharpness: float, category_index: IntArray, n_classes: int) -> FloatArray:
    """Mixing of the poster's formula, (terms, K, K): diagonal, with the exponent of the term's category."""
    exponents = sharpness * weights / weights.sum()
    return np.asarray(exponents[category_index][:, None, None] * np.eye(n_classes))


def check_priors(priors: FloatArray, n_classes: int) -> None:
    """Refuse (ValueError) priors that are not K positive numbers with the sum 1."""
    if priors.shape != (n_classes,) or not np.all(priors > 0) or abs(priors.sum() - 1.0) > 1e-6:
        raise ValueError(
            f"priors must be {n_classes} positive numbers, one per class, with the sum 1: {priors.tolist()}"
        )


def check_weights(weights: FloatArray, categories: Sequence[str]) -> None:
    """Refuse (ValueError) weights that are not T finite numbers of zero or more, one of them positive."""
    good = weights.shape == (len(categories),) and np.all(np.isfinite(weights)) and np.all(weights >= 0)
    if not good or weights.sum() == 0:
        raise ValueError(
            f"weights must be {len(categories)} numbers of zero or more, not all zero, one for each of"
            f" {', '.join(categories)}: {weights.tolist()}"
        )


def check_labels(class_index: ArrayLike, n_sources: int, n_classes: int) -> IntArray:
    """Labels as (N,) int64; ValueError when one is not a class number or their number is wrong."""
    label = np.asarray(class_index)
    if label.shape != (n_sources,) or not np.issubdtype(label.dtype, np.integer):
        raise ValueError(f"class_index must be {n_sources} class numbers, not {label.dtype} of shape {label.shape}")
    if n_sources and (label.min() < 0 or label.max() >= n_classes):
        raise ValueError(f"class_index goes from {label.min()} to {label.max()}; classes are 0 to {n_classes - 1}")
    return label.astype(np.int64)


@dataclass(frozen=True, eq=False)
class SampleCounts:
    """A reference sample, counted: all that tables are made of. Counts of disjoint samples may be added."""

    singles: tuple[Counts, ...]  # P
    pairs: tuple[FloatArray, ...]  # Q of (K, G, G)
    n_class: FloatArray  # (K,)

    def __add__(self, other: SampleCounts) -> SampleCounts:
        singles = tuple(a + b for a, b in zip(self.singles, other.singles, strict=True))
        pairs = tuple(a + b for a, b in zip(self.pairs, other.pairs, strict=True))
        return SampleCounts(singles, pairs, self.n_class + other.n_class)


class Cells:
    """Where the tables count a labelled sample: found once, for every part of it and every weighting of its sources.

    Every hypothesis counts with its probability. Members of the classes that are `behind` the Galaxy, (K,), count with
    their values before it. A hardness ratio that gas has changed a lot, or that lies on a wall behind it, does not
    count: what it was is not known.

    Raises
    ------
    ValueError
        A label is not a class number, or their number is wrong; a pair names a property that the sample does not have.
    """

    def __init__(
        self,
        sample: Sample,
        class_index: ArrayLike,
        n_classes: int,
        pairs: Sequence[tuple[str, str]] = (),
        behind: BoolArray | None = None,
    ) -> None:
        self.n_classes, self.behind = n_classes, behind
        self.label = check_labels(class_index, len(sample), n_classes)
        rows, self.row_weight, self.source = sample.rows()
        chosen = None if behind is None or not behind.any() else behind[self.label][self.source]
        columns = [rows.column_to_count(j, chosen) for j in range(len(rows.properties))]
        scaled = [column.x for column in columns]
        position = {p.name: j for j, p in enumerate(sample.properties)}
        unknown = sorted({name for pair in pairs for name in pair} - set(position))
        if unknown:
            raise ValueError(f"a pair names properties that are not used: {', '.join(unknown)}")
        self.singles = [slots(c.x, prop, c.limit) for c, prop in zip(columns, rows.properties, strict=True)]
        axes = [(position[a], position[b]) for a, b in pairs]
        self.pairs = [pair_bins(scaled[i], scaled[j], (sample.properties[i], sample.properties[j])) for i, j in axes]

    def count(
        self, part: IntArray | None = None, n_parts: int = 1, source_weight: FloatArray | None = None
    ) -> list[SampleCounts]:
        """Count every part of the sample.

        Parameters
        ----------
        part : (N,) int64, optional
            Part of each source, from 0; all are in one part by default.
        source_weight : (N,) float64, optional
            1 by default.
        """
        k = self.n_classes
        group = self.label if part is None else part * k + self.label
        of_source = np.ones(self.label.size) if source_weight is None else source_weight
        row_group, weight = group[self.source], self.row_weight * of_source[self.source]

        def counted(place: IntArray, n_places: int) -> FloatArray:
            flat = np.bincount(row_group * n_places + place, weight, n_parts * k * n_places)
            return np.asarray(flat.reshape(n_parts, k, n_places), dtype=np.float64)

        singles = [counted(slot, N_SLOTS) for slot in self.singles]
        pairs = [counted(at, N_BINS**2 + 1)[:, :, :-1].reshape(n_parts, k, N_BINS, N_BINS) for at in self.pairs]
        n_class = np.bincount(group, of_source, n_parts * k).reshape(n_parts, k)
        return [
            SampleCounts(tuple(counts_of_slots(s[i]) for s in singles), tuple(p[i] for p in pairs), n_class[i])
            for i in range(n_parts)
        ]


def typical_errors(sample: Sample) -> tuple[float | None, ...]:
    """Median error of every property, on its scale; None for a property without errors."""
    medians: list[float | None] = []
    for j in range(len(sample.properties)):
        present = np.isfinite(sample.values[:, j])
        errors = np.zeros(0) if sample.errors is None else np.nan_to_num(sample.errors[present, j])
        positive = errors[errors > 0]
        enough = positive.size > LEAST_WITH_ERROR * max(int(present.sum()), 1)
        medians.append(float(np.median(positive)) if enough else None)
    return tuple(medians)


def models_of_counts(
    parts: Sequence[SampleCounts],
    properties: Sequence[Property],
    classes: Sequence[str],
    priors: ArrayLike,
    *,
    pairs: Sequence[tuple[str, str]] = (),
    errors: Sequence[float | None] | None = None,
    smoothing: float = 1.0,
    bandwidths: Sequence[Sequence[FloatArray]] | None = None,
    factors: Sequence[FloatArray] | None = None,
    rungs: Sequence[IntArray] | None = None,
    weights: ArrayLike | None = None,
    sharpness: float = 1.0,
    behind: BoolArray | None = None,
) -> list[Model]:
    """Make the tables of counted samples, weighted by the poster's formula.

    Parameters
    ----------
    priors : (K,) array
        Prior probability of each class, sum 1.
    pairs : sequence of Q (str, str)
        As passed to `Cells`.
    errors : sequence of P (float or None), optional
        See `typical_errors`.
    bandwidths : sequence of sequences of P (K,) float64, optional
        Of each sample: bandwidths without smoothing, if already determined, NaN where not: estimating them takes long.
    factors : sequence of P (K,) float64, optional
        Multiply the smoothing; see `xcat.classifier.density.bandwidth_factors`.
    rungs : sequence of P arrays of int64, optional
        Levels of errors that will be looked up, of each property; all by default. See `tables_of_counts`.
    weights : (T,) array, optional
        Weight alpha of each of `CATEGORIES`; equal by default.
    behind : (K,) bool array, optional
        As passed to `count`.

    Raises
    ------
    ValueError
        When priors, weights or categories do not fit together.
    """
    nothing = [None] * len(properties)
    ones = [np.ones(len(classes))] * len(properties)
    smoothings = [smoothing * factor for factor in factors or ones]
    of_property = [
        tables_of_counts(
            [c.singles[j] for c in parts], p, s, e, None if bandwidths is None else [h[j] for h in bandwidths], r
        )
        for j, (p, s, e, r) in enumerate(
            zip(properties, smoothings, errors or nothing, rungs or [ALL_RUNGS] * len(properties), strict=True)
        )
    ]
    alpha = np.ones(len(CATEGORIES)) if weights is None else np.asarray(weights, dtype=np.float64)
    check_weights(alpha, CATEGORIES)
    unknown = sorted({p.category for p in properties} - set(CATEGORIES))
    if unknown:
        raise ValueError(f"no category {', '.join(unknown)} in the model")
    position = {p.name: j for j, p in enumerate(properties)}
    axes = [[position[name] for name in pair] for pair in pairs]
    names = [*(p.category for p in properties), *(properties[i].category for i, _ in axes)]
    of_term = np.array([CATEGORIES.index(name) for name in names], dtype=np.int64)
    models = []
    for counts, *tables in zip(parts, *of_property, strict=True):
        pair_tables = [
            pair_table(
                counted,
                (properties[i], properties[j]),
                np.stack([tables[i].bandwidth, tables[j].bandwidth]),
                properties[i].category,
            )
            for (i, j), counted in zip(axes, counts.pairs, strict=True)
        ]
        model = Model(
            classes=tuple(classes),
            properties=tuple(properties),
            categories=CATEGORIES,
            priors=np.asarray(priors, dtype=np.float64),
            offsets=np.zeros(len(classes)),
            weighting="equal" if weights is None else "given",
            weights=alpha,
            sharpness=float(sharpness),
            mixing=category_mixing(alpha, sharpness, of_term, len(classes)),
            tables=tuple(tables),
            pairs=tuple(pair_tables),
            smoothing=smoothing,
            n_reference=counts.n_class,
            outlier_p=OUTLIER_P,
            outlier_levels=np.full((len(classes), OUTLIER_P.size), np.nan),
            behind=behind,
            limits_before_galaxy=True,
        )
        models.append(model)
    return models


def fit_tables(
    sample: Sample,
    class_index: ArrayLike,
    classes: Sequence[str],
    priors: ArrayLike,
    *,
    pairs: Sequence[tuple[str, str]] = (),
    behind: BoolArray | None = None,
    **options: Any,
) -> Model:
    """Count a labelled sample and make its tables; options and errors as in `Cells` and `models_of_counts`."""
    counted, errors = Cells(sample, class_index, len(classes), pairs, behind).count(), typical_errors(sample)
    options |= {"pairs": pairs, "errors": errors, "behind": behind}
    return models_of_counts(counted, sample.properties, classes, priors, **options)[0]
