"""Releases: frozen, counted, never dropped; written to files, whole or not at all; damage is seen."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import small_sky
import yaml
from astropy.table import Table
from in_process import commands
from small_nights import night

from xcat.config import Settings
from xcat.database import retention
from xcat.database.connection import Connection, ready
from xcat.errors import InputError, StageError, XcatError
from xcat.jobs import release_files, releases
from xcat.jobs.publishing import publish
from xcat.output import stored

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(module_settings: Settings) -> dict[str, int]:
    return small_sky.make(module_settings, n=300, n_labelled=200)


@pytest.fixture(scope="module")
def released(module_settings: Settings, made: dict[str, int]) -> dict[str, Any]:
    with ready(module_settings) as conn:
        return releases.create(conn, "2026-11", note="For the tests", authors=["A. One", "B. Two"])


@pytest.fixture(scope="module")
def written(module_settings: Settings, released: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("releases") / "2026-11"
    with ready(module_settings) as conn:
        release_files.export(conn, "2026-11", folder)
    return folder


@pytest.fixture
def conn(module_settings: Settings, released: dict[str, Any]) -> Iterator[Connection]:
    """Whatever a test does to the tables is undone."""
    with ready(module_settings) as connection, connection.transaction(force_rollback=True):
        yield connection


@pytest.fixture
def cli(module_settings: Settings, released: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    return commands(module_settings, monkeypatch)


def test_the_record_says_what_the_release_is(released, made):
    record = released["record"]
    assert (released["run_id"], record["run_id"], record["note"]) == (
        made["classify"],
        made["classify"],
        "For the tests",
    )
    assert record["tables"].keys() == releases.TABLES.keys()
    assert record["tables"]["classified"]["rows"] == 300 and len(record["tables"]["classified"]["checksum"]) == 64
    assert (
        record["learned"]["likelihood_table"]["rows"] > 20 and "checksum" not in record["tables"]["likelihood_density"]
    )
    assert {stage["kind"] for stage in record["stages"]} >= {"merge", "match", "fit", "classify"}
    assert record["software"].keys() >= {"xcat", "q3c", "postgresql"}
    gaia = next(each for each in record["inputs"] if each["catalogue"] == "gaia")
    assert gaia["files"][0]["file"] == "gaia.fits" and len(gaia["files"][0]["sha256"]) == 64


def test_the_order_of_the_rows_and_new_columns_do_not_matter(conn, made):
    table = f"pub.classified_r{made['classify']}"
    conn.execute(f"CREATE TEMP TABLE shuffled AS SELECT * FROM {table} ORDER BY md5(source_id::text)")
    conn.execute(f"DELETE FROM {table}")
    conn.execute(f"INSERT INTO {table} SELECT * FROM shuffled")
    conn.execute("ALTER TABLE pub.classified_runs ADD COLUMN p_nova real DEFAULT 0.5")
    assert releases.verify(conn, "2026-11") == []


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("UPDATE pub.classified_r{} SET p_xrb = p_xrb + 1e-6 WHERE source_id = 7", "classified: the content is not"),
        ("UPDATE pub.classified_r{} SET hr1 = NULL WHERE source_id = 5", "classified: the content is not"),
        ("DELETE FROM pub.counterparts_r{} WHERE source_id = 8", r"counterparts: \d+ rows then, \d+ now"),
        ("UPDATE pub.source_evidence_r{} SET evidence[3] = 0 WHERE source_id = 9", "source_evidence: the content"),
        ("DELETE FROM xcat.magnitude_prior WHERE bin_low < 18", r"magnitude_prior: \d+ rows then"),
        ("ALTER TABLE pub.classified_runs DROP COLUMN gamma CASCADE", "classified: the columns gamma are gone"),
    ],
)
def test_damage_is_seen(conn, made, damage, said):
    conn.execute(damage.format(made["classify"]))
    (difference,) = releases.verify(conn, "2026-11")
    assert re.match(said, difference)


def test_a_release_is_never_dropped(module_settings, made, released):
    with pytest.raises(StageError, match=f"run {made['classify']} is the release 2026-11"):
        retention.drop_runs(module_settings, [made["classify"]])
    with ready(module_settings) as conn:
        for label in ("2026-11", "12", "published", "a b", "", "x" * 70):
            with pytest.raises(XcatError, match="already" if label == "2026-11" else "cannot be the label"):
                releases.create(conn, label)


def test_files_are_the_tables(conn, made, written):
    names = {path.name for path in written.iterdir()}
    endings = {f"{name}{ending}" for name in releases.TABLES for ending in (".parquet", ".vot")}
    assert names == endings | {"README.md", "CITATION.cff", "release.json", "SHA256SUMS"}
    rows = conn.execute(
        f"SELECT source_id, name, ra, p_xrb, hr1, n_detections, has_optical, known_class FROM pub.classified_r"
        f"{made['classify']} ORDER BY source_id"
    ).fetchall()
    columns = ["source_id", "name", "ra", "p_xrb", "hr1", "n_detections", "has_optical", "known_class"]
    parquet = pq.read_table(written / "classified.parquet")
    found = parquet.select(columns).to_pylist()
    for row, values in zip(found, rows, strict=True):
        for name, value in zip(columns, values, strict=True):
            expected = np.float32(value) if name in ("p_xrb", "hr1") and value is not None else value
            assert row[name] == expected, (name, value)
    assert {name: parquet.schema.field("ra").metadata[name] for name in (b"unit", b"ucd")} == {
        b"unit": b"deg", b"ucd": b"pos.eq.ra;meta.main",
    }  # fmt: skip
    assert "p_nova" not in parquet.column_names and "run_id" not in parquet.column_names
    votable = Table.read(written / "classified.vot")
    assert list(votable["source_id"]) == [row[0] for row in rows]
    assert str(votable["flux_cgs"].unit) == "erg.s**-1.cm**-2"
    assert votable["hr1"].mask.sum() == sum(row[4] is None for row in rows) > 0
    assert "2026-11" in (written / "classified.vot").read_text()
    evidence = pq.read_table(written / "source_evidence.parquet")["evidence"].to_pylist()
    query = f"SELECT evidence FROM pub.source_evidence_r{made['classify']} ORDER BY source_id"
    assert evidence == [[np.float32(x) for x in row[0]] for row in conn.execute(query)]
    hypotheses = pq.read_table(written / "hypotheses.parquet").to_pylist()
    assert any(json.loads(row["catalogues"]) == ["gaia", "allwise"] for row in hypotheses)


def test_the_folder_can_be_read_and_checked_without_xcat(written):
    done = subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=written, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")
    citation = yaml.safe_load((written / "CITATION.cff").read_text())
    assert (citation["version"], citation["type"], citation["abstract"]) == ("2026-11", "dataset", "For the tests")
    assert citation["authors"] == [{"name": "A. One"}, {"name": "B. Two"}]
    readme = (written / "README.md").read_text()
    assert "| `classified` | 300 |" in readme and "A. One; B. Two" in readme and "Gaia DR3" in readme
    assert max(map(len, (written / "SHA256SUMS").read_text().splitlines())) < 120


def test_written_again_and_in_pieces_the_tables_are_the_same(conn, written, tmp_path, monkeypatch):
    release = releases.show(conn, "2026-11")
    for name in ("classified", "model_class"):
        release_files.write_table(conn, release, name, tmp_path, [".parquet", ".vot"])
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (written / path.name).read_bytes(), path.name
    monkeypatch.setattr(stored, "_BLOCK_BYTES", 1 << 15)
    (tmp_path / "classified.parquet").unlink()
    release_files.write_table(conn, release, "classified", tmp_path, [".parquet"])
    assert pq.ParquetFile(tmp_path / "classified.parquet").num_row_groups > 3
    assert pq.read_table(tmp_path / "classified.parquet").equals(pq.read_table(written / "classified.parquet"))


def test_a_reading_that_is_left_stands_in_the_way_of_nothing(conn, tmp_path, monkeypatch):
    """Of a table that is longer than what waits in the connection."""
    monkeypatch.setattr(stored, "_BLOCK_BYTES", 1 << 18)
    conn.execute(
        "CREATE TEMP TABLE long AS SELECT 1 AS run_id, n, repeat('x', 900) AS text FROM generate_series(1, 20000) n"
    )
    columns = stored.columns_of(conn, "pg_temp.long", ["n", "text"])
    table = stored.Stored(conn, "pg_temp.long", 1, columns, ["n"], 20_000)
    left = table.pieces()
    assert len(next(left)) < 20_000
    left.close()
    assert table.head().colnames == ["n", "text"] and conn.execute("SELECT 1").fetchone() == (1,)
    release_files.files.write(table, tmp_path / "long.parquet")
    assert pq.read_table(tmp_path / "long.parquet")["n"].to_pylist() == list(range(1, 20_001))


def test_files_that_were_changed_are_seen(conn, written, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(written, copy)
    release = releases.show(conn, "2026-11")
    assert release_files.verify(release, copy) == []
    content = bytearray((copy / "counterparts.vot").read_bytes())
    content[-1000] ^= 1
    (copy / "counterparts.vot").write_bytes(bytes(content))
    (copy / "model_term.vot").unlink()
    (copy / "other.txt").write_text("x")
    record = json.loads((copy / "release.json").read_text())
    record["tables"]["classified"]["rows"] = 299
    (copy / "release.json").write_text(json.dumps(record))
    assert release_files.verify(release, copy) == [
        "classified: the table is not that of the release in the database",
        "model_term.vot: the file is gone",
        "other.txt: the file is not of the release",
        "counterparts.vot: the content is not what was written",
        "release.json: the content is not what was written",
        "classified.parquet: 300 rows, not 299",
    ]
    with pytest.raises(InputError, match="is no folder of xcat release export"):
        release_files.verify(release, tmp_path)
    with pytest.raises(InputError, match="holds the release 2026-11, not other"):
        release_files.verify(release | {"label": "other"}, copy)


def test_a_folder_is_whole_or_not_there(conn, written, tmp_path, monkeypatch):
    with pytest.raises(XcatError, match="exists already"):
        release_files.export(conn, "2026-11", written)
    real = release_files.files.write

    def full(table: Any, path: Path) -> None:
        if path.name.startswith("hypotheses"):
            raise OSError(28, "No space left on device")
        real(table, path)

    monkeypatch.setattr(release_files.files, "write", full)
    with pytest.raises(XcatError, match=r"broken: cannot be written.*No space left"):
        release_files.export(conn, "2026-11", tmp_path / "broken")
    assert list(tmp_path.iterdir()) == []


def test_the_commands(module_settings, made, cli, written, tmp_path):
    assert "2026-11  " in cli("release") and "For the tests" in cli("release", "list")
    shown = cli("release", "show", "2026-11")
    assert "authors   A. One; B. Two" in shown and "classified" in shown
    assert cli("release", "verify", "2026-11") == "the release 2026-11 is as it was\n"
    assert "is as it was" in cli("release", "verify", "2026-11", written)
    other = night(module_settings, made["classify"], "UPDATE {classified} SET class = 'CV' WHERE source_id = 7")
    assert cli("release", "create", "other-1", "--run", other).startswith(f"release other-1: run {other}, 10 tables")
    assert "0.33%" in cli("diff", "2026-11", "other-1")
    assert json.loads(cli("diff", "2026-11", "other-1", "--json"))["n_changed"] == 1
    # a release is published like a run, and gone back to
    cli("publish", "other-1")
    with ready(module_settings) as conn:
        assert conn.execute("SELECT pub.published_run()").fetchone() == (other,)
    cli("rollback", "2026-11")
    # it is given up by an order only, with a reason; the label stays taken
    cli("release", "remove", "other-1", "--why", "a test")
    assert "given up on" in cli("release", "list")
    for call in (("verify", "other-1"), ("remove", "other-1", "--why", "x"), ("export", "other-1", tmp_path / "x")):
        with pytest.raises(XcatError, match=r"was given up on .*: a test"):
            cli("release", *call)
    with pytest.raises(XcatError, match="already"):
        cli("release", "create", "other-1")
    with pytest.raises(XcatError, match="was given up on"):
        cli("diff", "other-1", "published")
    with pytest.raises(XcatError, match="no run number, no release"):
        cli("diff", "nothing", "published")
    assert other in retention.drop_runs(module_settings, [other]).run_ids
    with ready(module_settings) as conn:
        assert conn.execute("SELECT label FROM pub.releases ORDER BY 1").fetchall() == [("2026-11",), ("other-1",)]


def test_damage_is_an_error_of_the_command(module_settings, made, cli):
    with ready(module_settings) as conn:
        conn.execute(f"UPDATE pub.ulx_candidates_r{made['classify']} SET ra = ra")
        conn.execute(f"DELETE FROM pub.hypotheses_r{made['classify']} WHERE source_id = 1")
    with pytest.raises(XcatError, match=r"the release 2026-11 is not as it was: hypotheses: .* rows then"):
        cli("release", "verify", "2026-11")
    publish(module_settings, made["classify"])


def test_prune_keeps_a_release(module_settings, made, released):
    """However long ago its run was published, and whatever came after."""
    publish(module_settings, made["classify"])
    with ready(module_settings) as conn:
        damaged = releases.verify(conn, "2026-11")  # by the test before
        conn.execute("DELETE FROM xcat.run WHERE kind = 'pipeline'")
    for _ in range(2):
        publish(module_settings, night(module_settings, made["classify"]))
    dropped = retention.prune(module_settings, 1).run_ids
    assert made["earlier_classify"] in dropped and made["classify"] not in dropped
    with ready(module_settings) as conn:
        assert releases.verify(conn, "2026-11") == damaged
        conn.execute("UPDATE xcat.release SET run_id = NULL, removed_at = now()")
    assert made["classify"] in retention.prune(module_settings, 1).run_ids
