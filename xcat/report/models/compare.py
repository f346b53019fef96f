"""Two models, or two classify runs, side by side: which sources change class, and through which property.

A source that goes from class a to class b has another score of b against a: by the priors, and by what every term (a
property, or a pair of them) adds, with the accepted counterpart. The change of a term, in nats towards the new class,
has two parts: what the old model says of the new values less what it says of the old ones (*value*), and what the new
model says of the new values less what the old one says of them (*table*).
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg import sql

from xcat import progress
from xcat.arrays import FloatArray, IntArray
from xcat.classifier import Model, classify
from xcat.classifier.posterior import contributions
from xcat.config import Settings
from xcat.database import copy, partitions, runs
from xcat.database.connection import Connection, connect, ready
from xcat.database.sqlfiles import dicts, job
from xcat.errors import XcatError
from xcat.models import samples, store
from xcat.report.models.model_list import describe

_CHUNK_ROWS = 50_000
PRIOR = "prior"
"""Name of the priors among the terms."""


@dataclass(frozen=True, eq=False)
class Side:
    """A model on the sources of a properties run.

    Attributes
    ----------
    model_run_id : int
    model : Model
    property_run_id : int
    best_match : bool
    classify_run_id : int or None
        Where the answers are stored already; None: they have to be computed.
    """

    model_run_id: int
    model: Model
    property_run_id: int
    best_match: bool
    classify_run_id: int | None


@dataclass(frozen=True, eq=False)
class Piece:
    """Some sources: numbers (n,), class numbers (n,), probabilities (n, K), contributions of the terms (n, T, K)."""

    source_id: IntArray
    class_index: IntArray
    p: FloatArray
    said: FloatArray


def diff(settings: Settings, old_run_id: int, new_run_id: int, max_rows: int = 20) -> dict[str, Any]:
    """Compare two fit runs, or two classify runs.

    Parameters
    ----------
    settings : Settings
    old_run_id, new_run_id : int
        Two models classify the same sources, those of the properties run of the newer; answers that are stored are
        taken. Two classify runs have each their own properties.
    max_rows : int
        Sources to list, those whose probabilities changed the most.

    Returns
    -------
    dict
        Nothing but what JSON knows: old, new (the models), n_sources, n_changed, sum_abs_dp (over sources and classes),
        matrix (rows: old class), terms, sources, values (None where the properties run is one), notes.

    Raises
    ------
    XcatError
        There is no such run, they are of two kinds, or they classify different sources.
    """
    with ready(settings) as conn:
        old_run, new_run = runs.get(conn, old_run_id), runs.get(conn, new_run_id)
        _check(old_run, new_run)
        old, new, crossed = _sides(conn, old_run, new_run)
        differing, notes = _values(conn, old_run, new_run, old.model, new.model)
        shared = {"old": describe(conn, old.model_run_id), "new": describe(conn, new.model_run_id)}
        row = conn.execute(job("classify.count").compose(), {"property_run_id": new.property_run_id}).fetchone()
        n_sources = int(row[0]) if row else 0
    change = Change(old.model, new.model, crossed is not None, max_rows)
    with (
        _pieces(settings, old) as before,
        _pieces(settings, new) as after,
        _pieces(settings, crossed) as between,
        progress.bar(f"compare: {n_sources} sources", n_sources) as advance,
    ):
        for (one, two), three in zip(zip(before, after, strict=True), between, strict=False):
            assert one is not None and two is not None
            if not all(np.array_equal(one.source_id, x.source_id) for x in (two, three) if x is not None):
                raise XcatError(f"runs {old_run_id} and {new_run_id} do not hold the same sources.")
            change.add(one, two, three)
            advance(len(one.source_id))
    with ready(settings) as conn:
        values = {"source_run_id": new_run["source_run_id"], "source_ids": change.listed}
        named = {row["source_id"]: row for row in dicts(conn.execute(job("compare.names").compose(), values))}
    return {
        **shared,
        "run_ids": {"old": old_run_id, "new": new_run_id},
        "property_run_ids": {"old": old.property_run_id, "new": new.property_run_id},
        **change.result(named),
        "values": differing,
        "notes": notes,
    }


def _check(old: dict[str, Any], new: dict[str, Any]) -> None:
    for run in (old, new):
        if run["kind"] not in ("fit", "classify") or run["status"] != "done":
            raise XcatError(
                f"run {run['run_id']} is a {run['kind']} run ({run['status']}); finished fit or classify runs can be "
                "compared. See: xcat models"
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
            f"xcat diff {old['model_run_id']} {new['model_run_id']}"
        )


def _sides(conn: Connection, old: dict[str, Any], new: dict[str, Any]) -> tuple[Side, Side, Side | None]:
    """Both sides, and if they differ in their properties the old model on the new ones."""
    if old["kind"] == "fit":
        newer = max(old, new, key=_number)
        return _of_model(conn, old, newer), _of_model(conn, new, newer), None
    before, after = _of_classify(conn, old), _of_classify(conn, new)
    if before.property_run_id == after.property_run_id:
        return before, after, None
    crossed = Side(before.model_run_id, before.model, after.property_run_id, before.best_match, None)
    return before, after, crossed


def _of_model(conn: Connection, fit: dict[str, Any], newer: dict[str, Any]) -> Side:
    best_match = bool(fit["config"].get("best_match", False))
    stored = {
        "model_run_id": fit["run_id"],
        "property_run_id": newer["property_run_id"],
        "best_match": best_match,
    }
    found = conn.execute(job("compare.classify_run").compose(), stored).fetchone()
    model = store.load(conn, fit["run_id"])
    return Side(fit["run_id"], model, newer["property_run_id"], best_match, found[0] if found else None)


def _of_classify(conn: Connection, run: dict[str, Any]) -> Side:
    model = store.load(conn, run["model_run_id"])
    best_match = bool(run["config"].get("best_match", False))
    return Side(run["model_run_id"], model, run["property_run_id"], best_match, run["run_id"])


# --- answers, piece by piece -------------------------------------------------------------------------------


@contextmanager
def _pieces(settings: Settings, side: Side | None) -> Iterator[Iterator[Piece | None]]:
    """Answers of one side, in the order of the sources' numbers; nothing for ever without a side."""
    if side is None:
        yield repeat(None)
        return
    with ExitStack() as stack:
        reader = stack.enter_context(connect(settings))
        if side.classify_run_id is not None:
            yield stack.enter_context(closing(_stored(reader, side.model, side.classify_run_id)))
            return
        second = stack.enter_context(connect(settings))
        layout = samples.Layout.of_model(side.model, side.best_match)
        every = samples.every_source(reader, second, layout, side.property_run_id, _CHUNK_ROWS)
        yield _computed(side.model, stack.enter_context(closing(every)))


def _computed(model: Model, every: Iterator[tuple[np.ndarray, Any]]) -> Iterator[Piece]:
    for rows, sample in every:
        found = classify(model, sample)
        yield Piece(rows["source_id"], found.class_index, found.p, contributions(model, found.evidence))


def _stored(conn: Connection, model: Model, run_id: int) -> Generator[Piece, None, None]:
    k, n_terms = len(model.classes), len(model.term_names)
    columns = [("p", i) for i in range(1, k + 1)] + [("evidence", i) for i in range(1, n_terms * k + 1)]
    elements = sql.SQL(", ").join(
        job("compare.element").compose(name=name, number=sql.Literal(i), alias=f"{name}_{i}") for name, i in columns
    )
    query = job("compare.answers").compose(
        elements=elements, classification=partitions.qualified("classification", run_id)
    )
    dtype = [("source_id", "bigint"), ("class_id", "integer"), *((f"{name}_{i}", "real") for name, i in columns)]
    parameters = {"classes": list(model.classes)}
    with closing(copy.copy_out(conn, query, dtype, parameters, chunk_rows=_CHUNK_ROWS)) as chunks:
        for rows in chunks:
            reals = np.stack([rows[f"{name}_{i}"] for name, i in columns], axis=1)
            said = contributions(model, reals[:, k:].reshape(len(rows), n_terms, k))
            yield Piece(rows["source_id"], rows["class_id"].astype(np.int64) - 1, reals[:, :k].astype(np.float64), said)


# --- what changed ------------------------------------------------------------------------------------------


class Change:
    """Sums over the sources, and the sources that changed the most.

    Parameters
    ----------
    old, new : Model
        Classes and terms of the two are told by name; a class that one of them does not know has probability 0 there, a
        term adds 0.
    split : bool
        Whether the part of the values is told from that of the tables.
    max_rows : int
    """

    def __init__(self, old: Model, new: Model, split: bool, max_rows: int) -> None:
        self.old, self.new, self.split, self.max_rows = old, new, split, max_rows
        self.classes = list(dict.fromkeys([*old.classes, *new.classes]))
        self.terms = [*dict.fromkeys([*old.term_names, *new.term_names]), PRIOR]
        self.n_sources, self.sum_abs_dp = 0, 0.0
        self.matrix = np.zeros((len(self.classes), len(self.classes)), dtype=np.int64)
        self.sums = {name: np.zeros(len(self.terms)) for name in ("decided", "total", "value")}
        self.kept: list[np.ndarray] = []

    @property
    def listed(self) -> list[int]:
        """Numbers of the sources that are listed."""
        return [int(i) for rows in self.kept for i in rows["source_id"]]

    def add(self, old: Piece, new: Piece, crossed: Piece | None) -> None:
        """Add the same sources: as they were, as they are, and by the old model with the new values."""
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
        start = self._push(self.old, old.said[at], a, b)
        end = self._push(self.new, new.said[at], a, b)
        # priors are no values: what they change belongs to the model
        middle = start if crossed is None else self._push(self.old, crossed.said[at], a, b)
        total, value = end - start, middle - start
        most = np.argmax(total, axis=1)
        self.sums["decided"] += np.bincount(most, minlength=len(self.terms))
        self.sums["total"] += total.sum(axis=0)
        self.sums["value"] += value.sum(axis=0)
        rows = np.empty(
            at.size,
            dtype=[("source_id", "i8"), ("a", "i8"), ("b", "i8"), ("p_a", "f8"), ("p_b", "f8"), ("dp", "f8"),
                   ("most", "i8"), ("total", "f8"), ("value", "f8")],
        )  # fmt: skip
        first = np.arange(at.size)
        columns = (old.source_id[at], a, b, p_old[at, a], p_new[at, b], dp[at], most, total[first, most])
        for name, column in zip(rows.dtype.names or (), (*columns, value[first, most]), strict=True):
            rows[name] = column
        together = np.concatenate([*self.kept, rows])
        # of equals those that the data put first, and only of what nothing tells apart the first number
        ties = [together[name] for name in ("source_id", "value", "total", "p_b", "p_a", "b", "a")]
        order = np.lexsort((*ties, -together["dp"]))
        self.kept = [together[order[: self.max_rows]]]

    def _number(self, model: Model) -> IntArray:
        return np.array([self.classes.index(c) for c in model.classes], dtype=np.int64)

    def _spread(self, p: FloatArray, model: Model) -> FloatArray:
        spread = np.zeros((len(p), len(self.classes)))
        spread[:, self._number(model)] = p
        return spread

    def _push(self, model: Model, said: FloatArray, a: IntArray, b: IntArray) -> FloatArray:
        """What every term says for class b against class a, (n, terms)."""
        full = np.zeros((len(said), len(self.terms), len(self.classes)))
        term = np.array([self.terms.index(t) for t in model.term_names], dtype=np.int64)
        full[:, term[:, None], self._number(model)] = said
        full[:, -1, self._number(model)] = model.log_prior
        row = np.arange(len(said))
        return np.asarray(full[row, :, b] - full[row, :, a])

    def result(self, named: dict[int, dict[str, Any]]) -> dict[str, Any]:
        """What JSON knows; `named` has name, ra and dec of the listed sources."""
        n_changed = int(self.matrix.sum() - np.trace(self.matrix))
        mean = {name: total / max(n_changed, 1) for name, total in self.sums.items()}

        def parts(total: float, value: float) -> dict[str, float]:
            told = {"towards_new": float(total)}
            return told | ({"by_value": float(value), "by_table": float(total - value)} if self.split else {})

        terms = [
            {"term": term, "n_decided": int(self.sums["decided"][i]), **parts(mean["total"][i], mean["value"][i])}
            for i, term in enumerate(self.terms)
        ]
        return {
            "n_sources": self.n_sources,
            "n_changed": n_changed,
            "sum_abs_dp": self.sum_abs_dp,
            "matrix": {"classes": self.classes, "counts": self.matrix.tolist()},
            "terms": sorted(terms, key=lambda t: (-t["n_decided"], -abs(t["towards_new"]))),
            "sources": [
                {
                    **named[int(row["source_id"])],
                    "old_class": self.classes[row["a"]], "old_probability": float(row["p_a"]),
                    "class": self.classes[row["b"]], "p_class": float(row["p_b"]),
                    "term": self.terms[row["most"]], **parts(row["total"], row["value"]),
                }
                for rows in self.kept for row in rows
            ],
        }  # fmt: skip


def _values(
    conn: Connection, old: dict[str, Any], new: dict[str, Any], *both: Model
) -> tuple[list[dict[str, Any]] | None, list[str]]:
    """In how many sources each property differs between the properties runs; and what is to be said of it."""
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
    found: NDArray[np.int64] = np.array(row, dtype=np.int64).reshape(len(names), 3)
    told = [
        {"property": name, "n_differ": int(n[0]), "n_only_new": int(n[1]), "n_only_old": int(n[2])}
        for name, n in zip(names, found, strict=True)
    ]
    words = f"the properties are of two runs, {first} and {second}"
    if old["kind"] == "fit":
        words += f"; both models are asked of those of run {max(old, new, key=_number)['property_run_id']}"
    return told, [words]


def _number(run: dict[str, Any]) -> int:
    return int(run["run_id"])
