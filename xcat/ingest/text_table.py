"""Text tables: separated values of any kind, ECSV, and the fixed-width tables of CDS and AAS.

Everything is read as text, so that an identifier stays as it is written; numbers are made of it later.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import yaml

from xcat.catalogues import yamlfile
from xcat.catalogues.definition import Definition
from xcat.errors import InputError
from xcat.ingest import frames
from xcat.ingest.opened import ColumnFacts, TableReader, locate, unpacked
from xcat.ingest.rows import to_bools
from xcat.ingest.text_lines import Lines, last_line, refuse_replaced

_SEPARATORS = ",;|\t"
_ECSV_TYPES = {"string": "U", "bool": "b1", "str": "U"}
_ECSV_NUMBERS = re.compile(r"u?int(8|16|32|64)|float(16|32|64|128)|complex(64|128|256)")
#: Arrow reads blocks of whole lines of this size, which bounds the memory; a longer line gets a second try.
_BLOCK_BYTES = (8 << 20, 64 << 20)
_MAX_NAME = 1000
_MAX_HEADER_LINES = 200_000


@dataclass
class _Body:
    """Separated values whose header is read: the lines still to come, and what the header says of the columns."""

    lines: Lines
    names: list[str]
    separator: str
    units: list[str] = field(default_factory=list)


def open_csv(path: Path, definition: Definition, chunk_rows: int, stack: ExitStack) -> TableReader:
    """Open separated values; every value is read as text and parsed later, so that none is lost."""
    return _separated(path, definition, lambda closing: _csv_body(path, definition, closing), stack)


def _csv_body(path: Path, definition: Definition, stack: ExitStack) -> _Body:
    read = definition.read
    lines = Lines(path, stack.enter_context(unpacked(path)), read.encoding)
    lines.skip(read.skip, "skip")
    names, separator = list(read.header or ()), read.separator
    if read.header is None:
        text = lines.header(read.comment)
        if not separator:
            separator = max(_SEPARATORS, key=text.count)
            if separator not in text and len(text.split()) > 1:
                text, separator = " ".join(text.split()), " "
                lines.join_blanks()
        names = _names(path, text, separator)
    body = _Body(lines, names, separator or _SEPARATORS[0])
    lines.skip(read.skip_after_header, "skip_after_header")
    if read.header is None and not read.skip_after_header:
        body.units = _units_below(body)
    return body


def _names(path: Path, text: str, separator: str) -> list[str]:
    """Names of the columns in the line that has them."""
    if "\0" in text:
        raise InputError(f"{path}: the names of the columns have NUL bytes in them; is this a text table?")
    try:
        names = next(csv.reader([text], delimiter=separator), [])
    except csv.Error as error:
        raise InputError(f"{path}: the names of the columns cannot be read: {error}; is this a text table?") from error
    long = next((i for i, name in enumerate(names, 1) if len(name) > _MAX_NAME), 0)
    if long:
        n = len(names[long - 1])
        raise InputError(f"{path}: the name of column {long} has {n:,} characters; is this a text table?")
    return names


def _units_below(body: _Body) -> list[str]:
    """Read the lines of units and dashes that VizieR writes below the names, if there are such."""
    first = body.lines.line()
    second = body.lines.line() if first is not None and not _is_rule(first, body) else None
    if first is not None and _is_rule(first, body):
        return []
    if second is not None and _is_rule(second, body):
        units = [unit.strip() for unit in (first or "").split(body.separator)]
        return units + [""] * (len(body.names) - len(units))
    body.lines.put_back([line for line in (first, second) if line is not None])
    return []


def _is_rule(line: str, body: _Body) -> bool:
    parts = [part.strip() for part in line.split(body.separator)]
    return len(parts) == len(body.names) and "---" in line and all(part and not part.strip("-") for part in parts)


def open_ecsv(path: Path, definition: Definition, chunk_rows: int, stack: ExitStack) -> TableReader:
    """Open an ECSV table: its YAML header gives separator and units, its rows are separated values."""
    header: dict[str, Any] = {}

    def body(closing: ExitStack) -> _Body:
        lines = Lines(path, closing.enter_context(unpacked(path)), "utf-8")
        head: list[str] = []
        while (line := lines.line()) is not None and line.startswith("#"):
            head.append(line.lstrip("#").removeprefix(" "))
            if len(head) > _MAX_HEADER_LINES:
                raise InputError(f"{path}: the ECSV header has more than {_MAX_HEADER_LINES:,} lines")
        header.update(astropy_yaml("\n".join(head[1:]), path))
        if not header or not line:
            raise InputError(f"{path}: the ECSV header is not complete")
        separator = header.get("delimiter", " ")
        if separator not in (" ", ","):
            raise InputError(f"{path}: the ECSV header has a delimiter that is neither a blank nor a comma")
        return _Body(lines, _names(path, line, separator), separator)

    reader = _separated(path, definition, body, stack)
    described, names = yaml_columns(header, path), [c.name for c in reader.columns]
    if [c.name for c in described] != names:
        raise InputError(
            f"{path}: the ECSV header describes {len(described)} columns ({_few([c.name for c in described])}), "
            f"but the line of names has {len(names)} ({_few(names)})"
        )
    reader.units = {c.name: c.unit for c in described if c.unit}
    reader.columns = frames.with_metadata(described, header.get("meta"))
    return reader


def _few(names: list[str]) -> str:
    return ", ".join(name[:40] for name in names[:5]) + (" ..." if len(names) > 5 else "")


def yaml_columns(header: dict[str, Any], path: Path | str = "") -> list[ColumnFacts]:
    """Columns in the YAML that astropy writes into ECSV and Parquet.

    Raises
    ------
    InputError
        The YAML is not of the form that describes columns.
    """
    found = []
    described = header.get("datatype", [])
    if not isinstance(described, list) or not all(isinstance(entry, dict) for entry in described):
        raise InputError(f"{path}: 'datatype' of the header is not a list of columns")
    for number, entry in enumerate(described, 1):
        texts = [entry.get(key, "") for key in ("name", "datatype", "unit", "description", "subtype")]
        if not all(isinstance(text, str) for text in texts) or not texts[0].strip():
            raise InputError(f"{path}: 'datatype' of the header does not describe column {number} as name, type, unit")
        name, type_, unit, about, subtype = texts
        name = name.strip()
        if type_ and type_ not in (*_ECSV_TYPES, "object") and not _ECSV_NUMBERS.fullmatch(type_):
            raise InputError(
                f"{path}: column '{name[:40]}' of the header has the type '{type_[:40]}', which is unknown"
            )
        notes = entry.get("meta") or {}
        if isinstance(notes, list):  # an ordered mapping is a list of mappings of one key
            notes = {key: value for pair in notes if isinstance(pair, dict) for key, value in pair.items()}
        unusable = f"({subtype[:40]}) holds arrays" if subtype else ""
        if type_.startswith("complex"):
            unusable = f"({type_}) does not hold numbers or text"
        ucd = str(notes.get("ucd", "")) if isinstance(notes, dict) else ""
        found.append(ColumnFacts(name, unit, ucd, about, _ECSV_TYPES.get(type_, type_), unusable=unusable))
    return found


def astropy_yaml(text: str, path: Path) -> dict[str, Any]:
    """Parse the YAML that astropy writes into ECSV and Parquet; all scalars stay text."""
    try:
        header = yamlfile.texts(text)
    except yaml.YAMLError as error:
        problem = " ".join(str(getattr(error, "problem", None) or error).split())
        raise InputError(f"{path}: the header is not valid YAML: {problem[:300]}") from error
    return header if isinstance(header, dict) else {}


def _separated(
    path: Path, definition: Definition, begin: Callable[[ExitStack], _Body], stack: ExitStack
) -> TableReader:
    body = begin(stack)
    names = body.names
    optional = definition.optional_file_columns
    places = locate(definition.file_columns, names, path, optional=optional, may_be_anything=True)
    fields = [f"f{i}" for i in range(len(names))]  # files repeat names, or leave them empty
    wanted = [fields[i] for i in places.values()]
    read = definition.read

    def blocks(body: _Body, block_bytes: int, columns: list[str]) -> Iterator[pa.RecordBatch]:
        yield from pyarrow.csv.open_csv(
            pa.PythonFile(body.lines, mode="r"),
            pyarrow.csv.ReadOptions(
                use_threads=False,  # rows of an error message are counted in one thread only
                column_names=fields,
                block_size=block_bytes,
            ),
            pyarrow.csv.ParseOptions(
                delimiter=body.separator,
                newlines_in_values=True,
                invalid_row_handler=lambda row: "skip" if _is_remark(row.text, read.comment or "#") else "error",
            ),
            pyarrow.csv.ConvertOptions(
                include_columns=columns,
                column_types=dict.fromkeys(columns, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
            ),
        )

    def batches() -> Iterator[pa.RecordBatch]:
        with ExitStack() as again:
            yield from read_twice(again)

    def read_twice(again: ExitStack) -> Iterator[pa.RecordBatch]:
        lines, n_rows = body.lines, 0
        for block_bytes in _BLOCK_BYTES:
            if block_bytes != _BLOCK_BYTES[0]:
                lines = begin(again).lines
            if lines.is_at_end():
                return  # a header and nothing else
            n_done = n_rows
            try:
                for batch in blocks(_Body(lines, names, body.separator), block_bytes, wanted):
                    refuse_replaced(lines, batch.columns)
                    new = batch.slice(min(n_done, batch.num_rows))
                    n_done -= batch.num_rows - new.num_rows
                    n_rows += new.num_rows
                    if new.num_rows:
                        yield pa.record_batch([_unquoted(c) for c in new.columns], names=list(places))
                break
            except pa.ArrowInvalid as error:
                if "straddl" not in str(error) or block_bytes == _BLOCK_BYTES[-1]:
                    raise InputError(f"{path}: {_explained(str(error))}") from error
        if lines.has_quotes and lines.n_ends > n_rows:  # a value has a line break in it, or a line is blank
            for batch in blocks(begin(again), block_bytes, fields):
                _refuse_swallowed_rows(path, batch, body.separator)

    units = body.units or [""] * len(names)
    columns = [ColumnFacts(name.strip(), unit) for name, unit in zip(names, units, strict=False)]
    stated = {c.name: c.unit for c in columns if c.unit}
    return TableReader(path, batches(), units=stated, columns=columns, remarks=last_line(path))


def _is_remark(text: str, comment: str) -> bool:
    """Whether a line with another number of values than the header is a remark, or blank."""
    return text.lstrip().startswith(comment) or not text.strip(" \t\r\n\x1a")


def _refuse_swallowed_rows(path: Path, batch: pa.RecordBatch, separator: str) -> None:
    """Refuse a value in quotes that runs over whole rows, because a quote is missing or too many.

    A text may have line breaks. But if what stands before the break and what stands after it are rows like each other,
    with numbers in the same columns, the quotes are wrong, and rows would be lost.
    """
    n_breaks = np.zeros(batch.num_rows, np.int64)
    n_separators = np.zeros(batch.num_rows, np.int64)
    for column in batch.columns:
        has_break = to_bools(pc.match_substring_regex(column, r"[\r\n]"))
        if has_break.any():
            n_breaks += has_break
            n_separators += pc.fill_null(pc.count_substring(column, separator), 0).to_numpy(zero_copy_only=False)
    suspects = np.flatnonzero((n_breaks > 0) & (n_separators >= max(batch.num_columns - 1, 1)))
    for row in batch.take(pa.array(suspects)).to_pylist():
        cells = [cell or "" for cell in row.values()]
        whole = [w.split(separator) for w in re.split(r"\r\n|\r|\n", separator.join(cells).rstrip("\r\n"), maxsplit=2)]
        numeric = [[_is_number(cell) for cell in cells_] for cells_ in whole[:2]]
        if len(numeric) == 2 and numeric[0] == numeric[1] and any(numeric[0]) and len(numeric[0]) == len(cells):
            start = separator.join(whole[0])[:60]
            raise InputError(
                f"{path}: a value in quotes runs over several rows, from '{start}' on; is a quote missing?"
            )


def _is_number(text: str) -> bool:
    try:
        float(text.strip().strip('"'))
    except ValueError:
        return False
    return True


def _explained(message: str) -> str:
    """Explain in plain words why Arrow could not parse the text."""
    counts = re.search(r"Row #(\d+): Expected (\d+) columns, got (\d+)", message)
    if counts:
        row, expected, got = counts.groups()
        return f"row {row} has {got} values, the header {expected}; is the file cut off, or its separator another?"
    if "straddl" in message:
        return f"a line is longer than {_BLOCK_BYTES[-1] >> 20} MB; is a quote missing, or is this not a table?"
    return f"cannot be read as separated values: {message[:300]}"


def _unquoted(column: pa.Array) -> pa.Array:
    """Take off quotes that stand after a blank, as in ``1 , "A" , "B"``, which the parser leaves alone."""
    text = pc.utf8_trim_whitespace(column)
    quoted = pc.and_(pc.starts_with(text, '"'), pc.ends_with(text, '"'))
    if not pc.any(quoted).as_py():
        return column
    return pc.if_else(quoted, pc.utf8_trim(text, '"'), text)
