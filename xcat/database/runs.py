"""Runs: every stage writes one row with what it read, how it was configured, and how it ended."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from xcat.config import Settings
from xcat.database import watch
from xcat.database.address import masked
from xcat.database.connection import Connection, ready
from xcat.database.sqlfiles import dicts, insert, job
from xcat.errors import CancelledError, DatabaseError, PassingError, StageError, XcatError
from xcat.progress import doing, timed

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
    check: Callable[[], None] = lambda: None

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a step into the summary, in seconds; a run that was cancelled gets no further."""
        self.check()
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
    CancelledError
        Somebody cancelled the run; a stage of a pipeline raises `watch.Cancelled`, which ends the pipeline, too.
    """
    unknown = set(lineage) - set(_LINEAGE)
    if unknown:
        raise TypeError(f"unknown lineage: {unknown}")
    with ready(settings, autocommit=True) as books, ready(settings) as work:
        reap(books)
        values = _values(books, kind, name, config, inputs, lineage)
        run = Run(_enter(books, values, catalogues), kind, settings, work, inputs=dict(inputs or {}))
        pipeline_run_id = lineage.get("pipeline_run_id")
        before, doing.stage = doing.stage, kind
        try:
            with _watched(books, run, pipeline_run_id), work.transaction():
                yield run
                _finish(run, pipeline_run_id)
        except BaseException as error:
            with _after(settings, books, error) as conn:
                has_ended_well = _has_ended_well(conn, run, error)
                if not has_ended_well:
                    _record_failure(conn, run, error)
            if has_ended_well and not isinstance(error, KeyboardInterrupt):
                return  # the connection was lost when all was written already
            if isinstance(error, psycopg.OperationalError):
                raise _failed_stage(run, error, conn is not None) from error
            if isinstance(error, watch.Cancelled) and pipeline_run_id is None and not has_ended_well:
                raise CancelledError(f"{kind}: {error}; nothing was changed.") from None
            raise
        finally:
            doing.stage = before


@contextmanager
def _watched(books: Connection, run: Run, pipeline_run_id: int | None) -> Iterator[None]:
    """Let a run say how far it is and be cancelled; for a stage of a pipeline, the pipeline's run does both."""
    if pipeline_run_id is not None:
        yield
        return
    watch.begin(books, run.run_id)
    beat = watch.Beat(run.run_id)
    with watch.watched(lambda: beat(books)) as run.check:
        yield


def _finish(run: Run, pipeline_run_id: int | None) -> None:
    run.check()
    if pipeline_run_id is not None:
        at_work = run.conn.execute(job("runs.is_at_work").compose(), {"run_id": pipeline_run_id}).fetchone()
        if at_work is None:
            raise PassingError(
                f"{run.kind}: the pipeline's run {pipeline_run_id} was given up, because its connection was lost; "
                "nothing was changed. The same command can be repeated."
            )
    results = {"run_id": run.run_id, "summary": Jsonb(run.summary), "inputs": Jsonb(run.inputs)}
    if run.conn.execute(job("runs.finish").compose(), results).fetchone() is None:
        raise PassingError(
            f"{run.kind}: the run was given up, because its connection to the database was lost; nothing was changed. "
            "The same command can be repeated."
        )


@contextmanager
def _after(settings: Settings, books: Connection, error: BaseException) -> Iterator[Connection | None]:
    """Give a connection to record how a stage ended: a new one if the old one was lost, None if there is no server."""
    if not books.broken and not _is_lost(books):
        yield books
        return
    try:
        patience_s = 0.0 if isinstance(error, KeyboardInterrupt) else watch.PATIENCE_S
        conn = watch.reconnect(settings, patience_s)
    except (DatabaseError, psycopg.OperationalError) as lost:
        error.add_note(f"(the failure could not be recorded: {lost})")
        yield None  # the next run marks this one as lost
        return
    with closing(conn):
        yield conn


def _is_lost(conn: Connection) -> bool:
    try:
        conn.execute("SELECT")
    except psycopg.Error:
        return True
    return False


def _has_ended_well(conn: Connection | None, run: Run, error: BaseException) -> bool:
    """Whether the stage's transaction was committed, although the connection was lost before the server said so."""
    if conn is None or not isinstance(error, psycopg.OperationalError | KeyboardInterrupt):
        return False
    return conn.execute(job("runs.status").compose(), {"run_id": run.run_id}).fetchone() == ("done",)


def enter(books: Connection, kind: str, name: str, config: Mapping[str, Any]) -> int:
    """Enter the run of a whole pipeline, which the session keeps until it ends; its stages are runs of their own."""
    reap(books)
    values = _values(books, kind, name, config)
    run_id = _enter(books, values, ())
    watch.begin(books, run_id)
    return run_id


def _values(
    books: Connection,
    kind: str,
    name: str,
    config: Mapping[str, Any],
    inputs: Mapping[str, Any] | None = None,
    lineage: Mapping[str, int | None] | None = None,
) -> dict[str, Any]:
    return {
        "kind": kind,
        "name": name,
        "config": Jsonb(config),
        "config_key": config_key(kind, config),
        "versions": Jsonb(software_versions(books)),
        "inputs": Jsonb(dict(inputs or {})),
        **{key: (lineage or {}).get(key) for key in _LINEAGE},
    }


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


def failed_stage(kind: str, settings: Settings, error: psycopg.OperationalError, is_closed: bool) -> StageError:
    """What a failure of the database means for the user; beside those named: out of memory, deadlock."""
    text = str(error).strip()
    if isinstance(error, psycopg.errors.QueryCanceled) and "user request" not in text:  # else by pg_cancel_backend()
        return StageError(
            f"{kind}: a statement was cancelled ({text.splitlines()[0]}); nothing was changed. "
            f"If the machine is slow, raise XCAT_STATEMENT_TIMEOUT_S above {settings.statement_timeout_s:g}."
        )
    if isinstance(error, psycopg.errors.DiskFull):
        return PassingError(
            f"{kind}: the disk of the server is full ({text.splitlines()[0]}); nothing was changed. Free some space, "
            "then repeat the same command."
        )
    if is_closed:
        return PassingError(
            f"{kind}: the connection to the database was lost; nothing was changed. "
            f"The same command can be repeated. ({text})"
        )
    return PassingError(f"{kind}: {text}; nothing was changed.")


def _failed_stage(run: Run, error: psycopg.OperationalError, is_known: bool) -> StageError:
    if not is_known:
        return PassingError(
            f"{run.kind}: the connection to the database was lost, and it does not answer. Either all of the stage was "
            f"written or nothing: see xcat runs {run.run_id}. The same command can be repeated. ({str(error).strip()})"
        )
    return failed_stage(run.kind, run.settings, error, run.conn.closed)


def _record_failure(conn: Connection | None, run: Run, error: BaseException) -> None:
    if conn is None:
        return
    text = str(error) or ("cancelled by the user" if isinstance(error, KeyboardInterrupt) else repr(error))
    status = "cancelled" if isinstance(error, watch.Cancelled) else "failed"
    try:
        text = masked(text, run.settings.database_url)
        values = {"run_id": run.run_id, "status": status, "error": text, "summary": Jsonb(run.summary)}
        conn.execute(job("runs.fail").compose(), values)
    except psycopg.Error as lost:  # the server is gone again: the next run marks this one as lost
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
