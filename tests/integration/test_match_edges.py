"""The matching engine against brute force, in places and cases where such programs break."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import psycopg
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from hypothesis import given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st
from integration.matching import Matched, run
from unit.oracle import Objects, match

from xcat.config import Settings
from xcat.database.connection import Connection, ready
from xcat.errors import ConfigError
from xcat.match.learning import PriorTable

pytestmark = pytest.mark.slow

# right ascension 0 from both sides, both poles and next to them, the equator, a corner of q3c's cube
PLACES = st.sampled_from(
    [
        (0.0, 10.0),
        (359.99999, -45.0),
        (0.0, 90.0),
        (123.0, -90.0),
        (77.0, 89.9995),
        (10.0, -89.99),
        (200.0, 0.0),
        (45.0, 35.264389682754654),
    ]
)
SOME = hypothesis(max_examples=25, deadline=None)


@pytest.fixture(scope="module")
def work(module_settings: Settings) -> Any:
    with ready(module_settings) as conn:
        yield conn
        conn.rollback()


def _around(place: tuple[float, float], rng: np.random.Generator, n: int, spread: float) -> dict[str, np.ndarray]:
    """Positions within `spread` arcsec of a place, by astropy."""
    there = SkyCoord(*place, unit="deg").directional_offset_by(
        rng.uniform(0, 360, n) * u.deg, spread * np.sqrt(rng.random(n)) * u.arcsec
    )
    ra = np.atleast_1d(there.ra.deg % 360)
    return {"ra": np.where(ra >= 360, 0.0, ra), "dec": np.atleast_1d(there.dec.deg)}


def _objects(
    place: tuple[float, float], rng: np.random.Generator, n: int, *, spread: float, ellipses: bool = False, **keys: Any
) -> Objects:
    shape: dict[str, Any] = {}
    err = rng.uniform(0.2, 1.5, n).astype(np.float32).astype(float)
    if ellipses:
        circular = rng.random(n) < 0.3  # rows of both sorts in one table
        maj = rng.uniform(0.5, 2, n).astype(np.float32)
        min_ = (maj * rng.uniform(0.2, 1, n)).astype(np.float32)
        pa = rng.uniform(0, 180, n).astype(np.float32)
        shape = {name: np.where(circular, np.nan, x) for name, x in (("maj", maj), ("min", min_), ("pa", pa))}
    return Objects(**_around(place, rng, n, spread), err=err, **shape, **keys)


def _together(several: list[Objects]) -> Objects:
    """Circles of several skies in one."""
    return Objects(*(np.concatenate([getattr(o, name) for o in several]) for name in ("ra", "dec", "err")))


def _one(objects: Objects, i: int) -> Objects:
    """A source alone."""
    shape = {n: getattr(objects, n)[i : i + 1] for n in ("maj", "min", "pa") if getattr(objects, n) is not None}
    return Objects(objects.ra[i : i + 1], objects.dec[i : i + 1], objects.err[i : i + 1], **shape)


def _check(
    found: Matched,
    sources: Objects,
    catalogues: list[Objects],
    radius: float,
    *,
    nway: bool = False,
    near: float = 1e-5,
) -> None:
    """Every hypothesis of every source: the same, and as probable. One that is left out is next to impossible."""
    p_any = found.p_any()
    assert len(p_any) == len(sources)
    for i in range(len(sources)):
        wanted = match(_one(sources, i), catalogues, radius, nway=nway, shares=found.shares)
        assert p_any[i] == pytest.approx(wanted.p_any, rel=1e-4, abs=near)
        ours, theirs = found.p_i(i), wanted.p_i()
        assert set(ours) <= set(theirs)
        for members, p_i in theirs.items():
            assert p_any[i] * ours.get(members, 0.0) == pytest.approx(wanted.p_any * p_i, rel=1e-4, abs=near)
            # with one catalogue nothing is left out, and shares of what is hardly possible are right, too
            if len(catalogues) == 1 and wanted.p_any > 1e-30:
                assert ours[members] == pytest.approx(p_i, rel=1e-4, abs=near)
        mine = found.table[found.table.source == i]
        assert mine.match_flag.isin([0, 1, 2]).all()
        assert (mine.match_flag == 1).sum() == 1


def _skies(
    draw: Any, place: tuple[float, float], *, ellipses: bool, n_catalogues: int
) -> tuple[Objects, list[Objects]]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    sources = _objects(place, rng, draw(st.integers(1, 3)), spread=3.0, ellipses=ellipses)
    catalogues = [
        _objects(
            place,
            rng,
            draw(st.integers(0, 5)),
            spread=9.0,
            ellipses=ellipses,
            density_per_deg2=10.0 ** rng.uniform(3, 6),
            completeness=float(rng.uniform(0.1, 0.95)),
        )
        for _ in range(n_catalogues)
    ]
    return sources, catalogues


@SOME
@given(data=st.data(), place=PLACES, ellipses=st.booleans(), nway=st.booleans())
def test_one_catalogue(work: Connection, data: Any, place: tuple[float, float], ellipses: bool, nway: bool) -> None:
    sources, catalogues = _skies(data.draw, place, ellipses=ellipses, n_catalogues=1)
    _check(run(work, sources, catalogues, radius_arcsec=8.0, nway=nway), sources, catalogues, 8.0, nway=nway)


@SOME
@given(data=st.data(), place=PLACES, ellipses=st.booleans(), nway=st.booleans(), n=st.integers(2, 3))
def test_several_catalogues(
    work: Connection, data: Any, place: tuple[float, float], ellipses: bool, nway: bool, n: int
) -> None:
    """By default, what is ten thousand times more likely apart than one is not counted as one: that is 1e-3."""
    sources, catalogues = _skies(data.draw, place, ellipses=ellipses, n_catalogues=n)
    _check(
        run(work, sources, catalogues, radius_arcsec=8.0, nway=nway),
        sources,
        catalogues,
        8.0,
        nway=nway,
        near=1e-5 if nway else 1e-3,
    )


@pytest.mark.parametrize("nway", [False, True])
@pytest.mark.parametrize("n_catalogues", [2, 3])
def test_objects_that_are_in_several_catalogues(work: Connection, n_catalogues: int, nway: bool) -> None:
    """Eighty neighbourhoods, each with objects that all catalogues have among others that only one has."""
    rng = np.random.default_rng(17)
    places = [(10.0, -40.0 + i) for i in range(80)]
    sources = _together([_objects(place, rng, 1, spread=2.0) for place in places])
    real = [_around(place, rng, 2, 3.0) for place in places]
    catalogues = []
    for k in range(n_catalogues):
        seen = [
            Objects(r["ra"] + rng.normal(0, 0.3, 2) / 3600, r["dec"] + rng.normal(0, 0.3, 2) / 3600, np.full(2, 0.3))
            for r in real
        ]
        others = [_objects(place, rng, 2, spread=7.0) for place in places]
        every = _together([*seen, *others])
        catalogues.append(replace(every, density_per_deg2=10.0 ** (5.5 - k), completeness=0.3 + 0.2 * k))
    found = run(work, sources, catalogues, radius_arcsec=8.0, nway=nway)
    assert (found.p_any() > 0.5).sum() > 15
    _check(found, sources, catalogues, 8.0, nway=nway, near=1e-5 if nway else 3e-3)


@pytest.mark.parametrize(
    ("nway", "completeness", "near"), [(True, 0.8, 1e-5), (False, 0.8, 0.04), (False, "estimate", 0.04)]
)
def test_the_order_of_the_catalogues(work: Connection, nway: bool, completeness: Any, near: float) -> None:
    """It changes nothing (Pineau et al. 2017), but NWAY's p_any: its 'none' depends on which catalogue comes first.

    By default, how many objects are in several catalogues is counted among those of the first, which is a few hundred
    here: the answers are equal within what that is known to.
    """
    rng = np.random.default_rng(6)
    place, spread = (359.9999, 60.0), 70.0
    both = _objects(place, rng, 130, spread=spread)  # a third of the objects of each
    area_deg2 = np.pi * (spread / 3600) ** 2
    skies = []
    for n in (270, 400, 600):
        own = _objects(place, rng, n, spread=spread)
        values = {name: np.concatenate([getattr(both, name), getattr(own, name)]) for name in ("ra", "dec", "err")}
        skies.append(Objects(**values, density_per_deg2=(n + 130) / area_deg2))
    sources = Objects(*(x[:40] for x in (both.ra, both.dec)), err=np.full(40, 0.5))
    options = {"radius_arcsec": 6.0, "nway": nway, "completeness": completeness}
    first = run(work, sources, skies, **options)
    p_any = first.p_any()
    assert p_any.max() > 0.9
    for order in list(permutations(range(3)))[1:]:
        other = run(work, sources, [skies[k] for k in order], **options)
        if not nway:
            assert other.p_any() == pytest.approx(p_any, abs=near)
        for i in range(len(sources)):
            back = {tuple(m[order.index(k)] for k in range(3)): p for m, p in other.p_i(i).items()}
            for members, p_i in first.p_i(i).items():
                assert p_any[i] * back.get(members, 0.0) == pytest.approx(p_any[i] * p_i, abs=near)


@pytest.mark.parametrize("nway", [False, True])
def test_identical_positions(work: Connection, nway: bool) -> None:
    """Source and objects at one place, some of them twice: equals share, and the order is by number."""
    where = {"ra": np.full(3, 0.0), "dec": np.full(3, 90.0)}
    sources = Objects(np.array([0.0]), np.array([90.0]), np.array([0.5]))
    catalogues = [
        Objects(**where, err=np.full(3, 0.1), density_per_deg2=1e4, completeness=0.7),
        Objects(**where, err=np.full(3, 0.2), density_per_deg2=2e4, completeness=0.7),
    ]
    found = run(work, sources, catalogues, radius_arcsec=5.0, nway=nway)
    _check(found, sources, catalogues, 5.0, nway=nway)
    assert found.best().loc[0, ["c1", "c2"]].tolist() == [0, 0]


@pytest.mark.parametrize("nway", [False, True])
@pytest.mark.parametrize("completeness", [None, "estimate"])
@pytest.mark.parametrize("n_objects", [0, 5])
def test_no_candidate(work: Connection, nway: bool, completeness: Any, n_objects: int) -> None:
    """An empty catalogue, or one that is elsewhere: every source is there, with the hypothesis of none alone."""
    sources = Objects(np.array([5.0, 359.9]), np.array([0.0, -89.9]), np.array([1.0, 1.0]))
    elsewhere = Objects(np.full(n_objects, 100.0), np.full(n_objects, 10.0), np.ones(n_objects))
    options = {"radius_arcsec": 10.0, "nway": nway, "completeness": completeness, "calibrate": True}
    found = run(work, sources, [elsewhere, elsewhere], **options)
    assert found.table["rank"].tolist() == [0, 0]
    assert found.p_any().tolist() == [0.0, 0.0]
    assert found.table.match_flag.tolist() == [1, 1]


def test_no_source(work: Connection) -> None:
    nothing = Objects(np.zeros(0), np.zeros(0), np.zeros(0))
    some = Objects(np.array([5.0]), np.array([0.0]), np.ones(1))
    assert run(work, nothing, [some], radius_arcsec=10.0, calibrate=True).table.empty


def test_ten_thousand_candidates(work: Connection) -> None:
    """All are there, their p_i add up to 1 and are those of the formula; a millionth of a percent is not lost."""
    rng = np.random.default_rng(1)
    other = _objects((359.9999, 89.9), rng, 10_000, spread=9.0, density_per_deg2=5e8, completeness=0.9)
    sources = Objects(np.array([359.9999]), np.array([89.9]), np.array([3.0]))
    found = run(work, sources, [other], radius_arcsec=10.0)
    assert len(found.table) == 10_001
    assert found.table.p_i.sum() == pytest.approx(1, abs=1e-9)
    _check(found, sources, [other], 10.0, near=1e-9)


@SOME
@given(seed=st.integers(0, 10_000), nway=st.booleans())
def test_magnitudes_that_are_given(work: Connection, seed: int, nway: bool) -> None:
    """The factor of the bin, the lower edge inside; 1 outside of the bins and where the magnitude is missing."""
    rng = np.random.default_rng(seed)
    table = PriorTable(*np.array([[15, 18, 20], [18, 20, 24], [0.1, 0.3, 0.05], [0.01, 0.1, 0.2]], float))
    mags = rng.choice([np.nan, 14.9, 15.0, 17.0, 18.0, 19.99, 20.0, 23.5, 25.0], 12)
    bias = np.ones(12)
    for low, high, c, f in zip(table.low, table.high, table.counterparts, table.field, strict=True):
        bias[(mags >= low) & (mags < high)] = c / f
    place = (200.0, -30.0)
    sources = _objects(place, rng, 2, spread=2.0)
    other = _objects(place, rng, 12, spread=6.0, density_per_deg2=1e5, completeness=0.6, bias=bias)
    found = run(work, sources, [other], magnitudes=[mags], priors=[table], radius_arcsec=8.0, nway=nway)
    _check(found, sources, [other], 8.0, nway=nway)


def test_a_missing_magnitude_says_nothing(work: Connection) -> None:
    """Learned curves: a catalogue without any magnitude is matched as one without a magnitude column."""
    rng = np.random.default_rng(2)
    sources = _objects((10.0, 0.0), rng, 300, spread=600.0)
    other = _objects((10.0, 0.0), rng, 3000, spread=600.0, density_per_deg2=1e4, completeness=0.6)
    none = run(work, sources, [other], magnitudes=[np.full(3000, np.nan)], radius_arcsec=8.0, calibrate=True)
    plain = run(work, sources, [other], radius_arcsec=8.0, calibrate=True)
    assert none.p_any() == pytest.approx(plain.p_any(), abs=1e-12)


def test_the_edge_of_the_circle(work: Connection) -> None:
    """An object just within the radius is in, one a tenth of a milliarcsecond beyond is not."""
    sources = Objects(np.array([0.0]), np.array([0.0]), np.array([3.0]))
    seps = np.array([0.0, 5.0, 9.9999, 10.0001])
    other = Objects(np.zeros(4), seps / 3600, np.ones(4), density_per_deg2=1e4)
    assert sorted(m[0] for m in run(work, sources, [other], radius_arcsec=10.0).p_i(0)) == [0, 1, 2]


@pytest.mark.parametrize("radius", [0.0, -1.0, float("nan"), float("inf"), 30 * 3600.0])
def test_a_radius_that_makes_no_sense_is_refused(work: Connection, radius: float) -> None:
    some = Objects(np.array([5.0]), np.array([0.0]), np.ones(1))
    with pytest.raises(ConfigError, match=r"radius is .* arcsec; it must be above 0 and at most 3600"):
        run(work, some, [some], radius_arcsec=radius)


@pytest.mark.parametrize("table", ["counterpart", "detection"])
@pytest.mark.parametrize("err", ["0", "'NaN'", "-1", "'Infinity'"])
def test_an_error_that_makes_no_sense_is_refused_by_the_table(work: Connection, table: str, err: str) -> None:
    """Nothing that is stored can have one, and the message names the column."""
    with pytest.raises(psycopg.errors.CheckViolation, match="err_arcsec"), work.transaction():
        work.execute(f"CREATE TEMP TABLE guarded (LIKE xcat.{table} INCLUDING CONSTRAINTS) ON COMMIT DROP")
        work.execute(
            "INSERT INTO guarded (catalogue_id, object_id, file_id, native_id, ra, dec, err_arcsec)"
            f" VALUES (1, 1, 0, 'x', 10, 20, {err})"
        )
