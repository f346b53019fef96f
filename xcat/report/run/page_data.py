"""Data of the page of a run, other than the two-part table, read from the database."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
from psycopg import sql

from xcat.classifier.model import Model
from xcat.database import copy, partitions
from xcat.database.connection import Connection
from xcat.database.runs import get
from xcat.database.sqlfiles import job
from xcat.models import store
from xcat.models.samples import in_order
from xcat.output.reading import Row, rows
from xcat.report.run import match_data, record
from xcat.report.run.match_data import Matching
from xcat.report.run.summary import Report

_MOST_POINTS = 200_000


@dataclass
class PageData:
    """Data of the page."""

    versions: Row  #: of the software of the classify run
    pipeline: Row  #: configuration of the pipeline run, or of the fit run if there is none
    stages: list[Row]
    files: list[Row]
    rejects: list[Row]
    sky: np.ndarray  #: Galactic coordinates and number of the class (from 1), of every `every`-th source
    every: int
    matching: Matching
    links: Row | None  #: counts of the link run, if there is more than one mission; see `record.links_json`
    presence: dict[str, dict[str, float]]  #: fraction of the sources of each class that have each property
    n_of_class: dict[str, int]  #: number of sources of each class
    model: Model


def collect(report: Report, conn: Connection) -> PageData:
    """Read the data for the run of a report."""
    run = get(conn, report.run_id)
    classified = partitions.qualified("classification", report.run_id)
    source = partitions.qualified("source", run["source_run_id"])
    model = store.load(conn, report.model_run_id)
    pipeline = get(conn, run["pipeline_run_id"] or report.model_run_id)["config"]
    ids = [report.run_id, *report.lineage.values()]
    catalogues = _catalogues(pipeline)
    links = None if run["link_run_id"] is None else record.links_json(conn, run["link_run_id"])
    of_model = {"model_run_id": report.model_run_id}
    counts = sql.SQL(", ").join(job("report.presence_of").compose(name=p.name) for p in model.properties)
    places = {"property": partitions.qualified("property", run["property_run_id"]), "classification": classified}
    present = rows(conn, "report.presence", of_model, counts=counts, **places)
    every = max(1, -(-report.whole.all // _MOST_POINTS))
    some = in_order(conn, run["source_run_id"])[every - 1 :: every].tolist() if every > 1 else None
    return PageData(
        versions=run["versions"],
        pipeline=pipeline,
        stages=rows(conn, "report.stages", {"run_ids": ids}),
        files=rows(conn, "report.files", {"run_ids": ids, "catalogues": catalogues}),
        rejects=rows(conn, "report.rejects", {"run_ids": ids}),
        sky=copy.fetch_columns(
            conn,
            job("report.sky").compose(classification=classified, source=source),
            [("glon", "double precision"), ("glat", "double precision"), ("class_id", "integer")],
            {"source_ids": some, "classes": list(report.classes), **of_model},
        ),
        every=every,
        matching=match_data.collect(conn, run["match_run_id"], source, catalogues),
        links=links if links and len(links["missions"]) > 1 else None,
        presence={r["class"]: {p.name: r[p.name] / r["sources"] for p in model.properties} for r in present},
        n_of_class=dict.fromkeys(report.classes, 0) | {r["class"]: r["sources"] for r in present},
        model=model,
    )


def _catalogues(pipeline: Row) -> list[str]:
    """Names of the catalogues of a configuration, in its order; one given by its path has the name of the file."""
    groups = ("xray", "counterparts", "galaxies", "references")
    items = [item for group in groups for item in pipeline.get(group) or [] if isinstance(item, dict)]
    return [PurePath(item["catalogue"]).stem for item in items]
