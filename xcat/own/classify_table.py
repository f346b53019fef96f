"""Classify a user's table: its rows as a mission of their own, with what the published run has learned.

Nothing is learned from the rows and nothing is written to the database, but the model for the properties at hand
(`xcat.own.at_hand`). The rows go through in pieces, so that memory is bounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from xcat import progress
from xcat.arrays import BoolArray
from xcat.classifier.model import Model
from xcat.classifier.posterior import classify
from xcat.classifier.sample import NOT_OBSERVED, Sample
from xcat.columns.properties import column_of
from xcat.columns.registry import columns as meanings
from xcat.columns.registry import property_entries
from xcat.config import Settings
from xcat.database.connection import Connection, ready
from xcat.database.sqlfiles import job
from xcat.errors import InputError, XcatError
from xcat.ingest.convert import convert
from xcat.ingest.opened import RawChunk
from xcat.ingest.rows import Rows, unit_factor
from xcat.models import published_run
from xcat.models.published_run import PublishedRun
from xcat.models.samples import Layout
from xcat.models.training_range import off_range
from xcat.output.provenance import provenance
from xcat.output.regions import Places
from xcat.own import answer_columns, reasons
from xcat.own.answer_columns import Column
from xcat.own.at_hand import AtHand, model_at_hand
from xcat.own.mission import Mission
from xcat.own.property_columns import UserProperties, check_range, read_properties
from xcat.own.spooled import Spool
from xcat.own.table_priors import TablePriors, priors_of
from xcat.own.table_result import TableResult, costs, step
from xcat.properties import depth
from xcat.sky.galactic_column import log_hydrogen_at
from xcat.tables.facts import TableFacts, TableLike, describe
from xcat.tables.guess import Wanted
from xcat.tables.xray_columns import XrayColumns, xray_columns

_PIECE = 20_000  # rows; their hypotheses are in memory together
_FLUX = ("log_fx", "log_lx")  # properties that need a flux, by the beginning of their names
Answer = dict[str, Column]


@dataclass(frozen=True)
class ClassifyOptions:
    """What a user states about a table and its classification.

    Attributes
    ----------
    run_id : int or None
        Classify run whose catalogues, learning and model are used; the published one if not given.
    mission : str
        Mission of that run that the rows are like, by name; by default each row is like the mission whose positional
        errors are nearest to its own.
    own_counterparts : bool
        Use the magnitudes and motions of the table instead of searching for counterparts.
    priors : str
        See `xcat.own.table_priors.priors_of`; the model's own if empty.
    band : (float, float) or None
        Energies of the flux, keV.
    columns : mapping
        Columns by property or quantity.
    wanted : Wanted
        Columns of position and error.
    hdu : int, str or None
        Extension of a FITS file.
    """

    run_id: int | None = None
    mission: str = ""
    own_counterparts: bool = False
    priors: str = ""
    band: tuple[float, float] | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    wanted: Wanted = field(default_factory=Wanted)
    hdu: int | str | None = None


@dataclass
class Classified:
    """A classified table: `spool` has its rows, `places` where they are; the others as in `TableResult`."""

    spool: Spool
    messages: list[str]
    summary: dict[str, Any]
    places: Places

    def result(self) -> TableResult:
        """All of it in memory."""
        return TableResult(self.spool.table(), self.messages, self.summary)


def classify_table(settings: Settings, table: TableLike, options: ClassifyOptions | None = None) -> Classified:
    """Classify the rows of a table.

    Raises
    ------
    InputError, ConfigError
        The table cannot be read, a column is missing or ambiguous, values are off the range of the training sample.
    XcatError
        Nothing is published, or the run that is named cannot be used.
    """
    options = options or ClassifyOptions()
    with ready(settings) as conn:
        work = TableWork(settings, conn, table, options)
        return work.classified()


class TableWork:
    """One table on its way through."""

    def __init__(self, settings: Settings, conn: Connection, table: TableLike, options: ClassifyOptions) -> None:
        self.settings, self.conn, self.source, self.options = settings, conn, table, options
        self.seconds: dict[str, float] = {}
        with step(self.seconds, "read", "read the table"):
            self.facts: TableFacts = describe(table, options.hdu)
        self.published: PublishedRun = published_run.load(conn, options.run_id)
        self.catalogues = [loaded.definition for loaded in self.published.counterparts]
        self.columns: XrayColumns = xray_columns(
            self.facts, options.wanted, options.columns, options.band, needs_error=not options.own_counterparts
        )
        self.messages = list(self.columns.messages)
        names = self._model_properties()
        self.is_of_table = options.own_counterparts or self.columns.matched is not None
        self.user: UserProperties | None = None
        if self.is_of_table:
            place = {name: column for name in ("ra", "dec") if (column := getattr(options.wanted, name)) is not None}
            self.user = read_properties(table, names, options.band, {**options.columns, **place}, options.hdu)
            available = [n for n, has in zip(self.user.names, self.user.has_columns, strict=True) if has]
            self.messages = list(self.user.messages)
            if self.user.accepted is not None and not self.user.accepted.all():
                self.messages.append(
                    f"{self.facts.label}: {(~self.user.accepted).sum():,} sources without an accepted counterpart are "
                    "classified as if nobody had searched: nothing says how deep that match has looked. To have them "
                    "searched for, classify the table as it was before the match"
                )
        else:
            available = [name for name in names if self._is_available(name)]
        if not available:
            raise XcatError(f"{self.facts.name}: the table gives none of the model's properties ({', '.join(names)})")
        with progress.timed(self.seconds, "model"):
            run = self.published.run
            self.at_hand: AtHand = model_at_hand(settings, conn, run["model_run_id"], available)
        conn.rollback()
        self.available = available
        if self.user is not None:
            n_messages = len(self.user.messages)
            check_range(self.user, self.at_hand.model)
            self.messages += self.user.messages[n_messages:]
        self.messages += self.at_hand.messages
        if self.columns.magnitudes and not self.is_of_table:
            names_ = ", ".join(self.columns.magnitudes[:8]) + (" ..." if len(self.columns.magnitudes) > 8 else "")
            catalogues = ", ".join(c.definition.name for c in self.published.counterparts) or "no catalogue"
            self.messages.append(
                f"{self.facts.label}: its own magnitudes and motions ({names_}) are not used: counterparts are "
                f"searched for in {catalogues}. To use the table's own: --own-counterparts"
            )
        self.n_rejected: dict[str, int] = {}
        self.n_unsearched: dict[str, int] = {}  # rows by the properties that nobody has looked for
        self.shares: np.ndarray | None = None  # priors estimated from the table
        self.places: list[np.ndarray] = []  # right ascension, declination and error of all rows, piece by piece
        self._priors: dict[tuple[str, ...], TablePriors] = {}
        self._at_hand: dict[tuple[str, ...], AtHand] = {}  # models for what was searched

    def _model_properties(self) -> list[str]:
        row = self.conn.execute(job("own.model_properties").compose(), self.published.run).fetchone()
        return list(row[0]) if row and row[0] else []

    def _is_available(self, name: str) -> bool:
        entry = _entry(name)
        provided = {*self.columns.provided, *self.columns.direct}
        if entry.get("counterpart"):
            needs_flux = name.startswith(_FLUX)
            return bool(self.published.counterparts) and (not needs_flux or "log_fx" in provided)
        return name in provided

    def chunk_of(self, row: int) -> RawChunk:
        """One row of the table, by its number from 1."""
        with self.facts.open() as reader:
            for chunk in reader:
                if chunk.first_row <= row < chunk.first_row + chunk.n_rows:
                    return RawChunk(chunk.batch.slice(row - chunk.first_row, 1), row)
        raise InputError(f"{self.facts.name}: there is no row {row}")

    # --- the steps of a piece ---

    def mission(self) -> Mission:
        """A mission without rows."""
        group = published_run.mission_number(self.published, self.options.mission)
        return Mission(self.conn, self.published, self.columns.definition, group)

    def priors(self, model: Model) -> TablePriors | None:
        """The priors that the user gave, for a model; those that were estimated are the same for all."""
        given = self.options.priors
        if not given.strip():
            return None
        key = tuple(p.name for p in model.properties)
        if key not in self._priors:
            self._priors[key] = priors_of(self.conn, model, given)
            self._priors[key].shares = self.shares if self.shares is not None else self._priors[key].shares
        return self._priors[key]

    def by_coverage(self, sample: Sample, records: np.ndarray | None) -> list[tuple[np.ndarray, AtHand]]:
        """Rows that were searched for the same properties, each with the model for these.

        The `records` say which kinds of catalogues cover each row; without them what is missing for want of a search
        does.

        A term that nobody has looked for cannot simply be left out of the sum: the weights of the others were fitted
        beside it.
        """
        searched = np.asarray(sample.values != NOT_OBSERVED)
        if records is not None and len(records):
            flags = [column_of(p.name, "observed") for p in sample.properties]
            every = np.ones(len(sample), bool)
            searched = np.stack([every if flag is None else records[flag] != 0 for flag in flags], axis=1)
        if searched.all() or not len(sample):
            return [(np.arange(len(sample)), self.at_hand)]
        names = np.array([p.name for p in sample.properties])
        patterns, pattern = np.unique(searched, axis=0, return_inverse=True)
        groups = []
        for k, has in enumerate(patterns):
            rows, key = np.flatnonzero(pattern.ravel() == k), tuple(names[has])
            if has.all() or not has.any():
                groups.append((rows, self.at_hand))
                continue
            if key not in self._at_hand:
                made = model_at_hand(self.settings, self.conn, self.published.run["model_run_id"], key)
                self._at_hand[key] = made
                self.messages += made.messages
            kinds = {str(column_of(name, "observed")).removeprefix("observed_") for name in names[~has]}
            what = f"{' and '.join(sorted(kinds))} counterparts"
            if self.user is None:  # of a matched table it has been said
                self.n_unsearched[what] = self.n_unsearched.get(what, 0) + len(rows)
            groups.append((rows, self._at_hand[key]))
        return groups

    def answered(
        self, sample: Sample, records: np.ndarray | None, brightness: np.ndarray | None, with_priors: bool = True
    ) -> Answer:
        """The columns about the classification of some rows, each with the model for what was searched."""
        whole: dict[str, np.ndarray] = {}
        log_fx = np.full(len(sample), np.nan) if brightness is None else brightness["log_fx"].astype(np.float64)
        for rows, at_hand in self.by_coverage(sample, records):
            model, part = at_hand.model, sample.take(rows).select([p.name for p in at_hand.model.properties])
            priors = self.priors(model) if with_priors else None
            if part.limits is not None:
                part = Layout.absence_counted_once(part)
            ratio = None if priors is None or not len(rows) else self.ratio(priors, part, brightness, rows)
            result = classify(model, part, ratio)
            columns = answer_columns.columns(model, result) | {
                "reason": reasons.sentences(model, part, result, log_fx[rows])
            }
            for name, values in columns.items():
                if name not in whole:
                    whole[name] = np.zeros(len(sample), values.dtype)
                elif values.dtype.itemsize > whole[name].dtype.itemsize:  # longer texts
                    whole[name] = whole[name].astype(values.dtype)
                whole[name][rows] = values
        return {name: np.ma.asarray(values) for name, values in whole.items()}

    @staticmethod
    def ratio(priors: TablePriors, part: Sample, brightness: np.ndarray | None, rows: np.ndarray) -> np.ndarray:
        """Factors from the model's priors to those of rows, by their flux and place where the priors depend on it."""
        if brightness is None or priors.kind != "counts":
            return priors.ratio(part)
        of_rows = brightness[rows]
        log_nh = log_hydrogen_at(of_rows["ra"], of_rows["dec"])
        return priors.ratio(part, of_rows["flux_std_cgs"], of_rows["abs_b"], of_rows["glon"], log_nh)

    def loaded(self, mission: Mission, chunk: RawChunk) -> tuple[Any, np.ndarray, Sample]:
        """Take rows through the stages: the converted rows, their records, and their sample."""
        converted = convert(chunk, self.columns.definition)
        model = self.at_hand.model
        if not len(converted):
            nothing = np.zeros((0, len(model.properties)))
            return (
                converted,
                np.zeros(0, [("source_id", "i8"), ("is_classifiable", "?")]),
                Sample(model.properties, nothing),
            )
        mission.load(converted.columns, converted.row_number)
        layout = Layout.of_model(model, self.published.best_match)
        records, sample = mission.sample(layout)
        self._override(chunk, converted.row_number, sample)
        return converted, records, sample

    def _override(self, chunk: RawChunk, row_number: np.ndarray, sample: Sample) -> None:
        """Put in the properties that the table gives as they are."""
        names = [p.name for p in sample.properties]
        rows = Rows(chunk, self.columns.definition)
        at = row_number - chunk.first_row
        for name, direct in self.columns.direct.items():
            if name not in names:
                continue
            j, unit = names.index(name), meanings()[name].unit
            # as the database holds them
            values = rows.plain(direct.value) * unit_factor(direct.value.unit, unit)
            sample.values[:, j] = values[at].astype(np.float32)
            if sample.errors is not None:
                error = np.full(rows.n, np.nan) if direct.error is None else rows.plain(direct.error)
                sample.errors[:, j] = error[at].astype(np.float32)

    # --- the whole ---

    def classified(self) -> Classified:
        """All rows."""
        model = self.at_hand.model
        priors = self.priors(model)
        if priors is not None and priors.kind == "estimate":
            names = [f"p_{answer_columns.word(c)}" for c in model.answers]
            with progress.timed(self.seconds, "priors"):
                parts = [np.stack([answer[n] for n in names], axis=1) for answer, *_ in self._pieces(with_priors=False)]
                priors.learn(np.concatenate(parts))
                self.shares = priors.shares
        spool = Spool(self.facts, answer_columns.meanings_of(model, self.catalogues, self.user is None))
        spool.prefix = self._prefix(list(spool.meanings))
        run = self.published.run["run_id"]
        model_run_id = self.at_hand.run_id if self.at_hand.run_id is not None else self.at_hand.of_run_id
        spool.provenance = provenance("classify", run_id=run, model_run_id=model_run_id)
        counts = {c: [0, 0] for c in model.answers}
        n_rows = n_classified = 0
        try:
            with progress.timed(self.seconds, "classify"):
                for answer, batch, usable in self._pieces():
                    spool.add(batch, {name: answer_columns.expanded(values, usable) for name, values in answer.items()})
                    n_rows, n_classified = n_rows + batch.num_rows, n_classified + len(answer["class"])
                    for name in model.answers:
                        of_class = np.asarray(answer["class"] == name)
                        counts[name][0] += int(of_class.sum())
                        counts[name][1] += int(answer["is_outlier"][of_class].sum())
        except BaseException:
            spool.close()
            raise
        if not n_rows:
            raise InputError(f"{self.facts.name}: the table has no rows")
        for reason, n in self.n_rejected.items():
            self.messages.append(f"{self.facts.label}: {n:,} rows are not classified: {reason}")
        for names_, n in self.n_unsearched.items():
            self.messages.append(
                f"{self.facts.label}: {n:,} rows lie where nobody has looked for {names_}, outside of what is loaded: "
                "they are classified by a model without the properties of these"
            )
        for each in self._priors.values():
            self.messages += [m for m in each.remarks() if m not in self.messages]
        whole = self._model_properties()
        summary = {
            "table": self.facts.name,
            **published_run.summary(self.published),
            "model_run_id": model_run_id,
            "rows_in": n_rows,
            "classified": n_classified,
            "classes": {name: n for name, (n, _) in counts.items()},
            "outliers": {name: n for name, (_, n) in counts.items()},
            "properties": [p.name for p in model.properties],
            "not_in_the_table": [name for name in whole if name not in self.available],
            "out_of_fold": self.at_hand.figures,
            "rejected": self.n_rejected,
            "bad_values": self.user.n_bad if self.user is not None else {},
            **costs(self.seconds),
        }
        return Classified(spool, self.messages, summary, Places(*np.concatenate(self.places, axis=1)))

    def _pieces(self, with_priors: bool = True) -> Iterator[tuple[Answer, pa.RecordBatch, np.ndarray]]:
        """The answer for the usable rows of each piece, all its rows, and which of them are usable."""
        self.n_rejected.clear()
        self.n_unsearched.clear()
        self.places.clear()
        if self.user is not None:
            yield from self._pieces_of_table(self.user, with_priors)
            return
        with self.facts.open(chunk_rows=_PIECE) as reader, progress.bar("classify", reader.n_rows) as advance:
            is_checked = False
            for chunk in reader:
                mission = self.mission()
                try:
                    converted, records, sample = self.loaded(mission, chunk)
                    if not is_checked:
                        self._check_range(sample)
                        is_checked = len(sample) > 0
                    for reason in converted.rejects.reason:
                        self.n_rejected[reason] = self.n_rejected.get(reason, 0) + 1
                    usable = np.zeros(chunk.n_rows, bool)
                    usable[converted.row_number - chunk.first_row] = True
                    place = np.full((3, chunk.n_rows), np.nan)
                    place[:, usable] = [converted.columns[name] for name in ("ra", "dec", "err_arcsec")]
                    self.places.append(place)
                    brightness = mission.brightness() if len(sample) else None
                    answer = self.answered(sample, records, brightness, with_priors)
                    if with_priors:
                        answer |= answer_columns.surroundings(mission, self.catalogues, records)
                finally:
                    self.conn.rollback()
                for name, seconds in mission.seconds.items():
                    self.seconds[name] = round(self.seconds.get(name, 0.0) + seconds, 3)
                yield answer, chunk.batch, usable
                advance(chunk.n_rows)

    def _pieces_of_table(
        self, user: UserProperties, with_priors: bool
    ) -> Iterator[tuple[Answer, pa.RecordBatch, np.ndarray]]:
        """The same for a table whose own counterparts are used."""
        model = self.at_hand.model
        names = [p.name for p in model.properties]
        kept = [user.names.index(name) for name in names]
        values, errors = user.values[:, kept], user.errors[:, kept]
        shift = user.shift(names) if model.behind is not None and model.behind.any() else None
        limits = None
        if model.behind is not None:  # older models counted the absence of a counterpart in every property
            # objects that the table does not have are taken to be fainter than what the model's catalogues show there
            deepest = depth.deepest(self.published.counterparts, self.published.depths, user.ra, user.dec)
            limits = user.limits(names, deepest)
        usable: BoolArray = np.asarray(~np.isnan(values).all(axis=1))
        if user.accepted is not None:
            # nobody knows how deep that match has looked, and what it rejected may be there
            of_counterpart = np.array([bool(_entry(p.name).get("counterpart")) for p in model.properties])
            values[np.ix_(~user.accepted, of_counterpart)] = NOT_OBSERVED
        if not usable.all():
            self.n_rejected["no value of any property"] = int((~usable).sum())
        self.places.append(np.stack([user.ra, user.dec, np.full(len(values), np.nan)]))
        with progress.bar("classify", len(values)) as advance:
            for first in range(0, len(values), _PIECE):
                piece = slice(first, first + _PIECE)
                used = usable[piece]
                of_piece = None if shift is None else shift[piece][used]
                beyond = None if limits is None else limits[piece][used]
                sample = Sample(model.properties, values[piece][used], errors[piece][used], beyond, shift=of_piece)
                yield self.answered(sample, None, None, with_priors), user.batch.slice(first, _PIECE), used
                advance(len(used))

    def _check_range(self, sample: Sample) -> None:
        """Refuse values that no source of the reference sample comes near."""
        names = [p.name for p in sample.properties]
        values = np.where(sample.values == NOT_OBSERVED, np.nan, sample.values).astype(np.float64)
        own = [j for j, name in enumerate(names) if name in {*self.columns.provided, *self.columns.direct}]
        off = off_range(self.at_hand.model, [names[j] for j in own], values[:, own], self.columns.assumed)
        if any(one.refused for one in off):
            raise InputError(f"{self.facts.name}: " + "; ".join(one.message for one in off if one.refused))
        self.messages += [f"{self.facts.label}: {one.message}" for one in off]

    def _prefix(self, answer: Sequence[str]) -> str:
        """What the names of the answer's columns begin with, lest they are those of the user."""
        used = {c.name.casefold() for c in self.facts.columns}
        prefix = ""
        while taken := [name for name in answer if (prefix + name).casefold() in used]:
            prefix += "xcat_"
            self.messages.append(
                f"the columns of the classification begin with {prefix}: the table has {', '.join(taken)}"
            )
        return prefix


def _entry(name: str) -> Mapping[str, Any]:
    """What properties.yaml says of a property."""
    return next(entry for entry in property_entries() if entry["name"] == name)
