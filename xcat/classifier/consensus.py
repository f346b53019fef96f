"""What many votes say together: a posterior for each object, and a confusion matrix for each volunteer.

Dawid & Skene (1979, Appl. Stat. 28, 20): the true class of an object is hidden, and every volunteer gives an answer
with probabilities that depend on that class only. Expectation and maximisation take turns. The rows of a volunteer's
matrix are drawn towards those of all volunteers together (a Dirichlet prior): a few votes make no extreme matrix;
objects of known class keep it, and so measure who is right, who guesses, and who answers the opposite. If some classes
have known objects, the others keep the matrix that is assumed: nothing measures it, and a class that is free to take
any shape takes the difficult objects of the others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xcat.arrays import FloatArray, IntArray

_FLOOR = 1e-12


@dataclass(frozen=True)
class Votes:
    """Votes as columns.

    Attributes
    ----------
    item, volunteer, answer : ndarray of int, (V,)
        Numbers from 0. Answer k < K names class k; the others (don't know) name none, and tell as much as they do.
    n_items, n_volunteers, n_answers : int
    """

    item: IntArray
    volunteer: IntArray
    answer: IntArray
    n_items: int
    n_volunteers: int
    n_answers: int


@dataclass(frozen=True)
class Options:
    """How a consensus is made.

    Attributes
    ----------
    strength : float
        Pseudo-votes in every row of a volunteer's matrix, spread as the answers of all volunteers together.
    diagonal : float
        Pseudo-votes of the right answer in every row of that common matrix; the other answers have 1 in all.
    tolerance : float
        The largest change of a posterior at which it has converged.
    most_rounds : int
    """

    strength: float = 4.0
    diagonal: float = 3.0
    tolerance: float = 1e-4
    most_rounds: int = 300


@dataclass(frozen=True)
class Consensus:
    """What the votes say.

    Attributes
    ----------
    p : ndarray, (N, K)
        Posterior of the classes.
    confusion : ndarray, (J, K, L)
        Probability of each answer, by volunteer and class.
    shares : ndarray, (K,)
        Shares of the classes.
    n_votes : ndarray of int, (N,)
    n_effective : ndarray, (N,)
        Votes of volunteers who never err that would tell as much; see `worth`.
    n_rounds : int
    converged : bool
    """

    p: FloatArray
    confusion: FloatArray
    shares: FloatArray
    n_votes: IntArray
    n_effective: FloatArray
    n_rounds: int
    converged: bool


def consensus(
    votes: Votes,
    n_classes: int,
    known: IntArray | None = None,
    prior: FloatArray | None = None,
    options: Options | None = None,
) -> Consensus:
    """Find the posterior of every object and the confusion matrix of every volunteer.

    Parameters
    ----------
    votes : Votes
    n_classes : int
        K; at most the number of answers.
    known : ndarray of int, (N,), optional
        Class of the objects that are known, -1 for the others.
    prior : ndarray, (N, K), optional
        Probabilities before any vote, in place of the shares of the classes, which are then not fitted.
    options : Options, optional

    Raises
    ------
    ValueError
        A number is out of its range, or somebody voted twice on an object.

    Notes
    -----
    Dawid & Skene 1979, Eqs. 2.3-2.5, with Dirichlet pseudo-counts in the maximisation.
    """
    options = options or Options()
    _check(votes, n_classes)
    n, k, j, m = votes.n_items, n_classes, votes.n_volunteers, votes.n_answers
    known = np.full(n, -1) if known is None else known
    is_known = known >= 0
    n_votes = np.bincount(votes.item, minlength=n)
    # objects without votes take no part: what else could be asked must not change what the votes say
    is_counted = ~is_known & (n_votes > 0)
    truth = np.zeros((n, k))
    truth[np.flatnonzero(is_known), known[is_known]] = 1.0
    by_volunteer = votes.volunteer * m + votes.answer
    usual = np.full((k, m), 1.0 / max(m - 1, 1))
    usual[np.arange(k), np.arange(k)] = options.diagonal
    of_known = is_known[votes.item]
    measured = np.bincount(known[votes.item[of_known]], minlength=k) > 0
    measured |= not measured.any()

    p = _shares_of_answers(votes, k)
    p[is_known] = truth[is_known]
    shares, n_rounds, change = np.full(k, 1.0 / k), 0, np.inf
    log_prior = None if prior is None else np.log(np.maximum(prior, _FLOOR))
    confusion = np.zeros((j, k, m))
    while change > options.tolerance and n_rounds < options.most_rounds:
        n_rounds += 1
        counts = _counts(by_volunteer, p[votes.item], j, k, m)
        together = counts.sum(axis=0) * measured[:, None] + usual
        together /= together.sum(axis=1, keepdims=True)
        confusion = counts * measured[:, None] + options.strength * together
        confusion /= confusion.sum(axis=2, keepdims=True)
        shares = _shares(p[is_counted])
        log_p = log_likelihood(votes, confusion)
        log_p = log_p + (np.log(shares) if log_prior is None else log_prior)
        new = np.exp(log_p - log_p.max(axis=1, keepdims=True))
        new /= new.sum(axis=1, keepdims=True)
        new[is_known] = truth[is_known]
        change = float(np.abs(new - p)[is_counted].max(initial=0.0))
        p = new
    each = worth(confusion, shares)
    n_effective = np.bincount(votes.item, each[votes.volunteer], n).astype(float)
    return Consensus(p, confusion, shares, n_votes, n_effective, n_rounds, change <= options.tolerance)


def _check(votes: Votes, n_classes: int) -> None:
    for name, values, size in (
        ("item", votes.item, votes.n_items),
        ("volunteer", votes.volunteer, votes.n_volunteers),
        ("answer", votes.answer, votes.n_answers),
    ):
        if values.size and not (values.min() >= 0 and values.max() < size):
            raise ValueError(f"a number of {name} is not among 0 to {size - 1}")
    if not 1 <= n_classes <= votes.n_answers:
        raise ValueError(f"{n_classes} classes need as many answers at least, and there are {votes.n_answers}")
    if np.unique(votes.item * votes.n_volunteers + votes.volunteer).size < votes.item.size:
        raise ValueError("a volunteer has voted twice on the same object")


def _counts(by_volunteer: IntArray, weight: FloatArray, j: int, k: int, m: int) -> FloatArray:
    """Expected votes by volunteer, class and answer, (J, K, L)."""
    columns = [np.bincount(by_volunteer, weight[:, c], j * m).reshape(j, m) for c in range(k)]
    return np.stack(columns, axis=1)


def _shares_of_answers(votes: Votes, k: int) -> FloatArray:
    """Where the expectation starts: shares of the answers that name a class, with one vote spread over all classes."""
    names = votes.answer < k
    counts = np.bincount(votes.item[names] * k + votes.answer[names], minlength=votes.n_items * k)
    p = counts.reshape(votes.n_items, k) + 1.0 / k
    return np.asarray(p / p.sum(axis=1, keepdims=True))


def _shares(p: FloatArray) -> FloatArray:
    """Shares of the classes among unknown objects with votes: which ones are known is nobody's sample."""
    total = p.sum(axis=0) + 1.0
    return np.asarray(total / total.sum())


def log_likelihood(votes: Votes, confusion: FloatArray) -> FloatArray:
    """Logarithm of the probability of an object's votes by class, (N, K)."""
    terms = np.log(np.maximum(confusion, _FLOOR))[votes.volunteer, :, votes.answer]
    return np.stack([np.bincount(votes.item, term, votes.n_items).astype(float) for term in terms.T], axis=1)


def worth(confusion: FloatArray, shares: FloatArray) -> FloatArray:
    """What one vote of each volunteer tells about the class, over what one who never errs would tell, (J,).

    The mutual information of answer and class (Shannon 1948), divided by the entropy of the classes: 0 for who guesses
    or always says the same, 1 for who is always right, and also for who always takes two classes for each other.
    """
    joint = confusion * shares[:, None]
    alone = shares[:, None] * joint.sum(axis=1, keepdims=True)
    ratio = np.log(np.maximum(joint, _FLOOR) / np.maximum(alone, _FLOOR))
    entropy = float(-(shares * np.log(np.maximum(shares, _FLOOR))).sum())
    information = (joint * ratio).sum(axis=(1, 2))
    return np.asarray(np.clip(information / max(entropy, _FLOOR), 0.0, 1.0))


def plurality(votes: Votes, n_classes: int) -> IntArray:
    """The class most often named, the first of several; what is done without any method. -1 without such a vote."""
    names = votes.answer < n_classes
    place = votes.item[names] * n_classes + votes.answer[names]
    counts = np.bincount(place, minlength=votes.n_items * n_classes).reshape(votes.n_items, n_classes)
    return np.where(counts.any(axis=1), counts.argmax(axis=1), -1)
