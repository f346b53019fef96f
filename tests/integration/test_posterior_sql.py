"""The posterior and the evidence computed in the database: those of Python, for every source and every case."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import psycopg
import pytest
import two_models

from xcat.classifier import Model, classify
from xcat.classifier.posterior import contributions
from xcat.config import Settings
from xcat.database.connection import Connection, ready
from xcat.jobs.publishing import publish
from xcat.models import samples, store

pytestmark = pytest.mark.slow

MODELS = ("", "_category")
MODEL_TABLES = ("model", "model_class", "model_category", "model_term", "likelihood_table")
KINDS = [f"{kind}{suffix}" for kind in ("classify", "best_match") for suffix in MODELS]


@pytest.fixture(scope="module")
def runs(module_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    made = two_models.make(module_settings, tmp_path_factory.mktemp("sky"))
    for kind in KINDS:
        publish(module_settings, made[kind], hold=kind != "classify")
    return made


@pytest.fixture
def conn(module_settings: Settings, runs: dict[str, int]) -> Any:
    with ready(module_settings) as connection:
        yield connection
        connection.rollback()


def _one(conn: Connection, query: str, *params: Any) -> Any:
    row = conn.execute(query.encode(), params).fetchone()
    assert row is not None
    return row[0]


def _posterior(conn: Connection, query: str, *params: Any) -> dict[str, float]:
    return dict(conn.execute(query.encode(), params).fetchall())


def test_every_case_is_there(conn: Connection, runs: dict[str, int]) -> None:
    """Without this the comparisons below would be of the easy sources."""
    for suffix in MODELS:
        tables = {m.name: t for m, t in zip(*_tables(conn, runs[f"fit{suffix}"]), strict=True)}
        assert tables["hr1"].log_smeared is not None
        assert tables["hr1"].log_atoms is not None
        assert tables["log_fx_fr"].log_above is not None
    pairs = [pair.axes for pair in store.load(conn, runs["fit_category"]).pairs]
    assert pairs == [("hr1", "hr2"), ("log_fx_fr", "bp_rp"), ("abs_b", "log_fx")]
    assert store.load(conn, runs["fit"]).weighting == "property"
    for case in (
        "hr1 IN (-1, 1) AND hr1_err > 0",
        "hr1 IN (-1, 1) AND hr1_absorbed > 0.7",
        "hr1 BETWEEN -0.9 AND 0.9 AND hr1_absorbed > 0.7",
        "hr1 BETWEEN -0.9 AND 0.9 AND hr1_absorbed BETWEEN 0.1 AND 0.7",
        "ebv_mag > 3 AND log_fx_fr IS NULL AND log_fx_fr_limit BETWEEN -7 AND 5",
        "abs_b IN (0, 90)",
        "pm_mas_yr <= 0",
        "log_fx_fr > 10",
        "hr1 > 1",
        "hr1 IS NULL",
        "hr1_err IS NULL AND hr1 IS NOT NULL",
        "log_fx_fr IS NULL AND log_fx_fr_limit BETWEEN -7 AND 5",
        "log_fx_fr IS NULL AND log_fx_fr_limit > 5",
        "log_fx_fr IS NULL AND log_fx_fr_limit < -7",
        "log_fx_fr IS NULL AND log_fx_fr_limit IS NULL AND observed_optical",
        "log_fx_fr IS NULL AND NOT observed_optical",
        "log_fx_fr IS NOT NULL AND NOT observed_optical",
        "log_fx_fw1 IS NULL AND NOT observed_infrared",
    ):
        query = f"SELECT count(*) FROM xcat.property WHERE run_id = %s AND {case}"
        assert _one(conn, query, runs["properties"]) > 0, case
    several = "SELECT count(*) - count(DISTINCT source_id) FROM xcat.hypothesis_property WHERE run_id = %s"
    assert _one(conn, several, runs["properties"]) > 100


def _tables(conn: Connection, run_id: int) -> tuple[Any, Any]:
    model = store.load(conn, run_id)
    return model.properties, model.tables


@pytest.mark.parametrize("kind", KINDS)
def test_the_posterior_is_pythons(conn: Connection, runs: dict[str, int], kind: str) -> None:
    model = store.load(conn, runs[kind.replace("classify", "fit").replace("best_match", "fit")])
    found = conn.execute(
        "SELECT c.source_id, max(abs(q.p - c.p[array_position(%s::text[], q.class)])) AS dp, count(*), sum(q.p)"
        " FROM xcat.classification AS c, LATERAL pub.posterior_of(c.source_id, of_run => %s) AS q"
        " WHERE c.run_id = %s GROUP BY 1",
        [list(model.classes), runs[kind], runs[kind]],
    ).fetchall()
    assert len(found) == _one(conn, "SELECT count(*) FROM xcat.classification WHERE run_id = %s", runs[kind]) > 1200
    dp = np.array([row[1] for row in found])
    assert dp.max() < 1e-6, [row for row in found if row[1] >= 1e-6][:5]
    assert {row[2] for row in found} == {len(model.classes)}
    assert np.abs([row[3] - 1 for row in found]).max() < 1e-12


def test_a_model_of_before_is_looked_up_as_it_was(
    conn: Connection, runs: dict[str, int], module_settings: Settings
) -> None:
    """Its limits are before the Galaxy in the classes behind it only."""
    now = store.load(conn, runs["fit"])
    assert now.limits_before_galaxy
    rows, sample = _sample_of(conn, runs, module_settings, now)
    conn.execute("ALTER TABLE xcat.model DISABLE TRIGGER immutable")  # it is rolled back
    conn.execute("UPDATE xcat.model SET limits_before_galaxy = false WHERE run_id = %s", [runs["fit"]])
    before = store.load(conn, runs["fit"])
    assert not before.limits_before_galaxy
    sample = sample.best_match()
    by_now, by_before = classify(now, sample).p, classify(before, sample).p
    changed = np.flatnonzero(np.abs(by_now - by_before).max(axis=1) > 0.001)[:20]
    assert changed.size == 20
    query = (
        "SELECT q.* FROM xcat.property AS p CROSS JOIN LATERAL pub.posterior(%s, to_jsonb(p)) AS q"
        " WHERE p.run_id = %s AND p.source_id = %s"
    )
    for row in [*changed, 0, 1]:
        found = _posterior(conn, query, runs["fit"], runs["properties"], int(rows["source_id"][row]))
        assert [found[c] for c in now.classes] == pytest.approx(by_before[row], abs=1e-6)


@pytest.mark.parametrize("suffix", MODELS)
def test_out_of_fold_answers_are_whole(conn: Connection, runs: dict[str, int], suffix: str) -> None:
    """All columns follow the probabilities, which have the priors of the sky in one of the models."""
    model = store.load(conn, runs[f"fit{suffix}"])
    rows = conn.execute(
        "SELECT o.class, o.p, o.margin, o.is_outlier, o.p_tail, o.alternative, o.evidence, o.fold,"
        " o.known_class, l.class"
        " FROM xcat.out_of_fold AS o JOIN xcat.run AS r USING (run_id)"
        " JOIN xcat.label AS l ON l.run_id = r.label_run_id AND l.source_id = o.source_id AND l.status = 'used'"
        " WHERE o.run_id = %s",
        [runs[f"fit{suffix}"]],
    ).fetchall()
    assert len(rows) == model.n_reference.sum() > 200
    p = np.array([row[1] for row in rows])
    assert [row[0] for row in rows] == [model.classes[k] for k in p.argmax(axis=1)]
    first, second = np.sort(p, axis=1)[:, :-3:-1].T
    assert [row[2] for row in rows] == pytest.approx(first - second, abs=1e-6)
    assert all(row[3] == (row[4] < 0.01) and row[8] == row[9] for row in rows)
    assert np.mean([row[3] for row in rows]) < 0.05  # 1 in 100, and sources of other classes
    assert {len(row[6]) for row in rows} == {len(model.term_names) * len(model.classes)}
    assert {row[7] for row in rows} == {1, 2, 3}
    texts = [part for row in rows for part in row[5].split()]
    assert texts and {part.split(":")[0] for part in texts} <= set(model.categories)
    assert all(not any(part.endswith(f":{row[0]}") for part in row[5].split()) for row in rows)


@pytest.mark.parametrize("suffix", MODELS)
def test_the_evidence_is_pythons(conn: Connection, runs: dict[str, int], suffix: str) -> None:
    model = store.load(conn, runs[f"fit{suffix}"])
    rows = conn.execute(
        "SELECT c.evidence, array_agg(e.log_likelihood ORDER BY o.i), array_agg(e.contribution ORDER BY o.i)"
        " FROM xcat.classification AS c JOIN xcat.property AS s USING (source_id)"
        " CROSS JOIN LATERAL pub.evidence_of(%s, to_jsonb(s)) AS e"
        " CROSS JOIN LATERAL (SELECT array_position(%s::text[], e.property) * 100 + array_position(%s::text[], e.class)"
        " AS i) AS o WHERE c.run_id = %s AND s.run_id = %s GROUP BY c.source_id, c.evidence",
        [
            runs[f"fit{suffix}"],
            list(model.term_names),
            list(model.classes),
            runs[f"classify{suffix}"],
            runs["properties"],
        ],
    ).fetchall()
    stored, terms, said = (np.array([row[i] for row in rows]) for i in range(3))
    # the stored ones have the seven digits of float32
    tolerance = 1e-6 * np.maximum(1, np.abs(stored))
    assert (np.abs(terms - stored) < tolerance).all()
    shape = (len(rows), len(model.term_names), len(model.classes))
    expected = contributions(model, stored.reshape(shape))
    largest = tolerance.reshape(shape).max(axis=2, keepdims=True) * np.abs(model.mixing).sum(axis=2)[None].clip(1) * 2
    assert (np.abs(said.reshape(shape) - expected) < largest).all()


def _sample_of(conn: Connection, runs: dict[str, int], settings: Settings, model: Model) -> tuple[np.ndarray, Any]:
    """Rows and sample of all sources."""
    layout = samples.Layout.of_model(model, best_match=False)
    with ready(settings) as second:
        ((rows, sample),) = samples.every_source(conn, second, layout, runs["properties"], 100_000)
    return rows, sample


@pytest.mark.parametrize("suffix", MODELS)
def test_a_changed_property_is_changed_in_every_hypothesis(
    conn: Connection, runs: dict[str, int], module_settings: Settings, suffix: str
) -> None:
    model = store.load(conn, runs[f"fit{suffix}"])
    rows, sample = _sample_of(conn, runs, module_settings, model)
    source_id = rows["source_id"]
    index = {p.name: j for j, p in enumerate(model.properties)}
    hypotheses = sample.hypotheses
    in_hypotheses = list(hypotheses.columns)
    changes = {"hr1": 0.2, "pm_mas_yr": 55.5, "hr2": None, "log_fx_fr": "Infinity"}
    for name, value in changes.items():
        number = np.float32(np.nan if value is None else value)  # a column of xcat.property is real
        sample.values[:, index[name]] = number
        if index[name] in in_hypotheses:
            hypotheses.values[:, in_hypotheses.index(index[name])] = number
    # the ratio that counted the absence of the counterpart is gone: what else it lacks counts again
    searched = rows["observed_optical"] != 0
    for name in ("parallax_sigma", "bp_rp"):
        j = index[name]
        absent = hypotheses.values[:, in_hypotheses.index(j)]
        absent[searched[hypotheses.source] & np.isinf(absent)] = np.nan
    expected = classify(model, sample).p
    n = np.diff(hypotheses.start)
    for row in [*np.flatnonzero(n > 2)[:20], *np.flatnonzero(n <= 1)[:20]]:
        query = "SELECT * FROM pub.posterior_of(%s, %s::jsonb, of_run => %s)"
        found = _posterior(conn, query, int(source_id[row]), json.dumps(changes), runs[f"classify{suffix}"])
        assert [found[c] for c in model.classes] == pytest.approx(expected[row], abs=1e-6)


def test_hypotheses_are_summed_or_not_as_the_run_did(conn: Connection, runs: dict[str, int]) -> None:
    source_id = _one(
        conn,
        "SELECT source_id FROM xcat.hypothesis_property WHERE run_id = %s GROUP BY 1 HAVING count(*) > 2 LIMIT 1",
        runs["properties"],
    )
    query = "SELECT * FROM pub.posterior_of(%s, '{}', %s, %s)"
    summed, best = (_posterior(conn, query, source_id, flag, None) for flag in (False, True))
    assert summed != best
    assert _posterior(conn, query, source_id, None, None) == summed
    assert _posterior(conn, query, source_id, None, runs["best_match"]) == best
    assert _posterior(conn, query, source_id, False, runs["best_match"]) == summed


def test_what_is_not_told_says_nothing(conn: Connection, runs: dict[str, int]) -> None:
    for suffix in MODELS:
        model = store.load(conn, runs[f"fit{suffix}"])
        found = _posterior(conn, "SELECT * FROM pub.posterior(%s, '{}')", runs[f"fit{suffix}"])
        score = np.exp(model.log_prior)
        assert [found[c] for c in model.classes] == pytest.approx(score / score.sum(), abs=1e-12)
        number = _posterior(conn, "SELECT * FROM pub.posterior(%s, '{\"hr1\": null}')", runs[f"fit{suffix}"])
        assert number != found  # missing is not unknown


def test_real_columns_keep_their_value_through_jsonb(conn: Connection, runs: dict[str, int]) -> None:
    """6.1 as a real is 6.099999904: the table between two nodes tells them apart."""
    query = "SELECT log_likelihood FROM pub.evidence_of(%s, %s::jsonb) WHERE property = 'hr2' AND class = 'AGN'"
    by_text = _one(conn, query, runs["fit"], '{"hr2": 0.1}')
    by_real = _one(conn, query, runs["fit"], json.dumps({"hr2": float(np.float32(0.1))}))
    assert by_text == by_real


def test_wrong_names_and_numbers_are_refused(conn: Connection, runs: dict[str, int]) -> None:
    for query, message in (
        ("SELECT * FROM pub.posterior(%(classify)s, '{}')", r"run \d+ made no model"),
        ("SELECT * FROM pub.evidence_of(0, '{}')", "run 0 made no model"),
        ("SELECT * FROM pub.posterior(%(fit)s, '[0.2, 0.8]')", r"not a row of xcat.property, but \[0.2"),
        ("SELECT * FROM pub.posterior(%(fit)s, NULL)", "not a row of xcat.property, but NULL"),
        ("SELECT * FROM pub.posterior_of(1, '{\"hr_1\": 0}')", "no column hr_1 in pub.classified"),
        ('SELECT * FROM pub.posterior(%(fit)s, \'{"hr1": "soft"}\')', "invalid input syntax"),
    ):
        with pytest.raises(psycopg.Error, match=message):
            conn.execute(query.encode(), runs)
        conn.rollback()


def test_nothing_published_is_said(settings: Settings) -> None:
    with ready(settings) as fresh, pytest.raises(psycopg.Error, match="nothing is published yet"):
        fresh.execute("SELECT * FROM pub.posterior_of(1)")


@pytest.mark.parametrize("call", ["pub.posterior(%(fit)s, to_jsonb(p))", "pub.posterior_of(p.source_id)"])
def test_a_query_reads_the_tables_once(conn: Connection, runs: dict[str, int], call: str) -> None:
    """However many sources it has: else ten thousand would take minutes."""
    plan = _one(
        conn,
        f"EXPLAIN (ANALYZE, FORMAT JSON) SELECT q.* FROM xcat.property AS p, LATERAL {call % runs} AS q"
        " WHERE p.run_id = %s",
        runs["properties"],
    )
    nodes = list(_nodes(plan[0]["Plan"]))
    (terms,) = (node for node in nodes if node.get("Subplan Name") == "CTE terms")
    assert terms["Actual Loops"] == 1
    (scan,) = (node for node in nodes if node.get("CTE Name") == "terms")
    assert scan["Actual Loops"] > 1000


def _nodes(node: dict[str, Any]) -> Any:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)


def test_a_model_is_never_changed(conn: Connection, runs: dict[str, int]) -> None:
    for table in MODEL_TABLES:
        with pytest.raises(psycopg.Error, match=rf"xcat\.{table} is never changed"):
            conn.execute(f"UPDATE xcat.{table} SET run_id = run_id WHERE run_id = %s".encode(), [runs["fit"]])
        conn.rollback()


def test_a_model_goes_with_its_run(conn: Connection, runs: dict[str, int]) -> None:
    count = " UNION ALL ".join(f"SELECT count(*) FROM xcat.{table} WHERE run_id = %(run)s" for table in MODEL_TABLES)
    keys = {"run": runs["fit"]}
    assert all(n > 0 for (n,) in conn.execute(count.encode(), keys).fetchall())
    conn.execute("UPDATE xcat.run SET model_run_id = NULL WHERE model_run_id = %(run)s", keys)
    conn.execute("DELETE FROM xcat.run WHERE run_id = %(run)s", keys)
    assert all(n == 0 for (n,) in conn.execute(count.encode(), keys).fetchall())


def test_a_table_belongs_to_a_class_and_a_term_of_its_model(conn: Connection, runs: dict[str, int]) -> None:
    for column, key in (("class", "run_id_class"), ("property", "run_id_property")):
        values = {"class": "class", "property": "property"} | {column: "'nothing'"}
        query = (
            "INSERT INTO xcat.likelihood_table (run_id, property, class, axes, scales, category, grid, log_density,"
            f" tail_slope, mixing, log_present, log_missing, n_present) SELECT run_id, {values['property']},"
            f" {values['class']}, axes, scales, category, grid, log_density, tail_slope, mixing, log_present,"
            " log_missing, n_present FROM xcat.likelihood_table WHERE run_id = %s LIMIT 1"
        )
        with pytest.raises(psycopg.errors.ForeignKeyViolation, match=key):
            conn.execute(query.encode(), [runs["fit"]])
        conn.rollback()


def test_no_statement_of_ours_updates_a_model() -> None:
    from xcat.database.sqlfiles import folder

    for path in (folder("sql") / "jobs").glob("*.sql"):
        text = path.read_text().lower()
        assert "update xcat.model" not in text, path  # model_class and the others, too
        assert "update xcat.likelihood_table" not in text, path


def test_workers_may_compute_it(conn: Connection) -> None:
    rows = conn.execute(
        "SELECT proname, provolatile, proparallel FROM pg_proc"
        " WHERE pronamespace IN ('xcat'::regnamespace, 'pub'::regnamespace)"
        " AND proname IN ('evidence_of', 'posterior', 'posterior_of', 'terms_of', 'hypotheses_of')"
    ).fetchall()
    assert len(rows) == 5
    assert {row[1:] for row in rows} == {("s", "s")}
