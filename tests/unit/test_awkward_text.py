"""Text tables as people have them: the right values, or one clear sentence."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.table import Table

from xcat.catalogues import Definition
from xcat.errors import InputError
from xcat.ingest.convert import Converted, convert
from xcat.ingest.readers import open_table
from xcat.tables.facts import describe, take
from xcat.tables.guess import Wanted, guess, guess_position

XRAY: dict[str, Any] = {
    "name": "t", "title": "T", "kind": "xray_sources", "citation": "-", "flux_band_kev": [0.5, 7],
    "position_error": {"convention": "axis_1sigma", "columns": "pos_err"},
    "columns": {"native_id": "name", "ra": "ra", "dec": "dec"},
}  # fmt: skip
RA, DEC = [150 + 0.02 * i for i in range(6)], [2 + 0.01 * i for i in range(6)]
PLAIN = "name,ra,dec,pos_err\n" + "".join(f"X{i},{RA[i]:.6f},{DEC[i]:.6f},0.8\n" for i in range(6))
MRT = """\
Title: A table
================================================================================
Byte-by-byte Description of file: t.txt
--------------------------------------------------------------------------------
   Bytes Format Units    Label    Explanations
--------------------------------------------------------------------------------
   1-  4 A4     ---      Name     Name of it
   6-  7 I2     h        RAh      Hour of Right Ascension (J2000)
   9- 10 I2     min      RAm      Minute of Right Ascension (J2000)
  12- 16 F5.2   s        RAs      Second of Right Ascension (J2000)
      18 A1     ---      DE-      Sign of the Declination (J2000)
  19- 20 I2     deg      DEd      Degree of Declination (J2000)
  22- 23 I2     arcmin   DEm      Arcminute of Declination (J2000)
  25- 28 F4.1   arcsec   DEs      Arcsecond of Declination (J2000)
  30- 32 F3.1   arcsec   PosErr   ?=- Position error
  34- 41 E8.2   mW/m2    Flux     ? Flux in 0.5-7 keV
--------------------------------------------------------------------------------
"""
MRT_ROWS = """\
0012 10 00 00.00 +02 00 00.0 0.8 1.20E-15
A2   10 00 04.80 -00 00 36.0 0.8 3.00D-15
A3   10 00 09.60 +02 01 12.0 -
"""
MRT_COLUMNS = {
    "native_id": "Name",
    "ra": {"from": ["RAh", "RAm", "RAs"], "transform": "hms"},
    "dec": {"from": ["DE-", "DEd", "DEm", "DEs"], "transform": "dms"},
    "flux_cgs": {"from": "Flux", "unit": "mW/m2"},
}


def asked(columns: dict[str, Any] | None = None, **changes: Any) -> Definition:
    return Definition.from_dict(XRAY | {"columns": XRAY["columns"] | (columns or {})} | changes)


def save(folder: Path, content: str | bytes, name: str = "t.csv") -> Path:
    path = folder / name
    raw = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    return path


def rows(path: Path, definition: Definition) -> dict[str, Any]:
    """All usable rows; that none is rejected is asserted."""
    with open_table(path, definition) as reader:
        out: list[Converted] = [convert(chunk, definition) for chunk in reader]
    assert [r for o in out for r in o.rejects.reason] == []
    return {name: np.concatenate([o.columns[name] for o in out]) for name in out[0].columns}


def refused(path: Path, definition: Definition) -> str:
    with pytest.raises(InputError) as error, open_table(path, definition) as reader:
        for _ in reader:
            pass
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert len(message.replace(str(path), "")) < 1000
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


# --- encodings and line ends -------------------------------------------------------------------------------------

_SAME = {
    "LF": PLAIN.encode(),
    "CRLF": PLAIN.replace("\n", "\r\n").encode(),
    "CR": PLAIN.replace("\n", "\r").encode(),
    "mixed": "\r\n".join(PLAIN.split("\n", 3)).replace("\n", "\r", 1).encode(),
    "BOM": PLAIN.encode("utf-8-sig"),
    "UTF-16 LE": b"\xff\xfe" + PLAIN.encode("utf-16-le"),
    "UTF-16 BE": b"\xfe\xff" + PLAIN.encode("utf-16-be"),
    "UTF-32": PLAIN.encode("utf-32"),
    "decimal comma": PLAIN.replace(",", ";").replace(".", ",").encode(),
    "blanks": PLAIN.replace(",", "   ").replace("\n", " \n ").encode(),
    "tabs": PLAIN.replace(",", "\t").encode(),
    "no last end": PLAIN.rstrip("\n").encode(),
    "blank lines": PLAIN.replace("X3", "\n\nX3").encode() + b"\n \n\x1a",
    "remarks": ("# a remark\n" + PLAIN.replace("X3", "# another\n  #, one with a comma\nX3")).encode(),
    "trailing blanks": PLAIN.replace("ra,dec,pos_err", "ra ,dec , pos_err").encode(),
    "dashes": PLAIN.replace("X0", "----,---,---,---\nX0").encode(),
    "units and dashes": PLAIN.replace("X0", ",deg,deg,arcsec\n----,---,---,---\nX0").encode(),
    "Fortran": PLAIN.replace("0.8\n", "8.0D-01\n").encode(),
    "arrays that nobody needs": PLAIN.replace("0.8\n", '0.8,"[1, 2, 3]"\n').replace("err", "err,spec").encode(),
    "sexagesimal": ("name,ra,dec,pos_err\n" + "".join(
        f"X{i},10:{int(RA[i] * 4 - 600):02d}:{(RA[i] * 240) % 60:07.4f},+02 {int(DEC[i] * 60 - 120):02d} "
        f"{(DEC[i] * 3600) % 60:05.2f},0.8\n" for i in range(6)
    )).encode(),
}  # fmt: skip


@pytest.mark.parametrize("kind", _SAME)
def test_the_same_rows_however_they_are_written(tmp_path: Path, kind: str) -> None:
    comment = {"comment": "#"} if kind == "remarks" else {}
    found = rows(save(tmp_path, _SAME[kind]), asked(read=comment))
    assert found["native_id"].tolist() == [f"X{i}".encode() for i in range(6)]
    assert found["ra"] == pytest.approx(RA, abs=1e-6)
    assert found["dec"] == pytest.approx(DEC, abs=1e-6)
    assert found["err_arcsec"].tolist() == [0.8] * 6


@pytest.mark.parametrize("kind", _SAME)
def test_a_table_of_ones_own_is_read_alike(tmp_path: Path, kind: str) -> None:
    facts = describe(save(tmp_path, _SAME[kind]))
    found = rows(
        facts.source, guess(facts, Wanted(ra="ra", dec="dec")).definition.model_copy(update={"read": facts.read})
    )
    assert found["ra"] == pytest.approx(RA, abs=1e-6)
    assert found["dec"] == pytest.approx(DEC, abs=1e-6)


def test_other_encodings(tmp_path: Path) -> None:
    path = save(tmp_path, PLAIN.replace("X3", "Xé").encode("latin-1"))
    assert rows(path, asked(read={"encoding": "latin-1"}))["native_id"][3] == "Xé".encode()
    assert "say which it is, as in 'read: {encoding: latin-1}'" in refused(path, asked())
    bare = save(tmp_path, PLAIN.encode("utf-16-le"), "bare.csv")
    assert rows(bare, asked(read={"encoding": "utf-16-le"}))["ra"] == pytest.approx(RA)
    for encoding in ("utf-16-le", "utf-16-be"):
        bare.write_bytes(PLAIN.encode(encoding))
        assert f"seems to be text in {encoding}; say so in a definition" in refused(bare, asked())
    odd = save(tmp_path, PLAIN.encode("utf-16")[:-3], "odd.csv")
    assert "the text is not utf-16" in refused(odd, asked())


# --- values --------------------------------------------------------------------------------------------------------


def test_missing_limited_and_fortran_values_cost_no_row(tmp_path: Path) -> None:
    cells = ["1.5D-14", "<1.2e-15", "null", "see text", "NaN", "3e-15"]
    text = PLAIN.replace("pos_err", "pos_err,flux")
    for i, cell in enumerate(cells):
        text = text.replace(f"{DEC[i]:.6f},0.8", f"{DEC[i]:.6f},0.8,{cell}")
    found = rows(save(tmp_path, text), asked({"flux_cgs": "flux"}))
    assert found["flux_cgs"] == pytest.approx([1.5e-14, *[np.nan] * 4, 3e-15], nan_ok=True)
    assert found["flux_upper_cgs"] == pytest.approx([np.nan, 1.2e-15, *[np.nan] * 4], nan_ok=True)


def test_identifiers_are_never_changed(tmp_path: Path) -> None:
    names = ["00123", "5853498713190525697", "123456789012345678901234567890", "1e5", "3D05", "+7", "0x1F", "1234.50"]
    text = "name,ra,dec,pos_err,note\n" + "".join(f"{n},1{i},2,0.8,NA\n" for i, n in enumerate(names))
    path = save(tmp_path, text)
    assert rows(path, asked())["native_id"].tolist() == [n.encode() for n in names]
    for kept in (names, ["12E4", "13E5"], ["007", "8"], ["9" * 17, "1"], ["NA", "none"]):
        path = save(tmp_path, "name,ra,dec\n" + "".join(f"{n},1{i},2\n" for i, n in enumerate(kept)))
        assert take(describe(path))["name"].astype(str).tolist() == kept


def test_line_breaks_in_quotes_in_a_large_file(tmp_path: Path) -> None:
    n = 120_000
    lines = [f'X{i},{i % 360},2,0.8,"two\nlines, ""{"y" * 60}"""\n' for i in range(n)]
    path = save(tmp_path, "name,ra,dec,pos_err,note\n" + "".join(lines))
    assert path.stat().st_size > 9 << 20
    found = rows(path, asked())
    assert found["native_id"].tolist() == [f"X{i}".encode() for i in range(n)]
    assert found["ra"].tolist() == [i % 360 for i in range(n)]


def test_a_long_text_is_read_and_a_longer_line_refused(tmp_path: Path) -> None:
    note = '"' + "a line\n" * 1_300_000 + '"'
    head = "name,ra,dec,pos_err,note\n" + "".join(f"A{i},1,2,0.8,x\n" for i in range(3))
    found = rows(save(tmp_path, f"{head}B,3,4,0.8,{note}\nC,5,6,0.8,x\n"), asked())
    assert found["native_id"].tolist() == [b"A0", b"A1", b"A2", b"B", b"C"]
    assert found["ra"].tolist() == [1, 1, 1, 3, 5]
    assert "is this a text table?" in refused(save(tmp_path, b"x" * (18 << 20)), asked())
    message = refused(save(tmp_path, PLAIN.replace("pos_err", "e" * 100_000, 1)), asked())
    assert message == "the name of column 4 has 100,000 characters; is this a text table?"
    message = refused(save(tmp_path, PLAIN.replace("pos_err", "e" * 200_000, 1)), asked())
    assert message.startswith("the names of the columns cannot be read: field larger than field limit")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (PLAIN.replace("X3", '"X3'), "row 4 has 1 values, the header 4"),
        (PLAIN.replace("0.8\nX3", '"0.8\nX3'), "a value in quotes runs over several rows"),
        (PLAIN.replace("X2", '"X2').replace("X4", '"X4'), "a value in quotes runs over several rows, from 'X2,150.04"),
        (PLAIN[:-15], "row 6 has 2 values, the header 4; is the file cut off"),
        (PLAIN.replace("name", "na\0me"), "the names of the columns have NUL bytes"),
        (PLAIN.replace("name,ra", "name,ra,ra"), "column 'ra' occurs 2 times"),
        ("", "there is no column 'name'"),
        (PLAIN.replace("X3,150.060000", "X3,150,06"), "row 4 has 5 values, the header 4"),
    ],
)
def test_damaged_text_is_refused(tmp_path: Path, content: str, message: str) -> None:
    definition = Definition.from_dict(asked().as_dict() | {"format": "csv"})
    assert message in refused(save(tmp_path, content), definition)


def test_a_last_line_without_an_end_is_told(tmp_path: Path) -> None:
    cut = save(tmp_path, PLAIN[:-4])
    with open_table(cut, asked()) as reader:
        assert reader.remarks == [
            f"{cut}: WARNING: the last line has no end ('X5,150.100000,2.050000,'): is the file cut off there?"
        ]
    for whole in (PLAIN, PLAIN.replace("\n", "\r"), PLAIN.encode("utf-16")):
        with open_table(save(tmp_path, whole), asked()) as reader:
            assert reader.remarks == []


def test_an_endless_skip_ends_with_the_file(tmp_path: Path) -> None:
    message = refused(save(tmp_path, PLAIN), asked(read={"skip": 10**30}))
    assert message == f"has only 7 lines to skip, 'skip' says {10**30:,}"
    assert "'skip_after_header' says 7" in refused(save(tmp_path, PLAIN), asked(read={"skip_after_header": 7}))


# --- VizieR, MRT -------------------------------------------------------------------------------------------------


def test_vizier_with_units_and_sexagesimal_positions(tmp_path: Path) -> None:
    text = (
        "#RESOURCE=yCat_1\n#Column RAJ2000 (A12) Right ascension\n\nName\tRAJ2000\tDEJ2000\tePos\tFlux\n"
        '\t"h:m:s"\t"d:m:s"\tarcsec\tmW/m2\n----\t-----------\t-----------\t----\t--------\n'
        "A1\t10 00 00.00\t+02 00 00.0\t0.8\t1.20E-15\nA2\t10 00 04.80\t-00 00 36.0\t0.8\t\n"
    )
    for name in ("t.tsv", "t.tsv.gz"):
        facts = describe(save(tmp_path, text, name))
        assert [c.unit for c in facts.columns] == ["", '"h:m:s"', '"d:m:s"', "arcsec", "mW/m2"]
        found = rows(facts.source, guess(facts).definition.model_copy(update={"read": facts.read}))
        assert found["ra"] == pytest.approx([150, 150.02], abs=1e-9)
        assert found["dec"] == pytest.approx([2, -0.01], abs=1e-9)
        assert take(facts)["Flux"].tolist() == [1.2e-15, None]


@pytest.mark.parametrize("kind", ["t.mrt", "t.mrt.gz", "table1.dat", "table1.dat.gz", "CR", "latin-1"])
def test_fixed_width_tables(tmp_path: Path, kind: str) -> None:
    name = kind if "." in kind else "t.mrt"
    text = MRT + MRT_ROWS
    if name.startswith("table1"):
        summary = " FileName Lrecl Records Explanations\nReadMe 80 . This file\ntable1.dat 41 3 The table\n"
        save(tmp_path, summary + MRT.replace("t.txt", "table1.dat"), "ReadMe")
        text = MRT_ROWS
    content = (
        text.replace("\n", "\r").encode() if kind == "CR" else text.replace("Title: A", "Title: Á").encode("latin-1")
    )
    path = save(tmp_path, content, name)
    error = {"convention": "axis_1sigma", "columns": "PosErr", "floor_arcsec": 0.3}
    definition = asked(MRT_COLUMNS, position_error=error, nulls=["-", "--"])
    found = rows(path, definition)
    assert found["native_id"].tolist() == [b"0012", b"A2", b"A3"]
    assert found["ra"] == pytest.approx([150, 150.02, 150.04], abs=1e-9)
    assert found["dec"] == pytest.approx([2, -0.01, 2.02], abs=1e-9)
    assert found["err_arcsec"] == pytest.approx([0.8, 0.8, 0.3])
    assert found["flux_cgs"] == pytest.approx([1.2e-15, 3e-15, np.nan], nan_ok=True)


def test_limit_flags_of_a_fixed_width_table_are_believed(tmp_path: Path) -> None:
    flag = "      42 A1     ---      l_Flux   Limit flag on Flux\n"
    head, rows_ = MRT.replace("  34- 41", flag + "  34- 41"), ["1.20E-15 ", "3.00E-15<", "2.00E-15>"]
    lines = "".join(f"A{i}   10 00 0{i}.00 +02 00 00.0 0.8 {row}\n" for i, row in enumerate(rows_))
    error = {"convention": "axis_1sigma", "columns": "PosErr"}
    found = rows(save(tmp_path, head + lines, "t.mrt"), asked(MRT_COLUMNS, position_error=error))
    assert found["flux_cgs"] == pytest.approx([1.2e-15, np.nan, np.nan], nan_ok=True)
    assert found["flux_upper_cgs"] == pytest.approx([np.nan, 3e-15, np.nan], nan_ok=True)
    facts = describe(tmp_path / "t.mrt")
    assert take(facts)["Flux"].tolist() == [1.2e-15, 3e-15, 2e-15]
    assert "WARNING: the limit flags l_Flux are not looked at: limits are taken as values" in facts.messages[0]


def test_a_fixed_width_table_has_the_rows_that_its_readme_states(tmp_path: Path) -> None:
    summary = " FileName Lrecl Records Explanations\ntable1.dat 41 4 The table\n"
    save(tmp_path, summary + MRT.replace("t.txt", "table1.dat"), "ReadMe")
    path = save(tmp_path, MRT_ROWS, "table1.dat")
    definition = asked(MRT_COLUMNS, position_error={"convention": "axis_1sigma", "constant": 1.0})
    assert refused(path, definition) == "the header promises 4 rows, the file has 3"
    bad = save(tmp_path, MRT.replace("6-  7", "7-  6") + MRT_ROWS, "bad.mrt")
    assert "places column 'RAh' in no bytes of a row" in refused(bad, definition)
    bad = save(tmp_path, MRT.replace("mW/m2", "10+999999999W") + MRT_ROWS, "bad.mrt")
    assert "a unit with an impossible power of ten" in refused(bad, definition)


@pytest.mark.parametrize("wanted", [None, Wanted(ra="RAh", dec="DEd")])
def test_a_position_in_seven_columns_is_found(tmp_path: Path, wanted: Wanted | None) -> None:
    facts = describe(save(tmp_path, MRT + MRT_ROWS, "t.mrt"))
    guessed = guess(facts, wanted)
    assert "t: position from RAh, RAm, RAs, DE-, DEd, DEm, DEs (name)" in guessed.messages[0]
    with facts.open() as reader:
        out = [convert(chunk, guessed.definition) for chunk in reader]
    assert out[0].columns["ra"] == pytest.approx([150, 150.02], abs=1e-9)
    assert out[0].columns["dec"] == pytest.approx([2, -0.01], abs=1e-9)
    assert out[0].rejects.reason == ["no positional error"]
    spec = guess_position(facts, [])
    assert spec is not None
    assert spec[1].from_ == ("DE-", "DEd", "DEm", "DEs")


# --- ECSV --------------------------------------------------------------------------------------------------------

ECSV = """\
# %ECSV 1.0
# ---
# datatype:
# - {name: name, datatype: string}
# - {name: ra, datatype: float64, unit: deg}
# - {name: dec, datatype: float64, unit: deg}
# - {name: pos_err, datatype: float64, unit: arcsec}
"""
ECSV_ROWS = PLAIN.replace(",", " ")


def test_ecsv_with_a_byte_order_mark_and_any_line_ends(tmp_path: Path) -> None:
    for text in (ECSV + ECSV_ROWS, "\ufeff" + (ECSV + ECSV_ROWS).replace("\n", "\r\n")):
        assert rows(save(tmp_path, text, "t.ecsv"), asked())["ra"] == pytest.approx(RA)
    Table({"name": ["a"], "ra": [1.0], "dec": [2.0], "pos_err": [0.5], "spec": [[1, 2]]}).write(tmp_path / "a.ecsv")
    assert rows(tmp_path / "a.ecsv", asked())["ra"].tolist() == [1.0]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("datatype:\n", "datatype: 3\n# other:\n", "'datatype' of the header is not a list of columns"),
        ("{name: ra, datatype: float64, unit: deg}", "7", "'datatype' of the header is not a list of columns"),
        ("{name: ra, ", "{name: [ra], ", "does not describe column 2 as name, type, unit"),
        ("{name: ra, ", "{", "does not describe column 2 as name, type, unit"),
        ("{name: ra, datatype: float64", "{name: ra, datatype: float65", "has the type 'float65', which is unknown"),
        ("# datatype:\n", "# delimiter: ab\n# datatype:\n", "a delimiter that is neither a blank nor a comma"),
        ("# datatype:\n", "# deep: " + "[" * 3000 + "\n# datatype:\n", "not valid YAML: nested more than 40 levels"),
        ("# datatype:\n", "# l: &l [*l]\n# datatype:\n", "not valid YAML: '*l' contains itself"),
        (
            "# - {name: dec, datatype: float64, unit: deg}\n",
            "",
            "describes 3 columns (name, ra, pos_err), but the line of",
        ),
        (
            "name ra dec",
            "name dec ra",
            "describes 4 columns (name, ra, dec, pos_err), but the line of names has 4 (name",
        ),
        ("%ECSV 1.0\n# ---\n", "%ECSV 1.0\n# ---\n# a: [\n", "the header is not valid YAML"),
    ],
)
def test_a_wrong_ecsv_header_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = (ECSV + ECSV_ROWS).replace(old, new, 1)
    assert text != ECSV + ECSV_ROWS
    assert message in refused(save(tmp_path, text, "t.ecsv"), asked())
