"""Progress is for people who watch: a log gets one line."""

from __future__ import annotations

import re

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
    assert re.fullmatch(r"loading: \d+\.\d s\n", capsys.readouterr().err)
