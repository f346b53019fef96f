"""Connections: to the embedded server, started if need be, or to the server that XCAT_DATABASE_URL names."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING, Any

import psycopg

from xcat.config import Settings, settings
from xcat.database.embedded import EmbeddedServer
from xcat.database.installation import OLDEST_VERSION
from xcat.database.sqlfiles import folder, job
from xcat.errors import DatabaseError, UnreachableError

if TYPE_CHECKING:
    import alembic.config

Connection = psycopg.Connection[Any]


def database_url(config: Settings) -> str:
    """SQLAlchemy URL of the database in use; libpq's own variables are about other servers than the embedded one."""
    if config.database_url:
        return config.database_url
    # for good, not for a moment: PGSERVICE and others act even where the address says everything
    for name in [name for name in os.environ if name.startswith("PG")]:
        os.environ.pop(name, None)
    return EmbeddedServer(config.home).url


def conninfo(url: str) -> str:
    """The same address as libpq writes it; SQLAlchemy's name of a driver (``+psycopg``) is left out."""
    scheme, separator, rest = url.partition("://")
    backend = scheme.partition("+")[0]
    try:
        if separator and re.fullmatch(r"\w+", backend) and backend not in ("postgresql", "postgres"):
            raise DatabaseError(f"XCAT_DATABASE_URL names {backend}; xcat needs PostgreSQL.")
        if not separator:
            raise ValueError
        parts = psycopg.conninfo.conninfo_to_dict(f"postgresql://{rest}")
        if not str(parts.get("port") or 0).replace(",", "").isdecimal():
            raise ValueError
        return psycopg.conninfo.make_conninfo("", **parts)
    except (psycopg.ProgrammingError, ValueError) as error:
        shown = re.sub(r":[^:@/]*@", ":***@", url)
        why = f" ({str(error).strip()})" if isinstance(error, psycopg.ProgrammingError) else ""
        raise DatabaseError(
            f"XCAT_DATABASE_URL is not a database URL: {shown!r}{why}. "
            "It looks like postgresql+psycopg://user:password@host:5432/database"
        ) from None


def connect(config: Settings | None = None, *, autocommit: bool = False) -> Connection:
    """Open a connection to the database as it is; see `ready` for one that is sure to have the schema.

    Raises
    ------
    DatabaseError
        The server cannot be reached.
    """
    config = config or settings()
    url = database_url(config)
    try:
        conn = psycopg.connect(conninfo(url), autocommit=autocommit, connect_timeout=15, client_encoding="utf8")
    except psycopg.OperationalError as error:
        hint = "Check XCAT_DATABASE_URL." if config.database_url else "Start it: xcat db start"
        raise UnreachableError(f"cannot reach the database: {str(error).strip()}. {hint}") from error
    with conn.transaction():
        conn.execute("SET search_path TO xcat, public")
        conn.execute("SET timezone TO 'UTC'")
        conn.execute("SET client_min_messages TO warning")
        conn.execute("SET temp_buffers TO '128MB'")  # matches work in temporary tables; taken only as it is needed
        timeout = str(math.ceil(config.statement_timeout_s * 1000))
        conn.execute("SELECT set_config('statement_timeout', %s, false)", [timeout])
    return conn


def check_server(conn: Connection) -> dict[str, str]:
    """Check that a server can hold xcat: version, q3c, privileges. Enables q3c, and its parallel plans.

    Returns
    -------
    dict
        Versions of ``postgresql`` and ``q3c``, the latter with a remark if its joins run on one core.

    Raises
    ------
    DatabaseError
        Says what is missing and who can mend it.
    """
    version = conn.info.server_version
    if version < OLDEST_VERSION * 10000:
        raise DatabaseError(f"the server is PostgreSQL {version // 10000}; xcat needs {OLDEST_VERSION} or newer.")
    row = conn.execute(job("server.q3c").compose()).fetchone()
    if row is None:
        raise DatabaseError(
            f"the server has no q3c. Install the package postgresql-{version // 10000}-q3c on its machine."
        )
    installed, available = row
    ((may_create, may_use, user, database),) = conn.execute(job("server.rights").compose())
    if not may_create:
        raise DatabaseError(
            f"user {user} may not create in database {database}. Its owner can run: "
            f'GRANT CREATE ON DATABASE "{database}" TO "{user}"'
        )
    if not may_use:
        raise DatabaseError(
            f"user {user} may not write to the schemas xcat and pub of database {database}. Their owner can run: "
            f'GRANT USAGE, CREATE ON SCHEMA xcat, pub TO "{user}"'
        )
    if installed is None:
        try:
            with conn.transaction():
                conn.execute("CREATE EXTENSION q3c SCHEMA public")
        except psycopg.errors.InsufficientPrivilege:
            raise DatabaseError(
                f"q3c is not enabled in database {database}. A superuser can run: CREATE EXTENSION q3c"
            ) from None
    q3c = installed or available
    if not _relabel_q3c(conn):
        q3c += " (parallel unsafe; a superuser can run: psql -f sql/q3c_parallel.sql)"
    return {"postgresql": str(conn.info.parameter_status("server_version")), "q3c": q3c}


def _relabel_q3c(conn: Connection) -> bool:
    """Let workers run the functions of an old q3c, where we may; say whether a join can be parallel."""
    with conn.transaction():
        conn.execute((folder("sql") / "q3c_parallel.sql").read_text(encoding="utf-8"))
        ((is_parallel,),) = conn.execute(job("server.has_parallel_joins").compose())
    return bool(is_parallel)


def _alembic_config(url: str) -> alembic.config.Config:
    import alembic.config

    config = alembic.config.Config()
    config.set_main_option("script_location", str(folder("alembic")).replace("%", "%%"))
    config.attributes["url"] = url
    return config


@cache
def _known_revisions() -> list[str]:
    """Revisions that this xcat knows, newest first: the numbers that the names of their files begin with."""
    files = (folder("alembic") / "versions").glob("[0-9]*_*.py")
    return sorted((path.name.partition("_")[0] for path in files), reverse=True)


def schema_revision(conn: Connection) -> tuple[str | None, str]:
    """Revision of the database and the newest one that this xcat knows."""
    table = conn.execute("SELECT to_regclass('xcat.alembic_version')").fetchone()
    current = None
    if table is not None and table[0] is not None:
        row = conn.execute("SELECT version_num FROM xcat.alembic_version").fetchone()
        current = row[0] if row else None
    return current, _known_revisions()[0]


def _refuse_newer(current: str | None) -> None:
    if current is not None and current not in _known_revisions():
        raise DatabaseError(f"the database has schema {current}, made by a newer xcat. Upgrade xcat.")


def migrate(config: Settings | None = None, revision: str = "head") -> tuple[str | None, str | None]:
    """Bring the schema to a revision, up or down.

    Returns
    -------
    tuple
        Revision before and after.
    """
    import alembic.command

    config = config or settings()
    with connect(config, autocommit=True) as conn:
        # two migrations at once would both see the same old revision
        conn.execute("SELECT pg_advisory_lock(hashtext('xcat.migrate'))")
        check_server(conn)
        current, _ = schema_revision(conn)
        command = _alembic_config(database_url(config))
        known = _known_revisions()
        if revision not in ("head", "base", *known):
            raise DatabaseError(
                f"there is no revision {revision!r}; there are: base, {', '.join(known[::-1])} and head."
            )
        _refuse_newer(current)
        down = revision == "base" or (
            revision in known and current in known and known.index(revision) > known.index(current)
        )
        (alembic.command.downgrade if down else alembic.command.upgrade)(command, revision)
        after, _ = schema_revision(conn)
    return current, after


def ready(config: Settings | None = None, *, autocommit: bool = False) -> Connection:
    """Open a connection to a database that has the schema.

    The embedded server is started and its schema made if it is new. A user's own server is only checked.

    Raises
    ------
    DatabaseError
        No server, or its schema is missing or of another revision.
    """
    config = config or settings()
    if config.database_url is None:
        EmbeddedServer(config.home).start()
    conn = connect(config, autocommit=autocommit)
    try:
        try:
            with conn.transaction():
                current, known = schema_revision(conn)
        except psycopg.errors.InsufficientPrivilege:
            raise DatabaseError(
                f"user {conn.info.user} may not read the schemas xcat and pub of database {conn.info.dbname}. Their "
                f'owner can run: GRANT USAGE ON SCHEMA xcat, pub TO "{conn.info.user}"; '
                f'GRANT SELECT ON ALL TABLES IN SCHEMA xcat, pub TO "{conn.info.user}"'
            ) from None
        _refuse_newer(current)
        if current is None and config.database_url is None:
            migrate(config)
        elif current != known:
            state = "has no xcat schema yet" if current is None else f"has schema {current}, not {known}"
            raise DatabaseError(f"the database {state}. Run: xcat db migrate")
    except BaseException:
        conn.close()
        raise
    return conn


@contextmanager
def running(config: Settings) -> Iterator[Connection | None]:
    """Open a connection to a database that runs and has the schema of this xcat, or give None; nothing is started."""
    conn = None
    with suppress(DatabaseError):
        if config.database_url is not None or EmbeddedServer(config.home).status().running:
            conn = connect(config)
    if conn is None:
        yield None
        return
    with closing(conn):
        yield conn if _is_current(conn) else None


def _is_current(conn: Connection) -> bool:
    try:
        current, newest = schema_revision(conn)
    except psycopg.errors.InsufficientPrivilege:
        return False
    return current == newest
