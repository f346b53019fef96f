"""Binary COPY between numpy columns and PostgreSQL, without a Python loop over rows.

A row of PostgreSQL's binary format is a field count and then, for every field, a 4-byte length and the value in
network byte order; NULL is length -1 and no value. Rows with the same NULLs and the same text lengths therefore
have the same layout, which is a numpy structured dtype. So rows are grouped by layout and each group is written as
one array. The order of rows inside a block is not kept.

Reference: PostgreSQL documentation, COPY, "Binary Format".
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import psycopg
from psycopg import sql

_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + b"\0" * 8
_TRAILER = b"\xff\xff"
# type of the column -> (numpy type on the wire, OID for the elements of an array)
_WIRE: dict[str, tuple[str, int]] = {
    "smallint": (">i2", 21),
    "integer": (">i4", 23),
    "bigint": (">i8", 20),
    "real": (">f4", 700),
    "double precision": (">f8", 701),
    "boolean": ("u1", 16),
}
_SEND = {
    "smallint": "int2send",
    "integer": "int4send",
    "bigint": "int8send",
    "real": "float4send",
    "double precision": "float8send",
    "boolean": "boolsend",
}
_BLOCK_ROWS = 65_536

Block = Mapping[str, np.ndarray]


def _null_mask(values: np.ndarray) -> np.ndarray | None:
    """True where NULL: masked, NaN, or empty text; None if nothing is. Of masked text only the mask counts."""
    mask = None
    if isinstance(values, np.ma.MaskedArray) and values.mask is not np.ma.nomask:
        mask = np.asarray(values.mask)
    data = np.asarray(values)
    if data.ndim == 1:
        if data.dtype.kind == "f":
            nan = np.isnan(data)
            mask = nan if mask is None else mask | nan
        elif data.dtype.kind == "S" and not isinstance(values, np.ma.MaskedArray):
            mask = data == b""
    return mask if mask is not None and mask.any() else None


class _Field:
    """One column, ready to be laid out: its values on the wire and, if any, its NULLs and text lengths."""

    def __init__(self, name: str, type_: str, values: np.ndarray) -> None:
        self.name = name
        self.null = _null_mask(values)
        self.data = np.asarray(values)
        self.lengths: np.ndarray | None = None
        self.array_header: np.ndarray | None = None
        if type_ == "text":
            if self.data.dtype.kind != "S":
                raise TypeError(f"column {name}: text must come as bytes (dtype S), not {self.data.dtype}")
            self.wire = "S"
            self.lengths = np.strings.str_len(self.data)
        elif type_.endswith("[]"):
            if self.data.ndim != 2:
                raise TypeError(f"column {name}: an array column needs a two-dimensional array")
            element, oid = _WIRE[type_.removesuffix("[]")]
            # dimensions, has-null flag, element type, size, lower bound; then (length, value) pairs
            header = np.array([1, 0, oid, self.data.shape[1], 1], dtype=">i4")
            self.array_header = header
            self.wire = element
        else:
            self.wire = _WIRE[type_][0]
            if self.data.dtype.kind not in "iufb":
                raise TypeError(f"column {name}: cannot write {self.data.dtype} as {type_}")

    def dtype(self, text_length: int) -> tuple[Any, ...]:
        if self.wire == "S":
            return (f"S{text_length}",)
        if self.array_header is not None:
            pair = np.dtype([("n", ">i4"), ("v", self.wire)])
            return (np.dtype([("h", ">i4", (5,)), ("e", pair, (self.data.shape[1],))]),)
        return (self.wire,)


def encode(block: Block, types: Mapping[str, str]) -> Iterator[bytes]:
    """Write one block of columns as rows of binary COPY, without header and trailer.

    Parameters
    ----------
    block : mapping of str to ndarray
        Columns of equal length. Floats: NaN is NULL. Integers: masked is NULL. Text: bytes (dtype ``S``), empty is
        NULL; in a masked array only what is masked. Two-dimensional arrays become PostgreSQL arrays and may not hold
        NULLs.
    types : mapping of str to str
        PostgreSQL type of each column, in the order of the row.

    Yields
    ------
    bytes
        Whole rows.

    Raises
    ------
    TypeError
        A column's dtype does not fit its type.
    OverflowError
        A number is too large for its column.
    """
    fields = [_Field(name, type_, block[name]) for name, type_ in types.items()]
    n_rows = len(fields[0].data)
    if any(len(f.data) != n_rows for f in fields):
        raise ValueError("columns of different length")
    if n_rows == 0:
        return
    layout = np.zeros(n_rows, dtype=np.int64)
    for field in fields:
        # numbers that stand for the layouts seen so far; kept small by renumbering
        if field.null is not None:
            layout = layout * 2 + field.null
        if field.lengths is not None:
            layout = layout * (int(field.lengths.max()) + 1) + field.lengths
        if (field.null is not None or field.lengths is not None) and layout.max() > 2**40:
            layout = np.unique(layout, return_inverse=True)[1]
    if layout.min() == layout.max():
        yield _encode_group(fields, slice(None), 0)
        return
    order = np.argsort(layout, kind="stable")
    starts = np.flatnonzero(np.diff(layout[order], prepend=layout[order[0]] - 1))
    for start, stop in zip(starts, [*starts[1:], n_rows], strict=True):
        yield _encode_group(fields, order[start:stop], 0)


def _encode_group(fields: Sequence[_Field], rows: slice | np.ndarray, first: int) -> bytes:
    """Write rows that share one layout."""
    spec: list[tuple[Any, ...]] = [("count", ">i2")]
    lengths: list[int] = []
    for i, field in enumerate(fields):
        spec.append((f"n{i}", ">i4"))
        is_null = field.null is not None and bool(field.null[rows][first])
        text_length = int(field.lengths[rows][first]) if field.lengths is not None else 0
        if is_null:
            lengths.append(-1)
            continue
        (dtype,) = field.dtype(text_length)
        lengths.append(np.dtype(dtype).itemsize)
        if lengths[-1]:
            spec.append((f"v{i}", dtype))
    size = len(fields[0].data[rows])
    out = np.empty(size, dtype=np.dtype(spec))
    out["count"] = len(fields)
    names = out.dtype.names or ()
    for i, field in enumerate(fields):
        out[f"n{i}"] = lengths[i]
        if f"v{i}" not in names:
            continue
        if field.array_header is not None:
            target = out[f"v{i}"]
            target["h"] = field.array_header
            target["e"]["n"] = np.dtype(field.wire).itemsize
            target["e"]["v"] = field.data[rows]
        else:
            try:
                with np.errstate(over="raise"):  # a real would silently become infinite
                    out[f"v{i}"] = field.data[rows]
            except FloatingPointError:
                raise OverflowError(f"column {field.name}: a number is too large for its type") from None
    return out.tobytes()


def column_types(conn: psycopg.Connection[Any], table: str) -> dict[str, str]:
    """Types of a table's columns, by name, as this module names them.

    Parameters
    ----------
    conn : psycopg.Connection
    table : str
        Name, schema-qualified if it is not on the search path.
    """
    rows = conn.execute(
        "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute"
        " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        [table],
    )
    return dict(rows.fetchall())


def _blocks(columns: Block, size: int = _BLOCK_ROWS) -> Iterator[Block]:
    n_rows = len(next(iter(columns.values())))
    for start in range(0, n_rows, size):
        yield {name: values[start : start + size] for name, values in columns.items()}


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
    conn : psycopg.Connection
    table : str
        Name of the table, with its schema if it is not on the search path.
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
    known = types or column_types(conn, table)
    iterator = iter(blocks)
    first = next(iterator, None)
    if first is None:
        return 0
    used = {name: known[name] for name in first}
    options = sql.SQL("FORMAT BINARY, FREEZE") if freeze else sql.SQL("FORMAT BINARY")
    statement = sql.SQL("COPY {} ({}) FROM STDIN ({})").format(
        sql.Identifier(*table.split(".")), sql.SQL(", ").join(map(sql.Identifier, used)), options
    )
    n_rows = 0
    with conn.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(_SIGNATURE)
        block: Block | None = first
        while block is not None:
            n_rows += len(next(iter(block.values())))
            for part in _blocks(block):
                for rows in encode(part, used):
                    copy.write(rows)
            block = next(iterator, None)
        copy.write(_TRAILER)
    return n_rows


def copy_out(
    conn: psycopg.Connection[Any],
    query: sql.Composable | str,
    dtype: Sequence[tuple[str, str]],
    params: Mapping[str, Any] | None = None,
    *,
    chunk_rows: int = _BLOCK_ROWS,
) -> Generator[np.ndarray, None, None]:
    """Read a query as structured arrays through binary COPY.

    The query must give fixed-width columns without NULL (``coalesce(x, 'NaN')``): then every row has the same
    length, and a buffer of rows is an array.

    Parameters
    ----------
    conn : psycopg.Connection
    query : Composable or str
        A SELECT.
    dtype : sequence of (name, type)
        Names and PostgreSQL types of its columns.
    params : mapping, optional
        Parameters of the query.
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
        + [item for i, (name, t) in enumerate(dtype) for item in ((f"n{i}", ">i4"), (name, _WIRE[t][0]))]
    )
    native = np.dtype([(name, np.dtype(_WIRE[t][0]).newbyteorder("=")) for name, t in dtype])
    body = query if isinstance(query, sql.Composable) else sql.SQL(query)
    statement = sql.SQL("COPY ({}) TO STDOUT (FORMAT BINARY)").format(body)

    def unpack(buffer: bytes | bytearray, n_rows: int) -> np.ndarray:
        rows = np.frombuffer(buffer, dtype=wire, count=n_rows)
        good = rows["count"] == len(dtype)
        for i, (name, _) in enumerate(dtype):
            good &= rows[f"n{i}"] == wire[name].itemsize
        if not good.all():
            raise ValueError("a row of the query has NULLs or other types than expected")
        out = np.empty(n_rows, dtype=native)
        for name, _ in dtype:
            out[name] = rows[name]
        return out

    with conn.cursor() as cursor, cursor.copy(statement, params) as copy:
        buffer = bytearray()
        seen_header = False
        size = wire.itemsize * chunk_rows
        for data in copy:
            buffer += data
            if not seen_header and len(buffer) >= 19:
                del buffer[: 19 + int.from_bytes(buffer[15:19], "big")]
                seen_header = True
            while len(buffer) >= size:
                yield unpack(bytes(buffer[:size]), chunk_rows)
                del buffer[:size]
        if buffer[-2:] != _TRAILER:
            raise ValueError("a row of the query has NULLs or other types than expected")
        n_rows, rest = divmod(len(buffer) - 2, wire.itemsize)
        if rest:
            raise ValueError("a row of the query has NULLs or other types than expected")
        if n_rows:
            yield unpack(bytes(buffer[:-2]), n_rows)


def fetch_columns(
    conn: psycopg.Connection[Any],
    query: sql.Composable | str,
    dtype: Sequence[tuple[str, str]],
    params: Mapping[str, Any] | None = None,
) -> np.ndarray:
    """Read a whole query as one structured array.

    Every column comes as one string of its binary values: the server sends a message a row, and a million small
    messages cost more than the values. A column may have 1 GB.

    Parameters
    ----------
    conn : psycopg.Connection
    query : Composable or str
        A SELECT, or an INSERT that returns, without NULL (``coalesce(x, 'NaN')``).
    dtype : sequence of (name, type)
        Names and PostgreSQL types of its columns, which are cast to them.
    params : mapping, optional
        Parameters of the query.

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
        sql.SQL("string_agg({}({}::{}), '')").format(sql.SQL(_SEND[t]), name, sql.SQL(t))
        for name, (_, t) in zip(names, dtype, strict=True)
    ]
    body = query if isinstance(query, sql.Composable) else sql.SQL(query)
    statement = sql.SQL("WITH q ({}) AS ({}) SELECT count(*), {} FROM q").format(
        sql.SQL(", ").join(names), body, sql.SQL(", ").join(packed)
    )
    with conn.cursor(binary=True) as cursor:
        row = cursor.execute(statement, params).fetchone()
    assert row is not None
    out = np.empty(row[0], dtype=[(name, np.dtype(_WIRE[t][0]).newbyteorder("=")) for name, t in dtype])
    for (name, type_), values in zip(dtype, row[1:], strict=True):
        column = np.frombuffer(values or b"", dtype=_WIRE[type_][0])
        if len(column) != len(out):
            raise ValueError(f"column {name} of the query has NULLs")
        out[name] = column
    return out
