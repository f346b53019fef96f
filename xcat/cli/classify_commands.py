"""The command that classifies a user's own table: ``xcat classify TABLE``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xcat.cli import values
from xcat.cli.common import (
    DEC,
    RA,
    TABLES,
    AsJson,
    Band,
    Columns,
    OutputFile,
    Overwrite,
    check_new,
    examples,
    note,
    print_json,
)
from xcat.config import settings

commands = typer.Typer()


@commands.command(
    epilog=examples(
        "xcat classify mine.fits -o classes.fits",
        "xcat classify mine.csv --band 0.5-7 --column hr1=HardRatio --column mag_g=Gmag@mag --model 11 -o classes.csv",
    )
)
def classify(
    table: Annotated[Path, typer.Argument(help="FITS, VOTable, ECSV, CSV, MRT or Parquet.")],
    output: OutputFile,
    model: Annotated[
        str, typer.Option("--model", metavar="RUN", help="Number of a fit run, or the published run's model.")
    ] = "published",
    band: Band = None,
    column: Columns = None,
    ra: RA = None,
    dec: DEC = None,
    hdu: Annotated[str | None, typer.Option("--hdu", help="Extension of a FITS file, by number or name.")] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Classify a table of your own, from the model's properties or from raw fluxes, magnitudes and positions."""
    check_new(output, TABLES, overwrite)
    columns = values.columns(column) | {name: given for name, given in (("ra", ra), ("dec", dec)) if given}
    energies = values.band(band)
    from xcat.database.connection import ready
    from xcat.output import files
    from xcat.own import classify_table as work

    with ready(settings()) as conn:
        conn.read_only = True
        run_id, loaded = work.load_model(conn, model)
    extension = int(hdu) if hdu is not None and hdu.isdecimal() else hdu
    result = work.classify_table(
        table, run_id, loaded, band=energies, columns=columns, hdu=extension, for_fits=output.suffix.lower() == ".fits"
    )
    files.write(result.table, output, overwrite=overwrite)
    summary = result.summary | {"output": str(output)}
    if as_json:
        print_json(summary | {"notes": result.told})
    for line in [*result.told, "", work.text(summary), f"{len(result.table):,} rows written to {output}"]:
        note(line)
