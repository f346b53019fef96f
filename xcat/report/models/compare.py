"""Two models, or two classify runs, side by side: which sources change class, and through which property.

A source goes from class a to class b because its score of b minus that of a changes: by the priors, and by the
contribution of every term (a property, or a pair of them) with the accepted counterpart. The change of a term, in nats
towards the new class, has two parts: contribution by the old model to the new values minus that to the old ones
(*value*), and contribution by the new model minus that by the old one, both to the new values (*table*).
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Any

import numpy as np
from psycopg import sql

from xcat import progress
from xcat.arrays import FloatArray, IntArray
from xcat.classifier import Model, classify
from xcat.classifier.posterior import by_class
from xcat.config import Settings
from xcat.database import copy, partitions, runs
from xcat.database.connection import Connection, connect, ready
from xcat.database.sqlfiles import dicts, job
from xcat.errors import XcatError
from xcat.jobs.changes import push, terms_of
from xcat.models import samples, store
from xcat.report.models.model_text import describe

_CHUNK_ROWS = 50_000
_CHANGED_SOURCE = np.dtype(
    [(name, "i8") for name in ("source_id", "a", "b")]
    + [(name, "f8") for name in ("p_a", "p_b", "dp")]
    + [("most", "i8"), ("total", "f8"), ("value", "f8")]
)


@dataclass(frozen=True, eq=False)
class ComparedModel:
    """A model applied to the sources of a properties run."""

    model_run_id: int
    model: Model
    property_run_id: int
    best_match: bool
    classify_run_id: int | None  #: run that stored the answers; None if they have to be computed


@dataclass(frozen=True, eq=False)
class AnswerChunk:
    """Some sources: numbers (n,), class numbers (n,), probabilities (n, A), contributions of the terms (n, T, A) and
    scores without them (n, A)."""

    source_id: IntArray
    class_index: IntArray
    p: FloatArray
    contributions: FloatArray
    start: FloatArray


def diff(settings: Settings, old_run_id: int, new_run_id: int, max_rows: int = 20) -> dict[str, Any]:
    """Compare two fit runs, or two classify runs.

    Parameters
    ----------
    old_run_id, new_run_id : int
        Two models classify the same sources, those of the properties run of the newer one; stored answers are used.
        Each of two classify runs has its own properties.
    max_rows : int
        Sources to list, those whose probabilities changed the most.

    Returns
    -------
    dict
        JSON-ready but for times: old, new (the models), n_sources, n_changed, sum_abs_dp (over sources and classes),
        matrix (rows: old class), terms, sources, values (None if both have the same properties run), notes.

    Raises
    ------
    XcatError
        There is no such run, the two are of different kinds, or they classify different sources.
    """
    with ready(settings) as conn:
        old_run, new_run = runs.get(conn, old_run_id), runs.get(conn, new_run_id)
        _check(old_run, new_run)
        old, new, crossed = _compared(conn, old_run, new_run)
        differing, notes = _values(conn, old_run, new_run, old.model, new.model)
        shared = {"old": describe(conn, old.model_run_id), "new": describe(conn, new.model_run_id)}
        row = conn.execute(job("classify.count").compose(), {"property_run_id": new.property_run_id}).fetchone()
        n_sources = int(row[0]) if row else 0
    difference = ModelDifference(old.model, new.model, crossed is not None, max_rows)
    with (
        _chunks(settings, old) as before,
        _chunks(settings, new) as after,
        _chunks(settings, crossed) as between,
        progress.bar(f"compare: {n_sources} sources", n_sources) as advance,
    ):
        for (one, two), three in zip(zip(before, after, strict=True), between, strict=False):
            assert one is not None and two is not None
            if not all(np.array_equal(one.source_id, x.source_id) for x in (two, three) if x is not None):
                raise XcatError(f"runs {old_run_id} and {new_run_id} do not hold the same sources.")
            difference.add(one, two, three)
            advance(len(one.source_id))
    with ready(settings) as conn:
        values = {"source_run_id": new_run["source_run_id"], "source_ids": difference.listed}
        named = {row["source_id"]: row for row in dicts(conn.execute(job("compare.names").compose(), values))}
    return {
        **shared,
        "run_ids": {"old": old_run_id, "new": new_run_id},
        "property_run_ids": {"old": old.property_run_id, "new": new.property_run_id},
        **difference.result(named),
        "values": differing,
        "notes": notes,
    }


def _check(old: dict[str, Any], new: dict[str, Any]) -> None:
    for run in (old, new):
        if run["kind"] not in ("fit", "classify") or run["status"] != "done":
            raise XcatError(
                f"run {run['run_id']} is a {run['kind']} run ({run['status']}); only finished fit or classify runs "
                "can be compared. See: xcat models"
            )
    if old["kind"] != new["kind"]:
        models_of = [r["run_id"] if r["kind"] == "fit" else r["model_run_id"] for r in (old, new)]
        raise XcatError(
            f"run {old['run_id']} is a {old['kind']} run, run {new['run_id']} a {new['kind']} run. "
            f"Compare their models: xcat diff {models_of[0]} {models_of[1]}"
        )
    if old["kind"] == "classify" and old["source_run_id"] != new["source_run_id"]:
        raise XcatError(
            f"runs {old['run_id']} and {new['run_id']} classify different sources (merge runs {old['source_run_id']} "
            f"and {new['source_run_id']}). Compare their models on the same: "
            f"xcat diff {old['model_run_id']} {new['model_run_id']}, or the runs when both have tables in pub: "
            f"xcat publish RUN --hold"
        )


def _compared(
    conn: Connection, old: dict[str, Any], new: dict[str, Any]
) -> tuple[ComparedModel, ComparedModel, ComparedModel | None]:
    """Both models, and if their properties differ, the old model with the new ones."""
    if old["kind"] == "fit":
        return _of_model(conn, old, _newer(old, new)), _of_model(conn, new, _newer(old, new)), None
    before, after = _of_classify(conn, old), _of_classify(conn, new)
    if before.property_run_id == after.property_run_id:
        return before, after, None
    return before, after, replace(before, property_run_id=after.property_run_id, classify_run_id=None)


def _best_match(run: dict[str, Any]) -> bool:
    return bool(run["config"].get("best_match", False))


def _of_model(conn: Connection, fit: dict[str, Any], newer: dict[str, Any]) -> ComparedModel:
    keys = {"model_run_id": fit["run_id"], "property_run_id": newer["property_run_id"], "best_match": _best_match(fit)}
    stored = conn.execute(job("compare.classify_run").compose(), keys).fetchone()
    return ComparedModel(model=store.load(conn, fit["run_id"]), classify_run_id=stored[0] if stored else None, **keys)


def _of_classify(conn: Connection, run: dict[str, Any]) -> ComparedModel:
    model = store.load(conn, run["model_run_id"])
    return ComparedModel(run["model_run_id"], model, run["property_run_id"], _best_match(run), run["run_id"])


@contextmanager
def _chunks(settings: Settings, compared: ComparedModel | None) -> Iterator[Iterator[AnswerChunk | None]]:
    """Answers of a model by source_id; an endless sequence of None without a model."""
    if compared is None:
        yield repeat(None)
        return
    with connect(settings) as reader, connect(settings) as second:
        if compared.classify_run_id is not None:
            answers = _stored(reader, compared.model, compared.classify_run_id)
        else:
            layout = samples.Layout.of_model(compared.model, compared.best_match)
            every = samples.every_source(reader, second, layout, compared.property_run_id, _CHUNK_ROWS)
            answers = _computed(compared.model, every)
        with closing(answers):
            yield answers


def _computed(model: Model, every: Generator[tuple[np.ndarray, Any], None, None]) -> Generator[AnswerChunk, None, None]:
    with closing(every):
        for rows, sample in every:
            result = classify(model, sample)
            yield AnswerChunk(rows["source_id"], result.class_index, result.p, *by_class(model, result.evidence))


def _stored(conn: Connection, model: Model, run_id: int) -> Generator[AnswerChunk, None, None]:
    n_answers, n_terms, k = len(model.answers), len(model.term_names), len(model.classes)
    columns = [("p", i) for i in range(1, n_answers + 1)] + [("evidence", i) for i in range(1, n_terms * k + 1)]
    elements = sql.SQL(", ").join(
        job("compare.element").compose(name=name, number=sql.Literal(i), alias=f"{name}_{i}") for name, i in columns
    )
    query = job("compare.answers").compose(
        elements=elements, classification=partitions.qualified("classification", run_id)
    )
    dtype = [("source_id", "bigint"), ("class_id", "integer"), *((f"{name}_{i}", "real") for name, i in columns)]
    parameters = {"classes": list(model.answers)}
    with closing(copy.copy_out(conn, query, dtype, parameters, chunk_rows=_CHUNK_ROWS)) as chunks:
        for rows in chunks:
            reals = np.stack([rows[f"{name}_{i}"] for name, i in columns], axis=1)
            contributed = by_class(model, reals[:, n_answers:].reshape(len(rows), n_terms, k))
            class_index = rows["class_id"].astype(np.int64) - 1
            yield AnswerChunk(rows["source_id"], class_index, reals[:, :n_answers].astype(np.float64), *contributed)


class ModelDifference:
    """Sums over the sources, and the sources that changed the most.

    Parameters
    ----------
    old, new : Model
        Their classes and terms are identified by name; a class that one of them lacks has probability 0 there, a term
        contributes 0.
    split : bool
        Whether the part of the values is separated from that of the tables.
    """

    def __init__(self, old: Model, new: Model, split: bool, max_rows: int) -> None:
        self.old, self.new, self.split, self.max_rows = old, new, split, max_rows
        self.classes = list(dict.fromkeys([*old.answers, *new.answers]))
        self.terms = terms_of(old, new)
        self.n_sources, self.sum_abs_dp = 0, 0.0
        self.matrix = np.zeros((len(self.classes), len(self.classes)), dtype=np.int64)
        self.sums = {name: np.zeros(len(self.terms)) for name in ("decided", "total", "value")}
        self.kept: list[np.ndarray] = []

    @property
    def listed(self) -> list[int]:
        """Numbers of the listed sources."""
        return [int(i) for rows in self.kept for i in rows["source_id"]]

    def add(self, old: AnswerChunk, new: AnswerChunk, crossed: AnswerChunk | None) -> None:
        """Add the same sources by the old run, by the new run, and by the old model with the new values."""
        before, after = self._number(self.old)[old.class_index], self._number(self.new)[new.class_index]
        np.add.at(self.matrix, (before, after), 1)
        p_old, p_new = self._spread(old.p, self.old), self._spread(new.p, self.new)
        dp = np.abs(p_new - p_old).sum(axis=1)
        self.n_sources += len(dp)
        self.sum_abs_dp += float(dp.sum())
        at = np.flatnonzero(before != after)
        if not at.size:
            return
        a, b = before[at], after[at]
        start = self._push(self.old, old, at, a, b)
        end = self._push(self.new, new, at, a, b)
        # a change of the priors counts as one of the tables: middle has the priors of the old model
        middle = start if crossed is None else self._push(self.old, crossed, at, a, b)
        total, value = end - start, middle - start
        most = np.argmax(total, axis=1)
        self.sums["decided"] += np.bincount(most, minlength=len(self.terms))
        self.sums["total"] += total.sum(axis=0)
        self.sums["value"] += value.sum(axis=0)
        row = np.arange(at.size)
        columns = (old.source_id[at], a, b, p_old[at, a], p_new[at, b], dp[at], most, total[row, most])
        rows = np.rec.fromarrays([*columns, value[row, most]], dtype=_CHANGED_SOURCE)
        together = np.concatenate([*self.kept, rows])
        # ties are broken by the data, and only between identical sources by their number
        ties = [together[name] for name in ("source_id", "value", "total", "p_b", "p_a", "b", "a")]
        order = np.lexsort((*ties, -together["dp"]))
        self.kept = [together[order[: self.max_rows]]]

    def _number(self, model: Model) -> IntArray:
        return np.array([self.classes.index(c) for c in model.answers], dtype=np.int64)

    def _spread(self, p: FloatArray, model: Model) -> FloatArray:
        spread = np.zeros((len(p), len(self.classes)))
        spread[:, self._number(model)] = p
        return spread

    def _push(self, model: Model, answers: AnswerChunk, at: IntArray, a: IntArray, b: IntArray) -> FloatArray:
        contributed = answers.contributions[at], answers.start[at]
        return push(model, contributed, self.terms, self.classes, a, b)

    def result(self, named: dict[int, dict[str, Any]]) -> dict[str, Any]:
        """JSON-ready result; `named` has name, ra and dec of the listed sources."""
        n_changed = int(self.matrix.sum() - np.trace(self.matrix))
        mean = {name: total / max(n_changed, 1) for name, total in self.sums.items()}

        def parts(total: float, value: float) -> dict[str, float]:
            by = {"by_value": float(value), "by_table": float(total - value)} if self.split else {}
            return {"towards_new": float(total), **by}

        terms = [
            {"term": term, "n_decided": int(n), **parts(total, value)}
            for term, n, total, value in zip(
                self.terms, self.sums["decided"], mean["total"], mean["value"], strict=True
            )
        ]
        sources = [
            {
                **named[int(row["source_id"])],
                "old_class": self.classes[row["a"]],
                "old_probability": float(row["p_a"]),
                "class": self.classes[row["b"]],
                "p_class": float(row["p_b"]),
                "term": self.terms[row["most"]],
                **parts(row["total"], row["value"]),
            }
            for rows in self.kept
            for row in rows
        ]
        return {
            "n_sources": self.n_sources,
            "n_changed": n_changed,
            "sum_abs_dp": self.sum_abs_dp,
            "matrix": {"classes": self.classes, "counts": self.matrix.tolist()},
            "terms": sorted(terms, key=lambda t: (-t["n_decided"], -abs(t["towards_new"]))),
            "sources": sources,
        }


def _values(
    conn: Connection, old: dict[str, Any], new: dict[str, Any], *both: Model
) -> tuple[list[dict[str, Any]] | None, list[str]]:
    """Number of sources in which each property differs between the properties runs, and notes."""
    first, second = old["property_run_id"], new["property_run_id"]
    if first == second:
        return None, []
    if old["source_run_id"] != new["source_run_id"]:
        return None, [
            f"the models were fitted on different sources (merge runs {old['source_run_id']} and "
            f"{new['source_run_id']}): their properties cannot be compared one by one"
        ]
    names = list(dict.fromkeys(p.name for model in both for p in model.properties))
    counts = sql.SQL(", ").join(job("compare.value").compose(name=name) for name in names)
    tables = {"old": partitions.qualified("property", first), "new": partitions.qualified("property", second)}
    row = conn.execute(job("compare.values").compose(counts=counts, **tables)).fetchone()
    counted = np.array(row, dtype=np.int64).reshape(len(names), 3).tolist()
    keys = ("property", "n_differ", "n_only_new", "n_only_old")
    note = f"the properties are of two runs, {first} and {second}"
    if old["kind"] == "fit":
        note += f"; both models are applied to those of run {_newer(old, new)['property_run_id']}"
    return [dict(zip(keys, (name, *n), strict=True)) for name, n in zip(names, counted, strict=True)], [note]


def _newer(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    return max(old, new, key=lambda run: int(run["run_id"]))
