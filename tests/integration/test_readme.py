"""What the README, the pages and the examples say is true: commands run, views and files are as they are."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import children
import pytest
import yaml
from children import ROOT, XCAT
from in_process import commands

import xcat
from xcat.config import Settings
from xcat.database.connection import ready

sys.path.insert(0, str(ROOT / "docs"))

import generate
import refresh

README = (ROOT / "README.md").read_text()


def _run(command: list[str], cwd: Path, settings: Settings) -> subprocess.CompletedProcess[str]:
    return children.run(command, settings, env={"PATH": f"{XCAT.parent}:{os.environ['PATH']}"}, cwd=cwd)


def _folder(parent: Path, name: str) -> Path:
    """Where commands are typed: the examples and queries are there."""
    folder = parent / name
    shutil.copytree(ROOT / "examples", folder / "examples")
    shutil.copytree(ROOT / "sql" / "queries", folder / "sql" / "queries")
    (folder / "demo").mkdir()
    return folder


@pytest.mark.slow
def test_the_commands_run_as_they_stand(module_settings, tmp_path, monkeypatch):
    """In the order of the README, then of the pages, on the sky of the README; each after those before it."""
    with ready(module_settings) as conn:  # as they are in a new database
        conn.execute("UPDATE xcat.gate SET is_on = true")
    readme, pages = _folder(tmp_path, "readme"), _folder(tmp_path, "pages")
    (pages / "demo" / "sky").symlink_to(readme / "demo" / "small")
    places = [("README.md", README, readme), *((page.name, page.read_text(), pages) for page in refresh.pages())]
    in_process = commands(module_settings, monkeypatch)
    done: set[str] = set()
    ran = 0
    for name, text, folder in places:
        for command in refresh.commands(text):
            ran += 1
            same = command[-1].replace("demo/small", "demo/sky")
            if same in done and folder != readme:  # of the README, on the same sky: its files are those of the page
                for file in re.findall(r" -o (\S+)", same):
                    shutil.copy(readme / file, folder / file)
                continue
            done.add(same)
            words = shlex.split(same) if command[0] == "bash" and not re.search(r"[$|><;&\n]", same) else []
            if folder == pages and words[:1] == ["xcat"]:  # those of the README have shown that the program starts
                monkeypatch.chdir(folder)
                assert in_process(*words[1:]).strip() or "-o" in words, command
                continue
            end = _run(command, folder, module_settings)
            assert end.returncode == 0, f"{name}: {command[-1]}\n{end.stderr}"
            assert (end.stdout + end.stderr).strip() or command[0] != "bash", command
    assert ran > 20
    assert (readme / "why.png").stat().st_size > 10_000
    assert (readme / "xrb.fits").exists()
    assert "<html" in (readme / "demo" / "small" / "report" / "index.html").read_text()


def test_the_library_is_as_the_pages_say():
    for name in re.findall(r"xcat\.(\w+)\(", README + (ROOT / "docs" / "howto" / "python.md").read_text()):
        assert callable(getattr(xcat, name)), name


def test_the_views_are_those_of_the_pages(conn):
    page = (ROOT / "docs" / "howto" / "sql.md").read_text()
    functions = {"pub.posterior_of", "pub.in_cone"}
    named = set(re.findall(r"`((?:xcat|pub)\.\w+)`", page + README)) - {"pub.classified_r12"} - functions
    assert len(named) > 12
    rows = conn.execute(
        "SELECT relnamespace::regnamespace || '.' || relname FROM pg_class"
        " WHERE relnamespace IN ('xcat'::regnamespace, 'pub'::regnamespace) AND relkind IN ('v', 'p', 'r')"
    )
    assert named <= {name for (name,) in rows.fetchall()}


def test_the_reference_of_tables_is_the_database(conn):
    rows = conn.execute(
        "SELECT c.oid::regclass::text, array_agg(a.attname::text ORDER BY a.attnum)"
        " FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
        " WHERE c.relnamespace = 'pub'::regnamespace AND c.relkind IN ('v', 'p') AND NOT c.relispartition"
        " GROUP BY c.oid"
    )
    in_database = {name: columns for name, columns in rows.fetchall() if not name.endswith("_candidates")}
    described = {name: columns for name, (_, columns) in generate.relations().items()}
    assert in_database == {name: columns for name, columns in described.items() if name in in_database}
    assert {name for name in described if not name.endswith("_candidates")} == set(in_database)


def test_make_help_names_what_the_readme_names():
    done = children.run(["make", "help"], cwd=ROOT, check=True)
    for target in re.findall(r"(make (?:demo|test|docs))\b", README):
        assert target in done.stdout


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "examples").glob("*.yaml")))
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
    assert {"database", "worker", "pages"} <= set(services) <= {"database", "worker", "pages", "xcat"}
    text = (ROOT / "Dockerfile").read_text()
    targets = set(re.findall(r"^FROM \S+ AS (\w+)", text, re.M))
    assert {s["build"]["target"] for s in services.values()} <= targets
    assert re.search(r"^FROM postgres:(\d+)", text, re.M).group(1) in re.search(r"postgresql-\d+-q3c", text).group()  # type: ignore[union-attr]
    for name in ("worker", "pages"):
        assert services[name]["environment"]["XCAT_DATABASE_URL"].startswith("postgresql+psycopg://xcat:")
        assert services[name]["depends_on"]["database"] == {"condition": "service_healthy"}
    assert all(service["restart"] == "unless-stopped" for name, service in services.items() if name != "xcat")
    pages = "".join((ROOT / "docs" / "howto" / f"{name}.md").read_text() for name in ("service", "own-server"))
    named = re.findall(r"docker-compose (?:up -d|run --rm|logs -f) (\w+)(?: (\w+))?", pages)
    assert len(named) > 8
    defined = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    assert {service for service, _ in named} <= set(defined)


def test_the_units_of_systemd_are_valid_and_closed(tmp_path):
    """Together with what they have in common; how open a unit is goes from 0 to 100."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    page = (ROOT / "docs" / "howto" / "service.md").read_text()
    files = re.findall(r"`/etc/systemd/system/([^`]+)`[^`]*(?:`[^`\n]+`[^`]*)*?```ini\n(.*?)```", page, re.S)
    assert [name for name, _ in files] == ["xcat-.service.d/common.conf", "xcat-worker.service", "xcat-pages.service"]
    for name, text in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text.replace("/opt/xcat/.venv/bin/xcat", str(children.XCAT)))
    for name in ("xcat-worker.service", "xcat-pages.service"):
        done = children.run([analyze, "verify", "--man=no", tmp_path / name])
        assert (done.returncode, str(tmp_path) in done.stderr) == (0, False), done.stderr
        done = children.run([analyze, "security", "--offline=yes", "--threshold=25", "--no-pager", tmp_path / name])
        assert done.returncode == 0, done.stdout + done.stderr


def test_ci_runs_the_readme_command():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "make test" in script.read_text()
