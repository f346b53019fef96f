"""Geometry of ADQL in q3c: the only module of this room that writes searches by position.

q3c needs care. The indexed, larger table is last in a join. Cones beyond 20 degrees are wrong in versions before 2.0.5,
a radius that is no number finds everything, and the border of a cone is outside, where ADQL has it inside. So the
index always searches a cone that is slightly larger, and the distance decides; where q3c cannot search, the distance
alone does. Polygons have great circles as edges, as in q3c; those beyond its reach are decided in the plane of their
gnomonic projection. ``BOX`` is what STC means by it: its sides are great circles at right angles to its arms.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from xcat.adql.model import Column, Refusal
from xcat.adql.scope import Scope, Source
from xcat.adql.sphere import Polygon, box_corners, coordinates
from xcat.adql.values import BOOLEAN, DOUBLE, Region, Value, as_double, constant, made
from xcat.arrays import FloatArray

MAX_CONE_DEG = 20.0
#: q3c refuses polygons of a diameter of about 23 degrees and more.
MAX_POLYGON_RADIUS_DEG = 11.0
_MARGIN_DEG = 1e-9
_PARTS = {"point": 2, "circle": 3, "box": 4}


def region(kind: str, parts: tuple[Value, ...], frame: str = "") -> Region:
    """A geometry from its numbers, which are checked as far as the query gives them."""
    if kind == "polygon" and (len(parts) < 6 or len(parts) % 2):
        raise Refusal("POLYGON needs the two coordinates of three vertices or more")
    for ra_dec in range(0, 2 if kind != "polygon" else len(parts), 2):
        dec = parts[ra_dec + 1].number
        if dec is not None and not abs(dec) <= 90:
            raise Refusal(f"a declination is from -90 to 90 degrees, not {dec}")
    largest = {"circle": 180.0, "box": 178.0}.get(kind, math.inf)
    for size in parts[2:] if kind in ("circle", "box") else ():
        if size.number is not None and not 0 <= size.number <= largest:
            what = "a radius" if kind == "circle" else "width and height of BOX"
            raise Refusal(f"{what} must be from 0 to {largest:g} degrees, not {size.number}")
    made_region = Region(kind, parts, frame=frame)
    if kind == "polygon":
        _polygon(made_region)
    return made_region


def of_column(value: Value) -> Region:
    """The geometry that a column holds as an array, as DALI writes it."""
    kind = value.kind
    if kind == "polygon":
        return Region(kind, (), array=value)
    parts = tuple(
        Value(f"({value.sql})[{n}]", DOUBLE, tables=value.tables, origin=None) for n in range(1, _PARTS[kind] + 1)
    )
    return Region(kind, parts)


def as_value(shape: Region) -> Value:
    """A geometry in a result: an array with DALI's xtype."""
    if shape.array is not None:
        return shape.array
    if shape.kind == "box":
        corners = _polygon(shape)
        if corners is None:
            raise Refusal("a BOX around a column cannot be a result: use POLYGON")
        shape = Region("polygon", tuple(constant(x) for x in _coordinates(corners)))
    column = Column("", "double", str(len(shape.parts)), shape.kind, unit="deg")
    return made(f"ARRAY[{', '.join(as_double(p) for p in shape.parts)}]", column, *shape.parts)


def distance(a: Region, b: Region) -> Value:
    """Distance of two points along the great circle (deg)."""
    for shape in (a, b):
        if shape.kind != "point":
            raise Refusal(f"DISTANCE is between two points, not {_article(shape.kind)}")
    return made(f"public.q3c_dist({_list(a)}, {_list(b)})", Column("", "double", unit="deg"), a, b)


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
        cone = f"public.q3c_radial_query({_list(second)}, {_list(first)}, {reach})"
        return made(f"({cone} AND {decides})", BOOLEAN, *values)
    search = made(f"(public.q3c_join({_list(first)}, {_list(second)}, {reach}) AND {decides})", BOOLEAN, *values)
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
    if (inner.kind, outer.kind) == ("circle", "circle"):
        separation = f"public.q3c_dist({_list(_centre(inner))}, {_list(_centre(outer))})"
        test = f"({separation} + {as_double(inner.parts[2])} <= {as_double(outer.parts[2])})"
        return made(test, BOOLEAN, inner, outer)
    raise Refusal(f"not supported: CONTAINS of {_article(inner.kind)} in {_article(outer.kind)}")


def intersects(scope: Scope, a: Region, b: Region) -> Value:
    """Whether two geometries have a point in common."""
    if b.kind == "point":
        a, b = b, a
    if a.kind == "point":
        return _holds(scope, b, a)
    if (a.kind, b.kind) == ("circle", "circle"):
        radii = (a.parts[2], b.parts[2])
        if all(r.number is not None for r in radii):
            total = constant(float(radii[0].number or 0) + float(radii[1].number or 0))
        else:
            total = made(f"({as_double(radii[0])} + {as_double(radii[1])})", DOUBLE, *radii)
        return within(scope, _centre(a), _centre(b), total)
    if a.kind == "circle":
        a, b = b, a
    polygon = _polygon(a)
    if b.kind == "circle" and polygon is not None:
        return _near(scope, polygon, b)
    raise Refusal(f"not supported: INTERSECTS of {_article(a.kind)} and {_article(b.kind)}")


def _holds(scope: Scope, shape: Region, point: Region) -> Value:
    if shape.kind == "point":
        return within(scope, shape, point, constant(0.0))
    if shape.kind == "circle":
        return within(scope, point, _centre(shape), shape.parts[2])
    if shape.kind == "box":
        return _in_box(scope, shape, point)
    polygon = _polygon(shape)
    if polygon is None:
        vertices = shape.array.sql if shape.array else f"ARRAY[{_list(shape)}]"
        return made(f"public.q3c_poly_query({_list(point)}, {vertices})", BOOLEAN, shape, point)
    return _in_polygon(scope, polygon, point)


def _in_polygon(scope: Scope, polygon: Polygon, point: Region) -> Value:
    if polygon.radius_deg <= MAX_POLYGON_RADIUS_DEG:
        vertices = ", ".join(repr(x) for x in _coordinates(polygon))
        return made(
            f"public.q3c_poly_query({_list(point)}, CAST(ARRAY[{vertices}] AS double precision[]))", BOOLEAN, point
        )
    return _in_large_polygon(scope, polygon, point)


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
    values = (box, point)
    sizes = [float(p.number) for p in box.parts[2:] if p.number is not None]
    if len(sizes) < 2:
        return made(test, BOOLEAN, *values)
    reach = math.degrees(math.atan(math.hypot(*(math.tan(math.radians(size) / 2) for size in sizes))))
    if reach > MAX_CONE_DEG:
        return made(test, BOOLEAN, *values)
    cone = within(scope, point, _centre(box), constant(reach + _MARGIN_DEG))
    return replace(cone, sql=f"({cone.sql} AND {test})")


def _in_large_polygon(scope: Scope, polygon: Polygon, point: Region) -> Value:
    """A straight line from the point in the plane of the projection crosses an odd number of edges."""
    depth, u, v = _projected(polygon, point)
    u1, v1, u2, v2 = _edges(polygon)
    test = (
        f"(SELECT count(*) % 2 = 1 FROM (SELECT {u} / q.w AS u, {v} / q.w AS v FROM (SELECT {depth} AS w) AS q"
        f" WHERE q.w > 0) AS p JOIN unnest({u1}, {v1}, {u2}, {v2}) AS e (u1, v1, u2, v2)"
        " ON (e.v1 > p.v) <> (e.v2 > p.v) AND p.u < (e.u2 - e.u1) * (p.v - e.v1) / (e.v2 - e.v1) + e.u1)"
    )
    if polygon.radius_deg >= MAX_CONE_DEG:
        return made(test, BOOLEAN, point)
    centre = Region("point", tuple(constant(x) for x in coordinates(polygon.centre)))
    cone = within(scope, point, centre, constant(polygon.radius_deg + _MARGIN_DEG))
    return made(f"({cone.sql} AND {test})", BOOLEAN, point)


def _near(scope: Scope, polygon: Polygon, circle: Region) -> Value:
    """Whether a circle touches a polygon: its centre is inside, or no farther from an edge than its radius.

    Along an edge from a vertex a, with the tangent t there and the normal n of its great circle, a position has a
    longitude and a height; beyond the ends of the edge the vertices are nearest.
    """
    centre, radius = _centre(circle), circle.parts[2]
    ra, dec = (f"radians({as_double(p)})" for p in centre.parts)
    frames = [("a", polygon.vertices), ("t", polygon.tangents), ("n", polygon.normals)]
    columns = {f"{name}{axis}": vectors[:, k] for name, vectors in frames for k, axis in enumerate("xyz")}
    columns |= {"length": polygon.lengths_rad, "ra": polygon.coordinates[:, 0], "dec": polygon.coordinates[:, 1]}
    along = {name: f"(p.x * e.{name}x + p.y * e.{name}y + p.z * e.{name}z)" for name, _ in frames}
    limit = as_double(radius)
    near = (
        f"EXISTS (SELECT FROM (SELECT cos({dec}) * cos({ra}) AS x, cos({dec}) * sin({ra}) AS y, sin({dec}) AS z) AS p,"
        f" unnest({', '.join(_array(c) for c in columns.values())}) AS e ({', '.join(columns)})"
        f" WHERE public.q3c_dist({_list(centre)}, e.ra, e.dec) <= {limit}"
        f" OR (atan2({along['t']}, {along['a']}) BETWEEN 0 AND e.length"
        f" AND abs(degrees(asin(least(1, greatest(-1, {along['n']}))))) <= {limit}))"
    )
    test = f"({_in_polygon(scope, polygon, centre).sql} OR {near})"
    if radius.number is None or polygon.radius_deg + radius.number >= MAX_CONE_DEG:
        return made(test, BOOLEAN, circle)
    middle = Region("point", tuple(constant(x) for x in coordinates(polygon.centre)))
    cone = within(scope, centre, middle, constant(polygon.radius_deg + float(radius.number) + _MARGIN_DEG))
    return made(f"({cone.sql} AND {test})", BOOLEAN, circle)


def _projected(polygon: Polygon, point: Region) -> tuple[str, str, str]:
    """SQL of the point's components along the polygon's centre and its two axes."""
    ra, dec = (f"radians({as_double(p)})" for p in point.parts)
    unit = (f"cos({dec}) * cos({ra})", f"cos({dec}) * sin({ra})", f"sin({dec})")

    def along(axis: object) -> str:
        numbers = [float(x) for x in axis]  # type: ignore[attr-defined]
        return "(" + " + ".join(f"{n!r} * {x}" for n, x in zip(numbers, unit, strict=True)) + ")"

    first, second = polygon.axes
    return along(polygon.centre), along(first), along(second)


def _edges(polygon: Polygon) -> tuple[str, ...]:
    starts, ends = polygon.plane, np.roll(polygon.plane, -1, axis=0)
    return tuple(_array(c) for c in (*starts.T, *ends.T))


def _array(numbers: FloatArray) -> str:
    return f"CAST(ARRAY[{', '.join(repr(float(x)) for x in numbers)}] AS double precision[])"


def area(shape: Region) -> Value:
    """Area in square degrees."""
    column = Column("", "double", unit="deg**2")
    square = math.degrees(1) ** 2
    if shape.kind == "point":
        return Value("CAST(0 AS double precision)", column, 0.0)
    if shape.kind == "circle":
        half = f"sin(radians({as_double(shape.parts[2])}) / 2)"
        return made(f"({4 * math.pi * square!r} * {half} ^ 2)", column, shape)
    if shape.kind == "box":
        width, height = (f"sin(radians({as_double(p)}) / 2)" for p in shape.parts[2:])
        return made(f"({4 * square!r} * asin({width} * {height}))", column, shape)
    polygon = _polygon(shape)
    if polygon is None:
        raise Refusal("not supported: AREA of a polygon with vertices from columns")
    return Value(constant(polygon.area_deg2).sql, column, polygon.area_deg2)


def centroid(shape: Region) -> Region:
    """The point in the middle."""
    if shape.kind in _PARTS:
        return _centre(shape)
    polygon = _polygon(shape)
    if polygon is None:
        raise Refusal("not supported: CENTROID of a polygon with vertices from columns")
    return Region("point", tuple(constant(x) for x in polygon.centroid), frame=shape.frame)


def _polygon(shape: Region) -> Polygon | None:
    """The polygon of a box or polygon if the query gives all its numbers."""
    numbers = shape.numbers
    if numbers is None:
        return None
    try:
        return Polygon.of(box_corners(*numbers) if shape.kind == "box" else numbers)
    except ValueError as problem:
        raise Refusal(f"{problem}") from None


def _coordinates(polygon: Polygon) -> list[float]:
    return [float(x) for x in polygon.coordinates.ravel()]


def _centre(shape: Region) -> Region:
    return Region("point", shape.parts[:2], frame=shape.frame)


def _list(shape: Region) -> str:
    return ", ".join(as_double(p) for p in shape.parts)


def _article(kind: str) -> str:
    return f"a {kind.upper()}"
