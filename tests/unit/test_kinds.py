"""Kinds of classes: found in labels, each with tables of its own, and summed to the classes that they are of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from one_by_one import in_replicates

from xcat.classifier import (
    CATEGORIES,
    FitOptions,
    Hypotheses,
    Model,
    Property,
    Sample,
    classify,
    cross_validate,
    evidence,
    fit,
)
from xcat.classifier.kinds import LEAST_MEMBERS, Kinds, with_tables_of_answers
from xcat.classifier.posterior import by_class, contribution, posterior, softmax
from xcat.classifier.priors import reweighted, sky_prior
from xcat.classifier.refit import refit
from xcat.own.table_priors import local_priors

pytestmark = pytest.mark.slow

#: The last has walls and limits; the second has errors.
PROPERTIES = (
    *(Property(c, c, "linear", -8.0, 8.0, False, False) for c in CATEGORIES[:3]),
    Property("bounded", CATEGORIES[3], "linear", -1.0, 1.0, True, True),
)
NAMES, PART_OF, PRIORS = ("a1", "b", "a2", "a3", "c"), ("A", "B", "A", "A", "C"), np.array([0.3, 0.3, 0.1, 0.2, 0.1])
INDEX = np.array([0, 1, 0, 0, 2])
MEAN = np.array([[0.0, 0, 0], [1.2, 0.8, -0.5], [-1, 0.5, 1.0], [2, -1, 0.5], [0, -2, 0]])
N = 420


def summed(of_kinds: np.ndarray) -> np.ndarray:
    """Sums over the kinds of A, B and C."""
    return np.stack([of_kinds[..., a == INDEX].sum(axis=-1) for a in range(3)], axis=-1)


@pytest.fixture(scope="module")
def fitted() -> tuple[Model, Sample, np.ndarray]:
    """A model with kinds, errors, limits, walls, a pair and replicates, and its labelled sources with hypotheses."""
    rng = np.random.default_rng(1)
    label = rng.choice(5, N, p=PRIORS)
    x = np.concatenate([rng.normal(MEAN[label], 1.0), np.clip(rng.normal(0.2 * label[:, None] - 0.4, 0.5), -1, 1)], 1)
    errors, limits = np.full(x.shape, np.nan), np.full(x.shape, np.nan)
    x[:30, 0], x[30:60, 2], x[60:90, 2] = np.nan, np.nan, np.inf
    errors[:, 1], limits[30:45, 2] = rng.lognormal(-1.0, 1.0, N), 0.5
    other = np.repeat(x[:, 2:3], 2, axis=0)
    other[1::2, 0] += 1.0
    hypotheses = Hypotheses.of(np.repeat(np.arange(N), 2), np.tile([0.7, 0.3], N), [2], other, N)
    sample = Sample(PROPERTIES, x, errors, limits, hypotheses)
    options = FitOptions(pairs=((CATEGORIES[0], CATEGORIES[2]),), smoothing=1.0, replicates=5, part_of=PART_OF)
    return fit(sample, label, None, NAMES, PRIORS, options, n_folds=2)[0], sample, label


# --- which kinds there are ----------------------------------------------------------------------------------


def test_small_kinds_join_the_largest_and_a_class_with_one_kind_is_itself() -> None:
    kind = np.array(["p"] * 40 + ["q"] * 15 + ["r"] * 14 + [""] * 20 + ["s"] * 30 + ["t"] * 14 + [""] * 9)
    label = np.repeat([0, 1, 2], [89, 44, 9])
    found = Kinds.of(label, kind, ("X", "Y", "Z"))
    assert found.part_of == ("X", "X", "X", "Y", "Z") and not found.are_classes
    assert set(found.names[:3]) == {"p", "q", "X"} and found.names[3:] == ("Y", "Z")
    named = np.array(found.names)[found.label]
    assert (named[:40] == "p").all() and (named[40:55] == "q").all() and (named[55:69] == "p").all()
    assert (named[69:89] == "X").all() and (named[89:133] == "Y").all() and (named[133:] == "Z").all()
    share = found.priors(("X", "Y", "Z"), np.array([0.5, 0.3, 0.2]))
    assert dict(zip(found.names, share, strict=True)) == pytest.approx(
        {"p": 0.5 * 54 / 89, "q": 0.5 * 15 / 89, "X": 0.5 * 20 / 89, "Y": 0.3, "Z": 0.2}
    )
    without = Kinds.of(label, None, ("X", "Y", "Z"))
    assert without.are_classes and without.names == ("X", "Y", "Z") and np.array_equal(without.label, label)


def test_kinds_of_a_model_stay_whatever_their_numbers() -> None:
    label, kind = np.array([0, 0, 0, 0, 1]), np.array(["q", "q", "r", "", "q2"])
    found = Kinds.of(label, kind, ("X", "Y"), {"p": "X", "q": "X", "Y": "Y"})
    assert (found.names, found.part_of) == (("p", "q", "Y"), ("X", "X", "Y"))
    assert found.label.tolist() == [1, 1, 1, 1, 2]  # neither r nor the unnamed one is a kind of the model
    assert found.priors(("X", "Y"), np.array([0.8, 0.2])).tolist() == pytest.approx([0.0, 0.8, 0.2])
    nobody = Kinds.of(np.array([0]), np.array(["p"]), ("X", "Y"), {"p": "X", "Y": "Y"})
    assert nobody.priors(("X", "Y"), np.array([0.8, 0.2])).tolist() == pytest.approx([0.8, 0.2])


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["", "u", "v", "w"])), max_size=150))
def test_every_source_has_a_kind_of_its_class(labels: list[tuple[int, str]]) -> None:
    classes, priors = ("X", "Y", "Z"), np.array([0.6, 0.3, 0.1])
    label = np.array([c for c, _ in labels], dtype=np.int64)
    kind = np.array([name and f"{name}{c}" for c, name in labels], dtype="U2")
    found = Kinds.of(label, kind, classes)
    assert [found.part_of[k] for k in found.label] == [classes[c] for c in label]
    assert list(dict.fromkeys(found.part_of)) == list(classes) and len(set(found.names)) == len(found.names)
    of_kinds = found.priors(classes, priors)
    of_classes = [of_kinds[[p == c for p in found.part_of]].sum() for c in classes]
    assert of_classes == pytest.approx(priors) and (of_kinds > 0).all()
    count = np.bincount(found.label, minlength=len(found.names))
    several = [found.part_of.count(c) > 1 for c in found.part_of]
    assert (count[several] >= LEAST_MEMBERS).all()
    for k, name in enumerate(found.names):  # who has the name of a kind is of it
        if found.part_of.count(found.part_of[k]) > 1 and name not in classes:
            assert (found.label[kind == name] == k).all()


# --- classified ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_ratio", [False, True])
@pytest.mark.parametrize("with_hypotheses", [False, True])
def test_a_class_has_the_sum_of_its_kinds(
    fitted: tuple[Model, Sample, np.ndarray], with_hypotheses: bool, with_ratio: bool
) -> None:
    model, whole, _ = fitted
    sample = whole if with_hypotheses else whole.best_match()
    of_kinds, kinds_without = posterior(replace(model, part_of=None), sample)
    p, without = summed(of_kinds), summed(kinds_without)
    found, found_without = posterior(model, sample)
    assert found == pytest.approx(p, abs=1e-12) and found_without == pytest.approx(without, abs=1e-12)
    assert (model.answers, model.answer_index.tolist()) == (("A", "B", "C"), INDEX.tolist())
    assert model.answer_priors == pytest.approx([0.6, 0.3, 0.1])
    ratio, category = None, None
    if with_ratio:
        ratio, category = np.random.default_rng(3).uniform(0.3, 3.0, (N, 5)), 1
        of_kinds = reweighted(of_kinds, np.ones(1), ratio)
        p = summed(of_kinds)
        changed = [q if t == 1 else reweighted(q, np.ones(1), ratio) for t, q in enumerate(kinds_without)]
        without = summed(np.stack(changed))
    answer = classify(model, sample, ratio, category)
    assert answer.p == pytest.approx(p, abs=1e-12)
    assert np.array_equal(answer.class_index, p.argmax(axis=1))
    tied = np.sort(without, axis=2)
    clear = (tied[..., -1] - tied[..., -2] > 1e-9).T
    assert np.array_equal(answer.class_without[clear], without.argmax(axis=2).T[clear])
    order = np.sort(p, axis=1)
    assert answer.margin == pytest.approx(order[:, -1] - order[:, -2], abs=1e-12)
    assert answer.evidence.shape == (N, 5, 5)
    # the kind is the best of the class, not the best of all
    best = [
        max(np.flatnonzero(a == INDEX), key=lambda k, row=row: row[k])
        for a, row in zip(p.argmax(1), of_kinds, strict=True)
    ]
    assert answer.kind_index.tolist() == best
    assert (INDEX[of_kinds.argmax(axis=1)] != answer.class_index).any()


def test_an_outlier_is_one_of_its_kind(fitted: tuple[Model, Sample, np.ndarray]) -> None:
    """The measure is that of a model in which the kind is a class and, by its prior, the most probable one."""
    model, whole, _ = fitted
    sample, found = whole.best_match(), classify(model, whole.best_match())
    assert set(found.kind_index) == set(range(5))
    for k in range(5):
        rows = np.flatnonzero(found.kind_index == k)
        prior = np.where(np.arange(5) == k, 1.0 - 4e-250, 1e-250)
        alone = classify(replace(model, part_of=None, priors=prior, replicates=None), sample.take(rows))
        assert (alone.class_index == k).all()
        assert found.outlier[rows] == pytest.approx(alone.outlier) and found.p_tail[rows] == pytest.approx(alone.p_tail)


@pytest.mark.parametrize("with_hypotheses", [False, True])
def test_errors_are_those_of_the_replicates_of_the_sums(
    fitted: tuple[Model, Sample, np.ndarray], with_hypotheses: bool
) -> None:
    model, whole, _ = fitted
    assert model.replicates is not None
    sample = whole if with_hypotheses else whole.best_match()
    ratio = np.random.default_rng(3).uniform(0.5, 2.0, (N, 5))
    found = classify(model, sample, ratio)
    p = [summed(reweighted(of_kinds, np.ones(1), ratio)) for of_kinds in in_replicates(model, sample)]
    assert found.p_err == pytest.approx(np.std(p, axis=0, ddof=1), abs=2e-6) and found.p_err.shape == (N, 3)
    same = np.mean([np.argmax(each, axis=1) == found.class_index for each in p], axis=0)
    assert (np.abs(found.stability - same) < 1e-9).mean() > 0.99  # ties in single precision


def test_contributions_and_start_are_the_score_of_a_class(fitted: tuple[Model, Sample, np.ndarray]) -> None:
    model, whole, _ = fitted
    sample = whole.best_match()
    terms = evidence(model, sample).astype(np.float64)
    contributed, start = by_class(model, terms)
    assert contributed.shape == (N, 5, 3) and start.shape == (N, 3)
    score = contributed.sum(axis=1) + start
    of_kinds = np.stack([contribution(terms[:, t], model.mixing[t]) for t in range(5)], axis=1).sum(axis=1)
    of_kinds += model.log_prior
    # the log-sum-exp of the kinds, even of classes whose probability is next to nothing
    exact = np.stack([np.logaddexp.reduce(of_kinds[:, a == INDEX], axis=1) for a in range(3)], axis=1)
    assert score == pytest.approx(exact, abs=1e-9)
    assert softmax(score) == pytest.approx(posterior(model, sample)[0], abs=1e-5)  # evidence is in single precision
    far = terms - 2000.0 * (np.arange(5) < 4)[None, None]
    contributed, start = by_class(model, far)
    assert np.isfinite(contributed).all() and np.isfinite(start).all()


# --- priors, and models made of it --------------------------------------------------------------------------


def test_other_priors_keep_the_shares_of_the_kinds(fitted: tuple[Model, Sample, np.ndarray]) -> None:
    model, whole, _ = fitted
    new = np.array([0.2, 0.5, 0.3])
    changed = model.with_answer_priors(new)
    assert changed.answer_priors == pytest.approx(new)
    assert changed.priors[INDEX == 0] / 0.2 == pytest.approx(model.priors[INDEX == 0] / 0.6)
    sample = whole.best_match()
    found = posterior(changed, sample)[0]
    assert found == pytest.approx(reweighted(posterior(model, sample)[0], model.answer_priors, new), abs=1e-12)


@pytest.mark.parametrize("with_counts", [False, True])
def test_every_kind_has_its_own_prior_of_the_sky(fitted: tuple[Model, Sample, np.ndarray], with_counts: bool) -> None:
    model, whole, _ = fitted
    axes = (CATEGORIES[0], CATEGORIES[1])
    silent = replace(model, mixing=model.mixing * np.array([0, 0, 1, 1, 0])[:, None, None], replicates=None)
    sample = whole.best_match()
    p = posterior(replace(silent, part_of=None), sample)[0]
    expected = np.tile([0.1, 0.3, 0.1, 0.1, 0.4], (N, 1)) if with_counts else None
    made = sky_prior(silent, p, sample.values[:, :2], axes, expected)
    assert made.has_sky_prior and made.part_of == PART_OF and made.priors.sum() == pytest.approx(1.0)
    if not with_counts:
        assert made.answer_priors == pytest.approx(model.answer_priors, abs=1e-15)
    term = evidence(made, sample)[:, -1].astype(np.float64)
    # a1 and a3 lie apart along the first axis: which of them a member of A is depends on the place
    for_a3, x = term[:, 3] - term[:, 0], sample.values[:, 0]
    assert for_a3[x > 2].mean() > for_a3[x < 0].mean() + 0.05
    local = summed(made.priors * np.exp(term))
    assert local_priors(made, sample) == pytest.approx(local / local.sum(axis=1, keepdims=True), abs=1e-6)
    # the answers are those at the priors of the place
    ratio = made.priors * np.exp(term) / silent.priors
    assert posterior(made, sample)[0] == pytest.approx(summed(reweighted(p, np.ones(1), ratio)), abs=1e-6)
    # what is drawn: the prior of a class is the mixture of those of its kinds
    drawn = with_tables_of_answers(made)
    of_kinds = np.log(summed(np.exp(made.pairs[-1].log_ratio) * made.priors) / made.answer_priors)
    assert drawn.pairs[-1].log_ratio == pytest.approx(of_kinds)


def test_a_refit_has_the_kinds_of_the_model(fitted: tuple[Model, Sample, np.ndarray]) -> None:
    model, whole, label = fitted
    kept = [0, 1, 3]
    best = whole.best_match()
    assert best.errors is not None and best.limits is not None
    few = Sample(tuple(PROPERTIES[j] for j in kept), best.values[:, kept], best.errors[:, kept], best.limits[:, kept])
    made, validation = refit(model, few, label, None, PRIORS, n_folds=2)
    assert (made.part_of, made.classes, made.answers) == (PART_OF, NAMES, ("A", "B", "C"))
    assert made.replicates is not None and made.replicates.offsets.shape == (5, 5)
    assert validation.p.shape == (N, 3) and validation.p.sum(axis=1) == pytest.approx(1.0)
    truth = validation.p[np.arange(N), INDEX[label]]
    assert -np.log(truth).mean() < -np.log([0.6, 0.3, 0.1])[INDEX[label]].mean() - 0.1
    # at other priors of the model the out-of-fold answers are reweighted, class by class
    new = np.array([0.2, 0.5, 0.3])
    _, other = refit(model.with_answer_priors(new), few, label, None, PRIORS, n_folds=2)
    assert other.p == pytest.approx(reweighted(validation.p, model.answer_priors, new), abs=1e-9)


def test_tables_of_answers_are_mixtures_that_integrate_to_one(fitted: tuple[Model, Sample, np.ndarray]) -> None:
    model, _, _ = fitted
    made = with_tables_of_answers(model)
    assert (made.classes, made.part_of, made.answers) == (("A", "B", "C"), None, ("A", "B", "C"))
    assert with_tables_of_answers(made) is made
    assert made.priors == pytest.approx([0.6, 0.3, 0.1]) and made.n_reference == pytest.approx(
        summed(model.n_reference)
    )
    share = PRIORS / np.array([0.6, 0.3, 0.1])[INDEX]
    for table, of_kinds in zip(made.tables, model.tables, strict=True):
        assert np.exp(table.log_present) == pytest.approx(summed(share * np.exp(of_kinds.log_present)))
        assert np.exp(table.log_missing) == pytest.approx(summed(share * np.exp(of_kinds.log_missing)))
        # what is seen: a value, and that there is one
        seen = np.exp(of_kinds.log_present + of_kinds.log_density)
        assert np.exp(table.log_present + table.log_density) == pytest.approx(summed(share * seen), rel=1e-9)
        atoms = 0.0
        if table.log_atoms is not None:
            atoms = np.exp(table.log_atoms).sum(axis=0) * table.step
            seen_on_walls = np.exp(of_kinds.log_present + np.asarray(of_kinds.log_atoms))
            assert np.exp(table.log_present + table.log_atoms) == pytest.approx(summed(share * seen_on_walls), rel=1e-9)
        mass = np.trapezoid(np.exp(table.log_density), dx=table.step, axis=0)
        own = np.trapezoid(np.exp(of_kinds.log_density), dx=table.step, axis=0)
        if of_kinds.log_atoms is not None:
            own += np.exp(of_kinds.log_atoms).sum(axis=0) * of_kinds.step
        assert mass + atoms == pytest.approx(1.0, abs=max(1e-3, 2 * np.abs(own - 1).max()))
        if table.log_above is not None:
            assert (np.diff(table.log_above, axis=0) <= 1e-9).all() and (table.log_above <= 1e-9).all()


# --- what they are for --------------------------------------------------------------------------------------


def _log_losses(x: np.ndarray, label: np.ndarray, kind: np.ndarray) -> tuple[float, float]:
    """Out of fold, without kinds and with them."""
    properties = tuple(Property(f"x{j}", CATEGORIES[j], "linear", -9.0, 9.0, False, False) for j in range(x.shape[1]))
    priors, losses = np.array([0.5, 0.5]), []
    for each in (None, kind):
        kinds = Kinds.of(label, each, ("XRB", "AGN"))
        options = FitOptions(smoothing=1.0, replicates=0, part_of=None if kinds.are_classes else kinds.part_of)
        of_kinds = kinds.priors(("XRB", "AGN"), priors)
        p = cross_validate(Sample(properties, x), kinds.label, None, kinds.names, of_kinds, options, n_folds=3).p
        losses.append(float(-np.log(p[np.arange(len(label)), label]).mean()))
    return losses[0], losses[1]


def test_kinds_help_where_properties_belong_together() -> None:
    """Bright with blue colours, faint with red ones: each value alone is that of an AGN."""
    rng = np.random.default_rng(8)
    label = np.repeat([0, 1], 240)
    kind = np.where(label == 0, np.where(np.arange(480) % 2 == 0, "HMXB", "LMXB"), "")
    sign = np.where(label == 0, np.where(kind == "HMXB", 1, -1), rng.choice([-1, 1], 480))
    other = np.where(label == 0, sign, rng.choice([-1, 1], 480))
    x = rng.normal(np.stack([1.5 * sign, 1.5 * other], axis=1), 0.6)
    without, with_kinds = _log_losses(x, label, kind)
    assert with_kinds < 0.8 * without, (without, with_kinds)


def test_kinds_that_are_alike_do_no_harm() -> None:
    rng = np.random.default_rng(9)
    label = np.repeat([0, 1], 200)
    x = rng.normal(1.5 * label[:, None], 1.0, (400, 2))
    without, with_kinds = _log_losses(x, label, np.where(label == 0, np.where(rng.random(400) < 0.5, "u", "v"), ""))
    assert with_kinds < without + 0.02, (without, with_kinds)


def test_a_source_alone_has_the_contributions_that_it_has_among_others() -> None:
    """To the last digit: the terms of a class follow each other in memory, and one row has no such order."""
    rng = np.random.default_rng(2)
    terms, mixing = np.asfortranarray(rng.normal(size=(40, 6))), rng.normal(size=(6, 6))
    among = contribution(terms, mixing)
    for i in range(40):
        assert np.array_equal(contribution(terms[i : i + 1], mixing)[0], among[i])
