"""The figure of an explanation: how the probabilities move with the evidence; its panels are in panels.py."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xcat.classifier.kinds import with_tables_of_answers
from xcat.classifier.model import Model
from xcat.columns.properties import property_symbol
from xcat.output import style
from xcat.report.explain import panels, wording
from xcat.report.explain.explanation import Explanation, Term

MOST_TERMS = 12
"""Terms that have a step and a panel of their own; the others are one step together."""

_COLUMNS = 4
_LEFT, _WIDE, _GAP = 0.055, 0.2075, 0.0333  # of the width of the figure
_ROW, _FOOT = 1.62, 0.85  # height of a row of panels and of the legend below them, inches
_AFTER_STEPS = 0.78  # between the panels and the axis of the track, for the labels of the steps, inches


def draw(explanation: Explanation, model: Model, path: Path, dpi: int = 150) -> Path:
    """Draw an explanation; see `xcat.report.explain.gather.draw`."""
    with style.settings():
        return style.save(figure(explanation, model), path, dpi)


def figure(e: Explanation, model: Model) -> Figure:
    """Make the figure: the track above, one panel per term below."""
    model = with_tables_of_answers(model)
    shown, others = chosen(e)
    n_rows = max(-(-len(shown) // _COLUMNS), 1)
    bottom = _ROW * n_rows + _FOOT + _AFTER_STEPS
    height = bottom + 3.55
    fig = Figure(figsize=(11.2, height))
    inch = 1 / height
    _, place, facts, *flaws = wording.source_lines(e)
    known = f"literature: {e.known_class}" if e.known_class else "not in the reference sample"
    held_out = f";  probabilities out of fold ({e.fold} of {e.n_folds})" if e.is_out_of_fold else ""
    heads: tuple[tuple[str, Any], ...] = (
        (e.source["name"], {"fontsize": 13, "fontweight": "bold"}),
        (wording.headline(e) + held_out, {"fontsize": 8.5}),
        (f"{place.partition(',  1 sigma')[0]};  {facts};  {known}", style.NOTE),
        (textwrap.shorten(";  ".join([*flaws, wording.surroundings(e)]), 165, placeholder=" ..."), style.NOTE),
    )
    for (words, look), y in zip(heads, (0.28, 0.52, 0.71, 0.88), strict=True):
        fig.text(_LEFT, 1 - y * inch, words, va="center", **look)
    longest = max(len(name) for name in e.classes)
    width = 0.855 - 0.0085 * max(longest - 4, 0)  # room for the names at the ends of the lines
    axes = fig.add_axes((_LEFT, bottom * inch, width, (height - bottom - 1.4) * inch))
    _track(axes, e, shown, others)
    for i, term in enumerate(shown):
        row, column = divmod(i, _COLUMNS)
        y = (_ROW * (n_rows - 1 - row) + _FOOT + 0.4) * inch
        panel = fig.add_axes((_LEFT + column * (_WIDE + _GAP), y, _WIDE, 0.92 * inch))
        panels.draw(panel, e, model, term)
    _legend(fig.add_axes((_LEFT, 0.06 * inch, 0.93, _FOOT * inch)), e, bool(others))
    return fig


def chosen(e: Explanation) -> tuple[list[Term], list[Term]]:
    """Terms that are shown one by one, by category, and the others.

    Those matter most that move the best class farthest from the runner-up, or twice as far from another one.
    """
    contributed = np.array([[t.contributions[c] for c in e.classes] for t in e.terms])
    share = np.array([1.0 if c == e.second else 0.5 for c in e.classes])
    gain = (share * np.abs(contributed[:, [e.classes.index(e.best)]] - contributed)).max(axis=1)
    first = set(range(len(e.terms)))
    if len(e.terms) > MOST_TERMS:
        first = {int(i) for i in np.argsort(-gain, kind="stable")[:MOST_TERMS] if gain[i] > 0}
    order = [c.category for c in e.categories]
    shown = sorted(first, key=lambda i: (order.index(e.terms[i].category), i))
    return [e.terms[i] for i in shown], [t for i, t in enumerate(e.terms) if i not in first]


def _track(axes: Axes, e: Explanation, shown: list[Term], others: list[Term]) -> None:
    p = e.track((*shown, *others))[: len(shown) + 1]
    labels = ["prior", *(f"{_step(t)}\n{wording.value(t, with_error=False)}" for t in shown)]
    tones = [style.INK, *(style.INK if t.state in ("value", "limit") else style.GREY for t in shown)]
    if others:
        p = np.vstack([p, [e.posterior_accepted[c] for c in e.classes]])
        labels.append(f"{len(others)} others\ntogether" if len(others) > 1 else _step(others[0]))
        tones.append(style.GREY)
    last = len(p) - 1
    further = []  # probabilities that are not sums of the terms
    if e.counterpart_matters:
        further.append(("mean over\nall counter-\nparts", e.posterior_by_model))
    if e.is_out_of_fold:
        further.append(("out of fold:\nfitted with-\nout it", e.posterior))
    end = last + len(further)
    axes.set(xlim=(-0.35, end + 0.35), ylim=(-0.03, 1.03), yticks=[0, 0.25, 0.5, 0.75, 1], ylabel="Probability so far")
    axes.grid(axis="y", color=style.PALE, lw=0.6)
    axes.set_axisbelow(True)
    _bands(axes, e, shown, others)
    final = [e.posterior[c] for c in e.classes]
    styles = style.of_classes(e.classes)
    marked: Any = {"ms": 4, "lw": 1.7, "mec": "white", "mew": 0.5, "clip_on": False}
    hollow: Any = {"ls": "", "ms": 6, "mfc": "white", "mew": 1.4, "zorder": 6, "clip_on": False}
    for k, name in enumerate(e.classes):
        s = styles[name]
        over = 3 + (name == e.best)
        axes.plot(np.arange(last + 1), p[:, k], color=s.colour, ls=s.line, marker=s.marker, zorder=over, **marked)
        if further:
            x, y = np.arange(last, end + 1), [p[-1, k], *(step[name] for _, step in further)]
            axes.plot(x, y, color=s.colour, lw=0.8, ls=(0, (1, 1.5)), zorder=over)
            axes.plot(x[1:], y[1:], s.marker, mec=s.colour, **hollow)
    for i, (words, _) in enumerate(further):
        axes.axvline(last + i + 0.5, color=style.GREY, lw=0.8)
        labels.append(words)
        tones.append(style.INK)
    texts = [f"{c} {wording.probability(v)}" for c, v in zip(e.classes, final, strict=True)]
    style.end_labels(axes, float(end), final, texts, [styles[c].colour for c in e.classes], 0.085)
    axes.set_xticks(np.arange(len(labels)), labels, fontsize=6.5)
    for tick, tone in zip(axes.get_xticklabels(), tones, strict=True):
        tick.set_color(tone)


def _step(term: Term) -> str:
    """Symbol of a term, in lines that are short enough to stand side by side."""
    symbols = " x ".join(map(property_symbol, term.property.split("*")))
    return textwrap.fill(symbols, 10, break_long_words=False)


def _bands(axes: Axes, e: Explanation, shown: list[Term], others: list[Term]) -> None:
    """Shade every other category, and name each with the odds that the terms in the band contribute."""
    bands = [(c.category, [t for t in shown if t.category == c.category]) for c in e.categories]
    start = 0
    for i, (name, inside) in enumerate([*bands, ("others", others)]):
        n = len(inside) if name != "others" else min(len(inside), 1)
        if n == 0:
            continue
        if i % 2 == 0:
            axes.axvspan(start + 0.5, start + n + 0.5, color="#f4f4f4", lw=0, zorder=0)
        between = "   " if n > 2 else "\n"
        words = f"{name}{between}{e.best}:{e.second} {wording.odds(sum(t.nats for t in inside))}"
        look: Any = {"fontsize": 8 if n > 1 else 7, "linespacing": 1.1, "transform": axes.get_xaxis_transform()}
        axes.text(start + n / 2 + 0.5, 1.045, words, ha="center", va="bottom", **look)
        start += n


def _legend(axes: Axes, e: Explanation, is_cut: bool) -> None:
    """Explain the lines and numbers of the panels."""
    axes.axis("off")
    axes.set(xlim=(0, 1), ylim=(0, 1))
    step = 0.055 + 0.0085 * max(len(name) for name in e.classes)
    for i, (name, s) in enumerate(style.of_classes(e.classes).items()):
        axes.plot([step * i, step * i + 0.03], [0.85, 0.85], color=s.colour, ls=s.line, lw=1.5)
        axes.plot(step * i + 0.015, 0.85, s.marker, color=s.colour, ms=4.5, mec="white", mew=0.5)
        axes.text(step * i + 0.036, 0.85, name, va="center", color=s.colour, fontweight="bold", fontsize=8)
    words = [
        "Curves: density of each class in the reference sample, blurred by the error if there is one (a triangle on"
        " top: a narrow peak is cut). Line and markers: this source; bar: 1 sigma. Upper right: factor on the odds"
        f" {e.best}:{e.second} (x for {e.best}, / for {e.second}), weights included. The order of the steps does not"
        " change the end."
    ]
    if e.is_summed:
        words.append(f"The track uses the accepted counterpart{', then the mean over all' * e.counterpart_matters}.")
    if e.is_out_of_fold:
        words.append(f"{wording.out_of_fold(e)}; all but the last step is of the whole model, fitted with its label.")
    if is_cut:
        words.append(f"Only the {MOST_TERMS} terms that matter most have a step and a panel.")
    words.append(f"Classify run {e.run_id}, model of run {e.model_run_id}; {e.weighting}.")
    axes.text(0, 0.66, textwrap.fill(" ".join(words), 195), va="top", linespacing=1.3, **style.NOTE)
