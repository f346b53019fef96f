"""What /openapi.json says of parameters and answers: the addresses read them by themselves, in any case of letters."""

from __future__ import annotations

from typing import Any

_TEXTS = {
    "QUERY": "The query in ADQL",
    "LANG": "ADQL, ADQL-2.0 or ADQL-2.1",
    "RESPONSEFORMAT": "votable, votable/td, csv, tsv, fits, parquet, or a media type",
    "UPLOAD": "NAME,param:FIELD, with the VOTable in the field FIELD",
    "RUNID": "A name of the client's own",
    "PHASE": "RUN or ABORT",
    "DESTRUCTION": "When the job is removed",
}
_NUMBERS = {"MAXREC": "Rows of the result at most", "EXECUTIONDURATION": "Seconds that the job may run"}
_SHAPES: dict[str, dict[str, Any]] = {
    **{name: {"type": "string", "description": about} for name, about in _TEXTS.items()},
    **{name: {"type": "integer", "minimum": 0, "description": about} for name, about in _NUMBERS.items()},
}
_ERROR: dict[str, Any] = {"content": {"application/x-votable+xml": {}, "application/json": {}}}
#: Answers that say what is wrong.
ERRORS: dict[int | str, dict[str, Any]] = {
    400: _ERROR | {"description": "The request is wrong; the message says why"},
    403: _ERROR | {"description": "Not any more"},
    404: _ERROR | {"description": "There is no such thing"},
    413: _ERROR | {"description": "The request is too large"},
    429: _ERROR | {"description": "Too many queries or jobs of this client"},
    503: _ERROR | {"description": "The service or its database cannot answer now"},
}


def form() -> dict[str, Any]:
    """A body with the parameters of a query or job."""
    schema = {"type": "object", "properties": _SHAPES}
    kinds = ("application/x-www-form-urlencoded", "multipart/form-data")
    return {"requestBody": {"content": {kind: {"schema": schema} for kind in kinds}}}


def form_of(file: str, about_file: str, about: dict[str, str]) -> dict[str, Any]:
    """A body with a file, and other parameters."""
    listed: dict[str, Any] = {name: {"type": "string", "description": text} for name, text in about.items()}
    listed |= {name: _SHAPES[name] for name in ("RESPONSEFORMAT", "MAXREC")}
    listed[file] = {"type": "string", "format": "binary", "description": about_file}
    schema = {"type": "object", "properties": listed, "required": [file]}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


def query(*names: str, **required: str) -> dict[str, Any]:
    """Parameters of the address: those of a query by their names, and numbers that are required."""
    listed: list[dict[str, Any]] = [{"name": name, "in": "query", "schema": _SHAPES[name]} for name in names]
    listed += [
        {"name": name, "in": "query", "required": True, "schema": {"type": "number"}, "description": about}
        for name, about in required.items()
    ]
    return {"parameters": listed}


def xml() -> dict[int | str, dict[str, Any]]:
    """An answer in XML."""
    return {200: {"description": "A document", "content": {"text/xml": {}}}}


def text() -> dict[int | str, dict[str, Any]]:
    """An answer that is text."""
    return {200: {"description": "A text", "content": {"text/plain": {}}}}


def table() -> dict[int | str, dict[str, Any]]:
    """An answer that is a table."""
    from xcat.service.tap.formats import FORMATS

    kinds: dict[str, Any] = {form.media.partition(";")[0]: {} for form in FORMATS}
    return {200: {"description": "The result", "content": kinds}}
