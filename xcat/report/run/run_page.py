"""The page of a run: everything a reader needs to judge it, on one page that can be printed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from matplotlib.figure import Figure

from xcat.classifier.model import Model
from xcat.database.connection import Connection
from xcat.output import style
from xcat.output.chart import class_mark
from xcat.output.pages import figures_folder, write_page
from xcat.output.reading import classify_run
from xcat.output.terminal import cell_format
from xcat.report.candidates import candidates
from xcat.report.explain import drawing
from xcat.report.explain.gather import Labelled, explain
from xcat.report.run import match_figures, page_data, page_figures, sum_rule, summary, summary_figure
from xcat.report.run.summary import Report

_DPI = 110
_LISTED, _EXPLAINED = 10, 5
_WANTED = ("XRB", "LMXB", "HMXB", "ULX", "CV")
_COLUMNS = (
    *("name", "ra", "dec", "p_class", "margin", "p_tail"),
    *("n_missing", "alternative", "flux_cgs", "n_detections", "n_missions", "other_missions"),
)


def html(report: Report, conn: Connection, folder: Path | str) -> Path:
    """Write the page of a run.

    Parameters
    ----------
    folder : Path or str
        Made if missing; gets index.html and figures/.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    XcatError
        The folder cannot be written to.
    """
    folder = Path(folder)
    figures = figures_folder(folder)
    data = page_data.collect(report, conn)
    matching = data.matching
    with style.settings():
        drawn: dict[str, Figure] = {
            "two_part_table": summary_figure.figure(report),
            "reliability": page_figures.reliability(report),
            "sky": page_figures.sky(report, data),
            "densities": page_figures.densities(report, data),
            "presence": page_figures.presence(report, data),
        }
        if report.sum_rule is not None and report.sum_rule["rows"]:
            drawn["sum_rule"] = page_figures.sum_rule(report.sum_rule, report.classes)
        if data.model.pairs:
            drawn["pairs"] = page_figures.pairs(report, data)
        if matching.matches:
            drawn["matches"] = match_figures.accepted(matching)
        if matching.calibrations:
            drawn["calibration"] = match_figures.calibration(matching)
        if matching.priors:
            drawn["magnitudes"] = match_figures.priors(matching)
        for name, figure in drawn.items():
            style.save(figure, figures / f"{name}.png", 130 if name == "sky" else _DPI)
    run = classify_run(conn, report.run_id)
    listed = [name for name in _WANTED if name in report.classes and run["is_in_pub"]]
    labelled = Labelled.of(conn, run, data.model) if listed else None
    best = [_best(conn, report, data.model, labelled, name, figures) for name in listed]
    return write_page(
        folder,
        "report.html",
        r=report,
        d=data,
        figures={name: f"figures/{name}.png" for name in drawn},
        best=best,
        table=summary.two_part(report),
        marks={name: class_mark(name, report.classes) for name in report.classes},
        sum_rule=sum_rule.verdict(report.sum_rule) if report.sum_rule is not None else [],
        labels=_labels(report),
        configuration=yaml.safe_dump(data.pipeline, sort_keys=False, allow_unicode=True),
    )


def _labels(report: Report) -> list[dict[str, Any]]:
    """Labels by origin and class, one row each, with their states side by side."""
    table: dict[tuple[str, str], dict[str, Any]] = {}
    for row in report.labels:
        names = {"origin": row["origin"], "class": row["class"]}
        empty = {**names, "used": 0, "duplicate": 0, "conflict": 0, "unmapped": 0}
        table.setdefault((row["origin"], row["class"]), empty)[row["status"]] += row["sources"]
    return sorted(table.values(), key=lambda e: (e["origin"], -e["used"], e["class"]))


def _best(
    conn: Connection, report: Report, model: Model, labelled: Labelled | None, name: str, figures: Path
) -> dict[str, Any]:
    """The best candidates of a class; the first of them each have a figure of their evidence."""
    table = candidates(conn, name, limit=_LISTED, run_id=report.run_id)
    formats = {column: cell_format(table[column]) for column in _COLUMNS}
    shown = []
    for i, row in enumerate(table):
        cells = {column: write(row[column]) for column, write in formats.items()} | {"figure": ""}
        if i < _EXPLAINED:
            explanation = explain(conn, int(row["source_id"]), run_id=report.run_id, model=model, labelled=labelled)
            file = f"{name.lower()}_{row['source_id']}.png"
            drawing.draw(explanation, model, figures / file, dpi=100)
            cells["figure"] = f"figures/{file}"
        shown.append(cells)
    units = {c: "" if table[c].unit is None else table[c].unit.to_string() for c in _COLUMNS}
    return {"class": name, "rows": shown, "columns": _COLUMNS, "units": units, "total": table.meta["total_rows"]}
