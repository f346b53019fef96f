"""Runs and catalogue versions are dropped: from the books at once, from the disk when no session reads them.

Dropping a partition needs an exclusive lock on its parent for a moment, and must not hold up readers, even those in a
transaction that has been open for minutes. So the books are written in one transaction, which makes the run invisible
at once; the tables are entered as to be dropped, and `sweep` drops each as soon as it gets the lock within a few
milliseconds. Tables whose lock it does not get are left to the next sweep: one follows every load, publication and
prune. It also removes what crashes of the embedded server have left on the disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql

from xcat.config import Settings
from xcat.database import orphans, partitions, schema
from xcat.database.connection import Connection, ready
from xcat.database.sqlfiles import dicts, job
from xcat.errors import StageError, XcatError

_LOCK_TIMEOUT_MS = 25
_TRIES = 8
_AT_ONCE = 24  # tables dropped under one set of locks


@dataclass
class Leaving:
    """What has been dropped.

    Attributes
    ----------
    run_ids : list of int
    n_versions : int
        Catalogue versions that no run needs any more.
    waiting : list of dict
        Sessions (pid, who, xact_start) that still read some of the tables, which a later sweep drops.
    """

    run_ids: list[int] = field(default_factory=list)
    n_versions: int = 0
    waiting: list[dict[str, Any]] = field(default_factory=list)


def drop_runs(settings: Settings, run_ids: Sequence[int]) -> Leaving:
    """Drop runs, those of a pipeline with the stages that it made; all of them or none.

    Raises
    ------
    StageError
        Something still needs one of them; the message names it.
    XcatError
        There is no such run.
    """
    with ready(settings) as conn:
        conn.execute(job("runs.one_at_a_time").compose())
        wanted = [row[0] for row in conn.execute(job("runs.with_parts").compose(), {"run_ids": list(run_ids)})]
        missing = sorted(set(run_ids) - set(wanted))
        if missing:
            raise XcatError(f"there is no run {', '.join(map(str, missing))}. See: xcat runs")
        obstacles = conn.execute(job("runs.obstacles").compose(), {"run_ids": wanted}).fetchall()
        if obstacles:
            listed = "; ".join(f"run {number} {why}" for number, why in obstacles)
            raise StageError(
                f"nothing was dropped: {listed}. Drop what reads a run together with it, or let xcat runs prune choose."
            )
        leaving = _forget(conn, wanted)
    leaving.waiting = sweep(settings)
    return leaving


def prune(settings: Settings, keep: int, name: str | None = None) -> Leaving:
    """Drop all runs but the published, the pinned, the last `keep` of each kind and name, and what these depend on.

    Parameters
    ----------
    settings : Settings
    keep : int
        Refused and finished runs of each kind and name.
    name : str, optional
        Of a pipeline: runs of others are kept.
    """
    with ready(settings) as conn:
        conn.execute(job("runs.one_at_a_time").compose())
        wanted = [row[0] for row in conn.execute(job("runs.not_to_keep").compose(), {"keep": keep, "name": name})]
        leaving = _forget(conn, wanted)
    leaving.waiting = sweep(settings)
    return leaving


def _forget(conn: Connection, run_ids: list[int]) -> Leaving:
    tables = [*schema.RUN_TABLES, *schema.PUB_TABLES]
    names = [name for run_id in run_ids for name in partitions.of_key(tables, run_id)]
    try:
        conn.execute(job("runs.to_drop").compose(), {"names": names})
        conn.execute(job("runs.forget").compose(), {"run_ids": run_ids})
        n_versions = forget_unread_versions(conn)
        conn.execute(job("runs.forget").compose(), {"run_ids": run_ids})  # those whose loaded files are gone now
    except psycopg.errors.ForeignKeyViolation as error:
        raise StageError("a stage has just begun to read one of these runs; nothing was dropped. Try again.") from error
    return Leaving(run_ids, n_versions)


def forget_unread_versions(conn: Connection) -> int:
    """Drop versions of catalogues that are not current and that no run has read; give their number."""
    n_versions = 0
    for (catalogue_id,) in conn.execute(job("runs.unread_versions").compose()).fetchall():
        values = {"catalogue_id": catalogue_id}
        conn.execute(job("ingest.lock_content").compose(), values)
        if conn.execute(job("runs.forget_version").compose(), values).fetchone() is not None:
            names = partitions.of_key(schema.CATALOGUE_TABLES, catalogue_id)
            conn.execute(job("runs.to_drop").compose(), {"names": names})
            n_versions += 1
    conn.execute(job("runs.forget_files").compose())
    return n_versions


def sweep(settings: Settings) -> list[dict[str, Any]]:
    """Drop the tables of dropped runs and versions, except those being read; give the sessions that read them."""
    busy: list[str] = []
    with ready(settings, autocommit=True) as conn:
        conn.execute(f"SET lock_timeout TO '{_LOCK_TIMEOUT_MS}ms'")
        while True:
            with conn.transaction():
                rows = conn.execute(job("runs.next_to_drop").compose(), {"limit": _AT_ONCE, "busy": busy})
                names = [row[0] for row in rows]
            if not names:
                break
            if not _try(conn, names):
                busy += [name for name in names if not _try(conn, [name])]
        orphans.remove(settings, conn)
        left = conn.execute(job("runs.any_to_drop").compose()).fetchone()
        return dicts(conn.execute(job("runs.readers").compose())) if left and left[0] else []


def _try(conn: Connection, names: list[str]) -> bool:
    """Drop tables, unless another session still holds one of them after a few short waits."""
    listed = sql.SQL(", ").join(sql.Identifier(*name.split(".")) for name in names)
    for _ in range(_TRIES):
        try:
            with conn.transaction():
                conn.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(listed))
                conn.execute(job("runs.was_dropped").compose(), {"names": names})
            return True
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            continue
    return False
