"""``xcat classify TABLE``: the SQL's formulas, the pipeline's answers, the rows of the file."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from astropy.table import MaskedColumn, Table
from integration import small_sky, tiny
from integration.own_files import read
from typer.testing import CliRunner

from xcat.catalogues.definition import load as definition
from xcat.cli import own_commands
from xcat.columns.properties import column_of
from xcat.columns.registry import property_entries
from xcat.database import partitions
from xcat.database.connection import ready
from xcat.database.runs import stage
from xcat.errors import ConfigError, InputError, XcatError
from xcat.models import store
from xcat.output.files import write
from xcat.own.classify_table import classify_table
from xcat.own.property_columns import read_properties
from xcat.properties.compute import properties_stage

app = own_commands.commands
CLASSES = ("agn", "star", "xrb", "cv")


def run(*arguments: Any) -> dict[str, Any]:
    """Run the command with --json; what it prints."""
    result = CliRunner().invoke(app, ["classify", *map(str, arguments), "--json"])
    if result.exception is not None:
        raise result.exception
    return dict(json.loads(result.stdout))


def numbers(column: Any) -> np.ndarray:
    return np.ma.filled(np.ma.asarray(column).astype(float), np.nan)


# --- the formulas ------------------------------------------------------------------------------------------------

_NAN = np.nan
# what a mission and two catalogues say of seven sources; NaN is nothing
MEASURED = {
    "flux_cgs": ("Fb", [1e-13, 2e-14, 5e-15, 3e-12, -1e-15, 7e-14, 1e-13]),
    "flux_err_cgs": ("e_Fb", [1e-14, 3e-15, 5e-15, 1e-14, 1e-15, _NAN, 2e-14]),
    "flux_soft_cgs": ("Fs", [3e-14, 1e-15, 0.0, 1e-12, -1e-15, 2e-14, _NAN]),
    "flux_soft_err_cgs": ("e_Fs", [3e-15, 1e-15, 1e-15, 1e-14, 1e-15, _NAN, 1e-15]),
    "flux_medium_cgs": ("Fm", [3e-14, 4e-15, 2e-15, 1e-12, -2e-15, 3e-14, 1e-14]),
    "flux_medium_err_cgs": ("e_Fm", [2e-15, 1e-15, 1e-15, 1e-14, 1e-15, 3e-15, 1e-15]),
    "flux_hard_cgs": ("Fh", [4e-14, 9e-15, -1e-15, 2e-12, 5e-15, 2e-14, 3e-14]),
    "flux_hard_err_cgs": ("e_Fh", [4e-15, 2e-15, 1e-15, 1e-14, 2e-15, 2e-15, 4e-15]),
    "p_variable": ("P_intra", [0.1, 0.99, _NAN, 1.0, 0.0, 0.5, 0.3]),
    "p_variable_long": ("P_inter", [0.2, _NAN, 0.3, 1.0, 0.9, 0.5, 0.1]),
    "gamma": ("photon_index", [1.7, 2.5, _NAN, 0.4, _NAN, 1.1, 3.0]),
}
OPTICAL = {
    "mag_gaia_g": ("Gmag", [18.0, 15.2, 20.1, 12.0, _NAN, 19.0, 17.0]),
    "mag_gaia_bp": ("BPmag", [18.4, _NAN, 20.9, 12.3, 19.1, _NAN, 17.5]),
    "mag_gaia_rp": ("RPmag", [17.3, _NAN, _NAN, 11.5, 18.0, 18.2, 16.1]),
    "pmra_mas_yr": ("pmRA", [3.0, -12.0, 0.0, 150.0, _NAN, 0.1, 1.0]),
    "pmdec_mas_yr": ("pmDE", [4.0, 5.0, 0.0, -80.0, 2.0, 0.2, -1.0]),
    "parallax_mas": ("Plx", [0.4, -0.1, 0.0, 12.0, _NAN, 2.0, 0.1]),
    "parallax_err_mas": ("e_Plx", [0.1, 0.2, 0.5, 0.03, 0.1, _NAN, 0.4]),
    "distance_pc": ("rgeo", [2500.0, 8000.0, _NAN, 83.0, 500.0, 1500.0, 3000.0]),
}
INFRARED = {
    "mag_j": ("Jmag", [16.0, 13.0, _NAN, 10.0, 17.0, 15.5, 14.0]),
    "mag_h": ("Hmag", [15.4, 12.6, 16.0, 9.6, 16.2, _NAN, 13.6]),
    "mag_k": ("Kmag", [14.9, 12.4, 15.1, 9.5, 15.7, 14.0, 13.4]),
    "mag_w1": ("W1mag", [14.2, _NAN, _NAN, 9.4, 15.2, 13.9, 13.0]),
    "mag_w2": ("W2mag", [13.3, 12.2, _NAN, 9.4, 14.3, 13.8, 12.9]),
    "mag_w3": ("W3mag", [10.1, 11.0, 9.0, 9.3, 11.7, _NAN, 12.5]),
}
RA, DEC = np.array([0.2, 45.0, 120.5, 266.4, 300.0, 83.6, 192.9]), np.array([-70.0, 10.0, 33.0, -29.0, 0.0, 22.0, 27.1])


def in_database(settings: Any) -> list[dict[str, Any]]:
    """The properties of the seven sources as merge and properties stage compute them."""
    n = len(RA)
    place = {"ra": RA, "dec": DEC}
    values = [
        {k: [None if np.isnan(x) else x for x in v] for k, (_, v) in of.items()} for of in (MEASURED, OPTICAL, INFRARED)
    ]
    xray = tiny.load(settings, "xray_sources", place | values[0], flux_band_kev=[0.5, 7.0])
    colours = {"w1": ["mag_w1", "mag_w2", "mag_k - 0.1"], "w2": ["mag_w2", "mag_w1", "mag_k - 0.1"], "j": ["mag_j"]}
    gaia = tiny.load(settings, "optical", place | values[1], colours=definition("gaia_dr3").colours.model_dump())
    wise = tiny.load(settings, "infrared", place | values[2], colours=colours)
    merged = tiny.merge(settings, xray)
    sources = tiny.rows(settings, "SELECT source_id, ra FROM xcat.source WHERE run_id = %s", [merged])
    at = {s["source_id"]: int(np.abs(RA - s["ra"]).argmin()) for s in sources}
    assert sorted(at.values()) == list(range(n))
    both = [(s, c.catalogue_id, row + 1) for s, row in at.items() for c in (gaia, wise)]
    keys = {"source_id": [b[0] for b in both], "catalogue_id": [b[1] for b in both]}
    with stage(settings, "match", "tiny", {}, source_run_id=merged) as found:
        pass
    tiny.write(
        settings,
        "match",
        found.run_id,
        keys | {"p_any": 0.9, "accepted": True, "n_candidates": 1, "density_per_deg2": 1e4, "completeness": 0.5},
    )
    tiny.write(
        settings,
        "match_candidate",
        found.run_id,
        keys
        | {
            "object_id": [b[2] for b in both],
            "is_best": True,
            "sep_arcsec": 0.1,
            "log_bayes_factor": 1.0,
            "p_i": 0.9,
        },
    )
    with ready(settings) as conn:
        partitions.create(conn, "hypothesis", found.run_id)
        partitions.attach(conn, "hypothesis", found.run_id)
    with stage(settings, "link", "tiny", {}, source_run_id=merged) as linked:
        pass
    ids = list(at)
    tiny.write(
        settings,
        "master_source",
        linked.run_id,
        {"source_id": ids, "master_id": ids, "mission_rank": 1, "status": "single"},
        n,
    )
    tiny.write(
        settings,
        "master",
        linked.run_id,
        {
            "master_id": ids,
            "ra": 10.0,
            "dec": 20.0,
            "err_arcsec": 1.0,
            "n_missions": 1,
            "n_sources": 1,
            "n_detections": 2,
            "n_upper_limits": 0,
            "is_ambiguous": False,
        },
        n,
    )
    with stage(settings, "properties", "tiny", {}) as computed:
        properties_stage(computed, merged, linked.run_id, found.run_id, [gaia, wise], [])
    made = tiny.rows(settings, "SELECT * FROM xcat.property WHERE run_id = %s", [computed.run_id])
    return sorted(made, key=lambda row: at[row["source_id"]])


def test_the_formulas_are_those_of_the_sql(settings, tmp_path):
    table = Table({"RA": RA, "DEC": DEC})
    for of in (MEASURED, OPTICAL, INFRARED):
        for name, values in of.values():
            table[name] = MaskedColumn(values, mask=np.isnan(values))
    names = [e["name"] for e in property_entries()]
    own = read_properties(write(table, tmp_path / "mine.csv"), names)
    expected = in_database(settings)
    n_values = n_errors = 0
    for j, name in enumerate(names):
        values = np.array([_NAN if row[name] is None else row[name] for row in expected])
        np.testing.assert_allclose(own.values[:, j], values, rtol=2e-6, atol=2e-6, err_msg=name)
        n_values += np.isfinite(values).sum()
        if (column := column_of(name, "error")) is not None:
            values = np.array([_NAN if row[column] is None or row[name] is None else row[column] for row in expected])
            np.testing.assert_allclose(own.errors[:, j], values, rtol=2e-6, atol=2e-6, err_msg=column)
            n_errors += np.isfinite(values).sum()
        else:
            assert np.isnan(own.errors[:, j]).all()
    assert n_values > 110, "the test must compare something"
    assert n_errors > 30


# --- the command -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sky(module_settings):
    """A published classification of 300 sources: settings, run numbers, its properties and its answers."""
    made = small_sky.make(module_settings, n=300, n_labelled=200)
    with ready(module_settings) as conn:
        model = store.load(conn, made["fit"])
    names = [p.name for p in model.properties]
    rows = tiny.rows(
        module_settings,
        f"SELECT source_id, {', '.join(names)} FROM xcat.property WHERE run_id = %s ORDER BY source_id DESC",
        [made["properties"]],
    )
    table = Table({"id": [row["source_id"] for row in rows]})
    for name in names:
        missing = [row[name] is None for row in rows]
        table[name.upper()] = MaskedColumn([0.0 if row[name] is None else row[name] for row in rows], mask=missing)
    answers = {
        row["source_id"]: row
        for row in tiny.rows(
            module_settings,
            "SELECT * FROM xcat.classification WHERE run_id = %s",
            [made["classify"]],
        )
    }
    return module_settings, made, table, answers


@pytest.fixture
def known(sky, monkeypatch):
    monkeypatch.setenv("XCAT_DATABASE_URL", str(sky[0].database_url))
    return sky


@pytest.mark.parametrize("suffix", [".fits", ".vot", ".ecsv", ".parquet", ".csv"])
def test_the_pipelines_own_properties_give_its_own_answers(known, tmp_path, suffix):
    _, made, table, answers = known
    path = write(table, tmp_path / f"mine{suffix}")
    out = tmp_path / f"out{suffix}"
    told = run(path, "-o", out)
    assert told["model_run_id"] == made["fit"]
    assert told["rows_in"] == told["classified"] == sum(told["classes"].values()) == 300
    assert told["not_in_the_table"] == []
    got = read(out)
    assert got.colnames[: len(table.colnames)] == table.colnames
    assert got["id"].tolist() == table["id"].tolist(), "rows stay in the order of the file"
    expected = [answers[i] for i in table["id"].tolist()]
    assert [str(c) for c in got["class"]] == [row["class"] for row in expected]
    for k, name in enumerate(CLASSES):
        np.testing.assert_allclose(numbers(got[f"p_{name}"]), [row["p"][k] for row in expected], atol=2e-6)
    np.testing.assert_allclose(numbers(got["margin"]), [row["margin"] for row in expected], atol=3e-6)
    np.testing.assert_allclose(numbers(got["outlier"]), [row["outlier"] for row in expected], rtol=1e-4, atol=1e-5)
    assert numbers(got["n_missing"]).tolist() == [row["n_missing"] for row in expected]
    there = [str(v) if v is not None and not np.ma.is_masked(v) else "" for v in got["alternative"]]
    assert there == [row["alternative"] for row in expected]
    assert [str(v) in ("True", "1") for v in got["is_outlier"]] == [row["is_outlier"] for row in expected]
    # prior and categories add up to the odds of the best class over the second
    p = np.sort(np.stack([numbers(got[f"p_{name}"]) for name in CLASSES]), axis=0)
    nats = sum(numbers(got[c]) for c in got.colnames if c.startswith("nats_"))
    safe = p[-2] > 1e-3  # the probabilities have seven digits in text
    np.testing.assert_allclose(nats[safe], np.log(p[-1] / p[-2])[safe], atol=2e-3)
    assert safe.sum() > 20
    np.testing.assert_array_equal(numbers(got["LOG_FX_FR"]), numbers(table["LOG_FX_FR"]))


def test_a_property_that_the_table_has_no_column_for_says_nothing(known, tmp_path):
    _, _, table, _ = known
    few = table["id", "HR1", "ABS_B"]
    few["hr1_"] = few["HR1"]
    told = run(write(few, tmp_path / "few.csv"), "-o", tmp_path / "out.ecsv")
    assert told["properties"] == ["abs_b", "hr1"]
    got = read(tmp_path / "out.ecsv")
    assert np.all(numbers(got["nats_variability"]) == 0)
    assert np.all(numbers(got["nats_multiwavelength"]) == 0)
    assert np.any(numbers(got["nats_spectrum"]) != 0)
    assert any("gamma: not in the table" in line for line in told["notes"])
    # an empty column is another thing: the source was looked at, and has none
    few["GAMMA"] = np.full(len(few), "N/A")
    run(write(few, tmp_path / "empty.csv"), "-o", tmp_path / "again.ecsv")
    assert np.any(numbers(read(tmp_path / "again.ecsv")["nats_spectrum"]) != numbers(got["nats_spectrum"]))


def test_rows_without_any_value_stay_and_have_no_class(known, tmp_path):
    _, _, table, _ = known
    holes = table[:5].copy()
    for name in holes.colnames[1:]:
        holes[name] = MaskedColumn(holes[name])
        holes[name].mask[[1, 4]] = True
    for suffix in (".csv", ".fits"):
        told = run(write(holes, tmp_path / f"holes{suffix}"), "-o", tmp_path / f"o{suffix}")
        assert (told["rows_in"], told["classified"]) == (5, 3)
        assert any("2 rows have no value at all and are not classified" in line for line in told["notes"])
        got = read(tmp_path / f"o{suffix}")
        assert got["id"].tolist() == holes["id"].tolist()
        assert np.isfinite(numbers(got["p_agn"])).tolist() == [True, False, True, True, False]
        assert [bool(np.ma.is_masked(c)) or not str(c).strip() for c in got["class"]] == [
            False,
            True,
            False,
            False,
            True,
        ]


def test_one_row_gets_what_it_gets_among_others(known, tmp_path):
    _, _, table, _ = known
    run(write(table, tmp_path / "all.csv"), "-o", tmp_path / "all_out.ecsv")
    run(write(table[7:8], tmp_path / "one.csv"), "-o", tmp_path / "one_out.ecsv")
    both = read(tmp_path / "all_out.ecsv")[7], read(tmp_path / "one_out.ecsv")[0]
    for name in CLASSES:
        assert both[0][f"p_{name}"] == pytest.approx(both[1][f"p_{name}"], abs=1e-9)


def test_names_that_are_taken(known, tmp_path):
    _, _, table, _ = known
    mine = table[:3].copy()
    mine["Class"], mine["note"], mine["NOTE"], mine["f (μJy)"] = ["x", "y", "z"], [1, 2, 3], [4, 5, 6], [7, 8, 9]
    path = write(mine, tmp_path / "mine.csv")
    told = run(path, "-o", tmp_path / "o.ecsv")
    got = read(tmp_path / "o.ecsv")
    assert got["Class"].tolist() == ["x", "y", "z"]
    assert {"xcat_class", "xcat_p_agn", "xcat_margin"} <= set(got.colnames)
    assert not {"p_agn", "margin"} & set(got.colnames)
    assert any("begin with xcat_: the table has class" in line for line in told["notes"])
    told = run(path, "-o", tmp_path / "o.fits")
    assert read(tmp_path / "o.fits")["NOTE_2"].tolist() == [4, 5, 6]
    assert read(tmp_path / "o.fits")["f (?Jy)"].tolist() == [7, 8, 9]
    assert any("'NOTE' is written as 'NOTE_2'" in line for line in told["notes"])


def test_units_and_meanings_go_along(known, tmp_path):
    table = Table({"ra": [10.0, 20.0], "dec": [1.0, 2.0], "flux": [1e-13, 2e-13], "Gmag": [18.0, 19.0]})
    table["ra"].unit = table["dec"].unit = "deg"
    table["flux"].unit, table["flux"].description = "erg / (s cm2)", "Flux, 0.3-10 keV"
    told = run(write(table, tmp_path / "mine.fits"), "-o", tmp_path / "o.fits")
    got = Table.read(tmp_path / "o.fits")
    assert got["flux"].unit == "erg / (s cm2)"
    assert any("flux is the flux in 0.3-10 keV (its description says so" in line for line in told["notes"])
    assert told["properties"] == ["abs_b", "log_fx_fb", "log_fx_fr"]


def test_what_a_person_reads(known, tmp_path):
    _, _, table, _ = known
    path = write(table, tmp_path / "mine.csv")
    result = CliRunner().invoke(app, ["classify", str(path), "-o", str(tmp_path / "o.csv")])
    assert result.exit_code == 0, result.output
    text = result.stderr
    for words in (
        "hr1 = HR1",
        "300 rows in, 300 classified",
        "-> AGN",
        "outliers: fewer than 1% of the members of the class are at least as extreme",
        "peak memory",
        "seconds",
    ):
        assert words in text


def test_what_is_refused(known, tmp_path):
    _, made, table, _ = known
    path, out = write(table[:3], tmp_path / "mine.csv"), tmp_path / "o.csv"
    with pytest.raises(
        XcatError, match=r"--model newest: give the number of a fit run \(see: xcat runs\), or 'published'"
    ):
        run(path, "-o", out, "--model", "newest")
    with pytest.raises(XcatError, match="is a classify run, not a fit run"):
        run(path, "-o", out, "--model", made["classify"])
    assert run(path, "-o", out, "--model", made["fit"])["model_run_id"] == made["fit"]
    with pytest.raises(XcatError, match="exists already"):
        run(path, "-o", out)
    run(path, "-o", out, "--overwrite")
    with pytest.raises(ConfigError, match="--band takes LOW-HIGH in keV"):
        run(path, "-o", out, "--overwrite", "--band", "hard")
    for wrong in ("gamma", "=x"):
        with pytest.raises(ConfigError, match="--column takes PROPERTY=COLUMN"):
            run(path, "-o", out, "--overwrite", "--column", wrong)
    with pytest.raises(ConfigError, match="gamma is given twice"):
        run(path, "-o", out, "--overwrite", "--column", "gamma=a", "--column", "gamma=b")
    (tmp_path / "nothing.csv").write_text("a,b\n1,2\n")
    with pytest.raises(XcatError, match=r"none of the properties of model \d+ .*--column PROPERTY=COLUMN"):
        run(tmp_path / "nothing.csv", "-o", tmp_path / "n.csv")
    (tmp_path / "empty.csv").write_text("RA,Dec\n")
    with pytest.raises(InputError, match="the table has no rows"):
        run(tmp_path / "empty.csv", "-o", tmp_path / "n.csv")
    assert not (tmp_path / "n.csv").exists()


def test_nothing_is_written_to_the_database(known, tmp_path):
    settings, _, table, _ = known
    count = "SELECT (SELECT count(*) FROM xcat.run) AS runs, (SELECT count(*) FROM pg_class) AS relations"
    before = tiny.rows(settings, count)
    run(write(table, tmp_path / "mine.csv"), "-o", tmp_path / "o.csv")
    assert tiny.rows(settings, count) == before


def test_a_table_in_memory_gets_the_classes_of_its_file(known, tmp_path):
    settings, made, table, _ = known
    with ready(settings) as conn:
        model = store.load(conn, made["fit"])
    path = write(table, tmp_path / "table.parquet")
    of_file, of_table, of_frame = (classify_table(t, made["fit"], model) for t in (path, table, table.to_pandas()))
    assert of_table.messages == of_file.messages
    for one in (of_table, of_frame):
        assert one.table.colnames == of_file.table.colnames
        for name in ("id", "class", "p_agn", "nats_prior"):
            assert one.table[name].tolist() == of_file.table[name].tolist(), name
    assert of_table.summary["table"] == "table"


def test_without_a_publication(settings, monkeypatch, tmp_path):
    monkeypatch.setenv("XCAT_DATABASE_URL", str(settings.database_url))
    (tmp_path / "t.csv").write_text("hr1\n0.5\n")
    with pytest.raises(XcatError, match="nothing is published yet"):
        run(tmp_path / "t.csv", "-o", tmp_path / "o.csv")


def test_help_names_the_options():
    text = CliRunner().invoke(app, ["classify", "--help"], env={"COLUMNS": "200"}).output
    for option in ("--model", "--band", "--column", "--hdu", "--overwrite"):
        assert option in text
