"""The evaluation: its figures by hand, nothing seen before it is asked, and chance where labels are dealt at random."""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from labelled_sky import CLASSES, MIX, PRIORS, PROPERTIES, permuted, sky

from xcat.classifier.sample import Sample
from xcat.columns.properties import Property
from xcat.errors import ConfigError
from xcat.evaluate import figures, leakage, methods, page, rules, scores, studies, text
from xcat.evaluate.protocol import Labelled, evaluate, out_of_fold, workers
from xcat.evaluate.rules import Rules

pytestmark = pytest.mark.slow

NAMES = methods.NAMES
N_FOLDS = 4


def few(data: Labelled, *names: str) -> list[Any]:
    """Methods that are quick: few trees."""
    return methods.choose(data, names, n_trees=30, n_rounds=25)


# --- figures ----------------------------------------------------------------------------------------------


def test_the_figures_by_hand():
    label = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2])
    given = np.array([0, 0, 0, 0, 1, -1, 1, 1, 0, 2, 0])
    found = scores.score(scores.decisions(given, 3), label, CLASSES, [0.5, 0.3, 0.2], probabilities=False)
    assert found["accuracy"] == pytest.approx(7 / 11)
    assert found["n_no_answer"] == 1
    assert found["confusion"] == [[4, 1, 1], [1, 2, 0], [0, 0, 1]]
    agn = found["classes"]["AGN"]
    assert agn["recall"] == pytest.approx(4 / 6)
    assert agn["precision"] == pytest.approx(4 / 6)
    corrected = 0.5 * 4 / 6 / (0.5 * 4 / 6 + 0.3 * 1 / 3 + 0.2 * 1 / 2)
    assert agn["precision_prior_corrected"] == pytest.approx(corrected)
    assert agn["n"] == 6
    f1 = [4 / 6, 2 / 3, 2 / 3]
    assert [found["classes"][c]["f1"] for c in CLASSES] == pytest.approx(f1)
    assert found["macro_f1"] == pytest.approx(np.mean(f1))
    assert found["log_loss"] is found["brier"] is found["ece"] is None
    assert found["at_priors"]["accuracy"] == pytest.approx(0.5 * 4 / 6 + 0.3 * 2 / 3 + 0.2 / 2)


def test_probabilities_at_the_priors_by_hand():
    p = np.array([[0.5, 0.5], [0.96, 0.04], [0.2, 0.8], [0.6, 0.4]])
    label = np.array([0, 0, 0, 1])
    found = scores.score(p, label, ("a", "b"), [0.25, 0.75])
    assert found["log_loss"] == pytest.approx(-np.log([0.5, 0.96, 0.2, 0.4]).mean())
    # frequencies are 3/4 and 1/4, so odds of a fall by nine
    odds = np.array([1, 24, 0.25, 1.5]) / 9
    # expected F1 of a: 2 x .96 / 3.26, 2 x 1.56 / 4.26, 2 x 2.06 / 5.26, 2 x 2.26 / 6.26; of b the third is best, too
    of_a, of_b = found["classes"]["a"], found["classes"]["b"]
    assert (of_a["list_from"], of_a["f1_list"]) == (0.5, pytest.approx(2 * 2 / (3 + 3)))
    assert (of_b["list_from"], of_b["f1_list"]) == (0.4, pytest.approx(2 * 1 / (3 + 1)))
    a = odds / (1 + odds)
    loss = 0.25 * -np.log(a[:3]).mean() + 0.75 * -np.log(1 - a[3])
    assert found["at_priors"]["log_loss"] == pytest.approx(loss)
    assert found["at_priors"]["confusion"] == [[1, 0], [2, 1]]
    assert found["at_priors"]["accuracy"] == pytest.approx(0.25 / 3 + 0.75)
    unchanged = scores.at_priors(p, [0.75, 0.25], [0.75, 0.25])
    assert unchanged == pytest.approx(p)


def test_mean_and_spread_over_seeds():
    one = {
        "accuracy": 0.5,
        "log_loss": None,
        "classes": {"a": {"f1": 0.2, "recall_interval": [0.0, 0.5], "precision_interval": [None, None]}},
        "confusion": [[2]],
    }
    two = {
        "accuracy": 0.7,
        "log_loss": None,
        "classes": {"a": {"f1": 0.4, "recall_interval": [0.2, 0.7], "precision_interval": [None, None]}},
        "confusion": [[4]],
    }
    mean, spread = scores.mean_and_spread([one, two])
    assert mean["accuracy"] == pytest.approx(0.6)
    assert spread["accuracy"] == pytest.approx(0.1 * np.sqrt(2))
    assert mean["log_loss"] is None
    assert mean["classes"]["a"] == {
        "f1": pytest.approx(0.3),
        "recall_interval": pytest.approx([0.1, 0.6]),
        "precision_interval": [None, None],
    }
    assert spread["classes"]["a"] == {"f1": pytest.approx(0.1 * np.sqrt(2))}
    assert mean["confusion"] == [[3.0]]
    assert scores.mean_and_spread([one])[1]["accuracy"] is None


# --- the protocol -----------------------------------------------------------------------------------------


@dataclass
class Spy:
    """Answers with the class mix, and keeps what it was shown; the first property is the number of the source."""

    shown: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = field(default_factory=list)
    name: str = "spy"
    about: str = "spy"
    probabilities: bool = True

    def fit_predict(self, train, test, seed):
        self.shown.append((train.sample.values[:, 0].astype(int), train.label, test.values[:, 0].astype(int)))
        assert train.groups.shape == train.label.shape
        return np.repeat(train.mix[None], len(test), axis=0)


def numbered(data: Labelled) -> Labelled:
    """The same sources with their numbers as the only property."""
    number = Property("number", "location", "linear", 0.0, 1e4, False, False)
    return replace(data, sample=Sample((number,), np.arange(len(data), dtype=float)[:, None]))


@pytest.mark.parametrize("kind", ["source", "sky"])
def test_nothing_of_the_test_part_is_seen(kind):
    data, spy = numbered(sky()), Spy()
    result = out_of_fold(spy, data, kind, 10, 0)
    tested = np.concatenate([test for _, _, test in spy.shown])
    assert np.array_equal(np.sort(tested), np.arange(len(data)))
    for train, label, test in spy.shown:
        assert np.intersect1d(train, test).size == 0
        assert np.intersect1d(data.groups[kind][train], data.groups[kind][test]).size == 0
        assert train.size + test.size == len(data)
        assert np.array_equal(label, data.label[train]), "labels belong to their sources"
        (fold,) = np.unique(result.fold[test])
        assert not np.any(result.fold[train] == fold)
        mix = np.bincount(label) / len(label)
        assert result.p[test[0]] == pytest.approx(mix), "priors are the mix of the training part"


def test_the_answers_do_not_depend_on_the_labels_asked_for():
    """A source whose label is changed gets the same answer as long as the folds are the same."""
    data = sky()
    (method,) = few(data, "property")
    test = np.arange(0, len(data), 5)
    train = np.setdiff1d(np.arange(len(data)), test)
    training = data.training("source", train)
    alone = method.fit_predict(training, data.sample.take(test), 0)
    fewer = method.fit_predict(training, data.sample.take(test[:7]), 0)
    assert fewer == pytest.approx(alone[:7], abs=1e-9), "nothing is learned from the other sources asked for"


def test_all_methods_and_published_answers_in_the_result():
    answers = np.where(np.arange(360) % 10 == 0, -1, sky().label)
    data = sky(answers={"rival": answers})
    found = evaluate(few(data, "equal", "rules"), data, n_folds=4, seeds=(0, 5))
    assert list(found.figures) == ["source", "sky"]
    for part in found.figures.values():
        assert list(part["methods"]) == ["equal", "rules", "rival"]
        entry = part["methods"]["equal"]
        assert list(entry["seeds"]) == ["0", "5"]
        for figures_ in [*entry["seeds"].values(), entry["mean"]]:
            assert {"accuracy", "macro_f1", "log_loss", "brier", "ece", "classes", "confusion"} <= set(figures_)
            assert set(figures_["classes"]) == set(CLASSES)
            for of_class in figures_["classes"].values():
                assert {"recall", "precision", "precision_prior_corrected", "f1", "n"} <= set(of_class)
        assert entry["mean"]["accuracy"] > 0.85
        assert part["methods"]["rival"]["mean"]["accuracy"] == pytest.approx(0.9)
        assert part["methods"]["rival"]["mean"]["n_no_answer"] == 36
    assert set(found.answers) == {(k, m, s) for k in ("source", "sky") for m in ("equal", "rules") for s in (0, 5)}
    json.dumps(found.figures, allow_nan=False)
    assert all(part["methods"]["equal"]["seconds"] > 0 for part in found.figures.values())


def test_the_same_seed_gives_the_same_answers_in_other_processes_too():
    data = sky()
    (method,) = few(data, "histogram")
    here = out_of_fold(method, data, "source", 4, 3)
    with workers(2) as pool:
        there = out_of_fold(method, data, "source", 4, 3, pool=pool)
    assert np.array_equal(here.p, there.p)
    assert np.array_equal(here.fold, there.fold)


def test_too_few_sources_are_refused():
    data = sky()
    small = np.flatnonzero((data.label < 2) | (np.arange(360) % 20 == 0))
    cut = replace(
        data,
        label=data.label[small],
        sample=data.sample.take(small),
        groups={k: g[small] for k, g in data.groups.items()},
    )
    with pytest.raises(ConfigError, match=r"too few labelled sources for 10 folds: XRB \(2\)"):
        evaluate([Spy()], cut)
    with pytest.raises(ConfigError, match="groups by sky"):
        evaluate([Spy()], sky(groups={"source": np.arange(360), "sky": np.arange(360) % 5}))


# --- methods ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_every_method_finds_what_is_there(name):
    data = sky()
    result = out_of_fold(few(data, name)[0], data, "source", N_FOLDS, 0)
    accuracy = (scores.decided(result.p) == data.label).mean()
    assert accuracy > (0.5 if name == "rules" else 0.85), accuracy  # the rules answer for two thirds
    if name != "rules":
        assert result.p.sum(axis=1) == pytest.approx(np.ones(len(data)), abs=1e-6)


def test_a_baseline_that_is_not_installed_is_named(monkeypatch):
    real = importlib.import_module

    def without(name: str, *args: Any) -> Any:
        if name.startswith("lightgbm"):
            raise ImportError("No module named 'lightgbm'")
        return real(name, *args)

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(ConfigError, match=r"'lightgbm' needs lightgbm.*xcat\[evaluate\]"):
        methods.choose(sky(), ["lightgbm"])
    assert [m.name for m in methods.choose(sky(), ["equal"])] == ["equal"], "others do not need it"


def test_unknown_methods_and_classes_that_the_rules_do_not_know():
    with pytest.raises(ConfigError, match="unknown method oracle"):
        methods.choose(sky(), ["oracle"])
    other = sky(classes=("QSO", "Star", "XRB"))
    with pytest.raises(ConfigError, match="need the classes AGN"):
        methods.choose(other, ["rules"])
    assert "rules" not in [m.name for m in methods.choose(other)]
    assert [m.name for m in methods.choose(sky())] == list(methods.NAMES)


def test_the_rules_decide_as_they_say():
    data = sky()
    no = np.nan
    #            b   hr   index ratio factor
    rows = [
        [45.0, 0.0, 1.9, -3.0, 0.2],  # low ratio: a star
        [45.0, 0.0, 1.9, 0.0, 0.2],  # like an AGN
        [45.0, 0.0, 1.9, 5.0, 0.2],  # larger ratio than any AGN
        [45.0, 0.0, 5.5, 0.0, 0.2],  # very soft
        [45.0, 0.0, no, 0.0, 1.5],  # varies by a factor of 30
        [45.0, 0.0, no, no, 1.5],  # the same without a counterpart
        [45.0, 0.0, 1.9, no, no],  # nothing tells
        [45.0, 0.0, no, np.inf, no],  # nobody looked
    ]
    test = Sample(PROPERTIES, np.array(rows))
    training = data.training("source", np.arange(len(data)))
    found = scores.decided(Rules().fit_predict(training, test, 0))
    assert found.tolist() == [1, 0, 2, 2, 2, 2, -1, -1]
    limits = np.full((8, 5), np.nan)
    limits[6, 3], limits[7, 3] = 5.0, 1.0
    found = scores.decided(Rules().fit_predict(training, replace(test, limits=limits), 0))
    assert found.tolist()[6:] == [2, 0], "a limit above all AGN; one that only says: no star"


def test_the_cut_parts_two_samples():
    assert rules.best_cut(np.array([0.0, 1, 2]), np.array([3.0, 4, 5])) == 3.0
    assert rules.best_cut(np.array([]), np.array([1.0])) == -np.inf


# --- leakage ----------------------------------------------------------------------------------------------


def with_column(data: Labelled, column: np.ndarray) -> Sample:
    extra = Property("extra", "spectrum", "linear", -1e3, 1e3, False, False)
    return Sample((*PROPERTIES, extra), np.column_stack([data.sample.values, column]))


@pytest.mark.parametrize(
    "make",
    [
        lambda label, rng: label.astype(float),
        lambda label, rng: np.array([7.0, -3.0, 2.5])[label],
        lambda label, rng: label + 0.05 * rng.standard_normal(label.size),
        lambda label, rng: np.where(label == 1, np.nan, label).astype(float),
        lambda label, rng: np.select([label == 1, label == 2], [np.nan, np.inf], 0.0),
        lambda label, rng: np.arange(label.size, dtype=float),
    ],
    ids=["label", "other codes", "with noise", "missing", "not looked for", "row number"],
)
def test_a_property_that_is_the_label_is_refused(make):
    data = sky()
    column = make(data.label, np.random.default_rng(0))
    sample = with_column(data, column)
    with pytest.raises(ConfigError, match=r"'extra' alone has \d+ % of the information in the label"):
        leakage.refuse(sample, data.label, CLASSES)
    flags = leakage.refuse(sample, data.label, CLASSES, allowed=["extra"])
    assert flags and flags[0].startswith("'extra' alone has")


def test_a_property_that_gives_one_class_away_is_flagged():
    data = sky()
    extent = np.where(data.label == 2, 5.0, 0.0)
    (flag,) = leakage.refuse(with_column(data, extent), data.label, CLASSES)
    assert flag.startswith("'extra' nearly separates XRB")


def test_properties_of_real_use_and_noise_are_not_refused():
    data = sky()
    noise = np.random.default_rng(2).standard_normal(len(data))
    found = {t.name: t for t in leakage.information(with_column(data, noise), data.label, CLASSES)}
    assert found["extra"].share < 0.05
    assert 0.1 < found["log_fx_fw1"].share < 0.9
    assert leakage.refuse(with_column(data, noise), data.label, CLASSES) == []
    assert all(t.share < 0.05 for t in leakage.information(data.sample, permuted(data, 1).label, CLASSES))


# --- permuted labels --------------------------------------------------------------------------------------

_SIGMAS = 5.0


def _leaves(figures_: Any, path: str = "") -> dict[str, float]:
    """Numbers of a result by their path, without intervals and curves."""
    if isinstance(figures_, dict):
        return {
            k: v
            for name, x in figures_.items()
            if name not in ("reliability", "confusion") and not name.endswith("interval")
            for k, v in _leaves(x, f"{path}/{name}").items()
        }
    return {} if figures_ is None else {path: float(figures_)}


def beyond_chance(p: np.ndarray, label: np.ndarray, probabilities: bool, n_draws: int = 40) -> list[str]:
    """Figures that are further from those of the same answers with labels dealt anew than chance goes."""

    def leaves(truth: np.ndarray) -> dict[str, float]:
        return _leaves(scores.score(p, truth, CLASSES, PRIORS, probabilities))

    rng = np.random.default_rng(0)
    draws = [leaves(rng.permutation(label)) for _ in range(n_draws)]
    found = []
    for name, value in leaves(label).items():
        chance = np.array([d.get(name, np.nan) for d in draws])
        if abs(value - np.nanmean(chance)) > _SIGMAS * np.nanstd(chance) + 1e-9:
            found.append(f"{name}: {value:.3f}, by chance {np.nanmean(chance):.3f} +- {np.nanstd(chance):.3f}")
    return found


@pytest.fixture(scope="module")
def dealt() -> Labelled:
    return permuted(sky(), 4)


def _chance(label: np.ndarray) -> tuple[float, float, float]:
    """Largest accuracy of a guess with its binomial room, and entropy of the mix."""
    mix = np.bincount(label, minlength=3) / label.size
    most = mix.max()
    entropy = -(mix[mix > 0] * np.log(mix[mix > 0])).sum()
    return float(most), float(_SIGMAS * np.sqrt(most * (1 - most) / label.size)), float(entropy)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["source", "sky"])
def test_permuted_labels_give_chance_in_every_figure_of_every_method(dealt, name, kind):
    (method,) = few(dealt, name)
    p = out_of_fold(method, dealt, kind, N_FOLDS, 0).p
    assert beyond_chance(p, dealt.label, method.probabilities) == []
    most, room, entropy = _chance(dealt.label)
    found = scores.score(p, dealt.label, CLASSES, PRIORS, method.probabilities)
    assert found["accuracy"] <= most + room
    assert found["macro_f1"] < 0.45
    if method.probabilities:
        of_truth = -np.log(np.maximum(p[np.arange(len(dealt)), dealt.label], 1e-300))
        assert found["log_loss"] >= entropy - _SIGMAS * of_truth.std() / np.sqrt(len(dealt))


def test_the_test_of_chance_can_fail():
    data = sky()
    p = out_of_fold(few(data, "equal")[0], data, "source", N_FOLDS, 0).p
    wrong = beyond_chance(p, data.label, True)
    for name in ("/accuracy", "/macro_f1", "/log_loss", "/brier", "/classes/XRB/f1", "/at_priors/log_loss"):
        assert any(w.startswith(name) for w in wrong), (name, wrong)


def test_permuted_labels_give_chance_in_every_study(dealt):
    (method,) = few(dealt, "property")
    p = out_of_fold(method, dealt, "source", N_FOLDS, 0).p
    found = studies.run_all(method, dealt, "source", {"property": (p, True)}, 2, 0, quick=False)
    rows = [
        *found["learning_curve"],
        *found["ablation"],
        *found["shift"],
        *found["by_brightness"]["property"],
        *found["by_counterparts"]["property"],
    ]
    assert len(rows) > 20
    for row in rows:
        assert row["accuracy"] <= MIX[0] + _SIGMAS * np.sqrt(MIX[0] * (1 - MIX[0]) / row["n"]), row
        assert row["log_loss"] >= 0.93 - _SIGMAS * 0.6 / np.sqrt(row["n"]), row
        assert row["macro_f1"] < 0.5, row
    losses = [row["log_loss"] for row in found["ablation"]]
    assert max(losses) - min(losses) < 0.1, "nothing is worth anything"


# --- studies ----------------------------------------------------------------------------------------------


def test_the_learning_curve_uses_the_share_that_it_says():
    data, spy = numbered(sky()), Spy()
    found = studies.learning_curve(spy, data, "source", 4, 0)
    for row, at in zip(found, range(0, 20, 4), strict=True):
        for train, label, _ in spy.shown[at : at + 4]:
            assert np.unique(train).size == train.size
            assert train.size == pytest.approx(row["fraction"] * 270, abs=4)
            assert np.bincount(label) / label.size == pytest.approx(MIX, abs=0.04), "each class keeps its share"
    assert [row["fraction"] for row in found] == list(studies.FRACTIONS)


def test_the_ablation_finds_the_property_that_matters():
    data = sky()
    only = {"hr1": 0.0, "gamma": 0.0, "abs_b": 0.0}
    values = data.sample.values.copy()
    rng = np.random.default_rng(5)
    for j, p in enumerate(PROPERTIES):
        if p.name in only:
            values[:, j] = rng.permutation(values[:, j])
    found = studies.ablation(few(data, "property")[0], replace(data, sample=Sample(PROPERTIES, values)), "source", 2, 0)
    loss = {row["without"]: row["log_loss"] for row in found}
    assert loss["log_fx_fw1"] > loss["all properties"] + 0.1
    assert abs(loss["place on the sky"] - loss["all properties"]) < 0.05
    assert loss["multiwavelength"] == pytest.approx(loss["log_fx_fw1"], abs=1e-9), "its only property"
    kinds = [row["kind"] for row in found]
    assert kinds == ["all", "latitude", *["category"] * 4, *["property"] * 5]


def test_thirds_of_the_flux_and_counterparts_hold_every_source_once():
    data = sky()
    p = scores.decisions(data.label, 3)
    thirds = studies.by_brightness(p, data)
    assert [t["n"] for t in thirds] == [120, 120, 120]
    assert thirds[0]["log_fx_high"] <= thirds[1]["log_fx_low"]
    assert sum(t["n"] for t in studies.by_counterparts(p, data)) == len(data)


def test_the_shift_trains_on_the_bright_and_tests_on_the_faint():
    data, spy = numbered(sky()), Spy()
    found = studies.shift(spy, data, "source", np.full((360, 3), 1 / 3), 0)
    (train, label, test), (drawn, labels_drawn, again) = spy.shown
    for k in range(3):
        members = data.brightness[train[label == k]]
        assert members.min() > data.brightness[test[data.label[test] == k]].max()
    assert np.array_equal(test, again)
    assert set(drawn) <= set(train) and np.array_equal(np.bincount(labels_drawn), np.bincount(label))
    assert data.brightness[drawn].mean() < data.brightness[train].mean(), "the fainter of the bright weigh more"
    assert len(found) == 5


def test_a_class_that_is_held_out_stands_out_if_it_is_unlike_the_others():
    """XRB are far out; a copy of the stars under another name is not, and is found by nothing."""
    data = sky()
    values = data.sample.values.copy()
    values[data.label == 2, 1:3] = [0.9, -1.5]
    values[data.label == 2, 3] = 5.5
    (method,) = few(data, "property")
    found = {
        r["class"]: r
        for r in studies.held_out_class(method, replace(data, sample=Sample(PROPERTIES, values)), "source", 3, 0)
    }
    assert [found[c]["n"] for c in CLASSES] == [216, 90, 54]
    assert found["XRB"]["familiarity"]["auc"] > 0.95 and found["XRB"]["familiarity"]["recall"] > 0.5, found["XRB"]
    alike = sky()
    copies = np.flatnonzero(alike.label == 0)[::2]
    label = alike.label.copy()
    label[label == 2], label[copies] = 1, 2
    chance = studies.held_out_class(method, replace(alike, label=label), "source", 3, 0)[2]
    for name in ("p_tail", "margin", "familiarity"):
        assert chance[name]["auc"] < 0.65 and chance[name]["recall"] < 0.1, chance


# --- output -----------------------------------------------------------------------------------------------


def test_text_and_page(tmp_path):
    data = sky(answers={"rival": sky().label})
    chosen = few(data, "equal", "rules")
    found = evaluate(chosen, data, n_folds=N_FOLDS, seeds=(0, 1))
    first = {m.name: (found.answers["source", m.name, 0].p, m.probabilities) for m in chosen}
    result = {
        "name": "small", "run_id": 7, "n": len(data), "classes": list(CLASSES),
        "n_class": {"AGN": 216, "Star": 90, "XRB": 54},
        "priors": dict(zip(CLASSES, PRIORS.tolist(), strict=True)), "properties": [p.name for p in PROPERTIES],
        "n_folds": N_FOLDS, "seeds_used": [0, 1], "flags": ["hr1 nearly tells AGN"], "folds": found.figures,
        "studies": studies.run_all(chosen[0], data, "source", first, 2, 0, quick=False),
    }  # fmt: skip
    said = text.text(result)
    for words in (
        "published: rival",
        "precision at priors",
        "no answer for",
        "without place on the sky",
        "Learning curve",
        "brightest third",
        "bright half, weighted by flux, priors estimated",
        "A class held out",
    ):
        assert words in said, words
    assert max(map(len, said.splitlines())) < 250
    index = page.html(result, tmp_path / "page")
    written = index.read_text()
    assert "hr1 nearly tells AGN" in written
    for name in ("comparison", "confusion", "reliability", "parts", "ablation", "learning_curve", "shift"):
        assert f"figures/{name}.png" in written
        assert (tmp_path / "page" / "figures" / f"{name}.png").stat().st_size > 5000
        assert (tmp_path / "page" / "figures" / f"{name}.pdf").exists()
    assert figures.comparison(result).axes
