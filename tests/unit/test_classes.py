"""Classes as data: what a pipeline file may say of them, which lines are blamed, and pipelines that extend others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from xcat.catalogues.definition import load
from xcat.errors import ConfigError
from xcat.jobs.classes import ClassRule, rules
from xcat.jobs.pipeline import Pipeline, read

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
_HEAD = "name: p\nxray: [{catalogue: rxs2}]\nreferences: [{catalogue: veron}]\n"


def _read(tmp_path: Path, text: str, name: str = "p.yaml") -> Pipeline:
    path = tmp_path / name
    path.write_text(text)
    return read(path)


def test_a_prior_alone_is_a_class(tmp_path: Path) -> None:
    pipeline = _read(tmp_path, _HEAD + "classes: {AGN: 0.7, XRB: {prior: 0.3, native: LMXB}}\n")
    assert pipeline.class_names == ["AGN", "XRB"]
    assert pipeline.class_priors == {"AGN": 0.7, "XRB": 0.3}
    assert pipeline.classes["AGN"] == ClassRule(prior=0.7)
    assert pipeline.classes["XRB"].native == ("LMXB",)


def test_the_class_of_the_reference_is_its_own_name_unless_said(tmp_path: Path) -> None:
    text = "classes:\n  A: 0.2\n  B: {prior: .2, of: AGN}\n  C: {prior: .3, native: [NS, 'P*']}\n"
    text += "  D: {prior: .3, of: XRB, native: LM*}\n"
    found = rules(_read(tmp_path, _HEAD + text).classes)
    assert [r["class"] for r in found] == ["A", "B", "C", "D"] and [r["position"] for r in found] == [0, 1, 2, 3]
    assert [r["of_class"] for r in found] == ["A", "AGN", None, "XRB"]
    assert [r["exact"] for r in found] == [[], [], ["NS"], []]
    assert [r["prefixes"] for r in found] == [[], [], ["P"], ["LM"]]
    assert json.loads(json.dumps(found)) == found  # they decide on the labels, and go into the run's configuration


def test_a_frozen_pipeline_reads_back_and_stays_short(tmp_path: Path) -> None:
    pipeline = _read(tmp_path, _HEAD + "classes: {AGN: 0.7, XRB: {prior: 0.3, where: extended}}\n")
    frozen = pipeline.model_dump(mode="json")
    assert frozen["classes"] == {"AGN": 0.7, "XRB": {"prior": 0.3, "where": "extended"}}
    assert Pipeline.model_validate(frozen) == pipeline


@pytest.mark.parametrize(
    ("classes", "line", "message"),
    [
        ("  A: 0.5\n  B: {prior: 0.5, nativ: LMXB}\n", 6, "classes.B.nativ: unknown key"),
        ("  A: 0.5\n  B:\n    prior: 0.5\n    where: nowhere\n", 8, "classes.B.where: .*'in_galaxy'"),
        ("  A: 0.5\n  B: {of: AGN}\n", 6, "classes.B.prior: is missing"),
        ("  A: 0.5\n  B: half\n", 6, "classes.B: give the prior of the class"),
        ("  A: 1.5\n  B: 0.5\n", 5, "classes.A.prior: .*less than 1"),
        ("  A: 0.5\n  B: 0.6\n", 4, "classes: .*add up to 1"),
        ("  A: 0.5\n  B: {prior: 0.5, native: ['']}\n", 6, "classes.B.native: .*at least 1 character"),
        ("  A: 0.5\n  B: {prior: 0.5, nucleus_arcsec: 2}\n", 6, "classes.B: 'nucleus_arcsec' belongs to"),
        ("  A: 0.5\n  B: {prior: 0.5, where: in_galaxy}\n", 6, "classes.B.where: .* sep_to_radius cannot be"),
    ],
)
def test_mistakes_are_told_with_file_and_line(tmp_path: Path, classes: str, line: int, message: str) -> None:
    with pytest.raises(ConfigError, match=rf"p\.yaml:{line}: {message}") as refused:
        _read(tmp_path, f"{_HEAD}classes:\n{classes}")
    assert len(str(refused.value).splitlines()) == 1


def test_a_label_of_place_is_no_property(tmp_path: Path) -> None:
    text = _HEAD + "classes: {A: {prior: 0.5, where: off_nuclear}, B: 0.5}\nproperties: [abs_b, hr1"
    assert _read(tmp_path, text + "]\n").property_list
    with pytest.raises(ConfigError, match="sep_to_radius cannot be a property"):
        _read(tmp_path, text + ", sep_to_radius]\n")


def test_a_pipeline_extends_another(tmp_path: Path) -> None:
    _read(tmp_path, _HEAD + "classes: {AGN: 0.7, XRB: 0.3}\nfolds: 5\n", "parent.yaml")
    # classes are replaced, not mixed
    child = _read(tmp_path, "extends: parent.yaml\nname: child\nclasses: {AGN: 0.5, CV: 0.5}\n")
    assert (child.name, child.class_names, child.folds) == ("child", ["AGN", "CV"], 5)
    with pytest.raises(ConfigError, match=r"p\.yaml:3: classes\.XRB: give the prior"):
        _read(tmp_path, "extends: parent.yaml\nname: child\nclasses: {XRB: much, CV: 0.5}\n")
    (tmp_path / "parent.yaml").write_text(_HEAD + "classes: {AGN: 0.7, XRB: 0.3}\nfolds: 1\n")
    with pytest.raises(ConfigError, match=r"parent\.yaml:5: folds"):  # the parent's mistake is in the parent
        _read(tmp_path, "extends: parent.yaml\nname: child\n")
    with pytest.raises(ConfigError, match=r"p\.yaml:1: extends: .*nobody\.yaml: no such file"):
        _read(tmp_path, "extends: nobody.yaml\n")
    with pytest.raises(ConfigError, match="goes round in a circle"):
        _read(tmp_path, "extends: p.yaml\n")


@pytest.mark.parametrize(
    ("name", "classes"),
    [("chandra", 4), ("simulated", 4), ("chandra8", 8), ("galaxies7", 7)],
)
def test_examples_parse(name: str, classes: int) -> None:
    pipeline = read(EXAMPLES / f"{name}.yaml")
    assert pipeline.name == name and len(pipeline.classes) == classes


def test_the_rivals_answers_are_a_catalogue_of_their_own() -> None:
    truth, answers = load("muwclass_td"), load("muwclass_answers")
    assert answers.columns["class_native"].from_ == ("Class",)
    assert answers.columns.keys() == truth.columns.keys() and answers.position_error == truth.position_error
    native = ["AGN", "YSO", "LM-STAR", "HM-STAR", "LMXB", "HMXB", "CV", "NS"]
    assert truth.classify_native(native).tolist() == ["AGN", "Star", "Star", "Star", "XRB", "XRB", "CV", ""]
    assert answers.classify_native(native).tolist() == ["AGN", "Star", "Star", "Star", "XRB", "XRB", "CV", "NS"]
