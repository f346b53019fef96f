"""Pages under load: how long the service takes for a source, the start page and a list of candidates.

It serves the published run of XCAT_HOME in a process of its own, and asks one page after another, each of another
source. Times are of whole requests on this machine, HTTP included. The first of each kind warms up and is not counted.
"""

from __future__ import annotations

import argparse
import time

import httpx
import numpy as np
from tap import rss_mb, served

from xcat.config import settings
from xcat.database.connection import reader

#: 95 of 100 requests must be faster than this, ms.
LIMITS_MS = {"source": 150.0, "source as JSON": 150.0, "start": 100.0, "candidates": np.inf}


def addresses(n: int) -> dict[str, list[str]]:
    """What is asked: random sources, and one page again and again."""
    with reader(settings()) as conn:
        ((n_sources,),) = conn.execute("SELECT count(*) FROM pub.classified")
        share = min(100.0, 400.0 * n / n_sources)
        query = f"SELECT name FROM pub.classified TABLESAMPLE SYSTEM ({share}) REPEATABLE (1)"
        names = [str(name).strip() for (name,) in conn.execute(query)]  # type: ignore[arg-type]
    chosen = [names[i] for i in np.random.default_rng(1).choice(len(names), min(n, len(names)), replace=False)]
    print(f"{n_sources:,} sources")
    return {
        "source": [f"/source/{name}" for name in chosen],
        "source as JSON": [f"/source/{name}?format=json" for name in chosen],
        "start": ["/"] * n,
        "candidates": ["/candidates?class=XRB"] * n,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=200)
    options = parser.parse_args()
    asked = addresses(options.requests)
    has_missed = False
    with served() as (url, pid), httpx.Client(base_url=url, timeout=600) as http:
        for name, paths in asked.items():
            start = time.perf_counter()
            http.get(paths[0]).raise_for_status()
            first_s = time.perf_counter() - start
            times = []
            for path in paths[1:]:
                start = time.perf_counter()
                http.get(path).raise_for_status()
                times.append(1e3 * (time.perf_counter() - start))
            p50, p95 = np.percentile(times, [50, 95])
            is_kept = p95 < LIMITS_MS[name]
            has_missed |= not is_kept
            print(
                f"{name}: p50 {p50:.0f} ms, p95 {p95:.0f} ms, limit {LIMITS_MS[name]:.0f} ms: "
                f"{'kept' if is_kept else 'MISSED'}; the first {first_s:.1f} s; memory {rss_mb(pid):.0f} MB"
            )
    if has_missed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
