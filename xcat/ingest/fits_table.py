"""FITS tables, read and converted to native numbers chunk by chunk."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from xcat.catalogues.definition import Definition
from xcat.errors import InputError
from xcat.ingest import frames
from xcat.ingest.files import plain_file
from xcat.ingest.fits_layout import Extension, extensions, verify
from xcat.ingest.opened import ColumnFacts, TableReader, choose, locate, which_table

# code of TFORM: bytes of one value, and numpy's name of it where it is a number
_CODES = {
    "L": (1, "u1"),
    "B": (1, "u1"),
    "I": (2, ">i2"),
    "J": (4, ">i4"),
    "K": (8, ">i8"),
    "E": (4, ">f4"),
    "D": (8, ">f8"),
    "A": (1, "S"),
    "X": (1, ""),
    "C": (8, ""),
    "M": (16, ""),
    "P": (8, ""),
    "Q": (16, ""),
}
_CHUNK_BYTES = 1 << 26
_ASCII_TYPES = {"A": "U", "I": "i8", "F": "f8", "E": "f8", "D": "f8"}
_FRAME_KEYS = ("RADESYS", "RADECSYS", "EQUINOX")
_AXES = {"GLON": "galactic", "GLAT": "galactic", "SLON": "supergalactic", "ELON": "ecliptic", "ELAT": "ecliptic"}


@dataclass(frozen=True)
class FitsColumn:
    """Where the bytes of a column are in a row, and how they become values."""

    facts: ColumnFacts
    code: str
    type: str
    start: int
    width: int
    scale: float = 1.0
    zero: float = 0.0
    null: Any = None


def open_fits(path: Path, definition: Definition, chunk_rows: int, stack: ExitStack) -> TableReader:
    """Open the first table of a FITS file, or the one that ``read.hdu`` names."""
    plain = plain_file(path, stack)
    found = extensions(path, plain)
    tables = [e for e in found if e.is_table]
    if not tables:
        raise InputError(f"{path}: there is no table in the FITS file")
    taken = choose(path, definition.read.hdu, {e.number: e.name for e in tables})
    hdu = found[taken]
    if hdu.value("ZTABLE") is True:
        raise InputError(f"{path}: the rows of extension {hdu} are compressed (ZTABLE); unpack them with funpack")
    is_ascii = hdu.header["XTENSION"].strip() == "TABLE"
    of_table = next((f for e in (hdu, found[0]) if (f := frames.of_keywords({k: e.value(k) for k in _FRAME_KEYS}))), "")
    columns = [_column(hdu, i + 1, is_ascii, of_table) for i in range(hdu.header["TFIELDS"])]
    columns = _placed(hdu, columns, is_ascii)
    facts = [c.facts for c in columns]
    messages = which_table(path, str(hdu), [str(e) for e in tables if e is not hdu], definition.read.hdu)
    keywords = {"EXTNAME": hdu.name, "SKYAREA": hdu.value("SKYAREA", found[0].value("SKYAREA"))}
    if not definition.file_columns:
        return TableReader(path, iter(()), columns=facts, meta=keywords, remarks=messages)  # only the header is wanted
    places = locate(
        definition.file_columns, [f.name for f in facts], path, messages, optional=definition.optional_file_columns
    )
    for name, i in places.items():
        if facts[i].unusable:
            raise InputError(f"{path}: column '{name}' {facts[i].unusable}, not single numbers")
    messages += [
        f"{path}: column {i + 1} has no name; it is read as '{facts[i].name}'"
        for i in places.values()
        if not str(hdu.value(f"TTYPE{i + 1}", "")).strip()
    ]
    verify(plain, hdu)
    wanted = {name: columns[i] for name, i in places.items()}
    units = {name: facts[i].unit for name, i in places.items() if facts[i].unit}
    batches = _batches(plain, hdu, wanted, chunk_rows, is_ascii)
    return TableReader(path, batches, int(hdu.header["NAXIS2"]), units, facts, keywords, remarks=messages)


def binary_columns(hdu: Extension) -> list[FitsColumn]:
    """All columns of a binary table, with their places in a row.

    Raises
    ------
    InputError
        The header is damaged, or the rows are text or compressed.
    """
    if hdu.value("ZTABLE") is True or hdu.header["XTENSION"].strip() == "TABLE":
        raise InputError(f"{hdu.path}: extension {hdu} is not a plain binary table; convert it to one first")
    return _placed(hdu, [_column(hdu, i + 1, False, "") for i in range(hdu.header["TFIELDS"])], False)


def _column(hdu: Extension, i: int, is_ascii: bool, of_table: str) -> FitsColumn:
    """A column by the keywords that end in its number, from 1; its place in a binary table is filled in later."""
    form = hdu.value(f"TFORM{i}")
    if not isinstance(form, str):
        raise InputError(f"{hdu.path}: TFORM{i} of extension {hdu.number} is missing; the header is damaged")
    name = str(hdu.value(f"TTYPE{i}", "")).strip() or f"col_{i}"
    unit, ucd, about = (_text(hdu, *(f"{k}{i}" for k in keys)) for keys in (("TUNIT",), ("TUCD", "TBUCD"), ("TCOMM",)))
    about = about or _text(hdu, f"TDESC{i}")
    frame = frames.of_name(name, _AXES.get(_text(hdu, f"TCTYP{i}")[:4].upper(), of_table))
    match = re.match(r"\s*([AIFED])\s*(\d+)" if is_ascii else r"\s*(\d*)\s*([LXBIJKAEDCMPQ])", form)
    if match is None:
        raise InputError(
            f"{hdu.path}: TFORM{i} of extension {hdu.number} (column '{name}') is {form[:20]!r}, which is no format of "
            "the FITS standard; the header is damaged"
        )
    scale, zero, null = (_number(hdu, f"{k}{i}", d) for k, d in (("TSCAL", 1), ("TZERO", 0), ("TNULL", None)))
    if is_ascii:
        code, width = match[1], int(match[2])
        null = hdu.value(f"TNULL{i}")
        start = hdu.whole(f"TBCOL{i}", 1, hdu.header["NAXIS1"]) - 1
        facts = ColumnFacts(name, unit, ucd, about, _ASCII_TYPES[code], frame=frame)
        return FitsColumn(facts, code, "S", start, width, scale, zero, None if null is None else str(null).strip())
    code, repeat = match[2], int(match[1] or 1)
    null = None if null is None or code in "ED" else int(null)
    size, type_ = _CODES[code]
    width = -(-repeat // 8) if code == "X" else size * repeat
    is_array = not type_ or (code != "A" and repeat != 1) or not width
    unusable = f"({form.strip()}) holds arrays" if is_array else ""
    facts = ColumnFacts(name, unit, ucd, about, unusable=unusable, frame=frame)
    return FitsColumn(facts, code, f"S{width}" if code == "A" else type_, 0, width, scale, zero, null)


def _text(hdu: Extension, *keywords: str) -> str:
    return next((str(v).strip() for k in keywords if (v := hdu.value(k)) is not None), "")


def _number(hdu: Extension, keyword: str, default: float | None) -> Any:
    value = hdu.value(keyword, default)
    if value is default or keyword.startswith("TNULL"):
        return None if isinstance(value, str | bool) else value
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"{hdu.path}: {keyword} of extension {hdu.number} is {str(value)[:20]!r}, not a number")
    if keyword.startswith("TSCAL") and value == 0:
        raise InputError(f"{hdu.path}: {keyword} of extension {hdu.number} is 0, which makes all values equal")
    return value


def _placed(hdu: Extension, columns: list[FitsColumn], is_ascii: bool) -> list[FitsColumn]:
    """The columns with their places in a row; all together must be as wide as the header says."""
    width = int(hdu.header["NAXIS1"])
    if is_ascii:
        for column in columns:
            if column.start + column.width > width:
                raise InputError(f"{hdu.path}: column '{column.facts.name}' ends beyond the row of {width:,} bytes")
        return columns
    placed, start = [], 0
    for column in columns:
        placed.append(FitsColumn(**{**column.__dict__, "start": start}))
        start += column.width
    if start != width:
        raise InputError(f"{hdu.path}: the columns take {start:,} bytes per row, the header says {width:,}")
    return placed


def _row_type(hdu: Extension, columns: Sequence[FitsColumn]) -> np.dtype[np.void]:
    """Type of a row as it is stored, with the wanted columns only."""
    return np.dtype(
        {
            "names": [f"f{k}" for k in range(len(columns))],
            "formats": [f"S{c.width}" if c.type == "S" else c.type for c in columns],
            "offsets": [c.start for c in columns],
            "itemsize": int(hdu.header["NAXIS1"]),
        }
    )


def _text_values(stored: npt.NDArray[Any]) -> pa.Array:
    raw = pa.array(np.ascontiguousarray(stored), pa.binary())
    try:
        text = raw.cast(pa.string())
    except pa.ArrowInvalid:  # FITS allows ASCII only; what else is found is mostly Latin-1
        text = pa.array([v.decode("latin-1") for v in raw.to_pylist()], pa.string())
    if not pc.any(pc.match_substring(text, "\0")).as_py():
        return text
    return pc.replace_substring_regex(text, r"(?s)\x00.*", "")  # a NUL ends a text; what follows has no meaning


def _values(column: FitsColumn, stored: npt.NDArray[Any]) -> pa.Array:
    """Stored values of one column of a binary table as numbers or text."""
    code, scale, zero = column.code, column.scale, column.zero
    if code == "A":
        return _text_values(stored)
    values = stored.astype(stored.dtype.newbyteorder("="))
    if code == "L":
        return pa.array(values == ord("T"), mask=(values != ord("T")) & (values != ord("F")))
    mask = None if column.null is None or code in "ED" else values == column.null
    if zero == 2**63 and code == "K" and scale == 1:  # unsigned 64-bit integers, by the convention of the standard
        return pa.array(values.view(np.uint64) ^ np.uint64(2**63), mask=mask)
    if scale == 1 and zero == 0:
        return pa.array(values, mask=mask)
    if scale == 1 and float(zero).is_integer() and abs(zero) < 2**62 and code not in "ED":
        whole = values.astype(np.int64)
        shifted = whole + int(zero)
        if ((shifted < whole) != (zero < 0)).any():
            raise ValueError(f"column '{column.facts.name}' plus its TZERO of {zero} exceeds 64 bits")
        return pa.array(shifted, mask=mask)
    return pa.array(values.astype(np.float64) * scale + zero, mask=mask)


def _ascii_values(column: FitsColumn, stored: npt.NDArray[Any]) -> pa.Array:
    """Stored values of one column of an ASCII table as text; numbers only where they are scaled."""
    text = pc.utf8_trim_whitespace(_text_values(stored))
    blank = pc.equal(text, "")
    if column.null is not None:
        blank = pc.or_(blank, pc.equal(text, column.null))
    text = pc.if_else(blank, pa.scalar(None, pa.string()), text)
    if column.code in "FED":
        text = pc.replace_substring_regex(text, "[dD]", "E")
    if column.scale == 1 and column.zero == 0:
        return text
    return pc.add(pc.multiply(text.cast(pa.float64()), float(column.scale)), float(column.zero))


def _batches(
    plain: Path, hdu: Extension, columns: dict[str, FitsColumn], chunk_rows: int, is_ascii: bool
) -> Iterator[pa.RecordBatch]:
    row_type, left = _row_type(hdu, list(columns.values())), int(hdu.header["NAXIS2"])
    values = _ascii_values if is_ascii else _values
    most = max(min(chunk_rows, _CHUNK_BYTES // max(row_type.itemsize, 1)), 1)
    with plain.open("rb") as stream:
        stream.seek(hdu.data_start)
        while left > 0:
            part = np.frombuffer(stream.read(min(most, left) * row_type.itemsize), row_type)
            if not len(part):
                raise EOFError("the file became shorter while it was read")
            left -= len(part)
            arrays = [values(c, part[f"f{k}"]) for k, c in enumerate(columns.values())]
            yield pa.record_batch(arrays, names=list(columns))
