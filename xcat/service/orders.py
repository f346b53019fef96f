"""One job: the pipeline of a schedule is run, its outcome recorded, and the hook told."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg

from xcat.config import Settings
from xcat.database import runs
from xcat.database.connection import Connection, ready
from xcat.database.sqlfiles import job
from xcat.errors import CancelledError, StageError, XcatError
from xcat.ingest.checks import Allowed
from xcat.jobs.pipeline import Plan, read
from xcat.jobs.runner import Runner
from xcat.report.run.log import Log, Say
from xcat.service import hooks, schedules

#: After a failure that may pass, a job is repeated after these times; then it is given up.
PAUSES = (timedelta(seconds=10), timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15))


_MOST_ATTEMPTS = 20


class AgainError(Exception):
    """The job failed for a reason that may pass, and is to be repeated after a pause."""


@dataclass
class Outcome:
    """How a job ended, which `close` records and tells."""

    schedule: dict[str, Any]
    event: dict[str, Any]
    runs: dict[str, int]
    said: Say


def perform(settings: Settings, schedule: str, attempts: int, say: Say) -> Outcome | None:
    """Run the pipeline of a schedule; None if there is no such schedule any more.

    Parameters
    ----------
    settings : Settings
    schedule : str
        Its name.
    attempts : int
        How often the job has been tried before.
    say : callable
        Is told what happens.

    Raises
    ------
    AgainError
        It failed for a reason that may pass, and has attempts left.
    """
    runner: Runner | None = None

    def said(text: str) -> None:
        number = f", run {runner.pipeline_run_id}" if runner is not None and runner.pipeline_run_id else ""
        say(f"{schedule}{number}: {text}")

    with ready(settings) as conn:
        try:
            row = schedules.get(conn, schedule)
        except XcatError as gone:
            say(f"{gone}; its job is dropped")
            return None
    event: dict[str, Any] = {"schedule": schedule, "pipeline": None, "run": None, "host": platform.node()}
    try:
        if attempts >= _MOST_ATTEMPTS:
            raise StageError(f"given up: its worker has died or was ended {attempts} times. See its log, and memory.")
        plan = Plan(read(Path(row["pipeline_file"])), Path(row["data_folder"]))
        event["pipeline"] = plan.pipeline.name
        options = row["options"]
        runner = Runner(settings, plan, bool(options.get("replace")), Log(said))
        runner.allowed = Allowed(options.get("allow_rejects"), options.get("allow_loss"))
        runner.run_as_pipeline()
        status, message = "success", f"run {runner.pipeline_run_id} has ended well"
    except CancelledError as error:
        status, message = "cancelled", str(error)
    except (XcatError, psycopg.Error) as error:
        may_pass = error.may_pass if isinstance(error, XcatError) else isinstance(error, psycopg.OperationalError)
        status, message = "failure" if may_pass or isinstance(error, psycopg.Error) else "refusal", str(error)
        if may_pass and attempts < len(PAUSES):
            said(f"{message} It is repeated in {PAUSES[attempts]}.")
            raise AgainError(message) from error
    except Exception as error:  # an error of ours: the worker goes on with the next job
        status, message = "failure", f"{type(error).__name__}: {error}"
    said(message)
    event |= {"event": status, "run": runner.pipeline_run_id if runner is not None else None, "message": message}
    return Outcome(row, event, runner.runs if runner is not None else {}, said)


def close(settings: Settings, outcome: Outcome) -> None:
    """Record how a job ended, and tell the hook; what went wrong with that is recorded, too."""
    hook, event = outcome.schedule["hook"] or settings.hook, outcome.event
    with ready(settings) as conn:
        event["figures"] = {kind: _figures(conn, run_id) for kind, run_id in outcome.runs.items()}
    problem = hooks.tell(hook, event) if hook else None
    if problem:
        outcome.said(problem)
    text = f"{event['event']}: {event['message']}" + (f" ({problem})" if problem else "")
    with ready(settings) as conn:
        conn.execute(job("schedule.ended").compose(), {"name": outcome.schedule["name"], "outcome": text})


def _figures(conn: Connection, run_id: int) -> dict[str, Any]:
    """What a stage counted, without what is long."""
    summary = runs.get(conn, run_id)["summary"]
    return {"run": run_id} | {k: v for k, v in summary.items() if isinstance(v, int | float | str)}
