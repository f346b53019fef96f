"""Files with errors, magnitudes with histograms, as they stand on the command line."""

import numpy as np
import pytest

from xcat.errors import ConfigError, InputError
from xcat.own.arguments import FileSpec, MagnitudeSpec, file_spec, magnitude_spec, numbers_of_tables, read_histogram


def test_a_file_may_have_an_error_behind_a_colon(tmp_path):
    plain, odd = tmp_path / "a.fits", tmp_path / "a:b.csv"
    plain.touch()
    odd.touch()
    assert file_spec(str(plain)) == FileSpec(plain)
    assert file_spec(f"{plain}:pos_err") == FileSpec(plain, "pos_err")
    assert file_spec(f"{plain}:0.1") == FileSpec(plain, "0.1")
    assert file_spec(f"{plain}:maj,min,pa") == FileSpec(plain, "maj,min,pa")
    assert file_spec(str(odd)) == FileSpec(odd), "a colon in the name of a file"
    assert file_spec(f"{odd}:e") == FileSpec(odd, "e")
    with pytest.raises(ConfigError, match="missing after the colon"):
        file_spec(f"{plain}:")
    with pytest.raises(InputError, match=r"b\.fits: there is no such file"):
        file_spec(str(tmp_path / "b.fits:0.1"))


def test_magnitudes(tmp_path):
    histogram = tmp_path / "h.txt"
    histogram.write_text("1 2 3 4\n")
    assert magnitude_spec("OPT:MAG") == magnitude_spec("OPT:MAG:auto") == MagnitudeSpec("OPT", "MAG")
    assert magnitude_spec(f"OPT:MAG:{histogram}") == MagnitudeSpec("OPT", "MAG", histogram)
    for wrong in ("OPT", "OPT:", ":MAG", "OPT:MAG:"):
        with pytest.raises(ConfigError, match="TABLE:COLUMN"):
            magnitude_spec(wrong)
    with pytest.raises(ConfigError, match="there is no file"):
        magnitude_spec("OPT:MAG:nowhere.txt")


def test_areas():
    assert numbers_of_tables(["OPT:2.5", "a:b:1"], "--area") == {"OPT": 2.5, "a:b": 1.0}
    for wrong in ("OPT", "OPT:", "OPT:0", "OPT:-1", "OPT:x", ":1"):
        with pytest.raises(ConfigError, match="--area takes TABLE:NUMBER"):
            numbers_of_tables([wrong], "--area")


def test_histograms_as_nway_writes_them(tmp_path):
    path = tmp_path / "h.txt"
    path.write_text("# lo hi selected others\n 10.0 18.5  0.01 0.001  # first\n\n 18.50000 20 0.05 0.01\n")
    found = read_histogram(path)
    np.testing.assert_array_equal(found.low, [10.0, 18.5])
    np.testing.assert_array_equal(found.field, [0.001, 0.01])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# nothing\n", "no bin"),
        ("1 2 3\n", "line 1 is not 'lo hi selected others'"),
        ("1 2 3 x\n", "line 1"),
        ("1 2 1 1\n1.5 3 1 1\n", "line 2: bins must ascend"),
        ("# c\n2 1 1 1\n", "line 2: bins must ascend"),
        ("1 2 -1 1\n", "line 1"),
        ("1 2 nan 1\n", "line 1"),
        ("1 2 0 1\n", "0 in all bins"),
    ],
)
def test_a_wrong_histogram_names_its_line(tmp_path, text, message):
    path = tmp_path / "h.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_histogram(path)


def test_the_real_histograms(shared_data):
    for name in ("opt_mag_fit.txt", "irac_mag_ch1_fit.txt"):
        found = read_histogram(shared_data / "cosmos" / name)
        assert len(found.low) > 5
        assert np.all(found.high > found.low)
