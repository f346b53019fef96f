"""Tables in terminals and files; no database."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.io.votable import parse_single_table
from astropy.table import Column, MaskedColumn, Table

from xcat.errors import XcatError
from xcat.output import files
from xcat.output.files import write
from xcat.output.results import Seen, _computed
from xcat.output.statement import Head
from xcat.output.style import spread
from xcat.output.terminal import aligned, as_json, number, show

FLUX = "erg / (s cm2)"


@pytest.fixture
def table() -> Table:
    out = Table()
    out["source_id"] = Column(np.array([1, 2, 999_999], dtype=np.int64), description="Number", meta={"ucd": "meta.id"})
    out["name"] = Column(["4XMM J1", "Größe", "x"])
    out["ra"] = Column([266.41683712345, 0.0, 359.9999], unit="deg", meta={"ucd": "pos.eq.ra"})
    out["flux_cgs"] = MaskedColumn(
        np.array([1.234e-14, np.nan, 5e-16], dtype=np.float32),
        mask=[False, True, False],
        unit=FLUX,
        description="Flux",
        meta={"ucd": "phot.flux;em.X-ray"},
    )
    out["p_xrb"] = Column(np.array([0.98765, 0, 1], dtype=np.float32), meta={"ucd": "stat.probability;src.class"})
    out["n"] = MaskedColumn(np.array([3, 0, 999_999], dtype=np.int32), mask=[False, True, False])
    out["is_best"] = MaskedColumn([True, False, False], mask=[False, False, True])
    out["p"] = Column(np.array([[0.25, 0.75], [1, 0], [0.5, 0.5]], dtype=np.float32), meta={"ucd": "stat.probability"})
    out["classes"] = Column(np.array([["AGN", "Star"]] * 3))
    return out


def test_terminal_formats(table: Table) -> None:
    lines = show(table, 20, width=200).splitlines()
    assert lines[0].split()[:4] == ["source_id", "name", "ra", "flux_cgs"]
    assert FLUX in lines[1] and "deg" in lines[1]
    assert "266.41684" in lines[3] and "1.23e-14" in lines[3] and "0.988" in lines[3] and "0.250 0.750" in lines[3]
    assert "0.000 " in lines[4] and "yes" in lines[3]
    assert lines[4].split()[3] == "-"
    assert lines[-1] == "3 rows"


def test_a_cut_says_so(table: Table) -> None:
    assert show(table, 2, width=200).splitlines()[-1] == "2 of 3 rows shown"
    table.meta["total_rows"] = 1234
    assert show(table, 20, width=200).splitlines()[-1] == "3 of 1,234 rows shown"


def test_columns_that_do_not_fit_are_named(table: Table) -> None:
    text = show(table, width=40)
    assert "columns do not fit:" in text and "is_best" in text.splitlines()[-1]
    assert all(len(line) <= 40 for line in text.splitlines()[:-1])


def test_rows_of_text_are_aligned() -> None:
    long = "a heading that is longer than all columns together"
    assert aligned([["name", "n"], [long], ["x", "12"], ["", "3"]], {1}) == ["name   n", long, "x     12", "       3"]
    assert aligned([["n"], ["10"]], {0}) == [" n", "10"] and aligned([], ()) == []


def test_an_empty_table_has_a_head() -> None:
    text = show(Table({"ra": Column(np.empty(0), unit="deg")}))
    assert text.splitlines()[0].strip() == "ra" and text.endswith("0 rows")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0.0, "0"),
        (3.0, "3"),
        (1.5e-14, "1.500e-14"),
        (0.0123456, "0.01235"),
        (123456.78, "123456.8"),
        (-1e7 - 0.5, "-1.000e+07"),
    ],
)
def test_numbers(value: float, written: str) -> None:
    assert number(value) == written


def test_json(table: Table) -> None:
    data = json.loads(json.dumps(as_json(table), allow_nan=False))
    assert data["columns"][3] == {
        "name": "flux_cgs",
        "type": "float32",
        "unit": FLUX,
        "ucd": "phot.flux;em.X-ray",
        "description": "Flux",
    }
    assert data["rows"][1][3] is None and data["rows"][0][8] == ["AGN", "Star"] and data["n_rows"] == 3


# VOUnit deprecates erg, and astropy says so on reading
@pytest.mark.filterwarnings("ignore:The unit 'erg' has been deprecated")
@pytest.mark.parametrize("ending", ["fits", "vot", "xml", "parquet", "csv", "ecsv"])
def test_values_survive(table: Table, tmp_path: Path, ending: str) -> None:
    path = write(table, tmp_path / f"out.{ending}")
    back = Table.read(path, format="votable" if ending in ("vot", "xml") else None)
    assert back.colnames == table.colnames
    assert list(back["source_id"]) == [1, 2, 999_999]
    assert np.isclose(float(back["flux_cgs"][0]), 1.234e-14, rtol=1e-6)
    assert np.ma.getmaskarray(np.ma.masked_invalid(np.ma.asarray(back["flux_cgs"]))).tolist() == [False, True, False]
    assert np.ma.getmaskarray(np.ma.masked_invalid(np.ma.asarray(back["n"]).astype(float))).tolist() == [
        False,
        True,
        False,
    ]
    assert float(back["n"][2]) == 999_999
    if ending != "csv":
        assert back["flux_cgs"].unit.is_equivalent(u.Unit(FLUX))
        assert back["p"].shape == (3, 2)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_fits_says_what_columns_mean(table: Table, tmp_path: Path) -> None:
    header = fits.getheader(write(table, tmp_path / "out.fits"), 1)
    number_of_flux = table.colnames.index("flux_cgs") + 1
    assert header[f"TUNIT{number_of_flux}"] == "erg s-1 cm-2"
    assert header[f"TUCD{number_of_flux}"] == "phot.flux;em.X-ray"
    assert header[f"TCOMM{number_of_flux}"] == "Flux"
    assert table["flux_cgs"].description == "Flux"  # the caller's table is as it was


def test_votable_and_parquet_say_what_columns_mean(table: Table, tmp_path: Path) -> None:
    votable = parse_single_table(write(table, tmp_path / "out.vot"))
    field = votable.get_field_by_id_or_name("flux_cgs")
    assert field.ucd == "phot.flux;em.X-ray" and field.description == "Flux"
    notes = pq.read_schema(write(table, tmp_path / "out.parquet")).field("flux_cgs").metadata
    assert notes == {b"unit": FLUX.encode(), b"ucd": b"phot.flux;em.X-ray", b"description": b"Flux"}


def test_unknown_endings_are_refused(table: Table, tmp_path: Path) -> None:
    with pytest.raises(XcatError, match=r"\.fits, \.vot, \.xml, \.parquet, \.csv, \.ecsv"):
        write(table, tmp_path / "out.xls")


def test_files_are_not_overwritten_unasked(table: Table, tmp_path: Path) -> None:
    path = write(table, tmp_path / "out.csv")
    with pytest.raises(XcatError, match="exists already"):
        write(table, path)
    write(table[:1], path, overwrite=True)
    assert len(Table.read(path)) == 1


def test_a_failed_write_leaves_nothing(table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(XcatError, match="cannot be written"):
        write(table, tmp_path / "missing" / "out.csv")
    path = write(table, tmp_path / "out.fits")
    before = path.read_bytes()

    def half_written(_tables: object, part: Path, _n_rows: int) -> None:
        part.write_bytes(before[:1000])
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(files._BINARY, ".fits", half_written)
    with pytest.raises(XcatError, match=r"out\.fits: cannot be written \(No space left on device\)"):
        write(table, path, overwrite=True)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["out.fits"]


def _column(values: list[Any], type_: int) -> Any:
    seen = Seen([Head("x", type_, None, True)])
    for value in values:
        seen.add((value,))
    return seen.table([(value,) for value in values]).columns["x"].data


def test_arrays_of_unequal_length_become_json() -> None:
    assert _column([[1.0, 2.0], [3.0]], 1021).tolist() == ["[1.0, 2.0]", "[3.0]"]
    assert _column([[1.0, 2.0], None], 1021).mask.tolist() == [[False, False], [True, True]]
    assert _column([], 1021).dtype == np.float32
    assert _column([], 20).dtype == np.int64


def test_computed_columns_are_known_by_name_if_the_type_fits() -> None:
    float8, int8 = 701, 20
    meaning = _computed("ra", float8)
    assert meaning is not None and meaning.unit == "deg"
    assert _computed("ra", int8) is None  # count(*) AS ra
    assert _computed("count", int8) is None
    assert _computed("p_xrb", float8) is not None


def test_labels_are_moved_apart() -> None:
    places = spread([0.0, 0.001, 0.5, 1.0, 0.999], 0.1, 0.0, 1.0)
    assert sorted(range(5), key=lambda i: places[i]) == [0, 1, 2, 4, 3]
    assert min(np.diff(sorted(places))) > 0.099 and min(places) >= 0 and max(places) <= 1
