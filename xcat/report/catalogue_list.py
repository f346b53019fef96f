"""Catalogue definitions, and which of them are loaded: what ``xcat catalogues`` shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from xcat.catalogues.definition import Definition, available, load
from xcat.config import Settings
from xcat.database.connection import Connection, running
from xcat.errors import ConfigError
from xcat.output.reading import rows

HEAD = ("name", "kind", "rows", "version", "files", "title")


def listing(folders: Sequence[Path], conn: Connection | None) -> list[dict[str, Any]]:
    """Definitions that xcat ships, those of the user's folders, and those of loaded catalogues, by name.

    Returns
    -------
    list of dict
        ``name``, ``kind``, ``title``, ``error`` (why a definition cannot be used, or None), and ``loaded``: None, or
        the ``version`` that is current, its number of rows ``n_rows``, and the names of its ``files``. Without a
        database, nothing counts as loaded.
    """
    loaded = {} if conn is None else {row["name"]: row for row in rows(conn, "report.loaded_catalogues")}
    found = {name: {"kind": row["kind"], "title": row["title"], "error": None} for name, row in loaded.items()}
    for name, path in available(folders).items():
        try:
            definition = load(path, folders)
            found[name] = {"kind": definition.kind, "title": definition.title, "error": None}
        except ConfigError as error:
            found[name] = {"kind": "wrong", "title": "", "error": str(error)}
    contents = {name: {key: row[key] for key in ("version", "n_rows", "files")} for name, row in loaded.items()}
    return [{"name": name, **found[name], "loaded": contents.get(name)} for name in sorted(found)]


def cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    """One row of the listing, as texts under `HEAD`."""
    loaded = row["loaded"]
    contents = (f"{loaded['n_rows']:,}", str(loaded["version"]), ", ".join(loaded["files"])) if loaded else ("", "", "")
    title = row["title"] if row["error"] is None else row["error"].splitlines()[0]
    return row["name"], row["kind"], *contents, title


def definition(settings: Settings, name: str, folders: Sequence[Path]) -> Definition:
    """A definition by the name or path of its file, or by the name of a loaded catalogue.

    Raises
    ------
    ConfigError
        There is no such definition, or it is wrong.
    """
    try:
        return load(name, folders)
    except ConfigError:
        if name in available(folders):
            raise
        with running(settings) as conn:
            stored = [] if conn is None else rows(conn, "ingest.catalogue", {"name": name})
        if not stored:
            raise
        return Definition.from_dict(stored[0]["definition"])
