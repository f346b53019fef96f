"""The one place that runs q3c joins (their text is in sql/jobs/joins.sql).

A search has *needles*, a temporary table of positions with a radius each, and a *haystack*, a table with a q3c
index. It runs in slices of needles: memory stays bounded, and there is something to show.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psycopg import sql

from xcat import progress
from xcat.database.connection import Connection
from xcat.database.sqlfiles import job

SLICE_ROWS = 20_000


def make_tables(conn: Connection) -> None:
    """Make the temporary tables ``needle`` and ``pair``; they end with the transaction."""
    conn.execute(job("joins.make_tables").compose())


def needles(conn: Connection, statement: sql.Composed, params: Mapping[str, Any] | None = None) -> None:
    """Fill the needles anew with an INSERT of ours.

    Parameters
    ----------
    conn : Connection
    statement : Composed
        Inserts id, ra, dec (deg) and radius_arcsec into ``pg_temp.needle``.
    params : mapping, optional
    """
    conn.execute(job("joins.clear_needles").compose())
    conn.execute(statement, params)
    conn.execute("ANALYZE pg_temp.needle")


def search(conn: Connection, haystack: str, what: str, *, haystack_id: str = "object_id") -> int:
    """Find all pairs of a needle and an object of the haystack within the needle's radius.

    The pairs replace those of the search before, in ``pg_temp.pair`` (id, object_id, sep_arcsec).

    Parameters
    ----------
    conn : Connection
    haystack : str
        Qualified name of a table with a q3c index on ra, dec.
    what : str
        Shown beside the progress bar.
    haystack_id : str
        Column of the haystack that becomes ``object_id``.

    Returns
    -------
    int
        Pairs found.
    """
    conn.execute(job("joins.clear_pairs").compose())
    n_pairs = _in_slices(conn, job("joins.join").compose(haystack=haystack, haystack_id=haystack_id), {}, what)
    conn.execute("ANALYZE pg_temp.pair")
    return n_pairs


def count_ring(conn: Connection, haystack: str, inner_arcsec: float, what: str) -> None:
    """Count the objects between `inner_arcsec` and each needle's radius into ``pg_temp.ring`` (id, n_objects)."""
    conn.execute(job("joins.make_ring").compose())
    conn.execute(job("joins.clear_ring").compose())
    _in_slices(conn, job("joins.count_ring").compose(haystack=haystack), {"inner_arcsec": inner_arcsec}, what)


def join_slices(conn: Connection, statement: sql.Composed, params: Mapping[str, Any], n_needles: int, what: str) -> int:
    """Run an INSERT of a positional join whose needles are numbered from 1, slice by slice.

    Parameters
    ----------
    conn : Connection
    statement : Composed
        Takes the needles with numbers above ``%(after)s`` up to ``%(upto)s``.
    params : mapping
    n_needles : int
    what : str
        Shown beside the progress bar.

    Returns
    -------
    int
        Rows inserted.
    """
    ends = [*range(SLICE_ROWS, n_needles, SLICE_ROWS), *([n_needles] if n_needles else [])]
    return _run_slices(conn, statement, params, ends, what)


def _in_slices(conn: Connection, statement: sql.Composed, params: Mapping[str, Any], what: str) -> int:
    ends = [row[0] for row in conn.execute(job("joins.slices").compose(), {"slice_rows": SLICE_ROWS})]
    return _run_slices(conn, statement, params, ends, what)


def _run_slices(
    conn: Connection, statement: sql.Composed, params: Mapping[str, Any], ends: list[int], what: str
) -> int:
    n_rows, after = 0, -1
    # Nested loops over the q3c index are the only sane plan; the planner's guess of a cone's
    # selectivity is rough enough to prefer a scan of everything.
    conn.execute("SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_seqscan = off")
    with progress.bar(what, len(ends)) as advance:
        for upto in ends:
            done = conn.execute(statement, {**params, "after": after, "upto": upto})
            n_rows += max(done.rowcount, 0)
            after = upto
            advance(1)
    conn.execute("RESET enable_hashjoin; RESET enable_mergejoin; RESET enable_seqscan")
    return n_rows
