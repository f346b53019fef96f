"""What would change the answer, on models made by hand; no database."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from xcat.classifier import NOT_OBSERVED, Hypotheses, Model, Property, Sample, classify, fit_tables
from xcat.classifier.posterior import posterior
from xcat.report.explain.change import what_if

pytestmark = pytest.mark.slow

PROPERTIES = (
    Property("hr1", "spectrum", "linear", -1.0, 1.0, True, True),
    Property("log_fx_fr", "multiwavelength", "linear", -7.0, 5.0, False, False),
    Property("pm_mas_yr", "location", "log10", -2.0, 4.0, False, False),
    Property("parallax_sigma", "location", "asinh", -3.0, 8.0, False, False),
)
CLASSES = ("AGN", "Star", "XRB")


def _reference(n: int = 900) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    label = np.arange(n) % 3
    values = np.stack(
        [
            np.clip(np.array([0.0, -0.6, 0.8])[label] + 0.3 * rng.standard_normal(n), -1, 1),
            np.array([0.0, -3.0, 1.5])[label] + 0.7 * rng.standard_normal(n),
            10 ** (np.array([-0.3, 1.3, 0.4])[label] + 0.4 * rng.standard_normal(n)),
            np.sinh(np.array([0.0, 4.0, 1.5])[label] + rng.standard_normal(n)),
        ],
        axis=1,
    )
    values[rng.random(values.shape) < 0.2] = np.nan
    return values, label


@pytest.fixture(scope="module")
def model() -> Model:
    values, label = _reference()
    pairs = (("hr1", "log_fx_fr"),)
    return fit_tables(Sample(PROPERTIES, values), label, CLASSES, [0.6, 0.3, 0.1], pairs=pairs, sharpness=3.0)


def _samples(n: int = 40) -> list[Sample]:
    """One source each: plain, and with three hypotheses of which one is "none"."""
    values, _ = _reference(n)
    plain = [Sample(PROPERTIES, row[None]) for row in values]
    summed = []
    for row in values:
        table = np.stack([np.full(2, np.nan), row[1:3], row[1:3] + np.array([1.0, 2.0])])
        hypotheses = Hypotheses.of([0] * 3, [0.2, 0.5, 0.3], [1, 2], table, 1)
        summed.append(Sample(PROPERTIES, row[None], None, None, hypotheses))
    return [*plain, *summed]


def _with(sample: Sample, j: int, value: float) -> Sample:
    """The source with another value; its hypotheses are moved on the scale by as much."""
    prop = PROPERTIES[j]
    scale = {"linear": lambda x: x, "log10": np.log10, "asinh": np.arcsinh}[prop.scale]
    back = {"linear": lambda x: x, "log10": lambda x: 10.0**x, "asinh": np.sinh}[prop.scale]
    shift = scale(value) - scale(sample.values[0, j])
    values = sample.values.copy()
    values[0, j] = value
    hypotheses = sample.hypotheses
    if hypotheses is not None and j in hypotheses.columns:
        table = hypotheses.values.copy()
        c = int(np.flatnonzero(hypotheses.columns == j)[0])
        table[:, c] = back(scale(table[:, c]) + shift)
        hypotheses = replace(hypotheses, values=table)
    return replace(sample, values=values, hypotheses=hypotheses)


def _called(model: Model, sample: Sample) -> str:
    return model.classes[int(classify(model, sample).class_index[0])]


def test_beyond_the_threshold_another_class_leads(model: Model) -> None:
    n = 0
    for sample in _samples():
        best = _called(model, sample)
        changes, *_ = what_if(model, sample)
        for c in changes:
            j = [p.name for p in PROPERTIES].index(c.property)
            assert c.value == sample.values[0, j] and (c.threshold > c.value) == (c.direction == "above")
            # the threshold is known to a small part of a step of the table
            part = 0.002 * PROPERTIES[j].width * (1 if c.direction == "above" else -1)
            scale = {"linear": 0.0, "log10": c.threshold * np.log(10), "asinh": np.hypot(1, c.threshold)}
            little = part * (scale[PROPERTIES[j].scale] or 1.0)
            edge = abs(c.threshold) > 0.99 and c.property == "hr1"
            if not edge:
                assert _called(model, _with(sample, j, c.threshold + little)) == c.to != best
            for share in (0.25, 0.75):
                on_the_way = c.value + share * (c.threshold - little - c.value)
                if (on_the_way - c.value) * little > 0:
                    assert _called(model, _with(sample, j, on_the_way)) == best
            n += 1
        spreads = [c.spreads for c in changes]
        assert spreads == sorted(spreads) and all(s >= 0 for s in spreads)
    assert n > 60


def test_what_is_not_told_cannot_change_the_answer(model: Model) -> None:
    for sample in _samples(20):
        best = _called(model, sample)
        told = {c.property for c in what_if(model, sample)[0]}
        for j, prop in enumerate(PROPERTIES):
            if prop.name in told or not np.isfinite(sample.values[0, j]):
                continue
            for x in np.linspace(prop.low, prop.high, 61)[1:-1]:
                value = {"linear": x, "log10": 10.0**x, "asinh": np.sinh(x)}[prop.scale]
                assert _called(model, _with(sample, j, float(value))) == best


def test_without_a_property_nobody_has_looked(model: Model) -> None:
    for sample in _samples(12):
        _, without, _ = what_if(model, sample)
        assert [w.property for w in without] == [p.name for p in PROPERTIES]
        for j, w in enumerate(without):
            values = sample.values.copy()
            values[0, j] = NOT_OBSERVED
            hypotheses = sample.hypotheses
            if hypotheses is not None and j in hypotheses.columns:
                table = hypotheses.values.copy()
                table[:, list(hypotheses.columns).index(j)] = NOT_OBSERVED
                hypotheses = replace(hypotheses, values=table)
            p = classify(model, replace(sample, values=values, hypotheses=hypotheses)).p[0]
            assert [w.posterior[c] for c in CLASSES] == pytest.approx(p.tolist()) and w.to == CLASSES[int(p.argmax())]


def test_what_was_never_looked_for_is_not_told(model: Model) -> None:
    sample = Sample(PROPERTIES, np.array([[0.1, NOT_OBSERVED, np.nan, NOT_OBSERVED]]))
    changes, without, _ = what_if(model, sample)
    assert {c.property for c in changes} <= {"hr1"} and [w.property for w in without] == ["hr1", "pm_mas_yr"]
    nothing = Sample(PROPERTIES, np.full((1, 4), NOT_OBSERVED))
    assert what_if(model, nothing)[:2] == ((), ())


def test_a_value_on_a_wall_and_one_beyond_a_table(model: Model) -> None:
    for values in ([1.0, 0.2, 1.0, 0.1], [0.1, 40.0, 1.0, 0.1], [0.1, 0.2, 1e-9, 0.1]):
        sample = Sample(PROPERTIES, np.array([values]))
        for c in what_if(model, sample)[0]:
            j = [p.name for p in PROPERTIES].index(c.property)
            low, high = {"linear": (-7.0, 5.0), "log10": (0.01, 1e4), "asinh": (np.sinh(-3), np.sinh(8))}[
                PROPERTIES[j].scale
            ]
            assert low <= c.threshold <= high and np.isfinite(c.spreads)


def test_categories_are_taken_away_whole(model: Model) -> None:
    for sample in _samples(15):
        p, without = posterior(model, sample)
        np.testing.assert_array_equal(p, (whole := classify(model, sample)).p)
        assert without[:, 0].argmax(axis=1).tolist() == whole.class_without[0].tolist()
        for t, q in enumerate(without[:, 0]):
            kept = (model.category_index != t)[:, None, None]
            assert q == pytest.approx(classify(replace(model, mixing=model.mixing * kept), sample).p[0], abs=1e-12)
