"""One run of a pipeline at a time: the session of a pipeline's run, which holds its turn for as long as it works.

The turn is a lock of the session, so that the server gives it back when the process dies. If only the connection is
lost, the session connects again, takes its turn again, and says so. If another run has taken it meanwhile, this run was
given up: its row is not ``running`` any more, which the last statement of every stage asks for, publishing included.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from xcat import progress
from xcat.config import Settings
from xcat.database import runs, watch
from xcat.database.connection import Connection, ready
from xcat.database.sqlfiles import dicts, job
from xcat.errors import BusyError, CancelledError, DatabaseError, PassingError

Say = Callable[[str], None]
_LOOK_S = 0.5
_LOST = (psycopg.OperationalError, DatabaseError)


class Turn:
    """The turn of a pipeline; made by `turn`."""

    def __init__(self, settings: Settings, name: str, say: Say) -> None:
        self.settings = settings
        self.name = name
        self.say = say
        self.conn: Connection = ready(settings, autocommit=True)
        self.run_id: int | None = None
        self.interruptions: list[str] = []
        self._beat: watch.Beat | None = None
        self._mending = threading.RLock()

    # --- taking the turn ----------------------------------------------------------------------------------

    def take(self, wait: bool) -> None:
        """Wait for the turn.

        Raises
        ------
        BusyError
            It is not free, and `wait` is false.
        """
        told = None
        with progress.bar(f"{self.name}: waiting for its turn"):
            while not self._is_mine("turns.try_turn", {"name": self.name}):
                who = self._who()
                if not wait:
                    raise BusyError(f"{self.name}: {who} is at work. Run it without --no-wait to wait for it.")
                if who != told:
                    self.say(f"{self.name}: waiting for {who}")
                    told = who
                time.sleep(_LOOK_S)

    def _is_mine(self, query: str, values: dict[str, Any]) -> bool:
        ((is_mine,),) = self.conn.execute(job(query).compose(), values)
        return bool(is_mine)

    def _who(self) -> str:
        rows = dicts(self.conn.execute(job("turns.whose_turn").compose(), {"name": self.name}))
        if not rows or rows[0]["run_id"] is None:
            return "another xcat run of this pipeline"
        row = rows[0]
        by = f", process {row['pid']} of {row['os_user']} on {row['host']}" if row["pid"] else ""
        return f"run {row['run_id']} (since {row['started_at']:%Y-%m-%d %H:%M:%S} UTC{by})"

    # --- the run ------------------------------------------------------------------------------------------

    @contextmanager
    def run(self, config: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Enter the run of the whole pipeline; it ends when the block does.

        Yields
        ------
        dict
            Its summary.

        Raises
        ------
        CancelledError
            Somebody cancelled the run.
        """
        summary: dict[str, Any] = {}
        self.run_id = progress.doing.run_id = runs.enter(self.conn, "pipeline", self.name, config)
        self._beat = watch.Beat(self.run_id)
        try:
            with watch.watched(self._look) as check:
                yield summary
                check()
            self._end("done", None, summary)
        except BaseException as error:
            text = str(error) or ("cancelled by the user" if isinstance(error, KeyboardInterrupt) else repr(error))
            is_cancelled = isinstance(error, watch.Cancelled)
            self._end("cancelled" if is_cancelled else "failed", text, summary)
            if is_cancelled:
                raise CancelledError(
                    f"{self.name}: run {self.run_id} was {text}; what its finished stages made is kept."
                ) from None
            raise
        finally:
            progress.doing.run_id = None

    def _end(self, status: str, text: str | None, summary: dict[str, Any]) -> None:
        """Record how the run ended; a lost connection is mended for it."""
        if self.interruptions:
            summary["interrupted"] = self.interruptions
        values = {"run_id": self.run_id, "summary": Jsonb(summary)}
        given = {"inputs": Jsonb({})} if status == "done" else {"status": status, "error": text}
        query = job("runs.finish" if status == "done" else "runs.fail").compose()
        try:
            self.check()
            self.conn.execute(query, values | given)
        except (*_LOST, PassingError) as lost:
            if status == "done":
                raise PassingError(
                    f"{self.name}: all stages are done, but the end of run {self.run_id} could not be recorded "
                    f"({str(lost).strip()}). See: xcat runs"
                ) from lost

    def _look(self) -> str | None:
        assert self._beat is not None
        with self._mending:
            self._mend(0.0)
            return self._beat(self.conn)

    def check(self) -> None:
        """Make sure, before and after each stage, that the run still has its turn.

        Raises
        ------
        PassingError
            It was lost, and another run has it.
        """
        with self._mending:
            try:
                self.conn.execute("SELECT")
            except psycopg.OperationalError:
                self._mend(watch.PATIENCE_S)

    @contextmanager
    def session(self) -> Iterator[Connection]:
        """Give the session for short statements between the stages: a stage opens connections enough of its own."""
        with self._mending:
            self.check()
            if not self.conn.closed:
                yield self.conn
                return
        with ready(self.settings, autocommit=True) as conn:  # without a run, a lost session is not mended
            yield conn

    def _mend(self, patience_s: float) -> None:
        """Connect again, take the turn again, and take up the run."""
        if self.run_id is None or not self.conn.closed:
            return
        self.conn = watch.reconnect(self.settings, patience_s)
        deadline = time.monotonic() + patience_s
        values = {"name": self.name, "run_id": self.run_id}
        while not (self._is_mine("turns.try_turn", values) and self._is_mine("turns.try_run_lock", values)):
            if patience_s == 0.0:
                self.conn.close()  # the server may take the dead session for alive for a while: try again
                return
            if time.monotonic() > deadline:
                self._give_up()
            time.sleep(_LOOK_S)
        if self.conn.execute(job("turns.take_up").compose(), values).fetchone() is None:
            self._give_up()
        self.interruptions.append(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC")
        self.say(f"{self.name}: run {self.run_id} was interrupted: its connection to the database was lost; it goes on")

    def _give_up(self) -> None:
        self.conn.close()
        raise PassingError(
            f"{self.name}: the connection to the database was lost, and {self._successor()} has the turn of this "
            f"pipeline now; run {self.run_id} was given up. What its finished stages made is kept."
        )

    def _successor(self) -> str:
        try:
            with ready(self.settings, autocommit=True) as conn:
                self.conn = conn
                return self._who()
        except _LOST:
            return "another run"


@contextmanager
def turn(settings: Settings, name: str, say: Say, wait: bool = True) -> Iterator[Turn]:
    """Take the turn of a pipeline for the time of the block; another run of the pipeline waits for it.

    Parameters
    ----------
    settings : Settings
    name : str
        Of the pipeline.
    say : callable
        Is told what the run waits for, and that it was interrupted.
    wait : bool
        Whether to wait for the turn.

    Raises
    ------
    BusyError
        Another run has it, and `wait` is false.
    PassingError
        The connection was lost outside a stage.
    """
    mine = Turn(settings, name, say)
    try:
        mine.take(wait)
        yield mine
    except psycopg.OperationalError as error:
        raise PassingError(
            f"{name}: the connection to the database was lost between two stages; what the finished stages made is "
            f"kept. The same command can be repeated. ({str(error).strip()})"
        ) from error
    finally:
        progress.doing.stage = None
        mine.conn.close()
