"""``import xcat``: its functions on Tables, DataFrames and files, on a small published sky."""

from __future__ import annotations

import doctest
import io
import sys
from pathlib import Path
from typing import Any

import children
import numpy as np
import pandas as pd
import pytest
import tiny
from astropy.table import Table
from small_sky import make

import xcat
import xcat.api
from xcat.config import Settings
from xcat.database.connection import ready
from xcat.errors import ConfigError, InputError, XcatError
from xcat.output.files import write

pytestmark = pytest.mark.slow

FUNCTIONS = {"Reasons", "candidates", "classify", "explain", "match", "remote", "skymap", "sql"}
FLUX = "erg / (s cm2)"


@pytest.fixture(scope="module")
def sky(module_settings: Settings) -> dict[str, int]:
    """The runs of a published sky, with a counterpart in Gaia for most of its sources."""
    made = make(module_settings)
    sources = tiny.rows(module_settings, "SELECT ra, dec FROM xcat.source WHERE source_id % 5 > 0 ORDER BY source_id")
    columns: dict[str, Any] = {name: [row[name] for row in sources] for name in ("ra", "dec")}
    columns |= {"err_arcsec": 0.1, "mag_gaia_g": np.random.default_rng(5).normal(18, 1, len(sources))}
    tiny.load(module_settings, "optical", columns, name="gaia_dr3")
    return made


@pytest.fixture(autouse=True)
def _database(module_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XCAT_DATABASE_URL", str(module_settings.database_url))


@pytest.fixture
def table(sky: dict[str, int]) -> Table:
    """Sources in no order; some have no hardness and no number of observations."""
    return xcat.sql(
        "SELECT source_id, name, ra, dec, err_arcsec, flux_cgs, hr1, hr2,"
        " CASE WHEN source_id % 3 > 0 THEN n_detections END AS n_observed"
        " FROM pub.classified WHERE source_id <= 40 ORDER BY md5(name)"
    )


def answers(table: Any) -> list[Any]:
    """What the functions make of a table."""
    return [
        xcat.classify(table, band_kev=(0.2, 12)),
        xcat.match(table, "gaia_dr3", magnitudes="gaia_dr3:mag_gaia_g"),
        xcat.match(table, ["gaia_dr3"], radius_arcsec=10, best=False),
    ]


def assert_same(one: Table, other: Table) -> None:
    """The columns of two answers have the same names without the label of the table, and the same values."""
    names = [[name.removeprefix("mine_").removeprefix("table_") for name in t.colnames] for t in (one, other)]
    assert names[0] == names[1]
    for mine, yours in zip(one.itercols(), other.itercols(), strict=True):
        left, right = (np.ma.asarray(column) for column in (mine, yours))
        np.testing.assert_array_equal(_missing(left), _missing(right), mine.name)
        np.testing.assert_array_equal(left[~_missing(left)].data, right[~_missing(left)].data, mine.name)


def _missing(values: np.ma.MaskedArray) -> np.ndarray:
    empty = np.isnan(values.data) if values.dtype.kind == "f" else values.data == ""
    return np.ma.getmaskarray(values) | empty


def test_the_examples_are_true(sky: dict[str, int]) -> None:
    examples = [test for test in doctest.DocTestFinder().find(xcat.api, "xcat") if test.examples]
    assert {test.name for test in examples} == {f"xcat.{name}" for name in FUNCTIONS - {"Reasons"}}
    report = io.StringIO()
    for test in examples:
        doctest.DocTestRunner(verbose=False).run(test, out=report.write)
    assert not report.getvalue()


def test_the_names_are_there_and_cost_nothing() -> None:
    assert set(dir(xcat)) >= FUNCTIONS and set(xcat.__all__) == FUNCTIONS | {"__version__"}
    assert not hasattr(xcat, "nothing")
    # whichever way the package xcat.match is imported, the function has the name
    program = (
        "import sys, time; start = time.process_time(); import xcat; took = time.process_time() - start\n"
        "assert took < 0.05, took\n"
        "assert not {'numpy', 'typing', 'xcat.api'} & set(sys.modules), sorted(sys.modules)\n"
        "from xcat.match import engine\nimport xcat.own.match_table\n"
        "assert xcat.match.__module__ == xcat.api.__name__ == 'xcat.api' and engine.MatchOptions\n"
        "from xcat import *\nassert match is xcat.match and sql is xcat.sql"
    )
    children.run([sys.executable, "-S", "-c", program.partition("from xcat.match")[0]], check=True)
    children.run([sys.executable, "-c", "import xcat\n" + program[program.index("from xcat.match") :]], check=True)


@pytest.mark.slow
def test_type_checkers_see_the_functions(tmp_path: Path) -> None:
    assert (Path(xcat.__file__).parent / "py.typed").exists()
    used = tmp_path / "used.py"
    used.write_text("import xcat\nreveal_type(xcat.match)\nxcat.nothing\n")
    done = children.run([sys.executable, "-m", "mypy", "--strict", "--cache-dir", children.ROOT / ".mypy_cache", used])
    assert "against: str | typing.Sequence[str]" in done.stdout.replace("Union[str, typing", "str | typing"), (
        done.stdout
    )
    assert '"nothing"' in done.stdout


def test_table_frame_and_file_give_the_same(table: Table, tmp_path: Path) -> None:
    frame = table.to_pandas()
    frame.index = pd.Index([f"row {i}" for i in range(len(frame))][::-1], name="mine")
    frame.attrs["about"] = "a survey"
    before, path = table.copy(), write(table, tmp_path / "mine.fits")
    of_table, of_frame, of_path = answers(table), answers(frame), answers(str(path))
    for from_table, from_frame, from_path in zip(of_table, of_frame, of_path, strict=True):
        assert isinstance(from_table, Table) and isinstance(from_path, Table) and isinstance(from_frame, pd.DataFrame)
        assert_same(from_path, from_table)
        assert_same(from_table, Table.from_pandas(from_frame))
        for notes in (from_table.meta, from_path.meta, from_frame.attrs):
            assert notes["summary"]["rows_in"] == 40
            assert any("hr1 = hr1" in line or "positional error" in line for line in notes["messages"]), notes
        assert from_frame.attrs["about"] == "a survey" and from_frame.index.name == "mine"
    assert "messages" not in table.meta | frame.attrs
    assert_same(table, before)


def test_order_index_and_units_survive(table: Table) -> None:
    frame = table.to_pandas().set_index("name", drop=False)
    classified, best, every = answers(table)
    assert classified["source_id"].tolist() == best["table_source_id"].tolist() == table["source_id"].tolist()
    assert classified["flux_cgs"].unit == best["table_flux_cgs"].unit == FLUX
    assert best["gaia_dr3_ra"].unit == "deg" and best["sep_arcsec"].unit == "arcsec"
    assert classified["hr1"].description == table["hr1"].description
    assert classified["p_xrb"].meta["ucd"] == "stat.probability;src.class"
    assert classified["published_sep_arcsec"].unit == "arcsec"
    assert all(" rather than " in reason for reason in classified["reason"])
    assert np.ma.allclose(classified["p_agn"] + classified["p_star"] + classified["p_xrb"] + classified["p_cv"], 1)
    assert len(every) > len(best) == len(table), "several associations of a source are as many rows"
    for of_frame, of_table, label in zip(
        answers(frame), (classified, best, every), ("", "table_", "table_"), strict=True
    ):
        assert of_frame.index.tolist() == of_frame[f"{label}name"].tolist() == of_table[f"{label}name"].tolist()
    assert best["accepted"].sum() == best.meta["summary"]["matched"] > 20


@pytest.mark.slow
def test_the_library_answers_as_the_command_line(table: Table, tmp_path: Path, sky: dict[str, int]) -> None:
    path, out = write(table, tmp_path / "mine.fits"), tmp_path / "out.ecsv"
    arguments = ["match", path, "--against", "gaia_dr3", "--best", "--mag", "gaia_dr3:mag_gaia_g", "-o", out]
    children.run([children.XCAT, *arguments], check=True)
    assert_same(Table.read(out), answers(path)[1])
    children.run([children.XCAT, "classify", path, "--band", "0.2-12", "-o", out, "--overwrite"], check=True)
    names = ["source_id", "class", "n_missing", "reason", "published_name", "alternative"]
    assert_same(Table.read(out)[names], answers(path)[0][names])
    printed = children.run([children.XCAT, "explain", table["name"][0]], check=True).stdout
    assert printed == f"{xcat.explain(table['name'][0])}\n"
    children.run([children.XCAT, "candidates", "xrb", "--known", "-o", out, "--overwrite"], check=True)
    assert_same(Table.read(out), xcat.candidates("xrb", known=True))


def test_columns_can_be_named(table: Table, sky: dict[str, int]) -> None:
    table.rename_columns(["hr1", "ra", "err_arcsec"], ["a", "b", "c"])
    for column in ("a", "b", "c"):
        table[column].meta.clear()
        table[column].unit = None
    named = {"columns": {"hr1": "a", "hr2": "", "flux_cgs": ""}, "ra": "b", "dec": "dec", "pos_err": "c@arcsec"}
    classified = xcat.classify(table, run=sky["classify"], **named)
    summary = classified.meta["summary"]
    assert "hr1" in summary["properties"] and summary["classify_run_id"] == sky["classify"]
    assert "hr2" in summary["not_in_the_table"]
    assert xcat.classify(table, own_counterparts=True, **named).meta["summary"]["classified"] == len(table)
    matched = xcat.match(table, "gaia_dr3", ra="b", dec="dec", pos_err="c@arcsec", epoch_yr=2016.0)
    assert matched["accepted"].sum() > 20
    assert len(xcat.match(table.to_pandas(), "gaia_dr3", ra="b", dec="dec", pos_err=1.5)) == 40


def test_columns_of_other_tables_mean_what_their_comments_say(module_settings: Settings) -> None:
    with ready(module_settings) as conn:
        conn.execute("CREATE TABLE pub.own AS SELECT 1.5::float8 AS ra, 2 AS speed, 3 AS step, NULL::int AS gap")
        conn.execute("COMMENT ON COLUMN pub.own.speed IS 'How fast [furlong / fortnight]'")
        conn.execute("COMMENT ON COLUMN pub.own.step IS 'How far [km] {phys.size}'")
    own = xcat.sql("SELECT *, ra AS ra, 2 * ra AS ra FROM pub.own")
    assert own.colnames == ["ra", "speed", "step", "gap", "ra_2", "ra_3"]
    assert own["ra"].unit is None and own["ra_2"].unit is None and own["ra"].description is None
    assert own["ra_3"].unit == "deg", "computed, and named as in the registry"
    assert own["speed"].unit is None and own["speed"].description == "How fast [furlong / fortnight]"
    assert (own["step"].unit, own["step"].meta["ucd"], own["step"].description) == ("km", "phys.size", "How far")
    assert own["gap"].mask.all() and own["gap"].dtype == "i4"


def test_reasons(sky: dict[str, int], tmp_path: Path) -> None:
    reasons = xcat.explain(7)
    assert isinstance(reasons, xcat.Reasons) and repr(reasons) == str(reasons)
    assert reasons.explanation.source["source_id"] == 7
    assert reasons.to_dict()["posterior"] == reasons.explanation.posterior
    assert reasons.draw(tmp_path / "why.png").stat().st_size > 10_000


def test_nothing_is_printed(table: Table, tmp_path: Path) -> None:
    path = write(table, tmp_path / "mine.fits")
    program = (
        f"import xcat\nxcat.classify({str(path)!r}, band_kev=(0.2, 12))\nxcat.match({str(path)!r}, 'gaia_dr3')\n"
        "xcat.explain(1).draw('why.svg')\nxcat.candidates('AGN')"
    )
    done = children.run([sys.executable, "-W", "error", "-c", program], cwd=tmp_path, check=True)
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda t: xcat.sql("DELETE FROM xcat.run"), XcatError, "may not change anything"),
        (lambda t: xcat.sql("SELEKT"), XcatError, "the server refused the query"),
        (lambda t: xcat.candidates("Quark"), XcatError, "has no class 'Quark', only AGN"),
        (lambda t: xcat.candidates("AGN", cone=(1, 2, 30)), XcatError, "radius must be above 0"),
        (lambda t: xcat.explain("nobody"), XcatError, "there is no source"),
        (lambda t: xcat.match(t, []), ConfigError, "name one or more of the loaded catalogues"),
        (lambda t: xcat.match(t, "allwise_2"), ConfigError, "no optical or infrared catalogue of this name"),
        (lambda t: xcat.match(t, "gaia_dr3", false_rate=5), ConfigError, "false_rate must be between 0 and 1, got 5"),
        (lambda t: xcat.match(t, "gaia_dr3", radius_arcsec=-1), ConfigError, "radius_arcsec must be above 0, got -1"),
        (lambda t: xcat.match(t, "gaia_dr3", magnitudes=["mag_w1"]), ConfigError, "--mag takes TABLE:COLUMN"),
        (lambda t: xcat.match("missing.fits", "gaia_dr3"), InputError, "missing.fits: there is no such file"),
        (lambda t: xcat.match([1, 2], "gaia_dr3"), InputError, "not list"),
        (lambda t: xcat.classify(t["source_id", "name"]), InputError, "no column looks like a position"),
        (lambda t: xcat.classify(t["ra", "dec"]), InputError, "--pos-err"),
        (lambda t: xcat.classify(t["ra", "dec", "err_arcsec", "flux_cgs"]), InputError, "--band"),
        (lambda t: xcat.classify(t, band_kev=(7, 0.5)), ConfigError, "the lower and the upper energy"),
        (lambda t: xcat.classify(t, run=1, band_kev=(0.5, 7)), XcatError, "run 1 is not a finished classify run"),
        (lambda t: xcat.classify(t, mission="rosat", band_kev=(0.5, 7)), XcatError, "no mission of this name"),
        (lambda t: xcat.classify(t, priors="Quark=1", band_kev=(0.5, 7)), ConfigError, "has no class 'Quark'"),
        (lambda t: xcat.classify(t, columns={"hr9": "hr1"}), ConfigError, "hr9"),
    ],
)  # fmt: skip
def test_errors_say_what_is_wrong(table: Table, call: Any, error: type[XcatError], words: str) -> None:
    with pytest.raises(error, match=words):
        call(table)
