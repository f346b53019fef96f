"""The answer for a long table, kept on disk until it is complete, so that memory is bounded."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from astropy.table import MaskedColumn, Table, vstack

from xcat.ingest.opened import ColumnFacts
from xcat.ingest.rows import parse_numbers
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
    _may_be: dict[str, str] = field(default_factory=dict)  # "i8", "f8" or "U" of text columns without a stated type

    def add(self, batch: pa.RecordBatch, answer: Mapping[str, np.ma.MaskedArray[Any, Any]]) -> None:
        """Add rows: the user's columns, and those of the answer, of the same length."""
        arrays, names = [], []
        for column in self.facts.columns:
            array = batch.column(column.name)
            if pa.types.is_dictionary(array.type):
                array = array.dictionary_decode()
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
        if self._writer is None:
            # a short table never comes to the disk
            self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115  see close()
            self._writer = pa.ipc.new_stream(self._file, rows.schema)
        self._writer.write_batch(rows)
        self.n_rows += rows.num_rows

    def _note(self, key: str, array: pa.Array) -> None:
        self._has_null[key] = self._has_null.get(key, False) or array.null_count > 0
        if pa.types.is_string(array.type):
            longest = pc.max(pc.utf8_length(array)).as_py() or 1
            self._width[key] = max(self._width.get(key, 1), longest)

    def _look(self, column: ColumnFacts, array: pa.Array) -> None:
        """Find the narrowest type that all values of a column of text have."""
        key = f"u {column.name}"
        if not (pa.types.is_string(array.type) or pa.types.is_large_string(array.type)):
            self._note(key, array)
            return
        text = pc.utf8_trim_whitespace(array.cast(pa.string()))
        text = pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
        self._note(key, text)
        kind = np.dtype(column.dtype).kind if column.dtype else ""
        if kind in ("U", "b"):
            return
        before = self._may_be.get(column.name, "i8" if kind != "f" else "f8")
        if before == "i8" and not _are_whole(text):
            before = "f8"
        if before == "f8":
            is_name = pc.any(pc.match_substring_regex(text, of_tables.NAME)).as_py()
            if (is_name and kind != "f") or parse_numbers(text)[1].any():
                before = "U"
        if text.null_count < len(text):  # a column without any value stays text
            self._may_be[column.name] = before

    @property
    def column_names(self) -> list[str]:
        """Names of the columns of the table."""
        return list(next(self.pieces()).colnames)

    def pieces(self) -> Iterator[Table]:
        """All rows, piece by piece; every piece has the same columns with the same types."""
        if self._writer is None or self._file is None:
            return
        self._writer.close()
        self._file.seek(0)
        columns = []
        for column in self.facts.columns:
            kind = self._may_be.get(column.name)
            columns.append(column if kind is None else replace(column, dtype=column.dtype or kind))
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
            if table[column.name].dtype.kind == "U" and column.dtype[:1] in ("i", "f"):  # no value in these rows
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

    def close(self) -> None:
        """Remove what is kept on disk."""
        if self._file is not None:
            self._file.close()


def _are_whole(text: pa.StringArray) -> bool:
    """Whether all values are whole numbers of 64 bits, written as numbers are."""
    if pc.all(pc.match_substring_regex(text, of_tables.WHOLE), skip_nulls=True).as_py() is False:
        return False
    try:
        text.cast(pa.int64())
    except pa.ArrowInvalid:
        return False
    return True
