"""The command line within the process of the tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner

from xcat.cli.app import app
from xcat.config import Settings
from xcat.errors import XcatError


def commands(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """A function that runs xcat with some arguments on a database and gives its output; its errors are raised."""
    monkeypatch.setenv("XCAT_DATABASE_URL", str(settings.database_url))

    def invoke(*arguments: Any) -> str:
        result = CliRunner().invoke(app, [str(a) for a in arguments])
        if isinstance(result.exception, XcatError):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.stdout

    return invoke
