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
from xcat.report.run import link_summary, match_data
from xcat.report.run.match_data import Matching
from xcat.report.run.summary import Report

_MOST_POINTS = 200_000


@dataclass
class PageData:
    """Data of the page.

    Attributes
    ----------
    versions : dict
        Versions of the software of the classify run.
    pipeline : dict
        Configuration of the pipeline run, or of the fit run if there is none.
    stages, files, rejects : list of dict
    matching : Matching
    links : dict or None
        Counts of the link run, if there is more than one mission; see `xcat.report.run.link_summary.as_json`.
    sky : structured array
        Galactic coordinates and number of the class (from 1), of every `every`-th source.
    presence : dict
        Fraction of the sources of each class that have each property.
    n_of_class : dict
        Number of sources of each class.
    model : Model
    """

    versions: Row
    pipeline: Row
    stages: list[Row]
    files: list[Row]
    rejects: list[Row]
    sky: np.ndarray
    every: int
    matching: Matching
    links: Row | None
    presence: dict[str, dict[str, float]]
    n_of_class: dict[str, int]
    model: Model


def collect(report: Report, conn: Connection) -> PageData:
    """Read the data for the run of a report."""
    run = get(conn, report.run_id)
    tables = {
        "classification": partitions.qualified("classification", report.run_id),
        "source": partitions.qualified("source", run["source_run_id"]),
        "property": partitions.qualified("property", run["property_run_id"]),
    }
    model = store.load(conn, report.model_run_id)
    pipeline = get(conn, run["pipeline_run_id"] or report.model_run_id)["config"]
    ids = [report.run_id, *report.lineage.values()]
    catalogues = _catalogues(pipeline)
    presence, n_of_class = _presence(conn, report, model, tables)
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
            job("report.sky").compose(classification=tables["classification"], source=tables["source"]),
            [("glon", "double precision"), ("glat", "double precision"), ("class_id", "integer")],
            {"source_ids": some, "classes": list(report.classes), "model_run_id": report.model_run_id},
        ),
        every=every,
        matching=match_data.collect(conn, run["match_run_id"], tables["source"], catalogues),
        links=_links(conn, run["link_run_id"]),
        presence=presence,
        n_of_class=n_of_class,
        model=model,
    )


def _catalogues(pipeline: Row) -> list[str]:
    """Names of the catalogues of a configuration, in its order; one given by its path has the name of the file."""
    groups = ("xray", "counterparts", "galaxies", "references")
    items = [item for group in groups for item in pipeline.get(group) or [] if isinstance(item, dict)]
    return [PurePath(item["catalogue"]).stem for item in items]


def _links(conn: Connection, link_run_id: int | None) -> Row | None:
    if link_run_id is None:
        return None
    counted = link_summary.as_json(conn, link_run_id)
    return counted if len(counted["missions"]) > 1 else None


def _presence(
    conn: Connection, report: Report, model: Model, tables: dict[str, str]
) -> tuple[dict[str, dict[str, float]], dict[str, int]]:
    counts = sql.SQL(", ").join(job("report.presence_of").compose(name=p.name) for p in model.properties)
    places = {"property": tables["property"], "classification": tables["classification"]}
    counted = rows(conn, "report.presence", {"model_run_id": report.model_run_id}, counts=counts, **places)
    share = {row["class"]: {p.name: row[p.name] / row["sources"] for p in model.properties} for row in counted}
    return share, dict.fromkeys(report.classes, 0) | {row["class"]: row["sources"] for row in counted}
