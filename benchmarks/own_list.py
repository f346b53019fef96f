"""A list of positions, errors and one flux: ``xcat classify`` against the pipeline that has the same sources.

For every seed a sky is simulated and classified by the pipeline; then 600 of Chandra's sources that are in no reference
catalogue are written out with name, position, error and flux, and classified with one command. Their truth is known.
Three answers are compared on the same sources: those of the list, those of the pipeline with all its columns, and those
of a pipeline whose model has only the properties that the list can have.

    python benchmarks/own_list.py --sources 7000 --rows 600 --seeds 1 2 3
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from common import frame

from xcat.config import settings

CLASSES = ("AGN", "Star", "XRB", "CV")
PROPERTIES = (
    *("abs_b", "pm_mas_yr", "parallax_sigma", "sep_to_radius", "log_fx", "log_fx_fb", "log_fx_fr", "log_fx_fw1"),
    *("log_fx_fw2", "bp_rp", "j_w1", "w1_w2"),
)
EXAMPLE = Path(__file__).parents[1] / "examples" / "simulated.yaml"
MISSION = "sim_chandra"


def xcat(*arguments: object) -> str:
    """Run a command of xcat; what it prints."""
    command = [Path(sys.executable).parent / "xcat", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def figures(p: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Accuracy, log-loss, calibration error, and recall and precision of XRB."""
    label = np.array([CLASSES.index(t) for t in truth])
    called = p.argmax(axis=1)
    right = called == label
    top = p.max(axis=1)
    bins = np.minimum((top * 10).astype(int), 9)
    ece = sum(abs(right[bins == b].sum() - top[bins == b].sum()) for b in range(10)) / len(p)
    is_xrb, called_xrb = label == 2, called == 2
    return {
        "n": len(p),
        "accuracy": right.mean(),
        "error": np.sqrt(right.mean() * (1 - right.mean()) / len(p)),
        "log_loss": -np.log(np.maximum(p[np.arange(len(p)), label], 1e-12)).mean(),
        "ece": ece,
        "xrb_true": is_xrb.sum(),
        "xrb_called": called_xrb.sum(),
        "xrb_right": (is_xrb & called_xrb).sum(),
    }


def one_seed(folder: Path, n_sources: int, n_rows: int, seed: int) -> dict[str, dict[str, float]]:
    """All answers for one sky."""
    sky = folder / f"sky{seed}"
    os.environ["XCAT_HOME"] = str(folder / f"home{seed}")
    xcat("simulate", "--sources", n_sources, "--seed", seed, "--out", sky)
    few = yaml.safe_load(EXAMPLE.read_text()) | {"name": "few", "properties": list(PROPERTIES)}
    (folder / "few.yaml").write_text(yaml.safe_dump(few))
    answers: dict[str, pd.DataFrame] = {}
    query = (
        "SELECT c.source_id, c.name, c.ra, c.dec, c.err_arcsec, c.flux_cgs, p_agn, p_star, p_xrb, p_cv,"
        " min(d.native_id) AS native_id FROM pub.classified AS c JOIN xcat.run AS r ON r.run_id = c.run_id"
        " JOIN xcat.source_detection AS m ON m.run_id = r.source_run_id AND m.source_id = c.source_id"
        " JOIN xcat.detection AS d ON d.catalogue_id = m.catalogue_id AND d.object_id = m.object_id"
        f" WHERE c.catalogue = '{MISSION}' AND known_class IS NULL AND c.flux_cgs > 0"
        " GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 ORDER BY md5(c.name)"
    )
    for name, pipeline in (("pipeline, same columns", folder / "few.yaml"), ("pipeline, all columns", EXAMPLE)):
        xcat("run", pipeline, "--data", sky)
        answers[name] = frame(settings(), query)
    truth = pd.read_parquet(sky / "truth" / "xray.parquet")
    objects = pd.read_parquet(sky / "truth" / "objects.parquet").set_index("object_id")
    whole = answers["pipeline, all columns"]
    of_mission = truth[(truth["mission"] == MISSION.removeprefix("sim_")) & ~truth["is_spurious"]]
    classes = of_mission.set_index("native_id")["object_id"].map(objects["class"])
    whole["truth"] = whole["native_id"].map(classes)
    chosen = whole[whole["truth"].isin(CLASSES)].head(n_rows)
    table = folder / "list.csv"
    columns = {"name": "Name", "ra": "RA", "dec": "Dec", "err_arcsec": "Err", "flux_cgs": "Flux"}
    chosen[list(columns)].rename(columns=columns).to_csv(table, index=False)
    out = folder / "classes.csv"
    xcat("classify", table, "--band", "0.5-7", "--pos-err", "Err", "-o", out, "--overwrite")
    found = pd.read_csv(out)
    result = {"list": figures(found[["p_agn", "p_star", "p_xrb", "p_cv"]].to_numpy(), chosen["truth"].to_numpy())}
    for name, answer in answers.items():
        same = answer.set_index("name").loc[chosen["name"]]
        p = same[["p_agn", "p_star", "p_xrb", "p_cv"]].to_numpy()
        result[name] = figures(p / p.sum(axis=1, keepdims=True), chosen["truth"].to_numpy())
    result["list"]["rejected_counterparts_used"] = rejected_used(found)
    xcat("db", "stop")
    return result


def rejected_used(found: pd.DataFrame) -> int:
    """Counterparts in the answer whose p_any is below every cutoff of their catalogue in the published match."""
    least = frame(
        settings(),
        "SELECT k.name, min(c.cutoff) AS cutoff FROM xcat.calibration AS c"
        " JOIN xcat.catalogue AS k USING (catalogue_id)"
        " WHERE c.is_chosen AND c.run_id = (SELECT match_run_id FROM xcat.run WHERE run_id = pub.published_run())"
        " GROUP BY k.name",
    )
    return sum(int((found[f"{name}_p_any"] < cutoff - 1e-6).sum()) for name, cutoff in least.itertuples(index=False))


def main() -> None:
    """Print a table of the figures, and JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sources", type=int, default=7000)
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="own-list-") as name:
        Path(name).chmod(0o755)  # the server of root runs as another user
        everything = {s: one_seed(Path(name), options.sources, options.rows, s) for s in options.seeds}
    print(f"{'seed':>4} {'answer':24}{'rows':>6}{'accuracy':>17}{'log-loss':>10}{'ECE':>7}  XRB right/called/true")
    for seed, answers in everything.items():
        for answer, f in answers.items():
            accuracy = f"{f['accuracy']:.3f} +- {f['error']:.3f}"
            xrb = f"{f['xrb_right']:.0f}/{f['xrb_called']:.0f}/{f['xrb_true']:.0f}"
            print(f"{seed:4} {answer:24}{f['n']:6.0f}{accuracy:>17}{f['log_loss']:10.3f}{f['ece']:7.3f}  {xrb}")
    print(json.dumps(everything, default=float))


if __name__ == "__main__":
    main()
