"""Seconds that the real catalogues take: the whole Chandra pipeline, and linking the seven surveys.

The limits are 40 s and 30 s on two idle cores; single times mean little on a shared machine, so the CPU time of
this process is also given (not the server's).
"""

from __future__ import annotations

import argparse
import os
import time
from datetime import datetime
from pathlib import Path

from common import peak_memory_mb, private_database

from xcat.database.connection import ready
from xcat.database.runs import get
from xcat.jobs.pipeline import Plan, read
from xcat.jobs.runner import Runner

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
CHANDRA_LIMIT_S, LINK_LIMIT_S = 40.0, 30.0


def verdict(what: str, seconds: float, limit_s: float) -> str:
    return f"{what}: {seconds:.1f} s, limit {limit_s:.0f} s: {'kept' if seconds < limit_s else 'MISSED'}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder that holds chandra/, reference/ and surveys/")
    options = parser.parse_args()
    with private_database() as settings:
        for name in ("chandra", "surveys"):
            start, used = time.perf_counter(), sum(os.times()[:2])
            runs = Runner(settings, Plan(read(EXAMPLES / f"{name}.yaml"), options.data)).run_as_pipeline()
            wall, ours = time.perf_counter() - start, sum(os.times()[:2]) - used
            if name == "chandra":
                print(verdict("chandra.yaml, all stages", wall, CHANDRA_LIMIT_S), f"({ours:.1f} s of this process)")
            else:
                with ready(settings, autocommit=True) as conn:
                    link = get(conn, runs["link"])
                begun, ended = (datetime.fromisoformat(link[key]) for key in ("started_at", "ended_at"))
                print(
                    verdict("surveys.yaml, the links", (ended - begun).total_seconds(), LINK_LIMIT_S),
                    f"(all stages {wall:.1f} s)",
                )
    print(f"peak memory {peak_memory_mb():.0f} MB")


if __name__ == "__main__":
    main()
