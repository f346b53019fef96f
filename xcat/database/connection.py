"""Connections: to the embedded server, started if need be, or to the server that XCAT_DATABASE_URL names."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING, Any

import psycopg

from xcat.config import Settings, settings
from xcat.database.address import OPERATOR, OWNER, READER, VOLUNTEERS, conninfo, database_url
from xcat.database.embedded import SUPERUSER, EmbeddedServer
from xcat.database.failures import MissingRole, explained, unreachable
from xcat.database.installation import OLDEST_VERSION
from xcat.database.sqlfiles import folder, job
from xcat.errors import DatabaseError

if TYPE_CHECKING:
    import alembic.config
    import sqlalchemy.exc

Connection = psycopg.Connection[Any]


def connect(config: Settings | None = None, *, autocommit: bool = False, role: str = OPERATOR) -> Connection:
    """Open a connection to the database as it is; see `ready` for one that is sure to have the schema.

    Parameters
    ----------
    role : str
        Whom the embedded server lets in. On a server of the user's own the address names a login; a connection for jobs
        works as `OPERATOR` if that login is a member of it, so that everything made has one owner.

    Raises
    ------
    DatabaseError
        The server cannot be reached.
    """
    config = config or settings()
    takes = role if config.database_url is not None and role == OPERATOR else None
    try:
        return _open(config, conninfo(database_url(config, role)), autocommit, takes)
    except MissingRole:
        if config.database_url is not None or role == SUPERUSER:
            raise
        set_up(config)
        return _open(config, conninfo(database_url(config, role)), autocommit)


def _open(config: Settings, info: str, autocommit: bool = False, takes: str | None = None) -> Connection:
    """Connect, and take a role if the login is a member of it."""
    try:
        conn = psycopg.connect(info, autocommit=autocommit, connect_timeout=15, client_encoding="utf8")
    except psycopg.OperationalError as error:
        raise unreachable(str(error).strip(), config) from None  # its traceback would show the address
    try:
        with conn.transaction():
            conn.execute("SET search_path TO xcat, public")
            conn.execute("SET timezone TO 'UTC'")
            conn.execute("SET client_min_messages TO warning")
            conn.execute("SET temp_buffers TO '128MB'")  # matches work in temporary tables; taken only as it is needed
            if takes is not None:
                conn.execute(job("server.work_as").compose(), {"role": takes})
            timeout = str(math.ceil(config.statement_timeout_s * 1000))
            conn.execute("SELECT set_config('statement_timeout', %s, false)", [timeout])
    except BaseException:
        conn.close()
        raise
    return conn


def server_facts(conn: Connection) -> dict[str, str]:
    """Versions of ``postgresql`` and ``q3c``, the latter with a remark if it is off or its joins run on one core.

    Raises
    ------
    DatabaseError
        The server is too old, or has no q3c.
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
    ((is_parallel,),) = conn.execute(job("server.has_parallel_joins").compose())
    q3c = installed or f"{available} (not enabled; run: xcat db migrate)"
    if installed and not is_parallel:
        q3c += " (parallel unsafe; a superuser can run: psql -f sql/q3c_parallel.sql)"
    return {"postgresql": str(conn.info.parameter_status("server_version")), "q3c": q3c}


def check_server(conn: Connection) -> dict[str, str]:
    """Check that a server can hold xcat: version, q3c, privileges. Enables q3c, and its parallel plans; `server_facts`.

    Raises
    ------
    DatabaseError
        Says what is missing and who can mend it.
    """
    server_facts(conn)
    ((may_create, may_use, user, database, has_q3c),) = conn.execute(job("server.rights").compose())
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
    if not has_q3c:
        try:
            with conn.transaction():
                conn.execute("CREATE EXTENSION q3c SCHEMA public")
        except psycopg.errors.InsufficientPrivilege:
            raise DatabaseError(
                f"q3c is not enabled in database {database}. A superuser can run: CREATE EXTENSION q3c"
            ) from None
    with conn.transaction():  # workers may run the functions of an old q3c, where we may say so
        conn.execute((folder("sql") / "q3c_parallel.sql").read_text(encoding="utf-8"))
    return server_facts(conn)


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


def is_newer(revision: str | None) -> bool:
    """Whether a schema was made by a newer xcat, of which this one knows nothing."""
    return revision is not None and revision not in _known_revisions()


def refuse_newer(current: str | None) -> None:
    """Refuse a schema that was made by a newer xcat."""
    if is_newer(current):
        raise DatabaseError(f"the database has schema {current}, made by a newer xcat. Upgrade xcat.")


def migrate(config: Settings | None = None, revision: str = "head") -> tuple[str | None, str | None]:
    """Bring the schema to a revision, up or down, and the roles to what sql/roles.sql says.

    Returns
    -------
    tuple
        Revision before and after.

    Raises
    ------
    DatabaseError
        A step failed; the schema is as it was.
    """
    import alembic.command
    import sqlalchemy.exc

    config = config or settings()
    set_up(config)
    with connect(config, autocommit=True, role=OWNER) as conn:
        # two migrations at once would both see the same old revision
        conn.execute("SELECT pg_advisory_lock(hashtext('xcat.migrate'))")
        check_server(conn)
        current, _ = schema_revision(conn)
        command = _alembic_config(database_url(config, OWNER))
        known = _known_revisions()
        if revision not in ("head", "base", *known):
            raise DatabaseError(
                f"there is no revision {revision!r}; there are: base, {', '.join(known[::-1])} and head."
            )
        refuse_newer(current)
        down = revision == "base" or (
            revision in known and current in known and known.index(revision) > known.index(current)
        )
        try:
            (alembic.command.downgrade if down else alembic.command.upgrade)(command, revision)
        except sqlalchemy.exc.DBAPIError as error:
            raise _stays(error, current, revision) from error
        after, _ = schema_revision(conn)
        apply_roles(conn)
    return current, after


def _stays(error: sqlalchemy.exc.DBAPIError, current: str | None, wanted: str) -> DatabaseError:
    """What a failed migration means: all steps are one transaction."""
    known = explained(error.orig) if isinstance(error.orig, psycopg.Error) else None
    what = str(error.orig).strip().partition("\n")[0]
    words = known or f"{what}. Something else has changed its tables; a backup has them: xcat db restore"
    return DatabaseError(f"the schema stays {current or 'empty'}, since the way to {wanted} failed: {words}")


def apply_roles(conn: Connection) -> None:
    """Make the roles, and give each its rights on all that is there, as far as the present user may."""
    with conn.transaction():
        conn.execute((folder("sql") / "roles.sql").read_text(encoding="utf-8"))


def set_up(config: Settings) -> None:
    """Make the database, extension and roles of the embedded server, unless they are there, as its superuser.

    A data folder that xcat made before it had roles is brought up by this, too: all that is there gets its new owner.
    """
    if config.database_url is None:
        EmbeddedServer(config.home).create_database()
        with connect(config, autocommit=True, role=SUPERUSER) as conn:
            conn.execute("SELECT pg_advisory_lock(hashtext('xcat.set_up'))")
            check_server(conn)
            apply_roles(conn)


def ready(config: Settings | None = None, *, autocommit: bool = False, role: str = OPERATOR) -> Connection:
    """Open a connection to a database that has the schema; `role` as in `connect`.

    The embedded server is started, and its schema made or brought up to date. A user's own server is only checked.

    Raises
    ------
    DatabaseError
        No server, or its schema is missing or of another revision.
    """
    config = config or settings()
    if config.database_url is None:
        EmbeddedServer(config.home).start()
    conn = connect(config, autocommit=autocommit, role=role)
    try:
        current, known = readable_revision(conn)
        refuse_newer(current)
        if current != known and config.database_url is None:
            migrate(config)
        elif current != known:
            state = "has no xcat schema yet" if current is None else f"has schema {current}, not {known}"
            raise DatabaseError(f"the database {state}. Run: xcat db migrate")
    except BaseException:
        conn.close()
        raise
    return conn


def readable_revision(conn: Connection) -> tuple[str | None, str]:
    """Revisions as `schema_revision` gives them; who may not read them is told who can let them."""
    try:
        with conn.transaction():
            return schema_revision(conn)
    except psycopg.errors.InsufficientPrivilege:
        raise DatabaseError(
            f"user {conn.info.user} may not read database {conn.info.dbname}. A member of {OWNER}, or a superuser, can "
            f'let it read: GRANT {READER} TO "{conn.info.user}"; or let it run jobs, too: '
            f'GRANT {OPERATOR} TO "{conn.info.user}". If these roles are missing, a superuser runs sql/roles.sql first'
        ) from None


@contextmanager
def reader(config: Settings) -> Iterator[Connection]:
    """Open a connection for a statement that a user wrote, and close it afterwards; see `open_reader`."""
    with closing(open_reader(config)) as conn:
        yield conn


def open_reader(config: Settings) -> Connection:
    """Open a connection for a statement that a user wrote: as the role `READER`, which can do nothing but read ``pub``.

    The embedded server lets that role in. So does a server of the user's own that trusts it, or whose password for it
    is in ``~/.pgpass``. Otherwise the connection is that of the address, and takes the role; it must not be a
    superuser's, because a statement can give the role back (``set_config('role', ...)``) and would then read the files
    of the server. What remains then: a statement reads all that the login may read, and writes nothing.

    Raises
    ------
    DatabaseError
        As `ready`; or the login of the address is a superuser's, and the server does not let `READER` in.
    """
    conn = ready(config, role=READER)
    own = None
    try:
        if config.database_url is None:
            return conn
        ((login, is_superuser, has_role, may_take),) = conn.execute(job("server.reader").compose(), {"role": READER})
        conn.commit()
        if has_role and login != READER:
            with suppress(DatabaseError):
                own = _open(config, conninfo(database_url(config), READER))
        if own is None and is_superuser:
            raise DatabaseError(
                f"a query would have the rights of {login}, a superuser, who can read files of the server. Let xcat "
                f"connect as {READER}: ALTER ROLE {READER} PASSWORD '...', and put that password into ~/.pgpass; or "
                "name a login in XCAT_DATABASE_URL that is no superuser"
            )
        if own is None and may_take and login != READER:
            conn.execute(job("server.work_as").compose(), {"role": READER})
            conn.commit()
    except BaseException:
        conn.close()
        raise
    if own is None:
        return conn
    conn.close()
    return own


def open_volunteers(config: Settings) -> Connection:
    """Open a connection for what people send to the pages, as the role `VOLUNTEERS`, which alters no vote.

    The embedded server lets that role in. On a server of the user's own the login takes it.

    Raises
    ------
    DatabaseError
        As `ready`; or the login may not take the role.
    """
    conn = ready(config, role=VOLUNTEERS)
    if config.database_url is None:
        return conn
    try:
        conn.execute(job("server.work_as").compose(), {"role": VOLUNTEERS})
        ((user,),) = conn.execute("SELECT current_user")
        conn.commit()
        if user != VOLUNTEERS:
            raise DatabaseError(
                f"user {user} may not work as {VOLUNTEERS}, which keeps what volunteers send. A superuser can run "
                f'sql/roles.sql, and: GRANT {VOLUNTEERS} TO "{user}"'
            )
    except BaseException:
        conn.close()
        raise
    return conn


@contextmanager
def running(config: Settings) -> Iterator[Connection | None]:
    """Open a connection to a database that runs and has the schema of this xcat, or give None; nothing is started.

    Raises
    ------
    DatabaseError
        The schema is newer than this xcat.
    """
    conn = None
    with suppress(DatabaseError):
        if config.database_url is not None or EmbeddedServer(config.home).status().running:
            conn = connect(config)
    if conn is None:
        yield None
        return
    with closing(conn):
        try:
            current, newest = schema_revision(conn)
        except psycopg.errors.InsufficientPrivilege:
            current, newest = None, ""
        refuse_newer(current)
        yield conn if current == newest else None
