"""Figures of the counterparts: how many are accepted, how often falsely, and their magnitudes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from xcat.output import style
from xcat.report.run.page_data import P_ANY_BINS, Calibrated, MagnitudePrior, Matching

_WIDTH = 10.0  # inches; the page scales figures to its own width
_LEFT, _STEP, _PANEL = 0.06, 0.245, 0.18  # of the width: four panels in a row
_BLUE, _RED, _GREEN = "#0072B2", "#D55E00", "#009E73"
_KEPT: dict[str, Any] = {"color": _BLUE, "ls": "-", "lw": 1.6}
_FALSE: dict[str, Any] = {"color": _RED, "ls": (0, (5, 1.2, 1.2, 1.2)), "lw": 1.6}
_CONTAMINATION: dict[str, Any] = {"color": _GREEN, "ls": (0, (1.2, 1.1)), "lw": 1.6}
_THIN: dict[str, Any] = {"lw": 0.4, "alpha": 0.5}
_LEAST_RATE = 1e-3  # lower end of the axis of rates


def _grid(n: int, row: float, foot: float = 0.1) -> tuple[Figure, list[tuple[float, float, bool]]]:
    """Make a figure with up to four columns and rows of `row` inches.

    Gives the left end (of the width) and the upper end (in inches) of each of the n cells, and whether it is in the
    first column.
    """
    columns = min(4, n)
    height = row * math.ceil(n / columns) + foot
    cells = [(_LEFT + _STEP * (i % columns), height - row * (i // columns), i % columns == 0) for i in range(n)]
    return Figure(figsize=(_WIDTH, height)), cells


def _panel(fig: Figure, x: float, bottom: float, size: float, sharex: Axes | None = None) -> Axes:
    """A panel `size` inches high."""
    height = fig.get_figheight()
    return fig.add_axes((x, bottom / height, _PANEL, size / height), sharex=sharex)


def accepted(matching: Matching) -> Figure:
    """Histograms of p_any per mission and catalogue, the accepted part of each bin in colour."""
    fig, cells = _grid(len(matching.matches), 1.95)
    edges = np.linspace(0, 1, P_ANY_BINS + 1)[:-1]
    for m, (x, top, first) in zip(matching.matches, cells, strict=True):
        axes = _panel(fig, x, top - 1.5, 1.08)
        axes.bar(edges, m.bins, width=0.045, align="edge", color="#c4c4c4")
        axes.bar(edges, m.accepted_bins, width=0.045, align="edge", color=_BLUE)
        axes.set_yscale("symlog", linthresh=10)
        axes.set(xlim=(0, 1), ylim=(0, max(10, m.bins.max() * 2)), ylabel="sources" if first else "")
        axes.set_title(f"{m.mission} x {m.catalogue}", loc="left", fontsize=8, fontweight="bold", pad=12)
        share = f"{m.accepted:,} of {m.sources:,} accepted ({m.accepted / m.sources:.0%})"
        axes.text(0, 1.04, share, transform=axes.transAxes, **style.NOTE)
        axes.set_xlabel("p_any", fontsize=7.5, labelpad=1)
    return fig


def calibration(matching: Matching) -> Figure:
    """Sources that are kept, and false matches, against the cutoff of p_any; one column per catalogue."""
    fig, cells = _grid(len(matching.calibrations), 3.65, 0.35)
    for c, (x, top, first) in zip(matching.calibrations, cells, strict=True):
        kept = _panel(fig, x, top - 1.55, 1.15)
        _kept(kept, c, first=first)
        _rates(_panel(fig, x, top - 3.4, 1.7, sharex=kept), c, matching.false_rate, first=first)
    _key(fig)
    return fig


def _kept(axes: Axes, c: Calibrated, *, first: bool) -> None:
    for part, curve in c.curves.items():
        share = 100 * curve["n_sources_above"] / np.maximum(curve["n_sources"], 1)
        axes.plot(curve["cutoff"], share, **(_KEPT if part == 0 else _THIN | {"color": _BLUE}))
    of_all = 100 * float(c.whole["n_sources_above"]) / max(float(c.whole["n_sources"]), 1.0)
    _mark(axes, c, of_all, f"{of_all:.0f} %")
    axes.set(xlim=(0, 1.02), ylim=(0, 105), yticks=[0, 50, 100], ylabel="sources kept (%)" if first else "")
    axes.tick_params(labelbottom=False)
    axes.set_title(c.catalogue, loc="left", fontsize=8, fontweight="bold", pad=4)


def _rates(axes: Axes, c: Calibrated, wanted: float | None, *, first: bool) -> None:
    if wanted:
        axes.axhline(100 * wanted, color=style.GREY, lw=0.7, ls=(0, (4, 3)), zorder=1)
    for part, curve in c.curves.items():
        # a rate of zero has no logarithm: the line ends where no shifted position is left
        rate = np.where(curve["n_shifted_above"] > 0, 100 * curve["false_rate"], np.nan)
        axes.plot(curve["cutoff"], rate, **(_FALSE if part == 0 else _THIN | {"color": _RED}))
    whole = c.curves[0]
    axes.plot(whole["cutoff"], 100 * whole["contamination"], **_CONTAMINATION)
    axes.set(yscale="log", ylim=(100 * _LEAST_RATE, 100), ylabel="rate (%)" if first else "")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    in_use = 100 * float(c.whole["false_rate"])
    _mark(axes, c, max(in_use, 100 * _LEAST_RATE), f"{in_use:.1f} %")
    axes.set_xlabel("cutoff of p_any", fontsize=7.5, labelpad=1)


def _mark(axes: Axes, c: Calibrated, y: float, text: str) -> None:
    """Mark the cutoff in use, and shade the cutoffs of the parts."""
    x = float(c.whole["cutoff"])
    low, high = c.cutoffs
    if high > low:
        axes.axvspan(low, high, color=style.PALE, lw=0, zorder=0)
    axes.axvline(x, color=style.INK, lw=0.8, zorder=2)
    axes.plot(x, y, "o", color=style.INK, ms=4.5, mec="white", mew=0.6, zorder=5, clip_on=False)
    right = x < 0.6
    box = {"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.8}
    look: Any = {"ha": "left" if right else "right", "fontsize": 7.5, "fontweight": "bold", "bbox": box, "zorder": 6}
    axes.annotate(text, (x, y), (5 if right else -5, 4), textcoords="offset points", **look)


def _key(fig: Figure) -> None:
    """Explain the lines, below the panels."""
    height = fig.get_figheight()
    axes = fig.add_axes((0.06, 0.02 / height, 0.92, 0.26 / height))
    axes.axis("off")
    axes.set(xlim=(0, 1), ylim=(0, 1))
    for line, text, x in (
        (_KEPT, "sources kept", 0.0),
        (_FALSE, "false rate: shifted positions accepted", 0.155),
        (_CONTAMINATION, "expected contamination: mean of 1 - p_any", 0.46),
        (_THIN | {"color": style.INK}, "parts of the sky", 0.79),
    ):
        axes.plot([x, x + 0.035], [0.5, 0.5], **line)
        axes.text(x + 0.042, 0.5, text, va="center", fontsize=7.5)


def priors(matching: Matching) -> Figure:
    """Magnitudes and colours of counterparts and of field objects, and the log of their ratio."""
    fig, cells = _grid(len(matching.priors), 3.05)
    for prior, (x, top, first) in zip(matching.priors, cells, strict=True):
        shapes = _panel(fig, x, top - 1.6, 1.2)
        _prior(shapes, _panel(fig, x, top - 2.7, 0.95, sharex=shapes), prior, first=first)
    return fig


def _prior(shapes: Axes, ratio: Axes, prior: MagnitudePrior, *, first: bool) -> None:
    low, high = _range(prior)
    edges = np.clip(prior.edges, low - 1, high + 1)
    shapes.stairs(prior.field, edges, fill=True, color="#d5d5d5", label="field")
    shapes.stairs(prior.counterparts, edges, color=_BLUE, lw=1.4, label="counterparts")
    shapes.set(xlim=(low, high), ylim=(0, None), ylabel="density (1 / mag)" if first else "")
    shapes.tick_params(labelbottom=False)
    term, *others = prior.term.split(" with ")
    shapes.set_title(f"{prior.catalogue}: {term}", loc="left", fontsize=8, fontweight="bold", pad=13 if others else 4)
    if others:
        also = "of objects also in " + ", ".join(others)
        shapes.text(0, 1.03, also, transform=shapes.transAxes, **style.NOTE | {"fontsize": 6.5})
    shapes.legend(loc="upper left", fontsize=7, handlelength=1.3, borderaxespad=0.1)
    ratio.axhline(0, color=style.GREY, lw=0.7, ls=(0, (4, 3)))
    middle = (edges[:-1] + edges[1:]) / 2
    if len(prior.by_part) > 1:
        ratio.plot(middle, prior.by_part.T, color=_BLUE, **_THIN)
    ratio.plot(middle, prior.log_ratio, color=_BLUE, lw=1.5)
    visible = (middle >= low) & (middle <= high)
    largest = max(float(np.abs(prior.by_part[:, visible]).max(initial=0)), 0.5)
    ratio.set(ylim=(-1.08 * largest, 1.08 * largest), ylabel="ln ratio" if first else "")
    ratio.set_xlabel("mag", fontsize=7.5, labelpad=1)


def _range(prior: MagnitudePrior) -> tuple[float, float]:
    """Interval that holds 99.8 % of both."""
    ends: list[tuple[int, int]] = []
    for density in (prior.counterparts, prior.field):
        share = np.cumsum(density * np.diff(np.clip(prior.edges, -100, 100)))
        share = share / max(float(share[-1]), 1e-300)
        last = len(share) - 1
        ends.append((int(np.searchsorted(share, 0.001)), min(int(np.searchsorted(share, 0.999)) + 1, last)))
    return float(prior.edges[max(min(a for a, _ in ends), 1)]), float(prior.edges[max(b for _, b in ends)])
