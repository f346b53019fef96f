"""Programs that people use, on a served sky: the examples of the pages, and requests that nobody should send."""

from __future__ import annotations

import csv
import dataclasses
import gc
import json
import os
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import children
import httpx
import hypothesis
import pytest
import schemathesis
import tap_hostile
from astropy.table import Table
from children import ROOT, XCAT
from schemathesis.checks import not_a_server_error
from served import serving
from small_sky import make

from xcat.config import Settings
from xcat.database.connection import connect
from xcat.service.tap.examples import ready

ALL = list(hypothesis.HealthCheck)
PAGE = (ROOT / "docs" / "howto" / "serve.md").read_text(encoding="utf-8")
ADDRESS = "http://127.0.0.1:8080"
needs_stilts = pytest.mark.skipif(shutil.which("stilts") is None, reason="stilts is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::astropy.units.UnitsWarning")


@pytest.fixture(scope="module")
def url(module_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    make(module_settings)
    limits = {"tap_timeout_s": 5.0, "tap_job_timeout_s": 10.0, "tap_upload_mb": 2.0}
    home = tmp_path_factory.mktemp("home")
    with serving(dataclasses.replace(module_settings, home=home, tap_client_jobs=10_000, **limits)) as address:
        yield address


@pytest.fixture
def mine(tmp_path: Path, module_settings: Settings) -> Path:
    """A list of three positions, as a VOTable."""
    with connect(module_settings) as conn:
        places = conn.execute("SELECT ra, dec FROM pub.classified ORDER BY source_id LIMIT 3").fetchall()
    ra, dec = zip(*places, strict=True)
    Table({"ra": ra, "dec": dec}).write(tmp_path / "mine.vot", format="votable")
    return tmp_path / "mine.vot"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.S | re.M)


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # pyvo leaves connections open
def test_the_examples_in_python_are_true(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = blocks("python")
    names: dict[str, object] = {}
    exec(code.replace(ADDRESS, url), names)
    out = capsys.readouterr().out
    assert "my_name" in out and "sep_arcsec" in out
    assert len(names["result"]) == 5 and {"a", "b"} <= set(names["matched"]["my_name"])  # type: ignore[arg-type, index]
    names.clear()
    gc.collect()


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # it leaves connections open
def test_astroquery_runs_queries_and_jobs_with_uploads(url: str, mine: Path) -> None:
    from astroquery.utils.tap.core import TapPlus

    tap = TapPlus(url=f"{url}/tap", verbose=False)
    job = tap.launch_job("SELECT TOP 4 name, source_id FROM pub.classified")
    assert len(job.get_results()) == 4
    job = tap.launch_job_async(
        "SELECT COUNT(*) AS n FROM tap_upload.mine", upload_resource=str(mine), upload_table_name="mine"
    )
    assert job.get_results()["n"].tolist() == [3]
    del tap, job
    gc.collect()


@needs_stilts
def test_the_examples_in_the_shell_are_true(url: str, mine: Path) -> None:
    commands = next(block for block in blocks("bash") if "curl" in block).replace(ADDRESS, url)
    done = children.run(["bash", "-euc", commands], cwd=mine.parent)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("class,n\n") and 'value="ERROR"' not in done.stdout
    assert len((mine.parent / "three.csv").read_text().splitlines()) == 1 + 3


@needs_stilts
def test_stilts_cones_are_those_of_one_upload(url: str, mine: Path) -> None:
    out = mine.parent / "cones.csv"
    words = [f"serviceurl={url}/scs", f"in={mine}", "ra=ra", "dec=dec", "sr=0.001", "find=best", f"out={out}"]
    done = children.run(["stilts", "coneskymatch", *words])
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert len(rows) == 3 and all(float(row["sep_arcsec"]) < 0.01 for row in rows)


def test_ready_examples_run(url: str) -> None:
    page = httpx.get(f"{url}/tap/examples").text
    with httpx.Client(base_url=url) as http:
        for example in ready():
            answer = http.post("/tap/sync", data={"LANG": "ADQL", "QUERY": example.text, "FORMAT": "csv"})
            assert answer.status_code == 200 and "\n" in answer.text, (example.name, answer.text)
            assert f'id="{example.name.rpartition(".")[2]}"' in page


def test_hostile_requests_are_refused(url: str) -> None:
    """The same by thousands: PYTEST_HOSTILE=10000 pytest -k hostile."""
    n = int(os.environ.get("PYTEST_HOSTILE", "300"))
    told = tap_hostile.attack(url, n, seed=7, limit_s=7.0)
    print(told.codes, f"{told.slowest_s:.1f} s")
    assert told.wrong == [] and told.codes.total() == n
    query = "LANG=ADQL&FORMAT=csv&QUERY=SELECT+COUNT(*)+AS+n+FROM+pub.runs"
    assert httpx.get(f"{url}/tap/sync?{query}", timeout=60).text == "n\n2\n"


# the service runs in a thread of this process, and may draw a random number while Hypothesis makes a case
@pytest.mark.filterwarnings("ignore:Do not use the `random` module")
def test_what_the_description_of_the_addresses_allows_is_no_error_of_the_server(url: str) -> None:
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    operations = [operation.ok() for operation in schema.get_all_operations()]
    for operation in operations:

        @hypothesis.settings(max_examples=3, derandomize=True, database=None, deadline=None, suppress_health_check=ALL)
        @hypothesis.given(case=operation.as_strategy())
        def check(case: schemathesis.Case) -> None:
            case.call_and_validate(checks=[not_a_server_error], timeout=20)

        check()
    assert len(operations) > 20


def test_the_command_serves_until_a_signal_ends_it(module_settings: Settings, url: str) -> None:
    process = children.start([XCAT, "serve", "--port", "0", "--json"], module_settings)
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(5)]
    address = json.loads("".join(lines))["tap"]
    try:
        children.until(lambda: _answers(f"{address}/availability"))
    finally:
        process.send_signal(signal.SIGTERM)
    assert children.end(process) == (0, "", "")
    taken = children.run([XCAT, "serve", "--port", url.rpartition(":")[2]], module_settings)
    assert taken.returncode == 1 and "Choose another --port" in taken.stderr


def _answers(address: str) -> bool:
    try:
        return httpx.get(address).status_code == 200
    except httpx.ConnectError:
        return False
