"""What a volunteer is asked next, and what is shown before and after the answer."""

from __future__ import annotations

import hashlib
from typing import Any

from psycopg import sql

from xcat.classifier.next_vote import gold_share
from xcat.columns.answers import ANSWERS, WORDS
from xcat.database.connection import Connection
from xcat.database.sqlfiles import dicts, job
from xcat.errors import InputError
from xcat.service.volunteers.accounts import Person

ASKED_AS = ("tutorial", "gold", "unknown")
TUTORIAL = 12
"""Known objects that everybody begins with, with hints."""
LEVEL_VOTES, LEVEL_SHARE = 12, 0.6
#: Measured quantities that are shown before the answer. Nothing here says what xcat makes of them.
SHOWN = (
    *("ra", "dec", "glat", "flux_cgs", "snr", "n_detections", "flux_ratio", "extent_arcsec", "hr1", "hr2", "gamma"),
    *("log_fx_fr", "log_fx_fw1", "pm_mas_yr", "bp_rp", "w1_w2", "sep_to_radius", "p_variable"),
)
HINTS = {
    "AGN": "An active galaxy: X-ray to optical flux ratio (log F_X/F_R) between -1 and 1, power-law spectrum with a"
    " slope near 2, red in the infrared (W1 - W2 near 0.8), at any place of the sky, without proper motion.",
    "Star": "A star: far brighter in the optical than in X-rays (log F_X/F_R below -1, often near -3), soft spectrum,"
    " proper motion, flares.",
    "XRB": "An X-ray binary: log F_X/F_R above 1 or no optical counterpart at all, near the plane of the Galaxy or"
    " inside another galaxy, hard spectrum, strong changes of the flux.",
    "CV": "A cataclysmic variable: log F_X/F_R near 0, hard spectrum with a slope below 1.7, blue in the optical,"
    " varies.",
}


def next_of(conn: Connection, person: Person, progress: dict[str, Any]) -> tuple[int, str] | None:
    """The source that the volunteer is asked about, and how: tutorial, gold or unknown; None if none is left.

    Which one follows from the votes alone: who reloads the page is asked the same, unless others have voted meanwhile.
    """
    values: dict[str, Any] = {"volunteer_id": person.volunteer_id, "classes": list(HINTS)}
    if not progress["is_trained"]:
        row = conn.execute(job("volunteers.next_known").compose(), values).fetchone()
        if row is not None:
            return int(row[0]), "tutorial"
    n = progress["n_votes"]
    draw = int(hashlib.sha256(f"{person.volunteer_id}|{n}".encode()).hexdigest()[:8], 16) / 0xFFFFFFFF
    if draw < gold_share(max(n - TUTORIAL, 0)):
        row = conn.execute(job("volunteers.next_known").compose(), values).fetchone()
        if row is not None:
            return int(row[0]), "gold"
    run = conn.execute(job("volunteers.consensus_run").compose(), {"simulated": False, "run_id": None}).fetchone()
    row = None
    if run is not None:
        row = conn.execute(job("volunteers.next_unknown").compose(), values | {"run_id": run[0]}).fetchone()
    if row is None:
        row = conn.execute(job("volunteers.next_uncertain").compose(), values).fetchone()
    return None if row is None else (int(row[0]), "unknown")


def progress(conn: Connection, person: Person) -> dict[str, Any]:
    """Votes of a volunteer, success rate on known objects, streak, and whether the tutorial is done."""
    record = dicts(conn.execute(job("volunteers.record").compose(), {"volunteer_id": person.volunteer_id}))
    known = [row["answer"] == row["known_class"] for row in record if row["known_class"]]
    streak = next((i for i, right in enumerate(known) if not right), len(known))
    last = known[:LEVEL_VOTES]
    return {
        "n_votes": len(record),
        "n_unknown": sum(row["asked_as"] == "unknown" for row in record),
        "n_known": len(known),
        "n_right": sum(known),
        "success": sum(known) / len(known) if known else None,
        "streak": streak,
        "is_trained": len(known) >= TUTORIAL and sum(last) >= LEVEL_SHARE * len(last),
    }


def shown(conn: Connection, source_id: int) -> dict[str, Any] | None:
    """What is measured of a source."""
    columns = sql.SQL(", ").join(map(sql.Identifier, SHOWN))
    rows = dicts(conn.execute(job("volunteers.shown").compose(columns=columns), {"source_id": source_id}))
    return rows[0] if rows else None


def keep(conn: Connection, person: Person, source_id: int, answer: str, asked_as: str) -> bool:
    """Keep a vote; whether it is a new one. The same vote again, as of a form sent twice, is none and no error.

    Parameters
    ----------
    asked_as : str
        One of `ASKED_AS`.

    Raises
    ------
    InputError
        It is no answer, another one than before, or to a question that is out of date.
    """
    if answer not in ANSWERS:
        raise InputError(f"an answer is one of {', '.join(ANSWERS)}")
    values: dict[str, Any] = {"volunteer_id": person.volunteer_id, "source_id": source_id, "answer": answer}
    ours = dicts(conn.execute(job("volunteers.answer_of_ours").compose(), values))
    known = ours[0]["known_class"] if ours and asked_as != "unknown" else None
    if not ours or (asked_as != "unknown" and known is None):
        raise InputError("what is published has changed since you were asked: open /volunteers/vote again")
    values |= {"asked_as": asked_as, "known_class": known}
    if conn.execute(job("volunteers.vote").compose(), values).fetchone() is not None:
        return True
    before = dicts(conn.execute(job("volunteers.vote_of").compose(), values))
    if before and before[0]["answer"] == answer:
        return False
    raise InputError("you have voted on this source before, and votes are never changed: open /volunteers/vote again")


def feedback(conn: Connection, reading: Connection, person: Person, source_id: int) -> dict[str, Any]:
    """What may be seen after the vote: what it is, what others said, what xcat says.

    Raises
    ------
    InputError
        The volunteer has not voted on it.
    """
    values = {"volunteer_id": person.volunteer_id, "source_id": source_id}
    rows = dicts(conn.execute(job("volunteers.vote_of").compose(), values))
    if not rows:
        raise InputError("what others and xcat say of a source is shown after your own vote on it")
    vote = rows[0]
    ours = dicts(reading.execute(job("volunteers.answer_of_ours").compose(), values))
    return {
        "source_id": source_id,
        "vote": vote,
        "right": None if vote["known_class"] is None else vote["answer"] == vote["known_class"],
        "hint": HINTS.get(vote["known_class"] or ""),
        "others": [
            row | {"words": WORDS[row["answer"]]}
            for row in dicts(conn.execute(job("volunteers.tallies").compose(), values))
        ],
        "ours": ours[0] if ours else None,
        "remarks": dicts(conn.execute(job("volunteers.remarks").compose(), values)),
    }
