"""The rows of a chunk while they are converted: values by transform and unit, and what is wrong with them.

Text becomes numbers without a Python loop. Every ``parse_...`` takes trimmed text and returns two arrays: the values,
NaN where the text is null or cannot be parsed, and where there is a text that cannot be parsed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from xcat.arrays import BoolArray, FloatArray
from xcat.catalogues.definition import Definition, Flaw
from xcat.catalogues.grammar import ColumnSpec, Step
from xcat.columns import registry
from xcat.columns.units import conversion
from xcat.ingest.opened import RawChunk

_NUMBER = r"^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$|^[+-]?(?i:nan|inf|infinity)$"
_SEXAGESIMAL = (
    r"^(?P<sign>[+-]?)\s*(?P<first>\d{1,3})"
    r"(?:(?:\s*[:hd°]\s*|\s+)(?P<minutes>\d{1,2}(?:\.\d*)?)"
    r"(?:(?:\s*[:m'′]\s*|\s+)(?P<seconds>\d{1,2}(?:\.\d*)?))?)?\s*[hdms°'\"′″]*$"
)
#: How tables write that there is no number; none of these is one.
_DASHES = ("-", "--", "---", "----", "..", "...", "....", "…", "—", "?")
_WORDS = ("null", "<null>", "none", "nan", "n/a", "#n/a", "<na>", "na", "n.a.", "nil", "\\n", "missing", "masked")
_MISSING = (*_DASHES, *_WORDS, "indef", "undef", "undefined", "nodata", "no data")
# 1.5D-14, as Fortran writes it; with a point or a sign, since 3D05 may be a name
_FORTRAN = (r"^([+-]?(?:\d+\.\d*|\.\d+))[dDqQ]([+-]?\d+)$", r"^([+-]?\d+)[dDqQ]([+-]\d+)$")
_COMMA = r"^[+-]?\d*,\d+(?:[eE][+-]?\d+)?$"
_THOUSANDS = r"^[+-]?[1-9]\d{0,2},\d{3}$"  # 1,234 may be 1234 or 1.234
#: Begins a limit that stands in the place of a value.
LIMIT = r"^(?:[<>]=?|[≤≥])\s*"
#: Ends the reason of a value that could not be used in a row that could.
VALUE_LEFT_EMPTY = "; value left empty"
_DATE = r"^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)?$"
_TRUE = ("true", "t", "yes", "y", "1")
_FALSE = ("false", "f", "no", "n", "0")
_MJD_OF_1970 = 40587.0
_US_PER_DAY = 86_400e6
_TEXTS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_dictionary)
_TOO_LARGE = 3e38  # the columns are float32; some catalogues write its largest number, or that of float64, for null


@cache
def _texts(words: tuple[str, ...]) -> pa.Array:
    """Words as Arrow has them, not before they are needed: the first array that is made loads pandas."""
    return pa.array(words)


@dataclass
class Rejects:
    """Rows that cannot be used, each with the first thing wrong with it; or values that were left empty."""

    row_number: npt.NDArray[np.int64]
    column_name: list[str]
    value: list[str]
    reason: list[str]

    def __len__(self) -> int:
        return len(self.row_number)

    def columns(self) -> dict[str, np.ndarray]:
        """The entries as columns of the table ``reject``, text as bytes."""
        texts = {"column_name": self.column_name, "value": self.value, "reason": self.reason}
        return {"row_number": self.row_number} | {
            name: to_bytes(pa.array(entries, pa.string())) for name, entries in texts.items()
        }


@lru_cache(maxsize=256)
def unit_factor(unit: str | None, standard: str) -> float:
    """Factor from the unit of a definition to a standard unit; NaN for one of another kind, which no definition has."""
    factor = 1.0 if unit is None else conversion(unit, standard, hours=True)
    return float("nan") if factor is None else factor


@dataclass
class Rows:
    """The rows of a chunk, which of them are still usable (``live``), and what is wrong with the others."""

    chunk: RawChunk
    definition: Definition

    def __post_init__(self) -> None:
        self.n = self.chunk.n_rows
        self.first_row = self.chunk.first_row
        self.live: BoolArray = np.ones(self.n, np.bool_)
        self._rejected: list[tuple[npt.NDArray[np.int64], tuple[str, ...], str]] = []
        self._emptied: list[tuple[npt.NDArray[np.int64], tuple[str, ...], str]] = []
        self._texts: dict[str, pa.StringArray] = {}
        self._limited: set[str] = set()  # columns that have limits in the place of values
        self._null_numbers = numbers = [v for v in self.definition.nulls if isinstance(v, float)]
        texts = [v.strip() for v in self.definition.nulls if isinstance(v, str)]
        self._null_texts = pa.array(["", *texts, *(f"{v:g}" for v in numbers), *map(str, numbers)])
        # a sign, hours or minutes of an angle in parts cannot be missing marks: "-" is the sign of -00 30 00
        parts = [t for t in self._null_texts.to_pylist() if not re.fullmatch(r"[+\-−–]|\d{1,3}(\.\d*)?", t)]
        self._null_parts = pa.array(parts, pa.string())

    def leave_out(self) -> int:
        """Leave out the rows that ``read.only`` does not want; return how many."""
        for column, allowed in self.definition.read.only.items():
            self.live &= self._is_one_of(column, allowed) | self.chunk.damaged.get(
                column, False
            )  # of a damaged text nobody knows
        return int(self.n - self.live.sum())

    def has(self, column: str) -> bool:
        """Whether the file has a column; it may lack those of `of_source` and `quality`."""
        return column in self.chunk.batch.schema.names

    def has_flaw(self, flaw: Flaw) -> BoolArray:
        """Rows that have a flaw, as its condition on the file's column says; a missing value is no flaw."""
        if flaw.values:
            return self._is_one_of(flaw.column, flaw.values)
        if flaw.above is not None:
            return np.asarray(self.numbers(flaw.column, optional=True) > flaw.above)
        if flaw.bits:
            numbers = np.nan_to_num(self.numbers(flaw.column, optional=True))
            whole = np.where((np.abs(numbers) < 2**53) & (numbers == np.floor(numbers)), numbers, 0).astype(np.int64)
            return np.asarray((whole & np.bitwise_or.reduce(flaw.bits)) != 0)
        return np.asarray(self.parsed(flaw.column, parse_flags, "true or false", optional=True) == 1)

    def _is_one_of(self, column: str, allowed: tuple[float | str, ...]) -> BoolArray:
        is_one = to_bools(pc.is_in(self.text(column), pa.array([str(v) for v in allowed])))
        numbers = [v for v in allowed if isinstance(v, float)]
        if numbers:
            is_one |= np.isin(self._parse_numbers(self.text(column))[0], numbers)
        return is_one

    def leave_out_damage(self) -> None:
        """Leave text empty that has bytes that no text has; where it is needed, reject the row."""
        needed = self.definition.needed_file_columns
        for column, wrong in self.chunk.damaged.items():
            reason = "text with bytes that text cannot have"
            self._wrong(wrong, (column,), reason, column not in needed)
            self._texts[column] = _where(pa.array(~wrong), self.text(column))

    def reject(self, wrong: BoolArray, columns: tuple[str, ...], reason: str) -> None:
        """Reject rows; a row that is rejected already keeps its first reason."""
        new = np.flatnonzero(wrong & self.live)
        if len(new):
            self._rejected.append((new, columns, reason))
            self.live[new] = False

    def leave_empty(self, wrong: BoolArray, columns: tuple[str, ...], reason: str) -> None:
        """Note values that cannot be used, in rows that stay."""
        new = np.flatnonzero(wrong & self.live)
        if len(new):
            self._emptied.append((new, columns, reason + VALUE_LEFT_EMPTY))

    def rejects(self) -> Rejects:
        """All rejected rows, in the order of the file, with the values at fault."""
        return self._entries(self._rejected)

    def emptied(self) -> Rejects:
        """The values left empty in rows that are not rejected, in the order of the file."""
        return self._entries([(i[self.live[i]], columns, reason) for i, columns, reason in self._emptied])

    def _entries(self, found: list[tuple[npt.NDArray[np.int64], tuple[str, ...], str]]) -> Rejects:
        entries = []
        for indices, columns, reason in found:
            shown = [self.chunk.batch.column(c).take(pa.array(indices)).to_pylist() for c in columns]
            for index, *cells in zip(indices.tolist(), *shown, strict=True):
                value = " ".join("" if c is None else str(c).strip() for c in cells).strip()
                entries.append((index + self.first_row, ", ".join(columns), value, reason))
        entries.sort()
        numbers, names, cells_, reasons = ([e[k] for e in entries] for k in range(4))
        return Rejects(np.array(numbers, np.int64), names, cells_, reasons)

    def text(self, column: str) -> pa.StringArray:
        """A column as trimmed text; null where blank or marked as missing."""
        if column not in self._texts:
            self._texts[column] = self._trimmed(column, self._null_texts)
        return self._texts[column]

    def _trimmed(self, column: str, nulls: pa.StringArray) -> pa.StringArray:
        array = self.chunk.batch.column(column)
        if pa.types.is_floating(array.type):
            array = _whole_if_possible(array)
        if not pa.types.is_string(array.type):
            array = array.cast(pa.string())
        array = pc.utf8_trim_whitespace(array)
        return pc.if_else(pc.is_in(array, nulls), pa.scalar(None, pa.string()), array)

    def any_text(self, spec: ColumnSpec) -> pa.StringArray:
        """The text of a column that stays text, after ``join`` or ``first``."""
        texts = [self.text(c) for c in spec.from_]
        if not spec.transform:
            return texts[0]
        if spec.transform[0].name == "join":
            return pc.binary_join_element_wise(*texts, str(spec.transform[0].arg))
        return pc.coalesce(*texts)

    def parsed(
        self,
        column: str,
        parse: Callable[[pa.StringArray], tuple[FloatArray, BoolArray]],
        what: str,
        optional: bool = False,
    ) -> FloatArray:
        """Parse the text of a column; rows whose text cannot be parsed are rejected, if `optional` it is left empty."""
        numbers, bad = parse(self.text(column))
        self._wrong(bad, (column,), f"not {what}", optional)
        return numbers

    def _wrong(self, wrong: BoolArray, columns: tuple[str, ...], reason: str, optional: bool) -> None:
        if optional:
            self.leave_empty(wrong, columns, reason)
        else:
            self.reject(wrong, columns, reason)

    def _parse_numbers(self, text: pa.StringArray) -> tuple[FloatArray, BoolArray]:
        return parse_numbers(text, self.definition.read.decimal)

    def numbers(self, column: str, optional: bool = False, of_text: tuple[float, float] | None = None) -> FloatArray:
        """A column as numbers; NaN where missing. For `optional` see `parsed`.

        With `of_text` sexagesimal text is read, too: in a column of angles it can mean nothing else. It has the degrees
        per unit of such text (15 for hours) and per unit of the column.
        """
        array = self.chunk.batch.column(column)
        if any(is_text(array.type) for is_text in _TEXTS):
            numbers, bad = self._parse_numbers(self.text(column))
            if bad.any() and of_text:
                numbers, bad = self._with_sexagesimal(column, of_text, numbers, bad)
            if bad.any():
                limit = bad & to_bools(pc.match_substring_regex(self.text(column), LIMIT))
                if limit.any():
                    self._limited.add(column)
                self._wrong(limit, (column,), "a limit, not a value", optional)
                self._wrong(bad & ~limit, (column,), "not a number", optional)
            stored = np.dtype(np.float64)
        else:
            if pa.types.is_boolean(array.type):
                array = array.cast(pa.uint8())
            elif not (pa.types.is_integer(array.type) or pa.types.is_floating(array.type)):
                array = array.cast(pa.float64())
            raw = array.to_numpy(zero_copy_only=False)
            stored = raw.dtype
            numbers = raw.astype(np.float64)
        with np.errstate(invalid="ignore"):
            null = np.abs(numbers) > _TOO_LARGE
        for marker in self._null_numbers:
            # a marker such as 99.9 was rounded when the file stored it in single precision
            rounded = float(np.float32(marker)) if stored == np.float32 else marker
            null |= numbers == rounded
        return np.where(null, np.nan, numbers) if null.any() else numbers

    def quantity(self, name: str, spec: ColumnSpec, optional: bool = False) -> FloatArray:
        """The values of a standard column, in its standard unit. For `optional` see `parsed`."""
        factor = unit_factor(spec.unit, registry.columns()[name].unit)
        if name in ("ra", "dec") and not spec.transform:
            of_text = (15.0 if name == "ra" else 1.0, factor)
            numbers = self._stepped(self.numbers(spec.from_[0], optional, of_text), ())
        else:
            numbers = self.plain(spec, optional)
        return numbers if factor == 1.0 else numbers * factor

    def _with_sexagesimal(
        self, column: str, of_text: tuple[float, float], numbers: FloatArray, bad: BoolArray
    ) -> tuple[FloatArray, BoolArray]:
        text = self.text(column)
        in_parts = bad & to_bools(pc.match_substring_regex(text, r"\d\s*[hd°:]\s*\d|\d\s+\d{1,2}\s+\d"))
        angles, wrong = _degrees(_where(pa.array(in_parts), text), of_text[0])
        is_angle = in_parts & ~wrong
        return np.where(is_angle, angles / of_text[1], numbers), bad & ~is_angle

    def upper_limits(self, name: str, spec: ColumnSpec) -> FloatArray | None:
        """The limits of a column that has some, written as ``<1.2e-15``; NaN for values. None if there are none."""
        is_rising = all(
            s.name in ("shift", "pow10") or (s.name == "scale" and float(s.arg or 0) > 0) for s in spec.transform
        )
        if len(spec.from_) > 1 or not is_rising or spec.from_[0] not in self._limited:
            return None
        text = self.text(spec.from_[0])
        is_limit = pc.match_substring_regex(text, r"^(?:<=?|≤)\s*")
        x, _ = self._parse_numbers(_where(is_limit, pc.replace_substring_regex(text, LIMIT, "")))
        return self._stepped(x, spec.transform) * unit_factor(spec.unit, registry.columns()[name].unit)

    def plain(self, spec: ColumnSpec, optional: bool = False) -> FloatArray:
        """The values of an entry after its transform, before its unit. For `optional` see `parsed`."""
        first, steps = spec.transform[0].name if spec.transform else "", spec.transform[1:]
        if first in ("hms", "dms"):
            x = self._sexagesimal(spec, 15.0 if first == "hms" else 1.0)
        elif first == "iso_time":
            x = self.parsed(spec.from_[0], parse_dates, "a date", optional)
        elif first == "flags":
            bits = [self.parsed(c, parse_flags, "true or false", optional) for c in spec.from_]
            x = np.sum([np.nan_to_num(b) * 2**k for k, b in enumerate(bits)], axis=0)
        elif first in _OF_SEVERAL:
            x = _OF_SEVERAL[first]([self.numbers(c, optional) for c in spec.from_])
            if spec.transform[0].arg is not None:
                x = x / float(spec.transform[0].arg)
        else:
            x, steps = self.numbers(spec.from_[0], optional), spec.transform
        return self._stepped(x, steps)

    def _stepped(self, x: FloatArray, steps: tuple[Step, ...]) -> FloatArray:
        with np.errstate(all="ignore"):
            for step in steps:
                x = _OF_ONE[step.name](x, float(step.arg or 0.0))
            return np.where(np.isfinite(x) & (np.abs(x) <= _TOO_LARGE), x, np.nan)

    def _sexagesimal(self, spec: ColumnSpec, per_unit: float) -> FloatArray:
        if len(spec.from_) == 1:
            joined = self.text(spec.from_[0])
        else:
            texts = [self._trimmed(c, self._null_parts) for c in spec.from_]
            # the sign has a separate column in dms; an empty one means plus. Seconds may be missing, or minutes
            # and seconds; minutes alone may not, and "~" makes such an angle invalid
            sign = [pc.fill_null(texts[0], "+")] if len(texts) == 4 else []
            filled = [pc.fill_null(t, "~") for t in texts[len(sign) :]]
            whole = pc.utf8_rtrim(pc.binary_join_element_wise(*sign, *filled, " "), " ~")
            given = pc.is_valid(texts[len(sign)])
            joined = pc.if_else(given, whole, pa.scalar(None, pa.string()))
        degrees, bad = _degrees(joined, per_unit)
        self.reject(bad, spec.from_, "not a sexagesimal angle")
        return degrees


def _whole_if_possible(array: pa.Array) -> pa.Array:
    """Make integers of identifiers that a program stored as floats, lest 2e14 become their text."""
    array = pc.if_else(pc.is_nan(array), pa.scalar(None, array.type), array)
    try:
        return array.cast(pa.int64())
    except pa.ArrowInvalid:
        return array


def _first(columns: list[FloatArray]) -> FloatArray:
    x = columns[0]
    for other in columns[1:]:
        x = np.where(np.isnan(x), other, x)
    return x


def _hardness(columns: list[FloatArray]) -> FloatArray:
    soft, hard = (np.maximum(c, 0.0) for c in columns[:2])  # NaN stays NaN
    total = np.where(soft + hard > 0, soft + hard, np.nan)
    if len(columns) == 2:
        return np.asarray((hard - soft) / total)
    soft_err, hard_err = (np.where(c > 0, c, np.nan) for c in columns[2:])  # 0 and below mark missing ones
    return np.asarray(2 * np.hypot(soft * hard_err, hard * soft_err) / total**2)


_OF_SEVERAL: dict[str, Callable[[list[FloatArray]], FloatArray]] = {
    "half_range": lambda c: (c[1] - c[0]) / 2,
    "sum": lambda c: np.sum(c, axis=0),
    "hypot": lambda c: np.sqrt(np.sum(np.square(c), axis=0)),
    "first": _first,
    "measured": lambda c: np.where(np.isnan(c[1]), np.nan, c[0]),
    "hardness": _hardness,
    "hardness_err": _hardness,
    "first_positive": lambda c: _first([np.where(x > 0, x, np.nan) for x in c]),
}


_OF_ONE: dict[str, Callable[[FloatArray, float], FloatArray]] = {
    "one_minus": lambda x, _: 1 - x,
    "scale": lambda x, k: k * x,
    "shift": lambda x, k: x + k,
    "pow10": lambda x, _: 10.0**x,
    "inverse_pow10": lambda x, _: 10.0**-x,
    "log10": lambda x, _: np.log10(np.where(x > 0, x, np.nan)),
    "flux_to_mag": lambda flux, zero_point: zero_point - 2.5 * np.log10(np.where(flux > 0, flux, np.nan)),
}


# --- text to numbers ---


def parse_numbers(text: pa.StringArray, decimal: str | None = None) -> tuple[FloatArray, BoolArray]:
    """Parse numbers, correctly rounded, also as Fortran writes them (``1.5D-14``) and with a decimal comma.

    A comma is taken for the decimal mark where it is told to be (`decimal`), and where it can be nothing else: ``0,8``,
    and then also ``1,234`` in the same column. With thousands separators a text is not a number.
    """
    bad = np.zeros(len(text), np.bool_)
    if decimal != ",":
        try:
            return to_floats(pc.cast(text, pa.float64())), bad
        except pa.ArrowInvalid:
            pass
    text = _where(pc.invert(pc.is_in(pc.utf8_lower(text), _texts(_MISSING))), text)
    text = pc.replace_substring_regex(text, "^[\u2212\u2013]", "-")
    for pattern in _FORTRAN:
        text = pc.replace_substring_regex(text, pattern, r"\1e\2")
    comma = pc.match_substring_regex(text, _COMMA)
    if pc.any(comma).as_py():
        plain = comma if decimal == "," else pc.and_not(comma, pc.match_substring_regex(text, _THOUSANDS))
        if decimal != "." and pc.any(plain).as_py():
            text = pc.if_else(comma, pc.replace_substring(text, ",", "."), text)
    valid = pc.match_substring_regex(text, _NUMBER)
    bad = to_bools(pc.invert(valid))
    usable = pc.utf8_ltrim(_where(valid, text), "+")
    return to_floats(pc.cast(usable, pa.float64())), bad


def _degrees(text: pa.StringArray, per_unit: float) -> tuple[FloatArray, BoolArray]:
    """Parse sexagesimal angles, in hours (`per_unit` 15) or degrees (1) unless their own letters say which."""
    angle, bad = parse_sexagesimal(text)
    hours = to_bools(pc.match_substring_regex(text, r"^[+-]?\s*\d+\s*h"))
    degrees = to_bools(pc.match_substring_regex(text, r"^[+-]?\s*\d+\s*[d°]"))
    if per_unit == 1.0:
        bad = bad | hours  # a declination in hours is none
    values = angle * np.where(degrees, 1.0, per_unit)
    return np.where(bad, np.nan, values), bad


def parse_sexagesimal(text: pa.StringArray) -> tuple[FloatArray, BoolArray]:
    """Parse angles such as ``12 34 56.7``, ``12:34:56.7``, ``-00 30 00`` or ``+12d34m56s``, in hours or degrees."""
    parts = pc.extract_regex(pc.replace_substring(text, "−", "-"), _SEXAGESIMAL)
    first, minutes, seconds = (_part(parts, name) for name in ("first", "minutes", "seconds"))
    with np.errstate(invalid="ignore"):
        wrong = np.isnan(first) | (minutes >= 60) | (seconds > 60)
    negative = to_bools(pc.equal(pc.struct_field(parts, "sign"), "-"))
    values = np.where(wrong, np.nan, first + np.nan_to_num(minutes) / 60 + np.nan_to_num(seconds) / 3600)
    return np.where(negative, -values, values), wrong & to_bools(pc.is_valid(text))


def _part(parts: pa.StructArray, name: str) -> FloatArray:
    text = pc.struct_field(parts, name)
    return to_floats(pc.cast(_where(pc.not_equal(text, ""), text), pa.float64()))


def parse_dates(text: pa.StringArray) -> tuple[FloatArray, BoolArray]:
    """Parse dates of ISO 8601 (UTC) as modified Julian dates."""
    text = pc.utf8_rtrim(text, "Z")
    valid = pc.match_substring_regex(text, _DATE)
    try:
        stamps = pc.cast(_where(valid, text), pa.timestamp("us"))
    except pa.ArrowInvalid:  # the form is right, but there is no 31st of June
        stamps = pa.array([_stamp(t) for t in _where(valid, text).to_pylist()], pa.timestamp("us"))
    values = to_floats(pc.cast(pc.cast(stamps, pa.int64()), pa.float64())) / _US_PER_DAY + _MJD_OF_1970
    return values, np.isnan(values) & to_bools(pc.is_valid(text))


def _stamp(text: str | None) -> Any:
    try:
        return None if text is None else np.datetime64(text, "us").astype(object)
    except ValueError:
        return None


def parse_flags(text: pa.StringArray) -> tuple[FloatArray, BoolArray]:
    """Parse truth values as 1 and 0; among numbers 0 is false, all others are true."""
    lower = pc.utf8_lower(text)
    true, false = (to_bools(pc.is_in(lower, _texts(words))) for words in (_TRUE, _FALSE))
    rest = pa.array(~(true | false))
    numbers, bad = parse_numbers(_where(rest, text))
    values = np.where(np.isnan(numbers), np.nan, (numbers != 0).astype(np.float64))
    values[true], values[false] = 1.0, 0.0
    return values, bad


def _where(condition: pa.BooleanArray, text: pa.StringArray) -> pa.StringArray:
    return pc.if_else(condition, text, pa.scalar(None, pa.string()))


def to_floats(array: pa.Array) -> FloatArray:
    """Make a numpy array of an Arrow array of numbers; NaN where null."""
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=np.float64)


def to_bools(array: pa.BooleanArray) -> BoolArray:
    """Make a numpy array of an Arrow array of truth values; False where null."""
    return np.asarray(array.fill_null(False).to_numpy(zero_copy_only=False))


def to_bytes(text: pa.StringArray) -> npt.NDArray[np.bytes_]:
    """Make a numpy array of UTF-8 bytes; empty where null."""
    raw = text.cast(pa.binary()).fill_null(b"").to_numpy(zero_copy_only=False)
    return raw.astype("S") if len(raw) else np.empty(0, "S1")
