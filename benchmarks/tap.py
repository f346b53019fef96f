"""The TAP service under load: many clients, a long result, and what HTTP and XML cost beside the SQL.

clients  so many clients at once ask mixed queries for some seconds: errors, queries per second, p50 and p99
stream   a result of so many rows in BINARY2, XML and CSV: rows per second, and the memory that the service takes
ratio    a cone and an upload of 1,000 positions: the SQL that the service runs against the same written by hand, in
         turn; and the whole request, with HTTP and XML

It serves the published run of XCAT_HOME, at a port of its own, in a process of its own.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
from astropy.table import Table
from psycopg import sql

from xcat.adql import translate
from xcat.config import settings
from xcat.database.connection import Connection, reader
from xcat.service.tap import uploads
from xcat.service.tap.tables import Tables

LIMIT = 3.0
CONE = "SELECT * FROM pub.classified WHERE 1 = CONTAINS(POINT(ra, dec), CIRCLE({ra}, {dec}, 0.5))"
MATCH = (
    "SELECT m.number, c.name, c.class, c.p_class FROM TAP_UPLOAD.mine AS m JOIN pub.classified AS c"
    " ON 1 = CONTAINS(POINT(c.ra, c.dec), CIRCLE(m.ra, m.dec, 5.0 / 3600))"
)
MIXED = (
    "SELECT TOP 100 name, class, p_class FROM pub.classified WHERE p_class > 0.9 AND class = 'XRB'",
    "SELECT class, COUNT(*) AS n FROM pub.classified GROUP BY class",
    "SELECT TOP 20 s.name, c.sep_arcsec FROM pub.classified AS s JOIN pub.counterparts AS c"
    " ON c.source_id = s.source_id",
    "SELECT table_name FROM tap_schema.tables",
)
FORMATS = ("votable", "votable/td", "csv")


def rss_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


@contextmanager
def served(**limits: object) -> Iterator[tuple[str, int]]:
    """The service as a process; its address and number."""
    variables = {f"XCAT_TAP_{name.upper()}": str(value) for name, value in limits.items()}
    command = [sys.executable, "-c", "from xcat.cli.app import program; program()", "serve", "--port", "0"]
    process = subprocess.Popen(command, env=os.environ | variables, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    url = process.stderr.readline().partition(" at ")[2].partition("/ ")[0]
    try:
        while True:
            try:
                httpx.get(f"{url}/tap/availability", timeout=60).raise_for_status()
                break
            except httpx.ConnectError:
                time.sleep(0.1)
        yield url, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def ask(http: httpx.Client, query: str, form: str) -> httpx.Response:
    return http.post("/tap/sync", data={"LANG": "ADQL", "QUERY": query, "FORMAT": form})


def positions(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions of published sources, taken by chance."""
    with reader(settings()) as conn:
        rows = conn.execute("SELECT ra, dec FROM pub.classified ORDER BY md5(source_id::text) LIMIT %s", [n]).fetchall()
    ra, dec = np.array(rows).T
    return ra, dec


def votable(ra: np.ndarray, dec: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Table({"number": np.arange(len(ra)), "ra": ra, "dec": dec}).write(buffer, format="votable")
    return buffer.getvalue()


def clients(n_clients: int, seconds: float) -> None:
    ra, dec = positions(500)
    upload = votable(ra[:100], dec[:100])
    times, errors = list[float](), list[str]()
    begins = time.monotonic()

    def client(number: int) -> None:
        rng = random.Random(number)
        with httpx.Client(base_url=url, timeout=120) as http:
            while time.monotonic() - begins < seconds:
                kind, start = rng.random(), time.monotonic()
                place = rng.randrange(len(ra))
                if kind < 0.1:
                    sent = {"LANG": "ADQL", "QUERY": MATCH, "FORMAT": "csv", "UPLOAD": "mine,param:f"}
                    answer = http.post("/tap/sync", data=sent, files={"f": upload})
                elif kind < 0.4:
                    answer = http.get(f"/scs?RA={ra[place]}&DEC={dec[place]}&SR=0.1&VERB=2")
                elif kind < 0.6:
                    query = CONE.format(ra=ra[place], dec=dec[place])
                    answer = ask(http, query, rng.choice(FORMATS))
                else:
                    answer = ask(http, rng.choice(MIXED), rng.choice(FORMATS))
                times.append(time.monotonic() - start)
                if answer.status_code != 200:
                    errors.append(f"{answer.status_code} {answer.text[-200:]}")

    with served(client_queries=1000) as (url, pid):
        threads = [threading.Thread(target=client, args=(number,)) for number in range(n_clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.monotonic() - begins
        p50, p99 = np.percentile(times, [50, 99])
        print(f"clients {n_clients}, {took:.0f} s: {len(times):,} requests, {len(times) / took:.0f} per second")
        print(f"  p50 {p50:.2f} s, p99 {p99:.2f} s, slowest {max(times):.2f} s, memory {rss_mb(pid):.0f} MB")
        print(f"  errors: {len(errors)} {errors[:3]}")
        if errors:
            raise SystemExit("there must be none")


def stream(n_rows: int) -> None:
    with reader(settings()) as conn:
        ((n_sources,),) = conn.execute("SELECT count(*) FROM pub.classified")
    factor = -(-n_rows // n_sources)
    query = (
        "SELECT s.source_id, s.name, s.ra, s.dec, s.err_arcsec, s.class, s.p_class, s.outlier, s.flux_cgs, s.hr1"
        f" FROM pub.classified AS s CROSS JOIN (SELECT TOP {factor} source_id AS n FROM pub.classified) AS many"
    )
    with served(timeout_s=600, most_rows=n_rows) as (url, pid):
        for form in FORMATS:
            n_bytes, begins, most = 0, time.monotonic(), rss_mb(pid)
            first = most
            sent = {"LANG": "ADQL", "QUERY": query, "FORMAT": form, "MAXREC": str(n_rows)}
            with httpx.stream("POST", f"{url}/tap/sync", data=sent, timeout=600) as answer:
                answer.raise_for_status()
                for piece in answer.iter_bytes():
                    n_bytes += len(piece)
                    most = max(most, rss_mb(pid)) if n_bytes % 16 < 4 else most
            took = time.monotonic() - begins
            print(
                f"{form}: {n_rows:,} rows, {n_bytes / 1e6:.0f} MB in {took:.1f} s, {n_rows / took:,.0f} rows/s;"
                f" memory {first:.0f} MB before, {most:.0f} MB at most"
            )


def in_turn(sides: dict[str, Callable[[], object]], n_runs: int) -> dict[str, list[float]]:
    """Seconds of each side, the sides in turn; the first turn warms up."""
    times = {name: list[float]() for name in sides}
    for number in range(n_runs + 1):
        for name, side in sides.items():
            start = time.perf_counter()
            side()
            if number:
                times[name].append(time.perf_counter() - start)
    return times


def ratio(n_runs: int) -> None:
    ra, dec = positions(1000)
    document = votable(ra, dec)
    bare_cone = f"SELECT * FROM pub.classified WHERE pub.in_cone(ra, dec, {ra[0]}, {dec[0]}, 0.5)"
    bare_match = (
        "SELECT m.number, c.name, c.class, c.p_class FROM pg_temp.bare AS m JOIN pub.classified AS c"
        " ON public.q3c_join(m.ra, m.dec, c.ra, c.dec, 5.0 / 3600)"
    )
    with served() as (url, _), httpx.Client(base_url=url) as http, reader(settings()) as conn:
        conn.autocommit = True
        tables = Tables().read(conn).adql
        mine = uploads.load(conn, uploads.Upload("mine", lambda: io.BytesIO(document)), 1)
        with conn.transaction():
            conn.execute("SET TRANSACTION READ WRITE")
            conn.execute("CREATE TEMP TABLE bare AS SELECT number, ra, dec FROM pg_temp.upload_1")
            conn.execute("ANALYZE bare")
        cone = CONE.format(ra=ra[0], dec=dec[0])
        for name, query, bare, request in (
            ("cone", cone, bare_cone, lambda: ask(http, cone, "votable")),
            ("upload of 1,000", MATCH, bare_match, lambda: _matched(http, document)),
        ):
            ours = translate(query, [*tables, mine], maxrec=100_000).sql
            sides = {"SQL": _fetch(conn, ours), "psql": _fetch(conn, bare), "request": request}
            assert len(conn.execute(sql.SQL(ours)).fetchall()) == len(conn.execute(sql.SQL(bare)).fetchall())
            times = in_turn(sides, n_runs)
            middle = {side: statistics.median(values) for side, values in times.items()}
            ratios = [a / b for a, b in zip(times["SQL"], times["psql"], strict=True)]
            found = statistics.median(ratios)
            print(
                f"{name}: SQL {1e3 * middle['SQL']:.1f} ms, by hand {1e3 * middle['psql']:.1f} ms: ratio "
                f"{found:.2f}, limit {LIMIT:g}: {'kept' if found <= LIMIT else 'MISSED'}; "
                f"whole request {1e3 * middle['request']:.1f} ms"
            )


def _fetch(conn: Connection, text: str) -> Callable[[], object]:
    return lambda: conn.execute(sql.SQL(text)).fetchall()


def _matched(http: httpx.Client, document: bytes) -> httpx.Response:
    given = {"LANG": "ADQL", "QUERY": MATCH, "FORMAT": "votable", "UPLOAD": "mine,param:f"}
    return http.post("/tap/sync", data=given, files={"f": document})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", default=["clients", "stream", "ratio"])
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=9)
    given = parser.parse_args()
    for what in given.what:
        {
            "clients": lambda: clients(given.clients, given.seconds),
            "stream": lambda: stream(given.rows),
            "ratio": lambda: ratio(given.runs),
        }[what]()


if __name__ == "__main__":
    main()
