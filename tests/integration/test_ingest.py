"""Files become rows with the right values, once; what cannot be used is kept with its reason."""

from __future__ import annotations

import gzip

import loading as small
import numpy as np
import psycopg
import pytest
from astropy.table import Table

from xcat.database.connection import connect
from xcat.errors import InputError, StageError
from xcat.ingest import load
from xcat.ingest.checks import Allowed
from xcat.ingest.load import ingest
from xcat.report.run.record import loading_lines


@pytest.fixture
def definition(tmp_path):
    return small.definition(tmp_path)


def _rejects(settings):
    return small.loaded(
        settings,
        "file_name, row_number, column_name, value, reason",
        "reject JOIN xcat.catalogue_file USING (file_id)",
        "file_id, row_number",
    )


# --- values -----------------------------------------------------------------------------------------------

_VALUES = "native_id, ra, dec, err_arcsec, mag_w1, distance_pc"


def test_rows_arrive_with_their_values_in_standard_units(settings, tmp_path, definition):
    file = small.write_csv(
        tmp_path / "f.csv",
        [(" A 1 ", 10.5, -20.25, 1000, 12.5, 1.5), ("B", "360.0", "+90", "2e3", -99, ""), ("Ünï", 0, -90, 1, "nan", 2)],
    )
    result = ingest(settings, definition, [file])
    assert (result.n_rows, result.n_rejected, result.already) == (3, 0, [])
    found = small.loaded(settings, _VALUES)
    assert [r[0] for r in found] == ["A 1", "B", "Ünï"]
    assert [r[1:3] for r in found] == [(10.5, -20.25), (0.0, 90.0), (0.0, -90.0)]
    # a 1 sigma radius is sqrt(2) sigmas of one axis
    assert [r[3] for r in found] == pytest.approx([2**-0.5, 2 * 2**-0.5, 1e-3 * 2**-0.5])
    assert [r[4:] for r in found] == [(12.5, 1500.0), (None, None), (None, 2000.0)]


def test_a_big_endian_masked_fits_table_gives_the_same(settings, tmp_path, definition):
    table = Table(masked=True)
    table["id"] = ["A", "B", "C"]
    table["ra"] = np.array([10.5, 20.5, 30.5], ">f8")
    table["dec"] = np.array([-1, -2, -3], ">i2")
    table["err"] = np.ma.array([1000, 2000, 3000], ">f4", mask=[0, 0, 1])
    table["w1"] = np.ma.array([12.5, 13.5, 14.5], ">f4", mask=[0, 1, 0])
    table["d"] = np.ma.array([1, 2, 3], ">i4", mask=[1, 0, 0], fill_value=-1)
    table.write(tmp_path / "f.fits")
    result = ingest(settings, definition, [tmp_path / "f.fits"])
    assert (result.n_rows, result.n_rejected) == (2, 1)
    assert [r[1:] for r in small.loaded(settings, _VALUES)] == [
        (10.5, -1.0, pytest.approx(2**-0.5), 12.5, None),
        (20.5, -2.0, pytest.approx(2 * 2**-0.5), None, 2000.0),
    ]
    assert _rejects(settings)[0][:3] == ("f.fits", 3, "err")


def test_everything_is_written_down(settings, tmp_path, definition):
    file = small.write_csv(tmp_path / "f.csv", [*small.rows(0, 3), ("bad", "", 1, 1, 1, 1)])
    ingest(settings, definition, [file])
    entry = load.checksum(file)
    assert small.loaded(settings, "file_name, sha256, n_bytes, n_rows, n_rejected", "catalogue_file", "1") == [
        ("f.csv", entry.sha256, file.stat().st_size, 3, 1)
    ]
    ((config, inputs, summary),) = small.loaded(settings, "config, inputs, summary", "run", "1")
    assert config == {
        "catalogue": "small",
        "definition_sha256": definition.sha256,
        "files": [entry.sha256],
        "replace": False,
    }
    assert inputs["files"] == [
        {
            "name": "f.csv",
            "sha256": entry.sha256,
            "n_bytes": entry.n_bytes,
            "n_rows": 3,
            "n_rejected": 1,
            "n_skipped": 0,
        }
    ]
    assert (summary["n_rows"], summary["n_rejected"]) == (3, 1)
    assert {"read f.csv", "index"} <= summary["seconds"].keys()
    assert small.loaded(settings, "name, kind, definition_sha256", "catalogue", "1") == [
        ("small", "infrared", definition.sha256)
    ]


def test_rows_that_the_definition_leaves_out_are_counted(settings, tmp_path):
    definition = small.definition(tmp_path, read={"only": {"w1": [12, 13]}})
    result = ingest(settings, definition, [small.write_csv(tmp_path / "f.csv", small.rows(0, 10))])
    assert (result.n_rows, result.n_rejected, result.files[0]["n_skipped"]) == (4, 0, 6)


# --- once -------------------------------------------------------------------------------------------------


def test_the_same_content_again_changes_nothing(settings, tmp_path, definition):
    file = small.write_csv(tmp_path / "f.csv", small.rows(0, 5))
    ingest(settings, definition, [file])
    before, runs = small.snapshot(settings), small.loaded(settings, "run_id", "run", "1")
    again = ingest(settings, definition, [file.rename(tmp_path / "other_name.csv")])
    assert (again.n_rows, again.already) == (0, ["other_name.csv"])
    again = ingest(settings, definition, [tmp_path / "other_name.csv"], replace=True)
    assert again.already == ["other_name.csv"]
    assert small.snapshot(settings) == before
    assert small.loaded(settings, "run_id", "run", "1") == runs


def test_the_same_content_twice_in_one_command_is_refused(settings, tmp_path, definition):
    one, two = (small.write_csv(tmp_path / name, small.rows(0, 2)) for name in ("a.csv", "b.csv"))
    before = small.snapshot(settings)
    with pytest.raises(InputError, match=r"same content is given more than once: .*a\.csv, .*b\.csv"):
        ingest(settings, definition, [one, two])
    assert small.snapshot(settings) == before


def test_another_file_is_added(settings, tmp_path, definition):
    files = [small.write_csv(tmp_path / f"{i}.csv", small.rows(10 * i, 10)) for i in range(4)]
    ingest(settings, definition, files[:2])
    result = ingest(settings, definition, [files[1], files[2], files[3]])
    assert result.already == ["1.csv"]
    assert [f["n_rows"] for f in result.files] == [10, 10]
    found = small.loaded(settings, "object_id, native_id, file_id")
    assert [r[1] for r in found] == [f"S{i}" for i in range(40)]
    assert len({r[0] for r in found}) == 40
    counts = small.loaded(settings, "count(*)", "counterpart GROUP BY file_id", "min(object_id)")
    assert counts == [(10,)] * 4


def test_no_file_is_refused(settings, definition):
    with pytest.raises(InputError, match="small: no file is given"):
        ingest(settings, definition, [], replace=True)


# --- rejects ----------------------------------------------------------------------------------------------


def test_duplicates_are_set_aside_with_their_place(settings, tmp_path, definition):
    good = small.rows(0, 6)
    one = small.write_csv(tmp_path / "one.csv", [good[0], good[1], good[0], good[2]])
    two = small.write_csv(tmp_path / "two.csv", [good[3], good[1], good[3]])
    result = ingest(settings, definition, [one, two])
    assert [(f["n_rows"], f["n_rejected"]) for f in result.files] == [(3, 1), (1, 2)]
    three = small.write_csv(tmp_path / "three.csv", [good[4], good[0], good[0], good[5]])
    result = ingest(settings, definition, [three])
    assert (result.n_rows, result.n_rejected) == (2, 2)
    known = "duplicate id: already loaded from another file"
    assert _rejects(settings) == [
        ("one.csv", 3, "id", "S0", "duplicate id"),
        ("two.csv", 2, "id", "S1", "duplicate id"),
        ("two.csv", 3, "id", "S3", "duplicate id"),
        ("three.csv", 2, "id", "S0", known),
        ("three.csv", 3, "id", "S0", "duplicate id"),
    ]
    assert sorted(n for (n,) in small.loaded(settings, "native_id")) == [f"S{i}" for i in range(6)]
    counted = {(r["file_name"], r["reason"], r["n"], r["first_row"]) for r in result.rejects}
    assert counted == {("three.csv", "duplicate id", 1, 3), ("three.csv", known, 1, 2)}


def test_bad_rows_are_set_aside_with_their_reason(settings, tmp_path, definition):
    bad = [
        ("", 1, 1, 1, 1, 1), ("a", "", 1, 1, 1, 1), ("b", 1, 100, 1, 1, 1), ("c", 400, 1, 1, 1, 1),
        ("d", 1, 1, -5, 1, 1), ("e", 1, 1, "", 1, 1), ("f", 1, 1, 1, "bright", 1), ("g", -1, 1, 1, 1, 1),
        ("h", 1, 1, 1, 1, "1e999"), ("i", 1, 1, "6e6", 1, 1), ("j", "12h", 1, 1, 1, 1),
    ]  # fmt: skip
    lines = [line for i, line in enumerate(bad) for line in (*small.rows(i, 1), line)]
    result = ingest(settings, definition, [small.write_csv(tmp_path / "f.csv", lines)])
    found = {row: (column, value, reason) for _, row, column, value, reason in _rejects(settings)}
    assert found == {
        2: ("id", None, "no identifier"),
        4: ("ra", None, "no position"),
        6: ("dec", "100", "declination outside -90 to 90 degrees"),
        8: ("ra", "400", "right ascension outside 0 to 360 degrees"),
        10: ("err", "-5", "positional error not above 0"),
        12: ("err", None, "no positional error"),
        14: ("w1", "bright", "not a number; value left empty"),
        16: ("ra", "-1", "right ascension outside 0 to 360 degrees"),
        20: ("err", "6e6", "positional error of a degree or more"),
        22: ("ra", "12h", "not a number"),
    }
    assert result.n_rows == len(lines) - (len(found) - 1)  # a magnitude that is no number costs no row
    assert sum(r["n"] for r in result.rejects) - 1 == result.n_rejected == len(found) - 1
    assert ("f", None) in small.loaded(settings, "native_id, mag_w1")
    message = "  f.csv: 1 x not a number in column w1, first in row 14 ('bright'); value left empty"
    assert message in loading_lines(definition.name, result)
    outside = next(r for r in result.rejects if r["reason"].startswith("right ascension"))
    assert (outside["file_name"], outside["column_name"], outside["n"], outside["first_row"]) == ("f.csv", "ra", 2, 8)


def test_a_number_too_large_for_its_column_is_not_stored_as_infinity(settings, tmp_path, definition):
    try:
        ingest(settings, definition, [small.write_csv(tmp_path / "f.csv", [("a", 1, 1, 1, "1e40", 1)])])
    except InputError as refused:
        assert "f.csv: rows 1-1: column mag_w1: a number is too large for its type" in str(refused)
    assert small.loaded(settings, "mag_w1") in ([], [(None,)])


@pytest.mark.parametrize("lines", [[], [("", 1, 1, 1, 1, 1), ("b", 1, 100, 1, 1, 1)]], ids=["header only", "all bad"])
def test_a_file_without_usable_rows_is_refused_alone_and_among_others(settings, tmp_path, definition, lines):
    empty = small.write_csv(tmp_path / "empty.csv", lines)
    good = small.write_csv(tmp_path / "good.csv", small.rows(0, 2))
    text = r"none of its 2 rows can be used \(1 x .*\)" if lines else "it has no rows"
    before = small.snapshot(settings)
    for files in ([empty], [good, empty]):
        with pytest.raises(InputError, match=rf"small: empty\.csv: {text}; nothing was loaded"):
            ingest(settings, definition, files, allowed=Allowed(rejects=1.0))
        assert small.snapshot(settings) == before
    ingest(settings, definition, [good])
    before = small.snapshot(settings)
    for replace in (False, True):
        with pytest.raises(InputError, match=text):
            ingest(settings, definition, [empty], replace=replace)
        assert small.snapshot(settings) == before


# --- another definition, other files ----------------------------------------------------------------------


def test_a_changed_definition_needs_replace(settings, tmp_path, definition):
    one, two = (small.write_csv(tmp_path / f"{i}.csv", small.rows(10 * i, 2)) for i in range(2))
    ingest(settings, definition, [one])
    before = small.snapshot(settings)
    columns = small.DEFINITION["columns"] | {"mag_w1": {"from": "w1", "transform": [{"shift": 1}]}}
    changed = small.definition(tmp_path, columns=columns)
    for files in ([one], [two], [one, two]):
        with pytest.raises(StageError, match=r"small: its definition has changed since its 1 file.*--replace"):
            ingest(settings, changed, files)
        assert small.snapshot(settings) == before
        assert small.last_run(settings)[0] == "failed"
    result = ingest(settings, changed, [one], replace=True)
    assert (result.n_rows, result.already) == (2, [])
    assert small.loaded(settings, "native_id, mag_w1") == [("S0", 13.0), ("S1", 14.0)]
    assert small.loaded(settings, "definition_sha256", "catalogue", "1") == [(changed.sha256,)]


def test_a_definition_that_only_reads_differently_is_the_same(settings, tmp_path, definition):
    file = small.write_csv(tmp_path / "f.csv", small.rows(0, 2))
    ingest(settings, definition, [file])
    path = small.write_definition(tmp_path)
    path.write_text("# a remark\n" + path.read_text())
    again = small.load(path)
    assert ingest(settings, again, [file]).already == ["f.csv"]


def test_replace_puts_these_files_in_the_place_of_all_others(settings, tmp_path, definition):
    files = [small.write_csv(tmp_path / f"{i}.csv", [*small.rows(10 * i, 3), ("", 1, 1, 1, 1, 1)]) for i in range(3)]
    ingest(settings, definition, files[:2])
    result = ingest(settings, definition, [files[2], files[0]], replace=True)
    assert (result.n_rows, result.n_rejected, result.already) == (6, 2, [])
    assert [n for (n,) in small.loaded(settings, "native_id")] == ["S20", "S21", "S22", "S0", "S1", "S2"]
    assert [r[0] for r in small.loaded(settings, "file_name", "catalogue_file", "file_id")] == ["2.csv", "0.csv"]
    assert len(_rejects(settings)) == small.snapshot(settings)["reject"][0] == 2
    assert small.loaded(settings, "name, version", "catalogue", "1") == [("small", 2)], "a version of its own"
    # and what replaced can be replaced, added to, and found by its indexes
    ingest(settings, definition, [files[1]])
    ingest(settings, definition, [files[1]], replace=True)
    assert [n for (n,) in small.loaded(settings, "native_id")] == ["S10", "S11", "S12"]
    with connect(settings) as conn:
        conn.execute("SET enable_seqscan = off")
        plan = conn.execute("EXPLAIN SELECT 1 FROM xcat.counterpart WHERE q3c_radial_query(ra, dec, 1, 1, 0.1)")
        assert "Bitmap Index Scan" in " ".join(line for (line,) in plan)


def test_replace_with_another_kind_leaves_nothing_behind(settings, tmp_path, definition):
    file = small.write_csv(tmp_path / "f.csv", small.rows(0, 3))
    ingest(settings, definition, [file])
    keys = {k: v for k, v in small.DEFINITION.items() if k not in ("sky", "completeness")}
    columns = {k: v for k, v in small.DEFINITION["columns"].items() if k in ("native_id", "ra", "dec")}
    path = tmp_path / "small.yaml"
    path.write_text(small.yaml.safe_dump(keys | {"kind": "reference", "class": "AGN", "columns": columns}))
    ingest(settings, small.load(path), [file], replace=True)
    content = small.snapshot(settings)
    assert (content["counterpart"][0], content["reference_object"][0]) == (0, 3)


@pytest.mark.parametrize("step", ["read", "finish"])
def test_a_replace_that_fails_leaves_what_was_there(settings, tmp_path, definition, monkeypatch, step):
    one, two = (small.write_csv(tmp_path / f"{i}.csv", [*small.rows(10 * i, 3), ("", 1, 1, 1, 1, 1)]) for i in range(2))
    ingest(settings, definition, [one])
    before = small.snapshot(settings)
    original = getattr(load._Load, step)

    def fails(*args):
        original(*args)
        raise RuntimeError("in the middle")

    monkeypatch.setattr(load._Load, step, fails)
    with pytest.raises(RuntimeError, match="in the middle"):
        ingest(settings, definition, [two], replace=True)
    assert small.snapshot(settings) == before
    monkeypatch.undo()
    ingest(settings, definition, [two], replace=True)
    assert [n for (n,) in small.loaded(settings, "native_id")] == ["S10", "S11", "S12"]


# --- files that are no good -------------------------------------------------------------------------------


def _fits(tmp_path, n=100):
    table = Table(rows=small.rows(0, n), names=small.HEADER)
    table.write(tmp_path / "whole.fits")
    return (tmp_path / "whole.fits").read_bytes()


def _write(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    return tmp_path / name


def _bad_files(tmp_path):
    text = small.write_csv(tmp_path / "whole.csv", small.rows(0, 2000)).read_bytes()
    fits = _fits(tmp_path)
    yield _write(tmp_path, "empty.csv", b""), "the file is empty"
    yield _write(tmp_path, "short.fits", fits[:-3000]), r"cut off after row \d+ of 100"
    yield _write(tmp_path, "short.fits.gz", gzip.compress(fits)[:-50]), "cannot be read"
    yield _write(tmp_path, "short.csv.gz", gzip.compress(text)[:-500]), "cannot be read"
    yield _write(tmp_path, "broken.csv.gz", gzip.compress(text)[:3000] + b"\0" * 400), "cannot be read"
    yield _write(tmp_path, "broken.csv", text[:9000] + b"\0\xff\xfe\n" * 9 + text[9000:]), r"row \d+ has|not utf-8"
    yield _write(tmp_path, "page.fits", b"<html><body>404</body></html>"), "web page"
    yield _write(tmp_path, "picture.csv", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 9), "this is an image, not a table"
    yield _write(tmp_path, "other.csv", text.replace(b"w1", b"w2")), r"no column 'w1' \(similar: w2"
    yield _write(tmp_path, "twice.csv", text.replace(b"w1,d", b"w1,w1")), "'w1' occurs 2 times|no column 'd'"
    yield tmp_path / "absent.csv", r"absent\.csv: cannot be read.*No such file"
    yield tmp_path, "this is a folder; only regular files are read"


def test_a_bad_file_is_refused_by_name_and_changes_nothing(settings, tmp_path, definition):
    folder = tmp_path / "files"
    folder.mkdir()
    good = small.write_csv(tmp_path / "good.csv", small.rows(5000, 3))
    before = small.snapshot(settings)
    for path, message in _bad_files(folder):
        with pytest.raises(InputError, match=message) as refused:
            ingest(settings, definition, [good, path])
        assert str(path) in str(refused.value)
        assert small.snapshot(settings) == before, path.name
    assert ingest(settings, definition, [good]).n_rows == 3


def test_an_identifier_that_postgresql_cannot_hold_costs_its_row(settings, tmp_path, definition):
    path = small.write_csv(tmp_path / "f.csv", [("a\0b", 1, 1, 1, 1, 1), *small.rows(0, 2)])
    result = ingest(settings, definition, [path])
    assert (result.n_rows, result.n_rejected) == (2, 1)
    assert _rejects(settings) == [("f.csv", 1, "id", "a\ufffdb", "text with bytes that text cannot have")]


def test_a_file_that_changes_while_it_is_read_is_refused(settings, tmp_path, definition, monkeypatch):
    file = small.write_csv(tmp_path / "f.csv", small.rows(0, 3))
    before = small.snapshot(settings)
    original = load.convert

    def meanwhile(*args):
        small.write_csv(file, small.rows(0, 4))
        return original(*args)

    monkeypatch.setattr(load, "convert", meanwhile)
    with pytest.raises(InputError, match="changed while it was being read"):
        ingest(settings, definition, [file])
    assert small.snapshot(settings) == before


def test_what_the_table_refuses_is_told_with_file_and_rows(settings, tmp_path, definition, monkeypatch):
    """Should a bad value ever pass the conversion, the table's CHECK stops it."""
    original = load.convert

    def careless(*args):
        converted = original(*args)
        converted.columns["dec"][1] = 95.0
        return converted

    monkeypatch.setattr(load, "convert", careless)
    with pytest.raises(InputError, match=r"f\.csv: rows 1-3: .*counterpart_dec_check") as refused:
        ingest(settings, definition, [small.write_csv(tmp_path / "f.csv", small.rows(0, 3))])
    assert isinstance(refused.value.__cause__, psycopg.errors.CheckViolation)
