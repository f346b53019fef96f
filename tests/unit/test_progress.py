"""Progress is for people who watch: a log gets one line."""

from __future__ import annotations

import re
import sys

import pytest

from xcat import progress


@pytest.mark.parametrize("variable", ["FORCE_COLOR", "TTY_COMPATIBLE", "NO_COLOR"])
def test_no_bar_moves_in_a_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str
) -> None:
    monkeypatch.setattr(progress, "_quiet", False)
    monkeypatch.setattr(progress, "_WORTH_A_LINE_S", 0.0)
    monkeypatch.setenv(variable, "1")
    with progress.bar("loading", 2) as advance:
        advance(1)
    line = capsys.readouterr().err
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d loading: \d+\.\d s\n", line)


def test_a_terminal_shows_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert progress.stamped("merge: run 3") == "merge: run 3"
