"""What people see of counterparts and master sources: views, explanations, and the page's part about them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from small_matches import CUTOFF, FALSE_RATE, N_AMBIGUOUS, N_TWICE
from small_sky import make

from xcat.config import Settings
from xcat.database import partitions
from xcat.database.connection import Connection, connect
from xcat.database.schema import PUB_TABLES, RUN_TABLES
from xcat.output import results
from xcat.report.explain import gather as why
from xcat.report.explain import wording
from xcat.report.run import page_data, run_page, summary

pytestmark = pytest.mark.slow

Runs = dict[str, int]


@pytest.fixture(scope="module")
def runs(module_settings: Settings) -> Runs:
    return make(module_settings)


@pytest.fixture
def conn(module_settings: Settings, runs: Runs) -> Iterator[Connection]:
    with connect(module_settings) as connection:
        yield connection


def _one(conn: Connection, query: str) -> object:
    row = conn.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


# --- views --------------------------------------------------------------------------------------------------


def test_counterparts_are_the_accepted_ones(conn: Connection, runs: Runs) -> None:
    table = results.query(conn, "SELECT * FROM pub.counterparts")
    accepted = f"SELECT count(*) FROM xcat.match WHERE accepted AND run_id = {runs['match']}"
    assert len(table) == _one(conn, accepted) > 0
    assert set(zip(table["catalogue"], table["kind"], strict=True)) == {("gaia", "optical"), ("allwise", "infrared")}
    assert not table["mag_w1"].mask[table["catalogue"] == "allwise"].any()
    assert table["mag_w1"].mask[table["catalogue"] == "gaia"].all() and table["mag_w1"].unit == "mag"
    assert len({*zip(table["source_id"], table["catalogue"], strict=True)}) == len(table)


def test_hypotheses_name_their_members(conn: Connection, runs: Runs) -> None:
    found = conn.execute(
        "SELECT source_id, catalogues, objects, p_hypothesis, log_fx_fr FROM pub.hypotheses WHERE rank = 1"
    ).fetchall()
    both = [row for row in found if len(row[1]) == 2]
    assert both and all(names == ["gaia", "allwise"] and objects == [f"obj {i}"] * 2 for i, names, objects, *_ in both)
    assert any(row[4] is not None for row in both)
    sums = "SELECT max(s) FROM (SELECT sum(p_hypothesis) AS s FROM pub.hypotheses GROUP BY source_id) AS t"
    assert 0.5 < float(str(_one(conn, sums))) <= 1.0001
    nobody = "SELECT count(*) FROM pub.hypotheses WHERE rank = 0 AND catalogues = '{}' AND objects = '{}'"
    assert _one(conn, nobody) == _one(conn, "SELECT count(DISTINCT source_id) FROM pub.hypotheses")


def test_master_sources_have_their_members(conn: Connection) -> None:
    table = results.query(conn, "SELECT * FROM pub.master_sources")
    assert len(table) == 600 and len(set(table["source_id"])) == 600
    linked = table[table["status"] == "linked"]
    assert len(linked) == 2 * (N_TWICE - N_AMBIGUOUS) == 2 * len(set(linked["master_id"]))
    assert set(linked["n_missions"]) == {2} and max(linked["sep_arcsec"]) < 0.1
    assert set(table[table["is_ambiguous"]]["status"]) == {"ambiguous"}


def test_reliability_is_that_of_the_run(conn: Connection) -> None:
    table = results.query(conn, "SELECT * FROM pub.reliability WHERE is_chosen")
    assert sorted({*table["catalogue"]}) == ["all together", "allwise", "gaia"] and len(table) == 9
    assert set(table["cutoff"]) == {CUTOFF} and table["false_rate"].meta["ucd"] == "stat.probability"


# --- explain ------------------------------------------------------------------------------------------------


def _with_hypotheses(conn: Connection, condition: str) -> int:
    query = f"SELECT source_id FROM pub.hypotheses WHERE rank = 1 AND cardinality(objects) = 2 AND {condition} LIMIT 1"
    return int(str(_one(conn, query)))


def test_hypotheses_of_a_source(conn: Connection) -> None:
    source_id = _with_hypotheses(conn, "source_id % 10 = 0 AND source_id > 60 AND source_id <= 540")
    e = why.explain(conn, source_id)
    assert [h["rank"] for h in e.hypotheses] == [0, 1, 2, 3, 4, 5] and e.n_hypotheses == 7
    none, best, second = e.hypotheses[:3]
    assert none["members"] == [] and none["p_i"] is None
    assert [m["catalogue"] for m in best["members"]] == ["gaia", "allwise"] and len(second["members"]) == 1
    for member in best["members"]:
        stored = conn.execute(
            "SELECT sep_arcsec FROM pub.counterparts WHERE source_id = %s AND catalogue = %s",
            [source_id, member["catalogue"]],
        ).fetchone()
        assert (member["sep_arcsec"],) == stored and member["native_id"] == f"obj {source_id}"
        assert member["magnitudes"].keys() <= {"mag_gaia_g", "mag_gaia_bp", "mag_gaia_rp", "mag_w1", "mag_w2"}
    text = why.text(e)
    told = re.findall(r"^   \d  (\S+) ", text, re.M)
    assert told == sorted(told, key=lambda p: -float(p)) and len(told) == 6
    assert "no counterpart\n" in text and "and 2 more, together P = 0.00" in text
    few = why.explain(conn, _with_hypotheses(conn, "source_id % 10 <> 0"))
    assert few.n_hypotheses == 2 and "more, together" not in why.text(few)
    bare = why.text(replace(few, hypotheses=(), master=None))
    assert (
        "Counterpart hypotheses" not in bare
        and "Counterpart hypotheses" in why.text(few)
        and "Master source" not in bare
    )


def test_other_missions_of_a_source(conn: Connection) -> None:
    for source_id, other, name in ((1, 541, "swift"), (541, 1, "xmm")):
        e = why.explain(conn, source_id)
        assert e.master is not None and (e.master["master_id"], e.master["status"]) == (1, "linked")
        assert [(o["source_id"], o["catalogue"], o["relation"]) for o in e.master["others"]] == [
            (other, name, "member")
        ]
        text = why.text(e)
        assert "Master source 1: linked; 2 missions" in text
        (of_class,) = e.master["others"]
        row = conn.execute(
            "SELECT name, class, p_class, known_class, is_best_of_master FROM pub.classified WHERE source_id = %s",
            [other],
        ).fetchone()
        assert row is not None
        assert (of_class["class"], of_class["known_class"]) == (row[1], row[3])
        assert of_class["p_class"] == pytest.approx(row[2]) and (of_class["mission_rank"] == 1) == row[4]
        assert {e.master["mission_rank"], of_class["mission_rank"]} == {1, 2}
        assert ("The best measured of its missions" in text) == (not row[4])
        assert f'Why: xcat explain "{row[0]}"' in text and f"{row[0]} ({row[1]} " in wording.surroundings(e)
        assert ("known AGN" in text) == (row[3] == "AGN")
    doubtful = why.explain(conn, 60)
    assert doubtful.master is not None and doubtful.master["others"][0]["relation"] == "ambiguous"
    assert "possibly the same" in why.text(doubtful)
    assert [o["source_id"] for o in (why.explain(conn, 600).master or {})["others"]] == [60]
    single = why.explain(conn, 300)
    assert (
        single.master is not None and single.master["others"] == [] and "Master source 300: single" in why.text(single)
    )
    sigma = "SELECT source_id FROM pub.master_sources WHERE flux_ratio_sigma > 1 ORDER BY source_id LIMIT 1"
    e = why.explain(conn, int(str(_one(conn, sigma))))
    assert e.master is not None and f"{e.master['flux_ratio_sigma']:.4g} sigma" in why.text(e)


# --- the page -----------------------------------------------------------------------------------------------


def test_page_data_of_the_counterparts(conn: Connection, runs: Runs) -> None:
    found = page_data.collect_matches(
        conn, runs["match"], f"xcat.source_r{runs['merge']}", ["xmm", "swift", "gaia", "allwise"]
    )
    assert {(m.mission, m.catalogue) for m in found.matches} == {
        (mission, catalogue) for mission in ("xmm", "swift") for catalogue in ("gaia", "allwise")
    }
    for m in found.matches:
        stored = conn.execute(
            "SELECT count(*), count(*) FILTER (WHERE accepted), count(*) FILTER (WHERE accepted AND p_any < 0.7)"
            " FROM xcat.match JOIN xcat.source AS s USING (source_id) JOIN xcat.catalogue AS k"
            " ON k.catalogue_id = match.catalogue_id JOIN xcat.catalogue AS x ON x.catalogue_id = s.catalogue_id"
            " WHERE match.run_id = %s AND k.name = %s AND x.name = %s",
            [runs["match"], m.catalogue, m.mission],
        ).fetchone()
        assert stored == (m.sources, m.accepted, m.accepted_bins[:14].sum())
        assert (m.accepted_bins <= m.bins).all() and m.bins.sum() == m.sources
    assert [c.catalogue for c in found.calibrations] == ["gaia", "allwise", "all together"]
    gaia = found.calibrations[0]
    assert list(gaia.curves) == [0, 1, 2] and len(gaia.curves[0]) == 101 and gaia.cutoffs == (CUTOFF, CUTOFF)
    assert gaia.whole["n_shifted"] == found.n_shifted == 2000 and found.false_rate == FALSE_RATE
    assert [(p.catalogue, p.term) for p in found.priors] == [("gaia", "mag_gaia_g"), ("allwise", "mag_w1 - mag_w2")]
    prior = found.priors[0]
    assert prior.by_part.shape == (2, 20) and prior.edges.shape == (21,)
    assert prior.log_ratio == pytest.approx(prior.by_part.mean(axis=0))
    assert page_data.collect_matches(conn, None, "xcat.source").matches == []


def test_page_of_a_run_that_was_not_calibrated(
    conn: Connection, runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_page, "_EXPLAINED", 1)  # test_report.py has a page with all figures of candidates
    r = summary.report(conn, runs["classify"])
    conn.execute("DELETE FROM xcat.calibration")
    conn.execute("DELETE FROM xcat.magnitude_prior")
    conn.execute("UPDATE xcat.run SET link_run_id = NULL WHERE run_id = %s", [runs["classify"]])
    page = run_page.html(r, conn, tmp_path / "page").read_text()
    conn.rollback()
    assert "Not measured: counterparts are accepted from p_any 0.5 on" in page and "Note of the run" in page
    assert "false rate is the share" not in page and "One source across missions" not in page
    drawn = {path.name for path in (tmp_path / "page" / "figures").iterdir()}
    assert "matches.png" in drawn and not {"calibration.png", "magnitudes.png"} & drawn


# --- plans of the views -------------------------------------------------------------------------------------


def _partitions_read(conn: Connection, view: str) -> dict[str, set[str]]:
    """Partitions of each published table that a query of a view touches."""
    plan = conn.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) SELECT * FROM {view}".encode()).fetchone()
    assert plan is not None
    nodes, found = [plan[0][0]["Plan"]], {}
    while nodes:
        node = nodes.pop()
        nodes += node.get("Plans", [])
        table, _, number = node.get("Relation Name", "").rpartition("_r")
        assert table not in RUN_TABLES, "readers touch pub only"
        if f"{table}_runs" in PUB_TABLES and number.isdecimal():  # planned, even if it were not read
            found.setdefault(table, set()).add(number)
    return found


def test_a_view_reads_one_partition_of_each_table(conn: Connection, runs: Runs) -> None:
    for table in PUB_TABLES:  # of another run, though empty
        partitions.create(conn, table, 9999)
        partitions.attach(conn, table, 9999)
    views = conn.execute(
        # the labels are those of all label runs, published or not
        "SELECT viewname FROM pg_views"
        " WHERE schemaname = 'pub' AND viewname NOT LIKE '%runs' AND viewname <> 'labels' ORDER BY 1"
    ).fetchall()
    touched = {view: _partitions_read(conn, f"pub.{view}") for (view,) in views}
    conn.rollback()
    assert {f"{table}_runs" for read in touched.values() for table in read} == set(PUB_TABLES)
    for view, read in touched.items():
        assert all(numbers == {str(runs["classify"])} for numbers in read.values()), f"{view} reads {read}"
