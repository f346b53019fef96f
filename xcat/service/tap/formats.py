"""Formats of results: what clients call them, and how rows become bytes while they come."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import psycopg

from xcat.adql import Column
from xcat.errors import XcatError
from xcat.output.lines import base64_lines
from xcat.output.statement import Head
from xcat.service.tap import votable

_VOTABLE = "application/x-votable+xml"


@dataclass(frozen=True)
class Format:
    """A format.

    Attributes
    ----------
    media : str
        Media type of an answer.
    ending : str
        Of the name of a file.
    names : tuple of str
        Other values of RESPONSEFORMAT that mean it.
    serialization : str
        How VOTable holds the rows; empty for other formats.
    """

    media: str
    ending: str
    names: tuple[str, ...]
    serialization: str = ""

    @property
    def is_a_file(self) -> bool:
        """Whether it can be written only when all rows are known."""
        return self.ending in (".fits", ".parquet")


FORMATS = (
    Format(f"{_VOTABLE};serialization=BINARY2", ".vot", (_VOTABLE, "votable", "votable/b2"), "BINARY2"),
    Format(f"{_VOTABLE};serialization=TABLEDATA", ".vot", ("votable/td",), "TABLEDATA"),
    Format("text/xml", ".vot", ("application/xml",), "TABLEDATA"),
    Format("text/csv;header=present", ".csv", ("text/csv", "csv")),
    Format("text/tab-separated-values", ".tsv", ("tsv",)),
    Format("application/fits", ".fits", ("fits",)),
    Format("application/vnd.apache.parquet", ".parquet", ("parquet", "application/x-parquet")),
)
_BY_NAME = {name: form for form in FORMATS for name in (form.media.replace(" ", "").lower(), *form.names)}


def named(name: str | None) -> Format:
    """The format that a client asks for; the first if it asks for none.

    Raises
    ------
    XcatError
        There is no such format.
    """
    form = _BY_NAME.get((name or "votable").replace(" ", "").lower())
    if form is None:
        short = ", ".join(sorted(n for n in _BY_NAME if "/" not in n))
        raise XcatError(f"there is no RESPONSEFORMAT {str(name)[:100]!r}; there are: {short}, and their media types")
    return form


# --- types ------------------------------------------------------------------------------------------------

_TYPES = psycopg.adapters.types
_TEXT = ("char", "unicodeChar")
# what a type of PostgreSQL is in VOTable, first, and what else a column may call it
_DATATYPES = {
    "bool": ("boolean",),
    "int2": ("short", "unsignedByte"),
    "int4": ("int",),
    "int8": ("long",),
    "oid": ("long",),
    "float4": ("float",),
    "float8": ("double",),
    "numeric": ("double", "long", "char"),
}
_OF_TYPE = {_TYPES[name].oid: kinds for name, kinds in _DATATYPES.items()}
_OF_ARRAY = {_TYPES[name].array_oid: kinds for name, kinds in _DATATYPES.items() if name != "oid"}
_TIMES = {_TYPES[name].oid for name in ("timestamptz", "timestamp", "date")}


def fields(columns: Sequence[Column], heads: Sequence[Head]) -> list[Column]:
    """Columns of a result: their meaning as ADQL says, their type as the server says."""
    if len(columns) != len(heads):
        raise XcatError(f"the result has {len(heads)} columns, not {len(columns)}; this is an error of xcat: report it")
    return [_typed(column, head) for column, head in zip(columns, heads, strict=True)]


def _typed(column: Column, head: Head) -> Column:
    type_code = head.type_code
    if type_code in _OF_TYPE:
        kinds = _OF_TYPE[type_code]
        if column.datatype in kinds and column.arraysize in (None, "", "1"):
            return column
        return replace(column, datatype=kinds[0], arraysize=None, xtype=None)
    if type_code in _OF_ARRAY:
        kinds = _OF_ARRAY[type_code]
        if column.datatype in kinds and column.arraysize not in (None, "", "1"):
            return column
        return replace(column, datatype=kinds[0], arraysize="*")
    if type_code in _TIMES:
        return replace(column, datatype="char", arraysize="*", xtype="timestamp")
    if column.datatype in _TEXT and not head.is_computed:
        return column if column.arraysize else replace(column, arraysize="*")
    return replace(column, datatype="unicodeChar", arraysize="*", xtype=None)  # char is ASCII


def converters(columns: Sequence[Column], heads: Sequence[Head]) -> list[Callable[[Any], Any] | None]:
    """What makes of psycopg's values those of VOTable, by column; None where they are the same."""
    return [_converter(column, head.type_code) for column, head in zip(columns, heads, strict=True)]


def _converter(column: Column, type_code: int) -> Callable[[Any], Any] | None:
    if type_code in _TIMES:
        return _time
    if type_code in _OF_ARRAY:
        return _numbers if type_code == _TYPES["numeric"].array_oid else _flat
    if type_code == _TYPES["numeric"].oid:
        return {"double": float, "long": int}.get(column.datatype, str)
    if type_code in _OF_TYPE:
        return None
    return _text


def _time(value: datetime | date) -> str:
    if isinstance(value, datetime):
        value = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
        return value.isoformat(timespec="milliseconds")
    return value.isoformat()


def _numbers(value: list[Any]) -> list[Any]:
    return [float(v) if isinstance(v, Decimal) else v for v in _flat(value)]


def _flat(value: list[Any]) -> list[Any]:
    """Arrays of several dimensions one element after the other, as VOTable has them."""
    if value and isinstance(value[0], list):
        return [element for row in value for element in _flat(row)]
    return value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)


# --- rows to bytes ----------------------------------------------------------------------------------------

Batches = Iterable[Sequence[Sequence[Any]]]


def written(
    form: Format, columns: Sequence[Column], infos: Sequence[str], batches: Batches, end: Callable[[], Sequence[str]]
) -> Iterator[bytes]:
    """The bytes of a result.

    Parameters
    ----------
    infos : sequence of str
        INFO elements of the head of a VOTable.
    batches : iterable of lists of rows
    end : callable
        Gives the INFO elements of the end, when all rows are written.
    """
    if not form.serialization:
        yield from _separated(form, columns, batches)
        return
    yield votable.head(columns, infos, form.serialization).encode()
    if form.serialization == "BINARY2":
        yield from base64_lines(map(votable.as_binary2(columns), batches))
    else:
        yield from map(votable.as_xml(columns), batches)
    yield votable.tail(form.serialization, end()).encode()


def _separated(form: Format, columns: Sequence[Column], batches: Batches) -> Iterator[bytes]:
    buffer = io.StringIO()
    add = csv.writer(buffer, lineterminator="\n").writerows
    if form.ending == ".tsv":  # the format has no quotes: what would break a line becomes a blank
        add = partial(_add_tsv, buffer)
    texts = [votable.array_text if votable.is_array(c) else None if c.datatype in _TEXT else _plain for c in columns]
    add([[column.name for column in columns]])
    yield buffer.getvalue().encode()
    for rows in batches:
        buffer.seek(0)
        buffer.truncate()
        add(
            [
                [
                    "" if value is None else value if text is None else text(value)
                    for text, value in zip(texts, row, strict=True)
                ]
                for row in rows
            ]
        )
        yield buffer.getvalue().encode("utf-8", "backslashreplace")


def _add_tsv(buffer: io.StringIO, rows: Iterable[Iterable[str]]) -> None:
    for row in rows:
        buffer.write("\t".join(" ".join(cell.splitlines()).replace("\t", " ") for cell in row) + "\n")


def _plain(value: Any) -> str:
    return votable.number_text(value) if value is not True and value is not False else str(value).lower()
