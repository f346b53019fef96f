"""Text tables: separated values of any kind, ECSV, and the fixed-width tables of CDS and AAS."""

from __future__ import annotations

import csv
import gzip
import io
import re
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import yaml
from astropy.io import ascii as astropy_ascii
from astropy.table import Table
from astropy.units import UnitsWarning

from xcat.catalogues.definition import Definition
from xcat.errors import InputError
from xcat.ingest import frames
from xcat.ingest.opened import ColumnFacts, TableReader, array_batches, locate, table_columns, unpacked

Stream = io.BufferedReader | gzip.GzipFile

_SEPARATORS = ",;|\t"
_ECSV_TYPES = {"string": "U", "bool": "b1", "str": "U"}
#: Arrow reads blocks of whole lines of this size; it bounds the memory.
_BLOCK_BYTES = 8 << 20


def open_csv(path: Path, definition: Definition, chunk_rows: int, stack: ExitStack) -> TableReader:
    """Open separated values; every value is read as text and parsed later, so that none is lost."""
    read = definition.read
    stream = unpacked(path)
    stack.enter_context(stream)
    for _ in range(read.skip):
        stream.readline()
    names, separator = list(read.header or ()), read.separator
    if read.header is None:
        names, separator = _csv_names(stream, read.comment, read.encoding, separator)
    for _ in range(read.skip_after_header):
        stream.readline()
    return _separated(path, definition, stream, names, separator or _SEPARATORS[0])


def _csv_names(
    stream: Stream, comment: str | None, encoding: str = "utf-8", separator: str | None = None
) -> tuple[list[str], str]:
    """Read the header of separated values: names of the columns, and what separates them."""
    while True:
        line = stream.readline()
        text = line.decode(encoding).removeprefix("\ufeff").rstrip("\r\n")
        if not line or (text.strip() and not (comment and text.startswith(comment))):
            break
    separator = separator or max(_SEPARATORS, key=text.count)
    return next(csv.reader([text], delimiter=separator), []), separator


def open_ecsv(path: Path, definition: Definition, chunk_rows: int, stack: ExitStack) -> TableReader:
    """Open an ECSV table: its YAML header gives separator and units, its rows are separated values."""
    stream = unpacked(path)
    stack.enter_context(stream)
    lines = []
    while (line := stream.readline().decode("utf-8")).startswith("#"):
        lines.append(line.lstrip("#").removeprefix(" "))
    header = astropy_yaml("".join(lines[1:]), path)
    if not header or not line:
        raise InputError(f"{path}: the ECSV header is not complete")
    separator = header.get("delimiter", " ")
    names = next(csv.reader([line.rstrip("\r\n")], delimiter=separator))
    reader = _separated(path, definition, stream, names, separator)
    reader.units = {c["name"]: c["unit"] for c in header.get("datatype", []) if c.get("unit")}
    reader.columns = frames.with_metadata(yaml_columns(header), header.get("meta"))
    return reader


def yaml_columns(header: dict[str, Any]) -> list[ColumnFacts]:
    """Columns in the YAML that astropy writes into ECSV and Parquet."""
    found = []
    for entry in header.get("datatype", []):
        name, type_ = entry.get("name", "").strip(), entry.get("datatype", "")
        notes = entry.get("meta") or {}
        if isinstance(notes, list):  # an ordered mapping is a list of mappings of one key
            notes = {key: value for pair in notes for key, value in pair.items()}
        unusable = f"({entry['subtype']}) holds arrays" if "subtype" in entry else ""
        unit, ucd, about = entry.get("unit", ""), str(notes.get("ucd", "")), entry.get("description", "")
        found.append(ColumnFacts(name, unit, ucd, about, _ECSV_TYPES.get(type_, type_), unusable=unusable))
    return found


def astropy_yaml(text: str, path: Path) -> dict[str, Any]:
    """Parse the YAML that astropy writes into ECSV and Parquet; all scalars stay text."""
    try:
        # the base loader takes every tag for plain data, so nothing in a header can be run
        header = next(iter(yaml.load_all(text, yaml.BaseLoader)), None)
    except yaml.YAMLError as error:
        raise InputError(f"{path}: the header is not valid YAML: {error}") from error
    return header if isinstance(header, dict) else {}


def _separated(path: Path, definition: Definition, stream: Stream, names: list[str], separator: str) -> TableReader:
    places = locate(definition.file_columns, names, path)
    fields = [f"f{i}" for i in range(len(names))]  # files repeat names, or leave them empty
    wanted = [fields[i] for i in places.values()]

    def batches() -> Iterator[pa.RecordBatch]:
        if not stream.peek(1):
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
                yield pa.record_batch([_unquoted(c) for c in batch.columns], names=list(places))
        except pa.ArrowInvalid as error:
            raise InputError(f"{path}: {_explained(str(error), definition.read.encoding)}") from error

    return TableReader(path, batches(), columns=[ColumnFacts(name.strip()) for name in names])


def _explained(message: str, encoding: str) -> str:
    """Explain in plain words why Arrow could not parse the text."""
    counts = re.search(r"Row #(\d+): Expected (\d+) columns, got (\d+)", message)
    if counts:
        row, expected, got = counts.groups()
        return f"row {row} has {got} values, the header {expected}; is the file cut off, or its separator another?"
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


def open_mrt(path: Path, definition: Definition, chunk_rows: int, stack: ExitStack) -> TableReader:
    """Open a fixed-width table, which is read as a whole."""
    table = _read_mrt(path)
    places = locate(definition.file_columns, table.colnames, path)
    chosen = {name: table[table.colnames[i]] for name, i in places.items()}
    units = {name: str(c.unit) for name, c in chosen.items() if c.unit is not None}
    columns = [replace(c, dtype="") for c in table_columns(table)]
    return TableReader(path, array_batches(chosen, len(table), chunk_rows), len(table), units, columns)


def _read_mrt(path: Path) -> Table:
    """Read a fixed-width table with its byte-by-byte description, above the rows or in ``ReadMe`` beside.

    astropy reads it as a whole: such tables are small by nature (the journals' limit is some 100 MB).

    Raises
    ------
    InputError
        The description is missing, or does not fit the rows.
    """
    beside = path.with_name("ReadMe")
    with path.open("rb") as stream:
        is_inside = b"Byte-by-byte Description of file" in stream.read(1 << 20)
    if not is_inside and not beside.is_file():
        raise InputError(
            f"{path}: a fixed-width table needs its byte-by-byte description: put the catalogue's file 'ReadMe' "
            f"into {path.parent}"
        )
    reader = astropy_ascii.Mrt() if is_inside else astropy_ascii.Cds(str(beside))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnitsWarning)  # the units are compared elsewhere
        try:
            return reader.read(str(path))
        except (astropy_ascii.InconsistentTableError, ValueError, IndexError) as error:
            raise InputError(f"{path}: cannot be read as a fixed-width table: {error}") from error
