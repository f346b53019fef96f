"""Signals: SIGTERM and SIGHUP end a command as Ctrl-C does, with everything rolled back and a word about it."""

from __future__ import annotations

import signal
from types import FrameType

received: signal.Signals | None = None


class Ended(KeyboardInterrupt):
    """A signal asks the program to end; a kind of Ctrl-C, so that all that knows Ctrl-C knows it."""


def _end(number: int, frame: FrameType | None) -> None:
    global received
    received = signal.Signals(number)
    raise Ended(f"cancelled by a signal ({received.name})")


def listen() -> None:
    """From now on SIGTERM and SIGHUP raise `Ended`; one that the caller ignores stays ignored, as under nohup."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # a caller that ignores it would hide how our children end
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)
