"""The evaluate stage: methods on the labelled sources of a pipeline, and storage of their out-of-fold answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from xcat.arrays import IntArray
from xcat.config import Settings
from xcat.database import copy, partitions
from xcat.database.connection import Connection, ready
from xcat.database.runs import Run
from xcat.database.sqlfiles import job
from xcat.errors import StageError
from xcat.evaluate import leakage
from xcat.evaluate.grouping import joined
from xcat.evaluate.protocol import (
    FOLD_KINDS,
    SECOND,
    Labelled,
    Method,
    Results,
    check,
    counterparts,
    evaluate,
    with_origin,
    workers,
)
from xcat.evaluate.second_origin import evaluate_second
from xcat.evaluate.studies import run_all
from xcat.ingest.load import checksum
from xcat.jobs.classes import rules
from xcat.jobs.pipeline import Pipeline, Plan
from xcat.jobs.runner import LINEAGE, Runner
from xcat.models.answers import probabilities
from xcat.models.samples import labelled

STUDY_FOLDS = 5
"""Of learning curve and ablation, which fit many models."""


def of_pipeline(settings: Settings, plan: Plan, answers: Sequence[str] = ()) -> tuple[Labelled, dict[str, int]]:
    """Labelled sources of a pipeline's finished runs, and the lineage columns of a run that reads them.

    `answers` names loaded reference catalogues whose classes are published answers.

    Raises
    ------
    StageError
        A stage before the labels has not been run, or a catalogue of answers is not loaded or has no labelled source.
    """
    runs = Runner(settings, plan).run(only="label")
    pipeline = plan.pipeline
    lineage = {column: runs[kind] for kind, column in LINEAGE.items() if kind in runs}
    types = {"source_id": "bigint", "master_id": "bigint", "catalogue_id": "smallint", "object_id": "bigint"}
    with ready(settings) as conn:
        source_id, sample, label, cell, _, kind = labelled(
            conn, pipeline.layout, pipeline.class_names, runs, pipeline.kind_names
        )
        if not label.size:
            raise StageError("no source has a label; see: xcat runs. Add reference catalogues to the pipeline.")
        query = job("evaluate.objects").compose()
        degrees = [("ra", "double precision"), ("dec", "double precision")]
        rows = copy.fetch_columns(conn, query, [*types.items(), ("log_fx", "real"), *degrees], lineage)
        place = np.searchsorted(rows["source_id"], source_id)
        rows = rows[place]
        origins = conn.execute(job("evaluate.origins").compose(), lineage).fetchall()
        origin = np.array([name for _, name in origins], dtype=str)[place]
        published = {name: _published(conn, pipeline, name, source_id, lineage) for name in answers}
    priors, log_fx = np.array(list(pipeline.class_priors.values())), rows["log_fx"].astype(np.float64)
    objects = np.stack([rows["catalogue_id"].astype(np.int64), rows["object_id"]], axis=1)
    groups = {"source": joined(rows["master_id"], objects), "sky": cell}
    classes, priors = tuple(pipeline.class_names), priors / priors.sum()
    position = np.stack([rows["ra"], rows["dec"]], axis=1)
    data = Labelled(
        source_id, sample, label, groups, classes, priors, log_fx, counterparts(sample), published, position, kind=kind
    )
    return with_origin(data, origin), lineage


def file_of(path: Path) -> dict[str, Any]:
    """Name and checksum of a file that a run reads."""
    return {"file_name": path.name, "sha256": checksum(path).sha256}


def evaluate_stage(
    run: Run,
    data: Labelled,
    methods: Sequence[Method],
    *,
    n_folds: int = 10,
    seeds: Sequence[int] = (0, 1, 2),
    kinds: Sequence[str] = FOLD_KINDS,
    second: Labelled | None = None,
    quick: bool = False,
    allowed: Sequence[str] = (),
    n_workers: int = 1,
    on_flag: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Evaluate methods, and store every out-of-fold answer.

    Returns what ``xcat evaluate --json`` writes. Other parameters are those of `xcat.evaluate.protocol.evaluate`.

    Parameters
    ----------
    second : Labelled, optional
        A second origin, to be classified by methods fitted to all of `data`; with properties that `data` has, too.
    quick : bool
        Without learning curve, ablation and shift.
    allowed : sequence of str
        Properties that may repeat the label.
    n_workers : int
        Folds fitted at the same time.
    on_flag : callable
        Receives a message for every property that nearly repeats a class.

    Raises
    ------
    ConfigError
        A property repeats the label, or there are too few sources for the folds.
    """
    check(data, n_folds, kinds)
    flags = leakage.refuse(data.sample, data.label, data.classes, data.groups["source"], allowed)
    for line in flags:
        on_flag(line)
    with workers(n_workers) as pool:
        with run.step("methods"):
            results = evaluate(methods, data, n_folds=n_folds, seeds=seeds, kinds=kinds, pool=pool)
            if second is not None:
                shared = replace(data, sample=data.sample.select([p.name for p in second.sample.properties]))
                kind = "sky" if "sky" in kinds else kinds[0]  # the inner folds of a pipeline's fit are cells of the sky
                of_second = evaluate_second(methods, shared, second, kind, seeds, pool)
                results = Results(of_second.figures | results.figures, of_second.answers | results.answers)
        first = {m.name: (results.answers[kinds[0], m.name, seeds[0]].p, m.probabilities) for m in methods}
        with run.step("studies"):
            n_few = min(n_folds, STUDY_FOLDS)
            studies = run_all(methods[0], data, kinds[0], first, n_few, seeds[0], quick, pool, second)
    with run.step("store"):
        n_rows = partitions.write(run.conn, "evaluation", run.run_id, _blocks(run.run_id, data, second, results))
    result: dict[str, Any] = {
        "run_id": run.run_id,
        "n": len(data),
        "classes": list(data.classes),
        "n_class": data.n_class,
        "priors": dict(zip(data.classes, data.priors.tolist(), strict=True)),
        "properties": [p.name for p in data.sample.properties],
        "n_folds": n_folds,
        "seeds_used": list(seeds),
        "flags": flags,
        "folds": results.figures,
        "studies": studies,
    }
    run.summary |= {
        "n": len(data),
        "n_rows": n_rows,
        "flags": flags,
        "mean": {
            kind: {name: entry["mean"] for name, entry in of_kind["methods"].items()}
            for kind, of_kind in results.figures.items()
        },
    }
    return result


def _blocks(run_id: int, data: Labelled, second: Labelled | None, results: Results) -> Iterator[dict[str, np.ndarray]]:
    """One row per source, method, seed and kind of folds."""
    for (kind, method, seed), answer in results.answers.items():
        asked = data if kind != SECOND or second is None else second
        names, n = np.array([c.encode() for c in asked.classes])[asked.label], len(asked)
        yield {
            "run_id": np.full(n, run_id, np.int32),
            "source_id": asked.source_id,
            "method": np.full(n, method.encode()),
            "seed": np.full(n, seed, np.int32),
            "folds": np.full(n, kind.encode()),
            "class": names,
            "fold": (answer.fold + 1).astype(np.int16),
            "p": probabilities(answer.p),
        }


def _published(
    conn: Connection, pipeline: Pipeline, name: str, source_id: IntArray, lineage: Mapping[str, int]
) -> IntArray:
    """Class of every source in a catalogue of answers, by the rules of the pipeline; -1 for no answer."""
    row = conn.execute(job("ingest.catalogue").compose(), {"name": name}).fetchone()
    if row is None:
        raise StageError(f"{name}: nothing is loaded yet. Run: xcat ingest {name} FILE...")
    values = {"answers_id": row[0], "label_run_id": lineage["label_run_id"]}
    rows = conn.execute(job("evaluate.published").compose(), values).fetchall()
    if not rows:
        raise StageError(f"{name}: no object has the name of one that labels a source")
    by_id = np.argsort(source_id)
    numbers = np.array([number for number, *_ in rows], dtype=np.int64)
    place = by_id[np.minimum(np.searchsorted(source_id, numbers, sorter=by_id), source_id.size - 1)]
    is_used = source_id[place] == numbers
    answer = np.full(source_id.size, -1, dtype=np.int64)
    class_of = {(c, native): _class_of(pipeline, c, native) for c, native in {(c, native) for _, c, native in rows}}
    answer[place[is_used]] = np.array([class_of[c, native] for _, c, native in rows], dtype=np.int64)[is_used]
    return answer


def _class_of(pipeline: Pipeline, name: str | None, native: str | None) -> int:
    """Number of the first class of the pipeline that an object of a reference catalogue fits, wherever it is."""
    text = native or ""
    for rule in rules(pipeline.classes):
        is_of_class = rule["of_class"] is None or rule["of_class"] == name
        any_native = not rule["exact"] and not rule["prefixes"]
        if is_of_class and (any_native or text in rule["exact"] or text.startswith(tuple(rule["prefixes"]))):
            return int(rule["position"])
    return -1
