"""The properties stage (statements in sql/jobs/properties.sql, definitions in xcat/columns/properties.yaml)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from psycopg import sql

from xcat import progress
from xcat.catalogues.definition import Definition
from xcat.columns.registry import absorptions, property_entries
from xcat.database import copy, partitions, schema
from xcat.database.connection import Connection
from xcat.database.loaded import Loaded
from xcat.database.runs import Run
from xcat.database.sqlfiles import dicts, job
from xcat.properties import depth
from xcat.sky import density_map, galactic_column, joins

# Less probable hypotheses contribute too little to be worth a row.
MIN_P_HYPOTHESIS = 0.01
# A catalogue has searched around a source if at least this share of its positional error is on the catalogue's area.
MIN_COVERED = 0.5
# A source counts as in the field of a galaxy out to this many D25 radii (Tranin et al. 2022).
MAX_RADII = 1.26
# -log10 of the flux, erg / (s cm2), of magnitude 0 in each standard band: V of Maccacaro et al. (1988, ApJ 326, 680)
# for optical ones, Ks for those of WISE as in Lin et al. (2012, ApJ 756, 27), and J by the same rule: the in-band
# fluxes are 1.122e-7 in Ks and 5.082e-7 in J (Cohen, Wheaton & Megeath 2003, AJ 126, 1090, table 2).
ZERO = {"b": 5.37, "r": 5.37, "w1": 6.95, "w2": 6.95, "j": 6.29}
_LARGE_ARCMIN = 3.0  # some 1 % of the galaxies of a catalogue are larger
_CM_IN_PC = 3.0856775814913673e18
# quantities of a hypothesis, each from the first catalogue that has it
_FIRST_OF = (
    *(*ZERO, "pm_mas_yr", "parallax_sigma", "distance_pc", "mag_j", "mag_w1"),
    *("bp_rp", "j_k", "h_k", "w1_w2", "w2_w3"),
)
_READ = ("source", "match", "match_candidate", "hypothesis", "master", "master_source")
_OF_HYPOTHESIS = ("run_id", "source_id", "rank", "p_hypothesis")


def properties_stage(
    run: Run,
    source_run_id: int,
    link_run_id: int,
    match_run_id: int,
    counterparts: list[Loaded],
    galaxies: list[Loaded],
    products: int | None = None,
) -> None:
    """Compute the properties of every source of a merge run.

    Those that need a counterpart are computed twice: for the source, from the accepted counterparts; and for every
    hypothesis with a probability of at least 0.01.

    The counterpart catalogues are in the order of priority: a magnitude or proper motion is taken from the first that
    has it. With `products`, a version of the light curves and spectra, there are the properties of light curves.
    """
    conn = run.conn
    relations = {name: f"xcat.{name}" for name in _READ}
    runs = {"source_run_id": source_run_id, "link_run_id": link_run_id, "match_run_id": match_run_id}
    sources = partitions.qualified("source", source_run_id)
    with run.step("depth"), progress.bar("properties: depth", len(counterparts)) as advance:
        for loaded in counterparts:
            bands = {band: _band(loaded.definition, band) for band in ZERO}
            depth.store(conn, run.run_id, loaded.catalogue_id, depth.measure(conn, loaded, bands))
            advance(1)
        depths = depth.load(conn, run.run_id)  # with the digits that a user's table will find
    missions = dict(conn.execute(job("properties.missions").compose(source=sources)).fetchall())
    queries = prepare(
        conn, run.run_id, runs, relations, sources, missions, counterparts, galaxies, run.step, depths=depths
    )
    if products is not None:
        with run.step("light curves"), progress.bar("properties: light curves"):
            query = job("properties.curves").compose(master_source=relations["master_source"])
            run.summary["with_light_curves"] = conn.execute(query, runs | {"products": products}).rowcount
    with run.step("store"), progress.bar("properties: store"):
        for table, (query, values) in queries.items():
            partitions.create(conn, table, run.run_id)
            partitions.fill(conn, table, run.run_id, query, values)
            partitions.attach(conn, table, run.run_id)
    target = partitions.qualified("property", run.run_id)
    run.summary |= dicts(conn.execute(job("properties.count").compose(property=target)))[0]
    names = sorted(entry["name"] for entry in property_entries())
    counts = sql.SQL(", ").join(job("report.presence_of").compose(name=name) for name in names)
    (run.summary["present"],) = dicts(conn.execute(job("properties.presence").compose(counts=counts, property=target)))


def prepare(
    conn: Connection,
    run_id: int,
    runs: Mapping[str, int],
    relations: Mapping[str, str],
    sources: str,
    missions: Mapping[int, Mapping[str, Any]],
    counterparts: list[Loaded],
    galaxies: list[Loaded],
    step: Callable[[str], AbstractContextManager[None]],
    few_sources: bool = False,
    depths: Mapping[int, depth.Depths] | None = None,
) -> dict[str, tuple[sql.Composed, dict[str, Any]]]:
    """Look up all that the properties are made of, in temporary tables.

    Parameters
    ----------
    runs : mapping
        source_run_id, link_run_id and match_run_id.
    relations : mapping
        Qualified names of the tables source, match, match_candidate, hypothesis, master and master_source.
    sources : str
        Table of the sources of that run alone, with a q3c index.
    missions : mapping
        Definitions of the catalogues of the sources as data, by number.
    few_sources : bool
        There are far fewer sources than galaxies: look for small galaxies around the sources.
    depths : mapping, optional
        How deep the catalogues are, by number; by default as their definitions state.

    Returns
    -------
    dict
        For the tables property and hypothesis_property the SELECT of their rows, and its values.
    """
    joins.make_tables(conn)
    conn.execute(job("properties.make_work").compose())
    constants = {"min_p": MIN_P_HYPOTHESIS, "cm_in_pc": _CM_IN_PC, "max_radii": MAX_RADII}
    zeros = {f"zero_{band}": zero for band, zero in ZERO.items()}
    values = {"run_id": run_id, **runs, **constants, **zeros}
    of_match = {name: relations[name] for name in ("match", "match_candidate", "hypothesis")}
    with step("counterparts"), progress.bar("properties: counterparts", len(counterparts) + 1) as advance:
        for priority, loaded in enumerate(counterparts):
            bands = {band: _band(loaded.definition, band) for band in ZERO}
            is_optical = loaded.definition.kind == "optical"
            of_catalogue = {"catalogue_id": loaded.catalogue_id, "is_optical": is_optical, "priority": priority}
            statement = job("properties.accept").compose(counterpart=loaded.table, **bands, **of_match)
            conn.execute(statement, values | of_catalogue)
            advance(1)
        conn.execute("ANALYZE pg_temp.member")
        firsts = sql.SQL(", ").join(job("properties.first_of").compose(name=name) for name in _FIRST_OF)
        conn.execute(job("properties.look_up").compose(firsts=firsts, source=relations["source"]), values)
        conn.execute("ANALYZE pg_temp.seen")
        advance(1)
    with step("coverage"):
        _cover(conn, sources, missions, relations["match"], runs["match_run_id"], counterparts, depths or {})
    for nearby in galaxies:
        with step(nearby.definition.name):
            _in_galaxies(conn, nearby, sources, relations["source"], values, few_sources)
    names = [c.name for c in schema.RUN_TABLES["hypothesis_property"].columns if c.name not in _OF_HYPOTHESIS]
    of_counterparts = sql.SQL(", ").join(sql.Identifier("c", name) for name in names)
    of_source = {name: relations[name] for name in ("source", "master", "master_source")}
    hypotheses = {"hypothesis": relations["hypothesis"]}
    return {
        "property": (job("properties.store").compose(values=of_counterparts, **of_source), values),
        "hypothesis_property": (
            job("properties.store_hypotheses").compose(values=of_counterparts, **hypotheses),
            values,
        ),
    }


def _in_galaxies(
    conn: Connection, nearby: Loaded, sources: str, source: str, values: Mapping[str, Any], few_sources: bool
) -> None:
    """Find the galaxies of a catalogue that sources are in."""
    name, limits = nearby.definition.name, dict(values)
    limits["least_arcmin"] = _LARGE_ARCMIN if few_sources else 0.0
    if few_sources:
        radius = {"radius_arcsec": MAX_RADII * _LARGE_ARCMIN * 30}
        joins.needles(conn, job("properties.source_needles").compose(source=sources), radius)
        joins.search(conn, nearby.table, f"sources x {name}")
        found = {"of_galaxy": "object_id", "of_source": "id"}
        conn.execute(job("properties.in_galaxy").compose(galaxy=nearby.table, source=source, **found), values)
    joins.needles(conn, job("properties.galaxy_needles").compose(galaxy=nearby.table), limits)
    joins.search(conn, sources, f"{name} x sources", haystack_id="source_id")
    found = {"of_galaxy": "id", "of_source": "object_id"}
    conn.execute(job("properties.in_galaxy").compose(galaxy=nearby.table, source=source, **found), values)


def _band(definition: Definition, band: str) -> sql.Composed:
    """The magnitude of a catalogue object in a standard band."""
    terms: list[sql.Composable] = [
        job("properties.term").compose(column=column, offset=sql.Literal(offset))
        for column, offset in definition.colour_terms(band)
    ]
    return job("properties.band").compose(terms=sql.SQL(", ").join(terms or [sql.NULL]))


def _cover(
    conn: Connection,
    sources: str,
    missions: Mapping[int, Mapping[str, Any]],
    match: str,
    match_run_id: int,
    counterparts: list[Loaded],
    depths: Mapping[int, depth.Depths],
) -> None:
    """Fill ``pg_temp.covered``: where the match has searched, the depth of the deepest catalogue there, the Galaxy."""
    types = [("source_id", "bigint"), ("ra", "double precision"), ("dec", "double precision")]
    types += [("catalogue_id", "smallint"), ("nh_gal_cm2", "double precision")]
    query = job("properties.positions").compose(source=sources)
    rows = copy.fetch_columns(conn, query, types)
    observed = {kind: np.zeros(len(rows), bool) for kind in ("optical", "infrared")}
    all_covers = []
    by_id = np.argsort(rows["source_id"])
    for loaded in counterparts:
        definition, values = loaded.definition, {"match_run_id": match_run_id, "catalogue_id": loaded.catalogue_id}
        types = [("source_id", "bigint"), ("covered", "real")]
        matched = copy.fetch_columns(conn, job("properties.searched").compose(match=match), types, values)
        place = by_id[np.searchsorted(rows["source_id"], matched["source_id"], sorter=by_id)]
        covers = np.ones(len(rows), bool)
        if len(matched) < len(rows) and definition.sky is not None and definition.sky.is_measured:
            covers = density_map.load(conn, loaded.catalogue_id).covers(rows["ra"], rows["dec"])
        covers[place] = matched["covered"] >= MIN_COVERED
        observed[definition.kind] |= covers
        all_covers.append(covers)
    deepest = depth.deepest(counterparts, depths, rows["ra"], rows["dec"], all_covers)
    limits = {f"f{band}": ZERO[band] + mag / 2.5 for band, mag in deepest.items()}
    block = {"source_id": rows["source_id"], **observed, **limits, **_galactic_column(rows, missions)}
    copy.copy_in(conn, "covered", [block])
    conn.execute("ANALYZE pg_temp.covered")


def _galactic_column(rows: np.ndarray, missions: Mapping[int, Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Gas and dust of the Galaxy at the sources, and what they take from the X-rays in the bands of each mission."""
    nh, ebv = galactic_column.maps_at(rows["ra"], rows["dec"])
    nh = np.where(rows["nh_gal_cm2"] > 0, rows["nh_gal_cm2"], nh)
    found = {"nh_gal_cm2": nh, "ebv_mag": ebv, **{name: np.full(len(rows), np.nan) for name in absorptions()}}
    for catalogue_id, definition in missions.items():
        of = np.flatnonzero(rows["catalogue_id"] == catalogue_id)
        bands = definition.get("flux_band_kev"), definition.get("bands_kev")
        for name, values in galactic_column.taken_away(nh[of], ebv[of], *bands).items():
            found[name][of] = values
    return found
