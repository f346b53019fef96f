"""Times of cron lines, and hooks: secrets stay secret, and nothing waits for ever."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from xcat.errors import ConfigError
from xcat.service import cron, hooks


def _hours(line: str, zone: str, start: datetime, n: int) -> list[str]:
    times = []
    for _ in range(n):
        start = cron.following(line, zone, start)
        times.append(f"{start:%m-%d %H:%M}")
    return times


def test_times_are_those_of_the_zone_through_summer_time():
    march, october = datetime(2026, 3, 27, 12, tzinfo=UTC), datetime(2026, 10, 23, 12, tzinfo=UTC)
    assert _hours("30 4 * * *", "Europe/Berlin", march, 3) == ["03-28 03:30", "03-29 02:30", "03-30 02:30"]
    assert _hours("30 4 * * *", "Europe/Berlin", october, 3) == ["10-24 02:30", "10-25 03:30", "10-26 03:30"]
    # 2:30 is not there on 29 March, and there twice on 25 October
    assert _hours("30 2 * * *", "Europe/Berlin", march, 3) == ["03-28 01:30", "03-29 01:00", "03-30 00:30"]
    assert _hours("30 2 * * *", "Europe/Berlin", october, 3) == ["10-24 00:30", "10-25 00:30", "10-25 01:30"]
    first = datetime(2026, 3, 28, 1, 30, tzinfo=UTC)
    assert cron.count("30 2 * * *", "Europe/Berlin", first, datetime(2026, 3, 30, 0, 30, tzinfo=UTC)) == 3


@pytest.fixture
def server() -> Iterator[tuple[str, list[dict[str, object]], list[int]]]:
    """A server of the web: its address, what it was told, and the codes that it answers with."""
    told: list[dict[str, object]] = []
    answers: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(answers.pop())
            self.send_header("Location", "http://localhost:9/")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}/secret", told, answers
        http.shutdown()
        thread.join()


def test_an_address_is_told_in_json(server):
    address, told, answers = server
    answers[:] = [500, 204]
    event = {"event": "success", "figures": {"n": 3, "x": float("nan")}, "at": datetime(2026, 1, 1, tzinfo=UTC)}
    assert hooks.tell(address, event) is None
    assert told == [{"event": "success", "figures": {"n": 3, "x": None}, "at": "2026-01-01 00:00:00+00:00"}]
    assert hooks.tell(address, event) == "hook http://127.0.0.1/***: the server answered 500"
    assert hooks.tell("http://u:secret@127.0.0.1:9/secret", event) == "hook http://127.0.0.1/***: ConnectionError"


def test_a_command_is_told_on_its_standard_input_without_a_shell(tmp_path, monkeypatch):
    told = tmp_path / "a b; c"
    assert hooks.tell(f"tee '{told}'", {"event": "refusal"}) is None
    assert json.loads(told.read_text()) == {"event": "refusal"}
    assert hooks.tell("false secret", {}) == "hook false ***: exit code 1"
    assert hooks.tell("/no/such/program", {}) == "hook /no/such/program: FileNotFoundError"
    monkeypatch.setattr(hooks, "TIMEOUT_S", 0.05)
    assert hooks.tell("sleep 60", {}) == "hook sleep ***: it took more than 0.05 s"


@pytest.mark.parametrize(
    ("hook", "message"),
    [("https://", "names no host"), ("'", "not a command"), ("", "nor a command"), ("no-such-program x", "nor a comm")],
)
def test_a_hook_that_cannot_work_is_refused(hook, message):
    with pytest.raises(ConfigError, match=message):
        hooks.check(hook)
    hooks.check("https://example.org/hook")
    hooks.check("true x")
