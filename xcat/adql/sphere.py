"""Polygons on the sphere whose vertices a query gives: their extent, area and centroid, in pure numbers.

A polygon is looked at from its middle in the gnomonic projection, which shows great circles as straight lines; it must
therefore be smaller than a hemisphere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xcat.arrays import FloatArray

_HEMISPHERE_DEG = 89.0


@dataclass(frozen=True)
class Polygon:
    """A polygon smaller than a hemisphere.

    Parameters
    ----------
    vertices : array of shape (n, 3)
        Unit vectors.
    centre : array of shape (3,)
        The direction from which it is looked at.
    radius_deg : float
        Distance of the vertex that is farthest from the centre.
    """

    vertices: FloatArray
    centre: FloatArray
    radius_deg: float

    @classmethod
    def of(cls, coordinates: Sequence[float]) -> Polygon:
        """From ra, dec, ra, dec, ... in degrees.

        Raises
        ------
        ValueError
            If it has fewer than three different vertices or does not fit into a hemisphere.
        """
        vertices = vectors(coordinates)
        keep = np.linalg.norm(vertices - np.roll(vertices, 1, axis=0), axis=1) > 1e-14
        vertices = vertices[keep]
        if len(vertices) < 3:
            raise ValueError("a polygon has three different vertices or more")
        middle = vertices.sum(axis=0)
        length = float(np.linalg.norm(middle))
        centre = middle / max(length, 1e-300)
        radius = math.degrees(float(np.arccos(np.clip((vertices @ centre).min(), -1, 1))))
        if length < 1e-6 or radius > _HEMISPHERE_DEG:
            raise ValueError("a polygon must be smaller than a hemisphere")
        return cls(vertices, centre, radius)

    @property
    def axes(self) -> tuple[FloatArray, FloatArray]:
        """Two unit vectors that make a right-handed system with the centre, each of shape (3,)."""
        start = np.eye(3)[int(np.argmin(np.abs(self.centre)))]
        first = np.cross(start, self.centre)
        first /= np.linalg.norm(first)
        return first, np.cross(self.centre, first)

    @property
    def plane(self) -> FloatArray:
        """The vertices in the gnomonic projection, shape (n, 2)."""
        first, second = self.axes
        depth = self.vertices @ self.centre
        return np.column_stack([self.vertices @ first / depth, self.vertices @ second / depth])

    @property
    def coordinates(self) -> FloatArray:
        """Right ascension and declination (deg) of the vertices, shape (n, 2)."""
        return np.array([coordinates(vertex) for vertex in self.vertices])

    @property
    def area_deg2(self) -> float:
        """The area, by the signed triangles that the edges make with the centre (Van Oosterom & Strackee 1983)."""
        a, b, c = self.vertices, np.roll(self.vertices, -1, axis=0), self.centre
        volume = np.cross(a, b) @ c
        angle = 2 * np.arctan2(volume, 1 + (a * b).sum(axis=1) + a @ c + b @ c)
        return float(abs(angle.sum()) * math.degrees(1) ** 2)

    @property
    def centroid(self) -> tuple[float, float]:
        """Direction of the mean of its points (deg): half the sum of the edges' normals, each as long as its edge."""
        a, b = self.vertices, np.roll(self.vertices, -1, axis=0)
        normal = np.cross(a, b)
        sine = np.linalg.norm(normal, axis=1)
        angle = np.arctan2(sine, (a * b).sum(axis=1))
        total = (normal * (angle / np.maximum(sine, 1e-300))[:, None]).sum(axis=0)
        if float(total @ self.centre) < 0:
            total = -total
        return coordinates(total if np.linalg.norm(total) > 1e-30 else self.centre)


def vectors(numbers: Sequence[float]) -> FloatArray:
    """Unit vectors of ra, dec, ra, dec, ... (deg), shape (n, 3)."""
    ra, dec = np.radians(np.asarray(numbers, float).reshape(-1, 2)).T
    return np.column_stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])


def coordinates(vector: FloatArray) -> tuple[float, float]:
    """Right ascension and declination (deg) of a direction of any length."""
    x, y, z = (float(v) for v in vector)
    return math.degrees(math.atan2(y, x)) % 360.0, math.degrees(math.atan2(z, math.hypot(x, y)))


def box_corners(ra: float, dec: float, width: float, height: float) -> list[float]:
    """Corners of a box (deg) as ra, dec, ra, dec, ...: its sides are great circles at right angles to its arms."""
    centre = vectors([ra, dec])[0]
    alpha, delta = math.radians(ra), math.radians(dec)
    east = np.array([-math.sin(alpha), math.cos(alpha), 0.0])
    north = np.array([-math.sin(delta) * math.cos(alpha), -math.sin(delta) * math.sin(alpha), math.cos(delta)])
    across, along = math.tan(math.radians(width) / 2), math.tan(math.radians(height) / 2)
    corners = ((-across, -along), (across, -along), (across, along), (-across, along))
    return [x for u, v in corners for x in coordinates(centre + u * east + v * north)]
