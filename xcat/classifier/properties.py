"""What the classifier has to know of a property: its category, its scale, its range and its walls."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Property:
    """One property of a source, as the tables see it.

    Attributes
    ----------
    name, category : str
    scale : {"linear", "log10", "asinh"}
        The tables are made on this scale of the value.
    low, high : float
        Ends of the table, on that scale (log10 of the unit for "log10"). A value outside is allowed.
    bounded_low, bounded_high : bool
        The end is a wall that no value can cross; the kernel density is reflected there, and values that lie on the
        wall itself (a hardness ratio without counts in one band) are counted apart, as a point mass.

    Raises
    ------
    ValueError
        When the scale is unknown or the range is empty or not finite.
    """

    name: str
    category: str
    scale: Literal["linear", "log10", "asinh"]
    low: float
    high: float
    bounded_low: bool
    bounded_high: bool

    def __post_init__(self) -> None:
        if self.scale not in ("linear", "log10", "asinh"):
            raise ValueError(f"property {self.name}: scale is linear, log10 or asinh, not {self.scale!r}")
        if not (np.isfinite(self.low) and np.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"property {self.name}: range [{self.low}, {self.high}] is empty or not finite")

    @property
    def width(self) -> float:
        """Length of the table, on the property's scale."""
        return self.high - self.low


def column_to_scale(column: ArrayLike, prop: Property) -> FloatArray:
    """Bring the values of one property to its scale; see `to_scale`."""
    x = np.asarray(column, dtype=np.float64)
    if prop.scale == "linear":
        return x
    if prop.scale == "asinh":
        return np.arcsinh(x)
    # A flux or a motion of zero or less has no logarithm: it is missing, not minus infinity.
    return np.log10(x, out=np.full(x.shape, np.nan), where=x > 0)


def to_scale(values: ArrayLike, properties: Sequence[Property]) -> FloatArray:
    """Bring physical values to the scales of their properties.

    Parameters
    ----------
    values : (N, P) array
        On the physical scale; NaN is missing.
    properties : sequence of P Property

    Returns
    -------
    (N, P) float64
        log10 of the value where the property asks for it; NaN where that does not exist.

    Raises
    ------
    ValueError
        When `values` is not (N, P).
    """
    table = as_table(values, len(properties))
    scaled = np.empty(table.shape)
    for j, prop in enumerate(properties):
        scaled[:, j] = column_to_scale(table[:, j], prop)
    return scaled


def as_table(values: ArrayLike, n_properties: int) -> NDArray[np.floating]:
    """Return `values` as an (N, P) float array, not copied if it is one; ValueError on another shape."""
    table = np.asarray(values)
    if not np.issubdtype(table.dtype, np.floating):
        table = table.astype(np.float64)
    if table.ndim != 2 or table.shape[1] != n_properties:
        raise ValueError(f"values have shape {table.shape}, not (N, {n_properties}): one column a property")
    return table
