"""Labels by position: the radius, conflicts, duplicates, and an object that two sources could claim."""

from __future__ import annotations

import math
from typing import Any

import pytest
from sqlalchemy import Boolean
from tiny import load, merge, rows, sources, write

from xcat.config import Settings
from xcat.database.loaded import Loaded
from xcat.database.runs import stage
from xcat.database.schema import RUN_TABLES
from xcat.errors import StageError
from xcat.jobs import stages
from xcat.jobs.classes import ClassRule
from xcat.jobs.stages import label_stage

ARCSEC = 1 / 3600


@pytest.fixture(autouse=True, params=[True, False], ids=["around objects", "around sources"])
def _side(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The labels are the same from whichever side the pairs are searched for."""
    monkeypatch.setattr(stages, "_has_fewer_objects", lambda conn, **places: request.param)


CLASSES = {name: ClassRule(prior=0.25) for name in ("AGN", "Star", "XRB", "CV")}


def _reference(settings: Settings, dec: list[float], klass: list[str | None], *, ra: float = 359.9999, **keys: Any):
    err = keys.pop("err_arcsec", 0.5)
    columns = {"ra": [ra] * len(dec), "dec": dec, "class": klass, "class_native": "native", "err_arcsec": err}
    return load(settings, "reference", columns, **keys)


def _labels(
    settings: Settings,
    xray: list[Loaded],
    references: list[Loaded],
    classes: dict[str, ClassRule] | None = None,
    galaxies: list[Loaded] | None = None,
    in_galaxy: list[float] | None = None,
) -> list[tuple[Any, ...]]:
    """(dec of the source, class, catalogue, object, status), in order; the sources at `in_galaxy` are in one."""
    merged = merge(settings, *xray)
    properties = None if in_galaxy is None else _properties(settings, merged, in_galaxy)
    with stage(settings, "label", "tiny", {}, source_run_id=merged) as run:
        label_stage(run, merged, references, classes or CLASSES, properties, galaxies)
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


def _properties(settings: Settings, merged: int, in_galaxy: list[float]) -> int:
    """A properties run that says which sources, by declination, are in a galaxy."""
    found = sources(settings, merged)
    required = {c.name: False for c in RUN_TABLES["property"].columns if isinstance(c.type, Boolean)}
    with stage(settings, "properties", "tiny", {}, source_run_id=merged) as run:
        pass
    values = {
        "source_id": [s["source_id"] for s in found],
        "sep_to_radius": [0.5 if round(s["dec"], 2) in in_galaxy else None for s in found],
        "n_detections": 1,
        **required,
    }
    write(settings, "property", run.run_id, values)
    return run.run_id


def _sky(settings: Settings, klass: list[str | None], native: list[str | None], **columns: Any) -> list[Loaded]:
    """Sources at dec 0, 1, 2 ..., each with a known object of these classes."""
    dec = [float(i) for i in range(len(klass))]
    xray = load(settings, "xray_sources", {"ra": [0.0] * len(dec), "dec": dec, **columns})
    known = {"ra": [0.0] * len(dec), "dec": dec, "class": klass, "class_native": native, "err_arcsec": 0.5}
    return [xray, load(settings, "reference", known)]


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


def test_native_classes_count_whatever_the_definition_makes_of_them(module_settings: Settings) -> None:
    classes = {
        "NS": ClassRule(prior=0.2, native=("NS",)),
        "LMXB": ClassRule(prior=0.2, of="XRB", native=("LM*", "XN")),
        "XRB": ClassRule(prior=0.2),
        "AGN": ClassRule(prior=0.4),
    }
    xray, known = _sky(
        module_settings,
        ["", "XRB", "XRB", "XRB", "CV", "AGN", "AGN", None],
        ["NS", "LMXB", "XN ", "HMXB", "LMXB", "NS?", None, "LM"],
    )
    assert [x[1:] for x in _labels(module_settings, [xray], [known], classes)] == [
        ("NS", 0, 1, "used"), ("LMXB", 0, 2, "used"), ("LMXB", 0, 3, "used"), ("XRB", 0, 4, "used"),
        ("CV", 0, 5, "unmapped"),  # the native class fits, the mapped one does not
        ("AGN", 0, 6, "used"), ("AGN", 0, 7, "used"), (None, 0, 8, "unmapped"),
    ]  # fmt: skip


def test_the_first_class_that_fits_takes_the_label(module_settings: Settings) -> None:
    special, general = ClassRule(prior=0.5, native=("HMXB",)), ClassRule(prior=0.5, of="XRB")
    for names in (("special", "general"), ("general", "special")):
        classes = {name: special if name == "special" else general for name in names}
        xray, known = _sky(module_settings, ["XRB", "XRB"], ["HMXB", "LMXB"])
        found = [label[1] for label in _labels(module_settings, [xray], [known], classes)]
        assert found == [names[0], "general"]


def test_classes_of_the_pipeline_conflict_not_those_of_the_catalogues(module_settings: Settings) -> None:
    """Two catalogues agree on Star, and contradict each other where the pipeline parts the stars."""
    at = {"ra": [0.0, 0.0], "dec": [0.0, 1.0]}
    xray = load(module_settings, "xray_sources", at)
    first = load(module_settings, "reference", {**at, "class": "Star", "class_native": ["YSO", "YSO"]})
    second = load(module_settings, "reference", {**at, "class": "Star", "class_native": ["LM", "HM"]})
    parted = {"YSO": ClassRule(prior=0.5, native=("YSO", "LM")), "HM": ClassRule(prior=0.5, native=("HM",))}
    assert [x[1] for x in _labels(module_settings, [xray], [first, second])] == ["Star"] * 4
    found = _labels(module_settings, [xray], [first, second], parted)
    assert [(x[1], x[-1]) for x in found] == [
        ("YSO", "used"),
        ("YSO", "duplicate"),
        ("YSO", "conflict"),
        ("HM", "conflict"),
    ]


def test_the_place_of_a_source_decides(module_settings: Settings) -> None:
    classes = {
        "lumpy": ClassRule(prior=0.1, of="XRB", where="extended"),
        "off": ClassRule(prior=0.2, of="XRB", where="off_nuclear"),
        "in": ClassRule(prior=0.2, of="XRB", where="in_galaxy"),
        "XRB": ClassRule(prior=0.5),
    }
    xray, known = _sky(
        module_settings,
        ["XRB"] * 8,
        ["x"] * 8,
        err_arcsec=[1.0, 1, 1, 1, 2, 2, 1, 1],
        extent_arcsec=[0.0, None, 0, 0, 0, 0, 5, 0],
    )
    # centres of galaxies 2.9, 3.1 arcsec (the nucleus) and, twice as uncertain, 5.9, 6.1 arcsec (3 sigma) from a source
    centres = [2 + 2.9 * ARCSEC, 3 + 3.1 * ARCSEC, 4 + 5.9 * ARCSEC, 5 + 6.1 * ARCSEC, 7.0]
    galaxy = {"ra": [0.0] * 5, "dec": centres, "d25_arcmin": [1.0, 1, 1, 1, None]}
    galaxies = [load(module_settings, "galaxy", galaxy), load(module_settings, "galaxy", {"ra": [], "dec": []})]
    found = _labels(module_settings, [xray], [known], classes, galaxies, in_galaxy=[1, 2, 3, 4, 5, 7])
    # the galaxy without a diameter is none, so the last source is in another one's field, away from its centre
    assert [x[1] for x in found] == ["XRB", "off", "in", "off", "in", "off", "lumpy", "off"]
    assert {x[-1] for x in found} == {"used"}
    wider = classes | {"off": ClassRule(prior=0.2, of="XRB", where="off_nuclear", nucleus_arcsec=3.2)}
    found = _labels(module_settings, [xray], [known], wider, galaxies, in_galaxy=[1, 2, 3, 4, 5, 7])
    assert [x[1] for x in found] == ["XRB", "off", "in", "in", "in", "off", "lumpy", "off"]


def test_a_place_in_a_galaxy_needs_galaxies(module_settings: Settings) -> None:
    classes = {"XRB": ClassRule(prior=0.5, where="in_galaxy"), "AGN": ClassRule(prior=0.5)}
    xray, known = _sky(module_settings, ["XRB"], ["x"])
    with pytest.raises(StageError, match=r"XRB: a class with 'where: in_galaxy' needs a catalogue of galaxies"):
        _labels(module_settings, [xray], [known], classes, in_galaxy=[])
