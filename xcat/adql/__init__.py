"""ADQL 2.1, the query language of the Virtual Observatory, to SQL of PostgreSQL and q3c: text in, SQL out.

This room never sees a database. It is told which tables there are, and a query can reach nothing else: every table and
column is looked up, every name in the SQL comes from the tables or is an alias in double quotes, and every kind of
expression and every function is on a list.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from xcat.adql import dialect
from xcat.adql.model import AdqlError, Column, Refusal, Table, Translated
from xcat.adql.query import Queries

__all__ = ["AdqlError", "Column", "Table", "Translated", "translate"]


def translate(query: str, tables: Mapping[str, Table] | Iterable[Table], *, maxrec: int | None = None) -> Translated:
    """Translate a query.

    Parameters
    ----------
    query : str
        One SELECT of ADQL 2.1.
    tables : mapping or iterable of Table
        The tables that it may read.
    maxrec : int, optional
        Most rows that the caller wants; the SQL then gives one more at most, so that a cut is known.

    Raises
    ------
    AdqlError
        With the line and column of what is wrong, and the name of what is not supported.
    """
    given = tables.values() if isinstance(tables, Mapping) else tables
    by_name = {table.name: table for table in given}
    most = None if maxrec is None else max(maxrec, 0) + 1
    try:
        tree = dialect.parse(query)
        queries = Queries(by_name)
        written = queries.write(tree, most=most)
        if queries.searched:
            written = Queries(by_name, queries.searched).write(tree, most=most)
    except Refusal as refusal:
        raise AdqlError(refusal.message, *_place(query, refusal.offset)) from None
    except RecursionError:
        raise AdqlError("the query is nested too deeply: write subqueries as WITH") from None
    return Translated(written.sql, written.columns, written.limit)


def _place(query: str, offset: int | None) -> tuple[int | None, int | None]:
    """Line and column, from 1, of a character of the query."""
    if offset is None:
        return None, None
    before = query[:offset]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
