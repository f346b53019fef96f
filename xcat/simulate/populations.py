"""X-ray sources: numbers of each class and place, fluxes, spectra, variability and distances.

Shares and properties of the kinds are in ``populations.yaml``, magnitudes in :mod:`xcat.simulate.counterparts`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from xcat.arrays import FloatArray, IntArray
from xcat.simulate.missions import normalised, plasma, power_law
from xcat.simulate.pointings import Galaxies, Pointings, extinction_mag
from xcat.simulate.rows import Rows, turned
from xcat.sky.geometry import in_disc, offset

_TABLES = yaml.safe_load(Path(__file__).with_name("populations.yaml").read_text(encoding="utf-8"))
CLASSES = tuple(_TABLES["kinds"])
AGN, STAR, XRB, CV = range(4)
KINDS: dict[str, dict[str, Any]] = {
    n: _TABLES["kind"] | k for kinds in _TABLES["kinds"].values() for n, k in kinds.items()
}
KIND_NAMES = tuple(KINDS)
KIND_CLASS: IntArray = np.repeat(np.arange(len(CLASSES)), [len(kinds) for kinds in _TABLES["kinds"].values()])
_IN_GALAXY = KIND_NAMES.index("extragalactic XRB")

# logN-logS of AGN: dN/dS ~ S^-1.58 below and S^-2.48 above the break, 144 above it per square degree
# (Georgakakis et al. 2008, MNRAS 388, 1205, for 0.5-10 keV, here brought to 0.2-12 keV).
_AGN_BREAK_CGS = 3.3e-14
_AGN_FAINT, _AGN_BRIGHT = 0.58, 1.48
_AGN_ABOVE_BREAK_PER_DEG2 = 144.0
_ULX_MAX_ERG_S = 5e40
_MPC_CM = 3.0857e24
NH_PER_AV_CM2 = 2.2e21  # Guever & Oezel 2009, MNRAS 400, 2050


@dataclass(frozen=True)
class Objects(Rows):
    """True X-ray objects, one entry each; positions are for epoch 2016.0."""

    pointing: IntArray
    kind: IntArray  # index into KINDS
    ra_deg: FloatArray
    dec_deg: FloatArray
    flux_cgs: FloatArray  # mean, observed, 0.2-12 keV
    gamma: FloatArray  # photon index that a power-law fit to a perfect spectrum gives
    log_kt: FloatArray  # keV; NaN for power laws
    nh_cm2: FloatArray
    av_mag: FloatArray
    distance_pc: FloatArray  # NaN outside the Galaxy
    pmra_mas_yr: FloatArray  # cos(dec) included
    pmdec_mas_yr: FloatArray
    long_dex: FloatArray

    @property
    def class_id(self) -> IntArray:
        """Index into CLASSES."""
        return KIND_CLASS[self.kind]

    def spectrum(self) -> FloatArray:
        """Photons / cm2 per erg / cm2 of the 0.2-12 keV flux, shape (objects, energies)."""
        photons = power_law(self.gamma, self.nh_cm2)
        hot = np.isfinite(self.log_kt)
        photons[hot] = plasma(10 ** self.log_kt[hot], self.nh_cm2[hot])
        return normalised(photons)


def kind_values(kind: IntArray, attribute: str) -> FloatArray:
    """One attribute of each object's kind, as an array."""
    return np.array([k[attribute] for k in KINDS.values()], dtype=float)[kind]


def draw_normal(rng: np.random.Generator, kind: IntArray, attribute: str) -> FloatArray:
    """A value for each object from its kind's normal distribution; NaN where the kind has none."""
    mean, sigma = np.array([k[attribute] or (np.nan, 0.0) for k in KINDS.values()], dtype=float).T
    return np.asarray(mean[kind] + sigma[kind] * rng.standard_normal(kind.size))


def _values(table: str) -> FloatArray:
    """One number per class or place."""
    return np.array(list(_TABLES[table].values()))


def agn_per_deg2(flux_cgs: FloatArray) -> FloatArray:
    """AGN brighter than a 0.2-12 keV flux, per square degree."""
    ratio = flux_cgs / _AGN_BREAK_CGS
    faint = 1 + _AGN_BRIGHT / _AGN_FAINT * (ratio**-_AGN_FAINT - 1)
    return np.asarray(_AGN_ABOVE_BREAK_PER_DEG2 * np.where(ratio < 1, faint, ratio**-_AGN_BRIGHT))


def _agn_flux(u: FloatArray, floor_cgs: FloatArray) -> FloatArray:
    """Invert the cumulative counts: u uniform in (0, 1)."""
    level = u * agn_per_deg2(floor_cgs) / _AGN_ABOVE_BREAK_PER_DEG2
    faint = (1 + (level - 1) * _AGN_FAINT / _AGN_BRIGHT).clip(1e-3) ** (-1 / _AGN_FAINT)
    return np.asarray(_AGN_BREAK_CGS * np.where(level > 1, faint, level ** (-1 / _AGN_BRIGHT)))


def _power_law_flux(u: FloatArray, floor_cgs: FloatArray, top_cgs: FloatArray, slope: FloatArray) -> FloatArray:
    low, high = floor_cgs**-slope, np.maximum(top_cgs, 1.5 * floor_cgs) ** -slope
    return np.asarray((high + u * (low - high)) ** (-1 / slope))


def draw_kinds(rng: np.random.Generator, place: IntArray, xrb_factor: FloatArray) -> IntArray:
    """Kind of each object, by place; `xrb_factor` scales the share of X-ray binaries (rich galaxies)."""
    weight = np.array(
        [
            [
                share * _TABLES["kind_share"][p][c].get(name, 0.0)
                for c, share in classes.items()
                for name in _TABLES["kinds"][c]
            ]
            for p, classes in _TABLES["class_share"].items()
        ]
    )
    each = weight[place]
    each[:, XRB == KIND_CLASS] *= xrb_factor[:, None]
    cumulative = np.cumsum(each, axis=1)
    u = rng.random(place.size) * cumulative[:, -1]
    return np.asarray((u[:, None] >= cumulative).sum(axis=1), dtype=np.int64)


def draw_objects(
    rng: np.random.Generator, n: int, pointings: Pointings, floor_cgs: FloatArray, galaxies: Galaxies
) -> Objects:
    """Draw candidates down to each pointing's flux floor, more where more are expected.

    Parameters
    ----------
    n : int
        Number of candidates over all pointings.
    floor_cgs : array
        Faintest 0.2-12 keV flux of each pointing, erg / (s cm2).
    """
    expected = agn_per_deg2(floor_cgs) * pointings.radius_arcmin**2 * _values("sources_per_agn")[pointings.place]
    pointing = rng.choice(expected.size, n, p=expected / expected.sum())
    place, host = pointings.place[pointing], pointings.host[pointing]
    d25 = np.where(host >= 0, galaxies.d25_arcmin[host], 6.0)
    kind = draw_kinds(rng, place, np.where(host >= 0, (d25 / 4.5) ** 1.2, 1.0))
    class_id = KIND_CLASS[kind]

    radius = 60 * pointings.radius_arcmin[pointing]
    east, north = in_disc(rng, radius)
    ra, dec = offset(pointings.ra_deg[pointing], pointings.dec_deg[pointing], east, north)
    inside = np.flatnonzero(kind == _IN_GALAXY)
    ra[inside], dec[inside] = _inside_galaxies(rng, host[inside], galaxies)

    floor = floor_cgs[pointing]
    u = rng.random(n)
    slope, top = _values("slope")[class_id], _values("brightest_cgs")[class_id]
    ulx_top = _ULX_MAX_ERG_S / (4 * np.pi * (galaxies.distance_mpc[host] * _MPC_CM) ** 2)
    top = np.where(kind == _IN_GALAXY, ulx_top, top)
    flux = np.where(class_id == AGN, _agn_flux(u, floor), _power_law_flux(u, floor, top, slope))

    # brighter sources are nearer, by half as much as for equal luminosities in a flux-limited sample
    distance = 10 ** (draw_normal(rng, kind, "log_distance_pc") - 0.15 * (np.log10(flux) + 14))
    through = np.where(np.isnan(distance), 1.0, 1 - np.exp(-distance / 4000))
    av = extinction_mag(pointings.glon_deg[pointing], pointings.glat_deg[pointing]) * through
    speed_mas_yr = kind_values(kind, "velocity_km_s") / (4.74 * distance / 1e3)
    log_kt = draw_normal(rng, kind, "log_kt")
    gamma = draw_normal(rng, kind, "gamma")
    return Objects(
        pointing=pointing,
        kind=kind,
        ra_deg=ra,
        dec_deg=dec,
        flux_cgs=flux,
        gamma=np.where(np.isnan(log_kt), gamma, np.clip(1.4 + 1.4 * 10 ** (-0.8 * log_kt), 1.4, 7)),
        log_kt=log_kt,
        nh_cm2=10 ** draw_normal(rng, kind, "log_nh") + NH_PER_AV_CM2 * av,
        av_mag=av,
        distance_pc=distance,
        pmra_mas_yr=np.nan_to_num(speed_mas_yr * rng.standard_normal(n)),
        pmdec_mas_yr=np.nan_to_num(speed_mas_yr * rng.standard_normal(n)),
        long_dex=np.maximum(draw_normal(rng, kind, "long_dex"), 0.0),
    )


def _inside_galaxies(rng: np.random.Generator, host: IntArray, galaxies: Galaxies) -> tuple[FloatArray, FloatArray]:
    """Positions in an exponential disc, nine in ten inside the D25 ellipse."""
    r = rng.gamma(2.0, 0.26, host.size).clip(max=1.4) * galaxies.d25_arcmin[host] * 30
    angle = rng.uniform(0, 2 * np.pi, host.size)
    g = galaxies[host]
    east, north = turned(r * np.cos(angle), r * np.sin(angle) * g.axis_ratio, g.pa_deg)
    return offset(g.ra_deg, g.dec_deg, east, north)
