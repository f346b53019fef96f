"""The commands that bring data in: ``xcat catalogues``, ``ingest``, ``fetch`` and ``simulate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xcat import progress
from xcat.cli import values
from xcat.cli.common import (
    AsJson,
    Definitions,
    OutputFile,
    Overwrite,
    check_new,
    examples,
    log,
    out,
    print_json,
    print_table,
    tell,
)
from xcat.config import settings

if TYPE_CHECKING:
    from xcat.ingest.load import Loading

commands = typer.Typer()
catalogues_app = typer.Typer(
    invoke_without_command=True,
    help="List the catalogue definitions and what is loaded, or explain one.",
    epilog=examples("xcat catalogues", "xcat catalogues --definitions mine", "xcat catalogues show csc2_detections"),
)
commands.add_typer(catalogues_app, name="catalogues")


@catalogues_app.callback()
def catalogues(context: typer.Context, definitions: Definitions = None, as_json: AsJson = False) -> None:
    """List the catalogue definitions and what is loaded, or explain one."""
    if context.invoked_subcommand is not None:
        return
    from xcat.database.connection import running
    from xcat.report import catalogue_list

    with running(settings()) as conn:
        rows = catalogue_list.listing(definitions or [], conn)
    if as_json:
        print_json(rows)
        return
    print_table(("name", "kind", "rows", "version", "files", "title"), map(catalogue_list.cells, rows))
    if conn is None:
        out.print("rows, version and files of what is loaded are not shown: no database is running")


@catalogues_app.command(
    "show", epilog=examples("xcat catalogues show csc2_detections", "xcat catalogues show ./mine.yaml")
)
def show(
    name: Annotated[str, typer.Argument(help="Name of a definition or of a loaded catalogue, or path of a file.")],
    definitions: Definitions = None,
    as_json: AsJson = False,
) -> None:
    """Explain a catalogue definition: what is read from which column, in which unit."""
    from xcat.catalogues.describe import describe
    from xcat.report import catalogue_list

    definition = catalogue_list.definition(settings(), name, definitions or [])
    print_json(definition.as_dict()) if as_json else out.print(describe(definition))


@commands.command(
    epilog=examples("xcat ingest vsx vsx.parquet", "xcat ingest ./mine.yaml a.fits b.fits --replace"),
)
def ingest(
    catalogue: Annotated[str, typer.Argument(help="Name of a definition, or path of one.")],
    files: Annotated[list[Path], typer.Argument(help="FITS, VOTable, ECSV, CSV, MRT or Parquet files.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace what the catalogue holds by these files.")
    ] = False,
    definitions: Definitions = None,
    as_json: AsJson = False,
) -> None:
    """Load files into a catalogue, all of them or none."""
    from xcat.catalogues.definition import load
    from xcat.ingest.load import ingest as load_files

    loading = load_files(settings(), load(catalogue, definitions or []), files, replace=replace)
    if as_json:
        print_json({"files": loading.files, "already_loaded": loading.already, "rejects": loading.rejects,
                    "version_current_again": loading.version})  # fmt: skip
    tell("\n".join(loading_lines(catalogue, loading)))


def log_loading(name: str, loading: Loading) -> None:
    """Log what a pipeline has loaded."""
    for line in loading_lines(name, loading):
        log(line)


def loading_lines(name: str, loading: Loading) -> list[str]:
    """Say what was loaded, and why rows were rejected."""
    if loading.version is not None:
        return [f"{name}: version {loading.version} holds just these files and is current again; nothing was loaded"]
    if not loading.files:
        return [f"{name}: already loaded, nothing changed ({', '.join(loading.already)})"]
    skipped = sum(file["n_skipped"] for file in loading.files)
    left_out = f", {skipped:,} left out by its definition" if skipped else ""
    lines = [f"{name}: {loading.n_rows:,} rows loaded, {loading.n_rejected:,} rejected{left_out}"]
    for reject in loading.rejects:
        column = f" in column {reject['column_name']}" if reject["column_name"] else ""
        lines.append(
            f"  {reject['file_name']}: {reject['n']:,} x {reject['reason']}{column}, "
            f"first in row {reject['first_row']:,} ({reject['example']!r})"
        )
    return lines


@commands.command(epilog=examples("xcat fetch gaia_dr3 --cone 150.1,2.2,0.2 -o gaia.vot"))
def fetch(
    catalogue: Annotated[str, typer.Argument(help="Name of a definition with a VizieR table.")],
    cone: Annotated[str, typer.Option(metavar="RA,DEC,RADIUS", help="In degrees.")],
    output: OutputFile,
    tap_url: Annotated[str | None, typer.Option(help="Another TAP service than VizieR's.")] = None,
    definitions: Definitions = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Ask VizieR for the rows of a catalogue in a cone; all of them, or an error."""
    place = values.cone(cone)
    check_new(output, (), overwrite)
    from xcat.catalogues.definition import load
    from xcat.ingest import fetch as remote

    service = tap_url or remote.VIZIER_TAP
    result = remote.fetch(load(catalogue, definitions or []), *place, output, tap_url=service)
    if as_json:
        print_json({"rows_out": result.n_rows, "output": str(output), "query": result.query, "tap_url": service})
    tell(f"{result.n_rows:,} rows written to {output}. Load them: xcat ingest {catalogue} {output}")


@commands.command(epilog=examples("xcat simulate --sources 4000 --seed 1 --out demo/sky"))
def simulate(
    folder: Annotated[Path, typer.Option("--out", help="Folder to write.")],
    sources: Annotated[int, typer.Option(min=500, help="X-ray sources on the sky.")] = 60_000,
    seed: Annotated[int, typer.Option(min=0, help="Another number gives another sky.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Write the catalogue files of a simulated sky, and the truth beside them."""
    from xcat.simulate import simulate as make

    with progress.bar(f"simulate {sources:,} sources"):
        summary = make(sources, seed, folder)
    if as_json:
        print_json({"folder": str(folder), "sources": summary.sources,
                    "counterpart_rows": summary.n_counterpart_rows})  # fmt: skip
    n_sources = sum(summary.sources.values())
    tell(f"{folder}: {n_sources:,} X-ray sources, {summary.n_counterpart_rows:,} counterpart rows")
