"""Counterparts: the probabilities by hand, against NWAY, against Chandra's positions, and at another epoch."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from hypothesis import given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st
from tiny import load, match, merge, rows, separation

from xcat.catalogues import definition
from xcat.config import Settings
from xcat.database.loaded import Loaded
from xcat.ingest.load import ingest
from xcat.match.learning import pattern_priors

SKY_DEG2 = 41252.96124941928
ARCSEC = 1 / 3600


def _weight(sep: float, s1: float, s2: float, density: float) -> float:
    """B / nu of METHOD.md 4.1 without the prior, written with the formula's own logarithms."""
    v = s1**2 + s2**2
    return math.exp(math.log(2) + 2 * math.log(206264.80624709636) - math.log(v) - sep**2 / (2 * v)) / (
        density * SKY_DEG2
    )


def _matches(settings: Settings, run: int) -> dict[int, dict[str, Any]]:
    """Match rows by the source's declination in whole degrees, the test's way to name sources."""
    found = rows(
        settings,
        "SELECT m.*, round(s.dec)::integer AS key FROM xcat.match AS m JOIN xcat.source AS s"
        " ON s.run_id = (SELECT source_run_id FROM xcat.run WHERE run_id = m.run_id) AND s.source_id = m.source_id"
        " WHERE m.run_id = %s",
        [run],
    )
    for row in found:
        row["candidates"] = rows(
            settings,
            "SELECT * FROM xcat.match_candidate WHERE run_id = %s AND source_id = %s AND catalogue_id = %s"
            " ORDER BY object_id",
            [run, row["source_id"], row["catalogue_id"]],
        )
    return {row["key"]: row for row in found}


@pytest.mark.parametrize("none_weight", [False, True])
def test_probabilities_by_hand(module_settings: Settings, none_weight: bool) -> None:
    """Sources with none, one, two and three candidates; one object beyond the radius is none."""
    c, density = 0.7, 2e4
    offsets: dict[int, list[float]] = {0: [], 1: [1.5], 2: [0.4, 6.0], 3: [3.0, 3.0, 9.9], 4: [10.01]}
    xray = load(module_settings, "xray_sources", {"ra": [359.9999] * 5, "dec": [0, 1, 2, 3, 4], "err_arcsec": 1.2})
    place = [(359.9999, dec, sep) for dec, seps in offsets.items() for sep in seps]
    other = load(
        module_settings,
        "optical",
        {"ra": [p[0] for p in place], "dec": [p[1] + p[2] * ARCSEC for p in place], "err_arcsec": 0.5},
        sky={"density_per_deg2": density},
        completeness=c,
    )
    run = match(module_settings, merge(module_settings, xray), [xray], [other], nway=none_weight)
    found = _matches(module_settings, run)
    assert set(found) == set(offsets)
    for key, seps in offsets.items():
        row, seps = found[key], [s for s in seps if s <= 10]
        w = [_weight(s, 1.2, 0.5, density) for s in seps]
        total = c * sum(w)
        assert row["p_any"] == pytest.approx(total / (total + (1 if none_weight else 1 - c)), rel=1e-5)
        assert (row["n_candidates"], row["density_per_deg2"]) == (len(seps), pytest.approx(density))
        assert row["completeness"] == pytest.approx(c)
        assert [r["p_i"] for r in row["candidates"]] == pytest.approx([x / sum(w) for x in w], rel=1e-5)
        assert [r["sep_arcsec"] for r in row["candidates"]] == pytest.approx(seps, rel=1e-6)
        assert [r["is_best"] for r in row["candidates"]] == [i == 0 for i in range(len(seps))]
        for r, x in zip(row["candidates"], w, strict=True):
            assert r["log_bayes_factor"] == pytest.approx(math.log(x * density * SKY_DEG2), rel=1e-6)


def test_candidates_that_are_alike_share(module_settings: Settings) -> None:
    """Two equal candidates: a half each, and exactly one is the best. A far one is not impossible, but 0."""
    xray = load(module_settings, "xray_sources", {"ra": [5, 5], "dec": [0, 1], "err_arcsec": 0.1})
    other = load(
        module_settings,
        "infrared",
        {"ra": [5, 5, 5], "dec": [ARCSEC / 4, -ARCSEC / 4, 1 + 9.9 * ARCSEC], "err_arcsec": 0.1},
        completeness=0.999,
    )
    found = _matches(module_settings, match(module_settings, merge(module_settings, xray), [xray], [other]))
    assert [c["p_i"] for c in found[0]["candidates"]] == pytest.approx([0.5, 0.5])
    assert [c["is_best"] for c in found[0]["candidates"]] == [True, False]
    assert (found[1]["p_any"], found[1]["candidates"][0]["p_i"]) == (0.0, 1.0)


@pytest.mark.parametrize("n_catalogues", [1, 2])
def test_candidates_and_sources_follow_from_the_hypotheses(module_settings: Settings, n_catalogues: int) -> None:
    """p_any and p_i of a catalogue are sums over the hypotheses with a member of it; distances are to each object."""
    rng = np.random.default_rng(3)
    dec = np.arange(30.0)
    xray = load(module_settings, "xray_sources", {"ra": [9.0] * dec.size, "dec": dec, "err_arcsec": 1.0})
    places = dec.repeat(3) + rng.normal(0, 2, 3 * dec.size) * ARCSEC
    others = [
        load(
            module_settings,
            kind,
            {"ra": [9.0] * places.size, "dec": places + 0.2 * k * ARCSEC, "err_arcsec": 0.4},
            sky={"density_per_deg2": 2e4},
            completeness=0.7,
        )
        for k, kind in enumerate(["optical", "infrared"][:n_catalogues])
    ]
    run = match(module_settings, merge(module_settings, xray), [xray], others)
    of_run = "SELECT * FROM xcat.{} WHERE run_id = %s"
    found, candidates, hypotheses = (
        pd.DataFrame(rows(module_settings, of_run.format(table), [run]))
        for table in ("match", "match_candidate", "hypothesis")
    )
    assert len(found) == n_catalogues * dec.size and len(candidates) == n_catalogues * places.size
    assert (found["n_candidates"] == 3).all() and 0.2 < found["p_any"].mean() < 1
    members = hypotheses.explode(["catalogues", "objects"])
    members = members[members["rank"] > 0].astype({"catalogues": int, "objects": int})
    p = members.groupby(["source_id", "catalogues", "objects"])["p_hypothesis"].sum().rename("p").reset_index()
    p["p_any"] = p.groupby(["source_id", "catalogues"])["p"].transform("sum")
    both = candidates.merge(
        p, "left", left_on=["source_id", "catalogue_id", "object_id"], right_on=["source_id", "catalogues", "objects"]
    ).merge(found, on=["source_id", "catalogue_id"], suffixes=("", "_stored"))
    told = both.dropna(subset="p")
    # hypotheses below 0.001 are not kept
    assert len(told) > 0.5 * len(both) and np.abs(told["p_any"] - told["p_any_stored"]).max() < 0.02
    assert np.abs(told["p"] / told["p_any"] - told["p_i"]).max() < 0.02
    best = both.sort_values("p_i").groupby(["source_id", "catalogue_id"]).tail(1)
    assert best["is_best"].all() and both["is_best"].sum() == len(best)
    seps = candidates.merge(
        pd.DataFrame(
            rows(module_settings, "SELECT c.catalogue_id, c.object_id, c.dec FROM xcat.counterpart AS c WHERE c.ra = 9")
        ),
        on=["catalogue_id", "object_id"],
    )
    assert seps["sep_arcsec"].to_numpy() == pytest.approx(np.abs(seps["dec"] - seps["dec"].round()) * 3600, abs=1e-5)


@pytest.mark.parametrize("sky", [{"area_deg2": 2.0}, {"local": True}, {"density_per_deg2": 10}])
@pytest.mark.parametrize("completeness", [0.5, "estimate"])
def test_an_empty_catalogue_and_no_source(module_settings: Settings, sky: Any, completeness: Any) -> None:
    xray = load(module_settings, "xray_sources", {"ra": [5.0, 7.0], "dec": [0.0, 1.0]})
    nothing = load(module_settings, "xray_sources", {"ra": [], "dec": []})
    empty = load(module_settings, "optical", {"ra": [], "dec": []}, sky=sky, completeness=completeness)
    merged = merge(module_settings, xray, nothing)
    found = _matches(module_settings, match(module_settings, merged, [xray, nothing], [empty]))
    assert [(m["n_candidates"], m["p_any"], m["candidates"]) for m in found.values()] == [(0, 0.0, [])] * 2


# --- density and completeness -------------------------------------------------------------------------------


def test_an_areas_density_is_the_count_over_it(module_settings: Settings) -> None:
    xray = load(module_settings, "xray_sources", {"ra": [5.0], "dec": [0.0]})
    other = load(module_settings, "optical", {"ra": [1.0] * 7, "dec": [0.0] * 7}, sky={"area_deg2": 2.0})
    (row,) = _matches(module_settings, match(module_settings, merge(module_settings, xray), [xray], [other])).values()
    assert row["density_per_deg2"] == pytest.approx(3.5)


def _sums(rng: np.random.Generator, n: int, c: float, density: float, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Sums of weights for sources of which the share `c` has a counterpart, and who has."""
    radius, has = 6 * sigma, rng.random(n) < c
    total = np.zeros(n)
    v = sigma**2
    for i in range(n):
        r = radius * np.sqrt(rng.random(rng.poisson(density * np.pi * radius**2 / 3600**2)))
        r = np.append(r, sigma * rng.rayleigh()) if has[i] else r
        total[i] = sum(2 * 206264.80624709636**2 / v * np.exp(-(r**2) / (2 * v))) / (density * SKY_DEG2)
    return total, has


def _completeness(sums: np.ndarray) -> float:
    return float(pattern_priors(sums[:, None], np.zeros(len(sums), int), 1, [None])[0, 1])


@hypothesis(max_examples=12, deadline=None)
@given(c=st.floats(0.05, 0.95), density=st.sampled_from([3e3, 3e4, 3e5]), seed=st.integers(0, 1000))
def test_the_completeness_is_recovered_from_the_weights(c: float, density: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    sums, has = _sums(rng, 1500, c, density, 1.0)
    estimate = _completeness(sums)
    assert abs(estimate - has.mean()) < 0.05
    p_any = estimate * sums / (estimate * sums + 1 - estimate)
    assert np.mean(p_any) == pytest.approx(estimate, abs=2e-3)


def test_kinds_of_sources_have_completenesses_of_their_own() -> None:
    rng = np.random.default_rng(1)
    parts = [
        _sums(rng, 600, c, d, s) for c, d, s in [(0.2, 3e3, 0.5), (0.4, 3e3, 1.5), (0.9, 6e4, 0.5), (0.6, 6e4, 1.5)]
    ]
    sums = np.concatenate([p[0] for p in parts])[:, None]
    found = pattern_priors(sums, np.repeat(np.arange(4), 600), 4, [None])
    assert found[:, 1] == pytest.approx([p[1].mean() for p in parts], abs=0.06)
    assert found.sum(axis=1) == pytest.approx(1.0)


def test_extremes_of_the_completeness() -> None:
    assert _completeness(np.zeros(50)) < 1e-3
    assert _completeness(np.full(50, 1e12)) > 0.999
    assert pattern_priors(np.empty((0, 1)), np.empty(0, int), 1, [None])[0].tolist() == [0.5, 0.5]


@hypothesis(max_examples=20, deadline=None)
@given(given_=st.tuples(*[st.one_of(st.none(), st.floats(0.05, 0.95))] * 2), seed=st.integers(0, 99))
def test_a_given_completeness_holds_and_the_others_follow_the_data(given_: Any, seed: int) -> None:
    """Two catalogues: sources in neither, in one and in both, with weights that tell them apart well."""
    rng = np.random.default_rng(seed)
    pattern = rng.choice(4, 2000, p=[0.3, 0.1, 0.2, 0.4])
    sums = rng.exponential(0.02, (2000, 3))
    sums[np.arange(2000)[pattern > 0], pattern[pattern > 0] - 1] = 1e4
    p = pattern_priors(sums, np.zeros(2000, int), 1, list(given_))[0]
    marginal = [p[1] + p[3], p[2] + p[3]]
    for mine, wanted, truth in zip(marginal, given_, (0.5, 0.6), strict=True):
        assert mine == pytest.approx(wanted, abs=0.01) if wanted is not None else True
        if given_ == (None, None):
            assert mine == pytest.approx(truth, abs=0.05)
    assert p.sum() == pytest.approx(1.0)


# --- motion -------------------------------------------------------------------------------------------------


# the last place lies in the circle of the one before: they are tested apart
_PLACES = [[(0.0, 10.0), (359.9999, -70.0), (77.0, 89.9), (200.0, -89.9995), (10.0, 89.9999)], [(30.0, 90.0)]]


@pytest.mark.parametrize("pm", [(500.0, 0.0), (-300.0, 400.0), (3000.0, -4000.0)])
@pytest.mark.parametrize("places", _PLACES)
@pytest.mark.parametrize("epochs", ["of the catalogue", "of the rows"])
def test_a_star_is_found_where_it_was_when_the_x_rays_came(
    module_settings: Settings, places: Any, pm: Any, epochs: str
) -> None:
    """Oracle: a step along the great circle. The fast one left the circle of 10 arcsec long ago."""
    star = SkyCoord(places, unit="deg")
    back = (np.degrees(np.arctan2(*pm)) + 180) * star.ra.unit
    was = star.directional_offset_by(back, np.hypot(*pm) * 16 / 3.6e6 * star.ra.unit)
    xray = load(
        module_settings,
        "xray_sources",
        {"ra": was.ra.deg % 360, "dec": was.dec.deg, "epoch_yr": [2000.0] * len(places)},
    )
    # one more in each circle, of which no motion is known: it stays where it is
    still = star.directional_offset_by(70 * star.ra.unit, 3 * ARCSEC * star.ra.unit)
    columns = {
        "ra": [*(p[0] for p in places), *(still.ra.deg % 360)], "dec": [*(p[1] for p in places), *still.dec.deg],
        "pmra_mas_yr": [pm[0]] * len(places) + [None] * len(places),
        "pmdec_mas_yr": [pm[1]] * len(places) + [None] * len(places), "err_arcsec": [0.1] * 2 * len(places),
    }  # fmt: skip
    keys: dict[str, Any] = {"epoch_yr": 2016.0}
    if epochs == "of the rows":
        columns["epoch_yr"] = [2016.0] * 2 * len(places)
        keys = {}
    other = load(module_settings, "optical", columns, completeness=0.5, **keys)
    run = match(module_settings, merge(module_settings, xray), [xray], [other])
    found = rows(
        module_settings,
        "SELECT d.object_id AS place, c.object_id, c.sep_arcsec, c.is_best, m.n_candidates FROM xcat.match AS m"
        " JOIN xcat.source_detection AS d ON d.run_id = m.run_id - 1 AND d.source_id = m.source_id"
        " LEFT JOIN xcat.match_candidate AS c ON c.run_id = m.run_id AND c.source_id = m.source_id"
        " WHERE m.run_id = %s",
        [run],
    )
    today = separation(was.ra.deg, was.dec.deg, still.ra.deg, still.dec.deg)
    for i in range(len(places)):
        mine = {row["object_id"]: row for row in found if row["place"] == i + 1}
        assert mine[i + 1]["is_best"]
        assert mine[i + 1]["sep_arcsec"] < 1e-3
        second = i + 1 + len(places)
        assert set(mine) == ({i + 1, second} if today[i] <= 10 else {i + 1})
        assert mine[i + 1]["n_candidates"] == len(mine)
        if second in mine:
            assert mine[second]["sep_arcsec"] == pytest.approx(float(today[i]), abs=1e-5)


def test_a_star_that_has_moved_in_is_no_candidate_then(module_settings: Settings) -> None:
    """At the source today, 16 arcsec away when it was seen. Without an epoch of the source, it stays where it is."""
    xray = load(module_settings, "xray_sources", {"ra": [5.0, 5.0], "dec": [0.0, 1.0], "epoch_yr": [2000.0, None]})
    other = load(
        module_settings,
        "optical",
        {"ra": [5.0, 5.0], "dec": [0.0, 1.0], "pmra_mas_yr": [1000.0] * 2, "pmdec_mas_yr": [0.0] * 2},
        epoch_yr=2016.0,
        completeness=0.5,
    )
    found = _matches(module_settings, match(module_settings, merge(module_settings, xray), [xray], [other]))
    assert [found[key]["n_candidates"] for key in (0, 1)] == [0, 1]


# --- NWAY and Chandra ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cosmos(module_settings: Settings, shared_data: Path) -> dict[str, Any]:
    """XMM-COSMOS x optical, matched with NWAY's hypothesis of none and with the right one."""
    loaded = []
    for name in ("cosmos_xmm", "cosmos_optical"):
        meaning = definition.load(name)
        ingest(module_settings, meaning, [shared_data / "cosmos" / f"{name}.fits"])
        (row,) = rows(module_settings, "SELECT catalogue_id FROM xcat.catalogue WHERE name = %s", [name])
        loaded.append(Loaded(row["catalogue_id"], meaning))
    merged = merge(module_settings, loaded[0])
    runs = {
        none: match(
            module_settings,
            merged,
            loaded[:1],
            loaded[1:],
            radius_arcsec=15.0,
            completeness={"cosmos_optical": 0.9},
            nway=none,
            magnitudes={"cosmos_optical": []},
        )
        for none in (True, False)
    }
    query = (
        "SELECT s.name, s.ra AS x_ra, s.dec AS x_dec, m.p_any, m.density_per_deg2, o.native_id, c.p_i, c.is_best,"
        " c.sep_arcsec, c.log_bayes_factor, o.ra, o.dec FROM xcat.match AS m JOIN xcat.source AS s"
        " ON s.run_id = %s AND s.source_id = m.source_id LEFT JOIN xcat.match_candidate AS c"
        " ON c.run_id = m.run_id AND c.source_id = m.source_id LEFT JOIN xcat.counterpart AS o"
        " ON o.catalogue_id = c.catalogue_id AND o.object_id = c.object_id WHERE m.run_id = %s"
    )
    return {"ours": {none: pd.DataFrame(rows(module_settings, query, [merged, run])) for none, run in runs.items()}}


@pytest.mark.shared
def test_nway_gives_the_same_answers(cosmos: dict[str, Any], shared_data: Path) -> None:
    ours = cosmos["ours"][True]
    with fits.open(shared_data / "cosmos" / "nway48_cosmos_xmm_opt.fits.gz") as hdus:
        names = ["XMM_ID", "OPT_ID", "p_any", "p_i", "match_flag"]
        data = hdus[1].data
        nway = pd.DataFrame({n: np.asarray(data[n]).astype(str if n.endswith("ID") else float) for n in names})
    p_any = ours.groupby("name").p_any.first()
    assert len(p_any) == 1797
    theirs = nway.groupby("XMM_ID").p_any.first()
    assert set(theirs.index) == set(p_any.index)
    assert np.abs(theirs - p_any).max() < 1e-5
    pairs = nway[~nway.OPT_ID.isin(["-99", "-99.0", "nan", ""])].set_index(["XMM_ID", "OPT_ID"])
    found = ours[ours.native_id.notna()].set_index(["name", "native_id"])
    assert len(found) == len(pairs)
    assert set(found.index) == set(pairs.index)
    assert np.abs(found.p_i - pairs.p_i.reindex(found.index)).max() < 1e-5
    assert found.groupby("name").is_best.sum().eq(1).all()
    best = found[found.is_best]
    # NWAY's best is the hypothesis with the largest p_i, the first of equals
    top = pairs.p_i.groupby("XMM_ID").max()
    assert (pairs.p_i.reindex(best.index).droplevel(1) - top.reindex(best.index.droplevel(1))).abs().max() < 1e-6


@pytest.mark.shared
def test_the_hypothesis_of_none_has_the_weight_that_it_should(cosmos: dict[str, Any]) -> None:
    """1 - c instead of 1: odds ten times higher for c = 0.9, and everything else alike."""
    theirs, right = (cosmos["ours"][none].groupby("name").p_any.first().astype(float) for none in (True, False))
    inside = theirs < 0.9999
    assert inside.sum() > 500
    odds = right / (1 - right) / (theirs / (1 - theirs))
    assert odds[inside & (theirs > 1e-3)].to_numpy() == pytest.approx(10.0, rel=2e-2)
    keys = ["name", "native_id"]
    a, b = (cosmos["ours"][none].dropna(subset="native_id").set_index(keys).p_i for none in (True, False))
    assert (a - b.reindex(a.index)).abs().max() == 0.0


@pytest.mark.shared
def test_the_best_match_is_where_chandra_sees_the_source(cosmos: dict[str, Any], shared_data: Path) -> None:
    """Independent truth: the nearest CSC2 position within 3 arcsec of an XMM-COSMOS source, 249 of them."""
    pool = pd.read_csv(shared_data / "surveys" / "xray_pool.csv.gz")
    chandra = pool[pool.survey == "CSC2"]
    ours = cosmos["ours"][True]
    positions = ours.groupby("name")[["x_ra", "x_dec"]].first().astype(float)
    here = SkyCoord(positions.x_ra, positions.x_dec, unit="deg")
    there = SkyCoord(chandra.ra, chandra.dec, unit="deg")
    nearest, sep, _ = here.match_to_catalog_sky(there)
    close = sep.arcsec < 3
    assert close.sum() == 249
    best = ours[ours.is_best.eq(True)].set_index("name").reindex(positions.index[close])
    away = separation(best.ra, best.dec, there[nearest[close]].ra.deg, there[nearest[close]].dec.deg)
    assert 232 <= (away < 1).sum() <= 236, int((away < 1).sum())


# --- offsets of fields --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dec0", [-5.0, 88.0])
def test_an_offset_and_rotation_of_a_field_are_found_and_taken_back(module_settings: Settings, dec0: float) -> None:
    """Two observations are off by 3 arcsec and turned by 0.15 degrees, one has too few counterparts to tell."""
    rng = np.random.default_rng(9)
    wrong = {"a": (2.0, -2.2, 0.15), "b": (-1.5, 1.0, -0.1), "few": (3.0, 0.0, 0.0)}
    columns: dict[str, list[Any]] = {name: [] for name in ("ra", "dec", "err_arcsec", "obs_id")}
    stars: list[SkyCoord] = []
    for i, (obs, (east, north, turn)) in enumerate(wrong.items()):
        n = 4 if obs == "few" else 60
        centre = SkyCoord(20.0 + 40 * i, dec0, unit="deg")
        x, y = rng.uniform(-500, 500, (2, n))
        angle, away = np.arctan2(x, y), np.hypot(x, y)
        stars.append(centre.directional_offset_by(np.degrees(angle) * centre.ra.unit, away * ARCSEC * centre.ra.unit))
        # the X-ray frame is turned and shifted the other way
        t = np.radians(-turn)
        seen_x = x - east - t * y + rng.normal(0, 0.3, n)
        seen_y = y - north + t * x + rng.normal(0, 0.3, n)
        seen = centre.directional_offset_by(
            np.degrees(np.arctan2(seen_x, seen_y)) * centre.ra.unit, np.hypot(seen_x, seen_y) * ARCSEC * centre.ra.unit
        )
        columns["ra"] += seen.ra.deg.tolist()
        columns["dec"] += seen.dec.deg.tolist()
        columns["err_arcsec"] += [0.8] * n
        columns["obs_id"] += [obs] * n
    xray = load(module_settings, "xray_sources", columns)
    ra, dec = (np.concatenate([getattr(s, c).deg for s in stars]) for c in ("ra", "dec"))
    other = load(
        module_settings,
        "optical",
        {"ra": ra % 360, "dec": dec, "err_arcsec": [0.1] * ra.size},
        sky={"density_per_deg2": 1000.0},
        completeness=0.9,
    )
    merged = merge(module_settings, xray)
    run = match(module_settings, merged, [xray], [other], field_offsets=True)
    found = {f["obs_id"]: f for f in rows(module_settings, "SELECT * FROM xcat.field_offset WHERE run_id = %s", [run])}
    assert set(found) == {"a", "b"}
    for obs, f in found.items():
        east, north, turn = wrong[obs]
        # the offset is that of the mean position of the sources
        assert f["n_secure"] >= 55
        assert f["rotation_deg"] == pytest.approx(turn, abs=4 * f["rotation_err_deg"])
        assert f["rotation_err_deg"] < 0.02
        assert f["offset_ra_arcsec"] == pytest.approx(east, abs=4 * f["offset_err_arcsec"] + 0.15)
        assert f["offset_dec_arcsec"] == pytest.approx(north, abs=4 * f["offset_err_arcsec"] + 0.15)
    query = (
        "SELECT d.obs_id, avg(c.sep_arcsec) AS sep FROM xcat.match_candidate AS c JOIN xcat.source_detection AS m"
        " ON m.run_id = %s AND m.source_id = c.source_id JOIN xcat.detection AS d ON d.catalogue_id = m.catalogue_id"
        " AND d.object_id = m.object_id WHERE c.run_id = %s AND c.is_best GROUP BY 1"
    )
    corrected = {r["obs_id"]: r["sep"] for r in rows(module_settings, query, [merged, run])}
    assert corrected["a"] < 0.5 and corrected["b"] < 0.5 and corrected["few"] > 2.5
