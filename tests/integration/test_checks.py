"""A file that lies is not believed: what is refused leaves the database, table by table, as it was."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import children
import loading as small
import numpy as np
import pytest
from typer.testing import CliRunner

from xcat.catalogues.definition import Definition
from xcat.cli.app import app
from xcat.config import Settings
from xcat.database.connection import connect
from xcat.errors import InputError, StageError
from xcat.ingest.checks import Allowed
from xcat.ingest.load import ingest

pytestmark = pytest.mark.slow

N = 300
HEADER = "id,source,ra,dec,err,flux,hr,obs"


def table(n: int = N, seed: int = 1, **columns: Any) -> dict[str, Any]:
    """Detections all over the sky, two of each source."""
    rng = np.random.default_rng(seed)
    places = np.random.default_rng(1)
    good = {
        "id": [f"D{i}" for i in range(n)],
        "source": [f"S{i // 2}" for i in range(n)],
        "ra": places.uniform(0, 360, N)[:n],
        "dec": np.degrees(np.arcsin(places.uniform(-1, 1, N)[:n])),
        "err": np.exp(rng.normal(size=n)),
        "flux": 10 ** rng.normal(-14, 1, n),
        "hr": np.tanh(rng.normal(size=n)),
        "obs": [f"O{i % 7}" for i in range(n)],
    }
    return good | {k: v(good[k]) if callable(v) else v for k, v in columns.items()}


def write(path: Path, columns: dict[str, Any], extra: tuple[str, ...] = ()) -> Path:
    lines = [",".join(map(str, row)) for row in zip(*(list(columns[k]) for k in HEADER.split(",")), strict=True)]
    path.write_text("\n".join([HEADER, *lines, *extra]) + "\n")
    return path


def definition(**changes: Any) -> Definition:
    names = {"native_id": "id", "source_native_id": "source", "obs_id": "obs", "ra": "ra", "dec": "dec"}
    data = {
        "name": "lies",
        "title": "a",
        "citation": "a",
        "kind": "xray_detections",
        "flux_band_kev": [0.5, 7],
        "position_error": {"convention": "axis_1sigma", "columns": ["err"], "unit": "arcsec"},
        "columns": {**names, "flux_cgs": "flux", "hr1": "hr"},
    }
    return Definition.from_dict(data | changes)


@pytest.fixture(scope="module")
def place(module_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Settings, Path]]:
    """A database in which the good file is loaded."""
    folder = tmp_path_factory.mktemp("lies")
    assert ingest(module_settings, definition(), [write(folder / "good.csv", table())]).remarks == []
    yield module_settings, folder


REFUSED: dict[str, tuple[Callable[[], dict[str, Any]], str]] = {
    "no rows": (lambda: table(0), r"bad\.csv: it has no rows; nothing was loaded"),
    "none usable": (lambda: table(ra=lambda x: ["x"] * N), r"bad\.csv: none of its 300 rows can be used \(300 x"),
    "many unusable": (
        lambda: table(err=lambda x: np.where(np.arange(N) < 20, -1, x)),
        r"20 of 300 rows cannot be used \(6\.7%, at most 5\.0% are allowed\): 20 x positional error not above 0 in "
        r"column err.*--allow-rejects 0\.07",
    ),
    "empty": (lambda: table(hr=lambda x: [""] * N), r"column 'hr' \(hr1\): it is empty: 100\.0% of the rows"),
    "nearly empty": (lambda: table(flux=lambda x: [*x[:6], *[""] * (N - 6)]), r"it is nearly empty: .* 2\.0%"),
    "empty text": (lambda: table(obs=lambda x: [""] * N), r"column 'obs' \(obs_id\): it is empty"),
    "constant": (lambda: table(flux=lambda x: [1e-14] * N), r"\(flux_cgs\): it is constant: 300 different"),
    "constant text": (lambda: table(obs=lambda x: ["O1"] * N), r"\(obs_id\): it is constant: 7 different"),
    "other unit": (lambda: table(flux=lambda x: x * 1e-3), r"\(flux_cgs\): its typical value was .* now, a factor of"),
    "error in degrees": (lambda: table(err=lambda x: x / 3600), r"column 'err' \(err_arcsec\): its typical value was"),
    "no flux": (lambda: table(flux=lambda x: x * 1e17), r"its typical value is .*expected is 1e-20 to 1e-06"),
    "no ratio": (lambda: table(hr=lambda x: x * 100), r"\(hr1\): .*% of its values are outside -1\.001 to 1"),
    "hours": (lambda: table(ra=lambda x: x / 15), r"column 'ra' \(ra\): all 300 right ascensions lie below 24"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_that_lies_is_refused(place, case):
    settings, folder = place
    made, text = REFUSED[case]
    before = small.snapshot(settings)
    with pytest.raises(InputError, match=text):
        ingest(settings, definition(), [write(folder / "bad.csv", made())], replace=True)
    assert small.snapshot(settings) == before


LOST: dict[str, tuple[dict[str, Any], str]] = {
    "rows": (
        table(250),
        r"lies: --replace would lose .*: 300 rows, of which 250 would be left \(16\.7% lost\).*at most 10\.0%",
    ),
    "sources": (
        table(source=lambda x: [f"S{i // 3}" for i in range(N)]),
        r"150 sources, of which 100 would be left \(33\.3% lost\).*--allow-loss 0\.34",
    ),
    "sky": (table(dec=lambda x: -np.abs(x)), r"square degrees with objects, of which .* would be left .*--allow-loss"),
}  # fmt: skip


@pytest.mark.parametrize("case", LOST)
def test_a_replacement_that_loses_much_is_refused(place, case):
    settings, folder = place
    columns, text = LOST[case]
    before = small.snapshot(settings)
    with pytest.raises(StageError, match=text):
        ingest(settings, definition(), [write(folder / "less.csv", columns)], replace=True)
    assert small.snapshot(settings) == before


def test_what_is_allowed_is_loaded(settings, tmp_path):
    """By the command line, by the definition; a better file needs neither; and going back is a replacement, too."""
    good = write(tmp_path / "good.csv", table())
    ingest(settings, definition(), [good])
    newer = write(tmp_path / "newer.csv", table(seed=2, flux=lambda x: x * 3))
    assert ingest(settings, definition(), [newer], replace=True).remarks == []
    half = write(tmp_path / "half.csv", table(150), extra=("bad,S,,1,1,1e-14,0,O",) * 20)
    for allowed in (Allowed(), Allowed(rejects=0.12), Allowed(loss=0.51)):
        with pytest.raises((InputError, StageError)):
            ingest(settings, definition(), [half], replace=True, allowed=allowed)
    checks = {"max_rejected": 0.12, "max_rows_lost": 0.5, "max_sources_lost": 0.5, "max_area_lost": 1}
    assert ingest(settings, definition(checks=checks), [half], replace=True).n_rows == 150
    with connect(settings) as conn:
        conn.execute(
            "INSERT INTO xcat.run_catalogue SELECT max(r.run_id), max(catalogue_id) FROM xcat.run r, xcat.catalogue"
        )
    ingest(settings, definition(), [good], replace=True)
    with pytest.raises(StageError, match="300 rows, of which 150 would be left"):
        ingest(settings, definition(), [half], replace=True)
    result = ingest(settings, definition(), [half], replace=True, allowed=Allowed(loss=1.0))
    assert result.version is not None
    one = write(tmp_path / "one.csv", table(hr=[""] * N, obs=["O1"] * N))
    judged_not = {"any_value": ["hr1", "obs_id"]}
    assert ingest(settings, definition(checks=judged_not), [one], replace=True).n_rows == N


def test_a_corrected_definition_is_believed(settings, tmp_path):
    good = write(tmp_path / "good.csv", table())
    ingest(settings, definition(), [good])
    columns = definition().as_dict()["columns"] | {"flux_cgs": {"from": "flux", "unit": "W / m2"}}
    assert ingest(settings, definition(columns=columns), [good], replace=True).n_rows == N


def test_files_that_are_added_are_judged_too(settings, tmp_path):
    ingest(settings, definition(), [write(tmp_path / "good.csv", table(200))])
    part = {k: list(v)[200:] for k, v in table().items()}
    wrong = part | {"flux": [f * 1e4 for f in part["flux"]]}
    before = small.snapshot(settings)
    with pytest.raises(InputError, match=r"wrong\.csv: column 'flux' .* a factor of"):
        ingest(settings, definition(), [write(tmp_path / "wrong.csv", wrong)])
    assert small.snapshot(settings) == before
    of_one_observation = write(tmp_path / "more.csv", part | {"obs": ["O9"] * 100})
    assert ingest(settings, definition(), [of_one_observation]).n_rows == 100


def test_what_is_only_doubtful_is_told(settings, tmp_path):
    field = table(10, ra=lambda x: 10 + x / 3600, dec=lambda x: 2 + x / 900)
    result = ingest(settings, definition(), [write(tmp_path / "field.csv", field)])
    assert result.n_rows == 10
    (remark,) = result.remarks
    assert remark.startswith(
        "WARNING: field.csv: column 'ra' has no unit and is taken as degrees, but all 10 right asc"
    )
    assert remark.endswith("Are these hours?")


def test_the_command_line(settings, tmp_path, monkeypatch):
    monkeypatch.setenv("XCAT_DATABASE_URL", settings.database_url)
    path = tmp_path / "lies.yaml"
    path.write_text(json.dumps(definition().as_dict()))
    good, half = write(tmp_path / "good.csv", table()), write(tmp_path / "half.csv", table(150))
    run = lambda *arguments: CliRunner().invoke(app, ["ingest", str(path), *map(str, arguments)])  # noqa: E731
    assert run(good).exit_code == 0
    assert run(half, "--replace").exit_code != 0
    assert run(half, "--replace", "--allow-loss", "1.5").exit_code == 2
    done = run(half, "--replace", "--allow-loss", "1", "--json")
    assert (done.exit_code, json.loads(done.output)["files"][0]["n_rows"]) == (0, 150)


_LOADS = """
import sys
from pathlib import Path
from xcat.catalogues.definition import load
from xcat.config import settings
from xcat.ingest.load import ingest
path, files = Path(sys.argv[1]), [[Path(p)] for p in sys.argv[2:]]
for i in range(6):
    ingest(settings(), load(path), files[i % 2], replace=True)
"""


def test_two_catalogues_are_replaced_again_and_again_at_once(settings, tmp_path):
    """Beside them somebody reads and sweeps; nobody is stopped, and nothing is left behind."""
    begun: list[subprocess.Popen[str]] = []
    for name in ("dla", "dlb"):
        path = tmp_path / f"{name}.yaml"
        path.write_text(json.dumps(definition(name=name).as_dict()))
        files = [write(tmp_path / f"{name}{i}.csv", table(seed=i)) for i in range(2)]
        begun.append(children.start([sys.executable, "-c", _LOADS, path, *files], settings))
    with connect(settings, autocommit=True) as conn:
        while any(process.poll() is None for process in begun):
            conn.execute("SELECT count(*), avg(ra) FROM xcat.detection, pg_sleep(0.05)").fetchone()
            conn.execute(
                "SELECT count(*) FROM xcat.catalogue JOIN xcat.catalogue_content USING (catalogue_id)"
            ).fetchone()
        for process in begun:
            assert children.end(process)[0] == 0
        states = conn.execute("SELECT status, count(*) FROM xcat.run GROUP BY 1").fetchall()
        assert states == [("done", 12)]
        versions = conn.execute("SELECT name, version, is_current FROM xcat.catalogue ORDER BY 1").fetchall()
        assert versions == [("dla", 6, True), ("dlb", 6, True)]
