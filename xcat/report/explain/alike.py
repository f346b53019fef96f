"""The labelled sources of a fit that are most like one source, as the classifier sees them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xcat.arrays import FloatArray
from xcat.classifier.model import Model
from xcat.classifier.posterior import contributions
from xcat.database import copy
from xcat.database.connection import Connection
from xcat.database.sqlfiles import job
from xcat.models.samples import Layout, places
from xcat.output.reading import Row, rows
from xcat.report.explain.explanation import Alike

_SHOWN = 5
_DIFFERENT = 3


def nearest(
    conn: Connection, run: Row, model: Model, layout: Layout, source_id: int, said: FloatArray
) -> tuple[Alike, ...]:
    """Find the labelled sources whose evidence is most like that of a source.

    Parameters
    ----------
    conn : Connection
    run : dict
        As `xcat.output.reading.classify_run` gives it.
    model : Model
    layout : Layout
    source_id : int
        Left out, if it is labelled itself.
    said : (terms, K) float64
        Its contributions, with the accepted counterpart.

    Returns
    -------
    tuple of Alike
        Five at most.

    Notes
    -----
    The distance is that of the contributions to the scores, all terms and classes, less what a term gives to all
    classes alike: two sources are near if the same evidence speaks for the same classes with the same force.
    """
    keys = {"run_id": run["run_id"], "model_run_id": run["model_run_id"], "source_id": source_id}
    with conn.cursor(binary=True) as cursor:
        found = cursor.execute(job("report.reference_evidence").compose(), keys).fetchall()
    if not found:
        return ()
    # of sources that are equally near, the first in an order that the data alone decide
    order = places(conn, run["source_run_id"], np.array([row[0] for row in found], dtype=np.int64))
    found = [found[i] for i in order]
    terms = np.array([row[1] for row in found], dtype=np.float32).reshape(len(found), *said.shape)
    by_term = ((_centred(contributions(model, terms)) - _centred(said)) ** 2).sum(axis=2)
    distance = np.sqrt(by_term.sum(axis=1))
    first = np.argsort(distance, kind="stable")[:_SHOWN]
    ids = [int(found[i][0]) for i in first]
    named = {row["source_id"]: row for row in rows(conn, "report.reference_sources", keys | {"source_ids": ids, **run})}
    values = values_of(conn, run, layout, ids)
    alike = []
    for i, number in zip(first, ids, strict=True):
        row = named[number]
        most = np.argsort(-by_term[i], kind="stable")[:_DIFFERENT]
        alike.append(
            Alike(
                number, row["name"], row["catalogue"], row["known_class"],
                row["p"][model.classes.index(row["known_class"])],
                float(distance[i]), values[number], tuple(model.term_names[t] for t in most if by_term[i, t] > 1e-6),
            )
        )  # fmt: skip
    return tuple(alike)


def values_of(conn: Connection, run: Row, layout: Layout, source_ids: list[int]) -> dict[int, dict[str, float | None]]:
    """Properties of sources, by source and name."""
    table = read_rows(conn, run, layout, source_ids)
    names = [p.name for p in layout.properties]
    return {
        int(row["source_id"]): {name: None if np.isnan(row[name]) else float(row[name]) for name in names}
        for row in table
    }


def read_rows(conn: Connection, run: Row, layout: Layout, source_ids: list[int]) -> NDArray[np.void]:
    """Rows of the property table as a layout wants them, in the order of the numbers of the sources."""
    return copy.fetch_columns(
        conn,
        job("report.property_rows").compose(values=layout.values),
        [("source_id", "bigint"), *layout.columns],
        {"property_run_id": run["property_run_id"], "source_ids": source_ids},
    )


def _centred(said: FloatArray) -> FloatArray:
    return said - said.mean(axis=-1, keepdims=True)
