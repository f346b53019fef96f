"""Programs of xcat for chaos.py, each a process of its own, forked from one that has loaded the libraries already."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Mapping
from datetime import timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path

DEAD_S = 1.5
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(
    [
        "xcat.cli.app",
        "xcat.service.worker",
        "xcat.service.volunteers.watchlists",
        "pandas",
        "scipy.fft",
        "scipy.optimize",
    ]
)


def start(words: list[str], environment: Mapping[str, str], log: Path) -> BaseProcess:
    """Start a command of xcat: its words, its environment, and the file that gets all it prints."""
    process = _FORKS.Process(target=_program, args=(words, dict(environment), log))
    process.start()
    return process


def _program(words: list[str], environment: Mapping[str, str], log: Path) -> None:
    os.environ.clear()
    os.environ.update(environment)
    with log.open("a", encoding="utf-8") as file:
        for number in (1, 2):
            os.dup2(file.fileno(), number)
    _soon()
    sys.argv = ["xcat", *words]
    from xcat.cli.app import program

    program()


def _soon() -> None:
    """Let all that a worker waits for come soon, so that many rounds fit: what xcat waits for is ten times as long."""
    from xcat.service import orders, worker

    orders.PAUSES = worker.PAUSES = (timedelta(seconds=1),) * 8
    worker._BEAT_S, worker.DEAD_S, worker._TICK_S, worker._AGAIN_S, worker._SHUT_S = 0.3, DEAD_S, 0.2, 0.2, 1.0
