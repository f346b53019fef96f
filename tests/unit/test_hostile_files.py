"""Files that lie, or that never end: refused in words before anything is allocated, fetched or waited for."""

from __future__ import annotations

import base64
import bz2
import gzip
import lzma
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.coordinates import FK4, FK5, ICRS, Galactic, SkyCoord
from astropy.io import fits
from astropy.io.fits.verify import VerifyWarning
from astropy.io.votable import from_table
from astropy.table import Table

from xcat.catalogues import Definition
from xcat.errors import InputError
from xcat.ingest import files, frames
from xcat.ingest.convert import Converted, convert
from xcat.ingest.files import belied, named_table, sniff
from xcat.ingest.readers import open_table
from xcat.tables.facts import describe, take
from xcat.tables.guess import guess

N = 300  # rows of 36 bytes: they fill several blocks


def definition(read: dict[str, Any] | None = None, kind: str = "xray_detections", **columns: Any) -> Definition:
    plain = {"native_id": "NAME", "ra": "RA", "dec": "DEC"} | columns
    about = {"name": "test", "title": "T", "kind": kind, "citation": "-", "read": read or {}, "columns": plain}
    if kind == "optical":
        about["sky"] = {"area_deg2": 1.0}
    return Definition.from_dict(about | {"position_error": {"convention": "axis_1sigma", "columns": "POSERR"}})


def table(n: int = N) -> Table:
    return Table(
        {
            "NAME": [f"S{i}" for i in range(n)],
            "RA": 150 + np.arange(n) / 100,
            "DEC": np.linspace(-2, 2, n),
            "POSERR": np.full(n, 0.8),
            "count": np.arange(n),
        },
        units={"RA": "deg", "DEC": "deg", "POSERR": "arcsec"},
    )


def fits_file(path: Path, n: int = N) -> Path:
    table(n).write(path, format="fits", overwrite=True)
    return path


def votable_file(path: Path, form: str = "tabledata") -> Path:
    from_table(table(10)).to_xml(str(path), tabledata_format=form)
    return path


def rows_of(path: Path | str, asked: Definition | None = None) -> Converted:
    asked = asked or definition()
    with open_table(path, asked) as reader:
        (only,) = [convert(chunk, asked) for chunk in reader]
    return only


def remarks_of(path: Path | str, asked: Definition | None = None) -> list[str]:
    with open_table(path, asked or definition()) as reader:
        return [remark.removeprefix(f"{reader.path}: ") for remark in reader.remarks]


def refusal(path: Path | str, asked: Definition | None = None) -> str:
    start = time.monotonic()
    with pytest.raises(InputError) as caught, open_table(path, asked or definition()) as reader:
        list(reader)
    assert time.monotonic() - start < 10
    assert len(str(caught.value)) < 1000
    return str(caught.value)


# --- what is opened ----------------------------------------------------------------------------------------


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link.csv").symlink_to(tmp_path / "fifo")
    (tmp_path / "zero.csv").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        for name, what in (
            ("fifo", "a named pipe"), ("link.csv", "a named pipe"), ("zero.csv", "a device"), ("socket", "a socket"),
            (".", "a folder"),
        ):  # fmt: skip
            assert f"this is {what}; only regular files are read" in refusal(tmp_path / name)
            with pytest.raises(InputError, match=f"this is {what}"):
                describe(tmp_path / name)
    (tmp_path / "round.csv").symlink_to(tmp_path / "round.csv")
    assert "cannot be read" in refusal(tmp_path / "round.csv")
    assert "cannot be read" in refusal("a\0b")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b" \n\n", "the file is empty"),
        (bytes(100_000), "begins with 65,536 zero bytes"),
        (b"<!DOCTYPE html><html><body>503</body></html>", "this is a web page"),
        (b"PK\x03\x04" + b"x" * 100, "a zip archive or a spreadsheet"),
        (b"7z\xbc\xaf\x27\x1c" + b"x" * 100, "a 7z archive"),
        (b"name".ljust(257, b"\0") + b"ustar  \0" + bytes(300), "a tar archive"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "an HDF5 file"),
        (gzip.compress(gzip.compress(b"NAME,RA,DEC,POSERR\n", mtime=0), mtime=0), "packed more than once"),
        (np.random.default_rng(1).bytes(5000), "neither text nor FITS, VOTable or Parquet"),
    ],
)
@pytest.mark.parametrize("name", ["t.fits", "t.csv"])
def test_what_is_no_table_is_said_in_words(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert message in refusal(tmp_path / name)


def zstd(content: bytes) -> bytes:
    out = pa.BufferOutputStream()
    with pa.CompressedOutputStream(out, "zstd") as stream:
        stream.write(content)
    return bytes(out.getvalue().to_pybytes())


@pytest.mark.parametrize(
    ("ending", "pack"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress), ("zst", zstd)]
)
def test_every_packing_is_read_and_a_cut_one_is_refused(
    tmp_path: Path, ending: str, pack: Callable[[bytes], bytes]
) -> None:
    table().write(tmp_path / "t.csv", format="ascii.csv")
    pq.write_table(pa.table({n: table()[n].tolist() for n in table().colnames}), tmp_path / "t.parquet")
    fits_file(tmp_path / "t.fits"), votable_file(tmp_path / "t.vot", "binary2")
    for name in ("t.csv", "t.parquet", "t.fits", "t.vot"):
        content = pack((tmp_path / name).read_bytes())
        packed = tmp_path / f"{name}.{ending}"
        packed.write_bytes(content)
        whole, again = rows_of(tmp_path / name), rows_of(packed)
        assert again.columns["ra"].tolist() == whole.columns["ra"].tolist()
        assert remarks_of(packed) == []
        packed.write_bytes(content[: len(content) // 2])
        refusal(packed)


def test_a_name_that_belies_the_content_is_told(tmp_path: Path) -> None:
    path = fits_file(tmp_path / "t.csv")
    assert remarks_of(path) == ["by its content this is FITS, whatever its name says; read so"]
    packed = tmp_path / "t.vot"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert remarks_of(packed) == ["by its content this is packed with gzip and FITS, whatever its name says; read so"]
    assert belied(path, sniff(path)) == list(describe(path).messages)


def test_a_file_that_unpacks_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_MOST_UNPACKED_BYTES", 1 << 20)
    for name, head in (("t.csv.gz", b"NAME,RA,DEC,POSERR\n"), ("t.fits.gz", fits_file(tmp_path / "t").read_bytes())):
        (tmp_path / name).write_bytes(gzip.compress(head + b"0" * (10 << 20)))
        assert "unpacks to more than 200 times its" in refusal(tmp_path / name)


# --- FITS --------------------------------------------------------------------------------------------------


def lied(path: Path, keyword: str, value: str) -> Path:
    """Overwrite the value of a header card, byte by byte."""
    content = bytearray(fits_file(path).read_bytes())
    at = content.index(keyword.ljust(8).encode() + b"=", 2880)
    content[at : at + 80] = f"{keyword:8}= {value:>20}".ljust(80).encode()
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("keyword", "value", "message"),
    [
        ("NAXIS2", "1", "after the 1 rows that extension 1 promises there are more bytes"),
        ("NAXIS2", str(N - 1), "after the 299 rows that extension 1 promises there are more bytes"),
        ("NAXIS2", str(N + 1000), "the file is cut off after row 320 of 1,300"),
        ("NAXIS2", "1000000000000000", "cut off after row"),
        ("NAXIS2", "-1", "NAXIS2 of extension 1 is -1, but must be a whole number from 0"),
        ("NAXIS2", "T", "NAXIS2 of extension 1 is True, but must be"),
        ("NAXIS1", "37", "header promises|the columns take 37|after the|more bytes|the header says"),
        ("NAXIS", "1000000000", "NAXIS of extension 1 is 1000000000, but must be a whole number from 0 to 999"),
        ("NAXIS", "1", "NAXIS of extension 1 is 1, but must be 2"),
        ("TFIELDS", "1000000000", "TFIELDS of extension 1 is 1000000000, but must be a whole number from 0 to 999"),
        ("TFIELDS", "9" * 20, "TFIELDS of extension 1 is 9"),
        ("TFIELDS", "6", "TFORM6 of extension 1 is missing"),
        ("TFIELDS", "4", "the columns take 28 bytes per row, the header says 36"),
        ("BITPIX", "16", "BITPIX of extension 1 is 16, but must be 8"),
        ("BITPIX", "1000000", "BITPIX of extension 1 is 1000000, but must be 8"),
        ("GCOUNT", "0", "GCOUNT of extension 1 is 0, but must be 1"),
        ("PCOUNT", "-1", "PCOUNT of extension 1 is -1, but must be"),
        ("PCOUNT", "1000000000", "cut off"),
        ("TFORM2", "'Z       '", "TFORM2 of extension 1 .column 'RA'. is 'Z', which is no format"),
        ("TFORM2", "'-5E     '", "is '-5E', which is no format"),
        ("TFORM2", "'E       '", "the columns take 32 bytes per row, the header says 36"),
        ("TFORM2", "'999999999999D'", "the columns take"),
        ("TUNIT2", "'deg", "header card TUNIT2 of extension 1 cannot be read"),
    ],
)
def test_a_fits_header_that_lies_is_refused(tmp_path: Path, keyword: str, value: str, message: str) -> None:
    path = lied(tmp_path / "t.fits", keyword, value)
    with pytest.raises(InputError, match=message):
        rows_of(path)


def test_a_fits_file_within_a_file_and_a_header_without_end(tmp_path: Path) -> None:
    path = fits_file(tmp_path / "t.fits")
    content = path.read_bytes()
    path.write_bytes(content * 2)
    assert f"its headers promise {len(content):,} bytes, the file has {2 * len(content):,}" in refusal(path)
    path.write_bytes(content[:2880].replace(b"END  ", b"ENDE ") + b"COMMENT ".ljust(80) * 36 * 1001)
    assert "does not end within 2,880,000 bytes" in refusal(path)
    path.write_bytes(content[:-100])
    assert "ends inside the last block" in refusal(path)


def test_checksums_of_fits_and_parquet_are_verified(tmp_path: Path) -> None:
    path = tmp_path / "t.fits"
    fits.HDUList([fits.PrimaryHDU(), fits.table_to_hdu(table())]).writeto(path, checksum=True)
    assert len(rows_of(path)) == N
    content = bytearray(path.read_bytes())
    content[-4000] ^= 1
    path.write_bytes(content)
    assert "DATASUM of extension 1 is" in refusal(path)
    content[-4000] ^= 1
    at = content.index(b"TTYPE5")
    content[at + 11] ^= 1
    path.write_bytes(content)
    assert "the CHECKSUM of extension 1 differs" in refusal(path)

    path = tmp_path / "t.parquet"
    columns = {n: table()[n].tolist() for n in table().colnames}
    pq.write_table(pa.table(columns), path, write_page_checksum=True, compression="none", use_dictionary=False)
    content = bytearray(path.read_bytes())
    content[content.index(np.float64(150.01).tobytes())] ^= 1
    path.write_bytes(content)
    assert "CRC checksum" in refusal(path)


def test_a_column_without_a_name_is_read_by_its_place(tmp_path: Path) -> None:
    path = fits_file(tmp_path / "t.fits")
    content = path.read_bytes()
    at = content.index(b"TTYPE5")
    path.write_bytes(content[:at] + b"COMMENT ".ljust(80) + content[at + 80 :])
    assert len(rows_of(path)) == N
    asked = definition(n_detections="col_5")
    assert rows_of(path, asked).columns["n_detections"].tolist() == list(range(N))
    assert remarks_of(path, asked) == ["column 5 has no name; it is read as 'col_5'"]
    assert "col_5" in [c.name for c in describe(path).columns]


def test_which_of_several_tables_is_read_is_told_and_can_be_named(tmp_path: Path) -> None:
    others = "To read another, write FILE[NAME], or 'read: {hdu: NAME}' in a definition"
    path = tmp_path / "t.fits"
    hdus = [fits.PrimaryHDU(), fits.table_to_hdu(table()), fits.table_to_hdu(Table({"START": [1.0]}))]
    hdus[1].name, hdus[2].name = "SRC", "GTI"
    fits.HDUList(hdus).writeto(path)
    assert remarks_of(path) == [f"read table 1 'SRC' (300 rows); not read: 2 'GTI' (1 rows). {others}"]
    for name in ("SRC", "1", "src"):
        assert remarks_of(f"{path}[{name}]") == ["read table 1 'SRC' (300 rows); not read: 2 'GTI' (1 rows)"]
    assert "no column 'NAME'" in refusal(f"{path}[GTI]")
    assert "the tables are: 1 'SRC', 2 'GTI'" in refusal(f"{path}[NOPE]")
    assert describe(f"{path}[GTI]").columns[0].name == "START"
    assert named_table(path) == (path, None)

    path = tmp_path / "t.vot"
    document = from_table(table(10), table_id="src")
    document.resources[0].tables.extend(from_table(Table({"START": [1.0]}), table_id="gti").resources[0].tables)
    for form in ("tabledata", "binary", "binary2"):
        document.to_xml(str(path), tabledata_format=form)
        assert remarks_of(path) == [f"read table 1 'src'; not read: 2 'gti'. {others}"]
        assert len(rows_of(path)) == 10
        second = describe(f"{path}[gti]")
        assert take(second)["START"].tolist() == [1.0]
        assert "no column 'NAME'" in refusal(f"{path}[2]")


# --- VOTable -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["tabledata", "binary", "binary2"])
@pytest.mark.parametrize("status", ["ERROR", "OVERFLOW"])
def test_what_the_server_says_after_the_rows_counts(tmp_path: Path, form: str, status: str) -> None:
    path = votable_file(tmp_path / "t.vot", form)
    assert len(rows_of(path)) == 10
    info = f'<INFO name="QUERY_STATUS" value="{status}">timeout</INFO></RESOURCE>'
    path.write_text(path.read_text().replace("</RESOURCE>", info))
    said = {"ERROR": "its server answered with an error: timeout", "OVERFLOW": "cut this result off"}
    assert said[status] in refusal(path)


def with_stream(path: Path, element: str, stream: str, head: str = "") -> Path:
    fields = "".join(f'<FIELD name="{n}" datatype="double"/>' for n in ("NAME", "RA", "DEC", "POSERR"))
    path.write_text(
        f'<?xml version="1.0"?>{head}<VOTABLE xmlns:xlink="http://www.w3.org/1999/xlink" xmlns:xi="'
        f'http://www.w3.org/2001/XInclude"><RESOURCE><TABLE>{fields}<DATA><{element}>{stream}</{element}></DATA></TABLE>'
        "</RESOURCE></VOTABLE>"
    )
    return path


def test_nothing_outside_of_the_file_is_ever_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(base64.b64encode(np.ones(8, ">f8").tobytes()))
    monkeypatch.setattr(socket, "socket", None)
    for element in ("BINARY", "BINARY2"):
        for address in (f"file://{secret}", str(secret), "http://127.0.0.1:9/x", "ftp://x/y", "data:,x", "x"):
            for key in ("href", "xlink:href"):
                path = with_stream(tmp_path / "t.vot", element, f'<STREAM encoding="base64" {key}="{address}"/>')
                assert f"it refers to '{address}'; nothing is fetched or opened" in refusal(path)
    path = with_stream(tmp_path / "t.vot", "FITS", f'<STREAM href="file://{secret}"/>')
    assert "the rows are a FITS file inside the VOTable" in refusal(path)
    path = with_stream(tmp_path / "t.vot", "TABLEDATA", f'<STREAM href="file://{secret}"/>')
    assert "<STREAM> among the rows; only data inside the file are read" in refusal(path)
    path = with_stream(tmp_path / "t.vot", "TABLEDATA", f'<xi:include href="file://{secret}" parse="text"/>')
    assert "<include> among the rows" in refusal(path)
    include = '<STREAM encoding="base64"><xi:include href="file:///etc/passwd"/></STREAM>'
    path = with_stream(tmp_path / "t.vot", "BINARY", include)
    assert "inside the data of the VOTable; only data in the file are read" in refusal(path)
    for entity in (f'x SYSTEM "file://{secret}"', '% x SYSTEM "http://127.0.0.1:9/x"', 'a "aaaaaaaaaa"'):
        path = with_stream(tmp_path / "t.vot", "TABLEDATA", "&x;", f"<!DOCTYPE VOTABLE [<!ENTITY {entity}>]>")
        assert "declares entities, which could stand for other files" in refusal(path)
    assert "only base64 is read" in refusal(with_stream(path, "BINARY", '<STREAM encoding="gzip">aa</STREAM>'))
    assert "damaged" in refusal(with_stream(path, "BINARY", f'<STREAM encoding="base64">{"AAAA" * 9}</STREAM>'))


def test_a_votable_with_an_unknown_encoding_or_type(tmp_path: Path) -> None:
    path = votable_file(tmp_path / "t.vot")
    text = path.read_text()
    path.write_text(text.replace("utf-8", "nonsense"))
    assert "nonsense" in refusal(path)
    path.write_bytes(text.replace('encoding="utf-8"', 'encoding="utf-16"').encode("utf-16"))
    assert len(rows_of(path)) == 10
    path = votable_file(tmp_path / "b.vot", "binary")
    path.write_text(path.read_text().replace('datatype="double" name="DEC"', 'datatype="dooble" name="DEC"'))
    assert "DEC" in refusal(path)


def test_binary_votables_hold_every_type(tmp_path: Path) -> None:
    t = table(50)
    t["big"] = np.arange(50) + 2**62
    t["flag"] = np.arange(50) % 2 == 0
    t["small"] = np.arange(50).astype(np.uint8)
    t["single"] = np.linspace(0, 1, 50).astype(np.float32)
    t["array"] = np.ones((50, 3))
    t["words"] = np.array([f"é{i}" * (i % 7) for i in range(50)])
    t["any"] = np.array(["x" * i for i in range(50)], dtype=object)
    answers, gap = [], np.ma.MaskedArray(np.arange(50, dtype=np.int32), mask=np.arange(50) == 4)
    for form in ("tabledata", "binary", "binary2"):
        if form == "binary2":
            t["gap"] = gap  # the others have no place for it
        from_table(t).to_xml(str(tmp_path / "t.vot"), tabledata_format=form)
        facts = describe(tmp_path / "t.vot")
        assert facts.left_out == ("column 'array' (double[3]) holds arrays",)
        with facts.open(chunk_rows=7) as reader:
            chunks = [chunk.batch for chunk in reader]
        assert [b.num_rows for b in chunks] == [7] * 7 + [1]
        got = take(facts)
        answers.append({n: [v or "" for v in got[n].tolist()] for n in got.colnames})
        assert got["big"].tolist() == t["big"].tolist()
        assert got["single"].tolist() == t["single"].tolist()
    assert answers[0]["words"] == answers[1]["words"] == answers[2]["words"] == t["words"].tolist()
    assert answers[0]["any"][1:] == answers[2]["any"][1:] == t["any"].tolist()[1:]
    assert answers[2]["gap"][3:6] == [3, "", 5]
    assert answers[0]["flag"] == answers[1]["flag"] == answers[2]["flag"] == [v or "" for v in t["flag"].tolist()]


# --- frames ------------------------------------------------------------------------------------------------

FRAMES = [
    ('system="eq_FK4" equinox="B1950"', FK4(equinox="B1950"), "FK4 B1950"),
    ('system="eq_FK5" equinox="J1975"', FK5(equinox="J1975"), "FK5 J1975"),
    ('system="galactic"', Galactic(), "galactic"),
]


def votable_in(path: Path, system: str, columns: dict[str, np.ndarray], ucds: dict[str, str] | None = None) -> Path:
    fields = ""
    for name, values in columns.items():
        type_ = 'datatype="char" arraysize="*"' if values.dtype.kind == "U" else 'datatype="double"'
        ucd = (ucds or {}).get(name, "")
        ref = 'ref="s"' if name in ("RA", "DEC") else ""
        fields += f'<FIELD name="{name}" {type_} ucd="{ucd}" {ref}/>'
    cells = zip(*columns.values(), strict=True)
    rows = "".join("<TR>" + "".join(f"<TD>{c}</TD>" for c in row) + "</TR>" for row in cells)
    path.write_text(
        f'<VOTABLE><RESOURCE><COOSYS ID="s" {system}/><TABLE>{fields}<DATA><TABLEDATA>{rows}</TABLEDATA></DATA></TABLE>'
        "</RESOURCE></VOTABLE>"
    )
    return path


def moving() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    n = 20
    return {
        "NAME": np.array([f"S{i}" for i in range(n)]),
        "RA": rng.uniform(0, 360, n),
        "DEC": rng.uniform(-89, 89, n),
        "POSERR": np.full(n, 0.5),
        "PMRA": rng.normal(0, 50, n),
        "PMDEC": rng.normal(0, 50, n),
    }


@pytest.mark.parametrize(("system", "frame", "name"), FRAMES, ids=[f[2] for f in FRAMES])
def test_positions_in_another_frame_are_converted_and_said(tmp_path: Path, system: str, frame: Any, name: str) -> None:
    columns = moving()
    path = votable_in(tmp_path / "t.vot", system, columns)
    icrs = SkyCoord(columns["RA"], columns["DEC"], unit="deg", frame=frame).transform_to(ICRS())
    got = rows_of(path).columns
    assert got["ra"].tolist() == icrs.ra.deg.tolist()
    assert got["dec"].tolist() == icrs.dec.deg.tolist()
    said = f"positions (RA, DEC) are {name} by the file's own words; converted to ICRS"
    assert remarks_of(path) == [said]
    assert any(said in message for message in guess(describe(path)).messages)
    asked = definition(kind="optical", pmra_mas_yr="PMRA", pmdec_mas_yr="PMDEC")
    if name.startswith("FK4"):
        with pytest.raises(InputError, match="proper motions in FK4 B1950 cannot be converted"):
            rows_of(path, asked)
        return
    year = SkyCoord(columns["RA"], columns["DEC"], unit="deg", frame=frame)
    step = np.hypot(columns["PMRA"], columns["PMDEC"])
    then = year.directional_offset_by(
        np.degrees(np.arctan2(columns["PMRA"], columns["PMDEC"])) * SkyCoord(0, 0, unit="deg").ra.unit,
        step / 3.6e6 * SkyCoord(0, 0, unit="deg").ra.unit,
    ).transform_to(ICRS())
    out = rows_of(path, asked).columns
    east, north = icrs.spherical_offsets_to(then)
    assert out["pmra_mas_yr"] == pytest.approx(east.mas, abs=1e-4)
    assert out["pmdec_mas_yr"] == pytest.approx(north.mas, abs=1e-4)


def test_frames_that_cannot_be_converted_are_refused(tmp_path: Path) -> None:
    path = votable_in(tmp_path / "t.vot", 'system="geo_app"', moving())
    assert "are in 'geo_app' by the file's own words, which xcat cannot convert" in refusal(path)
    path = votable_in(
        tmp_path / "t.vot", 'system="ICRS"', moving(), {"RA": "pos.galactic.lon", "DEC": "pos.galactic.lat"}
    )
    assert "column 'RA' is a galactic coordinate (its UCD is pos.galactic.lon)" in refusal(path)
    path = votable_in(tmp_path / "t.vot", 'system="eq_FK5" equinox="J2000"', moving())
    assert remarks_of(path) == []


@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        ({"RADESYS": "FK4"}, "FK4 B1950"),
        ({"RADECSYS": "FK4", "EQUINOX": 1950.0}, "FK4 B1950"),
        ({"EQUINOX": 1950.0}, "FK4 B1950"),
        ({"RADESYS": "FK5", "EQUINOX": 1975.0}, "FK5 J1975"),
        ({"RADESYS": "ICRS", "EQUINOX": 2000.0}, ""),
        ({"EQUINOX": 2000.0}, ""),
        ({"TCTYP2": "GLON-CAR", "TCTYP3": "GLAT-CAR"}, "galactic"),
    ],
)
def test_frames_of_fits_headers(tmp_path: Path, keywords: dict[str, Any], said: str) -> None:
    hdu = fits.table_to_hdu(table(3))
    hdu.header.update(keywords)
    hdu.writeto(tmp_path / "t.fits")
    remarks = remarks_of(tmp_path / "t.fits")
    assert remarks == ([f"positions (RA, DEC) are {said} by the file's own words; converted to ICRS"] if said else [])


def test_frames_of_metadata(tmp_path: Path) -> None:
    t = table(3)
    t.meta["RADESYS"] = "FK4"
    t.write(tmp_path / "t.ecsv", format="ascii.ecsv")
    t.write(tmp_path / "t.parquet")
    place = SkyCoord(t["RA"], t["DEC"], frame="fk4")
    mixed = Table({"NAME": t["NAME"], "at": place, "POSERR": t["POSERR"]})
    mixed.write(tmp_path / "mixed.ecsv", format="ascii.ecsv")
    for name, asked in (
        ("t.ecsv", definition()),
        ("t.parquet", definition()),
        ("mixed.ecsv", definition(ra="at.ra", dec="at.dec")),
    ):
        assert rows_of(tmp_path / name, asked).columns["ra"] == pytest.approx(place.icrs.ra.deg, abs=1e-12)
        assert "FK4 B1950" in remarks_of(tmp_path / name, asked)[0]


def test_names_of_frames() -> None:
    assert frames.named("eq_FK4", "B1950", "B1981.5") == "FK4 B1950 at 1981.5"
    assert frames.named("ecl_FK5") == "ecliptic J2000"
    assert frames.named("supergalactic") == "supergalactic"
    assert frames.named("FK5", "often") == "?FK5 of equinox often"
    assert frames.of_name("RAJ2000", "FK4 B1950") == ""
    assert frames.of_name("RAB1950", "") == "FK4 B1950"
    ra, dec, turn = frames.to_icrs(np.array([120.0, np.nan]), np.array([3.0, 0.0]), "galactic")
    there = SkyCoord(120, 3, unit="deg", frame="galactic").icrs
    assert (ra[0], dec[0]) == (there.ra.deg, there.dec.deg)
    assert np.isnan([ra[1], dec[1], turn[1]]).all()


# --- Parquet and text --------------------------------------------------------------------------------------


def parquet_file(path: Path, **columns: Any) -> Path:
    plain = {"NAME": ["a", "b"], "RA": [1.0, 2.0], "DEC": [3.0, 4.0], "POSERR": [0.5, 0.5]}
    pq.write_table(pa.table(plain | columns), path)
    return path


def test_a_text_with_a_nul_rejects_its_row_only(tmp_path: Path) -> None:
    path = parquet_file(tmp_path / "t.parquet", NAME=["a\0\0", "b\0c"], unused=["x\0y", "z"])
    got = rows_of(path)
    assert got.columns["native_id"].tolist() == [b"a"]
    assert got.rejects.row_number.tolist() == [2]
    assert (got.rejects.column_name, got.rejects.value) == (["NAME"], ["b\ufffdc"])
    path = parquet_file(tmp_path / "t.parquet", NAME=[b"a", b"\xff\xfe"])
    assert rows_of(path).rejects.reason == ["text with bytes that text cannot have"]


def test_a_damaged_text_that_is_not_needed_is_left_empty(tmp_path: Path) -> None:
    asked = definition(obs_id="obs", mjd="t")
    asked = asked.model_copy(update={"read": asked.read.model_copy(update={"only": {"take": ("yes",)}})})
    columns = {"obs": ["a\0b", "c", "d"], "t": [b"55000.5", b"\xff", b"1"], "take": ["yes", "n\0o", "no"]}
    more = {name: 3 * values[:1] for name, values in (("RA", [1.0]), ("DEC", [3.0]), ("POSERR", [0.5]))}
    got = rows_of(parquet_file(tmp_path / "t.parquet", NAME=["a", "b", "c"], **more, **columns), asked)
    assert (got.columns["obs_id"].tolist(), got.columns["mjd"].tolist()) == ([b""], [55000.5])
    reason = "text with bytes that text cannot have"
    assert (got.emptied.column_name, got.emptied.reason) == (["obs"], [f"{reason}; value left empty"])
    # whether it is wanted nobody knows
    assert (got.rejects.row_number.tolist(), got.rejects.column_name, got.rejects.reason) == ([2], ["take"], [reason])
    assert got.n_skipped == 1


@pytest.mark.parametrize(
    ("values", "ids"),
    [
        (pa.array([2**64 - 1, 0], pa.uint64()), [b"18446744073709551615", b"0"]),
        (pa.array([-(2**63), 2**63 - 1], pa.int64()), [b"-9223372036854775808", b"9223372036854775807"]),
        (pa.array([7, 255], pa.uint8()), [b"7", b"255"]),
        (pa.array([b"ab", b"c"], pa.large_binary()), [b"ab", b"c"]),
        (pa.array(["x", "y"]).dictionary_encode(), [b"x", b"y"]),
        (pa.array(["x", "y"], pa.string_view()), [b"x", b"y"]),
        (pa.array([12345678901234567890, 1], pa.decimal128(20, 0)), [b"12345678901234567890", b"1"]),
    ],
)
def test_an_identifier_of_any_type_keeps_its_digits(tmp_path: Path, values: pa.Array, ids: list[bytes]) -> None:
    path = parquet_file(tmp_path / "t.parquet", NAME=values, lists=[[1], [2, 3]], deep=[{"a": 1}, {"a": None}])
    assert rows_of(path).columns["native_id"].tolist() == ids
    assert take(describe(path))["NAME"].astype(str).tolist() == [i.decode() for i in ids]


def test_times_and_durations_in_parquet(tmp_path: Path) -> None:
    stamps = pa.array(["2010-01-02T12:00:00", None]).cast(pa.timestamp("ns"))
    path = parquet_file(tmp_path / "t.parquet", t=stamps, d=pa.array([1500, 2], pa.duration("ms")))
    with_time = rows_of(path, definition(mjd={"from": "t", "transform": "iso_time"}, exposure_s="d")).columns
    assert with_time["mjd"][0] == 55198.5
    assert np.isnan(with_time["mjd"][1])
    assert with_time["exposure_s"].tolist() == [1.5, 0.002]
    wrong = refusal(path, definition(mjd="t"))
    assert "column 't' holds timestamp[ns], not numbers; read it so: mjd: {from: t, transform: iso_time}" in wrong


def test_blanks_around_names_do_not_matter(tmp_path: Path) -> None:
    columns = {"NAME": ["a"], "Ra ": [1.0], " Dec": [2.0], "POSERR": [0.5]}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    with pytest.warns(VerifyWarning):
        Table(columns).write(tmp_path / "t.fits")
    for name in ("t.parquet", "t.fits"):
        asked = definition(ra="Ra", dec="Dec ")
        assert rows_of(tmp_path / name, asked).columns["ra"].tolist() == [1.0]
        assert take(describe(tmp_path / name)).colnames == ["NAME", "Ra", "Dec", "POSERR"]
    assert take(describe(Table(columns))).colnames == ["NAME", "Ra", "Dec", "POSERR"]


def test_a_parquet_footer_that_contradicts_itself_is_refused(tmp_path: Path) -> None:
    path = parquet_file(tmp_path / "t.parquet")
    content = path.read_bytes()
    path.write_bytes(content * 2)
    assert "another Parquet file begins" in refusal(path)
    wrong = pa.schema([("NAME", pa.string()), ("RA", pa.int64()), ("DEC", pa.float64()), ("POSERR", pa.float64())])
    rows = pq.read_table(parquet_file(path))
    with pq.ParquetWriter(path, rows.schema, store_schema=False) as writer:
        writer.write(rows)
        writer.add_key_value_metadata({"ARROW:schema": base64.b64encode(wrong.serialize().to_pybytes()).decode()})
    assert "the types in the footer contradict those that were written ('RA')" in refusal(path)
