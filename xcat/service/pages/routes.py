"""The addresses of the pages."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from xcat.service.pages.page import STATIC, page
from xcat.service.tap.service import Service


def router(service: Service) -> APIRouter:
    """The routes of all pages."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/")
    def start(request: Request) -> Response:
        return page(request, "base.html")

    return routes


def static_files() -> StaticFiles:
    """Stylesheets and scripts: our own, those of reports, and what the install step has put beside them."""
    return StaticFiles(directory=STATIC, packages=[("xcat.output", "static")])
