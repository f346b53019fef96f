"""Style of the figures: colours that colour-blind readers and black-and-white printers can tell apart.

The colours are those of Okabe & Ito (2008, jfly.uni-koeln.de/color); every class also has a line style and a marker.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xcat.arrays import FloatArray
from xcat.atomic import FIGURES, check_new
from xcat.errors import XcatError

INK, GREY, PALE = "#222222", "#767676", "#e4e4e4"
NOTE: Any = {"fontsize": 7, "color": GREY}
"""Look of small remarks."""
_SETTINGS: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
}


class ClassStyle(NamedTuple):
    """Colour, line and marker of a class."""

    colour: str
    line: Any
    marker: str


_KNOWN = {
    "AGN": ClassStyle("#0072B2", "-", "o"),
    "Star": ClassStyle("#E69F00", (0, (5, 1.5)), "^"),
    "XRB": ClassStyle("#D55E00", (0, (5, 1.2, 1.2, 1.2)), "s"),
    "CV": ClassStyle("#009E73", (0, (1.2, 1.1)), "D"),
}
_OTHERS = (
    ClassStyle("#CC79A7", (0, (3, 1, 1, 1, 1, 1)), "v"),
    ClassStyle("#56B4E9", (0, (8, 2)), "P"),
    ClassStyle("#000000", (0, (2, 2)), "X"),
    ClassStyle("#999999", "-", "*"),
    ClassStyle("#8C510A", (0, (6, 1.5, 1, 1.5, 1, 1.5)), "<"),
    ClassStyle("#6A51A3", (0, (1, 2.5)), ">"),
)


def of_classes(classes: Sequence[str]) -> dict[str, ClassStyle]:
    """Style of every class; those of the poster always have the same. Up to ten classes are distinct."""
    others = [c for c in classes if c not in _KNOWN]
    free = [*_OTHERS, *(s for name, s in _KNOWN.items() if name not in classes)]
    return {c: _KNOWN[c] if c in _KNOWN else free[others.index(c) % len(free)] for c in classes}


def settings() -> Any:
    """Context manager within which figures are made and saved."""
    return rc_context(_SETTINGS)


def save(figure: Figure, path: Path, dpi: int = 150) -> Path:
    """Write a figure in the format of the ending of its name.

    Raises
    ------
    XcatError
        The ending is not .png, .pdf or .svg, or the file cannot be written.
    """
    check_new(path, FIGURES, overwrite=True)
    try:
        figure.savefig(path, dpi=dpi)
    except OSError as error:
        raise XcatError(f"{path}: cannot be written ({error.strerror or error})") from error
    return path


def density_top(
    axes: Axes, x: FloatArray, density: FloatArray, colours: Sequence[str], least: float = 0.0, room: float = 1.05
) -> float:
    """Scale an axis to densities and return its upper end.

    A peak narrower than a hundredth of the panel is cut and marked by a triangle.

    Parameters
    ----------
    x : (G,) array
    density : (G, K) array
    colours : sequence of K str
    least : float
        Density that must be visible.
    room : float
        Height of the axis over the highest density.
    """
    top = room * max(float(np.quantile(density, 0.99, axis=0).max()), least)
    axes.set_ylim(0, top)
    for k, colour in enumerate(colours):
        if density[:, k].max() > top:
            axes.plot(x[density[:, k].argmax()], top, "^", color=colour, ms=5, clip_on=False, zorder=6)
    return top


def spread(values: Sequence[float], least: float, low: float, high: float) -> list[float]:
    """Move labels apart: positions near `values`, in their order, at least `least` apart, in [low, high]."""
    from scipy.optimize import isotonic_regression  # here: it takes long to load, and texts need no labels

    order = np.argsort(values, kind="stable")
    steps = least * np.arange(len(order))
    # places less their steps must not decrease: the least squares answer is an isotonic regression
    place = isotonic_regression(np.clip(np.asarray(values, dtype=float)[order], low, high) - steps).x
    out = np.empty(len(order))
    out[order] = np.clip(place, low, max(low, high - steps[-1])) + steps
    return out.tolist()


def end_labels(
    axes: Axes, x: float, values: Sequence[float], texts: Sequence[str], colours: Sequence[str], least: float
) -> None:
    """Write labels to the right of the ends of lines, moved apart, each with a thin leader line."""
    low, high = axes.get_ylim()
    places = spread(values, least, low, high)
    left, right = axes.get_xlim()
    step = (right - left) * 0.012
    for value, place, text, colour in zip(values, places, texts, colours, strict=True):
        axes.plot(
            [x + 0.6 * step, x + 2.4 * step], [value, place], color=colour, lw=0.7, clip_on=False, solid_capstyle="butt"
        )
        axes.text(x + 2.9 * step, place, text, color=colour, va="center", ha="left", fontweight="bold", clip_on=False)
