"""Functions of ADQL: aggregates, units, geometry; those of numbers and texts alone are in ``functions.py``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlglot import exp

from xcat.adql import dialect, geometry, serialized, shapes
from xcat.adql.functions import AGGREGATES, FUNCTIONS, aggregate
from xcat.adql.kinds import common, unified
from xcat.adql.model import Column, Refusal
from xcat.adql.nodes import only, placed
from xcat.adql.values import LONG, Region, Value, as_double, constant, literal, made
from xcat.columns import units

if TYPE_CHECKING:
    from xcat.adql.expressions import Expressions


def call(write: Expressions, node: exp.Anonymous) -> Value | Region:
    """Any function, by its name."""
    only(node, "this", "expressions")
    if isinstance(node.this, exp.Identifier):
        raise Refusal(f'not supported: function "{node.this.name[:40]}"')
    name, arguments = str(node.this).upper(), node.expressions
    if name in AGGREGATES:
        return aggregate_call(write, name, arguments)
    if name in FUNCTIONS:
        return FUNCTIONS[name].call(name, [write.value(a) for a in arguments])
    special = SPECIAL.get(name)
    if special is None:
        raise Refusal(f"not supported: function {name[:40]}")
    return special(write, node)


def aggregate_call(write: Expressions, name: str, arguments: Sequence[exp.Expr]) -> Value:
    """COUNT, SUM, AVG, MIN or MAX."""
    if write.in_aggregate or write.clause in ("WHERE", "ON", "GROUP BY"):
        raise Refusal(f"{name} cannot stand in {'an aggregate' if write.in_aggregate else write.clause}")
    if len(arguments) != 1:
        raise Refusal(f"{name} has 1 argument, not {len(arguments)}")
    (argument,) = arguments
    if name == "COUNT" and isinstance(argument, exp.Star):
        only(argument)
        return Value("count(*)", LONG)
    distinct = isinstance(argument, exp.Distinct)
    if distinct:
        only(argument, "expressions")
        if len(argument.expressions) != 1:
            raise Refusal(f"{name}(DISTINCT ...) has 1 argument, not {len(argument.expressions)}")
        (argument,) = argument.expressions
    return aggregate(name, replace(write, in_aggregate=True).value(argument), distinct=distinct)


def coalesce(write: Expressions, node: exp.Anonymous) -> Value:
    """The first of some values that is not NULL."""
    values = [write.value(a) for a in node.expressions]
    if len(values) < 2:
        raise Refusal("COALESCE has 2 arguments or more")
    return made(f"COALESCE({', '.join(unified(values))})", common(values), *values)


def in_unit(write: Expressions, node: exp.Anonymous) -> Value:
    """A column in another unit."""
    arguments = node.expressions
    if len(arguments) != 2:
        raise Refusal(f"IN_UNIT has 2 arguments, not {len(arguments)}")
    value, wanted = write.number(arguments[0]), write.value(arguments[1]).text
    if wanted is None:
        raise Refusal("the unit of IN_UNIT is a text, such as 'arcsec'")
    if not value.column.unit or units.is_none(value.column.unit):
        raise Refusal("IN_UNIT needs a column with a unit: this has none")
    if units.is_none(wanted) or units.as_unit(wanted) is None:
        raise Refusal(f"{wanted[:40]!r} is not a unit")
    factor = units.conversion(value.column.unit, wanted)
    if factor is None or not math.isfinite(factor) or factor == 0:
        raise Refusal(f"{value.column.unit} cannot be converted to {wanted[:40]}")
    return made(f"({as_double(value)} * {constant(factor).sql})", Column("", "double", unit=wanted), value)


def predicate(write: Expressions, node: exp.Anonymous) -> Value:
    """CONTAINS and INTERSECTS as a condition."""
    name, arguments = str(node.this).upper(), node.expressions
    if len(arguments) != 2:
        raise Refusal(f"{name} has 2 arguments, not {len(arguments)}", dialect.offset(node))
    shapes = [write.shape(a) for a in arguments]
    relation = geometry.contains if name == "CONTAINS" else geometry.intersects
    return placed(node, lambda: relation(write.scope, *shapes))


def predicate_as_number(write: Expressions, node: exp.Anonymous) -> Value:
    """CONTAINS and INTERSECTS as 0 or 1."""
    condition = predicate(write, node)
    return made(f"CAST({condition.sql} AS integer)", Column("", "int"), condition)


def two_points(write: Expressions, node: exp.Anonymous) -> tuple[Region, Region]:
    """The arguments of DISTANCE."""
    arguments = node.expressions
    if len(arguments) == 4:
        numbers = [write.number(a) for a in arguments]
        return shapes.region("point", tuple(numbers[:2])), shapes.region("point", tuple(numbers[2:]))
    if len(arguments) != 2:
        raise Refusal(f"DISTANCE has 2 points or 4 numbers, not {len(arguments)} arguments", dialect.offset(node))
    return write.shape(arguments[0]), write.shape(arguments[1])


def distance(write: Expressions, node: exp.Anonymous) -> Value:
    """DISTANCE in degrees."""
    return shapes.distance(*two_points(write, node))


def region(write: Expressions, node: exp.Anonymous) -> Region:
    """POINT, CIRCLE, BOX and POLYGON: an optional frame, then numbers, or points in place of two numbers."""
    name, arguments = str(node.this).upper(), list(node.expressions)
    frame = ""
    if arguments and isinstance(arguments[0], exp.Literal) and arguments[0].is_string:
        frame = str(arguments.pop(0).this)
        if frame.strip().upper().split(" ")[0] not in ("", *serialized.FRAMES):
            raise Refusal(f"not supported: coordinates in {frame[:40]!r}; positions are in ICRS")
    parts: list[Value] = []
    for argument in arguments:
        part = write.part(argument)
        if isinstance(part, Value) and part.kind == "point":
            part = shapes.of_column(part)
        if isinstance(part, Region) and part.kind == "point" and name != "POINT":
            parts.extend(part.parts)
        elif isinstance(part, Value) and (part.kind == "number" or part.is_null):
            parts.append(part)
        else:
            raise Refusal(f"{name} is made of numbers, in degrees", dialect.offset(argument))
    wanted = {"POINT": 2, "CIRCLE": 3, "BOX": 4}.get(name, len(parts))
    if len(parts) != wanted:
        raise Refusal(f"{name} has {wanted} numbers, not {len(parts)}")
    return shapes.region(name.lower(), tuple(parts), frame)


def region_of_text(write: Expressions, node: exp.Anonymous) -> Region:
    """REGION and MOC: a geometry in a text of the query."""
    name, arguments = str(node.this).upper(), node.expressions
    if name == "MOC" and len(arguments) == 2:
        raise Refusal("not supported: MOC of an order and a geometry; write the cells: MOC('6/1-5 7/80')")
    if len(arguments) != 1:
        raise Refusal(f"{name} has 1 argument, not {len(arguments)}")
    text = write.value(arguments[0]).text
    if text is None:
        raise Refusal(f"the argument of {name} is a text, such as {serialized.EXAMPLES[name]}")
    return serialized.moc(text) if name == "MOC" else serialized.region(text)


def one_shape(write: Expressions, node: exp.Anonymous) -> Region:
    """The only argument of a function, a geometry."""
    if len(node.expressions) != 1:
        raise Refusal(f"{str(node.this).upper()} has 1 argument, not {len(node.expressions)}")
    return write.shape(node.expressions[0])


def coordinate(write: Expressions, node: exp.Anonymous) -> Value:
    """COORD1 and COORD2."""
    shape = one_shape(write, node)
    if shape.kind != "point":
        raise Refusal(f"{str(node.this).upper()} takes a POINT, not a {shape.kind.upper()}")
    value = shape.parts[0 if str(node.this).endswith("1") else 1]
    return replace(value, column=replace(value.column, unit=value.column.unit or "deg"))


def frame(write: Expressions, node: exp.Anonymous) -> Value:
    """COORDSYS: as the query gives it, else ICRS."""
    return literal(one_shape(write, node).frame or "ICRS")


#: Functions whose arguments are more than numbers and texts.
SPECIAL: Mapping[str, Callable[[Expressions, exp.Anonymous], Value | Region]] = {
    "AREA": lambda write, node: shapes.area(one_shape(write, node)),
    "BOX": region,
    "CENTROID": lambda write, node: shapes.centroid(one_shape(write, node)),
    "CIRCLE": region,
    "COALESCE": coalesce,
    "CONTAINS": predicate_as_number,
    "COORD1": coordinate,
    "COORD2": coordinate,
    "COORDSYS": frame,
    "DISTANCE": distance,
    "INTERSECTS": predicate_as_number,
    "IN_UNIT": in_unit,
    "MOC": region_of_text,
    "POINT": region,
    "POLYGON": region,
    "REGION": region_of_text,
}
