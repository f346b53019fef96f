"""The names, units and UCDs by which the columns of a table are recognised."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from pathlib import Path
from statistics import median
from typing import Any

import astropy.units as u
import yaml

from xcat.columns import units
from xcat.columns.registry import columns, magnitudes
from xcat.errors import InputError
from xcat.ingest.opened import ColumnFacts
from xcat.tables.facts import TableFacts

#: What stands for "no value" in the tables of this field; NWAY's users write -99.
NULLS: tuple[float | str, ...] = (-99.0, -999.0, "N/A", "NA", "null", "NULL", "None", "--", "-")

#: Names of positions, their errors, motions and epochs, and spellings of units; see the file.
POSITIONS: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("positions.yaml").read_text(encoding="utf-8"))
NOT_A_PLACE = re.compile(r"err|unc|sig|std|rms|cov|corr?coef|(^|_)e_|_e$|pm|diff|off|delta_ra|nom|pnt|aim|gal", re.I)

#: Fluxes in the three bands, by rising energy.
BAND_FLUXES = ("flux_soft_cgs", "flux_medium_cgs", "flux_hard_cgs")
#: Of a median, erg/(s cm2); other values are in another unit.
POSSIBLE_FLUX = (1e-22, 1e-4)
#: What the names of quantities of counterparts begin with.
COUNTERPART = ("mag_", "pm", "parallax", "distance")

FRACTIONS = {"68": "radius_68", "90": "radius_90", "95": "radius_95"}
FRACTION = re.compile(
    r"^(?:.*(?:err|error|pos|rad|radius|unc|cl|r|pu)_?(68|90|95)|(?:r|err|e|pu)?_?(68|90|95)_?(?:err|pos|radius).*)$"
)
MAGNITUDE = re.compile(r"(?:^|_)(?:[a-z]+_)?mag(?:$|_|\d)|^[a-z0-9]{1,4}mag$|^w[1-4]mpro$|^[jhk]_m$", re.I)
YEAR_OF_MJD = (1 / 365.25, 2000 - 51544.5 / 365.25)


@lru_cache(maxsize=4096)
def plain(name: str) -> str:
    """A name without signs and case."""
    return re.sub(r"[^a-z0-9]", "", name.casefold())


WORDS = {
    "axis_1sigma": "1 sigma per axis",
    "radius_68": "68 % radius",
    "radius_90": "90 % radius",
    "radius_95": "95 % radius",
    "ellipse_1sigma": "axes and angle of the 1 sigma ellipse",
    "ellipse_95": "axes and angle of the 95 % ellipse",
}


def as_unit(text: str) -> u.UnitBase | None:
    """Unit of a text, where ``h`` is an hour of right ascension; None if it is empty or not understood."""
    return units.as_unit(POSITIONS["units"].get(text.strip().casefold(), text))


def folded(name: str) -> str:
    """``R.A.`` and ``CSC RA`` as ``ra`` and ``csc_ra``."""
    return re.sub(r"\s+", "_", name.casefold().replace(".", "").strip())


def is_number(text: str) -> bool:
    """Whether a text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def is_words(column: ColumnFacts) -> bool:
    """Whether a column holds text; one of numbers whose first rows are mostly "N/A" does not."""
    return column.is_text and not all(is_number(v) or v in NULLS for v in column.sample)


def typical(column: ColumnFacts) -> float | None:
    """Median of the first values above 0; None if there are none."""
    values = [x for v in column.sample if is_number(v) and (x := float(v)) > 0]
    return median(values) if values else None


def is_angle(column: ColumnFacts) -> bool:
    """Whether the unit is missing, one of an angle, or of sexagesimal text."""
    text, unit = column.unit.strip().casefold(), as_unit(column.unit)
    return not text or text in POSITIONS["sexagesimal_units"] or (unit is not None and bool(unit.is_equivalent(u.deg)))


def is_position_error(ucd: str) -> bool:
    """Whether a UCD means the error of the position, not of one axis."""
    words = ucd.casefold().split(";")
    return (words[0] == "stat.error" and any(w in ("pos", "pos.eq") for w in words)) or ucd.casefold() == "pos_eq_err"


def is_magnitude(column: ColumnFacts) -> bool:
    """Whether a column holds magnitudes, not their errors."""
    if column.is_text or "stat.error" in column.ucd.casefold() or re.search(r"err|unc|sig|^e_|_e$", column.name, re.I):
        return False
    if column.ucd.casefold().startswith(("phot.mag", "phot_mag")):
        return True
    unit = column.unit.strip().casefold()
    return (unit.startswith("mag") and "/" not in unit) or (not unit and bool(MAGNITUDE.search(column.name)))


def convention_of(name: str) -> str:
    """Convention in the name of a positional error: a radius of 68, 90 or 95 %, else 1 sigma per axis."""
    if plain(name) in ("errellipser0", "cscv2pu"):  # the Chandra Source Catalog's, a 95 % ellipse
        return "radius_95"
    percent = FRACTION.match(name.casefold())
    return FRACTIONS[percent[1] or percent[2]] if percent else "axis_1sigma"


@dataclass(frozen=True)
class Quantity:
    """A measurement that properties are derived from, and how its column is recognised; see quantities.yaml.

    Parameters
    ----------
    name : str
        As xcat's own columns are called.
    names, exact : tuple of str
        Regular expressions of names without signs and case; names where case matters.
    ucd, not_ucd, by_unit : str
        Regular expressions of UCDs that mean it, of UCDs that exclude it, and of names that count if the unit fits.
    bands : dict
        Energies (keV) that a survey means by a name, and the survey.
    """

    name: str
    unit: str
    words: str
    names: tuple[str, ...] = ()
    exact: tuple[str, ...] = ()
    ucd: str = ""
    not_ucd: str = ""
    by_unit: str = ""
    bands: Mapping[str, tuple[float, float, str]] = field(default_factory=dict)

    def is_name(self, name: str) -> bool:
        """Whether a column of this name would be the quantity."""
        return name in self.exact or (bool(self.names) and self._pattern.fullmatch(plain(name)) is not None)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile("|".join(f"(?:{name})" for name in self.names))


@cache
def quantities() -> dict[str, Quantity]:
    """All quantities by name; magnitudes have the unit and the words of the registry."""
    bands = {
        name: {"unit": columns()[name].unit, "words": columns()[name].about.partition(",")[0]} for name in magnitudes()
    }
    text = Path(__file__).with_name("quantities.yaml").read_text(encoding="utf-8")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml is ten times as fast
    return {name: Quantity(name, **(bands.get(name, {}) | e)) for name, e in yaml.load(text, Loader=loader).items()}


_KEV = re.compile(r"(\d+(?:\.\d+)?)\s*(?:-|–|to|_)\s*(\d+(?:\.\d+)?)\s*_?\s*kev", re.I)
_KEV_IN_NAME = re.compile(r"(?<![\d.])(\d+[.p]\d+)\s*(?:-|–|_|to)\s*(\d+(?:[.p]\d+)?)(?!\d)", re.I)


def band_of(column: ColumnFacts, quantity: Quantity) -> tuple[float, float, str] | None:
    """Energies of a flux in keV, and their source: the description, the name, or a survey that uses the name."""
    places = (_KEV, column.description, "description"), (_KEV, column.name, "name"), (_KEV_IN_NAME, column.name, "name")
    for pattern, text, place in places:
        energies = pattern.search(text)
        if energies:
            low, high = (float(x.casefold().replace("p", ".")) for x in energies.groups())
            if 0 < low < high:
                return low, high, f"its {place} says so"
    for name in (column.name, *endings(column.name)):
        for pattern_of_name, (low, high, survey) in quantity.bands.items():
            if re.fullmatch(pattern_of_name, plain(name)):
                return low, high, f"as {survey}"
    return None


def endings(name: str) -> list[str]:
    """What follows each underscore of a name, longest first: a match prefixes the label of a table."""
    parts = name.split("_")
    return ["_".join(parts[k:]) for k in range(1, len(parts))]


@dataclass
class Columns:
    """A table whose columns are being identified.

    Parameters
    ----------
    messages : list of str
        Which column was taken for what; grows with every choice.
    """

    facts: TableFacts
    messages: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Add a message."""
        self.messages.append(f"{self.facts.label}: {text}")

    def error(self, text: str) -> InputError:
        """Error that names the table."""
        return InputError(f"{self.facts.name}: {text}")

    def given(self, name: str, option: str) -> ColumnFacts:
        """Column that the user named.

        Raises
        ------
        InputError
            The table has no such column.
        """
        column = self.facts.column(name)
        if column is None:
            raise self.error(f"there is no column '{name}' ({option}); it has: {self.names()}")
        return column

    def names(self, columns: Sequence[ColumnFacts] = ()) -> str:
        """Names of these columns, or of all, for a message."""
        names = [c.name for c in columns or self.facts.columns]
        return ", ".join(names[:40]) + (f" and {len(names) - 40} more" if len(names) > 40 else "")

    def by_name(self, columns: Sequence[ColumnFacts]) -> dict[str, ColumnFacts]:
        """Columns by name without signs and case; the first of equal names."""
        return {plain(c.name): c for c in reversed(columns)}

    def ambiguous(self, what: str, candidates: Sequence[str], option: str) -> InputError:
        """Error for columns that fit equally well."""
        return self.error(f"several columns may be the {what}: {', '.join(candidates)}. Say which: {option}")
