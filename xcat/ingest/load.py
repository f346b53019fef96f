"""The ingest stage: files to rows of a catalogue table, all of them or none.

Rows go through binary COPY into a table that nobody sees yet: a new partition, or a temporary table whose rows are
appended. Only then are indexes built, duplicates found and the partition attached, all in one transaction.

The contents of a catalogue are versions. Replaced files make a new one; files that are added make a new one if a run
has read the present one, so what a run read never changes. Files that a kept version holds are not loaded again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from xcat import progress
from xcat.catalogues.definition import Definition
from xcat.config import Settings
from xcat.database import copy, partitions, retention
from xcat.database.connection import Connection, ready
from xcat.database.runs import Run, stage
from xcat.database.sqlfiles import dicts, job
from xcat.errors import InputError, StageError
from xcat.ingest.convert import Rejects, convert
from xcat.ingest.readers import open_table
from xcat.sky import density_map


@dataclass(frozen=True)
class InputFile:
    """A file to load, by its content.

    Attributes
    ----------
    path : Path
    sha256 : str
    n_bytes : int
    modified_ns : int
        Time of its last change.
    """

    path: Path
    sha256: str
    n_bytes: int
    modified_ns: int


def checksum(path: Path) -> InputFile:
    """Read a file once to know its content.

    Raises
    ------
    InputError
        The file is not there or cannot be read.
    """
    try:
        with path.open("rb") as handle:
            state = os.fstat(handle.fileno())
            digest = hashlib.file_digest(handle, "sha256").hexdigest()
        return InputFile(path, digest, state.st_size, state.st_mtime_ns)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


@dataclass
class Loading:
    """What a load has made: counts by file, rejects by reason, and the kept version that it made current again."""

    files: list[dict[str, Any]]
    already: list[str]
    rejects: list[dict[str, Any]]
    version: int | None = None

    @property
    def n_rows(self) -> int:
        """Rows loaded."""
        return sum(f["n_rows"] for f in self.files)

    @property
    def n_rejected(self) -> int:
        """Rows set aside."""
        return sum(f["n_rejected"] for f in self.files)


def loaded_files(conn: Connection, name: str) -> list[dict[str, Any]]:
    """Files of a catalogue: file_id, file_name, sha256, n_rows, n_rejected."""
    return dicts(conn.execute(job("ingest.files").compose(), {"name": name}))


def ingest(
    settings: Settings,
    definition: Definition,
    paths: Sequence[Path],
    *,
    replace: bool = False,
    pipeline_run_id: int | None = None,
) -> Loading:
    """Load files into a catalogue.

    Parameters
    ----------
    settings : Settings
    definition : Definition
    paths : sequence of Path
    replace : bool
        These files become all of the catalogue: a new version, or the one that holds just them. The version before
        stays as long as a run that read it.
    pipeline_run_id : int, optional
        The pipeline that asked.

    Returns
    -------
    Loading
        Counts; a file that was loaded before, by its checksum, is named in ``already`` and changes nothing.

    Raises
    ------
    InputError
        A file cannot be used; names file, column and row.
    StageError
        The catalogue holds rows that were read with another definition.
    """
    if not paths:
        raise InputError(f"{definition.name}: no file is given")
    files = [checksum(path) for path in paths]
    repeated = {f.sha256 for f in files if sum(g.sha256 == f.sha256 for g in files) > 1}
    if repeated:
        names = ", ".join(str(f.path) for f in files if f.sha256 in repeated)
        raise InputError(f"the same content is given more than once: {names}")
    with ready(settings) as conn:
        known = {row["sha256"] for row in loaded_files(conn, definition.name)}
        unchanged = not _other_definition(conn, definition)
    if unchanged and known >= {f.sha256 for f in files} and (not replace or len(known) == len(files)):
        return Loading([], [f.path.name for f in files], [])
    config = {
        "catalogue": definition.name,
        "definition_sha256": definition.sha256,
        "files": [f.sha256 for f in files],
        "replace": replace,
    }
    inputs = {"files": [{"name": f.path.name, "sha256": f.sha256, "n_bytes": f.n_bytes} for f in files]}
    with stage(settings, "ingest", definition.name, config, inputs=inputs, pipeline_run_id=pipeline_run_id) as run:
        loading = _load(run, definition, files, replace)
        run.inputs["files"] = loading.files
        run.summary |= {
            "n_rows": loading.n_rows, "n_rejected": loading.n_rejected, "already_loaded": loading.already,
            "rejects": loading.rejects, "version_current_again": loading.version,
        }  # fmt: skip
    retention.sweep(settings)
    return loading


def _other_definition(conn: Connection, definition: Definition) -> bool:
    row = conn.execute(job("ingest.catalogue").compose(), {"name": definition.name}).fetchone()
    return row is not None and row[1] != definition.sha256


def _load(run: Run, definition: Definition, files: list[InputFile], replace: bool) -> Loading:
    conn, table = run.conn, definition.table_kind
    with progress.bar(f"{definition.name}: waiting for its turn"):
        conn.execute(job("ingest.lock").compose(), {"name": definition.name})
    known = {row["sha256"] for row in loaded_files(conn, definition.name)}
    if known and not replace and _other_definition(conn, definition):
        raise StageError(
            f"{definition.name}: its definition has changed since its {len(known)} file(s) were loaded. "
            "Load all files again with --replace."
        )
    before = conn.execute(job("ingest.catalogue").compose(), {"name": definition.name}).fetchone()
    append = bool(known) and not replace
    wanted = [f for f in files if f.sha256 not in known] if append else files
    loading = Loading([], [f.path.name for f in files if f not in wanted], [])
    if not wanted:
        return loading
    content = sorted({f.sha256 for f in wanted} | (known if append else set()))
    same = conn.execute(
        job("ingest.same_content").compose(),
        {"name": definition.name, "definition_sha256": definition.sha256, "sha256s": content},
    ).fetchone()
    if same is not None:
        _make_current(conn, definition.name, same[0], before[0] if before else None)
        return Loading([], [f.path.name for f in files], [], version=same[1])
    catalogue_id = _version(conn, definition, before[0] if before else None, append)
    partition = partitions.qualified(table, catalogue_id)
    if append:
        target, (base,) = (
            "loading",
            conn.execute(job("ingest.last_object").compose(partition=partition)).fetchone() or (0,),
        )
        conn.execute(job("ingest.make_loading").compose(parent=f"xcat.{table}"))
    else:
        target, base = partitions.create(conn, table, catalogue_id), 0
    conn.execute(job("ingest.make_file_base").compose())
    types = copy.column_types(conn, target)
    counter = density_map.Counter() if table == "counterpart" else None
    entered = []
    for file in wanted:
        with run.step(f"read {file.path.name}"):
            file_id = _enter(conn, catalogue_id, run.run_id, file, base)
            n_read, n_skipped = _copy_file(conn, definition, file, catalogue_id, file_id, target, types, base, counter)
            base += n_read
            entered.append((file, file_id, n_skipped))
    with run.step("index"), progress.bar(f"{definition.name}: indexes"):
        n_gone = _finish(conn, definition, table, catalogue_id, target, append)
        if counter is not None:
            _map_density(conn, catalogue_id, counter, partition, target if append else None, n_gone)
    for file, file_id, n_skipped in entered:
        counted = conn.execute(job("ingest.rows_of_file").compose(loaded=partition), {"file_id": file_id}).fetchone()
        values = {"file_id": file_id, "n_rows": counted[0] if counted else 0}
        rejected = conn.execute(job("ingest.count_file").compose(), values).fetchone()
        loading.files.append(
            {
                "name": file.path.name,
                "sha256": file.sha256,
                "n_bytes": file.n_bytes,
                "n_rows": values["n_rows"],
                "n_rejected": rejected[0] if rejected else 0,
                "n_skipped": n_skipped,
            }
        )
    file_ids = [file_id for _, file_id, _ in entered]
    loading.rejects = dicts(conn.execute(job("ingest.rejects_by_reason").compose(), {"file_ids": file_ids}))
    _make_current(conn, definition.name, catalogue_id, before[0] if before else None)
    return loading


def _version(conn: Connection, definition: Definition, before: int | None, append: bool) -> int:
    """Number of the version to load into: the present one if rows are added that no run has missed, else a new one."""
    if not append or before is None:
        values = {
            "name": definition.name, "kind": definition.kind, "definition": Jsonb(definition.as_dict()),
            "definition_sha256": definition.sha256,
        }  # fmt: skip
        row = conn.execute(job("ingest.add_catalogue").compose(), values).fetchone()
        assert row is not None
        return int(row[0])
    conn.execute(job("ingest.lock_content").compose(), {"catalogue_id": before})
    read = conn.execute(job("ingest.is_read").compose(), {"catalogue_id": before}).fetchone()
    if read is not None and not read[0]:
        return before
    row = conn.execute(job("ingest.copy_catalogue").compose(), {"catalogue_id": before}).fetchone()
    assert row is not None
    table, made = definition.table_kind, int(row[0])
    target = partitions.create(conn, table, made)
    names = list(copy.column_types(conn, target))
    values_ = [sql.Literal(made) if name == "catalogue_id" else sql.Identifier(name) for name in names]
    conn.execute(
        job("ingest.copy_rows").compose(
            target=target, partition=partitions.qualified(table, before),
            columns=sql.SQL(", ").join(map(sql.Identifier, names)), values=sql.SQL(", ").join(values_),
        )
    )  # fmt: skip
    partitions.attach(conn, table, made)
    return made


def _make_current(conn: Connection, name: str, catalogue_id: int, before: int | None) -> None:
    """Let the next runs read this version, and drop the one before if no run has read it."""
    for statement in ("make_current", "set_current"):
        conn.execute(job(f"ingest.{statement}").compose(), {"name": name, "catalogue_id": catalogue_id})
    if before is not None and before != catalogue_id:
        retention.forget_unread_versions(conn)


def _enter(conn: Connection, catalogue_id: int, run_id: int, file: InputFile, base: int) -> int:
    row = conn.execute(
        job("ingest.add_file").compose(),
        {
            "catalogue_id": catalogue_id,
            "run_id": run_id,
            "file_name": file.path.name,
            "sha256": file.sha256,
            "n_bytes": file.n_bytes,
        },
    ).fetchone()
    assert row is not None
    conn.execute(job("ingest.add_file_base").compose(), {"file_id": row[0], "base": base})
    return int(row[0])


def _copy_file(
    conn: Connection,
    definition: Definition,
    file: InputFile,
    catalogue_id: int,
    file_id: int,
    target: str,
    types: dict[str, str],
    base: int,
    counter: density_map.Counter | None,
) -> tuple[int, int]:
    """COPY one file into the target, count its positions, and its bad rows into ``reject``.

    Returns
    -------
    tuple of int
        Number of its last row, and rows that the definition leaves out (``read.only``).
    """
    last_row = n_skipped = 0
    freeze = target != "loading"
    with open_table(file.path, definition) as table, progress.bar(file.path.name, table.n_rows) as advance:
        for chunk in table:
            converted = convert(chunk, definition)
            n_rows = len(converted)
            n_skipped += converted.n_skipped
            last_row = max(last_row, chunk.first_row + chunk.n_rows - 1)
            if n_rows:
                block: dict[str, np.ndarray] = {
                    "catalogue_id": np.full(n_rows, catalogue_id, np.int16),
                    "object_id": base + converted.row_number,
                    "file_id": np.full(n_rows, file_id, np.int32),
                    **converted.columns,
                }
                try:
                    copy.copy_in(conn, target, [block], types=types, freeze=freeze)
                except (psycopg.IntegrityError, psycopg.DataError, OverflowError) as error:
                    raise InputError(
                        f"{file.path}: rows {chunk.first_row}-{last_row}: {str(error).splitlines()[0]}"
                    ) from error
                if counter is not None:
                    counter.add(converted.columns["ra"], converted.columns["dec"])
            _keep_rejects(conn, file_id, converted.rejects)
            advance(chunk.n_rows)
    if file.path.stat().st_mtime_ns != file.modified_ns:
        raise InputError(f"{file.path}: changed while it was being read; load it when it is whole")
    return last_row, n_skipped


def _keep_rejects(conn: Connection, file_id: int, rejects: Rejects) -> None:
    if len(rejects):
        block: dict[str, np.ndarray] = {"file_id": np.full(len(rejects), file_id, np.int32), **rejects.columns()}
        copy.copy_in(conn, "reject", [block])


def _map_density(
    conn: Connection, catalogue_id: int, counter: density_map.Counter, partition: str, appended: str | None, n_gone: int
) -> None:
    """Add the new rows to the catalogue's density map; `appended` is their table if they are not all of it."""
    row = conn.execute(job("density.exists").compose(), {"catalogue_id": catalogue_id}).fetchone()
    mapped = bool(row and row[0])
    # the counter has seen rows that are gone, or never saw those that came before there were maps
    if n_gone or (appended is not None and not mapped):
        counted = appended if appended is not None and mapped else partition
        counter = density_map.count(conn, job("density.positions").compose(counted=counted))
    density_map.store(conn, catalogue_id, counter)


def _finish(conn: Connection, definition: Definition, table: str, catalogue_id: int, target: str, append: bool) -> int:
    """Set duplicates aside, build the indexes and make the rows visible.

    Returns
    -------
    int
        Rows set aside.
    """
    spec = definition.columns.get("native_id")
    values = {"column_name": ", ".join(spec.from_) if spec is not None else None}
    if append:
        partition = partitions.qualified(table, catalogue_id)
        repeats = conn.execute(job("ingest.reject_repeats").compose(loaded=target), values)
        known = conn.execute(job("ingest.reject_known").compose(loaded=target, partition=partition), values)
        conn.execute(job("ingest.append").compose(loaded=target, partition=partition))
        conn.execute(f"ANALYZE {partition}")
        return repeats.rowcount + known.rowcount
    n_gone = 0
    try:
        with conn.transaction():
            partitions.prepare(conn, table, catalogue_id)
    except psycopg.errors.UniqueViolation:
        # looking for duplicates costs a sort, so only a load that has some pays for it
        n_gone = conn.execute(job("ingest.reject_repeats").compose(loaded=target), values).rowcount
        partitions.prepare(conn, table, catalogue_id)
    partitions.adopt(conn, table, catalogue_id)
    return n_gone
