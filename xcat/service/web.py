"""The web application: its addresses, its errors, the limit of what it reads, and the server that runs it."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import psycopg
import uvicorn
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from xcat import __version__
from xcat.config import Settings
from xcat.database.connection import ready
from xcat.errors import DatabaseError, XcatError
from xcat.service import skymap
from xcat.service.pages import routes as pages
from xcat.service.pages.page import SafetyHeaders, error_response, is_page
from xcat.service.pages.state import State
from xcat.service.tap import errors, routes
from xcat.service.tap.errors import HttpError
from xcat.service.tap.service import Service
from xcat.service.volunteers import routes as volunteers
from xcat.service.volunteers.guard import Guard

_ENDS_S = 5


def application(settings: Settings) -> FastAPI:
    """The application of `xcat serve`."""
    service = Service(settings)
    state = State(service)
    guard = Guard(state)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with service.at_work():
            yield
        state.close()
        guard.close()

    app = FastAPI(title="xcat", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.include_router(routes.router(service))
    app.include_router(routes.cone_router(service))
    app.include_router(skymap.router(service))
    app.include_router(pages.router(state))
    app.include_router(volunteers.router(state, guard))
    app.mount("/static", pages.static_files())
    app.add_exception_handler(XcatError, _refused)
    app.add_exception_handler(HTTPException, _refused_by_http)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(psycopg.OperationalError, _lost)
    app.add_exception_handler(Exception, _failed)
    app.add_middleware(SafetyHeaders)
    app.add_middleware(BodyLimit, most_bytes=int(settings.tap_upload_mb * 1e6))
    return app


async def _refused(request: Request, error: Exception) -> Response:
    return error_response(request, error)


async def _refused_by_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    is_no_address = error.status_code == 404 and error.detail == "Not Found" and is_page(request)
    message = f"there is nothing at {request.url.path[:100]}" if is_no_address else str(error.detail)
    answer = error_response(request, HttpError(error.status_code, message))
    answer.headers.update(error.headers or {})
    return answer


async def _lost(request: Request, error: Exception) -> Response:
    return error_response(request, DatabaseError("the database does not answer: try again in a minute"))


async def _failed(request: Request, error: Exception) -> Response:
    """A fault of ours: what it was is in the log, which the server writes."""
    return error_response(request, HttpError(500, "this failed by a fault of xcat; its log says which"))


async def _gone(request: Request, error: Exception) -> Response:
    return Response(status_code=400)  # nobody reads it


class BodyLimit:
    """Refuses requests whose body is too large, before and while it is read.

    Parameters
    ----------
    app : ASGIApp
    most_bytes : int
    """

    def __init__(self, app: ASGIApp, most_bytes: int) -> None:
        self._app, self._most = app, most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        stated = request.headers.get("content-length", "0")
        n_bytes, has_begun = 0, False
        too_large = HttpError(413, f"the request has more than {self._most / 1e6:g} MB, the limit for uploads")

        async def limited() -> Message:
            nonlocal n_bytes
            message = await receive()
            n_bytes += len(message.get("body", b""))
            if n_bytes > self._most:
                raise too_large
            return message

        async def watched(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            if stated.isdecimal() and int(stated[:20]) > self._most:
                raise too_large
            await self._app(scope, limited, watched)
        except HttpError as error:
            if has_begun:
                raise
            await errors.response(request, error)(scope, receive, send)


def serve(settings: Settings, host: str, port: int, started: Callable[[str], None]) -> None:
    """Serve until a signal ends it.

    Parameters
    ----------
    started : callable
        Is told the address, without a slash at its end, when clients can connect.

    Raises
    ------
    XcatError
        The address cannot be used, or the database.
    """
    ready(settings).close()
    server = make_server(settings, host, port)
    try:
        listening = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError) as error:
        raise XcatError(f"cannot listen at {host}, port {port}: {error}. Choose another --port or --host") from None
    with listening:
        shown = f"[{host}]" if ":" in host else host
        started(f"http://{shown}:{listening.getsockname()[1]}")
        server.run([listening])


class Server(uvicorn.Server):
    """A server that a signal ends as it should: uvicorn's own raises the signal again afterwards."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let signals end the server, if it runs in the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        before = {number: signal.signal(number, self.handle_exit) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def make_server(settings: Settings, host: str, port: int) -> Server:
    """The server of the application, which is still to be run."""
    config = uvicorn.Config(
        application(settings),
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        server_header=False,
        headers=[("Server", f"xcat/{__version__}")],
        timeout_graceful_shutdown=_ENDS_S,
    )
    return Server(config)
