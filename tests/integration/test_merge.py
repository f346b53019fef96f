"""Detections to sources: grouping, means, ratios, numbers that stay; every value by hand or by another formula."""

from __future__ import annotations

import gzip
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from hypothesis import given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st
from tiny import load, merge, rows, separation, sources

from xcat.catalogues import load as definition_of
from xcat.config import Settings
from xcat.database.connection import ready
from xcat.database.loaded import Loaded
from xcat.database.runs import stage
from xcat.ingest.checks import Allowed
from xcat.ingest.load import ingest
from xcat.merge.links import link_stage
from xcat.merge.sources import GROUP_SIGMA, OUTLYING_SIGMA, PRIOR_COUNTS, SYSTEMATIC


def _vector(ra: Any, dec: Any) -> np.ndarray:
    ra, dec = np.radians(ra), np.radians(dec)
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=-1)


def _one(settings: Settings, columns: dict[str, Any], **keys: Any) -> dict[str, Any]:
    """The source that all these detections make."""
    n = len(next(v for v in columns.values() if isinstance(v, list)))
    columns = {"ra": [10.0] * n, "dec": [20.0] * n, "source_native_id": ["one"] * n} | columns
    (source,) = sources(settings, merge(settings, load(settings, "xray_detections", columns, **keys)))
    return source


def test_the_mission_names_the_sources(module_settings: Settings) -> None:
    """A detection without the name of a source is one of its own; places do not matter."""
    catalogue = load(
        module_settings,
        "xray_detections",
        {"ra": [10, 200, 10, 10], "dec": [0, 0, 0, 0], "source_native_id": ["B", "A", "B", None]},
    )
    run = merge(module_settings, catalogue)
    assert [(s["name"], s["n_detections"]) for s in sources(module_settings, run)] == [("4", 1), ("A", 1), ("B", 2)]
    members = rows(
        module_settings,
        "SELECT s.name, array_agg(d.object_id ORDER BY d.object_id) AS ids FROM xcat.source_detection AS d"
        " JOIN xcat.source AS s USING (run_id, source_id) WHERE run_id = %s GROUP BY 1 ORDER BY 1",
        [run],
    )
    assert members == [{"name": "4", "ids": [4]}, {"name": "A", "ids": [2]}, {"name": "B", "ids": [1, 3]}]


@pytest.mark.parametrize("place", [(0.0, 0.0), (0.0, 89.9999), (180.0, -60.0)])
def test_detections_are_linked_as_far_as_their_errors_allow(module_settings: Settings, place: Any) -> None:
    """A chain is one source; a pair just beyond 3.03 combined sigmas is two; the name is the smallest native id."""
    limit = GROUP_SIGMA * math.sqrt(2) / 3600
    centre = SkyCoord(*place, unit="deg")
    steps = [0, 0.99, 1.98, 2.99]  # the last one is 1.01 limits from its neighbour
    at = [centre.directional_offset_by(centre.ra * 0, s * limit * centre.dec.unit) for s in steps]
    catalogue = load(
        module_settings,
        "xray_detections",
        {"ra": [p.ra.deg % 360 for p in at], "dec": [p.dec.deg for p in at], "native_id": ["c", "b", "d", "a"]},
    )
    run = merge(module_settings, catalogue)
    found = rows(
        module_settings,
        "SELECT mission_source, n_detections FROM xcat.source JOIN xcat.source_identity USING (source_id)"
        " WHERE run_id = %s ORDER BY 1",
        [run],
    )
    assert found == [{"mission_source": "a", "n_detections": 1}, {"mission_source": "b", "n_detections": 3}]


def test_each_pair_of_errors_has_its_own_link_length(module_settings: Settings) -> None:
    """Two exact detections in the circle of a poor one are linked only by it."""
    columns = {"ra": [0.0, 2 / 3600, 359.999], "dec": [0.0] * 3, "err_arcsec": [0.2, 0.2, 3.0]}
    catalogue = load(module_settings, "xray_detections", columns)
    assert [s["n_detections"] for s in sources(module_settings, merge(module_settings, catalogue))] == [3]
    catalogue = load(module_settings, "xray_detections", {k: v[:2] for k, v in columns.items()})
    assert [s["n_detections"] for s in sources(module_settings, merge(module_settings, catalogue))] == [1, 1]


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(
    "place",
    [
        ([359.9999, 0.0002, 0.0001], [0.0, 0.0, 0.0001]),
        ([10.0, 130.0, 250.0], [89.9999, 89.9998, 89.9999]),
        ([10.0, 10.0, 10.0], [-20.0, -20.0, -20.0]),
    ],
)
def test_the_position_is_the_weighted_mean_of_unit_vectors(module_settings: Settings, place: Any, shared: bool) -> None:
    err = [1.0, 2.0, 0.5]
    source = _one(
        module_settings,
        {"ra": place[0], "dec": place[1], "err_arcsec": err, "mjd": [51544.5, 51544.5 + 3652.5, None]},
        position_of="source" if shared else "detection",
        epoch_yr=1990.0,
    )
    weight = 1 / np.array(err) ** 2
    mean = (weight[:, None] * _vector(*place)).sum(axis=0)
    ra, dec = np.degrees(np.arctan2(mean[1], mean[0])) % 360, np.degrees(np.arctan2(mean[2], np.hypot(*mean[:2])))
    assert separation(ra, dec, source["ra"], source["dec"]) < 1e-6
    assert 0 <= source["ra"] < 360
    assert source["err_arcsec"] == pytest.approx(0.5 if shared else 1 / math.sqrt(weight.sum()), rel=1e-6)
    # the epoch is that of the position: the definition's where a row has no time of its own
    assert source["epoch_yr"] == pytest.approx((weight @ [2000.0, 2010.0, 1990.0]) / weight.sum(), abs=1e-6)
    assert (source["mjd_first"], source["mjd_last"]) == (51544.5, 51544.5 + 3652.5)


def test_a_column_of_epochs_wins_over_the_day_and_the_definition(module_settings: Settings) -> None:
    columns = {"epoch_yr": [1999.0], "mjd": [51544.5]}
    assert _one(module_settings, columns, epoch_yr=1990.0)["epoch_yr"] == 1999.0
    assert _one(module_settings, {"mjd": [None]})["epoch_yr"] is None


# the second has 225 counts in three quarters of the exposure of the first, which has 100: it varied
FLUX = {"flux_cgs": [1e-13, 3e-13, 2e-13], "flux_err_cgs": [1e-14, 2e-14, None]}


def _near(value: float) -> Any:
    return pytest.approx(value, rel=1e-5, abs=0)


def test_fluxes_are_means_with_effective_exposures(module_settings: Settings) -> None:
    """Counts over exposures; a detection without an error, or far from the others, has no part in any mean."""
    flux, err = [1e-13, 1.2e-13, 3e-13], [1e-14, 2e-14, None]
    bands = {"flux_soft_cgs": [1e-14, 2e-14, None], "flux_hard_cgs": [None] * 3}
    bands |= {"flux_medium_cgs": [4e-14, 1e-14, 1e-14], "flux_medium_err_cgs": [0.0, 1e-15, 2e-15]}
    given = {"flux_cgs": flux, "flux_err_cgs": err} | bands
    source = _one(module_settings, given, flux_band_kev=[0.5, 2.0])
    k = [(f + math.sqrt(f * f + 4 * e * e)) / (2 * e * e) for f, e in zip(flux[:2], [1e-14, 2e-14], strict=True)]
    assert source["flux_cgs"] == _near((1e-13 * k[0] + 1.2e-13 * k[1]) / sum(k))
    assert source["flux_err_cgs"] == _near(math.hypot(1e-14 * k[0], 2e-14 * k[1]) / sum(k))
    soft, medium = (1e-14 * k[0] + 2e-14 * k[1]) / sum(k), (4e-14 * k[0] + 1e-14 * k[1]) / sum(k)
    assert source["flux_soft_cgs"] == _near(soft)
    assert source["flux_soft_err_cgs"] is source["flux_hard_cgs"] is source["flux_hard_err_cgs"] is None
    assert source["flux_medium_cgs"] == _near(medium)
    assert source["flux_medium_err_cgs"] == _near(1e-15)  # an error of zero is none
    factor = (12**0.3 - 0.2**0.3) / (2**0.3 - 0.5**0.3)
    assert source["flux_std_cgs"] == _near(source["flux_cgs"] * factor)
    # hr1 from the band fluxes, hr2 not without the hard one
    assert source["hr1"] == _near((medium - soft) / (medium + soft))
    assert source["hr2"] is None
    far = _one(module_settings, FLUX | {"flux_soft_cgs": [1e-14, 2e-14, None]})
    assert far["flux_cgs"] == _near(1e-13) and far["flux_err_cgs"] == _near(1e-14)
    assert far["flux_soft_cgs"] == _near(1e-14)
    assert far["flux_ratio"] == _near(3)  # it has its part in variability
    assert _one(module_settings, {"flux_cgs": [1e-13, 3e-13]})["flux_cgs"] == _near(2e-13)  # no errors: the plain mean


def _each(settings: Settings, cases: list[dict[str, list[Any]]]) -> list[dict[str, Any]]:
    """Sources of one catalogue, each with the detections of a case."""
    columns: dict[str, list[Any]] = {"ra": [], "dec": [], "source_native_id": []}
    for number, case in enumerate(cases):
        n = len(next(iter(case.values())))
        one = {"ra": [10.0] * n, "dec": [20.0] * n, "source_native_id": [f"{number:02}"] * n} | case
        for name, values in one.items():
            columns.setdefault(name, []).extend(values)
    return sources(settings, merge(settings, load(settings, "xray_detections", columns)))


def test_a_hardness_ratio_of_negative_fluxes_stays_in_range(module_settings: Settings) -> None:
    fluxes = [(-1e-15, 2e-15), (2e-15, -1e-15), (-1e-15, -1e-15), (0.0, 0.0), (None, 1e-15), (1e-15, None)]
    found = _each(module_settings, [{"flux_soft_cgs": [s], "flux_medium_cgs": [m]} for s, m in fluxes])
    assert [source["hr1"] for source in found] == [1.0, -1.0, None, None, None, None]


def test_a_given_hardness_ratio_is_kept(module_settings: Settings) -> None:
    columns = {"hr1": [0.2, 0.5], "hr1_err": [0.1, 0.2], "flux_soft_cgs": [1e-14] * 2, "flux_medium_cgs": [1e-14] * 2}
    source = _one(module_settings, columns)
    assert source["hr1"] == pytest.approx((0.2 * 4 + 0.5) / 5, rel=1e-6)
    assert source["hr1_err"] == pytest.approx(0.2 / math.sqrt(5), rel=1e-6)


_RATIOS: list[tuple[Any, ...]] = [
    ([1, 3, 10], [0.5, 0.5, 2], 10, 8 / 1.5),
    ([1, 1], [0.1, 0.2], 1, 0.9 / 1.1),  # max(F - s) is that of the first, min(F + s) too
    ([1], [0.1], None, None),  # one detection
    ([-1, 2], [1, 1], None, None),  # one positive flux
    ([-1, 2, 4], [1, 1, 1], 2, 3 / 3),  # the negative one is left out
    ([2, 4], [0, 1], 2, None),  # an error of zero is none: one flux with an error
    ([2, 4], [None, None], 2, None),
    ([0, 4], [1, 1], None, None),
    ([1, 2], [3, 3], 2, None),  # the errors leave nothing: no logarithm
    ([None, 2], [1, 1], None, None),
]


def test_flux_ratios_by_hand(module_settings: Settings) -> None:
    scaled = [
        {"flux_cgs": [f and f * 1e-14 for f in flux], "flux_err_cgs": [e and e * 1e-14 for e in error]}
        for flux, error, _, _ in _RATIOS
    ]
    for source, (_, _, ratio, low) in zip(_each(module_settings, scaled), _RATIOS, strict=True):
        assert source["flux_ratio"] == (ratio if ratio is None else pytest.approx(ratio, rel=1e-5))
        assert source["flux_ratio_low"] == (low if low is None else pytest.approx(low, rel=1e-5))


# --- means of fluxes, in units of 1e-14 ---------------------------------------------------------------------


def _k(flux: np.ndarray, err: np.ndarray) -> np.ndarray:
    return np.asarray((flux + np.sqrt(flux**2 + 4 * err**2)) / (2 * err**2))


def _expected(flux: list[float], err: list[float], exposure: list[float] | None = None) -> float:
    """The mean flux of detections without flaws, by another way of computing."""
    f, e = np.array(flux), np.array(err)
    k = _k(f, e)
    if exposure is not None:
        n, t = np.maximum(k * f, 0), np.array(exposure)
        k = (n + PRIOR_COUNTS) / (n / k + PRIOR_COUNTS / (t * k.sum() / t.sum()))
    order = np.argsort(f, kind="stable")
    centre = f[order][np.searchsorted(k[order].cumsum(), k.sum() / 2 * (1 - 1e-12))]
    spread = np.sqrt(e**2 + np.maximum((centre - f) / _k(f, e), 0) + (SYSTEMATIC * centre) ** 2)
    used = np.abs(f - centre) <= OUTLYING_SIGMA * spread
    return float((k * f)[used].sum() / k[used].sum())


_FLUX = st.tuples(st.floats(-2, 300), st.floats(0.5, 20), st.floats(100, 3000))


@hypothesis(max_examples=3, deadline=None)
@given(cases=st.lists(st.lists(_FLUX, min_size=1, max_size=7), min_size=10, max_size=30), timed=st.booleans())
def test_the_mean_is_that_of_its_formula_in_any_order(module_settings: Settings, cases: Any, timed: bool) -> None:
    """Sources of one detection keep its flux and error."""

    def each(orders: list[list[Any]]) -> list[dict[str, Any]]:
        columns = [
            {"flux_cgs": [d[0] * 1e-14 for d in case], "flux_err_cgs": [d[1] * 1e-14 for d in case]} for case in orders
        ]
        return _each(
            module_settings,
            [c | ({"exposure_s": [d[2] for d in k]} if timed else {}) for c, k in zip(columns, orders, strict=True)],
        )

    cases = [[tuple(float(np.float32(x)) for x in d) for d in case] for case in cases]
    forth, back = each(cases), each([case[::-1] for case in cases])
    for one, other, case in zip(forth, back, cases, strict=True):
        for name in ("flux_cgs", "flux_err_cgs", "flux_ratio", "flux_ratio_low"):
            assert one[name] == other[name] or one[name] == _near(other[name])
        if len(case) == 1:
            assert (
                (one["flux_cgs"], one["flux_err_cgs"])
                == tuple(
                    pytest.approx(x * 1e-14, rel=1e-5, abs=1.2e-45)  # below this a real is zero
                    for x in case[0][:2]
                )
            )
        flux, err, exposure = (list(x) for x in zip(*case, strict=True))
        wanted = _expected(flux, err, exposure if timed else None)
        assert one["flux_cgs"] == pytest.approx(wanted * 1e-14, rel=1e-4, abs=1e-19)


def test_a_constant_source_is_unbiased_from_five_counts_on(module_settings: Settings) -> None:
    """2 %, with 5 to 100 counts in five observations that differ by 30 times, background included."""
    rng, n, cases = np.random.default_rng(3), 600, []
    for counts, background in ((5, 0.0), (20, 0.3), (100, 2.0)):
        exposure = np.exp(rng.uniform(0, np.log(30), (n, 5)))
        k = counts * exposure / exposure.sum(axis=1, keepdims=True)
        k *= 0.99 + 0.02 * rng.random(k.shape)
        total = rng.poisson(k * (1 + background))
        cases.append((total / k - background, (1 + np.sqrt(total + 0.75)) / k, exposure))
    flux, err, exposure = (np.concatenate([c[i] for c in cases]) for i in range(3))
    source = np.repeat(np.arange(3 * n), 5)
    columns = {"ra": source % 360.0, "dec": np.full(source.size, 20.0), "source_native_id": [f"{s:04}" for s in source]}
    columns |= {"flux_cgs": flux.ravel() * 1e-14, "flux_err_cgs": err.ravel() * 1e-14, "exposure_s": exposure.ravel()}
    made = sources(module_settings, merge(module_settings, load(module_settings, "xray_detections", columns)))
    found = np.array([s["flux_cgs"] for s in made]).reshape(3, n) * 1e14
    chance = found.std(axis=1) / math.sqrt(n)
    assert (np.abs(found.mean(axis=1) - 1) < 0.02 + 2 * chance).all(), found.mean(axis=1)
    inverse_variance = (flux / err**2).sum(axis=1) / (1 / err**2).sum(axis=1)
    assert inverse_variance.reshape(3, n).mean(axis=1)[0] < 0.9


def test_upper_limits_have_a_part_in_the_mean(module_settings: Settings) -> None:
    """A limit is F + 3 sigma of F = .6 sigma; alone it makes no flux."""
    limit = {"flux_cgs": [3e-14, None], "flux_err_cgs": [1e-14, None], "flux_upper_cgs": [None, 9e-14]}
    only = {"flux_cgs": [None], "flux_err_cgs": [None], "flux_upper_cgs": [9e-14]}
    no_error = {"flux_cgs": [3e-14, None], "flux_err_cgs": [None, None], "flux_upper_cgs": [None, 9e-14]}
    found = _each(module_settings, [limit, only, no_error])
    k = _k(np.array([3, 1.5]), np.array([1, 2.5]))
    assert found[0]["flux_cgs"] == _near((k @ [3, 1.5]) / k.sum() * 1e-14)
    assert found[1]["flux_cgs"] is None
    assert found[2]["flux_cgs"] == _near(3e-14)


# --- the mission's own values, and flaws --------------------------------------------------------------------

_OF_SOURCE = {"flux_cgs": "a", "flux_err_cgs": "b", "flux_soft_cgs": "c", "hr2": "d"}
_QUALITY = {"saturated": "s", "confused": {"column": "c", "bits": 8, "spoils": "fluxes"}}


def _with_flaws(settings: Settings, cases: list[dict[str, list[Any]]], **keys: Any) -> tuple[list[Any], Loaded, int]:
    columns: dict[str, list[Any]] = {"ra": [], "dec": [], "source_native_id": []}
    names = dict.fromkeys(name for case in cases for name in case)
    for number, case in enumerate(cases):
        n = len(next(iter(case.values())))
        for name in ("ra", "dec", *names):
            columns.setdefault(name, []).extend(case.get(name, [10.0 + number] * n if name == "ra" else [None] * n))
        columns["source_native_id"] += [f"{number:02}"] * n
    columns["dec"] = [0.0] * len(columns["ra"])
    loaded = load(settings, "xray_detections", columns, stored=_STORED, **keys)
    run = merge(settings, loaded)
    return sources(settings, run), loaded, run


# columns that a definition makes of of_source and quality, not of columns
_STORED = ("source_flux_cgs", "source_flux_err_cgs", "source_flux_soft_cgs", "source_hr2", "flaws")


def test_the_missions_own_values_come_first(module_settings: Settings) -> None:
    base = {
        "flux_cgs": [1e-14, 1.2e-14],
        "flux_err_cgs": [1e-15, 1e-15],
        "flux_soft_cgs": [1e-15, 1e-15],
        "hr2": [0.1] * 2,
    }
    own = {"source_flux_cgs": [5e-14] * 2, "source_flux_err_cgs": [2e-15] * 2, "source_flux_soft_cgs": [3e-15] * 2}
    cases: list[dict[str, list[Any]]] = [
        base | own | {"source_hr2": [0.5, 0.5]},
        base | own | {"source_hr2": [None, None]},  # it says that there is none
        base | own | {"source_flux_cgs": [5e-14, 6e-14]},  # which one?
        base | own | {"source_flux_cgs": [0.0, 0.0]},  # an upper limit
        base | own | {"source_flux_cgs": [None, 5e-14]},  # the other release had none
        base | own | {"flaws": ["saturated", None]},  # it may be made of that
        base | own | {"flaws": ["saturated"] * 2, "source_hr2": [0.5] * 2},  # nothing better
        base | own | {"flaws": ["confused", None]},
        base,
    ]
    found, _, run = _with_flaws(module_settings, cases, of_source=_OF_SOURCE, quality=_QUALITY)
    mean = found[8]["flux_cgs"]
    assert 1e-14 < mean < 1.2e-14
    wanted = [5e-14, 5e-14, mean, mean, 5e-14, 1.2e-14, 5e-14, 5e-14, mean]
    assert [s["flux_cgs"] for s in found] == [_near(f) for f in wanted]
    assert [s["flux_err_cgs"] for s in found[:2]] == [_near(2e-15)] * 2
    assert [s["hr2"] for s in found[:4]] == [0.5, None, _near(0.1), _near(0.1)]
    assert (found[0]["flux_soft_cgs"], found[2]["flux_soft_cgs"]) == (_near(3e-15), _near(1e-15))
    assert [s["flux_ratio"] for s in found] == [_near(1.2)] * 5 + [None, None, None, _near(1.2)]
    (summary,) = rows(module_settings, "SELECT summary -> 'missions' AS m FROM xcat.run WHERE run_id = %s", [run])
    (counts,) = summary["m"].values()
    assert {k: counts[k] for k in ("sources", "conflicting", "with_flaws", "doubtful")} == {
        "sources": 9, "conflicting": 1, "with_flaws": 4, "doubtful": 1
    }  # fmt: skip


def test_detections_with_flaws_are_left_out_where_there_are_better_ones(module_settings: Settings) -> None:
    values = {
        "hr1": [0.1, 0.5, 0.9],
        "p_variable": [0.2, 0.4, 0.99],
        "p_variable_long": [0.9] * 3,
        "gamma": [1.0, 2.0, 3.0],
    }
    base = {"flux_cgs": [2e-14, 2.2e-14, 9e-13], "flux_err_cgs": [2e-15, 2e-15, 9e-15]} | values
    faint = {"flux_cgs": [1e-16, 2e-14, 9e-13], "flux_err_cgs": [1e-15, 2e-15, 9e-15]} | values
    little = {"flux_cgs": [2e-14, 2.2e-14, 2.1e-14], "flux_err_cgs": [1e-14, 1e-15, 1e-15]} | values
    cases: list[dict[str, list[Any]]] = [
        base | {"flaws": [None, None, "saturated confused"]},
        base | {"flaws": [None, None, "confused"]},
        base | {"flaws": ["confused", "confused", "saturated"]},
        base | {"flaws": ["saturated"] * 3},
        faint | {"flaws": [None, "confused", "saturated"]},  # the good one has not seen the source
        little | {"flaws": [None, "confused", "confused"]},  # the good one has seen little of it
    ]
    found, loaded, run = _with_flaws(module_settings, cases, quality=_QUALITY)
    two = _near(_expected([2, 2.2], [0.2, 0.2]) * 1e-14)
    assert [s["flux_cgs"] for s in found[:3]] == [two] * 3
    assert found[3]["flux_cgs"] == _near(_expected([2, 2.2, 90], [0.2, 0.2, 0.9]) * 1e-14)
    assert found[4]["flux_cgs"] == _near(_expected([0.01, 2], [0.1, 0.2]) * 1e-14)
    assert found[5]["flux_cgs"] == _near(_expected([2, 2.2, 2.1], [1, 0.1, 0.1]) * 1e-14)
    assert [s["flux_is_doubtful"] for s in found] == [False, False, True, True, True, False]
    assert [s["n_flawed"] for s in found] == [1, 1, 3, 3, 2, 2]
    assert [s["flaws"] for s in found] == [
        "confused saturated", "confused", "confused saturated", "saturated", "confused saturated", "confused"
    ]  # fmt: skip
    ratio = _near(1.1)
    assert [s["flux_ratio"] for s in found] == [ratio, ratio, None, None, None, None]
    assert [s["p_variable"] for s in found] == [_near(0.4), _near(0.4), None, None, None, _near(0.2)]
    # what the mission says of all detections is of those that spoil it, too
    assert [s["p_variable_long"] for s in found] == [None, _near(0.9), None, None, None, _near(0.9)]
    assert [s["gamma"] for s in found] == [1.5, 1.5, 1.5, None, 1.5, 2.0]
    assert [s["hr1"] is None for s in found] == [False, False, False, True, False, False]
    with stage(module_settings, "link", "tiny", {"n": run}, source_run_id=run) as linked:
        link_stage(linked, run, [loaded])
    ratios = rows(
        module_settings,
        "SELECT m.flux_ratio, m.flux_std_max_cgs FROM xcat.master AS m JOIN xcat.master_source AS s USING (run_id,"
        " master_id) JOIN xcat.source AS x ON x.run_id = %s AND x.source_id = s.source_id WHERE m.run_id = %s"
        " ORDER BY x.name",
        [run, linked.run_id],
    )
    assert [r["flux_ratio"] for r in ratios] == [ratio, ratio, None, None, None, None]
    assert ratios[0]["flux_std_max_cgs"] == _near(2.2e-14)


def test_3c273_has_a_doubtful_flux_and_no_ratio(module_settings: Settings, shared_data: Path, tmp_path: Path) -> None:
    """All of its detections are saturated: from 2.7e-15 to 1e-11, a ratio that no AGN has."""
    name = "csc2_detections.csv.gz"
    with gzip.open(shared_data / "chandra" / name, "rt") as whole, (tmp_path / "few.csv").open("w") as few:
        few.writelines(line for i, line in enumerate(whole) if i == 0 or "J122906.6+020308" in line or i < 40)
    definition = definition_of("csc2_detections").model_copy(update={"name": "csc_few"})
    ingest(module_settings, definition, [tmp_path / "few.csv"], allowed=Allowed(rejects=1.0))
    (row,) = rows(module_settings, "SELECT catalogue_id FROM xcat.catalogue WHERE name = 'csc_few'")
    found = sources(module_settings, merge(module_settings, Loaded(row["catalogue_id"], definition)))
    (quasar,) = [s for s in found if s["name"] == "2CXO J122906.6+020308"]
    assert quasar["flux_is_doubtful"] and quasar["n_flawed"] == quasar["n_detections"] == 6
    assert quasar["flaws"] == "chip_edge saturated streaked" or quasar["flaws"] == "saturated streaked"
    assert quasar["flux_cgs"] == _near(5.663e-12)
    empty = ("flux_ratio", "flux_ratio_low", "p_variable", "p_variable_long", "hr1", "hr2", "gamma")
    assert [quasar[c] for c in empty] == [None] * len(empty)
    assert sum(s["flux_is_doubtful"] for s in found) < len(found) / 2


def test_the_other_columns(module_settings: Settings) -> None:
    source = _one(
        module_settings,
        {
            "p_variable": [0.2, None, 0.9],
            "quality_flag": [1, 4, None],
            "gamma": [1.0, 2.0, None],
            "snr": [3, 12, None],
            "det_likelihood": [5, 7, 6],
            "extent_arcsec": [0, 4, None],
        },
    )
    expected = {
        "p_variable": 0.9,
        "quality_flag": 5,
        "gamma": 1.5,
        "snr": 12,
        "det_likelihood": 7,
        "extent_arcsec": 4,
        "n_detections": 3,
    }
    assert {k: source[k] for k in expected} == pytest.approx(expected, rel=1e-6)
    assert source["flux_cgs"] is source["hr1"] is source["flux_ratio"] is source["flux_std_cgs"] is None


def test_a_catalogue_of_sources_says_how_many_detections_there_were(module_settings: Settings) -> None:
    catalogue = load(module_settings, "xray_sources", {"ra": [1.0, 2.0], "dec": [0.0, 0.0], "n_detections": [7, None]})
    assert [s["n_detections"] for s in sources(module_settings, merge(module_settings, catalogue))] == [7, 1]


def test_numbers_are_given_once(settings: Settings) -> None:
    """A second run, added detections, another mission with equal names: a source keeps its number."""
    place = {"ra": [10.0, 20.0], "dec": [0.0, 0.0]}
    first = load(settings, "xray_detections", place | {"source_native_id": ["A", "B"]})
    same_names = load(settings, "xray_detections", place | {"source_native_id": ["A", "B"]})
    ids = [{s["name"]: s["source_id"] for s in sources(settings, merge(settings, first))} for _ in range(2)]
    assert ids[0] == ids[1]
    both = sources(settings, merge(settings, first, same_names))
    assert len({s["source_id"] for s in both}) == 4
    with ready(settings) as conn:  # a later release: a source between, and one more detection of A
        conn.execute(
            f"INSERT INTO {first.table} (catalogue_id, object_id, file_id, native_id, source_native_id, ra, dec,"
            " err_arcsec) VALUES (%(c)s, 3, 0, '0', 'AA', 15, 0, 1), (%(c)s, 4, 0, '00', 'A', 10, 0, 1)",
            {"c": first.catalogue_id},
        )
    after = {s["name"]: s["source_id"] for s in sources(settings, merge(settings, first))}
    assert {k: after[k] for k in "AB"} == ids[0]
    assert after["AA"] not in {s["source_id"] for s in both}


def test_a_group_by_position_keeps_its_number_in_the_next_release(settings: Settings) -> None:
    catalogue = load(settings, "xray_detections", {"ra": [10.0, 10.0001], "dec": [0.0] * 2, "native_id": ["5", "7"]})
    (before,) = sources(settings, merge(settings, catalogue))
    with ready(settings) as conn:
        conn.execute(
            f"INSERT INTO {catalogue.table} (catalogue_id, object_id, file_id, native_id, ra, dec, err_arcsec)"
            " VALUES (%s, 3, 0, '9', 10.0002, 0, 1)",
            [catalogue.catalogue_id],
        )
    (after,) = sources(settings, merge(settings, catalogue))
    assert (after["source_id"], after["n_detections"]) == (before["source_id"], 3)


def test_an_empty_catalogue_makes_no_source(module_settings: Settings) -> None:
    empty = load(module_settings, "xray_detections", {"ra": [], "dec": []})
    assert sources(module_settings, merge(module_settings, empty)) == []


# --- error ellipses -----------------------------------------------------------------------------------------


def _ellipses(
    settings: Settings, cases: list[list[tuple[float | None, float | None, float | None, float]]], **keys: Any
) -> list[dict[str, Any]]:
    """Sources whose detections have these axes, angles and errors."""
    flat = [(i, *d) for i, case in enumerate(cases) for d in case]
    catalogue = load(
        settings,
        "xray_detections",
        {
            "ra": [10.0] * len(flat),
            "dec": [20.0] * len(flat),
            "source_native_id": [f"{f[0]:02}" for f in flat],
            "err_arcsec": [f[4] for f in flat],
        },
        **keys,
    )
    with ready(settings) as conn:
        conn.cursor().executemany(
            f"UPDATE {catalogue.table} SET err_maj_arcsec = %s, err_min_arcsec = %s, err_pa_deg = %s"
            " WHERE object_id = %s",
            [(*f[1:4], i) for i, f in enumerate(flat, 1)],
        )
    return sources(settings, merge(settings, catalogue))


def _covariance(major: float, minor: float, pa_deg: float) -> np.ndarray:
    """Over (east, north), the angle from north to east."""
    along = np.array([np.sin(np.radians(pa_deg)), np.cos(np.radians(pa_deg))])
    across = np.array([along[1], -along[0]])
    return major**2 * np.outer(along, along) + minor**2 * np.outer(across, across)


_ELLIPSES: list[list[tuple[Any, ...]]] = [
    [(2.0, 1.0, 30.0, 2**0.5)],
    [(2.0, 1.0, 0.0, 2**0.5), (2.0, 1.0, 90.0, 2**0.5)],  # crossed: a circle
    [(3.0, 1.0, 170.0, 3**0.5), (2.0, 0.5, 20.0, 1.0), (1.0, 1.0, 77.0, 1.0)],
    [(5.0, 0.5, 135.0, 2.5**0.5), (None, None, None, 2.0)],  # with a circle
    [(5.0, 0.5, None, 2.5**0.5), (3.0, 1.0, 45.0, 3**0.5)],  # without an angle it is a circle
    [(300.0, 0.01, 89.9, 3**0.5)] * 3,
]


def test_ellipses_are_added_as_precision_matrices(module_settings: Settings) -> None:
    for source, case in zip(_ellipses(module_settings, _ELLIPSES), _ELLIPSES, strict=True):
        each = [_covariance(*d[:3]) if d[2] is not None else _covariance(d[3], d[3], 0) for d in case]
        expected = np.linalg.inv(sum(np.linalg.inv(c) for c in each))
        found = (source["err_maj_arcsec"], source["err_min_arcsec"])
        assert found == pytest.approx(np.sqrt(np.linalg.eigvalsh(expected))[::-1], rel=1e-4)
        assert 0 <= source["err_pa_deg"] < 180.0001
        matrix = _covariance(*found, source["err_pa_deg"])
        assert np.allclose(matrix, expected, rtol=1e-3, atol=1e-4 * expected.max())
        assert source["err_arcsec"] == pytest.approx(math.sqrt(found[0] * found[1]), rel=1e-5)


def test_a_source_of_circles_has_no_ellipse(module_settings: Settings) -> None:
    (source,) = _ellipses(module_settings, [[(None, None, None, 1.0), (2.0, 1.0, None, 1.0)]])
    assert source["err_maj_arcsec"] is source["err_min_arcsec"] is source["err_pa_deg"] is None
    assert source["err_arcsec"] == pytest.approx(0.5**0.5, rel=1e-6)


def test_a_shared_position_has_the_ellipse_of_the_best_detection(module_settings: Settings) -> None:
    cases: list[list[Any]] = [
        [(3.0, 2.0, 10.0, 6**0.5), (2.0, 1.0, 40.0, 2**0.5)],
        [(3.0, 2.0, 10.0, 6**0.5), (None, None, None, 1.0)],
    ]
    one, other = _ellipses(module_settings, cases, position_of="source")
    found = [one[k] for k in ("err_maj_arcsec", "err_min_arcsec", "err_pa_deg", "err_arcsec")]
    assert found == pytest.approx([2.0, 1.0, 40.0, 2**0.5], rel=1e-6)
    assert (other["err_maj_arcsec"], other["err_arcsec"]) == (None, 1.0)


# --- galactic coordinates -----------------------------------------------------------------------------------

ANGLES = st.lists(st.tuples(st.floats(0, 360, exclude_max=True), st.floats(-90, 90)), min_size=1, max_size=20)


@hypothesis(max_examples=25, deadline=None)
@given(places=ANGLES)
def test_galactic_coordinates_are_those_of_astropy(module_settings: Settings, places: Any) -> None:
    _galactic(module_settings, np.array(places))


def test_galactic_coordinates_at_special_places(module_settings: Settings) -> None:
    rng = np.random.default_rng(1)
    special = [(192.85948, 27.12825), (12.85948, -27.12825), (266.405, -28.936), (0, 0), (0, 90), (0, -90)]
    sphere = np.column_stack([rng.uniform(0, 360, 5000), np.degrees(np.arcsin(rng.uniform(-1, 1, 5000)))])
    _galactic(module_settings, np.concatenate([special, sphere]))


def _galactic(settings: Settings, places: np.ndarray) -> None:
    found = rows(
        settings,
        "SELECT xcat.glon(ra, dec) AS l, xcat.glat(ra, dec) AS b FROM unnest(%s::float8[], %s::float8[])"
        " WITH ORDINALITY AS t (ra, dec, i) ORDER BY i",
        [places[:, 0].tolist(), places[:, 1].tolist()],
    )
    glon, glat = np.array([r["l"] for r in found]), np.array([r["b"] for r in found])
    true = SkyCoord(places[:, 0], places[:, 1], unit="deg").galactic
    assert ((glon >= 0) & (glon < 360)).all()
    # astropy's own pole is 0.02 arcsec off that of Hipparcos
    assert separation(glon, glat, true.l.deg, true.b.deg).max() < 0.05
    assert np.abs(glat - true.b.deg).max() < 1e-4
