"""Samples and models between the database and the classifier: nothing is lost, moved or rounded on the way."""

from __future__ import annotations

from contextlib import closing
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Boolean
from tiny import load, merge, sources, write

from xcat.classifier import CATEGORIES, Hypotheses, Sample, classify, fit_tables
from xcat.classifier.priors import sky_prior
from xcat.columns.properties import select
from xcat.config import Settings
from xcat.database.connection import connect, ready
from xcat.database.runs import stage
from xcat.database.schema import RUN_TABLES
from xcat.errors import XcatError
from xcat.jobs.pipeline import Pipeline
from xcat.models import samples, store

pytestmark = pytest.mark.slow

NAMES = ["abs_b", "pm_mas_yr", "hr1", "log_fx", "log_fx_fr", "log_fx_fw1"]
DEPENDENT = ["pm_mas_yr", "log_fx_fr", "log_fx_fw1"]
N = 40
CLASSES = ("AGN", "Star")


def _values(n: int = N) -> dict[str, Any]:
    """Property rows with every kind of gap; source n is not covered by infrared if n is a multiple of 5."""
    rng = np.random.default_rng(1)
    flags = {c.name: True for c in RUN_TABLES["property"].columns if isinstance(c.type, Boolean)}
    gap = lambda x, every, rest: [None if i % every == rest else float(np.float32(v)) for i, v in enumerate(x)]  # noqa: E731
    return {
        **flags,
        "observed_infrared": [i % 5 != 0 for i in range(n)],
        "n_detections": 1,
        "abs_b": gap(rng.uniform(0, 90, n), n + 1, 0),
        "pm_mas_yr": gap(rng.uniform(1, 50, n), 3, 0),
        "hr1": gap(rng.uniform(-1, 1, n), 7, 1),
        "hr1_err": gap(rng.uniform(0.01, 0.3, n), 4, 1),
        "log_fx": gap(rng.uniform(-15, -11, n), n + 1, 0),
        "log_fx_err": gap(rng.uniform(0.01, 0.3, n), 6, 1),
        "log_fx_fr": gap(rng.normal(0, 1, n), 3, 0),
        "log_fx_fr_limit": gap(rng.normal(0, 1, n), 2, 0),
        "log_fx_fw1": gap(rng.normal(0, 1, n), 5, 0),
        "log_fx_fw1_limit": gap(rng.normal(0, 1, n), 9, 0),
    }


def _hypotheses(source_id: list[int]) -> dict[str, Any]:
    """Source n has n modulo 4 hypotheses; rank 0 is "none", without anything."""
    size = np.arange(len(source_id)) % 4
    owner = np.repeat(np.arange(len(source_id)), size)
    rank = np.concatenate([np.arange(s) for s in size])
    rng = np.random.default_rng(2)
    p = rng.uniform(0.1, 1.0, owner.size)
    p /= np.bincount(owner, p)[owner]
    value = {name: [None if r == 0 else float(np.float32(rng.normal())) for r in rank] for name in DEPENDENT}
    return {"source_id": [source_id[i] for i in owner], "rank": rank.tolist(), "p_hypothesis": p.tolist(), **value}


@pytest.fixture(scope="module")
def runs(module_settings: Settings) -> dict[str, int]:
    """A merge run with 40 sources, their properties and hypotheses, and labels of three quarters of them.

    A second properties run and a second label run of the same sources must never be read.
    """
    xray = load(module_settings, "xray_sources", {"ra": [0.0] * N, "dec": [float(i) for i in range(N)]})
    merged = merge(module_settings, xray)
    ids = [s["source_id"] for s in sorted(sources(module_settings, merged), key=lambda s: s["source_id"])]
    found: dict[str, int] = {"merge": merged}
    for name in ("properties", "other"):
        with stage(module_settings, "properties", name, {"n": name}, source_run_id=merged) as run:
            pass
        changed = {"abs_b": 1.0} if name == "other" else {}
        write(module_settings, "property", run.run_id, {"source_id": ids, **_values(), **changed})
        write(module_settings, "hypothesis_property", run.run_id, _hypotheses(ids))
        found[name] = run.run_id
    for name, status in (("label", "used"), ("other_label", "conflict")):
        with stage(module_settings, "label", name, {"n": name}, source_run_id=merged) as run:
            pass
        labelled = [i for i in range(N) if i % 4 != 1]
        # beside the label in use there may be a duplicate of another catalogue: the source is there once
        block = {
            "source_id": [ids[i] for i in labelled] * 2,
            "catalogue_id": [7] * len(labelled) + [8] * len(labelled),
            "object_id": [i + 1 for i in labelled] * 2,
            "class": [("AGN", "Star", "XRB")[i % 3] for i in labelled] * 2,
            "origin": "test", "sep_arcsec": 0.1,
            "status": [status] * len(labelled) + ["duplicate"] * len(labelled),
        }  # fmt: skip
        write(module_settings, "label", run.run_id, block, 2 * len(labelled))
        found[name] = run.run_id
    return found


def _pipeline(**changes: Any) -> Pipeline:
    base = {
        "name": "p",
        "xray": [{"catalogue": "x"}],
        "references": [{"catalogue": "r"}],
        "classes": {"AGN": 0.7, "Star": 0.3},
        "properties": NAMES,
    }
    return Pipeline.model_validate(base | changes)


def _labelled(conn, pipeline: Pipeline, runs: dict[str, int]):
    return samples.labelled(conn, pipeline.layout, pipeline.class_names, runs)


def _expected(absence: bool = True) -> np.ndarray:
    data = _values()
    x = np.array([[np.nan if v is None else v for v in data[name]] for name in NAMES]).T
    looked = np.array(data["observed_infrared"])
    x[~looked & np.isnan(x[:, 5]), 5] = np.inf
    # a motion is missing for want of the counterpart whose absence the limit counts
    limited = np.array([v is not None for v in data["log_fx_fr_limit"]])
    x[np.isnan(x[:, 1]) & np.isnan(x[:, 4]) & limited & absence, 1] = np.inf
    return x


# --- layout -----------------------------------------------------------------------------------------------


def test_a_layout_asks_for_each_column_once() -> None:
    layout = samples.Layout(select(NAMES), NAMES, NAMES)
    assert layout.reals == [*NAMES, "hr1_err", "log_fx_err", "log_fx_fr_limit", "log_fx_fw1_limit"]
    assert layout.flags == ["observed_optical", "observed_infrared"]
    assert layout.error == [None, None, "hr1_err", "log_fx_err", "log_fx_err", "log_fx_err"]
    assert [name for name, _ in layout.hypothesis_columns] == DEPENDENT
    plain = samples.Layout(select(NAMES), hypotheses=False)
    assert plain.reals == NAMES
    assert plain.hypothesis_columns == []


def test_a_model_asks_for_what_its_tables_know() -> None:
    rng = np.random.default_rng(0)
    x, label = rng.normal(size=(200, 6)), rng.integers(0, 2, 200)
    x[::3, 4] = np.nan
    errors, limits = np.full(x.shape, np.nan), np.full(x.shape, np.nan)
    errors[:, 2], limits[:, 4] = 0.1, 0.0
    model = fit_tables(Sample(select(NAMES), x, errors, limits), label, CLASSES, [0.5, 0.5])
    layout = samples.Layout.of_model(model, best_match=True)
    assert layout.reals == [*NAMES, "hr1_err", "log_fx_fr_limit"]
    assert layout.dependent == []
    assert samples.Layout.of_model(model, best_match=False).dependent == [1, 4, 5]


# --- labelled sources -------------------------------------------------------------------------------------


def test_labelled_sources_are_read_as_they_are(module_settings: Settings, runs: dict[str, int]) -> None:
    with ready(module_settings) as conn:
        source_id, sample, label, group, is_classifiable, kind = _labelled(conn, _pipeline(), runs)
        (everyone,) = conn.execute("SELECT array_agg(source_id ORDER BY source_id) FROM xcat.source").fetchone() or ()
    chosen = np.array([i for i in range(N) if i % 4 != 1 and i % 3 != 2])  # an XRB is no class of this pipeline
    np.testing.assert_array_equal(source_id, np.array(everyone)[chosen])
    np.testing.assert_array_equal(label, chosen % 3)
    with ready(module_settings) as conn:
        rows = conn.execute(
            "SELECT is_classifiable FROM xcat.property WHERE run_id = %s AND source_id = ANY (%s) ORDER BY source_id",
            [runs["properties"], source_id.tolist()],
        ).fetchall()
    assert is_classifiable.tolist() == [flag for (flag,) in rows]
    assert np.unique(group).size > 10
    assert not kind.astype(bool).any()
    np.testing.assert_array_equal(sample.values, _expected()[chosen].astype(np.float32))
    data = _values()
    for j, name in ((2, "hr1_err"), (3, "log_fx_err"), (5, "log_fx_err")):
        errors = np.array([np.nan if v is None else v for v in data[name]])[chosen]
        np.testing.assert_array_equal(sample.errors[:, j], errors)
    limits = np.array([np.nan if v is None else v for v in data["log_fx_fw1_limit"]])[chosen]
    np.testing.assert_array_equal(sample.limits[:, 5], limits)
    assert np.isnan(sample.limits[:, :4]).all()
    np.testing.assert_array_equal(np.diff(sample.hypotheses.start), chosen % 4)
    # of an uncovered source every hypothesis is uncovered, too; "none" of a covered one is not there
    h = sample.hypotheses
    first = h.start[:-1][chosen % 4 > 0]
    uncovered = (chosen % 5 == 0)[chosen % 4 > 0]
    np.testing.assert_array_equal(np.isinf(h.values[first, 2]), uncovered)
    np.testing.assert_array_equal(np.isnan(h.values[first, 2]), ~uncovered)
    assert np.isnan(h.values[first, 1]).all()


def test_what_a_pipeline_does_not_want_is_not_read(module_settings: Settings, runs: dict[str, int]) -> None:
    with ready(module_settings) as conn:
        plain = _labelled(conn, _pipeline(errors=False, limits=False, best_match=True), runs)[1]
        full = _labelled(conn, _pipeline(), runs)[1]
        nobody = _labelled(conn, _pipeline(), runs | {"label": runs["other_label"]})
    assert (plain.errors, plain.limits, plain.hypotheses) == (None, None, None)
    absent = full.values[:, 1] == np.inf  # without limits nothing else counts the absence
    assert absent.any() and np.isnan(plain.values[absent, 1]).all()
    plain.values[absent, 1] = np.inf
    np.testing.assert_array_equal(plain.values, full.values)
    assert len(nobody[1]) == 0


# --- every source -----------------------------------------------------------------------------------------


def _every(settings: Settings, runs: dict[str, int], chunk: int, **options: Any) -> tuple[list[int], list[Sample]]:
    layout = samples.Layout(select(NAMES), NAMES, NAMES, **options)
    with (
        connect(settings) as reader,
        connect(settings) as second,
        closing(samples.every_source(reader, second, layout, runs["properties"], chunk)) as pieces,
    ):
        found = list(pieces)
    ids = np.concatenate([rows["source_id"] for rows, _ in found])
    return ids.tolist(), [sample for _, sample in found]


@pytest.mark.parametrize("chunk", [1, 3, 7, N, 1000])
def test_both_streams_are_cut_at_the_same_sources(module_settings: Settings, runs: dict[str, int], chunk: int) -> None:
    ids, pieces = _every(module_settings, runs, chunk)
    assert ids == sorted(ids)
    assert [len(s) for s in pieces] == [min(chunk, N - i) for i in range(0, N, chunk)]
    np.testing.assert_array_equal(
        np.concatenate([s.values for s in pieces]), _expected(absence=False).astype(np.float32)
    )
    _, (whole,) = _every(module_settings, runs, 1000)
    rows = [s.rows() for s in pieces]
    wanted, weight, source = whole.rows()
    np.testing.assert_array_equal(np.concatenate([r.values for r, _, _ in rows]), wanted.values)
    np.testing.assert_array_equal(np.concatenate([r.errors for r, _, _ in rows]), wanted.errors)
    np.testing.assert_array_equal(np.concatenate([w for _, w, _ in rows]), weight)
    first = np.cumsum([0, *(len(s) for s in pieces[:-1])])
    np.testing.assert_array_equal(np.concatenate([i + f for f, (_, _, i) in zip(first, rows, strict=True)]), source)
    np.testing.assert_array_equal(np.bincount(source), np.maximum(np.arange(N) % 4, 1))


def test_without_hypotheses_there_is_one_stream(module_settings: Settings, runs: dict[str, int]) -> None:
    _, pieces = _every(module_settings, runs, 7, hypotheses=False)
    assert all(s.hypotheses is None for s in pieces)


def test_a_reader_who_stops_leaves_both_sessions_usable(module_settings: Settings, runs: dict[str, int]) -> None:
    layout = samples.Layout(select(NAMES), NAMES, NAMES)
    with connect(module_settings) as reader, connect(module_settings) as second:
        with closing(samples.every_source(reader, second, layout, runs["properties"], 3)) as pieces:
            next(pieces)
        for conn in (reader, second):
            conn.rollback()
            assert conn.execute("SELECT 1").fetchone() == (1,)


# --- models -----------------------------------------------------------------------------------------------


def _fitted() -> tuple[Any, Sample]:
    """A model with all that a model may have: errors, limits, atoms, pairs, a full mixing, a prior of the sky."""
    rng = np.random.default_rng(3)
    n = 600
    label = rng.integers(0, 3, n)
    x = rng.normal(0.3 * label[:, None], 1.0, (n, 6)) * [20, 1, 0.4, 1, 1, 1] + [40, 3, 0, -13, 0, 0]
    x[:, 1] = 10 ** x[:, 1].clip(-1, 3)
    x[:, 2] = x[:, 2].clip(-1, 1)
    x[::3, 4] = np.nan
    x[::7, 5] = np.inf
    errors, limits = np.full(x.shape, np.nan), np.full(x.shape, np.nan)
    errors[:, [2, 3]] = rng.lognormal(-2, 1, (n, 2))
    limits[::6, 4] = rng.normal(size=limits[::6, 4].shape)
    sample = Sample(select(NAMES), x, errors, limits, Hypotheses.of([1, 1], [0.3, 0.7], [4], [[0.0], [1.0]], n))
    priors = np.array([0.7, 0.2, 0.1])
    model = fit_tables(
        sample,
        label,
        ("AGN", "Star", "XRB"),
        priors,
        pairs=(("hr1", "log_fx_fr"),),
        smoothing=1.6,
        weights=[1.0, 0.0, 0.3, 2.0],
        sharpness=1.7,
    )
    model = replace(
        model,
        weighting="property",
        mixing=rng.normal(size=model.mixing.shape),
        offsets=rng.normal(size=3),
        outlier_levels=np.cumsum(rng.random(model.outlier_levels.shape), 1),
    )
    model = sky_prior(model, classify(model, sample).p, x[:, [0, 3]], ("abs_b", "log_fx"))
    return model, sample


def _stored(settings: Settings, model: Any) -> Any:
    with stage(settings, "fit", "tiny", {}) as run:
        store.store(run.conn, run.run_id, model)
    with ready(settings) as conn:
        return store.load(conn, run.run_id)


def _same(one: Any, other: Any, place: str) -> None:
    if isinstance(one, np.ndarray):
        np.testing.assert_array_equal(np.asarray(other), one, err_msg=place)
        assert other.dtype == one.dtype, place
    elif hasattr(one, "__dataclass_fields__"):
        for field in fields(one):
            _same(getattr(one, field.name), getattr(other, field.name), f"{place}.{field.name}")
    elif isinstance(one, tuple):
        assert len(one) == len(other), place
        for i, (a, b) in enumerate(zip(one, other, strict=True)):
            _same(a, b, f"{place}[{i}]")
    else:
        assert one == other, place


def test_a_model_comes_back_to_the_last_digit(module_settings: Settings) -> None:
    model, sample = _fitted()
    assert any(t.log_smeared is not None for t in model.tables)
    assert any(t.log_atoms is not None for t in model.tables)
    assert any(t.log_above is not None for t in model.tables)
    assert len(model.pairs) == 2
    loaded = _stored(module_settings, model)
    _same(model, loaded, "model")
    one, other = classify(model, sample), classify(loaded, sample)
    np.testing.assert_array_equal(one.p, other.p)
    np.testing.assert_array_equal(one.p_tail, other.p_tail)


def test_a_plain_model_comes_back_too(module_settings: Settings) -> None:
    x, label = np.random.default_rng(0).normal(size=(50, 2)), np.arange(50) % 2
    model = fit_tables(Sample(select(["log_fx_fr", "gamma"]), x), label, CLASSES, [0.5, 0.5])
    loaded = _stored(module_settings, model)
    _same(model, loaded, "model")
    assert loaded.categories == CATEGORIES
    assert loaded.pairs == ()


def test_a_run_without_a_model_says_so(module_settings: Settings, runs: dict[str, int]) -> None:
    with ready(module_settings) as conn, pytest.raises(XcatError, match=r"made no model. See: xcat runs"):
        store.load(conn, runs["merge"])
