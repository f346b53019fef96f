"""Errors as clients get them: a VOTable with the message, or JSON where that is asked for; and the code of HTTP."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from xcat.adql import AdqlError
from xcat.database.address import masked
from xcat.errors import DatabaseError, XcatError
from xcat.service.tap import votable

_WAIT_S = "10"


class HttpError(XcatError):
    """An error with a code of HTTP of its own."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def status_of(error: Exception) -> int:
    """The code of HTTP: what the client has sent is 400, a database that does not answer 503."""
    if isinstance(error, HttpError):
        return error.status
    return 503 if isinstance(error, DatabaseError) else 400


def message_of(error: Exception) -> str:
    """The message, with the place in the query where it is known."""
    text = masked(str(error))
    if isinstance(error, AdqlError) and error.line is not None and "line" not in text[:40]:
        text = f"line {error.line}, column {error.column}: {text}"
    return text


def document(message: str) -> str:
    """A VOTable that states an error."""
    return votable.document(votable.info("QUERY_STATUS", "ERROR", message))


def response(request: Request, error: Exception) -> Response:
    """The answer that states an error."""
    status, text = status_of(error), message_of(error)
    headers = {"Retry-After": _WAIT_S} if status in (429, 503) else {}
    if "application/json" in request.headers.get("accept", ""):
        told: dict[str, Any] = {"error": text}
        if isinstance(error, AdqlError):
            told |= {"line": error.line, "column": error.column}
        return JSONResponse(told, status, headers)
    return Response(document(text), status, headers, "application/x-votable+xml")
