"""What the page of a source draws, for who is to say what it is: all that was measured, nothing of its class."""

from __future__ import annotations

from typing import Any

from xcat.output.chart import legend
from xcat.output.reading import classify_run, one
from xcat.report.explain.gather import Labelled, explain
from xcat.service.pages import drawings, drawings_of_products, gather
from xcat.service.pages.state import State


def of_source(state: State, source_id: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The charts of a source.

    Returns
    -------
    data : dict
        ``observations`` and ``fluxes``: rows behind the charts, for JSON.
    charts : dict
        ``place``, ``sed``, ``hardness`` and ``light_curve`` as SVG, None where there is nothing to draw; the ``legend``
        of the classes, and ``mission_marks``; ``figures`` of light curves and spectra, with their ``marks``.
    """
    with state.reading() as conn:
        published = state.published(conn)
    model = state.model(published)
    with state.books() as conn:
        run = classify_run(conn, published.run_id)
        labelled = published.once("labelled", lambda: Labelled.of(conn, run, model))
        e = explain(conn, source_id, published.run_id, model, labelled)
        summary = one(conn, "pages.summary", {"source_id": source_id}) or {}
        xray = gather.xray(conn, run, source_id)
        observed = gather.observations(conn, run, e)
        objects = gather.around(conn, run, source_id)
        products = drawings_of_products.gather(conn, gather.members(e))
    points = gather.sed(e, summary, xray)
    # without what names the source: observations, names of files
    figures = drawings_of_products.figures(products, is_secret=True)
    charts = {
        "place": drawings.place(xray, objects) if objects else None,
        "sed": drawings.energy(points),
        "hardness": drawings.hardness(e, model),
        "light_curve": drawings.light_curve(observed, 440),
        "mission_marks": drawings.mission_marks(observed),
        "legend": legend(e.classes),
        "figures": figures,
        "marks": drawings_of_products.legend(figures),
    }
    return {"observations": observed, "fluxes": points}, charts
