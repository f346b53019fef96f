"""Panels of an explanation: where a source lies in the tables of its classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.patheffects as effects
import numpy as np
from matplotlib.axes import Axes

from xcat.arrays import FloatArray
from xcat.classifier.density import Table, levels
from xcat.classifier.model import Model
from xcat.classifier.posterior import contribution
from xcat.classifier.scales import column_to_scale
from xcat.columns.properties import property_label, property_symbol
from xcat.output import style
from xcat.report.explain import wording
from xcat.report.explain.change import nodes
from xcat.report.explain.explanation import Explanation, Term

_HALO = [effects.withStroke(linewidth=2.2, foreground="white")]


def draw(axes: Axes, e: Explanation, model: Model, term: Term) -> None:
    """Draw the panel of a term."""
    has_value = term.state in ("value", "limit")
    tone = style.INK if has_value else style.GREY
    title = heading(term.property)
    if term.axes:
        title = f"{term.axes[1]} against {term.axes[0]}"  # symbols may hold a unit, and be too long
    axes.set_title(title, loc="left", fontsize=7.5, pad=3, fontweight="bold", color=tone)
    axes.set_title(wording.odds(term.nats), loc="right", fontsize=7.5, pad=3)
    label_axis(axes, term.property)
    if not has_value and (term.axes or term.state in ("not observed", "no counterpart")):
        why = "one of the two is missing" if term.axes else term.state
        axes.text(0.5, 0.5, f"{why}:\nno contribution", ha="center", va="center", **style.NOTE)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    elif term.axes:
        _pair(axes, e, model, term)
    elif term.state == "missing":
        _missing(axes, e, model, term)
    else:
        _density(axes, e, model, term)


def heading(name: str) -> str:
    """Human name of a property, with a capital."""
    label = property_label(name)
    return label[:1].upper() + label[1:]


def label_axis(axes: Axes, name: str) -> None:
    """Label the x axis with the symbol of a property, or of the first of a pair, its unit, and the column name."""
    symbol = property_symbol(name.partition("*")[0], with_unit=True)
    axes.set_xlabel(f"{symbol}   {name}", labelpad=1.5, fontsize=6.5, color=style.GREY)


def density(table: Table, error: float | None) -> FloatArray:
    """Density at the nodes, (G, K), blurred for a value with this error."""
    level = 0
    if error is not None and table.log_smeared is not None:
        level = int(levels(np.array([error]), table.step, table.typical_error)[0])
    log_density = table.log_density if level == 0 or table.log_smeared is None else table.log_smeared[level - 1]
    return np.exp(log_density)


def span(x: FloatArray, dense: FloatArray, share: float) -> tuple[float, float]:
    """Part of a table outside which every class has at most this share at either end."""
    sums = np.cumsum(dense, axis=0)
    sums /= sums[-1]
    low = min(float(x[np.argmax(s > share)]) for s in sums.T)
    high = max(float(x[np.argmax(s >= 1.0 - share)]) for s in sums.T)
    return low, high


def ticks(axes: Axes, scale: str, low: float, high: float) -> None:
    """Ticks of the x axis, labelled with physical values; about five."""
    axes.locator_params(axis="x", nbins=5)
    if scale == "log10":
        powers = np.arange(np.ceil(low), np.floor(high) + 1)
        powers = powers[:: max(1, -(-len(powers) // 5))]
        axes.set_xticks(powers, [f"{10.0**t:g}" for t in powers])
    elif scale == "asinh":
        values = [t for t in (-1000, -100, -10, 0, 10, 100, 1000) if low <= np.arcsinh(t) <= high]
        axes.set_xticks(np.arcsinh(values), [f"{t:g}" for t in values])
    axes.tick_params(length=2, pad=1.5, labelsize=7)


def _scaled(model: Model, name: str, value: float) -> float:
    (prop,) = (p for p in model.properties if p.name == name)
    return float(column_to_scale(np.array([value]), prop)[0])


def _density(axes: Axes, e: Explanation, model: Model, term: Term) -> None:
    """Densities of one property in every class, and the value or limit of the source."""
    j = model.term_names.index(term.property)
    table = model.tables[j]
    given = term.limit if term.limit is not None else term.value
    assert given is not None
    position = _scaled(model, term.property, given)
    x, dense = nodes(table), density(table, term.error)
    edge = float(np.clip(position, x[0], x[-1]))  # where it is drawn
    low, high = span(x, dense, 0.01)
    low, high = min(low, edge), max(high, edge)
    margin = 0.02 * (high - low)
    low, high = max(float(x[0]), low - margin), min(float(x[-1]), high + margin)
    visible = (x >= low) & (x <= high)
    styles = style.of_classes(e.classes)
    for k, name in enumerate(e.classes):
        axes.plot(x[visible], dense[visible, k], color=styles[name].colour, ls=styles[name].line, lw=1.25)
    axes.set_xlim(low, high)
    marks = np.array([np.interp(edge, x, d) for d in dense.T])
    colours = [styles[c].colour for c in e.classes]
    top = style.density_top(axes, x[visible], dense[visible], colours, float(marks.max()), 1.28)
    axes.axvline(edge, color=style.INK, lw=1.0, zorder=4)
    if term.limit is not None:
        axes.axvspan(edge, high, color=style.PALE, lw=0, zorder=0)
    else:
        look: Any = {"ms": 4.2, "mec": "white", "mew": 0.5, "zorder": 5, "clip_on": False}
        for k, name in enumerate(e.classes):
            axes.plot(edge, marks[k], styles[name].marker, color=colours[k], **look)
    if term.error is not None:
        ends = np.clip([position - term.error, position + term.error], low, high)
        axes.plot(ends, [top * 0.72] * 2, color=style.INK, lw=1.0, marker="|", ms=4, zorder=4)
    rightwards = edge < (low + high) / 2
    if term.beyond or term.limit is not None:
        arrow = ">" if term.limit is not None or position > edge else "<"  # the value lies farther out
        axes.plot(edge, top * 0.96, arrow, color=style.INK, ms=6, clip_on=False, zorder=6)
    label: Any = {"fontsize": 7.5, "ha": "left" if rightwards else "right", "va": "top"}
    axes.text(edge, top * 0.96, f"  {wording.value(term)}  ", path_effects=_HALO, zorder=7, **label)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    ticks(axes, model.properties[j].scale, low, high)


def _pair(axes: Axes, e: Explanation, model: Model, term: Term) -> None:
    """Contribution of a pair to the best class minus that to the runner-up; dashed where it is negative."""
    t = model.term_names.index(term.property)
    pair = model.pairs[t - len(model.properties)]
    contributed = contribution(pair.log_ratio, model.mixing[t])
    gain = contributed[..., e.classes.index(e.best)] - contributed[..., e.classes.index(e.second)]
    at = [pair.low[i] + pair.step[i] * np.arange(gain.shape[i]) for i in (0, 1)]
    tables = [model.tables[model.term_names.index(name)] for name in pair.axes]
    limits = pair_limits(tables, at)
    contours(axes, at[0], at[1], gain, style.INK)
    values = {other.property: other.value for other in e.terms}
    position = [_scaled(model, name, value) for name in pair.axes if (value := values[name]) is not None]
    place = [float(np.clip(v, *ends)) for v, ends in zip(position, limits, strict=True)]
    axes.plot(*place, "o", ms=5, color=style.INK, mec="white", mew=0.8, zorder=5, clip_on=False)
    axes.set(xlim=limits[0], ylim=limits[1])
    key = f"grey: for {e.best}, dashed: for {e.second}"
    box = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
    axes.text(0.02, 0.96, key, transform=axes.transAxes, va="top", bbox=box, zorder=4, **style.NOTE)
    axes.locator_params(axis="y", nbins=4)
    ticks(axes, model.properties[model.term_names.index(pair.axes[0])].scale, *limits[0])


def pair_limits(tables: Sequence[Table], at: Sequence[FloatArray]) -> list[tuple[float, float]]:
    """Ends of the two axes of a pair with the nodes `at`: where both the pair and single properties have densities."""
    ends = [span(nodes(table), density(table, None), 0.005) for table in tables]
    return [(max(low, x[0]), min(high, x[-1])) for (low, high), x in zip(ends, at, strict=True)]


def contours(axes: Axes, x: FloatArray, y: FloatArray, gain: FloatArray, colour: str) -> None:
    """Contours of (G, G) nats: where they are positive, shaded with full lines; where negative, dashed ones."""
    most = max(float(np.abs(gain).max()), 1e-6)
    steps = most * np.array([0.25, 0.5, 0.75])
    if gain.max() > 0:
        axes.contourf(x, y, gain.T, levels=[0, most * 1.01], colors=[style.PALE], zorder=0)
    if gain.max() > steps[0]:
        axes.contour(x, y, gain.T, levels=steps[steps < gain.max()], colors=colour, linewidths=0.7)
    if gain.min() < -steps[0]:
        below = -steps[steps < -gain.min()][::-1]
        axes.contour(x, y, gain.T, levels=below, colors=style.GREY, linewidths=0.7, linestyles="dashed")


def _missing(axes: Axes, e: Explanation, model: Model, term: Term) -> None:
    """A missing property: the fraction of each class that has a value."""
    styles = style.of_classes(e.classes)
    present = np.exp(model.tables[model.term_names.index(term.property)].log_present)
    places = np.arange(len(e.classes))[::-1]
    axes.barh(places, present, height=0.42, color=[styles[c].colour for c in e.classes], zorder=2)
    axes.barh(places, np.ones(len(places)), height=0.42, color=style.PALE, zorder=1)
    axes.set(xlim=(0, 1.3), ylim=(-0.6, len(e.classes) + 0.1), xticks=[])
    axes.set_yticks(places, e.classes)
    for place, share in zip(places, present, strict=True):
        axes.text(1.03, place, f"{share:.0%}", va="center", fontsize=7)
    axes.text(0, len(e.classes) - 0.28, "missing here; fraction with a value:", va="center", **style.NOTE)
    axes.tick_params(length=0, pad=2, labelsize=7)
    axes.spines[:].set_visible(False)
