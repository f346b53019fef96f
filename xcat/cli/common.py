"""What the commands share: output, notices, JSON, the rule for files that exist, and the options of one meaning."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from xcat import atomic, progress
from xcat.errors import ConfigError


class UsageError(ConfigError):
    """An option or argument that cannot be used as it is written; the command ends with exit code 2."""


_quiet = False


def print_json(value: Any) -> None:
    """Print a value as JSON; what JSON does not know becomes text (times, infinity) or null (NaN)."""
    from xcat.arrays import jsonable

    print(json.dumps(jsonable(value, infinity=True), indent=2, default=str, allow_nan=False))


def print_rows(
    as_json: bool, rows: list[Any], head: Sequence[str], cells: Callable[[Any], Sequence[str]], remarks: list[str]
) -> None:
    """Print rows as JSON; or the cells of each, in columns below a head, and remarks."""
    if as_json:
        print_json(rows)
    else:
        from xcat.output.terminal import aligned

        print(*aligned([head, *map(cells, rows)], ()), *remarks, sep="\n")


def done(as_json: bool, value: Any, text: str) -> None:
    """End a command: print what it did as JSON, or in words unless it is to be quiet."""
    if as_json:
        print_json(value)
    elif text and not _quiet:
        print(text)


def note(*lines: str) -> None:
    """Print remarks beside the answer, on standard error, unless the command is to be quiet."""
    for line in () if _quiet else lines:
        print(progress.remark(line), file=sys.stderr)


def log(text: str) -> None:
    """Print a line of the log, with its time, unless the command is to be quiet."""
    if not _quiet:
        print(progress.stamped(text), file=sys.stderr)


def _silence(context: typer.Context, as_json: bool) -> bool:
    """No progress and no notices under --json or --quiet; --json of a group holds for its commands."""
    global _quiet
    as_json = as_json or bool(context.parent and context.parent.params.get("as_json"))
    _quiet = as_json or bool(context.find_root().params.get("quiet"))
    if _quiet:
        progress.silence()
    return as_json


@contextmanager
def usage() -> Iterator[None]:
    """Errors of arguments that a room reads are errors of usage."""
    try:
        yield
    except ConfigError as error:
        raise UsageError(str(error)) from None


def check_new(path: Path | None, endings: Collection[str], overwrite: bool) -> None:
    """Refuse a file before the work is done; see `xcat.atomic.check_new`."""
    if path is not None:
        with usage():
            atomic.check_new(path, endings, overwrite)


def check_output(path: Path | None, overwrite: bool, samp: bool) -> None:
    """Refuse a table that could not be written or sent, before the work is done."""
    check_new(path, atomic.TABLES, overwrite)
    if samp:
        from xcat.output import samp as desktop

        desktop.check()


def check_any_output(path: Path | None, overwrite: bool, samp: bool) -> None:
    """The same, where the answer must go to a file or a program."""
    if path is None and not samp:
        raise typer.BadParameter("it is missing: name a file, or give --samp", param_hint="'-o' / '--output'")
    check_output(path, overwrite, samp)


def send(table: Any, name: str, samp: bool) -> None:
    """Send a table to the programs on the desktop, if that was asked for."""
    if samp:
        from xcat.output import samp as desktop

        note(*desktop.send(table, name))


def give(table: Any, name: str, output: Path | None, overwrite: bool, samp: bool, as_json: bool, max_rows: int) -> None:
    """Write a table to a file, send it, or print it."""
    from xcat.output import terminal

    send(table, name, samp)
    if output is not None:
        from xcat.output import files

        note(*files.check(table, output))
        files.write(table, output, overwrite=overwrite)
        facts = {"rows_out": len(table), "output": str(output)}
        done(as_json, facts, f"{len(table):,} rows written to {output}")
    elif samp:
        done(as_json, {"rows_out": len(table)}, "")
    elif as_json:
        print_json(terminal.as_json(table))
    else:
        # in a file or a pipe nothing is left out
        print(terminal.show(table, max_rows, None if sys.stdout.isatty() else 10_000))


def examples(*lines: str) -> str:
    """Epilog of a command's help; each line stays a line."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def option(name: str, metavar: str | None, about: str, **limits: Any) -> Any:
    """An option that takes a value, from ``min`` to ``max``; without `metavar`, one that is given or not."""
    return typer.Option(name, metavar=metavar, help=about, **limits)


AsJson = Annotated[bool, typer.Option("--json", callback=_silence, help="Print JSON and nothing else.")]
_OUTPUT = typer.Option("-o", "--output", metavar="FILE", help="Write to this .fits .vot .parquet .csv .ecsv .reg.")
Output = Annotated[Path | None, _OUTPUT]
OutputFile = Annotated[Path, _OUTPUT]
Samp = Annotated[bool, option("--samp", None, "Send the table to TOPCAT, Aladin or DS9.")]
Overwrite = Annotated[bool, option("--overwrite", None, "Replace files that exist.")]
Replace = Annotated[bool, option("--replace", None, "Replace what a catalogue holds by these files.")]
_SHARE = {"metavar": "SHARE", "min": 0.0, "max": 1.0}
AllowRejects = Annotated[
    float | None, typer.Option("--allow-rejects", help="Share of a file's rows that may be unusable [0.05].", **_SHARE)
]
_LOSS = "Share of rows, of sources and of sky that --replace and a publication may lose [0.1]; 1: it is another sky."
AllowLoss = Annotated[float | None, typer.Option("--allow-loss", help=_LOSS, **_SHARE)]
Figure = Annotated[Path | None, option("--figure", "FILE", "Draw to this .png, .pdf or .svg.")]
Html = Annotated[Path | None, option("--html", "FOLDER", "Write a page with figures to this folder.")]
Definitions = Annotated[list[Path] | None, option("--definitions", "FOLDER", "Definitions of your own; repeatable.")]
Data = Annotated[Path, option("--data", "FOLDER", "Folder that the pipeline's files are relative to.")]
OfRun = Annotated[int | None, option("--run", "RUN", "Read this classify run instead of the published one.")]
RunId = Annotated[int, typer.Argument(metavar="RUN", help="Number of a run.")]
Hook = Annotated[str | None, option("--hook", "HOOK", "Command or address that is told, as JSON, how a run ends.")]
Cone = option("--cone", "RA,DEC,RADIUS", "In degrees.")
MaxRows = Annotated[int, typer.Option("--max-rows", min=0, help="Rows to print.")]
Limit = Annotated[int, typer.Option("--limit", min=1, help="Rows to list, the newest.")]

# a user's own table
Table = Annotated[Path, typer.Argument(metavar="TABLE", help="FITS, VOTable, ECSV, CSV, MRT or Parquet.")]
RA = Annotated[str | None, option("--ra", "COLUMN", "Right ascension; guessed if not given.")]
DEC = Annotated[str | None, option("--dec", "COLUMN", "Declination; guessed if not given.")]
Band = Annotated[str | None, option("--band", "LOW-HIGH", "Energies of the table's flux in keV, as in 0.5-7.")]
_COLUMN = (
    "PROPERTY=COLUMN or QUANTITY=COLUMN[@UNIT][@LOW-HIGHkeV] where the guess needs help; nothing after = for none; "
    "repeatable."
)
Columns = Annotated[list[str] | None, option("--column", "NAME=COLUMN", _COLUMN)]
