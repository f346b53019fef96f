"""The names, units and UCDs by which the columns of a table are known."""

from __future__ import annotations

import re

import astropy.units as u

from xcat.ingest.facts import ColumnFacts
from xcat.ingest.whole_rows import parsed

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
    return known if known is not None else parsed(text.casefold())


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
