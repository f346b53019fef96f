"""Real catalogues through the whole line: nothing lost, and results that stand on cross-validation."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy_healpix import lonlat_to_healpix
from processor_time import at_most
from tiny import rows

import xcat
from xcat.catalogues import definition
from xcat.config import Settings
from xcat.ingest.load import ingest
from xcat.jobs.pipeline import Plan, read
from xcat.jobs.runner import Runner

pytestmark = [pytest.mark.shared, pytest.mark.slow]

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "chandra.yaml"

_FOLDS = 5  # half of the example's: the fit takes most of the time
_REPLICATES = 2  # the fewest that give errors, which are not looked at here


@pytest.fixture(scope="module")
def chandra(module_settings: Settings, shared_data: Path) -> dict[str, int]:
    """Runs of the Chandra pipeline; how fast they are, benchmarks/real.py says."""
    pipeline = read(EXAMPLE).model_copy(update={"folds": _FOLDS, "replicates": _REPLICATES})
    return Runner(module_settings, Plan(pipeline, shared_data)).run_as_pipeline()


def test_the_labelled_sources_are_classified(module_settings: Settings, chandra: Any) -> None:
    """By the mission's own name: 2,929 of the 2,941 have detections here, and each of those is classified."""
    (found,) = rows(
        module_settings,
        "SELECT count(*) AS listed, count(c.source_id) AS classified FROM xcat.reference_object AS r"
        " JOIN xcat.catalogue AS k ON k.catalogue_id = r.catalogue_id AND k.name = 'muwclass_td'"
        " LEFT JOIN pub.classified AS c ON trim(c.name) = trim(r.native_id)",
    )
    assert found == {"listed": 2941, "classified": 2929}


def test_labels_by_position_are_the_labels_by_name(module_settings: Settings, chandra: Any) -> None:
    """The catalogue and the mission agree on the name, which the label stage does not read."""
    found = rows(
        module_settings,
        "SELECT l.class, l.status, count(*) AS n, count(*) FILTER (WHERE trim(s.name) = trim(r.native_id)) AS same"
        " FROM xcat.label AS l JOIN xcat.source AS s ON s.run_id = %s AND s.source_id = l.source_id"
        " JOIN xcat.reference_object AS r ON r.catalogue_id = l.catalogue_id AND r.object_id = l.object_id"
        " WHERE l.run_id = %s GROUP BY 1, 2",
        [chandra["merge"], chandra["label"]],
    )
    used = {row["class"]: row["n"] for row in found if row["status"] == "used"}
    assert sum(row["same"] for row in found) >= 2920
    assert sum(row["n"] - row["same"] for row in found) <= 25
    truth = {"AGN": 1390, "Star": 1329, "XRB": 91, "CV": 44}
    assert set(used) == set(truth)
    for name, n in truth.items():
        assert 0.95 * n <= used[name] <= n, used


def test_the_merged_sources_are_those_of_the_catalogue(module_settings: Settings, chandra: Any) -> None:
    # the file itself has 1,863 names that come more than once, not the 1,865 of its README
    (found,) = rows(
        module_settings,
        "SELECT count(*) AS sources, sum(n_detections) AS detections, count(*) FILTER (WHERE n_detections > 1) AS more,"
        " count(*) FILTER (WHERE n_detections >= 5) AS many FROM xcat.source WHERE run_id = %s",
        [chandra["merge"]],
    )
    assert found == {"sources": 4134, "detections": 17122, "more": 1863, "many": 976}


def test_the_cross_validated_results(module_settings: Settings, chandra: Any) -> None:
    """Out of fold, in the sample's own mix. MUWCLASS's leave-one-out: accuracy 0.939, macro-F1 0.717."""
    (fit,) = rows(module_settings, "SELECT summary FROM xcat.run WHERE run_id = %s", [chandra["fit"]])
    figures = fit["summary"]["out_of_fold"]
    assert figures["n"] >= 2780
    assert figures["sample"]["accuracy"] > 0.93, figures["sample"]["accuracy"]
    assert figures["sample"]["macro_f1"] > 0.6, figures["sample"]["macro_f1"]
    stored = "SELECT count(*) AS n, count(DISTINCT fold) AS folds FROM xcat.out_of_fold WHERE run_id = %s"
    assert rows(module_settings, stored, [chandra["fit"]]) == [{"n": figures["n"], "folds": _FOLDS}]


# rows of data/README.md, and what cannot be used of them, with its reason
_FILES: dict[str, tuple[str, int, dict[str, int]]] = {
    "cosmos_xmm": ("cosmos/cosmos_xmm.fits", 1_797, {}),
    "cosmos_optical": ("cosmos/cosmos_optical.fits", 560_536, {}),
    "cosmos_irac": ("cosmos/cosmos_irac.fits", 345_512, {}),
    "vsx": ("reference/vsx.parquet", 1_933_544, {}),
    "gcvs": ("reference/gcvs.parquet", 59_099, {}),
    "open_cv": ("reference/Open_CV_catalog.csv", 14_413, {"no position": 8, "not a sexagesimal angle": 518}),
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


@pytest.mark.parametrize(
    ("name", "n_50", "n_90"),
    [
        ("S190814bv_5_LALInference.v1.fits.gz", 0, 2),
        ("bayestar.multiorder.fits", 16, 89),
        ("rrt_small_area.fits", 0, 2),
    ],
)
def test_the_sources_in_published_sky_maps(
    module_settings: Settings,
    chandra: Any,
    shared_data: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    n_50: int,
    n_90: int,
) -> None:
    """The ranking is that of the cells which astropy-healpix finds, and of sums over the rows of the file."""
    monkeypatch.setenv("XCAT_DATABASE_URL", str(module_settings.database_url))
    with at_most(2):
        table = xcat.skymap(shared_data / "skymaps" / name)
    assert [region["n_sources"] for region in table.meta["skymap"]["regions"]] == [n_50, n_90]
    data = fits.getdata(shared_data / "skymaps" / name, 1)
    if "UNIQ" in data.names:
        uniq, density = data["UNIQ"].astype(np.int64), data["PROBDENSITY"].astype(float)
        order = np.floor(np.log2(uniq / 4) / 2).astype(int)
        p = density / 4.0**order
    else:
        p = density = data["PROB"].astype(float)
        uniq, order = np.arange(len(p)) + 4 * 4**10, np.array([10])
    place = np.argsort(uniq)
    sources = rows(module_settings, "SELECT source_id, ra, dec FROM pub.classified ORDER BY source_id")
    ra, dec = (np.array([row[key] for row in sources]) * u.deg for key in ("ra", "dec"))
    cell = np.full(len(sources), -1)
    for each in np.unique(order):
        own = 4 * 4 ** int(each) + lonlat_to_healpix(ra, dec, 2 ** int(each), order="nested")
        i = np.minimum(np.searchsorted(uniq, own, sorter=place), len(uniq) - 1)
        cell = np.where(uniq[place[i]] == own, place[i], cell)
    assert (cell >= 0).all()
    dense = np.flatnonzero(density[cell] >= density[cell][np.argsort(-density[cell])[n_90 - 1]])
    level = {sources[k]["source_id"]: p[density >= density[cell[k]]].sum() / p.sum() for k in dense}
    assert set(table["source_id"]) == set(level)
    np.testing.assert_allclose(table["credible_level"], [level[i] for i in table["source_id"]], atol=1e-9)
    assert (np.diff(table["credible_level"]) >= 0).all()


@pytest.mark.parametrize("name", _FILES)
def test_every_row_is_loaded_or_its_reject_explained(settings: Settings, shared_data: Path, name: str) -> None:
    path, n_rows, rejects = _FILES[name]
    loading = ingest(settings, definition.load(name), [shared_data / path])
    found: Counter[str] = Counter()
    for reject in loading.rejects:  # by reason, whichever column is at fault
        found[reject["reason"]] += reject["n"]
    (file,) = loading.files
    assert (loading.n_rows + loading.n_rejected + file["n_skipped"], found) == (n_rows, rejects)
