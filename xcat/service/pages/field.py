"""The field of a source in Aladin Lite: its ellipse and its candidate counterparts, over images if a reader wants them.

Nothing is asked of another host before a reader chooses a survey; each page has the narrowest policy it works with.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
from functools import cache

from fastapi import APIRouter
from PIL import Image
from starlette.requests import Request
from starlette.responses import Response

from xcat.errors import InputError
from xcat.output.reading import classify_run
from xcat.service.pages import ellipses, gather, openapi
from xcat.service.pages.page import POLICY, STATIC, page, vendored
from xcat.service.pages.source import number_of
from xcat.service.pages.state import State
from xcat.service.tap.errors import HttpError

LIBRARY = "aladin.js"
_HOST = "https://alasky.cds.unistra.fr"
SURVEYS = {
    "dss": ("visible light, DSS2", f"{_HOST}/DSS/DSSColor"),
    "2mass": ("near infrared, 2MASS", f"{_HOST}/2MASS/Color"),
    "allwise": ("infrared, AllWISE", f"{_HOST}/AllWISE/RGB-W4-W2-W1"),
}
"""Surveys by the word of the address: what people call them, and where their images are."""
_OF_SOURCE = (
    "name",
    "catalogue",
    "ra",
    "dec",
    "err_arcsec",
    "err_maj_arcsec",
    "err_min_arcsec",
    "err_pa_deg",
    "is_circle",
)
_TILE_PX = 512
_EMPTY = (24, 28, 36)
_PROPERTIES = f"""creator_did = ivo://xcat/empty
obs_title = No image
dataproduct_type = image
hips_version = 1.4
hips_order = 0
hips_order_min = 0
hips_tile_width = {_TILE_PX}
hips_tile_format = png
hips_frame = equatorial
"""


def router(state: State) -> APIRouter:
    """The routes of fields, and of the survey without images that lies under them."""
    routes = APIRouter()

    @routes.get(
        "/source/{name:path}/field",
        summary="The field of a source",
        openapi_extra=openapi.asks(images=openapi.text("Images of this survey, from its own host", *SURVEYS)),
    )
    def field(request: Request, name: str) -> Response:
        chosen = request.query_params.get("images", "")
        if chosen and chosen not in SURVEYS:
            raise InputError(f"images={chosen[:20]}: must be {', '.join(SURVEYS)}, or be left out")
        with state.reading() as conn:
            published = state.published(conn)
        with state.books() as conn:
            run = classify_run(conn, published.run_id)
            source_id = number_of(conn, run, name)
            source = gather.xray(conn, run, source_id)
            objects = gather.around(conn, run, source_id)
        answer = page(
            request,
            "field.html",
            source={name: source[name] for name in _OF_SOURCE},
            objects=objects,
            labels=ellipses.labels(source, objects),
            reach_arcsec=ellipses.reach_arcsec(source, objects),
            images=SURVEYS[chosen][1] if chosen else None,
            only_html={"surveys": SURVEYS, "chosen": chosen, "is_there": LIBRARY in vendored()},
        )
        answer.headers["Content-Security-Policy"] = policy(is_remote=bool(chosen))
        return answer

    @routes.get("/field/hips/{path:path}", include_in_schema=False)
    def hips(path: str) -> Response:
        headers = {"Cache-Control": "max-age=86400"}
        if path == "properties":
            return Response(_PROPERTIES, media_type="text/plain", headers=headers)
        if not re.fullmatch(r"Norder0/Dir0/Npix\d{1,2}\.png", path):
            raise HttpError(404, "the survey without images has no such file")
        return Response(_tile(), media_type="image/png", headers=headers)

    return routes


def policy(is_remote: bool) -> str:
    """The content security policy of a field.

    Aladin Lite is compiled to WebAssembly, which it has inside its own file, and runs a worker that it writes itself;
    its styles are allowed by their checksums. Another host may be asked only if a reader has chosen its images.
    """
    other = f" {_HOST}" if is_remote else ""
    own = {
        "script-src": "'self' 'wasm-unsafe-eval'",
        "style-src": f"'self' 'unsafe-hashes' {' '.join(map(_checksum, _styles()))}",
        "img-src": f"'self' data: blob:{other}",
        "connect-src": f"'self' data:{other}",
        "worker-src": "blob:",
    }
    return "; ".join(f"{name} {value}" for name, value in (POLICY | own).items())


@cache
def _styles() -> tuple[str, ...]:
    """The style sheet that Aladin Lite adds to the page, and the one style attribute that it writes."""
    path = STATIC / "vendor" / LIBRARY
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    found = re.search(r"=\s*'(\.aladin-container\{(?:[^'\\]|\\.)*)'", text)
    sheet = re.sub(r"\\u\{?([0-9A-Fa-f]+)\}?", lambda code: chr(int(code[1], 16)), found[1]) if found else ""
    sheet = sheet.replace("\\n", "\n")
    return sheet, "font-weight:bold"


def _checksum(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _tile() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (_TILE_PX, _TILE_PX), _EMPTY).save(out, "png")
    return out.getvalue()
