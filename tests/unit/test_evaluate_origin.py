"""Labels of another origin: what is held out together, a second table, and what tells origins apart."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelled_sky import CLASSES, sky
from test_evaluate_protocol import Spy, few, numbered

from xcat.classifier.held_out import folds
from xcat.classifier.sample import Sample
from xcat.errors import ConfigError, InputError
from xcat.evaluate import grouping, leakage, methods, page, scores, studies, text
from xcat.evaluate.protocol import Labelled, check, evaluate, out_of_fold, with_origin
from xcat.evaluate.second_origin import evaluate_second
from xcat.own import labelled_table

# --- what is held out together ----------------------------------------------------------------------------


def by_origin(origin: list[str], label: list[int], source: Any = None, cell: Any = None) -> Any:
    n = len(origin)
    source = np.arange(n) if source is None else np.array(source)
    cell = np.arange(n) if cell is None else np.array(cell)
    return grouping.by_origin(np.array(origin), np.array(label), ("a", "b"), source, cell)


def same(groups: np.ndarray) -> list[list[int]]:
    """Groups as lists of their members."""
    return sorted(np.flatnonzero(groups == g).tolist() for g in np.unique(groups))


def test_literature_sources_are_whole_within_a_class_of_three():
    origin = ["x", "x", "y", "z", "x", "y", "", "x"]
    label = [0, 0, 0, 0, 1, 1, 0, 0]
    groups, lines = by_origin(origin, label, cell=[1, 2, 3, 4, 5, 5, 6, 6])
    assert same(groups) == [[0, 1, 7], [2], [3], [4, 5], [6]], "class b has two, and is divided by its cell"
    assert lines == [
        "by origin: a has labels of 3 literature sources; the largest, x, has 3 of 6 labels; 1 of unknown origin are "
        "divided by cells of the sky",
        "by origin: b has labels of 2 literature sources, and is divided by cells of the sky",
    ]


def test_an_object_joins_the_literature_sources_of_its_labels():
    groups, _ = by_origin(["w", "x", "y", "z"], [0, 0, 0, 0], source=[1, 1, 2, 3])
    assert same(groups) == [[0, 1], [2], [3]]
    groups, lines = by_origin(["x", "y", "z", "z"], [0, 0, 0, 0], source=[1, 1, 1, 2])
    assert groups is None, "one object has labels of all: what is left is one group"
    assert lines[0].startswith("by origin: a has labels of 3 literature sources, 1 of them without common objects")


def test_a_literature_source_of_more_than_half_a_class_is_told():
    _, lines = by_origin(["x"] * 6 + ["y", "z"], [0] * 8)
    assert lines[0].endswith("the largest, x, has 6 of 8 labels: the folds are uneven")


@given(st.integers(0, 1000), st.integers(2, 8))
def test_folds_by_origin_keep_objects_and_origins_whole(seed, n_origins):
    rng = np.random.default_rng(seed)
    data = sky(120, seed)
    share = 1.0 / np.arange(1, n_origins + 1) ** 2
    origin = rng.choice(np.array([f"paper {i}" for i in range(n_origins)]), len(data), p=share / share.sum())
    found = with_origin(data, origin)
    if "origin" not in found.groups:
        return
    groups = found.groups["origin"]
    fold = folds(data.label, groups, 5, seed)
    assert np.array_equal(fold, folds(data.label, groups, 5, seed))
    for object_ in np.unique(data.groups["source"]):
        assert np.unique(fold[data.groups["source"] == object_]).size == 1
    for k, note in enumerate(found.notes):
        if "divided by cells" not in note:
            for name in np.unique(origin):
                assert np.unique(fold[(data.label == k) & (origin == name)]).size <= 1


def test_without_three_literature_sources_there_are_no_folds_by_origin():
    data = with_origin(sky(), np.full(360, "one"))
    assert list(data.groups) == ["source", "sky"] and data.notes == ()


# --- answers for the mix of all ---------------------------------------------------------------------------


def papers(data: Labelled) -> Labelled:
    """Labels of nine papers; one has more than half of the stars."""
    of_object = data.groups["source"]
    name = np.where((data.label == 1) & (of_object % 5 < 3), 0, 1 + of_object % 8)
    return with_origin(data, np.array([f"paper {i}" for i in name]))


def test_the_mix_of_the_answers_is_that_of_all_whatever_is_held_out():
    data, spy = numbered(papers(sky())), Spy()
    result = out_of_fold(spy, data, "origin", 4, 0)
    assert result.p == pytest.approx(np.repeat(data.mix[None], len(data), axis=0))
    shares = [np.bincount(label, minlength=3)[1] / label.size for _, label, _ in spy.shown]
    assert min(shares) == pytest.approx(0.6 * data.mix[1]), "the paper with most stars was held out"
    for train, _, test in spy.shown:
        for k in range(3):
            at = [np.unique(data.origin[part][data.label[part] == k]) for part in (train, test)]
            assert np.intersect1d(*at).size == 0, "no paper of a class is on both sides"


@dataclass
class Constant:
    """A classifier of scikit-learn's kind that answers with the frequencies of what it was shown."""

    random_state: int = 0
    class_weight: str | None = None

    def fit(self, values: np.ndarray, label: np.ndarray) -> Constant:
        self.classes_, n = np.unique(label, return_counts=True)
        self.mix = n / n.sum()
        return self

    def predict_proba(self, values: np.ndarray) -> np.ndarray:
        return np.repeat(self.mix[None], len(values), axis=0)


@pytest.mark.parametrize("options", [{}, {"class_weight": "balanced"}])
def test_other_classifiers_answer_for_the_same_mix_unless_they_are_balanced(monkeypatch, options):
    monkeypatch.setattr(methods.Baseline, "load", lambda self: Constant)
    method = methods.Baseline("c", "c", "p", "m", "k", options)
    data = papers(sky())
    training = data.training("origin", np.flatnonzero(data.origin != "paper 0"))
    p = method.fit_predict(training, data.sample.take([0]), 0)[0]
    assert p == pytest.approx(training.frequencies if options else data.mix)


# --- a second origin --------------------------------------------------------------------------------------


def test_methods_are_fitted_to_all_of_the_first_and_asked_for_all_of_the_second():
    data, second, spy = numbered(sky()), numbered(sky(90, 2)), Spy()
    found = evaluate_second([spy], data, second, "sky", (0, 1))
    for train, label, test in spy.shown:
        assert np.array_equal(train, np.arange(360)) and np.array_equal(label, data.label)
        assert np.array_equal(test, np.arange(len(second)))
    part = found.figures["second_origin"]
    assert (part["n"], part["inner_folds"]) == (len(second), "sky")
    entry = part["methods"]["spy"]["mean"]
    assert entry["log_loss"] == pytest.approx(-np.log(data.mix[second.label]).mean())
    weight = second.priors / np.bincount(second.label)
    assert entry["at_priors"]["log_loss"] == pytest.approx(
        -(weight[second.label] * np.log(second.priors[second.label])).sum() / second.priors.sum()
    ), "from the mix of the first, which the answers are for"
    assert part["own_priors"]["spy"]["log_loss"] == pytest.approx(entry["log_loss"]), "answers that tell nothing"


def test_priors_that_a_second_origin_tells_without_its_labels():
    """A method that knows the classes answers for the mix of the first; the second has another one."""
    data, second = numbered(sky()), numbered(sky(3000, 2))
    rng = np.random.default_rng(4)
    second = replace(second, label=rng.choice(3, len(second), p=[0.1, 0.1, 0.8]))
    seen = np.where(rng.random(len(second)) < 0.7, second.label, rng.integers(0, 3, len(second)))
    likelihood = np.where(np.eye(3)[seen] > 0, 0.8, 0.1)
    knowing = likelihood * data.mix / (likelihood @ data.mix)[:, None]
    spy = Spy()
    spy.fit_predict = lambda train, test, seed: knowing  # type: ignore[method-assign]
    part = evaluate_second([spy], data, second, "sky", (0,)).figures["second_origin"]
    raw, own = part["methods"]["spy"]["mean"], part["own_priors"]["spy"]
    shares = np.bincount(second.label) / len(second)
    best = likelihood * shares / (likelihood @ shares)[:, None]
    best_loss = -np.log(best[np.arange(len(second)), second.label]).mean()
    assert own["log_loss"] == pytest.approx(best_loss, abs=0.01) and own["log_loss"] < raw["log_loss"] - 0.1


def test_paired_differences_by_hand():
    loss, reference = np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.5, 2.0, 2.0, 5.0])
    found = scores.paired(loss, reference, np.arange(4))
    assert found["difference"] == pytest.approx(0.125)
    low, high = found["interval"]
    assert -1.0 <= low < 0.125 < high <= 1.0
    weighted = scores.paired(loss, reference, np.arange(4), np.array([2.0, 0.0, 0.0, 1.0]))
    assert weighted["difference"] == pytest.approx(0.0)
    assert scores.paired(loss, reference, np.zeros(4, int))["interval"] == pytest.approx([0.125, 0.125]), "one object"


def test_positions_near_others():
    position = np.array([[10.0, 0.0], [10.0, 1.0], [np.nan, 2.0]])
    others = np.array([[10.0, 1.9 / 3600], [10.0, 1.0 + 2.1 / 3600], [np.nan, 2.0]])
    assert grouping.near(position, others, 2.0).tolist() == [True, False, False]


# --- tables -----------------------------------------------------------------------------------------------


def write(path: Path, offset_deg: float = 0.0, pm: float = 1.0, **columns: Any) -> Path:
    """A table of two classes with 40 rows each, and papers p0 to p3."""
    rng = np.random.default_rng(0)
    lines = ["ra,dec,kind,hr1,log_fx,PM,Class_ref" + "".join(f",{c}" for c in columns)]
    for i in range(80):
        k = i % 2
        row = [100.0 + i + offset_deg, -10.0, "QSO" if k else "star", f"{0.3 * k + 0.1 * rng.standard_normal():.4f}"]
        motion = pm * (5 - 4 * k) * rng.uniform(0.5, 2)
        row += [-13.0 - k + 0.1 * rng.standard_normal(), f"{motion:.5g}", f" p{i // 20}"]
        lines.append(",".join(map(str, [*row, *columns.values()])))
    path.write_text("\n".join(lines) + "\n")
    return path


def first(tmp_path: Path, **options: Any) -> tuple[Labelled, list[str]]:
    path = write(tmp_path / "first.csv", gamma=1.7)
    return labelled_table.of_table(path, "kind", class_map={"QSO": "AGN", "star": "Star"}, **options)


def test_the_reference_of_a_label_is_guessed_given_or_refused(tmp_path):
    data, messages = first(tmp_path)
    assert data.origin is not None and np.unique(data.origin).tolist() == ["p0", "p1", "p2", "p3"]
    assert np.unique(data.groups["origin"]).size == 8, "four papers in each of two classes"
    assert any(m.endswith("the reference of a label is Class_ref (name)") for m in messages)
    assert "by origin: AGN has labels of 4 literature sources; the largest, p0, has 10 of 40 labels" in messages
    data, _ = first(tmp_path, origin="")
    assert "origin" not in data.groups
    with pytest.raises(InputError, match=r"no column 'paper'\. There are: ra, dec, kind"):
        first(tmp_path, origin="paper")


def test_a_second_table_has_the_classes_and_shared_properties_of_the_first(tmp_path):
    data, _ = first(tmp_path)
    other = write(tmp_path / "second.csv", 1.9 / 3600 / np.cos(np.radians(10.0)) + 40)
    second, messages = labelled_table.second_table(data, other, "kind", class_map={"star": "Star", "QSO": "AGN"})
    assert second.classes == data.classes == ("AGN", "Star")
    assert len(second) == 40 and second.source_id.tolist() == list(range(41, 81)), "the others are in the first"
    assert [data.classes[k] for k in second.label[:2]] == ["Star", "AGN"]
    names = [p.name for p in second.sample.properties]
    assert names == [p.name for p in data.sample.properties if p.name != "gamma"]
    assert second.sample.values[0, names.index("hr1")] == pytest.approx(data.sample.values[40, names.index("hr1")])
    assert any("40 sources within 2 arcsec of one to train on" in m for m in messages)
    assert any(m.endswith("only these are used for it; without gamma") for m in messages)


def test_what_is_wrong_with_a_second_table_is_told(tmp_path):
    data, _ = first(tmp_path)
    other = write(tmp_path / "second.csv", 45.0, pm=1e-3)
    mapped = {"star": "Star", "QSO": "AGN"}
    with pytest.raises(InputError, match=r"Column 'PM' has no unit.*--test-column 'pm_mas_yr=PM@UNIT'"):
        labelled_table.second_table(data, other, "kind", class_map=mapped)
    columns = {"pm_mas_yr": "PM@arcsec/yr"}
    second, _ = labelled_table.second_table(data, other, "kind", class_map=mapped, columns=columns)
    names = [p.name for p in second.sample.properties]
    assert np.median(second.sample.values[:, names.index("pm_mas_yr")]) > 0.5
    with pytest.raises(ConfigError, match="class CV is none of those to train on: AGN, Star"):
        labelled_table.second_table(data, other, "kind", class_map={"star": "CV"}, columns=columns)
    with pytest.raises(InputError, match="no row's 'kind' is one of AGN, Star"):
        labelled_table.second_table(data, other, "kind", columns=columns)
    with pytest.raises(InputError, match="no column 'class'"):
        labelled_table.second_table(data, other, "class")
    wrong = "--test-column nonsense=...: there is no property"
    with pytest.raises(ConfigError, match=wrong):
        labelled_table.second_table(data, other, "kind", columns={"nonsense": "PM"})
    again = write(tmp_path / "again.csv")
    with pytest.raises(InputError, match="every labelled source is one to train on, too"):
        labelled_table.second_table(data, again, "kind", class_map=mapped)


# --- what tells origins apart -----------------------------------------------------------------------------


def test_areas_of_chance_of_a_copy_and_of_what_is_not_monotone():
    rng = np.random.default_rng(3)
    told, everywhere = np.arange(400) % 4 == 0, np.ones(400, dtype=bool)
    noise = rng.standard_normal(400)
    chance = leakage.area(noise, [("a", everywhere, told)])
    assert chance is not None and abs(chance.auc - 0.5) < 4 * chance.error and chance.error < 0.05
    middle = leakage.area(np.where(told, 0.1 * noise, np.sign(noise) * (1 + abs(noise))), [("a", everywhere, told)])
    assert middle is not None and middle.auc > 0.95
    missing = leakage.area(np.where(told, np.nan, noise), [("a", everywhere, told), ("b", everywhere, told)])
    assert missing is not None and missing.auc == 1.0 and missing.classes == {"a": 1.0, "b": 1.0}
    assert leakage.area(noise, [("a", everywhere, np.arange(400) < 9)]) is None, "too few"


def test_a_property_that_tells_the_origin_comes_first():
    data, second = papers(sky()), sky(180, 9)
    values = second.sample.values.copy()
    names = [p.name for p in data.sample.properties]
    values[:, names.index("hr1")] = np.clip(values[:, names.index("hr1")] + 0.4, -1, 1)
    second = replace(second, sample=Sample(second.sample.properties, values).select([n for n in names if n != "gamma"]))
    found = leakage.origin_leaks(data, second)
    assert found[0]["property"] == "hr1"
    by_name = {row["property"]: row for row in found}
    assert by_name["hr1"]["origin_auc"] > 0.8 and set(by_name["hr1"]["classes"]) == set(CLASSES)
    assert by_name["gamma"]["origin_auc"] is None, "the second origin does not have it"
    for row in found[1:]:
        assert abs((row["origin_auc"] or 0.5) - 0.5) < 0.1 and abs(row["literature_auc"] - 0.5) < 0.1
    assert by_name["abs_b"]["class_auc"] > 0.8 and by_name["abs_b"]["class_share"] > 0.2


def test_the_ablation_has_the_figures_of_the_second_origin_too():
    data, second = sky(), sky(90, 2)
    second = replace(second, sample=second.sample.select(["hr1", "abs_b", "log_fx_fw1"]))
    (method,) = few(data, "equal")
    found = {r["without"]: r for r in studies.ablation(method, data, "source", 2, 0, second=second)}
    whole = evaluate_second([method], replace(data, sample=data.sample.select(["hr1", "abs_b", "log_fx_fw1"])), second,
                            "source", (0,)).figures["second_origin"]["methods"]["equal"]["mean"]  # fmt: skip
    assert found["all properties"]["second"]["n"] == 90
    for without in ("all properties", "gamma", "log_flux_ratio"):
        assert found[without]["second"]["log_loss"] == pytest.approx(whole["log_loss"]), "it has not these"
    assert found["log_fx_fw1"]["second"]["log_loss"] > whole["log_loss"] + 0.02
    lines = text.study_lines({"ablation": list(found.values()), "method": "equal", "n_folds": 2}, CLASSES)
    assert lines[2].endswith("XRB F1  accuracy  log-loss of second origin")


# --- output -----------------------------------------------------------------------------------------------


def test_the_second_origin_and_folds_by_origin_are_printed_first(tmp_path):
    data, second = papers(sky(answers={"rival": sky().label})), sky(90, 2)
    chosen = few(data, "equal", "rules", "forest")
    check(data, 3, ("origin", "source"))
    of_second = evaluate_second(chosen, data, second, "origin", (0,))
    found = evaluate(chosen, data, n_folds=3, seeds=(0,), kinds=("origin", "source"))
    parts = of_second.figures | found.figures
    for part in parts.values():
        assert part["paired"]["reference"] == "equal" and list(part["paired"]["log_loss"]) == ["forest"], "no rules"
        one, two = (part["methods"][m]["mean"] for m in ("equal", "forest"))
        difference = {of: part["paired"][of]["forest"]["difference"] for of in ("log_loss", "at_priors")}
        assert difference["log_loss"] == pytest.approx(two["log_loss"] - one["log_loss"])
        assert difference["at_priors"] == pytest.approx(two["at_priors"]["log_loss"] - one["at_priors"]["log_loss"])
    first_seed = {m.name: (found.answers["origin", m.name, 0].p, m.probabilities) for m in chosen}
    result = {
        "name": "small", "run_id": 7, "n": len(data), "classes": list(CLASSES), "n_class": data.n_class,
        "priors": dict(zip(CLASSES, data.priors.tolist(), strict=True)), "properties": ["hr1"], "n_folds": 3,
        "seeds_used": [0], "flags": [], "folds": parts,
        "studies": studies.run_all(chosen[0], data, "origin", first_seed, 2, 0, True, second=second),
    }  # fmt: skip
    lines = text.text(result).splitlines()
    order = [line.split(":")[0].split(",")[0] for line in lines if line.startswith(("Second origin", "Folds by"))]
    assert order == ["Second origin", "Folds by origin", "Folds by source"]
    said = "\n".join(lines)
    assert "Second origin, 90 sources (AGN 54, Star 22, XRB 14), 5 properties: fitted to all labelled sources" in said
    assert said.count("priors estimated from these sources, without labels") == 1
    assert "log-loss above that of tables, unweighted" in said and "second origin  literature sources" in said
    written = page.html(result, tmp_path / "page").read_text()
    assert "priors estimated from these sources" in written.lower()
    assert "What tells the origin" in written and written.index("Second origin, 90") < written.index("Folds by origin")
