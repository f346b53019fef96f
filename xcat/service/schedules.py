"""Schedules: rows that name a pipeline file and the times at which workers run it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from psycopg.types.json import Jsonb

from xcat.config import Settings
from xcat.database.connection import Connection, ready
from xcat.database.sqlfiles import dicts, job
from xcat.errors import ConfigError, XcatError
from xcat.jobs.pipeline import Plan, read
from xcat.service import cron, hooks, queue


def add(
    settings: Settings,
    name: str,
    line: str,
    time_zone: str,
    pipeline: Path,
    data: Path,
    options: dict[str, Any] | None = None,
    hook: str | None = None,
) -> datetime:
    """Add a schedule; the time when it runs first.

    Parameters
    ----------
    settings : Settings
    name : str
        Of the schedule.
    line : str
        Cron line of five fields.
    time_zone : str
        IANA name of the time zone of the cron line.
    pipeline, data : Path
        Pipeline file and folder of its data, on the machine of the workers. Both are checked now and read for each run.
    options : dict, optional
        ``replace``, ``allow_rejects`` and ``allow_loss``, as of ``xcat run``.
    hook : str, optional
        Command or address that is told how each run ends; see `hooks.tell`.

    Raises
    ------
    ConfigError
        One of them cannot be used, or there is a schedule of this name.
    """
    cron.check(line, time_zone)
    if hook is not None:
        hooks.check(hook)
    Plan(read(pipeline), data)
    next_at = cron.following(line, time_zone, datetime.now(UTC))
    values = {
        "name": name,
        "cron": line,
        "time_zone": time_zone,
        "pipeline_file": str(pipeline.resolve()),
        "data_folder": str(data.resolve()),
        "options": Jsonb(options or {}),
        "hook": hook,
        "next_at": next_at,
    }
    with ready(settings) as conn:
        if conn.execute(job("schedule.add").compose(), values).fetchone() is None:
            raise ConfigError(f"there is a schedule {name!r} already. Remove it first: xcat schedule remove {name}")
    return next_at


def listing(settings: Settings) -> list[dict[str, Any]]:
    """All schedules by name, each with the state of its ``job``; hooks without their secrets."""
    with ready(settings) as conn:
        rows = dicts(conn.execute(job("schedule.listing").compose()))
    return [row | {"hook": row["hook"] and hooks.masked(row["hook"])} for row in rows]


def get(conn: Connection, name: str) -> dict[str, Any]:
    """One schedule.

    Raises
    ------
    XcatError
        There is none of this name.
    """
    rows = dicts(conn.execute(job("schedule.show").compose(), {"name": name}))
    if not rows:
        raise XcatError(f"there is no schedule {name!r}. See: xcat schedule list")
    return rows[0]


def pause(settings: Settings, name: str, is_paused: bool = True) -> datetime:
    """Let a schedule rest, or run again; the time when it runs next, if it does not rest."""
    with ready(settings) as conn:
        row = get(conn, name)
        next_at = cron.following(row["cron"], row["time_zone"], datetime.now(UTC))
        values = {"name": name, "is_paused": is_paused, "next_at": next_at}
        conn.execute(job("schedule.pause").compose(), values)
    return next_at


def run_now(settings: Settings, name: str) -> bool:
    """Put the job of a schedule into the queue now; False if one is waiting there already."""
    with ready(settings) as conn:
        get(conn, name)
        return queue.put(conn, name)


def remove(settings: Settings, name: str) -> None:
    """Remove a schedule, and its job if that is waiting; a run at work goes on."""
    with ready(settings) as conn:
        get(conn, name)
        conn.execute(job("schedule.queue_path").compose())  # the queue's triggers look there
        conn.execute(job("schedule.remove").compose(), {"name": name})


def tick(settings: Settings, dead_s: float, say: Callable[[str], None], now: datetime | None = None) -> None:
    """Put what is due into the queue, once however often it was missed, and give back the jobs of dead workers."""
    now = now or datetime.now(UTC)
    with ready(settings) as conn:
        ((is_mine,),) = conn.execute(job("schedule.one_tick").compose())
        if not is_mine:
            return
        for row in dicts(conn.execute(job("schedule.due").compose(), {"now": now})):
            times = row["cron"], row["time_zone"]
            n_missed = cron.count(*times, row["next_at"], now) - 1
            text = f"schedule {row['name']}: its time has come"
            if n_missed:
                text += (
                    f" {n_missed + 1} times since {row['next_at']:%Y-%m-%d %H:%M} UTC, when no worker ran; it runs once"
                )
            if not queue.put(conn, row["name"]):
                text += "; its last job still waits"
            values = {"name": row["name"], "now": now, "next_at": cron.following(*times, now)}
            conn.execute(job("schedule.ticked").compose(), values)
            say(text)
        for schedule, attempts, _ in queue.dead(conn, dead_s):
            say(f"schedule {schedule}: the worker of its job died in attempt {attempts + 1}; the job waits again")
