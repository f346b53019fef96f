"""Densities: bandwidths, walls, atoms, floors, errors, limits, and the counts that they are made of."""

from dataclasses import replace
from functools import reduce
from operator import add

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from KDEpy.bw_selection import improved_sheather_jones as kdepy_isj
from scipy.stats import norm

from xcat.classifier.bandwidth import silverman
from xcat.classifier.density import (
    N_CELLS,
    N_LEVELS,
    N_NODES,
    Counts,
    bandwidth_factors,
    cells,
    count_values,
    integral,
    levels,
    table_of_counts,
)
from xcat.classifier.kernels import CELLS_PER_STEP, Kernels
from xcat.classifier.scales import column_to_scale
from xcat.columns.properties import Property, all_properties

WALLED = Property("p", "variability", "linear", 0.0, 1.0, True, True)
OPEN = Property("g", "spectrum", "linear", -10.0, 10.0, False, False)
STEP = OPEN.width / 256


def nodes(prop):
    return np.linspace(prop.low, prop.high, 257)


def density(table, of_class=0):
    return np.exp(table.log_density[:, of_class])


def whole(table, prop):
    """Probability of all values, on the walls and between them, (K,)."""
    atoms = 0.0 if table.log_atoms is None else np.exp(table.log_atoms).sum(axis=0) * table.step
    return integral(table.log_density[None], prop)[0] + atoms


def tables_of(samples, prop=OPEN, limits=None, **options):
    """Table of as many classes as samples are given."""
    x = np.concatenate([np.asarray(s, dtype=float) for s in samples])
    label = np.repeat(np.arange(len(samples)), [len(s) for s in samples])
    limit = None if limits is None else np.concatenate(limits)
    return table_of_counts(count_values(x, label, len(samples), prop, limit=limit), prop, **options)


def fit_table(x, prop):
    """Table of one class, from exact values."""
    values = np.asarray(x, dtype=float)
    return table_of_counts(count_values(values, np.zeros(values.size, dtype=int), 1, prop), prop)


# --- scales -----------------------------------------------------------------------------------------------


def test_a_column_on_its_scale_takes_logarithms_and_turns_what_has_none_into_missing():
    motion = Property("pm", "location", "log10", -2.0, 4.0, False, False)
    expected = [2.0, np.nan, np.nan, np.nan, np.inf]
    np.testing.assert_array_equal(column_to_scale([100.0, 0.0, -1.0, np.nan, np.inf], motion), expected)
    as_it_is = [-3.0, 4.0, np.nan, np.inf, -np.inf]
    np.testing.assert_array_equal(column_to_scale(as_it_is, OPEN), as_it_is)
    parallax = Property("s", "location", "asinh", -3.0, 8.0, False, False)
    np.testing.assert_allclose(column_to_scale([np.sinh(2.0), np.nan], parallax), [2.0, np.nan])


@pytest.mark.parametrize(
    ("scale", "low", "high"), [("ln", 0, 1), ("linear", 1, 1), ("linear", 0, np.inf), ("linear", np.nan, 1)]
)
def test_property_refuses_an_unknown_scale_and_an_empty_range(scale, low, high):
    with pytest.raises(ValueError, match=r"property x"):
        Property("x", "location", scale, low, high, False, False)


# --- one class --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [300, 3000, 30000])
def test_normal_density_is_recovered(n):
    table = fit_table(np.random.default_rng(n).normal(1.0, 0.8, n), OPEN)
    assert (
        np.abs(density(table) - norm.pdf(nodes(OPEN), 1.0, 0.8)).max() < 1.2 * n**-0.4
    )  # the rate of a kernel density
    # the bandwidth that is best for a normal density
    assert table.bandwidth == pytest.approx(0.8 * (4 / (3 * n)) ** 0.2, rel=0.25)


def test_bandwidth_agrees_with_kdepy_once_its_mesh_is_accounted_for():
    rng = np.random.default_rng(5)
    x = np.concatenate([rng.normal(-3, 0.5, 3000), rng.normal(2, 1.0, 3000)])
    reach = np.ptp(x)
    mesh = reach + 2 * max(6.0, 0.5 * reach)  # what KDEpy pads to; it multiplies by `reach` in its place
    assert fit_table(x, OPEN).bandwidth == pytest.approx(kdepy_isj(x[:, None]) * mesh / reach, rel=0.05)


def test_bandwidth_scales_with_the_data_and_with_the_smoothing():
    x = np.random.default_rng(6).normal(0, 1, 2000)
    wide = Property("w", "spectrum", "linear", -1e4, 1e4, False, False)
    assert fit_table(1e3 * x, wide).bandwidth == pytest.approx(1e3 * fit_table(x, OPEN).bandwidth, rel=1e-6)
    assert tables_of([x], smoothing=1.6).bandwidth == pytest.approx(1.6 * fit_table(x, OPEN).bandwidth)


def test_two_peaks_are_kept_apart_better_than_by_scotts_rule():
    rng = np.random.default_rng(1)
    n = 4000
    x = np.concatenate([rng.normal(-4, 0.25, n // 2), rng.normal(4, 0.25, n // 2)])
    grid = nodes(OPEN)
    truth = 0.5 * norm.pdf(grid, -4, 0.25) + 0.5 * norm.pdf(grid, 4, 0.25)
    scott = x.std() * n**-0.2
    by_scott = norm.pdf((grid[:, None] - x) / scott).mean(axis=1) / scott
    ours = density(fit_table(x, OPEN))
    assert np.mean((ours - truth) ** 2) < 0.01 * np.mean((by_scott - truth) ** 2)


def test_uniform_density_stays_flat_up_to_the_walls():
    flat = density(fit_table(np.random.default_rng(2).random(5000), WALLED))
    assert flat[[0, -1]] == pytest.approx([1.0, 1.0], abs=0.1)
    assert flat == pytest.approx(np.ones(257), abs=0.15)


def test_without_walls_the_kernel_leaves_and_the_rest_is_a_density_again():
    half_open = Property("v", "variability", "linear", 0.0, 1.0, False, True)
    found = density(fit_table(np.random.default_rng(2).random(2000), half_open))
    assert found[0] == pytest.approx(0.5, abs=0.1)
    assert found[-1] == pytest.approx(1.0, abs=0.1)


def test_values_outside_count_at_the_nearer_end():
    x = np.random.default_rng(3).normal(0, 3, 500)
    beyond = np.concatenate([x, [11.0, 1e300, -np.inf]])
    at_ends = np.concatenate([x, [10.0, 10.0, -10.0]])
    np.testing.assert_array_equal(fit_table(beyond, OPEN).log_density, fit_table(at_ends, OPEN).log_density)


def test_missing_values_are_left_out_and_counted_and_what_nobody_looked_for_is_not():
    x = np.random.default_rng(3).normal(0, 3, 70)
    with_gaps = fit_table(np.concatenate([x, np.full(30, np.nan), np.full(500, np.inf)]), OPEN)
    assert with_gaps.n_present.tolist() == [70]
    np.testing.assert_array_equal(with_gaps.log_density, fit_table(x, OPEN).log_density)
    assert np.exp(with_gaps.log_present) == pytest.approx([70.5 / 101])
    assert np.exp(with_gaps.log_missing) == pytest.approx([30.5 / 101])


def test_of_which_sources_people_load_light_curves_says_nothing():
    """A class of which many have curves, one of which few have, and one without any."""
    gap, x = [np.nan], np.random.default_rng(8).uniform(0.1, 2, 60)
    samples = ([*x, *gap * 5], [*x[:3], *gap * 900], gap * 40)
    (curves,) = (p for p in all_properties() if p.name == "log_rate_ratio")
    table = tables_of(samples, curves)
    assert table.log_present.tolist() == table.log_missing.tolist() == [0.0] * 3
    other = tables_of(samples, replace(curves, name="x"))
    assert np.ptp(other.log_present) > 3 and np.ptp(other.log_missing) > 2


@pytest.mark.parametrize("x", [[], [np.nan], [np.inf, np.inf]])
def test_a_class_without_values_gets_the_flat_density(x):
    table = fit_table(x, OPEN)
    np.testing.assert_allclose(density(table), 1 / 20)
    assert (table.n_present.tolist(), table.bandwidth.tolist()) == ([0], [20.0])
    assert np.isfinite([table.log_present, table.log_missing]).all()


@pytest.mark.parametrize("x", [[0.3], [0.3] * 5, [0.3] * 500, [0.0] + [0.5] * 300])
def test_equal_values_give_a_density_that_is_finite_and_peaks_there(x):
    table = fit_table(x, WALLED)
    assert np.isfinite(table.log_density).all()
    assert table.bandwidth >= 1 / 256
    assert abs(nodes(WALLED)[table.log_density[:, 0].argmax()] - np.median(x)) <= 1 / 256


def test_single_precision_gives_the_same_table():
    x = np.random.default_rng(0).normal(0, 1, 400)
    x = x[np.abs((x + 10) * 1024 / 20 % 1 - 0.5) < 0.499]  # not on the edge of two cells
    single = fit_table(x.astype(np.float32), OPEN)
    assert single.log_density.dtype == np.float64
    np.testing.assert_array_equal(single.log_density, fit_table(x, OPEN).log_density)


def test_one_member_says_less_than_many():
    peaks = [density(fit_table(np.full(n, 0.5), WALLED)).max() for n in (0, 1, 3, 10, 30)]
    assert peaks == sorted(peaks)
    assert peaks[1] < 4  # a single source is a hint, not a class


def test_kernels_refilled_are_those_made_anew():
    """To the last bit, with an empty class, with and without walls; the series is the plain sum of cosines."""
    rng = np.random.default_rng(5)
    counts = rng.integers(0, 3, (2, 3, N_CELLS)).astype(float)
    counts[0, 2] = 0.0
    for prop in (OPEN, replace(OPEN, bounded_low=True, bounded_high=True)):
        first = Kernels(counts[0], prop, 1.3, None)
        again, anew = first.refilled(counts[1]), Kernels(counts[1], prop, 1.0, first.bandwidth)
        errors = np.array([0.0, 3.0 * first.step])
        assert np.array_equal(again.bandwidth, anew.bandwidth) and np.array_equal(again.n, anew.n)
        dense = anew.density(anew.damping(errors))
        assert np.array_equal(again.density(again.damping(errors)), dense)
        k, edge = np.arange(anew.size), anew.before + CELLS_PER_STEP * np.arange(N_NODES)
        width = np.hypot(anew.bandwidth[1], errors[1])
        damped = anew.coefficients[1] * np.exp(-0.5 * (width * np.pi * k / anew.length) ** 2)
        series = damped[0] + 2.0 * np.cos(np.pi * np.outer(edge / anew.size, k[1:])) @ damped[1:]
        assert dense[1, :, 1] == pytest.approx(series / np.trapezoid(series, dx=anew.step), rel=1e-9)


def test_silverman_on_counts_is_silverman_on_values():
    x = np.random.default_rng(8).normal(0, 1, 5000)
    quartiles = np.percentile(x, [25, 75])
    expected = 0.9 * min(x.std(ddof=1), np.ptp(quartiles) / 1.34) * 5000**-0.2
    counts = np.bincount(cells(x, OPEN, 4096), minlength=4096)
    assert silverman(counts, OPEN.width) == pytest.approx(expected, rel=0.01)


@settings(deadline=None, max_examples=60)
@given(
    x=st.lists(st.floats(-1, 2) | st.sampled_from([-0.5, 1.5]), max_size=150),
    walls=st.tuples(st.booleans(), st.booleans()),
)
def test_every_table_integrates_to_one_as_it_is_interpolated(x, walls):
    prop = Property("x", "spectrum", "linear", -0.5, 1.5, *walls)
    table = fit_table(x, prop)
    assert whole(table, prop) == pytest.approx(1.0, abs=1e-9)
    fine = np.linspace(prop.low, prop.high, 20 * 256 + 1)
    between = np.exp(np.interp(fine, nodes(prop), table.log_density[:, 0]))
    assert np.trapezoid(between, fine) == pytest.approx(integral(table.log_density[None], prop)[0, 0], abs=1e-3)
    assert prop.width / 256 <= table.bandwidth <= prop.width


# --- atoms ------------------------------------------------------------------------------------------------


def test_values_on_a_wall_are_a_point_mass_of_their_own():
    inside = np.random.default_rng(1).uniform(0.4, 0.6, 600)
    mixed, plain = fit_table(np.concatenate([inside, np.zeros(400)]), WALLED), fit_table(inside, WALLED)
    share = np.exp(mixed.log_atoms[:, 0]) * mixed.step
    assert share == pytest.approx([0.4, 0.0], abs=0.002)
    assert density(mixed) == pytest.approx(density(plain) * 0.6, rel=0.01)  # no kernel around the wall
    assert mixed.log_peak[0] == pytest.approx(mixed.log_atoms[0])
    all_there = fit_table([0.0, 1.0] * 200, WALLED)
    assert np.exp(all_there.log_atoms).sum() * all_there.step == pytest.approx(1.0, abs=0.01)
    assert np.isfinite(all_there.log_density).all()


def test_only_walls_have_atoms():
    assert fit_table([-10.0, 3.0, 10.0], OPEN).log_atoms is None
    half = Property("v", "variability", "linear", 0.0, 1.0, True, False)
    table = fit_table([0.0, 0.0, 0.5, 1.0], half)
    assert table.log_atoms[1, 0] == -np.inf
    assert whole(table, half) == pytest.approx(1.0)


def test_a_wall_that_one_class_has_touched_is_forbidden_to_none():
    table = tables_of([[0.0] * 50 + [0.5] * 50, [0.5] * 100, []], WALLED)
    share = np.exp(table.log_atoms[0]) * table.step
    assert np.isfinite(table.log_atoms).all()
    assert share[0] > 0.4 > share[2] > share[1] > 0.001


# --- several classes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "share"), [(1, 1 / 3), (8, 0.1), (98, 0.01), (20_000, 0.001)])
def test_small_classes_are_drawn_to_all_classes_together(n, share):
    rng = np.random.default_rng(0)
    table = tables_of([rng.normal(5, 0.5, 5000), rng.normal(-6, 0.5, n)])
    there = int(np.argmin(np.abs(nodes(OPEN) - 5.0)))
    # of the pooled density one tenth is flat, the rest is the mean of the classes
    pooled = 0.45 * norm.pdf(0.0, 0, 0.5) + 0.1 / 20
    assert density(table, 1)[there] == pytest.approx(share * pooled, rel=0.15)
    # at the end, where nobody is, the flat part is left
    assert density(table, 1)[-1] == pytest.approx(share * 0.1 / 20, rel=0.05)


def test_a_class_without_members_is_like_all_together_and_flat():
    rng = np.random.default_rng(0)
    table = tables_of([rng.normal(5, 0.5, 5000), []])
    # half its own flat density, half the pooled one, which is nine tenths the mean of the two
    pooled = [0.45 / 20 + 0.1 / 20, 0.45 * (norm.pdf(0, 0, 0.5) + 1 / 20) + 0.1 / 20]
    assert density(table, 1)[[64, 192]] == pytest.approx(0.5 / 20 + 0.5 * np.array(pooled), rel=0.1)
    assert np.isfinite(table.log_density).all()


def test_classes_may_be_permuted():
    rng = np.random.default_rng(0)
    a, b, c = rng.normal(0, 1, 50), rng.normal(2, 2, 500), rng.normal(1, 1, 3)
    one, other = tables_of([a, b, c], typical_error=0.1), tables_of([c, a, b], typical_error=0.1)
    np.testing.assert_allclose(one.log_density[:, [2, 0, 1]], other.log_density)
    np.testing.assert_allclose(one.log_smeared[:, :, [2, 0, 1]], other.log_smeared)


# --- errors -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [2, 5, 8, 10])
def test_a_blurred_table_is_the_convolution_of_the_density_with_the_error(level):
    rng = np.random.default_rng(level)
    x = np.concatenate([rng.normal(-1, 0.5, 20_000), rng.normal(1.5, 0.3, 10_000)])
    table = tables_of([x], typical_error=0.0)
    sigma = table.step * 2.0 ** ((level - 1) / 2)
    assert levels(np.array([sigma]), table.step, 0.0).tolist() == [level]
    grid = nodes(OPEN)
    kernel = norm.pdf(grid[:, None] - grid, scale=sigma) * table.step
    away = np.abs(grid) < 9.0 - 4.0 * sigma
    assert np.exp(table.log_smeared[level - 1, away, 0]) == pytest.approx((kernel @ density(table))[away], rel=0.02)


def test_at_a_wall_the_blurred_density_is_reflected_and_stays_a_density():
    table = tables_of([np.random.default_rng(0).beta(0.7, 3.0, 5000)], WALLED, typical_error=0.0)
    between = integral(table.log_density[None], WALLED)[0]
    assert integral(table.log_smeared, WALLED) == pytest.approx(np.tile(between, (N_LEVELS - 1, 1)), abs=1e-9)


@pytest.mark.parametrize("prop", [WALLED, OPEN])
def test_the_larger_the_error_the_less_is_said_and_at_last_nothing(prop):
    rng = np.random.default_rng(0)
    at = [prop.low + f * prop.width for f in (0.3, 0.6)]
    table = tables_of([rng.normal(a, 0.05 * prop.width, 3000) for a in at], prop, typical_error=0.0)
    ladder = np.concatenate([table.log_density[None], table.log_smeared])
    said = np.abs(np.diff(ladder[:, [77, 154]], axis=2)).max(axis=(1, 2))
    assert (np.diff(said) < 0.01).all()
    assert said[0] > 4
    assert said[-1] < 0.1


def test_the_error_that_is_in_the_tables_already_is_subtracted_in_quadrature():
    error = np.array([0.0, np.nan, 0.3, 0.5, 0.6, np.inf, 1e200])
    found = levels(error, 0.1, 0.3)
    # an error of 0.5 leaves 0.4 = 4 steps = 2^(4/2) steps
    assert found.tolist() == [0, 0, 0, 5, 6, N_LEVELS - 1, N_LEVELS - 1]
    np.testing.assert_array_equal(levels(error[:-1].astype(np.float32), 0.1, 0.3), found[:-1])
    assert levels(np.array([0.1 * 2**0.5, 0.1, 0.04]), 0.1, 0.0).tolist() == [2, 1, 0]


# --- limits -----------------------------------------------------------------------------------------------


def censored(n, seed):
    """Values, and what is seen of them: those beyond a limit of their own are only known to be beyond it."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0.0, 1.5, n)
    limit = rng.uniform(-2.0, 5.0, n)
    hidden = x > limit
    return x, np.where(hidden, np.nan, x), np.where(hidden, limit, np.nan)


def test_with_limits_the_density_is_that_of_the_whole_sample():
    x, seen, limit = censored(20_000, 1)
    grid = nodes(OPEN)
    truth = norm.pdf(grid, 0.0, 1.5)
    complete, without = tables_of([x]), tables_of([seen])
    told = tables_of([seen], limits=[limit])
    off = [np.abs(density(t) - truth).max() for t in (complete, told, without)]
    assert np.isnan(seen).mean() > 0.25
    assert off[1] < 0.03 < 0.05 < off[2]
    mean = [np.trapezoid(grid * density(t), grid) for t in (told, without)]
    assert abs(mean[0]) < 0.05 < 0.3 < abs(mean[1])
    # a source above its limit is there, as far as the property goes
    assert told.log_present == pytest.approx(complete.log_present)
    assert without.log_present < np.log(0.75)


def test_log_above_is_the_integral_of_the_density_beyond():
    rng = np.random.default_rng(3)
    samples, limits = [rng.normal(m, 1.0, 800) for m in (-2, 0, 3)], [rng.uniform(-3, 3, 800) for _ in range(3)]
    hidden = [x > limit for x, limit in zip(samples, limits, strict=True)]
    table = tables_of(
        [np.where(h, np.nan, x) for h, x in zip(hidden, samples, strict=True)],
        limits=[np.where(h, limit, np.nan) for h, limit in zip(hidden, limits, strict=True)],
    )
    fine = np.linspace(-10, 10, 256 * 50 + 1)
    for k in range(3):
        between = np.exp(np.interp(fine, nodes(OPEN), table.log_density[:, k]))
        beyond = [np.trapezoid(between[50 * i :], fine[50 * i :]) for i in range(0, 250, 10)]
        assert np.exp(table.log_above[:250:10, k]) == pytest.approx(beyond, rel=1e-3)
    # whatever is there is beyond the first node
    assert table.log_above[0] == pytest.approx(np.zeros(3), abs=1e-9)
    assert (np.diff(table.log_above, axis=0) < 0).all()
    assert np.isfinite(table.log_above).all()


@pytest.mark.parametrize("limit", [-50.0, -10.0, 9.99, 10.0, 99.0, np.inf])
def test_limits_alone_at_and_beyond_the_ends(limit):
    table = tables_of([np.full(30, np.nan), np.full(3, 1.0)], limits=[np.full(30, limit), np.full(3, np.nan)])
    assert np.isfinite(table.log_density).all()
    assert whole(table, OPEN) == pytest.approx([1.0, 1.0])
    assert table.n_present.tolist() == [0, 3]


def test_a_limit_of_a_value_that_is_there_or_of_one_that_nobody_looked_for_does_not_count():
    x = np.array([1.0, np.inf, np.nan])
    counts = count_values(x, np.zeros(3, dtype=int), 1, OPEN, limit=np.array([2.0, 3.0, np.nan]))
    assert (counts.n_present.sum(), counts.above.sum(), counts.missing.sum()) == (1, 0, 1)


# --- counts -----------------------------------------------------------------------------------------------

value = st.floats(-2, 2) | st.sampled_from([np.nan, np.inf, -1.0, 1.0])
row = st.tuples(
    value, st.integers(0, 2), st.integers(0, 3), st.none() | st.floats(-2, 2), st.sampled_from([1, 0.5, 0.25])
)


@settings(deadline=None, max_examples=60)
@given(rows=st.lists(row, min_size=1, max_size=60))
def test_counts_of_parts_add_up(rows):
    prop = Property("x", "spectrum", "linear", -1.0, 1.0, True, True)
    x, label, part, limit, weight = (np.array(c, dtype=float) for c in zip(*rows, strict=True))
    label, part = label.astype(int), part.astype(int)

    def counted(of):
        return count_values(x[of], label[of], 3, prop, weight[of], limit[of])

    def same(one: Counts, other: Counts):
        return all(
            np.array_equal(getattr(one, name), getattr(other, name)) for name in ("cells", "atoms", "above", "missing")
        )

    parts = [counted(part == f) for f in range(4)]
    everything = counted(part >= 0)
    assert same(reduce(add, parts), everything)
    in_sum = everything.n_present + everything.above.sum(axis=1) + everything.missing
    assert in_sum == pytest.approx(np.bincount(label, weight * (x != np.inf), 3))


def test_bandwidths_of_clustered_values_are_those_that_suit_other_clusters():
    """Thirty clusters in each of five parts: their density must not follow the clusters of one part. Independent values
    keep their bandwidth."""
    prop = Property("b", "location", "linear", 0.0, 90.0, True, True)
    rng = np.random.default_rng(1)
    for clustered in (True, False):
        parts, label = [], np.zeros(600, dtype=np.int64)
        for _ in range(5):
            x = rng.beta(2, 4, 30 if clustered else 600) * 90
            values = np.clip(np.repeat(x, 20) + rng.normal(0, 0.1, 600), 0.01, 89.99) if clustered else x
            parts.append(count_values(values, label, 1, prop))
        whole = table_of_counts(reduce(add, parts), prop)
        (factor,) = bandwidth_factors(parts, prop, whole.bandwidth)
        assert (factor > 1.0) == clustered
        wider = table_of_counts(reduce(add, parts), prop, np.array([factor]), None, whole.bandwidth)
        assert wider.bandwidth == pytest.approx(factor * whole.bandwidth)
