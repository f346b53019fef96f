"""Query helpers: rows as dicts, and which classify run to read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    found = rows(conn, name, params, **places)
    return found[0] if found else None


def words_of_weighting(weighting: str, categories: Sequence[str], weights: Sequence[float], sharpness: float) -> str:
    """How a model weighs its evidence, in words."""
    if weighting == "property":
        return "weights fitted property by property, and an offset for every class"
    told = {"category": "fitted", "given": "given", "equal": "equal"}[weighting]
    alphas = ", ".join(f"{category} {weight:.3g}" for category, weight in zip(categories, weights, strict=True))
    return f"category weights, {told}: {alphas}; sharpness {sharpness:.3g}"


def classify_run(conn: Connection, run_id: int | None) -> Row:
    """Find the classify run to read: that of a number, or the published one.

    Returns
    -------
    dict
        Its number and name, the runs that it stands on, the ``classes`` of its model, and whether it is in ``pub``.

    Raises
    ------
    XcatError
        Nothing is published, or the run is no finished classify run.
    """
    run = one(conn, "report.classify_run", {"run_id": run_id})
    if run is None and run_id is not None:
        raise XcatError(f"run {run_id} is not a finished classify run. See: xcat runs")
    if run is None:
        raise XcatError("nothing is published yet. Run: xcat publish RUN, with a classify run of: xcat runs")
    return run
