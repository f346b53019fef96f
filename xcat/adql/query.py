"""Queries: SELECT with all its clauses, joins, WITH, and set operations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

from sqlglot import exp

from xcat.adql import dialect
from xcat.adql.clauses import (
    From,
    bare,
    folds,
    is_comma,
    merged,
    name_of,
    named_position,
    position,
    renamed,
    rows_clause,
    rows_of,
    same_names,
)
from xcat.adql.expressions import Expressions
from xcat.adql.kinds import common, compare
from xcat.adql.model import Column, Refusal, Table
from xcat.adql.nodes import only, refused, unwrapped
from xcat.adql.scope import Field, Identifier, Origin, Scope, Source, WithTable, identifier, lookup, named
from xcat.adql.values import Aliases, Value, kind, name

_SIDES = {"LEFT": "LEFT ", "RIGHT": "RIGHT ", "FULL": "FULL "}
_SETS: dict[type[exp.Expr], str] = {exp.Union: "UNION", exp.Intersect: "INTERSECT", exp.Except: "EXCEPT"}
_QUERY = ("with_", "order", "limit", "offset")
#: PostgreSQL takes 1,664.
MAX_COLUMNS = 1_600
#: Most tables in all parts of FROM, each counted as often as it is there.
MAX_TABLES = 64


@dataclass(frozen=True)
class Written:
    """A query in SQL, its columns, the tables that its columns come from, and the rows that TOP asks for."""

    sql: str
    columns: tuple[Column, ...]
    origins: tuple[Origin | None, ...] = ()
    limit: int | None = None


@dataclass
class Queries:
    """Writes the queries of one statement.

    Parameters
    ----------
    tables : mapping
        Tables that may be read, by their names.
    searched : set of int
        Numbers of the tables that are searched by position: what a first writing has found, for a second one.
    """

    tables: Mapping[str, Table]
    searched: set[int] = field(default_factory=set)
    aliases: Aliases = field(default_factory=Aliases)
    numbers: Iterator[int] = field(default_factory=count)

    def write(self, node: exp.Expr, parent: Scope | None = None, most: int | None = None) -> Written:
        """A query; `most` is how many rows its result may have at most."""
        node = bare(node)
        scope, start = self._with(node, Scope(parent))
        if isinstance(node, exp.Select):
            written = self._select(node, scope, most)
        elif type(node) in _SETS:
            written = self._set_operation(node, scope, most)
        else:
            raise refused(node)
        return replace(written, sql=start + written.sql)

    def _subquery(self, node: exp.Expr, scope: Scope) -> tuple[str, tuple[Column, ...]]:
        written = self.write(node, scope)
        return written.sql, written.columns

    def _expressions(self, scope: Scope, clause: str) -> Expressions:
        return Expressions(scope, self._subquery, clause, frozenset(self.searched))

    def _condition(self, node: exp.Expr, scope: Scope, clause: str) -> str:
        condition = self._expressions(scope, clause).clause_condition(node)
        self.searched |= condition.searches
        return condition.sql

    # -- WITH

    def _with(self, node: exp.Expr, scope: Scope) -> tuple[Scope, str]:
        """The scope with the tables of WITH, and their SQL."""
        clause = node.args.get("with_")
        if clause is None:
            return scope, ""
        only(clause, "expressions")
        texts = []
        for part in clause.expressions:
            only(part, "this", "alias")
            only(part.args["alias"], "this", "columns")
            called = identifier(part.args["alias"].this, new=True)
            written = self.write(part.this, scope)
            columns = renamed(written.columns, part.args["alias"].args.get("columns"), part)
            if any(w.called.text.lower() == called.text.lower() for w in scope.with_tables):
                raise Refusal(f"WITH has {called.text} twice", dialect.offset(part))
            table = WithTable(called, self.aliases.new(called.text), columns, written.columns, written.origins)
            texts.append(f"{name(table.alias)} AS ({written.sql})")
            scope = replace(scope, with_tables=(*scope.with_tables, table))
        return scope, f"WITH {', '.join(texts)} "

    # -- SELECT

    def _select(self, node: exp.Select, scope: Scope, most: int | None) -> Written:
        only(node, "expressions", "distinct", "from_", "joins", "where", "group", "having", *_QUERY)
        distinct = node.args.get("distinct")
        if distinct is not None:
            only(distinct)
        parts = []
        if node.args.get("from_") is not None:
            only(node.args["from_"], "this")
            whole = self._from(node.args["from_"].this, node.args.get("joins") or [], scope)
            scope = replace(scope, sources=list(whole.sources), visible=list(whole.visible))
            parts.append(f"FROM {whole.sql}")
        columns, values = self._list(node, scope)
        if (where := node.args.get("where")) is not None:
            parts.append(f"WHERE {self._condition(where.this, scope, 'WHERE')}")
        if (group := node.args.get("group")) is not None:
            only(group, "expressions")
            terms = [self._group_term(n, scope, columns) for n in group.expressions]
            parts.append(f"GROUP BY {', '.join(terms)}")
        if (having := node.args.get("having")) is not None:
            parts.append(f"HAVING {self._expressions(scope, 'HAVING').condition(having.this).sql}")
        order = self._order(node, columns, scope, values)
        top = rows_of(node, "limit")
        rows = rows_clause(top, rows_of(node, "offset"), most)
        listed = ", ".join(f"{v.sql} AS {name(c.name)}" for c, v in zip(columns, values, strict=True))
        select = f"SELECT {'DISTINCT ' if distinct is not None else ''}{listed}"
        origins = tuple(self._origin(scope, v) for v in values) if not folds(node) else ()
        return Written(" ".join([select, *parts, *order, *rows]), columns, origins, top)

    def _list(self, node: exp.Select, scope: Scope) -> tuple[tuple[Column, ...], list[Value]]:
        """Columns of the result, each with a name of its own, and their values."""
        if not node.expressions:
            raise Refusal("SELECT needs a list of columns", dialect.offset(node))
        write = self._expressions(scope, "SELECT")
        columns: list[Column] = []
        values: list[Value] = []
        taken: set[str] = set()
        for item in node.expressions:
            for wanted, value in self._items(item, scope, write):
                free, number = wanted, 2
                while free.lower() in taken:
                    free, number = f"{wanted}_{number}", number + 1
                taken.add(free.lower())
                columns.append(replace(value.column, name=free))
                values.append(value)
            if len(columns) > MAX_COLUMNS:
                raise Refusal(f"a result has at most {MAX_COLUMNS:,} columns", dialect.offset(item))
        return tuple(columns), values

    def _items(self, item: exp.Expr, scope: Scope, write: Expressions) -> Iterator[tuple[str, Value]]:
        """Names and values of an item of the list: one, or all columns of a star."""
        if isinstance(item, exp.Star):
            only(item)
            if not scope.visible:
                raise Refusal("SELECT * needs FROM", dialect.offset(item))
            fields: Sequence[Field] = scope.visible
        elif isinstance(item, exp.Column) and isinstance(item.this, exp.Star):
            only(item, "this", "table", "db")
            only(item.this)
            of = [identifier(p) for p in (item.args.get("db"), item.args.get("table")) if p is not None]
            fields = scope.source(of, item).fields
        else:
            called = None
            if isinstance(item, exp.Alias):
                only(item, "this", "alias")
                called = identifier(item.args["alias"], new=True)
                item = item.this
            value = write.value(item)
            yield called.text if called else name_of(item, value), value
            return
        for each in fields:
            yield each.column.name, each.value()

    def _group_term(self, node: exp.Expr, scope: Scope, columns: Sequence[Column]) -> str:
        if (listed := position(node, columns)) is not None:
            return str(listed)
        write = self._expressions(scope, "GROUP BY")
        try:
            value = write.value(node)
        except Refusal:
            if (listed := named_position(node, columns)) is None:
                raise
            return str(listed)
        if value.number is not None or value.text is not None:
            raise Refusal("GROUP BY takes columns, not a fixed value", dialect.offset(node))
        return value.sql

    def _order(
        self, node: exp.Expr, columns: Sequence[Column], scope: Scope | None, values: Sequence[Value] = ()
    ) -> list[str]:
        clause = node.args.get("order")
        if clause is None:
            return []
        only(clause, "expressions")
        terms = []
        for item in clause.expressions:
            only(item, "this", "desc", "nulls_first")
            at = position(item.this, columns) or named_position(item.this, columns)
            if at is not None:
                sql = str(at)
            elif scope is None:
                raise Refusal("ORDER BY after UNION takes names or numbers of columns", dialect.offset(item))
            else:
                value = self._expressions(scope, "ORDER BY").value(item.this)
                if value.number is not None or value.text is not None:
                    raise Refusal("ORDER BY takes columns, not a fixed value", dialect.offset(item))
                listed = [number for number, v in enumerate(values, start=1) if v.sql == value.sql]
                if node.args.get("distinct") is not None and not listed:
                    raise Refusal("ORDER BY after DISTINCT takes what SELECT lists", dialect.offset(item))
                sql = str(listed[0]) if listed else value.sql
            terms.append(f"{sql} DESC" if item.args.get("desc") else sql)
        return [f"ORDER BY {', '.join(terms)}"]

    def _origin(self, scope: Scope, value: Value) -> Origin | None:
        source = scope.find(value.origin[0]) if value.origin else None
        if source is None or source.table is None or value.origin is None:
            return None
        return Origin(source.table, source.base, value.origin[1])

    # -- set operations

    def _set_operation(self, node: exp.Expr, scope: Scope, most: int | None) -> Written:
        only(node, "this", "expression", "distinct", *_QUERY)
        if node.args.get("limit") is not None:
            raise Refusal("not supported: LIMIT; write SELECT TOP n", dialect.offset(node.args["limit"]))
        operands = []
        at: exp.Expr = node
        while type(at) in _SETS and (at is node or not any(at.args.get(a) for a in _QUERY)):
            only(at, "this", "expression", "distinct", *_QUERY)
            operands.append((f"{_SETS[type(at)]}{'' if at.args.get('distinct') else ' ALL'}", at.args["expression"]))
            at = at.args["this"]
        first = self.write(at, scope)
        sql, columns = f"({first.sql})", list(first.columns)
        for word, operand in reversed(operands):
            other = self.write(operand, scope)
            if len(other.columns) != len(columns):
                raise Refusal(
                    f"{word} needs queries with as many columns each, not {len(columns)} and {len(other.columns)}",
                    dialect.offset(operand),
                )
            for number, (a, b) in enumerate(zip(columns, other.columns, strict=True)):
                if kind(a) != kind(b):
                    raise Refusal(f"{word}: column {number + 1} is {kind(a)} and {kind(b)}", dialect.offset(operand))
                if kind(a) == "number":
                    columns[number] = replace(a, datatype=common([Value("", a), Value("", b)]).datatype)
            sql = f"({sql} {word} ({other.sql}))"
        order = self._order(node, columns, None)
        rows = rows_clause(None, rows_of(node, "offset"), most)
        return Written(" ".join([sql[1:-1], *order, *rows]), tuple(columns))

    # -- FROM

    def _from(self, first: exp.Expr, joins: Sequence[exp.Join], scope: Scope) -> From:
        """All of FROM. The condition of a join sees the tables since the last comma."""
        done: list[From] = []
        current = self._item(first, scope)
        for join in joins:
            only(join, "this", "method", "side", "kind", "on", "using")
            if is_comma(join):
                done.append(current)
                current = self._item(join.this, scope)
            else:
                current = self._join(current, join, scope)
        done.append(current)
        return From(
            ", ".join(part.sql for part in done),
            tuple(s for part in done for s in part.sources),
            tuple(f for part in done for f in part.visible),
        )

    def _item(self, node: exp.Expr, scope: Scope) -> From:
        """A table, a query in parentheses, or a join in parentheses."""
        if isinstance(node, exp.Table):
            only(node, "this", "db", "alias", "joins", "catalog")
            first = self._table(node, scope)
            return self._joined(first, node.args.get("joins") or [], scope)
        if not isinstance(node, exp.Subquery):
            raise refused(node)
        only(node, "this", "alias", "joins")
        if isinstance(unwrapped(node.this), exp.Table):
            if node.args.get("alias") is not None:
                raise Refusal("not supported: an alias of a join", dialect.offset(node))
            inner = self._item(node.this, scope)
            return self._joined(replace(inner, sql=f"({inner.sql})"), node.args.get("joins") or [], scope)
        alias = node.args.get("alias")
        if alias is None:
            raise Refusal("a query in FROM needs a name: (SELECT ...) AS name", dialect.offset(node))
        only(alias, "this", "columns")
        # a query in FROM does not see the tables beside it
        written = self.write(node.this, replace(scope, sources=[], visible=[]))
        written = replace(written, sql=f"({written.sql})")
        called = identifier(alias.this, new=True)
        derived = self._derived(node, called, written, renamed(written.columns, alias.args.get("columns"), node), scope)
        return self._joined(derived, node.args.get("joins") or [], scope)

    def _table(self, node: exp.Table, scope: Scope) -> From:
        if node.args.get("catalog") is not None:
            raise Refusal("a table has a schema and a name", dialect.offset(node))
        parts = [identifier(p) for p in (node.args.get("db"), node.this) if p is not None]
        alias, called, listed = node.args.get("alias"), None, None
        if alias is not None:
            only(alias, "this", "columns")
            called, listed = identifier(alias.this, new=True), alias.args.get("columns")
        if len(parts) == 1 and (found := _with_table(parts[0], scope)) is not None:
            reads = Written(name(found.alias), found.stored, found.origins)
            return self._derived(node, called or found.called, reads, renamed(found.columns, listed, node), scope)
        table = lookup(self.tables, parts, node)
        names = (called.text,) if called else tuple(table.name.split(".", 1))
        number, short = self._number(node), self.aliases.new(names[-1])
        fields = tuple(named(c, short, number, c.name) for c in table.columns)
        if listed:
            new = renamed(table.columns, listed, node)
            fields = tuple(replace(f, column=c) for f, c in zip(fields, new, strict=True))
        source = Source(number, names, short, fields, table, scope.depth, number)
        return From(f"{table.relation} AS {name(short)}", (source,), fields)

    def _number(self, node: exp.Expr) -> int:
        """The number of the next table of the statement."""
        number = next(self.numbers)
        if number >= MAX_TABLES:
            raise Refusal(f"a query reads at most {MAX_TABLES} tables", dialect.offset(node))
        return number

    def _derived(
        self, node: exp.Expr, called: Identifier, written: Written, columns: Sequence[Column], scope: Scope
    ) -> From:
        """A query in FROM; a column that it takes from a table as it is keeps its index."""
        number, short = self._number(node), self.aliases.new(called.text)
        home = next((o for o in written.origins if o is not None and o.table.position), None)
        fields = []
        for column, old, origin in zip(
            columns, written.columns, written.origins or (None,) * len(columns), strict=True
        ):
            source_name = origin.column if origin and home and origin.number == home.number else None
            made = named(old, short, number, source_name)
            fields.append(replace(made, column=column))
        table, base = (home.table, home.number) if home else (None, number)
        source = Source(number, (called.text,), short, tuple(fields), table, scope.depth, base)
        return From(f"{written.sql} AS {name(short)}", (source,), tuple(fields))

    def _joined(self, first: From, joins: Sequence[exp.Join], scope: Scope) -> From:
        for join in joins:
            only(join, "this", "method", "side", "kind", "on", "using")
            if is_comma(join):
                raise Refusal("not supported: a comma inside a join", dialect.offset(join))
            first = self._join(first, join, scope)
        return first

    def _join(self, left: From, join: exp.Join, scope: Scope) -> From:
        right = self._item(join.this, scope)
        side, how, method = (str(join.args.get(a) or "") for a in ("side", "kind", "method"))
        if how not in ("", "INNER", "OUTER", "CROSS") or method not in ("", "NATURAL") or side not in ("", *_SIDES):
            raise Refusal(f"not supported: {method} {side} {how} JOIN".replace("  ", " "), dialect.offset(join))
        seen = replace(scope, sources=[*left.sources, *right.sources], visible=[*left.visible, *right.visible])
        on, using = join.args.get("on"), join.args.get("using")
        if how == "CROSS":
            if on is not None or using or method:
                raise Refusal("CROSS JOIN has no condition", dialect.offset(join))
            return From(f"{left.sql} CROSS JOIN {right.sql}", tuple(seen.sources), tuple(seen.visible))
        visible = tuple(seen.visible)
        if method or using:
            if on is not None or (method and using):
                raise Refusal("a join has one of NATURAL, ON and USING", dialect.offset(join))
            pairs = same_names(left, right, [identifier(n) for n in using] if using else None, join)
            conditions = [compare(a.value(), "=", b.value()).sql for a, b in pairs] or ["true"]
            visible = merged(left, right, pairs, side)
            condition = " AND ".join(conditions)
        elif on is not None:
            condition = self._condition(on, seen, "ON")
        else:
            raise Refusal("a join needs ON or USING", dialect.offset(join))
        sql = f"{left.sql} {_SIDES.get(side, '')}JOIN {right.sql} ON {condition}"
        return From(sql, tuple(seen.sources), visible)


def _with_table(wanted: Identifier, scope: Scope) -> WithTable | None:
    at: Scope | None = scope
    while at is not None:
        for table in at.with_tables:
            if wanted.matches(table.called.text):
                return table
        at = at.parent
    return None
