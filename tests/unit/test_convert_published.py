"""Definitions without a file at hand, on small tables with the column names that the catalogues publish."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.table import Table

from xcat.catalogues import load
from xcat.ingest.convert import Converted, convert
from xcat.ingest.readers import open_table


def read(path: Path, name: str) -> Converted:
    definition = load(name)
    with open_table(path, definition) as reader:
        (chunk,) = reader
    return convert(chunk, definition)


def wrote(folder: Path, format_: str, columns: dict[str, Any], units: dict[str, str] | None = None) -> Path:
    table = Table(columns)
    for column, unit in (units or {}).items():
        table[column].unit = unit
    path = folder / f"t.{format_.removeprefix('ascii.')}"
    table.write(path, format=format_)
    return path


def filled(name: str, rows: int = 2, **known: list[Any]) -> dict[str, Any]:
    """All columns of a definition: those that matter to a test, and 1 for the rest."""
    return {c: known.get(c, [1.0] * rows) for c in load(name).file_columns}


def test_gaia_dr3_as_vizier_sends_it(tmp_path: Path) -> None:
    columns = filled("gaia_dr3", Source=[2**60 + 1, 2], e_RA_ICRS=[0.2, 300.0], e_DE_ICRS=[0.1, 300.0])
    units = {"RA_ICRS": "deg", "e_RA_ICRS": "mas", "pmRA": "mas / yr", "Plx": "mas", "Gmag": "mag"}
    out = read(wrote(tmp_path, "votable", columns, units), "gaia_dr3").columns
    assert out["native_id"][0] == str(2**60 + 1).encode()
    assert out["err_arcsec"].tolist() == pytest.approx([0.05, 0.3])  # the floor, and 300 mas
    assert out["pmra_mas_yr"].tolist() == [1.0, 1.0]


def test_panstarrs(tmp_path: Path) -> None:
    columns = filled("panstarrs1", rKmag=[np.nan, 20.0], rmag=[21.0, 22.0], imag=[-999.0, 19.0])
    out = read(wrote(tmp_path, "fits", columns), "panstarrs1").columns
    assert out["mag_r"].tolist() == [21.0, 20.0]
    assert np.isnan(out["mag_i"][0])


def test_4xmm_sources_and_detections(tmp_path: Path) -> None:
    columns = filled("xmm4_sources", SRCID=[200001101010001, 2], SC_POSERR=[1.0, 2.0], SC_CHI2PROB=[0.25, np.nan])
    columns |= {"SC_SUM_FLAG": np.array([0, 4], np.int16), "N_DETECTIONS": np.array([3, 1], np.int16)}
    out = read(wrote(tmp_path, "fits", columns, {"SC_POSERR": "arcsec"}), "xmm4_sources").columns
    assert out["native_id"][0] == b"200001101010001"
    assert out["err_arcsec"].tolist() == pytest.approx([2**-0.5, 2**0.5])
    assert out["p_variable"][0] == 0.75
    assert np.isnan(out["p_variable"][1])
    assert out["quality_flag"].tolist() == [0, 4]
    assert out["n_detections"].tolist() == [3, 1]

    columns = filled("xmm4_detections", DETID=[10, 11], OBS_ID=["0001730201", "0001730201"], EP_HR2=[-0.3, 0.2])
    columns |= {"SUM_FLAG": np.array([0, 1], np.int16)}
    path = tmp_path / "detections"
    path.mkdir()
    out = read(wrote(path, "fits", columns), "xmm4_detections").columns
    assert out["obs_id"][0] == b"0001730201"
    assert out["hr1"].tolist() == [-0.3, 0.2]
    assert (out["p_variable"] == 0).all()


def test_2sxps_sources(tmp_path: Path) -> None:
    columns = filled(
        "sxps2_sources",
        IAUName=["2SXPS J000001.0+000001", "b"],
        Err90=[5.6, 0.0],
        FirstObsDate=["2006-07-29 20:18:25", ""],
        Rate_band0=[1e-3, 0.0],
        Rate_band0_pos=[2e-4, 1e-4],
        Rate_band0_neg=[-1e-4, 0.0],
        PvarPchiSnapshot_band0=[0.01, 1.0],
    )
    out = read(wrote(tmp_path, "ascii.csv", columns), "sxps2_sources")
    assert out.columns["err_arcsec"].tolist() == pytest.approx([5.6 / 2.14597], rel=1e-4)
    assert out.columns["flux_cgs"].tolist() == pytest.approx([4.3e-14])
    assert out.columns["flux_err_cgs"].tolist() == pytest.approx([1.5e-4 * 4.3e-11])
    assert out.columns["p_variable"].tolist() == pytest.approx([0.99])
    assert out.columns["mjd"].tolist() == pytest.approx([53945.846123], abs=1e-5)
    assert out.rejects.reason == ["positional error not above 0"]


def test_lsxps_detections_of_the_full_band_only(tmp_path: Path) -> None:
    columns = filled("lsxps_detections", 4, Band=[0, 1, 2, 0], DetectionID=[1, 2, 3, 4], DetFlag=[0, 0, 0, 2])
    out = read(wrote(tmp_path, "fits", columns), "lsxps_detections")
    assert out.columns["native_id"].tolist() == [b"1", b"4"]
    assert out.n_skipped == 2
    assert len(out.rejects) == 0


def test_erass1(tmp_path: Path) -> None:
    columns = filled("erass1", IAUNAME=["1eRASS J000000.1+000000", "x"], POS_ERR=[4.0, np.nan])
    out = read(wrote(tmp_path, "fits", columns, {"ML_FLUX_1": "erg / (s cm2)"}), "erass1")
    assert out.columns["err_arcsec"].tolist() == [4.0]
    assert out.rejects.reason == ["no positional error"]


def test_2rxs(tmp_path: Path) -> None:
    columns = filled("rxs2", e_Xima=[0.2, 0.2], e_Yima=[0.2, 0.8], CRate=[0.1, 0.2])
    columns["2RXS"] = ["2RXS J000007.0+081653", "2RXS J000010.0+000000"]
    out = read(wrote(tmp_path, "fits", columns), "rxs2").columns
    assert out["err_arcsec"].tolist() == pytest.approx([9.0, 18.0])
    assert out["flux_cgs"].tolist() == pytest.approx([5.6e-13, 1.12e-12])


def test_milliquas_and_veron(tmp_path: Path) -> None:
    columns = filled("milliquas", Type=["QRX", "q"], Name=["3C 273", "x"])
    assert read(wrote(tmp_path, "votable", columns), "milliquas").columns["class"].tolist() == [b"AGN", b""]
    columns = {"Name": ["Q 0000+0000"], "RAJ2000": ["00 00 04.9"], "DEJ2000": ["-00 00 30"]}
    out = read(wrote(tmp_path, "ascii.ecsv", columns), "veron").columns
    assert out["ra"][0] == pytest.approx(15 * 4.9 / 3600)
    assert out["dec"][0] == pytest.approx(-30 / 3600)
    assert out["class"].tolist() == [b"AGN"]


RITTER_KOLB = """\
B/cb      Cataclysmic Binaries, LMXBs, and related objects   (Ritter+, 2004)
================================================================================
Byte-by-byte Description of file: cbdata.dat
--------------------------------------------------------------------------------
   Bytes Format Units  Label Explanations
--------------------------------------------------------------------------------
   1- 12 A12    ---    Name  Name of the object
  14- 15 I2     h      RAh   Right ascension
  17- 18 I2     min    RAm   Right ascension
  20- 23 F4.1   s      RAs   ? Right ascension
      25 A1     ---    DE-   Declination, sign
  26- 27 I2     deg    DEd   Declination
  29- 30 I2     arcmin DEm   Declination
  32- 33 I2     arcsec DEs   ? Declination
  35- 36 A2     ---    Type1 Type
--------------------------------------------------------------------------------
"""


def test_ritter_kolb_beside_its_readme(tmp_path: Path) -> None:
    (tmp_path / "ReadMe").write_text(RITTER_KOLB)
    rows = ["SS Cyg       21 42 42.8 +43 35 10 DN", "XX Xxx       00 00      -00 30    NL"]
    path = tmp_path / "cbdata.dat"
    path.write_text("\n".join(rows) + "\n")
    out = read(path, "ritter_kolb").columns
    assert out["name"].tolist() == [b"SS Cyg", b"XX Xxx"]
    assert out["ra"].tolist() == pytest.approx([325.67833, 0.0], abs=1e-4)
    assert out["dec"].tolist() == pytest.approx([43.58611, -0.5], abs=1e-4)
    assert out["class"].tolist() == [b"CV", b"CV"]
