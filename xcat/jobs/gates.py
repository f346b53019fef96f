"""Gates: what a classification must pass before it is published, against what is published now.

Each gate has a threshold in the table ``gate``. What the gates measured is kept with the publish run, passed or not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from xcat.database import copy, runs
from xcat.database.connection import Connection
from xcat.database.sqlfiles import dicts, job
from xcat.errors import Refusal, XcatError
from xcat.jobs import states
from xcat.jobs.states import State
from xcat.sky import joins
from xcat.sky.occupied import occupied_deg2

_FEWEST = 20  # sources of a class, below which its fraction is chance
_RADIUS_ARCSEC = 10.0  # around a famous object
#: Gate to what it checks; the default thresholds are in the table.
GATES = {
    "sources_lost": "share of the published sources that are gone, at most",
    "sources_gained": "number of new sources over that of the published ones, at most",
    "area_lost": "share of the sky with published sources that has none, at most",
    "missions_gone": "missions that have no source any more, at most",
    "class_fraction": f"relative change of the share of a class with {_FEWEST} sources or more, at most",
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


class Figure(NamedTuple):
    """What a gate measured: of a class, a mission or an object, then and now, and what the threshold limits."""

    gate: str
    of: str
    then: float | None
    now: float | None
    value: float


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
    if allow_loss is not None:
        thresholds |= {gate: allow_loss for gate in _OF_LOSS if gate in thresholds}
    if old is not None and (old["run_id"] == new["run_id"] or (allow_loss is not None and allow_loss >= 1)):
        old = None
    figures = [*_of_model(conn, new, old), *_famous(conn, new, old), *_withdrawn(conn, new)]
    if old is not None:
        figures += [*_sources(conn, new, old), *_classes(conn, new, old), *_unmatched(conn, new, old)]
    order = list(GATES)
    figures.sort(key=lambda figure: (order.index(figure.gate), figure.of))
    return [
        {**figure._asdict(), "threshold": thresholds[figure.gate], "passed": _passes(figure, thresholds[figure.gate])}
        for figure in figures
        if figure.gate in thresholds
    ]


def _passes(figure: Figure, threshold: float) -> bool:
    if figure.gate == "recall":
        return figure.value >= threshold or (figure.then is not None and figure.value >= figure.then)
    if figure.gate == "calibration" and figure.then is not None and figure.value <= _off(figure.then):
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


# --- what the gates measure --------------------------------------------------------------------------------


def _sources(conn: Connection, new: State, old: State) -> Iterator[Figure]:
    n = states.pair(conn, old, new)
    yield Figure("sources_lost", "", n["n_old"], n["n_same"], 1 - n["n_same"] / max(n["n_old"], 1))
    yield Figure("sources_gained", "", n["n_old"], n["n_new"], (n["n_new"] - n["n_same"]) / max(n["n_old"], 1))
    types = [("cell", "bigint"), ("n_objects", "bigint")]
    before, after = (
        copy.fetch_columns(conn, job("gates.cells").compose(table=states.table(each)), types) for each in (old, new)
    )
    was, is_ = occupied_deg2(before["cell"], before["n_objects"], after["cell"], base_cells=12)
    yield Figure("area_lost", "", was, is_, 1 - is_ / was if was else 0.0)
    missions = [
        [row[0] for row in conn.execute(job("gates.missions").compose(table=states.table(each)))] for each in (old, new)
    ]
    gone = [name for name in missions[0] if name not in missions[1]]
    yield Figure("missions_gone", ", ".join(gone), len(missions[0]), len(missions[0]) - len(gone), len(gone))


def _classes(conn: Connection, new: State, old: State) -> Iterator[Figure]:
    """Shares of the classes that both models have, and the sources that change; after `_sources`."""
    shared = [name for name in new["classes"] if name in old["classes"]]
    counts = [
        dict(conn.execute(job("gates.classes").compose(table=states.table(each))).fetchall()) for each in (old, new)
    ]
    totals = [sum(of_state.values()) for of_state in counts]
    for name in shared:
        n_old, n_new = (of_state.get(name, 0) for of_state in counts)
        if n_old >= _FEWEST and totals[1]:
            then, now = n_old / totals[0], n_new / totals[1]
            yield Figure("class_fraction", name, then, now, abs(now / then - 1))
    query = job("states.matrix").compose(old=states.table(old), new=states.table(new))
    n_same = n_changed = 0
    for before, after, n in conn.execute(query):
        if before in shared and after in shared:
            n_same, n_changed = n_same + n, n_changed + n * (before != after)
    if n_same:
        yield Figure("changed_classes", "", n_same, n_changed, n_changed / n_same)


def _unmatched(conn: Connection, new: State, old: State) -> Iterator[Figure]:
    ((then,),), ((now,),) = (
        conn.execute(job("gates.unmatched").compose(table=states.table(each))) for each in (old, new)
    )
    yield Figure("unmatched", "", then, now, max(0.0, now - then))


def _of_model(conn: Connection, new: State, old: State | None) -> Iterator[Figure]:
    """Recall and calibration out of fold, class by class."""
    before, after = ({} if each is None else _recalls(conn, each) for each in (old, new))
    for name, (recall, high) in after.items():
        then = before.get(name, (None, None))[0]
        yield Figure("recall", name, then, recall, recall)
        if then is not None:
            yield Figure("recall_lost", name, then, recall, max(0.0, then - high))
    ratio, ratio_now = ({} if each is None else _calibration(conn, each) for each in (old, new))
    for name, now in ratio_now.items():
        yield Figure("calibration", name, ratio.get(name), now, _off(now))


def _recalls(conn: Connection, of: State) -> dict[str, tuple[float, float]]:
    rows = conn.execute(job("gates.recall").compose(), {"model_run_id": of["model_run_id"]})
    return {name: (recall, high) for name, recall, high in rows}


def _calibration(conn: Connection, of: State) -> dict[str, float]:
    query = job("gates.calibration").compose()
    return dict(conn.execute(query, {"model_run_id": of["model_run_id"]}).fetchall())


def _off(ratio: float) -> float:
    """By which factor a ratio is off from 1, as a number that JSON has."""
    return min(max(ratio, 1 / max(ratio, 1e-9)), 1e9)


def _famous(conn: Connection, new: State, old: State | None) -> Iterator[Figure]:
    """Objects that must keep their class: lost is what has another one, or is gone, and was right before."""
    wanted = {row["name"]: row["class"] for row in famous(conn)}
    if not wanted:
        return
    now, then = _classes_of_famous(conn, new), None if old is None else _classes_of_famous(conn, old)
    lost = [
        f"{name} ({class_}, now {now.get(name, 'gone')})"
        for name, class_ in wanted.items()
        if now.get(name) != class_ and (name in now if then is None else then.get(name) == class_)
    ]
    right = [
        None if each is None else sum(each.get(name) == class_ for name, class_ in wanted.items())
        for each in (then, now)
    ]
    yield Figure("famous_lost", ", ".join(lost), right[0], right[1], len(lost))


def _classes_of_famous(conn: Connection, of: State) -> dict[str, str]:
    joins.make_tables(conn)
    joins.needles(conn, job("gates.needles").compose())
    joins.search(conn, states.table(of), "objects that must keep their class", haystack_id="source_id")
    return dict(conn.execute(job("gates.classes_of_famous").compose(table=states.table(of))).fetchall())


def _withdrawn(conn: Connection, new: State) -> Iterator[Figure]:
    row = conn.execute(job("gates.withdrawn").compose(), {"run_id": new["run_id"]}).fetchone()
    if row is not None and row[0]:
        yield Figure("withdrawn", "", None, None, 1.0)


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
