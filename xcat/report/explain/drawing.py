"""The figure of an explanation: how the probabilities move with the evidence; its panels are in explain_panels.py."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xcat.classifier.model import Model
from xcat.output import style
from xcat.report.explain import panels, wording
from xcat.report.explain.explanation import Term

if TYPE_CHECKING:
    from xcat.report.explain.explanation import Explanation

MOST_TERMS = 12
"""Terms that have a step and a panel of their own; the others are one step together."""

_COLUMNS = 4
_LEFT, _WIDE, _GAP = 0.055, 0.2075, 0.0333  # of the width of the figure
_ROW, _FOOT = 1.52, 0.7  # inches that a row of panels takes, and the legend below them


def draw(explanation: Explanation, model: Model, path: Path, dpi: int = 150) -> Path:
    """Draw an explanation; see `xcat.report.explain.gather.draw`."""
    with style.settings():
        return style.save(figure(explanation, model), path, dpi)


def figure(e: Explanation, model: Model) -> Figure:
    """Make the figure: the track above, one panel a term below."""
    shown, others = chosen(e)
    n_rows = max(-(-len(shown) // _COLUMNS), 1)
    height = 4.27 + _ROW * n_rows + _FOOT
    fig = Figure(figsize=(11.2, height))
    inch = 1 / height
    place, facts = wording.source_lines(e)[1:]
    known = f"literature: {e.known_class}" if e.known_class else "not in the reference sample"
    headline = wording.headline(e)
    headline += f";  probabilities out of fold ({e.fold} of {e.n_folds})" if e.is_out_of_fold else ""
    fig.text(_LEFT, 1 - 0.28 * inch, e.source["name"], fontsize=13, fontweight="bold", va="center")
    fig.text(_LEFT, 1 - 0.52 * inch, headline, fontsize=9, va="center")
    fig.text(
        _LEFT, 1 - 0.71 * inch, f"{place.partition(',  1 sigma')[0]};  {facts};  {known}", fontsize=7.5,
        color=style.GREY, va="center",
    )  # fmt: skip
    around = textwrap.shorten(wording.surroundings(e), 165, placeholder=" ...")
    fig.text(_LEFT, 1 - 0.88 * inch, around, fontsize=7.5, color=style.GREY, va="center")
    bottom = _ROW * n_rows + _FOOT + 0.72
    longest = max(len(name) for name in e.classes)
    width = 0.855 - 0.0085 * max(longest - 4, 0)  # room for the names at the ends of the lines
    axes = fig.add_axes((_LEFT, bottom * inch, width, (height - bottom - 1.4) * inch))
    _track(axes, e, shown, others)
    for i, term in enumerate(shown):
        row, column = divmod(i, _COLUMNS)
        y = (_ROW * (n_rows - 1 - row) + _FOOT + 0.3) * inch
        panel = fig.add_axes((_LEFT + column * (_WIDE + _GAP), y, _WIDE, 0.92 * inch))
        panels.draw(panel, e, model, term)
    _legend(fig.add_axes((_LEFT, 0.06 * inch, 0.93, _FOOT * inch)), e, bool(others))
    return fig


def chosen(e: Explanation) -> tuple[list[Term], list[Term]]:
    """Terms that are shown one by one, by category, and the others.

    Those matter most that move the best class farthest from the runner-up, or twice as far from another one.
    """
    said = np.array([[t.said[c] for c in e.classes] for t in e.terms])
    share = np.array([1.0 if c == e.second else 0.5 for c in e.classes])
    gain = (share * np.abs(said[:, [e.classes.index(e.best)]] - said)).max(axis=1)
    if len(e.terms) <= MOST_TERMS:
        first = set(range(len(e.terms)))
    else:
        first = {int(i) for i in np.argsort(-gain, kind="stable")[:MOST_TERMS] if gain[i] > 0}
    order = [c.category for c in e.categories]
    shown = sorted((i for i in first), key=lambda i: (order.index(e.terms[i].category), i))
    return [e.terms[i] for i in shown], [t for i, t in enumerate(e.terms) if i not in first]


def _track(axes: Axes, e: Explanation, shown: list[Term], others: list[Term]) -> None:
    p = e.track((*shown, *others))[: len(shown) + 1]
    labels = ["prior", *(f"{_broken(t.property)}\n{wording.value(t, with_error=False)}" for t in shown)]
    tones = [style.INK, *(style.INK if t.state in ("value", "limit") else style.GREY for t in shown)]
    accepted = np.array([e.posterior_accepted[c] for c in e.classes])
    if others:
        p = np.vstack([p, accepted])
        labels.append(f"{len(others)} others\ntogether" if len(others) > 1 else _broken(others[0].property))
        tones.append(style.GREY)
    last = len(p) - 1
    styles = style.of_classes(e.classes)
    further = []  # probabilities that are no sum of the terms
    if e.counterpart_matters:
        further.append(("mean over\nall counter-\nparts", e.posterior_by_model))
    if e.is_out_of_fold:
        further.append(("out of fold:\nfitted with-\nout it", e.posterior))
    end = last + len(further)
    axes.set_xlim(-0.35, end + 0.35)
    axes.set_ylim(-0.03, 1.03)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
    axes.set_ylabel("Probability so far")
    axes.grid(axis="y", color=style.PALE, lw=0.6)
    axes.set_axisbelow(True)
    _bands(axes, e, shown, others)
    final = [e.posterior[c] for c in e.classes]
    for k, name in enumerate(e.classes):
        s = styles[name]
        over = 3 + (name == e.best)
        axes.plot(
            np.arange(last + 1), p[:, k], color=s.colour, ls=s.line, marker=s.marker, ms=4, lw=1.7, mec="white",
            mew=0.5, zorder=over, clip_on=False,
        )  # fmt: skip
        if further:
            x, y = np.arange(last, end + 1), [p[-1, k], *(step[name] for _, step in further)]
            axes.plot(x, y, color=s.colour, lw=0.8, ls=(0, (1, 1.5)), zorder=over)
            axes.plot(
                x[1:], y[1:], s.marker, ls="", ms=6, mfc="white", mec=s.colour, mew=1.4, zorder=6, clip_on=False,
            )  # fmt: skip
    for i, (words, _) in enumerate(further):
        axes.axvline(last + i + 0.5, color=style.GREY, lw=0.8)
        labels.append(words)
        tones.append(style.INK)
    texts = [f"{c} {wording.probability(v)}" for c, v in zip(e.classes, final, strict=True)]
    style.end_labels(axes, float(end), final, texts, [styles[c].colour for c in e.classes], 0.085)
    axes.set_xticks(np.arange(len(labels)), labels, fontsize=7)
    for tick, tone in zip(axes.get_xticklabels(), tones, strict=True):
        tick.set_color(tone)


def _broken(name: str) -> str:
    """Break a long name after an underscore or before a star, so that names stand side by side."""
    if len(name) <= 11:
        return name
    if "*" in name:
        return name.replace("*", "\nx ")
    cuts = [i + 1 for i, letter in enumerate(name) if letter == "_"]
    cut = min(cuts, key=lambda i: abs(i - len(name) / 2), default=len(name))
    return f"{name[:cut]}\n{name[cut:]}"


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
        factor = wording.odds(sum(t.nats for t in inside))
        words = f"{name}   {e.best}:{e.second} {factor}" if n > 2 else f"{name}\n{e.best}:{e.second} {factor}"
        axes.text(
            start + n / 2 + 0.5, 1.045, words, ha="center", va="bottom", fontsize=8 if n > 1 else 7, linespacing=1.1,
            transform=axes.get_xaxis_transform(),
        )  # fmt: skip
        start += n


def _legend(axes: Axes, e: Explanation, is_cut: bool) -> None:
    """Explain the lines and numbers of the panels."""
    axes.axis("off")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    styles = style.of_classes(e.classes)
    step = 0.055 + 0.0085 * max(len(name) for name in e.classes)
    for i, name in enumerate(e.classes):
        s = styles[name]
        axes.plot([step * i, step * i + 0.03], [0.85, 0.85], color=s.colour, ls=s.line, lw=1.5)
        axes.plot(step * i + 0.015, 0.85, s.marker, color=s.colour, ms=4.5, mec="white", mew=0.5)
        axes.text(step * i + 0.036, 0.85, name, va="center", color=s.colour, fontweight="bold", fontsize=8)
    accepted = " The track is that of the accepted counterpart" if e.is_summed else ""
    accepted += ", then the mean over all." if e.counterpart_matters else "." if accepted else ""
    if e.is_out_of_fold:
        accepted += f" {wording.out_of_fold(e)}; all but the last step is of the whole model, which has seen its label."
    others = f" Only the {MOST_TERMS} terms that matter most have a step and a panel." if is_cut else ""
    words = (
        "Curves: density of each class in the reference sample, blurred by the error where there is one (a triangle on"
        " top: a narrow peak is cut). Line and markers: this source; bar: 1 sigma. Upper right: factor on the odds"
        f" {e.best}:{e.second} (x for {e.best}, / for {e.second}), weights included. The order of the steps does not"
        f" change the end.{accepted}{others} Classify run {e.run_id}, model of run {e.model_run_id}; {e.weighting}."
    )
    axes.text(0, 0.66, textwrap.fill(words, 190), fontsize=7, color=style.GREY, va="top", linespacing=1.3)
