"""The standard columns, the small grammar in which a definition derives them from a file's columns, and its checks.

An entry of ``columns`` is the name of a file column, or a mapping::

    mag_w1: {from: FW1, transform: {flux_to_mag: 22.5}}
    flux_err_cgs: {from: [Rate_neg, Rate_pos], transform: [{half_range: 1}, {scale: 4.3e-11}]}

``from``
    One file column, or several where the first transform takes several.
``transform``
    One step or a list of steps, done in order on the values of the file. The closed set of steps:

    ================ ========== =====================================================================
    step             columns    result
    ================ ========== =====================================================================
    one_minus        1          1 - x
    scale: k         1          k x
    shift: k         1          x + k
    pow10            1          10^x
    inverse_pow10    1          10^-x
    log10            1          log10 x; NULL where x <= 0
    flux_to_mag: z   1          z - 2.5 log10 x; NULL where x <= 0
    half_range: k    2          (x2 - x1) / (2 k), of an interval whose half width is k sigmas
    sum              2 or more  their sum; NULL if one is NULL
    hypot            2 or more  the root of the sum of their squares; NULL if one is NULL
    first            2 or more  the first that is not NULL
    first_positive   2 or more  the first that is above 0
    measured         2          the first, NULL where the second, its error, is NULL: then it is a limit
    hardness         2          (x2 - x1) / (x2 + x1), values below 0 taken as 0; NULL where both are
    hardness_err     4          its 1 sigma error, of x1, x2 and their errors
    join: text       2 or more  the texts with the separator between them (composite identifiers)
    flags            1 or more  an integer whose bit k is set where the column number k is true or not 0
    hms              1 or 3     degrees, from sexagesimal hours, minutes and seconds
    dms              1 or 4     degrees, from sign, degrees, minutes and seconds
    iso_time         1          modified Julian date, from text such as 2009-08-15T19:27:22
    ================ ========== =====================================================================
``unit``
    Unit of the result of the transform; the standard unit where it is left out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import astropy.units as u
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_serializer, model_validator

from xcat.catalogues.yamlfile import KeyPath
from xcat.columns.registry import BANDS, OF_SOURCE, columns, magnitudes
from xcat.columns.units import as_unit, conversion, is_none

if TYPE_CHECKING:
    from xcat.catalogues.definition import Definition

#: Standard columns that a definition may fill, by the table that they go to.
STANDARD_COLUMNS: dict[str, tuple[str, ...]] = {
    "detection": (
        *("native_id", "ra", "dec", "source_native_id", "name", "obs_id", "epoch_yr", "mjd", "exposure_s"),
        *("flux_cgs", "flux_err_cgs", "flux_upper_cgs"),
        *(f"flux_{band}{error}_cgs" for band in BANDS for error in ("", "_err")),
        *("hr1", "hr1_err", "hr2", "hr2_err", "gamma", "snr", "det_likelihood", "p_variable", "p_variable_long"),
        *("extent_arcsec", "quality_flag", "n_detections", "nh_gal_cm2"),
    ),
    "counterpart": (
        *("native_id", "ra", "dec", "epoch_yr", "pmra_mas_yr", "pmdec_mas_yr", "parallax_mas", "parallax_err_mas"),
        *("distance_pc", *magnitudes()),
    ),
    "galaxy": ("native_id", "ra", "dec", "distance_mpc", "d25_arcmin", "axis_ratio", "pa_deg"),
    "reference_object": ("native_id", "ra", "dec", "name", "class_native", "label_ref"),
}
TEXT_COLUMNS = frozenset({"native_id", "source_native_id", "obs_id", "name", "class_native", "label_ref"})
INTEGER_COLUMNS = frozenset({"quality_flag", "n_detections"})

# step: (kind of argument, least and most columns as the first step, works on text)
_STEPS: dict[str, tuple[type | None, int, int, bool]] = {
    "one_minus": (None, 1, 1, False),
    "scale": (float, 1, 1, False),
    "shift": (float, 1, 1, False),
    "pow10": (None, 1, 1, False),
    "inverse_pow10": (None, 1, 1, False),
    "log10": (None, 1, 1, False),
    "flux_to_mag": (float, 1, 1, False),
    "half_range": (float, 2, 2, False),
    "sum": (None, 2, 99, False),
    "hypot": (None, 2, 99, False),
    "first": (None, 2, 99, False),
    "first_positive": (None, 2, 99, False),
    "measured": (None, 2, 2, False),
    "hardness": (None, 2, 2, False),
    "hardness_err": (None, 4, 4, False),
    "join": (str, 2, 99, True),
    "flags": (None, 1, 30, True),
    "hms": (None, 1, 3, True),
    "dms": (None, 1, 4, True),
    "iso_time": (None, 1, 1, True),
}
#: Steps that must come first, because they read the file's own text or several columns.
FIRST_STEPS = frozenset(name for name, (_, _, most, text) in _STEPS.items() if most > 1 or text)


def listed(value: Any) -> Any:
    """Make a list of a single value, so that YAML may leave the brackets out."""
    return value if isinstance(value, list | tuple) else [value]


class Strict(BaseModel):
    """A mapping whose unknown keys are mistakes."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


class Step(Strict):
    """One step of a transform: ``name`` or ``{name: argument}`` in YAML."""

    name: str
    arg: float | str | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_yaml(cls, value: Any) -> Any:
        if isinstance(value, Step):
            return value
        if isinstance(value, str):
            value = {value: None}
        if not isinstance(value, dict) or len(value) != 1:
            raise ValueError("a transform is a name or one 'name: argument'")
        name, arg = next(iter(value.items()))
        if name not in _STEPS:
            raise ValueError(f"unknown transform '{name}'; known: {', '.join(_STEPS)}")
        wanted = _STEPS[name][0]
        if wanted is None and arg is not None:
            raise ValueError(f"transform '{name}' takes no argument")
        if wanted is float and (isinstance(arg, bool) or not isinstance(arg, int | float | str)):
            raise ValueError(f"transform '{name}' needs a number, as in {{{name}: 1.5}}")
        if wanted is str and not isinstance(arg, str):
            raise ValueError(f"transform '{name}' needs a text, as in {{{name}: '_'}}")
        if wanted is float:
            try:
                arg = float(arg)
            except (ValueError, OverflowError):
                raise ValueError(f"transform '{name}' needs a number, not '{arg}'") from None
            if not math.isfinite(arg) or (name == "half_range" and arg == 0):
                raise ValueError(f"transform '{name}' cannot do with {arg:g}")
        return {"name": name, "arg": arg}

    @model_serializer
    def _to_yaml(self) -> str | dict[str, Any]:
        return self.name if self.arg is None else {self.name: self.arg}


class ColumnSpec(Strict):
    """Where the values of a standard column come from."""

    from_: Annotated[tuple[str, ...], BeforeValidator(listed)] = Field(alias="from", min_length=1)
    unit: str | None = None
    transform: Annotated[tuple[Step, ...], BeforeValidator(listed)] = ()

    @model_validator(mode="before")
    @classmethod
    def _from_yaml(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"from": value}
        if not isinstance(value, dict | ColumnSpec):
            raise ValueError("give the name of a file column, or a mapping with 'from'")
        return value

    @model_validator(mode="after")
    def _check(self) -> ColumnSpec:
        parsed_unit(self.unit)
        n = len(self.from_)
        if not self.transform:
            if n > 1:
                raise ValueError("several columns need a transform, such as 'first', 'sum' or 'join'")
            return self
        first, *rest = self.transform
        _, least, most, _ = _STEPS[first.name]
        if first.name in ("hms", "dms") and n not in (least, most):
            raise ValueError(f"transform '{first.name}' takes {least} or {most} columns, not {n}")
        if not least <= n <= most:
            wanted = str(least) if least == most else f"{least} to {most}"
            raise ValueError(f"transform '{first.name}' takes {wanted} columns, not {n}")
        for step in rest:
            if step.name in FIRST_STEPS:
                raise ValueError(f"transform '{step.name}' must be the first step")
        return self


def parsed_unit(unit: str | None) -> u.UnitBase | None:
    """Parse a unit of a definition."""
    if unit is None or is_none(unit):
        return None
    parsed = as_unit(unit)
    if parsed is None:
        raise ValueError(f"unit '{unit[:40]}' is not known to astropy, too long, or has too large a number")
    return parsed


# --- checks of a definition that look at several keys at once -------------------------------------------------

_COLOUR = re.compile(r"^\s*(\w+)\s*(?:([+-])\s*(\d+(?:\.\d*)?|\.\d+)\s*)?$")


def colour_term(term: str) -> tuple[str, float]:
    """Split ``column``, ``column + 0.3`` or ``column - 0.5`` into the column and its offset."""
    match = _COLOUR.match(term)
    if not match:
        raise ValueError(f"'{term}' is not of the form 'column', 'column + 0.3' or 'column - 0.5'")
    column, sign, offset = match.groups()
    return column, float(f"{sign or ''}{offset}") if offset else 0.0


def problems(d: Definition) -> Iterator[tuple[KeyPath, str]]:
    """Yield what is wrong with a definition whose every single key is of the right form."""
    yield from _column_problems(d)
    if d.position_error is None and d.kind != "galaxy":
        yield ("position_error",), "is missing: every catalogue needs a positional error, if only a constant"
    bands: list[tuple[KeyPath, tuple[float, float] | None]] = [(("flux_band_kev",), d.flux_band_kev)]
    bands += [(("bands_kev", name), getattr(d.bands_kev, name, None)) for name in BANDS]
    for key, band in bands:
        if band and not 0 < band[0] < band[1]:
            yield key, f"{list(band)} is not a range of energies: 0 < low < high, in keV"
    if d.table_kind == "detection":
        given = {*d.columns, *d.of_source}
        full = next((c for c in ("flux_cgs", "flux_upper_cgs") if c in given), None)
        if full and d.flux_band_kev is None:
            yield ("flux_band_kev",), f"is missing: which band is {full} in?"
        if d.bands_kev is None and any(f"flux_{b}_cgs" in given for b in BANDS):
            yield ("bands_kev",), "is missing: which bands are the soft, medium and hard fluxes in?"
    if isinstance(d.completeness, float) and not 0 < d.completeness <= 1:
        yield ("completeness",), f"{d.completeness} is not a probability above 0"
    if d.table_kind == "counterpart" and d.sky is None:
        yield ("sky",), "is missing: chance matches cannot be weighed without the catalogue's density"
    if d.area is not None and d.table_kind != "counterpart":
        yield ("area",), f"belongs to kinds 'optical' and 'infrared', not to '{d.kind}'"
    for name, terms in d.colours:
        for i, term in enumerate(terms):
            try:
                if (column := colour_term(term)[0]) not in d.columns:
                    yield ("colours", name, i), f"'{column}' is not among the columns of this definition"
            except ValueError as error:
                yield ("colours", name, i), str(error)
    if d.kind != "reference":
        if d.klass is not None or d.classes:
            yield ("class" if d.klass else "classes",), f"belongs to kind 'reference', not to '{d.kind}'"
    elif bool(d.classes) == (d.klass is not None):
        yield ("classes",), "a reference needs either 'classes' or one 'class' for the whole catalogue"
    elif d.classes and "class_native" not in d.columns:
        yield ("classes",), "needs the column 'class_native' to map"
    yield from _source_problems(d)
    for i, name in enumerate(d.checks.any_value):
        if name not in d.columns and name != "err_arcsec":
            yield ("checks", "any_value", i), f"'{name}' is not among the columns of this definition"
    for key_ in d.classes:
        if "*" in key_[:-1]:
            yield ("classes", key_), "'*' stands for any ending, and only at the end"


def _source_problems(d: Definition) -> Iterator[tuple[KeyPath, str]]:
    """What is wrong with `of_source` and `quality`."""
    units = {name: meaning.unit for name, meaning in columns().items()}
    if d.of_source and (d.kind != "xray_detections" or "source_native_id" not in d.columns):
        yield ("of_source",), "belongs to kind 'xray_detections' with the column 'source_native_id'"
    for name, spec in d.of_source.items():
        if name not in OF_SOURCE:
            yield ("of_source", name), f"'{name}' is not given by source; known: {', '.join(OF_SOURCE)}"
        elif spec.unit is not None and conversion(spec.unit, units[name]) is None:
            yield (
                ("of_source", name, "unit"),
                f"'{spec.unit}' cannot become '{units[name] or 'a plain number'}'",
            )
        elif spec.transform and spec.transform[-1].name in ("join", "flags"):
            yield ("of_source", name, "transform"), f"'{spec.transform[-1].name}' gives no quantity"
    if d.quality and d.table_kind != "detection":
        yield ("quality",), f"belongs to catalogues of X-ray detections or sources, not to '{d.kind}'"


def _column_problems(d: Definition) -> Iterator[tuple[KeyPath, str]]:
    allowed = STANDARD_COLUMNS[d.table_kind]
    units = {name: meaning.unit for name, meaning in columns().items()}
    for name in ("ra", "dec"):
        if name not in d.columns:
            yield ("columns",), f"'{name}' is missing"
    for name, spec in d.columns.items():
        where: KeyPath = ("columns", name)
        if name not in units:
            yield where, f"'{name}' is no standard column; known: {', '.join(allowed)}"
            continue
        if name not in allowed:
            yield where, f"'{name}' does not fit kind '{d.kind}'; it can have: {', '.join(allowed)}"
            continue
        last = spec.transform[-1].name if spec.transform else ""
        if name in TEXT_COLUMNS:
            if spec.unit is not None:
                yield (*where, "unit"), f"'{name}' is a text and has no unit"
            if last not in ("", "join", "first"):
                yield (*where, "transform"), f"'{last}' gives a number, but '{name}' is a text"
            continue
        if last == "join":
            yield (*where, "transform"), f"'join' gives a text, but '{name}' is a number"
        if last == "flags" and name not in INTEGER_COLUMNS:
            yield (*where, "transform"), f"'flags' gives bits, but '{name}' is a quantity"
        if spec.unit is not None and conversion(spec.unit, units[name], hours=name == "ra") is None:
            yield (*where, "unit"), f"'{spec.unit}' cannot become '{units[name] or 'a plain number'}'"
