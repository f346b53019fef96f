"""VOTables: streamed where the rows are written as XML, read as a whole where they are binary."""

from __future__ import annotations

import gzip
import warnings
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from typing import IO
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from astropy.io.votable import parse
from astropy.io.votable.exceptions import VOWarning
from astropy.units import UnitsWarning

from xcat.catalogues.definition import Definition
from xcat.errors import InputError
from xcat.ingest.opened import Opened, locate

_BINARY = ("BINARY", "BINARY2", "FITS")


def open_votable(path: Path, definition: Definition, chunk_rows: int) -> Opened:
    """Open the first table of a VOTable; a result that its server cut off is refused."""
    raw = path.open("rb")
    try:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        stream: IO[bytes] = gzip.GzipFile(fileobj=raw, mode="rb") if packed else raw  # type: ignore[assignment]
        document = _Document(path, stream)
        head = document.head()
        if head in _BINARY:
            raw.close()
            return _whole(path, definition, chunk_rows)
        places = locate(definition.file_columns, document.names, path)
        nulls = [document.nulls[i] for i in places.values()]
        units = {name: document.units[i] for name, i in places.items() if document.units[i]}
    except ElementTree.ParseError as error:
        raw.close()
        raise InputError(f"{path}: not well-formed XML, or cut off: {error}") from error
    except BaseException:
        raw.close()
        raise
    batches = _batches(document, places, nulls, chunk_rows)
    return Opened(batches, document.n_rows, units, raw.tell, raw.close)


class _Document:
    """The XML events of a VOTable, and what has been learned from them."""

    def __init__(self, path: Path, stream: IO[bytes]):
        self.path = path
        self.names: list[str] = []
        self.units: list[str] = []
        self.nulls: list[str | None] = []
        self.n_rows: int | None = None
        self._events = ElementTree.iterparse(stream, events=("start", "end"))
        self._rows: ElementTree.Element | None = None

    def head(self) -> str:
        """Read up to the rows; return how they are serialised."""
        in_table = False
        for event, element in self._events:
            tag = element.tag.rpartition("}")[2]
            if event == "start":
                if tag == "TABLE":
                    in_table = True
                    n_rows = element.get("nrows", "")
                    self.n_rows = int(n_rows) if n_rows.isdigit() else None
                elif tag == "TABLEDATA" or tag in _BINARY:
                    self._rows = element
                    return tag
            elif tag == "INFO":
                self._check_status(element)
            elif tag == "FIELD" and in_table:
                self.names.append(element.get("name") or element.get("ID") or "")
                self.units.append(element.get("unit", ""))
                values = [v for v in element if v.tag.endswith("VALUES")]
                self.nulls.append(values[0].get("null") if values else None)
            elif tag == "TABLE":
                return "TABLEDATA"  # a table without DATA has no rows
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
        if element.get("name") != "QUERY_STATUS":
            return
        status = (element.get("value") or "").upper()
        if status == "OVERFLOW":
            raise InputError(
                f"{self.path}: its server cut this result off (QUERY_STATUS is OVERFLOW). "
                "Fetch it again in smaller pieces"
            )
        if status == "ERROR":
            raise InputError(f"{self.path}: its server answered with an error: {(element.text or '').strip()}")


def _batches(
    document: _Document, places: dict[str, int], nulls: list[str | None], chunk_rows: int
) -> Iterator[pa.RecordBatch]:
    pick = itemgetter(*places.values(), 0)  # the extra item makes it return a tuple for one column as well
    n_fields = len(document.names)
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


def _whole(path: Path, definition: Definition, chunk_rows: int) -> Opened:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VOWarning)  # services bend the standard in many ways
        warnings.simplefilter("ignore", UnitsWarning)
        document = parse(path, verify="ignore")
    for resource in document.resources:
        for info in resource.infos:
            if info.name == "QUERY_STATUS" and (info.value or "").upper() == "OVERFLOW":
                raise InputError(
                    f"{path}: its server cut this result off (QUERY_STATUS is OVERFLOW). "
                    "Fetch it again in smaller pieces"
                )
    table = document.get_first_table()
    places = locate(definition.file_columns, [f.name for f in table.fields], path)
    units = {name: str(table.fields[i].unit) for name, i in places.items() if table.fields[i].unit}
    chosen = {name: table.array[table.fields[i].ID] for name, i in places.items()}

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, len(table.array), chunk_rows):
            part = {n: c[start : start + chunk_rows] for n, c in chosen.items()}
            arrays = [
                pa.array([None if v is np.ma.masked else str(v) for v in c], pa.string())
                if c.dtype.kind in "OUS"
                else pa.array(np.ma.getdata(c), mask=np.ma.getmaskarray(c))
                for c in part.values()
            ]
            yield pa.record_batch(arrays, names=list(part))

    return Opened(batches(), len(table.array), units)
