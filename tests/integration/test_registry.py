"""The one registry of columns: every column of the database says its unit and UCD, and nothing else is in it."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import astropy.units as u
import pytest
import yaml
from astropy.io.votable.ucd import check_ucd

import xcat
from xcat.catalogues.grammar import STANDARD_COLUMNS
from xcat.columns import registry
from xcat.columns.registry import OF_SOURCE, ColumnMeaning, columns, property_entries
from xcat.database import schema

_COMMENTS = """
SELECT c.relname, a.attname, col_description(c.oid, a.attnum), obj_description(c.oid), c.relkind
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE c.relnamespace = ANY ('{xcat, pub, people}'::regnamespace[]) AND c.relkind IN ('r', 'p', 'v') AND a.attnum > 0
  AND NOT a.attisdropped AND c.relname <> 'alembic_version'
"""


def test_every_table_view_column_and_function_is_described(conn):
    rows = conn.execute(_COMMENTS).fetchall()
    assert {kind for *_, kind in rows} == {"r", "p", "v"}
    known = columns()
    for relation, column, comment, about, _ in rows:
        assert about, f"{relation} has no comment"
        assert comment == known[column].comment, f"{relation}.{column}"
        assert ColumnMeaning.parse(column, comment) == known[column], f"{relation}.{column}"
    silent = conn.execute(
        "SELECT proname FROM pg_proc WHERE pronamespace = ANY ('{xcat, pub, people}'::regnamespace[])"
        " AND obj_description(oid, 'pg_proc') IS NULL"
    ).fetchall()
    assert silent == []


@pytest.mark.parametrize("meaning", columns().values(), ids=columns())
def test_unit_and_ucd_are_valid(meaning):
    unit = u.Unit(meaning.unit)  # raises
    assert unit.to_string() == meaning.unit, "written as astropy writes it"
    assert meaning.ucd, "every column has a UCD"
    assert check_ucd(meaning.ucd, check_controlled_vocabulary=True, has_colon=False), meaning.ucd
    assert meaning.about and not meaning.about.endswith(".")


@pytest.mark.parametrize(
    ("name", "unit"),
    [("_arcsec", "arcsec"), ("_deg", "deg"), ("_arcmin", "arcmin"), ("_mas_yr", "mas / yr"), ("_mas", "mas"),
     ("_pc", "pc"), ("_mpc", "Mpc"), ("_cgs", "erg / (s cm2)"), ("_s", "s"), ("_yr", "yr"), ("_per_deg2", "1 / deg2")],
)  # fmt: skip
def test_names_do_not_contradict_units(name, unit):
    longer = {"_yr": "_mas_yr", "_s": "_xs"}.get(name, "?")
    found = [m for m in columns().values() if m.name.endswith(name) and not m.name.endswith(longer)]
    assert found
    assert {u.Unit(m.unit) for m in found} == {u.Unit(unit)}


def test_nothing_in_the_registry_is_unused(conn):
    there = {column for _, column, *_ in conn.execute(_COMMENTS).fetchall()}
    # columns that only a query gives, such as those of the reports and of sql/queries
    top = Path(xcat.__file__).parent.parent
    given = " ".join(p.read_text() for folder in ("sql/jobs", "sql/queries") for p in (top / folder).glob("*.sql"))
    given = " ".join([given, *(p.read_text() for p in (top / "xcat" / "report").rglob("*.py"))])
    unused = {n for n in columns() if n not in there and not re.search(rf"\bAS {n}\b|[\"']{n}[\"']", given)}
    assert unused == set()


def test_no_name_is_defined_twice():
    text = (Path(registry.__file__).parent / "columns.yaml").read_text()
    names = re.findall(r"^(\w+):", text, re.M)
    names += [entry["name"] for entry in property_entries()]
    assert [name for name, n in Counter(names).items() if n > 1] == []
    assert set(names) == set(columns())
    assert set(yaml.safe_load(text)) < set(names)


def test_the_properties_are_columns():
    table = schema.RUN_TABLES["property"]
    for entry in property_entries():
        meaning = columns()[entry["name"]]
        assert (meaning.unit, meaning.ucd) == (entry["unit"], entry["ucd"])
        assert entry["formula"] in (table.columns[entry["name"]].comment or "")


def test_the_columns_that_a_definition_may_fill_are_those_of_the_tables():
    """Whatever is ingested has a place; whatever has a place can be ingested, or is computed on the way in."""
    computed = {"catalogue_id", "object_id", "file_id", "err_arcsec", "err_maj_arcsec", "err_min_arcsec", "err_pa_deg"}
    for name, table in schema.CATALOGUE_TABLES.items():
        places = set(table.columns.keys())
        assert set(STANDARD_COLUMNS[name]) <= places
        own = {"detection": {"flaws", *(f"source_{q}" for q in OF_SOURCE)}, "reference_object": {"class"}}
        assert places - set(STANDARD_COLUMNS[name]) <= computed | own.get(name, set())


@pytest.mark.parametrize(
    ("comment", "unit", "ucd", "about"),
    [
        ("Right ascension [deg] {pos.eq.ra}", "deg", "pos.eq.ra", "Right ascension"),
        ("In [0, 1] or so {meta.id}", "", "meta.id", "In [0, 1] or so"),
        ("somebody else's words", "", "", "somebody else's words"),
        ("", "", "", ""),
        (None, "", "", ""),
    ],
)
def test_a_comment_reads_back(comment, unit, ucd, about):
    assert ColumnMeaning.parse("x", comment) == ColumnMeaning("x", unit, ucd, about)
