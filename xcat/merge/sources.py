"""The merge stage: detections of one mission become sources (statements in sql/jobs/merge.sql)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from psycopg import sql

from xcat import progress
from xcat.arrays import components
from xcat.catalogues.definition import Definition
from xcat.columns.registry import BANDS
from xcat.database import copy, partitions
from xcat.database.loaded import Loaded
from xcat.database.runs import Run
from xcat.database.sqlfiles import dicts, job
from xcat.sky import joins

# Two positions of one source differ by less than this many combined per-axis sigmas in 99 % of cases (Rayleigh).
GROUP_SIGMA = 3.03
_MAX_RADIUS_ARCSEC = 60.0
#: A detection is left out of the mean flux if it is so many sigmas from the median of all, and the share of the flux
#: that is added to its error: calibration and apertures.
OUTLYING_SIGMA, SYSTEMATIC = 4.0, 0.1
#: Counts from which on the effective exposure of a detection comes from its own flux and error more than from its
#: exposure time: benchmarks/fluxes.py.
PRIOR_COUNTS = 25.0
#: Detections whose flaws spoil fluxes only are used where those without flaws have a smaller share of the exposure.
LEAST_SHARE = 0.3
# columns of which the mean over the detections of a source is taken, with their errors
_FLUXES = {"flux_cgs": "flux_err_cgs", **{f"flux_{band}_cgs": f"flux_{band}_err_cgs" for band in BANDS}}
_RATIOS = {"hr1": "hr1_err", "hr2": "hr2_err"}


def merge_stage(run: Run, xray: list[Loaded]) -> None:
    """Merge the detections of each mission into sources.

    If the mission names the source of each detection, its names are used. Else detections that are closer than their
    errors allow are linked, and the connected components of the links are the sources. Each catalogue is a mission.
    """
    conn = run.conn
    joins.make_tables(conn)
    conn.execute(job("merge.make_work").compose())
    targets = {name: partitions.create(conn, name, run.run_id) for name in ("source", "source_detection")}
    run.summary["missions"] = {}
    for mission in xray:
        definition = mission.definition
        with run.step(definition.name):
            joins.clear(conn, "member")
            is_named = definition.kind == "xray_sources" or "source_native_id" in definition.columns
            if is_named:
                conn.execute(job("merge.members_by_name").compose(detection=mission.table))
            else:
                _group_by_position(run, mission)
            conn.execute("ANALYZE pg_temp.member")
            values = source_values(run.run_id, mission.catalogue_id, definition, is_named)
            with progress.bar(f"{definition.name}: detections to sources"):
                conn.execute(job("merge.number_sources").compose(), values)
                conn.execute("ANALYZE xcat.source_identity")  # else the planner takes it for empty, and loops
                conn.execute(job("merge.source_detections").compose(**targets), values)
                query = sources_query(mission.table, "xcat.source_identity", definition.of_source)
                partitions.fill(conn, "source", run.run_id, query, values)
            (counts,) = dicts(conn.execute(job("merge.count").compose(source=targets["source"]), values))
            if definition.of_source:
                counts["conflicting"] = _n_conflicting(run, mission)
            run.summary["missions"][definition.name] = counts
    with run.step("index"), progress.bar("sources: indexes"):
        for table in targets:
            partitions.attach(conn, table, run.run_id)


def sources_query(detection: str, identity: str, of_source: Collection[str] = ()) -> sql.Composed:
    """SELECT of the sources that the detections of a table make, with the numbers of a table of identities.

    Parameters
    ----------
    of_source : collection of str
        Quantities that the mission itself gives of its sources.
    """
    kinds = {"flux_cgs": "mean_flux", **dict.fromkeys(_RATIOS, "mean_ratio")}
    both = {**_FLUXES, **_RATIOS}
    means, chosen = [], []
    for value, error in both.items():
        names = {"value": value, "error": error, "mean": f"mean_{value}", "mean_error": f"mean_{error}"}
        means.append(_fragment(kinds.get(value, "mean"), names))
    for value in [name for pair in both.items() for name in pair]:
        statement = "choose" if value in of_source else "take_mean"
        chosen.append(_fragment(statement, {"value": value, "mean": f"mean_{value}", "own": f"own_{value}"}))
    means += [_fragment("of_source", {"column": f"source_{name}", "own": f"own_{name}"}) for name in of_source]
    is_given = _fragment("is_given", {"own": "own_flux_cgs"}) if "flux_cgs" in of_source else sql.SQL("true")
    fragments = {name: sql.SQL(", ").join(parts) for name, parts in (("means", means), ("chosen", chosen))}
    return job("merge.sources").compose(detection=detection, identity=identity, is_given=is_given, **fragments)


def _fragment(name: str, names: Mapping[str, str]) -> sql.Composed:
    return job(f"merge.{name}").compose(**names)


def _n_conflicting(run: Run, mission: Loaded) -> int:
    """Sources of which the detections disagree on what the mission says of the source."""
    names = list(mission.definition.of_source)
    places = [{"column": f"source_{n}", "low": f"low_{n}", "high": f"high_{n}"} for n in names]
    differs = sql.SQL(" OR ").join(_fragment("differs", p) for p in places)
    extremes = sql.SQL(", ").join(_fragment("extremes", p) for p in places)
    statement = job("merge.conflicting").compose(detection=mission.table, differs=differs, extremes=extremes)
    ((n,),) = run.conn.execute(statement).fetchall()
    return int(n)


def source_values(run_id: int, catalogue_id: int, definition: Definition, is_named: bool) -> dict[str, Any]:
    """Values of the places of `sources_query`, and of the statements that number sources."""
    band = definition.flux_band_kev
    return {
        "run_id": run_id,
        "named": is_named,
        "catalogue": definition.name,
        "catalogue_id": catalogue_id,
        "flux_low_kev": band[0] if band is not None else None,
        "flux_high_kev": band[1] if band is not None else None,
        "shared_position": definition.position_of == "source",
        "epoch_yr": definition.epoch_yr,
        "standard_flux_factor": definition.standard_flux_factor() if band is not None else 1.0,
        "of_source": bool(definition.of_source),
        "spoiling": [name for name, flaw in definition.quality.items() if flaw.spoils == "all"],
        "outlying": OUTLYING_SIGMA,
        "systematic": SYSTEMATIC,
        "prior_counts": PRIOR_COUNTS,
        "least_share": LEAST_SHARE,
    }


def _group_by_position(run: Run, mission: Loaded) -> None:
    """Fill ``pg_temp.member`` with the connected components of positional links."""
    conn = run.conn
    values = {"n_sigma": GROUP_SIGMA, "max_radius_arcsec": _MAX_RADIUS_ARCSEC}
    joins.needles(conn, job("merge.needles").compose(detection=mission.table), values)
    joins.search(conn, mission.table, f"{mission.definition.name}: links")
    bigint = [("a", "bigint"), ("b", "bigint")]
    ids = copy.fetch_columns(conn, job("merge.detection_ids").compose(detection=mission.table), bigint[:1])["a"]
    statement = job("merge.links").compose(detection=mission.table)
    links = copy.fetch_columns(conn, statement, bigint, values)
    a, b = np.searchsorted(ids, links["a"]), np.searchsorted(ids, links["b"])
    component = components(len(ids), a, b)
    joins.clear(conn, "component")
    copy.copy_in(conn, "component", [{"object_id": ids, "component": component.astype(np.int32)}])
    conn.execute(job("merge.name_components").compose(detection=mission.table))
