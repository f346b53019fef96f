"""The simulated sky: what it promises about itself, checked on small skies."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from astropy.coordinates import SkyCoord
from astropy.io import fits
from scipy import stats

from xcat.catalogues.definition import load
from xcat.errors import InputError
from xcat.simulate import Summary, counterpart_tables, mission_tables, populations, simulate, simulation
from xcat.simulate.counterparts import (
    _CROWDED_ALLWISE,
    _CROWDED_GAIA,
    _CROWDED_TWOMASS,
    CUT_OUT_ARCSEC,
    crowding_mag,
    field_in_circles,
)
from xcat.simulate.pointings import PLACES, gaia_density_per_deg2, galaxy_density_per_deg2, star_density_per_deg2
from xcat.simulate.populations import agn_per_deg2
from xcat.simulate.rows import sexagesimal
from xcat.simulate.write import Columns, Writer
from xcat.sky.galactic_column import hydrogen, maps_at
from xcat.sky.geometry import from_galactic, offset, separation_arcsec, to_galactic, to_vector

N, SEED = 4_000, 7
PIPELINE = Path(__file__).resolve().parents[2] / "examples" / "simulated.yaml"
XRAY = {
    "xmm": ("xmm_detections.fits", "RA", "DEC"),
    "swift": ("swift_detections.csv.gz", "RA", "Decl"),
    "chandra": ("chandra_detections.csv.gz", "ra_deg", "dec_deg"),
}


def read(path: Path) -> pd.DataFrame:
    if path.suffix == ".fits":
        with fits.open(path) as hdus:
            data = hdus[1].data
            return pd.DataFrame(
                {name: np.array(data[name].astype(data[name].dtype.newbyteorder("="))) for name in data.names}
            )
    return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)


@dataclass
class Sky:
    folder: Path
    summary: Summary
    objects: pd.DataFrame
    xray: pd.DataFrame

    def detections(self, mission: str) -> pd.DataFrame:
        """Usable detections of a mission: native_id, ra, dec, sigma (arcsec per axis), and the truth."""
        file, ra, dec = XRAY[mission]
        table = read(self.folder / file)
        for name in {"Err90", "err_ellipse_r0"} & set(table):  # a few are text on purpose
            table[name] = pd.to_numeric(table[name], errors="coerce")
        if mission == "xmm":
            sigma, native = table.RADEC_ERR / np.sqrt(2), table.DETID.astype(str)
        elif mission == "swift":
            sigma, native = table.Err90 / np.sqrt(2 * np.log(10)), table.DetectionID.astype(str)
        else:
            sigma = np.sqrt(table.err_ellipse_r0 * table.err_ellipse_r1) / np.sqrt(2 * np.log(20))
            native = (
                table.obs_obsid.astype(str)
                + "_"
                + table.obs_obi.astype(str)
                + "_"
                + table.obs_region_id.astype(str)
                + "_"
                + table.name
            )
        table = table.assign(ra=table[ra], dec=table[dec], sigma=sigma, native_id=native)
        truth = self.xray[self.xray.mission == mission].drop(columns="mission")
        return table.drop_duplicates("native_id").merge(truth, on="native_id", validate="one_to_one")


@pytest.fixture(scope="module")
def sky(tmp_path_factory: pytest.TempPathFactory) -> Sky:
    folder = tmp_path_factory.mktemp("simulated") / "sky"
    summary = simulate(N, SEED, folder)
    truth = folder / "truth"
    return Sky(folder, summary, pd.read_parquet(truth / "objects.parquet"), pd.read_parquet(truth / "xray.parquet"))


def checksums(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


# --- files -------------------------------------------------------------------------------------------------


def test_equal_numbers_give_equal_bytes_and_another_seed_another_sky(tmp_path: Path) -> None:
    simulate(600, 3, tmp_path / "a")
    simulate(600, 3, tmp_path / "b")
    simulate(600, 4, tmp_path / "c")
    a, b, c = (checksums(tmp_path / name) for name in "abc")
    assert a == b
    assert a.keys() == c.keys()
    assert a["gaia.fits"] != c["gaia.fits"]


def test_a_sky_that_is_there_is_not_made_again_and_another_is_replaced(tmp_path: Path) -> None:
    out = tmp_path / "sky"
    steps: list[str] = []
    first = simulate(300, 1, out, progress=lambda step, share: steps.append(step))
    assert steps[-1] == "done"
    stamp = (out / "gaia.fits").stat().st_mtime_ns
    steps.clear()
    assert simulate(300, 1, out, progress=lambda step, share: steps.append(step)) == first
    assert steps == []
    assert (out / "gaia.fits").stat().st_mtime_ns == stamp
    assert simulate(300, 2, out).seed == 2
    assert json.loads((out / "manifest.json").read_text())["seed"] == 2
    assert [p.name for p in tmp_path.iterdir()] == ["sky"]


def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    simulate(300, 1, tmp_path / "old")
    before = checksums(tmp_path / "old")

    def full(self: Writer, columns: Columns) -> None:
        added(self, columns)
        if self.path.name == "gaia.fits":
            raise OSError("No space left on device")

    added = Writer.add
    monkeypatch.setattr(Writer, "add", full)
    for name in ("old", "new"):
        with pytest.raises(OSError, match="No space"):
            simulate(300, 2, tmp_path / name)
    assert [p.name for p in tmp_path.iterdir()] == ["old"]
    assert checksums(tmp_path / "old") == before


def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("do not lose me")
    with pytest.raises(InputError, match="not a simulated sky"):
        simulate(300, 1, tmp_path)
    assert (tmp_path / "thesis.tex").exists()
    with pytest.raises(InputError, match="sources"):
        simulate(5, 1, tmp_path / "x")
    (tmp_path / "empty").mkdir()
    assert simulate(100, 1, tmp_path / "empty").n_sources == 100


def test_the_manifest_counts_what_is_there(sky: Sky) -> None:
    manifest = json.loads((sky.folder / "manifest.json").read_text())
    assert Summary(**manifest) == sky.summary
    assert set(manifest["rows"]) == {
        str(p.relative_to(sky.folder))
        for p in sky.folder.rglob("*")
        if p.suffix not in (".yaml", ".json") and p.is_file()
    }
    for name, rows in manifest["rows"].items():
        assert len(read(sky.folder / name)) == rows
    assert sky.objects["class"].value_counts().to_dict() == manifest["classes"]
    real = sky.xray[~sky.xray.is_spurious]
    assert real.groupby("mission").object_id.nunique().to_dict() == manifest["sources"]
    assert sky.xray[sky.xray.is_spurious].groupby("mission").size().to_dict() == manifest["spurious"]
    assert real.object_id.nunique() == N
    assert sum(sky.summary.sources.values()) >= N


def test_the_pipeline_reads_all_catalogues_and_never_the_truth(sky: Sky) -> None:
    pipeline = yaml.safe_load(PIPELINE.read_text())
    inputs = [item for group in ("xray", "counterparts", "galaxies", "references") for item in pipeline[group]]
    files = [name for item in inputs for name in item["files"]]
    assert set(files) == {name for name in sky.summary.rows if not name.startswith("truth/")}
    folders = [sky.folder / name for name in pipeline["definitions"]]
    for item in inputs:
        definition = load(item["catalogue"], folders)
        for name in item["files"]:
            missing = set(definition.file_columns) - set(read(sky.folder / name).columns)
            assert not missing, f"{name} lacks {missing}"
    assert "source_native_id" not in load("sim_swift", folders).columns
    assert load("sim_gaia", folders).completeness == "estimate"


@pytest.mark.parametrize("mission", XRAY)
def test_bad_rows_are_as_many_as_promised(sky: Sky, mission: str) -> None:
    file, ra, dec = XRAY[mission]
    table = read(sky.folder / file)
    promised = sky.summary.rejects[file]
    assert (table[dec] > 90).sum() == promised["declination outside -90 to 90 degrees"]
    # the only missing positions are the promised ones
    assert table[ra].isna().sum() == table[dec].isna().sum() == promised["no position"]
    id_column = {"xmm": "DETID", "swift": "DetectionID", "chandra": "obs_region_id"}[mission]
    assert table[id_column].duplicated().sum() == promised["duplicate id"]
    number = {"swift": "Err90", "chandra": "err_ellipse_r0"}.get(mission)
    if number:
        assert pd.to_numeric(table[number], errors="coerce").isna().sum() == promised["not a number"]
    # every other row has its truth
    usable = len(table) - sum(promised.values())
    assert len(sky.detections(mission)) == usable == (sky.xray.mission == mission).sum()


def test_counterparts_are_complete_rows(sky: Sky) -> None:
    for name, id_column, ra, dec in (
        ("gaia.fits", "Source", "RA_ICRS", "DE_ICRS"),
        ("twomass.fits", "_2MASS", "RAJ2000", "DEJ2000"),
        ("allwise.parquet", "AllWISE", "RAJ2000", "DEJ2000"),
    ):
        table = read(sky.folder / name)
        promised = sky.summary.rejects.get(name, {})
        assert table[ra].isna().sum() == promised.get("no position", 0)
        assert (table[dec].abs() > 90).sum() == promised.get("declination outside -90 to 90 degrees", 0)
        assert table[id_column].duplicated().sum() == promised.get("duplicate id", 0)
        assert table[ra].dropna().between(0, 360, inclusive="left").all()


# --- the sky -----------------------------------------------------------------------------------------------


def test_the_mix_of_classes_depends_on_the_place(sky: Sky) -> None:
    share = sky.objects["class"].value_counts(normalize=True)
    assert 0.58 < share.AGN < 0.72
    assert 0.19 < share.Star < 0.30
    assert 0.04 < share.XRB < 0.10
    assert 0.01 < share.CV < 0.035
    assert 0.005 < share["other"] < 0.03
    by_place = sky.objects.groupby("place")["class"].value_counts(normalize=True).unstack(fill_value=0)
    assert by_place.Star.plane > 2 * by_place.Star.high
    assert by_place.XRB.galaxy > by_place.XRB.plane > by_place.XRB.high
    assert by_place.AGN.high > 0.75


def test_x_ray_binaries_of_galaxies_lie_inside_their_discs(sky: Sky) -> None:
    xrb = sky.objects[sky.objects.kind == "extragalactic XRB"]
    galaxies = read(sky.folder / "galaxies.csv").set_index("Name").loc[xrb.field_host]
    separation = separation_arcsec(
        xrb.ra.to_numpy(), xrb.dec.to_numpy(), galaxies.RAJ2000.to_numpy(), galaxies.DEJ2000.to_numpy()
    )
    assert np.mean(separation < 30 * 0.1 * 10**galaxies.logd25Hyp) > 0.85


def test_right_ascension_0_and_the_poles_are_there(sky: Sky) -> None:
    table = sky.detections("xmm")
    assert (table.dec > 89).any()
    assert (table.dec < -89).any()
    near = (table.ra < 1) | (table.ra > 359)
    fields = table[near].groupby(table.OBS_ID.str[:-2])  # the last two digits number the epochs of a field
    assert any((f.ra < 1).any() and (f.ra > 359).any() for _, f in fields)
    assert table.ra.between(0, 360, inclusive="left").all()


@pytest.mark.parametrize("mission", XRAY)
def test_offsets_follow_the_stated_errors(sky: Sky, mission: str) -> None:
    table = sky.detections(mission)
    table = table[~table.is_spurious]
    r = separation_arcsec(*(table[c].to_numpy() for c in ("ra", "dec", "true_ra", "true_dec")))
    r = r / table.sigma.to_numpy()
    if mission == "chandra":  # ellipses: whiten along the axes
        pa = np.radians(table.err_ellipse_ang.to_numpy())
        true = to_vector(table.true_ra.to_numpy(), table.true_dec.to_numpy())
        step = to_vector(table.ra.to_numpy(), table.dec.to_numpy()) - true
        ra, dec = np.radians(table.true_ra.to_numpy()), np.radians(table.true_dec.to_numpy())
        east = np.stack([-np.sin(ra), np.cos(ra), 0 * ra], axis=1)
        north = np.stack([-np.sin(dec) * np.cos(ra), -np.sin(dec) * np.sin(ra), np.cos(dec)], axis=1)
        x, y = np.degrees((step * east).sum(axis=1)) * 3600, np.degrees((step * north).sum(axis=1)) * 3600
        scale = np.sqrt(2 * np.log(20))
        along = (x * np.sin(pa) + y * np.cos(pa)) / (table.err_ellipse_r0.to_numpy() / scale)
        across = (x * np.cos(pa) - y * np.sin(pa)) / (table.err_ellipse_r1.to_numpy() / scale)
        r = np.hypot(along, across)
    assert stats.kstest(r, "rayleigh").pvalue > 1e-3
    assert np.isclose(np.mean(r < np.sqrt(2 * np.log(10))), 0.90, atol=4 * np.sqrt(0.09 / r.size))


def test_true_counterparts_are_where_their_errors_allow(sky: Sky) -> None:
    """Counterparts in different catalogues are one object: the proper motion was applied to each epoch."""
    gaia = read(sky.folder / "gaia.fits").drop_duplicates("Source").astype({"Source": str}).set_index("Source")
    allwise = read(sky.folder / "allwise.parquet").set_index("AllWISE")
    both = sky.objects[(sky.objects.gaia_id != "") & (sky.objects.allwise_id != "")]
    assert len(both) > 500
    g, w = gaia.loc[both.gaia_id], allwise.loc[both.allwise_id]
    years = 2010.5 - 2016.0
    ra, dec = offset(
        g.RA_ICRS.to_numpy(float),
        g.DE_ICRS.to_numpy(float),
        both.pmra_mas_yr.to_numpy() * years / 1e3,
        both.pmdec_mas_yr.to_numpy() * years / 1e3,
    )
    r = separation_arcsec(ra, dec, w.RAJ2000.to_numpy(), w.DEJ2000.to_numpy())
    assert stats.kstest(r / np.sqrt(w.eeMaj * w.eeMin), "rayleigh").pvalue > 1e-3
    assert both.pmra_mas_yr[both["class"] == "Star"].abs().median() > 5
    assert np.corrcoef(g.Gmag, w.W1mag)[0, 1] > 0.5


def test_densities_are_the_true_ones_and_flat_around_the_sources(sky: Sky) -> None:
    gaia = read(sky.folder / "gaia.fits").dropna(subset=["RA_ICRS"])
    gaia = gaia[gaia.DE_ICRS.abs() <= 90].drop_duplicates("Source")
    field = gaia[~gaia.Source.astype(str).isin(sky.objects.gaia_id)]
    xmm = sky.detections("xmm").drop_duplicates("OBS_ID")  # one source a field: circles that do not overlap
    from astropy.coordinates import SkyCoord

    stars = SkyCoord(field.RA_ICRS.to_numpy(float), field.DE_ICRS.to_numpy(float), unit="deg")
    here = SkyCoord(xmm.ra.to_numpy(), xmm.dec.to_numpy(), unit="deg")
    counts = {}
    for radius in (20, 55):
        counts[radius] = len(here.search_around_sky(stars, radius * (1 / 3600) * here.ra.unit)[0])
    glon, glat = to_galactic(xmm.ra.to_numpy(), xmm.dec.to_numpy())
    # Gaia also sees some of the galaxies, and loses 2 % of what it should see
    av = np.minimum(3.1 * maps_at(xmm.ra.to_numpy(), xmm.dec.to_numpy())[1], 12)
    per_deg2 = 0.98 * (gaia_density_per_deg2(glon, glat) + 0.03 * galaxy_density_per_deg2(av))
    for radius in counts:
        expected = (per_deg2 * np.pi * (radius / 3600) ** 2).sum()
        assert abs(counts[radius] - expected) < 5 * np.sqrt(expected) + 0.05 * expected, radius
    assert star_density_per_deg2(np.array([0.0]), np.array([90.0])) < 4_000
    assert 50_000 < gaia_density_per_deg2(np.array([20.0]), np.array([1.0])) <= 100_000
    assert 500_000 < star_density_per_deg2(np.array([1.0]), np.array([-1.0])) < 1_000_000


def test_field_objects_fill_the_union_of_circles_evenly() -> None:
    rng = np.random.default_rng(2)
    # two circles that share half of their area, at the pole and across right ascension 0
    for ra0, dec0 in ((0.0, 89.99), (359.999, -20.0)):
        ra, dec = offset(np.array([ra0, ra0]), np.array([dec0, dec0]), np.array([0.0, 50.0]), np.zeros(2))
        density = 2e7
        x, y, _ = field_in_circles(rng, ra, dec, np.full(2, density))
        first = separation_arcsec(x, y, np.full(x.size, ra[0]), np.full(x.size, dec[0])) < CUT_OUT_ARCSEC
        second = separation_arcsec(x, y, np.full(x.size, ra[1]), np.full(x.size, dec[1])) < CUT_OUT_ARCSEC
        assert (first | second).all()
        expected = density * np.pi * (CUT_OUT_ARCSEC / 3600) ** 2
        for inside in (first, second):
            assert abs(inside.sum() - expected) < 5 * np.sqrt(expected)
    none = field_in_circles(rng, np.array([]), np.array([]), np.array([]))
    assert all(part.size == 0 for part in none)


def test_counterparts_are_found_where_catalogues_are_deep_enough(sky: Sky) -> None:
    found = (sky.objects[["gaia_id", "twomass_id", "allwise_id"]] != "").groupby(sky.objects["class"]).mean()
    assert found.gaia_id.Star > 0.9
    assert 0.1 < found.gaia_id.AGN < 0.5
    assert found.gaia_id.AGN < found.allwise_id.AGN < 0.8
    assert found.gaia_id.XRB < 0.3
    shown = sky.objects[sky.objects.gaia_id != ""]
    assert shown.mag_gaia_g.max() < 20.7
    assert (sky.objects.gaia_id[sky.objects.mag_gaia_g < 20.7] != "").mean() > 0.85


def test_classes_differ_as_they_should(sky: Sky) -> None:
    table = sky.detections("xmm").groupby("class")[["EP_HR2", "EP_HR3", "GAMMA"]].median()
    assert table.EP_HR3.Star < table.EP_HR3.AGN - 0.3
    assert table.GAMMA.Star > 2.5 > table.GAMMA.AGN > 1.5
    o = sky.objects.assign(fx_fr=np.log10(sky.objects.flux_std_cgs) + 5.37 + sky.objects.mag_gaia_rp / 2.5)
    ratio = o[o.av_mag < 0.5].groupby("class").fx_fr.median()
    assert -4.5 < ratio.Star < -2.5
    assert -0.3 < ratio.AGN < 0.6
    assert o.groupby("class").long_term_dex.median().XRB > 2 * o.groupby("class").long_term_dex.median().AGN
    several = sky.xray[~sky.xray.is_spurious].groupby(["mission", "object_id"]).size()
    assert 0.2 < (several > 1).mean() < 0.7
    spurious = sky.xray.groupby("mission").is_spurious.mean()
    assert (spurious.between(0.005, 0.02)).all()


def test_faint_sources_that_are_found_are_found_too_bright(sky: Sky) -> None:
    table = sky.detections("xmm")
    table = table[(table["class"] == "AGN") & (table.SUM_FLAG == 0)]
    true = sky.objects.set_index("object_id").flux_std_cgs.loc[table.object_id].to_numpy()
    faint, bright = table.SNR < 5, table.SNR > 15
    ratio = np.log10(table.EP_8_FLUX.to_numpy(float) / true)
    assert np.median(ratio[faint]) > np.median(ratio[bright]) - 0.2
    assert abs(np.median(ratio[bright])) < 0.15


def test_the_reference_sample_is_bright_biased_and_wrong_here_and_there(sky: Sky) -> None:
    o = sky.objects
    for name, own in (("ref_agn", "AGN"), ("ref_star", "Star"), ("ref_xrb", "XRB"), ("ref_cv", "CV")):
        listed = o[o[f"in_{name}"]]
        assert len(listed) == sky.summary.labels[name]
        right = (listed["class"] == own).mean()
        assert 0.5 <= right < 1.0
        assert len(read(sky.folder / f"{name}.csv")) > len(listed)
    labelled = o[[f"in_ref_{c}" for c in ("agn", "star", "xrb", "cv")]].sum(axis=1)
    assert 0.15 < (labelled > 0).mean() < 0.30
    assert (labelled > 1).sum() == sky.summary.n_conflicts > 0
    agn = o[o["class"] == "AGN"]
    assert agn.mag_gaia_rp[agn.in_ref_agn].median() < agn.mag_gaia_rp.median() - 1
    assert (agn.place[agn.in_ref_agn] == "plane").mean() < 0.5 * (agn.place == "plane").mean()
    assert read(sky.folder / "ref_xrb.csv")["ra"].str.fullmatch(r"\d\d \d\d \d\d\.\d\d").all()


def test_known_objects_have_the_types_of_their_kinds(sky: Sky) -> None:
    types = {
        "ref_agn": {"type 1": {"QSO", "Sy1"}, "type 2": {"Sy2"}, "blazar": {"BLLac"}},
        "ref_star": {"FGK star": {"Star"}, "M dwarf": {"Flare"}, "YSO": {"YSO"}, "OB star": {"Em"}},
        "ref_xrb": {"LMXB": {"LMXB"}, "HMXB": {"HMXB"}, "extragalactic XRB": {"XB"}},
        "ref_cv": {"non-magnetic CV": {"DN", "NL"}, "magnetic CV": {"AM", "DQ"}},
    }
    for name, of_kind in types.items():
        listed, rows = sky.objects[sky.objects[f"in_{name}"]], read(sky.folder / f"{name}.csv")
        if name in ("ref_xrb", "ref_cv"):
            rows = rows[rows["ra"].astype(str).str.count(r"\d+") >= 3]  # without the bad rows
            places = SkyCoord(rows["ra"].to_list(), rows["dec"].to_list(), unit=("hourangle", "deg"))
        else:
            places = SkyCoord(rows["ra"], rows["dec"], unit="deg")
        at, sep, _ = SkyCoord(listed.ra, listed.dec, unit="deg").match_to_catalog_sky(places)
        typed = [
            type_ in of_kind[kind]
            for kind, type_, near in zip(listed.kind, rows["type"].to_numpy()[at], sep.arcsec < 10, strict=True)
            if kind in of_kind and near and not type_.endswith("?")
        ]
        assert len(typed) > 10 and np.mean(typed) > 0.97, name
        doubtful = rows["type"].str.endswith("?").mean()
        assert doubtful == 0 if name == "ref_xrb" else doubtful < 0.1
        assert doubtful > 0 or name != "ref_agn"


def test_the_galaxy_is_in_front_of_everything_outside_and_of_half_of_the_rest(sky: Sky) -> None:
    """Column and extinction are the maps' with 0.1 dex of structure; N_H hardens and dims, A_V hides."""
    o = sky.objects.drop_duplicates(["nh_gal_cm2"])  # one per pointing
    neutral, ebv = maps_at(o.ra.to_numpy(), o.dec.to_numpy())
    av = o.av_gal_mag.to_numpy()
    below = av < 12
    for ratio in (o.nh_gal_cm2.to_numpy() / hydrogen(neutral, ebv), (av / (3.1 * ebv))[below]):
        assert abs(np.median(np.log10(ratio))) < 0.06
        assert 0.06 < np.std(np.log10(ratio)) < 0.2
    o = sky.objects
    outside = o.distance_pc.isna()
    assert (o.av_mag[outside] == o.av_gal_mag[outside]).all()
    assert (o.nh_cm2[outside] > o.nh_gal_cm2[outside]).all()
    assert (o.av_mag[~outside] < o.av_gal_mag[~outside]).all()
    plane, agn = o.place == "plane", o["class"] == "AGN"
    none = (o[["gaia_id", "twomass_id", "allwise_id"]] == "").all(axis=1)
    assert o.transmission[agn & plane].median() < 0.8 < 0.9 < o.transmission[agn & ~plane].median()
    assert none[agn & plane].mean() > 0.6 > 0.5 > none[agn & ~plane].mean()
    # most faint sources of the plane without a counterpart are AGN behind it, and few are X-ray binaries
    mix = o["class"][plane & none].value_counts(normalize=True)
    assert mix.AGN > 0.75 and mix.XRB < 0.1


def test_catalogues_are_shallower_where_stars_are_crowded() -> None:
    poles, inner, bulge = star_density_per_deg2(np.array([0.0, 20.0, 1.0]), np.array([90.0, 0.5, -1.5]))
    lost = [
        crowding_mag(np.array([poles, inner, bulge]), c) for c in (_CROWDED_GAIA, _CROWDED_TWOMASS, _CROWDED_ALLWISE)
    ]
    assert [x[0] for x in lost] == [0, 0, 0]
    assert 0.5 < lost[0][2] < 1.2 and lost[0][1] < 0.3
    assert 0.5 < lost[1][1] < 1.2 and 1 < lost[1][2] <= 2
    assert 14 <= 17 - lost[2][2] < 17 - lost[2][1] < 15.2


def test_flawed_detections_are_few_flagged_and_wrong(sky: Sky) -> None:
    for mission, flux, of_source in (
        ("xmm", "EP_8_FLUX", "SC_EP_8_FLUX"),
        ("swift", "Rate", None),
        ("chandra", "obs_flux_aper90_b", "flux_aper90_b"),
    ):
        d = sky.detections(mission)
        d = d[~d.is_spurious]
        flagged = {
            "xmm": lambda t: t.SUM_FLAG == 3,
            "swift": lambda t: t.DetFlag >= 8,
            "chandra": lambda t: t.obs_sat_src_flag | (t.obs_conf_code == 8) | (t.obs_edge_code == 4),
        }[mission](d)
        assert (flagged == (d.flaw != "")).all()
        assert 0.005 < flagged.mean() < 0.05
        true = sky.objects.set_index("object_id").flux_std_cgs.loc[d.object_id].to_numpy()
        off = np.log10(d[flux].to_numpy(float).clip(1e-20) / true)
        off -= np.median(off[~flagged])
        assert (
            np.median(off[(d.flaw == "chip edge").to_numpy()])
            < -0.2
            < 0.1
            < np.median(off[(d.flaw == "confused").to_numpy()])
        )
        if of_source:
            several = d.groupby("object_id")[of_source].agg(["nunique", "size"])
            assert (several["nunique"] == 1).all() and (several["size"] > 1).any()
            clean = (d.flaw == "").groupby(d.object_id).transform("any")
            spoilt = (flagged & clean).to_numpy()
            of_source_off = np.log10(d[of_source].to_numpy(float).clip(1e-20) / true)
            assert np.median(np.abs(of_source_off[spoilt])) < np.median(np.abs(off[spoilt]))


def test_a_sky_in_many_pieces_with_a_deep_field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bands of declination join without gap or double entry; outside of its area a deep field has no counterparts."""
    monkeypatch.setattr(simulation, "_CIRCLES_AT_ONCE", 150)
    monkeypatch.setattr(simulation, "_OBJECTS_AT_ONCE", 400)
    folder = tmp_path / "deep"
    summary = simulate(1_000, 2, folder, deep_field=True)
    objects = pd.read_parquet(folder / "truth" / "objects.parquet")
    xray = pd.read_parquet(folder / "truth" / "xray.parquet")
    for name, file, id_column in (
        ("gaia", "gaia.fits", "Source"),
        ("twomass", "twomass.fits", "_2MASS"),
        ("allwise", "allwise.parquet", "AllWISE"),
    ):
        ids = read(folder / file)[id_column].astype(str)
        assert len(ids) == summary.rows[file]
        assert ids.duplicated().sum() == summary.rejects.get(file, {}).get("duplicate id", 0)
        own = objects[f"{name}_id"]
        assert own[own != ""].isin(ids).all() and own[own != ""].is_unique
        assert (own[~objects.searched] == "").all()
    gaia = read(folder / "gaia.fits").dropna(subset=["RA_ICRS"])
    gaia = gaia[gaia.DE_ICRS.abs() <= 90]
    in_order = gaia.DE_ICRS.to_numpy(float)
    assert (np.diff(in_order) > -0.05).mean() > 0.99, "from south to north, but for rows that cannot be used"
    deep = objects[~objects.searched]
    assert 50 < len(deep) < 200
    fields = objects[(objects.place == "high") & (separation_arcsec(*_repeated(deep, objects)) < 1800)]
    assert 0.35 < fields.searched.mean() < 0.8
    assert (fields.gaia_id[fields.searched] != "").mean() > 0.15
    assert (~xray.searched).sum() >= len(deep)
    assert json.loads((folder / "manifest.json").read_text())["deep_field"] is True
    again = checksums(folder)
    assert simulate(1_000, 2, folder, deep_field=True) == summary and checksums(folder) == again


def _repeated(some: pd.DataFrame, every: pd.DataFrame) -> list[np.ndarray]:
    centre = [np.full(len(every), some[c].median()) for c in ("ra", "dec")]
    return [every.ra.to_numpy(), every.dec.to_numpy(), *centre]


# --- pieces ------------------------------------------------------------------------------------------------


def test_galactic_coordinates_agree_with_astropy() -> None:
    from astropy.coordinates import SkyCoord

    rng = np.random.default_rng(1)
    ra, dec = rng.uniform(0, 360, 200), np.degrees(np.arcsin(rng.uniform(-1, 1, 200)))
    glon, glat = to_galactic(ra, dec)
    galactic = SkyCoord(ra, dec, unit="deg").galactic
    assert (separation_arcsec(glon, glat, galactic.l.deg, galactic.b.deg) < 0.03).all()
    assert (separation_arcsec(*from_galactic(glon, glat), ra, dec) < 1e-6).all()


def test_designations() -> None:
    ra, dec = np.array([0.0390667, 359.99999999, 150.0]), np.array([13.9383855, -0.0001, -89.99999])
    assert list(sexagesimal(ra, dec, 2, 1)) == [
        b"J000009.37+135618.1",
        b"J235959.99-000000.3",
        b"J100000.00-895959.9",
    ]
    assert sexagesimal(ra, dec, 2, 1, "{h}{m}{s}{fs}{sign}{d}{dm}{ds}{fds}")[0] == b"00000937+1356181"


def test_the_tables_of_the_populations_are_complete() -> None:
    tables, keys = populations._TABLES, set(populations.KINDS["type 1"])
    assert all(set(kind) == keys for kind in populations.KINDS.values()), "no attribute is missing or misspelt"
    for name in ("per_deg2", "kind_share", "targets"):
        assert tuple(tables[name]) == PLACES
    assert {name for kinds in tables["targets"].values() for name in kinds} <= set(populations.KIND_NAMES)
    for shares in (*tables["per_deg2"].values(), *tables["kind_share"].values(), tables["slope"]):
        assert tuple(shares) == populations.CLASSES
    for classes in tables["kind_share"].values():
        for name, shares in classes.items():
            assert set(shares) <= set(tables["kinds"][name])
            assert sum(shares.values()) == pytest.approx(1.0)


def test_source_counts_fall_as_published() -> None:
    n = agn_per_deg2(np.array([1e-14, 3.3e-14, 1e-13]))
    assert n[1] == pytest.approx(144)
    assert n[0] > n[1] > n[2]
    slope = np.log(agn_per_deg2(np.array([1e-12]))[0] / n[2]) / np.log(10)
    assert slope == pytest.approx(-1.48)


def test_parquet_has_plain_types(sky: Sky) -> None:
    schema = pq.read_schema(sky.folder / "allwise.parquet")
    assert {str(t) for t in schema.types} <= {"string", "double"}


def test_geometric_distances_are_the_mode_of_the_posterior() -> None:
    """Oracle: the smallest positive root of the cubic, by companion matrix; good, poor and negative parallaxes."""
    rng = np.random.default_rng(1)
    error = 10 ** rng.uniform(-2, 0.5, 2000)
    parallax = 1 / rng.uniform(0.01, 10, 2000) + error * rng.standard_normal(2000)
    found = counterpart_tables._geometric_distance_pc(parallax, error) / 1000
    for w, e, r in zip(parallax, error, found, strict=True):
        roots = np.roots([1 / 1.35, -2, w / e**2, -1 / e**2])
        real = roots[np.abs(roots.imag) < 1e-6 * np.abs(roots)].real
        assert r == pytest.approx(real[real > 0].min(), rel=1e-4)
    assert (parallax < 0).any() and (parallax / error > 10).any()
    assert np.isnan(counterpart_tables._geometric_distance_pc(np.array([np.nan]), np.array([1.0]))).all()


def test_variability_between_observations_is_a_probability_where_the_source_is_constant() -> None:
    rng = np.random.default_rng(2)
    source = np.repeat(np.arange(4000), 3)
    error = rng.uniform(0.1, 0.5, source.size)
    p = mission_tables._varied(source, 5 + error * rng.standard_normal(source.size), error).reshape(-1, 3)
    assert (p == p[:, :1]).all()
    assert stats.kstest(p[:, 0], "uniform").pvalue > 0.01
    assert np.isnan(mission_tables._varied(np.array([1, 2]), np.ones(2), np.ones(2))).all()
    assert mission_tables._varied(np.array([1, 1]), np.array([1.0, 9.0]), np.ones(2))[0] > 0.999
