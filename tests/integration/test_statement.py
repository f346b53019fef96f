"""A statement of a user reads and does nothing else: it is one, within limits that it cannot lift, and is streamed."""

from __future__ import annotations

import dataclasses
import re
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

import xcat
from xcat.cli import answer_commands, common
from xcat.config import Settings
from xcat.database import connection
from xcat.database.address import OPERATOR, READER
from xcat.database.connection import Connection, connect, ready
from xcat.errors import DatabaseError, XcatError
from xcat.output import files, results, spooled_result, statement

_SECRET = "root:x:0:0"  # in /etc/passwd
_FILE = "/tmp/xcat_pwned"


@pytest.fixture(scope="module", autouse=True)
def _run(module_settings: Settings) -> None:
    with ready(module_settings) as conn:
        conn.execute(
            "INSERT INTO xcat.run (kind, name, status, ended_at, config, config_key, versions, inputs)"
            " VALUES ('merge', 'kept', 'done', now(), '{}', 'key', '{}', '{}')"
        )


@pytest.fixture(params=["reader", "operator"])
def door(request: Any, module_settings: Settings, monkeypatch: Any) -> Iterator[str]:
    """How `xcat.sql` comes in: as the reader; or, where the server refuses that, as an operator that takes its role."""
    url = str(module_settings.database_url)
    if request.param == "reader":
        monkeypatch.setenv("XCAT_DATABASE_URL", url)
        yield READER
        return
    with _admin(module_settings) as conn:
        conn.execute(f"CREATE ROLE worker LOGIN; GRANT {OPERATOR} TO worker; GRANT {READER} TO worker")
        conn.execute(f"ALTER ROLE {READER} NOLOGIN")
        try:
            monkeypatch.setenv("XCAT_DATABASE_URL", url.replace("//xcat@", "//worker@"))
            yield "worker"
        finally:
            conn.execute(f"ALTER ROLE {READER} LOGIN; DROP OWNED BY worker; DROP ROLE worker")


def _admin(settings: Settings) -> Connection:
    return psycopg.connect(connection.conninfo(str(settings.database_url)), autocommit=True)


def _state(settings: Settings) -> object:
    """All that a statement could have changed."""
    with _admin(settings) as conn:
        return (
            conn.execute("SELECT oid, relname, relacl::text FROM pg_class ORDER BY oid").fetchall(),
            conn.execute("SELECT rolname, rolsuper, rolconfig FROM pg_roles ORDER BY 1").fetchall(),
            conn.execute("SELECT run::text FROM xcat.run").fetchall(),
            conn.execute("SELECT count(*) FROM pg_proc").fetchall(),
            conn.execute("SELECT count(*) FROM pg_largeobject_metadata").fetchall(),
            Path(_FILE).exists(),
        )


_READ_A_FILE = "SELECT pg_read_file('/etc/passwd') AS a"
_AGAIN = "query_to_xml('{}', true, true, '')"  # runs another statement inside a function
HOSTILE = (
    "COMMIT; CREATE TABLE pub.pwned (i int); SELECT 1 AS a",
    "SET TRANSACTION READ WRITE; CREATE TABLE pub.pwned (i int); SELECT 1 AS a",
    "ROLLBACK; DROP VIEW pub.cv_candidates; COMMIT; SELECT 1 AS a",
    "SET ROLE NONE; DELETE FROM xcat.run; SELECT 1 AS a",
    "SELECT 1 AS a; COMMIT; DELETE FROM xcat.run",
    "COMMIT",
    "SET statement_timeout = 0",
    "SET SESSION AUTHORIZATION xcat",
    "RESET ROLE",
    "DO $$ BEGIN EXECUTE 'RESET ROLE'; DELETE FROM xcat.run; END $$",
    "CREATE TEMP TABLE pwned (i int)",
    "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    f"COPY (SELECT 1) TO '{_FILE}'",
    f"COPY (SELECT 1) TO PROGRAM 'touch {_FILE}'",
    "COPY pub.runs TO STDOUT",
    "ALTER SYSTEM SET fsync = off",
    "GRANT ALL ON ALL TABLES IN SCHEMA xcat TO PUBLIC",
    "PREPARE p AS DELETE FROM xcat.run",
    "LISTEN pwned",
    "DELETE FROM xcat.run RETURNING run_id",
    "WITH d AS (DELETE FROM xcat.run RETURNING run_id) SELECT * FROM d",
    "EXPLAIN ANALYZE DELETE FROM xcat.run",
    "INSERT INTO xcat.publication (run_id, active) VALUES (1, true) RETURNING run_id",
    "SELECT set_config('transaction_read_only', 'off', false) AS a",
    f"SELECT set_config('role', 'none', false), {_AGAIN.format('DELETE FROM xcat.run')}",
    f"SELECT set_config('role', 'xcat', false), {_AGAIN.format('SELECT 1')}",
    f"SELECT set_config('session_authorization', 'xcat', false), {_AGAIN.format('SELECT 1')}",
    f"SELECT set_config('role', 'none', false), {_AGAIN.format(_READ_A_FILE.replace(chr(39), chr(39) * 2))}",
    _READ_A_FILE,
    "SELECT pg_ls_dir('/etc') AS a",
    "SELECT lo_import('/etc/passwd') AS a",
    f"SELECT lo_export(1, '{_FILE}') AS a",
    "SELECT nextval(pg_get_serial_sequence('xcat.run', 'run_id')) AS a",
    "SELECT pg_reload_conf() AS a",
    "SELECT * FROM pg_authid",
    "SELECT 1 AS a FROM pub.runs FOR UPDATE",
    "SELECT * FROM xcat.run",
    "SELECT 1 AS a\0; COMMIT",
    "",
    "-- nothing",
)


def test_no_statement_can_be_talked_out_of_reading(door: str, module_settings: Settings) -> None:
    before = _state(module_settings)
    for text in HOSTILE:
        try:
            answer = xcat.sql(text)
        except XcatError as refused:
            assert _SECRET not in str(refused)
        else:
            pytest.fail(f"{text} gave {answer}")
    xcat.sql("SELECT pg_advisory_lock(1) AS a, pg_notify('x', 'y') AS b")
    if connect_version(module_settings) < 160000:
        xcat.sql("SELECT lo_from_bytea(0, 'x') AS a")  # later servers refuse it
    assert _state(module_settings) == before
    assert xcat.sql("SELECT 1 AS a")["a"].tolist() == [1]


def connect_version(settings: Settings) -> int:
    """Version of the server."""
    with connect(settings) as conn:
        return conn.info.server_version


def test_several_statements_are_refused_by_name(door: str) -> None:
    with pytest.raises(XcatError, match="one statement: this text has several"):
        xcat.sql("SELECT 1; SELECT 2")
    assert xcat.sql("SELECT 'a;b' AS a; -- c;")["a"][0] == "a;b"


def test_a_superuser_is_refused_where_the_reader_cannot_come_in(module_settings: Settings, monkeypatch: Any) -> None:
    """A function inside its statement could take the superuser's role back, and read the files of the server."""
    monkeypatch.setenv("XCAT_DATABASE_URL", str(module_settings.database_url))
    with _admin(module_settings) as conn:
        conn.execute(f"ALTER ROLE {READER} NOLOGIN")
        try:
            with pytest.raises(DatabaseError, match=r"a superuser, who can read.*\.pgpass"):
                xcat.sql("SELECT 1 AS a")
        finally:
            conn.execute(f"ALTER ROLE {READER} LOGIN")


def test_what_remains_where_the_reader_cannot_come_in(door: str) -> None:
    """The docs say so: an operator that took the role may give it back, and reads more, but writes nothing."""
    taken_back = (
        f"SELECT set_config('role', 'none', false) AS r, {_AGAIN.format('SELECT name FROM xcat.run')}::text AS x"
    )
    if door == READER:
        with pytest.raises(XcatError, match="permission denied"):
            xcat.sql(taken_back)
    else:
        assert "kept" in xcat.sql(taken_back)["x"][0]


@pytest.mark.parametrize(
    "text",
    [
        "SELECT set_config('statement_timeout', '0', false) AS s, pg_sleep(60) AS a",
        "SELECT set_config('statement_timeout', '0', false) AS s, generate_series(1, 1000000000000) AS i",
    ],
)
def test_the_time_limit_cannot_be_lifted(door: str, monkeypatch: Any, text: str) -> None:
    """Neither while the server computes, nor while rows come."""
    monkeypatch.setenv("XCAT_STATEMENT_TIMEOUT_S", "0.7")
    with connection.reader(xcat.config.settings()) as conn, pytest.raises(XcatError, match="cancelled"):
        results.read(conn, text, max_rows=1)


def test_memory_and_files_have_limits_that_are_told(
    module_settings: Settings, monkeypatch: Any, tmp_path: Path
) -> None:
    monkeypatch.setenv("XCAT_DATABASE_URL", str(module_settings.database_url))
    monkeypatch.setenv("XCAT_MAX_TABLE_MB", "20")
    monkeypatch.setenv("XCAT_MAX_FILE_MB", "20")
    endless = "SELECT repeat('x', 10000) AS long, generate_series(1, 1000000000) AS i"
    one_long = "SELECT repeat('x', CASE i WHEN 9 THEN 100000 ELSE 1 END) AS long FROM generate_series(1, 1000) AS i"
    for text in (endless, one_long):  # a column of an array is as wide as its longest text
        with pytest.raises(XcatError, match=r"more than 20 MB of memory: stopped at row .*XCAT_MAX_TABLE_MB"):
            xcat.sql(text)
    for name, text in (("a.csv", endless), ("a.fits", one_long)):
        with pytest.raises(XcatError, match=r"more than 20 MB: stopped at row .*XCAT_MAX_FILE_MB"):
            answer_commands.sql(text, None, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_long_result_takes_little_memory(
    module_settings: Settings, monkeypatch: Any, tmp_path: Path, capsys: Any
) -> None:
    monkeypatch.setenv("XCAT_DATABASE_URL", str(module_settings.database_url))
    monkeypatch.setattr(common, "_quiet", False)  # whatever a command before was told
    long = "SELECT i, repeat(chr(97 + i % 7), 3000) AS long FROM generate_series(1, 10000) AS i"  # 30 MB
    answer_commands.sql(
        "SELECT 1 AS i, 'a' AS long", None, tmp_path / "first.csv"
    )  # what is imported counts for nothing
    tracemalloc.start()
    try:
        answer_commands.sql(long, max_rows=3)
        _, on_terminal = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        answer_commands.sql(long, None, tmp_path / "a.csv")
        _, to_file = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    out = capsys.readouterr().out
    assert "3 of 10,000 rows shown" in out and "10,000 rows written" in out
    assert (tmp_path / "a.csv").stat().st_size > 30_000_000
    assert on_terminal < 10e6 and to_file < 90e6, (on_terminal, to_file)


_AWKWARD = """
SELECT i, CASE WHEN i % 5 > 0 THEN repeat('é', i) END AS text,
       CASE WHEN i > 20 THEN i * 1e18::numeric ELSE i END AS whole,
       i / 3.0 AS fraction, CASE WHEN i > 30 THEN 0.5::numeric + 10::numeric ^ 18 ELSE 2 END AS mixed,
       CASE WHEN i > 3 THEN ARRAY[i, 2, 3]::real[] END AS same, array_fill(1, ARRAY[i % 3]) AS lengths,
       i % 2 = 0 AS flag, NULLIF(i, 4)::smallint AS small, interval '1 s' * i AS d, '{"a": [1]}'::jsonb AS j,
       timestamptz '2026-01-02 03:04:05+00' + interval '1 h' * i AS t, NULL::text AS nothing
FROM generate_series(1, 40) AS i
"""


@pytest.mark.parametrize("ending", ["fits", "vot", "parquet", "csv", "ecsv"])
def test_a_file_written_in_pieces_is_that_of_the_whole_table(
    module_settings: Settings, monkeypatch: Any, tmp_path: Path, ending: str
) -> None:
    monkeypatch.setenv("XCAT_DATABASE_URL", str(module_settings.database_url))
    with connect(module_settings) as conn:
        whole = results.query(conn, _AWKWARD)
    monkeypatch.setattr(spooled_result, "_BATCH_ROWS", 7)
    with (
        connect(module_settings) as conn,
        statement.answer(conn, _AWKWARD) as given,
        spooled_result.SpooledResult(given, tmp_path / "x", 100, whole.meta["provenance"]) as spooled,
    ):
        n_pieces = len(list(spooled.pieces()))
        files.write(spooled, tmp_path / f"pieces.{ending}")
    assert n_pieces == 6
    files.write(whole, tmp_path / f"whole.{ending}")
    written, wanted = (tmp_path / f"{name}.{ending}" for name in ("pieces", "whole"))
    if ending == "parquet":  # its row groups are those of the pieces
        import pyarrow.parquet as pq

        assert pq.read_table(written).equals(pq.read_table(wanted), check_metadata=True)
    else:  # the checksum of a FITS header has its time
        parts = [re.sub(rb"(CHECKSUM|DATASUM )=.{71}", b"", path.read_bytes()) for path in (written, wanted)]
        assert parts[0] == parts[1]


def test_a_result_without_rows_is_a_file_with_its_columns(
    module_settings: Settings, monkeypatch: Any, tmp_path: Path
) -> None:
    monkeypatch.setenv("XCAT_DATABASE_URL", str(module_settings.database_url))
    answer_commands.sql("SELECT name, ra FROM pub.classified WHERE false", None, tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text().splitlines() == ["name,ra"]
    with pytest.raises(XcatError, match="exists"):
        answer_commands.sql("SELECT 1 AS a", None, tmp_path / "a.csv")


def test_who_has_neither_role_runs_statements_as_itself(module_settings: Settings, monkeypatch: Any) -> None:
    plain = dataclasses.replace(
        module_settings, database_url=str(module_settings.database_url).replace("xcat@", "plain@")
    )
    monkeypatch.setenv("XCAT_DATABASE_URL", str(plain.database_url))
    with _admin(module_settings) as conn:
        conn.execute(f"CREATE ROLE plain LOGIN; GRANT {READER} TO plain; ALTER ROLE {READER} NOLOGIN")
        try:
            assert xcat.sql("SELECT count(*) AS n FROM pub.classified")["n"][0] == 0
            with pytest.raises(XcatError, match="permission denied"):
                xcat.sql("SELECT * FROM xcat.run")
        finally:
            conn.execute(f"ALTER ROLE {READER} LOGIN; DROP ROLE plain")
