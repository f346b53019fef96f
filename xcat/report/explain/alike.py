"""The labelled sources of a fit whose evidence is most similar to that of one source."""

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
from xcat.report.explain.explanation import SimilarSource

_SHOWN = 5
_DIFFERENT = 3


def nearest(
    conn: Connection, run: Row, model: Model, layout: Layout, source_id: int, contributed: FloatArray
) -> tuple[SimilarSource, ...]:
    """Find the five labelled sources at most whose evidence is most similar to that of a source, itself excluded.

    Parameters
    ----------
    run : dict
        As `xcat.output.reading.classify_run` gives it.
    contributed : (terms, K) float64
        Contributions of the source, with the accepted counterpart.

    Notes
    -----
    The distance is the Euclidean one between the contributions to the scores, over all terms and classes, each term
    minus its mean over the classes.
    """
    keys = {"run_id": run["run_id"], "model_run_id": run["model_run_id"], "source_id": source_id}
    with conn.cursor(binary=True) as cursor:
        labelled = cursor.execute(job("report.reference_evidence").compose(), keys).fetchall()
    if not labelled:
        return ()
    # of sources at equal distance, the first in an order that depends on the data alone
    order = places(conn, run["source_run_id"], np.array([row[0] for row in labelled], dtype=np.int64))
    labelled = [labelled[i] for i in order]
    terms = np.array([row[1] for row in labelled], dtype=np.float32).reshape(len(labelled), *contributed.shape)
    by_term = ((_centred(contributions(model, terms)) - _centred(contributed)) ** 2).sum(axis=2)
    distance = np.sqrt(by_term.sum(axis=1))
    first = np.argsort(distance, kind="stable")[:_SHOWN]
    ids = [int(labelled[i][0]) for i in first]
    by_id = {row["source_id"]: row for row in rows(conn, "report.reference_sources", keys | {"source_ids": ids, **run})}
    names = [p.name for p in layout.properties]
    values = {row["source_id"]: row[names].tolist() for row in read_rows(conn, run, layout, ids)}
    similar = []
    for i, number in zip(first, ids, strict=True):
        row = by_id[number]
        p = row.pop("p")[model.classes.index(row["known_class"])]
        most = np.argsort(-by_term[i], kind="stable")[:_DIFFERENT]
        of_source = {name: None if np.isnan(x) else x for name, x in zip(names, values[number], strict=True)}
        differs = tuple(model.term_names[t] for t in most if by_term[i, t] > 1e-6)
        away = float(distance[i])
        similar.append(SimilarSource(**row, out_of_fold=p, distance_nats=away, values=of_source, differs_in=differs))
    return tuple(similar)


def read_rows(conn: Connection, run: Row, layout: Layout, source_ids: list[int]) -> NDArray[np.void]:
    """Rows of the property table with the columns of a layout, by source_id."""
    return copy.fetch_columns(
        conn,
        job("report.property_rows").compose(values=layout.values),
        [("source_id", "bigint"), *layout.columns],
        {"property_run_id": run["property_run_id"], "source_ids": source_ids},
    )


def _centred(contributed: FloatArray) -> FloatArray:
    return np.asarray(contributed - contributed.mean(axis=-1, keepdims=True))
