"""Parquet tables: values of every type as text or numbers; a footer that contradicts itself or the file is refused."""

from __future__ import annotations

import base64
import io
import mmap
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from xcat.catalogues.definition import Definition
from xcat.catalogues.grammar import TEXT_COLUMNS
from xcat.errors import InputError
from xcat.ingest import frames
from xcat.ingest.files import plain_file
from xcat.ingest.opened import ColumnFacts, TableReader, locate
from xcat.ingest.text_table import astropy_yaml, yaml_columns
from xcat.ingest.votable_table import Document

#: A column of a row group is read in pieces of this size: a file of one row group is not read as a whole.
_BUFFER_BYTES = 1 << 20
_SECONDS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


def open_parquet(path: Path, definition: Definition, chunk_rows: int, stack: ExitStack) -> TableReader:
    """Open a Parquet file; pages that have a checksum are verified."""
    plain = plain_file(path, stack)
    file = stack.enter_context(pq.ParquetFile(plain, page_checksum_verification=True, buffer_size=_BUFFER_BYTES))
    _check_footer(path, file, plain)
    schema = file.schema_arrow
    columns, names = _columns(path, schema), schema.names
    places = locate(definition.file_columns, names, path, optional=definition.optional_file_columns)
    for name, index in places.items():
        if columns[index].unusable:
            raise InputError(f"{path}: column '{name}' holds lists or structures, not single values")
    _check_times(path, definition, {name: schema.field(i).type for name, i in places.items()})

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in file.iter_batches(chunk_rows, columns=[names[i] for i in places.values()]):
            yield pa.record_batch([_plain(batch.column(names[i])) for i in places.values()], names=list(places))

    units = {name: columns[i].unit for name, i in places.items() if columns[i].unit}
    return TableReader(path, batches(), file.metadata.num_rows, units, columns)


def _check_footer(path: Path, file: pq.ParquetFile, plain: Path) -> None:
    """Refuse a footer whose numbers or types cannot be: it has no checksum, but says many things twice."""
    meta = file.metadata
    # of its parts only the numbers of rows are asked for: on other damaged fields pyarrow ends the whole process
    counts = [meta.row_group(i).num_rows for i in range(meta.num_row_groups)]
    if min([*counts, meta.num_rows]) < 0 or sum(counts) != meta.num_rows:
        raise InputError(
            f"{path}: the footer promises {meta.num_rows:,} rows, its parts {sum(counts):,}; the file is damaged"
        )
    with plain.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        joint = content.find(b"PAR1PAR1")
    if joint >= 0:
        raise InputError(
            f"{path}: at byte {joint + 4:,} of {plain.stat().st_size:,} another Parquet file begins; load each alone"
        )
    stored = (meta.metadata or {}).get(b"ARROW:schema")
    if stored is not None:
        written = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(stored)))
        found = file.schema_arrow
        wrong = [f"'{a.name[:60]}'" for a, b in zip(written, found, strict=False) if not _is_stored_as(a, b)]
        if wrong or len(written) != len(found):
            raise InputError(
                f"{path}: the types in the footer contradict those that were written ({', '.join(wrong[:5])}); the "
                "file is damaged"
            )


def _is_stored_as(written: pa.Field, found: pa.Field) -> bool:
    """Whether a column may be the one that was written: Parquet has no seconds, and writers may choose other types."""
    a, b = written.type, found.type
    is_alike = (pa.types.is_timestamp, pa.types.is_time, pa.types.is_date)
    is_other = any(kind(a) and kind(b) for kind in is_alike) or (pa.types.is_uint32(a) and pa.types.is_int64(b))
    return written.name == found.name and (is_other or bool(a.equals(b)))


def _check_times(path: Path, definition: Definition, types: dict[str, pa.DataType]) -> None:
    """Refuse a date where a number is wanted: it travels as text, which `iso_time` reads."""
    for name, spec in definition.columns.items():
        for column in spec.from_:
            type_ = types[column]
            is_date = pa.types.is_timestamp(type_) or pa.types.is_date(type_)
            if not (is_date or pa.types.is_time(type_)) or (spec.transform and spec.transform[0].name == "iso_time"):
                continue
            if name not in TEXT_COLUMNS:
                how = (
                    f"read it so: {name}: {{from: {column}, transform: iso_time}}" if is_date else "use another column"
                )
                raise InputError(f"{path}: column '{column}' holds {type_}, not numbers; {how}")


def _columns(path: Path, schema: pa.Schema) -> list[ColumnFacts]:
    notes = schema.metadata or {}
    header = astropy_yaml(notes.get(b"table_meta_yaml", b"").decode("utf-8", "replace"), path)
    by_name = {c.name: c for c in yaml_columns(header) if not c.unusable}
    votable = notes.get(b"IVOA.VOTable-Parquet.content")
    if votable is not None:
        document = Document(path, io.BytesIO(votable))
        document.head()
        by_name |= {c.name: c for c in document.columns()}
    found = []
    for f in schema:
        name = f.name.strip()
        stated = by_name.get(name, ColumnFacts(name))
        of_field = {k.decode("utf-8", "replace"): v.decode("utf-8", "replace") for k, v in (f.metadata or {}).items()}
        unit, ucd = of_field.get("unit", stated.unit), of_field.get("ucd", stated.ucd)
        about = of_field.get("description", stated.description)
        unit = "s" if pa.types.is_duration(f.type) else unit
        unusable = f"({f.type}) holds arrays" if pa.types.is_nested(f.type) else ""
        found.append(ColumnFacts(name, unit, ucd, about, unusable=unusable, frame=stated.frame))
    return frames.with_metadata(found, header.get("meta"))


def _plain(column: pa.Array) -> pa.Array:
    """A column as numbers, truth values or text; an identifier keeps every digit."""
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if pa.types.is_timestamp(kind):  # in UTC; digits below a nanosecond there are none
        return pc.strftime(column.cast(pa.timestamp("ns", kind.tz)), format="%Y-%m-%dT%H:%M:%S", locale="C")
    if pa.types.is_duration(kind):
        return pc.divide(column.cast(pa.int64()).cast(pa.float64()), float(_SECONDS[kind.unit]))
    if pa.types.is_date(kind) or pa.types.is_time(kind) or pa.types.is_decimal(kind):
        return column.cast(pa.string())
    if kind == pa.float16():
        return column.cast(pa.float32())
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) or pa.types.is_null(kind):
        return column.cast(pa.string())
    if kind == pa.binary_view():
        return column.cast(pa.binary())
    return column
