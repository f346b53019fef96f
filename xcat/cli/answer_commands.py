"""The commands that answer from the database: ``xcat sql``, ``candidates``, ``explain`` and ``report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xcat import api
from xcat.atomic import FIGURES
from xcat.cli import common, values
from xcat.config import settings
from xcat.errors import XcatError

commands = typer.Typer()


@commands.command(
    epilog=common.examples(
        'xcat sql "SELECT class, count(*) AS n FROM pub.classified GROUP BY class"',
        'xcat sql "SELECT * FROM pub.xrb_candidates" -o xrb.fits --overwrite',
        "xcat sql -f sql/queries/cone_search.sql --json",
    )
)
def sql(
    query: Annotated[str | None, typer.Argument(help="One SELECT; what is published is in the schema pub.")] = None,
    file: Annotated[Path | None, typer.Option("-f", "--file", exists=True, help="Read the query from a file.")] = None,
    output: common.Output = None,
    samp: common.Samp = False,
    overwrite: common.Overwrite = False,
    value: Annotated[bool, common.option("--value", None, "Print the first value and nothing else.")] = False,
    max_rows: common.MaxRows = 40,
    as_json: common.AsJson = False,
) -> None:
    """Run a query and give its table, with units; it reads the schema pub and can do nothing else."""
    if (query is None) == (file is None):
        raise common.UsageError("give a query, or a file with one (-f)")
    common.check_output(output, overwrite, samp)
    text = query if query is not None else Path(str(file)).read_text(encoding="utf-8")
    if output is not None and not samp:
        _to_file(text, output, overwrite, as_json)
        return
    from xcat.output import results
    from xcat.output.provenance import KEY

    all_rows = as_json or samp
    with api.reader() as conn:
        facts = results.published(conn)
        kept = 1 if value else None if all_rows else max_rows
        table = results.read(conn, text, max_mb=settings().max_table_mb, max_rows=kept)
    table.meta[KEY] |= facts
    if not value:
        common.give(table.astropy() if samp else table, "query", output, overwrite, samp, as_json, max_rows)
        return
    if not len(table):
        raise XcatError("the query gave no row")
    first = next(iter(table.columns.values())).data[0]
    common.print_json(first.item() if hasattr(first, "item") else first) if as_json else print(first)


def _to_file(text: str, path: Path, overwrite: bool, as_json: bool) -> None:
    """Write the result of a query to a file; it may be longer than the memory."""
    from xcat.report import export

    with api.reader() as conn:
        target = export.Target(path, overwrite=overwrite)
        n_rows = export.query(conn, text, target, "sql", settings().max_file_mb, common.note)
    common.done(as_json, {"rows_out": n_rows, "output": str(path)}, f"{n_rows:,} rows written to {path}")


@commands.command(
    epilog=common.examples(
        "xcat candidates XRB --min-probability 0.9",
        "xcat candidates CV --cone 150.1,2.2,0.5 -o cv.vot",
        "xcat candidates AGN --known --run 12 --json",
        "xcat candidates XRB --every-mission",
    )
)
def candidates(
    class_name: Annotated[str, typer.Argument(metavar="CLASS", help="AGN, Star, XRB, CV ...")],
    min_probability: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Least probability of the class. Default: that of the list with the best F1."),
    ] = None,
    cone: Annotated[str | None, common.Cone] = None,
    known: Annotated[bool, common.option("--known", None, "Include objects of the reference sample.")] = False,
    every_mission: Annotated[
        bool, common.option("--every-mission", None, "One row per source of every mission, not per object.")
    ] = False,
    output: common.Output = None,
    samp: common.Samp = False,
    overwrite: common.Overwrite = False,
    run_id: common.OfRun = None,
    max_rows: common.MaxRows = 20,
    as_json: common.AsJson = False,
) -> None:
    """List what may be of a class, by probability times stability; an object of several missions is listed once."""
    place = None if cone is None else values.cone(cone)
    common.check_output(output, overwrite, samp)
    table = api.candidates(
        class_name, min_probability, cone=place, known=known, run_id=run_id, every_mission=every_mission
    )
    common.give(table, f"{class_name} candidates", output, overwrite, samp, as_json, max_rows)
    from xcat.report.candidates import expectation

    common.note(expectation(table))


@commands.command(epilog=common.examples("xcat explain 4711 --figure why.png", "xcat explain 4711 --run 12 --json"))
def explain(
    source: Annotated[str, typer.Argument(help="Name or number of a source.")],
    figure: common.Figure = None,
    overwrite: common.Overwrite = False,
    run_id: common.OfRun = None,
    as_json: common.AsJson = False,
) -> None:
    """Say why a source has its class, property by property."""
    common.check_new(figure, FIGURES, overwrite)
    reasons = api.explain(source, run_id)
    if figure is not None:
        common.note(f"drawn to {reasons.draw(figure)}")
    common.print_json(reasons.to_dict()) if as_json else print(reasons)


@commands.command(epilog=common.examples("xcat report 12 --json", "xcat report --html demo/report"))
def report(
    run_id: Annotated[int | None, typer.Argument(metavar="[RUN]", help="Default: the published run.")] = None,
    html: common.Html = None,
    figure: common.Figure = None,
    overwrite: common.Overwrite = False,
    as_json: common.AsJson = False,
) -> None:
    """Print the two-part table of a run: reference sample out of fold, and totals of the test sample."""
    common.check_new(figure, FIGURES, overwrite)
    from xcat.output.reading import classify_run
    from xcat.report.run import run_page as page
    from xcat.report.run import summary, summary_figure

    with api.reading() as conn:
        result = summary.report(conn, classify_run(conn, run_id)["run_id"])
        if figure is not None:
            common.note(f"drawn to {summary_figure.draw(result, figure)}")
        if html is not None:
            common.note(f"page written: {page.html(result, conn, html)}")
    common.print_json(summary.as_json(result)) if as_json else print(summary.text(result))
