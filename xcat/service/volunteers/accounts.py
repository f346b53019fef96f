"""Accounts: names, passwords and sessions, by the rules of OWASP ASVS 4.0, level 1 (numbers in the comments)."""

from __future__ import annotations

import hashlib
import re
import secrets
import threading
import time
from collections import defaultdict, deque
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import argon2

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
# the passwords of breaches that are long enough to pass otherwise (2.1.7)
_COMMON = frozenset(
    [
        "123456789012",
        "1234567890123",
        "12345678901234",
        "123456789123",
        "1q2w3e4r5t6y",
        "qwertyuiop123",
        "qwertyuiop12",
        "qwerty123456",
        "password1234",
        "password12345",
        "passwordpassword",
        "1qaz2wsx3edc",
        "administrator",
        "iloveyou1234",
        "letmein12345",
        "welcome12345",
        "abcdefghijkl",
        "abcd12345678",
        "changeme1234",
        "unbelievable",
        "motherfucker",
        "football1234",
        "baseball1234",
        "princess1234",
        "monkey123456",
        "dragon123456",
        "sunshine1234",
        "master123456",
        "superman1234",
        "trustno1trustno1",
        "q1w2e3r4t5y6",
        "1234qwerasdf",
    ]
)


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
        now = time.monotonic()
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
            self._times.pop(key, None)


def checked_name(name: str) -> str:
    """A name that can be shown.

    Raises
    ------
    InputError
        It cannot.
    """
    name = " ".join(name.split())
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
    """A password that is long enough and not one of those that everybody tries; any characters will do (2.1.9).

    Raises
    ------
    InputError
        Says why not.
    """
    if not _LEAST <= len(password) <= _MOST:
        raise InputError(f"the password must have {_LEAST} to {_MOST} characters; a few words together are good")
    plain = password.lower()
    if plain in _COMMON or len(set(plain)) < 5 or plain.strip("0123456789!. ") in (name.lower(), "xcat", ""):
        raise InputError("this password is among the first that are tried: choose another, as a few words together")
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
    rows = dicts(conn.execute(job("volunteers.account").compose(), {"name": " ".join(name.split())}))
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


def change_password(conn: Connection, person: Person, old: str, new: str) -> None:
    """Change the password of who knows the old one (2.1.6), and end all sessions (3.3.3)."""
    verified(conn, person.name, old)
    set_password(conn, person.account_id, _HASHER.hash(checked_password(new, person.name)))
    conn.execute(job("volunteers.end_sessions").compose(), {"account_id": person.account_id})


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
    account = dicts(conn.execute(job("volunteers.account").compose(), values))[0]
    account.pop("password_hash")
    return {
        "account": account,
        "votes": dicts(conn.execute(job("volunteers.record").compose(), values)),
        "remarks": dicts(conn.execute(job("volunteers.own_remarks").compose(), values)),
        "watchlists": dicts(conn.execute(job("volunteers.watchlists").compose(), values)),
    }


def delete(conn: Connection, name: str) -> bool:
    """Delete an account with all that goes with it; whether there was one. Votes stay, under a number."""
    return conn.execute(job("volunteers.delete_account").compose(), {"name": name}).fetchone() is not None
