"""Tiny catalogues written straight into the catalogue tables, to test the stages after the ingest on."""

from __future__ import annotations

from itertools import count
from typing import Any

import numpy as np
from psycopg.types.json import Jsonb

from xcat.catalogues.definition import Definition
from xcat.config import Settings
from xcat.database import copy, partitions
from xcat.database.connection import ready
from xcat.database.loaded import Loaded
from xcat.database.runs import stage
from xcat.match.stage import MatchStageOptions, match_stage
from xcat.merge.sources import merge_stage

_number = count(1)
_SKY = {"xray": {}, "optical": {"sky": {"density_per_deg2": 1e4}}, "infrared": {"sky": {"density_per_deg2": 1e4}}}
_FLUXES = ("flux_cgs", "flux_soft_cgs", "flux_medium_cgs", "flux_hard_cgs")


def column(type_: str, values: Any, n: int) -> np.ndarray:
    """Values as COPY wants them; None is NULL, a single value stands for all rows."""
    values = list(values) if isinstance(values, list | tuple | np.ndarray) else [values] * n
    if type_ == "text":
        return np.array(["" if v is None else str(v) for v in values]).astype(np.bytes_)
    if type_ in ("smallint", "integer", "bigint"):
        mask = [v is None for v in values]
        return np.ma.MaskedArray([0 if v is None else v for v in values], mask, dtype=np.int64)
    if type_ == "boolean":
        return np.array(values, dtype=bool)
    return np.array([np.nan if v is None else v for v in values], dtype=float)


def load(
    settings: Settings,
    kind: str,
    columns: dict[str, Any],
    *,
    extra: tuple[str, ...] = (),
    stored: tuple[str, ...] = (),
    **keys: Any,
) -> Loaded:
    """Make a catalogue of these columns (standard names; ra and dec are needed, NULL is None).

    Columns that are `stored` are written as they are, and are not in the definition.
    """
    number = next(_number)
    names = [c for c in columns if c not in ("err_arcsec", "class", *stored)]
    data: dict[str, Any] = {
        "name": f"tiny{number}",
        "title": "Made by a test",
        "kind": kind,
        "citation": "none",
        "columns": {c: c for c in dict.fromkeys(("native_id", "ra", "dec", *names, *extra))},
        **_SKY.get(kind, {}),
        **keys,
    }
    if kind != "galaxy":
        data["position_error"] = {"convention": "axis_1sigma", "constant": 1.0}
    if kind.startswith("xray") and any(c in columns for c in _FLUXES):
        data = {"flux_band_kev": [0.2, 12.0]} | data
        data["bands_kev"] = {"soft": [0.2, 1], "medium": [1, 2], "hard": [2, 12]}
    if kind == "reference" and "class" not in keys:
        data["classes"] = {"AGN": "AGN"}
        data["columns"]["class_native"] = "class_native"
    definition = Definition.from_dict(data)
    n = len(columns["ra"])
    table = definition.table_kind
    with ready(settings) as conn:
        row = conn.execute(
            "INSERT INTO xcat.catalogue (name, version, is_current, kind, definition, definition_sha256)"
            " VALUES (%s, 1, true, %s, %s, %s)"
            " RETURNING catalogue_id",
            [definition.name, kind, Jsonb(definition.as_dict()), definition.sha256],
        ).fetchone()
        assert row is not None
        types = copy.column_types(conn, f"xcat.{table}")
        values = {
            "catalogue_id": row[0],
            "object_id": list(range(1, n + 1)),
            "file_id": 0,
            "native_id": [f"{i + 1}" for i in range(n)],
            **({} if kind == "galaxy" else {"err_arcsec": 1.0}),
            **columns,
        }
        partitions.write(conn, table, row[0], [{c: column(types[c], v, n) for c, v in values.items()}])
    return Loaded(row[0], definition)


def rows(settings: Settings, query: str, params: Any = None) -> list[dict[str, Any]]:
    """Rows of a query as dicts."""
    with ready(settings) as conn:
        cursor = conn.execute(query, params)
        names = [c.name for c in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def merge(settings: Settings, *xray: Loaded) -> int:
    """Run the merge stage."""
    with stage(settings, "merge", "tiny", {"n": next(_number)}) as run:
        merge_stage(run, list(xray))
    return run.run_id


def match(settings: Settings, merged: int, xray: list[Loaded], others: list[Loaded], **options: Any) -> int:
    """Run the match stage."""
    given = {name: options.pop(name, None) for name in ("completeness", "magnitudes")}
    with stage(settings, "match", "tiny", {"n": next(_number)}, source_run_id=merged) as run:
        match_stage(run, merged, xray, others, MatchStageOptions(**options), **given)
    return run.run_id


def sources(settings: Settings, run_id: int) -> list[dict[str, Any]]:
    """Sources of a merge run, in the order of their names."""
    return rows(settings, 'SELECT * FROM xcat.source WHERE run_id = %s ORDER BY name COLLATE "C"', [run_id])


def write(settings: Settings, table: str, run_id: int, columns: dict[str, Any], n: int | None = None) -> None:
    """Write `n` rows of a run table, as many as sources if not said."""
    n = len(columns["source_id"]) if n is None else n
    with ready(settings) as conn:
        types = copy.column_types(conn, f"xcat.{table}")
        block = {"run_id": run_id, **columns}
        partitions.write(conn, table, run_id, [{c: column(types[c], v, n) for c, v in block.items()}])


def separation(ra1: Any, dec1: Any, ra2: Any, dec2: Any) -> np.ndarray:
    """Great-circle distance in arcsec by Vincenty's formula, good at every distance and place."""
    a1, d1, a2, d2 = (np.radians(np.asarray(x, dtype=float)) for x in (ra1, dec1, ra2, dec2))
    da = a2 - a1
    across = np.hypot(np.cos(d2) * np.sin(da), np.cos(d1) * np.sin(d2) - np.sin(d1) * np.cos(d2) * np.cos(da))
    along = np.sin(d1) * np.sin(d2) + np.cos(d1) * np.cos(d2) * np.cos(da)
    return np.asarray(np.degrees(np.arctan2(across, along)) * 3600)
