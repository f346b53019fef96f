"""Accounts: names, passwords and sessions, by the rules of OWASP ASVS 4.0, level 1 (numbers in the comments)."""

from __future__ import annotations

import hashlib
import re
import secrets
import threading
import time
import unicodedata
from collections import defaultdict, deque
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import argon2
from zxcvbn import zxcvbn

from xcat.database.connection import Connection
from xcat.database.sqlfiles import dicts, job
from xcat.errors import InputError
from xcat.service.tap.errors import HttpError

LASTS = timedelta(days=14)
_LEAST, _MOST = 12, 128  # 2.1.1, 2.1.2
_NAME = re.compile(r"[^\W_][\w .'-]{1,38}[\w.]")
_MAIL = re.compile(r"[^@\s<>\"]{1,64}@[^@\s<>\"]{1,190}")
_HASHER = argon2.PasswordHasher()  # argon2id, RFC 9106 (2.4.1)
#: So that an unknown name takes as long as a wrong password.
_NOBODY = _HASHER.hash(secrets.token_urlsafe())
#: Guesses that a password must withstand (2.1.7), as zxcvbn counts them (Wheeler 2016, USENIX Security 25, 157): lists
#: of breaches, words, names, dates, keyboard walks, repetitions; and how many signs it judges, as it is slow for more.
_LEAST_GUESSES, _JUDGED = 1e8, 72
_JUDGING = threading.Lock()  # zxcvbn keeps the words of who asks in one table for all


@dataclass(frozen=True)
class Person:
    """Who is logged in."""

    account_id: int
    volunteer_id: int
    name: str
    mail: str | None


class Limiter:
    """Counts attempts, and refuses more of one key than so many in a time (2.2.1).

    Parameters
    ----------
    most : int
    within_s : float
    """

    def __init__(self, most: int, within_s: float) -> None:
        self._most, self._within = most, within_s
        self._times: dict[str, deque[float]] = defaultdict(deque)
        self._lock = threading.Lock()

    def check(self, key: str) -> None:
        """Refuse another attempt, or count it.

        Raises
        ------
        HttpError
            429.
        """
        key, now = sha256(key), time.monotonic()  # a key may be a megabyte long
        with self._lock:
            if len(self._times) > 10_000:  # forget who has not come for long
                self._times = defaultdict(
                    deque, {k: t for k, t in self._times.items() if t and now - t[-1] < self._within}
                )
            times = self._times[key]
            while times and now - times[0] > self._within:
                times.popleft()
            if len(times) >= self._most:
                raise HttpError(429, f"too many attempts: try again in {self._within / 60:.0f} minutes")
            times.append(now)

    def forget(self, key: str) -> None:
        """Somebody was right: their attempts count no more."""
        with self._lock:
            self._times.pop(sha256(key), None)


def plain_name(name: str) -> str:
    """A name in the one way in which it is kept: signs that look alike are one, and so are any blanks."""
    return " ".join(unicodedata.normalize("NFKC", name).split())


def checked_name(name: str) -> str:
    """A name that can be shown.

    Raises
    ------
    InputError
        It cannot.
    """
    name = plain_name(name)
    if not _NAME.fullmatch(name):
        raise InputError(
            "the name must have 3 to 40 letters, digits, blanks or . _ ' - and begin with a letter or digit"
        )
    return name


def checked_mail(mail: str) -> str | None:
    """An address of mail, or none."""
    mail = mail.strip()
    if mail and not _MAIL.fullmatch(mail):
        raise InputError("the mail address must look like name@host; it can also be left empty")
    return mail or None


def checked_password(password: str, name: str) -> str:
    """A password that is long enough and not among the first that are guessed; any characters will do (2.1.9).

    Raises
    ------
    InputError
        Says why not.
    """
    if not _LEAST <= len(password) <= _MOST:
        raise InputError(f"the password must have {_LEAST} to {_MOST} characters; a few words together are good")
    with _JUDGING:
        judged = zxcvbn(password[:_JUDGED], [name, name.replace(" ", ""), *name.split(), "xcat"])
    if judged["guesses"] < _LEAST_GUESSES:
        why = judged["feedback"]["warning"]
        raise InputError(
            f"this password is among the first that are guessed{f' ({why})' if why else ''}: choose another, "
            "as four words that do not belong together"
        )
    return password


def register(conn: Connection, name: str, mail: str, password: str) -> int:
    """Make an account; its number.

    Raises
    ------
    InputError
        The name is taken, or something cannot be used.
    """
    name, kept = checked_name(name), checked_mail(mail)
    values = {"name": name, "mail": kept, "password_hash": _HASHER.hash(checked_password(password, name))}
    row = conn.execute(job("volunteers.register").compose(), values).fetchone()
    if row is None:
        raise InputError("this name is taken: choose another")
    return int(row[0])


def verified(conn: Connection, name: str, password: str) -> dict[str, Any]:
    """The account of a name and password.

    Raises
    ------
    HttpError
        403: the name or the password is wrong, it is not said which.
    """
    rows = dicts(conn.execute(job("volunteers.account").compose(), {"name": plain_name(name)}))
    kept = rows[0]["password_hash"] if rows else _NOBODY
    try:
        _HASHER.verify(kept, password[: _MOST + 1])
    except argon2.exceptions.VerificationError:
        rows = []
    if not rows:
        raise HttpError(403, "name or password is wrong")
    if _HASHER.check_needs_rehash(kept):
        set_password(conn, rows[0]["account_id"], _HASHER.hash(password))
    return rows[0]


def set_password(conn: Connection, account_id: int, password_hash: str) -> None:
    """Keep another password."""
    values = {"account_id": account_id, "password_hash": password_hash}
    conn.execute(job("volunteers.set_password").compose(), values)


def change_password(conn: Connection, person: Person, new: str) -> None:
    """Change the password of who has given the old one (2.1.6), and end all sessions (3.3.3)."""
    set_password(conn, person.account_id, _HASHER.hash(checked_password(new, person.name)))
    conn.execute(job("volunteers.end_sessions").compose(), {"account_id": person.account_id})


def end(conn: Connection, token: str) -> None:
    """End the session of a token, if there is one."""
    conn.execute(job("volunteers.end_session").compose(), {"token_sha256": sha256(token)})


def sha256(text: str) -> str:
    """Checksum of a token: what the database keeps of it."""
    return hashlib.sha256(text.encode()).hexdigest()


def begin(conn: Connection, account_id: int) -> str:
    """Begin a session, and give its token: 256 bits (3.2.2)."""
    token = secrets.token_urlsafe(32)
    values = {"token_sha256": sha256(token), "account_id": account_id, "lasts": LASTS}
    conn.execute(job("volunteers.begin_session").compose(), values)
    return token


def person_of(conn: Connection, token: str) -> Person | None:
    """Whose session this is."""
    rows = dicts(conn.execute(job("volunteers.session").compose(), {"token_sha256": sha256(token)}))
    return Person(**rows[0]) if rows else None


def everything(conn: Connection, person: Person) -> dict[str, Any]:
    """All that is kept of a person, for themselves."""
    values = {"account_id": person.account_id, "volunteer_id": person.volunteer_id, "name": person.name}
    account = dicts(conn.execute(job("volunteers.account").compose(), values))
    if not account:
        raise HttpError(401, "this account has just been deleted")
    account[0].pop("password_hash")
    watched = dicts(conn.execute(job("volunteers.watchlists").compose(), values))
    for each in watched:
        asked = {"watchlist_id": each["watchlist_id"], "most": None}
        each["notices"] = dicts(conn.execute(job("volunteers.notices").compose(), asked))
    return {
        "account": account[0],
        "sessions": dicts(conn.execute(job("volunteers.sessions").compose(), values)),
        "votes": dicts(conn.execute(job("volunteers.record").compose(), values)),
        "remarks": dicts(conn.execute(job("volunteers.own_remarks").compose(), values)),
        "watchlists": watched,
    }


def delete(conn: Connection, name: str) -> bool:
    """Delete an account with all that goes with it; whether there was one. Votes stay, under a number."""
    values = {"name": plain_name(name)}
    return conn.execute(job("volunteers.delete_account").compose(), values).fetchone() is not None
