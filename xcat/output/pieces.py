"""Tables too long for memory, piece by piece: every piece as a file of the whole table has its rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from astropy.table import Column, Table

_INT64_MAX = np.iinfo(np.int64).max
_NO_UNSIGNED_64 = (".vot", ".xml", ".votable")


class Pieces(Protocol):
    """A table in pieces of the same columns, of any types and widths; they can be gone through more than once."""

    @property
    def n_rows(self) -> int:
        """Rows of all pieces."""

    def pieces(self) -> Iterator[Table]:
        """The pieces, in the order of the rows."""


@dataclass(frozen=True)
class Whole:
    """A table in memory as its only piece."""

    table: Table

    @property
    def n_rows(self) -> int:
        """Rows of the table."""
        return len(self.table)

    def pieces(self) -> Iterator[Table]:
        """The table."""
        yield self.table


def of(table: Table | Pieces) -> Pieces:
    """A table in pieces."""
    from astropy.table import Table

    return Whole(table) if isinstance(table, Table) else table


def head(source: Pieces) -> Table:
    """The columns of a table in pieces: of one that has a ``head`` this, else the first piece."""
    from astropy.table import Table

    known = getattr(source, "head", None)
    return next(source.pieces(), Table()) if known is None else known()


@dataclass
class _Seen:
    """What the pieces of a column have together."""

    dtype: np.dtype[Any]
    has_null: bool = False
    width: int = 1
    most: int = 0
    low: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))  # values near the least of the type

    def add(self, column: Column, n_rows: int) -> None:
        values = np.ma.asarray(column)
        data, mask = np.ma.getdata(values), np.ma.getmaskarray(values)
        if data.dtype.kind != self.dtype.kind or data.shape[1:] != np.shape(column)[1:]:
            raise ValueError(f"column '{column.name}' is {self.dtype} in one piece and {data.dtype} in another")
        self.dtype = np.promote_types(self.dtype, data.dtype)
        self.has_null |= bool(mask.any())
        if data.dtype.kind == "U" and data.size:
            self.width = max(self.width, int(np.char.str_len(data).max()))
        elif data.dtype.kind in "iu" and data.size:
            present = data[~mask]
            self.most = max(self.most, int(present.max(initial=0)))
            near = present[present < np.iinfo(data.dtype).min + n_rows + 1] if data.dtype.kind == "i" else present[:0]
            if near.size:
                self.low = np.union1d(self.low, near)

    @property
    def unused(self) -> int:
        """A number that does not occur: the least of the type, not numpy's 999999, which may."""
        least = int(np.iinfo(self.dtype).min)
        taken = self.low == least + np.arange(len(self.low))
        return least + (len(self.low) if taken.all() else int(np.argmin(taken)))


def alike(source: Iterator[Table], again: Iterator[Table], n_rows: int, ending: str) -> Iterator[Table]:
    """Pieces whose columns have the same types, widths and masks: those that the whole table would have.

    Parameters
    ----------
    source, again : iterator of Table
        The pieces, twice: they are looked at before the first is given.
    n_rows : int
        Rows of all pieces.
    ending : str
        Of the name of the file.

    Yields
    ------
    Table
        A column is masked if it is in any piece. The ``fill_value`` of masked integers occurs in no piece. Unsigned
        integers of 64 bits are signed in VOTable, and in FITS where they are masked; text if a value is too large.
    """
    seen: dict[str, _Seen] = {}
    for table in source:
        for name in table.colnames:
            seen.setdefault(name, _Seen(table[name].dtype)).add(table[name], n_rows)
    for table in again:
        for name in table.colnames:
            made = _as_seen(table[name], seen[name], ending)
            if made is not table[name]:
                table[name] = made
        yield table


def _as_seen(column: Column, seen: _Seen, ending: str) -> Column:
    from astropy.table import Column, MaskedColumn

    values = np.ma.asarray(column)
    data, mask = np.ma.getdata(values), np.ma.getmaskarray(values)
    dtype = np.dtype(f"U{seen.width}") if seen.dtype.kind == "U" else seen.dtype
    if seen.dtype == np.uint64 and (ending in _NO_UNSIGNED_64 or (ending == ".fits" and seen.has_null)):
        dtype = np.dtype(np.int64) if seen.most <= _INT64_MAX else np.dtype("U20")
    if dtype != data.dtype:
        is_number_as_text = dtype.kind == "U" != data.dtype.kind
        data = np.where(mask, "", data.astype(dtype)).astype(dtype) if is_number_as_text else data.astype(dtype)
    elif seen.has_null == isinstance(column, MaskedColumn) and data.dtype.kind not in "iu":
        return column
    made = MaskedColumn(data, mask=mask) if seen.has_null else Column(data)
    made.unit, made.description, made.meta = column.unit, column.description, dict(column.meta)
    made.info.format = column.info.format if data.dtype.kind == seen.dtype.kind else None
    if seen.has_null and data.dtype.kind == "i":
        made.fill_value = seen.unused if data.dtype == seen.dtype else np.iinfo(data.dtype).min
    return made
