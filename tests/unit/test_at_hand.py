"""A model refitted for fewer properties, and priors chosen for a table."""

from dataclasses import fields, replace

import numpy as np
import pytest

from xcat.catalogues.number_counts import per_deg2_and_dex
from xcat.classifier import FitOptions, Property, Sample, classify, fit, tune
from xcat.classifier.metrics import log_loss
from xcat.classifier.priors import LEAST_PRIOR, sky_prior
from xcat.classifier.refit import refit
from xcat.errors import ConfigError
from xcat.own.table_priors import local_priors, priors_of

CLASSES = ("AGN", "Star", "XRB")
PRIORS = np.array([0.6, 0.3, 0.1])
PROPERTIES = (
    Property("abs_b", "location", "linear", 0.0, 90.0, True, True),
    Property("log_fx", "spectrum", "linear", -18.0, -8.0, False, False),
    Property("hr1", "spectrum", "linear", -8.0, 8.0, False, False),
    Property("hr2", "spectrum", "linear", -8.0, 8.0, False, False),
    Property("log_fx_fr", "multiwavelength", "linear", -8.0, 8.0, False, False),
    Property("log_fx_fb", "multiwavelength", "linear", -8.0, 8.0, False, False),
)
PAIRS = (("hr1", "hr2"), ("log_fx_fr", "log_fx_fb"))
HALF = ("abs_b", "log_fx", "hr1", "log_fx_fr")


def labelled(n=300, seed=0):
    """Three classes; each of the last two pairs of properties says nearly the same twice. Gaps, errors and limits."""
    rng = np.random.default_rng(seed)
    label = rng.choice(3, n, p=(0.5, 0.3, 0.2))
    abs_b = np.clip(rng.normal(np.array([50.0, 40.0, 15.0])[label], 15.0), 0.0, 90.0)
    spectrum = rng.normal(np.array([0.0, -1.3, 1.3])[label], 1.0)
    ratio = rng.normal(np.array([0.0, -1.8, 1.0])[label], 1.0)
    columns = [abs_b, rng.normal(-13.0, 1.0, n), spectrum, spectrum, ratio, ratio]
    values = np.stack(columns, axis=1) + rng.normal(0.0, 0.1, (n, 6)) * (np.arange(6) > 1)
    errors = np.where(np.arange(6) == 2, rng.uniform(0.05, 0.6, (n, 6)), np.nan)
    values[rng.random(n) < 0.2, 4:] = np.nan
    values[rng.random(n) < 0.05, 4:] = np.inf
    limits = np.where(np.arange(6) == 4, 0.5, np.nan) * np.ones((n, 1))
    return Sample(PROPERTIES, values, errors, limits), label, np.arange(n) // 3


def with_sky_prior(model, sample):
    """The same model with a prior that depends on latitude and flux."""
    return sky_prior(model, classify(model, sample).p, sample.values[:, :2], ("abs_b", "log_fx"))


@pytest.fixture(scope="module")
def whole():
    sample, label, group = labelled()
    model, validation = fit(sample, label, group, CLASSES, PRIORS, FitOptions(pairs=PAIRS, smoothing=1.6), 2)
    return model, validation, sample, label, group


def same(one, two):
    for field in fields(one):
        a, b = getattr(one, field.name), getattr(two, field.name)
        assert (a is None) == (b is None), field.name
        if isinstance(a, np.ndarray | float):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12, err_msg=field.name)
        else:
            assert a == b


def test_the_weights_of_a_model_of_before_are_fitted_to_the_limits_of_now(whole):
    model, _, sample, label, group = whole
    before = replace(model, limits_before_galaxy=False)
    made, of_made = refit(before, sample.select(HALF), label, group, PRIORS, n_folds=2)
    assert made.limits_before_galaxy and all(of_fold.limits_before_galaxy for of_fold in of_made.models)


def test_refitted_weights_beat_dropped_terms_out_of_fold_and_the_tables_stay(whole):
    model, validation, sample, label, group = whole
    fewer = sample.select(HALF)
    made, of_made = refit(model, fewer, label, group, PRIORS, n_folds=2)
    assert np.array_equal(of_made.fold, validation.fold)
    dropped = np.zeros_like(of_made.p)
    for f, of_fold in enumerate(validation.models):
        held = np.flatnonzero(of_made.fold == f)
        dropped[held] = classify(of_fold.select(HALF), fewer.take(held)).p
    losses = [log_loss(p, label) for p in (validation.p, of_made.p, dropped)]
    # weights that shrink towards those of the categories lose little when terms are dropped
    assert losses[0] < losses[1] + 0.02 and losses[1] < losses[2] - 0.004, losses
    # the tables are the model's, and those that a fit with these properties makes
    again = tune(fewer, label, group, CLASSES, PRIORS, FitOptions(smoothing=model.smoothing))
    kept = dict(zip((p.name for p in model.properties), model.tables, strict=True))
    for name, ours, fitted in zip(HALF, made.tables, again.tables, strict=True):
        assert ours is kept[name]
        same(ours, fitted)
    np.testing.assert_allclose(made.mixing, again.mixing, rtol=1e-9, atol=1e-12)
    assert made.weighting == "property" and made.inverse_ridge == again.inverse_ridge
    assert [p.name for p in made.properties] == list(HALF) and made.pairs == ()
    assert np.isfinite(made.outlier_levels).all() and np.array_equal(made.n_reference, model.n_reference)


def test_a_pair_stays_with_both_of_its_properties(whole):
    model, _, sample, label, group = whole
    made, _ = refit(model, sample.select(("hr1", "hr2")), label, group, PRIORS, n_folds=2)
    assert [pair.name for pair in made.pairs] == ["hr1*hr2"] and made.pairs[0] is model.pairs[0]
    again = tune(
        sample.select(("hr1", "hr2")), label, group, CLASSES, PRIORS,
        FitOptions(pairs=PAIRS[:1], smoothing=model.smoothing),
    )  # fmt: skip
    same(made.pairs[0], again.pairs[0])


def test_a_sky_prior_stays_with_both_of_its_properties_only(whole):
    _, _, sample, label, group = whole
    options = FitOptions("equal", smoothing=1.0, excluded_properties=("abs_b", "log_fx"))
    model = with_sky_prior(tune(sample, label, group, CLASSES, PRIORS, options), sample)
    assert model.has_sky_prior and model.excluded_properties == ("abs_b", "log_fx")
    fewer = sample.select(("abs_b", "log_fx", "hr2"))
    made, held_out = refit(model, fewer, label, group, PRIORS, n_folds=2)
    assert made.has_sky_prior and made.pairs[-1] is model.pairs[-1]
    # the out-of-fold answers have that prior too
    local = local_priors(model, sample)
    assert local.sum(axis=1) == pytest.approx(np.ones(len(sample)))
    without, before = refit(model.select(("hr1", "hr2")), sample.select(["hr2"]), label, group, PRIORS, n_folds=2)
    assert np.array_equal(made.mixing[2], without.mixing[0])
    expected = before.p * local / PRIORS
    np.testing.assert_allclose(held_out.p, expected / expected.sum(axis=1, keepdims=True), rtol=1e-5)
    # without a flux: the priors of the whole, and latitude is no evidence either
    made, _ = refit(model, sample.select(("abs_b", "hr1")), label, group, PRIORS, n_folds=2)
    assert not made.has_sky_prior and made.excluded_properties == ("abs_b",)


@pytest.mark.parametrize("weights", ["equal", "category", (0.0, 1.0, 2.0, 0.0)])
def test_nothing_to_say_still_works(whole, weights):
    _, _, sample, label, group = whole
    model = tune(sample, label, group, CLASSES, PRIORS, FitOptions(weights, smoothing=1.0))
    made, held_out = refit(model, sample.select(["abs_b"]), label, group, PRIORS, n_folds=2)
    assert np.isfinite(held_out.p).all() and made.weighting == model.weighting
    if model.weighting == "given":  # the weight of the location was given as 0
        assert held_out.p == pytest.approx(np.tile(PRIORS, (len(sample), 1)))


def test_estimated_priors_of_the_model_apply(whole):
    model, _, sample, label, group = whole
    estimated = replace(model, priors=np.array([0.2, 0.3, 0.5]))
    fewer = sample.select(["hr2"])
    made, held_out = refit(estimated, fewer, label, group, PRIORS, n_folds=2)
    plain, before = refit(model, fewer, label, group, PRIORS, n_folds=2)
    assert np.array_equal(made.priors, estimated.priors) and np.array_equal(made.mixing, plain.mixing)
    expected = before.p * estimated.priors / PRIORS
    np.testing.assert_allclose(held_out.p, expected / expected.sum(axis=1, keepdims=True), rtol=1e-9)


# --- priors of a table --------------------------------------------------------------------------------------


def given(model, text):
    return priors_of(None, model, text)  # type: ignore[arg-type]  # these need no database


def test_shares_of_all_classes(whole):
    model, _, sample, *_ = whole
    priors = given(model, " xrb=.1, AGN=.7 ,Star=0.2")
    assert priors.ratio(sample) == pytest.approx(np.tile(np.array([0.7, 0.2, 0.1]) / PRIORS, (len(sample), 1)))
    assert priors.remarks() == ["priors: AGN 0.7, Star 0.2, XRB 0.1"]
    p = classify(model, sample, priors.ratio(sample)).p
    np.testing.assert_allclose(p, classify(replace(model, priors=np.array([0.7, 0.2, 0.1])), sample).p, atol=1e-12)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("AGN=.7,Star=.3", "no share for XRB"),
        ("AGN=.7,Star=.2,XRB=.2", "add up to 1.1, not to 1"),
        ("AGN=.7,Star=.2,XRB=.1,CV=0", "no class 'CV'; it has AGN, Star, XRB"),
        ("AGN=1,Star=0,XRB=0", "share of Star must be above 0"),
        ("AGN=-1,Star=1,XRB=1", "share of AGN must be above 0"),
        ("AGN=nan,Star=.5,XRB=.5", "share of AGN must be above 0"),
        ("AGN=half,Star=.3,XRB=.2", "share of AGN is not a number: 'half'"),
        ("AGN=.5,agn=.2,Star=.2,XRB=.1", "the class AGN comes twice"),
        ("=1", "no class ''"),
    ],
)
def test_shares_that_are_wrong(whole, text, message):
    with pytest.raises(ConfigError, match=message):
        given(whole[0], text)


def test_shares_learned_from_the_rows(whole):
    model, _, sample, label, _ = whole
    priors = given(model, "estimate")
    with pytest.raises(ValueError, match="learn"):
        priors.ratio(sample)
    few = np.concatenate([np.flatnonzero(label != 2), np.flatnonzero(label == 2)[:5]])
    priors.learn(classify(model, sample.take(few)).p)
    assert priors.shares == pytest.approx(np.bincount(label[few]) / few.size, abs=0.08)
    assert "estimated from the table's own rows" in priors.remarks()[0]
    priors = given(model, "estimate")
    priors.learn(np.zeros((0, 3)))
    assert priors.shares == pytest.approx(PRIORS)


def test_counts_decide_between_the_classes(whole):
    model, _, sample, *_ = whole
    sample = sample.take(np.arange(6))
    flux = np.array([1e-14, 1e-11, 1e-13, 1e-13, np.nan, 0.0])
    abs_b, glon = np.array([40.0, 40.0, 0.5, 0.5, 40.0, 40.0]), np.array([0.0, 0.0, 0.0, 180.0, 0.0, 0.0])
    log_nh = np.array([20.0, 20.0, 22.5, 22.5, 20.0, 20.0])
    priors = given(model, "counts")
    ratio = priors.ratio(sample, flux, abs_b, glon, log_nh)
    shares = (ratio * PRIORS)[:4]
    counts = per_deg2_and_dex(CLASSES, PRIORS, flux[:4], abs_b[:4], glon[:4], log_nh[:4])
    wanted = np.maximum(counts / counts.sum(axis=1, keepdims=True), LEAST_PRIOR)
    assert shares == pytest.approx(wanted / wanted.sum(axis=1, keepdims=True))
    assert shares[2, 2] > shares[3, 2] > 0  # XRB are where the centre of the Galaxy is
    assert np.array_equal(ratio[4:], np.ones((2, 3)))
    remarks = priors.remarks()
    assert remarks[1].startswith("number counts of AGN: AGN (Moretti et al. 2003, ApJ 588, 696")
    assert remarks[-1].startswith("2 of 6 rows have no flux")
    # a sky prior is replaced, not multiplied
    sky = with_sky_prior(replace(model, mixing=model.mixing * (np.arange(8) > 1)[:, None, None]), whole[2])
    assert sky.has_sky_prior
    found = given(sky, "counts").ratio(sample, flux, abs_b, glon, log_nh) * local_priors(sky, sample)
    assert found[:4] == pytest.approx(shares)
    assert found.sum(axis=1) == pytest.approx(np.ones(6))


def test_a_class_without_counts_keeps_its_share(whole):
    model, _, sample, *_ = whole
    other = replace(model, classes=("AGN", "Star", "TDE"))
    priors = given(other, "counts")
    ratio = priors.ratio(sample.take(np.arange(2)), np.array([1e-14, 1e-11]), np.array([40.0, 3.0]))
    assert ratio[:, 2] == pytest.approx([1.0, 1.0]) and (ratio * PRIORS).sum(axis=1) == pytest.approx([1.0, 1.0])
    assert "no published number counts: TDE keep" in priors.remarks()[-1]
    with pytest.raises(ConfigError, match=r"needs two classes with published number counts .*the model has AGN, star_"):
        given(replace(model, classes=("AGN", "star_forming", "TDE")), "counts")
