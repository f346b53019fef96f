"""Checks of a definition that look at several keys at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import astropy.units as u

from xcat.catalogues.grammar import BANDS, INTEGER_COLUMNS, STANDARD_COLUMNS, TEXT_COLUMNS, parsed_unit
from xcat.catalogues.yamlfile import KeyPath
from xcat.columns.registry import columns

if TYPE_CHECKING:
    from xcat.catalogues.definition import Definition

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
        full = next((c for c in ("flux_cgs", "flux_upper_cgs") if c in d.columns), None)
        if full and d.flux_band_kev is None:
            yield ("flux_band_kev",), f"is missing: which band is {full} in?"
        if d.bands_kev is None and any(f"flux_{b}_cgs" in d.columns for b in BANDS):
            yield ("bands_kev",), "is missing: which bands are the soft, medium and hard fluxes in?"
    if isinstance(d.completeness, float) and not 0 < d.completeness <= 1:
        yield ("completeness",), f"{d.completeness} is not a probability above 0"
    if d.table_kind == "counterpart" and d.sky is None:
        yield ("sky",), "is missing: chance matches cannot be weighed without the catalogue's density"
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
    for key_ in d.classes:
        if "*" in key_[:-1]:
            yield ("classes", key_), "'*' stands for any ending, and only at the end"


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
        unit = parsed_unit(spec.unit)
        if unit is not None and not unit.is_equivalent(u.Unit(units[name])):
            yield (*where, "unit"), f"'{spec.unit}' cannot become '{units[name] or 'a plain number'}'"
