"""Sky maps in files: every form of one map gives the same regions; damaged and impossible ones name file and place."""

from __future__ import annotations

import bz2
import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.table import Table
from astropy_healpix.core import nested_to_ring
from skymap_files import HEADER, SR_DEG2, area_sr, content, split, uniq, write

from xcat.errors import InputError
from xcat.ingest.skymap_file import MOST_CELLS, read_skymap, read_skymap_table
from xcat.sky.skymap import SkyMap

ORDER = 5  # of the flat maps: 12 rows of 1,024 pixels
N_PIXELS = 12 * 4**ORDER
FLAT = {**HEADER, "ORDERING": "NESTED", "NSIDE": 2**ORDER, "INDXSCHM": "IMPLICIT"}


@pytest.fixture(scope="module")
def cells() -> dict[str, np.ndarray]:
    """A map of the whole sky in cells of several orders, with distances."""
    order, cell = split(list(range(0, 3000, 37)), ORDER)
    rng = np.random.default_rng(8)
    density = np.exp(-8 * rng.random(len(order)))
    density /= (density * area_sr(order)).sum()
    mu = np.where(rng.random(len(order)) < 0.2, np.inf, rng.uniform(-200, 300, len(order)))
    return {"order": order, "cell": cell, "density": density, "mu": mu, "sigma": rng.uniform(20, 60, len(order))}


def flat(cells: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The columns of the flat nested map."""
    n = 4 ** (ORDER - cells["order"])
    at = np.repeat(np.arange(len(n)), n)[np.argsort(np.repeat(cells["cell"] * n, n) + _steps(n), kind="stable")]
    return {
        "PROB": cells["density"][at] * area_sr(ORDER),
        "DISTMU": cells["mu"][at],
        "DISTSIGMA": cells["sigma"][at],
        "DISTNORM": np.ones(N_PIXELS),
    }


def _steps(n: np.ndarray) -> np.ndarray:
    return np.concatenate([np.arange(each) for each in n])


def multi(cells: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The columns of the multi-order map."""
    return {
        "UNIQ": uniq(cells["order"], cells["cell"]),
        "PROBDENSITY": cells["density"],
        "DISTMU": cells["mu"],
        "DISTSIGMA": cells["sigma"],
        "DISTNORM": np.ones(len(cells["mu"])),
    }


def forms(cells: dict[str, np.ndarray], folder: Path) -> dict[str, SkyMap]:
    """The same map in all the forms that are read."""
    nested, listed = flat(cells), multi(cells)
    ring = np.empty(N_PIXELS, np.int64)
    ring[nested_to_ring(np.arange(N_PIXELS), 2**ORDER)] = np.arange(N_PIXELS)
    in_ring = {name: values[ring] for name, values in nested.items()}
    some = np.flatnonzero(np.random.default_rng(1).permutation(N_PIXELS) >= 0)[::-1]
    kpc = {"DISTMU": "kpc", "DISTSIGMA": "kpc"}
    in_kpc = {name: values * (1000 if name in kpc else 1) for name, values in listed.items()}
    per_deg2 = {"UNIQ": listed["UNIQ"], "P": listed["PROBDENSITY"] / SR_DEG2}
    by_cell = {"UNIQ": listed["UNIQ"], "PROB": listed["PROBDENSITY"] * area_sr(cells["order"])}
    rows_of_pixels = {name: values.reshape(-1, 1024) for name, values in nested.items()}
    pixels = {"PIXEL": nested_to_ring(some, 2**ORDER), **{name: values[some] for name, values in nested.items()}}
    small = {name: values.astype("f4") for name, values in nested.items()}
    packed = folder / "map.bz2"
    packed.write_bytes(bz2.compress(content(nested, FLAT)))
    table = Table({**listed, "UNIQ": listed["UNIQ"].astype(np.uint64)}, meta=HEADER)
    return {
        "multi-order": read_skymap(write(folder / "multi.fits", listed, HEADER, {"PROBDENSITY": "sr-1"})),
        "multi-order, packed": read_skymap(write(folder / "multi.fits.gz", listed, HEADER)),
        "kpc": read_skymap(write(folder / "kpc.fits", in_kpc, HEADER, kpc)),
        "per deg2": read_skymap(write(folder / "deg2.fits", per_deg2, HEADER, {"P": "deg-2"}), column="p"),
        "by cell": read_skymap(write(folder / "cell.fits", by_cell, HEADER)),
        "nested": read_skymap(write(folder / "flat.fits", nested, FLAT, {"PROB": "pix-1"})),
        "nested, bzip2": read_skymap(packed),
        "nested, rows of 1,024": read_skymap(write(folder / "rows.fits.gz", rows_of_pixels, FLAT)),
        "nested, 4 bytes": read_skymap(write(folder / "f4.fits", small, FLAT)),
        "ring": read_skymap(write(folder / "ring.fits.gz", in_ring, {**FLAT, "ORDERING": "RING"})),
        "pixels": read_skymap(
            write(folder / "pixels.fits", pixels, {**FLAT, "ORDERING": "RING", "INDXSCHM": "EXPLICIT"})
        ),
        "table": read_skymap_table(table),
    }


def test_all_forms_of_a_map_are_the_same(cells: dict[str, np.ndarray], tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    ra, dec = rng.uniform(0, 360, 500), np.degrees(np.arcsin(rng.uniform(-1, 1, 500)))
    first, *others = forms(cells, tmp_path).items()
    reference = first[1]
    at = reference.cell_of(ra, dec)
    mean, std = reference.distance_mpc(at)
    assert 20 < np.isnan(mean).sum() < 480
    for name, other in others:
        digits = 1e-5 if "4 bytes" in name else 1e-11
        i = other.cell_of(ra, dec)
        np.testing.assert_allclose(other.level[i], reference.level[at], atol=digits, err_msg=name)
        np.testing.assert_allclose(other.density_per_deg2[i], reference.density_per_deg2[at], rtol=digits, err_msg=name)
        assert other.region(0.9).area_deg2 == pytest.approx(reference.region(0.9).area_deg2, rel=1e-9), name
        if name not in ("per deg2", "by cell"):
            np.testing.assert_allclose(other.distance_mpc(i)[0], mean, rtol=1e-4, err_msg=name)
            np.testing.assert_allclose(other.distance_mpc(i)[1], std, rtol=1e-4, err_msg=name)
        assert (not other.notes) or "4 bytes" in name, other.notes


def test_a_flat_map_is_joined_as_it_is_read(cells: dict[str, np.ndarray], tmp_path: Path) -> None:
    skymap = read_skymap(write(tmp_path / "flat.fits", flat(cells), FLAT))
    assert len(skymap.order) == len(cells["order"])
    assert skymap.facts == {"file": "flat.fits"}


# --- what is told ------------------------------------------------------------------------------------------


def told(path: Path, **options: Any) -> list[str]:
    return [note.removeprefix(f"{path}: ") for note in read_skymap(path, **options).notes]


def test_what_is_taken_for_granted_is_told(cells: dict[str, np.ndarray], tmp_path: Path) -> None:
    columns = {"UNIQ": multi(cells)["UNIQ"], "PROBDENSITY": multi(cells)["PROBDENSITY"] * 3, "DISTMU": cells["mu"]}
    assert told(write(tmp_path / "a.fits", columns, {})) == [
        "no ORDERING in the header; taken as multi-order, for there is a column UNIQ",
        "of DISTMU and DISTSIGMA only DISTMU is there; distances are not used",
        "no COORDSYS in the header; taken as equatorial (C)",
        "the probabilities add up to 3; they were divided by it",
    ]


def test_pixels_without_a_value_are_told(tmp_path: Path) -> None:
    value = np.full(N_PIXELS, 2 / N_PIXELS, "f4")
    value[: N_PIXELS // 2] = -1.6375e30
    assert told(write(tmp_path / "a.fits", {"PROB": value}, FLAT)) == [
        "the cells cover 50.0000% of the sky; elsewhere the probability is taken as 0"
    ]
    for ordering in ("NESTED", "RING"):
        few = {"PIXEL": np.array([5, 9]), "PROB": np.array([0.25, 0.75])}
        path = write(tmp_path / f"{ordering}.fits", few, {**FLAT, "ORDERING": ordering, "INDXSCHM": "EXPLICIT"})
        assert told(path)[0].startswith("the cells cover 0.0163% of the sky")


def test_the_event_is_named(cells: dict[str, np.ndarray], tmp_path: Path) -> None:
    header = {**HEADER, "OBJECT": "S1", "DATE-OBS": "2019-08-14T21:10:38", "DISTMEAN": 267.5, "DISTSTD": 52.0}
    assert read_skymap(write(tmp_path / "a.fits", multi(cells), header)).facts == {
        "file": "a.fits",
        "object": "S1",
        "date_obs": "2019-08-14T21:10:38",
        "distance_mean_mpc": 267.5,
        "distance_std_mpc": 52.0,
    }


# --- what is refused ---------------------------------------------------------------------------------------

TWO = {"UNIQ": np.array([4, 5]), "PROB": np.array([0.5, 0.5])}
WRONG: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "no ordering": ({"PROB": np.ones(12)}, {**FLAT, "NSIDE": 1, "ORDERING": None}, "ORDERING is missing; it must be"),
    "ordering": ({"PROB": np.ones(12)}, {**FLAT, "NSIDE": 1, "ORDERING": "SPIRAL"}, "ORDERING is 'SPIRAL'; it must be"),
    "ring with UNIQ": (TWO, {**HEADER, "ORDERING": "RING"}, "ORDERING is RING, but there is a column UNIQ"),
    "no UNIQ": ({"PROB": np.ones(12)}, HEADER, "ORDERING is NUNIQ, but there is no column UNIQ"),
    "ecliptic": (TWO, {**HEADER, "COORDSYS": "E"}, r"COORDSYS is 'E'; only maps in equatorial \(C\) and galactic"),
    "no column": ({"UNIQ": [4, 5], "SNR": [1.0, 2.0]}, HEADER, "no column PROB, .*; the table has UNIQ, SNR. Name"),
    "uniq": ({**TWO, "UNIQ": [4, 3]}, HEADER, "column 'UNIQ', row 2: 3 is no cell; they go from 4 to"),
    "large uniq": ({**TWO, "UNIQ": [4, 2**62]}, HEADER, "column 'UNIQ', row 2: 4611686018427387904 is no cell"),
    "twice": ({**TWO, "UNIQ": [7, 7]}, HEADER, "column 'UNIQ', rows 1 and 2: the same cell twice"),
    "overlap": ({**TWO, "UNIQ": [16, 4]}, HEADER, "column 'UNIQ', rows 1 and 2: cells that overlap"),
    "nan": ({**TWO, "PROB": [0.5, np.nan]}, HEADER, "column 'PROB', row 2: nan is no probability"),
    "negative": ({**TWO, "PROB": [-0.5, 1.0]}, HEADER, "column 'PROB', row 1: -0.5 is no probability"),
    "zero": ({**TWO, "PROB": [0.0, 0.0]}, HEADER, "column 'PROB' has no probabilities: all are 0"),
    "empty": ({"UNIQ": np.zeros(0, "i8"), "PROB": np.zeros(0)}, HEADER, "the map has no cell with a value"),
    "nside": ({"PROB": np.ones(108)}, {**FLAT, "NSIDE": 3}, "NSIDE is 3; only powers of 2"),
    "no nside": ({"PROB": np.ones(12)}, {**FLAT, "NSIDE": None}, "NSIDE of extension 1 is missing"),
    "too few pixels": ({"PROB": np.ones(12)}, {**FLAT, "NSIDE": 2}, "NSIDE 2 has 48 pixels, the table has 12"),
    "no PIXEL": (
        {"PROB": np.ones(2)},
        {**FLAT, "INDXSCHM": "EXPLICIT"},
        "INDXSCHM is EXPLICIT, but there is no column",
    ),
    "pixel": (
        {"PIXEL": [1, 12], "PROB": np.ones(2)},
        {**FLAT, "NSIDE": 1, "INDXSCHM": "EXPLICIT"},
        "column 'PIXEL', row 2: 12 is no pixel of NSIDE 1",
    ),
    "pixel twice": (
        {"PIXEL": [7, 3, 7], "PROB": np.ones(3)},
        {**FLAT, "NSIDE": 1, "INDXSCHM": "EXPLICIT"},
        "column 'PIXEL', rows 1 and 3: the same cell twice",
    ),
    "text": ({"UNIQ": [4, 5], "PROB": np.array(["a", "b"], "S1")}, HEADER, "column 'PROB' does not hold a number"),
    "float uniq": ({"UNIQ": [4.0, 5.0], "PROB": [0.5, 0.5]}, HEADER, "column 'UNIQ' does not hold a number"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_map_is_refused_with_file_column_and_row(what: str, tmp_path: Path) -> None:
    columns, header, message = WRONG[what]
    path = write(tmp_path / "wrong.fits", {k: np.asarray(v) for k, v in columns.items()}, header)
    with pytest.raises(InputError, match=rf"wrong\.fits: .*{message}"):
        read_skymap(path)


def test_rows_are_counted_in_flat_maps_too(tmp_path: Path) -> None:
    value = np.full(N_PIXELS, 0.1)
    value[5000] = np.nan
    for ordering, columns, row in (
        ("NESTED", {"PROB": value}, "5,001"),
        ("RING", {"PROB": value}, "5,001"),
        ("NESTED", {"PROB": value.reshape(-1, 1024)}, "5"),
    ):
        path = write(tmp_path / f"{ordering}{row}.fits", columns, {**FLAT, "ORDERING": ordering})
        with pytest.raises(InputError, match=rf"column 'PROB', row {row}: nan is no probability"):
            read_skymap(path)


def test_a_unit_that_is_no_distance_is_refused(cells: dict[str, np.ndarray], tmp_path: Path) -> None:
    path = write(tmp_path / "a.fits", multi(cells), HEADER, {"DISTMU": "erg"})
    with pytest.raises(InputError, match=r"a\.fits: column 'DISTMU' has the unit 'erg', which is no distance"):
        read_skymap(path)


def test_a_map_that_is_too_large_is_refused_before_its_rows_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.fits", {"PROB": np.ones(N_PIXELS)}, FLAT)
    with pytest.raises(InputError, match="the map has 12,288 cells, more than 12,287; make a multi-order map"):
        read_skymap(path, most_cells=N_PIXELS - 1)
    assert MOST_CELLS == 50_331_648


@pytest.mark.parametrize("ordering", ["NESTED", "RING"])
def test_a_map_without_equal_cells_is_refused_at_a_quarter_of_that(tmp_path: Path, ordering: str) -> None:
    value = np.random.default_rng(1).random(N_PIXELS)
    path = write(tmp_path / "a.fits", {"PROB": value}, {**FLAT, "ORDERING": ordering})
    with pytest.raises(InputError, match="more than 12,287 cells of different values; make one of lower resolution"):
        read_skymap(path, most_cells=4 * N_PIXELS - 1)
    assert len(read_skymap(path, most_cells=4 * N_PIXELS).order) == N_PIXELS


def test_damaged_files_are_refused(cells: dict[str, np.ndarray], tmp_path: Path) -> None:
    raw = content(multi(cells), HEADER)
    packed = bytearray(gzip.compress(content(flat(cells), FLAT)))
    flipped = packed.copy()
    flipped[-8] ^= 1  # of the checksum at the end: the rows themselves can be read
    for name, data, message in (
        ("cut.fits", raw[: 2880 * 3 + 405], "the file is cut off after row 82 of 243; fetch it again"),
        ("cut.fits.gz", bytes(packed[: len(packed) // 2]), "cannot be read: .*ended before.* Fetch it again"),
        ("flipped.fits.gz", bytes(flipped), "cannot be read: CRC check failed"),
        ("text.fits", b"a,b\n1,2\n", "a sky map is a FITS file with HEALPix cells, this is csv"),
        ("page.fits", b"<html><body>404</body></html>", "this is a web page"),
        ("empty.fits", b"", "the file is empty"),
        ("image.fits", content({"A": np.ones(1)}, {})[:2880], "there is no table in the FITS file"),
    ):
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(InputError, match=message) as refused:
            read_skymap(path)
        assert str(path) in str(refused.value)
    with pytest.raises(InputError, match="No such file"):
        read_skymap(tmp_path / "absent.fits")


# --- published maps ----------------------------------------------------------------------------------------


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "area_50", "area_90"),  # deg2, from mocpy 0.21
    [
        ("S190814bv_5_LALInference.v1.fits.gz", 4.757090153, 23.093689207),
        ("bayestar.multiorder.fits", 338.812353401, 1078.702157508),
        ("rrt_small_area.fits", 7.606098660, 34.070076410),
    ],
)
def test_published_maps_have_the_areas_of_mocpy(shared_data: Path, name: str, area_50: float, area_90: float) -> None:
    from mocpy import MOC

    skymap = read_skymap(shared_data / "skymaps" / name)
    assert skymap.notes == [] and len(skymap.order) < 20_000
    cell = skymap.first >> 2 * (29 - skymap.order)
    options: dict[str, Any] = {
        "max_depth": 29,
        "asc": False,
        "strict": False,
        "no_split": True,
        "reverse_decent": False,
    }
    for level, area in ((0.5, area_50), (0.9, area_90)):
        region = skymap.region(level)
        assert region.area_deg2 == pytest.approx(area, rel=1e-9)
        moc = MOC.from_valued_healpix_cells(
            uniq(skymap.order, cell), skymap.probability, cumul_from=0, cumul_to=level, **options
        )
        assert region.moc() == moc
        assert level <= region.probability < level + 1e-3
