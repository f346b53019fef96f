"""Text tables: separated values of any kind, ECSV, and the fixed-width tables of CDS and AAS."""

from __future__ import annotations

import csv
import gzip
import io
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import yaml
from astropy.io import ascii as astropy_ascii
from astropy.units import UnitsWarning

from xcat.catalogues.definition import Definition
from xcat.errors import InputError
from xcat.ingest.opened import Opened, locate

_SEPARATORS = ",;|\t"
#: Arrow reads blocks of whole lines of this size; it bounds the memory.
_BLOCK_BYTES = 8 << 20


def open_csv(path: Path, definition: Definition, chunk_rows: int) -> Opened:
    """Open separated values; every value is read as text and parsed later, so that none is lost."""
    read = definition.read
    raw, stream = _streams(path)
    try:
        for _ in range(read.skip):
            stream.readline()
        header = _header_line(stream, read.comment, read.encoding) if read.header is None else ""
        separator = read.separator or max(_SEPARATORS, key=header.count)
        for _ in range(read.skip_after_header):
            stream.readline()
        names = list(read.header) if read.header is not None else next(csv.reader([header], delimiter=separator))
        return _separated(path, definition, raw, stream, names, separator)
    except BaseException:
        raw.close()
        raise


def open_ecsv(path: Path, definition: Definition, chunk_rows: int) -> Opened:
    """Open an ECSV table: its YAML header gives separator and units, its rows are separated values."""
    raw, stream = _streams(path)
    try:
        lines = []
        while True:
            line = stream.readline().decode("utf-8")
            if not line.startswith("#"):
                break
            lines.append(line.lstrip("#").removeprefix(" "))
        header = next(_yaml_documents("".join(lines[1:]), path), None)
        if not isinstance(header, dict) or not line:
            raise InputError(f"{path}: the ECSV header is not complete")
        separator = header.get("delimiter", " ")
        names = next(csv.reader([line.rstrip("\r\n")], delimiter=separator))
        opened = _separated(path, definition, raw, stream, names, separator)
    except BaseException:
        raw.close()
        raise
    opened.units = {c["name"]: c["unit"] for c in header.get("datatype", []) if c.get("unit")}
    return opened


def _yaml_documents(text: str, path: Path) -> Iterator[Any]:
    class Loader(yaml.SafeLoader):
        """Reads the header's data and takes astropy's own tags (of metadata) for nothing."""

    Loader.add_multi_constructor("", lambda loader, tag, node: None)
    try:
        yield from yaml.load_all(text, Loader)
    except yaml.YAMLError as error:
        raise InputError(f"{path}: the ECSV header is not valid YAML: {error}") from error


def _streams(path: Path) -> tuple[IO[bytes], IO[bytes]]:
    """The file, to tell how far it has been read, and the same unpacked."""
    raw = path.open("rb")
    packed = raw.read(2) == b"\x1f\x8b"
    raw.seek(0)
    stream: IO[bytes] = io.BufferedReader(gzip.GzipFile(fileobj=raw, mode="rb")) if packed else raw
    return raw, stream


def _header_line(stream: IO[bytes], comment: str | None, encoding: str) -> str:
    while True:
        line = stream.readline()
        text = line.decode(encoding).removeprefix("\ufeff").rstrip("\r\n")
        if not line or (text.strip() and not (comment and text.startswith(comment))):
            return text


def _separated(
    path: Path,
    definition: Definition,
    raw: IO[bytes],
    stream: IO[bytes],
    names: list[str],
    separator: str,
) -> Opened:
    places = locate(definition.file_columns, names, path)
    fields = [f"f{i}" for i in range(len(names))]  # files repeat names, or leave them empty
    wanted = [fields[i] for i in places.values()]
    rows_read = 0

    def batches() -> Iterator[pa.RecordBatch]:
        nonlocal rows_read
        if not stream.peek(1) if isinstance(stream, io.BufferedReader) else False:
            return  # a header and nothing else
        try:
            reader = pyarrow.csv.open_csv(
                pa.PythonFile(stream, mode="r"),
                pyarrow.csv.ReadOptions(
                    use_threads=False,  # rows of an error message are counted in one thread only
                    column_names=fields,
                    block_size=_BLOCK_BYTES,
                    encoding=definition.read.encoding,
                ),
                pyarrow.csv.ParseOptions(delimiter=separator),
                pyarrow.csv.ConvertOptions(
                    include_columns=wanted,
                    column_types=dict.fromkeys(wanted, pa.string()),
                    null_values=[""],
                    strings_can_be_null=True,
                ),
            )
            for batch in reader:
                rows_read += batch.num_rows
                yield pa.record_batch([_unquoted(c) for c in batch.columns], names=list(places))
        except pa.ArrowInvalid as error:
            raise InputError(f"{path}: {_explained(str(error), definition.read.encoding)}") from error

    return Opened(batches(), tell=raw.tell, close=raw.close)


def _explained(message: str, encoding: str) -> str:
    """Say in a user's words what Arrow found wrong with the text."""
    found = re.search(r"Row #(\d+): Expected (\d+) columns, got (\d+)", message)
    if found:
        row, expected, got = found.groups()
        cause = "is the file cut off, or its separator another?"
        return f"row {row} has {got} values, the header {expected}; {cause}"
    if "UTF8" in message:
        return f"the text is not {encoding}; say which it is, as in 'read: {{encoding: latin-1}}' ({message})"
    return f"cannot be read as separated values: {message}"


def _unquoted(column: pa.Array) -> pa.Array:
    """Take off quotes that stand after a blank, as in ``1 , "A" , "B"``, which the parser leaves alone."""
    text = pc.utf8_trim_whitespace(column)
    quoted = pc.and_(pc.starts_with(text, '"'), pc.ends_with(text, '"'))
    if not pc.any(quoted).as_py():
        return column
    return pc.if_else(quoted, pc.utf8_trim(text, '"'), text)


def open_mrt(path: Path, definition: Definition, chunk_rows: int) -> Opened:
    """Open a fixed-width table with its byte-by-byte description, above the rows or in ``ReadMe`` beside.

    astropy reads it as a whole: such tables are small by nature (the journals' limit is some 100 MB).
    """
    readme = _readme(path)
    reader_class = astropy_ascii.Cds(readme) if readme else astropy_ascii.Mrt()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnitsWarning)  # the units are compared elsewhere
        try:
            table = reader_class.read(str(path))
        except (astropy_ascii.InconsistentTableError, ValueError, IndexError) as error:
            raise InputError(f"{path}: cannot be read as a fixed-width table: {error}") from error
    places = locate(definition.file_columns, table.colnames, path)
    chosen = {name: table[table.colnames[i]] for name, i in places.items()}
    units = {name: str(c.unit) for name, c in chosen.items() if c.unit is not None}

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, len(table), chunk_rows):
            part = {n: np.ma.asarray(c[start : start + chunk_rows]) for n, c in chosen.items()}
            arrays = [pa.array(c.filled() if c.dtype.kind in "US" else c.data, mask=_mask(c)) for c in part.values()]
            yield pa.record_batch(arrays, names=list(part))

    return Opened(batches(), len(table), units)


def _mask(column: np.ma.MaskedArray[Any, Any]) -> Any:
    return np.ma.getmaskarray(column)


def _readme(path: Path) -> str | None:
    with path.open("rb") as stream:
        if b"Byte-by-byte Description of file" in stream.read(1 << 20):
            return None
    beside = path.with_name("ReadMe")
    if beside.is_file():
        return str(beside)
    raise InputError(
        f"{path}: a fixed-width table needs its byte-by-byte description: put the catalogue's file 'ReadMe' "
        f"into {path.parent}"
    )
