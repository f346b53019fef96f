"""Rows of a user's table with all columns, as an astropy Table with units, descriptions, UCDs and masks."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import astropy.units as u
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from astropy.table import Column, MaskedColumn, Table

from xcat.ingest.opened import ColumnFacts, TableReader
from xcat.ingest.rows import parse_flags, parse_numbers, to_bools
from xcat.tables.facts import TableFacts

_WHOLE = r"^(?:0|-?[1-9]\d{0,18})$"
_NAME = r"^(?:0\d+|-?\d{16,})$"  # digits that a number would not keep: 00123, or more than a double holds


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
        unit = parsed(column.unit)
        if unit is not None:
            made.unit = unit
        elif column.unit:
            made.description = f"{column.description} [{column.unit}]".strip()
        table[column.name] = made
    return table


def parsed(unit: str) -> u.UnitBase | None:
    """Unit as astropy understands it; None if the text is empty or not understood."""
    if not unit.strip():
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", u.UnitsWarning)  # many files write units in their own way
        understood = u.Unit(unit, parse_strict="silent")
    return None if isinstance(understood, u.UnrecognizedUnit) else understood


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
        if kind != "f" and pc.all(pc.match_substring_regex(text, _WHOLE), skip_nulls=True).as_py():
            try:
                return text.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False).astype(dtype or "i8"), null
            except pa.ArrowInvalid:
                pass  # more than 64 bits: stays text
        elif kind == "f" or not pc.any(pc.match_substring_regex(text, _NAME)).as_py():
            numbers, bad = parse_numbers(text)
            if not bad.any():
                with np.errstate(over="ignore"):
                    return numbers.astype(dtype if kind == "f" else "f8"), null
    return np.array(text.fill_null("").to_pylist(), dtype=np.str_), null
