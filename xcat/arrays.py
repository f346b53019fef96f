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


def jsonable(value: Any, *, infinity: bool = False) -> Any:
    """Arrays as lists and numpy's numbers as Python's, with None for what is not finite, which JSON cannot say.

    With `infinity`, infinite numbers are texts that Python and JavaScript read as numbers: "Infinity", "-Infinity".
    """
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, dict):
        return {key: jsonable(v, infinity=infinity) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(v, infinity=infinity) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if not isinstance(value, float) or math.isfinite(value):
        return value
    return ("Infinity" if value > 0 else "-Infinity") if infinity and not math.isnan(value) else None
