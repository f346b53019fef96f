"""Models in the database: arrays of the classifier to rows and back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from psycopg.rows import dict_row

from xcat.classifier.bootstrap import Replicates
from xcat.classifier.density import Table
from xcat.classifier.model import HOW_FITTED, Model
from xcat.classifier.pairs import PairTable, as_row
from xcat.columns.properties import SHIFT_COLUMNS, absence_of, column_of, select, shift_of
from xcat.database import copy
from xcat.database.connection import Connection
from xcat.database.sqlfiles import insert, job
from xcat.errors import XcatError

# arrays of a table with a value per class, on the last axis
_LOGARITHMS = ("log_density", "log_smeared", "log_atoms", "log_above", "log_present", "log_missing")
_BY_CLASS = (*_LOGARITHMS, "bandwidth", "n_present")


def store(conn: Connection, run_id: int, model: Model) -> None:
    """Write a model and its tables as rows of a fit run."""
    keys = {"run_id": run_id}
    best = None if model.best_levels is None else model.best_levels.tolist()
    row = {name: getattr(model, name) for name in ("weighting", "limits_before_galaxy", *HOW_FITTED)}
    for table, rows in {
        "model": [row | {"outlier_p": model.outlier_p.tolist(), "best_levels": best}],
        "model_class": _classes(model),
        "model_category": _categories(model),
        "model_term": _terms(model),
        "likelihood_table": [*_singles(model), *_pairs(model)],
    }.items():
        insert(conn, f"xcat.{table}", [keys | each for each in rows])
    if model.replicates is not None:
        copy.copy_in(conn, "xcat.likelihood_replicate", _replicate_blocks(run_id, model))


def _classes(model: Model) -> list[dict[str, Any]]:
    return [
        {
            "class_id": k + 1,
            "class": name,
            "prior": float(model.priors[k]),
            "log_offset": float(model.offsets[k]),
            "offset_changes": None if model.replicates is None else model.replicates.offsets[k].tolist(),
            "n_reference": round(model.n_reference[k]),
            "outlier_levels": model.outlier_levels[k].tolist(),
            "behind_galaxy": model.behind is not None and bool(model.behind[k]),
            "part_of": None if model.part_of is None else model.part_of[k],
        }
        for k, name in enumerate(model.classes)
    ]


def _categories(model: Model) -> list[dict[str, Any]]:
    pairs = zip(model.categories, model.weights.tolist(), strict=True)
    return [{"category_id": t, "category": name, "weight": weight} for t, (name, weight) in enumerate(pairs, 1)]


def _terms(model: Model) -> list[dict[str, Any]]:
    return [
        {"term_id": t + 1, "term": name, "category": category, "is_pair": t >= len(model.properties)}
        for t, (name, category) in enumerate(zip(model.term_names, model.term_categories, strict=True))
    ]


def _singles(model: Model) -> list[dict[str, Any]]:
    rows = []
    with_limit = {
        p.name for p, table in zip(model.properties, model.tables, strict=True) if table.log_above is not None
    }
    for j, (prop, table) in enumerate(zip(model.properties, model.tables, strict=True)):
        shared = {
            "property": prop.name,
            "axes": [prop.name],
            "scales": [prop.scale],
            "category": prop.category,
            "grid": (table.low + table.step * np.arange(len(table.log_density))).tolist(),
            "grid_2": None,
            "tail_slope": table.tail_slope,
            "typical_error": table.typical_error,
            "error_column": None if table.log_smeared is None else column_of(prop.name, "error"),
            "limit_column": None if table.log_above is None else column_of(prop.name, "limit"),
            "observed_column": column_of(prop.name, "observed"),
            "column_shift": _shift(model, prop.name),
            "absence_columns": _absence(model, prop.name, with_limit),
        }
        arrays = {name: getattr(table, name) for name in _BY_CLASS}
        for k, name in enumerate(model.classes):
            of_class = {key: None if array is None else array[..., k].tolist() for key, array in arrays.items()}
            rows.append(shared | of_class | {"class": name, "mixing": model.mixing[j, k].tolist()})
    return rows


def _shift(model: Model, *axes: str) -> list[float] | None:
    """What is added to the axes of a term for classes behind the Galaxy; None: nothing."""
    shifts = [shift_of(axis) for axis in axes]
    if model.behind is None or not model.behind.any() or not any(shifts):
        return None
    return [x for shift in shifts for x in shift or (0.0,) * len(SHIFT_COLUMNS)]


def _absence(model: Model, name: str, with_limit: set[str]) -> list[str] | None:
    """Flux ratios of a model that count the absence of the counterpart that a property needs; None: none does."""
    found = [ratio for ratio in absence_of(name) if ratio in with_limit]
    return found if found and model.behind is not None else None


def _pairs(model: Model) -> list[dict[str, Any]]:
    scales = {p.name: p.scale for p in model.properties}
    unused = ("typical_error", "error_column", "limit_column", "observed_column", "absence_columns")
    rows = []
    for j, pair in enumerate(model.pairs, len(model.properties)):
        ends = zip(pair.low, pair.step, pair.log_ratio.shape[:2], strict=True)
        grid, grid_2 = ((low + step * np.arange(n)).tolist() for low, step, n in ends)
        shared = dict.fromkeys((*_BY_CLASS, *unused)) | {
            "property": pair.name,
            "axes": list(pair.axes),
            "scales": [scales[axis] for axis in pair.axes],
            "category": pair.category,
            "grid": grid,
            "grid_2": grid_2,
            **dict.fromkeys(("tail_slope", "log_present", "log_missing"), 0.0),
            # the prior of the sky is a function of what is observed
            "column_shift": None if model.has_sky_prior and pair is model.pairs[-1] else _shift(model, *pair.axes),
        }
        for k, (name, log_ratio) in enumerate(zip(model.classes, as_row(pair), strict=True)):
            of_class = {"log_density": log_ratio.tolist(), "n_present": float(pair.n_present[k])}
            rows.append(shared | of_class | {"class": name, "mixing": model.mixing[j, k].tolist()})
    return rows


def _replicate_blocks(run_id: int, model: Model) -> Iterator[dict[str, np.ndarray]]:
    """What replicates change, place by place: the rows of a term after those of another."""
    terms = model.replicates.terms if model.replicates is not None else ()
    # a prior of the sky, the last term, does not change
    for name, changes in zip(model.term_names, terms, strict=False):
        n_places = changes.shape[1]
        yield {
            "run_id": np.full(n_places, run_id, np.int32),
            "property": np.full(n_places, name.encode()),
            "place": np.arange(n_places, dtype=np.int16),
            "changes": changes.transpose(1, 0, 2).reshape(n_places, -1),
        }


def _replicates(conn: Connection, keys: dict[str, Any], offsets: list[Any], terms: list[str]) -> Replicates | None:
    """The replicates of a model; None if it has none."""
    if offsets[0] is None:
        return None
    offset = np.array(offsets, dtype=np.float32)
    # an array of reals as it is sent: 20 bytes of header, then the length and the value of each
    item = np.dtype([("length", ">i4"), ("value", ">f4")])
    row = np.dtype([("header", "V20"), ("items", item, offset.size)])
    with conn.cursor(binary=True) as cursor:
        sent = dict(cursor.execute(job("fit.replicates").compose(), keys).fetchall())
    changes = []
    for name in terms[: len(sent)]:
        values = np.frombuffer(sent[name], row)["items"]["value"].astype(np.float32)
        changes.append(np.ascontiguousarray(values.reshape(len(values), *offset.shape).transpose(1, 0, 2)))
    return Replicates(offset, tuple(changes))


def load(conn: Connection, run_id: int) -> Model:
    """Read the model of a fit run.

    Raises
    ------
    XcatError
        The run made no model.
    """
    keys = {"run_id": run_id}
    model = _part(conn, "model", "run_id", keys)
    if not model["run_id"]:
        raise XcatError(f"run {run_id} made no model. See: xcat runs")
    of_class, of_category = (_part(conn, f"model_{part}", f"{part}_id", keys) for part in ("class", "category"))
    of_term = _part(conn, "model_term", "term_id", keys)
    classes, terms, is_pair = of_class["class"], of_term["term"], of_term["is_pair"]
    with conn.cursor(row_factory=dict_row) as cursor:
        tables = {(row["property"], row["class"]): row for row in cursor.execute(job("fit.tables").compose(), keys)}
    by_term = [[tables[term, c] for c in classes] for term in terms]
    singles = [(term, rows) for term, pair, rows in zip(terms, is_pair, by_term, strict=True) if not pair]
    pairs = [(term, rows) for term, pair, rows in zip(terms, is_pair, by_term, strict=True) if pair]
    return Model(
        classes=tuple(classes),
        properties=select([term for term, _ in singles]),
        categories=tuple(of_category["category"]),
        priors=np.array(of_class["prior"]),
        offsets=np.array(of_class["log_offset"]),
        weighting=model["weighting"][0],
        weights=np.array(of_category["weight"]),
        mixing=np.array([[row["mixing"] for row in rows] for rows in by_term]),
        tables=tuple(_table(rows) for _, rows in singles),
        pairs=tuple(_pair(term, rows) for term, rows in pairs),
        n_reference=np.array(of_class["n_reference"], dtype=np.float64),
        outlier_p=np.array(model["outlier_p"][0]),
        outlier_levels=np.array(of_class["outlier_levels"], dtype=np.float64),
        **{name: model[name][0] for name in HOW_FITTED},
        best_levels=None if model["best_levels"][0] is None else np.array(model["best_levels"][0]),
        replicates=_replicates(conn, keys, of_class["offset_changes"], terms),
        behind=np.array(of_class["behind_galaxy"], dtype=bool) if _is_new(of_class, tables) else None,
        part_of=tuple(of_class["part_of"]) if of_class["part_of"][0] is not None else None,
        limits_before_galaxy=model["limits_before_galaxy"][0],
    )


def _is_new(of_class: dict[str, list[Any]], tables: dict[tuple[str, str], dict[str, Any]]) -> bool:
    """Whether a model knows which classes lie behind the Galaxy, and counts the absence of a counterpart once."""
    return any(of_class["behind_galaxy"]) or any(row["absence_columns"] for row in tables.values())


def _part(conn: Connection, table: str, number: str, keys: dict[str, Any]) -> dict[str, list[Any]]:
    """Columns of the rows of a model in a table, by name."""
    cursor = conn.execute(job("fit.part").compose(part=f"xcat.{table}", number=number), keys)
    names = [column.name for column in cursor.description or ()]
    rows = cursor.fetchall()
    return {name: [row[i] for row in rows] for i, name in enumerate(names)}


def _column(rows: list[dict[str, Any]], name: str) -> np.ndarray:
    """One column of the rows of all classes, the classes last."""
    return np.ascontiguousarray(np.moveaxis(np.array([row[name] for row in rows], dtype=np.float64), 0, -1))


def _table(rows: list[dict[str, Any]]) -> Table:
    first = rows[0]
    arrays: dict[str, Any] = {name: None if first[name] is None else _column(rows, name) for name in _BY_CLASS}
    return Table(
        low=first["grid"][0],
        step=_step(first["grid"]),
        tail_slope=first["tail_slope"],
        typical_error=first["typical_error"],
        **arrays,
    )


def _pair(name: str, rows: list[dict[str, Any]]) -> PairTable:
    first = rows[0]
    axes, grids = first["axes"], (first["grid"], first["grid_2"])
    ratio = _column(rows, "log_density").reshape(len(grids[0]), len(grids[1]), len(rows))
    return PairTable(
        name=name,
        category=first["category"],
        axes=(axes[0], axes[1]),
        low=np.array([grid[0] for grid in grids]),
        step=np.array([_step(grid) for grid in grids]),
        log_ratio=ratio,
        n_present=_column(rows, "n_present"),
    )


def _step(grid: list[float]) -> float:
    return (grid[-1] - grid[0]) / (len(grid) - 1)
