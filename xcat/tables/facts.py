"""A user's table: what is known before its rows are read (columns, units, UCDs, a few values), and its whole rows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from astropy.table import Column, MaskedColumn, Table

from xcat.catalogues.definition import Definition, ReadOptions
from xcat.columns.units import as_unit
from xcat.errors import InputError
from xcat.ingest.files import named_table, unpacked_name
from xcat.ingest.opened import CHUNK_ROWS, ColumnFacts, RawChunk, TableReader, array_batches, locate, table_columns
from xcat.ingest.readers import format_of, open_table
from xcat.ingest.rows import LIMIT, parse_flags, parse_numbers, to_bools

#: What a user may give as a table: a file of any format that `xcat.ingest.readers.open_table` reads, or the table.
TableLike: TypeAlias = Path | str | Table | pd.DataFrame

_SAMPLE_ROWS = 200
WHOLE = r"^(?:0|-?[1-9]\d{0,18})$"
NAME = r"^(?:0\d+|-?\d{16,})$"  # digits that a number would not keep: 00123, or more than a double holds
_NAME_LIKE_POWER = r"^\d+[eE]\d+$"  # 12E4 may be a name; a column of nothing else is one of names
_ALL_SKY_DEG2 = 41252.97


@dataclass(frozen=True)
class TableFacts:
    """Header metadata of a user's table.

    Parameters
    ----------
    source : Path or Table
        The file, or the table in memory.
    label : str
        EXTNAME of FITS, else the stem of the file's name, else "table"; fit for the name of a column.
    columns : tuple of ColumnFacts
        Those with one value per row.
    left_out : tuple of str
        Columns that cannot be used, with the reason.
    sky_area_deg2 : float or None
        SKYAREA of a FITS header.
    read : ReadOptions
        How to read the file.
    messages : tuple of str
        What the user should know of the file, such as which table of several was taken.
    """

    source: Path | Table
    label: str
    columns: tuple[ColumnFacts, ...]
    left_out: tuple[str, ...] = ()
    sky_area_deg2: float | None = None
    read: ReadOptions = field(default_factory=ReadOptions)
    messages: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The table in error messages."""
        return str(self.source) if isinstance(self.source, Path) else "table"

    def column(self, name: str) -> ColumnFacts | None:
        """Column of this name, compared as written and then without regard to case."""
        exact = [c for c in self.columns if c.name == name]
        folded = exact or [c for c in self.columns if c.name.casefold() == name.casefold()]
        return folded[0] if len(folded) == 1 else None

    def open(self, columns: Sequence[str] | None = None, chunk_rows: int = CHUNK_ROWS) -> TableReader:
        """Open the table with all its columns, or with these."""
        names = [c.name for c in self.columns] if columns is None else list(columns)
        if isinstance(self.source, Table):
            places = locate(names, self.source.colnames, Path(self.name))
            arrays = {name: self.source.columns[i] for name, i in places.items()}
            n_rows = len(self.source)
            return TableReader(self.name, array_batches(arrays, n_rows, chunk_rows), n_rows)
        reader = _open(self.source, self.read, names, chunk_rows)
        reader.batches = _evened(reader.batches, chunk_rows)
        return reader


def _evened(batches: Iterator[pa.RecordBatch], n_rows: int) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of `n_rows`: readers of text give as many as a number of bytes has."""
    kept: list[pa.RecordBatch] = []
    try:
        for batch in batches:
            kept.append(batch)
            n_kept = sum(b.num_rows for b in kept)
            if n_kept < n_rows:
                continue
            joined = pa.concat_batches(kept)
            whole = n_kept // n_rows * n_rows
            yield from (joined.slice(first, n_rows) for first in range(0, whole, n_rows))
            kept = [joined.slice(whole)] if whole < n_kept else []
        if kept:
            yield pa.concat_batches(kept)
    finally:
        if isinstance(batches, Generator):
            batches.close()


def describe(table: TableLike, hdu: int | str | None = None) -> TableFacts:
    """Read the header of a table, and a few of its rows.

    Parameters
    ----------
    table : Path, str, Table or DataFrame
        A file of any format that `xcat.ingest.readers.open_table` reads, or a table in memory, which is not copied.
        ``FILE[NAME]`` is the table of this name or number in a file that has several.
    hdu : int or str, optional
        Table of a FITS file or VOTable, by number or name; its first table if not given.

    Raises
    ------
    InputError
        There is no such file, or it is not a table.
    """
    source, read = as_source(table), ReadOptions()
    messages: tuple[str, ...] = ()
    if isinstance(source, Table):
        found, meta = table_columns(source), source.meta
    else:
        source, named = named_table(source)
        if not source.exists():
            raise InputError(f"{source}: there is no such file")
        header, read = _header(source, named if hdu is None else hdu)
        found, meta, messages = header.columns, header.meta, tuple(header.remarks)
    area = meta.get("SKYAREA")
    label = _label(meta.get("EXTNAME", "")) or ("table" if isinstance(source, Table) else file_label(source))
    if area is not None and not (isinstance(area, int | float) and 0 < area <= _ALL_SKY_DEG2):
        name = "table" if isinstance(source, Table) else source
        raise InputError(f"{name}: SKYAREA is {area!r}, not an area of the sky in square degrees; or use --area")
    columns = [c for c in found if not c.unusable]
    n_of = Counter(c.name for c in columns)
    repeated = sorted(n for n in n_of if n and n_of[n] > 1)
    facts = TableFacts(
        source,
        label,
        tuple(c for c in columns if c.name and n_of[c.name] == 1),
        (
            *(f"column '{c.name}' {c.unusable}" for c in found if c.unusable),
            *(f"column '{n}' occurs {n_of[n]} times" for n in repeated),
        ),
        None if area is None else float(area),
        read,
        messages,
    )
    if not facts.columns:
        raise InputError(f"{facts.name}: the table has no column that could be read")
    with facts.open(chunk_rows=_SAMPLE_ROWS) as reader:
        chunk = next(iter(reader), None) if reader.n_rows != 0 else None
    return facts if chunk is None else replace(facts, columns=_sampled(facts.columns, chunk))


def as_source(table: TableLike) -> Path | Table:
    """A file as a Path; a DataFrame, and a table with quantities, as an astropy Table.

    Raises
    ------
    InputError
        The object is none of these.
    """
    if isinstance(table, pd.DataFrame):
        plain = table.copy(deep=False)
        for name in plain.columns[plain.dtypes == "category"]:
            plain[name] = plain[name].astype(plain[name].cat.categories.dtype)
        return Table.from_pandas(plain.rename(columns=str))
    if isinstance(table, Table):
        return Table(table, copy=False)  # makes columns of quantities
    if isinstance(table, Path | str):
        return Path(table)
    raise InputError(f"a table is a file name, an astropy Table or a pandas DataFrame, not {type(table).__name__}")


def _sampled(columns: tuple[ColumnFacts, ...], chunk: RawChunk) -> tuple[ColumnFacts, ...]:
    out = []
    for column in columns:
        array = chunk.batch.column(column.name).slice(0, _SAMPLE_ROWS)
        text = pc.utf8_trim_whitespace(array if pa.types.is_string(array.type) else array.cast(pa.string()))
        present = text.filter(pc.and_(pc.is_valid(text), pc.not_equal(text, "")))
        _, bad = parse_numbers(present)
        bad &= ~to_bools(pc.match_substring_regex(present, LIMIT))
        sample = tuple(present.slice(0, 20).to_pylist())
        # a few "N/A" do not make a column of numbers one of text: most values decide
        out.append(replace(column, is_text=bool(len(bad)) and float(bad.mean()) > 0.5, sample=sample))
    return tuple(out)


def file_label(path: Path) -> str:
    """Label of a table after the name of its file."""
    return _label(Path(unpacked_name(path)).stem) or "table"


def _label(name: Any) -> str:
    return re.sub(r"\W+", "_", str(name)).strip("_")


def _open(path: Path, read: ReadOptions, names: Sequence[str], chunk_rows: int = CHUNK_ROWS) -> TableReader:
    """Open a file; the definition gives no column a meaning, it only lists what to read."""
    read = read.model_copy(update={"only": dict.fromkeys(names, ()), "check_units": False})
    definition = Definition.model_construct(name="own", columns={}, position_error=None, format="auto", read=read)
    return open_table(path, definition, chunk_rows)


def _header(path: Path, hdu: int | str | None) -> tuple[TableReader, ReadOptions]:
    """Columns, keywords and messages of a file, and how to read it."""
    read = ReadOptions(hdu=hdu, comment="#" if format_of(path) == "csv" else None)
    with _open(path, read, ()) as reader:
        if hdu is not None:  # a table that was asked for is labelled like its file, whatever its name
            reader.meta = reader.meta | {"EXTNAME": ""}
        return reader, read


# --- rows with all columns ---


def take(facts: TableFacts, rows: np.ndarray | None = None) -> Table:
    """Read rows with all their columns; of a file, only the current chunk and these rows are in memory.

    Parameters
    ----------
    rows : ndarray of int64, shape (n,), optional
        Row numbers, ascending and each once; the first row of a file is 1. All rows by default.

    Returns
    -------
    Table
        Columns with unit, description and ``meta["ucd"]``; missing values are masked.
    """
    with facts.open() as reader:
        return to_table(facts, _chosen(reader, rows))


def _chosen(reader: TableReader, rows: np.ndarray | None) -> Iterator[pa.RecordBatch]:
    for chunk in reader:
        if rows is None:
            yield chunk.batch
            continue
        start, stop = np.searchsorted(rows, [chunk.first_row, chunk.first_row + chunk.n_rows])
        if stop > start:
            yield chunk.batch.take(pa.array(rows[start:stop] - chunk.first_row))


def to_table(facts: TableFacts, batches: Iterator[pa.RecordBatch] | list[pa.RecordBatch]) -> Table:
    """Batches of Arrow as one table; see `take`."""
    parts = list(batches)
    table = Table()
    for column in facts.columns:
        arrays = [part.column(column.name) for part in parts] or [pa.array([], pa.string())]
        array = pa.chunked_array(arrays).combine_chunks()
        data, mask = _typed(array if isinstance(array, pa.Array) else pa.concat_arrays(arrays), column)
        made = MaskedColumn(data, mask=mask) if mask.any() else Column(data)
        made.description = column.description or None
        if column.ucd:
            made.meta["ucd"] = column.ucd
        unit = as_unit(column.unit)
        if unit is not None:
            made.unit = unit
        elif column.unit:
            made.description = f"{column.description} [{column.unit}]".strip()
        table[column.name] = made
    return table


def _typed(array: pa.Array, column: ColumnFacts) -> tuple[np.ndarray, np.ndarray]:
    """Values in the type that the file states, or for text without one, in the narrowest that holds them all."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_decimal(array.type):
        array = array.cast(pa.float64())
    for is_kind, blank in ((pa.types.is_boolean, False), (pa.types.is_integer, 0), (pa.types.is_floating, np.nan)):
        if is_kind(array.type):
            return array.fill_null(blank).to_numpy(zero_copy_only=False), to_bools(array.is_null())
    text = pc.utf8_trim_whitespace(array.cast(pa.string()))
    null = to_bools(pc.or_kleene(pc.is_null(text), pc.equal(text, "")))
    return _parsed(pc.if_else(pa.array(null), pa.scalar(None, pa.string()), text), null, column.dtype)


def _parsed(text: pa.StringArray, null: np.ndarray, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    if dtype == "b1":
        flags, bad = parse_flags(text)
        return np.nan_to_num(flags).astype(bool), null | bad
    kind = np.dtype(dtype).kind if dtype else ""
    if kind != "U" and not null.all():
        if kind != "f" and pc.all(pc.match_substring_regex(text, WHOLE), skip_nulls=True).as_py():
            try:
                return text.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False).astype(dtype or "i8"), null
            except pa.ArrowInvalid:
                pass  # more than 64 bits: stays text
        elif kind == "f" or not pc.any(pc.match_substring_regex(text, NAME)).as_py():
            numbers, bad = parse_numbers(text)
            is_name = pc.all(pc.match_substring_regex(text, _NAME_LIKE_POWER), skip_nulls=True).as_py()
            # a column of nothing but "NA" and "none" is one of words
            if not bad.any() and (kind == "f" or not (is_name or np.isnan(numbers).all())):
                with np.errstate(over="ignore"):
                    return numbers.astype(dtype if kind == "f" else "f8"), null | np.isnan(numbers)
    return np.array(text.fill_null("").to_pylist(), dtype=np.str_), null
