"""The log of a pipeline's run: one line for every catalogue that was loaded and every stage that has ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from xcat.ingest.load import Loading
from xcat.jobs.runner import Listener
from xcat.report.run import record

Say = Callable[[str], None]


@dataclass
class Log(Listener):
    """Says what the run of a pipeline does, line by line."""

    say: Say

    def loaded(self, catalogue: str, loading: Loading) -> None:
        """A catalogue has been loaded."""
        for line in record.loading_lines(catalogue, loading):
            self.say(line)

    def finished(self, kind: str, run_id: int, summary: dict[str, Any] | None) -> None:
        """A stage has ended."""
        self.say(f"{kind}: run {run_id}{' (done before)' if summary is None else ''}")

    def said(self, text: str) -> None:
        """The run waits, or goes on."""
        self.say(text)
