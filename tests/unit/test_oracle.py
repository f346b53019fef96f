"""The oracle itself: against the formulas of circles, against astropy's offsets, and against NWAY's own answers."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from hypothesis import assume, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st
from unit.oracle import ARCSEC_PER_RADIAN, SKY_DEG2, Objects, log_bayes_factor, match, separations

ARCSEC = 1 / 3600
PLACES = st.sampled_from([(0.0, 0.0), (359.99999, -30.0), (10.0, 89.9999), (200.0, -89.99), (77.0, 90.0), (150.1, 2.2)])


def _around(ra: float, dec: float, distance: np.ndarray, angle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions at distances (arcsec) and angles (degrees) from one, by astropy."""
    there = SkyCoord(ra, dec, unit="deg").directional_offset_by(angle * u.deg, distance * u.arcsec)
    return there.ra.deg % 360, there.dec.deg


def _members(*objects: Objects) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(o.vectors[i], o.covariances[i]) for o in objects for i in range(len(o))]


def _sky(draw_seed: int, place: tuple[float, float], n: int, spread: float = 3.0) -> Objects:
    rng = np.random.default_rng(draw_seed)
    ra, dec = _around(*place, spread * np.sqrt(rng.random(n)), rng.uniform(0, 360, n))
    return Objects(ra, dec, rng.uniform(0.1, 2.0, n))


def _ellipses(seed: int, place: tuple[float, float], n: int) -> Objects:
    rng = np.random.default_rng(seed)
    o = _sky(seed, place, n)
    maj = rng.uniform(0.5, 3, n)
    return Objects(o.ra, o.dec, o.err, maj=maj, min=maj * rng.uniform(0.2, 1, n), pa=rng.uniform(0, 180, n))


@hypothesis(max_examples=60, deadline=None)
@given(place=PLACES, seed=st.integers(0, 10_000))
def test_two_circles(place: tuple[float, float], seed: int) -> None:
    o = _sky(seed, place, 2)
    v = float((o.err**2).sum())
    psi = separations(o, o.vectors[0])[1]
    wanted = np.log(2) + 2 * np.log(ARCSEC_PER_RADIAN) - np.log(v) - psi**2 / (2 * v)
    assert log_bayes_factor(_members(o)) == pytest.approx(wanted, abs=1e-6)


@hypothesis(max_examples=60, deadline=None)
@given(place=PLACES, seed=st.integers(0, 10_000), n=st.integers(2, 5))
def test_many_circles(place: tuple[float, float], seed: int, n: int) -> None:
    """NWAY's formula with the separations of all pairs."""
    o = _sky(seed, place, n)
    w = o.err**-2.0
    squares = sum(separations(o, o.vectors[i])[j] ** 2 * w[i] * w[j] for i in range(n) for j in range(i + 1, n))
    wanted = (n - 1) * (np.log(2) + 2 * np.log(ARCSEC_PER_RADIAN)) + np.log(w).sum() - np.log(w.sum())
    wanted -= squares / (2 * w.sum())
    assert log_bayes_factor(_members(o)) == pytest.approx(wanted, abs=1e-5)


@hypothesis(max_examples=60, deadline=None)
@given(place=PLACES, seed=st.integers(0, 10_000), n=st.integers(2, 5), ellipses=st.booleans())
def test_any_order_gives_the_same(place: tuple[float, float], seed: int, n: int, ellipses: bool) -> None:
    """Pineau et al. 2017: no catalogue comes first."""
    members = _members((_ellipses if ellipses else _sky)(seed, place, n))
    first = log_bayes_factor(members)
    for order in list(permutations(range(n)))[:24]:
        assert log_bayes_factor([members[i] for i in order]) == pytest.approx(first, abs=2e-3)


@hypothesis(max_examples=40, deadline=None)
@given(place=PLACES, seed=st.integers(0, 10_000), n=st.integers(3, 5), ellipses=st.booleans())
def test_one_after_the_other_gives_the_same(place: tuple[float, float], seed: int, n: int, ellipses: bool) -> None:
    """n at once is two, and the weighted mean of these with the third, and so on."""
    members = _members((_ellipses if ellipses else _sky)(seed, place, n))
    mean, covariance = members[0]
    total = 0.0
    for vector, other in members[1:]:
        total += log_bayes_factor([(mean, covariance), (vector, other)])
        mean, covariance = _combined(mean, covariance, vector, other)
    assert total == pytest.approx(log_bayes_factor(members), abs=2e-3)


def _combined(a: np.ndarray, ca: np.ndarray, b: np.ndarray, cb: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean of two positions and its covariance; a pseudoinverse, as a covariance is flat in the plane."""
    middle = (a + b) / np.linalg.norm(a + b)
    side = np.linalg.svd(middle[None])[2][1:]
    pa, pb = (np.linalg.inv(side @ c @ side.T) for c in (ca, cb))
    covariance = np.linalg.inv(pa + pb)
    x = covariance @ (pa @ side @ a + pb @ side @ b)
    mean = side.T @ x + middle * np.sqrt(1 - x @ x)
    return mean, side.T @ covariance @ side


@hypothesis(max_examples=60, deadline=None)
@given(place=PLACES, seed=st.integers(0, 10_000), pa=st.floats(-180, 360))
def test_an_ellipse_of_equal_axes_is_a_circle(place: tuple[float, float], seed: int, pa: float) -> None:
    o = _sky(seed, place, 2)
    round_ = Objects(o.ra, o.dec, o.err, maj=o.err, min=o.err, pa=np.full(2, pa))
    assert log_bayes_factor(_members(round_)) == pytest.approx(log_bayes_factor(_members(o)), abs=1e-9)


@hypothesis(max_examples=60, deadline=None)
@given(
    place=st.sampled_from([(0.0, 0.0), (359.99999, -30.0), (10.0, 89.99), (200.0, -89.99), (150.1, 2.2)]),
    pa=st.floats(0, 180),
    maj=st.floats(1, 5),
    ratio=st.floats(0.05, 0.9),
)
def test_the_major_axis_points_where_astropy_says(
    place: tuple[float, float], pa: float, maj: float, ratio: float
) -> None:
    """One sigma along the major axis costs 1/2, as does one across; the object itself is a point."""
    small = maj * ratio
    source = Objects(*place, maj, maj=np.array([maj]), min=np.array([small]), pa=np.array([pa]))
    at = [*_around(*place, np.array([0.0, maj, small]), np.array([0.0, pa, pa + 90]))]
    points = Objects(*at, np.full(3, 1e-4))
    middle, along, across = (log_bayes_factor([*_members(source), m]) for m in _members(points))
    assert middle - along == pytest.approx(0.5, rel=1e-3)
    assert middle - across == pytest.approx(0.5, rel=1e-3)


def test_an_angle_belongs_to_its_own_place() -> None:
    """Next to a pole, north of a candidate is not north of the source: both ellipses point at each other here."""
    source = SkyCoord(0.0, 89.9995, unit="deg")
    other = source.directional_offset_by(60 * u.deg, 3 * u.arcsec)
    there, back = source.position_angle(other).deg, other.position_angle(source).deg
    assert abs(back - there - 180) > 10
    a, b = (
        Objects(p.ra.deg, p.dec.deg, 1.0, maj=np.array([2.0]), min=np.array([0.1]), pa=np.array([pa]))
        for p, pa in ((source, there), (other, back))
    )
    wanted = np.log(2) + 2 * np.log(ARCSEC_PER_RADIAN) - np.log(8 * 0.02) / 2 - 9 / (2 * 8)
    assert log_bayes_factor(_members(a, b)) == pytest.approx(wanted, abs=1e-4)


@hypothesis(max_examples=40, deadline=None)
@given(place=PLACES, seed=st.integers(0, 10_000), nway=st.booleans())
def test_the_order_of_the_catalogues(place: tuple[float, float], seed: int, nway: bool) -> None:
    """It changes nothing, but NWAY's p_any: the first member of a combination without the source has no density."""
    source = Objects(*place, 1.0)
    skies = [_sky(seed + i, place, i + 1) for i in range(3)]
    skies = [Objects(o.ra, o.dec, o.err, density_per_deg2=10.0 ** (4 + i)) for i, o in enumerate(skies)]
    first = match(source, skies, 10.0, nway=nway)
    assume(first.p_any > 1e-12)
    assert sum(first.p_i().values()) == pytest.approx(1)
    for order in permutations(range(3)):
        other = match(source, [skies[k] for k in order], 10.0, nway=nway)
        assert nway or other.p_any == pytest.approx(first.p_any, rel=1e-6)
        for members, p_i in other.p_i().items():
            back = tuple(members[order.index(k)] for k in range(3))
            assert p_i == pytest.approx(first.p_i()[back], abs=1e-6)


def test_two_way_by_hand() -> None:
    """Without approximations: c S / (c S + 1 - c); with NWAY's: c S / (c S + 1)."""
    ra, dec = _around(5.0, 0.0, np.array([1.0, 4.0, 10.5]), np.array([10.0, 100.0, 0.0]))
    other = Objects(ra, dec, np.full(3, 0.5), density_per_deg2=2e4, completeness=0.7, bias=np.array([3.0, 1.0, 1.0]))
    v = 1.2**2 + 0.5**2
    s = [b * 2 * ARCSEC_PER_RADIAN**2 / v * np.exp(-(r**2) / (2 * v)) / (2e4 * SKY_DEG2) for r, b in ((1, 3), (4, 1))]
    for nway, none in ((False, 0.3), (True, 1.0)):
        answer = match(Objects(5.0, 0.0, 1.2), [other], 10.0, nway=nway)
        assert answer.p_any == pytest.approx(0.7 * sum(s) / (0.7 * sum(s) + none), rel=1e-6)
        assert answer.p_i() == pytest.approx({(0,): s[0] / sum(s), (1,): s[1] / sum(s)}, rel=1e-5)
        assert [h.match_flag for h in answer.hypotheses] == [0, 1, 0]


@pytest.mark.shared
def test_nways_own_answers(shared_data: Path) -> None:
    """All of 40 sources of the three-way file: Bayes factors, p_single, p_any, p_i, flags, its 'none' included."""
    with fits.open(shared_data / "cosmos" / "nway48_cosmos_xmm_opt_irac_magprior.fits.gz") as hdus:
        data = hdus[1].data
        table = {name: np.asarray(data[name]).astype(float) for name in data.names}
    first = np.flatnonzero((table["OPT_ID"] == -99) & (table["IRAC_ID"] == -99))
    # some for which "none" is better explained by an optical and an infrared object that are one
    corrected = first[table["dist_bayesfactor_corrected"][first] > 0.1]
    assert len(corrected) > 20
    for start in [*first[:20], *corrected[:20]]:
        rows = np.flatnonzero(table["XMM_ID"] == table["XMM_ID"][start])
        mine = {name: values[rows] for name, values in table.items()}
        ids, catalogues = [], []
        for name, magnitude, err, n in (("OPT", "MAG", 0.1, 560_536), ("IRAC", "mag_ch1", 0.5, 345_512)):
            known, at = np.unique(mine[f"{name}_ID"], return_index=True)
            at = at[known != -99]
            ids.append(known[known != -99])
            catalogues.append(
                Objects(
                    mine[f"{name}_RA"][at],
                    mine[f"{name}_DEC"][at],
                    np.full(len(at), err),
                    density_per_deg2=n / 2.0,
                    completeness=0.9,
                    bias=mine[f"bias_{name}_{magnitude}"][at],
                )
            )
        source = Objects(mine["XMM_RA"][0], mine["XMM_DEC"][0], mine["XMM_pos_err"][0])
        answer = match(source, catalogues, 15.0 + 1e-6, nway=True)
        assert answer.p_any == pytest.approx(mine["p_any"][0], abs=1e-5)
        found = {h.members: h for h in answer.hypotheses}
        theirs = {}
        for row in range(len(rows)):
            members = tuple(
                None if mine[f"{n}_ID"][row] == -99 else int(np.searchsorted(i, mine[f"{n}_ID"][row]))
                for n, i in zip(("OPT", "IRAC"), ids, strict=True)
            )
            theirs[members] = row
        # they leave out a pair whose members are farther from one another than the radius
        assert set(theirs) <= set(found)
        assert all(found[members].p_i < 1e-30 for members in set(found) - set(theirs))
        for members, row in theirs.items():
            h = found[members]
            assert h.log_bayes / np.log(10) == pytest.approx(mine["dist_bayesfactor"][row], rel=1e-5, abs=1e-4)
            assert h.p_single == pytest.approx(mine["p_single"][row], abs=1e-5)
            assert h.p_i == pytest.approx(mine["p_i"][row], abs=1e-5)
            assert h.match_flag == mine["match_flag"][row]
