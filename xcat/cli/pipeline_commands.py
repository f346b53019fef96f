"""The commands of a pipeline: ``xcat run`` and ``xcat publish``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from xcat.cli.catalogue_commands import log_loading
from xcat.cli.common import AsJson, Data, UsageError, examples, log, print_json, tell
from xcat.config import settings

if TYPE_CHECKING:
    from xcat.jobs.runner import Runner

commands = typer.Typer()
Stage = Literal["ingest", "merge", "link", "match", "properties", "label", "fit", "classify", "publish"]


@commands.command(
    epilog=examples(
        "xcat run examples/simulated.yaml --data demo/sky",
        "xcat run mine.yaml --to match                     # from files to counterparts, no further",
        "xcat run mine.yaml --only fit                     # one stage, on what the stages before it have made",
        "xcat --quiet run mine.yaml --replace              # prints nothing if all goes well",
    )
)
def run(
    pipeline: Annotated[Path, typer.Argument(metavar="PIPELINE", help="Pipeline file, see examples/.")],
    data: Data = Path(),
    only: Annotated[Stage | None, typer.Option("--only", help="Run this stage and no other.")] = None,
    to: Annotated[Stage | None, typer.Option("--to", help="Run the stages up to this one.")] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace what the catalogues hold by these files.")
    ] = False,
    best_match: Annotated[
        bool,
        typer.Option("--best-match", help="Take the accepted counterpart as certain, no mean over the hypotheses."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run a pipeline from files to published classes, or some of its stages; what is done already is not done again."""
    if only is not None and to is not None:
        raise UsageError("give --only or --to, not both")
    runner = make_runner(pipeline, data, replace, best_match)
    runs = runner.run(only=only) if only is not None else runner.run_as_pipeline(to=to)
    from xcat.database.connection import ready
    from xcat.report.run import link_summary, summary

    last = list(runs)[-1] if runs else None
    with ready(settings()) as conn:
        if "classify" in runs and only is None:
            report = summary.report(conn, runs["classify"])
            answer, text = {"runs": runs, "report": summary.as_json(report)}, summary.text(report)
        elif last == "link" or (only is None and to is None):  # the pipeline names no references
            answer, text = link_summary.as_json(conn, runs["link"]), link_summary.text(conn, runs["link"])
        else:
            answer, text = {"runs": runs}, ""
    if as_json:
        print_json(answer)
    elif text:
        tell(text)


def make_runner(pipeline: Path, data: Path, replace: bool = False, best_match: bool = False) -> Runner:
    """Make a runner that logs its stages."""
    from xcat.jobs.pipeline import Plan, read
    from xcat.jobs.runner import Listener, Runner

    class Log(Listener):
        def loaded(self, catalogue: str, loading: Any) -> None:
            log_loading(catalogue, loading)

        def finished(self, kind: str, run_id: int, summary: dict[str, Any] | None) -> None:
            log(f"{kind}: run {run_id}{' (done before)' if summary is None else ''}")

    plan = Plan(read(pipeline), data)
    if best_match:
        plan.pipeline = plan.pipeline.model_copy(update={"best_match": True})
    return Runner(settings(), plan, replace, Log())


@commands.command(epilog=examples("xcat publish 12", "xcat publish 12 --hold"))
def publish(
    run_id: Annotated[int, typer.Argument(metavar="RUN", help="A finished classify run.")],
    hold: Annotated[
        bool, typer.Option("--hold", help="Only make its tables, pub.classified_rRUN ...; the views stay as they are.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write the flat tables of a classify run, and let the views of the schema pub show it."""
    from xcat.jobs.publishing import publish as write

    publish_run_id = write(settings(), run_id, hold=hold)
    if as_json:
        print_json({"classify_run_id": run_id, "publish_run_id": publish_run_id, "hold": hold})
    tables = f"pub.classified_r{run_id}, pub.counterparts_r{run_id} ..."
    if hold:
        tell(f"run {run_id} can be read as {tables}; the views show what they showed")
    else:
        tell(f"run {run_id} is published: pub.classified, pub.xrb_candidates ... show it ({tables})")
