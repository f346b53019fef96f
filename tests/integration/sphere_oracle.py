"""Regions on the sphere computed in other ways than the service does: by angles, winding numbers and small pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from astropy_healpix import HEALPix
from numpy.typing import NDArray

Array = NDArray[np.float64]
#: Pixels of 3.4 square degrees.
_PIXELS = HEALPix(nside=32, order="nested")


def unit(ra: Array | float, dec: Array | float) -> Array:
    """Unit vectors, shape (..., 3)."""
    a, d = np.radians(ra), np.radians(dec)
    return np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d) + 0 * a], axis=-1)


def degrees(vectors: Array) -> tuple[Array, Array]:
    """Right ascension and declination."""
    x, y, z = np.moveaxis(vectors, -1, 0)
    return np.degrees(np.arctan2(y, x)) % 360, np.degrees(np.arctan2(z, np.hypot(x, y)))


def separation(a: Array, b: Array) -> Array:
    """Angle between unit vectors (deg)."""
    return np.degrees(np.arctan2(np.linalg.norm(np.cross(a, b), axis=-1), (a * b).sum(axis=-1)))


def star(ra: float, dec: float, reach_deg: float, turns: Sequence[float], shares: Sequence[float]) -> Array:
    """Vertices (n, 3) of a polygon around a position: at directions `turns` (0 to 1), at shares of the reach."""
    centre = unit(ra, dec)
    east = np.array([-np.sin(np.radians(ra)), np.cos(np.radians(ra)), 0.0])
    north = np.cross(centre, east)
    angle, distance = 2 * np.pi * np.array(turns), np.radians(reach_deg) * np.array(shares)
    sideways = np.sin(angle)[:, None] * east + np.cos(angle)[:, None] * north
    return np.asarray(np.cos(distance)[:, None] * centre + np.sin(distance)[:, None] * sideways)


def in_polygon(points: Array, vertices: Array) -> NDArray[np.bool_]:
    """Whether points are in a polygon smaller than a hemisphere: the edges turn once around them, or not at all."""
    total = np.zeros(len(points))
    for a, b in zip(vertices, np.roll(vertices, -1, axis=0), strict=True):
        to_a, to_b = (v - (points @ v)[:, None] * points for v in (a, b))
        total += np.arctan2((np.cross(to_a, to_b) * points).sum(axis=1), (to_a * to_b).sum(axis=1))
    middle = vertices.sum(axis=0)
    return np.asarray((np.abs(total) > np.pi) & (points @ middle > 0))


def from_edges(points: Array, vertices: Array) -> Array:
    """Distance (deg) of points from the great circles of a polygon's edges, of the nearest."""
    normals = np.cross(vertices, np.roll(vertices, -1, axis=0))
    normals /= np.linalg.norm(normals, axis=1)[:, None]
    return np.asarray(np.degrees(np.abs(np.arcsin(np.clip(points @ normals.T, -1, 1)))).min(axis=1))


def from_border(points: Array, vertices: Array) -> Array:
    """Distance (deg) of points from the border of a polygon, to about 0.01 of its size: from many points on it."""
    shares = np.linspace(0, 1, 200)[:, None]
    near = np.full(len(points), np.inf)
    for a, b in zip(vertices, np.roll(vertices, -1, axis=0), strict=True):
        chord = (1 - shares) * a + shares * b
        chord /= np.linalg.norm(chord, axis=1)[:, None]
        near = np.minimum(near, np.degrees(np.arccos(np.clip((points @ chord.T).max(axis=1), -1, 1))))
    return near


def in_box(points: Array, ra: float, dec: float, width: float, height: float) -> tuple[NDArray[np.bool_], Array]:
    """Whether points are in a box, and how far (deg) from its four great circles.

    Each side's plane is the plane of the arm's end and of the direction at right angles to the arm.
    """
    centre = unit(ra, dec)
    east = np.array([-np.sin(np.radians(ra)), np.cos(np.radians(ra)), 0.0])
    north = np.cross(centre, east)
    heights = []
    for along, across, size in ((east, north, width), (north, east, height)):
        for sign in (1, -1):
            half = np.radians(size / 2)
            end = np.cos(half) * centre + sign * np.sin(half) * along
            normal = np.cross(end, across)
            normal *= np.sign(normal @ centre) / np.linalg.norm(normal)
            heights.append(np.degrees(np.arcsin(np.clip(points @ normal, -1, 1))))
    return np.all(np.array(heights) >= 0, axis=0), np.abs(np.array(heights)).min(axis=0)


def area_and_centroid(vertices: Array) -> tuple[float, Array]:
    """Area (deg2) and mean direction of the pixels in a polygon, which must be larger than a pixel."""
    lon, lat = _PIXELS.healpix_to_lonlat(np.arange(_PIXELS.npix))
    pixels = unit(lon.deg, lat.deg)
    inside = pixels[in_polygon(pixels, vertices)]
    mean = inside.mean(axis=0)
    return len(inside) * float(_PIXELS.pixel_area.to_value("deg2")), mean / np.linalg.norm(mean)


@dataclass(frozen=True)
class Shape:
    """A circle, box or polygon: its numbers (deg), which points are in it, and many points of its border."""

    kind: str
    numbers: tuple[float, ...]

    def holds(self, points: Array) -> NDArray[np.bool_]:
        """Whether points are in it."""
        if self.kind == "circle":
            ra, dec, radius = self.numbers
            return np.asarray(separation(points, unit(ra, dec)) <= radius)
        if self.kind == "box":
            ra, dec, width, height = self.numbers
            return in_box(points, ra, dec, width, height)[0]
        return in_polygon(points, self.corners)

    @property
    def corners(self) -> Array:
        """Vertices (n, 3) of a box or polygon; those of a box are where the planes of its sides meet."""
        if self.kind == "polygon":
            return unit(np.array(self.numbers[::2]), np.array(self.numbers[1::2]))
        ra, dec, width, height = self.numbers
        centre, east = unit(ra, dec), np.array([-np.sin(np.radians(ra)), np.cos(np.radians(ra)), 0.0])
        north = np.cross(centre, east)
        sides = {}
        for name, along, across, size in (("e", east, north, width), ("n", north, east, height)):
            for sign in (1, -1):
                half = np.radians(size / 2)
                sides[name, sign] = np.cross(np.cos(half) * centre + sign * np.sin(half) * along, across)
        meeting = [np.cross(sides["e", e], sides["n", n]) for e, n in ((1, 1), (-1, 1), (-1, -1), (1, -1))]
        return np.array([v * np.sign(v @ centre) / np.linalg.norm(v) for v in meeting])

    def border(self, n: int = 120) -> Array:
        """Points (m, 3) of the border; of a circle n, else n of every side."""
        if self.kind == "circle":
            ra, dec, radius = self.numbers
            return star(ra, dec, radius, np.linspace(0, 1, 4 * n, endpoint=False).tolist(), [1.0] * 4 * n)
        shares = np.linspace(0, 1, n, endpoint=False)[:, None]
        sides = zip(self.corners, np.roll(self.corners, -1, axis=0), strict=True)
        chords = np.concatenate([(1 - shares) * a + shares * b for a, b in sides])
        return np.asarray(chords / np.linalg.norm(chords, axis=1)[:, None])


def sphere() -> Array:
    """Directions all over the sky, 1.8 degrees apart."""
    lon, lat = _PIXELS.healpix_to_lonlat(np.arange(_PIXELS.npix))
    return unit(lon.deg, lat.deg)


def relation(a: Shape, b: Shape, sky: Array) -> tuple[bool, bool, bool]:
    """Whether two shapes meet, the second holds the first, and the sampling is fine enough to say so."""
    borders = a.border(), b.border()
    near = np.degrees(np.arccos(np.clip((borders[0] @ borders[1].T).max(), -1, 1)))
    steps = [np.degrees(np.linalg.norm(x - np.roll(x, -1, axis=0), axis=1)).max() for x in borders]
    in_b, in_a = b.holds(borders[0]), a.holds(borders[1])
    inside = a.holds(sky)
    meet = bool(in_b.any() or in_a.any() or (inside & b.holds(sky)).any())
    held = bool(in_b.all() and not in_a.any() and b.holds(sky[inside]).all())
    return meet, held, bool(near > max(steps))
