"""Some rounds of benchmarks/chaos.py, and what a crash leaves on the disk."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import psycopg
import pytest

from xcat.database import orphans, watch
from xcat.database.connection import ready
from xcat.database.retention import sweep
from xcat.service.health import checks

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import chaos

pytestmark = pytest.mark.slow
_N_ROUNDS, _FEWEST, _LONGEST_S = 20, 4, 30.0  # a round takes one to five seconds


def test_the_job_completes_whatever_dies(tmp_path):
    """As many rounds as fit: a busy machine plays fewer. The script plays 200."""
    said: list[str] = []
    with chaos.chaos(tmp_path, chaos.SMALL, 300, int(time.time()), size_mb=700) as played:
        played.play(_N_ROUNDS, said.append, _LONGEST_S)
    assert [round_ for round_ in played.rounds if round_.faults] == [], said
    assert len(played.rounds) >= _FEWEST, said


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
