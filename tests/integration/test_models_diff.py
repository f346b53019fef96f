"""The list of models, and what differs between two of them: counted against the stored answers."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import two_models
from in_process import commands

from xcat.classifier import Model
from xcat.classifier.model import fit_tables
from xcat.classifier.posterior import contributions
from xcat.classifier.sample import Sample
from xcat.columns.properties import Property
from xcat.config import Settings
from xcat.database import partitions
from xcat.database.connection import ready
from xcat.database.runs import get, stage
from xcat.errors import XcatError
from xcat.jobs.changes import PRIOR
from xcat.models import store
from xcat.report.models import compare, model_text
from xcat.report.models.compare import AnswerChunk, ModelDifference, diff

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def runs(module_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    made = two_models.make(module_settings, tmp_path_factory.mktemp("sky"))
    # the same sources with other spectra: every fifth is softer, every seventh has no ratio any more
    with ready(module_settings) as conn:
        old = dict(
            conn.execute("SELECT to_jsonb(r) FROM xcat.run AS r WHERE run_id = %s", [made["properties"]]).fetchone()[0]
        )
    names = ("source_run_id", "link_run_id", "match_run_id")
    with stage(module_settings, "properties", "softer", {}, **{k: old[k] for k in names}) as run:
        for table in ("property", "hypothesis_property"):
            partitions.create(run.conn, table, run.run_id)
            copy, source = partitions.qualified(table, run.run_id), partitions.qualified(table, made["properties"])
            run.conn.execute(f"INSERT INTO {copy} SELECT * FROM {source}".encode())
            run.conn.execute(f"UPDATE {copy} SET run_id = {run.run_id}".encode())
            if table == "property":
                run.conn.execute(f"UPDATE {copy} SET hr1 = greatest(hr1 - 0.7, -0.95) WHERE source_id % 5 = 0".encode())
                run.conn.execute(f"UPDATE {copy} SET hr1 = NULL WHERE source_id % 7 = 0".encode())
            partitions.attach(run.conn, table, run.run_id)
    made["softer"] = run.run_id
    made["classify_softer"] = two_models.classify(module_settings, made, made["fit"], property_run_id=run.run_id)
    return made


def _stored(settings: Settings, run_id: int) -> tuple[Model, np.ndarray, np.ndarray, np.ndarray]:
    """Class numbers, probabilities and contributions of a classify run, as it stored them."""
    with ready(settings) as conn:
        (model_run_id,) = conn.execute("SELECT model_run_id FROM xcat.run WHERE run_id = %s", [run_id]).fetchone()
        model = store.load(conn, model_run_id)
        rows = conn.execute(
            "SELECT class, p, evidence FROM xcat.classification WHERE run_id = %s ORDER BY source_id", [run_id]
        ).fetchall()
    terms = np.array([row[2] for row in rows]).reshape(len(rows), len(model.term_names), len(model.classes))
    return (
        model,
        np.array([model.classes.index(row[0]) for row in rows]),
        np.array([row[1] for row in rows]),
        contributions(model, terms),
    )


def test_what_changes_is_what_is_stored(module_settings: Settings, runs: dict[str, int]) -> None:
    found = diff(module_settings, runs["fit"], runs["fit_category"], max_rows=30)
    old, a, p_old, said_old = _stored(module_settings, runs["classify"])
    new, b, p_new, said_new = _stored(module_settings, runs["classify_category"])
    assert found["n_sources"] == len(a) > 1200
    matrix = np.zeros((4, 4), dtype=int)
    np.add.at(matrix, (a, b), 1)
    assert found["matrix"] == {"classes": list(old.classes), "counts": matrix.tolist()}
    assert found["n_changed"] == np.sum(a != b) > 20
    assert found["sum_abs_dp"] == pytest.approx(np.abs(p_new - p_old).sum())
    assert sum(term["n_decided"] for term in found["terms"]) == found["n_changed"]

    dp = np.abs(p_new - p_old).sum(axis=1)
    changed = np.flatnonzero(a != b)
    order = changed[np.lexsort((changed, -dp[changed]))][:30]
    assert [row["source_id"] for row in found["sources"]] == (order + 1).tolist()
    for row, n in zip(found["sources"], order, strict=True):
        assert (row["old_class"], row["class"]) == (old.classes[a[n]], new.classes[b[n]])
        assert row["p_class"] == pytest.approx(p_new[n, b[n]])
        pushed = {PRIOR: (new.log_prior - old.log_prior)[b[n]] - (new.log_prior - old.log_prior)[a[n]]}
        for model, said, sign in ((old, said_old, -1), (new, said_new, 1)):
            for t, term in enumerate(model.term_names):
                pushed[term] = pushed.get(term, 0) + sign * (said[n, t, b[n]] - said[n, t, a[n]])
        # a sum of differences of terms, each stored with seven digits
        assert row["towards_new"] == pytest.approx(max(pushed.values()), abs=1e-5)
        assert pushed[row["term"]] == pytest.approx(row["towards_new"], abs=1e-5)
        assert row["name"]
    assert "by_value" not in found["terms"][0]
    assert found["values"] is None


def test_computed_or_stored_in_pieces_or_whole_it_is_the_same(
    module_settings: Settings, runs: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = diff(module_settings, runs["fit"], runs["fit_category"])
    monkeypatch.setattr(compare, "_CHUNK_ROWS", 97)
    assert diff(module_settings, runs["fit"], runs["fit_category"])["matrix"] == whole["matrix"]

    stored = compare._of_model
    with ready(module_settings) as conn:
        fitted = get(conn, runs["fit"])
        assert stored(conn, fitted, fitted).classify_run_id is not None

    def computed(*arguments: Any) -> compare.ComparedModel:
        return replace(stored(*arguments), classify_run_id=None)

    monkeypatch.setattr(compare, "_of_model", computed)
    again = diff(module_settings, runs["fit"], runs["fit_category"])
    assert again["matrix"] == whole["matrix"]
    assert again["sum_abs_dp"] == pytest.approx(whole["sum_abs_dp"], rel=1e-5)
    assert [row["source_id"] for row in again["sources"]] == [row["source_id"] for row in whole["sources"]]
    decided = [{term["term"]: term["n_decided"] for term in result["terms"]} for result in (whole, again)]
    assert decided[0] == decided[1]


def test_a_model_does_not_differ_from_itself(module_settings: Settings, runs: dict[str, int]) -> None:
    found = diff(module_settings, runs["fit"], runs["fit"])
    assert (found["n_changed"], found["sum_abs_dp"], found["sources"]) == (0, 0.0, [])
    assert found["n_sources"] == np.trace(found["matrix"]["counts"])


def test_best_match_is_compared_with_the_sum(module_settings: Settings, runs: dict[str, int]) -> None:
    found = diff(module_settings, runs["classify"], runs["best_match"])
    assert found["n_changed"] > 0
    # the accepted counterpart is the same in both: no term says anything else
    assert max(abs(term["towards_new"]) for term in found["terms"]) == 0


def test_new_values_are_told_from_new_tables(module_settings: Settings, runs: dict[str, int]) -> None:
    found = diff(module_settings, runs["classify"], runs["classify_softer"])
    assert found["n_changed"] > 2
    said = {term["term"]: term for term in found["terms"]}
    assert said["hr1"]["n_decided"] == found["n_changed"]
    for term in found["terms"]:
        assert term["by_table"] == pytest.approx(0, abs=1e-5)  # one model; evidence is stored as float32
        assert term["by_value"] == pytest.approx(term["towards_new"], abs=1e-5)
    assert said["hr1"]["by_value"] > 0.3
    with ready(module_settings) as conn:
        query = "SELECT source_id, hr1 FROM xcat.property WHERE run_id = %s ORDER BY 1"
        old, new = (dict(conn.execute(query, [runs[k]]).fetchall()) for k in ("properties", "softer"))
    other = sum(v is not None and new[i] is not None and v != new[i] for i, v in old.items())
    gone = sum(v is not None and new[i] is None for i, v in old.items())
    values = {row["property"]: row for row in found["values"]}
    came = sum(v is None and new[i] is not None for i, v in old.items())
    assert values["hr1"] == {"property": "hr1", "n_differ": other, "n_only_new": came, "n_only_old": gone}
    assert min(other, gone) > 50
    assert all(row["n_differ"] == row["n_only_old"] == 0 for name, row in values.items() if name != "hr1")
    assert found["notes"] == [f"the properties are of two runs, {runs['properties']} and {runs['softer']}"]


def test_models_of_two_properties_runs_are_asked_of_the_newer(
    module_settings: Settings, runs: dict[str, int], cli: Any
) -> None:
    lineage = {"property_run_id": runs["softer"], "label_run_id": runs["label"], "source_run_id": runs["merge"]}
    with stage(module_settings, "fit", "copied", {"of": runs["fit"]}, **lineage) as run:
        store.store(run.conn, run.run_id, store.load(run.conn, runs["fit"]))
    found = diff(module_settings, runs["fit"], run.run_id)
    assert found["property_run_ids"] == {"old": runs["softer"], "new": runs["softer"]}
    assert found["n_changed"] == 0  # one model, stored answers against computed ones
    assert found["sum_abs_dp"] == pytest.approx(0, abs=1e-7 * found["n_sources"] * 4)
    (hr1,) = (row for row in found["values"] if row["property"] == "hr1")
    assert min(hr1["n_differ"], hr1["n_only_old"]) > 50
    assert found["notes"][0].endswith(f"both models are applied to those of run {runs['softer']}")
    (row,) = (row for row in json.loads(cli("models", "--json")) if row["run_id"] == run.run_id)
    assert row["accuracy"] is None  # the copy has not been cross-validated
    assert "accuracy -" in cli("models", run.run_id)
    assert found["notes"][0] in cli("diff", runs["fit"], run.run_id)


def test_tables_and_values_add_up(
    module_settings: Settings, runs: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another model and other values: the parts are what each of the two changes alone would do, in turn."""
    monkeypatch.setattr(compare, "_CHUNK_ROWS", 500)
    both = two_models.classify(module_settings, runs, runs["fit_category"], property_run_id=runs["softer"])
    found = diff(module_settings, runs["classify"], both)
    for term in (*found["terms"], *found["sources"]):
        assert term["by_value"] + term["by_table"] == pytest.approx(term["towards_new"], abs=1e-9)
    said = {term["term"]: term for term in found["terms"]}
    assert abs(said["hr1"]["by_value"]) > 1e-3
    assert abs(said["hr1"]["by_table"]) > 1e-3
    assert said[PRIOR]["by_value"] == 0
    assert said["hr1*hr2"]["by_value"] == 0  # the old model has no such pair
    assert abs(said["hr1*hr2"]["by_table"]) > 1e-3


def test_classes_that_one_model_does_not_know() -> None:
    prop = Property("x", "location", "linear", 0.0, 10.0, False, False)
    x = np.random.default_rng(1).uniform(0, 10, (300, 1))
    sample = Sample((prop,), x)
    two = fit_tables(sample, (x[:, 0] > 5).astype(int), ("a", "b"), [0.5, 0.5])
    three = fit_tables(sample, np.digitize(x[:, 0], [3, 5]), ("a", "c", "b"), [0.4, 0.3, 0.3])
    number = np.array([1, 2])
    difference = ModelDifference(two, three, split=False, max_rows=5)
    start = [np.tile(model.log_prior, (2, 1)) for model in (two, three)]
    pushed = np.full((2, 1, 3), [0, 2.0, 0])
    difference.add(
        AnswerChunk(number, np.array([0, 1]), np.array([[0.9, 0.1], [0.2, 0.8]]), np.zeros((2, 1, 2)), start[0]),
        AnswerChunk(number, np.array([1, 2]), np.array([[0.2, 0.7, 0.1], [0.1, 0.1, 0.8]]), pushed, start[1]),
        None,
    )
    found = difference.result({n: {"name": str(n)} for n in (1, 2)})
    assert found["matrix"] == {"classes": ["a", "b", "c"], "counts": [[0, 0, 1], [0, 1, 0], [0, 0, 0]]}
    assert found["sum_abs_dp"] == pytest.approx(0.7 + 0.7 + 0.1 + 0.1)
    (row,) = found["sources"]
    assert (row["old_class"], row["class"], row["term"]) == ("a", "c", "x")
    assert row["towards_new"] == pytest.approx(2.0)


def test_runs_that_cannot_be_compared(module_settings: Settings, runs: dict[str, int]) -> None:
    for one, two, message in (
        ("fit", "classify", f"Compare their models: xcat diff {runs['fit']} {runs['fit']}"),
        ("merge", "fit", "is a merge run"),
    ):
        with pytest.raises(XcatError, match=message):
            diff(module_settings, runs[one], runs[two])
    with pytest.raises(XcatError, match="there is no run 999"):
        diff(module_settings, runs["fit"], 999)
    with stage(module_settings, "classify", "x", {}, source_run_id=runs["link"], model_run_id=runs["fit"]) as run:
        other = run.run_id
    with pytest.raises(XcatError, match="classify different sources"):
        diff(module_settings, runs["classify"], other)


# --- models -------------------------------------------------------------------------------------------------


def test_the_weight_of_a_term_is_its_exponent() -> None:
    k = 4
    plain, shared = np.eye(k), np.tile([1.0, -2.0, 0.5, 3.0], (k, 1))
    mixing = np.stack([plain, 0.3 * plain, 0 * plain, 0.3 * plain + shared])
    assert model_text.term_weights(mixing) == pytest.approx([1, 0.3, 0, 0.3])
    # what all classes share changes no answer, and so not the weight
    advantage = np.array([1.0, 2, 3, -6])
    said = [advantage @ m.T for m in mixing[[1, 3]]]
    assert np.ptp(said[1] - said[0]) == pytest.approx(0)


@pytest.fixture
def cli(module_settings: Settings, runs: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> Any:
    return commands(module_settings, monkeypatch)


def test_models_are_listed(cli: Any, runs: dict[str, int]) -> None:
    rows = [row for row in json.loads(cli("models", "--json")) if row["name"] != "copied"]
    assert [row["run_id"] for row in rows] == [runs["fit_category"], runs["fit"]]
    assert [row["weighting"] for row in rows] == ["given", "property"]
    assert all(0.5 < row["accuracy"] <= 1 and row["log_loss"] > 0 for row in rows)
    assert not any(row["published"] for row in rows)
    cli("publish", runs["best_match_category"])
    rows = [row for row in json.loads(cli("models", "--json")) if row["name"] != "copied"]
    assert [row["published"] for row in rows] == [True, False]
    text = cli("models")
    assert f"{runs['fit_category']} *" in text
    assert "the newest 1" in cli("models", "--limit", 1)


def test_one_model_is_shown(cli: Any, runs: dict[str, int]) -> None:
    found = json.loads(cli("models", runs["fit_category"], "--json"))
    weights = {term["term"]: term["weight"] for term in found["terms"]}
    share = 2.0 / (1 + 0.7 + 1.5 + 0.4)
    assert weights["hr1"] == pytest.approx(0.7 * share)
    assert weights["log_fx_fr*bp_rp"] == pytest.approx(1.5 * share)
    assert (weights["abs_b"], weights["abs_b*log_fx"]) == (0, 1)  # its place is taken by the prior
    assert found["weights"] == {"location": 1, "spectrum": 0.7, "multiwavelength": 1.5, "variability": 0.4}
    classes = found["classes"]
    assert {name: row["prior_given"] for name, row in classes.items()} == {
        "AGN": 0.66,
        "Star": 0.25,
        "XRB": 0.07,
        "CV": 0.02,
    }
    assert sum(row["prior"] for row in classes.values()) == pytest.approx(1)
    assert classes["AGN"]["prior"] == classes["AGN"]["prior_given"], "a prior of the sky keeps that of the whole"
    hr1 = next(term for term in found["terms"] if term["term"] == "hr1")
    assert hr1["with_errors"]
    assert all(h > 0 for h in hr1["bandwidth"].values())
    assert found["lineage"]["property_run_id"] == runs["properties"]
    assert "numpy" in found["versions"]
    text = cli("models", runs["fit_category"])
    assert "log_fx_fr*bp_rp" in text
    assert "properties" not in found


def test_a_difference_is_told(cli: Any, runs: dict[str, int]) -> None:
    text = cli("diff", runs["fit"], runs["fit_category"], "--max-rows", 3)
    found = json.loads(cli("diff", runs["fit"], runs["fit_category"], "--max-rows", 3, "--json"))
    assert f"{found['n_changed']:,} of {found['n_sources']:,} sources change class" in text
    assert len(found["sources"]) == 3
    assert all(row["name"] in text for row in found["sources"])
    assert "the 3 that changed the most" in text
    assert "weight of gamma" in text  # of the first model only
    softer = cli("diff", runs["classify"], runs["classify_softer"])
    assert "sources with another value" in softer
    assert "by value" in softer
    assert not json.loads(cli("diff", runs["fit"], runs["fit_category"], "--max-rows", 0, "--json"))["sources"]
