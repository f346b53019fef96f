"""Damaged and lying files: one clear message and no row, or rows that are what the whole file has.

Small files of every format are damaged with fixed seeds. What can be promised is this:

* A file that is refused is refused with one message that names it.
* Of a file with checksums (FITS and Parquet as xcat writes them, gzip), every row that is accepted has every value bit
  by bit as in the whole file, whatever was damaged.
* CSV, ECSV, VOTables and FITS without checksums: a bit that turns one digit into another gives a number like any other,
  in any program. So only the cells that the damage touched may differ, and what is missing is a rejected row, or at the
  end of a text that was cut between two rows.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io.votable import from_table
from astropy.table import Table

from xcat.catalogues import Definition
from xcat.errors import XcatError
from xcat.ingest.convert import convert
from xcat.ingest.readers import open_table
from xcat.simulate.write import write as simulated

N = 40
DEFINITION = Definition.from_dict(
    {
        "name": "test", "title": "T", "kind": "xray_detections", "citation": "-", "flux_band_kev": [0.5, 7],
        "position_error": {"convention": "axis_1sigma", "columns": "RADEC_ERR"},
        "columns": {"native_id": "id", "ra": "RA", "dec": "DEC", "flux_cgs": "EP_8_FLUX", "obs_id": "obs"},
    }
)  # fmt: skip


def columns() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {
        "id": np.arange(N) + 2**53,
        "RA": rng.uniform(0, 360, N),
        "DEC": rng.uniform(-90, 90, N),
        "RADEC_ERR": rng.uniform(0.3, 2, N),
        "EP_8_FLUX": 10 ** rng.uniform(-15, -12, N),
        "obs": np.array([f"obs {i}" for i in range(N)]),
        "unused": rng.normal(size=N),
    }


def whole_file(folder: Path, kind: str) -> Path:
    path, table = folder / f"t.{kind}", Table(columns())
    if kind in ("fits", "parquet", "csv", "csv.gz"):
        simulated(path, columns())
    elif kind == "plain.fits":  # without checksums
        table.write(path, format="fits")
    elif kind == "ecsv":
        table.write(path, format="ascii.ecsv")
    elif kind.startswith("vot"):
        form = {"vot": "tabledata"}.get(kind, kind.removeprefix("vot_"))
        from_table(table).to_xml(str(path), tabledata_format=form)
    return path


#: Formats that tell every damage: our own FITS and Parquet files, and what gzip packs.
WITH_CHECKSUM = ("fits", "parquet", "csv.gz")
KINDS = ("fits", "plain.fits", "parquet", "csv", "csv.gz", "ecsv", "vot", "vot_binary", "vot_binary2")


def rows_of(path: Path) -> tuple[dict[bytes, tuple[Any, ...]], int]:
    """Values by identifier, and the number of rejected rows; of equal identifiers the database rejects all but one."""
    with open_table(path, DEFINITION, chunk_rows=16) as reader:
        parts = [convert(chunk, DEFINITION) for chunk in reader]
    names = ("native_id", "ra", "dec", "err_arcsec", "flux_cgs", "obs_id")
    found = [row for p in parts for row in zip(*(p.columns[n].tolist() for n in names), strict=True)]
    by_id = {row[0]: row[1:] for row in found}
    return by_id, sum(len(p.rejects) for p in parts) + len(found) - len(by_id)


def truncated(content: bytes, seed: int) -> bytes:
    return content[: int(np.random.default_rng(seed).integers(0, len(content)))]


def bit_flipped(content: bytes, seed: int) -> bytes:
    rng, damaged = np.random.default_rng(seed), bytearray(content)
    damaged[int(rng.integers(0, len(content)))] ^= 1 << int(rng.integers(0, 8))
    return bytes(damaged)


def header_bit_flipped(content: bytes, seed: int) -> bytes:
    rng, damaged = np.random.default_rng(seed), bytearray(content)
    at = int(rng.integers(0, min(1500, len(content))))
    if content.startswith(b"SIMPLE"):
        at += 2880
    elif content.startswith(b"PAR1"):
        at = len(content) - 1 - at
    damaged[at] ^= 1 << int(rng.integers(0, 8))
    return bytes(damaged)


def blocked(content: bytes, seed: int) -> bytes:
    """A block of zeros, or of noise, as a broken disk or a broken transfer leaves it."""
    rng, damaged = np.random.default_rng(seed), bytearray(content)
    length = min(len(content) // 2, 500)
    at = int(rng.integers(0, len(content) - length))
    damaged[at : at + length] = bytes(length) if seed % 2 else rng.bytes(length)
    return bytes(damaged)


def cut_out(content: bytes, seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    at = int(rng.integers(0, len(content)))
    return content[:at] + content[at + int(rng.integers(1, 200)) :]


MUTATIONS: dict[str, tuple[Callable[[bytes, int], bytes], int]] = {
    "truncated": (truncated, 8),
    "bit_flipped": (bit_flipped, 12),
    "header_bit_flipped": (header_bit_flipped, 10),
    "blocked": (blocked, 4),
    "cut_out": (cut_out, 3),
    "twice": (lambda content, _: content + content, 1),
}


def refusal_or_rows(path: Path) -> tuple[dict[bytes, tuple[Any, ...]], int] | None:
    """Rows and rejects, or None for a file that was refused as it should be."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return rows_of(path)
    except XcatError as error:
        message = str(error)
        assert len(message) < 1000
        assert "\n" not in message
        assert str(path) in message
        return None


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_is_refused_or_read_rightly(kind: str, tmp_path: Path) -> None:
    path = whole_file(tmp_path, kind)
    content = path.read_bytes()
    true, n_rejected = rows_of(path)
    assert (len(true), n_rejected) == (N, 0)
    for name, (mutate, times) in MUTATIONS.items():
        for seed in range(times):
            path.write_bytes(mutate(content, 1000 * KINDS.index(kind) + seed))
            answer = refusal_or_rows(path)
            if answer is not None:
                check(kind, name, content, true, *answer)


def check(
    kind: str,
    mutation: str,
    content: bytes,
    true: dict[bytes, tuple[Any, ...]],
    found: dict[bytes, tuple[Any, ...]],
    n_rejected: int,
) -> None:
    """Judge the rows of a damaged file that was not refused."""
    right = [key for key, values in found.items() if true.get(key) == values]
    n_wrong = len(found) - len(right)
    if kind in WITH_CHECKSUM:
        assert n_wrong == 0
        assert len(right) + n_rejected >= N
        return
    n_touched = {"blocked": 2 + 500 * N // len(content), "cut_out": 1}.get(mutation, 1)
    assert n_wrong <= n_touched
    if mutation == "truncated":  # only text that was cut between two rows
        assert kind == "csv"
        assert right == list(true)[: len(right)]
    elif mutation != "cut_out" or kind not in ("csv", "ecsv"):  # there whole lines may go
        assert len(right) + n_rejected + n_wrong >= N
    if mutation.endswith("flipped") and n_wrong:
        (key,) = [key for key in found if true.get(key) != found[key]]
        if key in true and found[key] not in true.values():  # else the identifier became that of another row
            assert sum(a != b for a, b in zip(found[key], true[key], strict=True)) == 1
