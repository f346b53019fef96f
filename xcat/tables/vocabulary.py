"""The names, units and UCDs by which the columns of a table are known."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import astropy.units as u
import yaml

from xcat.columns.registry import columns, magnitudes
from xcat.tables.facts import ColumnFacts
from xcat.tables.whole_rows import parsed

#: What stands for "no value" in the tables of this field; NWAY's users write -99.
NULLS: tuple[float | str, ...] = (-99.0, -999.0, "N/A", "NA", "null", "NULL", "None", "--", "-")

# spellings that astropy does not know, or takes for something else (h is an hour of time)
UNITS = {
    "degree": "deg", "degrees": "deg", "degs": "deg", "arcseconds": "arcsec", "arcsecs": "arcsec", "asec": "arcsec",
    "second of arc": "arcsec", '"': "arcsec", "''": "arcsec", "arcs": "arcsec", "arcmins": "arcmin", "'": "arcmin",
    "h": "hourangle", "hr": "hourangle", "hour": "hourangle", "hours": "hourangle", "masec": "mas",
}  # fmt: skip
SEXAGESIMAL_UNITS = ('"h:m:s"', "h:m:s", '"d:m:s"', "d:m:s", "hms", "dms", "hh:mm:ss", "dd:mm:ss")
# names of right ascension without signs, the most usual first
RA_NAMES = (
    "ra", "radeg", "radegj2000", "raicrs", "raj2000", "raj2000deg", "ra2000", "rajd", "rightascension", "alphaj2000",
    "alpha", "raepoch2000",
)  # fmt: skip
PAIRS = (
    ("right_ascension", "declination"), ("rightascension", "declination"),
    ("alpha", "delta"), ("ra", "dec"), ("ra", "decl"), ("ra", "de"),
)  # fmt: skip
NOT_A_PLACE = re.compile(r"err|unc|sig|std|rms|cov|corr?coef|(^|_)e_|_e$|pm|diff|off|delta_ra|nom|pnt|aim|gal", re.I)

POSITION_ERRORS = (
    "poserr", "radecerr", "errpos", "epos", "poserror", "positionerror", "positionalerror", "posunc", "possigma",
    "sigpos", "radecerrcorr", "scposerr", "errarcsec", "errradius", "radecerror", "sigmapos",
    "centroiderr", "astromerr", "posuncertainty",
)  # fmt: skip
BARE_ERRORS = ("err", "error", "sigma")
FRACTIONS = {"68": "radius_68", "90": "radius_90", "95": "radius_95"}
FRACTION = re.compile(
    r"^(?:.*(?:err|error|pos|rad|radius|unc|cl|r|pu)_?(68|90|95)|(?:r|err|e|pu)?_?(68|90|95)_?(?:err|pos|radius).*)$"
)
# ellipses: semi-axes and position angle, and what they hold
ELLIPSES = (
    (("errmaj", "errmin", "errpa"), "ellipse_1sigma"),
    (("errmajarcsec", "errminarcsec", "errpadeg"), "ellipse_1sigma"),
    (("errhalfmaj", "errhalfmin", "errposang"), "ellipse_1sigma"),
    (("eemaj", "eemin", "eepa"), "ellipse_1sigma"),
    (("errellipser0", "errellipser1", "errellipseang"), "ellipse_95"),  # as the Chandra Source Catalog defines them
)
PAIR_ERRORS = (
    ("raerr", "decerr"), ("raerror", "decerror"), ("eraicrs", "edeicrs"), ("eraj2000", "edej2000"),
    ("eradeg", "ededeg"), ("era", "edec"), ("era", "ede"), ("errra", "errdec"), ("sigra", "sigdec"),
    ("raunc", "decunc"), ("rasigma", "decsigma"),
)  # fmt: skip
GAIA_ERRORS = ("eraicrs", "edeicrs")
MOTIONS = (("pmra", "pmdec"), ("pmra", "pmde"), ("pmramasyr", "pmdecmasyr"))
EPOCHS = ("epochyr", "refepoch", "epoch", "obsepoch", "mjd", "mjdobs", "obsmjd", "mjdmean")
IDS = ("id", "sourceid", "srcid", "objid", "objectid", "name", "iauname", "sourcename", "nativeid", "detid", "srcname")
MAGNITUDE = re.compile(r"(?:^|_)(?:[a-z]+_)?mag(?:$|_|\d)|^[a-z0-9]{1,4}mag$|^w[1-4]mpro$|^[jhk]_m$", re.I)
YEAR_OF_MJD = (1 / 365.25, 2000 - 51544.5 / 365.25)


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
    """Unit of a text, with the spellings of old tables; None if nobody can tell."""
    text = text.strip()
    known = parsed(UNITS.get(text.casefold(), text))
    known = known if known is not None else parsed(text.casefold())
    if known is None and text:
        try:
            return u.Unit(text, format="cds")  # VizieR's 10-17W/m2
        except ValueError:
            return None
    return known


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
    """Whether a column is of words; one whose first rows are mostly "N/A" is not."""
    return column.is_text and not all(is_number(v) or v in NULLS for v in column.sample)


def is_angle(column: ColumnFacts) -> bool:
    """Whether the unit, if there is one, lets a column be an angle; sexagesimal text is one as well."""
    unit = as_unit(column.unit)
    if column.unit.strip().casefold() in SEXAGESIMAL_UNITS or unit is None:
        return not column.unit.strip() or column.unit.strip().casefold() in SEXAGESIMAL_UNITS
    return bool(unit.is_equivalent(u.deg))


def is_position_error(ucd: str) -> bool:
    """Whether a UCD says: error of the position, not of one axis."""
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
    """Convention that the name of a positional error tells: a radius of 68, 90 or 95 %, else 1 sigma per axis."""
    if plain(name) == "errellipser0":  # the Chandra Source Catalog's, a 95 % ellipse
        return "radius_95"
    found = FRACTION.match(name.casefold())
    return FRACTIONS[found[1] or found[2]] if found else "axis_1sigma"


@dataclass(frozen=True)
class Quantity:
    """A measurement that properties are derived from, and how its column is known; see quantities.yaml.

    Parameters
    ----------
    name : str
        As xcat's own columns are called.
    unit, words : str
    names, exact : tuple of str
        Regular expressions of names without signs and case; names where case matters.
    ucd, not_ucd, by_unit : str
        Regular expressions of UCDs that are it, of UCDs that are not, and of names that are believed if the unit fits.
    bands : dict
        Energies (keV) that a survey means by a name, and which survey.
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
        return name in self.exact or any(re.fullmatch(pattern, plain(name)) for pattern in self.names)


@cache
def quantities() -> dict[str, Quantity]:
    """All quantities by name; magnitudes have the unit and the words of the registry."""
    bands = {
        name: {"unit": columns()[name].unit, "words": columns()[name].about.partition(",")[0]} for name in magnitudes()
    }
    text = Path(__file__).with_name("quantities.yaml").read_text(encoding="utf-8")
    return {name: Quantity(name, **(bands.get(name, {}) | entry)) for name, entry in yaml.safe_load(text).items()}


_KEV = re.compile(r"(\d+(?:\.\d+)?)\s*(?:-|–|to|_)\s*(\d+(?:\.\d+)?)\s*_?\s*kev", re.I)
_KEV_IN_NAME = re.compile(r"(?<![\d.])(\d+[.p]\d+)\s*(?:-|–|_|to)\s*(\d+(?:[.p]\d+)?)(?!\d)", re.I)


def band_of(column: ColumnFacts, quantity: Quantity) -> tuple[float, float, str] | None:
    """Energies of a flux in keV, and who says so: the description, the name, or a survey that uses the name."""
    for pattern, text, who in (
        (_KEV, column.description, "description"), (_KEV, column.name, "name"), (_KEV_IN_NAME, column.name, "name"),
    ):  # fmt: skip
        found = pattern.search(text)
        if found:
            low, high = (float(x.casefold().replace("p", ".")) for x in found.groups())
            if 0 < low < high:
                return low, high, f"its {who} says so"
    for name in (column.name, *endings(column.name)):
        for pattern_of_name, (low, high, who) in quantity.bands.items():
            if re.fullmatch(pattern_of_name, plain(name)):
                return low, high, f"as {who}"
    return None


def endings(name: str) -> list[str]:
    """What follows each underscore of a name, longest first: a match puts the label of a table before it."""
    parts = name.split("_")
    return ["_".join(parts[k:]) for k in range(1, len(parts))]
