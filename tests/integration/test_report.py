"""Queries, candidates, evidence and reports on a small classified sky."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from adql_tables import published
from astropy.io.votable import parse
from astropy.table import Table
from regions import Regions
from small_matches import N_TWICE
from small_sky import CLASSES, classify_again, make

from xcat.adql import translate
from xcat.columns.properties import select
from xcat.config import Settings
from xcat.database.connection import Connection, connect
from xcat.database.sqlfiles import folder, statements
from xcat.errors import XcatError
from xcat.jobs.runner import publish
from xcat.output import files, results, statement, terminal
from xcat.report.candidates import candidates, expectation
from xcat.report.explain import drawing
from xcat.report.explain import gather as why
from xcat.report.run import run_page, summary, summary_figure

pytestmark = pytest.mark.slow

Runs = dict[str, int]


@pytest.fixture(scope="module")
def runs(module_settings: Settings) -> Runs:
    return make(module_settings)


@pytest.fixture
def conn(module_settings: Settings, runs: Runs) -> Iterator[Connection]:
    with connect(module_settings) as connection:
        yield connection


# --- queries ------------------------------------------------------------------------------------------------


def test_columns_know_what_they_mean(conn: Connection) -> None:
    table = results.query(conn, "SELECT name, flux_cgs AS f, p_xrb, ra + 0 AS ra, count(*) OVER () FROM pub.classified")
    assert table.colnames == ["name", "f", "p_xrb", "ra", "count"]
    assert table["f"].unit.to_string() == "erg / (s cm2)" and table["f"].meta["ucd"] == "phot.flux;em.X-ray"
    assert table["f"].dtype == np.float32 and table["f"].description.startswith("Flux in the mission")
    assert table["p_xrb"].meta["ucd"].startswith("stat.probability")
    assert table["ra"].unit == "deg"
    assert table["count"].unit is None and not table["count"].description and len(table) == 600


def test_origin_comes_through_partitions_and_parents(conn: Connection, runs: Runs) -> None:
    for relation in ("xcat.source", f"xcat.source_r{runs['merge']}", "pub.classified"):
        assert results.query(conn, f"SELECT dec FROM {relation} LIMIT 1")["dec"].unit == "deg"


def test_types(conn: Connection) -> None:
    table = results.query(
        conn,
        "SELECT p, evidence, is_outlier, n_missing, NULL::integer AS nothing, 1.5::numeric AS n,"
        " '{\"a\": [1]}'::jsonb AS j, '2026-01-02 03:04:05+00'::timestamptz AS t, interval '90 s' AS d,"
        " ARRAY['a', 'b'] AS words"
        " FROM xcat.classification LIMIT 3",
    )
    assert table["p"].shape == (3, 4) and table["p"].dtype == np.float32
    assert (
        table["evidence"].shape == (3, 4 * len(select(None)))
        and table["is_outlier"].dtype == bool
        and table["n_missing"].dtype == np.int16
    )
    assert table["nothing"].mask.all() and table["n"].dtype == np.float64
    assert table["j"][0] == '{"a": [1]}' and table["t"][0] == "2026-01-02T03:04:05.000Z"
    assert table["d"][0] == 90 and table["d"].unit == "s" and table["words"].shape == (3, 2)


def test_sums_of_64_bit_numbers_are_exact(conn: Connection) -> None:
    big = 2**63 - 1
    table = results.query(
        conn,
        f"SELECT sum(x) AS s, sum(x) * 10 AS t, sum(x) - 1e15::bigint AS i, avg(x / 1e15) AS f, 0.1::numeric AS g,"
        f" 9007199254740993.5::numeric AS h, NULL::numeric AS z, bytea '\\xff00' AS b, 'infinity'::float8 AS w"
        f" FROM (VALUES ({big}::bigint), (1)) AS v (x)",
    )
    assert table["s"].dtype == np.uint64 and table["s"][0] == 2**63 and table["i"][0] == 2**63 - 10**15
    assert table["t"][0] == str(2**63 * 10)
    assert table["f"].dtype == table["g"].dtype == np.float64 and table["z"].mask.all()
    assert table["h"][0] == "9007199254740993.5" and table["b"][0] == "\\xff00" and np.isinf(table["w"][0])
    assert results.query(conn, "SELECT 9007199254740993.0 AS n")["n"][0] == "9007199254740993.0"
    with pytest.raises(XcatError, match=r"cannot be read.*column::text"):
        results.query(conn, "SELECT 'infinity'::timestamptz")


def test_a_file_that_cannot_hold_a_query_is_refused_before_it_runs(conn: Connection, tmp_path: Path) -> None:
    def check(text: str, path: Path) -> None:
        with statement.answer(conn, text) as given:
            results.check_names([head.name for head in given.heads], path)

    with pytest.raises(XcatError, match=r"x\.reg: regions need a position"):
        check("SELECT pg_sleep(600) AS a", tmp_path / "x.reg")
    many = ", ".join(f"1 AS c{i}" for i in range(1000))
    with pytest.raises(XcatError, match=r"FITS holds 999 columns.*1,001.*'c998'"):
        check(f"SELECT pg_sleep(600), {many}", tmp_path / "x.fits")
    check("SELECT 1 AS ra, 2 AS dec", tmp_path / "x.reg")
    assert len(results.query(conn, "SELECT 1")) == 1


def test_a_query_and_candidates_say_where_they_come_from(conn: Connection, runs: Runs, tmp_path: Path) -> None:
    query = "SELECT name, ra, dec, err_arcsec, class FROM pub.classified LIMIT 5"
    table = results.query(conn, query)
    assert table.meta["provenance"]["query"] == query
    assert results.published(conn)["published_run_id"] == runs["classify"]
    system = parse(files.write(table, tmp_path / "q.vot")).resources[0].coordinate_systems[0]
    assert system.system == "ICRS"
    circles = Regions.read(files.write(table, tmp_path / "q.reg"), format="ds9")
    assert [c.meta["text"] for c in circles] == table["name"].tolist()
    np.testing.assert_allclose([c.radius.to_value("arcsec") for c in circles], table["err_arcsec"], rtol=1e-4)
    facts = candidates(conn, "XRB").meta["provenance"]
    assert (facts["run_id"], facts["class"], facts["command"]) == (runs["classify"], "XRB", "candidates")


def test_null_is_masked_and_empty_keeps_types(conn: Connection) -> None:
    gamma = results.query(conn, "SELECT gamma FROM pub.classified")["gamma"]
    missing = results.query(conn, "SELECT count(*) AS n FROM pub.classified WHERE gamma IS NULL")["n"][0]
    assert 0 < gamma.mask.sum() == missing
    empty = results.query(conn, "SELECT source_id, name, ra, is_outlier FROM pub.classified WHERE false")
    assert len(empty) == 0 and empty["ra"].unit == "deg"
    assert [empty[c].dtype.kind for c in empty.colnames] == ["i", "U", "f", "b"]


def test_parameters_percent_signs_and_equal_names(conn: Connection) -> None:
    table = results.query(
        conn, "SELECT s.run_id, p.run_id FROM xcat.source s JOIN xcat.property p USING (source_id) LIMIT 1"
    )
    assert table.colnames == ["run_id", "run_id_2"]
    assert len(results.query(conn, "SELECT name FROM xcat.source WHERE name LIKE '4XMM%'")) == 540
    assert len(results.query(conn, "SELECT name FROM xcat.source WHERE source_id = %(i)s", {"i": 7})) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SELECT nonsense FROM xcat.source", "does not exist"),
        ("DELETE FROM xcat.label", "may not change"),
        ("CREATE TABLE t (a int)", "may not change"),
        ("SET work_mem = '64MB'", "no result"),
        ("SET LOCAL work_mem = '64MB'; SELECT 1", "one statement"),
    ],
)
def test_bad_queries(conn: Connection, text: str, message: str) -> None:
    with pytest.raises(XcatError, match=message):
        results.query(conn, text)
    assert len(results.query(conn, "SELECT 1")) == 1  # the connection is as good as before


def test_files_of_a_query_keep_units(conn: Connection, tmp_path: Path) -> None:
    table = results.query(conn, "SELECT * FROM pub.classified")
    for ending in ("fits", "vot", "parquet", "ecsv", "csv"):
        assert files.write(table, tmp_path / f"all.{ending}").stat().st_size > 10_000


def _examples() -> list[Path]:
    return sorted((folder("sql") / "queries").glob("*.sql"))


@pytest.mark.parametrize("path", _examples(), ids=lambda p: p.stem)
def test_worked_examples(conn: Connection, module_settings: Settings, runs: Runs, path: Path) -> None:
    (statement,) = statements(path).values()
    assert statement.about.endswith((".", "?", "run."))
    table = results.query(conn, path.read_text())
    assert table.colnames
    conn.rollback()
    if path.stem == "compare_runs":
        return  # there is one run only, yet: see test_runs_are_compared
    assert len(table) > 0, "an example that finds nothing teaches nothing"


def _adql_examples() -> list[Path]:
    return sorted((folder("sql") / "adql").glob("*.sql"))


#: Examples that ask for an earlier run: there is one run only, yet.
_NEED_ANOTHER_RUN = {"changed_counterparts", "compare_runs", "master_changes"}


@pytest.mark.parametrize("path", _adql_examples(), ids=lambda p: p.stem)
def test_adql_examples(conn: Connection, path: Path) -> None:
    """Each finds something, in as many rows as the query of the same name in SQL."""
    (example,) = statements(path).values()
    assert example.name == f"{path.stem}.{path.stem}" and example.about.endswith((".", "?"))
    translated = translate(example.text, published(conn), maxrec=100_000)
    answer = conn.execute(translated.sql.encode())
    assert [c.name for c in answer.description or ()] == [c.name for c in translated.columns]
    rows = answer.fetchall()
    assert rows or path.stem in _NEED_ANOTHER_RUN, "an example that finds nothing teaches nothing"
    in_sql = folder("sql") / "queries" / f"{path.stem}.sql"
    if in_sql.is_file() and path.stem not in {*_NEED_ANOTHER_RUN, "label_conflicts"}:
        table = results.query(conn, in_sql.read_text())
        assert len(table) == len(rows)
        names = [c.name for c in translated.columns]
        for name in (n for n in table.colnames if n in names and table[n].dtype.kind in "iu"):
            here = [row[names.index(name)] for row in rows]
            assert sorted(table[name].tolist(), key=str) == sorted(here, key=str), name
    conn.rollback()


def test_the_queries_of_the_page_about_adql(conn: Connection) -> None:
    page = (folder("sql").parent / "docs" / "howto" / "adql.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sql\n(.*?)^```", page, re.S | re.M)
    assert len(blocks) >= 5
    for block in blocks:
        assert conn.execute(translate(block, published(conn), maxrec=1000).sql.encode()).fetchall(), block


def _one(conn: Connection, query: str) -> object:
    row = conn.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def test_examples_meet_their_words(conn: Connection) -> None:
    def example(name: str) -> object:
        return results.query(conn, (folder("sql") / "queries" / f"{name}.sql").read_text())

    assert (example("xrb_candidates")["p_xrb"] > 0.9).all()
    assert (example("transients")["flux_ratio_low"] > 5).all()
    assert (example("cone_search")["sep_arcsec"] <= 5 * 3600).all()
    assert (example("cv_main_sequence")["above_line"] > 0).all()
    assert set(example("xmm_names")["prediction"]) == {2}
    assert (example("ambiguous_counterparts")["other_p_hypothesis"] > 0.2).all()
    assert sum(example("without_variability")["sources"]) == 600
    assert sum(example("classes_by_latitude")["sources"]) == 600
    assert sum(example("rejected_rows")["rejected_rows"]) == 9
    assert len(example("evidence_of_a_source")) == 4 * len(select(None))
    alone = example("optical_without_infrared")
    assert len(alone) == _one(conn, "SELECT count(*) FROM xcat.property WHERE has_optical AND NOT has_infrared")
    assert set(alone["catalogue"]) == {"gaia"}
    # the first ten sources had lost their Gaia objects in the match run before
    found = example("changed_counterparts")
    lost = "SELECT count(*) FROM pub.counterparts WHERE catalogue = 'gaia' AND source_id <= 10"
    assert len(found) == _one(conn, lost) > 0
    assert found["old_native_id"].mask.all() and not np.ma.getmaskarray(found["native_id"]).any()
    variable = example("variable_xrb_candidates")
    assert (variable["flux_ratio_sigma"] > 3).all() and set(variable["n_missions"]) == {1, 2}
    linked = variable[variable["n_missions"] == 2]
    assert {tuple(sorted(linked["member_catalogue"][linked["name"] == n])) for n in linked["name"]} == {
        ("swift", "xmm")
    }
    rival = example("rival_hypotheses")
    assert (rival["other_p_hypothesis"] > 0.5 * rival["p_hypothesis"]).all()
    assert (rival["other_p_hypothesis"] <= rival["p_hypothesis"]).all()
    assert len(example("master_changes")) == N_TWICE and set(example("master_changes")["change"]) == {"moved"}
    curve = example("calibration_curve")
    assert len(curve) == 102 and set(curve["catalogue"]) == {"allwise"} and sum(curve["is_chosen"]) == 1
    assert (np.diff(curve["false_rate"]) <= 1e-12).all() and (np.diff(curve["kept"]) <= 0).all()


# --- candidates ---------------------------------------------------------------------------------------------


def of_class(conn: Connection, name: str, **options: Any) -> Table:
    """What a class's list has of sources whose most probable class it is."""
    table = candidates(conn, name, 0.0, **options)
    return table[table["class"] == name]


def test_candidates_are_sorted_and_unknown(conn: Connection, runs: Runs) -> None:
    table = candidates(conn, "xrb", 0.5)
    assert len(table) > 5 and set(table["class"]) == {"XRB"} and min(table["p_class"]) >= 0.5
    sure = np.float32(table["p_class"]) * np.float32(table["stability"])
    assert list(sure) == sorted(sure, reverse=True)
    assert table["known_class"].mask.all()
    assert table["flux_cgs"].unit is not None and table.meta["run_id"] == runs["classify"]
    assert len(candidates(conn, "XRB", 0.5, include_known=True)) > len(table)


def test_the_default_list_is_the_one_with_the_best_expected_f1(conn: Connection) -> None:
    """Tried against every other end that a list may have, and told in figures and words."""
    for name in CLASSES:
        p = conn.execute(
            f"SELECT p_{name.lower()}::float8 FROM pub.classified "
            "WHERE is_best_of_master AND known_class_of_master IS NULL".encode()
        ).fetchall()
        of_all = np.sort(np.array(p)[:, 0])[::-1]
        f1 = 2 * np.cumsum(of_all) / (np.arange(1, of_all.size + 1) + of_all.sum())
        table = candidates(conn, name)
        told, column = table.meta["expected"], f"p_{name.lower()}"
        assert told["f1"] == pytest.approx(f1.max(), abs=2e-3) and told["f1"] == pytest.approx(f1[len(table) - 1])
        assert told["min_probability"] == told["best_min_probability"] == pytest.approx(f1.max() / 2, abs=2e-3)
        assert told["members"] == pytest.approx(table[column].sum(), rel=1e-5)
        assert (told["purity"], told["completeness"]) == pytest.approx(
            (table[column].mean(), table[column].sum() / of_all.sum()), rel=1e-5
        )
        assert f"of {of_all.sum():,.0f} {name} are listed" in expectation(table)
        assert "the best F1" in expectation(table)
        sure = candidates(conn, name, 0.9)
        assert sure.meta["expected"]["best_min_probability"] == told["best_min_probability"]
        assert f"F1 should be best from a probability of {told['best_min_probability']:g}" in expectation(sure)
    unlikely = candidates(conn, "CV", 0.001)
    assert set(unlikely["class"]) > {"CV"}, "also what is more probably of another class"
    rank = unlikely["p_cv"] * np.where(unlikely["class"] == "CV", unlikely["stability"], 1 - unlikely["stability"])
    assert (np.diff(rank) <= 1e-6).all()
    nothing = candidates(conn, "CV", 1.0)
    assert len(nothing) == 0 and nothing.meta["expected"]["purity"] is None


def test_an_object_is_listed_once(conn: Connection) -> None:
    """By its best measured source; every mission on demand; known as soon as one of its sources is."""
    rows = conn.execute(
        "SELECT source_id, master_id, class, p_class, catalogue, known_class, err_arcsec FROM pub.classified"
    ).fetchall()
    objects: dict[int, list[tuple[int, str, float, str, str | None]]] = {}
    for source_id, master_id, *rest, _ in sorted(rows, key=lambda row: row[-1]):
        objects.setdefault(master_id, []).append((source_id, *rest))
    seen_twice = [members for members in objects.values() if len(members) == 2]
    assert (len(rows), len(objects), len(seen_twice)) == (600, 545, 55)
    for name in CLASSES:
        for known in (False, True):
            wanted = [m for m in objects.values() if known or not any(source[4] for source in m)]
            table = of_class(conn, name, include_known=known)
            assert sorted(table["source_id"]) == sorted(m[0][0] for m in wanted if m[0][1] == name)
            assert len(set(table["master_id"])) == len(table)
            assert candidates(conn, name, 0.0, include_known=known).meta["total_rows"] == len(wanted)
            every = of_class(conn, name, include_known=known, every_mission=True)
            assert sorted(every["source_id"]) == sorted(s[0] for m in wanted for s in m if s[1] == name)
        view = conn.execute(f"SELECT source_id FROM pub.{name.lower()}_candidates".encode()).fetchall()
        assert sorted(i for (i,) in view) == sorted(of_class(conn, name)["source_id"])
    told = {row["source_id"]: row for n in CLASSES for row in of_class(conn, n, include_known=True, every_mission=True)}
    for members in seen_twice:
        assert any(source[4] for source in members) == (
            told[members[0][0]]["known_class_of_master"] is not np.ma.masked
        )
        for this, that in (members, members[::-1]):
            row = told[this[0]]
            assert row["other_missions"] == f"{that[3]} {that[1]} {that[2]:.2f}" and row["n_missions"] == 2
            assert row["missions_agree"] == (this[1] == that[1])
    assert 0 < sum(any(source[4] for source in m) for m in seen_twice) < 55
    assert {m[0][3] for m in seen_twice} == {"xmm", "swift"}, "either mission is the better one at times"
    alone = told[objects[60][0][0]]  # ambiguous: not linked, so listed for itself
    assert (alone["other_missions"], alone["n_missions"], alone["is_ambiguous"]) == ("", 1, True)


def test_a_limit_says_what_it_cut(conn: Connection) -> None:
    everything = candidates(conn, "AGN")
    cut = candidates(conn, "AGN", limit=3)
    assert list(cut["source_id"]) == list(everything["source_id"][:3]) and cut.meta["total_rows"] == len(everything)
    assert f"3 of {len(everything)} rows shown" in terminal.show(cut)


def test_a_cone_is_what_it_says(conn: Connection) -> None:
    everything = candidates(conn, "AGN", 0.0, include_known=True)
    for ra, dec, radius in ((0.0, 0.0, 20.0), (180.0, 89.0, 15.0), (10.0, -90.0, 20.0), (266.4, -29.0, 12.5)):
        x = np.radians(everything["ra"].data), np.radians(everything["dec"].data)
        a, d = np.radians(ra), np.radians(dec)
        cosine = np.sin(x[1]) * np.sin(d) + np.cos(x[1]) * np.cos(d) * np.cos(x[0] - a)
        inside = everything["source_id"][np.degrees(np.arccos(np.clip(cosine, -1, 1))) < radius]
        for turn in (-360.0, 0.0, 360.0):
            found = candidates(conn, "AGN", 0.0, cone=(ra + turn, dec, radius), include_known=True)
            assert set(found["source_id"]) == set(inside)
    assert len(inside) > 0


def test_a_cone_uses_the_index_on_the_sky(conn: Connection, runs: Runs) -> None:
    from xcat.database import partitions
    from xcat.database.sqlfiles import job

    clause = job("report.near").compose(classified=partitions.qualified("classified_runs", runs["classify"]))
    conn.execute("SET LOCAL enable_seqscan = off")
    plan = conn.execute(
        b"EXPLAIN SELECT 1 FROM pub.classified WHERE true " + clause.as_bytes(conn),
        {"ra": 266.4, "dec": -29.0, "radius_deg": 1.0},
    ).fetchall()
    assert "q3c_ang2ipix" in str(plan)


@pytest.mark.parametrize(
    "cone", [(0, 0, 0), (0, 0, -1), (0, 0, 20.1), (0, 90.1, 1), (0, -91, 1), (float("nan"), 0, 1), (0, 0, float("inf"))]
)
def test_impossible_cones_are_refused(conn: Connection, cone: tuple[float, float, float]) -> None:
    with pytest.raises(XcatError, match="cone"):
        candidates(conn, "XRB", cone=cone)


def test_impossible_requests_are_refused(conn: Connection) -> None:
    with pytest.raises(XcatError, match="AGN, Star, XRB, CV"):
        candidates(conn, "pulsar")
    with pytest.raises(XcatError, match="between 0 and 1"):
        candidates(conn, "XRB", 1.1)
    with pytest.raises(XcatError, match="limit"):
        candidates(conn, "XRB", limit=0)
    with pytest.raises(XcatError, match="not a finished classify run"):
        candidates(conn, "XRB", run_id=1)


def test_nothing_published_says_what_to_do(settings: Settings) -> None:
    with connect(settings) as fresh, pytest.raises(XcatError, match="nothing is published yet"):
        candidates(fresh, "XRB")


# --- explain ------------------------------------------------------------------------------------------------


def test_terms_are_those_of_the_database(conn: Connection, runs: Runs) -> None:
    e = why.explain(conn, 450)  # not labelled: the evidence of a labelled one is out of fold
    rows = conn.execute("SELECT property, class, log_likelihood FROM pub.evidence WHERE source_id = 450").fetchall()
    assert len(rows) == 4 * len(select(None))
    for prop, name, term in rows:
        (mine,) = [t for t in e.terms if t.property == prop]
        assert mine.log_likelihood[name] == pytest.approx(term, abs=1e-6)


def test_sources_are_found_by_name_and_number(conn: Connection) -> None:
    row = conn.execute("SELECT name FROM xcat.source WHERE source_id = 142").fetchone()
    assert row is not None
    name = row[0]
    ways = (142, "142", name, f"  {name.lower()} ", name.replace(" ", ""), name.split()[1])
    assert {why.explain(conn, way).source["source_id"] for way in ways} == {142}
    with pytest.raises(XcatError, match=r"could be any of.*Give the whole name"):
        why.explain(conn, "4XMM")
    typo = name[:-1] + ("0" if name[-1] != "0" else "1")
    with pytest.raises(XcatError, match="Similar names") as error:
        why.explain(conn, typo)
    assert name in str(error.value)
    for unknown in (10**6, "", "'; DROP TABLE xcat.run; --"):
        with pytest.raises(XcatError, match="there is no source"):
            why.explain(conn, unknown)


def test_explanation_knows_the_surroundings(conn: Connection, runs: Runs) -> None:
    e = why.explain(conn, 1)
    assert e.run_id == runs["classify"] and e.known_class in CLASSES and e.labels[0]["origin"] == "milliquas"
    assert {c["catalogue"] for c in e.counterparts} == {"gaia", "allwise"}
    disputed = why.explain(conn, 40)
    assert disputed.known_class is None and {row["status"] for row in disputed.labels} == {"conflict"}
    with_optical = _one(
        conn, "SELECT min(source_id) FROM pub.classified WHERE class = 'Star' AND optical_native_id IS NOT NULL"
    )
    gaia = next(c for c in why.explain(conn, with_optical).counterparts if c["catalogue"] == "gaia")
    assert set(gaia["magnitudes"]) == {"mag_gaia_g", "mag_gaia_bp", "mag_gaia_rp"}
    data = json.loads(json.dumps(why.to_json(e), allow_nan=False))
    assert data["hypotheses"][0]["rank"] == 0 and data["master"]["others"][0]["catalogue"] == "swift"
    assert data["terms"][0]["property"] == "abs_b" and data["known_class"] == e.known_class


def test_text_fits_a_terminal(conn: Connection) -> None:
    for source_id in (1, 2, 3, 40, 500):
        e = why.explain(conn, source_id)
        lines = why.text(e).splitlines()
        assert max(map(len, lines)) <= 100
        text = "\n".join(lines)
        assert e.source["name"] in text and "\x1b" not in text
        assert all(t.property in text for t in e.terms) and "missing" in text
        assert text.count("+") > 3 and f"{e.posterior[e.best]:.3f}" in text


@pytest.mark.parametrize("ending", ["png", "pdf", "svg"])
def test_figure(conn: Connection, tmp_path: Path, ending: str) -> None:
    e = why.explain(conn, 12)
    assert why.draw(e, conn, tmp_path / f"e.{ending}").stat().st_size > 10_000
    if ending == "svg":
        drawn = (tmp_path / "e.svg").read_text()
        assert all(t.property in drawn for t in drawing.chosen(e)[0]) and "missing here" in drawn
        (none, *_) = e.hypotheses or ({"p_hypothesis": 0},)
        assert ("obj 12" in drawn) == (0 < none["p_hypothesis"] < 0.4) and e.master is not None
        assert e.master["others"][0]["name"] in drawn


def test_figure_of_an_outlying_value(conn: Connection, tmp_path: Path) -> None:
    e = why.explain(conn, 12)
    terms = tuple(replace(t, value=5000.0, beyond="above") if t.value is not None else t for t in e.terms)
    why.draw(replace(e, terms=terms), conn, tmp_path / "e.png")
    with pytest.raises(XcatError, match=r"must be one of \.png, \.pdf, \.svg"):
        why.draw(e, conn, tmp_path / "e.gif")
    with pytest.raises(XcatError, match="cannot be written"):
        why.draw(e, conn, tmp_path / "missing" / "e.png")


# --- the report ---------------------------------------------------------------------------------------------


def test_report_numbers(conn: Connection, runs: Runs) -> None:
    r = summary.report(conn, runs["classify"])
    held_out = conn.execute("SELECT known_class, p FROM xcat.out_of_fold WHERE run_id = %s", [runs["fit"]]).fetchall()
    matrix = np.zeros((4, 4), dtype=int)
    for name, p in held_out:
        matrix[int(np.argmax(p)), CLASSES.index(name)] += 1
    assert r.metrics["matrix"] == matrix.tolist() and r.n_reference == len(held_out) == 390
    assert r.whole.all == 600 and r.published
    row = conn.execute(
        "SELECT count(*), count(*) FILTER (WHERE is_outlier) FROM pub.classified WHERE class = 'AGN' AND in_test_sample"
    ).fetchone()
    assert r.whole.objects == 545 and "600 sources, 545 objects" in summary.text(r)
    agn = r.totals[0]
    assert (agn.name, agn.test, agn.test_outliers) == ("AGN", *(row or ()))
    assert sum(c["sources"] for c in r.conflicts) == 10
    json.dumps(summary.as_json(r), allow_nan=False)


def test_report_of_other_kinds_of_run(conn: Connection, runs: Runs) -> None:
    meant = {summary.report(conn, runs[kind]).run_id for kind in ("classify", "fit", "pipeline", "publish")}
    assert meant == {runs["classify"]}
    with pytest.raises(XcatError, match="merge run"):
        summary.report(conn, runs["merge"])
    with pytest.raises(XcatError, match="there is no run"):
        summary.report(conn, 10**6)


def test_report_text_and_figure(conn: Connection, runs: Runs, tmp_path: Path) -> None:
    r = summary.report(conn, runs["classify"])
    text = summary.text(r)
    for words in (
        "-> XRB",
        "recall (%)",
        "precision, raw (%)",
        "precision at priors (%)",
        "macro-F1",
        "ECE",
        "outliers",
    ):
        assert words in text
    assert max(map(len, text.splitlines()[:-1])) <= 110
    for ending in ("png", "pdf", "svg"):
        assert summary_figure.draw(r, tmp_path / f"r.{ending}").stat().st_size > 5_000


def test_page(conn: Connection, runs: Runs, tmp_path: Path) -> None:
    r = summary.report(conn, runs["classify"])
    index = run_page.html(r, conn, tmp_path / "page")
    page = index.read_text()
    assert str(tmp_path) not in page and "file:" not in page and "http" not in page  # it can be moved, and read offline
    for needed in ("allwise", "milliquas", "not between -90 and 90", "390", "Versions", "folds: 5"):
        assert needed in page
    for needed in ("2\u202f000 positions beside the sources", "Note of the run: allwise: too few", "One source across"):
        assert needed in page
    used = {part.split('"')[0] for part in page.split('="figures/')[1:]}
    drawn = {path.name for path in (tmp_path / "page" / "figures").iterdir()}
    assert used == drawn and {"sky.png", "reliability.png", "densities.png", "matches.png", "presence.png"} < drawn
    assert {"calibration.png", "magnitudes.png"} < drawn
    assert sum(name.startswith(("xrb_", "cv_")) for name in drawn) >= 6  # the five best of each class
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(XcatError, match="cannot be made"):
        run_page.html(r, conn, blocked)


@pytest.fixture
def again(module_settings: Settings, runs: Runs) -> Iterator[int]:
    """Another classify run, published for the length of a test."""
    yield classify_again(module_settings, runs)
    publish(module_settings, runs["classify"])


def test_runs_are_compared(conn: Connection, runs: Runs, again: int) -> None:
    table = results.query(conn, (folder("sql") / "queries" / "compare_runs.sql").read_text())
    assert len(table) > 0 and (table["old_class"] != table["class"]).all()
    assert summary.report(conn, runs["fit"]).run_id == runs["classify"]
    assert not summary.report(conn, runs["classify"]).published and summary.report(conn, again).published
    earlier = candidates(conn, "XRB", run_id=runs["classify"])
    assert earlier.meta["run_id"] == runs["classify"] and set(earlier["run_id"]) == {runs["classify"]}
    assert why.explain(conn, 1, run_id=runs["classify"]).run_id == runs["classify"]
    assert why.explain(conn, 1).run_id == again


def test_connections_survive(conn: Connection) -> None:
    with pytest.raises(XcatError):
        why.explain(conn, "nobody")
    assert conn.info.transaction_status is not psycopg.pq.TransactionStatus.INERROR
