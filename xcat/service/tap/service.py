"""The TAP service: what its addresses share, and what runs beside them while it serves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress

import procrastinate
import psycopg
import psycopg_pool
from procrastinate import exceptions as queue_errors

from xcat.config import Settings
from xcat.database.connection import connect, open_reader
from xcat.errors import DatabaseError
from xcat.service.queue import TAP_QUEUE, TAP_TASK, application, dead
from xcat.service.tap.jobs import HandedBack, Jobs
from xcat.service.tap.pool import Pool
from xcat.service.tap.quotas import Quotas
from xcat.service.tap.tables import Tables

_NAME = "xcat serve"  # it takes jobs of queries only, so it is no worker for pipelines
_BEAT_S, _DEAD_S, _TIDY_S, _AGAIN_S = 3.0, 12.0, 5.0, 2.0
_LOST = (queue_errors.ConnectorException, psycopg.Error, psycopg_pool.PoolTimeout, DatabaseError)


class Service:
    """What the addresses of TAP and the cone search share.

    Parameters
    ----------
    settings : Settings
        With the limits.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.readers = Pool(lambda: open_reader(settings))
        self.store = Pool(lambda: connect(settings))
        self.tables = Tables()
        self.quotas = Quotas(settings.tap_client_queries, settings.tap_queries)
        self.jobs = Jobs(settings, self.store, self.readers, self.tables)
        self.threads = ThreadPoolExecutor(settings.tap_queries + 2, "xcat-tap")
        self._job_threads = ThreadPoolExecutor(settings.tap_jobs, "xcat-tap-job")

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Run the jobs of the queue while the service serves."""
        for name in ("procrastinate", "psycopg.pool", "python_multipart"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        tasks = [asyncio.create_task(self._serve_queue()), asyncio.create_task(self._tidy_for_ever())]
        try:
            yield
        finally:
            await asyncio.to_thread(self.jobs.end)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.threads.shutdown(wait=False, cancel_futures=True)
            self._job_threads.shutdown(wait=False)
            self.readers.close()
            self.store.close()

    async def _serve_queue(self) -> None:
        """Take jobs from the queue; after the server was lost, again as soon as it answers."""
        while True:
            with suppress(*_LOST):
                app = application(self.settings, _NAME)
                retry = procrastinate.RetryStrategy(retry_exceptions={HandedBack}, wait=1)
                app.task(name=TAP_TASK, queue=TAP_QUEUE, retry=retry)(self._run)
                async with app.open_async():
                    await app.run_worker_async(
                        queues=[TAP_QUEUE],
                        name=_NAME,
                        concurrency=self.settings.tap_jobs,
                        fetch_job_polling_interval=2.0,
                        delete_jobs="always",
                        install_signal_handlers=False,
                        update_heartbeat_interval=_BEAT_S,
                        stalled_worker_timeout=_DEAD_S,
                    )
            await asyncio.sleep(_AGAIN_S)

    async def _run(self, job_id: str) -> None:
        await asyncio.get_running_loop().run_in_executor(self._job_threads, self.jobs.execute, job_id)

    async def _tidy_for_ever(self) -> None:
        while True:
            with suppress(*_LOST):
                await asyncio.to_thread(self._tidy)
            await asyncio.sleep(_TIDY_S)

    def _tidy(self) -> None:
        """Remove the jobs whose time has come, and give back those whose process has died."""
        self.jobs.tidy()
        with self.store.connection() as conn:
            dead(conn, _DEAD_S, TAP_QUEUE)
            conn.execute("SET search_path TO xcat, public")
