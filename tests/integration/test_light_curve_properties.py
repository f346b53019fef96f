"""Properties of sources from their light curves: what they are, and when a pipeline takes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import product_files as made
import pytest

from xcat.config import Settings
from xcat.database.connection import connect
from xcat.errors import StageError
from xcat.ingest.products import ingest
from xcat.jobs.pipeline import Pipeline, Plan
from xcat.jobs.runner import Runner
from xcat.simulate import simulate

_OWN = ["abs_b", "hr1", "hr2"]
_OF_CURVES = ["log_rate_ratio", "mean_excess_variance"]
_STAGES = ("merge", "link", "match", "properties", "fit", "classify")


def _pipeline(**changes: Any) -> Pipeline:
    return Pipeline.model_validate(
        {
            "name": "curves",
            "definitions": ["catalogues"],
            "xray": [
                {"catalogue": "sim_xmm", "files": ["xmm_detections.fits"]},
                {"catalogue": "sim_chandra", "files": ["chandra_detections.csv.gz"]},
            ],
            "references": [
                {"catalogue": "sim_ref_agn", "files": ["ref_agn.csv"]},
                {"catalogue": "sim_ref_star", "files": ["ref_star.csv"]},
            ],
            "classes": {"AGN": 0.7, "Star": 0.3},
            "properties": _OWN,
            "folds": 3,
            "replicates": 0,
            **changes,
        }
    )


def _rows(settings: Settings, query: str, values: Any = ()) -> list[tuple[Any, ...]]:
    with connect(settings) as conn:
        return conn.execute(query, values).fetchall()  # type: ignore[arg-type]


def _changed(before: dict[str, int], after: dict[str, int]) -> list[str]:
    return [kind for kind in _STAGES if before[kind] != after[kind]]


@pytest.mark.slow
def test_a_pipeline_takes_them_where_it_names_them(module_settings: Settings, tmp_path: Path) -> None:
    settings = module_settings
    simulate(500, 5, tmp_path / "sky")

    def run(**changes: Any) -> dict[str, int]:
        return Runner(settings, Plan(_pipeline(**changes), tmp_path / "sky")).run()

    with pytest.raises(StageError, match=r"log_rate_ratio: no light curves are loaded.* publish without"):
        run(properties=[*_OWN, "log_rate_ratio"])
    assert _rows(settings, "SELECT count(*) FROM xcat.run") == [(0,)], "it is refused before anything is done"
    before = run()
    labelled = _rows(
        settings,
        "SELECT name, known_class, source_id, master_id FROM pub.classified WHERE known_class IS NOT NULL"
        " ORDER BY source_id",
    )
    folder, rng = tmp_path / "curves", np.random.default_rng(1)
    folder.mkdir()
    for name, known, source_id, _ in labelled[1:]:  # stars flare, AGN are constant; the first source has no curve
        counts = np.full(30, 9) + (rng.poisson(80, 30) * (np.arange(30) // 10 == 1) if known == "Star" else 0)
        made.lc3(folder / f"{name.replace(' ', '')}_lc3.fits", counts, OBS_ID=str(source_id))
    ingest(settings, [folder])
    # what is not named is not looked at
    assert run() == before
    assert _rows(settings, "SELECT count(log_rate_ratio) FROM pub.classified") == [(0,)]
    # what is named is computed, and only what depends on it is done again
    after = run(properties=[*_OWN, *_OF_CURVES])
    assert _changed(before, after) == ["properties", "fit", "classify"]
    found = {
        row[0]: row[1:]
        for row in _rows(
            settings,
            "SELECT name, log_rate_ratio, mean_excess_variance, known_class, class, p_class FROM pub.classified"
            " WHERE log_rate_ratio IS NOT NULL",
        )
    }
    alone = {master for *_, master in labelled[1:]}
    assert set(found) == {
        name for (name,) in _rows(settings, "SELECT name FROM pub.classified WHERE master_id = ANY (%s)", [list(alone)])
    }, "sources of other missions that are the same object have them, too"
    assert labelled[0][0] not in found
    for ratio, variance, known, class_, _ in found.values():
        if known == "Star":
            assert 0.7 < ratio < 1.5 and variance > 0.3
        elif known == "AGN":
            assert ratio == 0 and variance <= 0
        assert known in (None, class_), "classes that differ in nothing else as much"
    # a frozen model takes them, whatever the pipeline names
    n_runs = _rows(settings, "SELECT count(*) FROM xcat.run WHERE kind = 'properties'")
    assert run(model="published")["properties"] == after["properties"]
    # one more curve, and they are computed anew
    made.lc3(tmp_path / "more_lc3.fits", np.full(30, 9), OBS_ID="one more")
    ingest(settings, [tmp_path / "more_lc3.fits"], source=labelled[0][0])
    assert _rows(settings, "SELECT count(*) FROM xcat.run WHERE kind = 'properties'") == n_runs
    later = run(model="published")
    assert _changed(after, later) == ["properties", "classify"]
    assert _rows(settings, "SELECT log_rate_ratio FROM pub.classified WHERE name = %s", [labelled[0][0]]) == [(0,)]
    # the version that a run has read stays as it was
    versions = "SELECT count(*) FROM xcat.catalogue WHERE name = 'source products'"
    assert _rows(settings, versions) == [(2,)]
    recorded = "SELECT jsonb_array_length(inputs -> 'source products') FROM xcat.run WHERE run_id = %s"
    assert [_rows(settings, recorded, [runs["properties"]]) for runs in (after, later)] == [
        [(len(labelled) - 1,)],
        [(len(labelled),)],
    ]
