"""Small helpers to read the database: rows as dicts, and which classify run is looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from psycopg import sql

from xcat.database.engine import Connection
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


@contextmanager
def showing(conn: Connection, run_id: int | None) -> Iterator[Row]:
    """Look at one classify run through the views; without a number, at the one that they show already.

    Parameters
    ----------
    conn : Connection
    run_id : int or None

    Yields
    ------
    dict
        The run's row of ``xcat.published``, and the ``classes`` of its model.

    Raises
    ------
    XcatError
        Nothing is published, or the run is no finished classify run.
    """
    before = rows(conn, "report.shown_run")[0]["coalesce"]
    if run_id is not None:
        conn.execute(job("report.show_run").compose(), {"run_id": run_id})
    shown = one(conn, "report.published")
    try:
        if shown is None:
            asked = run_id if run_id is not None else before
            if asked:
                raise XcatError(f"run {asked} is not a finished classify run. See: xcat runs")
            raise XcatError("nothing is published yet. Run: xcat publish RUN, with a classify run of: xcat runs")
        yield shown
    finally:
        # after a failed statement there is nothing to set: the roll-back undoes the setting, too
        if run_id is not None and conn.info.transaction_status.name != "INERROR":
            conn.execute(job("report.show_run").compose(), {"run_id": before})
