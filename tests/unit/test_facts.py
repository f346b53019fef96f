"""Headers of tables of every format, and rows with all their columns."""

import gzip

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import MaskedColumn, Table

from xcat.errors import InputError
from xcat.output.files import write
from xcat.tables.facts import describe, take
from xcat.tables.guess import guess


@pytest.fixture
def table():
    made = Table({
        "ID": np.array([5, 2**40, 7, 1], "i8"),
        "Name": ["a", "b b", "", "d"],
        "ra": [1.25, 2.5, 359.5, 0.0],
        "flux": np.array([1.5e-12, 2e-15, np.nan, 3e-13], "f4"),
        "n": MaskedColumn([1, 2, 3, 4], mask=[False, True, False, False]),
    })  # fmt: skip
    made["ra"].unit, made["ra"].description, made["ra"].meta["ucd"] = "deg", "Right ascension", "pos.eq.ra"
    made["flux"].unit = "erg / (s cm2)"
    return made


@pytest.mark.parametrize("ending", ["fits", "vot", "ecsv", "parquet", "csv"])
def test_every_format_gives_back_values_units_and_words(tmp_path, table, ending):
    path = write(table, tmp_path / f"my-table.1.{ending}")
    facts = describe(path)
    assert facts.label == "my_table_1"
    got = take(facts, np.array([1, 2, 4]))
    assert got.colnames == table.colnames
    assert got["ID"].tolist() == [5, 2**40, 1]
    assert got["ra"].tolist() == [1.25, 2.5, 0.0]
    assert got["Name"].tolist() == ["a", "b b", "d"]
    np.testing.assert_allclose(got["flux"], [1.5e-12, 2e-15, 3e-13], rtol=1e-6)
    assert np.ma.getmaskarray(np.ma.asarray(got["n"])).tolist() == [False, True, False]
    if ending != "csv":
        assert got["ra"].unit == "deg"
        assert got["flux"].unit == "erg / (s cm2)"
        assert got["ra"].description == "Right ascension"
        assert got["ra"].meta["ucd"] == "pos.eq.ra"
        assert got["flux"].dtype == np.float32
    assert len(take(facts)) == 4
    assert len(take(facts, np.array([], dtype=np.int64))) == 0


def test_name_and_area_come_from_the_header(tmp_path):
    hdu = fits.BinTableHDU.from_columns(
        [fits.Column("RA", "D", array=[1.0]), fits.Column("v", "3E", array=[[1, 2, 3]])]
    )
    hdu.header["EXTNAME"], hdu.header["SKYAREA"] = "MY CAT", 2.0
    hdu.writeto(tmp_path / "x.fits")
    facts = describe(tmp_path / "x.fits")
    assert (facts.label, facts.sky_area_deg2) == ("MY_CAT", 2.0)
    assert [c.name for c in facts.columns] == ["RA"]
    assert "column 'v' (3E) holds arrays" in facts.left_out
    hdu.header["SKYAREA"] = -1.0
    hdu.writeto(tmp_path / "y.fits")
    with pytest.raises(InputError, match=r"SKYAREA is -1\.0"):
        describe(tmp_path / "y.fits")


def test_text_that_looks_like_a_number_keeps_its_digits(tmp_path):
    path = tmp_path / "t.csv.gz"
    with gzip.open(path, "wt") as stream:
        stream.write("id,big,small,x,mixed\n00123,12345678901234567890,1,1.50,1\n7,3,-2,2e-3,a\n")
    facts = describe(path)
    assert facts.label == "t"
    got = take(facts)
    assert got["id"].tolist() == ["00123", "7"]
    assert got["big"].tolist() == ["12345678901234567890", "3"]
    assert got["small"].tolist() == [1, -2]
    assert got["x"].tolist() == [1.5, 0.002]
    assert got["mixed"].tolist() == ["1", "a"]


def test_fixed_width_tables_of_journals(tmp_path):
    made = Table({"Name": ["a", "b"], "RAdeg": [10.5, 20.25], "DEdeg": [-1.5, 2.0], "poserr": [300.0, 500.0]})
    for name, unit in {"RAdeg": "deg", "DEdeg": "deg", "poserr": "mas"}.items():
        made[name].unit = unit
    made.write(tmp_path / "t.txt", format="ascii.mrt")
    facts = describe(tmp_path / "t.txt")
    guessed = guess(facts)
    assert "t: positional error from poserr (name), 1 sigma per axis, in mas" in guessed.messages
    got = take(facts)
    assert got["Name"].tolist() == ["a", "b"]
    assert got["poserr"].tolist() == [300.0, 500.0]
    assert got["RAdeg"].unit == "deg"


def test_comments_repeated_and_nameless_columns(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("# a survey\n# of somebody\nra;dec;x;x;\n1;2;3;4;\n")
    facts = describe(path)
    assert [c.name for c in facts.columns] == ["ra", "dec"]
    assert facts.left_out == ("column 'x' occurs 2 times",)
    assert take(facts)["dec"].tolist() == [2]


@pytest.mark.parametrize("content", [b"", b"<html></html>", b"SIMPLE  =                    T".ljust(2880)])
def test_what_is_no_table_is_said(tmp_path, content):
    path = tmp_path / "t.dat"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"t\.dat"):
        describe(path)
    with pytest.raises(InputError, match="no such file"):
        describe(tmp_path / "nowhere.fits")
