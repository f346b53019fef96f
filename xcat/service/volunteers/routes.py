"""The addresses of volunteers and watchlists; every change is a form by POST, with its token."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from xcat.columns.answers import WORDS
from xcat.database.sqlfiles import job
from xcat.errors import InputError
from xcat.service.pages.page import NAVIGATION, add_templates, plain
from xcat.service.pages.sent import Sent, handled
from xcat.service.pages.state import State
from xcat.service.volunteers import accounts, charts, voting, watch_routes
from xcat.service.volunteers.guard import Guard

_MOST_REMARK = 2000
add_templates("xcat.service.volunteers")
for _link in (("/volunteers", "Volunteers"), ("/watch", "Watchlists")):
    if _link not in NAVIGATION:
        NAVIGATION.append(_link)


def router(state: State, guard: Guard) -> APIRouter:
    """The routes of volunteers and watchlists."""
    routes = APIRouter(include_in_schema=False)

    async def sent(request: Request, work: Callable[[Sent], Response]) -> Response:
        def checked(form: Sent) -> Response:
            guard.check(request, form)
            return work(form)

        return await handled(request, state, checked)

    # --- accounts -----------------------------------------------------------------------------------------------

    @routes.get("/volunteers")
    def start(request: Request) -> Response:
        person = guard.person(request)
        progress = guard.work(lambda conn: voting.progress(conn, person)) if person else None
        return guard.show(request, "volunteers.html", person, progress=progress, tutorial=voting.TUTORIAL)

    @routes.get("/volunteers/register")
    def register_form(request: Request) -> Response:
        return guard.show(request, "register.html", guard.person(request))

    @routes.post("/volunteers/register")
    async def register(request: Request) -> Response:
        def work(form: Sent) -> Response:
            guard.registrations.check(guard.client(request))
            name, mail, password = form.text("name"), form.text("mail"), form.raw("password")
            account_id = guard.work(lambda conn: accounts.register(conn, name, mail, password))
            return guard.log_in(request, account_id, "/volunteers")

        return await sent(request, work)

    @routes.get("/volunteers/login")
    def login_form(request: Request) -> Response:
        return guard.show(request, "login.html", guard.person(request))

    @routes.post("/volunteers/login")
    async def login(request: Request) -> Response:
        def work(form: Sent) -> Response:
            name, client = form.text("name"), guard.client(request)
            guard.logins_of_client.check(client)
            account = _verified(name, form.raw("password"))
            return guard.log_in(request, account["account_id"], "/volunteers")

        return await sent(request, work)

    def _verified(name: str, password: str) -> dict[str, Any]:
        """The account of a name and password; so many attempts, however the name is written."""
        key = accounts.plain_name(name).lower()
        guard.logins.check(key)
        account = guard.work(lambda conn: accounts.verified(conn, name, password))
        guard.logins.forget(key)
        return account

    @routes.post("/volunteers/logout")
    async def logout(request: Request) -> Response:
        def work(form: Sent) -> Response:
            return guard.log_out(request, "/volunteers")

        return await sent(request, work)

    @routes.get("/volunteers/account")
    def account(request: Request) -> Response:
        return guard.show(request, "account.html", guard.required(request))

    @routes.get("/volunteers/account/export")
    def export(request: Request) -> Response:
        person = guard.required(request)
        mine = guard.work(lambda conn: accounts.everything(conn, person))
        headers = {"Content-Disposition": 'attachment; filename="xcat-account.json"', "Cache-Control": "no-store"}
        return JSONResponse(plain(mine), headers=headers)

    @routes.post("/volunteers/account/password")
    async def password(request: Request) -> Response:
        def work(form: Sent) -> Response:
            person = guard.required(request)
            _verified(person.name, form.raw("old"))
            new = form.raw("password")
            guard.work(lambda conn: accounts.change_password(conn, person, new))
            return guard.log_in(request, person.account_id, "/volunteers/account")

        return await sent(request, work)

    @routes.post("/volunteers/account/delete")
    async def delete(request: Request) -> Response:
        def work(form: Sent) -> Response:
            person = guard.required(request)
            _verified(person.name, form.raw("password"))
            guard.work(lambda conn: accounts.delete(conn, person.name))
            return guard.log_out(request, "/volunteers")

        return await sent(request, work)

    # --- votes --------------------------------------------------------------------------------------------------

    @routes.get("/volunteers/vote")
    def vote_form(request: Request) -> Response:
        person = guard.required(request)

        def asked(conn: Any) -> dict[str, Any]:
            progress = voting.progress(conn, person)
            following = voting.next_of(conn, person, progress)
            if following is None:
                return {"progress": progress, "source_id": None, "source": None, "is_tutorial": False, "question": ""}
            source_id, how = following
            # gold looks like unknown: how it is asked is in the checksum only
            question = guard.signed("vote", person.volunteer_id, source_id, how)
            told = {
                "source_id": source_id,
                "is_tutorial": how == "tutorial",
                "progress": progress,
                "question": question,
            }
            return told | {"source": voting.shown(conn, source_id)}

        values = guard.work(asked)
        hints = voting.HINTS if values["is_tutorial"] else {}
        measured, drawn = charts.of_source(state, values["source_id"]) if values["source"] else ({}, {})
        values |= {"answers": WORDS, "hints": hints, **measured}
        return guard.show(request, "vote.html", person, only_html=drawn, **values)

    @routes.post("/volunteers/vote")
    async def vote(request: Request) -> Response:
        def work(form: Sent) -> Response:
            person = guard.required(request)
            guard.votes.check(str(person.account_id))
            source_id, answer, question = _number(form, "source_id"), form.text("answer"), form.text("question")
            body = _remark(form)
            asked_as = [
                how for how in voting.ASKED_AS if guard.is_signed(question, "vote", person.volunteer_id, source_id, how)
            ]
            if not asked_as:
                raise InputError("this is not the source that you were asked about: open /volunteers/vote again")

            def keep(conn: Any) -> None:
                if voting.keep(conn, person, source_id, answer, asked_as[0]) and body:
                    values = {"account_id": person.account_id, "source_id": source_id, "body": body}
                    conn.execute(job("volunteers.add_remark").compose(), values)

            guard.work(keep)
            return RedirectResponse(f"/volunteers/voted/{source_id}", 303)

        return await sent(request, work)

    @routes.get("/volunteers/voted/{source_id}")
    def voted(request: Request, source_id: str) -> Response:
        person = guard.required(request)
        number = _whole(source_id, "source_id")
        with state.reading() as reading:
            values = guard.work(
                lambda conn: (
                    voting.feedback(conn, reading, person, number) | {"progress": voting.progress(conn, person)}
                )
            )
        return guard.show(request, "voted.html", person, answers=WORDS, **values)

    @routes.post("/volunteers/voted/{source_id}")
    async def remark(request: Request, source_id: str) -> Response:
        def work(form: Sent) -> Response:
            person, number, body = guard.required(request), _whole(source_id, "source_id"), _remark(form)
            if not body:
                raise InputError("the remark is empty")
            guard.votes.check(str(person.account_id))

            def keep(conn: Any) -> None:
                values = {"volunteer_id": person.volunteer_id, "source_id": number}
                if conn.execute(job("volunteers.vote_of").compose(), values).fetchone() is None:
                    raise InputError("vote on this source first")
                said = {"account_id": person.account_id, "source_id": number, "body": body}
                conn.execute(job("volunteers.add_remark").compose(), said)

            guard.work(keep)
            return RedirectResponse(f"/volunteers/voted/{number}", 303)

        return await sent(request, work)

    routes.include_router(watch_routes.router(state, guard, sent))
    return routes


def _remark(form: Sent) -> str:
    body = form.text("remark").replace("\x00", "")
    if len(body) > _MOST_REMARK:
        raise InputError(f"a remark has at most {_MOST_REMARK} characters")
    return body


def _number(form: Sent, name: str) -> int:
    return _whole(form.text(name), name)


def _whole(text: str, name: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise InputError(f"{name}: {text[:30]!r} is not a number of a source or list")
    return int(text)
