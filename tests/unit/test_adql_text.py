"""ADQL without a database: what is refused and where, names, limits of rows, and what is known of the columns."""

# ruff: noqa: E501 - tables of queries, one a line

from __future__ import annotations

import re
from pathlib import Path

import pytest

from xcat.adql import AdqlError, Column, Table, Translated, translate
from xcat.adql.calls import SPECIAL
from xcat.adql.dialect import MAX_CHARACTERS, MAX_DEPTH, MAX_SELECTS, MAX_TOKENS
from xcat.adql.functions import AGGREGATES, FUNCTIONS
from xcat.adql.query import MAX_COLUMNS, MAX_TABLES

SOURCE = Table(
    "pub.source",
    '"pub"."source_r7"',
    (
        Column("source_id", "long", ucd="meta.id", description="number"),
        Column("ra", "double", unit="deg", ucd="pos.eq.ra", utype="char:ra", description="right ascension"),
        Column("dec", "double", unit="deg", ucd="pos.eq.dec"),
        Column("name", "char", "*"),
        Column("flag", "boolean"),
        Column("flux", "float", unit="erg s-1 cm-2"),
        Column("seen", "char", "*", "timestamp"),
        Column("size", "int"),
        Column("Name", "char", "*"),
        Column("odd \"name'", "int"),
        Column("fluxes", "double", "*"),
    ),
    ("ra", "dec"),
    1000,
)
OTHER = Table("tap_upload.Mine", '"pg_temp"."Mine"', (Column("source_id", "int"), Column("x", "double", unit="mag")))
TWIN = Table("old.source", '"old"."source"', (Column("source_id", "long"),))
TABLES = (SOURCE, OTHER)


def sql(query: str, maxrec: int | None = None) -> Translated:
    return translate(query, TABLES, maxrec=maxrec)


def refusal(query: str, tables: tuple[Table, ...] = TABLES) -> AdqlError:
    with pytest.raises(AdqlError) as caught:
        translate(query, tables)
    return caught.value


#: What is refused, a part of the message, and the words at which it points.
REFUSED = [
    ("SELECT PG_SLEEP(1) FROM pub.source", "not supported: function PG_SLEEP", "PG_SLEEP"),
    ("SELECT REGION('Ellipse 1 2 3 4 5') FROM pub.source", "not supported: REGION of 'Ellipse 1 2 3 4 5'", "REGION"),
    ("SELECT MOC(6, POINT(1, 2)) FROM pub.source", "not supported: MOC of an order and a geometry", "MOC"),
    ("SELECT ra,\n  ctid FROM pub.source", "no table of FROM has a column ctid", "ctid"),
    ("SELECT source.xmin FROM pub.source", "pub.source has no column xmin", "source.xmin"),
    ("SELECT * FROM pg_catalog.pg_class", "there is no table pg_catalog.pg_class", "pg_catalog"),
    ("SELECT * FROM xcat.run", "there is no table xcat.run", "xcat.run"),
    ("SELECT * FROM pub.source_r7", "there is no table pub.source_r7", "pub.source_r7"),
    ("SELECT * FROM a.pub.source", "a schema and a name", "a.pub"),
    ("SELECT CAST(name AS regclass) FROM pub.source", "not supported: CAST AS REGCLASS", None),
    ("SELECT CAST(ra AS NUMERIC(3)) FROM pub.source", "not supported: CAST AS NUMERIC", None),
    ("SELECT ra::text FROM pub.source", "not supported: 'ra::text'", "ra::"),
    ("SELECT $1 FROM pub.source", "not supported: '$1'", "$1"),
    ("SELECT fluxes[1] FROM pub.source", "not supported: 'fluxes[1]'", "fluxes["),
    ("SELECT /* x */ ra FROM pub.source", "this is not ADQL", None),
    ("SELECT ra FROM pub.source LIMIT 5", "not supported: LIMIT; write SELECT TOP n", "5"),
    ("SELECT ra FROM pub.source; DROP TABLE x", "nothing may follow the semicolon", ";"),
    ("INSERT INTO pub.source VALUES (1)", "this is not ADQL", None),
    ("WITH d AS (DELETE FROM pub.source) SELECT * FROM d", "this is not ADQL", None),
    ("SELECT ra FROM pub.source FOR UPDATE", "this is not ADQL", "UPDATE"),
    ("SELECT ra FROM pub.source WHERE name LIKE 'a' ESCAPE 'b'", "this is not ADQL", None),
    ("SELECT COUNT(*) OVER () FROM pub.source", "this is not ADQL", None),
    ("SELECT ra FROM LATERAL (SELECT 1)", "", None),
    ("SELECT ra FROM pub.source WHERE (ra, dec) = (1, 2)", "not supported: Tuple", None),
    ("SELECT ra FROM pub.source WHERE flag IS TRUE", "IS with anything but [NOT] NULL", None),
    ("SELECT ra FROM pub.source WHERE ra IS DISTINCT FROM dec", "not supported", None),
    ("SELECT DISTINCT ON (ra) dec FROM pub.source", "not supported: DISTINCT with ON", None),
    ("WITH RECURSIVE a AS (SELECT 1) SELECT * FROM a", "", None),
    ("SELECT size FROM pub.source", 'size is a reserved word: as a name, write it in double quotes: "size"', "size"),
    ("SELECT ra AS distance FROM pub.source", "distance is a reserved word", "distance"),
    ('SELECT "RA" FROM pub.source', 'no table of FROM has a column RA; there is "ra"', '"RA"'),
    ("SELECT x.ra FROM pub.source AS s", "x is not in FROM", "x.ra"),
    ("SELECT pub.source.ra FROM pub.source AS s", "pub.source is not in FROM", "pub.source.ra"),
    ("SELECT source_id FROM pub.source, tap_upload.mine", "source_id may be a column of several tables", "source_id"),
    ("SELECT a.ra FROM pub.source AS a, pub.source AS a", "a is in FROM more than once", "a.ra"),
    ("SELECT ra FROM pub.source AS a JOIN tap_upload.mine AS b", "a join needs ON or USING", None),
    ("SELECT ra FROM pub.source JOIN tap_upload.mine USING (ra)", "ra is not a column of both tables", None),
    ("SELECT s.ra FROM tap_upload.mine AS m, pub.source AS s JOIN pub.source AS t ON m.x = t.ra", "m is not in FROM", "m.x"),
    ("SELECT * FROM (SELECT ra FROM pub.source)", "a query in FROM needs a name", None),
    ("SELECT ra FROM pub.source UNION SELECT ra, dec FROM pub.source", "as many columns each, not 1 and 2", None),
    ("SELECT ra FROM pub.source UNION SELECT name FROM pub.source", "column 1 is number and text", None),
    ("SELECT ra FROM pub.source ORDER BY 2", "the result has columns 1 to 1, not 2", "2"),
    ("SELECT ra FROM pub.source ORDER BY 'x'", "ORDER BY takes columns, not a fixed value", "'x'"),
    ("SELECT ra FROM pub.source UNION SELECT ra FROM pub.source ORDER BY dec", "names or numbers of columns", "dec"),
    ("SELECT ra FROM pub.source WHERE ra NOT NULL", "this is not ADQL near 'NOT'", "NOT"),
    ("SELECT ra FROM pub.source WHERE ra BETWEEN 1 2", "this is not ADQL", None),
    ("SELECT ra, , dec FROM pub.source", "this is not ADQL near ','", ","),
    ("SELECT ra FROM . source", "this is not ADQL near '.'", "."),
    ("SELECT COUNT(*) FROM pub.source GROUP BY", "this is not ADQL near 'GROUP BY'", "GROUP"),
    ("SELECT ABS(ra FROM pub.source", "has no end", None),
    ("SELECT ra FROM pub.source ORDER BY ra WHERE dec > 1", "WHERE must come before ORDER BY", "WHERE"),
    ("SELECT ra FROM pub.source GROUP BY ra HAVING ra > 1 WHERE ra > 0", "WHERE must come before HAVING", "WHERE"),
    ("SELECT ra FROM pub.source OFFSET 1 ORDER BY ra", "ORDER BY must come before OFFSET", "ORDER BY"),
    ("SELECT s.ra FROM pub.source AS s WHERE s.ra > 1 JOIN pub.source AS t ON s.ra = t.ra", "JOIN must come before WHERE", "JOIN"),
    ("SELECT ra FROM pub.source ORDER BY ra UNION SELECT dec FROM pub.source", "UNION must come before ORDER BY", "UNION"),
    ("SELECT ra FROM (SELECT ra FROM pub.source ORDER BY ra WHERE ra > 1) AS t", "WHERE must come before ORDER BY", "WHERE"),
    ("SELECT CASE ) FROM pub.source ORDER BY ra", "", None),
    ("SELECT DISTINCT ra FROM pub.source ORDER BY dec", "ORDER BY after DISTINCT takes what SELECT lists", "dec"),
    ("SELECT ra FROM pub.source WHERE COUNT(*) > 1", "COUNT cannot stand in WHERE", "COUNT"),
    ("SELECT SUM(AVG(ra)) FROM pub.source", "AVG cannot stand in an aggregate", "AVG"),
    ("SELECT SUM(flag) FROM pub.source", "SUM cannot take a boolean: write CASE", "SUM"),
    ("SELECT TOP 1.5 ra FROM pub.source", "TOP takes a whole number", None),
    ("SELECT ra FROM pub.source OFFSET -1", "OFFSET takes a whole number", None),
    ("SELECT ra FROM pub.source WHERE ra", "a condition is expected here, not a number", "ra"),
    ("SELECT ra FROM pub.source WHERE ra = 'x'", "a number cannot be compared with a text", None),
    ("SELECT ra FROM pub.source WHERE flag > FALSE", "not greater or smaller", None),
    ("SELECT ra FROM pub.source WHERE flag = 2", "cannot be compared", None),
    ("SELECT ra FROM pub.source WHERE fluxes = 1", "a array cannot be compared", None),
    ("SELECT ra FROM pub.source WHERE seen > 'yesterday'", "'yesterday' is not a time: write YYYY-MM-DD", None),
    ("SELECT ra FROM pub.source WHERE seen > '2020-02-30'", "is not a time", None),
    ("SELECT ra || name FROM pub.source", "|| joins texts, not a number", None),
    ("SELECT name + 1 FROM pub.source", "a number is expected here, not a text", "name"),
    ("SELECT ra FROM pub.source WHERE ra LIKE '1%'", "LIKE compares texts", None),
    ("SELECT COALESCE(ra, name) FROM pub.source", "values of one kind are needed, not number and text", "COALESCE"),
    ("SELECT CASE WHEN flag THEN 1 ELSE 'a' END FROM pub.source", "values of one kind are needed", None),
    ("SELECT LOG(name) FROM pub.source", "LOG needs a number, not a text", "LOG"),
    ("SELECT LOG(1, 2) FROM pub.source", "LOG has 1 argument, not 2", "LOG"),
    ("SELECT ROUND(ra, 1.5) FROM pub.source", "decimal places is an integer", "ROUND"),
    ("SELECT RAND(1) FROM pub.source", "RAND with a seed", "RAND"),
    ("SELECT 1 / 0 FROM pub.source", "division by zero", "1"),
    ("SELECT 1e999 FROM pub.source", "the number is too large", "1e999"),
    ("SELECT 12abc FROM pub.source", "12abc is neither a number nor a name", "12abc"),
    ("SELECT 'abc FROM pub.source", "has no end", None),
    ("SELECT ra FROM pub.source WHERE name = 'a\0b'", "the character with code 0", "\0"),
    ("SELECT ra AS é FROM pub.source", "write it in double quotes", "é"),
    (f"SELECT ra AS {'x' * 64} FROM pub.source", "a name has 1 to 63 bytes", "x" * 64),
    ("", "the query is empty", None),
    ("-- only a comment", "the query is empty", None),
    ("SELECT source_id IN (SELECT ra, dec FROM pub.source) FROM pub.source", "one column, not 2", None),
    # units
    ("SELECT IN_UNIT(ra, 'kg') FROM pub.source", "deg cannot be converted to kg", "IN_UNIT"),
    ("SELECT IN_UNIT(ra, 'foo') FROM pub.source", "'foo' is not a unit", "IN_UNIT"),
    ("SELECT IN_UNIT(ra, '') FROM pub.source", "'' is not a unit", "IN_UNIT"),
    ("SELECT IN_UNIT(source_id, 'deg') FROM pub.source", "needs a column with a unit", "IN_UNIT"),
    ("SELECT IN_UNIT(42, 'deg') FROM pub.source", "needs a column with a unit", "IN_UNIT"),
    ("SELECT IN_UNIT(ra, name) FROM pub.source", "the unit of IN_UNIT is a text", "IN_UNIT"),
    # geometry
    ("SELECT ra FROM pub.source WHERE 1 = CONTAINS(POINT(ra, dec), CIRCLE(1, 2, -3))", "from 0 to 180 degrees, not -3", "CIRCLE"),
    ("SELECT POINT(0, 91) FROM pub.source", "a declination is from -90 to 90 degrees, not 91", "POINT"),
    ("SELECT POINT('GALACTIC', ra, dec) FROM pub.source", "coordinates in 'GALACTIC'; positions are in ICRS", "POINT"),
    ("SELECT POINT(ra) FROM pub.source", "POINT has 2 numbers, not 1", "POINT"),
    ("SELECT CIRCLE(ra, dec) FROM pub.source", "CIRCLE has 3 numbers, not 2", "CIRCLE"),
    ("SELECT POLYGON(1, 2, 3, 4) FROM pub.source", "three vertices or more", "POLYGON"),
    ("SELECT POLYGON(1, 2, 3, 4, 5) FROM pub.source", "three vertices or more", "POLYGON"),
    ("SELECT POLYGON(0, 0, 120, 0, 240, 0) FROM pub.source", "smaller than a hemisphere", "POLYGON"),
    ("SELECT DISTANCE(ra, dec) FROM pub.source", "a geometry is expected here, not a number", "ra"),
    ("SELECT DISTANCE(1, 2, 3) FROM pub.source", "2 points or 4 numbers, not 3", "DISTANCE"),
    ("SELECT DISTANCE(POINT(1, 2), CIRCLE(1, 2, 3)) FROM pub.source", "between two points, not a CIRCLE", "DISTANCE"),
    ("SELECT COORD1(CIRCLE(1, 2, 3)) FROM pub.source", "takes a POINT, not a CIRCLE", "COORD1"),
    ("SELECT CONTAINS(CIRCLE(1, 2, 3), POINT(1, 2)) FROM pub.source", "CONTAINS of a CIRCLE in a POINT", "CONTAINS"),
    ("SELECT CONTAINS(MOC('3/1'), CIRCLE(1, 2, 3)) FROM pub.source", "CONTAINS of a MOC in a CIRCLE", "CONTAINS"),
    ("SELECT INTERSECTS(BOX(1, 2, 3, 4), MOC('3/1')) FROM pub.source", "INTERSECTS of a BOX and a MOC", "INTERSECTS"),
    ("SELECT CONTAINS(POINT(ra, dec), MOC('3/1')) FROM pub.source", "has the column hpx29", "CONTAINS"),
    ("SELECT MOC('3/1') FROM pub.source", "a MOC cannot be a result", "MOC"),
    ("SELECT AREA(MOC('t3/1')) FROM pub.source", "'t3/' is not of a MOC of the sky", "MOC"),
    ("SELECT AREA(MOC('30/1')) FROM pub.source", "the orders of a MOC are 0 to 29, not 30", "MOC"),
    ("SELECT AREA(MOC('1 2')) FROM pub.source", "a MOC begins with an order", "MOC"),
    ("SELECT AREA(MOC('0/9-12')) FROM pub.source", "order 0 has the cells 0 to 11, not 9-12", "MOC"),
    ("SELECT AREA(MOC(name)) FROM pub.source", "the argument of MOC is a text", "MOC"),
    ("SELECT REGION('') FROM pub.source", "REGION of ''; it begins with Position, Circle, Box, Polygon", "REGION"),
    ("SELECT REGION('Union (Circle 1 2 3)') FROM pub.source", "not supported: REGION of 'Union", "REGION"),
    ("SELECT REGION('Circle GALACTIC 1 2 3') FROM pub.source", "not supported: 'GALACTIC' in REGION", "REGION"),
    ("SELECT REGION('Circle ICRS 1 2 3 unit rad') FROM pub.source", "not supported: 'unit' in REGION", "REGION"),
    ("SELECT REGION('Circle ICRS 1 2') FROM pub.source", "REGION: Circle has 3 numbers, not 2", "REGION"),
    ("SELECT REGION('Circle ICRS 1 2 -3') FROM pub.source", "a radius must be from 0 to 180 degrees", "REGION"),
    ("SELECT REGION(name) FROM pub.source", "the argument of REGION is a text", "REGION"),
    ("SELECT AREA(ra) FROM pub.source", "a geometry is expected here", "ra"),
]  # fmt: skip


@pytest.mark.parametrize(("query", "message", "at"), REFUSED, ids=range(len(REFUSED)))
def test_refused_by_name_and_place(query: str, message: str, at: str | None) -> None:
    error = refusal(query)
    assert message in str(error)
    assert at is None or error.line is not None
    if at is not None and error.line is not None and error.column is not None:
        line = query.split("\n")[error.line - 1]
        assert line[error.column - 1 :].startswith(at), str(error)
        assert str(error).startswith(f"line {error.line}, column {error.column}: ")


def test_limits_before_anything_is_parsed() -> None:
    deep = MAX_DEPTH - 2
    sql(f"SELECT {'(' * deep}1{')' * deep} FROM pub.source")
    ids = ", ".join(str(n) for n in range(5_800))
    assert ids in sql(f"SELECT ra FROM pub.source WHERE source_id IN ({ids})").sql
    for query, message in {
        f"SELECT {'(' * 800}1{')' * 800}": f"at most {MAX_DEPTH} parentheses",
        f"SELECT ra FROM pub.source WHERE {'NOT ' * 500}flag": "nested too deeply",
        f"SELECT {'- ' * 500}1": "nested too deeply",
        f"SELECT {'CASE WHEN 1=1 THEN ' * 500}1{' END' * 500}": "nested too deeply",
        f"SELECT {'+'.join('1' * 600)}": "more than 500 operators in a row",
        f"SELECT {'||'.join(['name'] * 600)} FROM pub.source": "more than 500 texts in a row",
        f"SELECT {'x' * MAX_CHARACTERS}": f"at most {MAX_CHARACTERS:,} are read",
        f"SELECT {'1,' * MAX_TOKENS}1": f"at most {MAX_TOKENS:,} are read",
        " UNION ".join(["SELECT 1"] * (MAX_SELECTS + 1)): f"more than {MAX_SELECTS} SELECTs",
        f"SELECT 1 FROM {', '.join(f'pub.source AS a{n}' for n in range(MAX_TABLES + 1))}": f"at most {MAX_TABLES} tables",
        f"SELECT {', '.join(['*'] * 200)} FROM pub.source": f"at most {MAX_COLUMNS:,} columns",
    }.items():
        assert message in str(refusal(query)), query[:50]
    # long rows of AND, OR and IN are no depth
    sql(f"SELECT ra FROM pub.source WHERE {' AND '.join(['ra > 1'] * 2000)}")
    sql(f"SELECT ra FROM pub.source WHERE {' OR '.join(['ra > 1'] * 2000)}")


@pytest.mark.parametrize(
    ("query", "limit", "rows"),
    [
        ("SELECT ra FROM pub.source", None, "LIMIT 101"),
        ("SELECT TOP 5 ra FROM pub.source", 5, "LIMIT 5"),
        ("SELECT TOP 101 ra FROM pub.source", 101, "LIMIT 101"),
        ("SELECT TOP 5000 ra FROM pub.source OFFSET 7", 5000, "LIMIT 101 OFFSET 7"),
        ("SELECT ra FROM pub.source UNION SELECT dec FROM pub.source ORDER BY 1", None, 'ORDER BY 1 LIMIT 101'),
        ("SELECT ra FROM pub.source UNION SELECT TOP 3 dec FROM pub.source OFFSET 2", None, "LIMIT 3) LIMIT 101 OFFSET 2"),
        ("WITH a AS (SELECT TOP 9 ra FROM pub.source) SELECT ra FROM a", None, "LIMIT 101"),
        ("SELECT TOP 0 ra FROM pub.source", 0, "LIMIT 0"),
    ],
)  # fmt: skip
def test_rows(query: str, limit: int | None, rows: str) -> None:
    cut = sql(query, maxrec=100)
    assert cut.limit == limit and cut.sql.endswith(f" {rows}")
    assert sql(query, maxrec=0).sql.endswith(("LIMIT 1", "LIMIT 0", "LIMIT 1 OFFSET 7", "LIMIT 1 OFFSET 2"))
    whole = sql(query)
    assert whole.limit == limit and (limit is not None or not re.search(r"LIMIT \d+( OFFSET \d+)?$", whole.sql))


def test_what_is_known_of_the_columns() -> None:
    got = sql(
        "SELECT RA, dec AS delta, flux * 2, -flux, MAX(ra) - MIN(ra), COUNT(*), AVG(flux), seen, name || '!', POINT(ra, dec),"
        " IN_UNIT(ra, 'rad'), COALESCE(flux, 0), flag, fluxes, DISTANCE(ra, dec, 1, 2), LOG10(flux), ra / dec, 1 = 1"
        " FROM pub.source"
    ).columns
    ra = SOURCE.columns[1]
    assert got[0] == ra
    assert got[1] == Column("delta", "double", unit="deg", ucd="pos.eq.dec")
    known = [(c.name, c.datatype, c.arraysize, c.xtype, c.unit) for c in got[2:]]
    assert known == [
        ("value", "double", None, None, None),
        ("value_2", "float", None, None, "erg s-1 cm-2"),
        ("value_3", "double", None, None, "deg"),
        ("count", "long", None, None, None),
        ("avg", "double", None, None, "erg s-1 cm-2"),
        ("seen", "char", "*", "timestamp", None),
        ("value_4", "char", "*", None, None),
        ("point", "double", "2", "point", "deg"),
        ("in_unit", "double", None, None, "rad"),
        ("coalesce", "double", None, None, "erg s-1 cm-2"),
        ("flag", "boolean", None, None, None),
        ("fluxes", "double", "*", None, None),
        ("distance", "double", None, None, "deg"),
        ("log10", "double", None, None, None),
        ("value_5", "double", None, None, None),
        ("value_6", "boolean", None, None, None),
    ]
    nested = sql("SELECT q.a FROM (SELECT ra AS a FROM pub.source) AS q UNION SELECT 1 FROM tap_upload.mine").columns
    assert nested == (Column("a", "double", None, None, "deg", "pos.eq.ra", "char:ra", "right ascension"),)


def test_names_of_columns_are_unique_and_quoted() -> None:
    got = sql('SELECT a.ra, b.ra, a.*, a."odd ""name\'" FROM pub.source AS a JOIN pub.source AS b USING (source_id)')
    names = [c.name for c in got.columns]
    assert names[:2] == ["ra", "ra_2"] and len({n.lower() for n in names}) == len(names)
    assert '"a"."odd ""name\'"' in got.sql
    # a name in another case is another name only in double quotes
    assert '"s"."name"' in sql("SELECT NAME FROM pub.source AS s WHERE 1 = 1 AND name IS NULL").sql
    assert '"s"."Name"' in sql('SELECT "Name" FROM pub.source AS s').sql


def test_tables_are_found_by_name_alone_if_only_one_has_it() -> None:
    assert '"pg_temp"."Mine" AS "mine"' in sql("SELECT mine.x FROM MINE AS mine").sql
    assert "may be pub.source or old.source: write its schema" in str(refusal("SELECT 1 FROM source", (SOURCE, TWIN)))
    assert '"old"."source"' in translate("SELECT source_id FROM old.source", {"old.source": TWIN, "x": SOURCE}).sql
    # WITH comes first, and does not reach out of its query
    assert '"pub"' not in sql("WITH source AS (SELECT 1 AS a FROM mine) SELECT a FROM source").sql
    assert "there is no table b" in str(refusal("WITH a AS (SELECT * FROM b), b AS (SELECT 1) SELECT * FROM a"))


def test_every_part_of_the_sql_is_quoted_or_of_the_list() -> None:
    """No word outside of quotes comes from the query."""
    word = "pg_sleep"
    got = sql(
        f"SELECT '{word}', ra AS {word}, {word}.dec AS \"{word}(1)\" FROM pub.source AS {word}"
        f" WHERE EXISTS (SELECT 1 FROM (SELECT 1 AS {word}) AS {word}) ORDER BY {word}"
    ).sql
    assert word in got and word not in re.sub(r"\"(?:[^\"]|\"\")*\"|'(?:[^']|'')*'", "", got)


def test_backslashes_end_no_text() -> None:
    """Whatever standard_conforming_strings is."""
    assert "E'\\\\'''" in sql("SELECT name FROM pub.source WHERE name = '\\'''").sql


def test_the_page_names_what_there_is() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "howto" / "adql.md").read_text(encoding="utf-8")
    groups = {
        row.split("|")[1].strip(): set(re.findall(r"`([A-Z0-9_]+)`", row))
        for row in page.splitlines()
        if row[:2] == "| "
    }
    assert groups["numbers"] | groups["texts"] == set(FUNCTIONS)
    assert groups["aggregates"] == set(AGGREGATES)
    assert groups["geometry"] | groups["any value"] == {*SPECIAL, "CAST"}
    for limit in (MAX_CHARACTERS, MAX_TOKENS, MAX_SELECTS, MAX_TABLES, MAX_DEPTH):
        assert f"{limit:,}" in page
