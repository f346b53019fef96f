"""What people who read wait for: alone, and while all sources are classified again and published.

queries  candidates and cones as people write them, and the same on a bare table with the same rows and indexes, in turn
readers  fifty readers of candidates and cones, each with a pause after every answer: first alone, then while all
         sources are classified again and published, again and again
pages    the start page and the pages of random sources, one after the other, from the request to the last byte

The published state is a made-up one of --sources, on a server of its own; with --existing it is that of the database
which XCAT_HOME or XCAT_DATABASE_URL names, and is published again afterwards. Limits are those of the project, for
1,000,000 sources on two cores of one's own.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import random
import socket
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import psycopg
import published as of_tables

from xcat.config import Settings
from xcat.config import settings as of_environment
from xcat.database import retention, runs
from xcat.database.address import READER, conninfo, database_url
from xcat.database.connection import connect, ready
from xcat.database.runs import stage
from xcat.jobs.publishing import publish
from xcat.jobs.stages import classify_stage
from xcat.report.candidates import candidates

P99_LIMIT = 3.0
PARTS = ("queries", "readers", "pages")
START_LIMIT_MS, SOURCE_LIMIT_MS = 100.0, 150.0
ALONE, BUSY, OVER = range(3)
CANDIDATES = (
    "SELECT name, ra, dec, p_class, outlier FROM pub.{name}_candidates WHERE p_class > {least} AND NOT is_outlier"
    " ORDER BY p_class DESC LIMIT 100"
)
CONE = "SELECT name, class, p_class FROM pub.classified WHERE pub.in_cone(ra, dec, {ra}, {dec}, 0.1)"
LINEAGE = ("source_run_id", "link_run_id", "match_run_id", "property_run_id", "label_run_id", "model_run_id")


@contextmanager
def made_up(n: int) -> Iterator[Settings]:
    """A server with a published state of n sources."""
    with of_tables.published(n) as (settings, _, _):
        yield settings


@contextmanager
def existing() -> Iterator[Settings]:
    """The database of the environment."""
    yield of_environment()


# --- readers ----------------------------------------------------------------------------------------------


async def _reader(info: str, phase: Any, texts: list[tuple[str, str]], pause_s: float, out: dict[Any, Any]) -> None:
    """Ask again and again; times by phase and kind of query."""
    dice = random.Random()
    async with await psycopg.AsyncConnection.connect(info, autocommit=True) as conn:
        await asyncio.sleep(dice.uniform(0, pause_s))
        while phase.value != OVER:
            now, (kind, text) = phase.value, dice.choice(texts)
            start = time.perf_counter()
            try:
                await (await conn.execute(text)).fetchall()  # type: ignore[call-overload]
                out[now, kind].append(1000 * (time.perf_counter() - start))
            except psycopg.Error as error:
                out[now, "errors"].append(str(error))
            await asyncio.sleep(dice.uniform(0.5, 1.5) * pause_s)


def read(info: str, phase: Any, texts: list[tuple[str, str]], n_readers: int, pause_s: float, pipe: Any) -> None:
    """All readers, in a process of their own."""
    found: dict[Any, Any] = defaultdict(list)

    async def all_of_them() -> None:
        await asyncio.gather(*(_reader(info, phase, texts, pause_s, found) for _ in range(n_readers)))

    asyncio.run(all_of_them())
    pipe.send(dict(found))


def texts_of(settings: Settings) -> list[tuple[str, str]]:
    """Queries of every kind: the candidates of every class from several probabilities on, and cones around sources."""
    with ready(settings) as conn:
        classes = [row[0].lower() for row in conn.execute("SELECT class FROM pub.model_class")]
        places = conn.execute("SELECT ra, dec FROM pub.classified ORDER BY hashint8(source_id) LIMIT 400").fetchall()
    of_class = [
        ("candidates", CANDIDATES.format(name=name, least=least)) for name in classes for least in (0.5, 0.8, 0.9)
    ]
    cones = [("cone", CONE.format(ra=ra, dec=dec)) for ra, dec in places]
    return of_class * (len(cones) // max(len(of_class), 1) or 1) + cones


def classify_again(settings: Settings, like: int) -> int:
    """Classify all sources once more, as a run did, and publish that."""
    with ready(settings) as conn:
        row = runs.get(conn, like)
    lineage = {name: row[name] for name in LINEAGE}
    reads = (row["property_run_id"], row["label_run_id"], row["model_run_id"])
    with stage(settings, "classify", row["name"], {"benchmark": time.time()}, **lineage) as run:
        classify_stage(run, *reads)
    publish(settings, run.run_id, force="a benchmark")
    return run.run_id


def measure_readers(settings: Settings, n_readers: int, seconds: float, pause_s: float) -> bool:
    """Times of readers alone and beside a reclassification; whether the limits are kept."""
    with ready(settings) as conn:
        ((shown, n_sources),) = conn.execute("SELECT pub.published_run(), (SELECT count(*) FROM pub.classified)")
    print(f"readers: {n_readers}, {n_sources:,} sources", flush=True)
    context = multiprocessing.get_context("fork")
    phase = context.Value("i", ALONE)
    mine, theirs = context.Pipe()
    info = conninfo(database_url(settings, READER))
    arguments = (info, phase, texts_of(settings), n_readers, pause_s, theirs)
    process = context.Process(target=read, args=arguments)
    process.start()
    made: list[int] = []
    try:
        time.sleep(seconds)
        phase.value = BUSY
        start = time.monotonic()
        while not made or time.monotonic() - start < seconds:
            made.append(classify_again(settings, shown))
        busy_s = time.monotonic() - start
        phase.value = OVER
        found = mine.recv()
        process.join()
    finally:
        phase.value = OVER
        if made:
            publish(settings, shown, force="a benchmark is over")
            retention.drop_runs(settings, made)
    print(f"  classified again and published {len(made)} times in {busy_s:.0f} s", flush=True)
    errors = found.get((ALONE, "errors"), []) + found.get((BUSY, "errors"), [])
    print(f"  {len(errors)} errors{': ' + errors[0] if errors else ''}")
    is_kept = not errors
    for kind in ("candidates", "cone"):
        alone, busy = (np.array(found.get((now, kind), [np.nan])) for now in (ALONE, BUSY))
        for what, times in (("alone", alone), ("beside", busy)):
            p50, p95, p99 = np.percentile(times, [50, 95, 99])
            print(f"  {kind}, {what}: p50 {p50:.2f} ms, p95 {p95:.2f} ms, p99 {p99:.2f} ms ({len(times)} answers)")
        ratio = float(np.percentile(busy, 99) / np.percentile(alone, 99))
        print(of_tables.said(f"  {kind}: p99 beside over p99 alone", ratio, P99_LIMIT, ""), flush=True)
        is_kept = is_kept and ratio <= P99_LIMIT
    return is_kept


# --- single queries ---------------------------------------------------------------------------------------


def measure_queries(settings: Settings, n_queries: int) -> None:
    """Queries one after the other, beside the same on a bare table."""
    with ready(settings, autocommit=True) as conn:
        ((run_id, n_sources),) = conn.execute("SELECT pub.published_run(), (SELECT count(*) FROM pub.classified)")
        print(f"queries: {n_sources:,} sources", flush=True)
        try:
            of_tables.measure_queries(conn, run_id, n_sources, n_queries)
        finally:
            with suppress(psycopg.Error):
                conn.execute("DROP TABLE IF EXISTS xcat.bench_bare")
        classes = [row[0] for row in conn.execute("SELECT class FROM pub.model_class")]
    for name in classes:  # counts what a list may expect over all sources, too
        times = []
        for _ in range(5):
            start = time.perf_counter()
            with connect(settings) as conn:
                candidates(conn, name, limit=100)
            times.append(1000 * (time.perf_counter() - start))
        print(f"  xcat candidates {name} --max-rows 100: median {np.median(times):.0f} ms, without a limit of its own")


# --- pages ------------------------------------------------------------------------------------------------


def measure_pages(settings: Settings, n_pages: int) -> bool:
    """Server time of pages, warm; whether the limits are kept."""
    import httpx

    from xcat.service.web import make_server

    with ready(settings) as conn:
        query = "SELECT source_id FROM pub.classified ORDER BY hashint8(source_id) LIMIT %s"
        ids = [row[0] for row in conn.execute(query, [n_pages])]
        ((n_sources,),) = conn.execute("SELECT count(*) FROM pub.classified")
    print(f"pages: {n_sources:,} sources", flush=True)
    is_kept = True
    server = make_server(settings, "127.0.0.1", 0)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        while not server.started:
            time.sleep(0.1)
        client = httpx.Client(base_url=f"http://127.0.0.1:{listening.getsockname()[1]}", timeout=120)
        sources = [f"/source/{number}" for number in ids]
        for what, paths, limit in (("start", ["/"] * n_pages, START_LIMIT_MS), ("source", sources, SOURCE_LIMIT_MS)):
            for path in paths[:10]:
                client.get(path).raise_for_status()
            times = []
            for path in paths[10:]:
                start = time.perf_counter()
                client.get(path).raise_for_status()
                times.append(1000 * (time.perf_counter() - start))
            p50, p95 = np.percentile(times, [50, 95])
            print(of_tables.said(f"  {what}: p50 {p50:.0f} ms, p95", p95, limit, " ms"), flush=True)
            is_kept = is_kept and bool(p95 <= limit)
        server.should_exit = True
        thread.join()
    return is_kept


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sources", type=int, default=1_000_000)
    parser.add_argument("--existing", action="store_true", help="The database of the environment.")
    parser.add_argument("--readers", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60.0, help="Of each phase, at least.")
    parser.add_argument("--pause", type=float, default=1.0, help="Seconds between an answer and the next question.")
    parser.add_argument("--queries", type=int, default=400)
    parser.add_argument("--pages", type=int, default=200)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    options = parser.parse_args()
    with existing() if options.existing else made_up(options.sources) as config:
        if "queries" in options.parts:
            measure_queries(config, options.queries)
        kept = "readers" not in options.parts or measure_readers(
            config, options.readers, options.seconds, options.pause
        )
        if "pages" in options.parts:
            kept = measure_pages(config, options.pages) and kept
    sys.exit(not kept)
