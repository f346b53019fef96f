"""Runs leave at once and whole, never under somebody's hands, and never what is still needed."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import psycopg
import pytest
import small_sky
from psycopg import sql
from sqlalchemy.engine import make_url

from xcat.catalogues.number_counts import populations
from xcat.config import Settings
from xcat.database import retention, runs, schema
from xcat.database.connection import Connection, ready
from xcat.database.embedded import EmbeddedServer
from xcat.errors import StageError, XcatError
from xcat.jobs.publishing import publish
from xcat.models import store
from xcat.own.at_hand import AtHand, model_at_hand
from xcat.own.table_priors import priors_of
from xcat.report.models import model_text

pytestmark = pytest.mark.slow

_OF_RUN = """
SELECT count(*) FROM pg_class AS c WHERE c.relnamespace IN ('xcat'::regnamespace, 'pub'::regnamespace)
  AND c.relkind = 'r' AND c.relname ~ ('_r' || %s || '$')
"""


@pytest.fixture(scope="module")
def sky(module_settings: Settings) -> dict[str, int]:
    """The runs that every test begins with, made once."""
    return small_sky.make(module_settings, n=400, n_labelled=300)


@pytest.fixture
def settings(server: EmbeddedServer, module_settings: Settings, sky: dict[str, int]) -> Iterator[Settings]:
    """Settings of a copy of that database."""
    url = make_url(module_settings.database_url or "")
    with psycopg.connect(f"host={server.socket_folder} user=xcat dbname=postgres", autocommit=True) as admin:
        admin.execute(
            sql.SQL("CREATE DATABASE xcat_of_retention TEMPLATE {}").format(sql.Identifier(str(url.database)))
        )
        copied = url.set(database="xcat_of_retention").render_as_string(hide_password=False)
        yield Settings(home=server.home, database_url=copied)
        admin.execute("DROP DATABASE xcat_of_retention WITH (FORCE)")


@pytest.fixture
def made(sky: dict[str, int]) -> dict[str, int]:
    return dict(sky)


@pytest.fixture
def read(settings: Settings) -> Iterator[Connection]:
    with ready(settings, autocommit=True) as conn:
        yield conn


def _tables(conn: Connection, run_id: int) -> int:
    row = conn.execute(_OF_RUN, [run_id]).fetchone()
    assert row is not None
    return int(row[0])


def _numbers(conn: Connection, where: str = "true") -> list[int]:
    return [row[0] for row in conn.execute(f"SELECT run_id FROM xcat.run WHERE {where} ORDER BY 1")]


def test_a_run_leaves_with_its_tables_and_what_hangs_on_it(settings, made, read):
    other = small_sky.classify_again(settings, made)
    model = runs.get(read, made["classify"])["model_run_id"]
    assert _tables(read, made["classify"]) > 5
    gone = [made["classify"], made["earlier_classify"], model]
    left = retention.drop_runs(settings, gone)
    assert set(left.run_ids) >= {*gone, made["publish"]} and left.waiting == []
    assert _tables(read, made["classify"]) == _tables(read, model) == 0
    assert not set(_numbers(read)) & {*gone, made["publish"]}
    assert read.execute("SELECT count(*) FROM xcat.likelihood_table WHERE run_id = %s", [model]).fetchone() == (0,)
    assert read.execute("SELECT DISTINCT run_id FROM pub.classified_runs").fetchall() == [(other,)]


@pytest.mark.parametrize(
    ("kind", "why"),
    [("classify", "is published"), ("merge", "is read by .*match run"), ("ingest", "loaded files that the catalogue")],
)
def test_what_is_needed_stays_and_says_why(settings, made, read, kind, why):
    before = _numbers(read)
    with pytest.raises(StageError, match=rf"nothing was dropped: .*run {made[kind]} {why}"):
        retention.drop_runs(settings, [made[kind]])
    assert _numbers(read) == before


def _at_hand(settings: Settings, run_id: int, names: list[str], *before: str) -> AtHand:
    """The model for some properties, asked for in a session of its own that may not write."""
    with ready(settings) as conn:
        for statement in before:
            conn.execute(statement)
        conn.commit()
        conn.read_only = True
        return model_at_hand(settings, conn, run_id, names)


def test_a_model_at_hand_is_used_again_and_stays_and_leaves_with_its_model(settings, made, read):
    names = ["log_fx_fr", "hr1", "no_such_property"]
    with ThreadPoolExecutor(2) as pool:  # two at once: one fits, the other waits for it
        one, two = pool.map(lambda run: _at_hand(settings, run, names), (made["fit"], made["classify"]))
    model, fit = one.model, one.run_id
    assert two.run_id == fit and [p.name for p in model.properties] == ["hr1", "log_fx_fr"]
    assert np.array_equal(two.model.mixing, model.mixing) and two.figures == one.figures
    whole = store.load(read, made["fit"])
    for table, name in zip(model.tables, ("hr1", "log_fx_fr"), strict=True):
        index = [p.name for p in whole.properties].index(name)
        assert np.array_equal(table.log_density, whole.tables[index].log_density)
    of_whole = runs.get(read, made["fit"])["summary"]["out_of_fold"]["sample"]
    of_model = one.figures["sample"]
    assert one.messages[0] == (
        f"model of run {made['fit']} refitted for 2 of its {len(whole.properties)} properties (run {fit}): out of fold "
        f"accuracy {of_model['accuracy']:.3f} (all properties {of_whole['accuracy']:.3f}), log-loss "
        f"{of_model['log_loss']:.3f} ({of_whole['log_loss']:.3f})"
    )
    assert of_model["log_loss"] > of_whole["log_loss"] and of_model["accuracy"] > 0.7
    # the run of a model at hand means its model
    assert _at_hand(settings, fit, names).run_id == fit
    everything = _at_hand(settings, fit, [p.name for p in whole.properties])
    assert everything.run_id == made["fit"] and everything.messages[0].endswith(f"{of_whole['log_loss']:.3f}")
    with pytest.raises(XcatError, match="none of the properties"):
        _at_hand(settings, fit, ["distance_pc"])
    with pytest.raises(XcatError, match="is a merge run, done; it has no model"):
        _at_hand(settings, made["merge"], names)

    # who only reads, or a server that takes no writes: the same model, fitted in memory
    read.execute("RESET ROLE; CREATE ROLE visitor")
    try:
        read.execute("GRANT USAGE ON SCHEMA xcat, pub TO visitor; GRANT SELECT ON ALL TABLES IN SCHEMA xcat TO visitor")
        reader = _at_hand(settings, made["fit"], ["hr1"], "SET ROLE visitor")
        assert _at_hand(settings, made["fit"], names, "SET ROLE visitor").run_id == fit
    finally:
        read.execute("DROP OWNED BY visitor; DROP ROLE visitor")
    assert reader.run_id is None and "is not stored" in reader.messages[1] and "(run" not in reader.messages[0]
    standby = _at_hand(settings, made["fit"], ["hr1"], "SET default_transaction_read_only = on")
    assert standby.run_id is None
    stored = _at_hand(settings, made["fit"], ["hr1"])
    assert stored.run_id is not None and np.array_equal(stored.model.mixing, reader.model.mixing)

    # in the lists under a name of its own; nothing takes it for the pipeline's fit
    names_of_runs = dict(read.execute("SELECT run_id, name FROM xcat.run WHERE kind = 'fit'").fetchall())
    at_hand = "small_sky (properties at hand)"
    assert names_of_runs == {made["fit"]: "small_sky", fit: at_hand, stored.run_id: at_hand}
    listed = {m["run_id"]: m for m in model_text.listing(read, 9)}
    assert listed[fit]["accuracy"] == of_model["accuracy"] and not listed[fit]["published"]
    assert f"{at_hand}), fitted" in model_text.model_text(model_text.describe(read, fit))
    for text in ("small_sky", str(made["fit"]), str(made["classify"]), str(fit)):
        assert priors_of(read, model, text).shares == pytest.approx(whole.priors)
    with pytest.raises(XcatError, match="no finished fit of a pipeline of this name"):
        priors_of(read, model, "large_sky")
    with pytest.raises(XcatError, match="is a match run, done"):
        priors_of(read, model, str(made["match"]))
    in_sql = read.execute(
        "SELECT xcat.agn_per_deg2(f) FROM unnest('{1e-15,3e-14,1e-12}'::float8[]) AS u (f)"
    ).fetchall()
    agn = next(each for each in populations() if each.name == "AGN")
    found = agn.unabsorbed_per_deg2(np.array([1e-15, 3e-14, 1e-12]))
    assert found == pytest.approx([n for (n,) in in_sql], rel=1e-12)

    # both stay as long as their model, however few of a name are kept, and leave with it
    assert not {fit, stored.run_id} & set(retention.prune(settings, 1).run_ids)
    small_sky.classify_again(settings, made)
    left = retention.drop_runs(settings, [made["classify"], made["earlier_classify"], made["fit"]])
    assert {fit, stored.run_id} <= set(left.run_ids)
    assert read.execute(
        "SELECT count(*) FROM xcat.model WHERE run_id = ANY (%s)", [[fit, stored.run_id]]
    ).fetchone() == (0,)


def test_runs_of_other_pipelines_stay_if_one_is_named(settings, made, read):
    at_hand = _at_hand(settings, made["fit"], ["hr1"]).run_id
    for _ in range(2):  # what was published, and before that, is kept
        small_sky.classify_again(settings, made)
    read.execute("UPDATE xcat.run SET summary = '{}' WHERE kind = 'pipeline'")  # it would keep what it has made
    assert retention.prune(settings, 1, "another").run_ids == []
    read.execute("UPDATE xcat.run SET name = 'another' WHERE kind = 'classify' AND run_id = %s", [made["classify"]])
    assert not {made["classify"], made["fit"], at_hand} & set(retention.prune(settings, 1, "small_sky").run_ids)
    read.execute("UPDATE xcat.run SET name = 'small_sky' WHERE run_id = %s", [made["classify"]])
    assert {made["classify"], made["fit"], at_hand} <= set(retention.prune(settings, 1, "small_sky").run_ids)


def test_a_running_run_stays(settings, made, read):
    with runs.stage(settings, "classify", "x", {}) as run, pytest.raises(StageError, match="is running"):
        retention.drop_runs(settings, [run.run_id])


def test_an_unknown_run_is_an_error(settings, made):
    with pytest.raises(XcatError, match="no run 987654"):
        retention.drop_runs(settings, [987654])


def test_a_pipeline_run_leaves_with_its_stages(settings, made, read):
    with pytest.raises(StageError, match="is published"):
        retention.drop_runs(settings, [made["pipeline"]])
    read.execute("UPDATE xcat.publication SET active = false")
    with pytest.raises(StageError, match="loaded files"):
        retention.drop_runs(settings, [made["pipeline"]])
    read.execute("UPDATE xcat.catalogue SET is_current = false")
    retention.drop_runs(settings, [made["pipeline"]])
    assert _numbers(read) == []
    names = [*schema.RUN_TABLES, *schema.CATALOGUE_TABLES]
    for name in (*(f"xcat.{n}" for n in names), *(f"pub.{n}" for n in schema.PUB_TABLES), "xcat.catalogue_file"):
        assert read.execute(f"SELECT count(*) FROM {name}").fetchone() == (0,), name
    kept = read.execute("SELECT count(*) FROM xcat.master_identity").fetchone()
    assert kept is not None, "numbers are given once and never again"


def test_a_pinned_run_and_what_it_stands_on_stay(settings, made, read):
    with ready(settings) as conn:
        runs.pin(conn, made["classify"], "the paper's")
    small_sky.classify_again(settings, made)
    with pytest.raises(StageError, match="is pinned: the paper's"):
        retention.drop_runs(settings, [made["classify"]])
    retention.prune(settings, 1)
    kept = _numbers(read)
    assert {made[k] for k in ("classify", "fit", "label", "properties", "match", "link", "merge", "ingest")} <= set(
        kept
    )
    with ready(settings) as conn:
        runs.pin(conn, made["classify"], None)
    assert made["classify"] not in retention.prune(settings, 1).run_ids, "the last pipeline run made it"
    read.execute("DELETE FROM xcat.run WHERE kind = 'pipeline'")
    assert made["classify"] not in retention.prune(settings, 1).run_ids, "the way back: published before"
    read.execute("UPDATE xcat.publication SET withdrawn = true WHERE NOT active")
    assert made["classify"] in retention.prune(settings, 1).run_ids


def test_prune_keeps_the_last_and_the_published(settings, made, read):
    read.execute("DELETE FROM xcat.run WHERE kind = 'pipeline'")  # it would keep its own, being the last
    numbers = [small_sky.classify_again(settings, made) for _ in range(3)]
    publish(settings, made["classify"])
    retention.prune(settings, 2)
    assert _numbers(read, "kind = 'classify'") == [made["classify"], *numbers[1:]]
    assert made["earlier_match"] in _numbers(read), "two of each kind"
    retention.prune(settings, 1)
    # the last publication was that of the first run; the last classify run is another one
    assert _numbers(read, "kind = 'classify'") == [made["classify"], numbers[2]]
    assert made["earlier_match"] not in _numbers(read)
    assert _tables(read, numbers[0]) == _tables(read, made["earlier_match"]) == 0
    assert retention.prune(settings, 1).run_ids == []


def test_failed_and_lost_runs_leave_by_themselves(settings, made, read):
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), runs.stage(settings, "match", "small_sky", {"a": 1}):
            1 / 0  # noqa: B018
    with pytest.raises(ZeroDivisionError), runs.stage(settings, "match", "another", {"a": 1}):
        1 / 0  # noqa: B018
    assert len(_numbers(read, "status = 'failed'")) == 3, "until then they can be looked at"
    with runs.stage(settings, "match", "small_sky", {"a": 2}):
        pass
    assert (
        len(_numbers(read, "status = 'failed' AND name = 'another'")) == len(_numbers(read, "status = 'failed'")) == 1
    )
    retention.prune(settings, 5)
    assert _numbers(read, "status = 'failed'") == []


def test_a_reader_in_a_long_transaction_holds_up_nobody(settings, made, read):
    other = small_sky.classify_again(settings, made)
    gone = made["classify"]
    with ready(settings) as long:
        query = f"SELECT count(*), sum(p_class) FROM pub.classified_r{gone}"
        before = long.execute(query).fetchone()
        left = retention.drop_runs(settings, [gone])
        assert gone in left.run_ids and left.waiting[0]["pid"] == long.info.backend_pid
        assert gone not in _numbers(read)
        assert read.execute("SELECT DISTINCT run_id FROM pub.classified").fetchall() == [(other,)]
        assert read.execute("SELECT count(*) FROM pub.runs WHERE run_id = %s", [gone]).fetchone() == (0,)
        assert long.execute(query).fetchone() == before, "what it reads stays until it has ended"
        publish(settings, other)
    retention.sweep(settings)
    assert _tables(read, gone) == 0
    assert read.execute("SELECT count(*) FROM xcat.dropped_table").fetchone() == (0,)


def test_nothing_is_left_behind_by_a_hundred_runs(settings, made, read):
    tables = "SELECT count(*) FROM pg_class WHERE relnamespace IN ('xcat'::regnamespace, 'pub'::regnamespace)"
    before: Any = read.execute(tables).fetchone()
    for number in range(100):
        with runs.stage(settings, "evaluate", "many", {"n": number}):
            pass
    retention.prune(settings, 1)
    assert len(_numbers(read, "kind = 'evaluate'")) == 1
    after: Any = read.execute(tables).fetchone()
    assert after[0] <= before[0]
