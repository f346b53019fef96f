"""The link stage: sources of several missions become master sources (statements in sql/jobs/link.sql).

The rules are in :mod:`xcat.merge.link_graph`. Fluxes are converted to 0.2-12 keV with
`Definition.standard_flux_factor`: an unabsorbed power law of photon index 1.7. STONKS (Quintin et al. 2024) has the
same index behind 3e20 cm^-2 of hydrogen and uses 0.1-12 keV, which matters for soft bands: its factors to the common
band and ours are 1.45 and 1.52 from 0.5-7 keV, 1.11 and 1.15 from 0.3-10, 2.56 and 2.24 from 0.2-2.3, and 2.44 and 1.86
from 0.1-2.4. By such factors a source of another spectrum seems variable between missions of different bands, an
absorbed one by more: flux ratios below 2 or 3 between a soft and a hard mission are not significant.
"""

from __future__ import annotations

import numpy as np

from xcat import progress
from xcat.database import copy, partitions
from xcat.database.loaded import Loaded
from xcat.database.runs import Run
from xcat.database.sqlfiles import dicts, insert, job
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
    source_run_id, xray
        The merge run and its catalogues; each is a mission.
    previous_run_id : int, optional
        A finished link run: its master sources keep their numbers, and every change against it is written to
        ``master_change``. Without it every source is new.
    max_sep_arcsec : float
        Largest separation of linked sources.

    Raises
    ------
    StageError
        The previous run has no master sources.
    """
    conn = run.conn
    source = partitions.qualified("source", source_run_id)
    values = {
        "run_id": run.run_id,
        "reach_sigma": graph.REACH_SIGMA,
        "min_reach_arcsec": graph.MIN_REACH_ARCSEC,
        "max_sep_arcsec": max_sep_arcsec,
        "catalogue_ids": [mission.catalogue_id for mission in xray],
    }
    with run.step("search"):
        joins.make_tables(conn)
        joins.needles(conn, job("link.needles").compose(source=source), values)
        joins.search(conn, source, "links between missions", haystack_id="source_id")
        types = [("a", "bigint"), ("b", "bigint"), *((name, "double precision") for name in ("sep", "err_a", "err_b"))]
        pairs = copy.fetch_columns(conn, job("link.candidates").compose(source=source), types, values)
        types = [("source_id", "bigint"), ("catalogue_id", "smallint"), ("err_arcsec", "real"), ("snr", "real")]
        sources = copy.fetch_columns(conn, job("link.sources").compose(source=source), types, values)
    with run.step("graph"), progress.bar("links: graph"):
        by_id = np.argsort(sources["source_id"])
        a, b = (by_id[np.searchsorted(sources["source_id"], pairs[end], sorter=by_id)] for end in ("a", "b"))
        order = np.lexsort((b, a))
        pairs, a, b = pairs[order], a[order], b[order]
        log_bf = graph.log_bayes_factor(pairs["sep"], pairs["err_a"], pairs["err_b"])
        decision = graph.decide(sources["catalogue_id"].astype(np.int64), a, b, log_bf)
        ranks = graph.mission_ranks(decision.component, sources["err_arcsec"], sources["snr"])
        master_id = _number_masters(run, sources["source_id"], decision, previous_run_id)
    with run.step("store"), progress.bar("links: store"):
        targets = {name: partitions.create(conn, name, run.run_id) for name in _TABLES}
        members = {
            "run_id": np.full(len(sources), run.run_id, np.int32),
            "source_id": sources["source_id"],
            "master_id": master_id,
            "mission_rank": ranks,
            "status": _names(graph.SOURCE_STATUS)[decision.source_status],
        }
        copy.copy_in(conn, targets["master_source"], [members], freeze=True)
        links = {
            "run_id": np.full(len(pairs), run.run_id, np.int32),
            "source_id": np.minimum(pairs["a"], pairs["b"]),
            "other_source_id": np.maximum(pairs["a"], pairs["b"]),
            "sep_arcsec": pairs["sep"],
            "log_bayes_factor": log_bf,
            "status": _names(graph.PAIR_STATUS)[decision.pair_status],
            "reason": _names(graph.REASONS)[decision.reason],
        }
        copy.copy_in(conn, targets["source_link"], [links], freeze=True)
        conn.execute(job("link.make_factors").compose())
        bands = {m.catalogue_id: m.definition for m in xray if m.definition.flux_band_kev is not None}
        factors = [(number, definition.standard_flux_factor()) for number, definition in bands.items()]
        insert(conn, "pg_temp.flux_factor", factors, ("catalogue_id", "factor"))
        conn.execute("ANALYZE pg_temp.flux_factor")
        source_detection = partitions.qualified("source_detection", source_run_id)
        tables = {"source_detection": source_detection, "master_source": targets["master_source"]}
        partitions.fill(conn, "master", run.run_id, job("link.masters").compose(source=source, **tables), values)
        for name in _TABLES:
            partitions.attach(conn, name, run.run_id)
    run.summary["previous_link_run_id"] = previous_run_id
    for counted in ("pairs", "reasons", "missions", "masters", "changes"):
        rows = dicts(conn.execute(job(f"link.count_{counted}").compose(**targets, source=source), values))
        run.summary[counted] = rows[0] if counted in ("masters", "changes") else rows


def _names(texts: tuple[str, ...]) -> np.ndarray:
    return np.array([t.encode() for t in texts])


def _number_masters(
    run: Run, source_id: np.ndarray, decision: graph.Decision, previous_run_id: int | None
) -> np.ndarray:
    """Number the components, with their old numbers if they have any, and store the changes; one number per source."""
    conn = run.conn
    types = [("source_id", "bigint"), ("master_id", "bigint"), ("status", "integer")]
    before = np.empty(0, [(name, np.int64) for name, _ in types])
    if previous_run_id is not None:
        values = {"run_id": previous_run_id, "statuses": list(graph.SOURCE_STATUS)}
        before = copy.fetch_columns(conn, job("link.members_before").compose(), types, values)
        if not len(before) and not partitions.exists(conn, "master_source", previous_run_id):
            raise StageError(
                f"run {previous_run_id} has no master sources whose numbers could be kept. "
                "Give a finished link run (see: xcat runs), or none to number all sources again."
            )
    n = int(decision.component.max(initial=-1)) + 1
    _, now, old = np.intersect1d(source_id, before["source_id"], assume_unique=True, return_indices=True)
    number = graph.keep_ids(decision.component[now], before["master_id"][old], n)
    new = number < 0
    values = {"run_id": run.run_id, "n": int(new.sum())}
    numbers = copy.fetch_columns(conn, job("link.new_masters").compose(), [("master_id", "bigint")], values)
    number[new] = np.sort(numbers["master_id"])
    master_id = number[decision.component]
    changed, old_master, new_master, change = graph.changes(
        before["source_id"], before["master_id"], before["status"], source_id, master_id, decision.source_status
    )
    rows: dict[str, np.ndarray] = {
        "run_id": np.full(len(changed), run.run_id, np.int32),
        "source_id": changed,
        "old_master_id": np.ma.masked_less(old_master, 0),
        "new_master_id": np.ma.masked_less(new_master, 0),
        "change": change,
    }
    copy.copy_in(conn, "xcat.master_change", [rows])
    return master_id
