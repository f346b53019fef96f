"""Coordinate frames that files state: read from their headers, refused where they are unknown, converted to ICRS.

A frame is a text: ``FK4 B1950``, ``FK4 B1950 at 1981.5``, ``FK5 J1975``, ``galactic``, ``supergalactic``,
``ecliptic J2000``. It is empty for ICRS, for FK5 of J2000, which differs from ICRS by less than 0.03 arcsec and is a
common name for it, and where a file states none. ``?`` and words stand for one that xcat cannot convert.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xcat.arrays import FloatArray
from xcat.errors import InputError

if TYPE_CHECKING:
    from xcat.catalogues.definition import Definition
    from xcat.ingest.opened import ColumnFacts

_SYSTEMS = {
    **dict.fromkeys(("", "icrs", "gcrs"), "ICRS"),
    **dict.fromkeys(("fk5", "eq_fk5", "equatorial"), "FK5"),
    **dict.fromkeys(("fk4", "eq_fk4"), "FK4"),
    **dict.fromkeys(("fk4-no-e", "fk4noeterms", "fk4_no_e"), "FK4-NO-E"),
    **dict.fromkeys(("galactic", "gal", "galactic_ii"), "galactic"),
    **dict.fromkeys(("supergalactic", "super_galactic"), "supergalactic"),
    **dict.fromkeys(("ecliptic", "ecl_fk5", "barycentricmeanecliptic"), "ecliptic"),
}
_WITH_EQUINOX = {"FK5": "J2000", "FK4": "B1950", "FK4-NO-E": "B1950", "ecliptic": "J2000"}
#: Beginnings of UCDs (also the older UCD1) of coordinates that are no right ascension or declination.
_OTHER_UCDS = {
    **dict.fromkeys(("pos.galactic", "pos_gal_l"), "galactic"),
    **dict.fromkeys(("pos.supergalactic", "pos_sg_l"), "supergalactic"),
    **dict.fromkeys(("pos.ecliptic", "pos_ec_l"), "ecliptic"),
    "pos.az": "horizontal",
    "pos.earth": "terrestrial",
    "pos.cartesian": "cartesian",
}
_SAME_DAY_YR = 0.01


def named(system: str, equinox: Any = "", epoch: Any = "") -> str:
    """The frame of a COOSYS, of RADESYS and EQUINOX of FITS, or of the metadata of a table.

    Parameters
    ----------
    system : str
        As VOTable, FITS or astropy call it; empty where only an equinox is stated.
    equinox, epoch : str or number
        ``J2000``, ``B1950``, or a year; empty where the file states none.
    """
    frame = _SYSTEMS.get(str(system).strip().casefold())
    stated = str(equinox).strip()
    if frame is None:
        return f"?{str(system).strip()[:40]}"
    if not str(system).strip() and stated:  # by the standard of FITS
        year = _year(stated)
        frame = "FK4" if stated[:1] in "Bb" or (year is not None and year < 1984) else "FK5"
    if frame not in _WITH_EQUINOX:
        return "" if frame == "ICRS" else frame
    year = _year(stated or _WITH_EQUINOX[frame])
    if year is None or not 1800 < year < 2200:
        return f"?{frame} of equinox {stated[:20]}"
    if frame == "FK5" and abs(year - 2000) < _SAME_DAY_YR:
        return ""
    text = f"{frame} {'B' if frame.startswith('FK4') else 'J'}{year:g}"
    observed = _year(str(epoch).strip())
    return f"{text} at {observed:g}" if frame.startswith("FK4") and observed is not None else text


def _year(text: str) -> float | None:
    match = re.fullmatch(r"[JBjb]?\s*(\d{4}(?:\.\d*)?)", text)
    return float(match[1]) if match else None


def of_name(name: str, frame: str) -> str:
    """The frame of a column whose name says one (RAJ2000, DE_ICRS, RAB1950); else that of its table."""
    folded = name.casefold()
    if "j2000" in folded or "icrs" in folded:
        return ""
    return "FK4 B1950" if "b1950" in folded else frame


def of_keywords(values: Mapping[str, Any]) -> str:
    """The frame that keywords state, as in a FITS header or in the metadata of a table: RADESYS, EQUINOX, EPOCH."""
    upper = {str(key).upper(): value for key, value in values.items()}
    system = next((upper[k] for k in ("RADESYS", "RADECSYS", "COOSYS", "FRAME") if upper.get(k)), "")
    equinox = upper.get("EQUINOX") or ""
    if isinstance(system, Mapping | list) or isinstance(equinox, Mapping | list):
        return ""
    return named(system, equinox) if system or equinox else ""


def with_metadata(columns: Iterable[ColumnFacts], meta: Any) -> list[ColumnFacts]:
    """Columns with the frame that the metadata of an ECSV or Parquet table state, where they have none of their own.

    Parameters
    ----------
    meta : mapping, or list of mappings of one key
        As YAML writes the metadata of a table: RADESYS and EQUINOX, and the SkyCoords whose parts are columns.
    """
    notes = _mapping(meta)
    of_table = of_keywords(notes)
    of_column: dict[str, str] = {}
    for name, about in _mapping(notes.get("__serialized_columns__")).items():
        parts = _mapping(about)
        if "SkyCoord" in str(parts.get("__class__", "")):
            frame = named(parts.get("frame", ""), _text_of(parts.get("equinox")))
            of_column |= {f"{name}.{part}": frame for part in ("ra", "dec", "l", "b", "lon", "lat")}
    return [replace(c, frame=c.frame or of_column.get(c.name, of_name(c.name, of_table))) for c in columns]


def _mapping(value: Any) -> dict[str, Any]:
    if isinstance(value, list):  # YAML writes an ordered mapping as a list of mappings of one key
        return {key: item for pair in value if isinstance(pair, dict) for key, item in pair.items()}
    return dict(value) if isinstance(value, Mapping) else {}


def _text_of(value: Any) -> str:
    """A time in such metadata: a text, or a mapping that holds it."""
    parts = _mapping(value)
    return str(parts.get("jyear_str", parts.get("byear_str", parts.get("value", "")))) if parts else str(value or "")


def check(path: Path | str, columns: Iterable[ColumnFacts], ra: Iterable[str], dec: Iterable[str]) -> list[str]:
    """What to say of the frame of a position, by the columns that its coordinates come from.

    Raises
    ------
    InputError
        The frame cannot be converted, differs between the two coordinates, or is not that of right ascensions.
    """
    wanted = {name.strip().casefold() for name in (*ra, *dec)}
    used = [c for c in columns if c.name.casefold() in wanted]
    for column in used:
        ucd = column.ucd.casefold()
        other = next((frame for start, frame in _OTHER_UCDS.items() if ucd.startswith(start)), "")
        if other:
            raise InputError(
                f"{path}: column '{column.name}' is a {other} coordinate (its UCD is {column.ucd}), not a right "
                "ascension or declination; use other columns, or add equatorial ones"
            )
    frame = common({c.name: c.frame for c in used if c.frame}, [c.name for c in used], path)
    if not frame:
        return []
    names = ", ".join(c.name for c in used)
    return [f"{path}: positions ({names}) are {frame} by the file's own words; converted to ICRS"]


def common(frames: Mapping[str, str], columns: Iterable[str], path: Path | str = "position") -> str:
    """The one frame of some columns; empty for ICRS.

    Raises
    ------
    InputError
        The columns are in different frames, or in one that cannot be converted.
    """
    of_folded = {name.strip().casefold(): frame for name, frame in frames.items()}  # FITS does not tell case apart
    found = {name: of_folded.get(name.strip().casefold(), "") for name in columns}
    distinct = sorted(set(found.values()))
    if len(distinct) > 1:
        listed = ", ".join(f"{name} {frame.lstrip('?') or 'ICRS'}" for name, frame in found.items())
        raise InputError(f"{path}: the coordinates of one position are in different frames: {listed}")
    frame = distinct[0] if distinct else ""
    if frame.startswith("?"):
        raise InputError(
            f"{path}: positions ({', '.join(found)}) are in '{frame[1:]}' by the file's own words, which xcat cannot "
            "convert; convert them to ICRS first"
        )
    return frame


def to_icrs(lon: FloatArray, lat: FloatArray, frame: str) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Convert positions to ICRS.

    Parameters
    ----------
    lon, lat : (N,) float64
        Degrees, in `frame`; NaN and impossible latitudes stay NaN.

    Returns
    -------
    ra, dec : (N,) float64
        Degrees.
    turn : (N,) float64
        What to add to position angles in `frame`, degrees east of its north.
    """
    import astropy.units as u
    from astropy.coordinates import ICRS, SkyCoord

    ra, dec, turn = (np.full(len(lon), np.nan) for _ in range(3))
    good = np.isfinite(lon) & (np.abs(lat) <= 90)
    if good.any():
        place = SkyCoord(lon[good] * u.deg, lat[good] * u.deg, frame=_astropy(frame))
        north = place.directional_offset_by(0 * u.deg, 1 * u.arcmin)
        there = place.transform_to(ICRS())
        ra[good], dec[good] = there.ra.deg, there.dec.deg
        turn[good] = there.position_angle(north.transform_to(ICRS())).deg
    return ra, dec, turn


def _astropy(frame: str) -> Any:
    from astropy import coordinates
    from astropy.time import Time

    system, *rest = frame.split(" ")
    if system in ("galactic", "supergalactic"):
        return coordinates.Galactic() if system == "galactic" else coordinates.Supergalactic()
    equinox = Time(rest[0])
    if system == "FK5":
        return coordinates.FK5(equinox=equinox)
    if system == "ecliptic":
        return coordinates.BarycentricMeanEcliptic(equinox=equinox)
    kind = coordinates.FK4 if system == "FK4" else coordinates.FK4NoETerms
    return kind(equinox=equinox, obstime=Time(f"B{rest[2]}") if len(rest) > 1 else equinox)


def turn_columns(columns: dict[str, np.ndarray], frame: str, definition: Definition) -> None:
    """Convert the positions, motions and position angles among standard columns to ICRS, in place.

    Raises
    ------
    InputError
        Proper motions in FK4, whose change with the frame depends on the distance.
    """
    ra, dec, turn = to_icrs(columns["ra"], columns["dec"], frame)
    columns["ra"], columns["dec"] = ra, dec
    for name in ("err_pa_deg", "pa_deg"):
        if name in columns:
            columns[name] = np.mod(columns[name] + turn, 180.0)
    if "pmra_mas_yr" in columns and "pmdec_mas_yr" in columns:
        if frame.startswith("FK4"):
            raise InputError(
                f"{definition.name}: proper motions in {frame} cannot be converted; leave them out of the definition"
            )
        east, north = columns["pmra_mas_yr"], columns["pmdec_mas_yr"]
        cos, sin = np.cos(np.radians(turn)), np.sin(np.radians(turn))
        columns["pmra_mas_yr"] = east * cos + north * sin
        columns["pmdec_mas_yr"] = north * cos - east * sin
