"""Limits of processor time that mean the same on every machine."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager

_USUAL_S = 0.04  # of a million additions, on the machine for which limits are stated


@contextmanager
def at_most(limit_s: float, what: object = "") -> Iterator[None]:
    """Fail if the block takes more processor time than this, on the usual machine; a slower one has as much more.

    Python's collector is off: in a process that ran a thousand tests it takes a second by itself.
    """
    gc.disable()
    start = time.process_time()
    try:
        yield
        took = time.process_time() - start
    finally:
        gc.enable()
    if took >= limit_s:
        assert took < limit_s * _slowness(), (what, took)


def _slowness() -> float:
    start = time.process_time()
    total = 0
    for number in range(1_000_000):
        total += number
    return max(1.0, (time.process_time() - start) / _USUAL_S)
