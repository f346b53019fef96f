"""The commands about runs and their models: ``xcat runs ...``, ``models`` and ``diff``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from xcat import api
from xcat.cli import common
from xcat.config import settings
from xcat.progress import stamped

if TYPE_CHECKING:
    from xcat.database.retention import Leaving

_WATCH_S = 1.0

commands = typer.Typer()
RunIds = Annotated[list[int], typer.Argument(metavar="RUN...", help="Runs; a pipeline run means its stages.")]


class _NumberShows(TyperGroup):
    """``xcat runs 12`` is ``xcat runs show 12``."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Take a number for the run to show."""
        return super().resolve_command(ctx, ["show", *args] if args and args[0].isdecimal() else args)


runs_app = typer.Typer(
    cls=_NumberShows,
    invoke_without_command=True,
    epilog=common.examples(
        "xcat runs --limit 10",
        "xcat runs --watch                # what runs at work do, how far they are, how long they still take",
        "xcat runs 12",
        "xcat runs 12 --json",
        "xcat runs cancel 12",
        "xcat runs prune --keep 7",
    ),
)
commands.add_typer(runs_app, name="runs")


@runs_app.callback()
def runs(
    context: typer.Context,
    limit: common.Limit = 30,
    watch: Annotated[
        bool, common.option("--watch", None, "Show what runs at work do, every second until they have ended.")
    ] = False,
    as_json: common.AsJson = False,
) -> None:
    """List the runs, watch, show (xcat runs RUN) or cancel one, keep some and drop others."""
    if context.invoked_subcommand is not None:
        return
    if watch:
        _watch(as_json)
        return
    from xcat.database import runs as records
    from xcat.database.connection import ready
    from xcat.report.run import record

    with ready(settings(), autocommit=True) as conn:
        rows = records.listing(conn, limit)
    remarks = ["* published"] if any(row["published"] for row in rows) else []
    remarks += [f"the newest {limit}; for more: --limit"] if len(rows) == limit else []
    common.print_rows(as_json, rows, record.HEAD, record.cells, remarks)


@runs_app.command(epilog=common.examples("xcat runs 12", "xcat runs show 12 --json"))
def show(run_id: common.RunId, as_json: common.AsJson = False) -> None:
    """Show everything about a run: times, what it read and made, settings; --json gives its whole record."""
    from xcat.database import runs as records
    from xcat.report.run import record

    with api.reading() as conn:
        row = records.get(conn, run_id)
    common.print_json(row) if as_json else print(record.text(row))


def _watch(as_json: bool) -> None:
    """Print the runs at work until there is none; as JSON, once."""
    import time

    from xcat.report.run import at_work

    with api.reading() as conn:
        while rows := at_work.listing(conn):
            if as_json:
                break
            print(*(stamped(at_work.line(row)) for row in rows), sep="\n", flush=True)
            time.sleep(_WATCH_S)
    if as_json:
        common.print_json(rows)
    else:
        common.done(False, None, "no run is at work")


@runs_app.command(epilog=common.examples("xcat runs cancel 12"))
def cancel(run_id: common.RunId, as_json: common.AsJson = False) -> None:
    """End a run that is at work, here or on another machine; a stage ends the pipeline that it is a part of."""
    from xcat.database.cancel import cancel as end

    answer = end(settings(), run_id)
    common.done(as_json, answer, f"run {answer['run_id']} is cancelled; what its finished stages made is kept")


@runs_app.command(epilog=common.examples("xcat runs drop 12 13"))
def drop(run_ids: RunIds, as_json: common.AsJson = False) -> None:
    """Drop runs and all that they made; refused if published, released or pinned, or if something kept reads them."""
    from xcat.database.retention import drop_runs

    _done(drop_runs(settings(), run_ids), as_json)


@runs_app.command(epilog=common.examples("xcat runs prune --keep 7"))
def prune(
    keep: Annotated[int, typer.Option("--keep", min=1, help="Runs of each kind and name to keep, the newest.")],
    as_json: common.AsJson = False,
) -> None:
    """Drop all but the newest runs, the published one and the one before, releases, pins, and what these stand on."""
    from xcat.database import retention

    _done(retention.prune(settings(), keep), as_json)


@runs_app.command(epilog=common.examples('xcat runs pin 12 --why "the paper"'))
def pin(
    run_id: common.RunId,
    why: Annotated[str, common.option("--why", "REASON", "The reason, which xcat runs RUN shows.")],
    as_json: common.AsJson = False,
) -> None:
    """Keep a run, and what it stands on, whatever is pruned."""
    if not why.strip():
        raise common.UsageError("--why: say why the run is kept")
    _pin(run_id, why.strip(), as_json)


@runs_app.command(epilog=common.examples("xcat runs unpin 12"))
def unpin(run_id: common.RunId, as_json: common.AsJson = False) -> None:
    """Let a pinned run leave again."""
    _pin(run_id, None, as_json)


def _pin(run_id: int, why: str | None, as_json: bool) -> None:
    from xcat.database import runs as records
    from xcat.database.connection import ready

    with ready(settings()) as conn:
        records.pin(conn, run_id, why)
    text = f"run {run_id} is pinned: {why}" if why is not None else f"run {run_id} is not pinned any more"
    common.done(as_json, {"run_id": run_id, "pinned": why}, text)


def _done(leaving: Leaving, as_json: bool) -> None:
    from xcat.report.run import record

    facts = {"dropped": leaving.run_ids, "catalogue_versions": leaving.n_versions, "waiting_for": leaving.waiting}
    common.done(as_json, facts, record.leaving_text(leaving))


@commands.command(epilog=common.examples("xcat models --limit 5", "xcat models 11 --json"))
def models(
    run_id: Annotated[int | None, typer.Argument(metavar="[RUN]", help="Show the model of this fit run.")] = None,
    limit: common.Limit = 30,
    as_json: common.AsJson = False,
) -> None:
    """List the models, or show everything about one."""
    from xcat.report.models import model_text

    with api.reading() as conn:
        if run_id is not None:
            model = model_text.describe(conn, run_id)
            common.print_json(model) if as_json else print(model_text.model_text(model))
            return
        listed = model_text.listing(conn, limit)
    common.print_json(listed) if as_json else print(model_text.listing_text(listed, limit))


@commands.command(
    epilog=common.examples(
        "xcat diff                      # what the last publication changed",
        "xcat diff 2026-10 published    # since a release",
        "xcat diff 12 20 --max-rows 100 --json",
        "xcat diff 11 19                # two fit runs: two models on the same sources",
    )
)
def diff(
    old: Annotated[str, typer.Argument(metavar="OLD", help="A run, a release, previous or published.")] = "previous",
    new: Annotated[str, typer.Argument(metavar="NEW", help="Another one.")] = "published",
    max_rows: common.MaxRows = 20,
    as_json: common.AsJson = False,
) -> None:
    """Say which sources are new, gone, or of another class in a published state than in another, and through what."""
    from xcat.jobs import states
    from xcat.report.models import compare, model_text, state_diff

    with api.reading() as conn:
        runs = states.run_of(conn, old), states.run_of(conn, new)
        are_states = states.among(conn, runs) == set(runs)
    if are_states:
        between = state_diff.diff(settings(), *runs, max_rows=max_rows)
        common.print_json(between) if as_json else print(state_diff.text(between))
        return
    models = compare.diff(settings(), *runs, max_rows=max_rows)
    common.print_json(models) if as_json else print(model_text.diff_text(models))
