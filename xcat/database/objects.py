"""Functions and views of the database: dropped and made anew from sql/; and the comments of everything."""

from __future__ import annotations

import sqlalchemy as sa

from xcat.columns.registry import columns
from xcat.database import published
from xcat.database.schema import SCHEMAS, metadata
from xcat.database.sqlfiles import objects


def drop(connection: sa.Connection) -> None:
    """Drop the views, then the functions, of our schemas."""
    views = connection.execute(
        sa.text(
            "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'v' AND relnamespace = ANY (:s ::regnamespace[])"
        ),
        {"s": _existing(connection)},
    )
    names = ", ".join(name for (name,) in views)
    if names:
        connection.exec_driver_sql(f"DROP VIEW {names} CASCADE")
    functions = connection.execute(
        sa.text("SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = ANY (:s ::regnamespace[])"),
        {"s": _existing(connection)},
    )
    for (signature,) in functions.fetchall():
        connection.exec_driver_sql(f"DROP FUNCTION {signature} CASCADE")


def _existing(connection: sa.Connection) -> list[str]:
    found = connection.execute(
        sa.text("SELECT nspname FROM pg_namespace WHERE nspname = ANY (:s)"), {"s": list(SCHEMAS)}
    )
    return [name for (name,) in found]


def create(connection: sa.Connection) -> None:
    """Make every function and view of sql/, and describe every table, view and column as the registry does.

    Raises
    ------
    KeyError
        A view has a column that the registry does not know.
    """
    for path in [*objects("functions"), *objects("views")]:
        # no parameters here, so percent signs are the file's own
        connection.exec_driver_sql(path.read_text(encoding="utf-8").replace("%", "%%"))
    # the same transaction, through the driver
    published.make_first_views(connection.connection.driver_connection)  # type: ignore[arg-type]
    for table in metadata.tables.values():
        _comment(connection, f"TABLE {table.fullname}", table.comment or "")
    described = connection.execute(
        sa.text(
            "SELECT c.oid::regclass::text, quote_ident(a.attname), a.attname"
            " FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
            " WHERE c.relnamespace = ANY (:s ::regnamespace[]) AND c.relkind IN ('r', 'p', 'v') AND a.attnum > 0"
            " AND NOT a.attisdropped AND NOT c.relispartition AND c.relname <> 'alembic_version'"
        ),
        {"s": list(SCHEMAS)},
    )
    known = columns()
    for relation, column, name in described.fetchall():
        if relation != "pub.classified_runs" or name in known:  # publications describe the columns of their classes
            _comment(connection, f"COLUMN {relation}.{column}", known[name].comment)


def _comment(connection: sa.Connection, thing: str, text: str) -> None:
    quoted = text.replace("'", "''").replace("%", "%%")
    connection.exec_driver_sql(f"COMMENT ON {thing} IS '{quoted}'")
