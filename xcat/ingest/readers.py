"""Open a table of any supported format and give its rows in chunks, in bounded memory.

Text travels as Arrow strings, because Arrow trims, searches and parses them without a Python loop; numbers
travel as Arrow arrays of the file's own type. Only the columns that the definition uses are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from xcat.catalogues.definition import Definition
from xcat.catalogues.grammar import INTEGER_COLUMNS, TEXT_COLUMNS
from xcat.columns import registry
from xcat.columns.units import as_unit, conversion, is_none
from xcat.errors import InputError
from xcat.ingest import frames
from xcat.ingest.files import belied, named_table, sniff
from xcat.ingest.fits_table import open_fits
from xcat.ingest.fixed_width import open_mrt
from xcat.ingest.opened import CHUNK_ROWS, UNREADABLE, TableReader, shortened
from xcat.ingest.parquet_table import open_parquet
from xcat.ingest.text_table import open_csv, open_ecsv
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
            format_ = definition.format if definition.format != "auto" else sniff(path, definition.read.encoding)
            reader = _OPENERS[format_](path, definition, chunk_rows, stack)
        except InputError:
            raise
        except UNREADABLE as error:
            raise InputError(f"{path}: cannot be read: {shortened(error)}") from error
        reader.remarks = [*belied(path, format_), *reader.remarks, *_lacking(reader, definition)]
        if "ra" in definition.columns and "dec" in definition.columns:
            position = [definition.columns[name].from_ for name in ("ra", "dec")]
            reader.remarks += frames.check(path, reader.columns, *position)
        if definition.read.check_units:
            _check_units(reader, definition)
        reader.stack = stack.pop_all()
    return reader


def _lacking(reader: TableReader, definition: Definition) -> list[str]:
    """Tell which columns of `of_source` and `quality` a file lacks."""
    names = {c.name.strip().casefold() for c in reader.columns}
    lacking = {c for c in definition.optional_file_columns if c.strip().casefold() not in names}
    values = [c for c in definition.optional_file_columns if c in lacking and not _is_flaw(c, definition)]
    flaws = [name for name, flaw in definition.quality.items() if flaw.column in lacking]
    remarks = []
    if values:
        remarks.append(
            f"{reader.path}: WARNING: no column {', '.join(values[:4])}{' ...' if len(values) > 4 else ''}: what the "
            "mission itself says of its sources is not known, and means of the detections are taken"
        )
    if flaws:
        columns = ", ".join(dict.fromkeys(definition.quality[name].column for name in flaws))
        remarks.append(
            f"{reader.path}: WARNING: no column {columns}: detections that are {', '.join(flaws)} cannot be told from "
            "good ones"
        )
    return remarks


def _is_flaw(column: str, definition: Definition) -> bool:
    return any(column == flaw.column for flaw in definition.quality.values())


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


#: Transforms whose result has the unit of the columns that they take.
_KEEP_UNIT = ("half_range", "sum", "hypot", "first", "first_positive", "measured")


def _wanted_units(definition: Definition) -> Iterator[tuple[str, str, bool]]:
    """Columns of the file whose unit the definition says: column, unit, and whether it is a right ascension."""
    for name, spec in (*definition.columns.items(), *definition.of_source.items()):
        if name not in TEXT_COLUMNS | INTEGER_COLUMNS and all(step.name in _KEEP_UNIT for step in spec.transform):
            for column in spec.from_:
                yield column, spec.unit or registry.columns()[name].unit, name == "ra"
    error = definition.position_error
    if error is not None:
        for spec in error.columns:
            if all(step.name in _KEEP_UNIT for step in spec.transform):
                yield from ((column, error.unit, False) for column in spec.from_)
        if error.pa is not None:
            yield error.pa, "deg", False


def _check_units(reader: TableReader, definition: Definition) -> None:
    """Refuse a file that states another unit for a column than the definition does, or one of another kind."""
    for column, wanted, hours in _wanted_units(definition):
        stated = reader.units.get(column, "").strip()
        if is_none(stated):
            continue
        if as_unit(stated) is None:
            reader.remarks.append(
                f"{reader.path}: the unit '{stated}' of column '{column}' is not understood; "
                f"its values are taken as {wanted or 'plain numbers'}"
            )
            continue
        factor = conversion(stated, wanted, hours=hours)
        if factor is None:
            raise InputError(
                f"{reader.path}: column '{column}' is in '{stated}', which cannot become {wanted or 'a plain number'}, "
                f"as the definition '{definition.name}' needs. Name another column in the definition, or, if the file "
                "is wrong about its unit, set 'read: {check_units: false}'"
            )
        if abs(factor - 1) > 1e-6:
            raise InputError(
                f"{reader.path}: column '{column}' is in {reader.units[column]}, but the definition "
                f"'{definition.name}' says {wanted}. Correct the unit in the definition, or, if the file is "
                "wrong, set 'read: {check_units: false}'"
            )
