"""Files of light curves and spectra: which of those given are such files, and what each of them holds.

A file is read whole: it has a few thousand rows. What is wrong with one is an error that names file and row.
"""

from __future__ import annotations

import csv
import io
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.time import Time

from xcat.errors import InputError
from xcat.ingest.files import regular, unpacked, unpacked_name

_ENDINGS = frozenset(
    (".fits", ".fit", ".fts", ".ftz", ".lc", ".pha", ".pi", ".pha2", ".rmf", ".arf", ".rsp", ".csv", ".txt")
)
_MOST_BYTES = 1 << 28
#: A date out of these is in other units, or of another zero: 1968 to 2132.
_MJD_RANGE = (40_000.0, 100_000.0)
#: Bands of the Chandra Source Catalog (Evans et al. 2010, ApJS 189, 37) and of the Swift-XRT light curves (Evans et al.
#: 2009, MNRAS 397, 1177), keV.
_CHANDRA_BANDS = {
    "broad": (0.5, 7.0),
    "ultrasoft": (0.2, 0.5),
    "soft": (0.5, 1.2),
    "medium": (1.2, 2.0),
    "hard": (2.0, 7.0),
    "wide": (0.1, 10.0),
}
_SWIFT_BANDS = {"FULL": (0.3, 10.0), "SOFT": (0.3, 1.5), "HARD": (1.5, 10.0)}
_DAY_S = 86_400.0

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
    n_background: Floats
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
    data = content(path)
    if not data.startswith(b"SIMPLE  ="):
        return swift_curves(path, data)
    from xcat.ingest import spectrum_files

    with opened(path, data) as hdus:
        kinds = {str(hdu.header.get("HDUCLAS1", "")).strip() for hdu in hdus}
        names = {hdu.name for hdu in hdus}
        if "LIGHTCURVE" in kinds or "LIGHTCURVE" in names:
            return [chandra_curve(path, hdus)]
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
        return values * u.Unit(column.unit, format="ogip", parse_strict="raise").to(unit)
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


def chandra_curve(path: Path, hdus: fits.HDUList) -> Product:
    """The light curve that glvary has made of a source of the Chandra Source Catalog (``*_lc3.fits``).

    Its bins are finer than its resolution, its rates a mean over several binnings (Gregory & Loredo 1992, ApJ 398, 146):
    neighbours are not independent. The counts of the whole are, and are kept.
    """
    hdu = table(path, hdus, "LIGHTCURVE")
    header = hdu.header
    time = numbers(path, hdu, "TIME", "s")
    rate = numbers(path, hdu, "COUNT_RATE", "ct / s")
    error = numbers(path, hdu, "COUNT_RATE_ERR", "ct / s")
    rows = np.arange(1, len(time) + 1)
    if not len(time):
        raise InputError(f"{path}: the light curve has no rows")
    width = number(path, header, "TIMEDEL")
    if width <= 0:
        raise InputError(f"{path}: header: TIMEDEL, the length of a bin, is {width:g} s; it must be positive")
    refuse(path, ~np.isfinite(time), rows, lambda i: f"Time is {time[i]}")
    refuse(path, np.diff(time, prepend=-np.inf) <= 0, rows, lambda i: f"Time {time[i]:.10g} does not increase")
    refuse(path, error < 0, rows, lambda i: f"COUNT_RATE_ERR is negative: {error[i]:g}")
    refuse(path, rate < 0, rows, lambda i: f"COUNT_RATE is negative: {rate[i]:g}")
    zero = number(path, header, "MJDREF") + float(header.get("TIMEZERO", 0.0)) / _DAY_S
    mjd = zero + time / _DAY_S
    _check_dates(path, mjd, rows, "Time")
    if str(header.get("TIMESYS", "TT")).strip() == "TT":
        mjd = Time(mjd, format="mjd", scale="tt").utc.mjd
    there = np.isfinite(rate)
    total = float(header.get("TOTCTS", 0) or 0)
    n = int(there.sum())
    curve = Curve(
        rows[there], mjd[there], np.full(n, width), rate[there], error[there], error[there], np.full(n, np.nan),
        np.zeros(n, bool), np.zeros(n, bool), n_counts=total if total > 0 else None,
    )  # fmt: skip
    return Product(
        curve,
        mission="Chandra" if str(header.get("TELESCOP", "")).strip() == "CHANDRA" else str(header.get("TELESCOP", "?")),
        instrument=str(header.get("INSTRUME", "")).strip() or None,
        obs_id=str(header.get("OBS_ID", "")).strip() or None,
        band_kev=_CHANDRA_BANDS.get(str(header.get("BAND", "")).strip()),
        exposure_s=exposure(path, header),
        header={"pointing": place(header, ("RA_PNT", "DEC_PNT"), ("RA_NOM", "DEC_NOM"))},
        left_out=[(int(row), "COUNT_RATE", "nan", "no rate") for row in rows[~there]],
    )


def _check_dates(path: Path, mjd: Floats, rows: Any, column: str) -> None:
    low, high = _MJD_RANGE
    refuse(
        path, (mjd < low) | (mjd > high), rows,
        lambda i: f"{column} gives MJD {mjd[i]:.8g}, which must be between {low:g} and {high:g}: are the units right?",
    )  # fmt: skip


def swift_curves(path: Path, data: bytes) -> list[Product]:
    """The light curves of a Swift-XRT file of text (Evans et al. 2009), one for each band.

    Columns ``MJD``, ``T_+ve``, ``T_-ve`` (days), ``Rate``, ``Ratepos``, ``Rateneg`` (counts per second), and ``UL``,
    ``BAD``, ``obsID``, ``BAND``; or ``Err (pos)``, ``Err(neg)``, ``Error`` of files with hardness ratios, which are no
    rates and left out.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: is neither FITS nor text") from None
    lines = list(csv.reader(io.StringIO(text)))
    head = [name.strip().casefold() for name in lines[0]] if lines else []
    if "mjd" not in head or "rate" not in head:
        why = "times after a trigger have no date here" if text[:5].upper() == "READ " else "no columns MJD and Rate"
        raise InputError(f"{path}: is no light curve of Swift-XRT ({why}). Export it with dates (MJD) as CSV")
    records = [dict(zip(head, line, strict=False)) for line in lines[1:] if any(line)]
    cut = next((i for i, line in enumerate(lines[1:], 1) if line and len(line) != len(head)), None)
    if cut is not None:
        raise InputError(
            f"{path}: row {cut}: {len(lines[cut])} values, the head has {len(head)} columns: is it cut off?"
        )
    if not records:
        raise InputError(f"{path}: the light curve has no rows")
    bands = [record.get("band", "FULL").strip().upper() for record in records]
    out = []
    for band in dict.fromkeys(b for b in bands if b != "HR"):
        if band not in _SWIFT_BANDS:
            raise InputError(
                f"{path}: row {bands.index(band) + 1}: BAND is {band[:20]!r}, not {' '.join(_SWIFT_BANDS)} or HR"
            )
        rows = np.array([i for i, b in enumerate(bands, 1) if b == band])
        out.append(_swift_curve(path, records, rows, band))
    if not out:
        raise InputError(f"{path}: only hardness ratios (BAND HR), no rates")
    return out


def _swift_curve(path: Path, records: list[dict[str, str]], rows: Any, band: str) -> Product:
    def column(*names: str) -> Floats:
        values = np.empty(len(rows))
        for k, row in enumerate(rows):
            record = records[row - 1]
            name = next((n for n in names if n in record), None)
            if name is None:
                raise InputError(f"{path}: there is no column {names[0]}")
            try:
                values[k] = float(record[name] or "nan")
            except ValueError:
                raise InputError(f"{path}: row {row}: {name} is {record[name][:30]!r}, no number") from None
        return values

    def flag(name: str) -> Any:
        return np.array([records[row - 1].get(name, "").strip().casefold() in ("true", "1") for row in rows], bool)

    mjd, after, before = column("mjd"), column("t_+ve", "err (pos)"), column("t_-ve", "err(neg)")
    rate, high, low = column("rate"), column("ratepos", "error"), column("rateneg", "error")
    is_limit = flag("ul")
    refuse(path, ~np.isfinite(mjd), rows, lambda i: f"MJD is {mjd[i]}")
    _check_dates(path, mjd, rows, "MJD")
    refuse(path, ~((after >= 0) & (before <= 0)), rows,
           lambda i: f"the bin ends {after[i]:g} d after and {before[i]:g} d before its time: signs are wrong")  # fmt: skip
    refuse(path, high < 0, rows, lambda i: f"the error of Rate is negative: {high[i]:g}")
    there = np.isfinite(rate)  # a background is subtracted: rates may be negative
    order = np.flatnonzero(there)[np.argsort(mjd[there], kind="stable")]
    middle = mjd + (after + before) / 2
    errors = [np.where(is_limit | (e == 0), np.nan, np.abs(e)) for e in (low, high)]
    obs_ids = [records[row - 1].get("obsid", "").strip() for row in rows]
    curve = Curve(
        rows[order], middle[order], ((after - before) * _DAY_S)[order], rate[order], errors[0][order],
        errors[1][order], np.full(len(order), np.nan), is_limit[order], flag("bad")[order],
        [obs_ids[i] for i in order],
    )  # fmt: skip
    left_out = [(int(row), "Rate", "nan", "no rate") for row in rows[~there]]
    return Product(curve, "Swift", "XRT", None, _SWIFT_BANDS[band], None, left_out=left_out)
