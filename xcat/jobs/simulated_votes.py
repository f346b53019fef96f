"""Simulated volunteers vote on a simulated sky that is published, in the way in which people do."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from psycopg import sql

from xcat.arrays import FloatArray, IntArray
from xcat.classifier.consensus import Votes, consensus, plurality
from xcat.classifier.next_vote import Retirement, gold_share, is_retired, value
from xcat.columns.answers import ANSWERS
from xcat.config import Settings
from xcat.database.connection import Connection, ready
from xcat.database.published import class_column
from xcat.database.sqlfiles import job
from xcat.errors import XcatError
from xcat.jobs.votes import CLASSES, RARE
from xcat.simulate import volunteers

_ROUND = 2000  # votes between two consensuses, as of one that is made every night
_OUTSIDE = 0.02


@dataclass
class Sky:
    """Sources that can be shown: unknown ones first, then known ones.

    Attributes
    ----------
    source_id, truth : ndarray of int, (N,)
    n_unknown : int
    ours : ndarray, (N, K)
        Our posterior.
    """

    source_id: IntArray
    truth: IntArray
    n_unknown: int
    ours: FloatArray


@dataclass
class Answers:
    """Votes of simulated volunteers, in order, and what came of them."""

    item: IntArray
    volunteer: IntArray
    answer: IntArray
    as_gold: Any
    p: FloatArray
    n_votes: IntArray
    figures: dict[str, Any] = field(default_factory=dict)


def sky(conn: Connection, data: Path, n_sources: int, seed: int) -> Sky:
    """Published sources of a simulated sky with their true classes, drawn at random.

    Raises
    ------
    XcatError
        The folder has no truth, or nothing of it is published.
    """
    path = data / "truth" / "xray.parquet"
    if not path.is_file():
        raise XcatError(
            f"{path}: no such file. Give the folder of a simulated sky (xcat simulate), whose truth is known"
        )
    table = pq.read_table(path, columns=["mission", "native_id", "class", "is_spurious"])
    native = {
        (m, str(i)): c
        for m, i, c, s in zip(*(table[name].to_pylist() for name in table.column_names), strict=True)
        if not s
    }
    columns = sql.SQL(", ").join(sql.Identifier(class_column(name)) for name in CLASSES[:4])
    rows = conn.execute(job("volunteers.simulated_sky").compose(columns=columns)).fetchall()
    found: dict[int, tuple[str, bool, tuple[float, ...]]] = {}
    for source_id, known, catalogue, native_id, *p in rows:
        name = native.get((catalogue, str(native_id)))
        if name in CLASSES:
            found[source_id] = (name, known is not None and known == name, tuple(p))
    if len(found) < 100:
        raise XcatError("nothing that is published belongs to this simulated sky. Run its pipeline first")
    ids = np.array(sorted(found))
    known = np.array([found[i][1] for i in ids])
    rng = np.random.default_rng(seed)
    unknown = rng.permutation(ids[~known])[:n_sources]
    gold = ids[known]
    of_class = np.array([CLASSES.index(found[i][0]) for i in gold])
    kept = [rng.permutation(gold[of_class == k])[:150] for k in range(4)]
    chosen = np.concatenate([unknown, *kept])
    ours = np.full((chosen.size, len(CLASSES)), _OUTSIDE)
    ours[:, :4] = np.nan_to_num(np.array([found[i][2] for i in chosen], float)) + 1e-3
    ours /= ours.sum(axis=1, keepdims=True)
    truth = np.array([CLASSES.index(found[i][0]) for i in chosen])
    return Sky(chosen, truth, len(unknown), ours)


def voted(place: Sky, n_votes: int, n_hostile: int, seed: int, use_posterior: bool = False) -> Answers:
    """Let the volunteers vote until the votes are given or every source is retired.

    Returns
    -------
    Answers
        ``figures``: accuracy, recall and precision by class, of the consensus and of the plurality; votes per source.
    """
    n, n_unknown, k = len(place.truth), place.n_unknown, len(CLASSES)
    rng = np.random.default_rng(seed)
    shares = np.bincount(place.truth[:n_unknown], minlength=k) / n_unknown
    crowd = volunteers.Crowd.claxson(np.random.default_rng([seed, 1]), shares, n_hostile)
    hard = volunteers.difficulty(np.random.default_rng([seed, 2]), n)
    # everybody's answer to everything, drawn before: who is asked what does not change it
    answers = np.stack(
        [
            volunteers.answers(np.random.default_rng([seed, 3, j]), crowd, j, place.truth, hard)
            for j in range(volunteers.N_VOLUNTEERS)
        ]
    )
    known = np.where(np.arange(n) < n_unknown, -1, place.truth)
    prior = np.sqrt(place.ours) / np.sqrt(place.ours).sum(axis=1, keepdims=True) if use_posterior else None
    turns = rng.choice(volunteers.N_VOLUNTEERS, n_votes, p=crowd.activity)
    has_voted = np.zeros((volunteers.N_VOLUNTEERS, n), bool)
    p, usual, retired = place.ours, _usual(), np.arange(n) >= n_unknown
    counts, of_person = np.zeros(n, int), np.zeros(volunteers.N_VOLUNTEERS, int)
    items: list[int] = []
    people: list[int] = []
    golden: list[bool] = []
    result = None
    for start in range(0, n_votes, _ROUND):
        worth = value(p, place.ours, usual, RARE)
        worth[retired] = 0.0
        since = np.zeros(n)
        for j in turns[start : start + _ROUND]:
            gold = bool(rng.random() < gold_share(float(of_person[j])))
            if gold:
                left = np.flatnonzero(~has_voted[j, n_unknown:])
                if not left.size:
                    continue
                i = int(n_unknown + rng.choice(left))
            else:
                score = worth / (1 + since)
                score[has_voted[j]] = 0.0
                i = int(score.argmax())
                if score[i] <= 0:
                    continue
            since[i] += 1
            has_voted[j, i] = True
            of_person[j] += 1
            items.append(i)
            people.append(int(j))
            golden.append(gold)
        item, volunteer = np.array(items), np.array(people)
        votes = Votes(item, volunteer, answers[volunteer, item], n, volunteers.N_VOLUNTEERS, len(ANSWERS))
        result = consensus(votes, k, known, prior)
        p, usual, counts = result.p, result.confusion.mean(axis=0), result.n_votes
        retired = is_retired(p, counts, result.n_effective, Retirement()) | (np.arange(n) >= n_unknown)
        if retired.all():
            break
    assert result is not None
    best, most = p.argmax(axis=1)[:n_unknown], plurality(votes, k)[:n_unknown]
    truth = place.truth[:n_unknown]
    figures: dict[str, Any] = {
        "votes": len(items),
        "gold_votes": int(sum(golden)),
        "sources": n_unknown,
        "votes_per_source": float(counts[:n_unknown].mean()),
        "retired": float(retired[:n_unknown].mean()),
        "mean_success": float((votes.answer == place.truth[item]).mean()),
        "hostile": n_hostile,
        "accuracy": float((best == truth).mean()),
        "accuracy_plurality": float((most == truth).mean()),
    }
    for name, call in (("", best), ("_plurality", most)):
        figures[f"recall{name}"] = {
            c: float((call[truth == i] == i).mean()) for i, c in enumerate(CLASSES[:4]) if (truth == i).any()
        }
        figures[f"precision{name}"] = {
            c: float((truth[call == i] == i).mean()) for i, c in enumerate(CLASSES[:4]) if (call == i).any()
        }
    return Answers(item, volunteer, votes.answer, np.array(golden), p, counts, figures)


def _usual() -> FloatArray:
    """The confusion matrix that is assumed before there is a vote."""
    k, m = len(CLASSES), len(ANSWERS)
    usual = np.full((k, m), 0.2 / (m - 1))
    usual[np.arange(k), np.arange(k)] = 0.8
    return usual


def simulate(settings: Settings, data: Path, n_votes: int, n_sources: int, n_hostile: int, seed: int) -> dict[str, Any]:
    """Let simulated volunteers vote, and keep their votes as those of people, marked as simulated; the figures."""
    with ready(settings) as conn:
        place = sky(conn, data, n_sources, seed)
        result = voted(place, n_votes, n_hostile, seed)
        numbers = [
            conn.execute(job("volunteers.add_volunteer").compose(), {"simulated": True}).fetchone()[0]  # type: ignore[index]
            for _ in range(volunteers.N_VOLUNTEERS)
        ]
        query = job("volunteers.vote").compose()
        rows = [
            {
                "volunteer_id": numbers[j],
                "source_id": int(place.source_id[i]),
                "answer": ANSWERS[a],
                "asked_as": "gold" if gold else "unknown",
                "known_class": CLASSES[place.truth[i]] if gold else None,
            }
            for i, j, a, gold in zip(result.item, result.volunteer, result.answer, result.as_gold, strict=True)
        ]
        with conn.cursor() as cursor:
            cursor.executemany(query, rows)
    return result.figures
