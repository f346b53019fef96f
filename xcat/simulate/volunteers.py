"""Volunteers who were never born: as many and as skilled as those of CLAXSON, and some who mean harm.

Known of CLAXSON (Tranin et al., poster): 46 people gave about 40,000 answers with a mean rate of success of 82 %; most
answers come from a few of them. Assumed here: how success depends on the class (AGN and stars are told by everyone,
X-ray binaries and cataclysmic variables are taken for AGN), and how much it scatters among people and objects.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from xcat.arrays import FloatArray, IntArray
from xcat.columns.answers import ANSWERS

N_VOLUNTEERS = 46
MEAN_SUCCESS = 0.82
Hostility = Literal["constant", "random", "opposite", "swapped"]
HOSTILITIES: tuple[Hostility, ...] = ("constant", "random", "opposite", "swapped")

# log-odds of the right answer, relative to a volunteer's own; a scatter of people, and of objects
_EASE = np.array([0.2, 0.6, -1.3, -1.1, -0.5, 0.9])
_SCATTER_VOLUNTEER, _SCATTER_CLASS, _SCATTER_OBJECT = 0.6, 0.6, 0.5
# what is answered in place of the right class: rows as the truth, columns as the answers
_INSTEAD = np.array(
    [
        [0.00, 0.18, 0.34, 0.12, 0.14, 0.02, 0.20],
        [0.45, 0.00, 0.08, 0.14, 0.11, 0.02, 0.20],
        [0.62, 0.05, 0.00, 0.12, 0.06, 0.01, 0.14],
        [0.40, 0.20, 0.18, 0.00, 0.08, 0.01, 0.13],
        [0.40, 0.15, 0.12, 0.06, 0.00, 0.05, 0.22],
        [0.30, 0.05, 0.05, 0.02, 0.28, 0.00, 0.30],
    ]
)


@dataclass(frozen=True)
class Crowd:
    """Volunteers.

    Attributes
    ----------
    ease : ndarray, (J, K)
        Log-odds of the right answer for an object of usual difficulty, by class.
    activity : ndarray, (J,)
        Share of all votes that each gives.
    hostility : tuple of str
        Of each volunteer; empty for who means well.
    """

    ease: FloatArray
    activity: FloatArray
    hostility: tuple[str, ...]

    @classmethod
    def claxson(cls, rng: np.random.Generator, shares: FloatArray, n_hostile: int = 0) -> Crowd:
        """Draw 46 volunteers whose mean rate of success is that of CLAXSON for these shares of the classes.

        Parameters
        ----------
        shares : ndarray, (K,)
            Of the classes among the objects shown.
        n_hostile : int
            The first ones, in turn, always give one answer, guess, say what they do not see, or swap two classes.
        """
        k = len(shares)
        skill = _SCATTER_VOLUNTEER * rng.standard_normal((N_VOLUNTEERS, 1))
        offsets = skill + _SCATTER_CLASS * rng.standard_normal((N_VOLUNTEERS, k)) + _EASE[:k]
        nodes = _SCATTER_OBJECT * np.linspace(-3, 3, 61)
        weights = np.exp(-0.5 * (nodes / _SCATTER_OBJECT) ** 2)
        weights /= weights.sum()

        def success(mean: float) -> float:
            odds = 1 / (1 + np.exp(-(offsets[..., None] + mean + nodes)))
            return float((odds @ weights @ shares).mean())

        low, high = -5.0, 10.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if success(middle) < MEAN_SUCCESS else (low, middle)
        activity = rng.permutation(1.0 / np.arange(1, N_VOLUNTEERS + 1) ** 0.8)
        hostility = [HOSTILITIES[i % len(HOSTILITIES)] if i < n_hostile else "" for i in range(N_VOLUNTEERS)]
        return cls(offsets + (low + high) / 2, activity / activity.sum(), tuple(hostility))


def difficulty(rng: np.random.Generator, n: int) -> FloatArray:
    """How much harder than usual each object is, in log-odds: errors of volunteers are then not independent, (N,)."""
    return _SCATTER_OBJECT * rng.standard_normal(n)


def answers(rng: np.random.Generator, crowd: Crowd, volunteer: int, truth: IntArray, hard: FloatArray) -> IntArray:
    """What one volunteer answers to some objects, as places in `ANSWERS`, (N,).

    Parameters
    ----------
    truth : ndarray of int, (N,)
    hard : ndarray, (N,)
        Their `difficulty`.
    """
    n, n_answers = len(truth), len(ANSWERS)
    p_right = 1 / (1 + np.exp(-(crowd.ease[volunteer, truth] - hard)))
    steps = np.cumsum(_INSTEAD[truth], axis=1)
    wrong = (rng.random((n, 1)) * steps[:, -1:] > steps).sum(axis=1).clip(max=n_answers - 1)
    seen = np.where(rng.random(n) < p_right, truth, wrong)
    match crowd.hostility[volunteer]:
        case "constant":
            return np.full(n, 2)  # all are X-ray binaries
        case "random":
            return rng.integers(0, n_answers, n)
        case "opposite":
            return (seen + rng.integers(1, 4, n)) % 4
        case "swapped":
            swap = np.arange(n_answers)
            swap[[0, 2]] = 2, 0
            return np.asarray(swap[seen])
    return seen
