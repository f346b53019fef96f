"""Schedules, the queue and the worker: what is due is run once, what may pass is repeated, what ends is told."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import children
import pytest
import service_sky
from typer.testing import CliRunner

from xcat import progress
from xcat.cli import app as cli
from xcat.cli.app import app
from xcat.database.cancel import cancel
from xcat.database.connection import connect
from xcat.errors import ConfigError, DatabaseError, PassingError, XcatError
from xcat.jobs import runner as runners
from xcat.service import orders, schedules
from xcat.service.worker import work

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import nights

_WAITING = "SELECT args ->> 'schedule', status::text, attempts FROM procrastinate.procrastinate_jobs"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return service_sky.make(tmp_path_factory.mktemp("small"))


@pytest.fixture
def nightly(settings, small, tmp_path) -> Path:
    """A schedule whose hook writes what it is told into the file that is given."""
    told = tmp_path / "told.json"
    schedules.add(settings, "nightly", "30 4 * * *", "Europe/Berlin", *small, {}, f"tee {told}")
    return told


def _rows(settings, query: str, *values: Any) -> list[tuple[Any, ...]]:
    with connect(settings, autocommit=True) as conn:
        return conn.execute(query, values).fetchall()  # type: ignore[arg-type]


def _outcome(settings) -> str:
    (row,) = schedules.listing(settings)
    return str(row["last_outcome"])


def _outcome_of(settings, name: str) -> str:
    return str({row["name"]: row["last_outcome"] for row in schedules.listing(settings)}[name])


# --- the commands -----------------------------------------------------------------------------------------


def test_the_commands_of_schedules(settings, small, monkeypatch):
    monkeypatch.setenv("XCAT_HOME", str(settings.home))
    monkeypatch.setenv("XCAT_DATABASE_URL", settings.database_url)
    hook = "https://user:password@example.org/secret?token=1"

    def xcat(*words: object, code: int = 0) -> Any:
        done = CliRunner().invoke(app, ["schedule", *map(str, words)])
        assert done.exit_code == code, done.output
        return done

    pipeline, data = small
    line = ("--cron", "30 4 * * *", "--time-zone", "America/New_York", "--data", data)
    first = json.loads(xcat("add", "nightly", pipeline, *line, "--hook", hook, "--replace", "--json").stdout)["next_at"]
    assert datetime.fromisoformat(first).astimezone(UTC).hour in (8, 9)
    (row,) = json.loads(xcat("list", "--json").stdout)
    assert row["options"] == {"replace": True, "allow_rejects": None, "allow_loss": None, "keep": None}
    assert (row["hook"], row["pipeline_file"]) == ("https://example.org/***", str(pipeline))
    for words, message in (
        (("add", "nightly", pipeline, *line), "there is a schedule 'nightly' already"),
        (("add", "b", pipeline, "--cron", "30 4 * *", "--data", data), "is not a cron line of five fields"),
        (("add", "b", pipeline, "--cron", "30 25 * * *", "--data", data), "is not a cron line of five fields"),
        (("add", "b", pipeline, *line, "--time-zone", "Mars/Base"), "there is no time zone 'Mars/Base'"),
        (("add", "b", data / "no.yaml", *line), "no such file"),
        (("add", "b", pipeline, *line[:-1], data.parent), "no such folder"),
        (("add", "b", pipeline, *line, "--hook", "no-such-program --password x"), r"nor a command: no-such-program \*"),
    ):
        with pytest.raises(ConfigError, match=message):
            CliRunner().invoke(app, ["schedule", *map(str, words)], catch_exceptions=False)
    xcat("pause", "nightly")
    assert "paused" in xcat("list").stdout
    assert json.loads(xcat("resume", "nightly", "--json").stdout)["is_paused"] is False
    assert "is in the queue" in xcat("run", "nightly").stdout
    assert "waits in the queue already" in xcat("run", "nightly").stdout
    assert "waits for a worker" in xcat("list").stdout
    xcat("remove", "nightly")
    assert _rows(settings, _WAITING) == []
    assert "no schedules" in xcat("list").stdout
    with pytest.raises(XcatError, match=r"no schedule 'nightly'\. See: xcat schedule list"):
        schedules.run_now(settings, "nightly")


# --- ticks ------------------------------------------------------------------------------------------------


def test_what_was_missed_runs_once(settings, nightly):
    said: list[str] = []
    (row,) = schedules.listing(settings)
    late = row["next_at"] + timedelta(days=2, hours=1)
    schedules.tick(settings, 10, said.append, row["next_at"] - timedelta(seconds=1))
    assert said == [] == _rows(settings, _WAITING)
    schedules.tick(settings, 10, said.append, late)
    assert len(said) == 1 and "has come 3 times since" in said[0] and "it runs once" in said[0]
    assert _rows(settings, _WAITING) == [("nightly", "todo", 0)]
    schedules.tick(settings, 10, said.append, late)
    assert len(said) == 1
    (row,) = schedules.listing(settings)
    assert late < row["next_at"] <= late + timedelta(days=1)
    schedules.tick(settings, 10, said.append, row["next_at"])
    assert said[1:] == ["schedule nightly: its time has come; its last job still waits"]
    schedules.pause(settings, "nightly")
    schedules.tick(settings, 10, said.append, row["next_at"] + timedelta(days=9))
    assert len(said) == 2


def test_the_job_of_a_dead_worker_waits_again(settings, nightly):
    said: list[str] = []
    schedules.run_now(settings, "nightly")
    dead, alive = _rows(
        settings,
        "INSERT INTO procrastinate.procrastinate_workers (last_heartbeat)"
        " VALUES (now() - interval '1 minute'), (now()) RETURNING id",
    )
    take = "UPDATE procrastinate.procrastinate_jobs SET status = 'doing', worker_id = %s RETURNING id"
    with connect(settings) as conn:
        conn.execute("SET search_path TO procrastinate")
        conn.execute(take, alive)
        conn.commit()
        schedules.tick(settings, 10, said.append)
        assert _rows(settings, _WAITING) == [("nightly", "doing", 0)]
        conn.execute(take, dead)
    schedules.tick(settings, 10, said.append)
    assert _rows(settings, _WAITING) == [("nightly", "todo", 1)]
    assert said == ["schedule nightly: the worker of its job died in attempt 1; the job waits again"]


# --- a run in a terminal --------------------------------------------------------------------------------


@pytest.fixture
def main(settings, monkeypatch, capsys) -> Any:
    """The program in this process: its exit code, and its log."""
    monkeypatch.setenv("XCAT_HOME", str(settings.home))
    monkeypatch.setenv("XCAT_DATABASE_URL", settings.database_url)
    monkeypatch.setattr(cli, "_listen", lambda: None)

    def run(*words: object) -> tuple[int, list[str]]:
        monkeypatch.setattr("sys.argv", ["xcat", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            cli.main()
        return int(end.value.code or 0), capsys.readouterr().err.splitlines()

    yield run
    progress.log_as_json(False)


def test_a_run_in_a_terminal_tells_a_hook_and_logs_as_json(main, small, tmp_path, monkeypatch):
    told = tmp_path / "told.json"
    run = ("--log-json", "run", small[0], "--data", small[1])
    code, lines = main(*run, "--hook", f"tee {told}")
    event = json.loads(told.read_text())
    assert (code, event["event"], event["schedule"], event["pipeline"]) == (0, "success", None, "small")
    assert event["message"] == f"run {event['run']} has ended well"
    assert event["figures"]["merge"]["run"] > event["run"]
    log = [json.loads(line) for line in lines]
    assert {line["run"] for line in log} == {event["run"]}
    stages = {line["stage"]: line["text"] for line in log}
    assert stages["merge"] == f"merge: run {event['figures']['merge']['run']}" and "ingest" in stages
    assert all(datetime.fromisoformat(line["at"]).utcoffset() is not None for line in log)
    code, lines = main(*run[1:], "--hook", "false")
    assert code == 0 and lines[-1] == "hook false: exit code 1"
    assert f"run {event['run'] + 6}: merge: run" in " ".join(lines), "a line to be read has the run, too"
    # what goes wrong, with the hook of the settings
    monkeypatch.setenv("XCAT_HOOK", f"tee {told}")
    lost = tmp_path / "lost.yaml"
    lost.write_text(small[0].read_text().replace("xmm_detections.fits", "gone.fits"))
    code, (line,) = main(*run[:2], lost, "--data", small[1])
    assert code == 1 and "gone.fits" in json.loads(line)["text"]
    assert json.loads(told.read_text())["event"] == "refusal"
    code, (line,) = main(*run, "--hook", "no-such-program")
    assert code == 2 and "nor a command: no-such-program" in json.loads(line)["text"]


def test_a_run_that_was_interrupted_tells_its_hook(main, small, tmp_path, monkeypatch):
    def interrupt(self: Any, to: str | None = None) -> None:
        raise KeyboardInterrupt("cancelled by a signal (SIGTERM)")

    told = tmp_path / "told.json"
    monkeypatch.setattr(runners.Runner, "run_as_pipeline", interrupt)
    code, _ = main("run", small[0], "--data", small[1], "--hook", f"tee {told}")
    assert code == 130
    assert json.loads(told.read_text())["event"] == "cancelled"
    # what the signal raises can become another exception on its way
    monkeypatch.setattr(cli, "_received", signal.SIGTERM)
    monkeypatch.setattr(runners.Runner, "run_as_pipeline", lambda self, to=None: 1 / 0)
    code, (line,) = main("run", small[0], "--data", small[1])
    assert code == 143 and line.startswith("xcat: cancelled by a signal (SIGTERM)")


# --- the worker -------------------------------------------------------------------------------------------


def test_a_worker_runs_what_waits_and_tells_the_hook(settings, nightly):
    said: list[str] = []
    before = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGHUP)]
    schedules.run_now(settings, "nightly")
    work(settings, said.append, once=True)
    event = json.loads(nightly.read_text())
    run_id = event["run"]
    assert (event["event"], event["pipeline"], event["schedule"]) == ("success", "small", "nightly")
    assert event["figures"]["link"]["run"] > event["figures"]["merge"]["run"]
    assert f"nightly: merge: run {event['figures']['merge']['run']}" in said
    assert _outcome(settings) == f"success: run {run_id} has ended well"
    assert _rows(settings, _WAITING) == []
    assert _rows(settings, "SELECT status FROM xcat.run WHERE run_id = %s", run_id) == [("done",)]
    assert _rows(settings, "SELECT 1 FROM procrastinate.procrastinate_workers") == []
    assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGHUP)] == before


def test_old_runs_leave_after_a_run_that_ended_well(settings, nightly, small, tmp_path):
    """The newest of its pipeline stay, as many as the schedule says; runs of others, and what is pinned, stay, too."""
    other = tmp_path / "other.yaml"
    other.write_text(small[0].read_text().replace("name: small", "name: other"))
    schedules.add(settings, "few", "0 0 1 1 *", "UTC", small[0], small[1], {"keep": 1})
    schedules.add(settings, "other", "0 0 1 1 *", "UTC", other, small[1], {"keep": 0})
    said: list[str] = []
    for name in ("nightly", "nightly", "other", "other", "few"):
        schedules.run_now(settings, name)
        work(settings, said.append, once=True)
    rows = _rows(settings, "SELECT name, count(*) FROM xcat.run WHERE kind = 'pipeline' GROUP BY 1 ORDER BY 1")
    assert rows == [("other", 2), ("small", 1)]
    assert [text.partition(" runs ")[0] for text in said if "dropped" in text] == ["few: dropped:"]
    assert _outcome_of(settings, "few").startswith("success")


def test_a_failure_to_drop_old_runs_fails_no_run(settings, nightly, monkeypatch):
    def lost(*arguments: Any) -> None:
        raise PassingError("somebody reads them")

    monkeypatch.setattr(orders.retention, "prune", lost)
    said: list[str] = []
    schedules.run_now(settings, "nightly")
    work(settings, said.append, once=True)
    assert "nightly: old runs are kept for now: somebody reads them" in said
    assert _outcome(settings).startswith("success")


def test_what_will_not_pass_is_not_repeated(settings, nightly, small, tmp_path):
    """A file is missing: a refusal. The hook cannot be reached: said, and nothing more."""
    pipeline = tmp_path / "gone.yaml"
    pipeline.write_bytes(small[0].read_bytes())
    schedules.add(settings, "gone", "0 0 1 1 *", "UTC", pipeline, small[1], {}, "false with secrets")
    pipeline.unlink()
    schedules.run_now(settings, "gone")
    work(settings, print, once=True)
    row = schedules.listing(settings)[0]
    assert row["last_outcome"].startswith("refusal: ") and "no such file" in row["last_outcome"]
    assert row["last_outcome"].endswith("(hook false ***: exit code 1)")
    assert _rows(settings, _WAITING) == []


def test_what_may_pass_is_repeated_after_a_pause_and_given_up_at_last(settings, nightly, monkeypatch):
    said: list[str] = []

    def lost(self: Any, to: str | None = None) -> None:
        raise PassingError("merge: the connection was lost.")

    monkeypatch.setattr(runners.Runner, "run_as_pipeline", lost)
    schedules.run_now(settings, "nightly")
    work(settings, said.append, once=True)
    ((_, status, attempts),) = _rows(settings, _WAITING)
    assert (status, attempts) == ("todo", 1) and not nightly.exists()
    assert "nightly: merge: the connection was lost. It is repeated in 0:00:10." in said
    with pytest.raises(orders.AgainError) as again:  # tried often, because its workers were ended: it failed once
        orders.perform(settings, "nightly", 9, 1, print)
    assert again.value.pause == orders.PAUSES[1]
    given_up = orders.perform(settings, "nightly", 9, len(orders.PAUSES), print)
    assert given_up.event["event"] == "failure"


def test_an_error_of_ours_does_not_end_the_worker(settings, nightly, monkeypatch):
    monkeypatch.setattr(runners.Runner, "run_as_pipeline", lambda self: 1 / 0)
    schedules.run_now(settings, "nightly")
    work(settings, print, once=True)
    assert json.loads(nightly.read_text())["message"] == "ZeroDivisionError: division by zero"
    assert _outcome(settings).startswith("failure: ZeroDivisionError")


def _asleep(settings) -> int:
    """Wait until the stage of a run sleeps; the number of the pipeline's run."""
    asleep = "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT pg_sleep%%'"
    children.until(lambda: _rows(settings, asleep))
    ((run_id,),) = _rows(settings, "SELECT run_id FROM xcat.run WHERE kind = 'pipeline' AND status = 'running'")
    return int(run_id)


@pytest.fixture(params=["a statement", "an import"])
def sleepy(request, monkeypatch):
    """The merge of every run sleeps for a minute; what interrupts an import becomes an ImportError."""

    def sleep(run: Any, **arguments: Any) -> None:
        try:
            run.conn.execute("SELECT pg_sleep(60)")
        except KeyboardInterrupt:
            if request.param == "a statement":
                raise
            raise ImportError("initialization failed") from None

    monkeypatch.setattr(runners, "merge_stage", sleep)
    return monkeypatch


def test_a_worker_that_is_asked_to_end_hands_its_job_back(settings, nightly, sleepy):
    said: list[str] = []
    ended: list[int] = []

    def end() -> None:
        ended.append(_asleep(settings))
        os.kill(os.getpid(), signal.SIGTERM)

    schedules.run_now(settings, "nightly")
    thread = threading.Thread(target=end)
    thread.start()
    work(settings, said.append)  # it would work for ever
    thread.join()
    assert said[-2].startswith("nightly: handed back: the worker was asked to end")
    assert said[-1] == "the worker has ended"
    assert _rows(settings, _WAITING) == [("nightly", "todo", 1)]
    states = dict(_rows(settings, "SELECT kind, status FROM xcat.run"))
    assert states == {"ingest": "done", "pipeline": "failed", "merge": "failed"}
    sleepy.undo()
    work(settings, said.append, once=True)
    assert json.loads(nightly.read_text())["event"] == "success"


def test_a_job_is_cancelled_and_not_repeated(settings, nightly, sleepy):
    schedules.run_now(settings, "nightly")
    thread = threading.Thread(target=lambda: cancel(settings, _asleep(settings)))
    thread.start()
    work(settings, print, once=True)
    thread.join()
    event = json.loads(nightly.read_text())
    assert event["event"] == "cancelled" and "was cancelled by" in event["message"]
    assert _outcome(settings).startswith("cancelled: small: run")
    assert _rows(settings, _WAITING) == []


def test_a_worker_without_a_queue_ends(settings):
    with connect(settings) as conn:
        conn.execute("ALTER TABLE procrastinate.procrastinate_jobs RENAME TO gone")
    with pytest.raises(DatabaseError, match='queue cannot be used: relation "procrastinate_jobs" does not exist'):
        work(settings, print)


def test_a_worker_outlives_its_server(server, settings, nightly):
    """The server is killed, and comes back."""
    said: list[str] = []
    own = "datname = current_database() AND pid <> pg_backend_pid()"

    def disturb() -> None:
        children.until(lambda: _rows(settings, f"SELECT 1 FROM pg_stat_activity WHERE query LIKE 'LISTEN%%' AND {own}"))
        os.kill(server.status().pid, signal.SIGKILL)
        children.until(server.start)
        schedules.run_now(settings, "nightly")
        children.until(lambda: _outcome(settings) != "None")
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=disturb)
    thread.start()
    work(settings, said.append)
    thread.join()
    assert said[-1] == "the worker has ended"
    assert _outcome(settings).startswith("success")


@pytest.mark.slow
def test_some_nights(settings, tmp_path):
    """One that learns, one with frozen learning, one with wrong positions, one with an empty file."""
    events = {1: nights.LEARN, 3: nights.SHIFTED, 4: nights.EMPTY}
    with connect(settings) as conn:
        conn.execute("UPDATE xcat.gate SET is_on = true")
    service = nights.Service(settings, tmp_path, None, 400, 4)
    lived = nights.nights(service, 4, events)
    assert nights.faults(service, lived, events) == []
    assert [night.was_refused for night in lived] == [False, False, True, True]
    assert "unmatched: " in lived[2].outcome and "it has no rows" in lived[3].outcome
    text = nights.report(lived, [], 400, "python benchmarks/nights.py")
    assert "2 nights were published, 2 refused" in text and f"| 2 |  | run {lived[1].run_id} |" in text
