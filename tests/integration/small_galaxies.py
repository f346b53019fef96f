"""Galaxies for the small classified sky: a round one around every source that has a place in one."""

from __future__ import annotations

import numpy as np
from psycopg.types.json import Jsonb

from xcat.config import Settings
from xcat.database import partitions
from xcat.database.connection import ready

D25_ARCMIN, DISTANCE_MPC = 4.0, 20.0
MPC_CM = 3.0856775814913673e24


def add(settings: Settings, property_run_id: int) -> None:
    """Load the galaxies that ``sep_to_radius`` is of, and give their sources the luminosity at that distance."""
    with ready(settings) as conn:
        row = conn.execute(
            "INSERT INTO xcat.catalogue (name, version, is_current, kind, definition, definition_sha256)"
            " VALUES ('galaxies', 1, true, 'galaxy', %s, '0') RETURNING catalogue_id",
            [Jsonb({"name": "galaxies", "title": "Small galaxies"})],
        ).fetchone()
        assert row is not None
        hosted = conn.execute(
            "SELECT source_id, ra, dec, sep_to_radius FROM xcat.source JOIN xcat.property USING (source_id)"
            " WHERE sep_to_radius IS NOT NULL ORDER BY source_id"
        ).fetchall()
        source_id, ra, dec, ratio = (np.array(column) for column in zip(*hosted, strict=True))
        n = len(hosted)
        # towards the equator, so that none is beyond a pole
        place = {"ra": ra, "dec": dec - np.sign(dec) * ratio * D25_ARCMIN / 120}
        shape = {"d25_arcmin": D25_ARCMIN, "axis_ratio": 1.0, "pa_deg": 0.0, "distance_mpc": DISTANCE_MPC}
        block = {
            "catalogue_id": np.full(n, row[0], np.int16),
            "object_id": source_id,
            "file_id": np.zeros(n, np.int32),
            "native_id": np.array([f"galaxy {i}" for i in source_id]).astype(np.bytes_),
            **place,
            **{name: np.full(n, value, np.float32) for name, value in shape.items()},
        }
        partitions.write(conn, "galaxy", row[0], [block])
        conn.execute("INSERT INTO xcat.run_catalogue VALUES (%s, %s)", [property_run_id, row[0]])
        conn.execute(
            "UPDATE xcat.property AS p SET log_lx_galaxy = log(4 * pi() * %s ^ 2 * s.flux_std_cgs)"
            " FROM xcat.source AS s WHERE s.source_id = p.source_id AND p.sep_to_radius IS NOT NULL",
            [DISTANCE_MPC * MPC_CM],
        )
