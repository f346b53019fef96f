"""Partitions of the catalogue and run tables: written detached, attached when whole.

A new partition is an ordinary table until the last moment, so that a long load takes no lock that a reader of
the parent would feel, COPY can freeze its rows, and indexes are built once over all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from psycopg import sql
from sqlalchemy import Column
from sqlalchemy.sql.schema import ColumnCollectionConstraint

from xcat.database import copy, schema
from xcat.database.engine import Connection

_KEY = dict.fromkeys(schema.CATALOGUE_TABLES, "catalogue_id") | dict.fromkeys(schema.RUN_TABLES, "run_id")


def partition_name(table: str, key: int) -> str:
    """Name of a partition: ``detection_c3`` for a catalogue, ``source_r12`` for a run."""
    return f"{table}_{_KEY[table][0]}{key}"


def qualified(table: str, key: int) -> str:
    """Name of a partition with its schema."""
    return f"{schema.SCHEMA}.{partition_name(table, key)}"


def exists(conn: Connection, table: str, key: int) -> bool:
    """Whether the partition is there."""
    row = conn.execute("SELECT to_regclass(%s) IS NOT NULL", [qualified(table, key)]).fetchone()
    return bool(row and row[0])


def create(conn: Connection, table: str, key: int, *, suffix: str = "") -> str:
    """Make the table that will become a partition: columns, CHECKs and comments of the parent, no index.

    Parameters
    ----------
    conn : psycopg.Connection
    table : str
    key : int
    suffix : str
        Added to its name, where the partition that it will replace still has that name; see `adopt`.

    Returns
    -------
    str
        Its qualified name.
    """
    name = qualified(table, key) + suffix
    conn.execute(
        sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL EXCLUDING INDEXES EXCLUDING IDENTITY)").format(
            sql.Identifier(*name.split(".")), sql.Identifier(schema.SCHEMA, table)
        )
    )
    return name


def prepare(conn: Connection, table: str, key: int, *, suffix: str = "") -> None:
    """Make a table written by `create` ready to be a partition: key CHECK, indexes, statistics."""
    child = sql.Identifier(schema.SCHEMA, partition_name(table, key) + suffix)
    key_name = sql.Identifier(_KEY[table])
    # with this CHECK, ATTACH believes the bound without reading the table under its lock
    bound = sql.SQL("ALTER TABLE {} ADD CONSTRAINT bound CHECK ({} = {})")
    conn.execute(bound.format(child, key_name, sql.Literal(key)))
    _index(conn, table, child)
    conn.execute(sql.SQL("ANALYZE {}").format(child))


def adopt(conn: Connection, table: str, key: int, *, suffix: str = "") -> None:
    """Attach a prepared table to its parent, under the partition's name."""
    child = sql.Identifier(schema.SCHEMA, partition_name(table, key))
    if suffix:
        written = sql.Identifier(schema.SCHEMA, partition_name(table, key) + suffix)
        conn.execute(sql.SQL("ALTER TABLE {} RENAME TO {}").format(written, sql.Identifier(partition_name(table, key))))
    parent = sql.Identifier(schema.SCHEMA, table)
    conn.execute(
        sql.SQL("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES IN ({})").format(parent, child, sql.Literal(key))
    )
    conn.execute(sql.SQL("ALTER TABLE {} DROP CONSTRAINT bound").format(child))


def attach(conn: Connection, table: str, key: int) -> None:
    """Make a table written by `create` a partition."""
    prepare(conn, table, key)
    adopt(conn, table, key)


def _index(conn: Connection, table: str, child: sql.Identifier) -> None:
    """Build the parent's indexes on a detached partition, so that ATTACH adopts them."""
    definition = schema.metadata.tables[f"{schema.SCHEMA}.{table}"]
    for constraint in sorted(definition.constraints, key=lambda c: str(c.name)):
        kind = {"primary_key_constraint": "PRIMARY KEY", "unique_constraint": "UNIQUE"}.get(constraint.__visit_name__)
        if not isinstance(constraint, ColumnCollectionConstraint) or kind is None:
            continue
        names = sql.SQL(", ").join([sql.Identifier(c.name) for c in constraint.columns])
        conn.execute(sql.SQL("ALTER TABLE {} ADD {} ({})").format(child, sql.SQL(kind), names))
    for idx in sorted(definition.indexes, key=lambda i: str(i.name)):
        parts = [e.name if isinstance(e, Column) else str(e) for e in idx.expressions]
        expression = sql.SQL(", ").join([sql.SQL(part) for part in parts])
        conn.execute(sql.SQL("CREATE INDEX ON {} ({})").format(child, expression))


def write(conn: Connection, table: str, key: int, blocks: Iterable[Mapping[str, object]]) -> int:
    """Write blocks of columns as a new partition, whole.

    Returns
    -------
    int
        Rows written.
    """
    name = create(conn, table, key)
    n_rows = copy.copy_in(conn, name, blocks, freeze=True)  # type: ignore[arg-type]
    attach(conn, table, key)
    return n_rows


def drop(conn: Connection, table: str, key: int) -> None:
    """Drop a partition and its rows, if it is there; readers of the parent wait from here to the end."""
    conn.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(sql.Identifier(schema.SCHEMA, partition_name(table, key))))
