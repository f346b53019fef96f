"""Rounds of chaos: at a random moment of every stage, something dies, breaks or is full.

Two workers must complete the job. Three skies are published in turn, so that all stages are done anew in every round.
In each round one thing happens: client, worker, backend or postmaster gets SIGKILL, SIGTERM or SIGINT; a worker stands
still for longer than a dead one is waited for; a worker loses all its connections; the disk of the server is full for
some seconds. After it, without any help, the job must have ended well, the published tables must be those of an
undisturbed run, a reader with a transaction as long as the round must have seen whole published states only, one that
reads for minutes always the same state, and no run, lock, table, file or job may be left over.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import psycopg
from astropy.table import Table
from chaos_programs import DEAD_S, start
from chaos_victims import CUT, FULL, KINDS, Disk, cut, freeze, may_cut, send, small_disk
from common import private_database, wrapped

from xcat.config import Settings
from xcat.database import orphans, retention
from xcat.database.connection import connect, ready
from xcat.database.embedded import SUPERUSER, EmbeddedServer
from xcat.errors import DatabaseError
from xcat.jobs.runner import STAGES
from xcat.service import schedules
from xcat.simulate import simulate

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "simulated.yaml"
#: Two classes of one mission with one counterpart catalogue: a job takes two seconds.
SMALL = """
name: chaos
definitions: [catalogues]
xray:
  - {catalogue: sim_xmm, files: [xmm_detections.fits]}
counterparts:
  - {catalogue: sim_gaia, files: [gaia.fits]}
references:
  - {catalogue: sim_ref_agn, files: [ref_agn.csv]}
  - {catalogue: sim_ref_star, files: [ref_star.csv]}
classes: {AGN: 0.7, Star: 0.3}
properties: [abs_b, hr1, hr2, log_fx_fb]
weights: equal
folds: 3
replicates: 0
"""
FULL_S = 2.0
LONGEST_S = 240.0
GROUP = 10  # rounds that one long transaction looks at; all that may be left over is looked at after them
LOST = (psycopg.OperationalError, DatabaseError)
TABLES = ("classified", "counterparts", "hypotheses", "master_sources")
# the numbers of runs, of rows and of new identities may differ; what they stand for may not
SUM = """
SELECT md5(string_agg(row, E'\\n' ORDER BY row COLLATE "C")) FROM (
    SELECT (SELECT jsonb_object_agg(key, value) FROM jsonb_each(to_jsonb(t)) WHERE key !~ '_ids?$')::text AS row
    FROM pub.{} AS t) AS rows
"""
STATE = "SELECT count(*), round(sum(p_class::numeric), 3), count(DISTINCT run_id) FROM pub.classified"
AT_WORK = """
SELECT (SELECT kind FROM xcat.run WHERE status = 'running' AND kind <> 'pipeline' LIMIT 1), p.pid
FROM xcat.run AS r LEFT JOIN xcat.run_progress AS p USING (run_id) WHERE r.status = 'running' AND r.kind = 'pipeline'
"""
LEFT_OVER = {
    "runs at work": "SELECT run_id::text FROM xcat.run WHERE status = 'running'",
    "locks": "SELECT classid || ' ' || objid FROM pg_locks WHERE locktype = 'advisory' AND classid <> 0"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
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
OF_GROUPS = ("tables of no run", "tables to be dropped")  # somebody may still read them


@dataclass
class Round:
    """One round: what was done to whom in which stage, how long it took till all was well, and what was not."""

    victim: str
    way: str
    stage: str = ""
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)


class Workers:
    """Workers, each started again when it has ended, as systemd does."""

    def __init__(self, settings: Settings, log: Path, n_workers: int = 2) -> None:
        self.environment = os.environ | {"XCAT_HOME": str(settings.home)}
        self.environment.pop("XCAT_DATABASE_URL", None)
        self.log = log
        self.processes = [self.start("worker") for _ in range(n_workers)]
        self._ending = threading.Event()
        self._keeper = threading.Thread(target=self._keep)
        self._keeper.start()

    def start(self, *words: object) -> BaseProcess:
        """Start a command of xcat."""
        return start([str(word) for word in words], self.environment, self.log)

    def _keep(self) -> None:
        while not self._ending.wait(0.1):
            for i, process in enumerate(self.processes):
                if not process.is_alive():
                    self.processes[i] = self.start("worker")

    def stop(self) -> None:
        """End them for good."""
        self._ending.set()
        self._keeper.join()
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.join(60)
            process.kill()
            process.join()


class Reader(threading.Thread):
    """Reads in one transaction until it is stopped, and keeps the states that it saw.

    Parameters
    ----------
    settings : Settings
    longest_s : float
        After this, or if the server is lost, another transaction.
    sees_one : bool
        Whether a transaction must see one state only, whatever is published meanwhile.
    """

    def __init__(self, settings: Settings, longest_s: float, sees_one: bool = False) -> None:
        super().__init__()
        self.settings, self.longest_s, self.sees_one = settings, longest_s, sees_one
        self.seen: dict[Any, int] = defaultdict(int)
        self.open_s = 0.0  # the longest transaction
        self.faults: list[str] = []
        self.ending = threading.Event()

    def run(self) -> None:
        """Read until it is stopped."""
        while not self.ending.is_set():
            with suppress(*LOST), ready(self.settings) as conn:
                if self.sees_one:
                    conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                start, first = time.monotonic(), None
                while time.monotonic() < start + self.longest_s and not self.ending.wait(0.1):
                    state = conn.execute(STATE).fetchone()
                    self.seen[state] += 1
                    first = first or state
                    if self.sees_one and state != first:
                        self.faults.append(f"one transaction saw {first} and {state}")
                    self.open_s = max(self.open_s, time.monotonic() - start)
            self.ending.wait(0.1)

    def stop(self) -> None:
        """End the last transaction."""
        self.ending.set()
        self.join()


@contextmanager
def reading(settings: Settings, longest_s: float, sees_one: bool = False) -> Iterator[Reader]:
    reader = Reader(settings, longest_s, sees_one)
    reader.start()
    try:
        yield reader
    finally:
        reader.stop()


def skies(folder: Path, n_sources: int, seed: int) -> dict[str, Path]:
    """Three skies with other detections, so that all stages are done anew for each."""
    made = {name: folder / name for name in ("one", "two", "three")}
    simulate(n_sources, seed, folder / "sky")
    for number, path in enumerate(made.values()):
        shutil.copytree(folder / "sky", path)
        detections = Table.read(path / "xmm_detections.fits")
        for name in ("CHECKSUM", "DATASUM"):
            detections.meta.pop(name, None)
        detections[: len(detections) - 9 * number].write(path / "xmm_detections.fits", overwrite=True)
    return made


class Chaos:
    """A server, two workers, three skies, and rounds."""

    def __init__(self, settings: Settings, folder: Path, disk: Disk | None, pipeline: str, n_sources: int, seed: int):
        self.settings, self.disk, self.folder = settings, disk, folder
        self.dice = random.Random(seed)
        self.pipeline = folder / "chaos.yaml"
        self.pipeline.write_text(pipeline, encoding="utf-8")
        self.skies = skies(folder, n_sources, seed)
        self.rounds: list[Round] = []
        self.n_orphans = self.orphan_bytes = 0
        self.longest_reader_s = 0.0
        with ready(settings) as conn:  # skies in turn are no change that a gate would let through
            conn.execute("UPDATE xcat.gate SET is_on = false")
        options = {"replace": True, "allow_loss": 1.0, "allow_rejects": 0.5}
        for name, path in self.skies.items():
            schedules.add(settings, name, "0 0 29 2 *", "UTC", self.pipeline, path, options)

    # --- the database, whatever state the server is in ----------------------------------------------------

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of a query, as soon as the server answers."""
        deadline = time.monotonic() + LONGEST_S
        while True:
            try:
                with ready(self.settings, autocommit=True) as conn:
                    return conn.execute(query).fetchall()  # type: ignore[arg-type]
            except LOST:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def sums(self) -> dict[str, str]:
        """Checksums of what is published."""
        return {table: self.ask(SUM.format(table))[0][0] for table in TABLES}

    def wait(self) -> None:
        """Wait until no job waits or is at work."""
        deadline = time.monotonic() + LONGEST_S
        while self.ask("SELECT 1 FROM procrastinate.procrastinate_jobs LIMIT 1") and time.monotonic() < deadline:
            time.sleep(0.2)

    def outcome(self, name: str) -> str:
        """How the last job of a schedule ended."""
        return str(self.ask(f"SELECT last_outcome FROM xcat.schedule WHERE name = '{name}'")[0][0])

    # --- the rounds ---------------------------------------------------------------------------------------

    def play(self, n_rounds: int, say: Callable[[str], None]) -> None:
        """Play rounds; `say` gets a line of each."""
        self.workers = Workers(self.settings, self.folder / "workers.log")
        kinds = list(KINDS)
        for kind, is_possible in ((FULL, self.disk is not None), (CUT, may_cut(self.workers.processes[0].pid or 0))):
            if not is_possible:
                kinds.remove(kind)
                say(f"left out, since it is not permitted here: {' '.join(kind)}")
        try:
            calm = {name: self.undisturbed(name) for name in self.skies}
            self.states = {state for _, state in calm.values()}
            took = self.ask("SELECT kind, max(ended_at - started_at) FROM xcat.run GROUP BY kind")
            self.took_s = {kind: elapsed.total_seconds() for kind, elapsed in took}
            say(f"undisturbed: {self.took_s['pipeline']:.1f} s")
            order: list[tuple[str, str]] = []
            while len(self.rounds) < n_rounds:
                n_left = min(GROUP, n_rounds - len(self.rounds))
                with reading(self.settings, 600.0, sees_one=True) as long:
                    for _ in range(n_left):
                        order = order or self.dice.sample(kinds, len(kinds))
                        name = list(self.skies)[len(self.rounds) % len(self.skies)]
                        round_ = Round(*order.pop())
                        self.one_round(round_, name, long)
                        self.check(round_, name, calm[name][0])
                        self.rounds.append(round_)
                        say(
                            f"{len(self.rounds)}: {round_.victim} {round_.way} in {round_.stage}, "
                            f"{round_.seconds:.1f} s: {'; '.join(round_.faults) or 'well'}"
                        )
                self.longest_reader_s = max(self.longest_reader_s, long.open_s)
                self.rounds[-1].faults += long.faults
                self.look_for_left_over(self.rounds[-1])
                if self.rounds[-1].faults:
                    say(f"after round {len(self.rounds)}: {'; '.join(self.rounds[-1].faults)}")
        finally:
            self.workers.stop()

    def undisturbed(self, name: str) -> tuple[dict[str, str], Any]:
        """Publish a sky without any disturbance: its checksums and its state."""
        schedules.run_now(self.settings, name)
        self.wait()
        assert self.outcome(name).startswith("success"), self.outcome(name)
        (state,) = self.ask(STATE)
        return self.sums(), state

    def one_round(self, round_: Round, name: str, long: Reader) -> None:
        """Start, strike, and wait."""
        client = None
        # a server that is asked to end by SIGTERM waits for its sessions, as the documentation of PostgreSQL says
        shuts_down = (round_.victim, round_.way) == ("postmaster", "SIGTERM")
        long.longest_s = 0.0 if shuts_down else 600.0
        with reading(self.settings, 1.0 if shuts_down else LONGEST_S) as reader:
            if round_.victim == "client":
                client = self.workers.start(
                    *("run", self.pipeline, "--data", self.skies[name], "--replace"),
                    *("--allow-loss", 1, "--allow-rejects", 0.5),
                )
                while client.is_alive() and not self.ask(AT_WORK):
                    time.sleep(0.05)
            schedules.run_now(self.settings, name)
            self.strike(round_, client)
            start = time.monotonic()
            self.wait()
            round_.seconds = time.monotonic() - start
            if client is not None:
                client.join(60)
                if client.is_alive():
                    round_.faults.append("the client does not end")
        round_.faults += [f"a reader saw {state}" for state in reader.seen if state not in self.states]

    def strike(self, round_: Round, client: BaseProcess | None) -> None:
        """Wait for a random moment of a random stage, and do it."""
        wanted = self.dice.choice(STAGES)
        later = STAGES[STAGES.index(wanted) :]  # a stage may be over before it is seen
        with connect(self.settings, autocommit=True) as conn:
            while conn.execute("SELECT 1 FROM procrastinate.procrastinate_jobs LIMIT 1").fetchone():
                rows = conn.execute(AT_WORK).fetchall()
                if rows and rows[0][0] in later:
                    break
                time.sleep(0.03)
            time.sleep(self.dice.uniform(0, self.took_s[wanted]))
            rows = conn.execute(AT_WORK).fetchall()
            sessions = "SELECT pid FROM pg_stat_activity WHERE datname = 'xcat' AND pid <> pg_backend_pid()"
            backend = self.dice.choice(conn.execute(sessions).fetchall())[0]
        round_.stage = (rows[0][0] or "between stages") if rows else "no stage"
        worker = rows[0][1] if rows and rows[0][1] else self.dice.choice(self.workers.processes).pid
        if (round_.victim, round_.way) == FULL:
            assert self.disk is not None
            self.disk.fill()
            time.sleep(FULL_S)
            self.disk.free()
        elif (round_.victim, round_.way) == CUT:
            cut(worker)
        elif round_.way == "SIGSTOP, SIGCONT":
            freeze(worker, 3 * DEAD_S)
        else:
            postmaster = EmbeddedServer(self.settings.home).status().pid
            pids = {"worker": worker, "backend": backend, "postmaster": postmaster, "client": client and client.pid}
            pid = pids[round_.victim]
            if pid is not None:
                send(pid, round_.way)

    # --- what must hold -----------------------------------------------------------------------------------

    def check(self, round_: Round, name: str, expected: dict[str, str]) -> None:
        """Note what is not as it must be."""
        if not self.outcome(name).startswith("success"):
            round_.faults.append(f"outcome: {self.outcome(name)}")
        round_.faults += [f"{table} differs" for table, digest in self.sums().items() if digest != expected[table]]
        retention.prune(self.settings, 1)
        for what, query in LEFT_OVER.items():
            if what not in OF_GROUPS:
                self._none(round_, what, query)

    def _none(self, round_: Round, what: str, query: str) -> None:
        left: list[Any] = []
        for _ in range(20):  # the workers tick, and ask at intervals who has died
            rows = self.ask(query)
            left = [row for row in rows if not left or row in left]
            if not left:
                return
            time.sleep(0.1)
        round_.faults.append(f"{what}: {', '.join(str(row[0]) for row in left)}")

    def look_for_left_over(self, round_: Round) -> None:
        """Look for tables and files, now that nobody reads."""
        time.sleep(2.1)  # a file is known as an orphan if it was written before the second of the last checkpoint
        with connect(self.settings, autocommit=True, role=SUPERUSER) as conn:
            conn.execute("CHECKPOINT")
            found = orphans.of_embedded(self.settings, conn)
            self.n_orphans += len(found)
            self.orphan_bytes += sum(orphan.n_bytes for orphan in found)
            retention.prune(self.settings, 1)
            kept = orphans.of_embedded(self.settings, conn)
            if kept:
                round_.faults.append(f"files of no table: {', '.join(orphan.path.name for orphan in kept)}")
        for what in OF_GROUPS:
            self._none(round_, what, LEFT_OVER[what])


@contextmanager
def chaos(folder: Path, pipeline: str, n_sources: int, seed: int, size_mb: int = 2000) -> Iterator[Chaos]:
    """Make a server on a small disk, if that is permitted, and skies."""
    with small_disk(size_mb) as disk, private_database(None if disk is None else disk.folder / "home") as settings:
        with connect(settings, autocommit=True, role=SUPERUSER) as conn:
            conn.execute("ALTER SYSTEM SET max_wal_size = '128MB'")  # which an empty home has room for
            conn.execute("SELECT pg_reload_conf()")
        yield Chaos(settings, folder, disk, pipeline, n_sources, seed)


def table(rounds: list[Round], head: str, of: Callable[[Round], str]) -> str:
    """The rounds by something, in Markdown."""
    lines = [
        f"| {head} | rounds | seconds till all was well: median | most | rounds with faults |",
        "|---|---|---|---|---|",
    ]
    groups: dict[str, list[Round]] = defaultdict(list)
    for round_ in rounds:
        groups[of(round_)].append(round_)
    for what, group in sorted(groups.items()):
        seconds = [round_.seconds for round_ in group]
        n_faults = sum(bool(round_.faults) for round_ in group)
        lines.append(f"| {what} | {len(group)} | {statistics.median(seconds):.1f} | {max(seconds):.1f} | {n_faults} |")
    return "\n".join(lines)


def report(played: Chaos, n_sources: int, command: str) -> str:
    """The page of results, in Markdown."""
    rounds = played.rounds
    faults = [f"- round {i}, {r.victim} {r.way}: {'; '.join(r.faults)}" for i, r in enumerate(rounds, 1) if r.faults]
    return "\n".join(
        [
            "# Chaos",
            "",
            (__doc__ or "").partition("\n\n")[2].strip(),
            "",
            wrapped(
                f"Measured with {len(rounds)} rounds on {n_sources:,} simulated sources and {os.cpu_count()} cores, all"
                " files of the server on a disk of 2 GB in memory. All that a worker waits for was set to a tenth. An"
                f" undisturbed job takes {played.took_s['pipeline']:.1f} s."
            ),
            "",
            f"    {command}",
            "",
            wrapped(
                f"{len(rounds) - len(faults)} of {len(rounds)} rounds were well. The longest transaction of a reader"
                f" was open for {played.longest_reader_s:.0f} s. The crashes left {played.n_orphans} files of no table "
                f"({played.orphan_bytes / 1e6:.1f} MB), which were found and removed."
            ),
            "",
            *([*faults, ""] if faults else []),
            table(rounds, "what happened", lambda round_: f"{round_.victim}: {round_.way}"),
            "",
            table(rounds, "in", lambda round_: round_.stage),
            "",
        ]
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=24)
    parser.add_argument("--sources", type=int, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--small", action="store_true", help="One mission, two classes: two seconds a job.")
    parser.add_argument("--log", type=Path, help="Keep the log of the workers in this folder.")
    parser.add_argument("--report", type=Path, help="Write the page of results to this file.")
    options = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):  # also in the background of a script: what was played is reported
        signal.signal(number, signal.default_int_handler)
    full = f"extends: {EXAMPLE}\nname: chaos\nfolds: 3\nreplicates: 2\n"
    with tempfile.TemporaryDirectory(prefix="xcat-chaos-") as made:
        place = options.log or Path(made)
        place.mkdir(exist_ok=True, parents=True)
        with chaos(place, SMALL if options.small else full, options.sources, options.seed) as done:
            try:
                done.play(options.rounds, lambda text: print(text, flush=True))
            finally:
                small = " --small" if options.small else ""
                given = f"--rounds {options.rounds} --sources {options.sources} --seed {options.seed}{small}"
                text = report(done, options.sources, f"python benchmarks/chaos.py {given} --report FILE")
                print(text)
                if options.report:
                    options.report.write_text(text, encoding="utf-8")
    sys.exit(any(round_.faults for round_ in done.rounds))
