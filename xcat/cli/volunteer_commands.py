"""The commands of volunteers and watchlists: ``xcat volunteers ...``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from xcat import api
from xcat.cli import common
from xcat.config import settings

commands = typer.Typer()
volunteers_app = typer.Typer(
    no_args_is_help=True,
    epilog=common.examples(
        "xcat volunteers list",
        "xcat volunteers consensus",
        "xcat volunteers labels -o citizen.csv",
    ),
)
commands.add_typer(volunteers_app, name="volunteers")
Simulated = Annotated[bool, common.option("--simulated", None, "Simulated volunteers, in place of real ones.")]


@volunteers_app.callback()
def group() -> None:
    """Accounts and votes of volunteers, and what they say together."""


@volunteers_app.command("list", epilog=common.examples("xcat volunteers list", "xcat volunteers list --json"))
def listing(as_json: common.AsJson = False) -> None:
    """List the accounts, with their votes and their success on known objects."""
    from xcat.database.sqlfiles import dicts, job

    with api.reading() as conn:
        rows = dicts(conn.execute(job("volunteers.accounts").compose()))
    if as_json:
        common.print_json([row | {k: row[k] and row[k].isoformat() for k in ("created_at", "last_at")} for row in rows])
        return
    common.print_rows(
        False,
        rows,
        ("name", "votes", "right of known", "last"),
        lambda r: (
            r["name"],
            str(r["n_votes"]),
            f"{r['n_right']} of {r['n_known']}",
            f"{r['last_at']:%Y-%m-%d %H:%M}" if r["last_at"] else "-",
        ),
        [],
    )


@volunteers_app.command(epilog=common.examples("xcat volunteers consensus", "xcat volunteers consensus --posterior"))
def consensus(
    posterior: Annotated[
        bool, common.option("--posterior", None, "Take our own probabilities as what is known before any vote.")
    ] = False,
    last_vote: Annotated[
        int | None, common.option("--last-vote", "N", "Count the votes up to this number.", min=1)
    ] = None,
    min_accuracy: Annotated[
        float, common.option("--min-accuracy", "SHARE", "Refuse it below this accuracy on known objects.", min=0, max=1)
    ] = 0.9,
    most_turned: Annotated[
        float, common.option("--most-turned", "SHARE", "Refuse it if more settled sources change class.", min=0, max=1)
    ] = 0.02,
    simulated: Simulated = False,
    as_json: common.AsJson = False,
) -> None:
    """Compute what the votes say together, as a run: class, effective votes, who is to be asked what."""
    from xcat.jobs.votes import Asked, consensus_run

    made = consensus_run(settings(), Asked(posterior, simulated, last_vote, min_accuracy, most_turned))
    accuracy = made["accuracy_on_known"]
    n_known = made["known_objects"]
    known = f"{n_known} known objects, too few to judge it"
    if accuracy is not None:
        known = f"{accuracy:.1%} of {n_known} known objects right"
    text = (
        f"run {made['run_id']}: {made['votes']:,} votes of {made['volunteers']} volunteers on {made['sources']:,} "
        f"sources, {made['settled']:,} settled; {known}"
    )
    common.done(as_json, made, text)


@volunteers_app.command(epilog=common.examples("xcat volunteers labels -o demo/sky/citizen.csv"))
def labels(
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="Write to this .csv.")],
    run_id: Annotated[int | None, common.option("--run", "RUN", "Of this consensus [the newest].")] = None,
    simulated: Simulated = False,
    overwrite: common.Overwrite = False,
    as_json: common.AsJson = False,
) -> None:
    """Write settled classes as a reference catalogue; a pipeline that names ``citizen`` learns from it, no other."""
    import csv

    from xcat import atomic
    from xcat.jobs.votes import labels as read

    common.check_new(output, (".csv",), overwrite)
    with api.reading() as conn:
        rows = read(conn, run_id, simulated)
    with atomic.writing(output) as part, part.open("w", newline="", encoding="utf-8") as file:
        names = ("name", "ra", "dec", "err_arcsec", "class", "p_class", "n_votes", "n_effective", "run_id")
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
    common.done(as_json, {"rows_out": len(rows), "output": str(output)}, f"{len(rows):,} labels written to {output}")


@volunteers_app.command(epilog=common.examples("xcat volunteers export -o votes.csv"))
def export(
    output: common.OutputFile,
    simulated: Simulated = False,
    overwrite: common.Overwrite = False,
    as_json: common.AsJson = False,
) -> None:
    """Write every vote for a paper; volunteers are numbers, which lead to nobody."""
    from astropy.table import Table

    from xcat.database.sqlfiles import dicts, job

    common.check_output(output, overwrite, False)
    with api.reading() as conn:
        rows = dicts(conn.execute(job("volunteers.export").compose(), {"simulated": simulated}))
    names = ("volunteer_id", "source_id", "name", "answer", "asked_as", "known_class", "voted_at")
    texts: list[dict[str, Any]] = [
        row
        | {"voted_at": row["voted_at"].isoformat(), "name": row["name"] or "", "known_class": row["known_class"] or ""}
        for row in rows
    ]
    table = Table(rows=[[row[name] for name in names] for row in texts], names=names) if texts else Table(names=names)
    common.give(table, "votes", output, overwrite, False, as_json, 0)


@volunteers_app.command(epilog=common.examples("xcat volunteers delete Ada"))
def delete(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the account.")],
    as_json: common.AsJson = False,
) -> None:
    """Delete an account, with remarks and watchlists; votes stay, under a number that leads to nobody."""
    from xcat.database.connection import ready
    from xcat.errors import XcatError
    from xcat.service.volunteers import accounts

    with ready(settings()) as conn:
        is_gone = accounts.delete(conn, name)
    if not is_gone:
        raise XcatError(f"there is no account '{name}'. See: xcat volunteers list")
    common.done(as_json, {"deleted": name}, f"the account {name} is deleted")


@volunteers_app.command(epilog=common.examples("xcat volunteers notify"))
def notify(as_json: common.AsJson = False) -> None:
    """Compare every watchlist with what is published now, and tell; workers do so after each run of theirs."""
    from xcat.service.volunteers.watchlists import tell

    n = tell(settings(), lambda text: print(text, file=sys.stderr))
    common.done(as_json, {"notices": n}, f"{n} notices")


@volunteers_app.command(
    epilog=common.examples("xcat volunteers simulate --data demo/sky --votes 40000 --sources 4000 --hostile 5")
)
def simulate(
    data: Annotated[Path, common.option("--data", "FOLDER", "Of the simulated sky that is published.")],
    votes: Annotated[
        int, typer.Option("--votes", metavar="N", min=100, max=1_000_000, help="Votes, at most.")
    ] = 40_000,
    sources: Annotated[int, typer.Option("--sources", metavar="N", min=100, help="Unknown sources.")] = 4000,
    hostile: Annotated[int, typer.Option("--hostile", metavar="N", min=0, max=46, help="Hostile volunteers.")] = 0,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Of the random numbers.")] = 1,
    as_json: common.AsJson = False,
) -> None:
    """Let 46 simulated volunteers vote on a simulated sky, and measure how right they are together."""
    from xcat.jobs.simulated_votes import simulate as run

    figures = run(settings(), data, votes, sources, hostile, seed)
    recall = ", ".join(f"{name} {share:.2f}" for name, share in figures["recall"].items())
    text = (
        f"{figures['votes']:,} votes on {figures['sources']:,} sources, {figures['votes_per_source']:.1f} each: "
        f"{figures['accuracy']:.1%} right ({figures['accuracy_plurality']:.1%} by plurality); recall: {recall}"
    )
    common.done(as_json, figures, text)
