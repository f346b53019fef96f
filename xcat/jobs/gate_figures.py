"""What the gates measure of a state, against the published one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from psycopg import sql

from xcat.classifier.metrics import wilson
from xcat.database import copy, published
from xcat.database.connection import Connection
from xcat.database.sqlfiles import dicts, job
from xcat.jobs import states
from xcat.jobs.states import State
from xcat.sky import joins
from xcat.sky.occupied import occupied_deg2

FEWEST = 20
"""Sources of a class, below which its fraction is chance."""


class Figure(NamedTuple):
    """What a gate measured: of a class, a mission or an object, then and now, and what the threshold limits."""

    gate: str
    of: str
    then: float | None
    now: float | None
    value: float


def measure(conn: Connection, new: State, old: State | None) -> Iterator[Figure]:
    """All figures of a state; without a published one, those that need no other."""
    yield from _of_known(conn, new, old)
    yield from _famous(conn, new, old)
    yield from _withdrawn(conn, new)
    if old is not None:
        yield from _sources(conn, new, old)
        yield from _classes(conn, new, old)
        yield from _unmatched(conn, new, old)


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
        if n_old >= FEWEST and totals[1]:
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


def _of_known(conn: Connection, new: State, old: State | None) -> Iterator[Figure]:
    """Recall and calibration out of fold, class by class."""
    before, after = _Known(conn, old), _Known(conn, new)
    for name, (n, n_right) in after.counts.items():
        then, now, most = before.recall(name), n_right / n, float(wilson(n_right, n)[1])
        yield Figure("recall", name, then, now, now)
        if then is not None:
            yield Figure("recall_lost", name, then, now, max(0.0, then - most))
    for name, ratio in after.ratios.items():
        yield Figure("calibration", name, before.ratios.get(name), ratio, off(ratio))


class _Known:
    """Known sources of a state, answered by tables that were fitted without them; none without a state.

    Attributes
    ----------
    counts : dict
        Class to the number of its sources, and of those that get it.
    ratios : dict
        Class to its mean probability, the known classes weighted by their priors, over its prior: 1 if the
        probabilities are right on the whole.
    """

    def __init__(self, conn: Connection, state: State | None) -> None:
        self.counts: dict[str, tuple[int, int]] = {}
        self.ratios: dict[str, float] = {}
        if state is None:
            return
        means = [job("gates.mean").compose(name=published.class_column(name)) for name in state["classes"]]
        query = job("gates.known").compose(table=states.table(state), means=sql.SQL(", ").join(means))
        rows = conn.execute(query).fetchall()
        self.counts = {name: (n, n_right) for name, n, n_right, _ in rows}
        priors = dict(conn.execute(job("gates.priors").compose(), {"model_run_id": state["model_run_id"]}).fetchall())
        whole = sum(priors.get(name, 0.0) for name in self.counts)
        for k, name in enumerate(state["classes"]):
            if name in self.counts and whole:
                self.ratios[name] = sum(priors.get(known, 0.0) * p[k] for known, *_, p in rows) / whole / priors[name]

    def recall(self, name: str) -> float | None:
        """Share of the sources of a class that get it; None without any."""
        n, n_right = self.counts.get(name, (0, 0))
        return n_right / n if n else None


def off(ratio: float) -> float:
    """By which factor a ratio is off from 1, as a number that JSON has."""
    return min(max(ratio, 1 / max(ratio, 1e-9)), 1e9)


def _famous(conn: Connection, new: State, old: State | None) -> Iterator[Figure]:
    """Objects that must keep their class: lost is what has another one, or is gone, and was right before."""
    wanted = {row["name"]: row["class"] for row in dicts(conn.execute(job("gates.famous").compose()))}
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
