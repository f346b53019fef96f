"""The poster's two-part table: how good a run is on the reference sample, and its classes of all other sources.

As data, as text, and as rows, which text, figure and page share.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from xcat.arrays import FloatArray
from xcat.classifier import summarise
from xcat.classifier.posterior import LEAST_P_TAIL
from xcat.database import partitions
from xcat.database.connection import Connection
from xcat.database.runs import get
from xcat.errors import XcatError
from xcat.jobs.frozen import held_out_run
from xcat.output.reading import Row, one, rows
from xcat.output.terminal import aligned
from xcat.report.models.model_text import weighting_text
from xcat.report.run import sum_rule

_LINEAGE = {
    "merge": "source_run_id",
    "link": "link_run_id",
    "match": "match_run_id",
    "properties": "property_run_id",
    "label": "label_run_id",
    "fit": "model_run_id",
    "pipeline": "pipeline_run_id",
}
_RATES = {
    "recall": "recall",
    "precision, raw": "precision",
    "precision at priors": "prior_precision",
    "F1, raw": "f1",
    "F1 at priors": "prior_f1",
}
_OVERALL = {
    "accuracy (%)": "accuracy",
    "macro-F1 (%)": "macro_f1",
    "log-loss (nats)": "log_loss",
    "Brier score": "brier",
    "calibration error, ECE (%)": "ece",
}


@dataclass(frozen=True)
class Totals:
    """Number of sources and objects of a class, and of outliers among the sources."""

    name: str
    test: int  #: in the test sample: classifiable by hand and not labelled
    test_outliers: int
    all: int
    all_outliers: int
    objects: int  #: each once, with the class of its best measured source, however many missions have seen it


@dataclass(frozen=True)
class Report:
    """A classify run in numbers."""

    run_id: int
    model_run_id: int
    pipeline: str
    started_at: str
    published: bool
    classes: tuple[str, ...]
    priors: dict[str, float]
    #: Out of fold, on the reference sample, from `xcat.classifier.metrics.summarise`; rows of ``matrix`` are the
    #: assigned classes, columns the true ones.
    metrics: dict[str, Any]
    n_reference: int
    totals: tuple[Totals, ...]
    outlier_p: float  #: a source is an outlier if a smaller fraction of its class is at least as extreme
    weighting: str  #: how the evidence is weighted, in words
    priors_given: dict[str, float] | None  #: priors of the pipeline, if those of the model were estimated
    labels: tuple[Row, ...]  #: counts by class, origin and status
    conflicts: tuple[Row, ...]  #: sources for which reference catalogues disagree, by the classes they name
    lineage: dict[str, int]  #: runs that the run depends on, by kind
    sum_rule: Row | None = None  #: sums of the probabilities against published numbers; None for runs of before

    @property
    def whole(self) -> Totals:
        """Sums over the classes."""
        counts = [(t.test, t.test_outliers, t.all, t.all_outliers, t.objects) for t in self.totals]
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
        number = _one_value(conn, f"report.classify_run_of_{name}", {"run_id": run_id})
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


def _one_value(conn: Connection, name: str, params: Row) -> Any:
    """Value of a statement that gives a single one."""
    row = one(conn, name, params)
    return None if row is None else next(iter(row.values()))


def report(conn: Connection, run_id: int) -> Report:
    """Collect the results of a classify run, or of the one that a fit, pipeline or publish run led to."""
    run = resolve(conn, run_id)
    keys = {"run_id": run["model_run_id"]}
    model = one(conn, "fit.part", keys, part="xcat.model", number="run_id")
    if model is None:
        raise XcatError(f"the model of run {run['run_id']} is gone (run {run['model_run_id']})")
    of_category = rows(conn, "fit.part", keys, part="xcat.model_category", number="category_id")
    priors = {row["class"]: row["prior"] for row in rows(conn, "fit.priors", keys)}
    weights = {row["category"]: row["weight"] for row in of_category}
    classes = tuple(priors)
    held_out = rows(conn, "fit.out_of_fold", keys)
    p = np.array([row["p"] for row in held_out], dtype=np.float64).reshape(len(held_out), len(classes))
    truth = np.array([classes.index(row["known_class"]) for row in held_out], dtype=np.int64)
    labels = partitions.qualified("label", run["label_run_id"])
    given = get(conn, run["model_run_id"])["summary"].get("priors_given", priors)
    estimated = any(abs(given[c] - p) > 1e-6 for c, p in priors.items())
    return Report(
        run_id=run["run_id"],
        model_run_id=run["model_run_id"],
        pipeline=run["name"],
        started_at=run["started_at"],
        published=bool(_one_value(conn, "report.is_published", {"run_id": run["run_id"]})),
        classes=classes,
        priors=priors,
        metrics=summarise(p, truth, classes, np.array(list(priors.values()))),
        n_reference=len(held_out),
        totals=_totals(classes, rows(conn, "classify.totals", run | {"held_out_run_id": held_out_run(run)})),
        outlier_p=LEAST_P_TAIL,
        weighting=weighting_text(model["weighting"], list(weights), list(weights.values()), model["sharpness"]),
        priors_given={c: given[c] for c in priors} if estimated else None,
        labels=tuple(rows(conn, "label.count", label=labels)),
        conflicts=tuple(rows(conn, "report.conflicts", run)),
        lineage={kind: run[column] for kind, column in _LINEAGE.items() if run[column] is not None},
        sum_rule=run["summary"].get("sum_rule"),
    )


def _totals(classes: tuple[str, ...], counted: list[Row]) -> tuple[Totals, ...]:
    def sums(name: str, test: bool) -> tuple[int, int]:
        rows_of_class = [row for row in counted if row["class"] == name and (not test or row["in_test_sample"])]
        return sum(row["sources"] for row in rows_of_class), sum(row["outliers"] for row in rows_of_class)

    objects = {c: sum(row["objects"] for row in counted if row["class"] == c) for c in classes}
    return tuple(Totals(c, *sums(c, True), *sums(c, False), objects[c]) for c in classes)


def as_json(result: Report) -> dict[str, Any]:
    """Give a report as JSON-ready data."""
    return {**asdict(result), "total": asdict(result.whole)}


def priors(r: Report) -> str:
    """The priors; if they were estimated, followed by those of the pipeline."""
    used, given = (", ".join(f"{c} {p:.3g}" for c, p in (of or {}).items()) for of in (r.priors, r.priors_given))
    return f"{used} (estimated; given: {given})" if given else used


def outlier_rule(r: Report) -> str:
    """Definition of an outlier."""
    return f"outliers: fewer than {100 * r.outlier_p:g} % of their class are at least as extreme, out of fold"


def objects_rule(r: Report) -> str:
    """Numbers of sources and objects, and what an object is."""
    counts = f"{r.whole.all:,} sources, {r.whole.objects:,} objects"
    return f"{counts}: one seen by several missions counts once, as its best measured source"


def percent(fraction: float | None) -> str:
    """A fraction as a percentage; a dash for None."""
    return "-" if fraction is None else f"{100 * fraction:.1f}"


def interval(ends: list[float | None]) -> str:
    """An interval of a fraction, as percentages."""
    return "-" if None in ends else f"{percent(ends[0])}-{percent(ends[1])}"


def matrix_rows(r: Report) -> list[list[str]]:
    """Rows of the left part: one per assigned class, with a column per true class."""
    matrix = r.metrics["matrix"]
    counts = [*zip([f"-> {c}" for c in r.classes], matrix, strict=True), ("total", np.sum(matrix, axis=0).tolist())]
    body = [[title, *(f"{n:,}" for n in row), f"{sum(row):,}"] for title, row in counts]
    return [["classified as", *r.classes, "total"], *body]


def shares(r: Report) -> FloatArray:
    """Fraction of each true class in each cell of the matrix, by which figure and page shade it."""
    matrix = np.array(r.metrics["matrix"], dtype=float)
    return np.asarray(matrix / np.maximum(matrix.sum(axis=0), 1))


def rate_rows(r: Report) -> list[tuple[str, list[str], list[str]]]:
    """Rates of each class: title, values, and 95 % intervals (empty where there are none)."""
    by_class = [r.metrics["classes"][c] for c in r.classes]
    out = []
    for title, key in _RATES.items():
        ends = [interval(c[f"{key}_interval"]) if f"{key}_interval" in c else "" for c in by_class]
        out.append((f"{title} (%)", [percent(c[key]) for c in by_class], ends if any(ends) else []))
    return out


def overall_rows(r: Report) -> list[list[str]]:
    """Overall metrics, for the sample as it is and re-weighted to the priors."""
    body = [["", "reference sample", "at priors"]]
    for title, key in _OVERALL.items():
        values = (r.metrics[where][key] for where in ("sample", "at_priors"))
        body.append([title, *(percent(v) if "%" in title else f"{v:.3f}" for v in values)])
    return body


def total_rows(r: Report) -> list[list[str]]:
    """Rows of the right part: sources and objects by class."""
    body = [["class", "test sample", "outliers", "all sources", "outliers", "objects"]]
    for name, t in [*((f"-> {t.name}", t) for t in r.totals), ("total", r.whole)]:
        body.append([name, *(f"{n:,}" for n in (t.test, t.test_outliers, t.all, t.all_outliers, t.objects))])
    return body


def two_part(r: Report) -> dict[str, Any]:
    """The two-part table and what stands under it, as its template takes them."""
    return {
        "matrix": matrix_rows(r),
        "rates": rate_rows(r),
        "totals": total_rows(r),
        "overall": overall_rows(r),
        "shading": shares(r).tolist(),
        "priors": priors(r),
        "outlier_rule": outlier_rule(r),
        "objects_rule": objects_rule(r),
    }


def text(r: Report) -> str:
    """Write a report for a terminal."""
    shown = "published" if r.published else "not published"
    lines = [
        f"Classify run {r.run_id} of pipeline {r.pipeline}, {r.started_at[:16].replace('T', ' ')} UTC, {shown}",
        f"model of run {r.model_run_id}; priors {priors(r)}",
        r.weighting,
        "",
        f"Reference sample, out of fold: {r.n_reference:,} labelled sources (columns: true class)",
    ]
    body = matrix_rows(r)
    for title, values, ends in rate_rows(r):
        body.append([title, *values, ""])
        body += [["  95 % interval", *ends, ""]] if ends else []
    lines += [
        *aligned(body, range(1, len(r.classes) + 2)),
        "",
        *aligned(overall_rows(r), {1, 2}),
        "",
        "Test sample (two of: optical, infrared, spectrum, several detections; not labelled), and all sources",
        *aligned(total_rows(r), {1, 2, 3, 4, 5}),
        outlier_rule(r),
        objects_rule(r),
    ]
    if r.sum_rule is not None:
        lines += ["", *sum_rule.verdict(r.sum_rule)]
    n_conflicts = sum(row["sources"] for row in r.conflicts)
    if n_conflicts:
        parts = ", ".join(f"{row['sources']} {row['classes']}" for row in r.conflicts)
        lines += ["", f"Labels set aside because reference catalogues disagree: {n_conflicts} sources ({parts})"]
    return "\n".join(lines)
