"""Areas of definitions, footprints made of the rows, and the priors of sources at an edge."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mocpy import MOC

from xcat.catalogues.definition import Definition, load
from xcat.errors import ConfigError
from xcat.match.edges import Edges
from xcat.match.learning import pattern_priors
from xcat.match.targets import Strata
from xcat.sky.density_map import Counter, map_of
from xcat.sky.footprint import Footprint

DEFINITION = """
name: mine
title: A field
kind: {kind}
citation: none
position_error: {{convention: axis_1sigma, constant: 0.1}}
{sky}
area: {area}
columns: {{native_id: ID, ra: RA, dec: DEC}}
"""


def definition(folder: Path, area: str, kind: str = "optical") -> Definition:
    path = folder / "mine.yaml"
    sky = "sky: {density_per_deg2: 1000}" if kind == "optical" else "flux_band_kev: [0.5, 2]"
    path.write_text(DEFINITION.format(area=area, kind=kind, sky=sky))
    return load(path)


@pytest.mark.parametrize("area", ["6/1-40", "6/1,2-40", "[6/1-3, 6/4-40]", "field.moc.fits", "field.json", "field.txt"])
def test_the_area_is_kept_as_text_however_it_is_given(tmp_path: Path, area: str) -> None:
    moc = MOC.from_string("6/1-40", format="ascii")
    for name, form in (("field.moc.fits", "fits"), ("field.json", "json"), ("field.txt", "ascii")):
        moc.save(tmp_path / name, format=form)
    made = definition(tmp_path, area)
    assert made.area == "4/1 5/1-3 8-9 6/1-3 40"
    again = Definition.from_dict(made.as_dict())
    assert again.area == made.area and again.sha256 == made.sha256
    assert made.sha256 != definition(tmp_path, "6/1-41").sha256


@pytest.mark.parametrize(
    ("area", "message"),
    [
        ("nowhere.fits", "nowhere.fits: no such file"),
        ("mine.txt", "mine.txt is no MOC of the sky in ICRS"),
        ("table.fits", "table.fits is no MOC of the sky in ICRS"),
        ("3 deg2", "'3 deg2' is neither a MOC, such as '6/1-40 7/200', nor the file of one"),
        ("6/1-400000", "'6/1-400000' is neither a MOC"),
        ("30/1", "the finest order is 29"),
        ("6/5-1", "'6/5-1' covers nothing"),
        ("6/", "'6/' covers nothing"),
        ("12", "is neither a MOC|Input should be a valid string"),
    ],
)
def test_an_area_that_is_none_is_refused_with_its_line(tmp_path: Path, area: str, message: str) -> None:
    (tmp_path / "mine.txt").write_text("ra dec\n1 2\n")
    (tmp_path / "table.fits").write_bytes(b"SIMPLE  =                    T" + b" " * 2850)
    with pytest.raises(ConfigError, match=rf"mine\.yaml:8: area: .*({message})"):
        definition(tmp_path, area)


def test_only_counterpart_catalogues_have_an_area(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="area: belongs to kinds 'optical' and 'infrared', not to 'xray_sources'"):
        definition(tmp_path, "6/1", kind="xray_sources")


def test_the_footprint_of_dense_rows_has_holes_and_edges_of_half_an_arcmin() -> None:
    """Half a million objects per deg2 in a square, with a hole of an arcmin; blocks in any order, and one by one."""
    rng = np.random.default_rng(3)
    x, y = rng.uniform(-0.1, 0.1, (2, 20_000))
    keep = np.hypot(x - 0.04, y + 0.02) > 60 / 3600
    ra, dec = (x[keep] + 50) % 360, y[keep]
    counter = Counter()
    for start in range(0, len(ra), 999):
        counter.add(ra[start : start + 999], dec[start : start + 999])
    sky = map_of(counter)
    assert sky.covers(ra, dec).all()
    x, y = rng.uniform(-0.15, 0.15, (2, 20_000))
    inside = (np.abs(x) < 0.1) & (np.abs(y) < 0.1) & (np.hypot(x - 0.04, y + 0.02) > 60 / 3600)
    margin = np.minimum(
        np.abs(np.maximum(np.abs(x), np.abs(y)) - 0.1), np.abs(np.hypot(x - 0.04, y + 0.02) - 60 / 3600)
    )
    is_near = margin < 40 / 3600  # the diagonal of a cell
    assert (sky.covers(x + 50, y)[~is_near] == inside[~is_near]).all()
    assert sky.covers_and_uniform(x + 50, y)[1][margin > 80 / 3600].all()
    is_whole = counter.parts() == -1
    assert is_whole.any() and not is_whole.all()


def test_an_area_counts_alone_and_without_one_all_is_searched() -> None:
    moc = MOC.from_string("0/4", format="ascii")
    ra, dec = np.array([0.0, 180.0]), np.zeros(2)
    assert Footprint(str(moc.to_string(format="ascii"))).contains(ra, dec).tolist() == [True, False]
    assert Footprint().contains(ra, dec).all() and not Footprint().is_known


# --- priors at an edge: patterns none, a, b, a and b ----------------------------------------------------------

PRIOR = np.array([0.1, 0.2, 0.3, 0.4])


@pytest.mark.parametrize(
    ("share", "listed"),
    [
        ([0, 0, 0, 1], [0.1, 0.2, 0.3, 0.4]),
        ([1, 0, 0, 0], [1.0, 0.0, 0.0, 0.0]),
        ([0, 1, 0, 0], [0.1 + 0.3, 0.2 + 0.4, 0.0, 0.0]),
        ([0, 0, 1, 0], [0.1 + 0.2, 0.0, 0.3 + 0.4, 0.0]),
        # a has looked at a quarter, b at all: an object of a is where both have, one of b where a has with 1/4
        ([0, 0, 0.75, 0.25], [0.1 + 0.75 * 0.2, 0.2, 0.3 + 0.75 * 0.4, 0.4]),
        ([0.5, 0.5, 0, 0], [0.5 + 0.5 * 0.4, 0.6, 0.0, 0.0]),
    ],
)
def test_what_is_listed_of_the_counterparts_at_an_edge(share: list[float], listed: list[float]) -> None:
    edges = Edges(np.array([0]), np.array([share], float))
    np.testing.assert_allclose(edges.listed(PRIOR[None]), [listed], rtol=1e-12)
    # the two directions are adjoint: the likelihood of a source is the same seen from either side
    weights = np.array([[1.0, 7.0, 0.5, 90.0]])
    assert (edges.weights(weights) * PRIOR).sum() == pytest.approx((weights * edges.listed(PRIOR[None])).sum())


def test_sources_that_were_not_searched_around_do_not_lower_the_completeness() -> None:
    """Of 1,000 sources 400 are off the second catalogue; 30 of them are a stratum that borrows from the others."""
    rng = np.random.default_rng(2)
    pi = np.array([0.2, 0.1, 0.3, 0.4])
    true = rng.choice(4, 1000, p=pi)
    sums = np.full((1000, 3), 0.01)
    sums[np.arange(1000)[true > 0], true[true > 0] - 1] = 1e4
    off = np.arange(1000) >= 600
    sums[off] = np.where(np.isin(true[off], (1, 3))[:, None], [1e4, 0, 0], [0.01, 0, 0])
    strata = Strata(
        np.ones(3, int), np.array([1, 2, 3]), *(np.zeros(3) for _ in range(5)), searched=np.array([3, 1, 1])
    )
    stratum = np.where(off, np.where(np.arange(1000) < 970, 1, 2), 0)
    p = pattern_priors(sums, stratum, 3, [None, None], strata=strata)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    np.testing.assert_allclose(p[0], pi, atol=0.05)
    for row in p[1:]:
        assert row[1] == pytest.approx(0.5, abs=0.1) and row[2] < 1e-20 and row[3] < 1e-20
    alone = pattern_priors(sums[:0], stratum[:0], 3, [None, 0.5], strata=strata)
    np.testing.assert_allclose(alone, [[0.25] * 4, [0.5, 0.5, 0, 0], [0.5, 0.5, 0, 0]], atol=1e-12)
