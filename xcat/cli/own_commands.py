"""The commands for a user's own table: ``xcat match TABLE --against ...``, ``xcat match-files``, ``xcat classify``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xcat import api
from xcat.atomic import FIGURES
from xcat.cli import common, values
from xcat.cli.common import option
from xcat.config import settings

if TYPE_CHECKING:
    from xcat.own.match_answer import Answer

commands = typer.Typer()

_POS_ERR = (
    "Positional error: COLUMN (1 sigma; COLUMN@95 a 95 % radius, COLUMN@mas its unit), RA_ERR,DEC_ERR, MAJ,MIN,PA "
    "or a number in arcsec."
)
_MISSION = "Mission of the run that the rows are like; else that of the nearest positional error, row by row."
_OWN = "Use the table's own magnitudes and motions; search for no counterparts."
_PRIORS = "Priors of the classes: AGN=.7,Star=.2,...; those of a pipeline or run; estimate; or counts."
_EPOCH = typer.Option("--epoch", min=1850, max=2150, help="Year of the table's positions, where no column gives it.")
_FILE = typer.Argument(metavar="FILE[:ERR]...", help="The X-ray sources first. ERR: columns or arcsec.")
_SHARE = "Share of sources with a counterpart: a number, one for each file with commas, or estimate."
_AREA = "Area, where no SKYAREA gives it; repeatable."
_AROUND = "The table has only the objects so near to the sources."
_DENSITY = "Density, if the table has only some of the objects."
Epoch = Annotated[float | None, _EPOCH]
Radius = Annotated[float, option("--radius", "ARCSEC", "Search radius.")]
FalseRate = Annotated[float, option("--false-rate", "SHARE", "Share of false matches to accept.")]
Best = Annotated[bool, option("--best", None, "One row per source instead of one per hypothesis.")]
Mag = Annotated[list[str] | None, option("--mag", "TABLE:COLUMN[:auto|FILE]", "Weigh by a magnitude; repeatable.")]


@commands.command(
    epilog=common.examples(
        "xcat match mine.fits --against gaia_dr3 --against allwise --best -o matched.fits",
        "xcat match mine.csv --against gaia_dr3 --pos-err 1.2 --mag gaia_dr3:mag_g -o matched.vot --figure match.png",
    )
)
def match(
    table: common.Table,
    against: Annotated[list[str], option("--against", "CATALOGUE", "A loaded catalogue; repeatable.")],
    output: common.Output = None,
    samp: common.Samp = False,
    ra: common.RA = None,
    dec: common.DEC = None,
    pos_err: Annotated[str | None, option("--pos-err", "ERR", _POS_ERR)] = None,
    epoch: Epoch = None,
    radius: Radius = 15.0,
    false_rate: FalseRate = 0.05,
    mag: Mag = None,
    best: Best = False,
    figure: common.Figure = None,
    overwrite: common.Overwrite = False,
    as_json: common.AsJson = False,
) -> None:
    """Match a table of your own with loaded counterpart catalogues."""
    _check(output, samp, figure, false_rate, overwrite)
    from xcat.match.engine import MatchOptions
    from xcat.own import match_table
    from xcat.own.arguments import magnitude_spec
    from xcat.tables.guess import Wanted

    with common.usage():
        magnitudes = [magnitude_spec(m) for m in mag or []]
    options, wanted = MatchOptions(radius_arcsec=radius, false_rate=false_rate), Wanted(ra, dec, pos_err, epoch)
    answer = match_table.match_table(settings(), table, against, options, magnitudes=magnitudes, wanted=wanted)
    _finish(answer, output, samp, best, figure, overwrite, as_json)


@commands.command(
    "match-files",
    epilog=common.examples(
        "xcat match-files xray.fits:pos_err gaia.fits:0.1 --around gaia:60 --best -o matched.csv",
        "xcat match-files XMM:pos_err OPT:0.1 IRAC:0.5 --radius 15 --mag OPT:MAG --nway -o matched.fits",
    ),
)
def match_files(
    files: Annotated[list[str], _FILE],
    output: common.Output = None,
    samp: common.Samp = False,
    radius: Radius = 15.0,
    completeness: Annotated[str | None, option("--completeness", "SHARE", _SHARE)] = None,
    mag: Mag = None,
    area: Annotated[list[str] | None, option("--area", "TABLE:DEG2", _AREA)] = None,
    around: Annotated[list[str] | None, option("--around", "TABLE:ARCSEC", _AROUND)] = None,
    density: Annotated[list[str] | None, option("--density", "TABLE:PER_DEG2", _DENSITY)] = None,
    ra: common.RA = None,
    dec: common.DEC = None,
    epoch: Epoch = None,
    false_rate: FalseRate = 0.05,
    nway: Annotated[bool, option("--nway", None, "Reproduce the approximations of NWAY 4.8.")] = False,
    best: Best = False,
    figure: common.Figure = None,
    overwrite: common.Overwrite = False,
    as_json: common.AsJson = False,
) -> None:
    """Match files with each other; the database only computes, and keeps nothing."""
    _check(output, samp, figure, false_rate, overwrite)
    shares = values.completeness(completeness or ("1" if nway else "estimate"), may_estimate=not nway)
    from xcat.match.engine import MatchOptions
    from xcat.own import match_table
    from xcat.own.arguments import file_spec, magnitude_spec, numbers_of_tables
    from xcat.tables.guess import Wanted

    given = {"area": area, "around": around, "density": density}
    with common.usage():
        specs, magnitudes = [file_spec(f) for f in files], [magnitude_spec(m) for m in mag or []]
        skies = {key: numbers_of_tables(texts or [], f"--{key}") for key, texts in given.items()}
    options = MatchOptions(radius_arcsec=radius, false_rate=false_rate, nway=nway)
    wanted = Wanted(ra, dec, epoch_yr=epoch)
    answer = match_table.match_files(
        settings(), specs, options, completeness=shares, magnitudes=magnitudes, skies=skies, wanted=wanted
    )
    _finish(answer, output, samp, best, figure, overwrite, as_json)


@commands.command(
    epilog=common.examples(
        "xcat classify mine.csv --band 0.5-7 -o classes.fits",
        "xcat classify mine.fits --explain 3 --figure why.png -o classes.csv",
        "xcat classify mine.csv --column hr1=HardRatio --priors AGN=.7,Star=.2,XRB=.08,CV=.02 -o classes.vot",
    )
)
def classify(
    table: common.Table,
    output: common.Output = None,
    samp: common.Samp = False,
    run: Annotated[int | None, option("--run", "RUN", "A classify run instead of the published one.")] = None,
    mission: Annotated[str, option("--mission", "NAME", _MISSION)] = "",
    band: common.Band = None,
    column: common.Columns = None,
    ra: common.RA = None,
    dec: common.DEC = None,
    pos_err: Annotated[str | None, option("--pos-err", "ERR", _POS_ERR)] = None,
    epoch: Epoch = None,
    own_counterparts: Annotated[bool, option("--own-counterparts", None, _OWN)] = False,
    priors: Annotated[str, option("--priors", "SHARES|RUN|estimate|counts", _PRIORS)] = "",
    hdu: Annotated[str, option("--hdu", "HDU", "Table of a FITS file or VOTable, by number or name.")] = "",
    explain: Annotated[int | None, option("--explain", "ROW", "Explain the class of this row, the first is 1.")] = None,
    figure: common.Figure = None,
    overwrite: common.Overwrite = False,
    as_json: common.AsJson = False,
) -> None:
    """Classify a table of X-ray sources: search their counterparts, and say what they are and why."""
    common.check_any_output(output, overwrite, samp)
    common.check_new(figure, FIGURES, overwrite)
    if figure is not None and explain is None:
        raise common.UsageError("--figure draws the evidence of one row: also give --explain ROW")
    from xcat.own.classify_table import ClassifyOptions
    from xcat.own.table_result import text
    from xcat.tables.guess import Wanted

    columns, energies = values.columns(column), values.band(band)
    extension = int(hdu) if hdu.isdecimal() else hdu or None
    wanted = Wanted(ra, dec, pos_err, epoch)
    options = ClassifyOptions(run, mission, own_counterparts, priors, energies, columns, wanted, extension)
    classified = api.classify_rows(table, options)
    lines, written = list(classified.messages), list[str]()
    with classified.spool as rows:
        if output is not None:
            from xcat.output import files

            places = classified.places if output.suffix.lower() == ".reg" else None
            if places is None:
                lines += files.check(rows.column_names, output)
            files.write(rows, output, overwrite=overwrite, places=places)
            written.append(f"{rows.n_rows:,} rows written to {output}")
        common.send(rows, f"classes of {table.name}", samp)
    summary = classified.summary | {"output": None if output is None else str(output)}
    reasons = None if explain is None else api.explain_row(table, explain, options, figure)
    if as_json:
        common.print_json(summary | {"notes": lines} | ({} if reasons is None else {"explanation": reasons.to_dict()}))
    common.note(*lines, "", text(summary), *written)
    if reasons is not None and not as_json:
        print(reasons)
    if figure is not None:
        common.note(f"drawn to {figure}")


def _check(output: Path | None, samp: bool, figure: Path | None, false_rate: float, overwrite: bool) -> None:
    if not 0 < false_rate < 1:
        raise common.UsageError(f"--false-rate must be a share between 0 and 1, got {false_rate:g}")
    common.check_any_output(output, overwrite, samp)
    common.check_new(figure, FIGURES, overwrite)


def _finish(
    answer: Answer, output: Path | None, samp: bool, best: bool, figure: Path | None, overwrite: bool, as_json: bool
) -> None:
    from xcat.output import files
    from xcat.own import match_output as report

    table = report.build(answer, best=best)
    result = report.summary(answer) | {"rows_out": len(table), "output": None if output is None else str(output)}
    lines = [*answer.messages]
    if output is not None:
        places = report.places(answer, best=best) if output.suffix.lower() == ".reg" else None
        if places is None:
            lines += files.check(table, output)
        report.write(table, output, overwrite=overwrite, places=places)
    common.send(table, f"match of {answer.label}", samp)
    if as_json:
        common.print_json(result | {"notes": lines})
    written = [] if output is None else [f"{len(table):,} rows written to {output}"]
    common.note(*lines, "", report.text(result), *written)
    if figure is not None:
        common.note(f"drawn to {report.draw(answer, figure)}")
