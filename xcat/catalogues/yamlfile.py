"""YAML files read with their line numbers, so that a mistake is reported where the user made it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from xcat.errors import ConfigError

KeyPath = tuple[str | int, ...]
Place = tuple[Path, int]


def read(path: Path) -> tuple[dict[str, Any], dict[KeyPath, Place]]:
    """Read a YAML mapping and the line of every key and item in it.

    Returns
    -------
    data : dict
        The content.
    places : dict
        File and line of each path of keys, such as ``("columns", "ra", "unit")``.

    Raises
    ------
    ConfigError
        If the file cannot be read, is no YAML mapping, or names a key twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as text ({error})") from error
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            raise ConfigError(f"{path}:1: a definition is a list of 'key: value' lines; this file is not")
        places = dict(_walk(node, (), path))
        return loader.construct_document(node), places
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise ConfigError(f"{path}:{line}: not valid YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from error
    finally:
        loader.dispose()


def _walk(node: yaml.Node, where: KeyPath, path: Path) -> Iterator[tuple[KeyPath, Place]]:
    """Yield the place of every key below a node; refuse a key that is given twice."""
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in seen:
                raise ConfigError(f"{path}:{line}: '{name}' is given twice (first on line {seen[name]})")
            seen[name] = line
            yield (*where, name), (path, line)
            yield from _walk(value, (*where, name), path)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield (*where, index), (path, item.start_mark.line + 1)
            yield from _walk(item, (*where, index), path)


def line(where: KeyPath, message: str, places: dict[KeyPath, Place], path: Path) -> str:
    """A mistake as ``file:line: key: message``.

    A missing key, or a form that was spelled differently in the file, has no line of its own; its parent has.
    """
    beginnings = (where[:end] for end in range(len(where), 0, -1))
    file, number = next((places[keys] for keys in beginnings if keys in places), (path, 1))
    keys = ".".join(str(k) for k in where if not isinstance(k, int) and not k.startswith("function-"))
    return f"{file}:{number}: {keys}: {message}" if keys else f"{file}:{number}: {message}"


def messages(error: ValidationError, places: dict[KeyPath, Place], path: Path) -> list[str]:
    """The mistakes that pydantic reports, in plain words: one line per mistake, each with file and line."""
    lines = [line(tuple(e["loc"]), _plain(e), places, path) for e in error.errors()]
    return list(dict.fromkeys(lines))


def _plain(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        return "unknown key"
    if error["type"] == "missing":
        return "is missing"
    message = str(error["msg"]).removeprefix("Value error, ")
    given = error.get("input")
    return f"{message} (given: {given!r})" if isinstance(given, str | int | float) else message
