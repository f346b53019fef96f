"""How many queries run at once: of one client, and of all."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from xcat.service.tap.errors import HttpError

_PATIENCE_S = 60.0


class Quotas:
    """Lets queries in; who has too many at work is told to wait, and all others wait until there is room.

    Parameters
    ----------
    of_client, of_all : int
        The most queries at once.
    """

    def __init__(self, of_client: int, of_all: int) -> None:
        self._of_client = of_client
        self._room = asyncio.Semaphore(of_all)
        self._at_work: Counter[str] = Counter()

    @asynccontextmanager
    async def place(self, client: str) -> AsyncIterator[None]:
        """A place for a query of a client.

        Raises
        ------
        HttpError
            The client has too many queries at work (429), or none has ended for long (503).
        """
        if self._at_work[client] >= self._of_client:
            raise HttpError(429, f"{self._of_client} queries of {client} are at work already: wait until one has ended")
        self._at_work[client] += 1
        try:
            try:
                await asyncio.wait_for(self._room.acquire(), _PATIENCE_S)
            except TimeoutError:
                raise HttpError(503, "the service is busy: try again in a minute") from None
            try:
                yield
            finally:
                self._room.release()
        finally:
            self._at_work[client] -= 1
            if not self._at_work[client]:
                del self._at_work[client]
