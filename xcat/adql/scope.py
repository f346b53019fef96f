"""What the names of a query mean: tables, columns, and who sees which."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from xcat.adql import dialect
from xcat.adql.model import Column, Refusal, Table
from xcat.adql.values import Value, name

MAX_NAME_BYTES = 63
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
#: Reserved words of SQL, then those of ADQL.
_WORDS = """
ABSOLUTE ACTION ADD ALL ALLOCATE ALTER AND ANY ARE AS ASC ASSERTION AT AUTHORIZATION AVG BEGIN BETWEEN BIT BIT_LENGTH
BOTH BY CASCADE CASCADED CASE CAST CATALOG CHAR CHARACTER CHAR_LENGTH CHARACTER_LENGTH CHECK CLOSE COALESCE COLLATE
COLLATION COLUMN COMMIT CONNECT CONNECTION CONSTRAINT CONSTRAINTS CONTINUE CONVERT CORRESPONDING COUNT CREATE CROSS
CURRENT CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP CURRENT_USER CURSOR DATE DAY DEALLOCATE DECIMAL DECLARE DEFAULT
DEFERRABLE DEFERRED DELETE DESC DESCRIBE DESCRIPTOR DIAGNOSTICS DISCONNECT DISTINCT DOMAIN DOUBLE DROP ELSE END ESCAPE
EXCEPT EXCEPTION EXEC EXECUTE EXISTS EXTERNAL EXTRACT FALSE FETCH FIRST FLOAT FOR FOREIGN FOUND FROM FULL GET GLOBAL
GO GOTO GRANT GROUP HAVING HOUR IDENTITY IMMEDIATE IN INDICATOR INITIALLY INNER INPUT INSENSITIVE INSERT INT INTEGER
INTERSECT INTERVAL INTO IS ISOLATION JOIN KEY LANGUAGE LAST LEADING LEFT LEVEL LIKE LOCAL LOWER MATCH MAX MIN MINUTE
MODULE MONTH NAMES NATIONAL NATURAL NCHAR NEXT NO NOT NULL NULLIF NUMERIC OCTET_LENGTH OF ON ONLY OPEN OPTION OR ORDER
OUTER OUTPUT OVERLAPS PAD PARTIAL POSITION PRECISION PREPARE PRESERVE PRIMARY PRIOR PRIVILEGES PROCEDURE PUBLIC READ
REAL REFERENCES RELATIVE RESTRICT REVOKE RIGHT ROLLBACK ROWS SCHEMA SCROLL SECOND SECTION SELECT SESSION SESSION_USER
SET SIZE SMALLINT SOME SPACE SQL SQLCODE SQLERROR SQLSTATE SUBSTRING SUM SYSTEM_USER TABLE TEMPORARY THEN TIME
TIMESTAMP TIMEZONE_HOUR TIMEZONE_MINUTE TO TRAILING TRANSACTION TRANSLATE TRANSLATION TRIM TRUE UNION UNIQUE UNKNOWN
UPDATE UPPER USAGE USER USING VALUE VALUES VARCHAR VARYING VIEW WHEN WHENEVER WHERE WITH WORK WRITE YEAR ZONE

ABS ACOS ASIN ATAN ATAN2 CEILING COS COT DEGREES EXP FLOOR LOG LOG10 MOD PI POWER RADIANS RAND ROUND SIN SQRT TAN
TRUNCATE AREA BOX CENTROID CIRCLE CONTAINS COORD1 COORD2 COORDSYS DISTANCE INTERSECTS POINT POLYGON REGION BIGINT
ILIKE IN_UNIT OFFSET TOP
"""
_RESERVED = frozenset(_WORDS.split())


@dataclass(frozen=True)
class Field:
    """A column that a query can name: what is known of it, its SQL, and the tables of FROM that it comes from."""

    column: Column
    sql: str
    tables: frozenset[int]
    origin: tuple[int, str] | None = None

    def value(self) -> Value:
        """The column in an expression."""
        return Value(self.sql, self.column, tables=self.tables, origin=self.origin)


@dataclass(frozen=True)
class Source:
    """A table in FROM.

    Parameters
    ----------
    number : int
        Its number in the statement.
    names : tuple of str
        How the query may call it: schema and name, or its alias alone.
    alias : str
        Its name in the SQL, which no other table of the statement has.
    fields : tuple of Field
    table : Table, optional
        What it reads, if that is a table with rows to search by position.
    depth : int
        How many queries it is in.
    base : int
        Its own number; of a query in FROM, that of the table inside it whose rows it gives.
    """

    number: int
    names: tuple[str, ...]
    alias: str
    fields: tuple[Field, ...]
    table: Table | None
    depth: int
    base: int


@dataclass(frozen=True)
class Origin:
    """Where a column of a query comes from, unchanged: a table, its number in the statement, and the column there."""

    table: Table
    number: int
    column: str


@dataclass(frozen=True)
class WithTable:
    """A table of WITH: how the query calls it, its name in the SQL, its columns, and where they come from."""

    called: Identifier
    alias: str
    columns: tuple[Column, ...]
    stored: tuple[Column, ...]
    origins: tuple[Origin | None, ...]


@dataclass
class Scope:
    """The tables that an expression sees, and the query around it."""

    parent: Scope | None = None
    sources: list[Source] = field(default_factory=list)
    #: what a star gives, and what a name without a table is looked up in: columns joined by USING are there once
    visible: list[Field] = field(default_factory=list)
    with_tables: tuple[WithTable, ...] = ()

    @property
    def depth(self) -> int:
        """How many queries there are around it."""
        return 0 if self.parent is None else self.parent.depth + 1

    def column(self, node: exp.Column) -> Field:
        """The column that a name means."""
        if isinstance(node.this, exp.Star):
            raise Refusal("a star stands alone in the list of SELECT or in COUNT(*)", dialect.offset(node))
        wanted = identifier(node.this)
        of = [identifier(part) for part in (node.args.get("db"), node.args.get("table")) if part is not None]
        if node.args.get("catalog"):
            raise Refusal("a table has at most a schema and a name", dialect.offset(node))
        if not of:
            scope: Scope | None = self
            while scope is not None:
                found = _matching(wanted, scope.visible)
                if found:
                    return _only(found, wanted, node)
                scope = scope.parent
            raise Refusal(f"no table of FROM has a column {wanted.text}{self._like(wanted)}", dialect.offset(node))
        source = self.source(of, node)
        found = _matching(wanted, source.fields)
        if not found:
            raise Refusal(
                f"{'.'.join(source.names)} has no column {wanted.text}{_like(wanted, source.fields)}",
                dialect.offset(node),
            )
        return _only(found, wanted, node)

    def source(self, of: Sequence[Identifier], node: exp.Expr) -> Source:
        """The table of FROM that a name before a dot means."""
        scope: Scope | None = self
        while scope is not None:
            found = [s for s in scope.sources if _same(of, s.names)]
            if len(found) > 1:
                raise Refusal(f"{_spelled(of)} is in FROM more than once: give each an alias", dialect.offset(node))
            if found:
                return found[0]
            scope = scope.parent
        raise Refusal(f"{_spelled(of)} is not in FROM", dialect.offset(node))

    def find(self, number: int) -> Source | None:
        """The table of FROM with a number, here or in a query around."""
        scope: Scope | None = self
        while scope is not None:
            for source in scope.sources:
                if source.number == number:
                    return source
            scope = scope.parent
        return None

    def _like(self, wanted: Identifier) -> str:
        return _like(wanted, self.visible)


@dataclass(frozen=True)
class Identifier:
    """A name of the query; one in double quotes is taken as it is, another in upper or lower case."""

    text: str
    exact: bool

    def matches(self, stored: str) -> bool:
        """Whether it means what is stored under a name."""
        return self.text == stored if self.exact else self.text.lower() == stored.lower()


def identifier(node: exp.Expr, *, new: bool = False) -> Identifier:
    """The name of a node, which must not be a reserved word; `new` for one that the query gives."""
    if not isinstance(node, exp.Identifier):
        raise Refusal("a name is expected", dialect.offset(node))
    text, exact = str(node.this), bool(node.args.get("quoted"))
    if not exact and text.upper() in _RESERVED:
        raise Refusal(
            f'{text} is a reserved word: as a name, write it in double quotes: "{text}"', dialect.offset(node)
        )
    if not exact and not _WORD.fullmatch(text):
        raise Refusal(f'a name begins with a letter: write "{text}" in double quotes', dialect.offset(node))
    if not text or (new and len(text.encode()) > MAX_NAME_BYTES):
        raise Refusal(f"a name has 1 to {MAX_NAME_BYTES} bytes", dialect.offset(node))
    return Identifier(text, exact)


def lookup(tables: Mapping[str, Table], parts: Sequence[Identifier], node: exp.Expr) -> Table:
    """The table that a name means; a name without a schema, if only one schema has it."""
    found = [t for t in tables.values() if _same(parts, tuple(t.name.split(".", 1)))]
    exact = [t for t in found if _same([Identifier(p.text, True) for p in parts], tuple(t.name.split(".", 1)))]
    found = exact or found
    if not found:
        raise Refusal(f"there is no table {_spelled(parts)}: tap_schema.tables lists the tables", dialect.offset(node))
    if len(found) > 1:
        raise Refusal(
            f"{_spelled(parts)} may be {' or '.join(t.name for t in found)}: write its schema, too",
            dialect.offset(node),
        )
    return found[0]


def _same(parts: Sequence[Identifier], stored: tuple[str, ...]) -> bool:
    """Whether a name means a stored one; without its schema, it means it, too."""
    if len(parts) > len(stored):
        return False
    return all(p.matches(s) for p, s in zip(reversed(parts), reversed(stored), strict=False))


def _matching(wanted: Identifier, fields: Iterable[Field]) -> list[Field]:
    found = [f for f in fields if wanted.matches(f.column.name)]
    # of names that differ by case alone, an ordinary one means that in lower case, in whatever case it is written
    lower = [f for f in found if f.column.name == wanted.text.lower()]
    return found if wanted.exact else lower or found


def _only(found: list[Field], wanted: Identifier, node: exp.Expr) -> Field:
    if len(found) > 1:
        raise Refusal(
            f"{wanted.text} may be a column of several tables: write table.{wanted.text}", dialect.offset(node)
        )
    return found[0]


def _like(wanted: Identifier, fields: Iterable[Field]) -> str:
    """A hint at a column that differs by its case alone."""
    like = [f.column.name for f in fields if f.column.name.lower() == wanted.text.lower()]
    return f'; there is "{like[0]}"' if like else ""


def _spelled(parts: Sequence[Identifier]) -> str:
    return ".".join(p.text for p in parts)


def named(column: Column, alias: str, number: int, origin: str | None) -> Field:
    """A column of a table in FROM."""
    where = (number, origin) if origin is not None else None
    return Field(column, f"{name(alias)}.{name(column.name)}", frozenset([number]), where)
