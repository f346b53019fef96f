"""VOTables written as they stream: a head, rows as XML or in binary, a status at the end.

References: IVOA VOTable 1.4; DALI 1.1, section 4.4 (QUERY_STATUS).
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from xcat.adql import Column
from xcat.errors import XcatError
from xcat.output.columns import escape as escaped
from xcat.output.votable import TIMES, is_mjd

_START = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">\n'
    '<RESOURCE type="results">\n'
)
_NOT_IN_XML = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
Row = Sequence[Any]


def without_control(text: str) -> str:
    """A text whose characters XML has; others are escapes, as in ``\\x07``."""
    return escaped(text, _NOT_IN_XML)


def attribute(text: str) -> str:
    """A text as the value of an attribute, in quotes."""
    return quoteattr(without_control(text))


def content(text: str) -> str:
    """A text between tags."""
    return escape(without_control(text))


def info(name: str, value: str, text: str = "") -> str:
    """An INFO, with words inside if there are any."""
    start = f"<INFO name={attribute(name)} value={attribute(value)}"
    return f"{start}>{content(text)}</INFO>\n" if text else f"{start}/>\n"


def head(columns: Sequence[Column], infos: Iterable[str], serialization: str) -> str:
    """All before the rows."""
    lines = [
        _START,
        *infos,
        *_systems(columns),
        "<TABLE>\n",
        *map(_field, columns),
        f"<DATA><{serialization}>\n",
    ]
    return "".join([*lines, '<STREAM encoding="base64">\n'] if serialization == "BINARY2" else lines)


def tail(serialization: str, infos: Iterable[str]) -> str:
    """All after the rows: a result that is cut says so here."""
    stream = "</STREAM>" if serialization == "BINARY2" else ""
    return f"{stream}</{serialization}></DATA>\n</TABLE>\n{''.join(infos)}</RESOURCE>\n</VOTABLE>\n"


def document(*infos: str) -> str:
    """A VOTable without a table: an error."""
    return f"{_START}{''.join(infos)}</RESOURCE>\n</VOTABLE>\n"


_ICRS = "icrs"
_SYSTEMS = {
    _ICRS: f'<COOSYS ID="{_ICRS}" system="ICRS"/>\n',
    TIMES: f'<TIMESYS ID="{TIMES}" timeorigin="MJD-origin" timescale="UNKNOWN" refposition="UNKNOWN"/>\n',
}


def _system(column: Column) -> str | None:
    """The system of a coordinate or date: of a position, if its description says that it is ICRS, as ours do."""
    if (column.ucd or "").startswith(("pos.eq.ra", "pos.eq.dec")) and "ICRS" in column.description:
        return _ICRS
    return TIMES if is_mjd(column.description, column.ucd) else None


def _systems(columns: Sequence[Column]) -> list[str]:
    return [_SYSTEMS[key] for key in sorted({key for key in map(_system, columns) if key})]


def _field(column: Column) -> str:
    facts = {
        "name": column.name,
        "datatype": column.datatype,
        "arraysize": column.arraysize,
        "xtype": column.xtype,
        "unit": column.unit,
        "ucd": column.ucd,
        "utype": column.utype,
        "ref": _system(column),
    }
    start = "<FIELD" + "".join(f" {key}={attribute(value)}" for key, value in facts.items() if value)
    if not column.description:
        return f"{start}/>\n"
    return f"{start}><DESCRIPTION>{content(column.description)}</DESCRIPTION></FIELD>\n"


_TEXT = ("char", "unicodeChar")


def is_array(column: Column) -> bool:
    """Whether the values of a column are arrays of numbers."""
    return column.datatype not in _TEXT and column.arraysize not in (None, "", "1")


# --- TABLEDATA --------------------------------------------------------------------------------------------


def number_text(value: Any) -> str:
    """A number, as short as it can be read back; infinity as VOTable has it, and nothing for NaN."""
    if isinstance(value, bool):
        return "T" if value else "F"
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    return repr(value)


def array_text(value: Sequence[Any]) -> str:
    """Numbers of an array, with blanks between them."""
    return " ".join("NaN" if v is None else number_text(v) for v in value)


def as_xml(columns: Sequence[Column]) -> Callable[[Sequence[Row]], bytes]:
    """A function that writes rows as XML."""
    cells = [array_text if is_array(c) else content if c.datatype in _TEXT else number_text for c in columns]

    def write(rows: Sequence[Row]) -> bytes:
        lines = []
        for row in rows:
            tds = [
                "<TD/>" if value is None else f"<TD>{cell(value)}</TD>" for cell, value in zip(cells, row, strict=True)
            ]
            lines.append(f"<TR>{''.join(tds)}</TR>\n")
        return "".join(lines).encode()

    return write


# --- BINARY2 ----------------------------------------------------------------------------------------------

_FORMS = {"boolean": "c", "unsignedByte": "B", "short": "h", "int": "i", "long": "q", "float": "f", "double": "d"}


def _length(column: Column) -> int | None:
    """Elements of a column whose values all have the same number of them; None if it varies."""
    size = column.arraysize or "1"
    return math.prod(map(int, size.split("x"))) if re.fullmatch(r"\d+(x\d+)*", size, re.A) else None


def _scalar(column: Column) -> Callable[[Any], bytes]:
    form = struct.Struct(">" + _FORMS[column.datatype]).pack
    if column.datatype == "boolean":
        return lambda value: b"?" if value is None else b"T" if value else b"F"
    missing = form(math.nan if column.datatype in ("float", "double") else 0)

    def pack(value: Any) -> bytes:
        return missing if value is None else form(value)

    return pack


def _array(column: Column) -> Callable[[Any], bytes]:
    length, scalar = _length(column), _scalar(column)

    def pack(value: Any) -> bytes:
        values = [None] * (length or 0) if value is None else value
        if length is not None and len(values) != length:
            raise XcatError(f"column {column.name} has {len(values)} elements, not {length}")
        return (b"" if length is not None else len(values).to_bytes(4, "big")) + b"".join(map(scalar, values))

    return pack


def _characters(column: Column) -> Callable[[Any], bytes]:
    length = _length(column)
    encoding, errors, width = ("ascii", "backslashreplace", 1)
    if column.datatype == "unicodeChar":
        encoding, errors, width = ("utf-16-be", "replace", 2)

    def pack(value: Any) -> bytes:
        data = (value or "").encode(encoding, errors)
        if length is not None:
            return data[: length * width].ljust(length * width, b"\0")
        return (len(data) // width).to_bytes(4, "big") + data

    return pack


def as_binary2(columns: Sequence[Column]) -> Callable[[Sequence[Row]], bytes]:
    """A function that writes rows in VOTable's binary format, without base64."""
    cells = [_characters(c) if c.datatype in _TEXT else _array(c) if is_array(c) else _scalar(c) for c in columns]
    n_mask = (len(columns) + 7) // 8
    bits = [1 << (8 * n_mask - 1 - i) for i in range(len(columns))]
    no_null = bytes(n_mask)

    def write(rows: Sequence[Row]) -> bytes:
        parts = []
        for row in rows:
            if None in row:
                null = sum(bit for bit, value in zip(bits, row, strict=True) if value is None)
                parts.append(null.to_bytes(n_mask, "big"))
            else:
                parts.append(no_null)
            parts += [cell(value) for cell, value in zip(cells, row, strict=True)]
        return b"".join(parts)

    return write
