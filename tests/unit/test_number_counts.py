"""Published numbers of sources by class, flux and place: against numbers worked out by hand from the citations."""

import numpy as np
import pytest
from pydantic import ValidationError

from xcat.catalogues import number_counts
from xcat.catalogues.number_counts import brighter_per_deg2, columns, counted, passing, per_deg2_and_dex, populations
from xcat.jobs.pipeline import Pipeline

PRIORS = np.array([0.6, 0.25, 0.1, 0.05])
CLASSES = ("AGN", "Star", "XRB", "CV")


def to_standard(low: float, high: float) -> float:
    """Flux in 0.2-12 keV of a power law of photon index 1.7 over that in a band, worked out here."""
    return (12**0.3 - 0.2**0.3) / (high**0.3 - low**0.3)


def of(name: str) -> number_counts.Population:
    return next(each for each in populations() if each.name.startswith(name))


@pytest.mark.parametrize(
    ("name", "band", "flux", "expected"),
    [
        # Moretti et al. 2003, eq. 2: 5300 2e-15^1.57 / (S^1.57 + 4.5e-15^1.13 S^0.44)
        ("AGN", (2, 10), 2e-15, 5300 / (1 + 2.25**1.13)),
        ("AGN", (2, 10), 1e-13, 5300 * 0.02**1.57 / (1 + 0.045**1.13)),
        # Lehmer et al. 2012: the integral of 1.10e14 (S / 1e-14)^-2.29 above 1e-14
        ("galaxies", (2, 8), 1e-14, 1.10 / 1.29),
        # 58 stars in 28.10 deg2 above 7e-14; half of them above twice the flux
        ("coronal stars", (0.5, 4.5), 7e-14, 58 / 28.10),
        ("coronal stars", (0.5, 4.5), 1.4e-13, 29 / 28.10),
        # below, dN/dS = n / s0 (S / s0)^-1.79: n (1 + (10^0.79 - 1) / 0.79) above a tenth of the flux
        ("coronal stars", (0.5, 4.5), 7e-15, 58 / 28.10 * (1 + (10**0.79 - 1) / 0.79)),
        # 8 in 400 deg2 above 1.4e-13
        ("cataclysmic", (0.5, 2), 1.4e-13, 8 / 400),
        # some 100 in 1.6 deg2 above 1e33 erg/s at 8 kpc: 1.3e-13
        ("bulge", (2, 8), 1.3e-13, 100 / 1.6 / ((1 - np.exp(-1)) * 1.5 * (1 - np.exp(-2 / 3)))),
        # 105 (0.49^-0.26 - 0.233) on 8 x 50 deg2, 20 x 0.49^-0.64 on 3 x 360 deg2
        ("low-mass", (2, 10), 6.4e-11, 105 * (0.49**-0.26 - 0.233) / 400),
        ("high-mass", (2, 10), 6.4e-11, 20 * 0.49**-0.64 / 1080),
    ],
)
def test_the_counts_are_those_published(name, band, flux, expected):
    found = of(name).unabsorbed_per_deg2(np.array([flux * to_standard(*band)]))
    assert found == pytest.approx([expected], rel=0.01)


def test_every_population_says_where_it_comes_from():
    for each in populations():
        assert each.citation and each.certainty and each.valid_cgs[0] < each.valid_cgs[1], each.name
        assert each.certainty.startswith(("as published", "derived", "from memory")), each.name
    listed = [c for each in populations() for c in each.classes]
    assert {"AGN", "Star", "YSO", "LM-STAR", "XRB", "LMXB", "HMXB", "CV", "Galaxy"} <= set(listed)


def test_the_plane_has_more_stars_and_no_longitude_means_all():
    stars = of("coronal")
    flux, places = np.full(3, 1e-13), np.array([0.0, 5.0, 90.0])
    far = stars.unabsorbed_per_deg2(flux)
    assert stars.brighter_per_deg2(flux, places) / far == pytest.approx([9.0, 1 + 8 / np.e, 1.0], rel=1e-6)
    lmxb, b = of("low-mass"), np.zeros(3601)
    glon = np.linspace(0.0, 360.0, 3601)
    by_place = lmxb.brighter_per_deg2(np.full(3601, 1e-11), b, glon)
    assert by_place[[0, 3600]] == pytest.approx(by_place.max()) and by_place.argmin() == 1800
    assert np.trapezoid(by_place, glon) / 360 == pytest.approx(
        lmxb.brighter_per_deg2(np.array([1e-11]), b[:1])[0], 1e-4
    )


def test_agn_are_absorbed_by_the_column():
    agn, flux = of("AGN"), np.array([1e-14, 1e-14, 1e-14])
    seen = agn.brighter_per_deg2(flux, np.full(3, 1.0), None, np.array([22.0, 20.0, np.nan]))
    # a share of 0.609 passes 1e22 cm-2: what is seen at S has S / 0.609 without it
    behind_layer = np.interp(np.log10(3e20 / np.sin(np.radians(1.0))), [22.0, 22.5], [0.609, 0.493])
    assert seen == pytest.approx(agn.unabsorbed_per_deg2(flux / [0.609, 0.959, behind_layer]))
    assert seen[0] < 0.7 * seen[1]
    assert columns(np.array([90.0, 0.0])) == pytest.approx([np.log10(3e20), np.log10(3e22)])
    assert passing(np.array([10.0, 30.0])) == pytest.approx([0.959, 0.083])
    # nothing else is
    stars = of("coronal")
    args = (flux[:1], np.array([1.0]), None)
    assert stars.brighter_per_deg2(*args, np.array([23.0])) == pytest.approx(stars.brighter_per_deg2(*args))


def test_classes_share_a_population_and_sum_over_several():
    flux, b = np.array([1e-14, 1e-12]), np.array([2.0, 60.0])
    four = brighter_per_deg2(CLASSES, PRIORS, flux, b)
    eight = ("AGN", "YSO", "LM-STAR", "TDE", "LMXB", "HMXB", "CV")
    split = brighter_per_deg2(eight, np.array([0.5, 0.1, 0.3, 0.02, 0.03, 0.03, 0.02]), flux, b)
    assert counted(eight) == (True, True, True, False, True, True, True)
    assert np.isnan(split[:, 3]).all()
    assert split[:, 1] + split[:, 2] == pytest.approx(four[:, 1]) and split[:, 2] == pytest.approx(3 * split[:, 1])
    assert split[:, 4] + split[:, 5] == pytest.approx(four[:, 2])
    both = of("cataclysmic").brighter_per_deg2(flux, b) + of("bulge").brighter_per_deg2(flux, b)
    assert four[:, 3] == pytest.approx(both)
    assert [line.partition(":")[0] for line in number_counts.citations(eight)][1] == "YSO, LM-STAR"


def test_kinds_that_are_counted_take_part_under_their_own_names():
    kinds, part_of = (
        ("AGN", "M dwarf", "YSO", "LMXB", "HMXB", "in a galaxy", "polar", "nova"),
        (*("AGN", "Star", "Star", "XRB", "XRB", "XRB", "CV", "CV"),),
    )
    names = number_counts.counted_as(kinds, part_of)
    assert names == ["AGN", "M dwarf", "YSO", "LMXB", "HMXB", "in a galaxy", "CV", "CV"]
    assert number_counts.counted_as(CLASSES, CLASSES) == list(CLASSES)
    flux, b = np.geomspace(1e-15, 1e-11, 5), np.full(5, 3.0)
    priors = np.array([0.6, 0.1, 0.1, 0.04, 0.06, 0.05, 0.02, 0.03])
    found, of_classes = (per_deg2_and_dex(each, p, flux, b) for each, p in ((names, priors), (CLASSES, PRIORS)))
    assert np.isnan(found[:, 5]).all(), "the counts of the Galaxy are not of other galaxies"
    assert found[:, 3] + found[:, 4] == pytest.approx(of_classes[:, CLASSES.index("XRB")])
    assert found[:, 1] == pytest.approx(found[:, 2])
    assert found[:, 1] + found[:, 2] == pytest.approx(of_classes[:, CLASSES.index("Star")])
    assert found[:, 6] + found[:, 7] == pytest.approx(of_classes[:, CLASSES.index("CV")])
    assert found[:, 7] == pytest.approx(1.5 * found[:, 6])


def test_the_number_in_a_dex_is_the_slope():
    flux = np.geomspace(1e-15, 1e-11, 9)
    b = np.full(9, 45.0)
    found = per_deg2_and_dex(CLASSES, PRIORS, flux, b)
    h = 1.001
    slope = brighter_per_deg2(CLASSES, PRIORS, flux / h, b) - brighter_per_deg2(CLASSES, PRIORS, flux * h, b)
    assert found == pytest.approx(slope / (2 * np.log10(h)), rel=1e-3)
    assert (found > 0).all() and (np.diff(found, axis=0) < 0).all()


def pipeline(classes, **keys):
    given = {"name": "p", "xray": [{"catalogue": "csc2_detections"}], "references": [{"catalogue": "milliquas"}]}
    return Pipeline.model_validate(given | {"classes": {c: 1 / len(classes) for c in classes}, **keys})


@pytest.mark.parametrize(
    ("classes", "properties", "message"),
    [
        (("AGN", "TDE", "NS"), ["abs_b", "log_fx"], "priors: counts needs two classes with published number counts"),
        (("AGN", "CV"), ["abs_b", "hr1"], "priors: counts needs abs_b and log_fx among the properties"),
    ],
)
def test_a_pipeline_that_cannot_use_counts_is_refused(classes, properties, message):
    with pytest.raises(ValidationError, match=message):
        pipeline(classes, properties=properties, priors="counts")
    # the prior of latitude and flux stands in for what they say themselves
    good = pipeline(("AGN", "CV", "TDE"), properties=["abs_b", "log_fx", "hr1"], priors="counts")
    assert good.sky_axes == good.fit_options.excluded_properties == ("abs_b", "log_fx")
    assert good.fit_config["priors"] == "counts"
