"""One query: uploads loaded, ADQL translated, one SELECT run in the reader's role, its rows written as they come."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg

from xcat.adql import Column, Table, translate
from xcat.columns.registry import ColumnMeaning
from xcat.database.connection import Connection
from xcat.database.sqlfiles import job
from xcat.errors import XcatError
from xcat.output import statement
from xcat.output.provenance import provenance
from xcat.service.tap import formats, uploads, votable
from xcat.service.tap.formats import Format
from xcat.service.tap.pool import Pool
from xcat.service.tap.tables import Tables

_BATCH_ROWS, _PIECE_BYTES = 500, 1 << 16
_FILE_BYTES = 1 << 18


@dataclass(frozen=True)
class Query:
    """What a client asks for.

    Attributes
    ----------
    adql : str
    form : Format
        Of the result.
    maxrec : int
        Rows that it may have; 0 asks for the columns only.
    uploads : sequence of Upload
    timeout_s : float
        The longest that the statement may run.
    max_mb : float
        The most that the result may have.
    """

    adql: str
    form: Format
    maxrec: int
    timeout_s: float
    max_mb: float
    uploads: Sequence[uploads.Upload] = ()


@dataclass(frozen=True)
class Select:
    """A statement whose columns are known."""

    sql: str
    columns: Sequence[Column]


class Stopped(Exception):
    """Nobody waits for the result any more."""


@dataclass
class Running:
    """A query at work; its pieces are made in one thread, and it can be cancelled from any.

    Parameters
    ----------
    readers : Pool
        Connections in the reader's role.
    tables : Tables
        What ADQL can read.
    select : callable, optional
        Gives the statement in place of the translation of ADQL.
    """

    query: Query
    readers: Pool
    tables: Tables
    select: Callable[[], Select] | None = None
    n_rows: int = 0
    is_cut: str = ""
    failure: str = ""
    _conn: Connection | None = None
    _stopped: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def cancel(self) -> None:
        """End the statement, if it runs."""
        with self._lock:
            self._stopped = True
            if self._conn is not None:
                with suppress(psycopg.Error):
                    self._conn.cancel_safe(timeout=5)

    def pieces(self) -> Generator[bytes, None, None]:
        """The bytes of the result; the first come when the first rows are there.

        Raises
        ------
        XcatError
            The query is wrong, takes too long, or its result is too large for a format that cannot say so.
        Stopped
            It was cancelled.
        """
        try:
            with self.readers.connection(self.query.timeout_s) as conn:
                self._at_work(conn)
                try:
                    yield from self._pieces(conn)
                finally:
                    self._at_work(None)
                    if self._stopped:
                        conn.close()  # the server may still be about to cancel, whatever runs then
                    elif self.query.uploads and not conn.closed:
                        conn.execute(job("tap.forget").compose())
        except (psycopg.errors.QueryCanceled, XcatError) as error:
            if self._stopped:
                raise Stopped from None
            raise _too_long(error, self.query.timeout_s) from error

    def _at_work(self, conn: Connection | None) -> None:
        with self._lock:
            self._conn = conn
            if self._stopped and conn is not None:
                raise Stopped

    def _pieces(self, conn: Connection) -> Iterator[bytes]:
        select = self._select(conn)
        with statement.answer(conn, select.sql) as answer:
            columns = formats.fields(select.columns, answer.heads)
            if self.query.form.is_a_file:
                yield from self._file(answer, columns)
                return
            batches = self._batches(answer, columns)
            first = next(batches, [])  # an error before the first row is an error of HTTP, too
            infos = [
                votable.info("QUERY_STATUS", "OK"),
                votable.info("QUERY", self.query.adql),
                *(votable.info(name, str(value)) for name, value in provenance("tap").items()),
            ]
            made = formats.written(self.query.form, columns, infos, self._guarded(first, batches), self._end)
            yield from self._together(made)

    def _select(self, conn: Connection) -> Select:
        if self.select is not None:
            return self.select()
        sent = [uploads.load(conn, upload, number) for number, upload in enumerate(self.query.uploads, 1)]
        tables: tuple[Table, ...] = (*self.tables.read(conn).adql, *sent)
        made = translate(self.query.adql, tables, maxrec=self.query.maxrec)
        return Select(made.sql, made.columns)

    def _batches(self, answer: statement.Answer, columns: Sequence[Column]) -> Iterator[list[Sequence[Any]]]:
        """Rows in lists, with the values of VOTable; one more than MAXREC means that the result is cut."""
        if self.query.maxrec == 0:
            return
        # texts that are put together may be long, up to 1 GB
        batch_rows = 1 if "||" in self.query.adql else _BATCH_ROWS
        answer.rows_at_once = min(answer.rows_at_once, batch_rows)
        changes = [(i, f) for i, f in enumerate(formats.converters(columns, answer.heads)) if f is not None]
        rows: list[Sequence[Any]] = []
        for row in answer.rows():
            if self.n_rows == self.query.maxrec:
                self.is_cut = f"the result is cut at {self.n_rows:,} rows (MAXREC)"
                break
            self.n_rows += 1
            if changes:
                cells = list(row)
                for i, change in changes:
                    if cells[i] is not None:
                        cells[i] = change(cells[i])
                rows.append(cells)
            else:
                rows.append(row)
            if len(rows) == batch_rows:
                yield rows
                if self.is_cut:
                    rows = []
                    break
                rows = []
        if rows:
            yield rows
        answer.close()

    def _guarded(self, first: list[Sequence[Any]], others: Iterator[list[Sequence[Any]]]) -> Iterator[Any]:
        """The first rows and the others; what fails then is told at the end of the VOTable, where there is one."""
        if first:
            yield first
        try:
            yield from others
        except psycopg.Error as error:
            if self._stopped or not self.query.form.serialization:
                raise
            self.failure = str(_too_long(error, self.query.timeout_s))

    def _together(self, parts: Iterator[bytes]) -> Iterator[bytes]:
        """Pieces of a good size; the result ends at the limit of bytes."""
        buffer, n_bytes, limit = bytearray(), 0, int(self.query.max_mb * 1e6)
        for part in parts:
            buffer += part
            if len(buffer) >= _PIECE_BYTES:
                n_bytes += len(buffer)
                yield bytes(buffer)
                buffer.clear()
                if n_bytes > limit and not self.is_cut:
                    self.is_cut = f"the result is cut at {self.query.max_mb:,.0f} MB"
                    if not self.query.form.serialization:
                        raise XcatError(f"{self.is_cut}: ask for fewer rows or columns, or for RESPONSEFORMAT=votable")
        yield bytes(buffer)

    def _end(self) -> list[str]:
        if self.failure:
            return [votable.info("QUERY_STATUS", "ERROR", self.failure)]
        return [votable.info("QUERY_STATUS", "OVERFLOW", self.is_cut)] if self.is_cut else []

    def _file(self, answer: statement.Answer, columns: Sequence[Column]) -> Iterator[bytes]:
        """A format whose head depends on the rows: they are kept on the disk, written to a file, and that is read."""
        from xcat.output.files import write
        from xcat.output.spooled_result import SpooledResult

        form, facts = self.query.form, provenance("tap", query=self.query.adql)
        with ExitStack() as stack:
            path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / f"result{form.ending}"
            limited = _Limited(self, answer, columns)
            spooled = stack.enter_context(SpooledResult(limited, path, self.query.max_mb, facts))
            if self.is_cut:
                facts["query_status"] = f"OVERFLOW: {self.is_cut}"
            write(spooled, path)
            with path.open("rb") as file:
                while part := file.read(_FILE_BYTES):
                    yield part


class _Limited:
    """The rows of an answer up to MAXREC, for the writers of files."""

    def __init__(self, running: Running, answer: statement.Answer, columns: Sequence[Column]) -> None:
        self._running, self._answer = running, answer
        self.heads = [
            replace(
                head,
                name=column.name,
                comment=ColumnMeaning(column.name, column.unit or "", column.ucd or "", column.description).comment,
                is_computed=False,
            )
            for head, column in zip(answer.heads, columns, strict=True)
        ]

    def rows(self) -> Iterator[tuple[Any, ...]]:
        running = self._running
        if running.query.maxrec == 0:
            return
        for row in self._answer.rows():
            if running.n_rows == running.query.maxrec:
                running.is_cut = f"the result is cut at {running.n_rows:,} rows (MAXREC)"
                return
            running.n_rows += 1
            yield row


def _too_long(error: Exception, timeout_s: float) -> Exception:
    """What a statement that the server has cancelled means for a client."""
    cause = error if isinstance(error, psycopg.Error) else error.__cause__
    if not isinstance(cause, psycopg.errors.QueryCanceled):
        return error
    return TooLong(
        f"the query took longer than {timeout_s:g} s, the limit. Ask for less, or submit it as a job (/tap/async) "
        "with a longer EXECUTIONDURATION"
    )


class TooLong(XcatError):
    """A query that the limit of time has ended."""
