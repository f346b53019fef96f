"""The sum rule: the sum of P(class) over the sources must be the number of objects of the class that there are.

In bins of flux and distance from the Galactic plane, the sum over the sources of a classify run is compared with the
published numbers per square degree (`xcat.catalogues.number_counts`) over the area searched (`xcat.sky.searched`). Only
fluxes above the local limit count, on both sides. An object seen by several missions counts once, as its best measured
source.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from psycopg import sql

from xcat.arrays import FloatArray, IntArray
from xcat.catalogues import number_counts
from xcat.database import copy
from xcat.database.connection import Connection
from xcat.database.sqlfiles import job
from xcat.sky.density_map import cells
from xcat.sky.galactic_column import log_hydrogen_at
from xcat.sky.geometry import to_galactic
from xcat.sky.searched import Mission, Searched

ABS_B_EDGES_DEG = (0.0, 3.0, 10.0, 30.0, 90.0)
LOG_FLUX_EDGES = tuple(np.arange(-16.0, -9.9, 0.5).round(1).tolist())
FACTOR, FEWEST, SIGMAS, SCATTER = 1.5, 100, 3.0, 0.15
"""A sum is off if it differs from the published number by more than the factor, in a bin with so many sources, and by
more than so many times its error: Poisson, and the scatter from field to field and of the area as a fraction."""
_FEWEST_LISTED = 20  # sources of a bin
_MOST_PIECES = 100_000
MOST_SOURCES = 50_000
"""Of a larger catalogue only every second, third ... cell of 3.7 degrees is looked at."""
_PART_ORDER = 4
ALL = "all classes"
_DOUBLE = "double precision"


def of_run(conn: Connection, run: dict[str, Any], classes: Sequence[str], priors: FloatArray) -> dict[str, Any]:
    """The sum rule of a classify run, JSON-ready; see `compare`.

    Parameters
    ----------
    run : mapping
        With ``run_id``, ``source_run_id`` and ``link_run_id``.
    classes : sequence of K str
    priors : (K,) array
        By which classes share the published number of one population.
    """
    names = [f"p_{k}" for k in range(len(classes))]
    values = sql.SQL("").join(
        job("classify.probability").compose(number=sql.Literal(k + 1), name=name) for k, name in enumerate(names)
    )
    columns = [("catalogue_id", "smallint"), ("is_best", "boolean")]
    columns += [(name, _DOUBLE) for name in ("ra", "dec", "glon", "glat", "flux_std_cgs", *names)]
    keys = {key: run[key] for key in ("run_id", "source_run_id", "link_run_id")}
    rows = copy.fetch_columns(conn, job("classify.sums").compose(probabilities=values), columns, keys)
    # of many sources a part of the sky is enough; whole cells, so that fields stay whole
    part = -(-len(rows) // MOST_SOURCES)
    if part > 1:
        rows = rows[cells(rows["ra"], rows["dec"], _PART_ORDER) % part == 0]
    # one row per object; the area is that of all sources
    best = rows["is_best"].astype(bool)
    p = np.stack([rows[name] for name in names], axis=1) if len(rows) else np.zeros((0, len(classes)))
    missions = [
        Mission(*(rows[name][rows["catalogue_id"] == each] for name in ("ra", "dec", "flux_std_cgs")))
        for each in np.unique(rows["catalogue_id"])
    ]
    return compare(Searched(missions), rows[best], p[best], classes, priors) | {"part": max(part, 1)}


def compare(
    area: Searched, sources: np.ndarray, p: FloatArray, classes: Sequence[str], priors: FloatArray
) -> dict[str, Any]:
    """Sums of P(class) beside published numbers, in bins of flux and |b|; JSON-ready.

    Parameters
    ----------
    area : Searched
    sources : (N,) structured array
        One per object: ra, dec, glon, glat, degrees, and flux_std_cgs; NaN without a flux.
    p : (N, K) array

    Returns
    -------
    dict
        ``area_deg2``; ``rows``, one per class and bin with 20 sources, `ALL` of them last: sum of P, published number
        (None for a class without counts), and whether it is off; ``messages``, one per class that is; what "off" is.
    """
    kept = slice(None, None, max(1, -(-area.area_deg2.size // _MOST_PIECES)))
    piece = area.area_deg2[kept] * (area.area_deg2.sum() / max(area.area_deg2[kept].sum(), 1e-300))
    limit = area.limit_cgs[kept]
    glon, glat = to_galactic(area.ra_deg[kept], area.dec_deg[kept])
    abs_b, log_nh = np.abs(glat), log_hydrogen_at(area.ra_deg[kept], area.dec_deg[kept])
    flux = sources["flux_std_cgs"]
    counted = flux > 0
    counted[counted] = flux[counted] >= area.limits_at(sources["ra"][counted], sources["dec"][counted])
    of_source = _bins(np.abs(sources["glat"]), ABS_B_EDGES_DEG)
    of_piece = _bins(abs_b, ABS_B_EDGES_DEG)
    of_flux = np.where(counted, _bins(np.log10(np.where(counted, flux, 1.0)), LOG_FLUX_EDGES), -1)
    rows: list[dict[str, Any]] = []
    for b in range(len(ABS_B_EDGES_DEG) - 1):
        here = of_piece == b
        for f in range(len(LOG_FLUX_EDGES) - 1):
            members = (of_source == b) & (of_flux == f)
            n = int(np.count_nonzero(members))
            if n < _FEWEST_LISTED:
                continue
            low, high = 10.0 ** LOG_FLUX_EDGES[f], 10.0 ** LOG_FLUX_EDGES[f + 1]
            start = np.clip(limit[here], low, high)
            places = (abs_b[here], glon[here], log_nh[here])
            faint, bright = (
                number_counts.brighter_per_deg2(classes, priors, each, *places)
                for each in (start, np.full(start.size, high))
            )
            published = piece[here] @ (faint - bright)
            width = np.log(high / start) / np.log(high / low)
            bin_ = {
                "abs_b_deg": list(ABS_B_EDGES_DEG[b : b + 2]),
                "log_flux": list(LOG_FLUX_EDGES[f : f + 2]),
                "area_deg2": float(piece[here] @ width),
                "sources": n,
            }
            sums = p[members].sum(axis=0)
            rows += [{"class": c, **bin_, **_judged(s, e, n)} for c, s, e in zip(classes, sums, published, strict=True)]
            rows.append({"class": ALL, **bin_, **_judged(float(sums.sum()), float(np.nansum(published)), n)})
    return {
        "area_deg2": float(area.area_deg2.sum()),
        "sources": int(np.count_nonzero(counted)),
        "factor": FACTOR,
        "fewest_sources": FEWEST,
        "rows": rows,
        "messages": messages(rows, [*classes, ALL]),
    }


def _bins(values: FloatArray, edges: Sequence[float]) -> IntArray:
    """Number of the bin of every value; the upper end belongs to the last, others outside to none (-1)."""
    found = np.searchsorted(edges, values, side="right") - 1
    found = np.where(values == edges[-1], len(edges) - 2, found)
    return np.where((found >= 0) & (found < len(edges) - 1), found, -1).astype(np.int64)


def _judged(sum_p: float, published: float, n: int) -> dict[str, Any]:
    if not np.isfinite(published):
        return {"sum_p": float(sum_p), "published": None, "is_off": False}
    difference = abs(sum_p - published)
    error = np.sqrt(max(sum_p, published) + (SCATTER * published) ** 2)
    ratio = max(sum_p, 1e-9) / max(published, 1e-9)
    is_off = n >= FEWEST and difference > SIGMAS * error and not 1.0 / FACTOR <= ratio <= FACTOR
    return {"sum_p": float(sum_p), "published": float(published), "is_off": bool(is_off)}


def messages(rows: Sequence[dict[str, Any]], classes: Sequence[str]) -> list[str]:
    """One message per class whose sums are off, with the bins where they are and both numbers.

    If all classes together are off in more than half of the bins, their message only: single ones would tell nothing.
    """
    found: list[str] = []
    for name in classes:
        tested = [row for row in rows if row["class"] == name and row["published"] is not None]
        tested = [row for row in tested if row["sources"] >= FEWEST]
        off = [row for row in tested if row["is_off"]]
        if not off:
            continue
        worst = max(off, key=lambda row: abs(row["sum_p"] - row["published"]))
        (b_low, b_high), (f_low, f_high) = worst["abs_b_deg"], worst["log_flux"]
        sum_p, published = (number(sum(row[key] for row in off)) for key in ("sum_p", "published"))
        message = (
            f"{name}: off by more than a factor {FACTOR:g} in {len(off)} of {len(tested)} bins: {sum_p} by the "
            f"posterior, {published} by published counts; most at |b| {b_low:g} to {b_high:g} deg and log flux "
            f"{f_low:g} to {f_high:g} ({number(worst['sum_p'])} against {number(worst['published'])})"
        )
        if name == ALL and 2 * len(off) > len(tested):
            return [message]
        found.append(message)
    return found


def number(value: float) -> str:
    """A number of objects: whole from 100 on, else with three figures."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
