"""The stages after the labels: fit, classify, publish."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace

import numpy as np

from xcat import progress
from xcat.classifier import Model, Sample, classify, evidence, fit, summarise
from xcat.classifier.priors import estimate, reweighted, sky_prior
from xcat.database import partitions
from xcat.database.engine import connect
from xcat.database.runs import Run
from xcat.database.sqlfiles import dicts, job
from xcat.errors import StageError
from xcat.jobs import answers, models, samples
from xcat.jobs.pipeline import Pipeline

_CHUNK_ROWS = 50_000


def fit_stage(run: Run, pipeline: Pipeline, runs: Mapping[str, int]) -> None:
    """Fit the likelihood tables on the labelled sources and cross-validate them.

    Parameters
    ----------
    run : Run
    pipeline : Pipeline
    runs : mapping
        Run of "merge", "label" and "properties".

    Raises
    ------
    StageError
        A class has fewer labelled sources than folds.
    """
    conn, classes = run.conn, pipeline.class_names
    source_id, sample, label, cell = samples.labelled(conn, pipeline, runs)
    counts = np.bincount(label, minlength=len(classes))
    few = [f"{name} ({n})" for name, n in zip(classes, counts, strict=True) if n < pipeline.folds]
    if few:
        raise StageError(
            f"too few labelled sources for {pipeline.folds} folds: {', '.join(few)}. "
            "Add reference catalogues, or leave the class out of the pipeline."
        )
    given = np.array(list(pipeline.class_priors.values()))
    given = given / given.sum()
    with run.step("fit"), progress.bar(f"fit: {len(label)} labelled sources, {pipeline.folds} folds"):
        model, validation = fit(sample, label, cell, classes, given, pipeline.fit_options, pipeline.folds)
    p = validation.p
    if pipeline.priors != "given":
        with run.step("priors"):
            model, p = _with_priors(run, pipeline, model, p, sample, runs)
    models.store(conn, run.run_id, model)
    names = np.array([c.encode() for c in classes])
    partitions.write(
        conn,
        "out_of_fold",
        run.run_id,
        [
            {
                "run_id": np.full(len(label), run.run_id, np.int32),
                "source_id": source_id,
                "class": names[label],
                "fold": validation.fold.astype(np.int16),
                "p": answers.probabilities(p),
                "outlier": validation.outlier.astype(np.float32),
            }
        ],
    )
    run.summary |= {
        "n_reference": dict(zip(classes, counts.tolist(), strict=True)),
        "weights": dict(zip(model.categories, model.weights.tolist(), strict=True)),
        "sharpness": model.sharpness,
        "sharpness_per_fold": [m.sharpness for m in validation.models],
        "smoothing": model.smoothing,
        "smoothing_per_fold": [m.smoothing for m in validation.models],
        "inverse_ridge": model.inverse_ridge,
        "inverse_ridge_per_fold": [m.inverse_ridge for m in validation.models],
        "priors": dict(zip(classes, model.priors.tolist(), strict=True)),
        "priors_given": dict(zip(classes, given.tolist(), strict=True)),
        "out_of_fold": summarise(p, label, classes, model.priors),
    }


def classify_stage(
    run: Run, property_run_id: int, label_run_id: int, model_run_id: int, best_match: bool = False
) -> None:
    """Classify every source of a properties run, in one pass of bounded memory.

    Parameters
    ----------
    run : Run
    property_run_id, label_run_id, model_run_id : int
    best_match : bool
        Take the accepted counterpart for certain; else the posterior is the mean over the hypotheses.
    """
    model = models.load(run.conn, model_run_id)
    total = run.conn.execute(job("classify.count").compose(), {"property_run_id": property_run_id}).fetchone()
    n_sources = total[0] if total else 0
    layout = samples.Layout.of_model(model, best_match)
    with (
        run.step("classify"),
        # COPY out and COPY in at the same time need sessions of their own; the properties are long committed
        connect(run.settings) as reader,
        connect(run.settings) as second,
        closing(samples.every_source(reader, second, layout, property_run_id, _CHUNK_ROWS)) as pieces,
        progress.bar(f"classify: {n_sources} sources", n_sources) as advance,
    ):

        def blocks() -> Iterator[dict[str, np.ndarray]]:
            for rows, sample in pieces:
                result = classify(model, sample)
                n = len(rows)
                yield {
                    "run_id": np.full(n, run.run_id, np.int32),
                    "source_id": rows["source_id"],
                    **answers.columns(model, result, rows["is_classifiable"]),
                }
                advance(n)

        partitions.write(run.conn, "classification", run.run_id, blocks())
    cursor = run.conn.execute(
        job("classify.totals").compose(),
        {"run_id": run.run_id, "model_run_id": model_run_id, "label_run_id": label_run_id},
    )
    run.summary |= {"n_sources": n_sources, "totals": dicts(cursor)}


def _with_priors(
    run: Run, pipeline: Pipeline, model: Model, p: np.ndarray, sample: Sample, runs: Mapping[str, int]
) -> tuple[Model, np.ndarray]:
    """Let the catalogue tell the priors; the out-of-fold probabilities of the sample follow."""
    layout = samples.Layout.of_model(model, pipeline.best_match)
    kept: list[np.ndarray] = []
    sky: list[np.ndarray] = []
    ids: list[np.ndarray] = []
    axes = [[q.name for q in model.properties].index(name) for name in pipeline.sky_axes]
    with connect(run.settings) as reader, connect(run.settings) as second:
        for rows, piece in samples.every_source(reader, second, layout, runs["properties"], _CHUNK_ROWS):
            ids.append(rows["source_id"].astype(np.int64))
            kept.append(classify(model, piece).p)
            sky.append(piece.values[:, axes])
    # sums over the sources must not depend on their numbers
    order = samples.places(run.conn, runs["merge"], np.concatenate(ids))
    everywhere = np.concatenate(kept)[order]
    if pipeline.priors == "estimate":
        priors = estimate(everywhere, model.priors)
        return replace(model, priors=priors), reweighted(p, model.priors, priors)
    found = sky_prior(model, everywhere, np.concatenate(sky)[order], pipeline.sky_axes)
    # the pair of the prior is the last term
    return found, reweighted(p, np.ones(1), np.exp(evidence(found, sample)[:, -1].astype(np.float64)))
