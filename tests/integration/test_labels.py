"""Labels by position: the radius, conflicts, duplicates, and an object that two sources could claim."""

from __future__ import annotations

import math
from typing import Any

from tiny import load, merge, rows

from xcat.config import Settings
from xcat.database.runs import stage
from xcat.jobs.stages import label_stage
from xcat.match.stage import Loaded

ARCSEC = 1 / 3600
CLASSES = ["AGN", "Star", "XRB", "CV"]


def _reference(settings: Settings, dec: list[float], klass: list[str | None], *, ra: float = 359.9999, **keys: Any):
    err = keys.pop("err_arcsec", 0.5)
    columns = {"ra": [ra] * len(dec), "dec": dec, "class": klass, "class_native": "native", "err_arcsec": err}
    return load(settings, "reference", columns, **keys)


def _labels(settings: Settings, xray: list[Loaded], references: list[Loaded]) -> list[tuple[Any, ...]]:
    """(dec of the source, class, catalogue, object, status), in order."""
    merged = merge(settings, *xray)
    with stage(settings, "label", "tiny", {}, source_run_id=merged) as run:
        label_stage(run, merged, references, CLASSES)
    found = rows(
        settings,
        "SELECT round(s.dec::numeric, 2)::float AS dec, l.* FROM xcat.label AS l JOIN xcat.source AS s"
        " USING (source_id) WHERE l.run_id = %s AND s.run_id = %s ORDER BY s.dec, l.catalogue_id, l.object_id",
        [run.run_id, merged],
    )
    number = {r.catalogue_id: i for i, r in enumerate(references)}
    names = {r.catalogue_id: r.definition.name for r in references}
    assert all(f["origin"] == names[f["catalogue_id"]] for f in found)
    counted = {(c["class"], c["origin"], c["status"]): c["sources"] for c in run.summary["labels"]}
    assert sum(counted.values()) == len(found)
    return [(f["dec"], f["class"], number[f["catalogue_id"]], f["object_id"], f["status"]) for f in found]


def test_the_radius_follows_both_errors(module_settings: Settings) -> None:
    """Three combined sigmas and the tolerance; a hair inside and a hair outside."""
    err = [0.3, 2.0]
    xray = load(
        module_settings, "xray_sources", {"ra": [359.9999] * 4, "dec": [0, 1, 2, 3], "err_arcsec": [*err, *err]}
    )
    radius = [3 * math.hypot(e, 0.5) + 0.7 for e in err]
    dec = [i + f * r * ARCSEC for i, (f, r) in enumerate([(s, r) for s in (0.999, 1.001) for r in radius])]
    known = _reference(module_settings, dec, ["AGN"] * 4, label_tolerance_arcsec=0.7)
    assert _labels(module_settings, [xray], [known]) == [(0, "AGN", 0, 1, "used"), (1, "AGN", 0, 2, "used")]


def test_a_worse_object_reaches_farther_than_its_catalogues_others(module_settings: Settings) -> None:
    xray = load(module_settings, "xray_sources", {"ra": [359.9999] * 2, "dec": [0, 1], "err_arcsec": 0.1})
    known = _reference(module_settings, [5 * ARCSEC, 1 + 5 * ARCSEC], ["AGN"] * 2, err_arcsec=[5.0, 0.1])
    assert _labels(module_settings, [xray], [known]) == [(0, "AGN", 0, 1, "used")]


def test_conflicts_duplicates_and_classes_that_are_not_ours(module_settings: Settings) -> None:
    xray = load(module_settings, "xray_sources", {"ra": [359.9999] * 6, "dec": [0, 1, 2, 3, 4, 5]})
    first = _reference(module_settings, [0 + ARCSEC, 1, 2, 3, 5], ["AGN", "AGN", "AGN", None, "TDE"])
    second = _reference(module_settings, [0, 1, 2, 3], ["AGN", "CV", "TDE", "Star"], ra=0.0)
    third = _reference(module_settings, [1 + ARCSEC], ["AGN"])
    assert _labels(module_settings, [xray], [first, second, third]) == [
        (0, "AGN", 0, 1, "duplicate"), (0, "AGN", 1, 1, "used"),  # the nearest one
        (1, "AGN", 0, 2, "conflict"), (1, "CV", 1, 2, "conflict"), (1, "AGN", 2, 1, "conflict"),
        (2, "AGN", 0, 3, "used"), (2, "TDE", 1, 3, "unmapped"),
        (3, None, 0, 4, "unmapped"), (3, "Star", 1, 4, "used"),
        (5, "TDE", 0, 5, "unmapped"),
    ]  # fmt: skip


def test_an_object_labels_the_nearest_source_of_each_mission(module_settings: Settings) -> None:
    xmm = load(module_settings, "xray_sources", {"ra": [359.9999] * 2, "dec": [0.0, 3 * ARCSEC + 0.01]})
    swift = load(module_settings, "xray_sources", {"ra": [0.0, 0.0], "dec": [0.02, 0.02 + 2 * ARCSEC]})
    both = load(module_settings, "xray_sources", {"ra": [0.0], "dec": [0.01 + 2 * ARCSEC], "err_arcsec": 2.0})
    known = _reference(module_settings, [0.01 + 2.5 * ARCSEC, 0.02 + 1.4 * ARCSEC], ["AGN", "Star"], ra=0.0)
    found = _labels(module_settings, [xmm, swift, both], [known])
    assert found == [(0.01, "AGN", 0, 1, "used"), (0.01, "AGN", 0, 1, "used"), (0.02, "Star", 0, 2, "used")]
    empty = _reference(module_settings, [], [])
    assert _labels(module_settings, [xmm], [empty]) == []
