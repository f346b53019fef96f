"""How deep a catalogue is at a place: as deep as its definition says, or less where its rows show it.

Where stars are dense a catalogue ends at brighter magnitudes. There nearly all objects are brighter than the depth that
its definition states: the magnitude that 95 % of those around are brighter than, and a little more, is the depth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import numpy as np
from psycopg import sql

from xcat.arrays import BoolArray, FloatArray, IntArray
from xcat.catalogues.definition import Definition
from xcat.database import copy
from xcat.database.connection import Connection
from xcat.database.loaded import Loaded
from xcat.database.sqlfiles import dicts, insert, job
from xcat.sky.density_map import cells

BandName = Literal["r", "b", "w1", "w2", "j"]
#: Cells and magnitudes of a catalogue, by band.
Depths = Mapping[str, tuple[IntArray, FloatArray]]

ORDER = 6
"""Of the HEALPix cells: 55 arcmin."""
LEAST_OBJECTS = 50
"""A cell with fewer takes the depth of a larger one, two orders coarser at a time; at last that of the definition."""
SHARE = 0.95
MARGIN_MAG = 0.2
"""Star counts that end at a magnitude have 95 % of their objects 0.1 to 0.2 mag before it."""
_MOST_OBJECTS = 400_000  # that are read of a catalogue


def depth_map(magnitude: FloatArray, cell: IntArray, stated: float) -> tuple[IntArray, FloatArray]:
    """Depth in cells, from the magnitudes of a catalogue's objects.

    Parameters
    ----------
    magnitude : (n,) float64
        NaN: none in this band.
    cell : (n,) int64
        Cell of `ORDER` of every object.
    stated : float
        Depth that the definition states.

    Returns
    -------
    cells : (m,) int64
        Those that are less deep, ascending.
    depth : (m,) float64
    """
    known = np.isfinite(magnitude)
    magnitude, cell = magnitude[known], cell[known]
    wanted = np.unique(cell)
    depth = np.full(wanted.size, stated)
    unknown = np.ones(wanted.size, dtype=bool)
    for coarser in range(0, ORDER + 1, 2):
        order = np.lexsort((magnitude, cell >> 2 * coarser))
        number, first, n = np.unique((cell >> 2 * coarser)[order], return_index=True, return_counts=True)
        faint = magnitude[order][first + np.minimum((SHARE * n).astype(np.int64), n - 1)] + MARGIN_MAG
        at = np.searchsorted(number, wanted >> 2 * coarser)
        found = unknown & (n[at] >= LEAST_OBJECTS) if n.size else unknown & False
        depth[found] = np.minimum(stated, faint[at[found]])
        unknown &= ~found
    less = depth < stated
    return wanted[less], depth[less]


def measure(
    conn: Connection, loaded: Loaded, bands: Mapping[str, sql.Composed]
) -> dict[str, tuple[IntArray, FloatArray]]:
    """Depth of a catalogue in the bands that its definition states a depth of; `bands`: their magnitudes in SQL."""
    stated = {band: mag for band, mag in loaded.definition.depth.items() if loaded.definition.colour_terms(band)}
    if not stated:
        return {}
    ((n_objects,),) = conn.execute(job("properties.count_objects").compose(counterpart=loaded.table))
    values = {"one_in": max(1, -(-n_objects // _MOST_OBJECTS))}
    types = [("ra", "double precision"), ("dec", "double precision"), *((band, "real") for band in stated)]
    listed = sql.SQL(", ").join(job("properties.magnitude_of").compose(magnitude=bands[band]) for band in stated)
    rows = copy.fetch_columns(
        conn, job("properties.magnitudes").compose(counterpart=loaded.table, magnitudes=listed), types, values
    )
    cell = cells(rows["ra"], rows["dec"], ORDER)
    return {band: depth_map(rows[band].astype(np.float64), cell, mag) for band, mag in stated.items()}


def store(conn: Connection, run_id: int, catalogue_id: int, depths: Depths) -> None:
    """Keep what a properties run has measured."""
    insert(
        conn,
        "xcat.catalogue_depth",
        [
            {
                "run_id": run_id,
                "catalogue_id": catalogue_id,
                "band": band,
                "depth_cells": where.tolist(),
                "depth_mags": depth.tolist(),
            }
            for band, (where, depth) in depths.items()
        ],
    )


def load(conn: Connection, run_id: int) -> dict[int, Depths]:
    """What a properties run has measured, by catalogue; nothing of runs of before."""
    found: dict[int, dict[str, tuple[IntArray, FloatArray]]] = {}
    for row in dicts(conn.execute(job("properties.depths").compose(), {"run_id": run_id})):
        where, depth = np.array(row["depth_cells"], dtype=np.int64), np.array(row["depth_mags"], dtype=np.float64)
        found.setdefault(row["catalogue_id"], {})[row["band"]] = where, depth
    return dict(found)


def deepest(
    catalogues: Sequence[Loaded],
    depths: Mapping[int, Depths],
    ra_deg: FloatArray,
    dec_deg: FloatArray,
    covers: Sequence[BoolArray] | None = None,
) -> dict[BandName, FloatArray]:
    """Depth of the deepest catalogue around positions in each band, (n,); NaN where none has a depth.

    Parameters
    ----------
    covers : sequence of (n,) bool, optional
        Whether each catalogue covers the positions; all do by default.
    """
    found: dict[BandName, FloatArray] = {band: np.full(len(ra_deg), np.nan) for band in get_args(BandName)}
    for k, loaded in enumerate(catalogues):
        for band in loaded.definition.depth:
            if loaded.definition.colour_terms(band):  # a derived definition may lack the band: no limit from it
                depth = at(loaded.definition, depths.get(loaded.catalogue_id, {}), band, ra_deg, dec_deg)
                better = np.fmax(found[band], depth)
                found[band] = better if covers is None else np.where(covers[k], better, found[band])
    return found


def at(definition: Definition, depths: Depths, band: BandName, ra_deg: FloatArray, dec_deg: FloatArray) -> FloatArray:
    """Depth of a catalogue around positions, (n,)."""
    depth = np.full(len(ra_deg), definition.depth[band])
    where, less = depths.get(band, (np.zeros(0, np.int64), np.zeros(0)))
    if where.size and len(ra_deg):
        cell = cells(ra_deg, dec_deg, ORDER)
        place = np.minimum(np.searchsorted(where, cell), where.size - 1)
        depth = np.where(where[place] == cell, less[place], depth)
    return depth
