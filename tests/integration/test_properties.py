"""The properties by hand, on skies of a few sources."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from tiny import load, rows, write

from xcat.config import Settings
from xcat.database import partitions
from xcat.database.engine import ready
from xcat.database.runs import stage
from xcat.match.stage import Loaded
from xcat.properties.compute import MAX_RADII, properties_stage

_FLUX = 2e-14


def _sources(settings: Settings, columns: dict[str, Any]) -> int:
    """Write sources as they are; missing columns have harmless values."""
    n = len(next(v for v in columns.values() if isinstance(v, list)))
    base = {"source_id": list(range(1, n + 1)), "catalogue_id": 1, "name": [f"s{i}" for i in range(n)],
            "ra": 10.0, "dec": 20.0, "err_arcsec": 1.0, "glon": 0.0, "glat": -30.0, "n_detections": 1}  # fmt: skip
    with stage(settings, "merge", "tiny", {}) as run:
        pass
    write(settings, "source", run.run_id, base | columns)
    return run.run_id


def _matches(
    settings: Settings, source_run: int, best: list[tuple[int, Loaded, int, float, bool]], hypotheses: Any
) -> int:
    """Write (source, catalogue, object, p_any, is_best)."""
    with stage(settings, "match", "tiny", {}, source_run_id=source_run) as run:
        pass
    once = {(s, c.catalogue_id): p for s, c, _, p, _ in best}
    common = {"n_candidates": 1, "density_per_deg2": 1e4, "completeness": 0.5}
    accepted = [p >= 0.5 for p in once.values()]
    write(
        settings,
        "match",
        run.run_id,
        {
            "source_id": [k[0] for k in once],
            "catalogue_id": [k[1] for k in once],
            "p_any": list(once.values()),
            "accepted": accepted,
            **common,
        },
    )
    write(settings, "match_candidate", run.run_id, {
        "source_id": [b[0] for b in best], "catalogue_id": [b[1].catalogue_id for b in best],
        "object_id": [b[2] for b in best], "is_best": [b[4] for b in best],
        "sep_arcsec": 0.1, "log_bayes_factor": 1.0, "p_i": 0.5})  # fmt: skip
    _hypotheses(settings, run.run_id, hypotheses)
    return run.run_id


def _hypotheses(
    settings: Settings, run: int, hypotheses: Sequence[tuple[int, int, float, list[tuple[Loaded, int]]]]
) -> None:
    """Write (source, rank, probability, members by catalogue)."""
    with ready(settings) as conn:
        table = partitions.create(conn, "hypothesis", run)
        for source, rank, p, members in hypotheses:
            catalogues = [c.catalogue_id for c, _ in members]
            values = [run, source, rank, catalogues, [o for _, o in members], p, min(rank, 2)]
            conn.execute(f"INSERT INTO {table} VALUES (%s, %s, %s, %s, %s, 1, %s, 0.5, %s)", values)  # type: ignore[arg-type]
        partitions.attach(conn, "hypothesis", run)


def _masters(settings: Settings, source_run: int, ratios: dict[str, Any], n: int) -> int:
    """Every source is a master source of its own."""
    with stage(settings, "link", "tiny", {}, source_run_id=source_run) as run:
        pass
    ids = list(range(1, n + 1))
    write(settings, "master_source", run.run_id, {"source_id": ids, "master_id": ids, "status": "single"}, n)
    write(
        settings, "master", run.run_id,
        {"master_id": ids, "ra": 10.0, "dec": 20.0, "err_arcsec": 1.0, "n_missions": 1, "n_sources": 1,
         "n_detections": 2, "n_upper_limits": 0, "is_ambiguous": False, **ratios}, n,
    )  # fmt: skip
    return run.run_id


def _properties(
    settings: Settings, columns: dict[str, Any], best: Any = (), counterparts: Any = (), galaxies: Any = (),
    hypotheses: Any = (), table: str = "property",
) -> list[dict[str, Any]]:  # fmt: skip
    names = ("flux_ratio", "flux_ratio_low", "flux_ratio_sigma")
    ratios = {name: columns[name] for name in names if name in columns}
    columns = {name: values for name, values in columns.items() if name not in ratios}
    source_run = _sources(settings, columns)
    match_run = _matches(settings, source_run, list(best), hypotheses)
    link_run = _masters(settings, source_run, ratios, len(next(iter(columns.values()))))
    with stage(settings, "properties", "tiny", {}) as run:
        properties_stage(run, source_run, link_run, match_run, list(counterparts), list(galaxies))
    if table != "property":
        return rows(settings, f"SELECT * FROM xcat.{table} WHERE run_id = %s ORDER BY source_id, rank", [run.run_id])
    return rows(settings, "SELECT * FROM xcat.property WHERE run_id = %s ORDER BY source_id", [run.run_id])


def _counterparts(settings: Settings, kind: str, colours: dict[str, Any], **columns: list[Any]) -> Loaded:
    n = len(next(iter(columns.values())))
    return load(settings, kind, {"ra": [10.0] * n, "dec": [20.0] * n, **columns}, colours=colours)


def test_what_the_source_itself_gives(module_settings: Settings) -> None:
    (full, empty) = _properties(module_settings, {
        "glat": [-30.5, 2.0], "hr1": [0.3, None], "hr2": [-0.4, None], "gamma": [1.7, None], "p_variable": [0.9, None],
        "flux_ratio": [100.0, None], "flux_ratio_low": [0.1, None], "flux_ratio_sigma": [5.0, None],
        "flux_std_cgs": [_FLUX, None],
    })  # fmt: skip
    expected = {"abs_b": 30.5, "hr1": 0.3, "hr2": -0.4, "gamma": 1.7, "p_variable": 0.9, "log_flux_ratio": 2.0,
                "log_flux_ratio_low": -1.0, "flux_ratio_sigma": 5.0}  # fmt: skip
    assert {k: full[k] for k in expected} == pytest.approx(expected, rel=1e-6)
    assert empty["abs_b"] == 2.0
    kept = {"run_id", "source_id", "abs_b", "has_optical", "has_infrared", "has_spectrum", "n_detections"}
    missing = {k: v for k, v in empty.items() if k not in kept | {"in_test_sample"}}
    assert len(missing) == 13
    assert set(missing.values()) == {None}
    assert [full[k] for k in missing if k.startswith("log_fx") or k in ("pm_mas_yr", "sep_to_radius")] == [None] * 6


def test_flux_ratios_to_the_colours(module_settings: Settings) -> None:
    """log Fx + 5.37 + m / 2.5 in the optical, 6.95 in the infrared; offsets of the definition; no flux, no ratio."""
    gaia = _counterparts(
        module_settings, "optical",
        {"r": ["mag_gaia_rp", "mag_gaia_g - 0.5"], "b": ["mag_gaia_bp", "mag_gaia_g + 0.3", "mag_gaia_rp + 0.8"]},
        mag_gaia_g=[18.0, 18.0, 18.0, 18.0], mag_gaia_rp=[17.0, None, 17.0, 17.0], mag_gaia_bp=[18.6, None, 18.6, 18.6],
    )  # fmt: skip
    wise = _counterparts(
        module_settings, "infrared", {"w1": ["mag_w1", "mag_w2"], "w2": ["mag_w2", "mag_w1"]},
        mag_w1=[14.0, None, 14.0, 14.0], mag_w2=[13.0, 13.5, 13.0, 13.0],
    )  # fmt: skip
    best = [(i, c, i, 0.9, True) for c in (gaia, wise) for i in (1, 2, 3, 4)]
    flux = [_FLUX, _FLUX, 0.0, -_FLUX]
    found = _properties(module_settings, {"flux_std_cgs": flux}, best, [gaia, wise])
    for row, (b, r, w1, w2) in zip(found, [(18.6, 17.0, 14.0, 13.0), (18.3, 17.5, 13.5, 13.5)], strict=False):
        expected = {"log_fx_fb": 5.37 + b / 2.5, "log_fx_fr": 5.37 + r / 2.5,
                    "log_fx_fw1": 6.95 + w1 / 2.5, "log_fx_fw2": 6.95 + w2 / 2.5}  # fmt: skip
        assert {k: row[k] - math.log10(_FLUX) for k in expected} == pytest.approx(expected, abs=1e-5)
    for row in found[2:]:
        assert [row[k] for k in row if k.startswith("log_fx")] == [None] * 4
        assert row["has_optical"] and row["has_infrared"]


def test_the_first_catalogue_that_has_a_magnitude_gives_it(module_settings: Settings) -> None:
    """Band by band, and the proper motion too; a catalogue without a counterpart is passed over."""
    r_only = _counterparts(
        module_settings, "optical", {"r": ["mag_r"]}, mag_r=[20.0, 20.0, None],
        pmra_mas_yr=[None, 3.0, 3.0], pmdec_mas_yr=[1.0, 4.0, 4.0],
    )  # fmt: skip
    both = _counterparts(
        module_settings, "optical", {"r": ["mag_r"], "b": ["mag_g - 0.2"]}, mag_r=[19.0] * 3, mag_g=[21.0] * 3,
        pmra_mas_yr=[6.0, 6.0, 0.0], pmdec_mas_yr=[8.0, 8.0, 0.0],
    )  # fmt: skip
    k_band = _counterparts(module_settings, "infrared", {"w1": ["mag_k - 0.1"]}, mag_k=[15.0] * 3)
    best = [(s, c, s, 0.9, True) for s in (1, 2) for c in (r_only, both, k_band)] + [(3, both, 3, 0.9, True)]
    flux = {"flux_std_cgs": [_FLUX] * 3}

    def magnitudes(order: list[Loaded]) -> list[list[float | None]]:
        found = _properties(module_settings, flux, best, order)
        return [
            [None if row[k] is None else round(2.5 * (row[k] - math.log10(_FLUX) - zero), 3)
             for k, zero in (("log_fx_fb", 5.37), ("log_fx_fr", 5.37), ("log_fx_fw1", 6.95), ("log_fx_fw2", 6.95))]
            + [row["pm_mas_yr"]] for row in found
        ]  # fmt: skip

    assert magnitudes([r_only, both, k_band]) == [
        [20.8, 20.0, 14.9, None, 10.0], [20.8, 20.0, 14.9, None, 5.0], [20.8, 19.0, None, None, None],
    ]  # fmt: skip
    assert magnitudes([k_band, both, r_only]) == [
        [20.8, 19.0, 14.9, None, 10.0], [20.8, 19.0, 14.9, None, 10.0], [20.8, 19.0, None, None, None],
    ]  # fmt: skip


def test_only_the_best_and_probable_candidate_counts(module_settings: Settings) -> None:
    other = _counterparts(
        module_settings, "optical", {"r": ["mag_r"]}, mag_r=[20.0, 15.0], pmra_mas_yr=[1.0] * 2, pmdec_mas_yr=[1.0] * 2
    )
    best = [(1, other, 1, 0.5, True), (1, other, 2, 0.5, False), (2, other, 1, 0.4999, True)]
    yes, no = _properties(module_settings, {"flux_std_cgs": [_FLUX] * 2}, best, [other])
    assert yes["log_fx_fr"] == pytest.approx(math.log10(_FLUX) + 5.37 + 8.0, abs=1e-5)
    assert (yes["has_optical"], no["has_optical"]) == (True, False)
    assert no["log_fx_fr"] is no["pm_mas_yr"] is None


def test_every_hypothesis_has_its_properties(module_settings: Settings) -> None:
    """Members together give the colours; "none" has none; one that is too improbable has no row."""
    gaia = _counterparts(
        module_settings, "optical", {"r": ["mag_gaia_rp"]}, mag_gaia_rp=[17.0, 12.0], pmra_mas_yr=[3.0, None],
        pmdec_mas_yr=[4.0, None],
    )  # fmt: skip
    wise = _counterparts(module_settings, "infrared", {"w1": ["mag_w1"]}, mag_w1=[14.0])
    hypotheses = [
        (1, 0, 0.1, []), (1, 1, 0.6, [(gaia, 1), (wise, 1)]), (1, 2, 0.2, [(gaia, 2)]), (1, 3, 0.09, [(wise, 1)]),
        (1, 4, 0.009, [(gaia, 1)]), (2, 0, 1.0, []),
    ]  # fmt: skip
    found = _properties(
        module_settings, {"flux_std_cgs": [_FLUX] * 2}, [], [gaia, wise], hypotheses=hypotheses,
        table="hypothesis_property",
    )  # fmt: skip
    assert [(h["source_id"], h["rank"]) for h in found] == [(1, 0), (1, 1), (1, 2), (1, 3), (2, 0)]
    assert [h["p_hypothesis"] for h in found] == pytest.approx([0.1, 0.6, 0.2, 0.09, 1.0])
    log_fx = math.log10(_FLUX)
    bright, faint, infrared = log_fx + 5.37 + 12 / 2.5, log_fx + 5.37 + 17 / 2.5, log_fx + 6.95 + 14 / 2.5
    values = [(h["pm_mas_yr"], h["log_fx_fr"], h["log_fx_fw1"], h["log_fx_fb"]) for h in found]
    assert values[1] == (5.0, pytest.approx(faint, abs=1e-5), pytest.approx(infrared, abs=1e-5), None)
    assert values[2] == (None, pytest.approx(bright, abs=1e-5), None, None)
    assert values[3] == (None, None, pytest.approx(infrared, abs=1e-5), None)
    assert values[0] == values[4] == (None,) * 4


def test_the_test_sample_takes_two_of_four(module_settings: Settings) -> None:
    optical = _counterparts(module_settings, "optical", {}, mag_r=[20.0])
    infrared = _counterparts(module_settings, "infrared", {}, mag_k=[20.0])
    cases = list(product([False, True], repeat=4))
    best = [(i, c, 1, 0.9, True) for i, case in enumerate(cases, 1)
            for c, there in ((optical, case[0]), (infrared, case[1])) if there]  # fmt: skip
    found = _properties(
        module_settings,
        {"snr": [10.1 if c[2] else 10.0 for c in cases], "n_detections": [1 + c[3] for c in cases]},
        best, [optical, infrared],
    )  # fmt: skip
    for case, row in zip(cases, found, strict=True):
        assert (row["has_optical"], row["has_infrared"], row["has_spectrum"], row["n_detections"] > 1) == case
        assert row["in_test_sample"] == (sum(case) >= 2)
    spectrum = _properties(module_settings, {"gamma": [1.7, None, None], "snr": [None, None, 11.0]})
    assert [row["has_spectrum"] for row in spectrum] == [True, False, True]


def test_separations_in_radii_of_the_ellipse(module_settings: Settings) -> None:
    """Oracle: astropy's separation and position angle. Galaxies on all sides, at RA 0 and close to a pole."""
    rng = np.random.default_rng(6)
    places = [(0.001, 5.0), (200.0, -45.0), (30.0, 89.2)]
    galaxy: dict[str, list[Any]] = {k: [] for k in ("ra", "dec", "d25_arcmin", "axis_ratio", "pa_deg")}
    ra, dec, expected = [], [], []
    for place, pa, ratio in zip(places, (0.0, 35.0, 130.0), (0.25, 0.6, None), strict=True):
        centre, d25 = SkyCoord(*place, unit="deg"), 12.0
        for k, v in zip(galaxy, (*place, d25, ratio, pa), strict=True):
            galaxy[k].append(v)
        angle, distance = rng.uniform(0, 360, 40), d25 * 30 * 1.5 * np.sqrt(rng.random(40))
        spot = centre.directional_offset_by(angle * u.deg, distance * u.arcsec)
        # the ellipse in its own axes: x along the major one
        delta = (centre.position_angle(spot) - pa * u.deg).rad
        sep = centre.separation(spot).arcsec / (d25 * 30)
        radii = np.hypot(sep * np.cos(delta), sep * np.sin(delta) / (1.0 if ratio is None else ratio))
        ra += list(spot.ra.deg % 360)
        dec += list(spot.dec.deg)
        expected += [None if r > MAX_RADII else r for r in radii]
    assert 30 < sum(e is not None for e in expected) < 110
    catalogue = load(module_settings, "galaxy", galaxy)
    found = [row["sep_to_radius"] for row in _properties(module_settings, {"ra": ra, "dec": dec}, galaxies=[catalogue])]
    assert [f is None for f in found] == [e is None for e in expected]
    there = [(f, e) for f, e in zip(found, expected, strict=True) if e is not None]
    assert np.abs(np.subtract(*np.array(there).T)).max() < 1e-4


def test_of_several_galaxies_the_deepest_counts(module_settings: Settings) -> None:
    """Also over several catalogues; a galaxy without a diameter has no field."""
    place = {"ra": [10.0, 10.0, 10.0], "dec": [20.0, 20.05, 20.0]}
    first = load(module_settings, "galaxy", place | {"d25_arcmin": [6.0, 12.0, None], "axis_ratio": None,
                                                     "pa_deg": None})  # fmt: skip
    second = load(module_settings, "galaxy", {"ra": [10.0], "dec": [20.02], "d25_arcmin": [30.0]})
    spot = {"ra": [10.0], "dec": [20.02]}
    both = _properties(module_settings, spot, galaxies=[first])[0]["sep_to_radius"]
    assert both == pytest.approx(0.03 / 0.1, rel=1e-4)
    for order in ([first, second], [second, first]):
        assert _properties(module_settings, spot, galaxies=order)[0]["sep_to_radius"] == pytest.approx(0, abs=1e-6)
