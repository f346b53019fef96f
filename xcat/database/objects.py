"""Functions and views of the database: dropped and made anew from sql/, each column with its comment."""

from __future__ import annotations

import sqlalchemy as sa

from xcat.database.registry import columns
from xcat.database.schema import SCHEMA
from xcat.database.sqlfiles import objects


def drop(connection: sa.Connection) -> None:
    """Drop the views, then the functions, of the schema."""
    views = connection.execute(sa.text("SELECT viewname FROM pg_views WHERE schemaname = :s"), {"s": SCHEMA})
    names = ", ".join(f"{SCHEMA}.{name}" for (name,) in views)
    if names:
        connection.exec_driver_sql(f"DROP VIEW {names} CASCADE")
    functions = connection.execute(
        sa.text("SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = to_regnamespace(:s)"),
        {"s": SCHEMA},
    )
    for (signature,) in functions.fetchall():
        connection.exec_driver_sql(f"DROP FUNCTION {signature} CASCADE")


def create(connection: sa.Connection) -> None:
    """Make every function and view of sql/, and give each view column the comment of its name.

    Raises
    ------
    KeyError
        A view has a column that the registry does not know.
    """
    for path in [*objects("functions"), *objects("views")]:
        # no parameters here, so percent signs are the file's own
        connection.exec_driver_sql(path.read_text(encoding="utf-8").replace("%", "%%"))
    described = connection.execute(
        sa.text(
            "SELECT c.relname, a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
            " WHERE c.relnamespace = to_regnamespace(:s) AND c.relkind = 'v' AND a.attnum > 0"
        ),
        {"s": SCHEMA},
    )
    known = columns()
    for view, column in described.fetchall():
        text = known[column].comment.replace("'", "''").replace("%", "%%")
        connection.exec_driver_sql(f"COMMENT ON COLUMN {SCHEMA}.{view}.{column} IS '{text}'")
