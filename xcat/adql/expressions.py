"""Expressions and conditions: the tree that sqlglot read becomes SQL, one listed kind of node at a time.

A node, or an argument of a node, that is not listed here is refused by name: this is the list of what a query may be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlglot import exp

from xcat.adql import calls, dialect, geometry, shapes
from xcat.adql.kinds import calculated, common, compare, matched, measured, unified
from xcat.adql.model import Column, Refusal
from xcat.adql.nodes import chain, conjuncts, only, placed, refused, unwrapped
from xcat.adql.scope import Scope
from xcat.adql.values import (
    BOOLEAN,
    DOUBLE,
    SQL_TYPES,
    TEXT,
    TIME,
    Region,
    Value,
    as_text,
    constant,
    from_digits,
    literal,
    made,
    moment,
    wider,
)

_OPERATORS: dict[type[exp.Expr], str] = {
    exp.Add: "+",
    exp.Sub: "-",
    exp.Mul: "*",
    exp.Div: "/",
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
}
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "<>": "<>"}
_INTEGERS = ("short", "int", "long")
_CASTS = {
    "SMALLINT": "short",
    "INTEGER": "int",
    "INT": "int",
    "BIGINT": "long",
    "REAL": "float",
    "FLOAT": "double",
    "DOUBLE PRECISION": "double",
    "DOUBLE": "double",
}
_TEXTS = ("CHAR", "VARCHAR")
#: Most operators of one kind in a row, such as ``1 + 1 + 1 + ...``; AND and OR have no limit of their own.
MAX_CHAIN = 500

Subquery = Callable[[exp.Expr, Scope], "tuple[str, tuple[Column, ...]]"]


@dataclass
class Expressions:
    """Writes the expressions of one clause of a query.

    Parameters
    ----------
    scope : Scope
        What names mean.
    subquery : callable
        Writes a query inside an expression: its SQL and its columns.
    clause : str
        Where the expressions stand; aggregates are refused where SQL has none.
    searched : frozenset of int
        Numbers of the tables that the statement is known to search by position.
    """

    scope: Scope
    subquery: Subquery
    clause: str
    searched: frozenset[int] = frozenset()
    in_aggregate: bool = False

    def condition(self, node: exp.Expr) -> Value:
        """An expression that is true or false."""
        value = self.value(node)
        if value.kind != "boolean" and not value.is_null:
            raise Refusal(f"a condition is expected here, not a {value.kind}", dialect.offset(node))
        return value

    def clause_condition(self, node: exp.Expr) -> Value:
        """All of WHERE or ON.

        PostgreSQL expects a search by position to find nearly half of a table. Any other condition on that table would
        seem the better way in, and the index would not be used: such a condition is written so that PostgreSQL takes
        it for one that hardly any row fails.
        """
        operands = [node]
        while any(isinstance(unwrapped(n), exp.And) for n in operands):
            operands = [m for n in operands for m in conjuncts(unwrapped(n))]
        values = [self.condition(n) for n in operands]
        here = frozenset().union(*(v.searches for v in values))
        searched = here | self.searched
        texts = []
        for value in values:
            hides = value.tables & searched and (not value.equates or value.tables & here) and not value.searches
            texts.append(f"(CASE WHEN {value.sql} THEN 1 ELSE 0 END) <> 0" if hides else value.sql)
        whole = made(" AND ".join(texts), BOOLEAN, *values)
        return replace(whole, searches=here)

    def value(self, node: exp.Expr) -> Value:
        """An expression that a result can hold; a geometry becomes an array."""
        part = self.part(node)
        return placed(node, lambda: shapes.as_value(part)) if isinstance(part, Region) else part

    def shape(self, node: exp.Expr) -> Region:
        """An expression that is a geometry."""
        part = self.part(node)
        if isinstance(part, Value) and part.kind in ("point", "circle", "polygon"):
            part = shapes.of_column(part)
        if not isinstance(part, Region):
            raise Refusal(f"a geometry is expected here, not a {part.kind}", dialect.offset(node))
        return part

    def number(self, node: exp.Expr) -> Value:
        """An expression that is a number."""
        value = self.value(node)
        if value.is_null:
            return Value("CAST(NULL AS double precision)", DOUBLE, is_null=True)
        if value.kind != "number":
            raise Refusal(f"a number is expected here, not a {value.kind}", dialect.offset(node))
        return value

    def part(self, node: exp.Expr) -> Value | Region:
        """Any expression."""
        while isinstance(node, exp.Paren):
            only(node, "this")
            node = node.this
        write = _NODES.get(type(node))
        if write is None:
            raise refused(node)
        return placed(node, lambda: write(self, node))

    # -- constants and columns

    def _literal(self, node: exp.Literal) -> Value:
        only(node, "this", "is_string")
        return literal(str(node.this)) if node.is_string else from_digits(str(node.this))

    def _hexadecimal(self, node: exp.HexString) -> Value:
        only(node, "this")
        return constant(int(str(node.this), 16))

    def _null(self, node: exp.Null) -> Value:
        return Value("NULL", TEXT, is_null=True)

    def _boolean(self, node: exp.Boolean) -> Value:
        return Value("true" if node.this else "false", BOOLEAN)

    def _column(self, node: exp.Column) -> Value:
        only(node, "this", "table", "db", "catalog")
        return self.scope.column(node).value()

    # -- conditions

    def _connected(self, node: exp.Connector) -> Value:
        values = [self.condition(n) for n in chain(node)]
        word = " AND " if isinstance(node, exp.And) else " OR "
        return made(f"({word.join(v.sql for v in values)})", BOOLEAN, *values)

    def _not(self, node: exp.Not) -> Value:
        only(node, "this")
        value = self.condition(node.this)
        return made(f"(NOT {value.sql})", BOOLEAN, value)

    def _compared(self, node: exp.Binary) -> Value:
        only(node, "this", "expression")
        sign = _OPERATORS[type(node)]
        searched = self._searched(node.this, sign, node.expression) or self._searched(
            node.expression, _MIRRORED[sign], node.this
        )
        if searched:
            return searched
        return compare(self.value(node.this), sign, self.value(node.expression))

    def _searched(self, node: exp.Expr, sign: str, other: exp.Expr) -> Value | None:
        """A comparison that an index on positions can serve: ``CONTAINS(...) = 1``, ``DISTANCE(...) < radius``."""
        node = unwrapped(node)
        if not isinstance(node, exp.Anonymous):
            return None
        name = node.name.upper()
        if name in ("CONTAINS", "INTERSECTS") and sign in ("=", "<>"):
            wanted = self.value(other).number
            if wanted not in (0, 1):
                return None
            condition = calls.predicate(self, node)
            return condition if (wanted == 1) == (sign == "=") else made(f"(NOT {condition.sql})", BOOLEAN, condition)
        if name == "DISTANCE" and sign in ("<", "<="):
            a, b = calls.two_points(self, node)
            return geometry.within(self.scope, a, b, self.number(other), border=sign == "<=")
        return None

    def _between(self, node: exp.Between) -> Value:
        only(node, "this", "low", "high")
        value, low, high = (self.value(node.args[part]) for part in ("this", "low", "high"))
        above, below = compare(value, ">=", low), compare(value, "<=", high)
        return made(f"({above.sql} AND {below.sql})", BOOLEAN, above, below)

    def _in(self, node: exp.In) -> Value:
        only(node, "this", "expressions", "query")
        value = self.value(node.this)
        if node.args.get("query") is not None:
            sql, columns = self.subquery(node.args["query"], self.scope)
            found = compare(value, "=", Value("", _single(columns, node)))
            return made(f"({found.sql.removesuffix(' = )').removeprefix('(')} IN ({sql}))", BOOLEAN, value)
        values = [self.value(n) for n in node.expressions]
        if not values:
            raise Refusal("IN needs a list of values or a subquery")
        pairs = [matched(value, v) for v in values]
        return made(f"({pairs[0][0]} IN ({', '.join(b for _, b in pairs)}))", BOOLEAN, value, *values)

    def _like(self, node: exp.Like | exp.ILike) -> Value:
        only(node, "this", "expression", "negate")
        values = [self.value(n) for n in (node.this, node.expression)]
        for value in values:
            if value.kind != "text":
                raise Refusal(f"LIKE compares texts, not a {value.kind}")
        word = ("NOT " if node.args.get("negate") else "") + ("ILIKE" if isinstance(node, exp.ILike) else "LIKE")
        text, pattern = map(as_text, values)
        return made(f"({text} {word} {pattern} ESCAPE '')", BOOLEAN, *values)  # ADQL has no character of escape

    def _is(self, node: exp.Is) -> Value:
        only(node, "this", "expression", "negate")
        if not isinstance(node.expression, exp.Null):
            raise Refusal("not supported: IS with anything but [NOT] NULL")
        value = self.value(node.this)
        negate = "NOT " if node.args.get("negate") else ""
        return made(f"({value.sql} IS {negate}NULL)", BOOLEAN, value)

    def _exists(self, node: exp.Exists) -> Value:
        only(node, "this")
        sql, _ = self.subquery(node.this, self.scope)
        return Value(f"EXISTS ({sql})", BOOLEAN)

    def _scalar(self, node: exp.Subquery) -> Value:
        sql, columns = self.subquery(node, self.scope)
        return Value(f"({sql})", _single(columns, node))

    # -- arithmetic and texts

    def _negative(self, node: exp.Neg) -> Value:
        only(node, "this")
        value = self.number(node.this)
        if value.number is not None:
            return constant(-value.number)
        return made(f"(- {value.sql})", measured(wider([value.column]), value), value)

    def _arithmetic(self, node: exp.Binary) -> Value:
        operands: list[tuple[type[exp.Expr], exp.Expr]] = []
        at: exp.Expr = node
        while isinstance(at, (exp.Add, exp.Sub, exp.Mul, exp.Div)):
            only(at, "this", "expression", "typed", "safe")
            operands.append((type(at), at.expression))
            at = at.this
        if len(operands) > MAX_CHAIN:
            raise Refusal(f"more than {MAX_CHAIN} operators in a row")
        result = self.number(at)
        for operator, operand in reversed(operands):
            result = calculated(result, _OPERATORS[operator], self.number(operand))
        return result

    def _joined(self, node: exp.DPipe) -> Value:
        values = [self.value(n) for n in chain(node, "safe")]
        if len(values) > MAX_CHAIN:
            raise Refusal(f"more than {MAX_CHAIN} texts in a row")
        for value in values:
            if value.kind != "text":
                raise Refusal(f"|| joins texts, not a {value.kind}: write CAST(... AS VARCHAR)")
        return made(f"({' || '.join(as_text(v) for v in values)})", TEXT, *values)

    def _case(self, node: exp.Case) -> Value:
        only(node, "this", "ifs", "default")
        chosen = self.value(node.this) if node.args.get("this") is not None else None
        tests, results = [], []
        for branch in node.args["ifs"]:
            only(branch, "this", "true")
            if chosen is None:
                tests.append(self.condition(branch.this))
            else:
                tests.append(compare(chosen, "=", self.value(branch.this)))
            results.append(self.value(branch.args["true"]))
        default = node.args.get("default")
        last = self.value(default) if default is not None else Value("NULL", TEXT, is_null=True)
        *texts, last_text = unified([*results, last])
        column = common([*results, last])
        whens = " ".join(f"WHEN {t.sql} THEN {r}" for t, r in zip(tests, texts, strict=True))
        return made(f"CASE {whens} ELSE {last_text} END", column, *tests, *results, last)

    def _cast(self, node: exp.Cast) -> Value | Region:
        only(node, "this", "to", "default")
        wanted, size = str(node.args["to"].this), node.args.get("default")
        if wanted in ("POINT", "CIRCLE", "POLYGON"):
            text = self.value(node.this).text
            try:
                numbers = tuple(constant(float(x)) for x in (text or "").split())
            except ValueError:
                numbers = ()
            if not numbers or len(numbers) != {"POINT": 2, "CIRCLE": 3}.get(wanted, len(numbers)):
                raise Refusal(f"CAST AS {wanted} needs a text of numbers, such as '12.3 45.6'")
            return shapes.region(wanted.lower(), numbers)
        value = self.value(node.this)
        if value.kind not in ("number", "text", "time", "boolean"):
            raise Refusal(f"not supported: CAST of a {value.kind}")
        length = self.value(size).number if size is not None else None
        if wanted in _TEXTS:
            if size is not None and not (isinstance(length, int) and 0 < length <= 1_000_000):
                raise Refusal(f"the length of {wanted} is a number from 1 to 1,000,000")
            text_type = "text" if length is None else f"{'character' if wanted == 'CHAR' else 'varchar'}({length})"
            sql = f"replace(CAST({value.sql} AS text), ' ', 'T')" if value.kind == "time" else value.sql
            return made(f"CAST({sql} AS {text_type})", TEXT, value)
        if size is not None or (wanted not in _CASTS and wanted != "TIMESTAMP"):
            raise Refusal(f"not supported: CAST AS {wanted[:40]}{'(...)' if size is not None else ''}")
        if wanted == "TIMESTAMP":
            if value.kind not in ("text", "time"):
                raise Refusal(f"a {value.kind} cannot be cast to TIMESTAMP")
            sql = moment(value.text) if value.text is not None else f"CAST({value.sql} AS timestamp with time zone)"
            return made(sql, TIME, value)
        if value.kind == "time":
            raise Refusal(f"a time cannot be cast to {wanted}")
        sql = f"CAST({value.sql} AS integer)" if value.kind == "boolean" else value.sql
        column = measured(Column("", _CASTS[wanted]), value)
        return made(f"CAST({sql} AS {SQL_TYPES[column.datatype]})", column, value)


def _single(columns: Sequence[Column], node: exp.Expr) -> Column:
    if len(columns) != 1:
        raise Refusal(f"this subquery must have one column, not {len(columns)}", dialect.offset(node))
    return columns[0]


_NODES: Mapping[type[exp.Expr], Callable[[Expressions, Any], Value | Region]] = {
    exp.Literal: Expressions._literal,
    exp.HexString: Expressions._hexadecimal,
    exp.Null: Expressions._null,
    exp.Boolean: Expressions._boolean,
    exp.Column: Expressions._column,
    exp.And: Expressions._connected,
    exp.Or: Expressions._connected,
    exp.Not: Expressions._not,
    exp.EQ: Expressions._compared,
    exp.NEQ: Expressions._compared,
    exp.LT: Expressions._compared,
    exp.LTE: Expressions._compared,
    exp.GT: Expressions._compared,
    exp.GTE: Expressions._compared,
    exp.Between: Expressions._between,
    exp.In: Expressions._in,
    exp.Like: Expressions._like,
    exp.ILike: Expressions._like,
    exp.Is: Expressions._is,
    exp.Exists: Expressions._exists,
    exp.Subquery: Expressions._scalar,
    exp.Select: Expressions._scalar,
    exp.Neg: Expressions._negative,
    exp.Add: Expressions._arithmetic,
    exp.Sub: Expressions._arithmetic,
    exp.Mul: Expressions._arithmetic,
    exp.Div: Expressions._arithmetic,
    exp.DPipe: Expressions._joined,
    exp.Case: Expressions._case,
    exp.Cast: Expressions._cast,
    exp.Anonymous: calls.call,
}
