"""The real catalogues, read completely: every row is either kept or rejected for a reason that is known."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from processor_time import at_most

from xcat.catalogues import load
from xcat.ingest.convert import Converted, convert
from xcat.ingest.readers import open_table

pytestmark = pytest.mark.shared

# definition: (file, rows, rejects by reason)
FILES: dict[str, tuple[str, int, dict[str, int]]] = {
    "csc2_detections": ("chandra/csc2_detections.csv.gz", 17_122, {}),
    "muwclass_td": ("chandra/csc2_labelled_td.csv", 2_941, {}),
    "csc2_newer": ("chandra/csc2_labelled_newer.csv", 745, {}),
    "csc2_newer_sources": ("chandra/csc2_labelled_newer.csv", 745, {}),
    "csc2_newer_objects": ("chandra/csc2_labelled_newer.csv", 707, {}),  # the other 38 have none
    "gaia_edr3": ("chandra/gaia_edr3_near_csc2.csv.gz", 2_489, {}),
    "twomass": ("chandra/twomass_near_csc2.csv.gz", 2_040, {}),
    "allwise": ("chandra/allwise_near_csc2.csv.gz", 2_308, {}),
    "catwise": ("chandra/catwise_near_csc2.csv.gz", 2_327, {}),
    # errors of 1e20 pixels: a fit that failed
    "unwise": ("chandra/unwise_near_csc2.csv.gz", 2_708, {"positional error of a degree or more": 3}),
    "cosmos_xmm": ("cosmos/cosmos_xmm.fits", 1_797, {}),
    "cosmos_optical": ("cosmos/cosmos_optical.fits", 560_536, {}),
    "cosmos_irac": ("cosmos/cosmos_irac.fits", 345_512, {}),
    "efeds": ("surveys/efeds_agn.fits", 22_079, {}),
    "swift_sdsx": ("surveys/swift_sdsx_flux.csv", 2_872, {}),
    "vsx": ("reference/vsx.parquet", 1_933_544, {}),
    "gcvs": ("reference/gcvs.parquet", 59_099, {}),
    # 518 rows give several positions with commas between them, 8 give none
    "open_cv": ("reference/Open_CV_catalog.csv", 14_413, {"not a sexagesimal angle": 518, "no position": 8}),
    "symbiotic_cv": ("reference/symbiotic_and_cataclysmic.parquet", 2_857, {}),
    "magnetic_cv": ("reference/magnetic_cataclysmic_variables.csv", 245, {}),
    "liu_lmxb": ("reference/lmxb_cat.dat", 187, {}),
    "liu_hmxb": ("reference/hmxb_cat.dat", 114, {}),
    "xrbcats_hmxb": ("reference/XRBcats_HMXB.csv", 169, {}),
    "ultracompcat": ("reference/UltraCompCAT.csv", 49, {}),
    "bat105": ("reference/BAT105.csv", 1_632, {}),
    "threehsp": ("reference/3hsp.csv", 2_013, {}),
    "tde": ("reference/tde.parquet", 44, {}),
    "gladeplus": ("reference/glade_plus_hyperleda.parquet", 791_643, {}),
    "gaia_dr3_bright": ("reference/gaia_dr3_bright.parquet", 482_176, {}),
}
# rows that the definition leaves out
SKIPPED = {"csc2_newer_objects": 38}
# CPU seconds for reading and converting: several times what it takes, so that only a real slip is noticed
LIMITS_S = {"cosmos_optical": 0.7, "csc2_detections": 2.0, "vsx": 8.0}


def read(name: str, folder: Path) -> list[Converted]:
    definition = load(name)
    with open_table(folder / FILES[name][0], definition) as reader:
        return [convert(chunk, definition) for chunk in reader]


def column(parts: list[Converted], name: str) -> Any:
    return np.ma.concatenate([p.columns[name] for p in parts]) if parts else None


@pytest.mark.parametrize("name", FILES)
def test_all_rows_are_accounted_for(name: str, shared_data: Path) -> None:
    with at_most(LIMITS_S.get(name, 5.0)):
        parts = read(name, shared_data)
    _, n_rows, reasons = FILES[name]
    assert Counter(r for p in parts for r in p.rejects.reason) == reasons
    assert sum(map(len, parts)) == n_rows - sum(reasons.values())
    assert sum(p.n_skipped for p in parts) == SKIPPED.get(name, 0)
    assert (column(parts, "native_id") != b"").all()


def test_identifiers_are_unique(shared_data: Path) -> None:
    for name in ("csc2_detections", "muwclass_td", "gaia_edr3", "twomass", "allwise", "catwise", "unwise", "efeds"):
        ids = column(read(name, shared_data), "native_id")
        assert len(np.unique(ids)) == len(ids), name


def test_chandra_detections(shared_data: Path) -> None:
    parts = read("csc2_detections", shared_data)
    assert len(np.unique(column(parts, "source_native_id"))) == 4_134
    assert column(parts, "native_id")[0] == b"11490_0_11_2CXO J000009.3+135618"
    assert column(parts, "err_maj_arcsec")[0] == pytest.approx(0.79 / 2.4477, rel=1e-4)
    assert column(parts, "err_pa_deg")[0] == pytest.approx(64.2)
    assert column(parts, "flux_cgs")[0] == pytest.approx(3.357e-15)
    assert column(parts, "flux_err_cgs")[0] == pytest.approx(5.129e-15 - 3.357e-15, abs=0)
    assert column(parts, "mjd")[0] == pytest.approx(55058.81067, abs=1e-5)
    assert np.isnan(column(parts, "flux_cgs")).sum() == 1_050
    assert np.isnan(column(parts, "p_variable")).sum() == 5_252
    flags = column(parts, "quality_flag")
    assert ((flags & 1).sum(), (flags & 2).sum() // 2) == (27, 210)


def test_chandra_labels_fold_into_the_four_classes(shared_data: Path) -> None:
    classes = column(read("muwclass_td", shared_data), "class")
    assert Counter(classes.tolist()) == {b"AGN": 1_390, b"Star": 1_329, b"XRB": 91, b"CV": 44, b"": 87}


def test_missing_values_of_the_counterparts(shared_data: Path) -> None:
    gaia = read("gaia_edr3", shared_data)
    assert np.isnan(column(gaia, "pmra_mas_yr")).sum() == 298
    assert np.isnan(column(gaia, "mag_gaia_bp")).sum() == 44
    unwise = read("unwise", shared_data)
    assert np.isnan(column(unwise, "mag_w1")).sum() > 84  # no detection, or a flux below 0
    assert np.median(np.asarray(column(unwise, "err_arcsec"))) == pytest.approx(0.05)
    optical = read("cosmos_optical", shared_data)
    assert np.nanmin(column(optical, "mag")) > 0
    assert column(optical, "err_arcsec")[0] == 0.1


def test_galaxies(shared_data: Path) -> None:
    parts = read("gladeplus", shared_data)
    assert column(parts, "d25_arcmin")[0] == pytest.approx(0.1 * 10**1.42)
    ratio = column(parts, "axis_ratio")
    assert np.isnan(ratio).sum() == 82
    assert (ratio[~np.isnan(ratio)] <= 1).all()


def test_positions_written_as_text(shared_data: Path) -> None:
    lmxb = read("liu_lmxb", shared_data)
    assert column(lmxb, "name")[0] == b"SAX J1603.9-7753"
    assert column(lmxb, "ra")[0] == pytest.approx(15 * (16 + 3 / 60 + 54 / 3600))
    assert column(lmxb, "dec")[0] == pytest.approx(-(77 + 53 / 60 + 6 / 3600))
    blazars = read("threehsp", shared_data)
    assert column(blazars, "name")[0] == b"3HSPJ000116.4+293534"
    hmxb = read("liu_hmxb", shared_data)
    assert column(hmxb, "name")[0] == b"1H 1253-761"


def test_one_list_is_sources_counterparts_and_classes(shared_data: Path) -> None:
    classes = Counter(column(read("csc2_newer", shared_data), "class").tolist())
    assert classes == {b"AGN": 246, b"Star": 477, b"XRB": 11, b"CV": 3, b"": 8}
    sources = read("csc2_newer_sources", shared_data)
    assert column(sources, "flux_cgs")[0] == pytest.approx(4.796111e-15 + 3.501126e-15 + 1.172268e-14)
    assert column(sources, "err_arcsec")[0] == pytest.approx(1 / math.sqrt(-2 * math.log(0.05)))  # a radius of 95 %
    counterparts = read("csc2_newer_objects", shared_data)
    assert np.isfinite(column(counterparts, "mag_gaia_g")).sum() == 622


def test_variable_stars_map_to_classes(shared_data: Path) -> None:
    classes = Counter(column(read("vsx", shared_data), "class").tolist())
    assert classes[b"CV"] > 1_000
    assert classes[b"XRB"] > 100
    assert classes[b"Star"] > 1_000_000
