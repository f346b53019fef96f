"""Open a table of any supported format and give its rows in chunks, in bounded memory.

Text travels as Arrow strings, because Arrow trims, searches and parses them without a Python loop; numbers
travel as Arrow arrays of the file's own type. Only the columns that the definition uses are read.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import astropy.units as u
import pyarrow as pa
import pyarrow.parquet as pq

from xcat.catalogues.definition import Definition
from xcat.catalogues.grammar import parsed_unit
from xcat.columns import registry
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
