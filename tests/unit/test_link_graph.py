"""The rules by which sources of several missions are one, each by hand, and what must hold for any graph."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xcat.merge import link_graph as graph
from xcat.merge.link_graph import Decision

FIVE = math.log(5)


def _decide(
    missions: str, pairs: dict[str, float]
) -> tuple[Decision, dict[str, tuple[str, str]], list[str], list[str]]:
    """Sources are letters of `missions` with a number: "XXC" has x0, x1 and c2; pairs are "x0 c2": log Bayes factor."""
    ends = [[int(word[1:]) for word in pair.split()] for pair in pairs]
    a, b = np.array(ends, np.int64).reshape(-1, 2).T
    mission = np.array([ord(m) for m in missions], np.int64)
    assert (mission[a] != mission[b]).all()
    found = graph.decide(mission, a, b, np.array(list(pairs.values()), float))
    told = {
        pair: (graph.PAIR_STATUS[s], graph.REASONS[r])
        for pair, s, r in zip(pairs, found.pair_status, found.reason, strict=True)
    }
    statuses = [graph.SOURCE_STATUS[s] for s in found.source_status]
    return found, told, statuses, ["".join(map(str, np.flatnonzero(found.component == c))) for c in found.component]


def test_the_reach_holds_as_much_as_three_sigmas_of_one_dimension() -> None:
    assert 1 - math.exp(-(graph.REACH_SIGMA**2) / 2) == pytest.approx(math.erf(3 / math.sqrt(2)), abs=1e-5)


def test_the_bayes_factor_by_hand() -> None:
    """2 / (s1^2 + s2^2) exp(-psi^2 / 2(s1^2 + s2^2)), all in radians."""
    s1, s2, psi = (math.radians(x / 3600) for x in (0.5, 2.0, 3.0))
    expected = math.log(2 / (s1**2 + s2**2) * math.exp(-(psi**2) / (2 * (s1**2 + s2**2))))
    found = graph.log_bayes_factor(np.array([3.0]), np.array([0.5]), np.array([2.0]))
    assert found == pytest.approx([expected], rel=1e-12)


def test_a_pair_that_is_unique_on_both_sides_is_one_source() -> None:
    _, told, status, master = _decide("XCX", {"x0 c1": 20})
    assert told == {"x0 c1": ("accepted", "only candidate")}
    assert (status, master) == (["linked", "linked", "single"], ["01", "01", "2"])


@pytest.mark.parametrize(("ratio", "clear"), [(5.01, True), (4.99, False), (1.0, False)])
def test_of_two_candidates_one_must_be_better_by_more_than_five(ratio: float, clear: bool) -> None:
    _, told, status, master = _decide("XCC", {"x0 c1": 20, "x0 c2": 20 - math.log(ratio)})
    if clear:
        assert told == {
            "x0 c1": ("accepted", "best by more than 5"),
            "x0 c2": ("rejected", "another is better by more than 5"),
        }
        assert (status, master) == (["linked", "linked", "single"], ["01", "01", "2"])
    else:
        assert set(told.values()) == {("ambiguous", "two as likely")}
        assert (status, master) == (["ambiguous"] * 3, ["0", "1", "2"])


def test_the_choice_must_be_mutual() -> None:
    """x0 has no candidate but c1, which is far more likely x2."""
    _, told, status, _ = _decide("XCX", {"x0 c1": 15, "x2 c1": 20})
    assert told["x0 c1"] == ("rejected", "another is better by more than 5")
    assert status == ["single", "linked", "linked"]


def test_a_third_mission_settles_what_two_leave_open() -> None:
    """The rule that STONKS keeps for XMM: of r0's two Chandra candidates only one is the XMM source that r0 is."""
    pairs = {"r0 c1": 15.0, "r0 c2": 15.0, "r0 x3": 17.0, "x3 c1": 22.0}
    _, told, status, master = _decide("RCCX", pairs)
    assert told["r0 c1"] == ("accepted", "settled by a third mission")
    assert told["r0 c2"] == ("rejected", "settled by a third mission")
    assert (status, master) == (["linked", "linked", "single", "linked"], ["013", "013", "2", "013"])


def test_an_undecided_source_keeps_only_what_is_more_likely_than_its_doubt() -> None:
    """r0 and e3 are both poor; c1 and c2 may be either. c1 is x4 without doubt, whatever r0 is."""
    doubt = {"r0 c1": 15.0, "r0 c2": 15.0, "r0 e3": 15.0 + FIVE, "x4 c1": 22.0}
    _, told, status, master = _decide("RCCEX", doubt)
    assert told["r0 e3"] == ("ambiguous", "an end is undecided")
    assert told["r0 c1"] == told["r0 c2"] == ("ambiguous", "two as likely")
    assert told["x4 c1"] == ("accepted", "only candidate")
    assert (status, master[1]) == (["ambiguous", "linked", "ambiguous", "ambiguous", "linked"], "14")
    _, told, status, master = _decide("RCCEX", doubt | {"r0 e3": 15.1 + FIVE})
    assert told["r0 e3"] == ("accepted", "only candidate")
    assert (status[0], master[0]) == ("linked", "03")


def test_doubt_about_a_source_is_not_doubt_of_that_source() -> None:
    """r0 may be c1 or c2; c1 itself has one candidate in each mission, and is e3, be it only just as likely."""
    _, told, status, master = _decide("RCCE", {"r0 c1": 15.0, "r0 c2": 15.0, "c1 e3": 15.5})
    assert told["c1 e3"] == ("accepted", "only candidate")
    assert (status, master[1]) == (["ambiguous", "linked", "ambiguous", "linked"], "13")


def test_a_better_candidate_elsewhere_speaks_against_a_component() -> None:
    """x4 ties a0 to b2, but a0 is far more likely b3, for which a1 is as good."""
    pairs = {"a0 b3": 20.0, "a1 b3": 20.0, "a0 b2": 15.0, "a0 x4": 20.0, "b2 x4": 20.0}
    _, told, status, _ = _decide("AABBX", pairs)
    assert told["a0 x4"] == told["b2 x4"] == ("ambiguous", "ends that disagree")
    assert told["a0 b2"] == ("rejected", "another is better by more than 5")
    assert status == ["ambiguous"] * 5


def test_a_chain_whose_ends_disagree_is_cut_where_it_is_weakest() -> None:
    _, told, status, master = _decide("RXC", {"r0 x1": 15.0, "x1 c2": 15.1 + FIVE})
    assert told["r0 x1"] == ("rejected", "weakest link of a chain")
    assert (status, master) == (["single", "linked", "linked"], ["0", "12", "12"])


def test_a_chain_without_a_weakest_link_is_ambiguous_as_a_whole() -> None:
    _, told, status, master = _decide("RXC", {"r0 x1": 15.0, "x1 c2": 14.9 + FIVE})
    assert set(told.values()) == {("ambiguous", "ends that disagree")}
    assert (status, master) == (["ambiguous"] * 3, ["0", "1", "2"])


def test_a_chain_that_one_cut_does_not_mend_is_ambiguous_as_a_whole() -> None:
    """Four missions in a row, neighbours only: whichever link is cut, one part is still a chain."""
    _, told, status, _ = _decide("RXCE", {"r0 x1": 10, "x1 c2": 15, "c2 e3": 20})
    assert set(told.values()) == {("ambiguous", "ends that disagree")}
    assert status == ["ambiguous"] * 4


def test_two_sources_of_one_mission_are_never_one() -> None:
    pairs = {"c0 x1": 20.0, "x1 r2": 19.0, "r2 c3": 19.5}
    _, told, status, master = _decide("CXRC", pairs)
    assert set(told.values()) == {("ambiguous", "two sources of one mission")}
    assert (status, master) == (["ambiguous"] * 4, ["0", "1", "2", "3"])
    _, told, status, master = _decide("CXRC", pairs | {"x1 r2": 15.0})
    assert told["x1 r2"] == ("rejected", "weakest link of a chain")
    assert (status, master) == (["linked"] * 4, ["01", "01", "23", "23"])


def test_three_that_agree_are_one() -> None:
    _, told, _, master = _decide("RXC", {"r0 x1": 15.0, "x1 c2": 20.0, "r0 c2": 16.0})
    assert set(told.values()) == {("accepted", "only candidate")}
    assert master == ["012"] * 3


def test_nothing_makes_nothing() -> None:
    none = np.zeros(0, np.int64)
    found = graph.decide(none, none, none, np.zeros(0))
    assert len(found.component) == len(found.pair_status) == 0
    found = graph.decide(np.array([1, 2]), none, none, np.zeros(0))
    assert found.component.tolist() == [0, 1]


# --- any graph ----------------------------------------------------------------------------------------------


@st.composite
def skies(draw: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Missions of some sources, and some of the pairs across missions with weights that often tie or nearly so."""
    n = draw(st.integers(2, 9))
    mission = np.array(draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)))
    possible = [(i, j) for i in range(n) for j in range(i + 1, n) if mission[i] != mission[j]]
    pairs = draw(st.lists(st.sampled_from(possible), unique=True, max_size=14)) if possible else []
    weight = st.sampled_from([10.0, 11.0, 12.0, 13.0, 15.0, 17.0])
    a, b = np.array(pairs, np.int64).reshape(-1, 2).T
    return mission, a, b, np.array(draw(st.lists(weight, min_size=len(pairs), max_size=len(pairs))))


@given(sky=skies())
def test_what_holds_for_any_graph(sky: Any) -> None:
    mission, a, b, _ = sky
    found = graph.decide(*sky)
    status = np.array(graph.PAIR_STATUS)[found.pair_status]
    # a pair is accepted exactly where its ends are one source and no better candidate speaks against it
    assert not ((status == "accepted") & (found.component[a] != found.component[b])).any()
    assert not ((status != "accepted") & (found.component[a] == found.component[b])).any()
    accepted = {(i, j) for i, j, s in zip(a.tolist(), b.tolist(), status, strict=True) if s == "accepted"}
    for c in range(found.component.max() + 1):
        members = np.flatnonzero(found.component == c).tolist()
        assert len(set(mission[members].tolist())) == len(members)
        assert all((i, j) in accepted for i in members for j in members if i < j)
    for source, told in enumerate(found.source_status):
        alone = (found.component == found.component[source]).sum() == 1
        doubtful = ((status == "ambiguous") & ((a == source) | (b == source))).any()
        expected = "linked" if not alone else "ambiguous" if doubtful else "single"
        assert graph.SOURCE_STATUS[told] == expected


@given(sky=skies(), seed=st.integers(0, 99))
def test_the_order_of_the_pairs_and_of_their_ends_does_not_matter(sky: Any, seed: int) -> None:
    mission, a, b, weight = sky
    rng = np.random.default_rng(seed)
    order, turned = rng.permutation(len(a)), rng.random(len(a)) < 0.5
    first = graph.decide(*sky)
    second = graph.decide(mission, np.where(turned, b, a)[order], np.where(turned, a, b)[order], weight[order])
    assert (first.component == second.component).all()
    assert (first.source_status == second.source_status).all()
    assert (first.pair_status[order] == second.pair_status).all()
    assert (first.reason[order] == second.reason).all()


# --- numbers that stay --------------------------------------------------------------------------------------


def _kept_one_by_one(component: list[int], old: list[int], n: int) -> list[int]:
    """The rule as it is told: most shared sources first, then the lowest old number, then the lowest component."""
    kept = [-1] * n
    both = list(zip(component, old, strict=True))
    for c, number in sorted(set(both), key=lambda pair: (-both.count(pair), pair[1], pair[0])):
        if kept[c] < 0 and number not in kept:
            kept[c] = number
    return kept


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(10, 15)), max_size=30))
def test_a_master_keeps_the_number_with_which_it_shares_most(members: list[tuple[int, int]]) -> None:
    component, old = np.array(members, np.int64).reshape(-1, 2).T
    assert graph.keep_ids(component, old, 6).tolist() == _kept_one_by_one(component.tolist(), old.tolist(), 6)


def test_merged_and_split_masters_by_hand() -> None:
    # 7 and 8 become one: three of 8's sources decide; 9 is split in equal parts: the first part keeps it
    component = np.array([0, 0, 0, 0, 1, 2])
    assert graph.keep_ids(component, np.array([7, 8, 8, 8, 9, 9]), 4).tolist() == [8, 9, -1, -1]
    assert graph.keep_ids(np.array([0, 0]), np.array([8, 7]), 1).tolist() == [7]


MEMBERSHIP = st.dictionaries(st.integers(1, 12), st.tuples(st.integers(1, 6), st.integers(0, 2)))


@given(before=MEMBERSHIP, now=MEMBERSHIP)
def test_the_changes_lead_from_the_old_membership_to_the_new(before: Any, now: Any) -> None:
    arrays = [np.array([(s, *m[s]) for s in sorted(m)], np.int64).reshape(-1, 3).T for m in (before, now)]
    changed = list(zip(*(x.tolist() for x in graph.changes(*arrays[0], *arrays[1])), strict=True))
    state = {source: master for source, (master, _) in before.items()}
    for source, old, new, change in changed:
        assert state.get(source, -1) == old
        if new < 0:
            assert change == b"gone"
            del state[source]
        else:
            assert change == (b"new" if old < 0 else b"moved" if old != new else b"marked")
            state[source] = new
    assert state == {source: master for source, (master, _) in now.items()}
    marked = {s for s in before.keys() & now.keys() if before[s][0] == now[s][0] and before[s][1] != now[s][1]}
    assert {source for source, *_, change in changed if change == b"marked"} == marked


def test_the_best_measured_source_of_each_master_comes_first() -> None:
    """The smallest error, of equal ones the highest S/N, of equals the first; an unknown S/N comes last."""
    component = np.array([1, 0, 1, 0, 1, 2, 0, 3, 3])
    err = np.array([2.0, 1.0, 0.5, 1.0, 0.5, 9.0, 1.0, 1.0, 1.0])
    snr = np.array([99.0, 5.0, 3.0, 7.0, 4.0, -1.0, -1.0, 6.0, 6.0])
    assert graph.mission_ranks(component, err, snr).tolist() == [3, 2, 2, 1, 1, 1, 3, 1, 2]
    nothing = np.empty(0)
    assert len(graph.mission_ranks(np.empty(0, np.int64), nothing, nothing)) == 0
