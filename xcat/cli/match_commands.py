"""The commands that match a user's own table: ``xcat match TABLE --against ...`` and ``xcat match-files``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xcat.cli import values
from xcat.cli.common import (
    DEC,
    FIGURES,
    RA,
    TABLES,
    AsJson,
    Figure,
    OutputFile,
    Overwrite,
    UsageError,
    check_new,
    examples,
    note,
    print_json,
    usage,
)
from xcat.config import settings

if TYPE_CHECKING:
    from xcat.own.match_answer import Answer

commands = typer.Typer()

PosErr = Annotated[
    str | None,
    typer.Option(
        "--pos-err",
        help="Positional error: COLUMN (1 sigma; COLUMN@95 a 95 % radius, COLUMN@mas its unit), "
        "RA_ERR,DEC_ERR, MAJ,MIN,PA or a number in arcsec.",
    ),
]
Epoch = Annotated[
    float | None,
    typer.Option("--epoch", min=1850, max=2150, help="Year of the table's positions, where no column gives it."),
]
Radius = Annotated[float, typer.Option("--radius", help="Search radius in arcsec.")]
FalseRate = Annotated[float, typer.Option("--false-rate", help="Share of false matches to accept.")]
Best = Annotated[bool, typer.Option("--best", help="One row per source instead of one per hypothesis.")]
Magnitudes = Annotated[
    list[str] | None,
    typer.Option("--mag", metavar="TABLE:COLUMN[:auto|FILE]", help="Weigh by a magnitude; may be repeated."),
]


@commands.command(
    epilog=examples(
        "xcat match mine.fits --against gaia_dr3 --against allwise --best -o matched.fits",
        "xcat match mine.csv --against gaia_dr3 --pos-err 1.2 --mag gaia_dr3:mag_g -o matched.vot --figure match.png",
    )
)
def match(
    table: Annotated[Path, typer.Argument(help="FITS, VOTable, ECSV, CSV, MRT or Parquet.")],
    against: Annotated[
        list[str], typer.Option("--against", metavar="CATALOGUE", help="A loaded catalogue; may be repeated.")
    ],
    output: OutputFile,
    ra: RA = None,
    dec: DEC = None,
    pos_err: PosErr = None,
    epoch: Epoch = None,
    radius: Radius = 15.0,
    false_rate: FalseRate = 0.05,
    mag: Magnitudes = None,
    best: Best = False,
    figure: Figure = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Match a table of your own with loaded counterpart catalogues."""
    _check(output, figure, false_rate, overwrite)
    from xcat.match.engine import Options
    from xcat.own import match_table
    from xcat.own.arguments import magnitude_spec
    from xcat.tables.guess import Wanted

    with usage():
        magnitudes = [magnitude_spec(m) for m in mag or []]
    answer = match_table.match_table(
        settings(), table, against, Options(radius, false_rate),
        magnitudes=magnitudes, wanted=Wanted(ra, dec, pos_err, epoch),
    )  # fmt: skip
    _finish(answer, output, best, figure, overwrite, as_json)


@commands.command(
    "match-files",
    epilog=examples(
        "xcat match-files xray.fits:pos_err gaia.fits:0.1 --around gaia:60 --best -o matched.csv",
        "xcat match-files XMM:pos_err OPT:0.1 IRAC:0.5 --radius 15 --mag OPT:MAG --nway -o matched.fits",
    ),
)
def match_files(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE[:ERR]...", help="The X-ray sources first. ERR: columns or arcsec.")
    ],
    output: OutputFile,
    radius: Radius = 15.0,
    completeness: Annotated[
        str | None,
        typer.Option(help="Share of sources with a counterpart: a number, one for each file with commas, or estimate."),
    ] = None,
    mag: Magnitudes = None,
    area: Annotated[
        list[str] | None,
        typer.Option("--area", metavar="TABLE:DEG2", help="Area, where no SKYAREA gives it; may be repeated."),
    ] = None,
    around: Annotated[
        list[str] | None,
        typer.Option("--around", metavar="TABLE:ARCSEC", help="The table has only the objects so near to the sources."),
    ] = None,
    density: Annotated[
        list[str] | None,
        typer.Option("--density", metavar="TABLE:PER_DEG2", help="Density, if the table has only some objects."),
    ] = None,
    ra: RA = None,
    dec: DEC = None,
    epoch: Epoch = None,
    false_rate: FalseRate = 0.05,
    nway: Annotated[bool, typer.Option("--nway", help="Reproduce the approximations of NWAY 4.8.")] = False,
    best: Best = False,
    figure: Figure = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Match files with each other; the database only computes, and keeps nothing."""
    _check(output, figure, false_rate, overwrite)
    shares = values.completeness(completeness or ("1" if nway else "estimate"), may_estimate=not nway)
    from xcat.match.engine import Options
    from xcat.own import match_table
    from xcat.own.arguments import file_spec, magnitude_spec, numbers_of_tables
    from xcat.tables.guess import Wanted

    given = {"area": area, "around": around, "density": density}
    with usage():
        specs, magnitudes = [file_spec(f) for f in files], [magnitude_spec(m) for m in mag or []]
        skies = {key: numbers_of_tables(texts or [], f"--{key}") for key, texts in given.items()}
    answer = match_table.match_files(
        settings(), specs, Options(radius, false_rate, nway=nway), completeness=shares,
        magnitudes=magnitudes, skies=skies, wanted=Wanted(ra, dec, epoch_yr=epoch),
    )  # fmt: skip
    _finish(answer, output, best, figure, overwrite, as_json)


def _check(output: Path, figure: Path | None, false_rate: float, overwrite: bool) -> None:
    if not 0 < false_rate < 1:
        raise UsageError(f"--false-rate must be a share between 0 and 1, got {false_rate:g}")
    check_new(output, TABLES, overwrite)
    check_new(figure, FIGURES, overwrite)


def _finish(answer: Answer, output: Path, best: bool, figure: Path | None, overwrite: bool, as_json: bool) -> None:
    from xcat.own import match_output as report

    table = report.build(answer, best=best)
    report.write(table, output, overwrite=overwrite)
    if figure is not None:
        report.draw(answer, figure)
    result: dict[str, Any] = report.summary(answer) | {"rows_out": len(table), "output": str(output)}
    if as_json:
        print_json(result)
    for line in [*answer.lines, "", report.text(result), f"{len(table):,} rows written to {output}"]:
        note(line)
    if figure is not None:
        note(f"drawn to {figure}")
