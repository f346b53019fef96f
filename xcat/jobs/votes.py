"""Consensus of the volunteers as a run: from the raw votes alone, again and again, with its configuration."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from psycopg import sql

from xcat.arrays import FloatArray, IntArray
from xcat.classifier.consensus import Consensus, Options, Votes, consensus, plurality, worth
from xcat.classifier.next_vote import Choice, Retirement, is_retired, is_settled, value
from xcat.columns.answers import ANSWERS
from xcat.config import Settings
from xcat.database import partitions
from xcat.database.connection import Connection, ready
from xcat.database.published import class_column
from xcat.database.runs import Run, stage
from xcat.database.sqlfiles import dicts, job
from xcat.errors import Refusal, XcatError

CLASSES = ANSWERS[:-1]
RARE = np.array([name in ("XRB", "CV") for name in CLASSES])
_MOST_OF_QUEUE = 5000
_OUTSIDE = 0.02  # probability, before any vote, of each answer that is no class of ours


@dataclass(frozen=True)
class Asked:
    """How a consensus is made, judged and kept; all of it is recorded with the run.

    Attributes
    ----------
    use_posterior : bool
        Take our own posterior, flattened, as what is known before any vote.
    last_vote : int, optional
        The last vote that counts; by default all.
    min_accuracy : float
        Of the votes together on known objects, each judged without knowing it; below, the consensus is refused.
    most_turned : float
        Share of the sources that were settled before and have another class now, at most.
    """

    use_posterior: bool = False
    simulated: bool = False
    last_vote: int | None = None
    min_accuracy: float = 0.9
    most_turned: float = 0.02


@dataclass(frozen=True)
class Table:
    """Votes and sources as arrays; see `gathered`."""

    votes: Votes
    source_id: IntArray
    volunteer_id: IntArray
    known: IntArray
    ours: FloatArray
    last_vote: int


def gathered(conn: Connection, asked: Asked) -> Table:
    """Read the votes, and the published sources that have any or could be asked next.

    Raises
    ------
    XcatError
        There are no votes.
    """
    with conn.transaction():  # a vote under way ends first: its number may be smaller than the last one that is read
        conn.execute(job("volunteers.no_vote_now").compose())
        rows = conn.execute(
            job("volunteers.votes").compose(), {"simulated": asked.simulated, "last": asked.last_vote}
        ).fetchall()
    if not rows:
        raise XcatError("there are no such votes: people give them at /volunteers, xcat volunteers simulate for a test")
    source, person, answer, known_class, number = zip(*rows, strict=True)
    classes = [row[0] for row in conn.execute(job("volunteers.classes").compose())]
    ours_of = [class_column(name) for name in CLASSES if name in classes]
    rare = [class_column(name) for name in ("XRB", "CV") if name in classes] or ["p_class"]
    query = job("volunteers.sources").compose(
        columns=sql.SQL(", ").join(map(sql.Identifier, ours_of)),
        rare=sql.SQL(" + ").join(sql.SQL("coalesce({}, 0)").format(sql.Identifier(name)) for name in rare),
    )
    found = conn.execute(query, {"voted": sorted(set(source)), "most": _MOST_OF_QUEUE}).fetchall()
    ids = np.array(sorted(set(source) | {row[0] for row in found}), np.int64)
    ours = np.full((ids.size, len(CLASSES)), _OUTSIDE)
    places = [CLASSES.index(name) for name in CLASSES if name in classes]
    if found:
        at = np.searchsorted(ids, np.array([row[0] for row in found]))
        values = np.array([row[2:] for row in found], float).reshape(len(found), -1)
        ours[at[:, None], places] = np.nan_to_num(values) + 1e-3
    ours /= ours.sum(axis=1, keepdims=True)
    known = np.full(ids.size, -1)
    item = np.searchsorted(ids, np.array(source))
    # what was known when somebody was asked: what is known now could come from these very votes
    for i, name in zip(item, known_class, strict=True):
        if name in CLASSES:
            known[i] = CLASSES.index(name)
    people, volunteer = np.unique(np.array(person), return_inverse=True)
    votes = Votes(item, volunteer, np.array([ANSWERS.index(a) for a in answer]), ids.size, people.size, len(ANSWERS))
    return Table(votes, ids, people, known, ours, int(number[-1]))


def made(table: Table, asked: Asked, options: Options) -> Consensus:
    """The consensus of these votes; the same whenever it is made."""
    prior = None
    if asked.use_posterior:
        prior = np.sqrt(table.ours)
        prior /= prior.sum(axis=1, keepdims=True)
    return consensus(table.votes, len(CLASSES), table.known, prior, options)


def accuracy_on_known(table: Table, options: Options, seed: int = 1) -> tuple[float, int]:
    """Share of known objects whose consensus is right when they are hidden in five folds, and their number."""
    known = np.flatnonzero(table.known >= 0)
    if known.size < 10:
        return float("nan"), int(known.size)
    fold = np.random.default_rng(seed).integers(0, 5, known.size)
    right = 0
    for k in range(5):
        hidden = table.known.copy()
        hidden[known[fold == k]] = -1
        p = consensus(table.votes, len(CLASSES), hidden, None, options).p
        right += int((p[known[fold == k]].argmax(axis=1) == table.known[known[fold == k]]).sum())
    return right / known.size, int(known.size)


def consensus_run(settings: Settings, asked: Asked | None = None) -> dict[str, Any]:
    """Make a consensus, and keep it as a run.

    Returns
    -------
    dict
        run_id, and the figures of its summary.

    Raises
    ------
    Refusal
        It does not pass its gates; nothing is kept but the failed run.
    """
    asked, options = asked or Asked(), Options()
    rule, choice = Retirement(), Choice()
    with ready(settings) as conn:
        table = gathered(conn, asked)
        before = _kept(conn, None, asked.simulated)
        shown = conn.execute(job("classify.published").compose()).fetchone()
    config = asdict(asked) | {
        "last_vote": table.last_vote,
        "options": asdict(options),
        "retirement": asdict(rule),
        "choice": asdict(choice),
        "classify_run_id": shown[0] if shown else None,
    }
    with stage(settings, "consensus", "volunteers", config) as run:
        result = made(table, asked, options)
        retired = is_retired(result.p, result.n_votes, result.n_effective, rule)
        settled = is_settled(result.p, result.n_effective, rule)
        accuracy, n_known = accuracy_on_known(table, options)
        best = result.p.argmax(axis=1)
        turned, n_before = _turned(run.conn, before, table.source_id, best)
        run.summary |= {
            "votes": int(table.votes.item.size),
            "volunteers": int(table.votes.n_volunteers),
            "sources": int((result.n_votes > 0).sum()),
            "settled": int(settled.sum()),
            "retired": int(retired.sum()),
            "could_be_asked": int((~retired & (table.known < 0)).sum()),
            "votes_per_source": float(result.n_votes[result.n_votes > 0].mean()),
            "converged": result.converged,
            "rounds": result.n_rounds,
            "known_objects": n_known,
            "accuracy_on_known": None if np.isnan(accuracy) else accuracy,
            "turned": turned,
            "differs_from_plurality": int(
                ((plurality(table.votes, len(CLASSES)) != best) & (result.n_votes > 0)).sum()
            ),
            "classes": {name: int(((best == k) & settled).sum()) for k, name in enumerate(CLASSES)},
        }
        _judge(asked, accuracy, n_known, turned, n_before, result.converged)
        _write(run, table, result, retired, choice)
    return {"run_id": run.run_id, **run.summary}


def _kept(conn: Connection, run_id: int | None, simulated: bool) -> tuple[int, Retirement] | None:
    """A consensus that is kept, by default the newest, and what it took as settled."""
    values = {"simulated": simulated, "run_id": run_id}
    row = conn.execute(job("volunteers.consensus_run").compose(), values).fetchone()
    return None if row is None else (row[0], Retirement(**row[1]["retirement"]))


def _settled(rows: list[dict[str, Any]], rule: Retirement) -> list[dict[str, Any]]:
    """The rows of a consensus, with ``p`` and ``n_effective``, whose class is settled."""
    if not rows:
        return []
    p, n_effective = (np.array([row[name] for row in rows], float) for name in ("p", "n_effective"))
    return [row for row, is_one in zip(rows, is_settled(p, n_effective, rule), strict=True) if is_one]


def _turned(
    conn: Connection, before: tuple[int, Retirement] | None, source_id: IntArray, best: IntArray
) -> tuple[float, int]:
    """Share of the sources that were settled in the consensus before and have another class now, and their number."""
    if before is None:
        return 0.0, 0
    rows = dicts(conn.execute(job("volunteers.earlier_answers").compose(), {"run_id": before[0]}))
    then = {row["source_id"]: row["answer"] for row in _settled(rows, before[1])}
    now = dict(zip(source_id.tolist(), (CLASSES[k] for k in best), strict=True))
    common = [i for i in then if i in now]
    return (sum(then[i] != now[i] for i in common) / len(common) if common else 0.0), len(common)


def _judge(asked: Asked, accuracy: float, n_known: int, turned: float, n_before: int, converged: bool) -> None:
    wrong = []
    if not converged:
        wrong.append("it has not converged")
    if accuracy < asked.min_accuracy:
        wrong.append(f"of {n_known} known objects {accuracy:.1%} are right, at least {asked.min_accuracy:.1%}")
    if n_before >= 20 and turned > asked.most_turned:
        wrong.append(f"{turned:.1%} of {n_before} settled sources change class, at most {asked.most_turned:.1%}")
    if wrong:
        raise Refusal(
            f"the consensus is not kept, the one before stays: {'; '.join(wrong)}. "
            "If it is right: another limit with --min-accuracy or --most-turned"
        )


def _write(run: Run, table: Table, result: Consensus, retired: Any, choice: Choice) -> None:
    n, j = len(table.source_id), len(table.volunteer_id)
    with_votes = result.n_votes > 0
    p = np.where(with_votes[:, None], result.p, table.ours)
    usual = result.confusion.mean(axis=0)
    worth_asking = value(p, table.ours, usual, RARE, choice) * ~retired
    names = np.array(CLASSES).astype(np.bytes_)
    known = np.where(table.known >= 0, names[table.known], b"")
    rows = [
        (
            run.run_id,
            int(table.source_id[i]),
            CLASSES[int(result.p[i].argmax())] if with_votes[i] else None,
            p[i].astype(np.float32).tolist(),
            int(result.n_votes[i]),
            float(result.n_effective[i]),
            bool(retired[i]),
            float(max(worth_asking[i], 0.0)),
            known[i].decode() or None,
        )
        for i in range(n)
    ]
    _copy(run, "consensus", rows)
    each = worth(result.confusion, result.shares)
    n_each = np.bincount(table.votes.volunteer, minlength=j)
    skills = [
        (run.run_id, int(v), [float(x) for x in result.confusion[k].ravel()], float(each[k]), int(n_each[k]))
        for k, v in enumerate(table.volunteer_id)
    ]
    _copy(run, "volunteer_skill", skills)


def _copy(run: Run, table: str, rows: list[tuple[Any, ...]]) -> None:
    """Write rows as the partition of a run."""
    target = partitions.create(run.conn, table, run.run_id)
    place = sql.Identifier(*target.split("."))
    with run.conn.cursor() as cursor, cursor.copy(sql.SQL("COPY {} FROM STDIN").format(place)) as copy:
        for row in rows:
            copy.write_row(row)
    partitions.attach(run.conn, table, run.run_id)


def labels(conn: Connection, run_id: int | None = None, simulated: bool = False) -> list[dict[str, Any]]:
    """Settled classes of sources that are not known otherwise, as rows of the reference catalogue ``citizen``.

    Raises
    ------
    XcatError
        There is no consensus, or the run is none of these volunteers.
    """
    kept = _kept(conn, run_id, simulated)
    if kept is None and run_id is not None:
        whose = "simulated" if simulated else "real"
        raise XcatError(f"run {run_id} is no consensus of {whose} volunteers. See: xcat runs")
    if kept is None:
        raise XcatError("there is no consensus yet. Run: xcat volunteers consensus")
    rows = dicts(conn.execute(job("volunteers.labels").compose(), {"run_id": kept[0]}))
    return [row | {"p_class": max(row.pop("p"))} for row in _settled(rows, kept[1])]
