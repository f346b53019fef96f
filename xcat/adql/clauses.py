"""Pieces of the clauses of a query: joined columns, numbers of columns, numbers of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from xcat.adql import dialect
from xcat.adql.kinds import common
from xcat.adql.model import Column, Refusal
from xcat.adql.nodes import only, unwrapped
from xcat.adql.scope import Field, Identifier, Source, identifier
from xcat.adql.values import Value

MAX_ROWS = 2**63 - 1


@dataclass(frozen=True)
class From:
    """A part of FROM: its SQL, its tables, and the columns that a star gives."""

    sql: str
    sources: tuple[Source, ...]
    visible: tuple[Field, ...]


def same_names(
    left: From, right: From, wanted: Sequence[Identifier] | None, join: exp.Join
) -> list[tuple[Field, Field]]:
    """Columns of both sides with the names of USING, or with any one name that both have."""
    if wanted is None:
        shared = [f.column.name for f in left.visible]
        wanted = [Identifier(n, True) for n in shared if any(n == f.column.name for f in right.visible)]
    pairs = []
    for each in wanted:
        sides = [[f for f in part.visible if each.matches(f.column.name)] for part in (left, right)]
        for found in sides:
            if len(found) != 1:
                problem = "is not a column of both tables" if not found else "is a column of several tables"
                raise Refusal(f"{each.text} {problem}", dialect.offset(join))
        pairs.append((sides[0][0], sides[1][0]))
    return pairs


def merged(left: From, right: From, pairs: Sequence[tuple[Field, Field]], side: str) -> tuple[Field, ...]:
    """What a star gives after USING: the shared columns once, then the others."""
    shared = []
    for a, b in pairs:
        if side == "FULL":
            column = replace(a.column, datatype=common([a.value(), b.value()]).datatype)
            shared.append(Field(column, f"COALESCE({a.sql}, {b.sql})", a.tables | b.tables))
        else:
            shared.append(replace(b, column=replace(b.column, name=a.column.name)) if side == "RIGHT" else a)
    gone = {id(f) for pair in pairs for f in pair}
    rest = [f for f in (*left.visible, *right.visible) if id(f) not in gone]
    return (*shared, *rest)


def is_comma(join: exp.Join) -> bool:
    """Whether a join is a comma in FROM."""
    return bool(join.args.get("kind") == "COMMA")


def bare(node: exp.Expr) -> exp.Expr:
    """A query without the parentheses around it."""
    while isinstance(node, (exp.Subquery, exp.Paren)):
        only(node, "this")
        node = node.this
    return node


def folds(node: exp.Select) -> bool:
    """Whether rows of the result are no longer rows of a table, so that no index reaches through the query."""
    return any(node.args.get(a) for a in ("distinct", "group", "having", "limit", "offset", "order"))


def renamed(columns: Sequence[Column], names: Sequence[exp.Expr] | None, node: exp.Expr) -> tuple[Column, ...]:
    """Columns under the names that an alias lists, if it lists any."""
    if not names:
        return tuple(columns)
    if len(names) != len(columns):
        raise Refusal(f"{len(names)} names are given to {len(columns)} columns", dialect.offset(node))
    new = [identifier(n, new=True).text for n in names]
    return tuple(replace(c, name=n) for c, n in zip(columns, new, strict=True))


def name_of(item: exp.Expr, value: Value) -> str:
    """The name of a column without an alias: that of the column or function."""
    item = unwrapped(item)
    if isinstance(item, exp.Column):
        return value.column.name
    return str(item.this).lower() if isinstance(item, exp.Anonymous) else "value"


def position(node: exp.Expr, columns: Sequence[Column]) -> int | None:
    """The column that a number means in ORDER BY and GROUP BY."""
    if not isinstance(node, exp.Literal) or node.is_string:
        return None
    text = str(node.this)
    if not text.isdigit() or not 1 <= int(text[:9]) <= len(columns):
        raise Refusal(f"the result has columns 1 to {len(columns)}, not {text[:20]}", dialect.offset(node))
    return int(text[:9])


def named_position(node: exp.Expr, columns: Sequence[Column]) -> int | None:
    """The column of the result that a name means in ORDER BY."""
    if not isinstance(node, exp.Column) or node.args.get("table") is not None or isinstance(node.this, exp.Star):
        return None
    wanted = identifier(node.this)
    found = [n for n, c in enumerate(columns, start=1) if wanted.matches(c.name)]
    return found[0] if len(found) == 1 else None


def rows_of(node: exp.Expr, clause: str) -> int | None:
    """The number of TOP or OFFSET."""
    part = node.args.get(clause)
    if part is None:
        return None
    if clause == "limit" and not part.meta.get("top"):
        raise Refusal("not supported: LIMIT; write SELECT TOP n", dialect.offset(part))
    only(part, "expression")
    number = part.args.get("expression")
    text = str(number.this) if isinstance(number, exp.Literal) and not number.is_string else ""
    if not text.isdigit() or not text.isascii() or len(text) > 19 or int(text) > MAX_ROWS:
        word = "TOP" if clause == "limit" else "OFFSET"
        raise Refusal(f"{word} takes a whole number", dialect.offset(part))
    return int(text)


def rows_clause(top: int | None, offset: int | None, most: int | None) -> list[str]:
    """LIMIT and OFFSET in SQL."""
    limits = [n for n in (top, most) if n is not None]
    return [*([f"LIMIT {min(limits)}"] if limits else []), *([f"OFFSET {offset}"] if offset else [])]
