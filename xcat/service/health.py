"""Whether xcat does its work: what somebody who watches it needs to know, without starting anything."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from xcat.config import Settings
from xcat.database import orphans
from xcat.database.connection import connect, schema_revision
from xcat.database.sqlfiles import dicts, job
from xcat.errors import DatabaseError
from xcat.service.queue import WORKER
from xcat.service.worker import DEAD_S

#: Free space that a run needs at least: as much as the database has, divided by this.
SHARE_OF_DATABASE = 4
LEAST_FREE_BYTES = 1_000_000_000


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes
    ----------
    name : str
    is_well : bool
    text : str
        What was found, and what helps if it is not well.
    """

    name: str
    is_well: bool
    text: str


def checks(config: Settings, published_within_days: float | None, backup_within_days: float | None) -> list[Check]:
    """Look at database, disk, queue, publication, last runs and backups.

    Parameters
    ----------
    published_within_days, backup_within_days : float or None
        Largest age of what is published, and of the last backup; None: any, and none at all is well.
    """
    try:
        with connect(config, autocommit=True) as conn:
            current, newest = schema_revision(conn)
            if current != newest:
                return [Check("database", False, f"schema {current or 'none'}, not {newest}. Run: xcat db migrate")]
            (facts,) = dicts(conn.execute(job("health.facts").compose(), {"dead_s": DEAD_S, "worker": WORKER}))
            ended = dicts(conn.execute(job("health.last_ended").compose()))
            left = orphans.of_embedded(config, conn)
    except DatabaseError as error:
        return [Check("database", False, str(error))]
    found = [Check("database", True, f"schema {current}, {_size(facts['size_bytes'])}")]
    if config.database_url is None:
        free = shutil.disk_usage(config.home).free
        needed = max(LEAST_FREE_BYTES, facts["size_bytes"] // SHARE_OF_DATABASE)
        text = f"{_size(free)} free where the database is, {_size(needed)} needed"
        found.append(Check("disk", free >= needed, text))
        n_bytes = sum(orphan.n_bytes for orphan in left)
        text = f"{len(left)} of no table, {_size(n_bytes)}, left by crashes of the server"
        text = f"{text}. The next publication removes them, or: xcat runs prune" if left else "none of no table"
        found.append(Check("files", n_bytes < LEAST_FREE_BYTES, text))
    schedules, waiting, workers = (facts[f"n_{name}"] for name in ("schedules", "waiting", "workers"))
    text = f"{schedules} schedules, {waiting} jobs wait, {workers} workers"
    needs_worker = (schedules or waiting) and not workers
    found.append(Check("queue", not needs_worker, text + (". Start one: xcat worker" if needs_worker else "")))
    found.append(_age("publication", f"run {facts['run_id']}", facts["published_days"], published_within_days))
    found.append(_age("backup", facts["file_name"], facts["backup_days"], backup_within_days))
    failed = [row for row in ended if row["status"] in ("failed", "lost")]
    texts = [f"{row['name']}: run {row['run_id']} {row['status']}: {row['error']}" for row in failed]
    found.append(Check("last runs", not failed, "; ".join(texts) or f"{len(ended)} pipelines, none failed"))
    return found


def _age(name: str, what: object, days: float | None, within_days: float | None) -> Check:
    if days is None:
        return Check(name, within_days is None, "none")
    limit = "" if within_days is None else f", at most {within_days:g}"
    return Check(name, within_days is None or days <= within_days, f"{what}, {days:.1f} days old{limit}")


def _size(n_bytes: float) -> str:
    return f"{n_bytes / 1e9:.1f} GB"
