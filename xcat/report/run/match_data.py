"""Results of a match run: accepted counterparts, the rate of false ones, and their magnitudes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from xcat.database import copy, partitions
from xcat.database.connection import Connection
from xcat.database.runs import get
from xcat.database.sqlfiles import job
from xcat.output.reading import Row, rows

P_ANY_BINS = 20
ALL = "all together"
_DOUBLE = "double precision"
_CALIBRATION = [
    *(("catalogue_id", "smallint"), ("part", "smallint"), ("cutoff", _DOUBLE), ("is_chosen", "boolean")),
    *((name, "integer") for name in ("n_sources", "n_sources_above", "n_shifted", "n_shifted_above")),
    *((name, _DOUBLE) for name in ("false_rate", "contamination", "density_low", "density_high")),
]


@dataclass
class MissionMatch:
    """A mission matched with a catalogue.

    Attributes
    ----------
    mission, catalogue, kind : str
    bins, accepted_bins : ndarray of int, shape (20,)
        Sources by p_any, and those of them whose counterpart is accepted, in bins from 0 to 1.
    """

    mission: str
    catalogue: str
    kind: str
    bins: np.ndarray
    accepted_bins: np.ndarray
    sources: int = 0
    with_candidates: int = 0
    candidates: int = 0
    mean_p_any: float = 0.0
    density_per_deg2: float = 0.0
    completeness: float = 0.0

    @property
    def accepted(self) -> int:
        """Sources with an accepted counterpart."""
        return int(self.accepted_bins.sum())


@dataclass
class Calibrated:
    """False matches of one catalogue against the cutoff of p_any.

    Attributes
    ----------
    catalogue : str
    curves : dict of part to structured array
        Rows of ``xcat.calibration`` by cutoff, except that of the cutoff in use; part 0 is the whole sky.
    chosen : structured array
        The rows of the cutoffs in use, by part.
    """

    catalogue: str
    curves: dict[int, np.ndarray]
    chosen: np.ndarray

    @property
    def whole(self) -> np.void:
        """Row of the cutoff in use over the whole sky."""
        row: np.void = self.chosen[self.chosen["part"] == 0][0]
        return row

    @property
    def cutoffs(self) -> tuple[float, float]:
        """Smallest and largest cutoff in use in the parts of the sky."""
        parts = self.chosen["cutoff"][self.chosen["part"] > 0]
        return (float(parts.min()), float(parts.max())) if len(parts) else (float(self.whole["cutoff"]),) * 2


@dataclass
class MagnitudePrior:
    """The prior of one magnitude or colour of one catalogue.

    Attributes
    ----------
    catalogue, term : str
    edges : ndarray, shape (n + 1,)
    counterparts, field : ndarray, shape (n,)
        Densities, mean over the parts of the sky, weighted by their number of sources.
    log_ratio : ndarray, shape (n,)
        The same mean of the log ratio.
    by_part : ndarray, shape (n_parts, n)
        Log ratio of each part.
    """

    catalogue: str
    term: str
    edges: np.ndarray
    counterparts: np.ndarray
    field: np.ndarray
    log_ratio: np.ndarray
    by_part: np.ndarray


@dataclass
class Matching:
    """A match run; empty if there is none.

    Attributes
    ----------
    matches : list of MissionMatch
    calibrations : list of Calibrated
        One per catalogue; that of all together is last if there are several.
    priors : list of MagnitudePrior
    notes : list of str
        What the run could not do.
    false_rate : float or None
        Target: fraction of the shifted positions that may be accepted.
    min_p_any : float or None
        Lowest possible cutoff.
    """

    matches: list[MissionMatch] = field(default_factory=list)
    calibrations: list[Calibrated] = field(default_factory=list)
    priors: list[MagnitudePrior] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    false_rate: float | None = None
    min_p_any: float | None = None

    @property
    def n_shifted(self) -> int:
        """Shifted positions behind the calibration."""
        return max((int(c.whole["n_shifted"]) for c in self.calibrations), default=0)


def collect(conn: Connection, match_run_id: int | None, source: str, order: Sequence[str] = ()) -> Matching:
    """Read the results of a match run.

    Parameters
    ----------
    conn : Connection
    match_run_id : int or None
    source : str
        Qualified name of the partition of the sources.
    order : sequence of str
        Names of catalogues in the wanted order; others follow by name.
    """
    if match_run_id is None or not partitions.exists(conn, "match", match_run_id):
        return Matching()
    run = get(conn, match_run_id)
    rank = {name: i for i, name in enumerate(order)}
    listed = sorted(rows(conn, "report.catalogue_names"), key=lambda c: (rank.get(c["name"], len(rank)), c["name"]))
    names = {row["catalogue_id"]: row["name"] for row in listed}
    table = copy.fetch_columns(conn, job("report.calibration").compose(), _CALIBRATION, {"run_id": match_run_id})
    return Matching(
        matches=_matches(conn, partitions.qualified("match", match_run_id), source, order),
        calibrations=_calibrations(table, names),
        priors=_priors(rows(conn, "report.magnitude_priors", {"run_id": match_run_id}), names),
        notes=list(run["summary"].get("notes", [])),
        false_rate=run["config"].get("false_rate"),
        min_p_any=run["config"].get("min_p_any"),
    )


def _matches(conn: Connection, match: str, source: str, order: Sequence[str]) -> list[MissionMatch]:
    matches: dict[tuple[str, str], MissionMatch] = {}
    for row in rows(conn, "report.p_any", {"catalogues": list(order)}, match=match, source=source):
        key = (row["mission"], row["catalogue"])
        empty = (np.zeros(P_ANY_BINS, dtype=np.int64), np.zeros(P_ANY_BINS, dtype=np.int64))
        m = matches.setdefault(key, MissionMatch(*key, row["kind"], *empty))
        m.bins[row["bin"]] += row["sources"]
        m.accepted_bins[row["bin"]] += row["accepted"]
        m.sources += row["sources"]
        m.with_candidates += row["with_candidates"]
        m.candidates += row["candidates"]
        m.mean_p_any += row["sum_p_any"]
        m.density_per_deg2 += row["sum_density"]
        m.completeness = max(m.completeness, row["completeness"])
    for m in matches.values():
        m.mean_p_any /= m.sources
        m.density_per_deg2 /= m.sources
    return list(matches.values())


def _calibrations(table: np.ndarray, names: dict[int, str]) -> list[Calibrated]:
    measured = table[table["n_shifted"] > 0]
    whole = measured[measured["part"] == 0]
    numbers = [i for i in names if i in whole["catalogue_id"]]
    if len(numbers) > 1 and (whole["catalogue_id"] == 0).any():
        numbers.append(0)
    calibrations = []
    for number in numbers:
        of_catalogue = measured[measured["catalogue_id"] == number]
        grid, chosen = (of_catalogue[of_catalogue["is_chosen"] == flag] for flag in (0, 1))
        curves = {part: grid[grid["part"] == part] for part in np.unique(grid["part"]).tolist()}
        calibrations.append(Calibrated(names.get(number, ALL), curves, chosen))
    return calibrations


def _priors(learned: list[Row], names: dict[int, str]) -> list[MagnitudePrior]:
    groups: dict[tuple[int, str], dict[int, list[Row]]] = {}
    for row in learned:
        groups.setdefault((row["catalogue_id"], row["term"]), {}).setdefault(row["part"], []).append(row)
    priors = []
    order = list(names)
    for (catalogue_id, term), parts in sorted(groups.items(), key=lambda g: (order.index(g[0][0]), g[0][1])):
        first = next(iter(parts.values()))
        edges = np.array([*(row["bin_low"] for row in first), first[-1]["bin_high"]])
        weight = np.array([bins[0]["n_sources"] for bins in parts.values()], dtype=float)
        columns = ("density_counterparts", "density_field", "log_ratio")
        by_part = [np.array([[row[name] for row in bins] for bins in parts.values()]) for name in columns]
        counterparts, of_field, ratio = (np.asarray(weight @ values / weight.sum()) for values in by_part)
        priors.append(MagnitudePrior(names[catalogue_id], term, edges, counterparts, of_field, ratio, by_part[-1]))
    return priors
