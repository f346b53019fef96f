"""Write the pages of docs/reference/ from the code: ``python docs/generate.py [FOLDER]``.

Nothing on these pages is written by hand. A name without a meaning is marked with `MISSING`, which the tests refuse.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel
from typer.main import get_command

from xcat.catalogues import grammar
from xcat.catalogues.definition import Definition
from xcat.cli.app import app
from xcat.columns.registry import columns, property_entries
from xcat.config import Settings
from xcat.database.published import AS_OF_ALL_RUNS
from xcat.database.schema import metadata
from xcat.database.sqlfiles import objects
from xcat.jobs.pipeline import Pipeline

HERE = Path(__file__).resolve().parent
MISSING = "(no meaning given)"

# what the code cannot say of itself: titles and introductions of the pages, exit codes
TEXTS = yaml.safe_load((HERE / "reference.yaml").read_text(encoding="utf-8"))


def table(head: list[str], rows: Iterable[Iterable[str]]) -> str:
    """Write a Markdown table; vertical bars in a cell are escaped."""
    lines = [head, ["---"] * len(head), *([" ".join(c.split()).replace("|", "\\|") for c in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _code(value: Any) -> str:
    return f"`{value}`" if str(value) else ""


# --- commands ---------------------------------------------------------------------------------------------


def walk(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """All commands with their full names, groups included."""
    yield name, command
    for child, below in getattr(command, "commands", {}).items():
        yield from walk(below, f"{name} {child}")


def commands() -> str:
    """The page of commands."""
    text = []
    for name, command in walk(get_command(app), "xcat"):
        text.append(f"## {name}\n\n{(command.help or MISSING).strip()}")
        shown = [p for p in command.params if not getattr(p, "hidden", False)]
        arguments = [p for p in shown if p.param_type_name == "argument"]
        options = [p for p in shown if p.param_type_name == "option"]
        if arguments:
            rows = [[_code(p.metavar or p.name.upper()), _help(p)] for p in arguments]
            text.append(table(["argument", "meaning"], rows))
        if options:
            rows = [
                [", ".join(map(_code, [*p.opts, *p.secondary_opts])), _value(p), _help(p), _default(p.default)]
                for p in options
            ]
            text.append(table(["option", "takes", "meaning", "default"], rows))
        if command.epilog:
            text.append(f"```text\n{command.epilog.replace(chr(8), '').strip()}\n```")
    return "\n\n".join(text)


def _help(param: Any) -> str:
    return (getattr(param, "help", None) or MISSING).replace("*", r"\*")


def _value(param: Any) -> str:
    if getattr(param, "is_flag", False):
        return ""
    choices = get_args(getattr(getattr(param, "type_descriptor", None), "annotation", None))
    value = param.metavar or ", ".join(_code(c) for c in choices if isinstance(c, str)) or "a value"
    low, high = (getattr(param, end, None) for end in ("min", "max"))
    value += "" if low is None else f", {low:g} or more" if high is None else f", {low:g} to {high:g}"
    return value + (", repeatable" if getattr(param, "multiple", False) else "")


def _default(value: Any) -> str:
    """A default in YAML's words; nothing for a mapping, a list, and what is off or absent."""
    if not isinstance(value, str | int | float | Path) or value is False or value in ("", Path()):
        return ""
    return _code("true" if value is True else value)


# --- models: pipeline, definition, settings --------------------------------------------------------------


def keys(model: type[BaseModel]) -> list[list[str]]:
    """The keys of a model: name, kind of value, meaning, default.

    The meaning is the field's description, else that of docs/reference.yaml, else what the docstring of the model says.
    """
    documented = re.findall(r"^ {4}(\w+) : [^\n]*\n((?: {8}[^\n]*\n?)+)", model.__doc__ or "", re.M)
    in_docstring = {name: " ".join(about.split()) for name, about in documented}
    schema = model.model_json_schema()
    rows = []
    for name, field in model.model_fields.items():
        key = field.alias or name
        entry = schema["properties"][key]
        by_hand = TEXTS["meanings"].get(model.__name__, {}).get(key)
        meaning = field.description or by_hand or in_docstring.get(name) or MISSING
        default = "required" if key in schema.get("required", ()) else _default(entry.get("default"))
        rows.append([key, _shape(entry), meaning, default])
    return rows


def _shape(entry: dict[str, Any]) -> str:
    """A JSON schema in words."""
    if "anyOf" in entry:
        return " or ".join(_shape(choice) for choice in entry["anyOf"] if choice.get("type") != "null")
    if "enum" in entry or "const" in entry:
        return ", ".join(_code(value) for value in entry.get("enum", [entry.get("const")]))
    if entry.get("type") == "array":
        items = entry.get("prefixItems")
        return f"{len(items)} values" if items else f"list of {_shape(entry['items'])}"
    words = {"exclusiveMinimum": "above", "minimum": "at least", "exclusiveMaximum": "below", "maximum": "at most"}
    limits = " and ".join(f"{text} {entry[key]:g}" for key, text in words.items() if key in entry)
    kind = {"string": "text", "boolean": "true or false", "object": "mapping", None: "mapping"}
    return f"{kind.get(entry.get('type'), entry.get('type'))} {limits}".strip()


def models_page(model: type[BaseModel]) -> str:
    """The keys of a model, then those of each model inside it."""
    inside: dict[type[BaseModel], list[str]] = {}
    for name, field in model.model_fields.items():
        for inner in _models_in(field.annotation):
            inside.setdefault(inner, []).append(_code(field.alias or name))
    titles = {model: "At the top"} | {inner: f"Under {', '.join(names)}" for inner, names in inside.items()}
    text = []
    for each, title in titles.items():
        rows = [[_code(key), *rest] for key, *rest in keys(each)]
        text.append(f"## {title}\n\n{table(['key', 'value', 'meaning', 'default'], rows)}")
    return "\n\n".join(text)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)


def definition_page() -> str:
    """Keys of a definition, the steps of a transform, and the standard columns."""
    known = columns()
    steps = re.search(r" {4}=+ =+ =+\n {4}step.*?\n {4}=+.*?\n(.*?)\n {4}=", grammar.__doc__ or "", re.S)
    rows = [re.split(r" {2,}", line.strip(), maxsplit=2) for line in (steps[1] if steps else "").splitlines()]
    text = [models_page(Definition)]
    text.append("## Steps of `transform`\n\n" + table(["step", "columns", "result"], rows))
    text.append("## Standard columns\n\nThe names that a definition may fill, by the table that the rows go to.")
    for kind, names in grammar.STANDARD_COLUMNS.items():
        cells = [[_code(n), known[n].unit, known[n].about] for n in names]
        text.append(f"### {kind}\n\n{table(['column', 'unit', 'meaning'], cells)}")
    return "\n\n".join(text)


# --- registries and the database --------------------------------------------------------------------------


def properties_page() -> str:
    """The properties by category."""
    text = []
    entries = property_entries()
    for category in dict.fromkeys(e["category"] for e in entries):
        rows = [property_row(e) for e in entries if e["category"] == category]
        head = ["property", "name", "unit", "scale", "range", "formula", "used"]
        text.append(f"## {category.capitalize()}\n\n{table(head, rows)}")
    return "\n\n".join(text)


def property_row(entry: dict[str, Any]) -> list[str]:
    """One property as a row of the table."""
    symbol = f" ({entry['symbol']})" if entry.get("symbol") else ""
    name = f"{entry.get('label', entry['about'])}{symbol}"
    ends = "{:g} to {:g}".format(*entry["range"])
    used = "optional" if entry.get("optional") else "by default"
    return [_code(entry["name"]), name, entry["unit"] or "-", entry["scale"], ends, entry["formula"], used]


def relations() -> dict[str, tuple[str, list[str]]]:
    """Tables and views of ``pub``: what each holds, and its columns."""
    flat = {t.fullname: (t.comment or MISSING, [c.name for c in t.columns]) for t in metadata.tables.values()}
    found = {name: entry for name, entry in flat.items() if name.startswith("pub.")}
    text = "\n".join(path.read_text(encoding="utf-8") for path in objects("views"))
    above = re.findall(r"((?:^-- .*\n)+)CREATE VIEW (pub\.\w+)", text, re.M)
    about = {name: words.replace("-- ", "").strip() for words, name in above}
    for name, query in re.findall(r"CREATE VIEW (pub\.\w+) AS\s+(.*?);", re.sub(r"--.*", "", text), re.S):
        parent = re.match(r"SELECT \* FROM (pub\.\w+)", query)
        names = found[parent[1]][1] if parent else _selected(query)
        found[name] = (about.get(name, MISSING).replace("''", "'"), names)
    for name in AS_OF_ALL_RUNS:
        words, names = found[f"pub.{name}_runs"]
        found[f"pub.{name}"] = (words.replace("every published run", "the published run"), names)
    run_id, *others = found["pub.classified_runs"][1]
    found["pub.classified"] = ("Every classified source of the published run, with its properties", [*others, run_id])
    return dict(sorted(found.items()))


def _selected(query: str) -> list[str]:
    """The output names of a query: those of its first SELECT that is in no parentheses."""
    flat, before = query, ""
    while flat != before:
        before, flat = flat, re.sub(r"\([^()]*\)|\[[^\[\]]*\]", "", flat)
    items = re.split(r"\bSELECT\b|\bFROM\b|\bUNION\b", flat, maxsplit=2)[1].split(",")
    return [re.split(r"[\s.]+", item.strip())[-1].strip('"') for item in items]


def pages() -> dict[str, str]:
    """All pages of the reference by name, without their titles."""
    of_columns = [[_code(c.name), c.unit, _code(c.ucd), c.about] for _, c in sorted(columns().items())]
    of_settings = [[_code(f"XCAT_{n.upper()}"), TEXTS["settings"].get(n, MISSING)] for n in Settings.__annotations__]
    of_tables = [f"## {name}\n\n{about}.\n\n{', '.join(map(_code, c))}" for name, (about, c) in relations().items()]
    return {
        "commands": commands(),
        "pipeline": models_page(Pipeline),
        "definition": definition_page(),
        "columns": table(["column", "unit", "UCD", "meaning"], of_columns),
        "properties": properties_page(),
        "tables": "\n\n".join(of_tables),
        "settings": table(["variable", "meaning"], of_settings),
        "exit_codes": table(["code", "meaning"], [[_code(c), m] for c, m in TEXTS["exit_codes"].items()]),
    }


def write(folder: Path) -> None:
    """Write the pages and their index into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        head = TEXTS["pages"][name]
        (folder / f"{name}.md").write_text(f"# {head['title']}\n\n{head['intro']}\n\n{text}\n", encoding="utf-8")
    contents = "\n".join(TEXTS["pages"])
    index = f"# Reference\n\nThese pages are made from the code.\n\n```{{toctree}}\n:maxdepth: 1\n\n{contents}\n```\n"
    (folder / "index.md").write_text(index, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "reference")
