"""One job: the pipeline of a schedule is run, its outcome recorded, and the hook told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg

from xcat.config import Settings
from xcat.database import retention
from xcat.database.connection import ready
from xcat.database.sqlfiles import job
from xcat.errors import StageError, XcatError
from xcat.ingest.checks import Allowed
from xcat.jobs.pipeline import Plan, read
from xcat.jobs.runner import Runner
from xcat.report.run.log import Log, Say
from xcat.report.run.record import leaving_text
from xcat.service import hooks, outcome, schedules

#: After a failure that may pass, a job is repeated after these times; then it is given up.
PAUSES = (timedelta(seconds=10), timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15))


_MOST_ATTEMPTS = 20


class AgainError(Exception):
    """The job failed for a reason that may pass, and is to be repeated after a pause.

    Parameters
    ----------
    message : str
    failures : int
        How often it had failed so before.
    """

    def __init__(self, message: str, failures: int) -> None:
        super().__init__(message)
        self.pause = PAUSES[min(failures, len(PAUSES) - 1)]


@dataclass
class Outcome:
    """How a job ended, which `close` records and tells."""

    schedule: dict[str, Any]
    event: dict[str, Any]
    runs: dict[str, int]
    said: Say


def perform(settings: Settings, schedule: str, attempts: int, failures: int, say: Say) -> Outcome | None:
    """Run the pipeline of a schedule; None if there is no such schedule any more.

    Parameters
    ----------
    settings : Settings
    schedule : str
        Its name.
    attempts : int
        How often the job has been tried before; this also counts when its worker ended or died.
    failures : int
        How often it has failed before for a reason that may pass.
    say : callable
        Is told what happens.

    Raises
    ------
    AgainError
        It failed for a reason that may pass, and has attempts left.
    """
    runner: Runner | None = None

    def said(text: str) -> None:
        say(f"{schedule}: {text}")

    with ready(settings) as conn:
        try:
            row = schedules.get(conn, schedule)
        except XcatError as gone:
            say(f"{gone}; its job is dropped")
            return None
    event, failure = outcome.started(schedule), None
    try:
        if attempts >= _MOST_ATTEMPTS:
            raise StageError(f"given up: its worker has died or was ended {attempts} times. See its log, and memory.")
        plan = Plan(read(Path(row["pipeline_file"])), Path(row["data_folder"]))
        event["pipeline"] = plan.pipeline.name
        options = row["options"]
        runner = Runner(settings, plan, bool(options.get("replace")), Log(said))
        runner.allowed = Allowed(options.get("allow_rejects"), options.get("allow_loss"))
        runner.run_as_pipeline()
        message = f"run {runner.pipeline_run_id} has ended well"
    except Exception as error:  # of whatever kind: the worker goes on with the next job
        failure, message = error, outcome.ended(error)[1]
        if outcome.may_pass(error) and failures < len(PAUSES):
            said(f"{message} It is repeated in {PAUSES[failures]}.")
            raise AgainError(message, failures) from error
    said(message)
    run_id = runner.pipeline_run_id if runner is not None else None
    event |= {"event": outcome.ended(failure)[0], "run": run_id, "message": message}
    return Outcome(row, event, runner.runs if runner is not None else {}, said)


def close(settings: Settings, done: Outcome) -> None:
    """Record how a job ended, tell the hook, and let old runs of the pipeline leave after one that ended well.

    What went wrong with the hook is recorded, too.
    """
    hook, event = done.schedule["hook"] or settings.hook, done.event
    event["figures"] = outcome.figures(settings, done.runs)
    problem = hooks.tell(hook, event) if hook else None
    if problem:
        done.said(problem)
    text = f"{event['event']}: {event['message']}" + (f" ({problem})" if problem else "")
    with ready(settings) as conn:
        conn.execute(job("schedule.ended").compose(), {"name": done.schedule["name"], "outcome": text})
    if event["event"] == "success":
        _tell_watchers(settings, done)  # first: they compare with what was published before
        _retire(settings, done)


def _tell_watchers(settings: Settings, done: Outcome) -> None:
    """Compare the watchlists with what is published now; a failure is only said."""
    from xcat.service.volunteers import watchlists  # here: it takes long to load, and a worker is to be there soon

    try:
        watchlists.tell(settings, done.said)
    except (XcatError, psycopg.Error) as error:
        done.said(f"watchlists are told later: {error}")


def _retire(settings: Settings, done: Outcome) -> None:
    """Keep the last runs of the pipeline, as many as the schedule or the settings say; a failure is only said."""
    keep = done.schedule["options"].get("keep")
    keep = settings.keep_runs if keep is None else keep
    if not keep:
        return
    try:
        leaving = retention.prune(settings, keep, done.event["pipeline"])
    except (XcatError, psycopg.Error) as error:
        done.said(f"old runs are kept for now: {error}")
        return
    if leaving.run_ids or leaving.waiting:
        done.said(leaving_text(leaving))
