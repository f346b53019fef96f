"""The list of the models, and everything about one of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from xcat.arrays import FloatArray
from xcat.classifier.density import Table
from xcat.classifier.model import Model
from xcat.classifier.pairs import PairTable
from xcat.database import runs
from xcat.database.connection import Connection
from xcat.database.sqlfiles import dicts, job
from xcat.models import store

_LINEAGE = ("pipeline_run_id", "source_run_id", "link_run_id", "match_run_id", "property_run_id", "label_run_id")
_HEADLINE = ("accuracy", "macro_f1", "log_loss", "brier", "ece")


def listing(conn: Connection, limit: int) -> list[dict[str, Any]]:
    """Models, newest first, each as a dict; accuracy, macro_f1 and log_loss are out of fold, None if not measured."""
    return dicts(conn.execute(job("compare.models").compose(), {"run_id": None, "limit": limit}))


def term_weights(mixing: FloatArray) -> FloatArray:
    """Weight of every term as one number, (terms,).

    Parameters
    ----------
    mixing : (terms, K, K) float64
        `Model.mixing`.

    Notes
    -----
    The mean factor on the advantages of the classes: trace of the mixing in the space of vectors with the sum zero,
    over its dimension K - 1. It is 1 for plain naive Bayes, the exponent of the category for the poster's formula, 0
    for an excluded term, and does not depend on what all classes have in common.
    """
    k = mixing.shape[1]
    return np.asarray((np.trace(mixing, axis1=1, axis2=2) - mixing.sum(axis=(1, 2)) / k) / max(k - 1, 1))


def describe(conn: Connection, run_id: int) -> dict[str, Any]:
    """Everything about the model of a fit run, JSON-ready but for times.

    Raises
    ------
    XcatError
        The run made no model.
    """
    model = store.load(conn, run_id)
    run = runs.get(conn, run_id, "fit")
    (row,) = dicts(conn.execute(job("compare.models").compose(), {"run_id": run_id, "limit": 1}))
    summary = run["summary"] or {}
    out_of_fold = summary.get("out_of_fold", {})
    return {
        **{key: row[key] for key in ("run_id", "name", "started_at", "published", "weighting")},
        "classes": {
            name: {
                "n_reference": int(model.n_reference[k]),
                "prior_given": summary.get("priors_given", {}).get(name),
                "prior": float(model.priors[k]),
                "offset": float(model.offsets[k]),
                **{key: out_of_fold.get("classes", {}).get(name, {}).get(key) for key in ("recall", "prior_precision")},
            }
            for k, name in enumerate(model.classes)
        },
        "weights": dict(zip(model.categories, model.weights.tolist(), strict=True)),
        "sharpness": model.sharpness,
        "smoothing": model.smoothing,
        "inverse_ridge": model.inverse_ridge,
        "terms": _terms(model),
        "out_of_fold": {
            where: {key: out_of_fold.get(where, {}).get(key) for key in _HEADLINE} for where in ("sample", "at_priors")
        },
        "config": run["config"],
        "lineage": {key: run[key] for key in _LINEAGE},
        "versions": run["versions"],
    }


def _terms(model: Model) -> list[dict[str, Any]]:
    tables: list[Table | PairTable] = [*model.tables, *model.pairs]
    terms = zip(model.term_names, model.term_categories, term_weights(model.mixing), tables, strict=True)
    return [
        {
            "term": name,
            "category": category,
            "weight": float(weight),
            "n_present": dict(zip(model.classes, table.n_present.tolist(), strict=True)),
            "bandwidth": dict(zip(model.classes, table.bandwidth.tolist(), strict=True))
            if isinstance(table, Table)
            else None,
            "with_errors": isinstance(table, Table) and table.log_smeared is not None,
            "with_limits": isinstance(table, Table) and table.log_above is not None,
        }
        for name, category, weight, table in terms
    ]
