"""The addresses of the pages, and what they share."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.staticfiles import StaticFiles

from xcat.service.pages import lists, own_list, page, runs, sky, source, start, status
from xcat.service.pages.state import State


def router(state: State) -> APIRouter:
    """The routes of all pages."""
    routes = APIRouter(include_in_schema=False)
    for module in (start, lists, source, own_list, sky, runs, status):
        routes.include_router(module.router(state))
    return routes


def static_files() -> StaticFiles:
    """Stylesheets and scripts: our own, those of reports, and what the install step has put beside them."""
    return StaticFiles(directory=page.STATIC, packages=[("xcat.output", "static")])
