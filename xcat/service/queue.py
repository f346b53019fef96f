"""The queue of jobs: procrastinate's tables, in a schema of their own, and what goes into them."""

from __future__ import annotations

import os
import socket
from typing import Any

import procrastinate
from procrastinate import exceptions, jobs

from xcat.config import Settings
from xcat.database.address import conninfo, database_url
from xcat.database.connection import Connection
from xcat.database.sqlfiles import job

TASK = "xcat.run_pipeline"
QUEUE = "pipelines"
WORKER = "xcat worker"
TAP_TASK, TAP_QUEUE = "xcat.run_tap_job", "tap"


def application(settings: Settings, name: str = WORKER) -> procrastinate.App:
    """Procrastinate's application, which a worker opens; health counts workers by the names of their sessions."""
    session = f"{name} {os.getpid()} at {socket.gethostname()}"
    connector = procrastinate.PsycopgConnector(
        conninfo=conninfo(database_url(settings)),
        kwargs={"options": "-c search_path=procrastinate,pg_catalog", "application_name": session},
        min_size=1,
        max_size=4,
        timeout=4,
    )
    return procrastinate.App(connector=connector)


def put(conn: Connection, schedule: str) -> bool:
    """Put the job of a schedule into the queue, in the transaction of a connection.

    Returns
    -------
    bool
        False if one is waiting there already.
    """
    return _put(
        conn,
        jobs.Job(
            queue=QUEUE, lock=schedule, queueing_lock=schedule, task_name=TASK, task_kwargs={"schedule": schedule}
        ),
    )


def put_tap(conn: Connection, job_id: str) -> bool:
    """Put a job of the TAP service into its queue, in the transaction of a connection; False if it waits already."""
    order = jobs.Job(
        queue=TAP_QUEUE,
        lock=None,
        queueing_lock=f"tap {job_id}",
        task_name=TAP_TASK,
        task_kwargs={"job_id": job_id},
    )
    return _put(conn, order)


def _put(conn: Connection, order: jobs.Job) -> bool:
    manager = procrastinate.App(connector=procrastinate.SyncPsycopgConnector()).job_manager
    try:
        with conn.transaction():
            conn.execute(job("schedule.queue_path").compose())
            manager.defer_job(order, connection=conn)
    except exceptions.AlreadyEnqueued:
        return False
    finally:
        conn.execute("SET search_path TO xcat, public")
    return True


def dead(conn: Connection, dead_s: float, queue: str = QUEUE) -> list[tuple[Any, ...]]:
    """Give back the jobs of dead workers of a queue; the schedule and the number of attempts of each."""
    with conn.transaction():
        conn.execute(job("schedule.queue_path").compose())
        return conn.execute(job("schedule.rescue").compose(), {"dead_s": dead_s, "queue": queue}).fetchall()
