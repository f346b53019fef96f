"""Models between the database and the classifier: rows to arrays and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from xcat.classifier.model import Model
from xcat.database.engine import Connection
from xcat.database.sqlfiles import job
from xcat.errors import XcatError
from xcat.properties.compute import select


def store(conn: Connection, run_id: int, model: Model) -> None:
    """Write a model and its tables as rows of the run."""
    category = [model.categories[i] for i in model.property_category]
    names = [p.name for p in model.properties]
    conn.execute(
        job("fit.add_model").compose(),
        {
            "run_id": run_id,
            "classes": list(model.classes),
            "priors": model.priors.tolist(),
            "n_reference": model.n_reference.tolist(),
            "categories": list(model.categories),
            "weights": model.weights.tolist(),
            "properties": names,
            "property_category": category,
            "sharpness": model.sharpness,
            "offsets": None if model.fitted_offsets is None else model.fitted_offsets.tolist(),
            "outlier_limit": model.outlier_limit,
        },
    )
    n_nodes = model.log_density.shape[1]
    exponents = model.term_exponents
    rows = [
        {
            "run_id": run_id,
            "property": names[j],
            "category": category[j],
            "class": model.classes[k],
            "grid": (model.low[j] + model.step[j] * np.arange(n_nodes)).tolist(),
            "log_density": model.log_density[j, :, k].tolist(),
            "tail_slope": float(model.tail_slope[j]),
            "exponent": float(exponents[j, k]),
            "log_present": float(model.log_present[j, k]),
            "log_missing": float(model.log_missing[j, k]),
            "bandwidth": None if np.isnan(model.bandwidth[j, k]) else float(model.bandwidth[j, k]),
            "n_present": int(model.n_present[j, k]),
        }
        for j in range(len(names))
        for k in range(len(model.classes))
    ]
    with conn.cursor() as cursor:
        cursor.executemany(job("fit.add_table").compose(), rows)


def load(conn: Connection, run_id: int) -> Model:
    """Read the model of a fit run.

    Raises
    ------
    XcatError
        The run made no model.
    """
    row = conn.execute(job("fit.model").compose(), {"run_id": run_id}).fetchone()
    if row is None:
        raise XcatError(f"run {run_id} made no model. See: xcat runs")
    classes, priors, n_reference, categories, weights, properties, _, sharpness, offsets, limit = row
    p, k = len(properties), len(classes)
    tables: dict[tuple[str, str], tuple[Any, ...]] = {
        (r[0], r[1]): r[2:] for r in conn.execute(job("fit.tables").compose(), {"run_id": run_id})
    }
    n_nodes = len(next(iter(tables.values()))[0])
    arrays = {
        "log_density": np.empty((p, n_nodes, k)), "log_present": np.empty((p, k)), "log_missing": np.empty((p, k)),
        "bandwidth": np.empty((p, k)), "n_present": np.empty((p, k), dtype=np.int64), "low": np.empty(p),
        "step": np.empty(p), "tail_slope": np.empty(p), "fitted_exponents": np.empty((p, k)),
    }  # fmt: skip
    for j, prop in enumerate(properties):
        for c, name in enumerate(classes):
            grid, density, slope, exponent, present, missing, bandwidth, n_present = tables[prop, name]
            arrays["log_density"][j, :, c] = density
            arrays["low"][j], arrays["step"][j] = grid[0], (grid[-1] - grid[0]) / (n_nodes - 1)
            arrays["tail_slope"][j], arrays["fitted_exponents"][j, c] = slope, exponent
            arrays["log_present"][j, c], arrays["log_missing"][j, c] = present, missing
            arrays["bandwidth"][j, c] = np.nan if bandwidth is None else bandwidth
            arrays["n_present"][j, c] = n_present
    if offsets is None:  # the exponents follow from the weights
        del arrays["fitted_exponents"]
    return Model(
        classes=tuple(classes),
        properties=select(properties),
        priors=np.array(priors),
        weights=np.array(weights),
        categories=tuple(categories),
        sharpness=sharpness,
        log_peak=arrays["log_density"].max(axis=1),
        n_reference=np.array(n_reference, dtype=np.int64),
        outlier_limit=limit,
        fitted_offsets=None if offsets is None else np.array(offsets),
        **arrays,  # type: ignore[arg-type]
    )
