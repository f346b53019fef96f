"""Why a source has its class: prior, evidence property by property, counterparts, and what would change the answer.

The terms are the model's natural-log likelihoods with the accepted counterpart. Their contributions, weights included,
and the log of the prior add up to the log of the posterior with that counterpart, up to a constant for all classes. The
posterior is the mean over the counterpart hypotheses, and these are explained one by one. Class and probabilities of a
labelled source are out of fold; the terms and all else are of the whole model, which was fitted with its label.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xcat.arrays import FloatArray, IntArray
from xcat.classifier.density import levels
from xcat.classifier.kinds import kinds_of_source, of_answers
from xcat.classifier.model import Model
from xcat.classifier.posterior import LEAST_P_TAIL, Classification, by_class, contributions, evidence
from xcat.classifier.posterior import posterior as posterior_of
from xcat.classifier.sample import Sample
from xcat.classifier.scales import column_to_scale
from xcat.columns.properties import absence_of
from xcat.columns.registry import columns
from xcat.database import copy, partitions, runs
from xcat.database.connection import Connection
from xcat.database.sqlfiles import job
from xcat.errors import XcatError
from xcat.models import store
from xcat.models.samples import Layout, places
from xcat.output.reading import Row, classify_run, one, rows
from xcat.report.explain import change, drawing, wording
from xcat.report.explain.change import from_scale, probabilities
from xcat.report.explain.explanation import CategoryTotal, Explanation, Probabilities, SimilarSource, Term
from xcat.report.explain.wording import text as text
from xcat.report.models.model_text import weighting_text

_HYPOTHESES = 5  # listed per source
_SIMILAR = 5  # labelled sources that are listed, each with
_DIFFERENT = 3  # terms in which they differ most
_NO_VALUE: Row = {"value": None, "error": None, "is_blurred": False, "limit": None, "beyond": ""}
#: where the rows of all runs are
_STORED = {name: f"xcat.{name}" for name in ("match", "match_candidate", "hypothesis", "hypothesis_property")}


def explain(
    conn: Connection,
    source: str | int,
    run_id: int | None = None,
    model: Model | None = None,
    labelled: Labelled | None = None,
) -> Explanation:
    """Collect the evidence of a source.

    Parameters
    ----------
    source : str or int
        Its number; or its name, or a part of the name that no other source has; case and blanks do not matter.
    run_id : int, optional
        Classify run; the published one if not given.
    model : Model, optional
        The run's model, if it is loaded already.
    labelled : Labelled, optional
        Likewise the labelled sources of the run.

    Raises
    ------
    XcatError
        Nothing is published, no source or more than one matches, or the source was not classified.
    """
    run = classify_run(conn, run_id)
    source_id = find(conn, run, source)
    model = model or store.load(conn, run["model_run_id"])
    labelled = labelled or Labelled.of(conn, run, model)
    keys = {**run, "source_id": source_id}
    row = one(conn, "report.source", keys)
    decision = one(conn, "report.decision", keys)
    best_match = bool(runs.get(conn, run["run_id"])["config"].get("best_match", False))
    layout = Layout.of_model(model, best_match)
    property_rows = _property_rows(conn, run, layout, [source_id])
    if row is None or decision is None or not len(property_rows):
        raise XcatError(f"source {source_id} was not classified in run {run['run_id']}")
    of_hypotheses = None
    if layout.dependent and partitions.exists(conn, "hypothesis_property", keys["property_run_id"]):
        of_hypotheses = _hypothesis_rows(conn, layout, keys, _STORED)
    sample = layout.sample(property_rows, of_hypotheses)
    by_model = probabilities(model, np.array(decision["p"]))
    held_out = one(conn, "report.decision_out_of_fold", keys)
    decision = {"fold": None, "n_folds": None, **(held_out or decision)}
    best, posterior = decision.pop("class"), probabilities(model, np.array(decision.pop("p")))
    is_sure = decision["stability"] is not None
    decision["p_err"] = probabilities(model, np.array(decision["p_err"])) if is_sure else None
    contributed = contributions(model, evidence(model, _inside(model, sample.best_match()))[0])
    return _assembled(
        conn,
        keys,
        model,
        sample,
        row,
        best,
        posterior,
        decision,
        of_hypotheses,
        _STORED,
        is_out_of_fold=held_out is not None,
        posterior_in_sample=by_model if held_out else None,
        alike=_nearest_labelled(conn, keys, model, layout, contributed, labelled.without(source_id)),
        labels=tuple(rows(conn, "report.labels", keys)),
    )


def explain_row(
    conn: Connection,
    run: Row,
    source: Row,
    model: Model,
    model_run_id: int,
    sample: Sample,
    result: Classification,
    relations: Mapping[str, str],
    labels: Sequence[Row] = (),
) -> Explanation:
    """Collect the evidence of a row of a user's table.

    Parameters
    ----------
    conn : Connection
        In the transaction that has the tables of the row.
    run : dict
        The classify run whose learning was used.
    source : dict
        The row as `report.source` has it.
    model : Model
        With the priors of the row.
    sample, result
        One source.
    relations : mapping
        Qualified names of the tables match, match_candidate, hypothesis and hypothesis_property of the row.
    labels : sequence of dict
        Known objects at the position, as `report.labels` has them.
    """
    layout = Layout.of_model(model, best_match=sample.hypotheses is None)
    number = {"source_id": source["source_id"]}
    keys = {**run, **number, "match_run_id": source["run_id"], "link_run_id": None, "model_run_id": model_run_id}
    of_hypotheses = None
    if layout.dependent:
        of_hypotheses = _hypothesis_rows(conn, layout, keys | {"property_run_id": source["run_id"]}, relations)
    is_sure = model.replicates is not None
    decision: Row = {
        "fold": None,
        "n_folds": None,
        "p_err": probabilities(model, result.p_err[0]) if is_sure else None,
        "margin": float(result.margin[0]),
        "confidence": float(result.confidence[0]) if is_sure else None,
        "stability": float(result.stability[0]) if is_sure else None,
        "outlier": float(result.outlier[0]),
        "p_tail": float(result.p_tail[0]),
        "is_outlier": bool(result.p_tail[0] < LEAST_P_TAIL),
        "n_missing": int(result.n_missing[0]),
    }
    best, posterior = model.answers[int(result.class_index[0])], probabilities(model, result.p[0])
    contributed = contributions(model, evidence(model, _inside(model, sample.best_match()))[0])
    return _assembled(
        conn,
        keys,
        model,
        sample,
        source,
        best,
        posterior,
        decision,
        of_hypotheses,
        relations,
        alike=_nearest_labelled(conn, run, model, layout, contributed, Labelled.of(conn, run, model)),
        labels=tuple(labels),
    )


def _assembled(
    conn: Connection,
    keys: Row,
    model: Model,
    sample: Sample,
    source: Row,
    best: str,
    posterior: Probabilities,
    decision: Row,
    of_hypotheses: np.ndarray | None,
    relations: Mapping[str, str],
    *,
    is_out_of_fold: bool = False,
    posterior_in_sample: Probabilities | None = None,
    alike: tuple[SimilarSource, ...] = (),
    labels: tuple[Row, ...] = (),
) -> Explanation:
    """Explanation of one source, its sample and decision known."""
    model = replace(model, replicates=None)  # the errors are in the decision; what follows asks for probabilities alone
    second = max((c for c in model.answers if c != best), key=lambda c: posterior[c])
    terms = evidence(model, _inside(model, sample.best_match())).astype(np.float64)
    (contributed,), (start,) = by_class(model, terms)
    lead = [model.answers.index(best), model.answers.index(second)]
    (terms,) = of_answers(model, terms)
    changes, without, without_category = change.what_if(model, sample)
    return Explanation(
        run_id=keys["run_id"],
        model_run_id=keys["model_run_id"],
        source=source,
        classes=model.answers,
        prior=probabilities(model, model.answer_priors),
        log_prior=probabilities(model, start),
        posterior=posterior,
        kinds=kinds_of_source(model, sample),
        is_out_of_fold=is_out_of_fold,
        posterior_in_sample=posterior_in_sample,
        posterior_accepted=probabilities(model, posterior_of(model, sample.best_match())[0][0]),
        is_summed=of_hypotheses is not None and len(of_hypotheses) > 0,
        best=best,
        second=second,
        **decision,
        weighting=weighting_text(model.weighting, model.categories, model.weights.tolist(), model.sharpness),
        prior_nats=_advantage(start, lead),
        terms=tuple(_terms(model, sample, terms, contributed, lead)),
        categories=tuple(_totals(model, without_category, terms, contributed, lead)),
        changes=changes,
        without=without,
        alike=alike,
        **_counterparts(conn, keys, model, sample, of_hypotheses, relations),
        labels=labels,
    )


def _advantage(scores: FloatArray, lead: list[int]) -> float:
    """Score of the best class minus that of the runner-up."""
    best, second = scores[lead]
    return float(best - second)


def find(conn: Connection, run: Row, source: str | int) -> int:
    """Number of the source with a number, or with a name or a part of it."""
    table = partitions.qualified("source", run["source_run_id"])
    text = str(source).strip()
    if text.isdecimal() and len(text) < 19:
        row = one(conn, "report.by_id", {**run, "source_id": int(text)})
        if row is not None:
            return int(row["source_id"])
    key = "".join(text.lower().split())
    if not key or isinstance(source, int):
        raise XcatError(f"there is no source {text or 'without a name'} in run {run['run_id']}")
    # the whole name has an index; a part of it is looked for in all names
    matches = rows(conn, "report.by_whole_name", {"key": key}, source=table)
    matches = matches or rows(conn, "report.by_name", {"key": key}, source=table)
    if len(matches) == 1:
        return int(matches[0]["source_id"])
    if matches:
        listed = "; ".join(f"{row['name']} ({row['catalogue']}, number {row['source_id']})" for row in matches[:8])
        more = " and more" if len(matches) > 8 else ""
        raise XcatError(f"'{text}' could be any of: {listed}{more}. Give the whole name or the number.")
    near = [row["name"] for row in rows(conn, "report.names_beside", {"key": key}, source=table)]
    hint = f" Similar names: {', '.join(near)}." if near else ""
    raise XcatError(f"there is no source '{text}' in run {run['run_id']}.{hint}")


def _property_rows(conn: Connection, run: Row, layout: Layout, source_ids: list[int]) -> NDArray[np.void]:
    """Rows of the property table with the columns of a layout, by source_id."""
    return copy.fetch_columns(
        conn,
        job("report.property_rows").compose(values=layout.values),
        [("source_id", "bigint"), *layout.columns],
        {"property_run_id": run["property_run_id"], "source_ids": source_ids},
    )


def _hypothesis_rows(conn: Connection, layout: Layout, keys: Row, relations: Mapping[str, str]) -> np.ndarray:
    query = job("report.hypothesis_rows")
    return copy.fetch_columns(
        conn,
        query.compose(values=layout.hypothesis_values, hypothesis_property=relations["hypothesis_property"]),
        [("source_id", "bigint"), ("rank", "smallint"), ("p_hypothesis", "real"), *layout.hypothesis_columns],
        keys,
    )


def _inside(model: Model, sample: Sample) -> Sample:
    """Bring values beyond the tables back to their ends.

    Beyond an end every class loses the same, which cannot move a probability; but the large loss would swallow the
    digits of the differences between classes.
    """
    values = sample.values.copy()
    for j, (prop, table) in enumerate(zip(model.properties, model.tables, strict=True)):
        x = column_to_scale(values[:, j], prop)
        out = np.isfinite(x) & ((x < table.low) | (x > table.high))
        # not onto the end itself: a value on a wall is looked up elsewhere
        margin = 1e-9 * prop.width
        values[out, j] = from_scale(np.clip(x[out], table.low + margin, table.high - margin), prop)
    return Sample(sample.properties, values, sample.errors, sample.limits, shift=sample.shift)


def _terms(model: Model, sample: Sample, terms: FloatArray, contributed: FloatArray, lead: list[int]) -> Iterator[Term]:
    meaning = columns()
    states = [_state(model, sample, j) for j in range(len(model.properties))]
    with_value = {p.name for p, state in zip(model.properties, states, strict=True) if state["state"] == "value"}
    for p, state in zip(model.properties, states, strict=True):
        state |= {"unit": meaning[p.name].unit, "about": meaning[p.name].about.partition(":")[0], "axes": ()}
    for pair, at in zip(model.pairs, model.pair_columns, strict=True):
        both = " and ".join(pair.axes)
        is_prior = all(not model.mixing[j].any() for j in at)
        about = f"Prior as a function of {both}" if is_prior else f"{both}, beyond each alone"
        word = "value" if with_value.issuperset(pair.axes) else "missing"
        states.append({**_NO_VALUE, "state": word, "unit": "", "about": about, "axes": pair.axes})
    for t, state in enumerate(states):
        nats = _advantage(contributed[t], lead)
        yield Term(
            property=model.term_names[t],
            category=model.term_categories[t],
            log_likelihood=probabilities(model, terms[t]),
            nats=nats,
            odds=float(np.exp(nats)),
            contributions=probabilities(model, contributed[t]),
            **state,
        )


def _state(model: Model, sample: Sample, j: int) -> Row:
    """State of one property: value with error, limit, missing, no counterpart that would have it, or not observed."""
    prop, table = model.properties[j], model.tables[j]
    x = float(column_to_scale(sample.values[:, j], prop)[0])
    error = np.nan if sample.errors is None or table.log_smeared is None else float(sample.errors[0, j])
    limit = np.nan if sample.limits is None or table.log_above is None else float(sample.limits[0, j])
    if np.isfinite(x):
        beyond = "below" if x < table.low else "above" if x > table.high else ""
        state = {**_NO_VALUE, "state": "value", "value": float(sample.values[0, j]), "beyond": beyond}
        if error > 0:
            is_blurred = bool(levels(np.array([error]), table.step, table.typical_error)[0] > 0)
            state |= {"error": error, "is_blurred": is_blurred}
        return state
    if np.isposinf(x) or np.isnan(limit):
        if np.isposinf(x) and _is_absent(sample, prop.name):
            return {**_NO_VALUE, "state": "no counterpart"}
        return {**_NO_VALUE, "state": "not observed" if np.isposinf(x) else "missing"}
    return {**_NO_VALUE, "state": "limit", "limit": float(from_scale(np.array(limit), prop))}


def _is_absent(sample: Sample, name: str) -> bool:
    """Whether the limit of a flux ratio counts already that there is no counterpart that could have a property."""
    ratios = [j for j, p in enumerate(sample.properties) if p.name in absence_of(name)]
    limits = np.full((1, len(sample.properties)), np.nan) if sample.limits is None else sample.limits
    return any(np.isnan(sample.values[0, j]) and not np.isnan(limits[0, j]) for j in ratios)


def _totals(
    model: Model, without: FloatArray, terms: FloatArray, contributed: FloatArray, lead: list[int]
) -> Iterator[CategoryTotal]:
    exponents = model.sharpness * model.weights / model.weights.sum()
    for t, (category, p) in enumerate(zip(model.categories, without, strict=True)):
        inside = model.category_index == t
        nats = float((contributed[inside, lead[0]] - contributed[inside, lead[1]]).sum())
        yield CategoryTotal(
            category,
            exponent=None if model.weighting == "property" else float(exponents[t]),
            log_likelihood=probabilities(model, terms[inside].sum(axis=0)),
            nats=nats,
            odds=float(np.exp(nats)),
            class_without=model.answers[int(p.argmax())],
            posterior_without=probabilities(model, p),
        )


def _counterparts(
    conn: Connection,
    keys: Row,
    model: Model,
    sample: Sample,
    of_hypotheses: np.ndarray | None,
    relations: Mapping[str, str],
) -> Row:
    """Results of the match and link runs for the source, if any, with weight and posterior of each hypothesis."""
    parts: Row = {"counterparts": (), "hypotheses": (), "rest": None, "n_hypotheses": 0, "p_kept": 0.0, "master": None}
    if keys["match_run_id"] is not None:
        candidates, hypothesis = relations["match_candidate"], relations["hypothesis"]
        places = {"match": relations["match"], "match_candidate": candidates}
        parts["counterparts"] = tuple(rows(conn, "report.counterparts", keys, **places))
        places = {"hypothesis": hypothesis, "match_candidate": candidates}
        listed = rows(conn, "report.hypotheses", {**keys, "most": _HYPOTHESES}, **places)
        parts |= _by_hypothesis(listed, model, sample, of_hypotheses)
        if listed:
            parts |= one(conn, "report.count_hypotheses", keys, hypothesis=hypothesis) or {}
    master = None if keys["link_run_id"] is None else one(conn, "report.master", keys)
    if master is not None:
        is_alone = master["status"] == "single"  # neither linked nor in a pair that is ambiguous
        others = [] if is_alone else rows(conn, "report.other_members", {**keys, "master_id": master["master_id"]})
        parts["master"] = master | {"others": others}
    return parts


def _by_hypothesis(listed: list[Row], model: Model, sample: Sample, of_hypotheses: np.ndarray | None) -> Row:
    """Weight and posterior of every listed hypothesis, and of the others together."""
    included: dict[int, tuple[float, FloatArray]] = {}  # by rank
    if of_hypotheses is not None and len(of_hypotheses):
        single, weights, _ = sample.rows()
        parts = zip(weights.tolist(), posterior_of(model, single)[0], strict=True)
        included = dict(zip(of_hypotheses["rank"].tolist(), parts, strict=True))
    for h in listed:
        weight, p = included.pop(h["rank"], (0.0, None))
        h |= {"weight": weight, "posterior": None if p is None else probabilities(model, p)}
    rest = None
    if included:
        total = sum(weight for _, (weight, _) in sorted(included.items()))
        mean = np.array([weight * p for _, (weight, p) in sorted(included.items())]).sum(axis=0) / total
        rest = {"weight": total, "posterior": probabilities(model, mean)}
    return {"hypotheses": tuple(listed), "rest": rest}


@dataclass(frozen=True)
class Labelled:
    """Evidence of the labelled sources of a run: which source is like which.

    Attributes
    ----------
    source_id : (N,) int64
        In an order that depends on the data alone.
    contributions : (N, T, K) float32
        To the scores, each term minus its mean over the classes.
    """

    source_id: IntArray
    contributions: NDArray[np.float32]

    @classmethod
    def of(cls, conn: Connection, run: Row, model: Model) -> Labelled:
        """Read those of a classify run; the model may have a part of the terms of the run's own."""
        with conn.cursor(binary=True) as cursor:
            found = cursor.execute(job("report.reference_evidence").compose(), run).fetchall()
        source_id = np.array([row[0] for row in found], dtype=np.int64)
        order = places(conn, run["source_run_id"], source_id)
        stored = [row["term"] for row in rows(conn, "report.terms", run)]
        shape = (len(found), len(stored), len(model.classes))
        terms = np.array([row[1] for row in found], dtype=np.float32).reshape(shape)[order]
        terms = terms[:, [stored.index(name) for name in model.term_names]]
        return cls(source_id[order], _centred(contributions(model, terms)).astype(np.float32))

    def without(self, source_id: int) -> Labelled:
        """Those that are not this source."""
        kept = self.source_id != source_id
        return self if kept.all() else Labelled(self.source_id[kept], self.contributions[kept])


def _nearest_labelled(
    conn: Connection, keys: Row, model: Model, layout: Layout, contributed: FloatArray, labelled: Labelled
) -> tuple[SimilarSource, ...]:
    """Labelled sources with the most similar evidence, the source itself excluded.

    The distance is the Euclidean one between the contributions to the scores, over all terms and classes, each term
    minus its mean over the classes.
    """
    if not labelled.source_id.size:
        return ()
    by_term = ((labelled.contributions - _centred(contributed)) ** 2).sum(axis=2)
    distance = np.sqrt(by_term.sum(axis=1))
    # of sources at equal distance, the first
    first = np.argsort(distance, kind="stable")[:_SIMILAR]
    ids = labelled.source_id[first].tolist()
    by_id = {row["source_id"]: row for row in rows(conn, "report.reference_sources", keys | {"source_ids": ids})}
    names = [p.name for p in layout.properties]
    values = {row["source_id"]: row[names].tolist() for row in _property_rows(conn, keys, layout, ids)}
    similar = []
    for i, number in zip(first, ids, strict=True):
        row = by_id[number]
        p = row.pop("p")[model.answers.index(row["known_class"])]
        most = np.argsort(-by_term[i], kind="stable")[:_DIFFERENT]
        of_source = {name: None if np.isnan(x) else x for name, x in zip(names, values[number], strict=True)}
        differs = tuple(model.term_names[t] for t in most if by_term[i, t] > 1e-6)
        away = float(distance[i])
        similar.append(SimilarSource(**row, out_of_fold=p, distance_nats=away, values=of_source, differs_in=differs))
    return tuple(similar)


def _centred(contributed: FloatArray) -> FloatArray:
    return np.asarray(contributed - contributed.mean(axis=-1, keepdims=True))


def to_json(explanation: Explanation) -> dict[str, Any]:
    """Give an explanation as JSON-ready data; `note`: where the probabilities of a labelled source come from."""
    data = {**asdict(explanation), "known_class": explanation.known_class}
    for term in data["terms"]:
        term["said"] = term.pop("contributions")  # its published name
    return data | {"note": wording.out_of_fold(explanation) or None}


def draw(explanation: Explanation, conn: Connection, path: Path | str, model: Model | None = None) -> Path:
    """Draw the probability track, and the densities of the classes with the source marked, to .png, .pdf or .svg.

    The `model` is that of the explanation, if it is loaded already.
    """
    return drawing.draw(explanation, model or store.load(conn, explanation.model_run_id), Path(path))
