"""The published sources in the regions of a sky map, against loops over all of them; the command; the library."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import astropy.units as u
import httpx
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from astropy_healpix import healpix_to_lonlat, lonlat_to_healpix
from mocpy import MOC
from psycopg import sql
from served import serving
from skymap_files import HEADER, levels, split, uniq, write
from small_galaxies import DISTANCE_MPC
from small_sky import make
from tiny import rows
from typer.testing import CliRunner

import xcat
from xcat import api
from xcat.cli.app import app
from xcat.config import Settings
from xcat.database.connection import ready
from xcat.database.sqlfiles import job
from xcat.errors import XcatError
from xcat.report.skymap import skymap_sources
from xcat.sky.skymap import SkyMap

pytestmark = pytest.mark.slow

ORDER, CELL = split(list(range(0, 4000, 31)), 5)
DENSITY = np.exp(-4 * np.random.default_rng(6).random(len(ORDER)))
DISTANCE = np.stack([np.where(np.arange(len(ORDER)) % 3, 15.0, np.inf), np.full(len(ORDER), 4.0)])


@pytest.fixture(scope="module")
def sources(module_settings: Settings) -> list[dict[str, Any]]:
    """Every published source, with its place in the map by astropy-healpix and a plain loop."""
    make(module_settings, n=300, n_labelled=200)
    found = rows(module_settings, "SELECT * FROM pub.classified ORDER BY source_id")
    level = levels(ORDER, DENSITY)
    place = {(int(o), int(c)): i for i, (o, c) in enumerate(zip(ORDER, CELL, strict=True))}
    for row in found:
        at = row["ra"] * u.deg, row["dec"] * u.deg
        of_order = [int(lonlat_to_healpix(*at, 2**order, order="nested")) for order in range(6)]
        (row["cell"],) = (place[key] for key in enumerate(of_order) if key in place)
        row["level"] = level[row["cell"]]
    return found


@pytest.fixture(autouse=True)
def _database(module_settings: Settings, sources: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XCAT_DATABASE_URL", str(module_settings.database_url))


@pytest.fixture
def skymap() -> SkyMap:
    return SkyMap.of_cells(ORDER, CELL, DENSITY, is_density=True, distance=DISTANCE)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    columns = {"UNIQ": uniq(ORDER, CELL), "PROBDENSITY": DENSITY, "DISTMU": DISTANCE[0], "DISTSIGMA": DISTANCE[1]}
    return write(tmp_path / "map.fits.gz", columns, {**HEADER, "OBJECT": "S1"})


def expected(sources: list[dict[str, Any]], level: float) -> list[dict[str, Any]]:
    """The sources of a region: the cells, the densest first, until they hold the level."""
    p = DENSITY / 4.0**ORDER
    cells, total = set[int](), 0.0
    for i in np.argsort(-DENSITY):
        if total < level * p.sum():
            cells.add(int(i))
        total += p[i]
    inside = (s for s in sources if s["cell"] in cells)
    return sorted(inside, key=lambda s: (s["level"], s["hpx29"], s["catalogue"], s["name"]))


@pytest.mark.parametrize("level", [0.3, 0.9, 1.0])
def test_the_sources_of_a_region_are_ranked(sources: list[dict[str, Any]], skymap: SkyMap, level: float) -> None:
    table, wanted = xcat.skymap(skymap, level), expected(sources, level)
    assert table["source_id"].tolist() == [row["source_id"] for row in wanted]
    np.testing.assert_allclose(table["credible_level"], [row["level"] for row in wanted], atol=1e-12)
    for name in ("name", "ra", "class", "p_class", "margin", "outlier", "master_id"):
        assert table[name].tolist() == np.array([row[name] for row in wanted], table[name].dtype).tolist(), name
    told = table.meta["skymap"]["regions"]
    assert [each["level"] for each in told] == ([0.5, level] if level > 0.5 else [level])
    assert [each["n_sources"] for each in told] == [len(expected(sources, each["level"])) for each in told]
    density = DENSITY / (DENSITY * 4.0**-ORDER).sum() / (4 * np.pi / 12 * np.degrees(1) ** 2)
    np.testing.assert_allclose(table["probability_per_deg2"], [density[row["cell"]] for row in wanted], rtol=1e-12)
    inner = {row["source_id"] for row in expected(sources, min(0.5, level))}
    assert table["region_level"].tolist() == [min(0.5, level) if i in inner else level for i in table["source_id"]]
    assert table["probability_per_deg2"].unit == "1 / deg2" and table["credible_level"].description


def test_distances_are_compared_with_those_of_the_galaxies(sources: list[dict[str, Any]], skymap: SkyMap) -> None:
    table = xcat.skymap(skymap, 1.0)
    by_id = {row["source_id"]: row for row in sources}
    ratio = np.array([np.nan if (r := by_id[i]["sep_to_radius"]) is None else r for i in table["source_id"]])
    host, known = np.ma.filled(table["host_distance_mpc"], np.nan), ratio <= 1
    assert 3 < known.sum() < len(table)
    np.testing.assert_allclose(host[known], DISTANCE_MPC, rtol=1e-4)  # the luminosity is stored with 7 digits
    assert np.isnan(host[~known]).all()
    has_distance = np.array([bool(by_id[i]["cell"] % 3) for i in table["source_id"]])
    np.testing.assert_array_equal(np.ma.getmaskarray(table["distance_mean_mpc"]), ~has_distance)
    mean, std = (np.unique(np.ma.compressed(table[name])) for name in ("distance_mean_mpc", "distance_std_mpc"))
    r = np.linspace(0, 60, 200_001)
    weight = r**2 * np.exp(-(((r - 15) / 4) ** 2) / 2)
    assert mean == pytest.approx([(r * weight).sum() / weight.sum()], rel=1e-6)
    assert std**2 == pytest.approx([(r**2 * weight).sum() / weight.sum() - mean[0] ** 2], rel=1e-5)
    both = known & has_distance
    np.testing.assert_allclose(table["host_deviation_sigma"][both], (host[both] - mean) / std, rtol=1e-6)
    assert np.ma.getmaskarray(table["host_deviation_sigma"])[~both].all()


def test_classes_probabilities_and_limits(sources: list[dict[str, Any]], skymap: SkyMap) -> None:
    wanted = expected(sources, 0.9)
    stars = xcat.skymap(skymap, class_name="star")
    assert stars["source_id"].tolist() == [row["source_id"] for row in wanted if row["class"] == "Star"]
    likely = xcat.skymap(skymap, class_name="XRB", min_probability=0.05)
    assert likely["source_id"].tolist() == [row["source_id"] for row in wanted if row["p_xrb"] >= 0.05]
    assert (likely["p_xrb"] >= 0.05).all() and set(likely["class"]) > {"XRB"}
    sure = xcat.skymap(skymap, min_probability=0.9, limit=4)
    of_all = [row["source_id"] for row in wanted if row["p_class"] >= 0.9]
    assert sure["source_id"].tolist() == of_all[:4]
    assert sure.meta["total_rows"] == sure.meta["skymap"]["regions"][1]["n_sources"] == len(of_all) > 4
    assert len(xcat.skymap(skymap, limit=0)) == 0
    assert sure.meta["provenance"]["regions"].startswith("0.5 region: ")


def test_a_galactic_map_finds_the_same_as_the_galactic_coordinates(sources: list[dict[str, Any]]) -> None:
    value = np.where(np.arange(768) % 5, 0.0, np.arange(768.0))
    table = xcat.skymap(SkyMap.of_cells(np.full(768, 3), np.arange(768), value, is_galactic=True), 1.0)
    place = SkyCoord([s["ra"] for s in sources], [s["dec"] for s in sources], unit="deg").galactic
    cell = lonlat_to_healpix(place.l, place.b, 8, order="nested")
    inside = [(-value[c], s["source_id"]) for s, c in zip(sources, cell, strict=True) if value[c] > 0]
    assert sorted(table["source_id"]) == sorted(i for _, i in inside) and len(inside) > 20
    assert [-value[c] for c in cell[np.searchsorted([s["source_id"] for s in sources], table["source_id"])]] == sorted(
        v for v, _ in inside
    )


def test_who_only_reads_pub_may_ask(skymap: SkyMap) -> None:
    with api.reader() as conn:
        assert len(skymap_sources(conn, skymap)) == len(xcat.skymap(skymap))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": 0.0}, "level of a credible region must be above 0 and at most 1, got 0"),
        ({"level": float("nan")}, "must be above 0 and at most 1, got nan"),
        ({"class_name": "Quasar"}, "has no class 'Quasar', only AGN, Star, XRB, CV"),
        ({"min_probability": 1.5}, "the probability must be between 0 and 1, got 1.5"),
        ({"limit": -1}, "the limit must be 0 or more, got -1"),
        ({"run_id": 9999}, "run 9999 is not a finished classify run"),
    ],
)
def test_impossible_questions_are_refused(skymap: SkyMap, options: dict[str, Any], message: str) -> None:
    with pytest.raises(XcatError, match=message):
        xcat.skymap(skymap, **options)


# --- the command -------------------------------------------------------------------------------------------


def command(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["skymap", *map(str, arguments)])
    if code == 0 and result.exception is not None:
        raise result.exception
    assert result.exit_code == code or isinstance(result.exception, XcatError), result.output
    return result.output if result.exception is None or code == 0 else f"{result.output}{result.exception}"


def test_the_command_prints_the_first_rows_and_says_how_many_there_are(file: Path, sources: Any) -> None:
    n = len(expected(sources, 0.9))
    text = command(file, "--max-rows", 3)
    assert f"3 of {n} rows shown" in text
    assert f"{file}: the probabilities add up to" in text
    area_deg2 = xcat.skymap(str(file)).meta["skymap"]["regions"][1]["area_deg2"]
    assert f"0.9 region: {area_deg2:,.6g} deg2, {n} sources" in text


def test_json_has_regions_and_all_rows(file: Path, sources: Any) -> None:
    answer = json.loads(command(file, "--json", "--class", "AGN", "--level", "0.6"))
    agn = [row for row in expected(sources, 0.6) if row["class"] == "AGN"]
    assert answer["n_rows"] == answer["total_rows"] == len(agn)
    assert answer["skymap"]["object"] == "S1" and len(answer["skymap"]["notes"]) == 1
    assert answer["skymap"]["regions"][1]["n_sources"] == len(agn)
    names = [column["name"] for column in answer["columns"]]
    assert [row[names.index("source_id")] for row in answer["rows"]] == [row["source_id"] for row in agn]


def test_table_region_and_picture_are_written(file: Path, tmp_path: Path, sources: Any, skymap: SkyMap) -> None:
    out, moc, plot = tmp_path / "out.fits", tmp_path / "moc.fits", tmp_path / "plot.png"
    text = command(file, "-o", out, "--moc", moc, "--plot", plot)
    table, region = Table.read(out), skymap.region(0.9)
    assert table["source_id"].tolist() == [row["source_id"] for row in expected(sources, 0.9)]
    history = "".join(map(str, fits.getheader(out, 1)["HISTORY"])).replace(" ", "")  # lines end where blanks are
    assert f"0.9region:{region.area_deg2:,.6g}deg2" in history and "theprobabilitiesaddupto" in history
    assert MOC.from_fits(moc) == region.moc()
    inside = MOC.from_fits(moc).contains_lonlat(table["ra"].quantity, table["dec"].quantity)
    assert inside.all()
    assert plot.stat().st_size > 20_000
    assert f"region of {region.area_deg2:,.6g} deg2 written to {moc}" in text
    assert "moc.fits exists already" in command(file, "--moc", moc, code=1)
    assert "unknown ending '.gif'" in command(file, "--plot", tmp_path / "a.gif", code=2)


def test_the_moc_of_a_galactic_map_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "g.fits", {"UNIQ": np.arange(4, 16), "PROB": np.ones(12) / 12}, {**HEADER, "COORDSYS": "G"})
    assert "a MOC, which is equatorial" in command(path, "--moc", tmp_path / "moc.fits", code=1)
    assert not (tmp_path / "moc.fits").exists()


def test_an_equal_map_has_no_inner_region(sources: list[dict[str, Any]]) -> None:
    """Nothing says which part of a flat map would come first: every region is the whole of it."""
    lon, _ = healpix_to_lonlat(np.arange(12), 1, order="nested")
    table = xcat.skymap(Table({"UNIQ": range(4, 16), "PROBDENSITY": np.ones(len(lon))}, meta=HEADER), 0.5)
    assert table.meta["total_rows"] == len(sources)
    assert table.meta["skymap"]["regions"][0]["area_deg2"] == pytest.approx(41252.96, abs=0.01)


def test_the_index_is_read_however_many_ranges_there_are(module_settings: Settings) -> None:
    """A plain join compares every source with every range if there are thousands: minutes for a noisy map."""
    with ready(module_settings) as conn:
        conn.execute(
            "CREATE TEMP TABLE many AS SELECT i AS source_id, i::bigint << 40 AS hpx29, 0.0::float8 AS ra,"
            " 0.0::float8 AS dec, 'xmm' AS catalogue, i::text AS name FROM generate_series(1, 20000) AS i"
        )
        conn.execute("CREATE INDEX ON many (hpx29)")
        conn.execute("ANALYZE many")
        statement = job("skymap.sources_in").compose(classified="many", condition=job("skymap.all").compose())
        for n_ranges in (1, 100, 15_000):
            first = (np.arange(n_ranges) << 40).tolist()
            plan = conn.execute(sql.SQL("EXPLAIN {}").format(statement), {"first": first, "last": first}).fetchall()
            lines = [str(line) for (line,) in plan]
            assert any("Index Cond: ((hpx29 >= r.first) AND (hpx29 <= r.last))" in line for line in lines), lines
            assert not any("Join Filter" in line for line in lines)


# --- the address ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def url(module_settings: Settings, sources: Any) -> Iterator[str]:
    with serving(module_settings) as address:
        yield f"{address}/skymap"


def test_a_map_that_is_sent_gives_the_same_sources(url: str, file: Path, skymap: SkyMap, tmp_path: Path) -> None:
    wanted = xcat.skymap(skymap, 0.7)
    sent = {"map": file.read_bytes()}
    for form, ending in (("votable", "vot"), ("fits", "fits"), ("parquet", "parquet"), ("csv", "csv")):
        answer = httpx.post(url, data={"LEVEL": "0.7", "RESPONSEFORMAT": form}, files=sent)
        assert answer.status_code == 200, answer.text
        path = tmp_path / f"got.{ending}"
        path.write_bytes(answer.content)
        got = Table.read(path)
        assert got["source_id"].tolist() == wanted["source_id"].tolist()
        assert got["name"].astype(str).tolist() == wanted["name"].tolist()
        np.testing.assert_allclose(got["credible_level"], wanted["credible_level"])
    few = httpx.post(url, data={"LEVEL": "0.7", "MAXREC": "2", "CLASS": "agn"}, files=sent)
    rest = xcat.skymap(skymap, 0.7, class_name="AGN")
    assert few.headers["x-total-rows"] == str(len(rest)) and f"2 of {len(rest)} sources" in few.text


def test_what_is_no_map_is_refused_in_words(url: str, file: Path) -> None:
    def refused(data: dict[str, str], sent: bytes | None) -> str:
        files = {} if sent is None else {"MAP": sent}
        answer = httpx.post(url, data=data, files=files, headers={"Accept": "application/json"})
        assert answer.status_code == 400, answer.text
        return str(answer.json()["error"])

    good = file.read_bytes()
    assert "field MAP" in refused({"LEVEL": "0.5"}, None)
    assert "the map: a sky map is a FITS file" in refused({}, b"not a map")
    assert "the map" in refused({}, good[: len(good) // 2])
    assert "LEVEL=high" in refused({"LEVEL": "high"}, good)
    assert "must be above 0 and at most 1" in refused({"LEVEL": "nan"}, good)
    assert "has no class" in refused({"CLASS": "quasar"}, good)
    assert "tsv" in refused({"RESPONSEFORMAT": "tsv"}, good)
