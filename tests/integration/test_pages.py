"""The pages: what they show, their twins in JSON, and what they do with nonsense."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import pytest
import small_sky
from astropy.table import Table
from served import serving

from xcat.config import Settings
from xcat.database import runs
from xcat.database.connection import connect
from xcat.errors import XcatError

HOSTILE = ("'", '"><script>alert(1)</script>', "1e999", "-1", "NaN", "\x00", "%", "🔭", "a" * 5000, "../../etc/passwd")
PAGES = ("/", "/candidates", "/list", "/sky", "/model", "/run", "/status")


@pytest.fixture(scope="module")
def settings_of_sky(module_settings: Settings) -> Settings:
    small_sky.make(module_settings)
    return module_settings


@pytest.fixture(scope="module")
def client(settings_of_sky: Settings) -> Iterator[httpx.Client]:
    with serving(settings_of_sky) as address, httpx.Client(base_url=address, timeout=60) as made:
        yield made


def _json(client: httpx.Client, path: str, **params: Any) -> Any:
    answer = client.get(path, params=params, headers={"Accept": "application/json"})
    assert answer.status_code == 200, answer.text
    return answer.json()


class _Words(HTMLParser):
    """The words of a page, and what it asks of a browser that the policy forbids."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words, self.forbidden, self.ids = "", list[str](), list[str]()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        inline = tag == "style" or (tag == "script" and "src" not in given)
        self.forbidden += [f"{tag} {name}" for name in given if name == "style" or name.startswith("on")]
        self.forbidden += [tag] * inline
        self.ids += [str(given["id"])] if "id" in given else []

    def handle_data(self, data: str) -> None:
        self.words += data


def _page(client: httpx.Client, path: str, **params: Any) -> _Words:
    answer = client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return _Words(answer.text)


@pytest.fixture(scope="module")
def best(client: httpx.Client) -> dict[str, Any]:
    """The most probable X-ray binary of the sky."""
    row: dict[str, Any] = _json(client, "/candidates", **{"class": "XRB"})["rows"][0]
    return row


def test_every_page_binds_the_browser_to_this_host(client: httpx.Client, best: dict[str, Any]) -> None:
    for path in (*PAGES, f"/source/{quote(best['name'])}", "/search?q=10+10", "/nothing", "/static/xcat.css"):
        answer = client.get(path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy and "unsafe" not in policy
        if path.startswith("/static"):
            continue
        page = _Words(answer.text)
        assert not page.forbidden, path
        assert len(page.ids) == len(set(page.ids)), path
        assert 'src="http' not in answer.text and 'lang="en"' in answer.text


def test_the_start_counts_what_is_published(client: httpx.Client, settings_of_sky: Settings) -> None:
    with connect(settings_of_sky) as conn:
        counted = dict(conn.execute("SELECT class, count(*) FROM pub.classified GROUP BY class").fetchall())
    data = _json(client, "/")
    assert {row["class"]: row["sources"] for row in data["classes"]} == counted
    assert data["counts"]["sources"] == sum(counted.values())
    page = _page(client, "/")
    assert f"{data['accuracy']:.1%}".replace("%", " %") in page.words
    assert "What is published" in page.words


def test_a_source_is_found_by_name_number_and_position(client: httpx.Client, best: dict[str, Any]) -> None:
    place = f"/source/{quote(best['name'], safe='')}"
    for text in (best["name"], best["name"].lower().replace(" ", ""), str(best["source_id"])):
        answer = client.get("/search", params={"q": text})
        assert (answer.status_code, answer.headers["location"]) == (303, place)
    around = _json(client, "/search", q=f"{best['ra']} {best['dec']:+}", radius=1)
    assert around["rows"][0]["name"] == best["name"]
    assert around["rows"][0]["sep_arcsec"] == pytest.approx(0, abs=1e-3)
    assert "No published source has a name like this" in _page(client, "/search", q="Vulcan").words


def test_candidates_are_the_rows_of_the_queries_that_the_page_shows(
    client: httpx.Client, settings_of_sky: Settings
) -> None:
    asked = {"class": "XRB", "p": 0.3, "snr": 1, "sort": "flux_cgs", "order": "up", "no_outliers": 1}
    data = _json(client, "/candidates", **asked)
    names = [row["name"] for row in data["rows"]]
    assert names and data["total_rows"] == len(names) < 50
    fluxes = [row["flux_cgs"] for row in data["rows"] if row["flux_cgs"] is not None]
    assert fluxes == sorted(fluxes)
    for file in data["files"]:
        address = urlsplit(file["address"])
        assert parse_qs(address.query)["QUERY"] == [data["adql"]]
    csv = next(file["address"] for file in data["files"] if file["name"] == "CSV")
    assert [line.split(",")[0] for line in client.get(csv).text.splitlines()[1:]] == names
    fits = next(file["address"] for file in data["files"] if file["name"] == "FITS")
    table = Table.read(io.BytesIO(client.get(fits).content), format="fits", unit_parse_strict="silent")
    assert [str(name) for name in table["name"]] == names
    with connect(settings_of_sky) as conn:
        rows = conn.execute(data["sql"]).fetchall()
    assert [row[0] for row in rows] == names
    assert data["sql"].splitlines()[0] in data["python"]
    compile(data["python"], "page", "exec")


def test_columns_pages_and_cones_of_candidates(client: httpx.Client, best: dict[str, Any]) -> None:
    page = client.get("/candidates", params={"p": 0, "known": "all", "column": ["name", "hr1", "snr"], "page": 2}).text
    assert "Medium-soft hardness ratio" in page and 'rel="prev"' in page
    first = _json(client, "/candidates", p=0, known="all")
    second = _json(client, "/candidates", p=0, known="all", page=2)
    assert len(first["rows"]) == 50
    assert not {r["name"] for r in first["rows"]} & {r["name"] for r in second["rows"]}
    near = _json(client, "/candidates", p=0, known="all", at=f"{best['ra']} {best['dec']}", radius=0.5)
    assert best["name"] in [row["name"] for row in near["rows"]]
    assert near["total_rows"] < first["total_rows"]


def test_the_page_of_a_source_says_what_it_is_and_why(client: httpx.Client, best: dict[str, Any]) -> None:
    path = f"/source/{quote(best['name'], safe='')}"
    data, page = _json(client, path), _page(client, path)
    evidence = data["explanation"]
    assert data["verdict"].startswith("An X-ray binary, ")
    assert data["verdict"] in page.words
    assert evidence["posterior"]["XRB"] == pytest.approx(best["p_class"], abs=1e-6)
    for words in ("Why", "What would change it", "How sure", "Counterparts", "Light curve", "Known objects alike"):
        assert words in page.words
    shown = [t["property"] for t in evidence["terms"] if t["state"] == "value"]
    assert "X-ray to W1 flux ratio" in page.words or "log_fx_fw1" not in shown
    assert data["history"][0]["is_published"] and len(data["history"]) == 2
    assert set(data["links"]) == {"SIMBAD", "NED", "VizieR", "ESASky", "XSA"}
    assert "log_fx_fw1" not in page.words  # people read names, not columns


def test_no_name_of_a_column_stands_where_people_read(client: httpx.Client, best: dict[str, Any]) -> None:
    """Neither in words nor in texts for who cannot see; what is meant as code, and the user's own names, are."""
    source = f"/source/{quote(best['name'], safe='')}"
    for path in (*PAGES, "/candidates?class=XRB", source, f"{source}/field", "/volunteers", "/watch", "/source/Vulcan"):
        text = re.sub(r"<(pre|code)\b.*?</\1>", "", client.get(path).text, flags=re.S)
        read = re.findall(r'(?:title|alt|aria-label|placeholder)="([^"]*)"', text) + re.split(r"<[^>]+>", text)
        found = {name for words in read for name in re.findall(r"\b[a-z][a-z0-9]*(?:_[a-z0-9]+)+\b", words)}
        assert found <= {"small_sky"}, path


def test_figures_say_what_is_seen(client: httpx.Client, best: dict[str, Any]) -> None:
    for path in ("/", f"/source/{quote(best['name'], safe='')}", "/model"):
        page = client.get(path).text
        drawn = page.count('role="img"')
        assert drawn >= 1
        assert page.count("<desc id=") == drawn
        assert "NaN" not in page and '"nan' not in page and "inf," not in page


def test_every_source_of_the_first_hundred_has_a_page(client: httpx.Client) -> None:
    rows = _json(client, "/candidates", p=0, known="all", every_mission=1)["rows"]
    for row in rows[::4]:
        assert client.get(f"/source/{row['source_id']}").status_code == 200


def test_a_list_is_classified_as_page_and_as_file(client: httpx.Client, best: dict[str, Any]) -> None:
    place = f"{best['ra']} {best['dec']:+}"
    answer = client.post(
        "/list", data={"positions": f"{place}\nl=10 b=20", "error": "1"}, headers={"Accept": "text/html"}
    )
    assert answer.status_code == 200, answer.text
    assert "2 rows" in _Words(answer.text).words
    assert "your_positions" not in answer.text and "--column" not in answer.text
    table = b"id,ra,dec,pos_err\na,%f,%f,1.0\n" % (best["ra"], best["dec"])
    answer = client.post("/list", data={"as": "csv"}, files={"table": ("mine.csv", table)})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"] == 'attachment; filename="classes.csv"'
    assert answer.text.splitlines()[0].startswith("id,ra,dec,pos_err")
    for form in ({}, {"positions": "nowhere"}, {"positions": place, "error": "-1"}, {"positions": place, "as": "exe"}):
        answer = client.post("/list", data=form)
        assert answer.status_code == 400
        assert 'role="alert"' in answer.text
        assert "/tmp" not in answer.text


def test_model_and_run_show_what_the_report_has(client: httpx.Client) -> None:
    model, run = _json(client, "/model"), _json(client, "/run")
    words = _page(client, "/model").words
    assert f"{model['report']['metrics']['sample']['accuracy']:.1%}".replace("%", " %") in words
    assert sum(map(sum, model["report"]["metrics"]["matrix"])) == model["report"]["n_reference"]
    assert [stage["kind"] for stage in run["stages"]].count("classify") >= 1
    assert f"Run {run['run_id']}" in _page(client, "/run").words


def test_the_page_of_documentation_is_true(client: httpx.Client, capsys: pytest.CaptureFixture[str]) -> None:
    text = (Path(__file__).parents[2] / "docs" / "howto" / "pages.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"<!-- served -->\n```python\n(.*?)```", text, re.S)
    exec(block.replace("http://127.0.0.1:8080", str(client.base_url).rstrip("/")), {})
    printed = capsys.readouterr().out
    assert "pub.classified" in printed and "An X-ray binary" in printed
    for path in re.findall(r"^\| `(/[a-z]*)", text, re.M):
        assert client.get(path).status_code < 500, path


def test_errors_are_pages_for_people_and_json_for_programs(client: httpx.Client) -> None:
    answer = client.get("/nothing")
    assert answer.status_code == 404
    assert "<h1>Not found</h1>" in answer.text
    assert "error" in client.get("/nothing", params={"format": "json"}).json()
    assert "VOTABLE" in client.get("/tap/nothing").text
    assert client.get("/source/Vulcan").status_code == 404
    broken = client.post("/sky", files={"map": ("map.fits", b"nothing")})
    assert broken.status_code == 400 and "/tmp" not in broken.text


def test_the_status_shows_no_error_of_a_run(client: httpx.Client, settings_of_sky: Settings) -> None:
    with pytest.raises(XcatError), runs.stage(settings_of_sky, "pipeline", "night", {}):
        raise XcatError("/home/somebody/secret.csv is damaged")
    text = client.get("/status").text
    with connect(settings_of_sky, autocommit=True) as conn:
        conn.execute("DELETE FROM xcat.run WHERE name = 'night'")
    assert "Something needs attention" in text and "xcat health" in text and "secret" not in text
    assert "All is well" in client.get("/status").text


@pytest.mark.parametrize("text", HOSTILE)
def test_no_nonsense_breaks_a_page(client: httpx.Client, text: str) -> None:
    names = ("class", "p", "known", "at", "radius", "flux", "snr", "sort", "order", "page", "column", "new", "format")
    asked = [("/candidates", {name: text}) for name in names]
    asked += [("/search", {"q": text}), ("/search", {"q": "1 1", "radius": text}), ("/", {"format": text})]
    asked += [(f"/source/{quote(text, safe='')}", {})]
    for path, params in asked:
        answer = client.get(path, params=params)
        assert answer.status_code < 500, (path, params, answer.text[-500:])
        assert "<script>alert" not in answer.text
    for path, field in (("/list", "positions"), ("/list", "as"), ("/sky", "level")):
        assert client.post(path, data={field: text}).status_code < 500
