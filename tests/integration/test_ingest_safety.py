"""It cannot lose or mix data: whatever ends a load, the database is as before, and the same command succeeds.

The loads run as ``xcat ingest`` in processes of their own, which wait in the middle, after rows were written and
before they are committed, until the test lets them go on.
"""

from __future__ import annotations

import gzip
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import children
import loading as small
import psycopg
import pytest
from astropy.table import Table
from children import TIMEOUT_S, until

from xcat.config import Settings
from xcat.database.connection import connect
from xcat.errors import InputError, StageError
from xcat.ingest import load, text_table
from xcat.ingest.load import ingest

pytestmark = pytest.mark.slow

# `xcat ingest` that says when its rows are in the database, and goes on when a file appears
_CLI = """
import sys, time
from pathlib import Path
from xcat.cli.app import main
from xcat.ingest import load, text_table

flags = Path(sys.argv.pop(1))
read = load._Load.read

def pausing(self, file):
    read(self, file)
    (flags / f"{self.conn.info.backend_pid}.loading").touch()
    while not (flags / "go").exists():
        time.sleep(0.01)

load._Load.read = pausing
main()
"""


@pytest.fixture
def flags(tmp_path: Path) -> Path:
    folder = tmp_path / "flags"
    folder.mkdir()
    return folder


@pytest.fixture
def start(settings: Settings, flags: Path, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start ``xcat ingest`` on the small catalogue; every process has ended when the test has."""
    begun: list[subprocess.Popen[str]] = []
    path = small.write_definition(tmp_path)

    def begin(
        *files: Path, options: tuple[str, ...] = (), through: Callable[[list[str]], list[str]] = list, **variables: str
    ) -> subprocess.Popen[str]:
        # --quiet would hide the counts
        program = "from xcat import progress; progress.silence = lambda quiet=True: None\n" + _CLI
        command = [sys.executable, "-c", program, str(flags), "ingest", str(path), *map(str, files), *options]
        process = children.start(through(command), settings, env=variables)
        begun.append(process)
        return process

    yield begin
    for process in begun:
        process.kill()
        process.communicate()


def _loading(flags: Path, process: subprocess.Popen[str], n: int = 1) -> list[int]:
    """Wait until loads have written rows that are not committed; their backends."""

    def found() -> list[Path]:
        assert process.poll() is None, process.communicate()
        there = list(flags.glob("*.loading"))
        return there if len(there) >= n else []

    return [int(path.stem) for path in until(found)]


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Three files: good rows, rejects, duplicates among them."""
    bad = [("", 1, 1, 1, 1, 1), ("x", 1, 100, 1, 1, 1)]
    return [small.write_csv(tmp_path / f"{i}.csv", [*small.rows(90 * i, 100), *bad]) for i in range(3)]


@pytest.fixture
def definition(tmp_path: Path) -> Any:
    return small.definition(tmp_path)


def _check_then_succeed(
    settings: Settings, before: Any, definition: Any, files: list[Path], way: str = "append"
) -> None:
    """The database is as before; then the same load, undisturbed, succeeds."""
    until(lambda: _n_sessions(settings) == 0)
    assert small.snapshot(settings) == before
    assert ingest(settings, definition, files, replace=way == "replace").n_rows == 90 * len(files) + 10 * (
        way != "append"
    )
    assert small.last_run(settings) == ("done", None)
    assert small.snapshot(settings)["counterpart"][0] == 10 + 90 * len(files) + 90 * (way == "append")


def _n_sessions(settings: Settings) -> int:
    with connect(settings, autocommit=True) as conn:
        row = conn.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchone()
    assert row is not None
    return int(row[0])


# what the load does when it is ended: the first of a catalogue, an addition to one, a replacement
_WAYS = {"first": (0, ()), "append": (1, ()), "replace": (1, ("--replace",))}


@pytest.mark.parametrize("way", _WAYS)
def test_a_load_keeps_no_reader_waiting_and_leaves_nothing_when_killed(settings, definition, files, flags, start, way):
    n_before, options = _WAYS[way]
    if n_before:
        ingest(settings, definition, files[:1])
    before = small.snapshot(settings)
    process = start(*files[1:], options=options)
    _loading(flags, process)
    with connect(settings) as reader:
        reader.execute("SET lock_timeout = '100ms'")
        assert reader.execute("SELECT count(*) FROM xcat.counterpart").fetchone() == (100 * n_before,)
        reader.execute("SELECT * FROM pub.classified")
    process.send_signal(signal.SIGKILL)
    assert children.end(process)[0] == -signal.SIGKILL
    until(lambda: _n_sessions(settings) == 0)
    assert small.last_run(settings) == ("running", None), "nobody could write down how it ended"
    _check_then_succeed(settings, before, definition, files[1:], way)
    states = [s for (s,) in small.loaded(settings, "status", "run", "run_id")]
    assert set(states) == {"done"}, "a lost run leaves when the same has been done"


def test_ctrl_c_leaves_nothing_and_says_so(settings, definition, files, flags, start):
    ingest(settings, definition, files[:1])
    before = small.snapshot(settings)
    process = start(*files[1:])
    _loading(flags, process)
    process.send_signal(signal.SIGINT)
    assert children.end(process) == (130, "", "xcat: cancelled; nothing was changed by the step that was running\n")
    assert small.last_run(settings) == ("failed", "cancelled by the user")
    assert small.snapshot(settings) == before
    (flags / "go").touch()
    code, out, error = children.end(start(*files[1:]))
    assert (code, error) == (0, "")
    assert "180 rows loaded, 24 rejected" in out
    assert small.last_run(settings) == ("done", None)


@pytest.mark.parametrize("name", ["TERM", "HUP"])
def test_other_signals_that_end_a_program_are_like_ctrl_c(settings, definition, files, flags, start, name):
    ingest(settings, definition, files[:1])
    before = small.snapshot(settings)
    process = start(*files[1:])
    _loading(flags, process)
    number = signal.Signals[f"SIG{name}"]
    process.send_signal(number)
    how = f"cancelled by a signal (SIG{name})"
    said = f"xcat: {how}; nothing was changed by the step that was running\n"
    assert children.end(process) == (128 + number, "", said)
    assert small.last_run(settings) == ("failed", how)
    _check_then_succeed(settings, before, definition, files[1:])


def test_what_the_caller_ignores_ends_nothing(settings, files, flags, start):
    """Under nohup and in the background of a script, the terminal's Ctrl-C and its end are for others."""
    process = start(files[0], through=lambda command: children.ignoring(["INT", "HUP"], command))
    _loading(flags, process)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGHUP)
    (flags / "go").touch()
    code, out, error = children.end(process)
    assert (code, error) == (0, "")
    assert "100 rows loaded" in out
    assert small.last_run(settings) == ("done", None)


def test_ctrl_c_while_the_server_is_at_work_leaves_nothing(settings, definition, files, flags, start):
    """Waiting for another load of the catalogue is a statement of the server; it is cancelled too."""
    before = small.snapshot(settings)
    with connect(settings) as other:
        other.execute(load.job("ingest.lock").compose(), {"name": "small"})
        process = start(files[0])
        with connect(settings, autocommit=True) as watcher:
            until(lambda: watcher.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone())
        process.send_signal(signal.SIGINT)
        code, _, error = children.end(process)
    assert (code, error) == (130, "xcat: cancelled; nothing was changed by the step that was running\n")
    _check_then_succeed(settings, before, definition, files[:1], "first")


def test_an_ended_session_leaves_nothing_and_says_so(settings, definition, files, flags, start):
    ingest(settings, definition, files[:1])
    before = small.snapshot(settings)
    process = start(*files[1:])
    (backend,) = _loading(flags, process)
    with connect(settings, autocommit=True) as conn:
        conn.execute("RESET ROLE")
        assert conn.execute("SELECT pg_terminate_backend(%s)", [backend]).fetchone() == (True,)
    (flags / "go").touch()
    code, out, error = children.end(process)
    assert (code, out) == (1, "")
    assert error.startswith("xcat: ingest: the connection to the database was lost; nothing was changed.")
    assert "Traceback" not in error
    assert small.last_run(settings)[0] == "failed"
    _check_then_succeed(settings, before, definition, files[1:])


# --- garbage in the middle --------------------------------------------------------------------------------


def _long(tmp_path: Path) -> Path:
    """Enough rows for several blocks, so that some are written before the fault is met."""
    return small.write_csv(tmp_path / "long.csv", small.rows(1000, 20_000))


def _fits(path: Path) -> bytes:
    Table(rows=small.rows(1000, 20_000), names=small.HEADER).write(path)
    return path.read_bytes()


@pytest.mark.parametrize("kind", ["truncated gz", "wrong bytes", "cut line", "truncated fits"])
def test_garbage_in_the_middle_leaves_nothing(settings, definition, files, tmp_path, monkeypatch, kind):
    monkeypatch.setattr(text_table, "_BLOCK_BYTES", (1 << 16, 1 << 17))
    ingest(settings, definition, files[:1])
    before = small.snapshot(settings)
    bad = tmp_path / "bad"
    whole = _fits(tmp_path / "f.fits") if kind == "truncated fits" else _long(tmp_path).read_bytes()
    good = gzip.compress(whole, 1) if kind == "truncated gz" else whole
    middle = len(good) * 9 // 10
    bad.write_bytes(
        {
            "truncated gz": good[:middle],
            "wrong bytes": good[:middle] + os.urandom(99).replace(b"\n", b"") + b"\xff\xfe\0" + good[middle + 99 :],
            "cut line": good[:middle].rpartition(b",")[0] + b"\n" + good[middle:].partition(b"\n")[2],
            "truncated fits": good[:middle],
        }[kind]
    )
    with pytest.raises(InputError, match=str(bad)):
        ingest(settings, definition, [files[1], bad])
    assert small.snapshot(settings) == before
    assert small.last_run(settings)[0] == "failed"
    bad.write_bytes(good)
    assert ingest(settings, definition, [files[1], bad]).n_rows == 20_090


# --- two at once ------------------------------------------------------------------------------------------


def test_two_loads_of_one_file_load_it_once(settings, files, flags, start):
    one, two = start(files[0]), start(files[0])
    _loading(flags, one)
    with connect(settings, autocommit=True) as watcher:
        until(lambda: watcher.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone())
    assert len(list(flags.glob("*.loading"))) == 1, "the second waits for its turn"
    (flags / "go").touch()
    answers = [children.end(one), children.end(two)]
    assert sorted((code, error) for code, _, error in answers) == [(0, ""), (0, "")]
    assert sorted("already loaded, nothing changed (0.csv)" in out for _, out, _ in answers) == [False, True]
    content = small.snapshot(settings)
    assert (content["counterpart"][0], content["catalogue_file"][0], content["reject"][0]) == (100, 1, 2)


@pytest.mark.parametrize("n_before", [0, 1], ids=["first", "append"])
def test_two_loads_of_different_files_mix_nothing(settings, definition, files, flags, start, n_before):
    ingest(settings, definition, files[:n_before]) if n_before else None
    names = ["1.csv", "2.csv"]
    (flags / "go").touch()
    answers = [children.end(p) for p in [start(files[1]), start(files[2])]]
    assert [(code, error) for code, _, error in answers] == [(0, ""), (0, "")]
    found = small.loaded(
        settings,
        "f.file_name, array_agg(native_id ORDER BY object_id), min(f.n_rows), count(DISTINCT object_id)",
        "counterpart JOIN xcat.catalogue_file f USING (file_id) GROUP BY f.file_id, f.file_name",
        "1",
    )[n_before:]
    assert [row[0] for row in found] == names
    rows = {name: ids for name, ids, _, _ in found}
    # ten ids are in both files (and ten in the one before): whichever came second has them among its rejects
    assert len(rows["1.csv"]) + len(rows["2.csv"]) == 190 - 10 * n_before
    assert set(rows["1.csv"]) <= {f"S{i}" for i in range(90, 190)}
    assert set(rows["2.csv"]) <= {f"S{i}" for i in range(180, 280)}
    assert all(len(ids) == n == distinct for _, ids, n, distinct in found)
    ((n, distinct, ids),) = small.loaded(
        settings, "count(*), count(DISTINCT object_id), count(DISTINCT native_id)", order="1"
    )
    assert n == distinct == ids == 190 + 90 * n_before


def test_loads_of_two_catalogues_do_not_wait_for_each_other(settings, files, flags, start, tmp_path):
    process = start(files[0])
    _loading(flags, process)
    other = small.definition(tmp_path, name="other")
    assert ingest(settings, other, files[:1]).n_rows == 100
    (flags / "go").touch()
    assert children.end(process)[0] == 0
    assert small.loaded(settings, "count(*)", "counterpart GROUP BY catalogue_id", "1") == [(100,), (100,)]


# --- the server fails -------------------------------------------------------------------------------------


def test_a_time_limit_leaves_nothing_and_says_so(settings, definition, files, flags, start):
    ingest(settings, definition, files[:1])
    before = small.snapshot(settings)
    with connect(settings) as other:
        # the load waits for its turn, longer than any statement may take
        other.execute(load.job("ingest.lock").compose(), {"name": "small"})
        # long enough for the statements before that on a busy machine
        code, out, error = children.end(start(*files[1:], XCAT_STATEMENT_TIMEOUT_S="3"))
    assert (code, out) == (1, "")
    assert error.startswith("xcat: ingest: a statement was cancelled")
    assert "nothing was changed" in error
    assert "XCAT_STATEMENT_TIMEOUT_S above 3" in error
    assert small.last_run(settings)[0] == "failed"
    _check_then_succeed(settings, before, definition, files[1:])


@pytest.fixture
def tiny_disk(server: Any) -> Iterator[Path]:
    """A file system of 2 MB that the server may write to."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount a small disk to be filled")
    folder = Path(tempfile.mkdtemp(prefix="xcat-disk-"))
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode != 0:
        folder.rmdir()
        pytest.skip(f"mounting is not permitted here: {mounted.stderr.decode().strip()}")
    try:
        shutil.chown(folder, server._account().pw_uid, server._account().pw_gid)
        folder.chmod(0o700)
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)
        folder.rmdir()


@pytest.mark.parametrize("way", _WAYS)
def test_a_full_disk_leaves_nothing_and_says_so(server, settings, definition, files, tmp_path, tiny_disk, way):
    n_before, options = _WAYS[way]
    if n_before:
        ingest(settings, definition, files[:1])
    before = small.snapshot(settings)
    large = small.write_csv(tmp_path / "large.csv", small.rows(1000, 40_000))
    admin = psycopg.connect(f"host={server.socket_folder} user=xcat dbname=postgres", autocommit=True)
    database = str(settings.database_url).partition("@/")[2].partition("?")[0]
    with admin:
        admin.execute(f"CREATE TABLESPACE tiny LOCATION '{tiny_disk}'")  # type: ignore[arg-type]
        admin.execute("GRANT CREATE ON TABLESPACE tiny TO xcat_operator")
        try:
            admin.execute(f"ALTER DATABASE {database} SET default_tablespace = tiny")  # type: ignore[arg-type]
            admin.execute(f"ALTER DATABASE {database} SET temp_tablespaces = tiny")  # type: ignore[arg-type]
            with pytest.raises(StageError, match=r"ingest: .*No space left on device(?s:.*); nothing was changed"):
                ingest(settings, definition, [files[1], large], replace="--replace" in options)
            assert small.snapshot(settings) == before
            status, text = small.last_run(settings)
            assert status == "failed"
            assert "No space left on device" in str(text)
        finally:
            admin.execute(f"ALTER DATABASE {database} RESET ALL")  # type: ignore[arg-type]
            until(lambda: _n_sessions(settings) == 0)
            admin.execute("CHECKPOINT")  # files of dropped tables go with it
            admin.execute("DROP TABLESPACE tiny")
    assert ingest(settings, definition, [files[1], large], replace="--replace" in options).n_rows > 40_000


def test_a_killed_server_leaves_nothing_and_says_so(files, flags, tmp_path):
    """The last resort, on a server of its own: what was committed is there, what was not is not."""
    from xcat.database.embedded import EmbeddedServer

    home = Path(tempfile.mkdtemp(prefix="xcat-test-"))
    server, settings = EmbeddedServer(home), Settings(home=home, database_url=None)
    definition = small.definition(tmp_path)
    failures: list[BaseException] = []
    try:
        ingest(settings, definition, files[:1])
        before = small.snapshot(settings)
        original, reached, go = load._Load.finish, threading.Event(), threading.Event()

        def pausing(*args: Any) -> None:
            reached.set()
            assert go.wait(TIMEOUT_S)
            original(*args)

        def work() -> None:
            try:
                ingest(settings, definition, files[1:])
            except BaseException as error:
                failures.append(error)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(load._Load, "finish", pausing)
            thread = threading.Thread(target=work)
            thread.start()
            assert reached.wait(TIMEOUT_S)
            pid = server.status().pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            # its processes follow by themselves; one that had not noticed could still commit
            until(lambda: not server._orphans() and not server.status().running)
            go.set()
            thread.join()
        (failure,) = failures
        assert isinstance(failure, StageError)
        assert "connection to the database was lost" in str(failure)
        server.start()
        assert small.snapshot(settings) == before
        assert ingest(settings, definition, files[1:]).n_rows == 180
        assert [s for (s,) in small.loaded(settings, "status", "run", "run_id")] == ["done", "done"]
    finally:
        server.stop()
        shutil.rmtree(home)
