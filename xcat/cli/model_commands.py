"""The commands about models: ``xcat models [RUN]`` and ``xcat diff MODEL MODEL``."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.console import Console

from xcat import progress
from xcat.config import settings

_out = Console(soft_wrap=True, highlight=False)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]


def models(
    run_id: Annotated[int | None, typer.Argument(metavar="[RUN]", help="All about the model of this fit run.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Newest models to list.")] = 30,
    as_json: AsJson = False,
) -> None:
    """List the models, or show everything about one."""
    from xcat.database.connection import ready
    from xcat.report.models import model_list, model_text

    with ready(settings()) as conn:
        if run_id is not None:
            model = model_list.describe(conn, run_id)
            _give(model, None if as_json else model_text.model_text(model))
            return
        listed = model_list.listing(conn, limit)
    _give(listed, None if as_json else model_text.listing_text(listed, limit))


def diff(
    old: Annotated[int, typer.Argument(metavar="MODEL", help="A fit run, or a classify run.")],
    new: Annotated[int, typer.Argument(metavar="MODEL", help="Another one of the same kind.")],
    max_rows: Annotated[int, typer.Option(min=0, help="Sources to list, those that changed the most.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Say which sources change class from one model to another, and through which property."""
    from xcat.report.models import compare, model_text

    progress.silence(as_json)
    difference = compare.diff(settings(), old, new, max_rows)
    _give(difference, None if as_json else model_text.diff_text(difference))


def _give(data: Any, text: str | None) -> None:
    """Print the text, or without one the data as JSON."""
    if text is None:
        print(json.dumps(data, indent=2, default=str))
    else:
        _out.print(text, markup=False)
