"""The figure of an explanation: how the probabilities move with the evidence, and where the source lies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib.patheffects as effects
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xcat.classifier.model import Model
from xcat.report import explain_text, style

if TYPE_CHECKING:
    from xcat.report.explain import Explanation, Term

_COLUMNS = 5
_LEFT, _WIDE, _GAP = 0.055, 0.158, 0.0325  # of the width of the figure
_ROW, _FOOT = 1.52, 0.62  # inches that a row of panels takes, and the legend below them
_HALO = [effects.withStroke(linewidth=2.2, foreground="white")]


def draw(explanation: Explanation, model: Model, path: Path, dpi: int = 150) -> Path:
    """Draw an explanation; see `xcat.report.explain.draw`."""
    with style.settings():
        return style.save(figure(explanation, model), path, dpi)


def figure(e: Explanation, model: Model) -> Figure:
    """Make the figure: the track above, one panel a property below."""
    n_rows = -(-len(e.terms) // _COLUMNS)
    height = 4.12 + _ROW * n_rows + _FOOT
    fig = Figure(figsize=(11.2, height))
    inch = 1 / height
    place, facts = explain_text.source_lines(e)[1:]
    known = f"literature: {e.known_class}" if e.known_class else "not in the reference sample"
    fig.text(_LEFT, 1 - 0.28 * inch, e.source["name"], fontsize=13, fontweight="bold", va="center")
    fig.text(_LEFT, 1 - 0.52 * inch, explain_text.headline(e), fontsize=9, va="center")
    fig.text(
        _LEFT, 1 - 0.71 * inch, f"{place.partition(',  1 sigma')[0]};  {facts};  {known}", fontsize=7.5,
        color=style.GREY, va="center",
    )  # fmt: skip
    fig.text(_LEFT, 1 - 0.88 * inch, explain_text.surroundings(e), fontsize=7.5, color=style.GREY, va="center")
    bottom = _ROW * n_rows + _FOOT + 0.72
    _track(fig.add_axes((_LEFT, bottom * inch, 0.865, (height - bottom - 1.25) * inch)), e)
    for i, term in enumerate(e.terms):
        row, column = divmod(i, _COLUMNS)
        y = (_ROW * (n_rows - 1 - row) + _FOOT + 0.3) * inch
        _panel(fig.add_axes((_LEFT + column * (_WIDE + _GAP), y, _WIDE, 0.92 * inch)), e, model, i, term)
    _legend(fig.add_axes((_LEFT, 0.06 * inch, 0.93, _FOOT * inch)), e)
    return fig


def _track(axes: Axes, e: Explanation) -> None:
    p = e.track()
    steps = np.arange(len(p))
    styles = style.of_classes(e.classes)
    axes.set_xlim(-0.35, len(e.terms) + 0.35)
    axes.set_ylim(-0.03, 1.03)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
    axes.set_ylabel("Probability so far")
    axes.grid(axis="y", color=style.PALE, lw=0.6)
    axes.set_axisbelow(True)
    _bands(axes, e)
    for k, name in enumerate(e.classes):
        s = styles[name]
        axes.plot(
            steps, p[:, k], color=s.colour, ls=s.line, marker=s.marker, ms=4, lw=1.7, mec="white", mew=0.5,
            zorder=3 + (name == e.best), clip_on=False,
        )  # fmt: skip
    final = p[-1].tolist()
    texts = [f"{c} {explain_text.probability(v)}" for c, v in zip(e.classes, final, strict=True)]
    style.end_labels(axes, float(steps[-1]), final, texts, [styles[c].colour for c in e.classes], 0.085)
    labels = ["prior", *(f"{_broken(t.property)}\n{explain_text.value(t)}" for t in e.terms)]
    axes.set_xticks(steps, labels, fontsize=7)
    for tick, term in zip(axes.get_xticklabels()[1:], e.terms, strict=True):
        tick.set_color(style.GREY if term.value is None else style.INK)


def _broken(name: str) -> str:
    """Break a long name after an underscore, so that names stand side by side."""
    if len(name) <= 11:
        return name
    cuts = [i + 1 for i, letter in enumerate(name) if letter == "_"]
    cut = min(cuts, key=lambda i: abs(i - len(name) / 2), default=len(name))
    return f"{name[:cut]}\n{name[cut:]}"


def _bands(axes: Axes, e: Explanation) -> None:
    """Shade every other category, and name each with the odds that it contributes."""
    start = 0
    for i, category in enumerate(e.categories):
        n = sum(t.category == category.category for t in e.terms)
        if n == 0:
            continue
        if i % 2 == 0:
            axes.axvspan(start + 0.5, start + n + 0.5, color="#f4f4f4", lw=0, zorder=0)
        axes.text(
            start + n / 2 + 0.5, 1.045, f"{category.category}   {e.best}:{e.second} {explain_text.odds(category.nats)}",
            ha="center", va="bottom", fontsize=8, transform=axes.get_xaxis_transform(),
        )  # fmt: skip
        start += n


def _panel(axes: Axes, e: Explanation, model: Model, j: int, term: Term) -> None:
    """Densities of one property in every class, and the value of the source."""
    prop = model.properties[j]
    axes.set_title(
        term.property, loc="left", fontsize=8, pad=3, fontweight="bold",
        color=style.INK if term.value is not None else style.GREY,
    )  # fmt: skip
    axes.set_title(explain_text.odds(term.nats), loc="right", fontsize=8, pad=3)
    if term.value is None:
        _missing(axes, e, model, j)
        return
    styles = style.of_classes(e.classes)
    x = model.low[j] + model.step[j] * np.arange(model.log_density.shape[1])
    density = np.exp(model.log_density[j])
    here = np.log10(term.value) if prop.scale == "log10" and term.value > 0 else term.value
    low, high = _range(x, density, float(np.clip(here, x[0], x[-1])))
    seen = (x >= low) & (x <= high)
    for k, name in enumerate(e.classes):
        s = styles[name]
        axes.plot(x[seen], density[seen, k], color=s.colour, ls=s.line, lw=1.25)
    axes.set_xlim(low, high)
    edge = float(np.clip(here, low, high))
    colours = [styles[c].colour for c in e.classes]
    marked = max(float(np.interp(edge, x, d)) for d in density.T)
    top = style.density_top(axes, x[seen], density[seen], colours, marked, 1.28)
    axes.axvline(edge, color=style.INK, lw=1.0, zorder=4)
    for k, name in enumerate(e.classes):
        y = float(np.interp(edge, x, density[:, k]))
        axes.plot(
            edge,
            y,
            styles[name].marker,
            color=styles[name].colour,
            ms=4.2,
            mec="white",
            mew=0.5,
            zorder=5,
            clip_on=False,
        )
    rightwards = edge < (low + high) / 2
    if term.beyond:
        # beyond the table: an arrow at the frame says that the value lies farther out
        axes.plot(edge, top * 0.96, ">" if here > edge else "<", color=style.INK, ms=6, clip_on=False, zorder=6)
    axes.text(
        edge, top * 0.96, f"  {explain_text.value(term)}  ", fontsize=7.5,
        ha="left" if rightwards else "right", va="top", path_effects=_HALO, zorder=7,
    )  # fmt: skip
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.locator_params(axis="x", nbins=5)
    if prop.scale == "log10":
        ticks = np.arange(np.ceil(low), np.floor(high) + 1)
        ticks = ticks[:: max(1, -(-len(ticks) // 5))]
        axes.set_xticks(ticks, [f"{10.0**t:g}" for t in ticks])
    axes.tick_params(length=2, pad=1.5, labelsize=7)


def _range(x: np.ndarray, density: np.ndarray, here: float) -> tuple[float, float]:
    """Part of the table that holds 98 % of every class, and the source."""
    share = np.cumsum(density, axis=0)
    share /= share[-1]
    low = min(float(x[np.argmax(s > 0.01)]) for s in share.T)
    high = max(float(x[np.argmax(s >= 0.99)]) for s in share.T)
    low, high = min(low, here), max(high, here)
    margin = 0.02 * (high - low)
    return max(float(x[0]), low - margin), min(float(x[-1]), high + margin)


def _missing(axes: Axes, e: Explanation, model: Model, j: int) -> None:
    """A missing property: how often each class has it."""
    styles = style.of_classes(e.classes)
    present = np.exp(model.log_present[j])
    places = np.arange(len(e.classes))[::-1]
    axes.barh(places, present, height=0.42, color=[styles[c].colour for c in e.classes], zorder=2)
    axes.barh(places, np.ones(len(places)), height=0.42, color=style.PALE, zorder=1)
    axes.set_xlim(0, 1.3)
    axes.set_ylim(-0.6, len(e.classes) + 0.1)
    axes.set_yticks(places, e.classes)
    axes.set_xticks([])
    for place, share in zip(places, present, strict=True):
        axes.text(1.03, place, f"{share:.0%}", va="center", fontsize=7)
    axes.text(0, len(e.classes) - 0.28, "missing here; share that has it:", fontsize=7, color=style.GREY, va="center")
    axes.tick_params(length=0, pad=2, labelsize=7)
    axes.spines[:].set_visible(False)


def _legend(axes: Axes, e: Explanation) -> None:
    """Explain the lines and numbers of the panels."""
    axes.axis("off")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    styles = style.of_classes(e.classes)
    step = min(0.09, 0.6 / len(e.classes))
    for i, name in enumerate(e.classes):
        s = styles[name]
        axes.plot([step * i, step * i + 0.03], [0.85, 0.85], color=s.colour, ls=s.line, lw=1.5)
        axes.plot(step * i + 0.015, 0.85, s.marker, color=s.colour, ms=4.5, mec="white", mew=0.5)
        axes.text(step * i + 0.036, 0.85, name, va="center", color=s.colour, fontweight="bold", fontsize=8)
    axes.text(
        0, 0.6,
        "Curves: density of each class in the reference sample (a triangle on top: a narrow peak is cut). Line and"
        f" markers: this source. Upper right: factor on the odds {e.best}:{e.second}\n"
        f"(x for {e.best}, / for {e.second}), exponent included. The order of the steps does not change the end."
        f" Classify run {e.run_id}, model of run {e.model_run_id}.",
        fontsize=7, color=style.GREY, va="top", linespacing=1.3,
    )  # fmt: skip
