"""Which object a volunteer is shown next, and which have votes enough."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xcat.arrays import BoolArray, FloatArray, IntArray

_FLOOR = 1e-12


@dataclass(frozen=True)
class Choice:
    """What makes an object worth a vote.

    Attributes
    ----------
    rare : float
        Nats added for an object that certainly belongs to a rare class.
    disagreement : float
        Nats added for one of whose class the votes and our posterior certainly disagree.
    gold_first, gold_last : float
        Share of known objects among those shown, for the first vote and after many.
    gold_votes : float
        Votes after which the difference has fallen by a factor e.
    """

    rare: float = 0.3
    disagreement: float = 0.2
    gold_first: float = 0.3
    gold_last: float = 0.08
    gold_votes: float = 60.0


@dataclass(frozen=True)
class Retirement:
    """When an object is settled, and when it has votes enough.

    Attributes
    ----------
    p : float
        Posterior of its best class, at least.
    n_effective : float
        Effective votes, at least.
    most_votes : int
        With so many it retires, settled or not.
    """

    p: float = 0.97
    n_effective: float = 0.9
    most_votes: int = 20


def information(p: FloatArray, confusion: FloatArray) -> FloatArray:
    """What one more vote is expected to tell of each object, in nats, (N,).

    Parameters
    ----------
    p : ndarray, (N, K)
        Posterior of the classes now.
    confusion : ndarray, (K, L)
        Of the volunteer, or the mean of all.

    Notes
    -----
    The mutual information of class and answer: entropy of the answer, less its mean entropy given the class.
    """
    answers = p @ confusion
    return np.asarray(_entropy(answers) - p @ _entropy(confusion))


def _entropy(p: FloatArray) -> FloatArray:
    return np.asarray(-(p * np.log(np.maximum(p, _FLOOR))).sum(axis=-1))


def value(
    p: FloatArray, ours: FloatArray, confusion: FloatArray, is_rare: BoolArray, choice: Choice | None = None
) -> FloatArray:
    """How much a vote on each object is worth, (N,).

    Parameters
    ----------
    p, ours : ndarray, (N, K)
        Posterior by votes, and our own without them.
    confusion : ndarray, (K, L)
    is_rare : ndarray of bool, (K,)
        Classes whose candidates come first.
    """
    choice = choice or Choice()
    rare = np.maximum(p, ours)[:, is_rare].sum(axis=1).clip(max=1.0)
    apart = 1.0 - (p * ours).sum(axis=1)
    open_ = _entropy(p)  # an object that is settled is worth nothing, however rare
    return np.asarray(information(p, confusion) + open_ * (choice.rare * rare + choice.disagreement * apart))


def gold_share(n_votes: float, choice: Choice | None = None) -> float:
    """Share of known objects that a volunteer with so many votes is shown among the unknown ones."""
    choice = choice or Choice()
    return float(choice.gold_last + (choice.gold_first - choice.gold_last) * np.exp(-n_votes / choice.gold_votes))


def is_settled(p: FloatArray, n_effective: FloatArray, rule: Retirement | None = None) -> BoolArray:
    """Whether the class of each object is certain enough, (N,); in the single precision in which a run keeps it."""
    rule, single = rule or Retirement(), np.float32
    certain = p.max(axis=1, initial=0.0).astype(single) >= single(rule.p)
    return np.asarray(certain & (n_effective.astype(single) >= single(rule.n_effective)))


def is_retired(p: FloatArray, n_votes: IntArray, n_effective: FloatArray, rule: Retirement | None = None) -> BoolArray:
    """Whether each object needs no more votes, (N,): its class is settled, or it has had its share of votes."""
    rule = rule or Retirement()
    return np.asarray(is_settled(p, n_effective, rule) | (n_votes >= rule.most_votes))
