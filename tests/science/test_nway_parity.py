"""The same answers as NWAY 4.8.0 on XMM-COSMOS, where its approximations are wanted.

NWAY is installed into an environment of its own and run as a program (see nway.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from environments import NotInstalled
from integration.matching import Matched, run
from nway import environment, read_matches
from nway import run as run_nway
from unit.oracle import Objects

from xcat.config import Settings
from xcat.database.connection import Connection, ready
from xcat.match.learning import PriorTable

pytestmark = [pytest.mark.shared, pytest.mark.slow]
RADIUS_ARCSEC, COMPLETENESS, N = 15.0, 0.9, 1797
FILES = {"OPT": ("cosmos_optical.fits", "MAG", 0.1), "IRAC": ("cosmos_irac.fits", "mag_ch1", 0.5)}
HISTOGRAMS = {"OPT": "opt_mag_fit.txt", "IRAC": "irac_mag_ch1_fit.txt"}


@pytest.fixture(scope="module")
def cosmos(shared_data: Path) -> Path:
    return shared_data / "cosmos"


@pytest.fixture(scope="module")
def work(module_settings: Settings) -> Iterator[Connection]:
    with ready(module_settings) as conn:
        yield conn
        conn.rollback()


@pytest.fixture(scope="module")
def sky(cosmos: Path) -> dict[str, tuple[Objects, np.ndarray]]:
    """Objects and magnitudes (NaN where missing) of the three files, in their order."""
    with fits.open(cosmos / "cosmos_xmm.fits") as hdus:
        x = hdus[1].data
        found = {"XMM": (Objects(*(np.array(x[c], float) for c in ("RA", "DEC", "pos_err"))), np.zeros(0))}
    for name, (file, magnitude, err) in FILES.items():
        with fits.open(cosmos / file) as hdus:
            data = hdus[1].data
            ra, dec, mag = (np.array(data[c], float) for c in ("RA", "DEC", magnitude))
        objects = Objects(ra, dec, np.full(len(ra), err), density_per_deg2=len(ra) / 2.0, completeness=COMPLETENESS)
        found[name] = (objects, np.where(mag == -99, np.nan, mag))
    return found


def _rows(file: Path, ids: pd.Series) -> np.ndarray:
    """Row numbers of a file's ids, -1 for -99."""
    with fits.open(file) as hdus:
        known = pd.Index(np.array(hdus[1].data["ID"], np.int64))
    found = known.get_indexer(ids)
    assert ((found >= 0) == (ids != -99)).all()
    return found


def _nway(cosmos: Path, folder: Path, names: list[str], *, histograms: bool) -> pd.DataFrame:
    """Run it; objects by their row in the file, -1 for none."""
    try:
        environment()
    except NotInstalled as error:
        pytest.skip(f"NWAY cannot be installed here: {error}")
    arguments: list[object] = [cosmos / "cosmos_xmm.fits", ":pos_err"]
    for name in names:
        arguments += [cosmos / FILES[name][0], FILES[name][2]]
    arguments += ["--radius", RADIUS_ARCSEC, "--prior-completeness", COMPLETENESS, "--out", "out.fits"]
    for name in names if histograms else []:
        arguments += ["--mag", f"{name}:{FILES[name][1]}", cosmos / HISTOGRAMS[name]]
    run_nway(folder, "nway.py", *arguments)
    table = read_matches(folder / "out.fits")
    out = pd.DataFrame({"source": _rows(cosmos / "cosmos_xmm.fits", table.XMM_ID), "p_any": table.p_any.astype(float)})
    for k, name in enumerate(names, 1):
        out[f"c{k}"] = _rows(cosmos / FILES[name][0], table[f"{name}_ID"])
    return out.assign(
        log_bf=table.dist_bayesfactor * np.log(10), p_single=table.p_single, p_i=table.p_i, match_flag=table.match_flag
    )


def _table(path: Path) -> PriorTable:
    return PriorTable(*np.loadtxt(path).T)


def _compared(ours: pd.DataFrame, theirs: pd.DataFrame) -> pd.DataFrame:
    """Hypotheses of both, side by side; what one of them leaves out is NaN there."""
    keys = [c for c in theirs.columns if c == "source" or c[0] == "c"]
    return ours.merge(theirs, on=keys, how="outer", suffixes=("", "_nway"), validate="one_to_one")


def _best(table: pd.DataFrame) -> pd.DataFrame:
    """Members of the best hypothesis, by source; -1 in all where there is none."""
    members = [c for c in table.columns if c[0] == "c" and c[1:].isdigit()]
    some = table[(table[members] >= 0).any(axis=1)].sort_values("p_i", ascending=False, kind="stable")
    return some.drop_duplicates("source").set_index("source")[members].reindex(range(N), fill_value=-1)


def _right_by_chandra(best: np.ndarray, sky: dict[str, tuple[Objects, np.ndarray]], shared_data: Path) -> int:
    """Best optical matches within 1 arcsec of the Chandra position, of the 249 sources that have one within 3."""
    pool = pd.read_csv(shared_data / "surveys" / "xray_pool.csv.gz")
    chandra = pool[pool.survey == "CSC2"]
    there = SkyCoord(chandra.ra, chandra.dec, unit="deg")
    xmm, optical = sky["XMM"][0], sky["OPT"][0]
    nearest, sep, _ = SkyCoord(xmm.ra, xmm.dec, unit="deg").match_to_catalog_sky(there)
    close = (sep.arcsec < 3) & (best >= 0)
    assert (sep.arcsec < 3).sum() == 249
    found = SkyCoord(optical.ra[best[close]], optical.dec[best[close]], unit="deg")
    return int((found.separation(there[nearest[close]]).arcsec < 1).sum())


@pytest.fixture(scope="module")
def two_way(work: Connection, sky: dict[str, tuple[Objects, np.ndarray]]) -> Matched:
    return run(work, sky["XMM"][0], [sky["OPT"][0]], radius_arcsec=RADIUS_ARCSEC, nway=True)


def test_two_way_by_position(two_way: Matched, cosmos: Path, tmp_path: Path) -> None:
    """Every hypothesis of every source."""
    theirs = _nway(cosmos, tmp_path, ["OPT"], histograms=False)
    both = _compared(two_way.table, theirs)
    assert len(both) == len(theirs) == len(two_way.table) == 22_435
    assert both.source.nunique() == N
    assert (both.p_any - both.p_any_nway).abs().max() < 1e-5
    assert (both.p_i.fillna(0) - both.p_i_nway).abs().max() < 1e-5
    some = both[both.c1 >= 0]
    assert (some.p_single - some.p_single_nway).abs().max() < 1e-5
    assert (some.log_bf - some.log_bf_nway).abs().max() < 1e-3  # theirs has seven digits
    assert (some.match_flag == some.match_flag_nway).all()


def test_chandra_agrees(two_way: Matched, sky: dict[str, tuple[Objects, np.ndarray]], shared_data: Path) -> None:
    assert _right_by_chandra(_best(two_way.table).c1.to_numpy(), sky, shared_data) >= 234


@pytest.fixture(scope="module")
def three_way_nway(cosmos: Path, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    return _nway(cosmos, tmp_path_factory.mktemp("three"), ["OPT", "IRAC"], histograms=True)


def _three_way(
    work: Connection, sky: dict[str, tuple[Objects, np.ndarray]], priors: list[PriorTable | None], **options: bool
) -> Matched:
    return run(
        work,
        sky["XMM"][0],
        [sky[n][0] for n in FILES],
        magnitudes=[sky[n][1] for n in FILES],
        priors=priors,
        radius_arcsec=RADIUS_ARCSEC,
        **options,
    )


def test_three_way_with_its_histograms(
    work: Connection, sky: dict[str, tuple[Objects, np.ndarray]], cosmos: Path, three_way_nway: pd.DataFrame
) -> None:
    ours = _three_way(work, sky, [_table(cosmos / HISTOGRAMS[n]) for n in FILES], nway=True)
    both = _compared(ours.table, three_way_nway)
    same = (_best(ours.table) == _best(three_way_nway)).all(axis=1)
    p_any = both.groupby("source")[["p_any", "p_any_nway"]].first()
    assert len(p_any) == N
    off = (p_any.p_any - p_any.p_any_nway).abs()
    assert same.mean() >= 0.99, same.mean()
    assert (off <= 0.01).mean() >= 0.99, off.describe()
    # that is what must hold; what does hold is that all differences are those of rounding
    assert same.all(), same.sum()
    assert off.max() < 1e-5
    shared = both.dropna(subset=["rank", "p_i_nway"])
    assert len(shared) > 50_000
    assert (shared.p_i.fillna(0) - shared.p_i_nway).abs().max() < 1e-5
    # one leaves out members that are farther apart than the radius, the other those six sigma apart
    assert both[both.p_i_nway.isna()].p_i.fillna(0).lt(1e-6).all()
    assert both[both["rank"].isna()].p_i_nway.fillna(0).lt(1e-6).all()


def test_three_way_with_what_it_learns(
    work: Connection, sky: dict[str, tuple[Objects, np.ndarray]], three_way_nway: pd.DataFrame, shared_data: Path
) -> None:
    """Magnitudes of counterparts from the difference to shifted positions, instead of from secure counterparts."""
    ours = _three_way(work, sky, [None, None], nway=True, calibrate=True)
    assert ours.outcome.learned is not None
    assert {curve.name for curve in ours.outcome.learned.curves} == {"mag"}
    best = _best(ours.table)
    p_any = ours.table.groupby("source").p_any.first()
    sure = p_any > 0.1
    assert sure.sum() > 1500
    same = (best == _best(three_way_nway)).all(axis=1)[sure]
    assert same.mean() >= 0.97, same.mean()
    assert _right_by_chandra(best.c1.to_numpy(), sky, shared_data) >= 234
