"""The addresses of watchlists: made, changed, deleted by forms; what they were told, on the page and as a feed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from xcat.database.sqlfiles import dicts, job
from xcat.errors import InputError, XcatError
from xcat.service.pages.page import plain, wants_json
from xcat.service.pages.sent import Sent
from xcat.service.pages.state import State
from xcat.service.tap.errors import HttpError
from xcat.service.volunteers import watchlists
from xcat.service.volunteers.accounts import Person
from xcat.service.volunteers.guard import Guard

_FIELDS = ("title", "places", "radius", "adql", "hook")
_BLANK = dict.fromkeys((*_FIELDS, "watchlist_id"))
_Handle = Callable[[Request, Callable[[Sent], Response]], Awaitable[Response]]


def router(state: State, guard: Guard, sent: _Handle) -> APIRouter:
    """The routes of watchlists; `sent` does the work of a form that is ours."""
    routes = APIRouter(include_in_schema=False)

    def shown(request: Request, person: Person | None, problem: XcatError | None = None, **typed: Any) -> Response:
        """The page; with what was typed and what is wrong with it, if a form could not be used."""
        lists: list[dict[str, Any]] = []
        if person is not None:
            asked = {"account_id": person.account_id}
            lists = guard.work(lambda conn: dicts(conn.execute(job("volunteers.watchlists").compose(), asked)))
            for each in lists:
                values = {"watchlist_id": each["watchlist_id"], "most": watchlists.MOST_NOTICES}
                rows = guard.work(lambda conn, v=values: dicts(conn.execute(job("volunteers.notices").compose(), v)))  # type: ignore[misc]
                each["notices"] = [row | {"words": watchlists.sentence(row)} for row in rows]
        told = {} if problem is None else {"error": str(problem)}
        return guard.show(
            request,
            "watch.html",
            person,
            400 if problem else 200,
            lists=lists,
            webhook_hosts=state.settings.webhook_hosts,
            most_notices=watchlists.MOST_NOTICES,
            only_html={
                "typed": _BLANK | typed,
                "blank": _BLANK,
                "error": str(problem) if problem else None,
                "most_places": watchlists.MOST_PLACES,
            },
            **told,
        )

    def kept(request: Request, form: Sent, watchlist_id: int | None) -> Response:
        """Keep a new watchlist, or another title, query and webhook of an old one."""
        person = guard.required(request)
        guard.votes.check(str(person.account_id))
        try:
            query = form.text("adql") or watchlists.query_of_places(form.text("places"), _radius(form))
            hook = watchlists.checked_hook(form.text("hook"), state.settings.webhook_hosts)
            with state.service.readers.connection(30.0) as reading:
                number = guard.work(
                    lambda conn: watchlists.keep(
                        conn, reading, state.service.tables, person, form.text("title"), query, hook, watchlist_id
                    )
                )
        except HttpError:
            raise
        except XcatError as problem:
            typed = {name: form.text(name) for name in _FIELDS}
            return shown(request, person, problem, watchlist_id=watchlist_id, **typed)
        return RedirectResponse(f"/watch#list-{number}", 303)

    @routes.get("/watch")
    def watch(request: Request) -> Response:
        return shown(request, guard.person(request))

    @routes.post("/watch")
    async def add(request: Request) -> Response:
        return await sent(request, lambda form: kept(request, form, None))

    @routes.post("/watch/{watchlist_id}")
    async def change(request: Request, watchlist_id: str) -> Response:
        return await sent(request, lambda form: kept(request, form, _whole(watchlist_id)))

    @routes.post("/watch/{watchlist_id}/delete")
    async def remove(request: Request, watchlist_id: str) -> Response:
        def work(form: Sent) -> Response:
            person = guard.required(request)
            values = {"watchlist_id": _whole(watchlist_id), "account_id": person.account_id}
            row = guard.work(lambda conn: conn.execute(job("volunteers.delete_watchlist").compose(), values).fetchone())
            if row is None:
                raise HttpError(404, "you have no such watchlist")
            return RedirectResponse("/watch", 303)

        return await sent(request, work)

    @routes.get("/watch/feed/{feed_key}")
    def feed(request: Request, feed_key: str) -> Response:
        asked = {"feed_key": feed_key.replace("\x00", "")}
        found = guard.work(lambda conn: dicts(conn.execute(job("volunteers.feed").compose(), asked)))
        if not found:
            raise HttpError(404, "there is no such feed")
        values = {"watchlist_id": found[0]["watchlist_id"], "most": watchlists.MOST_NOTICES}
        rows = guard.work(lambda conn: dicts(conn.execute(job("volunteers.notices").compose(), values)))
        if wants_json(request):
            return JSONResponse(plain({"title": found[0]["title"], "notices": rows}))
        base = str(request.base_url).rstrip("/")
        text = watchlists.atom(base, found[0] | asked, rows)
        return Response(text, media_type="application/atom+xml", headers={"Cache-Control": "private, max-age=300"})

    return routes


def _radius(form: Sent) -> float:
    text = form.text("radius") or "10"
    try:
        return float(text)
    except ValueError:
        raise InputError(f"radius={text[:30]}: must be a number of arcsec") from None


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise HttpError(404, "you have no such watchlist")
    return int(text)
