"""Text to numbers without a Python loop: plain numbers, sexagesimal angles, dates, truth values.

Every ``parse_...`` takes trimmed text and returns two arrays: the values, NaN where the text is null or cannot be
parsed, and where there is a text that cannot be parsed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from xcat.arrays import BoolArray, FloatArray

_NUMBER = r"^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$|^[+-]?(?i:nan|inf|infinity)$"
_SEXAGESIMAL = (
    r"^(?P<sign>[+-]?)\s*(?P<first>\d{1,3})"
    r"(?:(?:\s*[:hd°]\s*|\s+)(?P<minutes>\d{1,2}(?:\.\d*)?)"
    r"(?:(?:\s*[:m'′]\s*|\s+)(?P<seconds>\d{1,2}(?:\.\d*)?))?)?\s*[hdms°'\"′″]*$"
)
_DATE = r"^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)?$"
_TRUE = pa.array(["true", "t", "yes", "y", "1"])
_FALSE = pa.array(["false", "f", "no", "n", "0"])
_MJD_OF_1970 = 40587.0
_US_PER_DAY = 86_400e6


def parse_numbers(text: pa.StringArray) -> tuple[FloatArray, BoolArray]:
    """Parse numbers, correctly rounded."""
    bad = np.zeros(len(text), np.bool_)
    try:
        return to_floats(pc.cast(text, pa.float64())), bad
    except pa.ArrowInvalid:
        valid = pc.match_substring_regex(text, _NUMBER)
        bad = to_bools(pc.invert(valid))
        usable = pc.utf8_ltrim(_where(valid, text), "+")
        return to_floats(pc.cast(usable, pa.float64())), bad


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
    true, false = to_bools(pc.is_in(lower, _TRUE)), to_bools(pc.is_in(lower, _FALSE))
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
