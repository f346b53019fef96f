"""The properties of the method as ``properties.yaml`` defines them: category, scale, range, walls, helper columns."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np

from xcat.columns.registry import absorptions, property_entries
from xcat.errors import ConfigError


@dataclass(frozen=True)
class Property:
    """One property of a source, as the likelihood tables use it.

    Attributes
    ----------
    scale : {"linear", "log10", "asinh"}
        The tables are made on this scale of the value.
    low, high : float
        Ends of the table, on that scale (log10 of the unit for "log10"). A value outside is allowed.
    bounded_low, bounded_high : bool
        The end is a wall that no value can cross; the kernel density is reflected there, and values that lie on the
        wall itself (a hardness ratio without counts in one band) are counted apart, as a point mass.

    Raises
    ------
    ValueError
        When the scale is unknown or the range is empty or not finite.
    """

    name: str
    category: str
    scale: Literal["linear", "log10", "asinh"]
    low: float
    high: float
    bounded_low: bool
    bounded_high: bool

    def __post_init__(self) -> None:
        if self.scale not in ("linear", "log10", "asinh"):
            raise ValueError(f"property {self.name}: scale is linear, log10 or asinh, not {self.scale!r}")
        if not (np.isfinite(self.low) and np.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"property {self.name}: range [{self.low}, {self.high}] is empty or not finite")

    @property
    def width(self) -> float:
        """Length of the table, on the property's scale."""
        return self.high - self.low


@cache
def all_properties() -> tuple[Property, ...]:
    """The properties as the classifier knows them, in the order of the registry."""
    return tuple(
        Property(e["name"], e["category"], e["scale"], float(e["range"][0]), float(e["range"][1]), *e["bounded"])
        for e in property_entries()
    )


def select(names: list[str] | None) -> tuple[Property, ...]:
    """Properties by name; without names all but the optional ones, which repeat information of others.

    Raises
    ------
    ConfigError
        A name is not in the registry.
    """
    by_name = {p.name: p for p in all_properties()}
    if names is None:
        names = [entry["name"] for entry in property_entries() if not entry.get("optional")]
    unknown = [name for name in names if name not in by_name]
    if unknown:
        raise ConfigError(f"unknown property {', '.join(unknown)}. There are: {', '.join(by_name)}")
    return tuple(by_name[name] for name in names)


def property_label(name: str) -> str:
    """Human name of a property; of a pair "a*b" both names. A name that is not in the registry stays as it is."""
    labels = {entry["name"]: entry["label"] for entry in property_entries()}
    return " x ".join(labels.get(part, part) for part in name.split("*"))


def property_symbol(name: str, with_unit: bool = False) -> str:
    """Short form of a property for axes and ticks: its symbol, and on demand the unit in parentheses."""
    entry = next((e for e in property_entries() if e["name"] == name), {"symbol": name, "unit": ""})
    unit = entry["unit"].replace(" / ", "/") if with_unit else ""
    return f"{entry['symbol']} ({unit})" if unit else str(entry["symbol"])


SHIFT_COLUMNS = ("ebv_mag", *absorptions())
"""Columns of ``property`` that say what the Galaxy takes away from an object behind it."""


def shift_of(name: str) -> tuple[float, ...] | None:
    """What is added to a property of an object behind the Galaxy per unit of each of `SHIFT_COLUMNS`; None: nothing.

    A property with a wall at both ends is shifted on the inverse hyperbolic tangent of its place between them.
    """
    per_column = next((e["behind"] for e in property_entries() if e["name"] == name and "behind" in e), None)
    return None if per_column is None else tuple(float(per_column.get(c, 0.0)) for c in SHIFT_COLUMNS)


def of_light_curves(names: Collection[str]) -> list[str]:
    """Which of these properties come from the light curves that `xcat ingest-products` loads."""
    return [entry["name"] for entry in property_entries() if entry.get("light_curves") and entry["name"] in names]


def absence_of(name: str) -> tuple[str, ...]:
    """Flux ratios that count the absence of the counterpart that a property needs."""
    (entry,) = (e for e in property_entries() if e["name"] == name)
    return tuple(entry.get("absence", ()))


def column_of(name: str, role: Literal["error", "limit", "observed"]) -> str | None:
    """Column of ``property`` that goes with a property; None if it has no such column.

    Parameters
    ----------
    role : {"error", "limit", "observed"}
        Its 1 sigma error, on its scale; its lower limit for sources without a value; whether it could have been
        observed.
    """
    (entry,) = (e for e in property_entries() if e["name"] == name)
    column: str | None = entry.get(role)
    return column
