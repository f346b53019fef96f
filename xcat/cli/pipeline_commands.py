"""The commands of a pipeline: ``xcat run`` and ``xcat publish``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from xcat import api
from xcat.cli import common
from xcat.config import settings

if TYPE_CHECKING:
    from xcat.jobs.runner import Runner

commands = typer.Typer()
Stage = Literal["ingest", "merge", "link", "match", "properties", "label", "fit", "classify", "publish"]


@commands.command(
    epilog=common.examples(
        "xcat run examples/simulated.yaml --data demo/sky",
        "xcat run mine.yaml --to match            # from files to counterparts, no further",
        "xcat run mine.yaml --only fit            # one stage, on what the stages before it have made",
        "xcat --quiet run mine.yaml --replace     # prints nothing if all goes well",
        "xcat run mine.yaml --no-wait             # another run of it at work: exit code 4 instead of waiting",
        "xcat run mine.yaml --hook https://example.org/hook      # is told how it ended",
    )
)
def run(
    pipeline: Annotated[Path, typer.Argument(metavar="PIPELINE", help="Pipeline file, see examples/.")],
    data: common.Data = Path(),
    only: Annotated[Stage | None, common.option("--only", "STAGE", f"One of: {', '.join(Stage.__args__)}.")] = None,
    to: Annotated[Stage | None, common.option("--to", "STAGE", "Run the stages up to this one.")] = None,
    replace: common.Replace = False,
    allow_rejects: common.AllowRejects = None,
    allow_loss: common.AllowLoss = None,
    best_match: Annotated[
        bool, common.option("--best-match", None, "Take the accepted counterpart as certain.")
    ] = False,
    no_wait: Annotated[
        bool, common.option("--no-wait", None, "If another run of the pipeline is at work, end with exit code 4.")
    ] = False,
    hook: common.Hook = None,
    as_json: common.AsJson = False,
) -> None:
    """Run a pipeline from files to published classes, or some of its stages; what is done already is not done again."""
    if only is not None and to is not None:
        raise common.UsageError("give --only or --to, not both")
    from xcat.ingest.checks import Allowed
    from xcat.service import hooks, outcome

    if hook is not None:
        with common.usage():
            hooks.check(hook)
    with outcome.telling(settings(), hook, common.note) as told:
        told.runner = runner = make_runner(pipeline, data, replace, best_match)
        runner.allowed = Allowed(allow_rejects, allow_loss)
        runner.wait = not no_wait
        runs = runner.run(only=only) if only is not None else runner.run_as_pipeline(to=to)
    from xcat.report.run import record, summary

    answer: dict[str, Any] = {"runs": runs}
    text = ""
    with api.reading() as conn:
        if "classify" in runs and only is None:
            report = summary.report(conn, runs["classify"])
            answer, text = {"runs": runs, "report": summary.as_json(report)}, summary.text(report)
        elif "link" in (only, to) or only == to:  # the whole of a pipeline that names no references
            answer, text = record.links_json(conn, runs["link"]), record.links_text(conn, runs["link"])
    common.done(as_json, answer, text)


def make_runner(pipeline: Path, data: Path, replace: bool = False, best_match: bool = False) -> Runner:
    """Make a runner that logs its stages."""
    from xcat.jobs.pipeline import Plan, read
    from xcat.jobs.runner import Runner
    from xcat.report.run.log import Log

    plan = Plan(read(pipeline), data)
    if best_match:
        plan.pipeline = plan.pipeline.model_copy(update={"best_match": True})
    return Runner(settings(), plan, replace, Log(common.log))


@commands.command(
    epilog=common.examples(
        "xcat publish 12",
        "xcat publish 12 --hold",
        'xcat publish 12 --force --why "a new mission: half of the sources are new"',
    )
)
def publish(
    state: Annotated[str, typer.Argument(metavar="RUN", help="A finished classify run, or a release.")],
    hold: Annotated[
        bool, common.option("--hold", None, "Make its tables, pub.classified_rRUN ...; the views stay.")
    ] = False,
    force: Annotated[bool, common.option("--force", None, "Publish what does not pass the gates; give --why.")] = False,
    why: Annotated[str | None, common.option("--why", "REASON", "Why it is published all the same.")] = None,
    as_json: common.AsJson = False,
) -> None:
    """Write the flat tables of a classify run, and let the views of the schema pub show it if it passes the gates."""
    if force != bool(why and why.strip()):
        raise common.UsageError("--force and --why REASON belong together")
    if force and hold:
        raise common.UsageError("give --hold or --force, not both: what is held goes through no gate")
    from xcat.jobs import states
    from xcat.jobs.publishing import publish as write

    with api.reading() as conn:
        run_id = states.run_of(conn, state)
    done = write(settings(), run_id, hold=hold, force=why.strip() if why and force else None)
    answer = {"classify_run_id": run_id, "publish_run_id": done, "hold": hold, "force": why if force else None}
    tables = f"pub.classified_r{run_id}, pub.counterparts_r{run_id} ..."
    shown = f"run {run_id} is published: pub.classified, pub.xrb_candidates ... show it ({tables})"
    held = f"run {run_id} can be read as {tables}; the views show what they showed"
    common.done(as_json, answer, held if hold else shown)
