"""Small sky maps for the tests, with everything about them computed in plain loops."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

SR_DEG2 = float(np.degrees(1) ** 2)
HEADER = {"PIXTYPE": "HEALPIX", "ORDERING": "NUNIQ", "COORDSYS": "C", "INDXSCHM": "EXPLICIT"}


def uniq(order: Any, cell: Any) -> np.ndarray:
    return np.asarray(4 * 4 ** np.asarray(order, np.int64) + np.asarray(cell, np.int64))


def area_sr(order: Any) -> np.ndarray:
    return np.asarray(4 * np.pi / 12 / 4.0 ** np.asarray(order))


def content(columns: dict[str, Any], header: dict[str, Any], units: dict[str, str] | None = None) -> bytes:
    """A FITS file with a table of these columns; two-dimensional ones have several cells in a row."""
    made = []
    for name, values in columns.items():
        values = np.asarray(values)
        code = {"i8": "K", "i4": "J", "f8": "D", "f4": "E", "i2": "I"}.get(values.dtype.str[1:], f"{values.itemsize}A")
        repeat = values.shape[1] if values.ndim == 2 else ""
        made.append(fits.Column(name, f"{repeat}{code}", unit=(units or {}).get(name), array=values))
    table = fits.BinTableHDU.from_columns(made)
    table.header.update({key: value for key, value in header.items() if value is not None})
    out = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(out)
    return out.getvalue()


def write(path: Path, columns: dict[str, Any], header: dict[str, Any], units: dict[str, str] | None = None) -> Path:
    """Write such a file, packed if its name ends in .gz."""
    raw = content(columns, header, units)
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return path


def split(splits: list[int], most: int) -> tuple[np.ndarray, np.ndarray]:
    """Orders and cells of a whole sky: each number names a cell that is cut in four, down to an order."""
    cells = [(0, i) for i in range(12)]
    for number in splits:
        order, cell = cells.pop(number % len(cells))
        cells += [(order + 1, 4 * cell + i) for i in range(4)] if order < most else [(order, cell)]
    return tuple(np.array(v) for v in zip(*cells, strict=True))  # type: ignore[return-value]


def levels(order: np.ndarray, density: np.ndarray) -> np.ndarray:
    """Credible level of every cell: the probability of all cells that are at least as dense."""
    p = density * area_sr(order)
    return np.array([p[density >= each].sum() for each in density]) / p.sum()
