"""Filters of the templates: numbers, names and moments as people read them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from markupsafe import Markup, escape

from xcat.columns.properties import property_label, property_symbol
from xcat.columns.registry import columns
from xcat.output.terminal import SUPERSCRIPT
from xcat.output.terminal import number as digits

_NONE = "–"
_HEADS = {
    "name": "Name",
    "ra": "RA",
    "dec": "Dec",
    "p_class": "Probability of its class",
    "p_class_err": "Error of the probability",
    "is_outlier": "Outlier",
    "flux_cgs": "Flux",
    "flux_err_cgs": "Error of the flux",
    "flux_std_cgs": "Flux, 0.2–12 keV",
    "n_detections": "Detections",
    "other_missions": "Other missions",
    "catalogue": "Mission",
    "glon": "Galactic longitude",
    "glat": "Galactic latitude",
    "err_arcsec": "Position error (1σ)",
    "margin": "Lead over the next class",
    "confidence": "Confidence",
    "stability": "Stability",
    "familiarity": "Familiarity",
    "alternative": "Class without a category",
    "outlier": "Outlier measure",
    "p_tail": "Share as extreme",
    "n_missing": "Missing properties",
    "known_class": "Known class",
    "snr": "Signal to noise",
    "flux_ratio": "Flux ratio",
    "flux_ratio_low": "Flux ratio, at least",
    "extent_arcsec": "Extent",
    "mjd_first": "First seen",
    "mjd_last": "Last seen",
    "n_missions": "Missions",
    "missions_agree": "Missions agree",
    "optical_catalogue": "Optical catalogue",
    "optical_native_id": "Optical counterpart",
    "optical_sep_arcsec": "Its separation",
    "optical_p_any": "Probability of an optical counterpart",
    "infrared_catalogue": "Infrared catalogue",
    "infrared_native_id": "Infrared counterpart",
    "infrared_sep_arcsec": "Its separation",
    "infrared_p_any": "Probability of an infrared counterpart",
    "flaws": "Flaws",
    "quality_flag": "Quality flag",
}
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
        return f"{mantissa}×10{str(int(power)).translate(SUPERSCRIPT)}".replace("-", "−")
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
    if name in _HEADS:
        return _HEADS[name]
    if name.startswith("p_") and name not in columns():
        return f"Probability of {name.removeprefix('p_')}"
    if name in columns() and columns()[name].about.startswith("Posterior probability of "):
        return capital(columns()[name].about.removeprefix("Posterior "))
    shown = property_label(name)
    if shown != name or name not in columns():
        return capital(shown)
    return capital(columns()[name].about.partition(":")[0])


def inside(name: str) -> str:
    """Human name of a property or a column, as it stands inside a sentence."""
    words = property_label(name)
    words = words if words != name else label(name)
    return words if words[1:2].isupper() or words[1:2] in ("-", "") else words[:1].lower() + words[1:]


def meaning(name: str) -> Markup:
    """Human name of a property, with symbol and unit, for prose and heads of tables."""
    symbol = property_symbol(name, with_unit=True) if "*" not in name else ""
    rest = "" if symbol in ("", name) else Markup(' <span class="symbol">{}</span>').format(symbol)
    return escape(label(name)) + rest


def column_unit(name: str) -> str:
    """Unit of a column, as papers write it; empty if it has none."""
    known = columns().get(name)
    return unit(known.unit) if known else ""


def cell(value: Any, name: str = "") -> Any:
    """A value of a table: numbers by what the column holds, yes and no in words."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if is_missing(value) or value == "":
        return _NONE
    if isinstance(value, int):
        return str(value) if name.endswith("_id") else count(value)
    if not isinstance(value, float):
        return str(value)
    if name in ("ra", "dec", "glon", "glat"):
        return f"{value:.5f}".replace("-", "−")
    if name.startswith("p_") and 0 <= value <= 1:
        return f"{value:.3f}" if value >= 0.0005 or value == 0 else number(value, 1)
    return f"{value:.1f}" if name.startswith("mjd") else number(value)


FILTERS: dict[str, Callable[..., Any]] = {
    "number": number,
    "count": count,
    "percent": percent,
    "moment": moment,
    "unit": unit,
    "capital": capital,
    "label": label,
    "meaning": meaning,
    "inside": inside,
    "column_unit": column_unit,
    "cell": cell,
}
