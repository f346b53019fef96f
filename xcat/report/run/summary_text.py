"""The two-part table as text, and the figures of it that text, picture and page share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xcat.output.terminal import aligned

if TYPE_CHECKING:
    from xcat.report.run.summary import Report


def priors(r: Report) -> str:
    """The priors; where they were estimated, those that were given behind them."""
    used = ", ".join(f"{c} {p:.3g}" for c, p in r.priors.items())
    if r.priors_given is None:
        return used
    return f"{used} (estimated; given were {', '.join(f'{c} {p:.3g}' for c, p in r.priors_given.items())})"


def outlier_rule(r: Report) -> str:
    """What is called an outlier."""
    return f"outliers: fewer than {100 * r.outlier_p:g} % of the members of their class are as far out, out of fold"


def percent(fraction: float | None) -> str:
    """A fraction as a percentage; what does not exist is a dash."""
    return "-" if fraction is None else f"{100 * fraction:.1f}"


def interval(ends: list[float | None]) -> str:
    """An interval of a fraction, as percentages."""
    return "-" if None in ends else f"{percent(ends[0])}-{percent(ends[1])}"


def matrix_rows(r: Report) -> list[list[str]]:
    """Rows of the left part: what sources were classified as, by what they are; then the rates of each class."""
    matrix = r.metrics["matrix"]
    body = [["classified as", *r.classes, "total"]]
    for name, row in zip(r.classes, matrix, strict=True):
        body.append([f"-> {name}", *(f"{n:,}" for n in row), f"{sum(row):,}"])
    true = [sum(column) for column in zip(*matrix, strict=True)]
    body.append(["total", *(f"{n:,}" for n in true), f"{sum(true):,}"])
    return body


def rate_rows(r: Report) -> list[tuple[str, list[str], list[str]]]:
    """Rates of each class: title, values, and 95 % intervals (empty where there are none)."""
    by_class = [r.metrics["classes"][c] for c in r.classes]
    out = []
    for title, key in (
        ("recall", "recall"), ("precision, raw", "precision"), ("precision at priors", "prior_precision"),
        ("F1, raw", "f1"), ("F1 at priors", "prior_f1"),
    ):  # fmt: skip
        ends = [interval(c[f"{key}_interval"]) if f"{key}_interval" in c else "" for c in by_class]
        out.append((f"{title} (%)", [percent(c[key]) for c in by_class], ends if any(ends) else []))
    return out


def overall_rows(r: Report) -> list[list[str]]:
    """Measures of the whole, of the sample as it is and with the mix of the priors."""
    sample, priors = r.metrics["sample"], r.metrics["at_priors"]
    body = [["", "reference sample", "at priors"]]
    for title, key, form in (
        ("accuracy (%)", "accuracy", "percent"), ("macro-F1 (%)", "macro_f1", "percent"),
        ("log-loss (nats)", "log_loss", ""),
        ("Brier score", "brier", ""), ("calibration error, ECE (%)", "ece", "percent"),
    ):  # fmt: skip
        pair = (sample[key], priors[key])
        body.append([title, *(percent(v) if form else f"{v:.3f}" for v in pair)])
    return body


def total_rows(r: Report) -> list[list[str]]:
    """Rows of the right part."""
    body = [["class", "test sample", "outliers", "all sources", "outliers"]]
    for name, t in [*((f"-> {t.name}", t) for t in r.totals), ("total", r.whole)]:
        body.append([name, *(f"{n:,}" for n in (t.test, t.test_outliers, t.all, t.all_outliers))])
    return body


def text(r: Report) -> str:
    """Write the report for a terminal."""
    shown = "published" if r.published else "not published"
    lines = [
        f"Classify run {r.run_id} of pipeline {r.pipeline}, {r.started_at[:16].replace('T', ' ')} UTC, {shown}",
        f"model of run {r.model_run_id}; priors {priors(r)}",
        r.weighting,
        "",
        f"Reference sample, out of fold: {r.n_reference:,} labelled sources (columns: what they are)",
    ]
    k = len(r.classes)
    body = matrix_rows(r)
    for title, values, ends in rate_rows(r):
        body.append([title, *values, ""])
        if ends:
            body.append(["  95 % interval", *ends, ""])
    lines += aligned(body, set(range(1, k + 2)))
    lines += ["", *aligned(overall_rows(r), {1, 2})]
    lines += [
        "",
        "Test sample (two of: optical, infrared, spectrum, several detections; not labelled), and all sources",
    ]
    lines += aligned(total_rows(r), {1, 2, 3, 4})
    lines += [outlier_rule(r)]
    n_conflicts = sum(row["sources"] for row in r.conflicts)
    if n_conflicts:
        parts = ", ".join(f"{row['sources']} {row['classes']}" for row in r.conflicts)
        lines += ["", f"Labels set aside because reference catalogues disagree: {n_conflicts} sources ({parts})"]
    return "\n".join(lines)
