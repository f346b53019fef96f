"""Open a table of any supported format and give its rows in chunks, in bounded memory.

Text travels as Arrow strings, because Arrow trims, searches and parses them without a Python loop; numbers
travel as Arrow arrays of the file's own type. Only the columns that the definition uses are read.
"""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import astropy.units as u
import pyarrow as pa
import pyarrow.parquet as pq

from xcat.catalogues.definition import Definition
from xcat.catalogues.grammar import parsed_unit
from xcat.columns import registry
from xcat.errors import InputError
from xcat.ingest.fits_table import open_fits
from xcat.ingest.opened import CHUNK_ROWS, Opened, locate, unpacked
from xcat.ingest.text_table import open_csv, open_ecsv, open_mrt
from xcat.ingest.votable_table import open_votable

_SNIFF_BYTES = 65536


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


class TableReader:
    """An open table: iterate over it to get :class:`RawChunk`; use it in a ``with`` statement.

    Attributes
    ----------
    path : Path or str
        The file, or what to call a table in memory.
    n_rows : int or None
        Number of rows, where the header states it.
    units : dict
        Units that the file itself states, by column.
    """

    def __init__(self, path: Path | str, opened: Opened):
        self.path = path
        self.n_rows = opened.n_rows
        self.units = opened.units
        self._opened = opened

    def __iter__(self) -> Iterator[RawChunk]:
        row = 1
        batches = self._opened.batches
        while True:
            try:
                batch = next(batches, None)
            except InputError:
                raise
            except _UNREADABLE as error:
                raise InputError(f"{self.path}: cannot be read after row {row - 1}: {error}") from error
            if batch is None:
                break
            yield RawChunk(batch, row)
            row += batch.num_rows
        if self.n_rows is not None and row - 1 != self.n_rows:
            raise InputError(f"{self.path}: the header promises {self.n_rows} rows, the file has {row - 1}")

    def close(self) -> None:
        """Close the file."""
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


_UNREADABLE = (OSError, EOFError, ValueError, TypeError, zlib.error, pa.ArrowException, UnicodeError)


def open_table(path: str | Path, definition: Definition, chunk_rows: int = CHUNK_ROWS) -> TableReader:
    """Open a table and check that it has the columns of the definition.

    Parameters
    ----------
    path : path
        FITS, VOTable, ECSV, CSV (any separator), CDS or AAS fixed-width (MRT), or Parquet; all but
        Parquet may be compressed with gzip. A FITS file so compressed is unpacked to a temporary file. A
        fixed-width table and a VOTable in binary serialisation are read as a whole, the others piecewise.
    definition : Definition
        Says which columns are wanted and, under ``read``, what the file does not say itself.
    chunk_rows : int
        Rows of a chunk.

    Raises
    ------
    InputError
        If the file cannot be read, is cut off, or lacks a column; the message names similar columns.
    """
    path = Path(path)
    try:
        format_ = definition.format if definition.format != "auto" else sniff(path)
        opened = _OPENERS[format_](path, definition, chunk_rows)
    except InputError:
        raise
    except _UNREADABLE as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    reader = TableReader(path, opened)
    if definition.read.check_units:
        try:
            _check_units(reader, definition)
        except InputError:
            reader.close()
            raise
    return reader


def sniff(path: Path) -> str:
    """Tell the format of a file by its content, and by its neighbours for a bare fixed-width table."""
    with unpacked(path) as stream:
        head = stream.read(_SNIFF_BYTES)
    if not head.strip():
        raise InputError(f"{path}: the file is empty")
    if head.startswith(b"SIMPLE  ="):
        return "fits"
    if head.startswith(b"PAR1"):
        return "parquet"
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(b"<"):
        if b"VOTABLE" in head:
            return "votable"
        raise InputError(f"{path}: this is a web page or other XML, not a table; was the download refused?")
    if start.startswith(b"# %ECSV"):
        return "ecsv"
    if b"Byte-by-byte Description of file" in head or _described_beside(path):
        return "mrt"
    return "csv"


def _described_beside(path: Path) -> bool:
    """Whether a CDS ``ReadMe`` in the same folder describes the file byte by byte."""
    readme = path.with_name("ReadMe")
    return readme.is_file() and any(
        line.startswith("Byte-by-byte Description of file") and path.name in line
        for line in readme.read_text(encoding="utf-8", errors="replace").splitlines()
    )


def _open_parquet(path: Path, definition: Definition, chunk_rows: int) -> Opened:
    file = pq.ParquetFile(path)
    names = file.schema_arrow.names
    places = locate(definition.file_columns, names, path)
    for name, index in places.items():
        if pa.types.is_nested(file.schema_arrow.field(index).type):
            raise InputError(f"{path}: column '{name}' holds lists or structures, not single values")

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in file.iter_batches(chunk_rows, columns=[names[i] for i in places.values()]):
            yield pa.record_batch([batch.column(names[i]) for i in places.values()], names=list(places))

    return Opened(batches(), file.metadata.num_rows, close=file.close)


_OPENERS: dict[str, Callable[[Path, Definition, int], Opened]] = {
    "fits": open_fits,
    "votable": open_votable,
    "ecsv": open_ecsv,
    "csv": open_csv,
    "mrt": open_mrt,
    "parquet": _open_parquet,
}


def _check_units(reader: TableReader, definition: Definition) -> None:
    """Refuse a file that states another unit for a column than the definition does."""
    expected = {
        spec.from_[0]: spec.unit or registry.columns()[name].unit
        for name, spec in definition.columns.items()
        if not spec.transform
    }
    error = definition.position_error
    if error:
        expected |= {c.from_[0]: error.unit for c in error.columns if not c.transform}
    for column, wanted in expected.items():
        try:
            ours = parsed_unit(wanted)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", u.UnitsWarning)
                theirs = u.Unit(reader.units.get(column, ""))
        except (ValueError, TypeError):
            continue  # spellings that astropy does not know are common in old tables
        if ours is None or theirs == u.dimensionless_unscaled or not theirs.is_equivalent(ours):
            continue
        factor = theirs.to(ours)
        if abs(factor - 1) > 1e-6:
            raise InputError(
                f"{reader.path}: column '{column}' is in {reader.units[column]}, but the definition "
                f"'{definition.name}' says {wanted}. Correct the unit in the definition, or, if the file is "
                "wrong, set 'read: {check_units: false}'"
            )
