"""A second origin: methods fitted to all sources of one, which classify those of another."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Any

import numpy as np

from xcat import progress
from xcat.arrays import FloatArray
from xcat.classifier.priors import estimate, reweighted
from xcat.evaluate.protocol import SECOND, Labelled, Method, OutOfFold, Results, entry_of, paired_losses
from xcat.evaluate.scores import mean_and_spread
from xcat.evaluate.studies import brief


def evaluate_second(
    methods: Sequence[Method],
    data: Labelled,
    second: Labelled,
    kind: str,
    seeds: Sequence[int] = (0, 1, 2),
    pool: Executor | None = None,
) -> Results:
    """Fit methods to all sources of one origin, and classify those of a second one.

    Parameters
    ----------
    data, second : Labelled
        With the same classes and properties.
    kind : {"source", "sky", "origin"}
        Groups of the inner folds.

    Returns
    -------
    Results
        The answers are for the mix of classes of the first origin. "own_priors" has, for every method with
        probabilities, the figures with priors that are estimated from the second origin without its labels
        (`xcat.classifier.priors.estimate`).
    """
    training = data.training(kind, np.arange(len(data)))
    part: dict[str, Any] = {"n": len(second), "n_class": second.n_class, "inner_folds": kind,
                            "properties": [p.name for p in second.sample.properties],
                            "methods": {}, "own_priors": {}}  # fmt: skip
    answers: dict[tuple[str, str, int], OutOfFold] = {}
    with progress.bar(f"evaluate: {SECOND}", len(methods) * len(seeds)) as advance:
        calls = [(method.fit_predict, training, second.sample, seed) for method in methods for seed in seeds]
        waiting = [None if pool is None else pool.submit(_timed, *call) for call in calls]
        done = (_timed(*call) if w is None else w.result() for w, call in zip(waiting, calls, strict=True))
        for method in methods:
            for seed in seeds:
                p, seconds = next(done)
                answers[SECOND, method.name, seed] = OutOfFold(p, np.zeros(len(second), np.int64), seconds)
                advance(1)
            runs = {seed: answers[SECOND, method.name, seed] for seed in seeds}
            part["methods"][method.name] = entry_of(method.about, method.probabilities, runs, second, data.mix)
            if method.probabilities:
                part["own_priors"][method.name] = _with_own_priors([run.p for run in runs.values()], second, data.mix)
    part["paired"] = paired_losses(methods, answers, SECOND, seeds, second, data.mix)
    return Results({SECOND: part}, answers)


def _with_own_priors(answers: Sequence[FloatArray], second: Labelled, mix: FloatArray) -> dict[str, Any]:
    """Figures of answers for a mix of classes, one array per seed, with the mix that they themselves tell."""
    mean, _ = mean_and_spread([brief(reweighted(p, mix, estimate(p, mix)), second.label, second) for p in answers])
    return mean


def _timed(call: Callable[..., FloatArray], *arguments: Any) -> tuple[FloatArray, float]:
    start = time.monotonic()
    answer = call(*arguments)
    return answer, time.monotonic() - start
