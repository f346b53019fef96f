"""The migrations make what xcat/database/schema and sql/ say, up and down, and the tables refuse nonsense."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import alembic.command
import numpy as np
import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql

from xcat.config import Settings
from xcat.database import connection, objects, partitions, runs, schema
from xcat.database.connection import connect, migrate, ready
from xcat.database.sqlfiles import objects as files
from xcat.errors import DatabaseError

pytestmark = pytest.mark.slow

_RELATIONS = """
SELECT relkind, relname FROM pg_class
WHERE relnamespace = to_regnamespace('xcat') AND relkind IN ('r', 'p', 'v', 'S', 'i', 'I')
UNION ALL SELECT 'f', proname FROM pg_proc WHERE pronamespace = to_regnamespace('xcat')
ORDER BY 1, 2
"""
_DEFINITIONS = """
SELECT oid::regprocedure::text, pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = to_regnamespace('xcat')
UNION ALL
SELECT oid::regclass::text, pg_get_viewdef(oid) FROM pg_class
WHERE relnamespace = to_regnamespace('xcat') AND relkind = 'v'
UNION ALL
SELECT c.oid::regclass || '.' || attname, format_type(atttypid, atttypmod) || ' ' || attnotnull
FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid
WHERE relnamespace = to_regnamespace('xcat') AND relkind IN ('r', 'p', 'v') AND attnum > 0 AND NOT attisdropped
UNION ALL
SELECT conrelid::regclass || '.' || conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE connamespace = to_regnamespace('xcat') AND conrelid <> 0
ORDER BY 1
"""


@pytest.fixture
def empty(server) -> Iterator[Settings]:
    """Settings of a database without anything."""
    with psycopg.connect(f"host={server.socket_folder} user=xcat dbname=postgres", autocommit=True) as admin:
        admin.execute("CREATE DATABASE xcat_migrations")
        url = f"postgresql+psycopg://xcat@/xcat_migrations?host={server.socket_folder}"
        yield Settings(home=server.home, database_url=url)
        admin.execute("DROP DATABASE xcat_migrations WITH (FORCE)")


def _rows(settings: Settings, query: str) -> list[tuple[Any, ...]]:
    with connect(settings) as conn:
        return conn.execute(query).fetchall()  # type: ignore[arg-type]


def test_up_down_and_up_again(empty):
    assert migrate(empty)[0] is None
    relations, definitions = _rows(empty, _RELATIONS), _rows(empty, _DEFINITIONS)
    migrate(empty, "base")
    assert _rows(empty, _RELATIONS) == [("i", "alembic_version_pkc"), ("r", "alembic_version")]
    assert _rows(empty, "SELECT * FROM xcat.alembic_version") == []
    migrate(empty)
    assert _rows(empty, _RELATIONS) == relations
    assert _rows(empty, _DEFINITIONS) == definitions
    head = _rows(empty, "SELECT version_num FROM xcat.alembic_version")
    assert migrate(empty) == (head[0][0], head[0][0]), "a second upgrade has nothing to do"


def test_an_evaluation_of_before_is_kept_and_may_be_by_origin_then(empty):
    migrate(empty)
    insert = (
        "INSERT INTO xcat.evaluation (run_id, source_id, method, seed, folds, class, fold, p)"
        " VALUES (%s, 1, 'equal', 0, %s, 'AGN', 1, '{0,1}')"
    )
    with ready(empty) as conn:
        partitions.create(conn, "evaluation", 1)
        partitions.attach(conn, "evaluation", 1)
        conn.execute(insert, [1, "sky"])
    migrate(empty, "0003")
    with connect(empty) as conn, pytest.raises(psycopg.errors.CheckViolation):
        conn.execute(insert, [1, "origin"])
    migrate(empty)
    with ready(empty) as conn:
        for folds in ("origin", "second_origin"):
            conn.execute(insert, [1, folds])
    assert len(_rows(empty, "SELECT * FROM xcat.evaluation")) == 3
    migrate(empty, "0003")
    assert _rows(empty, "SELECT folds FROM xcat.evaluation") == [("sky",)]


def test_a_class_of_a_published_run_gets_a_column_for_its_error(empty):
    """Also one that is not among the usual classes; and back."""
    migrate(empty, "0003")
    with connect(empty) as conn:
        conn.execute("ALTER TABLE pub.classified_runs ADD COLUMN p_ulx real")
        conn.commit()
    errors = (
        "SELECT attname FROM pg_attribute WHERE attrelid = 'pub.classified_runs'::regclass"
        r" AND attname LIKE 'p\_%err' AND NOT attisdropped ORDER BY 1"
    )
    migrate(empty)
    assert [name for (name,) in _rows(empty, errors)] == [
        *("p_agn_err", "p_class_err", "p_cv_err", "p_star_err", "p_ulx_err", "p_xrb_err")
    ]
    migrate(empty, "0003")
    assert _rows(empty, errors) == []


def test_a_step_that_fails_leaves_the_schema_as_it_was(empty):
    migrate(empty, "0003")
    with connect(empty) as conn:
        conn.execute("DROP TABLE xcat.calibration CASCADE; DROP TABLE xcat.detection CASCADE")
    before = _rows(empty, _DEFINITIONS)
    with pytest.raises(DatabaseError, match=r'stays 0003, since the way to head failed: relation "xcat\.\w+" does not'):
        migrate(empty)
    assert _rows(empty, _DEFINITIONS) == before and _rows(empty, "SELECT * FROM xcat.alembic_version") == [("0003",)]


def test_migrations_make_the_tables_of_schema_py(empty, settings):
    """The same CHECKs, keys, types: also what autogenerate does not compare."""
    engine_ = sa.create_engine(empty.database_url or "", poolclass=sa.NullPool)
    with engine_.begin() as connection:
        connection.exec_driver_sql("CREATE EXTENSION q3c")
        for name in schema.SCHEMAS:
            connection.exec_driver_sql(f"CREATE SCHEMA {name}")
        schema.metadata.create_all(connection)
        objects.create(connection)
    migrated = [row for row in _rows(settings, _DEFINITIONS) if "alembic_version" not in row[0]]
    assert _rows(empty, _DEFINITIONS) == migrated
    migrated = [row for row in _rows(settings, _RELATIONS) if not row[1].startswith("alembic_version")]
    assert _rows(empty, _RELATIONS) == migrated


@pytest.mark.parametrize("with_partitions", [False, True])
def test_autogenerate_finds_nothing(settings, with_partitions):
    if with_partitions:
        with ready(settings) as conn:
            for tables in (schema.CATALOGUE_TABLES, schema.RUN_TABLES, schema.PUB_TABLES):
                for table in tables:
                    partitions.create(conn, table, 7)
                    partitions.attach(conn, table, 7)
    config = connection._alembic_config(settings.database_url or "")
    alembic.command.check(config)


def test_autogenerate_would_find_something(settings):
    """The test above can fail: for tables, columns, types, comments and indexes."""
    with connect(settings) as conn:
        conn.execute("COMMENT ON COLUMN xcat.detection.ra IS 'elsewhere'")
    with pytest.raises(alembic.util.exc.AutogenerateDiffsDetected, match="ra"):
        alembic.command.check(connection._alembic_config(settings.database_url or ""))


def _made(path: Any) -> list[tuple[str, str]]:
    """Names that a file of sql/ creates."""
    return re.findall(r"^CREATE (FUNCTION|VIEW) xcat\.(\w+)", path.read_text(), re.M)


def test_the_database_has_each_function_and_view_of_sql_and_no_other(settings):
    wanted = [name for kind in ("functions", "views") for path in files(kind) for name in _made(path)]
    assert len(wanted) > 5
    assert len(set(wanted)) == len(wanted)
    there = [
        ("FUNCTION" if kind == "f" else "VIEW", name) for kind, name in _rows(settings, _RELATIONS) if kind in "fv"
    ]
    assert sorted(wanted) == sorted(there)


def test_every_function_and_view_is_what_its_file_says_now(settings):
    """A changed file needs a migration that makes it anew; then the database agrees with the file."""
    before = _rows(settings, _DEFINITIONS)
    engine_ = sa.create_engine(settings.database_url or "", poolclass=sa.NullPool)
    with engine_.begin() as connection:
        objects.drop(connection)
        objects.create(connection)
    assert _rows(settings, _DEFINITIONS) == before


# --- the tables refuse nonsense ---------------------------------------------------------------------------

_DETECTION = {"catalogue_id": 1, "object_id": 1, "file_id": 1, "native_id": "a", "ra": 10.0, "dec": 10.0}
_WITH_ERROR = _DETECTION | {"err_arcsec": 1.0}
_SOURCE = {
    "source_id": 1,
    "catalogue_id": 1,
    "name": "a",
    "ra": 1.0,
    "dec": 1.0,
    "err_arcsec": 1.0,
    "glon": 1.0,
    "glat": 1.0,
    "n_detections": 1,
    "n_flawed": 0,
    "flux_is_doubtful": False,
}
_GOOD: dict[str, dict[str, Any]] = {
    "detection": _WITH_ERROR | {"p_variable": 0.5, "err_maj_arcsec": 2.0, "err_min_arcsec": 1.0},
    "counterpart": _WITH_ERROR,
    "reference_object": _WITH_ERROR,
    "galaxy": _DETECTION | {"d25_arcmin": 3.0, "axis_ratio": 1.0},
    "source": {"run_id": 1, **_SOURCE, "p_variable": 1.0},
    "match": {"run_id": 1, "source_id": 1, "catalogue_id": 1, "n_candidates": 1, "density_per_deg2": 1.0,
              "completeness": 0.5, "p_any": 0.5, "accepted": True, "covered": 1.0},
    "hypothesis": {"run_id": 1, "source_id": 1, "rank": 1, "catalogues": [1, 2], "objects": [7, 8],
                   "log_bayes_factor": 1.0, "p_hypothesis": 0.5, "p_i": 0.5, "match_flag": 1},
    "source_link": {"run_id": 1, "source_id": 1, "other_source_id": 2, "sep_arcsec": 1.0, "log_bayes_factor": 1.0,
                    "status": "accepted", "reason": "only candidate"},
    "master": {"run_id": 1, "master_id": 1, "ra": 1.0, "dec": 1.0, "err_arcsec": 1.0, "n_missions": 1, "n_sources": 1,
               "n_detections": 1, "n_upper_limits": 0, "is_ambiguous": False},
    "match_candidate": {"run_id": 1, "source_id": 1, "catalogue_id": 1, "object_id": 1, "sep_arcsec": 1.0,
                        "log_bayes_factor": 1.0, "p_i": 0.5, "is_best": True},
    "classification": {"run_id": 1, "source_id": 1, "class": "AGN", "p": [0.25, 0.75], "margin": 0.5, "outlier": 0.0,
                       "p_tail": 1.0, "is_outlier": False, "n_missing": 0, "alternative": "", "is_classifiable": True,
                       "evidence": [0.0]},
    "out_of_fold": {"run_id": 1, "source_id": 1, "known_class": "AGN", "fold": 1, "class": "Star", "p": [0.0, 1.0],
                    "margin": 1.0, "outlier": 0.0, "p_tail": 1.0, "is_outlier": False, "n_missing": 0,
                    "alternative": "location:AGN", "is_classifiable": True, "evidence": [0.0]},
    "evaluation": {"run_id": 1, "source_id": 1, "method": "equal", "seed": 0, "folds": "sky", "class": "AGN", "fold": 1,
                   "p": [0.0, 1.0]},
    "label": {"run_id": 1, "source_id": 1, "catalogue_id": 1, "object_id": 1, "origin": "a", "sep_arcsec": 1.0,
              "status": "used"},
}  # fmt: skip
_NAN, _INF = float("nan"), float("inf")
_POSITION = [
    ("ra", 360.0),
    ("ra", -1e-9),
    ("ra", _NAN),
    ("ra", _INF),
    ("ra", None),
    ("dec", 100.0),
    ("dec", 90.0000001),
    ("dec", -90.0000001),
    ("dec", _NAN),
    ("dec", -_INF),
    ("dec", None),
]
_ERROR = [("err_arcsec", v) for v in (0.0, -1.0, _NAN, _INF, 3600.0, None)]
_NO_PROBABILITY = (-0.1, 1.1, _NAN, _INF)
_BAD = [
    *[("detection", *bad) for bad in _POSITION + _ERROR],
    *[("source", *bad) for bad in _POSITION + _ERROR],
    *[("counterpart", *bad) for bad in [("ra", 360.0), ("dec", _NAN), ("err_arcsec", _NAN)]],
    *[("reference_object", *bad) for bad in [("ra", 360.0), ("dec", _NAN), ("err_arcsec", _NAN)]],
    *[("galaxy", *bad) for bad in _POSITION],
    *[("galaxy", "axis_ratio", v) for v in (0.0, 1.01, _NAN)],
    *[("galaxy", "d25_arcmin", v) for v in (-1.0, 1200.0, _NAN, _INF)],
    *[("detection", "p_variable", v) for v in _NO_PROBABILITY],
    *[(table, "p_variable_long", v) for table in ("detection", "source") for v in _NO_PROBABILITY],
    *[("detection", "err_min_arcsec", v) for v in (0.0, 3.0, _NAN)],
    *[("detection", "err_maj_arcsec", v) for v in (_NAN, _INF)],
    *[("source", "p_variable", v) for v in _NO_PROBABILITY],
    *[("match", name, v) for name in ("p_any", "completeness", "covered") for v in _NO_PROBABILITY],
    *[("match_candidate", "p_i", v) for v in _NO_PROBABILITY],
    *[("hypothesis", name, v) for name in ("p_hypothesis", "p_i") for v in _NO_PROBABILITY],
    ("hypothesis", "match_flag", 3),
    ("hypothesis", "objects", [7]),
    ("source_link", "other_source_id", 1),
    ("source_link", "status", "perhaps"),
    *[("master", *bad) for bad in [("ra", 360.0), ("dec", _NAN), ("err_arcsec", 0.0)]],
    *[("match_candidate", "sep_arcsec", v) for v in (-1.0, _NAN, _INF)],
    *[("match", "density_per_deg2", v) for v in (-1.0, _NAN, _INF)],
    *[("classification", "p", [0.5, v]) for v in _NO_PROBABILITY],
    ("classification", "p", [0.5, None]),
    *[(table, name, None) for table in ("classification", "out_of_fold") for name in ("class", "alternative")],
    *[("out_of_fold", "margin", v) for v in _NO_PROBABILITY],
    ("out_of_fold", "p", [0.5, _NAN]),
    *[("classification", "margin", v) for v in _NO_PROBABILITY],
    *[("classification", "outlier", v) for v in (-0.1, _NAN)],
    *[("out_of_fold", "outlier", v) for v in (-0.1, _NAN)],
    ("label", "status", "perhaps"),
]


_CHECK = {"err_maj_arcsec": "ellipse", "err_min_arcsec": "ellipse", "objects": "members", "other_source_id": "order"}


@pytest.fixture(scope="module")
def tables(module_settings) -> Iterator[psycopg.Connection]:
    """A connection to a database with a partition of every table."""
    with ready(module_settings) as conn:
        for table in _GOOD:
            partitions.create(conn, table, 1)
            partitions.attach(conn, table, 1)
        conn.commit()
        yield conn
        conn.rollback()


def _insert(conn: psycopg.Connection, table: str, row: dict[str, Any]) -> None:
    names, values = zip(*row.items(), strict=True)
    conn.execute(
        sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
            sql.Identifier("xcat", table),
            sql.SQL(", ").join(map(sql.Identifier, names)),
            sql.SQL(", ").join(sql.Placeholder() * len(names)),
        ),
        values,
    )


@pytest.mark.parametrize("table", _GOOD)
def test_a_good_row_is_taken(tables, table):
    with tables.transaction(force_rollback=True):
        _insert(tables, table, _GOOD[table])


@pytest.mark.parametrize(("table", "column", "value"), _BAD)
def test_a_bad_row_is_refused_by_the_table_itself(tables, table, column, value):
    with (
        pytest.raises(
            (psycopg.errors.CheckViolation, psycopg.errors.NotNullViolation), match=_CHECK.get(column, column)
        ),
        tables.transaction(force_rollback=True),
    ):
        _insert(tables, table, _GOOD[table] | {column: value})


def test_a_partition_written_by_copy_has_the_same_checks(tables):
    row = {name: np.array([v]) for name, v in _WITH_ERROR.items() if name != "native_id"}
    block = row | {"native_id": np.array([b"b"]), "ra": np.array([400.0])}
    with pytest.raises(psycopg.errors.CheckViolation), tables.transaction():
        partitions.write(tables, "detection", 2, [block])


@pytest.mark.parametrize(
    ("table", "row"),
    [
        ("run", {"kind": "ingest", "status": "finished"}),
        ("run", {"kind": "coffee", "status": "running"}),
        ("run", {"kind": "ingest", "status": "done"}),  # without an end
    ],
)
def test_a_run_is_of_a_known_kind_and_state(tables, table, row):
    empty = psycopg.types.json.Jsonb({})
    rest = {"name": "a", "config": empty, "config_key": "a", "versions": empty}
    with pytest.raises(psycopg.errors.CheckViolation), tables.transaction():
        _insert(tables, table, row | rest)


def test_one_publication_is_active(tables):
    empty = psycopg.types.json.Jsonb({})
    with pytest.raises(psycopg.errors.UniqueViolation, match="publication_one_active"), tables.transaction():
        run = {"kind": "classify", "status": "running", "name": "a", "config": empty, "config_key": "a"}
        _insert(tables, "run", run | {"versions": empty})
        for _ in range(2):
            tables.execute("INSERT INTO xcat.publication (run_id, active) SELECT max(run_id), true FROM xcat.run")


# --- an old database with data in it ---------------------------------------------------------------------

_COLUMNS = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute AS a
WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
# tables after those that they refer to
_TABLES = """
WITH RECURSIVE depth (oid, n) AS (
    SELECT c.oid, 0 FROM pg_class AS c WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
      AND c.relnamespace IN ('xcat'::regnamespace, 'pub'::regnamespace) AND c.relname <> 'alembic_version'
    UNION
    SELECT k.conrelid, n + 1 FROM depth JOIN pg_constraint AS k ON k.contype = 'f' AND k.confrelid = depth.oid
    WHERE k.conrelid <> k.confrelid
)
SELECT c.relnamespace::regnamespace || '.' || c.relname FROM depth JOIN pg_class AS c USING (oid)
GROUP BY 1 ORDER BY max(n), 1
"""
_VALUES = {
    "smallint": "1",
    "integer": "1",
    "bigint": "1",
    "boolean": "true",
    "text": "'word'",
    "jsonb": """'{"key": [1, "word"]}'""",
    "timestamp with time zone": "'2025-03-04 05:06:07+00'",
    "real": "0.5",
    "double precision": "0.5",
    "real[]": "'{0.25, 0.75}'",
    "double precision[]": "'{0.25, 0.75}'",
    "smallint[]": "'{1}'",
    "integer[]": "'{1}'",
    "bigint[]": "'{7}'",
    "text[]": "'{word}'",
}
_WORDS = {
    "kind": "classify",
    "class": "HM-STAR",  # not one of the usual classes
    "status": "done",
    "change": "moved",
    "folds": "sky",
    "weighting": "given",
    "definition_sha256": "0" * 64,
    "log_present": -0.5,
    "log_missing": -0.5,
    "other_source_id": 2,
}
_STATUS = {"xcat.master_source": "linked", "xcat.source_link": "accepted", "xcat.label": "used"}


def _fill_old(conn: psycopg.Connection[Any]) -> dict[str, Any]:
    """One row in every table of the first schema, all columns filled; by table, the row as JSON."""
    rows = {}
    for (table,) in conn.execute(_TABLES).fetchall():
        name = sql.Identifier(*table.split("."))
        is_partitioned = conn.execute("SELECT relkind = 'p' FROM pg_class WHERE oid = %s::regclass", [table]).fetchone()
        if is_partitioned == (True,):
            place, _, short = table.partition(".")
            part = sql.Identifier(place, f"{short.removesuffix('_runs')}_{'b0' if place == 'pub' else 'x1'}")
            bounds = "FROM (0) TO (256) PARTITION BY LIST (run_id)" if place == "pub" else "IN (1)"
            conn.execute(sql.SQL(f"CREATE TABLE {{}} PARTITION OF {{}} FOR VALUES {bounds}").format(part, name))
            if place == "pub":
                leaf = sql.Identifier(place, f"{short.removesuffix('_runs')}_r1")
                conn.execute(sql.SQL("CREATE TABLE {} PARTITION OF {} FOR VALUES IN (1)").format(leaf, part))
        columns, values = [], []
        for column, type_ in conn.execute(_COLUMNS, [table]).fetchall():
            columns.append(sql.Identifier(column))
            word = _STATUS.get(table, "done") if column == "status" else _WORDS.get(column)
            values.append(sql.SQL(_VALUES[type_]) if word is None else sql.Literal(word))
        insert = sql.SQL("INSERT INTO {} AS t ({}) VALUES ({}) RETURNING to_jsonb(t)")
        row = conn.execute(insert.format(name, *(sql.SQL(", ").join(x) for x in (columns, values)))).fetchone()
        assert row is not None
        rows[table] = row[0]
    return rows


def test_an_upgrade_from_the_first_schema_keeps_every_row(empty):
    migrate(empty, "0001")
    with connect(empty) as conn:
        conn.execute("ALTER TABLE pub.classified_runs ADD COLUMN p_hm_star real")
        before = _fill_old(conn)
    assert len(before) > 40
    migrate(empty)
    with ready(empty) as conn:
        for table, old in before.items():
            rows = conn.execute(sql.SQL("SELECT to_jsonb(t) FROM {} AS t").format(sql.Identifier(*table.split("."))))
            (new,) = [row[0] for row in rows]
            assert {key: new.get(key) for key in old} == old, table
        assert runs.listing(conn, 5)[0]["run_id"] == 1
        ((shown, _, _),) = conn.execute("SELECT run_id, p_hm_star, p_hm_star_err FROM pub.classified").fetchall()
        assert shown == 1
        about = "SELECT col_description('pub.hm_star_candidates'::regclass, attnum) FROM pg_attribute"
        ((text,),) = conn.execute(f"{about} WHERE attname = 'p_hm_star'"
                                  " AND attrelid = 'pub.hm_star_candidates'::regclass").fetchall()  # fmt: skip
        assert text.startswith("Posterior probability of the class hm_star")
