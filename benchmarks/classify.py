"""Classifying a million sources, property rows to committed posterior rows with evidence, against a bare COPY.

The bare side writes the same posterior rows, ready-made and encoded in memory, into a table without an index.
"""

from __future__ import annotations

import argparse

import numpy as np
from common import in_turn, peak_memory_mb, private_database

from xcat.classifier import CATEGORIES, fit_tables
from xcat.config import Settings
from xcat.database import copy, partitions, runs
from xcat.database.engine import ready
from xcat.jobs import models, stages
from xcat.properties.compute import all_properties

CLASSES = ("AGN", "Star", "XRB", "CV")


def simulated_properties(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Properties (n, P) with a third missing, and classes (n,)."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(len(CLASSES), n, p=[0.66, 0.25, 0.07, 0.02])
    columns = []
    for number, prop in enumerate(all_properties()):
        middle = prop.low + (prop.high - prop.low) * (0.3 + 0.1 * ((labels + number) % 5))
        value = np.clip(rng.normal(middle, 0.1 * (prop.high - prop.low)), prop.low, prop.high)
        if prop.scale == "log10":
            value = 10**value
        elif prop.scale == "asinh":
            value = np.sinh(value)
        columns.append(np.where(rng.random(n) < 0.33, np.nan, value))
    return np.stack(columns, axis=1), labels


def write_properties(settings: Settings, values: np.ndarray) -> tuple[int, int]:
    """Write property rows and a model; give the numbers of their runs."""
    n = len(values)
    with runs.stage(settings, "properties", "benchmark", {}) as run:
        block = {
            "run_id": np.full(n, run.run_id, np.int32),
            "source_id": np.arange(1, n + 1),
            **{p.name: values[:, j].astype(np.float32) for j, p in enumerate(all_properties())},
            **{name: np.zeros(n, bool) for name in ("has_optical", "has_infrared", "has_spectrum")},
            **{name: np.ones(n, bool) for name in ("observed_optical", "observed_infrared")},
            "n_detections": np.ones(n, np.int32),
            "in_test_sample": np.ones(n, bool),
        }
        partitions.write(run.conn, "property", run.run_id, [block])
    reference, labels = simulated_properties(25_000, seed=2)
    with runs.stage(settings, "fit", "benchmark", {}) as fitted:
        model = fit_tables(
            reference, labels, all_properties(), CLASSES, np.array([0.66, 0.25, 0.07, 0.02]), np.ones(len(CATEGORIES)),
            sharpness=2.0, outlier_limit=10.0,
        )  # fmt: skip
        models.store(fitted.conn, fitted.run_id, model)
    return run.run_id, fitted.run_id


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sources", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with private_database() as settings:
        property_run, model_run = write_properties(settings, simulated_properties(options.sources, seed=1)[0])
        done: list[int] = []

        def ours() -> None:
            with runs.stage(settings, "classify", "benchmark", {}) as run:
                stages.classify_stage(run, property_run, property_run, model_run)
            done.append(run.run_id)

        ours()
        memory = peak_memory_mb()
        written = partitions.qualified("classification", done[0])
        with ready(settings) as conn:
            types = copy.column_types(conn, written)
            encoded: list[bytes] = []
            with conn.cursor().copy(f"COPY {written} TO STDOUT (FORMAT BINARY)") as out:
                encoded.extend(bytes(data) for data in out)
        columns = ", ".join(f'"{name}" {type_}' for name, type_ in types.items())

        def bare() -> None:
            with ready(settings) as conn:
                conn.execute("DROP TABLE IF EXISTS bare")
                conn.execute(f"CREATE TABLE bare ({columns})")
                with conn.cursor().copy("COPY bare FROM STDIN (FORMAT BINARY, FREEZE)") as into:
                    for data in joined:
                        into.write(data)

        blob = b"".join(encoded)
        joined = [blob[i : i + 2**20] for i in range(0, len(blob), 2**20)]
        del encoded, blob

        def reset() -> None:
            with ready(settings) as conn:
                while done:
                    partitions.drop(conn, "classification", done.pop())

        print(f"{options.sources:,} sources, {sum(map(len, joined)) / 1e6:.0f} MB of rows")
        in_turn(ours, bare, options.runs, before=reset)
    print(f"peak memory of the classification {memory:.0f} MB")


if __name__ == "__main__":
    main()
