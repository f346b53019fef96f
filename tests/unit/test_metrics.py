"""Metrics: the published figures from the published matrices, and analytic cases."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xcat.classifier import metrics

PRIORS = np.array([0.66, 0.25, 0.07, 0.02])
POSTER = np.array([[18057, 25, 122, 144], [55, 6239, 10, 2], [241, 31, 398, 49], [27, 0, 5, 55]])
SWIFT = np.array([[19515, 82, 25, 191], [44, 4628, 3, 27], [140, 18, 326, 17], [9, 9, 2, 124]])


def test_poster_matrix_gives_the_posters_figures():
    assert POSTER.sum(axis=0).tolist() == [18380, 6295, 535, 250]
    # its CV recall is printed as 34.8: 87/250, with the total of the row for the number that is right
    assert 100 * metrics.recall(POSTER) == pytest.approx([98.2, 99.1, 74.4, 22.0], abs=0.05)
    # its CV precision is printed as 71.5
    assert 100 * metrics.prior_precision(POSTER, PRIORS) == pytest.approx([95.8, 98.6, 79.0, 73.0], abs=0.06)
    assert 100 * metrics.precision(POSTER) == pytest.approx([98.4, 98.9, 55.4, 63.2], abs=0.05)
    assert metrics.f1(metrics.precision(POSTER), metrics.recall(POSTER)).mean() == pytest.approx(0.734, abs=5e-4)


def test_swift_matrix_gives_the_papers_figures():
    assert 100 * metrics.recall(SWIFT) == pytest.approx([99.0, 97.7, 91.6, 34.5], abs=0.06)
    assert 100 * metrics.prior_precision(SWIFT, PRIORS) == pytest.approx([97.0, 98.6, 90.7, 85.5], abs=0.06)
    assert 100 * metrics.precision(SWIFT)[2] == pytest.approx(65.1, abs=0.05)
    assert metrics.f1(metrics.prior_precision(SWIFT, PRIORS), metrics.recall(SWIFT))[2] == pytest.approx(
        0.911, abs=1e-3
    )


def test_confusion_matrix_has_predictions_in_rows():
    m = metrics.confusion_matrix([0, 0, 1, 2], [0, 1, 1, 1], 3)
    assert m.tolist() == [[1, 1, 0], [0, 1, 0], [0, 1, 0]]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60))
def test_counts_agree_with_counting_one_by_one(pairs):
    predicted, truth = np.array(pairs).T
    m = metrics.confusion_matrix(predicted, truth, 4)
    f1 = metrics.f1(metrics.precision(m), metrics.recall(m))
    for k in range(4):
        for j in range(4):
            assert m[j, k] == pairs.count((j, k))
        hits, called, members = pairs.count((k, k)), (predicted == k).sum(), (truth == k).sum()
        if members:
            assert f1[k] == pytest.approx(2 * hits / (called + members))


def test_priors_of_the_sample_change_nothing():
    sample_mix = POSTER.sum(axis=0) / POSTER.sum()
    assert metrics.prior_precision(POSTER, sample_mix) == pytest.approx(metrics.precision(POSTER))


def test_a_class_without_members_or_predictions_has_no_figure_and_spoils_no_other():
    m = np.array([[5, 1, 0], [0, 4, 0], [0, 0, 0]])
    assert np.isnan(metrics.recall(m)[2])
    assert np.isnan(metrics.precision(m)[2])
    assert np.isfinite(metrics.prior_precision(m, [0.4, 0.4, 0.2])[:2]).all()
    low, high = metrics.prior_precision_interval(m, np.array([0.4, 0.4, 0.2]))
    assert (low[:2] <= high[:2]).all()
    never_called = np.array([[5, 3], [0, 0]])
    assert metrics.f1(metrics.precision(never_called), metrics.recall(never_called))[1] == 0.0


def test_wilson_interval_known_values():
    low, high = metrics.wilson([0, 5, 10], [10, 10, 10])  # Newcombe 1998, Stat. Med. 17, 857: method 3
    assert low == pytest.approx([0.0, 0.2366, 0.7225], abs=1e-4)
    assert high == pytest.approx([0.2775, 0.7634, 1.0], abs=1e-4)
    assert [float(v) for v in metrics.wilson(0, 0)] == [0.0, 1.0]


def test_interval_of_prior_precision_covers():
    rates = np.array([[0.95, 0.1, 0.2], [0.03, 0.85, 0.2], [0.02, 0.05, 0.6]])
    priors, n = np.array([0.7, 0.2, 0.1]), [2000, 300, 60]
    truth = metrics.prior_precision(rates, priors)
    rng = np.random.default_rng(0)
    inside = np.zeros(3)
    for _ in range(200):
        m = np.stack([rng.multinomial(n[i], rates[:, i]) for i in range(3)], axis=1)
        low, high = metrics.prior_precision_interval(m, priors, n_draws=500)
        inside += (low <= truth) & (truth <= high)
    assert (inside / 200 > 0.90).all()


def test_interval_of_prior_precision_holds_the_measured_one_and_repeats():
    perfect = np.diag([30, 20, 10])
    low, high = metrics.prior_precision_interval(perfect, np.ones(3) / 3)
    assert (low < 1).all()
    assert (high == 1).all()
    np.testing.assert_array_equal(low, metrics.prior_precision_interval(perfect, np.ones(3) / 3)[0])


def test_losses_by_hand():
    p = np.array([[0.5, 0.5], [0.9, 0.1]])
    assert metrics.log_loss(p, [0, 1]) == pytest.approx((np.log(2) + np.log(10)) / 2)
    assert metrics.log_loss(p, [0, 1], np.array([3.0, 1.0])) == pytest.approx((3 * np.log(2) + np.log(10)) / 4)
    assert metrics.brier(p, [0, 1]) == pytest.approx((0.5 + 1.62) / 2)
    assert np.isfinite(metrics.log_loss(np.array([[0.0, 1.0]]), [0]))


def test_calibrated_probabilities_have_no_calibration_error():
    rng = np.random.default_rng(3)
    p = rng.dirichlet([1, 1, 1], 40_000)
    truth = (rng.random(40_000)[:, None] > p.cumsum(axis=1)).sum(axis=1)
    curve = metrics.reliability(p, truth)
    assert curve.ece < 0.012
    assert curve.n.sum() == 40_000
    assert curve.weight.sum() == pytest.approx(1)
    overconfident = p**3 / (p**3).sum(axis=1, keepdims=True)
    assert metrics.reliability(overconfident, truth).ece > 0.15


def test_reliability_by_hand():
    p = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [1.0, 0.0]])
    curve = metrics.reliability(p, [0, 1, 0, 0], n_bins=10)
    assert curve.n.tolist() == [0, 0, 0, 0, 0, 1, 0, 0, 2, 1]
    assert curve.accuracy[[5, 8, 9]].tolist() == [1.0, 0.5, 1.0]
    assert curve.ece == pytest.approx(0.25 * 0.4 + 0.5 * 0.4)


def test_weights_give_the_priors_mix():
    truth = np.array([0] * 8 + [1] * 2)
    weight = metrics.prior_weights(truth, [0.3, 0.7])
    assert weight[truth == 0].sum() == pytest.approx(0.3)
    assert weight.sum() == pytest.approx(1)
    # priors of classes that are not there are shared out
    assert metrics.prior_weights([0, 1], [0.3, 0.3, 0.4]).tolist() == [0.5, 0.5]


def test_summary_is_json_and_agrees_with_its_parts():
    rng = np.random.default_rng(0)
    p = rng.dirichlet([1, 1, 1, 1], 500)
    truth = rng.integers(0, 3, 500)  # nobody is of class 3
    s = metrics.summarise(p, truth, ["AGN", "Star", "XRB", "CV"], PRIORS)
    back = json.loads(json.dumps(s, allow_nan=False))
    assert back["n"] == 500
    assert back["classes"]["CV"]["recall"] is None
    predicted = p.argmax(axis=1)
    assert back["sample"]["accuracy"] == pytest.approx((predicted == truth).mean())
    assert back["sample"]["log_loss"] == pytest.approx(-np.log(p[np.arange(500), truth]).mean())
    of_members = [back["classes"][c]["f1"] for c in ("AGN", "Star", "XRB")]
    assert back["sample"]["macro_f1"] == pytest.approx(np.mean(of_members))
    assert sum(map(sum, back["matrix"])) == 500
    for name in ("recall", "precision", "prior_precision"):
        low, high = back["classes"]["Star"][f"{name}_interval"]
        assert low <= back["classes"]["Star"][name] <= high
    assert back["at_priors"]["accuracy"] == pytest.approx(
        sum(PRIORS[k] * back["classes"][c]["recall"] for k, c in enumerate(["AGN", "Star", "XRB"])) / PRIORS[:3].sum()
    )


def test_labels_that_are_no_class_are_refused():
    with pytest.raises(ValueError, match="classes are 0 to 1"):
        metrics.log_loss(np.full((2, 2), 0.5), [0, 2])
