"""Errors of positions as the drawing, Aladin Lite, tables and JSON have them: one ellipse for all."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest

from xcat.service.pages import drawings, ellipses

SOURCE = {"ra": 359.9999, "dec": 60.0, "err_arcsec": 1.0, "catalogue": "csc2", "name": "X"}


def _object(number: int, east: float, north: float, p: float = 1.0, **more: Any) -> dict[str, Any]:
    """An object so many arcsec from the source."""
    ra = SOURCE["ra"] + east / 3600 / math.cos(math.radians(60.0))
    row = {
        "number": number,
        "ra": ra % 360,
        "dec": 60.0 + north / 3600,
        "err_arcsec": 0.5,
        "p_i": p,
        "kind": "infrared",
    }
    row |= {"catalogue": "allwise", "native_id": f"W{number}", "sep_arcsec": math.hypot(east, north)}
    return ellipses.with_ellipse(row | {"is_accepted": p > 0.5} | more)


def test_an_ellipse_is_kept_and_a_radius_is_said_to_be_one() -> None:
    kept = _object(1, 0, 0, err_maj_arcsec=2.0, err_min_arcsec=0.5, err_pa_deg=30.0)
    assert (kept["err_maj_arcsec"], kept["err_min_arcsec"], kept["err_pa_deg"], kept["is_circle"]) == (
        2,
        0.5,
        30,
        False,
    )
    assert ellipses.error_words(kept) == "2 × 0.5 at 30°"
    circle = _object(1, 0, 0, err_maj_arcsec=None, err_min_arcsec=None, err_pa_deg=None)
    assert (circle["err_maj_arcsec"], circle["err_min_arcsec"], circle["is_circle"]) == (0.5, 0.5, True)
    assert ellipses.error_words(circle) == "0.5, round"
    # without an angle it lies along north, as in the match
    assert _object(1, 0, 0, err_maj_arcsec=2.0, err_min_arcsec=0.5, err_pa_deg=None)["err_pa_deg"] == 0.0
    assert pytest.approx(2.4477, abs=1e-4) == ellipses.TIMES_95


def test_offsets_cross_the_first_meridian_and_improbable_objects_do_not_set_the_scale() -> None:
    source = ellipses.with_ellipse(SOURCE)
    near, far = _object(1, 3.0, -1.0), _object(2, 40.0, 0.0, p=1e-5)
    assert ellipses.offset_arcsec(source, near) == pytest.approx((3.0, -1.0), abs=1e-3)
    assert ellipses.reach_arcsec(source, [near, far]) < 5
    assert ellipses.reach_arcsec(source, [near, {**far, "p_i": 0.1}]) == pytest.approx(40, abs=0.01)


def test_numbers_of_neighbours_are_written_together() -> None:
    source = ellipses.with_ellipse(SOURCE)
    objects = [_object(1, 2.0, 0.0), _object(2, 2.05, 0.0, p=0.9), _object(3, -2.0, 0.0, p=0.2)]
    assert [label["text"] for label in ellipses.labels(source, objects)] == ["1, 2", "3"]


def test_the_drawing_turns_ellipses_from_north_through_east() -> None:
    source = ellipses.with_ellipse({**SOURCE, "err_maj_arcsec": 3.0, "err_min_arcsec": 1.0, "err_pa_deg": 120.0})
    objects = [_object(1, 1.0, 1.0, err_maj_arcsec=1.5, err_min_arcsec=0.5, err_pa_deg=45.0)]
    svg = str(drawings.place(source, [*objects, _object(2, 60.0, 0.0, p=0.0)]))
    drawn = re.findall(
        r'rx="([\d.]+)" ry="([\d.]+)" transform="translate\(([\d.]+) ([\d.]+)\) rotate\((-?[\d.]+)\)"', svg
    )
    (_, _, x, y, turned), (small, large, *_), (width, length, at_x, at_y, of_object) = drawn
    # east is to the left, so that an angle through east turns against the clock
    assert (float(turned), float(of_object)) == (-120.0, -45.0)
    assert float(large) / float(small) == pytest.approx(3, rel=0.01)
    assert float(length) / float(width) == pytest.approx(3, rel=0.02) and float(at_x) < float(x) > float(y) > float(
        at_y
    )
    assert "improbable ones outside: 1." in svg and "3 × 1 at 120°" in svg and "1.5 × 0.5 at 45°" in svg
