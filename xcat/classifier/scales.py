"""Values on the scales of their properties."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xcat.arrays import FloatArray
from xcat.columns.properties import Property


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
