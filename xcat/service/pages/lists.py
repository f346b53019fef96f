"""Pages of many sources: the search by name or place, and the list of candidates."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from xcat.adql import translate
from xcat.database.connection import Connection
from xcat.database.sqlfiles import dicts
from xcat.errors import InputError
from xcat.output.chart import class_mark
from xcat.output.reading import Row, rows
from xcat.service.pages import asking, openapi
from xcat.service.pages.asking import ROWS_OF_PAGE, Asked
from xcat.service.pages.page import page, wants_json
from xcat.service.pages.place import position
from xcat.service.pages.state import State

_MOST_FOUND = 100
_RADIUS_ARCMIN = 10.0
_FILES = (("CSV", "csv"), ("FITS", "fits"), ("VOTable", "votable"), ("Parquet", "parquet"), ("TSV", "tsv"))


def router(state: State) -> APIRouter:
    """The routes of search and candidates."""
    routes = APIRouter()

    @routes.get(
        "/search",
        summary="Sources by name, or around a position",
        openapi_extra=openapi.asks(
            q=openapi.text("A name, or a position in any notation"), radius=openapi.number("Radius in arcmin")
        ),
        responses=openapi.FOUND,
    )
    def search(request: Request) -> Response:
        text = request.query_params.get("q", "").strip()
        if not text:
            raise InputError("write the name of a source or a position into the field, then press Find")
        if len(text) > 200:
            raise InputError("the name or position has more than 200 characters")
        radius = _radius(request.query_params.get("radius", ""))
        with state.reading() as conn:
            published = state.published(conn)
            place = position(text)
            if place is None:
                found = _named(conn, text)
            else:
                asked = {"ra": place[0], "dec": place[1], "radius_deg": radius / 60, "but": -1, "most": _MOST_FOUND}
                found = rows(conn, "pages.around", asked)
        if place is None and len(found) == 1 and not wants_json(request):
            return RedirectResponse(f"/source/{quote(str(found[0]['name']), safe='')}", 303)
        return page(
            request,
            "search.html",
            asked=text,
            position=None if place is None else {"ra": place[0], "dec": place[1]},
            radius_arcmin=radius,
            rows=found,
            is_cut=len(found) == _MOST_FOUND,
            only_html={"marks": {c: class_mark(c, published.classes) for c in published.classes}},
        )

    @routes.get("/candidates", summary="A list of candidates", openapi_extra=openapi.asks(**asking.ABOUT))
    def candidates(request: Request) -> Response:
        with state.reading() as conn:
            published = state.published(conn)
            release = published.facts["release_run_id"]
            given = request.query_params
            asked = Asked.of(given, given.getlist("column"), published.classes, release)
            shown, total = _answer(conn, state, asked)
        adql = asked.adql()
        files = [
            {"name": name, "address": "/tap/sync?" + urlencode({"LANG": "ADQL", "RESPONSEFORMAT": form, "QUERY": adql})}
            for name, form in _FILES
        ]
        partial = request.headers.get("hx-request") == "true"
        return page(
            request,
            "candidates_table.html" if partial else "candidates.html",
            asked=asked,
            rows=shown,
            total_rows=total,
            adql=adql,
            sql=asked.sql(),
            python=asked.python(),
            files=files,
            only_html={
                "classes": published.classes,
                "offers": _grouped(asking.offers(published.classes)),
                "release": published.facts["release"],
                "marks": {c: class_mark(c, published.classes) for c in published.classes},
                "pages": max(1, -(-total // ROWS_OF_PAGE)),
                "first": (asked.page - 1) * ROWS_OF_PAGE + 1,
            },
        )

    return routes


def _radius(text: str) -> float:
    try:
        radius = float(text) if text.strip() else _RADIUS_ARCMIN
    except ValueError:
        radius = -1.0
    if not 0 < radius <= 1200:
        raise InputError(f"radius={text[:30]}: must be a number above 0, at most 1200 arcmin")
    return radius


def _named(conn: Connection, text: str) -> list[Row]:
    key = "".join(text.lower().split())
    number = int(key) if re.fullmatch(r"[0-9]{1,18}", key) else -1
    exact = rows(conn, "pages.named", {"key": key, "number": number})
    if len(exact) == 1:
        return exact
    return rows(conn, "pages.names_like", {"key": key, "most": _MOST_FOUND})


def _answer(conn: Connection, state: State, asked: Asked) -> tuple[list[Row], int]:
    """The rows of one page, and how many there are of all pages: by the very ADQL that the page shows."""
    tables = state.service.tables.read(conn).adql
    ((total,),) = conn.execute(translate(asked.count(), tables).sql).fetchall()
    needed = dict.fromkeys([*asked.columns, "name", "source_id"])
    query = asked.adql(ROWS_OF_PAGE, (asked.page - 1) * ROWS_OF_PAGE, list(needed))
    return dicts(conn.execute(translate(query, tables).sql)), int(total)


def _grouped(offers: dict[str, str]) -> dict[str, list[str]]:
    groups: dict[str, Any] = {}
    for name, group in offers.items():
        groups.setdefault(group, []).append(name)
    return groups
