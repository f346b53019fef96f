"""Regions of ADQL: what they are made of, as values of a result, and their area, centroid and distance."""

from __future__ import annotations

import math

from xcat.adql.model import Column, Refusal
from xcat.adql.sphere import Polygon, box_corners
from xcat.adql.values import DOUBLE, Region, Value, as_double, constant, made

_PARTS = {"point": 2, "circle": 3, "box": 4}
_LARGEST_DEG = {"circle": 180.0, "box": 178.0}


def region(kind: str, parts: tuple[Value, ...], frame: str = "") -> Region:
    """A geometry from its numbers, which are checked as far as the query gives them."""
    if kind == "polygon" and (len(parts) < 6 or len(parts) % 2):
        raise Refusal("POLYGON needs the two coordinates of three vertices or more")
    for ra_dec in range(0, 2 if kind != "polygon" else len(parts), 2):
        dec = parts[ra_dec + 1].number
        if dec is not None and not abs(dec) <= 90:
            raise Refusal(f"a declination is from -90 to 90 degrees, not {dec}")
    for size in parts[2:] if kind in _LARGEST_DEG else ():
        if size.number is not None and not 0 <= size.number <= _LARGEST_DEG[kind]:
            what = "a radius" if kind == "circle" else "width and height of BOX"
            raise Refusal(f"{what} must be from 0 to {_LARGEST_DEG[kind]:g} degrees, not {size.number}")
    made_region = Region(kind, parts, frame=frame)
    if kind == "polygon":
        polygon(made_region)
    return made_region


def of_column(value: Value) -> Region:
    """The geometry that a column holds as an array, as DALI writes it."""
    kind = value.kind
    if kind == "polygon":
        return Region(kind, (), array=value)
    parts = tuple(Value(f"({value.sql})[{n}]", DOUBLE, tables=value.tables) for n in range(1, _PARTS[kind] + 1))
    return Region(kind, parts)


def as_value(shape: Region) -> Value:
    """A geometry in a result: an array with DALI's xtype."""
    if shape.kind == "moc":
        raise Refusal("a MOC cannot be a result")
    if shape.array is not None:
        return shape.array
    if shape.kind == "box":
        return made(vertices(shape), Column("", "double", "8", "polygon", unit="deg"), shape)
    column = Column("", "double", str(len(shape.parts)), shape.kind, unit="deg")
    return made(f"ARRAY[{listed(shape)}]", column, shape)


def distance(a: Region, b: Region) -> Value:
    """Distance of two points along the great circle (deg)."""
    for shape in (a, b):
        if shape.kind != "point":
            raise Refusal(f"DISTANCE is between two points, not {article(shape)}")
    return made(f"public.q3c_dist({listed(a)}, {listed(b)})", Column("", "double", unit="deg"), a, b)


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
    if shape.kind == "moc":
        cells = sum(last - first + 1 for first, last in shape.cells)
        return Value(constant(cells / (12 << 58) * 4 * math.pi * square).sql, column)
    fixed = polygon(shape)
    if fixed is None:
        raise Refusal("not supported: AREA of a polygon with vertices from columns")
    return Value(constant(fixed.area_deg2).sql, column, fixed.area_deg2)


def centroid(shape: Region) -> Region:
    """The point in the middle."""
    if shape.kind in _PARTS:
        return centre(shape)
    if shape.kind == "moc":
        raise Refusal("not supported: CENTROID of a MOC")
    fixed = polygon(shape)
    if fixed is None:
        raise Refusal("not supported: CENTROID of a polygon with vertices from columns")
    return Region("point", tuple(constant(x) for x in fixed.centroid), frame=shape.frame)


def polygon(shape: Region) -> Polygon | None:
    """The polygon of a box or polygon if the query gives all its numbers."""
    numbers = shape.numbers
    if numbers is None or shape.kind not in ("box", "polygon"):
        return None
    try:
        return Polygon.of(box_corners(*numbers) if shape.kind == "box" else numbers)
    except ValueError as problem:
        raise Refusal(f"{problem}") from None


def vertices(shape: Region) -> str:
    """SQL of the array of a box's or polygon's vertices."""
    if shape.array is not None:
        return shape.array.sql
    if (fixed := polygon(shape)) is not None:
        return f"ARRAY[{', '.join(constant(float(x)).sql for x in fixed.coordinates.ravel())}]"
    return f"pub.box_polygon({listed(shape)})" if shape.kind == "box" else f"ARRAY[{listed(shape)}]"


def centre(shape: Region) -> Region:
    """The centre of a circle or box."""
    return Region("point", shape.parts[:2], frame=shape.frame)


def listed(shape: Region) -> str:
    """SQL of the numbers of a geometry, with commas between them."""
    return ", ".join(as_double(p) for p in shape.parts)


def article(shape: Region) -> str:
    """What a geometry is called in a message."""
    return f"a {shape.kind.upper()}"
