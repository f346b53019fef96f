"""The match stage: the sources of a merge run against all counterpart catalogues together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, Literal

import numpy as np
from psycopg import sql
from pydantic import Field

from xcat import progress
from xcat.database import copy, partitions
from xcat.database.connection import Connection
from xcat.database.loaded import Loaded
from xcat.database.runs import Run
from xcat.database.sqlfiles import job
from xcat.errors import StageError
from xcat.match import learned
from xcat.match.calibrate import Calibration
from xcat.match.engine import MatchOptions, Outcome, match
from xcat.match.fields import fit_fields
from xcat.match.haystack import Haystack, MagnitudeTerm
from xcat.match.targets import Targets
from xcat.sky import density_map

# Hypotheses that are less probable than this have no visible effect on the properties of a source.
HYPOTHESES_KEPT = 0.001


class MatchStageOptions(MatchOptions):
    """How counterparts are searched for and accepted."""

    radius_arcsec: float = Field(default=10.0, gt=0, le=600)
    """Search radius, arcsec: every object of a counterpart catalogue within it is a candidate."""
    field_offsets: bool = False
    """Fit an offset and a rotation of every X-ray observation to its secure counterparts, and correct the X-ray
    positions before the match."""
    learned: int | str | None = None
    """A release, the number of a classify run, 'published' or 'previous': what its match has learned (densities,
    completeness, magnitude priors, cutoffs) is used, and nothing is learned from these sources."""


def haystack_of(
    conn: Connection,
    loaded: Loaded,
    completeness: float | Literal["estimate"] | None = None,
    magnitudes: Sequence[str] | None = None,
) -> Haystack:
    """Prepare a loaded counterpart catalogue for the match.

    Parameters
    ----------
    completeness : float or "estimate", optional
        Default: as the catalogue's definition.
    magnitudes : sequence of str, optional
        Magnitudes and colours that separate counterparts from field objects. Default: R or W1, or the first magnitude
        of the catalogue, if all its objects around the sources are loaded, so that they can be learned.

    Raises
    ------
    StageError
        The definition has no sky density (key ``sky``).
    """
    definition = loaded.definition
    if definition.sky is None:
        raise StageError(f"{definition.name}: its definition has no sky density (key sky).")
    cut_out = definition.sky.around_sources_arcsec
    map_ = density_map.load(conn, loaded.catalogue_id) if definition.sky.is_measured else None
    density = definition.sky.density_per_deg2
    if definition.sky.area_deg2 is not None and map_ is not None:
        density = map_.n_objects / definition.sky.area_deg2
    if magnitudes is None:
        bands = [column for column, _ in definition.colour_terms("w1" if definition.kind == "infrared" else "r")]
        bands += [column for column in definition.columns if column.startswith("mag")]
        magnitudes = bands[:1] if map_ is not None or cut_out is not None or definition.area is not None else []
    return Haystack(
        loaded.catalogue_id,
        definition.name,
        loaded.table,
        density_per_deg2=density,
        density_map=map_,
        area=definition.area,
        around_arcsec=cut_out,
        completeness=definition.completeness if completeness is None else completeness,
        epoch_yr=definition.epoch_yr,
        moves="pmra_mas_yr" in definition.columns,
        elliptical=definition.position_error is not None and definition.position_error.is_ellipse,
        terms=tuple(MagnitudeTerm(m) for m in magnitudes),
    )


def match_stage(
    run: Run,
    source_run_id: int,
    xray: list[Loaded],
    counterparts: list[Loaded],
    options: MatchStageOptions,
    completeness: Mapping[str, float | Literal["estimate"]] | None = None,
    magnitudes: Mapping[str, Sequence[str]] | None = None,
    match_run_id: int | None = None,
) -> None:
    """Match the sources of every mission with all counterpart catalogues at once.

    Parameters
    ----------
    source_run_id : int
        Merge run whose sources are matched.
    match_run_id : int, optional
        Match run, with catalogues of the same names in the same order, whose learning is used: nothing is learned.
    completeness, magnitudes : mapping, optional
        By catalogue name, instead of the defaults of `haystack_of`.
    """
    conn = run.conn
    targets_for = {
        name: partitions.create(conn, name, run.run_id) for name in ("match", "match_candidate", "hypothesis")
    }
    if counterparts:
        targets = _sources(conn, source_run_id, xray)
        haystacks = [
            haystack_of(conn, c, (completeness or {}).get(c.definition.name), (magnitudes or {}).get(c.definition.name))
            for c in counterparts
        ]
        if options.field_offsets:
            with run.step("field offsets"):
                targets = fit_fields(run, source_run_id, targets, haystacks, options)
        missions = [x.catalogue_id for x in xray]
        if match_run_id is None:
            outcome = match(conn, targets, haystacks, options)
        else:
            names = [[x.definition.name for x in group] for group in (xray, counterparts)]
            frozen, calibration = learned.by_names(conn, match_run_id, *names)
            outcome = match(conn, targets, haystacks, options, learned=frozen)
            outcome.calibration = calibration
        run.summary.setdefault("seconds", {}).update(outcome.seconds)
        with run.step("store"):
            run.summary["matches"] = _store(run, haystacks, outcome, targets_for, missions)
        run.summary |= {"counts": outcome.counts, "notes": outcome.notes}
    with run.step("index"), progress.bar("match: indexes"):
        for table in targets_for:
            partitions.attach(conn, table, run.run_id)
    conn.execute("RESET default_statistics_target")  # it was lowered by the match


def _sources(conn: Connection, source_run_id: int, xray: list[Loaded]) -> Targets:
    types = {"id": "bigint", "group": "smallint", "ra": "double precision", "dec": "double precision"}
    types |= dict.fromkeys(("err_arcsec", "err_maj_arcsec", "err_min_arcsec", "err_pa_deg"), "real")
    types |= {"epoch_yr": "double precision"}
    values = {"source_run_id": source_run_id, "catalogue_ids": [x.catalogue_id for x in xray]}
    rows = copy.fetch_columns(conn, job("match.sources").compose(), list(types.items()), values)
    return Targets.of({name: rows[name] for name in types})


def _store(
    run: Run, haystacks: list[Haystack], outcome: Outcome, tables: Mapping[str, str], missions: list[int]
) -> dict[str, Any]:
    conn = run.conn
    report: dict[str, Any] = {}
    with progress.bar("match: store", len(haystacks) + 1) as advance:
        for k, haystack in enumerate(haystacks, 1):
            values = {"run_id": run.run_id, "catalogue_id": haystack.catalogue_id, "k": k}
            rows = outcome.results[k - 1]
            constants = {name: np.full(len(rows["source_id"]), values[name]) for name in ("run_id", "catalogue_id")}
            copy.copy_in(conn, tables["match"], [rows | constants], freeze=True)
            partitions.fill(conn, "match_candidate", run.run_id, store_candidates_query(len(haystacks)), values)
            report[haystack.name] = _summary(k, outcome)
            advance(1)
        ids = [h.catalogue_id for h in haystacks]
        kept = {"run_id": run.run_id, "catalogue_ids": ids, "min_p": HYPOTHESES_KEPT}
        partitions.fill(conn, "hypothesis", run.run_id, hypotheses_query(), kept)
        if outcome.learned is not None and len(outcome.learned.strata.part):
            learned.store(conn, run.run_id, outcome.learned, missions, ids)
        _store_calibration(run, ids, outcome.calibration)
        advance(1)
    return report


def store_candidates_query(n_catalogues: int) -> sql.Composed:
    """SELECT of the candidates in one catalogue, for the table match_candidate."""
    return job("match.store_candidates" if n_catalogues > 1 else "match.store_candidates_of_one").compose()


def hypotheses_query() -> sql.Composed:
    """SELECT of the hypotheses, for the table of that name."""
    return job("match.store_hypotheses").compose()


def _summary(k: int, outcome: Outcome) -> dict[str, Any]:
    every = outcome.results[k - 1]
    has_searched = every["covered"] > 0
    rows, n_sources = {name: values[has_searched] for name, values in every.items()}, int(has_searched.sum())
    n_candidates, n_accepted = rows["n_candidates"], int(rows["accepted"].sum())
    calibration = outcome.calibration
    chosen = calibration.is_chosen & (calibration.k == k) & (calibration.part == 0)
    shifted = int(calibration.n_shifted[chosen].sum())
    return {
        "sources": len(every["covered"]),
        "not_searched": int((~has_searched).sum()),
        "with_candidates": int((n_candidates > 0).sum()),
        "candidates": int(n_candidates.sum()),
        "accepted": n_accepted,
        "mean_density_per_deg2": float(rows["density_per_deg2"].mean()) if n_sources else None,
        "completeness": float(rows["completeness"].mean()) if n_sources else None,
        "accepted_fraction": round(n_accepted / n_sources, 4) if n_sources else None,
        "cutoff": calibration.cutoff_of(k),
        "false_rate": float(calibration.false_rate[chosen][0]) if shifted else None,
        "n_shifted": shifted,
        "magnitudes": sorted({c.name for c in outcome.learned.curves if c.catalogue == k}) if outcome.learned else [],
    }


def _store_calibration(run: Run, catalogue_ids: list[int], calibration: Calibration) -> None:
    kept = calibration.n_shifted > 0
    values = {f.name: getattr(calibration, f.name)[kept] for f in fields(calibration)}
    # 0 stands for all catalogues together, which is NULL in the table
    catalogue_id = np.ma.masked_equal(np.array([0, *catalogue_ids])[values.pop("k")], 0)
    run_id = np.full(int(kept.sum()), run.run_id, np.int32)
    copy.copy_in(run.conn, "calibration", [{"run_id": run_id, "catalogue_id": catalogue_id, **values}])
