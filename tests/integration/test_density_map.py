"""The density map that a load leaves beside its rows, and q3c's functions in parallel plans."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psycopg
import pytest
import tiny
from loading import definition, rows, write_csv

from xcat.config import Settings
from xcat.database import connection
from xcat.database.address import OWNER
from xcat.database.connection import connect, ready
from xcat.errors import InputError
from xcat.ingest.load import ingest
from xcat.sky import density_map

# --- the map ------------------------------------------------------------------------------------------------


def stored(settings: Settings) -> dict[int, int]:
    """Cells and counts of the only catalogue."""
    with connect(settings) as conn:
        found = conn.execute("SELECT healpix, n_objects, catalogue_id FROM xcat.density_map").fetchall()
    assert len({row[2] for row in found}) <= 1
    return {cell: n for cell, n, _ in found}


def of_the_rows(settings: Settings) -> dict[int, int]:
    """The same, counted from the table."""
    with connect(settings) as conn:
        positions = conn.execute("SELECT ra, dec FROM xcat.counterpart").fetchall()
    ra, dec = np.array(positions, dtype=float).reshape(-1, 2).T
    cells, counts = np.unique(density_map.cells(ra, dec), return_counts=True)
    return dict(zip(cells.tolist(), counts.tolist(), strict=True))


def crowd(first: int, n: int) -> list[tuple[object, ...]]:
    """Rows in a few cells, so that their counts are above one."""
    return [(f"S{i}", 10 + (i % 7) * 0.5, -20.0, 500, 12, 1.5) for i in range(first, first + n)]


def load(settings: Settings, tmp_path: Path, name: str, lines: Sequence[tuple[object, ...]], **options: bool) -> None:
    ingest(settings, definition(tmp_path), [write_csv(tmp_path / f"{name}.csv", lines)], **options)


def test_a_load_counts_its_rows_an_append_adds_and_a_replacement_starts_anew(settings, tmp_path):
    load(settings, tmp_path, "first", [*rows(1, 40), *crowd(100, 50)])
    assert sum(stored(settings).values()) == 90
    assert stored(settings) == of_the_rows(settings)
    load(settings, tmp_path, "second", crowd(200, 30))
    assert sum(stored(settings).values()) == 120
    assert max(stored(settings).values()) > 10
    assert stored(settings) == of_the_rows(settings)
    load(settings, tmp_path, "third", rows(300, 5), replace=True)
    assert sum(stored(settings).values()) == 5
    assert stored(settings) == of_the_rows(settings)


def test_repeats_and_bad_rows_do_not_count(settings, tmp_path):
    bad = [("bad", "", 3, 500, 12, 1), ("worse", 3, 91, 500, 12, 1)]
    load(settings, tmp_path, "first", [*crowd(1, 20), *crowd(5, 3), *bad])
    assert sum(stored(settings).values()) == 20
    load(settings, tmp_path, "second", [*crowd(15, 10), *crowd(22, 2)])
    assert sum(stored(settings).values()) == 24
    assert stored(settings) == of_the_rows(settings)


def test_a_load_that_fails_leaves_the_map(settings, tmp_path):
    load(settings, tmp_path, "first", crowd(1, 20))
    before = stored(settings)
    path = write_csv(tmp_path / "second.csv", crowd(50, 20))
    path.write_bytes(path.read_bytes().replace(b"id,ra,", b"id,xx,"))
    with pytest.raises(InputError):
        ingest(settings, definition(tmp_path), [path], replace=True)
    assert stored(settings) == before


def test_a_catalogue_that_is_no_counterpart_has_no_map(settings, tmp_path):
    load(settings, tmp_path, "first", crowd(1, 20))
    columns = {"native_id": "id", "ra": "ra", "dec": "dec"}
    reference = definition(
        tmp_path, kind="reference", sky=None, completeness="estimate", columns=columns, **{"class": "CV"}
    )
    ingest(settings, reference, [write_csv(tmp_path / "second.csv", crowd(1, 30))], replace=True)
    assert stored(settings) == {}


def test_an_append_to_a_catalogue_from_before_there_were_maps_counts_all_of_it(settings, tmp_path):
    load(settings, tmp_path, "first", crowd(1, 20))
    with connect(settings) as conn:
        conn.execute("DELETE FROM xcat.density_map")
    load(settings, tmp_path, "second", crowd(50, 10))
    assert sum(stored(settings).values()) == 30
    assert stored(settings) == of_the_rows(settings)


def test_a_map_is_read_as_it_was_stored_or_counted_from_the_rows(settings, tmp_path):
    load(settings, tmp_path, "first", [*rows(1, 40), *crowd(100, 50)])
    at = [0.37, 10.0, 200.0], [0.11, -20.0, 50.0]
    with ready(settings) as conn:
        catalogue_id = conn.execute("SELECT catalogue_id FROM xcat.catalogue").fetchone()[0]
        sky = density_map.load(conn, catalogue_id)
        conn.execute("DELETE FROM xcat.density_map")
        assert density_map.load(conn, catalogue_id).density_per_deg2(*at) == pytest.approx(sky.density_per_deg2(*at))
        assert density_map.load(conn, catalogue_id + 1).n_objects == 0
        conn.rollback()
    assert sky.n_objects == 90
    assert sky.covers(*at).tolist() == [True, True, False]


def test_a_catalogue_written_by_hand_has_a_density(settings):
    other = tiny.load(settings, "optical", {"ra": [1.0, 1.01, 1.02], "dec": [2.0, 2.0, 2.0]}, sky={"local": True})
    with ready(settings) as conn:
        assert density_map.load(conn, other.catalogue_id).n_objects == 3


# --- q3c in parallel ----------------------------------------------------------------------------------------

UNSAFE = "SELECT proname FROM pg_proc WHERE proname LIKE 'q3c%' AND proparallel <> 's' ORDER BY 1"
LEFT = {
    "q3c_ellipse_query",
    "q3c_ellipse_query_it",
    "q3c_poly_query",
    "q3c_poly_query_it",
    "q3c_sel",
    "q3c_seljoin",
    "q3c_version",
}
JOIN = "SELECT count(*), sum(n.id * h.id) FROM n JOIN h ON q3c_join(n.ra, n.dec, h.ra, h.dec, 0.2)"


def unsafe(conn: psycopg.Connection) -> set[str]:
    return {name for (name,) in conn.execute(UNSAFE)}


def test_the_pure_functions_of_q3c_are_parallel_safe_and_no_others(conn):
    assert unsafe(conn) == LEFT


def test_a_database_that_has_q3c_already_is_relabelled_and_again_without_harm(settings):
    with connect(settings, role=OWNER) as conn:
        version = conn.execute("SELECT extversion FROM pg_extension WHERE extname = 'q3c'").fetchone()[0]
        for (signature,) in conn.execute("SELECT oid::regprocedure::text FROM pg_proc WHERE proname LIKE 'q3c%'"):
            conn.execute(f"ALTER FUNCTION {signature} PARALLEL UNSAFE")
        assert "q3c_join" in unsafe(conn)
        for _ in range(2):
            assert connection.check_server(conn)["q3c"] == version
            assert unsafe(conn) == LEFT
        conn.rollback()


def test_a_newer_q3c_keeps_its_own_labels(settings):
    with connect(settings, role=OWNER) as conn:
        conn.execute("ALTER FUNCTION q3c_dist(float8, float8, float8, float8) PARALLEL UNSAFE")
        conn.execute("UPDATE pg_extension SET extversion = '3.0.0rc1' WHERE extname = 'q3c'")
        connection.check_server(conn)
        assert "q3c_dist" in unsafe(conn)
        conn.rollback()


def test_functions_of_somebody_else_are_left_with_a_notice(settings):
    heard: list[str] = []
    with connect(settings, role=OWNER) as conn:
        conn.execute("ALTER FUNCTION q3c_join(float8, float8, float8, float8, float8) PARALLEL UNSAFE")
        conn.execute("CREATE ROLE q3c_user")
        conn.execute(
            "GRANT CREATE ON DATABASE xcat_test TO q3c_user; GRANT USAGE, CREATE ON SCHEMA xcat, pub TO q3c_user"
        )
        conn.execute("SET LOCAL ROLE q3c_user")
        conn.execute("SET LOCAL client_min_messages TO notice")
        conn.add_notice_handler(lambda notice: heard.append(notice.message_primary or ""))
        assert "parallel unsafe" in connection.check_server(conn)["q3c"]
        assert "q3c_join" in unsafe(conn)
        conn.rollback()
    assert len(heard) == 1
    assert "q3c_join(" in heard[0]
    assert "must be owner" in heard[0]


def test_a_parallel_join_finds_what_the_serial_one_finds_by_the_index(settings):
    with connect(settings) as conn:
        for table, n in (("n", 3_000), ("h", 20_000)):
            conn.execute(
                f"CREATE TABLE {table} AS SELECT i AS id, (i * 0.61803398875::float8 * 360)::numeric % 360 AS ra,"
                f" degrees(asin(2 * ((i * 0.7548776662::float8)::numeric % 1)::float8 - 1)) AS dec"
                f" FROM generate_series(1, {n}) AS i"
            )
            conn.execute(f"ALTER TABLE {table} ALTER ra TYPE float8")
        conn.execute("CREATE INDEX h_q3c ON h (q3c_ang2ipix(ra, dec))")
        conn.execute("ANALYZE n, h")
        conn.execute("SET LOCAL max_parallel_workers_per_gather = 0")
        serial = conn.execute(JOIN).fetchone()
        conn.execute("SET LOCAL max_parallel_workers_per_gather = 2")
        conn.execute("SET LOCAL parallel_setup_cost = 0")
        conn.execute("SET LOCAL parallel_tuple_cost = 0")
        conn.execute("SET LOCAL min_parallel_table_scan_size = 0")
        conn.execute("SET LOCAL enable_seqscan = on")
        plan = "\n".join(line for (line,) in conn.execute("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) " + JOIN))
        assert "Gather" in plan, plan
        assert "h_q3c" in plan, plan
        assert "Workers Launched: 0" not in plan, plan
        assert serial[0] > 100
        assert conn.execute(JOIN).fetchone() == serial
        conn.rollback()
