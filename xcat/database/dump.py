"""Backup and restore: the schemas of xcat in one file of pg_dump, and back into a database that has none.

The file holds no owners and no rights: sql/roles.sql gives them again. The extension q3c and the roles are made before
anything is restored, as for a new database.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path

from xcat import atomic, progress
from xcat.config import Settings
from xcat.database.address import OPERATOR, OWNER, conninfo, database_url, masked, open_parts
from xcat.database.connection import check_server, connect, is_newer, migrate, ready, schema_revision, set_up
from xcat.database.embedded import EmbeddedServer
from xcat.database.installation import program
from xcat.database.sqlfiles import job
from xcat.errors import DatabaseError, InputError, XcatError

SCHEMAS = ("xcat", "pub", "people", "procrastinate")
_REVISION = re.compile(r"^COPY \S*alembic_version .*\n(\w+)$", re.M)


def backup(config: Settings, path: Path, overwrite: bool = False) -> int:
    """Write everything that xcat keeps to a file; runs and readers go on meanwhile, and it shows one moment.

    Returns
    -------
    int
        Bytes of the file.

    Raises
    ------
    XcatError
        The file exists, or its folder does not.
    DatabaseError
        pg_dump is missing, or failed; the file of before is as it was.
    """
    if not path.absolute().parent.is_dir():
        raise XcatError(f"{path}: cannot be written, there is no folder {path.parent}")
    atomic.check_new(path, (), overwrite)
    with ready(config) as conn:
        major = conn.info.server_version // 10000
    schemas = [f"--schema={name}" for name in SCHEMAS]
    with atomic.writing(path) as part, progress.bar(f"backup: {path.name}"):
        os.close(os.open(part, os.O_CREAT | os.O_WRONLY, 0o600))
        _run(config, OPERATOR, [program("pg_dump", major), *_FORMAT, *schemas, f"--file={part}"], "--dbname")
    n_bytes = path.stat().st_size
    with ready(config) as conn:
        values = {"file_name": path.name, "n_bytes": n_bytes, "host": platform.node()}
        conn.execute(job("health.add_backup").compose(), values)
    return n_bytes


_FORMAT = ("--format=custom", "--no-owner", "--no-privileges")


def restore(config: Settings, path: Path) -> str:
    """Fill a database that has no schema of xcat from a backup, all or nothing, and migrate it if it is older.

    Returns
    -------
    str
        Revision of the schema that the backup had.

    Raises
    ------
    InputError
        The file is no backup, or one of a newer xcat.
    DatabaseError
        The database has a schema already, or the restore failed and the database is empty as before.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if config.database_url is None:
        EmbeddedServer(config.home).start()
    set_up(config)
    with connect(config, role=OWNER, autocommit=True) as conn:
        check_server(conn)  # enables q3c on a server of the user's own
        major = conn.info.server_version // 10000
        revision, _ = schema_revision(conn)
        if revision is not None:
            raise DatabaseError(
                f"the database has data already (schema {revision}). Restore into an empty one: another XCAT_HOME, or "
                "another database in XCAT_DATABASE_URL."
            )
    command = program("pg_restore", major)
    kept = subprocess.run(
        [command, "--data-only", "--schema=xcat", "--table=alembic_version", "--file=-", path],
        capture_output=True,
        text=True,
        check=False,
    )
    found = _REVISION.search(kept.stdout)
    if found is None:
        raise InputError(f"{path} is no backup of xcat: {_why(kept.stderr) or 'it has no schema of xcat'}")
    if is_newer(found[1]):
        raise InputError(f"{path} has schema {found[1]}, made by a newer xcat. Upgrade xcat.")
    options = ["--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error"]
    with progress.bar(f"restore: {path.name}"):
        _run(config, OWNER, [command, *options, str(path)], "--dbname")
    migrate(config)
    with ready(config, autocommit=True) as conn, progress.bar("restore: statistics"):
        conn.execute("ANALYZE")
    return found[1]


def _run(config: Settings, role: str, command: list[str], option: str) -> None:
    """Run a program of PostgreSQL on the database; its address has no password, which every user would see."""
    address, variables = open_parts(conninfo(database_url(config, role)))
    done = subprocess.run(
        [*command, f"{option}={address}"], capture_output=True, text=True, check=False, env=os.environ | variables
    )
    if done.returncode:
        raise DatabaseError(f"{Path(command[0]).name}: {masked(_why(done.stderr), config.database_url)}")


def _why(text: str) -> str:
    """The first error of a program, without the statement that made it."""
    lines = text.strip().splitlines()
    return next((line.partition("error: ")[2] for line in lines if "error: " in line), lines[-1] if lines else "")
