"""The tree that sqlglot read: its rows of operators, its places, and the arguments of a node that are allowed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sqlglot import exp

from xcat.adql import dialect
from xcat.adql.model import Refusal

T = TypeVar("T")


def chain(node: exp.Binary, *also: str) -> list[exp.Expr]:
    """Operands of a row of one operator, however long: sqlglot nests it to the left."""
    operands: list[exp.Expr] = []
    at: exp.Expr = node
    while type(at) is type(node):
        only(at, "this", "expression", *also)
        operands.append(at.expression)
        at = at.this
    return [at, *reversed(operands)]


def conjuncts(node: exp.Expr) -> list[exp.Expr]:
    """Operands of AND; any other node is one by itself."""
    return chain(node) if isinstance(node, exp.And) else [node]


def unwrapped(node: exp.Expr) -> exp.Expr:
    """A node without the parentheses around it."""
    while isinstance(node, exp.Paren):
        node = node.this
    return node


def only(node: exp.Expr, *arguments: str) -> None:
    """Refuse a node with arguments other than those listed."""
    for argument, value in node.args.items():
        if argument not in arguments and value not in (None, False, [], ()):
            raise Refusal(f"not supported: {type(node).__name__.upper()} with {argument.strip('_').upper()}")


def refused(node: exp.Expr) -> Refusal:
    """Why a node that is not listed is refused."""
    return Refusal(f"not supported: {type(node).__name__}", dialect.offset(node))


def placed(node: exp.Expr, write: Callable[[], T]) -> T:
    """What a function gives; a refusal without a place gets that of the node."""
    try:
        return write()
    except Refusal as refusal:
        if refusal.offset is None:
            refusal.offset = dialect.offset(node)
        raise
