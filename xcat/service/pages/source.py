"""The page of a source: what it is, why, how sure, and everything that is known of it."""

from __future__ import annotations

import re
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from xcat.classifier.kinds import with_tables_of_answers
from xcat.database.connection import Connection
from xcat.errors import XcatError
from xcat.output.chart import class_mark, legend
from xcat.output.reading import Row, classify_run, one, rows
from xcat.report.explain.explanation import Explanation
from xcat.report.explain.gather import Labelled, explain, find, to_json
from xcat.report.explain.wording import odds
from xcat.service.pages import drawings, drawings_of_products, gather, openapi, sentences
from xcat.service.pages.page import page
from xcat.service.pages.state import State
from xcat.service.tap.errors import HttpError


def router(state: State) -> APIRouter:
    """The route of sources."""
    routes = APIRouter()

    @routes.get("/source/{name:path}", summary="A source, by name or number", openapi_extra=openapi.asks())
    def source(request: Request, name: str) -> Response:
        with state.reading() as conn:
            published = state.published(conn)
        model = state.model(published)
        of_answers = published.once("drawn", lambda: with_tables_of_answers(model))
        with state.books() as conn:
            run = classify_run(conn, published.run_id)
            source_id = number_of(conn, run, name)
            labelled = published.once("labelled", lambda: Labelled.of(conn, run, model))
            e = explain(conn, source_id, published.run_id, model, labelled)
            summary = one(conn, "pages.summary", {"source_id": source_id}) or {}
            xray = gather.xray(conn, run, source_id)
            observed = gather.observations(conn, run, e)
            products = drawings_of_products.gather(conn, gather.members(e))
            objects = gather.around(conn, run, source_id)
            history = gather.history(conn, source_id)
            neighbours = gather.neighbours(conn, e)
        resolved = drawings_of_products.figures(products)
        points = gather.sed(e, summary, xray)
        argues, against = sentences.reasons(e)
        missions = drawings.mission_marks(observed)
        return page(
            request,
            "source.html",
            verdict=sentences.verdict(e),
            doubts=sentences.doubts(e),
            explanation=to_json(e),
            summary=summary,
            observations=observed,
            products=products,
            fluxes=points,
            objects_around=objects,
            history=history,
            neighbours=neighbours,
            links=dict(gather.links(e.source["ra"], e.source["dec"])),
            only_html={
                "e": e,
                "argues": argues,
                "against": against,
                "marks": {c: class_mark(c, published.classes) for c in published.classes},
                "legend": legend(e.classes),
                "track": drawings.track(e),
                "panels": drawings.panels(e, of_answers),
                "xray": xray,
                "objects": objects,
                "place": drawings.place(xray, objects) if objects else None,
                "sed": drawings.energy(points),
                "light_curve": drawings.light_curve(observed),
                "resolved": resolved,
                "marks_of_resolved": drawings_of_products.legend(resolved),
                "mission_marks": missions,
                "factors": _factors(observed),
                "hardness": drawings.hardness(e, of_answers),
                "by_category": _by_category(e),
                "silent": _silent(e),
                "changes": e.changes[:6],
                "sentences": sentences,
                "odds": odds,
            },
        )

    return routes


def number_of(conn: Connection, run: Row, name: str) -> int:
    """Number of the source with a name or number; that it is not there is a page of its own."""
    key = "".join(name.lower().split())
    number = int(key) if re.fullmatch(r"[0-9]{1,18}", key) else -1
    exact = rows(conn, "pages.named", {"key": key, "number": number})
    if len(exact) == 1:
        return int(exact[0]["source_id"])
    if len(name) > 200:
        raise HttpError(404, "there is no source with a name of more than 200 characters")
    try:
        return find(conn, run, name)
    except XcatError as error:
        raise HttpError(404, str(error)) from None


def _by_category(e: Explanation) -> list[dict[str, Any]]:
    """The terms that contribute, by category, with the size of each as a share of the largest."""
    largest = max([abs(t.nats) for t in e.terms] + [abs(e.prior_nats)]) or 1.0
    out: list[dict[str, Any]] = []
    for category in e.categories:
        active = [t for t in e.terms if t.category == category.category and any(t.contributions.values())]
        terms = [{"term": t, "share": t.nats / largest} for t in sorted(active, key=lambda t: -abs(t.nats))]
        out.append({"category": category, "terms": terms})
    return out


def _silent(e: Explanation) -> dict[str, list[str]]:
    """The terms that contribute nothing, by the reason."""
    why = {
        "not observed": "Not observed: no catalogue covers the position",
        "no counterpart": "No counterpart, which the flux ratios count",
        "missing": "Without a value",
    }
    out: dict[str, list[str]] = {}
    for t in e.terms:
        if not any(t.contributions.values()):
            out.setdefault(why.get(t.state, "Of no weight in this model"), []).append(sentences.term_name(t))
    return out


def _factors(observed: list[Row]) -> list[Row]:
    """How the flux of each mission was brought to one band."""
    seen = {}
    for o in observed:
        if o["factor"] is not None:
            seen[o["catalogue"]] = {"catalogue": o["catalogue"], "band": o["band_kev"], "factor": o["factor"]}
    return [seen[name] for name in sorted(seen)]
