"""Replicates of a model in the database: read back as they were, and the same errors from SQL alone."""

from __future__ import annotations

import json

import numpy as np

from xcat.classifier import FitOptions, Sample, classify, fit
from xcat.columns.properties import select
from xcat.config import Settings
from xcat.database import runs
from xcat.database.connection import ready
from xcat.models import store


def test_errors_in_sql_are_those_of_python(settings: Settings) -> None:
    properties = select(["abs_b", "hr1", "log_fx_fr", "bp_rp"])
    rng = np.random.default_rng(1)
    n = 240
    label = rng.integers(0, 2, n)
    x = np.stack(
        [
            np.clip(rng.normal(30 + 20 * label, 20), 0, 90),
            np.clip(rng.normal(0.3 * label, 0.5), -1, 1),
            rng.normal(label - 1.0, 1.0),
            rng.normal(0.5 + label, 0.7),
        ],
        axis=1,
    ).astype(np.float32)
    x[::6, 2], x[1::9, 1], x[2::9, 3], x[3::40, 1] = np.nan, np.nan, np.inf, -5.0
    errors, limits = np.full(x.shape, np.nan, np.float32), np.full(x.shape, np.nan, np.float32)
    errors[:, 1], limits[::12, 2] = rng.lognormal(-2.5, 1.5, n), 1.5
    sample = Sample(properties, x, errors, limits)
    options = FitOptions(pairs=(("log_fx_fr", "bp_rp"),), smoothing=1.0, replicates=5)
    model, _ = fit(sample, label, None, ("AGN", "XRB"), np.array([0.6, 0.4]), options, n_folds=2)
    with runs.stage(settings, "fit", "replicates", {}) as run:
        store.store(run.conn, run.run_id, model)
    with ready(settings) as conn:
        read = store.load(conn, run.run_id)
        assert read.replicates is not None and model.replicates is not None
        np.testing.assert_array_equal(read.replicates.offsets, model.replicates.offsets)
        for a, b in zip(read.replicates.terms, model.replicates.terms, strict=True):
            np.testing.assert_array_equal(a, b)
        ((n_bytes,),) = conn.execute("SELECT pg_total_relation_size('xcat.likelihood_replicate')").fetchall()
        assert n_bytes < 10e6
        found = classify(model, sample)
        for i in range(0, n, 4):
            row: dict[str, float | bool | None] = {"observed_optical": bool(x[i, 3] != np.inf)}
            for j, prop in enumerate(properties):
                value = float(x[i, j])
                row[prop.name] = None if np.isnan(value) or (j == 3 and np.isinf(value)) else value
            row["hr1_err"] = float(errors[i, 1])
            row["log_fx_fr_limit"] = None if np.isnan(limits[i, 2]) else float(limits[i, 2])
            if x[i, 3] == np.inf:
                continue
            query = (
                "SELECT class, stddev_samp(p), count(*) FROM pub.posterior_replicates(%s, %s::jsonb)"
                " GROUP BY 1 ORDER BY 1"
            )
            of_class = conn.execute(query, [run.run_id, json.dumps(row)]).fetchall()
            assert [each[2] for each in of_class] == [5, 5]
            assert np.abs(np.array([each[1] for each in of_class]) - found.p_err[i]).max() < 1e-5, (i, row)
