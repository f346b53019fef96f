"""Folds, nested fitting, what may and what may not influence an answer; and the whole classifier on real sources."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xcat.classifier import (
    CATEGORIES,
    Classification,
    FitOptions,
    Hypotheses,
    Property,
    Sample,
    classify,
    cross_validate,
    fit,
    fit_tables,
    folds,
    held_out,
    mixing,
    summarise,
    tune,
    with_priors,
)
from xcat.classifier.crossval import FEW_MEMBERS, SMOOTHINGS, outlier_levels
from xcat.classifier.model import OUTLIER_P
from xcat.classifier.posterior import contributions, evidence
from xcat.classifier.priors import reweighted

pytestmark = pytest.mark.slow

PROPERTIES = tuple(Property(c, c, "linear", -8.0, 8.0, False, False) for c in CATEGORIES)
EVEN = np.array([0.5, 0.5])
TWO = ("a", "b")
QUICK = FitOptions("equal", sharpness=4.0, smoothing=1.0)
WEIGHTINGS = [
    FitOptions("property"),
    FitOptions("category", objective="f1:b"),
    FitOptions("equal"),
    FitOptions((1.0, 2.0, 0.0, 1.0)),
]


def of(x, **columns):
    return Sample(PROPERTIES[: x.shape[1]], x, **columns)


def two_classes(n, seed=0, copies=1):
    """Two unit normals one sigma apart in four properties, of which each `copies` are one and the same."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 2, n)
    independent = rng.normal(label[:, None] * 1.0, 1.0, (n, 4 // copies))
    return of(np.repeat(independent, copies, axis=1)), label


def with_hypotheses(n, seed=0):
    """The true counterpart is one of two; what it says of the class is lost in the other. Gaps, errors and limits."""
    rng = np.random.default_rng(seed)
    s, label = two_classes(n, seed)
    owner = np.repeat(np.arange(n), 2)
    other = rng.normal(0.5, 1.2, (2 * n, 2))
    other[::2] = s.values[:, 2:]
    p = np.tile([0.7, 0.3], n)
    x = s.values.copy()
    x[::7, 1] = np.nan
    errors, limits = np.full(x.shape, np.nan), np.full(x.shape, np.nan)
    errors[:, 0], limits[::14, 1] = rng.lognormal(-1, 0.5, n), -1.0
    return of(x, errors=errors, limits=limits, hypotheses=Hypotheses.of(owner, p, [2, 3], other, n)), label


# --- folds ------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(
    members=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 25)), min_size=20, max_size=200),
    n_folds=st.integers(2, 6),
    seed=st.integers(0, 99),
)
def test_folds_keep_groups_together_and_are_deterministic(members, n_folds, seed):
    label, group = np.array(members).T
    if np.unique(group).size < n_folds:
        with pytest.raises(ValueError, match="one group per fold"):
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


# --- tune -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("copies", [1, 2, 4])
def test_sharpness_falls_by_the_number_of_copies(copies):
    model = tune(*two_classes(10_000, 1, copies), None, TWO, EVEN, FitOptions("equal", smoothing=1.0))
    assert model.sharpness == pytest.approx(4.0 / copies, rel=0.1)
    assert model.weighting == "equal"
    assert model.mixing == pytest.approx(np.tile(np.eye(2) / copies, (4, 1, 1)), rel=0.1)


def test_everything_given_is_taken_as_it_is():
    s, label = with_hypotheses(300)
    pairs = (("location", "multiwavelength"),)
    options = FitOptions((1.0, 2.0, 0.0, 1.0), sharpness=1.5, smoothing=1.3, pairs=pairs)
    model = tune(s, label, None, TWO, EVEN, options)
    plain = fit_tables(s, label, TWO, EVEN, pairs=pairs, smoothing=1.3, weights=[1, 2, 0, 1], sharpness=1.5)
    assert (model.weighting, model.sharpness, model.smoothing) == ("given", 1.5, 1.3)
    np.testing.assert_array_equal(model.mixing, plain.mixing)
    np.testing.assert_array_equal(classify(model, s).p, classify(plain, s).p)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_of_two_smoothings_the_one_with_the_smaller_loss_is_chosen(seed):
    rng = np.random.default_rng(seed)
    label = np.arange(4000) % 2
    comb = rng.integers(-7, 7, 4000) + 0.5 * label + rng.normal(0, 0.1, 4000)  # teeth that a wide kernel closes
    narrow = tune(of(comb[:, None]), label, None, TWO, EVEN, FitOptions("equal", sharpness=4.0))
    assert narrow.smoothing == min(SMOOTHINGS)
    few = of(rng.normal(size=(40, 4)))  # what is said of the class is noise: the less the better
    wide = tune(few, np.arange(40) % 2, None, TWO, EVEN, FitOptions("equal", sharpness=8.0))
    assert wide.smoothing == max(SMOOTHINGS)


@pytest.mark.parametrize("options", WEIGHTINGS, ids=lambda o: str(o.weights))
def test_the_same_seed_gives_the_same_model(options):
    s, label = with_hypotheses(300)
    one, other = (tune(s, label, np.arange(300) // 2, TWO, EVEN, options) for _ in range(2))
    np.testing.assert_array_equal(one.mixing, other.mixing)
    np.testing.assert_array_equal(one.outlier_levels, other.outlier_levels)
    assert np.isfinite(one.mixing).all()
    assert np.isfinite(one.outlier_levels).all()


def test_property_weights_give_copies_one_share_and_calibrated_answers():
    rng = np.random.default_rng(1)
    label = rng.integers(0, 2, 6000)
    a, b = rng.normal(label * 1.5, 1.0), rng.normal(label * 1.0, 1.0)
    copy = replace(PROPERTIES[1], category=PROPERTIES[0].category)  # in another it would stand in for what is left out
    values = np.stack([a, a, b, rng.normal(size=label.size)], axis=1)
    s = Sample((PROPERTIES[0], copy, *PROPERTIES[2:]), values)
    results = {
        w: fit(s, label, None, TWO, EVEN, FitOptions(w, smoothing=1.0), n_folds=3) for w in ("property", "equal")
    }
    said = [np.trace(m) - m[0, 1] - m[1, 0] for m in results["property"][0].mixing]
    # the difference of the scores of two classes, by the difference of the terms: 2 for plain naive Bayes
    assert said[0] + said[1] == pytest.approx(2.0, abs=0.2)
    assert said[2] == pytest.approx(2.0, abs=0.3)
    assert said[3] == pytest.approx(0.0, abs=0.7)
    found = {w: summarise(cv.p, label, TWO, EVEN)["sample"] for w, (_, cv) in results.items()}
    assert found["property"]["log_loss"] < found["equal"]["log_loss"] - 0.002
    assert found["property"]["ece"] < 0.025


def test_weights_of_properties_keep_a_share_of_those_of_the_categories(monkeypatch):
    rng, made = np.random.default_rng(2), {}
    label = rng.integers(0, 2, 600)
    # of one category: what says little is counted too much
    x = np.stack([rng.normal(label * 2.0, 1.0), *(rng.normal(label * 0.7, 1.0) + np.zeros((3, 600)))], axis=1)
    one = [Property(f"x{i}", "location", "linear", -8.0, 8.0, False, False) for i in range(4)]
    s = Sample(tuple(one), x)
    monkeypatch.setattr(mixing, "INVERSE_RIDGES", (0.02,))  # else each share would have a ridge of its own
    for share in (0.0, 0.25, 1.0):
        monkeypatch.setattr(mixing, "CATEGORY_SHARES", (share,))
        made[share] = tune(s, label, None, TWO, EVEN, FitOptions("property", smoothing=1.0))
    fitted, shared, categories = made[0.0], made[0.25], made[1.0]
    diagonal = np.diagonal(categories.mixing, axis1=1, axis2=2)
    np.testing.assert_allclose(categories.mixing, diagonal[:, :1, None] * np.eye(2), atol=1e-12)
    assert not categories.offsets.any() and np.abs(fitted.mixing - categories.mixing).max() > 0.01
    np.testing.assert_allclose(shared.mixing, 0.75 * fitted.mixing + 0.25 * categories.mixing)
    np.testing.assert_allclose(shared.offsets, 0.75 * fitted.offsets)
    assert shared.category_share == 0.25


def test_weights_of_a_large_class_are_those_of_a_part_of_it_and_tables_those_of_all(monkeypatch):
    rng = np.random.default_rng(5)
    label = (rng.random(8000) < 0.05).astype(int)
    s = of(rng.normal(label[:, None] * 1.2, 1.0, (8000, 4)))
    made = {}
    for most in (10_000, 1500):
        monkeypatch.setattr(held_out, "MOST_OF_CLASS", most)
        made[most] = tune(s, label, None, TWO, np.array([0.95, 0.05]), FitOptions(smoothing=1.0, seed=3))
        chosen = held_out.chosen_sources(label, 2, 3)
        assert np.bincount(label[chosen]).tolist() == [min(most, (label == 0).sum()), (label == 1).sum()]
        assert np.all(np.diff(chosen) > 0)
    of_all, of_part = made.values()
    for whole, part in zip(of_all.tables, of_part.tables, strict=True):
        np.testing.assert_array_equal(whole.log_density, part.log_density)
    assert np.abs(of_all.mixing - of_part.mixing).max() > 0
    p_all, p_part = (classify(m, s).p[:, 1] for m in made.values())
    # each class keeps its weight in the loss: the rare one is not more probable for it
    assert p_part.sum() == pytest.approx(p_all.sum(), rel=0.05)
    assert np.abs(p_part - p_all).mean() < 0.005


def test_hypotheses_are_worth_more_than_the_best_one_alone():
    s, label = with_hypotheses(3000)
    wrong = s.values.copy()
    third = np.random.default_rng(3).random(3000) < 0.3  # the accepted counterpart is wrong as often as it says
    wrong[np.ix_(third, [2, 3])] = s.hypotheses.values[1::2][third]
    s = replace(s, values=wrong)
    loss = {}
    for name, given_sample in (("summed", s), ("best", s.best_match())):
        cv = cross_validate(given_sample, label, None, TWO, EVEN, FitOptions(smoothing=1.0), n_folds=3)
        loss[name] = summarise(cv.p, label, TWO, EVEN)["sample"]["log_loss"]
    assert loss["summed"] < loss["best"] + 0.02


# --- cross-validation -------------------------------------------------------------------------------------


def test_cross_validation_is_that_of_the_models_without_the_fold():
    s, label = with_hypotheses(500, 3)
    options = FitOptions("equal", smoothing=1.0, seed=4)
    cv = cross_validate(s, label, None, TWO, EVEN, options, n_folds=5)
    for f in range(5):
        out = cv.fold == f
        expected = classify(tune(s.take(~out), label[~out], None, TWO, EVEN, options), s.take(out))
        for name in (field.name for field in fields(Classification)):
            np.testing.assert_array_equal(getattr(cv, name)[out], getattr(expected, name))


@pytest.mark.parametrize("category", [None, 0])
def test_other_priors_change_all_that_depends_on_the_probabilities(category):
    s, label = two_classes(400, 10)
    cv = cross_validate(s, label, None, TWO, EVEN, FitOptions("equal", smoothing=1.0), n_folds=4)
    priors = np.array([0.9, 0.1])
    changed = with_priors(cv, s, np.broadcast_to(priors / EVEN, (400, 2)), category)
    np.testing.assert_array_equal(changed.p, reweighted(cv.p, EVEN, priors))
    assert (changed.class_index != cv.class_index).sum() > 5
    for f, model in enumerate(cv.models):
        out = cv.fold == f
        expected = classify(replace(model, priors=priors), s.take(out))
        assert changed.p[out] == pytest.approx(expected.p, abs=1e-12)
        for name in ("class_index", "n_missing", "evidence"):
            np.testing.assert_array_equal(getattr(changed, name)[out], getattr(expected, name))
        for name in ("margin", "outlier", "p_tail"):
            assert getattr(changed, name)[out] == pytest.approx(getattr(expected, name), abs=1e-12)
        # without the category that the priors belong to they are the model's own
        own = classify(model, s.take(out)).class_without
        for t in range(expected.class_without.shape[1]):
            wanted = own[:, t] if t == category else expected.class_without[:, t]
            np.testing.assert_array_equal(changed.class_without[out, t], wanted)


@pytest.mark.parametrize("options", WEIGHTINGS, ids=lambda o: str(o.weights))
def test_nothing_of_a_fold_influences_its_own_answers(options):
    """Other values and errors for fold 0 leave its model, whole, as it was, and move those of the other folds."""
    s, label = with_hypotheses(300, 5)
    before = cross_validate(s, label, np.arange(300) // 3, TWO, EVEN, options, n_folds=3)
    held = before.fold == 0
    h = s.hypotheses
    changed = replace(
        s,
        values=np.where(held[:, None], -s.values, s.values),
        errors=np.where(held[:, None], 3.0, s.errors),
        hypotheses=replace(h, values=np.where(held[h.source][:, None], 2.0, h.values)),
    )
    after = cross_validate(changed, label, np.arange(300) // 3, TWO, EVEN, options, n_folds=3)
    np.testing.assert_array_equal(after.fold, before.fold)
    probe = s.take(np.arange(50))
    for f, (one, other) in enumerate(zip(before.models, after.models, strict=True)):
        same = np.array_equal(classify(one, probe).p, classify(other, probe).p)
        assert same == (f == 0)
    assert before.models[0].outlier_levels.tolist() == after.models[0].outlier_levels.tolist()
    assert before.models[0].tables[0].typical_error == after.models[0].tables[0].typical_error


def test_held_out_labels_do_not_influence_their_answers():
    s, label = with_hypotheses(300, 6)
    before = cross_validate(s, label, None, TWO, EVEN, FitOptions(smoothing=1.0), n_folds=3)
    # labels of two sources of one fold are exchanged: the folds stay what they were, being made of counts
    i, j = (np.flatnonzero((before.fold == 0) & (label == k))[0] for k in (0, 1))
    swapped = label.copy()
    swapped[[i, j]] = swapped[[j, i]]
    held = before.fold == 0
    for changed in (label, swapped):
        model = tune(s.take(~held), changed[~held], None, TWO, EVEN, FitOptions(smoothing=1.0))
        np.testing.assert_array_equal(classify(model, s.take(held)).p, before.p[held])


def test_members_of_a_group_teach_nothing_about_each_other():
    rng = np.random.default_rng(6)
    # each object is there five times, and its values say nothing: its class is known only from its copies
    label = np.repeat(rng.integers(0, 2, 60), 5)
    s = of(np.repeat(rng.uniform(-8, 8, (60, 4)), 5, axis=0))
    apart = cross_validate(s, label, np.repeat(np.arange(60), 5), TWO, EVEN, QUICK)
    mixed = cross_validate(s, label, None, TWO, EVEN, QUICK)
    assert (apart.class_index == label).mean() < 0.65 < 0.8 < (mixed.class_index == label).mean()


@pytest.mark.parametrize("options", [FitOptions("property"), FitOptions("category")], ids=lambda o: str(o.weights))
def test_permuted_labels_give_chance(options):
    rng = np.random.default_rng(7)
    s = of(rng.normal(0, 1, (3000, 4)))
    label = rng.permutation(np.repeat([0, 1, 2, 3], [1800, 800, 300, 100]))
    even, names = np.full(4, 0.25), ("a", "b", "c", "d")
    model, cv = fit(s, label, None, names, even, replace(options, smoothing=1.6), n_folds=4)
    found = summarise(cv.p, label, names, even)
    assert np.mean([c["recall"] for c in found["classes"].values()]) == pytest.approx(0.25, abs=0.06)
    assert found["at_priors"]["log_loss"] == pytest.approx(np.log(4), abs=0.06)
    # tables of noise are flat, so a weight may be large: what counts is what the terms add, in nats
    assert (contributions(model, evidence(model, s)).std(axis=0) < 0.6).all()


def test_the_final_model_has_outlier_levels_from_the_folds():
    s, label = two_classes(2000, 8, copies=2)
    model, cv = fit(s, label, None, TWO, EVEN, FitOptions("equal", smoothing=1.0), n_folds=5)
    np.testing.assert_array_equal(model.outlier_levels, outlier_levels(cv.outlier, label, 2))
    own = tune(s, label, None, TWO, EVEN, FitOptions("equal", smoothing=1.0))
    np.testing.assert_array_equal(model.mixing, own.mixing)
    assert (own.outlier_levels != model.outlier_levels).any()
    for k in (0, 1):
        at = OUTLIER_P.tolist().index(0.01)
        assert (cv.outlier[label == k] > model.outlier_levels[k, at]).mean() == pytest.approx(0.01, abs=0.002)
    assert model.n_reference.sum() == 2000


def test_a_class_of_few_has_the_outlier_levels_of_all():
    outlier = np.arange(200.0)
    label = np.repeat([0, 1, 2], [200 - 2 * FEW_MEMBERS + 1, FEW_MEMBERS, FEW_MEMBERS - 1])
    levels = outlier_levels(outlier, label, 4)
    assert (np.diff(levels, axis=1) > 0).all()
    np.testing.assert_array_equal(levels[2], levels[3])
    assert levels[2, 0] == 0
    assert levels[1, 0] == 200 - 2 * FEW_MEMBERS + 1


@pytest.mark.parametrize("options", WEIGHTINGS[:3], ids=lambda o: str(o.weights))
def test_a_class_smaller_than_the_number_of_folds_and_one_without_members(options):
    s, label = two_classes(200, 9)
    label[:3] = 2
    priors, names = np.array([0.4, 0.4, 0.1, 0.1]), ("a", "b", "c", "none")
    model, cv = fit(s, label, None, names, priors, options, n_folds=4)
    assert np.isfinite(cv.p).all()
    assert np.isfinite(cv.p_tail).all()
    assert model.n_reference.tolist()[2:] == [3, 0]
    assert np.isfinite(summarise(cv.p, label, names, priors)["sample"]["log_loss"])


@pytest.mark.parametrize("options", WEIGHTINGS[:3], ids=lambda o: str(o.weights))
def test_a_property_that_nobody_has_and_one_that_all_have_alike(options):
    s, label = two_classes(200, 9)
    for nothing in (np.nan, np.inf):
        x = s.values.copy()
        x[:, 0], x[:, 1] = nothing, 1.0
        model = tune(of(x), label, None, TWO, EVEN, options)
        result = classify(model, of(x))
        assert np.isfinite(result.p).all()
        assert (result.class_index == label).mean() > 0.7


def test_what_cannot_be_cross_validated_is_refused():
    s, label = two_classes(60)
    with pytest.raises(ValueError, match="61 folds"):
        cross_validate(s, label, None, TWO, EVEN, n_folds=61)
    with pytest.raises(ValueError, match="cannot make 5 folds of 4 groups"):
        tune(s, label, np.arange(60) % 4, TWO, EVEN)
    with pytest.raises(ValueError, match="the objective names the class c, which is not one of a, b"):
        tune(s, label, None, TWO, EVEN, FitOptions("category", objective="f1:c"))
    with pytest.raises(ValueError, match="property, category, equal or numbers"):
        FitOptions("fit")
    with pytest.raises(ValueError, match="log_loss, macro_f1 or f1:CLASS"):
        FitOptions("category", objective="f1")
    with pytest.raises(ValueError, match="sum 1"):
        tune(s, label, None, TWO, [0.5, 0.6])
    with pytest.raises(ValueError, match="class numbers"):
        tune(s, label * 1.0, None, TWO, EVEN)
    with pytest.raises(ValueError, match="zero or more"):
        tune(s, label, None, TWO, EVEN, FitOptions((1.0, -1.0, 1.0, 1.0)))


# --- real sources -----------------------------------------------------------------------------------------


def chandra_sources(path):
    """Read the labelled Chandra sources with 13 properties in four categories; neutron stars are left out."""
    t = pd.read_csv(path, low_memory=False)
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
    x = np.stack([np.asarray(c, dtype=float) for c, _ in columns], axis=1)
    return Sample(tuple(q for _, q in columns), x), t["True_Class"].map(number).to_numpy()


@pytest.mark.slow
@pytest.mark.shared
def test_real_chandra_sources(shared_data: Path):
    s, label = chandra_sources(shared_data / "chandra" / "csc2_labelled_td.csv")
    assert label.size == 2854
    classes, priors = ("AGN", "Star", "XRB", "CV"), np.array([0.66, 0.25, 0.07, 0.02])
    results = {}
    for name, options in (
        ("poster", FitOptions("equal", sharpness=1.0)),
        ("category", FitOptions("category")),
        ("property", FitOptions("property")),
    ):
        cv = cross_validate(s, label, None, classes, priors, options, n_folds=5)
        found = results[name] = summarise(cv.p, label, classes, priors)
        print(
            f"\n{name}: accuracy {found['sample']['accuracy']:.3f}, macro-F1 {found['sample']['macro_f1']:.3f}; at"
            f" priors: log-loss {found['at_priors']['log_loss']:.3f}, ECE {found['at_priors']['ece']:.3f}\n"
            + pd.DataFrame(found["matrix"], classes, classes).to_string()
        )
    assert results["property"]["sample"]["macro_f1"] > 0.73
    assert results["property"]["at_priors"]["ece"] < 0.03
    losses = [results[name]["at_priors"]["log_loss"] for name in ("property", "category", "poster")]
    assert losses == sorted(losses)
