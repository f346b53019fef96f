"""A model for the columns at hand: a user's table rarely has all the properties of the published model.

The weights of a model were fitted with every term present, so terms cannot simply be left out. They are fitted again on
the same labelled sources for the properties that the table can have; the tables stay. It takes seconds, and is kept as
a fit run that reads the model: the next table with the same properties uses it again. It leaves with the model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xcat import progress
from xcat.classifier.kinds import Kinds
from xcat.classifier.metrics import summarise
from xcat.classifier.model import HOW_FITTED, Model
from xcat.classifier.refit import refit
from xcat.config import Settings
from xcat.database import runs
from xcat.database.connection import Connection, ready
from xcat.database.sqlfiles import job
from xcat.errors import XcatError
from xcat.models import samples, store

_LINEAGE = ("source_run_id", "link_run_id", "match_run_id", "property_run_id", "label_run_id")
_HARDLY = 0.02
"""An accuracy that exceeds the share of the largest class by less says hardly anything about a source."""


@dataclass(frozen=True, eq=False)
class AtHand:
    """A model with just the properties that a table can have.

    Attributes
    ----------
    model : Model
    of_run_id : int
        Fit run of the model with all properties.
    run_id : int or None
        Fit run in which this one is kept; None if it could not be stored.
    figures : dict
        Out of fold, as `xcat.classifier.metrics.summarise` gives them; empty if they were not measured.
    messages : list of str
        Which model it is, and how accurate.
    """

    model: Model
    of_run_id: int
    run_id: int | None
    figures: dict[str, Any]
    messages: list[str] = field(default_factory=list)


def model_at_hand(settings: Settings, conn: Connection, run_id: int, names: Sequence[str]) -> AtHand:
    """Give a model with some of the properties of another, fitted for these.

    Parameters
    ----------
    settings : Settings
        The model is stored on a connection of its own.
    conn : Connection
        Reads; it need not be able to write.
    run_id : int
        A fit run, or a classify run: its model.
    names : sequence of str
        Properties; those that the model does not have are ignored.

    Returns
    -------
    AtHand
        With all properties the model itself. Who may not write gets a model that is not stored.

    Raises
    ------
    XcatError
        There is no such run, it made no model, or the model has none of the properties.

    Notes
    -----
    The figures are of the same folds as those of the whole model, so that the two can be compared: with half as many,
    the log-loss of 19 of 25 properties of 2,842 Chandra sources is .114 instead of .102, as that of all is .107 instead
    of .095. Everything but the smoothing is fitted inside the folds (`xcat.classifier.refit`).
    """
    parent = _fit_run(conn, run_id)
    whole = store.load(conn, parent["run_id"])
    kept = [p.name for p in whole.properties if p.name in set(names)]
    if not kept:
        raise XcatError(
            f"none of the properties of the model of run {parent['run_id']} is at hand. It has: "
            f"{', '.join(p.name for p in whole.properties)}"
        )
    of_whole = (parent["summary"] or {}).get("out_of_fold", {})
    if len(kept) == len(whole.properties):
        return AtHand(
            whole, parent["run_id"], parent["run_id"], of_whole, [_all_message(parent["run_id"], whole, of_whole)]
        )
    made = _stored(conn, parent, kept) or _made(settings, conn, parent, whole, kept)
    made.messages.insert(0, _message(made, whole, of_whole))
    made.messages.extend(_remarks(made, whole))
    return made


def _fit_run(conn: Connection, run_id: int) -> dict[str, Any]:
    """Row of the fit run of a model with all its properties."""
    row = runs.get(conn, run_id)
    if row["kind"] == "classify" or (row["kind"] == "fit" and row["model_run_id"] is not None):
        row = runs.get(conn, row["model_run_id"])
    if row["kind"] != "fit" or row["status"] != "done":
        raise XcatError(f"run {run_id} is a {row['kind']} run, {row['status']}; it has no model. See: xcat models")
    return row


def _config(parent: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {"of_model": parent["run_id"], "properties": list(names)}


def _stored(conn: Connection, parent: Mapping[str, Any], names: Sequence[str]) -> AtHand | None:
    done = runs.find_done(conn, "fit", _config(parent, names))
    if done is None:
        return None
    figures = runs.get(conn, done)["summary"]["out_of_fold"]
    return AtHand(store.load(conn, done), parent["run_id"], done, figures)


def _made(
    settings: Settings, conn: Connection, parent: Mapping[str, Any], whole: Model, names: Sequence[str]
) -> AtHand:
    """Fit the model, and store it if this user may."""
    row = conn.execute(job("fit.may_store").compose()).fetchone()
    if row is None or not row[0]:
        model, figures, _ = _fitted(conn, parent, whole, names)
        why = "it is not stored, because this user of the database may not write: every use fits it anew"
        return AtHand(model, parent["run_id"], None, figures, [why])
    config = _config(parent, names)
    with ready(settings, autocommit=True) as turn:
        turn.execute(job("fit.one_at_hand").compose(), {"config_key": runs.config_key("fit", config)})
        done = _stored(turn, parent, names)  # by another process, while this one waited
        if done is not None:
            return done
        lineage = {name: parent[name] for name in _LINEAGE} | {"model_run_id": parent["run_id"]}
        name = f"{parent['name']} (properties at hand)"
        with runs.stage(settings, "fit", name, config, **lineage) as run:
            with run.step("fit"):
                model, figures, summary = _fitted(run.conn, parent, whole, names)
            store.store(run.conn, run.run_id, model)
            run.summary |= summary
        # as it was stored: the first use gives the same digits as all others
        return AtHand(store.load(turn, run.run_id), parent["run_id"], run.run_id, figures)


def _fitted(
    conn: Connection, parent: Mapping[str, Any], whole: Model, names: Sequence[str]
) -> tuple[Model, dict[str, Any], dict[str, Any]]:
    """The model, its figures, and the summary of its run."""
    config, summary = parent["config"] or {}, parent["summary"] or {}
    layout = samples.Layout.of_model(whole.select(names), bool(config.get("best_match", False)))
    reads = {"merge": "source_run_id", "label": "label_run_id", "properties": "property_run_id"}
    read = {kind: parent[column] for kind, column in reads.items()}
    with progress.bar(f"fit the weights of {len(names)} of {len(whole.properties)} properties"):
        kinds_of = dict(zip(whole.classes, whole.part_of or whole.classes, strict=True))
        _, sample, label, cell, _, kind = samples.labelled(conn, layout, whole.answers, read, whole.classes)
        kinds = Kinds.of(label, kind, whole.answers, kinds_of)
        of_run, priors = summary.get("priors_given", {}), whole.answer_priors.tolist()
        given = np.array([of_run.get(c, prior) for c, prior in zip(whole.answers, priors, strict=True)])
        as_before = {"objective": "objective", "sharpness": "sharpness", "seed": "seed", "folds": "n_folds"}
        options = {name: config[key] for key, name in as_before.items() if key in config}
        model, validation = refit(whole, sample, kinds.label, cell, kinds.priors(whole.answers, given), **options)
    figures = summarise(validation.p, label, whole.answers, model.answer_priors)
    kept = {key: summary[key] for key in ("n_reference", "priors", "priors_given") if key in summary}
    fitted = {key: getattr(model, key) for key in HOW_FITTED}
    weights = dict(zip(model.categories, model.weights.tolist(), strict=True))
    return model, figures, kept | fitted | {"weights": weights, "out_of_fold": figures}


def _all_message(run_id: int, model: Model, figures: Mapping[str, Any]) -> str:
    text = f"model of run {run_id} with all its {len(model.properties)} properties"
    if not figures:
        return text
    of_sample = figures["sample"]
    return f"{text}: out of fold accuracy {of_sample['accuracy']:.3f}, log-loss {of_sample['log_loss']:.3f}"


def _message(made: AtHand, whole: Model, of_whole: Mapping[str, Any]) -> str:
    run = "" if made.run_id is None else f" (run {made.run_id})"
    accuracy, loss = (made.figures["sample"][key] for key in ("accuracy", "log_loss"))
    of_all = ["", ""]
    if of_whole:
        before = of_whole["sample"]
        of_all = [f" (all properties {before['accuracy']:.3f})", f" ({before['log_loss']:.3f})"]
    return (
        f"model of run {made.of_run_id} refitted for {len(made.model.properties)} of its {len(whole.properties)} "
        f"properties{run}: out of fold accuracy {accuracy:.3f}{of_all[0]}, log-loss {loss:.3f}{of_all[1]}"
    )


def _remarks(made: AtHand, whole: Model) -> list[str]:
    """What else a user must know before believing the classes."""
    lines = []
    if whole.has_sky_prior and not made.model.has_sky_prior:
        axes = " and ".join(whole.pairs[-1].axes)
        lines.append(
            f"the priors of the model are a function of {axes}; without both, those of the whole catalogue apply"
        )
    n = {name: figures["n"] for name, figures in made.figures["classes"].items()}
    largest = max(n, key=lambda name: n[name])
    share = n[largest] / max(sum(n.values()), 1)
    if made.figures["sample"]["accuracy"] < share + _HARDLY:
        lines.append(
            "these properties say hardly anything about a source: to take every labelled source for "
            f"{largest} has accuracy {share:.3f}"
        )
    return lines
