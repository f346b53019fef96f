"""The optical and infrared sky around the X-ray sources: true counterparts and unrelated objects, with magnitudes.

Unrelated objects fill the union of circles around the X-ray positions, each circle at the local density. A real object
appears in every catalogue that is deep enough for it.
"""

from dataclasses import dataclass, fields

import numpy as np

from xcat.arrays import BoolArray, FloatArray, IntArray
from xcat.simulate.pointings import (
    Pointings,
    gaia_density_per_deg2,
    galaxy_density_per_deg2,
    star_density_per_deg2,
)
from xcat.simulate.populations import STAR, Objects, draw_normal, kind_values
from xcat.simulate.rows import Rows
from xcat.sky.geometry import ARCSEC_RAD, close_pairs, in_disc, offset, to_galactic, to_vector

CUT_OUT_ARCSEC = 60.0
GAIA_LIMIT_G = 20.7
TWOMASS_LIMIT_K = 14.8
ALLWISE_LIMIT_W1 = 17.0
# Some stars are too red or too faint for Gaia but not for the infrared: the counts go one magnitude deeper.
_DEEPER_MAG = 1.0
# Above this density of stars, crowding makes the catalogues shallower: (per deg2, mag per dex, mag at most). Gaia is
# half complete at G = 20 in the bulge (Boubert & Everall 2020, MNRAS 497, 4246), 2MASS a magnitude or two shallower in
# the inner plane (Skrutskie et al. 2006, AJ 131, 1163), and W1 is confused at 14 to 15 there (Cutri et al. 2013).
_CROWDED_GAIA = (100_000.0, 1.0, 1.2)
_CROWDED_TWOMASS = (30_000.0, 1.2, 2.0)
_CROWDED_ALLWISE = (18_000.0, 2.6, 3.0)
# Extinction in each band relative to V (Wang & Chen 2019, ApJ 877, 116).
_EXTINCTION = {"g": 0.79, "bp": 1.0, "rp": 0.59, "j": 0.24, "h": 0.13, "k": 0.078, "w1": 0.039, "w2": 0.026}


@dataclass(frozen=True)
class Magnitudes(Rows):
    """Vega magnitudes in the bands of Gaia, 2MASS and AllWISE; one entry per object."""

    g: FloatArray
    bp: FloatArray
    rp: FloatArray
    j: FloatArray
    h: FloatArray
    k: FloatArray
    w1: FloatArray
    w2: FloatArray

    def reddened(self, av_mag: FloatArray) -> "Magnitudes":
        """Behind this much dust."""
        return Magnitudes(*(getattr(self, f.name) + _EXTINCTION[f.name] * av_mag for f in fields(self)))


def gaia_minus_rp(bp_rp: FloatArray) -> FloatArray:
    """G - RP of a colour; from Gaia's main sequence, 0.1 mag at BP-RP 0, 1.2 at 2.5 (Riello et al. 2021)."""
    return np.asarray(0.06 + 0.57 * bp_rp - 0.045 * bp_rp**2)


def stellar_rp_w1(bp_rp: FloatArray) -> FloatArray:
    """RP - W1 of a star: 0 at BP-RP 0, 1.0 for the Sun, 3 for M4 (Pecaut & Mamajek 2013, ApJS 208, 9)."""
    return np.asarray(0.05 + 1.15 * bp_rp)


def _from_colours(
    rp: FloatArray, bp_rp: FloatArray, r_w1: FloatArray, w1_w2: FloatArray, j_k: FloatArray, k_w1: FloatArray
) -> Magnitudes:
    w1 = rp - r_w1
    k = w1 + k_w1
    return Magnitudes(rp + gaia_minus_rp(bp_rp), rp + bp_rp, rp, k + j_k, k + 0.3 * j_k, k, w1, w1 - w1_w2)


def counterpart_magnitudes(rng: np.random.Generator, objects: Objects) -> tuple[Magnitudes, np.ndarray]:
    """Magnitudes of the true counterparts, and which of the objects have a counterpart at all.

    The X-ray to optical ratio is log10(flux_cgs) + 5.37 + R / 2.5 (Maccacaro et al. 1988), with RP for R, both without
    the Galaxy's gas and dust.
    """
    kind, n = objects.kind, objects.kind.size
    log_flux = np.log10(objects.flux_cgs / objects.transmission)
    rp = 2.5 * (draw_normal(rng, kind, "log_fx_fr") - 5.37 - log_flux)
    bp_rp = draw_normal(rng, kind, "bp_rp")
    star = objects.class_id == STAR
    r_w1 = draw_normal(rng, kind, "r_w1") + np.where(star, stellar_rp_w1(bp_rp), 0.0)
    w1_w2 = draw_normal(rng, kind, "w1_w2")
    j_k = np.where(star, (0.05 + 0.45 * bp_rp).clip(max=0.95), 0.3 + 0.35 * r_w1) + rng.normal(0, 0.12, n)
    k_w1 = np.where(star, 0.08, 0.15 + 0.25 * r_w1) + rng.normal(0, 0.1, n)
    magnitudes = _from_colours(np.maximum(rp, 3.0), bp_rp, r_w1, w1_w2, j_k, k_w1).reddened(objects.av_mag)
    exists = rng.random(n) < kind_values(kind, "counterpart_probability")
    return magnitudes, exists


def star_slope(density_per_deg2: FloatArray) -> FloatArray:
    """Slope of the star counts, dex / mag: 0.16 at the poles, where one looks out of the disc, else 0.22."""
    return np.asarray(0.16 + 0.06 * np.clip(np.log10(density_per_deg2 / 4e3), 0, 1))


def star_magnitudes(
    rng: np.random.Generator, density_per_deg2: FloatArray, av_mag: FloatArray, limit_g: FloatArray
) -> Magnitudes:
    """Magnitudes of unrelated stars at a Gaia density; G follows 10^(s G) down to the limit."""
    n = density_per_deg2.size
    slope = star_slope(density_per_deg2)
    g = np.maximum(limit_g + np.log10(rng.random(n)) / slope, 4.0)
    # faint stars are redder: dwarfs of later type, and dust
    dust = 0.35 * av_mag * rng.random(n)
    bp_rp = np.clip(0.85 + 0.19 * (g - 14) + rng.normal(0, 0.4, n), -0.2, 3.6) + 0.42 * dust
    rp = g - gaia_minus_rp(np.clip(bp_rp, -0.2, 5))
    r_w1 = stellar_rp_w1(bp_rp) + rng.normal(0, 0.12, n)
    j_k = (0.05 + 0.40 * bp_rp).clip(max=1.6) + rng.normal(0, 0.07, n)
    w1_w2 = np.where(bp_rp > 2, 0.15, -0.02) + rng.normal(0, 0.06, n)
    return _from_colours(rp, bp_rp, r_w1, w1_w2, j_k, 0.08 + rng.normal(0, 0.06, n))


def galaxy_magnitudes(rng: np.random.Generator, n: int, limit_w1: float) -> Magnitudes:
    """Magnitudes of unrelated galaxies, W1 from Euclidean counts (0.5 dex per magnitude) down to the limit."""
    w1 = np.maximum(limit_w1 + np.log10(rng.random(n)) / 0.5, 8.0)
    r_w1 = rng.normal(4.4, 0.8, n)
    bp_rp, w1_w2, j_k, k_w1 = (rng.normal(*each, n) for each in ((1.3, 0.3), (0.3, 0.2), (1.5, 0.2), (0.9, 0.25)))
    return _from_colours(w1 + r_w1, bp_rp, r_w1, w1_w2, j_k, k_w1)


@dataclass(frozen=True)
class Field(Rows):
    """Real optical and infrared objects near the X-ray sources; positions are for epoch 2016.0.

    Entry i is the counterpart of X-ray object `owner[i]`; unrelated objects have owner -1.
    """

    owner: IntArray
    ra_deg: FloatArray
    dec_deg: FloatArray
    pmra_mas_yr: FloatArray
    pmdec_mas_yr: FloatArray
    parallax_mas: FloatArray
    magnitudes: Magnitudes
    in_gaia: BoolArray
    in_twomass: BoolArray
    in_allwise: BoolArray


def field_in_circles(
    rng: np.random.Generator,
    ra_deg: FloatArray,
    dec_deg: FloatArray,
    density_per_deg2: FloatArray,
    radius_arcsec: float = CUT_OUT_ARCSEC,
) -> tuple[FloatArray, FloatArray, IntArray]:
    """Random positions, Poisson at the given density, in the union of circles.

    Each circle is filled separately; a point is kept only in the first circle that contains it, so where circles
    overlap the density is that of one of them, not the sum.

    Returns
    -------
    ra_deg, dec_deg, circle
        Positions and the number of the circle that made each.
    """
    area_deg2 = np.pi * (radius_arcsec / 3600) ** 2
    circle = np.repeat(np.arange(ra_deg.size), rng.poisson(density_per_deg2 * area_deg2))
    east, north = in_disc(rng, np.full(circle.size, radius_arcsec))
    ra, dec = offset(ra_deg[circle], dec_deg[circle], east, north)
    keep = np.ones(circle.size, dtype=bool)
    pairs = close_pairs(ra_deg, dec_deg, 2 * radius_arcsec)  # (first, second), first < second
    if len(pairs):
        points = to_vector(ra, dec)
        centres = to_vector(ra_deg, dec_deg)
        # every point of the second circle against the centre of the first; its points are consecutive
        start = np.searchsorted(circle, pairs[:, 1], side="left")
        count = np.searchsorted(circle, pairs[:, 1], side="right") - start
        within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        point = np.repeat(start, count) + within
        chord2 = ((points[point] - centres[np.repeat(pairs[:, 0], count)]) ** 2).sum(axis=1)
        keep[point[chord2 < (2 * np.sin(radius_arcsec * ARCSEC_RAD / 2)) ** 2]] = False
    return ra[keep], dec[keep], circle[keep]


def crowding_mag(star_density_per_deg2: FloatArray, crowded: tuple[float, float, float]) -> FloatArray:
    """Magnitudes that a catalogue loses where stars are dense."""
    density, mag_per_dex, most = crowded
    return np.minimum(mag_per_dex * np.log10(np.maximum(star_density_per_deg2 / density, 1.0)), most)


@dataclass(frozen=True)
class Circles(Rows):
    """The surroundings of X-ray positions, which the counterpart catalogues cover."""

    ra_deg: FloatArray
    dec_deg: FloatArray
    pointing: IntArray


def make_field(
    rng: np.random.Generator,
    own: Objects,
    own_magnitudes: Magnitudes,
    owner: IntArray,
    circles: Circles,
    n_filled: int,
    pointings: Pointings,
) -> Field:
    """True counterparts, and the unrelated stars and galaxies in circles around X-ray positions.

    Parameters
    ----------
    own, own_magnitudes, owner
        Objects with a counterpart, its magnitudes, and the number of each object.
    circles
        The circles; those before the first of the last `n_filled` have been filled before.
    """
    glon, glat = to_galactic(circles.ra_deg, circles.dec_deg)
    stars_per_deg2, listed_per_deg2 = star_density_per_deg2(glon, glat), gaia_density_per_deg2(glon, glat)
    av = pointings.av_gal_mag[circles.pointing]
    galaxies_per_deg2 = galaxy_density_per_deg2(av)

    # beyond Gaia's limit the counts continue with the same slope
    deep_per_deg2 = listed_per_deg2 * 10 ** (star_slope(listed_per_deg2) * _DEEPER_MAG)
    total = deep_per_deg2 + galaxies_per_deg2
    to_fill = np.arange(total.size) >= total.size - n_filled
    ra, dec, circle = field_in_circles(rng, circles.ra_deg, circles.dec_deg, np.where(to_fill, total, 0.0))
    is_star = rng.random(ra.size) * total[circle] < deep_per_deg2[circle]
    limit_g = GAIA_LIMIT_G - crowding_mag(stars_per_deg2, _CROWDED_GAIA) + _DEEPER_MAG
    stars = star_magnitudes(rng, listed_per_deg2[circle], av[circle], limit_g[circle])
    galaxies = galaxy_magnitudes(rng, ra.size, ALLWISE_LIMIT_W1).reddened(av[circle])
    field_magnitudes = Magnitudes(
        *(np.where(is_star, getattr(stars, f.name), getattr(galaxies, f.name)) for f in fields(Magnitudes))
    )
    parallax, pmra, pmdec = _field_motion(rng, is_star)

    magnitudes = own_magnitudes.followed_by(field_magnitudes)
    own_stars = star_density_per_deg2(*to_galactic(own.ra_deg, own.dec_deg))
    stars_around = np.concatenate([own_stars, stars_per_deg2[circle]])
    in_gaia = _detected(rng, magnitudes.g, GAIA_LIMIT_G - crowding_mag(stars_around, _CROWDED_GAIA))
    in_twomass = _detected(rng, magnitudes.k, TWOMASS_LIMIT_K - crowding_mag(stars_around, _CROWDED_TWOMASS))
    in_allwise = _detected(rng, magnitudes.w1, ALLWISE_LIMIT_W1 - crowding_mag(stars_around, _CROWDED_ALLWISE))
    field = Field(
        owner=np.concatenate([owner, np.full(ra.size, -1)]),
        ra_deg=np.concatenate([own.ra_deg, ra]),
        dec_deg=np.concatenate([own.dec_deg, dec]),
        pmra_mas_yr=np.concatenate([own.pmra_mas_yr, pmra]),
        pmdec_mas_yr=np.concatenate([own.pmdec_mas_yr, pmdec]),
        parallax_mas=np.concatenate([np.nan_to_num(1e3 / own.distance_pc), parallax]),
        magnitudes=magnitudes,
        in_gaia=in_gaia,
        in_twomass=in_twomass,
        in_allwise=in_allwise,
    )
    pointing = np.concatenate([own.pointing, circles.pointing[circle]])
    searched = pointings.searched(pointing, field.ra_deg, field.dec_deg)
    return field[np.flatnonzero(searched & (in_gaia | in_twomass | in_allwise))]


def _detected(rng: np.random.Generator, mag: FloatArray, limit: FloatArray) -> BoolArray:
    """Whether an object is brighter than the limit; one in fifty is lost to neighbours and artefacts."""
    return np.asarray((mag < limit) & (rng.random(mag.size) > 0.02))


def _field_motion(rng: np.random.Generator, is_star: BoolArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Parallax in mas and proper motions in mas / yr of unrelated objects; galaxies do not move."""
    n = is_star.size
    distance_kpc = 10 ** rng.normal(0.35, 0.35, n)
    speed_mas_yr = np.where(is_star, 40 / (4.74 * distance_kpc), 0.0)
    return (
        np.where(is_star, 1 / distance_kpc, 0.0),
        speed_mas_yr * rng.standard_normal(n),
        speed_mas_yr * rng.standard_normal(n),
    )
