"""The commands about models: ``xcat models [RUN]`` and ``xcat diff MODEL MODEL``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import typer
from rich.table import Table as RichTable

from xcat.cli.common import AsJson, Limit, MaxRows, examples
from xcat.cli.common import out as _out
from xcat.cli.common import print_json as _json
from xcat.config import settings

commands = typer.Typer()


@commands.command(epilog=examples("xcat models --limit 5", "xcat models 11 --json"))
def models(
    run_id: Annotated[int | None, typer.Argument(metavar="[RUN]", help="Show the model of this fit run.")] = None,
    limit: Limit = 30,
    as_json: AsJson = False,
) -> None:
    """List the models, or show everything about one."""
    from xcat.database.connection import ready
    from xcat.report.models import model_list

    with ready(settings()) as conn:
        if run_id is not None:
            found = model_list.describe(conn, run_id)
            _json(found) if as_json else _tell_model(found)
            return
        rows = model_list.listing(conn, limit)
    if as_json:
        _json(rows)
        return
    table = _table("run", "name", "fitted", "weighting", "labelled sources", "accuracy", "macro-F1", "log-loss")
    for row in rows:
        counts = ", ".join(f"{c} {n:,}" for c, n in zip(row["classes"], row["n_reference"], strict=True))
        table.add_row(
            f"{row['run_id']}{' *' if row['published'] else ''}", row["name"], f"{row['started_at']:%Y-%m-%d %H:%M}",
            row["weighting"], counts, *(_number(row[key]) for key in ("accuracy", "macro_f1", "log_loss")),
        )  # fmt: skip
    _out.print(table)
    if any(row["published"] for row in rows):
        _out.print("* published; figures are out of fold, with the mix of classes of the labelled sources")
    if len(rows) == limit:
        _out.print(f"the newest {limit}; for more: --limit")


@commands.command(epilog=examples("xcat diff 11 19", "xcat diff 12 20 --max-rows 100 --json"))
def diff(
    old: Annotated[int, typer.Argument(metavar="MODEL", help="A fit run, or a classify run.")],
    new: Annotated[int, typer.Argument(metavar="MODEL", help="Another one of the same kind.")],
    max_rows: MaxRows = 20,
    as_json: AsJson = False,
) -> None:
    """Say which sources change class from one model to another, and through which property."""
    from xcat.report.models import compare

    found = compare.diff(settings(), old, new, max_rows)
    _json(found) if as_json else _tell_diff(found)


def _table(*columns: str) -> RichTable:
    return RichTable(*columns, box=None, pad_edge=False)


def _number(value: Any) -> str:
    """A few digits; "-" for what is not known."""
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _tell_model(found: dict[str, Any]) -> None:
    _out.print(
        f"model of run {found['run_id']} ({found['name']}), fitted {found['started_at']:%Y-%m-%d %H:%M}, weights by "
        f"{found['weighting']}{', published' if found['published'] else ''}",
        markup=False,
    )
    ridge = "" if found["inverse_ridge"] is None else f", ridge of C = {found['inverse_ridge']:.3g}"
    _out.print(f"sharpness {found['sharpness']:.3g}, factor on the bandwidths {found['smoothing']:.3g}{ridge}")
    for where, figures in found["out_of_fold"].items():
        words = {"sample": "out of fold", "at_priors": "at the priors"}[where]
        _out.print(f"{words}: " + ", ".join(f"{key} {_number(value)}" for key, value in figures.items()))
    table = _table("class", "labelled", "prior given", "prior used", "offset", "recall", "precision at the priors")
    keys = ("n_reference", "prior_given", "prior", "offset", "recall", "prior_precision")
    for name, row in found["classes"].items():
        table.add_row(name, *(_number(row[key]) for key in keys))
    _out.print(table)
    _out.print("weights of the categories: " + ", ".join(f"{c} {w:.3g}" for c, w in found["weights"].items()))
    classes = list(found["classes"])
    table = _table("term", "category", "weight", "errors", "limits", *(f"n {c}" for c in classes), "bandwidths")
    for term in found["terms"]:
        widths = term["bandwidth"]
        table.add_row(
            term["term"], term["category"], f"{term['weight']:.3f}",
            *("yes" if term[key] else "-" for key in ("with_errors", "with_limits")),
            *(f"{term['n_present'][c]:.0f}" for c in classes),
            "-" if widths is None else " ".join(f"{widths[c]:.3g}" for c in classes),
        )  # fmt: skip
    _out.print(table)
    _out.print(
        "weight: 1 in plain naive Bayes, 0 says nothing; n: labelled sources with a value; bandwidths on its scale"
    )
    _out.print("reads: " + ", ".join(f"{k.removesuffix('_run_id')} {v}" for k, v in found["lineage"].items() if v))
    _out.print("with: " + ", ".join(f"{k} {v}" for k, v in (found["versions"] or {}).items()), markup=False)


def _tell_diff(found: dict[str, Any]) -> None:
    of_runs, properties = found["run_ids"], found["property_run_ids"]
    where = " and ".join(str(n) for n in dict.fromkeys(properties.values()))
    _out.print(f"from run {of_runs['old']} to run {of_runs['new']}, sources of properties run {where}")
    share = found["n_changed"] / max(found["n_sources"], 1)
    _out.print(
        f"{found['n_changed']:,} of {found['n_sources']:,} sources change class ({share:.2%}); "
        f"sum of |dp| {found['sum_abs_dp']:,.2f}"
    )
    for note in found["notes"]:
        _out.print(note, markup=False)
    _tell_models(found["old"], found["new"])
    classes = found["matrix"]["classes"]
    table = _table("class was", *(f"is {c}" for c in classes))
    for name, row in zip(classes, found["matrix"]["counts"], strict=True):
        table.add_row(name, *(f"{n:,}" for n in row))
    _out.print(table)
    if found["n_changed"]:
        _tell_changes(found)
    if found["values"] is not None:
        table = _table("property", "sources with another value", "only in the new run", "only in the old run")
        for row in found["values"]:
            table.add_row(row["property"], *(f"{row[k]:,}" for k in ("n_differ", "n_only_new", "n_only_old")))
        _out.print(table)


def _tell_models(old: dict[str, Any], new: dict[str, Any]) -> None:
    """What differs in the models, line by line; nothing where they are one."""
    table = _table("of the model", "old", "new")

    def compare(what: str, one: Any, two: Any) -> None:
        if one != two:
            table.add_row(what, *(v if isinstance(v, str) else _number(v) for v in (one, two)))

    compare("run", old["run_id"], new["run_id"])
    for key in ("weighting", "sharpness", "smoothing", "inverse_ridge"):
        compare(key.replace("_", " "), old[key], new[key])
    for name in _union(old["classes"], new["classes"]):
        for key, words in (("prior", "prior"), ("offset", "offset"), ("n_reference", "labelled sources")):
            compare(f"{words} {name}", *(side["classes"].get(name, {}).get(key) for side in (old, new)))
    for name in _union(old["weights"], new["weights"]):
        compare(f"weight of the category {name}", *(side["weights"].get(name) for side in (old, new)))
    weights = [{term["term"]: term["weight"] for term in side["terms"]} for side in (old, new)]
    for name in _union(*weights):
        compare(f"weight of {name}", *(side.get(name) for side in weights))
    for key in ("log_loss", "macro_f1"):
        compare(f"{key} out of fold", *(side["out_of_fold"]["sample"][key] for side in (old, new)))
    if table.row_count:
        _out.print(table)


def _union(one: Iterable[str], two: Iterable[str]) -> list[str]:
    return list(dict.fromkeys([*one, *two]))


def _tell_changes(found: dict[str, Any]) -> None:
    keys = [key for key in ("towards_new", "by_value", "by_table") if key in found["terms"][0]]
    table = _table("term", "decided", *(key.replace("_", " ") for key in keys))
    for row in found["terms"]:
        table.add_row(row["term"], f"{row['n_decided']:,}", *(f"{row[key]:+.3f}" for key in keys))
    _out.print(table)
    _out.print("decided: sources whose change the term pushed most; towards new: mean push over all of them, in nats")
    if found["sources"]:
        table = _table("source", "was", "p", "is", "p", "most by", *(key.replace("_", " ") for key in keys))
        for row in found["sources"]:
            table.add_row(
                row["name"], row["old_class"], f"{row['old_probability']:.3f}", row["class"], f"{row['p_class']:.3f}",
                row["term"], *(f"{row[key]:+.2f}" for key in keys),
            )  # fmt: skip
        _out.print(table)
        if len(found["sources"]) < found["n_changed"]:
            _out.print(f"the {len(found['sources'])} that changed the most; for more: --max-rows")
