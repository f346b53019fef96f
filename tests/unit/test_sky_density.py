"""Density and footprint of a catalogue, from where its objects are."""

from __future__ import annotations

import astropy.units as u
import numpy as np
import numpy.typing as npt
import pytest
from astropy.coordinates import SkyCoord
from hypothesis import given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from xcat.sky import density_map
from xcat.sky.density_map import DensityMap, cells

SKY_DEG2 = 41252.96125
# right ascension 0, both poles, a corner of a polar base cell, an ordinary place
CENTRES = [(0.0, 0.0), (123.0, 90.0), (10.0, -90.0), (0.0, 41.8103), (359.999, -41.8103), (150.0, 2.2), (45.0, 89.6)]


def from_positions(ra: npt.ArrayLike, dec: npt.ArrayLike) -> DensityMap:
    """Density map of positions in degrees."""
    return DensityMap(*np.unique(cells(ra, dec), return_counts=True))


def sphere(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Uniform over the sky."""
    return rng.uniform(0, 360, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))


def ring(
    rng: np.random.Generator, centre: tuple[float, float], inner_deg: float, outer_deg: float, n: int
) -> tuple[np.ndarray, np.ndarray]:
    """Uniform between two small radii around a centre."""
    radius = np.sqrt(rng.uniform(inner_deg**2, outer_deg**2, n))
    middle = SkyCoord(centre[0] * u.deg, centre[1] * u.deg)
    place = middle.directional_offset_by(rng.uniform(0, 2 * np.pi, n) * u.rad, radius * u.deg)
    return place.ra.deg % 360, place.dec.deg


def test_the_density_of_a_uniform_sky_is_unbiased_with_less_than_poisson_scatter() -> None:
    rng = np.random.default_rng(11)
    for n in (30_000, 300_000):
        sky = from_positions(*sphere(rng, n))
        found = sky.density_per_deg2(*sphere(rng, 50_000)) / (n / SKY_DEG2)
        in_cell = n / (12 * 4 ** (sky.fine_order - 2))
        assert abs(found.mean() - 1) < 0.01
        assert found.std() < in_cell**-0.5
        assert sky.area_deg2 == pytest.approx(SKY_DEG2, rel=0.01)
        assert sky.covers(*sphere(rng, 50_000)).mean() > 0.98


@pytest.mark.parametrize("centre", CENTRES)
@pytest.mark.parametrize("n", [4_000, 100_000])
def test_a_field_has_its_density_up_to_its_edge_and_ends_there(centre: tuple[float, float], n: int) -> None:
    rng = np.random.default_rng(3)
    field = from_positions(*ring(rng, centre, 0, 0.8, n))
    true = n / (np.pi * 0.8**2)
    for inner, outer in ((0.0, 0.6), (0.7, 0.8)):
        found = field.density_per_deg2(*ring(rng, centre, inner, outer, 20_000)) / true
        assert abs(found.mean() - 1) < 0.05
        assert found.std() < 0.12
    assert field.covers(*ring(rng, centre, 0, 0.75, 20_000)).mean() > 0.98
    assert not field.covers(*ring(rng, centre, 1.0, 2.0, 20_000)).any()
    assert field.area_deg2 == pytest.approx(np.pi * 0.8**2, rel=0.2)


def test_the_density_follows_a_gradient() -> None:
    """As towards the galactic plane: scale height 20 degrees, a factor of 20 from the plane to 60 degrees."""
    rng = np.random.default_rng(8)
    height, n = 20.0, 1_000_000
    latitude = rng.exponential(height, n) * rng.choice([-1, 1], n)
    latitude = latitude[np.abs(latitude) < 90]
    sky = from_positions(rng.uniform(0, 360, len(latitude)), latitude)
    for b, tolerance in ((1.0, 0.03), (10.0, 0.03), (30.0, 0.05), (60.0, 0.10)):
        per_degree = len(latitude) * np.exp(-b / height) / (2 * height * (1 - np.exp(-90 / height)))
        at = rng.uniform(0, 360, 20_000), np.full(20_000, b)
        found = sky.density_per_deg2(*at) / (per_degree / 360 / np.cos(np.radians(b)))
        assert abs(found.mean() - 1) < tolerance, b
        assert sky.covers(*at).mean() > 0.97, b


def test_where_the_catalogue_thins_out_empty_cells_are_not_taken_for_its_edge() -> None:
    """One half of the sky 100 times denser: its cells set the fine order; the other half fills one in twenty."""
    rng = np.random.default_rng(4)
    ra, dec = sphere(rng, 1_000_000)
    keep = (dec > 0) | (rng.random(len(dec)) < 0.01)
    sky = from_positions(ra[keep], dec[keep])
    at = rng.uniform(0, 360, 20_000), np.degrees(np.arcsin(rng.uniform(-1, -0.3, 20_000)))
    assert 0.9 < sky.density_per_deg2(*at).mean() / (10_000 / SKY_DEG2) < 1.5  # occupied cells alone: 20
    assert sky.covers(*at).mean() > 0.97


def test_no_object_and_one_object() -> None:
    ra, dec = [0.0, 10.0, 10.0, 200.0], [90.0, 10.0, -90.0, 0.0]
    none, one = from_positions([], []), from_positions([10.0], [10.0])
    assert none.density_per_deg2(ra, dec).tolist() == pytest.approx([1 / SKY_DEG2] * 4)
    assert not none.covers(ra, dec).any()
    assert none.n_objects == 0
    found = one.density_per_deg2(ra, dec)
    assert ((found > 0) & np.isfinite(found)).all()
    assert one.covers(ra, dec).tolist() == [False, True, False, False]
    assert one.density_per_deg2([], []).shape == one.covers([], []).shape == (0,)


def test_a_few_objects_in_a_small_field_stay_in_it() -> None:
    rng = np.random.default_rng(2)
    field = from_positions(*ring(rng, (150.0, 2.0), 0, 0.2, 300))
    true = 300 / (np.pi * 0.2**2)
    found = field.density_per_deg2(*ring(rng, (150.0, 2.0), 0, 0.2, 2000)) / true
    assert abs(found.mean() - 1) < 0.25
    assert not field.covers(*ring(rng, (150.0, 2.0), 1, 5, 2000)).any()


@hypothesis(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.floats(0, 360, exclude_max=True), st.floats(-90, 90)), min_size=1, max_size=40),
    st.lists(st.tuples(st.floats(0, 360, exclude_max=True), st.floats(-90, 90)), min_size=1, max_size=10),
    st.integers(1, 200),
)
def test_any_catalogue_gives_a_density_everywhere_and_covers_its_own_objects(
    objects: list[tuple[float, float]], elsewhere: list[tuple[float, float]], times: int
) -> None:
    ra, dec = np.repeat(np.array(objects), times, axis=0).T
    sky = from_positions(ra, dec)
    for at in (np.array(elsewhere).T, np.array(objects).T):
        found = sky.density_per_deg2(*at)
        assert (found > 0).all()
        assert np.isfinite(found).all()
        # a turn around the axis changes nothing: neither does the form in which a right ascension is given
        assert found == pytest.approx(sky.density_per_deg2(at[0] + 360, at[1]), rel=1e-6)
    assert sky.covers(*np.array(objects).T).all()
    assert 0 < sky.area_deg2 <= SKY_DEG2 + 1e-6
    assert sky.n_objects == len(objects) * times


def test_cells_are_those_of_healpix() -> None:
    """Centres of base cells, and children inside their parents."""
    assert cells([45.0, 135.0, 225.0, 315.0], [60.0] * 4, 0).tolist() == [0, 1, 2, 3]
    assert cells([0.0, 90.0, 180.0, 270.0], [0.0] * 4, 0).tolist() == [4, 5, 6, 7]
    assert cells([45.0, 135.0, 225.0, 315.0], [-60.0] * 4, 0).tolist() == [8, 9, 10, 11]
    ra, dec = sphere(np.random.default_rng(1), 1000)
    assert (cells(ra, dec) >> 2 * 7 == cells(ra, dec, 3)).all()
    assert cells(ra, dec).dtype == np.int64


@pytest.mark.parametrize(("ra", "dec"), [(np.nan, 0.0), (0.0, np.inf), (0.0, 90.1), (0.0, -91.0)])
def test_an_invalid_position_is_refused(ra: float, dec: float) -> None:
    sky = from_positions([1.0], [1.0])
    for ask in (cells, sky.density_per_deg2, sky.covers, from_positions):
        with pytest.raises(ValueError, match="invalid position"):
            ask([ra], [dec])


@pytest.mark.parametrize(("healpix", "n"), [([5, 5], [1, 1]), ([5, 6], [1, 0])])
def test_a_map_needs_every_cell_once_with_an_object(healpix: list[int], n: list[int]) -> None:
    with pytest.raises(ValueError, match="every occupied cell once"):
        DensityMap(healpix, n)


def test_a_counter_counts_blocks_as_if_they_were_one() -> None:
    ra, dec = sphere(np.random.default_rng(5), 5000)
    counter = density_map.Counter()
    for start in range(0, 5000, 700):
        counter.add(ra[start : start + 700], dec[start : start + 700])
    whole = np.unique(cells(ra, dec), return_counts=True)
    assert all((a == b).all() for a, b in zip(counter.occupied(), whole, strict=True))
