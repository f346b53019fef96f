"""Positions against one, two or more counterpart catalogues at once: every hypothesis, and how probable it is.

A *target* is a position with an error, an X-ray source or a shifted one. A *hypothesis* is "none of these", or an
association of one object of each of some catalogues with the target. The arithmetic runs in SQL (sql/jobs/match.sql);
here are the steps, and what is estimated from sums. After `match` the temporary tables ``target`` and ``posterior``
hold the answer until the transaction ends.

References: Budavari & Szalay 2008, ApJ 679, 301; Pineau et al. 2017, A&A 597, A89; Salvato et al. 2018, MNRAS 473,
4937.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from psycopg import sql

from xcat import progress
from xcat.database import copy
from xcat.database.engine import Connection
from xcat.database.sqlfiles import job
from xcat.errors import ConfigError
from xcat.match import pairs
from xcat.match.calibrate import Calibration, calibrate, shifted
from xcat.match.density import DensityMap, cut_outs
from xcat.match.priors import STEP_MAG, Curve, PriorTable, learn, pattern_priors
from xcat.match.targets import Parts, Targets, parts_of

SKY_DEG2 = 41252.96124941928
MAX_RADIUS_ARCSEC = 3600.0
MAX_CATALOGUES = 8
# Objects with a proper motion are looked for where they were: those that moved by less than this in the same search as
# all others, with a radius larger by as much; faster ones in a search of their own.
_MARGIN_ARCSEC = 0.5
_COLUMN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Term:
    """A magnitude or colour that tells counterparts from field objects.

    Attributes
    ----------
    name : str
        A column of the catalogue, or the difference of two: ``mag_w1 - mag_w2``.
    table : PriorTable, optional
        Histograms to use; without, they are learned from the match.
    """

    name: str
    table: PriorTable | None = None

    def expression(self) -> sql.Composable:
        """The term as SQL, for the haystack's alias ``h``."""
        columns = [part.strip() for part in self.name.split(" - ")]
        if len(columns) > 2 or not all(_COLUMN.fullmatch(c) for c in columns):
            raise ConfigError(f"{self.name!r} is no magnitude or colour; write a column, or two as 'mag_w1 - mag_w2'")
        return sql.SQL(" - ").join(sql.Identifier("h", column) for column in columns)


@dataclass(frozen=True)
class Haystack:
    """A counterpart catalogue as the match sees it.

    Attributes
    ----------
    catalogue_id : int
        Anything that tells it from the others.
    name : str
    table : str
        Qualified name of a table with the columns of ``xcat.counterpart`` and a q3c index on ra, dec.
    density_per_deg2 : float, optional
        Of its objects; without, it comes from the map.
    density_map : DensityMap, optional
        Where its objects are. Without a map or cut-outs, what is loaded is not all of the sky, and nothing can be said
        about other positions than the sources': no calibration.
    around_arcsec : float, optional
        What is loaded are cut-outs of this radius around the sources: the density is counted in each, and shifted
        positions stay inside.
    completeness : float or "estimate"
        Prior probability that a source has a counterpart in it.
    epoch_yr : float, optional
        Of the positions, where a row has none.
    moves : bool
        Its objects have proper motions.
    elliptical : bool
        Its objects may have elliptical errors.
    terms : tuple of Term
        At most nine.
    """

    catalogue_id: int
    name: str
    table: str
    density_per_deg2: float | None = None
    density_map: DensityMap | None = None
    around_arcsec: float | None = None
    completeness: float | Literal["estimate"] = "estimate"
    epoch_yr: float | None = None
    moves: bool = False
    elliptical: bool = False
    terms: tuple[Term, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether what is loaded is all of the catalogue where a shifted position may be."""
        return self.density_map is not None or self.around_arcsec is not None


@dataclass(frozen=True)
class Options:
    """How to match.

    Attributes
    ----------
    radius_arcsec : float
        Every object within it is a candidate.
    false_rate : float
        Share of shifted positions that may be accepted: the cutoff of p_any follows from it.
    min_p_any : float
        No cutoff is below this, and it is the cutoff where shifted positions can tell nothing.
    calibrate : bool
        Match shifted positions too.
    nway : bool
        Reproduce the approximations of NWAY 4.8: "no counterpart" weighs 1 instead of 1 - c, one completeness for all
        catalogues, and objects in several catalogues are counted for each.
    seed : int
        Of the shifted positions.
    """

    radius_arcsec: float
    false_rate: float = 0.05
    min_p_any: float = 0.5
    calibrate: bool = True
    nway: bool = False
    seed: int = 1


@dataclass
class Outcome:
    """What a match found out besides the hypotheses.

    Attributes
    ----------
    calibration : Calibration
    priors : list of Curve
        What was learned, or given, about magnitudes and colours.
    seconds : dict
        Time of each step.
    counts : dict
        Targets, pairs and associations.
    notes : list of str
        What was left out, and what could not be done.
    """

    calibration: Calibration
    priors: list[Curve] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a step."""
        start = time.monotonic()
        yield
        self.seconds[name] = round(self.seconds.get(name, 0.0) + time.monotonic() - start, 3)


def match(conn: Connection, targets: Targets, haystacks: Sequence[Haystack], options: Options) -> Outcome:
    """Match targets with counterpart catalogues.

    Parameters
    ----------
    conn : Connection
        In a transaction; the temporary tables live as long.
    targets : Targets
    haystacks : sequence of Haystack
        One to eight; the order changes nothing but the numbers k = 1, 2 ... of the catalogues.
    options : Options

    Returns
    -------
    Outcome

    Raises
    ------
    ConfigError
        The radius, the number of catalogues or a term makes no sense.
    """
    _check(haystacks, options)
    # temporary tables of known shape: a rough look at them is enough for the planner
    conn.execute("SET LOCAL default_statistics_target = 10")
    outcome = Outcome(Calibration.none(len(haystacks), options.min_p_any))
    with outcome.step("targets"):
        parts = _write_targets(conn, targets, haystacks, options, outcome)
    for k, haystack in enumerate(haystacks, 1):
        with outcome.step(f"search {haystack.name}"):
            outcome.counts[f"pairs {haystack.name}"] = _locate(
                conn, k, haystack, options.radius_arcsec, parts.n_targets
            )
    conn.execute("ANALYZE pg_temp.located")
    with outcome.step("probabilities"), progress.bar("match: probabilities", 4) as advance:
        for k in range(1, len(haystacks) + 1):
            conn.execute(job("match.singles").compose(), {"k": k})
        order = _associate(conn, haystacks, parts, options.nway)
        advance(1)
        _magnitudes(conn, haystacks, order, parts, options.nway, outcome)
        advance(1)
        _priors(conn, haystacks, parts, options.nway)
        advance(1)
        for name in ("posterior", "posterior_none"):
            conn.execute(job(f"match.{name}").compose())
        conn.execute(job("match.chances").compose(), {"n_catalogues": len(haystacks)})
        conn.execute("ANALYZE pg_temp.posterior")
        advance(1)
    with outcome.step("calibration"):
        _calibrate(conn, haystacks, parts, options, outcome)
    return outcome


def _check(haystacks: Sequence[Haystack], options: Options) -> None:
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


def _write_targets(
    conn: Connection, targets: Targets, haystacks: Sequence[Haystack], options: Options, outcome: Outcome
) -> Parts:
    """Write the sources and the shifted positions, in the order of the sky, so that neighbours share pages."""
    pairs.make_tables(conn)
    conn.execute(job("match.forget").compose())
    conn.execute(job("match.make_tables").compose())
    moved, origin = targets.take(np.zeros(0, np.int64)), np.zeros(0, np.int64)
    everything = targets
    if options.calibrate:
        whole = [h for h in haystacks if h.is_whole]
        moved, origin = shifted(
            targets,
            [h.density_map for h in whole if h.density_map is not None],
            min((h.around_arcsec for h in whole if h.around_arcsec is not None), default=None),
            options.radius_arcsec,
            options.seed if whole else None,
        )
        everything = targets.with_shifted(moved)
        if not len(moved):
            outcome.notes.append(
                "no calibration: what is loaded does not tell where the catalogues have been observed"
                if not whole
                else "no calibration: no free place for shifted positions near the sources"
            )
    log_nu = np.stack([_log_nu(conn, h, targets, moved, origin, options.radius_arcsec) for h in haystacks], axis=1)
    parts = parts_of(everything, log_nu)
    copy.copy_in(conn, "target", [everything.columns(parts, log_nu)])
    conn.execute(job("match.index_targets").compose())
    conn.execute("ANALYZE pg_temp.target")
    outcome.counts["targets"], outcome.counts["shifted"] = len(targets), len(everything) - len(targets)
    return parts


def _log_nu(
    conn: Connection, haystack: Haystack, targets: Targets, moved: Targets, origin: np.ndarray, radius_arcsec: float
) -> np.ndarray:
    """Natural log of the number of objects that a whole sky of the local density has, sources before shifted ones."""
    ra, dec = np.concatenate([targets.ra, moved.ra]), np.concatenate([targets.dec, moved.dec])
    if haystack.density_per_deg2 is not None:
        density = np.full(len(ra), haystack.density_per_deg2)
    elif haystack.around_arcsec is not None:
        at_sources = cut_outs(conn, haystack.table, targets.ra, targets.dec, 2 * radius_arcsec, haystack.around_arcsec)
        density = np.concatenate([at_sources, at_sources[origin]])
    elif haystack.density_map is not None:
        density = haystack.density_map.density_per_deg2(ra, dec)
    else:
        raise ConfigError(f"{haystack.name}: neither a density nor a map is given")
    return np.log(np.maximum(density, 1e-6) * SKY_DEG2)


def _locate(conn: Connection, k: int, haystack: Haystack, radius_arcsec: float, n_targets: int) -> int:
    """Find every object within the radius at the epoch of the target, as an offset with its Bayes factor."""
    marks: sql.Composable = sql.SQL("NULL::real[]")
    if haystack.terms:
        marks = sql.SQL("ARRAY[{}]::real[]").format(sql.SQL(", ").join(t.expression() for t in haystack.terms))
    values = {
        "k": k,
        "radius_arcsec": radius_arcsec,
        "search_arcsec": radius_arcsec + (_MARGIN_ARCSEC if haystack.moves else 0.0),
        "epoch_yr": haystack.epoch_yr,
        "elliptical": haystack.elliptical,
        "moves": haystack.moves,
    }
    found = job("match.located_by_join").compose(haystack=haystack.table)
    statement = job("match.locate").compose(found=found, marks=marks)
    n_pairs = pairs.join_slices(conn, statement, values, n_targets, haystack.name)
    if haystack.moves:
        conn.execute(job("match.index_targets_by_position").compose())
        fast = {"radius_arcsec": radius_arcsec, "epoch_yr": haystack.epoch_yr, "margin_arcsec": _MARGIN_ARCSEC}
        pairs.needles(conn, job("match.mover_needles").compose(haystack=haystack.table), fast)
        pairs.search(conn, "pg_temp.target", f"{haystack.name}: fast objects", haystack_id="no")
        found = job("match.located_by_motion").compose(haystack=haystack.table)
        n_pairs += conn.execute(job("match.locate").compose(found=found, marks=marks), values).rowcount
    return n_pairs


def _magnitudes(
    conn: Connection, haystacks: Sequence[Haystack], order: list[int], parts: Parts, nway: bool, outcome: Outcome
) -> None:
    """Multiply the weights with what magnitudes and colours say.

    An association of several objects is told by the magnitudes of one of them, whose distribution among such objects
    is learned apart: that an object is in two catalogues tells much about its brightness.
    """
    patterns = [mask for mask in range(1, 2 ** len(haystacks)) if not nway or mask.bit_count() == 1]
    # terms of each pattern with their catalogue, in the order of its members
    terms = {
        mask: [(k, term) for k in order if mask & (1 << (k - 1)) for term in haystacks[k - 1].terms]
        for mask in patterns
    }
    curves = []
    for mask, some in terms.items():
        given = [k for k, term in some if term.table is not None]
        curves += [
            term.table.curve(mask, i, kin)
            for i, (k, term) in enumerate(some, 1)
            if term.table is not None and k == given[0]
            for kin in range(1, parts.n_kin + 1)
        ]
    owners = {
        mask: [k for k, _ in some] for mask, some in terms.items() if some and mask not in {c.mask for c in curves}
    }
    if owners and parts.n_shifted.sum():
        curves += _learn(conn, owners, parts)
    n_sources = np.bincount(parts.kin[parts.is_source], minlength=parts.n_kin)
    for curve in curves:
        curve.catalogue, term = terms[curve.mask][curve.term - 1]
        others = [h.name for k, h in enumerate(haystacks, 1) if curve.mask & (1 << (k - 1)) and k != curve.catalogue]
        curve.name = " with ".join([term.name, *others])
        curve.part, curve.n_sources = int(parts.part_of[curve.kin - 1]), int(n_sources[curve.kin - 1])
    for k, haystack in enumerate(haystacks, 1):
        told = {c.term for c in curves if c.mask == 1 << (k - 1)}
        for i, term in enumerate(haystack.terms, 1):
            if i not in told:
                outcome.notes.append(
                    f"{haystack.name}: too few counterparts or field objects to learn from {term.name}"
                )
    rows = [(c.mask, c.term, c.kin, c.edges.tolist(), c.log_ratio.tolist()) for c in curves]
    with conn.cursor() as cursor:
        cursor.executemany(job("match.add_curve").compose(), rows)
    conn.execute("ANALYZE pg_temp.curve")
    outcome.priors += curves
    numbers = [sql.Literal(i) for i in sorted({c.term for c in curves})]
    conn.execute(
        job("match.extras" if len(haystacks) > 1 else "match.extras_of_one").compose(
            factors=sql.SQL(" ").join([job("match.factor").compose(i=i) for i in numbers]),
            curves=sql.SQL(" ").join([job("match.factor_curve").compose(i=i) for i in numbers]),
        )
    )
    if nway and curves:
        conn.execute(job("match.spread_extras").compose())
    conn.execute("ANALYZE pg_temp.extra")


def _learn(conn: Connection, owners: dict[int, list[int]], parts: Parts) -> list[Curve]:
    values = {"step_mag": STEP_MAG, "masks": list(owners)}
    integer, double, real = "integer", "double precision", "real"
    field_ = copy.fetch_columns(
        conn,
        job("match.field_magnitudes").compose(),
        [("mask", integer), ("part", "smallint"), ("term", integer), ("bin", integer), ("n_objects", double)],
        values,
    )
    numbers = range(1, max(map(len, owners.values())) + 1)
    columns = sql.SQL(", ").join(job("match.candidate_magnitude").compose(i=sql.Literal(i)) for i in numbers)
    candidates = copy.fetch_columns(
        conn,
        job("match.candidate_magnitudes").compose(values=columns),
        [("no", integer), ("mask", integer), ("log_weight", real), *((f"v{i}", real) for i in numbers)],
        values,
    )
    return learn(candidates, field_, owners, parts)


def _associate(conn: Connection, haystacks: Sequence[Haystack], parts: Parts, nway: bool) -> list[int]:
    """Put objects of several catalogues together, and count an object that several have only once.

    Returns
    -------
    list of int
        The catalogues in the order of the members of associations.
    """
    n_catalogues = len(haystacks)
    # those with motions first: the others are moved with them
    order = sorted(range(1, n_catalogues + 1), key=lambda k: not haystacks[k - 1].moves)
    if n_catalogues == 1:
        return order
    row = conn.execute(job("match.reach").compose()).fetchone()
    reach_arcsec = row[0] if row and row[0] is not None else 0.0
    before = 1 << (order[0] - 1)
    for k in order[1:]:
        conn.execute("ANALYZE pg_temp.association")
        conn.execute(job("match.extend").compose(), {"k": k, "reach_arcsec": reach_arcsec, "before": before})
        before |= 1 << (k - 1)
    conn.execute("ANALYZE pg_temp.association")
    if nway:
        conn.execute(job("match.weigh_none").compose())
        return order
    masks = np.arange(1, 2**n_catalogues)
    first = np.array([next(k for k in order if mask & (1 << (k - 1))) for mask in masks.tolist()])
    several = np.array([int(mask).bit_count() > 1 for mask in masks])
    shifted_ones = bool(parts.n_shifted.sum())
    objects = np.zeros((parts.n_parts + 1, n_catalogues))
    for part, k, n in conn.execute(job("match.count_objects").compose(), {"shifted": shifted_ones}):
        objects[part, k - 1] = n
    member = (masks[:, None] >> np.arange(n_catalogues)) & 1
    # to begin with, half of the smallest catalogue's objects are in the others too, whatever their order
    fewest = np.where(member == 1, objects.sum(axis=0), np.inf).min(axis=1)
    share = np.clip(0.5 * fewest / np.maximum(objects.sum(axis=0)[first - 1], 1), 1e-4, 0.5)
    in_both = np.where(several, share, 1.0)[None, :] * np.ones((parts.n_parts + 1, 1))
    alone = np.ones((parts.n_parts + 1, n_catalogues))
    for last in (False, True):
        _write_shares(conn, masks, first, in_both, alone)
        if last:
            break
        of_part = np.zeros((parts.n_parts + 1, masks.size))
        for part, mask, n in conn.execute(job("match.shares").compose(), {"shifted": shifted_ones}):
            of_part[part, mask - 1] = n
        # a part with few objects is told by all parts together
        of_part[0], objects[0] = of_part.sum(axis=0), objects.sum(axis=0)
        share_of_all = of_part[0] / np.maximum(objects[0][first - 1], 1)
        in_both = (of_part + 20 * share_of_all) / (objects[:, first - 1] + 20)
        in_both = np.where(several, np.clip(in_both, 1e-4, 1.0), 1.0)
        for k in range(1, n_catalogues + 1):
            mine = several & (masks & (1 << (k - 1)) > 0)
            shared = of_part[:, mine].sum(axis=1)
            pooled = shared[0] / max(objects[0, k - 1], 1)
            alone[:, k - 1] = np.clip(1 - (shared + 20 * pooled) / (objects[:, k - 1] + 20), 0.02, 1)
    return order


def _write_shares(
    conn: Connection, masks: np.ndarray, first: np.ndarray, in_both: np.ndarray, alone: np.ndarray
) -> None:
    """Write the constants of every part and pattern, and weigh the associations with them."""
    member = (masks[:, None] >> np.arange(alone.shape[1])) & 1
    log_alone = np.log(alone) @ member.T
    several = member.sum(axis=1) > 1
    log_back = np.where(several, np.log(in_both) - log_alone, 0.0)
    conn.execute(job("match.clear_shares").compose())
    rows = [
        (part, int(mask), log_back[part, i], log_alone[part, i])
        for part in range(1, len(alone))
        for i, mask in enumerate(masks)
    ]
    with conn.cursor() as cursor:
        cursor.executemany(job("match.add_share").compose(), rows)
    conn.execute("ANALYZE pg_temp.share")
    conn.execute(job("match.touch").compose())
    conn.execute("ANALYZE pg_temp.touched")
    conn.execute(job("match.crowd_singles").compose())
    conn.execute(job("match.crowd_associations").compose())
    conn.execute("ANALYZE pg_temp.crowd")


def _priors(conn: Connection, haystacks: Sequence[Haystack], parts: Parts, nway: bool) -> None:
    """Prior odds of every pattern of catalogues, given or estimated from the sums of the weights."""
    n = len(haystacks)
    given = [None if h.completeness == "estimate" else float(h.completeness) for h in haystacks]
    masks = np.arange(1, 2**n)
    member = (masks[:, None] >> np.arange(n)) & 1
    if nway:
        each = np.array([1.0 if c is None else c for c in given]) ** (1 / n)
        log_odds = np.tile(member @ np.log(each), (parts.n_kin, 1))
        completeness = np.tile(each, (parts.n_kin, 1))
    else:
        rows = copy.fetch_columns(
            conn, job("match.sums").compose(), [("no", "integer"), ("mask", "integer"), ("weights", "double precision")]
        )
        sums = np.zeros((parts.n_targets, masks.size))
        sums[rows["no"] - 1, rows["mask"] - 1] = rows["weights"]
        p = pattern_priors(sums[parts.is_source], parts.kin[parts.is_source], parts.n_kin, given)
        log_odds = np.log(p[:, 1:]) - np.log(p[:, :1])
        completeness = p[:, 1:] @ member
    rows_out = [
        (kin + 1, int(mask), log_odds[kin, i], completeness[kin].tolist())
        for kin in range(parts.n_kin)
        for i, mask in enumerate(masks)
    ]
    with conn.cursor() as cursor:
        cursor.executemany(job("match.add_pattern_prior").compose(), rows_out)
    conn.execute("ANALYZE pg_temp.pattern_prior")


def _calibrate(
    conn: Connection, haystacks: Sequence[Haystack], parts: Parts, options: Options, outcome: Outcome
) -> None:
    """Find the cutoffs from what shifted positions were given."""
    rows = copy.fetch_columns(
        conn,
        job("match.chances_read").compose(),
        [("no", "integer"), ("k", "integer"), ("p_any", "double precision")],
    )
    p_any = np.zeros((len(haystacks) + 1, parts.n_targets))
    p_any[rows["k"], rows["no"] - 1] = rows["p_any"]
    whole = [h.is_whole for h in haystacks]
    outcome.calibration = calibrate(p_any, parts, [all(whole), *whole], options.false_rate, options.min_p_any)
    with conn.cursor() as cursor:
        cursor.executemany(job("match.add_cut").compose(), outcome.calibration.cuts())
    conn.execute("ANALYZE pg_temp.cut")
