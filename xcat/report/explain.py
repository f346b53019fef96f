"""Why a source has its class: prior, evidence property by property, counterparts, and what would change the answer.

The terms are the model's natural-log likelihoods. Times their exponent (that of their category, or one fitted for each
property and class) they add up, with the log of the prior, to the log of the posterior, less what all classes have in
common.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from psycopg import sql

from xcat.classifier.model import Model
from xcat.classifier.posterior import contribution, evidence
from xcat.classifier.properties import FloatArray, Property
from xcat.database import partitions
from xcat.database.engine import Connection
from xcat.database.registry import columns
from xcat.errors import XcatError
from xcat.jobs import models
from xcat.report import explain_figure, explain_text
from xcat.report.reading import Row, one, rows, showing

_HYPOTHESES = 5  # of a source, that are shown


@dataclass(frozen=True)
class Term:
    """What one property says.

    Attributes
    ----------
    property, category, unit, about : str
    value : float or None
        None is missing; that, too, is evidence.
    beyond : str
        "below" or "above" where the value lies outside the table: all classes lose alike there, and
        `log_likelihood` is taken at the end of the table.
    log_likelihood : dict
        Term of each class, in nats.
    nats : float
        Effective advantage of the best class over the runner-up: exponent times the difference of their terms.
    odds : float
        exp(nats), the factor on the odds between the two.
    said : dict
        What the term adds to the log score of each class, in nats: exponent included, mean over the classes taken away.
    """

    property: str
    category: str
    unit: str
    about: str
    value: float | None
    beyond: str
    log_likelihood: dict[str, float]
    nats: float
    odds: float
    said: dict[str, float]


@dataclass(frozen=True)
class CategoryTotal:
    """What one category says; `exponent` is sharpness * alpha / sum of alpha, None where exponents were fitted."""

    category: str
    weight: float
    exponent: float | None
    log_likelihood: dict[str, float]
    nats: float
    odds: float
    class_without: str


@dataclass(frozen=True)
class Explanation:
    """The evidence of one source in one classify run.

    Attributes
    ----------
    run_id, model_run_id : int
    source : dict
        Its row: name, catalogue, position, flux and so on; units are those of the column registry.
    classes : tuple of str
    prior, posterior : dict
        Probability of each class.
    log_prior : dict
        Where the log score of each class starts: log of the prior, and the model's offset if exponents were fitted.
    best, second : str
        The most probable class and the runner-up.
    margin, outlier, outlier_limit : float
    is_outlier : bool
    n_missing : int
    sharpness : float
    prior_nats : float
        Advantage of `best` over `second` in `log_prior`.
    terms : tuple of Term
    categories : tuple of CategoryTotal
    counterparts : tuple of dict
        Best candidate of every catalogue.
    hypotheses : tuple of dict
        What the source may be in all catalogues together: "none" (rank 0), then the most probable ones, five at most,
        each with its `members`; empty for a run that knows none.
    n_hypotheses : int
        Hypotheses that are kept, "none" not counted.
    p_kept : float
        Sum of the probabilities of these and "none"; what was too improbable to keep is not in it.
    master : dict or None
        The master source, with the `others`: its sources in other missions, or what an ambiguous one might be one with.
    labels : tuple of dict
        What reference catalogues say; a status other than "used" did not become a label.
    """

    run_id: int
    model_run_id: int
    source: Row
    classes: tuple[str, ...]
    prior: dict[str, float]
    log_prior: dict[str, float]
    posterior: dict[str, float]
    best: str
    second: str
    margin: float
    outlier: float
    outlier_limit: float
    is_outlier: bool
    n_missing: int
    sharpness: float
    prior_nats: float
    terms: tuple[Term, ...]
    categories: tuple[CategoryTotal, ...]
    counterparts: tuple[Row, ...]
    hypotheses: tuple[Row, ...]
    n_hypotheses: int
    p_kept: float
    master: Row | None
    labels: tuple[Row, ...]

    @property
    def known_class(self) -> str | None:
        """Class in the literature, if there is an undisputed one."""
        return next((label["class"] for label in self.labels if label["status"] == "used"), None)

    def track(self) -> FloatArray:
        """Posterior after the prior and after each term in turn, (P + 1, K)."""
        score = np.array([self.log_prior[c] for c in self.classes])
        steps = [score]
        for term in self.terms:
            score = score + np.array([term.said[c] for c in self.classes])
            steps.append(score)
        stacked = np.array(steps)
        p = np.exp(stacked - stacked.max(axis=1, keepdims=True))
        return p / p.sum(axis=1, keepdims=True)


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
    with showing(conn, run_id) as run:
        source_id = find(conn, run, source)
        model = model or models.load(conn, run["model_run_id"])
        return _explain(conn, run, model, source_id)


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
    names = sql.SQL(", ").join(sql.Identifier(p.name) for p in model.properties)
    values = one(conn, "report.values", keys, values=names)
    if row is None or decision is None or values is None:
        raise XcatError(f"source {source_id} was not classified in run {run['run_id']}")
    posterior = dict(zip(model.classes, decision["p"], strict=True))
    best = model.classes[decision["class_id"] - 1]
    second = max((c for c in model.classes if c != best), key=lambda c: posterior[c])
    b, s = model.classes.index(best), model.classes.index(second)
    x = np.array([[np.nan if values[p.name] is None else values[p.name] for p in model.properties]])
    inside, beyond = _inside(x, model.properties)
    terms = evidence(model, inside)[0].astype(np.float64)
    said = contribution(terms, model.term_exponents)
    by_class, adds = ([dict(zip(model.classes, t.tolist(), strict=True)) for t in array] for array in (terms, said))
    effective = said[:, b] - said[:, s]
    meaning = columns()
    return Explanation(
        run_id=run["run_id"],
        model_run_id=run["model_run_id"],
        source=row,
        classes=model.classes,
        prior=dict(zip(model.classes, model.priors.tolist(), strict=True)),
        log_prior=dict(zip(model.classes, model.log_prior.tolist(), strict=True)),
        posterior=posterior,
        best=best,
        second=second,
        margin=decision["margin"],
        outlier=decision["outlier"],
        outlier_limit=model.outlier_limit,
        is_outlier=decision["is_outlier"],
        n_missing=decision["n_missing"],
        sharpness=model.sharpness,
        prior_nats=float(model.log_prior[b] - model.log_prior[s]),
        terms=tuple(
            Term(
                p.name, p.category, meaning[p.name].unit, meaning[p.name].about.partition(":")[0],
                values[p.name], beyond[j], by_class[j], float(effective[j]), float(np.exp(effective[j])), adds[j],
            )
            for j, p in enumerate(model.properties)
        ),
        categories=_totals(model, terms, said, decision["class_without"], b, s),
        **_counterparts(conn, run, keys),
        labels=tuple(rows(conn, "report.labels", keys)),
    )  # fmt: skip


def _inside(x: FloatArray, properties: tuple[Property, ...]) -> tuple[FloatArray, list[str]]:
    """Bring values beyond the tables back to their ends.

    Beyond an end every class loses the same, which cannot move a probability; taken along, such a loss would only
    swallow the digits of the differences.
    """
    inside, beyond = x.copy(), []
    for j, prop in enumerate(properties):
        low, high = (10**prop.low, 10**prop.high) if prop.scale == "log10" else (prop.low, prop.high)
        beyond.append("below" if x[0, j] < low else "above" if x[0, j] > high else "")
        if beyond[-1] and not (prop.scale == "log10" and x[0, j] <= 0):
            inside[0, j] = np.clip(x[0, j], low, high)
    return inside, beyond


def _totals(
    model: Model, terms: FloatArray, said: FloatArray, class_without: list[int], b: int, s: int
) -> tuple[CategoryTotal, ...]:
    totals = []
    for t, category in enumerate(model.categories):
        mine = model.property_category == t
        total = terms[mine].sum(axis=0)
        nats = float((said[mine, b] - said[mine, s]).sum())
        totals.append(
            CategoryTotal(
                category,
                float(model.weights[t]),
                float(model.exponents[t]) if model.fitted_exponents is None else None,
                dict(zip(model.classes, total.tolist(), strict=True)),
                nats,
                float(np.exp(nats)),
                model.classes[class_without[t] - 1],
            )
        )
    return tuple(totals)


def _counterparts(conn: Connection, run: Row, keys: Row) -> dict[str, Any]:
    """What the match and link runs say of the source, as far as there are any."""
    found: dict[str, Any] = {"counterparts": (), "hypotheses": (), "n_hypotheses": 0, "p_kept": 0.0, "master": None}
    if run["match_run_id"] is not None:
        found["counterparts"] = tuple(rows(conn, "report.counterparts", keys))
        found["hypotheses"] = tuple(rows(conn, "report.hypotheses", {**keys, "most": _HYPOTHESES}))
        if found["hypotheses"]:
            found |= one(conn, "report.count_hypotheses", keys) or {}
    if run["link_run_id"] is not None:
        master = one(conn, "report.master", keys)
        if master is not None:
            others = rows(conn, "report.other_members", {**keys, "master_id": master["master_id"]})
            found["master"] = master | {"others": others}
    return found


def to_json(explanation: Explanation) -> dict[str, Any]:
    """An explanation as JSON-ready data."""
    return {**asdict(explanation), "known_class": explanation.known_class}


def text(explanation: Explanation, width: int = 100) -> str:
    """An explanation to read in a terminal."""
    return explain_text.text(explanation, width)


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
    return explain_figure.draw(explanation, models.load(conn, explanation.model_run_id), Path(path))
