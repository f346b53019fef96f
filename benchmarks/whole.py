"""A simulated sky through all stages, everything refitted: seconds of each beside a bare COPY of its rows.

The limits are 15 minutes and 4 GB for 1,000,000 sources on two idle cores.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from common import frame, peak_memory_mb, private_database
from psycopg import sql

from xcat.config import Settings
from xcat.database.connection import Connection, ready
from xcat.database.schema import CATALOGUE_TABLES, PUB_TABLES, RUN_TABLES
from xcat.jobs.pipeline import Plan, read
from xcat.jobs.runner import Runner
from xcat.simulate import simulate

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "simulated.yaml"
LIMIT_S, LIMIT_MB, OF_SOURCES = 900.0, 4096.0, 1_000_000
CHUNK = 1 << 20


def written(conn: Connection, kind: str, run_ids: list[int]) -> Iterator[tuple[sql.Composable, sql.Composable]]:
    """Tables, and a condition on their rows, that stages of a kind have written."""
    if kind == "ingest":
        for table in CATALOGUE_TABLES:
            yield sql.SQL("xcat.{}").format(sql.Identifier(table)), sql.SQL("true")
        return
    schema, tables = ("pub", PUB_TABLES) if kind == "publish" else ("xcat", RUN_TABLES)
    for table in tables:
        has_rows = sql.SQL("run_id = ANY ({})").format(sql.Literal(run_ids))
        yield sql.SQL("{}.{}").format(sql.Identifier(schema), sql.Identifier(table)), has_rows


def bare_copy(settings: Settings, kind: str, run_ids: list[int]) -> tuple[float, int]:
    """Seconds to COPY the rows into empty tables without index, and their bytes."""
    seconds, n_bytes = 0.0, 0
    with ready(settings) as conn, tempfile.TemporaryFile() as spool:
        for table, has_rows in written(conn, kind, run_ids):
            spool.seek(0)
            spool.truncate()
            query = sql.SQL("COPY (SELECT * FROM {} WHERE {}) TO STDOUT (FORMAT binary)").format(table, has_rows)
            with conn.cursor().copy(query) as copy:
                for part in copy:
                    spool.write(part)
            n_bytes += spool.tell()
            conn.execute(sql.SQL("CREATE TEMP TABLE bare (LIKE {}) ON COMMIT DROP").format(table))
            spool.seek(0)
            start = time.perf_counter()
            with conn.cursor().copy("COPY pg_temp.bare FROM STDIN (FORMAT binary)") as copy:
                while part := spool.read(CHUNK):
                    copy.write(part)
            seconds += time.perf_counter() - start
            conn.execute("DROP TABLE pg_temp.bare")
    return seconds, n_bytes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sources", type=int, default=60_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with private_database() as settings, tempfile.TemporaryDirectory() as folder:
        sky = Path(folder) / "sky"
        simulate(options.sources, options.seed, sky)
        start = time.perf_counter()
        Runner(settings, Plan(read(EXAMPLE), sky)).run_as_pipeline()
        wall = time.perf_counter() - start
        peak = peak_memory_mb()
        stages = frame(
            settings,
            "SELECT kind, array_agg(run_id) AS run_ids,"
            " sum(extract(epoch FROM ended_at - started_at))::float8 AS seconds"
            " FROM xcat.run WHERE kind <> 'pipeline' GROUP BY kind ORDER BY min(run_id)",
        )
        of_kind = dict(zip(stages.kind, stages.run_ids, strict=True))
        of_kind["publish"] = of_kind["classify"]  # its rows have the number of the run that they show
        print(f"{options.sources:,} simulated sources, all stages, everything refitted")
        print(f"{'stage':12}{'seconds':>9}{'share':>8}{'MB written':>12}{'bare COPY, s':>14}{'ratio':>8}")
        for stage in stages.itertuples():
            bare, n_bytes = bare_copy(settings, stage.kind, of_kind[stage.kind])
            ratio = f"{stage.seconds / bare:8.1f}" if n_bytes > CHUNK else f"{'-':>8}"
            share = stage.seconds / wall
            print(f"{stage.kind:12}{stage.seconds:9.1f}{share:8.0%}{n_bytes / 1e6:12.1f}{bare:14.2f}{ratio}")
    at_limit = wall / options.sources * OF_SOURCES
    print(f"whole: {wall:.0f} s; for {OF_SOURCES:,} sources in proportion {at_limit:.0f} s, limit {LIMIT_S:.0f} s")
    print(f"peak memory of this process {peak:.0f} MB, limit {LIMIT_MB:.0f} MB")


if __name__ == "__main__":
    main()
