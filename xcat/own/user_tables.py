"""User tables prepared for matching: the user's rows as targets, counterpart files as temporary tables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import numpy as np
from astropy.table import Table

from xcat.catalogues.definition import Definition
from xcat.database import copy
from xcat.database.connection import Connection
from xcat.database.loaded import Loaded
from xcat.database.sqlfiles import job
from xcat.errors import ConfigError, InputError
from xcat.ingest.convert import convert
from xcat.ingest.rows import VALUE_LEFT_EMPTY, Rejects, Rows
from xcat.match.haystack import Haystack, MagnitudeTerm
from xcat.match.stage import haystack_of
from xcat.own.arguments import MagnitudeSpec, read_histogram
from xcat.sky import density_map
from xcat.tables.facts import TableFacts, to_table
from xcat.tables.guess import Guess

_MOTION = ("epoch_yr", "pmra_mas_yr", "pmdec_mas_yr")
_COLUMNS = ("object_id", "ra", "dec", "err_arcsec", "err_maj_arcsec", "err_min_arcsec", "err_pa_deg", *_MOTION)


class _RejectCounter:
    """Rows that cannot be matched, counted by reason."""

    def __init__(self) -> None:
        self._by_reason: dict[str, list[int]] = {}

    def add(self, rejects: Rejects) -> None:
        for row, reason in zip(rejects.row_number.tolist(), rejects.reason, strict=True):
            self._by_reason.setdefault(reason, [0, row])[0] += 1

    def messages(self, label: str) -> list[str]:
        most = sorted(self._by_reason.items(), key=lambda item: -item[1][0])
        unmatched = [(why, n, row) for why, (n, row) in most if not why.endswith(VALUE_LEFT_EMPTY)]
        emptied = [(why, n, row) for why, (n, row) in most if why.endswith(VALUE_LEFT_EMPTY)]
        return [
            *(f"{label}: {n:,} rows cannot be matched: {why} (first in row {row:,})" for why, n, row in unmatched),
            *(f"{label}: {n:,} x {why} (first in row {row:,})" for why, n, row in emptied),
        ]


@dataclass
class UserTable:
    """The user's table: all of it, why rows are unusable, and the standard columns of the others."""

    label: str
    table: Table
    unusable: np.ndarray
    columns: dict[str, np.ndarray]


#: What the user states about the sky of a counterpart file: "area" and the deg2 that it covers; "around" and the radius
#: in arcsec, if it has only the objects around the sources; or "density" and the number per deg2 of the catalogue of
#: which it has some objects near the sources.
SkyCoverage: TypeAlias = tuple[str, float]


@dataclass
class CounterpartFile:
    """A counterpart file, loaded into a temporary table."""

    facts: TableFacts
    guess: Guess
    table: str
    n_usable: int = 0
    magnitudes: dict[str, str] = field(default_factory=dict)  # column of the file -> column of the temporary table
    map: density_map.DensityMap | None = None


def read_user_table(facts: TableFacts, guessed: Guess, messages: list[str]) -> UserTable:
    """Read the X-ray sources: all columns for the answer, and what the match needs; `messages` gets the rejected rows.

    Raises
    ------
    InputError
        The table cannot be read, or is empty.
    """
    with facts.open() as reader:
        chunks = [(chunk, convert(chunk, guessed.definition)) for chunk in reader]
    if not chunks:
        raise InputError(f"{facts.name}: the table has no rows")
    unusable = np.full(sum(chunk.n_rows for chunk, _ in chunks), "", dtype=object)
    counter = _RejectCounter()
    for _, converted in chunks:
        counter.add(converted.rejects)
        counter.add(converted.emptied)
        unusable[converted.rejects.row_number - 1] = converted.rejects.reason
    parts = [{"id": converted.row_number, **_needed(converted.columns)} for _, converted in chunks]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    if guessed.definition.epoch_yr is not None:
        epoch = columns.get("epoch_yr", np.full(len(columns["id"]), np.nan))
        columns["epoch_yr"] = np.where(np.isnan(epoch), guessed.definition.epoch_yr, epoch)
    messages += counter.messages(facts.label)
    return UserTable(
        facts.label, to_table(facts, [chunk.batch for chunk, _ in chunks]), unusable.astype(np.str_), columns
    )


def _needed(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: values for name, values in columns.items() if name in _COLUMNS}


def load_file(
    conn: Connection, file: CounterpartFile, magnitudes: Sequence[MagnitudeSpec], messages: list[str]
) -> None:
    """Copy position, error, motion and magnitudes of a file into its temporary table, chunk by chunk."""
    columns = [c for m in magnitudes for c in _columns_of(file.facts, m)]
    columns += [c for c in file.guess.magnitudes[:1] if not magnitudes]
    for column in dict.fromkeys(columns):
        number = f"m_{len(file.magnitudes) + 1}"
        used = {*_COLUMNS, *(n.casefold() for n in file.magnitudes.values())}
        is_usable = re.fullmatch(r"[A-Za-z_]\w{0,40}", column, re.A) and column.casefold() not in used
        file.magnitudes[column] = column if is_usable else number
    conn.execute(job("own.make_table").compose(table=file.table))
    for name in file.magnitudes.values():
        conn.execute(job("own.add_magnitude").compose(table=file.table, column=name))
    positions, counter = density_map.Counter(), _RejectCounter()
    definition = file.guess.definition
    wanted = dict.fromkeys([*definition.file_columns, *file.magnitudes])

    def blocks() -> Iterator[dict[str, np.ndarray]]:
        with file.facts.open(list(wanted)) as reader:
            for chunk in reader:
                converted = convert(chunk, definition)
                counter.add(converted.rejects)
                counter.add(converted.emptied)
                raw = Rows(chunk, definition)
                at = converted.row_number - chunk.first_row
                values = {name: raw.numbers(column)[at] for column, name in file.magnitudes.items()}
                positions.add(converted.columns["ra"], converted.columns["dec"])
                yield {"object_id": converted.row_number, **_needed(converted.columns), **values}

    file.n_usable = copy.copy_in(conn, file.table, blocks())
    conn.execute(job("own.index_table").compose(table=file.table))
    conn.execute(job("own.analyze").compose(table=file.table))
    file.map = density_map.map_of(positions)
    messages += counter.messages(file.facts.label)


def _columns_of(facts: TableFacts, magnitude: MagnitudeSpec) -> list[str]:
    """Columns of a magnitude, or of a colour written ``a-b``."""
    names = [magnitude.column]
    if facts.column(magnitude.column) is None and magnitude.column.count("-") == 1:
        names = [n.strip() for n in magnitude.column.split("-")]
    columns = []
    for name in names:
        column = facts.column(name)
        if column is None or column.is_text:
            what = "does not exist" if column is None else "holds text"
            numbers = ", ".join(c.name for c in facts.columns if not c.is_text)
            raise InputError(
                f"{facts.name}: column '{name}' {what} (--mag {magnitude.table}:{magnitude.column}); it has: {numbers}"
            )
        columns.append(column.name)
    return columns


def haystack_of_file(
    k: int,
    file: CounterpartFile,
    completeness: float | Literal["estimate"],
    magnitudes: Sequence[MagnitudeSpec],
    sky: SkyCoverage | None,
    messages: list[str],
) -> Haystack:
    """Counterpart file number k, loaded by `load_file`, as the match sees it; `messages` gets its density.

    Without `sky` the density comes from SKYAREA of the header, else it is measured.
    """
    density, around, where = None, None, None
    if sky is None and file.facts.sky_area_deg2 is not None:
        sky = "SKYAREA", file.facts.sky_area_deg2
    kind, value = sky or ("", 0.0)
    if not kind:
        where = file.map
        about = (
            f"density measured from its own {file.n_usable:,} positions, cell by cell "
            "(if it has only neighbours of the sources: --around or --density)"
        )
    elif kind == "around":
        around = value
        about = f"cut-outs of {around:g} arcsec around the sources, density counted in each"
    elif kind == "density":
        density = value
        about = f"{density:,.4g} objects per deg2 (--density)"
    else:
        # unusable rows are not counted: they have no place on the sky
        density, where = max(file.n_usable, 1) / value, file.map
        source = "--area" if kind == "area" else kind
        about = f"{density:,.4g} objects per deg2 ({file.n_usable:,} in {value:g} deg2, {source})"
    messages.append(f"{file.facts.label}: {about}")
    terms = [_term([file.magnitudes[c] for c in _columns_of(file.facts, m)], m) for m in magnitudes]
    error = file.guess.definition.position_error
    return Haystack(
        k,
        file.facts.label,
        file.table,
        density_per_deg2=density,
        density_map=where,
        around_arcsec=around,
        completeness=completeness,
        moves=file.guess.moves,
        elliptical=error is not None and error.is_ellipse,
        terms=tuple(terms),
    )


def _term(names: Sequence[str], magnitude: MagnitudeSpec) -> MagnitudeTerm:
    path = magnitude.histogram
    return MagnitudeTerm(" - ".join(names), None if path is None else read_histogram(path))


def loaded_catalogue(conn: Connection, name: str) -> Loaded:
    """A counterpart catalogue by its name.

    Raises
    ------
    ConfigError
        It is not loaded.
    """
    by_name = {row[1]: row for row in conn.execute(job("own.catalogues").compose())}
    if name in by_name:
        return Loaded(by_name[name][0], Definition.from_dict(by_name[name][2]))
    names = ", ".join(by_name) or "none; load one: xcat ingest CATALOGUE FILE"
    raise ConfigError(f"--against {name}: no optical or infrared catalogue of this name is loaded; there is: {names}")


def haystack_of_catalogue(
    conn: Connection, loaded: Loaded, label: str, magnitudes: Sequence[MagnitudeSpec], messages: list[str]
) -> Haystack:
    """A loaded catalogue as the match stage sees it, but with the magnitudes that the user names, if any.

    Raises
    ------
    ConfigError
        The catalogue has no such magnitude.
    StageError
        Its definition does not state its density.
    """
    haystack = haystack_of(conn, loaded)
    if magnitudes:
        haystack = replace(haystack, terms=tuple(_term(_magnitudes_of(loaded, m), m) for m in magnitudes))
    density = "density measured cell by cell"
    if haystack.around_arcsec is not None:
        density = f"cut-outs of {haystack.around_arcsec:g} arcsec around X-ray sources, density counted in each"
    elif haystack.density_per_deg2 is not None:
        density = f"{haystack.density_per_deg2:,.4g} objects per deg2"
    weighed = ", ".join(t.name for t in haystack.terms) or "position alone"
    messages.append(f"{label}: {density}, completeness {haystack.completeness}, weighed by {weighed}")
    return replace(haystack, name=label)


def _magnitudes_of(loaded: Loaded, magnitude: MagnitudeSpec) -> list[str]:
    """Columns of a magnitude or colour of a loaded catalogue."""
    names = [n.strip() for n in magnitude.column.split("-")]
    available = [c for c in loaded.definition.columns if c == "mag" or c.startswith("mag_")]
    if len(names) > 2 or not set(names) <= set(available):
        raise ConfigError(
            f"--mag {magnitude.table}:{magnitude.column}: {loaded.definition.name} has the magnitudes "
            f"{', '.join(available) or '(none)'}"
        )
    return names
