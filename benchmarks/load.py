"""Binary COPY in two cases, each against a bare COPY of rows that were encoded beforehand.

Without a file: made-up rows with NULLs in any of 18 columns, also against the same rows without NULLs. With a FITS
catalogue: loading it into its indexed table; the bare side pays for COPY, the same indexes and the commit only.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from common import in_turn, peak_memory_mb, private_database

from xcat.catalogues.definition import load as definition_of
from xcat.config import Settings
from xcat.database import copy, retention
from xcat.database.connection import Connection, ready
from xcat.ingest.convert import convert
from xcat.ingest.load import ingest
from xcat.ingest.readers import open_table

_N_COLUMNS = 18
_NULL_SHARE = 0.3


def _new_table(conn: Connection, types: Mapping[str, str]) -> None:
    columns = ", ".join(f'"{n}" {t}' + (' COLLATE "C"' if t == "text" else "") for n, t in types.items())
    conn.execute("DROP TABLE IF EXISTS bare")
    conn.execute(f"CREATE TABLE bare ({columns})")


def _copy_bytes(conn: Connection, types: Mapping[str, str], encoded: Sequence[bytes]) -> None:
    with conn.cursor().copy(f"COPY bare ({', '.join(types)}) FROM STDIN (FORMAT BINARY, FREEZE)") as out:
        for data in encoded:
            out.write(data)


def null_patterns(settings: Settings, n_rows: int, runs: int) -> None:
    """COPY of rows whose NULLs form almost as many patterns as there are rows."""
    rng = np.random.default_rng(1)
    full: dict[str, np.ndarray] = {"id": np.arange(n_rows)}
    full |= {f"c{i}": rng.random(n_rows).astype(np.float32) for i in range(_N_COLUMNS)}
    gaps = full | {
        name: np.where(rng.random(n_rows) < _NULL_SHARE, np.float32(np.nan), values)
        for name, values in full.items()
        if name != "id"
    }
    types = {name: "bigint" if name == "id" else "real" for name in full}
    encoded = list(copy.encode([gaps], types))

    def load(block: copy.Block) -> None:
        with ready(settings) as conn:
            _new_table(conn, types)
            copy.copy_in(conn, "bare", [block], types=types, freeze=True)

    def bare() -> None:
        with ready(settings) as conn:
            _new_table(conn, types)
            _copy_bytes(conn, types, encoded)

    print(f"{n_rows:,} rows, {_NULL_SHARE:.0%} NULL in each of {_N_COLUMNS} columns; bare: the same bytes, ready-made")
    in_turn(lambda: load(gaps), bare, runs)
    print("bare: the same rows without NULLs")
    in_turn(lambda: load(gaps), lambda: load(full), runs)


def catalogue(settings: Settings, file: Path, name: str, runs: int) -> None:
    """Load a catalogue into its indexed table."""
    definition = definition_of(name)
    with open_table(file, definition) as table:
        blocks = [convert(chunk, definition).columns for chunk in table]
    with ready(settings) as conn:
        types = copy.column_types(conn, f"xcat.{definition.table_kind}")
    types = {name: types[name] for name in blocks[0]}
    encoded = list(copy.encode(blocks, types))

    def bare() -> None:
        with ready(settings) as conn:
            _new_table(conn, types)
            _copy_bytes(conn, types, encoded)
            conn.execute("CREATE INDEX ON bare (q3c_ang2ipix(ra, dec))")
            conn.execute("CREATE UNIQUE INDEX ON bare (native_id)")

    def reset() -> None:
        with ready(settings) as conn:
            conn.execute("UPDATE catalogue SET is_current = false")
            retention.forget_unread_versions(conn)
        retention.sweep(settings)

    print(f"{sum(len(block['ra']) for block in blocks):,} rows of {file.name}")
    in_turn(lambda: ingest(settings, definition, [file]), bare, runs, before=reset)
    print(f"peak memory {peak_memory_mb():.0f} MB (the encoded rows of the bare side included)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--catalogue", default="cosmos_optical")
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    with private_database() as settings:
        if options.file is None:
            null_patterns(settings, options.rows, options.runs)
        else:
            catalogue(settings, options.file, options.catalogue, options.runs)


if __name__ == "__main__":
    main()
