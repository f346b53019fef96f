"""Runs in words: their list, the whole record of one, what a load and a link run have done, and which were dropped."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from xcat.database.connection import Connection
from xcat.database.runs import get
from xcat.errors import XcatError
from xcat.output.terminal import aligned

if TYPE_CHECKING:
    from xcat.database.retention import Leaving
    from xcat.ingest.load import Loading

HEAD = ("run", "kind", "name", "status", "started", "seconds", "part of")
_LONGEST = 300
_CHECKSUM = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")
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


def text(row: Mapping[str, Any]) -> str:
    """Describe a run, as `xcat.database.runs.get` gives it, shortened where it is long."""
    from xcat.jobs import gates  # here, as below: they take long to load, and a list of runs does not need them
    from xcat.report.run import sum_rule

    steps = dict((row["summary"] or {}).get("seconds", {}))
    made = {key: value for key, value in (row["summary"] or {}).items() if key not in ("seconds", "sum_rule", "gates")}
    rule, checks = ((row["summary"] or {}).get(key) for key in ("sum_rule", "gates"))
    lines = [f"run {row['run_id']}: {row['kind']} of {row['name']}, {row['status']}"]
    for label, parts in {
        "error": str(row["error"] or "").splitlines(),
        "pinned": [row["pinned"]] if row["pinned"] else [],
        "when": [_when(row)],
        "steps": [f"{seconds:10.3f} s  {name}" for name, seconds in steps.items()],
        "read": [*_lineage(row), *(f"{name}: {_files(files)}" for name, files in (row["inputs"] or {}).items())],
        "made": _entries(made),
        "sum rule": [*sum_rule.verdict(rule), *sum_rule.lines(rule)] if rule else [],
        "gates": gates.lines(checks) if checks else [],
        "settings": _entries(row["config"] or {}),
        "software": [_plain(row["versions"] or {})],
    }.items():
        lines += [f"{label if i == 0 else '':<10}{part}" for i, part in enumerate(parts)]
    return "\n".join(lines)


def release_text(release: Mapping[str, Any]) -> str:
    """Describe a release, as `xcat.jobs.releases.show` gives it."""
    made = release["record"]
    given_up = (
        f"given up on {release['removed_at']:%Y-%m-%d}: {release['removed_why']}" if release["removed_at"] else ""
    )
    tables = [(name, f"{t['rows']:,}", t.get("checksum", "-")[:12]) for name, t in made["tables"].items()]
    lines = [f"release {release['label']}: run {made['run_id']} of {made['pipeline']}"]
    for label, parts in {
        "": [given_up] if given_up else [],
        "note": [made["note"]] if made["note"] else [],
        "when": [f"made {release['created_at']:%Y-%m-%d %H:%M} UTC, published {made['published_at'][:16]}"],
        "authors": ["; ".join(made["authors"])],
        "classes": [", ".join(made["classes"])],
        "model": [f"fit run {made['model_run_id']}"],
        "tables": aligned([("name", "rows", "checksum"), *tables], {1}),
        "read": [f"{i['catalogue']} version {i['version']}: {_files_of(i['files'])}" for i in made["inputs"]],
        "software": [_plain(made["software"])],
    }.items():
        lines += [f"{label if i == 0 else '':<10}{part}" for i, part in enumerate(parts)]
    return "\n".join(lines)


def _files_of(files: list[dict[str, Any]]) -> str:
    return _files([{"file_name": file["file"], "n_rows": file["rows"]} for file in files])


def _when(row: Mapping[str, Any]) -> str:
    started = datetime.fromisoformat(row["started_at"])
    ended = datetime.fromisoformat(row["ended_at"]) if row["ended_at"] else datetime.now(UTC)
    took = "took" if row["ended_at"] else "running for"
    return f"{started.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC, {took} {(ended - started).total_seconds():.1f} s"


def _lineage(row: Mapping[str, Any]) -> Iterator[str]:
    """Runs that this one belongs to and stands on."""
    stages = {"source": "merge", "property": "properties", "model": "fit"}
    for key, run_id in row.items():
        stage = key.removesuffix("_run_id")
        if stage != key and run_id is not None:
            yield f"{'part of ' if stage == 'pipeline' else ''}{stages.get(stage, stage)} run {run_id}"


def _files(files: Any) -> str:
    """Files of a catalogue, with their rows."""
    if not isinstance(files, list) or not all(isinstance(file, dict) for file in files):
        return _plain(files)
    names = [(file.get("file_name", file.get("name", "?")), file.get("n_rows")) for file in files]
    return ", ".join(name if n_rows is None else f"{name} ({n_rows:,} rows)" for name, n_rows in names)


def _entries(values: Mapping[str, Any]) -> Iterator[str]:
    """One line per value, or per value of a mapping that is nested further."""
    for key, value in values.items():
        if isinstance(value, dict) and any(isinstance(item, dict | list) for item in value.values()):
            yield from (f"{key} {name}: {_plain(item)}" for name, item in value.items())
        else:
            yield f"{key}: {_plain(value)}"


def _plain(value: Any) -> str:
    """A value on one line, checksums and what is long cut short."""
    if isinstance(value, dict):
        words = ", ".join(f"{key} {_plain(item)}" for key, item in value.items()) or "-"
    elif isinstance(value, list):
        words = f"[{', '.join(map(_plain, value))}]"
    elif value is None or isinstance(value, bool):
        words = {None: "-", True: "yes", False: "no"}[value]
    else:
        words = f"{value:.6g}" if isinstance(value, float) else str(value)
    words = _CHECKSUM.sub(r"\1...", words)
    return words if len(words) <= _LONGEST else f"{words[:_LONGEST]} ... (whole with --json)"


def cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    """One row of the list of runs, as texts under `HEAD`."""
    marks = " *" * bool(row["published"]) + " pinned" * (row["pinned"] is not None)
    part_of = "" if row["pipeline_run_id"] is None else str(row["pipeline_run_id"])
    started, seconds = f"{row['started_at']:%Y-%m-%d %H:%M:%S}", f"{row['seconds']:.1f}"
    return str(row["run_id"]), row["kind"], row["name"], row["status"] + marks, started, seconds, part_of


def leaving_text(leaving: Leaving) -> str:
    """Say which runs were dropped, and which sessions still read some of their tables."""
    listed = ", ".join(map(str, leaving.run_ids))
    versions = f", {leaving.n_versions} versions of catalogues" if leaving.n_versions else ""
    lines = [f"dropped: runs {listed}{versions}" if leaving.run_ids else f"nothing to drop{versions}"]
    lines += [
        f"session {reader['pid']} ({reader['who']}) still reads some of their tables; "
        "these leave the disk with the next load, publication or prune after it has ended"
        for reader in leaving.waiting
    ]
    return "\n".join(lines)


def loading_lines(name: str, loading: Loading) -> list[str]:
    """Say how many rows of a catalogue were loaded, and why others were rejected."""
    from xcat.ingest.rows import VALUE_LEFT_EMPTY

    if loading.version is not None:
        return [f"{name}: version {loading.version} holds just these files and is current again; nothing was loaded"]
    if not loading.files:
        return [f"{name}: already loaded, nothing changed ({', '.join(loading.already)})"]
    skipped = sum(file["n_skipped"] for file in loading.files)
    left_out = f", {skipped:,} left out by its definition" if skipped else ""
    text = [f"{name}: {loading.n_rows:,} rows loaded, {loading.n_rejected:,} rejected{left_out}"]
    text += [f"  {remark}" for remark in loading.remarks]
    for reject in loading.rejects:
        column = f" in column {reject['column_name']}" if reject["column_name"] else ""
        reason, shown = reject["reason"], reject["example"]
        left_empty = VALUE_LEFT_EMPTY if reason.endswith(VALUE_LEFT_EMPTY) else ""
        shown = shown if shown is None or len(shown) <= 80 else f"{shown[:80]} ..."
        text.append(
            f"  {reject['file_name']}: {reject['n']:,} x {reason.removesuffix(VALUE_LEFT_EMPTY)}{column}, "
            f"first in row {reject['first_row']:,} ({shown!r}){left_empty}"
        )
    return text


def loading_json(loading: Loading) -> dict[str, Any]:
    """What a load has done, JSON-ready."""
    return {
        "files": loading.files,
        "already_loaded": loading.already,
        "rejects": loading.rejects,
        "remarks": loading.remarks,
        "version_current_again": loading.version,
    }


def links_json(conn: Connection, link_run_id: int) -> dict[str, Any]:
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


def links_text(conn: Connection, link_run_id: int) -> str:
    """Write the counts for a terminal; see `links_json` for the errors."""
    counts = links_json(conn, link_run_id)
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
