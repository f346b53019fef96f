"""Which mean of the detections of a source is its flux: estimators on simulated counts, and on the Chandra catalogue.

Simulated: sources of 3 to 300 counts in all, in five observations whose exposures differ by up to 30 times. Each
estimator, and the merge stage itself, with bias, rms of the relative error, and share that is off by more than 2 times.
With the file of CSC 2 detections: the share of the sources with several detections whose flux is off the catalogue's
own value of the source.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from common import private_database

from xcat.catalogues.definition import Definition
from xcat.catalogues.definition import load as definition_of
from xcat.config import Settings
from xcat.database.connection import ready
from xcat.database.loaded import Loaded
from xcat.database.runs import stage
from xcat.ingest.load import ingest
from xcat.merge.sources import merge_stage

_N_OBSERVATIONS, _RATIO = 5, 30.0
_COUNTS = (3, 5, 10, 30, 100, 300)
_number = count(1)
Array = np.ndarray


@dataclass
class Sky:
    """Observations of sources of flux 1, arrays of shape (n_sources, n_observations); NaN where nothing is listed."""

    flux: Array
    err: Array
    exposure: Array
    upper: Array
    truth: Array  #: mean flux over all exposure, shape (n_sources,)


def observe(
    rng: np.random.Generator, n: int, counts: float, background: float, varies: float = 0.0, listed: str = "all"
) -> Sky:
    """Simulate sources: `background` in units of the source's mean counts, `varies` in e-folds, 1 sigma.

    `listed` is "all", "detected" (2 sigma) or "limits": upper limits of 3 sigma where a source is not detected.
    """
    exposure = np.exp(rng.uniform(0, np.log(_RATIO), (n, _N_OBSERVATIONS)))
    per_flux = counts * exposure / exposure.sum(axis=1, keepdims=True)
    varied = np.exp(varies * rng.standard_normal((n, _N_OBSERVATIONS)) - varies**2 / 2)
    total = rng.poisson(per_flux * (varied + background))
    flux = total / per_flux - background
    err = (1 + np.sqrt(total + 0.75)) / per_flux  # Gehrels
    upper = np.full_like(flux, np.nan)
    truth = (varied * per_flux).sum(axis=1) / counts
    if listed != "all":
        missed = flux < 2 * err
        if listed == "limits":
            upper = np.where(missed, np.maximum(flux, 0) + 3 * err, np.nan)
        flux, err = np.where(missed, np.nan, flux), np.where(missed, np.nan, err)
    return Sky(flux, err, exposure, upper, truth)


def _weighted(weight: Callable[[Sky], Array]) -> Callable[[Sky], Array]:
    def mean(sky: Sky) -> Array:
        w = np.where(np.isnan(sky.flux), 0, weight(sky))
        return np.asarray(np.nansum(w * sky.flux, axis=1) / np.nansum(w, axis=1))

    return mean


ESTIMATORS: dict[str, Callable[[Sky], Array]] = {
    "plain mean": _weighted(lambda sky: np.ones_like(sky.flux)),
    "median": lambda sky: np.asarray(np.nanmedian(sky.flux, axis=1)),
    "inverse variance": _weighted(lambda sky: 1 / sky.err**2),
    "flux / variance": _weighted(lambda sky: np.maximum(sky.flux, 0) / sky.err**2),
    "exposure time": _weighted(lambda sky: sky.exposure),
}


def merged(settings: Settings, definition: Definition, path: Path) -> dict[str, float]:
    """Fluxes of the sources that the merge stage makes of a file, by name; None is left out."""
    ingest(settings, definition, [path])
    with ready(settings) as conn:
        row = conn.execute("SELECT catalogue_id FROM xcat.catalogue WHERE name = %s", [definition.name]).fetchone()
    assert row is not None
    loaded = [Loaded(row[0], definition)]
    with stage(settings, "merge", "benchmark", {"n": next(_number)}) as run:
        merge_stage(run, loaded)
    query = "SELECT name, flux_cgs FROM xcat.source WHERE run_id = %s AND flux_cgs IS NOT NULL"
    with ready(settings) as conn:
        return dict(conn.execute(query, [run.run_id]).fetchall())


def by_stage(settings: Settings, skies: list[Sky], folder: Path, with_exposure: bool) -> list[Array]:
    """Fluxes of the merge stage for several skies at once, with or without exposure times."""
    n, m = skies[0].flux.shape
    shape = (len(skies), n, m)
    sky, source, _ = np.indices(shape)
    flux, err, exposure, upper = (
        np.array([getattr(s, k) for s in skies]) for k in ("flux", "err", "exposure", "upper")
    )
    keep = ~(np.isnan(flux) & np.isnan(upper))
    columns = {
        "s": sky * n + source,
        "f": flux,
        "e": err,
        "t": exposure,
        "u": upper,
        "id": np.arange(keep.size).reshape(shape),
    }
    table = pa.table({k: pa.array(v[keep], from_pandas=True) for k, v in columns.items()} | {
        "ra": pa.array((columns["s"][keep] % 3600) / 10.0), "dec": pa.array((columns["s"][keep] // 3600) * 0.5 - 60.0)
    })  # fmt: skip
    path = folder / f"sky{int(with_exposure)}.parquet"
    pq.write_table(table, path)
    names = {"native_id": "id", "source_native_id": "s", "flux_cgs": "f", "flux_err_cgs": "e", "flux_upper_cgs": "u"}
    if with_exposure:
        names["exposure_s"] = "t"
    definition = Definition.from_dict({
        "name": f"sky{int(with_exposure)}", "title": "Simulated", "kind": "xray_detections", "citation": "none",
        "position_error": {"convention": "axis_1sigma", "constant": 1.0}, "flux_band_kev": [0.5, 7.0],
        "columns": {"ra": "ra", "dec": "dec"} | names, "checks": {"any_value": list(names)},
    })  # fmt: skip
    found = merged(settings, definition, path)
    all_ = np.array([found.get(str(i), np.nan) for i in range(len(skies) * n)]).reshape(len(skies), n)
    return list(all_)


def simulated(settings: Settings, folder: Path, n: int) -> None:
    """Print the table of estimators on simulated counts."""
    rng = np.random.default_rng(1)
    cases = {
        "constant, no background": {"background": 0.0},
        "constant, background 0.3 of the source": {"background": 0.3},
        "constant, background twice the source": {"background": 2.0},
        "variable (0.7 e-folds), no background": {"background": 0.0, "varies": 0.7},
        "constant, only detections are listed": {"background": 0.3, "listed": "detected"},
        "constant, upper limits elsewhere": {"background": 0.3, "listed": "limits"},
    }
    skies = [observe(rng, n, counts, **case) for case in cases.values() for counts in _COUNTS]  # type: ignore[arg-type]
    ours = {f"xcat{', with exposure times' if e else ''}": by_stage(settings, skies, folder, e) for e in (False, True)}
    for i, case in enumerate(cases):
        print(f"\n{case}: bias / rms / off by more than 2, for sources of {', '.join(map(str, _COUNTS))} counts")
        for name in (*ESTIMATORS, *ours):
            cells = []
            for j in range(len(_COUNTS)):
                sky = skies[i * len(_COUNTS) + j]
                with np.errstate(all="ignore"):
                    x = ours[name][i * len(_COUNTS) + j] if name in ours else ESTIMATORS[name](sky)
                    ok = np.isfinite(x)
                    error = x[ok] / sky.truth[ok] - 1
                off = np.abs(np.log2(np.maximum(error + 1, 1e-9))) > 1
                cells.append(
                    f"{error.mean():+.2f} {np.sqrt((error**2).mean()):.2f} {off.mean():.2f}" if len(error) else "-"
                )
            print(f"  {name:27} {'  |  '.join(cells)}")


def _csc_estimates(path: Path, merge: Callable[[Definition, Path], dict[str, float]]) -> Iterator[tuple[str, dict]]:
    whole = definition_of("csc2_detections")
    for name, update in (
        ("xcat, detections only", {"of_source": {}}),
        ("xcat, detections only, flaws not looked at", {"of_source": {}, "quality": {}}),
        ("xcat, CSC's own values first", {}),
    ):
        yield name, merge(whole.model_copy(update={"name": f"csc{next(_number)}", **update}), path)


def chandra(settings: Settings, path: Path) -> None:
    """Print how many sources of CSC 2 have a flux off the catalogue's own."""
    import pandas as pd

    table = pd.read_csv(path, low_memory=False)
    low, high = table["obs_flux_aper90_lolim_b"], table["obs_flux_aper90_hilim_b"]
    columns = ["name", "flux_aper90_b", "var_inter_prob_b"]
    table = table[columns].assign(f=table["obs_flux_aper90_b"], e=(high - low).where(high > low) / 2)
    groups = table.groupby("name")
    truth, chance = groups["flux_aper90_b"].first(), groups["var_inter_prob_b"].first()
    several = (groups.size() > 1) & (truth > 0)
    table["w"] = 1 / table["e"] ** 2
    table["wf"] = table["w"] * table["f"]
    sums = table.groupby("name")[["w", "wf"]].sum()
    estimates = {
        "plain mean": groups["f"].mean(),
        "median": groups["f"].median(),
        "inverse variance": sums["wf"] / sums["w"],
    }
    estimates |= {
        name: pd.Series(found)
        for name, found in _csc_estimates(path, lambda definition, file: merged(settings, definition, file))
    }
    print(f"\nCSC 2: {int(several.sum()):,} sources of several detections and a flux of their own")
    for group, chosen in (("all", several), ("constant (var_inter_prob_b < 0.9)", several & (chance < 0.9))):
        for name, found in estimates.items():
            ratio = (found.reindex(truth.index) / truth)[chosen].fillna(np.inf)
            beyond = [((ratio > k) | (ratio < 1 / k)).mean() for k in (2, 5)]
            print(
                f"  {group:35} {name:45} off by > 2: {beyond[0]:.3f} (low {np.mean(ratio < 0.5):.3f}),"
                f" > 5: {beyond[1]:.3f}, median ratio {ratio.median():.3f}"
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("csc", type=Path, nargs="?", help="csc2_detections.csv.gz")
    parser.add_argument("--sources", type=int, default=3000, help="simulated sources of each case")
    options = parser.parse_args()
    with private_database() as settings, tempfile.TemporaryDirectory() as made:
        simulated(settings, Path(made), options.sources)
        if options.csc:
            chandra(settings, options.csc)
