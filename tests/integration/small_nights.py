"""Nights that never were: published tables copied and changed by hand, under the number of a new classify run."""

from __future__ import annotations

from psycopg import sql

from xcat.config import Settings
from xcat.database import partitions, schema
from xcat.database.connection import Connection, ready

_OF_RUN = (
    "kind, name, status, started_at, ended_at, config, config_key, versions, inputs, summary, source_run_id,"
    " link_run_id, match_run_id, property_run_id, label_run_id, model_run_id"
)


def night(settings: Settings, like: int, *edits: str) -> int:
    """Write the flat tables of a run once more, with some changes.

    Parameters
    ----------
    like : int
        The run to copy.
    *edits : str
        Statements on ``{classified}``, ``{source_evidence}`` and so on.

    Returns
    -------
    int
        The new classify run, which can be published.
    """
    with ready(settings) as conn:
        number = _copy_of_run(conn, like)
        names = {}
        for table in schema.PUB_TABLES:
            name = partitions.create(conn, table, number)
            names[table.removesuffix("_runs")] = sql.Identifier(*name.split("."))
            columns = [c.name for c in conn.execute(f"SELECT * FROM pub.{table} LIMIT 0").description or ()]
            listed = sql.SQL(", ").join(sql.Identifier(c) for c in columns if c != "run_id")
            conn.execute(
                sql.SQL("INSERT INTO {} (run_id, {}) SELECT %s, {} FROM {} WHERE run_id = %s").format(
                    sql.Identifier(*name.split(".")), listed, listed, sql.Identifier("pub", table)
                ),
                [number, like],
            )
        for edit in edits:
            conn.execute(sql.SQL(edit).format(**names))
        for table in schema.PUB_TABLES:
            partitions.prepare(conn, table, number)
            partitions.adopt(conn, table, number)
        conn.execute("INSERT INTO xcat.publication (run_id, active, how) VALUES (%s, false, 'written')", [number])
    return number


def _copy_of_run(conn: Connection, like: int) -> int:
    query = f"INSERT INTO xcat.run ({_OF_RUN}) SELECT {_OF_RUN} FROM xcat.run WHERE run_id = %s RETURNING run_id"
    ((number,),) = conn.execute(query.encode(), [like]).fetchall()
    return int(number)
