"""Tables as text for a terminal, and as JSON."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from xcat.arrays import jsonable

if TYPE_CHECKING:
    from astropy.table import Column as AstropyColumn
    from astropy.table import Table as AstropyTable

    from xcat.output.results import ResultColumn, ResultTable

    Column: TypeAlias = AstropyColumn | ResultColumn
    Table: TypeAlias = AstropyTable | ResultTable

_LONGEST_TEXT = 40


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
    if column.unit is not None and column.unit.is_equivalent("erg / (s cm2)"):
        return lambda v: f"{v:.2e}"
    if column.unit is not None and column.unit == "deg" and ucd.startswith("pos."):
        return lambda v: f"{v:.5f}"
    return number


def cell_format(column: Column) -> Callable[[Any], str]:
    """How the values of a column are written: fluxes as 1.23e-14, probabilities with three decimals."""
    kind = column.dtype.kind
    forms: dict[str, Callable[[Any], str]] = {"f": _float_format(column), "b": lambda v: "yes" if v else "no"}
    one = forms.get(kind, str)

    def cell(value: Any) -> str:
        if np.ma.is_masked(value) and np.all(np.ma.getmaskarray(value)):
            return "-"
        if isinstance(value, np.ndarray):
            words = " ".join(one(v) for v in value.tolist())
        elif kind == "f" and np.isnan(value):
            words = "-"
        else:
            words = one(value).replace("\n", " ")
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
    whole = [cells for cells in rows if len(cells) == n]
    sizes = [max(map(len, column)) for column in zip(*whole, strict=True)]
    aligns = [str.rjust if i in right else str.ljust for i in range(n)]
    padded = (
        [align(cell, size) for align, cell, size in zip(aligns, cells, sizes, strict=True)]
        if len(cells) == n
        else cells
        for cells in rows
    )
    return ["  ".join(cells).rstrip() for cells in padded]


def show(table: Table, max_rows: int | None = 20, width: int | None = None) -> str:
    """Write a table for a terminal, units below the names.

    Parameters
    ----------
    table : Table
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
    used = 0
    for name in table.colnames:
        cells = [name, _unit(table[name]), *map(cell_format(table[name]), table[name][:n_shown])]
        size = max(map(len, cells))
        if columns and used + size > width:
            break
        used += size + 2
        columns.append([*cells[:2], "-" * size, *cells[2:]])
    numeric = {i for i, name in enumerate(table.colnames) if table[name].dtype.kind in "iuf" and table[name].ndim == 1}
    lines = aligned(list(zip(*columns, strict=True)), numeric)
    if lines and not lines[1]:  # no column has a unit
        del lines[1]
    left_out = table.colnames[len(columns) :]
    total = _total(table)
    plural = "row" if total == 1 else "rows"
    lines.append(f"{total:,} {plural}" if n_shown == total else f"{n_shown:,} of {total:,} {plural} shown")
    if left_out:
        lines.append(f"{len(left_out)} more columns do not fit: {', '.join(left_out)}")
    return "\n".join(lines)


def as_json(table: Table) -> dict[str, Any]:
    """Give a table as JSON-ready data: ``columns`` with their meanings, ``rows`` as lists, NULL and NaN as None."""
    described = [
        {
            "name": name,
            "type": column.dtype.name if column.dtype.kind != "U" else "text",
            "unit": _unit(column),
            "ucd": column.meta.get("ucd", ""),
            "description": column.description or "",
        }
        for name, column in table.columns.items()
    ]
    lists = [jsonable(np.ma.asarray(column.data).tolist()) for column in table.columns.values()]  # masked: None
    return {
        "columns": described,
        "rows": [list(row) for row in zip(*lists, strict=True)],
        "n_rows": len(table),
        "total_rows": _total(table),
    }


def _unit(column: Column) -> str:
    return "" if column.unit is None else str(column.unit.to_string())


def _total(table: Table) -> int:
    return max(int(table.meta.get("total_rows", 0)), len(table))
