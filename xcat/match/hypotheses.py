"""From located objects to hypotheses: associations, what magnitudes say of them, prior odds and posterior.

The statements are in sql/jobs/hypotheses.sql; ARCHITECTURE.md ("Matching") has the formula.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from psycopg import sql

from xcat import progress
from xcat.database import copy
from xcat.database.connection import Connection
from xcat.database.sqlfiles import job
from xcat.match.haystack import Haystack
from xcat.match.learning import STEP_MAG, Curve, learn, pattern_priors
from xcat.match.targets import Parts


def weigh(
    conn: Connection, haystacks: Sequence[Haystack], parts: Parts, nway: bool
) -> tuple[list[Curve], list[str], np.ndarray]:
    """Fill ``posterior`` from the associations of one object.

    Parameters
    ----------
    conn : Connection
    haystacks : sequence of Haystack
    parts : Parts
    nway : bool
        With the approximations of NWAY.

    Returns
    -------
    curves : list of Curve
        What was learned, or given, about magnitudes and colours.
    notes : list of str
        Of which there was too little to learn from.
    completeness : ndarray, shape (n_kin, n_catalogues)
        Prior probability that a source of a kind has a counterpart in a catalogue.
    """
    with progress.bar("match: probabilities", 4) as advance:
        order = _associate(conn, haystacks, parts, nway)
        advance(1)
        curves, notes, weighed = _magnitudes(conn, haystacks, order, parts, nway)
        advance(1)
        completeness = _priors(conn, haystacks, parts, nway, weighed)
        advance(1)
        conn.execute(job("hypotheses.posterior").compose(weighed=weighed))
        conn.execute(job("hypotheses.posterior_none").compose())
        conn.execute("ANALYZE pg_temp.posterior")
        advance(1)
    return curves, notes, completeness


def _magnitudes(
    conn: Connection, haystacks: Sequence[Haystack], order: list[int], parts: Parts, nway: bool
) -> tuple[list[Curve], list[str], sql.Composed]:
    """Learn what magnitudes and colours say, and where the weights come from that are multiplied with it.

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
    notes = []
    for k, haystack in enumerate(haystacks, 1):
        learned = {c.term for c in curves if c.mask == 1 << (k - 1)}
        for i, term in enumerate(haystack.terms, 1):
            if i not in learned:
                notes.append(f"{haystack.name}: too few counterparts or field objects to learn from {term.name}")
    rows = [(c.mask, c.term, c.kin, c.edges.tolist(), c.log_ratio.tolist()) for c in curves]
    with conn.cursor() as cursor:
        cursor.executemany(job("hypotheses.add_curve").compose(), rows)
    conn.execute("ANALYZE pg_temp.curve")
    numbers = [sql.Literal(i) for i in sorted({c.term for c in curves})]
    told = {
        "factors": sql.SQL(" ").join([job("hypotheses.factor").compose(i=i) for i in numbers]),
        "curves": sql.SQL(" ").join([job("hypotheses.factor_curve").compose(i=i) for i in numbers]),
    }
    if len(haystacks) == 1:
        return curves, notes, job("hypotheses.weighed_of_one").compose(**told)
    conn.execute(job("hypotheses.extras").compose(**told))
    if nway and curves:
        conn.execute(job("hypotheses.spread_extras").compose())
    conn.execute("ANALYZE pg_temp.extra")
    return curves, notes, job("hypotheses.weighed").compose()


def _learn(conn: Connection, owners: dict[int, list[int]], parts: Parts) -> list[Curve]:
    values = {"step_mag": STEP_MAG, "masks": list(owners)}
    integer, double, real = "integer", "double precision", "real"
    field_ = copy.fetch_columns(
        conn,
        job("hypotheses.field_magnitudes").compose(),
        [("mask", integer), ("part", "smallint"), ("term", integer), ("bin", integer), ("n_objects", double)],
        values,
    )
    numbers = range(1, max(map(len, owners.values())) + 1)
    columns = sql.SQL(", ").join(job("hypotheses.candidate_magnitude").compose(i=sql.Literal(i)) for i in numbers)
    candidates = copy.fetch_columns(
        conn,
        job("hypotheses.candidate_magnitudes").compose(values=columns),
        [
            ("tid", "bigint"),
            ("no", integer),
            ("mask", integer),
            ("log_weight", real),
            *((f"v{i}", real) for i in numbers),
        ],
        values,
    )
    # sums over them are taken in the order of their numbers, whatever order the plan gave them in
    return learn(candidates[np.argsort(candidates["tid"], kind="stable")], field_, owners, parts)


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
        conn.execute("ANALYZE pg_temp.share, pg_temp.crowd")  # that they are empty
        return order
    row = conn.execute(job("hypotheses.reach").compose()).fetchone()
    reach_arcsec = row[0] if row and row[0] is not None else 0.0
    before = 1 << (order[0] - 1)
    for k in order[1:]:
        conn.execute("ANALYZE pg_temp.association")
        conn.execute(job("hypotheses.extend").compose(), {"k": k, "reach_arcsec": reach_arcsec, "before": before})
        before |= 1 << (k - 1)
    conn.execute("ANALYZE pg_temp.association")
    if nway:
        conn.execute(job("hypotheses.weigh_none").compose())
        return order
    masks = np.arange(1, 2**n_catalogues)
    first = np.array([next(k for k in order if mask & (1 << (k - 1))) for mask in masks.tolist()])
    values = {"shifted": bool(parts.n_shifted.sum())}
    objects = np.zeros((parts.n_parts + 1, n_catalogues))
    for part, k, n in conn.execute(job("hypotheses.count_objects").compose(), values):
        objects[part, k - 1] = n
    objects[0] = objects.sum(axis=0)
    # to begin with, half of the smallest catalogue's objects are in the others too, whatever their order
    fewest = np.where(_members(masks, n_catalogues), objects[0], np.inf).min(axis=1)
    in_both = np.clip(0.5 * fewest / np.maximum(objects[0][first - 1], 1), 1e-4, 0.5)
    _write_shares(conn, masks, np.tile(in_both, (parts.n_parts + 1, 1)), np.ones(objects.shape))
    common = np.zeros((parts.n_parts + 1, masks.size))
    for part, mask, n in conn.execute(job("hypotheses.shares").compose(), values):
        common[part, mask - 1] = n
    common[0] = common.sum(axis=0)
    _write_shares(conn, masks, *_shares(masks, first, objects, common))
    return order


def _members(masks: np.ndarray, n_catalogues: int) -> np.ndarray:
    """Whether a pattern has a catalogue, shape (n_patterns, n_catalogues)."""
    return ((masks[:, None] >> np.arange(n_catalogues)) & 1).astype(bool)


def _shares(
    masks: np.ndarray, first: np.ndarray, objects: np.ndarray, common: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Share of the first catalogue's objects in all of a pattern, and of each catalogue's in no other.

    Row 0 of the counts is for all parts together; a part takes twenty objects from it.
    """
    in_both = (common + 20 * common[0] / np.maximum(objects[0][first - 1], 1)) / (objects[:, first - 1] + 20)
    several = _members(masks, objects.shape[1]) & (_members(masks, objects.shape[1]).sum(axis=1) > 1)[:, None]
    shared = common @ several
    alone = 1 - (shared + 20 * shared[0] / np.maximum(objects[0], 1)) / (objects + 20)
    return np.clip(in_both, 1e-4, 1.0), np.clip(alone, 0.02, 1.0)


def _write_shares(conn: Connection, masks: np.ndarray, in_both: np.ndarray, alone: np.ndarray) -> None:
    """Write the constants of every part and pattern, and weigh the associations with them."""
    member = _members(masks, alone.shape[1])
    log_alone = np.log(alone) @ member.T
    several = member.sum(axis=1) > 1
    log_back = np.where(several, np.log(in_both) - log_alone, 0.0)
    conn.execute(job("hypotheses.clear_shares").compose())
    rows = [
        (part, int(mask), log_back[part, i], log_alone[part, i])
        for part in range(1, len(alone))
        for i, mask in enumerate(masks)
    ]
    with conn.cursor() as cursor:
        cursor.executemany(job("hypotheses.add_share").compose(), rows)
    conn.execute("ANALYZE pg_temp.share")
    conn.execute(job("hypotheses.touch").compose())
    conn.execute("ANALYZE pg_temp.touched")
    conn.execute(job("hypotheses.crowd_singles").compose())
    conn.execute(job("hypotheses.crowd_associations").compose())
    conn.execute("ANALYZE pg_temp.crowd")


def _priors(
    conn: Connection, haystacks: Sequence[Haystack], parts: Parts, nway: bool, weighed: sql.Composed
) -> np.ndarray:
    """Prior odds of every pattern of catalogues, given or estimated from the sums of the weights; the completeness."""
    n = len(haystacks)
    given = [None if h.completeness == "estimate" else float(h.completeness) for h in haystacks]
    masks = np.arange(1, 2**n)
    member = _members(masks, n)
    if nway:
        each = np.array([1.0 if c is None else c for c in given]) ** (1 / n)
        log_odds = np.tile(member @ np.log(each), (parts.n_kin, 1))
        completeness = np.tile(each, (parts.n_kin, 1))
    else:
        types = [("no", "integer"), ("mask", "integer"), ("weights", "double precision")]
        rows = copy.fetch_columns(conn, job("hypotheses.sums").compose(weighed=weighed), types)
        sums = np.zeros((parts.n_targets, masks.size))
        sums[rows["no"] - 1, rows["mask"] - 1] = rows["weights"]
        p = pattern_priors(sums[parts.is_source], parts.kin[parts.is_source], parts.n_kin, given)
        log_odds = np.log(p[:, 1:]) - np.log(p[:, :1])
        completeness = p[:, 1:] @ member
    rows_out = [(kin + 1, int(mask), log_odds[kin, i]) for kin in range(parts.n_kin) for i, mask in enumerate(masks)]
    with conn.cursor() as cursor:
        cursor.executemany(job("hypotheses.add_pattern_prior").compose(), rows_out)
    conn.execute("ANALYZE pg_temp.pattern_prior")
    return np.asarray(completeness)
