"""Runs in words: their list, the whole record of one, and which were dropped."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from xcat.database.retention import Leaving

HEAD = ("run", "kind", "name", "status", "started", "seconds", "part of")
_LONGEST = 300
_CHECKSUM = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")


def text(row: Mapping[str, Any]) -> str:
    """Say everything about a run, shortened where it is long; the row itself is what ``--json`` prints.

    Parameters
    ----------
    row : mapping
        As `xcat.database.runs.get` gives it.
    """
    steps = dict((row["summary"] or {}).get("seconds", {}))
    made = {key: value for key, value in (row["summary"] or {}).items() if key != "seconds"}
    lines = [f"run {row['run_id']}: {row['kind']} of {row['name']}, {row['status']}"]
    for label, parts in {
        "error": str(row["error"] or "").splitlines(),
        "pinned": [row["pinned"]] if row["pinned"] else [],
        "when": [_when(row)],
        "steps": [f"{seconds:10.3f} s  {name}" for name, seconds in steps.items()],
        "read": [*_lineage(row), *(f"{name}: {_files(files)}" for name, files in (row["inputs"] or {}).items())],
        "made": _entries(made),
        "settings": _entries(row["config"] or {}),
        "software": [_plain(row["versions"] or {})],
    }.items():
        lines += [f"{label if i == 0 else '':<10}{part}" for i, part in enumerate(parts)]
    return "\n".join(lines)


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
