"""Where the database is: its address, as which role it is opened, and the one place that hides what is secret in it."""

from __future__ import annotations

import os
import re
from urllib.parse import quote, unquote

import psycopg

from xcat.config import Settings
from xcat.database.embedded import EmbeddedServer
from xcat.errors import DatabaseError

#: Roles of sql/roles.sql: who only reads, who runs the jobs, who migrates.
READER, OPERATOR, OWNER, VOLUNTEERS = "xcat_reader", "xcat_operator", "xcat_owner", "xcat_volunteers"
HIDDEN = "***"
_SECRETS = ("password", "sslpassword")
# a number before a slash is a port: host:5432/database?user=a@b has no password
_IN_URL = re.compile(r"(?P<start>\b[a-z][a-z0-9+.-]*:?//[^\s:/@'\"]*):(?!\d+[/?])[^\s'\"]*@", re.I)
_OF_A_HOST = re.compile(r"\d+(/[^@]*)?\?\w+=.*")
_IN_WORDS = re.compile(rf"(?P<name>\b(?:{'|'.join(_SECRETS)})\s*=\s*)(?:'(?:[^'\\]|\\.)*'|[^\s&'\"]+)", re.I)
_LONG_ENOUGH = 3  # a part of a password that is shorter would hide half of every message


def database_url(config: Settings, role: str = OPERATOR) -> str:
    """SQLAlchemy URL of the database in use; that of the embedded one is opened as `role`.

    libpq's own variables are about other servers than the embedded one.
    """
    if config.database_url:
        return config.database_url
    # for good, not for a moment: PGSERVICE and others act even where the address says everything
    for name in [name for name in os.environ if name.startswith("PG")]:
        os.environ.pop(name, None)
    return EmbeddedServer(config.home).url(role)


def conninfo(url: str, user: str | None = None) -> str:
    """The same address as libpq writes it; SQLAlchemy's name of a driver (``+psycopg``) is left out.

    Parameters
    ----------
    user : str, optional
        Another user, whose password libpq finds by itself or not at all (``~/.pgpass``).
    """
    scheme, separator, rest = url.partition("://")
    backend = scheme.partition("+")[0]
    try:
        if separator and re.fullmatch(r"\w+", backend) and backend not in ("postgresql", "postgres"):
            raise DatabaseError(f"XCAT_DATABASE_URL names {backend}; xcat needs PostgreSQL.")
        if not separator:
            raise ValueError
        parts = psycopg.conninfo.conninfo_to_dict(f"postgresql://{rest}")
        if not str(parts.get("port") or 0).replace(",", "").isdecimal():
            raise ValueError
        if user is not None:
            parts = {name: value for name, value in parts.items() if name not in _SECRETS} | {"user": user}
        return psycopg.conninfo.make_conninfo("", **parts)
    except (psycopg.ProgrammingError, ValueError) as error:
        why = f" ({str(error).strip()})" if isinstance(error, psycopg.ProgrammingError) else ""
        raise DatabaseError(
            masked(
                f"XCAT_DATABASE_URL is not a database URL: {url!r}{why}. "
                "It looks like postgresql+psycopg://user:password@host:5432/database",
                url,
            )
        ) from None


def open_parts(info: str) -> tuple[str, dict[str, str]]:
    """Split an address of libpq for another program: what may stand in the list of processes, and variables for it."""
    parts = psycopg.conninfo.conninfo_to_dict(info)
    secret = parts.get("password")
    shown = psycopg.conninfo.make_conninfo("", **{k: v for k, v in parts.items() if k not in _SECRETS})
    return shown, {"PGPASSWORD": str(secret)} if secret is not None else {}


def shown_url(url: str) -> str:
    """URL as psql and pandas read it, without SQLAlchemy's name of a driver, passwords hidden."""
    scheme, _, rest = url.partition("://")
    return masked(f"{scheme.partition('+')[0]}://{rest}")


def masked(text: str, url: str | None = None) -> str:
    """A text without passwords: those in addresses of any kind, and all that may be one in `url`.

    Every text that leaves the program or is stored goes through here: errors, the records of runs, addresses shown.

    Parameters
    ----------
    url : str, optional
        The address in use. If its password has characters that must be escaped in an address and are not, libpq takes
        pieces of it for host and port; these are hidden, too.
    """
    for secret in sorted(_secrets(url or ""), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    text = _IN_URL.sub(lambda m: f"{m['start']}:{HIDDEN}@", text)
    return _IN_WORDS.sub(lambda m: f"{m['name']}{HIDDEN}", text)


def _secrets(url: str) -> set[str]:
    """What is, or may be, the password of an address, and its pieces; one that is the user's name hides nothing."""
    credentials, at, _ = re.sub(r"^[^:]*:/*", "", url).rpartition("@")
    user, _, whole = credentials.partition(":") if at else ("", "", "")
    whole = "" if _OF_A_HOST.fullmatch(whole) else whole
    given = [whole, *(m[2] for m in re.finditer(rf"[?&]({'|'.join(_SECRETS)})=([^&]*)", url))]
    words = {form for word in given for form in (word, unquote(word), quote(unquote(word), safe=""))}
    pieces = {piece for word in words for piece in re.split(r"[@:/?#\[\]]", word) if len(piece) >= _LONG_ENOUGH}
    return {word for word in words | pieces if word and word != user}
