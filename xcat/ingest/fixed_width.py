"""The fixed-width tables of CDS and AAS (MRT): rows cut by their byte-by-byte description, piecewise.

astropy reads the description. The rows stay text, so that no identifier is changed and that the same code makes numbers
of them as of any other text.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
from astropy.io import ascii as astropy_ascii
from astropy.units import UnitsWarning

from xcat.catalogues.definition import Definition
from xcat.errors import InputError
from xcat.ingest.opened import ColumnFacts, TableReader, locate, unpacked
from xcat.ingest.rows import LIMIT, to_bools
from xcat.ingest.text_lines import Lines, last_line, refuse_replaced

_DESCRIPTION = "Byte-by-byte Description of file"
#: Descriptions and notes above the rows are shorter.
_HEAD_BYTES = 4 << 20
_BLOCK_BYTES = 8 << 20
_SECTION = re.compile(rb"(?:^|(?<=[\r\n]))(?:-{6,}|={6,})[ \t]*(?:\r\n|\r|\n)")
_LINE = re.compile("\r\n|\r|\n")


def open_mrt(path: Path, definition: Definition, chunk_rows: int, stack: ExitStack) -> TableReader:
    """Open a fixed-width table, described above its rows or in the file ``ReadMe`` beside it.

    Raises
    ------
    InputError
        The description is missing, or is not one.
    """
    lines = Lines(path, stack.enter_context(unpacked(path)), definition.read.encoding)
    head, beside, n_rows = lines.beginning(_HEAD_BYTES), path.with_name("ReadMe"), None
    if _DESCRIPTION.encode() in head:
        sections = list(_SECTION.finditer(head))
        begin = sections[-1].end() if sections else 0
        text = head[:begin].decode("utf-8", "replace")
        lines.pass_over(begin)
        columns, nulls = _described(path, text, None)
    elif beside.is_file():
        text = beside.read_bytes()[: 4 * _HEAD_BYTES].decode("utf-8", "replace")
        columns, nulls = _described(path, text, _name_in(text, path))
        n_rows = _stated_rows(text, _name_in(text, path))
    else:
        raise InputError(
            f"{path}: a fixed-width table needs its byte-by-byte description: put the catalogue's file 'ReadMe' "
            f"into {path.parent}"
        )
    places = locate(definition.file_columns, [c.name for c in columns], path, optional=definition.optional_file_columns)
    chosen = {name: columns[i] for name, i in places.items()}
    # by the rules of CDS l_Flux has the limit flags of Flux; a table of one's own is copied and keeps the two apart
    by_name, remarks = {c.name: c for c in columns}, last_line(path)
    flags = {name: by_name[f"l_{c.name}"] for name, c in chosen.items() if f"l_{c.name}" in by_name}
    if not definition.columns:
        flags, ignored = {}, [name for name in by_name if name.startswith("l_") and name[2:] in by_name]
        if ignored:
            remarks.append(
                f"{path}: WARNING: the limit flags {', '.join(ignored[:9])} are not looked at: limits are taken as "
                "values. Blank these values in the file, or leave the rows out"
            )

    def batches() -> Iterator[pa.RecordBatch]:
        first_row, end = 1, max(c.end for c in columns)
        for rows in _rows(path, lines):
            _refuse_longer_rows(path, rows, end, first_row)
            first_row += len(rows)
            for start in range(0, len(rows), chunk_rows):
                piece = rows.slice(start, chunk_rows)
                cells = [_cut(piece, column, nulls.get(column.name, [])) for column in chosen.values()]
                limits = {name: _cut(piece, column, []) for name, column in flags.items()}
                cells = [_limited(c, limits.get(name)) for name, c in zip(chosen, cells, strict=True)]
                refuse_replaced(lines, cells)
                yield pa.record_batch(cells, names=list(chosen)) if cells else _nothing(len(piece))

    facts = [ColumnFacts(c.name, "" if c.unit is None else str(c.unit), "", c.description) for c in columns]
    units = {name: str(c.unit) for name, c in chosen.items() if c.unit is not None}
    return TableReader(path, batches(), n_rows, units, facts, remarks=remarks)


def _name_in(text: str, path: Path) -> str:
    """Name of a table in its ReadMe: that of the file, or without the ending of its packing."""
    return path.name if path.name in text else path.stem


def _described(path: Path, text: str, table: str | None) -> tuple[list[Any], dict[str, list[str]]]:
    """Columns of a byte-by-byte description as astropy reads it, and what stands for no value in each."""
    if re.search(r"\s10\*{0,2}[+-]?\d{4,}", text):
        raise InputError(f"{path}: the description has a unit with an impossible power of ten")
    reader = astropy_ascii.Mrt() if table is None else astropy_ascii.Cds()
    if table is not None:
        reader.header.readme, reader.data.table_name = f"{text}\n", table
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnitsWarning)  # the units are compared elsewhere
        try:
            reader.header.get_cols(_LINE.split(text))
        except (astropy_ascii.InconsistentTableError, ValueError, IndexError, OverflowError, AttributeError) as error:
            problem = " ".join(str(error).split())[:300]
            raise InputError(f"{path}: cannot be read as a fixed-width table: {problem}") from error
    columns = list(reader.header.cols)
    for column in columns:
        if not 0 <= column.start < column.end < 2**31:
            raise InputError(f"{path}: the description places column '{column.name[:40]}' in no bytes of a row")
    if not columns:
        raise InputError(f"{path}: cannot be read as a fixed-width table: the description has no columns")
    nulls: dict[str, list[str]] = {}
    for entry in reader.data.fill_values or []:
        for name in entry[2:]:
            nulls.setdefault(name, []).append(entry[0])
    return columns, nulls


def _stated_rows(text: str, table: str) -> int | None:
    """Number of records that the summary of files in a ReadMe states for a table."""
    found = re.search(rf"^\s*{re.escape(table)}[ \t]+\d+[ \t]+(\d{{1,12}})(?:[ \t]|$)", text, re.M)
    return int(found[1]) if found else None


def _rows(path: Path, lines: Lines) -> Iterator[pa.Array]:
    """The lines of all rows, as text."""
    if lines.is_at_end():
        return
    try:
        for batch in pyarrow.csv.open_csv(
            pa.PythonFile(lines, mode="r"),
            pyarrow.csv.ReadOptions(use_threads=False, column_names=["row"], block_size=_BLOCK_BYTES),
            pyarrow.csv.ParseOptions(delimiter="\x01", quote_char=False),
            pyarrow.csv.ConvertOptions(column_types={"row": pa.string()}),
        ):
            yield batch.column(0).filter(pc.not_equal(pc.utf8_trim(batch.column(0), " \t\x1a"), ""))
    except pa.ArrowInvalid as error:
        raise InputError(f"{path}: cannot be read as a fixed-width table: {str(error)[:300]}") from error


def _refuse_longer_rows(path: Path, rows: pa.Array, end: int, first_row: int) -> None:
    """Refuse text behind the last column of a few rows: two rows in one line. In most rows it is undocumented."""
    behind = to_bools(pc.not_equal(pc.utf8_trim_whitespace(pc.utf8_slice_codeunits(rows, end, 2**31 - 1)), ""))
    if 0 < behind.sum() < 0.5 * len(rows):
        row = first_row + int(behind.argmax())
        raise InputError(
            f"{path}: row {row} goes on behind the last column of the description, as {behind.sum():,} of "
            f"{len(rows):,} rows do; is a line end missing?"
        )


def _cut(rows: pa.Array, column: Any, nulls: list[str]) -> pa.Array:
    cells = pc.utf8_trim_whitespace(pc.utf8_slice_codeunits(rows, column.start, column.end))
    return pc.if_else(pc.is_in(cells, pa.array(["", *nulls], pa.string())), pa.scalar(None, pa.string()), cells)


def _limited(cells: pa.Array, flags: pa.Array | None) -> pa.Array:
    """Values with the sign of a limit before those that are limits, as in ``<3.0E-15``."""
    if flags is None:
        return cells
    is_limit = pc.fill_null(pc.match_substring_regex(flags, f"{LIMIT}$"), False)
    return pc.if_else(is_limit, pc.binary_join_element_wise(flags, cells, ""), cells)


def _nothing(n: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_struct_array(pa.array([{}] * n, pa.struct([])))
