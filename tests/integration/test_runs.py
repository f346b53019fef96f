"""Every stage leaves one row that tells the truth: done with its rows, failed without, or lost."""

from __future__ import annotations

import dataclasses
import json
import sys
import threading
import time
from importlib.metadata import version

import children
import psycopg
import pytest
from psycopg.types.json import Jsonb

from xcat.cli.app import Ended
from xcat.database import runs
from xcat.database.address import OWNER
from xcat.database.connection import connect, ready
from xcat.database.runs import stage
from xcat.database.sqlfiles import job
from xcat.errors import StageError, XcatError

_CONFIG = {"catalogue": "a", "files": ["1", "2"]}


def _run(settings, run_id):
    with ready(settings) as conn:
        return runs.get(conn, run_id)


def _made(settings):
    """Rows that the stages of these tests wrote, besides their row in ``run``."""
    with ready(settings) as conn:
        return [name for (name,) in conn.execute("SELECT name FROM xcat.catalogue ORDER BY 1")]


def _make(run, name):
    run.conn.execute(
        "INSERT INTO xcat.catalogue (name, version, is_current, kind, definition, definition_sha256)"
        " VALUES (%s, 1, true, 'optical', '{}', '')",
        [name],
    )


def test_a_stage_leaves_its_row(settings):
    begin = time.monotonic()
    with stage(settings, "merge", "first", {}) as before:
        pass
    inputs = {"files": [{"name": "f.fits"}]}
    with stage(settings, "ingest", "name", _CONFIG, inputs=inputs, source_run_id=before.run_id) as run:
        _make(run, "written")
        with run.step("read"):
            run.conn.execute("SELECT pg_sleep(0.02)")
        with run.step("read"):
            run.conn.execute("SELECT pg_sleep(0.02)")
        run.summary["n_rows"] = 3
        run.inputs["n"] = 5
        assert _run(settings, run.run_id)["status"] == "running"
        assert _made(settings) == []
    row = _run(settings, run.run_id)
    assert (row["kind"], row["name"], row["status"], row["error"]) == ("ingest", "name", "done", None)
    assert row["config"] == _CONFIG
    assert row["config_key"] == runs.config_key("ingest", _CONFIG)
    assert row["inputs"] == inputs | {"n": 5}
    assert row["summary"]["n_rows"] == 3
    assert 0.04 <= row["summary"]["seconds"]["read"] <= time.monotonic() - begin
    assert row["started_at"] < row["ended_at"]
    assert row["source_run_id"] == before.run_id
    assert row["versions"]["xcat"] == version("xcat")
    assert {"python", "numpy", "psycopg", "postgresql", "q3c"} <= row["versions"].keys()
    assert row["versions"]["q3c"] != "missing"
    assert _made(settings) == ["written"]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("column ra: no such thing"), "column ra: no such thing"),
        (ValueError(), "ValueError()"),
        (KeyboardInterrupt(), "cancelled by the user"),
        (Ended("cancelled by a signal (SIGTERM)"), "cancelled by a signal (SIGTERM)"),
        (SystemExit(1), "1"),
    ],
    ids=["error", "silent error", "ctrl-c", "signal", "exit"],
)
def test_a_failed_stage_leaves_its_reason_and_nothing_else(settings, error, text):
    with pytest.raises(type(error)), stage(settings, "ingest", "name", _CONFIG) as run:
        _make(run, "written")
        run.summary["n_rows"] = 3
        raise error
    row = _run(settings, run.run_id)
    assert (row["status"], row["error"], row["summary"]) == ("failed", text, {"n_rows": 3})
    assert row["ended_at"] is not None
    assert _made(settings) == []


def test_a_step_that_fails_is_timed_too(settings):
    with pytest.raises(ValueError), stage(settings, "ingest", "name", {}) as run, run.step("read"):
        raise ValueError("no")
    assert "read" in _run(settings, run.run_id)["summary"]["seconds"]


def test_a_failed_statement_is_told_with_its_text(settings):
    with pytest.raises(psycopg.errors.UndefinedTable), stage(settings, "ingest", "name", {}) as run:
        run.conn.execute("SELECT * FROM no_such_table")
    assert "no_such_table" in _run(settings, run.run_id)["error"]


def test_a_statement_that_takes_too_long_is_explained(settings):
    # long enough for the first statements of a stage on a busy machine, so that the limit meets the one that it is for
    short = dataclasses.replace(settings, statement_timeout_s=3.0)
    with (
        pytest.raises(
            StageError, match=r"(?s)statement timeout.*nothing was changed.*XCAT_STATEMENT_TIMEOUT_S above 3"
        ),
        stage(short, "merge", "name", {}) as run,
    ):
        run.conn.execute("SELECT pg_sleep(600)")
    assert "statement timeout" in _run(settings, run.run_id)["error"]


def test_an_ended_connection_is_explained(settings):
    with (
        pytest.raises(StageError, match=r"connection to the database was lost; nothing was changed"),
        stage(settings, "merge", "name", {}) as run,
    ):
        _make(run, "written")
        with connect(settings, autocommit=True, role=OWNER) as other:
            other.execute("SELECT pg_terminate_backend(%s)", [run.conn.info.backend_pid])
        run.conn.execute("SELECT 1")
    assert _run(settings, run.run_id)["status"] == "failed"
    assert _made(settings) == []


def test_a_deadlock_is_not_called_a_lost_connection(settings):
    error = psycopg.errors.DeadlockDetected("deadlock detected")
    told = pytest.raises(StageError, match=r"^merge: deadlock detected; nothing was changed")
    with told, stage(settings, "merge", "name", {}):
        raise error


def test_an_unknown_kind_or_parent_is_refused(settings):
    with pytest.raises(TypeError, match="unknown lineage"), stage(settings, "merge", "name", {}, sauce_run_id=1):
        pass
    with pytest.raises(psycopg.errors.CheckViolation), stage(settings, "coffee", "name", {}):
        pass
    with ready(settings) as conn:
        assert runs.listing(conn, 10) == []


# --- lost -------------------------------------------------------------------------------------------------

_DIES = """
import os, signal, sys
from xcat import progress
from xcat.config import settings
from xcat.database.runs import stage
progress.silence()
with stage(settings(), "ingest", "name", {}) as run:
    columns = "name, version, is_current, kind, definition, definition_sha256"
    run.conn.execute(f"INSERT INTO xcat.catalogue ({columns}) VALUES ('x', 1, true, 'y', '{{}}', '')")
    print(run.run_id, flush=True)
    os.kill(os.getpid(), signal.SIGKILL) if sys.argv[1] == "killed" else os._exit(3)
"""


@pytest.mark.parametrize("how", ["killed", "exits"])
def test_a_run_whose_process_died_is_lost_at_once(settings, how):
    done = children.run([sys.executable, "-c", _DIES, how], settings)
    assert done.returncode == (-9 if how == "killed" else 3), done.stderr
    run_id = int(done.stdout)
    _wait_for_sessions(settings)
    with stage(settings, "merge", "next", {}) as run:
        row = _run(settings, run_id)
        assert (row["status"], row["error"]) == ("lost", "the process died without reporting an error")
        assert _run(settings, run.run_id)["status"] == "running"
    assert _made(settings) == []


def _wait_for_sessions(settings):
    """The server notices a closed socket in its own time."""
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with connect(settings, autocommit=True) as conn:
        children.until(lambda: conn.execute(others).fetchone() == (0,))


def test_a_run_at_work_is_not_lost(settings):
    with stage(settings, "ingest", "name", {}) as run, ready(settings) as conn:
        assert runs.reap(conn) == []
        assert [r["status"] for r in runs.listing(conn, 10)] == ["running"]
    assert _run(settings, run.run_id)["status"] == "done"


def test_a_run_is_never_seen_without_its_lock(settings, monkeypatch):
    """Reaping in the middle of the first steps of another stage must not take it for lost."""
    seen = []
    statement = runs.job

    def meddling(name):
        if name == "runs.lock":
            with connect(settings, autocommit=True) as other:
                seen.append(runs.reap(other))
        return statement(name)

    monkeypatch.setattr(runs, "job", meddling)
    with stage(settings, "ingest", "name", {}) as run:
        pass
    assert seen == [[]]
    assert _run(settings, run.run_id)["status"] == "done"


def test_a_run_that_ends_while_it_is_looked_for_is_done(settings):
    """Its lock may be gone before its last word is visible."""
    with connect(settings) as ending, connect(settings, autocommit=True) as reaper:
        (run_id,) = ending.execute(
            job("runs.begin").compose(),
            {"kind": "merge", "name": "a", "config": Jsonb({}), "config_key": "", "versions": Jsonb({})}
            | {"inputs": Jsonb({}), **dict.fromkeys(runs._LINEAGE)},
        ).fetchone()
        ending.commit()
        ending.execute(job("runs.finish").compose(), {"run_id": run_id, "summary": Jsonb({}), "inputs": Jsonb({})})
        found = []
        thread = threading.Thread(target=lambda: found.append(runs.reap(reaper)))
        thread.start()
        with connect(settings, autocommit=True) as watcher:
            while not watcher.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone():
                assert thread.is_alive()
        ending.commit()
        thread.join()
    assert found == [[]]
    assert _run(settings, run_id)["status"] == "done"


# --- finding runs -----------------------------------------------------------------------------------------


def test_work_that_is_done_is_found_and_failed_work_is_not(settings):
    with pytest.raises(ValueError), stage(settings, "merge", "name", _CONFIG):
        raise ValueError("no")
    with ready(settings) as conn:
        assert runs.find_done(conn, "merge", _CONFIG) is None
    with stage(settings, "merge", "name", _CONFIG) as run, ready(settings) as conn:
        assert runs.find_done(conn, "merge", _CONFIG) is None
    with stage(settings, "merge", "name", _CONFIG) as newer:
        pass
    with pytest.raises(ValueError), stage(settings, "merge", "name", _CONFIG):
        raise ValueError("no")
    with ready(settings) as conn:
        assert runs.find_done(conn, "merge", _CONFIG) == newer.run_id > run.run_id
        assert runs.find_done(conn, "merge", dict(reversed(_CONFIG.items()))) == newer.run_id
        assert runs.find_done(conn, "match", _CONFIG) is None
        assert runs.find_done(conn, "merge", _CONFIG | {"files": ["2", "1"]}) is None


def test_the_key_knows_everything_that_changes_the_work(monkeypatch):
    key = runs.config_key("merge", _CONFIG)
    assert runs.config_key("merge", json.loads(json.dumps(_CONFIG))) == key
    others = [runs.config_key("match", _CONFIG), runs.config_key("merge", {}), runs.config_key("merge", {"files": "1"})]
    monkeypatch.setattr(runs, "version", lambda name: "99")
    others.append(runs.config_key("merge", _CONFIG))
    assert len({key, *others}) == 5


def test_two_stages_at_once_do_not_disturb_each_other(settings):
    with stage(settings, "merge", "one", {}) as one, stage(settings, "merge", "two", {}) as two:
        _make(one, "of one")
        _make(two, "of two")
        assert one.run_id != two.run_id
        assert one.conn is not two.conn
    assert _made(settings) == ["of one", "of two"]
    with pytest.raises(ValueError), stage(settings, "merge", "three", {}) as three:
        with stage(settings, "merge", "four", {}) as four:
            _make(three, "of three")
            _make(four, "of four")
        raise ValueError("no")
    assert _made(settings) == ["of four", "of one", "of two"]
    with ready(settings) as conn:
        assert [r["status"] for r in runs.listing(conn, 10)] == ["done", "failed", "done", "done"]
        assert [r["name"] for r in runs.listing(conn, 2)] == ["four", "three"]


def test_a_run_that_is_not_there_is_refused(settings):
    with stage(settings, "merge", "name", {}) as run:
        pass
    with ready(settings) as conn:
        with pytest.raises(XcatError, match=r"there is no run 4711\. See: xcat runs"):
            runs.get(conn, 4711)
        with pytest.raises(XcatError, match=rf"run {run.run_id} is a merge run, not a classify run"):
            runs.get(conn, run.run_id, "classify")
