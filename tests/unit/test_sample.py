"""Samples: taking sources and properties, and hypotheses as rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xcat.classifier import Hypotheses, Property, Sample

PROPERTIES = tuple(Property(f"p{j}", "location", "linear", -10.0, 10.0, False, False) for j in range(4))


def sample(sizes, seed=0, dtype=np.float64):
    """Sources with as many hypotheses as said, which depend on the properties 3 and 1, in this order."""
    rng = np.random.default_rng(seed)
    n, owner = len(sizes), np.repeat(np.arange(len(sizes)), sizes)
    hypotheses = Hypotheses.of(owner, rng.random(owner.size) + 0.1, [3, 1], rng.random((owner.size, 2)), n)
    made = (rng.normal(size=(n, 4)).astype(dtype) for _ in range(3))
    return Sample(PROPERTIES, *made, hypotheses)


def test_rows_are_the_hypotheses_and_the_sources_that_have_none():
    s = sample([2, 0, 3])
    rows, weight, source = s.rows()
    assert source.tolist() == [0, 0, 1, 2, 2, 2]
    assert np.bincount(source, weight) == pytest.approx(np.ones(3))
    np.testing.assert_array_equal(rows.values[2], s.values[1])
    assert weight[2] == 1.0
    h = s.hypotheses
    np.testing.assert_array_equal(rows.values[[0, 1, 3, 4, 5]][:, [3, 1]], h.values)
    np.testing.assert_array_equal(rows.values[:, [0, 2]], s.values[source][:, [0, 2]])
    np.testing.assert_array_equal(rows.errors, s.errors[source])
    np.testing.assert_array_equal(rows.limits, s.limits[source])
    assert h.source.tolist() == [0, 0, 2, 2, 2]
    assert rows.hypotheses is None


def test_without_hypotheses_every_source_is_a_row():
    s = sample([2, 0, 3]).best_match()
    rows, weight, source = s.rows()
    assert rows is s
    assert weight.tolist() == [1, 1, 1]
    assert source.tolist() == [0, 1, 2]


@settings(deadline=None, max_examples=60)
@given(sizes=st.lists(st.integers(0, 4), min_size=1, max_size=12), data=st.data())
def test_taking_sources_takes_their_hypotheses(sizes, data):
    s = sample(sizes)
    chosen = data.draw(st.lists(st.integers(0, len(sizes) - 1), max_size=8))
    taken = s.take(np.array(chosen, dtype=int))
    rows, weight, source = s.rows()
    rows_taken, weight_taken, source_taken = taken.rows()
    where = np.concatenate([np.flatnonzero(source == i) for i in chosen]) if chosen else np.zeros(0, int)
    np.testing.assert_array_equal(rows_taken.values, rows.values[where])
    np.testing.assert_array_equal(weight_taken, weight[where])
    np.testing.assert_array_equal(np.array(chosen, dtype=int)[source_taken], source[where])
    mask = np.isin(np.arange(len(sizes)), chosen)
    np.testing.assert_array_equal(s.take(mask).values, s.values[mask])
    assert len(s.take(mask).hypotheses.p) == np.array(sizes)[mask].sum()


def test_selecting_properties_selects_those_of_the_hypotheses():
    s = sample([2, 0, 3])
    rows = s.rows()[0]
    few = s.select(["p3", "p0"])
    np.testing.assert_array_equal(few.rows()[0].values, rows.values[:, [3, 0]])
    assert few.hypotheses.columns.tolist() == [0]
    both = s.select(["p1", "p2", "p3"])
    np.testing.assert_array_equal(both.rows()[0].values, rows.values[:, [1, 2, 3]])
    np.testing.assert_array_equal(both.errors, s.errors[:, [1, 2, 3]])
    none = s.select(["p0"])
    assert none.hypotheses.columns.size == 0
    np.testing.assert_array_equal(none.rows()[0].values, rows.values[:, [0]])


def test_no_sources_and_no_hypotheses():
    empty = Sample(PROPERTIES, np.empty((0, 4)), hypotheses=Hypotheses.of([], [], [1], np.empty((0, 1)), 0))
    assert len(empty) == 0
    assert len(empty.rows()[0]) == 0
    nobody = Sample(PROPERTIES, np.zeros((2, 4)), hypotheses=Hypotheses.of([], [], [1], np.empty((0, 1)), 2))
    rows, weight, source = nobody.rows()
    np.testing.assert_array_equal(rows.values, np.zeros((2, 4)))
    assert (weight.tolist(), source.tolist()) == ([1, 1], [0, 1])


def test_single_precision_stays_single():
    assert sample([1, 2], dtype=np.float32).rows()[0].values.dtype == np.float32
    assert Sample(PROPERTIES, np.ones((2, 4), dtype=int)).values.dtype == np.float64


def test_what_does_not_fit_together_is_refused():
    with pytest.raises(ValueError, match="must be sorted by source"):
        Hypotheses.of([1, 0], [0.5, 0.5], [0], np.zeros((2, 1)), 2)
    with pytest.raises(ValueError, match="source numbers from 0 to 1"):
        Hypotheses.of([0, 2], [0.5, 0.5], [0], np.zeros((2, 1)), 2)
    for bad in (0.0, -0.1, np.nan):
        with pytest.raises(ValueError, match="must be positive"):
            Hypotheses.of([0, 1], [0.5, bad], [0], np.zeros((2, 1)), 2)
    with pytest.raises(ValueError, match="have shapes"):
        Hypotheses.of([0, 1], [0.5, 0.5], [0, 1], np.zeros((2, 1)), 2)
    with pytest.raises(ValueError, match="hypotheses of 2 sources, values of 3"):
        Sample(PROPERTIES, np.zeros((3, 4)), hypotheses=sample([1, 1]).hypotheses)
    with pytest.raises(ValueError, match="errors of 2 sources, values of 3"):
        Sample(PROPERTIES, np.zeros((3, 4)), np.zeros((2, 4)))
    with pytest.raises(ValueError, match="one column per property"):
        Sample(PROPERTIES, np.zeros((3, 4)), limits=np.zeros((3, 2)))
