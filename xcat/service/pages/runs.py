"""The pages of the model and of the run: how good they are, and what was done."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from xcat.classifier.kinds import with_tables_of_answers
from xcat.errors import XcatError
from xcat.jobs import gates
from xcat.output.chart import class_mark, legend
from xcat.output.reading import rows
from xcat.report.run import sum_rule, summary
from xcat.report.run.summary import as_json
from xcat.service.pages import drawings_of_runs, openapi
from xcat.service.pages.page import page
from xcat.service.pages.state import Published, State


def router(state: State) -> APIRouter:
    """The routes of model and run."""
    routes = APIRouter()

    @routes.get("/model", summary="How good the model is, and what it knows", openapi_extra=openapi.asks())
    def model(request: Request) -> Response:
        published = _published(state)
        result, fitted = state.report(published), state.model(published)
        drawn = published.once("model_page", lambda: _of_model(state, published))
        return page(
            request,
            "model.html",
            run_id=published.run_id,
            model_run_id=published.model_run_id,
            report=as_json(result),
            weights=drawings_of_runs.weights(fitted),
            category_weights=dict(zip(fitted.categories, fitted.weights.tolist(), strict=True)),
            only_html={
                **drawn,
                "r": result,
                "table": summary.two_part(result),
                "marks": {c: class_mark(c, published.classes) for c in published.classes},
            },
        )

    @routes.get("/run", summary="What the run did, and what it had to pass", openapi_extra=openapi.asks())
    def run(request: Request) -> Response:
        published = _published(state)
        result = state.report(published)
        with state.books() as conn:
            ids = [result.run_id, *result.lineage.values()]
            stages = rows(conn, "report.stages", {"run_ids": ids})
            files = rows(conn, "report.files", {"run_ids": ids, "catalogues": []})
            try:
                measured = gates.measured(conn, published.run_id)
            except XcatError:
                measured = None
        rule = result.sum_rule
        charts = [] if rule is None else drawings_of_runs.sum_rule(rule, published.classes)
        return page(
            request,
            "run.html",
            run_id=published.run_id,
            pipeline=result.pipeline,
            published=published.facts,
            gates=measured,
            sum_rule=rule,
            stages=stages,
            files=files,
            lineage=result.lineage,
            only_html={
                "gate_lines": [] if measured is None else [(c, gates.line(c)) for c in measured["checks"]],
                "verdict": [] if rule is None else sum_rule.verdict(rule),
                "charts": charts,
                "legend": legend(published.classes),
                "marks": {c: class_mark(c, published.classes) for c in published.classes},
            },
        )

    return routes


def _published(state: State) -> Published:
    with state.reading() as conn:
        return state.published(conn)


def _of_model(state: State, published: Published) -> dict[str, Any]:
    """The charts of a model, which are the same as long as it is published."""
    return {
        "densities": drawings_of_runs.densities(with_tables_of_answers(state.model(published))),
        "reliability": drawings_of_runs.reliability(state.report(published)),
        "legend": legend(published.classes),
    }
