"""A q3c join of two tables of random positions: workers allowed, against one process.

Both sides run the same statement on the same tables; before xcat relabels q3c's functions, the first is serial too.
"""

from __future__ import annotations

import argparse

import numpy as np
from common import in_turn, private_database

from xcat.database import copy
from xcat.database.connection import Connection, ready

JOIN = "SELECT count(*) FROM needles AS n JOIN haystack AS h ON q3c_join(n.ra, n.dec, h.ra, h.dec, %s)"


def fill(conn: Connection, table: str, n: int, seed: int) -> None:
    """Write n positions, uniform over the sky, in the order of the index."""
    rng = np.random.default_rng(seed)
    block = {"ra": rng.uniform(0, 360, n), "dec": np.degrees(np.arcsin(rng.uniform(-1, 1, n)))}
    conn.execute("CREATE TEMP TABLE unsorted (ra double precision, dec double precision)")
    copy.copy_in(conn, "unsorted", [block])
    conn.execute(f"CREATE TABLE {table} AS SELECT * FROM unsorted ORDER BY q3c_ang2ipix(ra, dec)")
    conn.execute("DROP TABLE unsorted")
    conn.execute(f"CREATE INDEX ON {table} (q3c_ang2ipix(ra, dec))")
    conn.commit()
    conn.autocommit = True
    conn.execute(f"VACUUM ANALYZE {table}")
    conn.autocommit = False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--needles", type=int, default=200_000)
    parser.add_argument("--haystack", type=int, default=2_000_000)
    parser.add_argument("--radius-arcsec", type=float, default=60.0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    n_pairs: list[int] = []
    with private_database() as settings, ready(settings) as conn:
        fill(conn, "needles", options.needles, seed=1)
        fill(conn, "haystack", options.haystack, seed=2)

        def join(workers: int) -> None:
            conn.execute(f"SET LOCAL max_parallel_workers_per_gather = {workers}")
            row = conn.execute(JOIN, [options.radius_arcsec / 3600]).fetchone()
            assert row is not None
            n_pairs.append(row[0])

        conn.execute(f"SET LOCAL max_parallel_workers_per_gather = {options.workers}")
        for (line,) in conn.execute("EXPLAIN (COSTS OFF) " + JOIN, [options.radius_arcsec / 3600]):
            print(f"  {line[:100]}")
        print(f"{options.needles:,} x {options.haystack:,} positions, {options.radius_arcsec:g} arcsec")
        in_turn(lambda: join(options.workers), lambda: join(0), options.runs, before=conn.rollback)
    if len(set(n_pairs)) != 1:
        raise SystemExit(f"the two sides give different numbers of pairs: {sorted(set(n_pairs))}")
    print(f"{n_pairs[0]:,} pairs on both sides; ours has up to {options.workers} workers, bare none")


if __name__ == "__main__":
    main()
