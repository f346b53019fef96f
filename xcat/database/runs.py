"""Runs: every stage writes one row with what it read, how it was configured, and how it ended."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from xcat.config import Settings
from xcat.database.address import masked
from xcat.database.connection import Connection, ready
from xcat.database.sqlfiles import dicts, insert, job
from xcat.errors import StageError, XcatError
from xcat.progress import timed

_LIBRARIES = ("xcat", "numpy", "scipy", "astropy", "pyarrow", "psycopg", "sqlalchemy")
_LINEAGE = (
    *("pipeline_run_id", "source_run_id", "link_run_id", "match_run_id"),
    *("property_run_id", "label_run_id", "model_run_id"),
)


@cache
def version(name: str) -> str:
    """Version of a library, looked up once: the whole of its metadata is parsed for it, and every stage asks."""
    return metadata.version(name)


def config_key(kind: str, config: Mapping[str, Any]) -> str:
    """SHA-256 of the work of a stage: equal keys mean equal results.

    Parameters
    ----------
    config : mapping
        Configuration, with the numbers of the runs and the checksums of the files that are read.
    """
    text = json.dumps({"kind": kind, "xcat": version("xcat"), "config": config}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def software_versions(conn: Connection) -> dict[str, str]:
    """Versions of everything that could change a result."""
    row = conn.execute(job("server.q3c").compose()).fetchone()
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in _LIBRARIES},
        "postgresql": str(conn.info.parameter_status("server_version")),
        "q3c": (row and row[0]) or "missing",
    }


@dataclass
class Run:
    """A run in progress.

    Attributes
    ----------
    conn : Connection
        The stage's transaction; committed when the stage ends well, rolled back otherwise.
    summary : dict
        What the stage counted; kept with the run, also when it fails.
    inputs : dict
        What the stage read.
    """

    run_id: int
    kind: str
    settings: Settings
    conn: Connection
    summary: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, Any] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a step into the summary, in seconds."""
        with timed(self.summary.setdefault("seconds", {}), name):
            yield


@contextmanager
def stage(
    settings: Settings,
    kind: str,
    name: str,
    config: Mapping[str, Any],
    *,
    inputs: Mapping[str, Any] | None = None,
    catalogues: Sequence[int] = (),
    **lineage: int | None,
) -> Iterator[Run]:
    """Run a stage as one transaction, with its row in the table ``run``.

    Parameters
    ----------
    kind : str
        One of the kinds of the table ``run``.
    name : str
        Name of the pipeline or catalogue.
    config : mapping
        Frozen with the run.
    inputs : mapping, optional
        What is read, as far as it is known beforehand.
    catalogues : sequence of int
        Versions of catalogues that are read; they stay as they are while the run is kept.
    **lineage
        Runs that are read: ``source_run_id`` and so on.

    Raises
    ------
    Exception
        Whatever the stage raised, after the roll-back; the run keeps its text.
    """
    unknown = set(lineage) - set(_LINEAGE)
    if unknown:
        raise TypeError(f"unknown lineage: {unknown}")
    with ready(settings, autocommit=True) as books, ready(settings) as work:
        reap(books)
        values = {
            "kind": kind,
            "name": name,
            "config": Jsonb(config),
            "config_key": config_key(kind, config),
            "versions": Jsonb(software_versions(books)),
            "inputs": Jsonb(dict(inputs or {})),
            **{key: lineage.get(key) for key in _LINEAGE},
        }
        run = Run(_enter(books, values, catalogues), kind, settings, work, inputs=dict(inputs or {}))
        try:
            with work.transaction():
                yield run
                results = {"run_id": run.run_id, "summary": Jsonb(run.summary), "inputs": Jsonb(run.inputs)}
                work.execute(job("runs.finish").compose(), results)
        except BaseException as error:
            _record_failure(books, run, error)
            if isinstance(error, psycopg.OperationalError):
                raise _failed_stage(run, error) from error
            raise


def _enter(books: Connection, values: Mapping[str, Any], catalogues: Sequence[int]) -> int:
    """Enter the row of a run, with the session's lock on it and the versions of catalogues that it reads."""
    reads = "a run that it reads was dropped"
    try:
        with books.transaction():
            row = books.execute(job("runs.begin").compose(), values).fetchone()
            assert row is not None
            books.execute(job("runs.lock").compose(), {"run_id": row[0]})
            reads = "a catalogue was replaced"
            read_catalogues(books, row[0], catalogues)
    except psycopg.errors.ForeignKeyViolation as error:
        raise StageError(
            f"{values['kind']}: {reads} just before it started; nothing was changed. Run it again."
        ) from error
    return int(row[0])


def read_catalogues(conn: Connection, run_id: int, catalogues: Iterable[int]) -> None:
    """Enter versions of catalogues that a run reads: from then on they stay as they are while the run is kept.

    Raises
    ------
    psycopg.errors.ForeignKeyViolation
        One of them has been dropped.
    """
    for catalogue_id in sorted(catalogues):
        conn.execute(job("runs.lock_content").compose(), {"catalogue_id": catalogue_id})
        insert(conn, "xcat.run_catalogue", [{"run_id": run_id, "catalogue_id": catalogue_id}])


def _failed_stage(run: Run, error: psycopg.OperationalError) -> StageError:
    """What a failure of the database means for the user; beside those named: disk full, out of memory, deadlock."""
    text = str(error).strip()
    if isinstance(error, psycopg.errors.QueryCanceled):
        return StageError(
            f"{run.kind}: a statement was cancelled ({text.splitlines()[0]}); nothing was changed. "
            f"If the machine is slow, raise XCAT_STATEMENT_TIMEOUT_S above {run.settings.statement_timeout_s:g}."
        )
    if run.conn.closed:
        return StageError(
            f"{run.kind}: the connection to the database was lost; nothing was changed. "
            f"The same command can be repeated. ({text})"
        )
    return StageError(f"{run.kind}: {text}; nothing was changed.")


def _record_failure(books: Connection, run: Run, error: BaseException) -> None:
    text = str(error) or ("cancelled by the user" if isinstance(error, KeyboardInterrupt) else repr(error))
    try:
        text = masked(text, run.settings.database_url)
        values = {"run_id": run.run_id, "error": text, "summary": Jsonb(run.summary)}
        books.execute(job("runs.fail").compose(), values)
    except psycopg.Error as lost:  # the server is gone: the next run marks this one as lost
        error.add_note(f"(the failure could not be recorded: {lost})")


def reap(conn: Connection) -> list[int]:
    """Mark runs whose process died as lost, and give their numbers."""
    return [row[0] for row in conn.execute(job("runs.reap").compose()).fetchall()]


def find_done(conn: Connection, kind: str, config: Mapping[str, Any]) -> int | None:
    """Newest finished run of this kind with an equal configuration, or None."""
    params = {"kind": kind, "config_key": config_key(kind, config)}
    row = conn.execute(job("runs.find_done").compose(), params).fetchone()
    return row[0] if row else None


def get(conn: Connection, run_id: int, kind: str | None = None) -> dict[str, Any]:
    """One row of the table ``run``.

    Raises
    ------
    XcatError
        There is no such run, or it is of another kind.
    """
    row = conn.execute(job("runs.show").compose(), {"run_id": run_id}).fetchone()
    if row is None:
        raise XcatError(f"there is no run {run_id}. See: xcat runs")
    if kind is not None and row[0]["kind"] != kind:
        raise XcatError(f"run {run_id} is a {row[0]['kind']} run, not a {kind} run. See: xcat runs")
    return dict(row[0])


def note_stages(conn: Connection, run_id: int, stages: Mapping[str, int]) -> None:
    """Record the runs that a pipeline run has made or reused so far, so that they are not pruned meanwhile."""
    conn.execute(job("runs.note_stages").compose(), {"run_id": run_id, "stages": Jsonb(dict(stages))})


def pin(conn: Connection, run_id: int, why: str | None) -> None:
    """Keep a run, and what it depends on, whatever is pruned; without a reason, keep it no longer.

    Raises
    ------
    XcatError
        There is no such run.
    """
    get(conn, run_id)
    conn.execute(job("runs.pin").compose(), {"run_id": run_id, "pinned": why})


def listing(conn: Connection, limit: int) -> list[dict[str, Any]]:
    """Runs, newest first, each as a dict."""
    ((may_change,),) = conn.execute(job("runs.may_change").compose())
    if may_change:  # who only reads sees runs as they are in the books
        reap(conn)
    return dicts(conn.execute(job("runs.list_runs").compose(), {"limit": limit}))
