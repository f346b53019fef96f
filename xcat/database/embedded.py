"""A private PostgreSQL cluster in a user's folder: no TCP, no root, no set-up by hand.

As root the server runs as the system user ``postgres``, because PostgreSQL refuses root. The socket lives in a
folder of mode 0700, which is what keeps others out; inside it every connection is trusted.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from xcat.database.installation import find_binaries
from xcat.errors import DatabaseError

#: Makes the cluster, the extension and the other roles; nothing else is done in its name.
SUPERUSER = "xcat"
_DATABASE = "xcat"
_LONGEST_SOCKET_PATH = 100  # sun_path holds 108 bytes, the file name in the folder takes some
_PORT = 5432  # the socket's name; PGPORT in the environment must not change it
_START_TIMEOUT_S = 120
_STOP_TIMEOUT_S = 60
_ORPHAN_TIMEOUT_S = 30
_KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH")  # the only variables of the caller's environment that the server gets


@dataclass(frozen=True)
class Status:
    """State of the embedded server.

    Attributes
    ----------
    version : str or None
        Major version of the cluster, None before initdb.
    """

    running: bool
    pid: int | None
    version: str | None

    @property
    def nice(self) -> str:
        """What it means that the server was started under `nice`; empty if it was not."""
        value = 0 if self.pid is None else niceness(self.pid)
        return (
            ""
            if value <= 0
            else (
                f"the server runs at niceness {value}, as it was started under nice, and is slow for everyone when the "
                "machine is busy. To start it at the usual priority, without nice: xcat db stop && xcat db start"
            )
        )


def niceness(pid: int) -> int:
    """Niceness of a process; 0 if it has ended."""
    try:
        return os.getpriority(os.PRIO_PROCESS, pid)
    except ProcessLookupError:
        return 0


def _memory_mb() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20


def server_settings(memory_mb: int, cores: int) -> dict[str, str]:
    """Settings for a server that has the machine to itself and one busy user.

    Parameters
    ----------
    memory_mb : int
        Memory of the machine in MiB.
    cores : int
        Processors of the machine.

    Returns
    -------
    dict
        Name to value, as in postgresql.conf.
    """
    shared = max(64, min(memory_mb // 4, 4096))
    return {
        "shared_buffers": f"{shared}MB",
        "effective_cache_size": f"{max(128, memory_mb // 2)}MB",
        "work_mem": f"{max(16, min(memory_mb // 100, 256))}MB",
        "maintenance_work_mem": f"{max(64, min(memory_mb // 20, 1024))}MB",
        "max_worker_processes": str(max(4, 2 * cores)),
        "max_parallel_workers": str(cores),
        "max_parallel_workers_per_gather": str(cores),
        "max_parallel_maintenance_workers": str(cores),
        # bulk loads write new tables: with wal_level=minimal they are synced once instead of logged
        "wal_level": "minimal",
        "max_wal_senders": "0",
        "max_wal_size": "4GB",
        "checkpoint_timeout": "15min",
        "random_page_cost": "1.1",
        "jit": "off",  # compiling costs more than it gains on these statements
        "max_locks_per_transaction": "256",  # a statement locks every partition that it reads
        "timezone": "UTC",
        "log_timezone": "UTC",
        "listen_addresses": "",
        # a failed statement may hold what nobody else should read: its error is enough
        "log_min_error_statement": "panic",
    }


@contextmanager
def _usual_priority() -> Iterator[None]:
    """Give children the usual priority where that is allowed: a server outlives the `nice` that started it."""
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    if nice <= 0:
        yield
        return
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, 0)
    try:
        yield
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, nice)


def _of_another_user(path: Path) -> DatabaseError:
    return DatabaseError(f"{path} belongs to another user; set XCAT_HOME to a folder of your own.")


class EmbeddedServer:
    """The private cluster under ``home``.

    Parameters
    ----------
    home : Path
        Folder of the cluster (``XCAT_HOME``); made if missing.
    """

    def __init__(self, home: Path) -> None:
        self.home = home.expanduser().resolve()
        self.data = self.home / "postgres"
        self.log = self.home / "postgres.log"

    @property
    def socket_folder(self) -> Path:
        """Folder of the Unix socket; in the temporary folder if the path of the home cannot hold a socket."""
        folder = self.home / "socket"
        if len(os.fsencode(folder)) <= _LONGEST_SOCKET_PATH and "," not in str(folder):  # PostgreSQL splits at commas
            return folder
        digest = hashlib.sha256(os.fsencode(self.home)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"xcat-{self._account().pw_uid}-{digest}"

    def url(self, role: str = SUPERUSER) -> str:
        """SQLAlchemy URL of the embedded database, as a role."""
        return f"postgresql+psycopg://{role}@/{_DATABASE}?host={quote(str(self.socket_folder))}&port={_PORT}"

    @staticmethod
    def _account() -> pwd.struct_passwd:
        uid = os.geteuid()
        try:
            return pwd.getpwuid(uid) if uid != 0 else pwd.getpwnam("postgres")
        except KeyError:
            raise DatabaseError(
                f"user {uid} has no entry in /etc/passwd, without which PostgreSQL does not start."
                if uid != 0
                else "there is no user 'postgres' to run the server as. Install the package postgresql."
            ) from None

    def _run(self, command: list[str | Path], timeout_s: float) -> subprocess.CompletedProcess[str]:
        account = self._account()
        identity: dict[str, object] = {}
        if os.geteuid() == 0:
            identity = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        # The server inherits these descriptors and keeps them open, so a pipe would never end.
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output, _usual_priority():
            done = subprocess.run(
                [str(c) for c in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                timeout=timeout_s,
                start_new_session=True,  # Ctrl-C is for the client, not for its server
                umask=0o077,
                env={k: os.environ[k] for k in _KEPT_VARIABLES if k in os.environ} | {"LC_ALL": "C.UTF-8"},
                **identity,  # type: ignore[call-overload]
            )
            output.seek(0)
            return subprocess.CompletedProcess(done.args, done.returncode, output.read(), "")

    def _give_to_server(self, path: Path) -> None:
        """Make the server's user the owner."""
        if os.geteuid() == 0:
            account = self._account()
            os.chown(path, account.pw_uid, account.pw_gid)

    def _make_folder(self, folder: Path, mode: int) -> None:
        owners = (os.geteuid(), self._account().pw_uid)
        if not folder.exists():
            folder.mkdir(parents=True, mode=mode)
        # in a shared temporary folder, another user may have put a link or a folder of this name
        if folder.is_symlink() or folder.stat().st_uid not in owners:
            raise _of_another_user(folder)
        self._give_to_server(folder)
        folder.chmod(mode)

    def _make_home(self) -> None:
        try:
            for folder in (*reversed(self.home.parents), self.home):
                if not folder.exists():
                    folder.mkdir(exist_ok=True)
                    if os.geteuid() == 0:  # whatever the umask: the server's user must be able to pass through
                        folder.chmod(0o755)
        except OSError as error:
            raise DatabaseError(
                f"{self.home} cannot be made ({error.strerror}); set XCAT_HOME to a folder of your own."
            ) from None

    def _prepare_home(self) -> None:
        if os.geteuid() == 0:
            # the server's user must be able to pass through, no more
            self.home.chmod(self.home.stat().st_mode | 0o011)
            for folder in self.home.parents:
                if not folder.stat().st_mode & 0o001:
                    raise DatabaseError(
                        f"PostgreSQL cannot run as root, and its user 'postgres' cannot pass through {folder} "
                        f"to reach {self.home}. Set XCAT_HOME to another folder, or: chmod o+x {folder}"
                    )

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """One start or stop at a time, also between processes."""
        self._make_home()
        try:
            handle = (self.home / ".lock").open("w")
        except PermissionError:
            raise _of_another_user(self.home) from None
        with handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def status(self) -> Status:
        """Whether the server runs; a stale pid file counts as not running."""
        version_file = self.data / "PG_VERSION"
        try:
            version = version_file.read_text(encoding="utf-8").strip() if version_file.exists() else None
        except PermissionError:
            raise _of_another_user(self.data) from None
        pid = self._live_pid()
        return Status(pid is not None, pid, version)

    def _live_pid(self) -> int | None:
        try:
            first = (self.data / "postmaster.pid").read_text(encoding="utf-8", errors="replace").splitlines()[0]
            pid = int(first)
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError, NotADirectoryError, IndexError, ValueError):
            return None
        # a pid is reused sooner or later: only a postgres on this very folder counts
        is_ours = b"postgres" in command[0] and os.fsencode(self.data) in command
        return pid if is_ours else None

    def _orphans(self) -> list[int]:
        """Processes of a server whose postmaster was killed; PostgreSQL's processes work inside its data folder."""
        pids = []
        for link in Path("/proc").glob("[0-9]*/cwd"):
            with suppress(OSError):  # it has ended, or is another user's
                if link.readlink() == self.data:
                    pids.append(int(link.parent.name))
        return pids

    def _end_orphans(self) -> None:
        """End what a killed postmaster left behind: a second server beside it would ruin the data."""
        deadline = time.monotonic() + _ORPHAN_TIMEOUT_S
        while orphans := self._orphans():
            for pid in orphans:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGQUIT)  # "immediate": stop without writing, the log brings all back
            if time.monotonic() > deadline:
                raise DatabaseError(
                    f"processes of an earlier server still work in {self.data}: "
                    f"{', '.join(map(str, orphans))}. End them, then start again."
                )
            time.sleep(0.1)

    def start(self) -> bool:
        """Start the server, making the cluster first if there is none.

        Returns
        -------
        bool
            False if it was running already.

        Raises
        ------
        DatabaseError
            PostgreSQL or q3c is missing, or the server does not come up; the message carries its log.
        """
        with self._lock():
            # under the lock, because a server that another process is starting runs before it answers
            status = self.status()
            if status.pid is not None:
                self._keep_log_private()
                self._restore_priority(status.pid)
                return False
            _, bindir = find_binaries(int(status.version) if status.version else None)
            self._prepare_home()
            self._make_folder(self.socket_folder, 0o700)
            if status.version is None:
                self._initdb(bindir)
            self._end_orphans()
            # no server of ours uses these files: the pid in them may be that of another process by now
            for stale in (self.data / "postmaster.pid", *self.socket_folder.glob(".s.PGSQL.*")):
                stale.unlink(missing_ok=True)
            self._write_settings()
            self._keep_log_private()
            done = self._pg_ctl(bindir, "start", _START_TIMEOUT_S, "-l", self.log)
            if done.returncode != 0:
                tail = "".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)[-15:])
                full = " The disk is full: free some space first." if "No space left" in done.stdout + tail else ""
                raise DatabaseError(f"the server did not start: {done.stdout.strip()}{full}\n{tail}")
            self.create_database(bindir)
        return True

    def _keep_log_private(self) -> None:
        self.log.touch(mode=0o600)
        self.log.chmod(0o600)
        self._give_to_server(self.log)

    def _restore_priority(self, pid: int) -> None:
        """Give a server that was started under `nice` the usual priority, where that is allowed."""
        if niceness(pid) > 0:
            for process in (pid, *self._orphans()):  # its sessions work in its folder, too
                with suppress(ProcessLookupError, PermissionError):
                    os.setpriority(os.PRIO_PROCESS, process, 0)

    def _pg_ctl(
        self, bindir: Path, action: str, timeout_s: int, *options: str | Path
    ) -> subprocess.CompletedProcess[str]:
        """Start or stop the server, and wait until it is done."""
        command = [bindir / "pg_ctl", "-D", self.data, *options, "-w", "-t", str(timeout_s), action]
        return self._run(command, timeout_s + 10)

    def _initdb(self, bindir: Path) -> None:
        if self.data.exists() and any(self.data.iterdir()):
            # initdb was killed: without PG_VERSION, no database was ever in use in this folder
            shutil.rmtree(self.data)
        self._make_folder(self.data, 0o700)
        options = ["-U", SUPERUSER, "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums"]
        done = self._run([bindir / "initdb", "-D", self.data, *options], _START_TIMEOUT_S)
        if done.returncode != 0:
            raise DatabaseError(f"initdb failed:\n{done.stdout.strip()}")

    def _write_settings(self) -> None:
        options = server_settings(_memory_mb(), os.cpu_count() or 1) | {
            "port": str(_PORT),
            "unix_socket_directories": str(self.socket_folder),
            "unix_socket_permissions": "0700",
        }
        lines = ["{} = '{}'".format(name, value.replace("'", "''")) for name, value in options.items()]
        settings_file = self.data / "xcat.conf"
        settings_file.write_text("# written at every start by xcat\n" + "\n".join(lines) + "\n", encoding="utf-8")
        settings_file.chmod(0o644)
        main = self.data / "postgresql.conf"
        include = "include 'xcat.conf'"
        if include not in main.read_text(encoding="utf-8"):
            with main.open("a", encoding="utf-8") as handle:
                handle.write(f"\n{include}\n")

    def create_database(self, bindir: Path | None = None) -> None:
        """Make the database in the running server, unless it is there."""
        bindir = bindir or find_binaries(int(self.status().version or 0))[1]
        address: list[str | Path] = ["-h", self.socket_folder, "-p", str(_PORT), "-U", SUPERUSER, "-d", "postgres"]
        psql: list[str | Path] = [bindir / "psql", *address, "-qAt", "-c"]
        listed = self._run([*psql, f"SELECT 1 FROM pg_database WHERE datname = '{_DATABASE}'"], 60)
        if listed.returncode == 0 and listed.stdout.strip() == "1":
            return
        made = self._run([*psql, f"CREATE DATABASE {_DATABASE}"], 60)
        if made.returncode != 0:
            raise DatabaseError(f"the database could not be made: {made.stdout.strip()}")

    def stop(self) -> bool:
        """Stop the server, ending its connections.

        Returns
        -------
        bool
            False if it was not running.
        """
        with self._lock():
            status = self.status()
            if not status.running or status.version is None:
                return False
            _, bindir = find_binaries(int(status.version))
            done = self._pg_ctl(bindir, "stop", _STOP_TIMEOUT_S, "-m", "fast")
            if done.returncode != 0:
                # PostgreSQL 15 can hang if it is asked to stop while it recovers; its log brings all back at the start
                done = self._pg_ctl(bindir, "stop", _STOP_TIMEOUT_S, "-m", "immediate")
            if done.returncode != 0:
                raise DatabaseError(f"the server did not stop: {done.stdout.strip()}")
        return True
