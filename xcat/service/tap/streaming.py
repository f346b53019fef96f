"""A query at work behind an answer of HTTP: pieces go out as they come, and it ends when the client goes away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import Executor, Future
from contextlib import AsyncExitStack, suppress

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from xcat.service.tap.formats import Format
from xcat.service.tap.query import Running, Stopped
from xcat.service.tap.quotas import Quotas

_DONE = b""


def client_of(request: Request) -> str:
    """The address that a client comes from; behind a proxy that this service trusts, the one that it names."""
    return request.client.host[:100] if request.client else "unknown"


class _Pieces:
    """The pieces of a query, made in the threads of an executor."""

    def __init__(self, running: Running, executor: Executor) -> None:
        self._running, self._executor = running, executor
        self._made = running.pieces()
        self._next: Future[bytes] | None = None
        self._is_done = False

    async def next(self) -> bytes:
        """The next piece; nothing after the last."""
        self._next = self._executor.submit(next, self._made, _DONE)
        piece = await asyncio.wrap_future(self._next)
        self._is_done = piece == _DONE
        return piece

    async def close(self) -> None:
        """End the query."""
        if self._is_done or self._next is None:
            return
        if not self._next.done():
            await asyncio.to_thread(self._running.cancel)
        with suppress(Exception, asyncio.CancelledError):
            await asyncio.wrap_future(self._next)
        await asyncio.wrap_future(self._executor.submit(self._made.close))


class _Answer(StreamingResponse):
    """An answer that gives back what it holds, however it ends."""

    def __init__(self, first: bytes, pieces: _Pieces, held: AsyncExitStack, form: Format) -> None:
        headers = {"Content-Disposition": f'attachment; filename="result{form.ending}"'} if form.is_a_file else {}
        super().__init__(self._all(first, pieces), media_type=form.media, headers=headers)
        self._held = held

    @staticmethod
    async def _all(first: bytes, pieces: _Pieces) -> AsyncIterator[bytes]:
        yield first
        while piece := await pieces.next():
            yield piece

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await asyncio.shield(self._held.aclose())


async def answer(request: Request, running: Running, quotas: Quotas, executor: Executor) -> Response:
    """Run a query and answer with its result.

    Raises
    ------
    XcatError
        It failed before its first piece.
    ClientDisconnect
        The client has gone.
    """
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(quotas.place(client_of(request)))
        pieces = _Pieces(running, executor)
        stack.push_async_callback(pieces.close)
        first, gone = asyncio.create_task(pieces.next()), asyncio.create_task(_gone(request))
        try:
            await asyncio.wait({first, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not first.done():
                await asyncio.to_thread(running.cancel)
            try:
                piece = await first
            except Stopped:
                raise ClientDisconnect from None
        finally:
            gone.cancel()
            first.cancel()
        return _Answer(piece, pieces, stack.pop_all(), running.query.form)


async def _gone(request: Request) -> None:
    """Return when the client has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
