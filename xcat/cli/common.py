"""What the commands share: output, notices, JSON, the rule for files that exist, and the options of one meaning."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from xcat import progress
from xcat.errors import ConfigError, XcatError

_NO_TERMINAL = 10_000  # columns of a file or a pipe: nothing is cut off or broken
TABLES = (".fits", ".vot", ".xml", ".parquet", ".csv", ".ecsv")
FIGURES = (".png", ".pdf", ".svg")


class UsageError(ConfigError):
    """An option or argument that cannot be used as it is written; the command ends with exit code 2."""


def _console(stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream is not None and stream.isatty() else _NO_TERMINAL
    return Console(stderr=stderr, width=width, soft_wrap=True, highlight=False, markup=False, emoji=False)


out, err = _console(stderr=False), _console(stderr=True)
_quiet = False


def tell(text: str) -> None:
    """Print what a command did, unless it is to be quiet."""
    if not _quiet:
        out.print(text)


def note(text: str) -> None:
    """Print a remark beside the answer, on standard error, unless the command is to be quiet."""
    if not _quiet:
        err.print(text)


def log(text: str) -> None:
    """Print a line about a stage, on standard error, with the time where no terminal shows it."""
    note(progress.stamped(text))


def print_json(value: Any) -> None:
    """Print a value as JSON; what JSON does not know, such as times, becomes text."""
    print(json.dumps(value, indent=2, default=str))


def print_table(columns: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> None:
    """Print rows in columns, whole where the output is no terminal."""
    from rich.table import Table

    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    out.print(table)


def _silence(context: typer.Context, as_json: bool) -> bool:
    """No progress and no notices under --json or --quiet; --json of a group holds for its commands."""
    global _quiet
    parent = context.parent.params if context.parent else {}
    as_json = as_json or bool(parent.get("as_json"))
    _quiet = as_json or bool(context.find_root().params.get("quiet"))
    if _quiet:
        progress.silence()
    return as_json


def check_new(path: Path | None, endings: tuple[str, ...], overwrite: bool) -> None:
    """Refuse a file that cannot be written, before the work is done.

    Parameters
    ----------
    path : Path or None
        None is always accepted.
    endings : tuple of str
        Endings that can be written; empty for any.
    overwrite : bool
        Accept a file that exists.

    Raises
    ------
    UsageError
        Another ending.
    XcatError
        The file exists, or its folder does not.
    """
    if path is None:
        return
    if endings and path.suffix.lower() not in endings:
        raise UsageError(f"{path}: the ending selects the format, and must be one of {' '.join(endings)}")
    if path.exists() and not overwrite:
        raise XcatError(f"{path} exists already. Choose another name, or use --overwrite.")
    if endings and not path.absolute().parent.is_dir():
        raise XcatError(f"{path}: there is no folder {path.parent}")


@contextmanager
def usage() -> Iterator[None]:
    """Errors of arguments that a room reads are errors of usage."""
    try:
        yield
    except ConfigError as error:
        raise UsageError(str(error)) from None


def examples(*lines: str) -> str:
    """Epilog of a command's help; each line stays a line."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


_OUTPUT = typer.Option("-o", "--output", metavar="FILE", help="Write to this file: .fits .vot .parquet .csv .ecsv.")
Output = Annotated[Path | None, _OUTPUT]
OutputFile = Annotated[Path, _OUTPUT]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")]
AsJson = Annotated[bool, typer.Option("--json", callback=_silence, help="Print JSON and nothing else.")]
Figure = Annotated[Path | None, typer.Option("--figure", metavar="FILE", help="Draw to this .png, .pdf or .svg.")]
Definitions = Annotated[
    list[Path] | None,
    typer.Option("--definitions", metavar="FOLDER", help="Folder with definitions of your own; may be repeated."),
]
Data = Annotated[
    Path, typer.Option("--data", metavar="FOLDER", help="Folder that the pipeline's files are relative to.")
]
OfRun = Annotated[
    int | None, typer.Option("--run", metavar="RUN", help="Read this classify run instead of the published one.")
]
RA = Annotated[str | None, typer.Option("--ra", metavar="COLUMN", help="Right ascension; guessed if not given.")]
DEC = Annotated[str | None, typer.Option("--dec", metavar="COLUMN", help="Declination; guessed if not given.")]
Band = Annotated[
    str | None, typer.Option("--band", metavar="LOW-HIGH", help="Energies of the table's flux in keV, as in 0.5-7.")
]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        metavar="NAME=COLUMN",
        help="Where the guess needs help: PROPERTY=COLUMN or QUANTITY=COLUMN[@UNIT]; nothing after = to use no column. "
        "May be repeated.",
    ),
]
MaxRows = typer.Option("--max-rows", min=0, help="Rows to print.")
