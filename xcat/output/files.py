"""Tables as files. Units, descriptions, UCDs and provenance are kept wherever the format has a place for them."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.io import fits
from astropy.table import Column, MaskedColumn, Table, meta

from xcat.atomic import TABLES, check_new, writing
from xcat.errors import XcatError
from xcat.output import pieces, regions, votable
from xcat.output.columns import (
    as_json_text,
    escape,
    names_in_file,
    parts,
    plain,
    replaced,
    unit_text,
    unsigned_as_signed,
    width,
)
from xcat.output.pieces import Pieces
from xcat.output.provenance import KEY, positions, provenance

__all__ = ["check", "provenance", "write"]

#: Formats by their names, with the ending of a file's name that means each.
FORMATS = {"fits": ".fits", "votable": ".vot", "ecsv": ".ecsv", "parquet": ".parquet", "csv": ".csv", "reg": ".reg"}
_FITS_COLUMNS = 999
_FITS_BLOCK = 2880  # bytes


def check(columns: Table | Sequence[str], path: Path | str, ending: str | None = None) -> list[str]:
    """Say what the format of a file cannot hold as it is, before the work is done.

    Parameters
    ----------
    columns : Table or sequence of str
        The table, or the names of its columns as far as they are known.
    path : Path or str
        The file to be written.
    ending : str, optional
        The format, where it is not that of the ending of the name.

    Returns
    -------
    list of str
        A line for each column that is written under another name.

    Raises
    ------
    XcatError
        The format cannot hold the table: FITS has at most 999 columns, regions need a position.
    """
    path = Path(path)
    ending = ending or path.suffix.lower()
    names = list(columns.colnames if isinstance(columns, Table) else columns)
    if not names:
        raise XcatError(f"{path}: the table has no column, there is nothing to write")
    if ending == ".fits" and len(names) > _FITS_COLUMNS:
        raise XcatError(
            f"{path}: FITS holds {_FITS_COLUMNS} columns, the table has {len(names):,} (the first too many: "
            f"'{names[_FITS_COLUMNS]}'). Write to .parquet or .vot, or take fewer columns"
        )
    if ending == ".reg":
        if isinstance(columns, Table):
            regions.check(columns, path)
        return []
    why = "names have no control characters and no blanks at their ends"
    if ending == ".fits":
        why = "names in FITS are ASCII, without regard to case"
    return [
        f"column '{escape(old)}' is written as '{new}': {why}"
        for old, new in zip(names, names_in_file(names, ending), strict=True)
        if old != new
    ]


def write(
    table: Table | Pieces,
    path: Path | str,
    *,
    overwrite: bool = False,
    places: regions.Places | None = None,
    ending: str | None = None,
) -> Path:
    """Write a table to a file, in the format of the ending of its name.

    The file appears complete or not at all: it is written under another name and renamed. Of a table in pieces, one
    piece is in memory at a time; the file is that of the whole table.

    Parameters
    ----------
    table : Table or Pieces
        ``meta["provenance"]`` (see `xcat.output.provenance.provenance`) is written where the format has a place.
    path : Path or str
        Ends in .fits, .vot, .xml, .votable, .parquet, .csv, .ecsv or .reg.
    overwrite : bool
        Replace an existing file.
    places : Places, optional
        For regions: where the rows are, if no columns say it in degrees.
    ending : str, optional
        The ending that says the format, where it is not that of the name.

    Raises
    ------
    XcatError
        Unknown ending, a file that exists already, a folder that cannot be written to, or a table that the format
        cannot hold (see `check`).

    Notes
    -----
    Every type is written: whole numbers of any size exactly (in a type that the format has, else as text), objects and
    arrays of different lengths as text, characters that the format forbids as escapes.
    """
    path = Path(path)
    check_new(path, () if ending else TABLES, overwrite)
    ending = ending or path.suffix.lower()
    source = pieces.of(table)
    if ending != ".reg" or places is None:
        check(pieces.head(source), path, ending)
    try:
        # pieces that stream hold their connection: after an error they must not wait for the garbage collector
        with writing(path) as part, ExitStack() as opened:

            def read() -> Iterator[Table]:
                return opened.enter_context(closing(_plain_pieces(source, ending)))

            if ending == ".reg":
                regions.write(source, part, places)
            elif ending in _TEXT:
                _text(read(), part, _TEXT[ending])
            else:
                _BINARY[ending](pieces.alike(read(), read(), source.n_rows, ending), part, source.n_rows)
    except OSError as error:
        raise XcatError(f"{path}: cannot be written ({error.strerror or error})") from error
    return path


def _plain_pieces(source: Pieces, ending: str) -> Generator[Table, None, None]:
    """The pieces with columns that the format has; arrays are JSON where it has none."""
    for piece in source.pieces():
        table = plain(piece, ending)
        for name in table.colnames:
            column = table[name]
            if column.ndim > 1 and (
                ending == ".csv"
                or (ending == ".ecsv" and not source.n_rows)  # which astropy cannot read back without rows
                or (ending in votable.ENDINGS and column.dtype.kind == "U")
            ):
                table[name] = as_json_text(column)
        yield table


# --- FITS -------------------------------------------------------------------------------------------------


def _fits(tables: Iterator[Table], path: Path, n_rows: int) -> None:
    hdu, total = None, _Sum()
    with path.open("wb") as out:
        for table in tables:
            piece = _table_hdu(table)
            buffer = io.BytesIO()
            fits.HDUList([fits.PrimaryHDU(), piece]).writeto(buffer, checksum=True)
            content = buffer.getvalue()
            size = piece.header["NAXIS1"] * len(table)
            start = len(content) - -(-size // _FITS_BLOCK) * _FITS_BLOCK
            if hdu is None:
                hdu = piece
                out.write(content[:start])  # the header stands for as many bytes as its final state
            total.add(content[start : start + size])
            out.write(content[start : start + size])
        assert hdu is not None, "a table has at least one piece"
        out.write(bytes(-out.tell() % _FITS_BLOCK))
        header = hdu.header
        header["NAXIS2"], header["DATASUM"] = n_rows, str(total.end())
        header["CHECKSUM"] = hdu._calculate_checksum(total.value)
        out.seek(_FITS_BLOCK)
        out.write(header.tostring().encode("ascii"))


class _Sum:
    """The checksum of FITS: the sum of words of 32 bits, whose carry is added again."""

    value = 0
    rest = b""

    def add(self, content: bytes) -> None:
        content = self.rest + content
        whole = len(content) // 4 * 4
        self.rest = content[whole:]
        self.value += int(np.frombuffer(content[:whole], ">u4").sum(dtype=np.uint64))
        while self.value >> 32:
            self.value = (self.value & 0xFFFFFFFF) + (self.value >> 32)

    def end(self) -> int:
        """The sum, the rest padded with zeros."""
        self.add(bytes(-len(self.rest) % 4))
        return self.value


def _table_hdu(table: Table) -> fits.BinTableHDU:
    bare = Table()
    for name in table.colnames:
        bare[name] = _for_fits(table[name])
    hdu = fits.table_to_hdu(bare)
    for i, column in enumerate(table.itercols(), start=1):
        unit, ucd, about = unit_text(column.unit, "fits"), column.meta.get("ucd"), column.description
        for key, value, comment in (
            ("TCOMM", about, ""),
            ("TUCD", ucd, "unified content descriptor"),
            ("TUNIT", unit, ""),
        ):
            if value:
                hdu.header.set(f"{key}{i}", _ascii(value), comment, after=f"TFORM{i}")
    facts = table.meta.get(KEY, {})
    cards = {
        "CREATOR": (facts.get("software"), "software that wrote this table"),
        "DATE": (str(facts.get("request_date", "")).rstrip("Z"), "when, UTC"),
        "XCATRUN": (facts.get("run_id"), "classify run of the results"),
        "XCATMOD": (facts.get("model_run_id"), "fit run of the model"),
        "REFERENC": ("10.1051/0004-6361/202141259" if facts else None, "DOI of the method"),
    }
    frames = {p.frame for p in positions(table)}
    if len(frames) == 1 and (frame := frames.pop()):  # the epoch is in HISTORY: the keyword EPOCH means the equinox
        cards["RADESYS"] = (frame, "frame of the positions")
        if frame.startswith("FK"):
            cards["EQUINOX"] = (1950.0 if frame == "FK4" else 2000.0, "of the positions")
    for key, (value, comment) in cards.items():
        if value not in (None, ""):
            hdu.header[key] = (value, comment)
    for key, value in {**{k: v for k, v in table.meta.items() if k != KEY}, **facts}.items():
        hdu.header.add_history(_ascii(f"{key}: {value}"))
    return hdu


def _ascii(text: str) -> str:
    """Text of a header: ASCII, in one line."""
    return escape(" ".join(str(text).split()), re.compile(r"[^\x20-\x7e]"))


def _for_fits(column: Column) -> Column:
    """A column in a type that FITS has; NULL of an integer is TNULL, a number that does not occur."""
    data, mask = parts(column)
    has_null = isinstance(column, MaskedColumn)
    if data.dtype.kind == "U":
        # texts are ASCII already; NULL is blank
        return replaced(Column(), np.char.encode(np.where(mask, "", data), "ascii").astype(f"S{width(data)}"))
    if data.dtype.kind == "b":
        if not has_null:
            return replaced(Column(), data)
        # FITS logicals have no mask: true, false and NULL are written as the texts 'T', 'F' and blank
        return replaced(Column(), np.where(mask, b"", np.where(data, b"T", b"F")))
    if data.dtype.kind == "f":
        out = replaced(Column(), np.where(mask, np.nan, data).astype(data.dtype))
        out.info.format = column.info.format if isinstance(column.info.format, str) else None
        return out
    fill_value = column.fill_value if has_null else None
    if data.dtype == np.int8 or (data.dtype.kind == "u" and has_null):
        data = unsigned_as_signed(data, mask)
        fill_value = np.iinfo(data.dtype).min
    out = replaced(column, data, mask)
    if has_null:
        out.fill_value = fill_value
    return out


# --- Parquet, CSV, ECSV -----------------------------------------------------------------------------------


#: VOParquet: what the columns are, as a VOTable without rows (IVOA Note "Parquet in the VO", 1.0).
_VOPARQUET = "IVOA.VOTable-Parquet"


def _parquet(tables: Iterator[Table], path: Path, n_rows: int) -> None:
    table = next(tables)
    first = _arrow_table(table)
    notes = {f"{_VOPARQUET}.version": b"1.0", f"{_VOPARQUET}.content": votable.head(table[:0])}
    with pq.ParquetWriter(
        path, first.schema.with_metadata({**first.schema.metadata, **notes}), write_page_checksum=True
    ) as writer:
        writer.write_table(first)
        for table in tables:
            writer.write_table(_arrow_table(table))


def _arrow_table(table: Table) -> pa.Table:
    arrays, fields = [], []
    facts = table.meta.get(KEY, {})
    # astropy reads the units and the lengths of texts from these keys
    notes_of_table = {"table_meta_yaml": "\n".join(meta.get_yaml_from_table(_yaml_safe(table)))}
    notes_of_table |= {f"xcat.{key}": str(value) for key, value in facts.items()}
    for name in table.colnames:
        column = table[name]
        notes = {
            "unit": "" if column.unit is None else column.unit.to_string(),
            "ucd": column.meta.get("ucd", ""),
            "description": column.description or "",
        }
        arrays.append(_arrow(column))
        fields.append(pa.field(name, arrays[-1].type, metadata={k: v for k, v in notes.items() if v}))
        if column.dtype.kind == "U":
            notes_of_table[f"table::len::{name}"] = str(width(column))
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields, metadata=notes_of_table))


def _arrow(column: Column) -> Any:
    data, mask = parts(column)
    flat = data.ravel().astype(object) if data.dtype.kind == "U" else data.ravel()
    array = pa.array(flat, pa.string() if data.dtype.kind == "U" else None, mask=mask.ravel())
    for size in reversed(data.shape[1:]):
        array = pa.FixedSizeListArray.from_arrays(array, size)
    return array


def _yaml_safe(table: Table) -> Table:
    """The table with metadata that YAML can hold; formats of cells are for this program only."""
    out = table.copy(copy_data=False)
    for column in out.itercols():
        column.info.format = column.info.format if isinstance(column.info.format, str) else None
        column.unit = None if column.unit is None else column.unit
    return out


def _text(tables: Iterator[Table], path: Path, form: str) -> None:
    head = ""
    with path.open("w", encoding="utf-8", newline="") as out:
        for table in tables:
            if not head:
                buffer = io.StringIO()
                table[:0].write(buffer, format=form)
                head = buffer.getvalue()
                out.write(head)
            if all(column.ndim == 1 and column.info.format is None for column in table.itercols()):
                out.writelines(_lines(table, _DELIMITERS[form]))
                continue
            buffer = io.StringIO()
            table.write(buffer, format=form)
            out.write(buffer.getvalue().removeprefix(head))


def _lines(table: Table, delimiter: str) -> Iterator[str]:
    """The rows as astropy writes them, thirty times as fast."""
    columns = [_cells(column, delimiter) for column in table.itercols()]
    return (f"{delimiter.join(row)}\n" for row in zip(*columns, strict=True))


def _cells(column: Column, delimiter: str) -> list[str]:
    data, mask = parts(column)
    blank = '""' if delimiter == " " or len(column.info.parent_table.colnames) == 1 else ""
    if data.dtype.kind == "U":
        special = re.compile(rf'[{delimiter}"\r\n]')
        texts = map(str.strip, data.tolist())
        cells = [(text if not special.search(text) else _quoted(text)) or blank for text in texts]
    elif data.dtype == np.float32 and delimiter == " ":  # ECSV has types, so the shortest text is exact
        cells = data.astype(np.str_).tolist()
    else:
        cells = list(map(str, data.tolist()))
    if mask.any():
        cells = [blank if is_null else cell for cell, is_null in zip(cells, mask.tolist(), strict=True)]
    return cells


def _quoted(text: str) -> str:
    doubled = text.replace('"', '""')
    return f'"{doubled}"'


_TEXT = {".csv": "ascii.csv", ".ecsv": "ascii.ecsv"}
_DELIMITERS = {"ascii.csv": ",", "ascii.ecsv": " "}
_BINARY: dict[str, Callable[[Iterator[Table], Path, int], None]] = {
    **dict.fromkeys(votable.ENDINGS, votable.write),
    ".fits": _fits,
    ".parquet": _parquet,
}
