"""The contents of a catalogue are versions: what a run has read never changes, and goes only with the run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import loading as small
import pytest

from xcat.catalogues.definition import Definition
from xcat.config import Settings
from xcat.database import retention
from xcat.database.connection import Connection, ready
from xcat.database.runs import stage
from xcat.database.sqlfiles import job
from xcat.errors import StageError
from xcat.ingest.load import ingest

pytestmark = pytest.mark.slow


@pytest.fixture
def definition(tmp_path: Path) -> Definition:
    return small.definition(tmp_path)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return [small.write_csv(tmp_path / f"{i}.csv", [*small.rows(10 * i, 3), ("", 1, 1, 1, 1, 1)]) for i in range(3)]


@pytest.fixture
def conn(settings: Settings) -> Iterator[Connection]:
    with ready(settings, autocommit=True) as connection:
        yield connection


def _versions(conn: Connection) -> list[tuple[int, int, bool, list[str]]]:
    return conn.execute(
        "SELECT catalogue_id, version, is_current, array_agg(file_name ORDER BY file_id)"
        " FROM xcat.catalogue JOIN xcat.catalogue_content USING (catalogue_id) JOIN xcat.catalogue_file USING (file_id)"
        " GROUP BY 1 ORDER BY 1"
    ).fetchall()


def _ids(conn: Connection, catalogue_id: int) -> list[str]:
    query = "SELECT native_id FROM xcat.counterpart WHERE catalogue_id = %s ORDER BY object_id"
    return [row[0] for row in conn.execute(query, [catalogue_id])]


def _read(settings: Settings, catalogue_id: int) -> int:
    with stage(settings, "match", "reader", {"reads": catalogue_id}, catalogues=[catalogue_id]) as run:
        pass
    return run.run_id


def test_what_nobody_has_read_is_added_to_in_place(settings, definition, files, conn):
    ingest(settings, definition, files[:1])
    ingest(settings, definition, files[1:2])
    assert _versions(conn) == [(1, 1, True, ["0.csv", "1.csv"])]
    assert _ids(conn, 1) == ["S0", "S1", "S2", "S10", "S11", "S12"]


def test_what_was_read_stays_when_files_are_added(settings, definition, files, conn):
    ingest(settings, definition, files[:1])
    _read(settings, 1)
    maps = "SELECT healpix, n_objects FROM xcat.density_map WHERE catalogue_id = %s ORDER BY 1"
    before = (_ids(conn, 1), conn.execute(maps, [1]).fetchall())
    result = ingest(settings, definition, [*files[:2]])
    assert (result.n_rows, result.already) == (3, ["0.csv"])
    assert (_ids(conn, 1), conn.execute(maps, [1]).fetchall()) == before
    assert _versions(conn) == [(1, 1, False, ["0.csv"]), (2, 2, True, ["0.csv", "1.csv"])]
    assert _ids(conn, 2) == ["S0", "S1", "S2", "S10", "S11", "S12"]
    ingest(settings, definition, files[:2], replace=True)  # the same as a load of its own
    fresh = conn.execute(maps, [2]).fetchall()
    assert sum(n for _, n in fresh) == 6
    rejected = "SELECT file_name, row_number FROM pub.rejected_rows ORDER BY 1, 2"
    assert conn.execute(rejected).fetchall() == [("0.csv", 4), ("1.csv", 4)]


def test_what_was_read_stays_when_files_are_replaced(settings, definition, files, conn):
    ingest(settings, definition, files[:1])
    reader = _read(settings, 1)
    ingest(settings, definition, files[1:2], replace=True)
    assert _versions(conn) == [(1, 1, False, ["0.csv"]), (2, 2, True, ["1.csv"])]
    assert _ids(conn, 1) == ["S0", "S1", "S2"]
    offered = conn.execute(job("own.catalogues").compose()).fetchall()
    assert [row[:2] for row in offered] == [(2, "small")], "a table of one's own is matched with what is current"
    retention.drop_runs(settings, [reader])
    assert _versions(conn) == [(2, 2, True, ["1.csv"])]
    assert conn.execute("SELECT to_regclass('xcat.counterpart_c1')").fetchone() == (None,)
    assert conn.execute("SELECT DISTINCT file_name FROM xcat.catalogue_file").fetchall() == [("1.csv",)]


def test_what_nobody_has_read_goes_when_it_is_replaced(settings, definition, files, conn):
    ingest(settings, definition, files[:1])
    ingest(settings, definition, files[1:2], replace=True)
    assert _versions(conn) == [(2, 2, True, ["1.csv"])]
    assert conn.execute("SELECT to_regclass('xcat.counterpart_c1')").fetchone() == (None,)


def test_files_that_a_kept_version_holds_are_not_loaded_again(settings, definition, files, conn):
    ingest(settings, definition, files[:2])
    _read(settings, 1)
    ingest(settings, definition, files[2:], replace=True)
    result = ingest(settings, definition, [files[1], files[0]], replace=True)
    assert (result.files, sorted(result.already), result.version) == ([], ["0.csv", "1.csv"], 1)
    assert _versions(conn) == [(1, 1, True, ["0.csv", "1.csv"])], "the version between was read by nobody"


def test_an_older_definition_is_another_version(settings, definition, files, conn, tmp_path):
    ingest(settings, definition, files[:1])
    _read(settings, 1)
    changed = small.definition(tmp_path, epoch_yr=2010.0)
    ingest(settings, changed, files[:1], replace=True)
    assert [v[:3] for v in _versions(conn)] == [(1, 1, False), (2, 2, True)]
    ingest(settings, definition, files[:1], replace=True)
    assert [v[:3] for v in _versions(conn)] == [(1, 1, True)]


def test_a_reader_in_a_long_transaction_does_not_block_a_replacement(settings, definition, files, conn):
    ingest(settings, definition, files[:1])
    with ready(settings) as long:
        before = long.execute("SELECT native_id FROM xcat.counterpart ORDER BY 1").fetchall()
        ingest(settings, definition, files[1:2], replace=True)
        assert _ids(conn, 2) == ["S10", "S11", "S12"]
        assert long.execute("SELECT native_id FROM xcat.counterpart_c1 ORDER BY 1").fetchall() == before
    retention.sweep(settings)
    assert conn.execute("SELECT to_regclass('xcat.counterpart_c1')").fetchone() == (None,)


def test_a_version_that_has_gone_cannot_be_read(settings, definition, files):
    ingest(settings, definition, files[:1])
    ingest(settings, definition, files[1:2], replace=True)
    with pytest.raises(StageError, match="was replaced just before"):
        _read(settings, 1)
