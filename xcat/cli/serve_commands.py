"""The command of the web service."""

from __future__ import annotations

from typing import Annotated

import typer

from xcat.cli import common
from xcat.config import settings

commands = typer.Typer()


@commands.command(
    epilog=common.examples(
        "xcat serve",
        "xcat serve --host 0.0.0.0 --port 80",
        "curl 'http://127.0.0.1:8080/tap/sync?LANG=ADQL&FORMAT=csv&QUERY=SELECT+TOP+3+name,class+FROM+pub.classified'",
    )
)
def serve(
    host: Annotated[str, common.option("--host", "ADDRESS", "Address to listen at; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port to listen at; 0: any free one.")] = 8080,
) -> None:
    """Serve the published run to TOPCAT, pyvo and all that speaks TAP, until a signal ends it."""
    from xcat.service import web

    web.serve(settings(), host, port, common.note)
