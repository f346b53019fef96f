"""Purity and calibration of candidates over a whole simulated catalogue, including spurious sources.

The pipeline is examples/simulated.yaml, run five times on one sky: as it is (the posterior is the mean over the
counterpart hypotheses), with the accepted counterpart taken as certain (--best-match), the same with the published
acceptance (a false rate of 15 %, no least p_any), and as it is but with given priors, |b| and flux being properties,
or with priors of the catalogue alone, not pulled towards published number counts.
Figures are of the sources in no reference catalogue; differences are of the same sources, with errors from 200
bootstrap samples.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from common import calibration_error, frame, private_database, purity, truth_of

from xcat.config import Settings
from xcat.jobs.pipeline import Plan, read
from xcat.jobs.runner import Runner
from xcat.match.stage import MatchStageOptions
from xcat.simulate import simulate

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "simulated.yaml"
CLASSIC = {"match": MatchStageOptions(false_rate=0.15, min_p_any=0.001), "best_match": True}
VARIANTS = {
    "hypotheses summed": {},
    "best match": {"best_match": True},
    "classic best match": CLASSIC,
    "summed, given priors": {"priors": "given"},
    "summed, priors of the sky": {"priors": "sky"},
}
AT = (("XRB", 0.8), ("CV", 0.5))
DRAWS = 200


def answers(settings: Settings, folder: Path, change: dict[str, object]) -> tuple[dict[str, int], pd.DataFrame]:
    """Run a variant; its runs, and the probabilities of every source without a label."""
    plan = Plan(read(EXAMPLE), folder)
    plan.pipeline = plan.pipeline.model_copy(update={**change, "publish": False})
    runs = Runner(settings, plan).run()
    query = (
        "SELECT c.source_id, c.p, s.glat, p.has_optical OR p.has_infrared AS has_counterpart"
        " FROM xcat.classification AS c"
        " JOIN xcat.source AS s USING (source_id) JOIN xcat.property AS p USING (source_id)"
        " WHERE c.run_id = %s AND s.run_id = %s AND p.run_id = %s AND NOT EXISTS (SELECT FROM xcat.label AS l"
        " WHERE l.run_id = %s AND l.source_id = c.source_id AND l.status = 'used') ORDER BY c.source_id"
    )
    run_ids = [runs[kind] for kind in ("classify", "merge", "properties", "label")]
    return runs, frame(settings, query, *run_ids).set_index("source_id")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sources", type=int, default=60_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with private_database() as settings, tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "sky"
        simulate(options.sources, options.seed, folder)
        classes = read(EXAMPLE).class_names
        of_variant: dict[str, np.ndarray] = {}
        truth = np.zeros(0)
        for name, change in VARIANTS.items():
            runs, sources = answers(settings, folder, change)
            truth = truth_of(settings, folder, runs["merge"]).reindex(sources.index).to_numpy()
            of_variant[name] = p = np.stack(sources.p.to_list())
            predicted = np.array(classes)[p.argmax(axis=1)]
            real = np.isin(truth, classes)  # "other" and spurious sources are none of the classes
            plane, alone = np.abs(sources.glat.to_numpy()) < 10, ~sources.has_counterpart.to_numpy()
            ece = [calibration_error(p[m & real], (predicted == truth)[m & real]) for m in (real, alone, plane)]
            print(f"{name}: {len(p):,} sources")
            for of_class, completeness in AT:
                given = predicted == of_class
                pure = purity(p[:, classes.index(of_class)], truth == of_class, completeness)
                real_share, spurious = (truth[given] == of_class).mean(), (truth[given] == "spurious").mean()
                print(
                    f"  {of_class}: purity {pure:.3f} at completeness {completeness}; {given.sum():,} classified so,"
                    f" {real_share:.3f} of them truly, {spurious:.3f} are spurious detections"
                )
            print(f"  ECE {ece[0]:.4f}; without counterpart {ece[1]:.4f}; |b| < 10 deg {ece[2]:.4f}", flush=True)
        rng = np.random.default_rng(options.seed)
        first, *others = of_variant.items()
        for of_class, completeness in AT:
            k = classes.index(of_class)
            draws = []
            for _ in range(DRAWS):
                i = rng.integers(0, len(truth), len(truth))
                each = [purity(p[i, k], truth[i] == of_class, completeness) for _, p in (first, *others)]
                draws.append(each[0] - np.array(each[1:]))
            for (name, _), mean, std in zip(others, np.mean(draws, axis=0), np.std(draws, axis=0), strict=True):
                print(f"{of_class} at completeness {completeness}: {first[0]} less {name}: {mean:+.4f} +- {std:.4f}")


if __name__ == "__main__":
    main()
