"""Relations of regions in q3c: the only module of this room that writes searches by position.

q3c needs care. The indexed, larger table is last in a join. Cones beyond 20 degrees are wrong in versions before 2.0.5,
a radius that is no number finds everything, and the border of a cone is outside, where ADQL has it inside. So the
index always searches a cone that is slightly larger, and the distance decides; where q3c cannot search, the distance
alone does. Polygons have great circles as edges, as in q3c; those beyond its reach are decided in the plane of their
gnomonic projection. ``BOX`` is what STC means by it: its sides are great circles at right angles to its arms. How
circles and polygons lie to polygons, functions of the database say (sql/functions/regions.sql).
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from xcat.adql.model import Refusal
from xcat.adql.scope import Scope, Source
from xcat.adql.shapes import article, centre, distance, listed, polygon, vertices
from xcat.adql.sphere import Polygon, coordinates
from xcat.adql.values import BOOLEAN, DOUBLE, Region, Value, as_double, constant, made
from xcat.arrays import FloatArray

MAX_CONE_DEG = 20.0
#: q3c refuses polygons of a diameter of about 23 degrees and more.
MAX_POLYGON_RADIUS_DEG = 11.0
_MARGIN_DEG = 1e-9
#: The column of a position's nested HEALPix cell of order 29, which searches by MOC need.
CELL_COLUMN = "hpx29"
_INDEXED_RANGES = 50


def within(scope: Scope, a: Region, b: Region, radius: Value, *, border: bool = True) -> Value:
    """Whether two points are closer than a radius (deg), found by the index of one of them where there is one."""
    separation = distance(a, b)
    values = (a, b, radius)
    decides = f"{separation.sql} {'<=' if border else '<'} {as_double(radius)}"
    if radius.number is not None and radius.number < 0:
        return made("false", BOOLEAN, *values)
    if radius.number is not None and radius.number > MAX_CONE_DEG:
        return made(f"({decides})", BOOLEAN, *values)
    (first, _), (second, source) = _indexed_last(scope, a, b)
    if not second.tables or first.tables & second.tables or radius.tables & second.tables:
        return made(f"({decides})", BOOLEAN, *values)  # no other row to search for
    if radius.number is not None:
        reach = constant(float(radius.number) + _MARGIN_DEG).sql
    else:
        reach = f"{as_double(radius)} + {_MARGIN_DEG}"
        decides = f"{decides} AND {_can_be_searched(radius)}"
    if not first.tables and not radius.tables:
        cone = f"pub.in_cone({listed(second)}, {listed(first)}, {reach})"
        return made(f"({cone} AND {decides})", BOOLEAN, *values)
    search = made(f"(public.q3c_join({listed(first)}, {listed(second)}, {reach}) AND {decides})", BOOLEAN, *values)
    return replace(search, searches=frozenset([source.number, source.base]) if source else frozenset())


def _can_be_searched(radius: Value) -> str:
    """A condition that ends the query with a message if a radius from a column is one that q3c gets wrong.

    It reads the radius alone, so that PostgreSQL looks at it before it joins. Inside the search it would make the
    radius too costly an expression for PostgreSQL to look through q3c_join to the index.
    """
    sql = as_double(radius)
    message = "a radius from a column must be a number up to 20 degrees, and is "
    wrong = f"CAST('{message}' || {sql} AS double precision) IS NULL"
    return f"CASE WHEN {sql} <= {MAX_CONE_DEG:g} THEN true ELSE {wrong} END"


def _indexed_last(scope: Scope, a: Region, b: Region) -> list[tuple[Region, Source | None]]:
    """The two points and their tables, the one that the index finds last: of the deeper query, of the larger table."""
    ranks = []
    points = [(point, _searchable(scope, point)) for point in (a, b)]
    for point, source in points:
        n_rows = source.table.n_rows or 0 if source and source.table else 0
        found = (source.depth, source.base == source.number, n_rows) if source else (0, False, 0)
        ranks.append((bool(point.tables), source is not None, *found))
    return points[::-1] if ranks[0] > ranks[1] else points


def _searchable(scope: Scope, point: Region) -> Source | None:
    """The table of FROM whose position a point is, if it has an index."""
    origins = [p.origin for p in point.parts]
    if origins[0] is None or origins[1] is None or origins[0][0] != origins[1][0]:
        return None
    source = scope.find(origins[0][0])
    position = source.table.position if source and source.table else None
    return source if position == (origins[0][1], origins[1][1]) else None


def contains(scope: Scope, inner: Region, outer: Region) -> Value:
    """Whether the second geometry holds the first one, its border included."""
    if inner.kind == "point":
        return _holds(scope, outer, inner)
    if "moc" in (inner.kind, outer.kind) or outer.kind == "point":
        raise Refusal(f"not supported: CONTAINS of {article(inner)} in {article(outer)}")
    if outer.kind == "circle":
        if inner.kind == "circle":
            reach = f"least(180, {distance(centre(inner), centre(outer)).sql} + {as_double(inner.parts[2])})"
            test = f"{reach} <= {as_double(outer.parts[2])}"
        else:  # what is opposite the circle is as far from the polygon as the rest of the sky is wide
            radius = as_double(outer.parts[2])
            test = f"({radius} >= 180 OR {_depth(inner, centre(outer), sign='- ')} <= {radius} - 180)"
    elif inner.kind == "circle":
        test = f"{_depth(outer, centre(inner))} >= {as_double(inner.parts[2])}"
    else:
        test = f"pub.polygon_within({vertices(inner)}, {vertices(outer)})"
    return _searched(scope, inner, outer, test)


def intersects(scope: Scope, a: Region, b: Region) -> Value:
    """Whether two geometries have a point in common."""
    if b.kind == "point":
        a, b = b, a
    if a.kind == "point":
        return _holds(scope, b, a)
    if "moc" in (a.kind, b.kind):
        raise Refusal(f"not supported: INTERSECTS of {article(a)} and {article(b)}")
    if (a.kind, b.kind) == ("circle", "circle"):
        return within(scope, centre(a), centre(b), _sum(a.parts[2], b.parts[2]))
    if a.kind == "circle":
        a, b = b, a
    if b.kind == "circle":
        test = f"{_depth(a, centre(b))} >= - {as_double(b.parts[2])}"
    else:
        test = f"pub.polygons_meet({vertices(a)}, {vertices(b)})"
    return _searched(scope, a, b, test)


def _sum(a: Value, b: Value) -> Value:
    if a.number is not None and b.number is not None:
        return constant(float(a.number) + float(b.number))
    return made(f"({as_double(a)} + {as_double(b)})", DOUBLE, a, b)


def _depth(shape: Region, point: Region, sign: str = "") -> str:
    """SQL of the depth of a point in a box or polygon (deg); with a sign, of what is opposite to the point."""
    ra, dec = (as_double(p) for p in point.parts)
    unit = (f"cosd({dec}) * cosd({ra})", f"cosd({dec}) * sind({ra})", f"sind({dec})")
    return f"pub.polygon_depth({vertices(shape)}, {', '.join(f'{sign}{part}' for part in unit)})"


def _searched(scope: Scope, a: Region, b: Region, test: str) -> Value:
    """A test of two regions that is true only where they meet: the index finds their centres near each other first."""
    (first, reach), (second, other) = _bounds(a), _bounds(b)
    if first is None or second is None or reach + other >= MAX_CONE_DEG:
        return made(f"({test})", BOOLEAN, a, b)
    cone = within(scope, first, second, constant(reach + other + _MARGIN_DEG))
    return replace(cone, sql=f"({cone.sql} AND {test})")


def _bounds(shape: Region) -> tuple[Region | None, float]:
    """The centre and radius (deg) of a circle that holds a region; None if the query does not give its size."""
    if (fixed := polygon(shape)) is not None:
        return Region("point", tuple(constant(x) for x in coordinates(fixed.centre))), fixed.radius_deg
    sizes = [float(p.number) for p in shape.parts[2:] if p.number is not None]
    if shape.kind == "point" or (shape.kind == "circle" and sizes):
        return centre(shape), sum(sizes)
    if shape.kind == "box" and len(sizes) == 2:
        return centre(shape), math.degrees(math.atan(math.hypot(*(math.tan(math.radians(x) / 2) for x in sizes))))
    return None, math.nan


def _holds(scope: Scope, shape: Region, point: Region) -> Value:
    if shape.kind == "point":
        return within(scope, shape, point, constant(0.0))
    if shape.kind == "circle":
        return within(scope, point, centre(shape), shape.parts[2])
    if shape.kind == "box":
        return _in_box(scope, shape, point)
    if shape.kind == "moc":
        return _in_moc(scope, shape, point)
    fixed = polygon(shape)
    if fixed is not None and fixed.radius_deg > MAX_POLYGON_RADIUS_DEG:
        return _in_large_polygon(scope, fixed, point)
    return made(f"public.q3c_poly_query({listed(point)}, {vertices(shape)})", BOOLEAN, shape, point)


def _in_box(scope: Scope, box: Region, point: Region) -> Value:
    """A box is a rectangle in the gnomonic projection around its centre."""
    ra, dec = (as_double(p) for p in point.parts)
    ra0, dec0, width, height = (as_double(p) for p in box.parts)
    turn = f"radians({ra} - {ra0})"
    sin, cos, sin0, cos0 = (f"{f}(radians({x}))" for x in (dec, dec0) for f in ("sin", "cos"))
    depth = f"({sin} * {sin0} + {cos} * {cos0} * cos({turn}))"
    test = (
        f"({depth} > 0 AND abs({cos} * sin({turn})) <= tan(radians({width}) / 2) * {depth}"
        f" AND abs({sin} * {cos0} - {cos} * {sin0} * cos({turn})) <= tan(radians({height}) / 2) * {depth})"
    )
    return _searched(scope, box, point, test)


def _in_moc(scope: Scope, moc: Region, point: Region) -> Value:
    """The cell of a position is in one of the ranges; few of them are looked up in the index, many in a multirange."""
    source = _searchable(scope, point)
    cell = next((f.sql for f in source.fields if f.column.name == CELL_COLUMN), None) if source else None
    if source is None or source.table is None or not source.table.name.startswith("pub.") or cell is None:
        raise Refusal(
            f"not supported: a MOC with other points than the positions of a table that has the column {CELL_COLUMN}"
        )
    if not moc.cells:
        return made("false", BOOLEAN, point)
    if len(moc.cells) <= _INDEXED_RANGES:
        ranges = " OR ".join(f"{cell} BETWEEN {first} AND {last}" for first, last in moc.cells)
        return made(f"({ranges})", BOOLEAN, point)
    ranges = ",".join(f"[{first},{last}]" for first, last in moc.cells)
    within_all = f"{cell} BETWEEN {moc.cells[0][0]} AND {moc.cells[-1][1]}"
    return made(f"({within_all} AND {cell} <@ CAST('{{{ranges}}}' AS int8multirange))", BOOLEAN, point)


def _in_large_polygon(scope: Scope, polygon: Polygon, point: Region) -> Value:
    """A straight line from the point in the plane of the projection crosses an odd number of edges."""
    depth, u, v = _projected(polygon, point)
    starts, ends = polygon.plane, np.roll(polygon.plane, -1, axis=0)
    u1, v1, u2, v2 = (_array(numbers) for numbers in (*starts.T, *ends.T))
    test = (
        f"(SELECT count(*) % 2 = 1 FROM (SELECT {u} / q.w AS u, {v} / q.w AS v FROM (SELECT {depth} AS w) AS q"
        f" WHERE q.w > 0) AS p JOIN unnest({u1}, {v1}, {u2}, {v2}) AS e (u1, v1, u2, v2)"
        " ON (e.v1 > p.v) <> (e.v2 > p.v) AND p.u < (e.u2 - e.u1) * (p.v - e.v1) / (e.v2 - e.v1) + e.u1)"
    )
    shape = Region("polygon", tuple(constant(float(x)) for x in polygon.coordinates.ravel()))
    return _searched(scope, shape, point, test)


def _projected(polygon: Polygon, point: Region) -> tuple[str, str, str]:
    """SQL of the point's components along the polygon's centre and its two axes."""
    ra, dec = (f"radians({as_double(p)})" for p in point.parts)
    unit = (f"cos({dec}) * cos({ra})", f"cos({dec}) * sin({ra})", f"sin({dec})")

    def along(axis: FloatArray) -> str:
        return "(" + " + ".join(f"{float(n)!r} * {x}" for n, x in zip(axis, unit, strict=True)) + ")"

    first, second = polygon.axes
    return along(polygon.centre), along(first), along(second)


def _array(numbers: FloatArray) -> str:
    return f"CAST(ARRAY[{', '.join(repr(float(x)) for x in numbers)}] AS double precision[])"
