"""The commands ``xcat runs ...``: what has run, and what may leave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from xcat.cli.common import AsJson, UsageError, examples, out, print_json, print_table, tell
from xcat.config import settings

if TYPE_CHECKING:
    from xcat.database.retention import Leaving

RunId = Annotated[int, typer.Argument(metavar="RUN", help="Number of a run.")]
RunIds = Annotated[
    list[int], typer.Argument(metavar="RUN...", help="Numbers of runs; a pipeline run means its stages.")
]


class _NumberShows(TyperGroup):
    """``xcat runs 12`` is ``xcat runs show 12``."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Take a number for the run to show."""
        return super().resolve_command(ctx, ["show", *args] if args and args[0].isdecimal() else args)


runs_app = typer.Typer(
    cls=_NumberShows,
    invoke_without_command=True,
    help="List the runs, show one (xcat runs RUN), keep some and drop others.",
    epilog=examples("xcat runs --limit 10", "xcat runs 12", "xcat runs 12 --json", "xcat runs prune --keep 7"),
)


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
        rows = records.listing(conn, limit)
    if as_json:
        print_json(rows)
        return
    print_table(("run", "kind", "name", "status", "started", "seconds", "part of"), map(_cells, rows))
    if any(row["published"] for row in rows):
        out.print("* published")
    if len(rows) == limit:
        out.print(f"the newest {limit}; for more: --limit")


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    marks = " *" * bool(row["published"]) + " pinned" * (row["pinned"] is not None)
    part_of = "" if row["pipeline_run_id"] is None else str(row["pipeline_run_id"])
    started, seconds = f"{row['started_at']:%Y-%m-%d %H:%M:%S}", f"{row['seconds']:.1f}"
    return str(row["run_id"]), row["kind"], row["name"], row["status"] + marks, started, seconds, part_of


@runs_app.command(epilog=examples("xcat runs 12", "xcat runs show 12 --json"))
def show(run_id: RunId, as_json: AsJson = False) -> None:
    """Show everything about a run: times, what it read and made, settings; --json gives its whole record."""
    from xcat.database import runs as records
    from xcat.database.connection import ready
    from xcat.report.run import record

    with ready(settings()) as conn:
        row = records.get(conn, run_id)
    print_json(row) if as_json else out.print(record.text(row))


@runs_app.command(epilog=examples("xcat runs drop 12 13"))
def drop(run_ids: RunIds, as_json: AsJson = False) -> None:
    """Drop runs and all that they made; refused if something published, pinned or kept still reads them."""
    from xcat.database.retention import drop_runs

    _tell(drop_runs(settings(), run_ids), as_json)


@runs_app.command(epilog=examples("xcat runs prune --keep 7"))
def prune(
    keep: Annotated[int, typer.Option("--keep", min=1, help="Runs of each kind and name to keep, the newest.")],
    as_json: AsJson = False,
) -> None:
    """Drop all but the newest runs, the published one, the pinned ones, and what these stand on."""
    from xcat.database import retention

    _tell(retention.prune(settings(), keep), as_json)


@runs_app.command(epilog=examples('xcat runs pin 12 --why "the paper"'))
def pin(
    run_id: RunId,
    why: Annotated[str, typer.Option("--why", help="The reason, which xcat runs RUN shows.")],
    as_json: AsJson = False,
) -> None:
    """Keep a run, and what it stands on, whatever is pruned."""
    if not why.strip():
        raise UsageError("--why: say why the run is kept")
    _pin(run_id, why.strip(), as_json)


@runs_app.command(epilog=examples("xcat runs unpin 12"))
def unpin(run_id: RunId, as_json: AsJson = False) -> None:
    """Let a pinned run leave again."""
    _pin(run_id, None, as_json)


def _pin(run_id: int, why: str | None, as_json: bool) -> None:
    from xcat.database import runs as records
    from xcat.database.connection import ready

    with ready(settings()) as conn:
        records.pin(conn, run_id, why)
    if as_json:
        print_json({"run_id": run_id, "pinned": why})
    tell(f"run {run_id} is pinned: {why}" if why is not None else f"run {run_id} is not pinned any more")


def _tell(leaving: Leaving, as_json: bool) -> None:
    if as_json:
        print_json({"dropped": leaving.run_ids, "catalogue_versions": leaving.n_versions,
                    "waiting_for": leaving.waiting})  # fmt: skip
    listed = ", ".join(map(str, leaving.run_ids))
    versions = f", {leaving.n_versions} versions of catalogues" if leaving.n_versions else ""
    tell(f"dropped: runs {listed}{versions}" if leaving.run_ids else f"nothing to drop{versions}")
    for reader in leaving.waiting:
        tell(
            f"session {reader['pid']} ({reader['who']}) still reads some of their tables; "
            "these leave the disk with the next load, publication or prune after it has ended"
        )
