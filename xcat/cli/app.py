"""The command line: arguments in, messages out. What happens is in the rooms behind it."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import traceback
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer

from xcat import __version__, progress
from xcat.cli import (
    answer_commands,
    catalogue_commands,
    evaluate_commands,
    export_commands,
    own_commands,
    pipeline_commands,
    product_commands,
    release_commands,
    run_commands,
    serve_commands,
    service_commands,
    skymap_commands,
    volunteer_commands,
)
from xcat.cli.common import UsageError, examples, option
from xcat.cli.database_commands import db_app
from xcat.errors import BusyError, Refusal, XcatError

_EXIT_CODES = """

\b
Exit codes:
  0    done
  1    an error, which the message on standard error explains; nothing was changed by the step that failed
  2    wrong usage: an option or argument that cannot be used
  3    xcat db status: the embedded server is stopped
  4    xcat run --no-wait: another run of the pipeline is at work
  5    xcat health: something is not well
  6    xcat run, xcat publish: the gates refused the publication; what was published stays published
  129, 130, 143    ended by a hangup, by Ctrl-C, by a request to terminate
"""

_CODES: dict[type[XcatError], int] = {UsageError: 2, BusyError: 4, Refusal: 6}

app = typer.Typer(
    name="xcat",
    help="Classify the X-ray sources of survey catalogues inside PostgreSQL, and say why.",
    epilog=examples(
        "xcat run examples/simulated.yaml --data demo/sky",
        "xcat candidates XRB --min-probability 0.9",
        "xcat --install-completion      # the shell then completes commands and options with TAB",
    )
    + _EXIT_CODES,
    no_args_is_help=True,
    rich_markup_mode=None,  # brackets in help texts are text
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
app.add_typer(db_app, name="db")
for room in (
    *(catalogue_commands, pipeline_commands, own_commands, evaluate_commands, answer_commands, run_commands),
    export_commands,
    product_commands,
    release_commands,
    service_commands,
    skymap_commands,
    volunteer_commands,
    serve_commands,
):
    app.add_typer(room.commands)

_received: signal.Signals | None = None


class Ended(KeyboardInterrupt):
    """A signal asks the program to end; a kind of Ctrl-C, so that all that knows Ctrl-C knows it."""


def _end(number: int, frame: FrameType | None) -> None:
    global _received
    _received = signal.Signals(number)
    if _received is signal.SIGINT:
        raise KeyboardInterrupt
    raise Ended(f"cancelled by a signal ({_received.name})")


def _listen() -> None:
    """From now on signals that end a program are noted; one that the caller ignores stays ignored, as under nohup."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # a caller that ignores it would hide how our children end
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"xcat {__version__}")
        raise typer.Exit


_VERSION = typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")


_LOG_JSON = typer.Option("--log-json", envvar="XCAT_LOG_JSON", help="Each line of the log is a JSON object.")


@app.callback()
def _main(
    version: Annotated[bool, _VERSION] = False,
    quiet: Annotated[bool, option("--quiet", None, "No progress and no notices: only answers and errors.")] = False,
    log_json: Annotated[bool, _LOG_JSON] = False,
) -> None:
    progress.silence(quiet)
    progress.log_as_json(log_json)


def main() -> None:
    """Run the command line; an error is one message on standard error."""
    _listen()
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115
    try:
        app()
    except XcatError as error:
        print(progress.remark(f"xcat: {_safe(str(error))}"), file=sys.stderr)
        sys.exit(next((code for kind, code in _CODES.items() if isinstance(error, kind)), 1))
    except SystemExit as end:
        if end.code != 130:  # what typer makes of Ctrl-C
            raise
        _cancelled()
    except KeyboardInterrupt:  # of a signal that came before typer listened
        _cancelled()
    except BrokenPipeError:  # the reader of our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        if _received is not None:  # what a signal raises can become another exception: in an import an ImportError
            _cancelled()
        message = _of_database(error)
        if message is None:
            raise
        print(progress.remark(f"xcat: {_safe(message)}"), file=sys.stderr)
        sys.exit(1)


def _cancelled() -> NoReturn:
    """End after Ctrl-C or a signal."""
    how = "cancelled" if _received in (None, signal.SIGINT) else f"cancelled by a signal ({_received.name})"
    with suppress(OSError):  # after SIGHUP the terminal may be gone
        print(progress.remark(f"xcat: {how}; nothing was changed by the step that was running"), file=sys.stderr)
    sys.exit(128 + (_received or signal.SIGINT))


def _safe(text: str) -> str:
    """A message without passwords."""
    from xcat.database.address import masked

    return masked(text, os.environ.get("XCAT_DATABASE_URL"))


def _of_database(error: Exception) -> str | None:
    """What an error of the database means: a right that is missing, a full disk, a lost server; None for all others."""
    import psycopg

    from xcat.database.failures import explained

    known = explained(error) if isinstance(error, psycopg.Error) else None
    return None if known is None else str(known)


def program() -> None:
    """Run the command line as a program of its own, which ends with the exit code of `main`.

    Arrow reads ahead in threads of its own, which call back into Python while a file is open. If the interpreter is
    taken down under such a thread, the process hangs for ever, or C++ ends it by "terminate called without an active
    exception". So what Python does at its end is done (threads, ``atexit``, output); the rest is left to the system.
    """
    code: object = 0
    try:
        main()
    except SystemExit as end:
        code = end.code
    except BaseException:
        code = 1
        print(_safe("".join(traceback.format_exc())), end="", file=sys.stderr)
    threading._shutdown()  # type: ignore[attr-defined]  # waits for the threads that are no daemons
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
    except OSError as error:  # the disk is full; if the reader has gone, there is nobody to tell
        if not isinstance(error, BrokenPipeError):
            print(progress.remark(f"xcat: the output is not complete: {error.strerror}"), file=sys.stderr)
            code = code or 1
    os._exit(code if isinstance(code, int) else code is not None)
