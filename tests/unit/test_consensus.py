"""The consensus of votes: against a slow implementation of its own, with hostile volunteers, and its choices."""

from __future__ import annotations

import math

import numpy as np
import pytest

from xcat.classifier.consensus import Consensus, Options, Votes, consensus, plurality, worth
from xcat.classifier.next_vote import Choice, Retirement, gold_share, information, is_retired, value
from xcat.columns.answers import ANSWERS
from xcat.simulate import volunteers

K, L = 3, 4


def drawn(seed: int = 1, n: int = 40, j: int = 5) -> tuple[Votes, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, K, n)
    known = np.where(rng.random(n) < 0.3, truth, -1)
    item, volunteer = (x.ravel() for x in np.meshgrid(np.arange(n), np.arange(j), indexing="ij"))
    keep = rng.random(item.size) < 0.6
    item, volunteer = item[keep], volunteer[keep]
    answer = np.where(rng.random(item.size) < 0.7, truth[item], rng.integers(0, L, item.size))
    return Votes(item, volunteer, answer, n, j, L), truth, known


def slow(votes: Votes, known: np.ndarray, options: Options, rounds: int) -> list[list[float]]:
    """The same in loops over votes, from the formulas of Dawid & Skene (1979)."""
    given = list(zip(votes.item.tolist(), votes.volunteer.tolist(), votes.answer.tolist(), strict=True))
    p = []
    for i in range(votes.n_items):
        counts = [1 / K + sum(1 for a, _, c in given if a == i and c == k) for k in range(K)]
        p.append([float(k == known[i]) for k in range(K)] if known[i] >= 0 else [c / sum(counts) for c in counts])
    for _ in range(rounds):
        counts = [[[0.0] * L for _ in range(K)] for _ in range(votes.n_volunteers)]
        for i, j, c in given:
            for k in range(K):
                counts[j][k][c] += p[i][k]
        matrix = [[[0.0] * L for _ in range(K)] for _ in range(votes.n_volunteers)]
        for k in range(K):
            together = [sum(m[k][c] for m in counts) + (options.diagonal if c == k else 1 / (L - 1)) for c in range(L)]
            for j in range(votes.n_volunteers):
                row = [counts[j][k][c] + options.strength * together[c] / sum(together) for c in range(L)]
                matrix[j][k] = [x / sum(row) for x in row]
        asked = {i for i, _, _ in given if known[i] < 0}
        totals = [1 + sum(p[i][k] for i in asked) for k in range(K)]
        for i in range(votes.n_items):
            if known[i] >= 0:
                continue
            new = [totals[k] / sum(totals) for k in range(K)]
            for a, j, c in given:
                if a == i:
                    new = [new[k] * matrix[j][k][c] for k in range(K)]
            p[i] = [x / sum(new) for x in new]
    return p


@pytest.mark.parametrize("with_known", [True, False])
def test_it_is_dawid_and_skene(with_known: bool) -> None:
    votes, _, known = drawn()
    known = known if with_known else np.full_like(known, -1)
    options = Options(tolerance=0.0, most_rounds=7)
    fast = consensus(votes, K, known, None, options)
    np.testing.assert_allclose(fast.p, slow(votes, known, options, 7), atol=1e-10)


def test_it_converges_is_normalised_and_is_the_same_again_in_any_order() -> None:
    votes, truth, known = drawn(2, 300, 8)
    first = consensus(votes, K, known)
    assert first.converged and first.n_rounds < 100
    np.testing.assert_allclose(first.p.sum(axis=1), 1)
    np.testing.assert_allclose(first.confusion.sum(axis=2), 1)
    assert (first.p[known >= 0].argmax(axis=1) == truth[known >= 0]).all()
    order = np.random.default_rng(0).permutation(votes.item.size)
    mixed = Votes(votes.item[order], votes.volunteer[order], votes.answer[order], 300, 8, L)
    np.testing.assert_allclose(consensus(mixed, K, known).p, first.p, atol=1e-9)
    assert (first.p.argmax(axis=1) == truth).mean() >= (plurality(votes, K) == truth).mean()


def test_what_cannot_be_is_refused_and_no_votes_are_no_error() -> None:
    none = np.zeros(0, int)
    empty = consensus(Votes(none, none, none, 2, 1, L), K, prior=np.array([[0.7, 0.2, 0.1]] * 2))
    np.testing.assert_allclose(empty.p, [[0.7, 0.2, 0.1]] * 2)
    zero = np.zeros(2, int)
    with pytest.raises(ValueError, match="voted twice"):
        consensus(Votes(zero, zero, zero, 1, 1, L), K)
    with pytest.raises(ValueError, match="number of answer is not among 0 to 3"):
        consensus(Votes(zero[:1], zero[:1], np.array([4]), 1, 1, L), K)
    with pytest.raises(ValueError, match="5 classes need"):
        consensus(Votes(none, none, none, 1, 1, L), 5)


def test_worth_of_a_vote() -> None:
    right, swapped, constant, guess = np.eye(2, 3), np.eye(2, 3)[::-1], np.zeros((2, 3)), np.full((2, 3), 1 / 3)
    constant[:, 0] = 1
    got = worth(np.stack([right, swapped, constant, guess]), np.array([0.5, 0.5]))
    np.testing.assert_allclose(got, [1, 1, 0, 0], atol=1e-9)


def crowd_votes(n_hostile: int, seed: int = 3) -> tuple[Consensus, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    n, n_known = 1500, 300
    truth = np.concatenate([rng.choice(4, n, p=[0.6, 0.25, 0.09, 0.06]), np.repeat(np.arange(4), n_known // 4)])
    hard = volunteers.difficulty(rng, truth.size)
    crowd = volunteers.Crowd.claxson(np.random.default_rng(9), np.array([0.6, 0.25, 0.09, 0.06]), n_hostile)
    asked = np.argsort(np.random.default_rng(4).random((truth.size, volunteers.N_VOLUNTEERS)), axis=1)[:, :9]
    answers = np.stack(
        [volunteers.answers(np.random.default_rng(j), crowd, j, truth, hard) for j in range(volunteers.N_VOLUNTEERS)]
    )
    item, volunteer = np.repeat(np.arange(truth.size), 9), asked.ravel()
    votes = Votes(item, volunteer, answers[volunteer, item], truth.size, volunteers.N_VOLUNTEERS, len(ANSWERS))
    known = np.where(np.arange(truth.size) < n, -1, truth)
    return consensus(votes, 6, known), truth[:n], plurality(votes, 6)[:n]


def test_hostile_volunteers_change_little_and_are_found_out() -> None:
    """Five of 46: one answer for all, guesses, the opposite, two classes swapped."""
    clean, truth, _ = crowd_votes(0)
    spoilt, _, most = crowd_votes(5)
    right, still = (c.p[: truth.size].argmax(axis=1) == truth for c in (clean, spoilt))
    assert right.mean() > 0.97 and abs(right.mean() - still.mean()) < 0.01
    assert still.mean() > (most == truth).mean()
    each = worth(spoilt.confusion, spoilt.shares)
    assert each[:2].max() < 0.1 < np.median(each[5:])
    assert spoilt.confusion[3, 0, 2] > 0.6, "who swaps two classes still tells them apart"


def test_what_is_asked_next() -> None:
    confusion = np.full((2, 3), 0.1) + 0.7 * np.eye(2, 3)
    sure, open_ = [0.999, 0.001], [0.5, 0.5]
    told = information(np.array([sure, open_]), confusion)
    by_hand = -sum(q * math.log(q) for q in (0.45, 0.45, 0.1)) + sum(q * math.log(q) for q in (0.8, 0.1, 0.1))
    assert told[0] < 0.01 and told[1] == pytest.approx(by_hand)
    rare = np.array([False, True])
    common, candidate = [0.7, 0.3], [0.3, 0.7]
    p = np.array([common, candidate])
    worth_asking = value(p, p, confusion, rare)
    assert worth_asking[1] > worth_asking[0]
    agree, differ = value(np.array([common] * 2), np.array([common, candidate]), confusion, ~rare & rare)
    assert differ > agree
    shares = [gold_share(n) for n in (0, 10, 100, 10_000)]
    assert shares == sorted(shares, reverse=True) and shares[-1] == pytest.approx(Choice().gold_last)
    p = np.array([[0.98, 0.02], [0.98, 0.02], [0.6, 0.4], [0.6, 0.4]])
    retired = is_retired(p, np.array([3, 1, 20, 19]), np.array([2.0, 0.3, 9, 9]), Retirement())
    assert retired.tolist() == [True, False, True, False]
