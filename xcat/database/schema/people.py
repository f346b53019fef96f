"""Tables of the schema ``people``: who votes, what they said, and what they watch.

A vote belongs to a volunteer, who is a number; name and mail are in the account. An account can go, a vote cannot.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, func, text

from xcat.columns.answers import ANSWERS
from xcat.database.schema.parts import PEOPLE, book, column, numbered, one_of, part_of, points_to


def _now(name: str) -> list[object]:
    return [column(name, nullable=False, server_default=func.now())]


volunteer = book(
    "volunteer",
    "Who votes, as a number; it stays when the account goes",
    numbered("volunteer_id"),
    column("is_simulated", nullable=False, server_default=text("false")),
    *_now("created_at"),
    schema=PEOPLE,
)

account = book(
    "account",
    "Name, password and mail of a volunteer, as long as they want",
    numbered("account_id"),
    points_to("volunteer_id", "people.volunteer", unique=True),
    "name mail? password_hash",
    *_now("created_at"),
    Index("account_name_idx", text("lower(name)"), unique=True),
    schema=PEOPLE,
)

session = book(
    "web_session",
    "Who is logged in: the checksum of what the cookie holds",
    column("token_sha256", primary_key=True),
    part_of("account_id", "people.account"),
    *_now("created_at"),
    "expires_at",
    Index(None, "account_id"),
    schema=PEOPLE,
)

vote = book(
    "vote",
    "Every answer that a volunteer gave, one per source; never changed, never deleted",
    numbered("vote_id"),
    points_to("volunteer_id", "people.volunteer"),
    "source_id",
    *one_of("answer", " ".join(ANSWERS)),
    *one_of("asked_as", "tutorial gold unknown"),
    "known_class?",
    *_now("voted_at"),
    UniqueConstraint("volunteer_id", "source_id"),
    CheckConstraint("(asked_as = 'unknown') = (known_class IS NULL)", name="known"),
    Index(None, "source_id"),
    schema=PEOPLE,
)

remark = book(
    "remark",
    "What volunteers say about a source; it goes with the account",
    numbered("remark_id"),
    part_of("account_id", "people.account"),
    "source_id body",
    *_now("created_at"),
    CheckConstraint("length(body) BETWEEN 1 AND 2000", name="length"),
    Index(None, "source_id"),
    schema=PEOPLE,
)

watchlist = book(
    "watchlist",
    "Sources, as a query in ADQL, whose changes somebody wants to be told",
    numbered("watchlist_id"),
    part_of("account_id", "people.account"),
    "title adql feed_key hook? watched_run_id source_ids",
    *_now("created_at"),
    UniqueConstraint("feed_key"),
    Index(None, "account_id"),
    schema=PEOPLE,
)

notice = book(
    "notice",
    "What a publication changed for the sources of a watchlist",
    numbered("notice_id"),
    part_of("watchlist_id", "people.watchlist"),
    "run_id source_id name",
    *one_of("changed", "class counterpart flux new gone"),
    "old_value? new_value?",
    *_now("created_at"),
    UniqueConstraint("watchlist_id", "run_id", "source_id", "changed"),
    schema=PEOPLE,
)
