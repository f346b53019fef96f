"""Filters of the templates: numbers, names and moments as people read them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from markupsafe import Markup, escape

from xcat.columns.properties import property_label, property_symbol
from xcat.columns.registry import columns
from xcat.output.terminal import number as digits

_NONE = "–"
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_UNITS = {"erg / (s cm2)": "erg s⁻¹ cm⁻²", "mas / yr": "mas yr⁻¹", "erg / s": "erg s⁻¹"}


def is_missing(value: Any) -> bool:
    """Whether a cell has no value."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def number(value: Any, n_digits: int = 3) -> str:
    """A number with so many significant digits; very small and large ones as a power of ten."""
    if is_missing(value):
        return _NONE
    if not math.isfinite(value):
        return "∞" if value > 0 else "−∞"
    if value != 0 and not 1e-3 <= abs(value) < 1e6:
        mantissa, _, power = f"{value:.{n_digits - 1}e}".partition("e")
        return f"{mantissa}×10{str(int(power)).translate(_SUPERSCRIPT)}".replace("-", "−")
    return digits(float(f"{value:.{n_digits}g}")).replace("-", "−")


def count(value: Any) -> str:
    """A whole number, in groups of three digits."""
    return _NONE if is_missing(value) else f"{value:,}".replace(",", "\u202f")


def percent(value: Any, n_decimals: int = 0) -> str:
    """A share as a percentage; never 100 % or 0 % where something is left."""
    if is_missing(value):
        return _NONE
    if 0 < value < 0.005 and n_decimals == 0:
        return "< 1 %" if value >= 0.001 else "< 0.1 %"
    if 0.995 <= value < 1 and n_decimals == 0:
        return "> 99 %" if value < 0.999 else "> 99.9 %"
    return f"{100 * value:.{n_decimals}f} %"


def moment(value: Any) -> str:
    """A moment to the minute."""
    return _NONE if value is None else str(value)[:16].replace("T", " ")


def unit(text: str) -> str:
    """A unit in the notation of papers."""
    return _UNITS.get(text, text.replace(" / ", "/"))


def capital(text: str) -> str:
    """A text with a capital at its beginning."""
    return text[:1].upper() + text[1:]


def label(name: str) -> str:
    """Human name of a property or a column."""
    shown = property_label(name)
    if shown != name or name not in columns():
        return capital(shown)
    return capital(columns()[name].about.partition(":")[0])


def meaning(name: str) -> Markup:
    """Human name of a property, with symbol and unit, for prose and heads of tables."""
    symbol = property_symbol(name, with_unit=True) if "*" not in name else ""
    rest = "" if symbol in ("", name) else Markup(' <span class="symbol">{}</span>').format(symbol)
    return escape(label(name)) + rest


FILTERS: dict[str, Callable[..., Any]] = {
    "number": number,
    "count": count,
    "percent": percent,
    "moment": moment,
    "unit": unit,
    "capital": capital,
    "label": label,
    "meaning": meaning,
}
