"""What is known of a user's table before its rows are read: its columns, units, UCDs and a few values."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
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
from xcat.ingest.fits_table import holds_arrays, table_hdu
from xcat.ingest.opened import CHUNK_ROWS, RawChunk, TableReader, array_batches, locate, unpacked
from xcat.ingest.readers import open_table, sniff
from xcat.ingest.rows import parse_numbers
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


_Found: TypeAlias = Iterator[ColumnFacts | str]


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
        """Open the table with all its columns, or with these."""
        names = [c.name for c in self.columns] if columns is None else list(columns)
        if isinstance(self.source, Table):
            places = locate(names, self.source.colnames, Path(self.name))
            arrays = {name: self.source.columns[i] for name, i in places.items()}
            n_rows = len(self.source)
            return TableReader(self.name, array_batches(arrays, n_rows, chunk_rows), n_rows)
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

    Raises
    ------
    InputError
        There is no such file, or it is not a table.
    """
    source = as_source(table)
    if isinstance(source, Table):
        label, area, read = _label(source.meta.get("EXTNAME", "")) or "table", source.meta.get("SKYAREA"), ReadOptions()
        found = list(_of_table(source))
    else:
        label, area, read, found = _header(source, hdu)
    if area is not None and not (isinstance(area, int | float) and 0 < area <= _ALL_SKY_DEG2):
        name = "table" if isinstance(source, Table) else source
        raise InputError(f"{name}: SKYAREA is {area!r}, not an area of the sky in square degrees; or use --area")
    columns = [c for c in found if isinstance(c, ColumnFacts)]
    n_of = Counter(c.name for c in columns)
    repeated = sorted(n for n in n_of if n and n_of[n] > 1)
    facts = TableFacts(
        source,
        label,
        tuple(c for c in columns if c.name and n_of[c.name] == 1),
        (*(c for c in found if isinstance(c, str)), *(f"column '{n}' occurs {n_of[n]} times" for n in repeated)),
        None if area is None else float(area),
        read,
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
        _, bad = parse_numbers(present)
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


def _header(path: Path, hdu: int | str | None) -> tuple[str, Any, ReadOptions, list[ColumnFacts | str]]:
    """Label, SKYAREA, how to read a file, and its columns or why one cannot be used."""
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    try:
        format_ = sniff(path)
        if format_ == "fits":
            with table_hdu(path, hdu, path) as opened:
                # an extension that was asked for is labelled like its file, whatever its name
                label = _label(opened.header.get("EXTNAME", "")) if hdu is None else ""
                area = opened.header.get("SKYAREA", fits.getheader(path, 0).get("SKYAREA"))
                return label or file_label(path), area, ReadOptions(hdu=hdu), list(_of_fits(opened))
        if hdu is not None:
            raise InputError(f"{path}: there is no table in extension {hdu!r}, this is not a FITS file")
        read = ReadOptions(comment="#" if format_ == "csv" else None)
        return file_label(path), None, read, list(_HEADERS[format_](path))
    except (OSError, EOFError, ValueError, pa.ArrowException) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error


# --- headers: every column, or why one cannot be used -------------------------------------------------------


def _of_table(table: Table) -> _Found:
    for column in table.itercols():
        name = column.info.name
        if not isinstance(column, Column) or column.dtype.kind not in "biufOUSM":
            yield f"column '{name}' ({type(column).__name__}) does not hold numbers or text"
        elif column.ndim != 1:
            yield f"column '{name}' ({column.dtype}{list(column.shape[1:])}) holds arrays"
        else:
            unit = "" if column.unit is None else column.unit.to_string()
            dtype = "U" if column.dtype.kind in "OUSM" else column.dtype.newbyteorder("=").str.lstrip("<|=>")
            yield ColumnFacts(name, unit, str(column.meta.get("ucd") or ""), column.description or "", dtype)


def _of_fits(hdu: Any) -> _Found:
    header = hdu.header
    for i, column in enumerate(hdu.columns, start=1):
        if isinstance(hdu, fits.BinTableHDU) and holds_arrays(column):
            yield f"column '{column.name}' ({column.format}) holds arrays"
        else:
            ucd = str(header.get(f"TUCD{i}", header.get(f"TBUCD{i}", "")))
            about = str(header.get(f"TCOMM{i}", header.get(f"TDESC{i}", "")))
            yield ColumnFacts(column.name.strip(), column.unit or "", ucd, about)


def _of_votable(path: Path) -> _Found:
    with unpacked(path) as stream:
        document = Document(path, stream)
        document.head()
    for name, element in zip(document.names, document.fields, strict=True):
        size, type_ = element.get("arraysize", "1"), element.get("datatype", "char")
        is_text = type_ in ("char", "unicodeChar")
        if ("x" in size) if is_text else (size != "1" or type_ not in _VOTABLE_TYPES):
            yield f"column '{name.strip()}' ({type_}[{size}]) holds arrays"
        else:
            about = next((e.text or "" for e in element if e.tag.endswith("DESCRIPTION")), "")
            unit, ucd = element.get("unit", ""), element.get("ucd", "")
            yield ColumnFacts(name.strip(), unit, ucd, " ".join(about.split()), _VOTABLE_TYPES[type_])


def _of_ecsv(path: Path) -> _Found:
    with unpacked(path) as stream:
        yield from _of_yaml(ecsv_header(path, stream)[0])


def _of_yaml(header: dict[str, Any]) -> _Found:
    """Columns in the YAML that astropy writes into ECSV and Parquet."""
    for entry in header.get("datatype", []):
        name, type_ = entry.get("name", "").strip(), entry.get("datatype", "")
        if "subtype" in entry:
            yield f"column '{name}' ({entry['subtype']}) holds arrays"
            continue
        notes = entry.get("meta") or {}
        if isinstance(notes, list):  # an ordered mapping is a list of mappings of one key
            notes = {key: value for pair in notes for key, value in pair.items()}
        unit, about = entry.get("unit", ""), entry.get("description", "")
        yield ColumnFacts(name, unit, str(notes.get("ucd", "")), about, _ECSV_TYPES.get(type_, type_))


def _of_csv(path: Path) -> _Found:
    with unpacked(path) as stream:
        yield from (ColumnFacts(name.strip()) for name in csv_names(stream, "#")[0])


def _of_parquet(path: Path) -> _Found:
    schema = pq.read_schema(path)
    notes = (schema.metadata or {}).get(b"table_meta_yaml", b"").decode()
    by_name = {c.name: c for c in _of_yaml(astropy_yaml(notes, path)) if isinstance(c, ColumnFacts)}
    for f in schema:
        if pa.types.is_nested(f.type):
            yield f"column '{f.name}' ({f.type}) holds arrays"
        else:
            of_field = {k.decode(): v.decode() for k, v in (f.metadata or {}).items()}
            stated = by_name.get(f.name, ColumnFacts(f.name))
            unit, ucd = of_field.get("unit", stated.unit), of_field.get("ucd", stated.ucd)
            yield ColumnFacts(f.name, unit, ucd, of_field.get("description", stated.description))


def _of_mrt(path: Path) -> _Found:
    return (c if isinstance(c, str) else replace(c, dtype="") for c in _of_table(read_mrt(path)))


_HEADERS: dict[str, Callable[[Path], _Found]] = {
    "votable": _of_votable,
    "ecsv": _of_ecsv,
    "csv": _of_csv,
    "parquet": _of_parquet,
    "mrt": _of_mrt,
}
