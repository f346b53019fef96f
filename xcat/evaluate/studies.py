"""Further studies, mostly of one method: amount of data, properties, kinds of sources, and a shift of the sample.

All numbers are out of fold. Studies that fit many models use fewer folds than the evaluation itself, and contain the
reference that they are to be compared with.
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from xcat import progress
from xcat.arrays import FloatArray, IntArray, jsonable
from xcat.classifier import FitOptions, classify, fit
from xcat.classifier.posterior import familiarity, tail_probability
from xcat.classifier.priors import estimate, reweighted
from xcat.evaluate.leakage import origin_leaks
from xcat.evaluate.protocol import ORIGIN, Labelled, Method, out_of_fold
from xcat.evaluate.scores import score

FRACTIONS = (0.1, 0.2, 0.4, 0.7, 1.0)
LATITUDE = ("abs_b", "abs_l")
"""Place on the sky: the pointings of a literature sample are a choice, not a property of its classes."""
LEAST_HELD_OUT = 10
"""Members that a class needs to be held out."""
FALSE_FLAGS = 0.01
_LEAST_RATIO, _MOST_RATIO = 0.1, 10.0
_N_FLUX_BINS = 20


def brief(p: FloatArray, label: IntArray, data: Labelled, probabilities: bool = True) -> dict[str, Any]:
    """Accuracy, macro-F1, log-loss, calibration and the F1 of each class, of some of the sources."""
    full = score(p, label, data.classes, data.priors, probabilities)
    return {
        "n": int(label.size),
        **{name: full[name] for name in ("accuracy", "macro_f1", "log_loss", "ece")},
        "recall": {c: full["classes"][c]["recall"] for c in data.classes},
        "f1": {c: full["classes"][c]["f1"] for c in data.classes},
    }


def learning_curve(
    method: Method, data: Labelled, kind: str, n_folds: int, seed: int, pool: Executor | None = None
) -> list[dict[str, Any]]:
    """Figures by the share of the training part that is used, drawn class by class."""
    rows = []
    with progress.bar("learning curve", len(FRACTIONS) * n_folds) as advance:
        for fraction in FRACTIONS:
            select = partial(_share, labels=data.label, fraction=fraction, rng=np.random.default_rng(seed))
            result = out_of_fold(method, data, kind, n_folds, seed, select=select, advance=advance, pool=pool)
            n_train = round(fraction * len(data) * (1 - 1 / n_folds))
            rows.append({"fraction": fraction, "n_train": n_train, **brief(result.p, data.label, data)})
    return rows


def ablation(
    method: Method,
    data: Labelled,
    kind: str,
    n_folds: int,
    seed: int,
    pool: Executor | None = None,
    second: Labelled | None = None,
) -> list[dict[str, Any]]:
    """Figures with all properties, without the place on the sky, and without each category and property.

    With a `second` origin, "second" of each row has the figures of its sources, by a model fitted to all of `data`.
    """
    properties = data.sample.properties
    names = [p.name for p in properties]
    categories = list(dict.fromkeys(p.category for p in properties))
    variants: list[tuple[str, str, list[str]]] = [("all", "all properties", [])]
    if set(names) & set(LATITUDE):
        variants.append(("latitude", "place on the sky", [n for n in names if n in LATITUDE]))
    variants += [("category", c, [p.name for p in properties if p.category == c]) for c in categories]
    variants += [("property", n, [n]) for n in names]
    variants = [v for v in variants if len(v[2]) < len(names)]
    rows = []
    with progress.bar("ablation", len(variants) * n_folds) as advance:
        for what, about, left_out in variants:
            rest = replace(data, sample=data.sample.select([n for n in names if n not in left_out]))
            result = out_of_fold(method, rest, kind, n_folds, seed, advance=advance, pool=pool)
            row = {"kind": what, "without": about, "left_out": left_out, **brief(result.p, data.label, data)}
            shared = [] if second is None else [p.name for p in second.sample.properties if p.name not in left_out]
            if second is not None and shared:
                fitted = replace(data, sample=data.sample.select(shared)).training(kind, np.arange(len(data)))
                row["second"] = brief(
                    method.fit_predict(fitted, second.sample.select(shared), seed), second.label, second
                )
            rows.append(row)
    return rows


def by_brightness(p: FloatArray, data: Labelled, probabilities: bool = True) -> list[dict[str, Any]]:
    """Figures in thirds of the flux."""
    measured = np.isfinite(data.brightness)
    ends = np.quantile(data.brightness[measured], [1 / 3, 2 / 3]) if measured.any() else np.zeros(2)
    third = np.searchsorted(ends, data.brightness)
    rows = []
    for i, about in enumerate(("faintest third", "middle third", "brightest third")):
        chosen = measured & (third == i)
        if chosen.any():
            low, high = data.brightness[chosen].min(), data.brightness[chosen].max()
            figures = brief(p[chosen], data.label[chosen], data, probabilities)
            rows.append({"part": about, "log_fx_low": jsonable(low), "log_fx_high": jsonable(high), **figures})
    return rows


def by_counterparts(p: FloatArray, data: Labelled, probabilities: bool = True) -> list[dict[str, Any]]:
    """Figures by the number of wavebands with a counterpart."""
    groups = {int(n): data.n_counterparts == n for n in np.unique(data.n_counterparts)}
    return [{"n_counterparts": n, **brief(p[g], data.label[g], data, probabilities)} for n, g in groups.items()]


def shift(method: Method, data: Labelled, kind: str, reference: FloatArray, seed: int) -> list[dict[str, Any]]:
    """Train on the bright half of each class, test on the faint half: like a literature sample and a survey.

    Parameters
    ----------
    kind : {"source", "sky"}
        Groups of inner folds.
    reference : (N, K) float64
        Out-of-fold probabilities with a fair training part, for comparison.

    Returns
    -------
    list of dict
        Figures on the faint half: trained fairly, on the bright half as it is, and on the bright half resampled with
        weights (density of the faint over that of the bright in bins of the flux, 0.1 to 10; Shimodaira 2000); the last
        two also with priors estimated from the faint half (`xcat.classifier.priors`).
    """
    measured = np.flatnonzero(np.isfinite(data.brightness))
    bright = np.zeros(len(data), dtype=bool)
    for k in range(len(data.classes)):
        members = measured[data.label[measured] == k]
        if members.size:
            bright[members] = data.brightness[members] > np.median(data.brightness[members])
    train, test = measured[bright[measured]], measured[~bright[measured]]
    if not train.size or not test.size:
        return []
    faint, label = data.sample.take(test), data.label[test]
    ratio = _density_ratio(data.brightness[train], data.brightness[test])
    drawn = _drawn(train, data.label[train], ratio, np.random.default_rng(seed))
    rows = [{"training": "fair", **brief(reference[test], label, data)}]
    with progress.bar("shift", 2) as advance:
        for about, sources in (("bright half", train), ("bright half, weighted by flux", drawn)):
            training = data.training(kind, sources)
            p = method.fit_predict(training, faint, seed)
            advance(1)
            rows.append({"training": about, **brief(p, label, data)})
            estimated = estimate(p, training.mix)
            figures = brief(reweighted(p, training.mix, estimated), label, data)
            rows.append({"training": f"{about}, priors estimated", "priors": jsonable(estimated), **figures})
    return rows


def held_out_class(method: Method, data: Labelled, kind: str, n_folds: int, seed: int) -> list[dict[str, Any]]:
    """Hold each class out in turn, and see whether its members stand out among those of the other classes.

    The tables know the other classes only; their own members are classified out of fold. `auc` is the probability that
    a member of the class stands out more than one of the others, `recall` the share of it that does so more than 99 of
    100 of the others. Measures: "p_tail", of the outliers; "margin", how undecided the class is; "familiarity", both.
    """
    from scipy.stats import rankdata  # here: it takes long to load

    weights = getattr(method, "weights", "property")
    members = np.bincount(data.label, minlength=len(data.classes))
    chosen = [c for c in range(len(data.classes)) if members[c] >= LEAST_HELD_OUT and len(data.classes) > 2]
    rows = []
    with progress.bar("held-out class", len(chosen)) as advance:
        for c in chosen:
            is_held = data.label == c
            rest = np.flatnonzero(~is_held)
            label = data.label[rest] - (data.label[rest] > c)
            names = [name for k, name in enumerate(data.classes) if k != c]
            mix = np.maximum(np.bincount(label, minlength=len(names)), 0.5)
            options = FitOptions(weights, seed=seed, replicates=0)
            sample = data.sample.take(rest)
            model, known = fit(sample, label, data.groups[kind][rest], names, mix / mix.sum(), options, n_folds)
            new = classify(model, data.sample.take(is_held))
            known_tail = tail_probability(model, known.outlier, known.class_index)
            measures = {
                "p_tail": (known_tail, new.p_tail),
                "margin": (known.margin, new.margin),
                "familiarity": (familiarity(known_tail, known.p, model.best_levels), new.familiarity),
            }
            row: dict[str, Any] = {"class": data.classes[c], "n": int(is_held.sum())}
            for name, (of_known, of_new) in measures.items():
                rank = rankdata(-np.concatenate([of_known, of_new]))[of_known.size :]
                auc = (rank.mean() - (of_new.size + 1) / 2) / of_known.size  # Mann and Whitney's U
                recall = (of_new < np.quantile(of_known, FALSE_FLAGS)).mean()
                row[name] = {"auc": float(auc), "recall": float(recall)}
            rows.append(row)
            advance(1)
    return rows


def run_all(
    method: Method,
    data: Labelled,
    kind: str,
    out_of_folds: dict[str, tuple[FloatArray, bool]],
    n_folds: int,
    seed: int,
    quick: bool,
    pool: Executor | None = None,
    second: Labelled | None = None,
) -> dict[str, Any]:
    """All studies: those by brightness and counterparts for every method, the expensive ones for one.

    Parameters
    ----------
    out_of_folds : dict of str to ((N, K) float64, bool)
        By method, its answers for these folds and this seed, and whether they are probabilities.
    n_folds : int
        Of learning curve and ablation.
    quick : bool
        Without the expensive studies.
    second : Labelled, optional
        A second origin, for the study of what tells origins apart.
    """
    result: dict[str, Any] = {"method": method.name, "folds": kind, "n_folds": n_folds}
    for study in (by_brightness, by_counterparts):
        result[study.__name__] = {name: study(p, data, is_p) for name, (p, is_p) in out_of_folds.items()}
    if second is not None or ORIGIN in data.groups:
        result["origin_leaks"] = origin_leaks(data, second)
    if not quick:
        result["learning_curve"] = learning_curve(method, data, kind, n_folds, seed, pool)
        result["ablation"] = ablation(method, data, kind, n_folds, seed, pool, second)
        reference = out_of_folds.get(method.name)
        fair = reference[0] if reference else out_of_fold(method, data, kind, n_folds, seed, pool=pool).p
        result["shift"] = shift(method, data, kind, fair, seed)
        result["held_out_class"] = held_out_class(method, data, kind, n_folds, seed)
    return result


def _share(train: IntArray, labels: IntArray, fraction: float, rng: np.random.Generator) -> IntArray:
    """A share of each class of the training part, at random, in the order of the part."""
    label = labels[train]
    place = np.lexsort((rng.random(train.size), label))
    start = np.searchsorted(label[place], label[place])  # first place of each one's class
    rank = np.arange(train.size) - start
    members = np.bincount(label)[label[place]]
    return np.asarray(train[np.sort(place[rank < np.maximum(np.ceil(fraction * members), 2)])])


def _density_ratio(bright: FloatArray, faint: FloatArray) -> FloatArray:
    """Density of the faint over that of the bright at each of the bright, in bins of equal numbers, bounded."""
    edges = np.unique(np.quantile(np.concatenate([bright, faint]), np.linspace(0, 1, _N_FLUX_BINS + 1)[1:-1]))
    n_bright, n_faint = (np.bincount(np.searchsorted(edges, x), minlength=edges.size + 1) for x in (bright, faint))
    ratio = (n_faint / faint.size) / np.maximum(n_bright / bright.size, 1e-9)
    return np.asarray(np.clip(ratio, _LEAST_RATIO, _MOST_RATIO)[np.searchsorted(edges, bright)])


def _drawn(train: IntArray, label: IntArray, weight: FloatArray, rng: np.random.Generator) -> IntArray:
    """The same number of each class, drawn with replacement and these weights."""
    drawn = [
        rng.choice(train[label == k], int(np.sum(label == k)), p=weight[label == k] / weight[label == k].sum())
        for k in np.unique(label)
    ]
    return np.sort(np.concatenate(drawn))
