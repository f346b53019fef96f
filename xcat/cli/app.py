"""The command line: arguments in, messages out. What happens is in the rooms behind it."""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table as RichTable

from xcat import __version__, progress
from xcat.cli import classify_commands, evaluate_commands, match_commands, model_commands, signals
from xcat.cli.database_commands import db_app
from xcat.cli.run_commands import runs_app
from xcat.config import settings
from xcat.errors import ConfigError, XcatError

app = typer.Typer(
    name="xcat",
    help="Classify the X-ray sources of survey catalogues inside PostgreSQL, and say why.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
catalogues_app = typer.Typer(help="Catalogue definitions: what there is, and what each means.")
app.add_typer(db_app, name="db", no_args_is_help=True)
app.add_typer(catalogues_app, name="catalogues", invoke_without_command=True)
app.add_typer(runs_app, name="runs", invoke_without_command=True)

_out = Console(soft_wrap=True, highlight=False)

PipelineFile = Annotated[Path, typer.Argument(metavar="PIPELINE", help="Pipeline file, see examples/.")]
Data = Annotated[Path, typer.Option("--data", help="Folder that the pipeline's files are relative to.")]
Replace = Annotated[bool, typer.Option("--replace", help="Replace what the catalogue holds by these files.")]
BestMatch = Annotated[
    bool,
    typer.Option("--best-match", help="Take the accepted counterpart for certain, not the mean over the hypotheses."),
]
Definitions = Annotated[
    list[Path] | None,
    typer.Option("--definitions", help="Folder with definitions of your own; may be repeated."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
Output = Annotated[
    Path | None,
    typer.Option("-o", "--output", help="Write to this file: .fits .vot .parquet .csv .ecsv by its ending."),
]
OfRun = Annotated[int | None, typer.Option("--run", help="Read this classify run instead of the published one.")]


def _version(wanted: bool) -> None:
    if wanted:
        print(f"xcat {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
) -> None:
    progress.silence(quiet)


def main() -> None:
    """Run the command line; errors of ours are one message, and nothing was changed."""
    signals.listen()
    try:
        app()
    except XcatError as error:
        print(f"xcat: {error}", file=sys.stderr)
        sys.exit(1)
    except SystemExit as end:
        if end.code != 130:  # what typer makes of Ctrl-C
            raise
        how = "cancelled" if signals.received is None else f"cancelled by a signal ({signals.received.name})"
        with suppress(OSError):  # after SIGHUP the terminal may be gone
            print(f"xcat: {how}; nothing was changed by the step that was running", file=sys.stderr)
        sys.exit(128 + (signals.received or signal.SIGINT))
    except BrokenPipeError:  # the reader of our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, default=str))


# --- catalogues -------------------------------------------------------------------------------------------


@catalogues_app.callback()
def catalogues(context: typer.Context, definitions: Definitions = None) -> None:
    """List the catalogue definitions."""
    if context.invoked_subcommand is not None:
        return
    from xcat.catalogues.definition import available, load

    table = RichTable("name", "kind", "title", box=None, pad_edge=False)
    for name, path in available(definitions or []).items():
        try:
            definition = load(path, definitions or [])
            table.add_row(name, definition.kind, definition.title)
        except ConfigError as error:
            table.add_row(name, "wrong", str(error).splitlines()[0])
    _out.print(table)


@catalogues_app.command("show")
def catalogues_show(
    name: Annotated[str, typer.Argument(help="Name of a definition, or path of a file.")],
    definitions: Definitions = None,
) -> None:
    """Explain a catalogue definition: what is read from which column, in which unit."""
    from xcat.catalogues.definition import load
    from xcat.catalogues.describe import describe

    _out.print(describe(load(name, definitions or [])), markup=False)


@app.command()
def ingest(
    catalogue: Annotated[str, typer.Argument(help="Name of a definition, or path of one.")],
    files: Annotated[list[Path], typer.Argument(help="FITS, VOTable, ECSV, CSV, MRT or Parquet files.")],
    replace: Replace = False,
    definitions: Definitions = None,
    as_json: AsJson = False,
) -> None:
    """Load files into a catalogue, all of them or none."""
    from xcat.catalogues.definition import load
    from xcat.ingest.load import ingest as load_files

    loading = load_files(settings(), load(catalogue, definitions or []), files, replace=replace)
    if as_json:
        _print_json(
            {
                "files": loading.files, "already_loaded": loading.already, "rejects": loading.rejects,
                "version_current_again": loading.version,
            }
        )  # fmt: skip
    else:
        _tell_loading(catalogue, loading)


def _tell_loading(name: str, loading: Any) -> None:
    if loading.version is not None:
        _out.print(f"{name}: version {loading.version} holds just these files and is current again; nothing was loaded")
        return
    if not loading.files:
        _out.print(f"{name}: already loaded, nothing changed ({', '.join(loading.already)})")
        return
    skipped = sum(file["n_skipped"] for file in loading.files)
    left_out = f", {skipped:,} left out by its definition" if skipped else ""
    _out.print(f"{name}: {loading.n_rows:,} rows loaded, {loading.n_rejected:,} rejected{left_out}")
    for reject in loading.rejects:
        column = f" in column {reject['column_name']}" if reject["column_name"] else ""
        _out.print(
            f"  {reject['file_name']}: {reject['n']:,} x {reject['reason']}{column}, "
            f"first in row {reject['first_row']:,} ({reject['example']!r})",
            markup=False,
        )


@app.command()
def fetch(
    catalogue: Annotated[str, typer.Argument(help="Name of a definition with a VizieR table.")],
    cone: Annotated[str, typer.Option(help="RA,DEC,RADIUS in degrees.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write.")],
    tap_url: Annotated[str | None, typer.Option(help="Another TAP service than VizieR's.")] = None,
    definitions: Definitions = None,
) -> None:
    """Ask VizieR for the rows of a catalogue in a cone; all of them, or an error."""
    from xcat.catalogues.definition import load
    from xcat.ingest import fetch as remote

    ra, dec, radius = _cone(cone)
    options = {} if tap_url is None else {"tap_url": tap_url}
    result = remote.fetch(load(catalogue, definitions or []), ra, dec, radius, output, **options)  # type: ignore[arg-type]
    _out.print(f"{result.n_rows:,} rows written to {output}. Load them: xcat ingest {catalogue} {output}")


def _cone(text: str) -> tuple[float, float, float]:
    try:
        ra, dec, radius = (float(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"--cone wants RA,DEC,RADIUS in degrees, not {text!r}") from None
    return ra, dec, radius


@app.command()
def simulate(
    out: Annotated[Path, typer.Option("--out", help="Folder to write.")],
    sources: Annotated[int, typer.Option("--sources", min=500, help="X-ray sources on the sky.")] = 60_000,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 1,
) -> None:
    """Write the catalogue files of a simulated sky, and the truth beside them."""
    from xcat.simulate import simulate as make

    with progress.bar(f"simulate {sources:,} sources"):
        summary = make(sources, seed, out)
    _out.print(
        f"{out}: {sum(summary.sources.values()):,} X-ray sources, {summary.n_counterpart_rows:,} counterpart rows"
    )


# --- stages -----------------------------------------------------------------------------------------------


def _runner(pipeline: Path, data: Path, replace: bool = False, best_match: bool = False) -> Any:
    from xcat.jobs.pipeline import Plan, read
    from xcat.jobs.runner import Listener, Runner

    class Tell(Listener):
        def loaded(self, catalogue: str, loading: Any) -> None:
            _tell_loading(catalogue, loading)

        def finished(self, kind: str, run_id: int, summary: dict[str, Any] | None) -> None:
            _out.print(f"{kind}: run {run_id}{' (done before)' if summary is None else ''}")

    plan = Plan(read(pipeline), data)
    if best_match:
        plan.pipeline = plan.pipeline.model_copy(update={"best_match": True})
    return Runner(settings(), plan, replace, Tell())


@app.command()
def run(
    pipeline: PipelineFile,
    data: Data = Path(),
    replace: Replace = False,
    best_match: BestMatch = False,
    as_json: AsJson = False,
) -> None:
    """Run a pipeline from files to published classes; what is done already is not done again."""
    from xcat.database.connection import ready
    from xcat.report.run import summary

    progress.silence(as_json)
    runner = _runner(pipeline, data, replace, best_match)
    if as_json:
        runner.listener = type(runner.listener).__mro__[1]()
    runs = runner.run_as_pipeline()
    if "classify" not in runs:  # the pipeline names no references
        _tell_links(runs["link"], as_json)
        return
    with ready(settings()) as conn:
        result = summary.report(conn, runs["classify"])
    if as_json:
        _print_json({"runs": runs, "report": summary.as_json(result)})
    else:
        _out.print(summary.text(result), markup=False)


def _one_stage(kind: str, pipeline: Path, data: Path, best_match: bool = False) -> None:
    _runner(pipeline, data, best_match=best_match).run(only=kind)


@app.command()
def merge(pipeline: PipelineFile, data: Data = Path()) -> None:
    """Merge the detections of each mission into sources."""
    _one_stage("merge", pipeline, data)


@app.command()
def link(pipeline: PipelineFile, data: Data = Path(), as_json: AsJson = False) -> None:
    """Link the sources of all missions into master sources, and report how many."""
    progress.silence(as_json)
    runner = _runner(pipeline, data)
    if as_json:
        runner.listener = type(runner.listener).__mro__[1]()
    _tell_links(runner.run(only="link")["link"], as_json)


def _tell_links(run_id: int, as_json: bool) -> None:
    from xcat.database.connection import ready
    from xcat.report.run import link_summary

    with ready(settings()) as conn:
        if as_json:
            _print_json(link_summary.as_json(conn, run_id))
        else:
            _out.print(link_summary.text(conn, run_id), markup=False)


app.command("match")(match_commands.match)
app.command("match-files")(match_commands.match_files)
app.command("classify-table")(classify_commands.classify_table)
app.command("models")(model_commands.models)
app.command("diff")(model_commands.diff)
app.command("evaluate", epilog=evaluate_commands.EPILOG)(evaluate_commands.evaluate)


@app.command()
def properties(pipeline: PipelineFile, data: Data = Path()) -> None:
    """Compute the properties of every source, and of every counterpart hypothesis."""
    _one_stage("properties", pipeline, data)


@app.command()
def label(pipeline: PipelineFile, data: Data = Path()) -> None:
    """Label sources with the reference catalogues."""
    _one_stage("label", pipeline, data)


@app.command()
def fit(pipeline: PipelineFile, data: Data = Path(), best_match: BestMatch = False) -> None:
    """Fit the likelihood tables on the labelled sources, and cross-validate them."""
    _one_stage("fit", pipeline, data, best_match)


@app.command()
def classify(pipeline: PipelineFile, data: Data = Path(), best_match: BestMatch = False) -> None:
    """Classify every source."""
    _one_stage("classify", pipeline, data, best_match)


@app.command()
def publish(
    run_id: Annotated[int, typer.Argument(metavar="RUN", help="A finished classify run.")],
    hold: Annotated[
        bool, typer.Option("--hold", help="Only make its tables, pub.classified_rRUN ...; the views stay as they are.")
    ] = False,
) -> None:
    """Write the flat tables of a classify run, and let the views of the schema pub show it."""
    from xcat.jobs.publishing import publish as write

    write(settings(), run_id, hold=hold)
    tables = f"pub.classified_r{run_id}, pub.counterparts_r{run_id} ..."
    if hold:
        _out.print(f"run {run_id} can be read as {tables}; the views show what they showed")
    else:
        _out.print(f"run {run_id} is published: pub.classified, pub.xrb_candidates ... show it ({tables})")


# --- answers ----------------------------------------------------------------------------------------------


def _reading() -> Any:
    """Open a connection that reads and cannot write."""
    from xcat.database.connection import ready

    conn = ready(settings())
    conn.read_only = True
    return conn


def _give(table: Any, output: Path | None, as_json: bool = False, max_rows: int = 40) -> None:
    from xcat.output import results

    if output is not None:
        results.write(table, output, overwrite=True)
        _out.print(f"{len(table):,} rows written to {output}")
    elif as_json:
        _print_json(results.as_json(table))
    else:
        _out.print(results.show(table, max_rows), markup=False)


@app.command()
def sql(
    query: Annotated[str | None, typer.Argument(help="A SELECT; what is published is in the schema pub.")] = None,
    file: Annotated[Path | None, typer.Option("-f", "--file", help="Read the query from this file.")] = None,
    output: Output = None,
    as_json: AsJson = False,
    value: Annotated[bool, typer.Option("--value", help="Print the first value and nothing else.")] = False,
    max_rows: Annotated[int, typer.Option(help="Rows to print.")] = 40,
) -> None:
    """Run a query and give its table, with units."""
    from xcat.output import results

    if (query is None) == (file is None):
        raise ConfigError("give a query, or a file with one (-f)")
    with _reading() as conn:
        table = results.query(conn, query or Path(str(file)).read_text(encoding="utf-8"))
    if value:
        if not len(table):
            raise XcatError("the query gave no row")
        print(table[table.colnames[0]][0])
        return
    _give(table, output, as_json, max_rows)


@app.command()
def candidates(
    class_name: Annotated[str, typer.Argument(metavar="CLASS", help="AGN, Star, XRB, CV ...")],
    min_probability: Annotated[float, typer.Option(min=0, max=1)] = 0.5,
    cone: Annotated[str | None, typer.Option(help="RA,DEC,RADIUS in degrees.")] = None,
    known: Annotated[bool, typer.Option("--known", help="Also sources of the reference sample.")] = False,
    output: Output = None,
    as_json: AsJson = False,
    run_id: OfRun = None,
    max_rows: Annotated[int, typer.Option(help="Rows to print.")] = 20,
) -> None:
    """List the candidates of a class, the most probable first."""
    from xcat.report.candidates import candidates as find

    with _reading() as conn:
        place = None if cone is None else _cone(cone)
        table = find(conn, class_name, min_probability, cone=place, include_known=known, run_id=run_id)
        _give(table, output, as_json, max_rows)


@app.command()
def explain(
    source: Annotated[str, typer.Argument(help="Name or number of a source.")],
    figure: Annotated[Path | None, typer.Option("--figure", help="Draw to this .png, .pdf or .svg.")] = None,
    as_json: AsJson = False,
    run_id: OfRun = None,
) -> None:
    """Say why a source has its class, property by property."""
    from xcat.report.explain import gather as why

    with _reading() as conn:
        explanation = why.explain(conn, source, run_id)
        if figure is not None:
            why.draw(explanation, conn, figure)
    if as_json:
        _print_json(why.to_json(explanation))
        return
    _out.print(why.text(explanation), markup=False)
    if figure is not None:
        _out.print(f"drawn to {figure}")


@app.command()
def report(
    run_id: Annotated[int | None, typer.Argument(metavar="[RUN]", help="Default: the published run.")] = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write a page with figures here.")] = None,
    figure: Annotated[Path | None, typer.Option("--figure", help="Draw the two-part table.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print the two-part table of a run: reference sample out of fold, and totals of the test sample."""
    from xcat.database.connection import ready
    from xcat.output.reading import classify_run
    from xcat.report.run import run_page as page
    from xcat.report.run import summary

    with ready(settings()) as conn:
        result = summary.report(conn, classify_run(conn, run_id)["run_id"])
        if as_json:
            _print_json(summary.as_json(result))
        else:
            _out.print(summary.text(result), markup=False)
        if figure is not None:
            summary.draw(result, figure)
        if html is not None:
            index = page.html(result, conn, html)
            (Console(stderr=True) if as_json else _out).print(f"page written: {index}")
