"""What the readers of all formats share: the opened table, columns by name, unpacking, arrays to batches."""

from __future__ import annotations

import difflib
import gzip
import io
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
from astropy.table import Column, Table

from xcat.errors import InputError

CHUNK_ROWS = 100_000


#: What a file that is damaged, cut off or of another kind can make a reader raise.
UNREADABLE = (OSError, EOFError, ValueError, TypeError, zlib.error, pa.ArrowException, UnicodeError)


@dataclass(frozen=True)
class RawChunk:
    """Some rows of a file, as the file has them.

    Parameters
    ----------
    batch : pyarrow.RecordBatch
        The columns that the definition uses, by the definition's names; what the file masks is null.
    first_row : int
        Row number of the first row; the first data row of a file is 1.
    """

    batch: pa.RecordBatch
    first_row: int = 1

    @property
    def n_rows(self) -> int:
        """Rows of this chunk."""
        return int(self.batch.num_rows)


@dataclass(frozen=True)
class ColumnFacts:
    """What is known of a column before its rows are read.

    Parameters
    ----------
    unit, ucd, description : str
        As the table states them; empty where it does not.
    dtype : str
        numpy's name of the type that the table states; empty where it states none, as in CSV.
    is_text : bool
        Whether most of the first values are not numbers.
    sample : tuple of str
        The first values.
    unusable : str
        Why the column cannot be used, after its name.
    """

    name: str
    unit: str = ""
    ucd: str = ""
    description: str = ""
    dtype: str = ""
    is_text: bool = False
    sample: tuple[str, ...] = ()
    unusable: str = ""


@dataclass
class TableReader:
    """An open table, its header known, its rows still to come; iterate over it, in a ``with`` statement.

    Parameters
    ----------
    path : Path or str
        The file, or what to call a table in memory.
    batches : iterator of pyarrow.RecordBatch
        The rows; only the wanted columns, under the names that the definition uses.
    n_rows : int, optional
        Number of rows, where the header states it.
    units : dict
        Units that the file itself states, by column.
    columns : list of ColumnFacts
        All columns of the file.
    meta : dict
        EXTNAME and SKYAREA of FITS.
    messages : list of str
        What the user should know: which table of several was taken, a name that belies the content.
    stack : ExitStack
        What to close after the last row.
    remarks : list of str
        What the user should know of the file.
    """

    path: Path | str
    batches: Iterator[pa.RecordBatch]
    n_rows: int | None = None
    units: dict[str, str] = field(default_factory=dict)
    columns: list[ColumnFacts] = field(default_factory=list)
    meta: dict[str, Any] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    stack: ExitStack = field(default_factory=ExitStack)
    remarks: list[str] = field(default_factory=list)

    def __iter__(self) -> Iterator[RawChunk]:
        row = 1
        try:
            for batch in self.batches:
                yield RawChunk(batch, row)
                row += batch.num_rows
        except InputError:
            raise
        except UNREADABLE as error:
            raise InputError(f"{self.path}: cannot be read after row {row - 1}: {error}") from error
        if self.n_rows is not None and row - 1 != self.n_rows:
            raise InputError(f"{self.path}: the header promises {self.n_rows} rows, the file has {row - 1}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stack.close()


def is_gzip(path: Path) -> bool:
    """Whether a file is compressed, whatever its name."""
    with path.open("rb") as stream:
        return stream.read(2) == b"\x1f\x8b"


def unpacked(path: Path) -> io.BufferedReader | gzip.GzipFile:
    """Open a file for reading, decompressed if it is gzip."""
    return gzip.open(path, "rb") if is_gzip(path) else path.open("rb")


def table_columns(table: Table) -> list[ColumnFacts]:
    """Columns of a table in memory."""
    found = []
    for column in table.itercols():
        name = column.info.name
        if not isinstance(column, Column) or column.dtype.kind not in "biufOUSM":
            found.append(ColumnFacts(name, unusable=f"({type(column).__name__}) does not hold numbers or text"))
        elif column.ndim != 1:
            found.append(ColumnFacts(name, unusable=f"({column.dtype}{list(column.shape[1:])}) holds arrays"))
        else:
            unit = "" if column.unit is None else column.unit.to_string()
            dtype = "U" if column.dtype.kind in "OUSM" else column.dtype.newbyteorder("=").str.lstrip("<|=>")
            found.append(ColumnFacts(name, unit, str(column.meta.get("ucd") or ""), column.description or "", dtype))
    return found


def array_batches(columns: Mapping[str, np.ndarray], n_rows: int, chunk_rows: int) -> Iterator[pa.RecordBatch]:
    """Cut columns in memory into batches; masked values become null, text and objects become strings."""
    for start in range(0, n_rows, chunk_rows):
        parts = [_arrow(np.ma.asarray(column[start : start + chunk_rows])) for column in columns.values()]
        yield pa.record_batch(parts, names=list(columns))


def _arrow(column: np.ma.MaskedArray[Any, Any]) -> pa.Array:
    data, mask = np.ma.getdata(column), np.ma.getmaskarray(column)
    if data.dtype.kind == "O":
        mask = mask | np.array([v is None for v in data], dtype=bool)
        texts = [v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in data]
        return pa.array(texts, pa.string(), mask=mask)
    if data.dtype.kind == "S":
        data = np.char.decode(data, "utf-8", "replace")
    return pa.array(data.astype(data.dtype.newbyteorder("=")), mask=mask)


def locate(wanted: Sequence[str], present: Iterable[str], path: Path) -> dict[str, int]:
    """Find the wanted columns among those of the file.

    Names are compared as written, then without regard to case (FITS does not tell case apart).

    Returns
    -------
    dict
        Index in the file of every wanted column.

    Raises
    ------
    InputError
        If a column is missing, or occurs more than once.
    """
    names = [name.strip() for name in present]
    folded = [name.casefold() for name in names]
    indices: dict[str, int] = {}
    for name in wanted:
        places = [i for i, present_name in enumerate(names) if present_name == name]
        places = places or [i for i, present_name in enumerate(folded) if present_name == name.casefold()]
        if not places:
            raise InputError(_missing(name, names, path))
        if len(places) > 1:
            raise InputError(f"{path}: column '{name}' occurs {len(places)} times; rename the others first")
        indices[name] = places[0]
    return indices


def _missing(name: str, names: Sequence[str], path: Path) -> str:
    by_fold = {n.casefold(): n for n in names if n}
    close = [by_fold[c] for c in difflib.get_close_matches(name.casefold(), by_fold, n=3, cutoff=0.5)]
    similar = f"similar: {', '.join(close)}" if close else f"it has: {', '.join(list(by_fold.values())[:30])}"
    return (
        f"{path}: there is no column '{name}' ({similar}). "
        "Use the definition that belongs to this file, or write one with 'extends' that renames the column"
    )
