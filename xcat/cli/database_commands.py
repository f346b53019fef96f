"""The commands under ``xcat db``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from xcat.cli import common
from xcat.config import settings
from xcat.errors import XcatError

db_app = typer.Typer(
    no_args_is_help=True,
    help="The database: embedded by default, or the server that XCAT_DATABASE_URL names.",
    epilog=common.examples("xcat db status", "xcat db stop"),
)


@db_app.command("start", epilog=common.examples("xcat db start"))
def db_start(as_json: common.AsJson = False) -> None:
    """Start the embedded server, making it first if there is none."""
    from xcat.database.connection import ready
    from xcat.database.embedded import EmbeddedServer

    if _is_external(as_json):
        return
    server = EmbeddedServer(settings().home)
    started = server.start()
    ready(settings()).close()
    status = server.status()
    facts = {"started": started, "pid": status.pid, "version": status.version, "home": str(server.home)}
    word = "started" if started else "was running already"
    common.note(*filter(None, [status.nice]))
    common.done(as_json, facts, f"PostgreSQL {status.version} {word} (pid {status.pid}), data in {server.home}")


@db_app.command("stop", epilog=common.examples("xcat db stop"))
def db_stop(as_json: common.AsJson = False) -> None:
    """Stop the embedded server."""
    from xcat.database.embedded import EmbeddedServer

    if not _is_external(as_json):
        stopped = EmbeddedServer(settings().home).stop()
        common.done(as_json, {"stopped": stopped}, "stopped" if stopped else "was not running")


@db_app.command("status", epilog=common.examples("xcat db status", "xcat db status --json"))
def db_status(as_json: common.AsJson = False) -> None:
    """Say which database is used, whether it runs, its address, versions and schema."""
    from xcat.database import connection
    from xcat.database.address import READER, database_url, shown_url
    from xcat.database.embedded import EmbeddedServer

    config = settings()
    facts: dict[str, Any] = {"embedded": config.database_url is None, "running": True}
    facts["url"] = shown_url(database_url(config, READER))
    lines, newer = [], False
    if facts["embedded"]:
        server = EmbeddedServer(config.home)
        status = server.status()
        facts |= {"home": str(server.home), "running": status.running}
        lines.append(f"embedded server in {server.home}: {'running' if facts['running'] else 'stopped'}")
        common.note(*filter(None, [status.nice]))
    if facts["running"]:
        with connection.connect(config, role=READER) as conn:
            facts |= connection.server_facts(conn) | {"user": conn.info.user}
            current, newest = facts["schema"], facts["newest_schema"] = connection.readable_revision(conn)
            ((facts["size"],),) = conn.execute("SELECT pg_size_pretty(pg_database_size(current_database()))").fetchall()
        newer = connection.is_newer(current)
        behind = "made by a newer xcat" if newer else f"not {newest}; run: xcat db migrate"
        state = "up to date" if current == newest else behind
        lines.append(f"PostgreSQL {facts['postgresql']}, q3c {facts['q3c']}")
        lines.append(f"schema {current or 'none'} ({state}), {facts['size']}")
        lines.append(f"connect to {facts['url']}")
    common.print_json(facts) if as_json else print("\n".join(lines))
    if newer:
        connection.refuse_newer(current)
    if not facts["running"]:
        raise typer.Exit(3)


def _is_external(as_json: bool) -> bool:
    """Whether the server is one that xcat does not start and stop; its state is shown."""
    if settings().database_url is None:
        return False
    common.note("XCAT_DATABASE_URL is set: that server is used as it is, and only checked.")
    db_status(as_json)
    return True


@db_app.command("migrate", epilog=common.examples("xcat db migrate", "xcat db migrate 0001"))
def db_migrate(
    revision: Annotated[str, typer.Argument(help="Revision to go to, up or down.")] = "head",
    as_json: common.AsJson = False,
) -> None:
    """Bring the schema to the newest revision, or to the one named."""
    from xcat.database.connection import migrate
    from xcat.database.embedded import EmbeddedServer

    config = settings()
    if config.database_url is None:
        EmbeddedServer(config.home).start()
    before, after = migrate(config, revision)
    facts = {"before": before, "after": after}
    common.done(as_json, facts, f"schema was {before or 'none'}, is {after or 'none'}")


@db_app.command("backup", epilog=common.examples("xcat db backup /backups/2026-11-27.dump"))
def db_backup(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="File to write.")],
    overwrite: common.Overwrite = False,
    as_json: common.AsJson = False,
) -> None:
    """Write all that xcat keeps to one file, as of one moment; runs and readers go on meanwhile."""
    from xcat.database.dump import backup

    n_bytes = backup(settings(), path, overwrite)
    common.done(as_json, {"file": str(path), "bytes": n_bytes}, f"{path}: {n_bytes / 1e6:,.1f} MB")


@db_app.command(
    "restore",
    epilog=common.examples("xcat db restore /backups/2026-11-27.dump        # with XCAT_HOME of an empty folder"),
)
def db_restore(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="File that xcat db backup wrote.")],
    as_json: common.AsJson = False,
) -> None:
    """Fill an empty database from a backup, all or nothing; an older backup is migrated."""
    from xcat.database.dump import restore

    revision = restore(settings(), path)
    common.done(as_json, {"file": str(path), "schema": revision}, f"restored from {path}, which had schema {revision}")


@db_app.command(
    "shell",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog=common.examples("xcat db shell", 'xcat db shell -c "\\d pub.classified"'),
)
def db_shell(context: typer.Context) -> None:
    """Open psql on the database; further arguments go to psql."""
    from xcat.database.address import conninfo, database_url, open_parts
    from xcat.database.connection import ready

    config = settings()
    ready(config).close()
    address, variables = open_parts(conninfo(database_url(config)))  # every user sees the arguments of a program
    os.environ.update(variables, PGOPTIONS="-c search_path=xcat,public")
    try:
        os.execvp("psql", ["psql", address, *context.args])
    except FileNotFoundError:
        raise XcatError("psql is not installed. Install the package postgresql-client.") from None
