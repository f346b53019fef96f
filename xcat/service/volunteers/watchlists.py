"""Watchlists: queries whose sources are compared from one published run to the next."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

import psycopg

from xcat import adql
from xcat.config import Settings
from xcat.database.connection import Connection, open_reader, open_volunteers
from xcat.database.sqlfiles import dicts, job
from xcat.errors import InputError, XcatError
from xcat.output.reading import Row
from xcat.service import hooks
from xcat.service.pages.place import position
from xcat.service.tap.errors import HttpError
from xcat.service.tap.tables import Tables
from xcat.service.volunteers.accounts import Person

MOST_SOURCES, MOST_PLACES, MOST_LISTS, MOST_NOTICES = 10_000, 50, 50, 500  # a query reads at most 64 tables
_TIMEOUT_S = 20
_MOST_HOOK = 2000
_WHOLE = (20, 21, 23)  # numbers of the types bigint, smallint and integer in PostgreSQL


def query_of_places(text: str, radius_arcsec: float) -> str:
    """ADQL for the sources around positions, one a line.

    Raises
    ------
    InputError
        A line is not a position, or there are too many.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not 0.1 <= radius_arcsec <= 3600:
        raise InputError(f"radius={radius_arcsec:g}: must be from 0.1 to 3600 arcsec")
    if not lines or len(lines) > MOST_PLACES:
        raise InputError(
            f"give 1 to {MOST_PLACES} positions, one a line; longer lists can be several, or a query, as in "
            "SELECT source_id FROM pub.classified WHERE source_id IN (...)"
        )
    circles = []
    for number, line in enumerate(lines, 1):
        place = position(line.replace(",", " "))
        if place is None:
            raise InputError(f"line {number}: {line[:60]!r} is not a position. Write two angles, as in 266.41 -29.01")
        circles.append(
            f"1 = CONTAINS(POINT(ra, dec), CIRCLE({place[0]:.7f}, {place[1]:.7f}, {radius_arcsec / 3600:.8f}))"
        )
    # one SELECT for each: an OR of cones would not use the index
    return " UNION ALL ".join(f"SELECT source_id FROM pub.classified WHERE {circle}" for circle in circles)


def sources(conn: Connection, tables: Tables, query: str) -> list[int]:
    """Sources of a query.

    Parameters
    ----------
    conn : Connection
        In the reader's role.

    Raises
    ------
    InputError
        It has no whole numbers source_id, too many rows, takes too long, or fails.
    """
    try:
        with conn.transaction():
            conn.execute("SET TRANSACTION READ ONLY")
            conn.execute(job("tap.limit").compose(), {"milliseconds": str(_TIMEOUT_S * 1000)})
            translated = adql.translate(query, tables.read(conn).adql, maxrec=MOST_SOURCES + 1)
            cursor = conn.execute(translated.sql.encode())
            columns = [(c.name, c.type_code in _WHOLE) for c in cursor.description or ()]
            if ("source_id", True) not in columns:
                raise InputError(
                    "the query must give a column source_id, as in SELECT source_id FROM pub.classified WHERE ..."
                )
            place = columns.index(("source_id", True))
            found = sorted({row[place] for row in cursor.fetchall() if row[place] is not None})
    except psycopg.errors.QueryCanceled:
        raise InputError(f"the query takes longer than {_TIMEOUT_S} s: make it narrower") from None
    except psycopg.DataError as error:
        raise InputError(f"the query fails: {str(error).partition(chr(10))[0]}") from None
    if len(found) > MOST_SOURCES:
        raise InputError(f"the query gives more than {MOST_SOURCES:,} sources: make it narrower")
    return found


def checked_hook(hook: str, allowed: tuple[str, ...]) -> str | None:
    """An address that the operator lets us call.

    Raises
    ------
    InputError
        It is none, or its host is not allowed.
    """
    hook = hook.strip()
    if not hook:
        return None
    if len(hook) > _MOST_HOOK:
        raise InputError(f"the address of a webhook has at most {_MOST_HOOK:,} characters")
    try:
        parts = urlsplit(hook)
        named = (parts.hostname or "").lower() + ("" if parts.port is None else f":{parts.port}")
        is_web = parts.scheme in ("http", "https") and parts.username is None
    except ValueError:  # no address at all
        named, is_web = "", False
    if not is_web or named not in allowed:
        told = ", ".join(allowed) if allowed else "none is"
        raise InputError(f"webhooks go only to hosts that the operator allows ({told}); the feed needs none")
    return hook


def keep(
    conn: Connection,
    reading: Connection,
    tables: Tables,
    person: Person,
    title: str,
    query: str,
    hook: str | None,
    watchlist_id: int | None = None,
) -> int:
    """Keep a new watchlist, or change one, which is compared from now on; its number.

    Raises
    ------
    XcatError
        The query cannot be used, there are too many lists, or nothing is published.
    HttpError
        404: this person has no such list.
    """
    title = " ".join(title.split())
    if not 1 <= len(title) <= 100:
        raise InputError("the title must have 1 to 100 characters")
    if len(query) > 100_000:
        raise InputError("the query is longer than 100,000 characters")
    account: dict[str, Any] = {"account_id": person.account_id}
    if watchlist_id is None:
        if len(dicts(conn.execute(job("volunteers.watchlists").compose(), account))) >= MOST_LISTS:
            raise InputError(f"you have {MOST_LISTS} watchlists already: delete one")
        account["feed_key"] = secrets.token_urlsafe(24)
    values = account | {"title": title, "adql": query, "hook": hook, "watchlist_id": watchlist_id}
    values |= {"source_ids": sources(reading, tables, query), "run_id": published_run(reading)}
    statement = "add_watchlist" if watchlist_id is None else "change_watchlist"
    row = conn.execute(job(f"volunteers.{statement}").compose(), values).fetchone()
    if row is None:
        raise HttpError(404, "you have no such watchlist")
    return int(row[0])


def published_run(reading: Connection) -> int:
    """The run that is published.

    Raises
    ------
    XcatError
        None is.
    """
    row = reading.execute("SELECT pub.published_run()").fetchone()
    if row is None or row[0] is None:
        raise XcatError("nothing is published yet")
    return int(row[0])


def tell(settings: Settings, say: Callable[[str], None]) -> int:
    """Compare every watchlist with what is published now, keep notices, and call webhooks; the number of notices.

    A list whose query fails is said and tried again next time. A webhook is called once; what it answers never ends
    anything, and a host that fails is not called again before the next publication.
    """
    n_notices, tables, failed = 0, Tables(), set[str]()
    with open_reader(settings) as reading, open_volunteers(settings) as conn:
        reading.autocommit = conn.autocommit = True
        run_id = published_run(reading)
        for watched in dicts(conn.execute(job("volunteers.all_watchlists").compose(), {"run_id": run_id})):
            name = f"watchlist {watched['watchlist_id']}"
            try:
                notices = _compared(reading, conn, tables, watched, run_id)
            except (XcatError, psycopg.DatabaseError) as error:
                if conn.closed or reading.closed:
                    raise
                say(f"{name}: {error}")
                continue
            if notices is None:
                say(f"{name}: run {watched['watched_run_id']}, which it knows, is dropped; it is compared from now on")
                continue
            n_notices += len(notices)
            host = urlsplit(watched["hook"] or "").netloc
            if notices and host and host not in failed:
                event = {"event": "watchlist", "title": watched["title"], "run": run_id, "changes": notices}
                problem = _call(watched["hook"], settings.webhook_hosts, event)
                if problem:
                    failed.add(host)
                    say(f"{name}: {problem}")
    return n_notices


def _compared(
    reading: Connection, conn: Connection, tables: Tables, watched: dict[str, Any], run_id: int
) -> list[Row] | None:
    """The notices of a watchlist, which are kept; None if there is nothing left to compare with."""
    before = watched["watched_run_id"]
    now = sources(reading, tables, watched["adql"])
    # also those that the query gave before: who has left it has changed
    either = sorted({*watched["source_ids"], *now})
    row = reading.execute(job("volunteers.can_be_compared").compose(), {"run_id": before}).fetchone()
    notices = changes(reading, either, before, run_id) if row and row[0] else None
    values = {"watchlist_id": watched["watchlist_id"], "run_id": run_id, "before": before, "source_ids": now}
    with conn.transaction():
        if conn.execute(job("volunteers.watched").compose(), values).fetchone() is None:
            return []  # another process was first, or the list is deleted
        for notice in notices or ():
            conn.execute(job("volunteers.add_notice").compose(), values | notice)
    return notices


def _call(hook: str, allowed: tuple[str, ...], event: dict[str, Any]) -> str | None:
    """Call a webhook; what went wrong."""
    try:
        checked_hook(hook, allowed)  # the operator may have taken the host back
    except InputError as error:
        return str(error)
    return hooks.tell(hook, event)


def changes(reading: Connection, source_ids: list[int], before: int, run_id: int) -> list[Row]:
    """What two published runs say differently of some sources, as rows of notices."""
    values = {"source_ids": source_ids, "before": before, "run_id": run_id}
    out: list[Row] = []
    for row in dicts(reading.execute(job("volunteers.compared").compose(), values)):
        found: list[tuple[str, Any, Any]] = []
        if row["is_new"]:
            found.append(("new", None, row["class"]))
        elif row["is_gone"]:
            found.append(("gone", row["old_class"], None))
        else:
            if row["old_class"] != row["class"]:
                found.append(("class", row["old_class"], row["class"]))
            if row["old_counterpart"] != row["counterpart"]:
                found.append(("counterpart", row["old_counterpart"], row["counterpart"]))
            if row["flux_changed"]:
                found.append(("flux", f"{row['old_flux']:.3g}", f"{row['flux']:.3g}"))
        for changed, old, new in found:
            named = {"source_id": row["source_id"], "name": row["name"], "changed": changed}
            out.append(named | {"old_value": old, "new_value": new})
    return out


def sentence(notice: Row) -> str:
    """A notice in words."""
    name, old, new = notice["name"], notice["old_value"], notice["new_value"]
    return {
        "class": f"{name} was {old} and is {new} now",
        "counterpart": f"the counterpart of {name} was {old} and is {new} now",
        "flux": f"the flux of {name} was {old} and is {new} erg s⁻¹ cm⁻² now",
        "new": f"{name} is new, as {new}",
        "gone": f"{name} is no longer published; it was {old}",
    }[str(notice["changed"])]


def atom(base: str, watchlist: Row, notices: list[Row]) -> str:
    """The notices as an Atom feed (RFC 4287)."""
    key = watchlist["feed_key"]
    updated = (notices[0]["created_at"] if notices else watchlist["created_at"]).isoformat()
    entries = "".join(
        f"<entry><id>urn:xcat:notice:{n['notice_id']}</id><title>{_text(sentence(n))}</title>"
        f"<updated>{n['created_at'].isoformat()}</updated>"
        f'<link href="{_text(base)}/source/{n["source_id"]}"/><summary>{_text(sentence(n))}</summary></entry>'
        for n in notices
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<feed xmlns="http://www.w3.org/2005/Atom">'
        f"<id>urn:xcat:watchlist:{watchlist['watchlist_id']}</id><title>{_text(watchlist['title'])}</title>"
        f"<author><name>xcat</name></author><updated>{updated}</updated>"
        f'<link rel="self" href="{_text(base)}/watch/feed/{_text(key)}"/>{entries}</feed>'
    )


def _text(text: str) -> str:
    """Text for XML: escaped, without signs that XML does not have."""
    return escape("".join(c for c in text if c >= " " or c in "\t\n"), {'"': "&quot;"})
