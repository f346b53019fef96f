"""X-ray sources: numbers of each class and place, fluxes, spectra, variability and distances.

Shares and properties of the kinds are in ``populations.yaml``, magnitudes in :mod:`xcat.simulate.counterparts`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from xcat.arrays import FloatArray, IntArray
from xcat.simulate.missions import energy_erg, normalised, plasma, power_law
from xcat.simulate.pointings import PLACES, Galaxies, Pointings
from xcat.simulate.rows import Rows, slices, turned
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
_COUNTED_ABOVE_CGS = 1e-14
_TARGET_OFFSET_ARCSEC = 40.0
_AT_ONCE = 5_000  # spectra, so that the memory does not grow with the sky


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
    nh_cm2: FloatArray  # its own and the Galaxy's in front of it
    av_mag: FloatArray  # the Galaxy's in front of it
    transmission: FloatArray  # share of the 0.2-12 keV flux that the Galaxy's gas lets through
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
        return normalised(_photons(self.gamma, self.log_kt, self.nh_cm2))


def _photons(gamma: FloatArray, log_kt: FloatArray, nh_cm2: FloatArray) -> FloatArray:
    """Photons per bin of a power law, or of a plasma where there is a temperature; any normalisation."""
    photons = power_law(gamma, nh_cm2)
    hot = np.isfinite(log_kt)
    photons[hot] = plasma(10 ** log_kt[hot], nh_cm2[hot])
    return photons


def _transmission(gamma: FloatArray, log_kt: FloatArray, nh_own: FloatArray, nh_in_front: FloatArray) -> FloatArray:
    """Share of the 0.2-12 keV flux that passes the gas in front."""
    share = np.empty(gamma.size)
    for i in slices(gamma.size, _AT_ONCE):
        through = _photons(gamma[i], log_kt[i], nh_own[i] + nh_in_front[i])
        share[i] = energy_erg(through) / energy_erg(_photons(gamma[i], log_kt[i], nh_own[i]))
    return share


def kind_values(kind: IntArray, attribute: str) -> FloatArray:
    """One attribute of each object's kind, as an array."""
    return np.array([k[attribute] for k in KINDS.values()], dtype=float)[kind]


def draw_normal(rng: np.random.Generator, kind: IntArray, attribute: str) -> FloatArray:
    """A value for each object from its kind's normal distribution; NaN where the kind has none."""
    mean, sigma = np.array([k[attribute] or (np.nan, 0.0) for k in KINDS.values()], dtype=float).T
    return np.asarray(mean[kind] + sigma[kind] * rng.standard_normal(kind.size))


def _values(table: str) -> FloatArray:
    """One number per class."""
    return np.array(list(_TABLES[table].values()))


def _values_by_place(table: str, names: tuple[str, ...]) -> FloatArray:
    """One number per place and name, 0 where the table has none; shape (places, names)."""
    return np.array([[_TABLES[table][place].get(name, 0.0) for name in names] for place in PLACES])


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


def expected_per_deg2(pointings: Pointings, floor_cgs: FloatArray, galaxies: Galaxies) -> FloatArray:
    """Sources of each kind per square degree above each pointing's flux floor, shape (pointings, kinds), no targets.

    Those outside the Galaxy are counted by the flux that they would have without the Galaxy's gas.
    """
    host = pointings.host
    per_class = _values_by_place("per_deg2", CLASSES)[pointings.place]
    per_class = per_class * (floor_cgs[:, None] / _COUNTED_ABOVE_CGS) ** -_values("slope")
    per_class[:, AGN] = agn_per_deg2(floor_cgs)
    # rich galaxies have more X-ray binaries
    per_class[:, XRB] *= np.where(host >= 0, (galaxies.d25_arcmin[host] / 4.5) ** 1.2, 1.0)
    share = np.array(
        [
            [_TABLES["kind_share"][p][c].get(name, 0.0) for c, kinds in _TABLES["kinds"].items() for name in kinds]
            for p in PLACES
        ]
    )
    return np.asarray(per_class[:, KIND_CLASS] * share[pointings.place])


def draw_objects(
    rng: np.random.Generator, factor: float, pointings: Pointings, floor_cgs: FloatArray, galaxies: Galaxies
) -> Objects:
    """Draw candidates down to each pointing's flux floor, pointing by pointing, and the targets.

    Parameters
    ----------
    factor : float
        Of the published counts: 1 for as many.
    floor_cgs : array
        Faintest 0.2-12 keV flux of each pointing, erg / (s cm2).
    """
    area_deg2 = np.pi * (pointings.radius_arcmin / 60) ** 2
    n_serendipitous = rng.poisson(factor * area_deg2[:, None] * expected_per_deg2(pointings, floor_cgs, galaxies))
    n_target = rng.poisson(_values_by_place("targets", KIND_NAMES)[pointings.place])
    number = np.stack([n_serendipitous, n_target], axis=1).ravel()
    pointing, targeted, kind = (
        np.repeat(each.ravel(), number) for each in np.indices((area_deg2.size, 2, len(KIND_NAMES)))
    )
    targeted = targeted == 1
    n = pointing.size
    host = pointings.host[pointing]
    class_id = KIND_CLASS[kind]

    east, north = in_disc(rng, 60 * pointings.radius_arcmin[pointing])
    aim = rng.normal(0, _TARGET_OFFSET_ARCSEC, (2, n))
    east, north = np.where(targeted, aim[0], east), np.where(targeted, aim[1], north)
    ra, dec = offset(pointings.ra_deg[pointing], pointings.dec_deg[pointing], east, north)
    inside = np.flatnonzero(kind == _IN_GALAXY)
    ra[inside], dec[inside] = _inside_galaxies(rng, host[inside], galaxies)

    floor = floor_cgs[pointing]
    u = rng.random(n)
    slope, top = _values("slope")[class_id], _values("brightest_cgs")[class_id]
    ulx_top = _ULX_MAX_ERG_S / (4 * np.pi * (galaxies.distance_mpc[host] * _MPC_CM) ** 2)
    top = np.where(kind == _IN_GALAXY, ulx_top, top)
    flux = np.where(class_id == AGN, _agn_flux(u, floor), _power_law_flux(u, floor, top, slope))
    faintest, brightest = _TABLES["target_log_flux_cgs"]
    flux = np.where(targeted, 10 ** rng.uniform(faintest, brightest, n), flux)

    # brighter sources are nearer, by half as much as for equal luminosities in a flux-limited sample
    distance = 10 ** (draw_normal(rng, kind, "log_distance_pc") - 0.15 * (np.log10(flux) + 14))
    outside = np.isnan(distance)
    in_front = np.where(outside, 1.0, 1 - np.exp(-distance / 4000))
    speed_mas_yr = kind_values(kind, "velocity_km_s") / (4.74 * distance / 1e3)
    log_kt = draw_normal(rng, kind, "log_kt")
    gamma = draw_normal(rng, kind, "gamma")
    gamma = np.where(np.isnan(log_kt), gamma, np.clip(1.4 + 1.4 * 10 ** (-0.8 * log_kt), 1.4, 7))
    nh_own, nh_in_front = 10 ** draw_normal(rng, kind, "log_nh"), pointings.nh_gal_cm2[pointing] * in_front
    transmission = _transmission(gamma, log_kt, nh_own, nh_in_front)
    return Objects(
        pointing=pointing,
        kind=kind,
        ra_deg=ra,
        dec_deg=dec,
        flux_cgs=np.where(outside, flux * transmission, flux),
        gamma=gamma,
        log_kt=log_kt,
        nh_cm2=nh_own + nh_in_front,
        av_mag=pointings.av_gal_mag[pointing] * in_front,
        transmission=transmission,
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
