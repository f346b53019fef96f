"""Samples from the database: property rows with errors, limits, coverage and counterpart hypotheses."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psycopg import sql

from xcat.arrays import IntArray
from xcat.classifier.model import Model
from xcat.classifier.sample import NOT_OBSERVED, Hypotheses, Sample
from xcat.columns.properties import SHIFT_COLUMNS, Property, absence_of, column_of, shift_of
from xcat.columns.registry import property_entries
from xcat.database import copy, partitions
from xcat.database.connection import Connection
from xcat.database.sqlfiles import job

Columns = list[tuple[str, str]]
_ID, _P = ("source_id", "bigint"), ("p_hypothesis", "real")
_FEW = 100_000  # up to so many source ids are sent to the server; for more, it returns the order of all


class Layout:
    """Which columns of the database make a sample.

    Parameters
    ----------
    errors, limits : collection of str
        Properties whose errors and lower limits are wanted, if the registry has a column for them.
    hypotheses : bool
        Whether hypotheses are wanted.
    galaxy : bool
        Whether it is wanted what the Galaxy takes away from objects behind it.
    absence : bool
        Whether the absence of a counterpart is counted once.
    """

    def __init__(
        self,
        properties: Sequence[Property],
        errors: Iterable[str] = (),
        limits: Iterable[str] = (),
        hypotheses: bool = True,
        galaxy: bool = False,
        absence: bool = False,
    ) -> None:
        self.properties = tuple(properties)
        names = [p.name for p in properties]
        with_error, with_limit = set(errors), set(limits)
        self.error = [column_of(name, "error") if name in with_error else None for name in names]
        self.limit = [column_of(name, "limit") if name in with_limit else None for name in names]
        self.observed = [column_of(name, "observed") for name in names]
        dependent = {entry["name"] for entry in property_entries() if entry.get("counterpart")}
        self.dependent = [j for j, name in enumerate(names) if name in dependent] if hypotheses else []
        #: numbers of the flux ratios that count the absence of a counterpart, for properties that need it
        self.absence = {
            j: [names.index(ratio) for ratio in absence_of(name) if ratio in names and self.limit[names.index(ratio)]]
            for j, name in enumerate(names if absence else ())
        }
        self.shift = [shift_of(name) if galaxy else None for name in names]
        of_galaxy = SHIFT_COLUMNS if any(self.shift) else ()
        #: columns with numbers, each once
        self.reals = list(dict.fromkeys([*names, *(c for c in (*self.error, *self.limit) if c), *of_galaxy]))
        #: columns that tell whether a property was observed, each once
        self.flags = list(dict.fromkeys(c for c in self.observed if c is not None))
        #: names and types of the columns of a source
        self.columns: Columns = [*((c, "real") for c in self.reals), *((c, "boolean") for c in self.flags)]
        #: names and types of the columns of a hypothesis
        self.hypothesis_columns: Columns = [(names[j], "real") for j in self.dependent]

    @classmethod
    def of_model(cls, model: Model, best_match: bool) -> Layout:
        """Columns that a model uses."""
        tables = {p.name: table for p, table in zip(model.properties, model.tables, strict=True)}
        errors = [name for name, table in tables.items() if table.log_smeared is not None]
        limits = [name for name, table in tables.items() if table.log_above is not None]
        is_new = model.behind is not None  # a model of before counts every missing value, as it was fitted
        galaxy = model.behind is not None and bool(model.behind.any())
        return cls(model.properties, errors, limits, not best_match, galaxy, is_new)

    @property
    def values(self) -> sql.Composable:
        """The columns of the source's row, for a SELECT."""
        flags = [sql.Identifier("p", name) for name in self.flags]
        return sql.SQL(", ").join([*(job("classify.value").compose(name=name) for name in self.reals), *flags])

    @property
    def hypothesis_values(self) -> sql.Composable:
        """The columns of a hypothesis, for a SELECT."""
        return sql.SQL(", ").join(job("classify.value").compose(name=name) for name, _ in self.hypothesis_columns)

    def sample(self, rows: np.ndarray, hypotheses: np.ndarray | None = None) -> Sample:
        """Make a sample of rows and of the hypotheses of these sources, both sorted by source_id."""
        values = np.stack([rows[p.name] for p in self.properties], axis=1).astype(np.float64)
        errors, limits = self._stack(rows, self.error), self._stack(rows, self.limit)
        self._mark_unobserved(values, self.observed, rows, slice(None))
        self._count_absence_once(values, values, limits, range(values.shape[1]))
        made = None
        if hypotheses is not None and self.dependent:
            owner = np.searchsorted(rows["source_id"], hypotheses["source_id"])
            table = np.stack([hypotheses[name] for name, _ in self.hypothesis_columns], axis=1).astype(np.float64)
            self._mark_unobserved(table, [self.observed[j] for j in self.dependent], rows, owner)
            every = values[owner]
            every[:, self.dependent] = table
            self._count_absence_once(table, every, None if limits is None else limits[owner], self.dependent)
            made = Hypotheses.of(owner, hypotheses["p_hypothesis"], self.dependent, table, len(rows))
        return Sample(self.properties, values, errors, limits, made, shifts(rows, self.shift))

    @staticmethod
    def absence_counted_once(sample: Sample) -> Sample:
        """A sample with limits, in which the absence of a counterpart is counted once."""
        layout = Layout(sample.properties, limits=[p.name for p in sample.properties], absence=True)
        values = sample.values.copy()
        layout._count_absence_once(values, values.copy(), sample.limits, range(values.shape[1]))
        return replace(sample, values=values)

    def _count_absence_once(
        self, table: np.ndarray, every: np.ndarray, limits: np.ndarray | None, columns: Sequence[int]
    ) -> None:
        """Where the limit of a flux ratio tells that there is no counterpart, what else it lacks is no news.

        The `table` has some columns of `every`, by number.
        """
        if limits is None:
            return
        absent = np.isnan(every) & ~np.isnan(limits)
        for i, j in enumerate(columns):
            if self.absence.get(j):
                table[np.isnan(table[:, i]) & absent[:, self.absence[j]].any(axis=1), i] = NOT_OBSERVED

    @staticmethod
    def _mark_unobserved(
        values: np.ndarray, flags: list[str | None], rows: np.ndarray, owner: IntArray | slice
    ) -> None:
        for j, flag in enumerate(flags):
            if flag is not None:  # a boolean of COPY is a byte here: 0 or 1, not a mask
                values[(rows[flag][owner] == 0) & np.isnan(values[:, j]), j] = NOT_OBSERVED

    def _stack(self, rows: np.ndarray, names: list[str | None]) -> np.ndarray | None:
        if not any(names):
            return None
        missing = np.full(len(rows), np.nan)
        return np.stack([missing if name is None else rows[name] for name in names], axis=1).astype(np.float64)


def shifts(columns: Any, per_column: Sequence[tuple[float, ...] | None]) -> np.ndarray | None:
    """What brings the values of objects behind the Galaxy before it, (N, P).

    Parameters
    ----------
    columns : mapping or structured array
        The columns `SHIFT_COLUMNS`, each (N,); NaN where nothing is known, which shifts nothing.
    per_column : sequence of P
        As `shift_of` gives them; None for all: there is nothing to shift.
    """
    if not any(per_column):
        return None
    of_galaxy = np.stack([np.nan_to_num(columns[name].astype(np.float64)) for name in SHIFT_COLUMNS], axis=1)
    nothing = (0.0,) * len(SHIFT_COLUMNS)
    return np.asarray(of_galaxy @ np.array([shift or nothing for shift in per_column]).T)


def in_order(conn: Connection, source_run_id: int, source_ids: list[int] | None = None) -> IntArray:
    """Ids of the sources of a merge run, or of some, in an order that depends on the data only.

    The order is by mission, as in the run's configuration, and by the mission's source id.
    """
    query, values = job("merge.source_order").compose(), {"source_run_id": source_run_id, "source_ids": source_ids}
    return np.asarray(copy.fetch_columns(conn, query, [("source_id", "bigint")], values)["source_id"], np.int64)


def places(conn: Connection, source_run_id: int, source_id: IntArray) -> IntArray:
    """Permutation of sources into an order that depends on the data only, not on the ids that the database assigned.

    Parameters
    ----------
    source_id : (N,) int64
        Sources of that merge run, without repetition.

    Returns
    -------
    (N,) int64
        Indices that sort them as `in_order` does.
    """
    sorted_ids = in_order(conn, source_run_id, source_id.tolist() if source_id.size <= _FEW else None)
    by_id = np.argsort(source_id, kind="stable")
    place = np.searchsorted(source_id, sorted_ids, sorter=by_id)
    index = by_id[np.minimum(place, source_id.size - 1)] if source_id.size else by_id
    return np.asarray(index[source_id[index] == sorted_ids], np.int64)


def labelled(
    conn: Connection, layout: Layout, classes: Sequence[str], runs: Mapping[str, int], kinds: Sequence[str] = ()
) -> tuple[IntArray, Sample, IntArray, IntArray, NDArray[np.bool_], np.ndarray]:
    """Read the labelled sources of a label run.

    Parameters
    ----------
    runs : mapping
        Run of "merge", "label" and "properties".
    kinds : sequence of str
        Kinds that the labels may have.

    Returns
    -------
    source_id : (N,) int64
        In the order of `places`: folds and sums must not depend on the ids.
    sample : Sample
        With the errors, limits and hypotheses of the layout.
    label : (N,) int64
        Number of the class in `classes`.
    group : (N,) int64
        Cell of 1.4 degrees on the sky.
    is_classifiable : (N,) bool
    kind : (N,) str
        Kind of the class, empty for none of these.
    """
    values = {
        "classes": list(classes),
        "kinds": list(kinds),
        "source_run_id": runs["merge"],
        "label_run_id": runs["label"],
        "property_run_id": runs["properties"],
    }
    extra = [("class_index", "integer"), ("kind", "integer"), ("sky_cell", "bigint"), ("is_classifiable", "boolean")]
    query = job("fit.reference_sample").compose(values=layout.values)
    rows = copy.fetch_columns(conn, query, [_ID, *extra, *layout.columns], values)
    hypotheses = None
    if layout.dependent:
        query = job("fit.reference_hypotheses").compose(values=layout.hypothesis_values)
        hypotheses = copy.fetch_columns(conn, query, [_ID, _P, *layout.hypothesis_columns], values)
    source_id = rows["source_id"].astype(np.int64)
    order = places(conn, runs["merge"], source_id)
    return (
        source_id[order],
        layout.sample(rows, hypotheses).take(order),
        rows["class_index"].astype(np.int64)[order],
        rows["sky_cell"].astype(np.int64)[order],
        rows["is_classifiable"].astype(bool)[order],
        np.array(["", *kinds])[rows["kind"]][order],
    )


def every_source(
    reader: Connection, second: Connection, layout: Layout, property_run_id: int, chunk_rows: int
) -> Generator[tuple[np.ndarray, Sample], None, None]:
    """Read all sources of a properties run in chunks, sorted by source_id.

    Parameters
    ----------
    reader, second : Connection
        Two sessions: the hypotheses are read with a separate COPY.

    Yields
    ------
    rows : structured array
        With source_id and is_classifiable.
    sample : Sample
    """
    table = partitions.qualified("property", property_run_id)
    query = job("classify.property_rows").compose(values=layout.values, property=table)
    columns = [_ID, ("is_classifiable", "boolean"), *layout.columns]
    sources = copy.copy_out(reader, query, columns, chunk_rows=chunk_rows)
    hypotheses: Generator[np.ndarray, None, None] | None = None
    if layout.dependent and partitions.exists(second, "hypothesis_property", property_run_id):
        table = partitions.qualified("hypothesis_property", property_run_id)
        query = job("classify.hypothesis_rows").compose(values=layout.hypothesis_values, property=table)
        hypotheses = copy.copy_out(second, query, [_ID, _P, *layout.hypothesis_columns], chunk_rows=chunk_rows)
    try:
        ahead = _Ahead(hypotheses or iter(()))
        for rows in sources:
            yield rows, layout.sample(rows, ahead.up_to(int(rows["source_id"][-1])))
    finally:
        # end an unfinished COPY, or its session would wait for it forever
        sources.close()
        if hypotheses is not None:
            hypotheses.close()


class _Ahead:
    """The stream of hypotheses, cut at the same sources as the stream of sources."""

    def __init__(self, stream: Iterator[np.ndarray]) -> None:
        self.stream = stream
        self.kept: list[np.ndarray] = []

    def up_to(self, source_id: int) -> np.ndarray | None:
        """Hypotheses of the sources up to this one that were not returned before."""
        while not self.kept or self.kept[-1]["source_id"][-1] <= source_id:
            more = next(self.stream, None)
            if more is None:
                break
            self.kept.append(more)
        if not self.kept:
            return None
        together = np.concatenate(self.kept)
        cut = int(np.searchsorted(together["source_id"], source_id, side="right"))
        self.kept = [together[cut:]] if cut < len(together) else []
        return together[:cut]
