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

BANDS = ("soft", "medium", "hard")
#: Quantities that a mission may give of a source beside its detections (`of_source`); as columns, source_flux_cgs etc.
OF_SOURCE = (
    *(f"flux{band}{error}_cgs" for band in ("", *(f"_{b}" for b in BANDS)) for error in ("", "_err")),
    *("hr1", "hr1_err", "hr2", "hr2_err"),
)
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
        """Read a SQL comment back; text of another form becomes the description."""
        match = _COMMENT.match(comment or "")
        parts = match.groupdict(default="") if match else {}
        return cls(name, parts.get("unit", ""), parts.get("ucd", ""), parts.get("about", ""))


def _load(name: str) -> Any:
    """Read a YAML file of this folder, with libyaml where PyYAML has it: ten times as fast."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load((_HERE / name).read_text(encoding="utf-8"), Loader=loader)


@cache
def property_entries() -> tuple[dict[str, Any], ...]:
    """The properties as ``xcat/columns/properties.yaml`` defines them, in its order."""
    return tuple(_load("properties.yaml"))


def property_columns(role: str) -> tuple[str, ...]:
    """Columns of the table ``property`` that the properties name in a role, each once, in the order of the registry.

    Parameters
    ----------
    role : {'error', 'limit', 'observed'}
    """
    return tuple(dict.fromkeys(entry[role] for entry in property_entries() if role in entry))


@cache
def absorptions() -> tuple[str, ...]:
    """Columns of the table ``property`` with what the gas of the Galaxy does to the X-rays of an object behind it."""
    names = dict.fromkeys(name for entry in property_entries() for name in entry.get("behind", ()))
    return tuple(sorted(name for name in names if name != "ebv_mag"))


@cache
def magnitudes() -> tuple[str, ...]:
    """Columns with the magnitudes of counterparts, in the order of ``columns.yaml``."""
    return tuple(name for name in columns() if name == "mag" or name.startswith("mag_"))


@cache
def columns() -> dict[str, ColumnMeaning]:
    """Every column name of the schema with its meaning."""
    entries = _load("columns.yaml")
    entries |= {e["name"]: (e["unit"], e["ucd"], f"{e['about']}: {e['formula']}") for e in property_entries()}
    return {name: ColumnMeaning(name, *entry) for name, entry in entries.items()}
