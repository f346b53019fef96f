"""What /openapi.json says of the pages: what an address may ask, what a form sends, and that each answers twice."""

from __future__ import annotations

from typing import Any

_FORMAT: dict[str, Any] = {
    "name": "format",
    "in": "query",
    "description": "html or json; otherwise the header Accept decides",
    "schema": {"type": "string", "enum": ["html", "json"]},
}
_KINDS: dict[str, Any] = {"text/html": {}, "application/json": {}}
_CODES = {
    303: "The one source of this name has a page of its own",
    400: "The request is wrong; the message says why",
    404: "There is no such thing",
    413: "The request is too large",
    429: "Too many queries of this client",
    503: "The service or its database cannot answer now",
}
#: Answers that every page can give, beside itself.
RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The page, or the same as JSON", "content": _KINDS},
    **{code: {"description": about, "content": _KINDS} for code, about in _CODES.items() if code != 303},
}
#: Answer of the search, if it has found one source.
FOUND: dict[int | str, dict[str, Any]] = {303: {"description": _CODES[303]}}


def or_file(*media: str) -> dict[int | str, dict[str, Any]]:
    """A page that can also answer by a file."""
    kinds: dict[str, Any] = {kind.partition(";")[0]: {} for kind in media}
    return {200: {"description": "The page, the same as JSON, or a file", "content": _KINDS | kinds}}


def text(about: str, *choices: str) -> dict[str, Any]:
    """A parameter that is a text, or one of some."""
    return {"type": "string", "description": about} | ({"enum": list(choices)} if choices else {})


def number(about: str) -> dict[str, Any]:
    """A parameter that is a number; its page says which ones it takes."""
    return {"type": "number", "description": about}


def texts(about: str) -> dict[str, Any]:
    """A parameter that may be given more than once."""
    return {"type": "array", "items": {"type": "string"}, "description": about}


def asks(**shapes: dict[str, Any]) -> dict[str, Any]:
    """Parameters of the address of a page."""
    listed = [{"name": name, "in": "query", "schema": shape} for name, shape in shapes.items()]
    return {"parameters": [*listed, _FORMAT]}


def sends(file: str, about_file: str, **shapes: dict[str, Any]) -> dict[str, Any]:
    """The form of a page: a file, which may be missing, and what goes with it."""
    properties = shapes | {file: text(about_file) | {"format": "binary"}}
    schema = {"type": "object", "properties": properties}
    return {"parameters": [_FORMAT], "requestBody": {"content": {"multipart/form-data": {"schema": schema}}}}
