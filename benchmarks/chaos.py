"""Rounds of killing: client, worker, backend or postmaster dies at a random moment of a run.

Two workers must complete it. Three small skies are published in turn, all stages anew in every round. After each round,
without any help, the job must have ended well, the published tables must be those of an undisturbed run, a reader with
a long transaction must have seen whole published states only, and no run, lock, table or job may be left over.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from astropy.table import Table
from common import private_database

from xcat.config import Settings
from xcat.database import retention
from xcat.database.connection import ready
from xcat.database.embedded import EmbeddedServer
from xcat.errors import DatabaseError
from xcat.service import schedules
from xcat.simulate import simulate

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "simulated.yaml"
VICTIMS = ("client", "worker", "backend", "postmaster")
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
LONGEST_S = 240.0
LOST = (psycopg.OperationalError, DatabaseError)
TABLES = ("classified", "counterparts", "hypotheses", "master_sources")
# the numbers of runs, of rows and of new identities may differ; what they stand for may not
SUM = """
SELECT md5(string_agg(row, E'\\n' ORDER BY row COLLATE "C")) FROM (
    SELECT (SELECT jsonb_object_agg(key, value) FROM jsonb_each(to_jsonb(t)) WHERE key !~ '_ids?$')::text AS row
    FROM pub.{} AS t) AS rows
"""
STATE = "SELECT count(*), round(sum(p_class::numeric), 3), count(DISTINCT run_id) FROM pub.classified"
LEFT_OVER = {
    "runs at work": "SELECT run_id::text FROM xcat.run WHERE status = 'running'",
    "locks": "SELECT classid || ' ' || objid FROM pg_locks WHERE locktype = 'advisory' AND classid <> 0",
    "jobs": "SELECT status::text FROM procrastinate.procrastinate_jobs",
    "tables of no run": """
        SELECT c.oid::regclass::text FROM pg_class AS c
        WHERE c.relnamespace IN ('xcat'::regnamespace, 'pub'::regnamespace) AND c.relkind = 'r'
          AND c.relname ~ '_[br][0-9]+$' AND (
              NOT EXISTS (SELECT FROM xcat.run AS r WHERE r.status = 'done'
                          AND r.run_id = substring(c.relname FROM '_r([0-9]+)$')::integer) AND c.relname ~ '_r[0-9]+$'
              OR NOT c.relispartition)""",
    "tables to be dropped": "SELECT table_name FROM xcat.dropped_table",
}


@dataclass
class Round:
    """One round: who was killed how and when, how long it took till all was well, and what was not."""

    victim: str
    signal: str
    stage: str = ""
    seconds: float = 0.0
    n_attempts: int = 0
    faults: list[str] = field(default_factory=list)


class Workers:
    """Two workers, each started again when it has ended, as systemd does."""

    def __init__(self, settings: Settings, log: Path) -> None:
        self.environment = os.environ | {"XCAT_HOME": str(settings.home)}
        self.log = log.open("a", encoding="utf-8")
        self.processes = [self.start("worker") for _ in range(2)]
        self._ending = threading.Event()
        self._keeper = threading.Thread(target=self._keep)
        self._keeper.start()

    def start(self, *words: object) -> subprocess.Popen[bytes]:
        """Start a command of xcat."""
        command = [sys.executable, "-c", "from xcat.cli.app import program; program()", *map(str, words)]
        return subprocess.Popen(command, env=self.environment, stdout=self.log, stderr=self.log)

    def _keep(self) -> None:
        while not self._ending.wait(0.5):
            for i, process in enumerate(self.processes):
                if process.poll() is not None:
                    self.processes[i] = self.start("worker")

    def stop(self) -> None:
        """End them for good."""
        self._ending.set()
        self._keeper.join()
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
        self.log.close()


class Reader(threading.Thread):
    """Reads in transactions that stay open for long, and keeps the states that it saw."""

    def __init__(self, settings: Settings, longest_s: float) -> None:
        super().__init__()
        self.settings, self.longest_s = settings, longest_s
        self.seen: dict[Any, int] = defaultdict(int)
        self.ending = threading.Event()

    def run(self) -> None:
        """Read until it is stopped."""
        while not self.ending.is_set():
            with suppress(*LOST), ready(self.settings) as conn:
                until = time.monotonic() + self.longest_s
                while time.monotonic() < until and not self.ending.wait(0.2):
                    self.seen[conn.execute(STATE).fetchone()] += 1
            self.ending.wait(0.2)

    def stop(self) -> None:
        """End the last transaction."""
        self.ending.set()
        self.join()


@contextmanager
def reading(settings: Settings, longest_s: float) -> Iterator[Reader]:
    reader = Reader(settings, longest_s)
    reader.start()
    try:
        yield reader
    finally:
        reader.stop()


def ask(settings: Settings, query: str) -> list[tuple[Any, ...]]:
    """Rows of a query, as soon as the server answers."""
    deadline = time.monotonic() + LONGEST_S
    while True:
        try:
            with ready(settings, autocommit=True) as conn:
                return conn.execute(query).fetchall()  # type: ignore[arg-type]
        except LOST:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.3)


def sums(settings: Settings) -> dict[str, str]:
    """Checksums of what is published."""
    return {table: ask(settings, SUM.format(table))[0][0] for table in TABLES}


def wait(settings: Settings, before_s: float) -> None:
    """Wait until no job waits or is at work."""
    while ask(settings, "SELECT 1 FROM procrastinate.procrastinate_jobs LIMIT 1") and time.monotonic() < before_s:
        time.sleep(0.2)


def undisturbed(settings: Settings, workers: Workers, name: str) -> tuple[dict[str, str], Any, float]:
    """Publish a sky without any disturbance: its checksums, its state, and the seconds it took."""
    start = time.monotonic()
    schedules.run_now(settings, name)
    wait(settings, start + LONGEST_S)
    seconds = time.monotonic() - start
    ((outcome,),) = ask(settings, f"SELECT last_outcome FROM xcat.schedule WHERE name = '{name}'")
    assert str(outcome).startswith("success"), outcome
    (state,) = ask(settings, STATE)
    retention.prune(settings, 1)
    return sums(settings), state, seconds


def stage_of(settings: Settings) -> tuple[str, int | None]:
    """Stage at work, and the process that works on it."""
    rows = ask(
        settings, "SELECT stage, pid FROM xcat.run_progress JOIN xcat.run USING (run_id) WHERE status = 'running'"
    )
    return (rows[0][0] or "between stages", rows[0][1]) if rows else ("no stage", None)


def kill(settings: Settings, round_: Round, client: subprocess.Popen[bytes] | None, dice: random.Random) -> None:
    """Send the signal to the victim."""
    number = signal.Signals[round_.signal]
    round_.stage, pid = stage_of(settings)
    if round_.victim == "client":
        assert client is not None
        pid = client.pid
    elif round_.victim == "postmaster":
        pid = EmbeddedServer(settings.home).status().pid
    elif round_.victim == "backend":
        pids = ask(settings, "SELECT pid FROM pg_stat_activity WHERE datname = 'xcat' AND pid <> pg_backend_pid()")
        pid = dice.choice(pids)[0]
    if pid is not None:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def one_round(
    settings: Settings,
    workers: Workers,
    name: str,
    data: Path,
    pipeline: Path,
    round_: Round,
    after_s: float,
    dice: random.Random,
) -> Reader:
    """Start, kill, and wait; the reader that looked on."""
    client = None
    # a shutdown by SIGTERM waits for sessions, as the documentation of PostgreSQL says
    with reading(settings, 3.0 if (round_.victim, round_.signal) == ("postmaster", "SIGTERM") else 120.0) as reader:
        if round_.victim == "client":
            client = workers.start("run", pipeline, "--data", data, "--replace", "--allow-loss", 1)
            time.sleep(1.5)  # it starts, and has its turn before the job
        schedules.run_now(settings, name)
        time.sleep(after_s)
        kill(settings, round_, client, dice)
        start = time.monotonic()
        wait(settings, start + LONGEST_S)
        round_.seconds = time.monotonic() - start
        if client is not None:
            client.wait(60)
    return reader


def check(
    settings: Settings, round_: Round, name: str, expected: dict[str, Any], states: set[Any], reader: Reader
) -> None:
    """Note what is not as it must be."""
    rows = ask(settings, f"SELECT last_outcome FROM xcat.schedule WHERE name = '{name}'")
    if not str(rows[0][0]).startswith("success"):
        round_.faults.append(f"outcome: {rows[0][0]}")
    round_.faults += [f"{table} differs" for table, digest in sums(settings).items() if digest != expected[table]]
    round_.faults += [f"a reader saw {state}" for state in reader.seen if state not in states]
    retention.prune(settings, 1)
    for what, query in LEFT_OVER.items():
        left = [row[0] for row in ask(settings, query)]
        if what == "locks":  # the workers ask at intervals who has died
            time.sleep(0.5)
            left = [x for x in left if (x,) in ask(settings, query)]
        if left:
            round_.faults.append(f"{what}: {', '.join(map(str, left))}")


def chaos(folder: Path, n_rounds: int, n_sources: int, seed: int) -> list[Round]:
    """All rounds; each prints a line when it is over."""
    dice = random.Random(seed)
    pipeline = folder / "chaos.yaml"
    pipeline.write_text(f"extends: {EXAMPLE}\nname: chaos\nfolds: 3\nreplicates: 2\n", encoding="utf-8")
    skies = {name: folder / name for name in ("one", "two", "three")}
    for number, path in enumerate(skies.values()):
        simulate(n_sources, seed, path)
        detections = Table.read(path / "xmm_detections.fits")  # others in each, so that all stages are done anew
        for name in ("CHECKSUM", "DATASUM"):
            detections.meta.pop(name, None)
        detections[: len(detections) - 9 * number].write(path / "xmm_detections.fits", overwrite=True)
    rounds = []
    with private_database() as settings:
        with ready(settings) as conn:  # skies in turn are no change that a gate would let through
            conn.execute("UPDATE xcat.gate SET is_on = false")
        for name, path in skies.items():
            schedules.add(settings, name, "0 0 29 2 *", "UTC", pipeline, path, {"replace": True, "allow_loss": 1.0})
        workers = Workers(settings, folder / "workers.log")
        try:
            calm = {name: undisturbed(settings, workers, name) for name in (*skies, *skies)}
            took_s = statistics.mean(seconds for *_, seconds in calm.values())
            states = {state for _, state, _ in calm.values()}
            print(f"undisturbed: {took_s:.1f} s", flush=True)
            kinds = [(victim, number.name) for victim in VICTIMS for number in SIGNALS]
            for i in range(n_rounds):
                if i % len(kinds) == 0:
                    dice.shuffle(kinds)
                name = list(skies)[i % len(skies)]
                round_ = Round(*kinds[i % len(kinds)])
                after_s = dice.uniform(0.0, took_s)
                reader = one_round(settings, workers, name, skies[name], pipeline, round_, after_s, dice)
                check(settings, round_, name, calm[name][0], states, reader)
                rounds.append(round_)
                verdict = "; ".join(round_.faults) or "well"
                print(
                    f"{i + 1}: {round_.signal} of {round_.victim} in {round_.stage}, {round_.seconds:.1f} s: {verdict}",
                    flush=True,
                )
        finally:
            workers.stop()
    return rounds


def table(rounds: list[Round]) -> str:
    """The rounds by victim and signal, in Markdown."""
    lines = [
        "| killed | by | rounds | seconds till all was well: median | most | rounds with faults |",
        "|---|---|---|---|---|---|",
    ]
    groups: dict[tuple[str, str], list[Round]] = defaultdict(list)
    for round_ in rounds:
        groups[round_.victim, round_.signal].append(round_)
    for (victim, number), group in sorted(groups.items()):
        seconds = [round_.seconds for round_ in group]
        n_faults = sum(bool(round_.faults) for round_ in group)
        cells = (victim, number, len(group), f"{statistics.median(seconds):.1f}", f"{max(seconds):.1f}", n_faults)
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=24)
    parser.add_argument("--sources", type=int, default=1200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--log", type=Path, help="Keep the log of the workers in this folder.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="xcat-chaos-") as made:
        place = options.log or Path(made)
        place.mkdir(exist_ok=True, parents=True)
        done = chaos(place, options.rounds, options.sources, options.seed)
    print(table(done))
    sys.exit(any(round_.faults for round_ in done))
