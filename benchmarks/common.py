"""What the benchmarks share: a private server, timing in turn, peak memory, answers against the truth of a sky."""

from __future__ import annotations

import shutil
import statistics
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from xcat import progress
from xcat.config import Settings
from xcat.database.connection import ready
from xcat.database.embedded import EmbeddedServer
from xcat.progress import peak_memory_mb

__all__ = [
    "calibration_error",
    "frame",
    "in_turn",
    "peak_memory_mb",
    "private_database",
    "purity",
    "truth_of",
    "wrapped",
]


@contextmanager
def private_database(home: Path | None = None) -> Iterator[Settings]:
    """A fresh embedded server with the schema, in a folder of the system or in `home`, removed afterwards."""
    progress.silence()
    home = home or Path(tempfile.mkdtemp(prefix="xcat-bench-"))
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


def wrapped(text: str) -> str:
    """A paragraph of a page of results."""
    return textwrap.fill(text, 124, break_long_words=False)


def frame(settings: Settings, query: str, *params: object) -> pd.DataFrame:
    with ready(settings) as conn:
        cursor = conn.execute(query, params)
        return pd.DataFrame(cursor.fetchall(), columns=[c.name for c in cursor.description or ()])


def truth_of(settings: Settings, folder: Path, merge_run_id: int) -> pd.Series:
    """True class of each source: that of most of its detections."""
    members = frame(
        settings,
        "SELECT sd.source_id, substr(k.name, 5) AS mission, d.native_id FROM xcat.source_detection AS sd"
        " JOIN xcat.detection AS d USING (catalogue_id, object_id) JOIN xcat.catalogue AS k USING (catalogue_id)"
        " WHERE sd.run_id = %s",
        merge_run_id,
    ).merge(pd.read_parquet(folder / "truth" / "xray.parquet"), on=["mission", "native_id"], validate="one_to_one")
    members["is"] = members["class"].where(~members.is_spurious, "spurious")
    counted = members.groupby(["source_id", "is"]).size().sort_values(kind="stable")
    return counted.reset_index().drop_duplicates("source_id", keep="last").set_index("source_id")["is"]


def purity(p: np.ndarray, is_it: np.ndarray, completeness: float) -> float:
    """Fraction of members among the most probable sources that contain this fraction of the class."""
    right = is_it[np.argsort(-p, kind="stable")]
    n = int(np.searchsorted(np.cumsum(right), np.ceil(completeness * right.sum()))) + 1
    return float(right[:n].mean())


def calibration_error(p: np.ndarray, right: np.ndarray) -> float:
    """ECE in 15 bins of the largest probability."""
    top = p.max(axis=1)
    bins = np.minimum((top * 15).astype(int), 14)
    return sum(abs(top[bins == b].sum() - right[bins == b].sum()) for b in np.unique(bins)) / len(top)
