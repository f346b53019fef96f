"""The tables of the schema pub as ADQL sees them, read from the database."""

from __future__ import annotations

from xcat.adql import Column, Table
from xcat.columns import registry
from xcat.database.connection import Connection

_TYPES = {
    "smallint": ("short", None, None),
    "integer": ("int", None, None),
    "bigint": ("long", None, None),
    "real": ("float", None, None),
    "double precision": ("double", None, None),
    "boolean": ("boolean", None, None),
    "timestamp with time zone": ("char", "*", "timestamp"),
}


def published(conn: Connection) -> list[Table]:
    """Every table and view of pub."""
    rows = conn.execute(
        "SELECT table_name, array_agg(column_name::text ORDER BY ordinal_position),"
        " array_agg(data_type::text ORDER BY ordinal_position)"
        " FROM information_schema.columns WHERE table_schema = 'pub' GROUP BY table_name"
    ).fetchall()
    tables = []
    for name, columns, types in rows:
        described = tuple(_column(*c) for c in zip(columns, types, strict=True))
        position = ("ra", "dec") if {"ra", "dec"} <= set(columns) else None
        tables.append(Table(f"pub.{name}", f'"pub"."{name}"', described, position))
    return tables


def _column(name: str, sql_type: str) -> Column:
    datatype, arraysize, xtype = _TYPES.get(sql_type, ("char", "*", None))
    meaning = registry.columns().get(name)
    if meaning is None:
        return Column(name, datatype, arraysize, xtype)
    return Column(name, datatype, arraysize, xtype, meaning.unit or None, meaning.ucd, None, meaning.about)
