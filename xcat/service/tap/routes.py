"""The addresses of TAP and of the cone search, but for those of jobs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from xcat.errors import DatabaseError, XcatError
from xcat.service.tap import cone, errors, examples, parameters, streaming, uws, vosi
from xcat.service.tap.errors import HttpError
from xcat.service.tap.openapi import ERRORS, form, query, table, xml
from xcat.service.tap.query import Running
from xcat.service.tap.record import record
from xcat.service.tap.service import Service
from xcat.service.tap.tables import Described

_Value = TypeVar("_Value")


def router(service: Service) -> APIRouter:
    """The routes below /tap."""
    routes = APIRouter(prefix="/tap", responses=ERRORS)
    settings = service.settings

    async def in_thread(work: Callable[[], _Value]) -> _Value:
        return await asyncio.get_running_loop().run_in_executor(service.threads, work)

    def read_tables() -> Described:
        with service.readers.connection(settings.tap_timeout_s) as conn:
            return service.tables.read(conn)

    async def answer(request: Request) -> Response:
        given = await parameters.read(request)
        try:
            sent = await in_thread(lambda: parameters.sent_with(given, service.jobs.result, uws.base_of(request)))
            asked = parameters.query(given, settings, settings.tap_timeout_s, sent)
            running = Running(asked, service.readers, service.tables)
            return await streaming.answer(request, running, service.quotas, service.threads)
        finally:
            given.close()  # the uploads are in the database when the first rows are there

    @routes.get(
        "/sync",
        tags=["queries"],
        summary="Run a query",
        openapi_extra=query("QUERY", "LANG", "RESPONSEFORMAT", "MAXREC"),
        responses=table(),
    )
    async def sync(request: Request) -> Response:
        return await answer(request)

    @routes.post("/sync", tags=["queries"], summary="Run a query", openapi_extra=form(), responses=table())
    async def sync_form(request: Request) -> Response:
        return await answer(request)

    @routes.get("/availability", tags=["service"], summary="Whether the service works", responses=xml())
    async def availability(request: Request) -> Response:
        problem = None
        try:
            await in_thread(read_tables)
        except DatabaseError:
            problem = "the database does not answer"
        return _xml(vosi.available(problem))

    @routes.get("/capabilities", tags=["service"], summary="What the service can do", responses=xml())
    async def capabilities(request: Request) -> Response:
        return _xml(vosi.capabilities_of(settings, _base(request)))

    @routes.get("/tables", tags=["service"], summary="All tables", responses=xml())
    async def tables(request: Request) -> Response:
        detail = ((await parameters.read(request)).one("DETAIL") or "max").lower()
        if detail not in ("min", "max"):
            raise XcatError(f"detail={detail[:50]}: it must be min or max")
        described = await in_thread(read_tables)
        return _xml(await in_thread(lambda: vosi.tables_of(described, columns=detail == "max")))

    @routes.get("/tables/{name}", tags=["service"], summary="One table", responses=xml())
    async def one_table(request: Request, name: str) -> Response:
        document = vosi.table_of(await in_thread(read_tables), name)
        if document is None:
            raise HttpError(404, f"there is no table {name[:80]!r}: see /tap/tables")
        return _xml(document)

    @routes.get("/examples", tags=["service"], summary="Examples of queries", response_class=HTMLResponse)
    async def shown_examples(request: Request) -> Response:
        return HTMLResponse(examples.page())

    @routes.get("/record", tags=["service"], summary="The record for a registry (VOResource)", responses=xml())
    async def registry_record(request: Request) -> Response:
        return _xml(record(settings, await in_thread(read_tables), _base(request)))

    routes.include_router(uws.router(service.jobs))
    return routes


def cone_router(service: Service) -> APIRouter:
    """The route of the cone search."""
    routes = APIRouter(responses=ERRORS)

    @routes.get(
        "/scs",
        tags=["queries"],
        summary="Sources around a position, the nearest first",
        openapi_extra=query("MAXREC", RA="Right ascension", DEC="Declination", SR="Radius; 0 gives the columns only"),
        responses=xml(),
    )
    async def scs(request: Request) -> Response:
        try:
            given = await parameters.read(request)
            running = cone.running(given, service.settings, service.readers, service.tables)
            return await streaming.answer(request, running, service.quotas, service.threads)
        except XcatError as error:
            status = errors.status_of(error)
            if status != 400 or "application/json" in request.headers.get("accept", ""):
                raise
            # the standard tells errors by the document, under the code of success
            return Response(cone.error(errors.message_of(error)), media_type="text/xml")

    return routes


def _base(request: Request) -> str:
    return str(request.base_url).rstrip("/")


def _xml(document: str) -> Response:
    return Response(document, media_type="text/xml")
