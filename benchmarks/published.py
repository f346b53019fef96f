"""Published tables: what publishing costs, and what people who read them wait for, each beside its limit.

publish  seconds of the flat table pub.classified and of the whole publication; then queries as people write them, and
         the same on a bare table with the same rows and indexes, in turn
joins    joins by position, with itself and with an uploaded table
readers  readers in a loop while runs are published, pruned and dropped, and a catalogue is replaced; against the same
         readers alone
many     every query of sql/queries with many runs kept, against the same with one, in turn on two servers

Limits are those of the project, on two cores of one's own, for 1,000,000 sources and 200 runs; that of publishing is
scaled with the rows.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import runs_of_a_sky as sky
import yaml
from common import private_database

from xcat.catalogues.definition import load
from xcat.config import Settings
from xcat.database import retention, runs
from xcat.database.connection import Connection, connect, ready
from xcat.database.sqlfiles import folder, statements
from xcat.errors import XcatError
from xcat.ingest.load import ingest
from xcat.jobs.publishing import publish

PUBLISH_LIMIT_S = 2 * (7.0 + 12.0)  # twice the rows and indexes of a bare table of 1,000,000 rows and 65 columns
SELF_JOIN_LIMIT_S, UPLOAD_LIMIT_S = 1.0, 0.2
CANDIDATES_LIMIT_MS, ONE_SOURCE_LIMIT_MS = 20.0, 5.0
P99_LIMIT, MANY_LIMIT = 3.0, 2.0
KIND_S = 12.0  # a kind of query that is far from its limit need not be repeated for minutes
READ = (
    "SELECT min(least(c.run_id, k.run_id, e.run_id)), max(greatest(c.run_id, k.run_id, e.run_id)), count(*),"
    " max(e.advantage) FROM (SELECT * FROM pub.xrb_candidates ORDER BY p_class DESC LIMIT 20) AS c"
    " JOIN pub.counterparts AS k USING (source_id) JOIN pub.evidence AS e USING (source_id)"
)

_CONE = "SELECT name, class, p_class, q3c_dist(ra, dec, {2}, {3}) FROM pub.classified WHERE {0}(ra, dec, {2}, {3}, 0.1)"


def said(what: str, value: float, limit: float, unit: str) -> str:
    return f"{what}: {value:.3g}{unit}, limit {limit:.3g}{unit}: {'kept' if value <= limit else 'MISSED'}"


def seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def seconds_at_most(conn: Connection, query: str, limit_s: int) -> float | None:
    """Seconds of a query; None if it was stopped."""
    conn.execute(f"SET statement_timeout TO '{limit_s}s'")
    try:
        return seconds(lambda: conn.execute(query).fetchall())
    except psycopg.errors.QueryCanceled:
        return None
    finally:
        conn.execute("RESET statement_timeout")


def value_of(conn: Connection, query: str) -> Any:
    row = conn.execute(query).fetchone()  # type: ignore[arg-type]
    return row[0] if row else None


@contextmanager
def published(n: int) -> Iterator[tuple[Settings, sky.Runs, int]]:
    """A server with a published run of a sky of n sources."""
    with private_database() as settings:
        made = sky.make_sky(settings, n)
        with ready(settings) as conn:
            run_id = sky.make_chain(conn, made)
        publish(settings, run_id)
        yield settings, made, run_id


# --- publishing, and queries ------------------------------------------------------------------------------


def measure_publish(n: int, n_queries: int) -> None:
    print(f"publish: {n:,} sources")
    with private_database() as settings:
        made = sky.make_sky(settings, n)
        with ready(settings) as conn:
            run_id = sky.make_chain(conn, made)
        start = time.perf_counter()
        publish_run = publish(settings, run_id)
        whole = time.perf_counter() - start
        with ready(settings, autocommit=True) as conn:
            spent = runs.get(conn, publish_run)["summary"]["seconds"]
            n_columns = len(conn.execute("SELECT * FROM pub.classified LIMIT 0").description or ())
            megabytes = value_of(conn, f"SELECT pg_total_relation_size('pub.classified_r{run_id}') / 1e6")
        limit = PUBLISH_LIMIT_S * n / 1e6
        what = f"  pub.classified, {n_columns} columns, {megabytes:.0f} MB with indexes"
        print(said(what, spent["classified"], limit, " s"))
        print(f"  whole publication: {whole:.1f} s; {', '.join(f'{k} {v:.1f}' for k, v in spent.items())}", flush=True)
        with ready(settings, autocommit=True) as conn:
            measure_queries(conn, run_id, n, n_queries)


def measure_queries(conn: Connection, run_id: int, n: int, n_queries: int) -> None:
    conn.execute("CREATE TABLE xcat.bench_bare AS SELECT * FROM pub.classified")
    indexes = f"SELECT indexdef FROM pg_indexes WHERE schemaname = 'pub' AND tablename = 'classified_r{run_id}'"
    for (definition,) in conn.execute(indexes).fetchall():  # type: ignore[arg-type]
        conn.execute("CREATE INDEX ON xcat.bench_bare USING " + definition.split(" USING ")[1])
    conn.execute("VACUUM ANALYZE xcat.bench_bare")
    rng = np.random.default_rng(1)
    some = "SELECT source_id, name, ra, dec FROM pub.classified ORDER BY hashint8(source_id) LIMIT %s"
    places = {row[0]: row[1:] for row in conn.execute(some, [n_queries])}
    chosen = rng.choice(list(places), n_queries).tolist()
    listed = "is_best_of_master AND known_class_of_master IS NULL"
    of_class = {name.lower(): f"xcat.bench_bare WHERE class = '{name}' AND {listed}" for name in sky.CLASSES}

    def of_bare(query: str) -> str:
        for name, relation in of_class.items():
            query = query.replace(f"pub.{name}_candidates WHERE", f"{relation} AND")
            query = query.replace(f"pub.{name}_candidates", relation)
        return query.replace("pub.classified", "xcat.bench_bare")

    kinds: dict[str, tuple[float, Callable[[int, tuple[Any, ...]], str]]] = {
        "candidates, ORDER BY p_class": (
            CANDIDATES_LIMIT_MS,
            lambda i, _: f"SELECT * FROM pub.{sky.CLASSES[i % 4].lower()}_candidates ORDER BY p_class DESC LIMIT 100",
        ),
        "candidates, p_class > 0.9": (
            CANDIDATES_LIMIT_MS,
            lambda i, _: (
                "SELECT name, ra, dec, p_class, outlier FROM pub.xrb_candidates WHERE p_class > 0.9 AND NOT is_outlier"
                " ORDER BY p_class DESC LIMIT 100"
            ),
        ),
        "candidates, p_xrb > 0.9": (
            CANDIDATES_LIMIT_MS,
            lambda i, _: (
                "SELECT name, ra, dec, p_xrb, outlier FROM pub.xrb_candidates WHERE p_xrb > 0.9 AND NOT is_outlier"
                " ORDER BY p_xrb DESC LIMIT 100"
            ),
        ),
        "cone of 0.1 deg": (ONE_SOURCE_LIMIT_MS, lambda i, place: _CONE.format("pub.in_cone", *place)),
        "the same by q3c_radial_query": (
            ONE_SOURCE_LIMIT_MS,
            lambda i, place: _CONE.format("q3c_radial_query", *place),
        ),
        "name, as xcat looks it up": (
            ONE_SOURCE_LIMIT_MS,
            lambda i, place: (
                r"SELECT * FROM pub.classified WHERE lower(regexp_replace(name, '\s', '', 'g'))"
                f" = '{place[0].lower().replace(' ', '')}'"
            ),
        ),
        "name = '...'": (
            ONE_SOURCE_LIMIT_MS,
            lambda i, place: f"SELECT * FROM pub.classified WHERE name = '{place[0]}'",
        ),
        "source_id": (ONE_SOURCE_LIMIT_MS, lambda i, _: f"SELECT * FROM pub.classified WHERE source_id = {chosen[i]}"),
    }
    for kind, (limit, query) in kinds.items():
        texts = [query(i, places[source_id]) for i, source_id in enumerate(chosen)]
        times = in_turn_ms(conn, [(text, of_bare(text)) for text in texts])
        (p50, p95), (bare_p50, bare_p95) = (np.percentile(side, [50, 95]) for side in zip(*times, strict=True))
        beside = f"p50 {p50:.2f}; bare table p95 {bare_p95:.2f}, p50 {bare_p50:.2f}; {len(times)} queries"
        print(said(f"  {kind}: p95", p95, limit, " ms") + f" ({beside})", flush=True)


def in_turn_ms(conn: Connection, pairs: Sequence[tuple[str, str]]) -> list[tuple[float, float]]:
    """Milliseconds of pairs of queries, in turn; the first tenth warms up."""
    times, start = [], time.perf_counter()
    for number, pair in enumerate(pairs):
        each = [1000 * seconds(lambda q=q: conn.execute(q, prepare=False).fetchall()) for q in pair]
        if number >= len(pairs) // 10 or time.perf_counter() - start > KIND_S / 2:
            times.append((each[0], each[1]))
        if time.perf_counter() - start > KIND_S:
            break
    return times


# --- joins by position ------------------------------------------------------------------------------------


def measure_joins(n: int, n_uploaded: int) -> None:
    print(f"joins: {n:,} sources, {n_uploaded:,} uploaded positions")
    with published(n) as (settings, _, _), connect(settings, autocommit=True) as conn:
        itself = (
            "SELECT a.name, b.name FROM pub.classified AS a JOIN pub.classified AS b"
            " ON q3c_join(a.ra, a.dec, b.ra, b.dec, 5.0 / 3600) AND a.source_id <> b.source_id"
        )
        times = [seconds(lambda: conn.execute(itself).fetchall()) for _ in range(4)]
        print(said("  with itself, within 5 arcsec", statistics.median(times[1:]), SELF_JOIN_LIMIT_S, " s"))
        once = itself.replace("<>", "<")  # the planner may read half the index of source_id for every source
        took = seconds_at_most(conn, once, 20)
        print(f"  the same, each pair once by source_id <: {f'{took:.3g} s' if took else 'stopped after 20 s'}")
        mine = (
            "SELECT m.id, c.name, c.class, c.p_class FROM mine AS m"
            " JOIN pub.classified AS c ON q3c_join(m.ra, m.dec, c.ra, c.dec, 5.0 / 3600)"
        )
        conn.execute(
            f"CREATE TEMP TABLE mine AS SELECT source_id AS id, ra, least(dec + 1 / 3600.0, 90) AS dec"
            f" FROM pub.classified ORDER BY hashint8(source_id) LIMIT {n_uploaded}"
        )
        for state in ("not analysed", "analysed"):
            if state == "analysed":
                conn.execute("ANALYZE mine")
            times = [seconds(lambda: conn.execute(mine).fetchall()) for _ in range(6)]
            print(said(f"  with an uploaded table, {state}", statistics.median(times[1:]), UPLOAD_LIMIT_S, " s"))


# --- readers while everything changes ---------------------------------------------------------------------


def read_in_a_loop(settings: Settings, phase: Any, pause_s: float, out: Any) -> None:
    """A reader's process: times by phase, errors, and answers with two run numbers."""
    times: dict[int, list[float]] = defaultdict(list)
    errors: list[str] = []
    seen: set[int] = set()
    with connect(settings, autocommit=True) as conn:
        conn.execute("SET application_name TO 'reader'")
        while phase.value < 2 and not conn.closed:
            now, start = phase.value, time.perf_counter()
            try:
                row = conn.execute(READ).fetchone()
                assert row is not None
                times[now].append(time.perf_counter() - start)
                seen.add(row[0])
                if row[0] is None or row[0] != row[1]:
                    errors.append(f"runs {row[0]} and {row[1]} in one statement")
            except psycopg.Error as error:
                errors.append(str(error))
            time.sleep(pause_s)
    out.send((dict(times), errors, seen))


@dataclass
class Writers:
    """Publishes, replaces and prunes side by side; `spent` has the seconds of each by its name."""

    settings: Settings
    made: sky.Runs
    pair: tuple[int, int]
    files: tuple[Path, Path]
    n: dict[str, int]
    spent: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    errors: list[str] = field(default_factory=list)
    extra: list[tuple[int, int]] = field(default_factory=list)

    def run(self) -> None:
        """Do all of it, each kind of work in a thread of its own."""
        works = (self.publish, self.replace, self.prune)
        threads = [threading.Thread(target=self._guard, args=(work,)) for work in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _guard(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:
            self.errors.append(f"{work.__name__}: {error}")

    def timed(self, name: str, work: Callable[[], Any]) -> None:
        """Do a piece of work, and keep its seconds, and its error."""
        start = time.perf_counter()
        try:
            work()
        except Exception as error:
            self.errors.append(f"{name}: {error}")
        self.spent[name].append(time.perf_counter() - start)

    def n_published(self) -> int:
        """Publications so far."""
        return len(self.spent["publish, only the switch"]) + len(self.spent["publish, a new run"])

    def publish(self) -> None:
        """Publish the two runs in turn, and at every third time a new one."""
        for number in range(self.n["publish"]):
            if number % 3 == 2:
                with ready(self.settings) as conn:
                    run_id = sky.classify_again(conn, self.made)
                    self.extra.append((run_id, self.made.lineage["model_run_id"]))
                self.timed("publish, a new run", lambda run_id=run_id: publish(self.settings, run_id))
            else:
                switch = self.pair[number % 2]
                self.timed("publish, only the switch", lambda switch=switch: publish(self.settings, switch))

    def _wait(self, name: str, number: int) -> None:
        """Spread the work of this kind over that of the publishing thread."""
        while self.n_published() < (number + 1) * self.n["publish"] // (self.n[name] + 1) and not self.errors:
            time.sleep(0.01)

    def replace(self) -> None:
        """Let two files take each other's place."""
        definition = load(self.files[0].parent / "replaced.yaml")
        for number in range(self.n["replace"]):
            self._wait("replace", number)
            file = self.files[number % 2]
            self.timed("replace", lambda file=file: ingest(self.settings, definition, [file], replace=True))

    def prune(self) -> None:
        """Prune, and every other time drop the new run before the last one."""
        for number in range(self.n["prune"]):
            self._wait("prune", number)
            if number % 2 and len(self.extra) > 1:
                run_ids = self.extra[-2]
                self.timed("drop", lambda run_ids=run_ids: self._drop(run_ids))
            else:
                self.timed("prune", lambda: retention.prune(self.settings, keep=2))

    def _drop(self, run_ids: tuple[int, int]) -> None:
        with suppress(XcatError):  # pruned already, or published at this moment: that is said, and nothing happens
            retention.drop_runs(self.settings, run_ids)


def watch_waits(settings: Settings, stop: threading.Event, longest: dict[str, float]) -> None:
    """Sample who waits for a lock, and for whom, until it is told to stop."""
    since: dict[tuple[int, str], float] = {}
    query = (
        "SELECT a.pid, CASE a.application_name WHEN 'reader' THEN 'a reader' ELSE 'a writer' END || ' behind '"
        " || CASE WHEN bool_or(b.application_name = 'long') THEN 'the long transaction'"
        "         WHEN bool_or(b.application_name = 'reader') THEN 'a reader' ELSE 'a writer' END"
        " FROM pg_stat_activity AS a CROSS JOIN LATERAL unnest(pg_blocking_pids(a.pid)) AS p (pid)"
        " JOIN pg_stat_activity AS b ON b.pid = p.pid"
        " WHERE a.wait_event_type = 'Lock' GROUP BY a.pid, a.application_name"
    )
    with connect(settings, autocommit=True) as conn:
        while not stop.is_set():
            now = time.perf_counter()
            waiting = {(row[0], row[1]) for row in conn.execute(query)}
            since = {key: since.get(key, now) for key in waiting}
            for (_, who), start in since.items():
                longest[who] = max(longest.get(who, 0.0), now - start)
            time.sleep(0.02)


def catalogue_files(where: Path) -> tuple[Path, Path]:
    """A definition, and two files that take each other's place."""
    definition = {
        "name": "replaced", "title": "A small survey", "kind": "infrared", "citation": "Nobody 2020",
        "position_error": {"convention": "radial_1sigma", "constant": 0.5}, "sky": {"density_per_deg2": 10},
        "completeness": 0.5,
        "columns": {"native_id": "id", "ra": {"from": "ra", "unit": "deg"}, "dec": {"from": "dec", "unit": "deg"},
                    "mag_w1": {"from": "w1", "unit": "mag"}},
    }  # fmt: skip
    (where / "replaced.yaml").write_text(yaml.safe_dump(definition))
    for name, first in (("a.csv", 0), ("b.csv", 1000)):
        rows = [f"S{i},{i * 0.37 % 360},{i * 0.11 % 80},{12 + i % 5}" for i in range(first, first + 2000)]
        (where / name).write_text("\n".join(["id,ra,dec,w1", *rows]) + "\n")
    return where / "a.csv", where / "b.csv"


def measure_readers(n: int, n_readers: int, pause_s: float, idle_s: float, works: dict[str, int]) -> None:
    print(f"readers: {n:,} sources, {n_readers} readers, pause {pause_s * 1000:.0f} ms, {works}")
    fork = multiprocessing.get_context("fork")
    phase = fork.Value("i", -1)
    with published(n) as (settings, made, first), tempfile.TemporaryDirectory() as scratch:
        with ready(settings) as conn:
            second = sky.classify_again(conn, made)
        publish(settings, second)
        with ready(settings) as conn:
            for run_id in (first, second):
                runs.pin(conn, run_id, "benchmark")
        ends, readers = [], []
        for _ in range(n_readers):
            mine, theirs = fork.Pipe(duplex=False)
            process = fork.Process(target=read_in_a_loop, args=(settings, phase, pause_s, theirs), daemon=True)
            process.start()
            ends.append(mine)
            readers.append(process)
        time.sleep(3)  # connections, caches, prepared statements
        phase.value = 0
        time.sleep(idle_s)
        writers = Writers(settings, made, (first, second), catalogue_files(Path(scratch)), works)
        stop, longest = threading.Event(), dict[str, float]()
        watcher = threading.Thread(target=watch_waits, args=(settings, stop, longest))
        with connect(settings) as long:
            long.execute("SET application_name TO 'long'")
            long.execute(READ)  # and its transaction stays open
            watcher.start()
            phase.value = 1
            busy_s = seconds(writers.run)
            phase.value = 2
        stop.set()
        watcher.join()
        results = [end.recv() for end in ends]
        for process in readers:
            process.join()
    times = {p: np.concatenate([r[0].get(p, []) for r in results]) for p in (0, 1)}
    errors = [error for r in results for error in r[1]]
    seen = set().union(*(r[2] for r in results))
    (idle_p50, idle), (busy_p50, busy) = (1000 * np.percentile(times[p], [50, 99]) for p in (0, 1))
    print(f"  {len(times[0]):,} statements in {idle_s:.0f} s idle: p50 {idle_p50:.1f} ms, p99 {idle:.1f} ms")
    print(
        f"  {len(times[1]):,} in {busy_s:.0f} s busy: p50 {busy_p50:.1f} ms, p99 {busy:.1f} ms,"
        f" longest {1000 * times[1].max():.0f} ms, {len(seen)} runs seen"
    )
    print(said("  p99 busy / idle", busy / idle, P99_LIMIT, ""))
    print(said("  errors of readers, statements with two runs included", len(errors), 0, ""), *errors[:3])
    print(said("  errors of writers", len(writers.errors), 0, ""), *writers.errors[:3])
    for name, spent in sorted(writers.spent.items()):
        print(f"  {name}: {len(spent)} times, median {statistics.median(spent):.2f} s, longest {max(spent):.2f} s")
    for who, wait in sorted(longest.items()):
        print(f"  longest wait for a lock, {who}: {1000 * wait:.0f} ms (sampled every 20 ms)")
    print(flush=True)


# --- many runs --------------------------------------------------------------------------------------------


def measure_many(n: int, n_runs: int) -> None:
    print(
        f"many: {n_runs} published runs and {n_runs} chains of runs that are not, {n:,} sources each,"
        " against two published runs"
    )
    with published(n) as (few, few_made, few_first), published(n) as (many, many_made, many_first):
        # the queries that compare need a run before the published one
        add_published(few, few_made, 1, few_first)
        start = time.perf_counter()
        add_published(many, many_made, n_runs - 1, many_first)
        took = time.perf_counter() - start
        start = time.perf_counter()
        for _ in range(n_runs):
            with ready(many) as conn:
                sky.make_chain(conn, many_made)
        print(f"  made in {took:.0f} + {time.perf_counter() - start:.0f} s", flush=True)
        for settings in (few, many):
            settle(settings)
        above = []
        for path in sorted((folder("sql") / "queries").glob("*.sql")):
            for statement in statements(path).values():
                cold = [[of_new_connection_ms(s, statement.text) for s in (few, many)] for _ in range(5)]
                warm = warm_ms((few, many), statement.text)
                ratios = []
                for sides in (cold, warm):
                    one, all_ = (statistics.median(side) for side in zip(*sides, strict=True))
                    ratios.append((all_ / one, f"{one:.1f} -> {all_:.1f} ms, x {all_ / one:.2f}"))
                mark = "" if max(r for r, _ in ratios) <= MANY_LIMIT else "  MISSED"
                above += [statement.name] if mark else []
                print(f"  {path.stem:25} cold {ratios[0][1]:28} warm {ratios[1][1]}{mark}", flush=True)
        print(said("  queries that take more than twice as long", len(above), 0, ""))


def settle(settings: Settings) -> None:
    """Do what autovacuum would do in the minutes after so many tables have been made."""
    with connect(settings, autocommit=True) as conn:
        books = (
            "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND NOT relispartition"
            " AND relnamespace IN ('pg_catalog'::regnamespace, 'xcat'::regnamespace)"
        )
        for (table,) in conn.execute(books).fetchall():
            conn.execute(f"VACUUM ANALYZE {table}")


def add_published(settings: Settings, made: sky.Runs, n_runs: int, shown: int) -> None:
    """Publish runs beside the one that is shown."""
    for _ in range(n_runs):
        with ready(settings) as conn:
            run_id = sky.classify_again(conn, made)
        publish(settings, run_id, hold=True)
    publish(settings, shown)


def of_new_connection_ms(settings: Settings, query: str) -> float:
    with connect(settings, autocommit=True) as conn:
        return 1000 * seconds(lambda: conn.execute(query).fetchall())  # type: ignore[arg-type]


def warm_ms(sides: Sequence[Settings], query: str, times: int = 7) -> list[list[float]]:
    conns = [connect(settings, autocommit=True) for settings in sides]
    for conn in conns:
        conn.execute(query).fetchall()  # type: ignore[arg-type]
    measured = [
        [1000 * seconds(lambda conn=conn: conn.execute(query, prepare=False).fetchall()) for conn in conns]  # type: ignore[arg-type]
        for _ in range(times)
    ]
    for conn in conns:
        conn.close()
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="*", default=["publish", "joins", "readers", "many"])
    parser.add_argument("--sources", type=int, default=200_000, help="published for the queries (limits: 1000000)")
    parser.add_argument("--queries", type=int, default=200, help="of every kind")
    parser.add_argument("--joined", type=int, default=60_000, help="sources that are joined with themselves")
    parser.add_argument("--uploaded", type=int, default=1_000, help="positions that are joined with them")
    parser.add_argument("--readers", type=int, default=20)
    parser.add_argument("--read", type=int, default=4_000, help="sources of the sky that the readers read")
    parser.add_argument(
        "--pause-ms", type=float, default=200.0, help="of a reader; without, two cores do nothing but read"
    )
    parser.add_argument("--idle-s", type=float, default=15.0, help="readers alone")
    parser.add_argument("--publishes", type=int, default=30)
    parser.add_argument("--replaces", type=int, default=5)
    parser.add_argument("--prunes", type=int, default=10)
    parser.add_argument("--runs", type=int, default=30, help="runs that are kept (limits: 200)")
    parser.add_argument("--kept", type=int, default=1_000, help="sources of each of these")
    options = parser.parse_args()
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    works = {"publish": options.publishes, "replace": options.replaces, "prune": options.prunes}
    parts: dict[str, Callable[[], None]] = {
        "publish": lambda: measure_publish(options.sources, options.queries),
        "joins": lambda: measure_joins(options.joined, options.uploaded),
        "readers": lambda: measure_readers(
            options.read, options.readers, options.pause_ms / 1000, options.idle_s, works
        ),
        "many": lambda: measure_many(options.kept, options.runs),
    }
    for part in options.parts:
        print(f"took {seconds(parts[part]):.0f} s, load average {os.getloadavg()[0]:.1f}", flush=True)


if __name__ == "__main__":
    main()
