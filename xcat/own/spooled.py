"""The answer for a long table, kept on disk until it is complete, so that memory is bounded."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import IO, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from astropy.table import MaskedColumn, Table, vstack

from xcat.ingest.opened import ColumnFacts
from xcat.ingest.rows import parse_flags, parse_numbers
from xcat.output.provenance import KEY
from xcat.tables import facts as of_tables
from xcat.tables.facts import TableFacts

_IN_MEMORY_BYTES = 2**26


@dataclass(frozen=True)
class Meaning:
    """Unit, description and UCD of a column of the answer."""

    unit: str = ""
    about: str = ""
    ucd: str = ""


@dataclass
class Spool:
    """Pieces of a user's table with their answer; the user's columns as the file has them, types found at the end.

    Parameters
    ----------
    facts : TableFacts
        The user's table.
    meanings : mapping
        Of the columns of the answer.
    prefix : str
        Before the names of the answer's columns.
    provenance : mapping
        See `xcat.output.provenance`.
    """

    facts: TableFacts
    meanings: Mapping[str, Meaning]
    prefix: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    n_rows: int = 0
    _file: IO[bytes] | None = None
    _writer: Any = None
    _width: dict[str, int] = field(default_factory=dict)
    _has_null: dict[str, bool] = field(default_factory=dict)
    _may_be: dict[str, str] = field(default_factory=dict)  # types of columns of text, as far as they have been seen

    def add(self, batch: pa.RecordBatch, answer: Mapping[str, np.ma.MaskedArray[Any, Any]]) -> None:
        """Add rows: the user's columns, and those of the answer, of the same length."""
        arrays, names = [], []
        for column in self.facts.columns:
            array = _simple(batch.column(column.name))
            self._look(column, array)
            arrays.append(array)
            names.append(f"u {column.name}")
        for name, values in answer.items():
            mask = np.ma.getmaskarray(values)
            data = np.ma.getdata(values)
            as_text = data.astype(object) if data.dtype.kind == "U" else data
            array = pa.array(as_text, pa.string() if data.dtype.kind == "U" else None, mask=mask)
            self._note(f"a {name}", array)
            arrays.append(array)
            names.append(f"a {name}")
        rows = pa.record_batch(arrays, names=names)
        if self._file is None:
            # a short table never comes to the disk
            self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115  see close()
            weakref.finalize(self, self._file.close)  # also if nobody closes it
            self._writer = pa.ipc.new_stream(self._file, rows.schema)
        self._writer.write_batch(rows)
        self.n_rows += rows.num_rows

    def _note(self, key: str, array: pa.Array) -> None:
        self._has_null[key] = self._has_null.get(key, False) or array.null_count > 0
        if pa.types.is_string(array.type):
            longest = pc.max(pc.utf8_length(array)).as_py() or 1
            self._width[key] = max(self._width.get(key, 1), longest)

    def _look(self, column: ColumnFacts, array: pa.Array) -> None:
        """Find the narrowest type that all values of a column of text have; that which the file states if it fits."""
        key = f"u {column.name}"
        if not pa.types.is_string(array.type):
            self._note(key, array)
            return
        text = pc.utf8_trim_whitespace(array)
        text = pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
        self._note(key, text)
        if text.null_count < len(text):
            before = self._may_be.get(column.name, column.dtype or "i8")
            self._may_be[column.name] = _narrowest(text, before, may_be_names=column.dtype[:1] != "f")

    @property
    def column_names(self) -> list[str]:
        """Names of the columns of the table."""
        return list(next(self.pieces()).colnames)

    def pieces(self) -> Iterator[Table]:
        """All rows, piece by piece; every piece has the same columns with the same types."""
        if self._file is None:
            return
        if self._writer is not None:
            self._writer.close()  # writes an end, where the file is at
            self._writer = None
        self._file.seek(0)
        columns = [replace(c, dtype=self._may_be.get(c.name, c.dtype)) for c in self.facts.columns]
        facts = replace(self.facts, columns=tuple(columns))
        with pa.ipc.open_stream(self._file) as stream:
            for rows in stream:
                yield self._table(facts, rows)

    def _table(self, facts: TableFacts, rows: pa.RecordBatch) -> Table:
        own = pa.record_batch(
            [rows.column(f"u {c.name}") for c in facts.columns], names=[c.name for c in facts.columns]
        )
        table = of_tables.to_table(facts, [own])
        for column in facts.columns:
            if table[column.name].dtype.kind == "U" and column.dtype[:1] in ("i", "u", "f"):  # no value in these rows
                none = np.zeros(len(table), column.dtype)
                table[column.name] = MaskedColumn(none, mask=np.ones(len(table), bool), meta=table[column.name].meta)
            self._widen(table, column.name, f"u {column.name}")
            # the frame of the user's positions is as the user's file has it
            table[column.name].meta = {"frame": ""} | dict(table[column.name].meta)
        for name, meaning in self.meanings.items():
            key = f"a {name}"
            if key not in rows.schema.names:
                continue
            array = rows.column(key)
            blank: Any = "" if pa.types.is_string(array.type) else False if pa.types.is_boolean(array.type) else 0
            mask = np.asarray(array.is_null().to_numpy(zero_copy_only=False))
            data = array.fill_null(np.nan if pa.types.is_floating(array.type) else blank)
            values = np.asarray(data.to_pylist(), np.str_) if blank == "" else data.to_numpy(zero_copy_only=False)
            full = self.prefix + name
            table[full] = MaskedColumn(values, mask=mask)
            self._widen(table, full, key)
            made = table[full]
            made.description, made.meta["ucd"] = meaning.about, meaning.ucd
            if meaning.unit:
                made.unit = meaning.unit
            if made.dtype.kind == "f":
                made.info.format = ".7g"  # the significant digits, in formats that are text
        if self.provenance:
            table.meta[KEY] = dict(self.provenance)
        return table

    def _widen(self, table: Table, name: str, key: str) -> None:
        """Give a column the width of its longest text, and a mask if any piece has one."""
        column = table[name]
        data: Any = column
        if column.dtype.kind == "U":
            data = column.astype(f"U{self._width.get(key, 1)}")
        if self._has_null.get(key) and not hasattr(column, "mask"):
            data = MaskedColumn(data, mask=np.zeros(len(column), bool))
        elif not self._has_null.get(key) and hasattr(column, "mask"):
            data = data.filled() if hasattr(data, "filled") else data
        if data is not column:
            data.description, data.meta, data.unit = column.description, column.meta, column.unit
            table[name] = data

    def table(self) -> Table:
        """All rows as one table in memory; the spool is closed."""
        parts = list(self.pieces())
        self.close()
        return parts[0] if len(parts) == 1 else vstack(parts, metadata_conflicts="silent")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove what is kept on disk."""
        if self._file is not None:
            self._file.close()


def _simple(array: pa.Array) -> pa.Array:
    """Truth values, whole numbers and fractions as they are; all else as text. No digit of a whole number is lost."""
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_boolean(array.type) or pa.types.is_integer(array.type) or pa.types.is_floating(array.type):
        return array
    if pa.types.is_decimal(array.type) and array.type.scale > 0:
        return array.cast(pa.float64())
    return array.cast(pa.string())


def _narrowest(text: pa.StringArray, before: str, may_be_names: bool) -> str:
    """The type of trimmed texts, if those before them have the type `before`: truth values, numbers, or text."""
    kind = np.dtype(before).kind
    if kind == "b" and parse_flags(text)[1].any():
        return "U"
    if kind in "iu":
        whole = _whole(text)
        if whole is None:
            before, kind = "f8", "f"
        else:
            limits, ends = np.iinfo(before), pc.min_max(whole).as_py()
            if ends["min"] < limits.min or ends["max"] > limits.max:
                return "i8"
    if kind == "f":
        # 00123 is text, unless the file states that the column has fractions
        is_name = may_be_names and pc.any(pc.match_substring_regex(text, of_tables.NAME)).as_py()
        if is_name or parse_numbers(text)[1].any():
            return "U"
    return before


def _whole(text: pa.StringArray) -> pa.Int64Array | None:
    """Whole numbers of 64 bits, written as numbers are; None if not all are."""
    if pc.all(pc.match_substring_regex(text, of_tables.WHOLE), skip_nulls=True).as_py() is False:
        return None
    try:
        return text.cast(pa.int64())
    except pa.ArrowInvalid:
        return None
