"""The properties stage (statements in sql/jobs/properties.sql, definitions in registry.yaml)."""

from __future__ import annotations

import numpy as np
from psycopg import sql

from xcat import progress
from xcat.catalogues.definition import Definition
from xcat.columns.registry import property_entries
from xcat.database import copy, partitions
from xcat.database.connection import Connection
from xcat.database.loaded import Loaded
from xcat.database.runs import Run
from xcat.database.sqlfiles import dicts, job
from xcat.sky import density_map, joins

# Hypotheses below this probability say too little about a source to be worth a row.
MIN_P_HYPOTHESIS = 0.01
# A source counts as in the field of a galaxy out to this many D25 radii (Tranin et al. 2022).
MAX_RADII = 1.26
# -log10 of the flux, erg / (s cm2), of magnitude 0 in each standard band: V of Maccacaro et al. (1988, ApJ 326, 680)
# for optical ones, Ks for those of WISE as in Lin et al. (2012, ApJ 756, 27), and J by the same rule: the in-band
# fluxes are 1.122e-7 in Ks and 5.082e-7 in J (Cohen, Wheaton & Megeath 2003, AJ 126, 1090, table 2).
ZERO = {"b": 5.37, "r": 5.37, "w1": 6.95, "w2": 6.95, "j": 6.29}
_CM_IN_PC = 3.0856775814913673e18


def properties_stage(
    run: Run,
    source_run_id: int,
    link_run_id: int,
    match_run_id: int,
    counterparts: list[Loaded],
    galaxies: list[Loaded],
) -> None:
    """Compute the properties of every source of a merge run.

    Those that need a counterpart are computed twice: with the accepted ones, for the source; and for every hypothesis
    that has a probability of 0.01 at least.

    Parameters
    ----------
    run : Run
    source_run_id, link_run_id, match_run_id : int
    counterparts : list of Loaded
        In the order of priority: the first that has a magnitude or a proper motion gives it.
    galaxies : list of Loaded
    """
    conn = run.conn
    joins.make_tables(conn)
    conn.execute(job("properties.make_work").compose())
    values = {
        "run_id": run.run_id, "source_run_id": source_run_id, "link_run_id": link_run_id, "match_run_id": match_run_id,
        "min_p": MIN_P_HYPOTHESIS, "cm_in_pc": _CM_IN_PC, **{f"zero_{band}": zero for band, zero in ZERO.items()},
    }  # fmt: skip
    with run.step("counterparts"), progress.bar("properties: counterparts", len(counterparts) + 1) as advance:
        for priority, other in enumerate(counterparts):
            bands = {band: _band(other.definition, band) for band in ZERO}
            conn.execute(
                job("properties.accept").compose(counterpart=other.table, **bands),
                values | {
                    "catalogue_id": other.catalogue_id,
                    "is_optical": other.definition.kind == "optical",
                    "priority": priority,
                },
            )  # fmt: skip
            advance(1)
        conn.execute("ANALYZE pg_temp.member")
        conn.execute(job("properties.look_up").compose(), values)
        conn.execute("ANALYZE pg_temp.seen")
        advance(1)
    with run.step("coverage"):
        _cover(conn, source_run_id, counterparts)
    for nearby in galaxies:
        with run.step(nearby.definition.name):
            find = job("properties.galaxy_needles").compose(galaxy=nearby.table)
            joins.needles(conn, find, {"max_radii": MAX_RADII})
            sources = partitions.qualified("source", source_run_id)
            joins.search(conn, sources, f"{nearby.definition.name} x sources", haystack_id="source_id")
            conn.execute(
                job("properties.in_galaxy").compose(galaxy=nearby.table),
                {"source_run_id": source_run_id, "max_radii": MAX_RADII},
            )
    target = partitions.create(conn, "property", run.run_id)
    hypotheses = partitions.create(conn, "hypothesis_property", run.run_id)
    with run.step("store"), progress.bar("properties: store"):
        conn.execute(job("properties.store").compose(property=target), values)
        conn.execute(job("properties.store_hypotheses").compose(hypothesis_property=hypotheses), values)
        partitions.attach(conn, "property", run.run_id)
        partitions.attach(conn, "hypothesis_property", run.run_id)
    run.summary |= dicts(conn.execute(job("properties.count").compose(property=target)))[0]
    names = sorted(entry["name"] for entry in property_entries())
    counts = sql.SQL(", ").join(job("properties.presence_of").compose(name=name) for name in names)
    (run.summary["present"],) = dicts(conn.execute(job("properties.presence").compose(counts=counts, property=target)))


def _band(definition: Definition, band: str) -> sql.Composed:
    """The magnitude of a catalogue object in a standard band."""
    terms: list[sql.Composable] = [
        job("properties.term").compose(column=column, offset=sql.Literal(offset))
        for column, offset in definition.colour_terms(band)
    ]
    return job("properties.band").compose(terms=sql.SQL(", ").join(terms or [sql.NULL]))


def _cover(conn: Connection, source_run_id: int, counterparts: list[Loaded]) -> None:
    """Fill ``pg_temp.covered``: which sources the catalogues cover, and how deep the deepest of them is there."""
    rows = copy.fetch_columns(
        conn,
        job("properties.positions").compose(),
        [("source_id", "bigint"), ("ra", "double precision"), ("dec", "double precision")],
        {"source_run_id": source_run_id},
    )
    observed = {kind: np.zeros(len(rows), bool) for kind in ("optical", "infrared")}
    depth = {band: np.full(len(rows), np.nan) for band in ZERO}
    for other in counterparts:
        sky = other.definition.sky
        covers = np.ones(len(rows), bool)  # a catalogue of which cut-outs are loaded has been everywhere
        if sky is not None and (sky.local or sky.area_deg2 is not None):
            covers = density_map.load(conn, other.catalogue_id).covers(rows["ra"], rows["dec"])
        observed[other.definition.kind] |= covers
        for band, magnitude in other.definition.depth.items():
            if not other.definition.colour_terms(band):
                continue  # a child of the definition that gives no magnitude in this band: nothing is missing there
            depth[band] = np.where(covers, np.fmax(depth[band], magnitude), depth[band])
    limits = {f"f{band}": zero + depth[band] / 2.5 for band, zero in ZERO.items()}
    copy.copy_in(conn, "covered", [{"source_id": rows["source_id"], **observed, **limits}])
    conn.execute("ANALYZE pg_temp.covered")
