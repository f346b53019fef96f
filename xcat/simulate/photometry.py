"""Optical and infrared magnitudes, of counterparts and of unrelated stars and galaxies."""

from dataclasses import dataclass, fields

import numpy as np

from xcat.arrays import FloatArray
from xcat.simulate.populations import STAR, Objects, draw_normal, kind_values
from xcat.simulate.rows import Rows

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

    The X-ray to optical ratio is log10(flux_cgs) + 5.37 + R / 2.5 (Maccacaro et al. 1988), with RP for R.
    """
    kind, n = objects.kind, objects.kind.size
    log_flux = np.log10(objects.flux_cgs)
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
    rng: np.random.Generator, density_per_deg2: FloatArray, av_mag: FloatArray, limit_g: float
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
