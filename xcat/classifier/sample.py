"""Sources for the classifier: properties, their errors and limits, and counterpart hypotheses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xcat.arrays import BoolArray, FloatArray, IntArray
from xcat.classifier.scales import as_table, column_to_scale
from xcat.columns.properties import Property, absence_of, column_of

NOT_OBSERVED = np.inf
"""Value of a property that was not observed; NaN: observed, but missing."""


LARGE_SHIFT = 0.7
"""A hardness ratio that gas has changed by more, a factor of four in the ratio of the bands, does not show any longer
what it was: it is compared with what the gas makes of the distribution before it."""
INSIDE = 1.0 - 1e-12
"""Largest place between two walls, from -1 to 1: a value that lies between them is not shifted onto one."""
MOST_COUNTS = 1e6
"""Of a hardness ratio: with more its error is nothing beside the width of a table."""
SCATTER = 0.4
"""Uncertainty of the column of the Galaxy as a share of itself: its maps have cells of a degree, and dust is patchy."""


@dataclass(frozen=True, eq=False)
class Hypotheses:
    """Possible counterparts of each source, and the properties that depend on them.

    Attributes
    ----------
    start : (N + 1,) int64
        Hypotheses of source n are rows start[n] to start[n + 1]; a source without hypotheses keeps its values.
    p : (R,) float64
        Probability of each; the sum for each source is 1.
    columns : (C,) int64
        Numbers of the properties that need a counterpart.
    values : (R, C) array
        On the physical scales.
    """

    start: IntArray
    p: FloatArray
    columns: IntArray
    values: NDArray[np.floating]

    @property
    def source(self) -> IntArray:
        """Number of the source of every hypothesis, (R,)."""
        return np.repeat(np.arange(self.start.size - 1), np.diff(self.start))

    @classmethod
    def of(cls, source: ArrayLike, p: ArrayLike, columns: ArrayLike, values: ArrayLike, n_sources: int) -> Hypotheses:
        """Make hypotheses of rows sorted by source; probabilities are normalised to the sum 1 for each source.

        Raises
        ------
        ValueError
            When the sources are not sorted or out of range, a probability is not positive, or shapes differ.
        """
        owner, weight = np.asarray(source, dtype=np.int64), np.asarray(p, dtype=np.float64)
        column, table = np.asarray(columns, dtype=np.int64), np.asarray(values)
        if owner.shape != weight.shape or table.shape != (owner.size, column.size):
            raise ValueError(f"hypotheses have shapes {owner.shape}, {weight.shape} and {table.shape}")
        if owner.size and (np.any(np.diff(owner) < 0) or owner[0] < 0 or owner[-1] >= n_sources):
            raise ValueError(f"hypotheses must be sorted by source, with source numbers from 0 to {n_sources - 1}")
        if not np.all(weight > 0):
            raise ValueError("the probability of a hypothesis must be positive")
        total = np.bincount(owner, weight, n_sources)
        start = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=n_sources))])
        return cls(start.astype(np.int64), weight / total[owner], column, table)


@dataclass(frozen=True, eq=False)
class Column:
    """One property of N sources on its scale.

    Attributes
    ----------
    x : (N,) float64
        NaN: missing, +inf: not observed.
    error, limit : (N,) array or None
    log_jacobian : (N,) float64 or None
        Natural log of the derivative of `x` with respect to the observed value, for densities; None: 0.
    """

    x: FloatArray
    error: NDArray[np.floating] | None
    limit: NDArray[np.floating] | None
    log_jacobian: FloatArray | None = None

    def shifted(self, shift: NDArray[np.floating], prop: Property) -> Column:
        """Values before what has shifted them by minus `shift`, (N,); its uncertainty adds to the error.

        A value on a wall, or beyond, stays: no finite shift brings anything there.
        """
        by = np.asarray(shift, dtype=np.float64)
        limit = None if self.limit is None else self.limit + by
        error = np.zeros(by.size) if self.error is None else np.nan_to_num(np.asarray(self.error, dtype=np.float64))
        if not (prop.bounded_low and prop.bounded_high):
            return Column(self.x + by, np.hypot(error, SCATTER * by), limit)
        x, log_jacobian = between_walls(self.x, by, prop)
        with np.errstate(invalid="ignore"):  # what was not observed is infinite
            error = np.minimum(np.hypot(error * np.exp(log_jacobian), SCATTER * (x - self.x)), prop.width / 2.0)
        return Column(x, np.where(np.isfinite(error), error, 0.0), limit, log_jacobian)


def between_walls(x: FloatArray, by: FloatArray, prop: Property) -> tuple[FloatArray, FloatArray]:
    """Values shifted on the inverse hyperbolic tangent of their place between two walls, and the log of the derivative.

    tanh(artanh(z) + by) = (z + t) / (1 + z t) with t = tanh(by), whose derivative is (1 - t^2) / (1 + z t)^2.
    """
    middle, half = (prop.low + prop.high) / 2.0, prop.width / 2.0
    with np.errstate(invalid="ignore"):
        inside = np.abs(x - middle) < half
        z, t = np.where(inside, (x - middle) / half, 0.0), np.tanh(by)
        moved = middle + half * np.clip((z + t) / (1.0 + z * t), -INSIDE, INSIDE)
    # 1 - t^2 is 1 / cosh^2, which keeps its digits
    log_jacobian = -2.0 * np.log(np.cosh(by) * (1.0 + z * t))
    return np.where(inside, moved, x), np.where(inside, log_jacobian, 0.0)


def _absorbed(
    x: FloatArray, error: FloatArray | None, by: FloatArray, prop: Property, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray | None]:
    """Ratios between two walls that gas shifts, with counts drawn where there are errors, and their errors."""
    moved, log_jacobian = between_walls(x, by, prop)
    if error is None:
        return moved, None
    middle, half = (prop.low + prop.high) / 2.0, prop.width / 2.0
    z, expected = (x - middle) / half, (moved - middle) / half
    with np.errstate(invalid="ignore", divide="ignore"):
        counts = (1.0 - z**2) / (error / half) ** 2
        upper = counts * (1.0 + z) / 2.0
        lower = upper * (1.0 - expected) / (1.0 + expected)
        drawn = (np.abs(z) < 1.0) & (counts < MOST_COUNTS) & (lower < MOST_COUNTS)
        remaining = rng.poisson(np.where(drawn, lower, 0.0))
        total = upper + remaining
        seen = (upper - remaining) / total
        # one count is the least that a band can have in an error
        made = np.sqrt(np.maximum(1.0 - seen**2, 1.0 / total) / total)
    return (
        np.where(drawn, middle + half * seen, moved),
        np.where(drawn, np.minimum(half * made, half), error * np.exp(log_jacobian)),
    )


@dataclass(frozen=True, eq=False)
class Sample:
    """N sources with P properties.

    Attributes
    ----------
    properties : tuple of P Property
    values : (N, P) array
        On the physical scales, with the accepted counterpart; NaN: missing, +inf: not observed.
    errors : (N, P) array or None
        One sigma, on the scale of the property (of log10 for "log10"); NaN or 0: exact.
    limits : (N, P) array or None
        Lower limits of missing values, on the scale of the property; NaN: no limit. If a property has limits, every
        observed source should have one, also beside a value.
    shift : (N, P) array or None
        What is added to a value on its scale to have it before the gas and dust of the whole Galaxy, if the object lies
        behind it; of a property with a wall at both ends, to the inverse hyperbolic tangent of its place between them.
    hypotheses : Hypotheses or None
        None: the accepted counterpart is taken as certain.

    Raises
    ------
    ValueError
        When a shape is wrong.
    """

    properties: tuple[Property, ...]
    values: NDArray[np.floating]
    errors: NDArray[np.floating] | None = None
    limits: NDArray[np.floating] | None = None
    hypotheses: Hypotheses | None = None
    shift: NDArray[np.floating] | None = None

    def __post_init__(self) -> None:
        for name in ("values", "errors", "limits", "shift"):
            given = getattr(self, name)
            if given is not None:
                object.__setattr__(self, name, as_table(given, len(self.properties)))
                if given.shape[0] != self.values.shape[0]:
                    raise ValueError(f"{name} of {given.shape[0]} sources, values of {self.values.shape[0]}")
        if self.hypotheses is not None and self.hypotheses.start.size != len(self) + 1:
            raise ValueError(f"hypotheses of {self.hypotheses.start.size - 1} sources, values of {len(self)}")

    def __len__(self) -> int:
        return int(self.values.shape[0])

    def take(self, index: ArrayLike) -> Sample:
        """Sources chosen by number or mask, with their hypotheses."""
        chosen = np.arange(len(self))[np.asarray(index)]
        hypotheses = self.hypotheses
        if hypotheses is not None:
            size = np.diff(hypotheses.start)[chosen]
            start = np.concatenate([[0], np.cumsum(size)])
            rows = np.repeat(hypotheses.start[chosen] - start[:-1], size) + np.arange(start[-1])
            hypotheses = Hypotheses(start, hypotheses.p[rows], hypotheses.columns, hypotheses.values[rows])
        return self._indexed(chosen, self.properties, hypotheses)

    def select(self, names: Sequence[str]) -> Sample:
        """All sources with the named properties, in this order."""
        position = {p.name: j for j, p in enumerate(self.properties)}
        kept = [position[name] for name in names]
        hypotheses = self.hypotheses
        if hypotheses is not None:
            old_column = {int(c): i for i, c in enumerate(hypotheses.columns)}
            columns = np.array([new for new, old in enumerate(kept) if old in old_column], dtype=np.int64)
            values = hypotheses.values[:, [old_column[kept[new]] for new in columns]]
            hypotheses = Hypotheses(hypotheses.start, hypotheses.p, columns, values)
        return self._indexed((slice(None), kept), tuple(self.properties[j] for j in kept), hypotheses)

    def best_match(self) -> Sample:
        """The same sources with the accepted counterpart taken as certain."""
        return replace(self, hypotheses=None)

    def rows(self) -> tuple[Sample, FloatArray, IntArray]:
        """Every hypothesis as a separate row.

        Returns
        -------
        Sample
            R rows: one per hypothesis, and one per source without hypotheses.
        weight : (R,) float64
            Probability of the row.
        source : (R,) int64
            Number of the row's source, sorted.
        """
        if self.hypotheses is None:
            return self, np.ones(len(self)), np.arange(len(self))
        size = np.diff(self.hypotheses.start)
        source = np.repeat(np.arange(len(self)), np.maximum(size, 1))
        is_hypothesis = np.repeat(size > 0, np.maximum(size, 1))
        weight = np.ones(source.size)
        weight[is_hypothesis] = self.hypotheses.p
        rows = self._indexed(source, self.properties, None)
        rows.values[np.ix_(is_hypothesis, self.hypotheses.columns)] = self.hypotheses.values
        return rows, weight, source

    def scaled(self, j: int) -> FloatArray:
        """Values of property number j on its scale, (N,)."""
        return column_to_scale(self.values[:, j], self.properties[j])

    def column(self, j: int, limits_before_galaxy: bool = False) -> Column:
        """Property number j on its scale as it is observed, with errors and limits, or limits before the Galaxy."""
        error, limit = (None if of is None else of[:, j] for of in (self.errors, self.limits))
        if limits_before_galaxy and limit is not None and self.shift is not None:
            limit = limit + self.shift[:, j]
        return Column(self.scaled(j), error, limit)

    def column_before(self, j: int) -> Column:
        """The same before the gas and dust of the whole Galaxy; see `Column.shifted`."""
        column = self.column(j)
        return column if self.shift is None else column.shifted(self.shift[:, j], self.properties[j])

    def column_to_count(self, j: int, behind: BoolArray | None) -> Column:
        """The same with the values before the Galaxy of the sources `behind` it, where these can be known."""
        column = self.column(j)
        if behind is None or self.shift is None or not self.is_shifted(j):
            return column
        by, prop, before = self.shift[:, j], self.properties[j], self.column_before(j)
        x = before.x
        if prop.bounded_low and prop.bounded_high:
            on_wall = (x == prop.low) | (x == prop.high)
            x = np.where((np.abs(by) >= LARGE_SHIFT) | (on_wall & (by != 0.0)), NOT_OBSERVED, x)
        limit = None if column.limit is None or before.limit is None else np.where(behind, before.limit, column.limit)
        return Column(np.where(behind, x, column.x), None, limit)

    def seen_through(self, shift: NDArray[np.floating], rng: np.random.Generator) -> Sample:
        """The same objects as they would be observed through other gas and dust, with the accepted counterparts.

        Parameters
        ----------
        shift : (N, P) array
            `Sample.shift` for that gas and dust; where it is that of the sample, nothing changes.
        rng : numpy.random.Generator
            Draws the counts of hardness ratios.

        Notes
        -----
        Fluxes stay: what is observed is as bright, and the object brighter. Flux ratios are moved. A counterpart that
        is fainter then than the limit, or without limits than any other, is not seen, nor is what needs it. Of a
        hardness ratio x with the error s the gas takes counts in the lower band; those in the upper one remain. There
        are (1 - x^2) / s^2 of both, and what remains in the lower one is drawn.
        """
        if self.shift is None:
            return self
        values, limits = self.values.astype(np.float64), self.limits
        errors = None if self.errors is None else self.errors.astype(np.float64)
        names = [p.name for p in self.properties]
        unseen = np.zeros(values.shape, dtype=bool)
        for j, prop in enumerate(self.properties):
            by = self.shift[:, j].astype(np.float64) - shift[:, j]
            moved = np.flatnonzero(by)
            x, error = values[moved, j], None if errors is None else errors[moved, j]
            if prop.bounded_low and prop.bounded_high:
                values[moved, j], made = _absorbed(x, error, by[moved], prop, rng)
                if errors is not None:
                    errors[moved, j] = made
            elif column_of(prop.name, "limit") is not None and np.isfinite(values[:, j]).any():
                faintest = np.nanmax(np.where(np.isfinite(values[:, j]), values[:, j], np.nan))
                limit = np.full(moved.size, faintest) if limits is None else limits[moved, j]
                with np.errstate(invalid="ignore"):
                    unseen[moved, j] = np.isfinite(x) & (x + by[moved] > limit)
                values[moved, j] = np.where(unseen[moved, j], np.nan, x + by[moved])
        nothing = np.nan if limits is None else NOT_OBSERVED
        for j, name in enumerate(names):
            ratios = [names.index(ratio) for ratio in absence_of(name) if ratio in names]
            values[unseen[:, ratios].any(axis=1), j] = nothing
        return Sample(self.properties, values, errors, limits, None, shift)

    def is_shifted(self, j: int) -> bool:
        """Whether the Galaxy changes property number j of any source."""
        return self.shift is not None and bool(np.any(self.shift[:, j] != 0.0))

    def _indexed(self, index: Any, properties: tuple[Property, ...], hypotheses: Hypotheses | None) -> Sample:
        others = (None if of is None else of[index] for of in (self.errors, self.limits, self.shift))
        errors, limits, shift = others
        return Sample(properties, self.values[index], errors, limits, hypotheses, shift)
