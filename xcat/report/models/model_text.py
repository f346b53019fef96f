"""Models: their list, everything about one of them, and the difference between two, as data and as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from xcat.arrays import FloatArray
from xcat.classifier.density import Table
from xcat.classifier.model import HOW_FITTED, Model
from xcat.classifier.pairs import PairTable
from xcat.columns.properties import property_label
from xcat.columns.registry import property_entries
from xcat.database import runs
from xcat.database.connection import Connection
from xcat.database.sqlfiles import dicts, job
from xcat.models import store
from xcat.output.terminal import aligned

_LINEAGE = ("pipeline_run_id", "source_run_id", "link_run_id", "match_run_id", "property_run_id", "label_run_id")
_WITH = {role: {entry["name"] for entry in property_entries() if role in entry} for role in ("error", "limit")}
_HEADLINE = ("accuracy", "macro_f1", "log_loss", "brier", "ece")


def listing(conn: Connection, limit: int) -> list[dict[str, Any]]:
    """Models, newest first, each as a dict; accuracy, macro_f1 and log_loss are out of fold, None if not measured."""
    return dicts(conn.execute(job("compare.models").compose(), {"run_id": None, "limit": limit}))


def term_weights(mixing: FloatArray) -> FloatArray:
    """Weight of every term as one number, (terms,).

    Parameters
    ----------
    mixing : (terms, K, K) float64
        `Model.mixing`.

    Notes
    -----
    The mean factor on the advantages of the classes: trace of the mixing in the space of vectors with the sum zero,
    over its dimension K - 1. It is 1 for plain naive Bayes, the exponent of the category for the poster's formula, 0
    for an excluded term, and does not depend on what all classes have in common.
    """
    k = mixing.shape[1]
    return np.asarray((np.trace(mixing, axis1=1, axis2=2) - mixing.sum(axis=(1, 2)) / k) / max(k - 1, 1))


def describe(conn: Connection, run_id: int) -> dict[str, Any]:
    """Everything about the model of a fit run, JSON-ready but for times.

    Raises
    ------
    XcatError
        The run made no model.
    """
    model = store.load(conn, run_id)
    run = runs.get(conn, run_id, "fit")
    (row,) = dicts(conn.execute(job("compare.models").compose(), {"run_id": run_id, "limit": 1}))
    summary = run["summary"] or {}
    out_of_fold = summary.get("out_of_fold", {})
    return {
        **{key: row[key] for key in ("run_id", "name", "started_at", "published", "weighting")},
        "classes": {
            name: {
                "n_reference": int(model.n_reference[members].sum()),
                "prior_given": summary.get("priors_given", {}).get(name),
                "prior": float(model.priors[members].sum()),
                "offset": float(model.offsets[members[0]]) if len(members) == 1 else None,
                **{key: out_of_fold.get("classes", {}).get(name, {}).get(key) for key in ("recall", "prior_precision")},
                "kinds": {model.classes[k]: _of_kind(model, k) for k in (members if len(members) > 1 else [])},
            }
            for name, members in _members(model)
        },
        "weights": dict(zip(model.categories, model.weights.tolist(), strict=True)),
        **{key: getattr(model, key) for key in HOW_FITTED},
        "terms": _terms(model),
        "out_of_fold": {
            where: {key: out_of_fold.get(where, {}).get(key) for key in _HEADLINE} for where in ("sample", "at_priors")
        },
        "config": run["config"],
        "lineage": {key: run[key] for key in _LINEAGE},
        "versions": run["versions"],
    }


def _members(model: Model) -> list[tuple[str, list[int]]]:
    """The classes, each with the numbers of its kinds, or its own."""
    index = model.answer_index
    return [(name, np.flatnonzero(index == a).tolist()) for a, name in enumerate(model.answers)]


def _of_kind(model: Model, k: int) -> dict[str, float]:
    return {
        "n_reference": int(model.n_reference[k]),
        "prior": float(model.priors[k]),
        "offset": float(model.offsets[k]),
    }


def _terms(model: Model) -> list[dict[str, Any]]:
    tables: list[Table | PairTable] = [*model.tables, *model.pairs]
    terms = zip(model.term_names, model.term_categories, term_weights(model.mixing).tolist(), tables, strict=True)
    found = []
    for name, category, weight, table in terms:
        of_class = {"n_present": dict(zip(model.classes, table.n_present.tolist(), strict=True)), "bandwidth": None}
        if isinstance(table, Table):
            of_class["bandwidth"] = dict(zip(model.classes, table.bandwidth.tolist(), strict=True))
        with_errors = isinstance(table, Table) and table.log_smeared is not None and name in _WITH["error"]
        with_limits = isinstance(table, Table) and table.log_above is not None and name in _WITH["limit"]
        used = {"with_errors": with_errors, "with_limits": with_limits}
        found.append({"term": name, "category": category, "weight": weight, **of_class, **used})
    return found


def weighting_text(weighting: str, categories: Sequence[str], weights: Sequence[float], sharpness: float) -> str:
    """How a model weighs its evidence, in words."""
    if weighting == "property":
        return "weights fitted property by property, and an offset for every class"
    alphas = ", ".join(f"{category} {weight:.3g}" for category, weight in zip(categories, weights, strict=True))
    how = "fitted" if weighting == "category" else weighting
    return f"category weights, {how}: {alphas}; sharpness {sharpness:.3g}"


def listing_text(models: list[dict[str, Any]], limit: int) -> str:
    """The list of models; see `listing`."""
    rows = [["run", "name", "fitted", "weighting", "labelled sources", "accuracy", "macro-F1", "log-loss"]]
    for m in models:
        run = f"{m['run_id']}{' *' if m['published'] else ''}"
        counts = ", ".join(f"{c} {n:,}" for c, n in zip(m["classes"], m["n_reference"], strict=True))
        metrics = [_number(m[key]) for key in ("accuracy", "macro_f1", "log_loss")]
        rows.append([run, m["name"], f"{m['started_at']:%Y-%m-%d %H:%M}", m["weighting"], counts, *metrics])
    lines = aligned(rows, {5, 6, 7})
    if any(m["published"] for m in models):
        lines.append(
            "* published; accuracy, macro-F1 and log-loss are out of fold, for the mix of classes of the labels"
        )
    if len(models) == limit:
        lines.append(f"the newest {limit}; for more: --limit")
    return "\n".join(lines)


def model_text(model: dict[str, Any]) -> str:
    """Everything about one model; see `describe`."""
    ridge = "" if model["inverse_ridge"] is None else f", ridge of C = {model['inverse_ridge']:.3g}"
    if model["category_share"] is not None:
        ridge += f", {model['category_share']:.0%} of the weights of the categories"
    lines = [
        f"model of run {model['run_id']} ({model['name']}), fitted {model['started_at']:%Y-%m-%d %H:%M}, weights by "
        f"{model['weighting']}{', published' if model['published'] else ''}",
        f"sharpness {model['sharpness']:.3g}, factor on the bandwidths {model['smoothing']:.3g}{ridge}",
    ]
    for where, words in (("sample", "out of fold"), ("at_priors", "at the priors")):
        metrics = ", ".join(f"{key} {_number(value)}" for key, value in model["out_of_fold"][where].items())
        lines.append(f"{words}: {metrics}")
    rows = [["class", "labelled", "prior given", "prior used", "offset", "recall", "precision at the priors"]]
    keys = ("n_reference", "prior_given", "prior", "offset", "recall", "prior_precision")
    for name, row in model["classes"].items():
        rows.append([name, *(_number(row[key]) for key in keys)])
        rows += [[f"  {kind}", *(_number(of.get(key)) for key in keys)] for kind, of in row["kinds"].items()]
    lines += aligned(rows, range(1, 7))
    lines.append("weights of the categories: " + ", ".join(f"{c} {w:.3g}" for c, w in model["weights"].items()))
    classes = [each for name, row in model["classes"].items() for each in row["kinds"] or [name]]
    rows = [["term", "name", "category", "weight", "errors", "limits", *(f"n {c}" for c in classes), "bandwidths"]]
    for term in model["terms"]:
        tables = ["yes" if term[key] else "-" for key in ("with_errors", "with_limits")]
        counts = [f"{term['n_present'][c]:.0f}" for c in classes]
        widths = term["bandwidth"]
        bandwidths = "-" if widths is None else " ".join(f"{widths[c]:.3g}" for c in classes)
        rows.append([*_named(term["term"]), term["category"], f"{term['weight']:.3f}", *tables, *counts, bandwidths])
    return "\n".join(
        [
            *lines,
            *aligned(rows, {3, *range(6, 6 + len(classes))}),
            "weight: 1 in plain naive Bayes, 0 if excluded; n: labelled sources with a value; bandwidths on its scale",
            "runs: " + ", ".join(f"{k.removesuffix('_run_id')} {v}" for k, v in model["lineage"].items() if v),
            "versions: " + ", ".join(f"{k} {v}" for k, v in (model["versions"] or {}).items()),
        ]
    )


def diff_text(diff: dict[str, Any]) -> str:
    """The difference between two models; see `xcat.report.models.compare.diff`."""
    of_runs = diff["run_ids"]
    where = " and ".join(str(n) for n in dict.fromkeys(diff["property_run_ids"].values()))
    share = diff["n_changed"] / max(diff["n_sources"], 1)
    differing = list(_differing(diff["old"], diff["new"]))
    classes = diff["matrix"]["classes"]
    matrix = [["class was", *(f"is {c}" for c in classes)]]
    matrix += [[c, *(f"{n:,}" for n in row)] for c, row in zip(classes, diff["matrix"]["counts"], strict=True)]
    lines = [
        f"from run {of_runs['old']} to run {of_runs['new']}, sources of properties run {where}",
        f"{diff['n_changed']:,} of {diff['n_sources']:,} sources change class ({share:.2%}); "
        f"sum of |dp| {diff['sum_abs_dp']:,.2f}",
        *diff["notes"],
        *(aligned([["of the model", "old", "new"], *differing], {1, 2}) if differing else []),
        *aligned(matrix, range(1, len(classes) + 1)),
        *(_changes(diff) if diff["n_changed"] else []),
    ]
    if diff["values"] is not None:
        rows = [["property", "name", "sources with another value", "only in the new run", "only in the old run"]]
        for row in diff["values"]:
            rows.append([*_named(row["property"]), *(f"{row[k]:,}" for k in ("n_differ", "n_only_new", "n_only_old"))])
        lines += aligned(rows, {2, 3, 4})
    return "\n".join(lines)


def _differing(old: dict[str, Any], new: dict[str, Any]) -> Iterator[list[str]]:
    """What differs in the descriptions of two models: its name and both values."""
    pairs = [("run", old["run_id"], new["run_id"])]
    pairs += [(k.replace("_", " "), old[k], new[k]) for k in ("weighting", *HOW_FITTED)]
    was, now = _with_kinds(old), _with_kinds(new)
    for name in was | now:
        for key, words in (("prior", "prior"), ("offset", "offset"), ("n_reference", "labelled sources")):
            one, two = (side.get(name, {}).get(key) for side in (was, now))
            pairs.append((f"{words} {name}", one, two))
    for name in {**old["weights"], **new["weights"]}:
        pairs.append((f"weight of the category {name}", old["weights"].get(name), new["weights"].get(name)))
    before, after = ({term["term"]: term["weight"] for term in side["terms"]} for side in (old, new))
    pairs += [(f"weight of {name}", before.get(name), after.get(name)) for name in before | after]
    for key in ("log_loss", "macro_f1"):
        pairs.append((f"{key} out of fold", *(side["out_of_fold"]["sample"][key] for side in (old, new))))
    for what, one, two in pairs:
        if one != two:
            yield [what, *(v if isinstance(v, str) else _number(v) for v in (one, two))]


def _with_kinds(described: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The classes of a model, and the kinds of each after it."""
    return {each: row for name, of in described["classes"].items() for each, row in {name: of, **of["kinds"]}.items()}


def _changes(diff: dict[str, Any]) -> list[str]:
    """Terms that caused the changes, and the sources that changed most."""
    keys = [key for key in ("towards_new", "by_value", "by_table") if key in diff["terms"][0]]
    heads = [key.replace("_", " ") for key in keys]
    rows = [["term", "name", "decided", *heads]]
    for term in diff["terms"]:
        rows.append([*_named(term["term"]), f"{term['n_decided']:,}", *(f"{term[key]:+.3f}" for key in keys)])
    lines = [
        *aligned(rows, range(2, 3 + len(keys))),
        "decided: sources that the term pushed most; towards new: mean push over all changed sources, in nats",
    ]
    if diff["sources"]:
        rows = [["source", "was", "p", "is", "p", "mostly by", *heads]]
        for row in diff["sources"]:
            classes = [row["old_class"], f"{row['old_probability']:.3f}", row["class"], f"{row['p_class']:.3f}"]
            rows.append([row["name"], *classes, row["term"], *(f"{row[key]:+.2f}" for key in keys)])
        lines += aligned(rows, {2, 4, *range(6, 6 + len(keys))})
        if len(diff["sources"]) < diff["n_changed"]:
            lines.append(f"the {len(diff['sources'])} that changed the most; for more: --max-rows")
    return lines


def _named(term: str) -> list[str]:
    """Column name and human name of a term; pairs and the prior have the first only."""
    label = property_label(term)
    return [term, "" if label == term or "*" in term else label]


def _number(value: Any) -> str:
    """Four digits; "-" for what is not known."""
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
