"""Seconds to fit a model to 14,000 labelled sources with all properties, in ten nested folds, and of its steps.

The limit is 30 s on two cores. Single times mean little on a shared machine, so the processor time is also printed.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from classify import CLASSES, PRIORS, simulated
from common import peak_memory_mb

from xcat.classifier import FitOptions, classify, fit, tune
from xcat.columns.properties import select
from xcat.columns.registry import property_entries

LIMIT_S = 30.0
_Result = TypeVar("_Result")


def timed(what: str, task: Callable[[], _Result]) -> tuple[_Result, float]:
    """Run a task and print what it took."""
    start, used = time.perf_counter(), sum(os.times()[:4])
    result = task()
    wall = time.perf_counter() - start
    print(f"{what}: {wall:.1f} s ({sum(os.times()[:4]) - used:.1f} s of processor)", flush=True)
    return result, wall


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sources", type=int, default=14_000)
    parser.add_argument("--properties", type=int, default=18)
    parser.add_argument("--folds", type=int, default=10)
    options = parser.parse_args()
    names = [entry["name"] for entry in property_entries()][: options.properties]
    sample, labels = simulated(options.sources, seed=1, properties=select(names))
    groups = np.arange(options.sources) // 3
    print(f"{len(sample):,} sources, {len(sample.properties)} properties, {options.folds} folds", flush=True)
    model, _ = timed("one model", lambda: tune(sample, labels, groups, CLASSES, PRIORS, FitOptions()))
    timed("terms and answers of all sources", lambda: classify(model, sample))
    _, wall = timed("whole fit", lambda: fit(sample, labels, groups, CLASSES, PRIORS, FitOptions(), options.folds))
    print(f"limit {LIMIT_S:.0f} s: {'kept' if wall < LIMIT_S else 'MISSED'}; peak memory {peak_memory_mb():.0f} MB")


if __name__ == "__main__":
    main()
