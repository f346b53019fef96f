"""Nights that must not be published, why a source changed class, and the way back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import small_sky
from small_nights import night
from typer.testing import CliRunner

from xcat.cli import app as cli_app
from xcat.cli.app import app
from xcat.cli.common import UsageError
from xcat.config import Settings
from xcat.database import runs
from xcat.database.connection import Connection, ready
from xcat.errors import Refusal, StageError, XcatError
from xcat.jobs import gate_figures, gates, states
from xcat.jobs.publishing import publish, rollback
from xcat.models import store
from xcat.report.models import compare, state_diff
from xcat.sky.geometry import separation_arcsec

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(module_settings: Settings) -> dict[str, int]:
    with ready(module_settings) as conn:
        conn.execute("UPDATE xcat.gate SET is_on = true")
    return small_sky.make(module_settings)


@pytest.fixture
def read(module_settings: Settings, made: dict[str, int]) -> Iterator[Connection]:
    """A connection to the database in which the first run is published, and was never taken back."""
    with ready(module_settings, autocommit=True) as conn:
        ((shown,),) = conn.execute("SELECT pub.published_run()").fetchall()
        if shown != made["classify"]:
            publish(module_settings, made["classify"], force="the next test")
        conn.execute("UPDATE xcat.publication SET withdrawn = false")
        yield conn


@pytest.fixture(scope="module")
def refused(module_settings: Settings, made: dict[str, int]) -> tuple[int, str]:
    """A classify run by a model that leaves out most of what is known, and why it was refused."""
    publish(module_settings, made["classify"], force="the refusal")
    with pytest.raises(Refusal) as refusal:
        small_sky.classify_again(module_settings, made)
    with ready(module_settings) as conn:
        return _one(conn, "SELECT max(run_id) FROM xcat.run WHERE kind = 'classify'"), str(refusal.value)


@pytest.fixture
def cli(module_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("XCAT_DATABASE_URL", str(module_settings.database_url))

    def invoke(*arguments: Any, code: int = 0) -> str:
        result = CliRunner().invoke(app, [str(a) for a in arguments])
        if code == 0 or isinstance(result.exception, SystemExit):
            assert result.exit_code == code, result.output
            return result.output
        assert isinstance(result.exception, UsageError if code == 2 else XcatError), result.output
        return str(result.exception)

    return invoke


def _one(conn: Connection, query: str, *values: Any) -> Any:
    (row,) = conn.execute(query.encode(), values or None).fetchall()
    return row[0]


def test_the_first_publication_passes_what_needs_no_other(module_settings, made, read):
    found = gates.measured(read, made["publish"])
    assert (found["is_compared"], found["against_run_id"], found["status"]) == (False, None, "done")
    assert {each["gate"] for each in found["checks"]} == {"recall", "calibration"}
    assert all(each["passed"] and each["then"] is None for each in found["checks"]) and len(found["checks"]) == 8


def test_a_refusal_has_an_exit_code_of_its_own(module_settings, made, read, monkeypatch, capsys):
    bad = night(module_settings, made["classify"], _BAD["missions_gone"])
    monkeypatch.setenv("XCAT_DATABASE_URL", str(module_settings.database_url))
    monkeypatch.setattr(cli_app, "_listen", lambda: None)
    monkeypatch.setattr("sys.argv", ["xcat", "publish", str(bad)])
    with pytest.raises(SystemExit) as end:
        cli_app.main()
    assert end.value.code == 6
    assert capsys.readouterr().err.startswith(f"xcat: run {bad} is not published")


# --- what is refused ----------------------------------------------------------------------------------------

_BAD = {
    "sources_lost": "UPDATE {classified} SET source_id = source_id + 1000, dec = dec * 0.99"
    " WHERE source_id % 8 = 0 AND catalogue = 'xmm' AND abs(dec) > 5",
    "sources_gained": "INSERT INTO {classified} SELECT (jsonb_populate_record(c, jsonb_build_object('source_id',"
    " c.source_id + 1000 * n, 'ra', (c.ra::numeric + 7 * n) %% 360))).* FROM {classified} AS c,"
    " generate_series(1, 2) AS n",
    "area_lost": "UPDATE {classified} SET hpx29 = 0 WHERE source_id % 2 = 0",
    "missions_gone": "UPDATE {classified} SET catalogue = 'xmm' WHERE catalogue = 'swift'",
    "class_fraction": "UPDATE {classified} SET class = 'XRB' WHERE source_id IN (SELECT source_id FROM {classified}"
    " WHERE class = 'AGN' AND NOT is_out_of_fold ORDER BY 1 LIMIT 20)",
    "changed_classes": "UPDATE {classified} SET class = CASE class WHEN 'AGN' THEN 'Star' ELSE 'AGN' END"
    " WHERE class IN ('AGN', 'Star') AND NOT is_out_of_fold AND source_id % 2 = 0",
    "unmatched": "UPDATE {classified} SET optical_native_id = NULL, infrared_native_id = NULL WHERE source_id % 4 = 0",
    "famous_lost": "UPDATE {classified} SET class = 'AGN' WHERE name = (SELECT name FROM xcat.famous_object)",
}


@pytest.mark.parametrize("gate", _BAD)
def test_a_bad_night_is_refused_and_says_why(module_settings, made, read, gate):
    if gate == "famous_lost":
        name = _one(read, "SELECT name FROM pub.classified WHERE class = 'CV' ORDER BY p_class DESC LIMIT 1")
        gates.add_famous(read, name, "CV")
    bad = night(module_settings, made["classify"], _BAD[gate].replace("%%", "%"))
    with pytest.raises(Refusal, match=rf"run {bad} is not published, run {made['classify']} stays") as refused:
        publish(module_settings, bad)
    read.execute("DELETE FROM xcat.famous_object")
    found = gates.measured(read, bad)
    failed = [each for each in found["checks"] if not each["passed"]]
    assert [each["gate"] for each in failed] == [gate], str(refused.value)
    assert gates.line(failed[0]) in str(refused.value)
    assert f"xcat publish {bad} --force --why REASON" in str(refused.value)
    assert _one(read, "SELECT DISTINCT run_id FROM pub.classified") == made["classify"]
    assert _one(read, f"SELECT count(*) FROM pub.classified_r{bad}") > 0, "it can be looked at"
    # what was refused stays in the books, also when the same stage has succeeded
    publish(module_settings, made["classify"])
    assert runs.get(read, found["run_id"])["status"] == "failed"


def test_both_figures_are_those_of_the_tables(module_settings, made, read):
    bad = night(module_settings, made["classify"], _BAD["sources_lost"], _BAD["unmatched"])
    with pytest.raises(Refusal):
        publish(module_settings, bad)
    of_gate = {(each["gate"], each["of"]): each for each in gates.measured(read, bad)["checks"]}
    n = _one(read, f"SELECT count(*) FROM pub.classified_r{bad} WHERE source_id <= 600")
    lost = of_gate["sources_lost", ""]
    assert (lost["then"], lost["now"], lost["value"]) == (600, n, pytest.approx(1 - n / 600))
    query = (
        "SELECT avg((optical_native_id IS NULL AND infrared_native_id IS NULL)::integer)::float8 FROM pub.classified_r"
    )
    then, now = (_one(read, f"{query}{run}") for run in (made["classify"], bad))
    assert (of_gate["unmatched", ""]["then"], of_gate["unmatched", ""]["now"]) == pytest.approx((then, now))
    of_fit = runs.get(read, made["fit"])["summary"]["out_of_fold"]["classes"]
    assert of_gate["recall", "CV"]["now"] == of_fit["CV"]["recall"]
    used = "SELECT source_id FROM xcat.label WHERE run_id = %s AND status = 'used'"
    query = f"SELECT known_class, p FROM xcat.out_of_fold WHERE run_id = %s AND source_id IN ({used})"
    rows = read.execute(query.encode(), [made["fit"], made["label"]]).fetchall()
    model = store.load(read, made["fit"])
    truth, p = np.array([model.classes.index(k) for k, _ in rows]), np.array([q for _, q in rows])
    mean = np.array([p[truth == k].mean(axis=0) for k in range(4)])
    ratio = model.priors @ mean / model.priors
    assert [of_gate["calibration", c]["now"] for c in model.classes] == pytest.approx(ratio.tolist(), rel=1e-6)


def _recognised(n: int) -> str:
    """Of the cataclysmic variables that are known, only so many are recognised."""
    return (
        "UPDATE {classified} SET class = CASE WHEN source_id IN (SELECT source_id FROM pub.classified"
        f" WHERE known_class = 'CV' AND is_out_of_fold ORDER BY 1 LIMIT {n}) THEN 'CV' ELSE 'AGN' END"
        " WHERE known_class = 'CV' AND is_out_of_fold"
    )


def test_a_class_that_nothing_is_recognised_of_is_refused_unless_it_was_so_before(module_settings, made, read):
    """A recall of 0 of 4 was published once. 11 of 15 may be 8 of 15 the next time, by chance."""
    bad = night(module_settings, made["classify"], _recognised(0))
    with pytest.raises(
        Refusal, match=r"recall of CV: 0\.733 then, 0 now, at least 0\.1; recall_lost of CV: .*: 0\.529"
    ):
        publish(module_settings, bad)
    read.execute("UPDATE xcat.publication SET active = false")
    with pytest.raises(Refusal, match=r"nothing is published: recall of CV: - then, 0 now, at least 0\.1\. If"):
        publish(module_settings, bad)
    publish(module_settings, bad, force="known")
    publish(module_settings, night(module_settings, bad))  # no worse than what is published
    publish(module_settings, made["classify"])
    publish(module_settings, night(module_settings, made["classify"], _recognised(8)))


def test_the_model_of_another_night_is_refused(refused):
    text = refused[1]
    assert "recall of CV: 0.733 then, 0.0667 now" in text and "changed_classes: 600 sources in common" in text


def test_what_may_be_lost_may_be_lost(module_settings, made, read):
    half = night(module_settings, made["classify"], "DELETE FROM {classified} WHERE source_id % 2 = 0")
    with pytest.raises(Refusal, match=r"sources_lost: .* lost, at most 30\.0%"):
        publish(module_settings, half, allow_loss=0.3)
    publish(module_settings, half, allow_loss=0.95)
    other = night(module_settings, made["classify"], "UPDATE {classified} SET class = 'AGN' WHERE NOT is_out_of_fold")
    publish(module_settings, other, allow_loss=1.0)  # another sky is compared with nothing
    assert not gates.measured(read, other)["is_compared"]


def test_what_is_forced_is_written_down(module_settings, made, read, cli):
    bad = night(module_settings, made["classify"], _BAD["changed_classes"])
    refusal = cli("publish", bad, code=1)
    assert "changed_classes: 600 sources in common" in refusal
    for wrong in (("--force",), ("--why", "x"), ("--force", "--why", " "), ("--force", "--why", "x", "--hold")):
        cli("publish", bad, *wrong, code=2)
    cli("publish", bad, "--force", "--why", "a better model")
    row = read.execute("SELECT run_id, how, why FROM xcat.publication WHERE active").fetchone()
    assert row == (bad, "forced", "a better model")
    text = cli("gate", "list", "--run", bad)
    assert f"compared with run {made['classify']}" in text and "FAILED  changed_classes: 600 sources" in text
    number = gates.measured(read, bad)["run_id"]
    shown = cli("runs", number)
    assert "FAILED  changed_classes" in shown and "force: a better model" in shown
    assert json.loads(cli("gate", "list", "--run", number, "--json"))["against_run_id"] == made["classify"]
    assert "has not come to the gates" in cli("gate", "list", "--run", made["fit"], code=1)


def test_gates_are_set_and_switched(module_settings, made, read, cli):
    bad = night(module_settings, made["classify"], _BAD["unmatched"])
    assert cli("gate", "set", "unmatched", "off") == "off: unmatched is not checked\n"
    assert "unmatched        off" in cli("gate")
    publish(module_settings, bad)
    cli("gate", "set", "unmatched", "on")
    publish(module_settings, made["classify"])
    with pytest.raises(Refusal):
        publish(module_settings, bad)
    cli("gate", "set", "unmatched", "0.5")
    assert next(g["threshold"] for g in json.loads(cli("gate", "--json"))["gates"] if g["gate"] == "unmatched") == 0.5
    publish(module_settings, bad)
    cli("gate", "set", "unmatched", "0.1")
    assert "the gates are sources_lost" in cli("gate", "set", "weather", "1", code=1)
    for wrong in ("-1", "nan", "inf", "much"):
        cli("gate", "set", "unmatched", wrong, code=2)
    assert {row["gate"] for row in gates.listing(read)} == set(gates.GATES)


def test_famous_objects_are_entered_by_name_or_place(made, read, cli):
    name, ra, _, class_ = read.execute("SELECT name, ra, dec, class FROM pub.classified LIMIT 1").fetchall()[0]
    cli("gate", "add", name.lower().replace(" ", ""), class_)
    cli("gate", "add", "Cyg X-1", "XRB", "--at", "299.5903,35.2016", "--radius", "5")
    listed = {row["name"]: row for row in gates.famous(read)}
    assert (listed[name.lower().replace(" ", "")]["ra"], listed["Cyg X-1"]["radius_arcsec"]) == (ra, 5)
    assert "Cyg X-1 must keep its class XRB (299.59030, +35.20160)" in cli("gate", "list")
    new = states.shown(read)
    with read.transaction():
        (figure,) = gate_figures._famous(read, new, new)
    assert (figure.then, figure.now, figure.value) == (1, 1, 0), "the sky does not hold Cyg X-1"
    for each in listed:
        cli("gate", "remove", each)
    assert "is not among" in cli("gate", "remove", "Cyg X-1", code=1)
    assert "--at RA,DEC" in cli("gate", "add", "Cyg X-1", "XRB", code=1)
    cli("gate", "add", "x", "XRB", "--at", "400,0", code=2)


# --- what changed, and why ----------------------------------------------------------------------------------


def test_every_change_has_its_cause(module_settings, made, read):
    """Unlabelled AGN that become CV, each through something else."""
    model = store.load(read, made["fit"])
    k = len(model.classes)
    query = (
        "SELECT source_id FROM pub.classified WHERE class = 'AGN' AND NOT is_out_of_fold"
        " AND optical_native_id IS NOT NULL AND hr1 IS NOT NULL AND log_fx_fr IS NOT NULL ORDER BY 1 LIMIT 5"
    )
    sources = tuple(row[0] for row in read.execute(query))
    of_property, of_counterpart, of_detections, of_label, of_sum = sources

    def speaks(term: str, source: int) -> str:
        place = model.term_names.index(term) * k + model.classes.index("CV") + 1
        return f"UPDATE {{source_evidence}} SET evidence[{place}] = evidence[{place}] + 30 WHERE source_id = {source}"

    changed = night(
        module_settings,
        made["classify"],
        f"UPDATE {{classified}} SET class = 'CV' WHERE source_id IN {sources}",
        speaks("hr1", of_property),
        f"UPDATE {{classified}} SET hr1 = -0.125 WHERE source_id IN ({of_property}, {of_detections})",
        speaks("log_fx_fr", of_counterpart),
        f"UPDATE {{classified}} SET log_fx_fr = 2.5, optical_native_id = 'another' WHERE source_id = {of_counterpart}",
        speaks("hr1", of_detections),
        f"UPDATE {{classified}} SET n_detections = n_detections + 1 WHERE source_id = {of_detections}",
        speaks("hr1", of_label),
        f"UPDATE {{classified}} SET is_out_of_fold = true WHERE source_id = {of_label}",
    )
    number = publish(module_settings, changed)
    assert runs.get(read, number)["summary"]["n_changed_class"] == 5
    rows = {row[0]: row[1:] for row in read.execute("SELECT source_id, cause, property, push FROM pub.class_change")}
    assert {source: row[:2] for source, row in rows.items()} == {
        of_property: ("property", "hr1"),
        of_counterpart: ("counterpart", "log_fx_fr"),
        of_detections: ("detections", "hr1"),
        of_label: ("label", "hr1"),
        of_sum: ("counterpart", None),
    }
    assert min(row[2] for row in rows.values() if row[2] is not None) > 0
    one = read.execute(
        "SELECT old_class, class, property_value, old_counterpart, counterpart,"
        " name = (SELECT name FROM pub.classified AS s WHERE s.source_id = c.source_id)"
        " FROM pub.class_change AS c WHERE source_id = ANY (%s) ORDER BY property DESC",
        [[of_property, of_counterpart]],
    ).fetchall()
    assert one[1] == ("AGN", "CV", -0.125, None, None, True)
    assert one[0][:3] == ("AGN", "CV", 2.5) and one[0][4] == "gaia another" and one[0][3].startswith("gaia obj")
    found = state_diff.diff(module_settings, made["classify"], changed)
    assert (found["n_changed"], found["n_same"], found["n_gone"], found["n_new_sources"]) == (5, 600, 0, 0)
    text = state_diff.text(found)
    assert "5 of the 600 in common change class (0.83%)" in text and "gaia another" in text


def test_another_model_is_the_cause_through_the_same_term_as_between_models(module_settings, made, read, refused):
    other = refused[0]
    found = state_diff.diff(module_settings, made["classify"], other, max_rows=1000)
    between = compare.diff(module_settings, made["classify"], other, max_rows=1000)
    labelled = {
        row[0] for row in read.execute("SELECT source_id FROM xcat.out_of_fold WHERE run_id = %s", [made["fit"]])
    }
    of_models = {row["source_id"]: row for row in between["sources"]}
    compared = [row for row in found["changes"] if row["source_id"] not in labelled]
    assert len(compared) > 5
    for row in compared:
        assert row["property"] == of_models[row["source_id"]]["term"] and row["cause"] == "model"
        assert row["push"] == pytest.approx(of_models[row["source_id"]]["towards_new"], rel=1e-4)
        assert row["property"] == "prior" or row["old_property_value"] == row["property_value"]
    assert found["stages"]["fit"] == [
        made["fit"],
        _one(read, "SELECT model_run_id FROM pub.runs WHERE run_id = %s", other),
    ]
    assert sum(map(sum, found["matrix"]["counts"])) == 600


def test_sources_are_the_same_by_number_and_place_else_by_place(module_settings, made, read):
    """The second mission numbers its sources anew, two sources of the first swap numbers, one is gone, one is new."""
    a, b, gone = (
        row[0] for row in read.execute("SELECT source_id FROM pub.classified WHERE catalogue = 'xmm' LIMIT 3")
    )
    tables = ("classified", "source_evidence")
    new = night(
        module_settings,
        made["classify"],
        *(f"UPDATE {{{t}}} SET source_id = source_id + 5000 WHERE source_id IN "
          "(SELECT source_id FROM pub.classified WHERE catalogue = 'swift')" for t in tables),
        *(f"UPDATE {{{t}}} SET source_id = {a} + {b} - source_id WHERE source_id IN ({a}, {b})" for t in tables),
        "UPDATE {classified} SET dec = dec - sign(dec) * err_arcsec / 3600 WHERE catalogue = 'swift'",
        f"UPDATE {{classified}} SET ra = (ra::numeric + 180) % 360, source_id = 9000 WHERE source_id = {gone}",
    )  # fmt: skip
    with read.transaction():
        counts = states.pair(read, states.state(read, made["classify"]), states.state(read, new))
        pairs = read.execute(
            "SELECT s.old_id, s.new_id, s.by_position, o.ra, o.dec, n.ra, n.dec, o.catalogue = n.catalogue"
            f" FROM pg_temp.same_source AS s JOIN pub.classified_r{made['classify']} AS o ON o.source_id = s.old_id"
            f" JOIN pub.classified_r{new} AS n ON n.source_id = s.new_id"
        ).fetchall()
    n_swift = _one(read, "SELECT count(*) FROM pub.classified WHERE catalogue = 'swift'")
    assert counts == {"n_old": 600, "n_new": 600, "n_same": 599, "n_by_position": n_swift + 2}
    by_position = {old: new for old, new, moved, *_ in pairs if moved}
    assert (by_position.pop(a), by_position.pop(b)) == (b, a)
    assert all(new == old + 5000 for old, new in by_position.items()) and len(by_position) == n_swift
    ra, dec, ra2, dec2 = (np.array(x, float) for x in list(zip(*pairs, strict=True))[3:7])
    assert separation_arcsec(ra, dec, ra2, dec2).max() < 10 and all(row[-1] for row in pairs)
    found = state_diff.diff(module_settings, made["classify"], new)
    assert [row["source_id"] for row in found["gone_sources"]] == [gone]
    assert [row["source_id"] for row in found["new_sources"]] == [9000]


# --- back ----------------------------------------------------------------------------------------------------


def test_the_way_back_goes_further_when_it_is_repeated(module_settings, made, read, cli):
    read.execute("UPDATE xcat.publication SET how = 'written' WHERE NOT active")
    second = night(module_settings, made["classify"])
    third = night(module_settings, made["classify"], "UPDATE {classified} SET class = 'AGN' WHERE source_id % 50 = 0")
    publish(module_settings, second)
    publish(module_settings, third)
    n_changed = _one(read, "SELECT count(*) FROM pub.class_change")
    assert n_changed > 0
    text = cli("rollback", "--why", "nonsense")
    assert text.startswith(f"run {second} is published again, without a check; run {third} is taken back")
    row = read.execute("SELECT run_id, how, why FROM xcat.publication WHERE active").fetchone()
    assert row == (second, "rolled back", "nonsense")
    back = read.execute("SELECT count(*), count(*) FILTER (WHERE old_class = 'AGN') FROM pub.class_change").fetchone()
    assert back == (n_changed, n_changed), "the view says what the way back changed"
    assert _one(read, "SELECT pub.run_before()") == third == states.run_of(read, "previous")
    # a schedule does not publish it again, people may
    with pytest.raises(Refusal, match="withdrawn: a rollback took this run back"):
        publish(module_settings, third)
    assert json.loads(cli("rollback", "--json")) | {"publish_run_id": 0} == {
        "run_id": made["classify"], "before": second, "publish_run_id": 0,
    }  # fmt: skip
    with pytest.raises(StageError, match="no earlier publication"):
        rollback(module_settings)
    with pytest.raises(StageError, match="is published already"):
        rollback(module_settings, "published")
    publish(module_settings, third, force="it was right")
    publish(module_settings, night(module_settings, third))
    cli("rollback", third)
    assert _one(read, "SELECT pub.published_run()") == third
