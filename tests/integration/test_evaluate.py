"""The evaluation of a pipeline's sources and of a table, stored, printed and written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from example_pipeline import EXAMPLE
from test_cli import cli  # noqa: F401  the fixture
from tiny import rows

from xcat.config import Settings
from xcat.database.connection import ready
from xcat.errors import ConfigError, StageError
from xcat.evaluate import methods, scores
from xcat.jobs import evaluation as work
from xcat.jobs.pipeline import Pipeline, Plan, read
from xcat.jobs.runner import Runner
from xcat.simulate import simulate

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def plan(module_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """A pipeline that has run up to the labels, on a small sky without its truth."""
    folder = tmp_path_factory.mktemp("sky") / "sky"
    simulate(2000, 5, folder)
    shutil.rmtree(folder / "truth")
    plan = Plan(read(EXAMPLE), folder)
    runner = Runner(module_settings, plan)
    for kind in ("ingest", "merge", "link", "match", "properties", "label"):
        runner.run(only=kind)
    return plan


def test_the_sources_of_a_pipeline(module_settings: Settings, plan: Plan) -> None:
    data, lineage = work.of_pipeline(module_settings, plan)
    used = rows(module_settings, "SELECT source_id, class FROM xcat.label WHERE status = 'used' ORDER BY source_id")
    used = [r for r in used if r["class"] in data.classes]
    assert data.source_id.tolist() == [r["source_id"] for r in used]
    assert [data.classes[k] for k in data.label] == [r["class"] for r in used]
    assert set(lineage) == {"source_run_id", "link_run_id", "match_run_id", "property_run_id", "label_run_id"}
    assert data.priors == pytest.approx(list(plan.pipeline.class_priors.values()))
    flux = rows(module_settings, "SELECT source_id, log_fx FROM xcat.property ORDER BY source_id")
    known = {r["source_id"]: r["log_fx"] for r in flux}
    given = [np.nan if known[s] is None else known[s] for s in data.source_id.tolist()]
    assert data.brightness == pytest.approx(given, nan_ok=True)
    assert set(data.n_counterparts) <= {0, 1, 2} and len(set(data.n_counterparts)) > 1


def test_sources_of_one_object_are_one_group(module_settings: Settings, plan: Plan) -> None:
    """Views of one object by several missions, told by the link or by the reference object."""
    data, lineage = work.of_pipeline(module_settings, plan)
    group = dict(zip(data.source_id.tolist(), data.groups["source"].tolist(), strict=True))
    pairs = rows(
        module_settings,
        "SELECT a.source_id AS one, b.source_id AS two FROM xcat.master_source AS a JOIN xcat.master_source AS b"
        " ON a.run_id = b.run_id AND a.master_id = b.master_id AND a.source_id < b.source_id WHERE a.run_id = %s"
        " UNION SELECT a.source_id, b.source_id FROM xcat.label AS a JOIN xcat.label AS b ON a.run_id = b.run_id"
        " AND a.catalogue_id = b.catalogue_id AND a.object_id = b.object_id AND a.source_id < b.source_id"
        " WHERE a.run_id = %s AND a.status = 'used' AND b.status = 'used'",
        [lineage["link_run_id"], lineage["label_run_id"]],
    )
    together = [(r["one"], r["two"]) for r in pairs if r["one"] in group and r["two"] in group]
    assert len(together) > 10
    assert all(group[a] == group[b] for a, b in together)
    assert len(set(group.values())) > 0.5 * len(group)


def test_answers_are_stored_and_give_the_figures(module_settings: Settings, plan: Plan) -> None:
    from xcat.database import runs

    data, lineage = work.of_pipeline(module_settings, plan)
    chosen = methods.choose(data, ["equal", "rules"])
    with runs.stage(module_settings, "evaluate", "simulated", {"test": 1}, **lineage) as run:
        result = work.evaluate_stage(run, data, chosen, n_folds=4, seeds=(0, 3), quick=True)
    stored = rows(
        module_settings,
        "SELECT method, seed, folds, count(*) AS n, count(DISTINCT fold) AS folds_used FROM xcat.evaluation"
        " WHERE run_id = %s GROUP BY 1, 2, 3",
        [run.run_id],
    )
    wanted = {(m, s, k) for m in ("equal", "rules") for s in (0, 3) for k in ("source", "sky")}
    assert {(r["method"], r["seed"], r["folds"]) for r in stored} == wanted
    assert {(r["n"], r["folds_used"]) for r in stored} == {(len(data), 4)}
    with ready(module_settings) as conn:
        found = conn.execute(
            "SELECT source_id, class, fold, p FROM xcat.evaluation"
            " WHERE run_id = %s AND folds = 'sky' AND method = 'equal' AND seed = 3 ORDER BY source_id",
            [run.run_id],
        ).fetchall()
    p = np.array([r[3] for r in found])
    label = np.array([data.classes.index(r[1]) for r in found])
    figures = result["folds"]["sky"]["methods"]["equal"]["seeds"]["3"]
    again = scores.score(p, label, data.classes, data.priors)
    assert again["accuracy"] == figures["accuracy"]
    assert again["log_loss"] == pytest.approx(figures["log_loss"], rel=1e-4)
    (kept,) = rows(module_settings, "SELECT kind, label_run_id, summary FROM xcat.run WHERE run_id = %s", [run.run_id])
    assert kept["kind"] == "evaluate" and kept["label_run_id"] == lineage["label_run_id"]
    assert kept["summary"]["mean"]["sky"]["equal"]["accuracy"] == pytest.approx(
        result["folds"]["sky"]["methods"]["equal"]["mean"]["accuracy"]
    )


def test_a_label_among_the_properties_is_refused_and_nothing_is_stored(module_settings: Settings, plan: Plan) -> None:
    from dataclasses import replace

    from xcat.database import runs

    data, lineage = work.of_pipeline(module_settings, plan)
    values = data.sample.values.copy()
    values[:, 0] = data.label
    leaking = replace(data, sample=replace(data.sample, values=values))
    name = data.sample.properties[0].name
    with (
        pytest.raises(ConfigError, match=f"'{name}' alone has"),
        runs.stage(module_settings, "evaluate", "simulated", {"test": 2}, **lineage) as run,
    ):
        work.evaluate_stage(run, leaking, methods.choose(data, ["equal"]), n_folds=4, seeds=(0,), quick=True)
    (kept,) = rows(module_settings, "SELECT status, error FROM xcat.run WHERE run_id = %s", [run.run_id])
    assert kept["status"] == "failed" and name in kept["error"]


def test_published_answers_by_the_name_of_the_object(module_settings: Settings, plan: Plan) -> None:
    """A catalogue of answers lists the same objects by name; its classes are read by the pipeline's rules."""
    data, lineage = work.of_pipeline(module_settings, plan)
    with pytest.raises(StageError, match="nowhere: nothing is loaded yet"):
        work.of_pipeline(module_settings, plan, ["nowhere"])
    labels = rows(
        module_settings,
        "SELECT l.source_id, r.native_id, r.class_native FROM xcat.label AS l JOIN xcat.reference_object AS r"
        " USING (catalogue_id, object_id) WHERE l.run_id = %s AND l.status = 'used' ORDER BY source_id LIMIT 50",
        [lineage["label_run_id"]],
    )
    names = dict.fromkeys(r["native_id"] for r in labels)
    with ready(module_settings) as conn:
        row = conn.execute(
            "INSERT INTO xcat.catalogue (name, version, is_current, kind, definition, definition_sha256)"
            " VALUES ('answers', 1, true, 'reference', '{}', '') RETURNING catalogue_id"
        ).fetchone()
    assert row is not None
    n = len(names)
    write_reference(module_settings, row[0], list(names), ["Star"] * (n - 1) + ["comet"])
    found, _ = work.of_pipeline(module_settings, plan, ["answers"])
    answer = dict(zip(found.source_id.tolist(), found.answers["answers"].tolist(), strict=True))
    last = next(reversed(names))
    star = data.classes.index("Star")
    for r in labels:
        assert answer[r["source_id"]] == (-1 if r["native_id"] == last else star)


def test_labels_of_a_pipeline_have_their_literature_sources(module_settings: Settings, plan: Plan) -> None:
    """The reference catalogue is one; a reference that it gives is another."""
    data, _ = work.of_pipeline(module_settings, plan)
    assert data.origin is not None and "origin" not in data.groups, "the simulated catalogues have one each"
    star = data.label == data.classes.index("Star")
    assert set(data.origin[star]) == {"sim_ref_star"}
    with ready(module_settings) as conn:
        paper = "UPDATE xcat.reference_object SET label_ref = {} WHERE class = 'Star'"
        conn.execute(paper.format("' paper ' || object_id % 4"))
    found, _ = work.of_pipeline(module_settings, plan)
    with ready(module_settings) as conn:
        conn.execute(paper.format("NULL"))
    assert found.origin is not None and set(found.origin[star]) == {f"sim_ref_star paper {i}" for i in range(4)}
    for i in range(4):
        of_paper = found.groups["origin"][found.origin == f"sim_ref_star paper {i}"]
        assert np.unique(of_paper).size == 1
    ra_dec = {r["source_id"]: (r["ra"], r["dec"]) for r in rows(module_settings, "SELECT * FROM xcat.source")}
    assert data.position is not None
    assert data.position.tolist() == [list(ra_dec[s]) for s in data.source_id.tolist()]


def write_reference(settings: Settings, catalogue_id: int, names: list[str], classes: list[str]) -> None:
    """Reference objects with these names and classes, all in one place."""
    from tiny import column

    from xcat.database import copy, partitions

    n = len(names)
    values: dict[str, Any] = {
        "catalogue_id": catalogue_id,
        "object_id": list(range(1, n + 1)),
        "file_id": 0,
        "native_id": names,
        "ra": 1.0,
        "dec": 1.0,
        "err_arcsec": 1.0,
        "class": classes,
        "class_native": classes,
    }
    with ready(settings) as conn:
        types = copy.column_types(conn, "xcat.reference_object")
        block = {c: column(types[c], v, n) for c, v in values.items()}
        partitions.write(conn, "reference_object", catalogue_id, [block])


def test_groups_join_what_shares_any_key() -> None:
    masters = np.array([1, 1, 2, 3, 4, 5])
    objects = np.array([[1, 1], [1, 2], [1, 2], [1, 3], [2, 3], [1, 9]])
    group = work.joined(masters, objects)
    assert group[0] == group[1] == group[2]
    assert np.unique(group).size == 4


def test_a_class_is_taken_by_the_rules_of_the_pipeline() -> None:
    pipeline = Pipeline.model_validate(
        read(EXAMPLE).model_dump()
        | {
            "classes": {
                "AGN": 0.5,
                "LMXB": {"prior": 0.2, "native": ["LM*"]},
                "Star": {"prior": 0.3, "native": ["YSO"]},
            }
        }
    )
    objects = (("AGN", "QSO"), ("XRB", "LMXB"), (None, "YSO"), ("CV", "CV"))
    assert [work._class_of(pipeline, c, n) for c, n in objects] == [0, 1, 2, -1]


def test_the_command_on_a_table(cli: Any, settings: Settings, tmp_path: Path) -> None:  # noqa: F811
    """Text, JSON, page and rows from a table with the properties as columns."""
    rng = np.random.default_rng(0)
    label = np.repeat([0, 1], 60)
    lines = ["kind,ra,dec,hr1,log_fx,old"]
    for i, k in enumerate(label):
        hr1, flux = np.clip(0.8 * k - 0.4 + 0.3 * rng.standard_normal(), -1, 1), -13 - k + 0.5 * rng.standard_normal()
        lines.append(f"{'ab'[k]},{3 * i},{i / 2},{hr1:.4f},{flux:.4f},a")
    table = tmp_path / "mine.csv"
    table.write_text("\n".join(lines) + "\n")
    out, page = tmp_path / "out.json", tmp_path / "page"
    said = cli(
        "evaluate",
        str(table),
        "--label",
        "kind",
        "--answers",
        "old",
        "--methods",
        "equal,histogram",
        "--folds",
        "4",
        "--properties",
        "hr1,log_fx",
        "--seeds",
        "0,1",
        "--by",
        "source",
        "--quick",
        "--workers",
        "1",
        "-o",
        str(out),
        "--html",
        str(page),
    )
    assert "120 labelled sources (a 60, b 60), 2 properties, 4 folds" in said
    assert "published: old" in said
    result = json.loads(out.read_text())
    entry = result["folds"]["source"]["methods"]["histogram"]
    assert set(entry["seeds"]) == {"0", "1"}
    assert {"accuracy", "macro_f1", "log_loss", "brier", "ece"} <= set(entry["mean"])
    assert {"recall", "precision", "precision_prior_corrected", "f1", "n"} <= set(entry["mean"]["classes"]["a"])
    assert entry["mean"]["accuracy"] > 0.8
    assert result["folds"]["source"]["methods"]["old"]["mean"]["accuracy"] == 0.5
    assert (page / "index.html").exists()
    stored = rows(settings, "SELECT min(source_id), max(source_id), count(*) AS n FROM xcat.evaluation")
    assert stored == [{"min": 1, "max": 120, "n": 2 * 2 * 120}]
    (run,) = rows(settings, "SELECT kind, status, inputs FROM xcat.run")
    assert (run["kind"], run["status"], run["inputs"]["file_name"]) == ("evaluate", "done", "mine.csv")


def test_the_command_on_a_table_and_a_second_origin(cli: Any, settings: Settings, tmp_path: Path) -> None:  # noqa: F811
    """Folds by origin where the labels have one; the answers for the second table are stored."""
    rng = np.random.default_rng(0)
    tables = []
    for name, n, east in (("mine", 60, 0.0), ("newer", 20, 0.5)):
        lines = ["kind,ra,dec,hr1,log_fx,bibcode"]
        for i in range(2 * n):
            hr1 = np.clip(0.8 * (i % 2) - 0.4 + 0.3 * rng.standard_normal(), -1, 1)
            numbers = ",".join(f"{x:.4f}" for x in (3 * i % 360 + east, i / 2, hr1, -13 + 0.5 * rng.standard_normal()))
            lines.append(f"{'ab'[i % 2]},{numbers},paper {i % 10}")
        tables.append(str(tmp_path / f"{name}.csv"))
        Path(tables[-1]).write_text("\n".join(lines) + "\n")
    mine, newer = tables
    options = ["--methods", "equal", "--folds", "3", "--seeds", "0", "--quick", "--workers", "1", "--label", "kind"]
    cli("evaluate", mine, *options, "--test", newer, "--test-label", "kind", "-o", str(tmp_path / "out.json"))
    result = json.loads((tmp_path / "out.json").read_text())
    assert list(result["folds"]) == ["second_origin", "origin", "source", "sky"]
    assert result["folds"]["second_origin"]["n_class"] == {"a": 20, "b": 20}
    assert result["folds"]["second_origin"]["methods"]["equal"]["mean"]["accuracy"] > 0.8
    assert {row["property"] for row in result["studies"]["origin_leaks"]} == set(result["properties"])
    stored = rows(settings, "SELECT folds, count(*) AS n, count(DISTINCT fold) AS k FROM xcat.evaluation GROUP BY 1")
    assert {r["folds"]: (r["n"], r["k"]) for r in stored} == {
        "second_origin": (40, 1), "origin": (120, 3), "source": (120, 3), "sky": (120, 3)
    }  # fmt: skip
    (run,) = rows(settings, "SELECT inputs FROM xcat.run")
    assert run["inputs"]["second_origin"]["file_name"] == "newer.csv"
    with pytest.raises(ConfigError, match="--by origin needs a class with labels of 3 literature sources"):
        cli("evaluate", mine, *options, "--origin", "", "--by", "origin")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["evaluate", "mine.csv"], "--label COLUMN"),
        (["evaluate", "mine.csv", "--label", "x", "--by", "moon"], "--by takes source and sky"),
        (["evaluate", "mine.csv", "--label", "x", "--seeds", "1,1"], "--seeds takes different"),
        (["evaluate", "mine.csv", "--label", "x", "--by", "sky,sky"], "each once"),
        (["evaluate", "mine.csv", "--label", "x", "--test", "t.csv"], "t.csv: which column is the true class?"),
        (["evaluate", "mine.csv", "--label", "x", "--test-label", "y"], "--test-label: which table? --test TABLE"),
        (["evaluate", "p.yaml", "--label", "x"], "--label: for a table only"),
        (["evaluate", "p.yaml", "--origin", "x"], "--origin: for a table only"),
        (["evaluate", "mine.csv", "--label", "x", "--class-map", "a"], "--class-map takes CLASS=OURS"),
    ],
)
def test_wrong_arguments_are_told(cli: Any, arguments: list[str], words: str) -> None:  # noqa: F811
    from typer.testing import CliRunner

    from xcat.cli.app import app

    done = CliRunner().invoke(app, arguments)
    assert isinstance(done.exception, ConfigError)
    assert words in str(done.exception)


@pytest.mark.parametrize(
    ("changed", "constraint"), [({"folds": "moon"}, "folds"), ({"p": [0.5, 1.5]}, "p"), ({"p": [0.5, np.nan]}, "p")]
)
def test_the_table_refuses_nonsense(settings: Settings, changed: dict[str, Any], constraint: str) -> None:
    import psycopg

    from xcat.database import partitions

    row = {"run_id": 1, "source_id": 1, "method": "equal", "seed": 0, "folds": "sky", "class": "AGN", "fold": 1}
    insert = (
        "INSERT INTO xcat.evaluation (run_id, source_id, method, seed, folds, class, fold, p) VALUES (%(run_id)s,"
        " %(source_id)s, %(method)s, %(seed)s, %(folds)s, %(class)s, %(fold)s, %(p)s)"
    )
    with ready(settings) as conn:
        partitions.create(conn, "evaluation", 1)
        partitions.attach(conn, "evaluation", 1)
        conn.execute(insert, row | {"p": [0.0, 0.0]})  # no answer
        with pytest.raises(psycopg.errors.CheckViolation, match=f"evaluation_{constraint}_check"):
            conn.execute(insert, row | {"p": [0.5, 0.5], "source_id": 2} | changed)
