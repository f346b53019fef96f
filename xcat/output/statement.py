"""One statement of a user: run so that it can only read, its rows given as they come.

The server gets the statement by the extended protocol, which takes one statement and no more. It is described before it
runs: what has no columns (COMMIT, SET, COPY, DO) is refused. Its transaction only reads, which it cannot change once it
runs, and is rolled back. The server counts its time, by a limit that is set before. Which rights it has is a matter of
the connection: see `xcat.database.connection.reader`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg

from xcat.database.address import READER, masked
from xcat.database.connection import Connection
from xcat.database.sqlfiles import job
from xcat.errors import DatabaseError, XcatError

_ROWS_AT_ONCE = 200  # more would hold many long texts at once
Row = tuple[Any, ...]


@dataclass(frozen=True)
class Head:
    """A column of a result: name, number of its type, and the comment of the table's column that it is, if it is one.

    Attributes
    ----------
    is_computed : bool
        It is not a column of a table.
    """

    name: str
    type_code: int
    comment: str | None
    is_computed: bool


@dataclass
class Answer:
    """What a statement gives.

    Attributes
    ----------
    heads : list of Head
        Its columns, known before it runs.
    rows_at_once : int
        Rows that are in memory together.
    """

    heads: list[Head]
    _conn: Connection
    _text: str
    rows_at_once: int = _ROWS_AT_ONCE
    _rows: Generator[Row, None, None] | None = None

    def rows(self) -> Iterator[Row]:
        """Run the statement and give its rows, of which only a few are in memory; once."""
        self._rows = self._run()
        return self._rows

    def _run(self) -> Generator[Row, None, None]:
        at_once = self.rows_at_once if psycopg.capabilities.has_stream_chunked() else 1
        with self._conn.cursor() as cursor:
            yield from cursor.stream(self._text, size=at_once)

    def close(self) -> None:
        """End the statement, if it still runs."""
        if self._rows is not None:
            self._rows.close()


@contextmanager
def answer(conn: Connection, text: str, params: Mapping[str, Any] | Sequence[Any] | None = None) -> Iterator[Answer]:
    """Describe a statement, to be run within the ``with`` block.

    Parameters
    ----------
    conn : Connection
        Its statement timeout applies.
    text : str
        One statement that gives rows.
    params : mapping or sequence, optional
        Values for ``%(name)s`` or ``%s``.

    Raises
    ------
    XcatError
        It is not one statement that gives rows, or the server refused it; the message says why.
    """
    try:
        if params is not None:
            text = psycopg.ClientCursor(conn).mogrify(text, params)
        if "\0" in text:
            raise XcatError("the query has a character NUL (0x00), which SQL does not have")
        with conn.transaction(
            force_rollback=True
        ):  # PostgreSQL 15 lets a transaction that only reads make large objects
            conn.execute("SET TRANSACTION READ ONLY")
            with closing(Answer(_describe(conn, text), conn, text)) as given:
                yield given
    except psycopg.errors.QueryCanceled as error:
        raise XcatError(
            f"the query was cancelled: {_words(error)}. Ask for less, or raise XCAT_STATEMENT_TIMEOUT_S."
        ) from error
    except psycopg.errors.ReadOnlySqlTransaction as error:
        raise XcatError("a query may not change anything. Use: xcat db shell") from error
    except psycopg.errors.InsufficientPrivilege as error:
        hint = f"A query runs as {READER}, which reads the schema pub. For all else: xcat db shell"
        raise XcatError(f"the server refused the query: {_words(error)}. {hint}") from error
    except psycopg.DataError as error:
        if error.sqlstate is None:  # not of the server: a time that Python has not, such as 'infinity'
            raise XcatError(f"a value of the result cannot be read: {error}. Take it as text: column::text") from error
        raise XcatError(f"the server refused the query: {_words(error)}") from error
    except psycopg.OperationalError as error:
        if error.sqlstate is not None and not conn.closed:  # of this statement: no space, no memory, too complex
            raise XcatError(f"the server refused the query: {_words(error)}") from error
        raise DatabaseError(f"the connection to the database was lost: {_words(error)}") from error
    except psycopg.Error as error:
        raise XcatError(f"the server refused the query: {_words(error)}") from error
    except UnicodeEncodeError as error:
        raise XcatError(f"the query is not valid text: {error}") from None


def _words(error: psycopg.Error) -> str:
    return masked(str(error).strip())


def _describe(conn: Connection, text: str) -> list[Head]:
    """Columns of a statement, by the server's own word; the statement is not run."""
    prepared = conn.pgconn.prepare(b"", text.encode())
    if prepared.status != psycopg.pq.ExecStatus.COMMAND_OK:
        error = psycopg.errors.error_from_result(prepared, encoding="utf-8")
        if "multiple commands" in str(error):
            raise XcatError("a query is one statement: this text has several, separated by semicolons")
        raise error
    described = conn.pgconn.describe_prepared(b"")
    if described.status != psycopg.pq.ExecStatus.COMMAND_OK:
        raise psycopg.errors.error_from_result(described, encoding="utf-8")
    if not described.nfields:
        raise XcatError("the query has no result: it must be a SELECT, and may not change anything. Use: xcat db shell")
    columns = range(described.nfields)
    origins = [(described.ftable(i), described.ftablecol(i)) for i in columns]
    comments = _comments(conn, origins)
    names = [(described.fname(i) or b"").decode() for i in columns]
    return [Head(names[i], described.ftype(i), comments.get(origins[i]), not origins[i][0]) for i in columns]


def _comments(conn: Connection, origins: list[tuple[int, int]]) -> dict[tuple[int, int], str]:
    wanted = sorted({o for o in origins if o[0]})
    if not wanted:
        return {}
    tables, numbers = zip(*wanted, strict=True)
    comments = conn.execute(job("report.origins").compose(), {"tables": list(tables), "columns": list(numbers)})
    return {(oid, number): text for oid, number, text in comments}
