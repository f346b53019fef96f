"""The one registry of column meanings: unit, UCD and description of every column name.

A name means the same thing, in the same unit, in every table and view. The entries come from
``columns.yaml`` and, for the properties of the method, from ``xcat/columns/properties.yaml``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

_HERE = Path(__file__).resolve().parent
_COMMENT = re.compile(r"^(?P<about>.*?)(?: \[(?P<unit>[^\]]*)\])?(?: \{(?P<ucd>[^}]*)\})?$", re.S)


@dataclass(frozen=True)
class ColumnMeaning:
    """What a column holds.

    Parameters
    ----------
    name : str
        Column name, the same in every table and view.
    unit : str
        Unit in astropy's notation; empty for dimensionless columns.
    ucd : str
        IVOA unified content descriptor (UCD1+).
    about : str
        One line in words.
    """

    name: str
    unit: str
    ucd: str
    about: str

    @property
    def comment(self) -> str:
        """The text of the SQL comment: ``words [unit] {ucd}``."""
        unit = f" [{self.unit}]" if self.unit else ""
        return f"{self.about}{unit} {{{self.ucd}}}"

    @classmethod
    def parse(cls, name: str, comment: str | None) -> ColumnMeaning:
        """Read a SQL comment back; anything that is not one of ours becomes the description."""
        found = _COMMENT.match(comment or "")
        parts = found.groupdict() if found else {}
        return cls(name, parts.get("unit") or "", parts.get("ucd") or "", parts.get("about") or "")


@cache
def property_entries() -> tuple[dict[str, Any], ...]:
    """The properties as ``xcat/columns/properties.yaml`` defines them, in its order."""
    return tuple(yaml.safe_load((_HERE / "properties.yaml").read_text(encoding="utf-8")))


def property_columns(role: str) -> tuple[str, ...]:
    """Columns of the table ``property`` that the properties name in a role, each once, in the order of the registry.

    Parameters
    ----------
    role : {'error', 'limit', 'observed'}
    """
    return tuple(dict.fromkeys(entry[role] for entry in property_entries() if role in entry))


@cache
def magnitudes() -> tuple[str, ...]:
    """Columns with the magnitudes of counterparts, in the order of ``columns.yaml``."""
    return tuple(name for name in columns() if name == "mag" or name.startswith("mag_"))


@cache
def columns() -> dict[str, ColumnMeaning]:
    """Every column name of the schema with its meaning."""
    known = {
        name: ColumnMeaning(name, *entry)
        for name, entry in yaml.safe_load((_HERE / "columns.yaml").read_text(encoding="utf-8")).items()
    }
    for entry in property_entries():
        known[entry["name"]] = ColumnMeaning(
            entry["name"], entry["unit"], entry["ucd"], f"{entry['about']}: {entry['formula']}"
        )
    return known
