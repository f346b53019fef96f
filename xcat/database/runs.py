"""Runs: every stage writes one row that says what it read, how it was set, and how it ended."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from xcat.config import Settings
from xcat.database.connection import Connection, ready
from xcat.database.sqlfiles import dicts, job
from xcat.errors import StageError, XcatError
from xcat.progress import timed

_LIBRARIES = ("xcat", "numpy", "scipy", "astropy", "pyarrow", "psycopg", "sqlalchemy")
_LINEAGE = (
    "pipeline_run_id", "source_run_id", "link_run_id", "match_run_id", "property_run_id", "label_run_id",
    "model_run_id",
)  # fmt: skip


def config_key(kind: str, config: Mapping[str, Any]) -> str:
    """SHA-256 of what a stage will do: equal keys mean equal results.

    Parameters
    ----------
    kind : str
        Kind of run.
    config : mapping
        Configuration, with the numbers of the runs and the checksums of the files that are read.
    """
    text = json.dumps({"kind": kind, "xcat": version("xcat"), "config": config}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def software_versions(conn: Connection) -> dict[str, str]:
    """Versions of everything that could change a result."""
    row = conn.execute("SELECT extversion FROM pg_extension WHERE extname = 'q3c'").fetchone()
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in _LIBRARIES},
        "postgresql": str(conn.info.parameter_status("server_version")),
        "q3c": row[0] if row else "missing",
    }


@dataclass
class Run:
    """A run in progress.

    Attributes
    ----------
    run_id : int
    kind : str
    settings : Settings
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
    settings : Settings
    kind : str
        One of the kinds of the table ``run``.
    name : str
        Name of the pipeline or catalogue.
    config : mapping
        Frozen with the run.
    inputs : mapping, optional
        What is read, as far as known before.
    catalogues : sequence of int
        Versions of catalogues that are read; they stay as they are while the run is kept.
    **lineage
        Runs that are read: ``source_run_id`` and so on.

    Yields
    ------
    Run

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
        with books.transaction():
            row = _begin(books, kind, values)
            run = Run(row, kind, settings, work, inputs=dict(inputs or {}))
            books.execute(job("runs.lock").compose(), {"run_id": run.run_id})
            _enter_readings(books, kind, run.run_id, catalogues)
        try:
            with work.transaction():
                yield run
                work.execute(
                    job("runs.finish").compose(),
                    {"run_id": run.run_id, "summary": Jsonb(run.summary), "inputs": Jsonb(run.inputs)},
                )
        except BaseException as error:
            _record_failure(books, run, error)
            if isinstance(error, psycopg.errors.QueryCanceled):
                raise StageError(
                    f"{kind}: a statement was cancelled ({str(error).splitlines()[0]}); nothing was changed. "
                    f"If the machine is slow, raise XCAT_STATEMENT_TIMEOUT_S above {settings.statement_timeout_s:g}."
                ) from error
            if isinstance(error, psycopg.OperationalError) and work.closed:
                raise StageError(
                    f"{kind}: the connection to the database was lost; nothing was changed. "
                    f"The same command can be repeated. ({str(error).strip()})"
                ) from error
            if isinstance(error, psycopg.OperationalError):  # disk full, out of memory, deadlock
                raise StageError(f"{kind}: {str(error).strip()}; nothing was changed.") from error
            raise


def _begin(books: Connection, kind: str, values: Mapping[str, Any]) -> int:
    try:
        row = books.execute(job("runs.begin").compose(), values).fetchone()
    except psycopg.errors.ForeignKeyViolation as error:
        raise StageError(
            f"{kind}: a run that it reads was dropped just before; nothing was changed. Run it again."
        ) from error
    assert row is not None
    return int(row[0])


def _enter_readings(books: Connection, kind: str, run_id: int, catalogues: Sequence[int]) -> None:
    try:
        for catalogue_id in sorted(catalogues):
            books.execute(job("runs.lock_content").compose(), {"catalogue_id": catalogue_id})
            books.execute(job("runs.reads").compose(), {"run_id": run_id, "catalogue_id": catalogue_id})
    except psycopg.errors.ForeignKeyViolation as error:
        raise StageError(
            f"{kind}: a catalogue was replaced just before it was to be read; nothing was changed. Run it again."
        ) from error


def _record_failure(books: Connection, run: Run, error: BaseException) -> None:
    text = str(error) or ("cancelled by the user" if isinstance(error, KeyboardInterrupt) else repr(error))
    try:
        books.execute(
            job("runs.fail").compose(),
            {"run_id": run.run_id, "error": text, "summary": Jsonb(run.summary)},
        )
    except psycopg.Error as lost:  # the server is gone: the next run marks this one as lost
        error.add_note(f"(the failure could not be recorded: {lost})")


def reap(conn: Connection) -> list[int]:
    """Mark runs whose process died as lost, and say which."""
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
    """Write down which runs a pipeline run has made or found done so far, so that they stay meanwhile."""
    conn.execute(job("runs.note_stages").compose(), {"run_id": run_id, "stages": Jsonb(dict(stages))})


def pin(conn: Connection, run_id: int, why: str | None) -> None:
    """Keep a run, and what it stands on, whatever is pruned; without a reason, no longer.

    Raises
    ------
    XcatError
        There is no such run.
    """
    get(conn, run_id)
    conn.execute(job("runs.pin").compose(), {"run_id": run_id, "pinned": why})


def listing(conn: Connection, limit: int) -> list[dict[str, Any]]:
    """Runs, newest first, each as a dict."""
    reap(conn)
    return dicts(conn.execute(job("runs.list_runs").compose(), {"limit": limit}))
