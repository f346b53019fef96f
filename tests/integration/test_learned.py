"""Positions matched with what an earlier match has learned: the same answers, and none depends on another's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from integration.matching import hypotheses, make_table
from tiny import load

from xcat.config import Settings
from xcat.database.connection import Connection, ready
from xcat.database.runs import stage
from xcat.errors import XcatError
from xcat.match import learned, learning, targets
from xcat.match.engine import MatchOptions, Outcome, match
from xcat.match.haystack import Haystack, MagnitudeTerm
from xcat.match.learned import Learned
from xcat.match.targets import SKY_DEG2, Strata, Targets
from xcat.sky.density_map import DensityMap, Pools, cells

ARCSEC = 1 / 3600
CENTRE, SIDE_DEG = (150.0, 2.0), 0.5
OF_GROUPS = (240, 80)
RADIUS_ARCSEC, AROUND_ARCSEC = 5.0, 45.0
EPOCH_OF_CATALOGUES = 2016.0


@dataclass(frozen=True)
class Answer:
    """What a match says of the sources, by their id."""

    outcome: Outcome
    table: pd.DataFrame  #: hypotheses: see `integration.matching.Matched`

    @property
    def learned(self) -> Learned:
        assert self.outcome.learned is not None
        return self.outcome.learned

    def results(self, k: int) -> dict[str, np.ndarray]:
        """The columns of the table ``match`` for a catalogue."""
        rows = self.outcome.results[k]
        order = np.argsort(rows["source_id"])
        return {name: values[order] for name, values in rows.items()}


class Sky:
    """Sources of two missions and three catalogues in a square, one half of which is three times denser."""

    def __init__(self, conn: Connection) -> None:
        self.conn, rng = conn, np.random.default_rng(5)
        n = sum(OF_GROUPS)
        ra, dec = self._places(rng, n, 0.92 * SIDE_DEG)  # not at the edge of the catalogues
        err = rng.uniform(0.4, 1.6, n)
        ellipse = rng.random(n) < 0.3
        self.sources = Targets.of(
            {
                "id": 1000 + rng.permutation(n),
                "ra": ra,
                "dec": dec,
                "err_arcsec": err,
                "err_maj_arcsec": np.where(ellipse, 1.3 * err, np.nan),
                "err_min_arcsec": np.where(ellipse, 0.8 * err, np.nan),
                "err_pa_deg": np.where(ellipse, rng.uniform(0, 180, n), np.nan),
                "epoch_yr": np.repeat([2002.0, 2012.0], OF_GROUPS) + rng.normal(0, 2, n),
                "group": np.repeat([1, 2], OF_GROUPS),
            }
        )
        self.maps = [self._catalogue(rng, k) for k in (1, 2, 3)]

    def _places(self, rng: np.random.Generator, n: int, side_deg: float = SIDE_DEG) -> tuple[np.ndarray, np.ndarray]:
        """Positions in the square, three quarters of them in its western half."""
        east = np.where(rng.random(n) < 0.75, rng.uniform(-1, 0, n), rng.uniform(0, 1, n)) * side_deg / 2
        return CENTRE[0] + east / np.cos(np.radians(CENTRE[1])), CENTRE[1] + rng.uniform(-0.5, 0.5, n) * side_deg

    def _catalogue(self, rng: np.random.Generator, k: int) -> DensityMap:
        """A table of counterparts, bright ones, of most sources, and a faint field, half of it in all catalogues."""
        n, n_field, n_common = len(self.sources), 4000, 2000
        has = np.flatnonzero(np.random.default_rng(8).random(n) + rng.uniform(0, 0.4, n) < 0.9)
        ra, dec = (
            np.append(alone, common)
            for alone, common in zip(
                self._places(rng, n_field - n_common), self._places(np.random.default_rng(9), n_common), strict=True
            )
        )
        off = self.sources.err_arcsec[has] * rng.normal(0, 1, (2, len(has))) * ARCSEC
        ra = np.append(ra, self.sources.ra[has] + off[0] / np.cos(np.radians(CENTRE[1])))
        dec = np.append(dec, self.sources.dec[has] + off[1])
        speed = np.where(rng.random(len(ra)) < 0.2, rng.exponential(150, len(ra)), 0.0)
        angle = rng.uniform(0, 2 * np.pi, len(ra))
        columns = {
            "object_id": np.arange(len(ra)),
            "ra": ra,
            "dec": dec,
            "err_arcsec": rng.uniform(0.1, 0.4, len(ra)),
            "mag": np.append(22 - rng.exponential(1, n_field), rng.normal(18.5, 1, len(has))),
        }
        if k == 1:
            columns |= {"pmra_mas_yr": speed * np.sin(angle), "pmdec_mas_yr": speed * np.cos(angle)}
        make_table(self.conn, f"sky{k}", columns)
        return DensityMap(*np.unique(cells(ra, dec), return_counts=True))

    def catalogue(self, k: int, cut_out: bool) -> Haystack:
        """The k-th catalogue, with its map, or as one that is cut-outs around the sources."""
        density: dict[str, Any] = {"around_arcsec": AROUND_ARCSEC} if cut_out else {"density_map": self.maps[k - 1]}
        return Haystack(
            k, f"sky{k}", f"pg_temp.sky{k}", epoch_yr=EPOCH_OF_CATALOGUES, moves=k == 1,
            completeness=0.8 if k == 2 else "estimate", terms=(MagnitudeTerm("mag"),), **density,
        )  # fmt: skip

    @cache  # noqa: B019 - one sky for the module
    def first(self, n_catalogues: int, cut_out: bool = False, nway: bool = False) -> Answer:
        """The match that learns."""
        return self.match(self.sources, n_catalogues, cut_out, nway)

    def match(
        self, of: Targets, n_catalogues: int, cut_out: bool = False, nway: bool = False, known: Learned | None = None
    ) -> Answer:
        """Match targets, with what is known or learning it."""
        haystacks = [self.catalogue(k, cut_out) for k in range(1, n_catalogues + 1)]
        options = MatchOptions(radius_arcsec=RADIUS_ARCSEC, nway=nway)
        return Answer(match(self.conn, of, haystacks, options, learned=known), hypotheses(self.conn, n_catalogues))


@pytest.fixture(scope="module")
def sky(module_settings: Settings) -> Iterator[Sky]:
    """Small strata, so that there are several of each mission."""
    with pytest.MonkeyPatch.context() as patch, ready(module_settings) as conn:
        patch.setattr(targets, "_SOURCES_PER_STRATUM", 40)
        patch.setattr(learning, "_PSEUDO_COUNTS", 10.0)
        patch.setattr(learning, "_FEWEST", 2.0)
        yield Sky(conn)
        conn.rollback()


def _assert_same_rows(here: pd.DataFrame, there: pd.DataFrame) -> None:
    """Equal members, and probabilities to 1e-12."""
    names = [c for c in here.columns if not c.startswith(("log", "p_"))]
    assert here[names].to_numpy().tolist() == there[names].to_numpy().tolist()
    for name in set(here.columns) - set(names):
        np.testing.assert_allclose(here[name].to_numpy(), there[name].to_numpy(), rtol=1e-12, atol=1e-12, err_msg=name)


# --- the same answers ---------------------------------------------------------------------------------------

_KINDS = [(1, False, False), (1, True, True), (3, False, True), (3, True, False)]


@pytest.mark.parametrize(("n_catalogues", "cut_out", "nway"), _KINDS)
def test_the_same_sources_have_the_same_answers(sky: Sky, n_catalogues: int, cut_out: bool, nway: bool) -> None:
    """p_any, p_i, density, completeness and what is accepted, with several strata and curves of magnitudes."""
    first = sky.first(n_catalogues, cut_out, nway)
    strata = first.learned.strata
    assert len(strata.part) >= 6 and set(strata.group.tolist()) == {1, 2} and strata.part.max() >= 4
    curves = {c.mask for c in first.learned.curves}
    assert curves >= {1 << k for k in range(n_catalogues)} | (set() if nway else {2**n_catalogues - 1})
    assert sorted(first.learned.pools) == (list(range(1, n_catalogues + 1)) if cut_out else [])
    again = sky.match(sky.sources, n_catalogues, cut_out, nway, first.learned)
    assert again.outcome.counts["shifted"] == 0 and again.outcome.notes == []
    assert again.learned is first.learned
    _assert_same_rows(again.table, first.table)
    for k in range(n_catalogues):
        here, there = again.results(k), first.results(k)
        for name in ("source_id", "n_candidates", "accepted"):
            assert (here[name] == there[name]).all(), name
        for name in ("p_any", "density_per_deg2", "completeness"):
            np.testing.assert_allclose(here[name], there[name], rtol=1e-12, atol=1e-12)
        assert 0.3 < here["accepted"].mean() < 0.95


@pytest.mark.parametrize(("n_catalogues", "cut_out"), [(1, False), (3, True)])
def test_answers_do_not_depend_on_each_other(sky: Sky, n_catalogues: int, cut_out: bool) -> None:
    """A third of the sources backwards, and single ones: the rows are those of the whole."""
    first = sky.first(n_catalogues, cut_out)
    n = len(sky.sources)
    for index in (np.arange(n)[::-3], *(np.array([i]) for i in (0, 17, OF_GROUPS[0], n - 1))):
        some = sky.sources.take(index)
        answer = sky.match(some, n_catalogues, cut_out, False, first.learned)
        of_whole = first.table[first.table["source"].isin(some.id)]
        _assert_same_rows(answer.table, of_whole)
        for k in range(n_catalogues):
            here, there = answer.results(k), first.results(k)
            inside = np.isin(there["source_id"], some.id)
            for name in ("source_id", "n_candidates", "accepted"):
                assert (here[name] == there[name][inside]).all(), name
            np.testing.assert_allclose(here["density_per_deg2"], there["density_per_deg2"][inside], rtol=1e-12)


def test_no_target_at_all(sky: Sky) -> None:
    nothing = sky.sources.take(np.zeros(0, np.int64))
    answer = sky.match(nothing, 1, known=sky.first(1).learned)
    assert len(answer.table) == 0 and len(answer.results(0)["p_any"]) == 0


# --- through the database -----------------------------------------------------------------------------------


def _assert_equal(here: Any, there: Any, where: str) -> None:
    """Dataclasses, mappings, sequences and arrays, bit for bit and of the same shapes."""
    if is_dataclass(there):
        assert type(here) is type(there), where
        for f in fields(there):
            _assert_equal(getattr(here, f.name), getattr(there, f.name), f"{where}.{f.name}")
    elif isinstance(there, dict):
        assert sorted(here) == sorted(there), where
        for key in there:
            _assert_equal(here[key], there[key], f"{where}[{key}]")
    elif isinstance(there, list):
        assert len(here) == len(there), where
        for i, (a, b) in enumerate(zip(here, there, strict=True)):
            _assert_equal(a, b, f"{where}[{i}]")
    elif isinstance(there, np.ndarray):
        assert (here.dtype.kind, here.shape) == (there.dtype.kind, there.shape), where
        np.testing.assert_array_equal(here, there, err_msg=where)
    else:
        assert here == there, where


def _without_unused(of: Learned) -> Learned:
    """Without row 0 of the shares and column 0 of the cutoffs, which no answer needs."""
    shares = replace(of.shares, log_back=of.shares.log_back[1:], log_alone=of.shares.log_alone[1:])
    return replace(of, shares=shares, cutoff=of.cutoff[:, 1:], pools=dict(of.pools), curves=list(of.curves))


def test_a_run_gives_back_what_it_has_learned(sky: Sky, module_settings: Settings) -> None:
    """Minus infinity, NaN and every digit, whatever the numbers of the catalogues; and the same answers follow."""
    of_match = sky.first(3, cut_out=True).learned
    gone = of_match.strata.epoch_yr.copy()
    gone[1] = np.nan
    of_match = replace(of_match, strata=replace(of_match.strata, epoch_yr=gone))
    assert np.isneginf(of_match.strata.log_nu_low).any() and np.isneginf(of_match.strata.err_low_arcsec).any()
    place: dict[str, Any] = {"ra": [1.0], "dec": [1.0]}
    optical, *missions = (load(module_settings, kind, place) for kind in ("optical", "xray_sources", "xray_sources"))
    infrared = [load(module_settings, "infrared", place) for _ in range(2)]
    x_ids = [m.catalogue_id for m in reversed(missions)]
    ids = [infrared[1].catalogue_id, optical.catalogue_id, infrared[0].catalogue_id]
    with stage(module_settings, "match", "tiny", {"learned": True}) as run:
        learned.store(run.conn, run.run_id, of_match, x_ids, ids)
        stored = learned.load(run.conn, run.run_id, x_ids, ids)
    _assert_equal(_without_unused(stored), _without_unused(of_match), "learned")
    known = sky.match(sky.sources, 3, True, known=stored)
    _assert_same_rows(known.table, sky.first(3, cut_out=True).table)
    with pytest.raises(XcatError, match="did not keep what it learned"):
        learned.load(sky.conn, run.run_id + 1, x_ids, ids)


# --- strata of other positions ------------------------------------------------------------------------------


def _strata() -> Strata:
    """Mission 1: two densities, the first with two errors; mission 2: one density, whose second error is empty."""
    inf = np.inf
    return Strata(
        group=np.array([1, 1, 1, 2, 2]),
        part=np.array([1, 1, 2, 3, 3]),
        log_nu_low=np.array([-inf, -inf, 20.0, -inf, -inf]),
        err_low_arcsec=np.array([-inf, 1.0, -inf, -inf, 8.0]),
        err_typical_arcsec=np.array([0.5, 2.0, 1.0, 5.0, np.nan]),
        epoch_yr=np.full(5, 2010.0),
        epoch_err_yr=np.zeros(5),
    )


@pytest.mark.parametrize(
    ("group", "log_nu", "error", "stratum"),
    [
        (1, 19.0, 0.9, 0),
        (1, 19.0, 1.0, 1),  # the lower end belongs to the stratum
        (1, 20.0, 1.0, 2),
        (1, 99.0, 999.0, 2),
        (2, 99.0, 7.9, 3),
        (2, -99.0, 9.0, 4),
        (-1, 19.0, 0.5, 0),
        (-1, 19.0, 3.0, 1),  # 2 arcsec and 5 arcsec, nearest by ratio
        (-1, 19.0, 3.3, 3),
        (-1, 21.0, 1.5, 2),
        (-1, 21.0, 2.3, 3),
        (-1, 19.0, 9.0, 1),  # no sources have taught the stratum of mission 2 there
        (3, 19.0, 3.3, 3),  # a mission that had no sources
    ],
)
def test_strata_of_other_positions(group: int, log_nu: float, error: float, stratum: int) -> None:
    """By mission, density and error; without a mission that of the nearest typical error, in any company."""
    of = _strata()
    assert of.assign(np.array([group]), np.array([log_nu]), np.array([error])).tolist() == [stratum]
    several = of.assign(np.array([2, group, 1]), np.array([0.0, log_nu, 30.0]), np.array([1.0, error, 1.0]))
    assert several.tolist() == [3, stratum, 2]


def test_a_stratum_without_sources_is_better_than_none() -> None:
    of = replace(_strata(), err_typical_arcsec=np.full(5, np.nan))
    assert of.assign(np.array([-1]), np.array([21.0]), np.array([1.0])).tolist() == [2]


def test_a_position_of_no_mission_has_the_priors_of_its_stratum(sky: Sky) -> None:
    first = sky.first(1)
    strata = first.learned.strata
    of_none = replace(sky.sources, group=np.full(len(sky.sources), -1))
    answer = sky.match(of_none, 1, known=first.learned)
    log_nu = np.log(answer.results(0)["density_per_deg2"] * SKY_DEG2)
    order = np.argsort(sky.sources.id)
    error = np.sqrt(np.where(
        np.isnan(sky.sources.err_maj_arcsec), sky.sources.err_arcsec**2,
        sky.sources.err_maj_arcsec * sky.sources.err_min_arcsec,
    ))[order]  # fmt: skip
    expected = []
    for nu, err in zip(log_nu, error, strict=True):
        # the last stratum of each mission that begins below
        inside = [
            max(i for i in np.flatnonzero(strata.group == g) if strata.log_nu_low[i] <= nu + 1e-9) for g in (1, 2)
        ]
        inside = [
            max(i for i in np.flatnonzero(strata.part == strata.part[i]) if strata.err_low_arcsec[i] <= err)
            for i in inside
        ]
        expected.append(min(inside, key=lambda i: abs(np.log(err / strata.err_typical_arcsec[i]))))
    assert len(set(expected)) > 3
    np.testing.assert_allclose(answer.results(0)["completeness"], first.learned.completeness[expected, 0])


# --- epochs -------------------------------------------------------------------------------------------------

_PM_MAS_YR = 400.0
_YEARS = 10.0


def _star(sky: Sky, epoch_yr: float | None, mean: float, spread: float, away_yr: float = _YEARS) -> dict[str, float]:
    """A target where a star was `away_yr` years ago, in a stratum whose sources have this mean epoch and spread."""
    of = sky.first(1).learned
    n = len(of.strata.part)
    strata = replace(of.strata, epoch_yr=np.full(n, mean), epoch_err_yr=np.full(n, spread))
    ra, dec = CENTRE
    columns = {"object_id": [1], "ra": [ra], "dec": [dec], "err_arcsec": [0.1], "mag": [np.nan]}
    motion = {"pmra_mas_yr": [0.0], "pmdec_mas_yr": [_PM_MAS_YR]}
    make_table(sky.conn, "star", {name: np.array(values) for name, values in (columns | motion).items()})
    target = Targets.of(
        {
            "id": np.array([7]),
            "ra": np.array([ra]),
            "dec": np.array([dec - away_yr * _PM_MAS_YR / 3.6e6]),
            "err_arcsec": np.array([0.5]),
            "group": np.array([1]),
            **({} if epoch_yr is None else {"epoch_yr": np.array([epoch_yr])}),
        }
    )
    star = replace(sky.catalogue(1, cut_out=False), table="pg_temp.star")
    options = MatchOptions(radius_arcsec=RADIUS_ARCSEC)
    outcome = match(sky.conn, target, [star], options, learned=replace(of, strata=strata))
    table = hypotheses(sky.conn, 1)
    (sep,) = sky.conn.execute("SELECT sep_arcsec FROM pg_temp.posterior WHERE rank = 1").fetchone() or (np.nan,)
    log_bf = table[table["rank"] == 1]["log_bf"].sum()
    return {"p_any": float(outcome.results[0]["p_any"][0]), "sep_arcsec": sep, "log_bf": float(log_bf)}


def _log_bf(sep_arcsec: float, spread_yr: float) -> float:
    """Of a pair whose position is uncertain along the motion, which is north, by the spread of the epoch."""
    east = 0.5**2 + 0.1**2
    north = east + (spread_yr * _PM_MAS_YR / 1000) ** 2
    return float(np.log(2) + 2 * np.log(206264.80624709636) - np.log(east * north) / 2 - sep_arcsec**2 / north / 2)


def test_a_position_without_an_epoch_has_that_of_its_stratum(sky: Sky) -> None:
    """A star is found where it was; with an epoch that is off by the spread, too; the wider, the less sure."""
    then = EPOCH_OF_CATALOGUES - _YEARS
    of_stratum = [_star(sky, None, then, spread) for spread in (0.0, 1.0, 3.0, 9.0)]
    for one, spread in zip(of_stratum, (0.0, 1.0, 3.0, 9.0), strict=True):
        assert one["sep_arcsec"] == pytest.approx(0.0, abs=1e-3)
        assert one["log_bf"] == pytest.approx(_log_bf(one["sep_arcsec"], spread), rel=1e-6)
    chances = [one["p_any"] for one in of_stratum]
    assert chances[0] > 0.9 and (np.diff(chances) < 0).all()
    off = _star(sky, None, then + 3, 3.0)
    assert off["sep_arcsec"] == pytest.approx(3 * _PM_MAS_YR / 1000, abs=1e-3)
    assert off["log_bf"] == pytest.approx(_log_bf(off["sep_arcsec"], 3.0), rel=1e-5)
    assert off["p_any"] > 0.9
    assert off["p_any"] > _star(sky, None, then + 3, 0.5)["p_any"]


def test_an_epoch_that_is_given_is_exact(sky: Sky) -> None:
    """Whatever that of the stratum; and where no source of the stratum had one, the star stays where it is."""
    then = EPOCH_OF_CATALOGUES - _YEARS
    given = _star(sky, then, 1980.0, 9.0)
    assert given == _star(sky, None, then, 0.0)
    assert _star(sky, then, np.nan, np.nan) == given
    unknown = _star(sky, None, np.nan, np.nan)
    assert unknown["sep_arcsec"] == pytest.approx(_YEARS * _PM_MAS_YR / 1000, abs=1e-3)
    assert unknown["log_bf"] == pytest.approx(_log_bf(unknown["sep_arcsec"], 0.0), rel=1e-5)
    assert _star(sky, None, EPOCH_OF_CATALOGUES, 0.0)["log_bf"] == pytest.approx(unknown["log_bf"], rel=1e-9)
    # 40 years of motion lead out of the circle, and a spread of 9 years does not lead back
    assert np.isnan(_star(sky, None, EPOCH_OF_CATALOGUES, 9.0, away_yr=40.0)["sep_arcsec"])


# --- densities ----------------------------------------------------------------------------------------------


def test_a_place_without_a_pool_has_the_mean_of_all() -> None:
    """Counts of Poisson are shrunk to the mean of their pool; elsewhere to that of all."""
    pools = Pools(np.array([3, 8]), np.array([10.0, 40.0]), 20.0, 4.0)
    counts, cell = np.array([10.0, 40.0, 20.0, 0.0, 20.0]), np.array([3, 8, 5, 9, 0])
    density = pools.density_per_deg2(counts, cell, 0.5)
    assert density.tolist() == pytest.approx([20.0, 80.0, 40.0, 4 / (0.5 * 1.2), 40.0])
    nothing = Pools(np.zeros(0, np.int64), np.zeros(0), 20.0, 4.0)
    assert nothing.density_per_deg2(counts, cell, 0.5)[2] == pytest.approx(40.0)


def test_a_position_far_from_the_cut_outs_is_matched_with_their_mean(sky: Sky) -> None:
    """No object is loaded there: the density of an empty ring follows from the mean of all pools."""
    first = sky.first(1, cut_out=True, nway=True)
    far = sky.sources.take(np.arange(2))
    far = replace(far, ra=np.array([10.0, 200.0]), dec=np.array([-60.0, 89.0]))
    answer = sky.match(far, 1, True, True, first.learned)
    pools = first.learned.pools[1]
    area_deg2 = np.pi * (AROUND_ARCSEC**2 - (2 * RADIUS_ARCSEC) ** 2) / 3600**2
    expected = pools.shape / (area_deg2 * (1 + pools.shape / pools.mean_of_all))
    assert answer.results(0)["density_per_deg2"] == pytest.approx([expected] * 2)
    assert answer.results(0)["p_any"].tolist() == [0, 0] and not answer.results(0)["accepted"].any()
