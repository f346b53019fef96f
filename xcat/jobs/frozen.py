"""Frozen learning: what a pipeline takes from an earlier state in place of learning it anew.

A state is a classify run: its number, the label of a release, ``published`` or ``previous``. With ``model`` its
likelihood tables, weights, priors and outlier levels are used, with ``match: learned`` its densities, completeness,
magnitude priors and cutoffs. Then the answer for a source depends on that source, the catalogues around it and the
frozen parts, and not on which other sources there are, or in what order the data came.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xcat.database import runs
from xcat.database.connection import Connection
from xcat.database.sqlfiles import job
from xcat.errors import ConfigError, StageError, XcatError
from xcat.jobs import states
from xcat.jobs.pipeline import Pipeline
from xcat.output.reading import classify_run

#: keys of a match run that must be those of the match that has learned
_OF_MATCH = ("radius_arcsec", "nway", "completeness", "magnitudes")


@dataclass(frozen=True)
class Frozen:
    """The runs that a pipeline takes its learning from; None where it learns.

    Attributes
    ----------
    model_run_id : int or None
        Fit run of the model.
    classify_run_id : int or None
        Classify run by which it is known which labelled sources are as they were.
    match_run_id : int or None
        Match run that has learned.
    properties : tuple of str
        Properties of the model.
    """

    model_run_id: int | None = None
    classify_run_id: int | None = None
    match_run_id: int | None = None
    properties: tuple[str, ...] = ()


def of_pipeline(conn: Connection, pipeline: Pipeline) -> Frozen:
    """Find the runs that a pipeline names.

    Raises
    ------
    ConfigError
        There is no such state, or it has no match.
    StageError
        Its model has other classes than the pipeline.
    """
    model = classify = match = None
    if pipeline.model is not None:
        state = _state(conn, "model", pipeline.model)
        # what was frozen already comes from where it was learned, so that no chain of runs has to be kept
        model = state["model_run_id"]
        classify = runs.get(conn, state["run_id"])["config"].get("frozen_run_id", state["run_id"])
        if list(state["classes"]) != pipeline.class_names:
            raise StageError(
                f"model: {pipeline.model} has the classes {', '.join(state['classes'])}, the pipeline has "
                f"{', '.join(pipeline.class_names)}. Name the same classes in this order, or fit a model."
            )
    if pipeline.match.learned is not None:
        match = _state(conn, "match: learned", pipeline.match.learned)["match_run_id"]
        if match is None:
            raise ConfigError(f"match: learned: {pipeline.match.learned} has no match")
        match = runs.get(conn, match)["match_run_id"] or match
    found = conn.execute(job("fit.properties").compose(), {"run_id": model}).fetchall()
    return Frozen(model, classify, match, tuple(name for (name,) in found))


def _state(conn: Connection, key: str, name: int | str) -> Mapping[str, Any]:
    try:
        return classify_run(conn, states.run_of(conn, str(name)))
    except XcatError as error:
        raise ConfigError(f"{key}: {error}") from None


def check_match(conn: Connection, match_run_id: int, config: Mapping[str, Any], missions: Sequence[str]) -> None:
    """Refuse what a match has learned for another one.

    Parameters
    ----------
    config : mapping
        Of the match that is to use it.
    missions : sequence of str
        Names of its X-ray catalogues.

    Raises
    ------
    StageError
        The catalogues, missions or options differ; the message names them.
    """
    learned = runs.get(conn, match_run_id)
    merge = runs.get(conn, learned["source_run_id"])
    before, now = ([c["catalogue"] for c in of["counterparts"]] for of in (learned["config"], config))
    wrong = [] if before == now else [f"it was with {', '.join(before)}, not {', '.join(now)}"]
    known = [mission["catalogue"] for mission in merge["config"]["xray"]]
    if sorted(known) != sorted(missions):
        wrong.append(f"it was for {', '.join(known)}, not {', '.join(missions)}")
    for key in _OF_MATCH:
        if learned["config"].get(key) != config.get(key):
            wrong.append(f"{key} was {learned['config'].get(key)}, not {config.get(key)}")
    if wrong:
        raise StageError(
            f"the match of run {match_run_id} learned something else: {'; '.join(wrong)}. Leave out 'learned' to match "
            "and learn anew."
        )


def held_out_run(row: Mapping[str, Any]) -> int:
    """Run with the out-of-fold answers that belong to a classify run: its model's; with a frozen one its own."""
    return int(row["run_id"] if "frozen_run_id" in row["config"] else row["model_run_id"])
