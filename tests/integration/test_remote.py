"""`xcat.remote` gives what the local library gives, from a served sky; the tutorial is true; errors say what to do."""

from __future__ import annotations

import dataclasses
import re
import runpy
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import Table
from children import ROOT
from served import serving
from small_sky import make

import xcat
from xcat.client.remote import Remote
from xcat.config import Settings
from xcat.errors import InputError, UnreachableError, XcatError

pytestmark = pytest.mark.slow

PAGE, NOTEBOOK = ((ROOT / "docs" / "tutorial" / f"remote{e}").read_text(encoding="utf-8") for e in (".md", ".ipynb"))


@pytest.fixture(scope="module")
def url(module_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    make(module_settings, n=400, n_labelled=250)
    limits: dict[str, Any] = {"tap_most_rows": 1000, "tap_rows": 600}
    with serving(dataclasses.replace(module_settings, home=tmp_path_factory.mktemp("home"), **limits)) as address:
        yield address


@pytest.fixture
def service(url: str, module_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Remote:
    monkeypatch.setenv("XCAT_DATABASE_URL", str(module_settings.database_url))  # of the local functions
    return xcat.remote(url)


def same(one: Table, other: Table, names: list[str]) -> None:
    for name in names:
        left, right = np.ma.asarray(one[name]), np.ma.asarray(other[name])
        left, right = (np.ma.masked_where(v.data != v.data, v) if v.dtype.kind == "f" else v for v in (left, right))
        empty = "" if right.dtype.kind == "U" else None  # a VOTable is read with NULL as an empty text
        assert left.tolist() == [empty if v is None else v for v in right.tolist()], name


def test_the_notebook_is_that_of_the_page() -> None:
    """After a change of the page: python docs/notebook.py."""
    given = runpy.run_path(str(ROOT / "docs" / "notebook.py"))
    assert given["made"](PAGE) == NOTEBOOK
    code = [cell.source for cell in nbformat.reads(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]
    assert code == [text.strip() for text in re.findall(r"^```python\n(.*?)^```$", PAGE, re.S | re.M)]


def test_the_tutorial_is_true(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for cell in nbformat.reads(NOTEBOOK, as_version=4).cells:
        if cell.cell_type == "code":
            exec(cell.source.replace("http://127.0.0.1:8080", url), names)
    out = capsys.readouterr().out
    assert (tmp_path / "why.png").stat().st_size > 5000
    found = names["found"]
    assert found["label"].tolist() == ["first", "second", "nothing"]
    assert found["name"].tolist() == [*names["cone"]["name"][:2], None]
    assert f"{names['binaries']['name'][0]}: " in out and "what speaks for" in out and "X-ray binaries are to be" in out


def test_candidates_are_those_of_the_library(service: Remote) -> None:
    for options in ({}, {"min_probability": 0.3, "known": True}, {"every_mission": True, "limit": 3, "known": True}):
        here, there = xcat.candidates("XRB", **options), service.candidates("xrb", **options)
        assert len(there) > 1
        same(there, here, ["source_id", "name", "p_xrb", "stability", "flux_cgs", "optical_native_id"])
        for key in ("of", "min_probability", "best_min_probability"):
            assert there.meta["expected"][key] == pytest.approx(here.meta["expected"][key])
    place = (float(there["ra"][0]), float(there["dec"][0]), 15.0)
    options = {"min_probability": 0.0, "known": True, "cone": place}
    same(service.candidates("AGN", **options), xcat.candidates("AGN", **options), ["source_id", "p_agn"])
    assert there["flux_cgs"].unit == u.Unit("erg / (s cm2)") and there["ra"].meta["ucd"] == "pos.eq.ra;meta.main"


def test_a_cone_is_sorted_and_complete(service: Remote) -> None:
    everything = xcat.sql("SELECT source_id, ra, dec FROM pub.classified")
    ra, dec = float(everything["ra"][7]), float(everything["dec"][7])
    cone = service.cone(ra, dec, 15.0)
    places = SkyCoord(everything["ra"], everything["dec"])
    sep = places.separation(SkyCoord(ra, dec, unit="deg")).to_value(u.arcsec)
    inside = np.flatnonzero(sep < 15 * 3600)
    assert sorted(cone["source_id"]) == sorted(everything["source_id"][inside]) and len(cone) > 2
    assert np.allclose(cone["sep_arcsec"], np.sort(sep[inside]), atol=1e-3) and cone["sep_arcsec"].unit == u.arcsec


def test_a_list_keeps_its_rows_and_its_numbers(service: Remote) -> None:
    sources = xcat.sql("SELECT source_id, ra, dec FROM pub.classified ORDER BY source_id LIMIT 20")
    mine = Table({"id": np.arange(21) + 2**62, "source_id": np.arange(21)})
    mine["lon"] = [*(sources["ra"].quantity.to_value(u.hourangle)), np.nan] * u.hourangle
    mine["lat"] = [*sources["dec"], 0.0]
    found = service.near(mine, 2.0, ra="lon", dec="lat")
    assert found["id"].tolist() == mine["id"].tolist() and found["source_id"].tolist() == list(range(21))
    assert found["published_source_id"].tolist() == [*sources["source_id"], None]
    assert (found["sep_arcsec"][:20] < 0.01).all() and np.ma.is_masked(found["class"][20])
    pairs = service.near(mine[:3], 3600.0, ra="lon", dec="lat", best=False)
    assert set(pairs["source_id"]) == {0, 1, 2} and (np.diff(pairs["source_id"]) >= 0).all()
    empty = service.near(Table({"ra": [1.0, 2.0], "dec": [89.9, 89.9]}), 1.0)
    assert len(service.near(mine[:0], ra="lon", dec="lat")) == 0
    with pytest.raises(XcatError, match="more than 5 pairs"):
        service.near(mine, ra="lon", dec="lat", limit=5)
    with pytest.raises(InputError, match="say both columns"):
        service.near(mine, ra="lon")
    assert len(empty) == 2 and np.ma.getmaskarray(np.ma.asarray(empty["name"])).all()


def test_explanations_are_the_published_facts(service: Remote) -> None:
    row = xcat.sql("SELECT source_id, name, class, p_class FROM pub.classified ORDER BY source_id LIMIT 1 OFFSET 30")
    name, source_id = str(row["name"][0]), int(row["source_id"][0])
    reasons = service.explain(f"  {name.lower()} ")
    assert int(reasons.source["source_id"][0]) == source_id
    assert max(reasons.probabilities, key=reasons.probabilities.__getitem__) == row["class"][0]
    here = xcat.sql("SELECT property, class, advantage FROM pub.evidence WHERE source_id = %s", [source_id])
    expected = sorted(zip(here["property"], here["class"], here["advantage"], strict=True))
    got = sorted(zip(*(reasons.evidence[n] for n in ("property", "class", "advantage")), strict=True))
    assert [row[:2] for row in got] == [row[:2] for row in expected]
    assert np.allclose([row[2] for row in got], [row[2] for row in expected], equal_nan=True)
    assert name in str(service.explain(source_id))
    with pytest.raises(XcatError, match=r"sources of .* match '4XMM'"):
        service.explain("4XMM")
    with pytest.raises(XcatError, match="has no source 'M 31'"):
        service.explain("M 31")


def test_limits_are_told(service: Remote) -> None:
    query = "SELECT a.name FROM pub.classified AS a CROSS JOIN pub.model_class AS b"
    with pytest.raises(XcatError, match=r"gives 600 rows of this result, which has more.*limit="):
        service.sql(query)
    table = service.sql(query, limit=50)
    assert len(table) == 50 and table.meta["is_cut"] and not service.sql("SELECT 1 AS a FROM pub.runs").meta["is_cut"]
    with pytest.raises(XcatError, match="gives 1,000 rows"):
        service.sql(query, limit=1500)
    assert service.sql("SELECT COUNT(*) AS n FROM pub.classified", as_job=True)["n"].tolist() == [400]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda s: s.sql("SELECT nothing FROM pub.classified"), r"refused the query: .*line 1, column 8.*nothing"),
        (lambda s: s.sql("DROP TABLE pub.classified"), "refused the query"),
        (lambda s: s.sql("SELECT nothing FROM pub.classified", as_job=True), "refused the query: .*nothing"),
        (lambda s: s.candidates("Blazar"), "has no class 'Blazar', only AGN, Star, XRB, CV"),
        (lambda s: s.candidates("XRB", 2.0), "between 0 and 1"),
        (lambda s: s.cone(0, 100, 1), "declination must be between"),
        (lambda s: s.near(Table({"a": [1]})), "no column is recognised as a position"),
        (lambda s: s.near(Table({"a": [1]}), ra="a", dec="b"), "has no column 'b'"),
        (lambda s: s.explain("x' OR 'a' = 'a"), "has no source"),
        (lambda s: Remote(f"{s.url}/nowhere").sql("SELECT 1 AS a FROM pub.runs"), "refused the query: .*Not Found"),
    ],
)
def test_errors_say_what_is_wrong(service: Remote, call: Any, said: str) -> None:
    with pytest.raises(XcatError, match=said):
        call(service)


def test_nobody_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(UnreachableError, match="does xcat serve run there"):
            xcat.remote(address, timeout_s=0.2).sql("SELECT 1 AS a FROM pub.runs")
    with pytest.raises(UnreachableError, match="does not answer"):
        xcat.remote(address).cone(1, 2, 3)
    with pytest.raises(InputError, match="begins with http"):
        xcat.remote("ftp://example.org")
