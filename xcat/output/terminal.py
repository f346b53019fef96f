"""Tables as text for a terminal, and as JSON."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from xcat.arrays import jsonable
from xcat.output.columns import escape

if TYPE_CHECKING:
    from astropy import table as astropy

    from xcat.output.results import ResultColumn, ResultTable

    Column: TypeAlias = astropy.Column | ResultColumn
    Table: TypeAlias = astropy.Table | ResultTable

_LONGEST_TEXT = 40
#: For `str.translate`: the digits of an exponent.
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float) -> str:
    """Write a number with four figures; whole numbers whole, very small and very large ones with a power of ten."""
    if not math.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < 1e15:
        return str(int(value))
    if not 1e-3 <= abs(value) < 1e6:
        return f"{value:.3e}"
    return f"{value:.1f}" if abs(value) >= 1e4 else f"{value:.4g}"


def cell_format(column: Column) -> Callable[[Any], str]:
    """How the values of a column are written: fluxes as 1.23e-14, probabilities with three decimals."""
    kind, ucd, unit = column.data.dtype.kind, str(column.meta.get("ucd", "")), _unit(column)
    if kind == "b":
        write: Callable[[Any], str] = {True: "yes", False: "no"}.__getitem__
    elif kind != "f":
        write = str
    elif ucd.startswith("stat.probability"):
        write = "{:.3f}".format
    elif unit == "erg / (s cm2)":
        write = "{:.2e}".format
    else:
        write = "{:.5f}".format if unit == "deg" and ucd.startswith("pos.") else number

    def cell(value: Any) -> str:
        if np.ma.is_masked(value) and np.all(np.ma.getmaskarray(value)):
            return "-"
        if isinstance(value, np.ndarray):
            words = " ".join(map(write, value.tolist()))
        else:
            words = "-" if kind == "f" and np.isnan(value) else escape(write(value).replace("\n", " "))
        return words if len(words) <= _LONGEST_TEXT else words[: _LONGEST_TEXT - 1] + "…"

    return cell


def aligned(rows: Sequence[Sequence[str]], right: Collection[int]) -> list[str]:
    """Lines of a text table, as wide as its cells: it may go into a file or a pipe.

    Parameters
    ----------
    rows : sequence of sequence of str
        Cells, the head first. A row of one cell in a table of several columns is a heading and may be of any length.
    right : collection of int
        Columns that are flush right.
    """
    n = max(map(len, rows), default=0)
    columns = zip(*(cells for cells in rows if len(cells) == n), strict=True)
    pads = [f"{{:{'>' if i in right else '<'}{max(map(len, cells))}}}" for i, cells in enumerate(columns)]
    line = "  ".join(pads).format
    return [(line(*cells) if len(cells) == n else cells[0]).rstrip() for cells in rows]


def show(table: Table, max_rows: int | None = 20, width: int | None = None) -> str:
    """Write a table for a terminal, units below the names.

    Parameters
    ----------
    table : Table or ResultTable
        ``meta["total_rows"]`` is the number of all rows if the table holds only some of them.
    max_rows : int or None
        Rows to show; None for all.
    width : int, optional
        Characters per line, those of the terminal if not given. Columns that do not fit are named below the table.

    Returns
    -------
    str
        Lines; the last one counts the rows and names what is left out.
    """
    width = width or shutil.get_terminal_size((120, 24)).columns
    n_shown = len(table) if max_rows is None else min(max_rows, len(table))
    columns: list[list[str]] = []
    numeric, used = set(), 0
    for name, column in table.columns.items():
        cells = [name, _unit(column), *map(cell_format(column), column.data[:n_shown])]
        size = max(map(len, cells))
        if columns and used + size > width:
            break
        used += size + 2
        if column.data.dtype.kind in "iuf" and column.data.ndim == 1:
            numeric.add(len(columns))
        columns.append([*cells[:2], "-" * size, *cells[2:]])
    lines = aligned(list(zip(*columns, strict=True)), numeric)
    if lines and not lines[1]:  # no column has a unit
        del lines[1]
    left_out = list(table.columns)[len(columns) :]
    total = _total(table)
    plural = "row" if total == 1 else "rows"
    lines.append(f"{total:,} {plural}" if n_shown == total else f"{n_shown:,} of {total:,} {plural} shown")
    if left_out:
        lines.append(f"{len(left_out)} more columns do not fit: {', '.join(left_out)}")
    return "\n".join(lines)


def as_json(table: Table) -> dict[str, Any]:
    """Give a table as JSON-ready data: ``columns`` with their meanings, ``rows`` as lists.

    NULL and NaN are None, infinity is text (see `xcat.arrays.jsonable`), whole numbers of any size are exact.
    """
    described = [
        {
            "name": name,
            "type": column.data.dtype.name if column.data.dtype.kind != "U" else "text",
            "unit": _unit(column),
            "ucd": column.meta.get("ucd", ""),
            "description": column.description or "",
        }
        for name, column in table.columns.items()
    ]
    lists = [
        jsonable(np.ma.asarray(column.data).tolist(), infinity=True) for column in table.columns.values()
    ]  # masked: None
    return {
        "columns": described,
        "rows": [list(row) for row in zip(*lists, strict=True)],
        "n_rows": len(table),
        "total_rows": _total(table),
        **{name: table.meta[name] for name in ("expected", "skymap") if name in table.meta},
    }


def _unit(column: Column) -> str:
    return "" if column.unit is None else str(column.unit)


def _total(table: Table) -> int:
    return max(int(table.meta.get("total_rows", 0)), len(table))
