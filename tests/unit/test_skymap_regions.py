"""Sky maps: levels, regions and cells against plain loops, astropy-healpix and mocpy, however the map is cut."""

from __future__ import annotations

from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy_healpix import boundaries_lonlat, healpix_to_lonlat, lonlat_to_healpix
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.collections import PathCollection
from mocpy import MOC
from scipy.integrate import quad
from skymap_files import SR_DEG2, area_sr, levels, split, uniq

from xcat.errors import InputError
from xcat.output import skymap_figure
from xcat.sky.density_map import cells
from xcat.sky.distance import conditional_moments
from xcat.sky.nested import FINEST, join_cells, of_uniq
from xcat.sky.skymap import SkyMap

FLAT = 4  # order of the flat maps
DENSITIES = st.sampled_from([0.0, 1e-9, 0.25, 1.0, 1.1, 3.0, 7.5, 1e4])
MAPS = st.tuples(st.lists(st.integers(0, 10**6), max_size=25), st.lists(DENSITIES, min_size=3, max_size=40))
QUICK = settings(max_examples=40, deadline=None)


def made(parts: tuple[list[int], list[float]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Orders, cells and densities (not normalised) of a whole sky; not all are 0."""
    order, cell = split(parts[0], FLAT)
    density = np.resize(parts[1], len(order)).astype(float)
    density[0] = max(density[0], 0.5)
    return order, cell, density


def flattened(order: np.ndarray, cell: np.ndarray, density: np.ndarray) -> np.ndarray:
    """Density of every cell of the flat map."""
    flat = np.empty(12 * 4**FLAT)
    for o, c, d in zip(order, cell, density, strict=True):
        n = 4 ** (FLAT - o)
        flat[c * n : (c + 1) * n] = d
    return flat


def positions(n: int = 300, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))


@QUICK
@given(MAPS)
def test_a_multi_order_and_a_flat_map_say_the_same(parts: Any) -> None:
    order, cell, density = made(parts)
    multi = SkyMap.of_cells(order, cell, density, is_density=True)
    flat_density = flattened(order, cell, density)
    n = len(flat_density)
    flat = SkyMap.of_cells(np.full(n, FLAT), np.arange(n), flat_density * area_sr(FLAT))
    ra, dec = positions()
    one, other = multi.cell_of(ra, dec), flat.cell_of(ra, dec)
    np.testing.assert_allclose(multi.level[one], flat.level[other], atol=1e-12)
    np.testing.assert_allclose(multi.density_per_deg2[one], flat.density_per_deg2[other], rtol=1e-12)
    for level in (0.1, 0.5, 0.9, 1.0):
        np.testing.assert_array_equal(multi.is_in(level)[one], flat.is_in(level)[other])
        assert multi.region(level).area_deg2 == pytest.approx(flat.region(level).area_deg2, rel=1e-12)
        np.testing.assert_array_equal(multi.region(level).first, flat.region(level).first)


@QUICK
@given(MAPS)
def test_levels_are_those_of_a_plain_loop(parts: Any) -> None:
    order, cell, density = made(parts)
    skymap = SkyMap.of_cells(order, cell, density, is_density=True)
    at = np.argsort(cell << 2 * (FINEST - order))
    np.testing.assert_allclose(skymap.level, levels(order[at], density[at]), atol=1e-12)
    assert skymap.probability.sum() == pytest.approx(1, abs=1e-12)
    order_again, cell_again = of_uniq(uniq(order, cell))
    np.testing.assert_array_equal(order_again, order)
    np.testing.assert_array_equal(cell_again, cell)


@QUICK
@given(MAPS, st.floats(0.01, 0.999))
def test_a_region_holds_its_probability_is_minimal_and_nests(parts: Any, level: float) -> None:
    order, cell, density = made(parts)
    skymap = SkyMap.of_cells(order, cell, density, is_density=True)
    inside = skymap.is_in(level)
    p, region = skymap.probability[inside], skymap.region(level)
    assert region.probability == pytest.approx(p.sum()) and p.sum() >= level - 1e-11
    per_area = p / area_sr(skymap.order[inside])
    least = per_area <= per_area.min() * (1 + 1e-12)
    assert p[~least].sum() < level
    others = skymap.probability[~inside] / area_sr(skymap.order[~inside])
    assert others.max(initial=0) < per_area.min()
    assert not (skymap.is_in(level / 2) & ~inside).any()
    inner = skymap.region(level / 2)
    place = np.searchsorted(region.first, inner.first, side="right") - 1
    assert (inner.last <= region.last[place]).all() and (place >= 0).all()


@QUICK
@given(MAPS)
def test_areas_are_those_of_mocpy(parts: Any) -> None:
    order, cell, density = made(parts)
    density = density + 1e-3 * np.random.default_rng(1).random(len(density))  # no two are equal: mocpy takes one by one
    skymap = SkyMap.of_cells(order, cell, density, is_density=True)
    options = {"max_depth": FINEST, "asc": False, "strict": False, "no_split": True, "reverse_decent": False}
    p = density * area_sr(order) / (density * area_sr(order)).sum()
    for level in (0.5, 0.9):
        moc = MOC.from_valued_healpix_cells(uniq(order, cell), p, cumul_from=0, cumul_to=level, **options)
        assert skymap.region(level).area_deg2 == pytest.approx(moc.sky_fraction * 4 * np.pi * SR_DEG2, rel=1e-12)
        assert skymap.region(level).moc() == moc


@QUICK
@given(MAPS, st.integers(0, 10**6), st.integers(0, 3))
def test_a_cell_too_many_is_noticed(parts: Any, which: int, finer: int) -> None:
    """A cell of the map again, one inside it, or one around it."""
    order, cell, density = made(parts)
    i = which % len(order)
    depth = max(int(order[i]) + finer - 1, 0)
    shift = 2 * (depth - int(order[i]))
    more = int(cell[i]) << shift if shift >= 0 else int(cell[i]) >> -shift
    with pytest.raises(InputError, match=r"the same cell twice|cells that overlap") as refused:
        SkyMap.of_cells(np.append(order, depth), np.append(cell, more), np.append(density, 1.0), is_density=True)
    assert str(len(order) + 1) in str(refused.value) or shift < 0


def test_a_place_on_a_border_is_in_exactly_one_cell() -> None:
    """Corners, edges and middles: found by their range, in the cell that astropy-healpix finds at its order."""
    order, cell = split(list(range(0, 400, 7)), 5)
    skymap = SkyMap.of_cells(order, cell, np.arange(1.0, len(order) + 1), is_density=True)
    places = [boundaries_lonlat(c, 2, 2**o, order="nested") for o, c in zip(order, cell, strict=True)]
    ra = np.concatenate([np.ravel(lon.to_value(u.deg)) for lon, _ in places])
    dec = np.concatenate([np.ravel(lat.to_value(u.deg)) for _, lat in places])
    found = skymap.cell_of(ra % 360, dec)
    n_hits = np.zeros(len(ra), int)
    for i in range(len(skymap.order)):
        at_order = cells(ra % 360, dec, FINEST) >> 2 * (FINEST - skymap.order[i])
        is_here = at_order == skymap.first[i] >> 2 * (FINEST - skymap.order[i])
        n_hits += is_here
        assert (found[is_here] == i).all()
    assert (n_hits == 1).all()


def test_the_cells_are_those_of_astropy_healpix() -> None:
    ra, dec = positions(2000)
    order, cell = split(list(range(0, 900, 11)), 6)
    skymap = SkyMap.of_cells(order, cell, np.arange(1.0, len(order) + 1), is_density=True)
    found = skymap.cell_of(ra, dec)
    for each in np.unique(skymap.order):
        here = skymap.order[found] == each
        own = lonlat_to_healpix(ra[here] * u.deg, dec[here] * u.deg, 2**each, order="nested")
        np.testing.assert_array_equal(skymap.first[found[here]] >> 2 * (FINEST - each), own)


def test_a_galactic_map_is_rotated() -> None:
    """Its sources are those whose galactic coordinates are in the cells; the ranges to look in hold them all."""
    rng = np.random.default_rng(2)
    value = np.where(rng.random(192) < 0.1, rng.random(192), 0.0)
    skymap = SkyMap.of_cells(np.full(192, 2), np.arange(192), value, is_galactic=True)
    ra, dec = positions(5000)
    place = SkyCoord(ra, dec, unit="deg").galactic
    expected = np.asarray(lonlat_to_healpix(place.l, place.b, 4, order="nested"))
    np.testing.assert_array_equal(skymap.cell_of(ra, dec), expected)
    region = skymap.region(0.9)
    first, last = skymap.equatorial_ranges(region)
    i = np.searchsorted(first, cells(ra, dec, FINEST), side="right") - 1
    in_ranges = (i >= 0) & (cells(ra, dec, FINEST) <= last[i])
    inside = skymap.is_in(0.9)[expected]
    assert in_ranges[inside].all() and inside.sum() > 100
    assert in_ranges.mean() < 2 * inside.mean()


@pytest.mark.parametrize("ratio", [-30.0, -4.001, -3.999, -1.0, 0.0, 2.0, 40.0])
def test_the_distance_is_the_mean_of_its_distribution(ratio: float) -> None:
    low, high = max(0.0, ratio - 12), max(0.0, ratio) + (12 if ratio > -3 else 60 / abs(ratio))
    shift = max(ratio, 0.0) ** 2 / 2

    def moment(k: int) -> float:
        value, _ = quad(lambda r: r**k * np.exp(-(r**2) / 2 + ratio * r - shift), low, high, epsabs=0, limit=400)
        return float(value)

    mean, std = conditional_moments(np.array([ratio * 30]), np.array([30.0]))
    assert mean[0] == pytest.approx(30 * moment(3) / moment(2), rel=1e-9)
    assert std[0] == pytest.approx(30 * np.sqrt(moment(4) / moment(2) - (moment(3) / moment(2)) ** 2), rel=1e-7)


def test_unknown_distances_are_unknown() -> None:
    mean, std = conditional_moments(np.array([np.inf, 100.0, np.nan, 100.0]), np.array([1.0, 0.0, 5.0, 10.0]))
    assert np.isnan(mean).tolist() == np.isnan(std).tolist() == [True, True, True, False]
    skymap = SkyMap.of_cells([0], [3], [1.0])
    assert np.isnan(skymap.distance_mpc(np.array([0]))).all()


def test_equal_cells_are_joined_and_keep_their_values() -> None:
    values = np.array([[1.0] * 16 + [2.0] * 4 + [1.0, 1.0, 1.0, 3.0], [5.0] * 24])
    pieces = join_cells(3, np.arange(32, 56), values)
    orders, numbers, joined = (np.concatenate(each, axis=-1) for each in zip(*pieces, strict=True))
    found = {(int(o), int(c)): float(v) for o, c, v in zip(orders, numbers, joined[0], strict=True)}
    assert found == {(1, 2): 1.0, (2, 12): 2.0, (3, 52): 1.0, (3, 53): 1.0, (3, 54): 1.0, (3, 55): 3.0}
    assert sum(len(cell) for _, cell, _ in join_cells(0, np.arange(12), np.ones((1, 12)))) == 12


def one_by_one(order: int, cell: np.ndarray, values: np.ndarray) -> dict[tuple[int, int], tuple[float, ...]]:
    kept: dict[tuple[int, int], tuple[float, ...]] = {}
    level = {int(c): tuple(v) for c, v in zip(cell, values.T, strict=True)}
    while level:
        parts = {c: [level.get(4 * c + i) for i in range(4)] for c in {c >> 2 for c in level}} if order else {}
        whole = {c: p[0] for c, p in parts.items() if p[0] is not None and p.count(p[0]) == 4}
        kept |= {(order, c): v for c, v in level.items() if c >> 2 not in whole}
        level, order = whole, order - 1
    return kept


@QUICK
@given(
    st.integers(3, 5),
    st.lists(st.tuples(st.integers(0, 300), st.integers(1, 4), st.sampled_from([1.0, 2.0])), max_size=12),
    st.integers(0, 11),
    st.integers(1, 12),
    st.integers(0, 1),
)
def test_cells_are_joined_as_one_by_one(
    order: int, patches: list[tuple[int, int, float]], first: int, number: int, more: int
) -> None:
    cell = np.arange(first * 4**3, (first + number) * 4**3 + more)
    values = np.ones((2, len(cell)))
    for start, size, value in patches:
        values[start % 2, start : start + 4**size] = value
    pieces = join_cells(order, cell, values)
    found = {(int(o[i]), int(c[i])): tuple(v[:, i]) for o, c, v in pieces for i in range(len(c))}
    assert found == one_by_one(order, cell, values)
    assert sum(len(c) for _, c, _ in pieces) == len(found)


@pytest.mark.parametrize(
    ("order", "cell", "value", "message"),
    [
        ([0, 1], [0, 2], [0.5, 0.5], r"m\.fits: column 'UNIQ', rows 1 and 2: cells that overlap; 1 such pairs"),
        ([1, 0], [2, 0], [0.5, 0.5], r"rows 1 and 2: cells that overlap"),
        ([1, 1, 1], [2, 5, 2], [0.5, 0.2, 0.5], r"rows 1 and 3: the same cell twice"),
        ([1, 1], [2, 5], [0.5, np.nan], r"m\.fits: column 'PROB', row 2: nan is no probability"),
        ([1, 1], [2, 5], [-0.1, -1], r"column 'PROB', row 1 and 1 more rows: -0\.1 is no probability"),
        ([1, 1], [2, 5], [np.inf, 1], r"column 'PROB', row 1: inf is no probability"),
        ([1, 1], [2, 5], [0.0, 0.0], r"column 'PROB' has no probabilities: all are 0"),
        ([1, 1], [2, 5], [1e308, 1e308], r"their sum is too large"),
        ([], [], [], r"the map has no cell with a value"),
    ],
)
def test_impossible_maps_are_refused(order: list[int], cell: list[int], value: list[float], message: str) -> None:
    with pytest.raises(InputError, match=message), np.errstate(over="ignore"):
        SkyMap.of_cells(order, cell, value, where="m.fits")


def test_what_is_changed_or_missing_is_told() -> None:
    skymap = SkyMap.of_cells([1] * 24, range(24), [0.02] * 24, where="m.fits")
    assert skymap.notes == [
        "m.fits: the probabilities add up to 0.48; they were divided by it",
        "m.fits: the cells cover 50.0000% of the sky; elsewhere the probability is taken as 0",
    ]
    assert skymap.cell_at(np.array([12 * 4**FINEST - 1, -1])).tolist() == [-1, -1]
    assert SkyMap.of_cells([0] * 12, range(12), [1 / 12] * 12).notes == []


class Sources(dict):
    """Positions and classes as the figure takes them."""

    def __len__(self) -> int:
        return len(self["ra"])

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            return super().__getitem__(key)
        return Sources({name: np.asarray(values)[key] for name, values in self.items()})


@pytest.mark.parametrize("is_galactic", [False, True])
def test_the_figure_has_regions_and_sources(tmp_path: Any, is_galactic: bool) -> None:
    lon, lat = healpix_to_lonlat(np.arange(12 * 4**FLAT), 2**FLAT, order="nested")
    away = SkyCoord(lon, lat).separation(SkyCoord(30 * u.deg, 40 * u.deg)).deg
    value = np.exp(-((away / 8) ** 2) / 2)
    near, far = (
        SkyMap.of_cells(np.full(len(v), FLAT), np.arange(len(v)), v, is_galactic=is_galactic, facts={"object": "S1"})
        for v in (value, value + 0.2)
    )
    sources = Sources(ra=[29.0, 31.0, 200.0], dec=[40.0, 41.0, 0.0], **{"class": ["AGN", "XRB", "AGN"]})
    for skymap, n_axes in ((near, 2),) if is_galactic else ((near, 2), (far, 1)):
        regions = [skymap.region(level) for level in (0.5, 0.9)]
        figure = skymap_figure.figure(skymap, regions, sources)  # type: ignore[arg-type]
        assert len(figure.axes) == n_axes
        drawn = [c.get_offsets() for c in figure.axes[0].collections if isinstance(c, PathCollection)]
        assert sorted(len(offsets) for offsets in drawn) == [1, 2]
        labels = [text.get_text() for text in figure.legends[0].get_texts()]
        assert labels[2:] == ["AGN (2)", "XRB (1)"]
        assert labels[1] == f"0.9 region, {regions[1].area_deg2:,.4g} deg$^2$"


def test_a_figure_is_written(tmp_path: Any) -> None:
    skymap = SkyMap.of_cells([0], [4], [1.0])
    sources = Sources(ra=[], dec=[], **{"class": []})
    path = skymap_figure.draw(skymap, [skymap.region(0.9)], sources, tmp_path / "a.svg")  # type: ignore[arg-type]
    assert path.read_text().startswith("<?xml") and "0.9 region" in path.read_text()
