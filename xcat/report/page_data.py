"""What the page of a run shows beside the two-part table, read from the database."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

import numpy as np
from psycopg import sql

from xcat.classifier.model import Model
from xcat.database import copy, partitions
from xcat.database.engine import Connection
from xcat.database.runs import get
from xcat.database.sqlfiles import job
from xcat.jobs import models
from xcat.report.reading import Row, one, rows
from xcat.report.summary import Report

P_ANY_BINS = 20
_MOST_POINTS = 200_000


@dataclass
class Match:
    """A mission matched with a catalogue; `bins` counts sources by p_any, in twenty bins from 0 to 1."""

    mission: str
    catalogue: str
    kind: str
    bins: np.ndarray
    sources: int = 0
    with_candidates: int = 0
    candidates: int = 0
    accepted: int = 0
    mean_p_any: float = 0.0
    density_per_deg2: float = 0.0
    completeness: float = 0.0


@dataclass
class PageData:
    """Everything that the page needs.

    Attributes
    ----------
    run, versions : dict
        The classify run's row, and its versions.
    pipeline : dict
        Configuration of the pipeline run, or of the fit run if there is none.
    stages, files, rejects : list of dict
    sky : structured array
        Galactic coordinates and class, of every `every`-th source.
    presence : dict
        Fraction of the sources of each class that have each property.
    model : Model
    """

    run: Row
    versions: Row
    pipeline: Row
    stages: list[Row]
    files: list[Row]
    rejects: list[Row]
    sky: np.ndarray
    every: int
    matches: list[Match]
    min_p_any: float
    presence: dict[str, dict[str, float]]
    n_of_class: dict[str, int]
    model: Model
    notes: list[str] = field(default_factory=list)


def collect(report: Report, conn: Connection) -> PageData:
    """Read it all for the run of a report."""
    run = get(conn, report.run_id)
    tables = {
        "classification": partitions.qualified("classification", report.run_id),
        "source": partitions.qualified("source", run["source_run_id"]),
        "property": partitions.qualified("property", run["property_run_id"]),
    }
    model = models.load(conn, report.model_run_id)
    parent = run["pipeline_run_id"] and one(conn, "runs.show", {"run_id": run["pipeline_run_id"]})
    fit = get(conn, report.model_run_id)
    pipeline = parent["to_jsonb"]["config"] if parent else fit["config"]
    properties = get(conn, run["property_run_id"])
    min_p_any = float(properties["config"].get("min_p_any", 0.5))
    ids = [report.run_id, *report.lineage.values()]
    catalogues = {"catalogues": _catalogues(pipeline)}
    presence, n_of_class = _presence(conn, report, model, tables)
    every = max(1, -(-report.whole.all // _MOST_POINTS))
    return PageData(
        run=run,
        versions=run["versions"],
        pipeline=pipeline,
        stages=rows(conn, "report.stages", {"run_ids": ids}),
        files=rows(conn, "report.files", catalogues),
        rejects=rows(conn, "report.rejects", catalogues),
        sky=copy.fetch_columns(
            conn,
            job("report.sky").compose(classification=tables["classification"], source=tables["source"]),
            [("glon", "double precision"), ("glat", "double precision"), ("class_id", "smallint")],
            {"every": every},
        ),
        every=every,
        matches=_matches(conn, run, tables, min_p_any),
        min_p_any=min_p_any,
        presence=presence,
        n_of_class=n_of_class,
        model=model,
    )


def _catalogues(pipeline: Row) -> list[str]:
    """Names of the catalogues that a pipeline's configuration lists; none means all.

    A definition that is given by its path is called like its file.
    """
    groups = ("xray", "counterparts", "galaxies", "references")
    items = [item for group in groups for item in pipeline.get(group) or [] if isinstance(item, dict)]
    return [PurePath(item["catalogue"]).stem for item in items]


def _presence(
    conn: Connection, report: Report, model: Model, tables: dict[str, str]
) -> tuple[dict[str, dict[str, float]], dict[str, int]]:
    counts = sql.SQL(", ").join(job("report.presence_of").compose(name=p.name) for p in model.properties)
    found = rows(
        conn, "report.presence", counts=counts, property=tables["property"], classification=tables["classification"]
    )
    by_class: dict[str, Any] = {report.classes[row["class_id"] - 1]: row for row in found}
    share = {
        c: {p.name: by_class[c][p.name] / by_class[c]["sources"] for p in model.properties}
        for c in report.classes
        if c in by_class
    }
    return share, {c: by_class[c]["sources"] if c in by_class else 0 for c in report.classes}


def _matches(conn: Connection, run: Row, tables: dict[str, str], min_p_any: float) -> list[Match]:
    if run["match_run_id"] is None or not partitions.exists(conn, "match", run["match_run_id"]):
        return []
    found = rows(
        conn, "report.p_any", {"min_p_any": min_p_any},
        match=partitions.qualified("match", run["match_run_id"]), source=tables["source"],
    )  # fmt: skip
    matches: dict[tuple[str, str], Match] = {}
    for row in found:
        key = (row["mission"], row["catalogue"])
        m = matches.setdefault(key, Match(*key, row["kind"], np.zeros(P_ANY_BINS, dtype=np.int64)))
        m.bins[row["bin"]] += row["sources"]
        m.sources += row["sources"]
        m.with_candidates += row["with_candidates"]
        m.candidates += row["candidates"]
        m.accepted += row["accepted"]
        m.mean_p_any += row["sum_p_any"]
        m.density_per_deg2 += row["sum_density"]
        m.completeness = max(m.completeness, row["completeness"])
    for m in matches.values():
        m.mean_p_any /= m.sources
        m.density_per_deg2 /= m.sources
    return list(matches.values())
