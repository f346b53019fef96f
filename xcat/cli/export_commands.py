"""The commands that write what is published for other programs, and cut a large reference: ``xcat export``, ``cut``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xcat import api
from xcat.atomic import TABLES
from xcat.cli import common
from xcat.config import settings

if TYPE_CHECKING:
    from xcat.report.export import Target

commands = typer.Typer()
_HATS = "hats"


@commands.command(
    epilog=common.examples(
        "xcat export classified.fits --table classified",
        "xcat export sources.parquet --table classified --release 2026-11",
        "xcat export xrb.vot --candidates XRB --min-probability 0.9",
        'xcat export bright.ecsv --sql "SELECT name, ra, dec FROM pub.classified WHERE flux_cgs > 1e-12"',
        "xcat export --moc coverage.fits",
        "xcat export classified_hats --table classified --format hats",
    )
)
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file; its ending gives the format.")],
    table: Annotated[
        str | None, common.option("--table", "NAME", "A published table: classified, counterparts, or any of pub.")
    ] = None,
    release: Annotated[str | None, common.option("--release", "LABEL", "That table of this release.")] = None,
    candidates: Annotated[str | None, common.option("--candidates", "CLASS", "The candidates of a class.")] = None,
    min_probability: Annotated[
        float | None, typer.Option(min=0, max=1, help="Least probability of the class of --candidates.")
    ] = None,
    query: Annotated[str | None, common.option("--sql", "QUERY", "One SELECT of the schema pub.")] = None,
    query_file: Annotated[
        Path | None, typer.Option("-f", "--file", exists=True, dir_okay=False, help="Read the query from a file.")
    ] = None,
    moc: Annotated[bool, common.option("--moc", None, "The area searched, as a MOC in FITS.")] = False,
    form: Annotated[
        str | None,
        common.option("--format", "FORMAT", "fits, votable, ecsv, parquet, csv, reg or hats. Default: the ending."),
    ] = None,
    margin_arcsec: Annotated[float, typer.Option("--margin", min=0, max=3600, help="Of HATS, in arcsec.")] = 60.0,
    run_id: common.OfRun = None,
    overwrite: common.Overwrite = False,
    as_json: common.AsJson = False,
) -> None:
    """Write published tables, candidates, results of queries or the area searched to a file, with units and origin."""
    from xcat.output import files
    from xcat.report import export as work

    chosen = [table is not None, candidates is not None, query is not None, query_file is not None, moc]
    if sum(chosen) != 1:
        raise common.UsageError("say what to write: one of --table, --candidates, --sql, -f and --moc")
    if release is not None and (table is None or run_id is not None):
        raise common.UsageError("--release goes with --table, without --run; all of a release: xcat release export")
    if min_probability is not None and candidates is None:
        raise common.UsageError("--min-probability goes with --candidates")
    if run_id is not None and (query is not None or query_file is not None):
        raise common.UsageError("--run does not go with a query: name the run in it, as in pub.classified_r12")
    formats = files.FORMATS | {_HATS: ".parquet"}
    if form is not None and (moc or form not in formats):
        raise common.UsageError(f"--format is one of {', '.join(formats)}, and not for --moc; got {form!r}")
    ending = None if form is None else formats[form]
    if form == _HATS:
        from xcat.output import hats

        hats.check(file)
    common.check_new(file, (".fits",) if moc else () if ending else TABLES, overwrite)
    if moc:
        with api.reading() as conn:
            done = work.coverage(conn, file, run_id, overwrite=overwrite)
        if done["left_out"]:
            common.note(f"left out, with too few sources to tell their area: {', '.join(done['left_out'])}")
        text = f"{done['area_deg2']:,.1f} square degrees written to {file}"
        common.done(as_json, {**done, "output": str(file)}, text)
        return
    # HATS is made of a Parquet file, which goes away again
    target = work.Target(file.with_name(f".{file.name}.parquet") if form == _HATS else file, ending, overwrite)
    if candidates is not None:
        n_rows = work.write(api.candidates(candidates, min_probability, run_id=run_id), target, common.note)
    elif table is not None:
        n_rows = _table(table.removeprefix("pub."), release, run_id, target)
    else:
        n_rows = _query(query or Path(str(query_file)).read_text(encoding="utf-8"), target)
    if form == _HATS:
        try:
            hats.write(target.path, file, margin_arcsec)
        finally:
            target.path.unlink(missing_ok=True)
    common.done(as_json, {"rows_out": n_rows, "output": str(file)}, f"{n_rows:,} rows written to {file}")


def _table(name: str, release: str | None, run_id: int | None, target: Target) -> int:
    """Write a table of a run or a release, or any other of pub; its rows."""
    from xcat.jobs import releases
    from xcat.report import export as work

    if release is None and name not in releases.TABLES:
        if run_id is not None:
            raise common.UsageError(f"--run goes with the tables of a run: {', '.join(releases.TABLES)}")
        with api.reader() as conn:
            text = work.view(conn, name)
        return _query(text, target)
    with api.reading() as conn:
        source = work.run_table(conn, name, run_id) if release is None else work.released_table(conn, name, release)
        return work.write(source, target, common.note)


def _query(text: str, target: Target) -> int:
    from xcat.report import export as work

    with api.reader() as conn:
        return work.query(conn, text, target, "export", settings().max_file_mb, common.note)


@commands.command(
    epilog=common.examples(
        "xcat cut /data/hats/gaia_dr3 sources.fits -o gaia_cut.parquet",
        "xcat cut https://data.lsdb.io/hats/gaia_dr3/gaia sources.fits --search-radius 5 -o gaia_cut.parquet",
    )
)
def cut(
    reference: Annotated[str, typer.Argument(metavar="HATS", help="Folder or address of a catalogue in HATS.")],
    sources: common.Table,
    output: common.OutputFile,
    search_radius_arcsec: Annotated[
        float, typer.Option("--search-radius", min=0.1, max=120, help="Of the match, in arcsec; 13 times that is kept.")
    ] = 15.0,
    ra: common.RA = None,
    dec: common.DEC = None,
    overwrite: common.Overwrite = False,
    as_json: common.AsJson = False,
) -> None:
    """Cut a reference that is too large to load to what is near X-ray sources, with its area and local density."""
    from xcat.output import hats
    from xcat.own.user_tables import read_user_table
    from xcat.tables.facts import describe
    from xcat.tables.guess import Wanted, guess

    hats.check()
    facts = describe(sources)
    # their errors do not matter here
    guessed, messages = guess(facts, Wanted(ra, dec, pos_err=1.0)), list[str]()
    place = read_user_table(facts, guessed, messages).columns
    common.note(*messages)
    done = hats.cut(reference, place["ra"], place["dec"], hats.radius_arcsec(search_radius_arcsec), output, overwrite)
    common.done(
        as_json,
        done,
        f"{done['rows_out']:,} of {done['rows_in']:,} rows written to {output}; {done['area_deg2']:,.2f} square deg",
    )
