"""What every room needs of arrays: names of their types, connected components, and their form in JSON."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int64]
BoolArray: TypeAlias = NDArray[np.bool_]


def components(n: int, a: IntArray, b: IntArray) -> IntArray:
    """Connected components of `n` nodes joined by the links a[i] - b[i]: the number of each node's, (n,)."""
    from scipy.sparse import coo_array  # not needed for the types above
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(a), np.int8), (a, b)), shape=(n, n))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def jsonable(value: Any) -> Any:
    """Arrays as lists and numpy's numbers as Python's; NaN as None and infinity as text, since JSON has neither.

    The texts are "Infinity" and "-Infinity", which Python and JavaScript read as numbers.
    """
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, dict):
        return {key: jsonable(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if not isinstance(value, float) or math.isfinite(value):
        return value
    return None if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
