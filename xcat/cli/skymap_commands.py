"""The command for sky maps: ``xcat skymap``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xcat import api
from xcat.atomic import FIGURES
from xcat.cli import common

commands = typer.Typer()


@commands.command(
    epilog=common.examples(
        "xcat skymap bayestar.multiorder.fits",
        "xcat skymap S190814bv.fits.gz --class XRB --min-probability 0.5 -o binaries.fits",
        "xcat skymap icecube.fits --level 0.68 --json",
        "xcat skymap bayestar.multiorder.fits --moc region.fits --plot region.svg",
    )
)
def skymap(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Multi-order or flat HEALPix map, FITS or FITS.gz.")],
    level: Annotated[
        float, typer.Option("--level", min=0, max=1, help="Probability that the credible region holds.")
    ] = 0.9,
    class_name: Annotated[str | None, common.option("--class", "CLASS", "Sources of this class only.")] = None,
    min_probability: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Least probability: of --class, whichever class is most probable, or of any."),
    ] = None,
    column: Annotated[
        str, common.option("--column", "COLUMN", "Column of the probability, if not PROB, PROBABILITY or PROBDENSITY.")
    ] = "",
    moc: Annotated[Path | None, common.option("--moc", "FILE", "Write the region as a MOC to this .fits.")] = None,
    plot: Annotated[
        Path | None, common.option("--plot", "FILE", "Draw regions and sources to this .png, .pdf or .svg.")
    ] = None,
    output: common.Output = None,
    samp: common.Samp = False,
    overwrite: common.Overwrite = False,
    run_id: common.OfRun = None,
    max_rows: common.MaxRows = 20,
    as_json: common.AsJson = False,
) -> None:
    """List the published sources in the credible region of a sky map, the densest places first."""
    common.check_output(output, overwrite, samp)
    common.check_new(moc, (".fits",), overwrite)
    common.check_new(plot, FIGURES, overwrite)
    from xcat.report import skymap as regions

    opened = api.open_skymap(file, column)
    if moc is not None:
        region = opened.region(regions.levels(level)[-1])
        regions.write_moc(region, opened, moc, overwrite)
        common.note(f"region of {region.area_deg2:,.6g} deg2 written to {moc}")
    takes_all = output or samp or as_json or plot
    table = api.skymap(
        opened,
        level,
        class_name=class_name,
        min_probability=min_probability,
        limit=None if takes_all else max_rows,
        run_id=run_id,
    )
    common.note(*opened.notes, *map(regions.region_words, table.meta[regions.FACTS]["regions"]))
    if plot is not None:
        from xcat.output import skymap_figure

        drawn = [opened.region(each) for each in regions.levels(level)]
        common.note(f"drawn to {skymap_figure.draw(opened, drawn, table, plot)}")
    common.give(table, f"sources in {file.name}", output, overwrite, samp, as_json, max_rows)
