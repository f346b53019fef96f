"""What the header of a table says about its columns, whatever the format."""

from __future__ import annotations

import csv
import gzip
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml
from astropy.io import fits
from astropy.io.fits.verify import VerifyWarning
from astropy.table import Table
from astropy.utils.exceptions import AstropyUserWarning

from xcat.catalogues.definition import Definition, ReadOptions
from xcat.errors import InputError
from xcat.ingest import values
from xcat.ingest.opened import CHUNK_ROWS
from xcat.ingest.readers import RawChunk, TableReader, open_table, sniff

_SAMPLE_ROWS = 200
_SEPARATORS = ",;|\t"
_VOTABLE_TYPES = {
    "short": "i2", "int": "i4", "long": "i8", "unsignedByte": "u1", "float": "f4", "double": "f8", "boolean": "b1",
    "char": "U", "unicodeChar": "U",
}  # fmt: skip
_ECSV_TYPES = {"string": "U", "bool": "b1", "str": "U"}


@dataclass(frozen=True)
class ColumnFacts:
    """What is known of a column before its rows are read.

    Parameters
    ----------
    name : str
    unit, ucd, description : str
        As the file states them; empty where it does not.
    dtype : str
        numpy's name of the type that the file states; empty where it states none, as in CSV.
    is_text : bool
        Whether the first rows hold something else than numbers.
    sample : tuple of str
        Values of the first rows that have any.
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
    """A table of somebody's, known by its header.

    Parameters
    ----------
    path : Path
    label : str
        EXTNAME of FITS, else the stem of the file's name; fit for the name of a column.
    columns : tuple of ColumnFacts
        Those with one value a row.
    left_out : tuple of str
        Columns that cannot be taken along, with the reason.
    sky_area_deg2 : float or None
        What a FITS header says under SKYAREA.
    """

    path: Path
    label: str
    columns: tuple[ColumnFacts, ...]
    left_out: tuple[str, ...] = ()
    sky_area_deg2: float | None = None
    read: ReadOptions = field(default_factory=ReadOptions)

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
            The file cannot be read.
        """
        names = [c.name for c in self.columns] if columns is None else list(columns)
        return _open(self.path, names, self.read, chunk_rows)


def _open(path: Path, names: list[str], read: ReadOptions, chunk_rows: int) -> TableReader:
    # readers take a definition; one that names no meaning, only columns to read
    definition = Definition.model_construct(
        name="own",
        columns={},
        position_error=None,
        format="auto",
        read=read.model_copy(update={"only": dict.fromkeys(names, ()), "check_units": False}),
    )
    return open_table(path, definition, chunk_rows)


def describe(path: Path | str) -> TableFacts:
    """Read the header of a table, and a few of its rows.

    Parameters
    ----------
    path : Path or str
        Any format that `xcat.ingest.readers.open_table` reads.

    Returns
    -------
    TableFacts

    Raises
    ------
    InputError
        There is no such file, or it is no table.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    try:
        facts = _HEADERS[sniff(path)](path)
    except (OSError, EOFError, ValueError, pa.ArrowException, ElementTree.ParseError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    names = [c.name for c in facts.columns]
    repeated = sorted({n for n in names if n and names.count(n) > 1})
    notes = [f"column '{n}' is there {names.count(n)} times" for n in repeated]
    facts = replace(
        facts,
        columns=tuple(c for c in facts.columns if c.name and c.name not in repeated),
        left_out=(*facts.left_out, *notes),
    )
    if not facts.columns:
        raise InputError(f"{path}: the table has no column that could be read")
    with facts.open(chunk_rows=_SAMPLE_ROWS) as reader:
        chunk = next(iter(reader), None) if reader.n_rows != 0 else None
    return facts if chunk is None else replace(facts, columns=_sampled(facts.columns, chunk))


def _sampled(columns: tuple[ColumnFacts, ...], chunk: RawChunk) -> tuple[ColumnFacts, ...]:
    out = []
    for column in columns:
        array = chunk.batch.column(column.name).slice(0, _SAMPLE_ROWS)
        text = pc.utf8_trim_whitespace(array if pa.types.is_string(array.type) else array.cast(pa.string()))
        present = text.filter(pc.and_(pc.is_valid(text), pc.not_equal(text, "")))
        _, bad = values.parse_numbers(present)
        sample = tuple(present.slice(0, 20).to_pylist())
        # "N/A" among numbers is no text column: most of the values decide
        out.append(replace(column, is_text=bool(len(bad)) and float(bad.mean()) > 0.5, sample=sample))
    return tuple(out)


def file_label(path: Path) -> str:
    """What a table is called after its file."""
    name = path.name.removesuffix(".gz")
    return re.sub(r"\W+", "_", Path(name).stem).strip("_") or "table"


# --- headers ----------------------------------------------------------------------------------------------


def _fits_header(path: Path) -> TableFacts:
    with warnings.catch_warnings():
        # as in fits_table: archives bend the standard in harmless ways, and a cut-off file is noticed by the reader
        warnings.simplefilter("ignore", VerifyWarning)
        warnings.simplefilter("ignore", AstropyUserWarning)
        with fits.open(path) as hdus:
            hdu = next((h for h in hdus if isinstance(h, fits.BinTableHDU | fits.TableHDU)), None)
            if hdu is None:
                raise InputError(f"{path}: the FITS file has no table")
            header = hdu.header
            columns, left_out = [], []
            for i, column in enumerate(hdu.columns, start=1):
                form = column.format
                code = getattr(form, "format", "A")
                if isinstance(hdu, fits.BinTableHDU) and (code in "PQXCM" or (code != "A" and form.repeat != 1)):
                    left_out.append(f"column '{column.name}' ({form}) holds arrays")
                    continue
                ucd = str(header.get(f"TUCD{i}", header.get(f"TBUCD{i}", "")))
                about = str(header.get(f"TCOMM{i}", header.get(f"TDESC{i}", "")))
                columns.append(ColumnFacts(column.name.strip(), column.unit or "", ucd, about))
            area = header.get("SKYAREA", hdus[0].header.get("SKYAREA"))
            label = re.sub(r"\W+", "_", str(header.get("EXTNAME", ""))).strip("_")
    if area is not None and not (isinstance(area, int | float) and 0 < area <= 41252.97):
        raise InputError(f"{path}: SKYAREA is {area!r}, not an area of the sky in square degrees; or use --area")
    return TableFacts(
        path, label or file_label(path), tuple(columns), tuple(left_out), None if area is None else float(area)
    )


def _unpacked(path: Path) -> IO[bytes]:
    with path.open("rb") as stream:
        packed = stream.read(2) == b"\x1f\x8b"
    return gzip.open(path) if packed else path.open("rb")  # type: ignore[return-value]


def _votable_header(path: Path) -> TableFacts:
    columns, left_out = [], []
    in_table = False
    with _unpacked(path) as stream:
        for event, element in ElementTree.iterparse(stream, events=("start", "end")):
            tag = element.tag.rpartition("}")[2]
            if event == "start" and tag == "TABLE":
                in_table = True
            elif (event == "start" and tag == "DATA" and in_table) or (event == "end" and tag == "TABLE"):
                break
            elif event == "end" and tag == "FIELD" and in_table:
                name = (element.get("name") or element.get("ID") or "").strip()
                size, type_ = element.get("arraysize", "1"), element.get("datatype", "char")
                is_text = type_ in ("char", "unicodeChar")
                if ("x" in size) if is_text else (size != "1" or type_ not in _VOTABLE_TYPES):
                    left_out.append(f"column '{name}' ({type_}[{size}]) holds arrays")
                    continue
                about = next((e.text or "" for e in element if e.tag.endswith("DESCRIPTION")), "")
                columns.append(
                    ColumnFacts(
                        name, element.get("unit", ""), element.get("ucd", ""), " ".join(about.split()),
                        _VOTABLE_TYPES[type_],
                    )
                )  # fmt: skip
    return TableFacts(path, file_label(path), tuple(columns), tuple(left_out))


def _ecsv_header(path: Path) -> TableFacts:
    lines = []
    with _unpacked(path) as stream:
        while (line := stream.readline().decode("utf-8")).startswith("#"):
            lines.append(line.lstrip("#").removeprefix(" "))
    columns, left_out = _astropy_columns("".join(lines[1:]))
    return TableFacts(path, file_label(path), tuple(columns), tuple(left_out))


def _astropy_columns(text: str) -> tuple[list[ColumnFacts], list[str]]:
    """Columns in the YAML that astropy writes into ECSV and Parquet."""
    try:
        # the base loader takes every tag for plain data, so nothing in a header can be run
        header = next(iter(yaml.load_all(text, yaml.BaseLoader)), None) or {}
    except yaml.YAMLError as error:
        raise ValueError(f"its header is not valid YAML: {error}") from error
    columns, left_out = [], []
    for entry in header.get("datatype", []) if isinstance(header, dict) else []:
        name = entry.get("name", "").strip()
        if "subtype" in entry:
            left_out.append(f"column '{name}' ({entry['subtype']}) holds arrays")
            continue
        type_ = entry.get("datatype", "")
        notes = entry.get("meta") or {}
        if isinstance(notes, list):  # an ordered mapping is a list of mappings of one key
            notes = {key: value for pair in notes for key, value in pair.items()}
        ucd = str(notes.get("ucd", ""))
        about = entry.get("description", "")
        columns.append(ColumnFacts(name, entry.get("unit", ""), ucd, about, _ECSV_TYPES.get(type_, type_)))
    return columns, left_out


def _csv_header(path: Path) -> TableFacts:
    comment = None
    with _unpacked(path) as stream:
        while True:
            raw = stream.readline()
            line = raw.decode("utf-8", "replace").removeprefix("\ufeff").rstrip("\r\n")
            if line.startswith("#"):
                comment = "#"
            elif line.strip() or not raw:
                break
    names = next(csv.reader([line], delimiter=max(_SEPARATORS, key=line.count)), [])
    columns = tuple(ColumnFacts(n.strip()) for n in names)
    return TableFacts(path, file_label(path), columns, read=ReadOptions(comment=comment))


def _parquet_header(path: Path) -> TableFacts:
    schema = pq.read_schema(path)
    notes = (schema.metadata or {}).get(b"table_meta_yaml", b"").decode()
    known = {c.name: c for c in _astropy_columns(notes)[0]}
    columns, left_out = [], []
    for f in schema:
        if pa.types.is_nested(f.type):
            left_out.append(f"column '{f.name}' ({f.type}) holds arrays")
            continue
        own = {k.decode(): v.decode() for k, v in (f.metadata or {}).items()}
        other = known.get(f.name, ColumnFacts(f.name))
        columns.append(
            ColumnFacts(
                f.name, own.get("unit", other.unit), own.get("ucd", other.ucd),
                own.get("description", other.description),
            )
        )  # fmt: skip
    return TableFacts(path, file_label(path), tuple(columns), tuple(left_out))


def _mrt_header(path: Path) -> TableFacts:
    beside = path.with_name("ReadMe")
    with path.open("rb") as stream:
        inside = b"Byte-by-byte Description of file" in stream.read(1 << 20)
    if not inside and not beside.is_file():
        raise InputError(f"{path}: a fixed-width table needs its byte-by-byte description, in ReadMe beside it")
    options = {} if inside else {"readme": str(beside)}
    table = Table.read(path, format="ascii.mrt" if inside else "ascii.cds", **options)
    columns = [
        ColumnFacts(c.name, "" if c.unit is None else str(c.unit), "", c.description or "")
        for c in table.itercols()
    ]  # fmt: skip
    return TableFacts(path, file_label(path), tuple(columns))


_HEADERS = {
    "fits": _fits_header,
    "votable": _votable_header,
    "ecsv": _ecsv_header,
    "csv": _csv_header,
    "parquet": _parquet_header,
    "mrt": _mrt_header,
}
