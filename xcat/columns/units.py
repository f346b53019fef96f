"""Units as files write them: the one place that says what a text means, and whether a column can be what is needed."""

from __future__ import annotations

import re
import warnings
from functools import lru_cache

import astropy.units as u

_NONE = {"", "-", "--", "---", "none", "unitless", "dimensionless", "n/a", "null"}
#: Words that astropy does not know; each is replaced wherever it stands in a unit.
_WORDS = {
    r"ergs": "erg",
    r"secs?|seconds?": "s",
    r"hours?|hrs?": "h",
    r"years?": "yr",
    r"days?": "d",
    r"cts|counts?": "ct",
    r"photons?|phot": "ph",
    r"pixels?|pixs": "pix",
    r"degrees?|degs": "deg",
    r"arcseconds?|arcsecs|asec|arcs": "arcsec",
    r"arcminutes?|arcmins|amin": "arcmin",
    r"milliarcseconds?|milliarcsecs?|masec": "mas",
    r"angstroms?": "Angstrom",
}
_WHOLE = {'"': "arcsec", "''": "arcsec", "'": "arcmin", "second of arc": "arcsec"}
_MAGNITUDE = re.compile(r"(?:(?:ab|vega|st)[\s_-]*)?mag(?:nitude)?s?(?![a-z])[^/]*", re.I)


@lru_cache(maxsize=1024)
def as_unit(text: str) -> u.UnitBase | None:
    """Unit of a text, as astropy, VizieR (``10-17W/m2``), FITS and old tables write it; None if it is not understood.

    A text that says that there is no unit, such as ``---``, gives None, too. Magnitudes of every system are ``mag``.
    """
    text = text.strip()
    # the power in 10**1000000000 would be computed digit by digit
    if is_none(text) or len(text) > 100 or re.search(r"\d{6}|e\+?\d{3}", text, re.I):
        return None
    text = _WHOLE.get(text.casefold(), text)
    if _MAGNITUDE.fullmatch(text):
        return u.mag
    if re.fullmatch(r"\([^()]*\)", text):  # (0.1nm)
        text = text[1:-1]
    spelled = text.lstrip("x× ")
    for word, unit in _WORDS.items():
        spelled = re.sub(rf"(?<![a-z])(?:{word})(?![a-z])", unit, spelled, flags=re.I)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", u.UnitsWarning)  # many files write units in their own way
        for form, spelling in ((None, text), (None, spelled), (None, spelled.casefold()), ("cds", spelled)):
            try:
                unit = u.Unit(spelling, format=form)
            except (ValueError, TypeError, OverflowError):
                continue
            return unit if isinstance(unit, u.UnitBase) else None  # [cm/s2] of VizieR is a logarithm, not a unit
    return None


def is_none(text: str) -> bool:
    """Whether a text says that there is no unit."""
    return text.strip().casefold() in _NONE


def conversion(stated: str, wanted: str, *, hours: bool = False) -> float | None:
    """Factor from a unit as stated to the one that is wanted; None if it is not understood or of another kind.

    Parameters
    ----------
    stated, wanted : str
        An empty text stands for a plain number.
    hours : bool
        The column is a right ascension, so that ``h`` means hours of angle.
    """
    target = u.dimensionless_unscaled if is_none(wanted) else as_unit(wanted)
    unit = u.dimensionless_unscaled if is_none(stated) else as_unit(stated)
    if target is None or unit is None:
        return None
    if hours:
        unit, target = (u.hourangle if x == u.h else x for x in (unit, target))
    elif u.hourangle in (unit, target):  # a declination or an error in hours is a mistake
        return None
    return float(unit.to(target)) if unit.is_equivalent(target) else None
