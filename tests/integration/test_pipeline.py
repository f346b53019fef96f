"""The whole line on a small simulated sky: complete, resumable, published in one step, blind to the truth."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from example_pipeline import without_kinds
from tiny import rows

from xcat.columns.registry import property_entries
from xcat.config import Settings
from xcat.database.connection import Connection, ready
from xcat.database.runs import get
from xcat.errors import StageError, XcatError
from xcat.ingest.load import ingest
from xcat.jobs import publishing, runner, stages, sum_rule
from xcat.jobs.pipeline import Pipeline, Plan
from xcat.jobs.runner import STAGES, Runner
from xcat.models import store
from xcat.report.run import record
from xcat.simulate import simulate

pytestmark = pytest.mark.slow

FIRST_WEIGHTS = {"location": 1.0, "spectrum": 1.0, "multiwavelength": 1.0, "variability": 1.0}


def _pipeline(**changes: Any) -> Pipeline:
    return without_kinds(**{"folds": 3, "replicates": 3} | changes)


def _runner(settings: Settings, sky: Path, replace: bool = False, **changes: Any) -> Runner:
    return Runner(settings, Plan(_pipeline(**changes), sky), replace=replace)


@pytest.fixture(scope="module")
def sky(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated sky without its truth: whoever would read it fails."""
    return _sky(tmp_path_factory.mktemp("sky") / "sky", 2000)


@pytest.fixture(scope="module")
def smaller_sky(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another one, for tests of the order of the stages, which load it again."""
    return _sky(tmp_path_factory.mktemp("smaller") / "sky", 1200)


def _sky(folder: Path, n: int) -> Path:
    simulate(n, 5, folder)
    shutil.rmtree(folder / "truth")
    return folder


@pytest.fixture(scope="module")
def done(module_settings: Settings, sky: Path) -> dict[str, int]:
    """Runs of the pipeline that has run once."""
    runs = dict(_runner(module_settings, sky).run_as_pipeline())
    assert list(runs) == [s for s in STAGES if s != "ingest"]
    return runs


def _count(settings: Settings, query: str, params: Any = None) -> Any:
    (row,) = rows(settings, query, params)
    return next(iter(row.values()))


def test_every_source_is_classified_once(module_settings: Settings, done: dict[str, int]) -> None:
    n = _count(module_settings, "SELECT count(*) FROM xcat.source WHERE run_id = %s", [done["merge"]])
    assert n > 2000
    for table, kind in (("property", "properties"), ("classification", "classify")):
        assert _count(module_settings, f"SELECT count(*) FROM xcat.{table} WHERE run_id = %s", [done[kind]]) == n
    assert _count(module_settings, "SELECT count(DISTINCT source_id) FROM pub.classified") == n
    assert _count(module_settings, "SELECT count(*) FROM pub.classified") == n
    assert (
        _count(
            module_settings,
            "SELECT max(abs((SELECT sum(x) FROM unnest(p) AS x) - 1)) FROM xcat.classification WHERE run_id = %s",
            [done["classify"]],
        )
        < 1e-6
    )
    # three missions x three catalogues, every source a row in each
    assert _count(module_settings, "SELECT count(*) FROM xcat.match WHERE run_id = %s", [done["match"]]) == 3 * n
    assert _count(module_settings, "SELECT count(*) FROM xcat.source_detection WHERE run_id = %s", [done["merge"]]) == (
        _count(module_settings, "SELECT count(*) FROM xcat.detection")
    )


def test_statistics_are_of_what_a_plan_asks_for(module_settings: Settings, done: dict[str, int]) -> None:
    found = rows(
        module_settings,
        "SELECT a.attname, s.attname IS NOT NULL AS has FROM pg_attribute AS a LEFT JOIN pg_stats AS s"
        " ON (s.schemaname, s.tablename, s.attname) = ('xcat', %(table)s, a.attname)"
        " WHERE a.attrelid = ('xcat.' || %(table)s)::regclass AND a.attnum > 0",
        {"table": f"classification_r{done['classify']}"},
    )
    has_statistics = {row["attname"]: row["has"] for row in found}
    assert has_statistics["source_id"] and has_statistics["class"] and has_statistics["margin"]
    assert not any(has_statistics[name] for name in ("p", "p_err", "evidence"))


def test_one_best_candidate_and_shares_that_add_up(module_settings: Settings, done: dict[str, int]) -> None:
    found = rows(
        module_settings,
        "SELECT m.n_candidates AS n, count(c.object_id) AS stored, count(*) FILTER (WHERE is_best) AS best,"
        " sum(p_i)::float AS total, max(p_i) FILTER (WHERE is_best) = max(p_i) AS top, m.p_any FROM xcat.match AS m"
        " LEFT JOIN xcat.match_candidate AS c USING (run_id, source_id, catalogue_id) WHERE run_id = %s"
        " GROUP BY m.source_id, m.catalogue_id, m.n_candidates, m.p_any",
        [done["match"]],
    )
    for row in found:
        assert row["n"] == row["stored"]
        assert row["best"] == (row["n"] > 0)
        if row["n"]:
            assert row["total"] == pytest.approx(1, abs=1e-5)
            assert row["top"]
        else:
            assert row["p_any"] == 0


def test_the_published_views_show_the_run(module_settings: Settings, done: dict[str, int]) -> None:
    (shown,) = rows(module_settings, "SELECT * FROM pub.runs WHERE is_published")
    lineage = (
        "run_id",
        "source_run_id",
        "link_run_id",
        "match_run_id",
        "property_run_id",
        "label_run_id",
        "model_run_id",
    )
    kinds = ("classify", "merge", "link", "match", "properties", "label", "fit")
    assert [shown[c] for c in lineage] == [done[k] for k in kinds]
    best = rows(module_settings, "SELECT class, p_class, p_agn, p_star, p_xrb, p_cv FROM pub.classified")
    for row in best:
        p = {"AGN": row["p_agn"], "Star": row["p_star"], "XRB": row["p_xrb"], "CV": row["p_cv"]}
        assert row["p_class"] == max(p.values()) == p[row["class"]]
    known = _count(module_settings, "SELECT count(*) FROM pub.classified WHERE known_class IS NOT NULL")
    used = "SELECT count(*) FROM xcat.label WHERE run_id = %s AND status = 'used'"
    assert known == _count(module_settings, used, [done["label"]]) > 100


_COLUMN = ("ebv_mag", "flux_absorbed_dex", "hr1_absorbed", "hr2_absorbed")


def _shift(t: dict[str, Any], row: dict[str, Any], axis: int = 0) -> tuple[float, bool]:
    """What the Galaxy has taken from the value on an axis of a table, and whether it is a ratio between walls."""
    per_unit = (t["column_shift"] or [0.0] * 8)[4 * axis : 4 * axis + 4]
    return sum(s * (row[c] or 0.0) for s, c in zip(per_unit, _COLUMN, strict=True)), any(per_unit[2:])


def _before(x: float | None, by: float, is_ratio: bool) -> float | None:
    """A value before the Galaxy; ratios are shifted on their inverse hyperbolic tangent."""
    if x is None or not is_ratio:
        return None if x is None else x + by
    return x if abs(x) >= 1 else float(np.clip(np.tanh(np.arctanh(x) + by), -1 + 1e-12, 1 - 1e-12))


def _log_likelihood(t: dict[str, Any], row: dict[str, Any], tables: dict[Any, Any], behind: bool) -> float:
    """One term of one class: what the row of a table says of a row of properties."""
    scale = {"linear": lambda x: x, "log10": lambda x: np.log10(x) if x > 0 else None, "asinh": np.arcsinh}
    x, *y = (None if row[a] is None else scale[s](row[a]) for a, s in zip(t["axes"], t["scales"], strict=True))
    grid = np.array(t["grid"])
    by, is_ratio = _shift(t, row) if behind else (0.0, False)
    seen, x = x, _before(x, by, is_ratio)
    if y:
        if x is None or y[0] is None:
            return 0.0
        y = [_before(y[0], *(_shift(t, row, 1) if behind else (0.0, False)))]
        table = np.array(t["log_density"]).reshape(len(grid), -1)
        return float(np.interp(x, grid, [np.interp(y[0], t["grid_2"], along) for along in table]))
    if x is None:
        limit = row.get(t["limit_column"])
        if t["observed_column"] and not row[t["observed_column"]] and row[t["axes"][0]] is None:
            return 0.0
        for ratio in t["absence_columns"] or () if row[t["axes"][0]] is None else ():
            of_ratio = tables[ratio, t["class"]]
            if row[ratio] is None and row[of_ratio["observed_column"]] and row[of_ratio["limit_column"]] is not None:
                return 0.0  # the absence of the counterpart is counted by its ratio
        if limit is None or t["log_above"] is None:
            return float(t["log_missing"])
        # in every class what is not seen may be behind any part of the Galaxy
        return float(t["log_present"] + np.interp(limit + _shift(t, row)[0], grid, t["log_above"]))
    density, error, step = t["log_density"], row.get(t["error_column"]) or 0.0, grid[1] - grid[0]
    jacobian = 0.0
    if is_ratio and abs(seen) < 1:
        jacobian = float(np.log((1 - np.tanh(np.arctanh(seen) + by) ** 2) / (1 - seen**2)))
    error = np.hypot(error * np.exp(jacobian), 0.4 * (x - seen))
    error = min(error, 1.0) if is_ratio and behind else error
    rung = round(1 + 2 * np.log2(max(np.sqrt(max(error**2 - t["typical_error"] ** 2, 0.0)) / step, 1e-9)))
    if t["log_smeared"] and rung > 0:
        density = t["log_smeared"][min(rung, len(t["log_smeared"])) - 1]
    found = np.interp(x, grid, density) - t["tail_slope"] * max(grid[0] - seen, seen - grid[-1], 0) + jacobian
    for wall, atom in zip((grid[0], grid[-1]), t["log_atoms"] or (), strict=False):
        if x == wall and atom > -np.inf:
            found = atom
    return float(found + t["log_present"])


def test_the_evidence_adds_up_to_the_posterior(module_settings: Settings, done: dict[str, int]) -> None:
    """Nothing but rows of the database and numpy: tables, weights, priors and hypotheses give what is stored."""
    classes = rows(module_settings, "SELECT * FROM xcat.model_class WHERE run_id = %s ORDER BY class_id", [done["fit"]])
    names = [c["class"] for c in classes]
    terms = [
        t["term"]
        for t in rows(
            module_settings, "SELECT * FROM xcat.model_term WHERE run_id = %s ORDER BY term_id", [done["fit"]]
        )
    ]
    tables = {
        (t["property"], t["class"]): t
        for t in rows(module_settings, "SELECT * FROM xcat.likelihood_table WHERE run_id = %s", [done["fit"]])
    }
    found = rows(
        module_settings,
        "SELECT c.p, c.evidence, c.class, p.* FROM xcat.classification AS c"
        " JOIN xcat.property AS p USING (source_id)"
        # hardness ratios that much gas has changed have a treatment of their own: test_posterior_sql.py
        " WHERE c.run_id = %s AND p.run_id = %s AND greatest(abs(hr1_absorbed), abs(hr2_absorbed), 0) < 0.6"
        " ORDER BY source_id LIMIT 300",
        [done["classify"], done["properties"]],
    )
    hypotheses: dict[int, list[dict[str, Any]]] = {}
    last = found[-1]["source_id"]
    for h in rows(
        module_settings,
        "SELECT * FROM xcat.hypothesis_property WHERE run_id = %s AND source_id <= %s",
        [done["properties"], last],
    ):
        hypotheses.setdefault(h["source_id"], []).append(h)
    dependent = [e["name"] for e in property_entries() if e.get("counterpart")]
    kinds = [tables[name, names[0]] for name in terms]
    for kind in ("log_smeared", "log_atoms", "log_above", "grid_2"):
        assert any(t[kind] is not None for t in kinds), kind
    far = {c["class"] for c in classes if c["behind_galaxy"]}
    assert far == {"AGN"}
    assert len(found) == 300
    several = 0
    for row in found:

        def answer(of: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
            said = np.array([[_log_likelihood(tables[t, c], of, tables, c in far) for c in names] for t in terms])
            score = np.array([np.log(c["prior"]) + c["log_offset"] for c in classes])
            for term, name in zip(said, terms, strict=True):
                score += [np.dot(tables[name, c]["mixing"], term - term.mean()) for c in names]
            p = np.exp(score - score.max())
            return p / p.sum(), said

        each = hypotheses.get(row["source_id"], [])
        several += len(each) > 1
        weight = np.array([h["p_hypothesis"] for h in each])
        parts = [answer(row | {name: h[name] for name in dependent})[0] for h in each]
        accepted, evidence = answer(row)
        p = weight @ np.array(parts) / weight.sum() if each else accepted
        assert row["p"] == pytest.approx(p, abs=2e-5)
        assert row["evidence"] == pytest.approx(evidence.ravel(), rel=1e-5, abs=1e-4)
        assert row["class"] == names[np.argmax(p)]
    assert several > 20


def test_rejects_are_those_of_the_manifest(module_settings: Settings, done: dict[str, int], sky: Path) -> None:
    manifest = json.loads((sky / "manifest.json").read_text())
    found: dict[str, dict[str, int]] = {}
    for row in rows(
        module_settings,
        "SELECT file_name, reason, count(*) AS n FROM xcat.reject"
        " JOIN xcat.catalogue_file USING (file_id) GROUP BY 1, 2",
    ):
        found.setdefault(row["file_name"], {})[row["reason"]] = row["n"]
    wanted = manifest["rejects"]
    assert set(found) == set(wanted)
    for name, reasons in wanted.items():
        assert sum(found[name].values()) == sum(reasons.values()), (name, found[name])
        for reason, n in reasons.items():
            assert sum(m for text, m in found[name].items() if reason in text) == n, (name, reason, found[name])
    files = rows(module_settings, "SELECT file_name, n_rows, n_rejected FROM xcat.catalogue_file")
    for file in files:
        assert file["n_rows"] + file["n_rejected"] == manifest["rows"][file["file_name"]]


# --- what changes the database comes from here on; each test leaves the first run's rows as they were ---------


def _runs(settings: Settings) -> list[tuple[str, str]]:
    return [(r["kind"], r["status"]) for r in rows(settings, "SELECT kind, status FROM xcat.run ORDER BY run_id")]


def test_a_second_run_does_nothing_twice(module_settings: Settings, done: dict[str, int], sky: Path) -> None:
    before = _runs(module_settings)
    again = _runner(module_settings, sky).run()
    assert {k: v for k, v in again.items() if k != "publish"} == {k: v for k, v in done.items() if k != "publish"}
    assert set(_runs(module_settings)[len(before) :]) <= {("publish", "done")}


def test_other_weights_repeat_only_what_depends_on_them(
    module_settings: Settings, done: dict[str, int], sky: Path
) -> None:
    """Fit, classify, publish; the earlier run stays, under its number."""
    before = _runs(module_settings)
    changed = _runner(module_settings, sky, weights=FIRST_WEIGHTS | {"variability": 0.0}).run()
    assert [k for k, _ in _runs(module_settings)[len(before) :]] == ["fit", "classify", "publish"]
    assert {k for k in done if changed[k] == done[k]} == {"merge", "link", "match", "properties", "label"}
    with ready(module_settings) as conn:
        new = conn.execute("SELECT run_id, count(*) FROM pub.classified GROUP BY 1").fetchall()
        old = conn.execute(f"SELECT run_id, count(*) FROM pub.classified_r{done['classify']} GROUP BY 1").fetchall()
    assert (new[0][0], old[0][0]) == (changed["classify"], done["classify"])
    assert new[0][1] == old[0][1]
    active = "SELECT run_id FROM xcat.publication WHERE active"
    assert _count(module_settings, active) == changed["classify"]
    runner.publish(module_settings, done["classify"])
    assert _count(module_settings, active) == done["classify"]
    with pytest.raises(XcatError, match="not a classify run"):
        runner.publish(module_settings, done["fit"])


def test_a_publication_switches_in_one_transaction(
    module_settings: Settings, done: dict[str, int], sky: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader in the middle of it sees the earlier run whole; if it breaks, nothing has changed."""
    seen = []
    real = publishing._switch

    def broken(conn: Connection, classify_run_id: int, *others: Any) -> None:
        real(conn, classify_run_id, *others)
        seen.append(_count(module_settings, "SELECT run_id FROM pub.runs WHERE is_published"))
        raise RuntimeError("the light went out")

    other = _runner(module_settings, sky, weights=FIRST_WEIGHTS | {"variability": 0.5}).run()["classify"]
    assert other != done["classify"]
    runner.publish(module_settings, done["classify"])
    before = rows(module_settings, "SELECT * FROM xcat.publication ORDER BY 1")
    monkeypatch.setattr(publishing, "_switch", broken)
    with pytest.raises(RuntimeError, match="light"):
        runner.publish(module_settings, other)
    assert seen == [done["classify"]]
    assert rows(module_settings, "SELECT * FROM xcat.publication ORDER BY 1") == before


@pytest.mark.parametrize(
    ("place", "function", "failed"),
    [(runner, "match_stage", "match"), (stages, "classify", "classify"), (stages, "fit", "fit")],
)
def test_a_stage_that_dies_leaves_nothing_and_is_taken_up_again(
    settings: Settings, smaller_sky: Path, monkeypatch: pytest.MonkeyPatch, place: Any, function: str, failed: str
) -> None:
    """Broken after it has written; then the same command goes on from there."""
    real = getattr(place, function)
    # with priors of the sky the fit would classify, too
    one_catalogue = _pipeline().model_dump()["counterparts"][:1]
    smaller = {"counterparts": one_catalogue, "priors": "given", "weights": FIRST_WEIGHTS, "sharpness": 2.0}

    def broken(*args: Any, **kwargs: Any) -> None:
        real(*args, **kwargs)
        raise KeyboardInterrupt

    monkeypatch.setattr(place, function, broken)
    with pytest.raises(KeyboardInterrupt):
        _runner(settings, smaller_sky, **smaller).run()
    monkeypatch.undo()
    kinds = STAGES[1 : STAGES.index(failed) + 1]
    states = {k: s for k, s in _runs(settings) if k != "ingest"}
    assert states == dict.fromkeys(kinds[:-1], "done") | {failed: "failed"}
    parts = (
        "SELECT count(*) FROM pg_class WHERE relkind = 'r'"
        " AND relname ~ '^(match|match_candidate|classification|out_of_fold)_r'"
    )
    assert _count(settings, parts) == {"match": 0, "fit": 2, "classify": 3}[failed]
    assert _count(settings, "SELECT count(*) FROM xcat.model") == (failed == "classify")
    before = _runs(settings)
    runs = _runner(settings, smaller_sky, **smaller).run()
    left = [(k, s) for k, s in before if s != "failed"]  # which goes when its stage has succeeded
    assert _runs(settings) == [*left, *((k, "done") for k in STAGES[STAGES.index(failed) :])]
    assert _count(settings, "SELECT count(*) FROM pub.classified") == _count(
        settings, "SELECT count(*) FROM xcat.source WHERE run_id = %s", [runs["merge"]]
    )


def test_a_stage_by_itself_wants_the_stage_before(settings: Settings, smaller_sky: Path) -> None:
    for kind in ("merge", "classify"):
        with pytest.raises(StageError, match="nothing is loaded yet"):
            _runner(settings, smaller_sky).run(only=kind)
    assert _runner(settings, smaller_sky).run(only="ingest") == {}
    for kind, missing in (("match", "merge"), ("fit", "merge"), ("publish", "merge")):
        with pytest.raises(StageError, match=rf"'{missing}' .*has not been run.*--to {missing}"):
            _runner(settings, smaller_sky).run(only=kind)
    assert set(_runner(settings, smaller_sky).run(only="merge")) == {"merge"}
    with pytest.raises(StageError, match="'link'"):
        _runner(settings, smaller_sky).run(only="match")
    assert set(_runner(settings, smaller_sky).run(only="link")) == {"merge", "link"}
    with pytest.raises(StageError, match="'match'"):
        _runner(settings, smaller_sky).run(only="properties")


def test_the_stages_up_to_one(settings: Settings, smaller_sky: Path) -> None:
    assert set(_runner(settings, smaller_sky).run(to="link")) == {"merge", "link"}
    kinds = [kind for kind, _ in _runs(settings) if kind != "ingest"]
    assert kinds == ["merge", "link"]
    assert _runner(settings, smaller_sky).run_as_pipeline(to="merge").keys() == {"merge"}
    assert [kind for kind, _ in _runs(settings) if kind != "ingest"] == [*kinds, "pipeline"]
    for wrong, message in (
        ({"to": "links"}, "no stage 'links'.*ingest, merge, link, match"),
        ({"only": "fits"}, "no stage 'fits'"),
        ({"only": "merge", "to": "link"}, "not both"),
    ):
        with pytest.raises(StageError, match=message):
            _runner(settings, smaller_sky).run(**wrong)


def test_without_references_the_pipeline_ends_before_the_labels(settings: Settings, smaller_sky: Path) -> None:
    nothing = {"references": [], "classes": {}}
    runs = _runner(settings, smaller_sky, **nothing).run()
    assert list(runs) == ["merge", "link", "match", "properties"]
    assert _count(settings, "SELECT count(*) FROM xcat.master") > 0
    with pytest.raises(StageError, match="no references"):
        _runner(settings, smaller_sky, **nothing).run(only="fit")


def test_files_that_the_pipeline_does_not_name_are_refused(
    settings: Settings, smaller_sky: Path, tmp_path: Path
) -> None:
    plan = _runner(settings, smaller_sky).plan
    foreign = tmp_path / "foreign.csv"
    lines = (smaller_sky / "ref_agn.csv").read_text().splitlines()
    foreign.write_text("\n".join([lines[0], *(line.replace("AGN ", "OLD ") for line in lines[1:5])]) + "\n")
    ingest(settings, plan.definitions["sim_ref_agn"], [foreign])
    with pytest.raises(StageError, match=r"foreign\.csv.*--replace"):
        _runner(settings, smaller_sky).run(only="ingest")
    _runner(settings, smaller_sky, replace=True).run(only="ingest")
    files = (
        "SELECT string_agg(file_name, ' ') FROM xcat.catalogue_file JOIN xcat.catalogue_content USING (file_id)"
        " JOIN xcat.catalogue USING (catalogue_id)"
    )
    assert _count(settings, files + " WHERE name = 'sim_ref_agn'") == "ref_agn.csv"
    names = "SELECT count(*) FROM xcat.reference_object WHERE native_id LIKE 'OLD%'"
    assert _count(settings, names) == 0


def test_priors_of_published_counts(
    module_settings: Settings, sky: Path, done: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The prior is of the same kind as that of the sky; the run says what it used, and whether the sums are right."""
    changes = {"priors": "counts", "weights": FIRST_WEIGHTS, "sharpness": 2.0, "folds": 3}
    runs = _runner(module_settings, sky, **changes).run(to="classify")
    assert runs["properties"] == done["properties"] and runs["fit"] != done["fit"]
    with ready(module_settings) as conn:
        fit, classify_run = get(conn, runs["fit"])["summary"], get(conn, runs["classify"])
        model = store.load(conn, runs["fit"])
        again = sum_rule.of_run(conn, classify_run, model.classes, model.priors)
        monkeypatch.setattr(sum_rule, "MOST_SOURCES", 1000)
        part = sum_rule.of_run(conn, classify_run, model.classes, model.priors)
    assert model.has_sky_prior and model.pairs[-1].name == "abs_b*log_fx"
    assert fit["priors"] == pytest.approx(dict(zip(model.classes, model.priors, strict=True)))
    assert fit["priors"] != pytest.approx(fit["priors_given"], rel=0.02)
    assert fit["counts"]["classes_without_counts"] == []
    assert fit["counts"]["populations"][0].startswith("AGN: AGN (Moretti et al. 2003")
    rule = classify_run["summary"]["sum_rule"]
    assert 2 < rule["area_deg2"] < 10 and rule["sources"] > 200
    assert rule == again and rule["part"] == 1
    # of a large catalogue a part of the sky is looked at
    assert part["part"] == 3 and 0 < part["sources"] < 0.7 * rule["sources"] and part["area_deg2"] < rule["area_deg2"]
    for row in rule["rows"]:
        assert row["sources"] >= 20 and 0 <= row["sum_p"] <= row["sources"] * (1 + 1e-6)
    assert "sum rule  Sum rule" in record.text(classify_run) and "published" in record.text(classify_run)
    # the held-out answers follow
    p = np.array([row["p"] for row in rows(module_settings, f"SELECT p FROM xcat.out_of_fold_r{runs['fit']}")])
    assert np.allclose(p.sum(axis=1), 1, atol=1e-5)
