"""Functions and views of the database, dropped and made anew from sql/, and the comments of everything."""

from __future__ import annotations

import sqlalchemy as sa

from xcat.columns.registry import columns
from xcat.database import published
from xcat.database.schema import SCHEMAS, metadata
from xcat.database.sqlfiles import described, objects

_MADE = """
SELECT 'VIEW ' || c.oid::regclass FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = relnamespace
WHERE relkind = 'v' AND nspname = ANY (:schemas)
UNION ALL
SELECT 'FUNCTION ' || p.oid::regprocedure FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = pronamespace
WHERE nspname = ANY (:schemas)
"""


def drop(connection: sa.Connection) -> None:
    """Drop the views, then the functions, of our schemas."""
    things = connection.scalars(sa.text(_MADE), {"schemas": list(SCHEMAS)}).all()
    for kind in ("VIEW", "FUNCTION"):
        names = [thing.removeprefix(f"{kind} ") for thing in things if thing.startswith(kind)]
        if names:
            connection.exec_driver_sql(f"DROP {kind} {', '.join(names)} CASCADE")


def create(connection: sa.Connection) -> None:
    """Make every function and view of sql/, and describe them by the comments above them, columns by the registry.

    Raises
    ------
    KeyError
        A view has a column that the registry does not know.
    """
    for table in metadata.tables.values():
        _comment(connection, f"TABLE {table.fullname}", table.comment or "")
    for path in [*objects("functions"), *objects("views")]:
        text = path.read_text(encoding="utf-8")
        connection.exec_driver_sql(text.replace("%", "%%"))  # without parameters, percent signs are the file's own
        for thing, about in described(text).items():
            _comment(connection, thing, about)
    # the same transaction, through the driver
    published.make_first_views(connection.connection.driver_connection)  # type: ignore[arg-type]
    result = connection.execute(
        sa.text(
            "SELECT c.oid::regclass::text, quote_ident(a.attname), a.attname"
            " FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
            " WHERE c.relnamespace = ANY (:s ::regnamespace[]) AND c.relkind IN ('r', 'p', 'v') AND a.attnum > 0"
            " AND NOT a.attisdropped AND NOT c.relispartition AND c.relname <> 'alembic_version'"
        ),
        {"s": list(SCHEMAS)},
    )
    meanings, found = columns(), result.fetchall()
    # publications describe the columns of their classes, in the views of the published run, too
    of_classes = {name for relation, _, name in found if relation == "pub.classified_runs"} - set(meanings)
    for relation, column, name in found:
        if name not in of_classes:
            _comment(connection, f"COLUMN {relation}.{column}", meanings[name].comment)


def _comment(connection: sa.Connection, thing: str, text: str) -> None:
    quoted = text.replace("'", "''").replace("%", "%%")
    connection.exec_driver_sql(f"COMMENT ON {thing} IS '{quoted}'")
