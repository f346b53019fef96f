"""Small files of light curves and spectra, as the missions write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.table import Table

_MET = 6.9567609750549e7


def lc3(path: Path, counts: Any, bin_s: float = 500.0, **header: Any) -> Path:
    """A Chandra light curve: counts in bins of one length; ``header`` replaces cards, None removes one."""
    counts = np.asarray(counts, float)
    rate = counts / bin_s
    columns = {
        "Time": (_MET + (np.arange(len(counts)) + 0.5) * bin_s, "s"),
        "COUNT_RATE": (rate, "count/s"),
        "COUNT_RATE_ERR": (np.sqrt(np.maximum(counts, 1)) / bin_s, "count/s"),
        "Minus_3Sig": (rate, "count/s"),
        "Plus_3Sig": (rate, "count/s"),
    }
    replaced = header.pop("columns", {})
    made = [fits.Column(n, "1D", unit, array=v) for n, (v, unit) in (columns | replaced).items()]
    hdu = fits.BinTableHDU.from_columns(made, name="LIGHTCURVE")
    cards = {
        "TELESCOP": "CHANDRA", "INSTRUME": "ACIS", "OBS_ID": "136", "MJDREF": 50814.0, "TIMEZERO": 0.0, "TIMESYS": "TT",
        "TIMEDEL": bin_s, "EXPOSURE": bin_s * len(counts), "TOTCTS": round(counts.sum()), "BAND": "broad",
        "HDUCLAS1": "LIGHTCURVE",
    }  # fmt: skip
    for key, value in (cards | header).items():
        if value is not None:
            hdu.header[key] = value
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path, overwrite=True)
    return path


def swift(path: Path, rates: Any, errors: Any, first_mjd: float = 55000.0, **replaced: list[Any]) -> Path:
    """A Swift-XRT light curve as text; a rate with a NaN error is an upper limit."""
    n = len(rates)
    errors = np.asarray(errors, float)
    limit = np.isnan(errors)
    columns: dict[str, list[Any]] = {
        "MJD": list(first_mjd + 10.0 * np.arange(n)), "T_+ve": [0.1] * n, "T_-ve": [-0.1] * n, "Rate": list(rates),
        "Ratepos": list(np.where(limit, 0, errors)), "Rateneg": list(np.where(limit, 0, -errors)),
        "obsID": [f"00031287{i:03d}" for i in range(n)], "MODE": ["PC"] * n, "BAD": ["False"] * n,
        "UL": [str(bool(x)) for x in limit], "BAND": ["FULL"] * n,
    }  # fmt: skip
    Table(columns | replaced).write(path, format="ascii.csv", overwrite=True)
    return path


def spectrum(
    folder: Path, counts: Any, stem: str = "src", background: Any = None, exposure_s: float = 10_000.0, **header: Any
) -> Path:
    """A PHA file with response and area, maybe background, beside it: channels of 0.1 keV from 0, a diagonal matrix."""
    counts = np.asarray(counts, np.int32)
    n = len(counts)
    low = 0.1 * np.arange(n)
    energies = np.maximum(low, 1e-3)
    channel = np.arange(1, n + 1)
    bounds = fits.BinTableHDU.from_columns(
        [fits.Column("CHANNEL", "J", array=channel), fits.Column("E_MIN", "E", "keV", array=low),
         fits.Column("E_MAX", "E", "keV", array=low + 0.1)], name="EBOUNDS",
    )  # fmt: skip
    matrix = fits.BinTableHDU.from_columns(
        [fits.Column("ENERG_LO", "E", "keV", array=energies), fits.Column("ENERG_HI", "E", "keV", array=low + 0.1),
         fits.Column("N_GRP", "I", array=np.ones(n)), fits.Column("F_CHAN", "I", array=channel),
         fits.Column("N_CHAN", "I", array=np.ones(n)), fits.Column("MATRIX", "E", array=np.ones(n))], name="MATRIX",
    )  # fmt: skip
    matrix.header["TLMIN4"] = 1
    for hdu in (bounds, matrix):
        hdu.header["HDUCLAS1"] = "RESPONSE"
    fits.HDUList([fits.PrimaryHDU(), matrix, bounds]).writeto(folder / f"{stem}.rmf", overwrite=True)
    area = fits.BinTableHDU.from_columns(
        [fits.Column("ENERG_LO", "E", "keV", array=energies), fits.Column("ENERG_HI", "E", "keV", array=low + 0.1),
         fits.Column("SPECRESP", "E", "cm**2", array=np.full(n, 100.0))], name="SPECRESP",
    )  # fmt: skip
    area.header["HDUCLAS1"] = "RESPONSE"
    fits.HDUList([fits.PrimaryHDU(), area]).writeto(folder / f"{stem}.arf", overwrite=True)

    def written(path: Path, values: Any, scale: float, **cards: Any) -> Path:
        values = np.asarray(values)
        columns = [fits.Column("CHANNEL", "J", array=channel), fits.Column("COUNTS", "E", "count", array=values)]
        hdu = fits.BinTableHDU.from_columns(columns, name="SPECTRUM")
        for key, value in (
            {"EXPOSURE": exposure_s, "BACKSCAL": scale, "AREASCAL": 1.0, "HDUCLAS1": "SPECTRUM"} | cards
        ).items():
            hdu.header[key] = value
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path, overwrite=True)
        return path

    cards: dict[str, Any] = {
        "TELESCOP": "SWIFT", "INSTRUME": "XRT", "OBS_ID": "00012345001", "RESPFILE": f"{stem}.rmf",
        "ANCRFILE": f"{stem}.arf", "BACKFILE": "none", "DATE-OBS": "2010-01-02T03:04:05",
    }  # fmt: skip
    if background is not None:
        written(folder / f"{stem}_bkg.pha", background, 4.0, HDUCLAS2="BKG")
        cards["BACKFILE"] = f"{stem}_bkg.pha"
    return written(folder / f"{stem}.pha", counts, 1.0, **(cards | header))
