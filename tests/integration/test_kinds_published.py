"""Kinds of classes from the pipeline file to the pages: stored, read, published, explained and compared as classes."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import yaml
from astropy.table import Table
from example_pipeline import EXAMPLE
from in_process import commands
from served import serving
from tiny import rows

import xcat
from xcat.classifier import Model, Sample, classify, evidence
from xcat.classifier.posterior import _Terms, contribution, posterior, softmax
from xcat.config import Settings
from xcat.database.connection import ready
from xcat.errors import ConfigError
from xcat.jobs.evaluation import of_pipeline
from xcat.jobs.pipeline import Plan, read
from xcat.jobs.runner import Runner
from xcat.models import samples, store
from xcat.report.run import run_page
from xcat.simulate import simulate

pytestmark = pytest.mark.slow

CLASSES = ("AGN", "Star", "XRB", "CV")
KINDS = {"Blazar": "AGN", "AGN": "AGN", "Young": "Star", "Star": "Star", "XRB": "XRB", "CV": "CV"}
OF_CLASSES = {
    "AGN": {"prior": 0.66, "kinds": {"Blazar": ["BL*", "QSO"]}},
    "Star": {"prior": 0.25, "kinds": {"Young": ["YSO", "Flare"], "Rare": ["none"], "Nearby": ["sim_ref_cv"]}},
    "XRB": {"prior": 0.07, "kinds": ["LMXB", "HMXB"]},
    "CV": 0.02,
}
"""Members of no kind are one more; of X-ray binaries there are too few for any."""
SAME = {
    "extends": str(EXAMPLE),
    "folds": 3,
    "properties": ["abs_b", "pm_mas_yr", "hr1", "log_fx", "log_fx_fr", "bp_rp"],
}
WITH_KINDS = SAME | {"classes": OF_CLASSES, "pairs": [["log_fx_fr", "bp_rp"]], "replicates": 4}
PLAIN = SAME | {"classes": {"AGN": 0.66, "Star": 0.25, "XRB": 0.07, "CV": 0.02}, "replicates": 0}
Made = dict[str, Any]
Cli = Callable[..., str]


def write(folder: Path, name: str, content: dict[str, Any]) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


@pytest.fixture(scope="module")
def made(module_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Folder, pipeline files, and run numbers by stage: "plain" without kinds, "kinds" with them and published."""
    sky, folder = tmp_path_factory.mktemp("sky"), tmp_path_factory.mktemp("pipelines")
    simulate(900, 5, sky)
    shutil.rmtree(sky / "truth")
    found: Made = {"sky": sky, "file": {}}
    for name, content in (("plain", PLAIN), ("kinds", WITH_KINDS)):
        found["file"][name] = write(folder, name, content)
        found[name] = Runner(module_settings, Plan(read(found["file"][name]), sky)).run()
    return found


@pytest.fixture
def cli(module_settings: Settings, made: Made, monkeypatch: pytest.MonkeyPatch) -> Cli:
    return commands(module_settings, monkeypatch)


@pytest.fixture(scope="module")
def model(module_settings: Settings, made: Made) -> Model:
    with ready(module_settings) as conn:
        return store.load(conn, made["kinds"]["fit"])


@pytest.fixture(scope="module")
def known(module_settings: Settings, made: Made, model: Model) -> tuple[np.ndarray, Sample]:
    """Numbers and properties of all sources, with their counterpart hypotheses."""
    layout = samples.Layout.of_model(model, best_match=False)
    with ready(module_settings) as conn, ready(module_settings) as second:
        ((table, sample),) = samples.every_source(conn, second, layout, made["kinds"]["properties"], 100_000)
    return table["source_id"], sample


# --- the model ----------------------------------------------------------------------------------------------


def test_kinds_are_stored_with_the_model_and_its_labels(module_settings: Settings, made: Made, model: Model) -> None:
    kinds = dict(zip(model.classes, model.part_of or (), strict=True))
    assert kinds == KINDS and model.answers == CLASSES  # nobody is of the rare kind, too few X-ray binaries of any
    query = "SELECT coalesce(class_kind, class) AS kind, count(*) AS n FROM xcat.label WHERE run_id = %s"
    labels = rows(module_settings, f"{query} AND status = 'used' GROUP BY 1", [made["kinds"]["label"]])
    count = {row["kind"]: row["n"] for row in labels}
    n_reference = dict(zip(model.classes, model.n_reference, strict=True))
    assert n_reference["XRB"] == sum(count.get(kind, 0) for kind in ("XRB", "LMXB", "HMXB"))
    assert all(n_reference[kind] == count[kind] >= 15 for kind in ("Blazar", "AGN", "Young", "Star"))
    native = rows(
        module_settings,
        "SELECT DISTINCT class_native, class_kind FROM xcat.label WHERE run_id = %s AND class IN ('AGN', 'Star')",
        [made["kinds"]["label"]],
    )
    assert {row["class_native"] for row in native if row["class_kind"] == "Blazar"} == {"BLLac", "QSO"}
    assert {row["class_native"] for row in native if row["class_kind"] == "Young"} == {"YSO", "Flare"}
    (summary,) = rows(module_settings, "SELECT summary FROM xcat.run WHERE run_id = %s", [made["kinds"]["fit"]])
    assert summary["summary"]["kinds"] == {
        "AGN": [k for k in model.classes if KINDS[k] == "AGN"],
        "Star": [k for k in model.classes if KINDS[k] == "Star"],
        "XRB": ["XRB"],
        "CV": ["CV"],
    }
    assert [summary["summary"]["priors"][c] for c in CLASSES] == pytest.approx(model.answer_priors)
    assert model.behind is not None and model.behind.tolist() == [k in ("Blazar", "AGN") for k in model.classes]


def test_a_run_without_kinds_is_that_of_before(module_settings: Settings, made: Made) -> None:
    (config,) = rows(module_settings, "SELECT config FROM xcat.run WHERE run_id = %s", [made["plain"]["label"]])
    assert all(not {"kinds", "fits"} & set(rule) for rule in config["config"]["classes"])
    assert made["plain"]["label"] != made["kinds"]["label"]
    assert made["plain"]["properties"] == made["kinds"]["properties"]
    with ready(module_settings) as conn:
        plain = store.load(conn, made["plain"]["fit"])
    assert plain.part_of is None and plain.answers == plain.classes == CLASSES
    again = Runner(module_settings, Plan(read(made["file"]["kinds"]), made["sky"])).run(only="fit")
    assert again["fit"] == made["kinds"]["fit"]


# --- what is published --------------------------------------------------------------------------------------


def test_what_is_published_is_of_the_classes(
    module_settings: Settings, made: Made, model: Model, known: tuple[np.ndarray, Sample]
) -> None:
    source_id, sample = known
    run = made["kinds"]["classify"]
    published = rows(module_settings, "SELECT classes FROM pub.runs WHERE run_id = %s", [run])
    assert published == [{"classes": list(CLASSES)}]
    expected = classify(model, sample)
    stored = rows(
        module_settings, "SELECT p, class, p_err FROM xcat.classification WHERE run_id = %s ORDER BY source_id", [run]
    )
    order = np.argsort(source_id)
    assert np.array([row["p"] for row in stored]) == pytest.approx(expected.p[order], abs=1e-6)
    assert np.array([row["p_err"] for row in stored]) == pytest.approx(expected.p_err[order], abs=1e-5)
    assert [row["class"] for row in stored] == [CLASSES[c] for c in expected.class_index[order]]
    columns = {name for row in rows(module_settings, "SELECT * FROM pub.classified LIMIT 1") for name in row}
    assert {"p_agn", "p_star", "p_xrb", "p_cv"} <= columns and not {"p_blazar", "p_young"} & columns
    table = rows(module_settings, "SELECT source_id, class, p_class, p_agn, p_star, p_xrb, p_cv FROM pub.classified")
    p = np.array([[row[f"p_{c.lower()}"] for c in CLASSES] for row in table])
    assert len(p) == len(source_id) and p.sum(axis=1) == pytest.approx(1.0, abs=1e-6)
    assert [row["class"] for row in table] == [CLASSES[c] for c in p.argmax(axis=1)]
    held_out = rows(
        module_settings, "SELECT source_id, p FROM xcat.out_of_fold WHERE run_id = %s", [made["kinds"]["fit"]]
    )
    by_number = {row["source_id"]: p[i] for i, row in enumerate(table)}
    assert len(held_out) == model.n_reference.sum()
    assert all(by_number[row["source_id"]] == pytest.approx(row["p"], abs=1e-6) for row in held_out)


def test_the_posterior_in_sql_is_pythons(
    module_settings: Settings, made: Made, model: Model, known: tuple[np.ndarray, Sample]
) -> None:
    source_id, whole = known
    sample = whole.best_match()
    p = posterior(model, sample)[0]
    numbers = [made["kinds"]["fit"], made["kinds"]["properties"]]
    query = (
        "SELECT s.source_id, q.class, q.p FROM xcat.property AS s, pub.posterior(%s, to_jsonb(s)) AS q"
        " WHERE s.run_id = %s AND s.source_id %% 3 = 0"
    )
    found: dict[int, dict[str, float]] = {}
    for row in rows(module_settings, query, numbers):
        found.setdefault(row["source_id"], {})[row["class"]] = row["p"]
    place = {number: i for i, number in enumerate(source_id.tolist())}
    assert len(found) > 250 and {tuple(each) for each in found.values()} == {CLASSES}
    in_sql = np.array([list(each.values()) for each in found.values()])
    assert np.abs(in_sql - p[[place[number] for number in found]]).max() < 1e-6
    # replicate by replicate
    assert model.replicates is not None
    look_up = _Terms(model, sample)
    n_terms = len(model.mixing)
    score = model.log_prior + sum(contribution(look_up(t)[0], model.mixing[t]) for t in range(n_terms))
    of_replicates = []
    for b in range(model.replicates.size):
        changes = [each[:, look_up.place(t), b].T.astype(np.float64) for t, each in enumerate(model.replicates.terms)]
        of_kinds = softmax(score + model.replicates.offsets[:, b] + sum(changes))
        of_replicates.append(model.by_answer(of_kinds))
    query = (
        "SELECT s.source_id, q.replicate, q.class, q.p FROM xcat.property AS s,"
        " pub.posterior_replicates(%s, to_jsonb(s)) AS q WHERE s.run_id = %s AND s.source_id %% 41 = 0"
    )
    several = rows(module_settings, query, numbers)
    assert len(several) > 15 * 4 * len(CLASSES)
    for row in several:
        wanted = of_replicates[row["replicate"] - 1][place[row["source_id"]], CLASSES.index(row["class"])]
        assert row["p"] == pytest.approx(wanted, abs=1e-6)


def test_the_evidence_is_that_of_the_mixture_of_the_kinds(
    module_settings: Settings, made: Made, model: Model, known: tuple[np.ndarray, Sample]
) -> None:
    source_id, sample = known
    unlabelled = rows(
        module_settings, "SELECT source_id FROM pub.classified WHERE known_class IS NULL ORDER BY source_id LIMIT 60"
    )
    numbers = [row["source_id"] for row in unlabelled]
    place = {number: i for i, number in enumerate(source_id.tolist())}
    chosen = sample.best_match().take(np.array([place[number] for number in numbers]))
    terms = evidence(model, chosen).astype(np.float64)
    share = model.priors / model.answer_priors[model.answer_index]
    mean = np.stack(
        [
            np.logaddexp.reduce((terms + np.log(share))[..., model.answer_index == a], axis=-1)
            for a in range(len(CLASSES))
        ],
        axis=-1,
    )
    found = rows(module_settings, "SELECT * FROM pub.evidence WHERE source_id = ANY (%s)", [numbers])
    assert len(found) == mean.size
    for row in found:
        of_classes = mean[numbers.index(row["source_id"]), model.term_names.index(row["property"])]
        wanted = of_classes[CLASSES.index(row["class"])]
        assert row["log_likelihood"] == pytest.approx(wanted, rel=1e-5, abs=1e-5)
        assert row["advantage"] == pytest.approx(wanted - of_classes.mean(), rel=1e-5, abs=2e-5)
    names = [f"pbac{c}_spectrum" for c in range(4)]
    query = f"SELECT source_id, {', '.join(names)} FROM pub.claxboi WHERE source_id = ANY (%s)"
    is_spectrum = np.array([c == "spectrum" for c in model.term_categories])
    total = softmax(terms[:, is_spectrum].sum(axis=1) + np.log(share))
    of_answers = model.by_answer(total) / model.by_answer(share)
    of_answers /= of_answers.sum(axis=1, keepdims=True)
    for row in rows(module_settings, query, [numbers]):
        assert [row[name] for name in names] == pytest.approx(of_answers[numbers.index(row["source_id"])], abs=1e-5)


# --- what people read ---------------------------------------------------------------------------------------


def test_explain_adds_up_and_says_the_kinds(
    cli: Cli, module_settings: Settings, made: Made, model: Model, known: tuple[np.ndarray, Sample], tmp_path: Path
) -> None:
    source_id, sample = known
    of_class = rows(
        module_settings, "SELECT min(source_id) AS n FROM pub.classified WHERE known_class IS NULL GROUP BY class"
    )
    labelled = rows(module_settings, "SELECT min(source_id) AS n FROM pub.classified WHERE known_class = 'Star'")
    for number in (row["n"] for row in (*of_class, *labelled)):
        told = json.loads(cli("explain", number, "--json"))
        assert list(told["classes"]) == list(CLASSES)
        score = {c: told["log_prior"][c] + sum(term["said"][c] for term in told["terms"]) for c in CLASSES}
        p = softmax(np.array([list(score.values())]))[0]
        assert p == pytest.approx([told["posterior_accepted"][c] for c in CLASSES], abs=1e-4)
        (chosen,) = np.flatnonzero(source_id == number)
        whole = posterior(model, sample.take(np.array([chosen])))[0][0]
        assert set(told["kinds"]) == {"AGN", "Star"}
        for name, kinds in told["kinds"].items():
            assert set(kinds) == {kind for kind, of in KINDS.items() if of == name}
            assert sum(kinds.values()) == pytest.approx(whole[CLASSES.index(name)], abs=1e-6)
    assert told["best"] == "Star"
    figure = tmp_path / "why.png"
    text = cli("explain", number, "--figure", figure)
    assert re.search(r"Star: (Young .*Star|Star .*Young)", text)
    assert figure.stat().st_size > 5000


def test_models_are_compared_class_by_class(cli: Cli, made: Made, model: Model) -> None:
    run = made["kinds"]["fit"]
    (listed,) = (row for row in json.loads(cli("models", "--json")) if row["run_id"] == run)
    by_class = model.by_answer(model.n_reference).round().tolist()
    assert (listed["classes"], listed["n_reference"]) == (list(CLASSES), by_class)
    one = json.loads(cli("models", run, "--json"))
    assert list(one["classes"]) == list(CLASSES)
    assert set(one["classes"]["Star"]["kinds"]) == {"Young", "Star"} and not one["classes"]["CV"]["kinds"]
    text = cli("models", run)
    assert all(kind in text for kind in KINDS)
    answers = {}
    for old, new in (("plain", "kinds"), ("kinds", "plain"), ("kinds", "kinds")):
        found = json.loads(cli("diff", made[old]["fit"], made[new]["fit"], "--json"))
        assert found["matrix"]["classes"] == list(CLASSES)
        assert sum(term["n_decided"] for term in found["terms"]) == found["n_changed"]
        answers[old, new] = np.array(found["matrix"]["counts"])
    assert "change class" in cli("diff", made["plain"]["classify"], made["kinds"]["classify"])
    assert np.array_equal(answers["plain", "kinds"], answers["kinds", "plain"].T)
    assert np.count_nonzero(answers["kinds", "kinds"] - np.diag(np.diag(answers["kinds", "kinds"]))) == 0


def test_the_report_and_the_candidates_are_of_classes(
    cli: Cli, made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_page, "_EXPLAINED", 0)  # figures of explanations are drawn elsewhere
    monkeypatch.setattr(run_page, "_DPI", 40)
    report = json.loads(cli("report", "--json"))
    assert list(report["classes"]) == list(CLASSES)
    cli("report", "--html", tmp_path / "page")
    page = (tmp_path / "page" / "index.html").read_text()
    assert "Star" in page and len(list((tmp_path / "page").rglob("*.*"))) > 3
    cli("report", made["kinds"]["classify"], "--figure", tmp_path / "table.png")
    cli("candidates", "Star", "--min-probability", 0.5, "--known", "-o", tmp_path / "stars.csv")
    stars = Table.read(tmp_path / "stars.csv", format="csv")
    assert len(stars) > 20 and (np.asarray(stars["p_star"]) >= 0.5).all()
    with pytest.raises(Exception, match="Young"):
        cli("candidates", "Young")


def test_a_list_with_fewer_properties_has_a_model_with_the_kinds(
    cli: Cli, module_settings: Settings, made: Made, model: Model, tmp_path: Path
) -> None:
    query = "SELECT source_id, ra, dec, hr1, log_fx, log_fx_fr FROM pub.classified WHERE hr1 IS NOT NULL LIMIT 40"
    few = Table(rows(module_settings, query))
    few.write(tmp_path / "mine.csv", format="csv")
    answers, models = {}, set()
    for priors in ("", "estimate", "counts", "Star=0.5,AGN=0.3,XRB=0.1,CV=0.1"):
        given = ["--own-counterparts", *(["--priors", priors] if priors else [])]
        out = tmp_path / f"{len(answers)}.csv"
        printed = json.loads(cli("classify", tmp_path / "mine.csv", *given, "-o", out, "--json"))
        got = Table.read(out, format="csv")
        assert printed["classified"] == 40 and printed["model_run_id"] != made["kinds"]["fit"]
        models.add(printed["model_run_id"])
        answers[priors] = np.stack([np.asarray(got[f"p_{c.lower()}"], dtype=float) for c in CLASSES], axis=1)
        assert answers[priors].sum(axis=1) == pytest.approx(1.0, abs=1e-5)
        lead = np.sort(answers[priors], axis=1)
        if not priors:  # the odds of the best class over the second, part by part
            nats = sum(np.asarray(got[name], dtype=float) for name in got.colnames if name.startswith("nats_"))
            assert nats == pytest.approx(np.log(lead[:, -1] / lead[:, -2]), abs=2e-3)
    assert len(models) == 1
    with ready(module_settings) as conn:
        at_hand = store.load(conn, models.pop())
    assert (at_hand.part_of, at_hand.classes) == (model.part_of, model.classes)
    assert {"hr1", "log_fx_fr"} <= {p.name for p in at_hand.properties} < {p.name for p in model.properties}
    assert at_hand.answer_priors == pytest.approx(model.answer_priors)
    assert not np.allclose(answers[""], answers["estimate"], atol=1e-3)
    assert not np.allclose(answers[""], answers["Star=0.5,AGN=0.3,XRB=0.1,CV=0.1"], atol=1e-3)


def test_pages_and_the_remote_client_have_classes(module_settings: Settings, made: Made) -> None:
    (star,) = rows(
        module_settings, "SELECT name, p_star FROM pub.classified WHERE class = 'Star' ORDER BY p_star DESC LIMIT 1"
    )
    with serving(module_settings) as address, httpx.Client(base_url=address, timeout=60) as client:
        for path in ("/", "/model", "/run", "/candidates?class=Star&p=0.1&known=all", f"/source/{star['name']}"):
            answer = client.get(path)
            assert answer.status_code == 200, answer.text[-400:]
            text = answer.text
            assert all(re.search(rf"\b{c}\b", text) for c in ("AGN", "Star"))
        assert re.search(r"Star by kind: (Young|Star) ", text)
        told = client.get(f"/source/{star['name']}", params={"format": "json"}).json()
        assert "kinds" in json.dumps(told)
        remote = xcat.remote(address)
        reasons = remote.explain(star["name"])
        assert list(reasons.probabilities) == list(CLASSES)
        assert reasons.probabilities["Star"] == pytest.approx(star["p_star"], abs=1e-6)
        assert len(remote.candidates("star", known=True)) > 5


# --- evaluated, and refused ---------------------------------------------------------------------------------


def test_an_evaluation_of_the_pipeline_has_its_kinds(
    cli: Cli, module_settings: Settings, made: Made, tmp_path: Path
) -> None:
    data, _ = of_pipeline(module_settings, Plan(read(made["file"]["kinds"]), made["sky"]))
    query = "SELECT class_kind FROM xcat.label WHERE run_id = %s AND status = 'used' ORDER BY source_id"
    labels = rows(module_settings, query, [made["kinds"]["label"]])
    assert data.kind is not None and data.kind.tolist() == [row["class_kind"] or "" for row in labels]
    assert data.classes == CLASSES
    options = ["--data", made["sky"], "--folds", 3, "--seeds", 0, "--quick", "--workers", 1, "--by", "source"]
    cli("evaluate", made["file"]["kinds"], *options, "--methods", "property", "-o", tmp_path / "out.json")
    found = json.loads((tmp_path / "out.json").read_text())
    assert list(found["classes"]) == list(CLASSES)
    assert found["folds"]["source"]["methods"]["property"]["mean"]["accuracy"] > 0.8


def test_labels_of_a_table_that_are_mapped_to_one_class_are_its_kinds(cli: Cli, tmp_path: Path) -> None:
    """Bright and hard, or faint and soft: each value alone is as common in the other class."""
    rng = np.random.default_rng(1)
    n = 240
    label = np.arange(n) % 4
    sign = np.where(label < 2, 2 * label - 1, rng.choice([-1, 1], n))
    other = np.where(label < 2, sign, rng.choice([-1, 1], n))
    table = Table(
        {
            "type": np.array(["LMXB", "HMXB", "QSO", "QSO"])[label],
            "ra": rng.uniform(0, 360, n),
            "dec": rng.uniform(-60, 60, n),
            "hr1": np.clip(0.4 * sign + 0.15 * rng.standard_normal(n), -1, 1),
            "log_fx": -13 + 0.8 * other + 0.3 * rng.standard_normal(n),
        }
    )
    table.write(tmp_path / "mine.csv", format="csv")
    table["type"] = np.array(["XRB", "XRB", "AGN", "AGN"])[label]
    table.write(tmp_path / "classes.csv", format="csv")
    options = ["--label", "type", "--properties", "hr1,log_fx", "--folds", 3, "--seeds", 0, "--by", "source"]
    options += ["--methods", "property,equal", "--pairs", "", "--quick", "--workers", 1]
    loss = {}
    for name, mapping in (("mine", "LMXB=XRB,HMXB=XRB,QSO=AGN"), ("classes", "XRB=XRB,AGN=AGN")):
        out = tmp_path / f"{name}.json"
        cli("evaluate", tmp_path / f"{name}.csv", *options, "--class-map", mapping, "-o", out)
        methods = json.loads(out.read_text())["folds"]["source"]["methods"]
        loss[name] = {m: each["mean"]["log_loss"] for m, each in methods.items()}
    assert loss["mine"]["equal"] == pytest.approx(loss["classes"]["equal"])
    assert loss["mine"]["property"] < 0.85 * loss["classes"]["property"], loss


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": "category"}, "kinds of classes need 'weights: property'"),
        ({"weights": "equal"}, "kinds of classes need 'weights: property'"),
        (
            {"classes": OF_CLASSES | {"XRB": {"prior": 0.07, "kinds": ["YSO", "Young"]}}},
            "a kind belongs to one class, and is called unlike the others: Young",
        ),
        (
            {"classes": OF_CLASSES | {"XRB": {"prior": 0.07, "kinds": {"CV": ["LMXB"]}}}},
            "a kind belongs to one class, and is called unlike the others: CV",
        ),
        ({"classes": OF_CLASSES | {"XRB": {"prior": 0.07, "kinds": {"L": [3]}}}}, "kinds"),
        ({"classes": OF_CLASSES | {"XRB": {"prior": 0.07, "kind": ["LMXB"]}}}, "kind"),
    ],
)
def test_errors_of_the_file_name_the_kind(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        read(write(tmp_path, "wrong", WITH_KINDS | changes))
