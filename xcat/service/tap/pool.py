"""Connections that are used again, each by one thread at a time."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psycopg

from xcat.database.connection import Connection
from xcat.database.sqlfiles import job


class Pool:
    """Open connections; there are never more of them than threads that use them at once.

    Parameters
    ----------
    make : callable
        Opens one.
    """

    def __init__(self, make: Callable[[], Connection]) -> None:
        self._make = make
        self._idle: list[Connection] = []
        self._lock = threading.Lock()

    @contextmanager
    def connection(self, timeout_s: float | None = None) -> Iterator[Connection]:
        """Lend a connection that commits every statement by itself, unless a transaction is begun.

        Parameters
        ----------
        timeout_s : float, optional
            The longest that a statement may run.
        """
        conn = self._take()
        try:
            if timeout_s is not None:
                milliseconds = str(math.ceil(timeout_s * 1000))
                conn.execute(job("tap.limit").compose(), {"milliseconds": milliseconds})
            yield conn
        finally:
            self._give_back(conn)

    def _take(self) -> Connection:
        while True:
            with self._lock:
                conn = self._idle.pop() if self._idle else None
            if conn is None:
                made = self._make()
                made.autocommit = True
                return made
            with suppress(psycopg.Error):  # the server may have been restarted since
                conn.execute("SELECT")
                return conn
            conn.close()

    def _give_back(self, conn: Connection) -> None:
        """Keep a connection that is in order; who has cancelled what it did closes it before."""
        if conn.closed or conn.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            conn.close()
            return
        with self._lock:
            self._idle.append(conn)

    def close(self) -> None:
        """Close the connections that nobody uses."""
        with self._lock:
            for conn in self._idle:
                conn.close()
            self._idle.clear()
