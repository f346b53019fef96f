"""The page on which a reader's own list is classified."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from xcat.errors import InputError
from xcat.output import files
from xcat.output.chart import class_mark
from xcat.own.classify_table import ClassifyOptions, classify_table
from xcat.service.pages import openapi, sent
from xcat.service.pages.page import page, wants_json
from xcat.service.pages.place import position
from xcat.service.pages.sent import Sent
from xcat.service.pages.state import State
from xcat.service.tap import formats
from xcat.tables.guess import Wanted

MOST_ROWS = 20_000
_SHOWN_ROWS = 200
_MOST_LINES = 2000
_FILES = {"csv": ".csv", "fits": ".fits", "votable": ".vot", "parquet": ".parquet"}
_ABOUT = {
    "table_error": openapi.text("Error of the positions of the table: a column, or a number of arcsec"),
    "positions": openapi.text("Positions in place of a table, one per line"),
    "error": openapi.number("Their error in arcsec (1 sigma)"),
    "table_again": openapi.text("In place of a file: the table as base64"),
    "table_name": openapi.text("The name of that file, which says what format it has"),
    "as": openapi.text("What comes back", "page", *_FILES),
}
_WANTED = ("class", "p_class", "is_outlier", "p_any", "reason", "published_name", "published_class", "literature_class")


def router(state: State) -> APIRouter:
    """The routes of a reader's own list."""
    routes = APIRouter()

    @routes.get("/list", summary="The form for a list of your own", openapi_extra=openapi.asks())
    def form(request: Request) -> Response:
        with state.reading() as conn:
            published = state.published(conn)
        return page(request, "list.html", run_id=published.run_id, most_rows=MOST_ROWS, formats=list(_FILES))

    @routes.post(
        "/list",
        summary="Classify a list of your own",
        openapi_extra=openapi.sends("table", "A table", **_ABOUT),
        responses=openapi.or_file(*(formats.named(name).media for name in _FILES)),
    )
    async def classified(request: Request) -> Response:
        return await sent.handled(request, state, lambda form: _answer(request, state, form))

    return routes


def _answer(request: Request, state: State, form: Sent) -> Response:
    with state.reading() as conn:
        published = state.published(conn)
    as_file = form.text("as")
    if as_file not in ("", "page", *_FILES):
        raise InputError(f"as={as_file[:20]}: must be page, {', '.join(_FILES)}")
    path = form.file("table", "your_table") or form.file_again("table", "your_table") or _pasted(form)
    if path is None:
        raise InputError("choose a file, or write positions into the field, then press Classify")
    is_file = "table" in path.name
    error = form.text("table_error") if is_file else form.text("error") or "1"
    result = classify_table(state.settings, path, ClassifyOptions(wanted=Wanted(pos_err=error or None)))
    with result.spool as spool:
        if spool.n_rows > MOST_ROWS:
            raise InputError(
                f"the list has {spool.n_rows:,} rows, more than {MOST_ROWS:,}: use xcat classify, or send parts of it"
            )
        if as_file in _FILES:
            out = form.folder / f"classes{_FILES[as_file]}"
            files.write(spool, out)
            headers = {"Content-Disposition": f'attachment; filename="{out.name}"'}
            return Response(out.read_bytes(), headers=headers, media_type=formats.named(as_file).media)
        table = spool.table()
    rows = rows_of(table if wants_json(request) else table[:_SHOWN_ROWS])
    names = _shown(table)
    return page(
        request,
        "list_result.html",
        run_id=published.run_id,
        summary=result.summary,
        messages=[_for_people(form.plain(message)) for message in result.messages],
        columns=table.colnames,
        rows=rows,
        n_rows=len(table),
        only_html={
            "shown": names,
            "formats": list(_FILES),
            "again": _again(form, path if is_file else None),
            "marks": {c: class_mark(c, published.classes) for c in published.classes},
        },
    )


def _again(form: Sent, table: Path | None) -> dict[str, str] | None:
    """Fields that ask the same once more, for a file of it."""
    if table is None:
        return {name: form.text(name) for name in ("positions", "error")}
    fields = sent.kept("table", table)
    return None if fields is None else fields | {"table_error": form.text("table_error")}


def _pasted(form: Sent) -> Path | None:
    """The positions of the field for text, one per line, as a table."""
    lines = [line.strip() for line in form.text("positions").splitlines() if line.strip()]
    if not lines:
        return None
    if len(lines) > _MOST_LINES:
        raise InputError(f"there are {len(lines):,} positions in the field, more than {_MOST_LINES:,}: send a file")
    try:
        error = float(form.text("error") or "1")
    except ValueError:
        error = -1.0
    if not 0 < error < 3600:
        raise InputError(f"error={form.text('error')[:20]}: must be a number of arcsec above 0, below 3600")
    out = ["row,ra,dec"]
    for number, line in enumerate(lines, 1):
        place = position(line[:200])
        if place is None:
            raise InputError(
                f"line {number}, {line[:60]!r}: this is not a position. Write two angles, as in 266.4 -29.0"
            )
        out.append(f"{number},{place[0]:.8f},{place[1]:.8f}")
    path = form.folder / "your_positions.csv"
    path.write_text("\n".join(out) + "\n", encoding="utf-8")
    return path


def _shown(table: Table) -> list[str]:
    """The first columns of the reader's own, and the telling ones of the answer."""
    own = [name for name in table.colnames[:4] if name not in _WANTED]
    return [*own[:3], *(name for name in table.colnames if name.removeprefix("xcat_") in _WANTED)]


def rows_of(table: Table) -> list[dict[str, Any]]:
    """Rows of a table as dicts; what is masked is None."""
    columns = {name: _values(table[name]) for name in table.colnames}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _values(column: Any) -> list[Any]:
    masked = np.ma.getmaskarray(column)
    if masked.ndim > 1:
        return [str(value) for value in column]
    values = np.ma.getdata(column).tolist()
    decoded = [value.decode(errors="replace") if isinstance(value, bytes) else value for value in values]
    return [None if hidden else value for value, hidden in zip(decoded, masked.tolist(), strict=True)]


def _for_people(message: str) -> str:
    """A message without the name of the file that we made of positions, and without options of the command line."""
    return message.removeprefix("your_positions: ").partition(": --column ")[0]
