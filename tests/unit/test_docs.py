"""What the documentation says exists: links, files, commands with their options, keys; and every name has a meaning."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from xcat.catalogues import definition
from xcat.cli.app import app
from xcat.columns.registry import columns, property_entries
from xcat.config import Settings
from xcat.database.sqlfiles import statements

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
sys.path.insert(0, str(DOCS))

import generate  # noqa: E402
import refresh  # noqa: E402

WRITTEN = sorted([*ROOT.glob("*.md"), *DOCS.glob("*.md"), *DOCS.glob("[!_r]*/*.md"), *DOCS.glob("results/*.md")])
TEXT = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in WRITTEN}
ARCHITECTURE = TEXT["ARCHITECTURE.md"]
REFERENCE = generate.pages()
COMMANDS = dict(generate.walk(get_command(app), "xcat"))
EVERYWHERE = {"-h", "--help"}

_FENCE = re.compile(r"^```(\S*)\n(.*?)^```$", re.S | re.M)


def _prose(text: str) -> str:
    """A page without its blocks of code."""
    return _FENCE.sub("", text)


# --- the files of SQL -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", sorted((ROOT / "sql").rglob("*.sql")), ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_lines_of_sql_are_at_most_120_characters(path):
    text = path.read_text(encoding="utf-8")
    assert text.endswith("\n") and not text.endswith("\n\n")
    assert [line for line in text.splitlines() if len(line) > 120 or line != line.rstrip()] == []


@pytest.mark.parametrize("folder", ["jobs", "queries"])
def test_every_statement_has_a_name_and_a_description(folder):
    for path in (ROOT / "sql" / folder).glob("*.sql"):
        named = statements(path).values()
        assert len(named) == path.read_text(encoding="utf-8").count("-- name: ") > 0, path.name
        assert all(statement.about and statement.text for statement in named), path.name


# --- the generated reference ------------------------------------------------------------------------------


@pytest.mark.parametrize("page", REFERENCE)
def test_every_name_of_the_reference_has_a_meaning(page):
    nameless = [line for line in REFERENCE[page].splitlines() if generate.MISSING in line]
    assert not nameless, "\n".join(nameless)


def test_the_reference_is_written(tmp_path):
    generate.write(tmp_path)
    assert {path.stem for path in tmp_path.iterdir()} == {*REFERENCE, "index"}
    for name, text in REFERENCE.items():
        assert text in (tmp_path / f"{name}.md").read_text(encoding="utf-8")


def test_the_generator_is_short():
    assert len((DOCS / "generate.py").read_text(encoding="utf-8").splitlines()) <= 250


def test_the_page_of_commands_is_the_help():
    parts = dict(re.findall(r"^## (xcat[\w -]*)\n\n(.+?)$", REFERENCE["commands"], re.M))
    assert parts == {name: (c.help or "").strip().splitlines()[0] for name, c in COMMANDS.items()}
    for name, command in COMMANDS.items():
        section = REFERENCE["commands"].partition(f"## {name}\n")[2].partition("\n## ")[0]
        for param in command.params:
            if param.param_type_name == "option" and not getattr(param, "hidden", False):
                assert all(f"`{option}`" in section for option in param.opts), (name, param.opts)


def test_the_settings_are_those_of_the_reference():
    names = set(re.findall(r"^\| `(XCAT_\w+)` \|", REFERENCE["settings"], re.M))
    assert names == {f"XCAT_{name.upper()}" for name in Settings.__annotations__}


def test_the_table_of_properties_is_the_registry():
    rows = re.findall(
        r"^\| `(\w+)` \| (.+?) \| (.+?) \| (\w+) \| (.+?) to (.+?) \| (.+) \| (optional|by default) \|$",
        REFERENCE["properties"],
        re.M,
    )
    by_category = [c.lower() for c in re.findall(r"^## (\w+)$", REFERENCE["properties"], re.M)]
    expected = [
        (
            e["name"],
            e["unit"] or "-",
            e["scale"],
            f"{e['range'][0]:g}",
            f"{e['range'][1]:g}",
            e["formula"],
            "optional" if e.get("optional") else "by default",
        )
        for category in by_category
        for e in property_entries()
        if e["category"] == category
    ]
    assert [(name, *rest) for name, _, *rest in rows] == expected
    assert len(expected) == len(property_entries())


def test_the_page_of_columns_is_the_registry():
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \| (.+?) \|$", REFERENCE["columns"], re.M)
    assert {name for name, *_ in rows} == set(columns())


# --- pages ------------------------------------------------------------------------------------------------


def test_readme_and_architecture_are_short():
    readme = TEXT["README.md"].splitlines()
    assert len(readme) <= 75
    assert max(map(len, readme)) <= 120
    assert len(ARCHITECTURE.encode()) < 6000


def test_every_page_is_in_the_index():
    listed = set(re.findall(r"^([\w-]+/[\w-]+)$", TEXT["docs/index.md"], re.M))
    pages = {name.removeprefix("docs/").removesuffix(".md") for name in TEXT if name.startswith("docs/")}
    assert pages - {"index"} == listed - {"reference/index"}


def _anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", _prose(text), re.M)
    slugs = {re.sub(r"[^\w -]", "", h.lower()).strip().replace(" ", "-") for h in headings}
    return slugs | set(re.findall(r"^\((\w[\w-]*)\)=$", text, re.M))


@pytest.mark.parametrize("page", TEXT)
def test_links_lead_somewhere(page):
    everywhere = set().union(*(re.findall(r"^\((\w[\w-]*)\)=$", text, re.M) for text in TEXT.values()))
    for target in re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", _prose(TEXT[page])):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        if file.parent == DOCS / "reference" or file.parent.resolve() == DOCS / "reference":
            assert file.stem in {*REFERENCE, "index"}, target
            continue
        assert file.exists(), f"{page}: {target}"
        if anchor:
            text = file.read_text(encoding="utf-8")
            assert anchor in _anchors(text) | (everywhere if not path else set()), f"{page}: {target}"


@pytest.mark.parametrize("page", TEXT)
def test_files_named_exist(page):
    names = re.findall(r"`((?:xcat|sql|tests|benchmarks|examples|alembic|docs)/[\w./-]+)`", _prose(TEXT[page]))
    made = {"docs/reference", "docs/reference/"}
    missing = [name for name in names if name not in made and not (ROOT / name).exists()]
    assert not missing, f"{page}: {missing}"


# --- commands ---------------------------------------------------------------------------------------------


def _typed(text: str) -> Iterator[str]:
    """What a page shows as typed at a prompt: lines of code blocks, and code inside sentences."""
    joined = re.sub(r"\\\n\s*", " ", text)
    for language, code in _FENCE.findall(joined):
        if language in ("console", "bash", "text"):
            yield from (line.removeprefix("$ ").strip() for line in code.splitlines())
    yield from (line.strip() for line in re.findall(r"^ {4,}(.+)$", _prose(joined), re.M))
    yield from (code for code in re.findall(r"`([^`\n]+)`", _prose(joined)) if code.startswith("xcat "))


def _calls(line: str) -> Iterator[list[str]]:
    """The calls of xcat in a line of shell, as words after ``xcat``."""
    inner = re.findall(r"\$\((.*?)\)", line)
    for part in [re.sub(r"\$\(.*?\)", "X", line), *inner]:
        if not re.search(r"(^|[\s/])xcat ", part):
            continue
        lexer = shlex.shlex(part, posix=True, punctuation_chars="|&;<>")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if set(word) <= set("|&;<>"):
                if "xcat" in words[:1] or "--rm" in words:
                    yield words[words.index("xcat") + 1 :]
                words = []
            elif words or not re.fullmatch(r"\w+=.*", word):
                words.append(word)


def _wrong(words: list[str]) -> str | None:
    """What is wrong with a call of xcat; None if nothing is."""
    name, options = "xcat", set(EVERYWHERE)
    for number, word in enumerate(words):
        command = COMMANDS[name]
        options |= {o for p in command.params for o in [*p.opts, *p.secondary_opts]}
        if word.startswith("-") and not re.fullmatch(r"-\d.*", word):
            if command.context_settings.get("ignore_unknown_options"):
                return None
            if word.partition("=")[0] not in options:
                return f"{name} has no option {word}"
        elif f"{name} {word}" in COMMANDS:
            name = f"{name} {word}"
        elif name == "xcat":
            return None if word.isupper() else f"there is no command xcat {word}"
        elif hasattr(command, "commands") and not words[number - 1].startswith("-"):
            return None if word.isdecimal() or word.isupper() else f"{name} has no command {word}"
    return None


@pytest.mark.parametrize("page", TEXT)
def test_commands_and_options_exist(page):
    calls = [call for line in _typed(TEXT[page]) for call in _calls(line)]
    wrong = {" ".join(["xcat", *call]): reason for call in calls if (reason := _wrong(call)) is not None}
    assert not wrong, f"{page}: {wrong}"


def test_calls_are_found_and_checked():
    line = """X=1 xcat explain "$(xcat sql 'SELECT a | b' --value)" --figure why.png && xcat runs 12 > log"""
    assert list(_calls(line)) == [
        ["explain", "X", "--figure", "why.png"],
        ["runs", "12"],
        ["sql", "SELECT a | b", "--value"],
    ]
    assert _wrong(["sql", "SELECT 1", "--valeu"]) == "xcat sql has no option --valeu"
    assert _wrong(["forget"]) == "there is no command xcat forget"
    assert _wrong(["runs", "forget", "12"]) == "xcat runs has no command forget"
    assert _wrong(["db", "shell", "-c", "x"]) is None
    assert len([call for text in TEXT.values() for line in _typed(text) for call in _calls(line)]) > 60


@pytest.mark.parametrize("page", TEXT)
def test_options_named_alone_exist(page):
    known = EVERYWHERE | {o for c in COMMANDS.values() for p in c.params for o in [*p.opts, *p.secondary_opts]}
    named = set(re.findall(r"`(--[a-z][\w-]*)", _prose(TEXT[page])))
    assert named <= known | {"--autogenerate"}, f"{page}: {named - known}"


def test_pages_with_commands_are_those_that_the_tests_run():
    run = {page.relative_to(ROOT).as_posix() for page in refresh.pages()} | {"README.md"}
    assert {page for page, text in TEXT.items() if "```console" in text} <= run


# --- keys of YAML files -----------------------------------------------------------------------------------


def _yaml_blocks(page: str) -> list[dict[str, Any]]:
    return [yaml.safe_load(code) for language, code in _FENCE.findall(TEXT[page]) if language == "yaml"]


def test_the_documented_definition_has_every_key():
    """Every key that the page shows for a definition is one that a definition may have, and the other way round."""
    small, extended, complete = _yaml_blocks("docs/howto/own-definition.md")
    known = {f.alias or name for name, f in definition.Definition.model_fields.items()} | {"extends"}
    assert set(complete) == known - {"read"}
    assert set(small) | set(extended) <= known


def test_the_documented_definitions_are_accepted(tmp_path):
    for block in _yaml_blocks("docs/howto/own-definition.md")[:2]:
        path = tmp_path / f"{block['name']}.yaml"
        path.write_text(yaml.safe_dump(block), encoding="utf-8")
        assert definition.load(path).name == block["name"]


def test_the_documented_pipelines_are_accepted(tmp_path):
    from xcat.jobs.pipeline import read

    blocks = _yaml_blocks("docs/howto/own-classes.md")
    assert len(blocks) == 2
    for block in blocks:
        (tmp_path / block["extends"]).write_bytes((ROOT / "examples" / block["extends"]).read_bytes())
        path = tmp_path / f"{block['name']}.yaml"
        path.write_text(yaml.safe_dump(block), encoding="utf-8")
        assert read(path).name == block["name"]


# --- a way through the code -------------------------------------------------------------------------------


def test_rooms_of_the_architecture_exist():
    section = ARCHITECTURE.partition("## Rooms")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.+?`(?:, `.+?`)*) \|", section, re.M)
    rooms = {name for row in rows for name in re.findall(r"`(.+?)`", row)}
    assert all((ROOT / name).exists() for name in rooms), rooms
    packages = {f"xcat/{path.parent.name}" for path in (ROOT / "xcat").glob("*/__init__.py")}
    assert packages <= rooms


@pytest.mark.parametrize(
    ("walk", "inside"),
    [
        ("add a property", r"log_fx_fw1"),
        ("add a magnitude band", r"mag_w3"),
        ("add a file format", r"(?i)fits"),
        ("see the formula of p_any", r"p_any"),
        ("change the message about a wrong unit", r"is in '?\{"),
        ("change the colour of a class", r"#[0-9A-Fa-f]{6}"),
    ],
)
def test_the_architecture_leads_to_the_right_file(walk, inside):
    (place,) = re.findall(rf"^\| {re.escape(walk)} \| (.+) \|$", ARCHITECTURE, re.M)
    files = re.findall(r"`([\w/]+\.\w+)`", place)
    found = [bool(re.search(inside, (ROOT / name).read_text(encoding="utf-8"))) for name in files]
    assert any(found)
    assert all(found) or not walk.startswith("add"), dict(zip(files, found, strict=True))


# --- the site, and the papers of the project --------------------------------------------------------------


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_asks_no_other_host(tmp_path):
    pytest.importorskip("sphinx", reason="Sphinx is not installed (pip install -e '.[docs]')")
    build = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", str(DOCS), str(tmp_path)]
    done = subprocess.run(build, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    foreign = r'="(?:https?:)?//'
    loaded = re.compile(rf"<(?:script|img|iframe)[^>]+src{foreign}|<link[^>]+href{foreign}|@import|url\(http")
    for page in [*tmp_path.rglob("*.html"), *tmp_path.rglob("*.css")]:
        assert not loaded.search(page.read_text(encoding="utf-8")), page


def test_papers_of_the_project():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert (citation["references"][0]["volume"], citation["references"][0]["start"]) == (657, "A138")
    licence = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert licence.startswith("BSD 3-Clause License\n\nCopyright (c) 2026, The xcat developers")
    assert f"## [{citation['version']}]" in TEXT["CHANGELOG.md"]
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert {repo["repo"] for repo in hooks["repos"]} == {"local"}


def test_every_threat_has_a_test_that_exists():
    """The page of security names, for each threat, the tests that prove what it says."""
    page = TEXT["docs/explanation/security.md"]
    table = page.partition("## Threats")[2].partition("## ")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ")][1:]
    rows = [row for row in rows if not row[0].startswith("---")]
    assert len(rows) > 15 and {len(row) for row in rows} == {3}
    files = [path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")]
    there = {name for text in files for name in re.findall(r"^def (test_\w+)", text, re.M)}
    for threat, _, tests in rows:
        named = re.findall(r"`(test_\w+)`", tests)
        assert named and set(named) <= there, threat
