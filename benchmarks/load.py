"""Loading a FITS catalogue into its indexed table, against a bare binary COPY and the same indexes of the same rows.

The bare side gets the rows ready-made, encoded in memory: it pays for COPY, the indexes and the commit only.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from common import in_turn, peak_memory_mb, private_database

from xcat.catalogues.definition import load as definition_of
from xcat.database import copy, retention
from xcat.database.connection import ready
from xcat.ingest.convert import convert
from xcat.ingest.load import ingest
from xcat.ingest.readers import open_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--catalogue", default="cosmos_optical")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    definition = definition_of(options.catalogue)
    with open_table(options.file, definition) as table:
        blocks = [convert(chunk, definition).columns for chunk in table]
    with private_database() as settings:
        with ready(settings) as conn:
            types = copy.column_types(conn, f"xcat.{definition.table_kind}")
        wanted = {name: types[name] for name in blocks[0]}
        encoded = [part for block in blocks for part in copy.encode(block, wanted)]
        n_rows = sum(len(block["ra"]) for block in blocks)
        names = ", ".join(wanted)
        columns = ", ".join(f'"{n}" {t}' + (' COLLATE "C"' if t == "text" else "") for n, t in wanted.items())

        def ours() -> None:
            ingest(settings, definition, [options.file])

        def bare() -> None:
            with ready(settings) as conn:
                conn.execute("DROP TABLE IF EXISTS bare")
                conn.execute(f"CREATE TABLE bare ({columns})")
                with conn.cursor().copy(f"COPY bare ({names}) FROM STDIN (FORMAT BINARY, FREEZE)") as out:
                    out.write(b"PGCOPY\n\xff\r\n\0" + b"\0" * 8)
                    for part in encoded:
                        out.write(part)
                    out.write(b"\xff\xff")
                conn.execute("CREATE INDEX ON bare (q3c_ang2ipix(ra, dec))")
                conn.execute("CREATE UNIQUE INDEX ON bare (native_id)")

        def reset() -> None:
            with ready(settings) as conn:
                conn.execute("UPDATE catalogue SET is_current = false")
                retention.forget_unread_versions(conn)
            retention.sweep(settings)

        print(f"{n_rows:,} rows of {options.file.name}")
        in_turn(ours, bare, options.runs, before=reset)
    print(f"peak memory {peak_memory_mb():.0f} MB (the encoded rows of the bare side included)")


if __name__ == "__main__":
    main()
