"""Results of queries as tables whose columns know their unit, their UCD and what they mean.

libpq says of each result column which table column it is; the comment of that column, written from the registry of
columns, carries unit and UCD. A computed column has no origin: it is looked up by its name, if its type fits.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psycopg

from xcat.columns.registry import ColumnMeaning, columns
from xcat.database.connection import Connection
from xcat.database.sqlfiles import job
from xcat.errors import DatabaseError, XcatError
from xcat.output.columns import as_text, unique_names, whole_or_text
from xcat.output.provenance import KEY, provenance
from xcat.output.reading import one

if TYPE_CHECKING:
    from astropy.table import Table

_TYPES = psycopg.adapters.types
# PostgreSQL's numeric types by their number, and what numpy calls them
_DTYPES = {"bool": "bool", "int2": "i2", "int4": "i4", "int8": "i8", "oid": "i8", "float4": "f4", "float8": "f8"}
_NUMBERS = {_TYPES[name].oid: dtype for name, dtype in (_DTYPES | {"numeric": "f8", "interval": "f8"}).items()}
_ARRAYS = {_TYPES[name].array_oid: _TYPES[name].oid for name in (*_DTYPES, "numeric", "text", "varchar")}
_INTERVAL, _NUMERIC = _TYPES["interval"].oid, _TYPES["numeric"].oid
_DURATION, _UNKNOWN = ColumnMeaning("", "s", "time.duration", ""), ColumnMeaning("", "", "", "")
_FAMILIES = {"b": bool, "i": int, "f": float}


@dataclass(frozen=True)
class ResultColumn:
    """A column of a result, with the attributes of astropy's columns; `unit` is a text."""

    data: np.ndarray
    unit: str | None
    description: str
    meta: dict[str, str]


@dataclass(frozen=True)
class ResultTable:
    """A result that can be shown without astropy, whose import takes longer than most queries."""

    columns: dict[str, ResultColumn]
    n_rows: int
    meta: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.n_rows

    def astropy(self) -> Table:
        """The same as a table of astropy."""
        import astropy.units as u
        from astropy.table import Column, MaskedColumn, Table

        table = Table(meta=dict(self.meta))
        for name, column in self.columns.items():
            about, unit = column.description, None
            try:
                unit = u.Unit(column.unit) if column.unit else None
            except ValueError:  # a comment that xcat did not write, with a unit that astropy cannot read
                about = f"{about} [{column.unit}]"
            kind = MaskedColumn if isinstance(column.data, np.ma.MaskedArray) else Column
            table[name] = kind(column.data, unit=unit, description=about or None, meta=column.meta)
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
        ``numeric``, the type of ``sum()`` over 64-bit integers, stays exact: whole numbers are integers, or text where
        64 bits do not hold them; fractions are float64, or text where they have more than 20 digits.

    Raises
    ------
    XcatError
        The server refused the query, or the query has no result.
    """
    try:
        with conn.transaction():
            conn.execute("SET TRANSACTION READ ONLY")
            heads, origins, rows = _fetch(conn, text, params)
            comments = _comments(conn, origins)
    except psycopg.errors.QueryCanceled as error:
        raise XcatError(
            f"the query was cancelled: {str(error).strip()}. Ask for less, or raise XCAT_STATEMENT_TIMEOUT_S."
        ) from error
    except psycopg.errors.ReadOnlySqlTransaction as error:
        raise XcatError("a query may not change anything. Use: xcat db shell") from error
    except psycopg.DataError as error:
        if error.sqlstate is None:  # not of the server: a time that Python has not, such as 'infinity'
            raise XcatError(f"a value of the result cannot be read: {error}. Take it as text: column::text") from error
        raise XcatError(f"the server refused the query: {str(error).strip()}") from error
    except psycopg.OperationalError as error:
        raise DatabaseError(f"the connection to the database was lost: {str(error).strip()}") from error
    except psycopg.Error as error:
        raise XcatError(f"the server refused the query: {str(error).strip()}") from error
    table, names = {}, unique_names([head.name for head in heads], fold=False)
    for i, (head, unique) in enumerate(zip(heads, names, strict=True)):
        meaning = None
        if origins[i] in comments:
            meaning = ColumnMeaning.parse(head.name, comments[origins[i]])
        elif not origins[i][0]:
            meaning = _computed(head.name, head.type_code)
        if meaning is None:
            meaning = _DURATION if head.type_code == _INTERVAL else _UNKNOWN
        data, ucd = _column([row[i] for row in rows], head.type_code), {"ucd": meaning.ucd} if meaning.ucd else {}
        table[unique] = ResultColumn(data, meaning.unit or None, meaning.about, ucd)
    return ResultTable(table, len(rows), {KEY: provenance("sql", query=text)})


def published(conn: Connection) -> dict[str, int]:
    """Numbers of the published run and of its model, for the provenance of a query; empty if nothing is published."""
    run = one(conn, "report.classify_run", {"run_id": None})
    return {} if run is None else {"published_run_id": run["run_id"], "published_model_run_id": run["model_run_id"]}


def check(conn: Connection, text: str, path: Path) -> None:
    """Refuse a file that could not hold the result of a query, before the query runs.

    The server tells the columns of a statement without running it; what it cannot tell is found when it runs.

    Raises
    ------
    XcatError
        As `xcat.output.files.check`.
    """
    if path.suffix.lower() not in (".fits", ".reg"):
        return  # the other formats take every result
    try:
        with conn.transaction(force_rollback=True):
            conn.pgconn.prepare(b"", text.encode())
            described = conn.pgconn.describe_prepared(b"")
    except psycopg.Error:
        return
    if described.status != psycopg.pq.ExecStatus.COMMAND_OK or not described.nfields:
        return  # several statements, or none that can be run: the query itself will say why
    from astropy.table import Column, Table

    from xcat.output import files

    names = unique_names([(described.fname(i) or b"").decode() for i in range(described.nfields)], fold=False)
    files.check(Table([Column([], name=name) for name in names]), path)


def _fetch(conn: Connection, text: str, params: Any) -> tuple[list[psycopg.Column], list[tuple[int, int]], list[Any]]:
    """Columns of the last result, the origin of each (table and number of its column), and the rows."""
    result, more = None, True
    cursor = conn.execute(text, params)
    while more:
        if cursor.description is not None and cursor.pgresult is not None:
            source = cursor.pgresult
            origins = [(source.ftable(i), source.ftablecol(i)) for i in range(len(cursor.description))]
            result = cursor.description, origins, cursor.fetchall()
        more = bool(cursor.nextset())
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
def _python_types() -> dict[str, type]:
    """Type of the values of every column of the schema."""
    from xcat.database import schema

    return {c.name: c.type.python_type for table in schema.metadata.tables.values() for c in table.columns}


def _computed(name: str, type_: int) -> ColumnMeaning | None:
    """Meaning of a computed column that has a name of the registry.

    ``max(ra) AS ra`` is still a right ascension, ``count(*) AS ra`` is not: its type is not that of ``ra``. Names of
    one letter are too common to be taken for those of the registry.
    """
    meaning = columns().get(name) if len(name) > 1 else None
    if meaning is None:
        return None
    family = list if type_ in _ARRAYS else _FAMILIES.get(_NUMBERS.get(type_, "text")[0], str)
    expected = _python_types().get(name)
    if expected is None:
        fits = family is float or not meaning.unit
    else:
        fits = family is (expected if expected in (list, *_FAMILIES.values()) else str)
    return meaning if fits else None


def _column(values: list[Any], type_: int) -> np.ndarray:
    """Values of a type of PostgreSQL as an array, two-dimensional for arrays of one length; NULL is masked."""
    kind = _NUMBERS.get(_ARRAYS.get(type_, type_), "str")
    if type_ in _ARRAYS and not values:
        return np.empty((0, 1), dtype=kind)
    missing = np.array([v is None for v in values], dtype=bool)
    if type_ in _ARRAYS:
        present = [v for v in values if v is not None]
        lengths = {len(v) for v in present}
        if len(lengths) == 1 and all(e is not None and not isinstance(e, list) for v in present for e in v):
            blanks = [_blank(kind)] * lengths.pop()
            data = np.array([blanks if v is None else v for v in values], dtype=kind)
            return np.ma.MaskedArray(data, np.repeat(missing, len(blanks))) if missing.any() else data
        kind = "str"  # JSON
    if type_ == _NUMERIC and (exact := whole_or_text(values)) is not None:
        data, missing = exact
        return np.ma.MaskedArray(data, missing) if missing.any() else data
    write = _text if kind == "str" else _number
    data = np.array([_blank(kind) if v is None else write(v) for v in values], dtype=kind)
    return np.ma.MaskedArray(data, missing) if missing.any() else data


def _blank(kind: str) -> float | str:
    return "" if kind == "str" else float("nan") if kind[0] == "f" else 0


def _number(value: Any) -> Any:
    """A number as it is, an interval in seconds."""
    return value.total_seconds() if isinstance(value, timedelta) else value


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        utc = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
        return utc.isoformat(timespec="milliseconds") + ("Z" if value.tzinfo else "")
    return json.dumps(value, default=str) if isinstance(value, dict | list | bool) else as_text(value)
