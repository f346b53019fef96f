"""The same data give the same answers, whatever the database went through before.

Numbers of sources, master sources, catalogues, files and runs are given at first sight and kept; nothing else may
depend on them. So everything that a pipeline made is compared bit for bit, by names: in a fresh database, after another
sky under the same catalogue names, beside other pipelines on the same files, and from files loaded in another order.
"""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pyarrow.parquet as pq
import pytest
from example_pipeline import EXAMPLE, without_kinds
from psycopg import sql
from published_state import answers, tables

from xcat.config import Settings
from xcat.database.connection import ready
from xcat.database.embedded import EmbeddedServer
from xcat.database.retention import drop_runs
from xcat.database.runs import get
from xcat.errors import ConfigError, StageError
from xcat.ingest.checks import Allowed
from xcat.ingest.load import ingest
from xcat.jobs.pipeline import Pipeline, Plan, read
from xcat.jobs.runner import Runner
from xcat.output.reading import classify_run
from xcat.simulate import simulate

pytestmark = pytest.mark.slow

N_SOURCES = 800
ANOTHER_SKY = Allowed(loss=1.0)
CHANGES: dict[str, Any] = {
    "folds": 3,
    "replicates": 2,
    "match": {"radius_arcsec": 10, "min_p_any": 0.5, "field_offsets": True},
}

# Names in place of numbers: a source by its mission's own id, an object of a catalogue by its id there, a master source
# by its members. What is left of a row when its numbers are taken away goes to JSON, which keeps every bit of a float.
_NAMES = """
WITH source_name AS (
    SELECT source_id, catalogue || '/' || mission_source AS source FROM xcat.source_identity
), master_name AS (
    SELECT master_id, string_agg(source, ' + ' ORDER BY source COLLATE "C") AS master
    FROM xcat.master_source JOIN source_name USING (source_id) WHERE run_id = %(link)s GROUP BY master_id
), object_name AS (
    SELECT catalogue_id, object_id, k.name || '/' || native_id AS object
    FROM xcat.counterpart JOIN xcat.catalogue AS k USING (catalogue_id)
), reference_name AS (
    SELECT catalogue_id, object_id, k.name || '/' || native_id AS object
    FROM xcat.reference_object JOIN xcat.catalogue AS k USING (catalogue_id)
), rest AS (SELECT ARRAY['run_id', 'source_id', 'other_source_id', 'catalogue_id', 'object_id', 'master_id',
                         'catalogues', 'objects'] AS numbers)
"""
_QUERIES = {
    "source": "SELECT source, (to_jsonb(t) - numbers)::text FROM xcat.source AS t"
    " JOIN source_name USING (source_id), rest WHERE run_id = %(merge)s",
    "source_detection": "SELECT source, d.native_id FROM xcat.source_detection AS t JOIN source_name USING (source_id)"
    " JOIN xcat.detection AS d USING (catalogue_id, object_id) WHERE run_id = %(merge)s",
    "source_link": 'SELECT least(a.source COLLATE "C", b.source), greatest(a.source COLLATE "C", b.source),'
    " (to_jsonb(t) - numbers)::text FROM xcat.source_link AS t"
    " JOIN source_name AS a ON a.source_id = t.source_id"
    " JOIN source_name AS b ON b.source_id = t.other_source_id, rest WHERE run_id = %(link)s",
    "master_source": "SELECT source, master, (to_jsonb(t) - numbers)::text FROM xcat.master_source AS t"
    " JOIN source_name USING (source_id) JOIN master_name USING (master_id), rest"
    " WHERE run_id = %(link)s",
    "master": "SELECT master, (to_jsonb(t) - numbers)::text FROM xcat.master AS t"
    " JOIN master_name USING (master_id), rest WHERE run_id = %(link)s",
    "match": "SELECT source, k.name, (to_jsonb(t) - numbers)::text FROM xcat.match AS t"
    " JOIN source_name USING (source_id) JOIN xcat.catalogue AS k USING (catalogue_id), rest"
    " WHERE run_id = %(match)s",
    "match_candidate": "SELECT source, object, (to_jsonb(t) - numbers)::text FROM xcat.match_candidate AS t"
    " JOIN source_name USING (source_id) JOIN object_name USING (catalogue_id, object_id), rest"
    " WHERE run_id = %(match)s",
    "hypothesis": "SELECT source, (to_jsonb(t) - numbers)::text, m.objects FROM xcat.hypothesis AS t"
    " JOIN source_name USING (source_id), rest, LATERAL"
    " (SELECT string_agg(object, ' + ' ORDER BY i) AS objects"
    " FROM unnest(catalogues, objects) WITH ORDINALITY AS u (catalogue_id, object_id, i)"
    " JOIN object_name USING (catalogue_id, object_id)) AS m WHERE run_id = %(match)s",
    "calibration": "SELECT coalesce(k.name, 'all'), (to_jsonb(t) - numbers)::text FROM xcat.calibration AS t"
    " LEFT JOIN xcat.catalogue AS k USING (catalogue_id), rest WHERE run_id = %(match)s",
    "magnitude_prior": "SELECT k.name, (to_jsonb(t) - numbers)::text FROM xcat.magnitude_prior AS t"
    " JOIN xcat.catalogue AS k USING (catalogue_id), rest WHERE run_id = %(match)s",
    "match_stratum": "SELECT k.name, (to_jsonb(t) - numbers)::text FROM xcat.match_stratum AS t"
    " JOIN xcat.catalogue AS k USING (catalogue_id), rest WHERE run_id = %(match)s",
    "match_cut_out": "SELECT k.name, (to_jsonb(t) - numbers)::text FROM xcat.match_cut_out AS t"
    " JOIN xcat.catalogue AS k USING (catalogue_id), rest WHERE run_id = %(match)s",
    "field_offset": "SELECT k.name, (to_jsonb(t) - numbers)::text FROM xcat.field_offset AS t"
    " JOIN xcat.catalogue AS k USING (catalogue_id), rest WHERE run_id = %(match)s",
    "property": "SELECT source, (to_jsonb(t) - numbers)::text FROM xcat.property AS t"
    " JOIN source_name USING (source_id), rest WHERE run_id = %(properties)s",
    "hypothesis_property": "SELECT source, (to_jsonb(t) - numbers)::text FROM xcat.hypothesis_property AS t"
    " JOIN source_name USING (source_id), rest WHERE run_id = %(properties)s",
    "label": "SELECT source, object, (to_jsonb(t) - numbers)::text FROM xcat.label AS t"
    " JOIN source_name USING (source_id) JOIN reference_name USING (catalogue_id, object_id), rest"
    " WHERE run_id = %(label)s",
    "model": "SELECT (to_jsonb(t) - numbers)::text FROM xcat.model AS t, rest WHERE run_id = %(fit)s",
    "model_class": "SELECT (to_jsonb(t) - numbers)::text FROM xcat.model_class AS t, rest WHERE run_id = %(fit)s",
    "model_term": "SELECT (to_jsonb(t) - numbers)::text FROM xcat.model_term AS t, rest WHERE run_id = %(fit)s",
    "model_category": "SELECT (to_jsonb(t) - numbers)::text FROM xcat.model_category AS t, rest WHERE run_id = %(fit)s",
    "likelihood_table": "SELECT (to_jsonb(t) - numbers)::text FROM xcat.likelihood_table AS t, rest"
    " WHERE run_id = %(fit)s",
    "out_of_fold": "SELECT source, (to_jsonb(t) - numbers)::text FROM xcat.out_of_fold AS t"
    " JOIN source_name USING (source_id), rest WHERE run_id = %(fit)s",
    "summary of the fit": "SELECT (summary - '{seconds}'::text[])::text FROM xcat.run WHERE run_id = %(fit)s",
    "classification": "SELECT source, (to_jsonb(t) - numbers)::text FROM xcat.classification AS t"
    " JOIN source_name USING (source_id), rest WHERE run_id = %(classify)s",
    "published": "SELECT source, (to_jsonb(t) - numbers)::text FROM pub.classified_runs AS t"
    " JOIN source_name USING (source_id), rest WHERE run_id = %(classify)s",
    "published counterparts": "SELECT source, (to_jsonb(t) - numbers)::text FROM pub.counterparts_runs AS t"
    " JOIN source_name USING (source_id), rest WHERE run_id = %(classify)s",
    "published hypotheses": "SELECT source, (to_jsonb(t) - ARRAY['run_id', 'source_id'])::text"
    " FROM pub.hypotheses_runs AS t JOIN source_name USING (source_id)"
    " WHERE run_id = %(classify)s",
}
Answers = dict[str, list[tuple[Any, ...]]]
Databases = Callable[[str], Settings]


def _answers(settings: Settings, runs: dict[str, int]) -> Answers:
    """Everything that the runs made, by names instead of numbers."""
    with ready(settings) as conn:
        return {
            name: sorted(conn.execute((_NAMES + query).encode(), runs).fetchall()) for name, query in _QUERIES.items()
        }


def _differences(one: Answers, other: Answers) -> dict[str, str]:
    """Tables that differ, with the number of rows that do and the first of them."""
    found = {}
    for name, rows in one.items():
        mine, theirs = set(rows) - set(other[name]), set(other[name]) - set(rows)
        if mine or theirs:
            found[name] = f"{len(mine)} of {len(rows)}: {min(mine, default=())} / {min(theirs, default=())}"
    return found


def _pipeline(**changes: Any) -> Pipeline:
    return without_kinds(**CHANGES | changes)


def _run(settings: Settings, sky: Path, replace: bool = False, **changes: Any) -> dict[str, int]:
    return dict(Runner(settings, Plan(_pipeline(**changes), sky), replace, allowed=ANOTHER_SKY).run_as_pipeline())


def _sky(folder: Path, seed: int) -> Path:
    simulate(N_SOURCES, seed, folder)
    shutil.rmtree(folder / "truth")
    return folder


@contextmanager
def _database(server: EmbeddedServer, template: str, name: str) -> Iterator[Settings]:
    with psycopg.connect(f"host={server.socket_folder} user=xcat dbname=postgres", autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
        yield Settings(home=server.home, database_url=f"postgresql+psycopg://xcat@/{name}?host={server.socket_folder}")
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="module")
def databases(server: EmbeddedServer, template: str) -> Iterator[Databases]:
    """Makes fresh databases, which end with the module."""
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(_database(server, template, f"xcat_history_{name}"))


@pytest.fixture(scope="module")
def sky(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _sky(tmp_path_factory.mktemp("history") / "sky", 5)


@pytest.fixture(scope="module")
def fresh(databases: Databases, sky: Path) -> Answers:
    """What the sky gives in a fresh database."""
    settings = databases("fresh")
    return _answers(settings, _run(settings, sky))


def test_every_table_says_something(fresh: Answers) -> None:
    assert {name for name, rows in fresh.items() if not rows} == set()


def test_after_another_sky_in_its_place(
    databases: Databases, fresh: Answers, sky: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Nothing of the sky before is seen in the new answers; and what was published before stays byte for byte."""
    settings, other = databases("replaced"), _sky(tmp_path_factory.mktemp("other") / "sky", 6)
    quick: dict[str, Any] = {"weights": "equal", "priors": "given", "replicates": 0}
    done = _run(settings, other, **quick)
    number = done["classify"]
    with ready(settings, autocommit=True) as conn:
        before = (tables(conn, number), tables(conn, None), answers(conn, number))
        assert all(n > 0 for n, _ in before[0].values() if n is not None)
        plan = Plan(_pipeline(), sky)
        for name, definition in plan.definitions.items():
            ingest(settings, definition, plan.files[name], replace=True, allowed=ANOTHER_SKY)
            assert (tables(conn, number), tables(conn, None)) == before[:2], name
        kinds = conn.execute("SELECT DISTINCT kind FROM xcat.catalogue WHERE version = 2").fetchall()
        assert {kind for (kind,) in kinds} == {"xray_detections", "optical", "infrared", "galaxy", "reference"}
        assert answers(conn, number) == before[2]
        later = _run(settings, sky, replace=True)
        assert _differences(fresh, _answers(settings, later)) == {}
        assert later["classify"] != number
        assert tables(conn, number) == before[0], "under its number it is what it was"
        assert tables(conn, None) != before[1]
        assert answers(conn, number) == before[2]
        again = _run(settings, other, replace=True, **quick)
        made_anew = {stage for stage, run in again.items() if run != done[stage]}
        assert made_anew <= {"publish"}, "going back makes nothing anew"
        assert (tables(conn, None), answers(conn, number)) == before[1:]


def test_beside_other_pipelines_on_the_same_files(databases: Databases, fresh: Answers, sky: Path) -> None:
    """Missions in another order, some of the catalogues only, and other options have come first."""
    settings, example = databases("beside"), read(EXAMPLE).model_dump()
    changes: dict[str, Any] = {group: example[group][::-1] for group in ("xray", "galaxies", "references")}
    changes["counterparts"] = example["counterparts"][1:]
    changes["match"] = {"radius_arcsec": 6, "min_p_any": 0.3}
    _run(settings, sky, name="backwards", weights="equal", priors="given", **changes)
    assert _differences(fresh, _answers(settings, _run(settings, sky))) == {}


def _halves(path: Path, folder: Path) -> list[Path]:
    """The rows of a CSV file in two files."""
    head, *rows = (gzip.decompress if path.suffix == ".gz" else bytes)(path.read_bytes()).splitlines(keepends=True)
    halves = [folder / f"{path.name.partition('.')[0]}_{i}.csv" for i in (1, 2)]
    for half, part in zip(halves, (rows[: len(rows) // 2], rows[len(rows) // 2 :]), strict=True):
        half.write_bytes(b"".join([head, *part]))
    return halves


def test_files_in_two_parts_of_which_the_second_came_first(databases: Databases, fresh: Answers, sky: Path) -> None:
    settings, example = databases("parts"), read(EXAMPLE).model_dump()
    groups = {group: list(example[group]) for group in ("xray", "references")}
    for group, name in (("xray", "sim_swift"), ("references", "sim_ref_agn")):
        (number,) = (i for i, item in enumerate(groups[group]) if item["catalogue"] == name)
        halves = _halves(sky / groups[group][number]["files"][0], sky)
        groups[group][number] = groups[group][number] | {"files": tuple(half.name for half in halves)}
        definition = Plan(_pipeline(), sky).definitions[name]
        ingest(settings, definition, halves[1:])
    assert _differences(fresh, _answers(settings, _run(settings, sky, **groups))) == {}


# --- frozen learning ----------------------------------------------------------------------------------------

_LEARNED = ("model", "model_class", "model_term", "model_category", "likelihood_table", "summary of the fit")
_CHANGED = {  # what changes by night, by its catalogue: detections, labels, a release of a counterpart catalogue
    "xray": ("sim_swift", "swift_detections.csv.gz"),
    "references": ("sim_ref_xrb", "ref_xrb.csv"),
    "counterparts": ("sim_allwise", "allwise.parquet"),
}


def _fewer(path: Path, share: float) -> str:
    """Write a table without its last rows beside it; the name of the file."""
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        fewer = path.with_name(f"fewer_{path.name}")
        pq.write_table(table.slice(0, int(share * len(table))), fewer)
        return fewer.name
    head, *rows = (gzip.decompress if path.suffix == ".gz" else bytes)(path.read_bytes()).splitlines(keepends=True)
    fewer = path.with_name(f"fewer_{path.name.partition('.')[0]}.csv")
    fewer.write_bytes(b"".join([head, *rows[: int(share * len(rows))]]))
    return fewer.name


@pytest.fixture(scope="module")
def fewer(sky: Path) -> dict[str, str]:
    """The smaller files, by group."""
    return {group: _fewer(sky / file, 0.8) for group, (_, file) in _CHANGED.items()}


def _night(settings: Settings, sky: Path, state: int, files: dict[str, str]) -> dict[str, int]:
    """Run with some other files, and what a published state has learned."""
    example, groups = read(EXAMPLE).model_dump(), {}
    for group, file in files.items():
        name = _CHANGED[group][0]
        groups[group] = [c | {"files": (file,)} if c["catalogue"] == name else c for c in example[group]]
    match = CHANGES["match"] | {"learned": state}
    return _run(settings, sky, replace=True, model=state, match=match, **groups)


def test_frozen_learning_gives_the_same_of_the_same_data(server: EmbeddedServer, fresh: Answers, sky: Path) -> None:
    with _database(server, "xcat_history_fresh", "xcat_history_frozen") as settings:
        state = _published(settings)
        runs = _night(settings, sky, state, {})
        with ready(settings) as conn:
            before, night = get(conn, state), get(conn, runs["classify"])
        assert runs["fit"] == before["model_run_id"] and night["match_run_id"] != before["match_run_id"]
        assert night["summary"]["labelled_sources"]["changed"] == 0
        assert _differences(fresh, _answers(settings, runs)) == {}
        with pytest.raises(StageError, match=f"run {state} is read by .*classify run {runs['classify']}"):
            drop_runs(settings, [state, runs["publish"]])
        # a night that takes its learning from another night takes it from where that was learned
        assert _night(settings, sky, runs["classify"], {})["classify"] == runs["classify"]
        example, plain = read(EXAMPLE).model_dump(), CHANGES["match"]
        for wrong, words in {
            "radius_arcsec was 10.0, not 8.0": {"match": plain | {"learned": "published", "radius_arcsec": 8}},
            "it was for sim_xmm, sim_swift, sim_chandra, not": {"xray": example["xray"][:2]},
            "it was with sim_gaia, sim_twomass, sim_allwise, not": {"counterparts": example["counterparts"][:2]},
        }.items():
            with pytest.raises(StageError, match=wrong):
                _run(settings, sky, **{"match": plain | {"learned": state}} | words)
        for wrong, words in {
            "run 1 is not a finished classify run": {"model": 1},
            "'yesterday' is no run number, no release, and neither published": {"model": "yesterday"},
        }.items():
            with pytest.raises(ConfigError, match=f"model: {wrong}"):
                _run(settings, sky, **words)
        other_order = dict.fromkeys(("XRB", "CV", "AGN", "Star"), 0.25)
        with pytest.raises(StageError, match="has the classes AGN, Star, XRB, CV, the pipeline has XRB, CV"):
            _run(settings, sky, model=state, classes=other_order)


def test_frozen_learning_does_not_depend_on_the_order_of_what_came(
    server: EmbeddedServer, fresh: Answers, sky: Path, fewer: dict[str, str]
) -> None:
    """Detections, labels and a release of a catalogue come and go by night, or change all at once."""
    with _database(server, "xcat_history_fresh", "xcat_history_frozen") as settings:
        at_once = _answers(settings, _night(settings, sky, _published(settings), fewer))
    groups, rng = list(fewer), np.random.default_rng(7)
    nights = [rng.permutation(groups)[:2].tolist(), groups]
    with _database(server, "xcat_history_fresh", "xcat_history_frozen") as settings:
        state = _published(settings)
        for changed in nights:
            runs = _night(settings, sky, state, {group: fewer[group] for group in changed})
        by_night = _answers(settings, runs)
        with ready(settings) as conn:
            labelled = get(conn, runs["classify"])["summary"]["labelled_sources"]
    assert _differences(at_once, by_night) == {}, nights
    assert {name: at_once[name] == fresh[name] for name in _LEARNED} == dict.fromkeys(_LEARNED, True)
    assert 0 < len(by_night["published"]) < len(fresh["published"])
    # the release changes the limits of many sources
    assert min(labelled["unchanged"], labelled["changed"], labelled["gone"]) > 0


def _published(settings: Settings) -> int:
    """The classify run that is published."""
    with ready(settings) as conn:
        return int(classify_run(conn, None)["run_id"])
