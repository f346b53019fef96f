"""Catalogue definitions: the shipped ones load, wrong ones are refused with the line at fault."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest

from xcat.catalogues import Definition, available, load
from xcat.catalogues.describe import describe
from xcat.catalogues.grammar import INTEGER_COLUMNS, STANDARD_COLUMNS, TEXT_COLUMNS
from xcat.columns import registry
from xcat.columns.registry import OF_SOURCE
from xcat.database.schema import CATALOGUE_TABLES
from xcat.errors import ConfigError

GOOD = """\
name: mine
title: My own catalogue
kind: optical
citation: me
position_error:
  convention: axis_1sigma
  constant: 0.1
sky: {area_deg2: 2.0}
completeness: 0.5
colours:
  r: [mag_r - 0.75]
columns:
  ra: {from: RA, unit: deg}
  dec: {from: DEC, unit: deg}
  mag_r: {from: R, unit: mag}
"""


def write(folder: Path, text: str, name: str = "mine") -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(dedent(text))
    return path


@pytest.mark.parametrize("name", available())
def test_every_shipped_definition_loads(name: str) -> None:
    definition = load(name)
    assert definition.name == name
    again = Definition.from_dict(definition.as_dict())
    assert again == definition
    assert again.sha256 == definition.sha256
    for band in ("r", "b", "w1", "w2", "j"):
        for column, offset in definition.colour_terms(band):
            assert column in definition.columns
            assert abs(offset) < 2
        assert band not in definition.depth or 5 < definition.depth[band] < 25


def test_all_catalogues_of_the_issue_are_shipped() -> None:
    wanted = (
        "xmm4_sources xmm4_detections sxps2_sources lsxps_detections csc2_detections erass1 efeds rxs2 gaia_dr3 "
        "gaia_edr3 panstarrs1 twomass allwise catwise unwise gladeplus milliquas veron vsx gcvs ritter_kolb "
        "open_cv liu_lmxb liu_hmxb xrbcats_hmxb"
    )
    assert set(wanted.split()) <= set(available())


def test_the_standard_columns_are_those_of_the_tables() -> None:
    made_by_xcat = {
        "catalogue_id",
        "object_id",
        "file_id",
        "err_arcsec",
        "err_maj_arcsec",
        "err_min_arcsec",
        "err_pa_deg",
        "class",
        "flaws",
        *(f"source_{name}" for name in OF_SOURCE),
    }
    for table, names in STANDARD_COLUMNS.items():
        assert set(names) == set(CATALOGUE_TABLES[table].columns.keys()) - made_by_xcat
        for name in names:
            assert name in registry.columns()
            kind = CATALOGUE_TABLES[table].columns[name].type.python_type
            assert (kind is str) == (name in TEXT_COLUMNS)
            assert (kind is int) == (name in INTEGER_COLUMNS)


_XRAY = (
    GOOD.replace("optical", "xray_detections").split("sky:")[0]
    + """\
flux_band_kev: [0.5, 7.0]
columns: {ra: RA, dec: DEC, source_native_id: SRC, flux_cgs: F}
"""
)


@pytest.mark.parametrize(
    ("added", "message"),
    [
        ("of_source: {snr: S}", "'snr' is not given by source; known: flux_cgs"),
        ("of_source: {flux_cgs: {from: S, unit: mag}}", "of_source.flux_cgs.unit: 'mag' cannot become"),
        ("of_source: {hr1: {from: [a, b], transform: {join: '_'}}}", "'join' gives no quantity"),
        ("quality: {Bad: f}", "quality"),
        ("quality: {bad: {column: f, bits: 1, above: 2}}", "give one of 'bits', 'values' and 'above', or none"),
        ("quality: {bad: {column: f, bits: [0]}}", "greater than 0"),
        ("quality: {bad: {column: f, spoils: colours}}", "spoils"),
        ("quality: {bad: {bits: 1}}", "column: is missing"),
    ],
)
def test_wrong_flaws_and_values_of_the_source_are_refused(tmp_path: Path, added: str, message: str) -> None:
    load(write(tmp_path, _XRAY))
    with pytest.raises(ConfigError) as refused:
        load(write(tmp_path, _XRAY + added + "\n"))
    assert message in str(refused.value).replace("' . '", ".")
    assert "mine.yaml:10" in str(refused.value)


def test_flaws_belong_to_x_rays_and_values_of_sources_to_detections(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="quality: belongs to catalogues of X-ray detections or sources"):
        load(write(tmp_path, GOOD + "quality: {bad: f}\n"))
    with pytest.raises(ConfigError, match="of_source: belongs to kind 'xray_detections' with the column"):
        load(write(tmp_path, _XRAY.replace("source_native_id: SRC, ", "") + "of_source: {flux_cgs: S}\n"))


def test_flaws_and_values_of_the_source_are_described() -> None:
    text = describe(load("csc2_detections"))
    assert "piled_up: obs_pileup_warning > 0.1" in text
    assert "confused: obs_conf_code has 8 or 256; spoils fluxes only" in text
    assert "source: flux_cgs" in text and "flux_aper90_b" in text


def test_a_definition_of_ones_own(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    definition = load(path)
    assert definition.table_kind == "counterpart"
    assert definition.file_columns == ("RA", "DEC", "R")
    assert load("mine", [tmp_path]) == definition
    assert available([tmp_path])["mine"] == path
    commented = write(tmp_path, "# a remark\n" + GOOD, "mine2")
    assert load(commented).sha256 == definition.sha256


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("name: mine", "name: My own", 1, "name"),
        ("kind: optical", "kind: radio", 3, "kind"),
        ("citation: me", "citation: me\ncolour: blue", 5, "unknown key"),
        ("title: My own catalogue\n", "", 1, "title: is missing"),
        ("convention: axis_1sigma", "convention: sigma", 6, "convention"),
        ("constant: 0.1", "constant: 0.1\n  columns: [a, b]", 5, "either"),
        ("constant: 0.1", "columns: [a, b, c]", 5, "at most two"),
        ("constant: 0.1", "columns: [a]\n  unit: mag", 5, "not an angle"),
        ("constant: 0.1", "columns: [a]\n  unit: arcfoo", 5, "arcfoo"),
        ("axis_1sigma", "ellipse_95", 5, "two columns"),
        ("{area_deg2: 2.0}", "{area_deg2: 2.0, density_per_deg2: 3}", 8, "exactly one"),
        ("{area_deg2: 2.0}", "{}", 8, "exactly one"),
        ("{area_deg2: 2.0}", "{local: true, area_deg2: 2.0}", 8, "exactly one of density_per_deg2, area_deg2, local"),
        ("{area_deg2: 2.0}", "{local: false}", 8, "local"),
        ("{area_deg2: 2.0}", "{local_annulus_arcsec: [20, 60]}", 8, "unknown key"),
        ("sky: {area_deg2: 2.0}\n", "", 1, "sky: is missing"),
        ("completeness: 0.5", "completeness: 1.5", 9, "probability"),
        ("completeness: 0.5", "completeness: guess", 9, "completeness"),
        ("mag_r - 0.75", "mag_q - 0.75", 11, "mag_q"),
        ("mag_r - 0.75", "mag_r * 0.75", 11, "not of the form"),
        ("completeness: 0.5", "completeness: 0.5\ndepth: {k: 17.0}", 10, "depth.k"),
        ("completeness: 0.5", "completeness: 0.5\ndepth: {r: -99}", 10, "depth.r"),
        ("  ra: {from: RA, unit: deg}\n", "", 12, "'ra' is missing"),
        ("mag_r: {from", "mag_R: {from", 15, "no standard column"),
        ("mag_r: {from: R, unit: mag}", "mag_r: R\n  hr1: HR", 16, "does not fit kind"),
        ("from: R, unit: mag", "from: R, unit: deg", 15, "cannot become"),
        ("from: R, unit: mag", "from: R, unit: foo", 15, "foo"),
        ("from: R, unit: mag", "from: R, units: mag", 15, "unknown key"),
        ("from: R, unit: mag", "from: [R, S]", 15, "need a transform"),
        ("from: R, unit: mag", "from: R, transform: square", 15, "unknown transform"),
        ("from: R, unit: mag", "from: R, transform: scale", 15, "needs a number"),
        ("from: R, unit: mag", "from: R, transform: {scale: many}", 15, "needs a number"),
        ("from: R, unit: mag", "from: R, transform: {pow10: 3}", 15, "no argument"),
        ("from: R, unit: mag", "from: R, transform: hypot", 15, "takes 2 to 99 columns"),
        ("{from: RA, unit: deg}", "{from: [a, b], transform: hms}", 13, "takes 1 or 3 columns"),
        ("from: R, unit: mag", "from: [R, S], transform: [first, sum]", 15, "must be the first"),
        ("from: R, unit: mag", "from: [R, S], transform: {join: '_'}", 15, "is a number"),
        ("completeness: 0.5", "completeness: 0.5\nclass: CV", 10, "belongs to kind 'reference'"),
        ("name: mine", "name: mine\nname: yours", 2, "given twice"),
        ("kind: optical", "kind: [optical", 4, "not valid YAML"),
    ],
)
def test_a_wrong_definition_is_refused_with_its_line(
    tmp_path: Path, old: str, new: str, line: int, message: str
) -> None:
    assert old in GOOD
    path = write(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        load(path)
    text = str(caught.value)
    assert message in text
    assert f"{path}:{line}: " in text


@pytest.mark.parametrize(
    ("extra", "line", "message"),
    [
        ("columns: {ra: A, dec: D, flux_cgs: F}", 5, "flux_band_kev: is missing"),
        ("flux_band_kev: [2, 1]\ncolumns: {ra: A, dec: D}", 6, "range of energies"),
        ("columns: {ra: A, dec: D, flux_soft_cgs: F}", 5, "bands_kev: is missing"),
        ("columns: {ra: A, dec: D, hr1: {from: [a, b], transform: flags}}", 6, "is a quantity"),
        ("columns: {ra: A, dec: D, obs_id: {from: a, unit: s}}", 6, "is a text"),
    ],
)
def test_a_wrong_xray_definition(tmp_path: Path, extra: str, line: int, message: str) -> None:
    head = "name: x\ntitle: X\nkind: xray_detections\ncitation: me\n"
    error = "position_error: {convention: radius_90, columns: e}\n"
    path = write(tmp_path, head + error + extra)
    with pytest.raises(ConfigError, match=message) as caught:
        load(path)
    assert f"{path}:" in str(caught.value)
    if "is missing" not in message:
        assert f"{path}:{line}: " in str(caught.value)


def test_a_reference_needs_classes(tmp_path: Path) -> None:
    head = "name: x\ntitle: X\nkind: reference\ncitation: me\n"
    rest = "position_error: {convention: axis_1sigma, constant: 1}\ncolumns: {ra: A, dec: D}\n"
    with pytest.raises(ConfigError, match="either 'classes' or one 'class'"):
        load(write(tmp_path, head + rest))
    with pytest.raises(ConfigError, match="needs the column 'class_native'"):
        load(write(tmp_path, head + rest + "classes: {Q: AGN}"))
    with pytest.raises(ConfigError, match=r":7: classes.Q\*R: '\*' stands"):
        load(write(tmp_path, head + rest + "classes: {'Q*R': AGN}\n"))
    assert load(write(tmp_path, head + rest + "class: CV")).classify_native(["x", b"y"]).tolist() == ["CV"] * 2


def test_extends_overrides_keys_and_merges_columns(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """\
        name: gaia_here
        extends: gaia_dr3
        title: Ours
        sky: {local: true}
        columns:
          ra: {from: ra, unit: deg}
          mag_gaia_rp: null
        colours: {r: [mag_gaia_g - 0.5]}
        """,
        "gaia_here",
    )
    ours, theirs = load(path), load("gaia_dr3")
    assert ours.columns["ra"].from_ == ("ra",)
    assert ours.columns["dec"] == theirs.columns["dec"]
    assert "mag_gaia_rp" not in ours.columns
    assert ours.sky is not None
    assert ours.sky.density_per_deg2 is None
    assert ours.sky.local is True
    assert ours.sha256 != theirs.sha256
    edr3 = load("gaia_edr3")
    assert edr3.columns == theirs.columns
    assert edr3.vizier == "I/350/gaiaedr3"


def test_a_mistake_is_found_in_the_file_that_makes_it(tmp_path: Path) -> None:
    child = "name: child\nextends: mine\ncolumns:\n  mag_g: {from: G, unit: deg}\n"
    write(tmp_path, GOOD)
    path = write(tmp_path, child, "child")
    with pytest.raises(ConfigError, match=r"child\.yaml:4: "):
        load(path, [tmp_path])
    write(tmp_path, GOOD.replace("unit: mag", "unit: deg"))
    path = write(tmp_path, child.replace("unit: deg", "unit: mag"), "child")
    with pytest.raises(ConfigError, match=r"mine\.yaml:15: "):
        load(path, [tmp_path])


def test_extends_of_nothing_or_of_itself(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"mine\.yaml:2: extends: no catalogue definition 'nope'"):
        load(write(tmp_path, "name: mine\nextends: nope\n"))
    write(tmp_path, "name: a\nextends: b\n", "a")
    write(tmp_path, "name: b\nextends: a\n", "b")
    with pytest.raises(ConfigError, match="circle"):
        load("a", [tmp_path])


def test_one_can_extend_a_shipped_definition_under_its_own_name(tmp_path: Path) -> None:
    write(tmp_path, "name: twomass\nextends: twomass\ncompleteness: 0.3\n", "twomass")
    assert load("twomass", [tmp_path]).completeness == 0.3


def test_unknown_names_and_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no catalogue definition 'gaia_dr9'; known: .*gaia_dr3"):
        load("gaia_dr9")
    with pytest.raises(ConfigError, match="no such file"):
        load(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="no such folder"):
        available([tmp_path / "none"])
    with pytest.raises(ConfigError, match="is not"):
        load(write(tmp_path, "- a\n- list\n"))


def test_colour_terms() -> None:
    assert load("gaia_dr3").colour_terms("b") == [
        ("mag_gaia_bp", 0.0),
        ("mag_gaia_g", 0.3),
        ("mag_gaia_rp", 0.8),
    ]
    assert load("twomass").colour_terms("w1") == [("mag_k", -0.1)]
    assert load("twomass").colour_terms("r") == []


def test_depth_is_told_with_the_bands() -> None:
    assert load("gaia_edr3").depth == load("gaia_dr3").depth == {"r": 20.0, "b": 20.8}
    assert "depth        j 15.8, w1 14.2, w2 14.2: complete over most of its sky" in describe(load("twomass"))
    assert "band j       mag_j" in describe(load("twomass"))
    assert "depth" not in describe(load("cosmos_irac"))


def test_distances_are_in_a_definition_of_their_own() -> None:
    """VizieR's table has none, so that `xcat fetch gaia_edr3` could not ask for them."""
    assert "distance_pc" not in load("gaia_edr3").columns
    joined = load("gaia_edr3_distances")
    assert joined.columns["distance_pc"].from_ == ("rgeo_gaiadist",)
    assert joined.vizier is None


def test_classify_native_takes_exact_then_the_longest_prefix() -> None:
    vsx = load("vsx")
    native = ["UGSU+E", "UGSU:", "UG:", "LMXB/XB", "LMXB|CV+EA", "BY", "EA/SD:", "XYZ", "", " BY "]
    assert vsx.classify_native(native).tolist() == [
        "CV",
        "",
        "",
        "XRB",
        "",
        "Star",
        "Star",
        "",
        "",
        "Star",
    ]
    # doubt labels no rare class, a pulsating star none, symbiotic stars have their own
    native = ["GCAS+HMXB/XP", "HMXB|CV", "NA+ZAND:+E:", "ZAND+SR", "EB+UG", "UG|SR", "RRAB", "M", "SR", "IN", "BY+UV"]
    wanted = ["XRB", "", "Symbiotic", "Symbiotic", "CV", "", "", "", "Star", "Star", "Star"]
    assert vsx.classify_native(native).tolist() == wanted
    native = ["XM", "XPM", "XPRM", "XRM", "XPR+E", "E+XI", "XB:", "UG:", "ZAND", "INST(YY)", "CEP", "UV+BY"]
    wanted = ["CV", "CV", "CV", "CV", "XRB", "XRB", "", "", "Symbiotic", "Star", "", "Star"]
    assert load("gcvs").classify_native(native).tolist() == wanted
    native = ["cataclysmic_variables", "symbiotic_stars"]
    assert load("symbiotic_cv").classify_native(native).tolist() == ["CV", "Symbiotic"]
    native = ["U2", "Sy2 candidate", "Sy1.9", "Symbiotic star", "Nova"]
    assert load("bat105").classify_native(native).tolist() == ["", "", "AGN", "Symbiotic", "CV"]
    assert load("milliquas").classify_native(["QRX", "q", "AX", "R"]).tolist() == ["AGN", "", "AGN", ""]


def test_standard_flux_factor_is_the_ratio_of_the_integrals() -> None:
    energies = np.geomspace(0.2, 12, 200_001)

    def integral(low: float, high: float) -> float:
        x = energies[(energies >= low) & (energies <= high)]
        return float(np.trapezoid(x**-0.7, x))

    assert load("xmm4_sources").standard_flux_factor() == pytest.approx(1)
    chandra = integral(0.2, 12) / integral(0.5, 7)
    assert load("csc2_detections").standard_flux_factor() == pytest.approx(chandra, rel=1e-4)
    assert np.isnan(load("cosmos_xmm").standard_flux_factor())
