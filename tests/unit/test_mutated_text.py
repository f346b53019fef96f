"""Damaged text tables: one clear message, or the rows of the undamaged table but for what is counted or told.

A flipped bit in a digit, or a file cut off exactly between two lines, cannot be known without a checksum or a stated
number of rows. So what is asserted is: all rows whose lines are whole have their values; a line that was damaged costs
no other row, and is itself read, counted, or refused; a last line without an end is told.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xcat.catalogues import Definition
from xcat.errors import InputError
from xcat.ingest.convert import convert
from xcat.ingest.readers import open_table

N = 30
KINDS = ["csv", "tsv", "ecsv", "mrt", "dat"]
DAMAGES = ["cut", "flip", "nul", "doubled"]
TIMES = 20

_RNG = np.random.default_rng(12)
RA, DEC, FLUX = _RNG.uniform(0, 360, N), _RNG.uniform(-90, 90, N), _RNG.uniform(1, 9, N) * 1e-14
NAMES = [f"X{i:03d} {'JUNK'[i % 4]}" for i in range(N)]
DEFINITION = Definition.from_dict(
    {
        "name": "t", "title": "T", "kind": "xray_sources", "citation": "-", "flux_band_kev": [0.5, 7],
        "position_error": {"convention": "axis_1sigma", "columns": "err", "unit": "arcsec"},
        "columns": {"native_id": "name", "ra": "RA", "dec": "DEC", "flux_cgs": {"from": "flux", "unit": "mW/m2"}},
    }
)  # fmt: skip
_DESCRIPTION = """\
Title: A table
================================================================================
 FileName Lrecl Records Explanations
t.dat        51      30 The table
--------------------------------------------------------------------------------
Byte-by-byte Description of file: t.dat
--------------------------------------------------------------------------------
   Bytes Format Units    Label    Explanations
--------------------------------------------------------------------------------
   1-  6 A6     ---      name     Name of it
   8- 20 F13.8  deg      RA       Right ascension
  22- 34 F13.8  deg      DEC      Declination
  36- 39 F4.2   arcsec   err      Error
  41- 51 E11.5  mW/m2    flux     Flux
--------------------------------------------------------------------------------
"""
_ECSV = """\
# %ECSV 1.0
# ---
# delimiter: ','
# datatype:
# - {name: name, datatype: string}
# - {name: RA, datatype: float64, unit: deg}
# - {name: DEC, datatype: float64, unit: deg}
# - {name: err, datatype: float64, unit: arcsec}
# - {name: flux, datatype: float64, unit: mW/m2}
"""


def _pieces(kind: str) -> tuple[str, list[str]]:
    """Header and lines of a table."""
    cells = [
        (n, f"{r:13.8f}", f"{d:13.8f}", "0.80", f"{f:.5e}") for n, r, d, f in zip(NAMES, RA, DEC, FLUX, strict=True)
    ]
    if kind in ("mrt", "dat"):
        return _DESCRIPTION if kind == "mrt" else "", [" ".join(row) + "\n" for row in cells]
    separator = "\t" if kind == "tsv" else ","
    names = separator.join(("name", "RA", "DEC", "err", "flux")) + "\n"
    return (_ECSV if kind == "ecsv" else "") + names, [separator.join(c.strip() for c in row) + "\n" for row in cells]


def _read(path: Path, kind: str) -> tuple[dict[str, np.ndarray], int, list[str]] | str:
    """Rows, the number of rejected rows, and messages; or the refusal."""
    definition = DEFINITION if kind != "dat" else DEFINITION.model_copy(update={"format": "mrt"})
    try:
        with open_table(path, definition) as reader:
            out = [convert(chunk, definition) for chunk in reader]
            messages = reader.remarks
    except InputError as error:
        message = str(error)
        assert message.startswith(f"{path}: ")
        assert len(message.replace(str(path), "")) < 1000
        return message
    if not out:
        return {"ra": np.empty(0)}, 0, messages
    rows = {k: np.concatenate([o.columns[k] for o in out]) for k in out[0].columns}
    return rows, sum(len(o.rejects) for o in out), messages


def _same(found: dict[str, Any], wanted: dict[str, Any], rows: list[int]) -> None:
    """The wanted rows are all there, in their order, with all their values."""
    present = iter(zip(*(found[name].tolist() for name in wanted), strict=True) if rows else ())
    for row in zip(*(values[rows].tolist() for values in wanted.values()), strict=True):
        assert row in present, row  # looks on from the row before


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_table_is_refused_or_read_rightly(tmp_path: Path, kind: str, damage: str) -> None:
    head, lines = _pieces(kind)
    if kind == "dat":
        (tmp_path / "ReadMe").write_text(_DESCRIPTION)
    path = tmp_path / f"t.{kind}"
    whole = (head + "".join(lines)).encode()
    path.write_bytes(whole)
    answer = _read(path, kind)
    assert not isinstance(answer, str), answer
    wanted = answer[0]
    assert wanted["ra"] == pytest.approx(RA, abs=1e-8)
    assert answer[1:] == (0, [])
    starts = np.cumsum([len(head), *map(len, lines)])
    rng = np.random.default_rng([KINDS.index(kind), DAMAGES.index(damage)])
    n_refused = 0
    for at in np.sort(rng.choice(len(whole), TIMES, replace=False)).tolist():
        raw, line = bytearray(whole), int(np.searchsorted(starts, at, side="right")) - 1  # -1 in the header
        if damage == "cut":
            del raw[at:]
        elif damage == "nul":
            raw[at] = 0
        elif damage == "doubled":
            begin, end = whole.rfind(b"\n", 0, at) + 1, whole.find(b"\n", at) + 1
            raw[end:end] = whole[begin:end]
        elif line < 0 and kind == "mrt" and chr(raw[at]) in "0123456789- ":
            continue  # another place of a column is as good as this one
        else:
            raw[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(raw)
        answer = _read(path, kind)
        if isinstance(answer, str):
            n_refused += 1
            continue
        found, n_rejected, messages = answer
        n_found = len(found["ra"]) + n_rejected
        if damage == "cut":
            _same(found, wanted, list(range(max(line, 0))))
            assert n_found in (max(line, 0), max(line, 0) + 1)
            if n_found > max(line, 0) and at not in starts:
                assert any("the last line has no end" in m for m in messages), (at, messages)
        elif damage == "doubled":
            assert n_found in (N, N + 1)
            _same(found, wanted, list(range(N)))
        else:
            # a damaged line end concerns the line below as well
            _same(found, wanted, [i for i in range(N) if i not in (line, line + (whole[at : at + 1] == b"\n"))])
            assert n_found >= N
    assert n_refused < TIMES or (kind, damage) in (("dat", "cut"), ("dat", "doubled"))  # the ReadMe states the rows
