"""The commands about models: ``xcat models [RUN]`` and ``xcat diff MODEL MODEL``."""

from __future__ import annotations

from typing import Annotated

import typer

from xcat.cli.common import AsJson, Limit, MaxRows, examples, out, print_json
from xcat.config import settings

commands = typer.Typer()


@commands.command(epilog=examples("xcat models --limit 5", "xcat models 11 --json"))
def models(
    run_id: Annotated[int | None, typer.Argument(metavar="[RUN]", help="Show the model of this fit run.")] = None,
    limit: Limit = 30,
    as_json: AsJson = False,
) -> None:
    """List the models, or show everything about one."""
    from xcat.database.connection import ready
    from xcat.report.models import model_text

    with ready(settings()) as conn:
        if run_id is not None:
            model = model_text.describe(conn, run_id)
            print_json(model) if as_json else out.print(model_text.model_text(model))
            return
        listed = model_text.listing(conn, limit)
    print_json(listed) if as_json else out.print(model_text.listing_text(listed, limit))


@commands.command(epilog=examples("xcat diff 11 19", "xcat diff 12 20 --max-rows 100 --json"))
def diff(
    old: Annotated[int, typer.Argument(metavar="MODEL", help="A fit run, or a classify run.")],
    new: Annotated[int, typer.Argument(metavar="MODEL", help="Another one of the same kind.")],
    max_rows: MaxRows = 20,
    as_json: AsJson = False,
) -> None:
    """Say which sources change class from one model to another, and through which property."""
    from xcat.report.models import compare, model_text

    difference = compare.diff(settings(), old, new, max_rows)
    print_json(difference) if as_json else out.print(model_text.diff_text(difference))
