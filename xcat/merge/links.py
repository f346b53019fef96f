"""The link stage: sources of several missions become master sources (statements in sql/jobs/link.sql).

The rules are in :mod:`xcat.merge.link_graph`. Fluxes are compared in 0.2-12 keV, brought there with
`Definition.standard_flux_factor`: an unabsorbed power law of photon index 1.7. STONKS (Quintin et al. 2024) has the
same index behind 3e20 cm^-2 of hydrogen and takes 0.1-12 keV, which matters for soft bands: its factor to the common
band and ours are 1.45 and 1.52 from 0.5-7 keV, 1.11 and 1.15 from 0.3-10, 2.56 and 2.24 from 0.2-2.3, and 2.44 and 1.86
from 0.1-2.4. A source of another spectrum looks variable between missions of different bands by such factors, and an
absorbed one by more: a ratio between a soft and a hard mission below 2 or 3 says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from xcat import progress
from xcat.database import copy, partitions
from xcat.database.loaded import Loaded
from xcat.database.runs import Run
from xcat.database.sqlfiles import dicts, job
from xcat.errors import StageError
from xcat.merge import link_graph as graph
from xcat.sky import joins

_TABLES = ("source_link", "master_source", "master")


def link_stage(
    run: Run,
    source_run_id: int,
    xray: list[Loaded],
    previous_run_id: int | None = None,
    max_sep_arcsec: float = graph.MAX_SEP_ARCSEC,
) -> None:
    """Link the sources of all missions of a merge run into master sources.

    Parameters
    ----------
    run : Run
    source_run_id : int
        The merge run.
    xray : list of Loaded
        Its catalogues; each is a mission of its own.
    previous_run_id : int, optional
        A finished link run: its master sources keep their numbers, and every change against it is written to
        ``master_change``. Without it every source is new.
    max_sep_arcsec : float
        Sources farther apart are never one.

    Raises
    ------
    StageError
        The previous run has no master sources.
    """
    conn = run.conn
    source = partitions.qualified("source", source_run_id)
    reach = {
        "reach_sigma": graph.REACH_SIGMA,
        "min_reach_arcsec": graph.MIN_REACH_ARCSEC,
        "max_sep_arcsec": max_sep_arcsec,
    }
    missions = {"catalogue_ids": [mission.catalogue_id for mission in xray]}
    with run.step("search"):
        joins.make_tables(conn)
        joins.needles(conn, job("link.needles").compose(source=source), reach)
        joins.search(conn, source, "links between missions", haystack_id="source_id")
        found = copy.fetch_columns(
            conn,
            job("link.candidates").compose(source=source),
            [("a", "bigint"), ("b", "bigint"), ("sep", "double precision"),
             ("err_a", "double precision"), ("err_b", "double precision")],
            reach | missions,
        )  # fmt: skip
        every = copy.fetch_columns(
            conn,
            job("link.sources").compose(source=source),
            [("source_id", "bigint"), ("catalogue_id", "smallint")],
            missions,
        )
    with run.step("graph"), progress.bar("links: graph"):
        by_id = np.argsort(every["source_id"])
        a, b = (by_id[np.searchsorted(every["source_id"], found[end], sorter=by_id)] for end in ("a", "b"))
        order = np.lexsort((b, a))
        found, a, b = found[order], a[order], b[order]
        log_bf = graph.log_bayes_factor(found["sep"], found["err_a"], found["err_b"])
        decision = graph.decide(every["catalogue_id"].astype(np.int64), a, b, log_bf)
        master_id = _number_masters(run, every["source_id"], decision, previous_run_id)
    with run.step("store"), progress.bar("links: store"):
        targets = {name: partitions.create(conn, name, run.run_id) for name in _TABLES}
        _store_members(run, targets, every["source_id"], master_id, decision.source_status)
        copy.copy_in(conn, targets["source_link"], [{
            "run_id": np.full(len(found), run.run_id, np.int32),
            "source_id": np.minimum(found["a"], found["b"]), "other_source_id": np.maximum(found["a"], found["b"]),
            "sep_arcsec": found["sep"],
            "log_bayes_factor": log_bf,
            "status": _names(graph.PAIR_STATUS)[decision.pair_status],
            "reason": _names(graph.REASONS)[decision.reason],
        }], freeze=True)  # fmt: skip
        _store_masters(run, targets, source, source_run_id, xray)
        for name in _TABLES:
            partitions.attach(conn, name, run.run_id)
    _summarise(run, targets, source, previous_run_id)


def _names(texts: tuple[str, ...]) -> np.ndarray:
    return np.array([t.encode() for t in texts])


def _number_masters(
    run: Run, source_id: np.ndarray, decision: graph.Decision, previous_run_id: int | None
) -> np.ndarray:
    """Give every component a number, its old one where it had one, and write down what changed.

    Returns
    -------
    ndarray of int, shape (n_sources,)
        Number of the master source of each source.
    """
    conn = run.conn
    dtype = [("source_id", "bigint"), ("master_id", "bigint"), ("status", "integer")]
    before = np.empty(0, [(name, np.int64) for name, _ in dtype])
    if previous_run_id is not None:
        values = {"run_id": previous_run_id, "statuses": list(graph.SOURCE_STATUS)}
        before = copy.fetch_columns(conn, job("link.members_before").compose(), dtype, values)
        if not len(before) and not partitions.exists(conn, "master_source", previous_run_id):
            raise StageError(
                f"run {previous_run_id} has no master sources whose numbers could be kept. "
                "Name a finished link run (xcat runs), or none to begin anew."
            )
    n = int(decision.component.max(initial=-1)) + 1
    _, now, old = np.intersect1d(source_id, before["source_id"], assume_unique=True, return_indices=True)
    number = graph.keep_ids(decision.component[now], before["master_id"][old], n)
    new = number < 0
    given = copy.fetch_columns(
        conn, job("link.new_masters").compose(), [("master_id", "bigint")], {"run_id": run.run_id, "n": int(new.sum())}
    )
    number[new] = np.sort(given["master_id"])
    master_id = number[decision.component]
    changed, old_master, new_master, change = graph.changes(
        before["source_id"], before["master_id"], before["status"], source_id, master_id, decision.source_status
    )
    copy.copy_in(conn, "xcat.master_change", [{
        "run_id": np.full(len(changed), run.run_id, np.int32), "source_id": changed,
        "old_master_id": np.ma.masked_less(old_master, 0), "new_master_id": np.ma.masked_less(new_master, 0),
        "change": change,
    }])  # fmt: skip
    return master_id


def _store_members(
    run: Run, targets: Mapping[str, str], source_id: np.ndarray, master_id: np.ndarray, status: np.ndarray
) -> None:
    copy.copy_in(run.conn, targets["master_source"], [{
        "run_id": np.full(len(source_id), run.run_id, np.int32), "source_id": source_id, "master_id": master_id,
        "status": _names(graph.SOURCE_STATUS)[status],
    }], freeze=True)  # fmt: skip


def _store_masters(run: Run, targets: Mapping[str, str], source: str, source_run_id: int, xray: list[Loaded]) -> None:
    conn = run.conn
    conn.execute(job("link.make_factors").compose())
    bands = {m.catalogue_id: m.definition for m in xray if m.definition.flux_band_kev is not None}
    with conn.cursor() as cursor:
        factors = [(number, definition.standard_flux_factor()) for number, definition in bands.items()]
        cursor.executemany(job("link.add_factor").compose(), factors)
    conn.execute("ANALYZE pg_temp.flux_factor")
    conn.execute(job("link.masters").compose(
        source=source, source_detection=partitions.qualified("source_detection", source_run_id),
        master=targets["master"], master_source=targets["master_source"],
    ), {"run_id": run.run_id, "catalogue_ids": [mission.catalogue_id for mission in xray]})  # fmt: skip


def _summarise(run: Run, targets: Mapping[str, str], source: str, previous_run_id: int | None) -> None:
    """Count into the run's summary, which the report reads."""

    def rows(name: str, **places: str) -> list[dict[str, Any]]:
        return dicts(run.conn.execute(job(f"link.{name}").compose(**places), {"run_id": run.run_id}))

    run.summary |= {
        "previous_link_run_id": previous_run_id,
        "pairs": rows("count_pairs", source_link=targets["source_link"], source=source),
        "reasons": rows("count_reasons", source_link=targets["source_link"]),
        "missions": rows("count_sources", master_source=targets["master_source"], source=source),
        "masters": rows("count_masters", master=targets["master"])[0],
        "changes": rows("count_changes")[0],
    }
