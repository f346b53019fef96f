"""The poster's two-part table: how good a run is on the reference sample, and its classes of all other sources."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xcat.classifier import summarise
from xcat.classifier.posterior import LEAST_P_TAIL
from xcat.database import partitions
from xcat.database.connection import Connection
from xcat.database.runs import get
from xcat.errors import XcatError
from xcat.output.reading import Row, one, rows
from xcat.report.models.model_text import weighting_text
from xcat.report.run import summary_figure, summary_text

_LINEAGE = {
    "merge": "source_run_id",
    "link": "link_run_id",
    "match": "match_run_id",
    "properties": "property_run_id",
    "label": "label_run_id",
    "fit": "model_run_id",
    "pipeline": "pipeline_run_id",
}


@dataclass(frozen=True)
class Totals:
    """Number of sources of a class, and of outliers among them: `test` in the test sample (classifiable by hand and
    not labelled), `all` among all sources.
    """

    name: str
    test: int
    test_outliers: int
    all: int
    all_outliers: int


@dataclass(frozen=True)
class Report:
    """A classify run in numbers.

    Attributes
    ----------
    run_id, model_run_id : int
    pipeline, started_at : str
    published : bool
    classes : tuple of str
    priors : dict
    metrics : dict
        Out of fold, on the reference sample, from `xcat.classifier.metrics.summarise`; rows of ``matrix`` are the
        assigned classes, columns the true ones.
    n_reference : int
    totals : tuple of Totals
    outlier_p : float
        A source is an outlier if a smaller fraction of its class is at least as extreme.
    weighting : str
        How the evidence is weighted, in words.
    priors_given : dict or None
        Priors of the pipeline, if those of the model were estimated.
    labels : tuple of dict
        Counts by class, origin and status.
    conflicts : tuple of dict
        Sources for which reference catalogues disagree, by the classes they name.
    lineage : dict
        Runs that the run depends on, by kind.
    """

    run_id: int
    model_run_id: int
    pipeline: str
    started_at: str
    published: bool
    classes: tuple[str, ...]
    priors: dict[str, float]
    metrics: dict[str, Any]
    n_reference: int
    totals: tuple[Totals, ...]
    outlier_p: float
    weighting: str
    priors_given: dict[str, float] | None
    labels: tuple[Row, ...]
    conflicts: tuple[Row, ...]
    lineage: dict[str, int]

    @property
    def whole(self) -> Totals:
        """Sums over the classes."""
        counts = [(t.test, t.test_outliers, t.all, t.all_outliers) for t in self.totals]
        return Totals("Total", *map(sum, zip(*counts, strict=True)))


def resolve(conn: Connection, run_id: int) -> Row:
    """Row of the classify run to report for a run number.

    For a fit run it is the newest classify run with its model, for a pipeline or publish run the one it made.

    Raises
    ------
    XcatError
        There is no such run, it is of another kind, or no finished classify run belongs to it.
    """
    run = get(conn, run_id)
    kind = run["kind"]
    number: int | None = run_id
    if kind in ("fit", "pipeline"):
        name = "model" if kind == "fit" else "pipeline"
        number = one_value(conn, f"report.classify_run_of_{name}", {"run_id": run_id})
    elif kind == "publish":
        number = run["summary"].get("published_run_id")
    elif kind != "classify":
        raise XcatError(f"run {run_id} is a {kind} run; a report needs a classify, fit or pipeline run. See: xcat runs")
    if number is None:
        raise XcatError(f"{kind} run {run_id} is {run['status']}; nothing was classified with it yet. See: xcat runs")
    classify_run = get(conn, number, "classify")
    if classify_run["status"] != "done":
        raise XcatError(f"run {number} is {classify_run['status']}; there is nothing to report. See: xcat runs")
    return classify_run


def one_value(conn: Connection, name: str, params: Row) -> Any:
    """Value of a statement that gives a single one."""
    row = one(conn, name, params)
    return None if row is None else next(iter(row.values()))


def report(conn: Connection, run_id: int) -> Report:
    """Collect the results of a run.

    Parameters
    ----------
    conn : Connection
    run_id : int
        A classify run, or a fit, pipeline or publish run that led to one.

    Returns
    -------
    Report
    """
    run = resolve(conn, run_id)
    keys = {"run_id": run["model_run_id"]}
    model = one(conn, "fit.part", keys, part="xcat.model", number="run_id")
    if model is None:
        raise XcatError(f"the model of run {run['run_id']} is gone (run {run['model_run_id']})")
    of_class = rows(conn, "fit.part", keys, part="xcat.model_class", number="class_id")
    of_category = rows(conn, "fit.part", keys, part="xcat.model_category", number="category_id")
    priors = {row["class"]: row["prior"] for row in of_class}
    weights = {row["category"]: row["weight"] for row in of_category}
    classes = tuple(priors)
    held_out = rows(conn, "fit.out_of_fold", keys)
    p = np.array([row["p"] for row in held_out], dtype=np.float64).reshape(len(held_out), len(classes))
    truth = np.array([classes.index(row["known_class"]) for row in held_out], dtype=np.int64)
    labels = partitions.qualified("label", run["label_run_id"])
    return Report(
        run_id=run["run_id"],
        model_run_id=run["model_run_id"],
        pipeline=run["name"],
        started_at=run["started_at"],
        published=bool(one_value(conn, "report.is_published", {"run_id": run["run_id"]})),
        classes=classes,
        priors=priors,
        metrics=summarise(p, truth, classes, np.array(list(priors.values()))),
        n_reference=len(held_out),
        totals=_totals(classes, rows(conn, "classify.totals", run)),
        outlier_p=LEAST_P_TAIL,
        weighting=weighting_text(model["weighting"], list(weights), list(weights.values()), model["sharpness"]),
        priors_given=_priors_given(conn, run["model_run_id"], priors),
        labels=tuple(rows(conn, "label.count", label=labels)),
        conflicts=tuple(rows(conn, "report.conflicts", run)),
        lineage={kind: run[column] for kind, column in _LINEAGE.items() if run[column] is not None},
    )


def _priors_given(conn: Connection, model_run_id: int, priors: dict[str, float]) -> dict[str, float] | None:
    given: dict[str, float] = get(conn, model_run_id)["summary"].get("priors_given", priors)
    return {c: given[c] for c in priors} if any(abs(given[c] - p) > 1e-6 for c, p in priors.items()) else None


def _totals(classes: tuple[str, ...], counted: list[Row]) -> tuple[Totals, ...]:
    def sums(name: str, test: bool) -> tuple[int, int]:
        rows_of_class = [row for row in counted if row["class"] == name and (not test or row["in_test_sample"])]
        return sum(row["sources"] for row in rows_of_class), sum(row["outliers"] for row in rows_of_class)

    return tuple(Totals(c, *sums(c, True), *sums(c, False)) for c in classes)


def as_json(result: Report) -> dict[str, Any]:
    """Give a report as JSON-ready data."""
    return {**asdict(result), "total": asdict(result.whole)}


def text(result: Report) -> str:
    """Write the two-part table for a terminal."""
    return summary_text.text(result)


def draw(result: Report, path: Path | str) -> Path:
    """Draw the two-part table; the ending of the path is .png, .pdf or .svg."""
    return summary_figure.draw(result, Path(path))
