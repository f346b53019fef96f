"""The commands about what is published: ``xcat gate ...``, ``release ...`` and ``rollback``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from xcat import api
from xcat.cli import common, values
from xcat.config import settings

commands = typer.Typer()
Label = Annotated[str, typer.Argument(metavar="LABEL", help="Name of a release, as in 2026-11.")]
Why = Annotated[str, common.option("--why", "REASON", "The reason, which is kept.")]

# --- gates -------------------------------------------------------------------------------------------------

gate_app = typer.Typer(
    invoke_without_command=True,
    epilog=common.examples("xcat gate list", "xcat gate set changed_classes 0.2", 'xcat gate add "Cyg X-1" XRB'),
)
commands.add_typer(gate_app, name="gate")
Gate = Annotated[str, typer.Argument(metavar="GATE", help="Name of a gate: see xcat gate list.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the object, or of a published source.")]


@gate_app.callback()
def gate(context: typer.Context, as_json: common.AsJson = False) -> None:
    """List and change the checks that a classification must pass before it is published."""
    if context.invoked_subcommand is None:
        _list_gates(None, as_json)


@gate_app.command("list", epilog=common.examples("xcat gate list", "xcat gate list --run 21 --json"))
def list_gates(
    run_id: Annotated[
        int | None, common.option("--run", "RUN", "What the gates measured of this publish or classify run.")
    ] = None,
    as_json: common.AsJson = False,
) -> None:
    """List the gates and the objects that must keep their class, or what the gates measured of a run."""
    _list_gates(run_id, as_json)


def _list_gates(run_id: int | None, as_json: bool) -> None:
    from xcat.jobs import gates

    with api.reading() as conn:
        if run_id is not None:
            found = gates.measured(conn, run_id)
            common.print_json(found) if as_json else print(*gates.lines(found), sep="\n")
            return
        listed, famous = gates.listing(conn), gates.famous(conn)
    if as_json:
        common.print_json({"gates": listed, "famous": famous})
        return
    remarks = [f"{f['name']} must keep its class {f['class']} ({f['ra']:.5f}, {f['dec']:+.5f})" for f in famous]
    common.print_rows(
        False,
        listed,
        ("gate", "threshold", "checks"),
        lambda g: (g["gate"], f"{g['threshold']:g}" if g["is_on"] else "off", g["about"]),
        remarks,
    )


@gate_app.command(
    "set",
    epilog=common.examples(
        "xcat gate set changed_classes 0.2", "xcat gate set unmatched off", "xcat gate set unmatched on"
    ),
)
def set_gate(
    gate: Gate,
    threshold: Annotated[str, typer.Argument(metavar="THRESHOLD", help="A number; off, or on again.")],
    as_json: common.AsJson = False,
) -> None:
    """Change the threshold of a gate, or switch it off or on."""
    from xcat.database.connection import ready
    from xcat.jobs import gates

    number, is_on = values.threshold(threshold), threshold != "off"
    with ready(settings()) as conn:
        gates.change(conn, gate, number, is_on)
    said = f"off: {gate} is not checked" if not is_on else f"{gate}: on" if number is None else f"{gate}: {number:g}"
    common.done(as_json, {"gate": gate, "threshold": number, "is_on": is_on}, said)


@gate_app.command(
    "add",
    epilog=common.examples(
        'xcat gate add "4XMM J004232.0+411314" XRB', 'xcat gate add "Cyg X-1" XRB --at 299.5903,35.2016'
    ),
)
def add(
    name: Name,
    class_name: Annotated[str, typer.Argument(metavar="CLASS", help="The class that it must keep.")],
    at: Annotated[str | None, common.option("--at", "RA,DEC", "In degrees; if it is not the name of a source.")] = None,
    radius_arcsec: Annotated[float, typer.Option("--radius", min=0.1, max=3600, help="In arcsec.")] = 10.0,
    as_json: common.AsJson = False,
) -> None:
    """Enter an object that must keep its class: a publication that gives it another one is refused."""
    from xcat.database.connection import ready
    from xcat.jobs import gates

    place = None if at is None else values.place(at)
    with ready(settings()) as conn:
        row = gates.add_famous(conn, name, class_name, place, radius_arcsec)
    common.done(as_json, row, f"{name} must keep its class {class_name} ({row['ra']:.5f}, {row['dec']:+.5f})")


@gate_app.command(epilog=common.examples('xcat gate remove "Cyg X-1"'))
def remove(name: Name, as_json: common.AsJson = False) -> None:
    """Let an object have any class again."""
    from xcat.database.connection import ready
    from xcat.jobs import gates

    with ready(settings()) as conn:
        gates.remove_famous(conn, name)
    common.done(as_json, {"name": name}, f"{name} may have any class")


# --- back --------------------------------------------------------------------------------------------------


@commands.command(
    epilog=common.examples('xcat rollback --why "half of the sky has no counterpart"', "xcat rollback 2026-11")
)
def rollback(
    state: Annotated[
        str | None, typer.Argument(metavar="[STATE]", help="A run or a release. Default: what was published before.")
    ] = None,
    why: Annotated[str | None, common.option("--why", "REASON", "The reason, which is kept.")] = None,
    as_json: common.AsJson = False,
) -> None:
    """Publish an earlier state again, through no gate; repeated, it goes further back."""
    from xcat.jobs.publishing import rollback as back

    done = back(settings(), state, why)
    text = (
        f"run {done['run_id']} is published again, without a check; run {done['before']} is taken back: "
        f"to publish it needs xcat publish {done['before']} --force --why REASON"
    )
    common.done(as_json, done, text)


# --- releases ----------------------------------------------------------------------------------------------

release_app = typer.Typer(
    invoke_without_command=True,
    epilog=common.examples(
        "xcat release create 2026-11", "xcat release export 2026-11 release-2026-11", "xcat release list"
    ),
)
commands.add_typer(release_app, name="release")


@release_app.callback()
def release(context: typer.Context, as_json: common.AsJson = False) -> None:
    """Freeze what is published under a name, write it to files, and check both."""
    if context.invoked_subcommand is None:
        _list_releases(as_json)


@release_app.command(
    epilog=common.examples("xcat release create 2026-11", 'xcat release create paper-1 --run 20 --note "Table 3"')
)
def create(
    label: Label,
    run_id: Annotated[
        int | None, common.option("--run", "RUN", "A run with tables in pub. Default: published.")
    ] = None,
    note: Annotated[str | None, common.option("--note", "TEXT", "What the release is, in a sentence.")] = None,
    authors: Annotated[list[str] | None, common.option("--author", "NAME", "Whom to cite for it; repeatable.")] = None,
    as_json: common.AsJson = False,
) -> None:
    """Freeze the published tables: counted, summed up, and never dropped."""
    from xcat.database.connection import ready
    from xcat.jobs import releases, states

    with ready(settings()) as conn:
        made = releases.create(conn, label, states.PUBLISHED if run_id is None else str(run_id), note, authors)
    rows = sum(table["rows"] for table in made["record"]["tables"].values())
    text = f"release {label}: run {made['run_id']}, {len(made['record']['tables'])} tables, {rows:,} rows"
    common.done(as_json, made, text)


@release_app.command("list", epilog=common.examples("xcat release list", "xcat release list --json"))
def list_releases(as_json: common.AsJson = False) -> None:
    """List the releases, newest first."""
    _list_releases(as_json)


def _list_releases(as_json: bool) -> None:
    from xcat.jobs import releases

    with api.reading() as conn:
        rows = releases.listing(conn)
    remarks = ["* published"] if any(row["is_published"] for row in rows) else []

    def cells(row: dict[str, Any]) -> tuple[str, ...]:
        note = row["note"] or ""
        if row["removed_at"] is not None:
            note = f"given up on {row['removed_at']:%Y-%m-%d}: {row['removed_why']}"
        run = f"{row['run_id']}{' *' if row['is_published'] else ''}"
        return row["label"], f"{row['created_at']:%Y-%m-%d %H:%M}", run, f"{row['sources']:,}", note

    common.print_rows(as_json, rows, ("release", "made (UTC)", "run", "sources", "note"), cells, remarks)


@release_app.command(epilog=common.examples("xcat release show 2026-11", "xcat release show 2026-11 --json"))
def show(label: Label, as_json: common.AsJson = False) -> None:
    """Show everything about a release; --json gives its whole record."""
    from xcat.jobs import releases
    from xcat.report.run import record

    with api.reading() as conn:
        found = releases.show(conn, label)
    common.print_json(found) if as_json else print(record.release_text(found))


@release_app.command(
    epilog=common.examples(
        "xcat release export 2026-11 release-2026-11", "xcat release export 2026-11 r --format parquet"
    )
)
def export(
    label: Label,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new folder.")],
    formats: Annotated[
        list[str] | None, common.option("--format", "FORMAT", "parquet or votable; repeatable. Default: both.")
    ] = None,
    as_json: common.AsJson = False,
) -> None:
    """Write the tables of a release with README, CITATION and checksums to a new folder, whole or not at all."""
    from xcat.jobs import release_files

    unknown = sorted(set(formats or ()) - set(release_files.FORMATS))
    if unknown:
        raise common.UsageError(f"--format is parquet or votable, got {unknown[0]!r}")
    with api.reading() as conn:
        names = release_files.export(conn, label, folder, formats)
    common.done(as_json, {"label": label, "folder": folder, "files": names}, f"{len(names)} files written to {folder}")


@release_app.command(
    epilog=common.examples("xcat release verify 2026-11", "xcat release verify 2026-11 release-2026-11")
)
def verify(
    label: Label,
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="[FOLDER]", help="Files of the release. Default: its tables in the database."),
    ] = None,
    as_json: common.AsJson = False,
) -> None:
    """Count and sum up the tables of a release again, or its files; a difference is an error."""
    from xcat.errors import XcatError
    from xcat.jobs import release_files, releases

    with api.reading() as conn:
        if folder is None:
            differences = releases.verify(conn, label)
        else:
            differences = release_files.verify(releases.show(conn, label), folder)
    what = f"the release {label}" if folder is None else f"{folder} of the release {label}"
    if differences:
        raise XcatError(f"{what} is not as it was: {'; '.join(differences)}")
    common.done(as_json, {"label": label, "folder": folder, "differences": []}, f"{what} is as it was")


@release_app.command("remove", epilog=common.examples('xcat release remove test-1 --why "a test"'))
def remove_release(label: Label, why: Why, as_json: common.AsJson = False) -> None:
    """Give up a release: its record and its label stay, its tables may be dropped."""
    from xcat.database.connection import ready
    from xcat.jobs import releases

    if not why.strip():
        raise common.UsageError("--why: say why the release is given up")
    with ready(settings()) as conn:
        releases.remove(conn, label, why.strip())
    common.done(
        as_json, {"label": label, "why": why.strip()}, f"release {label} is given up; its tables may be dropped"
    )
