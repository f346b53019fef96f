"""The match stage: candidates of every source in every counterpart catalogue, with p_i and p_any.

The statements are in sql/jobs/match.sql. References: Budavari & Szalay 2008, ApJ 679, 301; Salvato et al. 2018,
MNRAS 473, 4937.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from xcat import progress
from xcat.catalogues.definition import Definition
from xcat.database import copy, partitions
from xcat.database.runs import Run
from xcat.database.sqlfiles import job
from xcat.errors import StageError
from xcat.match import pairs

# Completeness is estimated apart for denser and emptier parts of the sky: what the X-ray sources are, and so how many
# have a counterpart, differs between the plane and the poles. A part has at least this many sources, and there are at
# most so many parts.
_SOURCES_PER_PART = 500
_MOST_PARTS = 8
# A ring with a handful of objects says little about the density; this many from the mean are added to it.
PRIOR_COUNTS = 3.0


@dataclass(frozen=True)
class Loaded:
    """A catalogue in the database.

    Attributes
    ----------
    catalogue_id : int
    definition : Definition
    """

    catalogue_id: int
    definition: Definition

    @property
    def table(self) -> str:
        """Qualified name of its partition."""
        return partitions.qualified(self.definition.table_kind, self.catalogue_id)


def estimate_completeness(sums: np.ndarray, tolerance: float = 1e-4) -> float:
    """Share of sources that have a counterpart, from the weights alone.

    Maximises the likelihood of ``c S + (1 - c)`` over c by expectation-maximisation; the mean of p_any at the
    solution is c itself, so that p_any is calibrated over the sample.

    Parameters
    ----------
    sums : ndarray, shape (n_sources,)
        Sum S of the weights of each source's candidates, 0 without any.
    tolerance : float
        Stop when c changes by less.

    Returns
    -------
    float
        Between 0.001 and 0.999, so that no hypothesis is ever impossible.
    """
    if sums.size == 0:
        return 0.5
    c = 0.5
    for _ in range(1000):
        new = float(np.mean(c * sums / (c * sums + 1 - c)))
        new = min(max(new, 0.001), 0.999)
        if abs(new - c) < tolerance:
            return new
        c = new
    return c


def completeness_by_density(sums: np.ndarray, density: np.ndarray) -> np.ndarray:
    """Completeness of each source, estimated over the sources in like densities.

    Parameters
    ----------
    sums : ndarray, shape (n_sources,)
        As in `estimate_completeness`.
    density : ndarray, shape (n_sources,)
        Density of catalogue objects around the source, per square degree.

    Returns
    -------
    ndarray, shape (n_sources,)
    """
    n_parts = int(np.clip(len(sums) // _SOURCES_PER_PART, 1, _MOST_PARTS))
    edges = np.unique(np.quantile(density, np.linspace(0, 1, n_parts + 1)[1:-1])) if len(sums) else np.empty(0)
    part = np.digitize(density, edges)
    out = np.empty(len(sums))
    for number in np.unique(part):
        out[part == number] = estimate_completeness(sums[part == number])
    return out


def match_stage(
    run: Run,
    source_run_id: int,
    xray: list[Loaded],
    counterparts: list[Loaded],
    *,
    radius_arcsec: float,
    min_p_any: float,
    completeness: Mapping[str, float | str] | None = None,
    nway_none_weight: bool = False,
) -> None:
    """Match the sources of every mission with every counterpart catalogue, two-way, by position.

    Parameters
    ----------
    run : Run
    source_run_id : int
        Merge run whose sources are matched.
    xray, counterparts : list of Loaded
    radius_arcsec : float
        Search radius; every object inside is stored as a candidate.
    min_p_any : float
        Only for the counts of the summary.
    completeness : mapping, optional
        Overrides the definitions' completeness by catalogue name; "estimate", or nothing said, takes it from the data.
    nway_none_weight : bool
        Give the hypothesis "no counterpart" the weight 1 as NWAY does, instead of 1 - completeness.
    """
    conn = run.conn
    pairs.make_tables(conn)
    conn.execute(job("match.make_work").compose())
    conn.execute(job("pairs.make_ring").compose())
    targets = {name: partitions.create(conn, name, run.run_id) for name in ("match", "match_candidate")}
    report: dict[str, Any] = {}
    for mission in xray:
        find = job("match.needles").compose()
        for other in counterparts:
            name = f"{mission.definition.name} x {other.definition.name}"
            with run.step(name):
                pairs.needles(
                    conn,
                    find,
                    {
                        "radius_arcsec": radius_arcsec,
                        "source_run_id": source_run_id,
                        "xray_catalogue_id": mission.catalogue_id,
                    },
                )
                conn.execute(job("match.clear_work").compose())
                pairs.search(conn, other.table, name)
                _densities(run, source_run_id, mission, other, find)
                wanted = (completeness or {}).get(other.definition.name, other.definition.completeness)
                report[name] = _store(run, source_run_id, other, targets, wanted, nway_none_weight, min_p_any)
    with run.step("index"), progress.bar("match: indexes"):
        for table in targets:
            partitions.attach(conn, table, run.run_id)
    run.summary["matches"] = report


def _densities(run: Run, source_run_id: int, mission: Loaded, other: Loaded, find: Any) -> None:
    """Fill ``pg_temp.density`` with the density of catalogue objects around each source, per square degree."""
    conn, sky = run.conn, other.definition.sky
    if sky is None:
        raise StageError(f"{other.definition.name}: the definition says nothing about its sky density (key sky).")
    if sky.local_annulus_arcsec is not None:
        inner, outer = sky.local_annulus_arcsec
        pairs.needles(
            conn,
            find,
            {
                "radius_arcsec": outer,
                "source_run_id": source_run_id,
                "xray_catalogue_id": mission.catalogue_id,
            },
        )
        pairs.count_ring(conn, other.table, inner, f"{other.definition.name}: local density")
        area_deg2 = math.pi * (outer**2 - inner**2) / 3600.0**2
        conn.execute(job("match.density_local").compose(), {"area_deg2": area_deg2, "prior_counts": PRIOR_COUNTS})
    else:
        density = sky.density_per_deg2
        if density is None:
            row = conn.execute(job("match.count_objects").compose(haystack=other.table)).fetchone()
            assert row is not None and sky.area_deg2 is not None
            density = row[0] / sky.area_deg2
        if density <= 0:  # an empty catalogue: no pairs, so any density will do
            density = 1.0
        conn.execute(job("match.density_constant").compose(), {"density_per_deg2": density})
    conn.execute("ANALYZE pg_temp.density")


def _store(
    run: Run,
    source_run_id: int,
    other: Loaded,
    targets: dict[str, str],
    completeness: float | str | None,
    nway_none_weight: bool,
    min_p_any: float,
) -> dict[str, Any]:
    conn = run.conn
    with progress.bar(f"{other.definition.name}: probabilities"):
        conn.execute(
            job("match.weigh").compose(haystack=other.table),
            {"source_run_id": source_run_id, "epoch_yr": other.definition.epoch_yr},
        )
        if isinstance(completeness, float):
            conn.execute(job("match.completeness_constant").compose(), {"completeness": completeness})
        else:
            double = "double precision"
            rows = copy.fetch_columns(
                conn, job("match.sums").compose(), [("id", "bigint"), ("density", double), ("weights", double)]
            )
            estimated = completeness_by_density(rows["weights"], rows["density"])
            copy.copy_in(
                conn, "completeness", [{"id": rows["id"], "completeness": estimated}],
                types={"id": "bigint", "completeness": double},
            )  # fmt: skip
        values = {
            "run_id": run.run_id,
            "catalogue_id": other.catalogue_id,
            "none_weight": 1.0 if nway_none_weight else None,
            "min_p_any": min_p_any,
        }
        for table, target in targets.items():
            statement = "store_match" if table == "match" else "store_candidates"
            conn.execute(job(f"match.{statement}").compose(**{table: target}), values)
        cursor = conn.execute(job("match.count").compose(match=targets["match"]), values)
    row = cursor.fetchone()
    assert row is not None
    counts = dict(zip((c.name for c in cursor.description or ()), row, strict=True))
    counts = {k: float(v) if v is not None and not isinstance(v, int) else v for k, v in counts.items()}
    counts["accepted_fraction"] = round(counts["accepted"] / counts["sources"], 4) if counts["sources"] else None
    return counts
