"""What the readers of all formats share: the opened table, columns by name, unpacking, arrays to batches."""

from __future__ import annotations

import csv
import difflib
import lzma
import traceback
import zlib
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from astropy.io.fits.verify import VerifyError
from astropy.table import Column, Table

from xcat.arrays import BoolArray
from xcat.errors import InputError
from xcat.ingest.files import unpacked as unpacked

CHUNK_ROWS = 100_000


#: What a file that is damaged, cut off or of another kind can make a library raise that reads it.
UNREADABLE: tuple[type[Exception], ...] = (
    *(OSError, EOFError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, MemoryError),
    *(RecursionError, csv.Error, zlib.error, lzma.LZMAError, pa.ArrowException, VerifyError),
)
#: In the place of bytes that text cannot have.
_REPLACED = "\ufffd"


@dataclass(frozen=True)
class RawChunk:
    """Some rows of a file, as the file has them.

    Parameters
    ----------
    batch : pyarrow.RecordBatch
        The columns that the definition uses, by the definition's names; what the file masks is null.
    first_row : int
        Row number of the first row; the first data row of a file is 1.
    damaged : dict
        Rows whose text has bytes that no text has, by column; the bytes are replaced in the batch.
    frames : dict
        Frames of the columns that are not in ICRS, as `xcat.ingest.frames` writes them.
    """

    batch: pa.RecordBatch
    first_row: int = 1
    damaged: Mapping[str, BoolArray] = field(default_factory=dict)
    frames: Mapping[str, str] = field(default_factory=dict)

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
    frame : str
        Frame of its positions, as `xcat.ingest.frames` writes it; empty for ICRS, and where none is stated.
    """

    name: str
    unit: str = ""
    ucd: str = ""
    description: str = ""
    dtype: str = ""
    is_text: bool = False
    sample: tuple[str, ...] = ()
    unusable: str = ""
    frame: str = ""


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
    stack : ExitStack
        What to close after the last row.
    remarks : list of str
        What the user should know of the file: which table of several was taken, a name that belies the content.
    """

    path: Path | str
    batches: Iterator[pa.RecordBatch]
    n_rows: int | None = None
    units: dict[str, str] = field(default_factory=dict)
    columns: list[ColumnFacts] = field(default_factory=list)
    meta: dict[str, Any] = field(default_factory=dict)
    stack: ExitStack = field(default_factory=ExitStack)
    remarks: list[str] = field(default_factory=list)

    def __iter__(self) -> Iterator[RawChunk]:
        row, frames = 1, {c.name: c.frame for c in self.columns if c.frame}
        try:
            for batch in self.batches:
                yield RawChunk(*_without_damage(batch, row), frames)
                row += batch.num_rows
        except InputError as error:
            # the frames of the reader keep its threads, which must not outlive the interpreter: they call Python
            traceback.clear_frames(error.__traceback__)
            raise
        except UNREADABLE as error:
            traceback.clear_frames(error.__traceback__)
            raise InputError(f"{self.path}: cannot be read after row {row - 1}: {shortened(error)}") from error
        if self.n_rows is not None and row - 1 != self.n_rows:
            raise InputError(f"{self.path}: the header promises {self.n_rows} rows, the file has {row - 1}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if isinstance(self.batches, Generator):
            self.batches.close()  # lets a reader that was left early end its threads before the file is closed
        self.stack.close()


def shortened(error: Exception) -> str:
    """What a library says is wrong, in one line of bounded length."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) < 400 else f"{text[:380]} ..."


def _without_damage(batch: pa.RecordBatch, row: int) -> tuple[pa.RecordBatch, int, dict[str, BoolArray]]:
    """A batch with text for bytes, and without NUL characters, which no database takes; and the rows that had some."""
    damaged, columns = {}, []
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if any(is_bytes(column.type) for is_bytes in _BYTES):
            column, wrong = _text_of_bytes(column)
        elif pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            column, wrong = _without_nul(column)
        else:
            wrong = None
        columns.append(column)
        if wrong is not None and wrong.any():
            damaged[name] = wrong
    return pa.record_batch(columns, names=batch.schema.names), row, damaged


_BYTES = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary)


def _text_of_bytes(column: pa.Array) -> tuple[pa.Array, BoolArray | None]:
    column = column.cast(pa.binary())
    try:
        return _without_nul(column.cast(pa.string()))
    except pa.ArrowInvalid:
        values = column.to_pylist()
        text = pa.array([None if v is None else v.decode("utf-8", "replace") for v in values], pa.string())
        text, _ = _without_nul(text)
        return text, np.asarray(pc.match_substring(text, _REPLACED).fill_null(False).to_numpy(zero_copy_only=False))


def _without_nul(column: pa.Array) -> tuple[pa.Array, BoolArray | None]:
    """Text without the NULs that pad it, as FITS pads; others are replaced, and their rows returned."""
    content = column.buffers()[2]
    if content is None or not content.size or np.frombuffer(content, np.uint8).min() > 0:
        return column, None  # the whole buffer at once: a search in every text would take 20 times as long
    column = pc.utf8_rtrim(column, "\0")
    wrong = np.asarray(pc.match_substring(column, "\0").fill_null(False).to_numpy(zero_copy_only=False))
    return pc.replace_substring(column, "\0", _REPLACED) if wrong.any() else column, wrong


def table_columns(table: Table) -> list[ColumnFacts]:
    """Columns of a table in memory."""
    found = []
    for column in table.itercols():
        name = column.info.name.strip()
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


def choose(path: Path, wanted: int | str | None, names: Mapping[int, str]) -> int:
    """Number of the table that is wanted, by number or name, of those of a file; by default the first.

    Raises
    ------
    InputError
        There is none of this number or name, or more than one.
    """
    if wanted is None:
        return next(iter(names))
    folded = str(wanted).strip().casefold()
    found = [n for n, name in names.items() if n == wanted or name.casefold() == folded]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(f"{n} '{name}'" if name else str(n) for n, name in list(names.items())[:20])
    problem = "there is no table in" if not found else f"{len(found)} tables have the name of"
    raise InputError(f"{path}: {problem} extension {wanted!r}; the tables are: {listed}")


def which_table(path: Path, taken: str, others: Sequence[str], wanted: int | str | None) -> list[str]:
    """A message on the table that is read, where there are others."""
    if not others:
        return []
    listed = f"{'; '.join(others[:10])}{' ...' if len(others) > 10 else ''}"
    how = "" if wanted is not None else ". To read another, write FILE[NAME], or 'read: {hdu: NAME}' in a definition"
    return [f"{path}: read table {taken}; not read: {listed}{how}"]


def locate(
    wanted: Sequence[str],
    present: Iterable[str],
    path: Path,
    messages: Sequence[str] = (),
    optional: Sequence[str] = (),
    *,
    may_be_anything: bool = False,
) -> dict[str, int]:
    """Find the wanted columns among those of the file.

    Names are compared without blanks around them, as written and then without regard to case (FITS does not tell case
    apart).

    Parameters
    ----------
    messages : sequence of str
        What may explain that a column is missing, such as that another table was read.
    optional : sequence of str
        Wanted columns that the file may lack.
    may_be_anything : bool
        Every text has a first line. Unless a wanted column is in it, the file is not known to be a table, and the
        message shows nothing of it: who named it, in a pipeline say, need not be allowed to read it.

    Returns
    -------
    dict
        Index in the file of every wanted column; the optional ones that it lacks are left out.

    Raises
    ------
    InputError
        If a column is missing, or occurs more than once.
    """
    names = [name.strip() for name in present]
    folded = [name.casefold() for name in names]
    is_table = not may_be_anything or bool({name.strip().casefold() for name in wanted}.intersection(folded))
    indices: dict[str, int] = {}
    for name in wanted:
        bare = name.strip()
        places = [i for i, present_name in enumerate(names) if present_name == bare]
        places = places or [i for i, present_name in enumerate(folded) if present_name == bare.casefold()]
        if not places and name in optional:
            continue
        if not places:
            raise InputError(". ".join([_missing(name, names, path, is_table), *messages]))
        if len(places) > 1:
            raise InputError(f"{path}: column '{name}' occurs {len(places)} times; rename the others first")
        indices[name] = places[0]
    return indices


def _missing(name: str, names: Sequence[str], path: Path, is_table: bool) -> str:
    by_fold = {n.casefold(): n for n in names if n}
    close = [by_fold[c] for c in difflib.get_close_matches(name.casefold(), by_fold, n=3, cutoff=0.5)]
    has = f"it has: {', '.join(list(by_fold.values())[:30])}" if is_table else "nor any other of its catalogue"
    similar = f"similar: {', '.join(close)}" if close and is_table else has
    return (
        f"{path}: there is no column '{name}' ({similar}). "
        "Use the definition that belongs to this file, or write one with 'extends' that renames the column"
    )
