"""The two-part table as text, and its rows, which text, figure and page share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from xcat.output.terminal import aligned

if TYPE_CHECKING:
    from xcat.report.run.summary import Report

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


def priors(r: Report) -> str:
    """The priors; if they were estimated, followed by those of the pipeline."""
    used, given = (", ".join(f"{c} {p:.3g}" for c, p in (of or {}).items()) for of in (r.priors, r.priors_given))
    return f"{used} (estimated; given: {given})" if given else used


def outlier_rule(r: Report) -> str:
    """Definition of an outlier."""
    return f"outliers: fewer than {100 * r.outlier_p:g} % of their class are at least as extreme, out of fold"


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
    """Rows of the right part: sources by class."""
    body = [["class", "test sample", "outliers", "all sources", "outliers"]]
    for name, t in [*((f"-> {t.name}", t) for t in r.totals), ("total", r.whole)]:
        body.append([name, *(f"{n:,}" for n in (t.test, t.test_outliers, t.all, t.all_outliers))])
    return body


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
        *aligned(total_rows(r), {1, 2, 3, 4}),
        outlier_rule(r),
    ]
    n_conflicts = sum(row["sources"] for row in r.conflicts)
    if n_conflicts:
        parts = ", ".join(f"{row['sources']} {row['classes']}" for row in r.conflicts)
        lines += ["", f"Labels set aside because reference catalogues disagree: {n_conflicts} sources ({parts})"]
    return "\n".join(lines)
