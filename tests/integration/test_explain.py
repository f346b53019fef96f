"""The reason for a class: terms, hypotheses, what would change the answer, labelled sources like it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_sky import CLASSES, make

from xcat.classifier import Model, contributions
from xcat.columns.properties import property_label, property_symbol
from xcat.columns.registry import property_entries
from xcat.config import Settings
from xcat.database import runs as books
from xcat.database.connection import Connection, connect
from xcat.jobs import stages
from xcat.jobs.pipeline import Pipeline
from xcat.jobs.publishing import publish
from xcat.models import store
from xcat.output import style
from xcat.report.explain import drawing, wording
from xcat.report.explain import gather as why
from xcat.report.explain.explanation import ClassThreshold
from xcat.report.run import page_data, page_figures, run_page, summary

pytestmark = pytest.mark.slow

Runs = dict[str, int]
PAIRS = (("log_fx_fr", "hr1"), ("log_fx_fb", "log_fx_fw1"))
UNSEEN, LIMITED = "source_id % 7 = 3", "source_id % 7 <> 3"

_DETAILS = f"""
UPDATE xcat.property SET
    hr1_err = CASE WHEN source_id % 3 = 0 THEN 0.4 ELSE 0.02 END, hr2_err = 0.3,
    log_fx_fr_limit = CASE WHEN {LIMITED} THEN 1.5 END, observed_infrared = source_id % 5 <> 2,
    observed_optical = {LIMITED};
UPDATE xcat.property SET pm_mas_yr = NULL, log_fx_fb = NULL, log_fx_fr = NULL WHERE {UNSEEN};
UPDATE xcat.property SET log_fx_fw1 = NULL, log_fx_fw2 = NULL WHERE NOT observed_infrared;
UPDATE xcat.hypothesis_property SET pm_mas_yr = NULL, log_fx_fb = NULL, log_fx_fr = NULL WHERE {UNSEEN};
UPDATE xcat.hypothesis_property SET log_fx_fw1 = NULL, log_fx_fw2 = NULL WHERE source_id % 5 = 2;
UPDATE xcat.hypothesis_property SET log_fx_fr = log_fx_fr + 0.3 * rank, log_fx_fb = log_fx_fb + 0.2 * rank
"""


def _pipeline(**more: object) -> Pipeline:
    return Pipeline.model_validate(
        {
            "name": "small_sky", "xray": [{"catalogue": "xmm"}, {"catalogue": "swift"}],
            "counterparts": [{"catalogue": "gaia"}, {"catalogue": "allwise"}],
            "references": [{"catalogue": "milliquas"}], "folds": 5, "replicates": 3,
            "classes": {"AGN": 0.66, "Star": 0.25, "XRB": 0.07, "CV": 0.02}, **more,
        }
    )  # fmt: skip


def _classified(settings: Settings, made: Runs, pipeline: Pipeline) -> tuple[int, int]:
    lineage = {
        f"{column}_run_id": made[kind]
        for column, kind in (
            ("source", "merge"),
            ("link", "link"),
            ("match", "match"),
            ("property", "properties"),
            ("label", "label"),
        )
    }
    config = {"weights": pipeline.weights, "best_match": pipeline.best_match}
    with books.stage(settings, "fit", "small_sky", config, **lineage) as run:
        stages.fit_stage(run, pipeline, made)
    model = run.run_id
    config = {"model": model, "best_match": pipeline.best_match}
    with books.stage(settings, "classify", "small_sky", config, model_run_id=model, **lineage) as run:
        stages.classify_stage(run, made["properties"], made["label"], model, pipeline.best_match)
    return model, run.run_id


@pytest.fixture(scope="module")
def runs(module_settings: Settings) -> Runs:
    """A sky with errors, limits, holes in the coverage, and hypotheses that differ; classified in three ways."""
    made = make(module_settings)
    with connect(module_settings) as conn:
        conn.execute(_DETAILS.encode())
        conn.commit()
    made["property_fit"], made["summed"] = _classified(module_settings, made, _pipeline(pairs=PAIRS))
    made["category_fit"], made["category"] = _classified(module_settings, made, _pipeline(weights="category"))
    publish(module_settings, made["summed"], hold=True)
    _, made["best_match"] = _classified(module_settings, made, _pipeline(weights="equal", best_match=True))
    return made


@pytest.fixture
def conn(module_settings: Settings, runs: Runs) -> Iterator[Connection]:
    with connect(module_settings) as connection:
        yield connection


@pytest.fixture(scope="module")
def model(module_settings: Settings, runs: Runs) -> Model:
    with connect(module_settings) as connection:
        return store.load(connection, runs["property_fit"])


@pytest.fixture(scope="module")
def labelled(module_settings: Settings, runs: Runs, model: Model) -> why.Labelled:
    with connect(module_settings) as connection:
        return why.Labelled.of(connection, books.get(connection, runs["summed"]), model)


def _p(of: dict[str, float]) -> np.ndarray:
    return np.array([of[c] for c in CLASSES])


# --- sums ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["summed", "category", "best_match"])
def test_terms_add_up(conn: Connection, runs: Runs, kind: str) -> None:
    model = store.load(conn, books.get(conn, runs[kind])["model_run_id"])
    labelled = why.Labelled.of(conn, books.get(conn, runs[kind]), model)
    for source_id in range(1, 601, 11):
        e = why.explain(conn, source_id, runs[kind], model, labelled)
        assert np.abs(e.track()[-1] - _p(e.posterior_accepted)).max() < 1e-5
        score = _p(e.log_prior) + sum(_p(t.contributions) for t in e.terms)
        assert np.exp(score - score.max()) / np.exp(score - score.max()).sum() == pytest.approx(e.track()[-1])
        for c in e.categories:
            assert sum(t.nats for t in e.terms if t.category == c.category) == pytest.approx(c.nats, abs=1e-6)
            assert (c.exponent is None) == (kind == "summed")
        b, s = CLASSES.index(e.best), CLASSES.index(e.second)
        assert e.prior_nats + sum(c.nats for c in e.categories) == pytest.approx(score[b] - score[s], abs=1e-6)
        assert e.best == CLASSES[int(_p(e.posterior).argmax())]
        if kind == "best_match":
            assert not e.is_summed and e.rest is None and not e.counterpart_matters
            assert np.abs(_p(e.posterior_by_model) - _p(e.posterior_accepted)).max() < 1e-6


def test_hypotheses_add_up_to_the_posterior(conn: Connection, runs: Runs, model: Model, labelled: why.Labelled) -> None:
    matters, with_rest = 0, 0
    for source_id in range(1, 601, 7):
        e = why.explain(conn, source_id, runs["summed"], model, labelled)
        parts = [h for h in e.hypotheses if h["posterior"] is not None]
        parts += [e.rest] if e.rest else []
        assert e.is_summed == bool(parts)
        if parts:
            assert sum(h["weight"] for h in parts) == pytest.approx(1, abs=1e-6)
            total = sum(h["weight"] * _p(h["posterior"]) for h in parts)
            assert np.abs(total - _p(e.posterior_by_model)).max() < 1e-6
            assert all(_p(h["posterior"]).sum() == pytest.approx(1) for h in parts)
        matters += e.counterpart_matters
        with_rest += e.rest is not None
    assert matters > 5 and with_rest > 0


def test_the_class_without_a_category_is_the_stored_one(
    conn: Connection, runs: Runs, model: Model, labelled: why.Labelled
) -> None:
    changed = 0
    for source_id in range(2, 600, 13):
        for c in (e := why.explain(conn, source_id, runs["summed"], model, labelled)).categories:
            assert c.class_without == max(c.posterior_without, key=lambda k: c.posterior_without[k])
            changed += c.class_without != e.best
    assert changed > 3


# --- states -------------------------------------------------------------------------------------------------


def test_a_term_says_what_it_is_made_of(conn: Connection, runs: Runs, model: Model, labelled: why.Labelled) -> None:
    seen: set[str] = set()
    for source_id in range(1, 120):
        e = why.explain(conn, source_id, runs["summed"], model, labelled)
        row = conn.execute(
            "SELECT hr1, hr1_err, log_fx_fr, log_fx_fr_limit, observed_optical, observed_infrared, log_fx_fw1"
            " FROM xcat.property WHERE source_id = %s",
            [source_id],
        ).fetchone()
        assert row is not None
        hr1, error, ratio, limit, optical, infrared, w1 = row
        t = {term.property: term for term in e.terms}
        assert t["hr1"].state == ("missing" if hr1 is None else "value") and t["gamma"].error is None
        if hr1 is not None:
            assert t["hr1"].error == pytest.approx(error) and t["hr1"].is_blurred == (source_id % 3 == 0)
        wanted = "value" if ratio is not None else "limit" if limit is not None else "not observed"
        assert t["log_fx_fr"].state == wanted and (optical or wanted == "not observed")
        assert t["log_fx_fr"].limit == (limit if wanted == "limit" else None)
        assert t["log_fx_fr"].value == (None if ratio is None else pytest.approx(ratio))
        expected = "value" if w1 is not None else "missing" if infrared else "not observed"
        assert t["log_fx_fw1"].state == expected
        pair = t["log_fx_fr*hr1"]
        assert pair.axes == PAIRS[0] and pair.value is None
        assert pair.state == ("value" if hr1 is not None and ratio is not None else "missing")
        for term in e.terms:
            silent = not any(term.contributions.values())
            one_missing = bool(term.axes) and term.state == "missing"
            assert silent == (term.state in ("not observed", "no counterpart") or one_missing)
        seen |= {term.state for term in e.terms}
    assert seen == {"value", "limit", "missing", "no counterpart", "not observed"}


def test_terms_are_those_of_the_database(conn: Connection, runs: Runs, model: Model) -> None:
    e = why.explain(conn, 5, runs["summed"], model)
    stored = conn.execute(
        "SELECT evidence FROM xcat.classification WHERE source_id = 5 AND run_id = %s", [runs["summed"]]
    ).fetchone()
    assert stored is not None
    mine = np.array([[t.log_likelihood[c] for c in CLASSES] for t in e.terms])
    assert mine.ravel() == pytest.approx(stored[0], abs=1e-6)
    said = contributions(model, mine)
    assert [_p(t.contributions).tolist() for t in e.terms] == [pytest.approx(s.tolist(), abs=1e-5) for s in said]


def test_a_value_beyond_its_table_adds_up_too(conn: Connection, runs: Runs, model: Model) -> None:
    # beyond the table the stored terms are huge and equal: what remains of their difference must not decide
    try:
        conn.execute("UPDATE xcat.property SET gamma = 5000, pm_mas_yr = 1e-5 WHERE source_id = 3")
        e = why.explain(conn, 3, runs["best_match"])
        assert {t.property: t.beyond for t in e.terms if t.beyond} == {"pm_mas_yr": "below", "gamma": "above"}
        assert np.abs(e.track()[-1] - _p(e.posterior_accepted)).max() < 1e-5
        assert "(> table)" in why.text(e) and all(np.isfinite(c.spreads) for c in e.changes)
    finally:
        conn.rollback()


# --- labelled sources ---------------------------------------------------------------------------------------


def test_the_nearest_labelled_sources(conn: Connection, runs: Runs, model: Model) -> None:
    found = conn.execute(
        "SELECT o.source_id, o.known_class, c.evidence FROM xcat.out_of_fold AS o JOIN xcat.classification AS c"
        " ON c.source_id = o.source_id AND c.run_id = %s WHERE o.run_id = %s",
        [runs["summed"], runs["property_fit"]],
    ).fetchall()
    known = {row[0]: row[1] for row in found}
    said = contributions(model, np.array([row[2] for row in found]).reshape(len(found), -1, 4))
    said -= said.mean(axis=2, keepdims=True)
    for source_id in (3, 250, 598):
        e = why.explain(conn, source_id, runs["summed"], model)
        mine = np.array([_p(t.contributions) for t in e.terms])
        mine -= mine.mean(axis=1, keepdims=True)
        distance = {
            row[0]: float(np.sqrt(((s - mine) ** 2).sum()))
            for row, s in zip(found, said, strict=True)
            if row[0] != source_id
        }
        nearest = sorted(distance, key=lambda k: distance[k])[:5]
        assert [a.source_id for a in e.alike] == nearest and source_id not in nearest
        for a in e.alike:
            assert a.distance_nats == pytest.approx(distance[a.source_id], abs=1e-3)
            assert a.known_class == known[a.source_id] and 0 <= a.out_of_fold <= 1
            row = conn.execute("SELECT hr1 FROM xcat.property WHERE source_id = %s", [a.source_id]).fetchone()
            assert row is not None and a.values["hr1"] == (None if row[0] is None else pytest.approx(row[0]))
            assert len(a.differs_in) == 3 and set(a.differs_in) <= {t.property for t in e.terms}


def test_a_labelled_source_is_shown_out_of_fold(conn: Connection, runs: Runs, model: Model, tmp_path: Path) -> None:
    query = (
        "SELECT c.source_id, c.p, o.class, o.p, o.margin, o.outlier, o.p_tail, o.is_outlier, o.fold"
        " FROM xcat.classification AS c LEFT JOIN xcat.out_of_fold AS o ON o.source_id = c.source_id AND o.run_id = %s"
        " WHERE c.run_id = %s AND c.source_id %% 13 = 0 ORDER BY c.source_id"
    )
    labelled, moved = 0, 0
    for source_id, p, *held_out, fold in conn.execute(query, [runs["property_fit"], runs["summed"]]).fetchall():
        e = why.explain(conn, source_id, runs["summed"], model)
        assert _p(e.posterior_by_model).tolist() == p and e.is_out_of_fold == (fold is not None)
        told = " ".join(why.text(e).split())
        words = f"probabilities are out of fold (fold {fold} of 5: from tables fitted without this source)"
        assert (words in told) == e.is_out_of_fold
        if fold is None:
            assert e.posterior_in_sample is None and e.fold is None and e.posterior is e.posterior_by_model
            assert e.best_by_model == e.best
            continue
        labelled += 1
        shown = [e.best, [e.posterior[c] for c in CLASSES], e.margin, e.outlier, e.p_tail, e.is_outlier]
        assert shown == held_out and e.fold == fold and e.known_class is not None
        assert e.posterior_in_sample == dict(zip(CLASSES, p, strict=True))
        moved += np.abs(_p(e.posterior) - np.array(p)).max() > 0.01
        found = why.to_json(e)
        assert found["is_out_of_fold"] and found["posterior_in_sample"] == e.posterior_in_sample
        assert words in found["note"]
        if labelled == 1:
            drawn = why.draw(e, conn, tmp_path / "e.svg").read_text()
            assert "out of fold:" in drawn and f"probabilities out of fold ({fold} of 5)" in drawn
            assert f"{e.best} {e.posterior[e.best]:.3f}" in drawn
    assert labelled > 20 and moved > 2


def test_the_view_shows_what_explain_does(conn: Connection, runs: Runs, model: Model) -> None:
    rows = conn.execute(
        "SELECT source_id, class, p_class, margin, p_tail, is_out_of_fold, known_class, in_test_sample, is_classifiable"
        f" FROM pub.classified_r{runs['summed']} WHERE source_id % 17 = 0 ORDER BY source_id"
    ).fetchall()
    assert len(rows) == 35
    for source_id, name, p_class, margin, p_tail, is_out_of_fold, known, in_test_sample, is_classifiable in rows:
        e = why.explain(conn, source_id, runs["summed"], model)
        assert (e.best, e.posterior[e.best], e.margin, e.p_tail) == (name, p_class, margin, p_tail)
        assert e.is_out_of_fold == is_out_of_fold == (known is not None) and e.known_class == known
        assert e.source["in_test_sample"] == in_test_sample == (is_classifiable and known is None)
        words = "in the test sample" if in_test_sample else f"({'labelled' if known else 'not classifiable by hand'})"
        assert words in " ".join(why.text(e).split())
    assert {row[7] for row in rows if row[8]} == {True, False}


# --- text, JSON and figures ---------------------------------------------------------------------------------


def test_text_tells_the_whole(conn: Connection, runs: Runs, model: Model) -> None:
    told = ""
    for source_id in range(1, 60):
        e = why.explain(conn, source_id, runs["summed"], model)
        text = why.text(e)
        assert max(map(len, text.splitlines())) <= 100
        assert all(t.property in text for t in e.terms) and e.weighting in text
        assert all(a.name in text for a in e.alike)
        json.dumps(why.to_json(e), allow_nan=False)
        told += text
    for words in (
        "> 1.5",
        "not observed",
        "No contribution (one of the two is missing)",
        "missing",
        "+- 0.4",
        "What would change the class",
        "standard deviation of",
        "sigma away",
        "Without ",
        "the mean over the counterpart hypotheses is",
        "are at least as extreme",
        "log_fx_fw1 (X-ray to W1 flux ratio)",
        "arcsec per axis",
    ):
        assert words in told, words


def test_a_threshold_can_be_told_from_the_value(conn: Connection, runs: Runs) -> None:
    e = why.explain(conn, 3, runs["summed"])
    for value, threshold, words in (
        (150.04, 149.96, "below 149.96 deg (is 150.04; 0.5"),
        (0.3, -1.23456, "below -1.23 deg (is 0.3; 0.5"),
        (1.0, 0.9999999, "not 1 exactly deg (is 1; 0.5"),
    ):
        change = ClassThreshold("abs_b", value, "below", threshold, "CV", 0.5)
        assert words in why.text(replace(e, changes=(change,)))


def test_ten_classes_can_be_told_apart() -> None:
    names = ["AGN", "CV", "HM-STAR", "HMXB", "LM-STAR", "LMXB", "NS", "YSO", "ULX", "TDE"]
    for classes in (names, names[:8], [*CLASSES, *names[2:8]]):
        styles = style.of_classes(classes).values()
        for look in ({s.colour for s in styles}, {str(s.line) + s.marker for s in styles}):
            assert len(look) == len(classes)


def test_every_property_has_a_label_and_a_symbol() -> None:
    entries = property_entries()
    assert len({entry["label"] for entry in entries}) == len({entry["symbol"] for entry in entries}) == len(entries)
    assert property_label("log_fx_fw1") == "X-ray to W1 flux ratio" and property_symbol("log_fx_fw1") == "log F_X/F_W1"
    assert property_label("hr1*gamma") == "medium-soft hardness ratio x photon index"
    assert (
        property_symbol("pm_mas_yr", with_unit=True) == "μ (mas/yr)" and property_symbol("hr1", with_unit=True) == "HR1"
    )
    assert property_label("unknown") == property_symbol("unknown") == "unknown"


def test_tail_probabilities_in_words() -> None:
    from xcat.report.explain.wording import tail

    assert [tail(p) for p in (0.5, 0.04, 0.003, 1e-9)] == ["50 %", "4 %", "0.3 %", "fewer than 0.1 %"]


def test_the_figure_sums_what_it_does_not_show(conn: Connection, runs: Runs, model: Model, tmp_path: Path) -> None:
    e = why.explain(conn, 12, runs["summed"], model)
    assert len(e.terms) == 15
    shown, others = drawing.chosen(e)
    assert len(shown) == 12 and {t.property for t in (*shown, *others)} == {t.property for t in e.terms}
    assert e.track((*shown, *others))[-1] == pytest.approx(e.track()[-1])
    second = CLASSES.index(e.second)
    assert max(abs(_p(t.contributions)[CLASSES.index(e.best)] - _p(t.contributions)[second]) for t in others) <= max(
        abs(_p(t.contributions)[CLASSES.index(e.best)] - _p(t.contributions)[second]) for t in shown
    )
    drawn = why.draw(e, conn, tmp_path / "e.svg").read_text()
    assert "3 others" in drawn and f"{e.best} {e.posterior[e.best]:.3f}" in drawn
    few = replace(e, terms=e.terms[:4])
    assert drawing.chosen(few) == ([*few.terms], [])


def test_figures_of_every_state(conn: Connection, runs: Runs, model: Model, tmp_path: Path) -> None:
    states = {
        "mean over",
        "not observed",
        "of the two is missing",
        "missing here",
        "dashed: for",
        "&gt; 1.5",
        "X-ray to red flux ratio",
        "log F_X/F_R   log_fx_fr",
    }
    drawn: set[tuple[object, ...]] = set()
    for source_id in range(1, 30):
        e = why.explain(conn, source_id, runs["summed"], model)
        pairs_first = tuple(sorted(e.terms, key=lambda t: not t.axes))[:12]
        panels = {(t.property, t.state, t.beyond, t.is_blurred) for t in pairs_first} | {
            (e.is_summed, e.counterpart_matters, e.best, e.second)
        }
        if panels <= drawn:
            continue  # nothing that no other figure has
        drawn |= panels
        told = why.draw(replace(e, terms=pairs_first), conn, tmp_path / "e.svg").read_text()
        states = {words for words in states if words not in told}
        if not states:
            break
    assert states == set()


@pytest.mark.parametrize(
    ("is_doubtful", "said"), [(False, "2 detections with flaws (piled up)"), (True, "The flux is doubtful")]
)
def test_flaws_of_a_source_are_told_in_text_and_figure(
    conn: Connection, runs: Runs, model: Model, tmp_path: Path, is_doubtful: bool, said: str
) -> None:
    e = why.explain(conn, 1, runs["summed"], model)
    flawed = replace(e, source=e.source | {"n_flawed": 2, "flaws": "piled_up", "flux_is_doubtful": is_doubtful})
    for told in (wording.text(flawed), why.draw(flawed, conn, tmp_path / "e.svg").read_text()):
        assert said in " ".join(told.split())


def test_page_with_pairs_and_weights_in_words(
    conn: Connection, runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_page, "_EXPLAINED", 1)  # test_report.py has a page with all figures of candidates
    r = summary.report(conn, runs["summed"])
    assert r.weighting == "weights fitted property by property, and an offset for every class"
    assert "fewer than 1 % of their class are at least as extreme" in summary.text(r) and r.priors_given is None
    index = run_page.html(r, conn, tmp_path / "page")
    page = index.read_text()
    assert "XRB</span>: " in page and "no published tables" not in page
    assert "figures/pairs.png" in page and (tmp_path / "page" / "figures" / "pairs.png").stat().st_size > 10_000
    category = summary.report(conn, runs["category"])
    again = run_page.html(category, conn, tmp_path / "page")  # in the place of the other
    unpublished = again.read_text()
    assert again == index and str(tmp_path) not in unpublished
    assert f"xcat publish {category.run_id} --hold" in unpublished
    assert category.weighting.startswith("category weights, fitted: location ") and "sharpness" in category.weighting
    data = page_data.collect(category, conn)
    assert not data.model.pairs and page_figures.densities(category, data).axes
    estimated = replace(r, priors_given=dict.fromkeys(CLASSES, 0.25))
    assert "estimated; given: AGN 0.25" in summary.text(estimated)


def test_a_model_without_a_table_for_errors_reads_none(conn: Connection, runs: Runs) -> None:
    e = why.explain(conn, 3, runs["classify"])  # fitted before there were any
    assert all(t.error is None and t.limit is None for t in e.terms)
    assert not any(t.axes for t in e.terms)
