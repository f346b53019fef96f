"""Match a table of one's own: with catalogues in the database, or with other files.

The database is only the engine room. All that is written are temporary tables, and the transaction is rolled back.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from astropy.table import Table

from xcat import progress
from xcat.catalogues.definition import Definition
from xcat.config import Settings
from xcat.database import copy
from xcat.database.engine import Connection, ready
from xcat.database.sqlfiles import job
from xcat.errors import ConfigError, InputError
from xcat.ingest.convert import convert
from xcat.ingest.facts import TableFacts, describe, take, to_table
from xcat.ingest.rows import Rows
from xcat.match import density, engine
from xcat.match.answer import HYPOTHESIS, Answer, Places, Side, unique_labels
from xcat.match.arguments import FileSpec, Histogram, MagnitudeSpec, read_histogram
from xcat.match.calibrate import Calibration
from xcat.match.engine import Haystack, Options, Outcome, Term
from xcat.match.guess import Guess, Wanted, guess
from xcat.match.priors import PriorTable
from xcat.match.probability import Loaded
from xcat.match.targets import Targets

_BASE = (
    "object_id", "ra", "dec", "err_arcsec", "err_maj_arcsec", "err_min_arcsec", "err_pa_deg", "epoch_yr", "pmra_mas_yr",
    "pmdec_mas_yr",
)  # fmt: skip
_BINS = 12
_ROW_TYPES = {"i8": "bigint", "i4": "integer", "i2": "smallint", "f8": "double precision"}


@dataclass
class _Mine:
    """My table: all of it, and what of it can be matched."""

    label: str
    table: Table
    unusable: np.ndarray
    columns: dict[str, np.ndarray]
    n_rows: int


@dataclass
class _Other:
    """A file on the other side, loaded into a temporary table."""

    facts: TableFacts
    guess: Guess
    label: str
    table: str
    n_usable: int = 0
    magnitudes: dict[str, str] = field(default_factory=dict)  # column of the file -> column of the temporary table
    map: density.DensityMap | None = None


class _Clock:
    """Times the steps."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        start = time.monotonic()
        with progress.bar(name):
            yield
        self.seconds[name] = round(self.seconds.get(name, 0.0) + time.monotonic() - start, 3)


def match_files(
    config: Settings,
    files: Sequence[FileSpec],
    options: Options,
    *,
    completeness: Sequence[float | Literal["estimate"]] = ("estimate",),
    magnitudes: Sequence[MagnitudeSpec] = (),
    areas_deg2: dict[str, float] | None = None,
    wanted: Wanted | None = None,
) -> Answer:
    """Match a file of X-ray sources with one or more files of possible counterparts.

    Parameters
    ----------
    config : Settings
    files : sequence of FileSpec
        The X-ray side first.
    options : Options
    completeness : sequence
        One for all counterpart files, or one each.
    magnitudes : sequence of MagnitudeSpec
    areas_deg2 : dict, optional
        Area of the sky that a table covers, by its name.
    wanted : Wanted, optional
        Columns of the first file.

    Returns
    -------
    Answer

    Raises
    ------
    InputError, ConfigError
        A file cannot be read, a column is missing or ambiguous, an option names no table.
    """
    if len(files) < 2:
        raise ConfigError("give two files at least: the X-ray sources first, then one or more of possible counterparts")
    facts = [describe(f.path) for f in files]
    labels = unique_labels([f.label for f in facts])
    others = _resolved(labels[1:], magnitudes, areas_deg2 or {})
    shares = _each(completeness, len(files) - 1)
    clock = _Clock()
    wanted = wanted or Wanted()
    mine_wanted = Wanted(wanted.ra, wanted.dec, wanted.pos_err or files[0].pos_err, "FILE:ERROR")
    guesses = [guess(facts[0], mine_wanted)]
    guesses += [
        guess(f, Wanted(pos_err=spec.pos_err, option="FILE:ERROR"), xray=False)
        for f, spec in zip(facts[1:], files[1:], strict=True)
    ]
    lines = [line for g in guesses for line in g.lines]
    with clock.step(f"read {labels[0]}"):
        mine = _read_mine(facts[0], guesses[0], labels[0], lines)
    with ready(config) as conn:
        try:
            sides, haystacks = [], []
            for k, label in enumerate(labels[1:], 1):
                area, wanted_magnitudes = others[label]
                other = _Other(facts[k], guesses[k], label, f"pg_temp.own_{k}")
                with clock.step(f"load {label}"):
                    _load(conn, other, wanted_magnitudes, lines)
                haystacks.append(_haystack(k, other, shares[k - 1], wanted_magnitudes, area, lines))
                sides.append(other)
            outcome = engine.match(conn, _targets(mine), haystacks, options)
            hypotheses, objects = _hypotheses(conn, len(sides), outcome)
            with clock.step("read counterparts"):
                found = [_file_side(conn, s, h, o) for s, h, o in zip(sides, haystacks, objects.T, strict=True)]
        finally:
            conn.rollback()  # nothing stays, not even after an error
    return _answer(mine, found, hypotheses, objects, outcome, options, lines, clock)


def match_table(
    config: Settings,
    path: Path,
    against: Sequence[str],
    options: Options,
    *,
    magnitudes: Sequence[MagnitudeSpec] = (),
    wanted: Wanted | None = None,
) -> Answer:
    """Match a table of one's own with catalogues that are loaded in the database.

    Parameters
    ----------
    config : Settings
    path : Path
    against : sequence of str
        Names of optical or infrared catalogues.
    options : Options
    magnitudes : sequence of MagnitudeSpec
        Magnitudes of the catalogues that tell counterparts from field objects.
    wanted : Wanted, optional
        Columns of the table.

    Returns
    -------
    Answer

    Raises
    ------
    InputError, ConfigError
        The file cannot be read, a column is missing or ambiguous, a catalogue is not loaded.
    """
    facts = describe(path)
    mine_guess = guess(facts, wanted)
    lines = list(mine_guess.lines)
    clock = _Clock()
    labels = unique_labels([facts.label, *against])
    by_label = _resolved(labels[1:], magnitudes, {})
    with clock.step(f"read {facts.label}"):
        mine = _read_mine(facts, mine_guess, labels[0], lines)
    with ready(config) as conn:
        try:
            loaded = [_loaded(conn, name) for name in against]
            haystacks = [
                _catalogue_haystack(conn, one, label, by_label[label][1], lines)
                for one, label in zip(loaded, labels[1:], strict=True)
            ]
            outcome = engine.match(conn, _targets(mine), haystacks, options)
            hypotheses, objects = _hypotheses(conn, len(haystacks), outcome)
            with clock.step("read counterparts"):
                found = [
                    _catalogue_side(conn, label, one, haystack, column)
                    for label, one, haystack, column in zip(labels[1:], loaded, haystacks, objects.T, strict=True)
                ]
        finally:
            conn.rollback()
    return _answer(mine, found, hypotheses, objects, outcome, options, lines, clock)


# --- arguments --------------------------------------------------------------------------------------------


def _each(values: Sequence[Any], n: int) -> list[Any]:
    if len(values) not in (1, n):
        raise ConfigError(f"--completeness: give one number, or {n} with commas between (one a counterpart file)")
    return list(values) * n if len(values) == 1 else list(values)


def _resolved(
    labels: Sequence[str], magnitudes: Sequence[MagnitudeSpec], areas: dict[str, float]
) -> dict[str, tuple[float | None, list[MagnitudeSpec]]]:
    """Area and magnitudes of every counterpart table."""
    by_fold = {label.casefold(): label for label in labels}
    for option, name in [("--mag", m.table) for m in magnitudes] + [("--area", a) for a in areas]:
        if name.casefold() not in by_fold:
            raise ConfigError(f"{option} {name}: there is no counterpart table of this name; there is: {', '.join(labels)}")
    found: dict[str, tuple[float | None, list[MagnitudeSpec]]] = {}
    for label in labels:
        area = next((a for name, a in areas.items() if name.casefold() == label.casefold()), None)
        found[label] = (area, [m for m in magnitudes if m.table.casefold() == label.casefold()])
    return found


# --- reading ----------------------------------------------------------------------------------------------


def _read_mine(facts: TableFacts, guessed: Guess, label: str, lines: list[str]) -> _Mine:
    batches: list[pa.RecordBatch] = []
    parts: list[dict[str, np.ndarray]] = []
    reasons: list[tuple[int, str]] = []
    with facts.open() as reader:
        for chunk in reader:
            batches.append(chunk.batch)
            converted = convert(chunk, guessed.definition)
            parts.append({"id": converted.row_number, **_numbers(converted.columns)})
            rejects = converted.rejects
            reasons += zip(rejects.row_number.tolist(), rejects.reason, strict=True)
    table = to_table(facts, batches)
    if not len(table):
        raise InputError(f"{facts.path}: the table has no rows")
    unusable = np.full(len(table), "", dtype=object)
    for row, reason in reasons:
        unusable[row - 1] = reason
    columns = {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
    _tell_rejects(label, Counter(reason for _, reason in reasons), reasons, lines)
    return _Mine(label, table, unusable.astype(np.str_), columns, len(table))


def _numbers(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: values for name, values in columns.items() if name in _BASE}


def _tell_rejects(label: str, counts: Counter[str], first: Sequence[tuple[int, str]], lines: list[str]) -> None:
    where: dict[str, int] = {}
    for row, reason in first:
        where.setdefault(reason, row)
    for reason, n in counts.most_common():
        lines.append(f"{label}: {n:,} rows cannot be matched: {reason} (first in row {where[reason]:,})")


def _targets(mine: _Mine) -> Targets:
    return Targets.of(mine.columns)


def _load(conn: Connection, other: _Other, magnitudes: Sequence[MagnitudeSpec], lines: list[str]) -> None:
    """Copy position, error, motion and magnitudes of a file into its temporary table, chunk by chunk."""
    columns = [c for m in magnitudes for c in _columns_of(other.facts, m)]
    columns += [c for c in other.guess.magnitudes[:1] if not magnitudes]
    for column in dict.fromkeys(columns):
        name = column if re.fullmatch(r"[A-Za-z_]\w{0,40}", column, re.A) else f"m_{len(other.magnitudes) + 1}"
        taken = {*_BASE, *(n.casefold() for n in other.magnitudes.values())}
        other.magnitudes[column] = f"m_{len(other.magnitudes) + 1}" if name.casefold() in taken else name
    conn.execute(job("own.make_table").compose(table=other.table))
    for name in other.magnitudes.values():
        conn.execute(job("own.add_magnitude").compose(table=other.table, column=name))
    counter, rejected = density.Counter(), Counter[str]()
    first: list[tuple[int, str]] = []
    definition = other.guess.definition
    wanted = dict.fromkeys([*definition.file_columns, *other.magnitudes])

    def blocks() -> Iterator[dict[str, np.ndarray]]:
        with other.facts.open(list(wanted)) as reader:
            for chunk in reader:
                converted = convert(chunk, definition)
                rejected.update(converted.rejects.reason)
                first.extend(zip(converted.rejects.row_number[:1].tolist(), converted.rejects.reason[:1], strict=True))
                raw = Rows(chunk, definition)
                at = converted.row_number - chunk.first_row
                values = {name: raw.numbers(column)[at] for column, name in other.magnitudes.items()}
                counter.add(converted.columns["ra"], converted.columns["dec"])
                yield {"object_id": converted.row_number, **_numbers(converted.columns), **values}

    other.n_usable = copy.copy_in(conn, other.table, blocks())
    conn.execute(job("own.index_table").compose(table=other.table))
    conn.execute(_analyze(other.table))
    other.map = density.DensityMap(*counter.occupied())
    for reason, n in rejected.most_common():
        lines.append(f"{other.label}: {n:,} rows are left out: {reason}")


def _analyze(table: str) -> Any:
    return job("own.analyze").compose(table=table)


def _columns_of(facts: TableFacts, magnitude: MagnitudeSpec) -> list[str]:
    """Columns of a magnitude, or of a colour written ``a-b``."""
    names = [magnitude.column]
    if facts.column(magnitude.column) is None and magnitude.column.count("-") == 1:
        names = [n.strip() for n in magnitude.column.split("-")]
    found = [facts.column(n) for n in names]
    for name, column in zip(names, found, strict=True):
        if column is None or column.is_text:
            what = "is no column" if column is None else "is text"
            numbers = ", ".join(c.name for c in facts.columns if not c.is_text)
            raise InputError(f"{facts.path}: '{name}' {what} (--mag {magnitude.table}:{magnitude.column}); it has: {numbers}")
    return [c.name for c in found if c is not None]


def _haystack(
    k: int,
    other: _Other,
    completeness: float | Literal["estimate"],
    magnitudes: Sequence[MagnitudeSpec],
    area_deg2: float | None,
    lines: list[str],
) -> Haystack:
    per_deg2 = None
    if area_deg2 is not None or other.facts.sky_area_deg2 is not None:
        area = area_deg2 if area_deg2 is not None else float(other.facts.sky_area_deg2 or 0)
        # rows that cannot be counterparts are not counted: they are in no sky
        per_deg2 = max(other.n_usable, 1) / area
        said = "--area" if area_deg2 is not None else "SKYAREA"
        lines.append(f"{other.label}: {per_deg2:,.4g} objects per deg2 ({other.n_usable:,} in {area:g} deg2, {said})")
    else:
        lines.append(f"{other.label}: density measured from its own {other.n_usable:,} positions, cell by cell")
    terms = []
    for magnitude in magnitudes:
        names = [other.magnitudes[c] for c in _columns_of(other.facts, magnitude)]
        table = None if magnitude.histogram is None else _prior(read_histogram(magnitude.histogram))
        terms.append(Term(" - ".join(names), table))
    columns = other.guess.definition
    return Haystack(
        k, other.label, other.table, per_deg2, other.map, completeness,
        moves=other.guess.moves,
        elliptical=bool(columns.position_error and columns.position_error.is_ellipse),
        terms=tuple(terms),
    )  # fmt: skip


def _prior(histogram: Histogram) -> PriorTable:
    return PriorTable(histogram.low, histogram.high, histogram.counterparts, histogram.field)


def _loaded(conn: Connection, name: str) -> Loaded:
    """A counterpart catalogue by its name."""
    rows = conn.execute(job("own.catalogues").compose()).fetchall()
    by_name = {row[1]: row for row in rows}
    if name not in by_name:
        there = ", ".join(by_name) or "none; load one: xcat ingest CATALOGUE FILE"
        raise ConfigError(f"--against {name}: no optical or infrared catalogue of this name is loaded; there is: {there}")
    return Loaded(by_name[name][0], Definition.from_dict(by_name[name][2]))


def _catalogue_haystack(
    conn: Connection, loaded: Loaded, label: str, magnitudes: Sequence[MagnitudeSpec], lines: list[str]
) -> Haystack:
    """A loaded catalogue as the match sees it; its definition says how dense it is and how complete."""
    definition = loaded.definition
    sky = definition.sky
    per_deg2 = None if sky is None else sky.density_per_deg2
    # a definition that states the density is of a catalogue of which only some places may be loaded
    where = None if per_deg2 is not None else density.load(conn, loaded.catalogue_id)
    if sky is not None and sky.area_deg2 is not None:
        row = conn.execute(job("own.count").compose(table=loaded.table)).fetchone()
        per_deg2 = max(row[0] if row else 0, 1) / sky.area_deg2
    terms = []
    for magnitude in magnitudes:
        names = [n.strip() for n in magnitude.column.split("-")]
        there = [c for c in definition.columns if c == "mag" or c.startswith("mag_")]
        if len(names) > 2 or not set(names) <= set(there):
            raise ConfigError(f"--mag {label}:{magnitude.column}: {label} has the magnitudes {', '.join(there) or '(none)'}")
        table = None if magnitude.histogram is None else _prior(read_histogram(magnitude.histogram))
        terms.append(Term(" - ".join(names), table))
    said = "its definition" if per_deg2 is not None else "measured cell by cell"
    lines.append(f"{label}: density {'' if per_deg2 is None else f'{per_deg2:,.4g} objects per deg2, '}{said}")
    error = definition.position_error
    return Haystack(
        loaded.catalogue_id, label, loaded.table, per_deg2, where,
        "estimate" if definition.completeness is None else definition.completeness,  # type: ignore[arg-type]
        epoch_yr=definition.epoch_yr, moves="pmra_mas_yr" in definition.columns,
        elliptical=bool(error and error.is_ellipse), terms=tuple(terms),
    )  # fmt: skip


# --- answers ----------------------------------------------------------------------------------------------


def _hypotheses(conn: Connection, n_sides: int, outcome: Outcome) -> tuple[np.ndarray, np.ndarray]:
    types = [(name, _ROW_TYPES[code]) for name, code in HYPOTHESIS]
    hypotheses = copy.fetch_columns(conn, job("own.hypotheses").compose(), types, {"cutoff": outcome.calibration.cutoff_of(0)})
    objects = [
        copy.fetch_columns(conn, job("own.members").compose(), [("object_id", "bigint")], {"k": k})["object_id"]
        for k in range(1, n_sides + 1)
    ]
    return hypotheses, np.stack(objects, axis=1) if objects else np.empty((len(hypotheses), 0), dtype=np.int64)


def _needed(objects: np.ndarray) -> np.ndarray:
    ids = np.unique(objects)
    return ids[ids > 0]


def _places_of_table(conn: Connection, table: str, ids: np.ndarray, epoch_yr: float | None) -> Places:
    conn.execute(job("own.make_wanted").compose())
    conn.execute(job("own.clear_wanted").compose())
    copy.copy_in(conn, "pg_temp.wanted_object", [{"object_id": ids}])
    names = ("ra", "dec", "epoch_yr", "pmra_mas_yr", "pmdec_mas_yr")
    types = [(n, "double precision") for n in names]
    rows = copy.fetch_columns(conn, job("own.places").compose(haystack=table), types)
    if len(rows) != len(ids):
        raise InputError("a catalogue changed while it was matched; run the match again")
    return Places.of({n: rows[n] for n in names}, len(rows), epoch_yr)


def _file_side(conn: Connection, other: _Other, haystack: Haystack, objects: np.ndarray) -> Side:
    ids = _needed(objects)
    places = _places_of_table(conn, other.table, ids, haystack.epoch_yr)
    magnitude = next(iter(other.magnitudes), None)
    side = Side(other.label, ids, take(other.facts, ids), places, magnitude)
    if magnitude is not None:
        side.field = _field(conn, other.table, other.magnitudes[magnitude])
    return side


def _catalogue_side(conn: Connection, label: str, loaded: Loaded, haystack: Haystack, objects: np.ndarray) -> Side:
    from xcat.report import tables  # the room of reports is above this one

    ids = _needed(objects)
    places = _places_of_table(conn, loaded.table, ids, haystack.epoch_yr)
    table = tables.query(conn, job("own.wanted").compose(haystack=loaded.table).as_string(conn))
    known = {"native_id", "ra", "dec", "err_arcsec", *loaded.definition.columns}
    if haystack.elliptical:
        known |= {"err_maj_arcsec", "err_min_arcsec", "err_pa_deg"}
    magnitude = next((c for c in loaded.definition.columns if c == "mag" or c.startswith("mag_")), None)
    side = Side(label, ids, table[[c for c in table.colnames if c in known]], places, magnitude)
    if magnitude is not None:
        side.field = _field(conn, loaded.table, magnitude)
    return side


def _field(conn: Connection, table: str, column: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Histogram of a magnitude over a whole catalogue."""
    row = conn.execute(job("own.magnitude_range").compose(haystack=table, column=column)).fetchone()
    if row is None or row[0] is None or not row[1] > row[0]:
        return None
    low, high = float(np.floor(row[0] * 2) / 2), float(np.ceil(row[1] * 2) / 2)
    if high <= low:
        return None
    values = {"low": low, "high": high, "n_bins": _BINS}
    counts = np.zeros(_BINS, dtype=np.int64)
    for number, n in conn.execute(job("own.field_magnitudes").compose(haystack=table, column=column), values):
        counts[number - 1] = n
    return np.linspace(low, high, _BINS + 1), counts


def _answer(
    mine: _Mine,
    sides: list[Side],
    hypotheses: np.ndarray,
    objects: np.ndarray,
    outcome: Outcome,
    options: Options,
    lines: list[str],
    clock: _Clock,
) -> Answer:
    n = mine.n_rows
    everywhere: dict[str, np.ndarray] = {}
    for name in ("ra", "dec", "epoch_yr"):
        everywhere[name] = np.full(n, np.nan)
        if name in mine.columns:
            everywhere[name][mine.columns["id"] - 1] = mine.columns[name]
    calibration = outcome.calibration
    return Answer(
        mine.label, mine.table, mine.unusable, Places.of(everywhere, n), sides, hypotheses, objects,
        calibration.cutoff_of(0), options.false_rate, _curve(calibration),
        lines + outcome.notes, dict(outcome.counts), clock.seconds | outcome.seconds,
    )  # fmt: skip


def _curve(calibration: Calibration) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Cutoff against the shares of shifted positions and of sources above it, over all catalogues and parts."""
    here = (calibration.k == 0) & (calibration.part == 0) & ~calibration.is_chosen
    if not here.any() or not calibration.n_shifted[here].any():
        return None
    share = calibration.n_sources_above[here] / np.maximum(calibration.n_sources[here], 1)
    return calibration.cutoff[here], calibration.false_rate[here], share
