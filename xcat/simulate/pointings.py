"""Pointings of the telescopes: nearby galaxies, the plane, high latitude, a few at RA 0 and at the poles.

Also the sky there: the Galaxy's gas and dust, and the densities of unrelated optical and infrared objects.
"""

from dataclasses import dataclass

import numpy as np

from xcat.arrays import FloatArray, IntArray
from xcat.simulate.missions import MISSIONS
from xcat.simulate.rows import Rows
from xcat.sky.galactic_column import hydrogen, maps_at
from xcat.sky.geometry import from_galactic, offset, position_angle_rad, separation_arcsec, to_galactic, to_position

PLACES = ("plane", "high", "galaxy")
PLANE, HIGH, GALAXY = range(3)

# Sets how many pointings a sky of n sources gets.
SOURCES_PER_POINTING = 84.0
MAX_GAIA_PER_DEG2 = 100_000.0
_AV_PER_EBV, _AV_MAX_MAG = 3.1, 12.0
_DEEP_EXPOSURE_S, _DEEP_RADIUS_ARCMIN = 60_000.0, 10.5
_STRUCTURE_DEX = 0.1  # of the column within a pixel of the maps, a degree wide


@dataclass(frozen=True)
class Galaxies(Rows):
    """Galaxies with their isophotes, one entry per galaxy."""

    name: np.ndarray
    ra_deg: FloatArray
    dec_deg: FloatArray
    distance_mpc: FloatArray
    d25_arcmin: FloatArray
    axis_ratio: FloatArray
    pa_deg: FloatArray


@dataclass(frozen=True)
class Pointings:
    """Directions that one or more missions have observed.

    ``exposure_s`` and ``mjd`` have the shape (pointings, missions, epochs); an epoch without observation is NaN.
    """

    ra_deg: FloatArray
    dec_deg: FloatArray
    glon_deg: FloatArray
    glat_deg: FloatArray
    place: IntArray  # index into PLACES
    host: IntArray  # index into the galaxies, -1 if none
    nh_gal_cm2: FloatArray  # of the whole Galaxy in this direction, hydrogen atoms / cm2
    av_gal_mag: FloatArray
    deep: np.ndarray  # bool: the X-ray image is larger than the area that the counterpart catalogues searched
    observed: np.ndarray  # (pointings, missions), bool
    exposure_s: FloatArray
    mjd: FloatArray

    def searched(self, pointing: IntArray, ra_deg: FloatArray, dec_deg: FloatArray) -> np.ndarray:
        """Whether the counterpart catalogues have searched each of these positions, bool; all outside a deep field."""
        here = np.ones(pointing.size, dtype=bool)
        i = np.flatnonzero(self.deep[pointing])
        if i.size:
            centre = (self.ra_deg[pointing[i]], self.dec_deg[pointing[i]])
            angle = position_angle_rad(*centre, ra_deg[i], dec_deg[i])
            edge = _DEEP_RADIUS_ARCMIN * (1 + 0.18 * np.cos(3 * angle) + 0.10 * np.cos(8 * angle + 1))
            here[i] = separation_arcsec(*centre, ra_deg[i], dec_deg[i]) < 60 * edge
        return here

    @property
    def radius_arcmin(self) -> FloatArray:
        """Largest field of view of the missions that observed."""
        radius = np.array([mission.field_radius_arcmin for mission in MISSIONS])
        return np.asarray((self.observed * radius).max(axis=1))


def galactic_column(rng: np.random.Generator, ra_deg: FloatArray, dec_deg: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Gas (hydrogen atoms / cm2) and extinction A_V (mag) of the whole Galaxy: the maps', with finer structure.

    A_V is capped at 12 mag: what lies behind more is in none of the counterpart catalogues anyhow.
    """
    neutral_cm2, ebv_mag = maps_at(ra_deg, dec_deg)
    nh_cm2 = hydrogen(neutral_cm2, ebv_mag)
    structure = 10 ** rng.normal(0, _STRUCTURE_DEX, nh_cm2.size)
    return nh_cm2 * structure, np.minimum(_AV_PER_EBV * ebv_mag * structure, _AV_MAX_MAG)


def star_density_per_deg2(glon_deg: FloatArray, glat_deg: FloatArray) -> FloatArray:
    """Stars per square degree in the optical, as many as Gaia would see to G = 20.7 if they did not blend.

    From 3,000 at the poles to 150,000 in the inner plane and 900,000 in the bulge: Gaia DR3 has 1.8e9 sources, 44,000
    per square degree on average, and up to a million in Baade's window.
    """
    longitude, latitude = np.abs((glon_deg + 180) % 360 - 180), np.abs(glat_deg)
    plane = 100_000 * np.exp(-latitude / 7) * (0.6 + 0.9 * np.exp(-longitude / 45))
    bulge = 750_000 * np.exp(-longitude / 5 - latitude / 3.5)
    return np.asarray(2_600 + 3_000 * np.exp(-latitude / 25) + plane + bulge)


def gaia_density_per_deg2(glon_deg: FloatArray, glat_deg: FloatArray) -> FloatArray:
    """Stars per square degree that the simulated Gaia lists; the cap keeps the files small."""
    return np.minimum(star_density_per_deg2(glon_deg, glat_deg), MAX_GAIA_PER_DEG2)


def galaxy_density_per_deg2(av_gal_mag: FloatArray) -> FloatArray:
    """Field galaxies with W1 < 17 per square degree; dust hides some (A_W1 = 0.04 A_V, 0.5 dex per mag)."""
    return np.asarray(8_000 * 10 ** (-0.5 * 0.04 * av_gal_mag))


def make_galaxies(rng: np.random.Generator, n_hosts: int, n_field: int) -> Galaxies:
    """Host galaxies for the pointings first, then smaller galaxies all over the sky outside the plane."""
    n = n_hosts + n_field
    # diameters: dN/dD ~ D^-2.5 for the hosts (2-20 arcmin), Euclidean for the field (0.3-3 arcmin)
    u = rng.random(n)
    hosts = np.arange(n) < n_hosts
    d25 = np.where(
        hosts,
        (2**-1.5 + u * (20**-1.5 - 2**-1.5)) ** (-1 / 1.5),
        (0.3**-3 + u * (3.0**-3 - 0.3**-3)) ** (-1 / 3),
    )
    diameter_kpc = np.clip(28 * 10 ** rng.normal(0, 0.15, n), 12, 60)
    distance_mpc = diameter_kpc / (d25 * np.pi / (180 * 60)) / 1e3
    # outside |b| < 12 deg: uniform in sin b
    sin_b = rng.uniform(np.sin(np.radians(12)), 1, n) * rng.choice([-1, 1], n)
    ra, dec = from_galactic(rng.uniform(0, 360, n), np.degrees(np.arcsin(sin_b)))
    return Galaxies(
        name=np.array([f"SIMG {i + 1:05d}" for i in range(n)]),
        ra_deg=ra,
        dec_deg=dec,
        distance_mpc=distance_mpc,
        d25_arcmin=d25,
        axis_ratio=np.clip(rng.beta(4, 2.2, n), 0.2, 1.0),
        pa_deg=rng.uniform(0, 180, n),
    )


def count_pointings(n_sources: int) -> tuple[int, int, int]:
    """Pointings in the plane, at high latitude and on galaxies."""
    n = max(int(np.ceil(n_sources / SOURCES_PER_POINTING)), 9)
    n_galaxy = max(round(0.30 * n), 2)
    n_plane = max(round(0.35 * n), 2)
    return n_plane, n - n_galaxy - n_plane, n_galaxy


def make_pointings(rng: np.random.Generator, n_sources: int, galaxies: Galaxies, deep_field: bool = False) -> Pointings:
    """Draw the pointings; the first of those at high latitude lie on right ascension 0 and at the poles.

    With `deep_field` the last of them is observed by XMM-Newton only, and deeply.
    """
    n_plane, n_high, n_galaxy = count_pointings(n_sources)
    place = np.repeat([PLANE, HIGH, GALAXY], [n_plane, n_high, n_galaxy])
    # the plane: half of it around the bulge, as X-ray surveys of the Galaxy are
    bulge = rng.random(n_plane) < 0.5
    glon_plane = np.where(bulge, rng.laplace(0, 20, n_plane), rng.uniform(0, 360, n_plane)) % 360
    glat_plane = np.clip(rng.laplace(0, 3.0, n_plane), -10, 10)
    sin_b = rng.uniform(np.sin(np.radians(20)), 1, n_high) * rng.choice([-1, 1], n_high)
    glon = np.concatenate([glon_plane, rng.uniform(0, 360, n_high)])
    glat = np.concatenate([glat_plane, np.degrees(np.arcsin(sin_b))])
    ra, dec = from_galactic(glon, glat)
    awkward = np.array([[0.02, -38.0], [359.98, 12.0], [210.0, 89.85], [37.0, -89.4]])
    n_awkward = 3 if n_high < 8 else len(awkward)
    ra[n_plane : n_plane + n_awkward], dec[n_plane : n_plane + n_awkward] = awkward[:n_awkward].T
    host = np.concatenate([np.full(n_plane + n_high, -1), np.arange(n_galaxy)]).astype(np.int64)
    # a galaxy is seldom at the very centre of the field
    east, north = rng.normal(0, 45, n_galaxy), rng.normal(0, 45, n_galaxy)
    centre_ra, centre_dec = offset(galaxies.ra_deg[:n_galaxy], galaxies.dec_deg[:n_galaxy], east, north)
    ra, dec = np.concatenate([ra, centre_ra]), np.concatenate([dec, centre_dec])
    glon, glat = to_galactic(ra, dec)
    observed, exposure_s, mjd = _observations(rng, place.size, np.arange(n_plane, n_plane + n_awkward))
    columns = galactic_column(rng, ra, dec)
    deep = np.zeros(place.size, dtype=bool)
    if deep_field:
        last = n_plane + n_high - 1
        deep[last] = True
        observed[last] = [True, False, False]
        exposure_s[last], mjd[last] = np.nan, np.nan
        exposure_s[last, 0, :2] = _DEEP_EXPOSURE_S
        mjd[last, 0, :2] = np.quantile(MISSIONS[0].mjd, [0.3, 0.7])
    return Pointings(ra, dec, glon, glat, place, host, *columns, deep, observed, exposure_s, mjd)


def _observations(
    rng: np.random.Generator, n_pointings: int, always: IntArray
) -> tuple[np.ndarray, FloatArray, FloatArray]:
    """Which missions observed each pointing, when and for how long; the first two missions observe `always`."""
    # which missions (XMM, Swift, Chandra): mostly one, some fields two or all three
    patterns = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [1, 1, 1]], dtype=bool)
    # the first pointings take one pattern each, so that the smallest sky has all missions
    observed = patterns[rng.choice(len(patterns), n_pointings, p=[0.47, 0.20, 0.15, 0.07, 0.08, 0.03])]
    observed[: len(patterns)] = patterns[: min(len(patterns), n_pointings)]
    observed[always] = patterns[3]
    max_epochs = 12
    shape = (n_pointings, len(MISSIONS), max_epochs)
    exposure_s = np.full(shape, np.nan)
    mjd = np.full(shape, np.nan)
    for m, mission in enumerate(MISSIONS):
        first, last = mission.mjd
        n_epochs = np.minimum(rng.geometric(1 / (1 + mission.mean_extra_epochs), n_pointings), max_epochs)
        used = observed[:, m, None] & (np.arange(max_epochs) < n_epochs[:, None])
        # epochs of one field differ less in depth than fields do
        depth = rng.normal(0, mission.exposure_dex, (n_pointings, 1)) + rng.normal(0, 0.12, (n_pointings, max_epochs))
        exposure_s[:, m] = np.where(used, mission.exposure_s * 10**depth, np.nan)
        mjd[:, m] = np.where(used, np.sort(rng.uniform(first, last, (n_pointings, max_epochs)), axis=1), np.nan)
    return observed, exposure_s, mjd


def random_sky(rng: np.random.Generator, n: int) -> tuple[FloatArray, FloatArray]:
    """Positions uniform over the whole sky, in degrees."""
    return to_position(rng.normal(size=(n, 3)))
