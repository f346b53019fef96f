"""The fitted model: everything that the posterior needs, as plain arrays that fit in database rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from xcat.classifier.density import N_NODES, cells, n_cells, table_of_counts, tail_slope
from xcat.classifier.properties import FloatArray, IntArray, Property, as_table, column_to_scale

CATEGORIES = ("location", "spectrum", "multiwavelength", "variability")


@dataclass(frozen=True, eq=False)
class Model:
    """Tables, priors and weights.

    Attributes
    ----------
    classes : tuple of K str
    properties : tuple of P Property
    priors : (K,) float64
        Prior probabilities; they sum to 1.
    weights : (T,) float64
        Weight alpha of each category, zero or more.
    categories : tuple of T str
    sharpness : float
        Exponent of the weighted mean log-likelihood: 1 is the poster's formula, T plain naive Bayes.
    fitted_exponents : (P, K) float64 or None
        Exponent of every property and class, if they were fitted; without, those of the weights and the sharpness.
    fitted_offsets : (K,) float64 or None
        Added to the log of the priors, if exponents were fitted.
    low, step : (P,) float64
        First node and distance of the nodes, on the property's scale.
    log_density : (P, G, K) float64
        Natural log of the density at the nodes, per unit of the property's scale.
    tail_slope : (P,) float64
        Decrease of log_density per unit of scale beyond the ends.
    log_present, log_missing : (P, K) float64
        Natural log of the probability that the property is there, or not, in the class.
    log_peak : (P, K) float64
        Largest log_density.
    bandwidth : (P, K) float64
        On the property's scale.
    n_present : (P, K) int64
        Labelled sources of the class that have the property.
    n_reference : (K,) int64
        Labelled sources of the class.
    outlier_limit : float
        Outlier measure, in decades, above which a source is called an outlier; NaN before it is known.

    Raises
    ------
    ValueError
        When shapes, priors, weights, sharpness or categories do not fit together.
    """

    classes: tuple[str, ...]
    properties: tuple[Property, ...]
    priors: FloatArray
    weights: FloatArray
    categories: tuple[str, ...]
    sharpness: float
    low: FloatArray
    step: FloatArray
    log_density: FloatArray
    tail_slope: FloatArray
    log_present: FloatArray
    log_missing: FloatArray
    log_peak: FloatArray
    bandwidth: FloatArray
    n_present: IntArray
    n_reference: IntArray
    outlier_limit: float
    fitted_exponents: FloatArray | None = None
    fitted_offsets: FloatArray | None = None

    def __post_init__(self) -> None:
        p, k = len(self.properties), len(self.classes)
        check_priors(self.priors, k)
        check_weights(self.weights, self.categories)
        if not (np.isfinite(self.sharpness) and self.sharpness > 0):
            raise ValueError(f"sharpness must be a positive number, not {self.sharpness}")
        nodes = self.log_density.shape[1] if self.log_density.ndim == 3 else 0
        shapes = {
            "low": (p,), "step": (p,), "tail_slope": (p,), "log_density": (p, nodes, k), "n_reference": (k,),
            "log_present": (p, k), "log_missing": (p, k), "log_peak": (p, k), "bandwidth": (p, k),
            "n_present": (p, k),
        }  # fmt: skip
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} has shape {getattr(self, name).shape}, not {shape}")
        if (self.fitted_exponents is None) != (self.fitted_offsets is None):
            raise ValueError("fitted exponents and offsets come together")
        if self.fitted_exponents is not None and self.fitted_offsets is not None:
            if self.fitted_exponents.shape != (p, k) or self.fitted_offsets.shape != (k,):
                raise ValueError(f"exponents and offsets must have shape {(p, k)} and {(k,)}")
            if not (np.all(np.isfinite(self.fitted_exponents)) and np.all(self.fitted_exponents >= 0)):
                raise ValueError("exponents must be finite numbers of zero or more")
        for prop in self.properties:
            if prop.category not in self.categories:
                raise ValueError(f"property {prop.name}: no category {prop.category!r} in the model")

    @property
    def property_category(self) -> IntArray:
        """Number of the category of every property, (P,)."""
        return np.array([self.categories.index(q.category) for q in self.properties], dtype=np.int64)

    @property
    def exponents(self) -> FloatArray:
        """Exponent of the likelihood of every category, (T,): sharpness alpha_t / sum of alpha."""
        return self.sharpness * self.weights / self.weights.sum()

    @property
    def term_exponents(self) -> FloatArray:
        """Exponent of the term of every property and class, (P, K): the fitted ones, or those of the categories."""
        if self.fitted_exponents is not None:
            return self.fitted_exponents
        return np.repeat(self.exponents[self.property_category][:, None], len(self.classes), axis=1)

    @property
    def log_prior(self) -> FloatArray:
        """Where the score of every class starts, (K,): log of the priors, and the offsets if exponents were fitted."""
        log_prior = np.log(self.priors)
        return log_prior if self.fitted_offsets is None else log_prior + self.fitted_offsets


def check_priors(priors: FloatArray, n_classes: int) -> None:
    """Refuse (ValueError) priors that are not K positive numbers with the sum 1."""
    if priors.shape != (n_classes,) or not np.all(priors > 0) or abs(priors.sum() - 1.0) > 1e-6:
        raise ValueError(f"priors must be {n_classes} positive numbers, one a class, with the sum 1: {priors.tolist()}")


def check_weights(weights: FloatArray, categories: Sequence[str]) -> None:
    """Refuse (ValueError) weights that are not T finite numbers of zero or more, one of them positive."""
    good = weights.shape == (len(categories),) and np.all(np.isfinite(weights)) and np.all(weights >= 0)
    if not good or weights.sum() == 0:
        raise ValueError(
            f"weights must be {len(categories)} numbers of zero or more, not all zero, one for each of"
            f" {', '.join(categories)}: {weights.tolist()}"
        )


@dataclass(frozen=True, eq=False)
class Counts:
    """Reference sample, counted: all that tables are made of. Counts of disjoint samples may be added.

    Attributes
    ----------
    cells : (P, K, M) int64
        Values of each property and class in each cell of the range.
    n_class : (K,) int64
        Sources of each class, whether they have the property or not.
    """

    cells: IntArray
    n_class: IntArray


def count(
    values: ArrayLike,
    class_index: ArrayLike,
    properties: Sequence[Property],
    n_classes: int,
    n_nodes: int = N_NODES,
) -> Counts:
    """Count labelled sources in the cells of the tables; parameters and errors as in `fit_tables`."""
    table = as_table(values, len(properties))
    label = check_labels(class_index, table.shape[0], n_classes)
    m = n_cells(n_nodes)
    counted = np.empty((len(properties), n_classes, m), dtype=np.int64)
    for j, prop in enumerate(properties):
        x = column_to_scale(table[:, j], prop)
        there = ~np.isnan(x)
        flat = label[there] * m + cells(x[there], prop, n_nodes)
        counted[j] = np.bincount(flat, minlength=n_classes * m).reshape(n_classes, m)
    return Counts(counted, np.bincount(label, minlength=n_classes))


def check_labels(class_index: ArrayLike, n_sources: int, n_classes: int) -> IntArray:
    """Return the labels as (N,) integers; ValueError when one is no class number or their number is wrong."""
    label = np.asarray(class_index)
    if label.shape != (n_sources,) or not np.issubdtype(label.dtype, np.integer):
        raise ValueError(f"class_index must be {n_sources} class numbers, not {label.dtype} of shape {label.shape}")
    if n_sources and (label.min() < 0 or label.max() >= n_classes):
        raise ValueError(f"class_index goes from {label.min()} to {label.max()}; classes are 0 to {n_classes - 1}")
    return label.astype(np.int64)


def fit_tables(
    values: ArrayLike,
    class_index: ArrayLike,
    properties: Sequence[Property],
    classes: Sequence[str],
    priors: ArrayLike,
    weights: ArrayLike,
    *,
    categories: Sequence[str] = CATEGORIES,
    sharpness: float = 1.0,
    outlier_limit: float = float("nan"),
    n_nodes: int = N_NODES,
) -> Model:
    """Fit the tables to a labelled sample.

    Parameters
    ----------
    values : (N, P) array
        Properties on their physical scales; NaN is missing.
    class_index : (N,) integer array
        Class of every source, from 0.
    properties : sequence of P Property
    classes : sequence of K str
    priors : (K,) array
        Prior probability of each class, sum 1.
    weights : (T,) array
        Weight alpha of each category.
    categories : sequence of T str
    sharpness, outlier_limit : float
        Taken over into the model; `xcat.classifier.fit` finds them by cross-validation.
    n_nodes : int
        Nodes of every table.

    Returns
    -------
    Model

    Raises
    ------
    ValueError
        When shapes, labels, priors, weights or categories do not fit together.
    """
    counts = count(values, class_index, properties, len(classes), n_nodes)
    return model_of_counts(
        counts, properties, classes, priors, weights,
        categories=categories, sharpness=sharpness, outlier_limit=outlier_limit,
    )  # fmt: skip


def model_of_counts(
    counts: Counts,
    properties: Sequence[Property],
    classes: Sequence[str],
    priors: ArrayLike,
    weights: ArrayLike,
    *,
    categories: Sequence[str] = CATEGORIES,
    sharpness: float = 1.0,
    outlier_limit: float = float("nan"),
) -> Model:
    """Fit the tables to a counted sample; parameters and errors as in `fit_tables`."""
    tables = [[table_of_counts(c, q) for c in by_class] for q, by_class in zip(properties, counts.cells, strict=True)]
    log_density = np.array([[t.log_density for t in row] for row in tables]).transpose(0, 2, 1)
    n_present = counts.cells.sum(axis=2)
    # half a source on either side: a property that all members have may still be missing in the next one
    present = (n_present + 0.5) / (counts.n_class + 1.0)
    return Model(
        classes=tuple(classes),
        properties=tuple(properties),
        priors=np.asarray(priors, dtype=np.float64),
        weights=np.asarray(weights, dtype=np.float64),
        categories=tuple(categories),
        sharpness=float(sharpness),
        low=np.array([q.low for q in properties], dtype=np.float64),
        step=np.array([q.width for q in properties]) / (log_density.shape[1] - 1),
        log_density=np.ascontiguousarray(log_density),
        tail_slope=np.array([tail_slope(q) for q in properties]),
        log_present=np.log(present),
        log_missing=np.log1p(-present),
        log_peak=log_density.max(axis=1),
        bandwidth=np.array([[t.bandwidth for t in row] for row in tables]),
        n_present=n_present,
        n_reference=counts.n_class,
        outlier_limit=float(outlier_limit),
    )
