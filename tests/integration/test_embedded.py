"""The private server: starts from nothing, lets nobody else in, and comes back from every kind of crash."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import children
import psycopg
import pytest
from children import TIMEOUT_S, until

from xcat.config import Settings
from xcat.database import connection, embedded, installation
from xcat.database.embedded import EmbeddedServer, server_settings
from xcat.database.installation import find_binaries
from xcat.errors import DatabaseError

pytestmark = pytest.mark.slow

# what a shell, a URL or a list of folders would trip over
_AWKWARD = "o'brien tëst+50%41"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder that PostgreSQL's user can reach; pytest's own are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="xcat-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def home(folder: Path) -> Iterator[Path]:
    """One home for the tests that may share it: initdb takes a second."""
    home = folder / _AWKWARD
    yield home
    EmbeddedServer(home).stop()


@pytest.fixture
def running(home: Path) -> EmbeddedServer:
    server = EmbeddedServer(home)
    server.start()
    return server


def _query(server: EmbeddedServer, statement: str) -> object:
    with connection.connect(Settings(home=server.home, database_url=None)) as conn:
        cursor = conn.execute(statement)
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_starts_from_nothing_twice_and_stops_twice(home):
    server = EmbeddedServer(home)
    server.stop()
    shutil.rmtree(server.data, ignore_errors=True)
    assert server.status() == embedded.Status(False, None, None)
    assert server.start() is True
    assert server.start() is False
    status = server.status()
    assert status.running and status.pid
    assert int(status.version or 0) >= installation.OLDEST_VERSION
    assert _query(server, "SELECT current_database()") == "xcat"
    assert server.stop() is True
    assert server.stop() is False
    assert server.status() == embedded.Status(False, None, status.version)


def test_nobody_else_can_come_in(running):
    assert stat.S_IMODE(running.socket_folder.stat().st_mode) == 0o700
    assert _query(running, "SHOW listen_addresses") == ""
    assert _tcp_sockets(running.status().pid) == []
    assert stat.S_IMODE(running.data.stat().st_mode) == 0o700


def _tcp_sockets(pid: int | None) -> list[str]:
    inodes = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        target = str(entry.readlink())
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    tables = [Path(f"/proc/{pid}/net/{family}") for family in ("tcp", "tcp6")]
    lines = [line for table in tables if table.exists() for line in table.read_text().splitlines()[1:]]
    return [line for line in lines if line.split()[9] in inodes]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another user")
def test_the_server_of_root_is_not_root(running):
    assert Path(f"/proc/{running.status().pid}").stat().st_uid == pwd.getpwnam("postgres").pw_uid


# what libpq reads besides the address; most of these alone would keep it from the embedded server
_LIBPQ = {
    "PGPORT": "5999", "PGDATABASE": "other", "PGDATA": "/nowhere", "PGOPTIONS": "-c x", "PGUSER": "nobody",
    "PGHOST": "nowhere", "PGHOSTADDR": "192.0.2.1", "PGSERVICE": "nothing", "PGREQUIREAUTH": "scram-sha-256",
    "PGSSLMODE": "nonsense", "PGTARGETSESSIONATTRS": "standby", "PGCLIENTENCODING": "LATIN1",
}  # fmt: skip


def test_the_users_own_postgresql_variables_change_nothing(running, monkeypatch):
    running.stop()
    for name, value in _LIBPQ.items():
        monkeypatch.setenv(name, value)
    assert running.start() is True
    assert _query(running, "SELECT current_database()") == "xcat"
    assert _query(running, "SHOW client_encoding") == "UTF8"
    monkeypatch.undo()
    assert _query(running, "SELECT current_database()") == "xcat"


@pytest.mark.parametrize("name", _LIBPQ)
def test_no_variable_keeps_a_new_schema_from_being_made(running, monkeypatch, name):
    monkeypatch.setenv(name, _LIBPQ[name])
    settings = Settings(home=running.home, database_url=None)
    connection.migrate(settings)
    with connection.ready(settings) as conn:
        assert conn.execute("SELECT count(*) FROM xcat.run").fetchone() == (0,)


def test_a_server_of_ones_own_is_spoken_to_in_utf_8(settings, monkeypatch):
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    with connection.connect(settings) as conn:
        assert conn.execute("SELECT 'σ', current_setting('client_encoding')").fetchone() == ("σ", "UTF8")


_SIGNALS = ("INT", "QUIT", "TERM", "HUP", "USR1", "USR2", "PIPE", "ALRM", "CHLD")


def _traits(server: EmbeddedServer) -> tuple[object, ...]:
    """What the server has from whoever started it: signals ignored and blocked, umask, priority, variables, folder."""
    pid = server.status().pid
    of = Path(f"/proc/{pid}")
    state = dict(line.split(":\t", 1) for line in (of / "status").read_text().splitlines() if ":\t" in line)
    return (
        int(state["SigIgn"], 16) & sum(1 << getattr(signal, f"SIG{name}") - 1 for name in _SIGNALS),
        int(state["SigBlk"], 16),
        state["Umask"],
        os.getpriority(os.PRIO_PROCESS, pid or 0),
        os.getsid(pid or 0) == os.getsid(0),
        (of / "cwd").readlink(),
        (of / "fd" / "0").readlink(),
        _query(server, "SHOW log_timezone"),
        _query(server, "SHOW lc_messages"),
        _query(server, "SHOW timezone"),
    )


def test_the_server_has_nothing_of_the_shell_that_started_it(home, folder):
    """From a terminal, or in the background of a script under nice, with a umask and variables of its own: the same."""
    server = EmbeddedServer(home)
    server.stop()
    command = [children.XCAT, "db", "start"]
    children.run(command, Settings(home=home), check=True)
    expected = _traits(server)
    server.stop()
    variables = {"LC_ALL": "C", "LANGUAGE": "de", "TZ": "Asia/Kathmandu", "MY_OWN": "secret"} | _LIBPQ
    hostile = ["nice", *children.ignoring(_SIGNALS, command)]
    children.run(hostile, Settings(home=home), env=variables, check=True, umask=0o077, cwd=folder)
    found = list(_traits(server))
    if os.geteuid() != 0:  # only root may take back a priority
        found[3] = expected[3]
    assert tuple(found) == expected
    assert children.run([children.XCAT, "db", "stop"], Settings(home=home), check=True).stdout == "stopped\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's server has another user, who must pass through")
def test_a_new_home_of_several_folders_is_made_under_any_umask(folder):
    server = EmbeddedServer(folder / "one" / "two" / "three")
    before = os.umask(0o077)
    try:
        server.start()
        assert _query(server, "SELECT 1") == 1
    finally:
        os.umask(before)
        server.stop()


def test_a_server_that_is_nice_is_so_no_longer_or_says_so(server):
    """Whoever started it under nice: root gives it the usual priority, others are told what to do."""
    pid = server.status().pid
    os.setpriority(os.PRIO_PROCESS, pid, 3)
    assert "niceness 3" in server.status().nice and "xcat db stop && xcat db start" in server.status().nice
    assert server.start() is False
    assert (server.status().nice == "") == (os.geteuid() == 0)


def test_the_machine_sets_the_memory(running):
    wanted = server_settings(embedded._memory_mb(), os.cpu_count() or 1)
    assert (
        _query(running, "SELECT setting::int * 8 / 1024 || 'MB' FROM pg_settings WHERE name = 'shared_buffers'")
        == (wanted["shared_buffers"])
    )


@pytest.mark.parametrize("memory_mb", [512, 1024, 24 * 1024, 512 * 1024])
def test_memory_settings_fit_the_machine(memory_mb):
    options = server_settings(memory_mb, cores=4)
    mb = {k: int(v.removesuffix("MB")) for k, v in options.items() if v.endswith("MB") and v[:-2].isdigit()}
    # shared memory, an index build and a sort in each of four workers leave half of the machine free
    assert mb["shared_buffers"] + mb["maintenance_work_mem"] + 5 * mb["work_mem"] <= max(memory_mb / 2, 300)
    assert mb["shared_buffers"] >= 64
    assert 16 <= mb["work_mem"] <= 256
    assert mb["shared_buffers"] < mb["effective_cache_size"] < memory_mb
    assert options["max_parallel_workers"] == "4"


# --- crashes ----------------------------------------------------------------------------------------------


def _write(server: EmbeddedServer, name: str) -> None:
    _query(server, f"CREATE SCHEMA mine; CREATE TABLE mine.{name} AS SELECT generate_series(1, 1000) AS i")


@pytest.mark.parametrize("pid", ["999999999", "not a number", ""], ids=["bogus", "garbage", "empty"])
def test_a_stale_pid_file_is_no_obstacle(running, pid):
    running.stop()
    (running.data / "postmaster.pid").write_text(pid)
    assert not running.status().running
    assert running.start() is True
    assert _query(running, "SELECT 1") == 1


def test_the_pid_of_another_process_is_no_obstacle(running):
    running.stop()
    account = running._account()
    identity = {"user": account.pw_uid, "group": account.pw_gid} if os.geteuid() == 0 else {}
    # PostgreSQL itself would refuse: a live process of its own user has the number
    other = subprocess.Popen(["sleep", "600"], cwd="/", **identity)
    try:
        (running.data / "postmaster.pid").write_text(f"{other.pid}\n{running.data}\n")
        assert not running.status().running
        assert running.start() is True
        assert running.status().pid != other.pid
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_killed_server_comes_back_with_its_data(running):
    _write(running, "kept")
    pid = running.status().pid
    assert pid
    os.kill(pid, signal.SIGKILL)
    until(lambda: not _alive(pid))
    assert not running.status().running
    assert running.start() is True
    assert _query(running, "SELECT sum(i) FROM mine.kept") == 500500


def test_what_a_killed_server_left_working_is_ended_first(running):
    """Two servers on the same data would ruin it, and this one's pid file is not worth trusting."""
    with connection.connect(Settings(home=running.home)) as conn:
        backend = conn.info.backend_pid

        def work() -> None:
            with pytest.raises(psycopg.OperationalError):
                conn.execute("SELECT sum(i) FROM generate_series(1, 1000000000000) AS i")

        thread = threading.Thread(target=work)
        thread.start()
        pid = running.status().pid
        assert pid
        until(lambda: _query(running, f"SELECT state FROM pg_stat_activity WHERE pid = {backend}") == "active")
        os.kill(pid, signal.SIGKILL)
        until(lambda: not _alive(pid))
        assert _alive(backend), "the test needs a backend that outlives its postmaster"
        assert running.start() is True
        assert not _alive(backend)
        thread.join()


def test_an_interrupted_initdb_is_begun_again(folder):
    server = EmbeddedServer(folder / "half")
    server._prepare_home() if server.home.exists() else server._make_home()
    for name in ("base", "global", "pg_wal"):
        (server.data / name).mkdir(parents=True)
    (server.data / "postgresql.conf").write_text("half of a line")
    try:
        assert server.start() is True
        assert _query(server, "SELECT 1") == 1
    finally:
        server.stop()


def test_two_processes_start_one_server(folder):
    home = folder / "two"
    script = (
        "import sys; from pathlib import Path; from xcat import progress; progress.silence()\n"
        "from xcat.config import Settings; from xcat.database.connection import ready\n"
        "conn = ready(Settings(home=Path(sys.argv[1]), database_url=None))\n"
        "print(conn.execute('SELECT count(*) FROM xcat.run').fetchone()[0]); conn.close()"
    )
    command = [sys.executable, "-W", "error", "-c", script, str(home)]
    both = [children.start(command) for _ in range(2)]
    try:
        assert [children.end(p) for p in both] == [(0, "0\n", ""), (0, "0\n", "")]
        assert EmbeddedServer(home).status().running
    finally:
        EmbeddedServer(home).stop()


def test_a_server_that_is_still_starting_is_waited_for(home, monkeypatch):
    """The second process must not connect before the first one's server answers."""
    server, second = EmbeddedServer(home), EmbeddedServer(home)
    server.stop()
    finished, entered, second_is_here = [], threading.Event(), threading.Event()
    create, flock = EmbeddedServer.create_database, embedded.fcntl.flock

    def slowly(self: EmbeddedServer, bindir: Path) -> None:
        entered.set()
        assert second_is_here.wait(TIMEOUT_S)
        create(self, bindir)
        finished.append("first")

    def announced(handle: object, operation: int) -> None:
        if threading.current_thread() is not thread:
            second_is_here.set()
        flock(handle, operation)  # type: ignore[arg-type]

    monkeypatch.setattr(EmbeddedServer, "create_database", slowly)
    monkeypatch.setattr(embedded.fcntl, "flock", announced)
    thread = threading.Thread(target=server.start)
    thread.start()
    assert entered.wait(TIMEOUT_S)
    assert second.start() is False
    assert finished == ["first"]
    thread.join()


# --- refusals ---------------------------------------------------------------------------------------------


def test_a_server_that_does_not_start_shows_its_log(running):
    running.stop()
    main = running.data / "postgresql.conf"
    before = main.read_text()
    main.write_text(before + "no_such_setting = 1\n")
    try:
        with pytest.raises(DatabaseError, match=r"(?s)did not start.*no_such_setting"):
            running.start()
    finally:
        main.write_text(before)
    assert running.start() is True


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another user")
def test_a_home_that_the_servers_user_cannot_reach_is_refused_by_name(folder):
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(DatabaseError, match=rf"cannot pass through {closed} .*XCAT_HOME.*chmod o\+x {closed}$"):
        EmbeddedServer(closed / "home").start()
    link = folder / "link"
    link.symlink_to(closed)
    with pytest.raises(DatabaseError, match=f"cannot pass through {closed} "):
        EmbeddedServer(link / "home").start()


def test_a_home_that_cannot_be_made_is_refused_by_name(folder):
    (folder / "file").write_text("")
    with pytest.raises(DatabaseError, match=r"file/home cannot be made \(Not a directory\); set XCAT_HOME"):
        EmbeddedServer(folder / "file" / "home").start()


def test_a_very_long_home_has_a_short_socket(folder):
    home = folder / ("long" * 20) / ("long, " * 15)
    server = EmbeddedServer(home)
    short = server.socket_folder
    assert len(os.fsencode(short / ".s.PGSQL.5432.lock")) <= 107
    assert short != EmbeddedServer(home / "other").socket_folder
    try:
        server.start()
        assert _query(server, "SELECT 1") == 1
        assert stat.S_IMODE(short.stat().st_mode) == 0o700
    finally:
        server.stop()
        shutil.rmtree(short)


@pytest.mark.parametrize("taken", ["by a link", "by another"])
def test_a_socket_folder_that_another_made_is_refused(folder, taken, monkeypatch):
    if taken == "by another" and os.geteuid() != 0:
        pytest.skip("only root can make a folder of another user")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    server = EmbeddedServer(folder / f"a,b {taken}")
    assert server.socket_folder.parent == folder
    if taken == "by a link":
        (folder / "target").mkdir(mode=0o755)
        server.socket_folder.symlink_to(folder / "target")
    else:
        server.socket_folder.mkdir(mode=0o755)
        os.chown(server.socket_folder, 54321, 54321)
    with pytest.raises(DatabaseError, match="belongs to another user"):
        server.start()
    assert stat.S_IMODE(server.socket_folder.stat().st_mode) == 0o755


def _installed(monkeypatch: pytest.MonkeyPatch, *majors: int, q3c: tuple[int, ...] = ()) -> None:
    monkeypatch.setattr(installation, "_debian_installations", lambda name="": {m: Path(f"/{m}") for m in majors})
    monkeypatch.setattr(installation, "_other_installation", lambda name="": None)
    monkeypatch.setattr(installation, "_has_q3c", lambda bindir, major: major in q3c)


@pytest.mark.parametrize(
    ("majors", "q3c", "wanted", "message"),
    [
        ((), (), None, r"no PostgreSQL server of version 15 or newer is installed\. Install the packages postgresql "),
        ((13, 14), (13, 14), None, r"\(found only 13, 14\)\. Install the packages postgresql"),
        ((15, 16), (), None, r"PostgreSQL 16 is installed without q3c\. Install the package postgresql-16-q3c"),
        ((16,), (16,), 15, r"made by PostgreSQL 15, which is not installed\. Install the package postgresql-15\."),
        ((15,), (), 15, r"Install the package postgresql-15-q3c"),
    ],
)
def test_what_is_missing_is_named_with_its_package(monkeypatch, majors, q3c, wanted, message):
    _installed(monkeypatch, *majors, q3c=q3c)
    with pytest.raises(DatabaseError, match=message):
        find_binaries(wanted)


def test_a_client_without_a_server_is_enough_for_backups(monkeypatch, tmp_path):
    """As the packages postgresql-client-17 and -15 leave it, and the image of Dockerfile has it."""
    for major in ("15", "17"):
        folder = tmp_path / major / "bin"
        folder.mkdir(parents=True)
        (folder / "pg_dump").touch()
    monkeypatch.setattr(installation, "_DEBIAN", tmp_path)
    monkeypatch.setattr(installation.shutil, "which", lambda name: None)
    assert installation.program("pg_dump", 16) == str(tmp_path / "17" / "bin" / "pg_dump")
    with pytest.raises(DatabaseError, match=r"Install postgresql-client-18\."):
        installation.program("pg_dump", 18)
    with pytest.raises(DatabaseError, match="no PostgreSQL server"):
        find_binaries()


def test_the_newest_server_with_q3c_is_taken(monkeypatch):
    _installed(monkeypatch, 14, 15, 16, 17, q3c=(14, 15, 16))
    assert find_binaries() == (16, Path("/16"))
    assert find_binaries(15) == (15, Path("/15"))


def test_a_refused_start_leaves_no_half_home(monkeypatch, folder):
    _installed(monkeypatch)
    with pytest.raises(DatabaseError, match="Install the packages"):
        EmbeddedServer(folder / "refused").start()
    assert [p.name for p in (folder / "refused").iterdir()] == [".lock"]


# --- as a user, not root ----------------------------------------------------------------------------------

_AS_USER = """
import os, sys
from pathlib import Path
from xcat.config import Settings
from xcat.database import connection
from xcat.database.embedded import EmbeddedServer
# the interpreter may lie where only root can read, so everything is loaded before root is given up
import encodings.idna, multiprocessing, psycopg, pwd, shutil
home, uid = Path(sys.argv[1]), int(sys.argv[2])
os.setgroups([]); os.setgid(uid); os.setuid(uid)
os.environ["HOME"] = str(home)
server = EmbeddedServer(home / "xcat")
try:
    server.start()
    with connection.connect(Settings(home=server.home, database_url=None)) as conn:
        print(conn.execute("SELECT current_user").fetchone()[0], Path(f"/proc/{server.status().pid}").stat().st_uid)
    server.stop()
except Exception as error:
    print(f"{type(error).__name__}: {error}")
"""


def _as_user(home: Path, uid: int, owner: int) -> str:
    home.mkdir(mode=0o700)
    os.chown(home, owner, owner)
    command = [sys.executable, "-W", "error", "-c", _AS_USER, str(home), str(uid)]
    done = children.run(command, cwd="/")
    assert done.stderr == ""
    return done.stdout.strip()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user; all other tests ran as one")
def test_an_ordinary_user_has_a_server_of_its_own(folder):
    uid = pwd.getpwnam("nobody").pw_uid
    assert _as_user(folder / "nobody", uid, uid) == f"xcat_operator {uid}"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_users_without_a_folder_or_an_entry_are_told_so(folder):
    uid = pwd.getpwnam("nobody").pw_uid
    assert "set XCAT_HOME to a folder of your own" in _as_user(folder / "roots", uid, 0)
    assert _as_user(folder / "unknown", 54321, 54321).startswith("DatabaseError: user 54321 has no entry")
