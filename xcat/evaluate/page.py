"""The page of an evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from xcat.errors import XcatError
from xcat.evaluate import figures, text
from xcat.output import style
from xcat.output.pages import write_page

_DPI = 130


def html(result: Mapping[str, Any], folder: Path) -> Path:
    """Write the page of an evaluation.

    Parameters
    ----------
    result : mapping
        What ``xcat evaluate --json`` writes.
    folder : Path
        Made if missing; gets index.html and figures/ (PNG, and PDF for a paper).

    Returns
    -------
    Path
        The page.

    Raises
    ------
    XcatError
        The folder cannot be written to.
    """
    drawn = folder / "figures"
    try:
        drawn.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise XcatError(f"{folder}: cannot be made ({error.strerror})") from error
    studies = result["studies"]
    wanted: dict[str, Callable[[Mapping[str, Any]], Figure]] = {
        "comparison": figures.comparison,
        "confusion": figures.confusion,
        "reliability": figures.reliability,
        "parts": figures.parts,
        **{name: getattr(figures, name) for name in ("ablation", "learning_curve", "shift") if studies.get(name)},
    }
    if not any(entry["probabilities"] for entry in next(iter(result["folds"].values()))["methods"].values()):
        del wanted["reliability"]
    names = {}
    with style.settings():
        for name, draw in wanted.items():
            figure = draw(result)
            style.save(figure, drawn / f"{name}.png", _DPI)
            style.save(figure, drawn / f"{name}.pdf")
            names[name] = f"figures/{name}"
    return write_page(
        folder,
        "evaluation.html",
        r=result,
        figures=names,
        by=text.BY,
        overall={kind: text.overall_rows(part["methods"]) for kind, part in result["folds"].items()},
        classes={
            kind: [text.class_rows(part["methods"], name) for name in result["classes"]]
            for kind, part in result["folds"].items()
        },
    )
