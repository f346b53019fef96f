"""Light curves as the missions write them: those of the Chandra Source Catalog, and those of Swift-XRT as text."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.time import Time

from xcat.errors import InputError
from xcat.ingest import product_files as files
from xcat.ingest.product_files import Curve, Floats, Product, refuse

#: A date out of these is in other units, or of another zero: 1968 to 2132.
_MJD_RANGE = (40_000.0, 100_000.0)
#: Bands of the Chandra Source Catalog (Evans et al. 2010, ApJS 189, 37) and of Swift-XRT light curves (Evans et al.
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


def chandra(path: Path, hdus: fits.HDUList) -> Product:
    """The light curve that glvary has made of a source of the Chandra Source Catalog (``*_lc3.fits``).

    Its bins are finer than its resolution, its rates a mean over several binnings (Gregory & Loredo 1992, ApJ 398,
    146): neighbours are not independent. The counts of the whole are, and are kept.
    """
    hdu = files.table(path, hdus, "LIGHTCURVE")
    header = hdu.header
    time = files.numbers(path, hdu, "TIME", "s")
    rate = files.numbers(path, hdu, "COUNT_RATE", "ct / s")
    error = files.numbers(path, hdu, "COUNT_RATE_ERR", "ct / s")
    rows = np.arange(1, len(time) + 1)
    if not len(time):
        raise InputError(f"{path}: the light curve has no rows")
    width = files.number(path, header, "TIMEDEL")
    if width <= 0:
        raise InputError(f"{path}: header: TIMEDEL, the length of a bin, is {width:g} s; it must be positive")
    refuse(path, ~np.isfinite(time), rows, lambda i: f"Time is {time[i]}")
    refuse(path, np.diff(time, prepend=-np.inf) <= 0, rows, lambda i: f"Time {time[i]:.10g} does not increase")
    refuse(path, error < 0, rows, lambda i: f"COUNT_RATE_ERR is negative: {error[i]:g}")
    refuse(path, rate < 0, rows, lambda i: f"COUNT_RATE is negative: {rate[i]:g}")
    zero = files.number(path, header, "MJDREF") + float(header.get("TIMEZERO", 0.0)) / _DAY_S
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
        exposure_s=files.exposure(path, header),
        header={"pointing": files.place(header, ("RA_PNT", "DEC_PNT"), ("RA_NOM", "DEC_NOM"))},
        left_out=[(int(row), "COUNT_RATE", "nan", "no rate") for row in rows[~there]],
    )


def _check_dates(path: Path, mjd: Floats, rows: Any, column: str) -> None:
    low, high = _MJD_RANGE
    refuse(
        path, (mjd < low) | (mjd > high), rows,
        lambda i: f"{column} gives MJD {mjd[i]:.8g}, which must be between {low:g} and {high:g}: are the units right?",
    )  # fmt: skip


def swift(path: Path, data: bytes) -> list[Product]:
    """The light curves of a Swift-XRT file of text (Evans et al. 2009), one for each band.

    Columns ``MJD``, ``T_+ve``, ``T_-ve`` (days), ``Rate``, ``Ratepos``, ``Rateneg`` (counts per second), and ``UL``,
    ``BAD``, ``obsID``, ``BAND``; or ``Err (pos)``, ``Err(neg)``, ``Error`` of files with hardness ratios, which are no
    rates and left out.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: is neither FITS nor text") from None
    lines = list(csv.reader(text.splitlines()))
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
            raise InputError(f"{path}: row {bands.index(band) + 1}: BAND is {band[:20]!r}, not FULL SOFT HARD HR")
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
    refuse(
        path, ~((after >= 0) & (before <= 0)), rows,
        lambda i: f"the bin ends {after[i]:g} d after and {before[i]:g} d before its time: signs are wrong",
    )  # fmt: skip
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
