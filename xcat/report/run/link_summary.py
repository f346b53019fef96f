"""How many sources the missions have in common: the counts of a link run, as text and as JSON."""

from __future__ import annotations

from typing import Any

from xcat.database.connection import Connection
from xcat.database.runs import get
from xcat.errors import XcatError
from xcat.output.terminal import aligned

_MASTERS = (
    ("master sources", "masters"),
    ("  of one mission", "of_one_mission"),
    ("  of two missions", "of_two_missions"),
    ("  of three or more", "of_more_missions"),
    ("  ambiguous, kept alone", "ambiguous"),
    ("with a flux ratio", "with_flux_ratio"),
    ("with a flux ratio allowing for the errors", "with_flux_ratio_low"),
    ("  above 5", "ratio_low_above_5"),
)


def as_json(conn: Connection, link_run_id: int) -> dict[str, Any]:
    """Counts of a link run: pairs, reasons, missions, masters and changes.

    Raises
    ------
    XcatError
        There is no such run, it is of another kind, or it did not finish.
    """
    run = get(conn, link_run_id, "link")
    if run["status"] != "done":
        raise XcatError(f"run {link_run_id} is {run['status']}; only a finished link run has counts. See: xcat runs")
    return {"run_id": link_run_id, "name": run["name"], "started_at": run["started_at"], **run["summary"]}


def text(conn: Connection, link_run_id: int) -> str:
    """Write the counts for a terminal; see `as_json` for the errors."""
    counts = as_json(conn, link_run_id)
    lines = [
        f"Link run {link_run_id} of pipeline {counts['name']}, {counts['started_at'][:16].replace('T', ' ')} UTC",
        "",
        "Pairs of sources that are close enough for their errors",
    ]
    heads = ["mission", "other mission", "linked", "ambiguous", "rejected"]
    lines += _table(heads, counts["pairs"], ("mission", "other"), tuple(heads[2:])) if counts["pairs"] else ["none"]
    if counts["reasons"]:
        lines += ["", *_table(["status", "reason", "pairs"], counts["reasons"], ("status", "reason"), ("pairs",))]
    heads = ["mission", "sources", "single", "linked", "ambiguous"]
    lines += ["", "Sources", *_table(heads, counts["missions"], ("mission",), tuple(heads[1:]))]
    lines += ["", *aligned([[title, f"{counts['masters'][key]:,}"] for title, key in _MASTERS], {1})]
    before = counts["previous_link_run_id"]
    against = f"against link run {before}" if before is not None else "no earlier link run"
    changes = ", ".join(f"{counts['changes'][change]:,} {change}" for change in ("new", "moved", "marked", "gone"))
    return "\n".join([*lines, "", f"Changes of membership ({against}): {changes}"])


def _table(heads: list[str], rows: list[dict[str, Any]], names: tuple[str, ...], counts: tuple[str, ...]) -> list[str]:
    body = [[*(row[key] for key in names), *(f"{row[key]:,}" for key in counts)] for row in rows]
    return aligned([heads, *body], range(len(names), len(heads)))
