"""The commands that match a table of one's own: ``xcat match TABLE --against ...`` and ``xcat match-files``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console

from xcat import progress
from xcat.config import settings
from xcat.errors import ConfigError

if TYPE_CHECKING:
    from xcat.own.match_answer import Answer

_err = Console(stderr=True, soft_wrap=True, highlight=False)

RA = Annotated[str | None, typer.Option("--ra", help="Column of right ascension; guessed if not given.")]
DEC = Annotated[str | None, typer.Option("--dec", help="Column of declination; guessed if not given.")]
PosErr = Annotated[
    str | None,
    typer.Option(
        "--pos-err",
        help="Positional error: COLUMN (1 sigma; COLUMN@95 a 95 % radius, COLUMN@mas its unit), "
        "RA_ERR,DEC_ERR, MAJ,MIN,PA or a number in arcsec.",
    ),
]
Epoch = Annotated[
    float | None, typer.Option("--epoch", min=1850, max=2150, help="Year of my positions, where no column says it.")
]
Radius = Annotated[float, typer.Option("--radius", help="Search radius in arcsec.")]
FalseRate = Annotated[float, typer.Option("--false-rate", help="Share of false matches to accept.")]
Best = Annotated[bool, typer.Option("--best", help="One row a source instead of one a hypothesis.")]
Out = Annotated[Path, typer.Option("-o", "--output", help="Write to this file: .fits .vot .parquet .csv .ecsv.")]
Figure = Annotated[Path | None, typer.Option("--figure", help="Draw calibration and magnitudes: .png .pdf .svg.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
Mag = Annotated[
    list[str] | None,
    typer.Option("--mag", help="TABLE:COLUMN[:auto|FILE]: weigh by a magnitude; may be repeated."),
]


def match(
    table: Annotated[
        Path, typer.Argument(metavar="PIPELINE|TABLE", help="A pipeline file, or with --against a table of your own.")
    ],
    against: Annotated[
        list[str] | None, typer.Option("--against", help="A loaded catalogue; may be repeated. For a table.")
    ] = None,
    data: Annotated[Path, typer.Option("--data", help="Folder that the pipeline's files are relative to.")] = Path(),
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write to this file: .fits .vot .parquet .csv .ecsv.")
    ] = None,
    ra: RA = None,
    dec: DEC = None,
    pos_err: PosErr = None,
    epoch: Epoch = None,
    radius: Radius = 15.0,
    false_rate: FalseRate = 0.05,
    mag: Mag = None,
    best: Best = False,
    figure: Figure = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Match the sources of a pipeline, or a table of your own, with the counterpart catalogues."""
    if not against and table.suffix.lower() in (".yaml", ".yml"):
        from xcat.cli.app import _one_stage  # the command line imports this file

        _one_stage("match", table, data)
        return
    if not against:
        raise ConfigError(f"{table}: say which catalogues: --against CATALOGUE (a pipeline ends in .yaml)")
    if output is None:
        raise ConfigError("say where the answer goes: -o FILE (.fits .vot .parquet .csv .ecsv)")
    match_table(
        table, against, output, ra=ra, dec=dec, pos_err=pos_err, epoch=epoch, radius=radius, false_rate=false_rate,
        mag=mag, best=best, figure=figure, overwrite=overwrite, as_json=as_json,
    )  # fmt: skip


def match_table(
    table: Path,
    against: list[str],
    output: Path,
    *,
    ra: str | None = None,
    dec: str | None = None,
    pos_err: str | None = None,
    epoch: float | None = None,
    radius: float = 15.0,
    false_rate: float = 0.05,
    mag: list[str] | None = None,
    best: bool = False,
    figure: Path | None = None,
    overwrite: bool = False,
    as_json: bool = False,
) -> None:
    """Match a table of one's own with catalogues of the database: ``xcat match TABLE --against CATALOGUE``."""
    from xcat.match.engine import MatchOptions
    from xcat.own import match_table
    from xcat.own.arguments import magnitude_spec
    from xcat.tables.guess import Wanted

    _prepare(output, figure, false_rate, overwrite, as_json)
    answer = match_table.match_table(
        settings(), table, against, MatchOptions(radius_arcsec=radius, false_rate=false_rate),
        magnitudes=[magnitude_spec(m) for m in mag or []], wanted=Wanted(ra, dec, pos_err, epoch),
    )  # fmt: skip
    _finish(answer, output, best, figure, overwrite, as_json)


def match_files(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE[:ERR]...", help="The X-ray sources first. ERR: columns or arcsec.")
    ],
    output: Out,
    radius: Radius = 15.0,
    completeness: Annotated[
        str | None,
        typer.Option(help="Share of sources with a counterpart: a number, one a file with commas, or estimate."),
    ] = None,
    mag: Mag = None,
    area: Annotated[
        list[str] | None, typer.Option("--area", help="TABLE:DEG2, where no SKYAREA says it; may be repeated.")
    ] = None,
    around: Annotated[
        list[str] | None,
        typer.Option("--around", help="TABLE:ARCSEC, if it has only the objects so near to the sources."),
    ] = None,
    density: Annotated[
        list[str] | None, typer.Option("--density", help="TABLE:PER_DEG2, if it has only some of those.")
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
    """Match files with each other; the database is only used to compute, and nothing stays there."""
    from xcat.match.engine import MatchOptions
    from xcat.own import match_table
    from xcat.own.arguments import file_spec, magnitude_spec, numbers_of_tables
    from xcat.tables.guess import Wanted

    _prepare(output, figure, false_rate, overwrite, as_json)
    shares = _completeness(completeness if completeness is not None else ("1" if nway else "estimate"), nway)
    given = {"area": area, "around": around, "density": density}
    skies = {key: numbers_of_tables(texts or [], f"--{key}") for key, texts in given.items()}
    options = MatchOptions(radius_arcsec=radius, false_rate=false_rate, nway=nway)
    answer = match_table.match_files(
        settings(), [file_spec(f) for f in files], options, completeness=shares,
        magnitudes=[magnitude_spec(m) for m in mag or []], skies=skies,
        wanted=Wanted(ra, dec, epoch_yr=epoch),
    )  # fmt: skip
    _finish(answer, output, best, figure, overwrite, as_json)


def _completeness(text: str, nway: bool) -> list[float | Literal["estimate"]]:
    found: list[float | Literal["estimate"]] = []
    for part in text.split(","):
        if part.strip() == "estimate" and not nway:
            found.append("estimate")
            continue
        try:
            share = float(part)
        except ValueError:
            share = float("nan")
        if not 0 < share <= 1:
            also = " (NWAY estimates none)" if nway else ", or 'estimate'"
            raise ConfigError(f"--completeness takes probabilities above 0{also}, not {part!r}")
        found.append(share)
    return found


def _prepare(output: Path, figure: Path | None, false_rate: float, overwrite: bool, as_json: bool) -> None:
    from xcat.output.files import check_output

    progress.silence(as_json)
    if not 0 < false_rate < 1:
        raise ConfigError(f"--false-rate is a share between 0 and 1, not {false_rate:g}")
    if figure is not None and figure.suffix.lower() not in (".png", ".pdf", ".svg"):
        raise ConfigError(f"{figure}: figures end in .png, .pdf or .svg")
    check_output(output, overwrite=overwrite)


def _finish(answer: Answer, output: Path, best: bool, figure: Path | None, overwrite: bool, as_json: bool) -> None:
    from xcat.own import match_output as report

    table = report.build(answer, best=best)
    report.write(table, output, overwrite=overwrite)
    if figure is not None:
        report.draw(answer, figure)
    result: dict[str, Any] = report.summary(answer) | {"rows_out": len(table), "output": str(output)}
    if as_json:
        print(json.dumps(result, indent=2))
        return
    for line in [*answer.messages, "", report.text(result), f"{len(table):,} rows written to {output}"]:
        _err.print(line, markup=False)
    if figure is not None:
        _err.print(f"drawn to {figure}", markup=False)
