"""Some rounds of benchmarks/chaos.py, and what a crash leaves on the disk."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import psycopg
import pytest
import service_sky

from xcat.config import Settings
from xcat.database import orphans, watch
from xcat.database.connection import ready
from xcat.errors import PassingError
from xcat.jobs.pipeline import Plan, read
from xcat.jobs.runner import Listener, Runner
from xcat.service.health import checks

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import chaos
from chaos_victims import small_disk

pytestmark = pytest.mark.slow
_N_ROUNDS = 20
_SEED = 15  # of who dies, and when: what happens then depends on the machine


def test_the_job_completes_whatever_dies(tmp_path):
    """The script has played 200 (docs/results/chaos.md)."""
    said: list[str] = []
    with chaos.chaos(tmp_path, chaos.SMALL, 300, _SEED, size_mb=700) as played:
        played.play(_N_ROUNDS, said.append)
        found = {check.name: check for check in checks(played.settings, None, None)}
        assert found["files"].is_well and found["last runs"].is_well
    assert [round_ for round_ in played.rounds if round_.faults] == [], said
    assert len(played.rounds) == _N_ROUNDS and {round_.stage for round_ in played.rounds} != {"no stage"}, said


@pytest.fixture
def disk(server, settings) -> Iterator[chaos.Disk]:
    """A small disk on which the tables of the test's database are; the server itself is not."""
    with small_disk(64) as disk:
        if disk is None:
            pytest.skip("only root can mount a small disk to be filled")
        shutil.chown(disk.folder, server._account().pw_uid, server._account().pw_gid)
        disk.folder.chmod(0o700)
        database = str(settings.database_url).partition("@/")[2].partition("?")[0]
        with psycopg.connect(f"host={server.socket_folder} user=xcat dbname=postgres", autocommit=True) as admin:
            admin.execute(f"CREATE TABLESPACE small_disk LOCATION '{disk.folder}'")
            admin.execute("GRANT CREATE ON TABLESPACE small_disk TO xcat_operator")
            admin.execute(f"ALTER DATABASE {database} SET default_tablespace = small_disk")
            yield disk
            disk.free()
            admin.execute(f"DROP DATABASE {database} WITH (FORCE)")
            admin.execute(f"CREATE DATABASE {database}")  # which the fixture of the settings drops
            admin.execute("CHECKPOINT")
            admin.execute("DROP TABLESPACE small_disk")


def test_a_disk_that_fills_in_the_middle_of_a_run(settings, disk, tmp_path):
    """The run says so and loses nothing; repeated with some space, it goes on where it stopped."""
    pipeline, sky = service_sky.make(tmp_path)

    class Filling(Listener):
        stages: ClassVar[dict[str, bool]] = {}

        def finished(self, kind: str, run_id: int, summary: dict[str, Any] | None) -> None:
            self.stages[kind] = summary is None
            if kind == "merge" and not self.stages[kind]:
                disk.fill()

    def run() -> dict[str, int]:
        return Runner(settings, Plan(read(pipeline), sky), listener=Filling()).run_as_pipeline()

    with pytest.raises(PassingError, match=r"link: the disk of the server is full .*nothing was changed\. Free some"):
        run()
    with ready(settings) as conn:
        assert dict(conn.execute("SELECT kind, status FROM xcat.run WHERE kind <> 'ingest'").fetchall()) == {
            "pipeline": "failed",
            "merge": "done",
            "link": "failed",
        }
        n_sources = conn.execute("SELECT count(*) FROM xcat.source").fetchone()
    disk.free()
    made = run()
    assert Filling.stages == {"merge": True, "link": False, "match": False, "properties": False}
    with ready(settings) as conn:
        assert conn.execute(
            "SELECT count(*) FROM xcat.property WHERE run_id = %s", [made["properties"]]
        ).fetchone() == (n_sources)
        assert conn.execute("SELECT DISTINCT status FROM xcat.run").fetchall() == [("done",)]


def test_what_a_crash_leaves_on_the_disk_is_found_and_removed(server, settings):
    with psycopg.connect(f"host={server.socket_folder} user=xcat dbname=postgres", autocommit=True) as admin:
        admin.execute("CHECKPOINT")
    work = ready(settings)
    work.execute("CREATE TABLE xcat.half AS SELECT generate_series(1, 50000) AS x")
    ((name,),) = work.execute("SELECT pg_relation_filenode('xcat.half')")

    def found() -> list[str]:
        with watch.reconnect(settings) as conn:
            conn.execute("RESET ROLE")
            time.sleep(2.1)  # a file counts when the checkpoint is of a later second
            conn.execute("CHECKPOINT")
            return [orphan.path.name for orphan in orphans.find(conn, server.data)]

    assert found() == [], "the transaction is at work"
    os.kill(work.info.backend_pid, signal.SIGKILL)
    work.close()
    assert found() == [str(name)]
    with watch.reconnect(settings) as conn:
        assert orphans.of_embedded(settings, conn) == [], "nothing is known of a server of the user's own"
        (orphan,) = orphans.remove(Settings(home=server.home), conn)
        assert orphan.n_bytes > 1_000_000 and not orphan.path.exists()
    assert found() == []
