"""How a run of a pipeline ended, and who is told: the same for jobs of schedules and for runs in a terminal."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import psycopg

from xcat.config import Settings
from xcat.database import runs
from xcat.database.connection import ready
from xcat.database.failures import explained
from xcat.errors import BusyError, CancelledError, DatabaseError, XcatError
from xcat.jobs.runner import Runner
from xcat.report.run.log import Say
from xcat.service import hooks


def may_pass(error: BaseException) -> bool:
    """Whether the same run may end well later by itself."""
    return error.may_pass if isinstance(error, XcatError) else isinstance(error, psycopg.OperationalError)


def ended(error: BaseException | None) -> tuple[str, str]:
    """The event of a hook (success, refusal, failure or cancelled) and its message; None: it ended well."""
    if error is None:
        return "success", ""
    if isinstance(error, CancelledError | KeyboardInterrupt):
        return "cancelled", str(error) or "cancelled by the user"
    if isinstance(error, XcatError):
        return "failure" if error.may_pass else "refusal", str(error)
    if isinstance(error, psycopg.Error):
        known = explained(error)
        return "failure", str(error if known is None else known)
    return "failure", f"{type(error).__name__}: {error}"


def started(schedule: str | None) -> dict[str, Any]:
    """The event of a run that has not ended."""
    return {"schedule": schedule, "pipeline": None, "run": None, "host": platform.node()}


def figures(settings: Settings, made: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """What each stage counted, without what is long."""
    with ready(settings) as conn:
        summaries = {kind: (run_id, runs.get(conn, run_id)["summary"]) for kind, run_id in made.items()}
    return {
        kind: {"run": run_id} | {k: v for k, v in summary.items() if isinstance(v, int | float | str)}
        for kind, (run_id, summary) in summaries.items()
    }


class Told:
    """A run whose end a hook is told; its runner is entered as soon as there is one."""

    runner: Runner | None = None


@contextmanager
def telling(settings: Settings, hook: str | None, say: Say) -> Iterator[Told]:
    """Tell a hook how the run in the block ended; what goes wrong with that is said, and changes nothing.

    Parameters
    ----------
    settings : Settings
    hook : str or None
        Default: that of the settings. Without one, nobody is told.
    say : callable
        Is told what the hook has done wrong.
    """
    hook, told, failure = hook or settings.hook, Told(), None
    try:
        yield told
    except BaseException as error:
        failure = error
        raise
    finally:
        if hook is not None and not isinstance(failure, BusyError | SystemExit):  # the other run tells its own end
            problem = hooks.tell(hook, _event(settings, told.runner, failure))
            if problem:
                say(problem)


def _event(settings: Settings, runner: Runner | None, failure: BaseException | None) -> dict[str, Any]:
    status, message = ended(failure)
    event = started(None) | {"event": status, "message": message, "figures": {}}
    if runner is not None:
        run_id = runner.pipeline_run_id
        event |= {
            "pipeline": runner.plan.pipeline.name,
            "run": run_id,
            "message": message or f"run {run_id} has ended well",
        }
        with suppress(DatabaseError, psycopg.Error):  # the server is gone: the message says so
            event["figures"] = figures(settings, runner.runs)
    return event
