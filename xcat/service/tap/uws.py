"""The addresses of jobs: UWS 1.1 below /tap/async."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, RedirectResponse, Response
from vo_models import uws
from vo_models.uws.types import ErrorType, ExecutionPhase

from xcat.errors import XcatError
from xcat.service.tap import errors, parameters
from xcat.service.tap.errors import HttpError
from xcat.service.tap.jobs import ACTIVE, Jobs, time_of
from xcat.service.tap.openapi import form, text, xml
from xcat.service.tap.streaming import client_of
from xcat.service.tap.votable import without_control

_LONGEST_WAIT_S = 60
_PAUSES_S = (0.05, 0.1, 0.2, 0.5)
_RESULT_HINT = "results/result"


def router(jobs: Jobs) -> APIRouter:
    """The routes of jobs."""
    routes = APIRouter(prefix="/async", tags=["jobs"])

    def see(request: Request, job_id: str) -> Response:
        return RedirectResponse(f"{base_of(request)}/{job_id}", 303)

    async def act(request: Request, job_id: str) -> Response:
        """What the parameters of a request ask a job for."""
        given = await parameters.read(request)
        try:
            return await obey(request, job_id, given)
        finally:
            given.close()

    async def obey(request: Request, job_id: str, given: parameters.Parameters) -> Response:
        action, phase = (given.one("ACTION") or "").upper(), (given.one("PHASE") or "").upper()
        if action == "DELETE":
            await asyncio.to_thread(jobs.delete, job_id)
            return RedirectResponse(base_of(request), 303)
        if action:
            raise XcatError(f"ACTION={action[:50]}: it must be DELETE")
        if phase not in ("", "RUN", "ABORT"):
            raise XcatError(f"PHASE={phase[:50]}: it must be RUN or ABORT")
        await asyncio.to_thread(jobs.change, job_id, given)
        if phase:
            await asyncio.to_thread(jobs.run if phase == "RUN" else jobs.abort, job_id)
        return see(request, job_id)

    @routes.get("", summary="The jobs of this client", responses=xml())
    async def listed(request: Request) -> Response:
        given = await parameters.read(request)
        phases = [phase.upper() for phase in given.all("PHASE")]
        unknown = set(phases) - {phase.value for phase in ExecutionPhase}
        if unknown:
            raise XcatError(f"PHASE={min(unknown)[:50]}: it is not a phase of UWS")
        after, last = time_of(given.one("AFTER"), "AFTER"), given.whole("LAST")
        found = await asyncio.to_thread(jobs.of_client, client_of(request), phases, last, after)
        short = [
            uws.ShortJobDescription(
                job_id=row["job_id"],
                phase=row["phase"],
                run_id=_name(row),
                creation_time=row["created_at"],
                href=f"{base_of(request)}/{row['job_id']}",
            )
            for row in found
        ]
        return _xml(uws.Jobs(jobref=short))

    @routes.post("", summary="Submit a job", openapi_extra=form(), status_code=303, responses=xml())
    async def submitted(request: Request) -> Response:
        given = await parameters.read(request)
        try:
            job_id = await new(request, given)
        finally:
            given.close()
        return see(request, job_id)

    async def new(request: Request, given: parameters.Parameters) -> str:
        """Submit a job; what can be seen to be wrong without the query is refused at once."""
        phase = (given.one("PHASE") or "").upper()
        if phase not in ("", "RUN"):
            raise XcatError(f"PHASE={phase[:50]}: a new job can be told to RUN only")
        parameters.format_of(given)
        given.whole("MAXREC")
        job_id = await asyncio.to_thread(jobs.new, client_of(request), given, base_of(request))
        if phase:
            await asyncio.to_thread(jobs.run, job_id)
        return job_id

    @routes.get("/{job_id}", summary="A job; WAIT waits for another phase", responses=xml())
    async def shown(request: Request, job_id: str) -> Response:
        given = await parameters.read(request)
        found = await asyncio.to_thread(jobs.get, job_id)
        wait = given.one("WAIT")
        if wait is not None:
            seconds = _LONGEST_WAIT_S if wait.strip() == "-1" else given.whole("WAIT") or 0
            phase = (given.one("PHASE") or found["phase"]).upper()
            found = await _other_phase(request, jobs, job_id, phase, min(seconds, _LONGEST_WAIT_S))
        return _xml(_summary(request, found))

    @routes.post("/{job_id}", summary="Change, run, abort or remove a job", openapi_extra=form(), status_code=303)
    async def changed(request: Request, job_id: str) -> Response:
        return await act(request, job_id)

    @routes.delete("/{job_id}", summary="Remove a job and its result", status_code=303)
    async def removed(request: Request, job_id: str) -> Response:
        await asyncio.to_thread(jobs.delete, job_id)
        return RedirectResponse(base_of(request), 303)

    facts: dict[str, Callable[[dict[str, Any]], str]] = {
        "phase": lambda found: str(found["phase"]),
        "executionduration": lambda found: str(found["execution_limit_s"]),
        "destruction": lambda found: _time(found["destruction_at"]),
        "quote": lambda found: "",
        "owner": lambda found: "",
    }

    for name in facts:

        @routes.get(f"/{{job_id}}/{name}", summary=f"The {name} of a job", responses=text(), name=f"read_{name}")
        async def fact(request: Request, job_id: str) -> Response:
            found = await asyncio.to_thread(jobs.get, job_id)
            return PlainTextResponse(facts[request.url.path.rpartition("/")[2]](found))

        if name in ("phase", "executionduration", "destruction"):

            @routes.post(
                f"/{{job_id}}/{name}",
                summary=f"Change the {name} of a job",
                openapi_extra=form(),
                status_code=303,
                name=f"change_{name}",
            )
            async def new_fact(request: Request, job_id: str) -> Response:
                return await act(request, job_id)

    @routes.get("/{job_id}/parameters", summary="The parameters of a job", responses=xml())
    async def its_parameters(request: Request, job_id: str) -> Response:
        return _xml(_parameters(request, await asyncio.to_thread(jobs.get, job_id)))

    @routes.post("/{job_id}/parameters", summary="Add to the parameters", openapi_extra=form(), status_code=303)
    async def new_parameters(request: Request, job_id: str) -> Response:
        return await act(request, job_id)

    @routes.get("/{job_id}/results", summary="The results of a job", responses=xml())
    async def results(request: Request, job_id: str) -> Response:
        return _xml(_results(request, await asyncio.to_thread(jobs.get, job_id)))

    @routes.get("/{job_id}/results/result", summary="The result of a job")
    async def result(request: Request, job_id: str) -> Response:
        path = await asyncio.to_thread(jobs.result, job_id)
        found = await asyncio.to_thread(jobs.get, job_id)
        return FileResponse(path, media_type=found["media_type"])

    @routes.get("/{job_id}/error", summary="Why a job failed")
    async def failure(request: Request, job_id: str) -> Response:
        found = await asyncio.to_thread(jobs.get, job_id)
        if found["error"] is None:
            raise HttpError(404, f"the job is {found['phase']}: it has no error")
        return Response(errors.document(found["error"]), media_type="application/x-votable+xml")

    return routes


async def _other_phase(request: Request, jobs: Jobs, job_id: str, phase: str, seconds: float) -> dict[str, Any]:
    """Wait until a job that is active leaves a phase, or the time is over."""
    ends, pauses = time.monotonic() + seconds, list(_PAUSES_S)
    while True:
        found = await asyncio.to_thread(jobs.get, job_id)
        left = ends - time.monotonic()
        if found["phase"] != phase or phase not in ACTIVE or left <= 0 or await request.is_disconnected():
            return found
        await asyncio.sleep(min(pauses.pop(0) if len(pauses) > 1 else pauses[0], left))


# --- documents --------------------------------------------------------------------------------------------


def base_of(request: Request) -> str:
    """The address of jobs, as the client knows it."""
    return f"{str(request.base_url).rstrip('/')}/tap/async"


def _xml(model: Any) -> Response:
    content = model.to_xml(encoding="UTF-8", standalone=None, skip_empty=False)
    return Response(content, media_type="text/xml")


def _time(value: datetime) -> str:
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _name(row: dict[str, Any]) -> str | None:
    """The name that the client has given to a job."""
    return None if row["client_run_id"] is None else without_control(row["client_run_id"])


class _Given(uws.Parameters):
    """The parameters of a job, whatever they are."""

    parameter: uws.MultiValuedParameter | None = None

    def __init__(self, parameter: list[uws.Parameter]) -> None:
        super(uws.Parameters, self).__init__(parameter=parameter or None)  # type: ignore[call-arg]


def _parameters(request: Request, found: dict[str, Any]) -> _Given:
    return _Given(
        [
            uws.Parameter(id=without_control(name.lower()), value=without_control(value))
            for name, value in found["parameters"]
            if name not in ("FILE", "BASE")
        ]
    )


def _results(request: Request, found: dict[str, Any]) -> uws.Results:
    if found["phase"] != "COMPLETED":
        return uws.Results(results=[])
    reference = uws.ResultReference(
        id="result",
        href=f"{base_of(request)}/{found['job_id']}/{_RESULT_HINT}",
        size=found["n_bytes"],
        mime_type=found["media_type"],
    )
    return uws.Results(results=[reference])


def _summary(request: Request, found: dict[str, Any]) -> uws.JobSummary[_Given]:
    error = None
    if found["error"] is not None:
        words = without_control(found["error"])
        error = uws.ErrorSummary(message=words, type=ErrorType.FATAL, has_detail=True)
    return uws.JobSummary[_Given](
        job_id=found["job_id"],
        run_id=_name(found),
        owner_id=None,
        phase=found["phase"],
        quote=None,
        creation_time=found["created_at"],
        start_time=found["started_at"],
        end_time=found["ended_at"],
        execution_duration=found["execution_limit_s"],
        destruction=found["destruction_at"],
        parameters=_parameters(request, found),
        results=_results(request, found),
        error_summary=error,
        job_info=None,
    )
