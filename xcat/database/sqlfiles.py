"""Loads the SQL files in sql/: objects of the database and the statements of the stages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from psycopg import Connection, Cursor, sql

_PACKAGE = Path(__file__).resolve().parent.parent
_OBJECT = re.compile(r"^(?P<about>(?:--[^\n]*\n)+)CREATE (?P<kind>FUNCTION|VIEW) (?P<name>[\w.]+)", re.M)
_HEAD = re.compile(r"^-- name: (?P<name>\w+)\n(?P<about>(?:--[^\n]*\n)*)", re.M)


def folder(name: str) -> Path:
    """Folder ``sql`` or ``alembic``: inside an installed package, else at the top of the checkout."""
    inside = _PACKAGE / f"_{name}"
    return inside if inside.is_dir() else _PACKAGE.parent / name


@dataclass(frozen=True)
class Statement:
    """One statement of a file in sql/jobs or sql/queries.

    Attributes
    ----------
    name : str
        File and name, as in ``match.probabilities``.
    about : str
        What it does, the comment above it.
    text : str
        SQL with ``%(parameter)s`` and ``{identifier}`` places.
    """

    name: str
    about: str
    text: str

    def compose(self, **identifiers: str | sql.Composable) -> sql.Composed:
        """Put identifiers into their places; a dot separates schema and name."""
        places = {
            key: value if isinstance(value, sql.Composable) else sql.Identifier(*value.split("."))
            for key, value in identifiers.items()
        }
        # the text comes from a file of ours, not from a user
        return sql.SQL(self.text).format(**places)


@cache
def job(name: str) -> Statement:
    """Statement ``file.name`` of sql/jobs.

    Raises
    ------
    KeyError
        There is no such statement.
    """
    file, _, _ = name.partition(".")
    return statements(folder("sql") / "jobs" / f"{file}.sql")[name]


@cache
def statements(path: Path) -> dict[str, Statement]:
    """All statements of a file, by ``file.name``."""
    text = path.read_text(encoding="utf-8")
    heads = list(_HEAD.finditer(text))
    by_name = {}
    for head, following in zip(heads, [*heads[1:], None], strict=True):
        body = text[head.end() : following.start() if following else len(text)]
        name = f"{path.stem}.{head['name']}"
        by_name[name] = Statement(name, _words(head["about"]), body.strip().rstrip(";"))
    return by_name


def _words(comment: str) -> str:
    return " ".join(line.removeprefix("--").strip() for line in comment.splitlines())


def described(text: str) -> dict[str, str]:
    """What a file says above each function and view that it creates, by kind and name: ``VIEW pub.runs``."""
    return {f"{made['kind']} {made['name']}": _words(made["about"]) for made in _OBJECT.finditer(text)}


def dicts(cursor: Cursor[Any]) -> list[dict[str, Any]]:
    """All rows of a result, each as a dict of column name to value."""
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def insert(
    conn: Connection[Any], table: str, rows: Sequence[Mapping[str, Any] | Sequence[Any]], columns: Iterable[str] = ()
) -> None:
    """Insert a few rows; columns are named by the keys of the rows, or in their order if the rows have none."""
    if not rows:
        return
    names = list(columns) or list(rows[0])
    places: list[sql.Composable] = [sql.Placeholder("" if columns else name) for name in names]
    values, listed = sql.SQL(", ").join(places), sql.SQL(", ").join(map(sql.Identifier, names))
    sent = [
        {name: _sent(value) for name, value in row.items()} if isinstance(row, Mapping) else [_sent(v) for v in row]
        for row in rows
    ]
    with conn.cursor() as cursor:
        cursor.executemany(job("rows.insert").compose(table=table, columns=listed, values=values), sent)


def _sent(value: Any) -> Any:
    """Write a list of floats as PostgreSQL reads it, every bit kept: psycopg asks each of them for its type."""
    if type(value) is not list or not value or any(type(x) is not float for x in value):
        return value
    return f"{{{','.join(map(repr, value))}}}"


def objects(kind: str) -> list[Path]:
    """Files of sql/functions or sql/views, in the order in which they can be created."""
    return sorted((folder("sql") / kind).glob("*.sql"))
