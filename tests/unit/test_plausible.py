"""Values judged: what no quantity can be is found, what is only unusual is not."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xcat.ingest import plausible

RNG = np.random.default_rng(3)
NORMAL = RNG.normal(size=400)
GOOD = {
    "flux_cgs": 10 ** (-14 + NORMAL),
    "flux_soft_err_cgs": 10 ** (-15 + NORMAL),
    "mag_w1": 14 + 2 * NORMAL,
    "err_arcsec": np.exp(NORMAL),
    "pmra_mas_yr": 5 * NORMAL,
    "parallax_mas": NORMAL,
    "hr1": np.tanh(NORMAL),
    "p_variable": RNG.random(400),
    "epoch_yr": np.full(400, 2016.0),
    "mjd": 56000 + 900 * NORMAL,
    "gamma": 1.7 + 0.4 * NORMAL,
    "snr": 10 + NORMAL,
}


@pytest.mark.parametrize("name", GOOD)
def test_good_values_pass(name):
    assert plausible.implausible(name, GOOD[name]) is None
    assert plausible.doubtful(name, GOOD[name]) is None
    assert plausible.implausible(name, np.full(5, np.nan)) is None
    assert plausible.implausible(name, np.empty(0)) is None


@pytest.mark.parametrize(
    ("name", "factor", "text"),
    [
        ("flux_cgs", 1e17, "typical value is"),
        ("flux_cgs", 1e-15, "expected is 1e-20 to 1e-06"),
        ("mag_w1", 1e-13, "typical value is"),
        ("mag_w1", 1e3, "expected is 0.001 to 40"),
        ("err_arcsec", 1 / 3.6e6, "expected is 0.0001 to 600"),
        ("err_arcsec", 3600, "expected is 0.0001 to 600"),
        ("pmra_mas_yr", 1e-3, "typical value is"),
        ("pmra_mas_yr", 1e4, "expected is 0.02 to 20000 | mas / yr"),
        ("parallax_mas", 1e-3, "typical value is"),
        ("hr1", 100, r"% of its values are outside -1.001 to 1.001, up to"),
        ("p_variable", 100, r"% of its values are outside 0 to 1"),
        ("mjd", 86400, "expected is 30000 to 80000"),
        ("epoch_yr", 29, "expected is 1850 to 2150"),
    ],
)
@pytest.mark.parametrize("n", [3, 400])
def test_another_unit_is_found(name, factor, text, n):
    found = plausible.implausible(name, GOOD[name][:n] * factor)
    assert found is not None
    assert re.search(text, found)


def test_slow_proper_motions_are_doubtful():
    assert "arcsec/yr?" in str(plausible.doubtful("pmdec_mas_yr", 0.2 * NORMAL))


def test_hours_are_certain_only_where_the_sky_is_wide():
    ra, dec = RNG.uniform(0, 24, 100), np.degrees(np.arcsin(RNG.uniform(-1, 1, 100)))
    assert plausible.hours(ra * 15, dec) is None
    assert plausible.hours(np.empty(0), np.empty(0)) is None
    for n, extent, certain in ((100, 1, True), (19, 1, False), (100, 0.01, False)):
        found = plausible.hours(ra[:n], dec[:n] * extent)
        assert found is not None
        assert found[1] is certain
        assert f"all {n} right ascensions lie below 24" in found[0]


def test_a_column_that_lost_its_values():
    full, empty = NORMAL, np.full(400, np.nan)
    assert "100.0% of the rows loaded before have a value, none of these" in str(plausible.emptied(full, empty))
    assert plausible.emptied(empty, empty) is None
    assert plausible.emptied(full, full) is None
    few = np.where(np.arange(400) % 50 == 0, NORMAL, np.nan)
    assert "nearly empty: 100.0% of the rows loaded before have a value, 2.0% of these" in str(
        plausible.emptied(full, few)
    )
    assert plausible.emptied(few, empty[:40]) is None, "40 rows of which one in 50 has a value may have none"
    assert plausible.emptied(few, empty) is None
    assert plausible.emptied(np.repeat(few, 9), np.repeat(empty, 9)) is not None


def test_a_column_that_became_constant():
    one = np.full(400, 7.0)
    assert "400 different values before, one in these 400 rows" in str(plausible.constant(NORMAL, one))
    assert plausible.constant(one, one) is None
    assert plausible.constant(one, NORMAL) is None
    flags = np.repeat([0.0, 1.0], [380, 20])
    assert plausible.constant(flags, np.zeros(100)) is None, "a flag that is rarely set may be set nowhere"
    assert plausible.constant(NORMAL, one[:1]) is None


@pytest.mark.parametrize(
    ("name", "change", "text"),
    [
        ("flux_cgs", lambda x: x * 1e3, "a factor of"),
        ("flux_cgs", lambda x: x * 10, None),
        ("err_arcsec", lambda x: x / 3600, "a factor of"),
        ("pmra_mas_yr", lambda x: x / 1000, "a factor of"),
        ("mag_w1", lambda x: x - 25, "its median was"),
        ("mag_w1", lambda x: 10 ** (-0.4 * x), "a factor of"),
        ("mag_w1", lambda x: x + 2, None),
        ("mjd", lambda x: x + 2400000.5, "a factor of"),
        ("mjd", lambda x: x + 3000, None),
        ("hr1", lambda x: x * 100, "a factor of"),
    ],
)
@pytest.mark.parametrize("n", [6, 400])
def test_a_shift_by_orders_of_magnitude(name, change, text, n):
    found = plausible.shifted(name, GOOD[name], change(GOOD[name][:n]))
    assert found is None if text is None else text in str(found)


@given(st.sampled_from(sorted(GOOD)), st.integers(1, 60), st.integers(0, 2**32 - 1), st.floats(0.5, 2))
def test_a_part_of_the_same_sky_is_never_refused(name, n, seed, factor):
    part = np.random.default_rng(seed).choice(GOOD[name], n)
    part = part * factor if name.startswith(("flux", "err", "pm")) else part
    assert plausible.shifted(name, GOOD[name], part) is None
    assert plausible.emptied(GOOD[name], part) is None


def test_one_bright_source_is_no_other_unit():
    assert plausible.shifted("flux_cgs", GOOD["flux_cgs"], np.array([1e-9])) is None
