"""Columns as every format can hold them: plain types, and names and texts without what a format forbids."""

from __future__ import annotations

import json
import re
import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import chain, count
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from astropy.table import Column, Table

_INT64, _UINT64 = np.iinfo(np.int64), np.iinfo(np.uint64)
#: Texts with control characters; FITS holds printable ASCII only, XML a part of Unicode, of which VOTable's binary form
#: has the characters of two bytes.
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NOT_FITS = re.compile(r"[^\x20-\x7e]")
_NOT_VOTABLE = re.compile(r"[\x00-\x1f\x7f\ufffe\uffff\U00010000-\U0010ffff]")
_FORBIDDEN = {".fits": _NOT_FITS, **dict.fromkeys((".vot", ".xml", ".votable"), _NOT_VOTABLE), ".parquet": None}
_FITS_NAME = 68  # characters of a keyword's value on one card

_MAX_FRACTION_DIGITS = 20  # what PostgreSQL's division gives at most


def unique_names(names: Sequence[str], *, fold: bool = True) -> list[str]:
    """Names, with a number from the second of equal ones on; by default names that differ in case only are equal."""
    out: list[str] = []
    used: set[str] = set()
    for name in names:
        numbered = (f"{name}_{number}" for number in count(2))
        candidate = next(n for n in chain([name], numbered) if _key(n, fold) not in used)
        out.append(candidate)
        used.add(_key(candidate, fold))
    return out


def _key(name: str, fold: bool) -> str:
    return name.casefold() if fold else name


def names_in_file(names: Sequence[str], ending: str) -> list[str]:
    """Names of columns as a format takes them: none empty, with blanks at its ends or with control characters.

    In FITS they are ASCII, of at most 68 characters, and differ by more than their case.
    """
    written = [re.sub(r"\s", " ", _CONTROL.sub("_", name)).strip() for name in names]
    written = [name or f"column_{i}" for i, name in enumerate(written, 1)]
    if ending != ".fits":
        return unique_names(written, fold=False)
    ascii_names = []
    for name in written:
        folded = unicodedata.normalize("NFKD", name)
        letters = "".join(c for c in folded if not unicodedata.combining(c))
        ascii_names.append(_NOT_FITS.sub("?", letters)[:_FITS_NAME].strip() or "?")
    if len({name.casefold() for name in ascii_names}) == len(ascii_names):
        return ascii_names
    return unique_names([name[: _FITS_NAME - 5].strip() for name in ascii_names])


class Decimals:
    """Decimal and whole numbers of any size, exactly: which type holds all that were seen.

    Integers where 64 bits hold them, else text; float64 for fractions of no more digits than a division gives.
    """

    def __init__(self) -> None:
        self._whole = self._fractions = True
        self._least: int | None = None
        self._most = 0

    def add(self, values: Sequence[Any]) -> None:
        """Look at some values: Decimal, int, or None."""
        present = [v for v in values if v is not None]
        self._whole &= all(isinstance(v, int) or (v.is_finite() and v.as_tuple().exponent >= 0) for v in present)
        self._fractions &= all(map(_is_a_fraction, present))
        if self._whole and present:
            least, most = int(min(present)), int(max(present))
            self._most = most if self._least is None else max(most, self._most)
            self._least = least if self._least is None else min(least, self._least)

    def exact(self, values: Sequence[Any]) -> np.ndarray | None:
        """Some of the values in the type of all; None if that is float64."""
        if self._whole and self._least is not None:
            for limits in (_INT64, _UINT64):
                if limits.min <= self._least and self._most <= limits.max:
                    return np.array([0 if v is None else int(v) for v in values], dtype=limits.dtype)
        elif self._fractions:
            return None
        return np.array(["" if v is None else format(Decimal(v), "f") for v in values], dtype=np.str_)


def whole_or_text(values: Sequence[Any]) -> tuple[np.ndarray, np.ndarray] | None:
    """Decimal and whole numbers of any size, exactly: as integers if 64 bits hold them, else as text.

    Parameters
    ----------
    values : sequence
        Decimal, int, or None.

    Returns
    -------
    values, mask : ndarray or None
        None if they are fractions of no more digits than a division gives, which are float64.
    """
    seen = Decimals()
    seen.add(values)
    exact = seen.exact(values)
    return None if exact is None else (exact, np.array([v is None for v in values], dtype=bool))


def _is_a_fraction(value: Decimal | int) -> bool:
    """Whether float64 holds a number to the digits that count: no long integer, no more digits than a quotient has."""
    value = Decimal(value)
    if not value.is_finite():
        return True
    return abs(value) <= 2**53 and len(value.normalize().as_tuple().digits) <= _MAX_FRACTION_DIGITS


def plain(table: Table, ending: str) -> Table:
    """The table with columns of numbers, truth values and texts only, and names and texts that a format can hold.

    Parameters
    ----------
    table : Table
        Objects become whole numbers where they are, else text (arrays as JSON); dates become ISO 8601, durations
        seconds, complex numbers text. Characters that the format cannot hold become escapes, as in ``\\x07``.
    ending : str
        Of the name of the file.
    """
    from astropy.table import Column, MaskedColumn, Table

    out = Table(meta=dict(table.meta))
    forbidden = _FORBIDDEN.get(ending, _CONTROL)
    for old, name in zip(table.colnames, names_in_file(table.colnames, ending), strict=True):
        column = table[old]
        data, mask, unit = _simple(column)
        if data.dtype.kind == "U":
            data = _escaped(data, forbidden)
        unit = unit if unit is not None else getattr(column, "unit", None)
        kind = MaskedColumn(data, mask=mask) if mask.any() else Column(data)
        kind.unit, kind.description = unit, getattr(column.info, "description", None)
        kind.meta = dict(column.info.meta or {})
        kind.info.format = column.info.format if kind.dtype == getattr(column, "dtype", None) else None
        out[name] = kind
    return out


def _simple(column: Any) -> tuple[np.ndarray, np.ndarray, Any]:
    """Values, mask, and unit if it is another than the column's."""
    from astropy.table import Column

    if not isinstance(column, Column):  # times, coordinates: as they are printed
        values = np.array([str(v) for v in column], dtype=np.str_)
        return values, np.zeros(len(values), bool), None
    masked = np.ma.asarray(column)
    data, mask = np.ma.getdata(masked), np.ma.getmaskarray(masked)
    kind = data.dtype.kind
    if kind == "O":
        data, missing = of_objects([None if m else v for v, m in zip(column.tolist(), _by_row(mask), strict=True)])
        return data, missing, None
    if kind == "S":
        try:
            data = np.char.decode(data, "utf-8") if data.size else data.astype(np.str_)
        except UnicodeDecodeError:
            data = np.char.decode(data, "latin-1")
    elif kind in "mM":
        mask = mask | np.isnat(data)
        if kind == "m":
            from astropy.units import s

            return np.where(mask, np.nan, data / np.timedelta64(1, "s")), mask, s
        data = np.where(mask, "", np.datetime_as_string(data)) if data.size else data.astype(np.str_)
    elif kind == "c" or kind == "V":
        data = np.array([str(v) for v in data.tolist()], dtype=np.str_)
        mask = np.array(list(_by_row(mask)), dtype=bool)
    elif kind == "f" and data.dtype.itemsize not in (4, 8):
        data = data.astype(np.float32 if data.dtype.itemsize < 4 else np.float64)
    return data.astype(data.dtype.newbyteorder("="), copy=False), mask, None


def _by_row(mask: Any) -> Iterator[bool]:
    return iter((mask if mask.ndim == 1 else mask.reshape(len(mask), -1).all(axis=1)).tolist())


def of_objects(values: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Objects as whole numbers, float64 or truth values where all are, else as text."""
    missing = np.array([v is None or v is np.ma.masked for v in values], dtype=bool)
    present = [v for v, m in zip(values, missing, strict=True) if not m]
    kinds = {type(v) for v in present}
    clean = [None if m else v for v, m in zip(values, missing, strict=True)]
    if present and kinds <= {bool, np.bool_}:
        return np.array([bool(v) for v in clean], dtype=bool), missing
    if present and all(issubclass(k, int | Decimal | np.integer) and k is not bool for k in kinds):
        numbers = [int(v) if isinstance(v, np.integer) else v for v in clean]
        exact = whole_or_text(numbers)
        return exact or (np.array([np.nan if v is None else float(v) for v in numbers]), missing)
    if present and all(issubclass(k, float | np.floating) for k in kinds):
        return np.array([np.nan if v is None else float(v) for v in clean]), missing
    return np.array(["" if v is None else as_text(v) for v in clean], dtype=np.str_), missing


def as_text(value: Any) -> str:
    """An object as text: arrays and mappings as JSON, times as ISO 8601, bytes as UTF-8 or hexadecimal digits."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        raw = bytes(value)
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            return "\\x" + raw.hex()
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return str(value.total_seconds())
    if isinstance(value, np.ndarray | list | tuple | dict):
        from xcat.arrays import jsonable

        listed = np.ma.asarray(value).tolist() if isinstance(value, np.ndarray) else value
        return json.dumps(jsonable(listed, infinity=True), default=str, ensure_ascii=False)
    return str(value)


def escape(text: str, forbidden: re.Pattern[str] = _CONTROL) -> str:
    """Characters that a format cannot hold as escapes, as in ``\\n`` or ``\\xe9``, so that none is lost."""
    return forbidden.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _escaped(data: np.ndarray, forbidden: re.Pattern[str] | None) -> np.ndarray:
    """Texts with escapes; only the texts that need it are touched."""
    if forbidden is None or not data.size:
        forbidden = re.compile("[\ud800-\udfff]")  # halves of characters, which UTF-8 has not
    flat = data.ravel().tolist()
    wrong = [i for i, text in enumerate(flat) if forbidden.search(text)]
    if not wrong:
        return data
    for i in wrong:
        flat[i] = escape(flat[i], forbidden)
    return np.array(flat, dtype=np.str_).reshape(data.shape)


def unsigned_as_signed(data: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Whole numbers in a signed type: the next larger one; 64 bits that do not fit as text."""
    if data.dtype.kind != "u" and data.dtype.itemsize > 1:
        return data
    if data.dtype.itemsize < 8:
        return data.astype({1: np.int16, 2: np.int32, 4: np.int64}[data.dtype.itemsize])
    if not data.size or data[~mask].max(initial=0) <= _INT64.max:
        return data.astype(np.int64)
    return np.where(mask, "", data.astype(np.str_))


def as_json_text(column: Column) -> Column:
    """Arrays as JSON, for formats that have none."""
    from astropy.table import Column

    text = [as_text(np.ma.asarray(row)) for row in column]
    return Column(np.array(text, dtype=np.str_), description=column.description, meta=column.meta, unit=column.unit)


def replaced(column: Column, data: np.ndarray, mask: np.ndarray | None = None) -> Column:
    """A column with other values."""
    from astropy.table import Column, MaskedColumn

    kind = Column(data) if mask is None or not isinstance(column, MaskedColumn) else MaskedColumn(data, mask=mask)
    kind.unit, kind.description, kind.meta = column.unit, column.description, dict(column.meta)
    return kind


def parts(column: Column) -> tuple[np.ndarray, np.ndarray]:
    """Values and mask."""
    values = np.ma.asarray(column)
    return np.ma.getdata(values), np.ma.getmaskarray(values)


def unit_text(unit: Any, form: str) -> str:
    """The unit as a format writes it; one that it cannot express, such as 2.5e-15 erg/s/cm2, as astropy writes it."""
    if unit is None or str(unit) == "":
        return ""
    from astropy.units import Unit, UnitsWarning

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UnitsWarning)  # VOUnit deprecates erg, the unit of X-ray astronomy
            text = str(unit.to_string(form))
            return text if Unit(text, format=form, parse_strict="silent") == unit else str(unit)
    except (ValueError, TypeError, AttributeError):
        return str(unit)


def width(data: np.ndarray) -> int:
    """Characters of the texts of a column, at least one."""
    return max(data.dtype.itemsize // 4, 1)
