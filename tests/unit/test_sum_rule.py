"""The area searched against the true one, and sums of probabilities against published numbers."""

import astropy.units as u
import numpy as np
import pytest

from xcat.catalogues.number_counts import brighter_per_deg2
from xcat.jobs import sum_rule
from xcat.jobs.sum_rule import ALL, compare, messages
from xcat.report.run import sum_rule as words
from xcat.simulate.missions import MISSIONS
from xcat.simulate.observe import observe
from xcat.simulate.pointings import count_pointings, make_galaxies, make_pointings
from xcat.simulate.populations import draw_objects
from xcat.sky.geometry import in_disc, offset, separation_arcsec, to_galactic
from xcat.sky.searched import Mission, Searched, area_of

CLASSES, PRIORS = ("AGN", "Star", "XRB", "CV"), np.array([0.6, 0.25, 0.1, 0.05])
FIELD_DEG2 = np.pi * 0.25**2


def fields(n_fields, n_sources, seed, vignetting=True, log_limit=-14.0):
    """Circular fields of 15 arcmin far from each other, denser in the middle as a telescope sees them."""
    rng = np.random.default_rng(seed)
    centre_ra, centre_dec = np.arange(n_fields) * 3.0, np.resize([-50.0, -20.0, 0.0, 35.0, 60.0], n_fields)
    field = np.repeat(np.arange(n_fields), 4 * n_sources)
    east, north = in_disc(rng, np.full(field.size, 900.0))
    kept = rng.random(field.size) < (1 - 0.5 * (east**2 + north**2) / 900.0**2 if vignetting else 1.0) / 4
    ra, dec = offset(centre_ra[field], centre_dec[field], east, north)
    flux = 10.0**log_limit * rng.random(field.size) ** (-1 / 1.2)
    return ra[kept], dec[kept], flux[kept]


@pytest.mark.parametrize(("n_fields", "n_sources"), [(60, 30), (30, 70), (15, 150)])
def test_the_area_of_fields(n_fields, n_sources):
    found = Searched([Mission(*fields(n_fields, n_sources, n_sources))])
    assert found.area_deg2.sum() == pytest.approx(n_fields * FIELD_DEG2, rel=0.1)


def test_the_map_of_the_area_is_where_the_fields_are():
    ra, dec, _ = fields(30, 70, 1)
    north, alone = dec > 10.0, (np.array([200.0]), np.array([-80.0]))
    area = area_of([(ra[north], dec[north]), (ra[~north], dec[~north]), alone])
    truth = 30 * FIELD_DEG2
    # without the correction for what a hull misses
    assert 0.7 * truth < area.sky_fraction * 41252.96 < truth
    assert area.contains_lonlat(ra * u.deg, dec * u.deg).mean() > 0.8
    assert not area.contains_lonlat([1.5, 200.0] * u.deg, [-35.0, -80.0] * u.deg).any()
    assert area_of([alone]).empty()


def test_the_area_of_simulated_pointings():
    """Three missions, some of whose fields overlap: each is counted once."""
    rng = np.random.default_rng(3)
    n = 3000
    galaxies = make_galaxies(rng, count_pointings(n)[2], 300)
    pointings = make_pointings(rng, n, galaxies)
    objects = draw_objects(rng, 1.0, pointings, np.full(pointings.ra_deg.size, 1e-14), galaxies)
    spectra, missions = objects.spectrum(), []
    for m, mission in enumerate(MISSIONS):
        seen = observe(rng, m, objects, spectra, pointings)
        number, first = np.unique(seen.object, return_index=True)
        missions.append(Mission(objects.ra_deg[number], objects.dec_deg[number], seen.full_flux_cgs[first]))
        radius_deg = mission.field_radius_arcmin / 60
        truth = pointings.observed[:, m].sum() * np.pi * radius_deg**2
        # few of the fields of one mission overlap
        assert Searched(missions[-1:]).area_deg2.sum() == pytest.approx(truth, rel=0.2), mission.name
    largest = 60 * pointings.radius_arcmin
    east, north = in_disc(rng, np.repeat(largest, 300))
    at = np.repeat(np.arange(largest.size), 300)
    ra, dec = offset(pointings.ra_deg[at], pointings.dec_deg[at], east, north)
    apart = separation_arcsec(ra[:, None], dec[:, None], pointings.ra_deg, pointings.dec_deg)
    truth = (np.pi * (largest[at] / 3600) ** 2 / 300 / (apart < largest).sum(axis=1)).sum()
    assert Searched(missions).area_deg2.sum() == pytest.approx(truth, rel=0.1)


def test_the_deepest_mission_sets_the_limit():
    shallow, deep = fields(10, 80, 1), fields(5, 300, 2, log_limit=-15.0)
    found = Searched([Mission(*shallow), Mission(*deep)])
    assert found.area_deg2.sum() == pytest.approx(10 * FIELD_DEG2, rel=0.1)
    assert found.area_above(4e-15) == pytest.approx(5 * FIELD_DEG2, rel=0.1)
    assert found.area_above(1e-15) == 0.0
    limit = found.limits_at(np.array([0.0, 15.0]), np.array([-50.0, -50.0]))
    assert limit[0] < 4e-15 and 1e-14 < limit[1] < 4e-14
    # a limit is above most of what was missed: the numbers above it are complete
    assert np.isfinite(found.limits_at(*shallow[:2])).all()


@pytest.mark.parametrize("n", [0, 5])
def test_nothing_to_go_by(n):
    found = Searched([Mission(np.arange(n) * 1.0, np.zeros(n), np.full(n, 1e-14))])
    assert found.area_deg2.size == 0
    rule = compare(found, sources(np.zeros(0), np.zeros(0), np.zeros(0)), np.zeros((0, 4)), CLASSES, PRIORS)
    assert rule["rows"] == [] and rule["messages"] == [] and rule["area_deg2"] == 0.0
    assert "no bin has enough objects" in words.lines(rule)[0] and "not tested" in words.verdict(rule)[0]


def sources(ra, dec, flux):
    made = np.zeros(len(ra), [(name, "f8") for name in ("ra", "dec", "glon", "glat", "flux_std_cgs")])
    made["ra"], made["dec"], made["flux_std_cgs"] = ra, dec, flux
    made["glon"], made["glat"] = to_galactic(ra, dec)
    return made


@pytest.fixture(scope="module")
def drawn():
    """Fields whose objects are drawn from the published numbers, complete to 1e-14; their classes are known."""
    rng = np.random.default_rng(8)
    n_fields = 120
    edges = np.geomspace(1e-14, 1e-11, 61)
    ra0, dec0 = np.arange(n_fields) * 3.0 % 360.0, rng.uniform(-80, 80, n_fields)
    glon, glat = to_galactic(ra0, dec0)
    above = np.stack([brighter_per_deg2(CLASSES, PRIORS, np.full(n_fields, s), np.abs(glat), glon) for s in edges])
    expected = -np.diff(above, axis=0) * FIELD_DEG2
    number = rng.poisson(expected)
    bins, field, label = (np.repeat(i.ravel(), number.ravel()) for i in np.indices(number.shape))
    east, north = in_disc(rng, np.full(field.size, 900.0))
    ra, dec = offset(ra0[field], dec0[field], east, north)
    flux = edges[bins] * (edges[1] / edges[0]) ** rng.random(field.size)
    return Searched([Mission(ra, dec, flux)]), sources(ra, dec, flux), label


def test_a_catalogue_as_published_keeps_the_rule(drawn):
    area, rows, label = drawn
    rule = compare(area, rows, np.eye(4)[label], CLASSES, PRIORS)
    tested = [row for row in rule["rows"] if row["sources"] >= 100]
    assert len(tested) >= 20 and rule["messages"] == []
    for row in tested:
        if row["published"] >= 100:
            assert row["sum_p"] == pytest.approx(row["published"], rel=0.25), row
    total = [row for row in rule["rows"] if row["class"] == ALL]
    assert sum(row["sum_p"] for row in total) == pytest.approx(sum(row["published"] for row in total), rel=0.1)
    assert words.verdict(rule)[0].startswith("Sum rule: kept within a factor 1.5 in all")


def test_a_class_that_is_called_too_often_is_named(drawn):
    area, rows, label = drawn
    p = np.eye(4)[label]
    p[label == 0] = [0.5, 0.0, 0.5, 0.0]  # half of the AGN become XRB
    rule = compare(area, rows, p, CLASSES, PRIORS)
    assert [message.split(":")[0] for message in rule["messages"]] == ["AGN", "XRB"]
    assert all(row["is_off"] for row in rule["rows"] if row["class"] == "XRB" and row["sources"] >= 200)
    assert not any(row["is_off"] for row in rule["rows"] if row["class"] in ("Star", ALL))
    text = "\n".join([*words.verdict(rule), *words.lines(rule)])
    assert "XRB: off by more than a factor 1.5 in" in text and "docs/explanation/priors.md" in text
    some = compare(area, rows[::4], p[::4], CLASSES, PRIORS)
    assert (
        some["messages"][-1].startswith("all classes: off")
        and "a selection of those in their fields" in words.verdict(some)[-1]
    )
    # a class of which nobody has published numbers is shown, and is never off
    named = compare(area, rows, p, ("AGN", "Star", "TDE", "CV"), PRIORS)
    assert all(row["published"] is None and not row["is_off"] for row in named["rows"] if row["class"] == "TDE")


@pytest.mark.parametrize(
    ("sum_p", "published", "n", "is_off"),
    [
        (200, 100, 200, True),
        (200, 100, 99, False),  # too few sources
        (140, 100, 200, False),  # within the factor
        (20, 4, 200, True),
        (9, 4, 200, False),  # within three times the error
        (0, 30, 200, True),
        (3, float("nan"), 200, False),
    ],
)
def test_what_is_off(sum_p, published, n, is_off):
    assert sum_rule._judged(sum_p, published, n)["is_off"] is is_off


def test_a_message_names_the_worst_bin():
    place = {"abs_b_deg": [0.0, 3.0], "sources": 150}
    rows = [
        {"class": "XRB", **place, "log_flux": [-14.0, -13.5], "sum_p": 60.0, "published": 4.0, "is_off": True},
        {"class": "XRB", **place, "log_flux": [-13.5, -13.0], "sum_p": 30.0, "published": 2.0, "is_off": True},
        {"class": "XRB", **place, "log_flux": [-13.0, -12.5], "sum_p": 2.0, "published": 2.0, "is_off": False},
    ]
    assert messages(rows, ["AGN", "XRB"]) == [
        "XRB: off by more than a factor 1.5 in 2 of 3 bins: 90 by the posterior, 6 by published counts; most at |b| 0 "
        "to 3 deg and log flux -14 to -13.5 (60 against 4)"
    ]
