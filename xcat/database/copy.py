"""Binary COPY between numpy columns and PostgreSQL, without a Python loop over rows.

Columns go in as Arrow arrays, which pgpq writes as rows of PostgreSQL's binary format, in their order. Its cost depends
on the number of rows and columns, not on where the NULLs are (benchmarks/README.md has the figures). `copy_out` reads
rows of fixed width as structured arrays, `fetch_columns` whole columns.

References: PostgreSQL documentation, COPY, "Binary Format"; pgpq, https://github.com/adriangb/pgpq
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import psycopg
from psycopg import sql

if TYPE_CHECKING:
    import pyarrow as pa

_HEADER_BYTES, _TRAILER = 19, b"\xff\xff"  # of a stream; the header ends with the length of an extension
# type of the column -> (numpy type, PostgreSQL's number of the type, its function that gives the bytes of a value)
_NUMBERS: dict[str, tuple[str, int, str]] = {
    "smallint": ("i2", 21, "int2send"),
    "integer": ("i4", 23, "int4send"),
    "bigint": ("i8", 20, "int8send"),
    "real": ("f4", 700, "float4send"),
    "double precision": ("f8", 701, "float8send"),
    "boolean": ("u1", 16, "boolsend"),
}
_PIECE_ROWS = 4096  # encoded at a time: what fits into the processor's cache takes half the time
_CHUNK_ROWS = 65_536  # read at a time
_THREADS = 2  # more wait for each other

Block = Mapping[str, np.ndarray]
_Item = TypeVar("_Item")
_Made = TypeVar("_Made")


def _wire(type_: str) -> np.dtype[Any]:
    """The numpy type of a value in network byte order."""
    return np.dtype(_NUMBERS[type_][0]).newbyteorder(">")


def _null_mask(values: np.ndarray) -> np.ndarray | None:
    """True where NULL: masked, NaN, or empty text; None if no value is. In masked text only the mask counts."""
    data = np.asarray(values)
    if data.dtype.kind == "S" and not isinstance(values, np.ma.MaskedArray):
        mask: np.ndarray = data == b""
    elif data.dtype.kind == "f":
        mask = np.isnan(data) | np.ma.getmask(values)
    else:
        mask = np.asarray(np.ma.getmask(values))
    return mask if mask.any() else None


def _narrowed(name: str, type_: str, values: np.ndarray, null: np.ndarray | None) -> np.ndarray:
    """Numbers in the type of their column; what is NULL may be anything."""
    target = np.dtype(bool if type_ == "boolean" else _NUMBERS[type_][0])
    data = np.asarray(values)
    if data.dtype.kind not in "iufb":
        raise TypeError(f"column {name}: cannot write {data.dtype} as {type_}")
    if np.can_cast(data.dtype, target):
        return data.astype(target, copy=False)
    data = data if null is None else np.where(null, 0, data)
    too_large = OverflowError(f"column {name}: a number is too large for {type_}")
    if target.kind == "i" and data.size:
        limits = np.iinfo(target)
        if data.min() < limits.min or data.max() > limits.max:
            raise too_large
    try:
        # a real would become infinite without an error
        with np.errstate(over="raise", invalid="raise" if target.kind == "i" else "ignore"):
            return data.astype(target)
    except FloatingPointError:
        raise too_large from None


def _array_values(type_: str, elements: np.ndarray) -> np.ndarray:
    """PostgreSQL's arrays of the rows of a two-dimensional array, byte by byte: faster than lists of Arrow."""
    n_elements = elements.shape[1]
    element = np.dtype([("n_bytes", ">i4"), ("value", _wire(type_))])
    rows = np.empty(len(elements), dtype=[("header", ">i4", (5,)), ("elements", element, (n_elements,))])
    # dimensions, whether there are NULLs, type and number of the elements, number of the first
    rows["header"] = (1, 0, _NUMBERS[type_][1], n_elements, 1)
    rows["elements"]["n_bytes"] = _wire(type_).itemsize
    rows["elements"]["value"] = elements
    return rows


def _arrow(name: str, type_: str, values: np.ndarray) -> pa.Array:
    """One column as Arrow knows it."""
    import pyarrow as pa  # when rows are written, not whenever xcat starts

    null = _null_mask(values)
    if type_ == "text":
        data = np.asarray(values)
        if data.dtype.kind != "S":
            raise TypeError(f"column {name}: text must come as bytes (dtype S), not {data.dtype}")
        text = pa.array(data, type=pa.binary(), mask=null)
        n_bytes = np.strings.str_len(data).sum(where=True if null is None else ~null)
        if text.total_values_length != n_bytes:  # Arrow has cut a text at a zero byte
            raise psycopg.DataError(f"column {name}: a text holds a zero byte (0x00), which PostgreSQL cannot store")
        return text
    if type_.endswith("[]"):
        if values.ndim != 2:
            raise TypeError(f"column {name}: an array column needs a two-dimensional array")
        rows = _array_values(type_.removesuffix("[]"), _narrowed(name, type_.removesuffix("[]"), values, None))
        offsets = np.arange(len(rows) + 1, dtype=np.int64) * rows.itemsize
        return pa.Array.from_buffers(pa.large_binary(), len(rows), [None, pa.py_buffer(offsets), pa.py_buffer(rows)])
    return pa.array(_narrowed(name, type_, values, null), mask=null)


def encode(blocks: Iterable[Block], types: Mapping[str, str]) -> Iterator[bytes]:
    """Write blocks of columns as a stream of binary COPY, the rows in their order.

    Parameters
    ----------
    blocks : iterable of mappings of str to ndarray
        Columns of equal length. Floats: NaN is NULL. Integers: masked is NULL. Text: bytes (dtype ``S``), empty is
        NULL; in a masked array only what is masked. Two-dimensional arrays become PostgreSQL arrays and may not hold
        NULLs.
    types : mapping of str to str
        PostgreSQL type of each column, in the order of the row.

    Yields
    ------
    bytes
        Pieces of the stream, the header first.

    Raises
    ------
    TypeError
        A column's dtype does not fit its type.
    OverflowError
        A number is too large for its column.
    ValueError
        Columns of different length.
    psycopg.DataError
        A text holds a zero byte.
    """
    import pgpq
    import pyarrow as pa

    encoder = None
    for block in chain.from_iterable(map(_pieces, blocks)):
        batch = pa.record_batch({name: _arrow(name, type_, block[name]) for name, type_ in types.items()})
        if encoder is None:
            encoder = pgpq.ArrowToPostgresBinaryEncoder(batch.schema)
            yield encoder.write_header()
        yield encoder.write_batch(batch)
    if encoder is not None:
        yield encoder.finish()


def _pieces(columns: Block) -> Iterator[Block]:
    """A block in pieces of at most `_PIECE_ROWS` rows."""
    n_rows = max(map(len, columns.values()))
    for start in range(0, max(n_rows, 1), _PIECE_ROWS):
        yield {name: values[start : start + _PIECE_ROWS] for name, values in columns.items()}


def column_types(conn: psycopg.Connection[Any], table: str) -> dict[str, str]:
    """Types of a table's columns, by name, as this module names them."""
    rows = conn.execute(
        "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute"
        " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        [table],
    )
    return dict(rows.fetchall())


def copy_in(
    conn: psycopg.Connection[Any],
    table: str,
    blocks: Iterable[Block],
    *,
    types: Mapping[str, str] | None = None,
    freeze: bool = False,
) -> int:
    """COPY blocks of columns into a table.

    Parameters
    ----------
    table : str
        With its schema if it is not on the search path.
    blocks : iterable of mappings
        See `encode`; every block has the same columns, those of the first.
    types : mapping of str to str, optional
        Types of the table's columns, if known; else they are looked up.
    freeze : bool
        Write the rows frozen; only for a table made in this transaction.

    Returns
    -------
    int
        Rows written.
    """
    iterator = iter(blocks)
    first = next(iterator, None)
    if first is None:
        return 0
    all_types = types or column_types(conn, table)
    used = {name: all_types[name] for name in first}
    options = sql.SQL("FORMAT BINARY, FREEZE") if freeze else sql.SQL("FORMAT BINARY")
    statement = sql.SQL("COPY {} ({}) FROM STDIN ({})").format(
        sql.Identifier(*table.split(".")), sql.SQL(", ").join(map(sql.Identifier, used)), options
    )
    with conn.cursor() as cursor:
        with cursor.copy(statement) as copy:
            for data in encode(chain([first], iterator), used):
                copy.write(data)
        return cursor.rowcount


def copy_out(
    conn: psycopg.Connection[Any],
    query: sql.Composable | str,
    dtype: Sequence[tuple[str, str]],
    params: Mapping[str, Any] | None = None,
    *,
    chunk_rows: int = _CHUNK_ROWS,
) -> Generator[np.ndarray, None, None]:
    """Read a query as structured arrays through binary COPY.

    The query must give fixed-width columns without NULL (``coalesce(x, 'NaN')``): then every row has the same
    length, and a buffer of rows is an array.

    Parameters
    ----------
    dtype : sequence of (name, type)
        Names and PostgreSQL types of the query's columns.
    chunk_rows : int
        Rows of each array.

    Yields
    ------
    ndarray, structured, shape (<= chunk_rows,)
        Native byte order.

    Raises
    ------
    ValueError
        A row has NULLs or other types than `dtype` says.
    """
    wire = np.dtype(
        [("count", ">i2")]
        + [item for i, (name, t) in enumerate(dtype) for item in ((f"n{i}", ">i4"), (name, _wire(t)))]
    )
    native = np.dtype([(name, _NUMBERS[t][0]) for name, t in dtype])
    body = query if isinstance(query, sql.Composable) else sql.SQL(query)
    statement = sql.SQL("COPY ({}) TO STDOUT (FORMAT BINARY)").format(body)
    unreadable = ValueError("a row of the query has NULLs or other types than expected")

    def unpack(buffer: bytearray) -> np.ndarray:
        rows = np.frombuffer(bytes(buffer), dtype=wire)
        good = rows["count"] == len(dtype)
        for i, (name, _) in enumerate(dtype):
            good &= rows[f"n{i}"] == wire[name].itemsize
        if not good.all():
            raise unreadable
        out = np.empty(len(rows), dtype=native)
        for name, _ in dtype:
            out[name] = rows[name]
        return out

    with conn.cursor() as cursor, cursor.copy(statement, params) as copy:
        buffer = bytearray()
        seen_header = False
        size = wire.itemsize * chunk_rows
        for data in _messages(copy, conn.pgconn):
            buffer += data
            if not seen_header and len(buffer) >= _HEADER_BYTES:
                del buffer[: _HEADER_BYTES + int.from_bytes(buffer[_HEADER_BYTES - 4 : _HEADER_BYTES], "big")]
                seen_header = True
            while len(buffer) >= size:
                yield unpack(buffer[:size])
                del buffer[:size]
        rest = buffer.removesuffix(_TRAILER)
        if len(rest) == len(buffer) or len(rest) % wire.itemsize:
            raise unreadable
        if rest:
            yield unpack(rest)


def _messages(copy: psycopg.Copy, pgconn: psycopg.pq.abc.PGconn) -> Iterator[bytes]:
    """What a COPY sends, rows together that are here already. They are taken at once; psycopg waits for the rest.

    Waiting as psycopg does for every single row takes several times as long as the row.
    """
    take = pgconn.get_copy_data
    for data in copy:
        rows = [data]
        size, data = take(1)
        while size > 0:
            rows.append(data)
            size, data = take(1)
        if size >= 0:
            yield b"".join(rows)
            continue
        # the end, of which psycopg is not asked again; also for who takes no more than this
        result = pgconn.get_result()
        while pgconn.get_result() is not None:
            pass
        if result is None or result.status != psycopg.pq.ExecStatus.COMMAND_OK:
            raise psycopg.errors.error_from_result(result) if result else psycopg.OperationalError("COPY ended")
        yield b"".join(rows)
        return


@contextmanager
def ahead(items: Generator[_Item, None, None], *sessions: psycopg.Connection[Any]) -> Iterator[Iterator[_Item]]:
    """Items of a generator: a thread makes the next one while the last is at work.

    The generator is closed at the end. If what is done with the items fails, or is interrupted, the statements of the
    `sessions` that it reads from are cancelled: else one would wait for a thread that waits for the server.
    """
    with closing(items), ThreadPoolExecutor(1, "xcat-ahead") as pool:

        def each() -> Iterator[_Item]:
            coming = pool.submit(next, items, None)
            while (item := coming.result()) is not None:
                coming = pool.submit(next, items, None)
                yield item

        try:
            yield each()
        except BaseException:
            for session in sessions:
                with suppress(psycopg.Error):
                    session.cancel_safe()
            raise


def each_in_threads(work: Callable[[_Item], _Made], items: Iterable[_Item]) -> Iterator[_Made]:
    """What is made of the items, in their order; two at the same time, as NumPy lets go of Python's lock."""
    with ThreadPoolExecutor(_THREADS, "xcat-each") as pool:
        waiting: deque[Future[_Made]] = deque()
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) == _THREADS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def fetch_columns(
    conn: psycopg.Connection[Any],
    query: sql.Composable | str,
    dtype: Sequence[tuple[str, str]],
    params: Mapping[str, Any] | None = None,
) -> np.ndarray:
    """Read a whole query as one structured array.

    Every column comes as one string of its binary values: the server sends one message per row, and a million small
    messages cost more than the values. A column may have 1 GB.

    Parameters
    ----------
    query : Composable or str
        A SELECT, or an INSERT that returns, without NULL (``coalesce(x, 'NaN')``).
    dtype : sequence of (name, type)
        Names and PostgreSQL types of its columns, which are cast to them.

    Returns
    -------
    ndarray, structured, shape (n_rows,)
        Native byte order.

    Raises
    ------
    ValueError
        A row has NULLs, or there are more or fewer columns than `dtype` says.
    """
    names = [sql.Identifier(f"c{i}") for i in range(len(dtype))]
    packed = [
        sql.SQL("string_agg({}({}::{}), '')").format(sql.SQL(_NUMBERS[t][2]), name, sql.SQL(t))
        for name, (_, t) in zip(names, dtype, strict=True)
    ]
    body = query if isinstance(query, sql.Composable) else sql.SQL(query)
    statement = sql.SQL("WITH q ({}) AS ({}) SELECT count(*), {} FROM q").format(
        sql.SQL(", ").join(names), body, sql.SQL(", ").join(packed)
    )
    with conn.cursor(binary=True) as cursor:
        row = cursor.execute(statement, params).fetchone()
    assert row is not None
    out = np.empty(row[0], dtype=[(name, _NUMBERS[t][0]) for name, t in dtype])
    for (name, type_), values in zip(dtype, row[1:], strict=True):
        column = np.frombuffer(values or b"", dtype=_wire(type_))
        if len(column) != len(out):
            raise ValueError(f"column {name} of the query has NULLs")
        out[name] = column
    return out
