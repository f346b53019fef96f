"""VOTables: the rows are streamed, whether they are written as XML or in binary."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from operator import itemgetter
from pathlib import Path
from typing import IO
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.compute as pc

from xcat.catalogues.definition import Definition
from xcat.errors import InputError
from xcat.ingest import frames
from xcat.ingest.files import byte_order_mark, unpacked
from xcat.ingest.opened import ColumnFacts, TableReader, choose, locate, which_table
from xcat.ingest.votable_binary import binary_batches

_TYPES = {"short": "i2", "int": "i4", "long": "i8", "unsignedByte": "u1", "float": "f4", "double": "f8"}
_TYPES |= {"boolean": "b1", "bit": "b1", "char": "U", "unicodeChar": "U"}
_BINARY = ("BINARY", "BINARY2", "FITS")
_TABLE = re.compile(rb"<(?:[\w.-]+:)?TABLE(?=[\s/>])([^>]*)>")
_SCAN_BYTES, _LONGEST_TAG = 1 << 18, 4096
_MOST_HEADER_ELEMENTS = 500_000
_MJD_ORIGIN_JD = 2400000.5


def open_votable(path: Path, definition: Definition, chunk_rows: int, stack: ExitStack) -> TableReader:
    """Open the first table of a VOTable, or the one that ``read.hdu`` names; a result that was cut off is refused."""
    names = tables_of(path)
    number = choose(path, definition.read.hdu, names)
    stream = unpacked(path)
    stack.enter_context(stream)
    document = Document(path, stream, number)
    serialised = document.head()
    if serialised == "FITS":
        raise InputError(f"{path}: the rows are a FITS file inside the VOTable; take the FITS file itself")
    columns = document.columns()
    listed = {n: f"{n} '{name}'" if name else str(n) for n, name in names.items()}
    others = [text for n, text in listed.items() if n != number]
    messages = which_table(path, listed.get(number, str(number)), others, definition.read.hdu)
    if not definition.file_columns:
        return TableReader(path, iter(()), columns=columns, remarks=messages)  # only the header is wanted
    places = locate(definition.file_columns, document.names, path, messages, definition.optional_file_columns)
    for name, i in places.items():
        if columns[i].unusable:
            raise InputError(f"{path}: column '{name}' {columns[i].unusable}, not single values")
    document.check_times(definition)
    units = {name: columns[i].unit for name, i in places.items() if columns[i].unit}
    if serialised == "TABLEDATA":
        values = [next((v for v in document.fields[i] if v.tag.endswith("VALUES")), None) for i in places.values()]
        nulls = [None if v is None else v.get("null") for v in values]
        batches = _batches(document, places, nulls, chunk_rows)
    else:
        batches = binary_batches(
            path,
            number,
            document.fields,
            places,
            has_masks=serialised == "BINARY2",
            chunk_rows=chunk_rows,
            check_status=lambda name, value, text: check_status(path, name, value, text),
        )
    return TableReader(path, batches, document.n_rows, units, columns, remarks=messages)


def tables_of(path: Path) -> dict[int, str]:
    """Names (or IDs) of the TABLEs of a VOTable, numbered from 1, found without parsing all of it.

    Raises
    ------
    InputError
        The document declares entities, which can stand for other files; none is ever opened.
    """
    found: dict[int, str] = {}
    with unpacked(path) as stream:
        block = stream.read(_SCAN_BYTES)
        is_wide = byte_order_mark(block) in ("utf-16", "utf-32")
        while block:
            content = block.replace(b"\0", b"") if is_wide else block
            if not found and b"<!ENTITY" in content:
                raise InputError(f"{path}: the XML declares entities, which could stand for other files; remove them")
            last = 0
            for match in _TABLE.finditer(content):
                names = [re.search(rb"\s%s\s*=\s*[\"']([^\"']*)" % key, match[1]) for key in (b"name", b"ID")]
                found[len(found) + 1] = next((n[1].decode("utf-8", "replace") for n in names if n), "")
                last = match.end()
            more = stream.read(_SCAN_BYTES)
            # a tag may lie across two blocks; what was counted already is not looked at again
            kept = 0 if is_wide else max(last, len(block) - _LONGEST_TAG)
            block = (block[kept:] if more and not is_wide else b"") + more
    return found or {1: ""}


def _column(name: str, element: ElementTree.Element, frame: str) -> ColumnFacts:
    size, type_ = element.get("arraysize", "1"), element.get("datatype", "char")
    is_text = type_ in ("char", "unicodeChar")
    unit, ucd = element.get("unit", "").strip(), element.get("ucd", "").strip()
    if ("x" in size) if is_text else (size not in ("1", "") or type_ not in _TYPES):
        return ColumnFacts(name.strip(), unit, ucd, unusable=f"({type_}[{size}]) holds arrays")
    about = next((e.text or "" for e in element if e.tag.endswith("DESCRIPTION")), "")
    return ColumnFacts(name.strip(), unit, ucd, " ".join(about.split()), _TYPES[type_], frame=frame)


class Document:
    """The XML events of a VOTable; after `head` the FIELDs of a table, and its number of rows if stated."""

    def __init__(self, path: Path | str, stream: IO[bytes], number: int = 1):
        self.path, self.number = path, number
        self.fields: list[ElementTree.Element] = []
        self.n_rows: int | None = None
        self._events = ElementTree.iterparse(stream, events=("start", "end"))
        self._rows: ElementTree.Element | None = None
        self._frames: dict[str, str] = {}  # by the ID of its COOSYS
        self._origins: dict[str, str] = {}  # of times, by the ID of their TIMESYS

    @property
    def names(self) -> list[str]:
        """Names of the columns; empty where a FIELD has neither name nor ID."""
        return [element.get("name") or element.get("ID") or "" for element in self.fields]

    def columns(self) -> list[ColumnFacts]:
        """What the FIELDs say, with the frame of the COOSYS that each refers to.

        A COOSYS that no FIELD refers to, as old files have it, holds for all that refer to none.
        """
        refs = [element.get("ref", "") for element in self.fields]
        free = sorted({frame for id_, frame in self._frames.items() if id_ not in refs})
        of_rest = (
            free[0] if len(free) == 1 else f"?{' or '.join(f.lstrip('?') or 'ICRS' for f in free)}" if free else ""
        )
        return [
            _column(name, field, self._frames[ref] if ref in self._frames else frames.of_name(name, of_rest))
            for name, field, ref in zip(self.names, self.fields, refs, strict=True)
        ]

    def head(self) -> str:
        """Read up to the rows; return how they are serialised.

        Raises
        ------
        InputError
            There is no table, the XML is broken, or the server cut the result off.
        """
        table, n_elements = 0, 0
        try:
            for event, element in self._events:
                tag = element.tag.rpartition("}")[2]
                is_wanted = table == self.number
                if event == "start":
                    n_elements += not (tag in ("TR", "TD") and not is_wanted)
                    if n_elements > _MOST_HEADER_ELEMENTS:
                        raise InputError(f"{self.path}: the header of the VOTable does not end; this is not read")
                    if element.tag.endswith("XInclude}include"):
                        raise InputError(f"{self.path}: it includes other files (xi:include), which are never opened")
                    if tag == "TABLE":
                        table += 1
                        n_rows = element.get("nrows", "")
                        self.n_rows = int(n_rows) if n_rows.isdecimal() and len(n_rows) < 19 else None
                    elif (tag == "TABLEDATA" or tag in _BINARY) and is_wanted:
                        self._rows = element
                        return str(tag)
                    elif tag == "TABLEDATA":
                        self._rows = element
                elif tag == "INFO":
                    self._check_status(element)
                elif tag == "COOSYS":
                    system, equinox, epoch = (element.get(k, "") for k in ("system", "equinox", "epoch"))
                    self._frames[element.get("ID", "")] = frames.named(system, equinox, epoch)
                elif tag == "TIMESYS":
                    self._origins[element.get("ID", "")] = element.get("timeorigin", "")
                elif tag == "FIELD" and is_wanted:
                    self.fields.append(element)
                elif tag == "TABLE" and is_wanted:
                    return "TABLEDATA"  # a table without DATA has no rows
                elif tag == "TR" and self._rows is not None:
                    self._rows.clear()  # of a table that is not wanted
        except ElementTree.ParseError as error:
            raise InputError(f"{self.path}: not well-formed XML, or cut off: {error}") from error
        raise InputError(f"{self.path}: the VOTable has no table")

    def check_times(self, definition: Definition) -> None:
        """Refuse dates that are counted from another day than modified Julian dates, by their TIMESYS."""
        spec = definition.columns.get("mjd")
        if spec is None or spec.transform:
            return
        for field, name in zip(self.fields, self.names, strict=True):
            origin = self._origins.get(field.get("ref", ""), "").strip()
            if name.strip().casefold() != spec.from_[0].strip().casefold() or origin.casefold() in ("", "mjd-origin"):
                continue
            day = 0.0 if origin.casefold() == "jd-origin" else float(origin)
            if day != _MJD_ORIGIN_JD:
                raise InputError(
                    f"{self.path}: column '{name}' counts days from JD {day:g}, not modified Julian dates (from JD "
                    f"{_MJD_ORIGIN_JD}); say so in the definition: transform: {{shift: {day - _MJD_ORIGIN_JD:g}}}"
                )

    def rows(self) -> Iterator[list[str | None]]:
        """Yield the texts of each row, and look at what the server says after the last."""
        in_rows = self._rows is not None
        space = "" if self._rows is None else self._rows.tag.rpartition("}")[0]
        space = f"{space}}}" if space else ""
        row_tag, cell_tag, rows_tag = f"{space}TR", f"{space}TD", f"{space}TABLEDATA"
        for event, element in self._events:
            tag = element.tag
            if event == "start":
                if in_rows and tag != cell_tag and tag != row_tag:
                    local = tag.rpartition("}")[2]
                    raise InputError(f"{self.path}: <{local[:40]}> among the rows; only data inside the file are read")
            elif tag == row_tag and in_rows:
                yield [cell.text for cell in element]
                if self._rows is not None:
                    self._rows.clear()  # else every row that has been read would stay in memory
            elif tag == rows_tag:
                in_rows = False
            elif tag.rpartition("}")[2] == "INFO":
                self._check_status(element)

    def _check_status(self, element: ElementTree.Element) -> None:
        check_status(self.path, element.get("name"), element.get("value"), element.text)


def check_status(path: Path | str, name: str | None, value: str | None, text: str | None = None) -> None:
    """Refuse a result whose INFO says that its server cut it off, or failed."""
    status = (value or "").strip().upper() if (name or "").strip().upper() == "QUERY_STATUS" else ""
    if status == "OVERFLOW":
        raise InputError(
            f"{path}: its server cut this result off (QUERY_STATUS is OVERFLOW). Fetch it again in smaller pieces"
        )
    if status == "ERROR":
        raise InputError(f"{path}: its server answered with an error: {(text or '').strip()[:300]}")


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
