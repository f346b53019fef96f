"""The match stage: the sources of a merge run against all counterpart catalogues together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from xcat import progress
from xcat.database import copy, partitions
from xcat.database.connection import Connection
from xcat.database.loaded import Loaded
from xcat.database.runs import Run
from xcat.database.sqlfiles import job
from xcat.errors import StageError
from xcat.match.engine import Found, Options, Outcome, match
from xcat.match.fields import fit_fields
from xcat.match.haystack import Haystack, Term
from xcat.match.targets import Targets
from xcat.sky import density_map

# A hypothesis that is less probable than this changes no property of a source that could be seen.
_MIN_P_HYPOTHESIS = 0.001
_DOUBLE, _REAL = "double precision", "real"


def haystack_of(
    conn: Connection,
    other: Loaded,
    completeness: float | Literal["estimate"] | None = None,
    magnitudes: Sequence[str] | None = None,
) -> Haystack:
    """A loaded counterpart catalogue as the engine sees it.

    Parameters
    ----------
    conn : Connection
    other : Loaded
    completeness : float or "estimate", optional
        Instead of what the definition says.
    magnitudes : sequence of str, optional
        Magnitudes and colours that tell counterparts from the field; without, the catalogue's R or W1, or the first
        magnitude it has, if what is loaded is all of the catalogue around the sources, so that they can be learned.

    Raises
    ------
    StageError
        The definition says nothing about the density on the sky.
    """
    definition = other.definition
    if definition.sky is None:
        raise StageError(f"{definition.name}: the definition says nothing about its sky density (key sky).")
    cut_out = definition.sky.around_sources_arcsec
    map_ = density_map.load(conn, other.catalogue_id) if definition.sky.local or definition.sky.area_deg2 else None
    known = definition.sky.density_per_deg2
    if definition.sky.area_deg2 is not None and map_ is not None:
        known = map_.n_objects / definition.sky.area_deg2
    if magnitudes is None:
        band = "w1" if definition.kind == "infrared" else "r"
        known_bands = [column for column, _ in definition.colour_terms(band)]
        known_bands += [column for column in definition.columns if column.startswith("mag")]
        magnitudes = known_bands[:1] if map_ is not None or cut_out is not None else []
    return Haystack(
        other.catalogue_id,
        definition.name,
        other.table,
        density_per_deg2=known,
        density_map=map_,
        around_arcsec=cut_out,
        completeness=definition.completeness if completeness is None else completeness,
        epoch_yr=definition.epoch_yr,
        moves="pmra_mas_yr" in definition.columns,
        elliptical=definition.position_error is not None and definition.position_error.is_ellipse,
        terms=tuple(Term(m) for m in magnitudes),
    )


def match_stage(
    run: Run,
    source_run_id: int,
    xray: list[Loaded],
    counterparts: list[Loaded],
    *,
    radius_arcsec: float,
    false_rate: float = 0.05,
    min_p_any: float = 0.5,
    completeness: Mapping[str, float | Literal["estimate"]] | None = None,
    magnitudes: Mapping[str, Sequence[str]] | None = None,
    nway: bool = False,
    field_offsets: bool = False,
) -> None:
    """Match the sources of every mission with all counterpart catalogues at once.

    Parameters
    ----------
    run : Run
    source_run_id : int
        Merge run whose sources are matched.
    xray, counterparts : list of Loaded
    radius_arcsec : float
        Search radius; every object inside is stored as a candidate.
    false_rate : float
        A counterpart is accepted at a p_any that this share of shifted positions reaches.
    min_p_any : float
        None is accepted below.
    completeness, magnitudes : mapping, optional
        By catalogue name, instead of what `haystack_of` would take.
    nway : bool
        Reproduce the approximations of NWAY.
    field_offsets : bool
        Fit an offset and a rotation of every X-ray field first, and apply them.
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
        options = Options(radius_arcsec, false_rate, min_p_any, nway=nway)
        if field_offsets:
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
    conn.execute("RESET default_statistics_target")  # the rough look of the match is enough for its tables too


def _sources(conn: Connection, source_run_id: int, xray: list[Loaded]) -> Targets:
    rows = copy.fetch_columns(
        conn,
        job("match.sources").compose(),
        [("id", "bigint"), ("group", "smallint"), ("ra", _DOUBLE), ("dec", _DOUBLE), ("err_arcsec", _REAL),
         ("err_maj_arcsec", _REAL), ("err_min_arcsec", _REAL), ("err_pa_deg", _REAL), ("epoch_yr", _DOUBLE)],
        {"source_run_id": source_run_id, "catalogue_ids": [x.catalogue_id for x in xray]},
    )  # fmt: skip
    return Targets.of({name: rows[name] for name in rows.dtype.names or ()})


def _store(run: Run, haystacks: list[Haystack], outcome: Outcome, tables: Mapping[str, str]) -> dict[str, Any]:
    conn = run.conn
    report: dict[str, Any] = {}
    with progress.bar("match: store", len(haystacks) + 1) as advance:
        for k, haystack in enumerate(haystacks, 1):
            values = {"run_id": run.run_id, "catalogue_id": haystack.catalogue_id, "k": k}
            copy.copy_in(conn, tables["match"], [_rows(values, outcome.found, k)], freeze=True)
            which = "store_candidates" if len(haystacks) > 1 else "store_candidates_of_one"
            conn.execute(job(f"match.{which}").compose(match_candidate=tables["match_candidate"]), values)
            report[haystack.name] = _summary(k, outcome)
            advance(1)
        kept = {
            "run_id": run.run_id,
            "catalogue_ids": [h.catalogue_id for h in haystacks],
            "min_p": _MIN_P_HYPOTHESIS,
        }
        conn.execute(job("match.store_hypotheses").compose(hypothesis=tables["hypothesis"]), kept)
        _store_what_was_learned(run, haystacks, outcome)
        advance(1)
    return report


def _rows(values: Mapping[str, int], found: Found, k: int) -> dict[str, np.ndarray]:
    """Rows of the table match for one catalogue."""
    n, p_any = len(found.id), found.p_any[k - 1]
    return {
        "run_id": np.full(n, values["run_id"]), "source_id": found.id,
        "catalogue_id": np.full(n, values["catalogue_id"]), "n_candidates": found.n_candidates[k - 1],
        "density_per_deg2": found.density_per_deg2[k - 1], "completeness": found.completeness[k - 1],
        "p_any": np.where(p_any > 1e-30, p_any, 0.0), "accepted": found.accepted[k - 1],
    }  # fmt: skip


def _summary(k: int, outcome: Outcome) -> dict[str, Any]:
    found, n_sources = outcome.found, len(outcome.found.id)
    n_candidates, n_accepted = found.n_candidates[k - 1], int(found.accepted[k - 1].sum())
    calibration = outcome.calibration
    chosen = calibration.is_chosen & (calibration.k == k) & (calibration.part == 0)
    shifted = int(calibration.n_shifted[chosen].sum())
    return {
        "sources": n_sources,
        "with_candidates": int((n_candidates > 0).sum()),
        "candidates": int(n_candidates.sum()),
        "accepted": n_accepted,
        "mean_density_per_deg2": float(found.density_per_deg2[k - 1].mean()) if n_sources else None,
        "completeness": float(found.completeness[k - 1].mean()) if n_sources else None,
        "accepted_fraction": round(n_accepted / n_sources, 4) if n_sources else None,
        "cutoff": calibration.cutoff_of(k),
        "false_rate": float(calibration.false_rate[chosen][0]) if shifted else None,
        "n_shifted": shifted,
        "magnitudes": sorted({c.name for c in outcome.priors if c.catalogue == k}),
    }


def _store_what_was_learned(run: Run, haystacks: list[Haystack], outcome: Outcome) -> None:
    """Keep curves and calibration: a result without them could not be checked."""
    ids = np.array([0, *(h.catalogue_id for h in haystacks)])  # 0: all together, NULL in the table
    curves = [c for c in outcome.priors if c.n_sources]
    if curves:
        per_curve = {
            "catalogue_id": ids[[c.catalogue for c in curves]], "term": np.array([c.name.encode() for c in curves]),
            "source_kind": np.array([c.kin for c in curves]), "part": np.array([c.part for c in curves]),
            "n_sources": np.array([c.n_sources for c in curves]),
        }  # fmt: skip
        length = [len(c.log_ratio) for c in curves]
        block = {
            "run_id": np.full(sum(length), run.run_id, np.int32),
            **{name: np.repeat(values, length) for name, values in per_curve.items()},
            "bin_low": np.concatenate([c.edges[:-1] for c in curves]),
            "bin_high": np.concatenate([c.edges[1:] for c in curves]),
            "density_counterparts": np.concatenate([c.counterparts for c in curves]),
            "density_field": np.concatenate([c.field for c in curves]),
            "log_ratio": np.concatenate([c.log_ratio for c in curves]),
        }
        copy.copy_in(run.conn, "magnitude_prior", [block])
    c = outcome.calibration
    kept = c.n_shifted > 0
    names = (
        "cutoff", "is_chosen", "n_sources", "n_sources_above", "n_shifted", "n_shifted_above", "false_rate",
        "contamination", "density_low_per_deg2", "density_high_per_deg2",
    )  # fmt: skip
    block = {
        "run_id": np.full(int(kept.sum()), run.run_id, np.int32), "catalogue_id": np.ma.masked_equal(ids[c.k][kept], 0),
        "part": c.part[kept],
        **{name: getattr(c, name)[kept] for name in names},
    }  # fmt: skip
    if kept.any():
        copy.copy_in(run.conn, "calibration", [block])
