"""Open a table of any supported format and give its rows in chunks, in bounded memory.

Text travels as Arrow strings, because Arrow trims, searches and parses them without a Python loop; numbers
travel as Arrow arrays of the file's own type. Only the columns that the definition uses are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from xcat.catalogues.definition import Definition
from xcat.catalogues.grammar import INTEGER_COLUMNS, TEXT_COLUMNS
from xcat.columns import registry
from xcat.columns.units import as_unit, conversion, is_none
from xcat.errors import InputError
from xcat.ingest.fits_table import open_fits
from xcat.ingest.fixed_width import open_mrt
from xcat.ingest.opened import CHUNK_ROWS, UNREADABLE, ColumnFacts, TableReader, locate, unpacked
from xcat.ingest.text_table import astropy_yaml, open_csv, open_ecsv, yaml_columns
from xcat.ingest.votable_table import open_votable

_SNIFF_BYTES = 65536


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
    with ExitStack() as stack:
        try:
            format_ = definition.format if definition.format != "auto" else sniff(path)
            reader = _OPENERS[format_](path, definition, chunk_rows, stack)
        except InputError:
            raise
        except UNREADABLE as error:
            raise InputError(f"{path}: cannot be read: {error}") from error
        if definition.read.check_units:
            _check_units(reader, definition)
        reader.stack = stack.pop_all()
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


def _open_parquet(path: Path, definition: Definition, chunk_rows: int, stack: ExitStack) -> TableReader:
    file = stack.enter_context(pq.ParquetFile(path))
    schema = file.schema_arrow
    columns, names = _parquet_columns(path, schema), schema.names
    places = locate(definition.file_columns, names, path)
    for name, index in places.items():
        if columns[index].unusable:
            raise InputError(f"{path}: column '{name}' holds lists or structures, not single values")

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in file.iter_batches(chunk_rows, columns=[names[i] for i in places.values()]):
            yield pa.record_batch([batch.column(names[i]) for i in places.values()], names=list(places))

    return TableReader(path, batches(), file.metadata.num_rows, columns=columns)


def _parquet_columns(path: Path, schema: pa.Schema) -> list[ColumnFacts]:
    notes = (schema.metadata or {}).get(b"table_meta_yaml", b"").decode()
    by_name = {c.name: c for c in yaml_columns(astropy_yaml(notes, path)) if not c.unusable}
    found = []
    for f in schema:
        stated = by_name.get(f.name, ColumnFacts(f.name))
        of_field = {k.decode(): v.decode() for k, v in (f.metadata or {}).items()}
        unit, ucd = of_field.get("unit", stated.unit), of_field.get("ucd", stated.ucd)
        about = of_field.get("description", stated.description)
        unusable = f"({f.type}) holds arrays" if pa.types.is_nested(f.type) else ""
        found.append(ColumnFacts(f.name, unit, ucd, about, unusable=unusable))
    return found


_OPENERS: dict[str, Callable[[Path, Definition, int, ExitStack], TableReader]] = {
    "fits": open_fits,
    "votable": open_votable,
    "ecsv": open_ecsv,
    "csv": open_csv,
    "mrt": open_mrt,
    "parquet": _open_parquet,
}


#: Transforms whose result has the unit of the columns that they take.
_KEEP_UNIT = ("half_range", "sum", "hypot", "first", "first_positive", "measured")


def _wanted_units(definition: Definition) -> Iterator[tuple[str, str, bool]]:
    """Columns of the file whose unit the definition says: column, unit, and whether it is a right ascension."""
    for name, spec in definition.columns.items():
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
