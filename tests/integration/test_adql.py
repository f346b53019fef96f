"""ADQL in a real database: every function by value, searches by position by their plans, hostile texts by what they do."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from typing import Any

import adql_cases
import psycopg
import pytest
from adql_cases import CASES, MINE, STARS, TABLES
from adql_hostile import texts
from psycopg.pq import DiagnosticField

from xcat.adql import AdqlError, translate
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
        start = time.process_time()
        try:
            sql = translate(text, TABLES, maxrec=10).sql
        except AdqlError as refused:
            assert len(str(refused)) < 500
            counts["refused"] += 1
        else:
            # the server takes one statement only in this way
            result = connection.pgconn.prepare(b"", sql.encode())
            state = (result.error_field(DiagnosticField.SQLSTATE) or b"").decode()
            assert not state or state.startswith(_ORDINARY), (text[:2000], result.error_message, sql[:2000])
            counts["refused by the server" if state else "read"] += 1
        assert time.process_time() - start < 1, text[:2000]
    return counts


def test_hostile_texts_are_refused_or_harmless(reader: Connection) -> None:
    """The same by thousands: PYTEST_HOSTILE=10000 pytest -k hostile."""
    n = int(os.environ.get("PYTEST_HOSTILE", "400"))
    counts = hostile(reader, texts(1, n))
    print(counts)
    assert counts["refused"] > n / 3 and counts["read"] > n / 20
