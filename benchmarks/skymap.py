"""The sources in the credible region of a sky map, against mocpy's filter of the same positions in memory.

Ours finds them in a table of the database by ranges of hpx29, and ranks them; mocpy has all positions in memory before,
and says which are inside, without their levels. Both must find the same sources. The map is simulated: a Gaussian ring,
which crosses the whole sky as maps of two detectors do, in as many cells; or a file.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy_healpix import healpix_to_lonlat
from common import in_turn, private_database

from xcat.database import copy
from xcat.database.connection import Connection, ready
from xcat.ingest.skymap_file import read_skymap
from xcat.report.skymap import find_sources
from xcat.sky import geometry
from xcat.sky.density_map import cells
from xcat.sky.skymap import SkyMap

_READ_WITHIN_S = 2.0  # any published map: NSIDE 1024 with distances has 12.6 million cells


def simulated(n_cells: int, width_deg: float = 4.0) -> SkyMap:
    """A ring around an inclined axis; the densest cells are cut in four until there are enough of them."""
    order, cell = np.full(768, 3), np.arange(768)
    axis = geometry.to_vector(np.array([130.0]), np.array([35.0]))[0]
    while True:
        lon, lat = healpix_to_lonlat(cell, 2**order, order="nested")
        vector = geometry.to_vector(lon.to_value(u.deg), lat.to_value(u.deg))
        away, along = np.degrees(np.arcsin(vector @ axis)), vector[:, 0]
        density = np.exp(-((away / width_deg) ** 2) / 2) * (1.2 + along)
        if len(order) >= n_cells:
            return SkyMap.of_cells(order, cell, density, is_density=True)
        top = np.argsort(-density * 4.0**-order)[: min(len(order) // 2, (n_cells - len(order)) // 3 + 1)]
        rest = np.setdiff1d(np.arange(len(order)), top)
        parts = (4 * cell[top][:, None] + np.arange(4)).ravel()
        order, cell = np.append(order[rest], np.repeat(order[top] + 1, 4)), np.append(cell[rest], parts)


def fill(conn: Connection, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A table of n positions, uniform over the sky, with the columns and the index that a published one has."""
    rng = np.random.default_rng(seed)
    ra, dec = rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))
    block = {"source_id": np.arange(n), "hpx29": cells(ra, dec, 29), "ra": ra, "dec": dec}
    block |= {"catalogue": np.full(n, b"xmm"), "name": np.array([f"4XMM {i}" for i in range(n)]).astype(np.bytes_)}
    conn.execute(
        "CREATE TABLE sources (source_id bigint, hpx29 bigint, ra double precision, dec double precision, catalogue"
        " text, name text)"
    )
    copy.copy_in(conn, "sources", [block])
    conn.execute("CREATE INDEX ON sources (hpx29)")
    conn.commit()
    conn.autocommit = True
    conn.execute("VACUUM ANALYZE sources")
    conn.autocommit = False
    return ra, dec


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sources", type=int, default=1_000_000)
    parser.add_argument("--cells", type=int, default=19_200)
    parser.add_argument("--level", type=float, default=0.9)
    parser.add_argument("--map", type=Path, help="A file instead of the simulated map; reading it is timed, too.")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    start = time.process_time()
    skymap = simulated(options.cells) if options.map is None else read_skymap(options.map)
    took_s = time.process_time() - start
    print(f"map of {len(skymap.order):,} cells: {took_s:.2f} s of processor time")
    if options.map and took_s > _READ_WITHIN_S:
        raise SystemExit(f"reading {options.map} takes more than {_READ_WITHIN_S} s")
    region = skymap.region(options.level)
    with private_database() as settings, ready(settings) as conn:
        ra, dec = fill(conn, options.sources, seed=1)
        moc, found = region.moc(), dict[str, np.ndarray]()

        def ours() -> None:
            found["ours"] = find_sources(conn, skymap, region, "sources").source_id

        def bare() -> None:
            found["bare"] = np.flatnonzero(moc.contains_lonlat(ra * u.deg, dec * u.deg))

        print(f"{len(region.first):,} ranges of {region.area_deg2:,.0f} deg2, {options.sources:,} sources")
        in_turn(ours, bare, options.runs, before=conn.rollback)
    if sorted(found["ours"]) != found["bare"].tolist():
        raise SystemExit("the two sides find different sources")
    print(f"{len(found['bare']):,} sources on both sides; ours also ranks them by their level")


if __name__ == "__main__":
    main()
