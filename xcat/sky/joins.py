"""The one place that runs q3c joins (their text is in sql/jobs/joins.sql).

A search has *needles*, a temporary table of positions with one radius each, and a *haystack*, a table with a q3c
index. It runs in slices of needles, so that memory stays bounded and progress can be shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from psycopg import sql

from xcat import progress
from xcat.arrays import FloatArray
from xcat.database import copy
from xcat.database.connection import Connection
from xcat.database.sqlfiles import job

SLICE_ROWS = 20_000


def make_tables(conn: Connection) -> None:
    """Make the temporary tables ``needle``, ``pair`` and ``ring``; they end with the transaction."""
    conn.execute(job("joins.make_tables").compose())


def needles(conn: Connection, statement: sql.Composed, params: Mapping[str, Any] | None = None) -> None:
    """Replace the needles by those of an INSERT of id, ra, dec (deg) and radius_arcsec into ``pg_temp.needle``."""
    clear(conn, "needle")
    conn.execute(statement, params)
    conn.execute("ANALYZE pg_temp.needle")


def copy_needles(conn: Connection, columns: Mapping[str, np.ndarray]) -> None:
    """Replace the needles by columns id, ra, dec (deg) and radius_arcsec, all of shape (n,)."""
    clear(conn, "needle")
    copy.copy_in(conn, "pg_temp.needle", [columns])
    conn.execute("ANALYZE pg_temp.needle")


def clear(conn: Connection, table: str) -> None:
    """Empty a temporary work table."""
    conn.execute(job("joins.clear").compose(table=f"pg_temp.{table}"))


def search(conn: Connection, haystack: str, what: str, *, haystack_id: str = "object_id") -> int:
    """Find all pairs of a needle and an object of the haystack within the needle's radius; the number of pairs.

    The pairs replace those of the previous search, in ``pg_temp.pair`` (id, object_id, sep_arcsec). The haystack is a
    qualified name of a table with a q3c index on ra, dec; its column `haystack_id` becomes ``object_id``; `what` is
    shown beside the progress bar.
    """
    clear(conn, "pair")
    join = job("joins.join").compose(haystack=haystack, haystack_id=haystack_id)
    n_pairs = _run_slices(conn, join, {}, what)
    conn.execute("ANALYZE pg_temp.pair")
    return n_pairs


def positions_near(conn: Connection, haystack: str) -> tuple[FloatArray, FloatArray]:
    """Right ascension and declination of the objects within reach of any of a few needles, each once, (n,) each."""
    types = [("ra", "double precision"), ("dec", "double precision")]
    with _nested_loops(conn):
        rows = copy.fetch_columns(conn, job("joins.positions_near").compose(haystack=haystack), types)
    return rows["ra"], rows["dec"]


def count_ring(conn: Connection, haystack: str, inner_arcsec: float, what: str) -> None:
    """Count the objects between `inner_arcsec` and each needle's radius into ``pg_temp.ring`` (id, n_objects)."""
    clear(conn, "ring")
    _run_slices(conn, job("joins.count_ring").compose(haystack=haystack), {"inner_arcsec": inner_arcsec}, what)


def join_slices(conn: Connection, statement: sql.Composed, params: Mapping[str, Any], n_needles: int, what: str) -> int:
    """Run an INSERT of a positional join whose needles are numbered from 1, slice by slice; the number of rows.

    The statement takes the needles with numbers above ``%(after)s`` up to ``%(upto)s``.
    """
    ends = [*range(SLICE_ROWS, n_needles, SLICE_ROWS), *([n_needles] if n_needles else [])]
    return _run_slices(conn, statement, params, what, ends)


def _run_slices(
    conn: Connection, statement: sql.Composed, params: Mapping[str, Any], what: str, ends: list[int] | None = None
) -> int:
    """Run an INSERT for the needles up to each end; by default the ends come from the needles themselves."""
    if ends is None:
        ends = [row[0] for row in conn.execute(job("joins.slices").compose(), {"slice_rows": SLICE_ROWS})]
    n_rows, after = 0, -1
    with _nested_loops(conn), progress.bar(what, len(ends)) as advance:
        for upto in ends:
            done = conn.execute(statement, {**params, "after": after, "upto": upto})
            n_rows += max(done.rowcount, 0)
            after = upto
            advance(1)
    return n_rows


@contextmanager
def _nested_loops(conn: Connection) -> Iterator[None]:
    """Make joins use the q3c index: by its rough estimate of a cone's rows the planner would scan whole tables."""
    conn.execute("SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_seqscan = off")
    yield
    conn.execute("RESET enable_hashjoin; RESET enable_mergejoin; RESET enable_seqscan")
