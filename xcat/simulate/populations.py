"""X-ray sources: numbers of each class and place, fluxes, spectra, variability and distances.

Colours and magnitudes are in :mod:`xcat.simulate.photometry`.
"""

from dataclasses import dataclass

import numpy as np

from xcat.arrays import FloatArray, IntArray
from xcat.simulate.pointings import GALAXY, HIGH, PLANE, Galaxies, Pointings, extinction_mag
from xcat.simulate.rows import Rows, turned
from xcat.simulate.spectra import normalised, plasma, power_law
from xcat.sky.geometry import in_disc, offset

CLASSES = ("AGN", "Star", "XRB", "CV", "other")
AGN, STAR, XRB, CV, OTHER = range(5)


@dataclass(frozen=True)
class Kind:
    """A sub-class. Pairs are mean and standard deviation of normal distributions."""

    name: str
    class_id: int
    log_fx_fr: tuple[float, float]  # 0.2-12 keV flux over R-band flux
    bp_rp: tuple[float, float]  # mag, before extinction
    r_w1: tuple[float, float]  # RP - W1, mag; for stars the scatter about the colour-colour relation
    w1_w2: tuple[float, float]  # mag
    log_nh: tuple[float, float]  # hydrogen atoms / cm2 intrinsic to the source, without the Galaxy
    gamma: tuple[float, float] = (1.9, 0.3)  # photon index of a power law ...
    log_kt: tuple[float, float] | None = None  # ... or log temperature in keV of a plasma
    log_distance_pc: tuple[float, float] | None = None  # at a flux of 1e-14; None if outside the Galaxy
    velocity_km_s: float = 0.0  # across the line of sight, per axis
    long_dex: tuple[float, float] = (0.17, 0.05)  # factor between observations, log-normal
    short_rms: float = 0.05  # fractional, within an observation
    flare_probability: float = 0.0
    counterpart_probability: float = 1.0  # of one bright enough for the catalogues
    extent_arcsec: float = 0.0


# Where the numbers come from:
#   AGN   photon index 1.9 +- 0.3 (Mateos et al. 2010, A&A 510, A35), Fx/Fopt 0 +- 0.5 (Maccacaro et al. 1988,
#         ApJ 326, 680), absorbed third (Ueda et al. 2014, ApJ 786, 104), W1-W2 about 1 (Stern et al. 2012,
#         ApJ 753, 30), factor between observations 1.5 (Lin, Webb & Barret 2012, ApJ 756, 27)
#   Star  Fx/Fopt about -3.5 (Maccacaro 1988), plasma of 0.3-2 keV (Guedel 2004, A&ARv 12, 71)
#   XRB   Fx/Fopt > 1 for low-mass, < 0 for high-mass donors (van Paradijs & McClintock 1995), outbursts
#   CV    Fx/Fopt -0.5 +- 0.7, blue (Verbunt et al. 1997, A&A 327, 602), within 1 kpc (Pala et al. 2020)
# The rest are round numbers that keep the classes as distinct, and as overlapping, as they are in catalogues.
KINDS = (
    Kind("type 1", AGN, (0.0, 0.45), (0.75, 0.25), (3.9, 0.7), (1.05, 0.2), (20.3, 0.4)),
    Kind("type 2", AGN, (0.2, 0.55), (1.35, 0.35), (5.1, 0.8), (0.75, 0.35), (22.5, 0.5), (1.8, 0.3)),
    Kind("blazar", AGN, (0.6, 0.5), (0.9, 0.25), (3.2, 0.5), (0.85, 0.2), (20.0, 0.3), (2.1, 0.35),
         long_dex=(0.3, 0.08), short_rms=0.12),
    Kind("M dwarf", STAR, (-2.7, 0.7), (2.5, 0.5), (0.0, 0.15), (0.17, 0.06), (18.5, 0.5),
         log_kt=(-0.2, 0.15), log_distance_pc=(2.1, 0.3), velocity_km_s=28,
         long_dex=(0.13, 0.05), short_rms=0.15, flare_probability=0.08),
    Kind("FGK star", STAR, (-4.0, 0.8), (1.05, 0.25), (0.0, 0.12), (-0.02, 0.05), (18.8, 0.5),
         log_kt=(-0.3, 0.15), log_distance_pc=(2.5, 0.35), velocity_km_s=28,
         long_dex=(0.12, 0.05), short_rms=0.08, flare_probability=0.04),
    Kind("YSO", STAR, (-2.7, 0.8), (2.0, 0.5), (0.5, 0.5), (0.35, 0.25), (21.0, 0.5),
         log_kt=(0.2, 0.2), log_distance_pc=(2.7, 0.25), velocity_km_s=9,
         long_dex=(0.2, 0.07), short_rms=0.15, flare_probability=0.10),
    Kind("OB star", STAR, (-5.6, 0.6), (0.0, 0.2), (0.0, 0.15), (0.0, 0.06), (21.0, 0.3),
         log_kt=(-0.35, 0.15), log_distance_pc=(3.2, 0.3), velocity_km_s=12, long_dex=(0.08, 0.03), short_rms=0.03),
    Kind("LMXB", XRB, (1.6, 0.9), (0.6, 0.4), (1.5, 0.6), (0.1, 0.15), (21.3, 0.4), (1.9, 0.5),
         log_distance_pc=(3.75, 0.18), velocity_km_s=60, long_dex=(0.65, 0.25), short_rms=0.2),
    Kind("HMXB", XRB, (-1.4, 1.2), (0.1, 0.3), (0.6, 0.4), (0.06, 0.1), (22.0, 0.5), (1.1, 0.35),
         log_distance_pc=(3.6, 0.2), velocity_km_s=35, long_dex=(0.6, 0.25), short_rms=0.3),
    Kind("extragalactic XRB", XRB, (1.0, 0.8), (0.5, 0.5), (2.0, 0.8), (0.4, 0.4), (21.3, 0.4), (1.8, 0.4),
         long_dex=(0.4, 0.15), short_rms=0.08, counterpart_probability=0.35),
    Kind("non-magnetic CV", CV, (-0.7, 0.6), (0.65, 0.3), (1.3, 0.5), (0.08, 0.1), (20.5, 0.4), (1.6, 0.3),
         log_distance_pc=(2.75, 0.25), velocity_km_s=35, long_dex=(0.22, 0.08), short_rms=0.15),
    Kind("magnetic CV", CV, (-0.1, 0.6), (0.55, 0.3), (1.2, 0.5), (0.1, 0.12), (21.3, 0.4), (1.2, 0.3),
         log_distance_pc=(2.85, 0.25), velocity_km_s=35, long_dex=(0.25, 0.1), short_rms=0.35),
    Kind("galaxy cluster", OTHER, (-0.2, 0.5), (1.5, 0.2), (3.8, 0.5), (0.25, 0.15), (19.5, 0.3),
         log_kt=(0.5, 0.15), long_dex=(0.0, 0.0), short_rms=0.0, extent_arcsec=14.0),
    Kind("TDE", OTHER, (-0.6, 0.6), (1.1, 0.25), (2.8, 0.5), (0.1, 0.15), (20.3, 0.3), (5.0, 0.8),
         long_dex=(1.1, 0.3), short_rms=0.1),
    Kind("SNR", OTHER, (0.0, 0.5), (1.0, 0.5), (2.0, 0.5), (0.5, 0.3), (21.3, 0.4),
         log_kt=(-0.25, 0.15), long_dex=(0.0, 0.0), short_rms=0.0, counterpart_probability=0.0, extent_arcsec=10.0),
    Kind("magnetar", OTHER, (3.0, 0.5), (0.5, 0.5), (2.0, 0.5), (0.5, 0.3), (22.3, 0.3), (3.2, 0.5),
         log_distance_pc=(3.8, 0.2), velocity_km_s=150, long_dex=(0.8, 0.3), short_rms=0.4,
         counterpart_probability=0.0),
)  # fmt: skip
KIND_NAMES = tuple(kind.name for kind in KINDS)
KIND_CLASS: IntArray = np.array([kind.class_id for kind in KINDS], dtype=np.int64)
_INDEX = {name: i for i, name in enumerate(KIND_NAMES)}

# Shares of each class among the objects drawn above a field's flux floor, by place. Soft sources give more counts for
# their flux and are detected more easily than absorbed ones: with these shares the detected sources of all places are
# about AGN 0.64, Star 0.25, XRB 0.065, CV 0.02, other 0.015.
_CLASS_SHARE = {
    PLANE: (0.550, 0.305, 0.058, 0.066, 0.0147),
    HIGH: (0.8915, 0.0815, 0.0014, 0.0131, 0.0125),
    GALAXY: (0.813, 0.0622, 0.1075, 0.0044, 0.0131),
}
# Sources of all classes per AGN of the unabsorbed sky: the plane hides most AGN, but stars make up for them.
_SOURCES_PER_AGN = np.array([1.17, 1.2, 1.33])
_KIND_SHARE: dict[int, tuple[dict[str, float], ...]] = {
    PLANE: (
        {"type 1": 0.46, "type 2": 0.51, "blazar": 0.03},
        {"M dwarf": 0.35, "FGK star": 0.38, "YSO": 0.22, "OB star": 0.05},
        {"LMXB": 0.62, "HMXB": 0.38},
        {"non-magnetic CV": 0.6, "magnetic CV": 0.4},
        {"galaxy cluster": 0.1, "SNR": 0.4, "magnetar": 0.5},
    ),
    HIGH: (
        {"type 1": 0.51, "type 2": 0.46, "blazar": 0.03},
        {"M dwarf": 0.55, "FGK star": 0.43, "YSO": 0.01, "OB star": 0.01},
        {"LMXB": 0.8, "HMXB": 0.2},
        {"non-magnetic CV": 0.7, "magnetic CV": 0.3},
        {"galaxy cluster": 0.7, "TDE": 0.3},
    ),
    GALAXY: (
        {"type 1": 0.51, "type 2": 0.46, "blazar": 0.03},
        {"M dwarf": 0.55, "FGK star": 0.43, "YSO": 0.01, "OB star": 0.01},
        {"extragalactic XRB": 1.0},
        {"non-magnetic CV": 0.7, "magnetic CV": 0.3},
        {"galaxy cluster": 0.4, "TDE": 0.2, "SNR": 0.4},
    ),
}

# logN-logS of AGN: dN/dS ~ S^-1.58 below and S^-2.48 above the break, 144 above it per square degree
# (Georgakakis et al. 2008, MNRAS 388, 1205, for 0.5-10 keV, here brought to 0.2-12 keV).
_AGN_BREAK_CGS = 3.3e-14
_AGN_FAINT, _AGN_BRIGHT = 0.58, 1.48
_AGN_ABOVE_BREAK_PER_DEG2 = 144.0
# Cumulative slopes of the others. Stars are flatter than AGN, so that their share grows with flux; X-ray
# binaries are flattest (Grimm, Gilfanov & Sunyaev 2002, A&A 391, 923; Mineo et al. 2012, MNRAS 419, 2095).
_SLOPE = {STAR: 1.25, XRB: 0.6, CV: 0.95, OTHER: 0.95}
_BRIGHTEST_CGS = {STAR: 3e-11, XRB: 1e-9, CV: 1e-10, OTHER: 3e-11}
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
    return np.array([getattr(k, attribute) for k in KINDS], dtype=float)[kind]


def draw_normal(rng: np.random.Generator, kind: IntArray, attribute: str) -> FloatArray:
    """A value for each object from its kind's normal distribution; NaN where the kind has none."""
    values = [getattr(k, attribute) or (np.nan, 0.0) for k in KINDS]
    mean, sigma = np.array(values, dtype=float).T
    return np.asarray(mean[kind] + sigma[kind] * rng.standard_normal(kind.size))


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
    weight = np.zeros((len(_CLASS_SHARE), len(KINDS)))
    for p, classes in _CLASS_SHARE.items():
        for class_share, kinds in zip(classes, _KIND_SHARE[p], strict=True):
            for name, share in kinds.items():
                weight[p, _INDEX[name]] = class_share * share
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
    expected = agn_per_deg2(floor_cgs) * pointings.radius_arcmin**2 * _SOURCES_PER_AGN[pointings.place]
    pointing = rng.choice(expected.size, n, p=expected / expected.sum())
    place, host = pointings.place[pointing], pointings.host[pointing]
    d25 = np.where(host >= 0, galaxies.d25_arcmin[host], 6.0)
    kind = draw_kinds(rng, place, np.where(host >= 0, (d25 / 4.5) ** 1.2, 1.0))
    class_id = KIND_CLASS[kind]

    radius = 60 * pointings.radius_arcmin[pointing]
    east, north = in_disc(rng, radius)
    ra, dec = offset(pointings.ra_deg[pointing], pointings.dec_deg[pointing], east, north)
    inside = np.flatnonzero(kind == _INDEX["extragalactic XRB"])
    ra[inside], dec[inside] = _inside_galaxies(rng, host[inside], galaxies)

    floor = floor_cgs[pointing]
    u = rng.random(n)
    slope = np.array([_SLOPE.get(c, 1.0) for c in range(len(CLASSES))])[class_id]
    top = np.array([_BRIGHTEST_CGS.get(c, 1e-10) for c in range(len(CLASSES))])[class_id]
    ulx_top = _ULX_MAX_ERG_S / (4 * np.pi * (galaxies.distance_mpc[host] * _MPC_CM) ** 2)
    top = np.where(kind == _INDEX["extragalactic XRB"], ulx_top, top)
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
