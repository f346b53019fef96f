"""The page that says whether the service does its work."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from xcat.service import health
from xcat.service.pages.page import page
from xcat.service.pages.state import State


def router(state: State) -> APIRouter:
    """The route of the status."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/status")
    def status(request: Request) -> Response:
        checks = health.checks(state.settings, None, None)
        is_well = all(check.is_well for check in checks)
        return page(request, "status.html", is_well=is_well, checks=checks)

    return routes
