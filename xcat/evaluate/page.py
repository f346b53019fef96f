"""The page of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xcat.evaluate import figures, text
from xcat.output import style
from xcat.output.pages import figures_folder, write_page

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
    drawn = figures_folder(folder)
    kinds = {kind: part["methods"] for kind, part in result["folds"].items()}
    absent = [name for name in ("ablation", "learning_curve", "shift") if not result["studies"].get(name)]
    if not any(entry["probabilities"] for entry in next(iter(kinds.values())).values()):
        absent.append("reliability")
    all_figures = (
        figures.comparison, figures.confusion, figures.reliability, figures.parts, figures.ablation,
        figures.learning_curve, figures.shift,
    )  # fmt: skip
    wanted = {draw.__name__: draw for draw in all_figures if draw.__name__ not in absent}
    with style.settings():
        for name, draw in wanted.items():
            figure = draw(result)
            style.save(figure, drawn / f"{name}.png", _DPI)
            style.save(figure, drawn / f"{name}.pdf")
    return write_page(
        folder,
        "evaluation.html",
        r=result,
        figures={name: f"figures/{name}" for name in wanted},
        titles={kind: text.title(kind, part) for kind, part in result["folds"].items()},
        paired={kind: text.paired_rows(part) for kind, part in result["folds"].items() if part.get("paired")},
        own_priors={kind: text.own_prior_rows(p) for kind, p in result["folds"].items() if p.get("own_priors")},
        leaks=text.leak_rows(result["studies"].get("origin_leaks", [])),
        about_leaks=text.LEAKS,
        overall={kind: text.overall_rows(methods) for kind, methods in kinds.items()},
        classes={kind: [text.class_rows(m, name) for name in result["classes"]] for kind, m in kinds.items()},
    )
