"""Densities: bandwidths, walls, floors, normalisation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from KDEpy.bw_selection import improved_sheather_jones as kdepy_isj
from scipy.stats import norm

from xcat.classifier.density import cells, fit_table, integral, silverman
from xcat.classifier.properties import Property, to_scale

WALLED = Property("p", "variability", "linear", 0.0, 1.0, True, True)
OPEN = Property("g", "spectrum", "linear", -10.0, 10.0, False, False)


def nodes(prop, n=257):
    return np.linspace(prop.low, prop.high, n)


def test_to_scale_takes_logarithms_and_turns_what_has_none_into_missing():
    motion = Property("pm", "location", "log10", -2.0, 4.0, False, False)
    values = [[100.0, -3.0], [0.0, 4.0], [-1.0, np.nan], [np.nan, np.inf], [np.inf, -np.inf]]
    expected = [[2.0, -3.0], [np.nan, 4.0], [np.nan, np.nan], [np.nan, np.inf], [np.inf, -np.inf]]
    np.testing.assert_array_equal(to_scale(values, [motion, OPEN]), expected)


def test_to_scale_refuses_another_number_of_columns():
    with pytest.raises(ValueError, match="one column a property"):
        to_scale(np.zeros((3, 2)), [OPEN])


@pytest.mark.parametrize(
    ("scale", "low", "high"), [("ln", 0, 1), ("linear", 1, 1), ("linear", 0, np.inf), ("linear", np.nan, 1)]
)
def test_property_refuses_an_unknown_scale_and_an_empty_range(scale, low, high):
    with pytest.raises(ValueError, match=r"property x"):
        Property("x", "location", scale, low, high, False, False)


@pytest.mark.parametrize("n", [300, 3000, 30000])
def test_normal_density_is_recovered(n):
    table = fit_table(np.random.default_rng(n).normal(1.0, 0.8, n), OPEN)
    error = np.abs(np.exp(table.log_density) - norm.pdf(nodes(OPEN), 1.0, 0.8)).max()
    assert error < 1.2 * n**-0.4  # the rate of a kernel density
    # the bandwidth that is best for a normal density
    assert table.bandwidth == pytest.approx(0.8 * (4 / (3 * n)) ** 0.2, rel=0.25)


def test_bandwidth_agrees_with_kdepy_once_its_mesh_is_accounted_for():
    rng = np.random.default_rng(5)
    x = np.concatenate([rng.normal(-3, 0.5, 3000), rng.normal(2, 1.0, 3000)])
    reach = np.ptp(x)
    mesh = reach + 2 * max(6.0, 0.5 * reach)  # what KDEpy pads to; it multiplies by `reach` in its place
    assert fit_table(x, OPEN).bandwidth == pytest.approx(kdepy_isj(x[:, None]) * mesh / reach, rel=0.05)


def test_bandwidth_scales_with_the_data():
    x = np.random.default_rng(6).normal(0, 1, 2000)
    wide = Property("w", "spectrum", "linear", -1e4, 1e4, False, False)
    assert fit_table(1e3 * x, wide).bandwidth == pytest.approx(1e3 * fit_table(x, OPEN).bandwidth, rel=1e-6)


def test_two_peaks_are_kept_apart_better_than_by_scotts_rule():
    rng = np.random.default_rng(1)
    n = 4000
    x = np.concatenate([rng.normal(-4, 0.25, n // 2), rng.normal(4, 0.25, n // 2)])
    grid = nodes(OPEN)
    truth = 0.5 * norm.pdf(grid, -4, 0.25) + 0.5 * norm.pdf(grid, 4, 0.25)
    scott = x.std() * n**-0.2
    by_scott = norm.pdf((grid[:, None] - x) / scott).mean(axis=1) / scott
    ours = np.exp(fit_table(x, OPEN).log_density)
    assert np.mean((ours - truth) ** 2) < 0.01 * np.mean((by_scott - truth) ** 2)


def test_uniform_density_stays_flat_up_to_the_walls():
    density = np.exp(fit_table(np.random.default_rng(2).random(5000), WALLED).log_density)
    assert density[[0, -1]] == pytest.approx([1.0, 1.0], abs=0.1)
    assert density == pytest.approx(np.ones(257), abs=0.15)


def test_without_walls_the_kernel_leaves_and_the_rest_is_a_density_again():
    half_open = Property("v", "variability", "linear", 0.0, 1.0, False, True)
    x = np.random.default_rng(2).random(2000)
    density = np.exp(fit_table(x, half_open).log_density)
    assert density[0] == pytest.approx(0.5, abs=0.1)
    assert density[-1] == pytest.approx(1.0, abs=0.1)


def test_values_outside_count_at_the_nearer_end():
    x = np.random.default_rng(3).normal(0, 3, 500)
    beyond = np.concatenate([x, [11.0, 1e300, np.inf, -np.inf]])
    at_ends = np.concatenate([x, [10.0, 10.0, 10.0, -10.0]])
    np.testing.assert_array_equal(fit_table(beyond, OPEN).log_density, fit_table(at_ends, OPEN).log_density)


def test_missing_values_are_left_out():
    x = np.random.default_rng(3).normal(0, 3, 70)
    with_gaps = np.concatenate([x, np.full(30, np.nan)])
    assert fit_table(with_gaps, OPEN).n == 70
    np.testing.assert_array_equal(fit_table(with_gaps, OPEN).log_density, fit_table(x, OPEN).log_density)


def test_a_class_without_values_gets_the_flat_density():
    table = fit_table([], OPEN)
    np.testing.assert_allclose(np.exp(table.log_density), 1 / 20)
    assert (table.n, table.bandwidth) == (0, 20.0)


@pytest.mark.parametrize("x", [[0.3], [0.3] * 5, [0.3] * 500, [0.0, 1.0] * 200, [1.0] * 99, [0.0] + [0.5] * 300])
def test_equal_values_give_a_density_that_is_finite_and_peaks_there(x):
    table = fit_table(x, WALLED)
    assert np.isfinite(table.log_density).all()
    assert table.bandwidth >= 1 / 256
    assert abs(nodes(WALLED)[table.log_density.argmax()] - np.median(x)) <= 0.5 * (len(set(x)) > 1) + 1 / 256


def test_one_member_says_less_than_many():
    peaks = [fit_table(np.full(n, 0.5), WALLED).log_density.max() for n in (0, 1, 3, 10, 30)]
    assert peaks == sorted(peaks)
    assert np.exp(peaks[1]) < 4  # a single source is a hint, not a class


@pytest.mark.parametrize(("n", "share"), [(1, 1 / 3), (8, 0.1), (98, 0.01), (20_000, 0.001)])
def test_floor_is_laplaces_share_of_the_flat_density(n, share):
    x = np.random.default_rng(0).normal(-6, 0.5, n)
    assert np.exp(fit_table(x, OPEN).log_density[-1]) == pytest.approx(share / 20, rel=0.02)


def test_silverman_on_counts_is_silverman_on_values():
    x = np.random.default_rng(8).normal(0, 1, 5000)
    quartiles = np.percentile(x, [25, 75])
    expected = 0.9 * min(x.std(ddof=1), np.ptp(quartiles) / 1.34) * 5000**-0.2
    counts = np.bincount(cells(x, OPEN, 1025), minlength=4096)
    assert silverman(counts, OPEN.width) == pytest.approx(expected, rel=0.01)


def test_too_few_nodes_are_refused():
    with pytest.raises(ValueError, match="at least 9"):
        fit_table([0.5], WALLED, n_nodes=5)


@settings(deadline=None, max_examples=60)
@given(
    x=st.lists(st.floats(-1, 2), max_size=150),
    walls=st.tuples(st.booleans(), st.booleans()),
    n_nodes=st.sampled_from([33, 257]),
)
def test_every_table_integrates_to_one_as_it_is_interpolated(x, walls, n_nodes):
    prop = Property("x", "spectrum", "linear", -0.5, 1.5, *walls)
    table = fit_table(x, prop, n_nodes)
    assert integral(table.log_density, prop) == pytest.approx(1.0, abs=1e-9)
    fine = np.linspace(prop.low, prop.high, 20 * (n_nodes - 1) + 1)
    density = np.exp(np.interp(fine, nodes(prop, n_nodes), table.log_density))
    assert np.trapezoid(density, fine) == pytest.approx(1.0, abs=1e-3)
    assert prop.width / (n_nodes - 1) <= table.bandwidth <= prop.width
