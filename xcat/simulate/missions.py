"""The three X-ray missions: field of view, effective area, background, image quality, bands.

The numbers are rounded to reproduce the depth and the error circles of the published catalogues; they are no
calibration.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from xcat.arrays import FloatArray
from xcat.simulate.spectra import ENERGY_KEV, ERG_PER_KEV, band_mask, power_law

# the spectrum that catalogues assume: photon index 1.7 behind 3e20 hydrogen atoms / cm2 (Rosen et al. 2016, 3XMM)
_PHOTONS = power_law(np.array([1.7]), np.array([3e20]))[0]


@dataclass(frozen=True)
class Mission:
    """An X-ray mission: its instrument, its exposures, and the thresholds of its catalogue."""

    name: str
    field_radius_arcmin: float
    area_kev_cm2: tuple[tuple[float, float], ...]  # (energy in keV, effective area in cm2)
    bands_kev: tuple[tuple[float, float], ...]  # contiguous, together the full band
    soft: tuple[int, ...]  # the bands that make up the catalogue's soft, medium and hard band
    medium: tuple[int, ...]
    hard: tuple[int, ...]
    background_cps: float  # counts per second under one source, full band, on axis
    exposure_s: float  # median clean exposure of one observation
    exposure_dex: float
    mean_extra_epochs: float  # observations of a field beyond the first, geometric
    psf_arcsec: float  # sigma of the image of a point source on axis
    psf_growth: float  # the image is wider by 1 + growth * (off-axis / field radius)^2
    systematic_arcsec: float  # of the position, per axis
    blend_arcsec: float  # of two sources closer than this only the brighter is detected
    threshold: float  # detection likelihood
    mjd: tuple[float, float]  # first and last observation

    @cached_property
    def area_cm2(self) -> FloatArray:
        """Effective area on the energy grid of :mod:`xcat.simulate.spectra`, in cm2."""
        energy, area = np.array(self.area_kev_cm2).T
        return np.asarray(np.interp(np.log(ENERGY_KEV), np.log(energy), area))

    @cached_property
    def masks(self) -> FloatArray:
        """Which energies belong to which band, shape (bands, energies), 0 or 1."""
        return np.stack([band_mask(low, high) for low, high in self.bands_kev])

    @cached_property
    def flux_per_count(self) -> FloatArray:
        """Energy per area of one count in each band, erg / cm2, for the spectrum that catalogues assume."""
        energy = _PHOTONS * ENERGY_KEV * ERG_PER_KEV
        return np.asarray((self.masks @ energy) / (self.masks @ (_PHOTONS * self.area_cm2)))

    @cached_property
    def full_flux_per_count(self) -> float:
        """Energy per area of one full-band count, erg / cm2, for the same spectrum."""
        mask = self.masks.sum(axis=0)
        return float((mask @ (_PHOTONS * ENERGY_KEV)) * ERG_PER_KEV / (mask @ (_PHOTONS * self.area_cm2)))

    def flux_limit_cgs(self, exposure_s: FloatArray) -> FloatArray:
        """Full-band flux, erg / (s cm2), that about half of the on-axis sources need to be detected."""
        background = self.background_cps * exposure_s
        counts = np.sqrt(2 * self.threshold * background) + 0.7 * self.threshold + 2
        return np.asarray(counts / exposure_s * self.full_flux_per_count)


XMM = Mission(
    name="xmm",
    field_radius_arcmin=15.0,
    area_kev_cm2=((0.2, 400), (0.5, 1400), (1, 2300), (1.5, 2500), (2.2, 1900), (5, 1700), (8, 900), (12, 150)),
    bands_kev=((0.2, 0.5), (0.5, 1.0), (1.0, 2.0), (2.0, 4.5), (4.5, 12.0)),
    soft=(1,),
    medium=(2,),
    hard=(3,),
    background_cps=5e-3,
    exposure_s=9e3,
    exposure_dex=0.25,
    mean_extra_epochs=0.9,
    psf_arcsec=6.5,
    psf_growth=0.6,
    systematic_arcsec=0.45,
    blend_arcsec=7.0,
    threshold=8.0,
    mjd=(51_600.0, 59_900.0),
)

SWIFT = Mission(
    name="swift",
    field_radius_arcmin=12.0,
    area_kev_cm2=((0.3, 40), (0.6, 85), (1, 115), (1.5, 130), (2.2, 85), (4, 75), (6, 55), (10, 8)),
    bands_kev=((0.3, 1.0), (1.0, 2.0), (2.0, 10.0)),
    soft=(0,),
    medium=(1,),
    hard=(2,),
    background_cps=1.5e-4,
    exposure_s=4e4,
    exposure_dex=0.35,
    mean_extra_epochs=2.5,
    psf_arcsec=8.0,
    psf_growth=0.3,
    systematic_arcsec=1.4,
    blend_arcsec=18.0,
    threshold=9.0,
    mjd=(53_400.0, 59_900.0),
)

CHANDRA = Mission(
    name="chandra",
    field_radius_arcmin=8.0,
    area_kev_cm2=((0.5, 180), (0.8, 400), (1.2, 600), (1.6, 680), (2.2, 420), (4, 380), (6, 220), (7, 130)),
    bands_kev=((0.5, 1.2), (1.2, 2.0), (2.0, 7.0)),
    soft=(0,),
    medium=(1,),
    hard=(2,),
    background_cps=5e-5,
    exposure_s=2.5e4,
    exposure_dex=0.35,
    mean_extra_epochs=1.2,
    psf_arcsec=0.9,
    psf_growth=5.0,
    systematic_arcsec=0.2,
    blend_arcsec=1.8,
    threshold=9.0,
    mjd=(51_600.0, 59_500.0),
)

MISSIONS = (XMM, SWIFT, CHANDRA)
