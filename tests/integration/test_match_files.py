"""File to file: every row comes back, in order, with all columns, and the database is as it was."""

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import Table
from integration.own_files import read, relations, run, save, sky, stderr_of

from xcat.errors import ConfigError, InputError, XcatError

SKY_DEG2 = 41252.96124941928
RADIUS = 10.0


@pytest.fixture
def files(module_settings, monkeypatch, tmp_path):
    """Two files, two rows of the first not usable."""
    monkeypatch.setenv("XCAT_DATABASE_URL", str(module_settings.database_url))
    mine, other = sky()
    mine["ra"][7], mine["pos_err"][20] = np.nan, -1.0
    return save(mine, tmp_path / "mine.fits"), save(other, tmp_path / "opt.fits"), mine, other


@pytest.mark.parametrize("ending", ["fits", "vot", "parquet", "csv", "ecsv"])
@pytest.mark.parametrize("best", [False, True])
def test_every_row_comes_back_in_order_in_every_format(files, tmp_path, ending, best):
    mine_path, other_path, mine, other = files
    out = tmp_path / f"out.{ending}"
    told = run(
        "match-files", mine_path, f"{other_path}:0.2", "--radius", RADIUS, "-o", out, *(["--best"] if best else [])
    )
    got = read(out)
    assert told["rows_in"] == 60
    assert told["n_unusable"] == 2
    assert told["unusable"] == {"no position": 1, "positional error not above 0": 1}
    assert told["rows_out"] == len(got)
    ids = np.asarray(got["mine_src_id"])
    assert np.all(np.diff(ids) >= 0)
    assert set(ids) == set(mine["src_id"])
    if best:
        assert len(got) == 60
        assert (np.asarray(got["accepted"]).astype(str) == "True").sum() == told["matched"] > 20
    members = np.ma.filled(np.ma.asarray(got["n_members"]).astype(float), np.nan)
    members[members == -99] = np.nan
    joined = members == 2
    # values: fluxes of 1e-15 survive, and each counterpart is the row that it says
    flux = np.asarray(got["mine_flux"], dtype=float)
    np.testing.assert_allclose(flux, mine["flux"][ids - 1000], rtol=1e-12)
    number = np.asarray(got["opt_ID"])[joined]
    np.testing.assert_array_equal(np.asarray(got["opt_RA"])[joined], other["RA"][number - 1])
    place = SkyCoord(np.asarray(got["mine_ra"])[joined], np.asarray(got["mine_dec"])[joined], unit="deg")
    counterpart = SkyCoord(np.asarray(got["opt_RA"])[joined], np.asarray(got["opt_DEC"])[joined], unit="deg")
    sep = np.asarray(got["sep_arcsec"], dtype=float)[joined]
    np.testing.assert_allclose(sep, place.separation(counterpart).arcsec, atol=1e-6)
    assert sep.max() <= RADIUS
    # a source without a member has no value there
    for name in ("opt_RA", "opt_MAG", "sep_arcsec", "mine_opt_sep_arcsec"):
        values = np.ma.filled(np.ma.asarray(got[name]).astype(float), np.nan)
        assert np.isnan(values[~joined]).all(), name
    alone = got["opt_ID"][~joined]
    assert np.all(alone == -99) if ending == "fits" else np.ma.getmaskarray(np.ma.asarray(alone)).all()
    why = np.ma.filled(np.ma.asarray(got["unusable"]), "").astype(str)
    assert np.flatnonzero(np.char.str_len(why) > 0).tolist() == np.flatnonzero(np.isin(ids, [1007, 1020])).tolist()
    assert why[ids == 1007].tolist() == ["no position"]
    assert np.isnan(members[np.isin(ids, [1007, 1020])]).all()
    if ending != "csv":
        assert "erg" in str(got["mine_flux"].unit)  # astropy does not read back all units that it writes to VOTables
        assert got["sep_arcsec"].unit == "arcsec"


def test_hypotheses_are_those_of_brute_force(files, tmp_path):
    """NWAY's formulas over all pairs, in numpy: two tables, distance only."""
    mine_path, other_path, mine, other = files
    out = tmp_path / "out.ecsv"
    run(
        "match-files",
        mine_path,
        f"{other_path}:0.2",
        "--radius",
        RADIUS,
        "--area",
        "opt:1.0",
        "--completeness",
        "0.8",
        "--nway",
        "-o",
        out,
    )
    got = read(out)
    good = np.flatnonzero(np.isfinite(mine["ra"]) & (mine["pos_err"] > 0))
    places = SkyCoord(other["RA"], other["DEC"], unit="deg")
    log_nu = np.log(len(other) / 1.0 * SKY_DEG2)
    for i in good:
        rows = got[got["mine_src_id"] == mine["src_id"][i]]
        psi = SkyCoord(mine["ra"][i], mine["dec"][i], unit="deg").separation(places).arcsec
        near = np.flatnonzero(psi <= RADIUS)
        variance = mine["pos_err"][i] ** 2 + 0.2**2
        log_bf = np.log(2) + 2 * np.log(np.degrees(3600)) - np.log(variance) - psi[near] ** 2 / 2 / variance
        weight = np.exp(log_bf - log_nu)
        order = np.argsort(-weight)
        assert rows["opt_ID"].tolist() == [*other["ID"][near[order]].tolist(), None]  # "none of these" is the last
        total = 0.8 * weight.sum()
        np.testing.assert_allclose(rows["p_any"], total / (1 + total), atol=1e-9)
        if len(near):
            np.testing.assert_allclose(rows["p_i"][:-1], weight[order] / weight.sum(), atol=1e-9)
            np.testing.assert_allclose(rows["log_bayes_factor"][:-1], log_bf[order], rtol=1e-9)
            single = 0.8 * weight[order]
            np.testing.assert_allclose(rows["p_single"][:-1], single / (1 + single), atol=1e-9)
        assert rows["n_members"].tolist() == [2] * len(near) + [1]


def test_nothing_stays_in_the_database(files, tmp_path, module_settings):
    mine_path, other_path, *_ = files
    before = relations(module_settings)
    run("match-files", mine_path, f"{other_path}:0.2", "-o", tmp_path / "out.csv")
    with pytest.raises(InputError):
        run("match-files", mine_path, f"{other_path}:0.2", "--mag", "opt:nope", "-o", tmp_path / "x.csv")
    assert relations(module_settings) == before


def test_three_files_and_magnitudes(files, tmp_path):
    mine_path, other_path, _, other = files
    third = other[::2]["ID", "RA", "DEC"]
    third.rename_columns(["ID"], ["W-ID"])
    save(third, tmp_path / "ir.vot")
    histogram = tmp_path / "h.txt"
    histogram.write_text("# lo hi selected others\n10 20.5 0.09 0.001\n20.5 30 0.001 0.1\n")
    out = tmp_path / "out.parquet"
    common = ["match-files", mine_path, f"{other_path}:0.2", f"{tmp_path / 'ir.vot'}:0.3", "--radius", RADIUS]
    told = run(*common, "--mag", f"opt:MAG:{histogram}", "-o", out, "--figure", tmp_path / "f.svg")
    got = read(out)
    assert {"mine_opt_sep_arcsec", "mine_ir_sep_arcsec", "opt_ir_sep_arcsec", "ir_W-ID"} <= set(got.colnames)
    both = np.ma.filled(got["n_members"] == 3, False)
    assert both.sum() > 10
    np.testing.assert_allclose(
        got["sep_arcsec"][both], np.maximum(got["mine_opt_sep_arcsec"][both], got["mine_ir_sep_arcsec"][both])
    )
    best = got[np.asarray(got["accepted"])]
    same = np.ma.filled(best["n_members"] == 3, False)
    assert np.all(best["opt_ID"][same] == best["ir_W-ID"][same]), "one object of two tables has one number here"
    histogram_told = told["magnitudes"][0]
    assert (histogram_told["table"], histogram_told["column"]) == ("opt", "MAG")
    assert sum(histogram_told["field"]) == len(other)
    assert np.mean(best["opt_MAG"]) < 20
    assert (tmp_path / "f.svg").stat().st_size > 1000
    said = stderr_of(*common, "--mag", "opt:MAG", "-o", tmp_path / "learned.csv")
    for words in (
        "60 rows in, 2 of them unusable",
        "1: no position",
        "opt_MAG",
        "false rate",
        "seconds:",
        "peak memory",
        "positional error from pos_err (name), 1 sigma per axis, in arcsec",
        "density measured",
    ):
        assert words in said, words


def test_neighbours_of_the_sources_only(files, tmp_path):
    """A file of cut-outs has no sky of its own: its density is counted around the sources, or given."""
    mine_path, other_path, mine, other = files
    good = mine[np.isfinite(mine["ra"])]
    places = SkyCoord(other["RA"], other["DEC"], unit="deg")
    _, sep, _ = places.match_to_catalog_sky(SkyCoord(good["ra"], good["dec"], unit="deg"))
    cut = save(other[sep.arcsec < 90], tmp_path / "cut.fits")
    common = ["--radius", RADIUS, "--completeness", "0.8", "-o", tmp_path / "o.ecsv", "--overwrite", "--best"]

    def p_any(*arguments):
        told = run("match-files", mine_path, *arguments, *common)
        return np.ma.filled(read(tmp_path / "o.ecsv")["p_any"].astype(float), 0), told

    whole, _ = p_any(f"{other_path}:0.2", "--area", "opt:1")
    around, told = p_any(f"{cut}:0.2", "--around", "cut:90")
    assert told["false_rate_measured"] is not None
    assert np.abs(around - whole).max() < 0.1
    given, told = p_any(f"{cut}:0.2", "--density", f"CUT:{len(other)}")
    np.testing.assert_allclose(given, whole, atol=1e-9)
    assert told["false_rate_measured"] is None
    assert any("no calibration" in line for line in told["notes"])


def test_columns_of_one_name_stay_apart(files, tmp_path):
    """Two tables of one name, and a table whose columns are those of the answer."""
    mine_path, other_path, _, other = files
    (tmp_path / "b").mkdir()
    again = save(other, tmp_path / "b" / "opt.fits")
    run("match-files", mine_path, f"{other_path}:0.2", f"{again}:0.2", "-o", tmp_path / "out.fits")
    assert {"opt_ID", "opt_2_ID", "opt_opt_2_sep_arcsec"} <= set(read(tmp_path / "out.fits").colnames)


def test_text_in_hours_and_units_of_others(files, tmp_path):
    mine_path, other_path, mine, _ = files
    good = mine[[i for i in range(60) if i not in (7, 20)]]
    text = Table({"name": good["src_id"].astype(str), "pos_err_mas": good["pos_err"] * 1000})
    text["RA"] = SkyCoord(good["ra"], good["dec"], unit="deg").ra.to_string("hourangle", sep=":", precision=8)
    text["Dec"] = SkyCoord(good["ra"], good["dec"], unit="deg").dec.to_string("deg", sep=" ", precision=7)
    save(text, tmp_path / "text.csv")
    run("match-files", mine_path, f"{other_path}:0.2", "--best", "-o", tmp_path / "a.ecsv")
    run("match-files", f"{tmp_path / 'text.csv'}:pos_err_mas", f"{other_path}:0.2", "--best", "-o", tmp_path / "b.ecsv")
    a, b = read(tmp_path / "a.ecsv"), read(tmp_path / "b.ecsv")
    a = a[np.ma.getmaskarray(np.ma.asarray(a["unusable"])) | (np.ma.filled(a["unusable"], "") == "")]
    assert a["opt_ID"].tolist() == b["opt_ID"].tolist()
    np.testing.assert_allclose(np.ma.filled(a["p_any"], 0), np.ma.filled(b["p_any"], 0), atol=1e-3)
    assert b["text_RA"][0] == text["RA"][0]


def test_objects_are_moved_to_the_epoch_of_my_row(module_settings, monkeypatch, tmp_path):
    monkeypatch.setenv("XCAT_DATABASE_URL", str(module_settings.database_url))
    mine = Table({"ra": [10.0, 50.0], "dec": [60.0, 89.9999], "err": [0.5, 0.5], "epoch": [2006.0, 2006.0]})
    moving = Table(
        {
            "ra": [10.0, 50.0],
            "dec": [60.0 + 5 / 3600, 89.9999],
            "pmra": [0.0, 0.0],
            "pmdec": [500.0, 0.0],
            "ref_epoch": [2016.0, 2016.0],
        }
    )
    moving["pmra"].unit = moving["pmdec"].unit = "mas / yr"
    paths = save(mine, tmp_path / "m.csv"), save(moving, tmp_path / "gaia.ecsv")
    run("match-files", paths[0], f"{paths[1]}:0.1", "--area", "gaia:1000", "--best", "-o", tmp_path / "o.ecsv")
    np.testing.assert_allclose(read(tmp_path / "o.ecsv")["sep_arcsec"], [0, 0], atol=1e-6)
    del mine["epoch"]
    save(mine, tmp_path / "m.csv")
    told = run("match-files", paths[0], f"{paths[1]}:0.1", "--area", "gaia:1000", "--best", "-o", tmp_path / "p.ecsv")
    assert any("2 rows have no epoch" in line for line in told["notes"])
    np.testing.assert_allclose(read(tmp_path / "p.ecsv")["sep_arcsec"], [5, 0], atol=1e-6)
    run(
        "match-files",
        paths[0],
        f"{paths[1]}:0.1",
        "--area",
        "gaia:1000",
        "--best",
        "--epoch",
        "2011",
        "-o",
        tmp_path / "q.ecsv",
    )
    np.testing.assert_allclose(read(tmp_path / "q.ecsv")["sep_arcsec"], [2.5, 0], atol=1e-6)


@pytest.mark.parametrize("epoch", [None, "2010"])
def test_a_fast_star_is_one_object_in_catalogues_of_different_years(module_settings, monkeypatch, tmp_path, epoch):
    """With the epoch of my rows, and without: the years between the catalogues are known all the same."""
    monkeypatch.setenv("XCAT_DATABASE_URL", str(module_settings.database_url))
    mine = Table({"ra": [10.0], "dec": [60.0], "err": [1.5]})
    gaia = Table({"ra": [10.0], "dec": [60.0 + 1.2 / 3600], "pmra": [0.0], "pmdec": [150.0], "ref_epoch": [2016.0]})
    gaia["pmra"].unit = gaia["pmdec"].unit = "mas / yr"
    twomass = Table({"ra": [10.0], "dec": [60.0 - 1.2 / 3600], "err": [0.1], "epoch": [2000.0]})
    paths = [save(t, tmp_path / n) for t, n in ((mine, "m.csv"), (gaia, "gaia.ecsv"), (twomass, "twomass.csv"))]
    run(
        *("match-files", paths[0], f"{paths[1]}:0.1", paths[2], "--area", "gaia:100", "--area", "twomass:100"),
        *("--best", *(() if epoch is None else ("--epoch", epoch)), "-o", tmp_path / "o.ecsv"),
    )
    assert read(tmp_path / "o.ecsv")["n_members"].tolist() == [3]


@pytest.mark.parametrize("case", ["no usable row", "empty table", "far away"])
def test_nothing_to_match_is_no_error(module_settings, monkeypatch, tmp_path, case):
    monkeypatch.setenv("XCAT_DATABASE_URL", str(module_settings.database_url))
    mine = Table({"ra": [1.0, 2.0], "dec": [95.0, 95.0] if case == "no usable row" else [0.0, 0.0], "err": [1.0, 1.0]})
    other = Table({"ra": [1.0 if case != "far away" else 90.0], "dec": [0.0], "x": [1]})
    if case == "empty table":
        other = other[:0]
    paths = save(mine, tmp_path / "m.fits"), save(other, tmp_path / "o.fits")
    for ending in ("fits", "csv"):
        told = run("match-files", paths[0], f"{paths[1]}:0.1", "-o", tmp_path / f"out.{ending}")
        got = read(tmp_path / f"out.{ending}")
        assert told["matched"] == 0
        assert len(got) == 2
        assert not np.any(np.asarray(got["accepted"]).astype(str) == "True")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--mag", "ir:MAG"], "--mag ir: there is no counterpart table of this name; there is: opt"),
        (["--mag", "opt:nope"], "column 'nope' does not exist .*it has: ID, RA, DEC, MAG"),
        (["--area", "mine:2"], "--area mine"),
        (["--area", "opt:2", "--density", "OPT:5"], "exclude each other"),
        (["--around", "opt:25"], "wider than twice the search radius"),
        (["--completeness", "0.5,0.6"], "--completeness: give one number"),
        (["--completeness", "2"], "--completeness takes probabilities"),
        (["--completeness", "estimate", "--nway"], "NWAY does not estimate them"),
        (["--radius", "0"], "radius"),
        (["--radius", "108000"], "radius"),
        (["--false-rate", "1.5"], "--false-rate"),
        (["--figure", "x.txt"], "must be one of .png"),
        (["--ra", "nope"], "no column 'nope'"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(files, tmp_path, more, message):
    mine_path, other_path, *_ = files
    with pytest.raises(XcatError, match=message):
        run("match-files", mine_path, f"{other_path}:0.2", "-o", tmp_path / "out.csv", *more)
    assert not (tmp_path / "out.csv").exists()


def test_outputs_are_checked_before_the_work(files, tmp_path):
    mine_path, other_path, *_ = files
    there = tmp_path / "there.csv"
    there.write_text("mine")
    for wrong, message in (
        (there, "exists already"),
        (tmp_path / "x.doc", "ending"),
        (tmp_path / "no" / "x.csv", "folder"),
    ):
        with pytest.raises(XcatError, match=message):
            run("match-files", mine_path, f"{other_path}:0.2", "-o", wrong)
    assert there.read_text() == "mine"
    run("match-files", mine_path, f"{other_path}:0.2", "-o", there, "--overwrite")
    with pytest.raises(ConfigError, match="two files at least"):
        run("match-files", mine_path, "-o", tmp_path / "x.csv")
    with pytest.raises(InputError, match="positional error"):
        run("match-files", mine_path, other_path, "-o", tmp_path / "x.csv")


def test_cosmos_equals_nway(shared_data, module_settings, monkeypatch, tmp_path):
    """The published run, from the command line: every hypothesis of NWAY 4.8, with its probabilities."""
    monkeypatch.setenv("XCAT_DATABASE_URL", str(module_settings.database_url))
    folder = shared_data / "cosmos"
    out = tmp_path / "out.fits"
    told = run(
        "match-files",
        f"{folder / 'cosmos_xmm.fits'}:pos_err",
        f"{folder / 'cosmos_optical.fits'}:0.1",
        "--radius",
        "15",
        "--completeness",
        "0.9",
        "--nway",
        "-o",
        out,
    )
    got, nway = Table.read(out), Table.read(folder / "nway48_cosmos_xmm_opt.fits.gz")
    for table in (got, nway):
        table.sort(["XMM_ID", "OPT_ID"])
    assert len(got) == len(nway) == 22435
    for name in ("XMM_ID", "OPT_ID", "match_flag"):
        assert np.array_equal(np.asarray(got[name]), np.asarray(nway[name])), name
    for name in ("p_any", "p_i"):
        assert np.abs(np.asarray(got[name]) - np.asarray(nway[name])).max() < 1e-5, name
    assert told["rows_in"] == 1797
    assert told["false_rate_measured"] == pytest.approx(0.05, abs=0.001)
