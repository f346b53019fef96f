"""Sources around which a catalogue has searched only in part, and what their prior odds are.

A counterpart that the catalogues S would list is listed by those of them that have looked where it is. With g(M) the
share of the error region where the catalogues M have looked and no others, "no counterpart is listed" has the prior
probability sum_M g(M) sum_S pi_S, over all S that have nothing in common with M. An object that T list is where T have
looked: its prior is the same sum over the S whose common part with M is T, with g(M) given that M contains T.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xcat.match.targets import Parts
from xcat.sky.footprint import N_POINTS, Coverage


@dataclass(frozen=True)
class Edges:
    """Targets that not all catalogues of their stratum have searched around wholly; patterns are numbered from 0."""

    index: np.ndarray  #: their numbers less one, ascending, shape (n,)
    share: np.ndarray  #: g(M), shape (n, n_patterns)

    def __len__(self) -> int:
        return len(self.index)

    def listed(self, prior: np.ndarray) -> np.ndarray:
        """Prior probability that a pattern is listed, from that of having the counterpart; shape (n, n_patterns)."""
        of_listed, patterns = np.zeros(prior.shape), np.arange(prior.shape[1])
        for m, share in self._conditional():
            for pattern in patterns.tolist():
                of_listed[:, pattern & m] += share[:, pattern & m] * prior[:, pattern]
        return of_listed

    def weights(self, listed: np.ndarray) -> np.ndarray:
        """Weight of having the counterpart, by pattern, from the weights of what is listed; shape (n, n_patterns)."""
        weights, patterns = np.zeros(listed.shape), np.arange(listed.shape[1])
        for m, share in self._conditional():
            weights += (share * listed)[:, patterns & m]
        return weights

    def _conditional(self) -> list[tuple[int, np.ndarray]]:
        """For every M its share, given that M contains T; shape (n, n_patterns), 0 where it does not."""
        patterns = np.arange(self.share.shape[1])
        shares = [np.where((patterns & m) == patterns, self.share[:, [m]], 0.0) for m in patterns.tolist()]
        total = np.maximum(np.sum(shares, axis=0), 1e-300)
        return [(m, share / total) for m, share in enumerate(shares) if share.any()]


def edges_of(parts: Parts, areas: Sequence[Coverage]) -> Edges:
    """Find them. The areas are of the sources, by catalogue; around shifted positions all is searched or nothing."""
    n_patterns = 1 << len(areas)
    number = np.empty(parts.n_targets, np.int64)
    number[parts.order] = np.arange(parts.n_targets)
    partial = np.unique(np.concatenate([area.partial for area in areas]))
    of_points = np.zeros((len(partial), N_POINTS), np.int64)
    for k, area in enumerate(areas):
        has_looked = np.repeat(area.fraction[partial, None] > 0, N_POINTS, axis=1)
        has_looked[np.searchsorted(partial, area.partial)] = area.points
        of_points |= has_looked.astype(np.int64) << k
    of_stratum = parts.strata.searched[parts.stratum] if len(parts.strata.searched) else parts.searched
    index = np.union1d(number[partial], np.flatnonzero(parts.searched != of_stratum))
    searched = np.repeat(parts.searched[index, None], N_POINTS, axis=1)
    searched[np.searchsorted(index, number[partial])] = of_points
    searched &= of_stratum[index, None]
    flat = (np.arange(len(index))[:, None] * n_patterns + searched).ravel()
    share = np.bincount(flat, minlength=len(index) * n_patterns).reshape(len(index), n_patterns) / N_POINTS
    return Edges(index, share)
