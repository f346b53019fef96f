"""What is published: flat tables that say what the run says, plans by their indexes, a switch nobody waits for."""

from __future__ import annotations

import itertools
import json
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import astropy.units as u
import numpy as np
import psycopg
import pytest
import small_sky
from astropy_healpix import healpix_to_lonlat
from psycopg import sql

from xcat.config import Settings
from xcat.database import schema
from xcat.database.connection import Connection, connect, migrate, ready
from xcat.database.published import class_column
from xcat.database.runs import get, stage
from xcat.errors import StageError
from xcat.jobs.publishing import publish
from xcat.report.candidates import candidates

_LONG_S = 60.0  # a hang ends the test; nothing here takes a second


@pytest.fixture(scope="module")
def made(module_settings: Settings) -> dict[str, int]:
    return small_sky.make(module_settings)


@pytest.fixture
def read(module_settings: Settings, made: dict[str, int]) -> Iterator[Connection]:
    publish(module_settings, made["classify"])
    with ready(module_settings, autocommit=True) as conn:
        yield conn


def _rows(conn: Connection, query: str, *values: Any) -> list[tuple[Any, ...]]:
    return conn.execute(query, values or None).fetchall()  # type: ignore[arg-type]


def _plan(conn: Connection, query: str) -> str:
    return "\n".join(row[0] for row in _rows(conn, f"EXPLAIN (COSTS OFF) {query}"))


# --- what the tables say ----------------------------------------------------------------------------------


def test_every_classified_source_is_there_once(read, made):
    run_id = made["classify"]
    counts = _rows(
        read,
        "SELECT (SELECT count(*) FROM xcat.classification WHERE run_id = %s), count(*), count(DISTINCT source_id),"
        " min(run_id), max(run_id) FROM pub.classified",
        run_id,
    )
    assert counts == [(600, 600, 600, run_id, run_id)]


def test_an_unlabelled_source_has_the_posterior_of_the_model(read, made):
    differs = _rows(
        read,
        "SELECT count(*), count(*) FILTER (WHERE (c.class, c.p, c.margin, c.outlier, c.alternative)"
        " IS DISTINCT FROM (k.class, ARRAY[k.p_agn, k.p_star, k.p_xrb, k.p_cv], k.margin, k.outlier, k.alternative))"
        " FROM xcat.classification AS c JOIN pub.classified AS k USING (run_id, source_id) WHERE NOT k.is_out_of_fold",
    )
    assert differs[0][0] > 100 and differs[0][1] == 0


def test_a_labelled_source_has_the_posterior_out_of_fold(read, made):
    compared = _rows(
        read,
        "SELECT count(*), count(*) FILTER (WHERE o.p IS DISTINCT FROM ARRAY[k.p_agn, k.p_star, k.p_xrb, k.p_cv]),"
        " count(*) FILTER (WHERE o.class <> k.class), count(*) FILTER (WHERE c.p <> o.p),"
        " count(*) FILTER (WHERE e.evidence <> o.evidence),"
        " count(*) FILTER (WHERE k.known_class IS NULL OR k.in_test_sample)"
        " FROM xcat.out_of_fold AS o JOIN pub.classified AS k USING (source_id) JOIN pub.source_evidence_runs AS e"
        " ON e.run_id = k.run_id AND e.source_id = k.source_id"
        " JOIN xcat.classification AS c ON c.run_id = k.run_id AND c.source_id = k.source_id"
        " WHERE o.run_id = %s AND k.is_out_of_fold",
        made["fit"],
    )
    n, p, of_class, in_sample, evidence, test = compared[0]
    assert n == _rows(read, "SELECT count(*) FROM xcat.out_of_fold WHERE run_id = %s", made["fit"])[0][0] > 100
    assert (p, of_class, evidence, test) == (0, 0, 0, 0)
    assert in_sample > n / 2, "what the full model says of them is another thing"


def test_the_properties_are_those_of_the_run(read, made):
    names = [
        c.name for c in schema.RUN_TABLES["property"].columns if c.name in schema.PUB_TABLES["classified_runs"].columns
    ]
    pairs = " OR ".join(f"p.{n} IS DISTINCT FROM k.{n}" for n in names if n not in ("run_id", "source_id"))
    query = (
        f"SELECT count(*), count(*) FILTER (WHERE {pairs}) FROM xcat.property AS p"
        f" JOIN pub.classified AS k USING (source_id) WHERE p.run_id = {made['properties']}"
    )
    assert _rows(read, query) == [(600, 0)]


def test_accepted_counterparts_stand_beside_the_source(read, made):
    n_without, n_with, differ = _rows(
        read,
        "SELECT count(*) FILTER (WHERE optical_native_id IS NULL),"
        " count(*) FILTER (WHERE optical_native_id IS NOT NULL),"
        " count(*) FILTER (WHERE (k.optical_native_id, k.optical_catalogue) IS DISTINCT FROM (o.native_id, o.catalogue)"
        "                  OR k.has_optical IS DISTINCT FROM (o.native_id IS NOT NULL))"
        " FROM pub.classified AS k LEFT JOIN pub.counterparts AS o ON o.source_id = k.source_id AND o.kind = 'optical'",
    )[0]
    assert n_without > 10 and n_with > 10 and differ == 0
    assert _rows(
        read,
        "SELECT count(*) FROM xcat.match AS m JOIN xcat.match_candidate AS c USING (run_id, source_id, catalogue_id)"
        " WHERE m.run_id = %s AND m.accepted AND c.is_best",
        made["match"],
    ) == _rows(read, "SELECT count(*) FROM pub.counterparts")


def test_hypotheses_name_their_members_in_order(read, made):
    members = _rows(
        read,
        "SELECT h.source_id, h.rank, array_agg(k.name ORDER BY u.i), array_agg(o.native_id ORDER BY u.i)"
        " FROM xcat.hypothesis AS h CROSS JOIN LATERAL unnest(catalogues, objects) WITH ORDINALITY AS u (c, o, i)"
        " JOIN xcat.counterpart AS o ON o.catalogue_id = u.c AND o.object_id = u.o"
        " JOIN xcat.catalogue AS k ON k.catalogue_id = u.c WHERE h.run_id = %s GROUP BY 1, 2 ORDER BY 1, 2",
        made["match"],
    )
    query = "SELECT source_id, rank, catalogues, objects FROM pub.hypotheses WHERE rank > 0 ORDER BY 1, 2"
    assert [row for row in _rows(read, query) if row[2]] == members
    assert _rows(read, "SELECT count(*) FROM pub.hypotheses WHERE rank = 0 AND objects <> '{}'") == [(0,)]


def test_healpix_cells_are_where_the_sources_are(read):
    ra, dec, cell = (np.array(c) for c in zip(*_rows(read, "SELECT ra, dec, hpx29 FROM pub.classified"), strict=True))
    lon, lat = healpix_to_lonlat(cell, 2**29, order="nested")
    assert (np.abs((lon.to_value(u.deg) - ra + 180) % 360 - 180) * np.cos(np.radians(dec))).max() * 3600 < 1e-3
    assert np.abs(lat.to_value(u.deg) - dec).max() * 3600 < 1e-3


def test_the_rows_lie_in_the_order_of_the_sky(read, made):
    """From page to page and within each page; a short row may fill the end of a page before its own."""
    for table in ("classified", "counterparts", "master_sources"):
        name = f"pub.{table}_r{made['classify']}"
        query = f"SELECT (ctid::text::point)[0]::integer, q3c_ang2ipix(ra, dec) FROM {name} ORDER BY {name}.ctid"
        rows = _rows(read, query)
        pages = [[cell for _, cell in group] for _, group in itertools.groupby(rows, key=lambda row: row[0])]
        assert len(pages) > 2, table
        steps = [step for cells in ([page[0] for page in pages], *pages) for step in itertools.pairwise(cells)]
        # one catalogue after the other
        assert sum(a > b for a, b in steps) <= (2 if table == "counterparts" else 0), table


def test_a_model_with_other_classes_has_its_columns(module_settings, made, read):
    assert class_column("LM-STAR") == "p_lm_star"
    assert class_column("variable") == "p_variable_class"
    assert class_column("any") == "p_any" or "p_any" in schema.PUB_TABLES["classified_runs"].columns
    names = [
        row[0]
        for row in _rows(
            read, "SELECT attname FROM pg_attribute WHERE attrelid = 'pub.classified'::regclass ORDER BY attnum"
        )
    ]
    assert [n for n in names if n in ("p_agn", "p_star", "p_xrb", "p_cv")] == ["p_agn", "p_star", "p_xrb", "p_cv"]


# --- plans ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("SELECT * FROM pub.classified WHERE source_id = 5", "source_id_idx"),
        ("SELECT * FROM pub.xrb_candidates ORDER BY p_class DESC LIMIT 5", "class_p_class_idx"),
        ("SELECT * FROM pub.classified WHERE q3c_radial_query(ra, dec, 10, 10, 0.1)", "q3c_idx"),
        ("SELECT * FROM pub.classified WHERE pub.in_cone(ra, dec, 10, 10, 0.1)", "q3c_idx"),
        ("SELECT * FROM pub.classified WHERE name = '4XMM J1'", "name_idx"),
        ("SELECT * FROM pub.classified WHERE lower(regexp_replace(name, '\\s', '', 'g')) = 'x'", "name_key_idx"),
        ("SELECT * FROM pub.counterparts WHERE native_id = 'obj 1'", "native_id_idx"),
        ("SELECT * FROM pub.classified WHERE hpx29 BETWEEN 100 AND 200", "hpx29_idx"),
        ("SELECT * FROM pub.counterparts WHERE source_id = 5", "source_id_idx"),
        ("SELECT * FROM pub.evidence WHERE source_id = 5", "source_id_idx"),
        ("SELECT * FROM pub.hypotheses WHERE source_id = 5", "source_id_idx"),
    ],
)
def test_a_query_reads_one_flat_table_by_its_index(read, made, query, index):
    read.execute("SET enable_seqscan TO off")  # the small sky is read whole otherwise
    plan = _plan(read, query)
    read.execute("RESET enable_seqscan")
    assert index in plan, plan
    tables = set(re.findall(r" on (\w+_r\d+)", plan))
    assert len(tables) == 1 and next(iter(tables)).endswith(f"_r{made['classify']}"), plan


def test_joins_by_position_use_the_index_of_the_sky(read, made):
    plan = _plan(
        read,
        "SELECT count(*) FROM pub.classified AS a"
        " JOIN pub.classified AS b ON q3c_join(a.ra, a.dec, b.ra, b.dec, 5 / 3600.0)",
    )
    assert f"classified_r{made['classify']}_q3c_idx" in plan, plan
    read.execute("CREATE TEMP TABLE mine AS SELECT ra, dec FROM pub.classified LIMIT 100")
    read.execute("ANALYZE mine")
    plan = _plan(
        read, "SELECT * FROM mine AS m JOIN pub.classified AS c ON q3c_join(m.ra, m.dec, c.ra, c.dec, 5 / 3600.0)"
    )
    assert f"classified_r{made['classify']}_q3c_idx" in plan, plan
    read.execute("DROP TABLE mine")


# --- the switch -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def other(module_settings: Settings, made: dict[str, int]) -> int:
    """Another classify run, published and held beside the first."""
    number = small_sky.classify_again(module_settings, made)
    publish(module_settings, made["classify"])
    return number


def _in_thread(work: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    results: list[Any] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            results.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, results


def test_a_reader_in_a_long_transaction_blocks_no_publication_and_no_reader(module_settings, made, other):
    with ready(module_settings) as long, ready(module_settings, autocommit=True) as short:
        assert _rows(long, "SELECT min(run_id) FROM pub.classified JOIN pub.counterparts USING (run_id, source_id)")
        thread, results = _in_thread(lambda: publish(module_settings, other))
        thread.join(_LONG_S)
        assert not thread.is_alive() and isinstance(results[0], int), results
        assert _rows(short, "SELECT min(run_id) FROM pub.classified") == [(other,)]
    publish(module_settings, made["classify"])


def test_a_repeatable_transaction_stays_with_its_run(module_settings, made, other, read):
    with connect(module_settings) as conn:
        conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        before = _rows(conn, "SELECT DISTINCT run_id FROM pub.classified")
        publish(module_settings, other)
        after = _rows(conn, "SELECT DISTINCT run_id FROM pub.counterparts")
    assert before == after == [(made["classify"],)]
    publish(module_settings, made["classify"])


def test_what_was_prepared_before_shows_the_new_run(module_settings, made, other, read):
    query = "SELECT min(c.run_id), max(k.run_id) FROM pub.classified AS c JOIN pub.counterparts AS k USING (source_id)"
    for _ in range(8):  # the driver prepares it at the fifth time
        assert read.execute(query).fetchone() == (made["classify"],) * 2
    publish(module_settings, other)
    assert read.execute(query).fetchone() == (other,) * 2
    publish(module_settings, made["classify"])
    assert read.execute(query).fetchone() == (made["classify"],) * 2


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("SELECT run_id FROM pub.runs WHERE is_published", "run_id"),
        ("SELECT min(run_id) FROM pub.reliability", "run_id"),
        ("SELECT min(run_id) FROM pub.model_class", "run_id"),
        ("SELECT pub.model_of()", "model_run_id"),
        ("SELECT min(run_id) FROM pub.ulx_candidates", "run_id"),
    ],
)
def test_nothing_that_was_prepared_stays_behind(module_settings, made, other, read, query, shown):
    for number in (made["classify"], other, made["classify"]):
        publish(module_settings, number)
        expected = get(read, number)[shown]
        for _ in range(7):
            assert read.execute(query).fetchone() == (expected,)


def test_no_statement_sees_two_runs(module_settings, made, other):
    stop, seen, errors = threading.Event(), [], []
    query = (
        "SELECT min(c.run_id), max(c.run_id), min(k.run_id), max(k.run_id), min(e.run_id), max(e.run_id), count(*)"
        " FROM pub.xrb_candidates AS c JOIN pub.counterparts AS k USING (source_id)"
        " JOIN pub.evidence AS e USING (source_id)"
    )

    def loop() -> None:
        with ready(module_settings, autocommit=True) as conn:
            while not stop.is_set():
                row = conn.execute(query).fetchone()
                assert row is not None
                seen.append(row[:6])
                if not row[6] or len(set(row[:6])) != 1:
                    errors.append(row)

    threads = [threading.Thread(target=loop, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in [other, made["classify"]] * 6:
        publish(module_settings, number)
    stop.set()
    for thread in threads:
        thread.join(_LONG_S)
        assert not thread.is_alive()
    assert errors == []
    assert {row[0] for row in seen} == {other, made["classify"]}


def test_the_same_run_again_writes_nothing(module_settings, made, other, read):
    names = "SELECT array_agg(relfilenode ORDER BY relname) FROM pg_class WHERE relnamespace = 'pub'::regnamespace"
    before = _rows(read, names)
    publish(module_settings, other)
    publish(module_settings, made["classify"])
    assert _rows(read, names) == before


def test_earlier_runs_are_read_by_their_number(module_settings, made, other, read):
    assert _rows(read, f"SELECT min(run_id), max(run_id), count(*) FROM pub.classified_r{other}") == [
        (other, other, 600)
    ]
    by_run = _rows(read, "SELECT run_id, count(*) FROM pub.classified_runs GROUP BY 1 ORDER BY 1")
    assert by_run == [(made["earlier_classify"], 600), (made["classify"], 600), (other, 600)]
    runs = _rows(read, "SELECT run_id, is_published FROM pub.runs ORDER BY 1")
    assert runs == [(made["earlier_classify"], False), (made["classify"], True), (other, False)]
    assert candidates(read, "XRB", run_id=other).meta["run_id"] == other


def test_a_run_may_be_held_without_a_switch(module_settings, made, other, read):
    with stage(module_settings, "classify", "held", {"a": 1}, **_lineage(read, made["classify"])) as run:
        names = [c.name for c in schema.RUN_TABLES["classification"].columns if c.name != "run_id"]
        columns = sql.SQL(", ").join(map(sql.Identifier, names))
        from xcat.database import partitions

        target = partitions.create(run.conn, "classification", run.run_id)
        run.conn.execute(
            sql.SQL("INSERT INTO {} (run_id, {}) SELECT %s, {} FROM xcat.classification WHERE run_id = %s").format(
                sql.Identifier(*target.split(".")), columns, columns
            ),
            [run.run_id, made["classify"]],
        )
        partitions.attach(run.conn, "classification", run.run_id)
    with pytest.raises(Exception, match=rf"xcat publish {run.run_id} --hold"):
        candidates(read, "XRB", run_id=run.run_id)
    publish(module_settings, run.run_id, hold=True)
    assert _rows(read, "SELECT DISTINCT run_id FROM pub.classified") == [(made["classify"],)]
    assert len(candidates(read, "XRB", run_id=run.run_id)) == len(candidates(read, "XRB"))


def _lineage(conn: Connection, run_id: int) -> dict[str, int]:
    row = get(conn, run_id)
    return {key: value for key, value in row.items() if key.endswith("_run_id") and key != "pipeline_run_id"}


def test_only_a_finished_classify_run_is_published(module_settings, made):
    with pytest.raises(Exception, match="not a classify run"):
        publish(module_settings, made["fit"])


def test_views_of_users_are_not_torn_down(module_settings, made, other, read):
    """They stand in the way only where the columns must change, and are named then."""
    read.execute("RESET ROLE; CREATE VIEW public.mine AS SELECT name, p_xrb FROM pub.classified")
    try:
        publish(module_settings, other)
        publish(module_settings, made["classify"])
        from xcat.database import published

        with ready(module_settings) as conn, pytest.raises(StageError, match="mine"):
            published.make_views(conn, ["AGN", "YSO"])
    finally:
        read.execute("DROP VIEW public.mine")


def test_who_could_read_the_views_still_can_when_they_are_made_anew(module_settings, made, read):
    from xcat.database import published

    read.execute("RESET ROLE; CREATE ROLE visitor")
    try:
        read.execute("GRANT SELECT ON pub.classified TO visitor")
        with ready(module_settings) as conn:
            published.make_views(conn, ["AGN", "XRB"])
            granted = "SELECT has_table_privilege('visitor', t, 'SELECT') FROM unnest(%s::text[]) AS t"
            views = ["pub.classified", "pub.xrb_candidates"]
            assert conn.execute(granted, [views]).fetchall() == [(True,), (True,)]
            assert "p_star" not in [
                c.name for c in conn.execute("SELECT * FROM pub.classified LIMIT 0").description or ()
            ]
            conn.rollback()
    finally:
        read.execute("REVOKE ALL ON pub.classified FROM visitor")
        read.execute("DROP ROLE visitor")


def test_a_class_may_be_called_like_a_view_that_is_there(module_settings, made):
    from xcat.database import published

    with ready(module_settings) as conn:
        conn.execute("ALTER TABLE pub.classified_runs ADD COLUMN p_ulx real, ADD COLUMN p_ulx_err real")
        published.make_views(conn, ["AGN", "ULX"])
        assert conn.execute("SELECT count(*) FROM pub.ulx_class_candidates").fetchone() == (0,)
        assert "galaxy" in [c.name for c in conn.execute("SELECT * FROM pub.ulx_candidates LIMIT 0").description or ()]
        conn.rollback()


def test_every_published_relation_is_described(read):
    silent = _rows(
        read,
        "SELECT c.relname, a.attname FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0"
        " AND NOT a.attisdropped WHERE c.relnamespace = 'pub'::regnamespace AND c.relkind IN ('r', 'p', 'v')"
        " AND (obj_description(c.oid, 'pg_class') IS NULL OR col_description(c.oid, a.attnum) IS NULL)"
        " AND NOT c.relispartition",
    )
    assert silent == []


def test_the_summary_says_what_was_written(module_settings, made, read):
    row = get(read, made["publish"])
    assert row["summary"]["published_run_id"] == made["classify"]
    assert json.dumps(row["summary"]["classes"]) == '["AGN", "Star", "XRB", "CV"]'
    assert set(row["summary"]["seconds"]) >= {"tables", "switch"}


def test_runs_that_were_published_before_get_the_columns_of_objects(module_settings, made, other):
    """The migration fills them from what is there, as a publication would; the last test, since the views go down."""
    tables = {
        "pub.classified_runs": "is_best_of_master, missions_agree, other_missions, known_class_of_master",
        "pub.ulx_candidates_runs": "master_id, n_missions, is_best_of_master, missions_agree, other_missions,"
        " known_class_of_master",
        "pub.master_sources_runs": "mission_rank",
        "xcat.master_source": "mission_rank",
    }

    def content():
        with connect(module_settings) as conn:
            return {
                table: _rows(conn, f"SELECT run_id, source_id, {columns} FROM {table} ORDER BY run_id, source_id")
                for table, columns in tables.items()
            }

    before = content()
    assert sum(row[2] == 2 for row in before["xcat.master_source"]) == 55
    migrate(module_settings, "0002")
    with connect(module_settings) as conn:
        assert "is_best_of_master" not in [c.name for c in conn.execute("TABLE pub.classified_runs").description or ()]
    migrate(module_settings)
    assert content() == before
    with connect(module_settings) as conn:
        assert _rows(conn, "SELECT count(*) FROM pub.classified WHERE is_best_of_master") == [(545,)]
