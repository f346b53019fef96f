"""Hostile texts made from good queries: mutated, spliced, nested, injected; the same for the same seed."""

# ruff: noqa: E501 - tables of queries, one a line

from __future__ import annotations

import random
import re
from collections.abc import Iterator

from adql_cases import CASES

_WORD = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|\w+(?:\.\d+)?|\S", re.U)
FRAGMENTS = (
    "; DROP TABLE pub.star", "; COMMIT; DELETE FROM xcat.run", "' OR 1=1 --", "'); DROP TABLE pub.star; --", "\\'; SELECT 1 --",
    "UNION SELECT usename, passwd FROM pg_shadow", "pg_sleep(10)", "pg_read_file('/etc/passwd')", "current_setting('x')",
    "lo_import('/etc/passwd')", "dblink('x', 'y')", "set_config('role', 'xcat', false)", "query_to_xml('SELECT 1', true, true, '')",
    "ctid", "xmin", "tableoid", "oid", "star.ctid", "pg_class", "pg_catalog.pg_authid", "information_schema.tables", "xcat.run",
    "CAST('pg_class' AS regclass)", "name::regclass", "CAST(1 AS oid)", "CAST('{}' AS json)", "$$x$$", "$1", "%s", "%(a)s", ":a", "?",
    "FOR UPDATE", "LIMIT 1", "FETCH FIRST 1 ROW ONLY", "INTO pub.x", "WINDOW w AS ()", "OVER ()", "FILTER (WHERE true)", "LATERAL",
    "TABLESAMPLE SYSTEM (1)", "ONLY pub.star", "generate_series(1, 1000000000)", "VALUES (1)", "TABLE pub.star", "ROW(1, 2)",
    "ARRAY[1]", "(1, 2)", "a.b.c.d.e", "*", "star.*", "COUNT(*)", "COUNT(DISTINCT *)", "SUM(SUM(k))", "E'\\x'", "U&'\\0041'", "N'x'",
    "B'1'", "X'ff'", "0x", "0xG", "0xFFFFFFFFFFFFFFFFFFFF", "1e999", "1e-999", "-1e400", "9" * 400, "1.2.3", "1_000", "1a", ".e5", "/*", "*/",
    "--", "{#", "#}", "{{ x }}", "{% x %}", "\0", "\ud800", "\u202e", "\ufeff", "é", "１２", "²", "Ⅷ", "\u2019", "\u00a0", "\t\r\n\v\f",
    "'", '"', '""', '"a""b"', '"' + "x" * 100 + '"', "x" * 100, "NULL", "TRUE", "NaN", "Infinity", "'NaN'", "RAND(1)", "REGION('x')",
    "CIRCLE(0, 0, -1)", "CIRCLE(0, 0, 1e9)", "CIRCLE(NULL, NULL, NULL)", "POINT(0, 91)", "POINT(1e308, 0)", "BOX(0, 0, 179, 1)",
    "POLYGON(0, 0, 0, 0, 0, 0)", "POLYGON(0, 0, 90, 0, 180, 0, 270, 0)", "POLYGON(0, 0, 1, 1)", "POLYGON(ra, dec, ra, dec, 1, 2)",
    "INTERSECTS(BOX(1, 1, 1, 1), BOX(1, 1, 1, 1))", "AREA(1)", "CENTROID(POLYGON(ra, dec, 1, 2, 3, 4))", "DISTANCE(1)", "IN_UNIT(ra, '')",
    "IN_UNIT(ra, '10**99999999m')", "IN_UNIT(ra, 'kg')", "MOD(1, 0)", "1 / 0", "POWER(0, -1)", "ROUND(1, 2147483648)", "ROUND(1e300, 300)",
    "CAST('' AS POINT)", "CAST('nan inf' AS POINT)", "CAST(1 AS CHAR(0))", "CAST(1 AS CHAR(99999999999))", "CAST('x' AS TIMESTAMP)",
    "REGION('Circle ICRS 1 2 1e999')", "REGION('Polygon 0 0 0 0 0 0')", "REGION('Box nan nan 1 1')", "REGION('" + "1 " * 900 + "')",
    "MOC('')", "MOC('29/0-41505174165846491135')", "MOC('0/0-11')", "MOC('99/1')", "MOC('3/1-" + "9" * 60 + "')", "MOC('/')",
    "MOC('29/" + " ".join(str(7 * n) for n in range(2000)) + "')", "CONTAINS(POINT(ra, dec), MOC('3/1'))", "AREA(MOC('5/3'))",
    "CONTAINS(BOX(ra, dec, 1, 1), POLYGON(ra, dec, 1, 2, 3, 4))", "INTERSECTS(POLYGON(NULL, 1, 2, 3, 4, 5), BOX(1, 1, ra, dec))",
    "TOP 99999999999999999999", "TOP -1", "TOP 1.5", "OFFSET 9223372036854775808", "WITH RECURSIVE", "GROUP BY 99", "ORDER BY 0", "LIKE",
    "IS DISTINCT FROM", "IS TRUE", "SIMILAR TO", "~ 'x'", "@@", "<=>", "IN ()", "NOT NOT", "EXISTS (1)", "ANY (SELECT 1)", "ILIKE ANY ('x')",
)  # fmt: skip


def _nested(choose: random.Random, query: str) -> str:
    """A query with something deep or long in place of its first number."""
    n = choose.choice((2, 10, 30, 41, 100, 800, 5000))
    deep = choose.choice(
        (
            "(" * n + "1" + ")" * n,
            "-" * n + "1",
            "- " * n + "1",
            "+ " * n + "1",
            "NOT " * n + "1 = 1",
            "CASE WHEN 1=1 THEN " * n + "1" + " END" * n,
            " + ".join(["1"] * n),
            " || ".join(["'x'"] * n),
            " AND ".join(["1=1"] * n),
            "1 = 1 OR " * n + "k = 1",
            "ABS(" * n + "1" + ")" * n,
            "(SELECT " * n + "1" + ")" * n,
            "COALESCE(1, " * n + "2" + ")" * n,
            "k IN (" + ",".join(map(str, range(n))) + ")",
            "1 - " * n + "1",
            "1" + " = 1" * n,
            "k BETWEEN 1 AND " * n + "2",
            "a." * n + "b",
            "POLYGON(" + ", ".join(f"{x % 360}, {x % 90}" for x in range(n)) + ")",
            "EXISTS (SELECT 1 FROM pub.star WHERE " * n + "1=1" + ")" * n,
        )
    )
    if choose.random() < 0.2:
        return "SELECT k FROM pub.star" + " UNION SELECT k FROM pub.star" * n
    if choose.random() < 0.2:
        return "SELECT * FROM " + "(SELECT * FROM " * n + "pub.star" + ") AS q" * n
    if choose.random() < 0.2:
        return "SELECT * FROM pub.star AS a0" + "".join(
            f" JOIN pub.star AS a{i} ON a{i}.id = a0.id" for i in range(1, n)
        )
    return re.sub(r"\b\d+\b", lambda _: deep, query, count=1)


def texts(seed: int, n: int) -> Iterator[str]:
    """`n` texts."""
    choose = random.Random(seed)
    good = [query for query, _ in CASES]
    for _ in range(n):
        query = choose.choice(good)
        kind = choose.random()
        if kind < 0.15:
            yield _nested(choose, query)
            continue
        words = _WORD.findall(query)
        for _ in range(choose.choice((1, 1, 1, 1, 2, 3, 8))):
            at = choose.randrange(len(words) + 1)
            what = choose.randrange(7)
            other = _WORD.findall(choose.choice(good))
            if what == 0:
                words.insert(at, choose.choice(FRAGMENTS))
            elif what == 1 and words:
                words[at % len(words)] = choose.choice(FRAGMENTS)
            elif what == 2 and words:
                del words[at % len(words)]
            elif what == 3 and words:
                words.insert(at, words[choose.randrange(len(words))])
            elif what == 4 and words:
                words[at % len(words)] = choose.choice(other)
            elif what == 5:
                start = choose.randrange(len(other))
                words[at:at] = other[start : start + choose.randrange(1, 8)]
            elif words:
                word = list(words[at % len(words)])
                word[choose.randrange(len(word))] = chr(
                    choose.choice((choose.randrange(128), choose.randrange(0x3000)))
                )
                words[at % len(words)] = "".join(word)
        yield choose.choice((" ", "\n")).join(words)
