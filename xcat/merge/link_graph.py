"""Which sources of several missions are one: rules and graphs over whole columns, without the database.

The rules are those of STONKS (Quintin et al. 2024, A&A 687, A250), with these choices:

- Two sources may be one within the 99.73 % radii of their errors ("3 sigma" in one dimension): sqrt(-2 ln 0.0027) =
  3.44 of xcat's errors per axis (Rayleigh), and 1 arcsec at least.
- The weight of a pair is the Bayes factor as published. STONKS's program has psi^2 without the half in the exponent,
  and divides the error of a new detection by 3 once more; neither is copied.
- STONKS prefers XMM sources where two missions compete. Here no mission is preferred: an undecided source goes to the
  candidate that is linked to it through a third mission.
- Nothing is guessed. A source that is undecided between two candidates keeps only links that are more likely than
  those candidates by the same factor 5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xcat.arrays import BoolArray, FloatArray, IntArray, components

#: Radius that holds 99.73 % of a Gaussian on the sky, in per-axis sigmas.
REACH_SIGMA = math.sqrt(-2 * math.log(0.0027))
#: Smallest distance that counts against one source, however small the errors: the frames of missions differ by as much.
MIN_REACH_ARCSEC = 1.0
#: Largest separation of a pair, whatever the errors.
MAX_SEP_ARCSEC = 20.0
#: A candidate is better than another if its Bayes factor is larger by more than this.
ODDS = 5.0

PAIR_STATUS = ("accepted", "ambiguous", "rejected")
SOURCE_STATUS = ("single", "linked", "ambiguous")
REASONS = (
    "only candidate",
    "best by more than 5",
    "settled by a third mission",
    "two as likely",
    "an end is undecided",
    "two sources of one mission",
    "ends that disagree",
    "another is better by more than 5",
    "weakest link of a chain",
)
_ONLY, _BEST, _SETTLED, _TWO, _UNDECIDED, _ONE_MISSION, _DISAGREE, _BETTER, _WEAKEST = range(len(REASONS))
_ACCEPTED, _AMBIGUOUS, _REJECTED = range(len(PAIR_STATUS))
_SINGLE, _LINKED, _UNSURE = range(len(SOURCE_STATUS))
_LOG_ODDS = math.log(ODDS)


@dataclass(frozen=True)
class Decision:
    """Status of pairs, shape (n_pairs,), and sources, shape (n_sources,)."""

    pair_status: IntArray  #: index into `PAIR_STATUS`
    reason: IntArray  #: index into `REASONS`
    component: IntArray  #: number of the master source, from 0 in the order of its first source
    #: Index into `SOURCE_STATUS`. A source without links that is an end of an ambiguous pair is ambiguous.
    source_status: IntArray


def log_bayes_factor(sep_arcsec: FloatArray, err1_arcsec: FloatArray, err2_arcsec: FloatArray) -> FloatArray:
    """Natural log of the Bayes factor of one source against two, from positions alone.

    B = 2 / (s1^2 + s2^2) exp(-psi^2 / 2(s1^2 + s2^2)) in radians, of the separation psi and 1-sigma errors per axis, of
    shape (n_pairs,): Budavari & Szalay 2008, ApJ 679, 301.
    """
    variance = err1_arcsec**2 + err2_arcsec**2
    return np.log(2 / (variance * math.radians(1 / 3600) ** 2)) - sep_arcsec**2 / (2 * variance)


def decide(mission: IntArray, a: IntArray, b: IntArray, log_bf: FloatArray) -> Decision:
    """Decide which pairs are one source.

    Parameters
    ----------
    mission : ndarray of int, shape (n_sources,)
    a, b : ndarray of int, shape (n_pairs,)
        The two ends of every candidate pair, as indices of sources; of different missions, each pair once.
    log_bf : ndarray, shape (n_pairs,)
        Log Bayes factor of each pair.

    Notes
    -----
    1. A pair is rejected if an end has a candidate in the same mission that is better by more than `ODDS`.
    2. A pair that is then the only one on both sides is accepted.
    3. Accepted pairs make components. A component is sound if all its members are candidates of each other, so that it
       has no two sources of one mission and no ends that are too far apart. An unsound one is cut at its weakest link,
       if that is the weakest by more than `ODDS` and the pieces are sound; else it is dissolved.
    4. If several pairs of a source are left in a mission, one within the component of the source decides. Else the
       source is undecided, and loses every link that is not more likely by `ODDS` than those pairs.
    """
    n = len(mission)
    # both ends of every pair, grouped with its rivals: the pairs of the same source with the same mission
    end = np.concatenate([a, b])
    kinds, kind = np.unique(mission, return_inverse=True)
    _, group = np.unique(end * len(kinds) + np.concatenate([kind[b], kind[a]]), return_inverse=True)
    group_a, group_b = np.split(group, 2)
    n_groups = int(group.max(initial=-1)) + 1

    def of_group(pairs: BoolArray) -> IntArray:
        return np.bincount(group_a[pairs], minlength=n_groups) + np.bincount(group_b[pairs], minlength=n_groups)

    best = np.full(n_groups, -np.inf)
    np.maximum.at(best, group_a, log_bf)
    np.maximum.at(best, group_b, log_bf)
    alive = log_bf + _LOG_ODDS >= np.maximum(best[group_a], best[group_b])
    n_all, n_alive = of_group(np.ones(len(a), bool)), of_group(alive)
    reason = np.where(alive, _TWO, _BETTER)
    accepted = alive & (n_alive[group_a] == 1) & (n_alive[group_b] == 1)
    alone = (n_all[group_a] == 1) & (n_all[group_b] == 1)
    reason[accepted] = np.where(alone[accepted], _ONLY, _BEST)

    accepted, cut, unsound = _make_sound(mission, a, b, log_bf, alive, accepted)
    reason[cut] = _WEAKEST
    label = components(n, a[accepted], b[accepted])
    while True:
        same = alive & (label[a] == label[b])
        settled = of_group(same) > 0
        elsewhere = alive & ~same & (settled[group_a] | settled[group_b])
        open_ = alive & ~same & ~elsewhere
        doubt = np.full(n, -np.inf)
        for ends, groups in ((a, group_a), (b, group_b)):
            undecided = open_ & (n_alive[groups] > 1)
            np.maximum.at(doubt, ends[undecided], log_bf[undecided])
        withdrawn = accepted & (log_bf <= np.maximum(doubt[a], doubt[b]) + _LOG_ODDS)
        if not withdrawn.any():
            break
        reason[withdrawn] = _UNDECIDED
        accepted &= ~withdrawn
        label = components(n, a[accepted], b[accepted])

    reason[(same & ~accepted) | elsewhere] = _SETTLED
    for which, code in unsound:
        reason[which] = code
    out = ~alive | cut | elsewhere
    status = np.where(same, _ACCEPTED, np.where(out, _REJECTED, _AMBIGUOUS))
    in_doubt = np.zeros(n, bool)
    in_doubt[a[status == _AMBIGUOUS]] = in_doubt[b[status == _AMBIGUOUS]] = True
    several = np.bincount(label, minlength=1)[label] > 1
    source_status = np.where(several, _LINKED, np.where(in_doubt, _UNSURE, _SINGLE))
    return Decision(status, reason, label, source_status)


def _make_sound(
    mission: IntArray, a: IntArray, b: IntArray, log_bf: FloatArray, alive: BoolArray, accepted: BoolArray
) -> tuple[BoolArray, BoolArray, list[tuple[BoolArray, int]]]:
    """Cut or dissolve unsound components: links kept, links cut, and those of dissolved components by reason."""
    n = len(mission)

    def unsound_components(links: BoolArray) -> tuple[IntArray, BoolArray]:
        label = components(n, a[links], b[links])
        size = np.bincount(label, minlength=1)
        inside = alive & (label[a] == label[b])
        return label, np.bincount(label[a[inside]], minlength=len(size)) != size * (size - 1) // 2

    label, bad = unsound_components(accepted)
    link = np.flatnonzero(accepted & bad[label[a]])
    link = link[np.lexsort((log_bf[link], label[a[link]]))]
    # an unsound component has two links at least, so that the second weakest follows the weakest
    first = np.flatnonzero(np.diff(label[a[link]], prepend=-1))
    weakest = link[first[log_bf[link[first + 1]] - log_bf[link[first]] > _LOG_ODDS]] if len(link) else link
    cut = np.zeros(len(a), bool)
    cut[weakest] = True
    after, still_bad = unsound_components(accepted & ~cut)
    hopeless = np.zeros(len(bad), bool)
    hopeless[label[still_bad[after]]] = True
    dissolved = accepted & hopeless[label[a]]
    # sorted by component and mission, a repeated pair of both means two sources of one mission
    order = np.lexsort((mission, label))
    repeated = (np.diff(label[order]) == 0) & (np.diff(mission[order]) == 0)
    has_two = np.zeros(len(bad), bool)
    has_two[label[order][1:][repeated]] = True
    twice = has_two[label[a]]
    return (
        accepted & ~cut & ~dissolved,
        cut & ~dissolved,
        [(dissolved & twice, _ONE_MISSION), (dissolved & ~twice, _DISAGREE)],
    )


def mission_ranks(component: IntArray, err_arcsec: FloatArray, snr: FloatArray) -> IntArray:
    """Rank the sources of every master source, best measured first.

    The smallest positional error comes first: it is the one measure that every mission has in the same unit, and it
    decides whether the counterparts, on which most of the evidence rests, are the right ones. Of equal errors the
    higher S/N comes first, then the order of the arrays.

    Parameters
    ----------
    component : ndarray of int, shape (n_sources,)
        Number of the master source of each source.
    err_arcsec, snr : ndarray, shape (n_sources,)
        Positional error (1 sigma per axis) and signal-to-noise ratio, negative where it is unknown.

    Returns
    -------
    ndarray of int, shape (n_sources,)
        Rank of each source within its master source, from 1.
    """
    order = np.lexsort((-snr, err_arcsec, component))
    first = np.flatnonzero(np.diff(component[order], prepend=-1))
    size = np.diff(np.append(first, len(order)))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order)) - np.repeat(first, size) + 1
    return rank


def keep_ids(component: IntArray, old_id: IntArray, n_components: int) -> IntArray:
    """Give components their old numbers.

    Parameters
    ----------
    component, old_id : ndarray of int, shape (n_shared,)
        Component and previous master source of each source that is in both runs.

    Returns
    -------
    ndarray of int, shape (n_components,)
        The old number, or -1. Each old number is given once: to the component that shares most sources with it; of
        equal ones the lowest number goes first, then the component whose first source is the oldest.
    """
    kept = np.full(n_components, -1, np.int64)
    pairs, shared = np.unique(np.stack([component, old_id]), axis=1, return_counts=True)
    order = np.lexsort((pairs[0], pairs[1], -shared))
    new, old = pairs[:, order]
    while len(new):
        # pairs that are first for both sides are final; the others are compared again
        first_new, first_old = (np.unique(side, return_index=True)[1] for side in (new, old))
        fixed = np.intersect1d(first_new, first_old)
        kept[new[fixed]] = old[fixed]
        rest = ~np.isin(new, new[fixed]) & ~np.isin(old, old[fixed])
        new, old = new[rest], old[rest]
    return kept


def changes(
    old_source: IntArray,
    old_master: IntArray,
    old_status: IntArray,
    new_source: IntArray,
    new_master: IntArray,
    new_status: IntArray,
) -> tuple[IntArray, IntArray, IntArray, npt.NDArray[np.bytes_]]:
    """Find the sources whose membership changed, from the membership before and now, each source once.

    Returns
    -------
    source, old_master, new_master : ndarray of int
        One entry per change, ordered by source; -1 for no master source.
    change : ndarray of bytes
        ``new``, ``gone``, ``moved`` or ``marked`` (same master source, another status).
    """
    source = np.union1d(old_source, new_source)
    before, now = (np.full((2, len(source)), -1, np.int64) for _ in range(2))
    before[:, np.searchsorted(source, old_source)] = old_master, old_status
    now[:, np.searchsorted(source, new_source)] = new_master, new_status
    cases = [before[0] < 0, now[0] < 0, before[0] != now[0], before[1] != now[1]]
    change = np.select(cases, [b"new", b"gone", b"moved", b"marked"], b"")
    differs = change != b""
    return source[differs], before[0][differs], now[0][differs], change[differs]
