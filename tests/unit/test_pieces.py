"""A table written in pieces is the file of the whole table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.table import Column, MaskedColumn, Table, vstack
from output_tables import odd_table

from xcat.output import files

ALL = ("csv", "ecsv", "vot", "fits", "parquet", "reg")


@dataclass
class Cut:
    """A table cut into pieces as a reader of a long file would give them: each has only its own widths and masks."""

    table: Table
    size: int

    @property
    def n_rows(self) -> int:
        return len(self.table)

    def pieces(self) -> Iterator[Table]:
        for first in range(0, max(len(self.table), 1), self.size):
            piece = self.table[first : first + self.size]
            for name in piece.colnames:
                column = piece[name]
                if isinstance(column, MaskedColumn) and not column.mask.any():
                    plain = Column(column.filled(), unit=column.unit, description=column.description, meta=column.meta)
                    piece[name] = plain
                if column.dtype.kind == "U" and len(piece):
                    narrow = int(np.char.str_len(np.ma.filled(np.ma.asarray(column), "")).max())
                    piece[name] = piece[name].astype(f"U{max(narrow, 1)}")
            yield piece


@pytest.fixture(scope="module")
def table() -> Table:
    """Rows whose types, widths, masks and extremes differ from piece to piece; nothing has objects."""
    odd = odd_table()
    odd.remove_columns(["lists", "decimal", "dates", "RA", "DE", "ra"])
    rows = vstack([odd] * 4, metadata_conflicts="silent")
    rng = np.random.default_rng(1)
    n = len(rows)
    rows["name"] = [f"source {i}" * (1 + (i == 7)) for i in range(n)]
    rows["class"] = MaskedColumn(["AGN", "Star", "XRB"] * 4, mask=[i in (3, 9) for i in range(n)])
    rows["ra"] = Column(rng.uniform(0, 360, n), unit="deg", meta={"ucd": "pos.eq.ra"}, description="Right ascension")
    rows["dec"] = MaskedColumn(rng.uniform(-90, 90, n), mask=[i == 5 for i in range(n)], unit="deg")
    rows["dec"].meta["ucd"] = "pos.eq.dec"
    rows["err_arcsec"] = MaskedColumn(rng.uniform(1, 2, n), mask=[i > 8 for i in range(n)], unit="arcsec")
    low = np.array([-32768 + i for i in range(n)], dtype=np.int16)
    rows["low"] = MaskedColumn(low, mask=[i in (2, 10) for i in range(n)])
    rows["late"] = MaskedColumn(np.arange(n), mask=[i == n - 1 for i in range(n)])
    rows["large_late"] = MaskedColumn(np.array([1] * (n - 1) + [2**64 - 1], dtype=np.uint64), mask=[0] * (n - 1) + [0])
    return rows


def _content(path: Path) -> bytes:
    """All bytes but the times of the checksums in FITS headers, and these sums, which depend on them."""
    content = path.read_bytes()
    if path.suffix == ".fits":
        content = re.sub(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", b"T" * 19, content)
        content = re.sub(rb"CHECKSUM= '[0-9A-Za-z]{16}'", b"CHECKSUM", content)
    return content


@pytest.mark.parametrize("size", [1, 5, 12])
@pytest.mark.parametrize("ending", ALL)
def test_pieces_are_the_whole(table: Table, ending: str, size: int, tmp_path: Path) -> None:
    whole = files.write(table, tmp_path / f"whole.{ending}")
    cut = files.write(Cut(table, size), tmp_path / f"cut.{ending}")
    if ending == "parquet":
        a, b = pq.ParquetFile(whole), pq.ParquetFile(cut)
        assert a.schema_arrow.equals(b.schema_arrow, check_metadata=True)
        assert str(a.read().to_pylist()) == str(b.read().to_pylist())  # as text: NaN is equal to NaN
    else:
        assert _content(cut) == _content(whole)
    if ending == "fits":
        with fits.open(cut, checksum=True) as hdus:  # a wrong sum is a warning, which is an error
            assert hdus[1].verify_checksum() == hdus[1].verify_datasum() == hdus[0].verify_checksum() == 1
            assert len(hdus[1].data) == len(table)
            assert hdus[1].header[f"TNULL{hdus[1].columns.names.index('low') + 1}"] == -32766


@pytest.mark.parametrize("ending", ALL)
def test_no_rows_and_empty_pieces(table: Table, ending: str, tmp_path: Path) -> None:
    whole = files.write(table[:0], tmp_path / f"whole.{ending}")
    assert _content(files.write(Cut(table[:0], 5), tmp_path / f"cut.{ending}")) == _content(whole)


@pytest.mark.parametrize("ending", ALL)
def test_a_failure_leaves_no_file(table: Table, ending: str, tmp_path: Path) -> None:
    class Broken(Cut):
        def pieces(self) -> Iterator[Table]:
            yield next(super().pieces())
            raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError, match="the disk is gone"):
        files.write(Broken(table, 5), tmp_path / f"cut.{ending}")
    assert not list(tmp_path.iterdir())
