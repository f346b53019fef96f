"""The commands about what is published: ``xcat gate ...``, ``release ...`` and ``rollback``."""

from __future__ import annotations

from typing import Annotated

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
