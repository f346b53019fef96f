"""Roles: who only reads, who runs the jobs; what each can do, and what is said to who cannot."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from small_sky import make

from xcat.cli import app as program
from xcat.config import Settings
from xcat.database import connection
from xcat.database.address import OPERATOR, OWNER, READER
from xcat.database.connection import connect, ready

Runs = dict[str, int]


@pytest.fixture(scope="module")
def runs(module_settings: Settings) -> Runs:
    return make(module_settings)


def as_user(settings: Settings, user: str) -> Settings:
    """The same database, through another login."""
    return dataclasses.replace(settings, database_url=str(settings.database_url).replace("//xcat@", f"//{user}@"))


@pytest.fixture
def xcat(module_settings: Settings, runs: Runs, monkeypatch: Any, capsys: Any) -> Callable[..., tuple[int, str, str]]:
    """Run a command as a user, in this process: exit code, output, errors."""

    def command(user: str, *arguments: object) -> tuple[int, str, str]:
        monkeypatch.setenv("XCAT_DATABASE_URL", str(as_user(module_settings, user).database_url))
        monkeypatch.setattr(sys, "argv", ["xcat", *map(str, arguments)])
        monkeypatch.setattr(program, "_listen", lambda: None)
        code = 0
        try:
            program.main()
        except SystemExit as end:
            code = int(end.code or 0)
        return code, *capsys.readouterr()

    return command


def test_show(xcat: Any, runs: Runs, tmp_path: Path) -> None:
    source = "1"
    for arguments in (
        ("sql", "SELECT class FROM pub.classified LIMIT 1"),
        ("candidates", "XRB"),
        ("explain", source),
        ("report",),
        ("report", "--html", tmp_path / "r"),
        ("runs",),
        ("runs", runs["fit"]),
        ("models",),
        ("models", runs["fit"]),
        ("catalogues",),
        ("diff", runs["fit"], runs["fit"]),
        ("publish", runs["classify"]),
        ("runs", "drop", runs["classify"]),
        ("runs", "prune", "--keep", 1),
        ("runs", "pin", runs["fit"], "--why", "x"),
        ("db", "status"),
        ("db", "migrate"),
        ("db", "start"),
    ):
        code, out, err = xcat("xcat_reader", *arguments)
        print(arguments, code, out[:150].splitlines()[:2], err[-600:], sep="\n   ", file=sys.__stderr__)
