"""Hooks: a command or an address of the web that is told how a run ended. What fails there never fails the run."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from xcat.arrays import jsonable
from xcat.errors import ConfigError

TIMEOUT_S = 20.0


def _is_address(hook: str) -> bool:
    return hook.startswith(("http://", "https://"))


def check(hook: str) -> None:
    """Refuse what is neither an address nor a command that can be run.

    Raises
    ------
    ConfigError
        Says which.
    """
    if _is_address(hook):
        if not urlsplit(hook).hostname:
            raise ConfigError("the hook is not an address of the web: it names no host")
        return
    try:
        words = shlex.split(hook)
    except ValueError as error:
        raise ConfigError(f"the hook is not a command: {error}") from None
    if not words or shutil.which(words[0]) is None:
        raise ConfigError(f"the hook is neither an address (https://...) nor a command: {masked(hook)}")


def masked(hook: str) -> str:
    """The hook without its secrets: of an address the host, of a command the program."""
    if _is_address(hook):
        parts = urlsplit(hook)
        return f"{parts.scheme}://{parts.hostname}/***"
    program, *arguments = hook.split(maxsplit=1) or [""]
    return f"{program} ***" if arguments else program


def tell(hook: str, event: Mapping[str, Any]) -> str | None:
    """Send an event as JSON: to an address by POST, to a command on its standard input.

    Parameters
    ----------
    hook : str
        An address of the web, or a command, which is run without a shell.
    event : mapping
        ``event`` (success, refusal, failure or cancelled), ``pipeline``, ``schedule``, ``run``, ``message``,
        ``figures`` and ``host``.

    Returns
    -------
    str or None
        What went wrong, without the secrets of the hook; None if nothing did.
    """
    body = json.dumps(jsonable(dict(event), infinity=True), default=str, allow_nan=False)
    try:
        if _is_address(hook):
            import requests

            headers = {"Content-Type": "application/json"}
            # what the server says is not read: it may be without end
            with requests.post(
                hook, body, headers=headers, timeout=TIMEOUT_S, allow_redirects=False, stream=True
            ) as answer:
                status = answer.status_code
            problem = None if 200 <= status < 300 else f"the server answered {status}"
        else:
            done = subprocess.run(
                shlex.split(hook), input=body, text=True, capture_output=True, timeout=TIMEOUT_S, check=False
            )
            problem = None if done.returncode == 0 else f"exit code {done.returncode}"
    except subprocess.TimeoutExpired:
        problem = f"it took more than {TIMEOUT_S:g} s"
    except Exception as error:  # whatever it is: it must not fail the run, and its text may hold the address
        problem = type(error).__name__
    return problem and f"hook {masked(hook)}: {problem}"
