"""Binary COPY in and out gives back what went in."""

import signal
import threading
import time

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from xcat.database import copy


def _table(conn):
    conn.execute(
        "CREATE TEMP TABLE IF NOT EXISTS t (a smallint, b integer, c bigint, x real, y double precision, f boolean,"
        " s text, v real[], w smallint[])"
    )
    conn.execute("TRUNCATE t")


def test_every_type_and_null_comes_back(conn):
    _table(conn)
    block = {
        "a": np.ma.array([1, 2, 3], mask=[0, 1, 0], dtype=np.int16),
        "b": np.array([-1, 0, 2**31 - 1], dtype=np.int32),
        "c": np.array([1, 2, 2**62]),
        "x": np.array([1.5, np.nan, 1e-15], dtype=np.float32),
        "y": np.array([np.nan, 2.25, -3.0], dtype=">f8"),
        "f": np.array([True, False, True]),
        "s": np.array(["Ünï".encode(), b"", b"abcdef"]),
        "v": np.arange(6, dtype=np.float32).reshape(3, 2),
        "w": np.arange(3, dtype=np.int16).reshape(3, 1),
    }
    assert copy.copy_in(conn, "t", [block]) == 3
    rows = conn.execute("SELECT * FROM t ORDER BY c").fetchall()
    assert rows[0] == (1, -1, 1, 1.5, None, True, "Ünï", [0.0, 1.0], [0])
    assert rows[1] == (None, 0, 2, None, 2.25, False, None, [2.0, 3.0], [1])
    assert rows[2][:3] == (3, 2**31 - 1, 2**62)
    assert rows[2][3] == pytest.approx(1e-15)
    assert rows[2][6] == "abcdef"


def test_empty_text_is_null_unless_a_mask_says_what_is(conn):
    _table(conn)
    texts = np.array([b"", b"a", b"b"])
    for first, values in (
        (0, texts),
        (3, np.ma.MaskedArray(texts)),
        (6, np.ma.MaskedArray(texts, [False, True, False])),
    ):
        copy.copy_in(conn, "t", [{"c": np.arange(first, first + 3), "s": values}])
    found = [s for (s,) in conn.execute("SELECT s FROM t ORDER BY c").fetchall()]
    assert found == [None, "a", "b", "", "a", "b", "", None, "b"]


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(
    data=st.integers(0, 300).flatmap(
        lambda n: st.tuples(
            hnp.arrays(np.float64, n, elements=st.floats(allow_nan=True)),
            hnp.arrays("S12", n, elements=st.binary(max_size=12).map(lambda b: b.hex()[:12].encode())),
            hnp.arrays(np.bool_, n),
        )
    )
)
def test_any_rows_come_back(conn, data):
    floats, texts, mask = data
    _table(conn)
    n = len(floats)
    block = {"c": np.arange(n), "y": floats, "s": texts, "b": np.ma.array(np.arange(n, dtype=np.int32), mask=mask)}
    copy.copy_in(conn, "t", [block])
    rows = conn.execute("SELECT c, y, s, b FROM t ORDER BY c").fetchall()
    expected = [
        (i, None if np.isnan(y) else y, s.decode() or None, None if m else i)
        for i, (y, s, m) in enumerate(zip(floats.tolist(), texts.tolist(), mask, strict=True))
    ]
    assert rows == expected


def test_rows_keep_their_order(conn):
    """Whatever is NULL: the order on disk is the order on the sky that the blocks come in."""
    _table(conn)
    rng = np.random.default_rng(1)
    n = 1000
    blocks = [
        {
            "c": np.arange(start, start + n),
            "x": np.where(rng.random(n) < 0.3, np.nan, rng.random(n)),
            "s": np.array([b"x" * k for k in range(5)])[rng.integers(0, 5, n)],
        }
        for start in (0, n)
    ]
    copy.copy_in(conn, "t", blocks)
    rows = conn.execute("SELECT c FROM t ORDER BY ctid").fetchall()
    assert [c for (c,) in rows] == list(range(2 * n))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("x", 1e39), ("x", -1e300), ("x", 10**40 * 1.0), ("a", 2**15), ("a", -(2**15) - 1), ("b", 2**31),
        ("c", np.uint64(2**63)), ("b", 3e9), ("b", np.inf),
    ],
)  # fmt: skip
def test_a_number_too_large_for_its_column_is_refused(conn, column, value):
    _table(conn)
    with pytest.raises(OverflowError, match=f"column {column}: a number is too large"):
        copy.copy_in(conn, "t", [{column: np.array([1, value])}])


def test_what_is_masked_may_be_too_large(conn):
    _table(conn)
    block = {
        "a": np.ma.array([1, 10**9], mask=[False, True]),
        "x": np.ma.array([1.5, 1e300], mask=[False, True]),
        "b": np.array([7.0, np.nan]),
    }
    copy.copy_in(conn, "t", [block])
    assert conn.execute("SELECT a, x, b FROM t").fetchall() == [(1, 1.5, 7), (None, None, None)]


def test_a_zero_byte_is_refused_not_cut(conn):
    _table(conn)
    with pytest.raises(psycopg.DataError, match="column s: a text holds a zero byte"):
        copy.copy_in(conn, "t", [{"s": np.array([b"ab\0c", b"d"])}])


def test_copy_out_gives_arrays_in_pieces(conn):
    query = "SELECT g::bigint AS g, (g / 2.0)::real AS h FROM generate_series(1, %(n)s) AS g ORDER BY g"
    chunks = list(copy.copy_out(conn, query, [("g", "bigint"), ("h", "real")], {"n": 1000}, chunk_rows=300))
    assert [len(c) for c in chunks] == [300, 300, 300, 100]
    rows = np.concatenate(chunks)
    np.testing.assert_array_equal(rows["g"], np.arange(1, 1001))
    np.testing.assert_allclose(rows["h"], np.arange(1, 1001) / 2)


@pytest.mark.parametrize("n_rows", [0, 1, 2])
def test_few_rows_or_none(conn, n_rows):
    query = "SELECT -1::smallint AS g FROM generate_series(1, %(n)s)"
    chunks = list(copy.copy_out(conn, query, [("g", "smallint")], {"n": n_rows}))
    assert [len(chunk) for chunk in chunks] == [n_rows] * (n_rows > 0)
    assert conn.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("query", ["SELECT NULL::bigint AS g", "SELECT 1::integer AS g"])
def test_copy_out_refuses_nulls_and_other_types(conn, query):
    with pytest.raises(ValueError, match="NULLs or other types"):
        list(copy.copy_out(conn, query, [("g", "bigint")]))


def test_a_dtype_that_does_not_fit_is_refused(conn):
    _table(conn)
    conn.commit()
    with pytest.raises(TypeError, match="column s: text"):
        copy.copy_in(conn, "t", [{"s": np.array(["no bytes"])}])
    conn.rollback()
    with pytest.raises(TypeError, match="column v"):
        copy.copy_in(conn, "t", [{"v": np.zeros(3)}])


def test_a_failed_copy_leaves_nothing(conn):
    _table(conn)
    conn.commit()
    conn.execute("ALTER TABLE t ADD CHECK (c < 2)")
    conn.commit()
    with pytest.raises(psycopg.errors.CheckViolation):
        copy.copy_in(conn, "t", [{"c": np.arange(5)}])
    conn.rollback()
    assert conn.execute("SELECT count(*) FROM t").fetchone() == (0,)


@pytest.mark.parametrize("wrong", [1, 2, 500, 29_999])
def test_an_error_between_the_rows_is_the_error_of_the_server(conn, wrong):
    query = "SELECT 1 / (%(wrong)s - g) AS g FROM generate_series(1, 30000) AS g"
    with pytest.raises(psycopg.errors.DivisionByZero, match="division by zero"):
        list(copy.copy_out(conn, query, [("g", "integer")], {"wrong": wrong}, chunk_rows=100))
    conn.rollback()
    assert conn.execute("SELECT 1").fetchone() == (1,)


def test_rows_are_left_off_in_the_middle(conn):
    rows = copy.copy_out(conn, "SELECT g FROM generate_series(1, 300000) AS g", [("g", "integer")], chunk_rows=100)
    assert len(next(rows)) == 100
    rows.close()
    conn.rollback()
    assert conn.execute("SELECT 1").fetchone() == (1,)


def test_items_made_ahead_come_in_their_order_and_one_at_a_time():
    made = []

    def each():
        for number in range(20):
            made.append(number)
            yield number

    with copy.ahead(each()) as items:
        for seen, number in enumerate(items):
            assert number == seen and len(made) <= seen + 2
    assert made == list(range(20))


def test_an_error_of_what_is_made_ahead_is_raised(conn):
    query = "SELECT 1 / (5000 - g) AS g FROM generate_series(1, 30000) AS g"
    with (
        pytest.raises(psycopg.errors.DivisionByZero),
        copy.ahead(copy.copy_out(conn, query, [("g", "integer")], chunk_rows=100), conn) as items,
    ):
        assert [len(piece) for piece in items]


def test_a_statement_that_is_waited_for_ahead_ends_with_the_work(conn):
    """Here the first piece takes a minute, and the work on the pieces is interrupted at once."""

    def interrupt(number, frame):
        raise KeyboardInterrupt

    slow = copy.copy_out(conn, "SELECT pg_sleep(60)::text = '' AS s", [("s", "boolean")])
    before = signal.signal(signal.SIGUSR1, interrupt)
    start = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt), copy.ahead(slow, conn) as items:
            threading.Timer(0.5, signal.pthread_kill, [threading.main_thread().ident, signal.SIGUSR1]).start()
            next(items)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert time.monotonic() - start < 20
    conn.rollback()
    assert conn.execute("SELECT 1").fetchone() == (1,)


def test_what_is_made_in_threads_keeps_its_order_and_does_not_run_away():
    taken = []

    def items():
        for number in range(20):
            taken.append(number)
            yield number

    def slow_at_first(number):
        time.sleep(0.05 if number < 2 else 0.0)
        return number**2

    for seen, square in enumerate(copy.each_in_threads(slow_at_first, items())):
        assert square == seen**2 and len(taken) <= seen + 2


def test_an_error_in_a_thread_is_raised():
    with pytest.raises(ZeroDivisionError):
        list(copy.each_in_threads(lambda number: 1 // (5 - number), range(20)))
