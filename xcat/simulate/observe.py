"""Observing the sky: counts with noise, a detection threshold, and the measurements of a mission's pipeline.

Noise is drawn before the threshold is applied, so the measured fluxes of faint sources are too high (Eddington bias).
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise

import numpy as np
from scipy.special import gammaincc

from xcat.arrays import FloatArray, IntArray
from xcat.simulate.missions import MISSIONS, Mission
from xcat.simulate.pointings import Pointings
from xcat.simulate.populations import Objects, kind_values
from xcat.simulate.rows import Rows, moved, scattered
from xcat.sky.geometry import close_pairs, in_disc, offset, separation_arcsec

SPURIOUS_FRACTION = 0.012
# Flaws of a detection that spoil its flux; the flag is then 3.
FLAWS = ("", "saturated", "confused", "chip edge")
NO_FLAW, SATURATED, CONFUSED, AT_EDGE = range(4)
_CONFUSED_SHARE = 0.012
_EDGE_FROM, _EDGE_SHARE = 0.96, 0.25  # of the field's radius; the share of detections further out
_SATURATED_SHARE = 0.5  # of the detections brighter than the mission's limit


@dataclass(frozen=True)
class _InView(Rows):
    """Objects in view of one mission, one entry per object and observation; object -1 for spurious detections."""

    object: IntArray
    pointing: IntArray
    epoch: IntArray  # number of the observation within its pointing
    mjd: FloatArray
    exposure_s: FloatArray
    off_axis_arcmin: FloatArray


@dataclass(frozen=True)
class Detections(_InView):
    """Measurements of one mission's pipeline, one entry per detection."""

    ra_deg: FloatArray  # measured
    dec_deg: FloatArray
    true_ra_deg: FloatArray  # at the epoch of the observation
    true_dec_deg: FloatArray
    sigma_major_arcsec: FloatArray  # 1 sigma along the axes of the error ellipse
    sigma_minor_arcsec: FloatArray
    sigma_pa_deg: FloatArray
    counts: FloatArray  # net, shape (detections, bands)
    counts_err: FloatArray
    flux_cgs: FloatArray  # shape (detections, bands)
    flux_err_cgs: FloatArray
    full_flux_cgs: FloatArray
    full_flux_err_cgs: FloatArray
    likelihood: FloatArray
    p_constant: FloatArray  # NaN if too faint for the test
    gamma: FloatArray  # NaN if too faint for a fit
    extent_arcsec: FloatArray
    flag: IntArray  # 0 clean ... 3 suspect
    flaw: IntArray  # what has made the flux wrong

    @property
    def sigma_arcsec(self) -> FloatArray:
        """Positional error, 1 sigma per axis: geometric mean of the ellipse's axes."""
        return np.asarray(np.sqrt(self.sigma_major_arcsec * self.sigma_minor_arcsec))

    @property
    def snr(self) -> FloatArray:
        """Full-band flux over its error."""
        return self.full_flux_cgs / self.full_flux_err_cgs

    def fluxes(self, bands: Sequence[int]) -> list[tuple[FloatArray, FloatArray]]:
        """Fluxes and their errors, erg / (s cm2): of the full band, and of each of these."""
        return [
            (self.full_flux_cgs, self.full_flux_err_cgs),
            *((self.flux_cgs[:, i], self.flux_err_cgs[:, i]) for i in bands),
        ]

    def hardness(self, bands: Sequence[int]) -> list[tuple[FloatArray, FloatArray]]:
        """(high - low) / (high + low) of the count rates of neighbouring bands, in [-1, 1], and its error.

        Both are NaN without counts.
        """
        ratios = []
        for low, high in pairwise(bands):
            a, b = (self.counts[:, band].clip(min=0) for band in (low, high))
            da, db = (self.counts_err[:, band] for band in (low, high))
            total = np.where(a + b > 0, a + b, np.nan)
            error = 2 * np.sqrt((a * db) ** 2 + (b * da) ** 2) / total**2
            ratios.append(((b - a) / total, np.where(np.isnan(total), np.nan, np.minimum(error, 9.99))))
        return ratios


@dataclass(frozen=True)
class _Counted(_InView):
    effective_s: FloatArray  # exposure after vignetting
    width_arcsec: FloatArray  # sigma of the image
    total: FloatArray  # counts with the background, shape (rows, bands)
    background: FloatArray  # expected counts in all bands


def observe(
    rng: np.random.Generator, m: int, objects: Objects, spectrum: FloatArray, pointings: Pointings
) -> Detections:
    """All detections of mission number `m` of :data:`MISSIONS`, without spurious ones.

    `spectrum` is :meth:`Objects.spectrum`: photons / cm2 per erg / cm2, shape (objects, energies).
    """
    mission = MISSIONS[m]
    visible, epoch, off_axis = _in_view(m, objects, pointings)
    pointing = objects.pointing[visible]
    exposure, mjd = pointings.exposure_s[pointing, m, epoch], pointings.mjd[pointing, m, epoch]
    off_axis_fraction = off_axis / mission.field_radius_arcmin

    flux = objects.flux_cgs[visible] * _long_term_factor(rng, objects, visible, mjd)
    width_arcsec = mission.psf_arcsec * (1 + mission.psf_growth * off_axis_fraction**2)
    # counts: vignetting takes half of the light at the edge of the field
    effective_s = exposure * (1 - 0.5 * off_axis_fraction**2)
    per_flux = (spectrum * mission.area_cm2) @ mission.masks.T
    source = per_flux[visible] * (flux * effective_s)[:, None]
    area = (width_arcsec / mission.psf_arcsec) ** 2 * (1 + kind_values(objects.kind, "extent_arcsec")[visible] / 6)
    background = mission.background_cps * exposure * area
    each = background[:, None] / len(mission.bands_kev)
    total = rng.poisson(source + each).astype(float)
    likelihood = _likelihood(total.sum(axis=1), background)
    detected = (likelihood > mission.threshold) & ~_blended(mission, objects, visible, epoch, flux)
    counted = _Counted(visible, pointing, epoch, mjd, exposure, off_axis, effective_s, width_arcsec, total, background)
    return _measure(rng, mission, objects, counted[np.flatnonzero(detected)])


def _in_view(m: int, objects: Objects, pointings: Pointings) -> tuple[IntArray, IntArray, FloatArray]:
    """Pairs of object and epoch that mission `m` observed, with the off-axis angle in arcmin."""
    ra, dec = pointings.ra_deg[objects.pointing], pointings.dec_deg[objects.pointing]
    off_axis = separation_arcsec(objects.ra_deg, objects.dec_deg, ra, dec) / 60
    observed = ~np.isnan(pointings.exposure_s[objects.pointing, m])
    observed &= (off_axis < MISSIONS[m].field_radius_arcmin)[:, None]
    visible, epoch = np.nonzero(observed)
    return visible, epoch, off_axis[visible]


def _long_term_factor(rng: np.random.Generator, objects: Objects, visible: IntArray, mjd: FloatArray) -> FloatArray:
    kind = objects.kind[visible]
    log_factor = objects.long_dex[visible] * rng.standard_normal(visible.size)
    flare = rng.random(visible.size) < kind_values(kind, "flare_probability")
    log_factor += np.where(flare, rng.exponential(0.45, visible.size), 0)
    # the mean of a log-normal factor is above 1: clip its tails, or outbursts dominate the detections
    return np.asarray(10 ** np.clip(log_factor, -2.5, 1.8))


def _likelihood(gross: FloatArray, background: FloatArray) -> FloatArray:
    """Minus the log of the probability that background alone gives so many counts (Cash 1979, Wilks)."""
    excess = np.maximum(gross, background + 1e-9)
    return np.asarray(excess * np.log(excess / background) - (excess - background))


def _blended(mission: Mission, objects: Objects, visible: IntArray, epoch: IntArray, flux: FloatArray) -> np.ndarray:
    """Whether a brighter source is so close that this one is not resolved."""
    seen = np.unique(visible)
    brightest = np.zeros(objects.kind.size)
    np.maximum.at(brightest, visible, flux)
    pairs = seen[close_pairs(objects.ra_deg[seen], objects.dec_deg[seen], mission.blend_arcsec)]
    first_brighter = brightest[pairs[:, 0]] >= brightest[pairs[:, 1]]
    hidden = np.zeros(objects.kind.size, dtype=bool)
    hidden[np.where(first_brighter, pairs[:, 1], pairs[:, 0])] = True
    return hidden[visible]


def _measure(rng: np.random.Generator, mission: Mission, objects: Objects, c: _Counted) -> Detections:
    """Turn counts into the columns of a catalogue."""
    each = objects[c.object]
    n = c.object.size
    counts = c.total - c.background[:, None] / c.total.shape[1]
    counts_err = np.sqrt(c.total + 0.75) + 0.3  # close to Gehrels (1986, ApJ 303, 336) at few counts
    net = counts.sum(axis=1).clip(min=3)
    gross = c.total.sum(axis=1)
    sigma = np.hypot(c.width_arcsec / np.sqrt(net), mission.systematic_arcsec)
    major, minor, pa = sigma, sigma, np.zeros(n)
    if mission.name == "chandra":
        # the image of a point stretches across the radius towards the edge
        stretch = 1 + 0.25 * np.minimum(c.off_axis_arcmin / mission.field_radius_arcmin, 1)
        major, minor, pa = sigma * stretch, sigma / stretch, rng.uniform(0, 180, n)
    year = 2000.0 + (c.mjd - 51_544.5) / 365.25
    true_ra, true_dec = moved(each.ra_deg, each.dec_deg, each.pmra_mas_yr, each.pmdec_mas_yr, year)
    ra, dec = scattered(rng, true_ra, true_dec, major, minor, pa)
    extent = kind_values(each.kind, "extent_arcsec") * 10 ** rng.normal(0, 0.12, n)
    # a few faint point sources are mistaken for extended ones
    extent = np.where((extent == 0) & (rng.random(n) < 0.002), rng.uniform(6, 12, n), extent)
    flaw, wrong_by = _flaws(rng, mission, c, net)
    likelihood = _likelihood(gross, c.background)
    flux_per_count = (wrong_by / c.effective_s)[:, None] * mission.flux_per_count
    full_flux_per_count = wrong_by / c.effective_s * mission.full_flux_per_count
    return Detections(
        **{field.name: getattr(c, field.name) for field in fields(_InView)},
        ra_deg=ra,
        dec_deg=dec,
        true_ra_deg=true_ra,
        true_dec_deg=true_dec,
        sigma_major_arcsec=major,
        sigma_minor_arcsec=minor,
        sigma_pa_deg=pa,
        counts=counts,
        counts_err=counts_err,
        flux_cgs=counts * flux_per_count,
        flux_err_cgs=counts_err * flux_per_count,
        full_flux_cgs=net * full_flux_per_count,
        full_flux_err_cgs=np.sqrt(gross + 1) * full_flux_per_count,
        likelihood=likelihood,
        p_constant=_constancy(rng, kind_values(each.kind, "short_rms"), net),
        gamma=_fitted_gamma(rng, each.gamma, net),
        extent_arcsec=extent,
        flag=np.where(flaw == NO_FLAW, rng.choice([0, 1, 2], n, p=[0.915, 0.06, 0.025]), 3),
        flaw=flaw,
    )


def _flaws(rng: np.random.Generator, mission: Mission, c: _Counted, net: FloatArray) -> tuple[IntArray, FloatArray]:
    """Flaw of each detection, and the factor by which its flux is wrong: too much light or too little."""
    n = net.size
    u = rng.random(n)
    edge = (c.off_axis_arcmin > _EDGE_FROM * mission.field_radius_arcmin) & (u < _EDGE_SHARE)
    saturated = (net > mission.saturation_cps * c.exposure_s) & (rng.random(n) < _SATURATED_SHARE)
    flaw = np.select([saturated, edge, u > 1 - _CONFUSED_SHARE], [SATURATED, AT_EDGE, CONFUSED], NO_FLAW)
    lost, gained = rng.uniform(0.05, 0.7, n), 1.4 + rng.exponential(1.2, n)
    return flaw, np.select([flaw == SATURATED, flaw == AT_EDGE, flaw == CONFUSED], [lost / 10, lost, gained], 1.0)


def _constancy(rng: np.random.Generator, rms: FloatArray, net: FloatArray) -> FloatArray:
    """Chi-squared probability that the light curve of 20 bins is constant; needs 100 counts."""
    bins = 20
    scatter = rms * rng.exponential(1.0, rms.size)
    chi2 = rng.chisquare(bins - 1, net.size) * (1 + scatter**2 * net / bins)
    return np.where(net > 100, gammaincc((bins - 1) / 2, chi2 / 2), np.nan)


def _fitted_gamma(rng: np.random.Generator, gamma: FloatArray, net: FloatArray) -> FloatArray:
    """Photon index of a spectral fit, which needs 120 counts; one in thirty fails."""
    fit = gamma + rng.standard_normal(net.size) * 0.28 * np.sqrt(150 / net)
    done = (net > 120) & (rng.random(net.size) > 0.03)
    return np.where(done, np.clip(fit, -1, 8), np.nan)


def add_spurious(rng: np.random.Generator, m: int, pointings: Pointings, real: Detections) -> Detections:
    """Append spurious detections: copies of faint ones at random positions of their field."""
    n = round(SPURIOUS_FRACTION * real.object.size)
    faint = np.flatnonzero(real.likelihood < 2.5 * MISSIONS[m].threshold)
    index = rng.choice(faint, min(n, faint.size), replace=False)
    copy = real[np.sort(index)]
    n = copy.object.size
    east, north = in_disc(rng, np.full(n, MISSIONS[m].field_radius_arcmin * 60.0))
    ra, dec = offset(pointings.ra_deg[copy.pointing], pointings.dec_deg[copy.pointing], east, north)
    spurious = replace(
        copy,
        object=np.full(n, -1),
        ra_deg=ra,
        dec_deg=dec,
        true_ra_deg=ra,
        true_dec_deg=dec,
        extent_arcsec=np.zeros(n),
        flag=rng.choice([0, 1, 2, 3], n, p=[0.5, 0.2, 0.15, 0.15]),
        flaw=np.full(n, NO_FLAW),
    )
    return real.followed_by(spurious)
