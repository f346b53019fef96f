"""Partitions of the catalogue, run and published tables: written detached, attached when complete.

A new partition is an ordinary table until the last moment, so that a long load takes no lock that a reader of
the parent would feel, COPY can freeze its rows, and indexes are built once over all of them. ATTACH waits for no
reader either; only dropping a partition does (see xcat/database/retention.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from psycopg import sql
from sqlalchemy import ARRAY, Column, Float, Table
from sqlalchemy.sql.schema import ColumnCollectionConstraint

from xcat.database import copy, schema
from xcat.database.connection import Connection
from xcat.database.sqlfiles import job

_TABLES = schema.CATALOGUE_TABLES | schema.RUN_TABLES | schema.PUB_TABLES
_KEY = dict.fromkeys(schema.CATALOGUE_TABLES, "catalogue_id")
_RUNS_IN_BLOCK = 256


def _key(table: str) -> str:
    return _KEY.get(table, "run_id")


def partition_name(table: str, key: int) -> str:
    """Name of a partition: ``detection_c3`` of a catalogue, ``source_r12`` of a run, ``classified_r12`` in ``pub``."""
    return f"{table.removesuffix(schema.ALL_RUNS)}_{_key(table)[0]}{key}"


def qualified(table: str, key: int) -> str:
    """Name of a partition with its schema."""
    return f"{_TABLES[table].schema}.{partition_name(table, key)}"


def _identifier(table: str, key: int) -> sql.Identifier:
    return sql.Identifier(*qualified(table, key).split("."))


def _parent(table: str) -> sql.Identifier:
    return sql.Identifier(str(_TABLES[table].schema), table)


def exists(conn: Connection, table: str, key: int) -> bool:
    """Whether the partition exists."""
    row = conn.execute("SELECT to_regclass(%s) IS NOT NULL", [qualified(table, key)]).fetchone()
    return bool(row and row[0])


def create(conn: Connection, table: str, key: int) -> str:
    """Make the table that will become a partition: columns, CHECKs and comments of the parent, no index; its name."""
    made = sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL EXCLUDING INDEXES EXCLUDING IDENTITY)")
    conn.execute(made.format(_identifier(table, key), _parent(table)))
    # no plan asks what is in an array of numbers, and to count its elements takes longer than to write the indexes
    of_arrays = ((c.name, c.type) for c in _TABLES[table].columns if isinstance(c.type, ARRAY))
    names = [sql.Identifier(name) for name, type_ in of_arrays if isinstance(type_.item_type, Float)]
    if names:
        parts = [sql.SQL("ALTER COLUMN {} SET STATISTICS 0").format(name) for name in names]
        conn.execute(sql.SQL("ALTER TABLE {} {}").format(_identifier(table, key), sql.SQL(", ").join(parts)))
    return qualified(table, key)


def prepare(conn: Connection, table: str, key: int) -> None:
    """Make a table written by `create` ready to be a partition: key CHECK, indexes, statistics."""
    child = _identifier(table, key)
    # with this CHECK, ATTACH accepts the bound without reading the table under its lock
    bound = sql.SQL("ALTER TABLE {} ADD CONSTRAINT bound CHECK ({} = {})")
    conn.execute(bound.format(child, sql.Identifier(_key(table)), sql.Literal(key)))
    _index(conn, _TABLES[table], partition_name(table, key), child)
    conn.execute(sql.SQL("ANALYZE {}").format(child))


def adopt(conn: Connection, table: str, key: int) -> None:
    """Attach a prepared table to its parent."""
    child = _identifier(table, key)
    parent = _block(conn, table, key) if table in schema.PUB_TABLES else _parent(table)
    conn.execute(
        sql.SQL("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES IN ({})").format(parent, child, sql.Literal(key))
    )
    conn.execute(sql.SQL("ALTER TABLE {} DROP CONSTRAINT bound").format(child))


def _block(conn: Connection, table: str, key: int) -> sql.Identifier:
    """Find or make the block of a published table that holds the runs around a number.

    Each new session reads the list of all partitions of a table that it uses: with 200 runs in blocks it reads one
    block instead of 200 entries.
    """
    number = key // _RUNS_IN_BLOCK
    name = f"{table.removesuffix(schema.ALL_RUNS)}_b{number}"
    block = sql.Identifier(schema.PUB, name)
    row = conn.execute("SELECT to_regclass(%s) IS NULL", [f"{schema.PUB}.{name}"]).fetchone()
    if row and row[0]:
        parent, low = _parent(table), number * _RUNS_IN_BLOCK
        made = sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL EXCLUDING INDEXES) PARTITION BY LIST (run_id)")
        conn.execute(made.format(block, parent))
        bounds = sql.SQL("FROM ({}) TO ({})").format(sql.Literal(low), sql.Literal(low + _RUNS_IN_BLOCK))
        conn.execute(sql.SQL("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES {}").format(parent, block, bounds))
    return block


def attach(conn: Connection, table: str, key: int) -> None:
    """Make a table written by `create` a partition."""
    prepare(conn, table, key)
    adopt(conn, table, key)


def _index(conn: Connection, parent: Table, name: str, child: sql.Identifier) -> None:
    """Build the parent's indexes on a detached partition, so that ATTACH adopts them; named after what they index."""
    for constraint in sorted(parent.constraints, key=lambda c: str(c.name)):
        kind = {"primary_key_constraint": "PRIMARY KEY", "unique_constraint": "UNIQUE"}.get(constraint.__visit_name__)
        if not isinstance(constraint, ColumnCollectionConstraint) or kind is None or not constraint.columns:
            continue
        columns = [c.name for c in constraint.columns]
        label = f"{name}_pkey" if kind == "PRIMARY KEY" else f"{name}_{'_'.join(columns)}_key"
        conn.execute(
            sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} {} ({})").format(
                child, sql.Identifier(label), sql.SQL(kind), sql.SQL(", ").join(map(sql.Identifier, columns))
            )
        )
    for idx in sorted(parent.indexes, key=lambda i: str(i.name)):
        keys = [e.name if isinstance(e, Column) else str(e) for e in idx.expressions]
        expression = sql.SQL(", ").join(map(sql.SQL, keys))
        label = name + str(idx.name).removeprefix(parent.name)
        method = sql.SQL(idx.dialect_options["postgresql"]["using"] or "btree")
        statement = sql.SQL("CREATE INDEX {} ON {} USING {} ({})")
        conn.execute(statement.format(sql.Identifier(label), child, method, expression))


def write(conn: Connection, table: str, key: int, blocks: Iterable[Mapping[str, object]]) -> int:
    """Write blocks of columns as a new, complete partition; the number of rows."""
    name = create(conn, table, key)
    n_rows = copy.copy_in(conn, name, blocks, freeze=True)  # type: ignore[arg-type]
    attach(conn, table, key)
    return n_rows


def fill(
    conn: Connection,
    table: str,
    key: int,
    query: sql.Composed,
    params: Mapping[str, Any] | None = None,
    columns: Iterable[str] | None = None,
) -> None:
    """Write the rows of a query into a table made by `create`.

    Parameters
    ----------
    query : Composed
        A SELECT that names its columns as the table does.
    columns : iterable of str, optional
        Columns to be written, if not all of the schema's.
    """
    names = sql.SQL(", ").join(map(sql.Identifier, columns or _TABLES[table].columns.keys()))
    conn.execute(job("rows.fill").compose(table=qualified(table, key), columns=names, query=query), params)


def of_key(tables: Iterable[str], key: int) -> list[str]:
    """Qualified names of the partitions that a run or a catalogue version may have in some tables."""
    return [qualified(table, key) for table in tables]
