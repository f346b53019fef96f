"""The two-part table as a picture, in the manner of table 1 of the poster."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from xcat.output import style
from xcat.report.run import summary
from xcat.report.run.summary import Report

_LINE = 0.25  # inches
_TOP = 0.7  # of the tables, inches from the upper edge
_BOLD: Any = {"fontweight": "bold"}


def draw(r: Report, path: Path) -> Path:
    """Draw the table; the ending of the path is .png, .pdf or .svg."""
    with style.settings():
        return style.save(figure(r), path)


def figure(r: Report) -> Figure:
    """Make the figure: matrix and rates on the left, totals and outliers on the right."""
    k = len(r.classes)
    rates = summary.rate_rows(r)
    n_lines = k + 3 + len(rates) + sum(bool(ends) for _, _, ends in rates) * 0.8
    height = 1.35 + _LINE * n_lines
    left_width = 0.25 + 1.75 + 0.98 * k + 0.9
    width = left_width + 0.35 + 4.6
    fig = Figure(figsize=(width, height))
    axes = fig.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.axis("off")
    _left(axes, r, rates, 0.25, left_width)
    _right(axes, r, left_width + 0.45, width - 0.25, _TOP + _LINE * (k + 2))
    foot = (
        f"Run {r.run_id} of pipeline {r.pipeline}. Intervals: 95 %. Priors:"
        f" {summary.priors(r)}.\n{summary.outlier_rule(r).capitalize()}\n{summary.objects_rule(r)}."
    )
    axes.text(0.25, height - 0.27, foot, linespacing=1.4, va="center", **style.NOTE)
    return fig


def _rule(axes: Axes, x0: float, x1: float, y: float, heavy: bool = False) -> None:
    axes.plot([x0, x1], [y, y], color=style.INK, lw=1.1 if heavy else 0.5)


def _row(axes: Axes, y: float, cells: Sequence[str], columns: Sequence[float], **look: Any) -> None:
    for cell, x in zip(cells, columns, strict=True):
        axes.text(x, y, cell, ha="right", va="center", **look)


def _head(axes: Axes, x0: float, x1: float, titles: tuple[str, str], heads: list[str], columns: list[float]) -> float:
    """Titles and heads of a table; gives the height of the heads."""
    axes.text(x0, 0.3, titles[0], fontsize=11, va="center", **_BOLD)
    axes.text(x0, 0.53, titles[1], fontsize=8, color=style.GREY, va="center")
    _rule(axes, x0, x1, _TOP, heavy=True)
    y = _TOP + _LINE * 0.6
    _row(axes, y, heads, columns, **_BOLD)
    _rule(axes, x0, x1, y + _LINE * 0.55)
    return y


def _body(
    axes: Axes, x0: float, x1: float, y: float, rows: list[list[str]], columns: list[float], diagonal: bool = False
) -> float:
    """Rows below the heads at y, the last one with totals, on demand with a bold diagonal; gives the last height."""
    for i, (title, *cells) in enumerate(rows):
        y += _LINE * 1.05
        is_total = i == len(rows) - 1
        if is_total:
            _rule(axes, x0, x1, y - _LINE * 0.5)
        look = {} if is_total else _BOLD
        axes.text(x0, y, title.replace("-> ", "$\\rightarrow$ "), va="center", **look)
        for j, (cell, x) in enumerate(zip(cells, columns, strict=True)):
            _row(axes, y, [cell], [x], **(look if diagonal and i == j else {}))
    _rule(axes, x0, x1, y + _LINE * 0.5)
    return y


def _left(axes: Axes, r: Report, rates: list[tuple[str, list[str], list[str]]], x0: float, x1: float) -> None:
    columns = [x0 + 1.75 + 0.98 * i + 0.9 for i in range(len(r.classes) + 1)]
    titles = ("Reference sample, out of fold", f"{r.n_reference:,} labelled sources")
    head = _head(axes, x0, x1, titles, [*r.classes, "total"], columns)
    axes.text(x0, head, "Classified as $\\downarrow$   truly $\\rightarrow$", va="center", fontsize=8)
    # a printed grey on which numbers stay readable, by the share of the true class
    for (i, j), share in np.ndenumerate(summary.shares(r)):
        y = head + _LINE * (1.05 * (i + 1) - 0.5)
        tone = (1 - 0.3 * share,) * 3
        axes.add_patch(Rectangle((columns[j] - 0.9, y), 0.96, _LINE, color=tone, lw=0, zorder=0))
    y = _body(axes, x0, x1, head, summary.matrix_rows(r)[1:], columns, diagonal=True)
    for title, values, ends in rates:
        y += _LINE
        axes.text(x0, y, title, va="center")
        _row(axes, y, values, columns[:-1])
        if ends:
            y += _LINE * 0.72
            _row(axes, y, ends, columns[:-1], fontsize=6.8, color=style.GREY)
    _rule(axes, x0, x1, y + _LINE * 0.6, heavy=True)


def _right(axes: Axes, r: Report, x0: float, x1: float, below: float) -> None:
    columns = [x0 + (x1 - x0) * f for f in (0.37, 0.52, 0.72, 0.86, 1.0)]
    titles = ("Test sample and all sources", "test sample: classifiable by hand and not labelled")
    head, *rows = summary.total_rows(r)
    y = _body(axes, x0, x1, _head(axes, x0, x1, titles, head[1:], columns), rows, columns)
    y = max(y, below) + _LINE * 0.3
    columns = [x0 + (x1 - x0) * 0.72, x1]
    for i, (title, *values) in enumerate(summary.overall_rows(r)):
        y += _LINE
        axes.text(x0, y, title, va="center")
        _row(axes, y, values, columns, **({} if i else _BOLD))
        if i == 0:
            _rule(axes, x0, x1, y + _LINE * 0.5)
    _rule(axes, x0, x1, y + _LINE * 0.6, heavy=True)
