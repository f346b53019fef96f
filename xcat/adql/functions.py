"""Functions of ADQL that take numbers or texts: how many arguments each has, and its SQL.

Numbers go into PostgreSQL as double precision, since the server has functions of the same name that compute with exact
decimals. LOG is the natural logarithm. ROUND and TRUNCATE look at the decimal digits of a number, as people do:
ROUND(0.285, 2) is 0.29, and a half is rounded away from zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from xcat.adql.model import Refusal
from xcat.adql.values import DOUBLE, LONG, TEXT, Value, as_double, as_text, made, meaning, wider


@dataclass(frozen=True)
class Function:
    """A function: the kinds of its arguments, how many may be left out, and what makes its SQL."""

    kinds: tuple[str, ...]
    write: Callable[[Sequence[Value]], Value]
    optional: int = 0

    def call(self, name: str, values: Sequence[Value]) -> Value:
        """The value of a call."""
        least, most = len(self.kinds) - self.optional, len(self.kinds)
        if not least <= len(values) <= most:
            number = str(most) if least == most else f"{least} or {most}"
            raise Refusal(f"{name} has {number} argument{'' if number == '1' else 's'}, not {len(values)}")
        for value, kind in zip(values, self.kinds, strict=False):
            if value.kind != kind and not value.is_null:
                raise Refusal(f"{name} needs a {kind}, not a {value.kind}")
        return self.write(values)


def _plain(sql_name: str) -> Callable[[Sequence[Value]], Value]:
    """A function that PostgreSQL has, too, for double precision."""

    def write(values: Sequence[Value]) -> Value:
        return made(f"{sql_name}({', '.join(as_double(v) for v in values)})", DOUBLE, *values)

    return write


def _same_unit(sql_name: str) -> Callable[[Sequence[Value]], Value]:
    def write(values: Sequence[Value]) -> Value:
        return made(f"{sql_name}({as_double(values[0])})", meaning(DOUBLE, values[0].column), *values)

    return write


def _abs(values: Sequence[Value]) -> Value:
    (value,) = values
    if value.is_null:
        return made(f"abs({as_double(value)})", DOUBLE)
    column = replace(wider([value.column]), unit=value.column.unit)
    return made(f"abs({value.sql})", column, value)


def _mod(values: Sequence[Value]) -> Value:
    x, y = values
    if all(v.column.datatype in ("short", "int", "long") for v in values):
        return made(f"mod({x.sql}, {y.sql})", wider([x.column, y.column]), *values)
    a, b = as_double(x), as_double(y)
    return made(f"({a} - {b} * trunc({a} / {b}))", DOUBLE, *values)


def _digits(sql_name: str) -> Callable[[Sequence[Value]], Value]:
    """Round or cut the decimal digits of a number; PostgreSQL can do so for exact decimals only."""

    def write(values: Sequence[Value]) -> Value:
        if len(values) > 1 and values[1].column.datatype not in ("short", "int") and not values[1].is_null:
            raise Refusal("the number of decimal places is an integer")
        places = f"CAST({values[1].sql} AS integer)" if len(values) > 1 else "0"
        exact = f"CAST(CAST({as_double(values[0])} AS text) AS numeric)"
        sql = f"CAST({sql_name}({exact}, {places}) AS double precision)"
        return made(sql, meaning(DOUBLE, values[0].column), *values)

    return write


def _rand(values: Sequence[Value]) -> Value:
    if values:
        raise Refusal("not supported: RAND with a seed; write RAND()")
    return Value("random()", DOUBLE)


def _text(sql_name: str) -> Callable[[Sequence[Value]], Value]:
    def write(values: Sequence[Value]) -> Value:
        return made(f"{sql_name}({as_text(values[0])})", TEXT, *values)

    return write


_NUMBER, _TWO = ("number",), ("number", "number")
FUNCTIONS: dict[str, Function] = {
    **{
        name: Function(_NUMBER, _plain(name.lower()))
        for name in ("ACOS", "ASIN", "ATAN", "COS", "COT", "DEGREES", "EXP", "RADIANS", "SIN", "SQRT", "TAN")
    },
    "ABS": Function(_NUMBER, _abs),
    "ATAN2": Function(_TWO, _plain("atan2")),
    "CEILING": Function(_NUMBER, _same_unit("ceiling")),
    "FLOOR": Function(_NUMBER, _same_unit("floor")),
    "LOG": Function(_NUMBER, _plain("ln")),
    "LOG10": Function(_NUMBER, _plain("log")),
    "LOWER": Function(("text",), _text("lower")),
    "MOD": Function(_TWO, _mod),
    "PI": Function((), lambda _: Value("pi()", DOUBLE)),
    "POWER": Function(_TWO, _plain("power")),
    "RAND": Function(_NUMBER, _rand, optional=1),
    "ROUND": Function(_TWO, _digits("round"), optional=1),
    "SIGN": Function(_NUMBER, _plain("sign")),
    "TRUNCATE": Function(_TWO, _digits("trunc"), optional=1),
    "UPPER": Function(("text",), _text("upper")),
}


#: Aggregates by name: the kinds that each takes, and its SQL; ``{}`` is the argument.
AGGREGATES = {
    "AVG": ("number",),
    "COUNT": ("number", "text", "time", "boolean", "array", "point", "circle", "polygon"),
    "MAX": ("number", "text", "time"),
    "MIN": ("number", "text", "time"),
    "SUM": ("number",),
}


def aggregate(name: str, value: Value, *, distinct: bool) -> Value:
    """The value of an aggregate of one column or expression."""
    if value.kind not in AGGREGATES[name] and not value.is_null:
        hint = ": write CASE WHEN ... THEN 1 ELSE 0 END" if value.kind == "boolean" else ""
        raise Refusal(f"{name} cannot take a {value.kind}{hint}")
    each = "DISTINCT " if distinct else ""
    if name == "COUNT":
        return made(f"count({each}{value.sql})", LONG, value)
    if name in ("MIN", "MAX"):
        return made(f"{name.lower()}({value.sql})", replace(value.column, name=""), value)
    unit = value.column.unit
    if name == "SUM" and value.column.datatype in ("short", "int", "long"):
        return made(f"CAST(sum({each}{value.sql}) AS bigint)", replace(LONG, unit=unit), value)
    return made(f"{name.lower()}({each}{as_double(value)})", replace(DOUBLE, unit=unit), value)
