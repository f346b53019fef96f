"""Tables that clients send with a query: VOTables, loaded into temporary tables of the reader's session.

The document is looked through first, for what would make a parser open other files, unpack without end, or take what
no column can hold. Types, units, UCDs and xtypes of the columns go with them into the result.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import IO, Any
from xml.parsers import expat

import numpy as np
import psycopg
from psycopg import sql

from xcat.adql import Column, Table
from xcat.database.connection import Connection
from xcat.database.sqlfiles import job
from xcat.errors import DatabaseError, XcatError

_MOST_COLUMNS = 1000
_MOST_MB = 2000  # of memory for what a document states
_LONGEST_VALUE = 10_000  # characters of a text, elements of an array: a join may repeat it in every row
_LONGEST_NAME = 63  # bytes of a name in PostgreSQL
_TYPES = {
    "boolean": "boolean",
    "unsignedByte": "smallint",
    "short": "smallint",
    "int": "integer",
    "long": "bigint",
    "float": "real",
    "double": "double precision",
    "char": "text",
    "unicodeChar": "text",
}
_TEXT = ("char", "unicodeChar")
_POSITIONS = (("ra", "dec"), ("raj2000", "dej2000"), ("ra_icrs", "de_icrs"), ("_raj2000", "_dej2000"))


@dataclass(frozen=True)
class Upload:
    """A table as it was sent.

    Attributes
    ----------
    name : str
        As the query calls it, without ``TAP_UPLOAD.``.
    open : callable
        Opens its VOTable.
    """

    name: str
    open: Callable[[], AbstractContextManager[IO[bytes]]]


def names(values: Sequence[str]) -> list[tuple[str, str]]:
    """Names of the tables in parameters UPLOAD, and where each is: ``param:FIELD``, or the result of a job.

    Raises
    ------
    XcatError
        It is written in another way, names a table twice, or an address that is not of this request.
    """
    given: dict[str, str] = {}
    for pair in (pair for value in values for pair in value.split(";") if pair.strip()):
        name, comma, address = (part.strip() for part in pair.partition(","))
        name = re.sub(r"^tap_upload\.", "", name, flags=re.I)
        if not comma or not address:
            raise XcatError(f"UPLOAD={pair[:200]!r}: it must be NAME,param:FIELD, with the VOTable in the field FIELD")
        if not re.fullmatch(r"[A-Za-z]\w{0,59}", name, re.A):
            raise XcatError(f"UPLOAD: {name[:80]!r} is not a name of a table: letters, digits and _ after a letter")
        if name.lower() in map(str.lower, given):
            raise XcatError(f"UPLOAD: two tables have the name {name}")
        given[name] = address
    return list(given.items())


def load(conn: Connection, upload: Upload, number: int) -> Table:
    """Load an upload into a temporary table, with an index of positions if it has them.

    Parameters
    ----------
    conn : Connection
        Of the reader, outside a transaction.
    number : int
        Of the upload among those of the query.

    Raises
    ------
    XcatError
        It is no VOTable that can be read; the message says why.
    """
    where = f"upload {upload.name}"
    with upload.open() as stream:
        _look_through(stream, where)
        stream.seek(0)
        columns, arrays = _read(stream, where)
    relation = f"pg_temp.upload_{number}"
    place = sql.Identifier(*relation.split("."))
    types = [_TYPES[c.datatype] + ("[]" if _is_array(c) else "") for c in columns]
    defined = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(c.name), sql.SQL(t)) for c, t in zip(columns, types, strict=True)
    )
    position = position_of(columns)
    with _told(where), conn.transaction():
        conn.execute(job("tap.may_write").compose())
        conn.execute(sql.SQL("CREATE TEMPORARY TABLE {} ({})").format(place, defined))
        with conn.cursor() as cursor, cursor.copy(sql.SQL("COPY {} FROM STDIN").format(place)) as copy:
            copy.set_types(types)
            for row in zip(*arrays, strict=True):
                copy.write_row(row)
        if position is not None and _on_the_sky(arrays, columns, position):
            ra, dec = position
            conn.execute(job("tap.index_upload").compose(table=place, ra=ra, dec=dec))
        else:
            position = None
        conn.execute(sql.SQL("ANALYZE {}").format(place))
    return Table(f"tap_upload.{upload.name}", place.as_string(), tuple(columns), position, len(arrays[0]))


@contextmanager
def _told(where: str) -> Iterator[None]:
    """What the database cannot hold, such as a row of too many bytes, is an error of the upload."""
    try:
        yield
    except psycopg.errors.QueryCanceled:
        raise
    except psycopg.Error as error:
        if error.sqlstate is None:
            raise DatabaseError(f"the connection to the database was lost: {error}") from error
        raise XcatError(f"{where}: the database cannot take it: {str(error).strip()}") from error


def position_of(columns: Sequence[Column]) -> tuple[str, str] | None:
    """Columns with right ascension and declination in degrees: by UCD, the main ones first, or by their names."""
    numbers = [c for c in columns if c.datatype in ("float", "double") and c.unit in (None, "", "deg", "degree")]
    for suffix in (";meta.main", ""):
        found = [
            next((c.name for c in numbers if (c.ucd or "").lower() == f"pos.eq.{axis}{suffix}"), None)
            for axis in ("ra", "dec")
        ]
        if found[0] is not None and found[1] is not None:
            return found[0], found[1]
    by_name = {c.name.lower(): c.name for c in numbers}
    for ra, dec in _POSITIONS:
        if ra in by_name and dec in by_name:
            return by_name[ra], by_name[dec]
    return None


def _on_the_sky(arrays: Sequence[list[Any]], columns: Sequence[Column], position: tuple[str, str]) -> bool:
    """Whether all positions are possible ones: q3c takes any number."""
    by_name = {c.name: values for c, values in zip(columns, arrays, strict=True)}
    limits = ((0, 360), (-90, 90))
    return all(
        value is None or low <= value <= high
        for name, (low, high) in zip(position, limits, strict=True)
        for value in by_name[name]
    )


# --- the document -----------------------------------------------------------------------------------------


def _look_through(stream: IO[bytes], where: str) -> None:
    """Refuse what no VOTable needs, what names other files, and what would take far more memory than it has bytes."""
    parser = expat.ParserCreate()
    n_fields, n_rows, row_bytes = 0, 0, 0

    def entity(name: str, *_: Any) -> None:
        raise XcatError(f"{where}: the XML declares an entity, which could stand for other files; remove it")

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal n_fields, n_rows, row_bytes
        tag = tag.rpartition(":")[2]
        if tag == "TR":
            n_rows += 1
        elif tag == "TABLE" and (stated := attributes.get("nrows", "").strip()).isdecimal():
            n_rows = max(n_rows, int(stated[:20]))
        elif tag == "FIELD":
            n_fields += 1
            row_bytes += 8 * _elements(attributes.get("arraysize", ""))
        elif tag == "include":
            raise XcatError(f"{where}: it includes other files, which are never opened")
        elif tag == "FITS":
            raise XcatError(f"{where}: its rows are a FITS file; write it as TABLEDATA or BINARY2")
        elif tag == "STREAM" and "href" in attributes:
            raise XcatError(f"{where}: its rows are elsewhere (href of STREAM); this service fetches nothing")
        elif tag == "STREAM" and attributes.get("encoding", "base64") != "base64":
            raise XcatError(f"{where}: its rows are packed ({attributes['encoding'][:20]}); write them as base64")
        if n_fields > _MOST_COLUMNS:
            raise XcatError(f"{where}: it has more than {_MOST_COLUMNS:,} columns")
        if n_rows * row_bytes > _MOST_MB * 1e6:
            raise XcatError(
                f"{where}: by its nrows and arraysizes it would take more than {_MOST_MB:,} MB of memory. Write texts "
                'with arraysize="*", or fewer rows'
            )

    parser.EntityDeclHandler = entity
    parser.StartElementHandler = start
    try:
        parser.ParseFile(stream)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise XcatError(f"{where}: it is not well-formed XML, or cut off: {error}") from None


def _elements(arraysize: str) -> int:
    """Elements that every value has place for; values of any length take what they have."""
    sizes = [int(size[:12]) for size in re.findall(r"\d+", arraysize, re.A)]
    return math.prod(sizes)


def _read(stream: IO[bytes], where: str) -> tuple[list[Column], list[list[Any]]]:
    """Columns of the first table, and their values, None where there is none."""
    from astropy.io import votable

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # every remark about another's VOTable
            table = votable.parse(stream, verify="ignore").get_first_table()
            fields, array = list(table.fields), table.array
            columns = [_column(field, where) for field in fields]
            if not columns:
                raise XcatError(f"{where}: the table has no columns")
            data = np.ma.asarray(array)
            values = [
                list(_values(data[name], column)) for name, column in zip(data.dtype.names or (), columns, strict=True)
            ]
    except XcatError:
        raise
    except Exception as error:  # astropy raises whatever comes of a wrong document
        words = " ".join(str(error).split())[:300]
        raise XcatError(f"{where}: it is not a VOTable that can be read: {words or type(error).__name__}") from None
    for column, cells in zip(columns, values, strict=True):
        longest = max((len(cell) for cell in cells if isinstance(cell, str | list)), default=0)
        if longest > _LONGEST_VALUE:
            raise XcatError(
                f"{where}: a value of column '{column.name}' is longer than {_LONGEST_VALUE:,}. Leave it out"
            )
    doubled = {c.name for i, c in enumerate(columns) if c.name in {d.name for d in columns[:i]}}
    if doubled:
        raise XcatError(f"{where}: two columns have the name '{min(doubled)}'")
    return columns, values


def _column(field: Any, where: str) -> Column:
    name, size = str(field.name or field.ID or ""), str(field.arraysize or "1")
    if not name or len(name.encode()) > _LONGEST_NAME:
        raise XcatError(f"{where}: a column has the name '{name[:80]}': names have 1 to {_LONGEST_NAME} bytes")
    # astropy writes truth values as single bits
    datatype = "boolean" if field.datatype == "bit" and size == "1" else field.datatype
    if datatype not in _TYPES or (datatype in _TEXT and "x" in size):
        kind = field.datatype if size == "1" else f"{field.datatype}[{size}]"
        raise XcatError(f"{where}: column '{name}' is {kind}, which this service does not take. Leave it out")
    return Column(
        name,
        datatype,
        None if size == "1" else "*" if "x" in size and "*" in size else size,
        field.xtype,
        None if field.unit is None else _unit(field.unit),
        field.ucd,
        field.utype,
        " ".join(str(field.description or "").split()),
    )


def _unit(unit: Any) -> str:
    try:
        return str(unit.to_string("vounit"))
    except (ValueError, AttributeError):
        return str(unit)


def _is_array(column: Column) -> bool:
    return column.datatype not in _TEXT and column.arraysize not in (None, "", "1")


def _values(data: np.ma.MaskedArray, column: Column) -> Iterator[Any]:
    masks = np.ma.getmaskarray(data)
    if _is_array(column):
        for value, mask in zip(data, masks, strict=True):
            elements = np.ma.asarray(value).ravel().tolist()
            yield None if np.all(mask) and np.size(mask) else [_number(e) for e in elements]
        return
    for value, mask in zip(np.ma.getdata(data).tolist(), masks.tolist(), strict=True):
        if mask is True or value is None:
            yield None
        elif column.datatype in _TEXT:
            text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
            yield text.replace("\0", "")
        else:
            yield _number(value)


def _number(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
