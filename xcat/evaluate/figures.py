"""Figures of an evaluation, ready for print: colour is never the only distinction."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xcat.classifier.metrics import wilson
from xcat.output import style

_WIDTH = 10.0  # inches; the page scales figures to its own width
_BLUE, _ORANGE, _GREEN, _LIGHT = "#0072B2", "#D55E00", "#009E73", "#56B4E9"
_COLOURS = (_BLUE, _ORANGE, _GREEN, "#E69F00", "#CC79A7", _LIGHT, "#000000", style.GREY, "#8B4513")
_EDGE: Any = {"mec": "white", "mew": 0.4}
_MARKS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")
_METRICS = (("macro_f1", "macro-F1"), ("log_loss", "log-loss (nats)"), ("ece", "calibration error (ECE)"))


def _nan(values: Any) -> np.ndarray:
    return np.array([np.nan if v is None else v for v in values], dtype=float)


def _list_panel(
    fig: Figure, rectangle: tuple[float, float, float, float], labels: Sequence[str], is_first: bool, title: str
) -> tuple[Axes, np.ndarray]:
    """A panel with one line per label, the first on top; only the first panel names them. Returns the places, too."""
    axes = fig.add_axes(rectangle)
    y = np.arange(len(labels))[::-1]
    axes.set_yticks(y, labels if is_first else [])
    axes.tick_params(axis="y", length=0)
    axes.set_title(title, loc="left", fontsize=8.5)
    return axes, y


def _with_lines(axes: Axes, y: np.ndarray) -> None:
    for place in y:
        axes.axhline(place, color=style.PALE, lw=0.7, zorder=0)
    axes.set_ylim(-0.6, len(y) - 0.4)


def _grid(
    n: int, row_height: float, left: float, width: float, bottom: float, height: float, x_label: str, y_label: str
) -> tuple[Figure, list[Axes]]:
    """A figure of n panels in rows of four; heights in inches, left and width in shares of the figure."""
    columns = 4
    total = row_height * math.ceil(n / columns)
    fig = Figure(figsize=(_WIDTH, total))
    panels = []
    for i in range(n):
        row, column = divmod(i, columns)
        rectangle = (left + 0.245 * column, 1 - (row_height * row + bottom) / total, width, height / total)
        panels.append(fig.add_axes(rectangle))
        if column == 0:
            panels[-1].set_ylabel(y_label, fontsize=7.5)
        if i + columns >= n:
            panels[-1].set_xlabel(x_label, fontsize=7.5)
    return fig, panels


def comparison(result: Mapping[str, Any]) -> Figure:
    """Metrics of all methods, one panel per metric; bars are the standard deviation over seeds."""
    kinds = list(result["folds"])
    methods = result["folds"][kinds[0]]["methods"]
    rare = sorted(result["classes"], key=lambda c: result["n_class"][c])[:2]
    panels = [*_METRICS, *[(c, f"F1 of {c}") for c in rare]]
    height = 0.75 + 0.24 * len(methods)
    fig = Figure(figsize=(_WIDTH, height))
    left, width = 0.19, 0.80 / len(panels)
    labels = [entry["about"] for entry in methods.values()]
    for i, (name, title) in enumerate(panels):
        rectangle = (left + width * i, 0.42 / height, width * 0.86, 1 - 0.80 / height)
        axes, y = _list_panel(fig, rectangle, labels, i == 0, title)
        _with_lines(axes, y)
        for k, kind in enumerate(kinds):
            entries = result["folds"][kind]["methods"]
            mean = _nan([_figure(entries[m]["mean"], name) for m in methods])
            spread = np.nan_to_num(_nan([_figure(entries[m]["spread"], name) for m in methods]))
            marks: Any = {**_EDGE, "fmt": "os"[k], "color": (_BLUE, _ORANGE)[k], "ms": 4.5, "lw": 0, "elinewidth": 1}
            axes.errorbar(mean, y + 0.13 - 0.26 * k, xerr=spread, label=f"folds by {kind}", **marks)
        axes.locator_params(axis="x", nbins=4)
        axes.margins(x=0.08)
    if len(kinds) > 1:
        fig.legend(*axes.get_legend_handles_labels(), loc="lower left", ncols=1, fontsize=7.5, handletextpad=0.1)
    return fig


def confusion(result: Mapping[str, Any]) -> Figure:
    """Confusion matrices, shaded by the share of the true class."""
    kind = next(iter(result["folds"]))
    methods, classes = result["folds"][kind]["methods"], result["classes"]
    fig, panels = _grid(len(methods), 2.55, 0.055, 0.185, 2.2, 1.8, "truly", "classified as")
    for axes, entry in zip(panels, methods.values(), strict=True):
        matrix = np.array(entry["mean"]["confusion"])
        share = matrix / np.maximum(np.array([result["n_class"][c] for c in classes]), 1)
        axes.imshow(share, cmap="Blues", vmin=0, vmax=1.35, aspect="auto")
        for a in range(len(classes)):
            for b in range(len(classes)):
                shade = "white" if share[a, b] > 0.75 else style.INK
                axes.text(b, a, f"{matrix[a, b]:.0f}", ha="center", va="center", fontsize=7, color=shade)
        axes.set_xticks(range(len(classes)), classes, fontsize=6.5, rotation=0 if len(classes) < 6 else 60)
        axes.set_yticks(range(len(classes)), classes, fontsize=6.5)
        axes.tick_params(length=0)
        axes.set_title(entry["about"], loc="left", fontsize=8)
    return fig


def reliability(result: Mapping[str, Any]) -> Figure:
    """Predicted probability and measured accuracy of every method with probabilities; binomial intervals of 95 %."""
    kind = next(iter(result["folds"]))
    methods = [e for e in result["folds"][kind]["methods"].values() if e["probabilities"]]
    fig, panels = _grid(len(methods), 2.5, 0.05, 0.19, 2.1, 1.75, "probability given", "fraction right")
    for axes, entry in zip(panels, methods, strict=True):
        curve = next(iter(entry["seeds"].values()))["reliability"]
        n = np.array(curve["n"])
        filled = n > 0
        predicted, true = _nan(curve["confidence"])[filled], _nan(curve["accuracy"])[filled]
        low, high = wilson(true * n[filled], n[filled])
        bars = [np.maximum(true - low, 0), np.maximum(high - true, 0)]
        axes.plot([0, 1], [0, 1], color=style.GREY, lw=0.8, ls=(0, (4, 3)))
        axes.errorbar(predicted, true, bars, fmt="o-", color=_BLUE, ms=3.5, lw=1, elinewidth=0.8, **_EDGE)
        axes.set_xlim(0.25, 1.02)
        axes.set_ylim(0, 1.03)
        axes.set_title(f"{entry['about']}\nECE {100 * entry['mean']['ece']:.1f} %", loc="left", fontsize=8)
        axes.grid(color=style.PALE, lw=0.5)
    return fig


def ablation(result: Mapping[str, Any]) -> Figure:
    """Loss without a category or a property, in log-loss and in macro-F1."""
    full, *parts = result["studies"]["ablation"]
    height = 0.8 + 0.19 * len(parts)
    fig = Figure(figsize=(_WIDTH, height))
    tint = {"latitude": _ORANGE, "category": _GREEN, "property": _LIGHT}
    hatch = {"latitude": "//", "category": "..", "property": ""}
    panels = (("log_loss", 1, "Rise of the log-loss"), ("macro_f1", -1, "Fall of macro-F1"))
    for i, (name, sign, title) in enumerate(panels):
        rectangle = (0.17 + 0.42 * i, 0.45 / height, 0.38, 1 - 0.8 / height)
        whole = f"{title} without (all: {full[name]:.3f})"
        axes, y = _list_panel(fig, rectangle, [r["without"] for r in parts], i == 0, whole)
        change = sign * (_nan([r[name] for r in parts]) - full[name])
        for kind in tint:
            of_kind = np.array([r["kind"] == kind for r in parts])
            if of_kind.any():
                bars: Any = {"color": tint[kind], "hatch": hatch[kind], "edgecolor": "white", "lw": 0.4}
                axes.barh(y[of_kind], change[of_kind], 0.7, **bars)
        axes.axvline(0, color=style.INK, lw=0.7)
        axes.set_ylim(-0.7, len(parts) - 0.3)
    return fig


def learning_curve(result: Mapping[str, Any]) -> Figure:
    """Figures against the size of the training part."""
    rows = result["studies"]["learning_curve"]
    n = [r["n_train"] for r in rows]
    styles = style.of_classes(result["classes"])
    fig = Figure(figsize=(_WIDTH, 2.9))
    for i, (name, title) in enumerate((("macro_f1", "macro-F1"), ("log_loss", "log-loss (nats)"))):
        axes = fig.add_axes((0.06 + 0.33 * i, 0.16, 0.26, 0.7))
        axes.plot(n, _nan([r[name] for r in rows]), "o-", color=_BLUE, ms=4, lw=1.2)
        _sizes(axes, n, title)
    axes = fig.add_axes((0.72, 0.16, 0.26, 0.7))
    for c in result["classes"]:
        look: Any = {"color": styles[c].colour, "ls": styles[c].line, "marker": styles[c].marker}
        axes.plot(n, _nan([r["f1"][c] for r in rows]), ms=4, lw=1.2, label=c, **look)
    _sizes(axes, n, "F1 of each class")
    axes.set_ylim(0, 1.03)
    axes.legend(fontsize=7)
    return fig


def parts(result: Mapping[str, Any]) -> Figure:
    """Macro-F1 and log-loss of all methods by brightness and by counterparts."""
    kind = next(iter(result["folds"]))
    methods = result["folds"][kind]["methods"]
    studies = result["studies"]
    words = {0: "neither", 1: "one", 2: "optical and\ninfrared"}
    fig = Figure(figsize=(_WIDTH, 3.5))
    panels = (("by_brightness", "macro_f1"), ("by_brightness", "log_loss"), ("by_counterparts", "macro_f1"))
    for i, (study, name) in enumerate(panels):
        axes = fig.add_axes((0.055 + 0.325 * i, 0.29, 0.275, 0.62))
        for k, (method, entry) in enumerate(methods.items()):
            rows = studies[study].get(method, [])
            if not rows or all(r[name] is None for r in rows):
                continue
            look: Any = {
                "marker": _MARKS[k % len(_MARKS)],
                "color": _COLOURS[k % len(_COLOURS)],
                "label": entry["about"],
            }
            axes.plot(range(len(rows)), _nan([r[name] for r in rows]), ms=4.5, lw=0.9, **look, **_EDGE)
            ticks = [words[r["n_counterparts"]] if study == "by_counterparts" else r["part"].split()[0] for r in rows]
            axes.set_xticks(range(len(rows)), ticks)
        title = f"{'macro-F1' if name == 'macro_f1' else 'log-loss'} {study.replace('_', ' ')}"
        axes.set_title(title, loc="left", fontsize=8.5)
        axes.margins(x=0.1)
        if i == 0:
            handles = axes.get_legend_handles_labels()
    fig.legend(*handles, loc="lower center", ncols=5, fontsize=7, handlelength=1.6, columnspacing=1.2)
    return fig


def shift(result: Mapping[str, Any]) -> Figure:
    """Figures of faint sources after training on bright ones, with and without corrections."""
    rows = result["studies"]["shift"]
    height = 0.75 + 0.25 * len(rows)
    fig = Figure(figsize=(_WIDTH, height))
    for i, (name, title) in enumerate((("macro_f1", "macro-F1"), ("log_loss", "log-loss"), ("ece", "ECE"))):
        rectangle = (0.26 + 0.25 * i, 0.3 / height, 0.21, 1 - 0.7 / height)
        axes, y = _list_panel(fig, rectangle, [r["training"] for r in rows], i == 0, title)
        _with_lines(axes, y)
        axes.plot(_nan([r[name] for r in rows]), y, "o", color=_BLUE, ms=5)
    return fig


def _sizes(axes: Axes, sizes: Sequence[int], title: str) -> None:
    """A logarithmic axis with a tick at each size of the training part."""
    axes.set_xscale("log")
    axes.set_xticks(sizes, [f"{n:,}" for n in sizes])
    axes.set_xticks([], minor=True)
    axes.set_title(title, loc="left", fontsize=8.5)
    axes.set_xlabel("sources in the training part")


def _figure(entry: Mapping[str, Any], name: str) -> float | None:
    value: float | None = entry[name] if name in entry else entry["classes"][name]["f1"]
    return value
