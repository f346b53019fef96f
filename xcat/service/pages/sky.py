"""The page to which a sky map is sent."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from xcat.errors import InputError, XcatError
from xcat.ingest.skymap_file import read_skymap
from xcat.output.chart import class_mark
from xcat.report.skymap import FACTS, skymap_sources
from xcat.service.pages import openapi, sent
from xcat.service.pages.own_list import rows_of
from xcat.service.pages.page import page
from xcat.service.pages.sent import Sent
from xcat.service.pages.state import State

_MOST_CELLS = 12 * 512**2
_SHOWN = 500
_ABOUT = {
    "level": openapi.number("Probability that the credible region holds; 0.9 if not given"),
    "class": openapi.text("Sources of this class only"),
    "min_probability": openapi.number("Least probability of that class, or of a source's own"),
    "column": openapi.text("Column of the probability, if it has another name than usual"),
}
_COLUMNS = ("name", "credible_level", "probability_per_deg2", "class", "p_class", "ra", "dec", "flux_cgs")


def router(state: State) -> APIRouter:
    """The routes of sky maps."""
    routes = APIRouter()

    @routes.get("/sky", summary="The form for a sky map", openapi_extra=openapi.asks())
    def form(request: Request) -> Response:
        with state.reading() as conn:
            published = state.published(conn)
        return page(request, "sky.html", classes=published.classes)

    @routes.post("/sky", summary="Sources in a sky map", openapi_extra=openapi.sends("map", "A sky map", **_ABOUT))
    async def found(request: Request) -> Response:
        return await sent.handled(request, state, lambda form: _answer(request, state, form))

    return routes


def _answer(request: Request, state: State, form: Sent) -> Response:
    path = form.file("map", "map")
    if path is None:
        raise InputError("choose the file of a sky map, then press Find sources")
    skymap = read_skymap(path, form.text("column"), _MOST_CELLS)
    level, least = _share(form, "level"), _share(form, "min_probability")
    with state.reading() as conn:
        published = state.published(conn)
        table = skymap_sources(conn, skymap, 0.9 if level is None else level, form.text("class") or None, least, _SHOWN)
    return page(
        request,
        "sky_result.html",
        facts=table.meta[FACTS],
        total_rows=table.meta["total_rows"],
        rows=rows_of(table),
        only_html={
            "shown": [name for name in _COLUMNS if name in table.colnames],
            "marks": {c: class_mark(c, published.classes) for c in published.classes},
        },
    )


def _share(form: Sent, name: str) -> float | None:
    text = form.text(name)
    try:
        return float(text) if text else None
    except ValueError:
        raise XcatError(f"{name}={text[:50]}: it must be a number between 0 and 1") from None
