"""Query helpers: rows as dicts, and the classify run to read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psycopg import sql

from xcat.database.connection import Connection
from xcat.database.sqlfiles import dicts, job
from xcat.errors import XcatError

Row = dict[str, Any]


def rows(
    conn: Connection, name: str, params: Mapping[str, Any] | None = None, **places: str | sql.Composable
) -> list[Row]:
    """Rows of a statement of sql/jobs, each as a dict."""
    return dicts(conn.execute(job(name).compose(**places), dict(params or {})))


def one(
    conn: Connection, name: str, params: Mapping[str, Any] | None = None, **places: str | sql.Composable
) -> Row | None:
    """First row of a statement of sql/jobs, or None."""
    return next(iter(rows(conn, name, params, **places)), None)


def classify_run(conn: Connection, run_id: int | None) -> Row:
    """Find the classify run with a number, or the published one.

    Returns
    -------
    dict
        Its number and name, the runs that it depends on, the ``classes`` of its model, and whether it is in ``pub``.

    Raises
    ------
    XcatError
        Nothing is published, or the run is not a finished classify run.
    """
    may = one(conn, "report.may_read_runs")
    name = "report.classify_run" if may and may["may_read"] else "report.classify_run_in_pub"
    run = one(conn, name, {"run_id": run_id})
    if run is None and run_id is not None:
        raise XcatError(f"run {run_id} is not a finished classify run. See: xcat runs")
    if run is None:
        raise XcatError("nothing is published yet. Run: xcat publish RUN, with a classify run of: xcat runs")
    return run
