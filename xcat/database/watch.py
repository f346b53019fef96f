"""A run at work says how far it is, and ends when somebody asks it to.

A thread looks into the database several times a second. It interrupts the main thread with a signal, which psycopg
answers by cancelling the statement that is running, so that a run ends at once whether it waits for the server or
computes. A run that works in another thread ends with its next step.
"""

from __future__ import annotations

import getpass
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import psycopg

from xcat.config import Settings
from xcat.database.connection import Connection, ready
from xcat.database.sqlfiles import job
from xcat.errors import DatabaseError
from xcat.progress import doing

LOOK_S = 0.25
_BEAT_S = 2.0
PATIENCE_S = 60.0  # a server that died is back by then


class Cancelled(KeyboardInterrupt):
    """Somebody asks a run to end; a kind of Ctrl-C, so that all that knows Ctrl-C knows it."""


def me() -> dict[str, Any]:
    """Machine, process and user that a run is at work by."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number without a name
        user = str(os.getuid())
    return {"host": socket.gethostname(), "pid": os.getpid(), "os_user": user}


def reconnect(settings: Settings, patience_s: float = PATIENCE_S) -> Connection:
    """Connect again after the server was lost, as soon as it answers; a lost embedded server is started.

    Raises
    ------
    DatabaseError
        It did not answer in time.
    """
    deadline = time.monotonic() + patience_s
    while True:
        try:
            return ready(settings, autocommit=True)
        except (DatabaseError, psycopg.OperationalError) as error:
            if time.monotonic() > deadline or not (isinstance(error, psycopg.Error) or error.may_pass):
                raise
            time.sleep(0.5)


def begin(conn: Connection, run_id: int) -> None:
    """Enter who works on a run."""
    conn.execute(job("turns.begin").compose(), {"run_id": run_id, **me()})


class Beat:
    """What the thread does for one run: tell the database what is going on, and look whether the run is to end."""

    def __init__(self, run_id: int) -> None:
        self.run_id = run_id
        self._last: tuple[object, ...] = ()
        self._at = 0.0

    def __call__(self, conn: Connection) -> str | None:
        """Tell and look; the reason if the run is to end."""
        now = (doing.stage, doing.step, doing.share_done)
        due = _BEAT_S if now[:2] == self._last[:2] else LOOK_S  # a new step at once, the rest seldom
        if time.monotonic() - self._at > due:
            values = {"run_id": self.run_id, **dict(zip(("stage", "step", "share_done"), now, strict=True))}
            conn.execute(job("turns.beat").compose(), values)
            self._last, self._at = now, time.monotonic()
        row = conn.execute(job("turns.look").compose(), {"run_id": self.run_id}).fetchone()
        return f"cancelled by {row[0]} at {row[1]:%Y-%m-%d %H:%M:%S} UTC" if row else None


@contextmanager
def watched(look: Callable[[], str | None]) -> Iterator[Callable[[], None]]:
    """Look again and again while a run is at work; its thread gets `Cancelled` when `look` gives a reason.

    Yields
    ------
    callable
        Raises `Cancelled` if the run is to end: for a run outside the main thread, to be called between steps.
    """
    ended, reasons = threading.Event(), list[str]()
    main = threading.main_thread()
    is_main = threading.current_thread() is main

    def check() -> None:
        if reasons and not ended.is_set():
            raise Cancelled(reasons[0])

    def interrupt(number: int, frame: FrameType | None) -> None:
        check()

    def watch() -> None:
        while not ended.wait(LOOK_S):
            with suppress(psycopg.Error, DatabaseError):  # the run itself notices that the server is lost
                reason = look()
                if reason is not None:
                    reasons.append(reason)
                    if is_main:
                        signal.pthread_kill(main.ident or 0, signal.SIGUSR1)
                    return

    before = signal.signal(signal.SIGUSR1, interrupt) if is_main else None
    thread = threading.Thread(target=watch, name="xcat-watch", daemon=True)
    thread.start()
    try:
        yield check
    except Exception as error:
        if reasons:  # what the signal raises can become another exception: in an import an ImportError
            raise Cancelled(reasons[0]) from error
        raise
    finally:
        ended.set()
        thread.join()
        if is_main:
            signal.signal(signal.SIGUSR1, before)
