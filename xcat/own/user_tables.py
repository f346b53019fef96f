"""Tables of one's own on their way into a match: my rows as targets, other files as temporary tables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import pyarrow as pa
from astropy.table import Table

from xcat.catalogues.definition import Definition
from xcat.database import copy
from xcat.database.connection import Connection
from xcat.database.loaded import Loaded
from xcat.database.sqlfiles import job
from xcat.errors import ConfigError, InputError
from xcat.ingest.convert import convert
from xcat.ingest.rows import Rejects, Rows
from xcat.match.haystack import Haystack, MagnitudeTerm
from xcat.match.learning import PriorTable
from xcat.match.stage import haystack_of
from xcat.own.arguments import Histogram, MagnitudeSpec, read_histogram
from xcat.sky import density_map
from xcat.tables.facts import TableFacts
from xcat.tables.guess import Guess
from xcat.tables.whole_rows import to_table

_BASE = (
    "object_id", "ra", "dec", "err_arcsec", "err_maj_arcsec", "err_min_arcsec", "err_pa_deg", "epoch_yr", "pmra_mas_yr",
    "pmdec_mas_yr",
)  # fmt: skip


class _Rejected:
    """Rows that cannot be matched, counted by reason."""

    def __init__(self) -> None:
        self._found: dict[str, list[int]] = {}

    def add(self, rejects: Rejects) -> None:
        for row, reason in zip(rejects.row_number.tolist(), rejects.reason, strict=True):
            self._found.setdefault(reason, [0, row])[0] += 1

    def tell(self, label: str) -> list[str]:
        most = sorted(self._found.items(), key=lambda item: -item[1][0])
        return [f"{label}: {n:,} rows cannot be matched: {why} (first in row {row:,})" for why, (n, row) in most]


@dataclass
class Mine:
    """My table: all of it, and what of it can be matched."""

    label: str
    table: Table
    unusable: np.ndarray
    columns: dict[str, np.ndarray]


@dataclass(frozen=True)
class Sky:
    """What the user says about the sky of a file: at most one of these.

    Parameters
    ----------
    area_deg2 : float, optional
        Area that the file covers.
    around_arcsec : float, optional
        The file has only the objects so near to the sources.
    density_per_deg2 : float, optional
        Of the catalogue, of which the file has some objects near the sources, not all.
    """

    area_deg2: float | None = None
    around_arcsec: float | None = None
    density_per_deg2: float | None = None


@dataclass
class Other:
    """A file on the other side, loaded into a temporary table."""

    facts: TableFacts
    guess: Guess
    label: str
    table: str
    n_usable: int = 0
    magnitudes: dict[str, str] = field(default_factory=dict)  # column of the file -> column of the temporary table
    map: density_map.DensityMap | None = None


def read_mine(facts: TableFacts, guessed: Guess, label: str, lines: list[str]) -> Mine:
    """Read the X-ray side: all of it for the answer, and what of it can be matched.

    Parameters
    ----------
    facts : TableFacts
    guessed : Guess
    label : str
        Name of the table in messages.
    lines : list of str
        Gets what cannot be matched, and why.

    Raises
    ------
    InputError
        The table cannot be read, or is empty.
    """
    batches: list[pa.RecordBatch] = []
    parts: list[dict[str, np.ndarray]] = []
    why: list[np.ndarray] = []
    rejected = _Rejected()
    with facts.open() as reader:
        for chunk in reader:
            batches.append(chunk.batch)
            converted = convert(chunk, guessed.definition)
            parts.append({"id": converted.row_number, **_numbers(converted.columns)})
            rejected.add(converted.rejects)
            reasons = np.full(chunk.n_rows, "", dtype=object)
            reasons[converted.rejects.row_number - chunk.first_row] = converted.rejects.reason
            why.append(reasons)
    if not parts:
        raise InputError(f"{facts.path}: the table has no rows")
    columns = {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
    if guessed.definition.epoch_yr is not None:
        known = columns.get("epoch_yr", np.full(len(columns["id"]), np.nan))
        columns["epoch_yr"] = np.where(np.isnan(known), guessed.definition.epoch_yr, known)
    lines += rejected.tell(label)
    return Mine(label, to_table(facts, batches), np.concatenate(why).astype(np.str_), columns)


def _numbers(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: values for name, values in columns.items() if name in _BASE}


def load_other(conn: Connection, other: Other, magnitudes: Sequence[MagnitudeSpec], lines: list[str]) -> None:
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
    counter, rejected = density_map.Counter(), _Rejected()
    definition = other.guess.definition
    wanted = dict.fromkeys([*definition.file_columns, *other.magnitudes])

    def blocks() -> Iterator[dict[str, np.ndarray]]:
        with other.facts.open(list(wanted)) as reader:
            for chunk in reader:
                converted = convert(chunk, definition)
                rejected.add(converted.rejects)
                raw = Rows(chunk, definition)
                at = converted.row_number - chunk.first_row
                values = {name: raw.numbers(column)[at] for column, name in other.magnitudes.items()}
                counter.add(converted.columns["ra"], converted.columns["dec"])
                yield {"object_id": converted.row_number, **_numbers(converted.columns), **values}

    other.n_usable = copy.copy_in(conn, other.table, blocks())
    conn.execute(job("own.index_table").compose(table=other.table))
    conn.execute(job("own.analyze").compose(table=other.table))
    other.map = density_map.DensityMap(*counter.occupied())
    lines += rejected.tell(other.label)


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
            raise InputError(
                f"{facts.path}: '{name}' {what} (--mag {magnitude.table}:{magnitude.column}); it has: {numbers}"
            )
    return [c.name for c in found if c is not None]


def haystack_of_file(
    k: int,
    other: Other,
    completeness: float | Literal["estimate"],
    magnitudes: Sequence[MagnitudeSpec],
    sky: Sky,
    lines: list[str],
) -> Haystack:
    """A file, loaded by `load_other`, as the match sees it.

    Parameters
    ----------
    k : int
        Its number.
    other : Other
    completeness : float or "estimate"
    magnitudes : sequence of MagnitudeSpec
    sky : Sky
        What the user says; else SKYAREA of the header tells the density, else it is measured.
    lines : list of str
        Gets what was taken for the density.
    """
    per_deg2, where = None, other.map
    area = sky.area_deg2 if sky.area_deg2 is not None else other.facts.sky_area_deg2
    n = other.n_usable
    if sky.around_arcsec is not None:
        where = None
        said = f"cut-outs of {sky.around_arcsec:g} arcsec around the sources, density counted in each"
        lines.append(f"{other.label}: {said}")
    elif sky.density_per_deg2 is not None:
        per_deg2, where = sky.density_per_deg2, None
        lines.append(f"{other.label}: {per_deg2:,.4g} objects per deg2 (--density)")
    elif area is not None:
        # rows that cannot be counterparts are not counted: they are in no sky
        per_deg2 = max(n, 1) / area
        said = "--area" if sky.area_deg2 is not None else "SKYAREA"
        lines.append(f"{other.label}: {per_deg2:,.4g} objects per deg2 ({n:,} in {area:g} deg2, {said})")
    else:
        lines.append(
            f"{other.label}: density measured from its own {n:,} positions, cell by cell "
            f"(if it has only neighbours of the sources: --around or --density)"
        )
    terms = []
    for magnitude in magnitudes:
        names = [other.magnitudes[c] for c in _columns_of(other.facts, magnitude)]
        table = None if magnitude.histogram is None else _prior(read_histogram(magnitude.histogram))
        terms.append(MagnitudeTerm(" - ".join(names), table))
    error = other.guess.definition.position_error
    return Haystack(
        k,
        other.label,
        other.table,
        density_per_deg2=per_deg2,
        density_map=where,
        around_arcsec=sky.around_arcsec,
        completeness=completeness,
        moves=other.guess.moves,
        elliptical=error is not None and error.is_ellipse,
        terms=tuple(terms),
    )


def _prior(histogram: Histogram) -> PriorTable:
    return PriorTable(histogram.low, histogram.high, histogram.counterparts, histogram.field)


def loaded_catalogue(conn: Connection, name: str) -> Loaded:
    """A counterpart catalogue by its name."""
    rows = conn.execute(job("own.catalogues").compose()).fetchall()
    by_name = {row[1]: row for row in rows}
    if name not in by_name:
        there = ", ".join(by_name) or "none; load one: xcat ingest CATALOGUE FILE"
        raise ConfigError(
            f"--against {name}: no optical or infrared catalogue of this name is loaded; there is: {there}"
        )
    return Loaded(by_name[name][0], Definition.from_dict(by_name[name][2]))


def haystack_of_catalogue(
    conn: Connection, loaded: Loaded, label: str, magnitudes: Sequence[MagnitudeSpec], lines: list[str]
) -> Haystack:
    """A loaded catalogue as the match stage sees it, but with the magnitudes that the user names, if any.

    Raises
    ------
    ConfigError
        The catalogue has no such magnitude.
    StageError
        Its definition says nothing about its density.
    """
    found = haystack_of(conn, loaded)
    if magnitudes:
        found = replace(found, terms=tuple(_term(loaded, m) for m in magnitudes))
    known = found.density_per_deg2
    density_said = "density measured cell by cell"
    if found.around_arcsec is not None:
        density_said = f"cut-outs of {found.around_arcsec:g} arcsec around X-ray sources, density counted in each"
    elif known is not None:
        density_said = f"{known:,.4g} objects per deg2"
    weighed = ", ".join(t.name for t in found.terms) or "position alone"
    lines.append(f"{label}: {density_said}, completeness {found.completeness}, weighed by {weighed}")
    return replace(found, name=label)


def _term(loaded: Loaded, magnitude: MagnitudeSpec) -> MagnitudeTerm:
    names = [n.strip() for n in magnitude.column.split("-")]
    there = [c for c in loaded.definition.columns if c == "mag" or c.startswith("mag_")]
    if len(names) > 2 or not set(names) <= set(there):
        raise ConfigError(
            f"--mag {magnitude.table}:{magnitude.column}: {loaded.definition.name} has the magnitudes "
            f"{', '.join(there) or '(none)'}"
        )
    return MagnitudeTerm(
        " - ".join(names), None if magnitude.histogram is None else _prior(read_histogram(magnitude.histogram))
    )
