"""Observing the sky: counts with noise, a detection threshold, and what a mission's pipeline measures.

Noise is drawn before the threshold is applied, so the faint sources that are found are found too bright
(Eddington bias).
"""

from dataclasses import dataclass, fields, replace

import numpy as np
from scipy.special import gammaincc

from xcat.arrays import FloatArray, IntArray
from xcat.simulate.missions import MISSIONS, Mission
from xcat.simulate.populations import Objects, kind_values
from xcat.simulate.sky import Targets
from xcat.sky.geometry import close_pairs, in_disc, offset, separation_arcsec

EPOCH_YR = 2016.0
SPURIOUS_FRACTION = 0.012


def mjd_to_year(mjd: FloatArray) -> FloatArray:
    """Julian year of a modified Julian date."""
    return np.asarray(2000.0 + (mjd - 51_544.5) / 365.25)


@dataclass(frozen=True)
class Detections:
    """What one mission's pipeline measured; one entry a detection, object -1 for spurious ones."""

    object: IntArray
    target: IntArray
    epoch: IntArray  # number of the observation within its target
    mjd: FloatArray
    exposure_s: FloatArray
    off_axis_arcmin: FloatArray
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

    @property
    def sigma_arcsec(self) -> FloatArray:
        """Positional error, 1 sigma per axis: geometric mean of the ellipse's axes."""
        return np.asarray(np.sqrt(self.sigma_major_arcsec * self.sigma_minor_arcsec))

    @property
    def snr(self) -> FloatArray:
        """Full-band flux over its error."""
        return self.full_flux_cgs / self.full_flux_err_cgs

    def take(self, index: np.ndarray) -> "Detections":
        """These detections only."""
        return replace(self, **{field.name: getattr(self, field.name)[index] for field in fields(self)})

    def band(self, bands: tuple[int, ...]) -> tuple[FloatArray, FloatArray]:
        """Flux of some bands together and its error, erg / (s cm2)."""
        index = list(bands)
        return self.flux_cgs[:, index].sum(axis=1), np.sqrt((self.flux_err_cgs[:, index] ** 2).sum(axis=1))

    def hardness(self, low: tuple[int, ...], high: tuple[int, ...]) -> tuple[FloatArray, FloatArray]:
        """(high - low) / (high + low) of the count rates, in [-1, 1], and its error; NaN without counts."""
        a, b = (self.counts[:, list(bands)].sum(axis=1).clip(min=0) for bands in (low, high))
        da, db = (np.sqrt((self.counts_err[:, list(bands)] ** 2).sum(axis=1)) for bands in (low, high))
        total = np.where(a + b > 0, a + b, np.nan)
        error = 2 * np.sqrt((a * db) ** 2 + (b * da) ** 2) / total**2
        return (b - a) / total, np.where(np.isnan(total), np.nan, np.minimum(error, 9.99))


def observe(rng: np.random.Generator, m: int, objects: Objects, spectrum: FloatArray, targets: Targets) -> Detections:
    """All detections of mission number `m` of :data:`MISSIONS`, spurious ones left out.

    `spectrum` is :meth:`Objects.spectrum`: photons / cm2 per erg / cm2, shape (objects, energies).
    """
    mission = MISSIONS[m]
    visible, epoch, off_axis = _in_view(m, objects, targets)
    target = objects.target[visible]
    exposure, mjd = targets.exposure_s[target, m, epoch], targets.mjd[target, m, epoch]
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
    gross = total.sum(axis=1)
    likelihood = _likelihood(gross, background)
    found = (likelihood > mission.threshold) & ~_blended(mission, objects, visible, epoch, flux)

    index = np.flatnonzero(found)
    return _measure(
        rng,
        mission,
        objects.take(visible[index]),
        visible[index],
        target[index],
        epoch[index],
        mjd[index],
        exposure[index],
        effective_s[index],
        off_axis[index],
        width_arcsec[index],
        total[index],
        background[index],
    )


def _in_view(m: int, objects: Objects, targets: Targets) -> tuple[IntArray, IntArray, FloatArray]:
    """Pairs of object and epoch that mission `m` has looked at, with the off-axis angle in arcmin."""
    off_axis = (
        separation_arcsec(
            objects.ra_deg, objects.dec_deg, targets.ra_deg[objects.target], targets.dec_deg[objects.target]
        )
        / 60
    )
    looked = ~np.isnan(targets.exposure_s[objects.target, m])
    looked &= (off_axis < MISSIONS[m].field_radius_arcmin)[:, None]
    visible, epoch = np.nonzero(looked)
    return visible, epoch, off_axis[visible]


def _long_term_factor(rng: np.random.Generator, objects: Objects, visible: IntArray, mjd: FloatArray) -> FloatArray:
    kind = objects.kind[visible]
    log_factor = objects.long_dex[visible] * rng.standard_normal(visible.size)
    flare = rng.random(visible.size) < kind_values(kind, "flare_probability")
    log_factor += np.where(flare, rng.exponential(0.45, visible.size), 0)
    # the mean of a log-normal factor is above 1: keep the tails from making every outburst a discovery
    return np.asarray(10 ** np.clip(log_factor, -2.5, 1.8))


def _likelihood(gross: FloatArray, background: FloatArray) -> FloatArray:
    """Minus the log of the probability that background alone gives so many counts (Cash 1979, Wilks)."""
    excess = np.maximum(gross, background + 1e-9)
    return np.asarray(excess * np.log(excess / background) - (excess - background))


def _blended(mission: Mission, objects: Objects, visible: IntArray, epoch: IntArray, flux: FloatArray) -> np.ndarray:
    """True where a brighter source is too close to see this one on its own."""
    seen = np.unique(visible)
    brightest = np.zeros(objects.kind.size)
    np.maximum.at(brightest, visible, flux)
    pairs = seen[close_pairs(objects.ra_deg[seen], objects.dec_deg[seen], mission.blend_arcsec)]
    first_brighter = brightest[pairs[:, 0]] >= brightest[pairs[:, 1]]
    hidden = np.zeros(objects.kind.size, dtype=bool)
    hidden[np.where(first_brighter, pairs[:, 1], pairs[:, 0])] = True
    return hidden[visible]


def _measure(
    rng: np.random.Generator,
    mission: Mission,
    each: Objects,
    number: IntArray,
    target: IntArray,
    epoch: IntArray,
    mjd: FloatArray,
    exposure: FloatArray,
    effective_s: FloatArray,
    off_axis: FloatArray,
    width_arcsec: FloatArray,
    total: FloatArray,
    background: FloatArray,
) -> Detections:
    """Turn counts into the columns of a catalogue; `each` is the true object of each detection."""
    n = number.size
    counts = total - background[:, None] / total.shape[1]
    counts_err = np.sqrt(total + 0.75) + 0.3  # close to Gehrels (1986, ApJ 303, 336) at few counts
    net = counts.sum(axis=1).clip(min=3)
    flux = counts / effective_s[:, None] * mission.flux_per_count
    flux_err = counts_err / effective_s[:, None] * mission.flux_per_count
    sigma = np.hypot(width_arcsec / np.sqrt(net), mission.systematic_arcsec)
    # the image of a point stretches across the radius towards the edge
    stretch = 1 + 0.25 * np.minimum(off_axis / mission.field_radius_arcmin, 1)
    if mission.name == "chandra":
        major, minor, pa = sigma * stretch, sigma / stretch, rng.uniform(0, 180, n)
    else:
        major, minor, pa = sigma, sigma, np.zeros(n)
    years = mjd_to_year(mjd) - EPOCH_YR
    true_ra, true_dec = offset(
        each.ra_deg, each.dec_deg, each.pmra_mas_yr * years * 1e-3, each.pmdec_mas_yr * years * 1e-3
    )
    along, across = major * rng.standard_normal(n), minor * rng.standard_normal(n)
    sin_pa, cos_pa = np.sin(np.radians(pa)), np.cos(np.radians(pa))
    ra, dec = offset(true_ra, true_dec, along * sin_pa + across * cos_pa, along * cos_pa - across * sin_pa)
    extent = kind_values(each.kind, "extent_arcsec") * 10 ** rng.normal(0, 0.12, n)
    # a few point sources come out as extended when they are faint and close together
    extent = np.where((extent == 0) & (rng.random(n) < 0.002), rng.uniform(6, 12, n), extent)
    return Detections(
        object=number,
        target=target,
        epoch=epoch,
        mjd=mjd,
        exposure_s=exposure,
        off_axis_arcmin=off_axis,
        ra_deg=ra,
        dec_deg=dec,
        true_ra_deg=true_ra,
        true_dec_deg=true_dec,
        sigma_major_arcsec=major,
        sigma_minor_arcsec=minor,
        sigma_pa_deg=pa,
        counts=counts,
        counts_err=counts_err,
        flux_cgs=flux,
        flux_err_cgs=flux_err,
        full_flux_cgs=net / effective_s * mission.full_flux_per_count,
        full_flux_err_cgs=np.sqrt(total.sum(axis=1) + 1) / effective_s * mission.full_flux_per_count,
        likelihood=_likelihood(total.sum(axis=1), background),
        p_constant=_constancy(rng, kind_values(each.kind, "short_rms"), net),
        gamma=_fitted_gamma(rng, each.gamma, net),
        extent_arcsec=extent,
        flag=rng.choice([0, 1, 2, 3], n, p=[0.90, 0.06, 0.025, 0.015]),
    )


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


def add_spurious(rng: np.random.Generator, m: int, targets: Targets, real: Detections) -> Detections:
    """Add detections of nothing, at the end: copies of faint ones at random places of their field."""
    n = round(SPURIOUS_FRACTION * real.object.size)
    faint = np.flatnonzero(real.likelihood < 2.5 * MISSIONS[m].threshold)
    index = rng.choice(faint, min(n, faint.size), replace=False)
    copy = real.take(np.sort(index))
    n = copy.object.size
    east, north = in_disc(rng, np.full(n, MISSIONS[m].field_radius_arcmin * 60.0))
    ra, dec = offset(targets.ra_deg[copy.target], targets.dec_deg[copy.target], east, north)
    spurious = replace(
        copy,
        object=np.full(n, -1),
        ra_deg=ra,
        dec_deg=dec,
        true_ra_deg=ra,
        true_dec_deg=dec,
        extent_arcsec=np.zeros(n),
        flag=rng.choice([0, 1, 2, 3], n, p=[0.5, 0.2, 0.15, 0.15]),
    )
    return _join([real, spurious])


def _join(parts: list[Detections]) -> Detections:
    names = [field.name for field in fields(Detections)]
    return Detections(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})
