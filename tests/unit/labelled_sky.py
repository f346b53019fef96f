"""A small labelled sky for the tests of the evaluation: classes that differ, values that are missing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from xcat.classifier.sample import Sample
from xcat.columns.properties import Property
from xcat.evaluate.protocol import Labelled

CLASSES = ("AGN", "Star", "XRB")
MIX = (0.6, 0.25, 0.15)
PRIORS = np.array([0.7, 0.22, 0.08])
PROPERTIES = (
    Property("abs_b", "location", "linear", 0.0, 90.0, True, True),
    Property("hr1", "spectrum", "linear", -1.0, 1.0, True, True),
    Property("gamma", "spectrum", "linear", -2.0, 8.0, False, False),
    Property("log_fx_fw1", "multiwavelength", "linear", -6.0, 6.0, False, False),
    Property("log_flux_ratio", "variability", "linear", 0.0, 4.0, True, False),
)
_MEAN = {
    "abs_b": (50.0, 30.0, 10.0),
    "hr1": (0.1, -0.5, 0.5),
    "gamma": (1.9, 3.5, 1.3),
    "log_fx_fw1": (0.0, -2.5, 1.5),
    "log_flux_ratio": (0.3, 0.4, 1.0),
}
_SCATTER = {"abs_b": 15.0, "hr1": 0.25, "gamma": 0.5, "log_fx_fw1": 0.8, "log_flux_ratio": 0.3}


def sky(n: int = 360, seed: int = 1, **changes: Any) -> Labelled:
    """Labelled sources of three classes; every third source of a class has no counterpart."""
    rng = np.random.default_rng(seed)
    label = np.repeat(np.arange(3), np.round(n * np.array(MIX)).astype(int))
    n = label.size
    values = np.stack(
        [np.array(_MEAN[p.name])[label] + _SCATTER[p.name] * rng.standard_normal(n) for p in PROPERTIES], axis=1
    )
    for j, p in enumerate(PROPERTIES):
        values[:, j] = np.clip(values[:, j], p.low, p.high)
    values[rng.random(n) < 0.3, 2] = np.nan
    values[np.arange(n) % 3 == 0, 3] = np.nan
    values[rng.random(n) < 0.1, 3] = np.inf
    there = np.isfinite(values[:, 3])
    data = Labelled(
        np.arange(n) + 1000,
        Sample(PROPERTIES, values),
        label,
        {"source": np.arange(n) // 2, "sky": np.arange(n) % 60},
        CLASSES,
        PRIORS,
        -13.0 + rng.standard_normal(n) - 0.5 * label,
        there.astype(np.int64) * 2,
    )
    return replace(data, **changes)


def permuted(data: Labelled, seed: int) -> Labelled:
    """The same sources with randomly permuted labels: any result on these is chance."""
    return replace(data, label=np.random.default_rng(seed).permutation(data.label))
