"""What xcat says of a simulated sky against the truth: are its probabilities probabilities?

The truth is read here and nowhere else. Bins with fewer than 50 sources say nothing and are left out.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import Table, vstack
from example_pipeline import EXAMPLE, without_kinds
from scipy import stats

import xcat
from xcat.classifier import Sample, classify
from xcat.columns.registry import property_entries
from xcat.config import Settings
from xcat.database.connection import ready
from xcat.database.runs import get
from xcat.jobs import sum_rule
from xcat.jobs.pipeline import Pipeline, Plan, read
from xcat.jobs.runner import Runner
from xcat.models import store
from xcat.output import results
from xcat.own import classify_table, spooled
from xcat.own.at_hand import model_at_hand
from xcat.own.classify_table import ClassifyOptions
from xcat.simulate import simulate

pytestmark = pytest.mark.slow

N, SEED = 15_000, 11
CLASSES = ("AGN", "Star", "XRB", "CV")
EPOCH_YR = {"gaia": 2016.0, "twomass": 1999.5, "allwise": 2010.5}
EDGES = np.array([0.02, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99])
LEAST = 50


def frame(settings: Settings, query: str, *params: object) -> pd.DataFrame:
    with ready(settings) as conn:
        cursor = conn.execute(query, params)
        return pd.DataFrame(cursor.fetchall(), columns=[c.name for c in cursor.description or ()])


@dataclass(eq=False)
class Sky:
    settings: Settings
    folder: Path
    runs: Mapping[str, int]
    objects: pd.DataFrame  # index object_id
    members: pd.DataFrame  # one row a detection: source_id, mission and the truth
    sources: pd.DataFrame  # index source_id: mission, position, epoch; object_id of most of its detections
    matches: pd.DataFrame  # one row a source and catalogue: p_any, p_i, native_id of the best


@pytest.fixture(scope="module")
def sky(module_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Sky:
    folder = tmp_path_factory.mktemp("truth") / "sky"
    simulate(N, SEED, folder)
    objects = pd.read_parquet(folder / "truth" / "objects.parquet").set_index("object_id")
    truth = pd.read_parquet(folder / "truth" / "xray.parquet")
    # the errors of the probabilities, which replicates are for, are not looked at here
    pipeline = without_kinds(folds=3, replicates=0)
    runs = Runner(module_settings, Plan(pipeline, folder)).run()
    members = frame(
        module_settings,
        "SELECT s.source_id, substr(k.name, 5) AS mission, d.native_id, s.err_arcsec, s.epoch_yr"
        " FROM xcat.source AS s JOIN xcat.source_detection AS sd USING (run_id, source_id)"
        " JOIN xcat.detection AS d ON d.catalogue_id = sd.catalogue_id AND d.object_id = sd.object_id"
        " JOIN xcat.catalogue AS k ON k.catalogue_id = s.catalogue_id WHERE run_id = %s ORDER BY s.source_id",
        runs["merge"],
    ).merge(truth, on=["mission", "native_id"], validate="one_to_one")
    # spurious detections are each an object of their own
    members["object_id"] = np.where(members.is_spurious, -2 - np.arange(len(members)), members.object_id)
    counted = members.groupby(["source_id", "object_id"], as_index=False).size().sort_values("size", kind="stable")
    main = counted.drop_duplicates("source_id", keep="last")[["source_id", "object_id"]]
    sources = main.merge(members.drop_duplicates(["source_id", "object_id"]), on=["source_id", "object_id"])
    matches = frame(
        module_settings,
        "SELECT m.source_id, substr(k.name, 5) AS catalogue, m.p_any, m.density_per_deg2, m.completeness,"
        " coalesce(c.p_i, 0) AS p_i, o.native_id AS best FROM xcat.match AS m JOIN xcat.catalogue AS k"
        " USING (catalogue_id) LEFT JOIN xcat.match_candidate AS c ON c.run_id = m.run_id AND c.source_id = m.source_id"
        " AND c.catalogue_id = m.catalogue_id AND c.is_best LEFT JOIN xcat.counterpart AS o"
        " ON o.catalogue_id = c.catalogue_id AND o.object_id = c.object_id WHERE m.run_id = %s",
        runs["match"],
    )
    return Sky(module_settings, folder, runs, objects, members, sources.set_index("source_id"), matches)


# --- merge --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mission", ["xmm", "swift", "chandra"])
def test_detections_come_into_the_right_sources(sky: Sky, mission: str) -> None:
    """Pure: a detection's source is mostly of its object. Complete: its object's detections are mostly there."""
    real = sky.members[(sky.members.mission == mission) & ~sky.members.is_spurious]
    pure = (sky.sources.object_id.reindex(real.source_id).to_numpy() == real.object_id.to_numpy()).mean()
    together = real.groupby(["object_id", "source_id"]).size()
    complete = together.groupby("object_id").max().sum() / together.sum()
    assert pure >= 0.995, pure
    assert complete >= 0.995, complete


# --- counterparts -------------------------------------------------------------------------------------------


@cache
def _with_truth(sky: Sky, catalogue: str) -> pd.DataFrame:
    m = sky.matches[sky.matches.catalogue == catalogue].merge(sky.sources, left_on="source_id", right_index=True)
    motion = np.hypot(sky.objects.pmra_mas_yr, sky.objects.pmdec_mas_yr).reindex(m.object_id).fillna(0).to_numpy()
    true = m[f"{catalogue}_id"]
    return m.assign(
        has=true != "",
        right=(true != "") & (m.best == true),
        moved_sigma=motion * (m.epoch_yr - EPOCH_YR[catalogue]).abs() / 1e3 / m.err_arcsec,
    )


def _calibration(p: pd.Series, true: pd.Series) -> tuple[pd.DataFrame, float]:
    """Table of what was promised and what came true, bin by bin, and the chance of a chi-square so large.

    A bin of n sources expects sum(p) successes with the variance sum(p (1 - p)).
    """
    p = p.astype(float)
    data = pd.DataFrame({"p": p, "true": true.astype(float), "variance": p * (1 - p), "bin": np.digitize(p, EDGES)})
    table = data.groupby("bin").agg(
        n=("p", "size"), promised=("p", "mean"), came_true=("true", "mean"), variance=("variance", "sum")
    )
    table = table[table.n >= LEAST]
    # a real has seven digits: a bin of certainties has a variance all the same, half an event
    table["z"] = (table.came_true - table.promised) * table.n / np.sqrt(np.maximum(table.variance, 0.5))
    return table.drop(columns="variance"), float(stats.chi2.sf((table.z**2).sum(), len(table)))


def _check(p: pd.Series, true: pd.Series) -> None:
    table, chance = _calibration(p, true)
    text = f"\n{table.round(4).to_string()}\nchance of the chi-square: {chance:.2g}"
    assert len(table) >= 5, text
    assert table.z.abs().max() < 3.5, text
    assert chance > 1e-3, text
    assert abs(p.mean() - true.mean()) < 0.005, text


@cache
def _still(sky: Sky, catalogue: str) -> pd.DataFrame:
    """Sources whose object has not left its place, or whose motion Gaia knows.

    2MASS and AllWISE give no proper motion; their objects are moved with Gaia's. Where Gaia has none, or no motion for
    it, nobody can. The motion is that of the X-ray object: no choice by the outcome.
    """
    gaia = frame(
        sky.settings,
        "SELECT native_id FROM xcat.counterpart JOIN xcat.catalogue USING (catalogue_id)"
        " WHERE name = 'sim_gaia' AND pmra_mas_yr IS NOT NULL",
    )
    m = _with_truth(sky, catalogue)
    return m[m.gaia_id.isin(gaia.native_id) | (m.moved_sigma < 0.5)]


# Of 12,365 sources with p_any near 0 (mean 5e-5) 8 have a 2MASS object. On another sky (seed 3) all 5 of 12,709 are
# stars within 3 deg of the plane that Gaia has lost in the crowd, 4 of them wholly.
_CROWDED = pytest.mark.xfail(strict=True, reason="2MASS stars that Gaia lost in a crowd have too small a p_any")
_CATALOGUES = [pytest.param(name, marks=_CROWDED) if name == "twomass" else name for name in EPOCH_YR]


@pytest.mark.parametrize("catalogue", _CATALOGUES)
def test_p_any_is_the_probability_of_a_counterpart(sky: Sky, catalogue: str) -> None:
    m = _still(sky, catalogue)
    assert len(m) > 0.9 * len(sky.sources)
    _check(m.p_any, m.has)


@pytest.mark.parametrize("catalogue", _CATALOGUES)
def test_p_any_p_i_is_the_probability_of_this_counterpart(sky: Sky, catalogue: str) -> None:
    m = _still(sky, catalogue)
    _check(m.p_any * m.p_i, m.right)


@pytest.mark.parametrize("catalogue", EPOCH_YR)
def test_p_any_holds_for_bright_and_faint_here_and_there(sky: Sky, catalogue: str) -> None:
    """Over sixths of the sources, by positional error and by density: the mean is right in each."""
    m = _still(sky, catalogue)
    for column in ("err_arcsec", "density_per_deg2"):
        for _, part in m.groupby(pd.qcut(m[column].astype(float), 6, duplicates="drop"), observed=True):
            off = part.p_any.mean() - part.has.mean()
            # what has a counterpart is given, but how many have one was estimated from so many sources
            error = np.sqrt((part.p_any * (1 - part.p_any)).sum()) / len(part) + 0.005
            assert abs(off) < 4 * error, (column, off, error)


def test_fast_stars_are_found_in_gaia(sky: Sky) -> None:
    """Those that moved by more than three of their errors, as far as Gaia gives a motion."""
    m = _with_truth(sky, "gaia")
    fast = m[m.has & (m.moved_sigma > 3)]
    moving = frame(sky.settings, "SELECT native_id FROM xcat.counterpart WHERE pmra_mas_yr IS NOT NULL")
    fast = fast[fast.gaia_id.isin(moving.native_id)]
    assert len(fast) >= 10
    assert fast.right.mean() > 0.95


# --- classes ------------------------------------------------------------------------------------------------


Weights = dict[str, float] | str
Classified = Callable[[Weights], pd.DataFrame]
EQUAL = {"location": 1.0, "spectrum": 1.0, "multiwavelength": 1.0, "variability": 1.0}


@pytest.fixture(scope="module")
def fair(sky: Sky) -> Classified:
    """Posterior of XMM's sources by a model that was fitted to a fair draw of the others, and their true class.

    The reference catalogues are the truth of all objects that XMM has seen in 40 % of the fields; the priors are the
    true mix. Whole fields, as the folds of the fit are: sources of one galaxy are alike.
    """
    folder = sky.folder / "fair"
    folder.mkdir()
    xmm = sky.sources[(sky.sources.mission == "xmm") & sky.sources["class"].isin(CLASSES)]
    cells = (
        frame(
            sky.settings,
            "SELECT source_id, public.q3c_ang2ipix(ra, dec) >> 48 AS cell FROM xcat.source WHERE run_id = %s",
            sky.runs["merge"],
        )
        .set_index("source_id")
        .cell.reindex(xmm.index)
    )
    fields = np.sort(cells.unique())
    chosen = cells.isin(fields[np.random.default_rng(1).random(fields.size) < 0.4])
    references = []
    for name in CLASSES:
        listed = xmm[chosen & (xmm["class"] == name)].drop_duplicates("object_id")
        listed[["true_ra", "true_dec"]].to_csv(folder / f"{name}.csv", index=False)
        (folder / f"fair_{name.lower()}.yaml").write_text(
            f"name: fair_{name.lower()}\ntitle: A fair draw\nkind: reference\ncitation: the truth\nclass: {name}\n"
            "position_error: {convention: axis_1sigma, constant: 0.05}\nlabel_tolerance_arcsec: 0.0\n"
            "columns: {ra: true_ra, dec: true_dec}\n"
        )
        definition = str(folder / f"fair_{name.lower()}.yaml")
        references.append({"catalogue": definition, "files": [f"fair/{name}.csv"]})
    mix = xmm["class"].value_counts(normalize=True)
    changes = {
        "name": "fair",
        "references": references,
        "classes": {c: float(mix[c]) for c in CLASSES},
        "priors": "given",
        "publish": False,
        "folds": 3,  # the model is of all labelled sources; what is out of fold is not looked at here, nor are errors
        "replicates": 0,
    }

    def classified(weights: Weights) -> pd.DataFrame:
        values = read(EXAMPLE).model_dump() if weights == "property" else without_kinds().model_dump()
        pipeline = Pipeline.model_validate(values | changes | {"weights": weights})
        runs = Runner(sky.settings, Plan(pipeline, sky.folder)).run()
        assert runs["properties"] == sky.runs["properties"]
        p = frame(sky.settings, "SELECT source_id, p FROM xcat.classification WHERE run_id = %s", runs["classify"])
        values = pd.DataFrame(np.stack(p.p.to_numpy()), index=p.source_id, columns=list(CLASSES)).astype(float)
        return values.join(xmm[~chosen][["class"]], how="inner")

    return classified


def _reliability(found: pd.DataFrame) -> tuple[str, float, float]:
    """Table of every class; the worst bin of 100 sources and more; the largest mean error (ECE) of a class."""
    report, worst, mean = [], 0.0, 0.0
    for name in CLASSES:
        data = pd.DataFrame({"p": found[name], "true": found["class"] == name})
        table = data.groupby(np.digitize(data.p, np.linspace(0, 1, 11)[1:-1])).agg(
            n=("p", "size"), promised=("p", "mean"), came_true=("true", "mean")
        )
        off = (table.came_true - table.promised).abs()
        worst = max(worst, float(off[table.n >= 100].max()))
        mean = max(mean, float((table.n * off).sum() / table.n.sum()))
        report.append(f"{name}\n{table.round(3).to_string()}")
    return "\n".join([f"worst bin {worst:.3f}, mean {mean:.3f}", *report]), worst, mean


@pytest.mark.parametrize("weights", [EQUAL, "category", "property"], ids=["equal", "category", "property"])
def test_the_posterior_is_right_on_the_mean(fair: Classified, weights: Weights) -> None:
    """In fields that the model has not seen: 0.03 for every class, and for the most probable class."""
    found = fair(weights)
    assert len(found) > 5000
    text, _, mean = _reliability(found)
    assert mean <= 0.03, text
    top = found[list(CLASSES)]
    right = top.idxmax(axis=1) == found["class"]
    assert abs(top.max(axis=1).mean() - right.mean()) < 0.03, (top.max(axis=1).mean(), right.mean())
    assert right.mean() > 0.90


def test_the_posterior_is_right_in_every_bin(fair: Classified) -> None:
    """No bin of 100 sources is off by more than 0.1, no class by 0.015 on the mean; chi-square is 4 a bin at most.

    Not 1 a bin: sums of terms know no interplay that has no pair, so AGN between .4 and .9 are promised too much.
    With equal weights it is 15 a bin, and 9 to 13 with gradient boosting (docs/results/figures.md).
    """
    found = fair("property")
    text, worst, ece = _reliability(found)
    assert worst <= 0.10, text
    assert ece <= 0.015, text
    squares, n_bins = _chi_square(found)
    assert n_bins >= 15, text
    assert squares <= 4 * n_bins, f"chi-square {squares:.1f} in {n_bins} bins\n{text}"


def test_the_posterior_is_right_within_binomial_errors(fair: Classified) -> None:
    assert stats.chi2.sf(*_chi_square(fair("property"))) > 1e-3


def _chi_square(found: pd.DataFrame) -> tuple[float, int]:
    """Chi-square of the bins of all classes, and their number."""
    tables = [_calibration(found[name], found["class"] == name)[0] for name in CLASSES]
    return sum(float((t.z**2).sum()) for t in tables), sum(map(len, tables))


def test_fitted_weights_make_the_posterior_better(fair: Classified) -> None:
    def loss(found: pd.DataFrame) -> float:
        p = found[list(CLASSES)].to_numpy()[np.arange(len(found)), found["class"].map(CLASSES.index)]
        return float(-np.log(p.clip(1e-30)).mean())

    equal, fitted = fair(EQUAL), fair("property")
    assert loss(fitted) < 0.8 * loss(equal), (loss(fitted), loss(equal))
    assert _reliability(fitted)[1] < _reliability(equal)[1]


def test_what_is_none_of_the_classes_is_more_often_an_outlier(sky: Sky) -> None:
    found = (
        frame(
            sky.settings,
            "SELECT source_id, is_outlier FROM xcat.classification WHERE run_id = %s",
            sky.runs["classify"],
        )
        .set_index("source_id")
        .is_outlier
    )
    real = sky.sources[~sky.sources.is_spurious]
    other = found.reindex(real.index[real["class"] == "other"])
    known = found.reindex(real.index[real["class"].isin(CLASSES)])
    counts = [[other.sum(), (~other).sum()], [known.sum(), (~known).sum()]]
    assert len(other) > 100
    assert other.mean() > 1.5 * known.mean(), (other.mean(), known.mean())
    assert stats.fisher_exact(counts, alternative="greater").pvalue < 1e-3


# --- a user's own table -------------------------------------------------------------------------------------


BAND_KEV = {"xmm": (0.2, 12.0), "swift": (0.3, 10.0), "chandra": (0.5, 7.0)}
SOURCE_COLUMNS = (
    *("name", "ra", "dec", "err_arcsec", "err_maj_arcsec", "err_min_arcsec", "err_pa_deg", "epoch_yr"),
    *("flux_cgs", "flux_err_cgs", "hr1", "hr1_err", "hr2", "hr2_err", "gamma", "p_variable", "p_variable_long"),
    *("snr", "det_likelihood", "n_detections", "nh_gal_cm2"),
)


@pytest.fixture
def published(sky: Sky, monkeypatch: pytest.MonkeyPatch) -> Sky:
    """The sky, as the database of ``import xcat``."""
    monkeypatch.setenv("XCAT_DATABASE_URL", str(sky.settings.database_url))
    return sky


def _posterior(table: Table) -> np.ndarray:
    """Probabilities in the order of CLASSES; NaN where a row has none."""
    return np.stack([np.ma.filled(np.ma.asarray(table[f"p_{c.lower()}"]), np.nan) for c in CLASSES], axis=1)


@pytest.mark.parametrize("mission", ["xmm", "swift", "chandra"])
def test_a_table_with_the_columns_of_a_mission_gets_its_answers(published: Sky, mission: str) -> None:
    """Its own sources, written out: the posterior of the pipeline, its accepted counterparts, themselves."""
    runs = published.runs
    columns = ", ".join(f"s.{name}" for name in SOURCE_COLUMNS)
    query = (
        f"SELECT s.source_id, {columns}, p.log_flux_ratio, p.log_flux_ratio_low, c.p AS expected FROM xcat.source AS s"
        " JOIN xcat.property AS p USING (source_id) JOIN xcat.classification AS c USING (source_id)"
        " JOIN xcat.catalogue AS k USING (catalogue_id) WHERE s.run_id = %s AND p.run_id = %s AND c.run_id = %s"
        " AND k.name = %s ORDER BY md5(s.name) LIMIT 1500"
    )
    with ready(published.settings) as conn:
        keys = [runs["merge"], runs["properties"], runs["classify"], f"sim_{mission}"]
        table = results.query(conn, query, keys)
    expected = np.stack(list(table["expected"]))
    table.remove_column("expected")
    got = xcat.classify(table, mission=f"sim_{mission}", band_kev=BAND_KEV[mission])
    assert got["source_id"].tolist() == table["source_id"].tolist()
    assert got.meta["summary"]["not_in_the_table"] == []
    assert got.meta["summary"]["model_run_id"] == runs["fit"]
    assert np.abs(_posterior(got) - expected).max() < 1e-6
    kept = xcat.sql("SELECT source_id, catalogue, native_id, sep_arcsec, p_any FROM pub.counterparts").to_pandas()
    kept = kept[kept.source_id.isin(got["source_id"].tolist())]
    n_kept = 0
    for catalogue, of_catalogue in kept.groupby("catalogue"):
        mine = got[~np.ma.getmaskarray(np.ma.asarray(got[f"{catalogue}_id"]))]
        stored = of_catalogue.set_index("source_id").loc[mine["source_id"].tolist()]
        assert len(mine) == len(of_catalogue)
        assert mine[f"{catalogue}_id"].tolist() == stored.native_id.tolist()
        for column in ("sep_arcsec", "p_any"):
            np.testing.assert_allclose(mine[f"{catalogue}_{column}"], stored[column], rtol=1e-5, atol=1e-5)
        n_kept += len(mine)
    assert n_kept == len(kept) > 1000
    assert got["published_name"].tolist() == table["name"].tolist()
    assert np.all(got["published_sep_arcsec"] < 1e-3)
    unknown = np.ma.getmaskarray(np.ma.asarray(got["literature_class"]))  # of labelled sources, what is out of fold
    assert unknown.sum() > 500 and (got["published_class"] == got["class"])[unknown].all()
    labels = frame(
        published.settings,
        "SELECT source_id, class FROM xcat.label WHERE run_id = %s AND status = 'used'",
        runs["label"],
    ).set_index("source_id")["class"]
    labelled = got[np.isin(got["source_id"], labels.index)]
    assert len(labelled) > 50
    assert (labelled["literature_class"] == labels.loc[labelled["source_id"].tolist()].to_numpy()).mean() > 0.97


@pytest.fixture(scope="module")
def unlabelled(sky: Sky) -> pd.DataFrame:
    """Sources of Chandra of a known true class that are in no reference catalogue, in no order."""
    found = frame(
        sky.settings,
        "SELECT s.source_id, s.name, s.ra, s.dec, s.err_arcsec, s.flux_cgs, c.p AS whole FROM xcat.source AS s"
        " JOIN xcat.classification AS c USING (source_id) WHERE s.run_id = %s AND c.run_id = %s AND s.flux_cgs > 0"
        " AND s.source_id NOT IN (SELECT source_id FROM xcat.label WHERE run_id = %s) ORDER BY md5(s.name)",
        *(sky.runs[kind] for kind in ("merge", "classify", "label")),
    )
    found = found.assign(truth=sky.sources["class"].reindex(found.source_id).to_numpy())
    is_chandra = sky.sources.mission.reindex(found.source_id).to_numpy() == "chandra"
    return found[is_chandra & found.truth.isin(CLASSES)].reset_index(drop=True)


def _few(sources: pd.DataFrame) -> Table:
    return Table.from_pandas(sources[["name", "ra", "dec", "err_arcsec", "flux_cgs"]])


def _scores(p: np.ndarray, truth: pd.Series) -> tuple[float, float, int, int]:
    """Accuracy, log-loss, how many are called XRB, and how many of these are."""
    label, best = truth.map(CLASSES.index).to_numpy(), p.argmax(axis=1)
    loss = float(-np.log(p[np.arange(len(p)), label].clip(1e-30)).mean())
    called = best == CLASSES.index("XRB")
    return float((best == label).mean()), loss, int(called.sum()), int((called & (best == label)).sum())


def test_positions_errors_and_a_flux_are_enough(published: Sky, unlabelled: pd.DataFrame) -> None:
    """Against the truth: nearly as right as the pipeline with all columns, and never by a counterpart it rejects."""
    got = xcat.classify(_few(unlabelled), band_kev=BAND_KEV["chandra"])
    assert got["name"].tolist() == unlabelled.name.tolist()
    p, truth = _posterior(got), unlabelled.truth
    accuracy, loss, called, right = _scores(p, truth)
    whole = _scores(np.stack(unlabelled.whole.to_list()), truth)
    priors = np.tile(store_priors(published), (len(truth), 1))
    told = f"{len(truth)}: {(accuracy, loss, called, right)}, pipeline {whole}, priors {_scores(priors, truth)}"
    error = np.sqrt(accuracy * (1 - accuracy) / len(truth))
    assert len(truth) > 1000, told
    assert accuracy > whole[0] - 2 * error, told
    assert loss < whole[1] + 0.1 and loss < 0.5 * _scores(priors, truth)[1], told
    assert abs(p.max(axis=1).mean() - accuracy) < 0.03, told
    # rejected counterparts taken for real, and no limits: 14 called XRB of which 3 were
    assert called > 50 and right / called > whole[3] / whole[2] - 2 * np.sqrt(0.25 / called), told
    assert right / called > 0.7, told
    cutoffs = frame(
        published.settings,
        "SELECT k.name, m.cutoffs FROM xcat.match_stratum AS m JOIN xcat.catalogue AS k USING (catalogue_id)"
        " WHERE run_id = %s",
        published.runs["match"],
    )
    least = np.min(np.stack(cutoffs.cutoffs.to_list()), axis=0)[1:]
    for catalogue, cutoff in zip(EPOCH_YR, least, strict=True):
        chance = np.ma.asarray(got[f"sim_{catalogue}_p_any"]).compressed()
        assert len(chance) > 100 and chance.min() >= cutoff - 1e-6, (catalogue, cutoff)
    names = np.array(CLASSES)[np.argsort(p, axis=1)[:, ::-1]]
    assert all(r.startswith(f"{a} rather than {b}: ") for r, (a, b, *_) in zip(got["reason"], names, strict=True))
    assert got["class"].tolist() == names[:, 0].tolist()


def store_priors(sky: Sky) -> np.ndarray:
    """Shares of the classes of the published model, in the order of CLASSES."""
    with ready(sky.settings) as conn:
        model = store.load(conn, sky.runs["fit"])
    return np.array([model.priors[model.classes.index(c)] for c in CLASSES])


def test_nobody_has_looked_is_not_nothing_is_there(published: Sky, unlabelled: pd.DataFrame) -> None:
    """Outside of all cut-outs a model without counterparts answers; inside, that there is none says something."""
    inside = _few(unlabelled[:300])
    outside = Table({"name": ["a", "b", "c"], "ra": [10.0, 130.0, 250.0], "dec": [-89.0, -88.0, -87.5]})
    outside["err_arcsec"], outside["flux_cgs"] = 0.7, [1e-15, 2e-14, 1e-12]
    used = SkyCoord(outside["ra"], outside["dec"], unit="deg")
    assert used.match_to_catalog_sky(SkyCoord(unlabelled.ra, unlabelled.dec, unit="deg"))[1].arcmin.min() > 5
    got = xcat.classify(vstack([inside, outside]), band_kev=BAND_KEV["xmm"])
    off, on = got[-3:], got[:-3]
    for catalogue in EPOCH_YR:
        for column in ("id", "sep_arcsec", "p_any"):
            assert np.ma.getmaskarray(np.ma.asarray(off[f"sim_{catalogue}_{column}"])).all()
    assert np.all(off["nats_multiwavelength"] == 0) and not any("counterpart" in r for r in off["reason"])
    own = {"abs_b": np.abs(used.galactic.b.deg), "log_fx": np.log10(outside["flux_cgs"])}
    own["sep_to_radius"] = np.full(3, np.nan)
    of_counterpart = {e["name"] for e in property_entries() if e.get("counterpart")}
    assert set(got.meta["summary"]["properties"]) <= own.keys() | of_counterpart
    with ready(published.settings) as conn:
        model = model_at_hand(published.settings, conn, published.runs["fit"], list(own)).model
    columns = [own[p.name] for p in model.properties]
    expected = classify(model, Sample(model.properties, np.stack(columns, axis=1))).p
    assert any(
        "3 rows lie where nobody has looked for infrared and optical counterparts" in m for m in got.meta["messages"]
    )
    order = [model.classes.index(c) for c in CLASSES]
    np.testing.assert_allclose(_posterior(off), expected[:, order], atol=1e-6)
    ids = [np.ma.getmaskarray(np.ma.asarray(on[f"sim_{catalogue}_id"])) for catalogue in EPOCH_YR]
    empty = on[np.all(ids, axis=0)]
    assert len(empty) > 50 and np.all(empty["nats_multiwavelength"] != 0)
    assert any("no counterpart down to " in reason for reason in empty["reason"])


def test_the_memory_does_not_grow_with_the_table(
    published: Sky, unlabelled: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five pieces need the memory of one, and leave nothing behind; what is kept of them is on disk."""
    monkeypatch.setattr(classify_table, "_PIECE", 200)
    monkeypatch.setattr(spooled, "_IN_MEMORY_BYTES", 1000)
    few = _few(unlabelled[:200])

    def needed(n: int) -> tuple[float, float]:
        """What is left after the last piece, and the most that was needed, in MB."""
        table = vstack([few] * n)
        tracemalloc.start()
        try:
            done = classify_table.classify_table(published.settings, table, ClassifyOptions(band=BAND_KEV["chandra"]))
            left, most = tracemalloc.get_traced_memory()
            assert (done.spool.n_rows, done.summary["classified"]) == (200 * n, 200 * n)
            done.spool.close()
            return left / 2**20, most / 2**20
        finally:
            tracemalloc.stop()

    needed(1)  # what is loaded once
    (left, most), (left_of_five, most_of_five) = needed(1), needed(5)
    assert left_of_five < left + 0.2, "the answer of 200 rows has 0.2 MB"
    assert most_of_five < 1.1 * most, (most, most_of_five)


def test_a_matched_table_keeps_its_accepted_counterparts(published: Sky, unlabelled: pd.DataFrame) -> None:
    """One row per source; rejected candidates are in the table, and are not used."""
    sources = unlabelled[:600]
    matched = xcat.match(_few(sources), [f"sim_{name}" for name in EPOCH_YR])
    got = xcat.classify(matched, band_kev=BAND_KEV["chandra"])
    assert got["table_name"].tolist() == sources.name.tolist()
    accepted = np.asarray(matched["accepted"], dtype=bool)
    assert 100 < accepted.sum() < 500
    assert any(f"{accepted.sum()} of 600 sources have an accepted counterpart" in m for m in got.meta["messages"])
    assert np.all(got["nats_multiwavelength"][~accepted] == 0) and np.all(got["nats_multiwavelength"][accepted] != 0)
    has_candidate = ~np.ma.getmaskarray(np.ma.asarray(matched["sim_gaia_mag_gaia_g"]))
    assert (has_candidate & ~accepted).sum() > 5, "there is something to reject"
    direct = xcat.classify(_few(sources), band_kev=BAND_KEV["chandra"])
    same = np.asarray(got["class"] == direct["class"])
    assert same[accepted].mean() > 0.9, same[accepted].mean()
    assert _scores(_posterior(got), sources.truth)[0] > 0.7


# --- the sum rule -------------------------------------------------------------------------------------------


def test_the_probabilities_add_up_to_the_true_numbers(sky: Sky) -> None:
    """In every bin of flux and |b| with 100 objects of a class, the sum of P(class) is their number within a fifth."""
    rows = frame(
        sky.settings,
        "SELECT c.source_id, c.p, abs(s.glat) AS abs_b, s.flux_std_cgs FROM xcat.classification AS c"
        " JOIN xcat.source AS s USING (source_id) JOIN xcat.master_source AS m USING (source_id)"
        " WHERE c.run_id = %s AND s.run_id = %s AND m.run_id = %s AND m.mission_rank = 1 AND s.flux_std_cgs > 0",
        *(sky.runs[kind] for kind in ("classify", "merge", "link")),
    )
    truth = sky.objects["class"].reindex(sky.sources.object_id.reindex(rows.source_id)).to_numpy()
    p = np.stack(rows.p.to_list())
    bins = pd.cut(rows.abs_b, sum_rule.ABS_B_EDGES_DEG, right=False, labels=False) * 100
    bins = (bins + np.floor(2 * np.log10(rows.flux_std_cgs)) + 50).to_numpy()
    tested = 0
    for each in np.unique(bins):
        of_bin = bins == each
        for k, name in enumerate(CLASSES):
            n = int((truth[of_bin] == name).sum())
            if n >= 100:
                tested += 1
                assert abs(p[of_bin, k].sum() - n) <= 0.2 * n + 2 * np.sqrt(n), (each, name, n, p[of_bin, k].sum())
    assert tested >= 15


def test_the_run_says_what_is_off(sky: Sky) -> None:
    """Fields pointed at binaries and galaxies have more of them than the sky, and nearly all sources are counted."""
    with ready(sky.settings) as conn:
        rule = get(conn, sky.runs["classify"])["summary"]["sum_rule"]
    assert any(message.startswith("XRB: off by more than a factor 1.5") for message in rule["messages"])
    total = [row for row in rule["rows"] if row["class"] == sum_rule.ALL]
    assert 0.5 < sum(row["sum_p"] for row in total) / sum(row["published"] for row in total) < 1.2
    assert 20 < rule["area_deg2"] < 50
