"""From located objects to hypotheses: associations, their magnitudes, prior odds and posterior.

The statements are in sql/jobs/hypotheses.sql; ARCHITECTURE.md ("Matching") has the formula.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from psycopg import sql

from xcat import progress
from xcat.database import copy
from xcat.database.connection import Connection
from xcat.database.sqlfiles import insert, job
from xcat.match.edges import Edges
from xcat.match.haystack import Haystack
from xcat.match.learned import Learned, Shares
from xcat.match.learning import STEP_MAG, Curve, learn, pattern_priors
from xcat.match.targets import Parts


@dataclass(frozen=True)
class Weighed:
    """What weighs the hypotheses of a match besides the positions."""

    shares: Shares
    curves: list[Curve]  #: learned or given
    log_odds: np.ndarray  #: of each pattern of catalogues, shape (n_strata, n_patterns)
    completeness: np.ndarray  #: prior probability of a counterpart, shape (n_strata, n_catalogues)
    notes: list[str] = field(default_factory=list)  #: magnitudes and colours that could not be learned


def weigh(
    conn: Connection,
    haystacks: Sequence[Haystack],
    parts: Parts,
    edges: Edges,
    nway: bool,
    learned: Learned | None = None,
) -> Weighed:
    """Fill ``posterior`` from the associations of one object.

    With `nway` by the approximations of NWAY; with `learned` by what an earlier match has learned.
    """
    with progress.bar("match: probabilities", 4) as advance:
        order, shares = _associate(conn, haystacks, parts, nway, None if learned is None else learned.shares)
        advance(1)
        if learned is None:
            curves, notes = _learned_curves(conn, haystacks, order, parts, nway)
        else:
            curves, notes = list(learned.curves), []
        weighed = _weighed(conn, haystacks, curves, nway)
        advance(1)
        if learned is None:
            log_odds, completeness = _priors(conn, haystacks, parts, edges, nway, weighed)
        else:
            log_odds, completeness = learned.log_odds, learned.completeness
        odds = [(j + 1, i + 1, log_odds[j, i]) for j, i in np.ndindex(log_odds.shape)]
        insert(conn, "pg_temp.pattern_prior", odds, ("stratum", "mask", "log_odds"))
        conn.execute("ANALYZE pg_temp.pattern_prior")
        advance(1)
        prior = _prior_of_edges(conn, parts, edges, log_odds)
        conn.execute(job("hypotheses.posterior").compose(weighed=weighed, prior=prior))
        conn.execute(job("hypotheses.posterior_none").compose())
        conn.execute("ANALYZE pg_temp.posterior")
        advance(1)
    return Weighed(shares, curves, log_odds, completeness, notes)


def _learned_curves(
    conn: Connection, haystacks: Sequence[Haystack], order: list[int], parts: Parts, nway: bool
) -> tuple[list[Curve], list[str]]:
    """Learn the curves of magnitudes and colours; those that cannot be learned are named.

    An association of several objects is weighted by the magnitudes of one of them, whose distribution among such
    objects is learned separately: whether an object is in two catalogues depends on its brightness.
    """
    patterns = [mask for mask in range(1, 2 ** len(haystacks)) if not nway or mask.bit_count() == 1]
    # terms of each pattern with their catalogue, in the order of its members
    terms = {
        mask: [(k, term) for k in order if mask & (1 << (k - 1)) for term in haystacks[k - 1].terms]
        for mask in patterns
    }
    curves = []
    for mask, of_mask in terms.items():
        first = next((k for k, term in of_mask if term.table is not None), None)
        curves += [
            term.table.curve(mask, i, stratum)
            for i, (k, term) in enumerate(of_mask, 1)
            if term.table is not None and k == first
            for stratum in range(1, parts.n_strata + 1)
        ]
    given = {c.mask for c in curves}
    owners = {mask: [k for k, _ in of_mask] for mask, of_mask in terms.items() if of_mask and mask not in given}
    if owners and parts.n_shifted.sum():
        curves += _learn(conn, owners, parts)
    n_sources = np.bincount(parts.stratum[parts.is_source], minlength=parts.n_strata)
    is_searched = {mask: (parts.strata.searched & mask) == mask for mask in terms}
    curves = [c for c in curves if is_searched[c.mask][c.stratum - 1]]
    for curve in curves:
        curve.catalogue, term = terms[curve.mask][curve.term - 1]
        others = [h.name for k, h in enumerate(haystacks, 1) if curve.mask & (1 << (k - 1)) and k != curve.catalogue]
        curve.name = " with ".join([term.name, *others])
        curve.part, curve.n_sources = int(parts.part_of[curve.stratum - 1]), int(n_sources[curve.stratum - 1])
    learned = {(c.mask, c.term) for c in curves}
    # counterparts that are also in another catalogue may be weighed where those in this one alone are too few
    with_others = {k for k in range(len(haystacks)) for mask, _ in learned if mask >> k & 1 and mask.bit_count() > 1}
    notes = [
        f"{haystack.name}: too few counterparts or field objects to learn from {term.name}"
        for k, haystack in enumerate(haystacks)
        for i, term in enumerate(haystack.terms, 1)
        if (1 << k, i) not in learned and k not in with_others
    ]
    return curves, notes


def _weighed(conn: Connection, haystacks: Sequence[Haystack], curves: list[Curve], nway: bool) -> sql.Composed:
    """Compose the source of the weights that are multiplied with the curves."""
    rows = [(c.mask, c.term, c.stratum, c.edges.tolist(), c.log_ratio.tolist()) for c in curves]
    insert(conn, "pg_temp.curve", rows, ("mask", "term", "stratum", "edges", "log_ratio"))
    conn.execute("ANALYZE pg_temp.curve")
    numbers = [sql.Literal(i) for i in sorted({c.term for c in curves})]
    fragments = {
        "factors": sql.SQL(" ").join([job("hypotheses.factor").compose(i=i) for i in numbers]),
        "curves": sql.SQL(" ").join([job("hypotheses.factor_curve").compose(i=i) for i in numbers]),
    }
    if len(haystacks) == 1:
        return job("hypotheses.weighed_of_one").compose(**fragments)
    conn.execute(job("hypotheses.extras").compose(**fragments))
    if nway and curves:
        conn.execute(job("hypotheses.spread_extras").compose())
    conn.execute("ANALYZE pg_temp.extra")
    return job("hypotheses.weighed").compose()


def _learn(conn: Connection, owners: dict[int, list[int]], parts: Parts) -> list[Curve]:
    values = {"step_mag": STEP_MAG, "masks": list(owners)}
    integer = "integer"
    types = [("mask", integer), ("part", "smallint"), ("term", integer), ("bin", integer)]
    query = job("hypotheses.field_magnitudes").compose()
    field = copy.fetch_columns(conn, query, [*types, ("n_objects", "double precision")], values)
    numbers = range(1, max(map(len, owners.values())) + 1)
    columns = sql.SQL(", ").join(job("hypotheses.candidate_magnitude").compose(i=sql.Literal(i)) for i in numbers)
    query = job("hypotheses.candidate_magnitudes").compose(values=columns)
    types = [("tid", "bigint"), ("no", integer), ("mask", integer), ("log_weight", "real")]
    candidates = copy.fetch_columns(conn, query, [*types, *((f"v{i}", "real") for i in numbers)], values)
    # their sums must not depend on the order of rows, which the plan decides
    return learn(candidates[np.argsort(candidates["tid"], kind="stable")], field, owners, parts)


def _associate(
    conn: Connection, haystacks: Sequence[Haystack], parts: Parts, nway: bool, learned: Shares | None
) -> tuple[list[int], Shares]:
    """Combine objects of several catalogues, each counted once; the catalogues in the order of their members."""
    n_catalogues = len(haystacks)
    masks = np.arange(1, 2**n_catalogues)
    none = np.zeros((parts.n_parts + 1, masks.size))
    # catalogues with proper motions first: the objects of the others are moved with theirs
    order = sorted(range(1, n_catalogues + 1), key=lambda k: not haystacks[k - 1].moves)
    if n_catalogues == 1:
        conn.execute("ANALYZE pg_temp.share, pg_temp.crowd")  # tell the planner that these tables are empty
        return order, Shares(none, none, 0.0)
    if learned is None:
        row = conn.execute(job("hypotheses.reach").compose()).fetchone()
        reach_arcsec = row[0] if row and row[0] is not None else 0.0
    else:
        reach_arcsec = learned.reach_arcsec
    before = 1 << (order[0] - 1)
    for k in order[1:]:
        conn.execute("ANALYZE pg_temp.association")
        conn.execute(job("hypotheses.extend").compose(), {"k": k, "reach_arcsec": reach_arcsec, "before": before})
        before |= 1 << (k - 1)
    conn.execute("ANALYZE pg_temp.association")
    if nway:
        conn.execute(job("hypotheses.weigh_none").compose())
        return order, Shares(none, none, reach_arcsec)
    if learned is not None:
        _write_shares(conn, masks, learned)
        return order, learned
    values = {"shifted": bool(parts.n_shifted.sum())}
    objects = np.zeros((parts.n_parts + 1, n_catalogues))
    for part, k, n in conn.execute(job("hypotheses.count_objects").compose(), values):
        objects[part, k - 1] = n
    # first guess: half of the smallest catalogue's objects are also in the others, whatever their order
    _write_shares(conn, masks, _shares(masks, order, parts, objects, None, reach_arcsec))
    common = np.zeros((parts.n_parts + 1, masks.size))
    for part, mask, n in conn.execute(job("hypotheses.shares").compose(), values):
        common[part, mask - 1] = n
    shares = _shares(masks, order, parts, objects, common, reach_arcsec)
    _write_shares(conn, masks, shares)
    return order, shares


def _members(masks: np.ndarray, n_catalogues: int) -> np.ndarray:
    """Whether a pattern has a catalogue, shape (n_patterns, n_catalogues)."""
    return ((masks[:, None] >> np.arange(n_catalogues)) & 1).astype(bool)


def _shares(
    masks: np.ndarray,
    order: list[int],
    parts: Parts,
    objects: np.ndarray,
    common: np.ndarray | None,
    reach_arcsec: float,
) -> Shares:
    """Share of the first catalogue's objects in all of a pattern, and of each catalogue's in no other, as logs.

    From the objects of each catalogue by part, and those of each pattern; without these half of the smallest
    catalogue's are in all. A part borrows twenty objects from all parts that the same catalogues have searched.
    """
    member = _members(masks, objects.shape[1])
    first = np.array([next(k for k in order if mask & (1 << (k - 1))) for mask in masks.tolist()]) - 1
    in_both, alone = np.full((len(objects), masks.size), 1e-4), np.ones(objects.shape)
    _, place = np.unique(parts.part_of, return_index=True)  # the parts are numbered from 1
    searched = parts.strata.searched[place]
    for catalogues in np.unique(searched).tolist():
        these = 1 + np.flatnonzero(searched == catalogues)
        of_all = objects[these].sum(axis=0)
        if common is None:
            fewest = np.where(member, of_all, np.inf).min(axis=1)
            in_both[these] = np.clip(0.5 * fewest / np.maximum(of_all[first], 1), 1e-4, 0.5)
            continue
        of_patterns = common[these].sum(axis=0)
        borrowed = 20 * of_patterns / np.maximum(of_all[first], 1)
        in_both[these] = np.clip((common[these] + borrowed) / (objects[these][:, first] + 20), 1e-4, 1.0)
        in_several = (member & (member.sum(axis=1) > 1)[:, None]).astype(float)
        borrowed = 20 * (of_patterns @ in_several) / np.maximum(of_all, 1)
        shared = (common[these] @ in_several + borrowed) / (objects[these] + 20)
        alone[these] = np.clip(1 - shared, 0.02, 1.0)
    return _log_shares(masks, in_both, alone, reach_arcsec)


def _log_shares(masks: np.ndarray, in_both: np.ndarray, alone: np.ndarray, reach_arcsec: float) -> Shares:
    """Shares as the weights of the associations need them."""
    member = _members(masks, alone.shape[1])
    log_alone = np.log(alone) @ member.T
    several = member.sum(axis=1) > 1
    return Shares(np.where(several, np.log(in_both) - log_alone, 0.0), log_alone, reach_arcsec)


def _write_shares(conn: Connection, masks: np.ndarray, shares: Shares) -> None:
    """Write the shares of every part and pattern, and weight the associations with them."""
    conn.execute(job("hypotheses.clear_shares").compose())
    rows = [
        (part, int(mask), shares.log_back[part, i], shares.log_alone[part, i])
        for part in range(1, len(shares.log_alone))
        for i, mask in enumerate(masks)
    ]
    insert(conn, "pg_temp.share", rows, ("part", "mask", "log_back", "log_alone"))
    conn.execute("ANALYZE pg_temp.share")
    conn.execute(job("hypotheses.touch").compose())
    conn.execute("ANALYZE pg_temp.touched")
    conn.execute(job("hypotheses.crowd_singles").compose())
    conn.execute(job("hypotheses.crowd_associations").compose())
    conn.execute("ANALYZE pg_temp.crowd")


def _priors(
    conn: Connection,
    haystacks: Sequence[Haystack],
    parts: Parts,
    edges: Edges,
    nway: bool,
    weighed: sql.Composed,
) -> tuple[np.ndarray, np.ndarray]:
    """Prior log odds of every pattern, given or estimated from the sums of the weights; and the completeness."""
    n = len(haystacks)
    given = [None if h.completeness == "estimate" else float(h.completeness) for h in haystacks]
    masks = np.arange(1, 2**n)
    member = _members(masks, n)
    if nway:
        each = np.array([1.0 if c is None else c for c in given]) ** (1 / n)
        log_odds = np.tile(member @ np.log(each), (parts.n_strata, 1))
        completeness = np.tile(each, (parts.n_strata, 1))
    else:
        types = [("no", "integer"), ("mask", "integer"), ("weights", "double precision")]
        rows = copy.fetch_columns(conn, job("hypotheses.sums").compose(weighed=weighed), types)
        sums = np.zeros((parts.n_targets, 2**n))
        sums[:, 0] = 1
        sums[rows["no"] - 1, rows["mask"]] = rows["weights"]
        sums[edges.index] = edges.weights(sums[edges.index])
        source = parts.is_source
        p = pattern_priors(
            sums[source, 1:], parts.stratum[source], parts.n_strata, given, sums[source, 0], parts.strata
        )
        log_odds = np.log(p[:, 1:]) - np.log(p[:, :1])
        completeness = p[:, 1:] @ member
    return np.asarray(log_odds), np.asarray(completeness)


def _prior_of_edges(conn: Connection, parts: Parts, edges: Edges, log_odds: np.ndarray) -> sql.Composed:
    """Write the prior odds of targets that were not wholly searched around, and compose where the odds come from."""
    if not len(edges):
        return job("hypotheses.prior").compose()
    of_stratum = log_odds[parts.stratum[edges.index]]
    odds = np.concatenate([np.ones((len(edges), 1)), np.exp(of_stratum)], axis=1)
    with np.errstate(divide="ignore"):
        listed = np.log(edges.listed(odds))
    listed = np.maximum(listed[:, 1:] - listed[:, :1], -1e3)
    no, mask = np.meshgrid(edges.index + 1, np.arange(1, odds.shape[1]), indexing="ij")
    columns = {"no": no.ravel(), "mask": mask.ravel(), "log_odds": listed.ravel()}
    copy.copy_in(conn, "pg_temp.edge_prior", [columns])
    conn.execute("ANALYZE pg_temp.edge_prior")
    return job("hypotheses.prior_with_edges").compose()
