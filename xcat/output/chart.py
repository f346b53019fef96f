"""Charts as SVG for pages: ink and paper from the stylesheet, scaled to the screen, with words for who cannot see them.

Nothing in them is a style attribute, so that a page can forbid these. `xcat.output.style` has the colours and markers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import count
from typing import Any

import numpy as np
from markupsafe import Markup, escape
from matplotlib.ticker import LogLocator, MaxNLocator

from xcat.output import style
from xcat.output.terminal import SUPERSCRIPT

_numbers = count(1)
_SHAPES = {
    "^": "0,-1.2 1.1,.9 -1.1,.9",
    "v": "0,1.2 1.1,-.9 -1.1,-.9",
    "<": "-1.2,0 .9,1.1 .9,-1.1",
    ">": "1.2,0 -.9,1.1 -.9,-1.1",
    "s": "-.9,-.9 .9,-.9 .9,.9 -.9,.9",
    "D": "0,-1.25 1.25,0 0,1.25 -1.25,0",
    "*": "0,-1.4 .35,-.45 1.35,-.43 .55,.2 .85,1.2 0,.6 -.85,1.2 -.55,.2 -1.35,-.43 -.35,-.45",
    "P": "-.4,-1.2 .4,-1.2 .4,-.4 1.2,-.4 1.2,.4 .4,.4 .4,1.2 -.4,1.2 -.4,.4 -1.2,.4 -1.2,-.4 -.4,-.4",
    "X": "-1.1,-.6 -.6,-1.1 0,-.5 .6,-1.1 1.1,-.6 .5,0 1.1,.6 .6,1.1 0,.5 -.6,1.1 -1.1,.6 -.5,0",
}


@dataclass(frozen=True)
class Axis:
    """One axis of a chart, from `low` on the left or at the bottom to `high`; these may descend."""

    low: float
    high: float
    label: str = ""
    is_log: bool = False
    ticks: Sequence[tuple[float, str]] | None = None
    n_ticks: int = 5

    def share(self, value: Any) -> Any:
        """Place of a value, or of an array of them, along the axis: 0 to 1."""
        low, high = self.low, self.high
        if self.is_log:
            low, high, value = math.log10(low), math.log10(high), np.log10(value)
        return (value - low) / (high - low)

    def marks(self) -> Sequence[tuple[float, str]]:
        """Places and words of the ticks."""
        if self.ticks is not None:
            return self.ticks
        low, high = sorted((self.low, self.high))
        if self.is_log:
            places = np.asarray(LogLocator(numticks=self.n_ticks + 1).tick_values(low, high))
            if np.sum((places >= low) & (places <= high)) < 2:
                places = np.asarray(LogLocator(subs=(1.0, 2.0, 5.0), numticks=9).tick_values(low, high))
        else:
            places = np.asarray(MaxNLocator(self.n_ticks).tick_values(low, high))
        little = 1e-9 * (high - low)
        inside = [float(x) for x in places if low - little <= x <= high + little]
        return [(x, power(x) if self.is_log else f"{x:g}".replace("-", "−")) for x in inside]


def power(value: float) -> str:
    """A tick of a logarithmic axis."""
    exponent = math.floor(math.log10(value) + 1e-9)
    if -3 < exponent < 4:
        return f"{value:g}"
    mantissa = value / 10.0**exponent
    head = "" if abs(mantissa - 1) < 1e-6 else f"{mantissa:g}×"
    return f"{head}10{str(exponent).translate(SUPERSCRIPT)}"


def _filled(markup: str, **values: Any) -> Markup:
    """An element with values put in; `Markup.format` does the same twenty times as slowly."""
    shown = {k: f"{v:.1f}" if isinstance(v, float | np.floating) else escape(v) for k, v in values.items()}
    return Markup(markup.format(**shown))


class Chart:
    """A drawing with two axes; the calls add to it in their order, `svg` gives it.

    Parameters
    ----------
    x, y : Axis
    width, height : float
        Units of the drawing; text has 12.
    margins : (float, float, float, float)
        Left, right, top, bottom.
    """

    def __init__(
        self,
        x: Axis,
        y: Axis,
        width: float = 440,
        height: float = 280,
        margins: tuple[float, float, float, float] = (56, 14, 14, 42),
    ) -> None:
        self.x, self.y, self.width, self.height = x, y, width, height
        self.left, right, self.top, bottom = margins
        self.right, self.bottom = width - right, height - bottom
        self._parts: list[Markup] = []

    def px(self, value: Any) -> Any:
        """Where values are from the left."""
        return self.left + (self.right - self.left) * self.x.share(value)

    def py(self, value: Any) -> Any:
        """Where values are from above."""
        return self.bottom - (self.bottom - self.top) * self.y.share(value)

    def add(self, markup: str, **values: Any) -> None:
        """Add an element; values are escaped, numbers rounded."""
        self._parts.append(_filled(markup, **values))

    def axes(self, with_grid: bool = True, with_y: bool = True) -> None:
        """Draw both axes, with ticks and labels."""
        for value, words in self.x.marks():
            x = float(self.px(value))
            self.add('<path class="axis" d="M{x},{y}v4"/>', x=x, y=self.bottom)
            self.text(x, self.bottom + 17, words, "middle", "soft")
        if with_y:
            for value, words in self.y.marks():
                y = float(self.py(value))
                if with_grid:
                    self.add('<path class="grid" d="M{x},{y}H{right}"/>', x=self.left, y=y, right=self.right)
                self.text(self.left - 7, y + 4, words, "end", "soft")
        self.add('<path class="axis" d="M{x},{y}H{right}"/>', x=self.left, y=self.bottom, right=self.right)
        if self.x.label:
            self.text((self.left + self.right) / 2, self.bottom + 36, self.x.label, "middle")
        if self.y.label and with_y:
            y = (self.top + self.bottom) / 2
            turned = (
                '<text x="13" y="{y}" font-size="12" text-anchor="middle" transform="rotate(-90 13 {y})">{words}</text>'
            )
            self.add(turned, y=y, words=self.y.label)

    def line(self, x: Any, y: Any, colour: str = "", dash: Any = "-", width: float = 1.8, css: str = "ink") -> None:
        """Draw a line through points."""
        self.path(self.px(np.asarray(x, float)), self.py(np.asarray(y, float)), colour, dash, width, css)

    def path(self, x: Any, y: Any, colour: str = "", dash: Any = "-", width: float = 1.8, css: str = "ink") -> None:
        """Draw a line through places of the drawing."""
        places = zip(np.asarray(x).tolist(), np.asarray(y).tolist(), strict=True)  # NumPy's own numbers print slowly
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
        look = Markup(f'fill="none" stroke="{colour}"' if colour else f'class="{css}"')
        dashes = "" if dash == "-" else " ".join(f"{2 * each:g}" for each in dash[1])
        more = Markup(f' stroke-dasharray="{dashes}"') if dashes else ""
        form = '<polyline points="{points}" {look} stroke-width="{width}" stroke-linejoin="round"{more}/>'
        self.add(form, points=points, look=look, width=f"{width:g}", more=more)

    def marker(
        self, x: float, y: float, shape: str = "o", colour: str = "", size: float = 4.5, title: str = ""
    ) -> None:
        """Draw a marker at values; its title is shown by browsers and read to the blind."""
        self._parts.append(marker(float(self.px(x)), float(self.py(y)), shape, colour, size, title))

    def bar(self, x: float, low: float, high: float, colour: str = "") -> None:
        """Draw an error bar along y."""
        look = Markup(f'stroke="{colour}"' if colour else 'class="ink"')
        ends = {"x": float(self.px(x)), "low": float(self.py(low)), "high": float(self.py(high)), "look": look}
        self.add('<path d="M{x},{low}V{high}" {look} stroke-width="1.3"/>', **ends)

    def limit(self, x: float, y: float, colour: str = "", title: str = "") -> None:
        """Draw an upper limit: a line with an arrow that points down."""
        look = Markup(f'stroke="{colour}"' if colour else 'class="ink"')
        at = {"x": float(self.px(x)), "y": float(self.py(y)), "look": look, "title": title}
        self.add(
            '<path d="M{x},{y}m-5,0h10m-5,0v13m-3.5,-4l3.5,4l3.5,-4" fill="none" {look} stroke-width="1.4">'
            "<title>{title}</title></path>",
            **at,
        )

    def text(self, x: float, y: float, words: str, anchor: str = "start", css: str = "", size: float = 12) -> None:
        """Write words at a place of the drawing."""
        more = Markup(f' class="{css}"') if css else ""
        self.add(
            '<text x="{x}" y="{y}" font-size="{size}" text-anchor="{anchor}"{more}>{words}</text>',
            x=float(x),
            y=float(y),
            words=words,
            anchor=anchor,
            more=more,
            size=f"{size:g}",
        )

    def svg(self, title: str, about: str) -> Markup:
        """The drawing, with a title and a text that says what is seen."""
        n = next(_numbers) % 1_000_000
        head = Markup(
            '<svg class="chart" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {h}" role="img" '
            'aria-labelledby="c{n}t c{n}d"><title id="c{n}t">{title}</title><desc id="c{n}d">{about}</desc>'
        ).format(w=f"{self.width:g}", h=f"{self.height:g}", n=n, title=title, about=about)
        return head + Markup("").join(self._parts) + Markup("</svg>")


def marker(x: float, y: float, shape: str, colour: str, size: float = 4.5, title: str = "") -> Markup:
    """A marker as an element of SVG."""
    look = Markup(f'fill="{colour}" class="paper"' if colour else 'class="dot"')
    told = Markup(f"<title>{escape(title)}</title>") if title else ""
    at: dict[str, Any] = {"x": float(x), "y": float(y), "r": f"{size:g}", "look": look, "told": told}
    if shape not in _SHAPES:
        return _filled('<circle cx="{x}" cy="{y}" r="{r}" {look}>{told}</circle>', **at)
    form = '<polygon transform="translate({x} {y}) scale({r})" points="{p}" {look} stroke-width="{w}">{told}</polygon>'
    return _filled(form, p=_SHAPES[shape], w=f"{1 / size:.2g}", **at)


@cache
def class_mark(name: str, classes: tuple[str, ...]) -> Markup:
    """A class in a text: its marker in its colour, and its name."""
    look = style.of_classes(classes)[name]
    symbol = marker(5, 5, look.marker, look.colour, 4)
    drawn = Markup('<svg viewBox="0 0 10 10" aria-hidden="true">{}</svg>').format(symbol)
    return Markup('<span class="class">{}{}</span>').format(drawn, name)


def legend(classes: Sequence[str]) -> Markup:
    """The lines and markers of the classes, as a list."""
    items = []
    for name, look in style.of_classes(classes).items():
        dashes = "" if look.line == "-" else " ".join(f"{2 * each:g}" for each in look.line[1])
        items.append(
            Markup(
                '<li><svg viewBox="0 0 38 12" aria-hidden="true"><path d="M0,6H38" stroke="{}" stroke-width="2.4" '
                'stroke-dasharray="{}"/>{}</svg>{}</li>'
            ).format(look.colour, dashes, marker(19, 6, look.marker, look.colour, 5), escape(name))
        )
    return Markup('<ul class="legend" aria-label="Classes">{}</ul>').format(Markup("").join(items))
