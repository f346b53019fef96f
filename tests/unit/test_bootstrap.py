"""How sure a probability is: errors from refits, found again, calibrated, and the same whatever the number of cores."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest
from one_by_one import in_replicates

from xcat.classifier import CATEGORIES, FitOptions, Hypotheses, Model, Property, Sample, classify, fit
from xcat.classifier.bootstrap import confidence, contributions_at_places, pair_places
from xcat.classifier.crossval import _Fit
from xcat.classifier.posterior import _Terms, best_levels, contribution, familiarity, softmax

pytestmark = pytest.mark.slow

PROPERTIES = tuple(Property(c, c, "linear", -8.0, 8.0, c == "spectrum", False) for c in CATEGORIES)
CLASSES, PRIORS = ("a", "b", "c"), np.array([0.6, 0.3, 0.1])
MEAN = np.array([[0, 0, 0, 0], [1.2, 0.8, -0.5, 0], [-1, 0.5, 1.0, 0.8]])
SIGMA = np.array([[1, 1, 1, 1], [1.2, 1, 0.8, 1], [1, 1.3, 1, 1]])


def drawn(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    label = rng.choice(3, n, p=PRIORS)
    return rng.normal(MEAN[label], SIGMA[label]), label


def posterior_of(x: np.ndarray) -> np.ndarray:
    """The true one."""
    log_density = -0.5 * (((x[:, None] - MEAN) / SIGMA) ** 2).sum(axis=2) - np.log(SIGMA).sum(axis=1)
    return softmax(np.log(PRIORS) + log_density)


@pytest.fixture(scope="module")
def fitted() -> tuple[Model, Sample]:
    """A model with errors, limits, a wall and a pair, and sources with all of these, with hypotheses."""
    x, label = drawn(500, 1)
    rng = np.random.default_rng(2)
    x[:40, 1], x[40:80, 1], x[80:120, 3], x[120:140, 3] = -8.0, -9.0, np.nan, np.inf
    errors, limits = np.full(x.shape, np.nan), np.full(x.shape, np.nan)
    errors[:, 0], limits[::2, 3] = rng.lognormal(-1.0, 1.0, 500), -1.0
    other = np.repeat(x[:, 2:3], 2, axis=0)
    other[1::2, 0] += 1.0
    hypotheses = Hypotheses.of(np.repeat(np.arange(500), 2), np.tile([0.7, 0.3], 500), [2], other, 500)
    sample = Sample(PROPERTIES, x, errors, limits, hypotheses)
    options = FitOptions(pairs=((CATEGORIES[0], CATEGORIES[2]),), replicates=6)
    return fit(sample, label, np.arange(500) // 2, CLASSES, PRIORS, options, n_folds=3)[0], sample


def test_at_a_node_the_place_has_what_the_table_has(fitted: tuple[Model, Sample]) -> None:
    model, _ = fitted
    at = contributions_at_places(model)
    for t, table in enumerate(model.tables):
        nodes = table.low + table.step * np.arange(0, 257, 2)
        values = np.full((131, 4), np.nan)
        values[:129, t], values[129, t] = nodes, np.inf
        look_up = _Terms(model, Sample(PROPERTIES, values))
        term = look_up(t)[0]
        place = look_up.place(t)
        assert at[t][place] == pytest.approx(contribution(term, model.mixing[t]), abs=1e-9)
    pair = model.pairs[0]
    middle = pair.low[:, None] + pair.step[:, None] * np.arange(32)
    place = pair_places(pair, middle[0], middle[1, ::-1].copy())
    assert at[4][place] == pytest.approx(contribution(pair.term(middle[0], middle[1, ::-1].copy()), model.mixing[4]))


@pytest.mark.parametrize("with_hypotheses", [False, True])
def test_errors_are_those_of_the_replicates_one_by_one(fitted: tuple[Model, Sample], with_hypotheses: bool) -> None:
    model, whole = fitted
    assert model.replicates is not None
    sample = whole if with_hypotheses else whole.best_match()
    ratio = np.random.default_rng(3).uniform(0.5, 2.0, (500, 3))
    found = classify(model, sample, ratio)
    plain = classify(replace(model, replicates=None), sample, ratio)
    assert np.array_equal(found.p, plain.p) and np.isnan(plain.p_err).all() and np.isnan(plain.stability).all()
    joint = [mean * ratio for mean in in_replicates(model, sample)]
    p = [each / each.sum(axis=1, keepdims=True) for each in joint]
    assert found.p_err == pytest.approx(np.std(p, axis=0, ddof=1), abs=2e-6)
    same = np.mean([np.argmax(each, axis=1) == found.class_index for each in p], axis=0)
    assert (np.abs(found.stability - same) < 1e-9).mean() > 0.99  # ties in single precision
    order = np.sort(found.p, axis=1)
    sure = np.abs(found.confidence) > 100
    expected = (order[:, -1] - order[:, -2]) / np.take_along_axis(
        found.p_err, np.argsort(-found.p, axis=1)[:, :2], axis=1
    ).sum(axis=1)
    assert found.confidence[~sure] == pytest.approx(expected[~sure], rel=1e-9)


def test_confidence_is_the_difference_over_the_errors() -> None:
    p, error = np.array([[0.7, 0.2, 0.1], [1.0, 0.0, 0.0]]), np.array([[0.1, 0.15, 0.9], [0.0, 0.0, 0.0]])
    assert confidence(p, error) == pytest.approx([2.0, 1000.0])
    assert np.isnan(confidence(np.ones((1, 1)), np.zeros((1, 1)))).all()


def test_familiarity_is_uniform_for_known_sources_and_small_for_what_is_unlike_all() -> None:
    rng = np.random.default_rng(5)
    p = rng.dirichlet([5.0, 0.5, 0.5], 4000)
    known = familiarity(rng.random(4000), p, best_levels(p))
    for share in (0.01, 0.1, 0.5):
        assert (known < share).mean() == pytest.approx(share, abs=4 * np.sqrt(share / 4000) + 0.002)
    far, torn, both = familiarity(
        np.array([0.001, 0.5, 0.02]), np.array([[0.99, 0.01, 0], [0.4, 0.4, 0.2], [0.5, 0.5, 0]]), best_levels(p)
    )
    assert max(far, torn, both) < 0.06 and both < 0.01
    assert np.isnan(familiarity(np.array([0.5]), p[:1], None)).all()


def test_the_errors_cover_the_true_posterior() -> None:
    """One sigma holds the truth in 55 to 80 of 100 cases, and what is stable is right."""
    inside, right = [], []
    for seed in range(3):
        x, label = drawn(1500, seed)
        model, _ = fit(Sample(PROPERTIES, x), label, None, CLASSES, PRIORS, FitOptions(smoothing=1.0), n_folds=2)
        new, _ = drawn(3000, 50 + seed)
        found, truth = classify(model, Sample(PROPERTIES, new)), posterior_of(new)
        open_ = (truth > 0.02) & (truth < 0.98)
        inside.append((np.abs(found.p - truth) < found.p_err)[open_].mean())
        best = np.argmax(truth, axis=1) == found.class_index
        right.append([best[found.stability < 0.8].mean(), best[found.stability == 1.0].mean()])
    assert min(inside) > 0.5 and max(inside) < 0.85 and 0.55 < np.mean(inside) < 0.8, inside
    assert np.mean(right, axis=0)[0] < 0.8 < 0.97 < np.mean(right, axis=0)[1], right


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores cannot be chosen here")
def test_one_core_and_two_make_the_same_model() -> None:
    x, label = drawn(300, 4)
    cores = os.sched_getaffinity(0)
    made = []
    for some in (cores, {min(cores)}):
        os.sched_setaffinity(0, some)
        try:
            options = FitOptions(smoothing=1.0, replicates=2)
            made.append(fit(Sample(PROPERTIES, x), label, None, CLASSES, PRIORS, options, n_folds=2))
        finally:
            os.sched_setaffinity(0, cores)
    (one, folds_one), (other, folds_other) = made
    np.testing.assert_array_equal(one.mixing, other.mixing)
    np.testing.assert_array_equal(folds_one.p_err, folds_other.p_err)
    assert one.replicates is not None and other.replicates is not None
    for a, b in zip(one.replicates.terms, other.replicates.terms, strict=True):
        np.testing.assert_array_equal(a, b)


def test_replicates_have_the_bandwidths_of_the_model() -> None:
    """Also where sources of a group are alike, which makes the model's bandwidths wider."""
    rng = np.random.default_rng(4)
    x, label = drawn(100, 4)
    x, label, group = (np.repeat(each, 20, axis=0) for each in (x, label, np.arange(100)))
    sample = Sample(PROPERTIES, x + rng.normal(0, 0.02, x.shape))
    fitting = _Fit(sample, label, CLASSES, PRIORS, FitOptions(smoothing=1.0))
    model = fitting.model(group)
    assert max(factor.max() for factor in fitting.factors) > 1.0
    again = _Fit(sample, label, CLASSES, PRIORS, FitOptions(smoothing=1.0))
    refit = again.replicate(model, again.held_out_terms(model, group, 1), group, 1)
    for ours, wanted in zip(refit.tables, model.tables, strict=True):
        assert ours.bandwidth == pytest.approx(wanted.bandwidth * refit.smoothing / model.smoothing)
