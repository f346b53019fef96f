"""A run at work is asked to end, by whoever may write to the database and wherever the run's process is."""

from __future__ import annotations

import time
from typing import Any

from xcat.config import Settings
from xcat.database import runs, watch
from xcat.database.connection import ready
from xcat.database.sqlfiles import dicts, job
from xcat.errors import StageError

_PATIENCE_S = 30.0


def cancel(settings: Settings, run_id: int) -> dict[str, Any]:
    """Ask a run, or the pipeline that it is a stage of, to end, and wait until it has.

    Returns
    -------
    dict
        ``run_id`` of the run that was cancelled, and ``cancelled_by``.

    Raises
    ------
    XcatError
        There is no such run.
    StageError
        It is not at work, or it does not end: the message says where its process is.
    """
    who = watch.me()
    by = f"{who['os_user']} on {who['host']}"
    with ready(settings, autocommit=True) as conn:
        runs.reap(conn)
        runs.get(conn, run_id)
        (row,) = dicts(conn.execute(job("turns.whole").compose(), {"run_id": run_id}))
        if row["status"] != "running":
            raise StageError(f"run {run_id} is {row['status']}; only a run that is at work can be cancelled.")
        values = {"run_id": row["run_id"], "by": by}
        process = conn.execute(job("turns.cancel").compose(), values).fetchone()
        if process is None:
            raise StageError(f"run {run_id} was started by an older xcat, which cannot be cancelled. End its process.")
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            runs.reap(conn)
            ((status,),) = conn.execute(job("runs.status").compose(), values)
            if status == "done":
                raise StageError(f"run {row['run_id']} ended well just before it could be cancelled.")
            if status != "running":
                return {"run_id": row["run_id"], "status": status, "cancelled_by": by}
            time.sleep(0.05)
    host, pid = process
    raise StageError(
        f"run {row['run_id']} is asked to end, but has not yet. Its process {pid} on {host} ends it as soon as it can; "
        "if it hangs, end it there."
    )
