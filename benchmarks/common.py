"""What the benchmarks share: a private server, timing in turn, peak memory."""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from xcat import progress
from xcat.config import Settings
from xcat.database.connection import ready
from xcat.database.embedded import EmbeddedServer
from xcat.progress import peak_memory_mb

__all__ = ["in_turn", "peak_memory_mb", "private_database"]


@contextmanager
def private_database() -> Iterator[Settings]:
    """A fresh embedded server with the schema, removed afterwards."""
    progress.silence()
    home = Path(tempfile.mkdtemp(prefix="xcat-bench-"))
    settings = Settings(home=home, database_url=None)
    server = EmbeddedServer(home)
    try:
        ready(settings).close()
        yield settings
    finally:
        server.stop()
        shutil.rmtree(home)


def in_turn(
    ours: Callable[[], object], bare: Callable[[], object], runs: int, before: Callable[[], object] = lambda: None
) -> None:
    """Time two sides A B A B ... and print the ratio pair by pair; `before` runs untimed before each."""
    ratios, times = [], []
    for number in range(runs + 1):
        pair = []
        for side in (ours, bare):
            before()
            start = time.perf_counter()
            side()
            pair.append(time.perf_counter() - start)
        if number:  # the first pair warms up
            times.append(pair)
            ratios.append(pair[0] / pair[1])
        print(f"  {number or 'warm-up'}: ours {pair[0]:.2f} s, bare {pair[1]:.2f} s")
    print(f"ours  median {statistics.median(t[0] for t in times):.2f} s")
    print(f"bare  median {statistics.median(t[1] for t in times):.2f} s")
    print(f"ratio median {statistics.median(ratios):.2f} (from {min(ratios):.2f} to {max(ratios):.2f})")
