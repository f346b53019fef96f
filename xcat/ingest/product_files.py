"""Files of light curves and spectra: which of those given are such files, and what each of them holds.

A file is read whole: it has a few thousand rows. What is wrong with one is an error that names file and row.
"""

from __future__ import annotations

import csv
import io
import warnings
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from xcat.errors import InputError
from xcat.ingest.files import regular, unpacked, unpacked_name

_ENDINGS = frozenset(
    (".fits", ".fit", ".fts", ".ftz", ".lc", ".pha", ".pi", ".pha2", ".rmf", ".arf", ".rsp", ".csv", ".txt")
)
_MOST_BYTES = 1 << 28
Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass
class Curve:
    """A light curve.

    Attributes
    ----------
    rows : ndarray of int, shape (n,)
        Rows of the file, the first being 1.
    time_mjd, width_s, rate_cps, rate_err_low_cps, rate_err_high_cps, exposure_s : ndarray of float, shape (n,)
        Middle and length of the bins, rates with errors; NaN where there is none.
    is_limit, is_doubtful : ndarray of bool, shape (n,)
    obs_ids : list of str, optional
        Observation of each bin, where it is not one for all.
    n_counts : float, optional
        Counts of the whole curve: it is then one of counted photons, in bins one after the other.
    """

    rows: Any
    time_mjd: Floats
    width_s: Floats
    rate_cps: Floats
    rate_err_low_cps: Floats
    rate_err_high_cps: Floats
    exposure_s: Floats
    is_limit: Any
    is_doubtful: Any
    obs_ids: list[str] | None = None
    n_counts: float | None = None


@dataclass
class Spectrum:
    """A spectrum in groups of channels; arrays of shape (n,), see the columns of ``xcat.spectrum_bin``."""

    energy_low_kev: Floats
    energy_high_kev: Floats
    n_counts: Floats
    n_background_counts: Floats
    rate_per_kev_cps: Floats
    rate_per_kev_err_cps: Floats
    folded_per_kev_cps: Floats


@dataclass
class Product:
    """What a file holds of one source in one band.

    Attributes
    ----------
    data : Curve or Spectrum
    mission : str
    header : dict
        Source and pointing, as far as the file has them: ``name``, ``position``, ``pointing`` (deg, ICRS).
    left_out : list of (row, column, value, reason)
        Rows of the file that hold nothing that can be used.
    """

    data: Curve | Spectrum
    mission: str
    instrument: str | None = None
    obs_id: str | None = None
    band_kev: tuple[float, float] | None = None
    exposure_s: float | None = None
    header: dict[str, Any] = field(default_factory=dict)
    left_out: list[tuple[int, str, str, str]] = field(default_factory=list)


def found(paths: Sequence[Path]) -> list[Path]:
    """Files that are given, and those in the folders that are given, by their endings; in the order of their names.

    Raises
    ------
    InputError
        There is no such file, or no file in a folder.
    """
    out: list[Path] = []
    for path in paths:
        if not path.is_dir():
            out.append(regular(path))
            continue
        inside = sorted(p for p in path.rglob("*") if p.is_file() and Path(unpacked_name(p)).suffix.lower() in _ENDINGS)
        if not inside:
            raise InputError(
                f"{path}: there is no light curve or spectrum in this folder ({' '.join(sorted(_ENDINGS))})"
            )
        out += inside
    return list(dict.fromkeys(out))


def content(path: Path) -> bytes:
    """The bytes of a file, unpacked.

    Raises
    ------
    InputError
        It is empty, cut off or too large.
    """
    try:
        with unpacked(path) as stream:
            data = stream.read(_MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise InputError(f"{path}: cannot be unpacked; it may be cut off ({error})") from error
    if not data:
        raise InputError(f"{path}: the file is empty")
    if len(data) > _MOST_BYTES:
        raise InputError(
            f"{path}: is larger than {_MOST_BYTES >> 20} MB; that is no light curve or spectrum of a source"
        )
    return data


def read(path: Path) -> list[Product] | None:
    """What a file holds, by its content; None for a response or a background, which belong to the file of a spectrum.

    Raises
    ------
    InputError
        It cannot be used; names file, and column and row where there is one.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)
            return _read(path, content(path))
    except (fits.VerifyError, csv.Error, KeyError, AttributeError, IndexError, ValueError, TypeError) as error:
        # what a header with broken cards makes astropy raise
        raise InputError(f"{path}: is damaged: {str(error)[:200]}") from error


def _read(path: Path, data: bytes) -> list[Product] | None:
    from xcat.ingest import curve_files, spectrum_files

    if not data.startswith(b"SIMPLE  ="):
        return curve_files.swift(path, data)

    with opened(path, data) as hdus:
        kinds = {str(hdu.header.get("HDUCLAS1", "")).strip() for hdu in hdus}
        names = {hdu.name for hdu in hdus}
        if "LIGHTCURVE" in kinds or "LIGHTCURVE" in names:
            return [curve_files.chandra(path, hdus)]
        if "RESPONSE" in kinds or "SPECRESP" in names:
            return None
        if "SPECTRUM" in kinds or "SPECTRUM" in names:
            spectrum = spectrum_files.read(path, hdus)
            return None if spectrum is None else [spectrum]
    shown = ", ".join(sorted(n for n in names if n != "PRIMARY")) or "none"
    raise InputError(f"{path}: neither a light curve nor a spectrum: no such table in it (it has: {shown})")


def opened(path: Path, data: bytes) -> fits.HDUList:
    """A FITS file whose tables are all there.

    Raises
    ------
    InputError
        It is cut off or no FITS file.
    """
    try:
        hdus = fits.open(io.BytesIO(data), memmap=False, lazy_load_hdus=False, ignore_missing_simple=False)
        end = max(hdu._data_offset + hdu.size for hdu in hdus)
    except (OSError, ValueError, TypeError, KeyError, fits.VerifyError, UserWarning) as error:
        raise InputError(f"{path}: is no FITS file that can be read, or cut off: {error}") from error
    if end > len(data):
        raise InputError(f"{path}: is cut off: it should have {end:,} bytes, it has {len(data):,}")
    return hdus


def table(path: Path, hdus: fits.HDUList, name: str) -> fits.BinTableHDU:
    """The table of a FITS file with a name or an OGIP class.

    Raises
    ------
    InputError
        There is none.
    """
    for hdu in hdus:
        is_named = name in (hdu.name, str(hdu.header.get("HDUCLAS1", "")).strip())
        if is_named and isinstance(hdu, fits.BinTableHDU):
            return hdu
    raise InputError(f"{path}: there is no table {name}")


def numbers(path: Path, hdu: fits.BinTableHDU, name: str, unit: str | None = None) -> Floats:
    """A column of numbers, in the unit that is wanted.

    Raises
    ------
    InputError
        It is not there, holds no numbers, or its unit is another kind of quantity.
    """
    names = {column.name.upper(): column for column in hdu.columns}
    if name.upper() not in names:
        raise InputError(
            f"{path}: table {hdu.name}: there is no column {name} (it has: {', '.join(hdu.columns.names)})"
        )
    column = names[name.upper()]
    try:
        values = np.asarray(hdu.data[column.name], float)
        if unit is None or not column.unit:
            return values
        return np.asarray(values * u.Unit(column.unit, format="ogip", parse_strict="raise").to(unit))
    except u.UnitConversionError:
        raise InputError(f"{path}: column {column.name} is in {column.unit}, it must be in {unit}") from None
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: column {column.name}: {error}") from None


def number(path: Path, header: fits.Header, name: str) -> float:
    """A number of a header.

    Raises
    ------
    InputError
        It is not there, or no finite number.
    """
    try:
        value = float(header[name])
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{path}: header: {name} is missing or no number") from None
    if not np.isfinite(value):
        raise InputError(f"{path}: header: {name} is {value}")
    return value


def exposure(path: Path, header: fits.Header) -> float:
    """The exposure of a file, in seconds.

    Raises
    ------
    InputError
        It is not positive.
    """
    value = number(path, header, "EXPOSURE")
    if value <= 0:
        raise InputError(f"{path}: header: EXPOSURE is {value:g} s, it must be positive")
    return value


def place(header: fits.Header, *pairs: tuple[str, str]) -> tuple[float, float] | None:
    """The first position of a header, in degrees."""
    for pair in pairs:
        try:
            ra, dec = (float(header[key]) for key in pair)
        except (KeyError, TypeError, ValueError):
            continue
        if 0 <= ra < 360 and -90 <= dec <= 90:
            return ra, dec
    return None


def refuse(path: Path, bad: Any, rows: Any, words: Callable[[int], str]) -> None:
    """Refuse a file by the first of its rows that is bad, and say how many there are.

    Raises
    ------
    InputError
        Any row is bad.
    """
    at = np.flatnonzero(bad)
    if at.size:
        more = f" (and {at.size - 1} rows more)" if at.size > 1 else ""
        raise InputError(f"{path}: row {int(rows[at[0]])}: {words(int(at[0]))}{more}; nothing was loaded")
