"""Queries: SELECT with all its clauses, joins, WITH, and set operations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

from sqlglot import exp

from xcat.adql import dialect
from xcat.adql.expressions import Expressions, common, compare, only, refused, unwrapped
from xcat.adql.model import Column, Refusal, Table
from xcat.adql.scope import Field, Identifier, Origin, Scope, Source, WithTable, identifier, lookup, named
from xcat.adql.values import Aliases, Value, kind, name

_SIDES = {"LEFT": "LEFT ", "RIGHT": "RIGHT ", "FULL": "FULL "}
_SETS: dict[type[exp.Expr], str] = {exp.Union: "UNION", exp.Intersect: "INTERSECT", exp.Except: "EXCEPT"}
_QUERY = ("with_", "order", "limit", "offset")
MAX_ROWS = 2**63 - 1
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


@dataclass(frozen=True)
class _From:
    """A part of FROM: its SQL, its tables, and the columns that a star gives."""

    sql: str
    sources: tuple[Source, ...]
    visible: tuple[Field, ...]


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
        node = _bare(node)
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
            columns = _renamed(written.columns, part.args["alias"].args.get("columns"), part)
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
        top = _rows(node, "limit")
        rows = _rows_clause(top, _rows(node, "offset"), most)
        listed = ", ".join(f"{v.sql} AS {name(c.name)}" for c, v in zip(columns, values, strict=True))
        select = f"SELECT {'DISTINCT ' if distinct is not None else ''}{listed}"
        origins = tuple(self._origin(scope, v) for v in values) if not _folds(node) else ()
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
            yield called.text if called else _name_of(item, value), value
            return
        for each in fields:
            yield each.column.name, each.value()

    def _group_term(self, node: exp.Expr, scope: Scope, columns: Sequence[Column]) -> str:
        if (position := _position(node, columns)) is not None:
            return str(position)
        write = self._expressions(scope, "GROUP BY")
        try:
            value = write.value(node)
        except Refusal:
            if (position := _named_position(node, columns)) is None:
                raise
            return str(position)
        return value.sql if value.number is None and value.text is None else f"({value.sql} || '')"

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
            position = _position(item.this, columns) or _named_position(item.this, columns)
            if position is not None:
                sql = str(position)
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
        rows = _rows_clause(None, _rows(node, "offset"), most)
        return Written(" ".join([sql[1:-1], *order, *rows]), tuple(columns))

    # -- FROM

    def _from(self, first: exp.Expr, joins: Sequence[exp.Join], scope: Scope) -> _From:
        """All of FROM. The condition of a join sees the tables since the last comma."""
        done: list[_From] = []
        current = self._item(first, scope)
        for join in joins:
            only(join, "this", "method", "side", "kind", "on", "using")
            if _is_comma(join):
                done.append(current)
                current = self._item(join.this, scope)
            else:
                current = self._join(current, join, scope)
        done.append(current)
        return _From(
            ", ".join(part.sql for part in done),
            tuple(s for part in done for s in part.sources),
            tuple(f for part in done for f in part.visible),
        )

    def _item(self, node: exp.Expr, scope: Scope) -> _From:
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
        derived = self._derived(
            node, called, written, _renamed(written.columns, alias.args.get("columns"), node), scope
        )
        return self._joined(derived, node.args.get("joins") or [], scope)

    def _table(self, node: exp.Table, scope: Scope) -> _From:
        if node.args.get("catalog") is not None:
            raise Refusal("a table has a schema and a name", dialect.offset(node))
        parts = [identifier(p) for p in (node.args.get("db"), node.this) if p is not None]
        alias, called, renamed = node.args.get("alias"), None, None
        if alias is not None:
            only(alias, "this", "columns")
            called, renamed = identifier(alias.this, new=True), alias.args.get("columns")
        if len(parts) == 1 and (found := _with_table(parts[0], scope)) is not None:
            reads = Written(name(found.alias), found.stored, found.origins)
            return self._derived(node, called or found.called, reads, _renamed(found.columns, renamed, node), scope)
        table = lookup(self.tables, parts, node)
        names = (called.text,) if called else tuple(table.name.split(".", 1))
        number, short = self._number(node), self.aliases.new(names[-1])
        fields = tuple(named(c, short, number, c.name) for c in table.columns)
        if renamed:
            new = _renamed(table.columns, renamed, node)
            fields = tuple(replace(f, column=c) for f, c in zip(fields, new, strict=True))
        source = Source(number, names, short, fields, table, scope.depth, number)
        return _From(f"{table.relation} AS {name(short)}", (source,), fields)

    def _number(self, node: exp.Expr) -> int:
        """The number of the next table of the statement."""
        number = next(self.numbers)
        if number >= MAX_TABLES:
            raise Refusal(f"a query reads at most {MAX_TABLES} tables", dialect.offset(node))
        return number

    def _derived(
        self, node: exp.Expr, called: Identifier, written: Written, columns: Sequence[Column], scope: Scope
    ) -> _From:
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
        return _From(f"{written.sql} AS {name(short)}", (source,), tuple(fields))

    def _joined(self, first: _From, joins: Sequence[exp.Join], scope: Scope) -> _From:
        for join in joins:
            only(join, "this", "method", "side", "kind", "on", "using")
            if _is_comma(join):
                raise Refusal("not supported: a comma inside a join", dialect.offset(join))
            first = self._join(first, join, scope)
        return first

    def _join(self, left: _From, join: exp.Join, scope: Scope) -> _From:
        right = self._item(join.this, scope)
        side, how, method = (str(join.args.get(a) or "") for a in ("side", "kind", "method"))
        if how not in ("", "INNER", "OUTER", "CROSS") or method not in ("", "NATURAL") or side not in ("", *_SIDES):
            raise Refusal(f"not supported: {method} {side} {how} JOIN".replace("  ", " "), dialect.offset(join))
        seen = replace(scope, sources=[*left.sources, *right.sources], visible=[*left.visible, *right.visible])
        on, using = join.args.get("on"), join.args.get("using")
        if how == "CROSS":
            if on is not None or using or method:
                raise Refusal("CROSS JOIN has no condition", dialect.offset(join))
            return _From(f"{left.sql} CROSS JOIN {right.sql}", tuple(seen.sources), tuple(seen.visible))
        visible = tuple(seen.visible)
        if method or using:
            if on is not None or (method and using):
                raise Refusal("a join has one of NATURAL, ON and USING", dialect.offset(join))
            pairs = _same_names(left, right, [identifier(n) for n in using] if using else None, join)
            conditions = [compare(a.value(), "=", b.value()).sql for a, b in pairs] or ["true"]
            visible = _merged(left, right, pairs, side)
            condition = " AND ".join(conditions)
        elif on is not None:
            condition = self._condition(on, seen, "ON")
        else:
            raise Refusal("a join needs ON or USING", dialect.offset(join))
        sql = f"{left.sql} {_SIDES.get(side, '')}JOIN {right.sql} ON {condition}"
        return _From(sql, tuple(seen.sources), visible)


def _same_names(
    left: _From, right: _From, wanted: Sequence[Identifier] | None, join: exp.Join
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


def _merged(left: _From, right: _From, pairs: Sequence[tuple[Field, Field]], side: str) -> tuple[Field, ...]:
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


def _is_comma(join: exp.Join) -> bool:
    return bool(join.args.get("kind") == "COMMA")


def _with_table(wanted: Identifier, scope: Scope) -> WithTable | None:
    at: Scope | None = scope
    while at is not None:
        for table in at.with_tables:
            if wanted.matches(table.called.text):
                return table
        at = at.parent
    return None


def _bare(node: exp.Expr) -> exp.Expr:
    """A query without the parentheses around it."""
    while isinstance(node, (exp.Subquery, exp.Paren)):
        only(node, "this")
        node = node.this
    return node


def _folds(node: exp.Select) -> bool:
    """Whether rows of the result are no longer rows of a table, so that no index reaches through the query."""
    return any(node.args.get(a) for a in ("distinct", "group", "having", "limit", "offset", "order"))


def _renamed(columns: Sequence[Column], names: Sequence[exp.Expr] | None, node: exp.Expr) -> tuple[Column, ...]:
    if not names:
        return tuple(columns)
    if len(names) != len(columns):
        raise Refusal(f"{len(names)} names are given to {len(columns)} columns", dialect.offset(node))
    new = [identifier(n, new=True).text for n in names]
    return tuple(replace(c, name=n) for c, n in zip(columns, new, strict=True))


def _name_of(item: exp.Expr, value: Value) -> str:
    """The name of a column without an alias: that of the column or function."""
    item = unwrapped(item)
    if isinstance(item, exp.Column):
        return value.column.name
    return str(item.this).lower() if isinstance(item, exp.Anonymous) else "value"


def _position(node: exp.Expr, columns: Sequence[Column]) -> int | None:
    """The column that a number means in ORDER BY and GROUP BY."""
    if not isinstance(node, exp.Literal) or node.is_string:
        return None
    text = str(node.this)
    if not text.isdigit() or not 1 <= int(text[:9]) <= len(columns):
        raise Refusal(f"the result has columns 1 to {len(columns)}, not {text[:20]}", dialect.offset(node))
    return int(text[:9])


def _named_position(node: exp.Expr, columns: Sequence[Column]) -> int | None:
    """The column of the result that a name means in ORDER BY."""
    if not isinstance(node, exp.Column) or node.args.get("table") is not None or isinstance(node.this, exp.Star):
        return None
    wanted = identifier(node.this)
    found = [n for n, c in enumerate(columns, start=1) if wanted.matches(c.name)]
    return found[0] if len(found) == 1 else None


def _rows(node: exp.Expr, clause: str) -> int | None:
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


def _rows_clause(top: int | None, offset: int | None, most: int | None) -> list[str]:
    limits = [n for n in (top, most) if n is not None]
    return [*([f"LIMIT {min(limits)}"] if limits else []), *([f"OFFSET {offset}"] if offset else [])]
