"""An evaluation as text for a terminal, and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from xcat.evaluate.protocol import SECOND
from xcat.evaluate.scores import OVERALL
from xcat.output.terminal import aligned

BY = {
    "origin": "labels of one literature source stay together, in each class",
    "source": "physical sources stay together",
    "sky": "cells of the sky of 1.4 degrees stay together",
}
_HEADS = {"accuracy": "accuracy", "macro_f1": "macro-F1", "log_loss": "log-loss", "brier": "Brier", "ece": "ECE"}


def text(result: Mapping[str, Any]) -> str:
    """The whole evaluation: figures of all methods by kind of folds, classes, confusion, studies."""
    classes: list[str] = result["classes"]
    mix = ", ".join(f"{c} {result['n_class'][c]:,}" for c in classes)
    lines = [
        f"{result['n']:,} labelled sources ({mix}), {len(result['properties'])} properties, {result['n_folds']} folds, "
        f"seeds {', '.join(map(str, result['seeds_used']))}; mean, and standard deviation over the seeds"
    ]
    for kind, part in result["folds"].items():
        methods = part["methods"]
        lines += ["", title(kind, part), *aligned(overall_rows(methods), set(range(1, 9)))]
        if part.get("own_priors"):
            lines += ["", *aligned(own_prior_rows(part), set(range(1, 5)))]
        for name in classes:
            lines += ["", *aligned(class_rows(methods, name), set(range(1, 7)))]
        if part.get("paired"):
            lines += ["", *aligned(paired_rows(part), {1, 2})]
    first_kind = next(iter(result["folds"]))
    lines += ["", f"Classified as (rows) and truly (columns), {called(first_kind)}, mean over seeds"]
    for entry in result["folds"][first_kind]["methods"].values():
        lines += ["", *aligned(confusion_rows(entry, classes), set(range(1, len(classes) + 1)))]
    lines += study_lines(result["studies"], classes)
    return "\n".join(lines)


def called(kind: str) -> str:
    """A kind of folds, or the second origin, in words."""
    return "second origin" if kind == SECOND else f"folds by {kind}"


def title(kind: str, part: Mapping[str, Any]) -> str:
    """What a kind of folds is; for a second origin, how many sources it has."""
    if kind != SECOND:
        return f"Folds by {kind}: {BY[kind]}"
    mix = ", ".join(f"{c} {n:,}" for c, n in part["n_class"].items())
    return (
        f"Second origin, {part['n']:,} sources ({mix}), {len(part['properties'])} properties: "
        f"fitted to all labelled sources, with inner folds by {part['inner_folds']}"
    )


def paired_rows(part: Mapping[str, Any]) -> list[list[str]]:
    """Log-loss of every method less that of the first, on the same sources, with intervals of 95 %."""
    pairs, methods = part["paired"], part["methods"]
    reference = methods[pairs["reference"]]["about"]
    rows = [[f"log-loss above that of {reference}", "in the sample", "at the priors"]]
    for name in pairs["log_loss"]:
        each = (pairs[of][name] for of in ("log_loss", "at_priors"))
        rows.append([methods[name]["about"], *[with_interval(e["difference"], e["interval"], "+.4f") for e in each]])
    return rows


def overall_rows(methods: Mapping[str, Any]) -> list[list[str]]:
    """Overall figures, one row per method: in the sample's mix, and at the priors."""
    rows = [["", *_HEADS.values(), "log-loss at priors", "ECE at priors", "seconds"]]
    for entry in methods.values():
        mean, spread, prior = entry["mean"], entry["spread"], entry["mean"]["at_priors"]
        figures = [with_spread(mean[name], spread[name]) for name in OVERALL]
        at_priors = [number(prior["log_loss"]), number(prior["ece"])]
        rows.append([entry["about"], *figures, *at_priors, f"{entry['seconds']:.0f}"])
    return rows


def own_prior_rows(part: Mapping[str, Any]) -> list[list[str]]:
    """Figures with priors that are estimated from the sources of a second origin, without their labels."""
    names = ("accuracy", "macro_f1", "log_loss", "ece")
    rows = [["priors estimated from these sources, without labels", *[_HEADS[name] for name in names]]]
    for name, figures in part["own_priors"].items():
        rows.append([part["methods"][name]["about"], *[number(figures[of]) for of in names]])
    return rows


def class_rows(methods: Mapping[str, Any], name: str) -> list[list[str]]:
    """Recall, precision as counted and at the priors (95 % intervals), and F1 of a class, one row per method.

    The last two columns are those of the list that should have the best F1, and its least probability.
    """
    rows = [[name, "recall", "precision", "precision at priors", "F1", "F1 of the list", "from"]]
    for entry in methods.values():
        figures, spread = entry["mean"]["classes"][name], entry["spread"]["classes"][name]
        names = ("recall", "precision", "precision_prior_corrected")
        cells = [with_interval(figures[of], figures[f"{of}_interval"]) for of in names]
        f1 = [with_spread(figures[of], spread[of]) for of in ("f1", "f1_list")]
        rows.append([entry["about"], *cells, *f1, number(figures["list_from"])])
    return rows


def confusion_rows(entry: Mapping[str, Any], classes: Sequence[str]) -> list[list[str]]:
    """Confusion matrix of a method, with the number of sources without an answer."""
    rows = [[entry["about"], *classes]]
    rows += [[c, *[f"{v:.1f}" for v in row]] for c, row in zip(classes, entry["mean"]["confusion"], strict=True)]
    unanswered = entry["mean"]["n_no_answer"]
    return [*rows, [f"no answer for {unanswered:.0f} sources"]] if unanswered else rows


_STUDIES: tuple[tuple[str, str, Callable[[Mapping[str, Any]], str]], ...] = (
    ("by_brightness", "By brightness, folds by {folds}",
     lambda r: f"{r['part']}, log Fx {r['log_fx_low']:.2f} to {r['log_fx_high']:.2f}"),
    ("by_counterparts", "By counterparts, folds by {folds}",
     lambda r: ("neither", "one of them", "optical and infrared")[r["n_counterparts"]]),
    ("learning_curve", "Learning curve ({method}, {n_folds} folds): share of the training part",
     lambda r: f"{100 * r['fraction']:.0f} %, {r['n_train']:,} sources"),
    ("ablation", "Without a property or category ({method}, {n_folds} folds)",
     lambda r: r["without"] if r["kind"] == "all" else f"without {r['without']}"),
    ("shift", "Tested on the faint half of each class, trained on", lambda r: r["training"]),
)  # fmt: skip
"""Name, title, and how a row is called, of every study."""


def study_lines(studies: Mapping[str, Any], classes: Sequence[str]) -> list[str]:
    """The studies, one table each; of those of all methods the one of the studied method, or of the first."""
    lines = []
    heads = ["", "sources", "accuracy", "macro-F1", "log-loss", "ECE", *[f"{c} F1" for c in classes]]
    for study, title, about in _STUDIES:
        rows = studies.get(study, [])
        if isinstance(rows, Mapping):
            rows = rows.get(studies["method"]) or next(iter(rows.values()), [])
        if rows:
            figures = [
                [*(r[n] for n in ("accuracy", "macro_f1", "log_loss", "ece")), *(r["f1"][c] for c in classes)]
                for r in rows
            ]
            cells = [[about(r), f"{r['n']:,}", *map(number, f)] for r, f in zip(rows, figures, strict=True)]
            titles = list(heads)
            if any("second" in r for r in rows):
                titles += ["accuracy", "log-loss of second origin"]
                for row, of_row in zip(rows, cells, strict=True):
                    of_row += [number(row.get("second", {}).get(n)) for n in ("accuracy", "log_loss")]
            lines += ["", title.format_map(studies), *aligned([titles, *cells], range(1, len(titles)))]
    if studies.get("origin_leaks"):
        lines += ["", LEAKS, *aligned(leak_rows(studies["origin_leaks"]), range(1, 5))]
    return lines + held_out_lines(studies.get("held_out_class", []))


_MEASURES = ("p_tail", "margin", "familiarity")


def held_out_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Whether members of a class that the tables do not know stand out."""
    heads = ["", "sources", *(f"{name} {figure}" for name in _MEASURES for figure in ("AUC", "recall"))]
    cells = [
        [r["class"], f"{r['n']:,}", *(number(r[name][figure]) for name in _MEASURES for figure in ("auc", "recall"))]
        for r in rows
    ]
    title = "A class held out: does it stand out? Recall at 1 % false flags"
    return ["", title, *aligned([heads, *cells], range(1, 8))] if rows else []


LEAKS = (
    "What tells the origin of a label within its class, and what tells the class, from one property: area under the "
    "curve (0.5: chance), and share of the information in the class"
)


def leak_rows(leaks: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """One row per property: areas for the second origin, for literature sources and for the class, and information."""
    rows = [["", "second origin", "literature sources", "class", "information"]]
    for leak in leaks:
        areas = (with_spread(leak[f"{of}_auc"], leak[f"{of}_auc_err"]) for of in ("origin", "literature", "class"))
        rows.append([leak["property"], *areas, f"{100 * leak['class_share']:.0f} %"])
    return rows


def number(value: float | None) -> str:
    """Write a fraction or a loss with three digits."""
    return "-" if value is None else f"{value:.3f}"


def with_spread(value: float | None, spread: float | None) -> str:
    """Write a mean with its standard deviation."""
    return number(value) if value is None or spread is None else f"{value:.3f} ± {spread:.3f}"


def with_interval(value: float | None, interval: Sequence[float | None], form: str = "") -> str:
    """Write a fraction with the ends of its interval; in another form a number that may be negative."""
    low, high = interval
    if value is None or low is None or high is None:
        return number(value)
    return f"{value:{form}} ({low:{form}} to {high:{form}})" if form else f"{value:.3f} ({low:.2f}-{high:.2f})"
