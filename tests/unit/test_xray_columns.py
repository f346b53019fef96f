"""The X-ray columns of a user's table: the exact definition that its header gives, or one clear question."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from astropy import units as u
from astropy.table import MaskedColumn, Table

from xcat.catalogues.definition import load
from xcat.classifier.model import fit_tables
from xcat.classifier.sample import Sample
from xcat.columns.properties import select
from xcat.errors import ConfigError, InputError
from xcat.ingest.convert import convert
from xcat.ingest.opened import ColumnFacts
from xcat.models.training_range import off_range
from xcat.own.property_columns import check_range, read_properties
from xcat.tables.facts import TableFacts, describe
from xcat.tables.guess import Wanted
from xcat.tables.matched import recognise
from xcat.tables.xray_columns import XrayColumns, xray_columns

CGS = "erg / (s cm2)"


def header(*columns: str | tuple[str, ...]) -> TableFacts:
    """Header of a table; a column is a name, or (name, unit, UCD, description)."""
    made = [ColumnFacts(*((c,) if isinstance(c, str) else c)) for c in columns]
    return TableFacts(Path("mine.csv"), "mine", tuple(made))


def entries(found: XrayColumns) -> dict[str, object]:
    """Entries of the definition but the position, in their shortest form: column, or columns and steps."""
    out: dict[str, object] = {}
    for name, spec in found.definition.columns.items():
        steps = tuple(s.name if s.arg is None else (s.name, s.arg) for s in spec.transform)
        one = spec.from_[0] if len(spec.from_) == 1 and not steps else (spec.from_, *steps)
        out[name] = one if spec.unit is None else (one, spec.unit)
    return {k: v for k, v in out.items() if k not in ("ra", "dec")}


def told(found: XrayColumns, *words: str) -> bool:
    """Whether one message has all these words."""
    return any(all(w in line for w in words) for line in found.messages)


def rows(found: XrayColumns, table: Table) -> dict[str, np.ndarray]:
    """The rows of a table as the ingest converts them."""
    with describe(table).open() as reader:
        return convert(next(iter(reader)), found.definition).columns


MUWCLASS = ("CSCv2_name", "CSCv2_RA", "CSCv2_DEC", "CSCv2_PU", "Fs", "e_Fs", "Fm", "e_Fm", "Fh", "e_Fh")


def test_names_of_muwclass():
    counterparts = ("Gmag", "Plx", "PM", "rgeo", "MW_MW")
    found = xray_columns(header(*MUWCLASS, "Fb", "e_Fb", "P_intra", "P_inter", "powlaw_gamma_mean", *counterparts))
    assert entries(found) == {
        "flux_cgs": "Fb", "flux_err_cgs": "e_Fb", "flux_soft_cgs": "Fs", "flux_soft_err_cgs": "e_Fs",
        "flux_medium_cgs": "Fm", "flux_medium_err_cgs": "e_Fm", "flux_hard_cgs": "Fh", "flux_hard_err_cgs": "e_Fh",
        "gamma": "powlaw_gamma_mean", "p_variable": "P_intra", "p_variable_long": "P_inter",
    }  # fmt: skip
    definition = found.definition
    assert (definition.name, definition.kind, definition.flux_band_kev) == ("own", "xray_sources", (0.5, 7.0))
    assert definition.bands_kev is not None
    assert definition.bands_kev.model_dump() == {"soft": (0.5, 1.2), "medium": (1.2, 2.0), "hard": (2.0, 7.0)}
    assert definition.position_error is not None
    assert definition.position_error.convention == "radius_95"
    assert found.provided == (
        "abs_b", "abs_l", "sep_to_radius", "log_lx_galaxy", "hr1", "hr2", "gamma", "log_fx", "p_variable",
        "p_variable_long",
    )  # fmt: skip
    assert found.magnitudes == ("Gmag", "Plx", "PM", "rgeo")
    assert found.assumed["log_fx_fr"] == ("flux_cgs", "Fb")
    assert (found.direct, found.matched) == ({}, None)


def test_bands_are_summed_to_a_broad_flux():
    names = ("name", "ra", "dec", "Fcsc_s", "e_Fcsc_s", "Fcsc_m", "e_Fcsc_m", "Fcsc_h", "e_Fcsc_h")
    found = xray_columns(header(*names), Wanted(pos_err=0.8))
    got = entries(found)
    assert got["flux_cgs"] == (("Fcsc_s", "Fcsc_m", "Fcsc_h"), "sum")
    assert got["flux_err_cgs"] == (("e_Fcsc_s", "e_Fcsc_m", "e_Fcsc_h"), "hypot")
    assert got["flux_soft_cgs"] == "Fcsc_s"
    assert found.definition.flux_band_kev == (0.5, 7.0)
    assert told(found, "sum of Fcsc_s, Fcsc_m, Fcsc_h", "errors in quadrature", "0.5-7 keV")
    table = Table(
        {n: [v] for n, v in zip(names, ["a", 10, 20, 1e-14, 3e-15, 2e-14, 4e-15, 3e-14, 12e-15], strict=True)}
    )
    out = rows(xray_columns(describe(table), Wanted(pos_err=0.8)), table)
    np.testing.assert_allclose([out["flux_cgs"][0], out["flux_err_cgs"][0]], [6e-14, 1.3e-14], rtol=1e-12)
    assert (out["name"][0], out["native_id"][0], out["err_arcsec"][0]) == (b"a", b"1", 0.8)


def test_bands_with_a_gap_are_not_summed():
    given = {"flux_soft_cgs": "S@0.5-1keV", "flux_medium_cgs": "M@1-2keV", "flux_hard_cgs": "H@4-10keV"}
    found = xray_columns(header("ra", "dec", "S", "M", "H"), Wanted(pos_err=1.0), given)
    assert "flux_cgs" not in found.definition.columns
    assert told(found, "0.5-1, 1-2, 4-10 keV", "do not touch")
    assert {"hr1", "hr2"} <= set(found.provided)
    assert "log_fx" not in found.provided


def test_two_bands_give_their_ratio_and_one_band_no_flux():
    names = ("ra", "dec", "pos_err", "Fs", "e_Fs", "Fm", "e_Fm")
    got = entries(xray_columns(header(*names)))
    assert got == {
        "flux_cgs": (("Fs", "Fm"), "sum"), "flux_err_cgs": (("e_Fs", "e_Fm"), "hypot"),
        "hr1": (("Fs", "Fm"), "hardness"), "hr1_err": (("Fs", "Fm", "e_Fs", "e_Fm"), "hardness_err"),
    }  # fmt: skip
    found = xray_columns(header("ra", "dec", "pos_err", "Fh"))
    assert entries(found) == {}
    assert told(found, "Fh is one band alone", "--column flux_cgs=Fh")
    with pytest.raises(InputError, match=r"energies has the flux of column 'Fh'.*--band"):
        xray_columns(header("ra", "dec", "pos_err", "Fh"), given={"flux_cgs": "Fh"})


def test_energies_are_asked_for_and_can_be_given_with_the_column():
    facts = header("ra", "dec", ("flux_soft", "1e-14 erg/(s cm2)"), "flux_hard")
    with pytest.raises(InputError, match=r"energies have the fluxes of columns flux_soft, flux_hard.*@LOW-HIGHkeV"):
        xray_columns(facts, Wanted(pos_err=1.0))
    given = {"flux_soft_cgs": "flux_soft@0.5-2keV", "flux_hard_cgs": "flux_hard@1e-14 erg/(s cm2)@2-10 keV"}
    found = xray_columns(facts, Wanted(pos_err=1.0), given)
    assert found.definition.flux_band_kev == (0.5, 10.0)
    assert entries(found) == {"flux_cgs": ((("flux_soft", "flux_hard"), "sum"), "1e-14 erg / (s cm2)")}
    assert found.assumed == {}
    with pytest.raises(ConfigError, match=r"'7-2keV' is not a range of energies"):
        xray_columns(facts, Wanted(pos_err=1.0), {"flux_cgs": "flux_soft@7-2keV"})
    with pytest.raises(InputError, match=r"which energies has the flux of column 'flux'.*--band"):
        xray_columns(header("ra", "dec", "pos_err", "flux"))
    assert xray_columns(header("ra", "dec", "pos_err", "flux"), band=(0.5, 8)).definition.flux_band_kev == (0.5, 8)
    described = header("ra", "dec", "pos_err", ("flux", CGS, "", "Flux in 0.3-8 keV"))
    assert xray_columns(described).definition.flux_band_kev == (0.3, 8.0)


def test_what_is_missing_or_ambiguous_is_asked_for():
    with pytest.raises(InputError, match=r"no column looks like a positional error.*--pos-err"):
        xray_columns(header("ra", "dec", "Fb"))
    with pytest.raises(InputError, match="several columns may be the X-ray flux: flux_aper90_b, flux_aper_b"):
        xray_columns(header("ra", "dec", "err_ellipse_r0", "flux_aper90_b", "flux_aper_b"))
    with pytest.raises(InputError, match=r"positional error(.|\n)*which energies has the flux of column 'flux'"):
        xray_columns(header("ra", "dec", "flux"))  # both questions at once
    found = xray_columns(header("ra", "dec", "pos_err"))
    assert found.provided == ("abs_b", "abs_l", "sep_to_radius")
    assert told(found, "no X-ray flux", "--column flux_cgs=")


def test_a_flux_that_cannot_be_one_is_refused():
    table = Table({"ra": [10.0, 11.0], "dec": [1.0, 2.0], "pos_err": [1.0, 1.0], "Fb": [1.3, 4.0]})
    with pytest.raises(InputError, match=r"'Fb' has no unit, and the median.*2\.65, is not a possible flux.*Fb@UNIT"):
        xray_columns(describe(table))
    assert entries(xray_columns(describe(table), given={"flux_cgs": "Fb@1e-14 erg/(s cm2)"})) == {
        "flux_cgs": ("Fb", "1e-14 erg / (s cm2)")
    }


def test_a_flux_by_its_values_and_the_energies_in_its_name():
    table = Table({"ra": [10.0], "dec": [1.0], "pos_err": [1.0], "Flux_0p3_10": [1e-13], "e_Flux_0p3_10": [1e-14]})
    table["flux_class"] = [3.0]
    found = xray_columns(describe(table))
    assert entries(found) == {"flux_cgs": "Flux_0p3_10", "flux_err_cgs": "e_Flux_0p3_10"}
    assert found.definition.flux_band_kev == (0.3, 10.0)
    table["flux_2_10_keV"] = [1e-13]
    with pytest.raises(InputError, match=r"may be the X-ray flux: Flux_0p3_10, flux_2_10_keV\. Say which"):
        xray_columns(describe(table))


def test_hardness_of_count_rates():
    table = Table(
        {"ra": [10.0, 11], "dec": [1.0, 2], "pos_err": [1.0, 1], "rate_soft": [3.0, -1], "rate_medium": [1.0, 2]}
    )
    table["rate_soft_err"], table["rate_medium_err"] = [0.3, 0.1], [0.2, 0.1]
    found = xray_columns(describe(table))
    out = rows(found, table)
    np.testing.assert_allclose(out["hr1"], [-0.5, 1.0])
    np.testing.assert_allclose(out["hr1_err"], [2 * np.hypot(3 * 0.2, 1 * 0.3) / 16, 2 * np.hypot(0, 2 * 0.1) / 4])
    assert "hr1" in found.provided
    assert "hr2" not in found.provided


@pytest.mark.parametrize(
    "name", ["xmm4_sources", "xmm4_detections", "sxps2_sources", "erass1", "efeds", "csc2_detections"]
)
def test_a_survey_is_read_as_its_definition_has_it(name):
    survey = load(name)
    found = xray_columns(header(*survey.file_columns, "ra_of_somebody"))
    assert told(found, survey.title, f"its definition '{name}'")
    assert found.definition.flux_band_kev == survey.flux_band_kev
    assert found.definition.bands_kev == survey.bands_kev or name == "sxps2_sources"  # which has no fluxes in bands
    assert found.definition.position_error == survey.position_error
    kept = [c for c in survey.columns if c.startswith(("flux", "hr", "gamma", "p_var", "extent", "n_det", "snr"))]
    assert {c: found.definition.columns[c] for c in kept} == {c: survey.columns[c] for c in kept}
    assert ("mjd" in survey.columns) == ("mjd" in found.definition.columns or "epoch_yr" in found.definition.columns)
    assert "source_native_id" not in found.definition.columns, "every row is a source"


def test_what_the_user_names_comes_before_the_survey():
    columns = load("xmm4_sources").file_columns
    found = xray_columns(
        header(*columns, "F", "r95"), Wanted(pos_err="r95@95"), {"flux_cgs": f"F@{CGS}@0.5-2keV", "hr1": ""}
    )
    got = entries(found)
    assert (got["flux_cgs"], found.definition.flux_band_kev) == ("F", (0.5, 2.0))
    assert found.definition.position_error is not None
    assert found.definition.position_error.convention == "radius_95"


def test_a_survey_in_another_unit_is_converted_and_of_another_kind_refused():
    names = load("xmm4_sources").file_columns
    other = {"SC_EP_8_FLUX": "W/m2", "SC_EP_8_FLUX_ERR": "W/m2"}
    found = xray_columns(header(*((n, other.get(n, "")) for n in names)))
    assert found.definition.columns["flux_cgs"].unit == "W / m2"
    with pytest.raises(InputError, match=r"'SC_EP_8_FLUX'.*'ct/s' cannot be converted"):
        xray_columns(header(*((n, "ct/s" if n == "SC_EP_8_FLUX" else "") for n in names)))


def test_the_unit_that_a_survey_table_states_counts():
    names = load("erass1").file_columns
    found = xray_columns(header(*((n, "deg" if n == "POS_ERR" else "") for n in names)))
    assert found.definition.position_error is not None
    assert found.definition.position_error.unit == "deg"
    assert found.assumed["log_fx"] == ("flux_cgs", "ML_FLUX_1")
    with pytest.raises(InputError, match=r"'POS_ERR'.*'pix' cannot be converted to arcsec"):
        xray_columns(header(*((n, "pix" if n == "POS_ERR" else "") for n in names)))


def test_properties_of_the_table_itself():
    facts = header(
        "ra",
        "dec",
        "pos_err",
        "log_fx",
        "log_fx_err",
        "flux_ratio",
        "log_flux_ratio_low",
        "sep_to_radius",
        "hr1",
        "hr1_err",
    )
    found = xray_columns(facts)
    assert entries(found) == {"flux_cgs": (("log_fx",), "pow10"), "hr1": "hr1", "hr1_err": "hr1_err"}
    assert found.definition.flux_band_kev == (0.2, 12.0)
    assert {k: (d.value.from_, [s.name for s in d.value.transform]) for k, d in found.direct.items()} == {
        "sep_to_radius": (("sep_to_radius",), []),
        "log_flux_ratio": (("flux_ratio",), ["log10"]),
        "log_flux_ratio_low": (("log_flux_ratio_low",), []),
    }
    assert set(found.file_columns) == {c.name for c in facts.columns} - {"log_fx_err"}


def test_columns_that_xcat_publishes():
    table = Table(
        {
            "name": ["a", "b"], "ra": [10.0, 11.0], "dec": [1.0, 2.0], "err_arcsec": [1.0, 1.5],
            "err_maj_arcsec": [1.0, 1.5], "err_min_arcsec": [1.0, 1.5], "err_pa_deg": [0.0, 10.0],
            "flux_cgs": [1e-13, 2e-13], "flux_err_cgs": [1e-14, 1e-14], "flux_low_kev": [0.5, 0.5],
            "flux_high_kev": [7.0, 7.0], "flux_std_cgs": [2e-13, 4e-13], "flux_soft_cgs": [1e-14, 1e-14],
            "hr1": [0.1, 0.2], "hr2": [0.1, 0.2], "snr": [4.0, 5.0],
        }
    )  # fmt: skip
    found = xray_columns(describe(table))
    assert entries(found) == {
        "name": "name", "flux_cgs": "flux_cgs", "flux_err_cgs": "flux_err_cgs", "hr1": "hr1", "hr2": "hr2", "snr": "snr"
    }  # fmt: skip
    assert found.definition.flux_band_kev == (0.5, 7.0)
    table["flux_low_kev"][1] = 0.3  # of several missions
    found = xray_columns(describe(table))
    assert (entries(found)["flux_cgs"], found.definition.flux_band_kev) == ("flux_std_cgs", (0.2, 12.0))


# --- tables that were matched ---


def nway() -> Table:
    """Three sources: a good counterpart, a poor one, none."""
    table = Table({"X_ID": [1, 1, 2, 2, 3], "X_RA": [10.0, 10, 20, 20, 30], "X_DEC": [1.0] * 5, "X_pos_err": [1.0] * 5})
    table["X_Fb"] = [1e-13] * 5
    table["OPT_RA"] = [-99.0, 10, -99, 20, -99]
    table["OPT_Gmag"] = [-99.0, 18, -99, 21, -99]
    table["Separation_OPT_X"] = [-99.0, 1, -99, 5, -99]
    table["Separation_max"] = [0.0, 1, 0, 5, 0]
    table["ncat"] = [1, 2, 1, 2, 1]
    table["p_any"] = [0.9, 0.9, 0.2, 0.2, 0.0]
    table["p_i"] = [0.0, 1, 0, 1, 0]
    table["match_flag"] = [0, 1, 0, 1, 1]
    return table


def test_a_table_of_nway_needs_no_option():
    found = xray_columns(describe(nway()))
    assert found.matched is not None
    assert (found.matched.by, found.matched.label, found.matched.counterparts) == ("NWAY", "X", ("OPT",))
    assert found.definition.columns["ra"].from_ == ("X_RA",)
    assert found.definition.columns["flux_cgs"].from_ == ("X_Fb",)
    assert found.definition.position_error is not None
    assert found.definition.position_error.columns[0].from_ == ("X_pos_err",)
    assert found.magnitudes == ("OPT_Gmag",)
    assert told(found, "matched by NWAY against OPT; counterparts: p_any at 0.5 or above")
    user = read_properties(nway(), ["log_fx_fr", "log_fx", "abs_b"])
    assert np.isfinite(user.values).tolist() == [[True, True, True], [False, True, True], [False, True, True]]
    assert user.table["X_ID"].tolist() == [1, 2, 3]
    assert any("1 of 3 sources have an accepted counterpart" in m for m in user.messages)
    assert any("of 5 rows, the best hypothesis of each of the 3 sources" in m for m in user.messages)
    user = read_properties(nway(), ["log_fx_fr"], columns={"p_any_cutoff": "0.1"})
    assert np.isfinite(user.values[:, 0]).tolist() == [True, True, False]
    with pytest.raises(ConfigError, match="p_any_cutoff=2: give a probability"):
        xray_columns(describe(nway()), given={"p_any_cutoff": "2"})
    with pytest.raises(ConfigError, match="not the output of 'xcat match' or of NWAY"):
        xray_columns(header("ra", "dec", "pos_err"), given={"p_any_cutoff": "0.5"})


def test_labels_with_signs_in_them_and_two_catalogues():
    names = [
        "my_list_ra",
        "my_list_dec",
        "my_list_pos_err",
        "my_list_mag_k",
        "gaia_dr3_ra",
        "gaia_dr3_mag_k",
        "tm_mag_k",
    ]
    of_match = ["sep_arcsec", "my_list_gaia_dr3_sep_arcsec", "my_list_tm_sep_arcsec", "gaia_dr3_tm_sep_arcsec"]
    flags = ["n_members", "log_bayes_factor", "p_single", "p_any", "p_i", "match_flag", "accepted", "unusable"]
    facts = header(*names, *of_match, *flags)
    matched = recognise(facts)
    assert matched is not None
    assert (matched.label, matched.counterparts) == ("my_list", ("gaia_dr3", "tm"))
    assert [c.name for c in matched.own_columns(facts).columns] == ["ra", "dec", "pos_err", "mag_k"]
    batch = pa.record_batch(
        {
            "match_flag": pa.array([1, 0, None, 1, -99]),
            "p_any": pa.array([0.9, 0.9, None, 0.2, -99.0]),
            "n_members": pa.array([2, 1, None, 2, -99]),
            "accepted": pa.array(["True", "False", "False", "False", "False"]),
        }
    )
    of_source, accepted = matched.rows(batch)
    assert of_source.tolist() == [True, False, True, True, True]
    assert accepted.tolist() == [True, False, False, False, False]
    given = recognise(facts, {"p_any_cutoff": "0.1"})
    assert given is not None
    assert given.rows(batch)[1].tolist() == [True, False, False, True, False]
    assert recognise(header("ra", "dec", "p_any", "p_i", "match_flag")) is None
    without = header(*(n for n in [*names, *of_match, *flags] if n != "my_list_pos_err"))
    assert xray_columns(without).definition.columns["ra"].from_ == ("my_list_ra",), "no error is needed any more"
    assert xray_columns(header("ra", "dec"), needs_error=False).definition.columns["ra"].from_ == ("ra",)


def test_a_quantity_of_several_matched_catalogues_is_that_of_the_first():
    table = Table({"m_ra": [10.0], "m_dec": [1.0], "m_flux_cgs": [1e-13], "m_flux_err_cgs": [1e-14], "m_hr1": [0.3]})
    table["a_mag_j"], table["a_mag_k"], table["b_mag_k"], table["b_mag_w1"] = [15.0], [14.0], [13.0], [12.0]
    for name in ("sep_arcsec", "m_a_sep_arcsec", "m_b_sep_arcsec", "a_b_sep_arcsec", "p_any", "p_i"):
        table[name] = [1.0]
    table["n_members"], table["match_flag"], table["accepted"] = [3], [1], [True]
    table["unusable"] = MaskedColumn([""], mask=[True])
    user = read_properties(table, ["j_k", "j_w1", "hr1", "log_fx"], (0.2, 12))
    np.testing.assert_allclose(user.values, [[1.0, 3.0, 0.3, -13.0]])
    np.testing.assert_allclose(user.errors[0, 3], 0.1 / np.log(10))


# --- values off the range of the training sample ---


@pytest.fixture(scope="module")
def model():
    """Proper motions from 0.1 to 10 mas/yr and flux ratios around 0."""
    rng = np.random.default_rng(3)
    values = np.column_stack([10 ** rng.normal(0, 0.4, 400), rng.normal(0, 1, 400)])
    label = np.arange(400) % 2
    return fit_tables(Sample(select(["pm_mas_yr", "log_fx_fr"]), values, None), label, ("a", "b"), [0.5, 0.5])


def test_values_off_the_range_of_the_sample(model):
    names, n = ["pm_mas_yr", "log_fx_fr", "gamma"], 20
    values = np.column_stack([np.full(n, 0.004), np.full(n, 14.0), np.full(n, 1e9)])
    of_motion, of_flux = off_range(model, names, values, {"pm_mas_yr": ("pm_mas_yr", "PM")})
    assert (of_motion.name, of_motion.refused, of_motion.median) == ("pm_mas_yr", True, pytest.approx(0.004))
    assert of_motion.low == pytest.approx(10 ** (-0.4 * 2.326), rel=0.4)
    assert of_motion.high == pytest.approx(10 ** (0.4 * 2.326), rel=0.4)
    assert "the median of 20 values is 0.004 mas / yr, but 98 % of the training sample lie between" in of_motion.message
    assert "Column 'PM' has no unit and was taken to be in mas / yr" in of_motion.message
    assert "--column 'pm_mas_yr=PM@UNIT'" in of_motion.message
    assert (of_flux.refused, of_flux.message.startswith("WARNING: log_fx_fr")) == (False, True)
    assert off_range(model, names, values[:4]) == [], "four values decide nothing"
    inside = np.column_stack([np.full(n, 3.0), np.full(n, 3.0), np.zeros(n)])  # a flux ratio may be a decade beyond
    assert off_range(model, names, inside) == []


def test_a_column_in_an_unstated_unit_is_refused_and_a_stated_one_used(model):
    table = Table({"PM": [0.003, 0.004, 0.005, 0.006, 0.007]})
    names = ["pm_mas_yr"]
    with pytest.raises(InputError, match=r"median of 5 values is 0\.005 mas / yr.*pm_mas_yr=PM@UNIT"):
        check_range(read_properties(table, names), model)
    user = read_properties(table, names, columns={"pm_mas_yr": "PM@arcsec/yr"})
    check_range(user, model)
    np.testing.assert_allclose(user.values[:, 0], [3, 4, 5, 6, 7])
    assert not any("WARNING" in m for m in user.messages)
    table["PM"].unit = u.mas / u.yr
    user = read_properties(table, names)
    check_range(user, model)
    assert any("WARNING: pm_mas_yr: the median of 5 values is 0.005" in m for m in user.messages)


@pytest.mark.parametrize(
    ("column", "is_taken"), [(("nh_gal", "1e20 / cm2"), True), ("nh_gal_cm2", True), ("nh_gal", False)]
)
def test_hydrogen_of_the_table_counts_in_a_unit_that_can_be(column, is_taken):
    table = Table({"ra": [1.0, 2.0], "dec": [3.0, 4.0], "err_arcsec": [0.5, 0.5]})
    name, unit = (column, "") if isinstance(column, str) else column
    table[name] = [3.1e20, 4.2e20] if name.endswith("cm2") else [3.1, 4.2]
    table[name].unit = unit or None
    found = xray_columns(describe(table))
    assert ("nh_gal_cm2" in found.definition.columns) == is_taken
    if is_taken:
        np.testing.assert_allclose(rows(found, table)["nh_gal_cm2"], [3.1e20, 4.2e20])
    else:
        assert told(found, "nh_gal_cm2 is not nh_gal", "--column nh_gal_cm2=nh_gal@UNIT")
