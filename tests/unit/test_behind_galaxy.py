"""Classes behind the whole Galaxy: looked up, and counted, as they are before its gas and dust."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xcat.classifier import NOT_OBSERVED, Sample, classify, evidence, fit_tables, held_out
from xcat.classifier.crossval import FitOptions, tune
from xcat.classifier.held_out import HeldOut
from xcat.classifier.model import Cells, Model, is_behind_galaxy
from xcat.classifier.sample import LARGE_SHIFT, between_walls
from xcat.columns.properties import absence_of, select, shift_of
from xcat.jobs.classes import ClassRule
from xcat.models.samples import Layout, shifts
from xcat.properties.depth import LEAST_OBJECTS, MARGIN_MAG, depth_map

PROPERTIES = select(["hr1", "log_fx_fr"])
CLASSES, PRIORS = ("AGN", "XRB"), [0.5, 0.5]
BEHIND = np.array([True, False])
(HR1,) = select(["hr1"])


def sky(n: int = 3000, seed: int = 1) -> tuple[Sample, np.ndarray]:
    """AGN of the high sky, soft and bright in R; XRB of the plane, absorbed and often without counterpart."""
    rng = np.random.default_rng(seed)
    label = np.repeat([0, 1], n)
    u = np.where(label == 0, rng.normal(0.0, 0.4, 2 * n), rng.normal(1.2, 0.5, 2 * n))
    ratio = np.where(label == 0, rng.normal(0.2, 0.5, 2 * n), rng.normal(1.6, 1.2, 2 * n))
    limit = np.full(2 * n, 1.2)
    values = np.stack([np.tanh(u), np.where(ratio > limit, np.nan, ratio)], axis=1)
    errors = np.tile([0.1, 0.05], (2 * n, 1))
    limits = np.stack([np.full(2 * n, np.nan), limit], axis=1)
    return Sample(PROPERTIES, values, errors, limits, shift=np.zeros_like(values)), label


@pytest.fixture(scope="module")
def model() -> Model:
    sample, label = sky()
    return fit_tables(sample, label, CLASSES, PRIORS, behind=BEHIND, sharpness=4.0)


def one(hr1: float, ratio: float, limit: float, shift: tuple[float, float] = (0.0, 0.0), error: float = 0.1) -> Sample:
    return Sample(
        PROPERTIES, np.array([[hr1, ratio]]), np.array([[error, 0.05]]), np.array([[np.nan, limit]]),
        shift=np.array([shift]),
    )  # fmt: skip


def test_an_agn_behind_the_plane_is_not_an_xrb_for_it(model):
    """Through 3e22: HR1 near 1, A_R of 8 mag, nothing in Gaia."""
    hidden = one(0.93, np.nan, 1.2, (-2.4, -0.766 * 4.4 + 0.4))
    as_seen = classify(model, replace(hidden, shift=np.zeros((1, 2))))
    assert as_seen.p[0, 0] < 0.05  # what it was before
    p = classify(model, hidden).p[0, 0]
    assert 0.3 < p < 0.7  # neither the spectrum nor the absence says anything: the priors decide
    # nothing is hidden at the pole, and the same values are an XRB there
    assert classify(model, one(0.93, np.nan, 1.2, (-0.02, -0.02))).p[0, 0] < 0.05


def test_an_xrb_in_front_of_the_column_stays_one(model):
    """Soft through 3e22: no AGN can be."""
    soft = one(0.2, 1.1, 1.2, (-2.4, -3.0))
    assert classify(model, soft).p[0, 1] > 0.9


def test_no_column_changes_nothing(model):
    sample, _ = sky(200, seed=2)
    plain = replace(model, behind=None)
    np.testing.assert_array_equal(evidence(model, sample), evidence(plain, sample))
    np.testing.assert_array_equal(classify(model, sample).p, classify(plain, replace(sample, shift=None)).p)


def test_classes_in_front_do_not_move(model):
    shifted = one(0.4, 0.3, 1.2, (-0.4, -1.0))
    terms, plain = evidence(model, shifted)[0], evidence(model, replace(shifted, shift=None))[0]
    np.testing.assert_array_equal(terms[:, 1], plain[:, 1])
    assert (terms[:, 0] != plain[:, 0]).all()


def test_the_ratio_is_looked_up_where_it_was(model):
    """Additive, and the limit with it; the error grows by two fifths of the shift."""
    exact = one(0.0, 0.7, 1.2, (0.0, -0.4), error=0.0)
    moved = one(0.0, 0.3, 1.2, error=0.0)
    moved.errors[0, 1] = np.hypot(0.05, 0.4 * 0.4)
    assert evidence(model, exact)[0, 1, 0] == evidence(model, moved)[0, 1, 0]
    absent, unabsorbed = one(0.0, np.nan, 1.2, (0.0, -0.4)), one(0.0, np.nan, 0.8)
    assert evidence(model, absent)[0, 1, 0] == pytest.approx(evidence(model, unabsorbed)[0, 1, 0], abs=1e-6)


@given(
    st.floats(-0.999999, 0.999999),
    st.floats(-0.999999, 0.999999),
    st.floats(-3, 3),
)
def test_between_walls_is_monotonic_and_turns_back(a, b, by):
    a, b = sorted((a, b))
    x = np.array([a, b])
    moved, log_jacobian = between_walls(x, np.full(2, by), HR1)
    assert moved[0] <= moved[1]
    assert (np.abs(moved) < 1).all()
    np.testing.assert_allclose(np.arctanh(moved), np.arctanh(x) + by, atol=1e-4)
    back, inverse = between_walls(moved, np.full(2, -by), HR1)
    np.testing.assert_allclose(back, x, atol=1e-9)
    np.testing.assert_allclose(inverse, -log_jacobian, atol=1e-4)


@given(st.floats(-3, 3))
@settings(max_examples=30)
def test_the_jacobian_keeps_the_integral(by):
    """A density of 1 at one integral stays one, whatever the shift: a flat one is the derivative itself."""
    x = np.tanh(np.linspace(-12, 12, 20001))
    _, log_jacobian = between_walls(x, np.full(x.size, by), HR1)
    assert np.trapezoid(np.exp(log_jacobian), x) == pytest.approx(2.0, rel=1e-3)


def test_walls_stay_walls():
    x = np.array([-1.0, 1.0, 1.5, np.nan, np.inf])
    moved, log_jacobian = between_walls(x, np.full(5, 0.5), HR1)
    np.testing.assert_array_equal(moved, x)
    np.testing.assert_array_equal(log_jacobian, 0.0)


@pytest.mark.parametrize(("by", "error"), [(-0.3, 0.02), (-1.0, 0.1), (-2.5, 0.1), (-2.5, 0.4)])
def test_the_density_behind_gas_integrates_to_one(model, by, error):
    """With what is seen on the walls."""
    x = np.linspace(-1, 1, 4001)
    inside = np.concatenate([[x[0] + 1e-9], x[1:-1], [x[-1] - 1e-9]])
    n = x.size + 2
    values = np.stack([np.concatenate([inside, [-1.0, 1.0]]), np.full(n, NOT_OBSERVED)], axis=1)
    sample = Sample(
        PROPERTIES, values, np.tile([error, 0.05], (n, 1)), shift=np.tile([by, 0.0], (n, 1)),
    )  # fmt: skip
    density = np.exp(evidence(model, sample)[:, 0, 0].astype(float) - model.tables[0].log_present[0])
    whole = np.trapezoid(density[:-2], x) + density[-2:].sum() * model.tables[0].step
    assert whole == pytest.approx(1.0, abs=0.05)


def test_tables_are_made_of_values_before_the_galaxy():
    """The same AGN, seen through gas and dust, make the same table."""
    sample, label = sky(4000)
    rng = np.random.default_rng(3)
    by = np.where(rng.random(label.size) < 0.5, rng.uniform(0, 0.6, label.size), 0.0)
    shift = np.stack([-by, -1.5 * by], axis=1)
    agn = label == 0
    values, limits = sample.values.copy(), sample.limits.copy()
    values[agn, 0] = between_walls(values[agn, 0], by[agn], HR1)[0]
    values[agn, 1] += 1.5 * by[agn]
    limits[agn, 1] += 1.5 * by[agn]
    hidden = Sample(PROPERTIES, values, sample.errors, limits, shift=shift)
    one_, other = (fit_tables(s, label, CLASSES, PRIORS, behind=BEHIND) for s in (sample, hidden))
    for a, b in zip(one_.tables, other.tables, strict=True):
        inner = a.log_density[:, 0] > np.log(0.1)
        np.testing.assert_allclose(a.log_density[inner], b.log_density[inner], atol=0.02)
    naive = fit_tables(hidden, label, CLASSES, PRIORS)
    assert abs(naive.tables[1].log_density[inner, 0] - one_.tables[1].log_density[inner, 0]).max() > 0.3


def test_a_hardness_ratio_behind_much_gas_is_not_counted():
    sample, label = sky(500)
    sample.shift[:, 0] = np.where(label == 0, -LARGE_SHIFT, 0.0)
    counted = fit_tables(sample, label, CLASSES, PRIORS, behind=BEHIND)
    assert counted.tables[0].n_present.tolist() == [0.0, 500.0]


def test_what_is_not_seen_may_be_behind_any_part_of_the_galaxy(model):
    """A limit behind 2 mag of dust says in every class what one without dust would say that is 1.5 dex nearer."""
    behind_dust, nearer = (one(np.nan, np.nan, *each) for each in ((1.2, (0.0, -1.5)), (-0.3,)))
    np.testing.assert_allclose(evidence(model, behind_dust)[:, 1], evidence(model, nearer)[:, 1], atol=1e-6)
    before = evidence(replace(model, limits_before_galaxy=False), behind_dust)[0, 1]
    as_observed = evidence(model, one(np.nan, np.nan, 1.2))[0, 1]
    np.testing.assert_allclose(before, [evidence(model, nearer)[0, 1, 0], as_observed[1]], atol=1e-6)


CHAIN = select(["hr1", "log_fx_fr", "pm_mas_yr", "log_fx"])


def _chain(n: int, u: float = 0.3, error: float = 0.1, ratio: float = 0.5, limit: float | None = 1.0) -> Sample:
    values = np.tile([np.tanh(u), ratio, 3.0, 1e-13], (n, 1))
    limits = None if limit is None else np.tile([np.nan, limit, np.nan, np.nan], (n, 1))
    return Sample(CHAIN, values, np.tile([error, 0.1, 1.0, 0.05], (n, 1)), limits, shift=np.zeros((n, 4)))


def test_the_same_gas_changes_nothing():
    sample = _chain(5)
    seen = sample.seen_through(np.zeros((5, 4)), np.random.default_rng(1))
    for name in ("values", "errors", "limits", "shift"):
        np.testing.assert_array_equal(getattr(seen, name), getattr(sample, name))


@pytest.mark.parametrize(("by", "error"), [(-0.5, 0.05), (-1.5, 0.1), (0.7, 0.1), (-4.0, 0.3)])
def test_gas_takes_soft_counts(by, error):
    """The mean of the soft counts, and of their scatter, is that of so much gas; with none left the ratio is 1."""
    u, n = 0.3, 4000
    seen = _chain(n, u, error).seen_through(np.tile([by, 0.0, 0.0, 0.0], (n, 1)), np.random.default_rng(2))
    x, found = seen.values[:, 0].astype(float), seen.errors[:, 0].astype(float)
    counts = (1 - np.tanh(u) ** 2) / error**2
    hard = counts * (1 + np.tanh(u)) / 2
    soft = hard * (1 - x) / (1 + x)
    expected = counts * (1 - np.tanh(u)) / 2 * np.exp(2 * by)  # artanh is half the log of the ratio
    assert soft.mean() == pytest.approx(expected, abs=4 * np.sqrt(expected / n))
    assert soft.var() == pytest.approx(expected, rel=0.15, abs=0.02)
    assert (x <= 1).all() and (x == 1).any() == (expected < 5)
    assert (found > 0).all() and (found <= 1).all()
    inside = x < 1
    total = hard + soft
    np.testing.assert_allclose(found[inside], np.sqrt((1 - x**2) / total)[inside], rtol=1e-5)
    np.testing.assert_array_equal(seen.values[:, 3], 1e-13)  # as bright as it is observed


def test_a_counterpart_behind_dust_is_lost_with_what_needs_it():
    shift = np.array([[0.0, by, 0.0, 0.0] for by in (0.0, -0.4, -0.6)])
    seen = _chain(3).seen_through(shift, np.random.default_rng(1))
    np.testing.assert_allclose(seen.values[:, 1], [0.5, 0.9, np.nan])
    np.testing.assert_array_equal(seen.values[:, 2], [3.0, 3.0, np.inf])  # its limit counts the absence
    np.testing.assert_array_equal(seen.limits[:, 1], 1.0)
    bare = _chain(3, limit=None).seen_through(shift, np.random.default_rng(1))  # fainter than any other: lost
    np.testing.assert_allclose(bare.values[:, 1:3], [[0.5, 3.0], [np.nan, np.nan], [np.nan, np.nan]])


def test_half_of_what_is_behind_is_seen_through_the_columns_of_the_rest():
    sample, label = sky(500)
    sample.shift[label == 1] = (-0.5, -1.0)
    fold = np.arange(label.size) % 3
    rows = HeldOut(sample, Cells(sample, label, 2, (), BEHIND), fold, 3, np.arange(label.size), seed=1).rows
    moved = (rows.shift != sample.shift).any(axis=1)
    assert not moved[label == 1].any() and 0.4 < moved[label == 0].mean() < 0.6
    np.testing.assert_allclose(rows.shift[moved], np.tile([-0.5, -1.0], (moved.sum(), 1)))
    same = {name: np.array_equal(getattr(rows, name)[~moved], getattr(sample, name)[~moved], equal_nan=True)
            for name in ("values", "errors", "limits")}  # fmt: skip
    assert all(same.values()), same
    again = HeldOut(sample, Cells(sample, label, 2, (), BEHIND), fold, 3, np.arange(label.size), seed=1).rows
    np.testing.assert_array_equal(again.values, rows.values)
    plain = HeldOut(sample, Cells(sample, label, 2, (), ~BEHIND | BEHIND), fold, 3, np.arange(label.size), seed=1).rows
    np.testing.assert_array_equal(plain.values, sample.values)  # nothing is inside the Galaxy


def test_weights_do_not_take_gas_for_a_property_of_the_class(monkeypatch):
    """Known AGN are where there is no gas, known XRB where there is: an AGN of the plane is still one."""
    sample, label = sky(1200)
    rng = np.random.default_rng(4)
    gas = np.where(label == 1, rng.uniform(1.0, 3.0, label.size), 0.0)
    known = replace(sample, shift=np.stack([-gas, np.zeros(label.size)], axis=1))
    through = np.stack([-rng.uniform(1.0, 3.0, 1200), np.zeros(1200)], axis=1)
    hidden = sky(1200, seed=9)[0].take(np.arange(1200)).seen_through(through, rng)
    loss = {}
    for share in (0.5, 0.0):
        monkeypatch.setattr(held_out, "THROUGH_OTHERS", share)
        found = tune(known, label, None, CLASSES, PRIORS, FitOptions("property", smoothing=1.0, replicates=0))
        loss[share] = -np.log(classify(found, hidden).p[:, 0]).mean()
    assert loss[0.5] < 0.9 * loss[0.0], loss


def test_a_fit_takes_the_classes_by_name():
    sample, label = sky(300)
    options = FitOptions("equal", sharpness=1.0, smoothing=1.0)
    assert tune(sample, label, None, CLASSES, PRIORS, options).behind.tolist() == [True, False]
    options = replace(options, behind=())
    assert tune(sample, label, None, CLASSES, PRIORS, options).behind.tolist() == [False, False]


@pytest.mark.parametrize(
    ("name", "is_behind"),
    [("AGN", True), ("QSO", True), ("XRB_nearby", True), ("TDE", True), ("galaxy", True), ("Star", False),
     ("XRB", False), ("CV", False), ("gXRB", False), ("extended", False), ("HM-STAR", False)],
)  # fmt: skip
def test_names_of_classes_behind_the_galaxy(name, is_behind):
    assert is_behind_galaxy(name) == is_behind
    assert ClassRule(prior=0.1).is_behind(name) == is_behind
    assert ClassRule(prior=0.1, behind_galaxy=not is_behind).is_behind(name) != is_behind
    assert ClassRule(prior=0.1, of="XRB", where="in_galaxy").is_behind("anything")


def test_shifts_are_those_of_the_registry():
    columns = {
        "ebv_mag": np.array([2.0, np.nan]),
        "flux_absorbed_dex": np.array([0.3, 0.1]),
        "hr1_absorbed": np.array([1.1, 0.2]),
        "hr2_absorbed": np.array([0.4, 0.0]),
    }
    found = shifts(columns, [shift_of(name) for name in ("hr1", "log_fx_fr", "gamma", "bp_rp")])
    np.testing.assert_allclose(found, [[-1.1, 0.3 - 2 * 0.766, 0, 0], [-0.2, 0.1, 0, 0]])
    assert shifts(columns, [shift_of("gamma")]) is None


def test_the_absence_of_a_counterpart_is_counted_once():
    names = ["pm_mas_yr", "bp_rp", "log_fx_fr"]
    layout = Layout(select(names), limits=names, absence=True)
    assert absence_of("pm_mas_yr") == ("log_fx_fr",)
    rows = np.zeros(4, [("source_id", "i8"), *((c, "f4") for c, _ in layout.columns[:-1]), ("observed_optical", "?")])
    rows["observed_optical"] = [True, True, True, False]
    rows["log_fx_fr"] = [np.nan, 0.5, np.nan, np.nan]
    rows["log_fx_fr_limit"] = [1.0, 1.0, np.nan, np.nan]
    rows["pm_mas_yr"] = rows["bp_rp"] = np.nan
    values = layout.sample(rows).values
    assert np.isinf(values[0, :2]).all() and np.isnan(values[0, 2])  # absent: the limit counts it
    assert np.isnan(values[1, :2]).all()  # there, without motion and colour
    assert np.isnan(values[2]).all()  # nobody knows how deep: what is missing counts
    assert np.isinf(values[3]).all()  # not searched
    before = Layout(select(names), limits=names)
    assert np.isnan(before.sample(rows).values[0]).all()


def test_depth_is_what_the_rows_show():
    rng = np.random.default_rng(1)
    deep, shallow = rng.uniform(14, 20, 4000), rng.uniform(14, 17, 4000)
    cell = np.repeat([3, 70], 4000)
    where, depth = depth_map(np.concatenate([deep, shallow]), cell, 19.5)
    assert where.tolist() == [70]
    assert depth[0] == pytest.approx(14 + 0.95 * 3 + MARGIN_MAG, abs=0.02)
    # too few: those of the larger cell, which is as deep as stated
    few = np.concatenate([deep, np.full(LEAST_OBJECTS - 1, 15.0)])
    where, _ = depth_map(few, np.concatenate([np.full(4000, 64), np.full(LEAST_OBJECTS - 1, 70)]), 19.5)
    assert where.size == 0
    nothing = depth_map(np.full(3, np.nan), np.arange(3), 19.5)
    assert [x.size for x in nothing] == [0, 0]
