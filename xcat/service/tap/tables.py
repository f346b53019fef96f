"""What can be asked for: the tables of TAP_SCHEMA, which the database makes from the comments of pub's columns."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from xcat.adql import Column, Table
from xcat.database.connection import Connection
from xcat.database.sqlfiles import dicts, job
from xcat.service.tap.uploads import position_of

_FRESH_S = 10.0
_OWN = "tap_schema"
_PERHAPS_ROWS = 1_000_000


@dataclass(frozen=True)
class Described:
    """The schemas, tables, columns and keys as TAP_SCHEMA has them, and as the translation of ADQL takes them."""

    schemas: list[dict[str, Any]]
    tables: list[dict[str, Any]]
    columns: dict[str, list[dict[str, Any]]]
    keys: list[dict[str, Any]]
    adql: tuple[Table, ...]

    def table(self, name: str) -> Table | None:
        """A table by its name."""
        return next((t for t in self.adql if t.name == name.lower()), None)


class Tables:
    """Reads the tables, and reads them again when they may have changed by a publication."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: Described | None = None
        self._read_at = 0.0

    def read(self, conn: Connection) -> Described:
        """The tables, as they were some seconds ago at most."""
        with self._lock:
            if self._known is None or time.monotonic() - self._read_at > _FRESH_S:
                self._known, self._read_at = _read(conn), time.monotonic()
            return self._known


def _read(conn: Connection) -> Described:
    def rows(name: str) -> list[dict[str, Any]]:
        return dicts(conn.execute(job(f"tap.{name}").compose()))

    with conn.transaction():
        tables, all_columns, keys, schemas = rows("tables"), rows("columns"), rows("keys"), rows("schemas")
        sizes = {row["table_name"]: row["n_rows"] for row in rows("sizes")}
    by_table: dict[str, list[dict[str, Any]]] = {row["table_name"]: [] for row in tables}
    for row in all_columns:
        if row["table_name"] in by_table:
            by_table[row["table_name"]].append(row)
    adql = tuple(_table(name, listed, sizes.get(name)) for name, listed in by_table.items())
    return Described(schemas, tables, by_table, keys, adql)


def _table(name: str, rows: list[dict[str, Any]], n_rows: int | None) -> Table:
    columns = tuple(
        Column(
            row["column_name"].strip('"'),
            row["datatype"],
            row["arraysize"],
            row["xtype"],
            row["unit"],
            row["ucd"],
            row["utype"],
            row["description"] or "",
        )
        for row in rows
    )
    schema, _, relation = name.partition(".")
    place = sql.Identifier("pub", f"tap_{relation}" if schema == _OWN else relation)
    # without an ANALYZE it may be large: the larger of two tables is searched by its index
    return Table(name, place.as_string(), columns, position_of(columns), n_rows or _PERHAPS_ROWS)
