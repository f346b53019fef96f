"""The first page: what is published, and where to look for a source."""

from __future__ import annotations

from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy_healpix import HEALPix
from fastapi import APIRouter
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from xcat.output.chart import class_mark
from xcat.output.reading import Row, one, rows
from xcat.report.run import sum_rule
from xcat.service.pages import openapi
from xcat.service.pages.page import page
from xcat.service.pages.state import State

_ORDER = 4  # cells of 3.7 degrees
_STEPS = (1, 3, 10, 30, 100, 300, 1000)


def router(state: State) -> APIRouter:
    """The route of the first page."""
    routes = APIRouter()

    @routes.get("/", summary="What is published", openapi_extra=openapi.asks())
    def start(request: Request) -> Response:
        with state.reading() as conn:
            published = state.published(conn)
            counts = published.once("counts", lambda: one(conn, "pages.number") or {})
            cells = published.once("sky", lambda: rows(conn, "pages.sky"))
        result = state.report(published)
        drawn = published.once("sky_map", lambda: sky_map(cells, counts["sources"]))
        classes = [
            {"class": t.name, "sources": t.all, "objects": t.objects, **_rates(result.metrics["classes"][t.name])}
            for t in result.totals
        ]
        rule = sum_rule.verdict(result.sum_rule) if result.sum_rule is not None else []
        return page(
            request,
            "start.html",
            run_id=published.run_id,
            published=published.facts,
            counts=counts,
            classes=classes,
            accuracy=result.metrics["sample"]["accuracy"],
            n_reference=result.n_reference,
            sum_rule=rule,
            only_html={"sky": drawn, "marks": {c: class_mark(c, published.classes) for c in published.classes}},
        )

    return routes


def _rates(metrics: Row) -> dict[str, Any]:
    return {name: metrics[name] for name in ("recall", "precision")}


def mollweide(lon_deg: Any, lat_deg: Any) -> tuple[Any, Any]:
    """Places on an ellipse of half axes 2 and 1, longitude growing to the left (Snyder 1987, section 31)."""
    lon = -np.radians((np.asarray(lon_deg, float) + 180.0) % 360.0 - 180.0)
    lat = np.radians(np.asarray(lat_deg, float))
    theta = lat.copy()
    for _ in range(12):
        slope = np.maximum(2 + 2 * np.cos(2 * theta), 1e-9)
        theta = theta - (2 * theta + np.sin(2 * theta) - np.pi * np.sin(lat)) / slope
    return 2 * lon / np.pi * np.cos(theta), np.sin(theta)


def sky_map(cells: list[Row], n_sources: int) -> Markup:
    """Where the sources are, in Galactic coordinates: a dot per cell, larger where there are more."""
    width, height, r = 720, 372, 176.0

    def place(lon: Any, lat: Any) -> tuple[Any, Any]:
        x, y = mollweide(lon, lat)
        return width / 2 + r * x, height / 2 - r * y

    parts = [Markup('<ellipse cx="360" cy="186" rx="352" ry="176" class="pale"/>')]
    for lon in range(-120, 181, 60):
        x, y = place(np.full(37, lon + (1e-6 if lon == -180 else 0)), np.linspace(-90, 90, 37))
        parts.append(_path(x, y))
    for lat in (-60, -30, 0, 30, 60):
        x, y = place(np.linspace(-179.99, 179.99, 73), np.full(73, lat))
        order = np.argsort(x)
        parts.append(_path(x[order], y[order]))
        at = place(179.9, lat)
        words = f"{lat}°".replace("-", "−")
        shift = 0 if lat == 0 else -4 if lat > 0 else 12
        parts.append(
            Markup('<text class="soft" font-size="12" text-anchor="end" x="{}" y="{}">{}</text>').format(
                f"{max(at[0] - 4, 24):.1f}", f"{at[1] + 4 + shift / 2:.1f}", words
            )
        )
    numbers = np.array([row["n"] for row in cells], dtype=float)
    if len(cells):
        healpix = HEALPix(2**_ORDER, order="nested")
        lon, lat = healpix.healpix_to_lonlat(np.array([row["cell"] for row in cells]))
        galactic = SkyCoord(lon, lat, frame="icrs").galactic
        x, y = place(galactic.l.to_value(u.deg), galactic.b.to_value(u.deg))
        step = np.searchsorted(_STEPS, numbers, side="right") - 1
        for i in np.unique(step):
            dots = "".join(f"M{a:.0f},{b:.0f}h0" for a, b in zip(x[step == i], y[step == i], strict=True))
            parts.append(
                Markup(
                    '<path d="{}" class="ink" stroke-linecap="round" stroke-width="{}" stroke-opacity=".8"/>'
                ).format(dots, f"{2.2 + 1.5 * i:.1f}")
            )
    densest = int(numbers.max(initial=0))
    about = (
        f"Galactic map of {n_sources:,} sources in {len(cells):,} cells of 3.7 degrees. The centre of the Galaxy is in "
        f"the middle, longitude grows to the left; a larger dot means more sources, up to {densest:,}."
    )
    return Markup(
        '<svg class="chart" viewBox="0 0 720 372" role="img" aria-labelledby="sky-t sky-d">'
        '<title id="sky-t">Where the sources are on the sky</title><desc id="sky-d">{}</desc>{}</svg>'
    ).format(about, Markup("").join(parts))


def _path(x: Any, y: Any) -> Markup:
    points = " ".join(f"{a:.0f},{b:.0f}" for a, b in zip(x, y, strict=True))
    return Markup('<polyline class="grid" points="{}"/>').format(points)
