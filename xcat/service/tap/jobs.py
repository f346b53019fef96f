"""Jobs of clients: kept in the database, run by the queue, their results files in the data folder.

A job outlives the process: what was at work when that ended waits again, and is run from its start.
"""

from __future__ import annotations

import re
import secrets
import shutil
import threading
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import psycopg
from psycopg.types.json import Jsonb

from xcat.atomic import writing
from xcat.config import Settings
from xcat.database.sqlfiles import dicts, job
from xcat.errors import DatabaseError, XcatError
from xcat.service.queue import put_tap
from xcat.service.tap import parameters
from xcat.service.tap.errors import HttpError, message_of
from xcat.service.tap.parameters import Parameters
from xcat.service.tap.pool import Pool
from xcat.service.tap.query import Running, Stopped
from xcat.service.tap.tables import Tables

ACTIVE = ("PENDING", "QUEUED", "EXECUTING")
_DAY_S = 86_400.0
# what says nothing of the query; FILE and BASE are how files and the address of jobs stand among the parameters
_OF_JOB = {"PHASE", "ACTION", "WAIT", "DESTRUCTION", "EXECUTIONDURATION", "FILE", "BASE"}
_RESULT = "result"
_MOST_CHARACTERS = 1_000_000


class HandedBack(Exception):
    """The service ends, or its database is lost: the job goes back into the queue."""


class Jobs:
    """The jobs of the service.

    Parameters
    ----------
    settings : Settings
    store, readers : Pool
        Connections for the jobs themselves, and in the reader's role for their queries.
    tables : Tables
    """

    def __init__(self, settings: Settings, store: Pool, readers: Pool, tables: Tables) -> None:
        self._settings, self._store, self._readers, self._tables = settings, store, readers, tables
        self._folder = settings.home / "tap"
        self._at_work: dict[str, Running] = {}
        self._lock = threading.Lock()
        self._ending = False

    # --- what clients do ----------------------------------------------------------------------------------

    def new(self, client: str, given: Parameters, base: str) -> str:
        """Keep a job, with the files sent along; its name.

        Raises
        ------
        HttpError
            The client has too many jobs, or the parameters are too long.
        """
        job_id, settings = secrets.token_hex(12), self._settings
        longest_s = int(settings.tap_job_timeout_s)
        values = {
            "job_id": job_id,
            "client": client,
            "client_run_id": (given.one("RUNID") or "")[:200] or None,
            "execution_limit_s": min(longest_s, given.whole("EXECUTIONDURATION") or longest_s),
            "destruction_at": time_of(given.one("DESTRUCTION"), "DESTRUCTION"),
            "keep_s": settings.tap_keep_days * _DAY_S,
            "parameters": Jsonb([*self._kept(job_id, given), ["BASE", base]]),
        }
        try:
            with self._store.connection() as conn, conn.transaction():
                ((n_jobs,),) = conn.execute(job("tap.kept").compose(), values)
                if n_jobs >= settings.tap_client_jobs:
                    raise HttpError(429, f"{n_jobs} jobs of {client} are kept already: delete some")
                conn.execute(job("tap.new_job").compose(), values)
        except BaseException:
            self._remove_files(job_id)
            raise
        return job_id

    def _kept(self, job_id: str, given: Parameters) -> list[list[str]]:
        """The parameters as they are stored; files go into the folder of the job, under numbers."""
        pairs = [[name, value] for name, value in given.pairs if name.upper() not in _OF_JOB]
        if sum(len(name) + len(value) for name, value in pairs) > _MOST_CHARACTERS:
            raise HttpError(413, f"the parameters of a job have {_MOST_CHARACTERS:,} characters at most")
        if given.files:
            folder = self._folder_of(job_id)
            folder.mkdir(parents=True, exist_ok=True)
            for name, file in given.files.items():
                number = len(list(folder.glob("upload_*"))) + 1
                with parameters.opened(file) as sent, (folder / f"upload_{number}").open("wb") as out:
                    shutil.copyfileobj(sent, out)
                pairs.append(["FILE", f"{number} {name}"])
        return pairs

    def get(self, job_id: str) -> dict[str, Any]:
        """A job.

        Raises
        ------
        HttpError
            There is none of this name.
        """
        if re.fullmatch(r"[0-9a-f]{24}", job_id):
            with self._store.connection() as conn:
                rows = dicts(conn.execute(job("tap.job").compose(), {"job_id": job_id}))
            if rows:
                return rows[0]
        raise HttpError(404, f"there is no job {job_id[:50]!r}; it may have been removed")

    def of_client(
        self, client: str, phases: Sequence[str], last: int | None, after: datetime | None
    ) -> list[dict[str, Any]]:
        """The newest jobs of a client."""
        values = {"client": client, "phases": list(phases) or None, "last": min(last or 100, 100), "after": after}
        with self._store.connection() as conn:
            return dicts(conn.execute(job("tap.jobs").compose(), values))

    def change(self, job_id: str, given: Parameters) -> None:
        """Change a job by the parameters that are given."""
        found = self.get(job_id)
        pairs = self._kept(job_id, given)
        if pairs and found["phase"] != "PENDING":
            raise HttpError(403, f"the job is {found['phase']}: its parameters cannot be changed any more")
        names = {name.upper() for name, _ in pairs} - {"FILE", "UPLOAD"}
        kept = [pair for pair in found["parameters"] if pair[0].upper() not in names]
        limit, longest_s = given.whole("EXECUTIONDURATION"), int(self._settings.tap_job_timeout_s)
        values = {
            "job_id": job_id,
            "parameters": Jsonb([*kept, *pairs]) if pairs else None,
            "execution_limit_s": None if limit is None else min(limit or longest_s, longest_s),
            "destruction_at": time_of(given.one("DESTRUCTION"), "DESTRUCTION"),
            "keep_s": self._settings.tap_keep_days * _DAY_S,
        }
        with self._store.connection() as conn:
            conn.execute(job("tap.change").compose(), values)
        if values["destruction_at"] is not None:
            self.tidy()

    def run(self, job_id: str) -> None:
        """Put a job into the queue; one that has begun already stays as it is."""
        if self._move(job_id, "QUEUED", ["PENDING"]) is not None:
            self._queue(job_id)

    def abort(self, job_id: str) -> None:
        """End a job."""
        self.get(job_id)
        self._move(job_id, "ABORTED", ACTIVE)
        self._cancel(job_id)

    def delete(self, job_id: str) -> None:
        """Remove a job and its result."""
        self.get(job_id)
        with self._store.connection() as conn:
            conn.execute(job("tap.remove").compose(), {"job_id": job_id})
        self._cancel(job_id)
        self._remove_files(job_id)

    def result(self, job_id: str) -> Path:
        """The file with the result of a job."""
        found = self.get(job_id)
        path = self._folder_of(job_id) / _RESULT
        if found["phase"] != "COMPLETED" or not path.exists():
            raise HttpError(404, f"the job is {found['phase']}: it has no result")
        return path

    # --- what the queue does ------------------------------------------------------------------------------

    def execute(self, job_id: str) -> None:
        """Run a job that waits, and keep what became of it.

        Raises
        ------
        HandedBack
            The service ends, or its database is lost.
        """
        found = self._move(job_id, "EXECUTING", ["QUEUED", "EXECUTING"])
        if found is None:
            return
        outcome: dict[str, Any] = {}
        try:
            running = self._running(found)
            with self._lock:
                if self._ending:
                    raise Stopped
                self._at_work[job_id] = running
            outcome = {"media_type": running.query.form.media, "n_bytes": self._write(job_id, running)}
            phase = "COMPLETED"
        except Stopped:
            if self._ending and self._move(job_id, "QUEUED", ["EXECUTING"]) is not None:
                raise HandedBack from None
            return
        except (DatabaseError, psycopg.OperationalError):  # it may come back
            self._move(job_id, "QUEUED", ["EXECUTING"])
            raise HandedBack from None
        except (XcatError, OSError) as error:
            phase, outcome = "ERROR", {"error": message_of(error)}
        except Exception as error:
            phase, outcome = "ERROR", {"error": f"an error of xcat, which should be reported: {error!r}"}
        finally:
            with self._lock:
                self._at_work.pop(job_id, None)
        if self._move(job_id, phase, ["EXECUTING"], **outcome) is None:  # aborted or removed meanwhile
            (self._folder_of(job_id) / _RESULT).unlink(missing_ok=True)

    def _running(self, found: dict[str, Any]) -> Running:
        pairs = [(name, value) for name, value in found["parameters"]]
        folder = self._folder_of(found["job_id"])
        files: dict[str, IO[bytes] | Path] = {}
        for number, _, name in (value.partition(" ") for key, value in pairs if key == "FILE"):
            files[name] = folder / f"upload_{number}"
        given = Parameters([pair for pair in pairs if pair[0] not in ("FILE", "BASE")], files)
        base = next((value for key, value in pairs if key == "BASE"), "")
        sent = parameters.sent_with(given, self.result, base)
        query = parameters.query(given, self._settings, found["execution_limit_s"], sent)
        return Running(query, self._readers, self._tables)

    def _write(self, job_id: str, running: Running) -> int:
        folder = self._folder_of(job_id)
        folder.mkdir(parents=True, exist_ok=True)
        with writing(folder / _RESULT) as part, part.open("wb") as out:
            for piece in running.pieces():
                out.write(piece)
        return (folder / _RESULT).stat().st_size

    def tidy(self) -> None:
        """Remove the jobs whose time has come, and put those into the queue again that have fallen out of it."""
        with self._store.connection() as conn:
            expired = [row[0] for row in conn.execute(job("tap.expired").compose())]
            lost = [row[0] for row in conn.execute(job("tap.lost").compose())]
        for job_id in lost:
            self._queue(job_id)
        for job_id in expired:
            self._cancel(job_id)
            self._remove_files(job_id)

    def end(self) -> None:
        """Hand back what is at work."""
        with self._lock:
            self._ending = True
            at_work = list(self._at_work.values())
        for running in at_work:
            running.cancel()

    # ------------------------------------------------------------------------------------------------------

    def _move(self, job_id: str, phase: str, before: Iterable[str], **outcome: Any) -> dict[str, Any] | None:
        values = {"error": None, "media_type": None, "n_bytes": None} | outcome
        values |= {"job_id": job_id, "phase": phase, "from": list(before)}
        with self._store.connection() as conn:
            rows = dicts(conn.execute(job("tap.move").compose(), values))
        return rows[0] if rows else None

    def _queue(self, job_id: str) -> None:
        with self._store.connection() as conn:
            put_tap(conn, job_id)

    def _cancel(self, job_id: str) -> None:
        with self._lock:
            running = self._at_work.get(job_id)
        if running is not None:
            running.cancel()

    def _folder_of(self, job_id: str) -> Path:
        return self._folder / job_id

    def _remove_files(self, job_id: str) -> None:
        shutil.rmtree(self._folder_of(job_id), ignore_errors=True)


def time_of(text: str | None, name: str) -> datetime | None:
    """A time as DALI writes it.

    Raises
    ------
    XcatError
        It is not one.
    """
    if text is None:
        return None
    try:
        if not re.fullmatch(r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,9})?)?)?Z?", text.strip(), re.A):
            raise ValueError
        value = datetime.fromisoformat(text.strip().removesuffix("Z"))
        return value.replace(tzinfo=UTC)
    except ValueError:
        raise XcatError(f"{name}={text[:50]}: it must be a time in UTC, as in 2026-12-31T12:00:00Z") from None
