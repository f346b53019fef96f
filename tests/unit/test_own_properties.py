"""A table of one's own to properties: which column is what, in which unit, by which formula; and what is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import MaskedColumn, Table

from xcat.columns.registry import property_entries
from xcat.errors import ConfigError, InputError
from xcat.ingest.opened import ColumnFacts
from xcat.output.files import write
from xcat.own.derived import galactic
from xcat.own.property_columns import UserProperties, read_properties
from xcat.tables.quantities import Quantities
from xcat.tables.vocabulary import band_of, quantities

NAMES = [entry["name"] for entry in property_entries()]
# 0.5-7 keV to 0.2-12 keV for a photon index of 1.7
FACTOR = (12**0.3 - 0.2**0.3) / (7**0.3 - 0.5**0.3)


def csv(path: Path, text: str) -> Path:
    file = path / "mine.csv"
    file.write_text(text)
    return file


def one(own: UserProperties, name: str) -> np.ndarray:
    return own.values[:, own.names.index(name)]


def told(own: UserProperties, *words: str) -> bool:
    """Whether one line has all these words."""
    return any(all(w in line for w in words) for line in own.messages)


def chosen(quantity: str, *columns: ColumnFacts) -> str | None:
    from xcat.tables.facts import TableFacts

    found = Quantities(TableFacts(Path("mine.csv"), "mine", columns)).find(quantity)
    return None if found is None else found.column


def sources() -> Table:
    """Three sources with everything: fluxes in W/m2, proper motions by axis, one value of each kind missing."""
    table = Table(
        {
            "SRC": ["a", "b", "c"],
            "RAJ2000": [10.0, 266.5, 83.6] * u.deg,
            "DEJ2000": [-30.0, -29.0, 22.0] * u.deg,
            "flux_0.5-7keV": np.array([1e-16, 2e-16, 4e-17]) * u.W / u.m**2,
            "e_flux_0.5-7keV": np.array([1e-17, 2e-17, 4e-18]) * u.W / u.m**2,
            "Fs": np.array([3e-14, 1e-14, 1e-14]) * u.erg / u.s / u.cm**2,
            "e_Fs": np.array([3e-15, 1e-15, 1e-15]) * u.erg / u.s / u.cm**2,
            "Fm": np.array([1e-14, 1e-14, 3e-14]) * u.erg / u.s / u.cm**2,
            "e_Fm": np.array([2e-15, 1e-15, 1e-15]) * u.erg / u.s / u.cm**2,
            "Gmag": [18.0, 15.0, 99.0] * u.mag,
            "BPmag": [18.5, -99.0, 99.0] * u.mag,
            "pmRA": [0.003, -0.001, 0.0] * u.arcsec / u.yr,
            "pmDE": [0.004, 0.0, 0.0] * u.arcsec / u.yr,
            "Plx": [2.0, 0.5, 0.0] * u.mas,
            "e_Plx": [0.1, 0.1, 0.0] * u.mas,
            "dist": [0.5, 2.0, 3.0] * u.kpc,
        }
    )
    table["W1mag"] = MaskedColumn([15.0, 12.0, 14.0], mask=[False, False, True], unit="mag")
    return table


@pytest.mark.parametrize("suffix", [".fits", ".vot", ".ecsv", ".parquet"])
def test_every_format_gives_the_same_properties(tmp_path, suffix):
    own = read_properties(write(sources(), tmp_path / f"mine{suffix}"), NAMES)
    flux = np.array([1e-13, 2e-13, 4e-14]) * FACTOR
    np.testing.assert_allclose(one(own, "log_fx"), np.log10(flux), rtol=1e-6)
    np.testing.assert_allclose(own.errors[:, own.names.index("log_fx")], 0.1 / np.log(10), rtol=1e-6)
    np.testing.assert_allclose(one(own, "hr1"), [-0.5, 0.0, 0.5], atol=1e-7)
    expected = 2 * np.hypot(3e-14 * 2e-15, 1e-14 * 3e-15) / 4e-14**2
    np.testing.assert_allclose(own.errors[0, own.names.index("hr1")], expected, rtol=1e-6)
    np.testing.assert_allclose(one(own, "pm_mas_yr"), [5.0, 1.0, np.nan], rtol=1e-6)
    np.testing.assert_allclose(one(own, "parallax_sigma"), [20.0, 5.0, np.nan], rtol=1e-6)
    np.testing.assert_allclose(one(own, "distance_pc"), [500.0, 2000.0, 3000.0], rtol=1e-6)
    luminosity = np.log10(4 * np.pi * (np.array([500.0, 2000.0, 3000.0]) * 3.0856775814913673e18) ** 2 * flux)
    np.testing.assert_allclose(one(own, "log_lx_counterpart"), luminosity, rtol=1e-7)
    # B is BP, else G + 0.3; a magnitude of 99 and one of -99 are none
    log_fx = np.log10(flux)
    np.testing.assert_allclose(
        one(own, "log_fx_fb"), [log_fx[0] + 5.37 + 18.5 / 2.5, log_fx[1] + 5.37 + 15.3 / 2.5, np.nan], rtol=1e-6
    )
    np.testing.assert_allclose(
        one(own, "log_fx_fw1"), [*(log_fx[:2] + 6.95 + np.array([15, 12]) / 2.5), np.nan], rtol=1e-6
    )
    np.testing.assert_allclose(one(own, "r_w1"), [17.5 - 15, 14.5 - 12, np.nan], rtol=1e-6)
    place = SkyCoord([10, 266.5, 83.6], [-30, -29, 22], unit="deg").galactic
    np.testing.assert_allclose(one(own, "abs_b"), np.abs(place.b.deg), atol=1e-4)
    np.testing.assert_allclose(one(own, "abs_l"), np.minimum(place.l.deg, 360 - place.l.deg), atol=1e-4)
    assert own.table["SRC"].tolist() == ["a", "b", "c"]
    assert own.n_bad == {"pm_mas_yr zero or negative": 1}
    assert told(own, "log_fx_fb =", "BPmag, else Gmag + 0.3", "2 of 3 rows")
    assert told(own, "flux_cgs is flux_0.5-7keV", "W / m2") or told(own, "flux_cgs is flux_0.5-7keV", "W")
    assert told(own, "1 rows without a value: pm_mas_yr zero or negative (first in row 3)")
    assert told(own, "sep_to_radius: not in the table")
    assert not own.has_columns[own.names.index("sep_to_radius")]


def test_properties_are_taken_as_they_are_whatever_the_case(tmp_path):
    text = (
        "ABS_B,Hr1,log_fx_fr,pm_mas_yr,hr1_err,Gmag\n12.5,0.25,-1.5,3,0.1,20\n,N/A,-999,0,0.1,20\n90.5,1.5,2,-1,0,20\n"
    )
    own = read_properties(csv(tmp_path, text), ["abs_b", "hr1", "log_fx_fr", "pm_mas_yr", "gamma"])
    np.testing.assert_array_equal(one(own, "abs_b"), [12.5, np.nan, np.nan])
    np.testing.assert_array_equal(one(own, "hr1"), [0.25, np.nan, np.nan])
    np.testing.assert_array_equal(one(own, "log_fx_fr"), [-1.5, np.nan, 2])
    np.testing.assert_array_equal(one(own, "pm_mas_yr"), [3, np.nan, np.nan])
    np.testing.assert_array_equal(own.errors[:, 1], [0.1, np.nan, np.nan])
    assert own.has_columns.tolist() == [True, True, True, True, False]
    assert own.n_bad == {
        "abs_b outside 0 to 90": 1,
        "hr1 outside -1 to 1": 1,
        "pm_mas_yr zero or negative": 2,
    }
    assert np.isnan(own.ra).all()


def test_a_property_in_another_unit_is_converted(tmp_path):
    table = Table({"pm_mas_yr": [0.002] * u.arcsec / u.yr, "distance_pc": [1.5] * u.kpc})
    own = read_properties(write(table, tmp_path / "mine.fits"), ["pm_mas_yr", "distance_pc"])
    np.testing.assert_allclose(own.values, [[2.0, 1500.0]])
    table = Table({"pm_mas_yr": [0.002] * u.m})
    with pytest.raises(
        InputError, match=r"column 'pm_mas_yr'.*'m' cannot be converted to mas / yr.*--column pm_mas_yr="
    ):
        read_properties(write(table, tmp_path / "wrong.fits"), ["pm_mas_yr"])


def test_missing_zero_and_negative_values(tmp_path):
    text = "RA,Dec,Fb,Gmag\n10,20,1e-13,15\n10,20,0,15\n10,20,-1e-14,15\n10,95,N/A,99.99\n,,-99,-99\n400,1,oops,NaN\n"
    own = read_properties(csv(tmp_path, text), ["abs_b", "log_fx_fr"])
    assert np.isfinite(one(own, "log_fx_fr")).tolist() == [True, False, False, False, False, False]
    assert np.isfinite(one(own, "abs_b")).tolist() == [True, True, True, False, False, False]
    assert own.n_bad == {
        "Fb zero or negative, so no flux ratio": 2,
        "Fb: not a number": 1,
        "RA: right ascension outside 0 to 360 degrees": 1,
        "Dec: declination outside -90 to 90 degrees": 1,
        "RA, Dec: no position": 1,
    }
    assert len(own.table) == 6


def test_what_is_lacking_is_said(tmp_path):
    own = read_properties(csv(tmp_path, "Gmag,Fs\n20,1e-14\n"), ["log_fx_fr", "hr1", "abs_b", "log_flux_ratio"])
    assert told(own, "log_fx_fr: not in the table (no flux in 0.2-12 keV, no X-ray flux), so it is excluded")
    assert told(own, "hr1: not in the table (no hardness ratio of", "no flux in the medium band, no count rate")
    assert told(own, "abs_b: not in the table (no position, no galactic latitude, no galactic longitude)")
    assert told(own, "log_flux_ratio: not in the table, so")
    assert not own.has_columns.any()


def test_mostly_not_available_is_still_a_number(tmp_path):
    rows = "\n".join(f"10,20,1e-13,{'N/A' if i % 4 else 15}" for i in range(300))
    own = read_properties(csv(tmp_path, f"RA,Dec,Fb,Gmag\n{rows}\n"), ["log_fx_fr"])
    assert np.isfinite(own.values).sum() == 75


# --- which column is what ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quantity", "columns", "expected"),
    [
        ("mag_gaia_g", [ColumnFacts("Gmag"), ColumnFacts("gmag")], "Gmag"),
        ("mag_g", [ColumnFacts("Gmag"), ColumnFacts("gmag")], "gmag"),
        ("mag_gaia_g", [ColumnFacts("phot_g_mean_mag")], "phot_g_mean_mag"),
        ("mag_gaia_bp", [ColumnFacts("e_BPmag"), ColumnFacts("BPmag")], "BPmag"),
        ("mag_gaia_rp", [ColumnFacts("RPmag"), ColumnFacts("G-RP"), ColumnFacts("BP-RP")], "RPmag"),
        ("mag_w1", [ColumnFacts("w1mpro", "mag"), ColumnFacts("w1sigmpro", "mag")], "w1mpro"),
        ("mag_w1", [ColumnFacts("allwise_mag_w1")], "allwise_mag_w1"),
        ("mag_k", [ColumnFacts("x", "", "phot.mag;em.IR.K"), ColumnFacts("y", "", "stat.error;phot.mag;em.IR.K")], "x"),
        ("mag_j", [ColumnFacts("gaia_edr3_Jmag")], "gaia_edr3_Jmag"),
        ("flux_cgs", [ColumnFacts("F1", "mW/m2", "phot.flux;em.X-ray"), ColumnFacts("flux", "Jy")], "F1"),
        ("flux_cgs", [ColumnFacts("flux", "", "phot.flux;em.radio"), ColumnFacts("Fx")], "Fx"),
        ("flux_cgs", [ColumnFacts("X_FLUX_sum", "erg/cm^2/s"), ColumnFacts("X_FLUX_ERR", "erg/cm^2/s")], "X_FLUX_sum"),
        ("flux_cgs", [ColumnFacts("flux", "erg/cm2/s"), ColumnFacts("FLUX_B", "mJy")], "flux"),
        ("flux_soft_cgs", [ColumnFacts("Fs"), ColumnFacts("Fb")], "Fs"),
        ("pm_mas_yr", [ColumnFacts("PM"), ColumnFacts("pmRA")], "PM"),
        ("pmra_mas_yr", [ColumnFacts("a", "mas/yr", "pos.pm;pos.eq.ra")], "a"),
        ("distance_pc", [ColumnFacts("rgeo"), ColumnFacts("b_rgeo"), ColumnFacts("B_rgeo")], "rgeo"),
        ("parallax_mas", [ColumnFacts("parallax"), ColumnFacts("parallax_error")], "parallax"),
        ("p_variable", [ColumnFacts("P_intra"), ColumnFacts("P_inter")], "P_intra"),
        ("hr1", [ColumnFacts("SC_HR2"), ColumnFacts("SC_HR3")], "SC_HR2"),
        ("gamma", [ColumnFacts("nothing")], None),
        ("flux_cgs", [ColumnFacts("flux_err"), ColumnFacts("e_flux"), ColumnFacts("flux_limit")], None),
    ],
)  # fmt: skip
def test_columns_by_name_ucd_and_unit(quantity, columns, expected):
    assert chosen(quantity, *columns) == expected


def test_columns_that_fit_equally_are_refused(tmp_path):
    path = csv(tmp_path, "RA,Dec,flux_aper_b,flux_aper90_b,Gmag\n1,2,1e-14,3e-14,20\n")
    message = r"several columns may be the X-ray flux: flux_aper_b, flux_aper90_b\. Say which: --column flux_cgs=COLUMN"
    with pytest.raises(InputError, match=message):
        read_properties(path, ["log_fx"])
    own = read_properties(path, ["log_fx", "abs_b"], columns={"flux_cgs": "flux_aper90_b"})
    np.testing.assert_allclose(one(own, "log_fx"), np.log10(3e-14 * FACTOR))
    without = read_properties(path, ["log_fx", "abs_b"], columns={"flux_cgs": ""})
    assert without.has_columns.tolist() == [False, True]
    assert told(without, "flux_cgs: none (given)")
    read_properties(path, ["abs_b"])  # nobody asks for the flux


def test_a_unit_that_cannot_be_converted_names_column_and_unit(tmp_path):
    table = Table({"RA": [1.0], "DEC": [2.0], "flux": [3.0] * u.mJy, "Gmag": [20.0]})
    path = write(table, tmp_path / "mine.fits")
    message = (
        r"mine\.fits: column 'flux' would be the X-ray flux, but 'mJy' cannot be converted to erg / \(s cm2\).*--column"
    )
    with pytest.raises(InputError, match=message):
        read_properties(path, ["log_fx"])
    own = read_properties(path, ["log_fx"], band=(0.5, 7), columns={"flux_cgs": "flux@1e-14 erg/(s cm2)"})
    np.testing.assert_allclose(own.values, [[np.log10(3e-14 * FACTOR)]])
    with pytest.raises(InputError, match="'Gmag' would be the X-ray flux, but 'furlong'"):
        read_properties(path, ["log_fx"], columns={"flux_cgs": "Gmag@furlong"})


def test_a_flux_without_unit_must_look_like_one(tmp_path):
    with pytest.raises(InputError, match=r"column 'flux' has no unit, and its median of 3 is not a possible flux"):
        read_properties(csv(tmp_path, "flux\n3\n3\n0\n"), ["log_fx"], band=(0.5, 7))


def test_the_band_is_asked_for_where_nothing_says_it(tmp_path):
    path = csv(tmp_path, "flux\n1e-13\n")
    with pytest.raises(InputError, match=r"which energies has the flux of column 'flux'\?.*--band LOW-HIGH"):
        read_properties(path, ["log_fx"])
    own = read_properties(path, ["log_fx"], band=(0.2, 12))
    np.testing.assert_allclose(own.values, [[-13.0]])
    with pytest.raises(ConfigError, match=r"--band 7-0\.5"):
        read_properties(path, ["log_fx"], band=(7, 0.5))


@pytest.mark.parametrize(
    ("name", "description", "expected"),
    [
        ("flux", "Flux in the 0.5-7.0 keV band", (0.5, 7.0)),
        ("flux_0.2_12.0", "", (0.2, 12.0)),
        ("F_0p5_2keV", "", (0.5, 2.0)),
        ("Flux0.3-10", "", (0.3, 10.0)),
        ("flux", "Flux", None),
        ("SC_EP_8_FLUX", "", (0.2, 12.0)),
        ("csc_Fb", "", (0.5, 7.0)),
        ("ML_FLUX_1", "", (0.2, 2.3)),
    ],
)
def test_bands(name, description, expected):
    found = band_of(ColumnFacts(name, description=description), quantities()["flux_cgs"])
    assert (found[:2] if found else None) == expected


def test_columns_given(tmp_path):
    path = csv(tmp_path, "x,y,z,name,RA,Dec\n1,2,3e-13,a,10,20\n")
    own = read_properties(
        path,
        ["log_fx_fr", "gamma", "abs_b"],
        band=(0.5, 7),
        columns={"gamma": "x", "mag_gaia_rp": "y", "flux_cgs": "z"},
    )
    np.testing.assert_allclose(one(own, "gamma"), 1)
    np.testing.assert_allclose(one(own, "log_fx_fr"), np.log10(3e-13 * FACTOR) + 5.37 + 2 / 2.5)
    with pytest.raises(ConfigError, match=r"--column nonsense=.*there is: abs_b"):
        read_properties(path, ["gamma"], columns={"nonsense": "x"})
    with pytest.raises(InputError, match=r"there is no column 'w' \(--column gamma=COLUMN\); it has: x, y"):
        read_properties(path, ["gamma"], columns={"gamma": "w"})
    with pytest.raises(InputError, match=r"column 'name' \(--column gamma=COLUMN\) holds text"):
        read_properties(path, ["gamma"], columns={"gamma": "name"})
    with pytest.raises(ConfigError, match="unknown property nonsense"):
        read_properties(path, ["nonsense"])


def test_rates_make_hardness_where_no_flux_does(tmp_path):
    own = read_properties(csv(tmp_path, "rate_soft,rate_medium,HR2\n1,3,0.2\n0,0,0.1\n-1,2,0.3\n"), ["hr1", "hr2"])
    np.testing.assert_array_equal(one(own, "hr1"), [0.5, np.nan, 1.0])
    np.testing.assert_array_equal(one(own, "hr2"), [0.2, 0.1, 0.3])
    assert own.n_bad == {"rate_soft, rate_medium both zero or negative, so no hr1": 1}


def test_probabilities_of_being_constant_are_turned_round(tmp_path):
    own = read_properties(csv(tmp_path, "SC_CHI2PROB\n0.2\n1.7\n"), ["p_variable"])
    np.testing.assert_allclose(own.values[:, 0], [0.8, np.nan])
    assert own.n_bad == {"p_variable outside 0 to 1": 1}


def test_galactic_columns_serve_where_there_is_no_position(tmp_path):
    own = read_properties(csv(tmp_path, "GLON,GLAT\n350,-12\n"), ["abs_b", "abs_l"])
    np.testing.assert_allclose(own.values, [[12, 10]])


def test_an_ambiguous_position_matters_only_where_it_is_needed(tmp_path):
    path = csv(tmp_path, "X_RA,X_DEC,Y_RA,Y_DEC,hr1\n1,2,3,4,0.5\n")
    assert read_properties(path, ["hr1"]).values.tolist() == [[0.5]]
    with pytest.raises(InputError, match=r"several columns may be the position: X_RA, X_DEC, Y_RA, Y_DEC"):
        read_properties(path, ["abs_b"])
    assert read_properties(path, ["abs_b"], columns={"ra": "Y_RA", "dec": "Y_DEC"}).ra.tolist() == [3.0]


def test_sexagesimal_positions(tmp_path):
    own = read_properties(csv(tmp_path, "RA,Dec\n00 40 00,-30 00 00\n,\n"), ["abs_b"])
    np.testing.assert_allclose(own.ra, [10.0, np.nan])
    assert np.isfinite(own.values[:, 0]).tolist() == [True, False]


def test_an_empty_table_and_none(tmp_path):
    with pytest.raises(InputError, match="the table has no rows"):
        read_properties(csv(tmp_path, "RA,Dec\n"), ["abs_b"])
    with pytest.raises(InputError, match="no such file"):
        read_properties(tmp_path / "nowhere.fits", ["abs_b"])


def test_an_extension_of_a_fits_file(tmp_path):
    first, second = Table({"RA": [1.0], "DEC": [2.0]}), Table({"hr1": [0.5], "note": ["x"]})
    hdus = [fits.PrimaryHDU(), fits.BinTableHDU(first, name="A"), fits.BinTableHDU(second, name="B")]
    fits.HDUList(hdus).writeto(tmp_path / "two.fits")
    for which in ("B", 2):
        own = read_properties(tmp_path / "two.fits", ["hr1"], hdu=which)
        assert own.values.tolist() == [[0.5]]
        assert own.table.colnames == ["hr1", "note"]
    with pytest.raises(InputError, match="there is no table in extension 'C'"):
        read_properties(tmp_path / "two.fits", ["hr1"], hdu="C")


def test_galactic_coordinates():
    rng = np.random.default_rng(1)
    ra, dec = rng.uniform(0, 360, 500), np.degrees(np.arcsin(rng.uniform(-1, 1, 500)))
    lon, lat = galactic(ra, dec)
    found, expected = SkyCoord(lon, lat, unit="deg", frame="galactic"), SkyCoord(ra, dec, unit="deg").galactic
    assert found.separation(expected).arcsec.max() < 0.1


def test_the_chandra_training_table(shared_data):
    """Every property that its columns can give is found without help."""
    own = read_properties(shared_data / "chandra" / "csc2_labelled_td.csv", NAMES)
    missing = {n for n, there in zip(own.names, own.has_columns, strict=True) if not there}
    assert missing == {
        "sep_to_radius",
        "log_lx_galaxy",
        "gamma",
        "log_flux_ratio",
        "log_flux_ratio_low",
        "flux_ratio_sigma",
        "log_rate_ratio",
        "mean_excess_variance",
    }
    assert told(own, "Fb is the flux in 0.5-7 keV", "Chandra's broad band")
    assert len(own.table) == 2941
    assert own.n_bad == {}


def test_fluxes_in_bands_are_summed(tmp_path):
    names, values = "Fcsc_s,e_Fcsc_s,Fcsc_m,e_Fcsc_m,Fcsc_h,e_Fcsc_h", "1e-14,3e-15,2e-14,4e-15,3e-14,12e-15"
    own = read_properties(csv(tmp_path, f"{names}\n{values}\n1e-14,1e-15,,1e-15,1,1\n"), ["log_fx", "hr1"])
    np.testing.assert_allclose(one(own, "log_fx"), [np.log10(6e-14 * FACTOR), np.nan])
    np.testing.assert_allclose(own.errors[0, 0], 1.3e-14 / 6e-14 / np.log(10))
    np.testing.assert_allclose(one(own, "hr1"), [1 / 3, np.nan])
    assert told(own, "the flux in 0.5-7 keV is Fcsc_s + Fcsc_m + Fcsc_h")
