"""Published states: their names, and which source of one is which of another.

A state is a classify run that has its flat tables in ``pub``. Sources are the same if they have the same number and
about the same place. What is left on both sides is matched by position: a mission that is released again may number its
sources anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xcat.database import partitions
from xcat.database.connection import Connection
from xcat.database.sqlfiles import dicts, job
from xcat.errors import XcatError
from xcat.sky import joins

PUBLISHED, PREVIOUS = "published", "previous"
State = dict[str, Any]


def run_of(conn: Connection, name: str) -> int:
    """Number of the run that a name means: a number, ``published``, ``previous``, or the label of a release.

    Raises
    ------
    XcatError
        Nothing has this name, nothing is published, or the release was given up.
    """
    if name.isdecimal():
        return int(name)
    if name in (PUBLISHED, PREVIOUS):
        row = conn.execute(job(f"states.{name}").compose()).fetchone()
        if row is None:
            missing = "nothing is published yet" if name == PUBLISHED else "nothing was published before"
            raise XcatError(f"{missing}. See: xcat runs")
        return int(row[0])
    row = conn.execute(job("states.released").compose(), {"label": name}).fetchone()
    if row is None:
        raise XcatError(
            f"'{name}' is no run number, no release, and neither published nor previous. See: xcat release list"
        )
    if row[0] is None:
        raise XcatError(f"the release {name} was given up on {row[1]:%Y-%m-%d}: {row[2]}")
    return int(row[0])


def state(conn: Connection, run_id: int) -> State:
    """A run with its flat tables.

    Raises
    ------
    XcatError
        It has none.
    """
    rows = dicts(conn.execute(job("states.state").compose(), {"run_id": run_id}))
    if not rows:
        raise XcatError(
            f"run {run_id} has no tables in pub. If it is a finished classify run: xcat publish {run_id} --hold"
        )
    return rows[0]


def shown(conn: Connection) -> State | None:
    """The published state, or None."""
    row = conn.execute(job("states.published").compose()).fetchone()
    return None if row is None else state(conn, row[0])


def among(conn: Connection, run_ids: Sequence[int]) -> set[int]:
    """Those of some runs that are states."""
    return {row[0] for row in conn.execute(job("states.are_states").compose(), {"run_ids": list(run_ids)})}


def table(of: State, name: str = "classified") -> str:
    """Qualified name of a flat table of a state."""
    return partitions.qualified(f"{name}_runs", of["run_id"])


def pair(conn: Connection, old: State, new: State) -> dict[str, int]:
    """Find the sources that two states have in common, into ``pg_temp.same_source``.

    Returns
    -------
    dict
        n_old, n_new (sources), n_same (in common), n_by_position (of these).
    """
    tables = {"old": table(old), "new": table(new)}
    joins.make_tables(conn)
    conn.execute(job("states.make_work").compose())
    for name in ("same_source", "decided"):
        joins.clear(conn, name)
    conn.execute(job("states.by_identity").compose(**tables))
    conn.execute("ANALYZE pg_temp.same_source")
    joins.needles(conn, job("states.needles").compose(**tables))
    joins.search(conn, tables["new"], "sources that are the same", haystack_id="source_id")
    conn.execute(job("states.by_position").compose(**tables))
    conn.execute("ANALYZE pg_temp.same_source")
    return dicts(conn.execute(job("states.counts").compose(**tables)))[0]
