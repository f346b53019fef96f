"""Rows of a VOTable in BINARY or BINARY2, decoded piece by piece; only data inside the file are ever read."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element
from xml.parsers import expat

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from xcat.errors import InputError
from xcat.ingest.files import unpacked

_BLOCK_BYTES = 1 << 18
_MOST_BUFFERED_BYTES = 1 << 25
_MOST_VALUE_BYTES = 1 << 28
# bytes of one value, and numpy's name of its type
_TYPES = {
    "boolean": (1, "u1"),
    "bit": (1, "u1"),
    "unsignedByte": (1, "u1"),
    "short": (2, ">i2"),
    "int": (4, ">i4"),
    "long": (8, ">i8"),
    "char": (1, "S"),
    "unicodeChar": (2, "S"),
    "float": (4, ">f4"),
    "double": (8, ">f8"),
    "floatComplex": (8, ""),
    "doubleComplex": (16, ""),
}


@dataclass(frozen=True)
class _Field:
    """How a column is stored: bytes of a value, how many of them (None: as many as the row says), and its null."""

    kind: str
    size: int
    count: int | None
    null: str | None

    @property
    def width(self) -> int:
        """Bytes in every row; of a value of variable length, its count."""
        return 4 if self.count is None else self.n_bytes(self.count)

    def n_bytes(self, count: int) -> int:
        """Bytes of this number of values."""
        return -(-count // 8) if self.kind == "bit" else count * self.size


def _field(path: Path, element: Element) -> _Field:
    kind, shape = element.get("datatype", "").strip(), element.get("arraysize", "").strip() or "1"
    values = next((v for v in element if v.tag.endswith("VALUES")), None)
    if kind not in _TYPES:
        raise InputError(
            f"{path}: column '{element.get('name')}' has the datatype {kind[:30]!r}, which is no type of VOTable"
        )
    count: int | None = 1
    for part in shape.split("x"):
        if part.endswith("*"):
            count = None
        elif not part.isdecimal() or len(part) > 9:
            raise InputError(f"{path}: column '{element.get('name')}' has the arraysize {shape[:30]!r}, which is none")
        elif count is not None:
            count *= int(part)
    return _Field(kind, _TYPES[kind][0], count, None if values is None else values.get("null"))


def binary_batches(
    path: Path,
    number: int,
    fields: Sequence[Element],
    places: Mapping[str, int],
    *,
    has_masks: bool,
    chunk_rows: int,
    check_status: Callable[[str | None, str | None, str], None],
) -> Iterator[pa.RecordBatch]:
    """Rows of a table, in pieces.

    Parameters
    ----------
    number : int
        The table among those of the file, from 1.
    fields : sequence of Element
        All its FIELDs.
    places : mapping
        Wanted columns, and which field each is.
    has_masks : bool
        Whether every row begins with a bit per column that says that it is null (BINARY2).
    check_status : callable
        Refuses what an INFO after the rows says.

    Raises
    ------
    InputError
        The data are not inside the file, not in base64, cut off or damaged.
    """
    layout = _Layout(path, [_field(path, f) for f in fields], -(-len(fields) // 8) if has_masks else 0)
    buffer, row = bytearray(), 0
    for piece in _decoded(path, number, check_status):
        buffer += piece
        while True:
            anchors, used = layout.split(buffer, chunk_rows, row)
            n_rows = len(anchors[0])
            if not n_rows or (piece and n_rows < chunk_rows and len(buffer) < _MOST_BUFFERED_BYTES):
                break  # wait for more; after the last piece, which is empty, the rest is a batch, too
            content = bytes(memoryview(buffer)[:used])
            del buffer[:used]
            row += n_rows
            yield pa.record_batch([layout.column(i, content, anchors) for i in places.values()], names=list(places))
    if buffer:
        raise InputError(f"{path}: the file is cut off or damaged after row {row:,}; fetch it again")


class _Layout:
    """Where the columns of a row are: so many bytes after the beginning, or after a value of variable length."""

    def __init__(self, path: Path, fields: list[_Field], n_mask_bytes: int):
        self.path, self.fields, self.n_mask_bytes = path, fields, n_mask_bytes
        self.places: list[tuple[int, int]] = []  # of every field: how many variable ones come before, bytes after them
        self.variable: list[tuple[int, _Field]] = []
        offset = n_mask_bytes
        for field in fields:
            self.places.append((len(self.variable), offset))
            if field.count is None:
                self.variable.append((offset, field))
                offset = 0
            else:
                offset += field.width
        self.tail = offset
        if not self.variable and not self.tail:
            raise InputError(f"{path}: the rows of the VOTable have no bytes")

    def split(self, buffer: bytearray, most: int, row: int) -> tuple[list[npt.NDArray[np.int64]], int]:
        """Find complete rows: where each begins and where each of its variable values ends, and the bytes used."""
        end = len(buffer)
        if not self.variable:
            n = min(end // self.tail, most)
            return [np.arange(n, dtype=np.int64) * self.tail], n * self.tail
        rows: list[list[int]] = []
        used = 0
        while len(rows) < most:
            at, anchors = used, [used]
            for offset, field in self.variable:
                at += offset + 4
                if at > end:
                    break
                n_bytes = field.n_bytes(struct.unpack_from(">I", buffer, at - 4)[0])
                if n_bytes > _MOST_VALUE_BYTES:
                    raise InputError(
                        f"{self.path}: row {row + len(rows) + 1:,} has a value of {n_bytes:,} bytes; is it damaged?"
                    )
                at += n_bytes
                anchors.append(at)
            at += self.tail
            if at > end or len(anchors) <= len(self.variable):
                break
            rows.append(anchors)
            used = at
        table = np.array(rows, dtype=np.int64).reshape(len(rows), len(self.variable) + 1)
        return list(table.T), used

    def column(self, i: int, content: bytes, anchors: list[npt.NDArray[np.int64]]) -> pa.Array:
        """Values of a field in these rows."""
        field, (k, offset) = self.fields[i], self.places[i]
        every = np.frombuffer(content, np.uint8)
        mask = np.zeros(len(anchors[0]), dtype=bool)
        if self.n_mask_bytes:
            mask |= (every[anchors[0] + i // 8] & (128 >> i % 8)) != 0
        starts = anchors[k] + offset
        if field.kind in ("char", "unicodeChar"):
            stops = starts + field.width if field.count is not None else anchors[k + 1]
            starts = starts if field.count is not None else starts + 4
            texts = [content[a:b] for a, b in zip(starts.tolist(), stops.tolist(), strict=True)]
            return _texts(field, texts, mask)
        size, type_ = _TYPES[field.kind]
        values = every[starts[:, None] + np.arange(size)].view(type_)[:, 0]
        values = values.astype(values.dtype.newbyteorder("="))
        if field.kind == "bit":
            return pa.array(values != 0, mask=mask)  # writers differ in which of the eight bits they use
        if field.kind == "boolean":
            true = np.isin(values, list(b"Tt1"))
            return pa.array(true, mask=mask | ~(true | np.isin(values, list(b"Ff0"))))
        if field.null is not None and values.dtype.kind in "iu" and field.null.strip():
            mask |= values == int(field.null, 0)
        return pa.array(values, mask=mask)


def _texts(field: _Field, raw: list[bytes], mask: npt.NDArray[np.bool_]) -> pa.Array:
    if field.kind == "char":
        texts: list[Any] = [v.partition(b"\0")[0].decode("utf-8", "replace") for v in raw]
    else:
        texts = [v.decode("utf-16-be", "replace").partition("\0")[0] for v in raw]
    if field.null is not None:
        mask = mask | np.array([t.strip() == field.null.strip() for t in texts], dtype=bool)
    return pa.array(texts, pa.string(), mask=mask)


def _decoded(path: Path, number: int, check_status: Callable[[str | None, str | None, str], None]) -> Iterator[bytes]:
    """Bytes of the STREAM of a table, in pieces, and an empty one after the last; the rest of the file is looked at."""
    rest = ""
    for text in _stream_text(path, number, check_status):
        rest += "".join(text.split())
        whole = len(rest) // 4 * 4
        if whole:
            yield base64.b64decode(rest[:whole], validate=True)
            rest = rest[whole:]
    if rest:
        raise InputError(f"{path}: the base64 of the rows is cut off; fetch the file again")
    yield b""


def _stream_text(path: Path, number: int, check_status: Callable[[str | None, str | None, str], None]) -> Iterator[str]:
    parser = expat.ParserCreate()
    parser.buffer_text, parser.buffer_size = True, _BLOCK_BYTES
    pieces: list[str] = []
    tables, inside, info = 0, "", dict[str, str]()

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal tables, inside, info
        local = tag.rpartition(":")[2]
        if inside == "STREAM":
            raise InputError(f"{path}: <{tag[:40]}> inside the data of the VOTable; only data in the file are read")
        if local == "TABLE":
            tables += 1
        elif local == "STREAM" and tables == number:
            check_stream(path, attributes)
            inside = local
        elif local == "INFO":
            inside, info = local, attributes
            pieces_of_info.clear()

    def end(tag: str) -> None:
        nonlocal inside
        local = tag.rpartition(":")[2]
        if local == "INFO":
            check_status(info.get("name"), info.get("value"), "".join(pieces_of_info))
        if local == inside:
            inside = ""

    def data(text: str) -> None:
        if inside == "STREAM":
            pieces.append(text)
        elif inside == "INFO":
            pieces_of_info.append(text)

    pieces_of_info: list[str] = []
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, data
    with unpacked(path) as stream:
        try:
            while block := stream.read(_BLOCK_BYTES):
                parser.Parse(block, False)
                yield "".join(pieces)
                pieces.clear()
            parser.Parse(b"", True)
            yield "".join(pieces)
        except expat.ExpatError as error:
            raise InputError(f"{path}: not well-formed XML, or cut off: {error}") from error


def check_stream(path: Path, attributes: Mapping[str, str]) -> None:
    """Refuse a STREAM whose data are elsewhere, or not in base64.

    Raises
    ------
    InputError
        It has an address, whatever its kind, or an encoding other than base64.
    """
    address = next(
        (v for k, v in attributes.items() if k.rpartition(":")[2].rpartition("}")[2].casefold() == "href"), None
    )
    if address is not None:
        raise InputError(
            f"{path}: the rows are not in this file, it refers to {address[:100]!r}; nothing is fetched or opened for "
            "a table. Fetch the data yourself, or ask the service for a VOTable with its rows inside"
        )
    encoding = attributes.get("encoding", "").strip().casefold()
    if encoding != "base64":
        raise InputError(f"{path}: the rows are encoded as {encoding[:30] or 'nothing'!r}; only base64 is read")
