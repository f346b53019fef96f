"""The columns of a sky map in FITS: which is the probability, which says where a cell is, in which units and frame."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xcat.arrays import FloatArray, IntArray
from xcat.errors import InputError
from xcat.ingest.fits_layout import Extension
from xcat.ingest.fits_table import FitsColumn, binary_columns
from xcat.sky.skymap import check_values

#: Keywords of the header that say what a map is.
KEYWORDS = (
    "ORDERING",
    "COORDSYS",
    "NSIDE",
    "INDXSCHM",
    "OBJECT",
    "DATE-OBS",
    "INSTRUME",
    "CREATOR",
    "DISTMEAN",
    "DISTSTD",
)
_PROBABILITIES = ("PROB", "PROBABILITY")
_DENSITIES = ("PROBDENSITY", "PROB_DENSITY", "PROBABILITY_DENSITY", "PROBABILITY DENSITY")
_ORDERINGS = {"NESTED": "NESTED", "NEST": "NESTED", "RING": "RING", "NUNIQ": "NUNIQ", "UNIQ": "NUNIQ"}
_EQUATORIAL = ("C", "CEL", "CELESTIAL", "EQ", "EQU", "EQUATORIAL", "ICRS", "FK5", "J2000")
_GALACTIC = ("G", "GAL", "GALACTIC")


@dataclass
class MapTable:
    """The table of a map: its columns, and how they become values."""

    hdu: Extension
    ordering: str
    columns: list[FitsColumn]
    factors: list[float]
    index: FitsColumn | None
    is_density: bool

    @property
    def n_rows(self) -> int:
        """Rows of the table."""
        return int(self.hdu.header["NAXIS2"])

    @property
    def where(self) -> str:
        """What to call the map in messages."""
        return str(self.hdu.path)

    @property
    def n_per_row(self) -> int:
        """Cells of a row: healpy writes 1,024."""
        return repeat(self.columns[0])

    def values(self, part: np.ndarray) -> FloatArray:
        """Values of some rows, shape (n_columns, n)."""
        out = np.empty((len(self.columns), len(part) * self.n_per_row))
        for k, (column, factor) in enumerate(zip(self.columns, self.factors, strict=True)):
            out[k] = part[f"f{k}"].ravel()
            if column.scale != 1 or column.zero != 0:
                out[k] = out[k] * column.scale + column.zero
            if factor != 1:
                out[k] *= factor
        return out

    def numbers(self, part: np.ndarray) -> IntArray:
        """Numbers of the cells of some rows; unsigned ones are stored less a TZERO."""
        assert self.index is not None
        whole = part[f"f{len(self.columns)}"].ravel().astype(np.int64).view(np.uint64)
        return (whole + np.uint64(int(self.index.zero) % 2**64)).view(np.int64)

    def check(self, values: FloatArray, cells_before: IntArray) -> None:
        """Refuse values that are no probabilities; `cells_before` says how many cells of the file come before each."""
        check_values(values, self.where, self.columns[0].facts.name, cells_before // self.n_per_row + 1)


def map_table(hdu: Extension, wanted: str, notes: list[str]) -> MapTable:
    """Find the columns of a map.

    Parameters
    ----------
    hdu : Extension
    wanted : str
        Column of the probability; empty for the usual names.
    notes : list of str
        What the user should know is added.

    Raises
    ------
    InputError
        A column is missing or does not hold numbers, or the header contradicts the columns.
    """
    path, by_name = hdu.path, {c.facts.name.upper(): c for c in binary_columns(hdu)}
    index = by_name.get("UNIQ")
    ordering = str(hdu.value("ORDERING", "")).strip().upper()
    if not ordering and index is not None:
        notes.append(f"{path}: no ORDERING in the header; taken as multi-order, for there is a column UNIQ")
        ordering = "NUNIQ"
    if ordering not in _ORDERINGS:
        says = f"is {ordering[:20]!r}" if ordering else "is missing"
        raise InputError(f"{path}: ORDERING {says}; it must be NESTED, RING or NUNIQ, else no cell has a place")
    ordering = _ORDERINGS[ordering]
    if (ordering == "NUNIQ") != (index is not None):
        says = "there is no column UNIQ" if index is None else "there is a column UNIQ, which only NUNIQ has"
        raise InputError(f"{path}: ORDERING is {ordering}, but {says}; the header is wrong, or the file is no sky map")
    if ordering != "NUNIQ" and str(hdu.value("INDXSCHM", "")).strip().upper() == "EXPLICIT":
        index = by_name.get("PIXEL")
        if index is None:
            raise InputError(f"{path}: INDXSCHM is EXPLICIT, but there is no column PIXEL; the header is wrong")
    names = [wanted.upper()] if wanted else [n for n in (*_PROBABILITIES, *_DENSITIES) if n in by_name]
    if not names or names[0] not in by_name:
        searched = f"column '{wanted}'" if wanted else "column PROB, PROBABILITY or PROBDENSITY"
        has = ", ".join(c.facts.name for c in by_name.values())
        raise InputError(f"{path}: there is no {searched}; the table has {has}. Name the right one with --column")
    value = by_name[names[0]]
    per_sr = _per_steradian(value.facts.unit)
    is_density = names[0] in _DENSITIES or per_sr is not None
    columns, factors = [value], [(per_sr or 1.0) if is_density else 1.0]
    distance = [by_name[name] for name in ("DISTMU", "DISTSIGMA") if name in by_name]
    if len(distance) == 2:
        columns, factors = columns + distance, factors + [_in_mpc(path, c) for c in distance]
    elif distance:
        notes.append(f"{path}: of DISTMU and DISTSIGMA only {distance[0].facts.name} is there; distances are not used")
    used = [*columns, *([index] if index else [])]
    for each in used:
        is_wrong = each.code not in "BIJK" or each.scale != 1 if each is index else each.code not in "EDIJK"
        if is_wrong or not repeat(each) or repeat(each) != repeat(value):
            raise InputError(f"{path}: column '{each.facts.name}' does not hold a number for every cell")
    return MapTable(hdu, ordering, columns, factors, index, is_density)


def repeat(column: FitsColumn) -> int:
    """How many numbers a row of the column holds; 0 if it does not hold numbers."""
    return column.width // np.dtype(column.type).itemsize if column.type and column.code != "A" else 0


def _unit(text: str) -> Any:
    from astropy.units import Unit

    return Unit(text, parse_strict="silent")


def _per_steradian(unit: str) -> float | None:
    """Steradians to the power of minus one in a unit of density; None for other units."""
    from astropy.units import UnitConversionError, sr

    try:
        return float(_unit(unit).to(1 / sr))
    except (UnitConversionError, TypeError, ValueError):
        return None


def _in_mpc(path: Path, column: FitsColumn) -> float:
    """Mpc in the unit of a distance; Mpc if it has none."""
    from astropy.units import Mpc, UnitConversionError

    if not column.facts.unit:
        return 1.0
    try:
        return float(_unit(column.facts.unit).to(Mpc))
    except (UnitConversionError, TypeError, ValueError):
        raise InputError(
            f"{path}: column '{column.facts.name}' has the unit {column.facts.unit[:20]!r}, which is no distance; "
            "correct its TUNIT"
        ) from None


def is_galactic(hdu: Extension, notes: list[str]) -> bool:
    """Whether the cells are those of galactic coordinates.

    Raises
    ------
    InputError
        They are neither galactic nor equatorial.
    """
    frame = str(hdu.value("COORDSYS", "")).strip().upper()
    if not frame:
        notes.append(f"{hdu.path}: no COORDSYS in the header; taken as equatorial (C)")
    if frame and frame not in (*_EQUATORIAL, *_GALACTIC):
        raise InputError(
            f"{hdu.path}: COORDSYS is {frame[:20]!r}; only maps in equatorial (C) and galactic (G) coordinates are "
            "read. Rotate the map first"
        )
    return frame in _GALACTIC
