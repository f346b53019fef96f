"""What values can be put together: numbers with numbers, texts with texts, and the type that comes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from xcat.adql.model import Column, Refusal
from xcat.adql.values import BOOLEAN, TEXT, Value, as_double, as_text, constant, made, moment, wider


def calculated(a: Value, sign: str, b: Value) -> Value:
    """Two numbers added, subtracted, multiplied or divided; integers divide to an integer, as in PostgreSQL."""
    column = wider([a.column, b.column])
    if sign in "+-" and a.column.unit == b.column.unit:
        column = replace(column, unit=a.column.unit)
    if a.number is not None and b.number is not None:
        x, y = a.number, b.number
        if sign == "/" and y == 0:
            raise Refusal("division by zero")
        if sign == "/" and isinstance(x, int) and isinstance(y, int):
            return constant(abs(x) // abs(y) * (1 if (x < 0) == (y < 0) else -1))
        return constant({"+": x + y, "-": x - y, "*": x * y}[sign] if sign != "/" else x / y)
    return made(f"({a.sql} {sign} {b.sql})", column, a, b)


def compare(a: Value, sign: str, b: Value) -> Value:
    """A comparison of two values of one kind."""
    left, right = matched(a, b)
    if sign not in ("=", "<>") and "boolean" in (a.kind, b.kind) and not (a.is_null or b.is_null):
        raise Refusal("true and false are not greater or smaller")
    result = made(f"({left} {sign} {right})", BOOLEAN, a, b)
    return replace(result, equates=sign == "=" and bool(a.tables and b.tables and a.tables != b.tables))


def matched(a: Value, b: Value) -> tuple[str, str]:
    """SQL of two values that are compared: a text is read as a time beside a time, 0 and 1 as false and true."""
    if a.is_null or b.is_null:
        return a.sql, b.sql
    if {a.kind, b.kind} == {"boolean", "number"}:
        truth = {0: "false", 1: "true"}
        for value, other in ((a, b), (b, a)):
            if value.kind == "number" and value.number in truth:
                word = truth[int(value.number)]
                return (word, other.sql) if value is a else (other.sql, word)
    if a.kind == "time" and b.text is not None:
        return a.sql, moment(b.text)
    if b.kind == "time" and a.text is not None:
        return moment(a.text), b.sql
    if a.kind != b.kind or a.kind not in ("number", "text", "time", "boolean"):
        raise Refusal(f"a {a.kind} cannot be compared with a {b.kind}")
    return a.sql, b.sql


def common(values: Sequence[Value]) -> Column:
    """The type of values of one kind, such as the branches of CASE, and their unit if it is one."""
    present = [v for v in values if not v.is_null]
    if not present:
        return TEXT
    first = next((v for v in present if v.kind == "time"), present[0])
    if first.kind in ("number",):
        column = wider([v.column for v in present])
        same = {v.column.unit for v in present if v.number is None}
        return replace(column, unit=same.pop()) if len(same) == 1 else column
    return replace(first.column, name="")


def unified(values: Sequence[Value]) -> list[str]:
    """SQL of values that must be of one kind."""
    present = [v for v in values if not v.is_null]
    kinds = {v.kind for v in present}
    if kinds == {"time", "text"} and all(v.text is not None for v in present if v.kind == "text"):
        return [moment(v.text) if v.text is not None else v.sql for v in values]
    if len(kinds) > 1:
        raise Refusal(f"values of one kind are needed, not {' and '.join(sorted(kinds))}")
    if kinds == {"number"} and common(values).datatype == "double":
        return [v.sql if v.is_null else as_double(v) for v in values]
    if kinds == {"text"}:
        return [v.sql if v.is_null else as_text(v) for v in values]
    return [v.sql for v in values]


def measured(column: Column, value: Value) -> Column:
    """A type with the unit of a value."""
    return replace(column, unit=value.column.unit)
