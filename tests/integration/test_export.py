"""What `xcat export` writes is what the database has, in every format, with units, origin and NULL."""

from __future__ import annotations

import json
import resource
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import small_sky
from astropy import units as u
from astropy.io import fits
from astropy.io.votable import parse
from astropy.table import Table
from in_process import commands
from mocpy import MOC

from xcat.config import Settings
from xcat.database.connection import ready
from xcat.errors import XcatError
from xcat.jobs import releases
from xcat.sky import searched

pytestmark = pytest.mark.slow

BIG = 2**62 + 1
QUERY = f"""
SELECT source_id + {BIG} AS source_id, name, ra, dec, hr1, known_class, has_optical,
       CASE WHEN source_id % 3 > 0 THEN source_id + {BIG} END AS big, flux_cgs
FROM pub.classified ORDER BY source_id
"""


@pytest.fixture(scope="module")
def made(module_settings: Settings) -> dict[str, int]:
    runs = small_sky.make(module_settings, n=300, n_labelled=200)
    with ready(module_settings) as conn:
        releases.create(conn, "2026-11")
    return runs


@pytest.fixture
def cli(module_settings: Settings, made: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> Any:
    return commands(module_settings, monkeypatch)


def rows(settings: Settings, query: str) -> list[tuple[Any, ...]]:
    with ready(settings) as conn:
        return conn.execute(query).fetchall()


def read(path: Path, form: str) -> Table:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of units that VOTable does not recommend, and of lines that astropy breaks
        if form == "votable":
            return parse(path).get_first_table().to_table(use_names_over_ids=True)
        return Table.read(path, format={"ecsv": "ascii.ecsv"}.get(form, form))


@pytest.mark.parametrize("form", ["fits", "votable", "ecsv", "parquet"])
def test_a_query_in_every_format(cli: Any, module_settings: Settings, form: str, tmp_path: Path) -> None:
    path, query = tmp_path / "result.data", tmp_path / "query.sql"
    query.write_text(QUERY)
    assert json.loads(cli("export", path, "-f", query, "--format", form, "--json")) == {
        "rows_out": 300, "output": str(path),
    }  # fmt: skip
    table, expected = read(path, form), rows(module_settings, QUERY)
    for i, name in enumerate(("source_id", "name", "ra", "dec", "hr1", "known_class", "has_optical", "big")):
        values = [row[i] for row in expected]
        column = pq.read_table(path)[name].to_pylist() if form == "parquet" else np.ma.asarray(table[name]).tolist()
        got = [v.decode() if isinstance(v, bytes) else v for v in column]
        if name == "known_class":  # an empty text and NULL are the same in most formats
            got = [v or None for v in got]
        elif name == "hr1":
            got = [None if v is None or np.isnan(v) else v for v in got]
            values = [None if v is None else float(np.float32(v)) for v in values]
        assert got == values, name
        assert name not in ("hr1", "big", "known_class") or 0 < values.count(None) < 300
    assert table["ra"].unit == u.deg and table["flux_cgs"].unit == u.Unit("erg / (s cm2)")
    if form != "fits":
        assert table["ra"].meta["ucd"] == "pos.eq.ra;meta.main" and "ight ascension" in table["ra"].description
    else:
        header = fits.getheader(path, 1)
        assert header["RADESYS"] == "ICRS" and header["TUCD3"] == "pos.eq.ra;meta.main" and "TNULL8" in header
    assert not list(tmp_path.glob(".*"))


def test_a_published_table_is_that_of_the_release(cli: Any, made: dict[str, int], tmp_path: Path) -> None:
    for name in ("classified", "source_evidence"):
        now, then = tmp_path / f"{name}.parquet", tmp_path / f"{name}_released.parquet"
        cli("export", now, "--table", f"pub.{name}")
        cli("export", then, "--table", name, "--release", "2026-11")
        assert pq.read_table(now).equals(pq.read_table(then)) and pq.read_metadata(now).num_rows == 300
    notes = pq.read_schema(tmp_path / "classified.parquet").metadata
    assert {key: notes[f"xcat.{key}".encode()] for key in ("run_id", "table", "frame", "pipeline")} == {
        "run_id": str(made["classify"]).encode(),
        "table": b"pub.classified",
        "frame": b"ICRS",
        "pipeline": b"small_sky",
    }
    assert pq.read_schema(tmp_path / "classified_released.parquet").metadata[b"xcat.release"] == b"2026-11"


def test_parquet_has_the_header_of_voparquet(cli: Any, tmp_path: Path) -> None:
    path = tmp_path / "counterparts.parquet"
    cli("export", path, "--table", "counterparts")
    table = read(path, "parquet.votable")
    assert len(table) == pq.read_metadata(path).num_rows > 100
    assert table["sep_arcsec"].unit == u.arcsec and table["ra"].meta["ucd"].startswith("pos.eq.ra")
    notes = pq.read_schema(path).metadata
    assert notes[b"IVOA.VOTable-Parquet.version"] == b"1.0" and b"COOSYS" in notes[b"IVOA.VOTable-Parquet.content"]


def test_candidates_and_views(cli: Any, module_settings: Settings, tmp_path: Path) -> None:
    listed = json.loads(cli("candidates", "XRB", "--min-probability", "0.2", "--json"))
    cli("export", tmp_path / "xrb.ecsv", "--candidates", "XRB", "--min-probability", "0.2")
    table = Table.read(tmp_path / "xrb.ecsv")
    assert table["source_id"].tolist() == [row[0] for row in listed["rows"]] and len(table) > 3
    assert table.meta["provenance"]["class"] == "XRB"
    assert "rows written" in cli("export", tmp_path / "runs.vot", "--table", "runs")
    assert list(read(tmp_path / "runs.vot", "votable")["name"]) == ["small_sky"] * len(
        rows(module_settings, "SELECT FROM pub.runs")
    )


def test_the_area_searched_is_that_of_all_missions(cli: Any, module_settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "coverage.fits"
    done = json.loads(cli("export", "--moc", path, "--json"))
    moc = MOC.from_fits(path)
    assert done["area_deg2"] == pytest.approx(moc.sky_fraction * 41252.96125) and 0 < moc.sky_fraction < 1
    assert done["catalogues"] == ["swift", "xmm"] and not done["left_out"]
    missions = [
        np.array(rows(module_settings, f"SELECT ra, dec FROM pub.classified WHERE catalogue = '{name}'")).T
        for name in done["catalogues"]
    ]
    assert moc == searched.area_of([(ra, dec) for ra, dec in missions])
    assert fits.getheader(path, 1)["COORDSYS"] == "C" and fits.getheader(path, 1)["CREATOR"].startswith("xcat")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["x.fits"], "say what to write"),
        (["x.fits", "--table", "classified", "--moc"], "say what to write"),
        (["x.vot", "--table", "nothing"], "there is no table or view pub.nothing"),
        (["x.vot", "--table", "classified", "--release", "2020-01"], "there is no release 2020-01"),
        (["x.vot", "--table", "runs", "--run", "1"], "--run goes with the tables of a run"),
        (["x.vot", "--sql", "SELECT 1 AS a", "--release", "2026-11"], "--release goes with --table"),
        (["x.vot", "--sql", "COMMIT"], "must be a SELECT"),
        (["x.vot", "--sql", "SELECT 1 AS a FROM xcat.run"], "reads the schema pub"),
        (["x.doc", "--table", "classified"], "unknown ending"),
        (["x.vot", "--table", "classified", "--format", "hdf5"], "--format is one of"),
        (["none/x.vot", "--table", "classified"], "there is no folder"),
        (["coverage.vot", "--moc"], "unknown ending"),
    ],
)
def test_what_cannot_be_written_is_said(
    cli: Any, arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(XcatError, match=said):
        cli("export", *arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("form", ["fits", "votable", "ecsv", "parquet", "csv"])
def test_a_disk_that_is_full_ends_the_export(cli: Any, form: str, tmp_path: Path) -> None:
    """And does not wait for ever for the rows that are still to come."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(XcatError, match=r"cannot be written .*File too large"):
            cli("export", tmp_path / "c.data", "--table", "classified", "--format", form)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_a_table_says_the_epochs_of_its_positions(cli: Any, module_settings: Settings, tmp_path: Path) -> None:
    with ready(module_settings) as conn:
        epoch = """UPDATE xcat.catalogue SET definition = definition || '{"epoch_yr": %s}' WHERE kind = '%s'"""
        for kind in ("optical", "infrared"):
            conn.execute(epoch % (2016, kind))
    cli("export", tmp_path / "c.vot", "--table", "classified")
    resource = parse(tmp_path / "c.vot").resources[0]
    assert "first at mjd_first" in {i.name: i.value for i in resource.infos}["epoch"]
    by_name = {field.name: field.ref for field in resource.tables[0].fields}
    assert by_name["mjd_first"] == by_name["mjd_last"] == resource.time_systems[0].ID
    assert by_name["ra"] == resource.coordinate_systems[0].ID and resource.coordinate_systems[0].epoch is None
    cli("export", tmp_path / "o.vot", "--table", "counterparts")
    resource = parse(tmp_path / "o.vot").resources[0]
    assert "J2016" in {i.name: i.value for i in resource.infos}["epoch"]
    assert (resource.coordinate_systems[0].system, resource.coordinate_systems[0].epoch) == ("ICRS", "J2016")
    cli("export", tmp_path / "o.fits", "--table", "counterparts")
    assert "epoch: of the object's catalogue" in "".join(
        str(x) for x in fits.getheader(tmp_path / "o.fits", 1)["HISTORY"]
    )
    with ready(module_settings) as conn:
        conn.execute(epoch % (2010.5, "infrared"))
    cli("export", tmp_path / "p.vot", "--table", "counterparts")
    assert parse(tmp_path / "p.vot").resources[0].coordinate_systems[0].epoch is None
