"""HATS: the export crossmatched by LSDB is what q3c finds; a cut reference is matched as the whole one is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny import load, match, merge, rows

from xcat.catalogues.definition import Definition
from xcat.config import Settings
from xcat.database.connection import ready
from xcat.errors import InputError, XcatError
from xcat.ingest.load import ingest
from xcat.output import hats
from xcat.own.user_tables import loaded_catalogue
from xcat.sky import joins

lsdb = pytest.importorskip("lsdb", reason="the extra 'hats' (LSDB, 900 MB) is not installed", exc_type=ImportError)
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # of Dask and its friends
RADIUS_ARCSEC = 10.0


@pytest.fixture(scope="module")
def sky() -> dict[str, dict[str, np.ndarray]]:
    """300 X-ray sources in a field of 6 degrees, at right ascension 0; 40,000 stars, of which some are counterparts."""
    rng = np.random.default_rng(7)
    places = {}
    for name, n in (("xray", 300), ("gaia", 40_000)):
        places[name] = {"ra": rng.uniform(-3, 3, n) % 360, "dec": rng.uniform(-3, 3, n)}
    places["gaia"]["ra"][:200] = (places["xray"]["ra"][:200] + rng.normal(0, 1 / 3600, 200)) % 360
    places["gaia"]["dec"][:200] = places["xray"]["dec"][:200] + rng.normal(0, 1 / 3600, 200)
    places["gaia"] |= {
        "source_id": 2**60 + np.arange(40_000),
        "mag_gaia_g": np.r_[rng.normal(16, 1, 200), rng.normal(19, 1, 39_800)],
    }
    return places


@pytest.fixture(scope="module")
def reference(sky: dict[str, dict[str, np.ndarray]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hats")
    pq.write_table(pa.table(sky["gaia"]), folder / "gaia.parquet")
    hats.write(folder / "gaia.parquet", folder / "gaia", margin_arcsec=RADIUS_ARCSEC)
    return folder / "gaia"


def test_lsdb_finds_the_pairs_of_q3c(module_settings: Settings, sky, reference: Path) -> None:
    catalogue = lsdb.open_catalog(reference)
    assert catalogue.margin is not None and len(catalogue) == 40_000
    xray = pd.DataFrame({"id": np.arange(300), "x_ra": sky["xray"]["ra"], "x_dec": sky["xray"]["dec"]})
    sources = lsdb.from_dataframe(xray, ra_column="x_ra", dec_column="x_dec", margin_threshold=RADIUS_ARCSEC)
    pairs = sources.crossmatch(catalogue, n_neighbors=50, radius_arcsec=RADIUS_ARCSEC, suffixes=("", "_g")).compute()
    other = load(module_settings, "optical", {name: sky["gaia"][name] for name in ("ra", "dec")})
    with ready(module_settings) as conn, conn.transaction():
        joins.make_tables(conn)
        joins.copy_needles(
            conn,
            {
                "id": np.arange(300),
                "ra": sky["xray"]["ra"],
                "dec": sky["xray"]["dec"],
                "radius_arcsec": np.full(300, RADIUS_ARCSEC),
            },
        )
        joins.search(conn, f"xcat.counterpart_c{other.catalogue_id}", "")
        found = conn.execute("SELECT p.id, p.object_id, p.sep_arcsec FROM pg_temp.pair AS p").fetchall()
    mine = sorted((i, s - 2**60 + 1) for i, s in zip(pairs["id"], pairs["source_id_g"], strict=True))
    assert mine == sorted((i, o) for i, o, _ in found) and len(mine) >= 200
    np.testing.assert_allclose(np.sort(pairs["_dist_arcsec"]), sorted(sep for *_, sep in found), atol=1e-6)


def definition(name: str) -> Definition:
    return Definition.from_dict({
        "name": name, "title": "Made by a test", "kind": "optical", "citation": "none", "sky": {"local": True},
        "position_error": {"convention": "axis_1sigma", "constant": 0.1},
        "columns": {"native_id": "source_id", **{c: c for c in ("ra", "dec", "mag_gaia_g")}},
    })  # fmt: skip


def answer(settings: Settings, run: int) -> list[dict[str, object]]:
    return rows(
        settings,
        "SELECT m.source_id, m.p_any, c.p_i, c.sep_arcsec, o.native_id FROM xcat.match AS m LEFT JOIN"
        " xcat.match_candidate AS c ON c.run_id = m.run_id AND c.source_id = m.source_id"
        " LEFT JOIN xcat.counterpart AS o ON o.catalogue_id = c.catalogue_id AND o.object_id = c.object_id"
        " WHERE m.run_id = %s ORDER BY m.source_id, o.native_id",
        [run],
    )


def test_a_cut_is_matched_as_the_whole(module_settings: Settings, sky, reference: Path, tmp_path: Path) -> None:
    pq.write_table(pa.table(sky["gaia"]), tmp_path / "whole.parquet")
    done = hats.cut(
        str(reference),
        sky["xray"]["ra"],
        sky["xray"]["dec"],
        hats.radius_arcsec(RADIUS_ARCSEC),
        tmp_path / "cut.parquet",
    )
    table = pq.read_table(tmp_path / "cut.parquet")
    assert done["rows_in"] == 40_000 and done["rows_out"] == len(table) < 20_000
    x, g = (np.radians([sky[name]["ra"], sky[name]["dec"]]) for name in ("xray", "gaia"))
    near = np.zeros(40_000, bool)
    for ra, dec in x.T:
        near |= np.hypot(((g[0] - ra + np.pi) % (2 * np.pi) - np.pi) * np.cos(dec), g[1] - dec) < np.radians(
            hats.radius_arcsec(RADIUS_ARCSEC) / 3600
        )
    assert abs(len(table) - near.sum()) <= 2  # a plane is not a sphere
    xray = load(module_settings, "xray_sources", {**sky["xray"], "err_arcsec": 1.5})
    merged = merge(module_settings, xray)
    answers = []
    for name in ("whole", "cut"):
        ingest(module_settings, definition(name), [tmp_path / f"{name}.parquet"])
        with ready(module_settings) as conn:
            loaded = loaded_catalogue(conn, name)
        answers.append(answer(module_settings, match(module_settings, merged, [xray], [loaded])))
    assert answers[0] == answers[1] and len(answers[0]) >= 300


def test_a_cut_without_its_counts_is_refused(module_settings: Settings, sky, reference: Path, tmp_path: Path) -> None:
    hats.cut(str(reference), sky["xray"]["ra"][:5], sky["xray"]["dec"][:5], 60.0, tmp_path / "a.parquet")
    (tmp_path / "a.density.parquet").rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"a.density.parquet, must be beside it"):
        ingest(module_settings, definition("alone"), [tmp_path / "a.parquet"])
    (tmp_path / "elsewhere").rename(tmp_path / "a.density.parquet")
    with (tmp_path / "a.density.parquet").open("ab") as file:
        file.write(b"x")
    with pytest.raises(InputError, match="not the counts"):
        ingest(module_settings, definition("alone"), [tmp_path / "a.parquet"])


def test_what_cannot_be_done_is_said(reference: Path, tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "a.parquet")
    with pytest.raises(XcatError, match="needs the columns ra and dec"):
        hats.write(tmp_path / "a.parquet", tmp_path / "out")
    with pytest.raises(XcatError, match="exists already"):
        hats.write(tmp_path / "a.parquet", reference)
    with pytest.raises(XcatError, match="cannot be read as HATS"):
        hats.cut(str(tmp_path / "nothing"), np.zeros(1), np.zeros(1), 60.0, tmp_path / "b.parquet")
