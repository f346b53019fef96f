"""One page: its template filled in for a browser, or its values as JSON; errors and safety headers of all pages."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from xcat import __version__
from xcat.output import chart, style, words
from xcat.service.pages import ellipses, sentences
from xcat.service.tap import errors
from xcat.service.tap.errors import message_of, status_of

STATIC = Path(__file__).with_name("static")
NAVIGATION: list[tuple[str, str]] = [
    ("/candidates", "Candidates"),
    ("/list", "Your list"),
    ("/sky", "Sky maps"),
    ("/model", "Model"),
    ("/run", "Run"),
    ("/status", "Status"),
]
"""Address and name of what the head of every page links to; other packages of pages append theirs."""

POLICY = {
    "default-src": "'self'",
    "img-src": "'self' data:",
    "object-src": "'none'",
    "base-uri": "'none'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
}
"""Content security policy of every page: nothing of other hosts, nothing written inside the page."""

_OF_PROGRAMS = ("/tap", "/scs", "/openapi.json")
_TITLES = {400: "This cannot be answered", 403: "Not allowed", 404: "Not found", 413: "Too large", 429: "Too many"}


def page(
    request: Request,
    template: str,
    *,
    status_code: int = 200,
    only_html: Mapping[str, Any] | None = None,
    **values: Any,
) -> Response:
    """Answer a request by a page, or by its values as JSON where ``Accept`` or ``?format=json`` asks for that.

    Parameters
    ----------
    template : str
        Name of a template, which extends ``base.html``.
    only_html : mapping, optional
        Values that the template has beside the others and that JSON does not show: figures, words.
    **values
        What the page shows, in types that `plain` knows.
    """
    if wants_json(request):
        return JSONResponse(plain(values), status_code)
    shown = {**values, **(only_html or {})}
    text = _environment().get_template(template).render(_common(request) | shown)
    return HTMLResponse(text, status_code, {"Vary": "Accept, HX-Request"})


def wants_json(request: Request) -> bool:
    """Whether a request asks for JSON in place of a page."""
    asked = request.query_params.get("format")
    return asked == "json" if asked in ("json", "html") else "application/json" in request.headers.get("accept", "")


def is_page(request: Request) -> bool:
    """Whether an address is one of people, not one of programs: TAP, cone search, and maps sent by programs."""
    of_programs = request.url.path.startswith(_OF_PROGRAMS) or request.url.path == "/skymap"
    return not of_programs


def error_response(request: Request, error: Exception) -> Response:
    """The answer that states an error: a page for people, as of TAP for programs."""
    if not is_page(request):
        return errors.response(request, error)
    status = status_of(error)
    title = _TITLES.get(status, "The service cannot answer now" if status >= 500 else _TITLES[400])
    headers = {"Retry-After": "10"} if status in (429, 503) else None
    if wants_json(request):
        return JSONResponse({"error": message_of(error)}, status, headers)
    values = _common(request) | {"title": title, "message": message_of(error), "status": status}
    return HTMLResponse(_environment().get_template("error.html").render(values), status, headers)


def plain(value: Any) -> Any:
    """A value as JSON has it: no NaN, no NumPy, times in ISO 8601; integers beyond 2^53 as text."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        return value if abs(value) <= 2**53 else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime.date | datetime.datetime):
        return value.isoformat()
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        value = value.tolist()
    return [plain(item) for item in value] if isinstance(value, Iterable) else str(value)


def _common(request: Request) -> dict[str, Any]:
    """What every template has."""
    return {
        "request": request,
        "path": request.url.path,
        "query": request.query_params,
        "navigation": NAVIGATION,
        "version": __version__,
        "json_address": str(request.url.include_query_params(format="json").replace(scheme="", netloc="")),
        "vendored": vendored(),
    }


@cache
def vendored() -> frozenset[str]:
    """Names of the libraries for browsers that the install step has put beside our own files."""
    folder = STATIC / "vendor"
    return frozenset(path.name for path in folder.iterdir()) if folder.is_dir() else frozenset()


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader("xcat.service.pages"), jinja2.PackageLoader("xcat.output")],
        ),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= words.FILTERS
    environment.globals |= {
        "error_words": ellipses.error_words,
        "words_of": sentences.words_of,
        "about_class": sentences.about_class,
        "colour_of": lambda name, classes: style.of_classes(classes)[name].colour,
        "marker_of": lambda look: chart.marker(6, 6, look[0], look[1], 4.6),
    }
    return environment


def add_templates(package: str) -> None:
    """Let pages of another package use its own folder ``templates``, beside those here."""
    loader = _environment().loader
    assert isinstance(loader, jinja2.ChoiceLoader)
    loader.loaders = [*loader.loaders, jinja2.PackageLoader(package)]


class SafetyHeaders:
    """Adds the headers that bind a browser to this host; a route may set a policy of its own.

    Parameters
    ----------
    app : ASGIApp
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._policy = "; ".join(f"{name} {value}" for name, value in POLICY.items())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("Content-Security-Policy", self._policy)
                headers.setdefault("X-Content-Type-Options", "nosniff")
                headers.setdefault("Referrer-Policy", "same-origin")  # with no-referrer our own forms come from "null"
                headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)
