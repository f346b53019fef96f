"""Positions against one or more counterpart catalogues at once: every hypothesis, and its probability.

A *target* is a position with an error: an X-ray source or a shifted position. A *hypothesis* is "no counterpart", or an
association of the target with one object of each of some catalogues. The arithmetic runs in SQL (sql/jobs/match.sql and
hypotheses.sql); this module has the steps. After `match` the temporary tables ``target`` and ``posterior`` hold the
hypotheses until the transaction ends.

References: Budavari & Szalay 2008, ApJ 679, 301; Pineau et al. 2017, A&A 597, A89; Salvato et al. 2018, MNRAS 473,
4937.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from psycopg import sql
from pydantic import Field

from xcat.catalogues.grammar import Strict
from xcat.database import copy
from xcat.database.connection import Connection
from xcat.database.sqlfiles import insert, job
from xcat.errors import ConfigError
from xcat.match.calibrate import Calibration, calibrate, shifted
from xcat.match.edges import Edges, edges_of
from xcat.match.haystack import Haystack
from xcat.match.hypotheses import weigh
from xcat.match.learned import Learned
from xcat.match.targets import SKY_DEG2, Parts, Targets, parts_of
from xcat.progress import timed
from xcat.sky import joins
from xcat.sky.density_map import Pools, cut_outs
from xcat.sky.footprint import Coverage, Footprint, coverage

MAX_RADIUS_ARCSEC = 3600.0
MAX_CATALOGUES = 8
# Objects with a proper motion are searched for at their earlier positions: those that moved by less than this in the
# common search, with a radius larger by as much; faster ones in a search from their own side.
_MARGIN_ARCSEC = 0.5


class MatchOptions(Strict):
    """How to match."""

    # any number, as `match` says what is wrong with it
    radius_arcsec: float = Field(allow_inf_nan=True)
    """Search radius, arcsec: every object within it is a candidate."""
    false_rate: float = Field(default=0.05, gt=0, le=1)
    """Largest share of shifted positions (random positions near the sources) that may be given a counterpart, from
    which the cutoff of p_any follows."""
    min_p_any: float = Field(default=0.5, ge=0, le=1)
    """Smallest cutoff of p_any, the probability that a source has any counterpart; the cutoff itself where shifted
    positions cannot be matched."""
    nway: bool = False
    """Reproduce the approximations of NWAY 4.8: "no counterpart" weighs 1 instead of 1 - completeness, one completeness
    for all catalogues, objects in several catalogues are counted once for each, and every catalogue has searched
    everywhere."""


@dataclass
class Outcome:
    """What a match gives besides the hypotheses."""

    calibration: Calibration
    #: for every catalogue the columns of the table ``match``, one row per source, in the order of the sky
    results: list[dict[str, np.ndarray]] = field(default_factory=list)
    learned: Learned | None = None  #: strata, shares, curves and odds, learned now or before; None before the end
    seconds: dict[str, float] = field(default_factory=dict)  #: time of each step
    counts: dict[str, int] = field(default_factory=dict)  #: numbers of targets and pairs
    notes: list[str] = field(default_factory=list)  #: what was not searched, learned or calibrated


def match(
    conn: Connection,
    targets: Targets,
    haystacks: Sequence[Haystack],
    options: MatchOptions,
    *,
    with_calibration: bool = True,
    learned: Learned | None = None,
    is_loaded: Mapping[int, np.ndarray] | None = None,
) -> Outcome:
    """Match targets with counterpart catalogues.

    Parameters
    ----------
    conn : Connection
        In a transaction, whose end drops the temporary tables.
    haystacks : sequence of Haystack
        One to eight, numbered k = 1, 2 ...; the Bayes factors do not depend on the order, p_any does by 0.02 at most,
        through the shares of common objects that few targets leave uncertain.
    with_calibration : bool
        Match shifted positions, to learn magnitudes of field objects and the cutoff of p_any.
    learned : Learned, optional
        What an earlier match with the same catalogues and options has learned: nothing is learned from these targets,
        whose answers then do not depend on each other.
    is_loaded : mapping, optional
        For the number k of a catalogue without a footprint, whether all its objects around each target are loaded; by
        default they are.

    Raises
    ------
    ConfigError
        The radius, the number of catalogues or a magnitude term is invalid.
    """
    _check(haystacks, options)
    # temporary tables of known shape: rough statistics are enough for the planner
    conn.execute("SET LOCAL default_statistics_target = 10")
    outcome = Outcome(Calibration.none(len(haystacks), options.min_p_any))
    with timed(outcome.seconds, "targets"):
        areas = _coverages(conn, targets, haystacks, options.nway, is_loaded or {})
        if learned is None:
            outcome.notes += _not_searched(haystacks, areas)
        parts, written, pools, edges = _write_targets(
            conn, targets, haystacks, areas, options.radius_arcsec, outcome, with_calibration, learned
        )
    common_yr = _common_epoch(conn, haystacks)
    for k, haystack in enumerate(haystacks, 1):
        with timed(outcome.seconds, f"search {haystack.name}"):
            n_pairs = _locate(conn, k, haystack, options.radius_arcsec, parts.n_targets, common_yr)
            outcome.counts[f"pairs {haystack.name}"] = n_pairs
    conn.execute("ANALYZE pg_temp.association")
    with timed(outcome.seconds, "probabilities"):
        weighed = weigh(conn, haystacks, parts, edges, options.nway, learned)
        outcome.notes += weighed.notes
    with timed(outcome.seconds, "calibration"):
        p_any = _p_any(conn, len(haystacks), parts)
        if learned is None:
            whole = [h.is_whole for h in haystacks]
            cal = calibrate(p_any, parts, [all(whole), *whole], options.false_rate, options.min_p_any)
            cutoff = cal.cutoffs(len(haystacks), parts.n_parts)
            of_match = (weighed.shares, weighed.curves, weighed.log_odds, weighed.completeness)
            outcome.calibration, outcome.learned = cal, Learned(parts.strata, *of_match, cutoff, pools)
        else:
            outcome.learned = learned
        covered = np.stack([area.fraction for area in areas])
        outcome.results = _results(conn, parts, written, p_any, outcome.learned, covered)
    return outcome


def _check(haystacks: Sequence[Haystack], options: MatchOptions) -> None:
    if not 0 < options.radius_arcsec <= MAX_RADIUS_ARCSEC:
        raise ConfigError(
            f"the radius is {options.radius_arcsec:g} arcsec; it must be above 0 and at most {MAX_RADIUS_ARCSEC:g}"
        )
    if not 1 <= len(haystacks) <= MAX_CATALOGUES:
        raise ConfigError(f"{len(haystacks)} counterpart catalogues; give 1 to {MAX_CATALOGUES}")
    for haystack in haystacks:
        if len(haystack.terms) > 9:
            raise ConfigError(f"{haystack.name}: at most nine magnitudes and colours, not {len(haystack.terms)}")


# --- steps --------------------------------------------------------------------------------------------------


def _coverages(
    conn: Connection,
    targets: Targets,
    haystacks: Sequence[Haystack],
    nway: bool,
    is_loaded: Mapping[int, np.ndarray],
) -> list[Coverage]:
    """What of the positional errors of the targets is on the area of each catalogue."""
    joins.make_tables(conn)
    everywhere = Footprint()
    return [
        Coverage.of(is_loaded[k])
        if k in is_loaded
        else coverage(conn, everywhere if nway else h.footprint, h.table, targets.ra, targets.dec, targets.covariance())
        for k, h in enumerate(haystacks, 1)
    ]


def _not_searched(haystacks: Sequence[Haystack], areas: Sequence[Coverage]) -> list[str]:
    """How many sources lie outside of the area of a catalogue, where there are any."""
    return [
        f"{haystack.name}: {n_outside:,} of {len(area.fraction):,} sources lie outside of its area: not searched there"
        for haystack, area in zip(haystacks, areas, strict=True)
        if (n_outside := int((area.fraction == 0).sum()))
    ]


def _write_targets(
    conn: Connection,
    targets: Targets,
    haystacks: Sequence[Haystack],
    areas: Sequence[Coverage],
    radius_arcsec: float,
    outcome: Outcome,
    with_calibration: bool,
    learned: Learned | None,
) -> tuple[Parts, dict[str, np.ndarray], dict[int, Pools], Edges]:
    """Write sources and shifted positions in the order of the sky, so that neighbours share pages.

    Returns their parts, the written rows, the pools of the catalogues that are cut-outs, by number, and the targets of
    which some catalogue has searched a part.
    """
    conn.execute(job("match.forget").compose())
    conn.execute(job("match.make_tables").compose())
    moved, origin = targets.take(np.zeros(0, np.int64)), np.zeros(0, np.int64)
    if with_calibration and learned is None:
        whole = [(h, area.fraction > 0) for h, area in zip(haystacks, areas, strict=True) if h.is_whole]
        if whole:
            around_arcsec = min((h.around_arcsec for h, _ in whole if h.around_arcsec is not None), default=None)
            footprints = [(h.footprint, has_searched) for h, has_searched in whole]
            moved, origin = shifted(targets, footprints, around_arcsec, radius_arcsec)
        if not len(moved):
            outcome.notes.append(
                "no calibration: no free place for shifted positions near the sources"
                if whole
                else "no calibration: the footprint of the catalogues is not known from what is loaded"
            )
    everything = targets.with_shifted(moved)
    pools: dict[int, Pools] = {}
    columns_nu = []
    for k, (haystack, area) in enumerate(zip(haystacks, areas, strict=True), 1):
        earlier = None if learned is None else learned.pools.get(k)
        density, of_catalogue = _density(conn, haystack, targets, moved, origin, radius_arcsec, earlier)
        pools |= {} if of_catalogue is None else {k: of_catalogue}
        has_searched = np.concatenate([area.fraction, area.fraction[origin]]) > 0
        columns_nu.append(np.where(has_searched, np.log(np.maximum(density, 1e-6) * SKY_DEG2), np.nan))
    log_nu = np.stack(columns_nu, axis=1)
    parts = parts_of(everything, log_nu, None if learned is None else learned.strata)
    columns = everything.columns(parts, log_nu, epoch_of_stratum=learned is not None)
    copy.copy_in(conn, "target", [columns])
    conn.execute(job("match.index_targets").compose())
    conn.execute("ANALYZE pg_temp.target")
    outcome.counts["targets"], outcome.counts["shifted"] = len(targets), len(moved)
    return parts, columns, pools, edges_of(parts, areas)


def _density(
    conn: Connection,
    haystack: Haystack,
    targets: Targets,
    moved: Targets,
    origin: np.ndarray,
    radius_arcsec: float,
    pools: Pools | None,
) -> tuple[np.ndarray, Pools | None]:
    """Local density of a catalogue, per square degree, sources before shifted positions; and the pools of cut-outs."""
    if haystack.density_per_deg2 is not None:
        return np.full(len(targets) + len(moved), haystack.density_per_deg2), None
    if haystack.around_arcsec is not None:
        ring = (2 * radius_arcsec, haystack.around_arcsec)
        at_sources, pools = cut_outs(conn, haystack.table, targets.ra, targets.dec, *ring, pools)
        return np.concatenate([at_sources, at_sources[origin]]), pools
    if haystack.density_map is not None:
        ra, dec = np.concatenate([targets.ra, moved.ra]), np.concatenate([targets.dec, moved.dec])
        return haystack.density_map.density_per_deg2(ra, dec), None
    raise ConfigError(f"{haystack.name}: neither a density nor a map is given")


def _common_epoch(conn: Connection, haystacks: Sequence[Haystack]) -> float | None:
    """Epoch at which objects of different catalogues can be one, where a target has none: that of those that move."""
    moving = next((h for h in haystacks if h.moves), None)
    if moving is None or len(haystacks) == 1 or moving.epoch_yr is not None:
        return None if moving is None else moving.epoch_yr
    ((epoch_yr,),) = conn.execute(job("match.mean_epoch").compose(haystack=moving.table))
    return None if epoch_yr is None else float(epoch_yr)


def _locate(
    conn: Connection, k: int, haystack: Haystack, radius_arcsec: float, n_targets: int, common_yr: float | None
) -> int:
    """Find every object within the radius at the epoch of the target, as an offset with its Bayes factor."""
    marks: sql.Composable = sql.SQL("NULL::real[]")
    if haystack.terms:
        marks = sql.SQL("ARRAY[{}]::real[]").format(sql.SQL(", ").join(t.expression() for t in haystack.terms))
    values = {
        "k": k,
        "radius_arcsec": radius_arcsec,
        "search_arcsec": radius_arcsec + (_MARGIN_ARCSEC if haystack.moves else 0.0),
        "margin_arcsec": _MARGIN_ARCSEC,
        "epoch_yr": haystack.epoch_yr,
        "common_yr": common_yr,
        "elliptical": haystack.elliptical,
        "moves": haystack.moves,
    }

    def locate(origin: str) -> sql.Composed:
        pairs = job(f"match.{origin}").compose(haystack=haystack.table)
        return job("match.locate").compose(pairs=pairs, marks=marks)

    n_pairs = joins.join_slices(conn, locate("located_by_join"), values, n_targets, haystack.name)
    if haystack.moves:
        conn.execute(job("match.index_targets_by_position").compose())
        joins.needles(conn, job("match.mover_needles").compose(haystack=haystack.table), values)
        joins.search(conn, "pg_temp.target", f"{haystack.name}: fast objects", haystack_id="no")
        n_pairs += conn.execute(locate("located_by_motion"), values).rowcount
    return n_pairs


def _p_any(conn: Connection, n_catalogues: int, parts: Parts) -> np.ndarray:
    """Probability of a counterpart, shape (n_catalogues + 1, n_targets); row 0 for all catalogues together."""
    types = [("no", "integer"), ("p_any", "double precision")]
    rows = copy.fetch_columns(conn, job("match.chances").compose(), types)
    p_any = np.zeros((n_catalogues + 1, parts.n_targets))
    p_any[0, rows["no"] - 1] = rows["p_any"]
    if n_catalogues == 1:
        p_any[1] = p_any[0]
    else:
        rows = copy.fetch_columns(conn, job("match.chances_by_catalogue").compose(), [*types, ("k", "integer")])
        p_any[rows["k"], rows["no"] - 1] = rows["p_any"]
    return p_any


def _results(
    conn: Connection,
    parts: Parts,
    targets: Mapping[str, np.ndarray],
    p_any: np.ndarray,
    learned: Learned,
    covered: np.ndarray,
) -> list[dict[str, np.ndarray]]:
    """Put the results for the sources together, and write the cutoffs in use."""
    cutoff, completeness = learned.cutoff, learned.completeness
    cuts = [(k, part, cutoff[k, part]) for k, part in np.ndindex(cutoff.shape) if part > 0]
    insert(conn, "pg_temp.cut", cuts, ("k", "part", "cutoff"))
    conn.execute("ANALYZE pg_temp.cut")
    source = parts.is_source
    share = completeness[parts.stratum[source]].T
    density = np.exp(np.nan_to_num(targets["log_nu"][source].T, nan=-np.inf)) / SKY_DEG2  # 0: not searched
    results = []
    for k in range(1, len(p_any)):
        rows = copy.fetch_columns(conn, job("match.candidates_of").compose(), [("no", "integer")], {"k": k})
        p, of_source = p_any[k, source], covered[k - 1, parts.order[source]]
        of_catalogue = {
            "source_id": targets["id"][source],
            "n_candidates": np.bincount(rows["no"] - 1, minlength=parts.n_targets)[source],  # within the radius
            "density_per_deg2": density[k - 1],
            "completeness": share[k - 1],
            "p_any": np.where(p > 1e-30, p, 0.0),
            "accepted": (p >= cutoff[k, parts.part[source]]) & (of_source > 0),
            "covered": of_source,
        }
        results.append(of_catalogue)
    return results
