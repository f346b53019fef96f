"""VOTables: streamed where the rows are written as XML, read as a whole where they are binary."""

from __future__ import annotations

import gzip
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from operator import itemgetter
from pathlib import Path
from typing import IO
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.compute as pc
from astropy.io.votable import parse
from astropy.io.votable.exceptions import VOWarning
from astropy.units import UnitsWarning

from xcat.catalogues.definition import Definition
from xcat.errors import InputError
from xcat.ingest.opened import ColumnFacts, TableReader, array_batches, locate, unpacked

_TYPES = {"short": "i2", "int": "i4", "long": "i8", "unsignedByte": "u1", "float": "f4", "double": "f8"}
_TYPES |= {"boolean": "b1", "bit": "b1", "char": "U", "unicodeChar": "U"}
_BINARY = ("BINARY", "BINARY2", "FITS")


def open_votable(path: Path, definition: Definition, chunk_rows: int, stack: ExitStack) -> TableReader:
    """Open the first table of a VOTable; a result that its server cut off is refused."""
    stream = unpacked(path)
    stack.enter_context(stream)
    document = Document(path, stream)
    serialised = document.head()
    columns = [_column(name, field) for name, field in zip(document.names, document.fields, strict=True)]
    if serialised in _BINARY:
        return _whole(path, definition, chunk_rows, columns)
    places = locate(definition.file_columns, document.names, path)
    values = [next((v for v in document.fields[i] if v.tag.endswith("VALUES")), None) for i in places.values()]
    nulls = [None if v is None else v.get("null") for v in values]
    units = {name: unit for name, i in places.items() if (unit := document.fields[i].get("unit", ""))}
    return TableReader(path, _batches(document, places, nulls, chunk_rows), document.n_rows, units, columns)


def _column(name: str, element: ElementTree.Element) -> ColumnFacts:
    size, type_ = element.get("arraysize", "1"), element.get("datatype", "char")
    is_text = type_ in ("char", "unicodeChar")
    if ("x" in size) if is_text else (size != "1" or type_ not in _TYPES):
        return ColumnFacts(name.strip(), unusable=f"({type_}[{size}]) holds arrays")
    about = next((e.text or "" for e in element if e.tag.endswith("DESCRIPTION")), "")
    unit, ucd = element.get("unit", ""), element.get("ucd", "")
    return ColumnFacts(name.strip(), unit, ucd, " ".join(about.split()), _TYPES[type_])


class Document:
    """The XML events of a VOTable; after `head` the FIELDs of the first table, and its number of rows if stated."""

    def __init__(self, path: Path, stream: IO[bytes] | gzip.GzipFile):
        self.path = path
        self.fields: list[ElementTree.Element] = []
        self.n_rows: int | None = None
        self._events = ElementTree.iterparse(stream, events=("start", "end"))
        self._rows: ElementTree.Element | None = None

    @property
    def names(self) -> list[str]:
        """Names of the columns; empty where a FIELD has neither name nor ID."""
        return [element.get("name") or element.get("ID") or "" for element in self.fields]

    def head(self) -> str:
        """Read up to the rows; return how they are serialised.

        Raises
        ------
        InputError
            There is no table, the XML is broken, or the server cut the result off.
        """
        in_table = False
        try:
            for event, element in self._events:
                tag = element.tag.rpartition("}")[2]
                if event == "start":
                    if tag == "TABLE":
                        in_table = True
                        n_rows = element.get("nrows", "")
                        self.n_rows = int(n_rows) if n_rows.isdigit() else None
                    elif tag == "TABLEDATA" or tag in _BINARY:
                        self._rows = element
                        return str(tag)
                elif tag == "INFO":
                    self._check_status(element)
                elif tag == "FIELD" and in_table:
                    self.fields.append(element)
                elif tag == "TABLE":
                    return "TABLEDATA"  # a table without DATA has no rows
        except ElementTree.ParseError as error:
            raise InputError(f"{self.path}: not well-formed XML, or cut off: {error}") from error
        raise InputError(f"{self.path}: the VOTable has no table")

    def rows(self) -> Iterator[list[str | None]]:
        """Yield the texts of each row, and look at what the server says after the last."""
        for event, element in self._events:
            if event == "start":
                continue
            tag = element.tag.rpartition("}")[2]
            if tag == "TR":
                yield [cell.text for cell in element]
                if self._rows is not None:
                    self._rows.clear()  # else every row that has been read would stay in memory
            elif tag == "INFO":
                self._check_status(element)

    def _check_status(self, element: ElementTree.Element) -> None:
        check_status(self.path, element.get("name"), element.get("value"), element.text)


def check_status(path: Path, name: str | None, value: str | None, text: str | None = None) -> None:
    """Refuse a result whose INFO says that its server cut it off, or failed."""
    status = (value or "").upper() if name == "QUERY_STATUS" else ""
    if status == "OVERFLOW":
        raise InputError(
            f"{path}: its server cut this result off (QUERY_STATUS is OVERFLOW). Fetch it again in smaller pieces"
        )
    if status == "ERROR":
        raise InputError(f"{path}: its server answered with an error: {(text or '').strip()}")


def _batches(
    document: Document, places: dict[str, int], nulls: list[str | None], chunk_rows: int
) -> Iterator[pa.RecordBatch]:
    pick = itemgetter(*places.values(), 0)  # the extra item makes it return a tuple even for one column
    n_fields = len(document.fields)
    row, chunk = 0, []
    try:
        for cells in document.rows():
            row += 1
            if len(cells) != n_fields:
                raise InputError(f"{document.path}: row {row} has {len(cells)} values, not {n_fields}")
            chunk.append(pick(cells))
            if len(chunk) == chunk_rows:
                yield _batch(chunk, list(places), nulls)
                chunk = []
    except ElementTree.ParseError as error:
        raise InputError(f"{document.path}: cut off or damaged after row {row}: {error}") from error
    if chunk:
        yield _batch(chunk, list(places), nulls)


def _batch(rows: list[tuple[str | None, ...]], names: list[str], nulls: list[str | None]) -> pa.RecordBatch:
    arrays = []
    for values, null in zip(zip(*rows, strict=True), [*nulls, None], strict=True):
        column = pa.array(values, pa.string())
        if null is not None:
            is_null = pc.equal(pc.utf8_trim_whitespace(column), null.strip())
            column = pc.if_else(is_null, pa.scalar(None, pa.string()), column)
        arrays.append(column)
    return pa.record_batch(arrays[:-1], names=names)


def _whole(path: Path, definition: Definition, chunk_rows: int, columns: list[ColumnFacts]) -> TableReader:
    if not definition.file_columns:
        return TableReader(path, iter(()), columns=columns)  # only the header is wanted
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VOWarning)  # services bend the standard in many ways
        warnings.simplefilter("ignore", UnitsWarning)
        document = parse(path, verify="ignore")
    for resource in document.resources:
        for info in resource.infos:
            check_status(path, info.name, info.value, info.content)
    table = document.get_first_table()
    places = locate(definition.file_columns, [f.name for f in table.fields], path)
    units = {name: str(table.fields[i].unit) for name, i in places.items() if table.fields[i].unit}
    chosen = {name: table.array[table.fields[i].ID] for name, i in places.items()}
    return TableReader(path, array_batches(chosen, len(table.array), chunk_rows), len(table.array), units, columns)
