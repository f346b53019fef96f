"""YAML files read with their line numbers, so that a mistake is reported where the user made it.

A file is bounded in size, depth and number of nodes (what an alias stands for counts as often as it is named) before
anything is built of it: a few hundred bytes can stand for gigabytes.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from yaml.composer import Composer
from yaml.constructor import BaseConstructor, SafeConstructor
from yaml.resolver import BaseResolver, Resolver

from xcat.errors import ConfigError

KeyPath = tuple[str | int, ...]
Place = tuple[Path, int]

_MAX_BYTES = 1 << 20
_MAX_NODES = 20_000
_MAX_DEPTH = 40
_MAX_SCALAR = 10_000
_MAX_DIGITS = 40
_QUICK: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # for shipped files; its messages are less clear
_MAX_MESSAGE = 900  # characters of all mistakes of a file together
_WHOLE = re.compile(r"[-+]?(?:0|[1-9][0-9_]*|0x[0-9a-fA-F]+)")


class _Bounded(yaml.MarkedYAMLError):
    """YAML that is well formed, but more than any configuration needs."""

    def __init__(self, problem: str, mark: Any) -> None:
        super().__init__(problem=problem, problem_mark=mark)


def _events(text: str, max_nodes: int, loader: Any = yaml.SafeLoader) -> Iterator[yaml.Event]:
    """Parse YAML, and stop where it gets too large, too deep, or refers to itself."""
    n_nodes, depth = 0, 0
    # of every open collection: its anchor, the nodes before it, and the depth of the deepest node in it
    opened: list[tuple[str | None, int, int]] = []
    inside: list[int] = [0]
    anchored: dict[str | None, tuple[int, int]] = {}  # number of nodes and height of what an anchor names
    for event in yaml.parse(text, loader):
        mark, height = event.start_mark, 0
        if isinstance(event, yaml.AliasEvent):
            if any(event.anchor == anchor for anchor, _, _ in opened):
                raise _Bounded(f"'*{_cut(str(event.anchor))}' contains itself", mark)
            nodes, height = anchored.get(event.anchor, (1, 0))
            n_nodes += nodes
        elif isinstance(event, yaml.ScalarEvent):
            n_nodes += 1
            if len(event.value) > _MAX_SCALAR:
                raise _Bounded(f"a text of {len(event.value):,} characters; at most {_MAX_SCALAR:,} are read", mark)
            if not event.value.isprintable() and not _is_storable(event.value):
                raise _Bounded("a character that no text can have (NUL, or half of a pair)", mark)
            if event.anchor:
                anchored[event.anchor] = (1, 0)
        elif isinstance(event, yaml.CollectionStartEvent):
            opened.append((event.anchor, n_nodes, depth))
            inside.append(depth)
            n_nodes, depth = n_nodes + 1, depth + 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before, depth = opened.pop()
            height = inside.pop() - depth
            if anchor:
                anchored[anchor] = (n_nodes - before, height)
        inside[-1] = max(inside[-1], depth + height)
        if depth + height > _MAX_DEPTH:
            raise _Bounded(f"nested more than {_MAX_DEPTH} levels deep", mark)
        if n_nodes > max_nodes:
            raise _Bounded(f"more than {max_nodes:,} entries, those that its aliases stand for included", mark)
        yield event


def _is_storable(text: str) -> bool:
    return not any(c == "\0" or "\ud800" <= c <= "\udfff" for c in text)


class _OfEvents(Composer):
    """Composes nodes of events that were checked beforehand."""

    def __init__(self, events: Iterable[yaml.Event]) -> None:
        Composer.__init__(self)
        self._coming = deque(events)

    def check_event(self, *choices: type[yaml.Event]) -> bool:
        """Whether the next event is one of these."""
        return bool(self._coming) and (not choices or isinstance(self._coming[0], choices))

    def peek_event(self) -> yaml.Event | None:
        """The next event."""
        return self._coming[0] if self._coming else None

    def get_event(self) -> yaml.Event | None:
        """The next event, which is thereby done."""
        return self._coming.popleft() if self._coming else None


class _Configuration(_OfEvents, SafeConstructor, Resolver):
    """YAML of a configuration. Dates stay text, and so do whole numbers that begin with 0: they are names."""

    def __init__(self, events: Iterable[yaml.Event]) -> None:
        _OfEvents.__init__(self, events)
        SafeConstructor.__init__(self)
        Resolver.__init__(self)

    def construct_int_or_text(self, node: yaml.ScalarNode) -> int | str:
        """A whole number, or the text of what only older YAML takes for one (``010``, ``12:30``)."""
        text = str(self.construct_scalar(node))
        if not _WHOLE.fullmatch(text):
            return text
        if len(text) > _MAX_DIGITS:
            raise _Bounded(f"a number of {len(text):,} digits; at most {_MAX_DIGITS} are read", node.start_mark)
        return int(self.construct_yaml_int(node))

    def construct_float_or_text(self, node: yaml.ScalarNode) -> float | str:
        """A number, or the text of what only older YAML takes for one (``12:30:45.6``)."""
        text = str(self.construct_scalar(node))
        return text if ":" in text else float(self.construct_yaml_float(node))

    def construct_date(self, node: yaml.ScalarNode) -> str:
        """The text of a date, which need not be one: 2024-13-45 may be a name."""
        return str(self.construct_scalar(node))


_Configuration.yaml_constructors = SafeConstructor.yaml_constructors | {
    "tag:yaml.org,2002:int": _Configuration.construct_int_or_text,
    "tag:yaml.org,2002:float": _Configuration.construct_float_or_text,
    "tag:yaml.org,2002:timestamp": _Configuration.construct_date,
}


class _Texts(_OfEvents, BaseConstructor, BaseResolver):
    """YAML of a file's header: every tag is plain data, every scalar text, so nothing in a header can be run."""

    def __init__(self, events: Iterable[yaml.Event]) -> None:
        _OfEvents.__init__(self, events)
        BaseConstructor.__init__(self)
        BaseResolver.__init__(self)


def texts(text: str, max_nodes: int = 20 * _MAX_NODES) -> Any:
    """The first document of some YAML, with all its scalars as text.

    Raises
    ------
    yaml.YAMLError
        It is no YAML, or larger, deeper or with more aliases than a header needs.
    """
    loader = _Texts(_events(text, max_nodes))
    node = loader.get_single_node()
    return None if node is None else loader.construct_document(node)


def read(path: Path, keys: Collection[str]) -> tuple[dict[str, Any], dict[KeyPath, Place]]:
    """Read a YAML mapping and the line of every key and item in it.

    Parameters
    ----------
    keys : collection of str
        Keys that it may have. What has none of them is another kind of file, whose content no message shows: whoever
        names a file in a configuration need not be allowed to read it.

    Returns
    -------
    data : dict
        The content.
    places : dict
        File and line of each path of keys, such as ``("columns", "ra", "unit")``.

    Raises
    ------
    ConfigError
        If the file cannot be read, is no YAML mapping, names a key twice, or is more than a configuration needs.
    """
    try:
        with path.open("rb") as stream:
            raw = stream.read(_MAX_BYTES + 1)
        if len(raw) > _MAX_BYTES:
            raise ConfigError(f"{path}: more than {_MAX_BYTES:,} bytes; is this a configuration?")
        is_shipped = path.parent == Path(__file__).resolve().parent
        events = _events(raw.decode("utf-8-sig"), _MAX_NODES, _QUICK if is_shipped else yaml.SafeLoader)
        loader = _Configuration(events)
        node = loader.get_single_node()
        if not isinstance(node, yaml.MappingNode):
            raise ConfigError(f"{path}:1: a definition is a list of 'key: value' lines; this file is not")
        if node.value and not any(key.value in keys for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            raise ConfigError(f"{path}: is not such a file: it has none of the keys {', '.join(sorted(keys)[:8])} ...")
        places = dict(_walk(node, (), path))
        return loader.construct_document(node), places
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as text ({error})") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        kind = "" if isinstance(error, _Bounded) else "not valid YAML: "
        raise ConfigError(f"{path}:{line}: {kind}{_cut(str(error.problem or error.context), 300)}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {_cut(str(error), 300)}") from error


def is_file(path: Path) -> bool:
    """Whether there is such a file; a name that no file can have names none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _walk(node: yaml.Node, where: KeyPath, path: Path) -> Iterator[tuple[KeyPath, Place]]:
    """Yield the place of every key below a node; refuse a key that is given twice."""
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise ConfigError(f"{path}:{line}: a key is a word or a number, not a list or a mapping")
            name = str(key.value)
            if name in seen:
                raise ConfigError(f"{path}:{line}: '{_cut(name)}' is given twice (first on line {seen[name]})")
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
    keys = ".".join(_cut(str(k)) for k in where if not isinstance(k, int) and not k.startswith("function-"))
    message = _cut(message, 500)
    return f"{file}:{number}: {keys}: {message}" if keys else f"{file}:{number}: {message}"


def messages(error: ValidationError, places: dict[KeyPath, Place], path: Path) -> list[str]:
    """The mistakes that pydantic reports, in plain words: one line per mistake, each with file and line."""
    return [line(tuple(e["loc"]), _plain(e), places, path) for e in error.errors()]


def _plain(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        return "unknown key"
    if error["type"] == "missing":
        return "is missing"
    message = str(error["msg"]).removeprefix("Value error, ")
    given = error.get("input")
    return f"{message} (given: {_cut(repr(given))})" if isinstance(given, str | int | float) else message


def together(mistakes: Iterable[str]) -> str:
    """All mistakes of a file as one message, each once; of very many the first."""
    lines = list(dict.fromkeys(mistakes))
    shown, length = 0, 0
    while shown < len(lines) and (shown == 0 or length + len(lines[shown]) < _MAX_MESSAGE):
        length += len(lines[shown]) + 1
        shown += 1
    return "\n".join(lines[:shown]) + (f"\n... and {len(lines) - shown} more" if shown < len(lines) else "")


def _cut(text: str, length: int = 80) -> str:
    """The beginning of a text that may be very long."""
    return text if len(text) <= length else f"{text[: length - 20]} ... ({len(text):,} characters)"
