"""The ingest stage: files to rows of a catalogue table, all of them or none.

Rows go through binary COPY into a table that is not visible yet: a new partition, or a temporary table whose rows are
appended. Only then are indexes built, duplicates found and the partition attached, all in one transaction.

The contents of a catalogue are versions. Replaced files make a new one; files that are added make a new one if a run
has read the present one, so what a run read never changes. Files that a kept version holds are not loaded again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from xcat import progress
from xcat.catalogues.definition import Definition
from xcat.columns.units import as_unit
from xcat.config import Settings
from xcat.database import copy, partitions, retention
from xcat.database.connection import Connection, ready
from xcat.database.runs import Run, stage
from xcat.database.sqlfiles import dicts, insert, job
from xcat.errors import InputError, StageError
from xcat.ingest.checks import NOTHING_MORE, Allowed, Version, check_loss, check_rows, check_values
from xcat.ingest.convert import Converted, convert
from xcat.ingest.files import named_table, regular
from xcat.ingest.readers import open_table
from xcat.sky import cut, density_map

PRODUCTS = "source products"
"""Catalogue of light curves and spectra in the books; no definition can have a name with a blank."""


@dataclass(frozen=True)
class InputFile:
    """A file to load, by its content, and the time of its last change."""

    path: Path
    sha256: str
    n_bytes: int
    modified_ns: int

    @property
    def entry(self) -> dict[str, Any]:
        """The file as the run records it."""
        return {"name": self.path.name, "sha256": self.sha256, "n_bytes": self.n_bytes}


def checksum(path: Path) -> InputFile:
    """Read a file once to compute the checksum of its content, and of the name of the table that is wanted of it.

    Raises
    ------
    InputError
        The file is not there or cannot be read.
    """
    try:
        file, table = named_table(path)
        with regular(file).open("rb") as handle:
            state = os.fstat(handle.fileno())
            digest = hashlib.file_digest(handle, "sha256")
        if table is not None:
            digest.update(f"[{table}]".encode())
        return InputFile(path, digest.hexdigest(), state.st_size, state.st_mtime_ns)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


@dataclass
class Loading:
    """What a load has made: counts by file, rejects by reason, the kept version made current again, and remarks."""

    already: list[str]
    files: list[dict[str, Any]] = field(default_factory=list)
    rejects: list[dict[str, Any]] = field(default_factory=list)
    version: int | None = None
    remarks: list[str] = field(default_factory=list)

    @property
    def n_rows(self) -> int:
        """Rows loaded."""
        return sum(f["n_rows"] for f in self.files)

    @property
    def n_rejected(self) -> int:
        """Rows that could not be used."""
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
    allowed: Allowed = NOTHING_MORE,
    pipeline_run_id: int | None = None,
) -> Loading:
    """Load files into a catalogue.

    Parameters
    ----------
    replace : bool
        These files become all of the catalogue: a new version, or the one that holds just them. The version before
        stays as long as a run that read it.
    allowed : Allowed
        Shares of rejected rows, and of what a replacement loses, that are allowed in place of the definition's checks.
    pipeline_run_id : int, optional
        The pipeline that asked.

    Returns
    -------
    Loading
        Counts; a file that was loaded before, by its checksum, is named in ``already`` and changes nothing.

    Raises
    ------
    InputError
        A file cannot be used, or its values cannot be believed; names file, column and row or figures.
    StageError
        The catalogue holds rows that were read with another definition, or would lose too many by the replacement.
    """
    if not paths:
        raise InputError(f"{definition.name}: no file is given")
    files = [checksum(path) for path in paths]
    repeated = {f.sha256 for f in files if sum(g.sha256 == f.sha256 for g in files) > 1}
    if repeated:
        names = ", ".join(str(f.path) for f in files if f.sha256 in repeated)
        raise InputError(f"the same content is given more than once: {names}")
    with ready(settings) as conn:
        loaded = {row["sha256"] for row in loaded_files(conn, definition.name)}
        _, definition_sha256 = _current(conn, definition.name)
    is_same = definition_sha256 in (None, definition.sha256)
    if is_same and loaded >= {f.sha256 for f in files} and (not replace or len(loaded) == len(files)):
        return Loading([f.path.name for f in files])
    config = {
        "catalogue": definition.name,
        "definition_sha256": definition.sha256,
        "files": [f.sha256 for f in files],
        "replace": replace,
        **{f"allow_{name}": share for name, share in vars(allowed).items() if share is not None},
    }
    inputs = {"files": [f.entry for f in files]}
    with stage(settings, "ingest", definition.name, config, inputs=inputs, pipeline_run_id=pipeline_run_id) as run:
        loading = _load(run, definition, files, replace, allowed)
        run.inputs["files"] = loading.files
        run.summary |= {
            "n_rows": loading.n_rows,
            "n_rejected": loading.n_rejected,
            "already_loaded": loading.already,
            "rejects": loading.rejects,
            "version_current_again": loading.version,
            "remarks": loading.remarks,
        }
    retention.sweep(settings)
    return loading


def _current(conn: Connection, name: str) -> tuple[int | None, str | None]:
    """Number and definition (its checksum) of the current version of a catalogue; None if it was never loaded."""
    row = conn.execute(job("ingest.catalogue").compose(), {"name": name}).fetchone()
    return (None, None) if row is None else (row[0], row[1])


def _load(run: Run, definition: Definition, files: list[InputFile], replace: bool, allowed: Allowed) -> Loading:
    """Load the files that the catalogue does not have, or make an earlier version with just these files current."""
    conn, name = run.conn, definition.name
    with progress.bar(f"{name}: waiting for its turn"):
        conn.execute(job("ingest.lock").compose(), {"name": name})
    loaded = {row["sha256"] for row in loaded_files(conn, name)}
    before, definition_sha256 = _current(conn, name)
    if loaded and not replace and definition_sha256 != definition.sha256:
        raise StageError(
            f"{name}: its definition has changed since its {len(loaded)} file(s) were loaded. "
            "Load all files again with --replace."
        )
    append = bool(loaded) and not replace
    wanted = [f for f in files if f.sha256 not in loaded] if append else files
    if not wanted:
        return Loading([f.path.name for f in files])
    content = sorted({f.sha256 for f in wanted} | (loaded if append else set()))
    values = {"name": name, "definition_sha256": definition.sha256, "sha256s": content}
    previous = _previous(conn, name)
    same = conn.execute(job("ingest.same_content").compose(), values).fetchone()
    if same is not None:
        if previous is not None and same[0] != before:
            check_loss(conn, previous, Version(definition, same[0]), allowed)
        conn.execute(job("ingest.one_at_a_time").compose())
        _make_current(conn, name, same[0], before)
        return Loading([f.path.name for f in files], version=same[1])
    load = _Load(conn, definition, run.run_id, _version(conn, definition, before, append), append)
    for file in wanted:
        with run.step(f"read {file.path.name}"):
            load.read(file)
    with run.step("index"), progress.bar(f"{name}: indexes"):
        n_gone = load.prepare()
    entries, rejects = load.count()
    with run.step("check"):
        remarks = load.remarks + check_rows(definition, entries, rejects, allowed)
        new_files = {file_id: file.path.name for file, file_id, _ in load.entered}
        n_rows = sum(entry["n_rows"] for entry in entries)
        remarks += check_values(conn, definition, load.target, new_files, n_rows, load.stated, previous, append)
        if previous is not None and not append:
            check_loss(conn, previous, Version(definition, load.catalogue_id), allowed)
    with run.step("make visible"):
        load.finish(n_gone)
        _make_current(conn, name, load.catalogue_id, before)
    return Loading([f.path.name for f in files if f not in wanted], entries, rejects, remarks=remarks)


def _previous(conn: Connection, name: str) -> Version | None:
    """The current version of a catalogue, if it was ever loaded."""
    row = conn.execute(job("ingest.catalogue").compose(), {"name": name}).fetchone()
    return None if row is None else Version(Definition.from_dict(row[2]), row[0])


def _version(conn: Connection, definition: Definition, before: int | None, append: bool) -> int:
    """Number of the version to load into: the current one if rows are added that no run has missed, else a new one."""
    if not append or before is None:
        values = {
            "name": definition.name,
            "kind": definition.kind,
            "definition": Jsonb(definition.as_dict()),
            "definition_sha256": definition.sha256,
        }
        return _number(conn, "add_catalogue", values)
    of_before = {"catalogue_id": before}
    conn.execute(job("ingest.lock_content").compose(), of_before)
    if not _number(conn, "is_read", of_before):
        return before
    table, made = definition.table_kind, _number(conn, "copy_catalogue", of_before)
    target = partitions.create(conn, table, made)
    names = list(copy.column_types(conn, target))
    selected = [sql.Literal(made) if name == "catalogue_id" else sql.Identifier(name) for name in names]
    columns, values_ = sql.SQL(", ").join(map(sql.Identifier, names)), sql.SQL(", ").join(selected)
    partition = partitions.qualified(table, before)
    conn.execute(job("ingest.copy_rows").compose(target=target, partition=partition, columns=columns, values=values_))
    partitions.attach(conn, table, made)
    return made


def _number(conn: Connection, statement: str, values: dict[str, Any] | None = None, **identifiers: str) -> int:
    """The one number that a statement of sql/jobs/ingest.sql returns."""
    row = conn.execute(job(f"ingest.{statement}").compose(**identifiers), values).fetchone()
    assert row is not None
    return int(row[0])


def _make_current(conn: Connection, name: str, catalogue_id: int, before: int | None) -> None:
    """Let the next runs read this version, and drop the one before if no run has read it."""
    for statement in ("make_current", "set_current"):
        conn.execute(job(f"ingest.{statement}").compose(), {"name": name, "catalogue_id": catalogue_id})
    if before is not None and before != catalogue_id:
        retention.forget_unread_versions(conn)


class _Load:
    """Files on their way into one version of a catalogue."""

    def __init__(self, conn: Connection, definition: Definition, run_id: int, catalogue_id: int, append: bool):
        """Make the table to load into."""
        table = definition.table_kind
        self.conn, self.definition, self.run_id = conn, definition, run_id
        self.catalogue_id, self.append = catalogue_id, append
        self.partition = partitions.qualified(table, catalogue_id)
        # rows are copied into the new partition, or into ``loading`` if they are appended; base is the largest object
        # number in use
        if append:
            self.base = _number(conn, "last_object", partition=self.partition)
            conn.execute(job("ingest.make_loading").compose(parent=f"xcat.{table}"))
            self.target = "loading"
        else:
            self.target, self.base = partitions.create(conn, table, catalogue_id), 0
        conn.execute(job("ingest.make_file_base").compose())
        self.types = copy.column_types(conn, self.target)
        # positions of a counterpart catalogue, for its density map
        self.counter = density_map.Counter() if table == "counterpart" else None
        self.whole: density_map.Counter | None = None  # counts of the catalogue that the file was cut from
        self.entered: list[tuple[InputFile, int, int]] = []  # the files that were read: file, file_id, n_skipped
        self.stated: set[str] = set(definition.file_columns)  # columns for which every file states a unit
        self.remarks: list[str] = []  # what the user should know of the files

    def read(self, file: InputFile) -> None:
        """COPY one file into the target, count its positions, and write its bad rows to ``reject``."""
        self._read_counts(file)
        ids = {"catalogue_id": self.catalogue_id, "run_id": self.run_id}
        file_id = _number(self.conn, "add_file", ids | file.entry)
        insert(self.conn, "pg_temp.file_base", [{"file_id": file_id, "base": self.base}])
        last_row = n_skipped = 0
        with open_table(file.path, self.definition) as table, progress.bar(file.path.name, table.n_rows) as advance:
            self.stated &= {name for name, unit in table.units.items() if as_unit(unit) is not None}
            self.remarks += table.remarks
            for chunk in table:
                converted = convert(chunk, self.definition)
                n_skipped += converted.n_skipped
                last_row = max(last_row, chunk.first_row + chunk.n_rows - 1)
                try:
                    self._copy(converted, file_id)
                except (psycopg.IntegrityError, psycopg.DataError, OverflowError) as error:
                    rows = f"rows {chunk.first_row}-{last_row}"
                    raise InputError(f"{file.path}: {rows}: {str(error).splitlines()[0]}") from error
                advance(chunk.n_rows)
        if named_table(file.path)[0].stat().st_mtime_ns != file.modified_ns:
            raise InputError(f"{file.path}: changed while it was being read; load it when it is complete")
        self.base += last_row
        self.entered.append((file, file_id, n_skipped))

    def _read_counts(self, file: InputFile) -> None:
        """Of a cut take the counts of the whole catalogue, of which a version has one alone."""
        whole = cut.counts_of(file.path) if self.counter is not None else None
        if self.whole is not None or (whole is not None and (self.append or self.entered)):
            raise InputError(
                f"{file.path}: a cut of a larger catalogue is loaded alone, since its counts are those of the whole. "
                "Make one cut for all sources, and load it with --replace"
            )
        self.whole = whole

    def _copy(self, converted: Converted, file_id: int) -> None:
        n_rows = len(converted)
        if n_rows:
            block: dict[str, np.ndarray] = {
                "catalogue_id": np.full(n_rows, self.catalogue_id, np.int16),
                "object_id": self.base + converted.row_number,
                "file_id": np.full(n_rows, file_id, np.int32),
                **converted.columns,
            }
            copy.copy_in(self.conn, self.target, [block], types=self.types, freeze=not self.append)
            if self.counter is not None:
                self.counter.add(converted.columns["ra"], converted.columns["dec"])
        for rejects in (converted.rejects, converted.emptied):
            if not len(rejects):
                continue
            block = {"file_id": np.full(len(rejects), file_id, np.int32), **rejects.columns()}
            copy.copy_in(self.conn, "reject", [block])

    def prepare(self) -> int:
        """Reject duplicates and build the indexes; return the number of duplicates."""
        conn, table, target = self.conn, self.definition.table_kind, self.target
        spec = self.definition.columns.get("native_id")
        values = {"column_name": ", ".join(spec.from_) if spec is not None else None}
        if self.append:
            repeats = conn.execute(job("ingest.reject_repeats").compose(loaded=target), values)
            of_both = job("ingest.reject_known").compose(loaded=target, partition=self.partition)
            return repeats.rowcount + conn.execute(of_both, values).rowcount
        n_gone = 0
        try:
            with conn.transaction():
                partitions.prepare(conn, table, self.catalogue_id)
        except psycopg.errors.UniqueViolation:
            # looking for duplicates costs a sort, so only a load that has some pays for it
            n_gone = conn.execute(job("ingest.reject_repeats").compose(loaded=target), values).rowcount
            partitions.prepare(conn, table, self.catalogue_id)
        return n_gone

    def finish(self, n_gone: int) -> None:
        """Make the rows visible to this transaction's end, and count them in the density map."""
        self.conn.execute(job("ingest.one_at_a_time").compose())
        if self.append:
            self.conn.execute(job("ingest.append").compose(loaded=self.target, partition=self.partition))
            self.conn.execute(f"ANALYZE {self.partition}")
        else:
            partitions.adopt(self.conn, self.definition.table_kind, self.catalogue_id)
        if self.counter is not None:
            self.map_density(n_gone)

    def map_density(self, n_gone: int) -> None:
        """Add the new rows to the catalogue's density map."""
        row = self.conn.execute(job("density.exists").compose(), {"catalogue_id": self.catalogue_id}).fetchone()
        counter, is_mapped = self.counter or density_map.Counter(), bool(row and row[0])
        # the counter includes rejected rows, or lacks rows loaded before maps existed
        if self.whole is not None:
            counter = self.whole
        elif n_gone or (self.append and not is_mapped):
            counted = self.target if self.append and is_mapped else self.partition
            counter = density_map.count(self.conn, job("density.positions").compose(counted=counted))
        density_map.store(self.conn, self.catalogue_id, counter)

    def count(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Rows, rejected and skipped rows of every file, and the rejected rows of all by reason."""
        entries = []
        for file, file_id, n_skipped in self.entered:
            n_rows = _number(self.conn, "rows_of_file", {"file_id": file_id}, loaded=self.target)
            n_rejected = _number(self.conn, "count_file", {"file_id": file_id, "n_rows": n_rows})
            counts = {"n_rows": n_rows, "n_rejected": n_rejected, "n_skipped": n_skipped}
            entries.append(file.entry | counts)
        file_ids = {"file_ids": [file_id for _, file_id, _ in self.entered]}
        return entries, dicts(self.conn.execute(job("ingest.rejects_by_reason").compose(), file_ids))
