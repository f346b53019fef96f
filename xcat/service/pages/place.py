"""A position in whatever notation people have it: degrees, hours, Galactic, with or without signs of units."""

from __future__ import annotations

import re

import astropy.units as u
from astropy.coordinates import SkyCoord

from xcat.errors import InputError

_NUMBER = re.compile(r"[-+]?\d+(?:\.\d*)?|[-+]?\.\d+")
_WORDS = re.compile(r"\b(?:ra|dec|de|j2000(?:\.0)?|icrs|fk5|glon|glat|galactic|gal|l|b|h|m|s|d|deg|degrees)\b", re.I)
_GALACTIC = re.compile(r"\b(?:l\s*=?\s*[-+\d.]+.*\bb\s*=?\s*[-+\d.]|gal|galactic|glon)", re.I)
_SIGNS = str.maketrans(
    {"−": "-", "–": "-", "°": " ", "′": " ", "″": " ", "'": " ", '"': " ", "ʰ": "h", "ᵐ": "m", "ˢ": "s", "º": " "}
)


def position(text: str) -> tuple[float, float] | None:
    """Right ascension and declination in degrees, ICRS; None if the text is no position but, maybe, a name.

    Raises
    ------
    InputError
        It is a position that is not on the sky, or has more parts than a position.

    Examples
    --------
    >>> position("l=1.5 b=-0.2") is None
    False
    """
    plain = re.sub(r"\s+", " ", text.translate(_SIGNS)).strip()
    is_galactic = bool(_GALACTIC.search(plain))
    hours = bool(re.search(r"\d\s*h", plain, re.I))
    bare = re.sub(r"(?<=[\d.])\s*[hmsd](?=[\s\d.+\-]|$)", " ", plain, flags=re.I)
    bare = re.sub(r"[:,;=()]", " ", _WORDS.sub(" ", bare))
    if re.search(r"[^\d\s.+\-]", bare):
        return None  # other letters: a name
    parts = _NUMBER.findall(re.sub(r"(?<=\d)([-+])", r" \1", bare))
    if len(parts) < 2:
        return None
    if len(parts) not in (2, 4, 6):
        raise InputError(f"position {text[:60]!r}: two angles are needed, each as one number or as two or three parts")
    half = len(parts) // 2
    if abs(float(parts[0])) > 360 or any(float(part) >= 60 for k in (0, half) for part in parts[k + 1 : k + half]):
        raise InputError(f"position {text[:60]!r}: angles are at most 360, their minutes and seconds below 60")
    try:
        first, second = (":".join(each) for each in (parts[:half], parts[half:]))
        in_hours = (half > 1 or hours) and not is_galactic
        unit = (u.hourangle if in_hours else u.deg, u.deg)
        frame = "galactic" if is_galactic else "icrs"
        place = SkyCoord(first, second, unit=unit, frame=frame).icrs
    except (ValueError, TypeError) as error:
        raise InputError(f"position {text[:60]!r}: {str(error).splitlines()[0]}") from None
    return float(place.ra.deg), float(place.dec.deg)
