"""Time to classify a million sources, property rows to committed posterior rows with evidence, against a bare COPY.

Once with the accepted counterpart, once with the counterpart hypotheses summed (2.4 per source). The bare side writes
the same posterior rows, already encoded in memory, into a table without an index.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from common import in_turn, peak_memory_mb, private_database

from xcat.classifier import Hypotheses, Property, Sample, fit_tables
from xcat.classifier.bootstrap import Replicates, contributions_at_places
from xcat.columns.properties import select
from xcat.columns.registry import property_columns, property_entries
from xcat.config import Settings
from xcat.database import copy, partitions, runs
from xcat.database.connection import ready
from xcat.jobs import stages
from xcat.models import store
from xcat.models.samples import Layout

CLASSES = ("AGN", "Star", "XRB", "CV")
PRIORS = np.array([0.66, 0.25, 0.07, 0.02])
HYPOTHESES = 2.4
BLOCK = 100_000


def full_layout(properties: Sequence[Property]) -> Layout:
    names = [p.name for p in properties]
    return Layout(properties, names, names)


def simulated(n: int, seed: int, properties: Sequence[Property] | None = None) -> tuple[Sample, np.ndarray]:
    """Sources with these or the default properties, a third of the values missing, and their classes (n,).

    They have errors, limits and hypotheses. Rank 0 of the hypotheses is "no counterpart"; the
    accepted counterpart is the first of the others.
    """
    rng = np.random.default_rng(seed)
    properties = tuple(properties or select(None))
    layout = full_layout(properties)
    labels = rng.choice(len(CLASSES), n, p=PRIORS)

    def drawn(number: int, of: np.ndarray) -> np.ndarray:
        prop = properties[number]
        middle = prop.low + prop.width * (0.3 + 0.1 * ((of + number) % 5))
        value = np.clip(rng.normal(middle, 0.1 * prop.width), prop.low, prop.high)
        value = {"linear": lambda x: x, "log10": lambda x: 10**x, "asinh": np.sinh}[prop.scale](value)
        return np.where(rng.random(of.size) < 0.33, np.nan, value)

    values = np.stack([drawn(j, labels) for j in range(len(properties))], axis=1)
    size = 1 + rng.poisson(HYPOTHESES - 1.0, n)
    start = np.concatenate([[0], np.cumsum(size)])
    owner = np.repeat(np.arange(n), size)
    table = np.stack([drawn(j, rng.permutation(labels)[owner]) for j in layout.dependent], axis=1)
    table[start[:-1]] = np.nan
    accepted = np.flatnonzero(size > 1)
    table[start[accepted] + 1] = values[np.ix_(accepted, layout.dependent)]
    weight = rng.gamma(1.0, size=owner.size) + 0.02
    hypotheses = Hypotheses.of(owner, weight, layout.dependent, table, n)
    errors, limits = np.full(values.shape, np.nan), np.full(values.shape, np.nan)
    for j, prop in enumerate(properties):
        if layout.error[j] is not None:
            errors[:, j] = rng.lognormal(np.log(0.03 * prop.width), 0.7, n)
        if layout.limit[j] is not None:
            limits[:, j] = rng.uniform(prop.low + 0.5 * prop.width, prop.high, n)
    return Sample(properties, values, errors, limits, hypotheses), labels


def write_properties(settings: Settings, n: int) -> int:
    """Write rows of properties and of hypotheses; return the id of their run."""
    dependent = [entry["name"] for entry in property_entries() if entry.get("counterpart")]

    def blocks() -> Iterator[Sample]:
        for first in range(0, n, BLOCK):
            yield simulated(min(BLOCK, n - first), seed=1 + first)[0]

    def source_rows(run_id: int) -> Iterator[dict[str, np.ndarray]]:
        first = 1
        for sample in blocks():
            size = len(sample)
            layout = full_layout(sample.properties)
            assert sample.errors is not None and sample.limits is not None
            extra = {c: sample.errors[:, j].astype(np.float32) for j, c in enumerate(layout.error) if c is not None}
            extra |= {c: sample.limits[:, j].astype(np.float32) for j, c in enumerate(layout.limit) if c is not None}
            yield {
                "run_id": np.full(size, run_id, np.int32),
                "source_id": np.arange(first, first + size),
                **{p.name: sample.values[:, j].astype(np.float32) for j, p in enumerate(sample.properties)},
                **extra,
                **{name: np.zeros(size, bool) for name in ("has_optical", "has_infrared", "has_spectrum")},
                **{name: np.arange(size) % 10 != i for i, name in enumerate(property_columns("observed"))},
                "n_detections": np.ones(size, np.int32),
                "is_classifiable": np.ones(size, bool),
            }
            first += size

    def hypothesis_rows(run_id: int) -> Iterator[dict[str, np.ndarray]]:
        first = 1
        for sample in blocks():
            h = sample.hypotheses
            assert h is not None
            named = {sample.properties[int(j)].name: h.values[:, i] for i, j in enumerate(h.columns)}
            yield {
                "run_id": np.full(h.p.size, run_id, np.int32),
                "source_id": h.source + first,
                "rank": (np.arange(h.p.size) - h.start[:-1][h.source]).astype(np.int16),
                "p_hypothesis": h.p.astype(np.float32),
                **{name: named[name].astype(np.float32) for name in dependent if name in named},
            }
            first += len(sample)

    with runs.stage(settings, "properties", "benchmark", {}) as run:
        partitions.write(run.conn, "property", run.run_id, source_rows(run.run_id))
        partitions.write(run.conn, "hypothesis_property", run.run_id, hypothesis_rows(run.run_id))
    return run.run_id


def write_model(settings: Settings, n_replicates: int) -> int:
    """Write a model with errors, limits, replicates and the full mixing matrices that property weights produce."""
    reference, labels = simulated(25_000, seed=2)
    model = fit_tables(reference, labels, CLASSES, PRIORS, sharpness=4.0)
    noise = np.random.default_rng(3).normal(0.0, 0.05, model.mixing.shape)
    model = replace(model, weighting="property", mixing=0.5 * model.mixing + noise)
    if n_replicates:
        rng, shape = np.random.default_rng(4), (len(CLASSES), n_replicates)
        terms = [rng.normal(0, 0.1, (shape[0], len(at), shape[1])) for at in contributions_at_places(model)]
        changes = Replicates(np.zeros(shape, np.float32), tuple(term.astype(np.float32) for term in terms))
        model = replace(model, replicates=changes)
    levels = np.cumsum(np.full(model.outlier_levels.shape, 0.05), axis=1)
    with runs.stage(settings, "fit", "benchmark", {}) as fitted:
        store.store(fitted.conn, fitted.run_id, replace(model, outlier_levels=levels))
    return fitted.run_id


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sources", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--replicates", type=int, default=20, help="0: without errors of the probabilities")
    options = parser.parse_args()
    with private_database() as settings:
        property_run, model_run = write_properties(settings, options.sources), write_model(settings, options.replicates)
        done: list[int] = []

        def classify(best_match: bool) -> None:
            with runs.stage(settings, "classify", "benchmark", {}) as run:
                stages.classify_stage(run, property_run, property_run, model_run, best_match=best_match)
            done.append(run.run_id)

        before = peak_memory_mb()
        classify(best_match=False)
        print(f"peak memory {peak_memory_mb():.0f} MB after the classification, {before:.0f} MB before", flush=True)
        written = partitions.qualified("classification", done[0])
        with ready(settings) as conn:
            types = copy.column_types(conn, written)
            blob = bytearray()
            with conn.cursor().copy(f"COPY {written} TO STDOUT (FORMAT BINARY)") as out:
                for data in out:
                    blob += data
        columns = ", ".join(f'"{name}" {type_}' for name, type_ in types.items())

        def bare() -> None:
            with ready(settings) as conn:
                conn.execute("DROP TABLE IF EXISTS bare")
                conn.execute(f"CREATE TABLE bare ({columns})")
                with conn.cursor().copy("COPY bare FROM STDIN (FORMAT BINARY, FREEZE)") as into:
                    for i in range(0, len(blob), 2**20):
                        into.write(blob[i : i + 2**20])

        def reset() -> None:
            with ready(settings) as conn:
                while done:
                    conn.execute(f"DROP TABLE {partitions.qualified('classification', done.pop())}")

        print(
            f"{options.sources:,} sources, {HYPOTHESES} hypotheses each, {len(blob) / 1e6:.0f} MB of rows", flush=True
        )
        for name, best_match in (("accepted counterpart", True), ("hypotheses summed", False)):
            print(name, flush=True)
            in_turn(lambda only=best_match: classify(only), bare, options.runs, before=reset)


if __name__ == "__main__":
    main()
