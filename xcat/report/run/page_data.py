"""Data of the page of a run, other than the two-part table, read from the database: files, stages, counterparts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from pathlib import PurePath

import numpy as np
from psycopg import sql

from xcat.classifier.model import Model
from xcat.database import copy, partitions
from xcat.database.connection import Connection
from xcat.database.runs import get
from xcat.database.sqlfiles import job
from xcat.jobs.frozen import held_out_run
from xcat.models import store
from xcat.models.samples import in_order
from xcat.output.reading import Row, rows
from xcat.report.run import record
from xcat.report.run.summary import Report

_MOST_POINTS = 200_000
P_ANY_BINS = 20
ALL = "all together"
_DOUBLE = "double precision"
_CALIBRATION = [
    *(("catalogue_id", "smallint"), ("part", "smallint"), ("cutoff", _DOUBLE), ("is_chosen", "boolean")),
    *((name, "integer") for name in ("n_sources", "n_sources_above", "n_shifted", "n_shifted_above")),
    *((name, _DOUBLE) for name in ("false_rate", "contamination", "density_low", "density_high")),
]


@dataclass
class MissionMatch:
    """A mission matched with a catalogue."""

    mission: str
    catalogue: str
    kind: str
    bins: np.ndarray  #: number of sources by p_any, in 20 bins from 0 to 1
    accepted_bins: np.ndarray  #: those of them whose counterpart is accepted
    sources: int
    with_candidates: int
    candidates: int
    mean_p_any: float
    density_per_deg2: float
    completeness: float

    @property
    def accepted(self) -> int:
        """Sources with an accepted counterpart."""
        return int(self.accepted_bins.sum())


@dataclass
class Calibrated:
    """False matches of one catalogue against the cutoff of p_any: rows of ``xcat.calibration``."""

    catalogue: str
    curves: dict[int, np.ndarray]  #: by part of the sky, without the row of the cutoff in use; part 0 is the whole sky
    chosen: np.ndarray  #: rows of the cutoffs in use, by part

    @property
    def whole(self) -> np.void:
        """Row of the cutoff in use over the whole sky."""
        row: np.void = self.chosen[self.chosen["part"] == 0][0]
        return row

    @property
    def cutoffs(self) -> tuple[float, float]:
        """Smallest and largest cutoff in use in the parts of the sky."""
        parts = self.chosen["cutoff"][self.chosen["part"] > 0]
        return (float(parts.min()), float(parts.max())) if len(parts) else (float(self.whole["cutoff"]),) * 2


@dataclass
class MagnitudePrior:
    """The prior of one magnitude or colour of one catalogue; means are over the parts of the sky, by their sources."""

    catalogue: str
    term: str
    edges: np.ndarray  #: (n + 1,)
    counterparts: np.ndarray  #: mean density in each bin, (n,)
    field: np.ndarray  #: mean density in each bin, (n,)
    log_ratio: np.ndarray  #: mean log ratio, (n,)
    by_part: np.ndarray  #: log ratio of each part, (n_parts, n)


@dataclass
class Matching:
    """A match run; empty if there is none."""

    matches: list[MissionMatch] = field(default_factory=list)
    calibrations: list[Calibrated] = field(default_factory=list)  #: one per catalogue; last that of all, if of several
    priors: list[MagnitudePrior] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  #: what the run could not do
    false_rate: float | None = None  #: target: fraction of the shifted positions that may be accepted
    min_p_any: float | None = None  #: lowest possible cutoff

    @property
    def n_shifted(self) -> int:
        """Shifted positions behind the calibration."""
        return max((int(c.whole["n_shifted"]) for c in self.calibrations), default=0)


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
    of_model = {"held_out_run_id": held_out_run(run)}
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
        matching=collect_matches(conn, run["match_run_id"], source, catalogues),
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


def collect_matches(conn: Connection, match_run_id: int | None, source: str, order: Sequence[str] = ()) -> Matching:
    """Read the results of a match run.

    Parameters
    ----------
    source : str
        Qualified name of the partition of the sources.
    order : sequence of str
        Names of catalogues in the wanted order; others follow by name.
    """
    if match_run_id is None or not partitions.exists(conn, "match", match_run_id):
        return Matching()
    run = get(conn, match_run_id)
    rank = {name: i for i, name in enumerate(order)}
    listed = sorted(rows(conn, "report.catalogue_names"), key=lambda c: (rank.get(c["name"], len(rank)), c["name"]))
    names = {row["catalogue_id"]: row["name"] for row in listed}
    table = copy.fetch_columns(conn, job("report.calibration").compose(), _CALIBRATION, {"run_id": match_run_id})
    return Matching(
        matches=_matches(conn, partitions.qualified("match", match_run_id), source, order),
        calibrations=_calibrations(table, names),
        priors=_priors(rows(conn, "report.magnitude_priors", {"run_id": match_run_id}), names),
        notes=list(run["summary"].get("notes", [])),
        false_rate=run["config"].get("false_rate"),
        min_p_any=run["config"].get("min_p_any"),
    )


def _matches(conn: Connection, match: str, source: str, order: Sequence[str]) -> list[MissionMatch]:
    found = rows(conn, "report.p_any", {"catalogues": list(order)}, match=match, source=source)
    matches = []
    for (mission, name, kind), group in groupby(found, key=itemgetter("mission", "catalogue", "kind")):
        filled = list(group)
        bins = np.zeros((2, P_ANY_BINS), dtype=np.int64)
        for row in filled:
            bins[:, row["bin"]] = row["sources"], row["accepted"]
        keys = ("sources", "with_candidates", "candidates", "sum_p_any", "sum_density")
        sources, having, candidates, p_any, density = (sum(row[key] for row in filled) for key in keys)
        numbers = (sources, having, candidates, p_any / sources, density / sources)
        complete = max(row["completeness"] for row in filled)
        matches.append(MissionMatch(mission, name, kind, bins[0], bins[1], *numbers, complete))
    return matches


def _calibrations(table: np.ndarray, names: dict[int, str]) -> list[Calibrated]:
    measured = table[table["n_shifted"] > 0]
    whole = measured[measured["part"] == 0]
    numbers = [i for i in names if i in whole["catalogue_id"]]
    if len(numbers) > 1 and (whole["catalogue_id"] == 0).any():
        numbers.append(0)
    calibrations = []
    for number in numbers:
        of_catalogue = measured[measured["catalogue_id"] == number]
        grid, chosen = (of_catalogue[of_catalogue["is_chosen"] == flag] for flag in (0, 1))
        curves = {part: grid[grid["part"] == part] for part in np.unique(grid["part"]).tolist()}
        calibrations.append(Calibrated(names.get(number, ALL), curves, chosen))
    return calibrations


def _priors(learned: list[Row], names: dict[int, str]) -> list[MagnitudePrior]:
    """The rows are by catalogue, term, part and bin; the priors are in the order of the names."""
    priors = []
    for (catalogue_id, term), group in groupby(learned, key=itemgetter("catalogue_id", "term")):
        parts = [list(bins) for _, bins in groupby(group, key=itemgetter("part"))]
        edges = np.array([*(row["bin_low"] for row in parts[0]), parts[0][-1]["bin_high"]])
        weight = np.array([bins[0]["n_sources"] for bins in parts], dtype=float)
        columns = ("density_counterparts", "density_field", "log_ratio")
        by_part = [np.array([[row[name] for row in bins] for bins in parts]) for name in columns]
        counterparts, of_field, ratio = (np.asarray(weight @ values / weight.sum()) for values in by_part)
        priors.append(MagnitudePrior(names[catalogue_id], term, edges, counterparts, of_field, ratio, by_part[-1]))
    order = list(names.values())
    return sorted(priors, key=lambda prior: (order.index(prior.catalogue), prior.term))
