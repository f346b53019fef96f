"""Light curves and spectra: files to sources, versions, rejects; the pages that show them; the guide."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import in_process
import numpy as np
import product_files as made
import pytest
import small_sky
from served import serving

from xcat.config import Settings
from xcat.database.connection import connect
from xcat.errors import InputError

GUIDE = Path(__file__).parents[2] / "docs" / "howto" / "products.md"


@pytest.fixture(scope="module")
def sky(module_settings: Settings) -> Settings:
    small_sky.make(module_settings)
    return module_settings


@pytest.fixture
def xcat(sky: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    return in_process.commands(sky, monkeypatch)


@pytest.fixture(scope="module")
def best(sky: Settings) -> list[dict[str, Any]]:
    """Sources of objects of one mission, far from others."""
    with connect(sky) as conn:
        rows = conn.execute(
            "SELECT source_id, name, ra, dec FROM pub.classified WHERE n_missions = 1 AND known_class = 'XRB'"
            " ORDER BY source_id LIMIT 3"
        ).fetchall()
    return [dict(zip(("source_id", "name", "ra", "dec"), row, strict=True)) for row in rows]


def _rows(sky: Settings, query: str) -> list[tuple[Any, ...]]:
    with connect(sky) as conn:
        return conn.execute(query).fetchall()  # type: ignore[arg-type]


def _files(sky: Settings) -> dict[str, tuple[Any, ...]]:
    return {row[0]: row[1:] for row in _rows(sky, "SELECT file_name, name, assigned_by, n_blocks FROM pub.products")}


def _flare() -> Any:
    counts = np.full(40, 3)
    counts[20:25] = 30
    return counts


def test_files_find_their_sources_and_what_is_loaded_is_not_loaded_again(
    sky: Settings, xcat: Callable[..., str], best: list[dict[str, Any]], tmp_path: Path
) -> None:
    first, second, third = best
    folder = tmp_path / first["name"].replace(" ", "_")
    folder.mkdir()
    made.lc3(folder / "acisf00136_lc3.fits", _flare(), RA_PNT=first["ra"], DEC_PNT=first["dec"])
    made.lc3(tmp_path / f"{second['name']}_lc3.fits".replace(" ", ""), np.full(30, 4))
    made.spectrum(tmp_path, np.full(80, 5), background=np.full(80, 4), RA_OBJ=third["ra"], DEC_OBJ=third["dec"])
    made.lc3(tmp_path / "acisf1_lc3.fits", np.full(31, 4))  # tells no source
    told = json.loads(xcat("ingest-products", tmp_path, "--json"))
    assert [f["reason"] for f in told["unassigned"]] == [
        "neither file name, folder nor header tell a source: use --source"
    ]
    assert sorted(told["parts"]) == ["src.arf", "src.rmf", "src_bkg.pha"]
    loaded = _files(sky)
    assert loaded["acisf00136_lc3.fits"] == (first["name"], "folder", 3)
    assert loaded["src.pha"] == (third["name"], "header position", None)
    assert {v[1] for v in loaded.values()} == {"folder", "file name", "header position"}
    assert _rows(sky, "SELECT file_name, reason FROM pub.rejected_rows WHERE catalogue = 'source products'") == [
        ("acisf1_lc3.fits", "neither file name, folder nor header tell a source: use --source")
    ]
    # again: nothing changes; the file without a source is tried again, and loaded when the source is given
    before = _rows(sky, "SELECT count(*), max(file_id) FROM xcat.catalogue_file WHERE n_rows > 0")
    assert "already loaded, nothing changed" in xcat("ingest-products", folder)
    assert len(json.loads(xcat("ingest-products", tmp_path, "--json"))["already"]) == 3
    assert _rows(sky, "SELECT count(*), max(file_id) FROM xcat.catalogue_file WHERE n_rows > 0") == before
    xcat("ingest-products", tmp_path / "acisf1_lc3.fits", "--source", second["name"])
    assert _files(sky)["acisf1_lc3.fits"] == (second["name"], "given", 1)
    assert _rows(sky, "SELECT count(*) FROM pub.rejected_rows WHERE catalogue = 'source products'") == [(0,)]


def test_one_bad_file_and_nothing_is_loaded(
    sky: Settings, xcat: Callable[..., str], best: list[dict[str, Any]], tmp_path: Path
) -> None:
    before = _files(sky), _rows(sky, "SELECT count(*) FROM xcat.product")
    name = best[0]["name"].replace(" ", "")
    good = made.lc3(tmp_path / f"{name}_1_lc3.fits", np.full(12, 9))
    with pytest.raises(InputError, match=r"row 1: COUNT_RATE is negative"):
        xcat("ingest-products", good, made.lc3(tmp_path / f"{name}_2_lc3.fits", [-1, 2, 3]))
    elsewhere = made.lc3(tmp_path / f"{name}_3_lc3.fits", [7, 2, 3], RA_PNT=(best[0]["ra"] + 90) % 360, DEC_PNT=0.0)
    with pytest.raises(InputError, match=r"is of another source: .* deg from where the telescope pointed"):
        xcat("ingest-products", good, elsewhere)
    with pytest.raises(InputError, match=r"no file could be assigned.*2CXOJ010337.5-720133 is not among the published"):
        xcat("ingest-products", made.lc3(tmp_path / "2CXOJ010337.5-720133_lc3.fits", [1, 2, 3]))
    with pytest.raises(InputError, match="the same content is given more than once"):
        (tmp_path / "copy_lc3.fits").write_bytes(good.read_bytes())
        xcat("ingest-products", good, tmp_path / "copy_lc3.fits")
    with pytest.raises(InputError, match="there is no published source 'Vulcan'"):
        xcat("ingest-products", good, "--source", "Vulcan")
    assert (_files(sky), _rows(sky, "SELECT count(*) FROM xcat.product")) == before


def test_replacing_makes_a_version_of_just_these_files(
    sky: Settings, xcat: Callable[..., str], best: list[dict[str, Any]], tmp_path: Path
) -> None:
    one = made.lc3(tmp_path / "one_lc3.fits", np.full(12, 8))
    two = made.swift(tmp_path / "two.csv", [0.1] * 20, [0.01] * 19 + [np.nan])
    for path in (one, two):
        xcat("ingest-products", path, "--source", best[0]["name"])
    others = len(_files(sky)) - 1
    said = xcat("ingest-products", two, "--source", best[0]["name"], "--replace")
    assert said.splitlines()[-2:] == ["already loaded: two.csv", f"other files, no longer among the products: {others}"]
    assert set(_files(sky)) == {"two.csv"}
    again = xcat("ingest-products", two, "--source", best[0]["name"], "--replace")
    assert again.splitlines()[-1] == "already loaded, nothing changed: two.csv"
    # what no version holds is gone, with its rows
    assert _rows(sky, "SELECT count(*) FROM xcat.product") == [(1,)]
    limits = _rows(
        sky, "SELECT count(*), count(*) FILTER (WHERE is_limit), min(mission), max(obs_id) FROM pub.light_curve"
    )
    assert limits == [(20, 1, "Swift", "00031287019")]
    version = "SELECT version, is_current FROM xcat.catalogue WHERE name = 'source products'"
    assert [row[1] for row in _rows(sky, version)] == [True]
    assert "source products" in xcat("catalogues")


@pytest.fixture
def client(sky: Settings) -> Iterator[httpx.Client]:
    with serving(sky) as address, httpx.Client(base_url=address, timeout=60, follow_redirects=True) as opened:
        yield opened


def test_the_pages_show_curves_and_spectra_and_the_voter_sees_no_name(
    sky: Settings, xcat: Callable[..., str], best: list[dict[str, Any]], tmp_path: Path, client: httpx.Client
) -> None:
    counts = np.zeros(90, int)
    counts[5:60] = 12
    made.lc3(tmp_path / "secret_lc3.fits", _flare(), OBS_ID="8448")
    made.spectrum(tmp_path, counts, background=np.full(90, 2))
    made.swift(tmp_path / "long.csv", [0.1] * 15 + [0.4] * 15, [0.02] * 29 + [np.nan])
    xcat("ingest-products", tmp_path, "--source", best[0]["name"])
    address = f"/source/{quote(best[0]['name'])}"
    page = client.get(address).text
    assert "Light curves of count rates, and spectra" in page
    assert "The rate changes: 3 stretches of constant rate" in page and "observation 8448" in page
    assert "Time after MJD" in page and "Counts (s⁻¹ keV⁻¹)" in page
    assert re.search(r"<desc[^>]*>40 rates over 20 ks, at most", page)
    twin = client.get(address, params={"format": "json"}).json()
    kinds = {p["product_kind"]: p for p in twin["products"] if p["file_name"] != "two.csv"}
    assert len(kinds["spectrum"]["bins"]) > 5
    curve = next(p for p in twin["products"] if p["file_name"] == "secret_lc3.fits")
    assert [len(curve["bins"]), len(curve["blocks"])] == [40, 3]
    form = client.get("/volunteers/register").text
    token = re.search(r'name="form_token" value="(\w+)"', form)[1]  # type: ignore[index]
    given = {"form_token": token, "name": "Bea", "password": "seven green owls at night"}
    assert client.post("/volunteers/register", data=given).status_code == 200
    asked = client.get("/volunteers/vote", params={"format": "json"}).json()["source_id"]
    xcat(
        "ingest-products",
        made.lc3(tmp_path / "vote_lc3.fits", np.arange(2, 12), OBS_ID="obs-secret"),
        "--source",
        asked,
    )
    vote = client.get("/volunteers/vote").text
    assert "Light curve, Chandra" in vote and "obs-secret" not in vote and "vote_lc3" not in vote
    assert "figures" not in client.get("/volunteers/vote", params={"format": "json"}).json()


def test_the_guide_is_what_happens(
    sky: Settings, xcat: Callable[..., str], best: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = GUIDE.read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    name = best[0]["name"]
    made.lc3(tmp_path / "acisf00136_000N021_r0024b_lc3.fits", _flare()[::-1])
    (tmp_path / "products").mkdir()
    made.lc3(tmp_path / "products" / f"{name}_lc3.fits".replace(" ", ""), np.full(25, 7))
    block = re.findall(r"^```text\n(.*?)^```$", text, re.S | re.M)[0]
    for line in block.replace("\\\n", " ").splitlines():
        words = shlex.split(line.replace("2CXO J010337.5-720133", name))
        assert words[0] == "xcat"
        xcat(*words[1:])
    for query in re.findall(r"^```sql\n(.*?)^```$", text, re.S | re.M):
        assert _rows(sky, query.strip().rstrip(";")), query
