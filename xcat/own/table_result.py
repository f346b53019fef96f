"""The answer for a user's table, and what all answers share: masked columns, times and memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from astropy.table import Column, MaskedColumn, Table

from xcat import progress
from xcat.classifier.posterior import LEAST_P_TAIL


@dataclass
class TableResult:
    """A user's table with what xcat found.

    Parameters
    ----------
    table : Table
        The rows in the user's order; the user's columns, then those of the answer.
    messages : list of str
        What was taken for what, and what is missing.
    summary : dict
        Counts, times and memory; JSON-ready.
    """

    table: Table
    messages: list[str]
    summary: dict[str, Any]


def masked(values: np.ndarray, mask: np.ndarray) -> Column:
    """Column whose masked values are NaN, 0 or empty; without a mask if nothing is masked."""
    if not mask.any():
        return Column(values)
    values = values.copy()
    values[mask] = np.nan if values.dtype.kind == "f" else np.zeros(1, values.dtype)[0]
    return MaskedColumn(values, mask=mask)


@contextmanager
def step(seconds: dict[str, float], name: str, bar: str = "") -> Iterator[None]:
    """Time a step and show that it runs."""
    with progress.timed(seconds, name), progress.bar(bar or name):
        yield


def costs(seconds: dict[str, float]) -> dict[str, Any]:
    """Times and memory, for the summary."""
    return {"seconds": seconds, "peak_memory_mb": progress.peak_memory_mb()}


def cost_lines(summary: dict[str, Any]) -> list[str]:
    """Times and memory of a summary, for a terminal."""
    return [
        "seconds: " + ", ".join(f"{name} {value:.1f}" for name, value in summary["seconds"].items()),
        f"peak memory: {summary['peak_memory_mb']:,.0f} MB, without the database",
    ]


def text(result: dict[str, Any]) -> str:
    """The summary for a terminal."""
    n_classified = max(result["classified"], 1)
    present, missing = len(result["properties"]), len(result["not_in_the_table"])
    lines = [f"model of run {result['model_run_id']}: {present} of {present + missing} properties are at hand"]
    lines.append(f"{result['rows_in']:,} rows in, {result['classified']:,} classified")
    width = max(len(name) for name in result["classes"])
    lines += [
        f"  -> {name.ljust(width)} {n:>9,} ({n / n_classified:6.1%}), {result['outliers'][name]:,} of them outliers"
        for name, n in result["classes"].items()
    ]
    lines.append(f"outliers: fewer than {LEAST_P_TAIL:.0%} of the members of the class are at least as extreme")
    return "\n".join([*lines, *cost_lines(result)])
