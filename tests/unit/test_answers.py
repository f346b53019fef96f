"""Answers as columns: the text of what wins without a category is that of a loop over the sources."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from xcat.models.answers import alternatives


@pytest.mark.parametrize(("n", "k"), [(0, 4), (1, 2), (500, 4), (500, 11)])
def test_alternatives(n: int, k: int) -> None:
    rng = np.random.default_rng(k)
    model = SimpleNamespace(answers=tuple(f"class {i}" for i in range(k)), categories=("location", "b", "c"))
    best = rng.integers(0, k, n)
    without = np.where(rng.random((n, 3)) < 0.6, best[:, None], rng.integers(0, k, (n, 3)))
    result = SimpleNamespace(class_index=best, class_without=without)
    expected = [
        " ".join(f"{model.categories[t]}:{model.answers[c]}" for t, c in enumerate(row) if c != b)
        for b, row in zip(best, without, strict=True)
    ]
    found = alternatives(cast(Any, model), cast(Any, result))
    assert [text.decode() for text in found.tolist()] == expected
    assert n < 100 or ("" in expected and any(" b:" in text for text in expected))
