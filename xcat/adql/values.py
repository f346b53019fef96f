"""Parts of an expression, each with its SQL, its type and what is known of it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from xcat.adql.model import Column, Refusal

_WIDTHS = ("short", "int", "long", "float", "double")
SQL_TYPES = {
    "short": "smallint",
    "int": "integer",
    "long": "bigint",
    "float": "real",
    "double": "double precision",
    "boolean": "boolean",
}
DOUBLE = Column("", "double")
LONG = Column("", "long")
INT = Column("", "int")
BOOLEAN = Column("", "boolean")
TEXT = Column("", "char", "*")
TIME = Column("", "char", "*", "timestamp")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)?Z?")


@dataclass(frozen=True)
class Value:
    """A value in SQL.

    Parameters
    ----------
    sql : str
        Text that can stand anywhere in an expression; in parentheses where that is needed.
    column : Column
        Its type, and for a column of a table what is known of it. Its name is the one a result would give it.
    number : int or float, optional
        Its value if the query gives it: ``2 * 0.5``.
    text : str, optional
        Its text if it is a text of the query.
    is_null : bool
        The word NULL, which has every type.
    tables : frozenset of int
        Numbers of the tables of FROM whose columns it reads.
    origin : tuple, optional
        Number of the table in FROM and name of the column, of a plain column.
    searches : frozenset of int
        Numbers of the tables of FROM that it searches by position with their index, once for each row of another one.
    equates : bool
        Whether it says that columns of two tables are equal.
    """

    sql: str
    column: Column
    number: int | float | None = None
    text: str | None = None
    is_null: bool = False
    tables: frozenset[int] = frozenset()
    origin: tuple[int, str] | None = None
    searches: frozenset[int] = frozenset()
    equates: bool = False

    @property
    def kind(self) -> str:
        """One of number, text, time, boolean, array, or the name of a geometry."""
        return kind(self.column)


@dataclass(frozen=True)
class Region:
    """A geometry: its kind, and the numbers that it is made of, all in degrees.

    A point has 2, a circle 3 (centre, radius), a box 4 (centre, width, height), a polygon 2 for each vertex. A polygon
    that a table holds as an array has the array alone; a MOC has the first and last of the nested HEALPix cells of
    order 29 of each of its ranges.
    """

    kind: str
    parts: tuple[Value, ...]
    array: Value | None = None
    frame: str = ""
    cells: tuple[tuple[int, int], ...] = ()

    @property
    def numbers(self) -> tuple[float, ...] | None:
        """The numbers if the query gives all of them."""
        given = [float(p.number) for p in self.parts if p.number is not None]
        return tuple(given) if len(given) == len(self.parts) and self.array is None else None

    @property
    def tables(self) -> frozenset[int]:
        """Numbers of the tables of FROM that it reads."""
        values = self.parts if self.array is None else (self.array,)
        return frozenset().union(*(v.tables for v in values))


def kind(column: Column) -> str:
    """What can be done with a column: number, text, time, boolean, array, or the name of a geometry."""
    xtype = (column.xtype or "").lower().removeprefix("adql:")
    if column.datatype in ("char", "unicodeChar"):
        return "time" if xtype == "timestamp" else "text"
    if column.arraysize not in (None, "", "1"):
        return xtype if xtype in ("point", "circle", "polygon") else "array"
    return "boolean" if column.datatype == "boolean" else "number"


def name(text: str) -> str:
    """A name in SQL, always in double quotes."""
    return '"' + text.replace('"', '""') + '"'


def quoted(text: str) -> str:
    """A text in SQL, whatever the server takes a backslash for."""
    doubled = text.replace("'", "''")
    return f"E'{doubled.replace(chr(92), chr(92) * 2)}'" if "\\" in text else f"'{doubled}'"


def literal(text: str) -> Value:
    """A text of the query."""
    return Value(quoted(text), TEXT, text=text)


def constant(number: int | float) -> Value:
    """A number in SQL; a decimal one is a double, where PostgreSQL would take it for an exact decimal."""
    if isinstance(number, int):
        if abs(number) < 2**31:
            return Value(_signed(str(number)), INT, number)
        if abs(number) < 2**63:
            return Value(f"CAST({number} AS bigint)", LONG, number)
        number = float(number)
    if not math.isfinite(number):
        raise Refusal("the number is too large")
    return Value(f"CAST({number!r} AS double precision)", DOUBLE, number)


def _signed(text: str) -> str:
    return f"({text})" if text.startswith("-") else text


def from_digits(text: str) -> Value:
    """A number as the query writes it."""
    try:
        return constant(int(text) if text.isdigit() and len(text) < 400 else float(text))
    except (ValueError, OverflowError):
        raise Refusal(f"{text[:40]} is not a number") from None


def wider(columns: Iterable[Column]) -> Column:
    """The type that holds the numbers of several columns."""
    types = {c.datatype if c.datatype in _WIDTHS else "short" for c in columns}
    if "float" in types and types & {"int", "long"}:
        return DOUBLE
    return Column("", max(types, key=_WIDTHS.index))


def as_double(value: Value) -> str:
    """The SQL of a number as double precision, so that PostgreSQL computes with nothing else."""
    return value.sql if value.column.datatype == "double" else f"CAST({value.sql} AS double precision)"


def as_text(value: Value) -> str:
    """The SQL of a text; a column may be of a type of its own, such as an enumeration."""
    return value.sql if value.text is not None else f"CAST({value.sql} AS text)"


def moment(text: str) -> str:
    """The SQL of a time as DALI writes it, in UTC."""
    try:
        if not _MOMENT.fullmatch(text):
            raise ValueError(text)
        datetime.fromisoformat(text.removesuffix("Z"))
    except ValueError:
        raise Refusal(f"{text[:40]!r} is not a time: write YYYY-MM-DD or YYYY-MM-DDThh:mm:ss, in UTC") from None
    return f"CAST('{text.removesuffix('Z')}Z' AS timestamp with time zone)"


def made(sql: str, column: Column, *values: Value | Region) -> Value:
    """A value that is computed from others."""
    return Value(sql, column, tables=frozenset().union(*(v.tables for v in values)))


def meaning(column: Column, of: Column) -> Column:
    """A type with the unit of another column, for what does not change the unit."""
    return replace(column, unit=of.unit)


@dataclass
class Aliases:
    """Names of tables in the SQL, each given once in a statement, so that none hides another."""

    given: set[str] = field(default_factory=set)

    def new(self, wanted: str) -> str:
        """A name like the one that is wanted, no longer than PostgreSQL reads names."""
        short = wanted.encode()[:50].decode(errors="ignore")
        candidate, number = short, 2
        while candidate in self.given:
            candidate, number = f"{short}_{number}", number + 1
        self.given.add(candidate)
        return candidate
