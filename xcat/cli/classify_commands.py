"""The command that classifies a table of one's own: ``xcat classify-table``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from xcat import progress
from xcat.config import settings
from xcat.errors import ConfigError

_err = Console(stderr=True, soft_wrap=True, highlight=False)


def classify_table(
    table: Annotated[Path, typer.Argument(help="FITS, VOTable, ECSV, CSV, MRT or Parquet.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Write to this file: .fits .vot .parquet .csv .ecsv.")],
    model: Annotated[
        str, typer.Option("--model", help="Number of a fit run; the published run's model.")
    ] = "published",
    band: Annotated[str | None, typer.Option("--band", help="Energies of the flux in keV, as in 0.5-7.")] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            "--column", help="PROPERTY=COLUMN or QUANTITY=COLUMN[@UNIT]; nothing after = for none. Repeatable."
        ),
    ] = None,
    ra: Annotated[str | None, typer.Option("--ra", help="Column of right ascension; guessed if not given.")] = None,
    dec: Annotated[str | None, typer.Option("--dec", help="Column of declination; guessed if not given.")] = None,
    hdu: Annotated[str | None, typer.Option("--hdu", help="Extension of a FITS file, by number or name.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """Classify a table of your own, with the properties or with what they derive from."""
    from xcat.database.connection import ready
    from xcat.output import files
    from xcat.own import classify_table as work

    progress.silence(as_json)
    files.check_output(output, overwrite=overwrite)
    columns = _columns(column or []) | {name: given for name, given in (("ra", ra), ("dec", dec)) if given}
    energies = None if band is None else _band(band)
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
        print(json.dumps(summary | {"notes": result.messages}, indent=2))
        return
    for line in [*result.messages, "", work.text(summary), f"{len(result.table):,} rows written to {output}"]:
        _err.print(line, markup=False)


def _columns(texts: list[str]) -> dict[str, str]:
    """``NAME=COLUMN`` as a mapping."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not name or name in found:
            twice = " (it is there twice)" if name in found else ""
            raise ConfigError(f"--column takes PROPERTY=COLUMN, not {text!r}{twice}")
        found[name] = value
    return found


def _band(text: str) -> tuple[float, float]:
    """``0.5-7`` as two energies."""
    try:
        low, high = (float(part) for part in text.split("-"))
    except ValueError:
        raise ConfigError(f"--band takes LOW-HIGH in keV, as in 0.5-7, not {text!r}") from None
    return low, high
