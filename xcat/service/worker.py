"""A worker: takes jobs from the queue and runs them, one at a time, in the main thread.

Procrastinate's loop has a thread of its own, so that the heartbeat goes on whatever a stage computes. A job runs in the
main thread, which gets the signals: SIGTERM ends the stage at once, its transaction is rolled back, and the job goes
back into the queue for another worker. The job of a worker that died without that goes back as soon as its heartbeat
has been missing for some seconds. Finished stages are not repeated.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any

import psycopg
import psycopg_pool
from procrastinate import BaseRetryStrategy, JobContext, RetryDecision
from procrastinate import exceptions as queue_errors
from procrastinate.jobs import Job

from xcat.config import Settings
from xcat.database.connection import ready
from xcat.errors import DatabaseError
from xcat.report.run.log import Say
from xcat.service import schedules
from xcat.service.orders import AgainError, close, perform
from xcat.service.queue import QUEUE, TASK, application

_BEAT_S = 3.0
DEAD_S = 12.0  # a worker that has not been heard of for so long is dead
_TICK_S = 2.0
_AGAIN_S = 2.0
_SHUT_S = 8.0
_LOST = (queue_errors.ConnectorException, psycopg.Error, psycopg_pool.PoolTimeout, DatabaseError)


class HandedBackError(Exception):
    """The worker is asked to end: the job goes back into the queue."""


class Ended(KeyboardInterrupt):
    """A signal asks the worker to end."""


class _Retries(BaseRetryStrategy):
    """When a job is repeated: at once if it was handed back, after a pause if its failure may pass, else never."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        if isinstance(exception, HandedBackError):
            return RetryDecision(retry_in={"seconds": 0})
        if isinstance(exception, AgainError):
            return RetryDecision(retry_in={"seconds": int(exception.pause.total_seconds())})
        return None


@dataclass
class _Order:
    schedule: str
    job_id: int | None
    attempts: int
    done: Future[None]


class Worker:
    """Runs jobs until a signal ends it.

    Parameters
    ----------
    settings : Settings
    say : callable
        Is told what happens, line by line.
    once : bool
        End when nothing is due and nothing waits.
    """

    def __init__(self, settings: Settings, say: Say, once: bool = False) -> None:
        self.settings = settings
        self.say = say
        self.once = once
        self._orders: queue.SimpleQueue[_Order | None] = queue.SimpleQueue()
        self._door = threading.Lock()  # who comes after the end is turned away
        self._ending = False
        self._at_work = False
        self._failures: Counter[int | None] = Counter()  # of each job: it was tried more often if it was handed back
        self._loop: asyncio.AbstractEventLoop | None = None
        self._serving: asyncio.Task[None] | None = None
        self._failure: Exception | None = None

    def run(self) -> None:
        """Work until the end.

        Raises
        ------
        DatabaseError
            The database cannot be used at the start, or the queue is not there; a lost one is waited for.
        """
        ready(self.settings).close()
        for name in ("procrastinate", "psycopg", "psycopg.pool"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)  # what matters is said here
        thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="xcat-queue")
        with self._signals():
            thread.start()
            self.say("the worker waits for jobs")
            try:
                while (order := self._orders.get()) is not None:
                    self._perform(order)
            finally:
                self._end()
                thread.join()
        if self._failure is not None:
            cause = self._failure.__cause__ or self._failure
            raise DatabaseError(f"the worker ends, the queue cannot be used: {str(cause).strip()}") from self._failure
        self.say("the worker has ended")

    @contextmanager
    def _signals(self) -> Iterator[None]:
        def end(number: int, frame: FrameType | None) -> None:
            if self._ending:
                return
            self._ending = True
            self._orders.put(None)
            if self._at_work:
                raise Ended(f"handed back: the worker was asked to end ({signal.Signals(number).name})")

        before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _perform(self, order: _Order) -> None:
        """Run a job in this thread, and say in the other one how it ended."""
        if self._ending:
            order.done.set_exception(HandedBackError())
            return
        failures = self._failures.pop(order.job_id, 0)
        try:
            self._at_work = True
            done = perform(self.settings, order.schedule, order.attempts, failures, self.say)
            self._at_work = False
            if done is not None and self._ending and done.event["event"] in ("failure", "refusal"):
                raise Ended("handed back: the worker was asked to end")  # which, in an import, becomes an ImportError
            if done is not None:
                close(self.settings, done)
        except Ended as end:
            self.say(f"{order.schedule}: {end}")
            self._end()  # first of all, or this worker would take the job again
            order.done.set_exception(HandedBackError())
        except (AgainError, *_LOST) as error:
            self._failures[order.job_id] = failures + 1
            # if its outcome could not be recorded: finished stages are not repeated
            order.done.set_exception(error if isinstance(error, AgainError) else AgainError(str(error), failures))
        else:
            order.done.set_result(None)
        finally:
            self._at_work = False

    def _end(self) -> None:
        """Let the other thread end, and hand back what it has taken meanwhile."""
        with self._door:
            self._ending = True
            with suppress(queue.Empty):
                while True:
                    order = self._orders.get_nowait()
                    if order is not None:
                        order.done.set_exception(HandedBackError())
        if self._loop is not None:
            with suppress(RuntimeError):  # it has ended by itself
                self._loop.call_soon_threadsafe(self._stop_serving)

    # --- in the other thread ------------------------------------------------------------------------------

    def _stop_serving(self) -> None:
        if self._serving is not None:
            self._serving.cancel()

    async def _take(self, context: JobContext, schedule: str) -> None:
        """Let the main thread run a job."""
        done: Future[None] = Future()
        with self._door:
            if self._ending:
                raise HandedBackError
            self._orders.put(_Order(schedule, context.job.id, context.job.attempts, done))
        await asyncio.wrap_future(done)

    async def _serve(self) -> None:
        """Serve the queue; after the server was lost, again as soon as it answers."""
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(_pass_over_lost)
        try:
            while not self._ending:
                self._serving = asyncio.create_task(self._serve_connected())
                try:
                    await self._serving
                except asyncio.CancelledError:
                    break
                except _LOST as error:
                    if isinstance(error.__cause__ or error, psycopg.ProgrammingError):
                        raise  # a table or a right is missing: it does not come back by itself
                    if not self._ending:
                        self.say(f"the queue cannot be reached, trying again: {str(error.__cause__ or error).strip()}")
                        await asyncio.sleep(_AGAIN_S)
                    continue
                if self.once:
                    break
        except Exception as error:  # ends the worker, not only this thread
            self._failure = error
        finally:
            self._orders.put(None)

    async def _serve_connected(self) -> None:
        await asyncio.to_thread(lambda: ready(self.settings).close())  # starts an embedded server that died
        await asyncio.to_thread(self._tick)
        app = application(self.settings)
        app.task(name=TASK, queue=QUEUE, retry=_Retries(), pass_context=True)(self._take)
        async with app.open_async():
            working = asyncio.create_task(
                app.run_worker_async(
                    queues=[QUEUE],
                    wait=not self.once,
                    fetch_job_polling_interval=_TICK_S,
                    delete_jobs="always",  # the runs remain
                    install_signal_handlers=False,
                    update_heartbeat_interval=_BEAT_S,
                    stalled_worker_timeout=DEAD_S,
                )
            )
            ticking = asyncio.create_task(self._tick_for_ever())
            try:
                await asyncio.wait({working, ticking}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                ticking.cancel()
                working.cancel()
                ends = await asyncio.gather(working, ticking, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception):
                raise end

    async def _tick_for_ever(self) -> None:
        """Tick; a server that lets nobody in any more, because it shuts down, waits for the sessions of this worker."""
        failing_since: float | None = None
        while True:
            await asyncio.sleep(_TICK_S)
            try:
                await asyncio.to_thread(self._tick)
                failing_since = None
            except _LOST:  # the job at work ends by itself
                failing_since = failing_since or time.monotonic()
                if time.monotonic() - failing_since > _SHUT_S and not self._at_work:
                    raise

    def _tick(self) -> None:
        schedules.tick(self.settings, DEAD_S, self.say)


def _pass_over_lost(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Print no traceback of a task that lost its server, or whose job another worker has taken over and ended."""
    if not isinstance(context.get("exception"), _LOST):
        loop.default_exception_handler(context)


def work(settings: Settings, say: Callable[[str], None], once: bool = False) -> None:
    """Run jobs until a signal ends it; see `Worker`."""
    Worker(settings, say, once).run()
