"""Readers: every format gives the same rows, and damaged files are refused by name and row."""

from __future__ import annotations

import gzip
import shutil
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.io.votable import from_table
from astropy.table import MaskedColumn, Table

from xcat.catalogues import Definition
from xcat.errors import InputError
from xcat.ingest.convert import convert
from xcat.ingest.opened import RawChunk
from xcat.ingest.readers import open_table, sniff

N = 25


def chunks_of(path: Path, definition: Definition, **options: int) -> list[RawChunk]:
    with open_table(path, definition, **options) as reader:
        return list(reader)


def definition(read: dict[str, Any] | None = None, **columns: Any) -> Definition:
    return Definition.from_dict(
        {
            "name": "test", "title": "T", "kind": "xray_detections", "citation": "-", "nulls": [-99],
            "flux_band_kev": [0.5, 7],
            "position_error": {"convention": "axis_1sigma", "columns": "err"},
            "columns": {"native_id": "id", "ra": "RA", "dec": "DEC", "flux_cgs": "flux", "obs_id": "obs"} | columns,
            "read": read or {},
        }
    )  # fmt: skip


def table() -> Table:
    flux = MaskedColumn(np.arange(N) * 1e-14, mask=np.arange(N) == 3)
    t = Table(
        {
            "extra": np.arange(N) * 2,
            "id": np.arange(N) + 2**53,
            "RA": np.linspace(0, 359, N),
            "DEC": np.linspace(-90, 90, N),
            "err": np.full(N, 0.5, np.float32),
            "flux": flux,
            "obs": [f"obs {i}" for i in range(N)],
        }
    )
    t["RA"].unit = t["DEC"].unit = "deg"
    t["err"].unit = "arcsec"
    return t


MRT_HEAD = """\
Title: A table
================================================================================
Byte-by-byte Description of file: t.txt
--------------------------------------------------------------------------------
   Bytes Format Units  Label Explanations
--------------------------------------------------------------------------------
   1- 16 I16    ---    id    Identifier
  18- 29 F12.7  deg    RA    Right ascension
  31- 42 F12.7  deg    DEC   Declination
  44- 46 F3.1   arcsec err   Error
  48- 56 E9.3   ---    flux  ?=-99 Flux
  58- 63 A6     ---    obs   Observation
--------------------------------------------------------------------------------
"""


def mrt_rows(t: Table) -> str:
    return "".join(
        f"{r['id']:16d} {r['RA']:12.7f} {r['DEC']:12.7f} {r['err']:3.1f} "
        f"{'      -99' if r['flux'] is np.ma.masked else format(r['flux'], '9.3e')} {r['obs']:6s}\n"
        for r in t
    )


def write(folder: Path, kind: str) -> Path:
    t = table()
    path = folder / f"t.{kind}"
    if kind == "parquet":  # astropy's own writer drops the mask
        columns = {n: pa.array(np.ma.getdata(t[n]), mask=np.ma.getmaskarray(t[n])) for n in t.colnames}
        pq.write_table(pa.table(columns), path)
    elif kind in ("fits", "ecsv", "csv"):
        t.write(path, format={"ecsv": "ascii.ecsv", "csv": "ascii.csv"}.get(kind, kind))
    elif kind.endswith(".gz"):
        plain = write(folder, kind.removesuffix(".gz"))
        with plain.open("rb") as source, gzip.open(path, "wb") as target:
            shutil.copyfileobj(source, target)
    elif kind.startswith("vot"):
        from_table(t).to_xml(str(path), tabledata_format={"vot": "tabledata"}.get(kind, kind.removeprefix("vot_")))
    elif kind == "mrt":
        path.write_text(MRT_HEAD + mrt_rows(t))
    elif kind == "dat":
        (folder / "ReadMe").write_text(MRT_HEAD.replace("t.txt", "t.dat"))
        path.write_text(mrt_rows(t))
    elif kind == "padded":
        rows = [
            " id | RA |DEC| err | flux | obs | extra",
            *(
                f' {r["id"]} |"{r["RA"]!s}"| {r["DEC"]!s} |0.5 | {"" if r["flux"] is np.ma.masked else r["flux"]!s} '
                f'| "{r["obs"]}" | 1'
                for r in t
            ),
        ]
        path.write_text("\n# junk\n" + "\n".join(rows) + "\n")
    return path


KINDS = [
    "fits",
    "fits.gz",
    "ecsv",
    "csv",
    "csv.gz",
    "parquet",
    "vot",
    "vot.gz",
    "vot_binary",
    "vot_binary2",
    "mrt",
    "dat",
    "padded",
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_gives_the_same_rows(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path, kind)
    read: dict[str, Any] = {"dat": {}, "padded": {"skip": 1, "comment": "#"}}.get(kind, {})
    asked = definition(read)
    if kind == "dat":
        asked = Definition.from_dict(asked.as_dict() | {"format": "mrt"})
    with open_table(path, asked, chunk_rows=10) as reader:
        chunks = list(reader)
        assert reader.n_rows in (None, N)
    assert [c.first_row for c in chunks] == list(np.cumsum([1, *(c.n_rows for c in chunks[:-1])]))
    out = [convert(c, asked) for c in chunks]
    assert sum(len(o.rejects) for o in out) == 0
    together = {k: np.concatenate([o.columns[k] for o in out]) for k in out[0].columns}
    assert together["native_id"].tolist() == [str(i + 2**53).encode() for i in range(N)]
    assert together["ra"] == pytest.approx(np.linspace(0, 359, N), abs=1e-7)
    assert together["dec"] == pytest.approx(np.linspace(-90, 90, N), abs=1e-7)
    assert together["err_arcsec"].tolist() == [0.5] * N
    assert np.flatnonzero(np.isnan(together["flux_cgs"])).tolist() == [3]
    assert together["flux_cgs"][4] == pytest.approx(4e-14)
    assert together["obs_id"].tolist() == [f"obs {i}".encode() for i in range(N)]


def test_binary_formats_keep_every_bit(tmp_path: Path) -> None:
    for kind in ("fits", "parquet", "vot", "ecsv", "csv"):
        (chunk,) = chunks_of(write(tmp_path, kind), definition())
        out = convert(chunk, definition()).columns
        assert out["ra"].tolist() == np.linspace(0, 359, N).tolist()


def test_chunks_bound_the_rows_in_memory(tmp_path: Path) -> None:
    for kind in ("fits", "parquet", "vot", "mrt"):
        with open_table(write(tmp_path, kind), definition(), chunk_rows=10) as reader:
            assert [c.n_rows for c in reader] == [10, 10, 5]


def test_only_the_columns_in_use_are_read(tmp_path: Path) -> None:
    for kind in ("fits", "ecsv", "csv", "parquet", "vot", "vot_binary", "mrt"):
        (chunk,) = chunks_of(write(tmp_path, kind), definition())
        assert chunk.batch.schema.names == ["id", "RA", "DEC", "flux", "obs", "err"]


# --- FITS --------------------------------------------------------------------------------------------------


def fits_file(path: Path, *columns: fits.Column) -> Path:
    n = len(columns[0].array)
    always = [
        fits.Column("id", "J", array=np.arange(n)),
        fits.Column("RA", "D", array=np.full(n, 10.0)),
        fits.Column("DEC", "D", array=np.full(n, 10.0)),
        fits.Column("err", "D", array=np.full(n, 1.0)),
        fits.Column("flux", "D", array=np.full(n, 1.0)),
        fits.Column("obs", "4A", array=np.array(["a"] * n)),
    ]
    names = {c.name for c in columns}
    hdu = fits.BinTableHDU.from_columns([*columns, *(c for c in always if c.name not in names)])
    hdu.writeto(path, overwrite=True)
    return path


def test_fits_integers_with_nulls_scales_and_signs(tmp_path: Path) -> None:
    path = fits_file(
        tmp_path / "t.fits",
        fits.Column("flux", "I", null=-32768, array=np.array([1, -32768, 3], np.int16)),
        fits.Column("id", "K", bzero=2**63, array=np.array([0, 2**63, 2**64 - 1], np.uint64)),
        fits.Column("err", "I", array=np.array([0, 1, 2])),
        fits.Column("flag", "L", array=np.array([True, False, True])),
        fits.Column("n", "J", bzero=2**31, array=np.array([5, 6, 7], np.uint32)),
    )
    fits.setval(path, "TSCAL3", value=0.5, ext=1)
    fits.setval(path, "TZERO3", value=1.0, ext=1)
    asked = definition(quality_flag={"from": "flag", "transform": "flags"}, n_detections="n")
    (chunk,) = chunks_of(path, asked)
    out = convert(chunk, asked).columns
    assert out["native_id"].tolist() == [b"0", str(2**63).encode(), str(2**64 - 1).encode()]
    assert np.isnan(out["flux_cgs"]).tolist() == [False, True, False]
    assert out["err_arcsec"].tolist() == [1.0, 1.5, 2.0]
    assert out["quality_flag"].tolist() == [1, 0, 1]
    assert out["n_detections"].tolist() == [5, 6, 7]


def test_fits_names_do_not_tell_case_apart_and_text_may_be_latin1(tmp_path: Path) -> None:
    path = fits_file(
        tmp_path / "t.fits",
        fits.Column("FLUX", "E", array=np.array([2.0, 3.0])),
        fits.Column("flux_", "E", array=np.zeros(2)),
        fits.Column("obs", "4A", array=np.array([b"a\xe9  ", b"b"])),
    )
    hdus = fits.open(path)
    hdus[1].columns["flux"].name = "other"
    hdus.writeto(path, overwrite=True)
    hdus.close()
    (chunk,) = chunks_of(path, definition())
    out = convert(chunk, definition()).columns
    assert out["flux_cgs"].tolist() == [2.0, 3.0]
    assert out["obs_id"].tolist() == ["aé".encode(), b"b"]


def test_a_fits_extension_by_name(tmp_path: Path) -> None:
    path = tmp_path / "t.fits"
    hdus = fits.HDUList([fits.PrimaryHDU(), fits.table_to_hdu(Table({"x": [1]})), fits.table_to_hdu(table())])
    hdus[2].name = "SRC"
    hdus.writeto(path)
    with open_table(path, definition({"hdu": "SRC"})) as reader:
        assert reader.n_rows == N
    with pytest.raises(InputError, match=r"t\.fits: there is no table in extension 'NOPE'"):
        open_table(path, definition({"hdu": "NOPE"}))
    with pytest.raises(InputError, match="there is no table in extension 0"):
        open_table(path, definition({"hdu": 0}))
    fits.PrimaryHDU(np.zeros((2, 2))).writeto(tmp_path / "image.fits")
    with pytest.raises(InputError, match=r"image\.fits: there is no table in the FITS file"):
        open_table(tmp_path / "image.fits", definition())


def test_a_fits_ascii_table(tmp_path: Path) -> None:
    t = table()
    columns = [
        fits.Column("id", "I17", array=t["id"]),
        fits.Column("RA", "D24.15", array=t["RA"]),
        fits.Column("DEC", "D24.15", array=t["DEC"]),
        fits.Column("err", "E14.6", array=t["err"]),
        fits.Column("flux", "E14.6", array=t["flux"].filled(-99)),
        fits.Column("obs", "A8", array=t["obs"]),
    ]
    path = tmp_path / "t.fits"
    fits.TableHDU.from_columns(columns).writeto(path)
    (chunk,) = chunks_of(path, definition())
    out = convert(chunk, definition()).columns
    assert out["native_id"][0] == str(2**53).encode()
    assert np.isnan(out["flux_cgs"][3])


def test_arrays_in_a_column_are_refused(tmp_path: Path) -> None:
    path = fits_file(tmp_path / "t.fits", fits.Column("flux", "2D", array=np.zeros((2, 2))))
    with pytest.raises(InputError, match=r"column 'flux' \(2D\) holds arrays"):
        open_table(path, definition())
    nested = tmp_path / "t.parquet"
    t = pa.table({n: [[1.0]] for n in ("id", "RA", "DEC", "err", "flux", "obs")})
    pq.write_table(t, nested)
    with pytest.raises(InputError, match="holds lists"):
        open_table(nested, definition())


# --- what can be wrong with a file -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [k for k in KINDS if k not in ("dat", "padded")])
def test_a_missing_column_is_named_with_similar_ones(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path, kind)
    with pytest.raises(InputError, match=r"no column 'fluxx' \(similar: flux") as caught:
        open_table(path, definition(flux_cgs="fluxx"))
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("kind", ["fits", "csv.gz", "fits.gz", "parquet", "vot", "vot_binary2", "vot.gz", "csv"])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path, kind)
    content = path.read_bytes()
    # FITS files are padded to blocks, so the cut must go into the rows; text must be cut inside of a row
    keep = {"fits": 2880 * 2 + 500, "csv": len(content) - 20}.get(kind, len(content) * 2 // 3)
    path.write_bytes(content[:keep])
    with pytest.raises(InputError) as caught, open_table(path, definition()) as reader:
        list(reader)
    assert str(path) in str(caught.value)
    if kind in ("fits", "csv", "vot"):
        assert "row" in str(caught.value)


def test_rows_of_a_wrong_width(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id,RA,DEC,err,flux,obs\n1,1,1,1,1,a\n2,1,1,1,1\n3,1,1,1,1,a\n")
    with pytest.raises(InputError, match=r"t\.csv: row 2 has 5 values, the header 6"):
        chunks_of(path, definition())


def test_text_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes("id,RA,DEC,err,flux,obs\n1,1,1,1,1,é\n".encode("latin-1"))
    with pytest.raises(InputError, match="encoding: latin-1"):
        chunks_of(path, definition())
    (chunk,) = chunks_of(path, definition({"encoding": "latin-1"}))
    assert chunk.batch.column("obs").to_pylist() == ["é"]


def test_headers_of_all_sorts(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text("\ufeff#RA;x\nmas;y\n---;---\n1;2;3;4;5;6\n")
    names = ["id", "RA", "DEC", "err", "flux", "obs"]
    (chunk,) = chunks_of(path, definition({"skip": 1, "skip_after_header": 2, "header": names, "separator": ";"}))
    assert chunk.batch.to_pylist()[0]["RA"] == "2"
    path.write_text("id,RA,DEC,err,flux,obs,flux\n")
    with pytest.raises(InputError, match="column 'flux' occurs 2 times"):
        open_table(path, definition())
    path.write_text("id,RA,DEC,err,flux,obs\n")
    assert chunks_of(path, definition()) == []


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    path = tmp_path / "t.fits"
    with pytest.raises(InputError, match="cannot be read"):
        open_table(path, definition())
    path.write_bytes(b"")
    with pytest.raises(InputError, match="empty"):
        open_table(path, definition())
    path.write_text("<!DOCTYPE html><html>not found</html>")
    with pytest.raises(InputError, match="web page"):
        open_table(path, definition())
    path.write_bytes(b"\x00\x01\x02" * 100)
    with pytest.raises(InputError):
        chunks_of(path, definition())
    path = tmp_path / "t.dat"
    path.write_text("1 2 3\n")
    with pytest.raises(InputError, match="byte-by-byte"):
        open_table(path, Definition.from_dict(definition().as_dict() | {"format": "mrt"}))


def test_a_votable_that_its_server_cut_off(tmp_path: Path) -> None:
    for kind in ("vot", "vot_binary2"):
        path = write(tmp_path, kind)
        status = b'<INFO name="QUERY_STATUS" value="OVERFLOW"/>'
        path.write_bytes(path.read_bytes().replace(b"</RESOURCE>", status + b"</RESOURCE>"))
        with pytest.raises(InputError, match="OVERFLOW"):
            chunks_of(path, definition())


def test_votable_null_markers(tmp_path: Path) -> None:
    path = write(tmp_path, "vot")
    text = path.read_text().replace("<TD>1e-14</TD>", "<TD>-1</TD>")
    begin = text.index('name="flux"')
    end = text.index(">", begin)
    text = text[:end].removesuffix("/") + '><VALUES null="-1"/></FIELD>' + text[end + 1 :].replace("</FIELD>", "", 0)
    path.write_text(text)
    (chunk,) = chunks_of(path, definition())
    assert np.isnan(convert(chunk, definition()).columns["flux_cgs"])[:5].tolist() == [False, True, False, True, False]


def test_a_unit_that_contradicts_the_definition(tmp_path: Path) -> None:
    t = table()
    t["err"].unit = "mas"
    for name, format_ in (("t.fits", "fits"), ("t.vot", "votable"), ("t.ecsv", "ascii.ecsv")):
        t.write(tmp_path / name, format=format_)
        with pytest.raises(InputError, match="column 'err' is in mas, but the definition 'test' says arcsec"):
            open_table(tmp_path / name, definition())
        with open_table(tmp_path / name, definition({"check_units": False})):
            pass


def test_formats_are_told_by_content(tmp_path: Path) -> None:
    told = {k: sniff(write(tmp_path, k).rename(tmp_path / "anything")) for k in KINDS if k not in ("dat", "padded")}
    assert told == {
        "fits": "fits",
        "fits.gz": "fits",
        "ecsv": "ecsv",
        "csv": "csv",
        "csv.gz": "csv",
        "parquet": "parquet",
        "vot": "votable",
        "vot.gz": "votable",
        "vot_binary": "votable",
        "vot_binary2": "votable",
        "mrt": "mrt",
    }


def test_a_long_votable_takes_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "t.vot"
    n = 60_000
    columns = ["id", "RA", "DEC", "err", "flux", "obs"]
    fields = "".join(f'<FIELD name="{c}" datatype="double"/>' for c in columns)
    row = "<TR>" + "<TD>1.0</TD>" * len(columns) + "</TR>"
    path.write_text(
        f"<VOTABLE><RESOURCE><TABLE>{fields}<DATA><TABLEDATA>{row * n}</TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>"
    )
    tracemalloc.start()
    try:
        with open_table(path, definition(), chunk_rows=1000) as reader:
            assert sum(c.n_rows for c in reader) == n
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2e6 < path.stat().st_size


def test_columns_of_quality_and_of_the_source_may_be_missing(tmp_path: Path) -> None:
    """A cut-down copy of a catalogue is loaded, and it is told what cannot be known."""
    path = tmp_path / "few.csv"
    path.write_text("id,ra,dec,err,flux,obs,src,SAT\na,1,2,1,1e-14,o,s,TRUE\n")
    asked = definition(source_native_id="src").model_dump(mode="json", by_alias=True, exclude_defaults=True)
    asked |= {
        "of_source": {"flux_cgs": "SC_FLUX", "hr1": "SC_HR1"},
        "quality": {"saturated": "sat", "streaked": "streak"},
    }
    full = Definition.from_dict(asked)
    with open_table(path, full) as table:
        assert table.remarks == [
            f"{path}: WARNING: no column SC_FLUX, SC_HR1: what the mission itself says of its sources is not known, "
            "and means of the detections are taken",
            f"{path}: WARNING: no column streak: detections that are streaked cannot be told from good ones",
        ]
        (chunk,) = table
    assert convert(chunk, full).columns["flaws"].tolist() == [b"saturated"]
