"""Texts of the command line that mean several values: cones, bands, lists, mappings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from xcat.cli.common import UsageError


def names(text: str) -> list[str]:
    """``A,B`` as a list; blanks do not count."""
    return [part.strip() for part in text.split(",") if part.strip()]


def cone(text: str) -> tuple[float, float, float]:
    """``RA,DEC,RADIUS``, in degrees."""
    try:
        ra, dec, radius = (float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"--cone must be RA,DEC,RADIUS in degrees, got {text!r}") from None
    return ra, dec, radius


def band(text: str | None) -> tuple[float, float] | None:
    """``0.5-7`` as two energies in keV."""
    if text is None:
        return None
    try:
        low, high = (float(part) for part in text.split("-"))
    except ValueError:
        raise UsageError(f"--band takes LOW-HIGH in keV, as in 0.5-7, got {text!r}") from None
    return low, high


def columns(texts: Iterable[str] | None) -> dict[str, str]:
    """``NAME=COLUMN``, repeated, as a mapping; a column may be empty."""
    mapping: dict[str, str] = {}
    for text in texts or ():
        name, equals, column = (part.strip() for part in text.partition("="))
        if not equals or not name or name in mapping:
            twice = f" ({name} is given twice)" if name in mapping else ""
            raise UsageError(f"--column takes PROPERTY=COLUMN, got {text!r}{twice}")
        mapping[name] = column
    return mapping


def mapping(option: str, text: str | None) -> dict[str, str] | None:
    """``A=B,C=D`` as a mapping."""
    if text is None:
        return None
    items: dict[str, str] = {}
    for part in names(text):
        name, equals, value = (p.strip() for p in part.partition("="))
        if not (name and equals and value) or name in items:
            raise UsageError(f"{option} takes NAME=VALUE,..., each name once, got {part!r}")
        items[name] = value
    return items


def numbers(option: str, text: str | None) -> dict[str, float] | None:
    """``A=0.5,B=2`` as a mapping to numbers."""
    items = mapping(option, text)
    try:
        return None if items is None else {name: float(value) for name, value in items.items()}
    except ValueError:
        raise UsageError(f"{option} takes numbers, got {text!r}") from None


def pairs(text: str) -> tuple[tuple[str, str], ...]:
    """``A:B,C:D`` as pairs of properties."""
    split = [tuple(name.strip() for name in part.split(":")) for part in names(text)]
    wrong = [":".join(pair) for pair in split if len(pair) != 2 or not all(pair)]
    if wrong:
        raise UsageError(f"--pairs takes PROPERTY:PROPERTY,..., got {wrong[0]!r}")
    return tuple((one, two) for one, two in split)


def seeds(text: str) -> list[int]:
    """``0,1,2`` as different whole numbers."""
    parts = names(text)
    if not parts or not all(p.isdecimal() for p in parts) or len(set(parts)) != len(parts):
        raise UsageError(f"--seeds takes different whole numbers with commas, as in 0,1,2, got {text!r}")
    return [int(p) for p in parts]


def completeness(text: str, *, may_estimate: bool) -> list[float | Literal["estimate"]]:
    """``0.9,estimate`` as a share for each table."""
    shares: list[float | Literal["estimate"]] = []
    for part in map(str.strip, text.split(",")):
        if part == "estimate" and may_estimate:
            shares.append("estimate")
            continue
        try:
            share = float(part)
        except ValueError:
            share = float("nan")
        if not 0 < share <= 1:
            also = ", or 'estimate'" if may_estimate else " (NWAY does not estimate them)"
            raise UsageError(f"--completeness takes probabilities above 0{also}, got {part!r}")
        shares.append(share)
    return shares
