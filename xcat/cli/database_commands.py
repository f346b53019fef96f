"""The commands under ``xcat db``."""

from __future__ import annotations

import os
from typing import Annotated

import typer
from rich.console import Console

from xcat.config import settings
from xcat.errors import XcatError

db_app = typer.Typer(help="The database: embedded by default, or the server that XCAT_DATABASE_URL names.")

_out = Console(soft_wrap=True, highlight=False)


def _no_embedded() -> bool:
    config = settings()
    if config.database_url is not None:
        _out.print("XCAT_DATABASE_URL is set: that server is used as it is, and only checked.")
        db_status()
        return True
    return False


@db_app.command("start")
def db_start() -> None:
    """Start the embedded server, making it first if there is none."""
    from xcat.database.connection import ready
    from xcat.database.embedded import EmbeddedServer

    if _no_embedded():
        return
    server = EmbeddedServer(settings().home)
    started = server.start()
    ready(settings()).close()
    status = server.status()
    word = "started" if started else "was running already"
    _out.print(f"PostgreSQL {status.version} {word} (pid {status.pid}), data in {server.home}")


@db_app.command("stop")
def db_stop() -> None:
    """Stop the embedded server."""
    from xcat.database.embedded import EmbeddedServer

    if _no_embedded():
        return
    _out.print("stopped" if EmbeddedServer(settings().home).stop() else "was not running")


@db_app.command("status")
def db_status() -> None:
    """Say which database is used, whether it runs, its versions and its schema."""
    from xcat.database.connection import check_server, connect, schema_revision
    from xcat.database.embedded import EmbeddedServer

    config = settings()
    if config.database_url is None:
        server = EmbeddedServer(config.home)
        status = server.status()
        _out.print(f"embedded server in {server.home}: {'running' if status.running else 'stopped'}")
        if not status.running:
            raise typer.Exit(3)
    with connect(config) as conn:
        versions = check_server(conn)
        current, known = schema_revision(conn)
        row = conn.execute("SELECT pg_size_pretty(pg_database_size(current_database()))").fetchone()
    _out.print(f"PostgreSQL {versions['postgresql']}, q3c {versions['q3c']}")
    state = "up to date" if current == known else f"not {known}; run: xcat db migrate"
    _out.print(f"schema {current or 'none'} ({state}), {row[0] if row else '?'}")


@db_app.command("migrate")
def db_migrate(
    revision: Annotated[str, typer.Argument(help="Revision to go to, up or down.")] = "head",
) -> None:
    """Bring the schema to the newest revision, or to the one named."""
    from xcat.database.connection import migrate
    from xcat.database.embedded import EmbeddedServer

    config = settings()
    if config.database_url is None:
        EmbeddedServer(config.home).start()
    before, after = migrate(config, revision)
    _out.print(f"schema was {before or 'none'}, is {after or 'none'}")


@db_app.command("shell", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def db_shell(context: typer.Context) -> None:
    """Open psql on the database; further arguments go to psql."""
    from xcat.database.connection import conninfo, database_url, ready

    config = settings()
    ready(config).close()
    address = conninfo(database_url(config))
    os.environ["PGOPTIONS"] = "-c search_path=xcat,public"
    try:
        os.execvp("psql", ["psql", address, *context.args])
    except FileNotFoundError:
        raise XcatError("psql is not installed. Install the package postgresql-client.") from None
