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
from tiny import load, merge, rows, sources, write

from xcat.columns.properties import column_of, select
from xcat.columns.registry import columns, property_entries
from xcat.config import Settings
from xcat.database import partitions
from xcat.database.connection import Connection, ready
from xcat.database.loaded import Loaded
from xcat.database.runs import stage
from xcat.database.schema import RUN_TABLES
from xcat.properties.compute import MAX_RADII, properties_stage
from xcat.sky import density_map

_FLUX = 2e-14


def _sources(settings: Settings, columns: dict[str, Any]) -> int:
    """Write sources as they are; missing columns have harmless values."""
    n = len(next(v for v in columns.values() if isinstance(v, list)))
    base = {
        "source_id": list(range(1, n + 1)),
        "catalogue_id": 1,
        "name": [f"s{i}" for i in range(n)],
        "ra": 10.0,
        "dec": 20.0,
        "err_arcsec": 1.0,
        "glon": 0.0,
        "glat": -30.0,
        "n_detections": 1,
        "n_flawed": 0,
        "flux_is_doubtful": False,
    }
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
    write(
        settings,
        "master_source",
        run.run_id,
        {"source_id": ids, "master_id": ids, "mission_rank": 1, "status": "single"},
        n,
    )
    write(
        settings,
        "master",
        run.run_id,
        {
            "master_id": ids,
            "ra": 10.0,
            "dec": 20.0,
            "err_arcsec": 1.0,
            "n_missions": 1,
            "n_sources": 1,
            "n_detections": 2,
            "n_upper_limits": 0,
            "is_ambiguous": False,
            **ratios,
        },
        n,
    )
    return run.run_id


def _properties(
    settings: Settings,
    columns: dict[str, Any],
    best: Any = (),
    counterparts: Any = (),
    galaxies: Any = (),
    hypotheses: Any = (),
    table: str = "property",
    products: int | None = None,
) -> list[dict[str, Any]]:
    names = ("flux_ratio", "flux_ratio_low", "flux_ratio_sigma")
    ratios = {name: columns[name] for name in names if name in columns}
    columns = {name: values for name, values in columns.items() if name not in ratios}
    source_run = _sources(settings, columns)
    match_run = _matches(settings, source_run, list(best), hypotheses)
    link_run = _masters(settings, source_run, ratios, len(next(iter(columns.values()))))
    with stage(settings, "properties", "tiny", {}) as run:
        properties_stage(run, source_run, link_run, match_run, list(counterparts), list(galaxies), products)
    if table != "property":
        return rows(settings, f"SELECT * FROM xcat.{table} WHERE run_id = %s ORDER BY source_id, rank", [run.run_id])
    return rows(settings, "SELECT * FROM xcat.property WHERE run_id = %s ORDER BY source_id", [run.run_id])


def _counterparts(
    settings: Settings,
    kind: str,
    colours: dict[str, Any],
    *,
    depth: dict[str, float] | None = None,
    sky: dict[str, Any] | None = None,
    **columns: list[Any],
) -> Loaded:
    n = len(next(iter(columns.values())))
    keys = {"depth": depth or {}} | ({"sky": sky} if sky else {})
    return load(settings, kind, {"ra": [10.0] * n, "dec": [20.0] * n, **columns}, colours=colours, **keys)


def test_what_the_source_itself_gives(module_settings: Settings) -> None:
    (full, empty) = _properties(module_settings, {
        "glat": [-30.5, 2.0], "hr1": [0.3, None], "hr2": [-0.4, None], "gamma": [1.7, None], "p_variable": [0.9, None],
        "flux_ratio": [100.0, None], "flux_ratio_low": [0.1, None], "flux_ratio_sigma": [5.0, None],
        "flux_std_cgs": [_FLUX, None], "flux_cgs": [1e-14, None], "flux_err_cgs": [2e-15, None],
        "glon": [350.0, 170.0], "hr1_err": [0.1, None], "hr2_err": [7.0, None], "p_variable_long": [0.7, None],
    })  # fmt: skip
    expected = {"abs_b": 30.5, "abs_l": 10.0, "hr1_err": 0.1, "hr2_err": 1.0, "log_fx": math.log10(_FLUX),
                "log_fx_err": 0.2 / math.log(10), "p_variable_long": 0.7,
                "hr1": 0.3, "hr2": -0.4, "gamma": 1.7, "p_variable": 0.9, "log_flux_ratio": 2.0,
                "log_flux_ratio_low": -1.0, "flux_ratio_sigma": 5.0}  # fmt: skip
    assert {k: full[k] for k in expected} == pytest.approx(expected, rel=1e-6)
    assert (empty["abs_b"], empty["abs_l"]) == (2.0, 170.0)
    missing = {e["name"] for e in property_entries()} - {"abs_b", "abs_l"} | {"hr1_err", "hr2_err", "log_fx_err"}
    assert {empty[k] for k in missing} == {None}
    counterpart = {e["name"] for e in property_entries() if e.get("counterpart")} | {"sep_to_radius", "log_lx_galaxy"}
    limits = {k for k in full if k.endswith("_limit")}
    assert len(limits) == 5
    assert {full[k] for k in counterpart | limits} == {None}
    assert not full["observed_optical"] and not full["observed_infrared"], "there is no catalogue"


def test_flux_ratios_to_the_colours(module_settings: Settings) -> None:
    """log Fx + 5.37 + m / 2.5 in the optical, 6.95 in the infrared; offsets of the definition; no flux, no ratio."""
    gaia = _counterparts(
        module_settings,
        "optical",
        {"r": ["mag_gaia_rp", "mag_gaia_g - 0.5"], "b": ["mag_gaia_bp", "mag_gaia_g + 0.3", "mag_gaia_rp + 0.8"]},
        mag_gaia_g=[18.0, 18.0, 18.0, 18.0],
        mag_gaia_rp=[17.0, None, 17.0, 17.0],
        mag_gaia_bp=[18.6, None, 18.6, 18.6],
    )
    wise = _counterparts(
        module_settings,
        "infrared",
        {"w1": ["mag_w1", "mag_w2"], "w2": ["mag_w2", "mag_w1"]},
        mag_w1=[14.0, None, 14.0, 14.0],
        mag_w2=[13.0, 13.5, 13.0, 13.0],
    )
    best = [(i, c, i, 0.9, True) for c in (gaia, wise) for i in (1, 2, 3, 4)]
    flux = [_FLUX, _FLUX, 0.0, -_FLUX]
    found = _properties(module_settings, {"flux_std_cgs": flux}, best, [gaia, wise])
    for row, (b, r, w1, w2) in zip(found, [(18.6, 17.0, 14.0, 13.0), (18.3, 17.5, 13.5, 13.5)], strict=False):
        expected = {
            "log_fx_fb": 5.37 + b / 2.5,
            "log_fx_fr": 5.37 + r / 2.5,
            "log_fx_fw1": 6.95 + w1 / 2.5,
            "log_fx_fw2": 6.95 + w2 / 2.5,
        }
        assert {k: row[k] - math.log10(_FLUX) for k in expected} == pytest.approx(expected, abs=1e-5)
    for row in found[2:]:
        assert {row[k] for k in row if k.startswith("log_fx")} == {None}
        assert row["has_optical"] and row["has_infrared"]


def test_the_first_catalogue_that_has_a_magnitude_gives_it(module_settings: Settings) -> None:
    """Band by band, and the proper motion too; a catalogue without a counterpart is passed over."""
    r_only = _counterparts(
        module_settings,
        "optical",
        {"r": ["mag_r"]},
        mag_r=[20.0, 20.0, None],
        pmra_mas_yr=[None, 3.0, 3.0],
        pmdec_mas_yr=[1.0, 4.0, 4.0],
    )
    both = _counterparts(
        module_settings,
        "optical",
        {"r": ["mag_r"], "b": ["mag_g - 0.2"]},
        mag_r=[19.0] * 3,
        mag_g=[21.0] * 3,
        pmra_mas_yr=[6.0, 6.0, 0.0],
        pmdec_mas_yr=[8.0, 8.0, 0.0],
    )
    k_band = _counterparts(module_settings, "infrared", {"w1": ["mag_k - 0.1"]}, mag_k=[15.0] * 3)
    best = [(s, c, s, 0.9, True) for s in (1, 2) for c in (r_only, both, k_band)] + [(3, both, 3, 0.9, True)]
    flux = {"flux_std_cgs": [_FLUX] * 3}

    def magnitudes(order: list[Loaded]) -> list[list[float | None]]:
        found = _properties(module_settings, flux, best, order)
        return [
            [
                None if row[k] is None else round(2.5 * (row[k] - math.log10(_FLUX) - zero), 3)
                for k, zero in (("log_fx_fb", 5.37), ("log_fx_fr", 5.37), ("log_fx_fw1", 6.95), ("log_fx_fw2", 6.95))
            ]
            + [row["pm_mas_yr"]]
            for row in found
        ]

    assert magnitudes([r_only, both, k_band]) == [
        [20.8, 20.0, 14.9, None, 10.0],
        [20.8, 20.0, 14.9, None, 5.0],
        [20.8, 19.0, None, None, None],
    ]
    assert magnitudes([k_band, both, r_only]) == [
        [20.8, 19.0, 14.9, None, 10.0],
        [20.8, 19.0, 14.9, None, 10.0],
        [20.8, 19.0, None, None, None],
    ]


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
        module_settings,
        "optical",
        {"r": ["mag_gaia_rp"]},
        mag_gaia_rp=[17.0, 12.0],
        pmra_mas_yr=[3.0, None],
        pmdec_mas_yr=[4.0, None],
    )
    wise = _counterparts(module_settings, "infrared", {"w1": ["mag_w1"]}, mag_w1=[14.0])
    hypotheses = [
        (1, 0, 0.1, []),
        (1, 1, 0.6, [(gaia, 1), (wise, 1)]),
        (1, 2, 0.2, [(gaia, 2)]),
        (1, 3, 0.09, [(wise, 1)]),
        (1, 4, 0.009, [(gaia, 1)]),
        (2, 0, 1.0, []),
    ]
    found = _properties(
        module_settings,
        {"flux_std_cgs": [_FLUX] * 2},
        [],
        [gaia, wise],
        hypotheses=hypotheses,
        table="hypothesis_property",
    )
    assert [(h["source_id"], h["rank"]) for h in found] == [(1, 0), (1, 1), (1, 2), (1, 3), (2, 0)]
    assert [h["p_hypothesis"] for h in found] == pytest.approx([0.1, 0.6, 0.2, 0.09, 1.0])
    log_fx = math.log10(_FLUX)
    bright, faint, infrared = log_fx + 5.37 + 12 / 2.5, log_fx + 5.37 + 17 / 2.5, log_fx + 6.95 + 14 / 2.5
    values = [(h["pm_mas_yr"], h["log_fx_fr"], h["log_fx_fw1"], h["log_fx_fb"]) for h in found]
    assert values[1] == (5.0, pytest.approx(faint, abs=1e-5), pytest.approx(infrared, abs=1e-5), None)
    assert values[2] == (None, pytest.approx(bright, abs=1e-5), None, None)
    assert values[3] == (None, None, pytest.approx(infrared, abs=1e-5), None)
    assert values[0] == values[4] == (None,) * 4


def test_classifiable_takes_two_of_four(module_settings: Settings) -> None:
    optical = _counterparts(module_settings, "optical", {}, mag_r=[20.0])
    infrared = _counterparts(module_settings, "infrared", {}, mag_k=[20.0])
    cases = list(product([False, True], repeat=4))
    best = [
        (i, c, 1, 0.9, True)
        for i, case in enumerate(cases, 1)
        for c, there in ((optical, case[0]), (infrared, case[1]))
        if there
    ]
    found = _properties(
        module_settings,
        {"snr": [10.1 if c[2] else 10.0 for c in cases], "n_detections": [1 + c[3] for c in cases]},
        best,
        [optical, infrared],
    )
    for case, row in zip(cases, found, strict=True):
        assert (row["has_optical"], row["has_infrared"], row["has_spectrum"], row["n_detections"] > 1) == case
        assert row["is_classifiable"] == (sum(case) >= 2)
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
    first = load(
        module_settings, "galaxy", place | {"d25_arcmin": [6.0, 12.0, None], "axis_ratio": None, "pa_deg": None}
    )
    second = load(module_settings, "galaxy", {"ra": [10.0], "dec": [20.02], "d25_arcmin": [30.0]})
    spot = {"ra": [10.0], "dec": [20.02]}
    both = _properties(module_settings, spot, galaxies=[first])[0]["sep_to_radius"]
    assert both == pytest.approx(0.03 / 0.1, rel=1e-4)
    for order in ([first, second], [second, first]):
        assert _properties(module_settings, spot, galaxies=order)[0]["sep_to_radius"] == pytest.approx(0, abs=1e-6)


def _curve(
    conn: Connection, catalogue_id: int, source_id: int, blocks: list[tuple[float, float]], variance: Any
) -> None:
    """A light curve: rate and error of every block, excess variance and error."""
    (run_id,) = _row(conn, "SELECT max(run_id) FROM xcat.run")
    (file_id,) = _row(
        conn,
        "INSERT INTO xcat.catalogue_file (run_id, file_name, sha256, n_bytes, n_rows, n_rejected)"
        " VALUES (%s, 'x', gen_random_uuid(), 1, 1, 0) RETURNING file_id",
        [run_id],
    )
    conn.execute("INSERT INTO xcat.catalogue_content VALUES (%s, %s)", [catalogue_id, file_id])
    (product_id,) = _row(
        conn,
        "INSERT INTO xcat.product (file_id, product_kind, source_id, name, assigned_by, mission, n_bins,"
        " excess_variance, excess_variance_err) VALUES (%s, 'light_curve', %s, 's', 'given', 'Swift', 1, %s, %s)"
        " RETURNING product_id",
        [file_id, source_id, *variance],
    )
    for number, (rate, error) in enumerate(blocks):
        conn.execute(
            "INSERT INTO xcat.light_curve_block VALUES (%s, %s, %s, %s, %s, %s)",
            [product_id, number, 50000 + number, 50001 + number, rate, error],
        )


def _row(conn: Connection, query: str, values: Any = ()) -> tuple[Any, ...]:
    row = conn.execute(query, values).fetchone()  # type: ignore[arg-type]
    assert row is not None
    return row


def test_what_light_curves_tell(module_settings: Settings) -> None:
    n = 6
    none = (None, None)
    with ready(module_settings) as conn:
        versions = [
            _row(
                conn,
                "INSERT INTO xcat.catalogue (name, version, is_current, kind, definition, definition_sha256)"
                " VALUES ('source products', %s, %s, 'products', '{}', 'x') RETURNING catalogue_id",
                [number, number == 2],
            )[0]
            for number in (1, 2)
        ]
    columns = {"glat": [-30.0] * n}
    assert {row["log_rate_ratio"] for row in _properties(module_settings, columns)} == {None}, "no run has read them"
    with ready(module_settings) as conn:
        one, other = versions
        _curve(conn, one, 1, [(3.0, 0.1)], (0.2, 0.1))  # constant
        _curve(conn, one, 2, [(0.5, 0.1), (50.0, 1.0), (5.0, 0.5)], (1.0, 0.1))
        _curve(conn, one, 2, [(1.0, 0.1), (20.0, 1.0)], (4.0, 0.2))
        _curve(conn, one, 3, [(-2.0, 0.5), (5.0, 1.0)], none)  # a rate below zero tells an error as large
        _curve(conn, one, 4, [], none)
        _curve(conn, one, 5, [(0.0, 0.0), (1.0, 0.1)], (0.3, 0.0))  # no error: nothing can be said
        _curve(conn, other, 6, [(1.0, 0.1), (9.0, 0.1)], (1.0, 0.1))  # of another version
    found = _properties(module_settings, columns, products=one)
    assert [row["log_rate_ratio"] for row in found] == pytest.approx(
        [0.0, math.log10(49 / 0.6), math.log10(4 / 2.5), None, None, None]
    )
    mean = (1.0 / 0.01 + 4.0 / 0.04) / (1 / 0.01 + 1 / 0.04)
    assert [row["mean_excess_variance"] for row in found] == pytest.approx([0.2, mean, None, None, None, None])
    # the classifier takes it on the scale asinh; a small step there is a step of the value over sqrt(1 + value^2)
    error = (1 / 0.01 + 1 / 0.04) ** -0.5
    spread = (math.asinh(mean + error / 1000) - math.asinh(mean - error / 1000)) * 500
    assert found[1]["mean_excess_variance_err"] == pytest.approx(spread, rel=1e-5)


# --- beyond the thirteen ----------------------------------------------------------------------------------


def test_the_registry_names_columns_for_errors_limits_and_coverage() -> None:
    table = RUN_TABLES["property"].columns
    for entry in property_entries():
        assert set(entry) <= {
            "name",
            "category",
            "counterpart",
            "optional",
            "unit",
            "ucd",
            "scale",
            "range",
            "bounded",
            "formula",
            "about",
            "error",
            "limit",
            "observed",
            "label",
            "symbol",
            "absence",
            "behind",
            "light_curves",
        }
        for role, kind in (("error", float), ("limit", float), ("observed", bool)):
            assert role not in entry or table[entry[role]].type.python_type is kind
        assert ("observed" in entry) == bool(entry.get("counterpart")), entry["name"]
        if "error" in entry:
            assert columns()[entry["error"]].unit == entry["unit"]
    assert column_of("hr1", "error") == "hr1_err" and column_of("log_fx_fw1", "error") == "log_fx_err"
    assert column_of("log_fx_fj", "limit") == "log_fx_fj_limit" and column_of("bp_rp", "limit") is None
    assert (
        column_of("w1_w2", "observed") == "observed_infrared"
        and column_of("distance_pc", "observed") == "observed_optical"
    )
    assert column_of("abs_b", "error") is column_of("abs_b", "limit") is column_of("abs_b", "observed") is None


def test_the_default_set_is_that_of_the_method() -> None:
    method = "abs_b pm_mas_yr sep_to_radius hr1 hr2 gamma log_fx_fb log_fx_fr log_fx_fw1 log_fx_fw2 log_flux_ratio"
    assert [p.name for p in select(None)] == [*method.split(), "log_flux_ratio_low", "p_variable"]


def test_colours_are_of_measured_magnitudes_of_one_hypothesis(module_settings: Settings) -> None:
    """No proxy makes a colour; those of one survey are of one object; R - W1 and J - W1 may join two catalogues."""
    gaia = _counterparts(
        module_settings,
        "optical",
        {"r": ["mag_gaia_rp", "mag_gaia_g - 0.5"], "b": ["mag_gaia_bp", "mag_gaia_g + 0.3"]},
        mag_gaia_g=[18.0, 18.0],
        mag_gaia_bp=[18.6, 18.6],
        mag_gaia_rp=[17.0, None],
    )
    wise = _counterparts(
        module_settings,
        "infrared",
        {"w1": ["mag_w1", "mag_w2"], "w2": ["mag_w2", "mag_w1"]},
        mag_w1=[14.0, None],
        mag_w2=[13.25, 13.5],
        mag_w3=[10.0, None],
    )
    near = _counterparts(
        module_settings,
        "infrared",
        {"w1": ["mag_k - 0.1"], "j": ["mag_j"]},
        mag_j=[16.0, 16.0],
        mag_h=[15.5, 15.5],
        mag_k=[15.25, None],
    )
    names = ("bp_rp", "r_w1", "j_k", "h_k", "j_w1", "w1_w2", "w2_w3")
    hypotheses = [
        (1, 1, 0.6, [(gaia, 1), (wise, 1), (near, 1)]),
        (1, 2, 0.2, [(gaia, 2), (wise, 2), (near, 2)]),
        (2, 1, 0.5, [(gaia, 1), (wise, 2), (near, 1)]),
        (3, 1, 0.5, [(near, 1)]),
    ]
    flux = {"flux_std_cgs": [_FLUX] * 3}
    found = _properties(
        module_settings, flux, [], [gaia, wise, near], hypotheses=hypotheses, table="hypothesis_property"
    )
    assert [[h[n] for n in names] for h in found] == [
        [pytest.approx(1.6, abs=1e-5), 3.0, 0.75, 0.25, 2.0, 0.75, 3.25],
        [None] * 7,
        [pytest.approx(1.6, abs=1e-5), None, 0.75, 0.25, None, None, None],
        [None, None, 0.75, 0.25, None, None, None],
    ]
    log_fj = math.log10(_FLUX) + 6.29 + 16.0 / 2.5
    assert [h["log_fx_fj"] for h in found] == pytest.approx([log_fj] * 4, abs=1e-5)
    best = [(1, gaia, 2, 0.9, True), (1, wise, 1, 0.9, True)]
    first = _properties(module_settings, flux, best, [gaia, wise, near])[0]
    assert first["r_w1"] == 3.5, "R stands for itself, as in the flux ratio: G - 0.5"
    assert (first["bp_rp"], first["w1_w2"], first["log_fx_fj"]) == (None, 0.75, None)


def _log_lx(distance: u.Quantity) -> float:
    return math.log10((4 * math.pi * distance**2 * _FLUX * u.erg / u.s / u.cm**2).to_value("erg/s"))


def test_parallax_distance_and_luminosity(module_settings: Settings) -> None:
    """Of the first optical catalogue that has them; erg / s by astropy; no error, no significance."""
    deep = _counterparts(module_settings, "optical", {}, mag_r=[20.0] * 4)
    gaia = _counterparts(
        module_settings,
        "optical",
        {},
        parallax_mas=[2.0, -1.0, 1.0, 5.0],
        parallax_err_mas=[0.5, 0.5, None, 0.0],
        distance_pc=[500.0, 3000.0, 1000.0, 0.0],
    )
    best = [(i, c, i, 0.9, True) for i in range(1, 5) for c in (deep, gaia)]
    found = _properties(module_settings, {"flux_std_cgs": [_FLUX, _FLUX, None, _FLUX]}, best, [deep, gaia])
    assert [row["parallax_sigma"] for row in found] == [4.0, -2.0, None, None]
    assert [row["distance_pc"] for row in found] == [500.0, 3000.0, 1000.0, None]
    luminosity = [
        (4 * math.pi * (d * u.pc) ** 2 * _FLUX * u.erg / u.s / u.cm**2).to_value("erg/s") for d in (500, 3000)
    ]
    expected = [*np.log10(luminosity), None, None]
    assert [row["log_lx_counterpart"] for row in found] == [e and pytest.approx(e, abs=1e-5) for e in expected]


def test_luminosity_in_the_galaxy_of_the_separation(module_settings: Settings) -> None:
    """Of two galaxies that of the deeper ellipse, in either order; one without a distance gives none."""
    near = load(module_settings, "galaxy", {"ra": [10.0], "dec": [20.0], "d25_arcmin": [6.0], "distance_mpc": [3.0]})
    far = load(module_settings, "galaxy", {"ra": [10.0], "dec": [20.0], "d25_arcmin": [12.0], "distance_mpc": [50.0]})
    none = load(module_settings, "galaxy", {"ra": [10.0], "dec": [20.0], "d25_arcmin": [30.0], "distance_mpc": [None]})
    spot = {"ra": [10.0], "dec": [20.02], "flux_std_cgs": [_FLUX]}
    expected = _log_lx(50 * u.Mpc)
    for order in ([near, far], [far, near]):
        found = _properties(module_settings, spot, galaxies=order)[0]
        assert found["log_lx_galaxy"] == pytest.approx(expected, abs=1e-5)
    assert _properties(module_settings, spot, galaxies=[near, none])[0]["log_lx_galaxy"] is None


def test_errors_of_hardness_ratios_of_band_fluxes(module_settings: Settings) -> None:
    """Propagated by a simulation; the mission's own ratio keeps its own error, or has none."""
    band = {
        "flux_soft_cgs": [2e-14] * 3,
        "flux_soft_err_cgs": [2e-15] * 3,
        "flux_medium_cgs": [3e-14] * 3,
        "flux_medium_err_cgs": [3e-15, 3e-15, None],
        "flux_hard_cgs": [4e-14] * 3,
        "flux_hard_err_cgs": [2e-15] * 3,
        "hr1": [None, 0.5, None],
    }
    xray = load(module_settings, "xray_detections", {"ra": [10.0, 11.0, 12.0], "dec": [20.0] * 3} | band)
    first, own, without = sources(module_settings, merge(module_settings, xray))
    rng = np.random.default_rng(3)
    soft, medium, hard = (f * (1 + e * rng.standard_normal(200_000)) for f, e in ((2, 0.1), (3, 0.1), (4, 0.05)))
    assert first["hr1_err"] == pytest.approx(np.std((medium - soft) / (medium + soft)), rel=0.03)
    assert first["hr2_err"] == pytest.approx(np.std((hard - medium) / (hard + medium)), rel=0.03)
    assert (own["hr1"], own["hr1_err"]) == (0.5, None)
    assert own["hr2_err"] == first["hr2_err"]
    assert without["hr1"] is not None and without["hr1_err"] is None


def test_limits_are_those_of_the_deepest_catalogue_that_covers(module_settings: Settings) -> None:
    """A field and the whole sky: depth and coverage by position, with and without a counterpart or a flux."""
    rng = np.random.default_rng(4)
    spots = {"ra": (10 + rng.uniform(-0.5, 0.5, 4000)).tolist(), "dec": (20 + rng.uniform(-0.5, 0.5, 4000)).tolist()}
    field = load(
        module_settings,
        "optical",
        spots | {"mag_r": [20.0, 24.0] * 2000},
        colours={"r": ["mag_r"]},
        depth={"r": 24.0},
        sky={"local": True},
    )
    with ready(module_settings) as conn:
        found = density_map.load(conn, field.catalogue_id).covers([10.0, 50.0], [20.0, 20.0])
    assert found.tolist() == [True, False]
    shallow = _counterparts(
        module_settings, "infrared", {"w1": ["mag_w1"], "w2": ["mag_w1"]}, depth={"w1": 15.0}, mag_w1=[14.0]
    )
    deeper = _counterparts(
        module_settings, "infrared", {"w1": ["mag_w1"], "w2": ["mag_w1"]}, depth={"w1": 17.0, "w2": 16.0}, mag_w1=[14.0]
    )
    columns_ = {"ra": [10.0, 50.0, 10.0], "dec": [20.0] * 3, "flux_std_cgs": [_FLUX, _FLUX, None]}
    inside, outside, dark = _properties(
        module_settings, columns_, [(1, deeper, 1, 0.9, True)], [shallow, field, deeper]
    )
    assert [row["observed_optical"] for row in (inside, outside, dark)] == [True, False, True]
    assert [row["observed_infrared"] for row in (inside, outside, dark)] == [True] * 3
    log_fx = math.log10(_FLUX)
    limits = {
        "log_fx_fr_limit": 5.37 + 24 / 2.5,
        "log_fx_fw1_limit": 6.95 + 17 / 2.5,
        "log_fx_fw2_limit": 6.95 + 16 / 2.5,
    }
    assert {k: inside[k] - log_fx for k in limits} == pytest.approx(limits, abs=1e-5)
    assert outside["log_fx_fr_limit"] is None and outside["log_fx_fw1_limit"] == inside["log_fx_fw1_limit"]
    assert inside["log_fx_fb_limit"] is inside["log_fx_fj_limit"] is dark["log_fx_fr_limit"] is None
    assert inside["log_fx_fw1"] < inside["log_fx_fw1_limit"], "a counterpart is brighter than the limit"
    (both,) = _properties(module_settings, {"ra": [50.0], "dec": [20.0], "glon": [1.0]}, [], [field])
    assert not both["observed_optical"] and not both["observed_infrared"]
