"""Results of queries as astropy tables whose columns know their unit, their UCD and what they mean.

libpq says of each result column which table column it is; the comment of that column, written from the registry of
columns, carries unit and UCD. A computed column has no origin: it is looked up by its name, if its type fits.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import psycopg

from xcat.columns.registry import ColumnMeaning, columns
from xcat.database.connection import Connection
from xcat.database.sqlfiles import job
from xcat.errors import DatabaseError, XcatError
from xcat.output.terminal import as_json, show

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["as_json", "query", "read", "show"]

_TYPES = psycopg.adapters.types
# PostgreSQL's numeric types by their number, and what numpy calls them
_DTYPES = {"bool": "bool", "int2": "i2", "int4": "i4", "int8": "i8", "oid": "i8", "float4": "f4", "float8": "f8"}
_NUMBERS = {_TYPES[name].oid: dtype for name, dtype in (_DTYPES | {"numeric": "f8", "interval": "f8"}).items()}
_ARRAYS = {_TYPES[name].array_oid: _TYPES[name].oid for name in (*_DTYPES, "numeric", "text", "varchar")}
_INTERVAL = _TYPES["interval"].oid


@dataclass(frozen=True)
class _Result:
    """Result of a statement: rows, and of each column its name, type and origin (table, number of the column)."""

    names: list[str]
    types: list[int]
    origins: list[tuple[int, int]]
    rows: list[tuple[Any, ...]]


@dataclass
class ResultColumn:
    """A column of a result, with the attributes that astropy's columns have."""

    data: np.ndarray
    unit: Any = None
    description: str | None = None
    meta: dict[str, str] = field(default_factory=dict)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return self.data.dtype

    @property
    def ndim(self) -> int:
        """2 for arrays of one length, else 1."""
        return self.data.ndim

    def __getitem__(self, key: Any) -> Any:
        return self.data[key]


class ResultTable:
    """A result that can be shown without astropy, whose import takes longer than most queries."""

    def __init__(self, columns: Mapping[str, ResultColumn], n_rows: int) -> None:
        self.columns = dict(columns)
        self.colnames = list(columns)
        self.meta: dict[str, Any] = {}
        self._n_rows = n_rows

    def __getitem__(self, name: str) -> ResultColumn:
        return self.columns[name]

    def __len__(self) -> int:
        return self._n_rows

    def astropy(self) -> Table:
        """The same as a table of astropy."""
        from astropy.table import Column, MaskedColumn, Table

        table = Table()
        for name, column in self.columns.items():
            data = column.data
            mask = data.mask if isinstance(data, np.ma.MaskedArray) else None
            made = Column(data) if mask is None else MaskedColumn(data.data, mask=mask)
            made.unit, made.description = column.unit, column.description
            made.meta.update(column.meta)
            table[name] = made
        return table


def query(conn: Connection, text: str, params: Mapping[str, Any] | Sequence[Any] | None = None) -> Table:
    """Run a query and return its result as a table of astropy; see `read`."""
    return read(conn, text, params).astropy()


def read(conn: Connection, text: str, params: Mapping[str, Any] | Sequence[Any] | None = None) -> ResultTable:
    """Run a query and return its result as a table.

    Parameters
    ----------
    conn : Connection
        Its statement timeout applies. The query cannot change anything.
    text : str
        SQL. Without parameters it may be several statements, separated by semicolons; the last result counts.
    params : mapping or sequence, optional
        Values for ``%(name)s`` or ``%s``.

    Returns
    -------
    ResultTable
        Columns have unit, description and ``meta["ucd"]`` where these are known. NULL is masked. Arrays of one
        length become two-dimensional columns; other arrays, and JSON, become JSON text; times are ISO 8601 in UTC.

    Raises
    ------
    XcatError
        The server refused the query, or the query has no result.
    """
    try:
        with conn.transaction():
            conn.execute("SET TRANSACTION READ ONLY")
            result = _fetch(conn, text, params)
            comments = _comments(conn, result.origins)
    except psycopg.errors.QueryCanceled as error:
        raise XcatError(
            f"the query was cancelled: {str(error).strip()}. Ask for less, or raise XCAT_STATEMENT_TIMEOUT_S."
        ) from error
    except psycopg.errors.ReadOnlySqlTransaction as error:
        raise XcatError("a query may not change anything. Use: xcat db shell") from error
    except psycopg.OperationalError as error:
        raise DatabaseError(f"the connection to the database was lost: {str(error).strip()}") from error
    except psycopg.Error as error:
        raise XcatError(f"the server refused the query: {str(error).strip()}") from error
    table = {}
    for i, name in enumerate(_distinct(result.names)):
        values = [row[i] for row in result.rows]
        column = ResultColumn(_column(values, result.types[i]))
        comment = comments.get(result.origins[i])
        meaning = (
            ColumnMeaning.parse(name, comment)
            if comment is not None
            else _by_name(result.names[i], result.types[i], computed=result.origins[i][0] == 0)
        )
        if result.types[i] == _INTERVAL and meaning is None:
            meaning = ColumnMeaning(name, "s", "time.duration", "")
        if meaning is not None:
            _describe(column, meaning)
        table[name] = column
    return ResultTable(table, len(result.rows))


def _fetch(conn: Connection, text: str, params: Mapping[str, Any] | Sequence[Any] | None) -> _Result:
    cursor = conn.execute(text, params)
    result = None
    while True:
        if cursor.description is not None and cursor.pgresult is not None:
            origin = cursor.pgresult
            n_columns = len(cursor.description)
            result = _Result(
                [c.name for c in cursor.description],
                [c.type_code for c in cursor.description],
                [(origin.ftable(i), origin.ftablecol(i)) for i in range(n_columns)],
                cursor.fetchall(),
            )
        if not cursor.nextset():
            break
    if result is None:
        raise XcatError("the query has no result: it must be a SELECT")
    return result


def _comments(conn: Connection, origins: list[tuple[int, int]]) -> dict[tuple[int, int], str]:
    wanted = sorted({o for o in origins if o[0]})
    if not wanted:
        return {}
    tables, numbers = zip(*wanted, strict=True)
    comments = conn.execute(job("report.origins").compose(), {"tables": list(tables), "columns": list(numbers)})
    return {(oid, number): text for oid, number, text in comments}


@cache
def _families() -> dict[str, str]:
    """Family of types of every column of the schema: int, float, bool, array or text."""
    from sqlalchemy.dialects.postgresql import ARRAY
    from sqlalchemy.types import Boolean, Float, Integer, Numeric

    from xcat.database import schema

    families = ((ARRAY, "array"), (Integer, "int"), (Boolean, "bool"), (Float | Numeric, "float"))
    return {
        column.name: next((family for kind, family in families if isinstance(column.type, kind)), "text")
        for table in schema.metadata.tables.values()
        for column in table.columns
    }


def _by_name(name: str, type_: int, *, computed: bool) -> ColumnMeaning | None:
    """Meaning of a computed column that has a name of the registry.

    ``max(ra) AS ra`` is still a right ascension, ``count(*) AS ra`` is not: its type is not that of ``ra``. Names of
    one letter are too common to be taken for those of the registry.
    """
    if not computed or len(name) < 2 or not name.isidentifier():
        return None
    meaning = columns().get(name)
    if meaning is None:
        return None
    kind = _NUMBERS.get(type_, "text")
    family = "array" if type_ in _ARRAYS else {"b": "bool", "i": "int", "f": "float"}.get(kind[0], "text")
    expected = _families().get(name)
    if expected is not None:
        return meaning if family == expected else None
    return None if meaning.unit and family != "float" else meaning


def _describe(column: ResultColumn, meaning: ColumnMeaning) -> None:
    column.description = meaning.about or None
    if meaning.ucd:
        column.meta["ucd"] = meaning.ucd
    if meaning.unit:
        import astropy.units as u

        try:
            column.unit = u.Unit(meaning.unit)
        except ValueError:  # a comment that xcat did not write, with a unit that astropy cannot read
            column.description = f"{meaning.about} [{meaning.unit}]"


def _distinct(names: list[str]) -> list[str]:
    """Give columns of equal name a number, from the second on."""
    out: list[str] = []
    for name in names:
        candidate, number = name, 1
        while candidate in out:
            number += 1
            candidate = f"{name}_{number}"
        out.append(candidate)
    return out


def _column(values: list[Any], type_: int) -> np.ndarray:
    missing = np.array([v is None for v in values], dtype=bool)
    kind = _NUMBERS.get(_ARRAYS.get(type_, type_), "str")
    if type_ in _ARRAYS:
        if not values:
            return np.empty((0, 1), dtype=kind)
        present = [v for v in values if v is not None]
        lengths = {len(v) for v in present}
        if len(lengths) == 1 and all(e is not None and not isinstance(e, list) for v in present for e in v):
            blanks = [_blank(kind)] * lengths.pop()
            return _masked(np.array([blanks if v is None else v for v in values], dtype=kind), missing[:, None])
        kind = "str"  # JSON text
    write = _text if kind == "str" else _seconds
    return _masked(np.array([_blank(kind) if v is None else write(v) for v in values], dtype=kind), missing)


def _blank(kind: str) -> float | str:
    return "" if kind == "str" else float("nan") if kind[0] == "f" else 0


def _masked(data: np.ndarray, missing: np.ndarray) -> np.ndarray:
    return np.ma.MaskedArray(data, np.broadcast_to(missing, data.shape).copy()) if missing.any() else data


def _seconds(value: Any) -> Any:
    """A number as it is, an interval in seconds."""
    return value.total_seconds() if isinstance(value, timedelta) else value


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, datetime):
        utc = value.astimezone(UTC) if value.tzinfo else value
        return utc.replace(tzinfo=None).isoformat(timespec="milliseconds") + ("Z" if value.tzinfo else "")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, dict | list | bool | int | float) or value is None:
        return json.dumps(value, default=str)
    return str(value)
