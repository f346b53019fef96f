"""A table with all that is odd, for the tests of what is written."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import numpy as np
from astropy.table import Column, MaskedColumn, Table
from astropy.units import Unit

from xcat.output.provenance import KEY, provenance

BIG, LARGEST = 100_000_000_000_000_001, 2**64 - 1


def odd_table() -> Table:
    """Columns of every kind, three rows."""
    about = 'Right ascension, ICRS: <α> & "δ"'
    objects = np.empty(3, dtype=object)
    objects[:] = [[1, 2], [3], []]
    mixed = np.empty(3, dtype=object)
    mixed[:] = [Decimal(BIG * 1000), None, Decimal(1)]
    columns = {
        "id": Column(np.array([BIG, -BIG, 7])),
        "u64": Column(np.array([LARGEST, 2**63, 0], dtype=np.uint64)),
        "u64_null": MaskedColumn(np.array([LARGEST, 1, 0], dtype=np.uint64), mask=[False, True, False]),
        "u32": Column(np.array([2**32 - 1, 1, 0], dtype=np.uint32)),
        "u16_null": MaskedColumn(np.array([65535, 1, 0], dtype=np.uint16), mask=[False, True, False]),
        "u8_null": MaskedColumn(np.array([255, 1, 0], dtype=np.uint8), mask=[False, True, False]),
        "i8_null": MaskedColumn(np.array([-128, 1, 0], dtype=np.int8), mask=[False, True, False]),
        "i16_null": MaskedColumn(np.array([-32768, 999, 0], dtype=np.int16), mask=[False, True, False]),
        "i64_null": MaskedColumn(np.array([-(2**63), 999999, BIG]), mask=[False, True, False]),
        "half": Column(np.array([0.5, 1.5, np.inf], dtype=np.float16)),
        "f32": Column(np.array([0.1, np.inf, -np.inf], dtype=np.float32)),
        "flux": MaskedColumn([1e-14, np.nan, 3.0], mask=[False, False, True], unit=Unit("1e-14 erg s-1 cm-2")),
        "norm": Column([1.0, 2.0, 3.0], unit=Unit("2.5e-15 erg s-1 cm-2")),
        "counts": Column([1.0, 2.0, 3.0], unit=Unit("furlong/fortnight", parse_strict="silent")),
        "flag": Column([True, False, True]),
        "flag_null": MaskedColumn([True, False, True], mask=[False, True, False]),
        "text": MaskedColumn(['a,b "q"', "  x<&> ", "none"], mask=[False, False, True]),
        "control": Column(["a\nb\tc", "\x07\x1b[31m", "back\\slash"]),
        "umlaut": Column(["naïve", "Ωλ", "日本"]),
        "Größe_α": Column([1.0, 2.0, 3.0]),
        "RA": Column([10.0, 20.5, 359.999], unit="deg", description=about, meta={"ucd": "pos.eq.ra;meta.main"}),
        "DE": Column([-0.5, 89.0, -89.0], unit="deg", description="Declination", meta={"ucd": "pos.eq.dec;meta.main"}),
        "ra": Column([1, 2, 3]),
        " blank ": Column([1, 2, 3]),
        "n" * 90: Column([1, 2, 3]),
        "n" * 91: Column([4, 5, 6]),
        "vector": Column(np.arange(6.0).reshape(3, 2)),
        "words": Column([["a", "b"], ["c", "é"], ["", "d"]]),
        "lists": Column(objects),
        "decimal": Column(mixed),
        "when": Column(np.array(["2026-01-02T03:04:05", "NaT", "1999-12-31"], dtype="M8[s]")),
        "took": Column(np.array([1500, 2, 0], dtype="m8[ms]")),
        "bytes": Column(np.array([b"abc", b"\xc3\xa9", b""])),
        "dates": Column(np.array([datetime(2026, 1, 2), None, timedelta(seconds=3)], dtype=object)),
        "complex": Column([1 + 2j, 0j, -1j]),
        "empty": Column(["", "", ""]),
    }
    table = Table(list(columns.values()), names=list(columns))
    table.meta[KEY] = provenance(
        "sql", run_id=12, model_run_id=11, query='SELECT *\nFROM x -- <ä> & "b"\n', epoch_yr=2016.0
    )
    return table
