"""Examples of queries, as DALI wants them: a page with RDFa that TOPCAT reads, made from sql/adql."""

from __future__ import annotations

from functools import cache
from html import escape

from xcat.database.sqlfiles import Statement, folder, statements

_VOCABULARY = "http://www.ivoa.net/rdf/examples#"


@cache
def ready() -> tuple[Statement, ...]:
    """The examples, by name: each a query in ADQL with what it asks."""
    files = sorted((folder("sql") / "adql").glob("*.sql"))
    return tuple(example for path in files for example in statements(path).values())


def page() -> str:
    """The page of examples."""
    listed = "\n".join(map(_example, ready()))
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/><title>Examples for TAP</title></head>\n'
        f'<body vocab="{_VOCABULARY}">\n<h1>Examples for TAP</h1>\n{listed}\n</body></html>\n'
    )


def _example(example: Statement) -> str:
    name = example.name.rpartition(".")[2]
    return (
        f'<div id="{name}" resource="#{name}" typeof="example">\n'
        f'<h2 property="name">{escape(name.replace("_", " "))}</h2>\n<p>{escape(example.about)}</p>\n'
        f'<pre property="query">{escape(example.text)}</pre>\n</div>'
    )
