"""A server of the user's own: only checked, and every refusal says who can mend what."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

import children
import psycopg
import pytest
from psycopg import sql

from xcat import config
from xcat.config import Settings
from xcat.database import connection
from xcat.database.address import OWNER
from xcat.database.connection import connect, migrate, ready
from xcat.errors import ConfigError, DatabaseError

_DATABASE = "xcat_external"


@pytest.fixture
def admin(server) -> Iterator[psycopg.Connection]:
    """A superuser's connection beside the databases."""
    with psycopg.connect(f"host={server.socket_folder} user=xcat dbname=postgres", autocommit=True) as conn:
        yield conn


@pytest.fixture
def empty(server, admin) -> Iterator[Settings]:
    """Settings of a database without anything."""
    name = sql.Identifier(_DATABASE)
    admin.execute(sql.SQL("CREATE DATABASE {}").format(name))
    yield Settings(home=server.home, database_url=f"postgresql+psycopg://xcat@/{_DATABASE}?host={server.socket_folder}")
    admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


@pytest.fixture
def stranger(admin, empty) -> Iterator[Settings]:
    """The same database, as a role without rights."""
    admin.execute('CREATE ROLE "o\'stranger" LOGIN')
    assert empty.database_url
    yield dataclasses.replace(empty, database_url=empty.database_url.replace("//xcat@", "//o%27stranger@"))
    with psycopg.connect(connection.conninfo(empty.database_url), autocommit=True) as conn:
        conn.execute('DROP OWNED BY "o\'stranger"')
    admin.execute('DROP ROLE "o\'stranger"')


def test_a_database_without_schema_asks_for_migrate_which_makes_it(empty):
    with pytest.raises(DatabaseError, match=r"has no xcat schema yet\. Run: xcat db migrate"):
        ready(empty)
    before, after = migrate(empty)
    assert before is None
    with ready(empty) as conn:
        assert connection.schema_revision(conn) == (after, after)


def test_an_old_schema_asks_for_migrate(empty):
    assert migrate(empty, "0001") == (None, "0001")
    with pytest.raises(DatabaseError, match=r"has schema 0001, not 00\d\d\. Run: xcat db migrate"):
        ready(empty)


def test_a_schema_from_the_future_is_refused(settings):
    with connect(settings, role=OWNER) as conn:
        conn.execute("UPDATE xcat.alembic_version SET version_num = '9999'")
    for attempt in (migrate, ready):
        with pytest.raises(DatabaseError, match=r"schema 9999, made by a newer xcat\. Upgrade xcat"):
            attempt(settings)


def test_an_unknown_revision_is_refused(settings):
    there = ", ".join(sorted(path.name[:4] for path in (children.ROOT / "alembic" / "versions").glob("0*.py")))
    with pytest.raises(DatabaseError, match=rf"there is no revision '0815'; there are: base, {there} and head"):
        migrate(settings, "0815")


def test_a_role_that_may_not_create_is_refused_with_the_grant_that_helps(empty, stranger):
    with pytest.raises(DatabaseError, match="may not create") as refused:
        migrate(stranger)
    grant = str(refused.value).partition("can run: ")[2]
    with connect(empty) as conn:
        conn.execute(grant)
    with pytest.raises(DatabaseError, match=r"q3c is not enabled.*A superuser can run: CREATE EXTENSION q3c"):
        migrate(stranger)
    with connect(empty) as conn:
        conn.execute("CREATE EXTENSION q3c")
    _, after = migrate(stranger)
    with ready(stranger) as conn:
        assert connection.schema_revision(conn) == (after, after)


def test_a_role_that_may_not_use_the_schema_is_refused_with_the_grant_that_helps(empty, stranger):
    migrate(empty)
    with connect(empty, role=OWNER) as conn:
        conn.execute(f'GRANT CREATE ON DATABASE {_DATABASE} TO "o\'stranger"')
    with pytest.raises(DatabaseError, match=r'GRANT USAGE, CREATE ON SCHEMA xcat, pub TO "o\'stranger"$'):
        migrate(stranger)
    with pytest.raises(DatabaseError, match=r"may not read database") as refused:
        ready(stranger)
    grants = re.findall(r'GRANT xcat_\w+ TO "[^"]+"', str(refused.value))
    assert len(grants) == 2
    counts = {"pub.classified": grants[0], "xcat.run": grants[1]}  # as a reader, then as an operator
    for table, grant in counts.items():
        with connect(empty, role=OWNER) as conn:
            conn.execute(grant)
        with ready(stranger) as conn:
            assert conn.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)


def test_a_server_without_q3c_names_the_package(settings):
    with connect(settings) as conn:
        major = conn.info.server_version // 10000
        # the server looks for extensions by this view; a temporary one hides what is there
        conn.execute(
            "CREATE TEMP VIEW pg_available_extensions AS SELECT ''::name AS name, '' AS default_version WHERE false"
        )
        conn.execute("SET search_path TO pg_temp, pg_catalog")
        with pytest.raises(DatabaseError, match=rf"no q3c\. Install the package postgresql-{major}-q3c"):
            connection.check_server(conn)


def test_a_server_that_is_too_old_is_refused(settings, monkeypatch):
    monkeypatch.setattr(connection, "OLDEST_VERSION", 99)
    with connect(settings) as conn, pytest.raises(DatabaseError, match="xcat needs 99 or newer"):
        connection.check_server(conn)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("no url at all", r"not a database URL: 'no url at all'.*looks like postgresql\+psycopg://"),
        ("mysql://root@localhost/xcat", "names mysql; xcat needs PostgreSQL"),
        ("sqlite:///file", "names sqlite; xcat needs PostgreSQL"),
        (
            "postgresql://xcat@localhost:1/xcat?connect_timeout=2",
            r"(?s)cannot reach the database: .*Check XCAT_DATABASE_URL",
        ),
        ("postgresql://xcat@localhost/xcat?sslmode=wrong", r"cannot reach the database: .*sslmode"),
        ("postgresql://xcat@localhost/xcat?nonsense=1", r"not a database URL.*nonsense"),
        ("postgresql://xcat@localhost:port/xcat", r"not a database URL"),
    ],
)
def test_an_address_that_leads_nowhere_is_explained(tmp_path, url, message):
    for attempt in (ready, migrate):
        with pytest.raises(DatabaseError, match=message):
            attempt(Settings(home=tmp_path, database_url=url))
    assert not list(tmp_path.iterdir()), "an embedded server was begun"


def test_a_password_is_not_shown():
    with pytest.raises(DatabaseError) as refused:
        ready(Settings(database_url="postgresql//me:s3cret@host/xcat"))
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("url", ["postgresql://u:p%40%2F@h:5/d", "postgresql+psycopg://u:p%40%2F@h:5/d"])
def test_an_address_reaches_libpq_whole(url):
    assert psycopg.conninfo.conninfo_to_dict(connection.conninfo(url)) == {
        "user": "u",
        "password": "p@/",
        "host": "h",
        "port": "5",
        "dbname": "d",
    }


def test_no_connection_is_without_a_time_limit(settings):
    # long enough for the first statements of a connection on a busy machine
    limited = dataclasses.replace(settings, statement_timeout_s=2.5)
    with ready(limited) as conn, pytest.raises(psycopg.errors.QueryCanceled):
        conn.execute("SELECT pg_sleep(600)")
    with ready(limited, autocommit=True) as conn:
        conn.execute("BEGIN")
        conn.execute("ROLLBACK")
        assert conn.execute("SHOW statement_timeout").fetchone() == ("2500ms",)


def test_a_time_limit_below_a_millisecond_is_not_off(settings):
    short = dataclasses.replace(settings, statement_timeout_s=0.0001)

    def asked() -> object:
        try:  # the limit may meet the question itself
            with connect(short) as conn:
                return conn.execute("SELECT current_setting('statement_timeout')").fetchone()
        except psycopg.errors.QueryCanceled:
            return None

    assert children.until(asked) == ("1ms",)


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "soon"])
def test_a_time_limit_that_is_none_is_refused(monkeypatch, value):
    monkeypatch.setenv("XCAT_STATEMENT_TIMEOUT_S", value)
    with pytest.raises(ConfigError, match=rf"^XCAT_STATEMENT_TIMEOUT_S={value}: must be a number"):
        config.settings()


def test_an_empty_variable_is_as_good_as_none(monkeypatch):
    monkeypatch.setenv("XCAT_DATABASE_URL", "")
    assert config.settings().database_url is None
