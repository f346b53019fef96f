"""X-ray spectra on one energy grid: power law and thin plasma, seen through cold gas."""

import numpy as np

from xcat.arrays import FloatArray

# 60 bins, the same number per octave: fine enough for bands that are a factor of two wide.
_EDGES_KEV = np.geomspace(0.2, 12.0, 61)
ENERGY_KEV: FloatArray = np.sqrt(_EDGES_KEV[:-1] * _EDGES_KEV[1:])
_WIDTH_KEV = np.diff(_EDGES_KEV)
ERG_PER_KEV = 1.602177e-9


def band_mask(low_kev: float, high_kev: float) -> FloatArray:
    """Share of each energy bin inside a band, 0 to 1."""
    low = np.clip(low_kev, _EDGES_KEV[:-1], _EDGES_KEV[1:])
    high = np.clip(high_kev, _EDGES_KEV[:-1], _EDGES_KEV[1:])
    return np.asarray((high - low) / _WIDTH_KEV)


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


def normalised(photons: FloatArray) -> FloatArray:
    """Photons / cm2 per erg / cm2 of the observed 0.2-12 keV flux."""
    energy_erg = photons @ (ENERGY_KEV * ERG_PER_KEV)
    return np.asarray(photons / energy_erg[:, None])
