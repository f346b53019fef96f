"""Weights: of properties and classes, of categories, and the sharpness."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import approx_fprime

from xcat.classifier import mixing as fits
from xcat.classifier.crossval import INNER_FOLDS
from xcat.classifier.metrics import prior_weights
from xcat.classifier.mixing import (
    CATEGORY_SHARES,
    INVERSE_RIDGES,
    SHARED,
    best_shrinkage,
    fit_mixing,
    start_of_properties,
)
from xcat.classifier.model import category_mixing
from xcat.classifier.weights import LEAST_SHARPNESS, Terms, _loss_and_slope, fit_category_weights, fit_sharpness

pytestmark = pytest.mark.slow

CATEGORY = np.array([0, 1, 2])
ONE_CATEGORY = np.zeros(3, dtype=np.int64)
EVEN = np.full(3, 1 / 3)


def terms(n=3000, planted=(1.0, 1.0, 1.0), seed=0, priors=EVEN, hypotheses=False, mix=None):
    """Advantages that deserve these exponents: labels are drawn from the posterior that they make."""
    rng = np.random.default_rng(seed)
    k = priors.size
    size = rng.integers(1, 4, n) if hypotheses else np.ones(n, dtype=int)
    source = np.repeat(np.arange(n), size)
    advantage = rng.normal(0.0, 1.5, (source.size, len(planted), k))
    advantage -= advantage.mean(axis=2, keepdims=True)
    row_weight = rng.random(source.size) + 0.05
    row_weight /= np.bincount(source, row_weight)[source]
    weight = np.full(n, 1 / n)
    made = Terms(advantage, row_weight, source, np.zeros(n, dtype=int), weight)
    mixing = np.array(planted)[:, None, None] * np.eye(k) if mix is None else mix
    p = made.posterior(made.score(priors, mixing, np.zeros(k)))
    label = (rng.random((n, 1)) > np.cumsum(p, axis=1)[:, :-1]).sum(axis=1)
    return replace(made, label=label)


def loss_of(made, priors, mixing, offsets=None):
    return made.log_loss(made.score(priors, mixing, np.zeros(priors.size) if offsets is None else offsets))


def only_what_counts(mixing):
    """Mixing less what changes no posterior: advantages have the sum 0, and scores a common constant."""
    found = mixing - mixing.mean(axis=2, keepdims=True)
    return found - found.mean(axis=1, keepdims=True)


# --- terms ------------------------------------------------------------------------------------------------


def test_posterior_is_the_weighted_mean_of_the_rows():
    made = terms(40, hypotheses=True)
    score = made.score(EVEN, category_mixing(np.ones(3), 3.0, CATEGORY, 3), np.zeros(3))
    p = np.exp(score) / np.exp(score).sum(axis=1, keepdims=True) * made.row_weight[:, None]
    found = made.posterior(score)
    assert found == pytest.approx(np.stack([p[made.source == i].sum(axis=0) for i in range(40)]))
    assert not made.is_plain
    by_hand = -np.log(found[np.arange(40), made.label]).mean()
    assert made.log_loss(score) == pytest.approx(by_hand)


def test_some_of_the_sources_keep_their_rows():
    made = terms(40, hypotheses=True)
    chosen = np.arange(40) % 3 == 0
    few = made.take(chosen)
    assert few.source_weight.sum() == pytest.approx(1.0)
    score = made.score(EVEN, category_mixing(np.ones(3), 3.0, CATEGORY, 3), np.zeros(3))
    np.testing.assert_allclose(few.posterior(score[chosen[made.source]]), made.posterior(score)[chosen])
    np.testing.assert_array_equal(few.label, made.label[chosen])


def test_prior_weights_make_the_mix_of_the_priors():
    label = np.array([0] * 6 + [1] * 3 + [3])
    weight = prior_weights(label, np.array([0.5, 0.3, 0.1, 0.1]))
    assert np.bincount(label, weight) == pytest.approx(np.array([0.5, 0.3, 0.0, 0.1]) / 0.9)


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 100), hypotheses=st.booleans())
def test_the_slope_of_the_loss_is_that_of_finite_differences(seed, hypotheses):
    made = terms(8, seed=seed, hypotheses=hypotheses)
    weight = np.random.default_rng(seed).random(8)
    made = replace(made, source_weight=weight / weight.sum())
    score = made.score(EVEN, np.tile(np.eye(3), (3, 1, 1)), np.array([0.1, -0.3, 0.2]))
    value, slope = _loss_and_slope(made, score.copy())
    assert value == pytest.approx(made.log_loss(score))

    def loss(x):
        return _loss_and_slope(made, x.reshape(score.shape))[0]

    assert slope.ravel() == pytest.approx(approx_fprime(score.ravel(), loss, 1e-6), abs=1e-5)


# --- properties and classes -------------------------------------------------------------------------------


@pytest.mark.parametrize("hypotheses", [False, True])
def test_planted_weights_are_recovered(hypotheses):
    """Terms of one category, without which there is nothing to learn."""
    made = terms(20_000, planted=(1.0, 0.4, 0.0), hypotheses=hypotheses)
    start = category_mixing(np.ones(3), 3.0, CATEGORY, 3)
    ((mixing, offsets),) = fit_mixing(made, EVEN, ONE_CATEGORY, start, [0.08])
    planted = np.array([1.0, 0.4, 0.0])[:, None, None] * np.eye(3)
    assert only_what_counts(mixing) == pytest.approx(only_what_counts(planted), abs=0.07)
    assert offsets == pytest.approx(np.zeros(3), abs=0.1)
    assert offsets.sum() == pytest.approx(0.0, abs=1e-12)
    assert loss_of(made, EVEN, mixing, offsets) < loss_of(made, EVEN, start) - 0.05


def test_a_class_may_profit_from_the_table_of_another():
    mix = np.zeros((3, 3, 3))
    mix[:, 0, 1] = 1.0  # what speaks for class 1 speaks for class 0
    made = terms(20_000, mix=mix)
    ((found, offsets),) = fit_mixing(made, EVEN, ONE_CATEGORY, category_mixing(np.ones(3), 3.0, CATEGORY, 3), [0.08])
    assert only_what_counts(found) == pytest.approx(only_what_counts(mix), abs=0.07)
    assert loss_of(made, EVEN, found, offsets) == pytest.approx(loss_of(made, EVEN, mix), abs=0.005)


def own_weights(made, category_index):
    """Weight of the own density of every term."""
    ((mixing, _),) = fit_mixing(made, EVEN, category_index, category_mixing(np.ones(3), 3.0, CATEGORY, 3), [0.08])
    return np.array([np.trace(m) / 2 for m in only_what_counts(mixing)])


def test_copies_of_a_property_share_one_weight():
    made = terms(20_000, planted=(1.0, 0.0, 1.0))
    made.advantage[:, 1] = made.advantage[:, 0]
    own = own_weights(made, ONE_CATEGORY)
    assert own[0] == pytest.approx(own[1], abs=0.01)
    assert own[0] + own[1] == pytest.approx(1.0, abs=0.1)
    assert own[2] == pytest.approx(1.0, abs=0.1)


def test_a_copy_in_another_category_stands_in_for_what_is_left_out():
    """Each must do without the other: together they count for more than one, alone for more than a half."""
    made = terms(20_000, planted=(1.0, 0.0, 0.0))
    made.advantage[:, 1] = made.advantage[:, 0]
    own = own_weights(made, CATEGORY)
    assert own[0] == pytest.approx(own[1], abs=0.01)
    assert 0.55 < own[0] < 0.8


def least_penalty(shift):
    """Least sum of squares that makes the shift of a term: of pairs; of classes and of the term, which are cheaper."""
    k = len(shift)
    own = np.eye(k) - 1 / k  # row c: what the own density of class c adds, less the mean
    rest = (shift @ own).ravel()
    shared = np.zeros((k * k, k + 1))
    for c in range(k):
        shared[c * k : (c + 1) * k, c] = shared[c * k : (c + 1) * k, k] = own[c]
    price = np.sqrt(np.append(np.ones(k), k) / SHARED)
    design, target = np.concatenate([shared, np.diag(price)]), np.concatenate([rest, np.zeros(k + 1)])
    found = np.linalg.lstsq(design, target)[0]
    return ((target - design @ found) ** 2).sum()


def loss_left_out(made, mixing, offsets):
    """Mean log-loss of the sources as they are, and without each of the categories."""
    without = [replace(made, advantage=made.advantage * (c != CATEGORY)[:, None]) for c in np.unique(CATEGORY)]
    return np.mean([loss_of(each, EVEN, mixing, offsets) for each in (made, *without)])


def test_the_weights_are_at_the_minimum_of_loss_and_ridge():
    made = terms(500, planted=(1.0, 0.3, 2.0), hypotheses=True)
    start = category_mixing(np.ones(3), 2.0, CATEGORY, 3)
    fits = fit_mixing(made, EVEN, CATEGORY, start, INVERSE_RIDGES)
    for inverse, (mixing, offsets) in zip(INVERSE_RIDGES, fits, strict=True):
        ridge = 1 / (2 * inverse * 500)

        def cost(m, o, ridge=ridge):
            return loss_left_out(made, m, o) + ridge * (sum(map(least_penalty, m - start)) + (o**2).sum())

        least, rng = cost(mixing, offsets), np.random.default_rng(0)
        for size in (0.3, 0.1, 0.03):
            for _ in range(10):
                moved = cost(mixing + rng.normal(0, size, mixing.shape), offsets + rng.normal(0, size, 3))
                assert moved > least - 1e-6


def test_the_order_of_the_terms_does_not_matter():
    made, turned = terms(500, planted=(1.0, 0.3, 2.0)), np.array([1, 2, 0])
    start = category_mixing(np.ones(3), 2.0, CATEGORY, 3)
    ((mixing, offsets),) = fit_mixing(made, EVEN, np.array([0, 1, 0]), start, [0.02])
    other = replace(made, advantage=made.advantage[:, turned])
    ((again, same),) = fit_mixing(other, EVEN, np.array([1, 0, 0]), start[turned], [0.02])
    assert again == pytest.approx(mixing[turned], abs=1e-3)
    assert same == pytest.approx(offsets, abs=1e-3)


def test_few_sources_stay_near_the_start():
    made = terms(6, planted=(5.0, 0.0, 0.0))
    start = category_mixing(np.ones(3), 2.0, CATEGORY, 3)
    ((mixing, _),) = fit_mixing(made, EVEN, CATEGORY, start, [0.08])
    assert np.abs(mixing - start).max() < 0.5


def shrinkage_of(made, category_index):
    active = np.ones((3, 1, 1))
    return best_shrinkage(made, np.arange(made.label.size) % INNER_FOLDS, EVEN, category_index, active)


def test_the_ridge_is_as_strong_as_the_sources_are_few():
    """Terms of one category: only weights of properties can tell them apart."""
    for n, planted, strongest in ((60, (1.0, 1.0, 1.0), True), (20_000, (3.0, 0.0, 0.0), False)):
        _, chosen = shrinkage_of(terms(n, planted=planted), ONE_CATEGORY)
        assert (chosen.inverse_ridge == INVERSE_RIDGES[0]) == strongest
        assert strongest or chosen.category_share == CATEGORY_SHARES[0]


def test_of_ridges_within_a_standard_error_the_strongest_is_taken():
    """Where the categories' weights are right, what weights of properties gain is noise."""
    made = [terms(500, planted=(2.0, 1.0, 0.5), seed=seed) for seed in range(12)]
    chosen = [shrinkage_of(each, CATEGORY)[1].inverse_ridge for each in made]
    assert chosen.count(INVERSE_RIDGES[0]) >= 9  # by the least loss alone it would be half of them


def test_ridge_and_share_are_chosen_for_the_weights_that_are_used(monkeypatch):
    """The more of the weights of the categories they keep, the weaker the ridge; with these alone none counts."""
    made, found = terms(400, planted=(2.0, 0.0, 1.0), seed=5), {}
    ridges = (0.001, 0.02, 0.08, 0.3, 1.2)
    monkeypatch.setattr(fits, "INVERSE_RIDGES", ridges)
    for shares in ((0.0,), (0.5,), (1.0,), (0.0, 0.5, 1.0)):
        monkeypatch.setattr(fits, "CATEGORY_SHARES", shares)
        found[shares] = shrinkage_of(made, ONE_CATEGORY)
    ridge = {shares[0]: chosen.inverse_ridge for shares, (_, chosen) in found.items() if len(shares) == 1}
    assert ridge[0.0] < ridge[0.5] and ridge[1.0] == ridges[0]
    losses = [found[share,][0] for share in (0.0, 0.5, 1.0)]
    assert losses == sorted(losses)
    assert found[0.0, 0.5, 1.0][1].category_share == 0.0


def test_without_sources_to_tell_otherwise_the_weights_are_those_of_the_categories():
    made = terms(2000, planted=(3.0, 0.0, 1.0))
    start = start_of_properties(made, EVEN, CATEGORY, np.ones((3, 1, 1)))
    assert np.abs(np.einsum("tcc->tc", start) - np.array([3.0, 0.0, 1.0])[:, None]).max() < 0.3
    ((mixing, _),) = fit_mixing(made, EVEN, CATEGORY, start, [1e-7])
    assert np.abs(mixing - start).max() < 1e-3


def test_the_loss_is_of_sources_that_had_no_part(monkeypatch):
    """Terms that say nothing: what the weights learn by heart makes the loss larger than that of the priors."""
    monkeypatch.setattr(fits, "INVERSE_RIDGES", (0.08,))
    monkeypatch.setattr(fits, "CATEGORY_SHARES", (0.0,))
    rng = np.random.default_rng(3)
    made = terms(200, planted=(0.0, 0.0, 0.0))
    made.advantage[:] = rng.normal(0, 3, made.advantage.shape)
    active = np.ones((3, 1, 1))
    held_out, chosen = shrinkage_of(made, CATEGORY)
    start = start_of_properties(made, EVEN, CATEGORY, active)
    ((mixing, offsets),) = fit_mixing(made, EVEN, CATEGORY, start, [chosen.inverse_ridge])
    assert loss_of(made, EVEN, mixing, offsets) < np.log(3) < held_out


@pytest.mark.parametrize("k", [1, 2])
def test_one_class_and_two(k):
    priors = np.full(k, 1 / k)
    made = terms(200, priors=priors)
    ((mixing, offsets),) = fit_mixing(made, priors, CATEGORY, category_mixing(np.ones(3), 3.0, CATEGORY, k), [0.08])
    assert np.isfinite(mixing).all()
    assert offsets.shape == (k,)
    weights, sharpness = fit_category_weights(made, priors, CATEGORY, 3, "log_loss", None, 0)
    assert weights.mean() == pytest.approx(1.0)
    assert sharpness > 0
    assert LEAST_SHARPNESS <= fit_sharpness(made, priors, np.full(3, 1 / 3)) < 12


# --- sharpness --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hypotheses", [False, True])
def test_sharpness_is_recovered_and_the_minimum(hypotheses):
    made = terms(20_000, planted=(0.8, 0.8, 0.8), hypotheses=hypotheses)
    best = fit_sharpness(made, EVEN, np.full(3, 1 / 3))
    assert best == pytest.approx(2.4, rel=0.08)

    def loss(sharpness):
        return loss_of(made, EVEN, category_mixing(np.ones(3), sharpness, CATEGORY, 3))

    assert loss(best) < min(loss(best * 1.03), loss(best * 0.97))


def test_sharpness_stops_at_the_ends_of_its_range():
    made = terms(50)
    right = np.where(np.arange(3) == made.label[:, None], 9.0, -4.5)[:, None].repeat(3, axis=1)
    shares = np.full(3, 1 / 3)
    assert fit_sharpness(replace(made, advantage=right), EVEN, shares) == 9.0
    assert fit_sharpness(replace(made, advantage=-right), EVEN, shares) == LEAST_SHARPNESS
    assert fit_sharpness(replace(made, advantage=0 * right), EVEN, shares) == LEAST_SHARPNESS


# --- categories -------------------------------------------------------------------------------------------


def test_category_weights_beat_equal_ones_and_find_what_was_planted():
    made = terms(6000, planted=(1.2, 0.1, 0.5))
    weights, sharpness = fit_category_weights(made, EVEN, CATEGORY, 3, "log_loss", None, 0)
    assert weights.mean() == pytest.approx(1.0)
    assert weights / 3 * sharpness == pytest.approx([1.2, 0.1, 0.5], abs=0.1)
    equal = category_mixing(np.ones(3), fit_sharpness(made, EVEN, np.full(3, 1 / 3)), CATEGORY, 3)
    found = category_mixing(weights, sharpness, CATEGORY, 3)
    fresh = terms(6000, planted=(1.2, 0.1, 0.5), seed=1)
    assert loss_of(fresh, EVEN, found) < loss_of(fresh, EVEN, equal) - 0.03


def f1_of(made, priors, mixing, k):
    called = made.posterior(made.score(priors, mixing, np.zeros(3))).argmax(axis=1)
    return 2 * ((called == k) & (made.label == k)).sum() / ((called == k).sum() + (made.label == k).sum())


@pytest.mark.slow
@pytest.mark.parametrize("hypotheses", [False, True])
def test_the_f1_objective_raises_the_f1_of_its_class(hypotheses):
    priors = np.array([0.8, 0.15, 0.05])
    rng = np.random.default_rng(1)
    made = terms(3000, planted=(0.3, 0.6, 0.0), priors=priors, hypotheses=hypotheses)
    # the first term says nothing of the rare class but noise
    made.advantage[:, 2, 2] += rng.normal(0, 4.0, len(made.source))
    made.advantage[:, 0, 2] += np.where(made.label == 2, 3.0, 0.0)[made.source]
    of = {}
    for objective, k in (("log_loss", None), ("f1", 2), ("macro_f1", None)):
        alpha, sharpness = fit_category_weights(made, priors, CATEGORY, 3, objective, k, 0)
        mixing = category_mixing(alpha, sharpness, CATEGORY, 3)
        of[objective] = [f1_of(made, priors, mixing, c) for c in range(3)]
    assert of["f1"][2] > of["log_loss"][2] + 0.01
    assert of["f1"][2] >= of["macro_f1"][2]
    assert np.mean(of["macro_f1"]) > np.mean(of["log_loss"])


def test_category_weights_are_the_same_for_the_same_seed():
    made = terms(500, planted=(1.2, 0.1, 0.5))
    one, other = (fit_category_weights(made, EVEN, CATEGORY, 3, "f1", 1, 7) for _ in range(2))
    np.testing.assert_array_equal(one[0], other[0])
    assert one[1] == other[1]


def test_a_category_without_terms_has_no_weight():
    made = terms(300)
    weights, _ = fit_category_weights(made, EVEN, np.array([0, 0, 3]), 4, "log_loss", None, 0)
    assert weights[[1, 2]].tolist() == [0, 0]
    assert weights.mean() == pytest.approx(1.0)
