"""Tables of pairs: what two properties say together beyond each alone."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from xcat.classifier import Property, Sample, evidence, fit_tables
from xcat.classifier.pairs import N_BINS, as_row, count_pair, pair_table

AXES = (
    Property("x", "spectrum", "linear", -4.0, 4.0, False, False),
    Property("y", "location", "linear", -8.0, 8.0, False, False),
)

EVEN = np.array([0.5, 0.5])


def table(samples, bandwidth=0.2):
    values = np.concatenate(samples)
    label = np.repeat(np.arange(len(samples)), [len(s) for s in samples])
    counts = count_pair(values[:, 0], values[:, 1], label, len(samples), AXES, np.ones(len(values)))
    widths = np.outer([bandwidth, 2.0 * bandwidth], np.ones(len(samples)))
    return pair_table(counts, AXES, widths, "spectrum")


def correlated(n, rho, seed=0):
    rng = np.random.default_rng(seed)
    return rng.multivariate_normal([0, 0], [[1, 2 * rho], [2 * rho, 4]], n)


def test_independent_properties_say_nothing_together():
    found = table([correlated(200_000, 0.0)])
    at = correlated(500, 0.0, seed=1)
    assert np.abs(found.term(at[:, 0], at[:, 1])).mean() < 0.02
    assert found.name == "x*y"


@pytest.mark.parametrize("rho", [0.6, -0.8])
def test_correlated_gaussians_give_the_log_of_joint_over_product(rho):
    found = table([correlated(400_000, rho)], bandwidth=0.05)
    at = correlated(2000, rho, seed=1)
    joint = multivariate_normal([0, 0], [[1, 2 * rho], [2 * rho, 4]]).logpdf(at)
    expected = joint - norm.logpdf(at[:, 0]) - norm.logpdf(at[:, 1], scale=2.0)
    off = found.term(at[:, 0], at[:, 1])[:, 0] - expected
    assert np.sqrt(np.mean(off**2)) < 0.15 < 0.4 < expected.std()


def test_few_members_are_drawn_to_independence():
    sizes = (0, 3, 30, 3000)
    found = table([correlated(n, 0.9) for n in sizes], bandwidth=0.4)
    said = np.abs(found.log_ratio).max(axis=(0, 1))
    assert said[0] == 0
    assert said.tolist() == sorted(said)
    assert found.n_present.tolist() == list(sizes)
    assert np.isfinite(found.log_ratio).all()


@pytest.mark.parametrize("n", [3, 44, 300])
def test_with_the_tables_of_both_it_is_a_density_for_small_classes_too(n):
    values = np.concatenate([correlated(5000, 0.8), 0.4 * correlated(n, 0.7) + [1.0, -2.0]])
    model = fit_tables(Sample(AXES, values), np.repeat([0, 1], [5000, n]), ["a", "b"], EVEN, pairs=[("x", "y")])
    x, y = (a.ravel() for a in np.meshgrid(*(np.linspace(p.low, p.high, 257) for p in AXES), indexing="ij"))
    joint = np.exp(
        evidence(model, Sample(AXES, np.stack([x, y], axis=1))).sum(axis=1)
        - model.tables[0].log_present
        - model.tables[1].log_present
    )
    whole = joint.sum(axis=0) * AXES[0].width * AXES[1].width / 256**2
    assert whole == pytest.approx(np.ones(2), abs=0.1)
    # where nobody is, a class of few is seen once in n + 2 times at most, not the oftener for being rare
    corner = np.argmin(np.hypot(x - 4.0, y + 8.0))
    flat = (0.1 / AXES[0].width) * (0.1 / AXES[1].width)
    assert joint[corner, 1] < 1.5 * flat / (n + 2)


def test_a_value_that_is_not_there_says_nothing():
    found = table([correlated(5000, 0.7)])
    x = np.array([np.nan, 1.0, np.inf, 1.0, -np.inf, 1.0])
    y = np.array([1.0, np.nan, 1.0, np.inf, 1.0, 1.0])
    term = found.term(x, y)
    assert (term[:5] == 0).all()
    assert term[5] != 0


def test_bilinear_between_the_middles_and_constant_beyond():
    found = table([correlated(5000, 0.7), correlated(50, -0.7)])
    x, y = (found.low[a] + found.step[a] * np.arange(N_BINS) for a in (0, 1))
    np.testing.assert_allclose(found.term(x[[3, 9]], y[[5, 20]]), found.log_ratio[[3, 9], [5, 20]])
    middle = found.term(np.array([x[3] + found.step[0] / 2]), np.array([y[5] + found.step[1] / 2]))
    assert middle[0] == pytest.approx(found.log_ratio[3:5, 5:7].mean(axis=(0, 1)))
    far = found.term(np.array([99.0, 1e300]), np.array([-99.0, -1e300]))
    np.testing.assert_allclose(far, found.log_ratio[[-1, -1], [0, 0]])


def test_counts_of_pairs_count_weights_and_no_missing_ones():
    x, y = np.array([0.0, 0.0, np.nan, np.inf, 99.0]), np.array([0.0, 0.0, 0.0, 0.0, -99.0])
    counts = count_pair(x, y, np.array([0, 1, 0, 0, 1]), 2, AXES, np.array([0.5, 1.0, 1.0, 1.0, 0.25]))
    assert counts.sum(axis=(1, 2)).tolist() == [0.5, 1.25]
    assert counts[1, -1, 0] == 0.25
    assert counts[0, N_BINS // 2, N_BINS // 2] == 0.5


def test_rows_of_the_database_have_one_class_after_the_other():
    found = table([correlated(5000, 0.7), correlated(50, -0.7)])
    rows = as_row(found)
    assert rows.shape == (2, N_BINS**2)
    np.testing.assert_array_equal(rows[1].reshape(N_BINS, N_BINS), found.log_ratio[:, :, 1])
