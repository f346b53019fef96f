"""Published numbers of AGN and stars per square degree and flux, far from the galactic plane.

AGN: Moretti et al. 2003 (ApJ 588, 696), eq. 2 with the hard-band values of their table 3, 2-10 keV:
N(> S) = 5300 (2e-15)^1.57 / (S^1.57 + S0^1.13 S^0.44) per square degree, S0 = 4.5e-15. In SQL it is xcat.agn_per_deg2.

Stars: Lehmer et al. 2012 (ApJ 752, 46), 2-8 keV: dN/dS = 0.64e14 (S / 1e-14)^-1.79 per square degree and erg/(s cm2).

Fluxes are in erg/(s cm2). Those in 0.2-12 keV are converted with the power law of photon index 1.7 that gave them.
"""

from __future__ import annotations

import numpy as np

from xcat.arrays import FloatArray
from xcat.catalogues.definition import Definition

LEAST_ABS_B_DEG = 10.0
"""Both surveys look out of the plane: nearer to it than this there are more stars than they count."""
_AGN_BAND_KEV, _STAR_BAND_KEV = (2.0, 10.0), (2.0, 8.0)
_AGN_STEEP, _AGN_FLAT, _AGN_BREAK = 1.57, 0.44, 4.5e-15
_AGN_SCALE = 5300.0 * 2e-15**_AGN_STEEP
_STARS_AT_REFERENCE, _STAR_REFERENCE, _STAR_SLOPE = 0.64e14, 1e-14, 1.79


def _share_of_standard(band_kev: tuple[float, float]) -> float:
    """Flux in a band over the flux in 0.2-12 keV."""
    return 1.0 / Definition.model_construct(flux_band_kev=band_kev).standard_flux_factor()


def agn_brighter_per_deg2(flux_std_cgs: FloatArray) -> FloatArray:
    """AGN per square degree that are brighter than a flux in 0.2-12 keV, (N,)."""
    s = flux_std_cgs * _share_of_standard(_AGN_BAND_KEV)
    return np.asarray(_AGN_SCALE / _agn_shape(s))


def agn_per_deg2_and_flux(flux_std_cgs: FloatArray) -> FloatArray:
    """AGN per square degree and flux in 0.2-12 keV, (N,): minus the derivative of `agn_brighter_per_deg2`."""
    share = _share_of_standard(_AGN_BAND_KEV)
    s = flux_std_cgs * share
    bend = _AGN_BREAK ** (_AGN_STEEP - _AGN_FLAT)
    rise = _AGN_STEEP * s ** (_AGN_STEEP - 1.0) + bend * _AGN_FLAT * s ** (_AGN_FLAT - 1.0)
    return np.asarray(share * _AGN_SCALE * rise / _agn_shape(s) ** 2)


def _agn_shape(s: FloatArray) -> FloatArray:
    return np.asarray(s**_AGN_STEEP + _AGN_BREAK ** (_AGN_STEEP - _AGN_FLAT) * s**_AGN_FLAT)


def stars_per_deg2_and_flux(flux_std_cgs: FloatArray) -> FloatArray:
    """Stars per square degree and flux in 0.2-12 keV, (N,)."""
    share = _share_of_standard(_STAR_BAND_KEV)
    return np.asarray(share * _STARS_AT_REFERENCE * (flux_std_cgs * share / _STAR_REFERENCE) ** -_STAR_SLOPE)
