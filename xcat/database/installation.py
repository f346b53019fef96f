"""Finds an installed PostgreSQL server that has the extension q3c."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from xcat.errors import DatabaseError

OLDEST_VERSION = 15
_DEBIAN = Path("/usr/lib/postgresql")


def _debian_installations(name: str = "initdb") -> dict[int, Path]:
    """Folders that have this program, by major version; only a server has initdb."""
    folders = [path.parent for path in _DEBIAN.glob(f"*/bin/{name}")]
    return {int(folder.parent.name): folder for folder in folders if folder.parent.name.isdigit()}


def _ask(config: str | Path, *options: str) -> list[str]:
    """Answers of pg_config, one per option."""
    return subprocess.run([config, *options], capture_output=True, text=True, check=True).stdout.splitlines()


def _other_installation(name: str = "initdb") -> tuple[int, Path] | None:
    config = shutil.which("pg_config")
    if config is None:
        return None
    bindir, version = _ask(config, "--bindir", "--version")[:2]
    major = re.search(r"\d+", version)
    if major is None or not (Path(bindir) / name).exists():
        return None
    return int(major.group()), Path(bindir)


def _has_q3c(bindir: Path, major: int) -> bool:
    shared = [Path(f"/usr/share/postgresql/{major}")]
    config = bindir / "pg_config"
    if config.exists():
        shared += map(Path, _ask(config, "--sharedir"))
    return any((folder / "extension" / "q3c.control").exists() for folder in shared)


def find_binaries(wanted_major: int | None = None) -> tuple[int, Path]:
    """Find the newest PostgreSQL server that has q3c: its major version and the folder of its programs.

    Parameters
    ----------
    wanted_major : int, optional
        Major version of an existing cluster; only that one will do.

    Raises
    ------
    DatabaseError
        No server, too old a server, or no q3c; the message names the package to install.
    """
    installed = _debian_installations()
    if (other := _other_installation()) is not None:
        installed.setdefault(*other)
    if wanted_major is not None:
        if wanted_major not in installed:
            raise DatabaseError(
                f"the cluster was made by PostgreSQL {wanted_major}, which is not installed. "
                f"Install the package postgresql-{wanted_major}."
            )
        installed = {wanted_major: installed[wanted_major]}
    recent = {major: path for major, path in installed.items() if major >= OLDEST_VERSION}
    if not recent:
        others = f" (found only {', '.join(map(str, sorted(installed)))})" if installed else ""
        raise DatabaseError(
            f"no PostgreSQL server of version {OLDEST_VERSION} or newer is installed{others}. "
            "Install the packages postgresql and postgresql-<version>-q3c."
        )
    for major in sorted(recent, reverse=True):
        if _has_q3c(recent[major], major):
            return major, recent[major]
    newest = max(recent)
    raise DatabaseError(f"PostgreSQL {newest} is installed without q3c. Install the package postgresql-{newest}-q3c.")


def program(name: str, major: int) -> str:
    """Path of a program of PostgreSQL, as pg_dump, that is not older than the server that it is to talk to.

    Raises
    ------
    DatabaseError
        There is none; the message names the package to install.
    """
    installed = _debian_installations(name)
    if (other := _other_installation(name)) is not None:
        installed.setdefault(*other)
    for version in sorted(installed):
        if version >= major:
            return str(installed[version] / name)
    raise DatabaseError(f"{name} of PostgreSQL {major} or newer is not here. Install postgresql-client-{major}.")
