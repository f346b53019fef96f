"""The stages after the labels: fit, classify, publish."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import numpy as np
from psycopg import sql

from xcat import progress
from xcat.classifier import CATEGORIES, classify, fit, summarise
from xcat.classifier.properties import Property
from xcat.database import copy, partitions
from xcat.database.engine import connect
from xcat.database.runs import Run
from xcat.database.sqlfiles import dicts, job
from xcat.errors import StageError
from xcat.jobs import models
from xcat.jobs.pipeline import Pipeline

_CHUNK_ROWS = 50_000


def _value_list(properties: tuple[Property, ...]) -> sql.Composable:
    return sql.SQL(", ").join(job("classify.value").compose(name=p.name) for p in properties)


def _matrix(rows: np.ndarray, properties: tuple[Property, ...]) -> np.ndarray:
    return np.stack([rows[p.name] for p in properties], axis=1).astype(np.float64)


def fit_stage(run: Run, pipeline: Pipeline, source_run_id: int, property_run_id: int, label_run_id: int) -> None:
    """Fit the likelihood tables on the labelled sources and cross-validate them."""
    conn, properties, classes = run.conn, pipeline.property_list, pipeline.class_names
    real = [(p.name, "real") for p in properties]
    rows = copy.fetch_columns(
        conn,
        job("fit.reference_sample").compose(values=_value_list(properties)),
        [("source_id", "bigint"), ("class_index", "integer"), ("sky_cell", "bigint"), *real],
        {
            "classes": classes,
            "source_run_id": source_run_id,
            "label_run_id": label_run_id,
            "property_run_id": property_run_id,
        },
    )
    counts = np.bincount(rows["class_index"], minlength=len(classes))
    few = [f"{name} ({n})" for name, n in zip(classes, counts, strict=True) if n < pipeline.folds]
    if few:
        raise StageError(
            f"too few labelled sources for {pipeline.folds} folds: {', '.join(few)}. "
            "Add reference catalogues, or leave the class out of the pipeline."
        )
    priors = np.array(list(pipeline.class_priors.values()))
    with run.step("fit"), progress.bar(f"fit: {len(rows)} labelled sources, {pipeline.folds} folds"):
        model, validation = fit(
            _matrix(rows, properties),
            rows["class_index"],
            rows["sky_cell"],
            properties,
            classes,
            priors / priors.sum(),
            None if pipeline.weights == "fit" else np.array([pipeline.weights[c] for c in CATEGORIES]),
            None if pipeline.sharpness == "fit" else float(pipeline.sharpness),
            pipeline.folds,
            pipeline.seed,
        )
    models.store(conn, run.run_id, model)
    names = np.array([c.encode() for c in classes])
    partitions.write(
        conn,
        "out_of_fold",
        run.run_id,
        [
            {
                "run_id": np.full(len(rows), run.run_id, np.int32),
                "source_id": rows["source_id"],
                "class": names[rows["class_index"]],
                "fold": validation.fold.astype(np.int16),
                "p": _probabilities(validation.p),
                "outlier": validation.outlier.astype(np.float32),
            }
        ],
    )
    run.summary |= {
        "n_reference": dict(zip(classes, counts.tolist(), strict=True)),
        "sharpness": model.sharpness,
        "sharpness_per_fold": validation.sharpness.tolist(),
        "outlier_limit": model.outlier_limit,
        "out_of_fold": summarise(validation.p, rows["class_index"], classes, model.priors),
    }


def _probabilities(p: np.ndarray) -> np.ndarray:
    # rounding to float32 can lift a probability over 1, which the table's CHECK refuses
    return np.clip(p, 0, 1).astype(np.float32)


def classify_stage(run: Run, property_run_id: int, label_run_id: int, model_run_id: int) -> None:
    """Classify every source of a properties run, in one pass of bounded memory."""
    model = models.load(run.conn, model_run_id)
    total = run.conn.execute(job("classify.count").compose(), {"property_run_id": property_run_id}).fetchone()
    n_sources = total[0] if total else 0
    real = [(p.name, "real") for p in model.properties]
    with (
        run.step("classify"),
        # COPY out and COPY in at the same time need two sessions; the properties are long committed
        connect(run.settings) as reader,
        # a COPY that is left in the middle is ended here, or the session would wait for it for ever
        closing(
            copy.copy_out(
                reader,
                job("classify.property_rows").compose(values=_value_list(model.properties)),
                [("source_id", "bigint"), ("in_test_sample", "boolean"), *real],
                {"property_run_id": property_run_id},
                chunk_rows=_CHUNK_ROWS,
            )
        ) as chunks,
        progress.bar(f"classify: {n_sources} sources", n_sources) as advance,
    ):

        def blocks() -> Iterator[dict[str, np.ndarray]]:
            for rows in chunks:
                result = classify(model, _matrix(rows, model.properties))
                n = len(rows)
                yield {
                    "run_id": np.full(n, run.run_id, np.int32),
                    "source_id": rows["source_id"],
                    "class_id": (result.class_index + 1).astype(np.int16),
                    "p": _probabilities(result.p),
                    "margin": _probabilities(result.margin),
                    "outlier": result.outlier.astype(np.float32),
                    "is_outlier": result.outlier > model.outlier_limit,
                    "n_missing": result.n_missing.astype(np.int16),
                    "class_without": (result.class_without + 1).astype(np.int16),
                    "in_test_sample": rows["in_test_sample"],
                    "evidence": result.evidence.reshape(n, -1),
                }
                advance(n)

        partitions.write(run.conn, "classification", run.run_id, blocks())
    cursor = run.conn.execute(
        job("classify.totals").compose(),
        {"run_id": run.run_id, "model_run_id": model_run_id, "label_run_id": label_run_id},
    )
    run.summary |= {"n_sources": n_sources, "totals": dicts(cursor)}


def publish_stage(run: Run, classify_run_id: int) -> None:
    """Make the views show a classify run; what they showed before stays on record."""
    run.conn.execute(job("classify.lock_publication").compose())
    run.conn.execute(job("classify.unpublish").compose())
    run.conn.execute(job("classify.publish").compose(), {"run_id": classify_run_id})
    run.summary["published_run_id"] = classify_run_id
