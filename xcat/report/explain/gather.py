"""Why a source has its class: prior, evidence property by property, counterparts, and what would change the answer.

The terms are the model's natural-log likelihoods with the accepted counterpart. Weighted (`contributions`) they add up,
with the log of the prior, to the log of the posterior with that counterpart, less what all classes have in common. The
posterior is the mean over the counterpart hypotheses, and these are explained one by one. Class and probabilities of a
labelled source are out of fold; the terms and all else are of the whole model, which has seen its label.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from xcat.arrays import FloatArray
from xcat.classifier.density import levels
from xcat.classifier.model import Model
from xcat.classifier.posterior import classify, contributions, evidence
from xcat.classifier.sample import Sample
from xcat.classifier.scales import column_to_scale
from xcat.columns.registry import columns
from xcat.database import copy, partitions, runs
from xcat.database.connection import Connection
from xcat.database.sqlfiles import job
from xcat.errors import XcatError
from xcat.models import store
from xcat.models.samples import Layout
from xcat.output.reading import Row, classify_run, one, rows, words_of_weighting
from xcat.report.explain import alike, change, drawing, wording
from xcat.report.explain.change import from_scale, probabilities
from xcat.report.explain.explanation import Alike, CategoryTotal, Change, Explanation, Term, Without

__all__ = [
    "Alike",
    "CategoryTotal",
    "Change",
    "Explanation",
    "Term",
    "Without",
    "draw",
    "explain",
    "find",
    "text",
    "to_json",
]

_HYPOTHESES = 5  # of a source, that are shown


def explain(conn: Connection, source: str | int, run_id: int | None = None, model: Model | None = None) -> Explanation:
    """Collect the evidence of a source.

    Parameters
    ----------
    conn : Connection
    source : str or int
        Its number; or its name, or a part of the name that no other source has, whatever the case and the blanks.
    run_id : int, optional
        Classify run; the published one if not given.
    model : Model, optional
        The run's model, if it is at hand.

    Returns
    -------
    Explanation

    Raises
    ------
    XcatError
        Nothing is published, or no source, or more than one, is meant.
    """
    run = classify_run(conn, run_id)
    source_id = find(conn, run, source)
    return _explain(conn, run, model or store.load(conn, run["model_run_id"]), source_id)


def find(conn: Connection, run: Row, source: str | int) -> int:
    """Number of the source that is meant."""
    table = partitions.qualified("source", run["source_run_id"])
    text = str(source).strip()
    if text.isdecimal() and len(text) < 19:
        found = one(conn, "report.by_id", {"source_id": int(text)}, source=table)
        if found is not None:
            return int(found["source_id"])
    key = "".join(text.lower().split())
    if not key or isinstance(source, int):
        raise XcatError(f"there is no source {text or 'without a name'} in run {run['run_id']}")
    found_rows = rows(conn, "report.by_name", {"key": key}, source=table)
    exact = [row for row in found_rows if row["exact"]]
    meant = exact or found_rows
    if len(meant) == 1:
        return int(meant[0]["source_id"])
    if meant:
        listed = "; ".join(f"{row['name']} ({row['catalogue']}, number {row['source_id']})" for row in meant[:8])
        more = " and more" if len(meant) > 8 else ""
        raise XcatError(f"'{text}' could be any of: {listed}{more}. Give the whole name or the number.")
    near = [row["name"] for row in rows(conn, "report.names_beside", {"key": key}, source=table)]
    hint = f" Names beside it: {', '.join(near)}." if near else ""
    raise XcatError(f"there is no source '{text}' in run {run['run_id']}.{hint}")


def _explain(conn: Connection, run: Row, model: Model, source_id: int) -> Explanation:
    keys = {**run, "source_id": source_id}
    row = one(conn, "report.source", keys)
    decision = one(conn, "report.decision", keys)
    best_match = bool(runs.get(conn, run["run_id"])["config"].get("best_match", False))
    layout = Layout.of_model(model, best_match)
    property_rows = alike.read_rows(conn, run, layout, [source_id])
    if row is None or decision is None or not len(property_rows):
        raise XcatError(f"source {source_id} was not classified in run {run['run_id']}")
    of_hypotheses = _hypothesis_rows(conn, layout, keys)
    sample = layout.sample(property_rows, of_hypotheses)
    held_out = one(conn, "report.decision_out_of_fold", keys)
    by_model = dict(zip(model.classes, decision["p"], strict=True))
    posterior, in_sample = by_model, None
    if held_out is not None:
        decision, in_sample = held_out, by_model
        posterior = dict(zip(model.classes, held_out["p"], strict=True))
    best = decision["class"]
    second = max((c for c in model.classes if c != best), key=lambda c: posterior[c])
    b, s = model.classes.index(best), model.classes.index(second)
    terms = evidence(model, _inside(model, sample.best_match()))[0].astype(np.float64)
    said = contributions(model, terms)
    changes, without = change.what_if(model, sample)
    return Explanation(
        run_id=run["run_id"],
        model_run_id=run["model_run_id"],
        source=row,
        classes=model.classes,
        prior=probabilities(model, model.priors),
        log_prior=probabilities(model, model.log_prior),
        posterior=posterior,
        is_out_of_fold=held_out is not None,
        fold=held_out["fold"] if held_out else None,
        n_folds=held_out["n_folds"] if held_out else None,
        posterior_in_sample=in_sample,
        posterior_accepted=probabilities(model, classify(model, sample.best_match()).p[0]),
        is_summed=of_hypotheses is not None and len(of_hypotheses) > 0,
        best=best,
        second=second,
        margin=decision["margin"],
        outlier=decision["outlier"],
        p_tail=decision["p_tail"],
        is_outlier=decision["is_outlier"],
        n_missing=decision["n_missing"],
        weighting=words_of_weighting(model.weighting, model.categories, model.weights.tolist(), model.sharpness),
        prior_nats=float(model.log_prior[b] - model.log_prior[s]),
        terms=_terms(model, sample, terms, said, b, s),
        categories=_totals(model, sample, terms, said, b, s),
        changes=changes,
        without=without,
        alike=alike.nearest(conn, run, model, layout, source_id, said),
        **_counterparts(conn, run, keys, model, sample, of_hypotheses),
        labels=tuple(rows(conn, "report.labels", keys)),
    )


def _hypothesis_rows(conn: Connection, layout: Layout, keys: Row) -> np.ndarray | None:
    if not layout.dependent or not partitions.exists(conn, "hypothesis_property", keys["property_run_id"]):
        return None
    return copy.fetch_columns(
        conn,
        job("report.hypothesis_rows").compose(values=layout.hypothesis_values),
        [("source_id", "bigint"), ("rank", "smallint"), ("p_hypothesis", "real"), *layout.hypothesis_columns],
        keys,
    )


def _inside(model: Model, sample: Sample) -> Sample:
    """Bring values beyond the tables back to their ends.

    Beyond an end every class loses the same, which cannot move a probability; taken along, such a loss would only
    swallow the digits of the differences.
    """
    values = sample.values.copy()
    for j, (prop, table) in enumerate(zip(model.properties, model.tables, strict=True)):
        x = column_to_scale(values[:, j], prop)
        out = np.isfinite(x) & ((x < table.low) | (x > table.high))
        # not onto the end itself, where a wall has values of its own
        margin = 1e-9 * prop.width
        values[out, j] = from_scale(np.clip(x[out], table.low + margin, table.high - margin), prop)
    return Sample(sample.properties, values, sample.errors, sample.limits)


def _terms(model: Model, sample: Sample, terms: FloatArray, said: FloatArray, b: int, s: int) -> tuple[Term, ...]:
    meaning = columns()
    found: list[Term] = []
    for t, name in enumerate(model.term_names):
        nats = float(said[t, b] - said[t, s])
        common: Row = {
            "property": name, "category": model.term_categories[t], "log_likelihood": probabilities(model, terms[t]),
            "nats": nats, "odds": float(np.exp(nats)), "said": probabilities(model, said[t]),
        }  # fmt: skip
        if t < len(model.properties):
            unit, about = meaning[name].unit, meaning[name].about.partition(":")[0]
            found.append(Term(**common, **_state(model, sample, t), unit=unit, about=about, axes=()))
            continue
        pair = model.pairs[t - len(model.properties)]
        both = all(term.state == "value" for term in found if term.property in pair.axes)
        silent = all(not model.mixing[j].any() for j in model.pair_columns[t - len(model.properties)])
        first, second = pair.axes
        what = f"Prior as a function of {first} and {second}" if silent else f"{first} and {second}, beyond each alone"
        found.append(
            Term(
                **common, unit="", about=what, axes=pair.axes, state="value" if both else "missing", value=None,
                error=None, is_blurred=False, limit=None, beyond="",
            )
        )  # fmt: skip
    return tuple(found)


def _state(model: Model, sample: Sample, j: int) -> Row:
    """What there is of one property: value with error, limit, nothing, or nobody has looked."""
    prop, table = model.properties[j], model.tables[j]
    x = float(column_to_scale(sample.values[:, j], prop)[0])
    error = np.nan if sample.errors is None or table.log_smeared is None else float(sample.errors[0, j])
    limit = np.nan if sample.limits is None or table.log_above is None else float(sample.limits[0, j])
    state: Row = {
        "state": "value", "value": None, "error": None, "is_blurred": False, "limit": None, "beyond": "",
    }  # fmt: skip
    if np.isfinite(x):
        state["value"] = float(sample.values[0, j])
        state["beyond"] = "below" if x < table.low else "above" if x > table.high else ""
        if error > 0:
            state["error"] = error
            state["is_blurred"] = bool(levels(np.array([error]), table.step, table.typical_error)[0] > 0)
    elif np.isposinf(x):
        state["state"] = "not observed"
    elif np.isnan(limit):
        state["state"] = "missing"
    else:
        state |= {"state": "limit", "limit": float(from_scale(np.array(limit), prop))}
    return state


def _totals(
    model: Model, sample: Sample, terms: FloatArray, said: FloatArray, b: int, s: int
) -> tuple[CategoryTotal, ...]:
    exponents = model.sharpness * model.weights / model.weights.sum()
    left = change.without_category(model, sample)
    totals = []
    for t, category in enumerate(model.categories):
        mine = model.category_index == t
        nats = float((said[mine, b] - said[mine, s]).sum())
        totals.append(
            CategoryTotal(
                category,
                None if model.weighting == "property" else float(exponents[t]),
                probabilities(model, terms[mine].sum(axis=0)),
                nats,
                float(np.exp(nats)),
                model.classes[int(left[t].argmax())],
                probabilities(model, left[t]),
            )
        )
    return tuple(totals)


def _counterparts(
    conn: Connection, run: Row, keys: Row, model: Model, sample: Sample, of_hypotheses: np.ndarray | None
) -> Row:
    """What the match and link runs say of the source, as far as there are any, and what each hypothesis would mean."""
    found: Row = {
        "counterparts": (), "hypotheses": (), "rest": None, "n_hypotheses": 0, "p_kept": 0.0, "master": None,
    }  # fmt: skip
    if run["match_run_id"] is not None:
        found["counterparts"] = tuple(rows(conn, "report.counterparts", keys))
        listed = rows(conn, "report.hypotheses", {**keys, "most": _HYPOTHESES})
        found |= _by_hypothesis(listed, model, sample, of_hypotheses)
        if listed:
            found |= one(conn, "report.count_hypotheses", keys) or {}
    if run["link_run_id"] is not None:
        master = one(conn, "report.master", keys)
        if master is not None:
            others = rows(conn, "report.other_members", {**keys, "master_id": master["master_id"]})
            found["master"] = master | {"others": others}
    return found


def _by_hypothesis(listed: list[Row], model: Model, sample: Sample, of_hypotheses: np.ndarray | None) -> Row:
    """Weight and posterior of every hypothesis that is listed, and of the others together."""
    weights: dict[int, float] = {}
    posteriors: dict[int, FloatArray] = {}
    if of_hypotheses is not None and len(of_hypotheses):
        single, weight, _ = sample.rows()
        p = classify(model, single).p
        ranks = of_hypotheses["rank"].tolist()
        weights = dict(zip(ranks, weight.tolist(), strict=True))
        posteriors = dict(zip(ranks, p, strict=True))
    shown = tuple(
        h
        | {
            "weight": weights.get(h["rank"], 0.0),
            "posterior": probabilities(model, posteriors[h["rank"]]) if h["rank"] in posteriors else None,
        }
        for h in listed
    )
    others = sorted(set(weights) - {h["rank"] for h in listed})
    total = sum(weights[r] for r in others)
    if not others:
        return {"hypotheses": shown, "rest": None}
    mean = np.array([weights[r] * posteriors[r] for r in others]).sum(axis=0) / total
    return {"hypotheses": shown, "rest": {"weight": total, "posterior": probabilities(model, mean)}}


def to_json(explanation: Explanation) -> dict[str, Any]:
    """An explanation as JSON-ready data; `note` says where the probabilities of a labelled source come from."""
    note = wording.out_of_fold(explanation) or None
    return {**asdict(explanation), "known_class": explanation.known_class, "note": note}


def text(explanation: Explanation, width: int = 100) -> str:
    """An explanation to read in a terminal."""
    return wording.text(explanation, width)


def draw(explanation: Explanation, conn: Connection, path: Path | str) -> Path:
    """Draw the probability track, and the densities with this source marked.

    Parameters
    ----------
    explanation : Explanation
    conn : Connection
        Where the model's tables are.
    path : Path or str
        Ends in .png, .pdf or .svg.
    """
    return drawing.draw(explanation, store.load(conn, explanation.model_run_id), Path(path))
