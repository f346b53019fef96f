"""VOTables: a head that says what the columns are, and rows in binary, piece by piece.

References: IVOA VOTable 1.4, section 6 (BINARY2).
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io.votable.tree import CooSys, Field, Info, Resource, TableElement, TimeSys, VOTableFile
from astropy.table import Column, MaskedColumn, Table
from astropy.units import UnitsWarning, UnrecognizedUnit

from xcat.output.columns import escape, parts, replaced, unique_names, unit_text, unsigned_as_signed, width
from xcat.output.lines import base64_lines
from xcat.output.provenance import KEY, positions

ENDINGS = (".vot", ".xml", ".votable")
_DATATYPES = {
    "b1": "boolean",
    "u1": "unsignedByte",
    "i2": "short",
    "i4": "int",
    "i8": "long",
    "f4": "float",
    "f8": "double",
}
#: The time system of modified Julian dates. Missions count them in UTC or TT, 69 s apart, and files do not say it.
TIMES = "modified_julian_date"
_VERSION = {"version_1_4_or_later": True}
_SYSTEMS = {"FK4": "eq_FK4", "FK5": "eq_FK5", "GALACTIC": "galactic"}
_LONGEST_FIXED = 64  # characters of a text that has the same number of bytes in every row
_END = b"</TABLE>"
_START_OF_ROWS, _END_OF_ROWS = b'<DATA><BINARY2><STREAM encoding="base64">\n', b"</STREAM></BINARY2></DATA>\n  "


def write(tables: Iterator[Table], path: Path, n_rows: int) -> None:
    """Write pieces of a table whose columns have the same types, widths and masks (see `xcat.output.pieces.alike`)."""
    first = next(tables)
    before, end, after = head(first).partition(_END)
    with path.open("wb") as out:
        if not n_rows:
            out.write(before + end + after)
            return
        out.write(before + _START_OF_ROWS)
        out.writelines(base64_lines(map(binary2, chain([first], tables))))
        out.write(_END_OF_ROWS + end + after)


# --- rows -------------------------------------------------------------------------------------------------


def binary2(table: Table) -> bytes:
    """The rows of a table in VOTable's binary format: bits that say what is NULL, then the values."""
    columns = [_for_votable(column) for column in table.itercols()]
    null = np.zeros((len(table), len(columns)), dtype=bool)
    segments: list[list[bytes]] = []
    fixed = list[np.ndarray]()
    for i, column in enumerate(columns):
        data, mask = parts(column)
        null[:, i] = mask if mask.ndim == 1 else mask.reshape(len(mask), -1).all(axis=1)
        if data.dtype.kind != "U":
            fixed.append(_numbers(column))
        elif size := _fixed_width(data):
            # the characters of a text of numpy have four bytes each; escapes stand for those that need more than two
            texts = np.ascontiguousarray(np.where(mask, "", data).astype(f"U{size}"))
            fixed.append(texts.view(np.uint32).reshape(len(data), size).astype(">u2"))
        else:
            segments += [_rows(fixed), _texts(data, mask)]
            fixed = []
    segments.append(_rows(fixed))
    segments = [segment for segment in segments if segment]
    return b"".join(chain.from_iterable(zip(_rows([np.packbits(null, axis=1)]), *segments, strict=True)))


def _fixed_width(data: np.ndarray) -> int:
    """Characters of texts that all have the same room; 0 for long texts. STILTS reads a room of one as a character."""
    return max(width(data), 2) if width(data) <= _LONGEST_FIXED else 0


def _numbers(column: Column) -> np.ndarray:
    """Numbers and truth values as they are stored; what is NULL has a value, too."""
    data, mask = parts(column)
    if data.dtype.kind == "b":
        return np.where(mask, b"?", np.where(data, b"T", b"F"))
    blank = np.nan if data.dtype.kind == "f" else column.fill_value if data.ndim > 1 and mask.any() else 0
    return np.where(mask, np.array(blank, dtype=data.dtype), data).astype(data.dtype.newbyteorder(">"))


def _rows(columns: list[np.ndarray]) -> list[bytes]:
    """The bytes of every row of some columns of fixed size."""
    if not columns:
        return []
    rows = np.empty(len(columns[0]), dtype=[(f"c{i}", c.dtype, c.shape[1:]) for i, c in enumerate(columns)])
    for i, column in enumerate(columns):
        rows[f"c{i}"] = column
    return [bytes(row) for row in rows.view(f"V{rows.dtype.itemsize}").tolist()]


def _texts(data: np.ndarray, mask: np.ndarray) -> list[bytes]:
    """Texts with their numbers of characters before them."""
    return [
        b"\0\0\0\0" if is_null else len(text).to_bytes(4, "big") + text.encode("utf-16-be")
        for text, is_null in zip(data.tolist(), mask.tolist(), strict=True)
    ]


# --- the head ---------------------------------------------------------------------------------------------


def head(table: Table) -> bytes:
    """The whole document without rows: where the table comes from, the frames of its positions, its columns."""
    file = VOTableFile()
    resource, element = Resource(type="results"), TableElement(file)
    for key, value in table.meta.get(KEY, {}).items():
        resource.infos.append(Info(name=key, value=_xml(value)))
        resource.infos[-1].ID = None  # those of the columns, by which astropy names them, must be free
    systems = dict[str, str]()
    for place in positions(table, ucd_only=True):
        if place.frame:
            epoch = None if place.epoch_yr is None else f"J{place.epoch_yr:g}"
            key = f"frame_{place.frame}{'' if epoch is None else '_' + epoch.replace('.', '_')}"
            if key not in systems.values():
                system = _SYSTEMS.get(place.frame.upper(), place.frame)
                resource.coordinate_systems.append(CooSys(ID=key, system=system, epoch=epoch))
            systems |= {place.ra: key, place.dec: key}
    days = [column.name for column in table.itercols() if is_mjd(column.description, column.meta.get("ucd"))]
    if days:
        resource.time_systems.append(
            TimeSys(ID=TIMES, timeorigin="MJD-origin", timescale="UNKNOWN", refposition="UNKNOWN", config=_VERSION)
        )
        systems |= dict.fromkeys(days, TIMES)
    ids = unique_names([_identifier(name) for name in table.colnames], fold=False)
    for name, identifier in zip(table.colnames, ids, strict=True):
        element.fields.append(_field(file, table[name], identifier, systems.get(name)))
    resource.tables.append(element)
    file.resources.append(resource)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnitsWarning)
        file.to_xml(buffer)
    return buffer.getvalue()


def is_mjd(description: str | None, ucd: str | None) -> bool:
    """Whether a column is a modified Julian date, as the registry of columns describes them."""
    return (ucd or "").startswith("time.") and "modified julian date" in (description or "").lower()


def _field(file: VOTableFile, column: Column, identifier: str, system: str | None) -> Field:
    stored = _for_votable(column)
    data, _ = parts(stored)
    shape = "x".join(str(n) for n in reversed(data.shape[1:])) or None
    if data.dtype.kind == "U":
        # arrays of texts, which only Parquet has, cannot be told from one text
        type_, shape = "unicodeChar", "*" if shape else str(_fixed_width(data) or "*")
    else:
        type_ = _DATATYPES[data.dtype.str[1:]]
    field = Field(file, ID=identifier, name=column.name, datatype=type_, arraysize=shape, ucd=_ucd(column))
    if text := unit_text(column.unit, "vounit"):
        field._unit = UnrecognizedUnit(_xml(text))  # its setter would have it in VOUnit or not at all
    if data.ndim > 1 and data.dtype.kind in "iu" and isinstance(stored, MaskedColumn):
        field.values.null = stored.fill_value  # a row has one bit for all elements of an array
    field.ref, field.description = system, _xml(column.description or "") or None
    return field


def _identifier(name: str) -> str:
    """The name as an identifier of XML; astropy names the columns that it reads by these."""
    plain_name = re.sub(r"[^A-Za-z0-9_.\-]", "_", name)
    return plain_name if re.match(r"[A-Za-z_]", plain_name) else f"_{plain_name}"


def _xml(value: Any) -> str:
    return escape(str(value), re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ufffe\uffff]"))


def _ucd(column: Column) -> str | None:
    """The UCD, if it is one by its characters."""
    ucd = str(column.meta.get("ucd", ""))
    return ucd if re.fullmatch(r"[A-Za-z0-9._;:\-]+", ucd) else None


def _for_votable(column: Column) -> Column:
    """A column in a type that VOTable has: signed integers."""
    data, mask = parts(column)
    fill_value = column.fill_value if isinstance(column, MaskedColumn) else None
    is_masked_array = data.ndim > 1 and data.dtype == np.uint8 and fill_value is not None
    if data.dtype.kind == "i" or (data.dtype.kind == "u" and (data.dtype.itemsize > 1 or is_masked_array)):
        signed = unsigned_as_signed(data, mask)
        if signed.dtype != data.dtype and signed.dtype.kind == "i":
            fill_value = np.iinfo(signed.dtype).min
        data = signed
    made = replaced(column, data, mask)
    if data.dtype.kind == "i" and fill_value is not None:
        made.fill_value = fill_value
    return made
