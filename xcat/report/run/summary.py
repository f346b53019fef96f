"""The poster's two-part table: how good a run is on the reference sample, and what it says of everything else."""

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
from xcat.output.reading import Row, one, rows, words_of_weighting
from xcat.report.run import summary_figure, summary_text


@dataclass(frozen=True)
class Totals:
    """Sources that were given a class, and how many of them are outliers.

    `test` counts the test sample (classifiable by hand, and not labelled), `all` every source.
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
        Out of fold, on the reference sample, from `xcat.classifier.metrics.summarise`; rows of ``matrix`` are what
        sources were classified as, columns what they are.
    n_reference : int
    totals : tuple of Totals
    outlier_p : float
        A source is an outlier if fewer members of its class than this are as far out.
    weighting : str
        How the evidence is weighted, in words.
    priors_given : dict or None
        Priors of the pipeline, where the model has others: estimated ones.
    labels : tuple of dict
        Counts by class, origin and status.
    conflicts : tuple of dict
        Sources for which reference catalogues disagree, by the classes they name.
    lineage : dict
        Runs that the run stands on, by kind.
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
        t = self.totals
        return Totals(
            "Total", sum(x.test for x in t), sum(x.test_outliers for x in t), sum(x.all for x in t),
            sum(x.all_outliers for x in t),
        )  # fmt: skip


def resolve(conn: Connection, run_id: int) -> Row:
    """Row of the classify run that a run number means.

    A fit run stands for the newest classify run that used its model, a pipeline or publish run for the one it made.

    Raises
    ------
    XcatError
        There is no such run, it is of another kind, or nothing came of it.
    """
    run = get(conn, run_id)
    kind = run["kind"]
    meant: int | None = run_id
    if kind in ("fit", "pipeline"):
        name = "model" if kind == "fit" else "pipeline"
        meant = one_value(conn, f"report.classify_run_of_{name}", {"run_id": run_id})
    elif kind == "publish":
        meant = run["summary"].get("published_run_id")
    elif kind != "classify":
        raise XcatError(f"run {run_id} is a {kind} run; a report needs a classify, fit or pipeline run. See: xcat runs")
    if meant is None:
        raise XcatError(f"{kind} run {run_id} is {run['status']}; nothing was classified with it yet. See: xcat runs")
    found_run = get(conn, meant, "classify")
    if found_run["status"] != "done":
        raise XcatError(f"run {meant} is {found_run['status']}; there is nothing to report. See: xcat runs")
    return found_run


def one_value(conn: Connection, name: str, params: Row) -> Any:
    """The one value that a statement gives."""
    row = one(conn, name, params)
    return None if row is None else next(iter(row.values()))


def report(conn: Connection, run_id: int) -> Report:
    """Collect the numbers of a run.

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
    model = one(conn, "fit.model", keys)
    if model is None:
        raise XcatError(f"the model of run {run['run_id']} is gone (run {run['model_run_id']})")
    priors = {row["class"]: row["prior"] for row in rows(conn, "fit.model_classes", keys)}
    weights = {row["category"]: row["weight"] for row in rows(conn, "fit.model_categories", keys)}
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
        weighting=words_of_weighting(model["weighting"], list(weights), list(weights.values()), model["sharpness"]),
        priors_given=_priors_given(conn, run["model_run_id"], priors),
        labels=tuple(rows(conn, "label.count", label=labels)),
        conflicts=tuple(rows(conn, "report.conflicts", run)),
        lineage={
            kind: run[f"{column}_run_id"]
            for kind, column in (
                ("merge", "source"), ("link", "link"), ("match", "match"), ("properties", "property"),
                ("label", "label"), ("fit", "model"), ("pipeline", "pipeline"),
            )
            if run[f"{column}_run_id"] is not None
        },
    )  # fmt: skip


def _priors_given(conn: Connection, model_run_id: int, priors: dict[str, float]) -> dict[str, float] | None:
    given: dict[str, float] = get(conn, model_run_id)["summary"].get("priors_given", priors)
    return {c: given[c] for c in priors} if any(abs(given[c] - p) > 1e-6 for c, p in priors.items()) else None


def _totals(classes: tuple[str, ...], counted: list[Row]) -> tuple[Totals, ...]:
    def total(name: str, column: str, test: bool) -> int:
        return sum(row[column] for row in counted if row["class"] == name and (not test or row["in_test_sample"]))

    return tuple(
        Totals(c, total(c, "sources", True), total(c, "outliers", True), total(c, "sources", False),
               total(c, "outliers", False))
        for c in classes
    )  # fmt: skip


def as_json(result: Report) -> dict[str, Any]:
    """A report as JSON-ready data."""
    return {**asdict(result), "total": asdict(result.whole)}


def text(result: Report) -> str:
    """The two-part table to read in a terminal."""
    return summary_text.text(result)


def draw(result: Report, path: Path | str) -> Path:
    """Draw the two-part table; the ending of the path is .png, .pdf or .svg."""
    return summary_figure.draw(result, Path(path))
