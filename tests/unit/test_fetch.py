"""Fetching from a TAP service: a stand-in on this machine answers, overflows, lies and fails."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import numpy as np
import pytest
from children import TIMEOUT_S

from xcat.catalogues import load
from xcat.errors import InputError
from xcat.ingest.convert import convert
from xcat.ingest.fetch import fetch
from xcat.ingest.readers import open_table

FIELDS = [
    ("_2MASS", "char"), ("RAJ2000", "double"), ("DEJ2000", "double"), ("Jmag", "float"), ("Hmag", "float"),
    ("Kmag", "float"), ("e_Jmag", "float"), ("e_Hmag", "float"), ("e_Kmag", "float"), ("errMaj", "float"),
    ("errMin", "float"), ("errPA", "short"),
]  # fmt: skip


class StandIn(ThreadingHTTPServer):
    """A TAP service with a table of ``n_rows`` rows that never sends more than ``limit``."""

    n_rows = 5
    limit = 1000
    mode = "good"

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.queries: list[str] = []
        self.maxrec: list[int] = []
        self.given_up = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/tap"


class Handler(BaseHTTPRequestHandler):
    server: StandIn

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output clean."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.answer({k: v[0] for k, v in parse_qs(body).items()})

    def do_GET(self) -> None:
        self.answer({k: v[0] for k, v in parse_qs(urlparse(self.path).query).items()})

    def answer(self, asked: dict[str, str]) -> None:
        server = self.server
        server.queries.append(asked["QUERY"])
        server.maxrec.append(int(asked["MAXREC"]))
        counting = "COUNT(*)" in asked["QUERY"]
        if server.mode == "slow":
            server.given_up.wait(TIMEOUT_S)
        if server.mode == "broken":
            return self.send(500, "text/plain", "no disk left")
        if server.mode == "error":
            text = votable([], [], '<INFO name="QUERY_STATUS" value="ERROR">no such table</INFO>')
            return self.send(400, "application/x-votable+xml", text)
        if counting:
            text = votable([("n", "long")], [[str(server.n_rows)]], OK)
        else:
            wanted = server.n_rows - (server.mode == "short")
            n = min(wanted, server.limit, int(asked["MAXREC"]))
            rows = [[f"id{i}", "10.1", "20.2", "15.5", "15", "", "0.05", "", "", "0.1", "0.08", "30"] for i in range(n)]
            overflow = '<INFO name="QUERY_STATUS" value="OVERFLOW"/>' if n < wanted else ""
            text = votable(FIELDS, rows, OK, overflow)
        return self.send(200, "application/x-votable+xml", text)

    def send(self, status: int, kind: str, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(text.encode())


OK = '<INFO name="QUERY_STATUS" value="OK"/>'


def votable(fields: list[tuple[str, str]], rows: list[list[str]], head: str, tail: str = "") -> str:
    declared = "".join(
        f'<FIELD name="{n}" datatype="{t}"' + (' arraysize="*"/>' if t == "char" else "/>") for n, t in fields
    )
    cells = "".join("<TR>" + "".join(f"<TD>{c}</TD>" for c in row) + "</TR>" for row in rows)
    return (
        '<?xml version="1.0"?><VOTABLE version="1.3" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">'
        f'<RESOURCE type="results">{head}<TABLE>{declared}<DATA><TABLEDATA>{cells}</TABLEDATA></DATA></TABLE>'
        f"{tail}</RESOURCE></VOTABLE>"
    )


@pytest.fixture
def service() -> Iterator[StandIn]:
    server = StandIn()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.given_up.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("suffix", [".vot", ".fits", ".ecsv", ".csv", ".parquet"])
def test_a_cone_is_fetched_and_can_be_read(service: StandIn, tmp_path: Path, suffix: str) -> None:
    twomass = load("twomass")
    out = tmp_path / "new" / f"cone{suffix}"
    n_rows, sent = fetch(twomass, 10.0, 20.0, 0.5, out, tap_url=service.url)
    assert n_rows == 5
    assert [p.name for p in out.parent.iterdir()] == [out.name]
    count, query = service.queries
    assert sent == query
    assert count.startswith("SELECT COUNT(*)")
    assert 'FROM "II/246/out" WHERE 1 = CONTAINS(POINT(\'ICRS\', "RAJ2000", "DEJ2000")' in query
    assert "CIRCLE('ICRS', 10.0, 20.0, 0.5)" in query
    assert '"_2MASS"' in query
    assert service.maxrec[1] == 6  # one more than expected, so that a limit shows
    with open_table(out, twomass) as reader:
        (chunk,) = reader
    converted = convert(chunk, twomass)
    assert converted.columns["native_id"].tolist() == [f"id{i}".encode() for i in range(5)]
    assert converted.columns["mag_j"].tolist() == pytest.approx([15.5] * 5)
    assert np.isnan(converted.columns["mag_h"]).all(), "without an error it is a limit"


def test_a_result_that_is_cut_off_is_refused(service: StandIn, tmp_path: Path) -> None:
    service.limit = 3
    with pytest.raises(InputError, match=r"counted 5 rows but sent 3: .* smaller cones"):
        fetch(load("twomass"), 10, 20, 0.5, tmp_path / "x.vot", tap_url=service.url)
    assert list(tmp_path.iterdir()) == []


def test_a_result_that_lacks_rows_without_saying_so_is_refused(service: StandIn, tmp_path: Path) -> None:
    service.mode = "short"
    with pytest.raises(InputError, match="counted 5 rows but sent 4"):
        fetch(load("twomass"), 10, 20, 0.5, tmp_path / "x.vot", tap_url=service.url)
    assert list(tmp_path.iterdir()) == []


def test_too_many_rows_are_refused_before_they_are_sent(service: StandIn, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds 5 rows, more than the 4 allowed"):
        fetch(load("twomass"), 10, 20, 0.5, tmp_path / "x.vot", tap_url=service.url, max_rows=4)
    assert len(service.queries) == 1


def test_an_empty_cone_is_an_answer(service: StandIn, tmp_path: Path) -> None:
    service.n_rows = 0
    assert fetch(load("twomass"), 10, 20, 0.5, tmp_path / "x.vot", tap_url=service.url)[0] == 0
    with open_table(tmp_path / "x.vot", load("twomass")) as reader:
        assert list(reader) == []


@pytest.mark.parametrize(
    ("mode", "message", "timeout_s"),
    [("error", "no such table", TIMEOUT_S), ("broken", "no disk left", TIMEOUT_S), ("slow", "timed? ?out", 0.5)],
)
def test_a_service_that_fails(service: StandIn, tmp_path: Path, mode: str, message: str, timeout_s: float) -> None:
    service.mode = mode
    with pytest.raises(InputError, match=message):
        fetch(load("twomass"), 10, 20, 0.5, tmp_path / "x.vot", tap_url=service.url, timeout_s=timeout_s)
    assert list(tmp_path.iterdir()) == []


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Is the address right"):
        fetch(load("twomass"), 10, 20, 0.5, tmp_path / "x.vot", tap_url="http://127.0.0.1:9/tap")


@pytest.mark.parametrize(
    ("name", "cone", "file", "message"),
    [
        ("twomass", (400, 0, 1), "x.vot", "invalid cone.*got 400"),
        ("twomass", (10, 100, 1), "x.vot", "invalid cone"),
        ("twomass", (10, 0, 0), "x.vot", "invalid cone"),
        ("twomass", (10, 0, float("nan")), "x.vot", "invalid cone"),
        ("twomass", (10, 0, 1), "x.doc", "must end in one of"),
        ("csc2_detections", (10, 0, 1), "x.vot", "names no VizieR table"),
        ("veron", (10, 0, 1), "x.vot", "positions of 'veron' are texts"),
    ],
)
def test_what_cannot_be_asked(
    tmp_path: Path, name: str, cone: tuple[float, float, float], file: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        fetch(load(name), *cone, tmp_path / file, tap_url="http://127.0.0.1:9/tap")
