"""Models between the database and the classifier: rows to arrays and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from xcat.classifier.density import Table
from xcat.classifier.model import Model
from xcat.classifier.pairs import PairTable, as_row
from xcat.columns.properties import error_column, limit_column, observed_column, select
from xcat.database.connection import Connection
from xcat.database.sqlfiles import job
from xcat.errors import XcatError


def store(conn: Connection, run_id: int, model: Model) -> None:
    """Write a model and its tables as rows of the run."""
    keys = {"run_id": run_id}
    row = {name: getattr(model, name) for name in ("weighting", "sharpness", "smoothing", "inverse_ridge")}
    conn.execute(job("fit.add_model").compose(), keys | row | {"outlier_p": model.outlier_p.tolist()})
    with conn.cursor() as cursor:
        for statement, rows in (
            ("add_class", _classes(model)), ("add_category", _categories(model)), ("add_term", _terms(model)),
            ("add_table", [*_singles(model), *_pairs(model)]),
        ):  # fmt: skip
            cursor.executemany(job(f"fit.{statement}").compose(), [keys | each for each in rows])


def _classes(model: Model) -> list[dict[str, Any]]:
    return [
        {
            "class_id": k + 1, "class": name, "prior": float(model.priors[k]), "log_offset": float(model.offsets[k]),
            "n_reference": round(model.n_reference[k]), "outlier_levels": model.outlier_levels[k].tolist(),
        }
        for k, name in enumerate(model.classes)
    ]  # fmt: skip


def _categories(model: Model) -> list[dict[str, Any]]:
    return [
        {"category_id": t + 1, "category": name, "weight": float(model.weights[t])}
        for t, name in enumerate(model.categories)
    ]


def _terms(model: Model) -> list[dict[str, Any]]:
    return [
        {"term_id": t + 1, "term": name, "category": category, "is_pair": t >= len(model.properties)}
        for t, (name, category) in enumerate(zip(model.term_names, model.term_categories, strict=True))
    ]


def _singles(model: Model) -> list[dict[str, Any]]:
    return [
        {
            "property": prop.name, "axes": [prop.name], "scales": [prop.scale],
            "category": prop.category, "class": name,
            "grid": (table.low + table.step * np.arange(table.log_density.shape[0])).tolist(), "grid_2": None,
            "log_density": table.log_density[:, k].tolist(),
            "log_smeared": None if table.log_smeared is None else table.log_smeared[:, :, k].tolist(),
            "log_atoms": None if table.log_atoms is None else table.log_atoms[:, k].tolist(),
            "log_above": None if table.log_above is None else table.log_above[:, k].tolist(),
            "tail_slope": table.tail_slope, "mixing": model.mixing[j, k].tolist(),
            "log_present": float(table.log_present[k]), "log_missing": float(table.log_missing[k]),
            "bandwidth": float(table.bandwidth[k]), "typical_error": table.typical_error,
            "n_present": float(table.n_present[k]),
            "error_column": None if table.log_smeared is None else error_column(prop.name),
            "limit_column": None if table.log_above is None else limit_column(prop.name),
            "observed_column": observed_column(prop.name),
        }
        for j, (prop, table) in enumerate(zip(model.properties, model.tables, strict=True))
        for k, name in enumerate(model.classes)
    ]  # fmt: skip


def _pairs(model: Model) -> list[dict[str, Any]]:
    scales = {p.name: p.scale for p in model.properties}
    first = len(model.properties)
    return [
        {
            "property": pair.name, "axes": list(pair.axes),
            "scales": [scales[a] for a in pair.axes], "category": pair.category, "class": name,
            "grid": (pair.low[0] + pair.step[0] * np.arange(pair.log_ratio.shape[0])).tolist(),
            "grid_2": (pair.low[1] + pair.step[1] * np.arange(pair.log_ratio.shape[1])).tolist(),
            "log_density": as_row(pair)[k].tolist(), "log_smeared": None, "log_atoms": None, "log_above": None,
            "tail_slope": 0.0, "mixing": model.mixing[first + q, k].tolist(), "log_present": 0.0, "log_missing": 0.0,
            "bandwidth": None, "typical_error": None, "n_present": float(pair.n_present[k]),
            "error_column": None, "limit_column": None, "observed_column": None,
        }
        for q, pair in enumerate(model.pairs)
        for k, name in enumerate(model.classes)
    ]  # fmt: skip


def load(conn: Connection, run_id: int) -> Model:
    """Read the model of a fit run.

    Raises
    ------
    XcatError
        The run made no model.
    """
    keys = {"run_id": run_id}
    row = conn.execute(job("fit.model").compose(), keys).fetchone()
    if row is None:
        raise XcatError(f"run {run_id} made no model. See: xcat runs")
    weighting, sharpness, smoothing, inverse_ridge, outlier_p = row
    classes, priors, offsets, n_reference, outlier_levels = _columns(conn, "fit.model_classes", keys)
    categories, weights = _columns(conn, "fit.model_categories", keys)
    terms, is_pair = _columns(conn, "fit.model_terms", keys)
    of_term: dict[str, dict[str, tuple[Any, ...]]] = {}
    for name, of_class, *rest in conn.execute(job("fit.tables").compose(), keys):
        of_term.setdefault(name, {})[of_class] = tuple(rest)
    by_term = [[of_term[term][c] for c in classes] for term in terms]
    singles = [(term, rows) for term, pair, rows in zip(terms, is_pair, by_term, strict=True) if not pair]
    pairs = [(term, rows) for term, pair, rows in zip(terms, is_pair, by_term, strict=True) if pair]
    return Model(
        classes=classes,
        properties=select([term for term, _ in singles]),
        categories=categories,
        priors=np.array(priors),
        offsets=np.array(offsets),
        weighting=weighting,
        weights=np.array(weights),
        sharpness=sharpness,
        mixing=np.array([[of_class[9] for of_class in rows] for rows in by_term]),
        tables=tuple(_table(rows) for _, rows in singles),
        pairs=tuple(_pair(term, rows) for term, rows in pairs),
        smoothing=smoothing,
        n_reference=np.array(n_reference, dtype=np.float64),
        outlier_p=np.array(outlier_p),
        outlier_levels=np.array(outlier_levels, dtype=np.float64),
        inverse_ridge=inverse_ridge,
    )


def _columns(conn: Connection, statement: str, keys: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Columns of the rows of a statement."""
    return list(zip(*conn.execute(job(statement).compose(), keys).fetchall(), strict=True))


def _column(rows: list[tuple[Any, ...]], i: int) -> np.ndarray:
    """One column of the rows of all classes, the classes last."""
    return np.moveaxis(np.array([row[i] for row in rows], dtype=np.float64), 0, -1)


def _table(rows: list[tuple[Any, ...]]) -> Table:
    grid = rows[0][2]

    def optional(i: int) -> np.ndarray | None:
        return None if rows[0][i] is None else np.ascontiguousarray(_column(rows, i))

    return Table(
        low=grid[0],
        step=(grid[-1] - grid[0]) / (len(grid) - 1),
        log_density=np.ascontiguousarray(_column(rows, 4)),
        log_smeared=optional(5),
        log_atoms=optional(6),
        log_above=optional(7),
        tail_slope=rows[0][8],
        log_present=_column(rows, 10),
        log_missing=_column(rows, 11),
        bandwidth=_column(rows, 12),
        typical_error=rows[0][13],
        n_present=_column(rows, 14),
    )


def _pair(name: str, rows: list[tuple[Any, ...]]) -> PairTable:
    axes, category, grid, grid_2 = rows[0][:4]
    ratio = _column(rows, 4).reshape(len(grid), len(grid_2), len(rows))
    return PairTable(
        name=name,
        category=category,
        axes=(axes[0], axes[1]),
        low=np.array([grid[0], grid_2[0]]),
        step=np.array([(g[-1] - g[0]) / (len(g) - 1) for g in (grid, grid_2)]),
        log_ratio=np.ascontiguousarray(ratio),
        n_present=_column(rows, 14),
    )
