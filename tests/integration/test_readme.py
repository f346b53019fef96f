"""What the README and the examples say is true: commands run, help texts and settings are as they are."""

import dataclasses
import os
import re
import shutil
import subprocess
from pathlib import Path

import children
import pytest
import yaml
from children import ROOT, XCAT

from xcat.config import Settings

README = (ROOT / "README.md").read_text()
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text()


def _run(command: str, cwd: Path, settings: Settings) -> subprocess.CompletedProcess[str]:
    return children.run(["bash", "-c", command], settings, env={"PATH": f"{XCAT.parent}:{os.environ['PATH']}"}, cwd=cwd)


def test_the_console_commands_run_as_they_stand(module_settings, tmp_path):
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    commands = [
        line.removeprefix("$ ")
        for block in re.findall(r"```console\n(.*?)```", README, re.S)
        for line in block.splitlines()
    ]
    assert len(commands) > 8
    for command in commands:
        done = _run(command, tmp_path, module_settings)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        assert (done.stdout + done.stderr).strip(), command
    assert (tmp_path / "why.png").stat().st_size > 10_000
    assert (tmp_path / "xrb.fits").exists()
    assert "<html" in (tmp_path / "demo" / "report" / "index.html").read_text()


def test_the_table_of_commands_is_the_help():
    from typer.main import get_command

    from xcat.cli.app import app

    table = dict(re.findall(r"^\| `xcat ([\w-]+)` \| (.+) \|$", README, re.M))
    commands = get_command(app).commands  # type: ignore[attr-defined]
    assert {name: (c.help or "").strip() for name, c in commands.items()} == table


def test_the_settings_are_those_of_the_readme():
    table = set(re.findall(r"^\| `(XCAT_\w+)` \|", README, re.M))
    assert table == {f"XCAT_{field.name.upper()}" for field in dataclasses.fields(Settings)}


def test_the_views_are_those_of_the_readme(conn):
    named = set(re.findall(r"`((?:xcat|pub)\.\w+)`", README)) - {"pub.classified_r12"}
    assert len(named) > 12
    rows = conn.execute(
        "SELECT relnamespace::regnamespace || '.' || relname FROM pg_class"
        " WHERE relnamespace IN ('xcat'::regnamespace, 'pub'::regnamespace) AND relkind IN ('v', 'p', 'r')"
    )
    assert named <= {name for (name,) in rows.fetchall()}


def test_rooms_of_the_architecture_exist():
    section = ARCHITECTURE.partition("## Rooms")[2].partition("\n## ")[0]
    rooms = re.findall(r"^\| (`.+?`(?:, `.+?`)*) \|", section, re.M)
    assert len(rooms) > 8
    for room in rooms:
        for name in re.findall(r"`(.+?)`", room):
            assert (ROOT / name).exists(), name


def test_make_help_names_what_the_readme_names():
    done = children.run(["make", "help"], cwd=ROOT, check=True)
    for target in re.findall(r"^    (make \w+)", README, re.M):
        assert target in done.stdout


@pytest.mark.parametrize("name", ["simulated", "chandra", "chandra8", "galaxies7"])
def test_examples_are_pipelines(name):
    from xcat.jobs.pipeline import read

    assert read(ROOT / "examples" / f"{name}.yaml").name == name


def test_docker_compose_is_valid():
    compose = shutil.which("docker-compose")
    if compose is None:
        pytest.skip("docker-compose is not installed")
    done = children.run([compose, "config"], cwd=ROOT)
    assert done.returncode == 0, done.stderr
    services = yaml.safe_load(done.stdout)["services"]
    assert set(services) == {"database", "xcat"}
    text = (ROOT / "Dockerfile").read_text()
    targets = set(re.findall(r"^FROM \S+ AS (\w+)", text, re.M))
    assert {s["build"]["target"] for s in services.values()} <= targets
    assert re.search(r"^FROM postgres:(\d+)", text, re.M).group(1) in re.search(r"postgresql-\d+-q3c", text).group()  # type: ignore[union-attr]
    url = services["xcat"]["environment"]["XCAT_DATABASE_URL"]
    assert url.startswith("postgresql+psycopg://xcat:")


def test_ci_runs_the_readme_command():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "make test" in script.read_text()


def test_the_table_of_properties_is_the_registry():
    from xcat.columns.registry import property_entries

    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.+?) \| (\w+) \| (.+?) to (.+?) \| (.+) \|$", ARCHITECTURE, re.M)
    expected = [
        (
            e["name"],
            e["category"],
            e["unit"] or "-",
            e["scale"],
            f"{e['range'][0]:g}",
            f"{e['range'][1]:g}",
            e["formula"],
        )
        for e in property_entries()
    ]
    assert rows == expected


def test_the_documented_definition_is_accepted(tmp_path):
    """Every key that ARCHITECTURE.md shows for a definition is one that a definition may have."""
    from xcat.catalogues.definition import Definition

    block = re.search(r"## Catalogue definitions.*?\n\n((?:    .*\n)+)", ARCHITECTURE, re.S).group(1)  # type: ignore[union-attr]
    keys = set(re.findall(r"^    (\w+):", block, re.M))
    known = {f.alias or name for name, f in Definition.model_fields.items()} | {"extends"}
    assert keys == known - {"read"}
