"""The commands ``xcat runs ...``: what has run, and what may leave."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable
from typer.core import TyperGroup

from xcat.config import settings

# a table that is not for a terminal must not be cut to the width of one
_out = Console(soft_wrap=True, highlight=False, width=None if sys.stdout and sys.stdout.isatty() else 160)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
Runs = Annotated[list[int], typer.Argument(metavar="RUN...", help="Numbers of runs; a pipeline run means its stages.")]


class _NumberShows(TyperGroup):
    """``xcat runs 12`` is ``xcat runs show 12``."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Take a number for the run to show."""
        return super().resolve_command(ctx, ["show", *args] if args and args[0].isdecimal() else args)


runs_app = typer.Typer(cls=_NumberShows, help="List the runs, show one (xcat runs RUN), keep some and drop others.")


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, default=str))


@runs_app.callback()
def runs(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, help="Newest runs to list.")] = 30,
    as_json: AsJson = False,
) -> None:
    """List the runs, show one (xcat runs RUN), keep some and drop others."""
    if context.invoked_subcommand is not None:
        return
    from xcat.database import runs as records
    from xcat.database.connection import ready

    with ready(settings(), autocommit=True) as conn:
        found = records.listing(conn, limit)
    if as_json:
        _print_json(found)
        return
    table = RichTable("run", "kind", "name", "status", "started", "seconds", "part of", box=None, pad_edge=False)
    for row in found:
        marks = " *" * bool(row["published"]) + " pinned" * (row["pinned"] is not None)
        table.add_row(
            str(row["run_id"]), row["kind"], escape(row["name"]), row["status"] + marks,
            f"{row['started_at']:%Y-%m-%d %H:%M:%S}", f"{row['seconds']:.1f}",
            "" if row["pipeline_run_id"] is None else str(row["pipeline_run_id"]),
        )  # fmt: skip
    _out.print(table)
    if any(row["published"] for row in found):
        _out.print("* published")
    if len(found) == limit:
        _out.print(f"the newest {limit}; for more: --limit")


@runs_app.command()
def show(run_id: Annotated[int, typer.Argument(metavar="RUN")]) -> None:
    """Show everything about a run, as JSON."""
    from xcat.database import runs as records
    from xcat.database.connection import ready

    with ready(settings()) as conn:
        _print_json(records.get(conn, run_id))


@runs_app.command()
def drop(run_ids: Runs, as_json: AsJson = False) -> None:
    """Drop runs and all that they made; refused if something published, pinned or kept still reads them."""
    from xcat.database.retention import drop_runs

    _tell(drop_runs(settings(), run_ids), as_json)


@runs_app.command()
def prune(
    keep: Annotated[int, typer.Option("--keep", min=1, help="Runs of each kind and name to keep, the newest.")],
    as_json: AsJson = False,
) -> None:
    """Drop all but the newest runs, the published one, the pinned ones, and what these stand on."""
    from xcat.database import retention

    _tell(retention.prune(settings(), keep), as_json)


@runs_app.command()
def pin(
    run_id: Annotated[int, typer.Argument(metavar="RUN")],
    why: Annotated[str, typer.Option("--why", help="The reason, which xcat runs RUN shows.")],
) -> None:
    """Keep a run, and what it stands on, whatever is pruned."""
    _pin(run_id, why.strip())


@runs_app.command()
def unpin(run_id: Annotated[int, typer.Argument(metavar="RUN")]) -> None:
    """Let a pinned run leave again."""
    _pin(run_id, None)


def _pin(run_id: int, why: str | None) -> None:
    from xcat.database import runs as records
    from xcat.database.connection import ready
    from xcat.errors import ConfigError

    if why == "":
        raise ConfigError("--why: say why the run is kept")
    with ready(settings()) as conn:
        records.pin(conn, run_id, why)
    _out.print(f"run {run_id} is pinned: {escape(why)}" if why is not None else f"run {run_id} is not pinned any more")


def _tell(leaving: Any, as_json: bool) -> None:
    if as_json:
        _print_json(
            {"dropped": leaving.run_ids, "catalogue_versions": leaving.n_versions, "waiting_for": leaving.waiting}
        )
        return
    listed = ", ".join(map(str, leaving.run_ids))
    versions = f", {leaving.n_versions} versions of catalogues" if leaving.n_versions else ""
    _out.print(f"dropped: runs {listed}{versions}" if leaving.run_ids else f"nothing to drop{versions}")
    for reader in leaving.waiting:
        _out.print(
            f"session {reader['pid']} ({escape(str(reader['who']))}) still reads some of their tables; "
            "these leave the disk with the next load, publication or prune after it has ended"
        )
