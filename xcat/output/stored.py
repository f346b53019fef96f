"""Tables of the database in pieces of bounded memory, on their way into a file.

The server sends CSV, which Arrow reads with the types of the columns: no Python loop over values. Its shortest texts of
numbers are exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from psycopg import sql

from xcat.columns.registry import ColumnMeaning
from xcat.database.connection import Connection
from xcat.database.sqlfiles import dicts, job

if TYPE_CHECKING:
    import pyarrow as pa
    from astropy.table import Column, Table

_BLOCK_BYTES = 1 << 23  # of CSV in one piece


class StoredColumn(NamedTuple):
    """A column of a table: name, type as PostgreSQL calls it, meaning, and elements of an array of fixed length."""

    name: str
    type: str
    meaning: ColumnMeaning
    n_elements: int = 0

    @property
    def is_array(self) -> bool:
        """Whether it becomes a two-dimensional column."""
        return self.n_elements > 0 and self.type.endswith("[]")


@dataclass(frozen=True)
class Stored:
    """The rows of one run in a table or view of ``pub``, as `xcat.output.files.write` takes them.

    Attributes
    ----------
    relation : str
        Qualified name.
    columns : sequence of StoredColumn
        Those to read. Arrays without a fixed length become JSON.
    order : sequence of str
        Columns by which the rows are sorted.
    n_rows : int
    meta : dict
        Metadata of the table, with its provenance.
    """

    conn: Connection
    relation: str
    run_id: int
    columns: Sequence[StoredColumn]
    order: Sequence[str]
    n_rows: int
    meta: dict[str, Any] = field(default_factory=dict)

    def pieces(self) -> Iterator[Table]:
        """The pieces, in the order of the rows; one without rows if there are none."""
        if not self.n_rows:
            yield self.head()
            return
        statement = sql.SQL("COPY ({}) TO STDOUT (FORMAT csv)").format(self._query())
        with self.conn.transaction(), self.conn.cursor() as cursor, cursor.copy(statement) as copy:
            for block in _blocks(copy):
                yield self._table(self._read(block))

    def _read(self, block: bytes) -> dict[str, pa.Array]:
        """The columns of some lines of CSV."""
        import pyarrow as pa
        from pyarrow import csv

        types = self._types()
        table = csv.read_csv(
            pa.py_buffer(block),
            csv.ReadOptions(use_threads=False, block_size=len(block), column_names=[name for name, _ in types]),
            csv.ParseOptions(newlines_in_values=True),
            csv.ConvertOptions(
                column_types={name: getattr(pa, type_)() for name, type_ in types},
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                true_values=["t"],
                false_values=["f"],
            ),
        ).combine_chunks()
        return {name: table[name].chunk(0) for name, _ in types}

    def head(self) -> Table:
        """The columns, without rows."""
        import pyarrow as pa

        return self._table({name: pa.array([], getattr(pa, type_)()) for name, type_ in self._types()})

    def _types(self) -> list[tuple[str, str]]:
        """Names of the columns of the CSV, with Arrow's names of their types."""
        types = []
        for column in self.columns:
            if column.is_array:
                element = _ARROW[column.type.removesuffix("[]")]
                types += [(f"{column.name}_{i}", element) for i in range(1, column.n_elements + 1)]
            else:
                types.append((column.name, _ARROW.get(column.type, "string")))
        return types

    def _query(self) -> sql.Composed:
        values: list[sql.Composable] = []
        for column in self.columns:
            if column.is_array:
                values += [
                    job("releases.element").compose(name=column.name, number=sql.Literal(i), alias=f"{column.name}_{i}")
                    for i in range(1, column.n_elements + 1)
                ]
            elif column.type.endswith("[]"):
                values.append(job("releases.json_value").compose(name=column.name))
            else:
                values.append(sql.Identifier(column.name))
        return job("releases.read").compose(
            values=sql.SQL(", ").join(values),
            table=self.relation,
            run_id=sql.Literal(self.run_id),
            order=sql.SQL(", ").join(map(sql.Identifier, self.order)),
        )

    def _table(self, arrays: dict[str, pa.Array]) -> Table:
        from astropy.table import Table

        table = Table(meta=dict(self.meta))
        for column in self.columns:
            if column.is_array:
                parts = [_values(arrays[f"{column.name}_{i}"]) for i in range(1, column.n_elements + 1)]
                data: np.ndarray = np.ma.stack(parts, axis=1)
            else:
                data = _values(arrays[column.name])
            table[column.name] = _described(data, column.meaning)
        return table


_ARROW = {
    "smallint": "int16",
    "integer": "int32",
    "bigint": "int64",
    "real": "float32",
    "double precision": "float64",
    "boolean": "bool_",
}


def columns_of(conn: Connection, relation: str, names: Sequence[str]) -> list[StoredColumn]:
    """Some columns of a table or view, with the meanings that their comments state."""
    rows = {row["name"]: row for row in dicts(conn.execute(job("releases.columns").compose(), {"relation": relation}))}
    return [
        StoredColumn(name, rows[name]["type"], ColumnMeaning.parse(name, rows[name]["comment"] or "")) for name in names
    ]


def _values(array: pa.Array) -> np.ndarray:
    """An array of Arrow as numpy has it; NULL is masked."""
    import pyarrow as pa
    import pyarrow.compute as pc

    blank = "" if pa.types.is_string(array.type) else False if pa.types.is_boolean(array.type) else 0
    filled = pc.fill_null(array, pa.scalar(blank, array.type))
    data = np.array(filled.to_pylist(), dtype=str) if blank == "" else filled.to_numpy(zero_copy_only=False)
    if not array.null_count:
        return np.asarray(data)
    mask = array.is_null().to_numpy(zero_copy_only=False)
    if data.dtype.kind == "f":
        data = np.where(mask, np.nan, data).astype(data.dtype)
    return np.ma.MaskedArray(data, mask)


def _described(data: np.ndarray, meaning: ColumnMeaning) -> Column:
    from astropy.table import Column, MaskedColumn

    kind = MaskedColumn if isinstance(data, np.ma.MaskedArray) else Column
    meta = {"ucd": meaning.ucd} if meaning.ucd else {}
    return kind(data, unit=meaning.unit or None, description=meaning.about or None, meta=meta)


def _blocks(copy: Iterable[Any]) -> Iterator[bytes]:
    """Whole lines together, about as many bytes as a piece should have; the server sends line by line."""
    block = bytearray()
    for line in copy:
        block += line
        if len(block) >= _BLOCK_BYTES:
            yield bytes(block)
            block.clear()
    if block:
        yield bytes(block)
