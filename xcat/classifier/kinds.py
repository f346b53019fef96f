"""Kinds of classes: what is one class for people may be several for the tables.

A table is the distribution of one property, whatever the others are. That of X-ray binaries has the colours of massive
stars and of light ones, and any flux with either; with a table for each kind, what belongs together stays together.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from xcat.arrays import FloatArray, IntArray

LEAST_MEMBERS = 15
"""A kind with fewer labelled sources has no tables of its own: its members count to the largest kind of their class."""


@dataclass(frozen=True, eq=False)
class Kinds:
    """Kinds of the classes of N labelled sources.

    Attributes
    ----------
    names : tuple of K str
        In the order of the classes; a class without kinds has its own name.
    part_of : tuple of K str
        Class of each kind.
    label : (N,) int64
        Kind of every source, from 0.
    """

    names: tuple[str, ...]
    part_of: tuple[str, ...]
    label: IntArray

    @classmethod
    def of(
        cls, label: IntArray, kind: np.ndarray | None, classes: Sequence[str], allowed: Collection[str] | None = None
    ) -> Kinds:
        """Find the kinds that are large enough.

        Parameters
        ----------
        label : (N,) int64
            Class of every source, from 0.
        kind : (N,) str or None
            Kind of every source, empty for none; the same name must not be in two classes. None: no class has kinds.
        allowed : collection of str, optional
            Kinds that there may be, whatever their numbers: those of a model.
        """
        of_source = np.full(len(label), "") if kind is None else kind
        names: list[str] = []
        part_of: list[str] = []
        number = np.zeros(len(label), dtype=np.int64)
        for c, name in enumerate(classes):
            members = np.flatnonzero(label == c)
            of_member = of_source[members]
            found, count = np.unique(of_member[of_member != ""], return_counts=True)
            large = count >= LEAST_MEMBERS if allowed is None else np.isin(found, list(allowed))
            found, count = found[large], count[large]
            if len(found) < 2 and (allowed is None or name in allowed):
                found, count = np.array([name]), np.array([len(members)])
            number[members] = len(names) + int(np.argmax(count))
            for i, each in enumerate(found):
                number[members[of_member == each]] = len(names) + i
            names += found.tolist()
            part_of += [name] * len(found)
        return cls(tuple(names), tuple(part_of), number)

    @property
    def are_classes(self) -> bool:
        """Whether no class has kinds."""
        return self.names == self.part_of

    def priors(self, classes: Sequence[str], of_classes: FloatArray) -> FloatArray:
        """Priors of the kinds, (K,): that of the class, shared as the labelled sources are."""
        count = np.bincount(self.label, minlength=len(self.names)).astype(np.float64)
        index = np.array([list(classes).index(name) for name in self.part_of])
        # a class without members has one kind
        total = np.bincount(index, count, len(classes))[index]
        return np.asarray(of_classes[index] * np.divide(count, total, out=np.ones_like(count), where=total > 0))
