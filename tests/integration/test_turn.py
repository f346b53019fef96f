"""One run of a pipeline at a time; it can be cancelled, and what it says after a lost connection is what happened."""
# ruff: noqa: SIM117  (nesting shows which run works inside which)

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import children
import psycopg
import pytest
import service_sky

from xcat.database import runs, watch
from xcat.database.cancel import cancel
from xcat.database.connection import connect, ready
from xcat.database.runs import stage
from xcat.errors import BusyError, CancelledError, PassingError, StageError, XcatError
from xcat.jobs import runner as runners
from xcat.jobs.pipeline import Plan, read
from xcat.jobs.runner import Listener, Runner
from xcat.jobs.turn import turn
from xcat.report.run import at_work


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    pipeline, sky = service_sky.make(tmp_path_factory.mktemp("small"))
    return Plan(read(pipeline), sky)


def _rows(settings, query: str, *values: Any) -> list[tuple[Any, ...]]:
    with connect(settings, autocommit=True) as conn:
        conn.execute("RESET ROLE")  # a superuser may look at all sessions, and end them
        return conn.execute(query, values).fetchall()  # type: ignore[arg-type]


def _run(settings, run_id: int) -> dict[str, Any]:
    with ready(settings) as conn:
        return runs.get(conn, run_id)


def _end_session(settings, conn: psycopg.Connection) -> None:
    _rows(settings, "SELECT pg_terminate_backend(%s)", conn.info.backend_pid)


@contextmanager
def _meanwhile(work: Any) -> Iterator[list[Any]]:
    """Do something in another thread during the block; what it gave or raised is in the list afterwards."""
    results: list[Any] = []

    def do() -> None:
        try:
            results.append(work())
        except BaseException as error:
            results.append(error)

    thread = threading.Thread(target=do)
    thread.start()
    try:
        yield results
    finally:
        thread.join()


def _make(run, name: str) -> None:
    run.conn.execute(
        "INSERT INTO xcat.catalogue (name, version, is_current, kind, definition, definition_sha256)"
        " VALUES (%s, 1, true, 'optical', '{}', '')",
        [name],
    )


# --- the turn ---------------------------------------------------------------------------------------------


def test_a_second_run_waits_and_says_for_whom(settings):
    said: list[str] = []
    order: list[str] = []

    def second() -> None:
        with turn(settings, "a", said.append):
            order.append("second")

    with ExitStack() as until_the_end, turn(settings, "a", print) as first, first.run({}):
        until_the_end.enter_context(_meanwhile(second))
        children.until(lambda: said)
        with turn(settings, "b", said.append, wait=False):
            pass  # another pipeline need not wait
        told = pytest.raises(BusyError, match=rf"run {first.run_id} .*process {os.getpid()} of .* --no-wait")
        with told, turn(settings, "a", said.append, wait=False):
            pass
        order.append("first")
    assert order == ["first", "second"]
    assert len(said) == 1 and f"a: waiting for run {first.run_id} (since 20" in said[0]


def test_two_runs_at_once_do_the_work_once(settings, small):
    """Also the one that waited comes to the same answer."""
    with _meanwhile(Runner(settings, small).run_as_pipeline) as results:
        mine = dict(Runner(settings, small).run_as_pipeline())
    assert results == [mine]
    done = _rows(settings, "SELECT kind, count(*) FROM xcat.run WHERE status = 'done' GROUP BY 1")
    assert dict(done) == {"ingest": 1, "pipeline": 2, **dict.fromkeys(mine, 1)}


# --- cancelling -------------------------------------------------------------------------------------------


def _wait_for_sleep(settings) -> None:
    asleep = "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT pg_sleep%%'"
    children.until(lambda: _rows(settings, asleep))


def test_a_running_statement_is_cancelled_within_a_second(settings):
    took: list[float] = []

    def end() -> dict[str, Any]:
        _wait_for_sleep(settings)
        begin = time.monotonic()
        (((run_id,)),) = _rows(settings, "SELECT max(run_id) FROM xcat.run")  # the stage: it ends the pipeline
        answer = cancel(settings, run_id)
        took.append(time.monotonic() - begin)
        return answer

    with (
        _meanwhile(end) as results,
        pytest.raises(CancelledError, match=r"a: run \d+ was cancelled by \S+ on \S+ at 20"),
    ):
        with turn(settings, "a", print) as mine, mine.run({}):
            with stage(settings, "merge", "a", {}, pipeline_run_id=mine.run_id) as run:
                _make(run, "written")
                run.conn.execute("SELECT pg_sleep(60)")
    assert took[0] < 1.0
    assert results[0]["run_id"] == mine.run_id
    assert _rows(settings, "SELECT count(*) FROM xcat.catalogue") == [(0,)]
    for run_id in (mine.run_id, run.run_id):
        row = _run(settings, run_id)
        assert row["status"] == "cancelled"
        assert row["error"].startswith("cancelled by ") and row["ended_at"] is not None


def test_a_computation_is_cancelled_too_and_a_stage_alone(settings):
    def end() -> Any:
        children.until(lambda: _rows(settings, "SELECT 1 FROM xcat.run_progress"))
        return cancel(settings, 1)

    with _meanwhile(end) as results, pytest.raises(CancelledError, match=r"^merge: cancelled by .*nothing was changed"):
        with stage(settings, "merge", "a", {}):
            while True:
                sum(range(1000))
    assert results[0]["status"] == "cancelled"
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL


def test_a_run_in_another_thread_ends_with_its_next_step(settings):
    def work() -> None:
        with stage(settings, "merge", "a", {}) as run:
            while True:
                with run.step("one"):
                    time.sleep(0.01)

    with _meanwhile(work) as results:
        children.until(lambda: _rows(settings, "SELECT 1 FROM xcat.run_progress"))
        cancel(settings, 1)
    assert isinstance(results[0], CancelledError)


def test_only_a_run_at_work_can_be_cancelled(settings):
    with stage(settings, "merge", "a", {}) as run:
        pass
    with pytest.raises(StageError, match=rf"run {run.run_id} is done; only a run that is at work"):
        cancel(settings, run.run_id)
    with pytest.raises(XcatError, match="there is no run 4711"):
        cancel(settings, 4711)


def test_a_run_says_what_it_does_and_how_long_it_still_takes(settings):
    for kind in ("merge", "link"):
        with stage(settings, kind, "a", {}) as run:
            pass
        lasted = "UPDATE xcat.run SET started_at = ended_at - interval '100 seconds' WHERE run_id = %s RETURNING 1"
        _rows(settings, lasted, run.run_id)
    with turn(settings, "a", print) as mine, mine.run({}):
        with stage(settings, "merge", "a", {}, pipeline_run_id=mine.run_id) as run, run.step("groups"):
            children.until(lambda: _rows(settings, "SELECT 1 FROM xcat.run_progress WHERE step = 'groups'"))
            with ready(settings) as conn:
                (row,) = at_work.listing(conn)
    assert (row["run_id"], row["stage"], row["pid"]) == (mine.run_id, "merge", os.getpid())
    assert 190 < row["left_s"] <= 200  # the rest of merge, and link
    text = at_work.line(row)
    assert text.startswith(f"run {mine.run_id} a, merge, groups, since ") and "3 min" in text
    with ready(settings) as conn:
        assert at_work.listing(conn) == []


# --- lost connections -------------------------------------------------------------------------------------


def test_a_run_whose_connection_was_lost_goes_on_and_says_so(settings, small, monkeypatch):
    """The run ends well, and is not called lost; it says that it was interrupted."""
    said: list[str] = []

    class Ear(Listener):
        def said(self, text: str) -> None:
            said.append(text)

        def finished(self, kind: str, run_id: int, summary: Any) -> None:
            if kind == "merge":
                _rows(settings, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                                " AND datname = current_database()")  # fmt: skip

    runner = Runner(settings, small, listener=Ear())
    assert "properties" in runner.run_as_pipeline()
    assert said == [
        f"small: run {runner.pipeline_run_id} was interrupted: its connection to the database was lost; it goes on"
    ]
    row = _run(settings, runner.pipeline_run_id)
    assert row["status"] == "done" and len(row["summary"]["interrupted"]) == 1


def test_a_run_whose_turn_was_taken_meanwhile_changes_nothing_more(settings):
    with pytest.raises(PassingError, match=r"given up.*nothing was changed"):
        with turn(settings, "a", print) as first, first.run({}):
            first._mend = lambda patience_s: None  # it does not notice in time
            with stage(settings, "merge", "a", {}, pipeline_run_id=first.run_id) as run:
                _make(run, "written")
                _end_session(settings, first.conn)
                with turn(settings, "a", print) as second, second.run({}):
                    assert _run(settings, first.run_id)["status"] == "lost"
    assert _rows(settings, "SELECT count(*) FROM xcat.catalogue") == [(0,)]
    assert _run(settings, second.run_id)["status"] == "done"


def test_a_run_that_finds_its_turn_taken_gives_up(settings, monkeypatch):
    monkeypatch.setattr(watch, "PATIENCE_S", 0.6)
    with (
        pytest.raises(
            PassingError, match=r"run \d+ \(since .* has the turn of this pipeline now; run \d+ was given up"
        ),
        turn(settings, "a", print) as first,
        first.run({}),
        first._mending,
    ):  # so that the thread does not notice first
        _end_session(settings, first.conn)
        with turn(settings, "a", print) as second, second.run({}):
            first.check()


def test_a_stage_whose_connection_is_lost_with_the_commit_has_ended_well(settings, monkeypatch):
    begin = psycopg.Connection.transaction

    @contextmanager
    def losing(self: psycopg.Connection, *args: Any, **options: Any) -> Iterator[Any]:
        with begin(self, *args, **options) as transaction:
            yield transaction
        if "run" in locals_ and self is locals_["run"].conn:
            raise psycopg.OperationalError("server closed the connection unexpectedly")

    locals_: dict[str, Any] = {}
    monkeypatch.setattr(psycopg.Connection, "transaction", losing)
    with stage(settings, "merge", "a", {}) as run:
        locals_["run"] = run
        _make(run, "written")
    assert _run(settings, run.run_id)["status"] == "done"
    assert _rows(settings, "SELECT name FROM xcat.catalogue") == [("written",)]


def test_a_stage_survives_nothing_of_a_killed_server_but_its_record(server, settings):
    """The server is killed in the middle of a stage and comes back; the failure is recorded there."""

    def kill() -> None:
        _wait_for_sleep(settings)
        os.kill(server.status().pid, signal.SIGKILL)
        children.until(server.start)

    with _meanwhile(kill) as results, pytest.raises(PassingError, match="lost; nothing was changed"):
        with stage(settings, "merge", "a", {}) as run:
            _make(run, "written")
            run.conn.execute("SELECT pg_sleep(60)")
    assert results == [None]
    assert _run(settings, run.run_id)["status"] == "failed"
    assert _rows(settings, "SELECT count(*) FROM xcat.catalogue") == [(0,)]


def test_errors_that_may_pass_are_told_from_those_that_do_not(settings):
    for error, may_pass in (
        (psycopg.errors.DiskFull("full"), True),
        (psycopg.errors.QueryCanceled("canceling statement due to statement timeout"), False),
        (psycopg.errors.QueryCanceled("canceling statement due to user request"), True),
    ):
        with pytest.raises(StageError) as caught, stage(settings, "merge", "a", {}):
            raise error
        assert caught.value.may_pass is may_pass


def test_no_wait_is_an_exit_code(settings, tmp_path: Path, small, monkeypatch):
    from xcat.cli import app

    monkeypatch.setattr(app, "app", lambda: Runner(settings, small, wait=False).run())
    monkeypatch.setattr(app, "_listen", lambda: None)
    with turn(settings, service_sky.NAME, print), pytest.raises(SystemExit) as end:
        app.main()
    assert end.value.code == 4
    assert runners.STAGES[-1] == "publish"
