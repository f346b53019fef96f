"""The rows of a user's table on their way to the file: types, widths and masks are those of all pieces."""

from __future__ import annotations

import datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.table import MaskedColumn, Table

from xcat.output import files
from xcat.own.spooled import Meaning, Spool
from xcat.tables.facts import TableLike, describe

ABOUT = {"class": Meaning(about="Class", ucd="src.class"), "sep": Meaning("arcsec", "Distance", "pos.angDistance")}


def spooled(table: TableLike, size: int) -> Spool:
    """All rows with an answer, in pieces of `size` rows."""
    facts = describe(table)
    spool = Spool(facts, ABOUT, provenance={"command": "classify"})
    with facts.open(chunk_rows=size) as reader:
        for chunk in reader:
            number = chunk.first_row + np.arange(chunk.n_rows)
            names = np.ma.masked_array(np.where(number % 2, "AGN", "a long class"), mask=number == 2)
            spool.add(chunk.batch, {"class": names, "sep": np.ma.masked_array(number * 0.1, mask=number == 5)})
    return spool


def text(tmp_path: Path, **columns: list[str]) -> Path:
    """A CSV of these columns."""
    path = tmp_path / "mine.csv"
    rows = zip(*columns.values(), strict=True)
    path.write_text("\n".join([",".join(columns), *(",".join(row) for row in rows)]) + "\n")
    return path


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        (["1", "2", "3", "", "5"], "i8", [1, 2, 3, None, 5]),
        (["1", "2", "3", "4.5", ""], "f8", [1.0, 2.0, 3.0, 4.5, None]),
        (["1", "2", "3", "4", "late"], "U4", ["1", "2", "3", "4", "late"]),
        (["1.5", "2", "00123", "4", "5"], "U5", ["1.5", "2", "00123", "4", "5"]),
        (["00123", "2", "3", "4", "5"], "U5", ["00123", "2", "3", "4", "5"]),
        (["1", "2", "3", "4", "9223372036854775807"], "i8", [1, 2, 3, 4, 2**63 - 1]),
        (["1", "2.5", "3", "4", "18446744073709551615"], "U20", ["1", "2.5", "3", "4", "18446744073709551615"]),
        (["", "", "", "", "7"], "i8", [None, None, None, None, 7]),
        (["true", "false", "", "", "T"], "U5", ["true", "false", None, None, "T"]),
        (["", "", "", "", ""], "U1", [None] * 5),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 5])
def test_types_of_text_are_found_over_all_pieces(
    values: list[str], kind: str, expected: list[object], size: int, tmp_path: Path
) -> None:
    source = text(tmp_path, number=["1", "2", "3", "4", "5"], x=values)
    spool = spooled(source, size)
    dtypes = {piece["x"].dtype.str[1:] for piece in spool.pieces()}
    assert len(list(spool.pieces())) == -(-5 // size)  # readers of text give other batches of their own accord
    table = spool.table()
    assert dtypes == {kind}
    assert np.ma.asarray(table["x"]).tolist() == expected
    assert table["class"].tolist() == ["AGN", None, "AGN", "a long class", "AGN"]
    assert (table["sep"].unit, table["sep"].meta["ucd"], table.meta["provenance"]) == (
        "arcsec",
        "pos.angDistance",
        {"command": "classify"},
    )


@pytest.mark.parametrize("size", [1, 2, 5])
def test_every_type_of_a_parquet_file_is_kept(size: int, tmp_path: Path) -> None:
    day = datetime.datetime(2026, 1, 2, 3, 4, 5)
    columns = {
        "u64": pa.array([2**64 - 1, None, 3, 4, 5], pa.uint64()),
        "i8": pa.array([-128, 127, 0, 1, None], pa.int8()),
        "f4": pa.array([0.5, None, float("inf"), 1.0, 2.0], pa.float32()),
        "flag": pa.array([True, None, False, True, True]),
        "id": pa.array([Decimal(10**20 + 1), None, Decimal(1), Decimal(2), Decimal(3)], pa.decimal128(38, 0)),
        "price": pa.array([Decimal("1.25"), None, Decimal("2.50"), Decimal(3), Decimal(4)], pa.decimal128(10, 2)),
        "when": pa.array([day, None, day, day, day], pa.timestamp("s")),
        "kind": pa.array(["a", "bb", None, "a", "cccc"]).dictionary_encode(),
        "large": pa.array(["a", "bb", None, "a", "cccc"], pa.large_string()),
        "none": pa.nulls(5),
        "late": pa.array([None, None, None, None, 1.5]),
    }
    pq.write_table(pa.table(columns), tmp_path / "mine.parquet")
    spool = spooled(tmp_path / "mine.parquet", size)
    types = [
        {(name, piece[name].dtype.str, hasattr(piece[name], "mask")) for name in piece.colnames}
        for piece in spool.pieces()
    ]
    assert all(each == types[0] for each in types)
    for ending in ("fits", "vot", "csv"):
        files.write(spool, tmp_path / f"out.{ending}")
    table = spool.table()
    assert table["u64"].dtype == np.uint64
    assert table["i8"].dtype == np.int8
    assert table["f4"].dtype == np.float32
    found = {name: np.ma.asarray(table[name]).tolist() for name in columns if name in table.colnames}
    for name in ("u64", "i8", "f4", "flag", "kind", "large", "none", "late"):
        assert found[name] == columns[name].to_pylist(), name
    assert found["id"] == ["100000000000000000001", None, "1", "2", "3"]
    assert found["price"] == [1.25, None, 2.5, 3.0, 4.0]
    assert [str(v)[:10] for v in found["when"]] == ["2026-01-02", "None", *["2026-01-02"] * 3]


@pytest.mark.parametrize("size", [1, 2, 5])
def test_objects_in_memory(size: int) -> None:
    mixed = np.empty(5, dtype=object)
    mixed[:] = [1, "two", None, b"three", 4.5]
    words = MaskedColumn(["a", "", "ccc", "d", "e"], mask=[True, False, False, False, False])
    table = Table({"mixed": mixed, "words": words, "bytes": np.array([b"x", b"yy", b"", b"z", b"w"])})
    made = spooled(table, size).table()
    assert made["mixed"].tolist() == ["1", "two", None, "three", "4.5"]
    assert made["words"].tolist()[2:] == ["ccc", "d", "e"]
    assert made["words"].mask[0]


def test_a_number_too_large_for_the_stated_type_is_kept(tmp_path: Path) -> None:
    head = "# %ECSV 1.0\n# ---\n# datatype:\n# - {name: n, datatype: int16}\n# - {name: b, datatype: bool}\n"
    path = tmp_path / "mine.ecsv"
    path.write_text(f"{head}# schema: astropy-2.0\nn b\n1 True\n2 False\n3 True\n40000 perhaps\n5 False\n")
    made = spooled(path, 2).table()
    assert made["n"].tolist() == [1, 2, 3, 40000, 5]
    assert made["b"].tolist() == ["True", "False", "True", "perhaps", "False"]


def test_nothing_is_left_on_the_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("xcat.own.spooled._IN_MEMORY_BYTES", 1)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    source = Table({"x": np.arange(5)})
    with pytest.raises(RuntimeError, match="stop"), spooled(source, 2) as spool:
        next(spool.pieces())
        raise RuntimeError("stop")
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="closed"):
        next(spool.pieces())
