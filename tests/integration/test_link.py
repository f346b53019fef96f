"""One source across missions, in the database: places, masters, ratios, numbers that stay, and the real surveys."""

from __future__ import annotations

import math
from itertools import count
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest
import yaml
from astropy.coordinates import SkyCoord
from hypothesis import given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st
from tiny import load, merge, rows, separation

from xcat.catalogues.definition import Definition
from xcat.catalogues.definition import load as definition
from xcat.config import Settings
from xcat.database.connection import ready
from xcat.database.loaded import Loaded
from xcat.database.runs import stage
from xcat.errors import ConfigError, StageError, XcatError
from xcat.ingest.load import ingest
from xcat.merge.link_graph import MAX_SEP_ARCSEC, MIN_REACH_ARCSEC, REACH_SIGMA
from xcat.merge.links import link_stage
from xcat.report.run import record

pytestmark = pytest.mark.slow

_number = count(1)
SURVEYS = Path(__file__).resolve().parents[2] / "examples" / "surveys.yaml"


def link(settings: Settings, merged: int, xray: list[Loaded], previous: int | None = None) -> int:
    """Run the link stage."""
    with stage(settings, "link", "tiny", {"n": next(_number)}, source_run_id=merged) as run:
        link_stage(run, merged, xray, previous)
    return run.run_id


def both(settings: Settings, *xray: Loaded, previous: int | None = None) -> tuple[int, int]:
    """Run merge and link."""
    merged = merge(settings, *xray)
    return merged, link(settings, merged, list(xray), previous)


def mission(settings: Settings, name: str, places: list[tuple[float, float]], **columns: Any) -> Loaded:
    """A catalogue of sources at these places, named after it: x0, x1, ..."""
    names = [f"{name}{i}" for i in range(len(places))]
    place = {"ra": [p[0] for p in places], "dec": [p[1] for p in places]}
    keys = {k: columns.pop(k) for k in ("flux_band_kev",) if k in columns}
    return load(settings, "xray_sources", {"native_id": names} | place | columns, **keys)


def membership(settings: Settings, merged: int, linked: int) -> dict[str, tuple[int, str]]:
    """Master and status of every source, by the name of the source."""
    found = rows(
        settings,
        "SELECT name, master_id, status FROM xcat.master_source AS m"
        " JOIN xcat.source AS s ON s.run_id = %s AND s.source_id = m.source_id WHERE m.run_id = %s",
        [merged, linked],
    )
    return {r["name"]: (r["master_id"], r["status"]) for r in found}


def masters(settings: Settings, linked: int) -> list[dict[str, Any]]:
    return rows(settings, "SELECT * FROM xcat.master WHERE run_id = %s ORDER BY master_id", [linked])


def pairs(settings: Settings, linked: int) -> list[tuple[str, str]]:
    found = rows(settings, "SELECT * FROM xcat.source_link WHERE run_id = %s ORDER BY sep_arcsec", [linked])
    return [(r["status"], r["reason"]) for r in found]


def beside(place: tuple[float, float], arcsec: float, angle_deg: float = 35.0) -> tuple[float, float]:
    """A place so far away, in some direction."""
    at = SkyCoord(*place, unit="deg").directional_offset_by(angle_deg * u.deg, arcsec * u.arcsec)
    return at.ra.deg % 360, at.dec.deg


PLACES = [(120.0, -35.0), (0.0, 0.0), (359.9999, 60.0), (0.0, 90.0), (77.0, -90.0), (10.0, 89.9999)]


@pytest.mark.parametrize("place", PLACES)
def test_the_errors_say_how_far(module_settings: Settings, place: tuple[float, float]) -> None:
    """Reach adds up 3.44 per-axis sigmas of each, 1 arcsec at least; beyond it there is no pair at all."""
    for errors, reach in (((1.0, 2.0), 3 * REACH_SIGMA), ((0.01, 2.0), MIN_REACH_ARCSEC + 2 * REACH_SIGMA)):
        for factor, n in ((0.999, 1), (1.001, 0)):
            x = mission(module_settings, "x", [place], err_arcsec=errors[0])
            c = mission(module_settings, "c", [beside(place, factor * reach)], err_arcsec=errors[1])
            merged, linked = both(module_settings, x, c)
            found = membership(module_settings, merged, linked)
            assert (found["x0"] == found["c0"]) == (n == 1)
            assert {s for _, s in found.values()} == {"linked" if n else "single"}
            assert pairs(module_settings, linked) == [("accepted", "only candidate")] * n


def test_nothing_beyond_twenty_arcsec_is_looked_at(module_settings: Settings) -> None:
    place = (50.0, 0.0)
    for sep, n in ((MAX_SEP_ARCSEC - 0.01, 1), (MAX_SEP_ARCSEC + 0.01, 0)):
        x = mission(module_settings, "x", [place], err_arcsec=30.0)
        c = mission(module_settings, "c", [beside(place, sep)], err_arcsec=30.0)
        assert len(pairs(module_settings, both(module_settings, x, c)[1])) == n


@pytest.mark.parametrize("place", PLACES)
def test_a_master_is_the_weighted_mean_of_its_sources(module_settings: Settings, place: tuple[float, float]) -> None:
    at = [place, beside(place, 1.5), beside(place, 1.0, 200.0)]
    err = [1.0, 2.0, 0.5]
    many = [
        mission(module_settings, name, [p], err_arcsec=e, mjd=[m], n_detections=[n])
        for name, p, e, m, n in zip("xcr", at, err, [51000.0, None, 50000.0], [7, None, 2], strict=True)
    ]
    merged, linked = both(module_settings, *many)
    (master,) = masters(module_settings, linked)
    ranks = rows(
        module_settings,
        "SELECT m.mission_rank, s.err_arcsec FROM xcat.master_source AS m JOIN xcat.source AS s USING (source_id)"
        " WHERE m.run_id = %s AND s.run_id = %s ORDER BY m.mission_rank",
        [linked, merged],
    )
    assert [(row["mission_rank"], row["err_arcsec"]) for row in ranks] == [(1, 0.5), (2, 1.0), (3, 2.0)]
    ra, dec = np.radians(np.array(at)).T
    weight = 1 / np.array(err) ** 2
    x, y, z = weight @ np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1)
    mean = np.degrees(np.arctan2(y, x)), np.degrees(np.arctan2(z, np.hypot(x, y)))
    assert separation(*mean, master["ra"], master["dec"]) < 1e-6
    assert 0 <= master["ra"] < 360
    assert master["err_arcsec"] == pytest.approx(1 / math.sqrt(weight.sum()), rel=1e-6)
    wanted = {
        "n_missions": 3,
        "n_sources": 3,
        "n_detections": 10,
        "n_upper_limits": 0,
        "is_ambiguous": False,
        "mjd_first": 50000.0,
        "mjd_last": 51000.0,
        "flux_ratio": None,
        "flux_std_max_cgs": None,
    }
    assert {k: master[k] for k in wanted} == wanted


def test_the_written_pair_by_hand(module_settings: Settings) -> None:
    x, c = mission(module_settings, "x", [(50.0, 20.0)]), mission(module_settings, "c", [beside((50.0, 20.0), 3.0)])
    merged, linked = both(module_settings, x, c)
    (row,) = rows(module_settings, "SELECT * FROM xcat.source_link WHERE run_id = %s", [linked])
    assert row["source_id"] < row["other_source_id"]
    assert row["sep_arcsec"] == pytest.approx(3.0, abs=1e-6)
    expected = math.log(2 / (2 * math.radians(1 / 3600) ** 2)) - 9 / 4
    assert row["log_bayes_factor"] == pytest.approx(expected, rel=1e-9)
    assert set(membership(module_settings, merged, linked)) == {"x0", "c0"}


def test_identical_positions_are_not_told_apart(module_settings: Settings) -> None:
    """Two sources of one mission at one place: neither is guessed, and both stay alone."""
    x = mission(module_settings, "x", [(50.0, 20.0)])
    c = mission(module_settings, "c", [(50.0, 20.0), (50.0, 20.0)])
    merged, linked = both(module_settings, x, c)
    found = membership(module_settings, merged, linked)
    assert {s for _, s in found.values()} == {"ambiguous"}
    assert len({m for m, _ in found.values()}) == 3
    assert pairs(module_settings, linked) == [("ambiguous", "two as likely")] * 2
    assert all(m["is_ambiguous"] and m["n_sources"] == 1 for m in masters(module_settings, linked))


def test_no_overlap_one_mission_and_an_empty_one(module_settings: Settings) -> None:
    x = mission(module_settings, "x", [(50.0, 20.0), (50.0, 20.0001)])
    far, empty = mission(module_settings, "f", [(230.0, -20.0)]), mission(module_settings, "e", [])
    for xray, n in (([x, far], 3), ([x], 2), ([x, empty], 2), ([empty], 0)):
        merged, linked = both(module_settings, *xray)
        found = membership(module_settings, merged, linked)
        assert [s for _, s in found.values()] == ["single"] * n
        assert len(masters(module_settings, linked)) == len({m for m, _ in found.values()}) == n
        assert pairs(module_settings, linked) == []
        with ready(module_settings) as conn:
            assert f"Link run {linked}" in record.links_text(conn, linked)


# --- fluxes -------------------------------------------------------------------------------------------------

# fluxes, errors and limits in 1e-14 of the observations; flux_ratio, _low, _sigma, upper limits
_RATIOS: list[tuple[Any, ...]] = [
    ([1, 3, 10], [0.5, 0.5, 2], [None] * 3, 10, 8 / 1.5, 9 / math.hypot(0.5, 2), 0),
    ([1, 1], [0.1, 0.2], [None] * 2, 1, 0.9 / 1.1, 0, 0),
    ([1], [0.1], [None], None, None, None, 0),
    ([10, None], [1, None], [None, 2], None, 9 / 2, None, 1),  # a limit is an observation, and no detection
    ([10, 4, None], [1, 1, None], [None, None, 2], 2.5, 9 / 2, 6 / math.sqrt(2), 1),
    ([10, 4, None], [1, 1, None], [None, None, 50], 2.5, 9 / 5, 6 / math.sqrt(2), 1),  # a limit that says nothing
    ([10, 0], [1, 0.5], [None, None], None, 9 / 1.5, None, 1),  # no limit given: F + 3 sigma
    ([10, -1], [1, 0.5], [None, None], None, 9 / 0.5, None, 1),
    ([10, -1], [1, 0.5], [None, 3], None, 9 / 3, None, 1),  # its own limit comes first
    ([10, -2], [1, 0.5], [None, None], None, None, None, 0),  # below 0 by 4 sigmas: no limit comes of that
    ([10, 0], [1, None], [None, None], None, None, None, 0),
    ([10, 5], [None, 1], [None, None], 2, None, None, 0),
    ([10, 5], [0, 1], [None, None], 2, None, None, 0),  # an error of zero is none
    ([1, 2], [3, 3], [None, None], 2, None, 1 / math.hypot(3, 3), 0),  # the errors leave nothing
    ([4], [1], [2], None, None, None, 0),  # a limit beside a flux says nothing
    ([None], [None], [2], None, None, None, 1),
]


def test_ratios_of_one_mission_by_hand(module_settings: Settings) -> None:
    """All cases as sources of one mission, each with several observations."""
    columns: dict[str, list[Any]] = {k: [] for k in ("ra", "dec", "source_native_id", "flux_cgs", "flux_err_cgs")}
    limits: list[float | None] = []
    for i, (flux, err, limit, *_) in enumerate(_RATIOS):
        for name, values in (("ra", [10.0 + i] * len(flux)), ("dec", [0.0] * len(flux)),
                             ("source_native_id", [f"{i:02}"] * len(flux)),
                             ("flux_cgs", [f and f * 1e-14 for f in flux]),
                             ("flux_err_cgs", [e and e * 1e-14 for e in err])):  # fmt: skip
            columns[name] += values
        limits += [limit_ and limit_ * 1e-14 for limit_ in limit]
    x = load(module_settings, "xray_detections", columns)
    _set(module_settings, x, "flux_upper_cgs", limits)
    found = sorted(masters(module_settings, both(module_settings, x)[1]), key=lambda m: m["ra"])
    for master, (flux, _, _, ratio, low, sigma, n_limits) in zip(found, _RATIOS, strict=True):
        wanted = {"flux_ratio": ratio, "flux_ratio_low": low, "flux_ratio_sigma": sigma}
        for name, value in wanted.items():
            assert master[name] == (value if value is None else pytest.approx(value, rel=1e-5)), (name, master)
        assert master["n_upper_limits"] == n_limits
        positive = [f * 1e-14 for f in flux if f and f > 0]
        assert master["flux_std_max_cgs"] == (pytest.approx(max(positive), rel=1e-5) if positive else None)
        assert master["flux_std_min_cgs"] == (pytest.approx(min(positive), rel=1e-5) if positive else None)


def _set(settings: Settings, catalogue: Loaded, column: str, values: list[float | None]) -> None:
    with ready(settings) as conn:
        conn.cursor().executemany(
            f"UPDATE {catalogue.table} SET {column} = %s WHERE object_id = %s",
            [(value, i) for i, value in enumerate(values, 1)],
        )


def test_an_upper_limit_is_read_from_a_file(settings: Settings, tmp_path: Path) -> None:
    """In the unit of the definition; a definition with limits alone must say in which band they are."""
    path = tmp_path / "limits.csv"
    path.write_text("id,ra,dec,f,up\n1,10,0,2e-16,\n2,20,0,,5e-16\n")
    plan: dict[str, Any] = {
        "name": "limits", "title": "Limits", "kind": "xray_sources", "citation": "none", "flux_band_kev": [0.2, 12],
        "position_error": {"convention": "axis_1sigma", "constant": 1.0},
        "columns": {"native_id": "id", "ra": "ra", "dec": "dec", "flux_cgs": {"from": "f", "unit": "W / m2"},
                    "flux_upper_cgs": {"from": "up", "unit": "W / m2"}},
    }  # fmt: skip
    found = Definition.from_dict(plan)
    ingest(settings, found, [path])
    table = rows(settings, "SELECT flux_cgs, flux_upper_cgs FROM xcat.detection ORDER BY object_id")
    assert [r["flux_upper_cgs"] for r in table] == [None, pytest.approx(5e-13, rel=1e-6)]
    del plan["flux_band_kev"], plan["columns"]["flux_cgs"]
    with pytest.raises(ConfigError, match="which band is flux_upper_cgs in"):
        Definition.from_dict(plan)


def test_fluxes_of_missions_are_compared_in_one_band(module_settings: Settings) -> None:
    """0.5-2 keV against 0.2-12 keV; a mission without fluxes, and one with a limit only."""
    soft = mission(module_settings, "r", [(10.0, 0.0)], flux_cgs=[4e-14], flux_err_cgs=[1e-14], flux_band_kev=[0.5, 2])
    wide = mission(module_settings, "x", [(10.0, 0.0)], flux_cgs=[3e-14], flux_err_cgs=[1e-15])
    none = mission(module_settings, "c", [(10.0, 0.0)])
    limit = mission(module_settings, "s", [(10.0, 0.0)], flux_cgs=[None], flux_band_kev=[0.5, 2.0])
    _set(module_settings, limit, "flux_upper_cgs", [0.5e-14])
    (master,) = masters(module_settings, both(module_settings, soft, wide, none, limit)[1])
    factor = (12**0.3 - 0.2**0.3) / (2**0.3 - 0.5**0.3)
    high, err = 4e-14 * factor, 1e-14 * factor
    wanted = {
        "flux_std_max_cgs": high, "flux_std_min_cgs": 3e-14, "flux_ratio": high / 3e-14,
        "flux_ratio_low": (high - err) / (0.5e-14 * factor),
        "flux_ratio_sigma": (high - 3e-14) / math.hypot(err, 1e-15),
    }  # fmt: skip
    assert {k: master[k] for k in wanted} == pytest.approx(wanted, rel=1e-5, abs=0)
    assert (master["n_missions"], master["n_sources"], master["n_upper_limits"]) == (4, 4, 1)


def test_an_ambiguous_source_is_not_compared_with_its_neighbours(module_settings: Settings) -> None:
    x = mission(module_settings, "x", [(50.0, 20.0)], flux_cgs=[1e-13], flux_err_cgs=[1e-14])
    c = mission(module_settings, "c", [(50.0, 20.0)] * 2, flux_cgs=[1e-14] * 2, flux_err_cgs=[1e-15] * 2)
    for master in masters(module_settings, both(module_settings, x, c)[1]):
        assert master["is_ambiguous"]
        assert master["flux_ratio"] is master["flux_ratio_low"] is master["flux_ratio_sigma"] is None


# --- numbers that stay --------------------------------------------------------------------------------------


def _add(settings: Settings, catalogue: Loaded, places: list[tuple[float, float]], first: int) -> None:
    """A later release has more sources: z100, z101, ..."""
    with ready(settings) as conn:
        conn.cursor().executemany(
            f"INSERT INTO {catalogue.table} (catalogue_id, object_id, file_id, native_id, ra, dec, err_arcsec)"
            " VALUES (%s, %s, 0, %s, %s, %s, 1)",
            [(catalogue.catalogue_id, i, f"z{i}", *place) for i, place in enumerate(places, first)],
        )


def _changes(settings: Settings, linked: int) -> list[dict[str, Any]]:
    return rows(settings, "SELECT * FROM xcat.master_change WHERE run_id = %s ORDER BY source_id", [linked])


def _by_source(settings: Settings, linked: int) -> dict[int, tuple[int, str]]:
    found = rows(settings, "SELECT source_id, master_id, status FROM xcat.master_source WHERE run_id = %s", [linked])
    return {r["source_id"]: (r["master_id"], r["status"]) for r in found}


def test_the_first_run_says_that_everything_is_new(module_settings: Settings) -> None:
    x, c = mission(module_settings, "x", [(1.0, 1.0), (2.0, 1.0)]), mission(module_settings, "c", [(1.0, 1.0)])
    _, linked = both(module_settings, x, c)
    found = _changes(module_settings, linked)
    assert [(r["change"], r["old_master_id"]) for r in found] == [("new", None)] * 3
    assert {r["source_id"]: r["new_master_id"] for r in found} == {
        s: m for s, (m, _) in _by_source(module_settings, linked).items()
    }
    given = [m for _, (m, _) in sorted(_by_source(module_settings, linked).items())]
    assert list(dict.fromkeys(given)) == sorted(set(given))  # new numbers are in the order of the sources
    first = rows(module_settings, "SELECT first_run_id FROM xcat.master_identity ORDER BY master_id DESC LIMIT 2")
    assert [r["first_run_id"] for r in first] == [linked] * 2


def test_a_release_changes_only_what_it_touches(settings: Settings) -> None:
    """One master gains a source, one pair becomes ambiguous, one source is new, one mission goes: each is a row."""
    x = mission(settings, "x", [(10.0, 0.0), (20.0, 0.0), (30.0, 0.0)])
    c = mission(settings, "c", [(10.0, 0.0), (20.0, 0.0)])
    r = mission(settings, "r", [(10.0, 0.0), (40.0, 0.0)])
    merged, first = both(settings, x, c, r)
    before = membership(settings, merged, first)
    assert before["x0"] == before["c0"] == before["r0"]
    _add(settings, c, [(30.0, 0.0), (20.0, 0.0), (50.0, 0.0)], 100)
    merged, second = both(settings, x, c, previous=first)
    after = membership(settings, merged, second)
    number = {n: m for n, (m, _) in after.items()}
    assert [number[n] for n in ("x0", "c0", "x1", "x2")] == [before[n][0] for n in ("x0", "c0", "x1", "x2")]
    assert after["z100"] == (number["x2"], "linked")
    assert {after[n][1] for n in ("x1", "c1", "z101")} == {"ambiguous"}
    assert min(number[n] for n in ("c1", "z101", "z102")) > max(m for m, _ in before.values())
    ids = {
        r["name"]: r["source_id"]
        for r in rows(
            settings,
            "SELECT s.name, s.source_id FROM xcat.source AS s JOIN xcat.run AS r ON r.source_run_id = s.run_id"
            " WHERE r.run_id = ANY(%s)",
            [[first, second]],
        )
    }
    names = {i: n for n, i in ids.items()}
    told = {names[c["source_id"]]: c["change"] for c in _changes(settings, second)}
    assert told == {
        "r0": "gone",
        "r1": "gone",
        "x1": "marked",
        "x2": "marked",
        "c1": "moved",
        "z100": "new",
        "z101": "new",
        "z102": "new",
    }
    with ready(settings) as conn:
        found = record.links_json(conn, second)
        assert found["changes"] == {"new": 3, "moved": 1, "marked": 2, "gone": 2}
        assert "against link run" in record.links_text(conn, second)
    # and the mission comes back: it is new again, since the run before did not have it
    assert {c["change"] for c in _changes(settings, both(settings, x, c, r, previous=second)[1])} == {"new"}


@hypothesis(max_examples=6, deadline=None)
@given(
    old=st.lists(st.tuples(st.integers(0, 8), st.integers(0, 5), st.integers(0, 2)), min_size=1, max_size=25),
    new=st.lists(st.tuples(st.integers(0, 8), st.integers(0, 5), st.integers(0, 2)), min_size=1, max_size=10),
)
def test_sources_far_away_change_no_master(module_settings: Settings, old: Any, new: Any) -> None:
    """A crowded sky of three missions, then a release that adds as crowded a place on the other side of the sky."""
    xray = [
        mission(
            module_settings, str(k), [(i / 1800, j / 1800) for i, j, m in old if m == k], err_arcsec=[1.0, 0.3, 3.0][k]
        )
        for k in range(3)
    ]
    _, first = both(module_settings, *xray)
    for k in range(3):
        _add(module_settings, xray[k], [(180 + i / 1800, j / 1800) for i, j, m in new if m == k], 100)
    _, second = both(module_settings, *xray, previous=first)
    was = [m | {"run_id": second} for m in masters(module_settings, first)]
    now = masters(module_settings, second)
    assert now[: len(was)] == was
    assert all(m["ra"] > 179 for m in now[len(was) :])
    assert {c["change"] for c in _changes(module_settings, second)} == {"new"}
    # the changes lead from the old membership to the new
    state = {s: m for s, (m, _) in _by_source(module_settings, first).items()}
    state |= {c["source_id"]: c["new_master_id"] for c in _changes(module_settings, second)}
    assert state == {s: m for s, (m, _) in _by_source(module_settings, second).items()}


def test_the_run_before_must_have_masters(module_settings: Settings) -> None:
    x = mission(module_settings, "x", [(1.0, 1.0)])
    merged = merge(module_settings, x)
    with pytest.raises(StageError, match=f"run {merged} has no master sources"):
        link(module_settings, merged, [x], previous=merged)
    with ready(module_settings) as conn, pytest.raises(XcatError, match="not a link run"):
        record.links_text(conn, merged)


# --- the real surveys ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def surveys(module_settings: Settings, shared_data: Path) -> dict[str, Any]:
    """The seven surveys of examples/surveys.yaml, ingested, merged and linked."""
    loaded = []
    for item in yaml.safe_load(SURVEYS.read_text())["xray"]:
        found = definition(item["catalogue"])
        loading = ingest(module_settings, found, [shared_data / name for name in item["files"]])
        assert loading.n_rejected == 0
        query = "SELECT catalogue_id FROM xcat.catalogue WHERE name = %s"
        loaded.append(Loaded(rows(module_settings, query, [found.name])[0]["catalogue_id"], found))
    merged = merge(module_settings, *loaded)
    return {"merge": merged, "link": link(module_settings, merged, loaded)}


@pytest.mark.shared
def test_the_surveys_are_linked(module_settings: Settings, surveys: dict[str, Any]) -> None:
    with ready(module_settings) as conn:
        found = record.links_json(conn, surveys["link"])
    sizes = {m["mission"]: m["sources"] for m in found["missions"]}
    assert sizes == {
        "pool_2rxs": 55066,
        "pool_csc2": 23412,
        "pool_efeds": 22079,
        "pool_xmmsl2": 4081,
        "pool_sdsx": 2872,
        "pool_xmm_cosmos": 1797,
        "pool_cdfs": 613,
    }
    for m in found["missions"]:
        assert m["single"] + m["linked"] + m["ambiguous"] == m["sources"]
    cosmos = next(p for p in found["pairs"] if (p["mission"], p["other"]) == ("pool_csc2", "pool_xmm_cosmos"))
    assert cosmos["linked"] >= 250
    assert found["changes"] == {"new": 109920, "moved": 0, "marked": 0, "gone": 0}


@pytest.mark.shared
def test_the_pairs_of_the_surveys_are_all_there(module_settings: Settings, surveys: dict[str, Any]) -> None:
    """Against astropy: every pair within 20 arcsec and the errors' reach, and its separation."""
    query = "SELECT source_id, catalogue_id, ra, dec, err_arcsec FROM xcat.source WHERE run_id = %s ORDER BY source_id"
    source = rows(module_settings, query, [surveys["merge"]])
    ids, missions, ra, dec, err = (np.array([s[k] for s in source]) for k in source[0])
    sky = SkyCoord(ra, dec, unit="deg")
    i, j, sep, _ = sky.search_around_sky(sky, MAX_SEP_ARCSEC * u.arcsec)
    reach = np.maximum(REACH_SIGMA * err, MIN_REACH_ARCSEC)
    wanted = (i < j) & (missions[i] != missions[j]) & (sep.arcsec < reach[i] + reach[j])
    expected = dict(zip(zip(ids[i[wanted]], ids[j[wanted]], strict=True), sep.arcsec[wanted], strict=True))
    found = rows(module_settings, "SELECT * FROM xcat.source_link WHERE run_id = %s", [surveys["link"]])
    assert {(r["source_id"], r["other_source_id"]): r["sep_arcsec"] for r in found} == pytest.approx(expected, abs=1e-5)
