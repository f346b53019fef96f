"""Counterparts as Gaia DR3, 2MASS and AllWISE list them: VizieR's column names, the catalogues' own errors."""

from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import TypeAlias

import numpy as np

from xcat.arrays import FloatArray, IntArray
from xcat.simulate.counterparts import Field, Magnitudes
from xcat.simulate.rows import moved, scattered, sexagesimal
from xcat.simulate.write import Columns, single
from xcat.sky.geometry import offset

TWOMASS_EPOCH_YR = 1999.5
ALLWISE_EPOCH_YR = 2010.5
_BORDER_DEG = 0.1  # wider than two circles: further south no name comes again

CounterpartTable: TypeAlias = tuple[Columns, np.ndarray, IntArray]
"""Rows of a catalogue file, the identifier of each, and the index of its object in the field."""


@dataclass
class Listed:
    """What has been listed so far: catalogues are made band by band of declination, from south to north."""

    n: int = 0  # rows
    # near the northern border
    names: np.ndarray = dataclass_field(default_factory=lambda: np.empty(0, dtype="S1"))
    dec_deg: FloatArray = dataclass_field(default_factory=lambda: np.empty(0))


def _faint(mag: FloatArray, at: float, per_mag: float = 0.2) -> FloatArray:
    """Factor on errors, tenfold per five magnitudes beyond the magnitude where photon noise takes over."""
    return np.asarray(10 ** (per_mag * np.clip(mag - at, 0, 8)))


def _by_declination(field: Field, member: np.ndarray) -> IntArray:
    # archives have their own order of rows: counterparts must not come first
    index = np.flatnonzero(member)
    return index[np.argsort(field.dec_deg[index], kind="stable")]


def _at_epoch(field: Field, index: IntArray, epoch_yr: float) -> tuple[FloatArray, FloatArray]:
    f = field[index]
    return moved(f.ra_deg, f.dec_deg, f.pmra_mas_yr, f.pmdec_mas_yr, epoch_yr)


def _noisy(rng: np.random.Generator, mag: FloatArray, floor: float, at: float) -> tuple[FloatArray, FloatArray]:
    """Measured magnitude and its error, mag."""
    error = floor * _faint(mag, at, 0.4)
    return mag + error * rng.standard_normal(mag.size), error


def _near_infrared(rng: np.random.Generator, mag: Magnitudes) -> list[tuple[FloatArray, FloatArray]]:
    return [_noisy(rng, m, 0.022, at) for m, at in ((mag.j, 14.2), (mag.h, 13.5), (mag.k, 12.8))]


def _geometric_distance_pc(parallax_mas: FloatArray, error_mas: FloatArray) -> FloatArray:
    """Most probable distance where stars thin out as r^2 exp(-r / L) (Bailer-Jones 2015, PASP 127, 994, section 7).

    It is the smallest root of r^3 / L - 2 r^2 + a r - c, to which Newton's method converges from one side: from 0 where
    the first maximum of the cubic is above zero, from far beyond where it is not, and from the point of inflexion where
    there is no maximum.
    """
    length = 1.35  # kpc
    a, c = parallax_mas / error_mas**2, 1 / error_mas**2

    def cubic(r: FloatArray) -> FloatArray:
        return np.asarray(((r / length - 2) * r + a) * r - c)

    monotonic = 3 * a / length > 4
    maximum = length / 3 * (2 - np.sqrt(np.where(monotonic, 0, 4 - 3 * a / length)))
    beyond = 2 * np.maximum(np.maximum(2 * length, np.sqrt(length * np.abs(a))), np.cbrt(length * c))
    r = np.where(monotonic, 2 * length / 3, np.where((maximum > 0) & (cubic(maximum) > 0), 0.0, beyond))
    for _ in range(40):
        r = r - cubic(r) / ((3 * r / length - 4) * r + a)
    return np.asarray(1000 * r)


def gaia_table(rng: np.random.Generator, field: Field, listed: Listed) -> CounterpartTable:
    """Gaia DR3: epoch 2016.0, errors in mas (Lindegren et al. 2021, A&A 649, A2, figure 7)."""
    index = _by_declination(field, field.in_gaia)
    n = index.size
    mag = field.magnitudes[index]
    error_mas = 0.015 * _faint(mag.g, 14.0)
    e_ra, e_dec = error_mas * rng.uniform(0.9, 1.2, n), error_mas * rng.uniform(0.85, 1.1, n)
    east, north = e_ra * rng.standard_normal(n) * 1e-3, e_dec * rng.standard_normal(n) * 1e-3
    ra, dec = offset(field.ra_deg[index], field.dec_deg[index], east, north)
    # two-parameter solutions have no motion and no parallax: one in ten near the limit
    full = rng.random(n) > 0.01 + 0.12 * np.clip(mag.g - 19.5, 0, 1)
    e_plx, e_pm = 1.2 * error_mas, 1.25 * error_mas

    def motion(true: FloatArray, error: FloatArray) -> FloatArray:
        return np.where(full, true + error * rng.standard_normal(n), np.nan)

    parallax = motion(field.parallax_mas[index], e_plx)
    g, _ = _noisy(rng, mag.g, 0.003, 20.0)
    bp, _ = _noisy(rng, mag.bp, 0.005, 18.0)
    rp, _ = _noisy(rng, mag.rp, 0.005, 17.5)
    lost = (rng.random(n) < 0.015) | (mag.bp > 21.8)
    number = np.arange(listed.n, listed.n + n, dtype=np.int64)
    source = np.int64(2**59) + number * 2**20 + rng.integers(0, 2**20, n)
    listed.n += n
    columns: Columns = {
        "Source": source,
        "RA_ICRS": ra,
        "e_RA_ICRS": e_ra,
        "DE_ICRS": dec,
        "e_DE_ICRS": e_dec,
        "Plx": parallax,
        "e_Plx": np.where(full, e_plx, np.nan),
        "pmRA": motion(field.pmra_mas_yr[index], e_pm),
        "e_pmRA": np.where(full, e_pm, np.nan),
        "pmDE": motion(field.pmdec_mas_yr[index], e_pm),
        "e_pmDE": np.where(full, e_pm, np.nan),
        "rgeo": _geometric_distance_pc(parallax, e_plx),
        "Gmag": g,
        "BPmag": np.where(lost, np.nan, bp),
        "RPmag": np.where(lost, np.nan, rp),
    }
    return single(columns, "RA_ICRS", "DE_ICRS"), source.astype("U19"), index


def twomass_table(rng: np.random.Generator, field: Field, listed: Listed) -> CounterpartTable:
    """2MASS point sources: epoch about 2000, 1 sigma ellipses (Skrutskie et al. 2006, AJ 131, 1163)."""
    index = _by_declination(field, field.in_twomass)
    n = index.size
    mag = field.magnitudes[index]
    ra, dec = _at_epoch(field, index, TWOMASS_EPOCH_YR)
    error = 0.06 * _faint(mag.k, 13.0)
    major = np.asarray(np.round(np.minimum(error * rng.uniform(1, 1.3, n), 0.4), 2), dtype=float)
    minor = np.asarray(np.round(np.minimum(major, error * rng.uniform(0.9, 1.1, n)), 2), dtype=float)
    pa = np.floor(rng.uniform(0, 180, n))
    ra, dec = scattered(rng, ra, dec, major, minor, pa)
    name = sexagesimal(ra, dec, 2, 1, "{h}{m}{s}{fs}{sign}{d}{dm}{ds}{fds}")
    columns: Columns = {
        "RAJ2000": ra,
        "DEJ2000": dec,
        "errMaj": major,
        "errMin": minor,
        "errPA": pa.astype(np.int16),
        "_2MASS": name,
    }
    limits = ((mag.j, 17.0, 16.4), (mag.h, 16.2, 15.7), (mag.k, np.inf, np.inf))
    for b, (m, error), (true, limit, limit_of_error) in zip("JHK", _near_infrared(rng, mag), limits, strict=True):
        columns[f"{b}mag"] = np.where(true > limit, np.nan, m)
        columns[f"e_{b}mag"] = np.where(true > limit_of_error, np.nan, error)
    return _kept(single(columns, "RAJ2000", "DEJ2000"), name, index, listed)


def allwise_table(rng: np.random.Generator, field: Field, listed: Listed) -> CounterpartTable:
    """AllWISE: epoch 2010.5, 1 sigma ellipses (Cutri et al. 2013); W2 is missing for the faintest."""
    index = _by_declination(field, field.in_allwise)
    n = index.size
    mag = field.magnitudes[index]
    ra, dec = _at_epoch(field, index, ALLWISE_EPOCH_YR)
    major = np.minimum(0.04 * _faint(mag.w1, 13.5) * rng.uniform(1, 1.2, n), 0.6)
    minor = major * rng.uniform(0.88, 1.0, n)
    pa = np.round(rng.uniform(0, 180, n), 1)
    ra, dec = scattered(rng, ra, dec, major, minor, pa)
    (w1, e_w1), (w2, e_w2) = (_noisy(rng, m, 0.023, at) for m, at in ((mag.w1, 14.3), (mag.w2, 13.6)))
    # AllWISE repeats the 2MASS magnitudes of what 2MASS has
    in_twomass = field.in_twomass[index]
    near_infrared = {f"{b}mag": m for b, (m, _) in zip("JHK", _near_infrared(rng, mag), strict=True)}
    name = sexagesimal(ra, dec, 2, 1)
    columns: Columns = {
        "AllWISE": name.astype("U"),
        "RAJ2000": np.round(ra, 7),
        "DEJ2000": np.round(dec, 7),
        "eeMaj": np.round(major, 4),
        "eeMin": np.round(minor, 4),
        "eePA": pa,
        "W1mag": np.round(w1, 3),
        "e_W1mag": np.round(e_w1, 3),
        "W2mag": np.where(mag.w2 > 16.4, np.nan, np.round(w2, 3)),
        "e_W2mag": np.where(mag.w2 > 15.9, np.nan, np.round(e_w2, 3)),
        **{name: np.where(in_twomass, np.round(m, 3), np.nan) for name, m in near_infrared.items()},
    }
    return _kept(columns, name, index, listed)


def _kept(columns: Columns, name: np.ndarray, index: IntArray, listed: Listed) -> CounterpartTable:
    """The first row of each name: two objects with the same designation are one entry of a catalogue."""
    keep = np.unique(name, return_index=True)[1]
    keep = np.sort(keep[~np.isin(name[keep], listed.names)])
    listed.n += keep.size
    if keep.size:
        names = np.concatenate([listed.names, name[keep]])
        dec_deg = np.concatenate([listed.dec_deg, columns["DEJ2000"][keep]])
        is_near = dec_deg > columns["DEJ2000"][keep].max() - _BORDER_DEG
        listed.names, listed.dec_deg = names[is_near], dec_deg[is_near]
    return {c: v[keep] for c, v in columns.items()}, name[keep].astype("U"), index[keep]


# by name: the file, and what makes it
TABLES: dict[str, tuple[str, Callable[[np.random.Generator, Field, Listed], CounterpartTable]]] = {
    "gaia": ("gaia.fits", gaia_table),
    "twomass": ("twomass.fits", twomass_table),
    "allwise": ("allwise.parquet", allwise_table),
}
