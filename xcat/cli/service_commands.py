"""The commands of the service: ``xcat worker``, ``schedule ...`` and ``health``."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from xcat.cli import common
from xcat.config import settings
from xcat.progress import stamped

commands = typer.Typer()
schedule_app = typer.Typer(
    invoke_without_command=True,
    epilog=common.examples(
        "xcat schedule add nightly mine.yaml --data /data --cron '30 4 * * *' --time-zone Europe/Berlin --replace",
        "xcat schedule list",
        "xcat schedule run nightly           # now, besides its times",
        "xcat schedule pause nightly",
    ),
)
commands.add_typer(schedule_app, name="schedule")
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the schedule.")]


@schedule_app.callback()
def schedule(context: typer.Context, as_json: common.AsJson = False) -> None:
    """List and change when pipelines run; workers (xcat worker) run them."""
    if context.invoked_subcommand is None:
        listing(as_json)


@commands.command(
    epilog=common.examples(
        "xcat worker",
        "xcat worker --once       # what is due now, then end",
        "xcat worker --json       # each line of the log as JSON, on standard output",
    )
)
def worker(
    once: Annotated[bool, common.option("--once", None, "End when nothing is due and nothing waits.")] = False,
    as_json: common.AsJson = False,
) -> None:
    """Run the jobs of the queue and of the schedules until a signal ends it; a job at work is then handed back."""
    from xcat.service.worker import work

    def say(text: str) -> None:
        if as_json:
            print(stamped(text, as_json=True), flush=True)
        else:
            print(stamped(text), file=sys.stderr, flush=True)

    work(settings(), say, once)


@commands.command(epilog=common.examples("xcat health", "xcat health --published-within 2 --backup-within 7 --json"))
def health(
    published_within: Annotated[
        float | None, common.option("--published-within", "DAYS", "What is published may be so old.")
    ] = None,
    backup_within: Annotated[
        float | None, common.option("--backup-within", "DAYS", "The last backup may be so old.")
    ] = None,
    as_json: common.AsJson = False,
) -> None:
    """Say whether xcat does its work: database, disk, queue, publication, backup and last runs; nothing is started."""
    from xcat.service.health import checks

    found = checks(settings(), published_within, backup_within)
    is_well = all(check.is_well for check in found)
    if as_json:
        common.print_json({"is_well": is_well, "checks": [asdict(check) for check in found]})
    else:
        head = ("", "check", "found")
        common.print_rows(False, found, head, lambda c: ("ok" if c.is_well else "NOT WELL", c.name, c.text), [])
    if not is_well:
        raise typer.Exit(5)


@schedule_app.command(
    epilog=common.examples(
        "xcat schedule add nightly mine.yaml --data /data --cron '30 4 * * *' --time-zone Europe/Berlin --replace",
        "xcat schedule add weekly mine.yaml --cron '0 3 * * sun' --hook https://example.org/hook",
    )
)
def add(
    name: Name,
    pipeline: Annotated[Path, typer.Argument(metavar="PIPELINE", help="Pipeline file, see examples/.")],
    cron: Annotated[
        str, common.option("--cron", "LINE", "Minute, hour, day of the month, month, day of the week: '30 4 * * *'.")
    ],
    data: common.Data = Path(),
    time_zone: Annotated[
        str, common.option("--time-zone", "ZONE", "IANA name of the time zone of the cron line: Europe/Berlin.")
    ] = "UTC",
    replace: common.Replace = False,
    allow_rejects: common.AllowRejects = None,
    allow_loss: common.AllowLoss = None,
    hook: common.Hook = None,
    keep: Annotated[
        int | None,
        typer.Option(
            "--keep", min=0, help="Newest runs of each stage to keep after a run, 0: all [XCAT_KEEP_RUNS: 7]."
        ),
    ] = None,
    as_json: common.AsJson = False,
) -> None:
    """Add a schedule; the pipeline is checked now, and its file is read anew for each run."""
    from xcat.service import schedules

    options = {"replace": replace, "allow_rejects": allow_rejects, "allow_loss": allow_loss, "keep": keep}
    with common.usage():
        next_at = schedules.add(settings(), name, cron, time_zone, pipeline, data, options, hook)
    common.done(as_json, {"name": name, "next_at": next_at}, f"{name} runs first at {next_at:%Y-%m-%d %H:%M} UTC")


@schedule_app.command(name="list", epilog=common.examples("xcat schedule list", "xcat schedule list --json"))
def listing(as_json: common.AsJson = False) -> None:
    """List the schedules: when each runs next, and how its last run ended."""
    from xcat.service import schedules

    rows = schedules.listing(settings())
    head = ("name", "cron", "time zone", "next (UTC)", "now", "last (UTC)", "last run")
    common.print_rows(as_json, rows, head, _cells, [] if rows else ["no schedules; add one: xcat schedule add --help"])


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    states = {"todo": "waits for a worker", "doing": "at work", None: ""}
    now = "again soon" if row["job"] == "todo" and row["attempts"] else states[row["job"]]
    next_at = "paused" if row["is_paused"] else f"{row['next_at']:%Y-%m-%d %H:%M}"
    last_at = f"{row['last_at']:%Y-%m-%d %H:%M}" if row["last_at"] else ""
    return row["name"], row["cron"], row["time_zone"], next_at, now, last_at, (row["last_outcome"] or "")[:100]


@schedule_app.command(epilog=common.examples("xcat schedule pause nightly"))
def pause(name: Name, as_json: common.AsJson = False) -> None:
    """Let a schedule rest; a run at work goes on."""
    from xcat.service import schedules

    schedules.pause(settings(), name)
    common.done(as_json, {"name": name, "is_paused": True}, f"{name} is paused. Go on: xcat schedule resume {name}")


@schedule_app.command(epilog=common.examples("xcat schedule resume nightly"))
def resume(name: Name, as_json: common.AsJson = False) -> None:
    """Let a paused schedule run again; what it missed meanwhile is not made up for."""
    from xcat.service import schedules

    next_at = schedules.pause(settings(), name, False)
    text = f"{name} runs next at {next_at:%Y-%m-%d %H:%M} UTC"
    common.done(as_json, {"name": name, "is_paused": False, "next_at": next_at}, text)


@schedule_app.command(epilog=common.examples("xcat schedule run nightly"))
def run(name: Name, as_json: common.AsJson = False) -> None:
    """Put the job of a schedule into the queue now; a worker runs it."""
    from xcat.service import schedules

    is_new = schedules.run_now(settings(), name)
    text = f"{name} is in the queue" if is_new else f"{name} waits in the queue already"
    common.done(as_json, {"name": name, "is_new": is_new}, text)


@schedule_app.command(epilog=common.examples("xcat schedule remove nightly"))
def remove(name: Name, as_json: common.AsJson = False) -> None:
    """Remove a schedule, and its job if that is waiting; a run at work goes on."""
    from xcat.service import schedules

    schedules.remove(settings(), name)
    common.done(as_json, {"name": name}, f"{name} is removed")
