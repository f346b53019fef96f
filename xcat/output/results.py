"""Results of queries as tables whose columns know their unit, their UCD and what they mean.

libpq says of each result column which table column it is; the comment of that column, written from the registry of
columns, carries unit and UCD. A computed column has no origin: it is looked up by its name, if its type fits.
"""

from __future__ import annotations

import json
import math
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
from xcat.errors import XcatError
from xcat.output import statement
from xcat.output.columns import Decimals, as_text, unique_names
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
_FIXED = _NUMBERS.keys() - {_NUMERIC}
_CELL_BYTES = 60  # of a value in Python
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


def query(
    conn: Connection,
    text: str,
    params: Mapping[str, Any] | Sequence[Any] | None = None,
    max_mb: float = math.inf,
) -> Table:
    """Run a query and return its result as a table of astropy; see `read`."""
    return read(conn, text, params, max_mb=max_mb).astropy()


def read(
    conn: Connection,
    text: str,
    params: Mapping[str, Any] | Sequence[Any] | None = None,
    *,
    max_mb: float = math.inf,
    max_rows: int | None = None,
) -> ResultTable:
    """Run a query and return its result as a table.

    Parameters
    ----------
    conn : Connection
        Its statement timeout applies. The query cannot change anything; see `xcat.output.statement`.
    text : str
        One statement of SQL.
    params : mapping or sequence, optional
        Values for ``%(name)s`` or ``%s``.
    max_mb : float
        Memory that the table may take.
    max_rows : int, optional
        Keep the first rows only; ``meta["total_rows"]`` is the number of all.

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
        The server refused the query, the query has no result, or the table takes more than `max_mb`.
    """
    with statement.answer(conn, text, params) as given:
        seen, kept, n_rows = Seen(given.heads), list[tuple[Any, ...]](), 0
        for n_rows, row in enumerate(given.rows(), 1):
            if max_rows is None or n_rows <= max_rows:
                kept.append(row)
                seen.add(row)
                if seen.table_mb > max_mb:
                    raise XcatError(
                        f"the result takes more than {max_mb:,.0f} MB of memory: stopped at row {n_rows:,}, nothing "
                        "was given. Ask for fewer rows (LIMIT) or columns, write to a file (xcat sql ... -o FILE), or "
                        "raise XCAT_MAX_TABLE_MB"
                    )
    table = seen.table(kept)
    table.meta[KEY] = provenance("sql", query=text)
    if max_rows is not None:
        table.meta["total_rows"] = n_rows
    return table


class Seen:
    """What the rows of a result have together: so that pieces of it become columns of one type."""

    def __init__(self, heads: Sequence[statement.Head]) -> None:
        self.heads = heads
        self.n_rows = 0
        self._bytes = 0
        self._of_any_size = [i for i, head in enumerate(heads) if head.type_code not in _FIXED]
        self._longest = [1] * len(heads)
        self._decimals = {i: Decimals() for i, head in enumerate(heads) if head.type_code == _NUMERIC}
        self._lengths: dict[int, set[int]] = {i: set() for i, head in enumerate(heads) if head.type_code in _ARRAYS}

    def add(self, row: tuple[Any, ...]) -> None:
        """Look at a row."""
        self.n_rows += 1
        for i in self._of_any_size:
            value = row[i]
            if isinstance(value, str | bytes | list | dict):
                size = len(value) if isinstance(value, str | bytes) else len(str(value))
                self._bytes += size
                self._longest[i] = max(self._longest[i], size)
            if i in self._lengths and value is not None:
                is_plain = all(e is not None and not isinstance(e, list) for e in value)
                self._lengths[i].add(len(value) if is_plain else -1)
            elif i in self._decimals:
                self._decimals[i].add([value])

    @property
    def raw_mb(self) -> float:
        """Size of the rows."""
        return (self._bytes + self.n_rows * _CELL_BYTES * len(self.heads)) / 1e6

    @property
    def row_bytes(self) -> int:
        """Memory of a row of the table: a text takes four bytes per character of the longest."""
        return sum(_CELL_BYTES + 4 * longest for longest in self._longest)

    @property
    def table_mb(self) -> float:
        """Memory of the rows and of the table made from them."""
        return self.raw_mb + self.n_rows * self.row_bytes / 1e6

    def table(self, rows: Sequence[tuple[Any, ...]]) -> ResultTable:
        """Some of the rows as a table with the types of all."""
        table, names = {}, unique_names([head.name for head in self.heads], fold=False)
        for i, (head, unique) in enumerate(zip(self.heads, names, strict=True)):
            meaning = None
            if head.comment is not None:
                meaning = ColumnMeaning.parse(head.name, head.comment)
            elif head.is_computed:
                meaning = _computed(head.name, head.type_code)
            if meaning is None:
                meaning = _DURATION if head.type_code == _INTERVAL else _UNKNOWN
            data, ucd = self._column(i, [row[i] for row in rows]), {"ucd": meaning.ucd} if meaning.ucd else {}
            table[unique] = ResultColumn(data, meaning.unit or None, meaning.about, ucd)
        return ResultTable(table, len(rows))

    def _column(self, i: int, values: list[Any]) -> np.ndarray:
        """Values of a type of PostgreSQL as an array, two-dimensional for arrays of one length; NULL is masked."""
        type_ = self.heads[i].type_code
        kind = _NUMBERS.get(_ARRAYS.get(type_, type_), "str")
        missing = np.array([v is None for v in values], dtype=bool)
        data: np.ndarray | None = None
        if type_ in _ARRAYS:
            if not self.n_rows:
                return np.empty((0, 1), dtype=kind)
            if len(self._lengths[i]) == 1 and -1 not in self._lengths[i]:
                blanks = [_blank(kind)] * next(iter(self._lengths[i]))
                data = np.array([blanks if v is None else v for v in values], dtype=kind).reshape(-1, len(blanks))
                return np.ma.MaskedArray(data, np.repeat(missing, len(blanks))) if missing.any() else data
            kind = "str"  # JSON
        if i in self._decimals:
            data = self._decimals[i].exact(values)
        if data is None:
            write = _text if kind == "str" else _number
            data = np.array([_blank(kind) if v is None else write(v) for v in values], dtype=kind)
        return np.ma.MaskedArray(data, missing) if missing.any() else data


def check_names(names: Sequence[str], path: Path, ending: str | None = None) -> None:
    """Refuse a file that could not hold the result of a query, by the names of its columns, before the query runs.

    Raises
    ------
    XcatError
        As `xcat.output.files.check`.
    """
    if (ending or path.suffix.lower()) in (".fits", ".reg"):  # the other formats take every result
        from astropy.table import Column, Table

        from xcat.output import files

        files.check(Table([Column([], name=name) for name in names]), path, ending)


def published(conn: Connection) -> dict[str, int]:
    """Numbers of the published run and of its model, for the provenance of a query; empty if nothing is published."""
    run = one(conn, "report.published_run")
    return {} if run is None else {"published_run_id": run["run_id"], "published_model_run_id": run["model_run_id"]}


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
