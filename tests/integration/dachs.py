"""GAVO's DaCHS as a program: Debian's python3-gavo and pgsphere, with a database and folder of its own, at a free port.

DaCHS is GPL. Nothing of it is imported or read here: its command gets files and arguments.
"""

from __future__ import annotations

import grp
import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import children
import httpx
import psycopg

from xcat.database.embedded import EmbeddedServer

#: Debian's interpreter, not the one that runs the tests.
_PYTHON = Path("/usr/bin/python3")
_MAIN = "import sys; sys.argv[0] = 'dachs'; from gavo.user import cli; cli.main()"
_SPHERE = Path("/usr/share/postgresql/15/extension/pg_sphere--1.2.0.sql")
_DATABASE = "gavo"


def is_installed() -> bool:
    """Whether Debian's packages are there."""
    if not _SPHERE.exists() or not _PYTHON.exists():
        return False
    return subprocess.run([_PYTHON, "-c", "import gavo"], capture_output=True, check=False).returncode == 0


class Dachs:
    """A DaCHS in a folder.

    Parameters
    ----------
    folder : Path
        For its configuration and data.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server = EmbeddedServer(Path(tempfile.mkdtemp(prefix="xcat-dachs-")))
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"

    @contextmanager
    def installed(self) -> Iterator[None]:
        """With its database made, and ended afterwards."""
        self._server.start()
        try:
            self._make_database()
            group = grp.getgrgid(os.getgid()).gr_name
            (self._folder / "gavo.rc").write_text(
                f"[general]\nrootDir: {self._folder / 'root'}\ngavoGroup: {group}\ngroup: {group}\n"
                f"[web]\nbindAddress: 127.0.0.1\nserverPort: {self._port}\nserverURL: {self.url}\n"
                "[ivoa]\nauthority: x-xcat.test\n"
            )
            where = f"host={self._server.socket_folder} dbname={_DATABASE} user=xcat"
            self.run("init", "-d", where)
            yield
        finally:
            self._server.stop()
            shutil.rmtree(self._server.home)

    def _make_database(self) -> None:
        """Make the database with pgsphere: its script names operators twice, which PostgreSQL 15.20 refuses."""
        where = f"host={self._server.socket_folder} user=xcat dbname="
        with psycopg.connect(f"{where}postgres", autocommit=True) as conn:
            conn.execute(f"CREATE DATABASE {_DATABASE} TEMPLATE template0 ENCODING 'UTF8'")
        script = _SPHERE.read_text(encoding="utf-8").replace("MODULE_PATHNAME", "$libdir/pg_sphere")
        script = re.sub(r"^(\\.*|\s*(COMMUTATOR|NEGATOR)\s*=.*)\n", "", script, flags=re.M)
        with psycopg.connect(f"{where}{_DATABASE}") as conn:
            conn.execute("SET client_min_messages = error")
            conn.execute(script.encode())
            conn.execute(
                "INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)"
                " VALUES (99999, 'pg_sphere', 10, 'public'::regnamespace, false, '1.2.0')"
            )

    def run(self, *arguments: str) -> str:
        """Run a command of DaCHS; what it prints."""
        done = subprocess.run(
            [_PYTHON, "-c", _MAIN, *arguments],
            capture_output=True,
            text=True,
            timeout=children.TIMEOUT_S,
            env=self._environment,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @property
    def _environment(self) -> dict[str, str]:
        own = {"GAVOSETTINGS": str(self._folder / "gavo.rc"), "GAVOCUSTOM": str(self._folder / "none")}
        return {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | own

    def add(self, name: str, descriptor: str) -> Path:
        """Make a resource of a descriptor; its folder for data."""
        folder = self._folder / "root" / "inputs" / name
        (folder / "data").mkdir(parents=True)
        (folder / "q.rd").write_text(descriptor, encoding="utf-8")
        return folder / "data"

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Serve; the address."""
        with (self._folder / "serve.log").open("wb") as log:
            process = subprocess.Popen(
                [_PYTHON, "-c", _MAIN, "serve", "debug"], stdout=log, stderr=log, env=self._environment
            )
        try:
            children.until(lambda: process.poll() is not None or _answers(self.url))
            assert process.poll() is None, (self._folder / "serve.log").read_text()
            yield self.url
        finally:
            process.terminate()
            process.wait(timeout=60)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/tap/availability", timeout=10).status_code == 200
    except httpx.HTTPError:
        return False
