"""The page that says whether the service does its work."""

from __future__ import annotations

from dataclasses import replace

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from xcat.service import health
from xcat.service.pages import openapi
from xcat.service.pages.page import page
from xcat.service.pages.state import State

_PRIVATE = ("database", "last runs")  # what they say of a failure may have paths and values that are nobody's business
_ELSEWHERE = "not well: the operator reads why with xcat health"


def router(state: State) -> APIRouter:
    """The route of the status."""
    routes = APIRouter()

    @routes.get("/status", summary="Whether the service does its work", openapi_extra=openapi.asks())
    def status(request: Request) -> Response:
        found = health.checks(state.settings, None, None)
        checks = [replace(c, text=_ELSEWHERE) if c.name in _PRIVATE and not c.is_well else c for c in found]
        is_well = all(check.is_well for check in checks)
        return page(request, "status.html", is_well=is_well, checks=checks)

    return routes
