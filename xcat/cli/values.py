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
        ra, dec, radius = map(float, text.split(","))
    except ValueError:
        raise UsageError(f"--cone must be RA,DEC,RADIUS in degrees, got {text!r}") from None
    return ra, dec, radius


def place(text: str, option: str = "--at") -> tuple[float, float]:
    """``RA,DEC``, in degrees."""
    try:
        ra, dec = map(float, text.split(","))
    except ValueError:
        raise UsageError(f"{option} must be RA,DEC in degrees, got {text!r}") from None
    if not (0 <= ra < 360 and -90 <= dec <= 90):
        raise UsageError(f"{option}: RA is from 0 to 360 and DEC from -90 to 90 degrees, got {text!r}")
    return ra, dec


def threshold(text: str) -> float | None:
    """A number from 0; None for ``on`` and ``off``."""
    if text in ("on", "off"):
        return None
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise UsageError(f"a threshold is a number from 0, or off, or on, got {text!r}")
    return number


def band(text: str | None, option: str = "--band") -> tuple[float, float] | None:
    """``0.5-7`` as two energies in keV."""
    if text is None:
        return None
    try:
        low, high = map(float, text.split("-"))
    except ValueError:
        raise UsageError(f"{option} takes LOW-HIGH in keV, as in 0.5-7, got {text!r}") from None
    return low, high


def mapping(option: str, form: str, parts: Iterable[str], *, may_be_empty: bool = False) -> dict[str, str]:
    """``A=B`` and so on as a mapping; values may be empty where that means something."""
    items: dict[str, str] = {}
    for part in parts:
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not (name and equals and (value or may_be_empty)) or name in items:
            twice = f" ({name} is given twice)" if name in items else ""
            raise UsageError(f"{option} takes {form}, got {part!r}{twice}")
        items[name] = value
    return items


def columns(parts: Iterable[str] | None, option: str = "--column") -> dict[str, str]:
    """``NAME=COLUMN``, repeated; without a column, none is used."""
    return mapping(option, "PROPERTY=COLUMN", parts or (), may_be_empty=True)


def priors(text: str) -> dict[str, float]:
    """``CLASS=PRIOR,...`` as a mapping to numbers."""
    try:
        return {k: float(v) for k, v in mapping("--priors", "CLASS=PRIOR,...", names(text)).items()}
    except ValueError:
        raise UsageError(f"--priors takes numbers, got {text!r}") from None


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
        try:
            share: float | Literal["estimate"] = "estimate" if part == "estimate" and may_estimate else float(part)
        except ValueError:
            share = 0.0
        if share != "estimate" and not 0 < share <= 1:
            also = ", or 'estimate'" if may_estimate else " (NWAY does not estimate them)"
            raise UsageError(f"--completeness takes probabilities above 0{also}, got {part!r}")
        shares.append(share)
    return shares
