"""What is written is what is read back: by astropy, by pyarrow and by STILTS; and what cannot be written is said."""

from __future__ import annotations

import io
import json
import re
import shutil
import warnings
from decimal import Decimal
from pathlib import Path
from typing import Any

import children
import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from astropy.io import fits
from astropy.io.votable import parse
from astropy.table import Column, MaskedColumn, Table
from hypothesis import given, settings
from hypothesis import strategies as st
from output_tables import BIG, LARGEST, odd_table
from regions import Regions

from xcat import __version__
from xcat.arrays import jsonable
from xcat.cli.common import print_json
from xcat.errors import XcatError
from xcat.output import files, terminal
from xcat.output.columns import names_in_file, of_objects, plain, unique_names, whole_or_text
from xcat.output.provenance import CITATION, KEY, positions
from xcat.output.regions import Places
from xcat.tables.facts import describe

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The odd table in every format."""
    folder, table = tmp_path_factory.mktemp("odd"), odd_table()
    return {e: files.write(table, folder / f"odd.{e}") for e in ("fits", "vot", "ecsv", "csv", "parquet", "reg")}


def _read(path: Path) -> Table:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of units that the formats do not know, which are kept as text
        if path.suffix == ".vot":
            return parse(path).get_first_table().to_table(use_names_over_ids=True)
        return Table.read(path, **({"format": "ascii.csv"} if path.suffix == ".csv" else {}))


def _listed(column: Any) -> list[Any]:
    return ["" if v is None else v.decode() if isinstance(v, bytes) else v for v in column.tolist()]


# name in the table: values, where they are the same in all formats that know types
EXACT: dict[str, list[Any]] = {
    "id": [BIG, -BIG, 7],
    "u32": [2**32 - 1, 1, 0],
    "u16_null": [65535, "", 0],
    "u8_null": [255, "", 0],
    "i8_null": [-128, "", 0],
    "i16_null": [-32768, "", 0],
    "i64_null": [-(2**63), "", BIG],
    "half": [0.5, 1.5, np.inf],
    "f32": [float(np.float32(0.1)), np.inf, -np.inf],
    "norm": [1.0, 2.0, 3.0],
    "flag": [True, False, True],
    "text": ['a,b "q"', "x<&>", ""],
    "lists": ["[1, 2]", "[3]", "[]"],
    "decimal": [str(BIG * 1000), "", "1"],
    "when": ["2026-01-02T03:04:05", "", "1999-12-31T00:00:00"],
    "took": [1.5, 0.002, 0.0],
    "dates": ["2026-01-02T00:00:00", "", "3.0"],
    "complex": ["(1+2j)", "0j", "(-0-1j)"],
    "RA": [10.0, 20.5, 359.999],
    "blank": [1, 2, 3],
    "empty": ["", "", ""],
    "vector": [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]],
}
UNITS = {
    "flux": "1e-14 erg / (s cm2)",
    "norm": "2.5e-15 erg / (s cm2)",
    "counts": "furlong/fortnight",
    "RA": "deg",
    "took": "s",
}


@pytest.mark.parametrize("ending", ["fits", "vot", "ecsv"])
def test_astropy_reads_what_was_written(written: dict[str, Path], ending: str) -> None:
    back = _read(written[ending])
    for name, values in EXACT.items():
        got = [v.strip() if isinstance(v, str) else v for v in _listed(back[name])]
        assert got == values, name
    assert {name: str(back[name].unit).replace(" / fort", "/fort") for name in UNITS} == UNITS
    assert [str(v) for v in _listed(back["u64"])] == [str(LARGEST), str(2**63), "0"]
    assert [str(v) for v in _listed(back["u64_null"])] == [str(LARGEST), "", "0"]
    flux = np.ma.filled(np.ma.asarray(back["flux"]), np.nan)
    assert flux[0] == 1e-14 and np.isnan(flux[1:]).all()
    control = _listed(back["control"])
    assert control == [r"a\nb\tc", r"\x07\x1b[31m", r"back\slash"]
    umlaut = _listed(back["umlaut"])
    assert umlaut == ([r"na\xefve", r"\u03a9\u03bb", r"\u65e5\u672c"] if ending == "fits" else ["naïve", "Ωλ", "日本"])
    if ending != "fits":
        assert back["flag_null"].tolist() == [True, None, True]
        assert back["RA"].description == 'Right ascension, ICRS: <α> & "δ"'
        assert back["RA"].meta["ucd"] == "pos.eq.ra;meta.main"
        assert back["Größe_α"].tolist() == [1.0, 2.0, 3.0]
    else:
        assert _listed(back["flag_null"]) == ["T", "", "T"]
        assert _listed(back["words"]) == [["a", "b"], ["c", r"\xe9"], ["", "d"]]
        assert back["Gro?e_?"].tolist() == [1.0, 2.0, 3.0] and back["ra_2"].tolist() == [1, 2, 3]


def test_parquet_and_csv_hold_the_same(written: dict[str, Path]) -> None:
    back = pq.read_table(written["parquet"], page_checksum_verification=True)
    for name, values in EXACT.items():
        got = ["" if v is None else v for v in back[name].to_pylist()]
        assert [v.strip() if isinstance(v, str) else v for v in got] == values, name
    assert back["u64_null"].to_pylist() == [LARGEST, None, 0] and back["u64"].to_pylist() == [LARGEST, 2**63, 0]
    assert back["control"].to_pylist() == ["a\nb\tc", "\x07\x1b[31m", "back\\slash"]
    assert back["flag_null"].to_pylist() == [True, None, True] and back["text"].to_pylist()[1:] == ["  x<&> ", None]
    assert back.schema.field("norm").metadata == {b"unit": b"2.5e-15 erg / (s cm2)"}
    assert back.schema.field("RA").metadata[b"ucd"] == b"pos.eq.ra;meta.main"
    text = written["csv"].read_text(encoding="utf-8").splitlines()
    assert len(text) == 4 and text[1].split(",")[:2] == [str(BIG), str(LARGEST)]
    csv = _read(written["csv"])
    assert csv["vector"].tolist() == ["[0.0, 1.0]", "[2.0, 3.0]", "[4.0, 5.0]"] and csv["id"].tolist() == EXACT["id"]


def test_stilts_reads_what_was_written(written: dict[str, Path], tmp_path: Path) -> None:
    stilts = shutil.which("stilts")
    if stilts is None:
        pytest.skip("STILTS is not installed (Debian package stilts)")
    inputs = [
        part
        for i, (ending, form) in enumerate({"fits": "fits", "vot": "votable", "csv": "csv"}.items(), 1)
        for part in (f"in{i}={written[ending]}", f"ifmt{i}={form}", f"suffix{i}=_{ending}")
    ]
    out = tmp_path / "both.vot"
    flat = 'replacecol words_fits "words_fits[0]+words_fits[1]"'
    children.run(
        [stilts, "tjoin", "nin=3", *inputs, "fixcols=all", "ocmd=clearparams *", f"ocmd={flat}",
         "ofmt=votable-tabledata", f"out={out}"],
        check=True,
    )  # fmt: skip
    back = _read(out)
    for ending in ("fits", "vot"):
        for name, values in EXACT.items():
            found = name if f"{name}_{ending}" in back.colnames else f"{name}_{ending}a"
            got = _listed(back[f"{name}_{ending}" if found == name else found])
            assert [v.strip() if isinstance(v, str) else v for v in got] == values, (name, ending)
        assert {n: str(back[f"{n}_{ending}"].unit).replace(" / fort", "/fort") for n in UNITS} == UNITS
        assert _listed(back[f"u64_{ending}"]) == [str(LARGEST), str(2**63), "0"]
        assert back[f"RA_{ending}"].meta["ucd"] == "pos.eq.ra;meta.main"
        assert back[f"RA_{ending}"].description.startswith("Right ascension, ICRS")
    assert back["flag_null_vot"].tolist() == [True, None, True] and back["umlaut_vot"].tolist()[2] == "日本"
    assert back["id_csv"].tolist() == EXACT["id"]


@pytest.mark.parametrize("form", ["csv", "ecsv"])
def test_lines_of_text_are_those_of_astropy(form: str, tmp_path: Path) -> None:
    odd = plain(odd_table(), f".{form}")
    odd.remove_columns([name for name in odd.colnames if odd[name].ndim > 1])
    odd["exponents"], odd["single"] = [1e22, -1e-300, np.nan], np.array([1e-7, 3e9, 0.1], dtype=np.float32)
    odd["quotes"] = ['"', "a b", "# x"]
    for table in (odd, odd[["text"]], odd[["i64_null"]], odd[["flux"]], odd[["flag_null", "quotes"]]):
        path = files.write(table, tmp_path / f"x.{form}", overwrite=True)
        expected = io.StringIO()
        table.write(expected, format=f"ascii.{form}")
        assert path.read_text(encoding="utf-8").splitlines()[1:] == expected.getvalue().splitlines()[1:]


def test_votable_holds_long_texts_and_null_in_arrays(tmp_path: Path) -> None:
    """Texts of any length have their length before them, and stand between numbers; astropy and xcat read them."""
    long = ["x" * 65, "", "ü" * 300]
    table = Table(
        {
            "first": Column([1, -2, BIG]),
            "long": MaskedColumn(long, mask=[False, True, False]),
            "astral": Column(["a😀", "b", ""]),
            "number": MaskedColumn([0.5, np.nan, 1.5], mask=[False, False, True]),
            "array": MaskedColumn([[1, 2], [3, 4], [5, 6]], mask=[[False, True], [False, False], [True, True]]),
            "bytes": MaskedColumn(np.array([[0, 255]] * 3, dtype=np.uint8), mask=[[True, False]] * 3),
            "also_long": Column(["y" * 70] * 3),
        }
    )
    path = files.write(table, tmp_path / "long.vot")
    back = _read(path)
    assert back["long"].tolist() == ["x" * 65, "", "ü" * 300] and back["also_long"].tolist() == ["y" * 70] * 3
    assert back["first"].tolist() == [1, -2, BIG] and back["astral"].tolist() == [r"a\U0001f600", "b", ""]
    assert back["number"][0] == 0.5 and back["number"].mask[2]
    assert back["array"].tolist() == [[1, None], [3, 4], [None, None]]
    assert back["bytes"].tolist() == [[None, 255]] * 3
    facts = describe(path)
    with facts.open(chunk_rows=2) as reader:
        batches = [chunk.batch for chunk in reader]
    assert [v for batch in batches for v in batch["first"].to_pylist()] == [1, -2, BIG]
    assert [v or "" for batch in batches for v in batch["long"].to_pylist()] == long


def test_provenance_is_in_every_file(written: dict[str, Path]) -> None:
    facts = odd_table().meta[KEY]
    votable = parse(written["vot"]).resources[0]
    infos = {info.name: info.value for info in votable.infos}
    assert infos["run_id"] == "12" and infos["citation"] == CITATION and infos["software"] == f"xcat {__version__}"
    assert infos["query"].split() == facts["query"].split() and infos["request_date"].endswith("Z")
    (system,) = votable.coordinate_systems
    assert (system.system, system.epoch) == ("ICRS", "J2016")
    ids = re.findall(r'ID="([^"]*)"', written["vot"].read_text(encoding="utf-8"))
    assert len(set(ids)) == len(ids), "identifiers of XML occur once"
    assert {"RA", "DE", "flux"} <= set(Table.read(written["vot"]).colnames)
    by_name = {field.name: field for field in votable.tables[0].fields}
    assert by_name["RA"].ref == by_name["DE"].ref == system.ID and by_name["ra"].ref is None
    with fits.open(written["fits"], checksum=True) as hdus:
        header = hdus[1].header
    assert (header["XCATRUN"], header["XCATMOD"], header["CREATOR"]) == (12, 11, f"xcat {__version__}")
    assert header["RADESYS"] == "ICRS" and "EQUINOX" not in header and "EPOCH" not in header
    assert {"CHECKSUM", "DATASUM"} <= set(header)
    history = "".join(str(line) for line in header["HISTORY"])
    assert r'query: SELECT * FROM x -- <\xe4> & "b"' in history and "10.1051/0004-6361/202141259" in history
    ecsv = _read(written["ecsv"]).meta[KEY]
    assert ecsv["run_id"] == 12 and ecsv["query"] == facts["query"] and ecsv["epoch_yr"] == 2016.0
    notes = pq.read_schema(written["parquet"]).metadata
    assert notes[b"xcat.run_id"] == b"12" and notes[b"xcat.query"].decode() == facts["query"]
    assert "# query: SELECT * FROM x" in written["reg"].read_text(encoding="utf-8")


def test_a_frame_that_is_not_known_is_not_stated(tmp_path: Path) -> None:
    table = odd_table()
    table["RA"].meta["frame"] = ""
    files.write(table, tmp_path / "o.vot")
    files.write(table, tmp_path / "o.fits")
    assert not parse(tmp_path / "o.vot").resources[0].coordinate_systems
    assert "RADESYS" not in fits.getheader(tmp_path / "o.fits", 1)
    table["RA"].meta["frame"] = "FK5"
    files.write(table, tmp_path / "f.fits")
    assert fits.getheader(tmp_path / "f.fits", 1)["EQUINOX"] == 2000.0


def test_the_citation_is_that_of_the_project() -> None:
    stated = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    (paper,) = stated["references"]
    assert stated["title"] in CITATION and paper["doi"] in CITATION and paper["start"] in CITATION
    assert all(author["family-names"] in CITATION for author in paper["authors"])


def test_what_is_renamed_or_impossible_is_said_beforehand(tmp_path: Path) -> None:
    table = odd_table()
    said = files.check(table, "x.fits")
    assert "column 'ra' is written as 'ra_2': names in FITS are ASCII, without regard to case" in said
    assert sum("'n" in line for line in said) == 2 and len(said) == 5
    assert files.check(table, "x.vot") == [
        "column ' blank ' is written as 'blank': names have no control characters and no blanks at their ends"
    ]
    many = [f"c{i}" for i in range(1000)]
    with pytest.raises(XcatError, match=r"x\.fits: FITS holds 999 columns, the table has 1,000 .*'c999'.*\.parquet"):
        files.check(many, "x.fits")
    assert files.check(many, "x.vot") == []
    with pytest.raises(XcatError, match="no column"):
        files.write(Table(), tmp_path / "x.csv")
    with pytest.raises(XcatError, match=r"regions need a position.*AS ra"):
        files.write(Table({"a": [1]}), tmp_path / "x.reg")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", ["fits", "vot", "ecsv", "csv", "parquet", "reg"])
def test_empty_tables_and_the_rule_for_files_that_exist(tmp_path: Path, ending: str) -> None:
    path = files.write(odd_table()[:0], tmp_path / f"empty.{ending}")
    if ending == "reg":
        assert len(Regions.read(path, format="ds9")) == 0
    else:
        back = _read(path)
        assert len(back) == 0 and len(back.colnames) == len(odd_table().colnames)
    with pytest.raises(XcatError, match="exists already"):
        files.write(odd_table(), path)
    files.write(odd_table(), path, overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=75), min_size=1, max_size=6), st.sampled_from([".fits", ".vot", ".csv", ".parquet"]))
def test_names_in_files(names: list[str], ending: str) -> None:
    out = names_in_file(names, ending)
    assert len(out) == len(names) and all(n and n == n.strip() for n in out) and len(set(out)) == len(out)
    if ending == ".fits":
        assert len({n.casefold() for n in out}) == len(out)
        assert all(n.isascii() and n.isprintable() and len(n) <= 68 for n in out)
    assert unique_names(["a", "A", "a"], fold=False) == ["a", "A", "a_2"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.none() | st.integers(-(2**70), 2**70), min_size=1))
def test_whole_numbers_of_any_size_are_exact(values: list[int | None]) -> None:
    for given_values in (values, [None if v is None else Decimal(v) for v in values]):
        exact = whole_or_text(given_values)
        assert exact is not None or all(v is None for v in values)
        if exact is not None:
            data, missing = exact
            got = [None if m else int(v) for v, m in zip(data.tolist(), missing, strict=True)]
            assert got == values


def test_fractions_are_numbers_unless_that_would_lose_digits() -> None:
    assert whole_or_text([Decimal("0.33333333333333333333"), Decimal("2.0000000000000000"), None]) is None
    assert whole_or_text([Decimal("NaN"), Decimal("1.5")]) is None
    for lost in ("9007199254740993.0", "123456789012345678901.5"):
        assert whole_or_text([Decimal(lost), Decimal("0.5")])[0].tolist() == [lost, "0.5"]  # type: ignore[index]
    assert of_objects([True, None])[0].dtype == bool and of_objects([1.5, None])[1].tolist() == [False, True]


def test_json_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(text: str) -> None:
        raise AssertionError(f"{text} is not JSON")

    table = odd_table()[["f32", "flux", "u64", "i64_null", "text"]]
    got = json.loads(json.dumps(terminal.as_json(table), allow_nan=False), parse_constant=fail)
    assert got["rows"][1] == ["Infinity", None, 2**63, None, "  x<&> "]
    assert got["rows"][2][0] == "-Infinity" and got["rows"][0][2] == LARGEST
    print_json({"a": np.float32("inf"), "b": [float("nan"), (1.5, -np.inf)]})
    assert json.loads(capsys.readouterr().out, parse_constant=fail) == {
        "a": "Infinity",
        "b": [None, [1.5, "-Infinity"]],
    }
    assert jsonable([np.inf]) == [None]
    shown = terminal.show(odd_table()[["control"]], width=80)
    assert r"a b\tc" in shown and r"\x07\x1b[31m" in shown


def test_regions_are_circles_in_the_colour_of_their_class(tmp_path: Path) -> None:
    table = Table(
        {
            "name": ["A {1}", "Bé", "C", "D"],
            "ra": [10.0, 20.0, np.nan, 30.0],
            "dec": [-5.0, 60.0, 1.0, 2.0],
            "err_arcsec": [1.5, np.nan, 1.0, 2.0],
            "class": ["XRB", "AGN", "AGN", "AGN"],
        }
    )
    path = files.write(table, tmp_path / "o.reg")
    text = path.read_text(encoding="ascii")
    assert "# circles: positional error, 1 sigma per axis (column err_arcsec), broken circles" in text
    assert "# class XRB: #D55E00" in text and "# 1 rows have no position and no circle" in text
    circles = Regions.read(path, format="ds9")
    assert [c.meta["text"] for c in circles] == ["A (1)", r"B\xe9", "D"]
    assert [round(c.radius.to_value("arcsec"), 4) for c in circles] == [1.5, 1.0, 2.0]
    assert [c.visual["facecolor"] if "facecolor" in c.visual else c.visual["color"] for c in circles] == [
        "#D55E00",
        "#0072B2",
        "#0072B2",
    ]
    assert circles[1].center.ra.deg == 20.0 and circles[1].center.dec.deg == 60.0


def test_positions_of_users_tables(tmp_path: Path) -> None:
    table = Table({"x_RAJ2000": ["00:42:44.3", "bad"], "x_DEJ2000": ["-41:16:09", "1"], "RA_deg": [1.0, 2.0]})
    assert positions(table)[0][:2] == ("x_RAJ2000", "x_DEJ2000")
    (circle,) = Regions.read(files.write(table, tmp_path / "s.reg"), format="ds9")
    assert circle.center.ra.deg == pytest.approx(10.684583, abs=1e-6)
    assert circle.center.dec.deg == pytest.approx(-41.269167, abs=1e-6)
    places = Places(np.array([5.0, 6.0]), np.array([1.0, 2.0]), np.array([3.0, np.nan]))
    found = Regions.read(files.write(Table({"i": [1, 2]}), tmp_path / "p.reg", places=places), format="ds9")
    assert [c.center.ra.deg for c in found] == [5.0, 6.0]
    assert re.search(r"as it was read", (tmp_path / "p.reg").read_text())
