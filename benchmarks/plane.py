"""What the published classes of a simulated sky are worth in the plane, where most faint sources have no counterpart.

    XCAT_HOME=HOME python benchmarks/plane.py SKY

HOME has a published run of examples/simulated.yaml on the files in the folder SKY. Figures are of the sources without a
label that are truly of one of the run's classes; spurious detections and objects of no class are only counted.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from common import calibration_error, frame, truth_of

from xcat.config import Settings

FLUX_EDGES = np.array([0.0, 3e-15, 1e-14, 3e-14, 1e-13, np.inf])  # 0.2-12 keV, erg / (s cm2)
LATITUDE_EDGES_DEG = np.array([0.0, 5.0, 10.0, 30.0, 90.001])
LEAST = 100
AGN_GOAL, XRB_GOAL, ECE_GOAL, SUM_GOAL = 0.70, 1.3, 0.02, 0.20


def published(settings: Settings, sky: Path) -> tuple[list[str], pd.DataFrame]:
    """Classes of the published run, and its sources without a label, with what they truly are."""
    run = frame(
        settings,
        "SELECT r.run_id, r.source_run_id, r.property_run_id, f.config -> 'classes' AS classes FROM xcat.run AS r"
        " JOIN xcat.run AS f ON f.run_id = r.model_run_id WHERE r.run_id = pub.published_run()",
    )
    if run.empty:
        raise SystemExit(f"{settings.home}: no published run")
    run_id, merge, properties, classes = run.iloc[0]
    sources = frame(
        settings,
        "SELECT c.source_id, c.p, c.outlier, abs(s.glat) AS abs_b, s.flux_std_cgs,"
        " p.has_optical OR p.has_infrared AS has_counterpart FROM xcat.classification AS c"
        " JOIN xcat.source AS s USING (source_id) JOIN xcat.property AS p USING (source_id)"
        " JOIN pub.classified AS k USING (source_id)"
        " WHERE c.run_id = %s AND s.run_id = %s AND p.run_id = %s AND k.known_class IS NULL ORDER BY c.source_id",
        *map(int, (run_id, merge, properties)),
    ).set_index("source_id")
    sources["true"] = truth_of(settings, sky, int(merge)).reindex(sources.index)
    names = [name if isinstance(name, str) else name[0] for name in classes]
    return names, sources


def verdict(good: bool) -> str:
    return "" if good else "  MISSED"


def of_agn(sources: pd.DataFrame, p: pd.DataFrame) -> Iterator[str]:
    """Of AGN without counterpart, those that are AGN by the posterior."""
    for limit_deg in (5, 10):
        agn = (sources.true == "AGN") & ~sources.has_counterpart & (sources.abs_b < limit_deg)
        share = (p[agn].idxmax(axis=1) == "AGN").mean()
        means = ", ".join(f"{name} {value:.2f}" for name, value in p[agn].mean().items())
        yield f"|b| < {limit_deg}: {agn.sum():,} AGN without counterpart, {share:.3f} AGN; mean P {means}" + verdict(
            share >= AGN_GOAL
        )


def of_xrb(sources: pd.DataFrame, p: pd.DataFrame) -> Iterator[str]:
    """Of all sources without counterpart, the X-ray binaries: true, called and expected."""
    for what, chosen in (
        ("all", sources.abs_b < 91),
        ("|b| < 5", sources.abs_b < 5),
        ("|b| < 10", sources.abs_b < 10),
    ):
        alone = chosen & ~sources.has_counterpart
        real, called = int((sources.true[alone] == "XRB").sum()), int((p[alone].idxmax(axis=1) == "XRB").sum())
        right = int(((p[alone].idxmax(axis=1) == "XRB") & (sources.true[alone] == "XRB")).sum())
        yield (
            f"{what}: {alone.sum():,} without counterpart, {real} XRB; called XRB {called} ({right} rightly),"
            f" sum of P(XRB) {p.XRB[alone].sum():.1f}"
        ) + verdict(called <= XRB_GOAL * real)


def of_calibration(sources: pd.DataFrame, p: pd.DataFrame) -> Iterator[str]:
    """ECE by latitude, with and without counterpart."""
    right = (p.idxmax(axis=1) == sources.true).to_numpy()
    for low, high in (*pairwise(LATITUDE_EDGES_DEG), (0.0, 10.0), (0.0, 91.0)):
        band = (sources.abs_b >= low) & (sources.abs_b < high)
        for what, chosen in (
            ("all", band),
            ("with", band & sources.has_counterpart),
            ("none", band & ~sources.has_counterpart),
        ):
            if chosen.sum() >= LEAST:
                error = calibration_error(p[chosen].to_numpy(), right[chosen])
                yield (
                    f"|b| {low:.0f} to {high:.0f}, counterpart: {what}: {chosen.sum():,} sources, accuracy"
                    f" {right[chosen].mean():.3f}, ECE {error:.4f}"
                ) + verdict(error <= ECE_GOAL)


def of_sums(sources: pd.DataFrame, p: pd.DataFrame) -> Iterator[str]:
    """Sum of P over the true number, of each class, in bins of flux and latitude with enough sources of it."""
    flux = np.digitize(sources.flux_std_cgs.astype(float), FLUX_EDGES[1:-1])
    latitude = np.digitize(sources.abs_b.astype(float), LATITUDE_EDGES_DEG[1:-1])
    for b, f in np.ndindex(LATITUDE_EDGES_DEG.size - 1, FLUX_EDGES.size - 1):
        chosen = (flux == f) & (latitude == b)
        if chosen.sum() < LEAST:
            continue
        real = sources.true[chosen].value_counts()
        text, good = [], True
        for name in p:
            n, expected = int(real.get(name, 0)), p[name][chosen].sum()
            within = abs(expected - n) <= SUM_GOAL * n
            good &= within or n < LEAST
            text.append(f"{name} {expected:.0f} / {n}" + (f" = {expected / n:.2f}" if n >= LEAST else ""))
        low, high = LATITUDE_EDGES_DEG[b : b + 2]
        yield (
            f"|b| {low:.0f} to {high:.0f}, flux {FLUX_EDGES[f]:.0e} to {FLUX_EDGES[f + 1]:.0e}, {chosen.sum():,}"
            f" sources: {'; '.join(text)}"
        ) + verdict(good)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sky", type=Path, help="folder of the simulated files, with truth/")
    parser.add_argument("--home", type=Path, default=os.environ.get("XCAT_HOME"), help="instead of XCAT_HOME")
    options = parser.parse_args()
    settings = Settings(home=Path(options.home), database_url=None) if options.home else Settings(database_url=None)
    classes, every = published(settings, options.sky)
    real = every.true.isin(classes)
    sources = every[real]
    p = pd.DataFrame(np.stack(sources.p.to_list()), index=sources.index, columns=classes).astype(float)
    of_no_class = every.true[~real].value_counts().to_dict()
    print(f"{len(every):,} sources without a label; of no class {of_no_class}")
    for title, lines in (
        ("AGN without counterpart, classified as AGN", of_agn(sources, p)),
        ("X-ray binaries among the sources without counterpart", of_xrb(sources, p)),
        ("calibration of the most probable class", of_calibration(sources, p)),
        ("sum of P / true number", of_sums(sources, p)),
    ):
        print(f"\n{title}")
        for line in lines:
            print(f"  {line}")


if __name__ == "__main__":
    main()
