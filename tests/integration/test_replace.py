"""Every catalogue replaced: what was published, and what earlier runs and explanations say, stays byte for byte."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from xcat.config import Settings
from xcat.database import schema
from xcat.database.connection import Connection, ready
from xcat.ingest.checks import Allowed
from xcat.ingest.load import ingest
from xcat.jobs.pipeline import Pipeline, Plan, read
from xcat.jobs.runner import Runner
from xcat.report.explain import gather as why
from xcat.report.run import summary
from xcat.simulate import simulate

pytestmark = pytest.mark.slow

ANOTHER_SKY = Allowed(loss=1.0)
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "simulated.yaml"


@pytest.fixture(scope="module")
def skies(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("skies")
    for name, seed in (("a", 5), ("b", 6)):
        simulate(1200, seed, folder / name)
    return folder / "a", folder / "b"


def _runner(settings: Settings, sky: Path, replace: bool = False) -> Runner:
    pipeline = Pipeline.model_validate(
        read(EXAMPLE).model_dump() | {"folds": 3, "weights": "equal", "replicates": 0, "priors": "given"}
    )
    return Runner(settings, Plan(pipeline, sky), replace=replace, allowed=ANOTHER_SKY)


def _tables(conn: Connection, run_id: int | None) -> dict[str, tuple[Any, ...]]:
    """Rows and checksum of every published table: of a run, or of what the views show now."""
    found = {}
    for name in schema.PUB_TABLES:
        place = name if run_id is not None else None
        relation = f"pub.{place.removesuffix('_runs')}_r{run_id}" if place else f"pub.{name}"
        where = "" if run_id is not None else " WHERE run_id = pub.published_run()"
        row = conn.execute(
            f"SELECT count(*), md5(string_agg(t::text, chr(10) ORDER BY t::text)) FROM {relation} AS t{where}"
        ).fetchone()
        assert row is not None
        found[name] = row
    return found


def _answers(conn: Connection, run_id: int) -> str:
    """What people are told of a run: explanations of some sources, the report, and its candidates."""
    ids = [row[0] for row in conn.execute(f"SELECT source_id FROM pub.classified_r{run_id} ORDER BY 1 LIMIT 400")]
    told = [why.to_json(why.explain(conn, source, run_id)) for source in ids[::40]]
    texts = [why.text(why.explain(conn, source, run_id)) for source in ids[::150]]
    report = {**summary.as_json(summary.report(conn, run_id)), "published": None}  # which may change, of course
    return json.dumps([told, texts, report], default=str, sort_keys=True)


def test_replacing_every_catalogue_changes_nothing_that_was_published(settings, skies):
    first, second = skies
    done = _runner(settings, first).run()
    number = done["classify"]
    with ready(settings, autocommit=True) as conn:
        before = (_tables(conn, number), _tables(conn, None), _answers(conn, number))
        assert all(n > 0 for n, _ in before[0].values() if n is not None)
        replaced = _runner(settings, second, replace=True).plan
        for name, definition in replaced.definitions.items():
            ingest(settings, definition, replaced.files[name], replace=True, allowed=ANOTHER_SKY)
            assert (_tables(conn, number), _tables(conn, None)) == before[:2], name
        kinds = conn.execute("SELECT DISTINCT kind FROM xcat.catalogue WHERE version = 2").fetchall()
        assert {kind for (kind,) in kinds} == {"xray_detections", "optical", "infrared", "galaxy", "reference"}
        assert _answers(conn, number) == before[2]
        later = _runner(settings, second, replace=True).run()
        assert later["classify"] != number
        assert _tables(conn, number) == before[0], "under its number it is what it was"
        assert _tables(conn, None) != before[1]
        assert _answers(conn, number) == before[2]
        again = _runner(settings, first, replace=True).run()
        assert {k: v for k, v in again.items() if k != "publish"} == {k: v for k, v in done.items() if k != "publish"}
        assert (_tables(conn, None), _answers(conn, number)) == before[1:], "going back makes nothing anew"
