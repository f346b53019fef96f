"""Open a table of any supported format and give its rows in chunks, in bounded memory.

Text travels as Arrow strings, because Arrow trims, searches and parses them without a Python loop; numbers
travel as Arrow arrays of the file's own type. Only the columns that the definition uses are read.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import astropy.units as u

from xcat.catalogues.definition import Definition
from xcat.catalogues.grammar import parsed_unit
from xcat.columns import registry
from xcat.errors import InputError
from xcat.ingest import frames
from xcat.ingest.files import belied, named_table, sniff
from xcat.ingest.fits_table import open_fits
from xcat.ingest.opened import CHUNK_ROWS, UNREADABLE, TableReader, shortened
from xcat.ingest.parquet_table import open_parquet
from xcat.ingest.text_table import open_csv, open_ecsv, open_mrt
from xcat.ingest.votable_table import open_votable


def open_table(path: str | Path, definition: Definition, chunk_rows: int = CHUNK_ROWS) -> TableReader:
    """Open a table and check that it has the columns of the definition.

    Parameters
    ----------
    path : path
        A file, or ``FILE[NAME]``: the table of this name or number of a file that has several.
        FITS, VOTable, ECSV, CSV (any separator), CDS or AAS fixed-width (MRT), or Parquet; packed with gzip,
        bzip2, xz or zstd or not. A packed FITS or Parquet file is unpacked to a temporary file. A fixed-width table
        is read as a whole, the others piecewise.
    definition : Definition
        Says which columns are wanted and, under ``read``, what the file does not say itself.
    chunk_rows : int
        Rows of a chunk.

    Raises
    ------
    InputError
        If the file cannot be read, is cut off, or lacks a column; the message names similar columns.
    """
    path, table = named_table(Path(path))
    if table is not None:
        definition = definition.model_copy(update={"read": definition.read.model_copy(update={"hdu": table})})
    with ExitStack() as stack:
        try:
            format_ = definition.format if definition.format != "auto" else sniff(path)
            reader = _OPENERS[format_](path, definition, chunk_rows, stack)
        except InputError:
            raise
        except UNREADABLE as error:
            raise InputError(f"{path}: cannot be read: {shortened(error)}") from error
        reader.remarks = [*belied(path, format_), *reader.remarks]
        if "ra" in definition.columns and "dec" in definition.columns:
            position = [definition.columns[name].from_ for name in ("ra", "dec")]
            reader.remarks += frames.check(path, reader.columns, *position)
        if definition.read.check_units:
            _check_units(reader, definition)
        reader.stack = stack.pop_all()
    return reader


def format_of(path: Path) -> str:
    """Tell the format of a file by its content; see `sniff`.

    Raises
    ------
    InputError
        The file cannot be read, or is not a table.
    """
    try:
        return sniff(path)
    except UNREADABLE as error:
        raise InputError(f"{path}: cannot be read: {shortened(error)}") from error


_OPENERS: dict[str, Callable[[Path, Definition, int, ExitStack], TableReader]] = {
    "fits": open_fits,
    "votable": open_votable,
    "ecsv": open_ecsv,
    "csv": open_csv,
    "mrt": open_mrt,
    "parquet": open_parquet,
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
