"""A small catalogue, files for it, and a picture of the whole database: what the tests of ingest share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import yaml

from xcat.catalogues.definition import Definition, load
from xcat.config import Settings
from xcat.database.connection import connect
from xcat.database.schema import CATALOGUE_TABLES

DEFINITION = {
    "name": "small",
    "title": "A small survey",
    "kind": "infrared",
    "citation": "Nobody 2020",
    "nulls": [-99],
    "position_error": {"convention": "radial_1sigma", "columns": ["err"], "unit": "mas"},
    "sky": {"density_per_deg2": 10},
    "completeness": 0.5,
    # few rows, many of them bad, and replaced by others: what the checks refuse is tested in test_checks.py
    "checks": {"max_rejected": 1, "max_rows_lost": 1, "max_area_lost": 1, "any_value": ["ra"]},
    "columns": {
        "native_id": "id",
        "ra": "ra",
        "dec": "dec",
        "mag_w1": "w1",
        "distance_pc": {"from": "d", "unit": "kpc"},
    },
}
HEADER = ("id", "ra", "dec", "err", "w1", "d")


def write_definition(folder: Path, **changes: object) -> Path:
    """Write the definition, with other or further keys."""
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(DEFINITION | changes))
    return path


def definition(folder: Path, **changes: object) -> Definition:
    """The definition, with other or further keys."""
    return load(write_definition(folder, **changes))


def rows(first: int, n: int) -> list[tuple[object, ...]]:
    """Good rows, each with its own position."""
    return [(f"S{i}", (i * 0.37) % 360, (i * 0.11) % 80, 500, 12 + i % 5, 1.5) for i in range(first, first + n)]


def write_csv(path: Path, lines: Iterable[Sequence[object]]) -> Path:
    """Write a file of the catalogue."""
    path.write_text("\n".join(",".join(map(str, line)) for line in [HEADER, *lines]) + "\n")
    return path


def snapshot(settings: Settings) -> dict[str, tuple[int, str]]:
    """Number of rows and checksum of the ordered content of everything that a load writes, besides ``run``."""
    tables = [*CATALOGUE_TABLES, "catalogue", "catalogue_file", "reject"]
    found = {}
    with connect(settings) as conn:
        for table in tables:
            row = conn.execute(
                f"SELECT count(*), coalesce(md5(string_agg(t::text, chr(10) ORDER BY t::text)), '') FROM xcat.{table} t"
            ).fetchone()
            assert row is not None
            found[table] = row
        left = conn.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace('xcat') AND relkind = 'r'"
        )
        names = sorted(name for (name,) in left)
    return found | {"tables": (len(names), " ".join(names))}


def loaded(settings: Settings, columns: str, table: str = "counterpart", order: str = "object_id") -> list[tuple]:
    """Rows of a table."""
    with connect(settings) as conn:
        return conn.execute(f"SELECT {columns} FROM xcat.{table} ORDER BY {order}").fetchall()


def last_run(settings: Settings) -> tuple[str, str | None]:
    """State and error of the newest run."""
    with connect(settings) as conn:
        row = conn.execute("SELECT status, error FROM xcat.run ORDER BY run_id DESC LIMIT 1").fetchone()
    assert row is not None
    return row
