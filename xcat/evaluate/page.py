"""The page of an evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jinja2
from matplotlib.figure import Figure

from xcat import __version__
from xcat.errors import XcatError
from xcat.evaluate import figures, text
from xcat.report import style

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
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("xcat.report"), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    page = environment.get_template("evaluation.html").render(
        r=result,
        figures=names,
        version=__version__,
        by=text.BY,
        overall={kind: text.overall_rows(part["methods"]) for kind, part in result["folds"].items()},
        classes={
            kind: [text.class_rows(part["methods"], name) for name in result["classes"]]
            for kind, part in result["folds"].items()
        },
    )
    index = folder / "index.html"
    part = folder / ".index.html.part"
    part.write_text(page, encoding="utf-8")
    part.replace(index)
    return index
