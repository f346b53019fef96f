"""Brute-force reference of the matching: every combination of candidates, written down from the formulas.

Slow and plain on purpose, and independent of the engine: no SQL, no index, no plane. Every error is a covariance in
three dimensions, made of the object's own east and north, and seen from the source; so it holds next to a pole.

References: Budavari & Szalay 2008, ApJ 679, 301 (Bayes factors); Salvato et al. 2018, MNRAS 473, 4937 (NWAY's priors);
Pineau et al. 2017, A&A 597, A89 (the order of the catalogues does not matter).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np

ARCSEC_PER_RADIAN = 206264.80624709636
SKY_DEG2 = 41252.96124941928


@dataclass(frozen=True)
class Objects:
    """Positions with errors; circular where `maj` is not given.

    Attributes
    ----------
    ra, dec : ndarray, shape (n,)
        Degrees.
    err : ndarray, shape (n,)
        1 sigma per axis, arcsec.
    maj, min, pa : ndarray, shape (n,), optional
        1 sigma along the axes (arcsec) and the direction of the major one, degrees east of north; NaN is circular.
    density_per_deg2 : float
        Of the catalogue.
    completeness : float
        Prior probability that a source is in the catalogue.
    bias : ndarray, shape (n,), optional
        What the magnitude says: ratio of the densities of counterparts and field, 1 where it says nothing.
    """

    ra: np.ndarray
    dec: np.ndarray
    err: np.ndarray
    maj: np.ndarray | None = None
    min: np.ndarray | None = None
    pa: np.ndarray | None = None
    density_per_deg2: float = 1.0
    completeness: float = 0.9
    bias: np.ndarray | None = None
    vectors: np.ndarray = field(init=False)
    covariances: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        ra, dec, err = (np.atleast_1d(np.asarray(x, dtype=float)) for x in (self.ra, self.dec, self.err))
        a, d = np.radians(ra), np.radians(dec)
        up = np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)], axis=1)
        east, north = directions(ra, dec)
        nan = np.full(ra.size, np.nan)
        maj, min_, pa = (nan if x is None else np.asarray(x, dtype=float) for x in (self.maj, self.min, self.pa))
        circular = np.isnan(maj)
        maj, min_ = np.where(circular, err, maj), np.where(circular, err, min_)
        angle = np.radians(np.where(circular, 0.0, pa))[:, None]
        along = np.cos(angle) * north + np.sin(angle) * east
        across = -np.sin(angle) * north + np.cos(angle) * east
        covariance = sum(
            (s**2)[:, None, None] * u[:, :, None] * u[:, None, :] for s, u in ((maj, along), (min_, across))
        )
        object.__setattr__(self, "vectors", up)
        object.__setattr__(self, "covariances", covariance)

    def __len__(self) -> int:
        return len(self.vectors)


@dataclass(frozen=True)
class Hypothesis:
    """One combination: an index into each catalogue, or None; `log_bayes` and `log_weight` are natural logarithms."""

    members: tuple[int | None, ...]
    log_bayes: float
    log_weight: float
    p_single: float
    p_i: float
    match_flag: int


@dataclass(frozen=True)
class Answer:
    """All combinations of one source, "none" first, then by probability."""

    hypotheses: list[Hypothesis]
    p_any: float

    def p_i(self) -> dict[tuple[int | None, ...], float]:
        """p_i by members, without the hypothesis of none."""
        return {h.members: h.p_i for h in self.hypotheses[1:]}


def directions(ra: np.ndarray, dec: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """East and north at positions, unit vectors of shape (n, 3)."""
    a, d = np.radians(ra), np.radians(dec)
    east = np.stack([-np.sin(a), np.cos(a), np.zeros_like(a)], axis=1)
    north = np.stack([-np.sin(d) * np.cos(a), -np.sin(d) * np.sin(a), np.cos(d)], axis=1)
    return east, north


def log_bayes_factor(members: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    """ln B of "all one object" against "none belongs to another", for any number of Gaussian positions.

    B = (4 pi)^(n-1) times the integral over the sky of the product of the n densities. With precisions P_i, their sum
    P and positions x_i about their weighted mean, the integral is exp(-sum x_i' P_i x_i / 2) sqrt(prod det P_i / det P)
    / (2 pi)^(n-1). Circles give the formula with the separations of all pairs.

    Parameters
    ----------
    members : sequence of (vector, covariance)
        Unit vectors, and covariances in three dimensions (arcsec^2).
    """
    origin = members[0][0]
    ra = np.degrees(np.arctan2(origin[1], origin[0]))
    dec = np.degrees(np.arctan2(origin[2], np.hypot(origin[0], origin[1])))
    east, north = directions(np.array([ra]), np.array([dec]))
    basis = np.concatenate([east, north])  # (2, 3)
    places, precisions = [], []
    for vector, covariance in members:
        flat = basis @ vector
        # as long as the arc, in the direction of the chord
        chord = np.linalg.norm(vector - origin)
        arc = 2 * np.arcsin(min(chord / 2, 1.0)) * ARCSEC_PER_RADIAN
        length = np.linalg.norm(flat)
        x = flat / length * arc if length > 0 else np.zeros(2)
        places.append(x)
        precisions.append(np.linalg.inv(basis @ covariance @ basis.T))
    n_more, total = len(members) - 1, np.sum(precisions, axis=0)
    mean = np.linalg.solve(total, sum(p @ x for p, x in zip(precisions, places, strict=True)))
    chi2 = sum(float((x - mean) @ p @ (x - mean)) for p, x in zip(precisions, places, strict=True))
    log_det = sum(float(np.linalg.slogdet(p)[1]) for p in precisions) - float(np.linalg.slogdet(total)[1])
    return n_more * (np.log(2) + 2 * np.log(ARCSEC_PER_RADIAN)) + 0.5 * log_det - 0.5 * chi2


def separations(objects: Objects, vector: np.ndarray) -> np.ndarray:
    """Great-circle distances in arcsec to one position."""
    cross = np.linalg.norm(np.cross(objects.vectors, vector), axis=1)
    return np.arctan2(cross, objects.vectors @ vector) * ARCSEC_PER_RADIAN


@dataclass(frozen=True)
class Shares:
    """How many objects are in several catalogues, by pattern (the numbers of the catalogues, from 0).

    Attributes
    ----------
    log_both : dict
        ln of the share of the objects of the pattern's first catalogue that are in the others too, over the product of
        the shares below.
    log_alone : dict
        ln of the product of the shares of each catalogue's objects that are in no other.
    """

    log_both: dict[tuple[int, ...], float]
    log_alone: dict[tuple[int, ...], float]


def match(
    source: Objects,
    catalogues: Sequence[Objects],
    radius_arcsec: float,
    *,
    nway: bool = False,
    shares: Shares | None = None,
    flag_ratio: float = 0.5,
) -> Answer:
    """All hypotheses of one source.

    Parameters
    ----------
    source : Objects
        One of them.
    catalogues : sequence of Objects
    radius_arcsec : float
        Candidates are within it, the edge included.
    nway : bool
        The prior of a member is c^(1/K) / nu for K catalogues, and "none" weighs 1, or, if objects of two catalogues
        and more are better explained as one without the source, as much as that. Otherwise a member's prior is c / nu,
        that of an absent one 1 - c, each catalogue for itself.
    shares : Shares, optional
        Count an object of several catalogues once; without, for each.
    flag_ratio : float
        Hypotheses better than this part of the best have flag 2.
    """
    own = (source.vectors[0], source.covariances[0])
    found = [[None, *np.flatnonzero(separations(c, own[0]) <= radius_arcsec).tolist()] for c in catalogues]
    n_catalogues, nu = len(catalogues), [c.density_per_deg2 * SKY_DEG2 for c in catalogues]
    rows, without = [], []
    for members in product(*found):
        present = [(k, i) for k, i in enumerate(members) if i is not None]
        positions = [(catalogues[k].vectors[i], catalogues[k].covariances[i]) for k, i in present]
        log_bayes = log_bayes_factor([own, *positions])
        log_prior = sum(
            np.log(catalogues[k].completeness ** (1 / n_catalogues if nway else 1) / nu[k]) for k, _ in present
        )
        if not nway:
            log_prior += sum(np.log1p(-c.completeness) for c, i in zip(catalogues, members, strict=True) if i is None)
        log_bias = sum(np.log(bias[i]) for k, i in present if (bias := catalogues[k].bias) is not None)
        several = len(present) > 1
        without.append(log_bayes_factor(positions) - sum(np.log(nu[k]) for k, _ in present[1:]) if several else -np.inf)
        odds = log_bayes + log_bias + log_prior - np.log(max(-np.expm1(log_prior), 1e-300))
        p_single = 1.0 / (1.0 + np.exp(min(-odds, 700.0))) if present else 1.0
        rows.append((members, log_bayes, log_prior + log_bias + log_bayes, p_single))
    if nway:
        rows[0] = (*rows[0][:2], max(0.0, *without), 1.0)
    if shares is not None:
        rows = [(*row[:2], row[2] - cost, row[3]) for row, cost in zip(rows, _once(rows, without, shares), strict=True)]
    log_weights = np.array([row[2] for row in rows])
    weights = np.exp(log_weights - log_weights.max())
    some = weights[1:].sum()
    shares = weights[1:] / some if some > 0 else np.zeros(len(rows) - 1)
    order = np.argsort(-shares, kind="stable")
    hypotheses = [Hypothesis(*rows[0], p_i=0.0, match_flag=0)]
    for rank, j in enumerate(order):
        flag = 1 if rank == 0 else 2 if shares[j] > flag_ratio * shares[order[0]] else 0
        hypotheses.append(Hypothesis(*rows[j + 1], p_i=float(shares[j]), match_flag=flag))
    return Answer(hypotheses, float(some / weights.sum()))


def _once(rows: list[tuple], without: list[float], shares: Shares) -> list[float]:
    """ln of what the weight of every combination is divided by.

    Chance offers the objects around as one of all their groupings; w is the weight of a combination being one object
    over its members being several, and all combinations that share a member with this one exclude it.
    """
    members = [tuple((k, i) for k, i in enumerate(row[0]) if i is not None) for row in rows]
    pattern = [tuple(k for k, _ in m) for m in members]
    one = [np.exp(b + shares.log_both[p]) if len(p) > 1 else 0.0 for p, b in zip(pattern, without, strict=True)]
    touched: dict[tuple[int, int], float] = {}
    for w, m in zip(one, members, strict=True):
        for member in m:
            touched[member] = touched.get(member, 0.0) + w
    costs = [0.0]
    for w, m, p in zip(one[1:], members[1:], pattern[1:], strict=True):
        around = sum(touched[member] for member in m) - (len(m) - 1) * w
        costs.append(shares.log_alone[p] + np.log1p(max(around, w)))
    return costs
