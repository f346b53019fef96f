"""How far a command is and what it took: a bar on a terminal, a line with the time elsewhere, on standard error.

Only the command line shows it; a program that imports xcat sees none, unless it calls ``silence(False)``.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

Advance = Callable[[float], None]


@dataclass
class Doing:
    """What this process does at present, which a run at work tells the database.

    Attributes
    ----------
    run_id : int or None
        Run of the pipeline at work.
    stage : str or None
        Kind of the stage at work.
    step : str or None
        Step of the stage.
    share_done : float or None
        How much of the step is done, 0 to 1, if that is known.
    """

    run_id: int | None = None
    stage: str | None = None
    step: str | None = None
    share_done: float | None = None


doing = Doing()

_quiet = True
_as_json = False
_WORTH_A_LINE_S = 0.5


def silence(quiet: bool = True) -> None:
    """Show no progress (``--quiet``, ``--json``, the library), or show it."""
    global _quiet
    _quiet = quiet


def log_as_json(wanted: bool = True) -> None:
    """Make each line of the log a JSON object, or a line to be read."""
    global _as_json
    _as_json = wanted


def stamped(text: str, as_json: bool | None = None) -> str:
    """A line of the log.

    On a terminal it is the text. Elsewhere the time with its zone and the number of the run at work stand before it. As
    JSON it is an object with ``at``, ``run``, ``stage`` and ``text``.
    """
    now = datetime.now().astimezone()
    if _as_json if as_json is None else as_json:
        at = now.isoformat(timespec="milliseconds")
        return json.dumps({"at": at, "run": doing.run_id, "stage": doing.stage, "text": text})
    if sys.stderr is not None and sys.stderr.isatty():
        return text
    run = f"run {doing.run_id}: " if doing.run_id is not None else ""
    return f"{now.isoformat(timespec='seconds')} {run}{text}"


def remark(text: str) -> str:
    """A line that stands beside an answer, also in a log; as JSON if that is wanted."""
    return stamped(text) if _as_json else text


@contextmanager
def timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    """Add the time of a step to `seconds`, also that of one that failed."""
    start = time.monotonic()
    doing.step, doing.share_done = name, None
    try:
        yield
    finally:
        doing.step = None
        seconds[name] = round(seconds.get(name, 0.0) + time.monotonic() - start, 3)


def peak_memory_mb() -> float:
    """Most memory that this process has held, in MB; the database is not part of it."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1)


@contextmanager
def bar(what: str, total: float | None = None) -> Iterator[Advance]:
    """Show that something is going on.

    Parameters
    ----------
    what : str
        Shown left of the bar.
    total : float, optional
        How much there is to do; without it the bar only moves.

    Yields
    ------
    callable
        ``advance(amount)``.
    """
    n_done = 0.0
    doing.step, doing.share_done = what, None
    try:
        with _shown(what, total) as show:

            def advance(amount: float) -> None:
                nonlocal n_done
                n_done += amount
                doing.share_done = min(n_done / total, 1.0) if total else None
                show(amount)

            yield advance
    finally:
        doing.step = doing.share_done = None


@contextmanager
def _shown(what: str, total: float | None) -> Iterator[Advance]:
    """Show a bar, or afterwards a line, or nothing."""
    if _quiet:
        yield lambda amount: None
        return
    if sys.stderr is None or not sys.stderr.isatty():  # FORCE_COLOR asks for colours, not for a moving bar in a log
        start = time.monotonic()
        yield lambda amount: None
        seconds = time.monotonic() - start
        if seconds >= _WORTH_A_LINE_S:
            print(stamped(f"{what}: {seconds:.1f} s"), file=sys.stderr, flush=True)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = [TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()]
    if total is not None:
        columns.insert(2, MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(what, total=total)
        yield lambda amount: progress.advance(task, amount)
        if total is not None:
            progress.update(task, completed=total)
