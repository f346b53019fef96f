"""Fixtures: one embedded server a session, one fresh database a test, the real catalogues where they are."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import children
import psycopg
import pytest
from psycopg import sql

from xcat import progress
from xcat.config import Settings
from xcat.database.connection import migrate, ready
from xcat.database.embedded import EmbeddedServer

_TEMPLATE = "xcat_template"
_LONGEST = (
    *("test_truth_recovered", "test_readme", "test_chaos", "test_explain", "test_pipeline", "test_real_data"),
    "test_history",
)


def pytest_configure(config: pytest.Config) -> None:
    """Before any test module is imported: some libraries look at the terminal and the locale only then."""
    # xdist's workers tidy up for themselves, and must still see what the caller has
    if hasattr(config, "workerinput") or config.getoption("dist", "no") == "no":
        home = children.tidy()
        config.add_cleanup(lambda: shutil.rmtree(home, ignore_errors=True))
    progress.silence()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow files first, and of these the longest: one that begins last would keep one core waiting for the other."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    rank = {name: number for number, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: (item.path not in slow, rank.get(item.path.stem, len(rank))))


@pytest.fixture(autouse=True, scope="session")
def _silence() -> Iterator[None]:
    """Progress stays silent: a command run in this process would let it speak, in all tests that follow."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(progress, "silence", lambda quiet=True: None)
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real catalogues; the test is skipped, visibly, where they are absent."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("XCAT_SHARED_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"the real catalogues are not here ({folder})")
    return folder


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedServer]:
    """A private server that ends with the session."""
    home = Path(tempfile.mkdtemp(prefix="xcat-test-"))
    embedded = EmbeddedServer(home)
    embedded.start()
    with _admin(embedded) as conn:  # the databases of tests need not survive a power cut
        conn.execute("ALTER SYSTEM SET fsync = off")
        conn.execute("SELECT pg_reload_conf()")
    yield embedded
    embedded.stop()
    shutil.rmtree(home)


def _url(server: EmbeddedServer, database: str) -> str:
    return f"postgresql+psycopg://xcat@/{database}?host={server.socket_folder}"


def _admin(server: EmbeddedServer) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(f"host={server.socket_folder} user=xcat dbname=postgres", autocommit=True)


@pytest.fixture(scope="session")
def template(server: EmbeddedServer) -> str:
    """A database with the schema, to be copied: faster than migrating for every test."""
    with _admin(server) as conn:
        conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_TEMPLATE)))
    settings = Settings(home=server.home, database_url=_url(server, _TEMPLATE))
    migrate(settings)
    with ready(settings) as conn:  # tests publish what no gate would let through; tests of the gates switch them on
        conn.execute("UPDATE xcat.gate SET is_on = false")
    return _TEMPLATE


def _fresh(server: EmbeddedServer, template: str, name: str) -> Iterator[Settings]:
    with _admin(server) as conn:
        conn.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
    yield Settings(home=server.home, database_url=_url(server, name))
    with _admin(server) as conn:
        conn.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def settings(server: EmbeddedServer, template: str) -> Iterator[Settings]:
    """Settings of a fresh database, one a test."""
    yield from _fresh(server, template, "xcat_test")


@pytest.fixture(scope="module")
def module_settings(server: EmbeddedServer, template: str, request: pytest.FixtureRequest) -> Iterator[Settings]:
    """Settings of a fresh database, one a module."""
    yield from _fresh(server, template, "xcat_" + request.module.__name__.rpartition(".")[2])


@pytest.fixture
def conn(settings: Settings) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """A connection to the test's database."""
    with ready(settings) as connection:
        yield connection
