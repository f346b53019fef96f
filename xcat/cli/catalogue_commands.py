"""The commands that bring data in: ``xcat catalogues``, ``ingest``, ``fetch`` and ``simulate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xcat import progress
from xcat.cli import common, values
from xcat.config import settings

commands = typer.Typer()
catalogues_app = typer.Typer(
    invoke_without_command=True,
    epilog=common.examples("xcat catalogues --definitions mine", "xcat catalogues show csc2_detections"),
)
commands.add_typer(catalogues_app, name="catalogues")


@catalogues_app.callback()
def catalogues(context: typer.Context, definitions: common.Definitions = None, as_json: common.AsJson = False) -> None:
    """List the catalogue definitions and what is loaded, or explain one."""
    if context.invoked_subcommand is not None:
        return
    from xcat.database.connection import running
    from xcat.report import catalogue_list

    with running(settings()) as conn:
        rows = catalogue_list.listing(definitions or [], conn)
    remarks = ["no database is running: what is loaded is not shown"] if conn is None else []
    common.print_rows(as_json, rows, catalogue_list.HEAD, catalogue_list.cells, remarks)


@catalogues_app.command(
    "show", epilog=common.examples("xcat catalogues show csc2_detections", "xcat catalogues show ./mine.yaml --json")
)
def show(
    name: Annotated[str, typer.Argument(help="Name of a definition or of a loaded catalogue, or path of a file.")],
    definitions: common.Definitions = None,
    as_json: common.AsJson = False,
) -> None:
    """Explain a catalogue definition: what is read from which column, in which unit."""
    from xcat.catalogues.describe import describe
    from xcat.report import catalogue_list

    definition = catalogue_list.definition(settings(), name, definitions or [])
    common.print_json(definition.as_dict()) if as_json else print(describe(definition))


@commands.command(epilog=common.examples("xcat ingest vsx vsx.parquet", "xcat ingest ./mine.yaml a.fits b.fits"))
def ingest(
    catalogue: Annotated[str, typer.Argument(help="Name of a definition, or path of one.")],
    files: Annotated[
        list[Path],
        typer.Argument(
            help="FITS, VOTable, ECSV, CSV, MRT or Parquet files, packed or not; FILE[NAME] is a table of several."
        ),
    ],
    replace: common.Replace = False,
    allow_rejects: common.AllowRejects = None,
    allow_loss: common.AllowLoss = None,
    definitions: common.Definitions = None,
    as_json: common.AsJson = False,
) -> None:
    """Load files into a catalogue, all of them or none."""
    from xcat.catalogues.definition import load
    from xcat.ingest.checks import Allowed
    from xcat.ingest.load import ingest as load_files
    from xcat.report.run import record

    definition, allowed = load(catalogue, definitions or []), Allowed(allow_rejects, allow_loss)
    result = load_files(settings(), definition, files, replace=replace, allowed=allowed)
    common.done(as_json, record.loading_json(result), "\n".join(record.loading_lines(catalogue, result)))


@commands.command(epilog=common.examples("xcat fetch gaia_dr3 --cone 150.1,2.2,0.2 -o gaia.vot"))
def fetch(
    catalogue: Annotated[str, typer.Argument(help="Name of a definition with a VizieR table.")],
    cone: Annotated[str, common.Cone],
    output: common.OutputFile,
    tap_url: Annotated[str, common.option("--tap-url", "URL", "Another TAP service than VizieR's.")] = "",
    definitions: common.Definitions = None,
    overwrite: common.Overwrite = False,
    as_json: common.AsJson = False,
) -> None:
    """Ask VizieR for the rows of a catalogue in a cone; all of them, or an error."""
    ra, dec, radius = values.cone(cone)
    common.check_new(output, (), overwrite)
    from xcat.catalogues.definition import load
    from xcat.ingest import fetch as remote

    service = tap_url or remote.VIZIER_TAP
    n_rows, query = remote.fetch(load(catalogue, definitions or []), ra, dec, radius, output, tap_url=service)
    facts = {"rows_out": n_rows, "output": str(output), "query": query, "tap_url": service}
    text = f"{n_rows:,} rows written to {output}. Load them: xcat ingest {catalogue} {output}"
    common.done(as_json, facts, text)


@commands.command(epilog=common.examples("xcat simulate --sources 4000 --seed 1 --out demo/sky"))
def simulate(
    folder: Annotated[Path, common.option("--out", "FOLDER", "Folder to write.")],
    sources: Annotated[int, typer.Option(min=500, help="X-ray sources on the sky.")] = 60_000,
    seed: Annotated[int, typer.Option(min=0, help="Another number gives another sky.")] = 1,
    deep_field: Annotated[
        bool, typer.Option(help="One deep field whose X-ray image exceeds the area of the counterpart catalogues.")
    ] = False,
    as_json: common.AsJson = False,
) -> None:
    """Write the catalogue files of a simulated sky, and the truth beside them."""
    from xcat.simulate import simulate as make

    with progress.bar(f"simulate {sources:,} sources"):
        sky = make(sources, seed, folder, deep_field=deep_field)
    facts = {"folder": str(folder), "sources": sky.sources, "counterpart_rows": sky.n_counterpart_rows}
    n_sources = sum(sky.sources.values())
    common.done(as_json, facts, f"{folder}: {n_sources:,} X-ray sources, {sky.n_counterpart_rows:,} counterpart rows")
