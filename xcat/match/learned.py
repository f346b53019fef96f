"""What a match has learned of the sky, kept with its run: other positions can be matched with the same knowledge.

Nothing of it depends on a single source: strata, shares of objects that catalogues have in common, curves of
magnitudes, prior odds of the patterns of catalogues, and the cutoffs of p_any.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import groupby

import numpy as np

from xcat.database import copy
from xcat.database.connection import Connection
from xcat.database.sqlfiles import dicts, insert, job
from xcat.errors import XcatError
from xcat.match.calibrate import Calibration
from xcat.match.learning import Curve
from xcat.match.targets import Strata
from xcat.sky.density_map import Pools


@dataclass(frozen=True)
class Shares:
    """Which objects of the catalogues are in several of them; arrays of shape (n_parts + 1, n_patterns), row 0 unused.

    With one catalogue there are none.
    """

    log_back: np.ndarray  #: log of the share of the first catalogue's objects in all of a pattern, over those alone
    log_alone: np.ndarray  #: log of the share of each member's objects in no other catalogue, summed over the members
    reach_arcsec: float  #: objects farther apart than this are not taken for one


@dataclass(frozen=True)
class Learned:
    """What a match with n catalogues has learned; patterns of catalogues are numbered 1 to 2^n - 1, bit k - 1 for k."""

    strata: Strata
    shares: Shares
    curves: Sequence[Curve]
    log_odds: np.ndarray  #: of each pattern against "no counterpart", shape (n_strata, n_patterns)
    completeness: np.ndarray  #: shape (n_strata, n_catalogues)
    #: of p_any, shape (n_catalogues + 1, n_parts + 1); row 0 is for all catalogues together, column 0 is unused
    cutoff: np.ndarray
    pools: Mapping[int, Pools]  #: density of catalogues that are cut-outs, by number k


def store(conn: Connection, run_id: int, learned: Learned, missions: Sequence[int], catalogues: Sequence[int]) -> None:
    """Write what a match run has learned.

    Parameters
    ----------
    missions : sequence of int
        Catalogue of each group of sources, from group 1.
    catalogues : sequence of int
        Counterpart catalogues, in the order of the match.
    """
    strata, part = learned.strata, learned.strata.part
    columns = {
        "catalogue_id": [missions[g - 1] for g in strata.group.tolist()],
        "searched": strata.searched.tolist(),
        "part": part.tolist(),
        "log_objects_low": strata.log_nu_low.tolist(),
        "err_low_arcsec": strata.err_low_arcsec.tolist(),
        "err_typical_arcsec": strata.err_typical_arcsec.tolist(),
        "epoch_mean_yr": strata.epoch_yr.tolist(),
        "epoch_std_yr": strata.epoch_err_yr.tolist(),
        "log_odds": learned.log_odds.tolist(),
        "completenesses": learned.completeness.tolist(),
        "cutoffs": learned.cutoff.T[part].tolist(),
        "log_back": learned.shares.log_back[part].tolist(),
        "log_alone": learned.shares.log_alone[part].tolist(),
    }
    of_run = {"run_id": run_id, "reach_arcsec": learned.shares.reach_arcsec}
    numbers = range(1, len(part) + 1)
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    insert(
        conn, "xcat.match_stratum", [of_run | {"source_kind": i} | row for i, row in zip(numbers, rows, strict=True)]
    )
    pools = [
        {
            "catalogue_id": catalogues[k - 1],
            "prior_shape": of.shape,
            "mean_of_all": of.mean_of_all,
            "pools": of.healpix.tolist(),
            "pool_means": of.mean.tolist(),
        }
        for k, of in learned.pools.items()
    ]
    insert(conn, "xcat.match_cut_out", [{"run_id": run_id} | row for row in pools])
    copy.copy_in(conn, "magnitude_prior", [_curve_rows(c, run_id, catalogues[c.catalogue - 1]) for c in learned.curves])


def _curve_rows(curve: Curve, run_id: int, catalogue_id: int) -> dict[str, np.ndarray]:
    """Rows of the table magnitude_prior, one per bin."""
    of_curve = {
        "run_id": run_id,
        "catalogue_id": catalogue_id,
        "term": curve.name.encode(),
        "term_no": curve.term,
        "pattern": curve.mask,
        "source_kind": curve.stratum,
        "part": curve.part,
        "n_sources": curve.n_sources,
    }
    return {
        **{name: np.full(len(curve.log_ratio), value) for name, value in of_curve.items()},
        "bin_low": curve.edges[:-1],
        "bin_high": curve.edges[1:],
        "density_counterparts": curve.counterparts,
        "density_field": curve.field,
        "log_ratio": curve.log_ratio,
    }


def load(conn: Connection, run_id: int, missions: Sequence[int], catalogues: Sequence[int]) -> Learned:
    """Read what a match run has learned; the arguments are those of `store`.

    Raises
    ------
    XcatError
        The run has kept nothing: it matched no source, or an older version of xcat made it.
    """
    keys = {"run_id": run_id}
    rows = dicts(conn.execute(job("match.strata").compose(), keys))
    if not rows:
        raise XcatError(
            f"match run {run_id} did not keep what it learned: it had no sources, or an older version of xcat made it. "
            "Run the pipeline again"
        )
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    group = np.array([missions.index(i) + 1 for i in columns["catalogue_id"].tolist()])
    part, searched = columns["part"].astype(np.int64), columns["searched"].astype(np.int64)
    ends = ("log_objects_low", "err_low_arcsec", "err_typical_arcsec", "epoch_mean_yr", "epoch_std_yr")
    low, err_low, err_typical, epoch_yr, epoch_err_yr = (columns[name] for name in ends)
    strata = Strata(group, part, low, err_low, err_typical, epoch_yr, epoch_err_yr, searched)

    def of_parts(name: str) -> np.ndarray:
        values = np.zeros((part.max() + 1, columns[name].shape[1]))
        values[part] = columns[name]
        return values

    shares = Shares(of_parts("log_back"), of_parts("log_alone"), float(columns["reach_arcsec"][0]))
    curves = [
        _curve(list(bins), catalogues)
        for _, bins in groupby(
            dicts(conn.execute(job("match.curves").compose(), keys)),
            key=lambda row: (row["pattern"], row["term_no"], row["source_kind"]),
        )
    ]
    pools = {
        catalogues.index(row["catalogue_id"]) + 1: Pools(
            np.array(row["pools"], np.int64), np.array(row["pool_means"], float), row["mean_of_all"], row["prior_shape"]
        )
        for row in dicts(conn.execute(job("match.cut_outs").compose(), keys))
    }
    of_strata = columns["log_odds"], columns["completenesses"]
    return Learned(strata, shares, curves, *of_strata, of_parts("cutoffs").T, pools)


def by_names(
    conn: Connection, run_id: int, missions: Sequence[str], catalogues: Sequence[str]
) -> tuple[Learned, Calibration]:
    """Read what a match run has learned, and its calibration, for later versions of the same catalogues.

    Parameters
    ----------
    missions, catalogues : sequence of str
        Names of the X-ray and of the counterpart catalogues, in the order of the match that is to use it.
    """
    found = conn.execute(job("match.catalogues_of").compose(), {"run_id": run_id}).fetchall()
    ids = dict(found)
    of_missions, of_catalogues = ([ids[name] for name in names] for names in (missions, catalogues))
    rows = dicts(conn.execute(job("match.calibration").compose(), {"run_id": run_id}))
    numbers = [0 if row["catalogue_id"] is None else of_catalogues.index(row["catalogue_id"]) + 1 for row in rows]
    columns = {f.name: np.array([row.get(f.name) for row in rows]) for f in fields(Calibration) if f.name != "k"}
    columns["contamination"] = columns["contamination"].astype(float)  # from None to NaN
    return load(conn, run_id, of_missions, of_catalogues), Calibration(k=np.array(numbers, np.int64), **columns)


def _curve(bins: list[dict[str, object]], catalogues: Sequence[int]) -> Curve:
    columns = {name: np.array([row[name] for row in bins]) for name in bins[0]}
    first = {name: values[0].item() for name, values in columns.items()}
    return Curve(
        first["pattern"],
        first["term_no"],
        first["source_kind"],
        np.append(columns["bin_low"], columns["bin_high"][-1]),
        columns["log_ratio"],
        columns["density_counterparts"],
        columns["density_field"],
        first["term"],
        catalogues.index(first["catalogue_id"]) + 1,
        first["part"],
        first["n_sources"],
    )
