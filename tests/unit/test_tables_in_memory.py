"""A user's table in memory gives what its file gives: columns, units, UCDs, masks, guesses and properties."""

from pathlib import Path

import astropy.units as u
import numpy as np
import pandas as pd
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn, QTable, Table

from xcat.columns.registry import property_entries
from xcat.errors import InputError
from xcat.output.files import write
from xcat.own.labelled_table import of_table
from xcat.own.property_columns import read_properties
from xcat.tables.facts import describe, take
from xcat.tables.guess import guess

NAMES = [entry["name"] for entry in property_entries()]


@pytest.fixture
def table() -> Table:
    made = Table(
        {
            "Name": ["00123", "b", "", "d"],
            "RA": np.array([10.0, 266.5, 83.6, 0.0]) * u.deg,
            "DEC": np.array([-30.0, -29.0, 22.0, 1.0]) * u.deg,
            "pos_err": np.array([300.0, 500.0, 700.0, 0.0]) * u.mas,
            "flux": np.array([1e-16, 2e-16, np.nan, 4e-17], "f4") * u.W / u.m**2,
            "n": MaskedColumn([1, 2**60, 3, 4], mask=[False, False, True, False]),
            "Gmag": MaskedColumn([18.0, 15.0, 17.0, 16.0], mask=[False, True, False, False], unit="mag"),
            "klass": ["AGN", "Star", "AGN", "Star"],
        }
    )
    made["RA"].meta["ucd"], made["DEC"].meta["ucd"] = "pos.eq.ra;meta.main", "pos.eq.dec;meta.main"
    made["flux"].description = "Flux in 0.5-7 keV"
    return made


@pytest.mark.parametrize("ending", ["fits", "ecsv", "parquet"])
def test_a_table_is_described_as_its_file(tmp_path: Path, table: Table, ending: str) -> None:
    of_file, of_table_ = describe(write(table, tmp_path / f"table.{ending}")), describe(table)
    assert of_table_.label == of_file.label == "table"
    assert of_table_.name == "table"
    for a, b in zip(of_table_.columns, of_file.columns, strict=True):
        assert (a.name, a.ucd, a.description, a.is_text) == (b.name, b.ucd, b.description, b.is_text)
        assert u.Unit(a.unit) == u.Unit(b.unit)
    assert guess(of_table_).messages == guess(of_file).messages
    for rows in (None, np.array([2, 3])):
        a, b = take(of_table_, rows), take(of_file, rows)
        assert a.colnames == b.colnames == table.colnames
        for name in a.colnames:
            if a[name].dtype.kind == "f":  # FITS has no mask beside NaN
                np.testing.assert_allclose(np.ma.filled(a[name], np.nan), np.ma.filled(b[name], np.nan), rtol=1e-7)
            else:
                assert a[name].tolist() == b[name].tolist(), name
            assert (a[name].dtype, a[name].unit, a[name].meta) == (b[name].dtype, b[name].unit, b[name].meta)
    assert take(of_table_)["Name"][0] == "00123"
    assert take(of_table_)["n"].tolist() == [1, 2**60, None, 4]


def test_properties_are_those_of_the_file(tmp_path: Path, table: Table) -> None:
    of_file = read_properties(write(table, tmp_path / "table.parquet"), NAMES)
    path = write(table, tmp_path / "table.fits")
    for given in (table, QTable(table), path, str(path), Table.read(path)):
        user = read_properties(given, NAMES, band=(0.5, 7))
        for name in ("values", "errors", "has_columns", "ra", "dec"):
            np.testing.assert_array_equal(getattr(user, name), getattr(of_file, name))
        assert user.n_bad == of_file.n_bad
    for given in (table, QTable(table)):
        assert read_properties(given, NAMES).messages == of_file.messages
    assert of_file.has_columns.sum() > 4


def test_labels_are_those_of_the_file(tmp_path: Path, table: Table) -> None:
    path = write(table, tmp_path / "table.parquet")
    (one, messages), (other, messages_) = (of_table(t, "klass", band=(0.5, 7)) for t in (table, path))
    assert messages == messages_
    assert one.classes == other.classes
    np.testing.assert_array_equal(one.sample.values, other.sample.values)


def test_a_dataframe(table: Table) -> None:
    frame = table.to_pandas()
    frame["kind"] = pd.Categorical(["x", "y", None, "x"])
    frame["when"] = pd.to_datetime(["2001-01-01", None, "2001-01-03", "2001-01-04"])
    got = take(describe(frame))
    assert got.colnames[: len(table.colnames)] == table.colnames
    assert got["RA"].tolist() == table["RA"].tolist()
    assert got["Name"][0] == "00123"
    assert got["n"].tolist() == [1, 2**60, None, 4]
    assert got["kind"].tolist() == ["x", "y", None, "x"]
    assert got["kind"].dtype.kind == "U"
    assert guess(describe(frame)).messages[0] == "table: position from RA, DEC (name)"
    assert frame.columns.tolist() == [*table.colnames, "kind", "when"]


def test_what_a_table_cannot_give_is_left_out(table: Table) -> None:
    table["v"] = np.zeros((4, 3))
    table["c"] = np.zeros(4, dtype=complex)
    table["place"] = SkyCoord(table["RA"], table["DEC"])
    before = table.copy()
    facts = describe(table)
    assert facts.left_out == (
        "column 'v' (float64[3]) holds arrays",
        "column 'c' (Column) does not hold numbers or text",
        "column 'place' (SkyCoord) does not hold numbers or text",
    )
    assert len(take(facts, np.array([], dtype=np.int64))) == 0
    assert table.colnames == before.colnames
    np.testing.assert_array_equal(np.ma.getmaskarray(table["n"]), np.ma.getmaskarray(before["n"]))


def test_name_and_area_come_from_the_meta(table: Table) -> None:
    table.meta |= {"EXTNAME": "MY CAT", "SKYAREA": 2.0}
    assert (describe(table).label, describe(table).sky_area_deg2) == ("MY_CAT", 2.0)
    table.meta["SKYAREA"] = -1.0
    with pytest.raises(InputError, match=r"table: SKYAREA is -1\.0"):
        describe(table)


def test_errors_name_the_table(table: Table) -> None:
    table.remove_column("pos_err")
    with pytest.raises(InputError, match="table: no column looks like a positional error"):
        guess(describe(table))
    with pytest.raises(InputError, match="table: the table has no rows"):
        read_properties(table[:0], ["abs_b"])
    with pytest.raises(InputError, match="a file name, an astropy Table or a pandas DataFrame, not list"):
        describe([1, 2])  # type: ignore[arg-type]
