"""Figures of an evaluation, ready for print: colour is never the only distinction."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xcat.classifier.metrics import wilson
from xcat.evaluate.text import called
from xcat.output import style

_WIDTH = 10.0  # inches; the page scales figures to its own width
_BLUE, _ORANGE, _GREEN, _LIGHT = "#0072B2", "#D55E00", "#009E73", "#56B4E9"
_COLOURS = (_BLUE, _ORANGE, _GREEN, "#E69F00", "#CC79A7", _LIGHT, "#000000", style.GREY, "#8B4513")
_EDGE: Any = {"mec": "white", "mew": 0.4}
_MARKS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")
_METRICS = (("macro_f1", "macro-F1"), ("log_loss", "log-loss (nats)"), ("ece", "calibration error (ECE)"))


def _nan(values: Any) -> np.ndarray:
    return np.array([np.nan if v is None else v for v in values], dtype=float)


def _panels(
    titles: Sequence[str], total: float, left: float, step: float, width: float, bottom: float, height: float
) -> tuple[Figure, list[Axes]]:
    """A figure of some total height, inches, with a row of panels; the rest in shares of the figure."""
    fig = Figure(figsize=(_WIDTH, total))
    panels = [fig.add_axes((left + step * i, bottom, width, height)) for i in range(len(titles))]
    for axes, title in zip(panels, titles, strict=True):
        axes.set_title(title, loc="left", fontsize=8.5)
    return fig, panels


def _lines(panels: Sequence[Axes], labels: Sequence[str], margin: float = 0.6, lines: bool = True) -> np.ndarray:
    """One line per label, the first on top; only the first panel names them. Returns their places."""
    y = np.arange(len(labels))[::-1]
    for axes in panels:
        axes.set_yticks(y, labels if axes is panels[0] else [])
        axes.tick_params(axis="y", length=0)
        for place in y if lines else ():
            axes.axhline(place, color=style.PALE, lw=0.7, zorder=0)
        axes.set_ylim(-margin, len(y) - 1 + margin)
    return y


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


def _first(result: Mapping[str, Any]) -> dict[str, Any]:
    """All methods, with the first kind of folds."""
    return dict(next(iter(result["folds"].values()))["methods"])


def comparison(result: Mapping[str, Any]) -> Figure:
    """Metrics of all methods, one panel per metric; bars are the standard deviation over seeds."""
    kinds = list(result["folds"])
    # published answers come last, and are not there for a second origin
    labels = max(([e["about"] for e in part["methods"].values()] for part in result["folds"].values()), key=len)
    step = 0.52 / len(kinds)
    rare = sorted(result["classes"], key=lambda c: result["n_class"][c])[:2]
    metrics = dict(_METRICS) | {c: f"F1 of {c}" for c in rare}
    height, width = 0.95 + 0.24 * len(labels), 0.80 / len(metrics)
    fig, panels = _panels(list(metrics.values()), height, 0.19, width, width * 0.86, 0.62 / height, 1 - 1.0 / height)
    y = _lines(panels, labels)
    for axes, name in zip(panels, metrics, strict=True):
        for k, kind in enumerate(kinds):
            entries = result["folds"][kind]["methods"].values()
            mean = _nan([_figure(e["mean"], name) for e in entries])
            spread = np.nan_to_num(_nan([_figure(e["spread"], name) for e in entries]))
            marks: Any = {**_EDGE, "fmt": _MARKS[k], "color": _COLOURS[k], "ms": 4.5, "lw": 0, "elinewidth": 1}
            place = y[: len(mean)] + step * ((len(kinds) - 1) / 2 - k)
            axes.errorbar(mean, place, xerr=spread, label=called(kind), **marks)
        axes.locator_params(axis="x", nbins=4)
        axes.margins(x=0.08)
    if len(kinds) > 1:
        legend: Any = {"loc": "lower center", "ncols": len(kinds), "fontsize": 7.5, "handletextpad": 0.1}
        fig.legend(*panels[0].get_legend_handles_labels(), **legend)
    return fig


def confusion(result: Mapping[str, Any]) -> Figure:
    """Confusion matrices, shaded by the share of the true class."""
    methods, classes = _first(result), result["classes"]
    n_class = next(iter(result["folds"].values())).get("n_class", result["n_class"])
    fig, panels = _grid(len(methods), 2.55, 0.055, 0.185, 2.2, 1.8, "truly", "classified as")
    for axes, entry in zip(panels, methods.values(), strict=True):
        matrix = np.array(entry["mean"]["confusion"])
        share = matrix / np.maximum(np.array([n_class[c] for c in classes]), 1)
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
    methods = [e for e in _first(result).values() if e["probabilities"]]
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
    full, *rows = result["studies"]["ablation"]
    height = 0.8 + 0.19 * len(rows)
    looks = {"latitude": (_ORANGE, "//"), "category": (_GREEN, ".."), "property": (_LIGHT, "")}
    metrics = (("log_loss", 1, "Rise of the log-loss"), ("macro_f1", -1, "Fall of macro-F1"))
    titles = [f"{title} without (all: {full[name]:.3f})" for name, _, title in metrics]
    fig, panels = _panels(titles, height, 0.17, 0.42, 0.38, 0.45 / height, 1 - 0.8 / height)
    y = _lines(panels, [r["without"] for r in rows], 0.7, lines=False)
    for axes, (name, sign, _) in zip(panels, metrics, strict=True):
        change = sign * (_nan([r[name] for r in rows]) - full[name])
        for kind, (colour, hatch) in looks.items():
            of_kind = np.array([r["kind"] == kind for r in rows])
            if of_kind.any():
                bars: Any = {"color": colour, "hatch": hatch, "edgecolor": "white", "lw": 0.4}
                axes.barh(y[of_kind], change[of_kind], 0.7, **bars)
        axes.axvline(0, color=style.INK, lw=0.7)
    return fig


def learning_curve(result: Mapping[str, Any]) -> Figure:
    """Figures against the size of the training part."""
    rows = result["studies"]["learning_curve"]
    n = [r["n_train"] for r in rows]
    styles = style.of_classes(result["classes"])
    titles = ("macro-F1", "log-loss (nats)", "F1 of each class")
    fig, panels = _panels(titles, 2.9, 0.06, 0.33, 0.26, 0.16, 0.7)
    for axes, name in zip(panels, ("macro_f1", "log_loss"), strict=False):
        axes.plot(n, _nan([r[name] for r in rows]), "o-", color=_BLUE, ms=4, lw=1.2)
    for c in result["classes"]:
        look: Any = {"color": styles[c].colour, "ls": styles[c].line, "marker": styles[c].marker}
        panels[-1].plot(n, _nan([r["f1"][c] for r in rows]), ms=4, lw=1.2, label=c, **look)
    for axes in panels:
        axes.set_xscale("log")
        axes.set_xticks(n, [f"{size:,}" for size in n])
        axes.set_xticks([], minor=True)
        axes.set_xlabel("sources in the training part")
    panels[-1].set_ylim(0, 1.03)
    panels[-1].legend(fontsize=7)
    return fig


def parts(result: Mapping[str, Any]) -> Figure:
    """Macro-F1 and log-loss of all methods by brightness and by counterparts."""
    studies, words = result["studies"], ("neither", "one", "optical and\ninfrared")
    shown = (("by_brightness", "macro_f1"), ("by_brightness", "log_loss"), ("by_counterparts", "macro_f1"))
    titles = [f"{name.replace('_f1', '-F1').replace('_', '-')} {study.replace('_', ' ')}" for study, name in shown]
    fig, panels = _panels(titles, 3.5, 0.055, 0.325, 0.275, 0.29, 0.62)
    for axes, (study, name) in zip(panels, shown, strict=True):
        for k, (method, entry) in enumerate(result["folds"][studies["folds"]]["methods"].items()):
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
        axes.margins(x=0.1)
    fig.legend(
        *panels[0].get_legend_handles_labels(),
        loc="lower center",
        ncols=5,
        fontsize=7,
        handlelength=1.6,
        columnspacing=1.2,
    )
    return fig


def shift(result: Mapping[str, Any]) -> Figure:
    """Figures of faint sources after training on bright ones, with and without corrections."""
    rows = result["studies"]["shift"]
    height = 0.75 + 0.25 * len(rows)
    metrics = {"macro_f1": "macro-F1", "log_loss": "log-loss", "ece": "ECE"}
    fig, panels = _panels(list(metrics.values()), height, 0.26, 0.25, 0.21, 0.3 / height, 1 - 0.7 / height)
    y = _lines(panels, [r["training"] for r in rows])
    for axes, name in zip(panels, metrics, strict=True):
        axes.plot(_nan([r[name] for r in rows]), y, "o", color=_BLUE, ms=5)
    return fig


def _figure(entry: Mapping[str, Any], name: str) -> float | None:
    value: float | None = entry[name] if name in entry else entry["classes"][name]["f1"]
    return value
