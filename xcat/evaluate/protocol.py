"""The protocol: what a method is, and how it classifies sources out of fold.

A method fits everything on the training part, the other folds. Sources of one group (one physical object, or one cell
of the sky) are never on both sides.
"""

from __future__ import annotations

import multiprocessing
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from xcat import progress
from xcat.arrays import FloatArray, IntArray
from xcat.classifier.held_out import folds
from xcat.classifier.metrics import prior_weights
from xcat.classifier.sample import Sample
from xcat.columns.registry import property_entries
from xcat.errors import ConfigError
from xcat.evaluate.grouping import by_origin
from xcat.evaluate.scores import at_priors, decisions, losses, mean_and_spread, paired, score

ORIGIN, SECOND = "origin", "second_origin"
FOLD_KINDS = ("source", "sky")
"""Folds that all labelled sources allow; by origin only those whose labels have one."""


@dataclass(frozen=True, eq=False)
class Training:
    """Labelled sources to fit a method to.

    Attributes
    ----------
    sample : Sample
        N labelled sources.
    label, groups : (N,) int64
        Class of each, from 0, and sources that must stay together in folds.
    classes : tuple of K str
    target : (K,) float64, optional
        Mix of classes that the answers are for, if it is not that of these sources.
    kind : (N,) str, optional
        Kind of its class that each source is; see `xcat.classifier.kinds`.
    """

    sample: Sample
    label: IntArray
    groups: IntArray
    classes: tuple[str, ...]
    target: FloatArray | None = None
    kind: np.ndarray | None = None

    @property
    def mix(self) -> FloatArray:
        """Mix of classes that the answers are for, (K,)."""
        return self.frequencies if self.target is None else self.target

    @property
    def frequencies(self) -> FloatArray:
        """Of the classes, (K,); half a source for one without members, since priors are positive."""
        count = np.maximum(np.bincount(self.label, minlength=len(self.classes)), 0.5)
        return np.asarray(count / count.sum())


@dataclass(frozen=True)
class Method(ABC):
    """A classifier under evaluation.

    Attributes
    ----------
    name : str
        Short, for options and JSON.
    about : str
        Short description for tables and figures.
    probabilities : bool
        False: the answers are decisions (see `scores`).
    """

    name: str
    about: str
    probabilities: bool = field(default=True, kw_only=True)

    @abstractmethod
    def fit_predict(self, train: Training, test: Sample, seed: int) -> FloatArray:
        """Fit to `train`; return the probabilities of the sources of `test`, (n, K)."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """The N labelled sources of an evaluation.

    Attributes
    ----------
    source_id : (N,) int64
    sample : Sample
    label : (N,) int64
    groups : mapping of "source", "sky" and perhaps "origin" to (N,) int64
        Sources that are one physical object; sources in one cell of the sky; whole literature sources in each class.
    classes : tuple of K str
    priors : (K,) float64
        Of the survey.
    brightness : (N,) float64
        Log of the flux; NaN without one.
    n_counterparts : (N,) int64
        Wavebands (optical, infrared) with a counterpart.
    answers : mapping of str to (N,) int64
        Published classes of the same sources, -1 without one.
    position : (N, 2) float64, optional
        Right ascension and declination, degrees.
    origin : (N,) str, optional
        Literature source of each label; empty: not known.
    notes : tuple of str
        How the folds by origin divide each class.
    kind : (N,) str, optional
        Kind of its class that each source is, empty for none.
    """

    source_id: IntArray
    sample: Sample
    label: IntArray
    groups: Mapping[str, IntArray]
    classes: tuple[str, ...]
    priors: FloatArray
    brightness: FloatArray
    n_counterparts: IntArray
    answers: Mapping[str, IntArray] = field(default_factory=dict)
    position: FloatArray | None = None
    origin: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    kind: np.ndarray | None = None

    def __len__(self) -> int:
        return int(self.label.size)

    def training(self, kind: str, chosen: IntArray) -> Training:
        """Sources by number, with the groups of this kind.

        Without a large literature source the mix of classes is another one, but the answers are for that of all.
        """
        target = self.mix if kind == ORIGIN else None
        of_class = None if self.kind is None else self.kind[chosen]
        of_sources = (self.sample.take(chosen), self.label[chosen], self.groups[kind][chosen])
        return Training(*of_sources, self.classes, target, of_class)

    @property
    def n_class(self) -> dict[str, int]:
        """Number of labels of each class."""
        return dict(zip(self.classes, np.bincount(self.label, minlength=len(self.classes)).tolist(), strict=True))

    @property
    def mix(self) -> FloatArray:
        """Share of each class among the labels, (K,)."""
        return np.bincount(self.label, minlength=len(self.classes)) / max(len(self), 1)


def with_origin(data: Labelled, origin: np.ndarray) -> Labelled:
    """Labelled sources with the literature source of each label, (N,) str, and folds by origin where it allows any."""
    together, notes = by_origin(origin, data.label, data.classes, data.groups["source"], data.groups["sky"])
    if together is None:
        return replace(data, origin=origin)
    return replace(data, origin=origin, groups={ORIGIN: together, **data.groups}, notes=tuple(notes))


def counterparts(sample: Sample) -> IntArray:
    """Number of wavebands (optical, infrared) with a value of a property that needs a counterpart, (N,)."""
    total = np.zeros(len(sample), dtype=np.int64)
    for observed in ("observed_optical", "observed_infrared"):
        names = {e["name"] for e in property_entries() if e.get("counterpart") and e.get("observed") == observed}
        columns = [j for j, p in enumerate(sample.properties) if p.name in names]
        total += np.isfinite(sample.values[:, columns]).any(axis=1)
    return total


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """Out-of-fold answers of a method, (N, K), with the fold of each source, (N,), and the time that they took."""

    p: FloatArray
    fold: IntArray
    seconds: float


def out_of_fold(
    method: Method,
    data: Labelled,
    kind: str,
    n_folds: int,
    seed: int,
    *,
    select: Callable[[IntArray], IntArray] | None = None,
    advance: progress.Advance = lambda amount: None,
    pool: Executor | None = None,
) -> OutOfFold:
    """Classify every source with a method fitted to the other folds.

    Parameters
    ----------
    kind : {"source", "sky", "origin"}
        Which groups stay together, also in the inner folds of the method.
    seed : int
        For the folds and the method.
    select : callable, optional
        Selects the numbers of the sources to train on from those of the training part.
    advance : callable
        Called with 1 after every fold.
    pool : Executor, optional
        Fits folds in parallel; see `workers`.
    """
    start = time.monotonic()
    fold = folds(data.label, data.groups[kind], n_folds, seed)
    members = [np.flatnonzero(fold == f) for f in range(n_folds)]

    def arguments(test: IntArray) -> tuple[Training, Sample, int]:
        train = np.setdiff1d(np.arange(len(data)), test, assume_unique=True)
        return data.training(kind, train if select is None else select(train)), data.sample.take(test), seed

    p = np.zeros((len(data), len(data.classes)))
    calls = (arguments(test) for test in members)
    if pool is None:
        answers: Iterator[FloatArray] = (method.fit_predict(*call) for call in calls)
    else:
        waiting = [pool.submit(method.fit_predict, *call) for call in calls]
        answers = (future.result() for future in waiting)
    for test, answer in zip(members, answers, strict=True):
        p[test] = answer
        advance(1)
    return OutOfFold(p, fold, time.monotonic() - start)


@contextmanager
def workers(n: int) -> Iterator[Executor | None]:
    """Processes that fit folds in parallel, each with one thread; None for n = 1: no extra process is needed."""
    if n <= 1:
        yield None
        return
    # not fork: a forked process would inherit the threads of numerical libraries in an undefined state
    with ProcessPoolExecutor(n, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            yield pool
        except BaseException:  # cancel the folds that have not begun
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@dataclass
class Results:
    """Results of all methods.

    Attributes
    ----------
    figures : dict
        {"source": {"methods": {NAME: {"about", "probabilities", "seeds": {"0": {...}}, "mean": {...}, "spread": {...},
        "seconds"}}}, "sky": ...}.
    answers : dict of (kind, method, seed) to OutOfFold
    """

    figures: dict[str, Any]
    answers: dict[tuple[str, str, int], OutOfFold]


def evaluate(
    methods: Sequence[Method],
    data: Labelled,
    *,
    n_folds: int = 10,
    seeds: Sequence[int] = (0, 1, 2),
    kinds: Sequence[str] = FOLD_KINDS,
    pool: Executor | None = None,
) -> Results:
    """Evaluate methods on the same folds, repeated.

    Every seed is one repetition; the other parameters are those of `out_of_fold`. Published answers in the data are
    listed like methods, and are the same for all seeds.

    Raises
    ------
    ConfigError
        A class has fewer members than folds, or there are fewer groups than folds.
    """
    check(data, n_folds, kinds)
    figures: dict[str, Any] = {kind: {"methods": {}} for kind in kinds}
    answers: dict[tuple[str, str, int], OutOfFold] = {}
    for method in methods:
        total = len(kinds) * len(seeds) * n_folds
        with progress.bar(f"evaluate: {method.about}", total) as advance:
            for kind in kinds:
                for seed in seeds:
                    answers[kind, method.name, seed] = out_of_fold(
                        method, data, kind, n_folds, seed, advance=advance, pool=pool
                    )
        for kind in kinds:
            runs = {seed: answers[kind, method.name, seed] for seed in seeds}
            figures[kind]["methods"][method.name] = entry_of(method.about, method.probabilities, runs, data)
    for name, answer in data.answers.items():
        runs = {seeds[0]: OutOfFold(decisions(answer, len(data.classes)), np.full(len(data), -1), 0.0)}
        for kind in kinds:
            figures[kind]["methods"][name] = entry_of(f"published: {name}", False, runs, data)
    for kind in kinds:
        figures[kind]["paired"] = paired_losses(methods, answers, kind, seeds, data)
    return Results(figures, answers)


def check(data: Labelled, n_folds: int, kinds: Sequence[str] = FOLD_KINDS) -> None:
    """Refuse (ConfigError) data that cannot be divided into this number of folds."""
    members = np.bincount(data.label, minlength=len(data.classes))
    few = [f"{c} ({n})" for c, n in zip(data.classes, members, strict=True) if n < n_folds]
    if few:
        raise ConfigError(
            f"too few labelled sources for {n_folds} folds: {', '.join(few)}. Leave the class out, or take fewer folds."
        )
    for kind in kinds:
        n_groups = np.unique(data.groups[kind]).size
        if n_groups < n_folds:
            raise ConfigError(
                f"the labelled sources are in {n_groups} groups by {kind}, fewer than {n_folds} folds. "
                "Take fewer folds, or one kind only: --by source"
            )


def paired_losses(
    methods: Sequence[Method],
    answers: Mapping[tuple[str, str, int], OutOfFold],
    kind: str,
    seeds: Sequence[int],
    data: Labelled,
    mix: FloatArray | None = None,
) -> dict[str, Any]:
    """Log-loss of every method minus that of the first one, source by source, mean over the seeds.

    Parameters
    ----------
    mix : (K,) float64, optional
        Mix of classes that the answers are for; that of the data if not given.
    """
    able = [m for m in methods if m.probabilities]
    if len(able) < 2:
        return {}
    weight = prior_weights(data.label, data.priors)
    of_sample, there = {}, {}
    for method in able:
        p = [answers[kind, method.name, seed].p for seed in seeds]
        of_sample[method.name] = np.mean([losses(each, data.label) for each in p], axis=0)
        shifted = [at_priors(each, data.priors, data.mix if mix is None else mix) for each in p]
        there[method.name] = np.mean([losses(each, data.label) for each in shifted], axis=0)
    reference, group = able[0].name, data.groups["source"]
    return {
        "reference": reference,
        "log_loss": {m.name: paired(of_sample[m.name], of_sample[reference], group) for m in able[1:]},
        "at_priors": {m.name: paired(there[m.name], there[reference], group, weight) for m in able[1:]},
    }


def entry_of(
    about: str, probabilities: bool, runs: Mapping[int, OutOfFold], data: Labelled, mix: FloatArray | None = None
) -> dict[str, Any]:
    """Figures of a method or of published answers: by seed, mean and spread; `mix` as in `paired_losses`."""
    score_of = partial(
        score, label=data.label, classes=data.classes, priors=data.priors, probabilities=probabilities, mix=mix
    )
    by_seed = {str(seed): score_of(run.p) for seed, run in runs.items()}
    mean, spread = mean_and_spread(list(by_seed.values()))
    return {
        "about": about,
        "probabilities": probabilities,
        "seeds": by_seed,
        "mean": mean,
        "spread": spread,
        "seconds": round(sum(run.seconds for run in runs.values()), 3),
    }
