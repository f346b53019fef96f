"""What readers send to the pages and take away: lists, sky maps, queries; and the description of all of that."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import hypothesis
import numpy as np
import pytest
import schemathesis
import small_sky
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, status_code_conformance
from served import serving
from skymap_files import HEADER, split, uniq, write

from xcat.config import Settings
from xcat.database.connection import connect, ready
from xcat.jobs import releases
from xcat.service.pages import sent

_KNOWN_PAGES = {
    "/",
    "/search",
    "/candidates",
    "/source/{name}",
    "/source/{name}/field",
    "/list",
    "/sky",
    "/model",
    "/run",
    "/status",
}


@pytest.fixture(scope="module")
def made(module_settings: Settings) -> dict[str, int]:
    return small_sky.make(module_settings)


@pytest.fixture(scope="module")
def client(module_settings: Settings, made: dict[str, int]) -> Iterator[httpx.Client]:
    with serving(module_settings) as address, httpx.Client(base_url=address, timeout=60) as opened:
        yield opened


@pytest.fixture(scope="module")
def places(module_settings: Settings, made: dict[str, int]) -> list[tuple[Any, ...]]:
    with connect(module_settings) as conn:
        return conn.execute("SELECT name, ra, dec FROM pub.classified ORDER BY source_id LIMIT 3").fetchall()


class _Form(HTMLParser):
    """Hidden fields of a page, and the formats of its buttons."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.hidden: dict[str, str] = {}
        self.buttons: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "input" and given.get("type") == "hidden":
            self.hidden[given["name"]] = given["value"]
        if tag == "button" and given.get("name") == "as":
            self.buttons.append(given["value"])


def _multipart(fields: dict[str, str]) -> dict[str, Any]:
    """Fields as a browser sends them in the encoding of the form."""
    return {"files": {name: (None, text) for name, text in fields.items()}}


def test_the_page_of_a_list_gives_it_as_a_file(client: httpx.Client, places: list[tuple[Any, ...]]) -> None:
    lines = ["id,ra,dec,err", *(f"x{i},{ra},{dec},1.0" for i, (_, ra, dec) in enumerate(places))]
    table = {"table": ("mine.csv", "\n".join(lines).encode())}
    page = client.post("/list", data={"table_error": "err"}, files=table, headers={"Accept": "text/html"})
    assert page.status_code == 200, page.text
    form = _Form(page.text)
    assert form.buttons == ["csv", "fits", "votable", "parquet"]
    for name, text in (("csv", "id,ra,dec,err"), ("fits", "SIMPLE"), ("votable", "<?xml"), ("parquet", "PAR1")):
        answer = client.post("/list", **_multipart({**form.hidden, "as": name}))
        assert answer.status_code == 200, answer.text
        assert answer.content.startswith(text.encode())
        assert 'attachment; filename="classes.' in answer.headers["content-disposition"]
    csv = client.post("/list", **_multipart({**form.hidden, "as": "csv"})).text
    first = client.post("/list", data={"table_error": "err", "as": "csv"}, files=table).text
    assert csv == first and len(csv.splitlines()) == 4


def test_positions_and_damage_in_a_list_that_is_sent_once_more(
    client: httpx.Client, places: list[tuple[Any, ...]]
) -> None:
    text = "\n".join(f"{ra} {dec:+}" for _, ra, dec in places)
    page = client.post("/list", data={"positions": text, "error": "0.7"}, headers={"Accept": "text/html"})
    hidden = _Form(page.text).hidden
    assert hidden["error"] == "0.7"
    rows = client.post("/list", **_multipart({**hidden, "as": "csv"})).text.splitlines()
    assert len(rows) == 4
    broken = client.post("/list", data={"table_again": "%%%", "table_name": "a.csv"})
    assert broken.status_code == 400 and "damaged" in broken.text
    outside = client.post("/list", data={"table_again": "QQ==", "table_name": "../../a/b.csv"})
    assert outside.status_code == 400 and "/tmp" not in outside.text


def test_a_large_file_is_not_carried_by_the_page(tmp_path: Path) -> None:
    path = tmp_path / "your_table.csv"
    path.write_bytes(b"x" * 3_000_001)
    assert sent.kept("table", path) is None


def test_sources_of_a_sky_map(client: httpx.Client, module_settings: Settings, tmp_path: Path) -> None:
    order, cell = split(list(range(0, 4000, 31)), 5)
    density = np.exp(-4 * np.random.default_rng(6).random(len(order)))
    file = write(tmp_path / "map.fits.gz", {"UNIQ": uniq(order, cell), "PROBDENSITY": density}, {**HEADER})
    asked = {"level": "0.6", "class": "XRB", "min_probability": "0.2"}
    with file.open("rb") as opened:
        answer = client.post("/sky", data=asked, files={"map": opened}, headers={"Accept": "application/json"})
    assert answer.status_code == 200, answer.text
    data = answer.json()
    assert data["rows"] and data["total_rows"] == len(data["rows"])
    assert all(row["p_xrb"] >= 0.2 for row in data["rows"])  # whether or not it is the most probable class
    assert any(row["class"] == "XRB" for row in data["rows"])
    assert len({row["credible_level"] for row in data["rows"] if row["credible_level"] > 0.6}) <= 1  # of the last cell
    with file.open("rb") as opened:
        page = client.post("/sky", data=asked, files={"map": opened}, headers={"Accept": "text/html"}).text
    assert "60 %" in page and all(row["name"] in page for row in data["rows"])
    with file.open("rb") as opened:
        whole_sky = client.post("/sky", data={"level": "1"}, files={"map": opened}, params={"format": "json"}).json()
    with connect(module_settings) as conn:
        assert (whole_sky["total_rows"],) == conn.execute("SELECT count(*) FROM pub.classified").fetchone()


# the service runs in a thread of this process, and may draw a random number while Hypothesis makes a case
@pytest.mark.filterwarnings("ignore:Do not use the `random` module")
def test_every_page_answers_as_its_description_says(client: httpx.Client) -> None:
    schema = schemathesis.openapi.from_url(f"{str(client.base_url).rstrip('/')}/openapi.json").include(tag="pages")
    checks = [not_a_server_error, status_code_conformance, content_type_conformance]
    operations = [operation.ok() for operation in schema.get_all_operations()]
    assert {operation.path for operation in operations} == _KNOWN_PAGES
    for operation in operations:

        @hypothesis.settings(
            max_examples=5,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(case=operation.as_strategy())
        def check(case: schemathesis.Case) -> None:
            case.call_and_validate(checks=checks, timeout=60)

        check()


_HOSTILE = {
    "search": ("1 60 2 1 60 2", "1e999 1", "999 1", "9" * 150 + " 1", "٦ ٦", "25 0 0 1 1 1", "+ -", "1 -1 1 1 1 1"),
    "tables": {
        "a.csv": b"\0" * 500,
        "a.fits": b"SIMPLE  =                    T",
        "a.vot": b"<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><VOTABLE>&b;</VOTABLE>",
        "a.parquet": b"PAR1PAR1",
        "b.csv": b"id,ra,dec,pos_err\n",
        "c.csv": b"ra,ra,dec,dec\n1,1,1,1\n",
        "a.csv.gz": b"\x1f\x8b" + b"x" * 50,
    },
}


@pytest.mark.parametrize("text", _HOSTILE["search"])
def test_positions_that_are_none_are_refused(client: httpx.Client, text: str) -> None:
    for answer in (
        client.get("/search", params={"q": text}),
        client.get("/candidates", params={"at": text}),
        client.post("/list", data={"positions": text}),
    ):
        assert answer.status_code in (200, 400)


@pytest.mark.parametrize("name", _HOSTILE["tables"])
def test_files_that_are_no_tables_are_refused(client: httpx.Client, name: str) -> None:
    answer = client.post("/list", files={"table": (name, _HOSTILE["tables"][name])})
    assert answer.status_code == 400, answer.text[-400:]
    assert "/tmp" not in answer.text and "root:" not in answer.text


def test_the_queries_that_a_page_shows_can_be_copied(
    client: httpx.Client, module_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = {"p": 0.1, "known": "yes", "no_outliers": 1, "flux": 1e-15, "snr": 3, "at": "l=0 b=0", "radius": 1200}
    monkeypatch.setenv("XCAT_DATABASE_URL", str(module_settings.database_url))
    for asked in (everything, {"class": "Star", "known": "all", "every_mission": 1, "sort": "ra", "column": "name"}):
        data = client.get("/candidates", params={**asked, "format": "json"}).json()
        assert data["total_rows"] > 0
        with connect(module_settings) as conn:
            names = [row[0] for row in conn.execute(data["sql"]).fetchall()]
        copied: dict[str, Any] = {}
        exec(data["python"], copied)
        csv = client.get("/tap/sync", params={"LANG": "ADQL", "RESPONSEFORMAT": "csv", "QUERY": data["adql"]}).text
        assert len(names) == data["total_rows"] == len(copied["table"])
        assert [str(name) for name in copied["table"]["name"]] == names
        assert [line.split(",")[0] for line in csv.splitlines()[1:]] == names
        assert [row["name"] for row in data["rows"]] == names[:50]


def test_a_field_may_ask_one_other_host_if_a_reader_chooses_it(
    client: httpx.Client, places: list[tuple[Any, ...]]
) -> None:
    path = f"/source/{places[0][0]}/field"
    alone, chosen = client.get(path), client.get(path, params={"images": "dss"})
    for answer in (alone, chosen):
        policy = answer.headers["content-security-policy"]
        assert answer.status_code == 200
        assert "'unsafe-inline'" not in policy and "'unsafe-eval'" not in policy and "frame-ancestors 'none'" in policy
        assert re.findall("https?://[^ ;]+", policy) == (["https://alasky.cds.unistra.fr"] * 2 * (answer is chosen))
    assert client.get(path, params={"format": "json"}).json()["images"] is None
    assert client.get(path, params={"images": "elsewhere"}).status_code == 400
    tile = client.get("/field/hips/Norder0/Dir0/Npix3.png")
    assert tile.content.startswith(b"\x89PNG") and client.get("/field/hips/Norder3/Allsky.png").status_code == 404


def test_new_is_what_the_last_release_did_not_have(
    client: httpx.Client, module_settings: Settings, made: dict[str, int]
) -> None:
    with ready(module_settings) as conn:
        releases.create(conn, "2026-10")
    asked = {"class": "Star", "p": 0, "known": "all", "every_mission": 1, "new": 1}
    assert client.get("/candidates", params={**asked, "format": "json"}).json()["total_rows"] == 0
    again = small_sky.classify_again(module_settings, made)
    with connect(module_settings) as conn:
        query = "SELECT source_id FROM pub.classified_runs WHERE run_id = %s AND class = 'Star'"
        before, now = ({row[0] for row in conn.execute(query, [run]).fetchall()} for run in (made["classify"], again))
    data = client.get("/candidates", params={**asked, "format": "json"}).json()
    assert now - before
    assert {row["source_id"] for row in data["rows"]} == now - before and len(now - before) <= 50
    assert f"run_id = {made['classify']}" in data["sql"]
    page = client.get("/candidates", params=asked).text
    assert re.search(r'id="new"[^>]*checked', page) and "New since release 2026-10" in page
