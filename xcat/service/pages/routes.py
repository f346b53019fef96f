"""The addresses of the pages, and what they share."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.staticfiles import StaticFiles

from xcat.errors import InputError
from xcat.service.pages import field, lists, openapi, own_list, page, runs, sky, source, start, status
from xcat.service.pages.state import State


def router(state: State) -> APIRouter:
    """The routes of all pages."""
    routes = APIRouter(dependencies=[Depends(_is_text)], responses=openapi.RESPONSES, tags=["pages"])
    for module in (start, lists, field, source, own_list, sky, runs, status):
        routes.include_router(module.router(state))
    return routes


async def _is_text(request: Request) -> None:
    """Refuse the character NUL, which PostgreSQL has in no text."""
    texts = [*request.path_params.values(), *(text for pair in request.query_params.multi_items() for text in pair)]
    if any("\0" in text for text in texts):
        raise InputError("the address has a character NUL (0x00)")


def static_files() -> StaticFiles:
    """Stylesheets and scripts: our own, those of reports, and what the install step has put beside them."""
    return StaticFiles(directory=page.STATIC, packages=[("xcat.output", "static")])
