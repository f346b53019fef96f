"""Posterior, evidence and outlier measure: by hand, against analytic results, and by their invariances."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from xcat.classifier import CATEGORIES, Property, classify, evidence, fit_tables
from xcat.classifier.model import Model
from xcat.classifier.posterior import mean_log_likelihood

CLASSES = ("AGN", "Star", "XRB", "CV")
PRIORS = (0.66, 0.25, 0.07, 0.02)
PROPERTIES = tuple(
    Property(f"{category}{i}", category, "linear", -10.0, 10.0, False, False) for category in CATEGORIES for i in (0, 1)
)


def sample(n=400, seed=0, missing=0.2):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 4, n)
    values = rng.normal(label[:, None] * np.linspace(-1, 1, 8), 1.0)
    values[rng.random(values.shape) < missing] = np.nan
    return values, label


@pytest.fixture(scope="module")
def model():
    return fit_tables(*sample(), PROPERTIES, CLASSES, PRIORS, [1.0, 2.0, 0.5, 3.0], sharpness=1.7)


def by_hand(log_density, priors, weights, sharpness=1.0, low=0.0, high=90.0):
    """Model of one property a category, whose densities are flat: what a class says is the number given."""
    log_density = np.asarray(log_density, dtype=float)
    p, k = log_density.shape
    return Model(
        classes=tuple(f"c{i}" for i in range(k)),
        properties=tuple(Property(f"p{j}", CATEGORIES[j], "linear", low, high, False, False) for j in range(p)),
        priors=np.array(priors),
        weights=np.array(weights, dtype=float),
        categories=CATEGORIES[: len(weights)],
        sharpness=sharpness,
        low=np.full(p, low),
        step=np.full(p, (high - low) / 2),
        log_density=np.repeat(log_density[:, None, :], 3, axis=1),
        tail_slope=np.ones(p),
        log_present=np.log(np.full((p, k), 0.8)),
        log_missing=np.log(np.full((p, k), 0.2)),
        log_peak=log_density,
        bandwidth=np.ones((p, k)),
        n_present=np.ones((p, k), dtype=int),
        n_reference=np.ones(k, dtype=int),
        outlier_limit=np.nan,
    )


def test_equation_1_of_the_poster():
    # |b| = 50 deg and Fx/FW1 = 0.01, say p(b|AGN) 0.014, p(b|Star) 0.008; p(F|AGN) 0.04, p(F|Star) 0.9:
    # P(Star) = 0.25 * 0.0072 / (0.75 * 0.00056 + 0.25 * 0.0072) = 0.0018 / 0.00222 = 0.8108
    m = by_hand(np.log([[0.014, 0.008], [0.04, 0.9]]), [0.75, 0.25], [1, 1], sharpness=2.0)
    assert classify(m, [[50.0, 0.01]]).p[0, 1] == pytest.approx(0.0018 / 0.00222, rel=1e-12)


def test_weighted_formula_of_the_poster():
    # the same with weights 1 and 3: L = (p(b)^1 p(F)^3)^(1/4)
    m = by_hand(np.log([[0.014, 0.008], [0.04, 0.9]]), [0.75, 0.25], [1, 3])
    agn = 0.75 * (0.8 * 0.014 * (0.8 * 0.04) ** 3) ** 0.25
    star = 0.25 * (0.8 * 0.008 * (0.8 * 0.9) ** 3) ** 0.25
    result = classify(m, [[50.0, 0.01]])
    assert result.p[0] == pytest.approx([agn / (agn + star), star / (agn + star)], rel=1e-12)
    assert result.margin[0] == pytest.approx(abs(star - agn) / (agn + star))
    # the flux ratio decides for Star: without it the latitude and the prior say AGN
    assert result.class_index[0] == 1
    assert result.class_without[0].tolist() == [1, 0]


def test_without_a_category_the_others_keep_their_exponents():
    # ln ratios: location +2, spectrum -1.5; prior even. Sharpness 2, weights 1 and 1: exponents 1.
    m = by_hand([[2.0, 0.0], [-1.5, 0.0]], [0.5, 0.5], [1, 1], sharpness=2.0)
    result = classify(m, [[1.0, 1.0]])
    assert result.p[0, 0] == pytest.approx(1 / (1 + np.exp(-0.5)))
    assert result.class_without[0].tolist() == [1, 0]
    halved = replace(m, weights=np.array([0.0, 1.0]), sharpness=1.0)  # sharpness * (sum alpha') / (sum alpha)
    assert classify(halved, [[1.0, 1.0]]).class_index[0] == 1


def test_gaussian_classes_give_the_analytic_posterior():
    rng = np.random.default_rng(4)
    n = 200_000
    label = rng.integers(0, 2, n)
    values = rng.normal(np.where(label[:, None] == 0, [-1.0, 0.0], [1.0, 0.5]), [1.0, 1.5])
    prop = [Property(c, c, "linear", -10.0, 10.0, False, False) for c in ("location", "spectrum")]
    m = fit_tables(values, label, prop, ["a", "b"], [0.3, 0.7], [1, 1, 1, 1], sharpness=4.0)
    at = rng.normal(0, 1.2, (2000, 2))
    a = 0.3 * norm.pdf(at[:, 0], -1) * norm.pdf(at[:, 1], 0, 1.5)
    b = 0.7 * norm.pdf(at[:, 0], 1) * norm.pdf(at[:, 1], 0.5, 1.5)
    assert classify(m, at).p[:, 0] == pytest.approx(a / (a + b), abs=0.03)


def test_evidence_is_what_the_posterior_adds_up(model):
    values, _ = sample(50, seed=9)
    result = classify(model, values)
    assert result.evidence.dtype == np.float32
    np.testing.assert_array_equal(result.evidence, evidence(model, values))
    score = np.log(PRIORS) + np.einsum(
        "p,npk->nk", model.exponents[model.property_category], result.evidence.astype(float)
    )
    p = np.exp(score) / np.exp(score).sum(axis=1, keepdims=True)
    assert result.p == pytest.approx(p, abs=1e-5)
    assert result.p.sum(axis=1) == pytest.approx(np.ones(50))
    np.testing.assert_array_equal(result.n_missing, np.isnan(values).sum(axis=1))
    centred = score - score.mean(axis=1, keepdims=True)
    mean = mean_log_likelihood(model, result.evidence)
    start = np.log(PRIORS) - np.log(PRIORS).mean()
    np.testing.assert_allclose(start + model.sharpness * mean, centred, atol=1e-4)


def test_evidence_term_by_term(model):
    x = np.full((1, 8), np.nan)
    x[0, 0], x[0, 3] = 0.123, 14.0
    terms = evidence(model, x)[0]
    grid = np.linspace(-10, 10, 257)
    for k in range(4):
        inside = np.interp(0.123, grid, model.log_density[0, :, k]) + model.log_present[0, k]
        assert terms[0, k] == pytest.approx(inside, rel=1e-6)
        beyond = model.log_density[3, -1, k] - 4.0 * model.tail_slope[3] + model.log_present[3, k]
        assert terms[3, k] == pytest.approx(beyond, rel=1e-6)
    assert terms[1] == pytest.approx(model.log_missing[1], rel=1e-6)


def test_presence_adds_up_to_one_and_stays_finite():
    values = np.array([[1.0, np.nan]] * 5 + [[0.0, np.nan]] * 3)
    m = fit_tables(values, np.array([0] * 5 + [1] * 3), PROPERTIES[:2], ["a", "b"], [0.5, 0.5], np.ones(4))
    assert np.exp(m.log_present) + np.exp(m.log_missing) == pytest.approx(np.ones((2, 2)))
    assert np.exp(m.log_present[:, 0]) == pytest.approx([5.5 / 6, 0.5 / 6])
    assert m.n_present.tolist() == [[5, 3], [0, 0]]
    assert np.isfinite(m.log_density).all()


def test_with_everything_missing_prior_and_presence_decide(model):
    result = classify(model, np.full((1, 8), np.nan))
    exponent = model.exponents[model.property_category]
    score = np.log(PRIORS) + exponent @ model.log_missing
    assert result.p[0] == pytest.approx(np.exp(score) / np.exp(score).sum())
    assert result.n_missing[0] == 8


def test_a_source_at_the_mode_of_its_class_in_everything_is_no_outlier():
    rng = np.random.default_rng(1)
    label = np.repeat([0, 1], 500)
    values = rng.normal(label[:, None] * 3.0, 1.0, (1000, 8))
    m = fit_tables(values, label, PROPERTIES, ["a", "b"], [0.5, 0.5], [1, 2, 3, 4])
    for k in (0, 1):
        mode = m.low + m.step * m.log_density[:, :, k].argmax(axis=1)
        result = classify(m, mode[None, :])
        assert result.class_index[0] == k
        assert result.outlier[0] == pytest.approx(0.0, abs=1e-10)
    # one property missing that nearly all members have; its category has the weight 4 / 2.5
    mode[7] = np.nan
    decades = (m.log_present[7, 1] - m.log_missing[7, 1]) / np.log(10) * 4 / 2.5
    assert classify(m, mode[None, :]).outlier[0] == pytest.approx(decades)


far_out = st.floats(0, allow_nan=False, allow_infinity=True)


@settings(deadline=None, max_examples=200)
@given(row=st.integers(0, 49), column=st.integers(0, 7), sign=st.sampled_from([-1, 1]), a=far_out, b=far_out)
def test_outwards_is_more_outlying_and_changes_no_class(model, row, column, sign, a, b):
    base = sample(50, seed=3)[0][row]
    near, far = sorted([a, b])
    pair = np.stack([base, base, base])
    pair[:, column] = sign * 10.0, sign * (10.0 + near), sign * (10.0 + far)
    result = classify(model, pair)
    assert np.isfinite(result.outlier).all()
    assert np.isfinite(result.evidence).all()
    assert result.outlier[0] <= result.outlier[1] <= result.outlier[2]
    if near > 1e-3:
        assert result.outlier[1] > result.outlier[0]
    np.testing.assert_array_equal(result.p, result.p[[0, 0, 0]])


def test_the_extremes_of_floating_point_are_far_but_finite(model):
    base = np.zeros(8)
    values = np.stack([base, base, base, base])
    values[:, 2] = 1e300, np.inf, -np.inf, np.finfo(float).max
    outlier = classify(model, values).outlier
    assert np.isfinite(outlier).all()
    assert (outlier > 100).all()
    assert outlier[0] == outlier[1] == outlier[3]


@settings(deadline=None, max_examples=25)
@given(
    classes=st.permutations(range(4)),
    columns=st.permutations(range(8)),
    seed=st.integers(0, 1000),
    few=st.integers(4, 80),
)
def test_order_of_classes_and_properties_does_not_matter(classes, columns, seed, few):
    values, label = sample(few, seed)
    new, _ = sample(20, seed + 1)
    weights = [1.0, 2.0, 0.0, 3.0]
    plain = classify(fit_tables(values, label, PROPERTIES, CLASSES, PRIORS, weights), new)
    back = np.argsort(classes)  # new number of each class
    shuffled = classify(
        fit_tables(
            values[:, columns], back[label], [PROPERTIES[j] for j in columns], [CLASSES[c] for c in classes],
            [PRIORS[c] for c in classes], weights,
        ),
        new[:, columns],
    )  # fmt: skip
    assert shuffled.p == pytest.approx(plain.p[:, classes], rel=1e-9, abs=1e-12)
    assert shuffled.evidence == pytest.approx(plain.evidence[:, columns][:, :, classes], rel=1e-5, abs=1e-6)
    assert shuffled.margin == pytest.approx(plain.margin, abs=1e-9)


@settings(deadline=None, max_examples=25)
@given(constant=st.floats(-100, 100), column=st.integers(0, 7))
def test_a_constant_added_to_all_classes_changes_no_probability(model, constant, column):
    values, _ = sample(20, seed=5)
    shifted = model.log_density.copy()
    shifted[column] += constant
    moved = replace(model, log_density=shifted, log_peak=shifted.max(axis=1))
    before, after = classify(model, values), classify(moved, values)
    assert after.p == pytest.approx(before.p, abs=1e-9)
    assert after.outlier == pytest.approx(before.outlier, abs=1e-9)


@settings(deadline=None, max_examples=25)
@given(shift=st.floats(-1e3, 1e3), factor=st.floats(0.01, 100))
def test_another_zero_point_and_unit_changes_no_probability(shift, factor):
    values, label = sample(120, seed=2)
    # a value on the edge between two cells may fall on either side of it after the change: stay off the edges
    x = (values + 10) * 1024 / 20
    assume(np.nanmin(np.abs(x - np.round(x))) > 1e-6)
    moved = [replace(q, low=(q.low + shift) * factor, high=(q.high + shift) * factor) for q in PROPERTIES]
    plain = classify(fit_tables(values, label, PROPERTIES, CLASSES, PRIORS, np.ones(4)), values)
    other_values = (values + shift) * factor
    other = classify(fit_tables(other_values, label, moved, CLASSES, PRIORS, np.ones(4)), other_values)
    assert other.p == pytest.approx(plain.p, abs=1e-6)
    assert other.outlier == pytest.approx(plain.outlier, abs=1e-6)


def test_equal_weights_and_sharpness_t_are_naive_bayes(model):
    values, _ = sample(30, seed=6)
    result = classify(replace(model, weights=np.ones(4), sharpness=4.0), values)
    score = np.log(PRIORS) + result.evidence.sum(axis=1)
    assert result.p == pytest.approx(np.exp(score) / np.exp(score).sum(axis=1, keepdims=True), abs=1e-4)


def test_a_category_of_weight_zero_says_nothing(model):
    silent = replace(model, weights=np.array([1.0, 0.0, 1.0, 1.0]))
    values, _ = sample(30, seed=7)
    other = values.copy()
    other[:, 2:4] = 5.0
    first, second = classify(silent, values), classify(silent, other)
    np.testing.assert_array_equal(first.p, second.p)
    np.testing.assert_array_equal(first.class_without[:, 1], first.class_index)
    assert first.outlier == pytest.approx(second.outlier)


def test_one_class_and_no_sources():
    values, label = sample(40)
    m = fit_tables(values, label * 0, PROPERTIES, ["only"], [1.0], np.ones(4))
    result = classify(m, values)
    assert (result.p == 1).all()
    assert (result.margin == 1).all()
    assert classify(m, np.empty((0, 8))).p.shape == (0, 1)


def test_what_does_not_fit_together_is_refused(model):
    values, label = sample(40)

    def refit(values=values, label=label, properties=PROPERTIES, priors=PRIORS, weights=(1, 1, 1, 1)):
        return fit_tables(values, label, properties, CLASSES, priors, weights)

    with pytest.raises(ValueError, match="not all zero"):
        refit(weights=[0, 0, 0, 0])
    with pytest.raises(ValueError, match="zero or more"):
        refit(weights=[1, 1, 1, -1])
    with pytest.raises(ValueError, match="zero or more"):
        refit(weights=[1, 1, 1])
    with pytest.raises(ValueError, match="sum 1"):
        refit(priors=[0.5, 0.5, 0.5, 0.5])
    with pytest.raises(ValueError, match="sum 1"):
        refit(priors=[0.5, 0.5])
    with pytest.raises(ValueError, match="one column a property"):
        refit(values=values[:, :3])
    with pytest.raises(ValueError, match="class_index goes from 0 to 9"):
        refit(label=np.where(label == 3, 9, 0))
    with pytest.raises(ValueError, match="class numbers"):
        refit(label=label[:3])
    with pytest.raises(ValueError, match="no category 'smell'"):
        refit(properties=[replace(PROPERTIES[0], category="smell"), *PROPERTIES[1:]])
    with pytest.raises(ValueError, match="one column a property"):
        classify(model, values[:, :3])
    with pytest.raises(ValueError, match="sharpness"):
        replace(model, sharpness=0.0)
    with pytest.raises(ValueError, match="bandwidth has shape"):
        replace(model, bandwidth=np.ones((2, 2)))
