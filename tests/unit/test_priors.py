"""Priors estimated from unlabelled sources, everywhere and as a function of the sky."""

from dataclasses import replace

import numpy as np
import pytest

from xcat.classifier import FitOptions, Property, Sample, classify, cross_validate, tune, with_priors
from xcat.classifier.pairs import N_BINS
from xcat.classifier.priors import COUNTS_SHARE, LEAST_PRIOR, estimate, expected_shares, reweighted, sky_prior

GIVEN = np.array([0.4, 0.3, 0.3])
PROPERTIES = (
    Property("abs_b", "location", "linear", 0.0, 90.0, True, True),
    Property("log_fx", "spectrum", "linear", -18.0, -8.0, False, False),
    Property("hr", "spectrum", "linear", -6.0, 6.0, False, False),
)
AXES = ("abs_b", "log_fx")


def posteriors(shares, n, seed=0, priors=GIVEN):
    rng = np.random.default_rng(seed)
    label = rng.choice(3, n, p=shares)
    x = rng.normal(1.5 * label, 1.0)
    likelihood = np.exp(-0.5 * (x[:, None] - 1.5 * np.arange(3)) ** 2)
    p = likelihood * priors
    return p / p.sum(axis=1, keepdims=True), label


@pytest.mark.parametrize("shares", [(0.8, 0.15, 0.05), (0.02, 0.03, 0.95), (1 / 3, 1 / 3, 1 / 3)])
def test_shares_are_recovered(shares):
    p, _ = posteriors(shares, 60_000)
    found = estimate(p, GIVEN)
    assert found == pytest.approx(shares, abs=0.015)
    assert found.sum() == pytest.approx(1.0)
    # at the maximum the mean posterior is the share itself
    assert reweighted(p, GIVEN, found).mean(axis=0) == pytest.approx(found, abs=1e-4)


def test_no_class_is_given_up_and_strength_holds_to_the_priors():
    p, _ = posteriors((0.7, 0.3, 0.0), 20_000)
    found = estimate(p, GIVEN)
    assert found[2] >= 0.9 * LEAST_PRIOR
    off = [np.abs(estimate(p, GIVEN, s) - GIVEN).max() for s in (0.0, 1e3, 1e5, 1e9)]
    assert off == sorted(off, reverse=True)
    assert off[-1] < 1e-3
    assert estimate(np.empty((0, 3)), GIVEN, 5.0) == pytest.approx(GIVEN)


def test_reweighted_is_bayes_and_back():
    new = np.array([0.1, 0.2, 0.7])
    p, _ = posteriors(GIVEN, 100)
    changed, _ = posteriors(GIVEN, 100, priors=new)
    assert reweighted(p, GIVEN, new) == pytest.approx(changed)
    assert reweighted(reweighted(p, GIVEN, new), new, GIVEN) == pytest.approx(p)


# --- of the sky -------------------------------------------------------------------------------------------


def catalogue(n, seed):
    """Class 1 lies near the plane, class 2 is bright; labelled sources are anywhere."""
    rng = np.random.default_rng(seed)
    label = rng.choice(3, n, p=GIVEN)
    b = np.where(label == 1, rng.exponential(10.0, n), rng.uniform(0, 90, n)).clip(0.0, 90.0)
    flux = np.where(label == 2, rng.normal(-11, 1, n), rng.normal(-14, 1, n))
    return np.stack([b, flux, rng.normal(2.0 * label, 0.7)], axis=1), label


@pytest.fixture(scope="module")
def fitted():
    x, label = catalogue(3000, 1)
    options = FitOptions("equal", sharpness=4.0, smoothing=1.0, excluded_properties=AXES)
    model = tune(Sample(PROPERTIES, x), label, None, ["a", "b", "c"], GIVEN, options)
    fresh, truth = catalogue(20_000, 2)
    return model, fresh, truth, classify(model, Sample(PROPERTIES, fresh)).p


def test_the_prior_of_the_sky_keeps_that_of_the_whole_catalogue(fitted):
    model, x, truth, p = fitted
    found = sky_prior(model, p, x[:, :2], AXES)
    assert [pair.name for pair in found.pairs] == ["abs_b*log_fx"]
    assert found.pairs[0].log_ratio.shape == (N_BINS, N_BINS, 3)
    np.testing.assert_array_equal(found.mixing[-1], np.eye(3))
    there = GIVEN * np.exp(found.pairs[0].term(x[:, 0], x[:, 1]))
    there /= there.sum(axis=1, keepdims=True)
    assert there.mean(axis=0) == pytest.approx(GIVEN, abs=0.03)
    # and it knows where the classes lie, though it moves but a part of the way there
    assert there[x[:, 0] < 5, 1].mean() > 1.15 * GIVEN[1]
    assert there[x[:, 0] > 60, 1].mean() < 0.9 * GIVEN[1]
    assert there[x[:, 1] > -11, 2].mean() > 1.3 * GIVEN[2]

    def loss(q):
        return -np.log(q[np.arange(len(truth)), truth]).mean()

    assert loss(classify(found, Sample(PROPERTIES, x)).p) < 0.9 * loss(p)


def test_a_source_without_a_place_has_the_prior_of_the_whole(fitted):
    model, x, _, p = fitted
    found = sky_prior(model, p, x[:, :2], AXES)
    nowhere = np.array([[np.nan, -12.0, 1.0], [np.inf, -12.0, 1.0]])
    one, other = (classify(m, Sample(PROPERTIES, nowhere)).p for m in (found, model))
    np.testing.assert_allclose(one, other)


def test_a_silent_property_says_nothing_itself(fitted):
    model, x, _, p = fitted
    moved = x[:100].copy()
    moved[:, :2] = 45.0, -12.0
    np.testing.assert_allclose(classify(model, Sample(PROPERTIES, moved)).p, p[:100])


@pytest.mark.parametrize("column", [0, 1])
def test_many_sources_at_one_place(fitted, column):
    model, x, _, p = fitted
    tied = x[:, :2].copy()
    tied[:15_000, column] = tied[:, column].min()
    assert np.isfinite(sky_prior(model, p, tied, AXES).pairs[0].log_ratio).all()
    tied[:, column] = 1.0
    assert np.isfinite(sky_prior(model, p, tied, AXES).pairs[0].log_ratio).all()


def test_without_any_place_the_model_stays(fitted):
    model, x, _, p = fitted
    assert sky_prior(model, p, np.full((len(x), 2), np.nan), AXES) is model


def test_out_of_fold_answers_follow_the_prior_of_the_sky(fitted):
    """They are those of the models of the folds with the pair of the prior, also without the category that it is of."""
    model, fresh, _, p = fitted
    x, label = catalogue(600, 3)
    sample, names = Sample(PROPERTIES, x), ["a", "b", "c"]
    options = FitOptions("equal", sharpness=4.0, smoothing=1.0, excluded_properties=AXES)
    validation = cross_validate(sample, label, None, names, GIVEN, options, n_folds=3)
    found = sky_prior(model, p, fresh[:, :2], AXES)
    pair = found.pairs[-1]
    ratio = np.exp(pair.term(x[:, 0], x[:, 1]))
    changed = with_priors(validation, sample, ratio, model.categories.index(pair.category))
    assert (changed.class_index != validation.class_index).any()
    for f, of_fold in enumerate(validation.models):
        out = validation.fold == f
        with_pair = replace(
            of_fold, pairs=(*of_fold.pairs, pair), mixing=np.concatenate([of_fold.mixing, np.eye(3)[None]])
        )
        expected = classify(with_pair, sample.take(out))
        for name in ("class_index", "class_without", "n_missing"):
            np.testing.assert_array_equal(getattr(changed, name)[out], getattr(expected, name))
        for name in ("p", "margin", "outlier", "p_tail"):
            assert getattr(changed, name)[out] == pytest.approx(getattr(expected, name), abs=1e-5)


# --- published counts -------------------------------------------------------------------------------------


def test_the_estimate_is_pulled_to_what_is_expected():
    p, _ = posteriors((0.7, 0.2, 0.1), 4000)
    expected = np.array([0.1, 0.1, 0.8])
    found = np.array([estimate(p, GIVEN, s, expected) for s in (0.0, 1e3, 1e5, 1e9)])
    assert found[0] == pytest.approx(estimate(p, GIVEN), abs=1e-3)
    distance = np.abs(found - expected).max(axis=1)
    assert (np.diff(distance) < 0).all() and distance[-1] < 1e-3
    assert estimate(np.empty((0, 3)), GIVEN, 5.0, expected) == pytest.approx(expected)


def test_expected_shares_of_counts():
    density = np.array([[30.0, 10.0, np.nan], [0.0, 5.0, np.nan]])
    # the class without counts keeps its 0.3; the others share 0.7 as they are counted
    assert expected_shares(density, GIVEN) == pytest.approx(
        np.array([[0.525, 0.175, 0.3], [LEAST_PRIOR, 0.7, 0.3]]), abs=1e-6
    )
    assert expected_shares(np.full((2, 3), np.nan), GIVEN) == pytest.approx(np.tile(GIVEN, (2, 1)))


def counts_of(x):
    """What the catalogue was drawn from: the true shares of the classes at a place."""
    b, flux = x[:, 0], x[:, 1]
    exponential, uniform = np.exp(-b / 10) / 10, np.full(b.size, 1 / 90)
    faint, bright = np.exp(-0.5 * (flux + 14) ** 2), np.exp(-0.5 * (flux + 11) ** 2)
    return GIVEN * np.stack([uniform * faint, exponential * faint, uniform * bright], axis=1)


def test_counts_that_are_right_help_and_wrong_ones_are_outvoted(fitted):
    model, x, truth, p = fitted

    def loss(q):
        return -np.log(q[np.arange(len(truth)), truth]).mean()

    sample = Sample(PROPERTIES, x)
    plain = loss(classify(sky_prior(model, p, x[:, :2], AXES), sample).p)
    right = sky_prior(model, p, x[:, :2], AXES, expected_shares(counts_of(x), GIVEN))
    wrong = sky_prior(model, p, x[:, :2], AXES, np.tile([0.02, 0.02, 0.96], (len(x), 1)))
    assert right.pairs[-1].name == "abs_b*log_fx" and right.has_sky_prior
    assert loss(classify(right, sample).p) < plain
    assert loss(classify(wrong, sample).p) < plain + 0.1
    # the overall priors follow, part of the way: they are the shares of all cells together
    assert right.priors == pytest.approx(GIVEN, abs=0.03) and right.priors.sum() == pytest.approx(1.0)
    assert GIVEN[2] + 0.05 < wrong.priors[2] < (1 - COUNTS_SHARE) * GIVEN[2] + COUNTS_SHARE * 0.96
    there = wrong.priors * np.exp(wrong.pairs[0].term(x[:, 0], x[:, 1]))
    assert (there / there.sum(axis=1, keepdims=True)).mean(axis=0) == pytest.approx(wrong.priors, abs=0.03)
