"""Gates: what a classification must pass before it is published, against what is published now.

Each gate has a threshold in the table ``gate``. What the gates measured is kept with the publish run, passed or not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xcat.database import runs
from xcat.database.connection import Connection
from xcat.database.sqlfiles import dicts, job
from xcat.errors import Refusal, XcatError
from xcat.jobs.gate_figures import FEWEST, Figure, measure, off
from xcat.jobs.states import State

_RADIUS_ARCSEC = 10.0  # around a famous object
#: Gate to what it checks; the default thresholds are in the table.
GATES = {
    "sources_lost": "share of the published sources that are gone, at most",
    "sources_gained": "number of new sources over that of the published ones, at most",
    "area_lost": "share of the sky with published sources that has none, at most",
    "missions_gone": "missions that have no source any more, at most",
    "class_fraction": f"relative change of the share of a class with {FEWEST} sources or more, at most",
    "recall": "recall of every class out of fold, at least; one that is not below the published one passes",
    "recall_lost": "loss of recall of a class beyond the 95 % interval of the new one, at most",
    "calibration": "mean probability of a class out of fold over its prior, and the inverse of it, at most; one that is"
    " not further from 1 than the published one passes",
    "changed_classes": "share of the sources in common that change class, at most",
    "unmatched": "rise of the share of sources without a counterpart, at most",
    "famous_lost": "objects that must keep their class and do not, at most (xcat gate add NAME CLASS)",
    "withdrawn": "whether a rollback took this run back: 0 refuses it",
}
_OF_LOSS = ("sources_lost", "area_lost")
_SHARES = {"sources_lost", "sources_gained", "area_lost", "class_fraction", "changed_classes", "unmatched"}


Check = dict[str, Any]
"""A figure as it is kept: its fields, ``threshold`` and ``passed``."""


def check(conn: Connection, new: State, old: State | None, allow_loss: float | None = None) -> list[Check]:
    """Measure a state against the published one, and judge it by the gates that are on.

    Parameters
    ----------
    new, old : State
        The one to be published and the published one; None if there is none.
    allow_loss : float, optional
        Share that may be lost of the sources and of the sky, in place of the thresholds. Of another sky (1) nothing is
        compared with what is published.

    Returns
    -------
    list of dict
        JSON-ready; see `Check`.
    """
    thresholds = dict(conn.execute(job("gates.thresholds").compose()).fetchall())
    if not thresholds:
        return []
    if allow_loss is not None:
        thresholds |= {gate: allow_loss for gate in _OF_LOSS if gate in thresholds}
    if old is not None and (old["run_id"] == new["run_id"] or (allow_loss is not None and allow_loss >= 1)):
        old = None
    order = list(GATES)
    figures = sorted(measure(conn, new, old), key=lambda figure: (order.index(figure.gate), figure.of))
    return [
        {**figure._asdict(), "threshold": thresholds[figure.gate], "passed": _passes(figure, thresholds[figure.gate])}
        for figure in figures
        if figure.gate in thresholds
    ]


def _passes(figure: Figure, threshold: float) -> bool:
    if figure.gate == "recall":
        return figure.value >= threshold or (figure.then is not None and figure.value >= figure.then)
    if figure.gate == "calibration" and figure.then is not None and figure.value <= off(figure.then):
        return True
    return figure.value <= threshold


def refuse(run_id: int, old: State | None, checks: Sequence[Check]) -> None:
    """Refuse a state that has not passed.

    Raises
    ------
    Refusal
        Says both figures of every gate that was not passed, and what can be done.
    """
    failed = [line(each) for each in checks if not each["passed"]]
    if not failed:
        return
    stays = "nothing is published" if old is None else f"run {old['run_id']} stays published"
    compare = "" if old is None else f"Look at it: xcat diff published {run_id}. "
    raise Refusal(
        f"run {run_id} is not published, {stays}: {'; '.join(failed)}. {compare}"
        f"If it is right: xcat publish {run_id} --force --why REASON. Another limit: xcat gate set NAME THRESHOLD"
    )


def line(each: Check) -> str:
    """A check in words, with the figures of then and now."""
    gate, limit, value = each["gate"], _number(each["gate"], each["threshold"]), _number(each["gate"], each["value"])
    then, now = (_plain(each[key]) for key in ("then", "now"))
    known = f"{then} then, {now} now"
    words = {
        "sources_lost": f"{then} sources then, {now} of them left: {value} lost, at most {limit}",
        "sources_gained": f"{known}: {value} new, at most {limit}",
        "area_lost": f"{then} deg2 with sources then, {now} of them left: {value} lost, at most {limit}",
        "class_fraction": f"{known}: {value} changed, at most {limit}",
        "recall": f"{known}, at least {limit}",
        "recall_lost": f"{known}: {value} lost beyond chance, at most {limit}",
        "calibration": f"{known}: off by a factor {value}, at most {limit}",
        "changed_classes": f"{then} sources in common, {now} of them change: {value}, at most {limit}",
        "unmatched": f"{known}: {value} more, at most {limit}",
        "withdrawn": "a rollback took this run back",
    }.get(gate, f"{known}: {value} lost, at most {limit}")
    return f"{gate}{' of ' if each['of'] else ''}{each['of']}: {words}"


def _number(gate: str, value: float) -> str:
    return f"{value:.1%}" if gate in _SHARES else f"{value:.3g}"


def _plain(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value == int(value) else f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def measured(conn: Connection, run_id: int) -> dict[str, Any]:
    """What the gates measured of a publish run, or last of a classify run.

    Returns
    -------
    dict
        run_id (of the publication), status, against_run_id, is_compared, checks.

    Raises
    ------
    XcatError
        It did not come to them.
    """
    row = conn.execute(job("gates.last_run").compose(), {"run_id": run_id}).fetchone()
    if row is None:
        raise XcatError(f"run {run_id} has not come to the gates: it is no publish or classify run, or was held.")
    run = runs.get(conn, row[0])
    return {"run_id": row[0], "status": run["status"], **run["summary"]["gates"]}


def lines(found: dict[str, Any]) -> list[str]:
    """What the gates measured, one line for each check; see `measured`."""
    against = "nothing that was published" if not found["is_compared"] else f"run {found['against_run_id']}"
    marks = [f"{'passed' if each['passed'] else 'FAILED'}  {line(each)}" for each in found["checks"]]
    return [f"compared with {against}", *marks]


# --- the gates themselves ----------------------------------------------------------------------------------


def listing(conn: Connection) -> list[dict[str, Any]]:
    """All gates: gate, threshold, is_on, about."""
    rows = {row["gate"]: row for row in dicts(conn.execute(job("gates.gates").compose()))}
    return [
        {"gate": name, "threshold": None, "is_on": False, **rows.get(name, {}), "about": GATES[name]} for name in GATES
    ]


def change(conn: Connection, gate: str, threshold: float | None = None, is_on: bool | None = None) -> None:
    """Set the threshold of a gate, or switch it on or off.

    Raises
    ------
    XcatError
        There is no such gate, or the threshold is negative.
    """
    if gate not in GATES:
        raise XcatError(f"there is no gate '{gate}'; the gates are {', '.join(GATES)}.")
    if threshold is not None and not 0 <= threshold < float("inf"):
        raise XcatError(f"a threshold is a number from 0, not {threshold:g}.")
    conn.execute(job("gates.set").compose(), {"gate": gate, "threshold": threshold, "is_on": is_on})


def famous(conn: Connection) -> list[dict[str, Any]]:
    """Objects that must keep their class."""
    return dicts(conn.execute(job("gates.famous").compose()))


def add_famous(
    conn: Connection,
    name: str,
    class_: str,
    place: tuple[float, float] | None = None,
    radius_arcsec: float | None = None,
) -> dict[str, Any]:
    """Enter an object that must keep its class.

    Parameters
    ----------
    place : (ra, dec), optional
        In degrees; by default that of the published source of this name.
    radius_arcsec : float, optional
        How far from there its source may be. Default: 10 arcsec.

    Raises
    ------
    XcatError
        No published source has this name, and there is no place.
    """
    radius = _RADIUS_ARCSEC if radius_arcsec is None else radius_arcsec
    if place is None:
        rows = dicts(conn.execute(job("gates.source").compose(), {"name": name}))
        if not rows:
            raise XcatError(f"no published source is called '{name}'. Say where the object is: --at RA,DEC")
        place = rows[0]["ra"], rows[0]["dec"]
    row = {"name": name, "ra": place[0], "dec": place[1], "radius_arcsec": radius, "class": class_}
    conn.execute(job("gates.add_famous").compose(), row)
    return row


def remove_famous(conn: Connection, name: str) -> None:
    """Let an object have any class again.

    Raises
    ------
    XcatError
        It is not listed.
    """
    if conn.execute(job("gates.remove_famous").compose(), {"name": name}).fetchone() is None:
        raise XcatError(f"'{name}' is not among the objects that must keep their class. See: xcat gate list")
