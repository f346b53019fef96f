"""Programs from PyPI in virtual environments of their own, installed once a machine: oracles, never imported."""

from __future__ import annotations

import fcntl
import shutil
import sys
import sysconfig
from pathlib import Path

import children
from platformdirs import user_cache_path


class NotInstalled(Exception):
    """It could not be installed, most often because there is no network."""


def environment(requirement: str, python: str = sys.executable, shares_ours: bool = False) -> Path:
    """Folder with the programs of an environment; the first call on a machine makes it.

    Parameters
    ----------
    requirement : str
        Name and version, as in "nway==4.8.0".
    python : str
        The interpreter.
    shares_ours : bool
        It finds the libraries of the tests, so that few need to be installed.

    Raises
    ------
    NotInstalled
        With the last words of pip.
    """
    version = _call([python, "-c", "import sys; print(*sys.version_info[:2], sep='.')"]).strip()
    home = user_cache_path("xcat-tests") / f"{requirement.replace('==', '-')}-python{version}"
    home.mkdir(parents=True, exist_ok=True)
    here = sysconfig.get_path("purelib") if shares_ours else "alone"
    with (home / "lock").open("w") as lock:  # two test runs at once: the second waits
        fcntl.flock(lock, fcntl.LOCK_EX)
        ready = home / "ready"
        if not ready.exists() or ready.read_text() != here:
            _call([python, "-m", "venv", "--clear", home / "venv"])
            if shares_ours:
                path = home / "venv" / "lib" / f"python{version}" / "site-packages" / "of_the_tests.pth"
                path.write_text(here)
            pip = [home / "venv" / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            _call([*pip, requirement])
            ready.write_text(here)
    return home / "venv" / "bin"


def newer_python(least: tuple[int, int]) -> str:
    """An interpreter of this version or a newer one: on the path, or beside the one that runs.

    Raises
    ------
    NotInstalled
        There is none.
    """
    names = [f"python3.{minor}" for minor in range(least[1], least[1] + 8)]
    beside = [path for name in names for path in Path(sys.base_prefix).parent.glob(f"*/bin/{name}")]
    for found in (*map(shutil.which, names), *map(str, beside)):
        # a name on the path may be a shim without a program behind it
        if found and not children.run([found, "-c", "import ensurepip, venv"]).returncode:
            return found
    raise NotInstalled(f"there is no Python {least[0]}.{least[1]} or newer")


def _call(command: list[object]) -> str:
    done = children.run(command, env=children.CALLER)  # pip needs the user's proxies and package index
    if done.returncode:
        raise NotInstalled((done.stderr or done.stdout).strip()[-500:])
    return done.stdout
