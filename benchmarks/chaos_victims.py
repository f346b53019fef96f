"""What chaos.py does to a run: signals, connections that break, a disk that is full. It knows of no pipelines."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SIGNALS = ("SIGKILL", "SIGTERM", "SIGINT")
CUT, FULL = ("worker", "connections lost"), ("disk", "full")
#: Who is struck, and how.
KINDS = (
    *((victim, number) for victim in ("client", "worker", "backend", "postmaster") for number in SIGNALS),
    ("worker", "SIGSTOP, SIGCONT"),
    CUT,
    FULL,
)
_PIDFD_GETFD = 438  # the number of the system call is the same on all machines


def send(pid: int, name: str) -> None:
    """Send a signal; the process may have ended."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.Signals[name])


def freeze(pid: int, seconds: float) -> None:
    """Stop a process for some time, as a machine does that swaps or a virtual one that is moved."""
    send(pid, "SIGSTOP")
    time.sleep(seconds)
    send(pid, "SIGCONT")


def _descriptor(pid: int, number: int) -> int:
    """Make a copy of a descriptor of another process; -1 if that is not permitted, or it has none of this number."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return -1
    try:
        return int(ctypes.CDLL(None).syscall(_PIDFD_GETFD, process, number, 0))
    finally:
        os.close(process)


def may_cut(pid: int) -> bool:
    """Whether connections of another process can be cut here."""
    copy = _descriptor(pid, 0)
    if copy >= 0:
        os.close(copy)
    return copy >= 0


def cut(pid: int) -> int:
    """Shut the connections of another process to a server, under its hands; their number."""
    n_cut = 0
    with suppress(FileNotFoundError, ProcessLookupError):  # it has ended
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):  # it is closed meanwhile
                copy = _descriptor(pid, int(link.name)) if str(link.readlink()).startswith("socket:") else -1
                if copy >= 0:
                    with socket.socket(fileno=copy) as connection:
                        if ".s.PGSQL." in str(connection.getpeername()):
                            connection.shutdown(socket.SHUT_RDWR)
                            n_cut += 1
    return n_cut


class Disk:
    """A small file system in memory, on which the whole server lives, and which can be filled to the last block."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Leave no block."""
        with self._ballast.open("ab") as file:
            step = 1 << 24
            while step >= 4096:
                with suppress(OSError):
                    while True:
                        os.posix_fallocate(file.fileno(), file.tell(), step)
                        file.seek(0, os.SEEK_END)
                step //= 4

    def free(self) -> None:
        """Take the ballast away."""
        self._ballast.unlink(missing_ok=True)


@contextmanager
def small_disk(size_mb: int) -> Iterator[Disk | None]:
    """Mount a disk; None where that is not permitted, as it is to root alone."""
    folder = Path(tempfile.mkdtemp(prefix="xcat-chaos-disk-"))
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m,mode=755", "tmpfs", str(folder)]
    is_mounted = (
        os.geteuid() == 0
        and shutil.which("mount") is not None
        and subprocess.run(command, capture_output=True, check=False).returncode == 0
    )
    try:
        yield Disk(folder) if is_mounted else None
    finally:
        if is_mounted:
            subprocess.run(["umount", str(folder)], check=True)
        folder.rmdir()
