"""Files of light curves and spectra: what is read of them, and what is refused with file and row."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import product_files as made
import pytest
from astropy.io import fits

from xcat.errors import InputError
from xcat.ingest import product_files as files
from xcat.ingest import product_source, spectrum_files
from xcat.ingest.product_files import Curve, Spectrum

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "lightcurves"


def _curve(path: Path) -> Curve:
    read = files.read(path)
    assert read is not None
    data = read[0].data
    assert isinstance(data, Curve)
    return data


def test_a_chandra_curve_is_read_packed_or_not(tmp_path):
    path = made.lc3(tmp_path / "acisf00136_lc3.fits", [3, 5, 0, 8])
    product = files.read(path)[0]
    curve = product.data
    assert (product.mission, product.instrument, product.obs_id) == ("Chandra", "ACIS", "136")
    assert product.band_kev == (0.5, 7.0) and product.exposure_s == 2000 and curve.n_counts == 16
    np.testing.assert_allclose(curve.rate_cps * 500, [3, 5, 0, 8])
    # 69567609.75 s after MJD 50814 (TT), and TT is 64.184 s ahead of UTC in 2000
    assert curve.time_mjd[0] == pytest.approx(50814 + (69567609.750549 + 250 - 64.184) / 86400, abs=1e-8)
    packed = tmp_path / "packed.fits.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    np.testing.assert_array_equal(_curve(packed).time_mjd, curve.time_mjd)


def test_a_rate_in_other_units_is_brought_to_counts_per_second(tmp_path):
    path = made.lc3(tmp_path / "a.fits", [3, 5], columns={"COUNT_RATE": (np.array([0.36, 0.6]), "count/min")})
    np.testing.assert_allclose(_curve(path).rate_cps, [0.006, 0.01])


_TIME = np.array([7e7, 7.1e7, 7.2e7])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"columns": {"Time": (np.array([7e7, np.nan, 7.2e7]), "s")}}, "row 2: Time is nan"),
        ({"columns": {"Time": (np.array([7e7, 7.1e7, 7.1e7]), "s")}}, "row 3: Time 71000000 does not increase"),
        ({"columns": {"Time": (_TIME, "d")}}, "row 1: Time gives MJD"),
        ({"columns": {"Time": (_TIME, "m")}}, "column Time is in m, it must be in s"),
        ({"columns": {"COUNT_RATE": (_TIME, "erg")}}, "column COUNT_RATE is in erg"),
        (
            {"columns": {"COUNT_RATE_ERR": (np.array([1.0, -1, -1]), "count/s")}},
            "row 2: COUNT_RATE_ERR is negative: -1",
        ),
        ({"EXPOSURE": -5.0}, "EXPOSURE is -5 s, it must be positive"),
        ({"TIMEDEL": 0.0}, "TIMEDEL"),
        ({"MJDREF": None}, "MJDREF is missing"),
    ],
)
def test_a_curve_that_cannot_be_is_refused_by_file_and_row(tmp_path, change, words):
    path = made.lc3(tmp_path / "bad_lc3.fits", [3, 5, 4], **change)
    with pytest.raises(InputError) as error:
        files.read(path)
    assert str(error.value).startswith(f"{path}: ") and words in str(error.value)


def test_empty_cut_and_other_files_are_refused(tmp_path):
    path = made.lc3(tmp_path / "a_lc3.fits", np.ones(500))
    whole = path.read_bytes()
    for name, data, words in (
        ("empty.fits", b"", "is empty"),
        ("cut.fits", whole[:9000], "cut off"),
        ("cut.fits.gz", gzip.compress(whole)[:2000], "cut off"),
        ("none.fits", made.lc3(tmp_path / "none.fits", []).read_bytes(), "no rows"),
        ("text.csv", b"a,b\n1,2\n", "no columns MJD and Rate"),
        ("curve.qdp", b"READ TERR 1\n1 2 3\n", "no date"),
        ("noise.csv", b"\xff\xfe\x00", "neither FITS nor text"),
    ):
        bad = tmp_path / name
        bad.write_bytes(data)
        with pytest.raises(InputError, match=words):
            files.read(bad)
    with pytest.raises(InputError, match="no light curve or spectrum in this folder"):
        (tmp_path / "nothing").mkdir()
        files.found([tmp_path / "nothing"])


def test_damaged_bytes_never_give_more_than_an_error_with_the_file(tmp_path):
    rng = np.random.default_rng(4)
    path = made.spectrum(tmp_path, rng.poisson(4, 60))
    sources = [path.read_bytes(), made.lc3(tmp_path / "a_lc3.fits", rng.poisson(5, 30)).read_bytes()]
    sources.append(made.swift(tmp_path / "a.csv", [0.1] * 9, [0.01] * 9).read_bytes())
    refused = 0
    for i in range(120):
        data = bytearray(sources[i % 3])
        for at in rng.integers(0, len(data), 4):
            data[at] = rng.integers(0, 256)
        bad = tmp_path / "damaged"
        bad.write_bytes(bytes(data))
        try:
            files.read(bad)
        except InputError as error:
            refused += str(error).startswith(str(tmp_path))
    assert refused > 40


def test_a_swift_curve_has_limits_and_bands(tmp_path):
    path = made.swift(tmp_path / "a.csv", [0.01, 0.02, np.nan, 0.03], [0.002, np.nan, 0.1, 0.004])
    curve = _curve(path)
    np.testing.assert_allclose(curve.rate_cps, [0.01, 0.02, 0.03])
    assert curve.is_limit.tolist() == [False, True, False] and np.isnan(curve.rate_err_low_cps[1])
    assert curve.obs_ids == ["00031287000", "00031287001", "00031287003"]
    assert files.read(path)[0].left_out == [(3, "Rate", "nan", "no rate")]
    both = made.swift(tmp_path / "b.csv", [1.0, 2.0, 0.5], [0.1] * 3, BAND=["SOFT", "HARD", "HR"])
    assert [p.band_kev for p in files.read(both)] == [(0.3, 1.5), (1.5, 10.0)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"MJD": [55000.0, "nan", 55002.0]}, "row 2: MJD is nan"),
        ({"MJD": [55000.0, 3e8, 55002.0]}, "row 2: MJD gives MJD 3e+08"),
        ({"T_-ve": [-0.1, 0.1, -0.1]}, "row 2: the bin ends"),
        ({"Rate": [0.1, "abc", 0.1]}, "row 2: rate is 'abc'"),
        ({"BAND": ["FULL", "FULL", "BLUE"]}, "row 3: BAND is 'BLUE'"),
    ],
)
def test_a_swift_curve_that_cannot_be_is_refused(tmp_path, change, words):
    path = made.swift(tmp_path / "bad.csv", [0.1] * 3, [0.01] * 3, **change)
    with pytest.raises(InputError) as error:
        files.read(path)
    assert words in str(error.value)


def test_a_spectrum_is_grouped_and_folded(tmp_path):
    counts = np.zeros(80, int)
    counts[10:30] = 7  # 1 to 3 keV
    path = made.spectrum(tmp_path, counts, background=np.full(80, 4))
    product = files.read(path)[0]
    spectrum = product.data
    assert isinstance(spectrum, Spectrum) and product.mission == "Swift" and product.obs_id == "00012345001"
    assert product.header["mjd"] == pytest.approx(55198.12783565)
    assert spectrum.n_counts.sum() == 140 and (spectrum.n_counts >= 20).all()
    # 0.3 to 8 keV is 77 channels with 4 counts behind them, in 4 times the area
    assert spectrum.n_background_counts.sum() == pytest.approx(77)
    width = spectrum.energy_high_kev - spectrum.energy_low_kev
    assert (spectrum.energy_low_kev[1:] == spectrum.energy_high_kev[:-1]).all()
    np.testing.assert_allclose(
        spectrum.rate_per_kev_cps * width * 1e4, spectrum.n_counts - spectrum.n_background_counts
    )
    # a diagonal response of constant area: the integral of the power law itself
    ends = [e ** (1 - 1.7) for e in (spectrum.energy_low_kev, spectrum.energy_high_kev)]
    model = spectrum.folded_per_kev_cps * width
    np.testing.assert_allclose(model / model.sum(), (ends[0] - ends[1]) / (ends[0][0] - ends[1][-1]), rtol=1e-5)
    assert model.sum() * 1e4 == pytest.approx(140 - 77)
    assert files.read(tmp_path / "src.rmf") is files.read(tmp_path / "src_bkg.pha") is None


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("is_padded", [False, True])
def test_a_response_of_groups_folds_as_its_whole_matrix(tmp_path, first, is_padded):
    """Energies whose photons land in no, one or two runs of channels, in rows of one length or of their own."""
    n, rng = 80, np.random.default_rng(5)
    path = made.spectrum(tmp_path, np.full(n, 30))
    whole = np.zeros((n, n))
    starts, lengths, values, n_groups = [], [], [], []
    for i in range(n):
        at = [(max(i - 3, 0), 3), (i + 2, 4)][: i % 3 if i < n - 6 else 1]
        for start, length in at:
            whole[i, start : start + length] = rng.uniform(0.1, 1, length)
        n_groups.append(len(at))
        starts.append(np.array([start + first for start, _ in at] or [0], np.int16))
        lengths.append(np.array([length for _, length in at] or [0], np.int16))
        values.append(np.concatenate([whole[i, a : a + k] for a, k in at] or [np.zeros(1)]).astype(np.float32))

    def column(name: str, kind: str, rows: list[np.ndarray]) -> fits.Column:
        if not is_padded:
            ragged = np.empty(n, object)
            ragged[:] = rows
            return fits.Column(name, f"P{kind}()", array=ragged)
        longest = max(map(len, rows))
        padded = np.array([np.pad(row, (0, longest - len(row))) for row in rows])
        return fits.Column(name, f"{longest}{kind}", array=padded)

    with fits.open(tmp_path / "src.rmf", memmap=False) as hdus:
        old = hdus["MATRIX"]
        new = fits.BinTableHDU.from_columns(
            [*(old.columns[name] for name in ("ENERG_LO", "ENERG_HI")),
             fits.Column("N_GRP", "I", array=n_groups), column("F_CHAN", "I", starts),
             column("N_CHAN", "I", lengths), column("MATRIX", "E", values)], name="MATRIX",
        )  # fmt: skip
        new.header["TLMIN4"] = first
        hdus["EBOUNDS"].data["CHANNEL"] = np.arange(n) + first
        fits.HDUList([hdus[0], new, hdus["EBOUNDS"]]).writeto(tmp_path / "src.rmf", overwrite=True)
    with fits.open(path, mode="update") as hdus:
        hdus["SPECTRUM"].data["CHANNEL"] = np.arange(n) + first
    spectrum = files.read(path)[0].data
    low = np.maximum(0.1 * np.arange(n), 1e-3)
    expected = (low**-0.7 - (0.1 * np.arange(1, n + 1)) ** -0.7) @ whole
    edges = np.rint(np.append(spectrum.energy_low_kev, spectrum.energy_high_kev[-1]) * 10).astype(int)
    grouped = np.add.reduceat(expected[: edges[-1]], edges[:-1])
    model = spectrum.folded_per_kev_cps * (spectrum.energy_high_kev - spectrum.energy_low_kev)
    np.testing.assert_allclose(model / model.sum(), grouped / grouped.sum(), rtol=1e-4)


def test_a_spectrum_without_its_response_is_refused(tmp_path):
    path = made.spectrum(tmp_path, np.full(60, 3))
    (tmp_path / "src.arf").unlink()
    with pytest.raises(InputError, match=r"ANCRFILE src.arf, which is not in its folder"):
        files.read(path)
    with pytest.raises(InputError, match="EXPOSURE is -1 s"):
        files.read(made.spectrum(tmp_path, np.full(60, 3), exposure_s=-1.0))
    with pytest.raises(InputError, match="row 4: there are -1 counts"):
        files.read(made.spectrum(tmp_path, [3, 3, 3, -1, 3]))


def test_groups_have_enough_counts_and_lose_none():
    counts = np.array([0, 19, 1, 5, 20, 3, 3, 30, 0, 2.0])
    assert spectrum_files.groups(counts).tolist() == [0, 3, 5]
    assert spectrum_files.groups(np.array([1.0, 2.0])).tolist() == [0]


@pytest.mark.parametrize(
    ("text", "ra", "dec", "radius"),
    [
        ("2CXO J010337.5-720133", 15.90646, -72.02597, 3.55),
        ("yso_2CXOJ085858.3-472727_lc3.fits.gz", 134.74313, -47.45764, 3.72),
        ("J1036.7+1512", 159.1875, 15.20833, 55.8),
    ],
)
def test_a_designation_gives_a_position_as_fine_as_its_digits(text, ra, dec, radius):
    found = product_source._DESIGNATION.search(text)
    assert product_source._position(found) == (
        pytest.approx(ra, abs=1e-4),
        pytest.approx(dec, abs=1e-4),
        pytest.approx(radius, abs=0.1),
    )


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="the real light curves are not here")
def test_every_real_light_curve_is_read():
    chandra, swift = (sorted(SHARED.rglob(end)) for end in ("*.gz", "*.csv"))
    curves = [_curve(path) for path in chandra]
    assert len(curves) == 23 and all(len(c.rows) and c.n_counts for c in curves)
    assert sum(len(files.read(path)) for path in swift) == 4 + 2 * 4
