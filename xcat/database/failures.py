"""What the failures of a server mean, in one line, with what to do: as far as its words tell."""

from __future__ import annotations

import psycopg

from xcat.config import Settings
from xcat.database.address import OPERATOR, OWNER, conninfo, database_url, masked
from xcat.errors import DatabaseError, UnreachableError, XcatError


class MissingRole(DatabaseError):
    """The server runs, but the database or the login is not there."""


# what PostgreSQL and libpq say -> what to do
_BUSY = ("starting up", "not yet accepting", "shutting down", "recovery mode", "not accepting connections")
_FULL = ("No space left on device", "could not extend file", "disk full")


def unreachable(words: str, config: Settings) -> DatabaseError:
    """Say why no connection was made, and what helps."""
    is_embedded = config.database_url is None
    kind: type[DatabaseError] = UnreachableError
    if any(phrase in words for phrase in _FULL):
        hint = "The disk of the server is full: free some space, then repeat the command."
    elif any(phrase in words for phrase in _BUSY):
        hint = "The server runs and will let you in as soon as it is ready: wait a moment, then repeat the command."
    elif "too many clients" in words or "remaining connection slots" in words or "too many connections" in words:
        hint = "All connections of the server are taken: end some, or raise max_connections."
    elif "database" in words and "does not exist" in words:
        kind = MissingRole
        hint = "xcat db start makes it." if is_embedded else f"Create it: {_create_command(config)}"
    elif "role" in words and "does not exist" in words:
        kind = MissingRole
        hint = "xcat db start makes it." if is_embedded else "Check the user in XCAT_DATABASE_URL."
    elif is_embedded:
        hint = "Start it: xcat db start"
    else:
        hint = "Check XCAT_DATABASE_URL."
    return kind(f"cannot reach the database: {masked(words.rstrip('.'), config.database_url)}. {hint}")


def _create_command(config: Settings) -> str:
    parts = psycopg.conninfo.conninfo_to_dict(conninfo(database_url(config)))
    places = [f"-{letter} {parts[name]}" for letter, name in (("h", "host"), ("p", "port")) if parts.get(name)]
    name, user = str(parts.get("dbname", "xcat")), str(parts.get("user", "xcat"))
    return f"{' '.join(['createdb', *places, '-O', user, name])} (as a user who may), then: xcat db migrate"


def explained(error: psycopg.Error) -> XcatError | None:
    """What an error of a statement of xcat means for the user, where it is not a fault of xcat; else None."""
    words = masked(str(error).strip()).partition("\n")[0]
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return DatabaseError(
            f"{words}. Who may only read the schema pub has xcat candidates and xcat sql. All else needs a role that "
            f"runs jobs, which a member of {OWNER} or a superuser gives: GRANT {OPERATOR} TO your user"
        )
    if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
        return DatabaseError(f"{words}. This role, or this server, only reads; use one that runs jobs ({OPERATOR})")
    if isinstance(error, psycopg.errors.DiskFull):
        return UnreachableError(f"{words}. The disk of the server is full: free some space, then repeat the command.")
    if isinstance(error, psycopg.errors.QueryCanceled):
        return DatabaseError(f"{words}. Raise XCAT_STATEMENT_TIMEOUT_S if the machine is slow.")
    if isinstance(error, psycopg.OperationalError):
        return UnreachableError(f"the database ended the work: {words}. The same command can be repeated.")
    return None
