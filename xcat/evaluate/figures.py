"""Figures of an evaluation, as a paper would print them: no colour alone says anything."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xcat.output import style

_WIDTH = 10.0  # inches; the page scales figures to its own width
_BLUE, _ORANGE, _GREEN, _LIGHT = "#0072B2", "#D55E00", "#009E73", "#56B4E9"
_MARKS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")
_METRICS = (
    ("macro_f1", "macro-F1"), ("log_loss", "log-loss (nats)"), ("ece", "calibration error (ECE)"),
)  # fmt: skip


def _nan(values: Any) -> np.ndarray:
    return np.array([np.nan if v is None else v for v in values], dtype=float)


def comparison(result: Mapping[str, Any]) -> Figure:
    """Metrics of all methods, a panel each; bars are the standard deviation over seeds."""
    kinds = list(result["folds"])
    methods = result["folds"][kinds[0]]["methods"]
    rare = sorted(result["classes"], key=lambda c: result["n_class"][c])[:2]
    panels = [*_METRICS, *[(c, f"F1 of {c}") for c in rare]]
    height = 0.75 + 0.24 * len(methods)
    fig = Figure(figsize=(_WIDTH, height))
    y = np.arange(len(methods))[::-1]
    left, width = 0.19, 0.80 / len(panels)
    for i, (name, title) in enumerate(panels):
        axes = fig.add_axes((left + width * i, 0.42 / height, width * 0.86, 1 - 0.80 / height))
        for place in y:
            axes.axhline(place, color=style.PALE, lw=0.7, zorder=0)
        for k, kind in enumerate(kinds):
            entries = result["folds"][kind]["methods"]
            mean = _nan([_figure(entries[m]["mean"], name) for m in methods])
            spread = np.nan_to_num(_nan([_figure(entries[m]["spread"], name) for m in methods]))
            axes.errorbar(
                mean, y + 0.13 - 0.26 * k, xerr=spread, fmt="os"[k], color=(_BLUE, _ORANGE)[k], ms=4.5, lw=0,
                elinewidth=1, mec="white", mew=0.4, label=f"folds by {kind}",
            )  # fmt: skip
        axes.set_ylim(-0.6, len(methods) - 0.4)
        axes.set_yticks(y, [entry["about"] for entry in methods.values()] if i == 0 else [])
        axes.tick_params(axis="y", length=0)
        axes.locator_params(axis="x", nbins=4)
        axes.margins(x=0.08)
        axes.set_title(title, loc="left", fontsize=8.5)
    if len(kinds) > 1:
        fig.legend(*axes.get_legend_handles_labels(), loc="lower left", ncols=1, fontsize=7.5, handletextpad=0.1)
    return fig


def confusion(result: Mapping[str, Any]) -> Figure:
    """Confusion matrices, shaded by the share of the true class."""
    kind = next(iter(result["folds"]))
    methods, classes = result["folds"][kind]["methods"], result["classes"]
    columns = 4
    n_rows = math.ceil(len(methods) / columns)
    height = 2.55 * n_rows
    fig = Figure(figsize=(_WIDTH, height))
    for i, entry in enumerate(methods.values()):
        row, column = divmod(i, columns)
        axes = fig.add_axes((0.055 + 0.245 * column, 1 - (2.55 * row + 2.2) / height, 0.185, 1.8 / height))
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
        if column == 0:
            axes.set_ylabel("classified as", fontsize=7.5)
        if i + columns >= len(methods):
            axes.set_xlabel("truly", fontsize=7.5)
    return fig


def reliability(result: Mapping[str, Any]) -> Figure:
    """What was promised and what came true, for every method with probabilities; binomial intervals of 95 %."""
    from xcat.classifier.metrics import wilson

    kind = next(iter(result["folds"]))
    methods = [e for e in result["folds"][kind]["methods"].values() if e["probabilities"]]
    columns = 4
    n_rows = math.ceil(len(methods) / columns)
    height = 2.5 * n_rows
    fig = Figure(figsize=(_WIDTH, height))
    for i, entry in enumerate(methods):
        row, column = divmod(i, columns)
        axes = fig.add_axes((0.05 + 0.245 * column, 1 - (2.5 * row + 2.1) / height, 0.19, 1.75 / height))
        curve = next(iter(entry["seeds"].values()))["reliability"]
        n = np.array(curve["n"])
        there = n > 0
        promised, true = _nan(curve["confidence"])[there], _nan(curve["accuracy"])[there]
        low, high = wilson(true * n[there], n[there])
        axes.plot([0, 1], [0, 1], color=style.GREY, lw=0.8, ls=(0, (4, 3)))
        axes.errorbar(
            promised, true, [np.maximum(true - low, 0), np.maximum(high - true, 0)], fmt="o-", color=_BLUE, ms=3.5,
            lw=1, elinewidth=0.8, mec="white", mew=0.4,
        )  # fmt: skip
        axes.set_xlim(0.25, 1.02)
        axes.set_ylim(0, 1.03)
        axes.set_title(f"{entry['about']}\nECE {100 * entry['mean']['ece']:.1f} %", loc="left", fontsize=8)
        axes.grid(color=style.PALE, lw=0.5)
        if column == 0:
            axes.set_ylabel("fraction right", fontsize=7.5)
        if i + columns >= len(methods):
            axes.set_xlabel("probability given", fontsize=7.5)
    return fig


def ablation(result: Mapping[str, Any]) -> Figure:
    """What is lost without a category or a property, in log-loss and in macro-F1."""
    rows = result["studies"]["ablation"]
    full = rows[0]
    parts = rows[1:]
    height = 0.8 + 0.19 * len(parts)
    fig = Figure(figsize=(_WIDTH, height))
    y = np.arange(len(parts))[::-1]
    tint = {"latitude": _ORANGE, "category": _GREEN, "property": _LIGHT}
    hatch = {"latitude": "//", "category": "..", "property": ""}
    for i, (name, sign, title) in enumerate(
        (("log_loss", 1, "Rise of the log-loss"), ("macro_f1", -1, "Fall of macro-F1"))
    ):
        axes = fig.add_axes((0.17 + 0.42 * i, 0.45 / height, 0.38, 1 - 0.8 / height))
        change = sign * (_nan([r[name] for r in parts]) - full[name])
        for kind in tint:
            of_kind = np.array([r["kind"] == kind for r in parts])
            if of_kind.any():
                axes.barh(
                    y[of_kind], change[of_kind], 0.7, color=tint[kind], hatch=hatch[kind], edgecolor="white", lw=0.4
                )
        axes.axvline(0, color=style.INK, lw=0.7)
        axes.set_yticks(y, [r["without"] for r in parts] if i == 0 else [])
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(-0.7, len(parts) - 0.3)
        axes.set_title(f"{title} without (all: {full[name]:.3f})", loc="left", fontsize=8.5)
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
        _sizes(axes, n)
        axes.set_title(title, loc="left", fontsize=8.5)
        axes.set_xlabel("sources in the training part")
    axes = fig.add_axes((0.72, 0.16, 0.26, 0.7))
    for c in result["classes"]:
        s = styles[c]
        axes.plot(
            n, _nan([r["f1"][c] for r in rows]), color=s.colour, ls=s.line, marker=s.marker, ms=4, lw=1.2, label=c
        )
    _sizes(axes, n)
    axes.set_ylim(0, 1.03)
    axes.set_title("F1 of each class", loc="left", fontsize=8.5)
    axes.set_xlabel("sources in the training part")
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
            axes.plot(
                range(len(rows)), _nan([r[name] for r in rows]), marker=_MARKS[k % len(_MARKS)], ms=4.5, lw=0.9,
                color=_colour(k), label=entry["about"], mec="white", mew=0.4,
            )  # fmt: skip
            ticks = [words[r["n_counterparts"]] if study == "by_counterparts" else r["part"].split()[0] for r in rows]
            axes.set_xticks(range(len(rows)), ticks)
        axes.set_title(
            f"{'macro-F1' if name == 'macro_f1' else 'log-loss'} {study.replace('_', ' ')}", loc="left", fontsize=8.5
        )
        axes.margins(x=0.1)
        if i == 0:
            handles = axes.get_legend_handles_labels()
    fig.legend(*handles, loc="lower center", ncols=5, fontsize=7, handlelength=1.6, columnspacing=1.2)
    return fig


def shift(result: Mapping[str, Any]) -> Figure:
    """What training on bright sources costs faint ones, and what is bought back."""
    rows = result["studies"]["shift"]
    fig = Figure(figsize=(_WIDTH, 0.75 + 0.25 * len(rows)))
    height = fig.get_figheight()
    y = np.arange(len(rows))[::-1]
    for i, (name, title) in enumerate((("macro_f1", "macro-F1"), ("log_loss", "log-loss"), ("ece", "ECE"))):
        axes = fig.add_axes((0.26 + 0.25 * i, 0.3 / height, 0.21, 1 - 0.7 / height))
        for place in y:
            axes.axhline(place, color=style.PALE, lw=0.7, zorder=0)
        axes.plot(_nan([r[name] for r in rows]), y, "o", color=_BLUE, ms=5)
        axes.set_yticks(y, [r["training"] for r in rows] if i == 0 else [])
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.set_title(title, loc="left", fontsize=8.5)
    return fig


def _sizes(axes: Axes, sizes: Sequence[int]) -> None:
    """A logarithmic axis with a tick at each size."""
    axes.set_xscale("log")
    axes.set_xticks(sizes, [f"{n:,}" for n in sizes])
    axes.set_xticks([], minor=True)


def _figure(entry: Mapping[str, Any], name: str) -> float | None:
    found: float | None = entry[name] if name in entry else entry["classes"][name]["f1"]
    return found


def _colour(k: int) -> str:
    colours = (_BLUE, _ORANGE, _GREEN, "#E69F00", "#CC79A7", _LIGHT, "#000000", style.GREY, "#8B4513")
    return colours[k % len(colours)]
