"""Tables as text for a terminal, and as JSON."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from typing import Any

import astropy.units as u
import numpy as np
from astropy.table import Column, Table

from xcat.arrays import jsonable

_LONGEST_TEXT = 40
_FLUX = u.Unit("erg / (s cm2)")


def number(value: float) -> str:
    """Write a number with four figures; whole numbers whole, very small and very large ones with a power of ten."""
    if not math.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < 1e15:
        return str(int(value))
    if not 1e-3 <= abs(value) < 1e6:
        return f"{value:.3e}"
    return f"{value:.1f}" if abs(value) >= 1e4 else f"{value:.4g}"


def _float_format(column: Column) -> Callable[[float], str]:
    ucd = str(column.meta.get("ucd", ""))
    if ucd.startswith("stat.probability"):
        return lambda v: f"{v:.3f}"
    if column.unit is not None and column.unit.is_equivalent(_FLUX):
        return lambda v: f"{v:.2e}"
    if column.unit == u.deg and ucd.startswith("pos."):
        return lambda v: f"{v:.5f}"
    return number


def cell_format(column: Column) -> Callable[[Any], str]:
    """How the values of a column are written: fluxes as 1.23e-14, probabilities with three decimals."""
    kind = column.dtype.kind
    if kind == "f":
        one = _float_format(column)
    elif kind == "b":
        one = lambda v: "yes" if v else "no"  # noqa: E731
    else:
        one = str

    def text(value: Any) -> str:
        if np.ma.is_masked(value) and np.all(np.ma.getmaskarray(value)):
            return "-"
        if isinstance(value, np.ndarray):
            words = " ".join(one(v) for v in value.tolist())
        elif kind == "f" and np.isnan(value):
            words = "-"
        else:
            words = one(value).replace("\n", " ")
        return words if len(words) <= _LONGEST_TEXT else words[: _LONGEST_TEXT - 1] + "…"

    return text


def aligned(lines: list[list[str]], right: set[int], gap: int = 2) -> list[str]:
    """Set rows of cells in columns; those named in `right` are flush right. A row of one cell may run on."""
    sizes = [max(len(cells[i]) for cells in lines if len(cells) > max(i, 1)) for i in range(max(map(len, lines)))]
    out = []
    for cells in lines:
        if len(cells) == 1:
            out.append(cells[0])
            continue
        parts = [cell.rjust(sizes[i]) if i in right else cell.ljust(sizes[i]) for i, cell in enumerate(cells)]
        out.append((" " * gap).join(parts).rstrip())
    return out


def show(table: Table, max_rows: int | None = 20, width: int | None = None) -> str:
    """Write a table for a terminal, units below the names.

    Parameters
    ----------
    table : Table
        ``meta["total_rows"]`` may say how many rows there are if the table holds only some.
    max_rows : int or None
        Rows to show; None for all.
    width : int, optional
        Columns of the terminal, its own if not given. Table columns that do not fit are named below the table.

    Returns
    -------
    str
        Lines; the last one counts the rows and says when rows or columns are left out.
    """
    width = width or shutil.get_terminal_size((120, 24)).columns
    n_shown = len(table) if max_rows is None else min(max_rows, len(table))
    blocks: list[list[str]] = []
    used = 0
    left_out: list[str] = []
    for name in table.colnames:
        column = table[name]
        write = cell_format(column)
        cells = [write(value) for value in column[:n_shown]]
        unit = "" if column.unit is None else column.unit.to_string()
        size = max(map(len, [name, unit, *cells]))
        if left_out or (blocks and used + size > width):
            left_out.append(name)
            continue
        used += size + 2
        right = column.dtype.kind in "iuf" and column.ndim == 1
        align = str.rjust if right else str.ljust
        blocks.append([align(text, size) for text in [name, unit, "-" * size, *cells]])
    if not any(block[1].strip() for block in blocks):
        for block in blocks:
            del block[1]
    lines = ["  ".join(parts).rstrip() for parts in zip(*blocks, strict=True)]
    total = max(int(table.meta.get("total_rows", 0)), len(table))
    plural = "row" if total == 1 else "rows"
    lines.append(f"{total:,} {plural}" if n_shown == total else f"{n_shown:,} of {total:,} {plural} shown")
    if left_out:
        names = ", ".join(left_out)
        lines.append(f"{len(left_out)} more columns do not fit here: {names}")
    return "\n".join(lines)


def as_json(table: Table) -> dict[str, Any]:
    """A table as JSON-ready data: ``columns`` with their meanings, ``rows`` as lists, NULL and NaN as None."""
    described = []
    lists = []
    for name in table.colnames:
        column = table[name]
        described.append(
            {
                "name": name,
                "type": column.dtype.name if column.dtype.kind != "U" else "text",
                "unit": "" if column.unit is None else column.unit.to_string(),
                "ucd": column.meta.get("ucd", ""),
                "description": column.description or "",
            }
        )
        values = np.ma.asarray(column).tolist()  # masked values become None
        lists.append(jsonable(values))
    total = max(int(table.meta.get("total_rows", 0)), len(table))
    return {
        "columns": described,
        "rows": [list(row) for row in zip(*lists, strict=True)],
        "n_rows": len(table),
        "total_rows": total,
    }
