"""Backup and restore: into an empty server, all or nothing, whoever owns what afterwards."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import small_sky
from psycopg import sql

import xcat
from xcat.config import Settings
from xcat.database.address import conninfo, database_url
from xcat.database.connection import connect, reader, ready
from xcat.database.dump import backup, restore
from xcat.database.embedded import EmbeddedServer
from xcat.database.installation import program
from xcat.errors import DatabaseError, InputError, XcatError
from xcat.jobs import releases
from xcat.service.health import checks

_TABLES = (
    "SELECT n.nspname || '.' || c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
    " WHERE n.nspname IN ('xcat', 'pub', 'procrastinate') AND c.relkind = 'r' AND c.relname <> 'backup' ORDER BY 1"
)


@pytest.fixture(scope="module")
def made(module_settings: Settings) -> Settings:
    small_sky.make(module_settings)
    return module_settings


@pytest.fixture(scope="module")
def dump(made: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("backup") / "o'brien tést.dump"
    assert backup(made, path) == path.stat().st_size > 100_000
    assert path.stat().st_mode & 0o077 == 0, "it is its owner's alone"
    return path


@pytest.fixture
def empty(server: EmbeddedServer) -> Iterator[Settings]:
    """A database without anything."""
    name = sql.Identifier("xcat_restored")
    with psycopg.connect(f"host={server.socket_folder} user=xcat dbname=postgres", autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(name))
        yield Settings(server.home, f"postgresql+psycopg://xcat@/xcat_restored?host={server.socket_folder}")
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


def _content(settings: Settings) -> dict[str, Any]:
    """Every table with a checksum of its rows, and the comments and owners of all relations."""
    with connect(settings) as conn:
        found: dict[str, Any] = {}
        for (name,) in conn.execute(_TABLES).fetchall():
            query = sql.SQL("SELECT count(*), md5(string_agg(t::text, E'\\n' ORDER BY t::text)) FROM {} AS t")
            found[name] = conn.execute(query.format(sql.Identifier(*name.split(".")))).fetchone()
        found["relations"] = conn.execute(
            "SELECT c.oid::regclass::text, c.relkind, c.relowner::regrole::text, obj_description(c.oid, 'pg_class')"
            " FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
            " WHERE n.nspname IN ('xcat', 'pub') ORDER BY 1"
        ).fetchall()
        found["functions"] = conn.execute(
            "SELECT p.oid::regprocedure::text, p.proowner::regrole::text, p.prosrc FROM pg_proc AS p"
            " WHERE p.pronamespace IN ('xcat'::regnamespace, 'pub'::regnamespace) ORDER BY 1"
        ).fetchall()
    return found


def test_a_restored_database_is_what_was_saved(made: Settings, dump: Path, empty: Settings) -> None:
    restore(empty, dump)
    before, after = _content(made), _content(empty)
    assert {name for name in before if before[name] != after.get(name)} == set()
    assert set(after) == set(before)
    with reader(empty) as conn:  # rights come from the roles, not from the file
        ((n,),) = conn.execute("SELECT count(*) FROM pub.classified").fetchall()
        assert n == 600
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("SELECT count(*) FROM xcat.classification")
    with pytest.raises(DatabaseError, match="has data already"):
        restore(empty, dump)


def test_a_database_from_a_backup_goes_on(dump: Path, empty: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    restore(empty, dump)
    assert empty.database_url
    monkeypatch.setenv("XCAT_DATABASE_URL", empty.database_url)
    assert len(xcat.candidates("XRB")) > 0
    with ready(empty) as conn:
        assert releases.create(conn, "first")["label"] == "first"


@pytest.mark.parametrize(
    ("content", "words"), [(b"", "is no backup of xcat"), (b"PGDMP\x01\x0e\x00 nothing", "is no backup of xcat")]
)
def test_what_is_no_backup_is_refused(tmp_path: Path, empty: Settings, content: bytes, words: str) -> None:
    path = tmp_path / "x.dump"
    path.write_bytes(content)
    with pytest.raises(InputError, match=words):
        restore(empty, path)
    with pytest.raises(InputError, match="no such file"):
        restore(empty, tmp_path / "none.dump")


def test_a_cut_backup_leaves_the_database_empty(tmp_path: Path, dump: Path, empty: Settings) -> None:
    cut = tmp_path / "cut.dump"
    whole = dump.read_bytes()
    cut.write_bytes(whole[: int(0.9 * len(whole))])
    with pytest.raises(XcatError):
        restore(empty, cut)
    with connect(empty) as conn:
        assert conn.execute("SELECT to_regnamespace('xcat'), to_regnamespace('pub')").fetchone() == (None, None)


def test_a_backup_of_the_future_is_refused(dump: Path, tmp_path: Path, empty: Settings) -> None:
    restore(empty, dump)
    path = tmp_path / "future.dump"
    with connect(empty, autocommit=True) as conn:
        conn.execute("RESET ROLE")
        conn.execute("UPDATE xcat.alembic_version SET version_num = '9999'")
        with pytest.raises(DatabaseError, match="made by a newer xcat"):
            backup(empty, path)
        command = [program("pg_dump", 15), "--format=custom", "--schema=xcat", f"--file={path}"]
        subprocess.run([*command, conninfo(database_url(empty))], check=True)
        conn.execute("DROP SCHEMA xcat, pub, procrastinate CASCADE")
    with pytest.raises(InputError, match=r"has schema 9999, made by a newer xcat\. Upgrade xcat"):
        restore(empty, path)


def test_a_backup_is_not_replaced_unasked(made: Settings, dump: Path, tmp_path: Path) -> None:
    content = dump.read_bytes()
    with pytest.raises(XcatError, match="exists already"):
        backup(made, dump)
    with pytest.raises(XcatError, match="there is no folder"):
        backup(made, tmp_path / "none" / "x.dump")
    assert dump.read_bytes() == content


def _well(settings: Settings, *ages: float | None) -> dict[str, tuple[bool, str]]:
    return {check.name: (check.is_well, check.text) for check in checks(settings, *(ages or (None, None)))}


def test_health_tells_what_is_not_well(made: Settings, dump: Path, empty: Settings) -> None:
    """With a backup and a publication of today; then one thing after the other fails."""
    found = _well(made, 1, 1)
    assert [name for name, (is_well, _) in found.items() if not is_well] == []
    assert dump.name in found["backup"][1]
    assert _well(made, 0, 0)["publication"][0] is _well(made, 0, 0)["backup"][0] is False
    with ready(made) as conn:
        conn.execute(
            "INSERT INTO xcat.schedule (name, cron, time_zone, pipeline_file, data_folder, options, next_at)"
            " VALUES ('nightly', '0 4 * * *', 'UTC', 'x.yaml', '.', '{}', now())"
        )
        conn.execute(
            "INSERT INTO xcat.run (kind, name, status, config, config_key, versions, inputs, error, ended_at)"
            " SELECT 'pipeline', 'other', 'failed', '{}', repeat('0', 64), '{}', '{}', 'the disk is full', now()"
        )
    found = _well(made, None, None)
    no_worker = (False, "1 schedules, 0 jobs wait, 0 workers. Start one: xcat worker")
    assert found["queue"] == no_worker
    with ready(made) as conn:
        conn.execute("INSERT INTO procrastinate.procrastinate_workers (last_heartbeat) VALUES (clock_timestamp())")
    assert _well(made, None, None)["queue"] == no_worker, "xcat serve beats, too, and takes no pipelines"
    with ready(made) as conn, ready(made) as other:  # of one worker
        for session in (conn, other):
            session.execute(
                "INSERT INTO procrastinate.procrastinate_workers (last_heartbeat) VALUES (clock_timestamp())"
            )
            session.execute("SET application_name = 'xcat worker 7 at here'")
            session.commit()
        assert _well(made, None, None)["queue"] == (True, "1 schedules, 0 jobs wait, 1 workers")
    assert not found["last runs"][0] and "the disk is full" in found["last runs"][1]
    assert list(_well(empty)) == ["database"] and not _well(empty)["database"][0]


def test_health_of_a_server_that_does_not_run_starts_nothing(tmp_path: Path) -> None:
    found = _well(Settings(tmp_path / "none", None), None, None)
    assert list(found) == ["database"] and "Start it: xcat db start" in found["database"][1]
    assert not (tmp_path / "none").exists()
