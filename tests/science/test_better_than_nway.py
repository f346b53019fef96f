"""Where the truth is known, xcat's counterparts are at least as good as NWAY's, and its p_any is a probability.

The sky is simulated, the crowded plane and the poles in one; both sides get the same sources and one catalogue with one
magnitude. NWAY gets the true completeness and the true mean density, more than a user could give it; what it cannot
be given is that density and completeness differ from place to place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import nway
import pandas as pd
import pytest
from scipy import stats
from scipy.spatial import cKDTree

from xcat.config import Settings
from xcat.database.engine import ready
from xcat.jobs.pipeline import Pipeline, Plan, read
from xcat.jobs.runner import Runner
from xcat.match.targets import unit_vectors
from xcat.simulate import simulate
from xcat.simulate.counterparts import CUT_OUT_ARCSEC

N, SEED, RADIUS_ARCSEC = 10_000, 31, 10.0
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "simulated.yaml"
FILES = {"gaia": "gaia.fits", "allwise": "allwise.parquet"}
MAGNITUDE = {"gaia": "mag_gaia_g", "allwise": "mag_w1"}
EPOCH_YR = {"gaia": 2016.0, "allwise": 2010.5}
N_BINS = 6


@dataclass
class Side:
    """What a program says of every source: p_any, the best object's native id, and whether that is right."""

    table: pd.DataFrame

    def at(self, false_rate: float) -> tuple[float, float]:
        """Completeness and purity where this share of the sources without a counterpart is given one."""
        t = self.table
        without = np.sort(t.p_any[~t.has].to_numpy())
        accepted = t.p_any > without[-1 - int(false_rate * len(without))]
        return float((accepted & t.right).sum() / t.has.sum()), float(t.right[accepted].mean())

    def calibration(self, still: pd.Series) -> pd.DataFrame:
        """Promised and true share of sources with a counterpart, by latitude; z in binomial errors."""
        t = self.table[still]
        groups = t.groupby(pd.qcut(t.abs_b, N_BINS), observed=True)
        out = groups.agg(n=("has", "size"), promised=("p_any", "mean"), came_true=("has", "mean"))
        variance = groups.p_any.apply(lambda p: (p * (1 - p)).sum())
        return out.assign(z=(out.came_true - out.promised) * out.n / np.sqrt(variance))


@dataclass
class Both:
    ours: Side
    theirs: Side
    still: pd.Series  # sources whose object has not left its place between the epochs


def _frame(settings: Settings, query: str, *params: object) -> pd.DataFrame:
    with ready(settings) as conn:
        cursor = conn.execute(query, params)
        return pd.DataFrame(cursor.fetchall(), columns=[c.name for c in cursor.description or ()])


@pytest.fixture(scope="module")
def both(module_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Both]:
    try:
        nway.environment()
    except nway.NotInstalled as error:
        pytest.skip(f"NWAY cannot be installed here: {error}")
    folder = tmp_path_factory.mktemp("better") / "sky"
    simulate(N, SEED, folder)
    known: dict[str, Both] = {}

    def matched(name: str) -> Both:
        if name not in known:
            known[name] = _match(module_settings, folder, name, tmp_path_factory.mktemp("nway"))
        return known[name]

    return matched


def _match(settings: Settings, folder: Path, name: str, work: Path) -> Both:
    inputs = [{"catalogue": f"sim_{name}", "files": [FILES[name]], "magnitudes": [MAGNITUDE[name]]}]
    changes = {"name": f"better_{name}", "counterparts": inputs, "references": [], "galaxies": [], "classes": {}}
    pipeline = Pipeline.model_validate(read(EXAMPLE).model_dump() | changes)
    runs = Runner(settings, Plan(pipeline, folder)).run()
    sources = _sources(settings, folder, runs["merge"], name)
    ours = _frame(
        settings,
        "SELECT m.source_id, m.p_any, o.native_id AS best FROM xcat.match AS m"
        " LEFT JOIN xcat.match_candidate AS c ON c.run_id = m.run_id AND c.source_id = m.source_id AND c.is_best"
        " LEFT JOIN xcat.counterpart AS o ON o.catalogue_id = c.catalogue_id AND o.object_id = c.object_id"
        " WHERE m.run_id = %s",
        runs["match"],
    )
    objects = _frame(
        settings,
        f"SELECT o.native_id, o.ra, o.dec, o.err_arcsec, o.{MAGNITUDE[name]} AS mag FROM xcat.counterpart AS o"
        " JOIN xcat.catalogue AS k USING (catalogue_id) WHERE k.name = %s ORDER BY object_id",
        f"sim_{name}",
    )
    theirs = _nway(work, sources, objects, float(sources.has.mean()))
    sides = []
    for found in (ours, theirs):
        table = sources.merge(found, on="source_id", how="left", validate="one_to_one")
        table["p_any"] = table.p_any.astype(float)
        table["right"] = table.has & (table.best == table.true_id)
        sides.append(Side(table))
    # AllWISE gives no proper motion, so nobody can bring its objects to the epoch of the X-rays
    still = sources.moved_sigma < 0.5 if name != "gaia" else pd.Series(True, sources.index)
    return Both(*sides, still)


def _sources(settings: Settings, folder: Path, merge_run: int, name: str) -> pd.DataFrame:
    """Sources with the counterpart of the object that most of their detections are of."""
    truth = pd.read_parquet(folder / "truth" / "xray.parquet").rename(columns={f"{name}_id": "true_id"})
    objects = pd.read_parquet(folder / "truth" / "objects.parquet").set_index("object_id")
    members = _frame(
        settings,
        "SELECT s.source_id, substr(k.name, 5) AS mission, d.native_id, s.ra, s.dec, s.err_arcsec, s.epoch_yr,"
        " abs(s.glat) AS abs_b FROM xcat.source AS s JOIN xcat.source_detection AS sd USING (run_id, source_id)"
        " JOIN xcat.detection AS d ON d.catalogue_id = sd.catalogue_id AND d.object_id = sd.object_id"
        " JOIN xcat.catalogue AS k ON k.catalogue_id = s.catalogue_id WHERE run_id = %s ORDER BY s.source_id",
        merge_run,
    ).merge(truth, on=["mission", "native_id"], validate="one_to_one")
    members["object_id"] = np.where(members.is_spurious, -2 - np.arange(len(members)), members.object_id)
    members["size"] = members.groupby(["source_id", "object_id"]).source_id.transform("size")
    main = members.sort_values("size", kind="stable").drop_duplicates("source_id", keep="last").reset_index(drop=True)
    motion = np.hypot(objects.pmra_mas_yr, objects.pmdec_mas_yr).reindex(main.object_id).fillna(0).to_numpy()
    moved = motion * (main.epoch_yr - EPOCH_YR[name]).abs() / 1e3
    return main.assign(has=main.true_id != "", moved_sigma=moved / main.err_arcsec)


def _area_deg2(sources: pd.DataFrame) -> float:
    """Area of the neighbourhoods that the catalogue is cut out to, those that overlap counted once."""
    rng = np.random.default_rng(1)
    centre = unit_vectors(sources.ra.to_numpy(), sources.dec.to_numpy())
    radius = np.radians(CUT_OUT_ARCSEC / 3600)
    steps = rng.normal(size=(20, *centre.shape))
    steps -= (steps * centre).sum(axis=2, keepdims=True) * centre
    steps *= radius * np.sqrt(rng.random((20, len(centre), 1))) / np.linalg.norm(steps, axis=2, keepdims=True)
    tree = cKDTree(centre)
    covered = tree.query_ball_point((centre + steps).reshape(-1, 3), radius, return_length=True)
    return float((1 / np.maximum(covered, 1)).mean() * len(centre) * np.pi * (CUT_OUT_ARCSEC / 3600) ** 2)


def _nway(work: Path, sources: pd.DataFrame, objects: pd.DataFrame, completeness: float) -> pd.DataFrame:
    area = _area_deg2(sources)
    for name, rows, errors in (("X", sources, "pos_err"), ("OPT", objects, "err")):
        columns = {"ID": np.arange(len(rows)), "RA": rows.ra.to_numpy(float), "DEC": rows.dec.to_numpy(float),
                   errors: rows.err_arcsec.to_numpy(float)}  # fmt: skip
        if "mag" in rows:
            columns["MAG"] = rows.mag.astype(float).fillna(-99.0).to_numpy()
        nway.write_catalogue(work / f"{name}.fits", name, area, columns)
    arguments = ["X.fits", ":pos_err", "OPT.fits", ":err", "--radius", RADIUS_ARCSEC, "--out", "out.fits"]
    arguments += ["--prior-completeness", round(completeness, 3), "--mag", "OPT:MAG", "auto"]
    nway.run(work, "nway.py", *arguments)
    table = nway.read_matches(work / "out.fits").sort_values("p_i", kind="stable").drop_duplicates("X_ID", keep="last")
    ids = table.OPT_ID.to_numpy(int)
    return pd.DataFrame({
        "source_id": sources.source_id.to_numpy()[table.X_ID.to_numpy(int)], "p_any": table.p_any.to_numpy(float),
        "best": np.where(ids == -99, None, objects.native_id.to_numpy(object)[ids]),
    })  # fmt: skip


@pytest.mark.parametrize("catalogue", FILES)
def test_completeness_and_purity_at_the_same_false_rate(both: Callable[[str], Both], catalogue: str) -> None:
    found = both(catalogue)
    report = []
    for rate in (0.01, 0.05, 0.10):
        ours, theirs = found.ours.at(rate), found.theirs.at(rate)
        report.append((rate, *np.round(ours, 4), *np.round(theirs, 4)))
    print(catalogue, report)
    for _, complete, pure, nway_complete, nway_pure in report:
        assert complete >= nway_complete, report
        assert pure >= nway_pure, report


@pytest.mark.parametrize("catalogue", FILES)
def test_p_any_is_calibrated_at_every_latitude(both: Callable[[str], Both], catalogue: str) -> None:
    """Ours within binomial errors; with one density for all of the sky it is not."""
    found = both(catalogue)
    ours, theirs = (side.calibration(found.still) for side in (found.ours, found.theirs))
    text = f"{catalogue}\nours\n{ours.round(3).to_string()}\nNWAY\n{theirs.round(3).to_string()}"
    print(text)
    assert ours.n.min() > 500, text
    assert ours.z.abs().max() < 3.5, text
    assert stats.chi2.sf((ours.z**2).sum(), N_BINS) > 1e-3, text
    assert theirs.z.abs().max() > 6, text
