"""Roles: who only reads, who runs the jobs; what each can do, and what is said to who cannot."""

from __future__ import annotations

import dataclasses
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import alembic.command
import psycopg
import pytest
from small_sky import make

from xcat.cli import app as program
from xcat.config import Settings
from xcat.database import connection, partitions
from xcat.database.address import OPERATOR, OWNER, READER
from xcat.database.connection import connect, ready
from xcat.database.embedded import SUPERUSER, EmbeddedServer
from xcat.database.failures import unreachable
from xcat.errors import DatabaseError

Runs = dict[str, int]


@pytest.fixture(scope="module")
def runs(module_settings: Settings) -> Runs:
    return make(module_settings)


def as_user(settings: Settings, user: str) -> Settings:
    """The same database, through another login."""
    return dataclasses.replace(settings, database_url=str(settings.database_url).replace("//xcat@", f"//{user}@"))


@pytest.fixture
def xcat(module_settings: Settings, runs: Runs, monkeypatch: Any, capsys: Any) -> Callable[..., tuple[int, str, str]]:
    """Run a command as a user, in this process: exit code, output, errors."""

    def command(user: str, *arguments: object) -> tuple[int, str, str]:
        monkeypatch.setenv("XCAT_DATABASE_URL", str(as_user(module_settings, user).database_url))
        monkeypatch.setattr(sys, "argv", ["xcat", *map(str, arguments)])
        monkeypatch.setattr(program, "_listen", lambda: None)
        code = 0
        try:
            program.main()
        except SystemExit as end:
            code = int(end.code or 0)
        return code, *capsys.readouterr()

    return command


# --- what belongs to whom -------------------------------------------------------------------------------------


def test_every_relation_of_pub_can_be_read_by_a_reader_and_nothing_else_but_models(
    module_settings: Settings, runs: Runs
) -> None:
    """Also what was made after the roles were: the partitions of a run, and views that were made anew."""
    with connect(module_settings) as conn:
        rows = conn.execute(
            "SELECT n.nspname, c.relname, r.rolname, has_table_privilege(%s, c.oid, 'SELECT'),"
            " has_table_privilege(%s, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER')"
            " FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = relnamespace JOIN pg_roles AS r ON r.oid = relowner"
            " WHERE nspname IN ('xcat', 'pub') AND relkind IN ('r', 'p', 'v')",
            [READER, READER],
        ).fetchall()
    pub = {row[1:] for row in rows if row[0] == "pub"}
    partitions = {f"classified_r{runs['classify']}", f"ulx_candidates_r{runs['classify']}"}
    assert partitions | {"classified", "xrb_candidates", "labels"} < {name for name, *_ in pub}
    assert {(owner, reads, writes) for _, owner, reads, writes in pub} == {(OPERATOR, True, False)}
    xcat = {row[1]: row[2:] for row in rows if row[0] == "xcat"}
    assert xcat.pop("alembic_version") == (OWNER, True, False)
    assert {owner for owner, _, _ in xcat.values()} == {OPERATOR}
    readable = {name for name, (_, reads, _) in xcat.items() if reads}
    assert readable == {
        *("model", "model_class", "model_term", "model_category", "likelihood_table", "likelihood_replicate")
    }


def test_jobs_work_as_operator_whoever_logs_in(module_settings: Settings, runs: Runs) -> None:
    with connect(module_settings) as conn:
        ((user, is_super),) = conn.execute(
            "SELECT current_user, rolsuper FROM pg_roles WHERE rolname = current_user"
        ).fetchall()
        assert (user, is_super) == (OPERATOR, False)
        for statement in (
            "UPDATE xcat.alembic_version SET version_num = '9999'",
            "DROP SCHEMA pub CASCADE",
            "CREATE ROLE pwned",
            "SELECT pg_read_file('/etc/passwd')",
            "COPY (SELECT 1) TO PROGRAM 'true'",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege), conn.transaction():
                conn.execute(statement)  # type: ignore[arg-type]


def test_the_roles_are_made_again_without_change(module_settings: Settings, runs: Runs) -> None:
    state = "SELECT relname, relowner, relacl::text FROM pg_class WHERE relnamespace = 'pub'::regnamespace ORDER BY 1"
    with connect(module_settings, role=OWNER) as conn:
        before = conn.execute(state).fetchall()
        connection.apply_roles(conn)
        assert conn.execute(state).fetchall() == before


# --- a mere reader at the command line ----------------------------------------------------------------------------


def test_a_reader_has_candidates_sql_and_status(xcat: Any, module_settings: Settings) -> None:
    for arguments, words in {
        ("candidates", "XRB", "--known", "--max-rows", 2): "2 of ",
        ("sql", "SELECT class FROM pub.classified LIMIT 1"): "1 row",
        ("sql", "-f", "sql/queries/reclassify_a_source.sql"): "4 rows",
        ("db", "status"): "up to date",
    }.items():
        code, out, errors = xcat(READER, *arguments)
        assert code == 0 and words in out, (arguments, errors)


def test_what_a_reader_may_not_do_is_said_in_one_line(xcat: Any, runs: Runs) -> None:
    for arguments in (
        ("explain", 1),
        ("report",),
        ("runs",),
        ("runs", runs["fit"]),
        ("models",),
        ("catalogues",),
        ("publish", runs["classify"]),
        ("runs", "drop", runs["classify"]),
        ("runs", "prune", "--keep", 1),
        ("runs", "pin", runs["fit"], "--why", "x"),
        ("db", "migrate"),
    ):
        code, out, errors = xcat(READER, *arguments)
        assert (code, out) == (1, ""), arguments
        assert errors.startswith("xcat: ") and errors.count("\n") == 1 and "GRANT " in errors, (arguments, errors)


def test_grants_of_before_still_list_runs(xcat: Any, module_settings: Settings, runs: Runs) -> None:
    """Who was given SELECT on both schemas, as xcat used to say, has runs and reports, and publishes nothing."""
    with connect(module_settings, role=OWNER, autocommit=True) as conn:
        conn.execute("CREATE ROLE visitor LOGIN")
        try:
            conn.execute(
                "GRANT USAGE ON SCHEMA xcat, pub TO visitor; GRANT SELECT ON ALL TABLES IN SCHEMA xcat, pub TO visitor"
            )
            for arguments in (("runs",), ("runs", runs["fit"]), ("report",), ("explain", 1), ("models",)):
                code, out, errors = xcat("visitor", *arguments)
                assert code == 0 and out, (arguments, errors)
            code, _, errors = xcat("visitor", "publish", runs["classify"])
            assert code == 1 and f"GRANT {OPERATOR}" in errors and errors.count("\n") == 1
        finally:
            conn.execute("DROP OWNED BY visitor; DROP ROLE visitor")


# --- a schema of the future, servers that do not let in ---------------------------------------------------------------


def test_every_command_refuses_a_database_of_the_future(xcat: Any, module_settings: Settings) -> None:
    revision = "UPDATE xcat.alembic_version SET version_num = %s"
    with connect(module_settings, role=OWNER, autocommit=True) as conn:
        ((now,),) = conn.execute("SELECT version_num FROM xcat.alembic_version")
        conn.execute(revision, ["9999"])
        try:
            for arguments in (
                *(
                    ("sql", "SELECT 1"),
                    ("candidates", "XRB"),
                    ("explain", 1),
                    ("report",),
                    ("catalogues",),
                    ("models",),
                ),
                *(("runs",), ("runs", 1), ("runs", "drop", 1), ("runs", "prune", "--keep", 1), ("runs", "unpin", 1)),
                *(
                    ("publish", 1),
                    ("diff", 1, 2),
                    ("db", "status"),
                    ("db", "migrate"),
                    ("db", "start"),
                    ("db", "shell"),
                ),
            ):
                code, _, errors = xcat("xcat", *arguments)
                said = "xcat: the database has schema 9999, made by a newer xcat. Upgrade xcat."
                assert code == 1 and errors.splitlines()[-1] == said, (arguments, errors)
        finally:
            conn.execute(revision, [now])


def test_a_missing_database_is_made_by_the_command_that_is_named(module_settings: Settings) -> None:
    url = str(module_settings.database_url).replace(str(connect_name(module_settings)), "not_there")
    with pytest.raises(
        DatabaseError, match=r"\"not_there\" does not exist\. Create it: createdb -h \S+ -O xcat not_there"
    ):
        ready(dataclasses.replace(module_settings, database_url=url))


def connect_name(settings: Settings) -> str:
    """Name of the database."""
    with connect(settings) as conn:
        return conn.info.dbname


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("FATAL:  the database system is starting up", "wait a moment"),
        ("FATAL:  the database system is in recovery mode", "wait a moment"),
        ("FATAL:  the database system is not yet accepting connections", "wait a moment"),
        ("FATAL:  could not write init file: No space left on device", "disk of the server is full"),
        ("FATAL:  sorry, too many clients already", "max_connections"),
        ('FATAL:  database "xcat" does not exist', "xcat db start makes it"),
        ("Connection refused", "Start it: xcat db start"),
    ],
)
def test_why_there_is_no_connection_is_told_with_what_helps(words: str, hint: str) -> None:
    assert hint in str(unreachable(words, Settings(database_url=None)))


def test_a_data_folder_of_before_is_brought_up_by_itself() -> None:
    """One without roles and with an older schema, all of it the superuser's, as xcat made it before."""
    home = Path(tempfile.mkdtemp(prefix="xcat-test-"))
    server, settings = EmbeddedServer(home), Settings(home=home, database_url=None)
    try:
        server.start()
        with psycopg.connect(connection.conninfo(server.url(SUPERUSER)), autocommit=True) as conn:
            conn.execute("CREATE EXTENSION q3c")
            alembic.command.upgrade(connection._alembic_config(server.url(SUPERUSER)), "0008")
            conn.execute(
                "INSERT INTO xcat.run (kind, name, status, ended_at, config, config_key, versions, inputs)"
                " VALUES ('merge', 'kept', 'done', now(), '{}', 'key', '{}', '{}')"
            )
            assert not conn.execute("SELECT FROM pg_roles WHERE rolname LIKE 'xcat\\_%'").fetchall()
        with ready(settings) as conn:
            assert conn.info.user == OPERATOR
            assert conn.execute("SELECT name FROM xcat.run").fetchall() == [("kept",)]
            conn.execute("UPDATE xcat.run SET name = 'kept still'")
            partitions.create(conn, "classified_runs", 7)
            partitions.attach(conn, "classified_runs", 7)
            current, newest = connection.schema_revision(conn)
            assert current == newest
        with ready(settings, role=READER) as conn:
            assert conn.execute("SELECT count(*) FROM pub.classified_r7").fetchone() == (0,)
        assert server.log.stat().st_mode & 0o777 == 0o600
    finally:
        server.stop()
        shutil.rmtree(home)
