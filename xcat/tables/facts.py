"""What is known of a user's table before its rows are read: its columns, units, UCDs and a few values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from astropy.io import fits
from astropy.table import Column, Table

from xcat.catalogues.definition import Definition, ReadOptions
from xcat.errors import InputError
from xcat.ingest import values
from xcat.ingest.fits_table import holds_arrays, table_hdu
from xcat.ingest.opened import CHUNK_ROWS, Opened, array_batches, locate, unpacked
from xcat.ingest.readers import RawChunk, TableReader, open_table, sniff
from xcat.ingest.text_table import astropy_yaml, csv_names, ecsv_header, read_mrt
from xcat.ingest.votable_table import Document

#: What a user may give as a table: a file of any format that `xcat.ingest.readers.open_table` reads, or the table.
TableLike: TypeAlias = Path | str | Table | pd.DataFrame

_SAMPLE_ROWS = 200
_ALL_SKY_DEG2 = 41252.97
_VOTABLE_TYPES = {
    "short": "i2",
    "int": "i4",
    "long": "i8",
    "unsignedByte": "u1",
    "float": "f4",
    "double": "f8",
    "boolean": "b1",
    "char": "U",
    "unicodeChar": "U",
}
_ECSV_TYPES = {"string": "U", "bool": "b1", "str": "U"}


@dataclass(frozen=True)
class ColumnFacts:
    """What is known of a column before its rows are read.

    Parameters
    ----------
    name : str
    unit, ucd, description : str
        As the table states them; empty where it does not.
    dtype : str
        numpy's name of the type that the table states; empty where it states none, as in CSV.
    is_text : bool
        Whether most of the first values are not numbers.
    sample : tuple of str
        The first values.
    """

    name: str
    unit: str = ""
    ucd: str = ""
    description: str = ""
    dtype: str = ""
    is_text: bool = False
    sample: tuple[str, ...] = ()


@dataclass(frozen=True)
class TableFacts:
    """Header metadata of a user's table.

    Parameters
    ----------
    source : Path or Table
        The file, or the table in memory.
    label : str
        EXTNAME of FITS, else the stem of the file's name, else "table"; fit for the name of a column.
    columns : tuple of ColumnFacts
        Those with one value per row.
    left_out : tuple of str
        Columns that cannot be used, with the reason.
    sky_area_deg2 : float or None
        SKYAREA of a FITS header.
    read : ReadOptions
        How to read the file.
    """

    source: Path | Table
    label: str
    columns: tuple[ColumnFacts, ...]
    left_out: tuple[str, ...] = ()
    sky_area_deg2: float | None = None
    read: ReadOptions = field(default_factory=ReadOptions)

    @property
    def name(self) -> str:
        """The table in error messages."""
        return str(self.source) if isinstance(self.source, Path) else "table"

    def column(self, name: str) -> ColumnFacts | None:
        """Column of this name, compared as written and then without regard to case."""
        exact = [c for c in self.columns if c.name == name]
        folded = exact or [c for c in self.columns if c.name.casefold() == name.casefold()]
        return folded[0] if len(folded) == 1 else None

    def open(self, columns: Sequence[str] | None = None, chunk_rows: int = CHUNK_ROWS) -> TableReader:
        """Open the table with all its columns, or with these.

        Raises
        ------
        InputError
            The table cannot be read.
        """
        names = [c.name for c in self.columns] if columns is None else list(columns)
        if isinstance(self.source, Table):
            places = locate(names, self.source.colnames, Path(self.name))
            arrays = {name: self.source.columns[i] for name, i in places.items()}
            n_rows = len(self.source)
            return TableReader(self.name, Opened(array_batches(arrays, n_rows, chunk_rows), n_rows))
        # readers take a definition; this one gives no column a meaning, it only lists what to read
        definition = Definition.model_construct(
            name="own",
            columns={},
            position_error=None,
            format="auto",
            read=self.read.model_copy(update={"only": dict.fromkeys(names, ()), "check_units": False}),
        )
        return open_table(self.source, definition, chunk_rows)


def describe(table: TableLike, hdu: int | str | None = None) -> TableFacts:
    """Read the header of a table, and a few of its rows.

    Parameters
    ----------
    table : Path, str, Table or DataFrame
        A file of any format that `xcat.ingest.readers.open_table` reads, or a table in memory, which is not copied.
    hdu : int or str, optional
        Extension of a FITS file; its first table if not given.

    Returns
    -------
    TableFacts

    Raises
    ------
    InputError
        There is no such file, or it is not a table.
    """
    source = as_source(table)
    if isinstance(source, Table):
        facts = _of_table(source)
    elif not source.is_file():
        raise InputError(f"{source}: there is no such file")
    else:
        try:
            format_ = sniff(source)
            if hdu is not None and format_ != "fits":
                raise InputError(f"{source}: there is no table in extension {hdu!r}, this is not a FITS file")
            facts = _fits_header(source, hdu) if format_ == "fits" else _HEADERS[format_](source)
        except (OSError, EOFError, ValueError, pa.ArrowException) as error:
            raise InputError(f"{source}: cannot be read: {error}") from error
    names = [c.name for c in facts.columns]
    repeated = sorted({n for n in names if n and names.count(n) > 1})
    facts = replace(
        facts,
        columns=tuple(c for c in facts.columns if c.name and c.name not in repeated),
        left_out=(*facts.left_out, *(f"column '{n}' occurs {names.count(n)} times" for n in repeated)),
    )
    if not facts.columns:
        raise InputError(f"{facts.name}: the table has no column that could be read")
    with facts.open(chunk_rows=_SAMPLE_ROWS) as reader:
        chunk = next(iter(reader), None) if reader.n_rows != 0 else None
    return facts if chunk is None else replace(facts, columns=_sampled(facts.columns, chunk))


def as_source(table: TableLike) -> Path | Table:
    """A file as a Path; a DataFrame, and a table with quantities, as an astropy Table.

    Raises
    ------
    InputError
        The object is none of these.
    """
    if isinstance(table, pd.DataFrame):
        plain = table.copy(deep=False)
        for name in plain.columns[plain.dtypes == "category"]:
            plain[name] = plain[name].astype(plain[name].cat.categories.dtype)
        return Table.from_pandas(plain.rename(columns=str))
    if isinstance(table, Table):
        return Table(table, copy=False)  # makes columns of quantities
    if isinstance(table, Path | str):
        return Path(table)
    raise InputError(f"a table is a file name, an astropy Table or a pandas DataFrame, not {type(table).__name__}")


def _sampled(columns: tuple[ColumnFacts, ...], chunk: RawChunk) -> tuple[ColumnFacts, ...]:
    out = []
    for column in columns:
        array = chunk.batch.column(column.name).slice(0, _SAMPLE_ROWS)
        text = pc.utf8_trim_whitespace(array if pa.types.is_string(array.type) else array.cast(pa.string()))
        present = text.filter(pc.and_(pc.is_valid(text), pc.not_equal(text, "")))
        _, bad = values.parse_numbers(present)
        sample = tuple(present.slice(0, 20).to_pylist())
        # a few "N/A" do not make a column of numbers one of text: most values decide
        out.append(replace(column, is_text=bool(len(bad)) and float(bad.mean()) > 0.5, sample=sample))
    return tuple(out)


def file_label(path: Path) -> str:
    """Label of a table after the name of its file."""
    name = path.name.removesuffix(".gz")
    return _label(Path(name).stem) or "table"


def _label(name: Any) -> str:
    return re.sub(r"\W+", "_", str(name)).strip("_")


def _sky_area(name: str, area: Any) -> float | None:
    if area is not None and not (isinstance(area, int | float) and 0 < area <= _ALL_SKY_DEG2):
        raise InputError(f"{name}: SKYAREA is {area!r}, not an area of the sky in square degrees; or use --area")
    return None if area is None else float(area)


# --- headers ----------------------------------------------------------------------------------------------


def _of_table(table: Table) -> TableFacts:
    columns, left_out = [], []
    for column in table.itercols():
        name = column.info.name
        if not isinstance(column, Column) or column.dtype.kind not in "biufOUSM":
            left_out.append(f"column '{name}' ({type(column).__name__}) does not hold numbers or text")
        elif column.ndim != 1:
            left_out.append(f"column '{name}' ({column.dtype}{list(column.shape[1:])}) holds arrays")
        else:
            unit = "" if column.unit is None else column.unit.to_string()
            dtype = "U" if column.dtype.kind in "OUSM" else column.dtype.newbyteorder("=").str.lstrip("<|=>")
            ucd = str(column.meta.get("ucd") or "")
            columns.append(ColumnFacts(name, unit, ucd, column.description or "", dtype))
    label = _label(table.meta.get("EXTNAME", "")) or "table"
    return TableFacts(table, label, tuple(columns), tuple(left_out), _sky_area("table", table.meta.get("SKYAREA")))


def _fits_header(path: Path, wanted: int | str | None) -> TableFacts:
    columns, left_out = [], []
    with table_hdu(path, wanted, path) as hdu:
        header = hdu.header
        for i, column in enumerate(hdu.columns, start=1):
            if isinstance(hdu, fits.BinTableHDU) and holds_arrays(column):
                left_out.append(f"column '{column.name}' ({column.format}) holds arrays")
                continue
            ucd = str(header.get(f"TUCD{i}", header.get(f"TBUCD{i}", "")))
            about = str(header.get(f"TCOMM{i}", header.get(f"TDESC{i}", "")))
            columns.append(ColumnFacts(column.name.strip(), column.unit or "", ucd, about))
        area = header.get("SKYAREA", fits.getheader(path, 0).get("SKYAREA"))
        # an extension that was asked for is labelled like its file, whatever its name
        label = _label(header.get("EXTNAME", "")) if wanted is None else ""
    label, area = label or file_label(path), _sky_area(str(path), area)
    return TableFacts(path, label, tuple(columns), tuple(left_out), area, ReadOptions(hdu=wanted))


def _votable_header(path: Path) -> TableFacts:
    columns, left_out = [], []
    with unpacked(path) as stream:
        document = Document(path, stream)
        document.head()
    for name, element in zip(document.names, document.fields, strict=True):
        size, type_ = element.get("arraysize", "1"), element.get("datatype", "char")
        is_text = type_ in ("char", "unicodeChar")
        if ("x" in size) if is_text else (size != "1" or type_ not in _VOTABLE_TYPES):
            left_out.append(f"column '{name.strip()}' ({type_}[{size}]) holds arrays")
            continue
        about = next((e.text or "" for e in element if e.tag.endswith("DESCRIPTION")), "")
        unit, ucd = element.get("unit", ""), element.get("ucd", "")
        columns.append(ColumnFacts(name.strip(), unit, ucd, " ".join(about.split()), _VOTABLE_TYPES[type_]))
    return TableFacts(path, file_label(path), tuple(columns), tuple(left_out))


def _ecsv_header(path: Path) -> TableFacts:
    with unpacked(path) as stream:
        columns, left_out = _astropy_columns(ecsv_header(path, stream)[0])
    return TableFacts(path, file_label(path), tuple(columns), tuple(left_out))


def _astropy_columns(header: dict[str, Any]) -> tuple[list[ColumnFacts], list[str]]:
    """Columns in the YAML that astropy writes into ECSV and Parquet."""
    columns, left_out = [], []
    for entry in header.get("datatype", []):
        name = entry.get("name", "").strip()
        if "subtype" in entry:
            left_out.append(f"column '{name}' ({entry['subtype']}) holds arrays")
            continue
        type_ = entry.get("datatype", "")
        notes = entry.get("meta") or {}
        if isinstance(notes, list):  # an ordered mapping is a list of mappings of one key
            notes = {key: value for pair in notes for key, value in pair.items()}
        about = entry.get("description", "")
        ucd = str(notes.get("ucd", ""))
        columns.append(ColumnFacts(name, entry.get("unit", ""), ucd, about, _ECSV_TYPES.get(type_, type_)))
    return columns, left_out


def _csv_header(path: Path) -> TableFacts:
    with unpacked(path) as stream:
        names, _ = csv_names(stream, "#")
    columns = tuple(ColumnFacts(n.strip()) for n in names)
    return TableFacts(path, file_label(path), columns, read=ReadOptions(comment="#"))


def _parquet_header(path: Path) -> TableFacts:
    schema = pq.read_schema(path)
    notes = (schema.metadata or {}).get(b"table_meta_yaml", b"").decode()
    by_name = {c.name: c for c in _astropy_columns(astropy_yaml(notes, path))[0]}
    columns, left_out = [], []
    for f in schema:
        if pa.types.is_nested(f.type):
            left_out.append(f"column '{f.name}' ({f.type}) holds arrays")
            continue
        of_field = {k.decode(): v.decode() for k, v in (f.metadata or {}).items()}
        of_table = by_name.get(f.name, ColumnFacts(f.name))
        unit, ucd = of_field.get("unit", of_table.unit), of_field.get("ucd", of_table.ucd)
        columns.append(ColumnFacts(f.name, unit, ucd, of_field.get("description", of_table.description)))
    return TableFacts(path, file_label(path), tuple(columns), tuple(left_out))


def _mrt_header(path: Path) -> TableFacts:
    facts = _of_table(read_mrt(path))
    columns = tuple(replace(c, dtype="") for c in facts.columns)
    return replace(facts, source=path, label=file_label(path), columns=columns)


_HEADERS = {
    "votable": _votable_header,
    "ecsv": _ecsv_header,
    "csv": _csv_header,
    "parquet": _parquet_header,
    "mrt": _mrt_header,
}
