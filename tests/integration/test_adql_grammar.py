"""pyadql, made from the grammar of ADQL 2.1, reads what we read: only the extensions that we know of are ours alone."""

from __future__ import annotations

import json
import re
from pathlib import Path

import children
import pytest
from adql_cases import CASES, TABLES
from adql_hostile import texts
from environments import NotInstalled, environment, newer_python

from xcat.adql import AdqlError, translate

pytestmark = pytest.mark.slow

_VERSION = "1.0.1"
_PROGRAM = """
import json, sys
from loguru import logger
from pyadql import parse_adql
logger.remove()
def is_read(query):
    try:
        parse_adql(query)
    except Exception:
        return False
    return True
print(json.dumps([is_read(query) for query in json.load(open(sys.argv[1]))]))
"""
#: CASE and CROSS JOIN, a semicolon at the end, conditions as values (in SELECT, compared) and columns as conditions.
_EXTENSION = re.compile(r"\bCASE\b|\bCROSS JOIN\b|;\s*$|\bflag\b|\bIS (NOT )?NULL\s+FROM\b|= 1 = 1\b", re.I)
_LONGEST, _N_CHANGED = 260, 60


def _are_read(queries: list[str], folder: Path) -> list[bool]:
    try:
        python = environment(f"pyadql=={_VERSION}", newer_python((3, 12))) / "python"
    except NotInstalled as error:
        pytest.skip(f"pyadql {_VERSION} is not installed: {error}")
    (folder / "queries.json").write_text(json.dumps(queries))
    done = children.run([python, "-c", _PROGRAM, folder / "queries.json"], check=True)
    found: list[bool] = json.loads(done.stdout)
    return found


def _is_ours(query: str) -> bool:
    try:
        translate(query, TABLES, maxrec=10)
    except AdqlError:
        return False
    return True


def test_what_we_read_is_in_the_grammar(tmp_path: Path) -> None:
    queries = [query for query, _ in CASES]
    changed = (text for text in texts(3, 4000) if len(text) < _LONGEST and _is_ours(text))
    queries += [text for text, _ in zip(changed, range(_N_CHANGED), strict=False)]
    assert len(queries) == len(CASES) + _N_CHANGED
    ours_alone = [query for query, is_read in zip(queries, _are_read(queries, tmp_path), strict=True) if not is_read]
    assert [query for query in ours_alone if not _EXTENSION.search(query)] == []
    assert len(ours_alone) < len(queries) / 10
