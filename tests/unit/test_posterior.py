"""Posterior, evidence and outlier measure: by hand, against analytic results, and by their invariances."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest, norm

from xcat.classifier import CATEGORIES, Hypotheses, Property, Sample, classify, contributions, evidence, fit_tables
from xcat.classifier.crossval import outlier_levels
from xcat.classifier.density import Table
from xcat.classifier.model import OUTLIER_P, Model, category_mixing
from xcat.classifier.posterior import contribution, softmax, tail_probability

CLASSES = ("AGN", "Star", "XRB", "CV")
PRIORS = (0.66, 0.25, 0.07, 0.02)
PROPERTIES = tuple(
    Property(f"{category}{i}", category, "linear", -10.0, 10.0, False, False) for category in CATEGORIES for i in (0, 1)
)
PAIRS = (("location0", "spectrum1"), ("spectrum0", "spectrum1"))
DEPENDENT = (1, 3, 4)


def values(n=400, seed=0, missing=0.2):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 4, n)
    x = rng.normal(label[:, None] * np.linspace(-1, 1, 8), 1.0)
    x[rng.random(x.shape) < missing] = np.nan
    return x, label


def sample(n=400, seed=0, hypotheses=True, dtype=np.float64):
    """Everything that a source may have: errors, limits, what nobody looked for, hypotheses."""
    rng = np.random.default_rng(seed + 1000)
    x, label = values(n, seed)
    limits = np.where(rng.random(x.shape) < 0.5, rng.uniform(-12, 12, x.shape), np.nan)
    errors = np.where(rng.random(x.shape) < 0.7, rng.lognormal(-1, 1, x.shape), np.nan)
    x[rng.random(x.shape) < 0.1] = np.inf
    made = None
    if hypotheses:
        owner = np.repeat(np.arange(n), rng.integers(0, 4, n))
        other = rng.normal(size=(owner.size, len(DEPENDENT)))
        other[rng.random(other.shape) < 0.3] = np.nan
        made = Hypotheses.of(owner, rng.random(owner.size) + 0.01, DEPENDENT, other, n)
    return Sample(PROPERTIES, x.astype(dtype), errors, limits, made), label


def with_levels(model, s, label):
    return replace(model, outlier_levels=outlier_levels(classify(model, s).outlier, label, len(model.classes)))


@pytest.fixture(scope="module")
def model():
    """With pairs and a full mixing matrix."""
    s, label = sample(800)
    made = fit_tables(s, label, CLASSES, PRIORS, pairs=PAIRS, weights=[1.0, 2.0, 0.5, 3.0], sharpness=1.7)
    rng = np.random.default_rng(1)
    mixed = made.mixing + rng.normal(0, 0.05, made.mixing.shape)
    return with_levels(replace(made, weighting="property", mixing=mixed, offsets=rng.normal(0, 0.1, 4)), s, label)


def by_hand(log_density, priors, weights, sharpness=1.0, low=0.0, high=90.0):
    """Model of one property a category, whose densities are flat: what a class says is the number given."""
    log_density = np.asarray(log_density, dtype=float)
    p, k = log_density.shape
    tables = tuple(
        Table(
            low,
            (high - low) / 2,
            np.tile(said, (3, 1)),
            None,
            None,
            None,
            1.0,
            np.log(np.full(k, 0.8)),
            np.log(np.full(k, 0.2)),
            np.ones(k),
            0.0,
            np.ones(k),
        )
        for said in log_density
    )
    weights = np.array(weights, dtype=float)
    return Model(
        classes=tuple(f"c{i}" for i in range(k)),
        properties=tuple(Property(f"p{j}", CATEGORIES[j], "linear", low, high, False, False) for j in range(p)),
        categories=CATEGORIES[: len(weights)],
        priors=np.array(priors),
        offsets=np.zeros(k),
        weighting="given",
        weights=weights,
        sharpness=sharpness,
        mixing=category_mixing(weights, sharpness, np.arange(p), k),
        tables=tables,
        pairs=(),
        smoothing=1.0,
        n_reference=np.ones(k),
        outlier_p=OUTLIER_P,
        outlier_levels=np.full((k, OUTLIER_P.size), np.nan),
    )


def classified(m, x, **columns):
    return classify(m, Sample(m.properties, np.asarray(x, dtype=float), **columns))


# --- the formula ------------------------------------------------------------------------------------------


def test_equation_1_of_the_poster():
    # |b| = 50 deg and Fx/FW1 = 0.01, say p(b|AGN) 0.014, p(b|Star) 0.008; p(F|AGN) 0.04, p(F|Star) 0.9:
    # P(Star) = 0.25 * 0.0072 / (0.75 * 0.00056 + 0.25 * 0.0072) = 0.0018 / 0.00222 = 0.8108
    m = by_hand(np.log([[0.014, 0.008], [0.04, 0.9]]), [0.75, 0.25], [1, 1], sharpness=2.0)
    assert classified(m, [[50.0, 0.01]]).p[0, 1] == pytest.approx(0.0018 / 0.00222, rel=1e-12)


def test_weighted_formula_of_the_poster():
    # the same with weights 1 and 3: L = (p(b)^1 p(F)^3)^(1/4)
    m = by_hand(np.log([[0.014, 0.008], [0.04, 0.9]]), [0.75, 0.25], [1, 3])
    agn = 0.75 * (0.8 * 0.014 * (0.8 * 0.04) ** 3) ** 0.25
    star = 0.25 * (0.8 * 0.008 * (0.8 * 0.9) ** 3) ** 0.25
    result = classified(m, [[50.0, 0.01]])
    assert result.p[0] == pytest.approx([agn / (agn + star), star / (agn + star)], rel=1e-12)
    assert result.margin[0] == pytest.approx(abs(star - agn) / (agn + star))
    # the flux ratio decides for Star: without it the latitude and the prior say AGN
    assert result.class_index[0] == 1
    assert result.class_without[0].tolist() == [1, 0]


def test_without_a_category_the_others_keep_their_exponents():
    # ln ratios: location +2, spectrum -1.5; prior even. Sharpness 2, weights 1 and 1: exponents 1.
    m = by_hand([[2.0, 0.0], [-1.5, 0.0]], [0.5, 0.5], [1, 1], sharpness=2.0)
    result = classified(m, [[1.0, 1.0]])
    assert result.p[0, 0] == pytest.approx(1 / (1 + np.exp(-0.5)))
    assert result.class_without[0].tolist() == [1, 0]


def test_gaussian_classes_give_the_analytic_posterior():
    rng = np.random.default_rng(4)
    n = 200_000
    label = rng.integers(0, 2, n)
    x = rng.normal(np.where(label[:, None] == 0, [-1.0, 0.0], [1.0, 0.5]), [1.0, 1.5])
    prop = tuple(Property(c, c, "linear", -10.0, 10.0, False, False) for c in ("location", "spectrum"))
    m = fit_tables(Sample(prop, x), label, ["a", "b"], [0.3, 0.7], sharpness=4.0)
    at = rng.normal(0, 1.2, (2000, 2))
    a = 0.3 * norm.pdf(at[:, 0], -1) * norm.pdf(at[:, 1], 0, 1.5)
    b = 0.7 * norm.pdf(at[:, 0], 1) * norm.pdf(at[:, 1], 0.5, 1.5)
    assert classified(m, at).p[:, 0] == pytest.approx(a / (a + b), abs=0.03)


def test_noisy_values_have_the_posterior_of_the_convolved_densities():
    rng = np.random.default_rng(4)
    label = rng.integers(0, 2, 100_000)
    prop = (Property("x", "spectrum", "linear", -10.0, 10.0, False, False),)
    exact = Sample(prop, rng.normal(2.0 * label[:, None] - 1.0, 0.5), np.full((label.size, 1), 1e-9))
    m = fit_tables(exact, label, ["a", "b"], [0.5, 0.5], sharpness=4.0)
    at = np.linspace(-2, 2, 41)[:, None]
    for sigma in (1.25, 2.5, 10.0, 1e9):
        p = classified(m, at, errors=np.full((41, 1), sigma)).p[:, 1]
        width = np.hypot(0.5, min(sigma, 20.0))
        expected = 1 / (1 + np.exp(norm.logpdf(at[:, 0], -1, width) - norm.logpdf(at[:, 0], 1, width)))
        assert p == pytest.approx(expected, abs=0.03)
    assert p == pytest.approx(0.5, abs=0.01)  # what is not known at all leaves the priors


# --- terms ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hypotheses", [False, True])
def test_evidence_is_what_the_posterior_adds_up(model, hypotheses):
    s, _ = sample(60, seed=9, hypotheses=hypotheses)
    result = classify(model, s)
    assert result.evidence.dtype == np.float32
    np.testing.assert_array_equal(result.evidence, evidence(model, s))
    rows, weight, source = s.rows()
    said = contributions(model, evidence(model, rows))
    p = softmax(model.log_prior + said.sum(axis=1)) * weight[:, None]
    assert result.p == pytest.approx(np.stack([p[source == i].sum(axis=0) for i in range(60)]), abs=1e-5)
    assert result.p.sum(axis=1) == pytest.approx(np.ones(60))
    np.testing.assert_array_equal(result.n_missing, (~np.isfinite(s.values)).sum(axis=1))
    for t in range(4):
        left = said * (model.category_index != t)[:, None]
        p = softmax(model.log_prior + left.sum(axis=1)) * weight[:, None]
        without = np.stack([p[source == i].sum(axis=0) for i in range(60)])
        np.testing.assert_array_equal(result.class_without[:, t], without.argmax(axis=1))


def test_contributions_are_of_advantages():
    rng = np.random.default_rng(0)
    mixing, terms = rng.normal(size=(4, 4)), rng.normal(size=(7, 4))
    expected = (terms - terms.mean(axis=1, keepdims=True)) @ mixing.T
    np.testing.assert_allclose(contribution(terms, mixing), expected, atol=1e-12)
    np.testing.assert_allclose(
        contribution(terms + 50.0, np.diag(mixing[0])),
        expected * 0 + mixing[0] * (terms - terms.mean(axis=1, keepdims=True)),
        atol=1e-12,
    )


def test_evidence_term_by_term(model):
    x = np.full((1, 8), np.nan)
    x[0, 0], x[0, 3], x[0, 5] = 0.123, 14.0, np.inf
    limits, errors = np.full((1, 8), np.nan), np.full((1, 8), np.nan)
    limits[0, 6], limits[0, 7], errors[0, 3] = -1.7, 1e30, 0.01
    terms = evidence(model, Sample(PROPERTIES, x, errors, limits))[0]
    grid, tables = np.linspace(-10, 10, 257), model.tables
    for k in range(4):
        inside = np.interp(0.123, grid, tables[0].log_density[:, k]) + tables[0].log_present[k]
        assert terms[0, k] == pytest.approx(inside, rel=1e-6)
        beyond = tables[3].log_density[-1, k] - 4.0 * tables[3].tail_slope + tables[3].log_present[k]
        assert terms[3, k] == pytest.approx(beyond, rel=1e-6)
        above = np.interp(-1.7, grid, tables[6].log_above[:, k]) + tables[6].log_present[k]
        assert terms[6, k] == pytest.approx(above, rel=1e-6)
        assert terms[7, k] == pytest.approx(tables[7].log_above[-1, k] + tables[7].log_present[k], rel=1e-6)
    assert terms[1] == pytest.approx(tables[1].log_missing, rel=1e-6)
    assert (terms[5] == 0).all()  # nobody looked
    assert terms[8] == pytest.approx(model.pairs[0].term(np.array([0.123]), np.array([14.0]))[0], rel=1e-6)
    assert (terms[9] == 0).all()  # a pair of which one is missing


def test_what_nobody_looked_for_says_nothing_and_what_was_looked_for_does(model):
    s = Sample(PROPERTIES, np.full((1, 8), np.inf))
    result = classify(model, s)
    assert (result.evidence == 0).all()
    assert result.p[0] == pytest.approx(softmax(model.log_prior[None])[0])
    assert result.outlier[0] == 0
    assert result.n_missing[0] == 8
    looked = classify(model, Sample(PROPERTIES, np.full((1, 8), np.nan)))
    assert np.abs(looked.p - result.p).max() > 1e-4


def test_a_limit_far_below_the_table_says_only_that_it_is_there(model):
    x, limits = np.full((3, 8), np.inf), np.full((3, 8), np.nan)
    x[:, 4] = np.nan
    limits[:, 4] = -10.0, -1e9, -np.inf
    terms = evidence(model, Sample(PROPERTIES, x, limits=limits))[:, 4]
    assert terms == pytest.approx(np.tile(model.tables[4].log_present, (3, 1)), abs=1e-6)


def test_the_wall_is_looked_up_in_the_atoms():
    prop = (Property("hr", "spectrum", "linear", -1.0, 1.0, True, True),)
    rng = np.random.default_rng(0)
    x = np.concatenate([np.full(500, -1.0), rng.uniform(-1, 1, 500), rng.uniform(-1, 1, 1000)])[:, None]
    m = fit_tables(Sample(prop, x), np.repeat([0, 1], 1000), ["soft", "hard"], [0.5, 0.5], sharpness=4.0)
    p = classified(m, [[-1.0], [np.nextafter(-1.0, 0)], [-0.9], [-1.001]]).p[:, 0]
    assert p[0] > 0.99
    assert p[1:] == pytest.approx([1 / 3] * 3, abs=0.1)
    single = classify(m, Sample(prop, np.array([[-1.0]], dtype=np.float32)))
    assert single.p[0, 0] == p[0]


def test_single_precision_makes_no_difference(model):
    s, _ = sample(50, seed=3, hypotheses=False, dtype=np.float32)
    double = replace(s, values=s.values.astype(np.float64))
    np.testing.assert_array_equal(classify(model, s).p, classify(model, double).p)


# --- hypotheses -------------------------------------------------------------------------------------------


def test_the_posterior_is_the_mean_of_those_of_the_hypotheses(model):
    s, _ = sample(60, seed=4)
    result, h = classify(model, s), s.hypotheses
    for i in range(60):
        one = s.take([i]).best_match()
        found = np.zeros(4)
        for r in range(h.start[i], h.start[i + 1]):
            x = one.values.copy()
            x[0, list(DEPENDENT)] = h.values[r]
            found += h.p[r] * classify(model, replace(one, values=x)).p[0]
        if h.start[i] == h.start[i + 1]:
            found = classify(model, one).p[0]
        assert result.p[i] == pytest.approx(found, abs=1e-12)


def test_one_hypothesis_is_a_plain_source(model):
    s, _ = sample(40, seed=5, hypotheses=False)
    only = Hypotheses.of(np.arange(40), np.full(40, 0.3), DEPENDENT, s.values[:, DEPENDENT], 40)
    none = Hypotheses.of([], [], DEPENDENT, np.empty((0, len(DEPENDENT))), 40)
    plain = classify(model, s)
    for hypotheses in (only, none):
        summed = classify(model, replace(s, hypotheses=hypotheses))
        np.testing.assert_allclose(summed.p, plain.p, atol=1e-12)
        np.testing.assert_array_equal(summed.class_without, plain.class_without)
        np.testing.assert_allclose(summed.outlier, plain.outlier, atol=1e-9)


def test_pieces_give_what_the_whole_gives(model):
    s, _ = sample(50, seed=6)
    whole = classify(model, s)
    parts = [classify(model, s.take(np.arange(a, b))) for a, b in ((0, 1), (1, 30), (30, 30), (30, 50))]
    for name in ("p", "class_index", "outlier", "p_tail", "class_without", "evidence"):
        np.testing.assert_allclose(np.concatenate([getattr(r, name) for r in parts]), getattr(whole, name), atol=1e-12)


# --- outliers ---------------------------------------------------------------------------------------------


def test_a_source_at_the_mode_of_its_class_in_everything_is_no_outlier():
    rng = np.random.default_rng(1)
    label = np.repeat([0, 1], 500)
    x = rng.normal(label[:, None] * 3.0, 1.0, (1000, 8))
    m = fit_tables(Sample(PROPERTIES, x, np.full(x.shape, 0.1)), label, ["a", "b"], [0.5, 0.5], weights=[1, 2, 3, 4])
    for k in (0, 1):
        for sigma, ladder in (
            (np.nan, [t.log_density for t in m.tables]),
            (1.25, [t.log_smeared[8] for t in m.tables]),
        ):
            mode = np.array([-10 + 20 / 256 * each[:, k].argmax() for each in ladder])
            at = Sample(PROPERTIES, np.stack([mode, mode + 0.5]), np.full((2, 8), sigma))
            result = classify(m, at)
            assert result.class_index[0] == k
            assert result.outlier[0] == pytest.approx(0.0, abs=1e-10)
            assert result.outlier[1] > 0.01
    # one property missing that nearly all members have; its category has the weight 4 / 2.5
    mode = np.array([-10 + 20 / 256 * t.log_density[:, 1].argmax() for t in m.tables])
    mode[7] = np.nan
    decades = (m.tables[7].log_present[1] - m.tables[7].log_missing[1]) / np.log(10) * 4 / 2.5
    assert classified(m, mode[None, :]).outlier[0] == pytest.approx(decades)


far_out = st.floats(0, allow_nan=False, allow_infinity=False)


@settings(deadline=None, max_examples=100)
@given(row=st.integers(0, 49), column=st.integers(0, 7), sign=st.sampled_from([-1, 1]), a=far_out, b=far_out)
def test_outwards_is_more_outlying_and_changes_no_class(model, row, column, sign, a, b):
    s = sample(50, seed=3, hypotheses=False)[0].take([row, row, row])
    near, far = sorted([a, b])
    s.values[:, column] = sign * 10.0, sign * (10.0 + near), sign * (10.0 + far)
    result = classify(model, s)
    assert np.isfinite(result.outlier).all()
    assert np.isfinite(result.evidence).all()
    assert result.outlier[0] <= result.outlier[1] <= result.outlier[2]
    assert result.p_tail[0] >= result.p_tail[1] >= result.p_tail[2] >= 0
    if near > 1e-3:
        assert result.outlier[1] > result.outlier[0]
    np.testing.assert_array_equal(result.p, result.p[[0, 0, 0]])


def test_the_extremes_of_floating_point_are_far_but_finite(model):
    x = np.zeros((3, 8))
    x[:, 2] = 1e300, -np.inf, np.finfo(float).max
    result = classified(model, x, errors=np.full((3, 8), np.inf), limits=np.full((3, 8), -np.inf))
    assert np.isfinite(result.outlier).all()
    assert (result.outlier > 100).all()
    assert result.outlier[0] == result.outlier[2]
    assert (result.n_missing == 0).all()
    assert (result.p_tail < 1e-6).all()


def test_p_tail_is_uniform_on_the_members_of_a_class():
    x, label = values(6000, seed=1)
    x[:, 0] += 3.0 * label  # so that few are mistaken
    x += 4.0 * label[:, None]
    s = Sample(PROPERTIES, x)
    half = np.arange(6000) % 2 == 0
    m = fit_tables(s.take(half), label[half], CLASSES, [0.25] * 4, sharpness=4.0)
    m = with_levels(m, s.take(~half), label[~half])
    x, label = values(6000, seed=2)
    x[:, 0] += 3.0 * label
    fresh = classified(m, x + 4.0 * label[:, None])
    assert (fresh.class_index == label).mean() > 0.99
    for k in range(4):
        p = fresh.p_tail[fresh.class_index == k]
        # as far off as two samples of these sizes once in a thousand times
        assert kstest(p, "uniform").statistic < 1.95 * np.sqrt(1 / 750 + 1 / p.size)
        assert (p < 0.01).mean() == pytest.approx(0.01, abs=0.012)


def test_p_tail_falls_for_ever_and_is_one_at_the_first_of_equal_levels(model):
    outlier = np.linspace(0, 200, 4001)
    for k in range(4):
        p = tail_probability(model, outlier, np.full(outlier.size, k))
        assert p[0] == pytest.approx(1.0)
        assert (np.diff(p) <= 0).all()
        inside = (outlier > model.outlier_levels[k, 0]) & (p > 1e-250)
        assert (np.diff(p[inside]) < 0).all()
    # 99 of 100 members alike: as far out as this or more are all of them
    alike = np.concatenate([np.full(99, 2.0), np.linspace(3, 4, OUTLIER_P.size - 99)])
    tied = replace(model, outlier_levels=np.tile(alike, (4, 1)))
    assert tail_probability(tied, np.array([0.0, 2.0, 3.0]), np.zeros(3, int)) == pytest.approx([1.0, 1.0, 0.01])
    unknown = replace(model, outlier_levels=np.full((4, OUTLIER_P.size), np.nan))
    assert np.isnan(tail_probability(unknown, outlier[:3], np.zeros(3, int))).all()


# --- invariances ------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=25)
@given(
    classes=st.permutations(range(4)),
    columns=st.permutations(range(8)),
    seed=st.integers(0, 1000),
    few=st.integers(4, 80),
)
def test_order_of_classes_and_properties_does_not_matter(classes, columns, seed, few):
    s, label = sample(few, seed)
    new, _ = sample(20, seed + 1)
    weights = [1.0, 2.0, 0.0, 3.0]
    options = {"pairs": PAIRS, "weights": weights}
    plain = classify(fit_tables(s, label, CLASSES, PRIORS, **options), new)
    back = np.argsort(classes)  # new number of each class
    names = [PROPERTIES[j].name for j in columns]
    other = fit_tables(
        s.select(names), back[label], [CLASSES[c] for c in classes], [PRIORS[c] for c in classes], **options
    )
    shuffled = classify(other, new.select(names))
    assert shuffled.p == pytest.approx(plain.p[:, classes], rel=1e-9, abs=1e-12)
    terms = [*columns, 8, 9]
    assert shuffled.evidence == pytest.approx(plain.evidence[:, terms][:, :, classes], rel=1e-5, abs=1e-6)
    assert shuffled.margin == pytest.approx(plain.margin, abs=1e-9)
    assert shuffled.outlier == pytest.approx(plain.outlier, abs=1e-6)


@settings(deadline=None, max_examples=25)
@given(constant=st.floats(-100, 100), column=st.integers(0, 7))
def test_a_constant_added_to_all_classes_changes_no_probability(model, constant, column):
    s = Sample(PROPERTIES, values(20, seed=5)[0])
    table = model.tables[column]
    moved = list(model.tables)
    moved[column] = replace(table, log_density=table.log_density + constant)
    before, after = classify(model, s), classify(replace(model, tables=tuple(moved)), s)
    assert after.p == pytest.approx(before.p, abs=1e-9)
    assert after.outlier == pytest.approx(before.outlier, abs=1e-9)


@settings(deadline=None, max_examples=25)
@given(shift=st.integers(-1000, 1000), power=st.integers(-6, 6))
def test_another_zero_point_and_unit_changes_no_probability(shift, power):
    s, label = sample(120, seed=2)
    x = np.round(s.values * 2**20) / 2**20  # so that the change is exact, and no value falls into another cell
    errors, limits = s.errors, np.round(s.limits * 2**20) / 2**20
    factor = 2.0**power
    moved = tuple(replace(q, low=(q.low + shift) * factor, high=(q.high + shift) * factor) for q in PROPERTIES)
    one = Sample(PROPERTIES, x, errors, limits)
    other = Sample(moved, (x + shift) * factor, errors * factor, (limits + shift) * factor)
    plain = classify(fit_tables(one, label, CLASSES, PRIORS, pairs=PAIRS), one)
    changed = classify(fit_tables(other, label, CLASSES, PRIORS, pairs=PAIRS), other)
    assert changed.p == pytest.approx(plain.p, abs=1e-6)
    assert changed.outlier == pytest.approx(plain.outlier, abs=1e-6)


def test_equal_weights_and_sharpness_t_are_naive_bayes(model):
    s, _ = sample(30, seed=6, hypotheses=False)
    naive = replace(model, mixing=category_mixing(np.ones(4), 4.0, model.category_index, 4), offsets=np.zeros(4))
    result = classify(naive, s)
    assert result.p == pytest.approx(softmax(np.log(PRIORS) + result.evidence.sum(axis=1)), abs=1e-4)


def test_a_category_of_weight_zero_says_nothing():
    weights = np.array([1.0, 0.0, 1.0, 1.0])
    silent = fit_tables(*sample(800), CLASSES, PRIORS, weights=weights)
    s, _ = sample(30, seed=7, hypotheses=False)
    other = replace(s, values=s.values.copy())
    other.values[:, 2:4] = 5.0
    first, second = classify(silent, s), classify(silent, other)
    np.testing.assert_array_equal(first.p, second.p)
    np.testing.assert_array_equal(first.class_without[:, 1], first.class_index)
    assert first.outlier == pytest.approx(second.outlier)


# --- edges ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_classes", [1, 2])
def test_few_classes_and_no_sources(n_classes):
    s, label = sample(40)
    m = fit_tables(s, label % n_classes, CLASSES[:n_classes], [1 / n_classes] * n_classes, pairs=PAIRS)
    result = classify(m, s)
    assert result.p.sum(axis=1) == pytest.approx(np.ones(40))
    if n_classes == 1:
        assert (result.margin == 1).all()
    nobody = classify(m, s.take(np.zeros(0, int)))
    assert nobody.p.shape == (0, n_classes)
    assert nobody.evidence.shape == (0, 10, n_classes)


@pytest.mark.parametrize("what", [np.nan, np.inf])
def test_a_reference_sample_of_one_source_without_anything(what):
    m = fit_tables(Sample(PROPERTIES, np.full((1, 8), what)), np.array([2]), CLASSES, PRIORS, pairs=PAIRS)
    result = classify(m, sample(30)[0])
    assert np.isfinite(result.p).all()
    assert np.isfinite(result.outlier).all()


def test_presence_adds_up_to_one_and_stays_finite():
    x = np.array([[1.0, np.nan]] * 5 + [[0.0, np.nan]] * 3)
    m = fit_tables(Sample(PROPERTIES[:2], x), np.array([0] * 5 + [1] * 3), ["a", "b"], [0.5, 0.5])
    for table, expected in zip(m.tables, ([5.5 / 6, 3.5 / 4], [0.5 / 6, 0.5 / 4]), strict=True):
        assert np.exp(table.log_present) + np.exp(table.log_missing) == pytest.approx(np.ones(2))
        assert np.exp(table.log_present) == pytest.approx(expected)
        assert np.isfinite(table.log_density).all()


def test_what_does_not_fit_together_is_refused(model):
    s, label = sample(40)

    def refit(s=s, label=label, priors=PRIORS, weights=(1, 1, 1, 1), **options):
        return fit_tables(s, label, CLASSES, priors, weights=weights, **options)

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
    with pytest.raises(ValueError, match="class_index goes from 0 to 9"):
        refit(label=np.where(label == 3, 9, 0))
    with pytest.raises(ValueError, match="class numbers"):
        refit(label=label[:3])
    with pytest.raises(ValueError, match="no category smell"):
        refit(s=Sample((replace(PROPERTIES[0], category="smell"), *PROPERTIES[1:]), s.values))
    with pytest.raises(ValueError, match="not used: nobody"):
        refit(pairs=[("location0", "nobody")])
    with pytest.raises(ValueError, match="the sample has the properties location0, the model"):
        classify(model, s.select(["location0"]))
    with pytest.raises(ValueError, match="sharpness"):
        replace(model, sharpness=0.0)
    with pytest.raises(ValueError, match="mixing has shape"):
        replace(model, mixing=np.ones((2, 2)))
    with pytest.raises(ValueError, match="finite"):
        replace(model, offsets=np.full(4, np.nan))
