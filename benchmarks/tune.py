"""Seconds to fit weights to 25,000 labelled sources with all default properties, errors, limits and hypotheses.

The limit is 60 s for either weighting on two cores; single times mean little on a shared machine, so the processor time
of the process and its children is also printed.
"""

from __future__ import annotations

import argparse
import os
import time

from classify import CLASSES, PRIORS, simulated
from common import peak_memory_mb

from xcat.classifier import FitOptions, tune

LIMIT_S = 60.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sources", type=int, default=25_000)
    options = parser.parse_args()
    sample, labels = simulated(options.sources, seed=1)
    cases = [*(("category", objective) for objective in ("log_loss", "macro_f1", "f1:XRB")), ("property", "log_loss")]
    for hypotheses in (False, True):
        given = sample if hypotheses else sample.best_match()
        for weights, objective in cases:
            start, used = time.perf_counter(), sum(os.times()[:4])
            model = tune(given, labels, None, CLASSES, PRIORS, FitOptions(weights, objective=objective))
            wall = time.perf_counter() - start
            print(
                f"{weights} weights, {objective}, {'hypotheses' if hypotheses else 'best match'}: {wall:.1f} s"
                f" ({sum(os.times()[:4]) - used:.1f} s of processor), limit {LIMIT_S:.0f} s:"
                f" {'kept' if wall < LIMIT_S else 'MISSED'}; sharpness {model.sharpness:.2f}",
                flush=True,
            )
    print(f"peak memory {peak_memory_mb():.0f} MB")


if __name__ == "__main__":
    main()
