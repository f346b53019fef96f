"""Folds, sharpness, nested cross-validation; and the whole classifier on real sources."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xcat.classifier import (
    CATEGORIES,
    Property,
    classify,
    cross_validate,
    fit,
    fit_sharpness,
    fit_tables,
    folds,
    summarise,
)
from xcat.classifier.crossval import INVERSE_RIDGE, fit_exponents
from xcat.classifier.posterior import evidence, mean_log_likelihood

PROPERTIES = tuple(Property(c, c, "linear", -8.0, 8.0, False, False) for c in CATEGORIES)
EVEN = np.array([0.5, 0.5])
CHANDRA = Path(__file__).parents[2].parent / "shared" / "data" / "chandra" / "csc2_labelled_td.csv"


def two_classes(n, seed=0, copies=1):
    """Two unit normals one sigma apart in four properties, of which each `copies` are one and the same."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, n)
    independent = rng.normal(label[:, None] * 1.0, 1.0, (n, 4 // copies))
    return np.repeat(independent, copies, axis=1), label


@settings(deadline=None)
@given(
    members=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 25)), min_size=20, max_size=200),
    n_folds=st.integers(2, 6),
    seed=st.integers(0, 99),
)
def test_folds_keep_groups_together_and_are_deterministic(members, n_folds, seed):
    label, group = np.array(members).T
    if np.unique(group).size < n_folds:
        with pytest.raises(ValueError, match="a group for each"):
            folds(label, group, n_folds, seed)
        return
    fold = folds(label, group, n_folds, seed)
    for g in np.unique(group):
        assert np.unique(fold[group == g]).size == 1
    assert np.unique(fold).tolist() == list(range(n_folds))
    np.testing.assert_array_equal(fold, folds(label, group, n_folds, seed))


def test_folds_are_stratified_and_depend_on_the_seed():
    label = np.repeat([0, 1, 2], [900, 73, 11])
    fold = folds(label, None, 10, 1)
    for k, n in ((0, 900), (1, 73), (2, 11)):
        counts = np.bincount(fold[label == k], minlength=10)
        assert counts.min() == n // 10
        assert counts.max() == -(-n // 10)
    assert np.ptp(np.bincount(fold)) <= 2
    assert (folds(label, None, 10, 2) != fold).any()


def test_folds_with_groups_of_many_sizes_stay_balanced():
    rng = np.random.default_rng(0)
    group = rng.zipf(1.8, 5000) % 400
    label = rng.choice(3, 5000, p=[0.8, 0.15, 0.05])
    fold = folds(label, group, 5, 0)
    largest = np.bincount(group).max()
    assert np.bincount(fold).max() <= max(1.1 * 5000 / 5, largest)


def test_groups_of_text_and_of_another_length():
    label = np.array([0, 1] * 4)
    fold = folds(label, np.array(list("aabbccdd")), 2)
    np.testing.assert_array_equal(fold[::2], fold[1::2])
    with pytest.raises(ValueError, match="groups have shape"):
        folds(label, np.arange(3), 2)


def fitted_sharpness(copies):
    tables = fit_tables(*two_classes(20_000, 1, copies), PROPERTIES, ["a", "b"], EVEN, np.ones(4))
    values, label = two_classes(20_000, 2, copies)
    return fit_sharpness(mean_log_likelihood(tables, evidence(tables, values)), label, EVEN)


def test_sharpness_of_independent_properties_is_naive_bayes():
    assert fitted_sharpness(copies=1) == pytest.approx(4.0, rel=0.1)


def test_sharpness_falls_by_the_number_of_copies():
    assert fitted_sharpness(copies=2) == pytest.approx(2.0, rel=0.1)
    assert fitted_sharpness(copies=4) == pytest.approx(1.0, rel=0.1)


def test_sharpness_stops_at_the_ends_of_its_range():
    says_all, label = np.array([[0.0, -9.0], [-9.0, 0.0]]), np.array([0, 1])
    assert fit_sharpness(says_all, label, EVEN, most=12.0) == 12.0
    assert fit_sharpness(says_all, 1 - label, EVEN) == 0.05
    assert fit_sharpness(np.zeros((2, 2)), label, EVEN) == 0.05
    with pytest.raises(ValueError, match="no labelled sources"):
        fit_sharpness(np.zeros((0, 2)), np.zeros(0, int), EVEN)


def test_sharpness_is_the_minimum_of_the_prior_weighted_loss():
    rng = np.random.default_rng(0)
    label = rng.choice(2, 3000, p=[0.9, 0.1])
    likelihood = rng.normal(0, 1, (3000, 2)) + 0.7 * np.eye(2)[label]
    prior = np.array([0.3, 0.7])

    def loss(sharpness):
        score = np.log(prior) + sharpness * likelihood
        nats = np.logaddexp(*score.T) - score[np.arange(3000), label]
        return sum(prior[k] * nats[label == k].mean() for k in (0, 1))

    best = fit_sharpness(likelihood, label, prior)
    assert loss(best) < min(loss(best * 1.02), loss(best * 0.98))


def test_cross_validation_is_that_of_the_tables_without_the_fold():
    values, label = two_classes(500, 3)
    values[::7, 1] = np.nan
    cv = cross_validate(values, label, None, PROPERTIES, ["a", "b"], EVEN, np.ones(4), sharpness=1.5, n_folds=5, seed=4)
    assert cv.sharpness.tolist() == [1.5] * 5
    for f in range(5):
        out = cv.fold == f
        m = fit_tables(values[~out], label[~out], PROPERTIES, ["a", "b"], EVEN, np.ones(4), sharpness=1.5)
        expected = classify(m, values[out])
        np.testing.assert_array_equal(cv.p[out], expected.p)
        np.testing.assert_array_equal(cv.outlier[out], expected.outlier)


def test_no_fold_sees_its_own_labels():
    values, label = two_classes(300, 5)
    arguments = (None, PROPERTIES, ["a", "b"], EVEN, np.ones(4))
    before = cross_validate(values, label, *arguments, n_folds=4)
    # other values for fold 0 must leave all that was decided without it, tables and sharpness, for that fold
    changed = np.where(before.fold[:, None] == 0, -values, values)
    after = cross_validate(changed, label, *arguments, n_folds=4)
    assert after.sharpness[0] == before.sharpness[0]
    assert (after.sharpness[1:] != before.sharpness[1:]).all()


def test_members_of_a_group_teach_nothing_about_each_other():
    rng = np.random.default_rng(6)
    # each object is there five times, and its values say nothing: its class is known only from its copies
    label = np.repeat(rng.integers(0, 2, 60), 5)
    values = np.repeat(rng.uniform(-8, 8, (60, 4)), 5, axis=0)
    group = np.repeat(np.arange(60), 5)
    apart = cross_validate(values, label, group, PROPERTIES, ["a", "b"], EVEN, np.ones(4), sharpness=4.0)
    mixed = cross_validate(values, label, None, PROPERTIES, ["a", "b"], EVEN, np.ones(4), sharpness=4.0)
    assert (apart.class_index == label).mean() < 0.65 < 0.8 < (mixed.class_index == label).mean()


def test_permuted_labels_give_chance():
    rng = np.random.default_rng(7)
    values = rng.normal(0, 1, (4000, 4))
    label = rng.permutation(np.repeat([0, 1, 2, 3], [2500, 1000, 400, 100]))
    even = np.full(4, 0.25)
    model, cv = fit(values, label, None, PROPERTIES, ["a", "b", "c", "d"], even, np.ones(4), n_folds=5)
    s = summarise(cv.p, label, ["a", "b", "c", "d"], even)
    assert np.mean([c["recall"] for c in s["classes"].values()]) == pytest.approx(0.25, abs=0.05)
    assert s["at_priors"]["log_loss"] == pytest.approx(np.log(4), abs=0.03)
    assert model.sharpness < 0.5  # and the sharpness says so


def test_final_model_takes_sharpness_and_outlier_limit_from_the_folds():
    values, label = two_classes(3000, 8, copies=2)
    model, cv = fit(values, label, None, PROPERTIES, ["a", "b"], EVEN, np.ones(4), outlier_quantile=0.9)
    assert model.sharpness == fit_sharpness(mean_log_likelihood(model, cv.terms), label, EVEN)
    assert model.sharpness == pytest.approx(2.0, rel=0.3)
    assert np.ptp(cv.sharpness) < 0.5
    assert (cv.outlier > model.outlier_limit).mean() == pytest.approx(0.1, abs=0.002)
    assert model.n_reference.sum() == 3000
    given_one, _ = fit(values, label, None, PROPERTIES, ["a", "b"], EVEN, np.ones(4), sharpness=1.0)
    assert given_one.sharpness == 1.0


def test_a_class_smaller_than_the_number_of_folds_and_one_without_members():
    values, label = two_classes(300, 9)
    label[:3] = 2
    priors = np.array([0.4, 0.4, 0.1, 0.1])
    model, cv = fit(values, label, None, PROPERTIES, ["a", "b", "c", "none"], priors, np.ones(4))
    assert np.isfinite(cv.p).all()
    assert model.n_reference.tolist()[2:] == [3, 0]
    assert np.isfinite(summarise(cv.p, label, ["a", "b", "c", "none"], priors)["sample"]["log_loss"])


def test_what_cannot_be_cross_validated_is_refused():
    values, label = two_classes(60)
    arguments = (None, PROPERTIES, ["a", "b"], EVEN, np.ones(4))
    with pytest.raises(ValueError, match="3 folds or more"):
        cross_validate(values, label, *arguments, n_folds=2)
    with pytest.raises(ValueError, match="61 folds"):
        cross_validate(values, label, *arguments, n_folds=61)
    with pytest.raises(ValueError, match="outlier_quantile"):
        fit(values, label, *arguments, outlier_quantile=1.5)


def chandra_sources():
    """Read the labelled Chandra sources with 13 properties in four categories; neutron stars are left out."""
    t = pd.read_csv(CHANDRA, low_memory=False)
    number = {"AGN": 0, "YSO": 1, "LM-STAR": 1, "HM-STAR": 1, "LMXB": 2, "HMXB": 2, "CV": 3}
    t = t[t["True_Class"].isin(number)]
    ra, dec = np.radians(t["CSCv2_RA"]), np.radians(t["CSCv2_DEC"])
    pole_ra, pole_dec = np.radians([192.859508, 27.128336])
    sin_b = np.sin(dec) * np.sin(pole_dec) + np.cos(dec) * np.cos(pole_dec) * np.cos(ra - pole_ra)

    def hardness(low, high):
        low, high = t[low].fillna(0.0), t[high].fillna(0.0)
        return (high - low) / (high + low).where(lambda total: total > 0)

    def flux_ratio(magnitude, constant):
        return np.log10(t["Fb"].where(t["Fb"] > 0)) + constant + t[magnitude] / 2.5

    columns = [
        (np.degrees(np.abs(np.arcsin(sin_b))), Property("abs_b", "location", "linear", 0, 90, True, True)),
        (t["PM"], Property("pm", "location", "log10", -2, 4, False, False)),
        (t["rgeo"], Property("distance_pc", "location", "log10", 0, 6, False, False)),
        (hardness("Fs", "Fm"), Property("hr1", "spectrum", "linear", -1, 1, True, True)),
        (hardness("Fm", "Fh"), Property("hr2", "spectrum", "linear", -1, 1, True, True)),
        (t["Fb"], Property("flux", "spectrum", "log10", -17, -9, False, False)),
        (flux_ratio("BPmag", 5.37), Property("log_fx_fb", "multiwavelength", "linear", -7, 5, False, False)),
        (flux_ratio("RPmag", 5.37), Property("log_fx_fr", "multiwavelength", "linear", -7, 5, False, False)),
        (flux_ratio("W1mag", 6.95), Property("log_fx_fw1", "multiwavelength", "linear", -6, 6, False, False)),
        (flux_ratio("W2mag", 6.95), Property("log_fx_fw2", "multiwavelength", "linear", -6, 6, False, False)),
        (t["Jmag"] - t["W1mag"], Property("j_w1", "multiwavelength", "linear", -2, 8, False, False)),
        (t["P_intra"], Property("p_intra", "variability", "linear", 0, 1, True, True)),
        (t["P_inter"], Property("p_inter", "variability", "linear", 0, 1, True, True)),
    ]
    values = np.stack([np.asarray(c, dtype=float) for c, _ in columns], axis=1)
    return values, t["True_Class"].map(number).to_numpy(), [q for _, q in columns]


@pytest.mark.shared
@pytest.mark.skipif(not CHANDRA.exists(), reason="csc2_labelled_td.csv is not in ../shared/data/chandra")
def test_real_chandra_sources():
    values, label, properties = chandra_sources()
    assert label.size == 2854
    classes, priors = ["AGN", "Star", "XRB", "CV"], [0.66, 0.25, 0.07, 0.02]
    results = {}
    for name, sharpness in (("poster", 1.0), ("fitted", None), ("naive Bayes", 4.0)):
        model, cv = fit(values, label, None, properties, classes, priors, np.ones(4), sharpness)
        s = results[name] = summarise(cv.p, label, classes, priors)
        print(
            f"\n{name}: sharpness {model.sharpness:.2f}, accuracy {s['sample']['accuracy']:.3f},"
            f" macro-F1 {s['sample']['macro_f1']:.3f}; at priors: log-loss {s['at_priors']['log_loss']:.3f},"
            f" ECE {s['at_priors']['ece']:.3f}; outlier limit {model.outlier_limit:.1f}\n"
            + pd.DataFrame(s["matrix"], classes, classes).to_string()
        )
    fitted = results["fitted"]
    assert fitted["sample"]["macro_f1"] > 0.70
    assert fitted["at_priors"]["ece"] < 0.03
    for other in ("poster", "naive Bayes"):
        assert fitted["at_priors"]["log_loss"] < results[other]["at_priors"]["log_loss"]


def one_property_twice(n, seed):
    """Two classes; the first two properties are one and the same, the third is independent, the fourth is noise."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, n)
    a, b = rng.normal(label * 1.5, 1.0), rng.normal(label * 1.0, 1.0)
    return np.stack([a, a, b, rng.normal(size=n)], axis=1), label


def test_fitted_exponents_share_one_property_between_its_copies():
    values, label = one_property_twice(20_000, 1)
    model, cv = fit(values, label, None, PROPERTIES, ["a", "b"], EVEN, None, n_folds=3)
    exponent = model.fitted_exponents.mean(axis=1)
    # the ratio of two classes sees the mean of their exponents: 1/2 + 1/2 for the copies, 1 for the third
    assert exponent[0] + exponent[1] == pytest.approx(1.0, abs=0.1)
    assert exponent[2] == pytest.approx(1.0, abs=0.1)
    assert model.fitted_offsets.sum() == pytest.approx(0.0, abs=1e-9)
    truth = summarise(cv.p, label, ["a", "b"], EVEN)["sample"]
    equal = fit(values, label, None, PROPERTIES, ["a", "b"], EVEN, np.ones(4), n_folds=3)[1]
    assert truth["log_loss"] < summarise(equal.p, label, ["a", "b"], EVEN)["sample"]["log_loss"]
    assert truth["ece"] < 0.015


def test_fitted_exponents_are_at_the_minimum_and_never_negative():
    values, label = two_classes(2000, 5)
    tables = fit_tables(*two_classes(2000, 6), PROPERTIES, ["a", "b"], EVEN, np.ones(4))
    terms = evidence(tables, values).astype(float)
    exponent, offset = fit_exponents(terms, label, EVEN, 4.0, 4)
    assert exponent.min() >= 0
    weight = (EVEN / np.bincount(label))[label]
    ridge = 1 / (2 * INVERSE_RIDGE * len(label))

    def loss(x, o):
        score = np.log(EVEN) + o + ((terms - terms.mean(axis=2, keepdims=True)) * x).sum(axis=1)
        score -= np.log(np.exp(score).sum(axis=1, keepdims=True))
        return -(weight @ score[np.arange(len(label)), label]) + ridge * (((x - 1) ** 2).sum() + (o**2).sum())

    least = loss(exponent, offset)
    rng = np.random.default_rng(0)
    for _ in range(20):
        step = rng.normal(scale=0.05, size=exponent.shape)
        assert loss(np.maximum(exponent + step, 0), offset) >= least - 1e-6


def test_exponents_of_the_weights_and_the_same_ones_as_fitted_agree():
    values, label = two_classes(500, 3)
    model = fit_tables(values, label, PROPERTIES, ["a", "b"], EVEN, np.array([1.0, 2.0, 0.0, 1.0]), sharpness=2.5)
    same = replace(model, fitted_exponents=model.term_exponents, fitted_offsets=np.zeros(2))
    one, other = classify(model, values), classify(same, values)
    np.testing.assert_allclose(one.p, other.p, atol=1e-12)
    np.testing.assert_array_equal(one.class_without, other.class_without)
    np.testing.assert_allclose(one.outlier, other.outlier)


def test_labels_that_mean_nothing_are_not_fitted_into_something():
    rng = np.random.default_rng(2)
    values, label = rng.normal(size=(3000, 4)), rng.integers(0, 2, 3000)
    _, cv = fit(values, label, None, PROPERTIES, ["a", "b"], EVEN, None, n_folds=5)
    assert np.mean(cv.class_index == label) == pytest.approx(0.5, abs=0.035)
    assert summarise(cv.p, label, ["a", "b"], EVEN)["sample"]["log_loss"] < np.log(2) + 0.02


@pytest.mark.parametrize(
    "change", [{"fitted_exponents": np.ones((4, 2))}, {"fitted_exponents": -np.ones((4, 2)), "fitted_offsets": EVEN}]
)
def test_exponents_that_cannot_be_are_refused(change):
    model = fit_tables(*two_classes(50), PROPERTIES, ["a", "b"], EVEN, np.ones(4))
    with pytest.raises(ValueError, match="exponents"):
        replace(model, **change)
