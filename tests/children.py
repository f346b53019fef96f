"""How tests start other programs and wait: nothing that pytest's caller left behind reaches a test or its children."""

from __future__ import annotations

import locale
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from xcat.config import Settings

ROOT = Path(__file__).resolve().parents[1]
XCAT = Path(sys.executable).parent / "xcat"
TIMEOUT_S = 600  # ends what hangs; far more than anything takes, so that a busy machine is no failure

CALLER = dict(os.environ)  # for pip, which needs the user's proxies and package index
_KEPT = {"PATH", "LD_LIBRARY_PATH", "JAVA_HOME", "USER", "LOGNAME", "XCAT_SHARED_DATA"}
if os.geteuid() != 0:  # root's may be closed to the user who runs the server
    _KEPT.add("TMPDIR")
_KEPT_PREFIXES = ("PYTEST_", "COV_", "COVERAGE_")
_OURS_ALONE = {signal.SIGPIPE, signal.SIGXFSZ}  # Python ignores them itself, and restores them in children


def tidy() -> Path:
    """Give this process, and so its children, the same surroundings everywhere; the folder made as HOME is returned."""
    cache = user_cache_path()
    kept = {k: v for k, v in os.environ.items() if k in _KEPT or k.startswith(_KEPT_PREFIXES)}
    os.environ.clear()
    os.environ.update(kept)
    tempfile.tempdir = None  # asked again, now that the variables are others
    home = Path(tempfile.mkdtemp(prefix="xcat-test-home-"))
    os.environ.update(
        HOME=str(home),  # no matplotlibrc, .pgpass or astropy.cfg of the user
        XDG_CACHE_HOME=str(cache if _writable(cache) else home / "cache"),  # fonts and NWAY are found once a machine
        LC_ALL="C.UTF-8",
        TZ="UTC",
        COLUMNS="200",
        PYTHONPATH=str(ROOT),  # children run the xcat that is tested
    )
    time.tzset()
    locale.setlocale(locale.LC_ALL, "C.UTF-8")
    os.umask(0o022)
    default_signals()
    return home


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


def default_signals() -> None:
    """Let children start with default signals, as they do from a terminal.

    What is ignored stays so in a child; what is handled does not. So a handler that does nothing takes the place of
    every ignored signal: pytest under nohup stays immune, its children are not.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    for number in signal.valid_signals() - _OURS_ALONE:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda number, frame: None)


def ignoring(names: Iterable[str], command: Iterable[object]) -> list[str]:
    """The command, started with signals ignored, as nohup and background jobs of scripts start it."""
    return ["sh", "-c", f"trap '' {' '.join(names)}; exec {shlex.join(map(str, command))}"]


def environment(settings: Settings | None = None, **variables: str) -> dict[str, str]:
    """Environment of a child that works on the test's database."""
    place = {} if settings is None else {"XCAT_HOME": str(settings.home)}
    if settings is not None and settings.database_url is not None:
        place["XCAT_DATABASE_URL"] = settings.database_url
    return os.environ | place | variables


def start(
    command: Iterable[object], settings: Settings | None = None, *, env: dict[str, str] | None = None, **options: Any
) -> subprocess.Popen[str]:
    """Start a command; what it prints is kept, and it has nothing to read."""
    given: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    given |= {"env": environment(settings, **(env or {})), "text": True, "encoding": "utf-8"}
    return subprocess.Popen([str(c) for c in command], **(given | options))


def end(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for a command: its exit code, output and errors."""
    try:
        out, error = process.communicate(timeout=TIMEOUT_S)
    except BaseException:
        process.kill()
        process.communicate()
        raise
    return process.returncode, out, error


def run(
    command: Iterable[object],
    settings: Settings | None = None,
    *,
    env: dict[str, str] | None = None,
    check: bool = False,
    **options: Any,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    process = start(command, settings, env=env, **options)
    done = subprocess.CompletedProcess(process.args, *end(process))
    assert not check or done.returncode == 0, f"{done.args}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def until(condition: Callable[[], Any]) -> Any:
    """Wait until a condition holds; what it gave."""
    deadline = time.monotonic() + TIMEOUT_S
    while not (found := condition()):
        assert time.monotonic() < deadline, "did not happen"
        time.sleep(0.02)
    return found
