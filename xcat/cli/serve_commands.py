"""The command of the web service."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from xcat.cli import common
from xcat.config import settings

commands = typer.Typer()


@commands.command(
    epilog=common.examples(
        "xcat serve",
        "xcat serve --host 0.0.0.0 --port 80",
        "xcat serve --port 0 --json     # any free port; the addresses as JSON",
        "curl 'http://127.0.0.1:8080/tap/sync?LANG=ADQL&FORMAT=csv&QUERY=SELECT+TOP+3+name,class+FROM+pub.classified'",
    )
)
def serve(
    host: Annotated[str, common.option("--host", "ADDRESS", "Address to listen at; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port to listen at; 0: any free one.")] = 8080,
    as_json: common.AsJson = False,
) -> None:
    """Serve the published run to browsers, and to TOPCAT, pyvo and all that speaks TAP, until a signal ends it."""
    from xcat.service import web

    def started(url: str) -> None:
        if as_json:
            common.print_json({"pages": f"{url}/", "tap": f"{url}/tap", "cone_search": f"{url}/scs"})
            sys.stdout.flush()  # whoever waits for the address reads it now
        common.note(f"serving at {url}/ for browsers, at {url}/tap for programs")

    web.serve(settings(), host, port, started)
    common.note("the service has ended")
