"""Match a table of one's own: with catalogues in the database, or with other files.

The database is only the engine room. All that is written are temporary tables, and the transaction is rolled back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from xcat import progress
from xcat.config import Settings
from xcat.database import copy
from xcat.database.connection import Connection, ready
from xcat.database.loaded import Loaded
from xcat.database.sqlfiles import job
from xcat.errors import ConfigError, InputError
from xcat.match import engine
from xcat.match.calibrate import Calibration
from xcat.match.engine import MatchOptions, Outcome
from xcat.match.haystack import Haystack
from xcat.match.targets import Targets
from xcat.own.arguments import FileSpec, MagnitudeSpec
from xcat.own.match_answer import HYPOTHESIS, Answer, Places, Side, unique_labels
from xcat.own.user_tables import (
    Mine,
    Other,
    Sky,
    haystack_of_catalogue,
    haystack_of_file,
    load_other,
    loaded_catalogue,
    read_mine,
)
from xcat.tables.facts import describe, file_label
from xcat.tables.guess import Wanted, guess
from xcat.tables.whole_rows import take

_BINS = 12
_ROW_TYPES = {"i8": "bigint", "i4": "integer", "i2": "smallint", "f8": "double precision"}


class _Clock:
    """Times the steps."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        with progress.timed(self.seconds, name), progress.bar(name):
            yield


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
    """Match a file of X-ray sources with one or more files of possible counterparts.

    Parameters
    ----------
    config : Settings
    files : sequence of FileSpec
        The X-ray side first.
    options : MatchOptions
    completeness : sequence
        One for all counterpart files, or one each.
    magnitudes : sequence of MagnitudeSpec
    skies : mapping, optional
        What is known of the sky of some tables: for ``area``, ``around`` or ``density``, the number (deg2, arcsec,
        1/deg2; see `Sky`) by the name of the table.
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
    named = [f.label.casefold() for f in facts]
    # an EXTNAME that several files have tells nothing: the names of the files do
    labels = unique_labels([f.label if named.count(f.label.casefold()) == 1 else file_label(f.path) for f in facts])
    facts = [replace(f, label=label) for f, label in zip(facts, labels, strict=True)]
    by_label = _by_label(labels[1:], magnitudes)
    sky_of = _skies(labels[1:], skies or {}, options.radius_arcsec)
    shares = _each(completeness, len(files) - 1)
    clock = _Clock()
    wanted = wanted or Wanted()
    mine_wanted = replace(wanted, pos_err=wanted.pos_err or files[0].pos_err, option="FILE:ERROR")
    guesses = [guess(facts[0], mine_wanted)]
    guesses += [
        guess(f, Wanted(pos_err=spec.pos_err, option="FILE:ERROR"), xray=False)
        for f, spec in zip(facts[1:], files[1:], strict=True)
    ]
    lines = [line for g in guesses for line in g.lines]
    with clock.step(f"read {labels[0]}"):
        mine = read_mine(facts[0], guesses[0], labels[0], lines)
    with ready(config) as conn:
        try:
            sides, haystacks = [], []
            for k, label in enumerate(labels[1:], 1):
                other = Other(facts[k], guesses[k], label, f"pg_temp.own_{k}")
                with clock.step(f"load {label}"):
                    load_other(conn, other, by_label[label], lines)
                haystacks.append(haystack_of_file(k, other, shares[k - 1], by_label[label], sky_of[label], lines))
                sides.append(other)
            outcome = _match(conn, mine, haystacks, options, lines)
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
    options: MatchOptions,
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
    options : MatchOptions
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
    by_label = _by_label(labels[1:], magnitudes)
    with clock.step(f"read {facts.label}"):
        mine = read_mine(facts, mine_guess, labels[0], lines)
    with ready(config) as conn:
        try:
            loaded = [loaded_catalogue(conn, name) for name in against]
            haystacks = [
                haystack_of_catalogue(conn, one, label, by_label[label], lines)
                for one, label in zip(loaded, labels[1:], strict=True)
            ]
            outcome = _match(conn, mine, haystacks, options, lines)
            hypotheses, objects = _hypotheses(conn, len(haystacks), outcome)
            with clock.step("read counterparts"):
                found = [
                    _catalogue_side(conn, label, one, haystack, column)
                    for label, one, haystack, column in zip(labels[1:], loaded, haystacks, objects.T, strict=True)
                ]
        finally:
            conn.rollback()
    return _answer(mine, found, hypotheses, objects, outcome, options, lines, clock)


def _match(
    conn: Connection, mine: Mine, haystacks: Sequence[Haystack], options: MatchOptions, lines: list[str]
) -> Outcome:
    targets = Targets.of(mine.columns)
    moving = [h.name for h in haystacks if h.moves]
    if moving and np.isnan(targets.epoch_yr).any():
        lines.append(
            f"{mine.label}: {np.isnan(targets.epoch_yr).sum():,} rows have no epoch, so for them the objects of "
            f"{', '.join(moving)} are not moved (give --epoch YEAR)"
        )
    return engine.match(conn, targets, haystacks, options)


# --- arguments --------------------------------------------------------------------------------------------


def _each(values: Sequence[Any], n: int) -> list[Any]:
    if len(values) not in (1, n):
        raise ConfigError(f"--completeness: give one number, or {n} with commas between (one a counterpart file)")
    return list(values) * n if len(values) == 1 else list(values)


def _by_label(labels: Sequence[str], magnitudes: Sequence[MagnitudeSpec]) -> dict[str, list[MagnitudeSpec]]:
    """Magnitudes of every counterpart table."""
    found: dict[str, list[MagnitudeSpec]] = {label: [] for label in labels}
    for magnitude in magnitudes:
        found[_label(labels, magnitude.table, "--mag")].append(magnitude)
    return found


def _skies(labels: Sequence[str], skies: Mapping[str, Mapping[str, float]], radius_arcsec: float) -> dict[str, Sky]:
    """What is said about the sky of every counterpart table."""
    found: dict[str, Sky] = {label: Sky() for label in labels}
    for key, name in {"area": "area_deg2", "around": "around_arcsec", "density": "density_per_deg2"}.items():
        for table, value in skies.get(key, {}).items():
            label = _label(labels, table, f"--{key}")
            if found[label] != Sky():
                raise ConfigError(f"{label}: give one of --area, --around and --density, they exclude each other")
            found[label] = Sky(**{name: value})
    for label, sky in found.items():
        if sky.around_arcsec is not None and sky.around_arcsec <= 2 * radius_arcsec:
            raise ConfigError(
                f"--around {label}:{sky.around_arcsec:g}: to count the field around the sources, the cut-outs must be "
                f"wider than twice the search radius of {radius_arcsec:g} arcsec"
            )
    return found


def _label(labels: Sequence[str], name: str, option: str) -> str:
    """The table that an option means, without regard to case."""
    found = [label for label in labels if label.casefold() == name.casefold()]
    if not found:
        raise ConfigError(f"{option} {name}: there is no counterpart table of this name; there is: {', '.join(labels)}")
    return found[0]


# --- answers ----------------------------------------------------------------------------------------------


def _hypotheses(conn: Connection, n_sides: int, outcome: Outcome) -> tuple[np.ndarray, np.ndarray]:
    types = [(name, _ROW_TYPES[code]) for name, code in HYPOTHESIS]
    hypotheses = copy.fetch_columns(
        conn, job("own.hypotheses").compose(), types, {"cutoff": outcome.calibration.cutoff_of(0)}
    )
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


def _file_side(conn: Connection, other: Other, haystack: Haystack, objects: np.ndarray) -> Side:
    ids = _needed(objects)
    places = _places_of_table(conn, other.table, ids, haystack.epoch_yr)
    magnitude = next(iter(other.magnitudes), None)
    side = Side(other.label, ids, take(other.facts, ids), places, magnitude)
    if magnitude is not None:
        side.field = _field(conn, other.table, other.magnitudes[magnitude])
    return side


def _catalogue_side(conn: Connection, label: str, loaded: Loaded, haystack: Haystack, objects: np.ndarray) -> Side:
    from xcat.output import results  # the room of reports is above this one

    ids = _needed(objects)
    places = _places_of_table(conn, loaded.table, ids, haystack.epoch_yr)
    table = results.query(conn, job("own.wanted").compose(haystack=loaded.table).as_string(conn))
    known = {"native_id", "ra", "dec", "err_arcsec", *loaded.definition.columns}
    if haystack.elliptical:
        known |= {"err_maj_arcsec", "err_min_arcsec", "err_pa_deg"}
    weighed = [c for t in haystack.terms for c in t.name.split(" - ")]
    magnitude = next((c for c in (*weighed, *loaded.definition.columns) if c == "mag" or c.startswith("mag_")), None)
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
    mine: Mine,
    sides: list[Side],
    hypotheses: np.ndarray,
    objects: np.ndarray,
    outcome: Outcome,
    options: MatchOptions,
    lines: list[str],
    clock: _Clock,
) -> Answer:
    n = len(mine.table)
    everywhere: dict[str, np.ndarray] = {}
    for name in ("ra", "dec", "epoch_yr"):
        everywhere[name] = np.full(n, np.nan)
        if name in mine.columns:
            everywhere[name][mine.columns["id"] - 1] = mine.columns[name]
    calibration = outcome.calibration
    return Answer(
        mine.label, mine.table, mine.unusable, Places.of(everywhere, n), sides, hypotheses, objects,
        calibration.cutoff_of(0), options.false_rate, _measured(calibration), _curve(calibration),
        lines + outcome.notes, dict(outcome.counts), clock.seconds | outcome.seconds,
    )  # fmt: skip


def _measured(calibration: Calibration) -> float | None:
    """Share of the shifted positions that pass the cutoff in use."""
    here = (calibration.k == 0) & (calibration.part == 0) & calibration.is_chosen & (calibration.n_shifted > 0)
    return float(calibration.false_rate[here][0]) if here.any() else None


def _curve(calibration: Calibration) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Cutoff against the shares of shifted positions and of sources above it, over all catalogues and parts."""
    here = (calibration.k == 0) & (calibration.part == 0) & ~calibration.is_chosen
    if not here.any() or not calibration.n_shifted[here].any():
        return None
    share = calibration.n_sources_above[here] / np.maximum(calibration.n_sources[here], 1)
    return calibration.cutoff[here], calibration.false_rate[here], share
