"""F1 of XRB and CV without and with labels of volunteers, on simulated skies, with simulated volunteers.

For every seed a sky is simulated, classified by examples/simulated.yaml and published. 46 simulated volunteers vote on
some of its unknown sources; the consensus of their votes, as `xcat volunteers labels` writes it, is then one more
reference catalogue, and model and classes are made again. Both answers are compared on the same sources: objects that
no reference catalogue has and nobody has voted on. The third row has the true classes in place of what the votes say:
what volunteers who never err would have given.

    python benchmarks/citizen.py --sources 15000 --voted 4000 --votes 40000 --seeds 1 2 3
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from common import frame, private_database, truth_of

from xcat.config import Settings
from xcat.database.connection import ready
from xcat.jobs.pipeline import CatalogueInput, Pipeline, Plan, read
from xcat.jobs.runner import Runner
from xcat.jobs.simulated_votes import simulate as vote
from xcat.jobs.votes import Asked, consensus_run, labels
from xcat.simulate import simulate

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "simulated.yaml"
CITIZEN = CatalogueInput(catalogue="citizen", files=("citizen.csv",))


def classified(settings: Settings, folder: Path, with_citizen: bool) -> dict[str, int]:
    """Run the pipeline without kinds of classes, the first time published; its runs."""
    example = read(EXAMPLE)
    change: dict[str, object] = {"replicates": 0, "weights": "category", "publish": not with_citizen}
    change["classes"] = example.class_priors
    if with_citizen:
        change["references"] = (*example.references, CITIZEN)
    pipeline = Pipeline.model_validate(example.model_dump() | change)
    return Runner(settings, Plan(pipeline, folder), replace=True).run()


def written(rows: list[dict[str, object]], path: Path) -> None:
    """Write labels as the catalogue ``citizen``."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ("name", "ra", "dec", "err_arcsec", "class"), extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def scores(settings: Settings, run_id: int, truth: pd.Series, classes: tuple[str, ...]) -> dict[str, float]:
    """F1 of every class, and accuracy, of the sources whose truth is given."""
    query = "SELECT source_id, p FROM xcat.classification WHERE run_id = %s AND source_id = ANY (%s)"
    found = frame(settings, query, run_id, truth.index.to_list()).set_index("source_id")
    said = np.array(classes)[np.stack(found.p.to_list()).argmax(axis=1)]
    true = truth.loc[found.index].to_numpy()
    f1 = {c: 2 * ((said == c) & (true == c)).sum() / ((said == c).sum() + (true == c).sum()) for c in classes}
    return f1 | {"accuracy": (said == true).mean()}


def measured(options: argparse.Namespace, seed: int, folder: Path) -> pd.DataFrame:
    """The scores of one sky, one row for each way."""
    with private_database() as settings:
        simulate(options.sources, seed, folder)
        with ready(settings) as conn:  # a small sky may be published with few CV
            conn.execute("UPDATE xcat.gate SET is_on = false")
        runs = classified(settings, folder, with_citizen=False)
        truth, classes = truth_of(settings, folder, runs["merge"]), tuple(read(EXAMPLE).class_names)
        vote(settings, folder, options.votes, options.voted, options.hostile, seed)
        made = consensus_run(settings, Asked(simulated=True))
        test = frame(
            settings,
            "SELECT source_id FROM pub.classified AS s WHERE is_best_of_master AND known_class_of_master IS NULL"
            " AND NOT EXISTS (SELECT FROM people.vote AS v WHERE v.source_id = s.source_id) ORDER BY 1",
        ).source_id
        truth_of_test = truth.reindex(test)
        truth_of_test = truth_of_test[truth_of_test.isin(classes)]
        with ready(settings) as conn:
            rows = labels(conn, made["run_id"], simulated=True)
            names = dict(conn.execute("SELECT name, source_id FROM pub.classified").fetchall())
        out = {"without": scores(settings, runs["classify"], truth_of_test, classes)}
        true = [row | {"class": truth[names[row["name"]]]} for row in rows]
        right = np.mean([a["class"] == b["class"] for a, b in zip(rows, true, strict=True)])
        for way, given in (("with votes", rows), ("with the truth", [r for r in true if r["class"] in classes])):
            written(given, folder / "citizen.csv")
            runs = classified(settings, folder, with_citizen=True)
            out[way] = scores(settings, runs["classify"], truth_of_test, classes)
        counts = pd.Series([row["class"] for row in rows]).value_counts()
        print(
            f"seed {seed}: {made['votes']:,} votes, {len(rows):,} labels, {right:.3f} of them right"
            f" ({', '.join(f'{counts.get(c, 0)} {c}' for c in classes)}); {len(truth_of_test):,} sources to test on"
            f" ({', '.join(f'{(truth_of_test == c).sum()} {c}' for c in classes)})"
        )
    table = pd.DataFrame(out).T
    print(table.to_string(float_format="%.3f"), flush=True)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", type=int, default=15_000)
    parser.add_argument("--voted", type=int, default=4000, help="unknown sources that volunteers are asked about")
    parser.add_argument("--votes", type=int, default=40_000)
    parser.add_argument("--hostile", type=int, default=0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        tables = [measured(options, seed, Path(scratch) / f"sky{seed}") for seed in options.seeds]
    print(f"mean of {len(tables)} skies")
    print((sum(tables) / len(tables)).to_string(float_format="%.3f"))
    for way in ("with votes", "with the truth"):
        gains = pd.DataFrame([table.loc[way] - table.loc["without"] for table in tables])
        listed = ", ".join(
            f"{c} {gains[c].mean():+.3f} (from {gains[c].min():+.3f} to {gains[c].max():+.3f})" for c in gains
        )
        print(f"{way}, less without: {listed}")


if __name__ == "__main__":
    main()
