"""Runs at work: what each does, how far it is, and how long it still takes if it goes on like the last one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from xcat.database.connection import Connection
from xcat.database.sqlfiles import dicts, job
from xcat.jobs.runner import STAGES

_SILENT_S = 15.0


def listing(conn: Connection) -> list[dict[str, Any]]:
    """Runs at work, those of a pipeline without their stages; ``left_s`` is None if nothing is known of it."""
    with conn.transaction():
        rows = dicts(conn.execute(job("turns.at_work").compose()))
        return [row | {"left_s": _left_s(conn, row)} for row in rows]


def _left_s(conn: Connection, row: Mapping[str, Any]) -> float | None:
    """What the stage at work and those after it took the last time, less what has been spent on it."""
    took = {r["kind"]: r["seconds"] for r in dicts(conn.execute(job("turns.took").compose(), {"name": row["name"]}))}
    if row["stage"] not in took:
        return None
    after = STAGES[STAGES.index(row["stage"]) + 1 :] if row["kind"] == "pipeline" and row["stage"] in STAGES else ()
    started_at = row["stage_started_at"] or row["started_at"]
    spent_s = (datetime.now(UTC) - started_at).total_seconds()
    of_stage_s = took[row["stage"]]
    return float(max(of_stage_s - spent_s, 0.0) + sum(took.get(kind, 0.0) for kind in after))


def line(row: Mapping[str, Any]) -> str:
    """Describe one of them in one line."""
    parts = [f"run {row['run_id']} {row['name']}", row["stage"] or "between two stages"]
    parts += [row["step"]] if row["step"] else []
    parts += [f"{row['share_done']:.0%} of it"] if row["share_done"] is not None else []
    parts += [f"since {_duration(row['seconds'])}"]
    parts += [] if row["left_s"] is None else [f"about {_duration(row['left_s'])} left, by the last run"]
    if row["silent_s"] > _SILENT_S:
        parts += [f"silent for {_duration(row['silent_s'])} (process {row['pid']} on {row['host']})"]
    return ", ".join(parts)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
