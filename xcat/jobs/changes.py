"""Which sources change class from one published state to another, and why.

The score of the new class minus that of the old one changes by the contribution of every term (a property, a pair of
them, the priors) with the accepted counterpart. The term that changed most towards the new class is the one named. If
its property has the value that it had, the model has changed; else the data have.
"""

from __future__ import annotations

from contextlib import closing
from typing import Any, NamedTuple

import numpy as np
from psycopg import sql

from xcat import progress
from xcat.arrays import FloatArray, IntArray
from xcat.classifier import Model
from xcat.classifier.posterior import by_class
from xcat.columns.registry import property_entries
from xcat.database import copy
from xcat.database.connection import Connection
from xcat.database.sqlfiles import job
from xcat.jobs import states
from xcat.jobs.states import State
from xcat.models import store

PRIOR = "prior"
"""Name of the priors among the terms."""
_CHUNK_ROWS = 20_000


class Changes(NamedTuple):
    """A query of the sources that changed class, with its parameters; it reads tables of this transaction."""

    query: sql.Composed
    params: dict[str, Any]


def terms_of(old: Model, new: Model) -> list[str]:
    """Terms of two models by name, the priors last."""
    return [*dict.fromkeys([*old.term_names, *new.term_names]), PRIOR]


def push(
    model: Model,
    contributed: tuple[FloatArray, FloatArray],
    terms: list[str],
    classes: list[str],
    a: IntArray,
    b: IntArray,
) -> FloatArray:
    """Contribution of every term to class b minus that to class a, (n, terms).

    Parameters
    ----------
    contributed : (n, T, A) and (n, A) array
        Contributions of the terms of the model, and what the classes have without them (`by_class`).
    terms : list of str
        See `terms_of`; a term that the model lacks contributes 0.
    classes : list of str
        Those that `a` and `b`, (n,) each, are numbers in; a class that the model lacks has contributions 0.
    """
    of_terms, start = contributed
    full = np.zeros((len(of_terms), len(terms), len(classes)))
    number = np.array([classes.index(c) for c in model.answers], dtype=np.int64)
    term = np.array([terms.index(t) for t in model.term_names], dtype=np.int64)
    full[:, term[:, None], number] = of_terms
    full[:, -1, number] = start
    row = np.arange(len(of_terms))
    return np.asarray(full[row, :, b] - full[row, :, a])


def find(conn: Connection, old: State, new: State) -> Changes:
    """Say which of the sources in common (`xcat.jobs.states.pair`) changed class, and why."""
    before, after = (store.load(conn, each["model_run_id"]) for each in (old, new))
    terms = terms_of(before, after)
    _decide(conn, old, new, before, after, terms)
    own = {entry["name"]: bool(entry.get("counterpart")) for entry in property_entries()}
    parts: dict[str, list[sql.Composed]] = {"differs": [], "old_values": [], "values": []}
    of_counterparts = []
    for number, term in enumerate(terms, 1):
        names = [name for name in term.split("*") if name in own]
        if not names:
            continue
        place = sql.Literal(number)
        both = [sql.SQL(", ").join(sql.Identifier(alias, name) for name in names) for alias in ("o", "n")]
        differs = job("states.when_differs").compose(term=place, old_values=both[0], values=both[1])
        parts["differs"].append(differs)
        if len(names) == 1:
            for key, value in zip(("old_values", "values"), both, strict=True):
                parts[key].append(job("states.when_value").compose(term=place, value=value))
        if any(own[name] for name in names):
            of_counterparts.append(number)
    query = job("states.class_changes").compose(
        old=states.table(old),
        new=states.table(new),
        is_other_model=sql.Literal(old["model_run_id"] != new["model_run_id"]),
        **{key: sql.SQL(" ").join(each) for key, each in parts.items()},
    )
    return Changes(query, {"terms": terms, "of_counterparts": of_counterparts})


def store_changes(conn: Connection, old: State, new: State) -> int:
    """Keep what the publication that is active now changed, for ``pub.class_change``; the number of sources."""
    changes = find(conn, old, new)
    return conn.execute(job("states.store_changes").compose(changes=changes.query), changes.params).rowcount


def _decide(conn: Connection, old: State, new: State, before: Model, after: Model, terms: list[str]) -> None:
    """Write the term that pushed each source most into ``pg_temp.decided``."""
    sides = {"e": before, "f": after}
    columns = [
        (alias, number, f"{alias}_{number}")
        for alias, model in sides.items()
        for number in range(1, len(model.term_names) * len(model.classes) + 1)
    ]
    elements = sql.SQL(", ").join(
        job("states.element").compose(alias=alias, number=sql.Literal(number), name=name)
        for alias, number, name in columns
    )
    query = job("states.evidence").compose(
        elements=elements,
        old=states.table(old),
        new=states.table(new),
        old_evidence=states.table(old, "source_evidence"),
        new_evidence=states.table(new, "source_evidence"),
    )
    dtype = [("old_id", "bigint"), ("new_id", "bigint"), ("old_class", "integer"), ("new_class", "integer")]
    dtype += [(name, "real") for *_, name in columns]
    params = {"old_classes": list(before.answers), "new_classes": list(after.answers)}
    classes = list(dict.fromkeys([*before.answers, *after.answers]))
    decided = []
    with (
        progress.bar("compare: sources that changed class"),
        closing(copy.copy_out(conn, query, dtype, params, chunk_rows=_CHUNK_ROWS)) as chunks,
    ):
        for rows in chunks:
            a = np.array([classes.index(c) for c in before.answers])[rows["old_class"] - 1]
            b = np.array([classes.index(c) for c in after.answers])[rows["new_class"] - 1]
            pushes = []
            for alias, model in sides.items():
                shape = (len(rows), len(model.term_names), len(model.classes))
                evidence = np.stack([rows[name] for of, _, name in columns if of == alias], axis=1).reshape(shape)
                pushes.append(push(model, by_class(model, evidence), terms, classes, a, b))
            change = pushes[1] - pushes[0]
            most = np.argmax(change, axis=1)
            decided.append(
                {
                    "old_id": rows["old_id"],
                    "new_id": rows["new_id"],
                    "term": (most + 1).astype(np.int16),
                    "push": change[np.arange(len(rows)), most].astype(np.float32),
                }
            )
    copy.copy_in(conn, "pg_temp.decided", decided)
    conn.execute("ANALYZE pg_temp.decided")
