"""The one place where tests of the matching engine meet it: the oracle's objects in, hypotheses as a table out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from unit.oracle import Objects, Shares

from xcat.database import copy
from xcat.database.connection import Connection
from xcat.match.engine import MatchOptions, Outcome, match
from xcat.match.haystack import Haystack, MagnitudeTerm
from xcat.match.learning import PriorTable
from xcat.match.targets import Targets
from xcat.sky.density_map import DensityMap, cells


@dataclass(frozen=True)
class Matched:
    """What the engine says.

    Attributes
    ----------
    shares : Shares or None
        What it learned of objects in several catalogues, over all sources.
    table : DataFrame
        One row a hypothesis: source (its number), rank, c1 ... cK (number of the object, -1 none), log_bf, p_single,
        p_any, p_i, match_flag; by source and rank.
    outcome : Outcome
    """

    table: pd.DataFrame
    outcome: Outcome
    shares: Shares | None

    def p_any(self) -> np.ndarray:
        """By source."""
        return self.table[self.table["rank"] == 0].p_any.to_numpy()

    def best(self) -> pd.DataFrame:
        """The best hypothesis of the sources that have any, by source."""
        return self.table[self.table["rank"] == 1].set_index("source")

    def p_i(self, source: int) -> dict[tuple[int | None, ...], float]:
        """p_i by members, as the oracle gives it."""
        mine = self.table[(self.table.source == source) & (self.table["rank"] > 0)]
        members = mine[[c for c in mine.columns if c.startswith("c") and c[1:].isdigit()]].to_numpy()
        return {tuple(None if i < 0 else int(i) for i in row): p for row, p in zip(members, mine.p_i, strict=True)}


def run(
    conn: Connection,
    sources: Objects,
    catalogues: Sequence[Objects],
    *,
    magnitudes: Sequence[np.ndarray | None] | None = None,
    priors: Sequence[PriorTable | None] | None = None,
    local: bool = False,
    completeness: Any = None,
    calibrate: bool = False,
    **options: Any,
) -> Matched:
    """Match within one transaction, in temporary tables.

    Parameters
    ----------
    conn : Connection
    sources, catalogues : Objects
    magnitudes : sequence of ndarray, optional
        One a catalogue, or None; learned where `priors` gives no table.
    priors : sequence of PriorTable, optional
    local : bool
        Densities from the positions instead of `Objects.density_per_deg2`.
    completeness : float or "estimate", optional
        Instead of `Objects.completeness`.
    calibrate : bool
        Match shifted positions.
    **options
        Of the engine.
    """
    haystacks = []
    for k, objects in enumerate(catalogues):
        mag = magnitudes[k] if magnitudes else None
        _load(conn, f"hay{k + 1}", objects, mag)
        terms = () if mag is None else (MagnitudeTerm("mag", priors[k] if priors else None),)
        wanted = objects.completeness if completeness is None else completeness
        haystacks.append(
            Haystack(
                k + 1,
                f"hay{k + 1}",
                f"pg_temp.hay{k + 1}",
                None if local else objects.density_per_deg2,
                _map(objects) if len(objects) else None,
                completeness=wanted,
                elliptical=objects.maj is not None,
                terms=terms,
            )
        )
    outcome = match(conn, targets(sources), haystacks, MatchOptions(**options), with_calibration=calibrate)
    return Matched(hypotheses(conn, len(catalogues)), outcome, _shares(conn))


def _map(objects: Objects) -> DensityMap:
    return DensityMap(*np.unique(cells(objects.ra, objects.dec), return_counts=True))


def targets(sources: Objects) -> Targets:
    """The sources as the engine takes them; their number is the id."""
    n = len(sources)
    nan = np.full(n, np.nan)
    maj, min_, pa = (nan if x is None else np.asarray(x, float) for x in (sources.maj, sources.min, sources.pa))
    return Targets(
        id=np.arange(n),
        is_shifted=np.zeros(n, dtype=bool),
        ra=np.atleast_1d(np.asarray(sources.ra, float)),
        dec=np.atleast_1d(np.asarray(sources.dec, float)),
        err_arcsec=np.atleast_1d(np.asarray(sources.err, float)),
        err_maj_arcsec=maj,
        err_min_arcsec=min_,
        err_pa_deg=pa,
        epoch_yr=nan,
        group=np.ones(n, dtype=np.int64),
    )


def _load(conn: Connection, table: str, objects: Objects, mag: np.ndarray | None) -> None:
    columns = {"object_id": np.arange(len(objects)), "ra": objects.ra, "dec": objects.dec, "err_arcsec": objects.err}
    for name, values in (("maj", objects.maj), ("min", objects.min), ("pa", objects.pa)):
        if values is not None:
            columns[f"err_{name}_{'deg' if name == 'pa' else 'arcsec'}"] = values
    if mag is not None:
        columns["mag"] = mag
    make_table(conn, table, columns)


def make_table(conn: Connection, table: str, columns: dict[str, np.ndarray]) -> None:
    """A temporary table of these columns of ``xcat.counterpart``, in place of one of this name."""
    conn.execute(f"DROP TABLE IF EXISTS {table}")
    conn.execute(f"CREATE TEMP TABLE {table} AS SELECT * FROM xcat.counterpart LIMIT 0")
    types = copy.column_types(conn, "xcat.counterpart")
    copy.copy_in(conn, table, [columns], types={name: types[name] for name in columns})
    conn.execute(f"CREATE INDEX ON {table} (public.q3c_ang2ipix(ra, dec))")
    conn.execute(f"ANALYZE {table}")


def _shares(conn: Connection) -> Shares | None:
    """Of the only part that a handful of sources falls into; none where one catalogue is matched, or as NWAY does."""
    rows = conn.execute("SELECT mask, log_back, log_alone FROM pg_temp.share WHERE part = 1").fetchall()
    if not rows:
        return None
    pattern = [tuple(k for k in range(16) if mask >> k & 1) for mask, _, _ in rows]
    return Shares(
        {p: row[1] for p, row in zip(pattern, rows, strict=True)},
        {p: row[2] for p, row in zip(pattern, rows, strict=True)},
    )


def hypotheses(conn: Connection, n_catalogues: int) -> pd.DataFrame:
    """The hypotheses of the last match, as `Matched.table` has them."""
    members = ", ".join(
        f"coalesce(p.members[array_position(p.ks, {k}::smallint)], -1) AS c{k}" for k in range(1, n_catalogues + 1)
    )
    cursor = conn.execute(
        f"SELECT t.id AS source, p.rank, {members}, p.log_bf, p.p_single, p.p_any, p.p_i, p.match_flag"
        " FROM pg_temp.posterior AS p JOIN pg_temp.target AS t USING (no) WHERE NOT t.is_shifted ORDER BY t.id, p.rank"
    )
    names = [c.name for c in cursor.description or ()]
    numbers = [n for n in names if n.startswith(("log", "p_"))]
    return pd.DataFrame(cursor.fetchall(), columns=names).astype(dict.fromkeys(numbers, float))
