"""Match a user's table: with catalogues in the database, or with other files.

The database only computes. All that is written are temporary tables, and the transaction is rolled back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from xcat.config import Settings
from xcat.database import copy
from xcat.database.connection import Connection, ready
from xcat.database.loaded import Loaded
from xcat.database.sqlfiles import job
from xcat.errors import ConfigError, InputError
from xcat.match import engine
from xcat.match.calibrate import Calibration
from xcat.match.engine import MatchOptions
from xcat.match.haystack import Haystack
from xcat.match.targets import Targets
from xcat.output import results
from xcat.output.columns import unique_names
from xcat.own.arguments import FileSpec, MagnitudeSpec
from xcat.own.match_answer import HYPOTHESIS, PLACE, Answer, CounterpartRows
from xcat.own.table_result import step
from xcat.own.user_tables import (
    CounterpartFile,
    SkyCoverage,
    UserTable,
    haystack_of_catalogue,
    haystack_of_file,
    load_file,
    loaded_catalogue,
    read_user_table,
)
from xcat.sky import joins
from xcat.tables.facts import TableLike, describe, file_label, take
from xcat.tables.guess import Wanted, guess

_BINS = 12
_ROW_TYPES = {"i8": "bigint", "i4": "integer", "i2": "smallint", "f8": "double precision"}

# counterparts as the match sees them, and where their rows come from
_Source: TypeAlias = CounterpartFile | Loaded
_Prepare: TypeAlias = Callable[[Connection], Iterator[tuple[Haystack, _Source]]]


def match_files(
    config: Settings,
    files: Sequence[FileSpec],
    options: MatchOptions,
    *,
    completeness: Sequence[float | Literal["estimate"]] = ("estimate",),
    magnitudes: Sequence[MagnitudeSpec] = (),
    skies: Mapping[str, Mapping[str, float]] | None = None,
    wanted: Wanted | None = None,
) -> Answer:
    """Match a table of X-ray sources with one or more tables of possible counterparts.

    Parameters
    ----------
    files : sequence of FileSpec
        Files or tables in memory, the X-ray sources first.
    completeness : sequence
        One for all counterpart tables, or one each.
    skies : mapping, optional
        What is known of the sky of some tables: for ``area``, ``around`` or ``density``, the number (deg2, arcsec,
        1/deg2; see `SkyCoverage`) by the name of the table.
    wanted : Wanted, optional
        Columns of the first table.

    Raises
    ------
    InputError, ConfigError
        A table cannot be read, a column is missing or ambiguous, an option names no table.
    """
    if len(files) < 2:
        raise ConfigError("give two files at least: the X-ray sources first, then one or more of possible counterparts")
    facts = [describe(f.table) for f in files]
    names = [f.label.casefold() for f in facts]
    # an EXTNAME that several files share distinguishes nothing: the names of the files do
    for k, f in enumerate(facts):
        if names.count(names[k]) > 1 and isinstance(f.source, Path):
            facts[k] = replace(f, label=file_label(f.source))
    labels = unique_names([f.label for f in facts])
    facts = [replace(f, label=label) for f, label in zip(facts, labels, strict=True)]
    by_label = _by_label(labels[1:], magnitudes)
    sky_of = _skies(labels[1:], skies or {}, options.radius_arcsec)
    if len(completeness) not in (1, len(files) - 1):
        raise ConfigError(
            f"--completeness: give one number, or {len(files) - 1} with commas between (one per counterpart file)"
        )
    shares = list(completeness) * (len(files) - 1 if len(completeness) == 1 else 1)
    wanted = wanted or Wanted()
    guesses = [guess(facts[0], replace(wanted, pos_err=wanted.pos_err or files[0].pos_err, option="FILE:ERROR"))]
    for f, spec in zip(facts[1:], files[1:], strict=True):
        guesses.append(guess(f, Wanted(pos_err=spec.pos_err, option="FILE:ERROR"), xray=False))
    messages, seconds = [line for g in guesses for line in g.messages], dict[str, float]()
    with step(seconds, f"read {labels[0]}"):
        user_table = read_user_table(facts[0], guesses[0], messages)

    def prepare(conn: Connection) -> Iterator[tuple[Haystack, _Source]]:
        for k, label in enumerate(labels[1:], 1):
            file = CounterpartFile(facts[k], guesses[k], f"pg_temp.own_{k}")
            with step(seconds, f"load {label}"):
                load_file(conn, file, by_label[label], messages)
            yield haystack_of_file(k, file, shares[k - 1], by_label[label], sky_of.get(label), messages), file

    return _match(config, user_table, prepare, options, messages, seconds)


def match_table(
    config: Settings,
    table: TableLike,
    against: Sequence[str],
    options: MatchOptions,
    *,
    magnitudes: Sequence[MagnitudeSpec] = (),
    wanted: Wanted | None = None,
) -> Answer:
    """Match a user's table with catalogues that are loaded in the database.

    Parameters
    ----------
    against : sequence of str
        Names of optical or infrared catalogues.
    magnitudes : sequence of MagnitudeSpec
        Magnitudes of the catalogues that tell counterparts from field objects.
    wanted : Wanted, optional
        Columns of the table.

    Raises
    ------
    InputError, ConfigError
        The table cannot be read, a column is missing or ambiguous, a catalogue is not loaded.
    """
    facts = describe(table)
    guessed = guess(facts, wanted)
    labels = unique_names([facts.label, *against])
    by_label = _by_label(labels[1:], magnitudes)
    messages, seconds = list(guessed.messages), dict[str, float]()
    with step(seconds, f"read {facts.label}"):
        user_table = read_user_table(facts, guessed, messages)

    def prepare(conn: Connection) -> Iterator[tuple[Haystack, _Source]]:
        for loaded, label in zip([loaded_catalogue(conn, name) for name in against], labels[1:], strict=True):
            yield haystack_of_catalogue(conn, loaded, label, by_label[label], messages), loaded

    return _match(config, user_table, prepare, options, messages, seconds)


def _match(
    config: Settings,
    user_table: UserTable,
    prepare: _Prepare,
    options: MatchOptions,
    messages: list[str],
    seconds: dict[str, float],
) -> Answer:
    targets = Targets.of(user_table.columns)
    with ready(config) as conn:
        try:
            haystacks, sources = zip(*prepare(conn), strict=True)
            moving = [h.name for h in haystacks if h.moves]
            if moving and np.isnan(targets.epoch_yr).any():
                messages.append(
                    f"{user_table.label}: {np.isnan(targets.epoch_yr).sum():,} rows have no epoch, so for them the "
                    f"objects of {', '.join(moving)} are not moved (give --epoch YEAR)"
                )
            outcome = engine.match(conn, targets, haystacks, options)
            types = [(name, _ROW_TYPES[code]) for name, code in HYPOTHESIS]
            cutoff = outcome.calibration.cutoff_of(0)
            hypotheses = copy.fetch_columns(conn, job("own.hypotheses").compose(), types, {"cutoff": cutoff})
            objects = np.zeros((len(hypotheses), len(haystacks)), dtype=np.int64)
            counterparts = []
            with step(seconds, "read counterparts"):
                for k, (haystack, source) in enumerate(zip(haystacks, sources, strict=True)):
                    members, types = job("own.members").compose(), [("object_id", "bigint")]
                    objects[:, k] = copy.fetch_columns(conn, members, types, {"k": k + 1})["object_id"]
                    ids = np.unique(objects[:, k])
                    counterparts.append(_rows_of(conn, haystack, source, ids[ids > 0]))
        finally:
            conn.rollback()  # nothing stays, not even after an error
    n_rows, rows = len(user_table.table), user_table.columns["id"] - 1
    places = np.zeros(n_rows, PLACE)
    for name in ("ra", "dec", "epoch_yr"):
        places[name] = np.nan
        places[name][rows] = user_table.columns.get(name, np.nan)
    err_arcsec = np.full(n_rows, np.nan)
    err_arcsec[rows] = user_table.columns.get("err_arcsec", np.nan)
    return Answer(
        user_table.label,
        user_table.table,
        user_table.unusable,
        places,
        counterparts,
        hypotheses,
        objects,
        cutoff,
        options.false_rate,
        _measured(outcome.calibration),
        _curve(outcome.calibration),
        messages + outcome.notes,
        dict(outcome.counts),
        seconds | outcome.seconds,
        err_arcsec,
    )


# --- options -----------------------------------------------------------------------------------------------


def _by_label(labels: Sequence[str], magnitudes: Sequence[MagnitudeSpec]) -> dict[str, list[MagnitudeSpec]]:
    """Magnitudes of every counterpart table."""
    by_label: dict[str, list[MagnitudeSpec]] = {label: [] for label in labels}
    for magnitude in magnitudes:
        by_label[_label(labels, magnitude.table, "--mag")].append(magnitude)
    return by_label


def _skies(
    labels: Sequence[str], skies: Mapping[str, Mapping[str, float]], radius_arcsec: float
) -> dict[str, SkyCoverage]:
    """What the user states about the sky, by counterpart table."""
    by_label: dict[str, SkyCoverage] = {}
    for kind, tables in skies.items():
        for table, value in tables.items():
            label = _label(labels, table, f"--{kind}")
            if label in by_label:
                raise ConfigError(f"{label}: give one of --area, --around and --density, they exclude each other")
            if kind == "around" and value <= 2 * radius_arcsec:
                raise ConfigError(
                    f"--around {label}:{value:g}: to count the field around the sources, the cut-outs must be wider "
                    f"than twice the search radius of {radius_arcsec:g} arcsec"
                )
            by_label[label] = kind, value
    return by_label


def _label(labels: Sequence[str], name: str, option: str) -> str:
    """The table that an option names, without regard to case."""
    label = next((label for label in labels if label.casefold() == name.casefold()), None)
    if label is None:
        raise ConfigError(f"{option} {name}: there is no counterpart table of this name; there is: {', '.join(labels)}")
    return label


# --- counterparts and calibration --------------------------------------------------------------------------


def _rows_of(conn: Connection, haystack: Haystack, source: _Source, ids: np.ndarray) -> CounterpartRows:
    """The rows of these numbers, with all columns, and the magnitudes of all objects."""
    conn.execute(job("own.make_wanted").compose())
    joins.clear(conn, "wanted_object")
    copy.copy_in(conn, "pg_temp.wanted_object", [{"object_id": ids}])
    types, epoch = [(name, "double precision") for name, _ in PLACE], {"epoch_yr": haystack.epoch_yr}
    places = copy.fetch_columns(conn, job("own.places").compose(haystack=haystack.table), types, epoch)
    if len(places) != len(ids):
        raise InputError("a catalogue changed while it was matched; run the match again")
    if isinstance(source, CounterpartFile):
        table, magnitudes = take(source.facts, ids), source.magnitudes
    else:
        table = results.query(conn, job("own.wanted").compose(haystack=haystack.table).as_string(conn))
        names = {"native_id", "ra", "dec", "err_arcsec", *source.definition.columns}
        if haystack.elliptical:
            names |= {"err_maj_arcsec", "err_min_arcsec", "err_pa_deg"}
        table = table[[name for name in table.colnames if name in names]]
        used = [*(c for t in haystack.terms for c in t.name.split(" - ")), *source.definition.columns]
        magnitudes = {name: name for name in used if name == "mag" or name.startswith("mag_")}
    magnitude = next(iter(magnitudes), None)
    field = None if magnitude is None else _field(conn, haystack.table, magnitudes[magnitude])
    return CounterpartRows(haystack.name, ids, table, places, magnitude, field, isinstance(source, Loaded))


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


def _measured(calibration: Calibration) -> float | None:
    """Share of the shifted positions that pass the cutoff in use."""
    used = (calibration.k == 0) & (calibration.part == 0) & calibration.is_chosen & (calibration.n_shifted > 0)
    return float(calibration.false_rate[used][0]) if used.any() else None


def _curve(calibration: Calibration) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Cutoff against the shares of shifted positions and of sources above it, over all catalogues and parts."""
    steps = (calibration.k == 0) & (calibration.part == 0) & ~calibration.is_chosen
    if not calibration.n_shifted[steps].any():
        return None
    share = calibration.n_sources_above[steps] / np.maximum(calibration.n_sources[steps], 1)
    return calibration.cutoff[steps], calibration.false_rate[steps], share
