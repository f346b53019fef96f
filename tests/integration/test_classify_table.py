"""``xcat classify TABLE``: formulas of the SQL, answers of the pipeline, rows of the file (counterparts: science)."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from astropy.table import MaskedColumn, Table
from integration import small_sky, tiny
from integration.own_files import read
from typer.testing import CliRunner

from xcat import api
from xcat.catalogues.definition import load as definition
from xcat.classifier import Sample, classify
from xcat.cli import own_commands
from xcat.columns.properties import SHIFT_COLUMNS, column_of
from xcat.columns.registry import property_entries
from xcat.database import partitions
from xcat.database.connection import ready
from xcat.database.runs import stage
from xcat.errors import ConfigError, InputError, XcatError
from xcat.models import store
from xcat.output.files import write
from xcat.own import classify_table
from xcat.own.classify_table import ClassifyOptions
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

OWN = "--own-counterparts"


@pytest.fixture(scope="module")
def sky(module_settings):
    """A published classification of 300 sources: settings, run numbers, their properties and answers."""
    made = small_sky.make(module_settings, n=300, n_labelled=200)
    with ready(module_settings) as conn:
        names = [p.name for p in store.load(conn, made["fit"]).properties]
    query = (
        f"SELECT source_id, s.ra, s.dec, s.err_arcsec, {', '.join(f'p.{name}' for name in names)}"
        " FROM xcat.property AS p JOIN xcat.source AS s USING (source_id)"
        " WHERE p.run_id = %s AND s.run_id = %s ORDER BY source_id DESC"
    )
    rows = tiny.rows(module_settings, query, [made["properties"], made["merge"]])
    table = Table({"id": [row["source_id"] for row in rows]})
    for name in ("ra", "dec", "err_arcsec"):
        table[name] = [row[name] for row in rows]
    for name in names:
        missing = [row[name] is None for row in rows]
        table[name.upper()] = MaskedColumn([0.0 if row[name] is None else row[name] for row in rows], mask=missing)
    answers = {
        row["source_id"]: row
        for row in tiny.rows(module_settings, "SELECT * FROM xcat.classification WHERE run_id = %s", [made["classify"]])
    }
    return module_settings, made, table, answers


@pytest.fixture
def known(sky, monkeypatch):
    monkeypatch.setenv("XCAT_DATABASE_URL", str(sky[0].database_url))
    return sky


@pytest.fixture
def few(known):
    """Forty of the sources with position, error and what a list may have of the X-ray side."""
    return known[2]["id", "ra", "dec", "err_arcsec", "HR1", "HR2", "GAMMA"][:40]


def posterior(table: Table) -> np.ndarray:
    return np.stack([numbers(table[f"p_{name}"]) for name in CLASSES], axis=1)


@pytest.mark.parametrize("suffix", [".fits", ".vot", ".ecsv", ".parquet", ".csv"])
def test_the_pipelines_own_properties_give_its_own_answers(known, tmp_path, suffix):
    _, made, table, answers = known
    table = table.copy()
    for name in SHIFT_COLUMNS:  # of a run that does not know the column of the Galaxy
        table[name] = 0.0
    path = write(table, tmp_path / f"mine{suffix}")
    out = tmp_path / f"out{suffix}"
    printed = run(path, "-o", out, OWN)
    assert (printed["model_run_id"], printed["classify_run_id"]) == (made["fit"], made["classify"])
    assert printed["rows_in"] == printed["classified"] == sum(printed["classes"].values()) == 300
    assert printed["not_in_the_table"] == [] and printed["rejected"] == {}
    got = read(out)
    assert got.colnames[: len(table.colnames)] == table.colnames
    assert got["id"].tolist() == table["id"].tolist(), "rows stay in the order of the file"
    expected = [answers[i] for i in table["id"].tolist()]
    assert [str(c) for c in got["class"]] == [row["class"] for row in expected]
    np.testing.assert_allclose(posterior(got), [row["p"] for row in expected], atol=2e-6)
    np.testing.assert_allclose(numbers(got["margin"]), [row["margin"] for row in expected], atol=3e-6)
    np.testing.assert_allclose(numbers(got["outlier"]), [row["outlier"] for row in expected], rtol=1e-4, atol=1e-5)
    assert numbers(got["n_missing"]).tolist() == [row["n_missing"] for row in expected]
    alternatives = [str(v) if v is not None and not np.ma.is_masked(v) else "" for v in got["alternative"]]
    assert alternatives == [row["alternative"] for row in expected]
    assert [str(v) in ("True", "1") for v in got["is_outlier"]] == [row["is_outlier"] for row in expected]
    # prior and categories add up to the odds of the best class over the second
    p = np.sort(posterior(got), axis=1)
    nats = sum(numbers(got[c]) for c in got.colnames if c.startswith("nats_"))
    safe = p[:, -2] > 1e-3  # the probabilities have seven digits in text
    np.testing.assert_allclose(nats[safe], np.log(p[:, -1] / p[:, -2])[safe], atol=2e-3)
    assert safe.sum() > 20
    names = np.array(["AGN", "Star", "XRB", "CV"])[np.argsort(posterior(got), axis=1)[:, ::-1]]
    starts = [f"{first} rather than {second}: " for first, second, *_ in names]
    sure = p[:, -2] > p[:, -3] * (1 + 1e-5)
    assert all(str(r).startswith(s) for r, s, ok in zip(got["reason"], starts, sure, strict=True) if ok)
    np.testing.assert_array_equal(numbers(got["LOG_FX_FR"]), numbers(table["LOG_FX_FR"]))


def test_what_the_table_has_is_classified_by_a_model_for_it(known, few, tmp_path):
    """Values go in as they are, NaN as missing; the position gives the galactic latitude; all else is left out."""
    settings, made, *_ = known
    printed = run(write(few, tmp_path / "few.csv"), "-o", tmp_path / "out.ecsv")
    got = read(tmp_path / "out.ecsv")
    assert {"abs_b", "hr1", "hr2", "gamma"} <= set(printed["properties"])
    assert not [name for name in printed["properties"] if name.startswith(("log_fx_f", "pm_", "p_var", "log_flux"))]
    assert set(printed["not_in_the_table"]).isdisjoint(printed["properties"])
    (at_hand,) = tiny.rows(settings, "SELECT * FROM xcat.run WHERE run_id = %s", [printed["model_run_id"]])
    assert (at_hand["kind"], at_hand["model_run_id"]) == ("fit", made["fit"])
    assert 0.5 < printed["out_of_fold"]["sample"]["accuracy"] < 1
    with ready(settings) as conn:
        model = store.load(conn, printed["model_run_id"])
    values = tiny.rows(settings, "SELECT source_id, abs_b FROM xcat.property WHERE run_id = %s", [made["properties"]])
    place = {row["source_id"]: row["abs_b"] for row in values}
    columns = {"abs_b": [place[i] for i in few["id"].tolist()]}
    columns |= {name: numbers(few[name.upper()]) for name in ("hr1", "hr2", "gamma")}
    nothing = np.full(len(few), np.nan)
    sample = Sample(model.properties, np.stack([columns.get(p.name, nothing) for p in model.properties], axis=1))
    np.testing.assert_allclose(posterior(got), classify(model, sample).p, atol=2e-6)
    for category in ("variability", "multiwavelength"):
        assert np.all(numbers(got[f"nats_{category}"]) == 0)
    assert np.any(numbers(got["nats_spectrum"]) != 0)
    # our own sources at the positions, and what is known of them
    published = {
        row["name"]: row
        for row in tiny.rows(settings, "SELECT name, source_id, master_id, class, known_class FROM pub.classified")
    }
    of_row = [published[str(name)] for name in got["published_name"]]
    same = [row["source_id"] == i for row, i in zip(of_row, few["id"].tolist(), strict=True)]
    assert sum(same) >= 10, "a twin of the other mission is as near"
    assert [str(c) for c in got["published_class"]] == [row["class"] for row in of_row]
    assert got["published_master_id"].tolist() == [row["master_id"] for row in of_row]
    assert np.all(numbers(got["published_sep_arcsec"]) < 1e-3)


def test_rows_without_position_stay_and_have_no_class(few, tmp_path):
    few = few[:6]
    for name, bad in (("ra", [1]), ("err_arcsec", [4])):
        few[name] = MaskedColumn(few[name], mask=np.isin(np.arange(6), bad))
    few["dec"][2] = 95.0
    whole = run(write(few[[0, 3, 5]], tmp_path / "whole.csv"), "-o", tmp_path / "w.ecsv")
    for suffix in (".csv", ".fits"):
        printed = run(write(few, tmp_path / f"holes{suffix}"), "-o", tmp_path / f"o{suffix}")
        assert (printed["rows_in"], printed["classified"], sum(printed["rejected"].values())) == (6, 3, 3)
        assert printed["classes"] == whole["classes"]
        assert sum("rows are not classified: " in line for line in printed["notes"]) == len(printed["rejected"]) >= 2
        got = read(tmp_path / f"o{suffix}")
        assert got["id"].tolist() == few["id"].tolist()
        has = [True, False, False, True, False, True]
        assert np.isfinite(posterior(got)).all(axis=1).tolist() == has
        for name in ("class", "reason", "published_name"):
            assert [not (np.ma.is_masked(c) or not str(c).strip()) for c in got[name]] == has, name
        np.testing.assert_allclose(posterior(got)[has], posterior(read(tmp_path / "w.ecsv")), atol=2e-6)


def test_a_table_whose_rows_are_all_unusable(few, tmp_path):
    few = few[:3]
    few["dec"] = [91.0, -100.0, 1e9]
    printed = run(write(few, tmp_path / "bad.csv"), "-o", tmp_path / "o.fits")
    assert (printed["rows_in"], printed["classified"]) == (3, 0)
    got = read(tmp_path / "o.fits")
    assert got["id"].tolist() == few["id"].tolist() and {"class", "p_agn", "reason"} <= set(got.colnames)
    assert np.isnan(posterior(got)).all()
    whole = api.classify(few)
    assert whole["class"].mask.all() and whole.meta["summary"]["classified"] == 0


def test_a_row_gets_what_it_gets_among_others_and_in_any_piece(few, monkeypatch):
    whole = api.classify(few)
    alone = api.classify(few[7:8])
    monkeypatch.setattr(classify_table, "_PIECE", 7)
    few["dec"][14:21] = 95.0  # a piece without any row that can be used
    pieces = api.classify(few)
    assert pieces.colnames == whole.colnames
    assert [c.dtype.kind for c in pieces.itercols()] == [c.dtype.kind for c in whole.itercols()]
    kept = np.r_[0:14, 21:40]
    for name in whole.colnames[len(few.colnames) :]:
        mine, theirs = np.ma.asarray(pieces[name])[kept], np.ma.asarray(whole[name])[kept]
        assert mine.tolist() == theirs.tolist(), name
        assert np.ma.asarray(alone[name]).tolist() == np.ma.asarray(whole[name])[7:8].tolist(), name
    assert pieces["class"].mask[14:21].all() and pieces["dec"].tolist() == few["dec"].tolist()


def test_columns_of_every_kind_come_back(few, tmp_path):
    mine = few[:3]
    mine["big"] = np.array([2**62 + 1, -(2**61) - 3, 7])
    mine["flag"], mine["words"] = [True, False, True], ["a b", "c", 'ü, "x"']
    mine["same"] = ["one", "one", "one"]
    mine["gap"] = MaskedColumn([1, 2, 3], mask=[False, True, False])
    mine["blank"] = MaskedColumn([1.5, 2.5, 3.5], mask=[True, True, True])
    mine["digits"] = ["007", "08", "9"]
    got = api.classify(mine)
    for name in mine.colnames:
        assert np.ma.asarray(got[name]).tolist() == np.ma.asarray(mine[name]).tolist(), name
        assert got[name].dtype.kind == mine[name].dtype.kind, name
    frame = mine.to_pandas()
    frame.index = pd.Index(["x", "y", "x"], name="label")
    of_frame = api.classify(frame)
    assert of_frame.index.tolist() == ["x", "y", "x"] and of_frame.index.name == "label"
    assert of_frame["class"].tolist() == got["class"].tolist() and of_frame["big"].tolist() == mine["big"].tolist()
    for suffix in (".csv", ".fits", ".parquet"):
        run(write(mine, tmp_path / f"m{suffix}"), "-o", tmp_path / f"o{suffix}")
        back = read(tmp_path / f"o{suffix}")
        assert back["big"].tolist() == mine["big"].tolist()
        assert [str(v) for v in back["digits"]] == (["7", "8", "9"] if suffix == ".csv" else ["007", "08", "9"])
        assert [str(c) for c in back["class"]] == got["class"].tolist()
    assert ",007," in (tmp_path / "o.csv").read_text()


def test_names_that_are_taken(few, tmp_path):
    mine = few[:3]
    mine["Class"], mine["note"], mine["NOTE"], mine["f (μJy)"] = ["x", "y", "z"], [1, 2, 3], [4, 5, 6], [7, 8, 9]
    path = write(mine, tmp_path / "mine.csv")
    printed = run(path, "-o", tmp_path / "o.ecsv")
    got = read(tmp_path / "o.ecsv")
    assert got["Class"].tolist() == ["x", "y", "z"]
    assert {"xcat_class", "xcat_p_agn", "xcat_margin", "xcat_reason"} <= set(got.colnames)
    assert not {"p_agn", "margin", "reason"} & set(got.colnames)
    assert any("begin with xcat_: the table has class" in line for line in printed["notes"])
    printed = run(path, "-o", tmp_path / "o.fits")
    assert read(tmp_path / "o.fits")["NOTE_2"].tolist() == [4, 5, 6]
    assert read(tmp_path / "o.fits")["f (?Jy)"].tolist() == [7, 8, 9]
    assert any("'NOTE' is written as 'NOTE_2'" in line for line in printed["notes"])
    # an answer that is classified again
    twice = api.classify(read(tmp_path / "o.ecsv"))
    assert twice["xcat_xcat_class"].tolist() == twice["xcat_class"].tolist()


def test_units_and_meanings_go_along(few, tmp_path):
    few["ra"].unit, few["err_arcsec"].unit = "deg", "arcsec"
    few["flux"] = np.full(len(few), 1e-13)
    few["flux"].unit, few["flux"].description = "erg / (s cm2)", "Flux, 0.3-10 keV"
    printed = run(write(few, tmp_path / "mine.fits"), "-o", tmp_path / "o.fits")
    got = Table.read(tmp_path / "o.fits")
    assert (got["flux"].unit, got["ra"].unit, got["published_sep_arcsec"].unit) == ("erg / (s cm2)", "deg", "arcsec")
    assert any("0.3-10 keV" in line and "description" in line for line in printed["notes"])
    answer = api.classify(few)
    assert answer["p_xrb"].meta["ucd"] == "stat.probability;src.class" and answer["reason"].meta["ucd"] == "meta.note"
    assert answer["reason"].description.startswith("Why this class")
    assert answer["flux"].description == "Flux, 0.3-10 keV"


def test_a_table_in_memory_gets_the_classes_of_its_file(few, tmp_path):
    path = write(few, tmp_path / "table.parquet")
    of_file, of_table, of_frame = (api.classify(t) for t in (path, few, few.to_pandas()))
    assert of_table.meta["messages"] == of_file.meta["messages"]
    assert of_table.colnames == of_file.colnames == list(of_frame.columns)
    for name in ("id", "class", "p_agn", "nats_prior", "reason"):
        assert of_table[name].tolist() == of_file[name].tolist() == of_frame[name].tolist(), name
    assert of_table.meta["summary"]["table"] == "table"


def test_priors(few):
    plain = posterior(api.classify(few))
    shares = {"AGN": 0.1, "Star": 0.2, "XRB": 0.3, "CV": 0.4}
    given = api.classify(few, priors=",".join(f"{c}={share}" for c, share in shares.items()))
    # odds change by the same factor in every row
    factor = posterior(given) / plain
    factor /= factor[:, :1]
    np.testing.assert_allclose(factor, np.broadcast_to(factor[0], factor.shape), rtol=1e-6)
    assert any("XRB 0.3" in line for line in given.meta["messages"])
    estimated = api.classify(few, priors="estimate")
    assert posterior(estimated).shape == plain.shape and np.allclose(posterior(estimated).sum(axis=1), 1)
    assert any("priors estimated from the table's own rows" in line for line in estimated.meta["messages"])
    assert any("of 40 rows only" in line for line in estimated.meta["messages"])
    counted = api.classify(few, priors="counts")
    assert any(line.startswith("40 of 40 rows have no flux") for line in counted.meta["messages"])
    np.testing.assert_allclose(posterior(counted), plain)
    few["flux"] = np.full(len(few), 1e-13)
    few["flux"].unit, few["flux"].description = "erg / (s cm2)", "Flux, 0.3-10 keV"
    before, counted = (posterior(api.classify(few, priors=priors)) for priors in ("", "counts"))
    assert np.allclose(counted.sum(axis=1), 1) and not np.allclose(counted, before, rtol=0.01)
    few.remove_column("flux")
    few["dec"] = 95.0
    nothing = api.classify(few, priors="estimate")
    assert nothing["class"].mask.all()


def test_one_row_is_explained(few, tmp_path):
    few["dec"][1] = 95.0
    path = write(few, tmp_path / "mine.csv")
    printed = run(path, "-o", tmp_path / "o.ecsv", "--explain", 8, "--figure", tmp_path / "why.png")
    row = read(tmp_path / "o.ecsv")[7]
    explained = {name.lower(): p for name, p in printed["explanation"]["posterior"].items()}
    for name in CLASSES:
        assert explained[name] == pytest.approx(row[f"p_{name}"], abs=2e-6)
    assert (tmp_path / "why.png").stat().st_size > 10_000
    for number, words in ((2, "row 2: "), (41, "there is no row 41"), (0, "there is no row 0")):
        with pytest.raises(InputError, match=words):
            api.explain_row(path, number, ClassifyOptions())
    with pytest.raises(ConfigError, match="--explain: explains counterparts that were searched for"):
        api.explain_row(path, 1, ClassifyOptions(own_counterparts=True))


def matched(few: Table) -> Table:
    """What ``xcat match --best`` writes of ten rows; the odd ones have a bright counterpart that it rejected."""
    n = 10
    accepted = np.arange(n) % 2 == 0
    ones = np.ones(n)
    columns = {f"mine_{name}": few[name][:n] for name in few.colnames}
    columns["mine_flux_0.5_7"] = 1e-13 * ones
    columns |= {"gaia_id": np.arange(n), "gaia_Gmag": np.where(accepted, 19.0, 8.0), "sep_arcsec": ones}
    columns |= {"n_members": 2 * ones.astype(int), "p_any": np.where(accepted, 0.99, 1e-9), "p_i": ones}
    columns |= {"match_flag": ones.astype(int), "mine_gaia_sep_arcsec": ones, "accepted": accepted}
    return Table(columns | {"unusable": [""] * n})


def test_of_a_matched_table_only_the_accepted_counterparts_count(few, tmp_path):
    table = matched(few)
    one = run(write(table, tmp_path / "m.fits"), "-o", tmp_path / "o.fits", "--band", "0.5-7")
    got = read(tmp_path / "o.fits")
    assert got["mine_id"].tolist() == few["id"][:10].tolist()
    assert any("5 of 10 sources have an accepted counterpart; only they are used" in line for line in one["notes"])
    assert "log_fx_fr" in one["properties"]
    assert any("5 sources without an accepted counterpart are classified as if nobody" in line for line in one["notes"])
    assert not any("outside of what is loaded" in line for line in one["notes"])
    nats = numbers(got["nats_multiwavelength"])
    assert np.all(nats[1::2] == 0) and np.all(nats[0::2] != 0)
    p = posterior(got)
    table["gaia_Gmag"] = np.where(table["accepted"], 19.0, 22.0)  # what was rejected makes no difference
    np.testing.assert_array_equal(p, posterior(api.classify(table, band_kev=(0.5, 7))).astype(p.dtype))
    table["accepted"] = True
    assert np.abs(p - posterior(api.classify(table, band_kev=(0.5, 7))))[1::2].max() > 0.01


def test_values_off_the_range_of_the_training_sample_are_refused(known, tmp_path):
    _, _, table, _ = known
    mine = table["id", "ra", "dec"][:30]
    mine["pmRA"], mine["pmDE"] = np.full(30, 0.0014), np.full(30, 0.0002)  # arcsec/yr, in a column of mas/yr
    with pytest.raises(InputError, match="pmRA"):
        run(write(mine, tmp_path / "pm.csv"), "-o", tmp_path / "o.csv", OWN)
    assert not (tmp_path / "o.csv").exists()
    printed = run(tmp_path / "pm.csv", "-o", tmp_path / "o.csv", OWN, "--column", "pmra_mas_yr=pmRA@arcsec/yr",
                  "--column", "pmdec_mas_yr=pmDE@arcsec/yr")  # fmt: skip
    assert printed["classified"] == 30 and "pm_mas_yr" in printed["properties"]


def test_what_a_person_reads(few, tmp_path):
    path = write(few, tmp_path / "mine.csv")
    result = CliRunner().invoke(app, ["classify", str(path), "-o", str(tmp_path / "o.csv")])
    assert result.exit_code == 0, result.output
    for words in (
        "position from ra, dec",
        "40 rows in, 40 classified",
        "-> AGN",
        "properties are at hand",
        "outliers: fewer than 1% of the members of the class are at least as extreme",
        "peak memory",
        "seconds",
        "40 rows written to",
    ):
        assert words in result.stderr
    assert result.stdout == ""


def test_what_is_refused(known, few, tmp_path):
    _, made, *_ = known
    path, out = write(few[:3], tmp_path / "mine.csv"), tmp_path / "o.csv"
    refused = [
        (["--run", made["fit"]], XcatError, "is not a finished classify run"),
        (["--run", 99999], XcatError, "99999"),
        (["--mission", "rosat"], XcatError, "no mission of this name"),
        (["--band", "hard"], ConfigError, "--band takes LOW-HIGH in keV"),
        (["--band", "7-0.5"], ConfigError, "the lower and the upper energy"),
        (["--column", "gamma"], ConfigError, "--column takes PROPERTY=COLUMN"),
        (["--column", "=x"], ConfigError, "--column takes PROPERTY=COLUMN"),
        (["--column", "gamma=a", "--column", "gamma=b"], ConfigError, "gamma is given twice"),
        (["--column", "hr9=HR1"], ConfigError, "hr9"),
        (["--priors", "AGN=.5,Star=.5"], ConfigError, "no share for XRB, CV"),
        (["--priors", "nobody"], XcatError, "no finished fit of a pipeline of this name"),
        (["--figure", tmp_path / "why.png"], XcatError, "also give --explain ROW"),
        (["--pos-err", "nothing"], XcatError, "nothing"),
    ]
    for arguments, error, words in refused:
        with pytest.raises(error, match=words):
            run(path, "-o", out, *arguments)
        assert not out.exists(), arguments
    assert run(path, "-o", out, "--run", made["classify"])["classify_run_id"] == made["classify"]
    with pytest.raises(XcatError, match="exists already"):
        run(path, "-o", out)
    run(path, "-o", out, "--overwrite")
    files = {
        "nothing.csv": ("a,b\n1,2\n", "no column looks like a position"),
        "no_error.csv": ("ra,dec\n1,2\n", "--pos-err"),
        "no_band.csv": ("ra,dec,err_arcsec,flux\n1,2,1,1e-13\n", "--band"),
        "empty.csv": ("RA,Dec,err_arcsec\n", "the table has no rows"),
    }
    for name, (text, words) in files.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match=words):
            run(tmp_path / name, "-o", tmp_path / "n.csv")
        assert not (tmp_path / "n.csv").exists()
    # with the table's own counterparts no positional error is asked for
    (tmp_path / "no_error.csv").write_text("ra,dec,hr1\n1,2,.1\n")
    assert run(tmp_path / "no_error.csv", "-o", tmp_path / "n.csv", OWN)["classified"] == 1


def test_nothing_is_written_to_the_database(known, few, tmp_path):
    settings, *_ = known
    path = write(few, tmp_path / "mine.csv")
    run(path, "-o", tmp_path / "o.csv")  # keeps the model for these columns
    count = (
        "SELECT (SELECT md5(string_agg(r::text, '|' ORDER BY run_id)) FROM xcat.run AS r) AS runs,"
        " (SELECT md5(string_agg(p::text, '|')) FROM xcat.publication AS p) AS published,"
        " (SELECT md5(string_agg(oid || relname || relfilenode, '|' ORDER BY oid)) FROM pg_class"
        "  WHERE relkind IN ('r', 'p', 'v', 'i')) AS relations"
    )
    before = tiny.rows(settings, count)
    again = run(path, "-o", tmp_path / "again.csv", "--explain", 1)
    assert tiny.rows(settings, count) == before
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "o.csv").read_bytes()
    assert again["model_run_id"] == run(path, "-o", tmp_path / "third.csv")["model_run_id"]


def test_without_a_publication(settings, monkeypatch, tmp_path):
    monkeypatch.setenv("XCAT_DATABASE_URL", str(settings.database_url))
    (tmp_path / "t.csv").write_text("ra,dec,err_arcsec\n1,2,1\n")
    with pytest.raises(XcatError, match="nothing is published yet"):
        run(tmp_path / "t.csv", "-o", tmp_path / "o.csv")


def test_help_names_the_options():
    text = CliRunner().invoke(app, ["classify", "--help"], env={"COLUMNS": "200"}).output
    for option in ("--run", "--mission", "--band", "--column", "--priors", "--own-counterparts", "--explain",
                   "--figure", "--pos-err", "--hdu", "--overwrite"):  # fmt: skip
        assert option in text
    assert "--model" not in text
