"""Whether the values of a user's table lie where those of the training sample do: a check of their units.

A median that lies off that range is most often one of values in another unit: proper motions in arcsec/yr taken as
mas/yr, fluxes in units of 1e-14. It is refused where the unit was assumed, and a warning where it is stated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from xcat.arrays import FloatArray
from xcat.classifier.density import Table
from xcat.classifier.model import Model
from xcat.classifier.scales import column_to_scale
from xcat.columns.properties import Property
from xcat.columns.registry import columns as meanings

#: Fewer values decide nothing.
LEAST_VALUES = 5
#: Quantiles of the training sample between which a median is expected ...
QUANTILES = (0.01, 0.99)
#: ... or beyond, by this share of their distance on the scale of the property, ...
MARGIN = 0.05
#: ... and logarithms of fluxes by as many decades: other samples are far deeper, while wrong units are factors of 1000.
MARGIN_DEX = 1.0


@dataclass(frozen=True)
class OffRange:
    """A property whose values are not where those of the training sample are.

    Parameters
    ----------
    name : str
        Property.
    median : float
        Of the user's values, in the unit of the property.
    low, high : float
        1 % and 99 % quantile of the training sample, in the same unit.
    refused : bool
        The unit of the values was assumed, so they must not be used.
    message : str
        All of it in words, with what to do.
    """

    name: str
    median: float
    low: float
    high: float
    refused: bool
    message: str


def quantiles(table: Table, probabilities: Sequence[float]) -> FloatArray:
    """Quantiles of all labelled sources that have the property, on its scale."""
    share = table.n_present / table.n_present.sum()
    density = np.exp(table.log_density) @ share  # (G,)
    nodes = table.low + table.step * np.arange(len(density))
    steps = np.concatenate([[0.0], (density[1:] + density[:-1]) / 2 * table.step])
    atoms = np.zeros(2)
    if table.log_atoms is not None:
        atoms = np.exp(table.log_atoms) @ share * table.step
    below = atoms[0] + np.cumsum(steps)
    return np.asarray(np.interp(np.asarray(probabilities) * (below[-1] + atoms[1]), below, nodes))


def off_range(
    model: Model, names: Sequence[str], values: FloatArray, assumed: Mapping[str, tuple[str, str]] | None = None
) -> list[OffRange]:
    """Properties whose median lies off the range of the training sample.

    Parameters
    ----------
    names : sequence of P str
        Properties; those that the model does not have are left out.
    values : (N, P) float64
        In the units of the properties; NaN is missing.
    assumed : mapping, optional
        Property to the quantity and the column whose unit neither the table nor the user states; others get a warning
        only.

    Returns
    -------
    list of OffRange
        In the order of `names`.
    """
    of_model = {p.name: (p, t) for p, t in zip(model.properties, model.tables, strict=True)}
    found = []
    for name, column in zip(names, values.T, strict=True):
        if name not in of_model:
            continue
        prop, table = of_model[name]
        scaled = column_to_scale(column, prop)
        scaled = scaled[np.isfinite(scaled)]
        if len(scaled) < LEAST_VALUES or not table.n_present.sum():
            continue
        low, high = quantiles(table, QUANTILES)
        middle, margin = float(np.median(scaled)), MARGIN * (high - low)
        if name.startswith("log_"):
            margin = max(margin, MARGIN_DEX)
        if low - margin <= middle <= high + margin:
            continue
        median, low, high = (_from_scale(x, prop) for x in (middle, low, high))
        message = _message(name, len(scaled), median, low, high, (assumed or {}).get(name))
        found.append(OffRange(name, median, low, high, name in (assumed or {}), message))
    return found


def _from_scale(value: float, prop: Property) -> float:
    if prop.scale == "log10":
        return float(10.0**value)
    return float(np.sinh(value)) if prop.scale == "asinh" else value


def _message(name: str, n: int, median: float, low: float, high: float, assumed: tuple[str, str] | None) -> str:
    unit = meanings()[name].unit
    of_unit = f" {unit}" if unit else ""
    text = (
        f"{name}: the median of {n:,} values is {median:.3g}{of_unit}, but 98 % of the training sample lie between "
        f"{low:.3g} and {high:.3g}{of_unit}"
    )
    if assumed is None:
        return f"WARNING: {text}: are the values in the unit that the table states?"
    quantity, column = assumed
    taken = meanings()[quantity].unit if quantity in meanings() else unit
    return (
        f"{text}. Column '{column}' has no unit and was taken to be in {taken}. Say its unit, "
        f"--column '{quantity}={column}@UNIT' (if it is this one: '{quantity}={column}@{taken}'), or go without it, "
        f"--column {quantity}="
    )
