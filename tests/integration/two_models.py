"""A simulated sky, small, with two models of it: one weighted by property, one by category with pairs and a sky prior.

Before it is classified, its properties are made to hold every case that the tables know.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from example_pipeline import without_kinds

from xcat.config import Settings
from xcat.database.connection import ready
from xcat.database.runs import get, stage
from xcat.jobs import stages
from xcat.jobs.pipeline import Plan
from xcat.jobs.runner import Runner
from xcat.simulate import simulate

PROPERTIES = (
    "abs_b",
    "pm_mas_yr",
    "parallax_sigma",
    "sep_to_radius",
    "hr1",
    "hr2",
    "log_fx",
    "log_fx_fr",
    "log_fx_fw1",
    "bp_rp",
    "log_flux_ratio_low",
)
BY_CATEGORY = {
    "weights": {"location": 1.0, "spectrum": 0.7, "multiwavelength": 1.5, "variability": 0.4},
    "sharpness": 2.0,
    "properties": PROPERTIES,
    "pairs": (("hr1", "hr2"), ("log_fx_fr", "bp_rp")),
    "priors": "sky",
}
# walls, values beyond the tables and at their ends, values without a logarithm, errors of all sizes, nobody looked
_CASES = (
    ("hr1", "-1", 11, 0), ("hr1", "1", 11, 1), ("hr1", "1.5", 11, 2), ("hr2", "NULL", 11, 3),
    ("hr1_err", "NULL", 13, 1), ("hr1_err", "0", 13, 2), ("hr2_err", "30", 13, 3), ("abs_b", "90", 17, 1),
    ("abs_b", "0", 17, 2),
    ("log_flux_ratio_low", "1e9", 17, 3), ("log_flux_ratio_low", "-40", 17, 4), ("log_fx", "-30", 17, 5),
    ("sep_to_radius", "1.26", 17, 6), ("log_fx_err", "NULL", 19, 1),
    ("log_fx_fr_limit", "NULL", 19, 2), ("log_fx_fr_limit", "-50", 19, 3), ("log_fx_fr_limit", "50", 19, 4),
    ("hr1_absorbed", "2.5", 7, 1), ("hr2_absorbed", "0.8", 7, 2), ("hr1_absorbed", "0.3", 7, 3),
    ("ebv_mag", "NULL", 31, 1), ("ebv_mag", "8", 31, 2), ("hr2_absorbed", "'NaN'", 31, 3),
    ("flux_absorbed_dex", "0.6", 31, 4),
    ("observed_optical", "false", 23, 1), ("observed_infrared", "false", 23, 2),
)  # fmt: skip
_OF_HYPOTHESES = (
    ("pm_mas_yr", "0", 29, 1),
    ("pm_mas_yr", "-3", 29, 2),
    ("pm_mas_yr", "1e-8", 29, 3),
    ("pm_mas_yr", "1e20", 29, 4),
    ("log_fx_fr", "80", 29, 5),
    ("parallax_sigma", "-200", 29, 6),
    ("bp_rp", "8", 29, 7),
    ("log_fx_fr", "NULL", 29, 8),
)


def make(settings: Settings, folder: Path, n: int = 1200) -> dict[str, int]:
    """Run the pipeline twice, from the same files.

    Returns
    -------
    dict
        Run number by kind; "fit" and "classify" are of the model by property, "fit_category" and "classify_category" of
        that by category, "best_match" and "best_match_category" classify with the accepted counterpart.
    """
    sky = folder / "sky"
    simulate(n, 5, sky)
    shutil.rmtree(sky / "truth")
    runs: dict[str, int] = {}
    for suffix, changes in (("", {}), ("_category", BY_CATEGORY)):
        pipeline = without_kinds(**{"folds": 3, "replicates": 0, "publish": False} | changes)
        done = Runner(settings, Plan(pipeline, sky)).run()
        runs = {kind: run_id for kind, run_id in done.items() if kind not in ("fit", "classify")} | runs
        runs[f"fit{suffix}"] = done["fit"]
    with ready(settings) as conn:
        for table, cases in (("property", (*_CASES, *_OF_HYPOTHESES)), ("hypothesis_property", _OF_HYPOTHESES)):
            for column, value, every, rest in cases:
                conn.execute(f"UPDATE xcat.{table} SET {column} = {value} WHERE source_id % {every} = {rest}".encode())
    for suffix in ("", "_category"):
        for kind, best_match in (("classify", False), ("best_match", True)):
            runs[f"{kind}{suffix}"] = classify(settings, runs, runs[f"fit{suffix}"], best_match=best_match)
    return runs


def classify(settings: Settings, runs: dict[str, int], model: int, best_match: bool = False, **changed: int) -> int:
    """Classify once more; `changed` takes another property_run_id."""
    with ready(settings) as conn:
        fitted = get(conn, model, "fit")
    names = ("source_run_id", "link_run_id", "match_run_id", "property_run_id", "label_run_id")
    lineage: dict[str, Any] = {name: fitted[name] for name in names} | changed
    config = {"model": model, "best_match": best_match, "again": True, **changed}
    with stage(settings, "classify", "two_models", config, model_run_id=model, **lineage) as run:
        stages.classify_stage(run, lineage["property_run_id"], lineage["label_run_id"], model, best_match=best_match)
    return run.run_id
