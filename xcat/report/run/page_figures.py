"""Figures of the page: sky, reliability, densities, presence, sum rule; of the counterparts: match_figures.py."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import matplotlib.patheffects as effects
import matplotlib.projections  # noqa: F401  makes "mollweide" known without pyplot
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xcat.classifier.kinds import with_tables_of_answers
from xcat.classifier.metrics import wilson
from xcat.columns.properties import property_symbol
from xcat.output import style
from xcat.output.reading import Row
from xcat.report.explain import panels
from xcat.report.explain.change import nodes
from xcat.report.run.page_data import PageData
from xcat.report.run.summary import Report

_WIDTH = 10.0  # inches; the page scales figures to its own width


def sky(report: Report, data: PageData) -> Figure:
    """Galactic maps, one per class: on one map the colours would hide each other."""
    styles = style.of_classes(report.classes)
    n_rows = math.ceil(len(report.classes) / 2)
    height = 2.75 * n_rows + 0.15
    fig = Figure(figsize=(_WIDTH, height))
    # longitude grows to the left, the centre of the Galaxy is in the middle
    lon = -np.radians((data.sky["glon"] + 180.0) % 360.0 - 180.0)
    lat = np.radians(data.sky["glat"])
    for i, name in enumerate(report.classes):
        row, column = divmod(i, 2)
        place = (0.035 + 0.49 * column, 1 - (2.75 * (row + 1) - 0.12) / height, 0.455, 2.32 / height)
        axes = fig.add_axes(place, projection="mollweide")
        of_class = data.sky["class_id"] == i + 1
        n = max(int(of_class.sum()), 1)
        axes.grid(color=style.GREY, lw=0.4, alpha=0.35)
        size, alpha = float(np.clip(6000 / n, 0.5, 9)), float(np.clip(4000 / n, 0.25, 0.9))
        look: Any = {"color": styles[name].colour, "marker": "o", "lw": 0, "rasterized": True}
        axes.scatter(lon[of_class], lat[of_class], size, alpha=alpha, **look)
        axes.set_xticks(np.radians([-120, -60, 0, 60, 120]), ["120°", "60°", "0°", "300°", "240°"])
        axes.set_yticks(np.radians([-60, -30, 0, 30, 60]), ["-60°", "-30°", "0°", "30°", "60°"])
        axes.tick_params(labelsize=6.5)
        for label in axes.get_xticklabels():
            label.set_path_effects([effects.withStroke(linewidth=2, foreground="white")])
        total = data.n_of_class[name]
        drawn = "" if data.every == 1 else f" (every {data.every}th drawn)"
        axes.set_title(f"{name}: {total:,} sources{drawn}", color=styles[name].colour, fontweight="bold", pad=4)
    return fig


def reliability(report: Report) -> Figure:
    """Fraction of correct classes against their probability, out of fold, and the number of sources in each bin."""
    fig = Figure(figsize=(_WIDTH, 3.5))
    titles = {"sample": "Reference sample as it is", "at_priors": "Weighted to the priors"}
    for i, (key, title) in enumerate(titles.items()):
        curve = report.metrics[key]["reliability"]
        n = np.array(curve["n"])
        filled = n > 0
        confidence, accuracy = (np.array(curve[name], dtype=float)[filled] for name in ("confidence", "accuracy"))
        axes = fig.add_axes((0.06 + 0.33 * i, 0.14, 0.27, 0.74))
        axes.plot([0, 1], [0, 1], color=style.GREY, lw=0.8, ls=(0, (4, 3)))
        # sums of prior weights are not counts, so binomial intervals hold for the sample only
        low, high = wilson(accuracy * n[filled], n[filled]) if key == "sample" else (accuracy, accuracy)
        errors = [np.maximum(accuracy - low, 0), np.maximum(high - accuracy, 0)]
        look: Any = {"color": "#0072B2", "ms": 4, "lw": 1.2, "elinewidth": 0.8, "mec": "white", "mew": 0.5}
        axes.errorbar(confidence, accuracy, errors, fmt="o-", **look)
        least = max(0.0, min(0.45, float(confidence.min(initial=0.45)) - 0.03))
        axes.set(xlim=(least, 1.015), ylim=(0, 1.03), xlabel="Probability of the assigned class")
        axes.set_ylabel("" if i else "Fraction that is correct")
        axes.set_title(f"{title}\nECE {100 * report.metrics[key]['ece']:.1f} %", loc="left", fontsize=8.5)
        axes.grid(color=style.PALE, lw=0.5)
    axes = fig.add_axes((0.74, 0.14, 0.24, 0.74))
    edges, n = (np.array(report.metrics["sample"]["reliability"][key]) for key in ("edges", "n"))
    axes.bar(edges[:-1], n, width=np.diff(edges) * 0.9, align="edge", color="#56B4E9", edgecolor=style.GREY, lw=0.5)
    axes.set_yscale("symlog", linthresh=1)
    least = max(0.0, 1 / max(len(report.classes), 1) - 0.05)
    axes.set(xlim=(least, 1.01), ylim=(0, max(10, n.max() * 2)), xlabel="Probability of the assigned class")
    axes.set_title("Labelled sources in each bin\n ", loc="left", fontsize=8.5)
    return fig


def densities(report: Report, data: PageData) -> Figure:
    """The likelihood tables: density of every property in every class."""
    model, styles = with_tables_of_answers(data.model), style.of_classes(report.classes)
    height = 1.95 * math.ceil((len(model.properties) + 1) / 4) + 0.1
    fig = Figure(figsize=(_WIDTH, height))

    def panel(j: int) -> Axes:
        row, column = divmod(j, 4)
        return fig.add_axes((0.025 + 0.245 * column, 1 - (1.95 * row + 1.5) / height, 0.215, 1.15 / height))

    for j, prop in enumerate(model.properties):
        axes = panel(j)
        table = model.tables[j]
        x, density = nodes(table), panels.density(table, None)
        for k, name in enumerate(report.classes):
            axes.plot(x, density[:, k], color=styles[name].colour, ls=styles[name].line, lw=1.3)
        low, high = panels.span(x, density, 0.005)
        axes.set_xlim(low, high)
        visible = (x >= low) & (x <= high)
        style.density_top(axes, x[visible], density[visible], [styles[c].colour for c in report.classes])
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        panels.ticks(axes, prop.scale, low, high)
        axes.set_title(panels.heading(prop.name), loc="left", fontsize=8, fontweight="bold", pad=13)
        axes.text(0, 1.035, prop.category, transform=axes.transAxes, **style.NOTE)
        panels.label_axis(axes, prop.name)
    axes = panel(len(model.properties))
    axes.axis("off")
    axes.set(xlim=(-0.05, 1.08), ylim=(len(report.classes) - 0.4, -0.6))
    for k, name in enumerate(report.classes):
        s = styles[name]
        axes.plot([0, 0.25], [k, k], color=s.colour, ls=s.line, lw=1.6)
        words = f"{name}, {model.n_reference[k]:,.0f} labelled"
        axes.text(0.31, k, words, va="center", color=s.colour, fontweight="bold")
    return fig


def pairs(report: Report, data: PageData) -> Figure:
    """Joint evidence of two properties: one row per pair, one panel per class."""
    model, styles = with_tables_of_answers(data.model), style.of_classes(report.classes)
    k = len(report.classes)
    height = 2.1 * len(model.pairs) + 0.35
    fig = Figure(figsize=(_WIDTH, height))
    for row, pair in enumerate(model.pairs):
        gain = pair.log_ratio - pair.log_ratio.mean(axis=2, keepdims=True)
        at = [pair.low[i] + pair.step[i] * np.arange(gain.shape[i]) for i in (0, 1)]
        limits = panels.pair_limits([model.tables[j] for j in model.pair_columns[row]], at)
        for c, name in enumerate(report.classes):
            axes = fig.add_axes((0.07 + 0.93 * c / k, 1 - (2.1 * row + 1.8) / height, 0.93 / k - 0.03, 1.45 / height))
            panels.contours(axes, at[0], at[1], gain[:, :, c], styles[name].colour)
            axes.set(xlim=limits[0], ylim=limits[1])
            axes.set_title(name, color=styles[name].colour, fontweight="bold", fontsize=8, pad=3)
            axes.set_xlabel(property_symbol(pair.axes[0], with_unit=True), fontsize=7, labelpad=1)
            axes.set_yticks([]) if c else axes.set_ylabel(property_symbol(pair.axes[1], with_unit=True), fontsize=7)
            axes.tick_params(length=2, labelsize=6.5)
    return fig


def presence(report: Report, data: PageData) -> Figure:
    """Fraction of the sources of each class that have each property."""
    names = [p.name for p in data.model.properties]
    classes = [c for c in report.classes if c in data.presence]
    styles = style.of_classes(report.classes)
    fig = Figure(figsize=(_WIDTH, 0.9 + 0.24 * len(names)))
    axes = fig.add_axes((0.32, 0.52 / fig.get_figheight(), 0.65, 1 - 0.8 / fig.get_figheight()))
    y = np.arange(len(names))[::-1]
    axes.hlines(y, 0, 100, color=style.PALE, lw=0.7, zorder=0)
    for k, name in enumerate(classes):
        s = styles[name]
        shift = 0.26 * (k / max(len(classes) - 1, 1) - 0.5)
        percent = [100 * data.presence[name][n] for n in names]
        look: Any = {"color": s.colour, "ms": 5.5, "mec": "white", "mew": 0.6, "clip_on": False}
        axes.plot(percent, y - shift, s.marker, label=name, **look)
    axes.set_yticks(y, [f"{panels.heading(n)}  ({n})" for n in names])
    axes.tick_params(axis="y", length=0)
    axes.set(xlim=(0, 100), xlabel="Sources of the class that have the property (%)")
    axes.legend(ncols=len(classes), loc="lower right", bbox_to_anchor=(1.0, 1.0), handletextpad=0.2, borderaxespad=0.2)
    return fig


def sum_rule(rule: Row, classes: Sequence[str]) -> Figure:
    """Numbers per square degree and dex by flux, one panel per range of |b|; published numbers as lines."""
    styles = style.of_classes(classes)
    places = list(dict.fromkeys(tuple(row["abs_b_deg"]) for row in rule["rows"]))
    fig = Figure(figsize=(10.0, 3.7))
    width = 0.92 / max(len(places), 1)
    every = [row for row in rule["rows"] if row["class"] in classes]
    values = [_density(row, row["sum_p"]) for row in every if row["sum_p"] >= 1]
    top = 3 * max(values, default=1.0)
    least = max(min(values, default=0.1) / 3, top / 1e6)
    for i, place in enumerate(places):
        axes = fig.add_axes((0.06 + width * i, 0.24, width - 0.02, 0.6))
        for name in classes:
            rows = [row for row in every if row["class"] == name and tuple(row["abs_b_deg"]) == place]
            x = np.array([np.mean(row["log_flux"]) for row in rows])
            look = styles[name]
            n = np.array([row["sum_p"] for row in rows])
            scale = np.array([_density(row, 1.0) for row in rows])
            errors = [np.minimum(np.sqrt(n), 0.9 * n) * scale, np.sqrt(n) * scale]
            points: Any = {"ms": 4.5, "mec": "white", "mew": 0.4, "elinewidth": 0.8, "zorder": 3}
            axes.errorbar(x, n * scale, errors, fmt=look.marker, color=look.colour, label=name, **points)
            off = np.array([row["is_off"] for row in rows], dtype=bool)
            axes.plot(x[off], (n * scale)[off], "o", ms=9, mfc="none", mec=style.INK, mew=0.8, zorder=4)
            counts = np.array([np.nan if r["published"] is None else _density(r, r["published"]) for r in rows])
            axes.plot(x, counts, color=look.colour, ls=look.line, lw=1.3)
        axes.set_yscale("log")
        axes.set(ylim=(least, top), xlabel="log flux, 0.2-12 keV (erg / s / cm$^2$)" if i == 0 else "log flux")
        axes.set_title(f"|b| {place[0]:g}° to {place[1]:g}°", loc="left", fontsize=8.5)
        axes.grid(color=style.PALE, lw=0.5)
        if i:
            axes.tick_params(axis="y", labelleft=False)
        else:
            axes.set_ylabel("Objects per deg$^2$ and dex")
            handles, labels = axes.get_legend_handles_labels()
            fig.legend(handles, labels, ncols=len(classes), loc="upper right", borderaxespad=0.3, handletextpad=0.3)
    note = "Points: sum of P(class). Lines: published numbers. Circles: off by more than the stated factor."
    fig.text(0.06, 0.04, note, **style.NOTE)
    return fig


def _density(row: Row, number: float) -> float:
    low, high = row["log_flux"]
    return float(number / max(row["area_deg2"], 1e-9) / (high - low))
