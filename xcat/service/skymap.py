"""The address of sky maps: a map is sent, and the published sources in its credible region come back as a table."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import IO

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from xcat.config import Settings
from xcat.errors import XcatError
from xcat.ingest.skymap_file import read_skymap
from xcat.output import files
from xcat.output.provenance import KEY
from xcat.report.skymap import skymap_sources
from xcat.service.tap import formats, parameters
from xcat.service.tap.openapi import ERRORS, form_of, table
from xcat.service.tap.parameters import Parameters
from xcat.service.tap.service import Service
from xcat.service.tap.streaming import client_of
from xcat.sky.skymap import SkyMap

_FIELD = "MAP"
_MOST_CELLS = 12 * 512**2  # different ones; others are joined while they are read. Some 0.5 GB of memory
_ABOUT = {
    "LEVEL": "Probability that the credible region holds; 0.9 if not given",
    "CLASS": "Sources of this class only",
    "MIN_PROBABILITY": "Least probability of CLASS, or of a source's own class",
    "COLUMN": "Column of the probability, if not PROB, PROBABILITY or PROBDENSITY",
}


def router(service: Service) -> APIRouter:
    """The route of sky maps."""
    routes = APIRouter(responses=ERRORS)

    @routes.post(
        "/skymap",
        tags=["queries"],
        summary="Sources in the credible region of a sky map, the densest places first",
        openapi_extra=form_of(_FIELD, "A sky map: FITS, multi-order or flat HEALPix", _ABOUT),
        responses=table(),
    )
    async def skymap(request: Request) -> Response:
        given = await parameters.read(request)
        try:
            async with service.quotas.place(client_of(request)):
                loop = asyncio.get_running_loop()
                return await loop.run_in_executor(service.threads, lambda: _answer(given, service))
        finally:
            given.close()

    return routes


def _answer(given: Parameters, service: Service) -> Response:
    form, n_rows = parameters.format_of(given), _most_rows(given, service.settings)
    if form.ending == ".tsv":
        raise XcatError("RESPONSEFORMAT=tsv: sources of a sky map come as votable, csv, fits or parquet")
    sent = {name.upper(): file for name, file in given.files.items()}.get(_FIELD)
    if sent is None or isinstance(sent, Path):
        raise XcatError(f"there is no file in the field {_FIELD}: send the map as multipart/form-data")
    level = _share(given, "LEVEL")
    with tempfile.TemporaryDirectory(prefix="xcat-skymap-") as folder:
        opened = _read(sent, Path(folder) / "map", given.one("COLUMN") or "")
        with service.readers.connection(service.settings.tap_timeout_s) as conn, conn.transaction():
            found = skymap_sources(
                conn, opened, 0.9 if level is None else level, given.one("CLASS"), _share(given, "MIN_PROBABILITY"),
                n_rows,
            )  # fmt: skip
        total = found.meta["total_rows"]
        if total > len(found):
            found.meta[KEY]["cut"] = f"{len(found):,} of {total:,} sources: raise MAXREC for more"
        path = files.write(found, Path(folder) / f"sources{form.ending}")
        headers = {"X-Total-Rows": str(total)}
        return Response(path.read_bytes(), headers=headers, media_type=_media(form))


def _media(form: formats.Format) -> str:
    """The media type: rows of a VOTable are in binary, whichever was asked for."""
    return formats.named("votable").media if form.serialization else form.media


def _read(sent: IO[bytes], path: Path, column: str) -> SkyMap:
    with path.open("wb") as out:
        shutil.copyfileobj(sent, out)
    try:
        return read_skymap(path, column, _MOST_CELLS)
    except XcatError as error:  # the user knows nothing of our folders
        raise type(error)(str(error).replace(str(path), "the map")) from None


def _most_rows(given: Parameters, settings: Settings) -> int:
    maxrec = given.whole("MAXREC")
    return settings.tap_rows if maxrec is None else min(maxrec, settings.tap_rows)


def _share(given: Parameters, name: str) -> float | None:
    text = given.one(name)
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        raise XcatError(f"{name}={text[:50]}: it must be a number between 0 and 1") from None
