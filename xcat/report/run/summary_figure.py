"""The two-part table as a picture, in the manner of table 1 of the poster."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from xcat.output import style
from xcat.report.run import summary_text

if TYPE_CHECKING:
    from xcat.report.run.summary import Report

_LINE = 0.25  # inches


def draw(r: Report, path: Path, dpi: int = 150) -> Path:
    """Draw the table."""
    with style.settings():
        return style.save(figure(r), path, dpi)


def figure(r: Report) -> Figure:
    """Make the figure: matrix and rates on the left, totals and outliers on the right."""
    k = len(r.classes)
    rates = summary_text.rate_rows(r)
    n_lines = k + 3 + len(rates) + sum(bool(ends) for _, _, ends in rates) * 0.8
    height = 1.2 + _LINE * n_lines
    left_width = 0.25 + 1.75 + 0.98 * k + 0.9
    width = left_width + 0.35 + 4.6
    fig = Figure(figsize=(width, height))
    axes = fig.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.axis("off")
    _left(axes, r, rates, 0.25, left_width)
    _right(axes, r, left_width + 0.45, width - 0.25, 0.7 + _LINE * (k + 2))
    foot = (
        f"Run {r.run_id} of pipeline {r.pipeline}. Intervals: 95 %. Priors:"
        f" {summary_text.priors(r)}.\n{summary_text.outlier_rule(r).capitalize()}."
    )
    axes.text(0.25, height - 0.2, foot, fontsize=7, linespacing=1.4, color=style.GREY, va="center")
    return fig


def _rule(axes: Axes, x0: float, x1: float, y: float, heavy: bool = False) -> None:
    axes.plot([x0, x1], [y, y], color=style.INK, lw=1.1 if heavy else 0.5)


def _left(axes: Axes, r: Report, rates: list[tuple[str, list[str], list[str]]], x0: float, x1: float) -> None:
    k = len(r.classes)
    columns = [x0 + 1.75 + 0.98 * i + 0.9 for i in range(k + 1)]
    axes.text(x0, 0.3, "Reference sample, out of fold", fontsize=11, fontweight="bold", va="center")
    axes.text(x0, 0.53, f"{r.n_reference:,} labelled sources", fontsize=8, color=style.GREY, va="center")
    _rule(axes, x0, x1, 0.7, heavy=True)
    y = 0.7 + _LINE * 0.6
    axes.text(x0, y, "Classified as $\\downarrow$   truly $\\rightarrow$", va="center", fontsize=8)
    for name, x in zip([*r.classes, "total"], columns, strict=True):
        axes.text(x, y, name, ha="right", va="center", fontweight="bold")
    _rule(axes, x0, x1, y + _LINE * 0.55)
    matrix = np.array(r.metrics["matrix"], dtype=float)
    share = matrix / np.maximum(matrix.sum(axis=0), 1)
    for i, row in enumerate(summary_text.matrix_rows(r)[1:]):
        y += _LINE * 1.05
        last = i == k
        if last:
            _rule(axes, x0, x1, y - _LINE * 0.5)
        title = row[0].replace("-> ", "$\\rightarrow$ ")
        axes.text(x0, y, title, va="center", fontweight="normal" if last else "bold")
        for j, (cell, x) in enumerate(zip(row[1:], columns, strict=True)):
            if not last and j < k:
                # shade by the share of the true class: a printed grey that numbers stay readable on
                tone = 1 - 0.3 * share[i, j]
                axes.add_patch(
                    Rectangle((x - 0.9, y - _LINE * 0.5), 0.96, _LINE, color=(tone, tone, tone), lw=0, zorder=0)
                )
            axes.text(x, y, cell, ha="right", va="center", fontweight="bold" if i == j and not last else "normal")
    _rule(axes, x0, x1, y + _LINE * 0.5)
    for title, values, ends in rates:
        y += _LINE
        axes.text(x0, y, title, va="center")
        for cell, x in zip(values, columns[:-1], strict=True):
            axes.text(x, y, cell, ha="right", va="center")
        if ends:
            y += _LINE * 0.72
            for cell, x in zip(ends, columns[:-1], strict=True):
                axes.text(x, y, cell, ha="right", va="center", fontsize=6.8, color=style.GREY)
    _rule(axes, x0, x1, y + _LINE * 0.6, heavy=True)


def _right(axes: Axes, r: Report, x0: float, x1: float, below: float) -> None:
    axes.text(x0, 0.3, "What it says of the others", fontsize=11, fontweight="bold", va="center")
    axes.text(
        x0,
        0.53,
        "test sample: classifiable by hand, and not labelled",
        fontsize=8,
        color=style.GREY,
        va="center",
    )
    columns = [x0 + (x1 - x0) * f for f in (0.43, 0.6, 0.83, 1.0)]
    _rule(axes, x0, x1, 0.7, heavy=True)
    y = 0.7 + _LINE * 0.6
    for name, x in zip(("test sample", "outliers", "all sources", "outliers"), columns, strict=True):
        axes.text(x, y, name, ha="right", va="center", fontweight="bold")
    _rule(axes, x0, x1, y + _LINE * 0.55)
    table = summary_text.total_rows(r)[1:]
    for i, row in enumerate(table):
        y += _LINE * 1.05
        last = i == len(table) - 1
        if last:
            _rule(axes, x0, x1, y - _LINE * 0.5)
        title = row[0].replace("-> ", "$\\rightarrow$ ")
        axes.text(x0, y, title, va="center", fontweight="normal" if last else "bold")
        for cell, x in zip(row[1:], columns, strict=True):
            axes.text(x, y, cell, ha="right", va="center")
    _rule(axes, x0, x1, y + _LINE * 0.5)
    y = max(y, below) + _LINE * 0.3
    body = summary_text.overall_rows(r)
    for i, (title, sample, priors) in enumerate(body):
        y += _LINE
        axes.text(x0, y, title, va="center")
        weight = "bold" if i == 0 else "normal"
        axes.text(x0 + (x1 - x0) * 0.72, y, sample, ha="right", va="center", fontweight=weight)
        axes.text(x1, y, priors, ha="right", va="center", fontweight=weight)
        if i == 0:
            _rule(axes, x0, x1, y + _LINE * 0.5)
    _rule(axes, x0, x1, y + _LINE * 0.6, heavy=True)
