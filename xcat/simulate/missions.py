"""The X-ray missions (``missions.yaml``), and spectra on one energy grid: power law and thin plasma behind gas."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import yaml

from xcat.arrays import FloatArray

# 60 bins, the same number per octave: fine enough for bands that are a factor of two wide.
_EDGES_KEV = np.geomspace(0.2, 12.0, 61)
ENERGY_KEV: FloatArray = np.sqrt(_EDGES_KEV[:-1] * _EDGES_KEV[1:])
_WIDTH_KEV = np.diff(_EDGES_KEV)
ERG_PER_KEV = 1.602177e-9


def _absorbed(photons: FloatArray, nh_cm2: FloatArray) -> FloatArray:
    # Photoelectric cross-section per hydrogen atom of cosmic gas, in cm2: 2.2e-22 E^-2.7, a power-law fit to
    # Morrison & McCammon (1983, ApJ 270, 119) that is good to 30 % over 0.3-7 keV.
    depth = nh_cm2[:, None] * 2.2e-22 * ENERGY_KEV**-2.7
    return np.asarray(photons * np.exp(-depth))


def power_law(gamma: FloatArray, nh_cm2: FloatArray) -> FloatArray:
    """Photons per bin of absorbed power laws, any normalisation; shape (sources, energies)."""
    return _absorbed(ENERGY_KEV ** -gamma[:, None] * _WIDTH_KEV, nh_cm2)


def plasma(kt_kev: FloatArray, nh_cm2: FloatArray) -> FloatArray:
    """Photons per bin of thin hot gas: bremsstrahlung and the iron L lines near 0.9 keV as one broad line.

    The lines carry most of the flux below 1 keV and little above 3 keV (Raymond & Smith 1977, ApJS 35, 419).
    """
    kt = kt_kev[:, None]
    continuum = ENERGY_KEV**-1.4 * np.exp(-ENERGY_KEV / kt)
    centre_kev = np.clip(0.65 + 0.35 * kt, 0.6, 1.05)
    lines = 3.0 / (1 + kt**2) * np.exp(-0.5 * ((ENERGY_KEV - centre_kev) / 0.15) ** 2)
    return _absorbed((continuum + lines) * _WIDTH_KEV, nh_cm2)


def energy_erg(photons: FloatArray) -> FloatArray:
    """Energy of photons per bin, 0.2-12 keV."""
    return np.asarray(photons @ (ENERGY_KEV * ERG_PER_KEV))


def normalised(photons: FloatArray) -> FloatArray:
    """Photons / cm2 per erg / cm2 of the observed 0.2-12 keV flux."""
    return np.asarray(photons / energy_erg(photons)[:, None])


# the spectrum that catalogues assume: photon index 1.7 behind 3e20 hydrogen atoms / cm2 (Rosen et al. 2016, 3XMM)
_PHOTONS = power_law(np.array([1.7]), np.array([3e20]))[0]


@dataclass(frozen=True)
class Mission:
    """An X-ray mission: its instrument, its exposures, and the thresholds of its catalogue."""

    name: str
    field_radius_arcmin: float
    area_kev_cm2: list[list[float]]  # (energy in keV, effective area in cm2)
    bands_kev: list[list[float]]  # contiguous, together the full band
    soft_medium_hard: list[int]  # the numbers of the catalogue's soft, medium and hard band among them
    background_cps: float  # counts per second under one source, full band, on axis
    exposure_s: float  # median clean exposure of one observation
    exposure_dex: float
    mean_extra_epochs: float  # observations of a field beyond the first, geometric
    psf_arcsec: float  # sigma of the image of a point source on axis
    psf_growth: float  # the image is wider by 1 + growth * (off-axis / field radius)^2
    systematic_arcsec: float  # of the position, per axis
    blend_arcsec: float  # of two sources closer than this only the brighter is detected
    threshold: float  # detection likelihood
    saturation_cps: float  # counts per second from which on half of the detections are saturated
    mjd: list[float]  # first and last observation

    @cached_property
    def area_cm2(self) -> FloatArray:
        """Effective area at `ENERGY_KEV`, in cm2."""
        energy, area = np.array(self.area_kev_cm2).T
        return np.asarray(np.interp(np.log(ENERGY_KEV), np.log(energy), area))

    @cached_property
    def masks(self) -> FloatArray:
        """Share of each energy bin inside each band, shape (bands, energies), 0 to 1."""
        inside = np.clip(_EDGES_KEV, *np.array(self.bands_kev).T[:, :, None])
        return np.asarray(np.diff(inside, axis=1) / _WIDTH_KEV)

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


_TEXT = Path(__file__).with_name("missions.yaml").read_text(encoding="utf-8")
MISSIONS = tuple(Mission(name, **entry) for name, entry in yaml.safe_load(_TEXT).items())
