"""The command that classifies a user's own table: ``xcat classify TABLE``."""

from __future__ import annotations

from typing import Annotated

import typer

from xcat.cli import common, values

commands = typer.Typer()


@commands.command(
    epilog=common.examples(
        "xcat classify mine.fits -o classes.fits",
        "xcat classify mine.csv --band 0.5-7 --column hr1=HardRatio --model 11 -o classes.csv",
    )
)
def classify(
    table: common.Table,
    output: common.OutputFile,
    model: Annotated[str, common.option("--model", "RUN", "A fit run, or the published run's model.")] = "published",
    band: common.Band = None,
    column: common.Columns = None,
    ra: common.RA = None,
    dec: common.DEC = None,
    hdu: Annotated[str, common.option("--hdu", "HDU", "Extension of a FITS file, by number or name.")] = "",
    overwrite: common.Overwrite = False,
    as_json: common.AsJson = False,
) -> None:
    """Classify a table of your own, from the model's properties or from raw fluxes, magnitudes and positions."""
    common.check_new(output, common.TABLES, overwrite)
    columns = values.columns(column) | {name: given for name, given in (("ra", ra), ("dec", dec)) if given}
    energies = values.band(band)
    from xcat.output import files
    from xcat.own import classify_table as work

    with common.reading() as conn:
        run_id, loaded = work.load_model(conn, model)
    extension, for_fits = int(hdu) if hdu.isdecimal() else hdu or None, output.suffix.lower() == ".fits"
    result = work.classify_table(
        table, run_id, loaded, band=energies, columns=columns, hdu=extension, for_fits=for_fits
    )
    files.write(result.table, output, overwrite=overwrite)
    summary = result.summary | {"output": str(output)}
    if as_json:
        common.print_json(summary | {"notes": result.messages})
    common.note(*result.messages, "", work.text(summary), f"{len(result.table):,} rows written to {output}")
