"""The match stage: candidates of every source in every counterpart catalogue, with p_i and p_any.

The statements are in sql/jobs/match.sql. References: Budavari & Szalay 2008, ApJ 679, 301; Salvato et al. 2018,
MNRAS 473, 4937.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from xcat import progress
from xcat.catalogues.definition import Definition
from xcat.database import copy, partitions
from xcat.database.runs import Run
from xcat.database.sqlfiles import dicts, job
from xcat.errors import StageError
from xcat.match import pairs

# Completeness is estimated apart for denser and emptier parts of the sky, and in each for bright and faint sources, as
# their positional errors tell: what the sources are, and so how many have a counterpart, differs between the plane and
# the poles, and between bright and faint. A part has about this many sources, and there are at most so many parts.
_SOURCES_PER_PART = 500
_MOST_DENSITIES = 8
_MOST_ERRORS = 4
# Objects with a proper motion are looked for where they were: those that moved by less than this in the same search as
# all others, with a radius larger by as much; faster ones in a search of their own.
_MARGIN_ARCSEC = 0.5


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


def completeness_by_part(sums: np.ndarray, density: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Completeness of each source, estimated over the sources in like densities and with like errors.

    Parameters
    ----------
    sums : ndarray, shape (n_sources,)
        As in `estimate_completeness`.
    density : ndarray, shape (n_sources,)
        Density of catalogue objects around the source, per square degree.
    error : ndarray, shape (n_sources,)
        Positional error of the source.

    Returns
    -------
    ndarray, shape (n_sources,)
    """
    n_parts = max(len(sums) // _SOURCES_PER_PART, 1)
    n_errors = min(math.isqrt(n_parts), _MOST_ERRORS)
    out = np.empty(len(sums))
    for alike in _parts(density, min(n_parts // n_errors, _MOST_DENSITIES)):
        for part in _parts(error[alike], n_errors):
            out[alike[part]] = estimate_completeness(sums[alike[part]])
    return out


def _parts(values: np.ndarray, n_parts: int) -> Iterator[np.ndarray]:
    """Indices of the values in parts of about equal size; equal values stay together."""
    number = np.zeros(len(values), dtype=np.int64)
    if n_parts > 1:
        number = np.digitize(values, np.unique(np.quantile(values, np.linspace(0, 1, n_parts + 1)[1:-1])))
    yield from (np.flatnonzero(number == part) for part in np.unique(number))


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
        for other in counterparts:
            name = f"{mission.definition.name} x {other.definition.name}"
            with run.step(name):
                conn.execute(job("match.clear_work").compose())
                _pairs(run, source_run_id, mission, other, radius_arcsec)
                _densities(run, source_run_id, mission, other)
                wanted = (completeness or {}).get(other.definition.name, other.definition.completeness)
                report[name] = _store(
                    run, source_run_id, other, targets, radius_arcsec, wanted, nway_none_weight, min_p_any
                )
    with run.step("index"), progress.bar("match: indexes"):
        for table in targets:
            partitions.attach(conn, table, run.run_id)
    run.summary["matches"] = report


def _needles(run: Run, source_run_id: int, mission: Loaded, radius_arcsec: float) -> None:
    """Look around the sources of a mission."""
    values = {
        "radius_arcsec": radius_arcsec,
        "source_run_id": source_run_id,
        "xray_catalogue_id": mission.catalogue_id,
    }
    pairs.needles(run.conn, job("match.needles").compose(), values)


def _pairs(run: Run, source_run_id: int, mission: Loaded, other: Loaded, radius_arcsec: float) -> None:
    """Fill ``pg_temp.pair`` with everything that can be within the radius at the epoch of the source."""
    conn, name = run.conn, f"{mission.definition.name} x {other.definition.name}"
    moves = "pmra_mas_yr" in other.definition.columns
    if moves:
        values = {
            "radius_arcsec": radius_arcsec,
            "source_run_id": source_run_id,
            "xray_catalogue_id": mission.catalogue_id,
            "epoch_yr": other.definition.epoch_yr,
            "margin_arcsec": _MARGIN_ARCSEC,
        }
        pairs.needles(conn, job("match.mover_needles").compose(haystack=other.table), values)
        sources = partitions.qualified("source", source_run_id)
        pairs.search(conn, sources, f"{name}: fast objects", haystack_id="source_id")
        conn.execute(job("match.keep_movers").compose())
    _needles(run, source_run_id, mission, radius_arcsec + (_MARGIN_ARCSEC if moves else 0.0))
    pairs.search(conn, other.table, name)
    if moves:
        conn.execute(job("match.add_movers").compose())


def _densities(run: Run, source_run_id: int, mission: Loaded, other: Loaded) -> None:
    """Fill ``pg_temp.density`` with the density of catalogue objects around each source, per square degree."""
    conn, sky = run.conn, other.definition.sky
    if sky is None:
        raise StageError(f"{other.definition.name}: the definition says nothing about its sky density (key sky).")
    if sky.local_annulus_arcsec is not None:
        inner, outer = sky.local_annulus_arcsec
        _needles(run, source_run_id, mission, outer)
        pairs.count_ring(conn, other.table, inner, f"{other.definition.name}: local density")
        area_deg2 = math.pi * (outer**2 - inner**2) / 3600.0**2
        conn.execute(job("match.density_local").compose(), {"area_deg2": area_deg2})
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
    radius_arcsec: float,
    completeness: float | str | None,
    nway_none_weight: bool,
    min_p_any: float,
) -> dict[str, Any]:
    conn = run.conn
    with progress.bar(f"{other.definition.name}: probabilities"):
        conn.execute(
            job("match.weigh").compose(haystack=other.table),
            {
                "source_run_id": source_run_id,
                "epoch_yr": other.definition.epoch_yr,
                "radius_arcsec": radius_arcsec,
            },
        )
        if isinstance(completeness, float):
            conn.execute(job("match.completeness_constant").compose(), {"completeness": completeness})
        else:
            double = "double precision"
            rows = copy.fetch_columns(
                conn,
                job("match.sums").compose(),
                [("id", "bigint"), ("density", double), ("error", "real"), ("weights", double)],
                {"source_run_id": source_run_id},
            )
            estimated = completeness_by_part(rows["weights"], rows["density"], rows["error"])
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
        (counts,) = dicts(conn.execute(job("match.count").compose(match=targets["match"]), values))
    counts = {k: float(v) if v is not None and not isinstance(v, int) else v for k, v in counts.items()}
    counts["accepted_fraction"] = round(counts["accepted"] / counts["sources"], 4) if counts["sources"] else None
    return counts
