"""Ultraluminous sources: which ones the view lists, with which galaxy, and how many background AGN it expects."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from small_galaxies import MPC_CM
from small_sky import make
from tiny import load, rows, separation

from xcat.config import Settings
from xcat.database import partitions, schema
from xcat.database.connection import ready
from xcat.jobs.publishing import publish

pytestmark = pytest.mark.slow

ARCSEC = 1 / 3600
RA, DEC, D25, AXIS_RATIO, PA, DISTANCE_MPC = 359.999, 12.0, 6.0, 0.5, 30.0, 10.0
# source: arcsec along the major and the minor axis (to position angles 30 and 120), log L, 1 sigma error in arcsec
PLACES = {
    1: (90, 0, 39.5, 1.0),
    2: (2, 0, 40.0, 0.5),
    3: (50, 30, 38.9, 1.0),
    4: (0, -81, 41.3, 1.0),
    5: (198, 0, 40.5, 1.0),
    6: (-60, 20, 39.2, 1.0),
    7: (0, 7, 39.3, 3.0),
    8: (-150, 5, 39.2, 1.0),
    9: (20, -30, 39.4, 1.0),
}


def _ellipse_radius(along: float, across: float) -> float:
    """Radius of the ellipse in this direction, arcsec, from x = a cos t, y = b sin t."""
    a, b = D25 * 30, D25 * 30 * AXIS_RATIO
    t = math.atan2(across / b, along / a)
    return math.hypot(a * math.cos(t), b * math.sin(t))


@pytest.fixture(scope="module")
def sky(module_settings: Settings) -> dict[int, dict[str, Any]]:
    """Nine sources of the small sky moved into one galaxy, the sixth of the other mission; the rows of the view."""
    made = make(module_settings)
    galaxies = {"ra": [RA], "dec": [DEC], "d25_arcmin": [D25], "axis_ratio": [AXIS_RATIO], "pa_deg": [PA]}
    loaded = [load(module_settings, "galaxy", {**galaxies, "distance_mpc": [DISTANCE_MPC], "native_id": ["NGC 1"]})]
    with ready(module_settings) as conn:
        conn.execute("UPDATE xcat.property SET log_lx_galaxy = NULL, sep_to_radius = NULL")
        for source, (along, across, log_lx, err) in PLACES.items():
            pa = math.radians(PA)
            east = along * math.sin(pa) + across * math.cos(pa)
            north = along * math.cos(pa) - across * math.sin(pa)
            ra, dec = (RA + east * ARCSEC / math.cos(math.radians(DEC))) % 360, DEC + north * ARCSEC
            ratio = math.hypot(along, across) / _ellipse_radius(along, across)
            flux = 10**log_lx / (4 * math.pi * (DISTANCE_MPC * MPC_CM) ** 2)
            conn.execute(
                "UPDATE xcat.source SET ra = %s, dec = %s, err_arcsec = %s, flux_std_cgs = %s, catalogue_id ="
                " (SELECT catalogue_id FROM xcat.catalogue WHERE name = %s) WHERE source_id = %s",
                [ra, dec, err, flux, "swift" if source == 6 else "xmm", source],
            )
            conn.execute(
                "UPDATE xcat.property SET sep_to_radius = %s, log_lx_galaxy = %s WHERE source_id = %s",
                [ratio, log_lx, source],
            )
        # a small galaxy 40 arcsec from the eighth source, and one right at the ninth that is none to be in
        near = conn.execute("SELECT ra, dec FROM xcat.source WHERE source_id IN (8, 9) ORDER BY source_id").fetchall()
    others = {"ra": [p[0] for p in near], "dec": [near[0][1] + 40 * ARCSEC, near[1][1]], "d25_arcmin": [0.5, None]}
    loaded.append(load(module_settings, "galaxy", others))
    with ready(module_settings) as conn:  # as if it had all been there before the publication
        for catalogue in loaded:
            conn.execute("INSERT INTO xcat.run_catalogue VALUES (%s, %s)", [made["properties"], catalogue.catalogue_id])
        for table in schema.PUB_TABLES:
            conn.execute(f"DROP TABLE {partitions.qualified(table, made['classify'])}")
        conn.execute("DELETE FROM xcat.publication WHERE run_id = %s", [made["classify"]])
    publish(module_settings, made["classify"])
    return {row["source_id"]: row for row in rows(module_settings, "SELECT * FROM pub.ulx_candidates")}


def test_who_is_listed(sky: dict[int, dict[str, Any]]) -> None:
    """Not the nucleus (2), the faint (3), the one outside D25 (5), nor one whose position may be the nucleus (7)."""
    assert set(sky) == {1, 4, 6, 8, 9}
    assert {source for source, row in sky.items() if row["is_hyperluminous"]} == {4}


def test_hyperluminous_ones(module_settings: Settings, sky: dict[int, dict[str, Any]]) -> None:
    assert [r["source_id"] for r in rows(module_settings, "SELECT * FROM pub.hyperluminous_candidates")] == [4]


def test_the_galaxy_and_the_place_in_it(module_settings: Settings, sky: dict[int, dict[str, Any]]) -> None:
    for source, row in sky.items():
        along, across, log_lx, _ = PLACES[source]
        assert (row["galaxy"], row["distance_mpc"]) == ("NGC 1", DISTANCE_MPC)
        assert row["sep_arcsec"] == pytest.approx(separation(row["ra"], row["dec"], RA, DEC), abs=1e-6)
        assert row["sep_arcsec"] == pytest.approx(math.hypot(along, across), rel=1e-4)
        assert row["sep_nucleus_arcsec"] == pytest.approx(40 if source == 8 else row["sep_arcsec"], abs=1e-6)
        assert row["log_lx_galaxy"] == pytest.approx(log_lx)
        again = rows(
            module_settings,
            "SELECT xcat.sep_to_radius(%s, %s, %s, %s, %s, %s, %s) AS x",
            [row["ra"], row["dec"], RA, DEC, D25, AXIS_RATIO, PA],
        )
        assert again[0]["x"] == pytest.approx(row["sep_to_radius"], rel=1e-4)


def test_background_and_contamination(sky: dict[int, dict[str, Any]]) -> None:
    """Counts of the same mission that are as bright, the nuclear ones included; Moretti's counts over the ellipse."""
    ellipse = math.pi * 3 * 3 * AXIS_RATIO / 3600
    as_bright = {source: row["n_as_bright"] for source, row in sky.items()}
    # of xmm: 41.3 (4), 40.0 (2), 39.5 (1), 39.4 (9), 39.3 (7), 39.2 (8); swift has one
    assert as_bright == {4: 1, 1: 3, 9: 4, 8: 6, 6: 1}
    for row in sky.values():
        assert row["ellipse_deg2"] == pytest.approx(ellipse, rel=1e-6)
        hard = row["flux_std_cgs"] * (10**0.3 - 2**0.3) / (12**0.3 - 0.2**0.3)
        counts = 5300 * (2e-15) ** 1.57 / (hard**1.57 + (4.5e-15) ** (1.57 - 0.44) * hard**0.44)
        assert row["n_background"] == pytest.approx(ellipse * counts, rel=1e-5)
        assert row["p_contaminant"] == pytest.approx(min(1, row["n_background"] / row["n_as_bright"]))
    assert sky[4]["p_contaminant"] < 0.01 < sky[6]["p_contaminant"]


def test_counts_of_agn(module_settings: Settings) -> None:
    """About 300 a square degree above 1e-14 in 2-10 keV; fewer the brighter."""
    flux = np.logspace(-17, -10, 50)
    found = rows(
        module_settings,
        "SELECT xcat.agn_per_deg2(f) AS n FROM unnest(%s::float8[]) WITH ORDINALITY AS u (f, i) ORDER BY i",
        [flux.tolist()],
    )
    assert (np.diff([r["n"] for r in found]) < 0).all()
    (one,) = rows(module_settings, "SELECT xcat.agn_per_deg2(1e-14 / 0.51269) AS n")
    assert one["n"] == pytest.approx(301, rel=0.01)


@pytest.mark.parametrize("pa", [0.0, 30.0, 120.0, None])
def test_axes_of_the_ellipse(module_settings: Settings, pa: float | None) -> None:
    """One D25 radius along the major axis, and along the minor one, is a ratio of one; also across RA = 0."""
    for turn, radius in ((0, 180.0), (90, 90.0)):
        angle = math.radians((pa or 0) + turn)
        ra = (RA + radius * math.sin(angle) * ARCSEC / math.cos(math.radians(DEC))) % 360
        (found,) = rows(
            module_settings,
            "SELECT xcat.sep_to_radius(%s, %s, %s, %s, %s, %s, %s) AS x",
            [ra, DEC + radius * math.cos(angle) * ARCSEC, RA, DEC, D25, AXIS_RATIO, pa],
        )
        assert found["x"] == pytest.approx(1, abs=1e-3)
