"""ADQL in a real database: functions by value, searches by position by plan and formula, hostile texts in action."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import adql_cases
import hypothesis
import numpy as np
import psycopg
import pytest
import sphere_oracle as oracle
from adql_cases import CASES, MINE, STARS, TABLES
from adql_hostile import texts
from hypothesis import strategies as st
from processor_time import at_most
from psycopg.pq import DiagnosticField

from xcat.adql import AdqlError, Column, Table, translate
from xcat.config import Settings
from xcat.database.address import READER
from xcat.database.connection import Connection, conninfo


@pytest.fixture(scope="module")
def reader(module_settings: Settings) -> Iterator[Connection]:
    """A connection as the reader, with the two small tables, and a larger one."""
    with psycopg.connect(conninfo(str(module_settings.database_url))) as conn:
        conn.execute(
            f"""
            CREATE TABLE pub.star (id bigint, ra double precision, dec double precision, name text,
                flux double precision, mag real, n integer, k smallint, flag boolean, seen timestamptz, "Size" integer);
            CREATE SCHEMA adql_upload;
            CREATE TABLE adql_upload.mine (id integer, "RA" double precision, "Dec" double precision,
                radius double precision, label text, pos double precision[], beam double precision[],
                footprint double precision[]);
            GRANT USAGE ON SCHEMA adql_upload TO {READER};
            GRANT SELECT ON pub.star, adql_upload.mine TO {READER}
            """
        )
        with conn.cursor() as cursor:
            cursor.executemany(
                f"INSERT INTO pub.star VALUES ({', '.join(['%s'] * 11)})", [tuple(vars(s).values()) for s in STARS]
            )
            cursor.executemany(
                f"INSERT INTO adql_upload.mine VALUES ({', '.join(['%s'] * 8)})",
                [(*vars(m).values(), [m.RA, m.Dec], [m.RA, m.Dec, m.radius], _square(m)) for m in MINE],
            )
        conn.execute("CREATE INDEX ON pub.star (public.q3c_ang2ipix(ra, dec)); ANALYZE pub.star")
        conn.commit()
        conn.execute(f"SET ROLE {READER}; SET statement_timeout = '20s'; SET TimeZone = 'UTC'")
        conn.commit()
        conn.autocommit = True
        yield conn


def _square(mine: adql_cases.Mine) -> list[float]:
    """Vertices of a square of 2 degrees around a position on the equator, and of a small one elsewhere."""
    ra, dec, half = mine.RA, min(mine.Dec, 88.0), 1.0
    return [ra - half, dec - half, ra + half, dec - half, ra + half, dec + half, ra - half, dec + half]


def _same(got: Any, expected: Any) -> bool:
    if isinstance(expected, (list, tuple)):
        return len(got) == len(expected) and all(map(_same, got, expected))
    if isinstance(expected, float) and got is not None:
        return math.isclose(got, expected, rel_tol=1e-12, abs_tol=1e-12)
    return bool(got == expected)


@pytest.mark.parametrize(("query", "expected"), CASES, ids=range(len(CASES)))
def test_values(reader: Connection, query: str, expected: Any) -> None:
    translated = translate(query, TABLES, maxrec=100)
    answer = reader.execute(translated.sql.encode())
    assert answer.description is not None
    assert [c.name for c in answer.description] == [c.name for c in translated.columns]
    rows = answer.fetchall()
    assert _same(rows, expected), f"{rows}\n{expected}\n{translated.sql}"
    _typed(answer, translated.columns)
    for maxrec in (0, 1):
        cut = reader.execute(translate(query, TABLES, maxrec=maxrec).sql.encode()).fetchall()
        assert len(cut) == min(len(rows), maxrec + 1)


_OIDS = {"short": 21, "int": 23, "long": 20, "float": 700, "double": 701, "boolean": 16}


def _typed(answer: psycopg.Cursor[Any], columns: Any) -> None:
    """The types that the translation promises are those of the server."""
    for got, column in zip(answer.description or (), columns, strict=True):
        if column.arraysize is None:
            assert got.type_code == _OIDS[column.datatype], (got, column)
        elif column.xtype == "timestamp":
            assert got.type_code == 1184, (got, column)
        else:
            assert got.type_code in ((25, 1042, 1043) if column.datatype == "char" else (1022,)), (got, column)


# --- hostile texts ------------------------------------------------------------------------------------------------

#: Refusals of the server that a query can meet: of its data, and of a column that is not in GROUP BY.
_ORDINARY = ("22", "42803")


def hostile(connection: Connection, texts: Any) -> dict[str, int]:
    """Translate texts and have the server read the SQL; how many were refused here, read and refused there."""
    counts = {"refused": 0, "read": 0, "refused by the server": 0}
    for text in texts:
        with at_most(1, text[:2000]):
            try:
                sql = translate(text, TABLES, maxrec=10).sql
            except AdqlError as refused:
                assert len(str(refused)) < 500
                counts["refused"] += 1
                continue
            # the server takes one statement only in this way
            result = connection.pgconn.prepare(b"", sql.encode())
        state = (result.error_field(DiagnosticField.SQLSTATE) or b"").decode()
        assert not state or state.startswith(_ORDINARY), (text[:2000], result.error_message, sql[:2000])
        counts["refused by the server" if state else "read"] += 1
    return counts


def test_hostile_texts_are_refused_or_harmless(reader: Connection) -> None:
    """The same by thousands: PYTEST_HOSTILE=10000 pytest -k hostile."""
    n = int(os.environ.get("PYTEST_HOSTILE", "400"))
    counts = hostile(reader, texts(1, n))
    print(counts)
    assert counts["refused"] > n / 3 and counts["read"] > n / 20


# --- searches by position -----------------------------------------------------------------------------------------

_BIG = Table(
    "pub.big",
    '"pub"."big"',
    (
        Column("id", "long"),
        Column("ra", "double"),
        Column("dec", "double"),
        Column("class", "char", "*"),
        Column("mag", "double"),
    ),
    ("ra", "dec"),
    10_000,
)
_NEAR = Table("tap_upload.near", '"adql_upload"."near"', _BIG.columns, None, 500)
_JOIN = "FROM tap_upload.near AS m JOIN pub.big AS s ON DISTANCE(m.ra, m.dec, s.ra, s.dec) < 0.05"
_SELF = "FROM pub.big AS a JOIN pub.big AS b ON DISTANCE(a.ra, a.dec, b.ra, b.dec) < 0.3"


@pytest.fixture(scope="module")
def big(reader: Connection) -> Connection:
    """The same connection, with a table of 10,000 positions and an upload of 500 of them."""
    reader.execute("RESET ROLE")
    reader.execute(
        f"""
        CREATE TABLE pub.big AS
            SELECT i::bigint AS id, mod(i * 137.50776405, 360)::double precision AS ra,
                   degrees(asin(2 * (i + 0.5) / 10000 - 1)) AS dec, (ARRAY['AGN', 'Star', 'CV'])[i % 3 + 1] AS class,
                   (10 + i % 10)::double precision AS mag
            FROM generate_series(0, 9999) AS i;
        ALTER TABLE pub.big ADD PRIMARY KEY (id);
        CREATE INDEX big_position ON pub.big (public.q3c_ang2ipix(ra, dec));
        CREATE INDEX ON pub.big (class);
        CREATE TABLE adql_upload.near AS SELECT * FROM pub.big WHERE id % 20 = 7;
        ANALYZE pub.big;
        ANALYZE adql_upload.near;
        GRANT SELECT ON pub.big, adql_upload.near TO {READER};
        SET ROLE {READER}
        """
    )
    return reader


@pytest.mark.parametrize(
    ("query", "n_rows"),
    [
        ("SELECT id FROM pub.big WHERE DISTANCE(ra, dec, 10, 20) < 5", None),
        ("SELECT id FROM pub.big WHERE class = 'CV' AND 1 = CONTAINS(POINT(ra, dec), CIRCLE(9, 9, 5)) AND id>0", None),
        ("SELECT id FROM pub.big WHERE 1 = CONTAINS(POINT(ra, dec), POLYGON(10, 10, 20, 10, 20, 20))", None),
        ("SELECT id FROM pub.big WHERE 1 = CONTAINS(POINT(ra, dec), POLYGON(10, 10, 35, 10, 35, 30, 10, 30))", None),
        ("SELECT id FROM pub.big WHERE 1 = CONTAINS(POINT(ra, dec), BOX(10, 10, 5, 5))", None),
        (f"SELECT m.id, s.id {_JOIN}", 500),
        (f"SELECT m.id, s.id {_JOIN} WHERE s.class = 'AGN' AND s.mag > 10 AND m.mag > 10", None),
        (f"SELECT m.id, s.id {_JOIN.replace('JOIN', 'LEFT JOIN')}", 500),
        ("SELECT m.id FROM tap_upload.near AS m, pub.big AS s WHERE s.class = m.class AND s.mag < 19"
         " AND 1 = CONTAINS(POINT(s.ra, s.dec), CIRCLE(m.ra, m.dec, m.mag * 0.01 / 4))", None),
        ("SELECT m.id FROM pub.big AS s JOIN tap_upload.near AS m"
         " ON 1 = INTERSECTS(CIRCLE(s.ra, s.dec, 0.01), CIRCLE(m.ra, m.dec, m.mag * 0.001))", None),
        ("SELECT m.id FROM (SELECT * FROM pub.big WHERE class = 'AGN') AS s JOIN tap_upload.near AS m"
         " ON DISTANCE(m.ra, m.dec, s.ra, s.dec) < 0.05", None),
        ("WITH few AS (SELECT TOP 50 * FROM pub.big ORDER BY mag) SELECT few.id FROM few JOIN pub.big AS b"
         " ON DISTANCE(few.ra, few.dec, b.ra, b.dec) < 0.05 WHERE b.class = 'AGN'", None),
        ("SELECT m.id FROM tap_upload.near AS m WHERE NOT EXISTS"
         " (SELECT * FROM pub.big AS s WHERE DISTANCE(m.ra, m.dec, s.ra, s.dec) < 0.05 AND s.mag > 15)", None),
        (f"SELECT a.id, b.id {_SELF}", 10_000),
        (f"SELECT a.id, b.id {_SELF} AND a.id < b.id", None),
        (f"SELECT a.id, b.id {_SELF} WHERE a.id < b.id AND a.class = 'AGN' AND b.class = 'Star'", None),
        (f"SELECT a.id, b.id {_SELF} AND a.class = b.class WHERE a.id <> b.id", None),
    ],
    ids=range(17),
)  # fmt: skip
def test_searches_by_position_use_the_index(big: Connection, query: str, n_rows: int | None) -> None:
    sql = translate(query, [_BIG, _NEAR], maxrec=20_000).sql
    plan = "\n".join(row[0] for row in big.execute(b"EXPLAIN " + sql.encode()))
    assert "Bitmap Index Scan on big_position" in plan, plan
    answer = big.execute(sql.encode()).fetchall()
    assert n_rows is None or len(answer) >= n_rows
    if "near" in query and "DISTANCE" in query:  # the same without a search: all distances are computed
        whole = translate(query.replace("DISTANCE", "0 + DISTANCE"), [_BIG, _NEAR]).sql
        assert "q3c_join" not in whole
        assert sorted(big.execute(whole.encode()).fetchall()) == sorted(answer)


def test_the_larger_table_is_searched() -> None:
    for tables, last in (((10_000, 500), "s"), ((500, 10_000), "m")):
        both = [replace(_BIG, n_rows=tables[0]), replace(_NEAR, position=("ra", "dec"), n_rows=tables[1])]
        for query in (
            f"SELECT m.id {_JOIN}",
            "SELECT m.id FROM pub.big AS s, near AS m WHERE DISTANCE(s.ra, s.dec, m.ra, m.dec) < 1",
        ):
            sql = translate(query, both).sql
            first = "m" if last == "s" else "s"
            assert f'public.q3c_join("{first}"."ra", "{first}"."dec", "{last}"."ra", "{last}"."dec", ' in sql


@pytest.mark.parametrize("radius", ["25", "'NaN'::double precision", "-1", "NULL"])
def test_radii_of_a_column(big: Connection, radius: str) -> None:
    """q3c takes NaN for everything, and was wrong beyond 20 degrees: both end the query, with words."""
    relation = f"(SELECT id, ra, dec, {radius}::double precision AS r FROM adql_upload.near)"
    near = Table("near", relation, (*_NEAR.columns[:3], Column("r", "double")), None, 500)
    query = "SELECT near.id FROM near JOIN pub.big AS s ON DISTANCE(near.ra, near.dec, s.ra, s.dec) <= near.r"
    sql = translate(query, [_BIG, near]).sql.encode()
    if radius in ("-1", "NULL"):
        assert big.execute(sql).fetchall() == []
    else:
        with pytest.raises(psycopg.DataError, match="a radius from a column must be a number up to 20 degrees, and is"):
            big.execute(sql)


# --- geometry against other formulas ------------------------------------------------------------------------------

_some = hypothesis.settings(max_examples=15, deadline=None, derandomize=True, database=None)
_ra = st.one_of(st.floats(0, 360, exclude_max=True), st.sampled_from([0.0, 45.0, 90.0, 359.999999]))
_dec = st.one_of(st.floats(-90, 90), st.sampled_from([-90.0, -89.9, 0.0, 35.264, 90.0]))
_turns = st.lists(st.integers(0, 23), min_size=3, max_size=9, unique=True).map(sorted)


@pytest.fixture(scope="module")
def points(big: Connection) -> oracle.Array:
    """Unit vectors of the 10,000 positions, in the order of their numbers, shape (10000, 3)."""
    ra, dec = np.array(big.execute("SELECT ra, dec FROM pub.big ORDER BY id").fetchall()).T
    return oracle.unit(ra, dec)


def _inside(conn: Connection, region: str) -> Any:
    """Whether each of the positions is in a region, (10000,)."""
    query = f"SELECT id FROM pub.big WHERE 1 = CONTAINS(POINT(ra, dec), {region})"
    found = np.zeros(10_000, bool)
    found[[row[0] for row in conn.execute(translate(query, [_BIG]).sql.encode())]] = True
    return found


def _one(conn: Connection, expression: str) -> Any:
    row = conn.execute(translate(f"SELECT TOP 1 {expression} FROM pub.big", [_BIG]).sql.encode()).fetchone()
    assert row is not None
    return row[0]


@_some
@hypothesis.given(ra=_ra, dec=_dec, radius=st.one_of(st.floats(0.5, 180), st.sampled_from([20.0, 20.0001, 90.0])))
def test_circles(big: Connection, points: oracle.Array, ra: float, dec: float, radius: float) -> None:
    away = oracle.separation(points, oracle.unit(ra, dec))
    sure = np.abs(away - radius) > 1e-9
    assert (_inside(big, f"CIRCLE({ra}, {dec}, {radius})") == (away < radius))[sure].all()
    expected = 2 * np.pi * (1 - np.cos(np.radians(radius))) * np.degrees(1) ** 2
    assert _one(big, f"AREA(CIRCLE({ra}, {dec}, {radius}))") == pytest.approx(expected, rel=1e-9)
    assert _one(big, f"DISTANCE({ra}, {dec}, 12.5, -40)") == pytest.approx(
        float(oracle.separation(oracle.unit(ra, dec), oracle.unit(12.5, -40.0))), abs=1e-9
    )


@_some
@hypothesis.given(ra=_ra, dec=_dec, width=st.floats(0.5, 150), height=st.floats(0.5, 150))
def test_boxes(big: Connection, points: oracle.Array, ra: float, dec: float, width: float, height: float) -> None:
    expected, border = oracle.in_box(points, ra, dec, width, height)
    sure = border > 1e-9
    region = f"BOX({ra}, {dec}, {width}, {height})"
    assert (_inside(big, region) == expected)[sure].all()
    corners = _one(big, region)
    vertices = oracle.unit(np.array(corners[::2]), np.array(corners[1::2]))
    assert (oracle.in_polygon(points, vertices) == expected)[sure].all()
    if width > 20 and height > 20:
        assert _one(big, f"AREA({region})") == pytest.approx(oracle.area_and_centroid(vertices)[0], rel=0.05)


@_some
@hypothesis.given(
    ra=_ra, dec=_dec, reach=st.sampled_from([2.0, 10.0, 13.0, 19.0, 25.0, 60.0]), turns=_turns, data=st.data()
)
def test_polygons(
    big: Connection, points: oracle.Array, ra: float, dec: float, reach: float, turns: list[int], data: Any
) -> None:
    """Of any form that is seen whole from its middle; those that do not fit into a hemisphere are refused."""
    gaps = np.diff([*turns, turns[0] + 24])
    hypothesis.assume(gaps.max() < 12)  # otherwise the middle is outside, and the edges may cross
    shares = data.draw(st.lists(st.floats(0.3, 1), min_size=len(turns), max_size=len(turns)))
    vertices = oracle.star(ra, dec, reach, np.array(turns) / 24, shares)
    numbers = ", ".join(f"{a!r}, {d!r}" for a, d in np.column_stack(oracle.degrees(vertices)).tolist())
    sure = oracle.from_edges(points, vertices) > 1e-9
    assert (_inside(big, f"POLYGON({numbers})") == oracle.in_polygon(points, vertices))[sure].all()
    some, radius = slice(0, None, 40), reach / 3
    region = f"INTERSECTS(CIRCLE(ra, dec, {radius}), POLYGON({numbers}))"
    sql = translate(f"SELECT id FROM pub.big WHERE MOD(id, 40) = 0 AND 1 = {region}", [_BIG]).sql
    touching = np.zeros(250, bool)
    touching[[row[0] // 40 for row in big.execute(sql.encode())]] = True
    border, inside = oracle.from_border(points[some], vertices), oracle.in_polygon(points[some], vertices)
    clear = np.abs(border - radius) > 0.02 * reach
    assert (touching == (inside | (border < radius)))[clear].all()
    if reach >= 19:
        area, centroid = oracle.area_and_centroid(vertices)
        assert _one(big, f"AREA(POLYGON({numbers}))") == pytest.approx(area, rel=0.05, abs=20)
        got = oracle.unit(*_one(big, f"CENTROID(POLYGON({numbers}))"))
        assert oracle.separation(got, centroid) < 1
