"""How many sources of the missions are one: the report of a link run, from what the run counted."""

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
    ("with a ratio that allows for the errors", "with_flux_ratio_low"),
    ("  above 5", "ratio_low_above_5"),
)


def as_json(conn: Connection, link_run_id: int) -> dict[str, Any]:
    """The figures of a link run: pairs, reasons, missions, masters and changes.

    Raises
    ------
    XcatError
        There is no such run, it is of another kind, or it did not finish.
    """
    run = get(conn, link_run_id, "link")
    if run["status"] != "done":
        raise XcatError(f"run {link_run_id} is {run['status']}; only a finished link run has figures. See: xcat runs")
    return {"run_id": link_run_id, "name": run["name"], "started_at": run["started_at"], **run["summary"]}


def text(conn: Connection, link_run_id: int) -> str:
    """The report for a terminal; see `as_json` for the errors."""
    found = as_json(conn, link_run_id)
    lines = [
        f"Link run {link_run_id} of pipeline {found['name']}, {found['started_at'][:16].replace('T', ' ')} UTC",
        "",
        "Pairs of sources that are close enough for their errors",
    ]
    body = [["mission", "other mission", "linked", "ambiguous", "rejected"]]
    body += [_row([p["mission"], p["other"]], p, ("linked", "ambiguous", "rejected")) for p in found["pairs"]]
    lines += aligned(body, {2, 3, 4}) if found["pairs"] else ["none"]
    if found["reasons"]:
        body = [["what", "why", "pairs"], *(_row([r["status"], r["reason"]], r, ("pairs",)) for r in found["reasons"])]
        lines += ["", *aligned(body, {2})]
    counts = ("sources", "single", "linked", "ambiguous")
    body = [["mission", *counts], *(_row([m["mission"]], m, counts) for m in found["missions"])]
    lines += ["", "Sources", *aligned(body, {1, 2, 3, 4})]
    lines += ["", *aligned([[title, f"{found['masters'][key]:,}"] for title, key in _MASTERS], {1})]
    before = found["previous_link_run_id"]
    against = f"against link run {before}" if before is not None else "no link run before"
    told = ", ".join(f"{found['changes'][change]:,} {change}" for change in ("new", "moved", "marked", "gone"))
    return "\n".join([*lines, "", f"Changes of membership ({against}): {told}"])


def _row(names: list[str], counts: dict[str, Any], keys: tuple[str, ...]) -> list[str]:
    return [*names, *(f"{counts[key]:,}" for key in keys)]
