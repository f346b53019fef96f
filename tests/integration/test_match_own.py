"""A user's table against catalogues in the database, and what joins the rows of the answer."""

from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.io.votable import parse
from astropy.table import Table
from hypothesis import given
from hypothesis import strategies as st
from integration import tiny
from integration.own_files import app, read, relations, run, save, sky
from regions import Regions
from typer.testing import CliRunner

from xcat.errors import ConfigError
from xcat.match.engine import MatchOptions
from xcat.output.columns import unique_names
from xcat.own.arguments import FileSpec
from xcat.own.match_answer import HYPOTHESIS, PLACE, Answer, CounterpartRows, moved, separations
from xcat.own.match_output import build, result, write
from xcat.own.match_table import match_files
from xcat.own.property_columns import read_properties
from xcat.tables.facts import describe
from xcat.tables.guess import Wanted
from xcat.tables.xray_columns import xray_columns


@pytest.fixture
def loaded(settings, monkeypatch, tmp_path):
    """My file, and the other one as a catalogue."""
    monkeypatch.setenv("XCAT_DATABASE_URL", str(settings.database_url))
    mine, other = sky()
    mine["dec"][3] = 91.0
    columns = {
        "ra": other["RA"],
        "dec": other["DEC"],
        "err_arcsec": 0.2,
        "mag_r": other["MAG"],
        "native_id": other["ID"],
    }
    catalogue = tiny.load(settings, "optical", columns, sky={"density_per_deg2": float(len(other))}, completeness=0.8)
    return save(mine, tmp_path / "mine.ecsv"), catalogue.definition.name, mine, other


def test_a_table_against_a_catalogue_is_as_against_its_file(loaded, settings, tmp_path):
    path, name, mine, other = loaded
    before = relations(settings)
    told = run("match", path, "--against", name, "--radius", 10, "--mag", f"{name}:mag_r", "-o", tmp_path / "a.ecsv")
    assert relations(settings) == before
    got = read(tmp_path / "a.ecsv")
    assert told["unusable"] == {"declination outside -90 to 90 degrees": 1}
    assert told["rows_in"] == 60
    assert set(got["mine_src_id"]) == set(mine["src_id"])
    joined = np.ma.filled(got["n_members"] == 2, False)
    number = np.asarray(got[f"{name}_native_id"][joined]).astype(int)
    np.testing.assert_array_equal(got[f"{name}_ra"][joined], other["RA"][number - 1])
    assert got[f"{name}_ra"].unit == "deg"
    assert got[f"{name}_ra"].meta["ucd"].startswith("pos.eq.ra")
    assert f"{name}_catalogue_id" not in got.colnames
    assert f"{name}_mag_g" not in got.colnames, "columns that the catalogue does not have"
    assert told["magnitudes"][0]["column"] == "mag_r"
    assert sum(told["magnitudes"][0]["field"]) == len(other)
    save(other, tmp_path / "opt.fits")
    run(
        "match-files",
        path,
        f"{tmp_path / 'opt.fits'}:0.2",
        "--radius",
        10,
        "--completeness",
        "0.8",
        "--area",
        "opt:1",
        "--mag",
        "opt:MAG",
        "-o",
        tmp_path / "b.ecsv",
    )
    files = read(tmp_path / "b.ecsv")
    assert got[f"{name}_native_id"].tolist() == [None if v is None else str(v) for v in files["opt_ID"].tolist()]
    # the file knows where it has been observed, so its shifted positions teach the field's magnitudes
    np.testing.assert_allclose(
        np.ma.filled(got["log_bayes_factor"], 0), np.ma.filled(files["log_bayes_factor"], 0), rtol=1e-5
    )


def test_regions_and_provenance_of_a_match(loaded, tmp_path):
    path, name, mine, _ = loaded
    told = run("match", path, "--against", name, "--best", "-o", tmp_path / "o.reg")
    usable = np.arange(len(mine)) != 3
    circles = Regions.read(tmp_path / "o.reg", format="ds9")
    assert told["rows_out"] == 60 and len(circles) == usable.sum()
    centres = SkyCoord([c.center.ra.deg for c in circles], [c.center.dec.deg for c in circles], unit="deg")
    assert centres.separation(SkyCoord(mine["ra"][usable], mine["dec"][usable], unit="deg")).arcsec.max() < 1e-3
    radii = [c.radius.to_value("arcsec") for c in circles]
    np.testing.assert_allclose(radii, mine["pos_err"][usable], atol=1e-4)
    assert [str(c.meta["text"]) for c in circles] == [str(v) for v in mine["src_id"][usable]]
    run("match", path, "--against", name, "--best", "-o", tmp_path / "o.vot")
    (resource,) = parse(tmp_path / "o.vot").resources
    infos = {info.name: info.value for info in resource.infos}
    assert infos["command"] == "match" and infos["tables"] == f"mine, {name}" and float(infos["cutoff"]) > 0
    refs = {field.name for field in resource.tables[0].fields if field.ref == "frame_ICRS"}
    assert refs == {f"{name}_ra", f"{name}_dec"}, "nothing is claimed of the user's own columns"


def test_two_catalogues(loaded, settings, tmp_path):
    path, name, _, other = loaded
    half = other[::2]
    columns = {"ra": half["RA"], "dec": half["DEC"], "err_arcsec": 0.3, "mag_w1": half["MAG"], "native_id": half["ID"]}
    second = tiny.load(settings, "infrared", columns, sky={"density_per_deg2": float(len(half))}).definition.name
    told = run("match", path, "--against", name, "--against", second, "--best", "-o", tmp_path / "o.parquet")
    got = read(tmp_path / "o.parquet")
    assert len(got) == told["rows_out"] == 60
    both = np.ma.filled(got["n_members"] == 3, False) & np.asarray(got["accepted"])
    assert both.sum() > 10
    assert np.all(got[f"{name}_native_id"][both] == got[f"{second}_native_id"][both])
    assert f"{name}_{second}_sep_arcsec" in got.colnames


def test_without_magnitudes_the_table_is_matched_as_a_pipeline_would(loaded, settings, tmp_path):
    path, _, _, other = loaded
    columns = {"ra": other["RA"], "dec": other["DEC"], "err_arcsec": 0.2, "mag_r": other["MAG"], "mag_g": other["MAG"]}
    area = {"sky": {"area_deg2": 1.0}, "colours": {"r": ["mag_r"]}}
    name = tiny.load(settings, "optical", columns, **area).definition.name
    told = run("match", path, "--against", name, "-o", tmp_path / "o.csv")
    assert any("weighed by mag_r" in line and "completeness estimate" in line for line in told["notes"])
    assert told["magnitudes"][0]["column"] == "mag_r"
    assert 0 <= told["false_rate_measured"] <= 0.05, "the area is known, so shifted positions can tell"


def test_wrong_options(loaded, tmp_path):
    path, name, *_ = loaded
    out = ["-o", tmp_path / "o.csv"]
    with pytest.raises(ConfigError, match=f"--against nope: no optical or infrared catalogue.*there is: {name}"):
        run("match", path, "--against", "nope", *out)
    for arguments, missing in (([path, *out], "--against"), ([path, "--against", name], "--output")):
        done = CliRunner().invoke(app, ["match", *map(str, arguments)])
        assert done.exit_code == 2
        assert missing in done.output
    with pytest.raises(ConfigError, match="has the magnitudes mag_r"):
        run("match", path, "--against", name, "--mag", f"{name}:mag_j", *out)


# --- the rows of the answer, without a database ---------------------------------------------------------------

NAN = float("nan")


def answer(hypotheses, objects, n_rows=3):
    """An answer with sides of two rows; hypotheses are (row, rank, p_any, p_i, match_flag, cutoff)."""
    rows = [(row, rank, 1.0, NAN, p_any, p_i, flag, cutoff) for row, rank, p_any, p_i, flag, cutoff in hypotheses]
    objects = np.array(objects, dtype=np.int64)
    objects = objects if objects.ndim == 2 else objects[:, None]

    def places(n, step):
        made = np.zeros(n, PLACE)
        made["ra"], made["epoch_yr"] = 10 + step * np.arange(n), NAN
        return made

    table = Table({"id": np.arange(n_rows), "big": np.full(n_rows, 2**60)})
    sides = [
        CounterpartRows(
            f"S{k}", np.array([2, 5]), Table({"x": np.array([20, 50], "u1"), "t": ["a", "b"]}), places(2, 1 / 3600)
        )
        for k in range(objects.shape[1])
    ]
    return Answer(
        "M",
        table,
        np.array(["", "", "no position"]),
        places(n_rows, 0),
        sides,
        np.array(rows, dtype=HYPOTHESIS),
        objects,
        0.5,
        0.05,
    )


def test_only_the_best_above_the_cutoff_of_its_place_is_accepted():
    first = [(1, 1, 0.7, 0.6, 1, 0.6), (1, 2, 0.7, 0.4, 2, 0.6), (1, 0, 0.7, NAN, 0, 0.6)]
    second = [(2, 1, 0.7, 1.0, 1, 0.8), (2, 0, 0.7, NAN, 0, 0.8)]
    made = build(answer(first + second, [5, 2, 0, 2, 0]))
    assert made["M_id"].tolist() == [0, 0, 0, 1, 1, 2]
    assert made["accepted"].tolist() == [True, False, False, False, False, False]
    assert made["S0_x"].tolist() == [50, 20, None, 20, None, None]
    assert made["p_i"].tolist() == [0.6, 0.4, 0.0, 1.0, 0.0, None]
    assert made["n_members"].tolist() == [2, 2, 1, 2, 1, None]
    assert made["match_flag"].tolist() == [1, 2, 0, 1, 0, None]
    assert made["unusable"].tolist() == ["", "", "", "", "", "no position"]
    assert made["M_big"].tolist() == [2**60] * 6
    best = build(
        answer([(1, 1, 0.7, 0.6, 1, 0.6), (1, 0, 0.7, NAN, 0, 0.6), (2, 0, 0.0, NAN, 1, 0.6)], [5, 0, 0]), best=True
    )
    assert best["M_id"].tolist() == [0, 1, 2]
    assert best["n_members"].tolist() == [2, 1, None]


def test_separations_of_three_tables():
    made = build(answer([(1, 1, 0.7, 0.6, 1, 0.6), (1, 2, 0.7, 0.3, 0, 0.6)], [[2, 5], [0, 5]], n_rows=3))
    np.testing.assert_allclose(made["M_S0_sep_arcsec"].filled(-1)[:2], [0, -1], atol=1e-8)
    np.testing.assert_allclose(made["M_S1_sep_arcsec"][:2], [1, 1], rtol=1e-8)
    np.testing.assert_allclose(made["S0_S1_sep_arcsec"].filled(-1)[:2], [1, -1], rtol=1e-8)
    np.testing.assert_allclose(made["sep_arcsec"][:2], [1, 1], rtol=1e-8)


@given(st.floats(0, 359.999), st.floats(-90, 90), st.floats(-20, 20), st.floats(-5000, 5000), st.floats(-5000, 5000))
def test_motion_is_along_great_circles(ra, dec, years, pmra, pmdec):
    """Against astropy's offsets, at the poles and at RA = 0 as well."""
    places = np.array([(ra, dec, 2016.0, pmra, pmdec)], PLACE)
    got = SkyCoord(*moved(places, np.array([2016.0 + years])), unit="deg")
    east, north = pmra * years / 1000, pmdec * years / 1000
    towards = np.arctan2(east, north) * u.rad
    expected = SkyCoord(ra, dec, unit="deg").directional_offset_by(towards, np.hypot(east, north) * u.arcsec)
    assert got.separation(expected).arcsec[0] < 0.01  # astropy takes an arc sine, which is blind near the pole


@given(st.lists(st.sampled_from(["a", "A", "b", "a_2"]), max_size=6))
def test_labels_are_unique(labels):
    out = unique_names(labels)
    assert len({o.casefold() for o in out}) == len(labels)
    assert not labels or out[0] == labels[0]


def test_separations_need_no_hypothesis():
    nothing = answer([], np.zeros((0, 2)))
    assert all(len(v) == 0 for v in separations(nothing).values())
    assert build(nothing)["M_id"].tolist() == [0, 1, 2]


def test_files_whose_extensions_have_one_name_are_told_by_their_own(settings, monkeypatch, tmp_path):
    monkeypatch.setenv("XCAT_DATABASE_URL", str(settings.database_url))
    for name, n in (("stars", 3), ("quasars", 5)):
        table = Table({"ra": np.linspace(10, 10.01, n) * u.deg, "dec": np.zeros(n) * u.deg})
        hdus = [fits.PrimaryHDU(), fits.BinTableHDU(table, name="CATALOGUE")]
        fits.HDUList(hdus).writeto(tmp_path / f"{name}.fits")
    out = tmp_path / "out.fits"
    run(
        "match-files",
        f"{tmp_path / 'stars.fits'}:0.5",
        f"{tmp_path / 'quasars.fits'}:0.5",
        "--density",
        "quasars:1000",
        "-o",
        out,
    )
    assert {"stars_ra", "quasars_ra"} <= set(read(out).colnames)


def test_tables_in_memory_are_matched_as_their_files(settings, tmp_path):
    """In the user's order, with one answer for files, astropy tables and a DataFrame."""
    mine, other = sky()
    mine = mine[::-1]
    paths = save(mine, tmp_path / "table.fits"), save(other, tmp_path / "table_2.fits")
    frame, options = mine.to_pandas(), MatchOptions(radius_arcsec=10.0, false_rate=0.05)
    made = [
        result(match_files(settings, [FileSpec(a), FileSpec(b, 0.2)], options, wanted=wanted), best=True)
        for a, b, wanted in ((*paths, None), (mine, other, None), (frame, other, Wanted("ra", "dec", "pos_err")))
    ]
    assert made[0].table.colnames[:6] == [
        "table_src_id",
        "table_ra",
        "table_dec",
        "table_pos_err",
        "table_flux",
        "table_2_ID",
    ]
    assert made[1].messages == made[0].messages
    assert made[0].table["table_src_id"].tolist() == mine["src_id"].tolist()
    for one in made[1:]:
        assert one.table.colnames == made[0].table.colnames
        for name in one.table.colnames:
            assert one.table[name].tolist() == made[0].table[name].tolist(), name
        assert one.summary["matched"] == made[0].summary["matched"] > 20
    assert made[1].table["table_flux"].unit == "erg / (s cm2)"
    recognised_in_every_format(made[0].table, tmp_path)


def recognised_in_every_format(best: Table, folder: Path) -> None:
    """Its own output needs no option; only accepted counterparts count."""
    best["table_2_Gmag"] = best["table_2_MAG"]
    accepted = np.asarray(best["accepted"])
    assert 0 < accepted.sum() < len(best)
    for suffix in (".fits", ".csv", ".ecsv", ".vot", ".parquet"):
        path = write(best, folder / f"best{suffix}")
        found = xray_columns(describe(path), band=(0.5, 7))
        assert found.matched is not None
        assert (found.matched.label, found.matched.counterparts) == ("table", ("table_2",))
        from_ = {name: spec.from_[0] for name, spec in found.definition.columns.items()}
        assert from_ == {"ra": "table_ra", "dec": "table_dec", "name": "table_src_id", "flux_cgs": "table_flux"}
        assert found.definition.position_error is not None
        assert found.definition.position_error.columns[0].from_ == ("table_pos_err",)
        assert found.magnitudes == ("table_2_MAG", "table_2_Gmag")
        user = read_properties(path, ["log_fx_fr", "log_fx"], band=(0.5, 7))
        np.testing.assert_array_equal(np.isfinite(user.values[:, 0]), accepted)
        assert np.isfinite(user.values[:, 1]).all()
        assert any(f"{accepted.sum()} of {len(best)} sources have an accepted counterpart" in m for m in user.messages)
