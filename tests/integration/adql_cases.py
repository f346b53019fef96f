"""Queries of ADQL over two small tables, each with its answer computed without a database."""

# ruff: noqa: E501 - tables of queries, one a line

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from typing import Any

import astropy.units as u
from astropy.coordinates import SkyCoord, angular_separation

from xcat.adql import Column, Table


@dataclass(frozen=True)
class Star:
    """A row of ``pub.star``."""

    id: int
    ra: float
    dec: float
    name: str | None
    flux: float | None
    mag: float | None
    n: int
    k: int
    flag: bool | None
    seen: str | None
    Size: int  # as the column is called


STARS = (
    Star(9007199254740993, 10.0, 20.0, "Vega", 1.5, 0.5, 7, 1, True, "2020-01-01 00:00:00+00", 1),
    Star(2, 10.5, 20.25, "vega b", 0.125, 12.25, -7, 2, False, "2020-06-01 12:30:00+00", 2),
    Star(3, 359.75, -0.5, "O'Hara", 1e-13, 3.5, 10, 3, True, None, 3),
    Star(4, 0.25, 0.5, "100%_x", None, 7.0, 3, 4, None, "2021-01-01 00:00:00+00", 4),
    Star(5, 120.0, 89.75, None, 2.5, None, 0, 5, False, "2019-12-31 23:59:59+00", 5),
    Star(6, 300.0, 89.5, "a\\b", 1e10, -1.5, 2**31 - 1, 6, True, "2022-02-02 02:02:02+00", 6),
    Star(7, 83.822, -5.391, "θ Ori", -2.675, 4.75, -3, 7, False, "2020-01-01 00:00:01+00", 7),
    Star(8, 266.417, -29.008, "Sgr A*", 0.285, 20.0, 5, 8, True, "1974-02-13 00:00:00+00", 8),
)


@dataclass(frozen=True)
class Mine:
    """A row of ``tap_upload.mine``."""

    id: int
    RA: float
    Dec: float
    radius: float
    label: str


MINE = (
    Mine(2, 10.5, 20.25, 0.01, "same place"),
    Mine(3, 359.9, 0.0, 1.0, "two stars"),
    Mine(20, 200.0, 45.0, 5.0, "nothing"),
    Mine(21, 0.0, 90.0, 0.3, "pole"),
)

STAR = Table(
    "pub.star",
    '"pub"."star"',
    (
        Column("id", "long", ucd="meta.id;meta.main", description="number"),
        Column("ra", "double", unit="deg", ucd="pos.eq.ra;meta.main", description="right ascension"),
        Column("dec", "double", unit="deg", ucd="pos.eq.dec;meta.main", description="declination"),
        Column("name", "char", "*"),
        Column("flux", "double", unit="erg s-1 cm-2"),
        Column("mag", "float", unit="mag"),
        Column("n", "int"),
        Column("k", "short"),
        Column("flag", "boolean"),
        Column("seen", "char", "*", "timestamp"),
        Column("Size", "int", unit="arcsec"),
    ),
    ("ra", "dec"),
    len(STARS),
)
UPLOAD = Table(
    "tap_upload.mine",
    '"adql_upload"."mine"',
    (
        Column("id", "int"),
        Column("RA", "double", unit="deg"),
        Column("Dec", "double", unit="deg"),
        Column("radius", "double", unit="deg"),
        Column("label", "char", "*"),
        Column("pos", "double", "2", "point"),
        Column("beam", "double", "3", "adql:circle"),
        Column("footprint", "double", "*", "polygon"),
    ),
    None,
    len(MINE),
)
TABLES = (STAR, UPLOAD)


def sep(ra1: float, dec1: float, ra2: float, dec2: float) -> float:
    """Separation (deg), by astropy's formula of Vincenty."""
    return math.degrees(float(angular_separation(*map(math.radians, (ra1, dec1, ra2, dec2)))))


def stars(what: Callable[[Star], Any], where: Callable[[Star], Any] = lambda s: True) -> list[tuple[Any, ...]]:
    """Answers of one row per star, in the order of their numbers."""
    rows = [what(s) for s in sorted(STARS, key=lambda s: s.id) if where(s)]
    return [row if isinstance(row, tuple) else (row,) for row in rows]


def ids(where: Callable[[Star], Any]) -> list[tuple[int]]:
    """Numbers of the stars that pass, in order."""
    return [(s.id,) for s in sorted(STARS, key=lambda s: s.id) if where(s)]


def _decimal(x: float, places: int, how: str) -> float:
    return float(Decimal(repr(x)).quantize(Decimal(1).scaleb(-places), rounding=how))


def half_up(x: float, places: int = 0) -> float:
    """Round as people do."""
    return _decimal(x, places, ROUND_HALF_UP)


def cut(x: float, places: int = 0) -> float:
    """Cut decimal digits off."""
    return _decimal(x, places, ROUND_DOWN)


def _number(x: float | None, f: Callable[[float], float]) -> float | None:
    return None if x is None else f(x)


def _circle_area(radius_deg: float) -> float:
    x = math.radians(radius_deg)  # 1 - cos(x) by its series: small circles lose no digits
    height = sum((-1) ** (k + 1) * x ** (2 * k) / math.factorial(2 * k) for k in range(1, 10))
    return 2 * math.pi * height * math.degrees(1) ** 2


def _octant_centroid() -> tuple[float, float]:
    c = SkyCoord(x=1, y=1, z=1, representation_type="cartesian").represent_as("unitspherical")
    return float(c.lon.deg), float(c.lat.deg)


S = "FROM pub.star"
O = "ORDER BY id"  # noqa: E741
_f = [s.flux for s in STARS if s.flux is not None]
_mag = [s.mag for s in STARS if s.mag is not None]
_pairs = [(m.id, s.id) for m in MINE for s in STARS if sep(m.RA, m.Dec, s.ra, s.dec) <= m.radius]
_close = sorted((a.id, b.id) for a in STARS for b in STARS if a.id < b.id and sep(a.ra, a.dec, b.ra, b.dec) < 1.5)

#: A query and its rows.
CASES: list[tuple[str, Sequence[tuple[Any, ...]]]] = [
    # names, columns, literals
    (f"SELECT id, name {S} {O}", stars(lambda s: (s.id, s.name))),
    (f"select ID, NAME from PUB.STAR as T where T.Id <= 3 {O}", [(2, "vega b"), (3, "O'Hara")]),
    ("SELECT star.id FROM star WHERE pub.star.id = 9007199254740993", [(9007199254740993,)]),
    (f'SELECT "Size" {S} WHERE "Size" > 6 {O}', [(7,), (8,)]),
    ('SELECT s."id" AS "Select", s.dec "x y" FROM pub.star AS s WHERE id = 2', [(2, 20.25)]),
    (f"SELECT 'it''s', 0xFF, 1e3, .5, 5., -3, 007, 'a\\', 'θ' {S} WHERE id = 2",
     [("it's", 255, 1000.0, 0.5, 5.0, -3, 7, "a\\", "θ")]),
    (f"SELECT id -- a comment; it's ignored\n{S} -- another\nWHERE id=3--", [(3,)]),
    (f"SELECT 2147483648, 9223372036854775807, 1e300, - -2, +n {S} WHERE id = 4",
     [(2147483648, 9223372036854775807, 1e300, 2, 3)]),
    (f"SELECT COUNT(*) {S};", [(8,)]),
    (f"SELECT ALL k {S} {O}", stars(lambda s: s.k)),
    # conditions
    (f"SELECT id {S} WHERE name = 'O''Hara'", [(3,)]),
    (f"SELECT id {S} WHERE n BETWEEN -3 AND 5 {O}", ids(lambda s: -3 <= s.n <= 5)),
    (f"SELECT id {S} WHERE n NOT BETWEEN -3 AND 5 {O}", ids(lambda s: not -3 <= s.n <= 5)),
    (f"SELECT id {S} WHERE k IN (1, 3, 99) {O}", ids(lambda s: s.k in (1, 3, 99))),
    (f"SELECT id {S} WHERE k NOT IN (1, 3, 99) {O}", ids(lambda s: s.k not in (1, 3, 99))),
    (f"SELECT id {S} WHERE id IN (SELECT id FROM tap_upload.mine) {O}", ids(lambda s: s.id in (2, 3))),
    (f"SELECT id {S} WHERE name LIKE 'v%'", [(2,)]),
    (f"SELECT id {S} WHERE name NOT LIKE '%e%' {O}", ids(lambda s: s.name and "e" not in s.name)),
    (f"SELECT id {S} WHERE name LIKE '_ega'", [(9007199254740993,)]),
    (f"SELECT id {S} WHERE name LIKE 'a\\%'", [(6,)]),  # no character of escape: a backslash is one
    (f"SELECT id {S} WHERE name ILIKE 'VEGA%' {O}", ids(lambda s: s.name and s.name.lower().startswith("vega"))),
    (f"SELECT id {S} WHERE name IS NULL", [(5,)]),
    (f"SELECT id {S} WHERE flux IS NOT NULL AND NOT flux > 0.2 {O}",
     ids(lambda s: s.flux is not None and s.flux <= 0.2)),
    (f"SELECT id {S} WHERE flag {O}", ids(lambda s: s.flag)),
    (f"SELECT id {S} WHERE flag = 1 AND NOT flag = FALSE {O}", ids(lambda s: s.flag)),
    (f"SELECT id {S} WHERE flag <> 1 OR flag IS NULL {O}", ids(lambda s: not s.flag)),
    (f"SELECT id {S} WHERE n > 0 AND (k < 3 OR k > 5) AND NOT (n = 7) {O}",
     ids(lambda s: s.n > 0 and (s.k < 3 or s.k > 5) and s.n != 7)),
    (f"SELECT id {S} WHERE n != 7 AND n <> 10 AND k >= 4 AND k <= 6 {O}", ids(lambda s: 4 <= s.k <= 6)),
    (f"SELECT id {S} AS a WHERE EXISTS (SELECT * FROM tap_upload.mine AS b WHERE b.id = a.id) {O}", [(2,), (3,)]),
    (f"SELECT id {S} WHERE seen >= '2020-01-01T00:00:01' {O}", ids(lambda s: s.seen and s.seen >= "2020-01-01 00:00:01")),
    (f"SELECT id {S} WHERE seen < CAST('2020-01-01' AS TIMESTAMP) {O}", ids(lambda s: s.seen and s.seen < "2020")),
    (f"SELECT id {S} WHERE seen BETWEEN '2020-01-01' AND '2020-12-31T23:59:59Z' {O}",
     ids(lambda s: s.seen and s.seen.startswith("2020"))),
    # arithmetic: integers divide to integers, as in PostgreSQL
    (f"SELECT n / 2, n * k, n - k, -n + 1 {S} WHERE id <> 6 {O}",
     stars(lambda s: (int(s.n / 2), s.n * s.k, s.n - s.k, 1 - s.n), lambda s: s.id != 6)),
    (f"SELECT 1 / 2, -7 / 2, 1 / 2., 2 + 3 * 4, (2 + 3) * 4, 10 - 2 - 3, 2 * -3 {S} WHERE id = 2",
     [(0, -3, 0.5, 14, 20, 5, -6)]),
    (f"SELECT flux * 2, flux / 4, flux + n {S} WHERE flux IS NOT NULL {O}",
     stars(lambda s: (s.flux * 2, s.flux / 4, s.flux + s.n), lambda s: s.flux is not None)),
    (f"SELECT mag * 2, mag + 0.5 {S} {O}", stars(lambda s: (_number(s.mag, lambda m: m * 2), _number(s.mag, lambda m: m + 0.5)))),
    (f"SELECT name || ' (' || CAST(k AS VARCHAR) || ')' {S} {O}",
     stars(lambda s: None if s.name is None else f"{s.name} ({s.k})")),
    # functions
    (f"SELECT LOG(flux), LOG10(flux) {S} WHERE flux > 0 {O}",
     stars(lambda s: (math.log(s.flux), math.log10(s.flux)), lambda s: (s.flux or 0) > 0)),
    (f"SELECT ABS(n), ABS(flux), ABS(mag) {S} {O}", stars(lambda s: (abs(s.n), _number(s.flux, abs), _number(s.mag, abs)))),
    (f"SELECT CEILING(flux), FLOOR(flux), CEILING(-0.5), FLOOR(n) {S} {O}",
     stars(lambda s: (_number(s.flux, math.ceil), _number(s.flux, math.floor), 0.0, s.n))),
    (f"SELECT DEGREES(PI()), RADIANS(ra), PI() {S} {O}", stars(lambda s: (180.0, math.radians(s.ra), math.pi))),
    (f"SELECT EXP(mag), SQRT(ABS(flux)), POWER(2, k), POWER(mag, 2.) {S} WHERE mag < 10 AND flux IS NOT NULL {O}",
     stars(lambda s: (math.exp(s.mag), abs(s.flux) ** 0.5, 2.0**s.k, s.mag**2),
           lambda s: s.mag is not None and s.mag < 10 and s.flux is not None)),
    (f"SELECT MOD(n, 3), MOD(n, -3) {S} {O}", stars(lambda s: (math.fmod(s.n, 3), math.fmod(s.n, -3)))),
    (f"SELECT MOD(mag, 1.5), MOD(-7.5, 2) {S} {O}", stars(lambda s: (_number(s.mag, lambda m: math.fmod(m, 1.5)), -1.5))),
    (f"SELECT ROUND(flux), ROUND(flux, 2), ROUND(n, -1) {S} {O}",
     stars(lambda s: (_number(s.flux, half_up), _number(s.flux, lambda f: half_up(f, 2)), half_up(float(s.n), -1)))),
    (f"SELECT ROUND(2.5), ROUND(-2.5), ROUND(0.285, 2), ROUND(1234567890123456.7, 0), ROUND(2.675, 2) {S} WHERE id = 2",
     [(3.0, -3.0, 0.29, half_up(1234567890123456.7), 2.68)]),
    (f"SELECT TRUNCATE(flux), TRUNCATE(flux, 2), TRUNCATE(-1.999, 1), TRUNCATE(1789, -2) {S} {O}",
     stars(lambda s: (_number(s.flux, cut), _number(s.flux, lambda f: cut(f, 2)), -1.9, 1700.0))),
    (f"SELECT SIN(ra), COS(dec), TAN(dec), COT(dec) {S} {O}",
     stars(lambda s: (math.sin(s.ra), math.cos(s.dec), math.tan(s.dec), 1 / math.tan(s.dec)))),
    (f"SELECT ASIN(k / 8.), ACOS(k / 8.), ATAN(n), ATAN2(n, k), ATAN2(0, -1) {S} {O}",
     stars(lambda s: (math.asin(s.k / 8), math.acos(s.k / 8), math.atan(s.n), math.atan2(s.n, s.k), math.pi))),
    (f"SELECT COUNT(*) {S} WHERE RAND() >= 0 AND RAND() < 1", [(8,)]),
    (f"SELECT SIGN(n) {S} {O}", stars(lambda s: float((s.n > 0) - (s.n < 0)))),
    (f"SELECT LOWER(name), UPPER(name) {S} {O}", stars(lambda s: (s.name and s.name.lower(), s.name and s.name.upper()))),
    (f"SELECT COALESCE(name, '?'), COALESCE(flux, mag, 0) {S} {O}",
     stars(lambda s: (s.name or "?", s.flux if s.flux is not None else s.mag))),
    (f"SELECT CASE WHEN n > 5 THEN 'many' WHEN n > 0 THEN 'few' ELSE 'none' END {S} {O}",
     stars(lambda s: "many" if s.n > 5 else "few" if s.n > 0 else "none")),
    (f"SELECT CASE k WHEN 1 THEN 0.5 WHEN 2 THEN 7 END {S} {O}", stars(lambda s: {1: 0.5, 2: 7.0}.get(s.k))),
    (f"SELECT IN_UNIT(ra, 'arcsec'), IN_UNIT(dec, 'rad'), IN_UNIT(\"Size\", 'deg') {S} {O}",
     stars(lambda s: ((s.ra * u.deg).to_value("arcsec"), (s.dec * u.deg).to_value("rad"), s.Size / 3600))),
    (f"SELECT IN_UNIT(flux, 'W m-2') {S} WHERE flux IS NOT NULL {O}",
     stars(lambda s: (s.flux * u.Unit("erg s-1 cm-2")).to_value("W m-2"), lambda s: s.flux is not None)),
    (f"SELECT IN_UNIT(MAX(ra) - MIN(ra), 'arcmin') {S}", [(60 * (359.75 - 0.25),)]),
    # casts
    (f"SELECT CAST(flux AS VARCHAR), CAST(n AS CHAR(3)), CAST('12' AS INTEGER), CAST(3 AS REAL) {S} WHERE id = 2",
     [("0.125", "-7 ", 12, 3.0)]),
    (f"SELECT CAST(2.6 AS BIGINT), CAST('1e-3' AS DOUBLE PRECISION), CAST(k AS SMALLINT) {S} WHERE id = 3", [(3, 0.001, 3)]),
    (f"SELECT CAST(flag AS INTEGER), CAST(seen AS VARCHAR(10)) {S} {O}",
     stars(lambda s: (None if s.flag is None else int(s.flag), s.seen and s.seen[:10]))),
    # aggregates and groups
    (f"SELECT COUNT(*), COUNT(name), COUNT(DISTINCT flag), SUM(k), AVG(k), MIN(name), MAX(seen) IS NULL {S} WHERE k < 4",
     [(3, 3, 2, 6, 2.0, min(s.name for s in STARS[:3]), False)]),
    (f"SELECT SUM(flux), AVG(flux), MIN(flux), MAX(flux) {S}", [(sum(_f), sum(_f) / len(_f), min(_f), max(_f))]),
    (f"SELECT AVG(mag), SUM(id) {S}", [(sum(_mag) / len(_mag), sum(s.id for s in STARS))]),
    (f"SELECT flag, COUNT(*) AS m, MAX(k) {S} GROUP BY flag HAVING COUNT(*) > 1 ORDER BY m DESC", [(True, 4, 8), (False, 3, 7)]),
    (f"SELECT FLOOR(k / 3.) AS bin, COUNT(*) {S} GROUP BY FLOOR(k / 3.) ORDER BY 1", [(0.0, 2), (1.0, 3), (2.0, 3)]),
    (f"SELECT MOD(k, 2) AS odd, SUM(n) {S} WHERE id <> 6 GROUP BY odd ORDER BY odd",
     [(r, sum(s.n for s in STARS if s.k % 2 == r and s.id != 6)) for r in (0, 1)]),
    (f"SELECT DISTINCT flag {S} WHERE flag IS NOT NULL ORDER BY flag DESC", [(True,), (False,)]),
    (f"SELECT DISTINCT ABS(n) - 1 AS m {S} WHERE k < 3 OR k = 7 ORDER BY ABS(n) - 1", [(2,), (6,)]),
    (f"SELECT NULL + 1, -NULL, ABS(NULL), NULL || 'a', COALESCE(NULL, 2) {S} WHERE id = 2", [(None, None, None, None, 2)]),
    # order and rows
    (f"SELECT TOP 2 id {S} ORDER BY mag DESC, id", [(5,), (8,)]),  # NULL is largest, as in PostgreSQL
    (f"SELECT TOP 3 id {S} ORDER BY id OFFSET 2", [(4,), (5,), (6,)]),
    (f"SELECT id {S} {O} OFFSET 7", [(9007199254740993,)]),
    (f"SELECT id, n * 2 AS twice {S} WHERE k < 4 ORDER BY twice ASC", [(2, -14), (9007199254740993, 14), (3, 20)]),
    (f"SELECT id, n {S} WHERE k < 4 ORDER BY 2 DESC", [(3, 10), (9007199254740993, 7), (2, -7)]),
    (f"SELECT k {S} WHERE k < 4 ORDER BY ABS(n), id", [(2,), (1,), (3,)]),
    (f"SELECT TOP 0 id {S}", []),
    # subqueries, WITH, sets
    (f"SELECT id {S} WHERE n = (SELECT MIN(n) {S})", [(2,)]),
    (f"SELECT (SELECT COUNT(*) FROM tap_upload.mine) AS m, id {S} WHERE id = 3", [(4, 3)]),
    (f"SELECT q.m FROM (SELECT MAX(k) AS m, flag {S} GROUP BY flag) AS q WHERE q.flag = TRUE", [(8,)]),
    ("SELECT a, b FROM (SELECT id, k FROM pub.star) AS q (a, b) WHERE b = 3", [(3, 3)]),
    (f"WITH bright AS (SELECT * {S} WHERE flux > 1), few AS (SELECT TOP 1 id FROM bright ORDER BY id)"
     " SELECT b.id, f.id FROM bright AS b CROSS JOIN few AS f ORDER BY b.id",
     [(5, 5), (6, 5), (9007199254740993, 5)]),
    (f"SELECT id {S} WHERE k < 3 UNION SELECT id FROM tap_upload.mine {O}", [(2,), (3,), (20,), (21,), (9007199254740993,)]),
    (f"SELECT k {S} WHERE k < 3 UNION ALL SELECT k {S} WHERE k < 2 ORDER BY k", [(1,), (1,), (2,)]),
    (f"SELECT id {S} EXCEPT SELECT id FROM tap_upload.mine {O} OFFSET 4", [(8,), (9007199254740993,)]),
    (f"SELECT id {S} WHERE id = 4 UNION SELECT id {S} INTERSECT SELECT id FROM tap_upload.mine {O}", [(2,), (3,), (4,)]),
    (f"(SELECT id {S} WHERE id = 4 UNION SELECT id {S}) INTERSECT SELECT id FROM tap_upload.mine {O}", [(2,), (3,)]),
    (f"(SELECT TOP 1 id {S} ORDER BY id) UNION (SELECT TOP 1 id {S} ORDER BY id DESC) ORDER BY 1", [(2,), (9007199254740993,)]),
    (f"SELECT id {S} WHERE id = 8 UNION SELECT TOP 2 id {S} WHERE id < 4 {O}", [(2,), (3,), (8,)]),
    (f"SELECT k {S} WHERE k = 1 UNION SELECT mag {S} WHERE k = 1 ORDER BY k", [(0.5,), (1.0,)]),
    # joins
    ("SELECT s.id, m.label FROM pub.star AS s JOIN tap_upload.mine AS m ON s.id = m.id ORDER BY s.id",
     [(2, "same place"), (3, "two stars")]),
    ("SELECT m.id, s.k FROM tap_upload.mine AS m LEFT OUTER JOIN pub.star AS s ON s.id = m.id ORDER BY m.id",
     [(2, 2), (3, 3), (20, None), (21, None)]),
    ("SELECT id, k, label FROM pub.star RIGHT JOIN tap_upload.mine USING (id) ORDER BY id",
     [(2, 2, "same place"), (3, 3, "two stars"), (20, None, "nothing"), (21, None, "pole")]),
    ("SELECT COUNT(*), COUNT(id), COUNT(k), COUNT(label) FROM pub.star FULL JOIN tap_upload.mine USING (id)", [(10, 10, 8, 4)]),
    ("SELECT id, label FROM pub.star NATURAL JOIN tap_upload.mine ORDER BY id", [(2, "same place"), (3, "two stars")]),
    ("SELECT COUNT(*) FROM pub.star, tap_upload.mine", [(32,)]),
    ("SELECT a.k, b.k FROM pub.star AS a, pub.star AS b WHERE a.k = b.k + 6 ORDER BY 1", [(7, 1), (8, 2)]),
    ("SELECT a.k FROM (pub.star AS a JOIN pub.star AS b ON a.k = b.k) JOIN tap_upload.mine AS m ON m.id = a.id ORDER BY 1",
     [(2,), (3,)]),
    ("SELECT * FROM (SELECT id, k FROM pub.star) AS a JOIN (SELECT id, label FROM tap_upload.mine) AS b USING (id) ORDER BY 1",
     [(2, 2, "same place"), (3, 3, "two stars")]),
    # geometry
    (f"SELECT id {S} WHERE 1 = CONTAINS(POINT('ICRS', ra, dec), CIRCLE('ICRS', 10, 20, 0.6)) {O}",
     ids(lambda s: sep(s.ra, s.dec, 10, 20) <= 0.6)),
    (f"SELECT id {S} WHERE CONTAINS(POINT(ra, dec), CIRCLE(POINT(0, 0), 0.6)) = 1 {O}", [(3,), (4,)]),
    (f"SELECT id {S} WHERE 0 = CONTAINS(POINT(ra, dec), CIRCLE(10, 20, 30.)) {O}", ids(lambda s: sep(s.ra, s.dec, 10, 20) > 30)),
    (f"SELECT id {S} WHERE CONTAINS(POINT(ra, dec), CIRCLE(10, 20, 100)) <> 0 {O}", ids(lambda s: sep(s.ra, s.dec, 10, 20) <= 100)),
    (f"SELECT id {S} WHERE DISTANCE(ra, dec, 0, 90) < 0.6 {O}", [(5,), (6,)]),
    (f"SELECT id {S} WHERE 0.3 >= DISTANCE(POINT(ra, dec), POINT(0, 90)) {O}", [(5,)]),
    (f"SELECT id {S} WHERE DISTANCE(ra, dec, 10.5, 20.25) <= 0", [(2,)]),
    (f"SELECT id {S} WHERE 1 = CONTAINS(POINT(ra, dec), CIRCLE(10.5, 20.25, 0))", [(2,)]),  # the border is inside
    (f"SELECT DISTANCE(ra, dec, 266.417, -29.008), DISTANCE(POINT(ra, dec), POINT(10, 20)) {S} {O}",
     stars(lambda s: (sep(s.ra, s.dec, 266.417, -29.008), sep(s.ra, s.dec, 10, 20)))),
    ("SELECT m.id, s.id FROM tap_upload.mine AS m JOIN pub.star AS s ON DISTANCE(m.ra, m.dec, s.ra, s.dec) <= m.radius"
     " ORDER BY 1, 2", sorted(_pairs)),
    ("SELECT m.id, s.id FROM pub.star AS s, tap_upload.mine AS m"
     " WHERE 1 = CONTAINS(m.pos, CIRCLE(s.ra, s.dec, 2 * m.radius / 2)) AND s.k > 0 ORDER BY 1, 2", sorted(_pairs)),
    ("SELECT m.id, s.id FROM pub.star AS s, tap_upload.mine AS m WHERE 1 = CONTAINS(POINT(s.ra, s.dec), m.beam) ORDER BY 1, 2",
     sorted(_pairs)),
    ("SELECT a.id, b.id FROM pub.star AS a JOIN pub.star AS b ON DISTANCE(a.ra, a.dec, b.ra, b.dec) < 1.5 AND a.id < b.id"
     " ORDER BY 1, 2", _close),
    ("SELECT m.id, COUNT(s.id) FROM tap_upload.mine AS m LEFT JOIN pub.star AS s"
     " ON DISTANCE(m.ra, m.dec, s.ra, s.dec) <= m.radius GROUP BY m.id ORDER BY m.id",
     [(m.id, sum(i == m.id for i, _ in _pairs)) for m in MINE]),
    (f"SELECT id {S} WHERE 1 = CONTAINS(POINT(ra, dec), POLYGON(9, 19, 11, 19, 11, 21, 9, 21)) {O}", [(2,), (9007199254740993,)]),
    (f"SELECT id {S} WHERE 1 = CONTAINS(POINT(ra, dec), POLYGON(POINT(0, 89.6), POINT(90, 89.6), POINT(180, 89.6), POINT(270, 89.6)))",
     [(5,)]),
    (f"SELECT id {S} WHERE 1 = CONTAINS(POINT(ra, dec), POLYGON(350, -40, 60, -40, 60, 40, 350, 40)) {O}", ids(lambda s: s.k < 5)),
    (f"SELECT id {S} WHERE 1 = CONTAINS(POINT(ra, dec), BOX(0, 0, 1, 1.2)) {O}", [(3,), (4,)]),
    (f"SELECT id {S} WHERE 1 = CONTAINS(POINT(ra, dec), BOX(POINT(0, 0), 0.4, 2))", []),
    ("SELECT m.id FROM tap_upload.mine AS m, pub.star AS s"
     " WHERE s.id = 3 AND 1 = CONTAINS(POINT(s.ra, s.dec), m.footprint) ORDER BY 1", [(3,)]),
    (f"SELECT id {S} WHERE 1 = INTERSECTS(CIRCLE(ra, dec, 0.5), CIRCLE(10, 20, 0.1)) {O}", ids(lambda s: sep(s.ra, s.dec, 10, 20) <= 0.6)),
    (f"SELECT id {S} WHERE 1 = INTERSECTS(CIRCLE(10, 20, 0.6), POINT(ra, dec)) {O}", ids(lambda s: sep(s.ra, s.dec, 10, 20) <= 0.6)),
    (f"SELECT id {S} WHERE 1 = INTERSECTS(POLYGON(9, 19, 11, 19, 11, 19.5), CIRCLE(ra, dec, 0.8)) {O}", [(9007199254740993,)]),
    (f"SELECT id {S} WHERE 1 = INTERSECTS(BOX(0, 0, 0.1, 0.1), CIRCLE(ra, dec, 0.5 * k / k)) {O}", [(3,), (4,)]),
    (f"SELECT id {S} WHERE 1 = CONTAINS(CIRCLE(ra, dec, 0.5), CIRCLE(10, 20, 1.1)) {O}", ids(lambda s: sep(s.ra, s.dec, 10, 20) <= 0.6)),
    (f"SELECT id, CONTAINS(POINT(ra, dec), CIRCLE(10, 20, 0.1)) {S} WHERE k < 3 {O}", [(2, 0), (9007199254740993, 1)]),
    (f"SELECT COORD1(POINT(ra, dec)), COORD2(POINT(ra, dec)), COORDSYS(POINT(ra, dec)) {S} {O}", stars(lambda s: (s.ra, s.dec, "ICRS"))),
    ("SELECT id, COORD1(pos), COORD2(CENTROID(beam)) FROM tap_upload.mine ORDER BY id", [(m.id, m.RA, m.Dec) for m in MINE]),
    (f"SELECT AREA(CIRCLE(1, 2, 3)), AREA(POLYGON(0, 0, 90, 0, 0, 90)), AREA(POINT(1, 2)), AREA(BOX(10, 45, 90, 90)) {S} WHERE id = 2",
     [(_circle_area(3), math.pi / 2 * math.degrees(1) ** 2, 0.0, 4 * math.pi / 6 * math.degrees(1) ** 2)]),
    ("SELECT id, AREA(beam) FROM tap_upload.mine ORDER BY id", [(m.id, _circle_area(m.radius)) for m in MINE]),
    (f"SELECT CENTROID(POLYGON(0, 0, 90, 0, 0, 90)), POINT(ra, dec), CIRCLE(ra, dec, 1) {S} WHERE id = 2",
     [(list(_octant_centroid()), [10.5, 20.25], [10.5, 20.25, 1.0])]),
    (f"SELECT CAST('12.3 45.6' AS POINT), CAST('1 2 3' AS CIRCLE), POLYGON(1, 2, 3, 4, 5, 0) {S} WHERE id = 2",
     [([12.3, 45.6], [1.0, 2.0, 3.0], [1.0, 2.0, 3.0, 4.0, 5.0, 0.0])]),
]  # fmt: skip
