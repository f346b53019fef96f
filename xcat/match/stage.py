"""The match stage: the sources of a merge run against all counterpart catalogues together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, Literal

import numpy as np
from pydantic import Field

from xcat import progress
from xcat.database import copy, partitions
from xcat.database.connection import Connection
from xcat.database.loaded import Loaded
from xcat.database.runs import Run
from xcat.database.sqlfiles import job
from xcat.errors import StageError
from xcat.match.engine import MatchOptions, MatchResult, Outcome, match
from xcat.match.fields import fit_fields
from xcat.match.haystack import Haystack, MagnitudeTerm
from xcat.match.targets import Targets
from xcat.sky import density_map

# Hypotheses that are less probable than this have no visible effect on the properties of a source.
_MIN_P_HYPOTHESIS = 0.001


class MatchStageOptions(MatchOptions):
    """How counterparts are searched for and accepted."""

    radius_arcsec: float = Field(default=10.0, gt=0, le=600)
    """Search radius, arcsec: every object of a counterpart catalogue within it is a candidate."""
    field_offsets: bool = False
    """Fit an offset and a rotation of every X-ray observation to its secure counterparts, and correct the X-ray
    positions before the match."""


def haystack_of(
    conn: Connection,
    loaded: Loaded,
    completeness: float | Literal["estimate"] | None = None,
    magnitudes: Sequence[str] | None = None,
) -> Haystack:
    """Prepare a loaded counterpart catalogue for the match.

    Parameters
    ----------
    conn : Connection
    loaded : Loaded
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
    map_ = density_map.load(conn, loaded.catalogue_id) if definition.sky.local or definition.sky.area_deg2 else None
    density = definition.sky.density_per_deg2
    if definition.sky.area_deg2 is not None and map_ is not None:
        density = map_.n_objects / definition.sky.area_deg2
    if magnitudes is None:
        bands = [column for column, _ in definition.colour_terms("w1" if definition.kind == "infrared" else "r")]
        bands += [column for column in definition.columns if column.startswith("mag")]
        magnitudes = bands[:1] if map_ is not None or cut_out is not None else []
    return Haystack(
        loaded.catalogue_id,
        definition.name,
        loaded.table,
        density_per_deg2=density,
        density_map=map_,
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
) -> None:
    """Match the sources of every mission with all counterpart catalogues at once.

    Parameters
    ----------
    run : Run
    source_run_id : int
        Merge run whose sources are matched.
    xray, counterparts : list of Loaded
    options : MatchStageOptions
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
        outcome = match(conn, targets, haystacks, options)
        run.summary.setdefault("seconds", {}).update(outcome.seconds)
        with run.step("store"):
            run.summary["matches"] = _store(run, haystacks, outcome, targets_for)
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


def _store(run: Run, haystacks: list[Haystack], outcome: Outcome, tables: Mapping[str, str]) -> dict[str, Any]:
    conn = run.conn
    report: dict[str, Any] = {}
    with progress.bar("match: store", len(haystacks) + 1) as advance:
        for k, haystack in enumerate(haystacks, 1):
            values = {"run_id": run.run_id, "catalogue_id": haystack.catalogue_id, "k": k}
            copy.copy_in(
                conn, tables["match"], [_rows(run.run_id, haystack.catalogue_id, outcome.result, k)], freeze=True
            )
            which = "store_candidates" if len(haystacks) > 1 else "store_candidates_of_one"
            partitions.fill(conn, "match_candidate", run.run_id, job(f"match.{which}").compose(), values)
            report[haystack.name] = _summary(k, outcome)
            advance(1)
        numbers = [h.catalogue_id for h in haystacks]
        kept = {"run_id": run.run_id, "catalogue_ids": numbers, "min_p": _MIN_P_HYPOTHESIS}
        partitions.fill(conn, "hypothesis", run.run_id, job("match.store_hypotheses").compose(), kept)
        _store_curves(run, haystacks, outcome)
        _store_calibration(run, haystacks, outcome)
        advance(1)
    return report


def _rows(run_id: int, catalogue_id: int, result: MatchResult, k: int) -> dict[str, np.ndarray]:
    """Rows of the table match for one catalogue."""
    n, p_any = len(result.id), result.p_any[k - 1]
    per_catalogue = ("n_candidates", "density_per_deg2", "completeness", "accepted")
    return {
        "run_id": np.full(n, run_id),
        "source_id": result.id,
        "catalogue_id": np.full(n, catalogue_id),
        **{name: getattr(result, name)[k - 1] for name in per_catalogue},
        "p_any": np.where(p_any > 1e-30, p_any, 0.0),
    }


def _summary(k: int, outcome: Outcome) -> dict[str, Any]:
    result, n_sources = outcome.result, len(outcome.result.id)
    n_candidates, n_accepted = result.n_candidates[k - 1], int(result.accepted[k - 1].sum())
    calibration = outcome.calibration
    chosen = calibration.is_chosen & (calibration.k == k) & (calibration.part == 0)
    shifted = int(calibration.n_shifted[chosen].sum())
    return {
        "sources": n_sources,
        "with_candidates": int((n_candidates > 0).sum()),
        "candidates": int(n_candidates.sum()),
        "accepted": n_accepted,
        "mean_density_per_deg2": float(result.density_per_deg2[k - 1].mean()) if n_sources else None,
        "completeness": float(result.completeness[k - 1].mean()) if n_sources else None,
        "accepted_fraction": round(n_accepted / n_sources, 4) if n_sources else None,
        "cutoff": calibration.cutoff_of(k),
        "false_rate": float(calibration.false_rate[chosen][0]) if shifted else None,
        "n_shifted": shifted,
        "magnitudes": sorted({c.name for c in outcome.priors if c.catalogue == k}),
    }


def _store_curves(run: Run, haystacks: list[Haystack], outcome: Outcome) -> None:
    curves = [c for c in outcome.priors if c.n_sources]
    if not curves:
        return
    per_curve = {
        "catalogue_id": [haystacks[c.catalogue - 1].catalogue_id for c in curves],
        "term": [c.name.encode() for c in curves],
        "source_kind": [c.stratum for c in curves],
        "part": [c.part for c in curves],
        "n_sources": [c.n_sources for c in curves],
    }
    length = [len(c.log_ratio) for c in curves]
    block = {
        "run_id": np.full(sum(length), run.run_id, np.int32),
        **{name: np.repeat(np.array(values), length) for name, values in per_curve.items()},
        "bin_low": np.concatenate([c.edges[:-1] for c in curves]),
        "bin_high": np.concatenate([c.edges[1:] for c in curves]),
        "density_counterparts": np.concatenate([c.counterparts for c in curves]),
        "density_field": np.concatenate([c.field for c in curves]),
        "log_ratio": np.concatenate([c.log_ratio for c in curves]),
    }
    copy.copy_in(run.conn, "magnitude_prior", [block])


def _store_calibration(run: Run, haystacks: list[Haystack], outcome: Outcome) -> None:
    calibration = outcome.calibration
    kept = calibration.n_shifted > 0
    if not kept.any():
        return
    ids = np.array([0, *(h.catalogue_id for h in haystacks)])  # 0: all together, NULL in the table
    values = {f.name: getattr(calibration, f.name)[kept] for f in fields(calibration)}
    catalogue_id = np.ma.masked_equal(ids[values.pop("k")], 0)
    run_id = np.full(int(kept.sum()), run.run_id, np.int32)
    copy.copy_in(run.conn, "calibration", [{"run_id": run_id, "catalogue_id": catalogue_id, **values}])
