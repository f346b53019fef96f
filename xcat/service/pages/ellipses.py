"""Errors of positions as ellipses: one place for the drawing, for Aladin Lite, for tables and for JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from xcat.output.reading import Row
from xcat.output.words import number
from xcat.sky.geometry import position_angle_rad, separation_arcsec

TIMES_95 = math.sqrt(-2 * math.log1p(-0.95))
"""Of a Gaussian in two dimensions, 95 % lie within so many sigmas."""
_MOST_NUMBERS = 20
_IMPROBABLE = 0.001
_TOGETHER = 0.08  # of the reach of a field: nearer than this, two numbers would lie on each other


def with_ellipse(row: Mapping[str, Any]) -> Row:
    """A position with its error as an ellipse of 1 sigma; `is_circle` where its catalogue has no ellipse.

    An ellipse without an angle lies along north, as the match takes it.
    """
    major, minor = row.get("err_maj_arcsec"), row.get("err_min_arcsec")
    is_circle = major is None or minor is None
    if is_circle:
        major = minor = row["err_arcsec"]
    turned = 0.0 if is_circle else float(row.get("err_pa_deg") or 0.0)
    return {**row, "err_maj_arcsec": major, "err_min_arcsec": minor, "err_pa_deg": turned, "is_circle": is_circle}


def offset_arcsec(source: Row, row: Row) -> tuple[float, float]:
    """Where a position is from the source: east and north."""
    places = (source["ra"], source["dec"], row["ra"], row["dec"])
    away, angle = float(separation_arcsec(*places)), float(position_angle_rad(*places))
    return away * math.sin(angle), away * math.cos(angle)


def reach_arcsec(source: Row, objects: Sequence[Row]) -> float:
    """How far a field must reach to show the ellipse of the source for 95 % with room, and every probable object."""
    probable = (each for each in objects if each["p_i"] >= _IMPROBABLE)
    away = (math.hypot(*offset_arcsec(source, each)) for each in probable)
    return max([1.3 * TIMES_95 * float(source["err_maj_arcsec"]), *away])


def labels(source: Row, objects: Sequence[Row]) -> list[Row]:
    """Numbers of objects as a field shows them; those of neighbours are written together."""
    near = _TOGETHER * reach_arcsec(source, objects)
    groups: list[tuple[Row, list[int]]] = []
    for each in objects[:_MOST_NUMBERS]:
        numbers = next((n for first, n in groups if math.hypot(*offset_arcsec(first, each)) < near), None)
        if numbers is None:
            groups.append((each, [each["number"]]))
        else:
            numbers.append(each["number"])
    return [{"ra": each["ra"], "dec": each["dec"], "text": ", ".join(map(str, listed))} for each, listed in groups]


def error_words(row: Row) -> str:
    """The error of a position, for a cell of a table: the axes of its ellipse and its angle, or its radius."""
    if row["err_maj_arcsec"] is None:
        return "–"
    major, minor = (number(row[axis], 2) for axis in ("err_maj_arcsec", "err_min_arcsec"))
    return f"{major}, round" if major == minor else f"{major} × {minor} at {row['err_pa_deg']:.0f}°"
