"""Values on the scales of their properties."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xcat.arrays import FloatArray
from xcat.columns.properties import Property


def column_to_scale(column: ArrayLike, prop: Property) -> FloatArray:
    """Values of one property on its scale, float64; NaN where the logarithm does not exist."""
    x = np.asarray(column, dtype=np.float64)
    if prop.scale == "linear":
        return x
    if prop.scale == "asinh":
        return np.arcsinh(x)
    # a flux or a motion of zero or less counts as missing, not as minus infinity
    return np.log10(x, out=np.full(x.shape, np.nan), where=x > 0)


def as_table(values: ArrayLike, n_properties: int) -> NDArray[np.floating]:
    """Return `values` as an (N, P) array of floats, a copy only if need be; ValueError on another shape."""
    table = np.asarray(values)
    if not np.issubdtype(table.dtype, np.floating):
        table = table.astype(np.float64)
    if table.ndim != 2 or table.shape[1] != n_properties:
        raise ValueError(f"values have shape {table.shape}, not (N, {n_properties}): one column per property")
    return table
