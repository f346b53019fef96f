"""Regions of ADQL in a real database: every pair of kinds by value, from the query and from columns; REGION and MOC."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator

import numpy as np
import psycopg
import pytest
import sphere_oracle as oracle
from astropy import units as u
from astropy.coordinates import Latitude, Longitude
from astropy_healpix import HEALPix
from mocpy import MOC
from sphere_oracle import Shape

from xcat.adql import Column, Table, translate
from xcat.config import Settings
from xcat.database.connection import Connection, conninfo

KINDS = ("circle", "box", "polygon")
PAIRS = [(a, b) for a in KINDS for b in KINDS]
_EACH = 20
_NUMBERS = [f"{side}_{name}" for side in "ab" for name in ("ra", "dec", "size", "height")]
PAIR = Table(
    "tap_upload.pair",
    '"adql_upload"."pair"',
    (
        Column("id", "int"),
        Column("kinds", "char", "*"),
        *(Column(name, "double") for name in _NUMBERS),
        *(Column(f"{side}_polygon", "double", "*", "polygon") for side in "ab"),
    ),
)
SKY = Table(
    "pub.sky", '"pub"."sky"', tuple(Column(n, t) for n, t in (("ra", "double"), ("dec", "double"), ("hpx29", "long"))),
    ("ra", "dec"), 100_000,
)  # fmt: skip
TABLES = (PAIR, SKY)


def _shape(choose: random.Random, kind: str, ra: float, dec: float) -> Shape:
    size = choose.choice([0.5, 2.0, 8.0, 25.0])
    if kind == "circle":
        return Shape(kind, (ra, dec, choose.choice([size, size, size, 110.0, 165.0])))
    if kind == "box":
        return Shape(kind, (ra, dec, size, size * choose.uniform(0.3, 3)))
    turns = sorted(choose.sample(range(24), choose.randint(5, 9)))
    turns = turns if max(np.diff([*turns, turns[0] + 24])) < 12 else [0, 6, 12, 18]
    shares = [choose.uniform(0.3, 1) for _ in turns]
    vertices = oracle.degrees(oracle.star(ra, dec, size, np.array(turns) / 24, shares))
    return Shape(kind, tuple(float(x) for x in np.column_stack(vertices).ravel()))


def _pairs(kinds: tuple[str, str]) -> list[tuple[Shape, Shape]]:
    choose = random.Random(" ".join(kinds))
    made = []
    for _ in range(_EACH):
        ra, dec = choose.choice([0.0, 83.6, 359.9]), choose.choice([0.0, -29.0, 89.5, -90.0])
        away, turn = choose.choice([0.0, 1.0, 6.0, 30.0, 120.0]), choose.random()
        ra2, dec2 = oracle.degrees(oracle.star(ra, dec, away, [turn], [1.0]))
        made.append((_shape(choose, kinds[0], ra, dec), _shape(choose, kinds[1], float(ra2[0]), float(dec2[0]))))
    return made


def _text(shape: Shape) -> str:
    return f"{shape.kind.upper()}({', '.join(map(repr, shape.numbers))})"


def _of_columns(kind: str, side: str) -> str:
    names = {"circle": ("ra", "dec", "size"), "box": ("ra", "dec", "size", "height")}.get(kind)
    return f"{side}_polygon" if names is None else f"{kind.upper()}({', '.join(f'{side}_{n}' for n in names)})"


@pytest.fixture(scope="module")
def conn(module_settings: Settings) -> Iterator[Connection]:
    with psycopg.connect(conninfo(str(module_settings.database_url))) as conn:
        conn.execute("CREATE SCHEMA adql_upload")
        conn.execute(
            f"CREATE TABLE adql_upload.pair (id integer, kinds text, {' float8, '.join(_NUMBERS)} float8,"
            " a_polygon float8[], b_polygon float8[])"
        )
        for kinds in PAIRS:
            for number, pair in enumerate(_pairs(kinds)):
                flat = [
                    x for s in pair for x in (*(s.numbers if s.kind != "polygon" else ()), None, None, None, None)[:4]
                ]
                arrays = [list(s.numbers) if s.kind == "polygon" else None for s in pair]
                row = [number, " ".join(kinds), *flat, *arrays]
                conn.execute(f"INSERT INTO adql_upload.pair VALUES ({', '.join(['%s'] * 12)})", row)
        rng = np.random.default_rng(1)
        ra, dec = rng.uniform(0, 360, 20_000), rng.uniform(-90, 90, 20_000)
        cells = HEALPix(2**29, "nested").lonlat_to_healpix(*_angles(ra, dec))
        conn.execute("CREATE TABLE pub.sky (ra float8, dec float8, hpx29 bigint)")
        with conn.cursor() as cursor, cursor.copy("COPY pub.sky FROM STDIN") as copy:
            for row in zip(ra.tolist(), dec.tolist(), cells.tolist(), strict=True):
                copy.write_row(row)
        conn.execute("CREATE INDEX sky_cell ON pub.sky (hpx29); ANALYZE pub.sky")
        conn.commit()
        yield conn


def _angles(ra: oracle.Array, dec: oracle.Array) -> tuple[Longitude, Latitude]:
    return Longitude(ra * u.deg), Latitude(dec * u.deg)


def _rows(conn: Connection, query: str) -> list[tuple[object, ...]]:
    return conn.execute(translate(query, TABLES).sql.encode()).fetchall()


@pytest.mark.parametrize("kinds", PAIRS, ids="-".join)
def test_regions_meet_and_hold_each_other(conn: Connection, kinds: tuple[str, str]) -> None:
    """Numbers of the query and numbers of columns give what many points of both regions say."""
    a, b = (_of_columns(kind, side) for kind, side in zip(kinds, "ab", strict=True))
    of_columns = _rows(
        conn, f"SELECT INTERSECTS({a}, {b}), CONTAINS({a}, {b}) FROM tap_upload.pair WHERE kinds = '{' '.join(kinds)}'"
        " ORDER BY id"
    )  # fmt: skip
    sky, seen = oracle.sphere(), Counter[tuple[bool, bool]]()
    for (first, second), columns in zip(_pairs(kinds), of_columns, strict=True):
        meet, held, is_sure = oracle.relation(first, second, sky)
        query = f"SELECT TOP 1 INTERSECTS({_text(first)}, {_text(second)}), CONTAINS({_text(first)}, {_text(second)})"
        (fixed,) = _rows(conn, f"{query} FROM tap_upload.pair")
        assert fixed == columns, (first, second)
        if is_sure:
            assert fixed == (meet, held), (first, second)
            seen[meet, held] += 1
    assert seen.total() > _EACH / 2 and len(seen) == 3, seen


SQUARE = [10.0, 10.0, 20.0, 10.0, 20.0, 20.0, 10.0, 20.0]


@pytest.mark.parametrize(
    ("a", "b", "meet", "held"),
    [
        (SQUARE, SQUARE, True, True),
        ([*SQUARE, *SQUARE[:2]], SQUARE[2:] + SQUARE[:2], True, True),  # closed, and from another vertex
        (SQUARE, [20.0, 20.0, 30.0, 20.0, 30.0, 30.0, 20.0, 30.0], True, False),  # a vertex in common
        (SQUARE, [20.0, 10.0, 30.0, 10.0, 30.0, 20.0, 20.0, 20.0], True, False),  # an edge
        ([10.0, 10.0, 20.0, 10.0, 20.0, 20.0], SQUARE, True, True),  # half of it
        # the mouth of a C: its vertices and edges are of the C, but for one that closes it
        ([10.0, 5.0, 10.0, 1.0, 2.0, 1.0, 2.0, 5.0],
         [10.0, 5.0, 10.0, 6.0, 0.0, 6.0, 0.0, 0.0, 10.0, 0.0, 10.0, 1.0, 2.0, 1.0, 2.0, 5.0], True, False),
    ],
)  # fmt: skip
def test_regions_that_touch(conn: Connection, a: list[float], b: list[float], meet: bool, held: bool) -> None:
    first, second = (f"POLYGON({', '.join(map(repr, numbers))})" for numbers in (a, b))
    query = f"SELECT TOP 1 INTERSECTS({first}, {second}), CONTAINS({first}, {second}) FROM tap_upload.pair"
    assert _rows(conn, query) == [(meet, held)]


def test_the_whole_sky_holds_everything(conn: Connection) -> None:
    whole = "CIRCLE(10, 20, 180)"
    shapes = (
        "CIRCLE(190, -20, 5)",
        "CIRCLE(190, -20, 180)",
        "BOX(190, -20, 5, 5)",
        "POLYGON(185, -25, 195, -25, 190, -15)",
    )
    for shape in shapes:
        query = f"SELECT TOP 1 CONTAINS({shape}, {whole}), INTERSECTS({whole}, {shape}) FROM tap_upload.pair"
        assert _rows(conn, query) == [(1, 1)], shape


@pytest.mark.parametrize("polygon", ["{1,2,3,4}", "{0,0,1,1,NaN,2}", "{0,0,90,0,180,0,270,0}", "{0,0,0,91,1,1}", "{1}"])
def test_an_array_that_is_no_polygon_ends_the_query(conn: Connection, polygon: str) -> None:
    with conn.transaction(force_rollback=True):
        conn.execute(f"UPDATE adql_upload.pair SET a_polygon = '{polygon}' WHERE kinds = 'polygon box' AND id = 0")
        with pytest.raises(psycopg.DataError, match="a polygon is ra, dec"), conn.transaction():
            _rows(conn, "SELECT INTERSECTS(a_polygon, CIRCLE(1, 2, 3)) FROM tap_upload.pair")


def test_a_region_in_a_text_is_the_same_region(conn: Connection) -> None:
    for text, same in {
        "Circle ICRS 10 20 5": "CIRCLE(10, 20, 5)",
        "BOX icrs GEOCENTER 10 -20 5 7.5": "BOX(10, -20, 5, 7.5)",
        "polygon UNKNOWNFRAME BARYCENTER SPHERICAL2 9 19 11. 19 11 2.1e1": "POLYGON(9, 19, 11, 19, 11, 21)",
        " Position  1.5 -2 ": "POINT(1.5, -2)",
    }.items():
        ((region, other),) = _rows(conn, f"SELECT TOP 1 REGION('{text}') AS a, {same} AS b FROM tap_upload.pair")
        assert region == other
    inside = [_rows(conn, f"SELECT COUNT(*) FROM pub.sky WHERE 1 = CONTAINS(POINT(ra, dec), {region})")
              for region in ("REGION('Circle 10 20 15')", "CIRCLE(10, 20, 15)")]  # fmt: skip
    assert inside[0] == inside[1] and inside[0][0][0] > 100  # type: ignore[operator]


@pytest.mark.parametrize("order", [2, 8])
def test_a_moc_holds_what_mocpy_says(conn: Connection, order: int) -> None:
    """With few ranges by their index, with many by one multirange; also over a query in FROM."""
    moc = MOC.from_cone(lon=Longitude(83.6 * u.deg), lat=Latitude(22 * u.deg), radius=30 * u.deg, max_depth=order)
    text = moc.to_string("ascii").replace("\n", " ")
    ra, dec = np.array(_rows(conn, "SELECT ra, dec FROM pub.sky"), float).T
    expected = int(moc.contains_lonlat(*_angles(ra, dec)).sum())
    query = f"SELECT COUNT(*) FROM pub.sky WHERE 1 = CONTAINS(POINT(ra, dec), MOC('{text}'))"
    nested = (
        f"SELECT COUNT(*) FROM (SELECT * FROM pub.sky) AS s WHERE INTERSECTS(MOC('{text}'), POINT(s.ra, s.dec)) = 1"
    )
    assert _rows(conn, query) == _rows(conn, nested) == [(expected,)]
    assert 0 < expected < len(ra) / 2
    plan = "\n".join(str(r[0]) for r in conn.execute(b"EXPLAIN " + translate(query, TABLES).sql.encode()))
    assert "sky_cell" in plan
    ((area,),) = _rows(conn, f"SELECT TOP 1 AREA(MOC('{text}')) FROM pub.sky")
    assert area == pytest.approx(moc.sky_fraction * 4 * np.pi * np.degrees(1) ** 2, rel=1e-12)
    assert _rows(conn, "SELECT COUNT(*) FROM pub.sky WHERE 1 = CONTAINS(POINT(ra, dec), MOC('3/'))") == [(0,)]
