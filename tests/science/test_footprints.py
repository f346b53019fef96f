"""A deep field whose X-ray image exceeds its optical one: p_any is right inside, outside, and at the edge.

The optical image is a square with ragged edges and holes where bright stars are; the infrared one is another square.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

import astropy.units as u
import numpy as np
import pytest
from integration.matching import make_table
from mocpy import MOC

from xcat.config import Settings
from xcat.database.connection import Connection, ready
from xcat.match.engine import MatchOptions, Outcome, match
from xcat.match.haystack import Haystack
from xcat.match.learned import Learned
from xcat.match.targets import Targets
from xcat.sky.density_map import Counter, map_of

CENTRE = 150.0, 2.2
XRAY_DEG, OPTICAL_DEG = 0.9, 0.6
COMPLETENESS = 0.75, 0.6
BOTH = 0.5  # counterparts in both
PER_DEG2 = 60_000.0, 30_000.0
N_SOURCES = 4000
ARCSEC = 1 / 3600
Inside = Callable[[np.ndarray, np.ndarray], np.ndarray]


def optical(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Whether places (degrees east and north of the centre) are on the optical image."""
    ragged = 0.02 * np.sign(np.sin(40 * y)) * (x > 0)
    inside = (np.abs(x + ragged) < OPTICAL_DEG / 2) & (np.abs(y) < OPTICAL_DEG / 2)
    holes = np.random.default_rng(6).uniform(-OPTICAL_DEG / 2, OPTICAL_DEG / 2, (12, 2))
    for (hole_x, hole_y), radius in zip(holes, np.linspace(60, 150, 12) * ARCSEC, strict=True):
        inside &= np.hypot(x - hole_x, y - hole_y) > radius
    return np.asarray(inside)


def infrared(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The same for the infrared image."""
    return np.asarray((x > -0.2) & (np.abs(y) < 0.4) & (x < 0.45))


def place(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return CENTRE[0] + x / np.cos(np.radians(CENTRE[1])), CENTRE[1] + y


@cache
def area_of_image() -> str:
    """The optical image as a MOC of order 15 (6 arcsec)."""
    axis = np.arange(-0.35, 0.35, 3 * ARCSEC)
    x, y = (grid.ravel() for grid in np.meshgrid(axis, axis))
    ra, dec = place(*(v[optical(x, y)] for v in (x, y)))
    return str(MOC.from_lonlat(ra * u.deg, dec * u.deg, max_norder=15).to_string(format="ascii"))


class Field:
    """Sources, two catalogues, and which sources have a counterpart in each."""

    def __init__(self, conn: Connection) -> None:
        self.conn, rng = conn, np.random.default_rng(12)
        true = rng.uniform(-XRAY_DEG / 2, XRAY_DEG / 2, (2, N_SOURCES))
        err = rng.uniform(0.5, 2.5, N_SOURCES)
        self.x, self.y = true + rng.normal(0, err, (2, N_SOURCES)) * ARCSEC
        ra, dec = place(self.x, self.y)
        self.sources = Targets.of({"id": np.arange(N_SOURCES), "ra": ra, "dec": dec, "err_arcsec": err})
        u = rng.random(N_SOURCES)
        exists = u < COMPLETENESS[0], (u < BOTH) | (u > 1 - (COMPLETENESS[1] - BOTH))
        self.has, self.maps, self.tables = [], [], []
        for k, inside in enumerate((optical, infrared)):
            n = rng.poisson(PER_DEG2[k] * 1.2**2)
            x, y = rng.uniform(-0.6, 0.6, (2, n))
            has = exists[k] & inside(*true)
            counterparts = (true[:, has] + rng.normal(0, 0.2, (2, has.sum())) * ARCSEC) if k else true[:, has]
            keep = inside(x, y)
            x, y = np.append(x[keep], counterparts[0]), np.append(y[keep], counterparts[1])
            ra, dec = place(x, y)
            make_table(conn, f"image{k + 1}", {
                "object_id": np.arange(1, len(ra) + 1), "ra": ra, "dec": dec, "err_arcsec": np.full(len(ra), 0.2),
            })  # fmt: skip
            counter = Counter()
            counter.add(ra, dec)
            self.has.append(has)
            self.maps.append(map_of(counter))

    def catalogue(self, k: int, area: str | None = None) -> Haystack:
        return Haystack(k, f"image{k}", f"pg_temp.image{k}", density_map=self.maps[k - 1], area=area)

    @cache  # noqa: B019 - one field for the module
    def matched(
        self, *numbers: int, with_area: bool = False
    ) -> tuple[Outcome, list[dict[str, np.ndarray]], np.ndarray]:
        """The outcome, the rows of each catalogue and p_any of all together, by source."""
        haystacks = [self.catalogue(k, area_of_image() if with_area and k == 1 else None) for k in numbers]
        return self.match(haystacks)

    def match(
        self, haystacks: list[Haystack], learned: Learned | None = None
    ) -> tuple[Outcome, list[dict[str, np.ndarray]], np.ndarray]:
        outcome = match(self.conn, self.sources, haystacks, MatchOptions(radius_arcsec=10.0), learned=learned)
        order = [np.argsort(rows["source_id"]) for rows in outcome.results]
        rows = [{n: v[o] for n, v in r.items()} for r, o in zip(outcome.results, order, strict=True)]
        query = "SELECT p_any FROM pg_temp.posterior WHERE rank = 0 AND NOT is_shifted ORDER BY id"
        return outcome, rows, np.array(self.conn.execute(query).fetchall())[:, 0]


@pytest.fixture(scope="module")
def field(module_settings: Settings) -> Iterator[Field]:
    with ready(module_settings) as conn:
        yield Field(conn)
        conn.rollback()


def near_edge(field: Field, inside: Inside, arcsec: float) -> np.ndarray:
    """Sources with both kinds of sky within a distance."""
    angle = np.arange(0, 2 * np.pi, np.pi / 8)[:, None]
    around = inside(field.x + arcsec * ARCSEC * np.sin(angle), field.y + arcsec * ARCSEC * np.cos(angle))
    return np.asarray(around.any(axis=0) & ~around.all(axis=0))


def assert_calibrated(p: np.ndarray, has: np.ndarray) -> None:
    """As many counterparts as p_any promises: of all and in bins, within three binomial errors."""
    for low, high in ((0.0, 1.0), (0.0, 0.1), (0.1, 0.5), (0.5, 0.9), (0.9, 1.0)):
        inside = (p >= low) & (p <= high)
        error = np.sqrt((p * (1 - p))[inside].sum())
        assert abs(has[inside].sum() - p[inside].sum()) < 3 * error + 1, (low, high, has[inside].sum(), error)


@pytest.mark.parametrize(("numbers", "with_area"), [((1,), False), ((1, 2), False), ((1, 2), True)])
def test_p_any_is_calibrated_inside_outside_and_at_the_edge(
    field: Field, numbers: tuple[int, ...], with_area: bool
) -> None:
    _, rows, p_joint = field.matched(*numbers, with_area=with_area)
    any_of_them = np.any([field.has[k - 1] for k in numbers], axis=0)
    assert_calibrated(p_joint, any_of_them)
    for k, of_image in zip(numbers, rows, strict=True):
        inside = (optical, infrared)[k - 1]
        is_inside, is_near = inside(field.x, field.y), near_edge(field, inside, 45.0)
        covered, p = of_image["covered"], of_image["p_any"]
        # far from the edge all is searched or nothing, and what is not searched is no counterpart, accepted or counted
        assert covered[is_inside & ~is_near].min() > (0 if k == 1 else 0.5)
        assert (covered[is_inside & ~is_near] == 1).mean() > 0.995
        outside = covered == 0
        assert outside[~is_inside & ~is_near].all()
        assert not (of_image["n_candidates"][outside] + of_image["accepted"][outside] + p[outside]).any()
        assert not field.has[k - 1][outside].any()
        # the completeness is that of the image
        share = field.has[k - 1][is_inside].mean()
        assert of_image["completeness"][covered == 1].mean() == pytest.approx(share, abs=0.03)
        # at the edge the part of the error region that is on the image, on average
        at_edge = near_edge(field, inside, 8.0)
        assert at_edge.sum() > 40
        assert covered[at_edge].mean() == pytest.approx(is_inside[at_edge].mean(), abs=0.2)
        for where in (is_inside & ~is_near, is_near, at_edge, at_edge & ~is_inside):
            assert_calibrated(p[where], field.has[k - 1][where])


def test_sources_that_only_one_catalogue_has_searched_are_matched_with_it(field: Field) -> None:
    """p_any of all catalogues together is then that of this one; its strata are theirs, and the completeness too."""
    outcome, (of_optical, of_infrared), p_joint = field.matched(1, 2)
    only = (of_optical["covered"] == 0) & (of_infrared["covered"] == 1)
    assert only.sum() > 500
    np.testing.assert_allclose(p_joint[only], of_infrared["p_any"][only], rtol=1e-9, atol=1e-12)
    assert_calibrated(of_infrared["p_any"][only], field.has[1][only])
    assert of_infrared["completeness"][only].mean() == pytest.approx(field.has[1][only].mean(), abs=0.04)
    assert outcome.learned is not None
    assert set(outcome.learned.strata.searched.tolist()) == {0, 1, 2, 3}
    # nobody has searched around the others: no calibration counts them
    chosen = outcome.calibration.is_chosen & (outcome.calibration.part == 0)
    n_searched = [np.sum((of_optical["covered"] > 0) | (of_infrared["covered"] > 0))]
    n_searched += [np.sum(rows["covered"] > 0) for rows in (of_optical, of_infrared)]
    assert outcome.calibration.n_sources[chosen].tolist() == n_searched
    assert (outcome.calibration.false_rate[chosen] <= 0.05).all()


def test_other_positions_have_the_same_answers_at_the_edge_too(field: Field) -> None:
    first, rows, p_joint = field.matched(1, 2, with_area=True)
    haystacks = [field.catalogue(1, area_of_image()), field.catalogue(2)]
    _, again, p_again = field.match(haystacks, first.learned)
    np.testing.assert_allclose(p_again, p_joint, rtol=1e-10, atol=1e-12)
    for here, there in zip(again, rows, strict=True):
        for name in ("covered", "accepted", "n_candidates"):
            assert (here[name] == there[name]).all(), name
