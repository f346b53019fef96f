"""Gas and dust along known lines of sight, the laws of both, and what they take from an object behind them."""

from __future__ import annotations

from itertools import pairwise

import astropy.units as u
import numpy as np
import pytest
from dust_extinction.parameter_averages import G23
from scipy.integrate import quad

from xcat.columns.registry import property_entries
from xcat.sky import galactic_column
from xcat.sky.galactic_column import absorption_dex, cross_section, hardening, hydrogen, maps_at, taken_away

CSC = {"soft": (0.5, 1.2), "medium": (1.2, 2.0), "hard": (2.0, 7.0)}


@pytest.mark.parametrize(
    ("name", "ra", "dec", "nh", "ebv"),
    [
        # Lockman, Jahoda & McCammon 1986 (ApJ 302, 432): 4.5e19 at its minimum; 0.9 deg around it have more
        ("Lockman Hole", 162.0, 58.0, (0.4e20, 0.8e20), (0.003, 0.012)),
        # Kalberla et al. 2005; Schlafly & Finkbeiner 2011: 0.018
        ("3C 273", 187.278, 2.052, (1.5e20, 2.0e20), (0.012, 0.026)),
        ("COSMOS", 150.12, 2.21, (1.5e20, 2.8e20), (0.012, 0.024)),
        # Baade's window: 0.5 to 0.6 (Stanek 1996, ApJ 460, L37)
        ("Baade's window", 270.89, -30.03, (2e21, 4e21), (0.4, 0.8)),
        ("inner plane", 281.0, -3.0, (1e22, 2.5e22), (9.999, 10.0)),
    ],
)
def test_known_lines_of_sight(name, ra, dec, nh, ebv):
    (found,), (dust,) = maps_at([ra], [dec])
    assert nh[0] < found < nh[1]
    assert ebv[0] < dust <= ebv[1]


def test_no_position_has_no_column():
    nh, ebv = maps_at([np.nan, 10.0], [0.0, np.nan])
    assert np.isnan(nh).all() and np.isnan(ebv).all()
    assert [x.size for x in maps_at([], [])] == [0, 0]


def test_hydrogen_is_gas_or_dust_whichever_says_more():
    np.testing.assert_allclose(hydrogen(np.array([1e20]), np.array([0.0])), 1e20)
    # Willingale et al. 2013, equation 8, at HI 1e21 and SFD 0.2: 2 x 7.3e20 (1 - exp(-1e21 x 0.2 / 3e20))^1.1
    expected = 1e21 + 1.46e21 * (1 - np.exp(-2 / 3)) ** 1.1
    np.testing.assert_allclose(hydrogen(np.array([1e21]), np.array([0.86 * 0.2])), expected)
    np.testing.assert_allclose(hydrogen(np.array([1.5e22]), np.array([10.0])), 6.851e22)
    assert np.isnan(hydrogen(np.array([np.nan]), np.array([np.nan]))).all()


@pytest.mark.parametrize(("kev", "published"), [(0.3, 3.12e-21), (1.0, 2.42e-22), (2.0, 4.30e-23), (5.0, 3.53e-24)])
def test_cross_section_is_that_of_morrison_and_mccammon(kev, published):
    assert cross_section(kev) == pytest.approx(published, rel=0.01)


def test_absorption_of_a_narrow_band_is_the_cross_section():
    nh = np.array([1e21, 1e22, 3e22])
    expected = nh * cross_section(1.5) / np.log(10)
    np.testing.assert_allclose(absorption_dex(nh, (1.499, 1.501)), expected, rtol=0.01)
    assert absorption_dex(np.array([0.0, 1e17]), (0.5, 7.0)).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("nh", [3e20, 1e22, 1e23])
@pytest.mark.parametrize("band", [(0.5, 2.0), (2.0, 10.0), (0.2, 12.0)])
def test_absorption_is_the_integral_over_the_power_law(nh, band):
    def flux(column):
        # not across the edges of absorption, where the integrand jumps
        edges = [e for e in galactic_column._CROSS_SECTION[:, 0] if band[0] < e < band[1]]
        ends = [band[0], *edges, band[1]]
        integrand = lambda e: e**-0.9 * np.exp(-column * cross_section(e))  # noqa: E731
        return sum(quad(integrand, low, high)[0] for low, high in pairwise(ends))

    expected = -np.log10(flux(nh) / flux(0.0))
    assert absorption_dex(np.array([nh]), band)[0] == pytest.approx(expected, rel=0.01, abs=0.002)


def test_more_gas_takes_more_and_hardens_more():
    nh = np.geomspace(1e19, 1e24, 40)
    assert (np.diff(absorption_dex(nh, (0.5, 7.0))) > 0).all()
    soft = hardening(nh, CSC["soft"], CSC["medium"])
    assert (np.diff(soft) >= 0).all() and soft[-1] == galactic_column.MOST_HARDENING
    # the ratio of the two transmissions, from its definition
    h, s = (10.0 ** -absorption_dex(nh[:20], CSC[name]) for name in ("medium", "soft"))
    np.testing.assert_allclose(np.exp(2 * soft[:20]), h / s)


def test_what_is_not_known_is_nan():
    found = taken_away(np.array([1e22]), np.array([1.0]), None, None)
    assert set(found) == {"flux_absorbed_dex", "hr1_absorbed", "hr2_absorbed"}
    assert all(np.isnan(x).all() for x in found.values())
    found = taken_away(np.array([1e22, np.nan]), np.array([1.0, np.nan]), (0.5, 7.0), CSC)
    assert all(np.isfinite(x[0]) and np.isnan(x[1]) for x in found.values())


_MICRONS = {"b": 0.5110, "r": 0.7769, "j": 1.2350, "w1": 3.3526, "w2": 4.6028}


def test_coefficients_of_the_registry_are_those_of_the_law():
    law = G23(Rv=3.1)
    a = {band: 3.1 * float(law(x * u.micron)) for band, x in _MICRONS.items()}
    checked = 0
    for entry in property_entries():
        per_mag = entry.get("behind", {}).get("ebv_mag")
        if per_mag is None:
            continue
        name = entry["name"]
        expected = -0.4 * a[name.removeprefix("log_fx_f")]
        assert per_mag == pytest.approx(expected, abs=0.002), name
        checked += 1
    assert checked == 5
