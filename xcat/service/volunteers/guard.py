"""Who asks, and whether a form is one of ours: cookies, and the token that every form carries."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

import psycopg
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from xcat.database.connection import Connection, open_volunteers
from xcat.service.pages.page import page
from xcat.service.pages.state import State
from xcat.service.tap.errors import HttpError
from xcat.service.tap.pool import Pool
from xcat.service.tap.streaming import client_of
from xcat.service.volunteers import accounts
from xcat.service.volunteers.accounts import Limiter, Person

_SESSION, _FORM = "xcat_session", "xcat_form"
_Value = TypeVar("_Value")


class Guard:
    """Connections of the role that keeps votes, limits, and the checks of every request.

    Parameters
    ----------
    state : State
    """

    def __init__(self, state: State) -> None:
        self.state = state
        self.pool = Pool(lambda: open_volunteers(state.settings))
        self._key = secrets.token_bytes(32)  # forms do not outlive the process
        self.logins = Limiter(10, 900.0)
        self.logins_of_client = Limiter(50, 900.0)
        self.registrations = Limiter(20, 3600.0)
        self.votes = Limiter(120, 60.0)

    def close(self) -> None:
        """Close the connections."""
        self.pool.close()

    def work(self, do: Callable[[Connection], _Value]) -> _Value:
        """Do something in one transaction.

        Raises
        ------
        HttpError
            401: the account was deleted meanwhile.
        """
        try:
            with self.pool.connection(20.0) as conn, conn.transaction():
                return do(conn)
        except psycopg.errors.ForeignKeyViolation:
            raise HttpError(401, "this account has just been deleted: nothing was kept") from None

    def person(self, request: Request) -> Person | None:
        """Who is logged in."""
        token = request.cookies.get(_SESSION)
        return self.work(lambda conn: accounts.person_of(conn, token)) if token else None

    def required(self, request: Request) -> Person:
        """Who is logged in.

        Raises
        ------
        HttpError
            401: nobody is.
        """
        person = self.person(request)
        if person is None:
            raise HttpError(
                401, "this is for volunteers: log in at /volunteers/login, or register, which takes a minute"
            )
        return person

    def show(
        self, request: Request, template: str, person: Person | None, status: int = 200, **values: Any
    ) -> Response:
        """A page with the token of its forms; JSON has it, too, for programs that vote."""
        nonce = request.cookies.get(_FORM) or secrets.token_urlsafe(24)
        shown = {"name": person.name} if person else None
        answer = page(
            request, template, status_code=status, person=shown, form_token=self._token(request, nonce), **values
        )
        if _FORM not in request.cookies:
            self._set(request, answer, _FORM, nonce, None)
        answer.headers["Cache-Control"] = "no-store"  # 8.2.1
        return answer

    def check(self, request: Request, sent: Any) -> None:
        """Refuse a form that was not ours (4.2.2).

        Raises
        ------
        HttpError
            403.
        """
        origin = request.headers.get("origin")
        foreign = origin is not None and urlsplit(origin).netloc != request.headers.get("host", "")
        foreign |= request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")
        nonce, token = request.cookies.get(_FORM, ""), sent.text("form_token")
        if foreign or not nonce or not hmac.compare_digest(self._token(request, nonce).encode(), token.encode()):
            raise HttpError(403, "this form has expired or came from elsewhere: open the page again and repeat it")

    def _token(self, request: Request, nonce: str) -> str:
        return self.signed("form", nonce, request.cookies.get(_SESSION, ""))

    def signed(self, *parts: object) -> str:
        """A checksum that only this process can make: what comes back with it was given out by us."""
        return hmac.new(self._key, repr(parts).encode(), hashlib.sha256).hexdigest()

    def is_signed(self, signature: str, *parts: object) -> bool:
        """Whether we gave this checksum."""
        return hmac.compare_digest(self.signed(*parts).encode(), signature.encode())

    def log_in(self, request: Request, account_id: int, to: str) -> Response:
        """End the session of this browser, begin a new one (3.2.1), and go on."""
        held = request.cookies.get(_SESSION, "")

        def begin(conn: Connection) -> str:
            accounts.end(conn, held)
            return accounts.begin(conn, account_id)

        token = self.work(begin)
        answer = RedirectResponse(to, 303)
        self._set(request, answer, _SESSION, token, int(accounts.LASTS.total_seconds()))
        return answer

    def log_out(self, request: Request, to: str) -> Response:
        """End the session, and go on."""
        held = request.cookies.get(_SESSION, "")
        self.work(lambda conn: accounts.end(conn, held))
        answer = RedirectResponse(to, 303)
        answer.delete_cookie(_SESSION, path="/", httponly=True, samesite="lax", secure=_is_https(request))
        return answer

    @staticmethod
    def client(request: Request) -> str:
        """Address of who asks."""
        return client_of(request)

    @staticmethod
    def _set(request: Request, answer: Response, name: str, value: str, seconds: int | None) -> None:
        secure = _is_https(request)
        answer.set_cookie(name, value, seconds, path="/", httponly=True, samesite="lax", secure=secure)


def _is_https(request: Request) -> bool:
    return request.url.scheme == "https" or request.headers.get("x-forwarded-proto") == "https"
