"""One row of a user's table, and what its class rests on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from xcat.classifier.model import Model
from xcat.classifier.posterior import Classification, classify
from xcat.classifier.sample import Sample
from xcat.config import Settings
from xcat.database.connection import ready
from xcat.errors import ConfigError, InputError
from xcat.output.reading import Row
from xcat.own.classify_table import ClassifyOptions, TableWork
from xcat.own.mission import Mission
from xcat.tables.facts import TableLike


@dataclass(frozen=True)
class RowEvidence:
    """What the class of one row rests on.

    Attributes
    ----------
    mission : Mission
        With the row alone; its connection has the temporary tables.
    source : dict
        The row as `report.source` has a source.
    model : Model
        With the priors of the row.
    model_run_id : int
        Fit run of the model, or of that which it was made from.
    sample : Sample
        One source.
    result : Classification
    """

    mission: Mission
    source: Row
    model: Model
    model_run_id: int
    sample: Sample
    result: Classification


@contextmanager
def row_evidence(
    settings: Settings, table: TableLike, row: int, options: ClassifyOptions | None = None
) -> Iterator[RowEvidence]:
    """One row of a table as a mission, for as long as the block.

    Raises
    ------
    InputError
        The table has no such row, or it cannot be used.
    ConfigError
        The table's own counterparts are used: there are no hypotheses to explain.
    """
    options = options or ClassifyOptions()
    with ready(settings) as conn:
        work = TableWork(settings, conn, table, options)
        if work.is_of_table:
            raise ConfigError("--explain: explains counterparts that were searched for, not those of the table itself")
        chunk = work.chunk_of(row)
        mission = work.mission()
        try:
            converted, records, sample = work.loaded(mission, chunk)
            if not len(converted):
                raise InputError(f"{work.facts.name}: row {row}: {converted.rejects.reason[0]}")
            ((_, at_hand),) = work.by_coverage(sample, records)
            model, priors = at_hand.model, work.priors(at_hand.model)
            sample = sample.select([p.name for p in model.properties])
            ratio = None
            if priors is not None and (priors.kind != "estimate" or priors.shares is not None):
                ratio = work.ratio(priors, sample, mission.brightness(), np.arange(1))
            result = classify(model, sample, ratio)
            if ratio is not None:
                shares = model.priors * ratio[0]
                model = replace(model, priors=shares / shares.sum())
            run_id = at_hand.run_id if at_hand.run_id is not None else at_hand.of_run_id
            yield RowEvidence(mission, mission.source(work.facts.label), model, run_id, sample, result)
        finally:
            conn.rollback()
